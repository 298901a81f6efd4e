/* qcow2 images as the VMM sees them: served by the distribution's qemu-storage-daemon, which is asked here as it is. */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "vm_impl.h"
#include "vm_jail.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct rig {
	char dir[40], run[64], cache[64], image[2][80];
	struct host host;
	struct paths p;
	struct launch launch;
	struct launch_disk given[2];
	struct vm_storage_disk disks[2];
	struct instance i;
};

static char *tool(const char *a, const char *b, const char *c, const char *d, const char *e, const char *f)
{
	char *argv[] = { spawn_find("qemu-img"), (char *)(uintptr_t)a, (char *)(uintptr_t)b, (char *)(uintptr_t)c,
			 (char *)(uintptr_t)d,   (char *)(uintptr_t)e, (char *)(uintptr_t)f, NULL };
	struct err err = { 0 };
	char *out = NULL;

	if (spawn_output(argv, 65536, &out, &err) < 0)
		TAP_FAIL("%s", err.msg);
	free(argv[0]);
	return tap_keep(out);
}

static void rig_init(struct rig *r)
{
	_cleanup_free_ char *daemon = spawn_find("qemu-storage-daemon"), *img = spawn_find("qemu-img");
	static char id[] = ID, qcow2[] = "qcow2", root[] = "/nowhere";
	char group[64];
	struct spec blank;
	struct err e = { 0 };

	*r = (struct rig){ .dir = "/tmp/berth-storage.XXXXXX" };
	if (geteuid() != 0)
		skip("needs root");
	if (!daemon || !img || access("/dev/fuse", R_OK | W_OK) < 0)
		skip("needs qemu-storage-daemon, qemu-img and /dev/fuse");
	ok(mkdtemp(r->dir));
	snprintf(r->run, sizeof(r->run), "%s/run", r->dir);
	snprintf(r->cache, sizeof(r->cache), "%s/cache", r->dir);
	is_int(mkdir(r->run, 0700), 0);
	r->p.root = root;
	r->launch.id = id;
	r->launch.seccomp_cache = r->cache;
	for (unsigned k = 0; k < 2; k++) {
		snprintf(r->image[k], sizeof(r->image[k]), "%s/%u.qcow2", r->dir, k);
		tool("create", "-q", "-f", "qcow2", r->image[k], "64M");
		is_int(chmod(r->image[k], 0600), 0);
		r->given[k] = (struct launch_disk){ .path = r->image[k], .format = qcow2, .is_readonly = k == 1 };
		r->disks[k].given = &r->given[k];
	}
	r->i = (struct instance){ .cfg = { .launch = &r->launch, .paths = &r->p, .rundir = r->run },
				  .vmm_pidfd = -1,
				  .storage = { .pidfd = -1, .said = -1 } };
	r->i.cfg.rundirfd = open(r->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	spec_init(&blank);
	snprintf(group, sizeof(group), "/berth-storage-test-%d", getpid());
	if (host_probe_cgroup(&r->host, &e) < 0 || cgroup_create(&r->host, group, &blank.resources, &r->i.cg, &e) < 0)
		skip("no cgroup can be made here");
}

static void rig_done(struct rig *r)
{
	struct err e = { 0 };

	vm_storage_end(&r->i, 5000);
	if (cgroup_remove(r->i.cg, &e) < 0)
		TAP_FAIL("%s", e.msg);
	fd_close(r->i.cfg.rundirfd);
	host_done(&r->host);
	is_int(rm_rf(AT_FDCWD, r->dir), 0);
}

/* As at a VM's start: the image is open and locked, and is closed once it is served. */
static int start(struct rig *r, size_t n, struct err *e)
{
	int images[2] = { -1, -1 }, res = 0;

	for (size_t k = 0; k < n && res >= 0; k++) {
		struct vm_given g;

		if (vm_given_open(&r->given[k], &g, e) < 0 || vm_given_lock(&r->given[k], g.fd, e) < 0)
			TAP_FAIL("%s", e->msg);
		images[k] = r->disks[k].fd = g.fd;
		r->disks[k].file_max = g.file_max;
	}
	res = vm_storage_start(&r->i, r->disks, n, e);
	for (size_t k = 0; k < n; k++)
		fd_close(images[k]);
	return res;
}

static void must_start(struct rig *r, size_t n)
{
	struct err e = { 0 };

	if (start(r, n, &e) < 0)
		TAP_FAIL("%s", e.msg);
}

static char *line_of(pid_t pid, const char *what, const char *key)
{
	_cleanup_free_ char *path = str_fmt("/proc/%d/%s", (int)pid, what), *text = NULL;
	const char *at;

	if (file_read(AT_FDCWD, path, 65536, &text, NULL) < 0)
		TAP_FAIL("%s", path);
	at = strstr(text, key);
	return at ? tap_keep(strndup(at + strlen(key), strcspn(at + strlen(key), "\n"))) : NULL;
}

static unsigned open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	ok(d != NULL);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

TEST(an_image_is_a_file_of_the_disks_size_that_is_written_through)
{
	struct rig r;
	struct stat st;
	char b[16] = "";

	rig_init(&r);
	unsigned before = open_files();
	must_start(&r, 2);
	int fd = r.disks[0].fd, ro = r.disks[1].fd;
	is_int(fstat(fd, &st), 0);
	ok(S_ISREG(st.st_mode) && st.st_size == 64 << 20);
	is_int((int)pwrite(fd, "written", 7, 5 << 20), 7);
	is_int(fsync(fd), 0);
	ok(pwrite(fd, "beyond", 6, 64 << 20) < 0); /* it does not grow */
	is_int((int)pread(fd, b, 7, 5 << 20), 7);
	is_str(b, "written");
	is_int((int)pread(ro, b, 7, 0), 7);
	is_str(b, "");
	ok(pwrite(ro, "x", 1, 0) < 0 && errno == EBADF);
	vm_storage_end(&r.i, 5000);
	is_int(open_files(), before);
	tool("check", "-q", "-f", "qcow2", r.image[0], NULL);
	has_str(tool("map", "-f", "qcow2", r.image[0], NULL, NULL), "0x500000");
	rig_done(&r);
}

TEST(zeroes_are_zeroes_and_a_discard_gives_whole_clusters_back)
{
	struct rig r;
	char b[2] = "";
	struct stat st;
	_cleanup_free_ char *big = calloc(1, 8 << 20);

	rig_init(&r);
	must_start(&r, 1);
	int fd = r.disks[0].fd;
	ok(big != NULL);
	memset(big, 'x', 8 << 20);
	is_int((int)pwrite(fd, big, 8 << 20, 0), 8 << 20);
	/* Part of a cluster: what virtio/blk.c asks for where holes_are_hints. */
	is_int(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 4096, 4096), 0);
	is_int((int)pread(fd, b, 1, 4096), 1);
	is_int(b[0], 0);
	is_int((int)pread(fd, b, 1, 8192), 1);
	is_int(b[0], 'x');
	is_int(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 6 << 20), 0);
	is_int((int)pread(fd, b, 1, 2 << 20), 1);
	is_int(b[0], 0);
	is_int(fsync(fd), 0);
	is_int(stat(r.image[0], &st), 0);
	ok(st.st_blocks * 512 < 4 << 20);
	rig_done(&r);
}

