/* kernel_store: guest kernels as named objects below ROOT/kernels, and which of them is booted where nobody says.
 *
 *   NAME/kernel          what VMMs are given: an ELF kernel with a PVH entry where there is one, else a bzImage
 *   NAME/modules         its modules: a directory, or a symlink to the host's; none where all is built in (then there is `build`)
 *   NAME/build, config   of a kernel that `kernel build` has made: where it is from ("name value" lines), its configuration
 *   NAME/initramfs-*     initramfs.c's
 *   default              a symlink to NAME, where `kernel use` has chosen
 *   custom/              initramfs of kernels given by path
 *   lock                 flock: by whoever makes, chooses or removes one. Whoever only looks takes none:
 * a NAME appears and goes by rename, the default by rename of the symlink, so that all is whole at any time. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm_impl.h"

#define DEFAULT   "default"
#define BUILD     "build"
#define BUILD_MAX 4096

void vm_kernel_done(struct vm_kernel *k)
{
	free(k->name);
	free(k->version);
	free(k->image);
	free(k->modules);
	free(k->cache);
	*k = (struct vm_kernel){ NULL };
}

void vm_kernel_info_done(struct vm_kernel_info *i)
{
	free(i->name);
	free(i->version);
	free(i->image);
	free(i->modules);
	free(i->key);
	free(i->package);
	free(i->compiler);
	*i = (struct vm_kernel_info){ NULL };
}

void vm_kernels_free(struct vm_kernel_info *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		vm_kernel_info_done(&list[i]);
	free(list);
}

bool vm_kernel_name_is_valid(const char *s)
{
	return name_is_valid(s) && !streq(s, DEFAULT) && !streq(s, "custom") && !streq(s, "lock");
}

/* ---- one ---- */

static bool has(const char *base, const char *name, const char *file)
{
	_cleanup_free_ char *path = str_fmt("%s/%s/%s", base, name, file);

	return path && access(path, R_OK) == 0;
}

static bool is_built(const char *base, const char *name) { return has(base, name, BUILD); }

/* The host's modules may have gone with its package, and then a symlink leads nowhere. */
static bool is_whole(const char *base, const char *name)
{
	return vm_kernel_name_is_valid(name) && has(base, name, "kernel") && (is_built(base, name) || has(base, name, "modules"));
}

int vm_kernel_named(const char *base, const char *name, struct vm_kernel *ret, struct err *e)
{
	_cleanup_(vm_kernel_done) struct vm_kernel k = { NULL };
	bool has_modules;

	if (!is_whole(base, name))
		return -ENOENT;
	has_modules = has(base, name, "modules");
	k.name = strdup(name);
	k.version = strdup(name); /* of messages: the one that people know it by */
	k.image = str_fmt("%s/%s/kernel", base, name);
	k.modules = has_modules ? str_fmt("%s/%s/modules", base, name) : NULL;
	k.cache = str_fmt("%s/%s", base, name);
	if (!k.name || !k.version || !k.image || (has_modules && !k.modules) || !k.cache)
		return err_set(e, ENOMEM, "out of memory");
	*ret = k;
	k = (struct vm_kernel){ NULL };
	return 0;
}

/* ---- the one that is booted ---- */

/* What `kernel use` has chosen: a name that the caller frees, or NULL. */
static char *chosen(const char *base)
{
	_cleanup_free_ char *path = str_fmt("%s/" DEFAULT, base);
	char name[256];
	ssize_t n = path ? readlink(path, name, sizeof(name) - 1) : -1;

	if (n <= 0)
		return NULL;
	name[n] = '\0';
	return is_whole(base, name) ? strdup(name) : NULL;
}

static char *newest(const char *base, bool wants_built)
{
	DIR *d = opendir(base);
	struct dirent *de;
	char *best = NULL;

	while (d && (de = readdir(d)))
		if (is_whole(base, de->d_name) && is_built(base, de->d_name) == wants_built &&
		    (!best || strverscmp(de->d_name, best) > 0)) {
			free(best);
			best = strdup(de->d_name);
		}
	if (d)
		closedir(d);
	return best;
}

int vm_kernel_default(const char *base, struct vm_kernel *ret, struct err *e)
{
	_cleanup_free_ char *name = chosen(base);

	if (!name)
		name = newest(base, false);
	if (!name)
		name = newest(base, true);
	return name ? vm_kernel_named(base, name, ret, e) : -ENOENT;
}

char *vm_kernel_newest_fetched(const char *base) { return newest(base, false); }

/* ---- all of them ---- */

