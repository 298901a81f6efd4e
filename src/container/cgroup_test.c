/* A cgroup's life: made, joined, frozen, read, out of memory, killed, removed. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "cgroup_fixture.h"

TEST(a_parent_goes_only_when_the_last_child_has_left_and_comes_back_with_the_next)
{
	struct cgroup *parent;
	struct fixture f;
	char above[48];

	setup(&f);
	snprintf(above, sizeof above, "/berth-parent-%d", (int)getpid());
	snprintf(f.path, sizeof f.path, "%s/child", above);
	for (int round = 0; round < 2; round++) {
		create(&f);
		cgroup_remove_empty(&f.h, above);
		is_int(cgroup_open(&f.h, above, &parent, &f.e), 0);
		cgroup_free(parent);
		is_int(cgroup_remove(TAKE_PTR(f.cg), &f.e), 0);
		cgroup_remove_empty(&f.h, above);
		is_int(cgroup_open(&f.h, above, &parent, &f.e), -ENOENT);
	}
	teardown(&f);
}

TEST(R15_paths_out_of_the_hierarchy_are_refused)
{
	static const char *const bad[] = { "", "berth/x", "/", "/berth/../x", "/..", "/berth/.", "/berth//x", "/berth/x/" };
	struct fixture f;

	setup(&f);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		is_int(cgroup_create(&f.h, bad[i], &f.r, &f.cg, &f.e), -EINVAL);
		has_str(f.e.msg, bad[i]);
	}
	teardown(&f);
}

TEST(everywhere_is_every_v1_hierarchy_of_the_host)
{
	struct fixture f;

	setup(&f);
	is_int(cgroup_create_everywhere(&f.h, f.path, &f.r, &f.cg, &f.e), 0);
	for (unsigned c = 0; c < CG_CTRL_COUNT; c++)
		if (f.h.cgroup_v1[c] && !cgroup_place_of(f.cg, (enum cgroup_ctrl)c))
			TAP_FAIL("%s: no cgroup", cgroup_ctrl_name((enum cgroup_ctrl)c));
	ok(cgroup_place_of(f.cg, CG_MEMORY) != NULL);
	teardown(&f);
}

TEST(cpuset_pins_a_process_that_joined)
{
	struct fixture f;
	pid_t pid;
	cpu_set_t set;

	setup(&f);
	f.r.cpuset_cpus = strdup("0");
	create(&f);
	pid = child(&f, sleep_long);
	wait_joined(&f, 1);
	for (int i = 0; i < 1000; i++) {
		is_int(sched_getaffinity(pid, sizeof set, &set), 0);
		if (CPU_COUNT(&set) == 1)
			break;
		usleep(10000);
	}
	is_int(CPU_COUNT(&set), 1);
	ok(CPU_ISSET(0, &set));
	is_int(cgroup_kill(f.cg, &f.e), 0);
	waitpid(pid, NULL, 0);
	free(f.r.cpuset_cpus);
	f.r.cpuset_cpus = NULL;
	teardown(&f);
}

TEST(attach_moves_another_process_into_every_place)
{
	struct fixture f;
	pid_t pid = fork();
	int st;

	if (pid == 0)
		sleep_long();
	setup(&f);
	create(&f);
	is_int(cgroup_attach(f.cg, pid, &f.e), 0);
	for (size_t i = 0; i < f.cg->n_places; i++) {
		char text[64], want[16];
		snprintf(want, sizeof want, "%d", (int)pid);
		ok(cgroup_read(&f.cg->places[i], "cgroup.procs", text, sizeof text) > 0);
		is_str(text, want);
	}
	is_int(cgroup_kill(f.cg, &f.e), 0);
	is_int(waitpid(pid, &st, 0), pid);
	ok(WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
	teardown(&f);
}

static void eat_memory(void)
{
	size_t n = 96 << 20;
	volatile char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < n; i += 4096)
		p[i] = 1;
}

TEST(an_oom_kill_is_counted)
{
	struct fixture f;
	struct cgroup_stats s;
	pid_t pid;
	int st;

	setup(&f);
	f.r.memory_limit = 24 << 20;
	f.r.memory_swap = f.h.has_swap_accounting ? 24 << 20 : SPEC_UNSET;
	create(&f);
	pid = child(&f, eat_memory);
	is_int(waitpid(pid, &st, 0), pid);
	ok(WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
	is_int(cgroup_stats(f.cg, &s, &f.e), 0);
	ok(s.oom_kills >= 1);
	is_int(s.mem_limit_bytes, 24 << 20);
	ok(s.mem_peak_bytes == 0 || (s.mem_peak_bytes > 20 << 20 && s.mem_peak_bytes <= 24 << 20));
	ok(s.cpu_ns > 0);
	teardown(&f);
}

TEST(out_of_memory_is_told_once_and_the_end_is_told_too)
{
	struct fixture f;
	struct cgroup_oom *w;
	struct pollfd p = { .events = POLLIN };
	bool is_v2;
	int r = 0;

	setup(&f);
	f.r.memory_limit = 24 << 20;
	f.r.memory_swap = f.h.has_swap_accounting ? 24 << 20 : SPEC_UNSET;
	create(&f);
	if (cgroup_oom_open(f.cg, &w, &f.e) < 0)
		TAP_FAIL("%s", f.e.msg);
	p.fd = cgroup_oom_fd(w);
	is_v2 = cgroup_place_of(f.cg, CG_MEMORY)->is_v2;
	is_int(poll(&p, 1, 0), 0);
	is_int(cgroup_oom_next(w), 0);
	is_int(waitpid(child(&f, eat_memory), NULL, 0) > 0, 1);
	for (unsigned i = 0; i < 100 && r == 0; i++)
		if (poll(&p, 1, 100) > 0)
			r = cgroup_oom_next(w);
	is_int(r, 1);
	while (r >= 0 && poll(&p, 1, 100) > 0) /* v1 may tell of several attempts, v2 of the end already */
		r = cgroup_oom_next(w);
	teardown(&f);
	for (unsigned i = 0; i < 100 && r != -ENODEV && !is_v2; i++)
		if (poll(&p, 1, 100) > 0)
			r = cgroup_oom_next(w);
	ok(r == -ENODEV || (r == 1 && is_v2));
	cgroup_oom_free(w);
}

