/* The process itself: user, capabilities, limits, working directory, keyring, in the first process. */
#include "fixture.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "no_openat2.h"

#define CAP(c) (UINT64_C(1) << (c))

TEST(a_user_by_name_has_its_ids_and_groups)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.process.user.username = strdup("alice");
	is_str(sh(&f, "id -u; id -g; id -G"), "1000\n1001\n1001 50\n");
	is_str(sh(&f, "stat -c %u /proc/self/"), "1000\n");
	fixture_done(&f);
}

TEST(R14_numeric_ids_of_the_spec_are_taken_as_they_are)
{
	struct fixture f;
	uint32_t more[] = { 7, 8 };

	fixture_init(&f);
	f.spec.process.user.uid = 12;
	f.spec.process.user.gid = 34;
	f.spec.process.user.additional_gids = more;
	f.spec.process.user.n_additional_gids = 2;
	is_str(sh(&f, "id -u; id -g; grep Groups: /proc/self/status"), "12\n34\nGroups:\t7 8 \n");
	f.spec.process.user.additional_gids = NULL;
	f.spec.process.user.n_additional_gids = 0;
	fixture_done(&f);
}

TEST(a_user_that_the_image_has_not_is_refused)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.process.user.username = strdup("mallory");
	has_str(refused(&f), "mallory");
	fixture_done(&f);
}

TEST(R10_capabilities_are_the_specs_and_inheritable_stays_empty)
{
	struct fixture f;
	char want[200];
	uint64_t set;

	fixture_init(&f);
	set = f.spec.process.caps.bounding;
	snprintf(want, sizeof(want), "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:\t%016llx\n",
		 0ULL, (unsigned long long)set, (unsigned long long)set, (unsigned long long)set, 0ULL);
	is_str(sh(&f, "grep Cap /proc/self/status"), want);
	/* Another user has none in effect. */
	f.spec.process.user.uid = 1000;
	is_str(sh(&f, "grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status | grep -vc 0000000000000000; true"), "0\n");
	fixture_done(&f);
}

TEST(ambient_capabilities_reach_a_user_that_is_not_root)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.process.user.uid = 1000;
	f.spec.process.caps.bounding = f.spec.process.caps.permitted = f.spec.process.caps.effective =
		CAP(CAP_NET_BIND_SERVICE) | CAP(CAP_CHOWN);
	f.spec.process.caps.inheritable = f.spec.process.caps.ambient = CAP(CAP_NET_BIND_SERVICE);
	is_str(sh(&f, "grep -E 'Cap(Eff|Amb)' /proc/self/status"), "CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n");
	fixture_done(&f);
}

TEST(a_process_without_capabilities_in_its_spec_has_none)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.process.has_caps = false;
	is_str(sh(&f, "grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status | grep -vc 0000000000000000; true"), "0\n");
	fixture_done(&f);
}

TEST(no_new_privs_is_set_when_asked_for)
{
	struct fixture f;

	fixture_init(&f);
	is_str(sh(&f, "grep NoNewPrivs /proc/self/status"), "NoNewPrivs:\t0\n");
	f.spec.process.no_new_privs = true;
	is_str(sh(&f, "grep NoNewPrivs /proc/self/status"), "NoNewPrivs:\t1\n");
	fixture_done(&f);
}

/* A filter that refuses mkdir(2) and mkdirat(2) with EDOM. */
static const struct sock_filter no_mkdir[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef SYS_mkdir
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 1, 0),
#else
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdirat, 1, 0),
#endif
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdirat, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

TEST(a_seccomp_filter_holds_with_and_without_no_new_privs_for_root_and_users)
{
	struct sock_filter copy[ARRAY_SIZE(no_mkdir)];
	struct seccomp_prog prog = { .filters = copy, .n_filters = ARRAY_SIZE(copy) };

	memcpy(copy, no_mkdir, sizeof(copy));
	for (int i = 0; i < 4; i++) {
		struct fixture f;

		fixture_init(&f);
		f.args.seccomp = &prog;
		f.spec.process.no_new_privs = i & 1;
		f.spec.process.user.uid = i & 2 ? 1000 : 0;
		is_str(sh(&f, "mkdir /dev/shm/x 2>&1; grep Seccomp: /proc/self/status"),
		       "mkdir: can't create directory '/dev/shm/x': Numerical argument out of domain\nSeccomp:\t2\n");
		/* CAP_SYS_ADMIN, which loading it may need, is not left. */
		is_str(sh(&f, "grep CapEff /proc/self/status"),
		       i & 2 ? "CapEff:\t0000000000000000\n" : "CapEff:\t00000000800405fb\n");
		fixture_done(&f);
	}
}

TEST(umask_is_022_or_the_specs)
{
	struct fixture f;

	fixture_init(&f);
	is_str(sh(&f, "umask"), "0022\n");
	f.spec.process.user.has_umask = true;
	f.spec.process.user.umask = 077;
	is_str(sh(&f, "umask"), "0077\n");
	fixture_done(&f);
}

