/* The run directory of a pod: who holds what its containers share, from the first that starts to the last that leaves. */
#include "pod_run.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state.h"
#include "tap.h"

#define POD    "0123456789ab"
#define FIRST  "aaaa"
#define SECOND "bbbb"

struct fixture {
	char run[64];
	struct paths paths;
	struct host host;
	char *cgroup; /* the pod's, which there is not */
	struct err e;
};

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	strcpy(f->run, "/tmp/berth-pod-XXXXXX");
	ok(mkdtemp(f->run) != NULL);
	f->paths = (struct paths){ .run = f->run };
	is_int(host_probe_cgroup(&f->host, &f->e), 0);
	f->cgroup = str_fmt("/berth/pod-test-%d", (int)getpid());
}

static void teardown(struct fixture *f)
{
	is_int(rm_rf(AT_FDCWD, f->run), 0);
	host_done(&f->host);
	free(f->cgroup);
}

static int opened(struct fixture *f)
{
	int fd;

	if (pod_run_open(&f->paths, POD, true, &fd, &f->e) < 0)
		TAP_FAIL("%s", f->e.msg);
	return fd;
}

static bool is_there(struct fixture *f, const char *name)
{
	_cleanup_free_ char *path = str_fmt("%s/pods/%s%s", f->run, POD, name);

	return access(path, F_OK) == 0;
}

/* What this process could hold: its own network and host name. */
static struct shared_ns held(void)
{
	struct shared_ns ns = SHARED_NS_NONE;

	ns.fd[NS_NET] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	ns.fd[NS_UTS] = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	ok(ns.fd[NS_NET] >= 0 && ns.fd[NS_UTS] >= 0);
	return ns;
}

static void add(struct fixture *f, int dirfd, const char *id, const struct shared_ns *ns)
{
	if (pod_run_add(dirfd, id, ns, NULL, &f->e) < 0)
		TAP_FAIL("%s", f->e.msg);
}

static struct pod_place place_of(const struct fixture *f)
{
	return (struct pod_place){ .paths = &f->paths, .pod_id = POD, .host = &f->host, .cgroup = f->cgroup };
}

static void drop(struct fixture *f, const char *id)
{
	const struct pod_place place = place_of(f);
	_cleanup_fd_ int fd = opened(f);

	if (pod_run_drop(&place, fd, id, &f->e) < 0)
		TAP_FAIL("%s", f->e.msg);
}

static bool are_the_same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ok(d != NULL);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

TEST(the_first_finds_nobody_and_the_next_what_the_first_holds)
{
	struct shared_ns ns = held(), found;
	struct fixture f;
	int fd;

	setup(&f);
	fd = opened(&f);
	is_int(pod_run_find(fd, &found, NULL, &f.e), 0);
	add(&f, fd, FIRST, &ns);
	is_int(pod_run_find(fd, &found, NULL, &f.e), 1);
	ok(are_the_same(found.fd[NS_NET], ns.fd[NS_NET]) && are_the_same(found.fd[NS_UTS], ns.fd[NS_UTS]));
	is_int(found.fd[NS_IPC], -1);
	is_int(found.fd[NS_MOUNT], -1);
	is_int(fcntl(found.fd[NS_NET], F_GETFD), FD_CLOEXEC);
	shared_ns_close(&found);
	shared_ns_close(&ns);
	close(fd);
	teardown(&f);
}

TEST(the_directory_is_there_while_one_runs_and_goes_with_the_last)
{
	struct shared_ns ns = held();
	struct fixture f;
	int fd;

	setup(&f);
	is_int(pod_run_open(&f.paths, POD, false, &fd, &f.e), -ENOENT);
	is_str(f.e.msg, "");
	fd = opened(&f);
	add(&f, fd, FIRST, &ns);
	add(&f, fd, SECOND, &ns);
	close(fd);
	drop(&f, FIRST);
	ok(!is_there(&f, "/" FIRST) && is_there(&f, "/" SECOND));
	drop(&f, SECOND);
	ok(!is_there(&f, ""));
	is_int(pod_run_open(&f.paths, POD, false, &fd, &f.e), -ENOENT);
	shared_ns_close(&ns);
	teardown(&f);
}

/* As a monitor that was killed. */
static void add_and_die(struct fixture *f, const char *id)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct shared_ns ns = held();
		int fd = opened(f);
		add(f, fd, id, &ns);
		raise(SIGKILL);
	}
	ok(waitpid(pid, &status, 0) == pid);
	is_int(WTERMSIG(status), SIGKILL);
}

TEST(one_that_is_dead_holds_nothing_and_its_file_is_removed)
{
	struct shared_ns found;
	struct fixture f;
	int fd;

	setup(&f);
	add_and_die(&f, FIRST);
	ok(is_there(&f, "/" FIRST)); /* and its lock is gone with it */
	fd = opened(&f);
	is_int(pod_run_find(fd, &found, NULL, &f.e), 0);
	ok(!is_there(&f, "/" FIRST));
	close(fd);
	add_and_die(&f, FIRST);
	drop(&f, NULL);
	ok(!is_there(&f, ""));
	teardown(&f);
}