TEST(V11_the_daemon_sees_its_images_alone_and_has_nothing_else_of_the_host)
{
	struct rig r;
	unsigned n = 0;

	rig_init(&r);
	must_start(&r, 2);
	pid_t pid = r.i.storage.pid;
	_cleanup_free_ char *root = str_fmt("/proc/%d/root", (int)pid), *mine = NULL;
	uid_t vmm;
	struct err why = { 0 };
	DIR *d = opendir(root);

	is_int(vm_jail_uid(ID, VM_JAIL_VMM, &vmm, &why), 0);
	mine = str_fmt("%u", vmm);
	ok(d != NULL && mine);
	for (struct dirent *e; (e = readdir(d));) {
		static const char *const known[] = { ".",   "..",   "usr", "lib", "lib32", "lib64",
						     "bin", "sbin", "etc", "dev", "disk0", "disk1" };
		bool is_known = false;

		for (size_t k = 0; k < ARRAY_SIZE(known); k++)
			is_known |= streq(e->d_name, known[k]);
		if (!is_known)
			TAP_FAIL("it sees /%s", e->d_name);
		n += str_after(e->d_name, "disk") != NULL;
	}
	closedir(d);
	is_int(n, 2);
	ok(!strstr(line_of(pid, "status", "Uid:\t"), mine)); /* another user than its VMM */
	for (const char *const *key = (const char *const[]){ "CapEff:\t", "CapPrm:\t", "CapBnd:\t", "CapAmb:\t", NULL }; *key;
	     key++)
		is_str(line_of(pid, "status", *key), "0000000000000002"); /* CAP_DAC_OVERRIDE */
	is_str(line_of(pid, "status", "NoNewPrivs:\t"), "1");
	is_str(line_of(pid, "status", "Seccomp:\t"), "2");
	has_str(line_of(pid, "status", "NSpid:\t"), "\t1");
	has_str(line_of(pid, "limits", "Max core file size"), " 0 ");
	ok(!strstr(line_of(pid, "limits", "Max file size"), "unlimited"));
	for (const char *const *ns = (const char *const[]){ "mnt", "pid", "net", "ipc", "uts", NULL }; *ns; ns++) {
		char a[64] = "", b[64] = "", path[64];

		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, *ns);
		ok(readlink(path, a, sizeof(a) - 1) > 0);
		snprintf(path, sizeof(path), "/proc/self/ns/%s", *ns);
		ok(readlink(path, b, sizeof(b) - 1) > 0 && !streq(a, b));
	}
	/* A read-only image is so for it as well, and no mount of any of it is the host's. */
	has_str(line_of(pid, "mountinfo", " /disk1 "), "ro,");
	ok(!line_of(getpid(), "mountinfo", "berth-storage"));
	rig_done(&r);
}

