/* Cgroups on the host at hand: v1, hybrid or v2, as the kernel that runs the test has them. What a layout does not offer is
 * skipped with the reason. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>

#include "cgroup_impl.h"
#include "tap.h"

struct fixture {
	struct host h;
	char path[64];
	struct spec_resources r;
	struct spec spec;
	struct cgroup *cg;
	struct err e;
};

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	if (geteuid() != 0)
		skip("making cgroups needs root");
	if (host_probe_cgroup(&f->h, &f->e) < 0)
		TAP_FAIL("%s", f->e.msg);
	if (f->h.cgroup == CGROUP_NONE)
		skip("no cgroup hierarchy is mounted");
	if (access(f->h.cgroup == CGROUP_V2    ? f->h.cgroup_v2
		   : f->h.cgroup_v1[CG_MEMORY] ? f->h.cgroup_v1[CG_MEMORY]
					       : "/none",
		   W_OK) < 0)
		skip("the cgroup hierarchy is not writable");
	snprintf(f->path, sizeof f->path, "/berth/test-%d", (int)getpid());
	spec_init(&f->spec);
	f->r = f->spec.resources;
}

static void create(struct fixture *f)
{
	if (cgroup_create(&f->h, f->path, &f->r, &f->cg, &f->e) < 0)
		TAP_FAIL("%s", f->e.msg);
}

static void teardown(struct fixture *f)
{
	for (size_t i = 0; f->cg && i < f->cg->n_places; i++)
		ok(strstr(f->cg->places[i].dir, f->path));
	if (f->cg && cgroup_remove(f->cg, &f->e) < 0)
		TAP_FAIL("%s", f->e.msg);
	is_int(cgroup_open(&f->h, f->path, &f->cg, &f->e), -ENOENT);
	spec_done(&f->spec);
	host_done(&f->h);
}

static const char *value(struct fixture *f, enum cgroup_ctrl c, const char *v1, const char *v2)
{
	static char text[4096];
	const struct cgroup_place *p = cgroup_place_of(f->cg, c);

	if (!p || cgroup_read(p, p->is_v2 ? v2 : v1, text, sizeof text) < 0)
		return "(unreadable)";
	return text;
}

/* A child that has joined and then does fn. */
static pid_t child(struct fixture *f, void (*fn)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (cgroup_attach_self(f->cg, &f->e) < 0) {
			printf("# %s\n", f->e.msg);
			_exit(99);
		}
		fn();
		_exit(0);
	}
	ok(pid > 0);
	return pid;
}

static void sleep_long(void)
{
	for (;;)
		pause();
}

static void wait_joined(struct fixture *f, size_t want)
{
	for (int i = 0; i < 500; i++) {
		pid_t *pids;
		size_t n;
		is_int(cgroup_pids(f->cg, &pids, &n), 0);
		free(pids);
		if (n == want)
			return;
		usleep(10000);
	}
	TAP_FAIL("%zu processes did not come to be in the cgroup", want);
}

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

TEST(limits_are_what_the_kernel_reads_back)
{
	struct fixture f;

	setup(&f);
	f.r.memory_limit = 64 << 20;
	f.r.memory_swap = f.h.has_swap_accounting ? 96 << 20 : SPEC_UNSET;
	f.r.cpu_quota = 25000;
	f.r.cpu_period = 50000;
	f.r.cpu_shares = 512;
	f.r.pids_limit = 33;
	create(&f);
	is_str(value(&f, CG_MEMORY, "memory.limit_in_bytes", "memory.max"), "67108864");
	if (f.h.has_swap_accounting) {
		bool v2 = cgroup_place_of(f.cg, CG_MEMORY)->is_v2;
		is_str(value(&f, CG_MEMORY, "memory.memsw.limit_in_bytes", "memory.swap.max"), v2 ? "33554432" : "100663296");
	}
	is_str(value(&f, CG_CPU, "cpu.cfs_quota_us", "cpu.max"), cgroup_place_of(f.cg, CG_CPU)->is_v2 ? "25000 50000" : "25000");
	is_str(value(&f, CG_CPU, "cpu.shares", "cpu.weight"), cgroup_place_of(f.cg, CG_CPU)->is_v2 ? "59" : "512");
	is_str(value(&f, CG_PIDS, "pids.max", "pids.max"), "33");
	teardown(&f);
}

