/* Fuzz target: the options of a mount, one a line, and its destination as the first. Every word is either one of the table or
 * handed on as it is; what comes out is within the kernel's flags. */
#include <sys/mount.h>

#include "setup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FLAGS                                                                                                   \
	(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODIRATIME | \
	 MOUNT_ATTR_NOSYMFOLLOW)

static bool is_atime(uint64_t v) { return v == MOUNT_ATTR_RELATIME || v == MOUNT_ATTR_NOATIME || v == MOUNT_ATTR_STRICTATIME; }

static bool is_one_propagation(uint64_t v)
{
	return v == 0 || v == MS_PRIVATE || v == MS_SLAVE || v == MS_SHARED || v == MS_UNBINDABLE;
}

static void judge(const struct mount_plan *p, char *const *words)
{
	size_t at = 0;

	if ((p->attrs | p->rec_attrs | p->cleared) & ~(uint64_t)FLAGS || (p->attrs & p->cleared))
		abort();
	if (!is_atime(p->atime) || !is_atime(p->rec_atime) || !is_one_propagation(p->propagation))
		abort();
	if (p->n_data + p->n_super > strv_len(words))
		abort();
	/* What is handed on are the caller's own words, in their order. */
	for (size_t i = 0; i < p->n_data; i++) {
		while (words[at] && words[at] != p->data[i])
			at++;
		if (!words[at++])
			abort();
	}
}

static void judge_path(const char *path)
{
	static const char *const dirs[] = { "/proc", "/sys", "/dev" };
	bool any = false;

	if (!path_is_under(path, "/") || !path_is_under(path, path))
		abort();
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		any |= path_is_under(path, dirs[i]);
	if (any != path_is_kernels(path))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size);
	_cleanup_strv_ char **words = text ? strv_split(text, '\n') : NULL;
	_cleanup_(mount_plan_done) struct mount_plan plan = { .data = NULL };
	bool is_recursive;
	struct err e = { 0 };
	uint64_t p;

	if (!words)
		abort();
	judge_path(words[0]);
	if (mount_options_parse(words + 1, &plan, &e) < 0)
		abort();
	judge(&plan, words + 1);
	if (mount_propagation_parse(words[0], &p, &is_recursive, &e) < 0 ? e.no <= 0 || !e.msg[0] : !is_one_propagation(p))
		abort();
	return 0;
}
