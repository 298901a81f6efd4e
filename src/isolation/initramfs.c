/* initramfs: berth-init and the few modules that a guest's kernel needs, as one archive that is made once per kernel and
 * build. Modules come in the order in which they are to be loaded (kmod.h's "depends="), so that berth-init needs neither
 * modprobe nor its indexes. */
#include <dirent.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "vm_impl.h"

#define MODULE_MAX (16u << 20)
#define DEPTH_MAX  16 /* of directories and of dependencies */

static const struct wanted {
	const char *name, *list;
	bool is_optional;
} wanted[] = {
	/* erofs and ext4 ask the crypto layer for it by name, which no "depends=" shows */
	{ "crc32c_generic", GUEST_MODULES_BOOT, true },
	{ "virtio_mmio", GUEST_MODULES_BOOT, false },
	{ "virtio_pci", GUEST_MODULES_BOOT, false }, /* berth-vmm's; the one before is QEMU's */
	{ "virtio_console", GUEST_MODULES_BOOT, false },
	{ "virtio_blk", GUEST_MODULES_BOOT, false },
	{ "erofs", GUEST_MODULES_BOOT, false },
	{ "ext4", GUEST_MODULES_BOOT, false },
	{ "overlay", GUEST_MODULES_BOOT, false },
	{ "virtiofs", GUEST_MODULES_SHARE, false },
	{ "virtio_net", GUEST_MODULES_NET, true }, /* where it is wanted and missing, the guest says so */
	/* a guest without it has still the host's entropy of its start */
	{ "virtio_rng", GUEST_MODULES_BOOT, true },
	/* nor is memory that is given back anything to wait for */
	{ "virtio_balloon", GUEST_MODULES_LATE, true },
	{ "virtio_mem", GUEST_MODULES_LATE, true },
};
static const char *const list_names[] = { GUEST_MODULES_BOOT, GUEST_MODULES_SHARE, GUEST_MODULES_NET, GUEST_MODULES_LATE };
#define LISTS ARRAY_SIZE(list_names)

/* Files of the modules directory by normalised module name. */
struct index {
	struct string_map paths;
	char *builtin; /* modules.builtin, or NULL */
	const char *kernel;
};

struct archive {
	struct cpio cpio;
	struct buf lists[LISTS];
	char **done; /* names that are in it */
	const struct index *index;
};

static int add_file(struct index *x, const char *path, const char *file)
{
	_cleanup_free_ char *name = strdup(file);
	char *dot = name ? strstr(name, ".ko") : NULL;

	if (!name)
		return -ENOMEM;
	if (!dot || (dot[3] && dot[3] != '.'))
		return 0;
	*dot = '\0';
	return map_set(&x->paths, kmod_normalise(name), path);
}

static int index_dir(struct index *x, const char *dir, int depth)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	int r = 0;

	if (!d)
		return -errno;
	while (r >= 0 && (de = readdir(d))) {
		_cleanup_free_ char *path = NULL;

		if (de->d_name[0] == '.' || (de->d_type == DT_LNK))
			continue;
		path = str_fmt("%s/%s", dir, de->d_name);
		if (!path)
			r = -ENOMEM;
		else if (de->d_type == DT_DIR)
			r = depth < DEPTH_MAX ? index_dir(x, path, depth + 1) : -ELOOP;
		else
			r = add_file(x, path, de->d_name);
	}
	closedir(d);
	return r;
}

/* modules.builtin lists "kernel/fs/ext4/ext4.ko"; without that file the best guess is that what is missing is built in. */
static bool is_builtin(const struct index *x, const char *name)
{
	_cleanup_free_ char *text = x->builtin ? strdup(x->builtin) : NULL;
	char *save = NULL;

	if (!text)
		return true;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *base = strrchr(l, '/'), *dot = strstr(l, ".ko");

		if (!base || !dot)
			continue;
		*dot = '\0';
		if (streq(kmod_normalise(base + 1), name))
			return true;
	}
	return false;
}

/* ---- reading a module, decompressed ---- */