TEST(update_raises_and_lowers_memory_and_swap_in_either_order)
{
	static const int64_t mib[][2] = { { 64, 64 }, { 256, 512 }, { 512, 1024 }, { 32, 48 }, { 128, 128 }, { -1, -1 } };
	struct fixture f;

	setup(&f);
	if (!f.h.has_swap_accounting)
		skip("this kernel has no swap accounting");
	create(&f);
	for (size_t i = 0; i < ARRAY_SIZE(mib); i++) {
		f.r.memory_limit = mib[i][0] < 0 ? -1 : mib[i][0] << 20;
		f.r.memory_swap = mib[i][1] < 0 ? -1 : mib[i][1] << 20;
		if (cgroup_update(f.cg, &f.r, &f.e) < 0)
			TAP_FAIL("%s", f.e.msg);
		if (mib[i][0] > 0)
			is_int(strtoll(value(&f, CG_MEMORY, "memory.limit_in_bytes", "memory.max"), NULL, 10), f.r.memory_limit);
	}
	teardown(&f);
}

TEST(quota_and_period_can_change_together)
{
	static const int64_t us[][2] = { { 1000000, 1000000 }, { 2000, 4000 }, { 500000, 1000000 }, { -1, 100000 } };
	struct fixture f;

	setup(&f);
	create(&f);
	for (size_t i = 0; i < ARRAY_SIZE(us); i++) {
		f.r.cpu_quota = us[i][0];
		f.r.cpu_period = us[i][1];
		if (cgroup_update(f.cg, &f.r, &f.e) < 0)
			TAP_FAIL("%s", f.e.msg);
	}
	teardown(&f);
}

TEST(quota_and_burst_can_change_together)
{
	static const int64_t us[][2] = { { 100000, 80000 }, { 20000, 10000 }, { 200000, 150000 }, { 50000, 0 } };
	struct fixture f;

	setup(&f);
	create(&f);
	if (access(tap_keep(str_fmt("%s/%s", cgroup_place_of(f.cg, CG_CPU)->dir,
				    cgroup_place_of(f.cg, CG_CPU)->is_v2 ? "cpu.max.burst" : "cpu.cfs_burst_us")),
		   F_OK) < 0) {
		teardown(&f);
		skip("this kernel has no CPU bursts (Linux 5.14)");
	}
	for (size_t i = 0; i < ARRAY_SIZE(us); i++) {
		f.r.cpu_quota = us[i][0];
		f.r.cpu_burst = us[i][1];
		if (cgroup_update(f.cg, &f.r, &f.e) < 0)
			TAP_FAIL("%s", f.e.msg);
		is_int(strtoll(value(&f, CG_CPU, "cpu.cfs_burst_us", "cpu.max.burst"), NULL, 10), us[i][1]);
	}
	teardown(&f);
}

TEST(idleness_and_weight_can_change_together)
{
	static const struct {
		int64_t idle, shares;
		const char *now;
	} rows[] = { { 1, 512, "1" }, { 0, 2048, "0" }, { SPEC_UNSET, 700, "0" } };
	struct fixture f;

	setup(&f);
	create(&f);
	if (streq(value(&f, CG_CPU, "cpu.idle", "cpu.idle"), "(unreadable)")) {
		teardown(&f);
		skip("this kernel has no cpu.idle (Linux 5.15)");
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		f.r.cpu_idle = rows[i].idle;
		f.r.cpu_shares = rows[i].shares;
		if (cgroup_update(f.cg, &f.r, &f.e) < 0)
			TAP_FAIL("%s", f.e.msg);
		is_str(value(&f, CG_CPU, "cpu.idle", "cpu.idle"), rows[i].now);
	}
	teardown(&f);
}

TEST(an_update_makes_the_cgroups_that_a_new_limit_needs)
{
	struct fixture f;
	struct cgroup *again;
	cpu_set_t set;
	pid_t pid;

	setup(&f);
	create(&f);
	pid = child(&f, sleep_long);
	wait_joined(&f, 1);
	is_int(cgroup_open(&f.h, f.path, &again, &f.e), 0);
	f.r.cpuset_cpus = strdup("0");
	if (cgroup_grow(&f.h, again, &f.r, &f.e) < 0 || cgroup_update(again, &f.r, &f.e) < 0)
		TAP_FAIL("%s", f.e.msg);
	is_int(sched_getaffinity(pid, sizeof set, &set), 0);
	is_int(CPU_COUNT(&set), 1);
	if (cgroup_grow(&f.h, again, &f.r, &f.e) < 0) /* there already */
		TAP_FAIL("%s", f.e.msg);
	is_int(cgroup_kill(again, &f.e), 0);
	waitpid(pid, NULL, 0);
	cgroup_free(f.cg);
	f.cg = again;
	free(f.r.cpuset_cpus);
	teardown(&f);
}

