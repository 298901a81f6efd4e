/* Facts that the kernel, the disks and the other layers tell when they are asked. */
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "facts.h"
#include "isolation.h"

const char *const fact_programs[FACT_PROGRAM_COUNT] = {
	[FACT_QEMU] = "qemu-system-x86_64",
	[FACT_VIRTIOFSD] = "virtiofsd",
	[FACT_QEMU_STORAGE] = "qemu-storage-daemon",
	[FACT_MKFS_EROFS] = "mkfs.erofs",
	[FACT_MKE2FS] = "mke2fs",
	[FACT_CRIU] = "criu",
	[FACT_PS] = "ps",
	[FACT_APT] = "apt-get",
	[FACT_PASTA] = "pasta",
};

/* Each is called with arguments that every kernel which knows it refuses: no call has an effect. EPERM to root is a filter's or a switch's word. */
static void ask_calls(struct facts *f)
{
	static const struct {
		long nr, args[5];
	} calls[FACT_CALL_COUNT] = {
		[FACT_CALL_OPENAT2] = { SYS_openat2, { -1, 0, 0, 0 } },
		[FACT_CALL_CLONE3] = { SYS_clone3, { 0, 0 } },
		[FACT_CALL_PIDFD_OPEN] = { SYS_pidfd_open, { -1, 0 } },
		[FACT_CALL_FSOPEN] = { SYS_fsopen, { 0, -1 } },
		[FACT_CALL_MOUNT_SETATTR] = { SYS_mount_setattr, { -1, 0, 0, 0, 0 } },
		[FACT_CALL_CLOSE_RANGE] = { SYS_close_range, { 1, 0, 0 } },
		[FACT_CALL_IO_URING] = { SYS_io_uring_setup, { 0, 0 } },
	};

	for (size_t i = 0; i < FACT_CALL_COUNT; i++) {
		const long *a = calls[i].args;
		f->has_call[i] = syscall(calls[i].nr, a[0], a[1], a[2], a[3], a[4]) >= 0 ||
				 (errno != ENOSYS && (errno != EPERM || !f->is_root));
	}
}

static void ask_isolations(struct facts *f)
{
	_cleanup_free_ char *none = NULL;
	struct err e = { 0 };

	if (f->user.ns_error)
		f->container_trouble =
			str_fmt("this user can't make the namespaces that his containers are in: %s", strerror(f->user.ns_error));
	else if (f->is_root && isolation_container.available(&f->host, &none, &e) < 0)
		f->container_trouble = strdup(e.msg);
	if (isolation_vm.available(&f->host, &f->vm_note, &e) < 0)
		f->vm_trouble = strdup(e.msg);
}

/* The file systems whose names matter or that are common; statfs(2). */
static const char *type_name(long magic)
{
	static const struct {
		long magic;
		const char *name;
	} types[] = {
		{ EXT4_SUPER_MAGIC, "ext4" },   { XFS_SUPER_MAGIC, "xfs" },
		{ BTRFS_SUPER_MAGIC, "btrfs" }, { TMPFS_MAGIC, "tmpfs" },
		{ NFS_SUPER_MAGIC, "nfs" },     { OVERLAYFS_SUPER_MAGIC, "overlay" },
		{ F2FS_SUPER_MAGIC, "f2fs" },   { FUSE_SUPER_MAGIC, "fuse" },
		{ MSDOS_SUPER_MAGIC, "vfat" },  { ECRYPTFS_SUPER_MAGIC, "ecryptfs" },
		{ 0x2fc12fc1, "zfs" },          { 0xca451a4e, "bcachefs" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].magic == magic)
			return types[i].name;
	return NULL;
}

/* Of the store, or of the nearest folder above where it is not made yet. */
static int ask_store(struct facts *f, const struct paths *p, struct err *e)
{
	_cleanup_free_ char *at = strdup(p->root);
	struct statvfs space;
	struct statfs fs;
	const char *name;

	f->store = strdup(p->root);
	if (!at || !f->store)
		return err_set(e, ENOMEM, "out of memory");
	while (statvfs(at, &space) < 0 || statfs(at, &fs) < 0) {
		char *slash = strrchr(at, '/');
		if (!slash || streq(at, "/"))
			return 0;
		slash[slash == at] = '\0';
	}
	f->store_free = (uint64_t)space.f_bavail * space.f_frsize;
	f->store_size = (uint64_t)space.f_blocks * space.f_frsize;
	if ((name = type_name((long)fs.f_type)) && !(f->store_type = strdup(name)))
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static int ask_programs(struct facts *f, const struct paths *p, struct err *e)
{
	static const char *const own[] = { "berth-monitor", "berth-transfer", "berth-init", "berth-fs", "berth-vmm" };
	_cleanup_buf_ struct buf missing = { 0 };

	for (size_t i = 0; i < FACT_PROGRAM_COUNT; i++) {
		_cleanup_free_ char *path = spawn_find(fact_programs[i]);
		f->has_program[i] = path;
	}
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		_cleanup_free_ char *path = NULL;
		struct err why = { 0 };
		if (paths_sibling(p, own[i], &path, &why) >= 0)
			continue;
		if (missing.len)
			buf_str(&missing, ", ");
		buf_str(&missing, own[i]);
	}
	if (missing.failed)
		return err_set(e, ENOMEM, "out of memory");
	f->missing = missing.len ? buf_take(&missing) : NULL;
	return 0;
}

static int ask_kernel(struct facts *f, const struct paths *p, struct err *e)
{
	struct vm_kernel_info *list = NULL;
	struct err why = { 0 };
	size_t n = 0;
	int r = 0;

	if (vm_kernels(p, &list, &n, &why) < 0)
		return 0; /* the store is not ours to read: the finding about privileges says so */
	for (size_t i = 0; i < n && r == 0; i++)
		if (list[i].is_default && !(f->kernel = strdup(list[i].name)))
			r = err_set(e, ENOMEM, "out of memory");
	vm_kernels_free(list, n);
	return r;
}

int facts_ask(struct facts *f, const struct paths *p, struct err *e)
{
	struct rlimit files = { 0 };
	int r = host_probe(&f->host, e);

	if (r < 0)
		return r;
	f->is_root = geteuid() == 0;
	getrlimit(RLIMIT_NOFILE, &files);
	f->nofile = files.rlim_max;
	ask_calls(f);
	if (!f->is_root && (r = facts_ask_user(&f->user, p, e)) < 0)
		return r;
	ask_isolations(f);
	if ((r = ask_store(f, p, e)) < 0 || (r = ask_programs(f, p, e)) < 0)
		return r;
	return ask_kernel(f, p, e);
}