static int decompress(const char *program, const char *path, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *exe = spawn_find(program), *file = strdup(path);
	_cleanup_fd_ int out = memfd_create("module", MFD_CLOEXEC);
	char opt[] = "-dc", *argv[] = { exe, opt, file, NULL };
	const int fds[][2] = { { out, 1 } };
	struct spawn s = { .path = exe, .argv = argv, .fds = fds, .n_fds = 1 };
	pid_t pid;
	int st = 0, r;

	if (!exe)
		return err_set(e, ENOENT, "%s is compressed: install %s-utils, or %s", path, program, program);
	if (out < 0 || !file)
		return err_set(e, ENOMEM, "out of memory");
	r = spawn_start(&s, &pid, NULL, e);
	if (r >= 0)
		r = spawn_wait(pid, &st);
	if (r < 0 || st != 0)
		return err_set(e, EIO, "%s: %s could not decompress it", path, program);
	if (lseek(out, 0, SEEK_SET) < 0 || (r = fd_read_all(out, MODULE_MAX, ret, ret_len)) < 0)
		return err_set(e, EIO, "%s: larger than %u bytes", path, MODULE_MAX);
	return 0;
}

static int read_module(const char *path, char **ret, size_t *ret_len, struct err *e)
{
	static const struct {
		const char *suffix, *program;
	} packers[] = { { ".ko.xz", "xz" }, { ".ko.zst", "zstd" }, { ".ko.gz", "gzip" } };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(packers); i++)
		if (str_ends(path, packers[i].suffix))
			return decompress(packers[i].program, path, ret, ret_len, e);
	r = file_read(AT_FDCWD, path, MODULE_MAX, ret, ret_len);
	return r < 0 ? err_set(e, -r, "kernel module %s: %s", path, strerror(-r)) : 0;
}

/* ---- putting together ---- */

static bool strv_has(char *const *v, const char *s)
{
	for (; v && *v; v++)
		if (streq(*v, s))
			return true;
	return false;
}

static int add_module(struct archive *a, const char *name, const char *list, bool is_optional, int depth, struct err *e)
{
	_cleanup_free_ char *data = NULL, *inside = NULL;
	_cleanup_strv_ char **depends = NULL;
	const char *path = map_get(&a->index->paths, name);
	size_t n = 0;
	int r;

	if (strv_has(a->done, name))
		return 0;
	if (!path) {
		if (is_optional || is_builtin(a->index, name))
			return 0;
		return err_set(e, ENOENT,
			       "kernel %s has no %s: choose one made for virtual machines, such as linux-image-cloud-amd64",
			       a->index->kernel, name);
	}
	if (depth > DEPTH_MAX)
		return err_set(e, ELOOP, "kernel module %s: its dependencies go round in a circle", name);
	r = read_module(path, &data, &n, e);
	if (r < 0)
		return r;
	r = kmod_depends(data, n, &depends);
	if (r < 0)
		return err_set(e, -r, "kernel module %s: damaged", path);
	for (char **d = depends; d && *d; d++) {
		r = add_module(a, *d, list, false, depth + 1, e);
		if (r < 0)
			return r;
	}
	inside = str_fmt("%s/%s.ko", &GUEST_MODULES[1], name);
	if (!inside || strv_push(&a->done, name) < 0)
		return err_set(e, ENOMEM, "out of memory");
	/* Without its signature: checking it costs an emulated guest milliseconds a module, and whoever could change this archive
	 * could as well change the kernel beside it. */
	cpio_add(&a->cpio, inside, S_IFREG | 0400, data, kmod_unsigned_len(data, n));
	for (size_t i = 0; i < LISTS; i++)
		if (streq(list, list_names[i]))
			buf_fmt(&a->lists[i], "%s.ko\n", name);
	return 0;
}

static int add_modules(struct archive *a, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(wanted) && r >= 0 && a->index; i++)
		r = add_module(a, wanted[i].name, wanted[i].list, wanted[i].is_optional, 0, e);
	for (size_t i = 0; i < LISTS && r >= 0; i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/%s", &GUEST_MODULES[1], list_names[i]);
		cpio_add(&a->cpio, path, S_IFREG | 0400, a->lists[i].data, a->lists[i].len);
	}
	return r;
}

static int add_init(struct archive *a, const char *init, struct err *e)
{
	_cleanup_free_ char *data = NULL;
	size_t n = 0;
	int r = file_read(AT_FDCWD, init, MODULE_MAX, &data, &n);

	if (r < 0)
		return err_set(e, -r, "%s: %s", init, strerror(-r));
	cpio_add(&a->cpio, &GUEST_INIT[1], S_IFREG | 0755, data, n);
	return 0;
}

