/* Containers in a user namespace, in another one's namespaces, without some of their own, and with cgroups around. */
#include "fixture.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

static struct spec_idmap shifted = { .container_id = 0, .host_id = 100000, .size = 65536 };

static void use_userns(struct fixture *f)
{
	f->spec.ns.wanted[NS_USER] = true;
	f->spec.uid_mappings = f->spec.gid_mappings = &shifted;
	f->spec.n_uid_mappings = f->spec.n_gid_mappings = 1;
}

static void forget_userns(struct fixture *f)
{
	f->spec.uid_mappings = f->spec.gid_mappings = NULL;
	f->spec.n_uid_mappings = f->spec.n_gid_mappings = 0;
}

TEST(root_of_a_user_namespace_is_nobody_outside)
{
	struct fixture f;
	struct container *c;
	char path[64];
	struct stat st;

	fixture_init(&f);
	use_userns(&f);
	is_str(sh(&f, "id -u; id -g; cat /proc/self/uid_map | grep -c 100000; echo x > /dev/null; head -c 2 /dev/zero | wc -c"),
	       "0\n0\n1\n2\n");
	is_str(sh(&f,
		  "stat -c %t:%T /dev/null; cat /proc/sys/net/ipv4/ping_group_range; touch /dev/shm/x; stat -c %u /dev/shm/x"),
	       "1:3\n0\t65535\n0\n");
	ARGS(&f, "sleep", "100");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	snprintf(path, sizeof(path), "/proc/%d", (int)container_pid(c));
	ok(stat(path, &st) == 0);
	is_int(st.st_uid, 100000);
	container_destroy(c);
	forget_userns(&f);
	fixture_done(&f);
}

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
	struct net_ahead a;
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
	struct net_ahead a;
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
	struct net_ahead a;
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

static int refuse(void *arg _unused_, struct err *e) { return err_set(e, EIO, "not today"); }

TEST(what_fails_meanwhile_ends_the_start)
{
	struct fixture f;
	struct container *c;

	fixture_init(&f);
	f.args.meanwhile = refuse;
	f.args.starts_at_once = true;
	ARGS(&f, "touch", "/tmp/ran");
	is_int(container_create(&f.args, &c, &f.err), -EIO);
	is_str(f.err.msg, "not today");
	f.args.meanwhile = NULL;
	f.args.starts_at_once = false;
	is_str(sh(&f, "ls /tmp"), "");
	fixture_done(&f);
}

