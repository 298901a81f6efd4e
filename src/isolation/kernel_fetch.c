/* kernel_fetch: the guest kernel out of the distribution's package, by the distribution's own tools, which check its
 * signature. It is unpacked, never installed: nothing of the host changes. */
#include <glob.h>
#include <stdio.h>
#include <unistd.h>

#include "vm_impl.h"

#define META_PACKAGE "linux-image-cloud-amd64"
#define REMEDY       "or name a kernel with --kernel PATH"

/* One helper program, its output discarded unless wanted. argv[0] is looked up in the fixed path. */
static int run(const char *const *argv, size_t max, char **ret_out, struct err *e)
{
	_cleanup_strv_ char **v = NULL;
	_cleanup_free_ char *out = NULL, *program = spawn_find(argv[0]);
	int r = 0;

	if (!program)
		return err_set(e, ENOENT, "no guest kernel, and %s is missing to fetch one: install " META_PACKAGE ", " REMEDY,
			       argv[0]);
	for (size_t i = 0; argv[i] && r >= 0; i++)
		r = strv_push(&v, i == 0 ? program : argv[i]);
	if (r < 0)
		return err_set(e, ENOMEM, "out of memory");
	r = spawn_output(v, max, &out, e);
	if (r >= 0 && ret_out)
		*ret_out = TAKE_PTR(out);
	return r;
}

/* The package with the kernel itself: what the meta package depends on. */
static int package_name(char **ret, struct err *e)
{
	const char *const argv[] = { "apt-cache", "depends", META_PACKAGE, NULL };
	_cleanup_free_ char *out = NULL;
	char *s = NULL, *end;
	int r = run(argv, 64 << 10, &out, e);

	if (r == -ENOENT)
		return r;
	if (r >= 0)
		s = strstr(out, "Depends: linux-image-");
	if (!s)
		return err_set(e, ENOENT,
			       "no guest kernel, and apt knows no package " META_PACKAGE ": run apt-get update, " REMEDY);
	s += strlen("Depends: ");
	end = s + strcspn(s, " \n<|");
	*ret = strndup(s, (size_t)(end - s));
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int only_match(const char *pattern, char **ret, struct err *e)
{
	glob_t g = { 0 };
	int r = 0;

	if (glob(pattern, 0, NULL, &g) == 0 && g.gl_pathc == 1)
		*ret = strdup(g.gl_pathv[0]);
	else
		r = err_set(e, ENOENT, "the distribution's kernel package is not laid out as expected: %s", pattern);
	globfree(&g);
	return r < 0 || *ret ? r : err_set(e, ENOMEM, "out of memory");
}

int vm_kernel_fetch(const char *dir, char **ret_vmlinuz, char **ret_modules, struct err *e)
{
	_cleanup_free_ char *package = NULL, *chdir_arg = str_fmt("--chdir=%s", dir), *debs = str_fmt("%s/*.deb", dir),
			    *deb = NULL, *tree = str_fmt("%s/tree", dir), *boot = str_fmt("%s/tree/boot/vmlinuz-*", dir),
			    *vmlinuz = NULL, *mods = str_fmt("%s/tree/lib/modules/*", dir);
	int r = package_name(&package, e);

	if (r < 0)
		return r;
	if (!chdir_arg || !debs || !tree || !boot || !mods)
		return err_set(e, ENOMEM, "out of memory");
	log_info("kernel", "fetching %s from the distribution, once (27 MB)", package);
	/* The sandbox user can't write here, which apt would only warn about. */
	const char *const get[] = {
		"env", chdir_arg, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package, NULL
	};
	r = run(get, 64 << 10, NULL, e);
	if (r < 0)
		return err_push(e, r, "the guest kernel could not be fetched (no network? run apt-get update, " REMEDY ")");
	r = only_match(debs, &deb, e);
	if (r < 0)
		return r;
	const char *const unpack[] = { "dpkg-deb", "-x", deb, tree, NULL };
	r = run(unpack, 64 << 10, NULL, e);
	if (r >= 0)
		r = only_match(boot, &vmlinuz, e);
	if (r >= 0)
		r = only_match(mods, ret_modules, e);
	if (r < 0)
		return r;
	*ret_vmlinuz = TAKE_PTR(vmlinuz);
	log_info("kernel", "%s is ready", package);
	return 0;
}
