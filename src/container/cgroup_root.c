/* cgroup_root: the options of the one superblock that all mounts of cgroup v2 share. Whoever mounts it anew in the host's cgroup
 * namespace without naming them takes them away from everybody: nsdelegate, without which a container that sees its own cgroup as
 * the root may write its limits (kernel/cgroup/cgroup.c, apply_cgroup_root_flags; Linux 6.1). CRIU does so. */
#include <sys/file.h>
#include <unistd.h>

#include "setup.h"

enum { MOUNTINFO_MAX = 16 << 20 };

/* proc(5): "ID PARENT MAJ:MIN ROOT MOUNT-POINT OPTIONS [FIELDS] - TYPE SOURCE SUPER-OPTIONS" */
static char *super_options(char *line, const char *mount_point)
{
	char *at = line, *rest;

	for (int i = 0; i < 4 && at; i++)
		at = strchr(at + (i > 0), ' ');
	rest = at ? strstr(at, " - cgroup2 ") : NULL;
	if (!rest || strncmp(at + 1, mount_point, strlen(mount_point)) != 0 || at[1 + strlen(mount_point)] != ' ')
		return NULL;
	rest = strchr(rest + strlen(" - cgroup2 "), ' ');
	return rest ? rest + 1 : NULL;
}

static char *options_now(const struct host *h)
{
	_cleanup_free_ char *text = NULL;
	char *found = NULL;

	if (!h->cgroup_v2 || file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL) < 0)
		return NULL;
	/* The last one is on top. */
	for (char *line = text, *end; *line; line = end) {
		char *options;

		end = line + strcspn(line, "\n");
		if (*end)
			*end++ = '\0';
		options = super_options(line, h->cgroup_v2);
		found = options ? options : found;
	}
	return found ? strdup(found) : NULL;
}

void cgroup_root_keep(const struct host *h, struct cgroup_root *ret)
{
	int r;

	*ret = (struct cgroup_root){ .lock = -1 };
	if (!h->cgroup_v2)
		return;
	ret->lock = open(h->cgroup_v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	do
		r = ret->lock < 0 ? 0 : flock(ret->lock, LOCK_EX);
	while (r < 0 && errno == EINTR);
	ret->options = options_now(h);
}

static int give_back(const struct host *h, const char *options, struct err *e)
{
	_cleanup_free_ char *now = options_now(h);
	_cleanup_strv_ char **words = NULL;
	_cleanup_fd_ int fd = -1;
	int r;

	if (!options || streq0(now, options))
		return 0;
	words = strv_split(options, ',');
	fd = open(h->cgroup_v2, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!words || fd < 0)
		return err_set(e, words ? errno : ENOMEM, "%s: %s", h->cgroup_v2, strerror(words ? errno : ENOMEM));
	/* "rw" is the superblock's own flag, and as it is. */
	r = fs_reconfigure(fd, (const char *const *)words + 1, strv_len(words) - 1, e);
	return r < 0 ? err_push(e, r, "%s: give back its options %s", h->cgroup_v2, options) : 0;
}

int cgroup_root_give_back(const struct host *h, struct cgroup_root *kept, struct err *e)
{
	int r = give_back(h, kept->options, e);

	free_ptr(&kept->options);
	kept->lock = fd_close(kept->lock);
	return r;
}
