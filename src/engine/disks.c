/* disks.c: --disk: a disk image of the user's own, or a block device of the host, for a VM. */
#include "engine_impl.h"

#include <limits.h>

static void disk_done(struct launch_disk *d)
{
	free(d->path);
	free(d->format);
}

static int number(const char *text, const char *key, const char *v, uint64_t *ret, struct err *e)
{
	bool is_count = streq(key, "iops");
	int r = is_count ? str_to_u64(v, ret) : str_to_bytes(v, ret);

	/* VMM and QEMU count in 63 bits. */
	if (r < 0 || *ret == 0 || *ret > INT64_MAX)
		return err_set(e, EINVAL, "--disk %s: %s is a %s", text, key,
			       is_count ? "number of operations a second, such as 500"
					: "size, of what passes in a second, such as 20m");
	return 0;
}

static int word(struct launch_disk *d, const char *text, const char *w, struct err *e)
{
	const char *v;

	if (streq(w, "readonly") || streq(w, "ro")) {
		d->is_readonly = true;
		return 0;
	}
	if ((v = str_after(w, "format="))) {
		free(d->format);
		d->format = strdup(v);
		if (!d->format)
			return OUT_OF_MEMORY(e);
		return streq(v, "raw") || streq(v, "qcow2")
			       ? 0
			       : err_set(e, EINVAL, "--disk %s: format \"%s\" is not known; raw and qcow2 are", text, v);
	}
	if ((v = str_after(w, "iops=")))
		return number(text, "iops", v, &d->iops, e);
	if ((v = str_after(w, "bps=")))
		return number(text, "bps", v, &d->bps, e);
	return err_set(e, EINVAL, "--disk %s: unknown option \"%s\"; format=raw|qcow2, readonly, iops= and bps= are known", text,
		       w);
}

/* FILE[,WORD...]; a comma ends the name. The path is resolved here, once. */
static int parse(const char *text, struct launch_disk *ret, struct err *e)
{
	_cleanup_(disk_done) struct launch_disk d = { NULL };
	_cleanup_strv_ char **words = strv_split(text, ',');
	int r = 0;

	if (!words)
		return OUT_OF_MEMORY(e);
	if (!*words[0])
		return err_set(e, EINVAL, "--disk: \"%s\" is not FILE[,OPTION...]", text);
	for (char **w = words + 1; r >= 0 && *w; w++)
		r = word(&d, text, *w, e);
	if (r < 0)
		return r;
	d.path = realpath(words[0], NULL);
	if (!d.path)
		return err_set(e, errno, "--disk %s: %s: %s", text, words[0],
			       errno == ENOENT ? "does not exist; truncate -s 10G FILE makes an empty raw one" : strerror(errno));
	if (!d.format)
		d.format = strdup("raw");
	if (!d.format)
		return OUT_OF_MEMORY(e);
	*ret = d;
	d = (struct launch_disk){ NULL };
	return 0;
}

/* What a start would refuse is refused here already, but for the lock: who is to use it later may be made while another one runs. */
static int check(const struct launch_disk *d, struct err *e)
{
	struct vm_given g;
	int r = vm_given_open(d, &g, e);

	if (r < 0)
		return err_push(e, r, "--disk");
	fd_close(g.fd);
	return 0;
}

static int check_twice(const struct launch *l, const struct launch_disk *d, struct err *e)
{
	struct stat a, b;

	if (stat(d->path, &a) < 0)
		return err_set(e, errno, "--disk %s: %s", d->path, strerror(errno));
	for (size_t k = 0; k < l->n_disks; k++) {
		bool is_same = stat(l->disks[k].path, &b) == 0 &&
			       (S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode) ? a.st_rdev == b.st_rdev
									 : a.st_dev == b.st_dev && a.st_ino == b.st_ino);
		if (is_same && !(d->is_readonly && l->disks[k].is_readonly))
			return err_set(e, EINVAL, "--disk %s: given twice, and not readonly both times", d->path);
	}
	return 0;
}

int guest_given_disks(char *const *options, struct launch *l, struct err *e)
{
	for (; options && *options; options++) {
		struct launch_disk d = { NULL };
		struct launch_disk *grown;
		int r;

		if (l->n_disks == VM_GIVEN_MAX)
			return err_set(e, E2BIG, "--disk %s: a virtual machine can be given at most %d", *options, VM_GIVEN_MAX);
		r = parse(*options, &d, e);
		if (r >= 0)
			r = check(&d, e);
		if (r >= 0)
			r = check_twice(l, &d, e);
		grown = r < 0 ? NULL : reallocarray(l->disks, l->n_disks + 1, sizeof(*grown));
		if (!grown) {
			disk_done(&d);
			return r < 0 ? r : OUT_OF_MEMORY(e);
		}
		l->disks = grown;
		grown[l->n_disks++] = d;
	}
	return 0;
}