static void write_file(struct fixture *f, int dirfd, const char *name, const char *text)
{
	is_int(file_replace(dirfd, name, text, strlen(text), 0600, false), 0);
	ok(is_there(f, tap_keep(str_fmt("/%s", name))));
}

/* A process of this number in another boot, or one that began at another time, is not the one that wrote it. */
TEST(another_process_of_the_same_number_is_not_asked)
{
	struct shared_ns found;
	struct fixture f;
	uint64_t start;
	char boot[40], *text;
	int fd;

	setup(&f);
	is_int(state_boot_id(boot), 0);
	is_int(pid_start_time(getpid(), &start), 0);
	fd = opened(&f);
	for (int kind = 0; kind < 2; kind++) {
		text = str_fmt(
			"{\"pid\":%d,\"start_time\":%llu,\"boot_id\":\"%s\",\"net\":0,\"ipc\":-1,\"uts\":-1,\"memory\":-1}",
			(int)getpid(), (unsigned long long)start + (kind == 0), kind == 1 ? "another" : boot);
		write_file(&f, fd, FIRST, text);
		is_int(pod_run_find(fd, &found, NULL, &f.e), 0);
		ok(!is_there(&f, "/" FIRST));
		free(text);
	}
	close(fd);
	teardown(&f);
}

TEST(a_file_that_was_being_written_is_nobodys)
{
	struct shared_ns found;
	struct fixture f;
	int fd;

	setup(&f);
	fd = opened(&f);
	write_file(&f, fd, ".half", "{\"pid\":");
	is_int(pod_run_find(fd, &found, NULL, &f.e), 0);
	ok(!is_there(&f, "/.half"));
	close(fd);
	teardown(&f);
}

TEST(a_damaged_file_is_an_error_and_stays)
{
	static const char *const damaged[] = { "", "{", "[]", "{\"pid\":1}", "{\"pid\":\"one\"}" };
	struct shared_ns found = { .fd = { 99 } };
	struct fixture f;
	int fd;

	setup(&f);
	fd = opened(&f);
	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		f.e = (struct err){ 0 };
		write_file(&f, fd, FIRST, damaged[i]);
		ok(pod_run_find(fd, &found, NULL, &f.e) < 0);
		has_str(f.e.msg, "run state of a pod's container");
		ok(is_there(&f, "/" FIRST));
		is_int(found.fd[0], 99);
	}
	close(fd);
	teardown(&f);
}

/* Else a descriptor of whatever that process has open could be entered for a namespace. */
TEST(a_number_that_is_no_namespaces_is_refused)
{
	struct shared_ns ns = held(), found;
	struct fixture f;
	int fd, before;

	setup(&f);
	fd = opened(&f);
	ns.fd[NS_IPC] = fd;
	add(&f, fd, FIRST, &ns);
	before = count_fds();
	is_int(pod_run_find(fd, &found, NULL, &f.e), -EINVAL);
	has_str(f.e.msg, "namespace of the pod");
	is_int(count_fds(), before);
	ns.fd[NS_IPC] = 9999;
	add(&f, fd, FIRST, &ns);
	is_int(pod_run_find(fd, &found, NULL, &f.e), -ENOENT);
	has_str(f.e.msg, "/fd/9999");
	is_int(count_fds(), before);
	ns.fd[NS_IPC] = -1;
	shared_ns_close(&ns);
	close(fd);
	teardown(&f);
}

enum { AT_ONCE = 12 };

/* Takes part as a monitor does: 'm' on `said` where it was the one who made what is shared, else 'f'; leaves when `go` ends. */
static _noreturn_ void member(struct fixture *f, int number, int said, int go)
{
	char id[16], byte;
	struct shared_ns ns;
	int fd = opened(f), r = pod_run_find(fd, &ns, NULL, &f->e);

	if (r == 0)
		ns = held();
	if (r < 0)
		TAP_FAIL("%s", f->e.msg);
	snprintf(id, sizeof(id), "m%d", number);
	add(f, fd, id, &ns);
	close(fd);
	ok(write(said, r == 0 ? "m" : "f", 1) == 1);
	ok(read(go, &byte, 1) == 0);
	drop(f, id);
	_exit(0);
}

TEST(of_those_that_start_at_once_one_makes_it_and_the_last_to_leave_removes_it)
{
	char word[AT_ONCE];
	int said[2], go[2], status, makers = 0;
	struct fixture f;

	setup(&f);
	ok(pipe(said) == 0 && pipe(go) == 0);
	for (int i = 0; i < AT_ONCE; i++)
		if (fork() == 0) {
			close(go[1]);
			member(&f, i, said[1], go[0]);
		}
	for (size_t n = 0; n < sizeof(word);) {
		ssize_t k = read(said[0], word + n, sizeof(word) - n);
		ok(k > 0);
		n += (size_t)k;
	}
	for (int i = 0; i < AT_ONCE; i++)
		makers += word[i] == 'm';
	is_int(makers, 1);
	close(go[1]);
	for (int i = 0; i < AT_ONCE; i++) {
		ok(wait(&status) > 0);
		is_int(status, 0);
	}
	ok(!is_there(&f, ""));
	teardown(&f);
}

