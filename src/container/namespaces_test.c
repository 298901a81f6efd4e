/* Containers in another one's namespaces, in clocks of their own, and without some that others have. */
#include "fixture.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

/* A second container in all namespaces of a first one that can be shared; then what each sees of the other. */
TEST(namespaces_of_another_container_can_be_joined)
{
	static const enum spec_ns shared[] = { NS_PID, NS_NET, NS_IPC, NS_UTS };
	struct fixture f;
	struct container *c;

	fixture_init(&f);
	f.spec.hostname = strdup("first");
	ARGS(&f, "sleep", "100");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	free(f.spec.hostname);
	f.spec.hostname = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
		f.spec.ns.path[shared[i]] = str_fmt("/proc/%d/ns/%s", (int)container_pid(c), ns_table[shared[i]].proc);
	is_str(sh(&f, "hostname; cat /proc/1/comm; [ $$ != 1 ] && echo other"), "first\nsleep\nother\n");
	is_str(sh(&f,
		  "for n in pid net ipc uts; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] && echo same; done; "
		  "[ $(readlink /proc/1/ns/mnt) = $(readlink /proc/self/ns/mnt) ] || echo own"),
	       "same\nsame\nsame\nsame\nown\n");
	/* The stage process is not left behind. */
	ok(waitpid(-1, NULL, WNOHANG) == 0);
	container_destroy(c);
	fixture_done(&f);
}

TEST(what_is_no_namespace_is_not_joined)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.ns.path[NS_NET] = strdup("/etc/passwd");
	has_str(refused(&f), "/etc/passwd");
	free(f.spec.ns.path[NS_NET]);
	f.spec.ns.path[NS_NET] = strdup("/proc/self/ns/uts");
	has_str(refused(&f), "another kind");
	free(f.spec.ns.path[NS_NET]);
	f.spec.ns.path[NS_NET] = NULL;
	f.spec.ns.path[NS_PID] = strdup("/proc/self/ns/uts");
	has_str(refused(&f), "another kind");
	fixture_done(&f);
}

/* A process that stays in new namespaces of all eight kinds until it is killed. In its mount namespace, and nowhere else, there is a
 * mount at DIR/tmp. */
