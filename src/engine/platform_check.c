/* platform_check.c: an image of another platform than this host's: docker's warning, and whether its programs can run at all. */
#include <stdio.h>
#include <unistd.h>

#include "binfmt.h"
#include "engine_impl.h"

#define BINFMT "/proc/sys/fs/binfmt_misc"

/* What the CPU itself carries out as well. */
static bool is_native(const char *host, const char *image)
{
	return streq(host, image) || (streq(host, "amd64") && streq(image, "386")) ||
	       (streq(host, "arm64") && streq(image, "arm"));
}

static char *image_platform(const struct image_config *c)
{
	return str_fmt("%s/%s%s%s", c->os ? c->os : "linux", c->architecture ? c->architecture : "?",
		       c->variant && *c->variant ? "/" : "", c->variant ? c->variant : "");
}

int platform_wanted(const char *asked, const struct image *image, bool *ret_fits, struct err *e)
{
	struct platform want;
	int r;

	*ret_fits = true;
	if (!asked || !*asked)
		return 0;
	r = platform_parse(asked, &want, e);
	if (r < 0)
		return err_push(e, r, "--platform");
	*ret_fits = platform_fits(&want, &image->config);
	return 0;
}

int platform_mismatch(const char *asked, const char *name, const struct image *image, struct err *e)
{
	_cleanup_free_ char *is = image_platform(&image->config);

	return err_set(e, ENOENT,
		       "image with reference %s was found but does not match the specified platform: wanted %s, actual: %s", name,
		       asked, is ? is : "?");
}

static int refuse(const char *is, const char *host, const char *arch, struct err *e)
{
	_cleanup_fd_ int dir = open(BINFMT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[64] = "";

	switch (dir < 0 ? BINFMT_NONE : binfmt_ask(dir, arch, name)) {
	case BINFMT_READY: return 0;
	case BINFMT_NO_F:
		return err_set(e, ENOEXEC,
			       "image is %s, this host %s; the binfmt handler %s has no flag F, so that its emulator would be "
			       "looked for inside "
			       "the container: register it with F (Debian: qemu-user-static)",
			       is, host, name);
	case BINFMT_DISABLED:
		return err_set(e, ENOEXEC, "image is %s, this host %s; the binfmt handler %s is disabled: echo 1 >" BINFMT "/%s",
			       is, host, name, name);
	case BINFMT_NONE: break;
	}
	return err_set(e, ENOEXEC,
		       "image is %s, this host %s; no binfmt handler for it is in " BINFMT
		       ": install qemu-user-static, or take an image for %s "
		       "(--platform %s)",
		       is, host, host, host);
}

int platform_check(const struct plan *p, struct err *e)
{
	const struct image_config *c = &p->image.config;
	_cleanup_free_ char *is = image_platform(c), *here = NULL;
	struct platform host;
	int r = platform_parse(NULL, &host, e);

	if (r < 0 || !c->architecture || !*c->architecture || is_native(host.arch, c->architecture))
		return r;
	here = platform_str(&host);
	if (!is || !here)
		return OUT_OF_MEMORY(e);
	if (p->is_vm)
		return err_set(e, ENOEXEC,
			       "image is %s, this host %s; a virtual machine is of the host's kind and its kernel has no binfmt "
			       "handlers: take an "
			       "image for %s (--platform %s), or --isolation container with a handler",
			       is, here, here, here);
	r = refuse(is, here, c->architecture, e);
	if (r < 0)
		return r;
	if (!p->o->platform)
		fprintf(stderr,
			"WARNING: The requested image's platform (%s) does not match the detected host platform (%s) and no "
			"specific platform "
			"was requested\n",
			is, here);
	return 0;
}
