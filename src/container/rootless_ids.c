/* See rootless_ids.h. Names of users are looked up in /etc/passwd alone: a static program has no name service. Users of others are found in
 * /etc/subuid by their number. */
#include "rootless_ids.h"

#include <stdlib.h>
#include <unistd.h>

#include "setup.h"

#define TABLE_MAX (16u << 20)

/* "NAME:FIRST:COUNT"; false: no such line. */
static bool parse_line(char *line, char **ret_name, uint32_t *ret_first, uint32_t *ret_count)
{
	char *first = strchr(line, ':'), *count = first ? strchr(first + 1, ':') : NULL;
	uint64_t a, n;

	if (!count)
		return false;
	*first++ = *count++ = '\0';
	if (str_to_u64(first, &a) < 0 || str_to_u64(count, &n) < 0 || n == 0 || a > UINT32_MAX || n > UINT32_MAX - a)
		return false;
	*ret_name = line;
	*ret_first = (uint32_t)a;
	*ret_count = (uint32_t)n;
	return true;
}

static int push(struct spec_idmap **v, size_t *n, struct spec_idmap m)
{
	struct spec_idmap *more = reallocarray(*v, *n + 1, sizeof(**v));

	if (!more)
		return -ENOMEM;
	more[(*n)++] = m;
	*v = more;
	return 0;
}

int rootless_ranges(const char *text, const char *user, uint32_t uid, uint32_t own, struct spec_idmap **ret, size_t *ret_n)
{
	_cleanup_free_ char *copy = strdup(text);
	struct spec_idmap *v = NULL;
	size_t n = 0;
	char number[16], *save = NULL;
	uint32_t next = 1;
	int r = copy ? push(&v, &n, (struct spec_idmap){ .container_id = 0, .host_id = own, .size = 1 }) : -ENOMEM;

	snprintf(number, sizeof(number), "%u", uid);
	for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL; line && r == 0; line = strtok_r(NULL, "\n", &save)) {
		uint32_t first, count;
		char *name;

		if (!parse_line(line, &name, &first, &count) || !(streq(name, number) || (user && streq(name, user))))
			continue;
		count = MIN(count, UINT32_MAX - next);
		r = push(&v, &n, (struct spec_idmap){ .container_id = next, .host_id = first, .size = count });
		next += count;
	}
	if (r < 0) {
		free(v);
		return r;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

/* "NAME:x:UID:..." (passwd(5)). */
static char *own_name(uint32_t uid)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL;

	if (file_read(AT_FDCWD, "/etc/passwd", TABLE_MAX, &text, NULL) < 0)
		return NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':'), *id = colon ? strchr(colon + 1, ':') : NULL;

		if (id && strtoul(id + 1, NULL, 10) == uid && strchr(id + 1, ':') > id + 1)
			return strndup(line, (size_t)(colon - line));
	}
	return NULL;
}

static int read_ranges(const char *path, const char *name, uint32_t own, struct spec_idmap **ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(AT_FDCWD, path, TABLE_MAX, &text, NULL);

	if (r < 0 && r != -ENOENT)
		return err_set(e, -r, "%s: %s", path, strerror(-r));
	r = rootless_ranges(text ? text : "", name, getuid(), own, ret, ret_n);
	return r < 0 ? err_set(e, -r, "%s: out of memory", path) : 0;
}

static int count_ids(const char *path, const char *name, uint64_t *ret, struct err *e)
{
	struct spec_idmap *v = NULL;
	size_t n = 0;
	int r = read_ranges(path, name, 0, &v, &n, e);

	if (r < 0)
		return r;
	*ret = 0;
	for (size_t i = 1; i < n; i++)
		*ret += v[i].size;
	free(v);
	return 0;
}

int rootless_count_ids(uint64_t *ret_uids, uint64_t *ret_gids, struct err *e)
{
	_cleanup_free_ char *name = own_name(getuid());
	int r = count_ids("/etc/subuid", name, ret_uids, e);

	return r < 0 ? r : count_ids("/etc/subgid", name, ret_gids, e);
}

static int read_and_tell(const char *path, uint32_t own, struct spec_idmap **ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ char *name = own_name(getuid());
	int r = read_ranges(path, name, own, ret, ret_n, e);

	if (r >= 0 && *ret_n == 1)
		log_info("rootless",
			 "%s grants user %s no ids: containers have root alone, and images with files of others can't be "
			 "unpacked; "
			 "`usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`, as root, gives some",
			 path, name ? name : "of this number");
	return r;
}

int rootless_write_maps(pid_t pid, struct err *e)
{
	struct spec s = { 0 };
	int r = read_and_tell("/etc/subuid", getuid(), &s.uid_mappings, &s.n_uid_mappings, e);

	if (r == 0)
		r = read_and_tell("/etc/subgid", getgid(), &s.gid_mappings, &s.n_gid_mappings, e);
	if (r == 0)
		r = userns_write_own_maps(&s, false, pid, e);
	free(s.uid_mappings);
	free(s.gid_mappings);
	return r;
}
