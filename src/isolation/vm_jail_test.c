#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "vm_jail.h"

static char dir[] = "/tmp/berth-jail-XXXXXX";

static const char *at(const char *name) { return tap_keep(str_fmt("%s/%s", dir, name)); }

static void make_file(const char *name, const char *text, mode_t mode)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_CLOEXEC, mode);

	is_int(fd_write_full(fd, text, strlen(text)), 0);
	fd_close(fd);
}

/* What a shell in the jail answers. by_fd: it was started as berth-vmm is. */
static const char *ask(const char *script, bool by_fd, int *ret_status)
{
	char *argv[] = { (char *)(uintptr_t) "/usr/bin/busybox", (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
			 (char *)(uintptr_t)script, NULL },
	     *env[] = { NULL };
	struct err e = { 0 };
	char *text = NULL;
	int p[2], pidfd, status;
	uid_t uid;
	pid_t pid;

	if (geteuid() != 0)
		skip("needs root");
	if (access(argv[0], X_OK) < 0)
		skip("needs busybox");
	ok(mkdtemp(dir));
	make_file("k", "a kernel", 0644);
	make_file("i", "secret", 0600);
	is_int(mkdir(at("root"), 0700), 0);
	is_int(pipe2(p, O_CLOEXEC), 0);
	is_int(vm_jail_uid("0123456789abcdef", VM_JAIL_VMM, &uid, &e), 0);
	const int fds[][2] = { { p[1], 1 }, { p[1], 2 } };
	_cleanup_fd_ int program = by_fd ? open(argv[0], O_PATH | O_CLOEXEC) : -1;
	const struct vm_jail j = { .program_fd = MAX(program, 0),
				   .dir = at("root"),
				   .label = "whose",
				   .kernel = at("k"),
				   .initramfs = at("i"),
				   .uid = uid,
				   .procs_max = 40,
				   .data_max = 64 << 20,
				   .file_max = 1 << 20,
				   .argv = argv,
				   .env = env,
				   .fds = fds,
				   .n_fds = 2 };
	if (vm_jail_start(&j, &pid, &pidfd, &e) < 0)
		TAP_FAIL("%s", e.msg);
	close(p[1]);
	is_int(fd_read_all(p[0], 65536, &text, NULL), 0);
	is_int(spawn_wait(pid, &status), 0);
	if (ret_status)
		*ret_status = status_to_exit(status);
	is_int(rm_rf(AT_FDCWD, dir), 0); /* nothing is mounted there for us */
	return tap_keep(text);
}
static const char *inside(const char *script, int *ret_status) { return ask(script, false, ret_status); }

TEST(a_program_by_descriptor_is_the_first_process_of_its_namespace) { is_str(ask("echo $$", true, NULL), "1\n"); }

TEST(it_has_a_user_of_its_own_and_is_alone)
{
	/* 0x70000000 + 0x0123456 */
	is_str(inside("id -u; id -g; id -G; echo $$", NULL), "1880241238\n1880241238\n1880241238\n1\n");
}

TEST(it_sees_programs_its_kernel_and_nothing_else)
{
	const char *t = inside("cat /kernel; echo; cat /initramfs; echo; ls /", NULL);

	has_str(t, "a kernel\nsecret\n");
	has_str(t, "usr");
	ok(!strstr(t, "proc") && !strstr(t, "tmp") && !strstr(t, "root") && !strstr(t, "dev") && !strstr(t, "home"));
}

TEST(it_can_write_nowhere)
{
	const char *t =
		inside("for d in / /usr /usr/bin /kernel /etc; do touch $d/x 2>&1; echo $?; done; echo x >> /kernel", NULL);

	ok(!strstr(t, "\n0\n"));
}

TEST(it_has_no_descriptors_but_those_given)
{
	/* A redirection from a closed descriptor fails; the shell keeps one of its own at 10 and above. */
	is_str(inside("for n in 3 4 5 6 7 8 9; do ( : <&$n ) 2>&- && echo open $n; done; echo end", NULL), "end\n");
}

TEST(what_keeps_it_from_its_jail_is_told)
{
	char *argv[] = { (char *)(uintptr_t) "/usr/bin/no-such-vmm", NULL }, *env[] = { NULL };
	struct err e = { 0 };
	int pidfd;
	pid_t pid;

	if (geteuid() != 0)
		skip("needs root");
	ok(mkdtemp(dir));
	make_file("k", "a kernel", 0644);
	is_int(mkdir(at("root"), 0700), 0);
	struct vm_jail j = {
		.dir = at("root"), .label = "x", .kernel = at("k"), .initramfs = at("none"), .argv = argv, .env = env
	};
	is_int(vm_jail_start(&j, &pid, &pidfd, &e), -ENOENT);
	has_str(e.msg, at("none"));
	j.initramfs = at("k");
	is_int(vm_jail_start(&j, &pid, &pidfd, &e), -ENOENT);
	has_str(e.msg, "start /usr/bin/no-such-vmm in its jail: No such file");
	j.dir = at("nowhere");
	is_int(vm_jail_start(&j, &pid, &pidfd, &e), -ENOENT);
	has_str(e.msg, at("nowhere"));
	rm_rf(AT_FDCWD, dir);
}

TEST(it_may_have_so_many_processes_and_no_more)
{
	const char *t = inside("p='sleep 1'; for i in 1 2 3 4 5 6; do p=\"$p | $p\"; done; eval \"$p\"; echo end", NULL);

	has_str(t, "fork: ");
}

TEST(of_memory_it_may_have_so_much_and_no_more)
{
	const char *t = inside("ulimit -d; x=0123456789abcdef; while :; do x=$x$x; done", NULL);

	is_str(tap_keep(strndup(t, 6)), "65536\n"); /* KiB */
	has_str(t, "out of memory");
}

/* ---- of a user's ---- */

/* This test goes on as root of a user namespace that maps so many ids. */
static void become_root_of_few(unsigned n)
{
	int go[2], done[2], status;
	char path[48], line[64], c = 0;
	pid_t self = getpid(), pid;

	if (geteuid() != 0)
		skip("needs root");
	is_int(pipe2(go, O_CLOEXEC), 0);
	is_int(pipe2(done, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		static const char *const maps[] = { "uid_map", "gid_map" };
		int r = read(go[0], &c, 1) == 1 ? 0 : -1;

		for (int i = 0; i < 2 && r == 0; i++) {
			snprintf(path, sizeof(path), "/proc/%d/%s", (int)self, maps[i]);
			if (n > 1)
				snprintf(line, sizeof(line), "0 4711 1\n1 600000 %u\n", n - 1);
			else
				snprintf(line, sizeof(line), "0 4711 1\n");
			r = file_write(AT_FDCWD, path, line);
		}
		_exit(r == 0 && write(done[1], &c, 1) == 1 ? 0 : 1);
	}
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		skip("no user namespaces here");
	is_int(write(go[1], &c, 1), 1);
	close(done[1]);
	is_int(waitpid(pid, &status, 0), pid);
	is_int(status, 0);
	is_int(setresgid(0, 0, 0), 0);
	is_int(setresuid(0, 0, 0), 0);
}

TEST(in_a_user_namespace_it_has_a_user_of_those_that_are_mapped)
{
	become_root_of_few(65537);
	const char *t = inside("id -u; id -g; id -G; echo $$; cat /kernel /initramfs; ls /; touch /x", NULL);
	char *end;
	long uid = strtol(t, &end, 10);

	ok(uid >= 61184 && uid < 65520);
	is_str(tap_keep(strndup(end, 18)), tap_keep(str_fmt("\n%ld\n%ld\n1\na k", uid, uid)));
	has_str(t, "secret");
	has_str(t, "touch: /x: ");
	ok(!strstr(t, "proc") && !strstr(t, "dev") && !strstr(t, "home"));
}

TEST(who_maps_no_further_user_is_told_how_to_get_some)
{
	struct err e = { 0 };
	uid_t uid;

	become_root_of_few(1);
	is_int(vm_jail_uid("0123456789abcdef", VM_JAIL_VMM, &uid, &e), -EPERM);
	has_str(e.msg, "usermod --add-subuids");
}

TAP_MAIN()