static void fork_storm(void)
{
	for (;;)
		if (fork() < 0)
			usleep(100);
}

TEST(a_fork_bomb_is_held_by_pids_max_and_killed_whole)
{
	struct fixture f;
	struct cgroup_stats s;
	pid_t pid;

	setup(&f);
	f.r.pids_limit = 40;
	create(&f);
	pid = child(&f, fork_storm);
	wait_joined(&f, 40);
	is_int(cgroup_stats(f.cg, &s, &f.e), 0);
	ok(s.pids <= 40);
	is_int(s.pids_limit, 40);
	if (cgroup_kill(f.cg, &f.e) < 0)
		TAP_FAIL("%s", f.e.msg);
	waitpid(pid, NULL, 0);
	teardown(&f);
}

TEST(remove_kills_a_frozen_cgroup_with_children)
{
	struct fixture f;
	char dir[256];
	pid_t pid;

	setup(&f);
	create(&f);
	for (size_t i = 0; i < f.cg->n_places; i++) {
		snprintf(dir, sizeof dir, "%s/a", f.cg->places[i].dir);
		is_int(mkdir(dir, 0755), 0);
		snprintf(dir, sizeof dir, "%s/a/b", f.cg->places[i].dir);
		is_int(mkdir(dir, 0755), 0);
	}
	pid = child(&f, sleep_long);
	wait_joined(&f, 1);
	if (cgroup_freeze(f.cg, true, &f.e) < 0)
		TAP_FAIL("%s", f.e.msg);
	signal(SIGCHLD, SIG_IGN); /* nobody waits: the kernel reaps */
	(void)pid;
	teardown(&f);
}

/* Where the container makes child cgroups: where its freezer is, or the v2 directory. */
static char *child_cgroup(struct fixture *f, const char *name)
{
	char *dir = tap_keep(str_fmt("%s/%s", cgroup_main_place(f->cg)->dir, name));

	is_int(mkdir(dir, 0755), 0);
	return dir;
}