static int read_build(const char *base, struct vm_kernel_info *i, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/%s/" BUILD, base, i->name), *text = NULL;
	const struct {
		const char *word;
		char **value;
	} rows[] = {
		{ "version ", &i->version }, { "key ", &i->key }, { "package ", &i->package }, { "compiler ", &i->compiler }
	};
	char *save = NULL;
	int r = path ? file_read(AT_FDCWD, path, BUILD_MAX, &text, NULL) : -ENOMEM;

	if (r < 0)
		return r == -ENOENT ? 0 : err_set(e, -r, "%s: %s", path ? path : base, strerror(-r));
	i->source = VM_KERNEL_BUILT;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
			const char *value = str_after(line, rows[k].word);

			if (!value)
				continue;
			free(*rows[k].value);
			*rows[k].value = strdup(value);
			if (!*rows[k].value)
				return err_set(e, ENOMEM, "out of memory");
		}
	return 0;
}

static int describe(const char *base, const char *name, struct vm_kernel_info *ret, struct err *e)
{
	_cleanup_(vm_kernel_info_done) struct vm_kernel_info i = { .name = strdup(name),
								   .image = str_fmt("%s/%s/kernel", base, name) };
	_cleanup_free_ char *modules = str_fmt("%s/%s/modules", base, name);
	struct stat st, ms;
	char magic[4] = "";
	int r;

	if (!i.name || !i.image || !modules)
		return err_set(e, ENOMEM, "out of memory");
	_cleanup_fd_ int fd = open(i.image, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || fd_read_full(fd, magic, sizeof(magic)) < 0)
		return err_set(e, errno, "%s: %s", i.image, strerror(errno));
	i.is_elf = is_elf(magic, sizeof(magic));
	i.bytes = (uint64_t)st.st_size;
	i.created_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	if (lstat(modules, &ms) == 0) {
		i.source = S_ISLNK(ms.st_mode) ? VM_KERNEL_HOST : VM_KERNEL_FETCHED;
		i.modules = realpath(modules, NULL);
	}
	r = read_build(base, &i, e);
	if (r >= 0 && !i.version && !(i.version = strdup(name)))
		r = err_set(e, ENOMEM, "out of memory");
	if (r < 0)
		return r;
	*ret = i;
	i = (struct vm_kernel_info){ NULL };
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strverscmp(((const struct vm_kernel_info *)a)->name, ((const struct vm_kernel_info *)b)->name);
}

static int add(struct vm_kernel_info **list, size_t *n, const char *base, const char *name, struct err *e)
{
	struct vm_kernel_info *more = reallocarray(*list, *n + 1, sizeof(**list));
	int r;

	if (!more)
		return err_set(e, ENOMEM, "out of memory");
	*list = more;
	r = describe(base, name, &more[*n], e);
	if (r == -ENOENT) /* removed meanwhile */
		return 0;
	*n += r >= 0;
	return r;
}

