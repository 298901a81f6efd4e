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
	const int fds[][2] = { { p[1], 1 }, { p[1], 2 } };
	_cleanup_fd_ int program = by_fd ? open(argv[0], O_PATH | O_CLOEXEC) : -1;
	const struct vm_jail j = { .program_fd = MAX(program, 0),
				   .dir = at("root"),
				   .label = "whose",
				   .kernel = at("k"),
				   .initramfs = at("i"),
				   .uid = vm_jail_uid("0123456789abcdef"),
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

TEST(users_differ_by_id_and_stay_in_their_range)
{
	ok(vm_jail_uid("0000000aaaa") == 0x70000000u && vm_jail_uid("fffffffaaaa") == 0x7fffffffu);
	ok(vm_jail_uid("abcdef0") == 0x7abcdef0u);
}

TAP_MAIN()
