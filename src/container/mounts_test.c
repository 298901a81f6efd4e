/* Mounts, devices, masks and files as a container sees them, and what an image may not do about them. */
#include "fixture.h"

#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "no_openat2.h"

TEST(the_default_mounts_are_there_with_their_options)
{
	struct fixture f;

	fixture_init(&f);
	sh(&f, "cat /proc/self/mounts");
	has_str(f.out, "proc /proc proc rw,nosuid,nodev,noexec");
	has_str(f.out, "tmpfs /dev tmpfs rw,nosuid");
	has_str(f.out, "devpts /dev/pts devpts rw,nosuid,noexec");
	has_str(f.out, "sysfs /sys sysfs ro,nosuid,nodev,noexec");
	has_str(f.out, "mqueue /dev/mqueue mqueue");
	has_str(f.out, "shm /dev/shm tmpfs");
	is_str(sh(&f, "stat -c '%a %F' /dev/shm /dev"), "1777 directory\n755 directory\n");
	fixture_done(&f);
}

TEST(nothing_of_the_hosts_tree_is_left)
{
	struct fixture f;

	fixture_init(&f);
	is_str(sh(&f, "ls -A /"), "bin\ndev\netc\nproc\nsys\ntmp\n");
	is_str(sh(&f, "cd /../../..; pwd; ls -A | wc -l"), "/\n6\n");
	/* Whatever lies on top of the root is seen by ".." only. */
	is_str(sh(&f, "cd /etc; ls -A .. | wc -l; cd /; ls -A .. /.. /etc/../.. | grep -cx etc"), "6\n3\n");
	is_str(sh(&f, "grep -c ' / / ' /proc/self/mountinfo; true"), "0\n");
	fixture_done(&f);
}

TEST(the_root_can_be_read_only)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.root_readonly = true;
	is_str(sh(&f, "touch /x 2>&1; touch /dev/shm/x && echo shm"), "touch: /x: Read-only file system\nshm\n");
	f.spec.root_readonly = false;
	sh(&f, "touch /x");
	fixture_done(&f);
}

TEST(device_nodes_of_the_image_do_not_work)
{
	struct fixture f;
	char path[128];

	fixture_init(&f);
	snprintf(path, sizeof(path), "%s/tmp/zero", f.dir);
	ok(mknod(path, S_IFCHR | 0666, makedev(1, 5)) == 0);
	f.args.rootfd = mount_clone(AT_FDCWD, f.dir, false);
	ARGS(&f, "head", "-c", "1", "/tmp/zero");
	is_int(run_exit(&f), 1);
	has_str(f.out, "Permission denied");
	f.args.rootfd = mount_clone(AT_FDCWD, f.dir, false);
	is_str(sh(&f, "head -c 3 /dev/zero | wc -c"), "3\n");
	fixture_done(&f);
}

/* What an engine has mounted there is its own affair: its containers may make and use nodes of devices that they are allowed. */
TEST(a_root_path_keeps_the_flags_of_its_mount)
{
	struct fixture f;
	struct statvfs host;

	fixture_init(&f);
	ok(statvfs(f.dir, &host) == 0);
	ARGS(&f, "grep", "-c", "^[^ ]* / .*[ ,]nodev", "/proc/self/mounts");
	is_int(run_exit(&f), (host.f_flag & ST_NODEV) ? 0 : 1);
	is_str(f.out, (host.f_flag & ST_NODEV) ? "1\n" : "0\n");
	fixture_done(&f);
}

TEST(dev_has_the_default_nodes_and_links)
{
	struct fixture f;

	fixture_init(&f);
	is_str(sh(&f, "cd /dev; stat -c '%n %t:%T %a' null zero full random urandom tty"),
	       "null 1:3 666\nzero 1:5 666\nfull 1:7 666\nrandom 1:8 666\nurandom 1:9 666\ntty 5:0 666\n");
	is_str(sh(&f, "cd /dev; for l in fd stdin ptmx; do readlink $l; done; echo hi > /dev/stdout"),
	       "/proc/self/fd\n/proc/self/fd/0\npts/ptmx\nhi\n");
	fixture_done(&f);
}

