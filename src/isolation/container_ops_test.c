/* The ops table over real namespaces and cgroups, driven as the monitor drives it. */
#include "fixture.h"
#include "isolation.h"

/* Several runs of this test may go on at a time. */
static const char *test_id(void)
{
	static char id[64];

	snprintf(id, sizeof(id), "isolation-test-%d", (int)getpid());
	return id;
}

static const char *test_cgroup(void)
{
	static char path[96];

	snprintf(path, sizeof(path), "/berth/%s", test_id());
	return path;
}

static struct fixture fx;
static struct launch launch;
static struct paths paths;
static struct loop *loop;
static struct instance *instance;
static struct task main_task, exec_task;
static struct exit_status ended, exec_ended;
static bool has_ended, has_exec_ended, has_started, has_exec_started, timed_out;

static void on_started(void *arg _unused_, const struct err *e) { has_started = !e; }

static void on_exec_started(struct task *t _unused_, const struct err *e) { has_exec_started = !e; }

static void on_exit_(struct task *t, const struct exit_status *st)
{
	if (t == &main_task) {
		ended = *st;
		has_ended = true;
	} else {
		exec_ended = *st;
		has_exec_ended = true;
	}
	loop_stop(loop, 0);
}

static void on_timeout(struct loop *l, int fd _unused_, uint32_t events _unused_, void *arg _unused_)
{
	timed_out = true;
	loop_stop(l, 0);
}

static void turn_loop(uint64_t ms)
{
	struct loop_src *timer;

	timed_out = false;
	is_int(loop_timer(loop, ms, on_timeout, NULL, &timer), 0);
	is_int(loop_run(loop), 0);
	if (!timed_out)
		loop_del(timer);
}

static void start(const char *script, const char *user)
{
	struct err e = { 0 };

	if (geteuid() != 0)
		skip("needs root");
	fixture_init(&fx);
	set_args(&fx, (const char *const[]){ "sh", "-c", script, NULL });
	fixture_file(&fx, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv/web:/bin/sh\n");
	fixture_file(&fx, "/etc/group", "root:x:0:\nweb:x:33:\nextra:x:44:web\n");
	if (user)
		fx.spec.process.user.username = strdup(user);
	free(fx.spec.root_path);
	fx.spec.root_path = strdup(fx.dir);
	launch = (struct launch){ .id = strdup(test_id()), .isolation = strdup("container"), .open_stdin = true };
	is_int(loop_new(&loop), 0);
	const struct instance_config cfg = { .spec = &fx.spec,
					     .launch = &launch,
					     .host = &fx.host,
					     .paths = &paths,
					     .loop = loop,
					     .rundirfd = -1,
					     .on_started = on_started };
	main_task = (struct task){ .in = -1, .out = -1, .err = -1, .on_exit = on_exit_ };
	is_int(isolation_container.new(&cfg, &instance, &e), 0);
	if (isolation_container.start(instance, &main_task, &e) < 0)
		TAP_FAIL("%s", e.msg);
	ok(has_started && main_task.in >= 0 && main_task.out >= 0 && main_task.err >= 0);
}

static void end(void)
{
	isolation_container.destroy(instance);
	fd_close(main_task.in);
	fd_close(main_task.out);
	fd_close(main_task.err);
	loop_free(loop);
	launch_done(&launch);
	fixture_done(&fx);
}

/* What the task has written until its end. */
static const char *said(struct task *t)
{
	static char text[4096];

	is_int(fd_nonblock(t->out, false), 0);
	ssize_t n = fd_read_full(t->out, text, sizeof(text) - 1);
	ok(n >= 0);
	text[n] = '\0';
	return text;
}

static void exec_in(const char *script, const char *user)
{
	char *args[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)script, NULL };
	char *env[] = { (char *)(uintptr_t) "PATH=/bin", NULL };
	struct spec_process p;
	struct err e = { 0 };

	spec_process_init(&p);
	p.args = args;
	p.env = env;
	p.user.username = (char *)(uintptr_t)user;
	exec_task = (struct task){ .in = -1, .out = -1, .err = -1, .on_exit = on_exit_ };
	if (isolation_container.exec(instance, &p, &exec_task, on_exec_started, &e) < 0)
		TAP_FAIL("%s", e.msg);
	ok(has_exec_started);
}

