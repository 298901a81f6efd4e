/* Networks: a container's own, made by its start or before it (net.c, net_ahead.c). */
#include "fixture.h"

static unsigned long network_of(int fd)
{
	struct stat st;

	ok(fd < 0 ? stat("/proc/self/ns/net", &st) == 0 : fstat(fd, &st) == 0);
	return st.st_ino;
}

/* The number in "net:[4026531840]". */
static unsigned long network_inside(struct fixture *f)
{
	const char *text = strchr(sh(f, "readlink /proc/self/ns/net"), '[');

	ok(text != NULL);
	return strtoul(text + 1, NULL, 10);
}

static ino_t net_of(const char *who)
{
	struct stat st;

	ok(stat(tap_keep(str_fmt("/proc/%s/ns/net", who)), &st) == 0);
	return st.st_ino;
}

TEST(a_new_network_namespace_is_the_containers_alone)
{
	struct fixture f;
	struct container *c;
	ino_t own = net_of("self");

	fixture_init(&f);
	f.spec.ns.wanted[NS_NET] = true;
	ARGS(&f, "sleep", "100");
	if (container_create(&f.args, &c, &f.err) < 0 || container_start(c, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	ok(net_of("self") == own);
	ok(net_of(tap_keep(str_fmt("%d", (int)container_pid(c)))) != own);
	container_destroy(c);
	is_str(sh(&f, "cat /proc/sys/net/ipv4/ping_group_range; ls /sys/class/net"), "0\t2147483647\nlo\n");
	fixture_done(&f);
}

TEST(a_network_made_beforehand_is_taken_and_the_maker_stays_in_its_own)
{
	struct fixture f;
	unsigned long own;
	int fd = -1;

	fixture_init(&f);
	own = network_of(-1);
	is_int(container_make_network(&fd, &f.err), 0);
	ok(network_of(-1) == own && network_of(fd) != own);
	f.args.network_fd = fd;
	ok(network_inside(&f) == network_of(fd));
	is_str(sh(&f, "cat /sys/class/net/lo/operstate; cat /proc/sys/net/ipv4/ping_group_range"), "unknown\n0\t2147483647\n");
	close(fd);
	fixture_done(&f);
}

TEST(a_network_begun_in_a_thread_is_a_new_one_with_its_loopback_up)
{
	struct net_ahead a = { 0 };
	struct fixture f;
	unsigned long own;
	int fd;

	fixture_init(&f);
	own = network_of(-1);
	container_network_begin(&a, &f.spec);
	fd = container_network_take(&a);
	ok(fd > 0 && network_of(-1) == own && network_of(fd) != own);
	is_int(container_network_take(&a), -1); /* it is taken once */
	f.args.network_fd = fd;
	ok(network_inside(&f) == network_of(fd));
	is_str(sh(&f, "cat /sys/class/net/lo/operstate"), "unknown\n");
	close(fd);
	fixture_done(&f);
}

TEST(no_network_is_begun_where_the_spec_wants_none_or_another_kind)
{
	struct net_ahead a = { 0 };
	struct fixture f;

	fixture_init(&f);
	f.spec.ns.wanted[NS_NET] = false;
	container_network_begin(&a, &f.spec);
	is_int(container_network_take(&a), -1);
	f.spec.ns.wanted[NS_NET] = true;
	use_userns(&f);
	container_network_begin(&a, &f.spec);
	is_int(container_network_take(&a), -1);
	forget_userns(&f);
	fixture_done(&f);
}

TEST(who_may_make_no_network_takes_none)
{
	struct net_ahead a = { 0 };
	struct fixture f;
	int status;
	pid_t pid;

	fixture_init(&f);
	pid = fork();
	if (pid == 0) {
		if (setresuid(65534, 65534, 65534) < 0)
			_exit(2);
		container_network_begin(&a, &f.spec);
		_exit(container_network_take(&a) == -1 ? 0 : 1);
	}
	ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	is_int(WEXITSTATUS(status), 0);
	fixture_done(&f);
}

/* It belongs to the caller's user namespace; and a network that is shared or another's is not new. */
TEST(a_network_made_beforehand_is_left_where_it_would_be_the_wrong_one)
{
	struct fixture f;
	int fd = -1;

	fixture_init(&f);
	is_int(container_make_network(&fd, &f.err), 0);
	f.args.network_fd = fd;
	f.spec.ns.wanted[NS_NET] = false;
	ok(network_inside(&f) == network_of(-1));
	f.spec.ns.wanted[NS_NET] = true;
	use_userns(&f);
	ok(network_inside(&f) != network_of(fd));
	forget_userns(&f);
	close(fd);
	fixture_done(&f);
}

TAP_MAIN()