TEST(devices_of_the_spec_are_made_with_mode_and_owner)
{
	struct fixture f;
	struct spec_device d[] = { { .path = (char[]){ "/dev/net/tun" },
				     .type = 'c',
				     .major = 10,
				     .minor = 200,
				     .has_mode = true,
				     .mode = 0660,
				     .uid = 1000,
				     .gid = 50 },
				   { .path = (char[]){ "/dev/null" }, .type = 'c', .major = 1, .minor = 3 },
				   { .path = (char[]){ "/dev/ptmx" }, .type = 'c', .major = 5, .minor = 2 } };

	fixture_init(&f);
	f.spec.devices = d;
	f.spec.n_devices = ARRAY_SIZE(d);
	is_str(sh(&f, "stat -c '%t:%T %a %u:%g' /dev/net/tun; readlink /dev/ptmx"), "a:c8 660 1000:50\npts/ptmx\n");
	f.spec.devices = NULL;
	f.spec.n_devices = 0;
	fixture_done(&f);
}

TEST(masked_files_are_empty_and_masked_directories_too)
{
	struct fixture f;

	fixture_init(&f);
	fixture_file(&f, "/etc/secret", "secret");
	fixture_mkdir(&f, "/etc/dir");
	fixture_mkdir(&f, "/etc/dir2");
	fixture_file(&f, "/etc/dir/key", "key");
	fixture_file(&f, "/etc/dir2/key", "key");
	for (const char *const *p =
		     (const char *const[]){ "/etc/secret", "/etc/dir", "/etc/dir2", "/not/there", "/etc/passwd/not/there", NULL };
	     *p; p++)
		ok(strv_push(&f.spec.masked_paths, *p) == 0);
	is_str(sh(&f, "cat /etc/secret; ls -A /etc/dir /etc/dir2; cat /proc/keys /proc/timer_list; ls -A /sys/firmware"),
	       "/etc/dir:\n\n/etc/dir2:\n");
	is_str(sh(&f, "touch /etc/dir/x 2>&1; true"), "touch: /etc/dir/x: Read-only file system\n");
	fixture_done(&f);
}

TEST(R17_the_kernels_knobs_are_read_only)
{
	struct fixture f;

	fixture_init(&f);
	needs_probe(&f);
	ARGS(&f, "probe", "open", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper",
	     "/proc/irq/default_smp_affinity");
	is_int(run_exit(&f), 0);
	if (strstr(f.out, ": ok"))
		TAP_FAIL("opened for writing: %s", f.out);
	has_str(f.out, "/proc/sys/kernel/core_pattern: EROFS");
	fixture_done(&f);
}

TEST(bind_mounts_carry_their_options)
{
	struct fixture f;
	char dir[] = "/tmp/berth-vol.XXXXXX", file[64];

	fixture_init(&f);
	ok(mkdtemp(dir) != NULL);
	snprintf(file, sizeof(file), "%s/data", dir);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	add_mount(&f, "bind", dir, "/vol/deep", "rbind,rprivate,nosuid,nodev");
	add_mount(&f, "bind", dir, "/ro", "bind,ro");
	add_mount(&f, "bind", file, "/etc/data", "bind");
	sh(&f, "echo x > /vol/deep/new; cat /ro/new /etc/data");
	is_str(f.out, "x\n");
	is_str(sh(&f, "touch /ro/y 2>&1; grep -c ' /vol/deep .*nosuid,nodev' /proc/self/mounts"),
	       "touch: /ro/y: Read-only file system\n1\n");
	ok(rm_rf(AT_FDCWD, dir) == 0);
	fixture_done(&f);
}

TEST(a_tmpfs_has_its_size)
{
	struct fixture f;

	fixture_init(&f);
	add_mount(&f, "tmpfs", "tmpfs", "/run/x", "nosuid,nodev,size=64k,mode=1777");
	is_str(sh(&f, "head -c 100000 /dev/zero > /run/x/f; stat -c %s /run/x/f; stat -c %a /run/x"),
	       "head: standard output: I/O error\n65536\n1777\n");
	fixture_done(&f);
}