TEST(a_user_namespace_takes_users_devices_terminals_and_exec)
{
	struct fixture f;
	struct container *c;
	struct spec_process p;
	struct container_exec_args a = { .process = &p, .stdio = { 0, 1, 2 } };
	int console, pidfd, status;
	pid_t pid;
	bool oom;

	fixture_init(&f);
	use_userns(&f);
	f.spec.process.terminal = true;
	f.spec.process.oom_score_adj = 400;
	f.spec.process.user.username = strdup("alice");
	ARGS(&f, "sh", "-c", "id -u; tty; read x; cat /proc/self/oom_score_adj");
	if (container_create(&f.args, &c, &f.err) < 0 || container_start(c, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	console = container_take_console(c);
	spec_process_init(&p);
	ok(strv_push(&p.args, "sh") == 0 && strv_push(&p.args, "-c") == 0 &&
	   strv_push(&p.args, "test $(id -u) = 0 -a -r /proc/1/status") == 0);
	if (container_exec(c, &a, &pid, &pidfd, &status, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
	ok(write(console, "\n", 1) == 1);
	is_int(container_reap(c, &status, &oom, &f.err), 0);
	is_int(status, 0);
	/* To the end (EIO). The terminal's echo of our line may stand between any two of the lines. */
	size_t len = 0;
	for (ssize_t n; (n = read(console, f.out + len, sizeof(f.out) - 1 - len)) > 0;)
		len += (size_t)n;
	f.out[len] = 0;
	has_str(f.out, "1000\r\n");
	has_str(f.out, "/dev/pts/0\r\n");
	has_str(f.out, "400\r\n");
	close(console);
	spec_process_done(&p);
	container_destroy(c);
	forget_userns(&f);
	fixture_done(&f);
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

TEST(a_user_namespace_without_maps_is_refused)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.ns.wanted[NS_USER] = true;
	has_str(refused(&f), "uidMappings");
	fixture_done(&f);
}

/* n ranges of one id each, apart from each other by `step` on the host. */
static struct spec_idmap *many_ranges(size_t n, uint32_t first, uint32_t step)
{
	struct spec_idmap *m = calloc(n, sizeof(*m));

	ok(m != NULL);
	for (size_t i = 0; i < n; i++)
		m[i] = (struct spec_idmap){ (uint32_t)i, first + (uint32_t)i * step, 1 };
	return m;
}

TEST(R24_maps_of_many_ranges_are_whole_or_refused)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.ns.wanted[NS_USER] = true;
	f.spec.n_uid_mappings = f.spec.n_gid_mappings = 200;
	f.spec.uid_mappings = f.spec.gid_mappings = many_ranges(200, 100000, 2);
	is_str(sh(&f, "wc -l < /proc/self/uid_map; wc -l < /proc/self/gid_map"), "200\n200\n");
	free(f.spec.uid_mappings);
	/* 330 ranges of long numbers: more than a page. */
	f.spec.n_uid_mappings = f.spec.n_gid_mappings = 330;
	f.spec.uid_mappings = f.spec.gid_mappings = many_ranges(330, 4000000000U, 2);
	has_str(refused(&f), "uid_map: 330 ranges are ");
	free(f.spec.uid_mappings);
	/* 70 KB of text, but each goes on where the last one ended. */
	f.spec.n_uid_mappings = f.spec.n_gid_mappings = 4000;
	f.spec.uid_mappings = f.spec.gid_mappings = many_ranges(4000, 4000000000U, 1);
	is_str(sh(&f, "wc -l < /proc/self/uid_map"), "1\n");
	free(f.spec.uid_mappings);
	forget_userns(&f);
	fixture_done(&f);
}

TEST(an_id_that_is_not_mapped_is_refused)
{
	struct fixture f;

	fixture_init(&f);
	use_userns(&f);
	f.spec.process.user.uid = 70000;
	has_str(refused(&f), "user 70000");
	forget_userns(&f);
	fixture_done(&f);
}

/* A second container in all namespaces of a first one that can be shared; then what each sees of the other. */
TEST(namespaces_of_another_container_can_be_joined)
{
	static const enum spec_ns shared[] = { NS_PID, NS_NET, NS_IPC, NS_UTS };
	struct fixture f;
	struct container *c;

	fixture_init(&f);
	f.spec.hostname = strdup("first");
	ARGS(&f, "sleep", "100");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	free(f.spec.hostname);
	f.spec.hostname = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
		f.spec.ns.path[shared[i]] = str_fmt("/proc/%d/ns/%s", (int)container_pid(c), ns_table[shared[i]].proc);
	is_str(sh(&f, "hostname; cat /proc/1/comm; [ $$ != 1 ] && echo other"), "first\nsleep\nother\n");
	is_str(sh(&f,
		  "for n in pid net ipc uts; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] && echo same; done; "
		  "[ $(readlink /proc/1/ns/mnt) = $(readlink /proc/self/ns/mnt) ] || echo own"),
	       "same\nsame\nsame\nsame\nown\n");
	/* The stage process is not left behind. */
	ok(waitpid(-1, NULL, WNOHANG) == 0);
	container_destroy(c);
	fixture_done(&f);
}

TEST(a_user_namespace_of_another_container_can_be_joined)
{
	struct fixture f;
	struct container *c;

	fixture_init(&f);
	use_userns(&f);
	ARGS(&f, "sleep", "100");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	forget_userns(&f);
	f.spec.ns.path[NS_USER] = str_fmt("/proc/%d/ns/user", (int)container_pid(c));
	f.spec.ns.path[NS_NET] = str_fmt("/proc/%d/ns/net", (int)container_pid(c));
	is_str(sh(&f, "echo $$; grep -c 100000 /proc/self/uid_map; cat /sys/class/net/lo/flags"), "1\n1\n0x9\n");
	container_destroy(c);
	fixture_done(&f);
}

TEST(what_is_no_namespace_is_not_joined)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.ns.path[NS_NET] = strdup("/etc/passwd");
	has_str(refused(&f), "/etc/passwd");
	free(f.spec.ns.path[NS_NET]);
	f.spec.ns.path[NS_NET] = strdup("/proc/self/ns/uts");
	has_str(refused(&f), "another kind");
	free(f.spec.ns.path[NS_NET]);
	f.spec.ns.path[NS_NET] = NULL;
	f.spec.ns.path[NS_PID] = strdup("/proc/self/ns/uts");
	has_str(refused(&f), "another kind");
	fixture_done(&f);
}

TEST(the_hosts_namespaces_are_kept_where_none_is_wanted)
{
	struct fixture f;
	char host[65], want[70];

	fixture_init(&f);
	ok(gethostname(host, sizeof(host)) == 0);
	snprintf(want, sizeof(want), "%s\n", host);
	f.spec.ns.wanted[NS_NET] = f.spec.ns.wanted[NS_UTS] = f.spec.ns.wanted[NS_PID] = f.spec.ns.wanted[NS_IPC] =
		f.spec.ns.wanted[NS_CGROUP] = false;
	is_str(sh(&f, "hostname"), want);
	is_str(sh(&f, "[ $$ != 1 ] && [ -d /proc/1 ] && echo host"), "host\n");
	fixture_done(&f);
}

/* A process that stays in new namespaces of all eight kinds until it is killed. In its mount namespace, and nowhere else, there is a
 * mount at DIR/tmp. */
static pid_t hold_namespaces(const char *dir)
{
	char text[1], path[80];
	int ready[2];
	pid_t pid;

	ok(pipe2(ready, O_CLOEXEC) == 0);
	pid = fork();
	if (pid == 0) {
		pid_t inner;

		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* also when the test fails */
		snprintf(path, sizeof(path), "%s/tmp", dir);
		if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | 0x80) <
			    0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("tmpfs", path, "tmpfs", 0, "size=64k") < 0 ||
		    sethostname("theirs", 6) < 0)
			_exit(1);
		/* Its child is PID 1 and the first in the time namespace. */
		inner = fork();
		if (inner == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
			if (write(ready[1], &(char){ 1 }, 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		for (;;)
			pause();
	}
	ok(pid > 0 && read(ready[0], text, 1) == 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

TEST(namespaces_of_all_kinds_can_be_joined_by_their_paths)
{
	/* pid and time: of the children of the holder, which it is not in itself. */
	static const char *const files[NS_COUNT] = { [NS_MOUNT] = "mnt",     [NS_PID] = "pid_for_children",
						     [NS_NET] = "net",       [NS_IPC] = "ipc",
						     [NS_UTS] = "uts",       [NS_USER] = NULL,
						     [NS_CGROUP] = "cgroup", [NS_TIME] = "time_for_children" };
	struct container_exec_args a = { .stdio = { 0, 1, 2 } };
	struct container *c;
	struct spec_process p;
	struct fixture f;
	int pidfd, console, status;
	pid_t holder, pid;

	fixture_init(&f);
	holder = hold_namespaces(f.dir);
	for (int n = 0; n < NS_COUNT; n++) {
		f.spec.ns.wanted[n] = files[n] != NULL;
		f.spec.ns.path[n] = files[n] ? str_fmt("/proc/%d/ns/%s", (int)holder, files[n]) : NULL;
	}
	has_str(refused(&f), "linux.maskedPaths: can't be had in the mount namespace of another");
	strv_free(f.spec.masked_paths);
	strv_free(f.spec.readonly_paths);
	f.spec.masked_paths = f.spec.readonly_paths = NULL;
	free_ptr(&f.spec.rootfs_propagation);
	/* What the holder has mounted is there, and that it is the root is all that is its own. */
	is_str(sh(&f, "hostname; touch /tmp/in-theirs; ls /tmp; ls / | wc -l"), "theirs\nin-theirs\n6\n");
	ARGS(&f, "sleep", "100");
	if (container_create(&f.args, &c, &f.err) < 0 || container_start(c, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	for (int n = 0; n < NS_COUNT; n++) {
		char path[64], theirs[64] = "", own[64] = "";

		if (!files[n])
			continue;
		ok(readlink(f.spec.ns.path[n], theirs, sizeof(theirs) - 1) > 0);
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)container_pid(c), ns_table[n].proc);
		ok(readlink(path, own, sizeof(own) - 1) > 0);
		is_str(own, theirs);
	}
	spec_process_init(&p);
	for (const char *const *w = (const char *const[]){ "test", "-e", "/tmp/in-theirs", "-a", "!", "-e", "/usr", NULL }; *w;
	     w++)
		ok(strv_push(&p.args, *w) == 0);
	a.process = &p;
	if (container_exec(c, &a, &pid, &pidfd, &console, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
	spec_process_done(&p);
	container_destroy(c);
	kill(holder, SIGKILL);
	ok(waitpid(holder, NULL, 0) == holder);
	fixture_done(&f);
}

/* config-linux.md §namespaces: what is not listed is inherited. */
TEST(without_a_mount_namespace_the_root_is_entered_and_nothing_is_mounted)
{
	char *before = NULL, *after = NULL;
	struct fixture f;

	fixture_init(&f);
	ok(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &before, NULL) == 0);
	f.spec.ns.wanted[NS_MOUNT] = false;
	has_str(refused(&f), "linux.maskedPaths: can't be had in the mount namespace of another");
	strv_free(f.spec.masked_paths);
	strv_free(f.spec.readonly_paths);
	f.spec.masked_paths = f.spec.readonly_paths = NULL;
	f.spec.root_readonly = true;
	has_str(refused(&f), "root.readonly: can't be had");
	f.spec.root_readonly = false;
	free_ptr(&f.spec.rootfs_propagation);
	is_str(sh(&f, "cd /; ls -d /.. /usr 2>/dev/null; ls /proc /dev | wc -l; pwd"), "/..\n4\n/\n");
	ok(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &after, NULL) == 0);
	is_str(after, before);
	free(before);
	free(after);
	fixture_done(&f);
}

TEST(a_time_namespace_is_its_own)
{
	struct fixture f;
	char link[64] = "", want[80];

	fixture_init(&f);
	if (readlink("/proc/self/ns/time", link, sizeof(link) - 1) < 0)
		skip("this kernel has no time namespaces");
	f.spec.ns.wanted[NS_TIME] = true;
	snprintf(want, sizeof(want), "%s\n", link);
	if (streq(sh(&f, "readlink /proc/self/ns/time"), want))
		TAP_FAIL("it is the host's: %s", f.out);
	fixture_done(&f);
}

/* As in a guest whose root is the initramfs: pivot_root answers EINVAL there. */
TEST(clocks_of_a_time_namespace_are_ahead_also_with_a_user_namespace_and_in_exec)
{
	struct fixture f;
	struct timespec now;
	long days;

	fixture_init(&f);
	f.spec.ns.wanted[NS_TIME] = true;
	f.spec.time_offsets[SPEC_BOOTTIME] = (struct spec_time_offset){ .secs = 864000000 };
	f.spec.time_offsets[SPEC_MONOTONIC] = (struct spec_time_offset){ .secs = -1, .nanosecs = 500000000 };
	for (int i = 0; i < 2; i++) {
		ok(clock_gettime(CLOCK_BOOTTIME, &now) == 0);
		days = strtol(sh(&f, "cat /proc/uptime"), NULL, 10) / 86400;
		is_int(days - now.tv_sec / 86400, 10000);
		has_str(sh(&f, "cat /proc/self/timens_offsets"), "-1 500000000");
		use_userns(&f);
	}
	forget_userns(&f);
	f.spec.ns.wanted[NS_USER] = false;
	f.spec.time_offsets[SPEC_MONOTONIC].secs = -INT64_C(1000000000000);
	has_str(refused(&f), "time offset \"monotonic -1000000000000 500000000\": the clock would be below zero");
	fixture_done(&f);
}

TEST(where_pivot_root_can_not_work_the_root_is_entered_all_the_same)
{
	struct fixture f;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pivot_root, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(code), .filter = code };
	struct launch_file file = { .path = (char[]){ "/etc/hosts" }, .content = (char[]){ "x\n" }, .mode = 0644 };
	struct container *c;
	struct spec_process p;
	struct container_exec_args a = { .process = &p, .stdio = { 0, 1, 2 } };
	int pidfd, console, status;
	pid_t pid;

	fixture_init(&f);
	ok(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
	f.args.files = &file;
	f.args.n_files = 1;
	is_str(sh(&f, "ls -A / /etc/.. /.. | grep -cx etc; cat /etc/hosts; cd /etc/../../..; pwd; ls -A | wc -l"),
	       "3\nx\n/\n6\n");
	/* Exec, too, lands in the container's root. */
	ARGS(&f, "sleep", "100");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	spec_process_init(&p);
	for (const char *const *w = (const char *const[]){ "sh", "-c", "test $(ls -A / | wc -l) = 6 -a ! -e /usr", NULL }; *w;
	     w++)
		ok(strv_push(&p.args, *w) == 0);
	is_int(container_exec(c, &a, &pid, &pidfd, &console, &f.err), 0);
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
	spec_process_done(&p);
	container_destroy(c);
	fixture_done(&f);
}

/* ---- cgroups ---- */

static bool with_cgroup(struct fixture *f, const char *id)
{
	f->args.no_cgroup = false;
	f->args.id = id;
	f->spec.cgroups_path = str_fmt("/berth-test-%d/%s", (int)getpid(), id);
	return f->host.cgroup != CGROUP_NONE;
}

/* Directories of that name anywhere below the hierarchies. */
static int count_cgroups(const struct fixture *f)
{
	char path[512];
	int n = 0;

	for (int c = 0; c <= CG_CTRL_COUNT; c++) {
		const char *mount = c < CG_CTRL_COUNT ? f->host.cgroup_v1[c] : f->host.cgroup_v2;

		snprintf(path, sizeof(path), "%s%s", mount ? mount : "/nowhere", f->spec.cgroups_path);
		n += access(path, F_OK) == 0;
	}
	return n;
}

static void remove_parents(const struct fixture *f)
{
	char path[512];

	for (int c = 0; c <= CG_CTRL_COUNT; c++) {
		const char *mount = c < CG_CTRL_COUNT ? f->host.cgroup_v1[c] : f->host.cgroup_v2;

		snprintf(path, sizeof(path), "%s/berth-test-%d", mount ? mount : "/nowhere", (int)getpid());
		rmdir(path);
	}
}

TEST(it_lives_in_its_cgroups_and_sees_nothing_else_of_them)
{
	struct fixture f;

	fixture_init(&f);
	if (!with_cgroup(&f, "own"))
		skip("no cgroups here");
	f.spec.resources.memory_limit = 64 << 20;
	f.spec.resources.pids_limit = 50;
	sh(&f, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true");
	is_str(f.out, "67108864\n");
	/* The host's tree would have this test's own directory in it. */
	is_str(sh(&f, "ls -d /sys/fs/cgroup/*/berth-test-* /sys/fs/cgroup/berth-test-* 2>/dev/null | wc -l"), "0\n");
	sh(&f, "mkdir /sys/fs/cgroup/memory/x 2>/dev/null || mkdir /sys/fs/cgroup/x 2>/dev/null || echo refused");
	is_str(f.out, "refused\n");
	is_int(count_cgroups(&f), 0);
	remove_parents(&f);
	fixture_done(&f);
}

TEST(an_out_of_memory_kill_is_reported_as_one)
{
	struct fixture f;
	struct container *c;
	int status;
	bool oom = false;

	fixture_init(&f);
	if (!with_cgroup(&f, "oom"))
		skip("no cgroups here");
	f.spec.resources.memory_limit = 16 << 20;
	/* tail keeps all of an endless line. */
	ARGS(&f, "sh", "-c", "x=xxxxxxxxxxxxxxxx; while true; do x=$x$x; done");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	is_int(container_reap(c, &status, &oom, &f.err), 0);
	is_int(status_to_exit(status), 137);
	ok(oom);
	container_destroy(c);
	is_int(count_cgroups(&f), 0);
	remove_parents(&f);
	fixture_done(&f);
}

TEST(a_failure_in_any_step_leaves_no_cgroup)
{
	struct fixture f;
	int status;

	fixture_init(&f);
	if (!with_cgroup(&f, "fail"))
		skip("no cgroups here");
	add_mount(&f, "tmpfs", "tmpfs", "/x", "size=lots");
	ok(fixture_run(&f, &status) < 0);
	is_int(count_cgroups(&f), 0);
	drop_mount(&f, "/x");
	ARGS(&f, "no-such-program");
	ok(fixture_run(&f, &status) < 0);
	is_int(f.err.exit, 127);
	is_int(count_cgroups(&f), 0);
	remove_parents(&f);
	fixture_done(&f);
}

TEST(exec_is_in_the_containers_cgroups)
{
	struct fixture f;
	struct container *c;
	struct spec_process p;
	struct container_exec_args a = { .process = &p, .stdio = { 0, 1, 2 } };
	int pidfd, console, status;
	pid_t pid;

	fixture_init(&f);
	if (!with_cgroup(&f, "exec"))
		skip("no cgroups here");
	f.spec.resources.pids_limit = 50;
	ARGS(&f, "sleep", "100");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	spec_process_init(&p);
	for (const char *const *w =
		     (const char *const[]){
			     "sh", "-c", "grep -q 'pids:/$\\|^0::/$' /proc/self/cgroup && ! grep -q berth-test /proc/self/cgroup",
			     NULL };
	     *w; w++)
		ok(strv_push(&p.args, *w) == 0);
	if (container_exec(c, &a, &pid, &pidfd, &console, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
	spec_process_done(&p);
	container_destroy(c);
	is_int(count_cgroups(&f), 0);
	remove_parents(&f);
	fixture_done(&f);
}

TAP_MAIN()
