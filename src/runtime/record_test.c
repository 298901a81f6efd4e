/* The record: its names, its lock, its truth. */
#include "record.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "tap.h"

static char dir[64];

static void clean(void) { rm_rf(AT_FDCWD, dir); }

static struct runtime make_root(void)
{
	strcpy(dir, "/tmp/berth-record-XXXXXX");
	ok(mkdtemp(dir));
	atexit(clean);
	return (struct runtime){ .root = dir };
}

/* A whole record of this process. */
static void fill(struct held *h, const char *id, enum status written)
{
	struct err e = { 0 };

	h->rec = (struct record){ .version = RECORD_VERSION,
				  .id = strdup(id),
				  .bundle = strdup("/b"),
				  .cgroup_path = strdup(""),
				  .written = strdup(status_names[written]) };
	is_int(record_set_maker(&h->rec, &e), 0);
	is_int(record_set_process(&h->rec, getpid(), &e), 0);
	is_int(record_save(h, &e), 0);
}

TEST(ids_are_runcs)
{
	struct err e;

	for (const char *const *id = (const char *const[]){ "a", "0", "a.b", "a_b-c+d", "_x", "...", "-a", NULL }; *id; id++)
		is_int(id_check(*id, &e), 0);
	for (const char *const *id = (const char *const[]){ "", ".", "..", "a/b", "../x", "a b", "a\n", "\xc3\xa4", NULL }; *id;
	     id++)
		is_int(id_check(*id, &e), -EINVAL);
	has_str(e.msg, "invalid container id format");
}

TEST(what_is_saved_is_read_again)
{
	struct runtime rt = make_root();
	struct held h = HELD_NONE, g = HELD_NONE;
	struct err e = { 0 };

	is_int(record_claim(&rt, "x", &h, &e), 0);
	fill(&h, "x", STATUS_RUNNING);
	h.rec.needs_config = true;
	is_int(map_set(&h.rec.annotations, "key", "a \"value\""), 0);
	is_int(record_save(&h, &e), 0);
	is_int(record_open(&rt, "x", UNLOCKED, &g, &e), 0);
	is_str(g.rec.id, "x");
	is_str(g.rec.bundle, "/b");
	is_int(g.rec.pid, getpid());
	is_int(g.rec.start_time, h.rec.start_time);
	ok(g.rec.needs_config && !g.rec.has_pid_ns);
	is_str(map_get(&g.rec.annotations, "key"), "a \"value\"");
	held_done(&h);
	held_done(&g);
}

TEST(an_id_is_claimed_once)
{
	struct runtime rt = make_root();
	struct held h = HELD_NONE, g = HELD_NONE;
	struct err e = { 0 };

	is_int(record_claim(&rt, "x", &h, &e), 0);
	is_int(record_claim(&rt, "x", &g, &e), -EEXIST);
	has_str(e.msg, "already exists");
	held_done(&h);
}

TEST(what_is_not_there_is_told_in_the_words_that_engines_look_for)
{
	struct runtime rt = make_root();
	struct held h = HELD_NONE;
	struct err e = { 0 };

	is_int(record_open(&rt, "x", UNLOCKED, &h, &e), -ENOENT);
	has_str(e.msg, "container does not exist");
	_cleanup_free_ char *x = str_fmt("%s/x", dir), *none = str_fmt("%s/none", dir);
	ok(mkdir(x, 0700) == 0); /* its maker was killed at once */
	is_int(record_open(&rt, "x", LOCKED, &h, &e), -ENOENT);
	has_str(e.msg, "container does not exist");
	rt.root = none;
	is_int(record_open(&rt, "x", UNLOCKED, &h, &e), -ENOENT);
}

TEST(a_record_of_a_newer_version_is_refused)
{
	struct runtime rt = make_root();
	struct held h = HELD_NONE, g = HELD_NONE;
	struct err e = { 0 };

	is_int(record_claim(&rt, "x", &h, &e), 0);
	fill(&h, "x", STATUS_RUNNING);
	h.rec.version = RECORD_VERSION + 1;
	is_int(record_save(&h, &e), 0);
	is_int(record_open(&rt, "x", UNLOCKED, &g, &e), -ENOTSUP);
	has_str(e.msg, "newer berth-runtime");
	held_done(&h);
}

TEST(a_record_that_is_cut_short_is_an_error_that_names_it)
{
	struct runtime rt = make_root();
	struct held h = HELD_NONE, g = HELD_NONE;
	struct err e = { 0 };

	is_int(record_claim(&rt, "x", &h, &e), 0);
	is_int(file_replace(h.dirfd, "state.json", "{\"version\":1,\"id", 16, 0600, false), 0);
	ok(record_open(&rt, "x", UNLOCKED, &g, &e) < 0);
	has_str(e.msg, "state.json of x");
	held_done(&h);
}

TEST(a_lock_is_not_kept_by_a_child_and_goes_with_a_killed_holder)
{
	struct runtime rt = make_root();
	struct held h = HELD_NONE;
	struct err e = { 0 };
	pid_t holder, child = 0;
	int fds[2], status;

	is_int(record_claim(&rt, "x", &h, &e), 0);
	fill(&h, "x", STATUS_RUNNING);
	held_done(&h);
	ok(pipe(fds) == 0);
	holder = fork();
	if (holder == 0) {
		if (record_open(&rt, "x", LOCKED, &h, &e) < 0)
			_exit(1);
		child = fork(); /* as the container's first process: it holds copies of all descriptors */
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, 0);
			pause();
		}
		if (write(fds[1], &child, sizeof(child)) != sizeof(child))
			_exit(1);
		pause();
	}
	ok(read(fds[0], &child, sizeof(child)) == sizeof(child));
	kill(holder, SIGKILL);
	is_int(waitpid(holder, &status, 0), holder);
	alarm(20); /* where it is kept, this would wait for ever */
	is_int(record_open(&rt, "x", LOCKED, &h, &e), 0);
	kill(child, SIGKILL);
	held_done(&h);
}