static pid_t hold_namespaces(const char *dir)
{
	char text[1], path[80];
	int ready[2];
	pid_t pid;

	ok(pipe2(ready, O_CLOEXEC) == 0);
	pid = fork();
	if (pid == 0) {
		pid_t inner;

		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* also when the test fails */
		snprintf(path, sizeof(path), "%s/tmp", dir);
		if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | 0x80) <
			    0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("tmpfs", path, "tmpfs", 0, "size=64k") < 0 ||
		    sethostname("theirs", 6) < 0)
			_exit(1);
		/* Its child is PID 1 and the first in the time namespace. */
		inner = fork();
		if (inner == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
			if (write(ready[1], &(char){ 1 }, 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		for (;;)
			pause();
	}
	ok(pid > 0 && read(ready[0], text, 1) == 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

TEST(namespaces_of_all_kinds_can_be_joined_by_their_paths)
{
	/* pid and time: of the children of the holder, which it is not in itself. */
	static const char *const files[NS_COUNT] = { [NS_MOUNT] = "mnt",     [NS_PID] = "pid_for_children",
						     [NS_NET] = "net",       [NS_IPC] = "ipc",
						     [NS_UTS] = "uts",       [NS_USER] = NULL,
						     [NS_CGROUP] = "cgroup", [NS_TIME] = "time_for_children" };
	struct container_exec_args a = { .stdio = { 0, 1, 2 } };
	struct container *c;
	struct spec_process p;
	struct fixture f;
	int pidfd, console, status;
	pid_t holder, pid;

	fixture_init(&f);
	holder = hold_namespaces(f.dir);
	for (int n = 0; n < NS_COUNT; n++) {
		f.spec.ns.wanted[n] = files[n] != NULL;
		f.spec.ns.path[n] = files[n] ? str_fmt("/proc/%d/ns/%s", (int)holder, files[n]) : NULL;
	}
	has_str(refused(&f), "linux.maskedPaths: can't be had in the mount namespace of another");
	strv_free(f.spec.masked_paths);
	strv_free(f.spec.readonly_paths);
	f.spec.masked_paths = f.spec.readonly_paths = NULL;
	free_ptr(&f.spec.rootfs_propagation);
	/* What the holder has mounted is there, and that it is the root is all that is its own. */
	is_str(sh(&f, "hostname; touch /tmp/in-theirs; ls /tmp; ls / | wc -l"), "theirs\nin-theirs\n6\n");
	ARGS(&f, "sleep", "100");
	if (container_create(&f.args, &c, &f.err) < 0 || container_start(c, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	for (int n = 0; n < NS_COUNT; n++) {
		char path[64], theirs[64] = "", own[64] = "";

		if (!files[n])
			continue;
		ok(readlink(f.spec.ns.path[n], theirs, sizeof(theirs) - 1) > 0);
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)container_pid(c), ns_table[n].proc);
		ok(readlink(path, own, sizeof(own) - 1) > 0);
		is_str(own, theirs);
	}
	spec_process_init(&p);
	for (const char *const *w = (const char *const[]){ "test", "-e", "/tmp/in-theirs", "-a", "!", "-e", "/usr", NULL }; *w;
	     w++)
		ok(strv_push(&p.args, *w) == 0);
	a.process = &p;
	if (container_exec(c, &a, &pid, &pidfd, &console, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
	spec_process_done(&p);
	container_destroy(c);
	kill(holder, SIGKILL);
	ok(waitpid(holder, NULL, 0) == holder);
	fixture_done(&f);
}

TEST(the_hosts_namespaces_are_kept_where_none_is_wanted)
{
	struct fixture f;
	char host[65], want[70];

	fixture_init(&f);
	ok(gethostname(host, sizeof(host)) == 0);
	snprintf(want, sizeof(want), "%s\n", host);
	f.spec.ns.wanted[NS_NET] = f.spec.ns.wanted[NS_UTS] = f.spec.ns.wanted[NS_PID] = f.spec.ns.wanted[NS_IPC] =
		f.spec.ns.wanted[NS_CGROUP] = false;
	is_str(sh(&f, "hostname"), want);
	is_str(sh(&f, "[ $$ != 1 ] && [ -d /proc/1 ] && echo host"), "host\n");
	fixture_done(&f);
}

/* config-linux.md §namespaces: what is not listed is inherited. */
TEST(without_a_mount_namespace_the_root_is_entered_and_nothing_is_mounted)
{
	char *before = NULL, *after = NULL;
	struct fixture f;

	fixture_init(&f);
	ok(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &before, NULL) == 0);
	f.spec.ns.wanted[NS_MOUNT] = false;
	has_str(refused(&f), "linux.maskedPaths: can't be had in the mount namespace of another");
	strv_free(f.spec.masked_paths);
	strv_free(f.spec.readonly_paths);
	f.spec.masked_paths = f.spec.readonly_paths = NULL;
	f.spec.root_readonly = true;
	has_str(refused(&f), "root.readonly: can't be had");
	f.spec.root_readonly = false;
	free_ptr(&f.spec.rootfs_propagation);
	is_str(sh(&f, "cd /; ls -d /.. /usr 2>/dev/null; ls /proc /dev | wc -l; pwd"), "/..\n4\n/\n");
	ok(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &after, NULL) == 0);
	is_str(after, before);
	free(before);
	free(after);
	fixture_done(&f);
}

/* As in a guest whose root is the initramfs: pivot_root answers EINVAL there. */
TEST(where_pivot_root_can_not_work_the_root_is_entered_all_the_same)
{
	struct fixture f;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pivot_root, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(code), .filter = code };
	struct launch_file file = { .path = (char[]){ "/etc/hosts" }, .content = (char[]){ "x\n" }, .mode = 0644 };
	struct container *c;
	struct spec_process p;
	struct container_exec_args a = { .process = &p, .stdio = { 0, 1, 2 } };
	int pidfd, console, status;
	pid_t pid;

	fixture_init(&f);
	ok(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
	f.args.files = &file;
	f.args.n_files = 1;
	is_str(sh(&f, "ls -A / /etc/.. /.. | grep -cx etc; cat /etc/hosts; cd /etc/../../..; pwd; ls -A | wc -l"),
	       "3\nx\n/\n6\n");
	/* Exec, too, lands in the container's root. */
	ARGS(&f, "sleep", "100");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	spec_process_init(&p);
	for (const char *const *w = (const char *const[]){ "sh", "-c", "test $(ls -A / | wc -l) = 6 -a ! -e /usr", NULL }; *w;
	     w++)
		ok(strv_push(&p.args, *w) == 0);
	is_int(container_exec(c, &a, &pid, &pidfd, &console, &f.err), 0);
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
	spec_process_done(&p);
	container_destroy(c);
	fixture_done(&f);
}

TEST(a_time_namespace_is_its_own)
{
	struct fixture f;
	char link[64] = "", want[80];

	fixture_init(&f);
	if (readlink("/proc/self/ns/time", link, sizeof(link) - 1) < 0)
		skip("this kernel has no time namespaces");
	f.spec.ns.wanted[NS_TIME] = true;
	snprintf(want, sizeof(want), "%s\n", link);
	if (streq(sh(&f, "readlink /proc/self/ns/time"), want))
		TAP_FAIL("it is the host's: %s", f.out);
	fixture_done(&f);
}

TEST(clocks_of_a_time_namespace_are_ahead_also_with_a_user_namespace_and_in_exec)
{
	struct fixture f;
	struct timespec now;
	long days;

	fixture_init(&f);
	f.spec.ns.wanted[NS_TIME] = true;
	f.spec.time_offsets[SPEC_BOOTTIME] = (struct spec_time_offset){ .secs = 864000000 };
	f.spec.time_offsets[SPEC_MONOTONIC] = (struct spec_time_offset){ .secs = -1, .nanosecs = 500000000 };
	for (int i = 0; i < 2; i++) {
		ok(clock_gettime(CLOCK_BOOTTIME, &now) == 0);
		days = strtol(sh(&f, "cat /proc/uptime"), NULL, 10) / 86400;
		is_int(days - now.tv_sec / 86400, 10000);
		has_str(sh(&f, "cat /proc/self/timens_offsets"), "-1 500000000");
		use_userns(&f);
	}
	forget_userns(&f);
	f.spec.ns.wanted[NS_USER] = false;
	f.spec.time_offsets[SPEC_MONOTONIC].secs = -INT64_C(1000000000000);
	has_str(refused(&f), "time offset \"monotonic -1000000000000 500000000\": the clock would be below zero");
	fixture_done(&f);
}

TAP_MAIN()
