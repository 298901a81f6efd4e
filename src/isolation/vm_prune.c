/* vm_prune: what virtual machines boot from and none will again. A start takes the kernel that its container names, or the
 * default (kernel_store.c), and the one initramfs that belongs to it and to this build; whoever boots from others has opened them
 * already. Kernels that somebody had built stay until somebody removes them. */
#include <dirent.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "vm_impl.h"

#define INITRAMFS "initramfs-"

static void closedir_ptr(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Is name to go? keep: what decides it. */
typedef bool (*judge)(const char *name, const char *keep);

static bool is_other_initramfs(const char *name, const char *keep) { return str_after(name, INITRAMFS) && !streq(name, keep); }

/* Kernels given by path are not known here, so what this build made for them stays. */
static bool is_initramfs_of_another_build(const char *name, const char *keep)
{
	return str_after(name, INITRAMFS) && !str_after(name, keep);
}

static bool is_template(const char *name, const char *keep _unused_)
{
	return str_after(name, "ext4-") || str_after(name, ".tmp-ext4-");
}

static int remove_from(const char *dir, judge goes, const char *keep, struct err *e)
{
	_cleanup_(closedir_ptr) DIR *d = opendir(dir);
	struct dirent *de;

	if (!d)
		return errno == ENOENT ? 0 : err_set(e, errno, "%s: %s", dir, strerror(errno));
	while ((de = readdir(d))) {
		int r = goes(de->d_name, keep) ? rm_rf(dirfd(d), de->d_name) : 0;
		if (r < 0)
			return err_set(e, -r, "%s/%s: %s", dir, de->d_name, strerror(-r));
	}
	return 0;
}

static bool strv_has(char *const *v, const char *s)
{
	for (; v && *v; v++)
		if (streq(*v, s))
			return true;
	return false;
}

/* Of one that stays, initramfs of other builds; one that the distribution has made and nobody wants any more, whole. */
static int prune_kernel(const struct paths *p, const char *base, const struct vm_kernel_info *i, char *const *kept, struct err *e)
{
	_cleanup_(vm_kernel_done) struct vm_kernel k = { NULL };
	_cleanup_free_ char *name = NULL, *newest = vm_kernel_newest_fetched(base);
	int r;

	if (!i->is_default && i->source != VM_KERNEL_BUILT && !(newest && streq(newest, i->name)) && !strv_has(kept, i->name)) {
		_cleanup_free_ char *dir = str_fmt("%s/%s", base, i->name);

		r = dir ? rm_rf(AT_FDCWD, dir) : -ENOMEM;
		return r < 0 ? err_set(e, -r, "%s/%s: %s", base, i->name, strerror(-r)) : 0;
	}
	r = vm_kernel_named(base, i->name, &k, e);
	if (r == -ENOENT)
		return 0;
	if (r >= 0)
		r = vm_initramfs_name(p, &k, &name, e);
	return r < 0 ? r : remove_from(k.cache, is_other_initramfs, name, e);
}

static int prune_named(const struct paths *p, const char *base, char *const *kept, struct err *e)
{
	struct vm_kernel_info *list = NULL;
	size_t n = 0;
	int r = vm_kernels(p, &list, &n, e);

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = prune_kernel(p, base, &list[i], kept, e);
	vm_kernels_free(list, n);
	return r;
}

static int prune_kernels(const struct paths *p, char *const *kept, struct err *e)
{
	_cleanup_free_ char *base = str_fmt("%s/kernels", p->root), *custom = str_fmt("%s/kernels/custom", p->root),
			    *mine = str_fmt(INITRAMFS "%s-", build_id());
	_cleanup_fd_ int lock = -1;
	int r;

	if (!base || !custom || !mine)
		return err_set(e, ENOMEM, "out of memory");
	if (access(base, F_OK) < 0)
		return 0;
	lock = r = vm_kernel_lock(p, false, e);
	if (r < 0)
		return r == -EWOULDBLOCK ? 0 : r;
	vm_kernel_remove_stale(base);
	r = prune_named(p, base, kept, e);
	return r < 0 ? r : remove_from(custom, is_initramfs_of_another_build, mine, e);
}

static int prune_templates(const struct paths *p, struct err *e)
{
	_cleanup_free_ char *dir = str_fmt("%s/vm", p->root);
	_cleanup_fd_ int dirfd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (!dir)
		return err_set(e, ENOMEM, "out of memory");
	if (dirfd < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "%s: %s", dir, strerror(errno));
	if (flock(dirfd, LOCK_EX | LOCK_NB) < 0)
		return 0; /* one is being made */
	return remove_from(dir, is_template, NULL, e);
}

int vm_prune(const struct paths *p, char *const *kept, struct err *e)
{
	int r = prune_kernels(p, kept, e);

	return r < 0 ? r : prune_templates(p, e);
}
