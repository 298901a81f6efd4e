/* kernel: which kernel a guest boots. In this order: the one that was asked for (--kernel, a name or a path), the default of
 * the store (kernel_store.c, which says what is there), one that is installed on the host for virtual machines, one fetched from
 * the distribution. A kernel and its initramfs are for everybody to read, below directories that are root's alone: the VMM,
 * which is nobody, gets them mounted or open. */
#include <glob.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm_impl.h"

#define HOST_KERNELS "/boot/vmlinuz-*-cloud-amd64"

struct mapped {
	void *p;
	size_t n;
};

static void mapped_done(struct mapped *m)
{
	if (m->p)
		munmap(m->p, m->n);
}

static int map_file(const char *path, struct mapped *ret, struct err *e)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "kernel %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return err_set(e, ENOEXEC, "kernel %s: not a Linux kernel (%s)", path,
			       S_ISREG(st.st_mode) ? "empty" : "not a file");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, errno, "kernel %s: %s", path, strerror(errno));
	*ret = (struct mapped){ p, (size_t)st.st_size };
	return 0;
}

/* An ELF kernel has no header for its version, but the banner that it prints first. */
static char *elf_version(const struct mapped *m)
{
	static const char banner[] = "Linux version ";
	const char *s = memmem(m->p, m->n, banner, sizeof(banner) - 1), *end = (const char *)m->p + m->n;
	size_t n = 0;

	if (!s)
		return NULL;
	for (s += sizeof(banner) - 1; s + n < end && s[n] > ' ' && s[n] < 127 && s[n] != '/' && n < 128; n++)
		;
	return n && s[0] != '.' && s + n < end && s[n] == ' ' ? strndup(s, n) : NULL;
}

static char *find_modules(const char *kernel, const char *version)
{
	_cleanup_free_ char *dir = strdup(kernel);
	char *slash = dir ? strrchr(dir, '/') : NULL, *found;

	if (!slash)
		return NULL;
	*slash = '\0';
	const struct {
		const char *base, *sub;
	} places[] = {
		{ dir, "/../lib/modules/" }, { dir, "/lib/modules/" }, { "", "/lib/modules/" }, { "", "/usr/lib/modules/" }
	};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		found = str_fmt("%s%s%s", places[i].base, places[i].sub, version);
		if (found && access(found, R_OK | X_OK) == 0)
			return found;
		free(found);
	}
	return NULL;
}

/* A path: booted as it is. No modules beside it: then it has to have built in what a guest needs. */
static int use_path(const struct paths *p, const char *path, struct vm_kernel *ret, struct err *e)
{
	_cleanup_(vm_kernel_done) struct vm_kernel k = { .image = realpath(path, NULL) };
	_cleanup_(mapped_done) struct mapped m = { NULL };
	struct bzimage z;
	int r;

	if (!k.image)
		return err_set(e, errno, "--kernel: %s: %s", path, strerror(errno));
	r = map_file(k.image, &m, e);
	if (r < 0)
		return err_push(e, r, "--kernel");
	if (is_elf(m.p, m.n)) {
		r = vmlinux_check(m.p, m.n, e);
		if (r < 0)
			return err_push(e, r, "--kernel: %s", path);
		k.version = elf_version(&m);
		if (!k.version)
			return err_set(e, ENOEXEC, "--kernel: %s: an ELF file, but it names no Linux version", path);
	} else {
		r = bzimage_parse(m.p, m.n, &z, e);
		if (r < 0)
			return err_push(e, r, "--kernel: %s", path);
		k.version = strdup(z.version);
	}
	k.cache = str_fmt("%s/kernels/custom", p->root);
	if (!k.version || !k.cache)
		return err_set(e, ENOMEM, "out of memory");
	k.modules = find_modules(k.image, k.version);
	r = mkdir_p(AT_FDCWD, k.cache, 0700);
	if (r < 0)
		return err_set(e, -r, "%s: %s", k.cache, strerror(-r));
	*ret = k;
	k = (struct vm_kernel){ NULL };
	return 0;
}

/* ---- making one ---- */

