/* mounts_tmpfs.c: --tmpfs, and what --mount type=tmpfs becomes. */
#include "mounts.h"

int mount_add_tmpfs(struct mounts *m, struct mount_draft *d, char *const *more, struct err *e)
{
	static const char *const base[] = { "noexec", "nosuid", "nodev" };
	_cleanup_strv_ char **options = NULL;
	int r = mount_check_target(d, e);

	if (r >= 0)
		r = mount_take_place(m, d, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(base); i++) {
		bool undone = false;
		for (char *const *w = more; w && *w; w++)
			undone |= streq(*w, base[i] + 2); /* "exec" undoes "noexec" */
		if (!undone && strv_push(&options, base[i]) < 0)
			return OUT_OF_MEMORY(e);
	}
	for (char *const *w = more; w && *w; w++) {
		if (**w && strv_push(&options, *w) < 0)
			return OUT_OF_MEMORY(e);
	}
	return mount_add(m, "tmpfs", "user", d->target, TAKE_PTR(options), e);
}

int mount_tmpfs_check(const char *text, char **word, struct err *e)
{
	static const char *const flags[] = { "rw",  "ro",    "exec",    "noexec",   "suid",      "nosuid",
					     "dev", "nodev", "noatime", "relatime", "nodiratime" };
	static const char *const keys[] = { "size=", "mode=", "uid=", "gid=", "nr_inodes=", "nr_blocks=" };
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (streq(*word, flags[i]))
			return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *v = str_after(*word, keys[i]);
		if (!v)
			continue;
		if (i != 0 || str_ends(v, "%"))
			return *v ? 0 : err_set(e, EINVAL, "--tmpfs: \"%s\": %s has no value", text, keys[i]);
		if (str_to_bytes(v, &n) < 0)
			return err_set(e, EINVAL, "--tmpfs: \"%s\": \"%s\" is not a size such as 64m", text, v);
		char *plain = str_fmt("size=%llu", (unsigned long long)n);
		if (!plain)
			return OUT_OF_MEMORY(e);
		free(*word);
		*word = plain;
		return 0;
	}
	return err_set(e, EINVAL,
		       "--tmpfs: \"%s\": unknown option \"%s\"; size=, mode=, uid=, gid=, ro, exec, suid and dev are known", text,
		       *word);
}

int mounts_add_tmpfs(struct mounts *m, const char *text, struct err *e)
{
	const char *colon = strchr(text, ':');
	_cleanup_(mount_draft_done) struct mount_draft d = { .what = "--tmpfs", .text = text };
	_cleanup_strv_ char **words = colon ? strv_split(colon + 1, ',') : NULL;

	d.target = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
	if (!d.target || (colon && !words))
		return OUT_OF_MEMORY(e);
	for (char **w = words; w && *w; w++) {
		int r = **w ? mount_tmpfs_check(text, w, e) : 0;
		if (r < 0)
			return r;
	}
	return mount_add_tmpfs(m, &d, words, e);
}