TEST(rlimits_are_set_and_bad_ones_named)
{
	struct fixture f;
	struct spec_rlimit good[] = { { .type = (char[]){ "RLIMIT_NOFILE" }, .soft = 100, .hard = 200 },
				      { .type = (char[]){ "RLIMIT_CORE" }, .soft = 0, .hard = 0 } };
	struct spec_rlimit crossed = { .type = (char[]){ "RLIMIT_NOFILE" }, .soft = 300, .hard = 200 };
	struct spec_rlimit unknown = { .type = (char[]){ "RLIMIT_FILES" } };
	struct spec_rlimit too_much = { .type = (char[]){ "RLIMIT_NOFILE" }, .soft = 1, .hard = UINT64_MAX - 1 };

	fixture_init(&f);
	f.spec.process.rlimits = good;
	f.spec.process.n_rlimits = ARRAY_SIZE(good);
	is_str(sh(&f, "ulimit -Sn; ulimit -Hn; ulimit -c"), "100\n200\n0\n");
	f.spec.process.n_rlimits = 1;
	f.spec.process.rlimits = &crossed;
	has_str(refused(&f), "soft limit is above");
	f.spec.process.rlimits = &unknown;
	has_str(refused(&f), "RLIMIT_FILES");
	f.spec.process.rlimits = &too_much;
	has_str(refused(&f), "RLIMIT_NOFILE");
	f.spec.process.rlimits = NULL;
	f.spec.process.n_rlimits = 0;
	fixture_done(&f);
}

TEST(oom_score_adj_is_set)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.process.oom_score_adj = 321;
	is_str(sh(&f, "cat /proc/self/oom_score_adj"), "321\n");
	fixture_done(&f);
}

static void set_cwd(struct fixture *f, const char *cwd)
{
	free(f->spec.process.cwd);
	f->spec.process.cwd = strdup(cwd);
}

TEST(a_missing_working_directory_is_made)
{
	struct fixture f;

	fixture_init(&f);
	set_cwd(&f, "/srv/deep/app");
	is_str(sh(&f, "pwd; stat -c '%a %u' ."), "/srv/deep/app\n755 0\n");
	/* Also where the root is read-only afterwards. */
	f.spec.root_readonly = true;
	set_cwd(&f, "/srv/other");
	is_str(sh(&f, "pwd"), "/srv/other\n");
	fixture_done(&f);
}

TEST(a_working_directory_that_is_a_file_is_126)
{
	struct fixture f;

	fixture_init(&f);
	set_cwd(&f, "/etc/passwd");
	has_str(refused(&f), "/etc/passwd");
	is_int(f.err.exit, 126);
	set_cwd(&f, "relative");
	has_str(refused(&f), "absolute");
	fixture_done(&f);
}

TEST(a_working_directory_closed_to_the_user_is_refused)
{
	struct fixture f;
	char path[128];

	fixture_init(&f);
	fixture_mkdir(&f, "/private");
	snprintf(path, sizeof(path), "%s/private", f.dir);
	ok(chmod(path, 0700) == 0);
	f.spec.process.user.uid = 1000;
	f.spec.process.has_caps = false;
	set_cwd(&f, "/private");
	/* Root could enter it for the user; being there, the user can do nothing with it. */
	ARGS(&f, "ls", ".");
	is_int(run_exit(&f), 1);
	fixture_done(&f);
}

/* Descriptors of host directories, as a careless runtime would leak them. */
static void leaked_directories_are_no_way_out(void)
{
	struct fixture f;
	int host = open("/", O_PATH | O_DIRECTORY);

	fixture_init(&f);
	ok(host >= 0);
	for (int fd = 3; fd < 64; fd++)
		ok(fd == host || fcntl(fd, F_GETFD) >= 0 || dup2(host, fd) == fd);
	for (int fd = 0; fd < 64; fd++) {
		char cwd[64];

		snprintf(cwd, sizeof(cwd), "/proc/self/fd/%d", fd);
		set_cwd(&f, cwd);
		has_str(refused(&f), cwd);
		snprintf(cwd, sizeof(cwd), "/proc/1/fd/%d/../..", fd);
		set_cwd(&f, cwd);
		refused(&f);
	}
	set_cwd(&f, "/proc/self/cwd");
	refused(&f);
	set_cwd(&f, "/proc/1/root");
	refused(&f);
	/* A link of the image to the same. */
	fixture_link(&f, "/proc/self/fd/7", "/way-out");
	set_cwd(&f, "/way-out/../../../..");
	refused(&f);
	fixture_done(&f);
}

TEST(R05_leaked_fd_workdir_is_refused) { leaked_directories_are_no_way_out(); }
TEST(R05_the_same_without_openat2)
{
	if (geteuid() != 0)
		skip("needs root");
	is_int(without_openat2(), 0);
	leaked_directories_are_no_way_out();
}