/* Of the two, the one that is not the container's first. */
static pid_t newest_child(void)
{
	char path[64];
	_cleanup_free_ char *text = NULL;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	is_int(file_read(AT_FDCWD, path, 1000, &text, NULL), 0);
	for (char *p = text; *p; p += strcspn(p, " "), p += *p == ' ')
		if (atoi(p) != isolation_container.pid(instance))
			return atoi(p);
	TAP_FAIL("only the first of \"%s\"", text);
}

TEST(a_user_by_name_gets_groups_and_home_from_the_image)
{
	start("id -u; id -G; echo $HOME; pwd; exit 6", "web");
	turn_loop(20000);
	ok(has_ended);
	is_int(ended.code, 6);
	is_str(said(&main_task), "33\n33 44\n/srv/web\n/\n");
	end();
}

TEST(home_follows_a_numeric_user_too)
{
	start("echo $HOME", NULL);
	turn_loop(20000);
	is_str(said(&main_task), "/root\n");
	end();
}

TEST(exec_has_its_own_user_status_and_streams)
{
	start("read x", NULL);
	exec_in("id -u; echo $HOME; exit 4", "web");
	turn_loop(20000);
	ok(has_exec_ended && !has_ended);
	is_int(exec_ended.code, 4);
	is_str(said(&exec_task), "33\n/srv/web\n");
	is_int(write(main_task.in, "\n", 1), 1);
	turn_loop(20000);
	ok(has_ended);
	is_int(ended.code, 0);
	end();
}

TEST(signals_to_an_ended_process_are_errors_not_somebody_elses)
{
	struct err e = { 0 };

	start("exec sleep 1000", NULL);
	is_int(isolation_container.signal(instance, &main_task, SIGKILL, &e), 0);
	turn_loop(20000);
	ok(has_ended);
	is_int(ended.code, 137);
	is_int(ended.signal, SIGKILL);
	is_int(isolation_container.signal(instance, &main_task, SIGTERM, &e), -ESRCH);
	end();
}

TEST(who_can_not_be_waited_for_is_no_process_that_has_ended_with_125)
{
	int status;

	start("read x; exit 3", NULL);
	exec_in("read x; exit 3", NULL);
	is_int(write(exec_task.in, "\n", 1), 1);
	const pid_t exec_pid = newest_child();
	/* Somebody else is quicker. */
	is_int(spawn_wait(exec_pid, &status), 0);
	turn_loop(20000);
	ok(has_exec_ended);
	is_int(exec_task.lost.no, ECHILD);
	has_str(exec_task.lost.msg, "how the process has ended is not known: wait for process");
	is_int(write(main_task.in, "\n", 1), 1);
	is_int(spawn_wait(isolation_container.pid(instance), &status), 0);
	turn_loop(20000);
	ok(has_ended);
	is_int(ended.code, 125);
	is_int(main_task.lost.no, ECHILD);
	has_str(main_task.lost.msg, "how the process has ended is not known: wait for container");
	end();
}

TEST(a_paused_container_stands_still_and_can_be_killed)
{
	struct err e = { 0 };

	start("while read x; do echo $x; done", NULL);
	is_int(isolation_container.pause(instance, true, &e), 0);
	is_int(write(main_task.in, "a\n", 2), 2);
	struct pollfd p = { .fd = main_task.out, .events = POLLIN };
	is_int(poll(&p, 1, 100), 0);
	is_int(isolation_container.pause(instance, false, &e), 0);
	is_int(poll(&p, 1, 20000), 1);
	is_int(isolation_container.pause(instance, true, &e), 0);
	is_int(isolation_container.signal(instance, &main_task, SIGKILL, &e), 0);
	turn_loop(20000);
	ok(has_ended);
	end();
}