TEST(V08_a_served_image_is_locked_against_everybody)
{
	struct rig r;
	struct vm_given g;
	struct err e = { 0 };

	rig_init(&r);
	must_start(&r, 1);
	if (vm_given_open(&r.given[0], &g, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_int(vm_given_lock(&r.given[0], g.fd, &e), -EBUSY);
	r.given[0].is_readonly = true;
	is_int(vm_given_lock(&r.given[0], g.fd, &e), -EBUSY);
	has_str(e.msg, "writes it");
	r.given[0].is_readonly = false;
	vm_storage_end(&r.i, 5000);
	is_int(vm_given_lock(&r.given[0], g.fd, &e), 0);
	fd_close(g.fd);
	/* One that is read is read by others too, and by nobody written. */
	r.given[0] = r.given[1];
	must_start(&r, 1);
	if (vm_given_open(&r.given[0], &g, &e) < 0 || vm_given_lock(&r.given[0], g.fd, &e) < 0)
		TAP_FAIL("%s", e.msg);
	fd_close(g.fd);
	r.given[0].is_readonly = false;
	if (vm_given_open(&r.given[0], &g, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_int(vm_given_lock(&r.given[0], g.fd, &e), -EBUSY);
	fd_close(g.fd);
	rig_done(&r);
}

TEST(a_killed_daemon_is_an_error_at_once_and_what_was_synced_is_there)
{
	struct rig r;
	char b[8];

	rig_init(&r);
	must_start(&r, 1);
	int fd = r.disks[0].fd;
	is_int((int)pwrite(fd, "synced", 6, 1 << 20), 6);
	is_int(fdatasync(fd), 0);
	ok(!vm_storage_has_ended(&r.i));
	is_int(kill(r.i.storage.pid, SIGKILL), 0);
	ok(poll(&(struct pollfd){ .fd = r.i.storage.pidfd, .events = POLLIN }, 1, 5000) == 1);
	ok(vm_storage_has_ended(&r.i));
	ok(pwrite(fd, "lost", 4, 0) < 0 && errno == ENOTCONN);
	ok(pread(fd, b, 4, 32 << 20) < 0);
	ok(fsync(fd) < 0);
	vm_storage_end(&r.i, 0);
	must_start(&r, 1);
	is_int((int)pread(r.disks[0].fd, b, 6, 1 << 20), 6);
	ok(memcmp(b, "synced", 6) == 0);
	rig_done(&r);
}

/* The kernel lets nobody out of a call into a FUSE file system that was taken and is not answered, SIGKILL or not. */
TEST(V11_a_daemon_that_never_answers_keeps_nobody_from_ending)
{
	struct rig r;
	char c;

	rig_init(&r);
	must_start(&r, 1);
	pid_t vmm = fork(), daemon = r.i.storage.pid;
	if (vmm == 0) {
		for (off_t at = 0;; at += 4096)
			(void)!pread(r.disks[0].fd, &c, 1, at % (64 << 20));
	}
	r.i.vmm = vmm;
	r.i.vmm_pidfd = pidfd_open_(vmm);
	ok(r.i.vmm_pidfd >= 0);
	usleep(50000);
	is_int(kill(daemon, SIGSTOP), 0);
	usleep(50000);
	alarm(60); /* else for ever */
	vm_process_end(&r.i, 0);
	alarm(0);
	ok(kill(vmm, 0) < 0 && kill(daemon, 0) < 0);
	fd_close(r.i.vmm_pidfd);
	rig_done(&r);
}

TEST(an_image_that_can_not_be_opened_is_named_with_qemus_reason)
{
	struct rig r;
	struct err e = { 0 };

	rig_init(&r);
	_cleanup_fd_ int image = open(r.image[0], O_RDWR | O_CLOEXEC);
	uint64_t beyond = 0xffffffffffff0000; /* l1_table_offset */
	unsigned before = open_files();

	is_int((int)pwrite(image, &beyond, sizeof(beyond), 40), 8);
	is_int(start(&r, 1, &e), -EIO);
	has_str(e.msg, r.image[0]);
	has_str(e.msg, "qemu-storage-daemon: ");
	has_str(e.msg, "L1");
	is_int(r.i.storage.pid, 0);
	is_int(open_files(), before);
	rig_done(&r);
}

TEST(V08_the_daemon_is_told_each_format_and_that_there_is_no_backing_file)
{
	char qcow2[] = "qcow2";
	const struct launch_disk given[] = { { .format = qcow2 }, { .format = qcow2, .is_readonly = true } };
	const struct vm_storage_disk disks[] = { { .given = &given[0] }, { .given = &given[1] } };
	_cleanup_strv_ char **v = vm_storage_args("/usr/bin/qemu-storage-daemon", disks, 2);

	ok(v != NULL);
	is_int(strv_len(v), 13);
	is_str(v[2], "{\"driver\":\"qcow2\",\"node-name\":\"disk0\",\"read-only\":false,\"discard\":\"unmap\",\"backing\":null,"
		     "\"file\":{\"driver\":\"file\",\"filename\":\"\\/"
		     "disk0\",\"read-only\":false,\"discard\":\"unmap\",\"locking\":\"on\"}}");
	has_str(v[4], "mountpoint=/dev/fd/4,writable=on,growable=off");
	has_str(v[6], "\"read-only\":true");
	has_str(v[8], "mountpoint=/dev/fd/5,writable=off");
	is_str(v[11], "--monitor"); /* behind all that must have been done */
}

TAP_MAIN()