TEST(R22_the_session_keyring_is_its_own)
{
	struct fixture f;

	fixture_init(&f);
	needs_probe(&f);
	if (syscall(SYS_add_key, "user", "berth-host-key", "x", 1, -3 /* KEY_SPEC_SESSION_KEYRING */) < 0)
		skip("keys can't be added here");
	ARGS(&f, "probe", "key-find", "berth-host-key");
	is_int(run_exit(&f), 0);
	is_str(f.out, "key-find: ENOKEY\n");
	ARGS(&f, "probe", "key-add", "berth-inner-key");
	is_int(run_exit(&f), 0);
	is_str(f.out, "key-add: ok\n");
	ok(syscall(SYS_keyctl, 10 /* KEYCTL_SEARCH */, -3, "user", "berth-inner-key", 0) < 0 && errno == ENOKEY);
	ARGS(&f, "probe", "key-find", "berth-inner-key");
	is_int(run_exit(&f), 0);
	is_str(f.out, "key-find: ENOKEY\n");
	fixture_done(&f);
}

TEST(ignored_and_blocked_signals_are_reset)
{
	struct fixture f;
	sigset_t set;

	fixture_init(&f);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigfillset(&set);
	ok(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	ARGS(&f, "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status");
	is_int(run_exit(&f), 0);
	is_str(f.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	fixture_done(&f);
}

TEST(sysctls_of_its_own_namespaces_are_set_and_others_refused)
{
	struct fixture f;

	fixture_init(&f);
	ok(map_set(&f.spec.sysctl, "net.ipv4.ip_forward", "1") == 0);
	ok(map_set(&f.spec.sysctl, "kernel.shmmni", "77") == 0);
	ok(map_set(&f.spec.sysctl, "net.ipv4.ping_group_range", "5 6") == 0);
	is_str(sh(&f, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni /proc/sys/net/ipv4/ping_group_range"),
	       "1\n77\n5\t6\n");
	map_done(&f.spec.sysctl);
	f.spec.sysctl = (struct string_map){ 0 };
	for (const char *const *k =
		     (const char *const[]){ "kernel.core_pattern", "vm.swappiness", "net.ipv4/../../kernel.core_pattern",
					    "net..x", "net./../kernel/core_pattern", "../kernel.core_pattern", NULL };
	     *k; k++) {
		ok(map_set(&f.spec.sysctl, *k, "1") == 0);
		refused(&f);
		has_str(f.err.msg, *k);
		map_done(&f.spec.sysctl);
		f.spec.sysctl = (struct string_map){ 0 };
	}
	fixture_done(&f);
}

/* Joined by its path, a namespace may be the host's after all. */
TEST(sysctls_of_a_joined_namespace_are_set_unless_it_is_the_hosts)
{
	struct fixture f;
	char path[64];
	int fds[2];
	pid_t pid;

	fixture_init(&f);
	ok(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		ok(unshare(CLONE_NEWNET) == 0 && write(fds[1], "x", 1) == 1);
		pause();
		_exit(0);
	}
	ok(read(fds[0], path, 1) == 1);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	f.spec.ns.wanted[NS_NET] = true;
	ok(map_set(&f.spec.sysctl, "net.ipv4.ping_group_range", "5 6") == 0);
	f.spec.ns.path[NS_NET] = strdup(path);
	is_str(sh(&f, "cat /proc/sys/net/ipv4/ping_group_range"), "5\t6\n");
	free(f.spec.ns.path[NS_NET]);
	f.spec.ns.path[NS_NET] = strdup("/proc/self/ns/net");
	refused(&f);
	has_str(f.err.msg, "share with the host");
	ok(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	close(fds[0]);
	close(fds[1]);
	fixture_done(&f);
}

TEST(the_programs_search_is_the_containers)
{
	struct fixture f;
	char path[128];

	fixture_init(&f);
	fixture_mkdir(&f, "/opt");
	fixture_file(&f, "/opt/tool", "#!/bin/sh\necho opt $0\n");
	snprintf(path, sizeof(path), "%s/opt/tool", f.dir);
	ok(chmod(path, 0755) == 0);
	ARGS(&f, "tool");
	refused(&f);
	is_int(f.err.exit, 127);
	is_int(env_set(&f.spec.process.env, "PATH=/nowhere::.:/opt:/bin"), 0);
	ARGS(&f, "tool");
	is_int(run_exit(&f), 0);
	is_str(f.out, "opt /opt/tool\n");
	/* Found, but not for this user: 126. */
	ok(chmod(path, 0700) == 0);
	f.spec.process.user.uid = 1000;
	f.spec.process.has_caps = false;
	ARGS(&f, "tool");
	refused(&f);
	is_int(f.err.exit, 126);
	/* A relative entry is not a place of programs. */
	set_cwd(&f, "/opt");
	is_int(env_set(&f.spec.process.env, "PATH=.:"), 0);
	refused(&f);
	is_int(f.err.exit, 127);
	fixture_done(&f);
}

TAP_MAIN()