static void on_stats(struct instance *i _unused_, struct json_object *o, const struct err *e, void *arg)
{
	ok(!e && json_object_is_type(o, json_type_object) && json_object_object_length(o) > 3);
	*(bool *)arg = true;
}

TEST(statistics_are_given_and_nothing_is_left_at_the_end)
{
	struct err e = { 0 };
	bool told = false;
	struct cgroup *cg;

	start("exec sleep 1000", NULL);
	is_int(isolation_container.stats(instance, on_stats, &told, &e), 0);
	ok(told);
	ok(isolation_container.pid(instance) > 0);
	char *path = strdup(fx.spec.cgroups_path ? fx.spec.cgroups_path : test_cgroup());
	struct host h = { 0 };
	is_int(host_probe_cgroup(&h, &e), 0);
	is_int(cgroup_open(&h, path, &cg, &e), 0);
	cgroup_free(cg);
	end();
	is_int(cgroup_open(&h, path, &cg, &e), -ENOENT);
	host_done(&h);
	free(path);
}

static void on_updated(struct instance *i _unused_, const struct err *e, void *arg)
{
	ok(!e);
	*(bool *)arg = true;
}

TEST(other_limits_hold_at_once)
{
	struct spec_resources r;
	struct cgroup_stats st;
	struct err e = { 0 };
	struct host h = { 0 };
	struct cgroup *cg;
	bool told = false;

	start("exec sleep 1000", NULL);
	spec_resources_init(&r);
	r.pids_limit = 77;
	r.memory_limit = 64 << 20;
	is_int(isolation_container.update(instance, &r, on_updated, &told, &e), 0);
	ok(told);
	is_int(host_probe_cgroup(&h, &e), 0);
	is_int(cgroup_open(&h, fx.spec.cgroups_path ? fx.spec.cgroups_path : test_cgroup(), &cg, &e), 0);
	is_int(cgroup_stats(cg, &st, &e), 0);
	is_int(st.pids_limit, 77);
	is_int(st.mem_limit_bytes, 64 << 20);
	cgroup_free(cg);
	host_done(&h);
	end();
}

TEST(sweep_takes_what_a_crash_has_left)
{
	struct err e = { 0 };
	struct host h = { 0 };
	struct spec spec;
	struct cgroup *cg;
	const char *id = test_id();
	int status;

	if (geteuid() != 0)
		skip("needs root");
	spec_init(&spec);
	is_int(host_probe_cgroup(&h, &e), 0);
	if (cgroup_create(&h, test_cgroup(), &spec.resources, &cg, &e) < 0)
		TAP_FAIL("%s", e.msg);
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	is_int(cgroup_attach(cg, pid, &e), 0);
	cgroup_free(cg);
	const struct paths p = { .root = (char *)(uintptr_t) "/nonexistent" };
	/* It kills; its parent, here, has to reap before the group is empty. */
	pid_t sweeper = fork();
	if (sweeper == 0) {
		int r = isolation_container.sweep(&h, &p, id, &e);
		if (r < 0)
			printf("# %s\n", e.msg);
		fflush(stdout);
		_exit(r < 0);
	}
	is_int(spawn_wait(pid, &status), 0);
	is_int(status_to_exit(status), 137);
	is_int(spawn_wait(sweeper, &status), 0);
	is_int(status, 0);
	is_int(cgroup_open(&h, test_cgroup(), &cg, &e), -ENOENT);
	is_int(isolation_container.sweep(&h, &p, id, &e), 0);
	host_done(&h);
	spec_done(&spec);
}

TEST(unknown_isolations_are_refused_with_the_known_ones)
{
	const struct isolation_ops *ops = NULL;
	struct err e = { 0 };

	is_int(isolation_find("vm", &ops, &e), 0);
	is_str(ops->name, "vm");
	is_int(isolation_find("jail", &ops, &e), -EINVAL);
	has_str(e.msg, "\"jail\": known are container, vm");
	is_int(isolation_find(NULL, &ops, &e), -EINVAL);
}

TAP_MAIN()