TEST(a_pid_counts_with_its_start_time_and_its_boot_only)
{
	struct runtime rt = make_root();
	struct held h = HELD_NONE;
	struct host host = { 0 };
	struct err e = { 0 };

	is_int(record_claim(&rt, "x", &h, &e), 0);
	fill(&h, "x", STATUS_RUNNING);
	is_int(record_status(&h, &host), STATUS_RUNNING);
	is_int(record_live_pid(&h.rec), getpid());
	h.rec.start_time++;
	is_int(record_status(&h, &host), STATUS_STOPPED);
	h.rec.start_time--;
	h.rec.boot_id[0] = h.rec.boot_id[0] == '0' ? '1' : '0';
	is_int(record_status(&h, &host), STATUS_STOPPED);
	held_done(&h);
}

TEST(created_is_true_while_the_first_process_listens)
{
	struct runtime rt = make_root();
	struct held h = HELD_NONE;
	struct host host = { 0 };
	struct err e = { 0 };
	int sock;

	is_int(record_claim(&rt, "x", &h, &e), 0);
	fill(&h, "x", STATUS_CREATED);
	sock = container_start_listen(h.dirfd, "start.sock");
	ok(sock >= 0);
	is_int(record_status(&h, &host), STATUS_CREATED);
	close(sock); /* as its exec does; who started it was killed before it could write so */
	is_int(record_status(&h, &host), STATUS_RUNNING);
	held_done(&h);
}

TEST(creating_is_true_while_its_maker_lives)
{
	struct runtime rt = make_root();
	struct held h = HELD_NONE;
	struct host host = { 0 };
	struct err e = { 0 };

	is_int(record_claim(&rt, "x", &h, &e), 0);
	fill(&h, "x", STATUS_CREATING);
	h.rec.pid = 0;
	is_int(record_status(&h, &host), STATUS_CREATING);
	h.rec.maker_start_time++;
	is_int(record_status(&h, &host), STATUS_STOPPED);
	held_done(&h);
}

/* One that starts at once, whether or not its maker lives to write so. */
TEST(creating_ends_with_the_exec_of_the_first_process)
{
	struct runtime rt = make_root();
	struct held h = HELD_NONE;
	struct host host = { 0 };
	struct err e = { 0 };
	pid_t pid = fork();
	int fds[2];
	char byte;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
	}
	is_int(record_claim(&rt, "x", &h, &e), 0);
	fill(&h, "x", STATUS_CREATING);
	h.rec.maker_start_time++;
	is_int(record_set_process(&h.rec, pid, &e), 0);
	is_int(record_status(&h, &host), STATUS_CREATING);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	is_int(record_status(&h, &host), STATUS_STOPPED);
	ok(pipe2(fds, O_CLOEXEC) == 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("sleep", "sleep", "100", NULL);
		_exit(127);
	}
	close(fds[1]);
	ok(read(fds[0], &byte, 1) == 0); /* end of file: it has executed */
	is_int(record_set_process(&h.rec, pid, &e), 0);
	is_int(record_status(&h, &host), STATUS_RUNNING);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	held_done(&h);
}

TEST(a_record_that_was_let_go_is_taken_again_unless_it_is_gone)
{
	struct runtime rt = make_root();
	struct held h = HELD_NONE, other = HELD_NONE;
	struct err e = { 0 };

	is_int(record_claim(&rt, "x", &h, &e), 0);
	fill(&h, "x", STATUS_RUNNING);
	is_int(record_unlock(&h, &e), 0);
	is_int(record_relock(&h, &e), 0);
	is_int(record_unlock(&h, &e), 0);
	rm_rf(AT_FDCWD, tap_keep(str_fmt("%s/x", dir)));
	is_int(record_relock(&h, &e), -ENOENT);
	/* Made anew: that is another's. */
	is_int(record_claim(&rt, "x", &other, &e), 0);
	fill(&other, "x", STATUS_RUNNING);
	is_int(record_relock(&h, &e), -ENOENT);
	held_done(&h);
	held_done(&other);
}

TEST(the_state_has_what_the_specification_and_runcs_callers_read)
{
	static const char *const keys[] = { "ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner" };
	struct runtime rt = make_root();
	struct held h = HELD_NONE;
	struct err e = { 0 };

	is_int(record_claim(&rt, "x", &h, &e), 0);
	fill(&h, "x", STATUS_RUNNING);
	_cleanup_json_ struct json_object *running = record_json(&h.rec, STATUS_RUNNING),
					  *stopped = record_json(&h.rec, STATUS_STOPPED);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		ok(json_object_object_get(running, keys[i]));
	is_int(json_object_get_int(json_object_object_get(running, "pid")), getpid());
	is_str(json_object_get_string(json_object_object_get(running, "status")), "running");
	is_int(json_object_get_int(json_object_object_get(stopped, "pid")), 0);
	is_str(json_object_get_string(json_object_object_get(stopped, "status")), "stopped");
	held_done(&h);
}

TAP_MAIN()