TEST(mounts_of_the_host_reach_a_slave_but_not_a_private_bind)
{
	struct fixture f;
	struct container *c;
	char dir[] = "/tmp/berth-prop.XXXXXX", sub[64];
	int fds[2], in[2], status;
	bool oom;

	fixture_init(&f);
	/* In a mount namespace of this test's own, shared inside. */
	ok(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	ok(mkdtemp(dir) != NULL && mount("tmpfs", dir, "tmpfs", 0, NULL) == 0 && mount(NULL, dir, NULL, MS_SHARED, NULL) == 0);
	snprintf(sub, sizeof(sub), "%s/sub", dir);
	ok(mkdir(sub, 0755) == 0 && pipe2(fds, O_CLOEXEC) == 0 && pipe2(in, O_CLOEXEC) == 0);
	add_mount(&f, "bind", dir, "/slave", "rbind,rslave");
	add_mount(&f, "bind", dir, "/private", "rbind,rprivate");
	ARGS(&f, "sh", "-c", "read x; ls /slave/sub /private/sub");
	f.args.stdio[0] = in[0];
	f.args.stdio[1] = fds[1];
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	ok(mount("tmpfs", sub, "tmpfs", 0, NULL) == 0);
	snprintf(sub, sizeof(sub), "%s/sub/arrived", dir);
	close(open(sub, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	ok(write(in[1], "\n", 1) == 1);
	is_int(container_reap(c, &status, &oom, &f.err), 0);
	is_int(status, 0);
	close(fds[1]);
	{
		ssize_t n = read(fds[0], f.out, sizeof(f.out) - 1);

		f.out[n > 0 ? n : 0] = 0;
	}
	is_str(f.out, "/private/sub:\n\n/slave/sub:\narrived\n");
	container_destroy(c);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	fixture_done(&f);
}

TEST(no_mount_reaches_the_host)
{
	struct fixture f;
	char *before = NULL, *after = NULL;

	fixture_init(&f);
	/* A mount namespace that others' mounts don't reach, with everything shared inside. */
	ok(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	ok(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) == 0);
	ok(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &before, NULL) == 0);
	add_mount(&f, "tmpfs", "tmpfs", "/tmp", "nosuid");
	f.spec.rootfs_propagation = (free(f.spec.rootfs_propagation), strdup("rshared"));
	sh(&f, "true");
	ok(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &after, NULL) == 0);
	is_str(after, before);
	free(before);
	free(after);
	fixture_done(&f);
}

static void links_are_refused(void)
{
	static const char *const places[] = { "/proc", "/sys", "/dev" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct fixture f;
		char path[128];

		fixture_init(&f);
		snprintf(path, sizeof(path), "%s%s", f.dir, places[i]);
		ok(rmdir(path) == 0);
		fixture_mkdir(&f, "/elsewhere");
		fixture_link(&f, "/elsewhere", places[i]);
		has_str(refused(&f), "symbolic link");
		has_str(f.err.msg, places[i]);
		snprintf(path, sizeof(path), "%s/elsewhere", f.dir);
		ok(rmdir(path) == 0); /* still empty */
		fixture_done(&f);
	}
}

TEST(R03_R09_a_symlink_in_place_of_proc_sys_or_dev_is_refused) { links_are_refused(); }
TEST(R03_R09_the_same_without_openat2)
{
	if (geteuid() != 0)
		skip("needs root");
	is_int(without_openat2(), 0);
	links_are_refused();
}

static void injected_files_stay_inside(void)
{
	struct fixture f;
	struct launch_file files[] = {
		{ .path = (char[]){ "/etc/hosts" }, .content = (char[]){ "127.0.0.1 localhost\n" }, .mode = 0644 },
		{ .path = (char[]){ "/etc/resolv.conf" }, .content = (char[]){ "nameserver 1.1.1.1\n" }, .mode = 0644 },
		{ .path = (char[]){ "/etc/hostname" }, .content = (char[]){ "inside\n" }, .mode = 0600 }
	};
	char canary[] = "/tmp/berth-canary.XXXXXX", text[16] = "";
	int fd = mkstemp(canary);

	ok(fd >= 0 && write(fd, "canary", 6) == 6);
	fixture_init(&f);
	fixture_file(&f, "/etc/hosts", "the image's\n");
	fixture_mkdir(&f, "/run");
	fixture_file(&f, "/run/resolv.conf", "the image's\n");
	fixture_link(&f, "../run/resolv.conf", "/etc/resolv.conf");
	f.args.files = files;
	f.args.n_files = 3;
	is_str(sh(&f, "cat /etc/hosts /etc/resolv.conf /run/resolv.conf /etc/hostname; stat -c %a /etc/hostname; echo more >> "
		      "/etc/hosts"),
	       "127.0.0.1 localhost\nnameserver 1.1.1.1\nnameserver 1.1.1.1\ninside\n600\n");
	is_str(sh(&f, "ls -A /etc/.. | wc -l"), "7\n");
	/* What the container wrote is gone with it; the image's own file is as it was. */
	f.args.n_files = 0;
	is_str(sh(&f, "cat /etc/hosts"), "the image's\n");
	/* A link to the host's canary leads into the image, where there is none: it is refused, or made inside. */
	{
		char path[128];
		snprintf(path, sizeof(path), "%s/etc/hosts", f.dir);
		ok(unlink(path) == 0);
	}
	fixture_link(&f, canary, "/etc/hosts");
	f.args.n_files = 1;
	has_str(refused(&f), "/etc/hosts");
	is_int(pread(fd, text, sizeof(text) - 1, 0), 6);
	is_str(text, "canary");
	close(fd);
	unlink(canary);
	fixture_done(&f);
}

TEST(R25_injected_files_stay_inside_the_root) { injected_files_stay_inside(); }
TEST(R25_the_same_without_openat2)
{
	if (geteuid() != 0)
		skip("needs root");
	is_int(without_openat2(), 0);
	injected_files_stay_inside();
}

TEST(R25_a_mount_through_a_symlink_stays_inside_the_root)
{
	struct fixture f;
	char victim[] = "/tmp/berth-victim.XXXXXX", path[128];

	fixture_init(&f);
	ok(mkdtemp(victim) != NULL);
	fixture_mkdir(&f, "/real");
	fixture_link(&f, "/real", "/link");
	snprintf(path, sizeof(path), "../../../../../..%s", victim);
	fixture_link(&f, path, "/escape");
	add_mount(&f, "tmpfs", "one", "/link/sub", "nosuid");
	sh(&f, "cat /proc/self/mounts");
	has_str(f.out, "one /real/sub tmpfs");
	add_mount(&f, "tmpfs", "two", "/escape/sub", "nosuid");
	/* The link leads to a path inside the root, which is not there: refused or made inside, never on the host. */
	{
		int status;
		(void)fixture_run(&f, &status);
	}
	ok(rmdir(victim) == 0);
	fixture_done(&f);
}

TEST(R07_masking_takes_only_the_real_null_device)
{
	struct fixture f;

	fixture_init(&f);
	drop_mount(&f, "/dev");
	drop_mount(&f, "/dev/pts");
	drop_mount(&f, "/dev/shm");
	drop_mount(&f, "/dev/mqueue");
	fixture_link(&f, "/proc/sys/kernel/core_pattern", "/dev/null");
	has_str(refused(&f), "/dev/null");
	{
		char path[128];
		snprintf(path, sizeof(path), "%s/dev/null", f.dir);
		ok(unlink(path) == 0);
		ok(mknod(path, S_IFCHR | 0666, makedev(1, 5)) == 0);
	}
	has_str(refused(&f), "/dev/null");
	fixture_done(&f);
}

TEST(without_a_mount_at_dev_the_nodes_are_made_on_the_root)
{
	struct fixture f;

	fixture_init(&f);
	drop_mount(&f, "/dev");
	drop_mount(&f, "/dev/pts");
	drop_mount(&f, "/dev/shm");
	drop_mount(&f, "/dev/mqueue");
	is_str(sh(&f, "head -c 2 /dev/zero | wc -c; cat /proc/interrupts"), "2\n");
	/* And again, on what the first run has left there. */
	is_str(sh(&f, "echo x > /dev/null"), "");
	fixture_done(&f);
}

TEST(R02_nothing_but_procfs_is_mounted_at_proc)
{
	struct fixture f;

	fixture_init(&f);
	add_mount(&f, "tmpfs", "tmpfs", "/proc/self/attr", "nosuid");
	has_str(refused(&f), "/proc");
	fixture_done(&f);
	fixture_init(&f);
	add_mount(&f, "bind", "/tmp", "/proc", "rbind");
	has_str(refused(&f), "procfs");
	fixture_done(&f);
	fixture_init(&f);
	add_mount(&f, "bind", "/etc/hostname", "/proc/sys/kernel/core_pattern", "bind");
	has_str(refused(&f), "inside /proc");
	fixture_done(&f);
}

TEST(lxcfs_files_may_cover_theirs)
{
	struct fixture f;

	fixture_init(&f);
	fixture_file(&f, "/tmp/uptime", "1 1\n");
	{
		char path[128];
		snprintf(path, sizeof(path), "%s/tmp/uptime", f.dir);
		add_mount(&f, "bind", path, "/proc/uptime", "bind,ro");
	}
	is_str(sh(&f, "cat /proc/uptime"), "1 1\n");
	fixture_done(&f);
}

TEST(errors_name_the_mount_and_what_the_kernel_said)
{
	static const struct {
		const char *type, *source, *dest, *options, *want;
	} rows[] = {
		{ "tmpfs", "tmpfs", "/x", "size=lots", "size" },
		{ "nosuchfs", "x", "/x", "nosuid", "nosuchfs" },
		{ "bind", "/not/there", "/x", "bind", "/not/there" },
		{ "bind", "relative", "/x", "bind", "absolute" },
		{ "bind", "/tmp", "relative", "bind", "absolute" },
		{ "bind", "/tmp", "/", "bind", "root itself" },
		{ "bind", "/tmp", "/x", "bind,r0", "r0" },
		{ "bind", "/tmp", "/x", "bind,idmap", "idmap" },
		{ "bind", "/tmp", "/etc/passwd", "bind", "not a directory" },
		{ "bind", "/etc/passwd", "/etc", "bind", "a directory" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fixture f;

		fixture_init(&f);
		add_mount(&f, rows[i].type, rows[i].source, rows[i].dest, rows[i].options);
		has_str(refused(&f), rows[i].want);
		has_str(f.err.msg, rows[i].dest);
		is_int(f.err.exit, 0);
		fixture_done(&f);
	}
}

TEST(the_root_may_come_as_a_detached_mount)
{
	struct fixture f;

	fixture_init(&f);
	f.args.rootfd = mount_clone(AT_FDCWD, f.dir, false);
	ok(f.args.rootfd >= 0);
	free(f.spec.root_path);
	f.spec.root_path = NULL;
	is_str(sh(&f, "ls -A /"), "bin\ndev\netc\nproc\nsys\ntmp\n");
	fixture_done(&f);
}

/* All that a run could leave behind in this process, after failures in early, middle and late steps. */
TEST(a_hundred_failures_leave_nothing_behind)
{
	struct fixture f;
	char *before = NULL, *after = NULL;
	int fds = 0, status;

	fixture_init(&f);
	add_mount(&f, "tmpfs", "tmpfs", "/x", "size=lots");
	/* Others on this host mount and unmount, too. */
	ok(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	ok(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &before, NULL) == 0);
	for (int i = 0; i < 100; i++) {
		struct err e = { 0 };

		/* One at a mount, one at the user, one at the exec. */
		free(f.spec.process.user.username);
		f.spec.process.user.username = i % 3 == 1 ? strdup("nobody-there") : NULL;
		memcpy(f.spec.mounts[f.spec.n_mounts - 1].options[0], i % 3 == 0 ? "size=lots" : "size=00k", 9);
		ARGS(&f, i % 3 == 2 ? "no-such-program" : "true");
		ok(fixture_run(&f, &status) < 0);
		ok(f.err.no > 0 && e.no == 0);
		if (i == 5)
			fds = count_fds();
		ok(waitpid(-1, &status, WNOHANG) < 0 && errno == ECHILD);
	}
	is_int(count_fds(), fds);
	ok(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &after, NULL) == 0);
	is_str(after, before);
	free(before);
	free(after);
	fixture_done(&f);
}

TAP_MAIN()
