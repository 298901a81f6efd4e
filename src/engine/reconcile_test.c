/* Records against the truth: fabricated records and run files, and what a look at them makes of both. */
#include "engine_impl.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static struct paths paths;
static struct engine *en;
static struct err e;
static char base[] = "/tmp/berth-reconcile-test-XXXXXX";
static char id[65];

static void fresh(void)
{
	ok(mkdtemp(base));
	_cleanup_free_ char *root = str_fmt("%s/root", base), *run = str_fmt("%s/run", base);
	if (paths_init(&paths, root, run, &e) < 0 || engine_open(&paths, &en, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_int(id_new(id), 0);
	_cleanup_free_ char *dir = container_dir(&paths, id);
	is_int(mkdir_p(AT_FDCWD, dir, 0700), 0);
}

static void done(void)
{
	engine_close(en);
	is_int(rm_rf(AT_FDCWD, base), 0);
}

static void put(enum container_state state, bool auto_remove)
{
	struct container_record c = { .id = id,
				      .name = strdup("it"),
				      .image_id = strdup("none"),
				      .image_ref = strdup("none"),
				      .isolation = strdup("container"),
				      .created_ns = clock_real_ns(),
				      .state = CS_CREATED,
				      .auto_remove = auto_remove };
	const struct container_record running = { .state = CS_RUNNING, .started_ns = clock_real_ns() };
	const struct container_record other = { .state = state, .exit_code = 5 };

	if (records_container_put(en->records, &c, &e) < 0 ||
	    (state != CS_CREATED && records_container_state(en->records, id, &running, &e) < 0) ||
	    (state != CS_CREATED && state != CS_RUNNING && records_container_state(en->records, id, &other, &e) < 0))
		TAP_FAIL("%s", e.msg);
	free(c.name);
	free(c.image_id);
	free(c.image_ref);
	free(c.isolation);
}

static void run_file(const char *name, const char *text)
{
	_cleanup_free_ char *dir = str_fmt("%s/containers/%s", paths.run, id), *path = str_fmt("%s/%s", dir, name);

	is_int(mkdir_p(AT_FDCWD, dir, 0700), 0);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ok(fd >= 0 && fd_write_full(fd, text, strlen(text)) == 0);
	close(fd);
}

/* A monitor that is this process (alive), or one of an earlier boot (dead). */
static void monitor(bool alive)
{
	_cleanup_free_ char *boot = NULL, *text = NULL;
	uint64_t start;

	is_int(file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot, NULL), 0);
	boot[36] = 0;
	is_int(pid_start_time(getpid(), &start), 0);
	text = str_fmt("{\"pid\":%d,\"start_time\":%llu,\"boot_id\":\"%s\"}", (int)getpid(), (unsigned long long)start,
		       alive ? boot : "00000000-0000-0000-0000-000000000000");
	run_file("monitor.json", text);
}

static const char started[] = "{\"pid\":1,\"started_ns\":1700000000000000000}";
static const char exited[] = "{\"code\":7,\"signal\":0,\"oom\":false,\"finished_ns\":1700000001000000000}";

/* As any command sees it, until the next look; state -1: gone. */
static struct container_record look(int state)
{
	static struct container_record c;
	int r;

	container_record_done(&c);
	c = (struct container_record){ 0 };
	r = engine_get(en, "it", &c, &e);

	if (state < 0) {
		is_int(r, -ENOENT);
		has_str(e.msg, "no such container: it");
		return c;
	}
	if (r < 0)
		TAP_FAIL("%s", e.msg);
	is_int(c.state, state);
	return c;
}

static bool dir_exists(void)
{
	_cleanup_free_ char *dir = container_dir(&paths, id);

	return access(dir, F_OK) == 0;
}

TEST(created_and_never_started_stays_created)
{
	fresh();
	put(CS_CREATED, false);
	look(CS_CREATED);
	done();
}

TEST(a_monitor_on_its_way_is_left_alone)
{
	fresh();
	put(CS_CREATED, true);
	monitor(true);
	look(CS_CREATED);
	done();
}

TEST(what_runs_is_recorded_as_running)
{
	fresh();
	put(CS_CREATED, false);
	monitor(true);
	run_file("started.json", started);
	struct container_record c = look(CS_RUNNING);
	ok(c.started_ns == 1700000000000000000ull);
	done();
}

TEST(a_killed_monitor_leaves_an_exited_container_with_unknown_code)
{
	fresh();
	put(CS_RUNNING, false);
	monitor(false);
	run_file("started.json", started);
	struct container_record c = look(CS_EXITED);
	is_int(c.exit_code, -1);
	has_str(c.error, "monitor was killed");
	ok(dir_exists());
	done();
}

TEST(a_killed_monitor_of_an_auto_remove_container_leaves_nothing)
{
	fresh();
	put(CS_RUNNING, true);
	monitor(false);
	run_file("started.json", started);
	look(-1);
	ok(!dir_exists());
	done();
}

TEST(a_restarted_host_is_told_from_a_killed_monitor)
{
	fresh();
	put(CS_RUNNING, false);
	struct container_record c = look(CS_EXITED);
	is_int(c.exit_code, -1);
	has_str(c.error, "host was restarted");
	done();
}

TEST(an_end_that_only_the_file_knows_is_recorded)
{
	fresh();
	put(CS_RUNNING, false);
	monitor(false);
	run_file("started.json", started);
	run_file("exited.json", exited);
	struct container_record c = look(CS_EXITED);
	is_int(c.exit_code, 7);
	ok(c.finished_ns == 1700000001000000000ull);
	done();
}

TEST(an_exit_that_is_recorded_is_not_overwritten)
{
	fresh();
	put(CS_EXITED, false);
	monitor(false);
	run_file("started.json", started);
	is_int(look(CS_EXITED).exit_code, 5);
	done();
}

TEST(a_living_monitor_records_and_removes_itself)
{
	fresh();
	put(CS_RUNNING, true);
	monitor(true);
	run_file("started.json", started);
	run_file("exited.json", "{\"code\":7,\"signal\":0,\"oom\":false,\"finished_ns\":1700000001000000000,\"error\":\"so\"}");
	is_int(look(CS_EXITED).exit_code, 7);
	is_str(look(CS_EXITED).error, "so");
	ok(dir_exists());
	done();
}

TEST(an_interrupted_removal_is_finished)
{
	fresh();
	put(CS_REMOVING, false);
	look(-1);
	ok(!dir_exists());
	done();
}

TEST(a_container_that_another_command_starts_or_sweeps_is_shown_as_it_is_and_left_to_that)
{
	struct container_record kept;

	fresh();
	put(CS_RUNNING, false);
	monitor(false);
	int lock = -1;
	is_int(container_lock(en, id, &lock, &e), 0);
	has_str(look(CS_EXITED).error, "its monitor was killed");
	is_int(records_container_get(en->records, id, &kept, &e), 0);
	is_int(kept.state, CS_RUNNING);
	container_record_done(&kept);
	fd_close(lock);
	look(CS_EXITED);
	done();
}

TAP_MAIN()