/* Who waited for the lock of a directory that the last one has removed meanwhile gets a new one. */
TEST(a_directory_that_went_while_its_lock_was_waited_for_is_made_again)
{
	struct shared_ns ns = held();
	struct fixture f;
	int fd, status;
	pid_t pid;

	setup(&f);
	fd = opened(&f);
	add(&f, fd, FIRST, &ns);
	pid = fork();
	if (pid == 0) {
		close(fd); /* a copy would keep the lock */
		int mine = opened(&f);
		add(&f, mine, SECOND, &ns);
		_exit(is_there(&f, "/" SECOND) ? 0 : 1);
	}
	usleep(50000); /* until it waits; where it does not yet, the test is the easier one */
	const struct pod_place place = place_of(&f);
	is_int(pod_run_drop(&place, fd, FIRST, &f.e), 0);
	close(fd);
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
	shared_ns_close(&ns);
	teardown(&f);
}

TEST(sweeping_removes_what_killed_monitors_have_left_and_lets_others_be)
{
	struct shared_ns ns = held();
	struct fixture f;
	int fd;

	setup(&f);
	add_and_die(&f, FIRST);
	is_int(pod_sweep_all(&f.paths, NULL, &f.e), 0);
	ok(!is_there(&f, ""));
	add_and_die(&f, FIRST);
	fd = opened(&f);
	add(&f, fd, SECOND, &ns);
	close(fd);
	is_int(pod_sweep_all(&f.paths, NULL, &f.e), 0);
	ok(!is_there(&f, "/" FIRST) && is_there(&f, "/" SECOND));
	drop(&f, SECOND);
	ok(!is_there(&f, ""));
	shared_ns_close(&ns);
	teardown(&f);
}

/* What reserves a published port is held by each of them. */
TEST(the_next_holds_the_sockets_too)
{
	struct shared_ns ns = held(), found;
	int socks[] = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) };
	const struct net_hold hold = { .sockets = socks, .n_sockets = 2 };
	struct net_hold taken = { 0 };
	struct fixture f;
	int fd, before;

	setup(&f);
	fd = opened(&f);
	is_int(pod_run_add(fd, FIRST, &ns, &hold, &f.e), 0);
	before = count_fds();
	is_int(pod_run_find(fd, &found, &taken, &f.e), 1);
	is_int((int)taken.n_sockets, 2);
	for (size_t i = 0; i < taken.n_sockets; i++) {
		ok(taken.sockets[i] != socks[i] && are_the_same(taken.sockets[i], socks[i]));
		is_int(fcntl(taken.sockets[i], F_GETFD), FD_CLOEXEC);
	}
	net_hold_done(&taken);
	shared_ns_close(&found);
	is_int(count_fds(), before);
	close(socks[1]); /* a lie of the file's */
	socks[1] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	is_int(pod_run_find(fd, &found, &taken, &f.e), -EINVAL);
	has_str(f.e.msg, "published ports of the pod");
	close(socks[0]);
	close(socks[1]);
	is_int(count_fds(), before - 2);
	shared_ns_close(&ns);
	close(fd);
	teardown(&f);
}

struct told {
	int n, result;
};

static int tell(const char *pod_id, void *arg, struct err *e)
{
	struct told *t = arg;

	is_str(pod_id, POD);
	t->n++;
	return t->result < 0 ? err_set(e, -t->result, "no") : 0;
}

TEST(only_the_last_one_is_told_so_and_where_that_fails_the_next_look_tells_again)
{
	struct shared_ns ns = held();
	struct fixture f;
	struct told once = { .result = -EIO }, again = { 0 };
	const struct pod_last fails = { tell, &once }, last = { tell, &again };
	struct pod_place place;
	int fd;

	setup(&f);
	place = place_of(&f);
	place.last = &fails;
	fd = opened(&f);
	add(&f, fd, FIRST, &ns);
	add(&f, fd, SECOND, &ns);
	is_int(pod_run_drop(&place, fd, FIRST, &f.e), 0);
	is_int(once.n, 0);
	is_int(pod_run_drop(&place, fd, SECOND, &f.e), -EIO);
	is_int(once.n, 1);
	ok(is_there(&f, ""));
	close(fd);
	is_int(pod_sweep_all(&f.paths, &last, &f.e), 0);
	is_int(again.n, 1);
	ok(!is_there(&f, ""));
	shared_ns_close(&ns);
	teardown(&f);
}

TEST(where_no_pod_has_run_there_is_nothing_to_sweep)
{
	struct fixture f;

	setup(&f);
	is_int(pod_sweep_all(&f.paths, NULL, &f.e), 0);
	ok(!pod_is_frozen(&f.paths, POD));
	is_int(pod_freeze(&f.paths, POD, true, &f.e), -ENOENT);
	teardown(&f);
}

TAP_MAIN()