static void move(const char *dir, pid_t pid)
{
	char who[16];

	snprintf(who, sizeof who, "%d", (int)pid);
	is_int(file_write(AT_FDCWD, tap_keep(str_fmt("%s/cgroup.procs", dir)), who), 0);
}

TEST(processes_in_child_cgroups_are_found_frozen_killed_and_removed)
{
	struct fixture f;
	pid_t pid[3], *found;
	char *dir;
	size_t n;

	setup(&f);
	create(&f);
	child_cgroup(&f, "a");
	dir = child_cgroup(&f, "a/b");
	for (size_t i = 0; i < ARRAY_SIZE(pid); i++)
		pid[i] = child(&f, sleep_long);
	wait_joined(&f, ARRAY_SIZE(pid));
	move(dir, pid[1]);
	move(tap_keep(str_fmt("%s/a", cgroup_main_place(f.cg)->dir)), pid[2]);
	is_int(cgroup_pids(f.cg, &found, &n), 0);
	is_int(n, ARRAY_SIZE(pid));
	for (size_t i = 0; i < n; i++)
		ok(found[i] == pid[0] || found[i] == pid[1] || found[i] == pid[2]);
	free(found);
	if (cgroup_freeze(f.cg, true, &f.e) < 0 || cgroup_kill(f.cg, &f.e) < 0)
		TAP_FAIL("%s", f.e.msg);
	for (size_t i = 0; i < ARRAY_SIZE(pid); i++) {
		int st;
		is_int(waitpid(pid[i], &st, 0), pid[i]);
		ok(WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
	}
	teardown(&f);
}

TEST(a_threaded_child_cgroup_hides_nobody_and_is_removed)
{
	struct fixture f;
	pid_t pid, *found;
	char *dir;
	size_t n;

	setup(&f);
	create(&f);
	if (!cgroup_main_place(f.cg)->is_v2) {
		teardown(&f);
		skip("cgroup v1 has no threaded cgroups");
	}
	dir = child_cgroup(&f, "t");
	is_int(file_write(AT_FDCWD, tap_keep(str_fmt("%s/cgroup.type", dir)), "threaded"), 0);
	pid = child(&f, sleep_long);
	wait_joined(&f, 1);
	is_int(file_write(AT_FDCWD, tap_keep(str_fmt("%s/cgroup.threads", dir)), tap_keep(str_fmt("%d", (int)pid))), 0);
	is_int(cgroup_pids(f.cg, &found, &n), 0);
	is_int(n, 1);
	is_int(found[0], pid);
	free(found);
	is_int(cgroup_kill(f.cg, &f.e), 0);
	is_int(waitpid(pid, NULL, 0), pid);
	teardown(&f);
}

static volatile unsigned *ticks; /* shared with the child */

static void tick(void)
{
	for (;; usleep(1000))
		++*ticks;
}

static bool ticks_move_within(int ms)
{
	unsigned before = *ticks;

	for (int i = 0; i < ms && *ticks == before; i++)
		usleep(1000);
	return *ticks != before;
}

static void has_vm_and_ticks(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (ioctl(kvm, KVM_CREATE_VM, 0) >= 0)
		tick();
}

/* Whose kernel thread can't be frozen. */
TEST(a_cgroup_with_a_vm_in_it_is_frozen_as_any_other)
{
	struct fixture f;
	pid_t pid;

	setup(&f);
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		skip("there is no /dev/kvm");
	ticks = mmap(NULL, sizeof *ticks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	create(&f);
	pid = child(&f, has_vm_and_ticks);
	ok(ticks_move_within(20000));
	if (cgroup_freeze(f.cg, true, &f.e) < 0)
		TAP_FAIL("%s", f.e.msg);
	ok(!ticks_move_within(300));
	is_int(cgroup_freeze(f.cg, false, &f.e), 0);
	ok(ticks_move_within(20000));
	is_int(cgroup_kill(f.cg, &f.e), 0);
	is_int(waitpid(pid, NULL, 0), pid);
	teardown(&f);
}

TEST(kernel_threads_are_told_by_their_stat)
{
	ok(cgroup_stat_is_kthread("76 (kvm-nx-lpage-recovery-75) S 2 0 0 0 -1 2129984 0 0"));
	ok(!cgroup_stat_is_kthread("76 (a) S 2 0 0 0 -1 2129984) S 1 76 76 0 -1 4194560 0 0"));
	ok(!cgroup_stat_is_kthread("76 (sh) S 1 76 76"));
	ok(!cgroup_stat_is_kthread(""));
}

TEST(freeze_stops_and_thaw_goes_on)
{
	struct fixture f;
	pid_t pid;

	setup(&f);
	ticks = mmap(NULL, sizeof *ticks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	create(&f);
	pid = child(&f, tick);
	ok(ticks_move_within(20000));
	is_int(cgroup_freeze(f.cg, true, &f.e), 0);
	ok(!ticks_move_within(300));
	is_int(cgroup_freeze(f.cg, false, &f.e), 0);
	ok(ticks_move_within(20000));
	is_int(cgroup_kill(f.cg, &f.e), 0);
	is_int(waitpid(pid, NULL, 0), pid);
	teardown(&f);
}

static void open_devices(void)
{
	int null = open("/dev/null", O_RDWR), other;
	char name[64];

	snprintf(name, sizeof name, "/tmp/berth-test-node-%d", (int)getpid());
	if (null < 0)
		_exit(1);
	if (mknod(name, S_IFCHR | 0600, makedev(1, 11)) < 0) /* kmsg: making the node is allowed, opening it is not */
		_exit(2);
	other = open(name, O_RDONLY | O_NONBLOCK);
	unlink(name);
	_exit(other < 0 && errno == EPERM ? 0 : 3);
}

TEST(devices_that_no_rule_allows_can_not_be_opened)
{
	struct fixture f;
	int st, fd;

	setup(&f);
	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		skip("/dev/kmsg can't be opened here even without rules");
	close(fd);
	spec_done(&f.spec);
	is_int(spec_default(&f.spec, &f.e), 0);
	f.r = f.spec.resources;
	create(&f);
	is_int(waitpid(child(&f, open_devices), &st, 0) > 0, 1);
	is_int(WEXITSTATUS(st), 0);
	is_int(cgroup_update(f.cg, &f.r, &f.e), 0);
	is_int(waitpid(child(&f, open_devices), &st, 0) > 0, 1);
	is_int(WEXITSTATUS(st), 0);
	teardown(&f);
}

TEST(v2_clone_fd_puts_a_child_straight_into_the_cgroup)
{
	struct fixture f;

	setup(&f);
	create(&f);
	if (f.h.cgroup != CGROUP_V2) {
		is_int(cgroup_clone_fd(f.cg), -1);
		teardown(&f);
		skip("the controllers of this host are on cgroup v1");
	}
	ok(cgroup_clone_fd(f.cg) >= 0);
	teardown(&f);
}

TEST(unified_files_are_written_on_v2_and_refused_on_v1)
{
	struct fixture f;
	int r;

	setup(&f);
	is_int(map_set(&f.r.unified, "memory.high", "50331648"), 0);
	r = cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e);
	if (f.h.cgroup == CGROUP_V2) {
		is_int(r, 0);
		is_str(value(&f, CG_MEMORY, "", "memory.high"), "50331648");
	} else {
		is_int(r, -ENOTSUP);
		has_str(f.e.msg, "memory.high");
	}
	map_done(&f.r.unified);
	teardown(&f);
}

TEST(open_finds_what_create_made_and_stats_have_names)
{
	struct fixture f;
	struct cgroup *again;
	struct cgroup_stats s;
	struct json_object *o, *v;

	setup(&f);
	f.r.pids_limit = 7;
	create(&f);
	is_int(cgroup_open(&f.h, f.path, &again, &f.e), 0);
	is_int(cgroup_stats(again, &s, &f.e), 0);
	is_int(s.pids_limit, 7);
	o = cgroup_stats_json(&s);
	ok(o && json_object_object_get_ex(o, "pids_limit", &v));
	is_int(json_object_get_int64(v), 7);
	json_object_put(o);
	cgroup_free(again);
	teardown(&f);
}

TAP_MAIN()