/* By who has made it, and whose removal takes the new ones away too: teardown looks. */
TEST(an_update_makes_them_for_the_one_who_made_the_cgroup)
{
	struct fixture f;
	cpu_set_t set;
	pid_t pid;

	setup(&f);
	create(&f);
	pid = child(&f, sleep_long);
	wait_joined(&f, 1);
	f.r.cpuset_cpus = strdup("0");
	if (cgroup_grow(&f.h, f.cg, &f.r, &f.e) < 0 || cgroup_update(f.cg, &f.r, &f.e) < 0)
		TAP_FAIL("%s", f.e.msg);
	is_int(sched_getaffinity(pid, sizeof set, &set), 0);
	is_int(CPU_COUNT(&set), 1);
	is_int(cgroup_kill(f.cg, &f.e), 0);
	waitpid(pid, NULL, 0);
	free(f.r.cpuset_cpus);
	teardown(&f);
}

TEST(kernel_memory_is_limited_or_refused)
{
	struct fixture f;
	int r;

	setup(&f);
	f.r.memory_kernel = 64 << 20;
	r = cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e);
	if (r == 0)
		is_str(value(&f, CG_MEMORY, "memory.kmem.limit_in_bytes", ""), "67108864");
	else
		has_str(f.e.msg, "memory.kernel: ");
	teardown(&f);
	setup(&f);
	f.r.memory_kernel = -1;
	create(&f);
	teardown(&f);
}

TEST(impossible_limits_name_their_flag_and_leave_nothing)
{
	struct fixture f;

	setup(&f);
	f.r.memory_limit = 64 << 20;
	f.r.memory_swap = 32 << 20;
	is_int(cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e), -EINVAL);
	has_str(f.e.msg, "--memory-swap");
	f.r.memory_limit = f.r.memory_swap = SPEC_UNSET;
	f.r.cpu_shares = 1;
	is_int(cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e), -EINVAL);
	has_str(f.e.msg, "--cpu-shares (cpu.shares): 1 ");
	f.r.cpu_shares = SPEC_UNSET;
	f.r.cpu_quota = 1;
	ok(cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e) < 0);
	has_str(f.e.msg, "--cpu");
	f.r.cpu_quota = SPEC_UNSET;
	f.r.cpuset_cpus = strdup("99999");
	ok(cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e) < 0);
	has_str(f.e.msg, "--cpuset-cpus");
	free(f.r.cpuset_cpus);
	f.r.cpuset_cpus = NULL;
	teardown(&f);
}

TEST(a_limit_whose_file_is_missing_names_flag_and_file)
{
	struct spec_hugepage three = { (char[]){ "3MB" }, 1 << 30 }; /* a size that no CPU has */
	struct fixture f;

	setup(&f);
	f.r.hugepages = &three;
	f.r.n_hugepages = 1;
	ok(cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e) < 0);
	has_str(f.e.msg, "hugepageLimits: ");
	has_str(f.e.msg, strstr(f.e.msg, "no hugetlb") ? "controller" : "hugetlb.3MB.");
	f.r.n_hugepages = 0;
	f.r.memory_kernel = 64 << 20; /* Linux 5.16 took it out of v1, v2 never had it */
	if (cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e) < 0)
		has_str(f.e.msg, "memory.kernel: ");
	f.r.memory_kernel = SPEC_UNSET;
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
	for (int i = 0; i < 100; i++) {
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

static bool ticks_move(void)
{
	unsigned before = *ticks;

	for (int i = 0; i < 300 && *ticks == before; i++)
		usleep(1000);
	return *ticks != before;
}

TEST(freeze_stops_and_thaw_goes_on)
{
	struct fixture f;
	pid_t pid;

	setup(&f);
	ticks = mmap(NULL, sizeof *ticks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	create(&f);
	pid = child(&f, tick);
	ok(ticks_move());
	is_int(cgroup_freeze(f.cg, true, &f.e), 0);
	ok(!ticks_move());
	is_int(cgroup_freeze(f.cg, false, &f.e), 0);
	ok(ticks_move());
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
