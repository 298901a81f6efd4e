/* Seccomp: what the kernel does to a process under the default filter; and the cache of compiled filters. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "seccomp_impl.h"
#include "tap.h"

/* Loads the default filter onto this test's own process. */
static void confine(void)
{
	struct spec s;
	struct seccomp_prog prog;
	struct err e = { 0 };

	spec_init(&s);
	is_int(container_seccomp_default(0, &s.seccomp, NULL), 0);
	is_int(seccomp_compile(s.seccomp, &prog, NULL), 0);
	is_int(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	if (seccomp_prog_load(&prog, NULL, &e) < 0)
		TAP_FAIL("%s", e.msg);
	seccomp_prog_done(&prog);
	spec_done(&s);
}

TEST(R19_sockets_that_reach_the_host_are_refused)
{
	static const long families[] = { 38, 40, 0x100000026, 0x7fffffff00000028 };

	confine();
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		is_int(syscall(SYS_socket, families[i], SOCK_STREAM, 0), -1);
		is_int(errno, EPERM);
	}
	ok(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	ok(socket(AF_INET, SOCK_STREAM, 0) >= 0);
}

TEST(R19_the_32_bit_way_to_a_socket_is_refused)
{
#ifdef __x86_64__
	int ret;
	static uint32_t args[3] __attribute__((unused)) = { 38, SOCK_SEQPACKET, 0 };

	confine();
	/* socketcall(SYS_SOCKET, ...) and socket(AF_ALG) by the i386 gate */
	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(102), "b"(1), "c"(0) : "memory", "r8", "r9", "r10", "r11");
	if (ret == -ENOSYS)
		skip("this kernel has no 32-bit calls");
	is_int(ret, -EPERM);
	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(359), "b"(38), "c"(5), "d"(0) : "memory", "r8", "r9", "r10", "r11");
	is_int(ret, -EPERM);
#else
	skip("the gate is x86's");
#endif
}

TEST(R20_typing_into_a_terminal_is_refused)
{
	char c = 'x';

	confine();
	is_int(ioctl(0, TIOCSTI, &c), -1);
	is_int(errno, EPERM);
	is_int(syscall(SYS_ioctl, 0, 0x100000000ul | TIOCSTI, &c), -1);
	is_int(errno, EPERM);
	is_int(syscall(SYS_ioctl, 0, 0xffffffff0000541cul, &c), -1);
	is_int(errno, EPERM);
	is_int(ioctl(-1, TIOCGWINSZ, &c), -1);
	is_int(errno, EBADF);
}

TEST(a_confined_process_still_forks_and_execs)
{
	int st;
	pid_t pid;

	confine();
	pid = fork();
	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(9);
	}
	is_int(waitpid(pid, &st, 0), pid);
	is_int(st, 0);
}

TEST(the_cache_gives_the_same_filter_and_a_damaged_file_is_compiled_anew)
{
	char dir[] = "/tmp/berth-seccomp-XXXXXX", sub[64], cmd[128], file[256];
	struct spec s;
	struct seccomp_prog first, second;
	struct err e = { 0 };
	struct stat st;
	FILE *f;
	int fd;

	ok(mkdtemp(dir));
	snprintf(sub, sizeof sub, "%s/cache", dir);
	spec_init(&s);
	is_int(container_seccomp_default(0, &s.seccomp, &e), 0);
	if (container_seccomp_get(&s, sub, &first, &e) < 0)
		TAP_FAIL("%s", e.msg);
	snprintf(cmd, sizeof cmd, "ls %s/*", sub);
	f = popen(cmd, "r");
	ok(f && fgets(file, sizeof file, f));
	pclose(f);
	file[strcspn(file, "\n")] = '\0';
	is_int(stat(file, &st), 0);
	is_int(st.st_mode & 07777, 0600);
	/* A hit reads what is there: a file that carries another, valid filter's bytes would show. */
	for (int kind = 0; kind < 4; kind++) {
		fd = open(file, O_RDWR);
		ok(fd >= 0);
		if (kind == 1)
			ok(pwrite(fd, "\377", 1, st.st_size - 3) == 1); /* one byte of an instruction */
		if (kind == 2)
			is_int(ftruncate(fd, st.st_size / 2), 0);
		if (kind == 3)
			is_int(ftruncate(fd, 0), 0);
		close(fd);
		is_int(container_seccomp_get(&s, sub, &second, &e), 0);
		is_int(second.n_filters, first.n_filters);
		is_int(memcmp(first.filters, second.filters, first.n_filters * sizeof(struct sock_filter)), 0);
		seccomp_prog_done(&second);
		is_int(access(file, F_OK), 0);
		ok(stat(file, &st) == 0 && st.st_size > 1000); /* and it was put right */
	}
	/* Another profile, another file. */
	free(s.seccomp->default_action);
	s.seccomp->default_action = strdup("SCMP_ACT_LOG");
	is_int(container_seccomp_get(&s, sub, &second, &e), 0);
	ok(second.n_filters != first.n_filters ||
	   memcmp(first.filters, second.filters, first.n_filters * sizeof(struct sock_filter)) != 0);
	seccomp_prog_done(&second);
	seccomp_prog_done(&first);
	spec_done(&s);
	is_int(rm_rf(AT_FDCWD, dir), 0);
}

TEST(no_profile_is_an_empty_filter)
{
	struct spec s;
	struct seccomp_prog p = { .n_filters = 99 };

	spec_init(&s);
	is_int(container_seccomp_get(&s, NULL, &p, NULL), 0);
	is_int(p.n_filters, 0);
	is_int(seccomp_prog_load(&p, NULL, NULL), 0);
	spec_done(&s);
}

TAP_MAIN()