int vm_kernels(const struct paths *p, struct vm_kernel_info **ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ char *base = str_fmt("%s/kernels", p->root);
	_cleanup_(vm_kernel_done) struct vm_kernel in_use = { NULL };
	struct vm_kernel_info *list = NULL;
	struct dirent *de;
	DIR *d = base ? opendir(base) : NULL;
	size_t n = 0;
	int r = 0;

	if (!base)
		return err_set(e, ENOMEM, "out of memory");
	if (!d && errno != ENOENT)
		return err_set(e, errno, "%s: %s", base, strerror(errno));
	while (d && r >= 0 && (de = readdir(d)))
		if (is_whole(base, de->d_name))
			r = add(&list, &n, base, de->d_name, e);
	if (d)
		closedir(d);
	if (r >= 0 && n > 0) {
		qsort(list, n, sizeof(*list), by_name);
		r = vm_kernel_default(base, &in_use, e);
		for (size_t i = 0; r >= 0 && i < n; i++)
			list[i].is_default = streq(list[i].name, in_use.name);
		if (r == -ENOENT)
			r = 0;
	}
	if (r < 0) {
		vm_kernels_free(list, n);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

int vm_kernel_info(const struct paths *p, const char *name, struct vm_kernel_info *ret, struct err *e)
{
	struct vm_kernel_info *list = NULL;
	size_t n = 0;
	int r = vm_kernels(p, &list, &n, e), found = 0;

	for (size_t i = 0; r >= 0 && i < n && !found; i++)
		if (streq(list[i].name, name)) {
			*ret = list[i];
			list[i] = (struct vm_kernel_info){ NULL };
			found = 1;
		}
	vm_kernels_free(list, n);
	return r < 0 || found ? r : err_set(e, ENOENT, "no such kernel: %s; `berth kernel ls` lists them", name);
}

/* ---- changes, each by one rename under the lock ---- */

/* The lock, and NAME is whole. */
static int lock_named(const struct paths *p, const char *name, struct err *e)
{
	_cleanup_(vm_kernel_info_done) struct vm_kernel_info i = { NULL };
	_cleanup_fd_ int lock = -1;
	int r = vm_kernel_info(p, name, &i, e);

	if (r < 0)
		return r;
	lock = vm_kernel_lock(p, true, e);
	if (lock < 0)
		return lock;
	vm_kernel_info_done(&i);
	r = vm_kernel_info(p, name, &i, e);
	return r < 0 ? r : TAKE_FD(lock);
}

static int sync_dir(const char *base, struct err *e)
{
	int r = dir_sync(AT_FDCWD, base);

	return r < 0 ? err_set(e, -r, "%s: %s", base, strerror(-r)) : 0;
}

int vm_kernel_use(const struct paths *p, const char *name, struct err *e)
{
	_cleanup_free_ char *base = str_fmt("%s/kernels", p->root), *tmp = str_fmt("%s/kernels/.tmp-" DEFAULT, p->root),
			    *link = str_fmt("%s/kernels/" DEFAULT, p->root);
	_cleanup_fd_ int lock = lock_named(p, name, e);

	if (lock < 0)
		return lock;
	if (!base || !tmp || !link)
		return err_set(e, ENOMEM, "out of memory");
	unlink(tmp); /* of one that was killed */
	if (symlink(name, tmp) < 0 || rename(tmp, link) < 0) {
		int r = err_set(e, errno, "%s: %s", link, strerror(errno));

		unlink(tmp);
		return r;
	}
	return sync_dir(base, e);
}

int vm_kernel_remove(const struct paths *p, const char *name, struct err *e)
{
	_cleanup_free_ char *base = str_fmt("%s/kernels", p->root), *dir = str_fmt("%s/kernels/%s", p->root, name),
			    *doomed = str_fmt("%s/kernels/.tmp-%s", p->root, name),
			    *link = str_fmt("%s/kernels/" DEFAULT, p->root), *now = NULL;
	_cleanup_fd_ int lock = lock_named(p, name, e);
	int r;

	if (lock < 0)
		return lock;
	if (!base || !dir || !doomed || !link)
		return err_set(e, ENOMEM, "out of memory");
	now = chosen(base);
	if (now && streq(now, name) && unlink(link) < 0)
		return err_set(e, errno, "%s: %s", link, strerror(errno));
	r = rm_rf(AT_FDCWD, doomed);
	if (r >= 0 && rename(dir, doomed) < 0)
		r = -errno;
	if (r >= 0)
		r = rm_rf(AT_FDCWD, doomed);
	return r < 0 ? err_set(e, -r, "remove %s: %s", dir, strerror(-r)) : sync_dir(base, e);
}

/* ---- taking one in ---- */

/* By hard links, so that what was built is whole until the object is. */
static int link_files(const char *from, const char *to, struct err *e)
{
	static const char *const files[][2] = { { "vmlinux", "kernel" }, { "config", "config" }, { "build", BUILD } };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *a = str_fmt("%s/%s", from, files[i][0]), *b = str_fmt("%s/%s", to, files[i][1]);

		if (!a || !b)
			return err_set(e, ENOMEM, "out of memory");
		if (link(a, b) < 0 || chmod(b, 0444) < 0)
			return err_set(e, errno, "%s: %s", a, strerror(errno));
	}
	return 0;
}

int vm_kernel_take(const struct paths *p, const char *name, const char *from, struct err *e)
{
	_cleanup_free_ char *base = str_fmt("%s/kernels", p->root), *tmp = str_fmt("%s/kernels/.tmp-XXXXXX", p->root),
			    *dest = str_fmt("%s/kernels/%s", p->root, name);
	_cleanup_fd_ int lock = vm_kernel_lock(p, true, e), fd = -1;
	int r;

	if (lock < 0)
		return lock;
	if (!base || !tmp || !dest)
		return err_set(e, ENOMEM, "out of memory");
	vm_kernel_remove_stale(base);
	if (is_whole(base, name))
		return err_set(e, EEXIST,
			       "there is a kernel %s already: remove it first (berth kernel rm), or choose another name", name);
	if (!mkdtemp(tmp) || (fd = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_set(e, errno, "%s: %s", tmp, strerror(errno));
	r = link_files(from, tmp, e);
	if (r >= 0 && (r = rm_rf(AT_FDCWD, dest)) < 0) /* not whole */
		err_set(e, -r, "%s: %s", dest, strerror(-r));
	if (r >= 0 && (fsync(fd) < 0 || rename(tmp, dest) < 0))
		r = err_set(e, errno, "%s: %s", dest, strerror(errno));
	if (r < 0) {
		rm_rf(AT_FDCWD, tmp);
		return r;
	}
	return sync_dir(base, e);
}