static int make_archive(const char *init, const struct index *x, struct archive *a, struct err *e)
{
	static const char *const dirs[] = { "dev", "proc", "sys", "run", "tmp", "etc", &GUEST_MODULES[1] };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		cpio_add(&a->cpio, dirs[i], S_IFDIR | 0755, NULL, 0);
	/* In the place of the device that the kernel's own archive has there, which it would open for PID 1. A serial port that is a
	 * console is not shut down again when it is closed (drivers/tty/tty_port.c, tty_port_shutdown), and one without an
	 * interrupt is looked at a hundred times a second as long as it is not, an exit each. What the kernel prints there needs no open port. */
	cpio_add(&a->cpio, "dev/console", S_IFREG | 0600, NULL, 0);
	a->index = x;
	r = add_modules(a, e);
	if (r >= 0)
		r = add_init(a, init, e);
	if (r >= 0 && cpio_finish(&a->cpio) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	return r;
}

static int make_index(const struct vm_kernel *k, struct index *x, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/modules.builtin", k->modules);
	int r = index_dir(x, k->modules, 0);

	if (r < 0)
		return err_set(e, -r, "kernel modules in %s: %s", k->modules, strerror(-r));
	if (path)
		file_read(AT_FDCWD, path, 4 << 20, &x->builtin, NULL); /* absent: see is_builtin */
	x->kernel = k->version;
	return 0;
}

static int write_archive(const struct vm_kernel *k, const char *init, const char *name, struct err *e)
{
	struct archive a = { .done = NULL };
	struct index x = { .kernel = NULL };
	_cleanup_fd_ int dir = open(k->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (dir < 0 || flock(dir, LOCK_EX) < 0)
		return err_set(e, errno, "%s: %s", k->cache, strerror(errno));
	if (faccessat(dir, name, R_OK, 0) == 0)
		return 0; /* another process was faster */
	if (k->modules)
		r = make_index(k, &x, e);
	if (r >= 0)
		r = make_archive(init, k->modules ? &x : NULL, &a, e);
	if (r >= 0) {
		r = file_replace(dir, name, a.cpio.out.data, a.cpio.out.len, 0444, true);
		if (r < 0)
			err_set(e, -r, "%s/%s: %s", k->cache, name, strerror(-r));
	}
	buf_done(&a.cpio.out);
	for (size_t i = 0; i < LISTS; i++)
		buf_done(&a.lists[i]);
	strv_free(a.done);
	map_done(&x.paths);
	free(x.builtin);
	return r;
}

/* Named by all that goes into it, so a name never means two things: this build, the very file of berth-init, the kernel. */
static int archive_name(const struct vm_kernel *k, const char *init, char **ret, struct err *e)
{
	_cleanup_free_ char *key = NULL;
	char digest[DIGEST_LEN];
	struct stat st, kst;

	if (stat(init, &st) < 0 || stat(k->image, &kst) < 0)
		return err_set(e, errno, "%s: %s", init, strerror(errno));
	key = str_fmt("%s %lld.%ld %lld %s %s %lld.%ld %lld", k->version, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
		      (long long)st.st_size, k->modules ? k->modules : "-", k->image, (long long)kst.st_mtim.tv_sec,
		      kst.st_mtim.tv_nsec, (long long)kst.st_size);
	if (!key)
		return err_set(e, ENOMEM, "out of memory");
	sha256_digest_str(key, strlen(key), digest);
	*ret = str_fmt("initramfs-%s-%.16s.cpio", build_id(), digest_hex(digest));
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int find_path(const struct paths *p, const struct vm_kernel *k, char **ret_init, char **ret_name, char **ret_path,
		     struct err *e)
{
	_cleanup_free_ char *init = NULL, *name = NULL;
	int r = paths_sibling(p, "berth-init", &init, e);

	if (r >= 0)
		r = archive_name(k, init, &name, e);
	if (r < 0)
		return r;
	*ret_path = str_fmt("%s/%s", k->cache, name);
	if (!*ret_path)
		return err_set(e, ENOMEM, "out of memory");
	*ret_init = TAKE_PTR(init);
	*ret_name = TAKE_PTR(name);
	return 0;
}

int vm_initramfs_name(const struct paths *p, const struct vm_kernel *k, char **ret_name, struct err *e)
{
	_cleanup_free_ char *init = NULL, *path = NULL;

	return find_path(p, k, &init, ret_name, &path, e);
}

int vm_initramfs(const struct paths *p, const struct vm_kernel *k, char **ret_path, struct err *e)
{
	_cleanup_free_ char *init = NULL, *name = NULL, *path = NULL;
	int r = find_path(p, k, &init, &name, &path, e);

	if (r >= 0 && access(path, R_OK) < 0)
		r = write_archive(k, init, name, e);
	if (r < 0)
		return r;
	*ret_path = TAKE_PTR(path);
	return 0;
}