static int write_kernel(int dirfd, const char *vmlinuz, char **ret_version, struct err *e)
{
	_cleanup_(mapped_done) struct mapped m = { NULL };
	_cleanup_free_ uint8_t *elf = NULL;
	struct bzimage z;
	size_t n = 0;
	int r = map_file(vmlinuz, &m, e);

	if (r >= 0)
		r = bzimage_parse(m.p, m.n, &z, e);
	if (r < 0)
		return err_push(e, r, "%s", vmlinuz);
	r = bzimage_unpack(&z, &elf, &n);
	if (r < 0 && r != -EOPNOTSUPP)
		return err_set(e, -r, "%s: damaged kernel: %s", vmlinuz, strerror(-r));
	if (r >= 0 && vmlinux_has_pvh(elf, n))
		r = file_replace(dirfd, "kernel", elf, n, 0444, true);
	else
		r = file_replace(dirfd, "kernel", m.p, m.n, 0444, true);
	if (r < 0)
		return err_set(e, -r, "copy of %s: %s", vmlinuz, strerror(-r));
	*ret_version = strdup(z.version);
	return *ret_version ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* Makes BASE/VERSION of a vmlinuz and its modules, which are moved there when they lie below tmp and linked to otherwise. */
static int import(const char *base, const char *tmp, const char *vmlinuz, const char *modules, char **ret_version, struct err *e)
{
	_cleanup_free_ char *dir = str_fmt("%s/new", tmp), *version = NULL, *to = NULL, *dest = NULL;
	_cleanup_fd_ int fd = -1;
	int r;

	if (!dir || mkdir(dir, 0700) < 0 || (fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_set(e, errno, "%s: %s", dir ? dir : tmp, strerror(errno));
	r = write_kernel(fd, vmlinuz, &version, e);
	if (r < 0)
		return r;
	to = str_fmt("%s/modules", dir);
	dest = str_fmt("%s/%s", base, version);
	if (!to || !dest)
		return err_set(e, ENOMEM, "out of memory");
	if (str_after(modules, tmp) ? rename(modules, to) < 0 : symlink(modules, to) < 0)
		return err_set(e, errno, "%s: %s", to, strerror(errno));
	r = rm_rf(AT_FDCWD, dest); /* not whole, or it would have been used */
	if (r < 0 || syncfs(fd) < 0 || rename(dir, dest) < 0)
		return err_set(e, r < 0 ? -r : errno, "%s: %s", dest, strerror(r < 0 ? -r : errno));
	*ret_version = TAKE_PTR(version);
	return 0;
}

static int from_host(const char *base, const char *tmp, char **ret_version, struct err *e)
{
	_cleanup_free_ char *modules = NULL;
	const char *best = NULL;
	glob_t g = { 0 };
	int r = -ENOENT;

	if (glob(HOST_KERNELS, 0, NULL, &g) == 0)
		for (size_t i = 0; i < g.gl_pathc; i++)
			if (!best || strverscmp(g.gl_pathv[i], best) > 0)
				best = g.gl_pathv[i];
	if (best)
		modules = find_modules(best, strchr(best, '-') + 1);
	if (modules)
		r = import(base, tmp, best, modules, ret_version, e);
	globfree(&g);
	return r;
}

static int from_distribution(const char *base, const char *tmp, char **ret_version, struct err *e)
{
	_cleanup_free_ char *vmlinuz = NULL, *modules = NULL;
	int r = vm_kernel_fetch(tmp, &vmlinuz, &modules, e);

	return r < 0 ? r : import(base, tmp, vmlinuz, modules, ret_version, e);
}

/* Under the lock: another process may have made it while we waited. */
static int make(const char *base, struct vm_kernel *ret, struct err *e)
{
	_cleanup_free_ char *tmp = str_fmt("%s/.tmp-XXXXXX", base), *version = NULL;
	int r = vm_kernel_default(base, ret, e);

	if (r != -ENOENT)
		return r;
	if (!tmp || !mkdtemp(tmp))
		return err_set(e, errno, "%s: %s", base, strerror(errno));
	r = from_host(base, tmp, &version, e);
	if (r == -ENOENT)
		r = from_distribution(base, tmp, &version, e);
	rm_rf(AT_FDCWD, tmp);
	return r < 0 ? r : vm_kernel_named(base, version, ret, e);
}

int vm_kernel_cached(const struct paths *p, struct vm_kernel *ret, struct err *e)
{
	_cleanup_free_ char *base = str_fmt("%s/kernels", p->root);

	return base ? vm_kernel_default(base, ret, e) : err_set(e, ENOMEM, "out of memory");
}

int vm_kernel_lock(const struct paths *p, bool waits, struct err *e)
{
	_cleanup_free_ char *base = str_fmt("%s/kernels", p->root), *path = str_fmt("%s/kernels/lock", p->root);
	int r = base ? mkdir_p(AT_FDCWD, base, 0700) : -ENOMEM;

	if (r < 0)
		return err_set(e, -r, "%s/kernels: %s", p->root, strerror(-r));
	_cleanup_fd_ int lock = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (lock < 0 || flock(lock, waits ? LOCK_EX : LOCK_EX | LOCK_NB) < 0)
		return err_set(e, errno, "%s: %s", path ? path : p->root, strerror(errno));
	return TAKE_FD(lock);
}

void vm_kernel_remove_stale(const char *base)
{
	_cleanup_free_ char *pattern = str_fmt("%s/.tmp-*", base);
	glob_t g = { 0 };

	if (pattern && glob(pattern, 0, NULL, &g) == 0)
		for (size_t i = 0; i < g.gl_pathc; i++)
			rm_rf(AT_FDCWD, g.gl_pathv[i]);
	globfree(&g);
}

/* A name of the store comes before a file of the same name in the working directory; "./NAME" is always the file. */
static int use_asked(const struct paths *p, const char *base, const char *asked, struct vm_kernel *ret, struct err *e)
{
	_cleanup_free_ char *path = NULL;
	const char *inside;
	int r = strchr(asked, '/') ? -ENOENT : vm_kernel_named(base, asked, ret, e);

	if (r != -ENOENT)
		return r;
	path = realpath(asked, NULL);
	if (!path && errno == ENOENT && !strchr(asked, '/'))
		return err_set(e, ENOENT, "--kernel: %s: neither a kernel of the store (berth kernel ls) nor a file", asked);
	inside = path ? str_after(path, base) : NULL;
	if (inside && inside[0] == '/' && str_ends(inside, "/kernel")) { /* the store's own, by its path */
		_cleanup_free_ char *name = strndup(inside + 1, strlen(inside) - strlen("//kernel"));

		r = name ? vm_kernel_named(base, name, ret, e) : err_set(e, ENOMEM, "out of memory");
		if (r != -ENOENT)
			return r;
	}
	return use_path(p, asked, ret, e);
}

int vm_kernel_find(const struct paths *p, const char *asked, struct vm_kernel *ret, struct err *e)
{
	_cleanup_free_ char *base = str_fmt("%s/kernels", p->root);
	_cleanup_fd_ int lock = -1;
	int r;

	if (!base)
		return err_set(e, ENOMEM, "out of memory");
	if (asked)
		return use_asked(p, base, asked, ret, e);
	r = vm_kernel_default(base, ret, e);
	if (r != -ENOENT)
		return r;
	lock = vm_kernel_lock(p, true, e);
	if (lock < 0)
		return lock;
	vm_kernel_remove_stale(base);
	return make(base, ret, e);
}

/* Caches of older builds were root's alone; a VMM would need a copy at each start. */
static int open_to_all(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0 || (!(st.st_mode & S_IROTH) && chmod(path, 0444) < 0))
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	return 0;
}

int vm_prepare(const struct paths *p, const char *asked, struct vm_boot *ret, struct err *e)
{
	_cleanup_(vm_kernel_done) struct vm_kernel k = { NULL };
	_cleanup_free_ char *initramfs = NULL;
	int r = vm_kernel_find(p, asked, &k, e);

	if (r >= 0)
		r = vm_initramfs(p, &k, &initramfs, e);
	if (r >= 0)
		r = open_to_all(initramfs, e);
	if (r >= 0 && k.name)
		r = open_to_all(k.image, e);
	if (r < 0)
		return r;
	*ret = (struct vm_boot){ 0 };
	ret->kernel = TAKE_PTR(k.image);
	ret->initramfs = TAKE_PTR(initramfs);
	ret->name = TAKE_PTR(k.name);
	return 0;
}

void vm_boot_done(struct vm_boot *b)
{
	free(b->kernel);
	free(b->initramfs);
	free(b->name);
	*b = (struct vm_boot){ NULL };
}
