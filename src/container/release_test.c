/* Containers that their maker lets go: started, execd into and found again by other processes (container_release, container_adopt). */
#include "fixture.h"

/* What the maker leaves behind for another process: the directory with the socket, and what it would have recorded. */
struct left_over {
	char dir[64];
	int dirfd;
	struct container_handle rec;
};

static void make_and_release(struct fixture *f, struct left_over *l)
{
	struct container *c;
	int fd;

	strcpy(l->dir, "/tmp/berth-test.XXXXXX");
	ok(mkdtemp(l->dir) != NULL);
	l->dirfd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->args.start_fd = fd = container_start_listen(l->dirfd, "start.sock");
	ok(fd > 2);
	f->args.die_with_parent = false;
	is_int(container_create(&f->args, &c, &f->err), 0);
	close(fd);
	l->rec = (struct container_handle){ .pid = container_pid(c), .start_fd = -1 };
	is_int(pid_start_time(l->rec.pid, &l->rec.start_time), 0);
	is_int(container_release(c, &f->err), 0);
}

static void leave_done(struct fixture *f, struct left_over *l)
{
	close(l->dirfd);
	ok(rm_rf(AT_FDCWD, l->dir) == 0);
	fixture_done(f);
}

TEST(one_that_was_released_is_started_by_whoever_connects)
{
	struct fixture f;
	struct left_over l;
	struct container *c;
	int status;

	fixture_init(&f);
	ARGS(&f, "sh", "-c", "exit 42");
	make_and_release(&f, &l);
	/* Who says nothing, or dies on the way, changes nothing. */
	for (int i = 0; i < 3; i++)
		close(container_start_connect(l.dirfd, "start.sock"));
	l.rec.start_fd = container_start_connect(l.dirfd, "start.sock");
	ok(l.rec.start_fd >= 0);
	is_int(container_adopt(&f.args, &l.rec, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	container_free(c);
	is_int(waitpid(l.rec.pid, &status, 0), l.rec.pid);
	is_int(status_to_exit(status), 42);
	is_int(container_start_connect(l.dirfd, "start.sock"), -ECONNREFUSED);
	leave_done(&f, &l);
}

TEST(the_starter_is_told_why_the_exec_failed)
{
	struct fixture f;
	struct left_over l;
	struct container *c;
	char path[128];
	int status;

	fixture_init(&f);
	fixture_file(&f, "/bin/orphan", "#!/none/such\n");
	snprintf(path, sizeof(path), "%s/bin/orphan", f.dir);
	ok(chmod(path, 0755) == 0);
	ARGS(&f, "orphan");
	make_and_release(&f, &l);
	l.rec.start_fd = container_start_connect(l.dirfd, "start.sock");
	is_int(container_adopt(&f.args, &l.rec, &c, &f.err), 0);
	ok(container_start(c, &f.err) < 0);
	has_str(f.err.msg, "its interpreter");
	is_int(f.err.exit, 127);
	container_free(c);
	is_int(waitpid(l.rec.pid, &status, 0), l.rec.pid);
	leave_done(&f, &l);
}

TEST(one_that_is_to_be_released_fails_at_once_where_its_program_is_missing)
{
	struct fixture f;
	struct container *c;

	fixture_init(&f);
	ARGS(&f, "none-such");
	f.args.start_fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* never comes to be used */
	ok(container_create(&f.args, &c, &f.err) < 0);
	has_str(f.err.msg, "none-such");
	is_int(f.err.exit, 127);
	close(f.args.start_fd);
	fixture_done(&f);
}

TEST(one_that_was_never_released_ends_with_its_maker)
{
	struct fixture f;
	struct container *c;
	struct pollfd p = { .events = POLLIN };
	char dir[] = "/tmp/berth-test.XXXXXX";
	pid_t maker, pid = 0;
	int fds[2], status;

	fixture_init(&f);
	ok(mkdtemp(dir) != NULL && pipe(fds) == 0);
	maker = fork();
	if (maker == 0) {
		_cleanup_fd_ int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		f.args.start_fd = container_start_listen(at, "start.sock");
		f.args.die_with_parent = false;
		if (container_create(&f.args, &c, &f.err) == 0)
			pid = container_pid(c);
		(void)!write(fds[1], &pid, sizeof(pid));
		pause();
	}
	ok(read(fds[0], &pid, sizeof(pid)) == sizeof(pid) && pid > 0);
	p.fd = pidfd_open_(pid);
	ok(p.fd >= 0);
	kill(maker, SIGKILL);
	is_int(waitpid(maker, &status, 0), maker);
	is_int(poll(&p, 1, 30000), 1);
	ok(rm_rf(AT_FDCWD, dir) == 0);
	fixture_done(&f);
}

TEST(an_adopted_one_without_a_cgroup_can_be_execd_into)
{
	struct fixture f;
	struct left_over l;
	struct container *c;
	pid_t pid;
	int status, pidfd, console;

	fixture_init(&f);
	ARGS(&f, "sleep", "100");
	make_and_release(&f, &l);
	f.args.no_cgroup = false; /* as the record, not the caller, says */
	is_int(container_adopt(&f.args, &l.rec, &c, &f.err), 0);
	ARGS(&f, "sh", "-c", "exit 9");
	struct container_exec_args x = { .process = &f.spec.process, .stdio = { 0, 1, 2 } };
	alarm(30);
	is_int(container_exec(c, &x, &pid, &pidfd, &console, &f.err), 0);
	is_int(waitpid(pid, &status, 0), pid);
	is_int(status_to_exit(status), 9);
	kill(l.rec.pid, SIGKILL);
	is_int(waitpid(l.rec.pid, &status, 0), l.rec.pid);
	close(pidfd);
	container_free(c);
	leave_done(&f, &l);
}

TEST(a_record_of_a_pid_that_is_now_another_process_is_refused)
{
	struct fixture f;
	struct container *c = NULL;
	struct container_handle rec = { .pid = getpid(), .start_fd = -1 };

	fixture_init(&f);
	is_int(pid_start_time(getpid(), &rec.start_time), 0);
	rec.start_time++;
	is_int(container_adopt(&f.args, &rec, &c, &f.err), -ESRCH);
	has_str(f.err.msg, "ended");
	ok(!c);
	fixture_done(&f);
}

TAP_MAIN()
