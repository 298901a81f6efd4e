/* user: who the process is, by the image's own passwd and group. Both files are the image's, thus hostile: read through
 * root_open, regular files only, never blocking, at most 1 MiB. A number is a number, exactly, and is never looked up as a
 * name, so a user called "10" with uid 0 gains nothing; a wrong one is an error, never 0 (CVE-2024-40635, CVE-2016-3697).
 * Called by container_resolve_user's users and as step `user`. */
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

#define DB_MAX     (1 << 20)
#define ID_MAX     4294967294U /* (uid_t)-1 means "unchanged" to the kernel */
#define GROUPS_MAX 65536       /* NGROUPS_MAX */

static int read_db(int rootfd, const char *path, char **ret, struct err *e)
{
	_cleanup_fd_ int fd = root_open(rootfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;
	int r;

	*ret = NULL;
	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return err_set(e, -fd, "%s of the image: %s", path, strerror(-fd));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s of the image is not a regular file", path);
	if (st.st_size > DB_MAX)
		return err_set(e, EFBIG, "%s of the image is larger than 1 MiB", path);
	r = fd_read_all(fd, DB_MAX, ret, NULL);
	return r < 0 ? err_set(e, -r, "%s of the image: %s", path, strerror(-r)) : 0;
}

static bool is_number(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (*s < '0' || *s > '9')
			return false;
	return true;
}

/* what: "user", "group". Digits only; 0 .. ID_MAX. */
static int parse_id(const char *s, const char *what, uint32_t *ret, struct err *e)
{
	uint64_t v;
	int r = str_to_u64(s, &v);

	if (r == 0 && v > ID_MAX)
		r = -ERANGE;
	if (r < 0)
		return err_set(e, -r, "%s \"%s\": not an id between 0 and %u", what, s, ID_MAX);
	*ret = (uint32_t)v;
	return 0;
}

/* The colon-separated fields of one line, cut in place; false when there are fewer than n. */
static bool cut_fields(char *line, char **fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fields[i] = line;
		line = strchr(line, ':');
		if (!line)
			return i + 1 == n;
		*line++ = 0;
	}
	return true;
}

static bool field_id(const char *s, uint32_t *ret)
{
	uint64_t v;

	if (!is_number(s) || str_to_u64(s, &v) < 0 || v > ID_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

struct passwd_line {
	char *name, *home;
	uint32_t uid, gid;
};

/* First line whose name is `name`, or where name is NULL whose uid is `uid`. Lines that are no valid entry are passed over.
 * text is cut up; the result points into it. */
static bool passwd_find(char *text, const char *name, uint32_t uid, struct passwd_line *ret)
{
	char *f[7], *next;

	for (char *line = text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (!cut_fields(line, f, 7) || !field_id(f[2], &ret->uid) || !field_id(f[3], &ret->gid))
			continue;
		if (name ? !streq(f[0], name) : ret->uid != uid)
			continue;
		ret->name = f[0];
		ret->home = f[5];
		return true;
	}
	return false;
}

static bool is_member(const char *members, const char *name)
{
	size_t n = strlen(name);

	while (*members) {
		size_t len = strcspn(members, ",");

		if (len == n && memcmp(members, name, n) == 0)
			return true;
		members += len + (members[len] == ',');
	}
	return false;
}

static int add_group(struct spec_user *u, uint32_t gid, struct err *e)
{
	uint32_t *p;

	/* The first is the primary group. Doubles among the others do no harm, and looking for them in a hostile file of a
	 * hundred thousand would. */
	if (u->n_additional_gids > 0 && u->additional_gids[0] == gid)
		return 0;
	if (u->n_additional_gids >= GROUPS_MAX)
		return err_set(e, E2BIG, "user is in more than %d groups", GROUPS_MAX);
	p = realloc(u->additional_gids, (u->n_additional_gids + 1) * sizeof(*p));
	if (!p)
		return err_set(e, ENOMEM, "groups: out of memory");
	u->additional_gids = p;
	p[u->n_additional_gids++] = gid;
	return 0;
}

/* Walks etc/group: the gid of `name` into *ret_gid where name is not NULL (-ESRCH if there is none), or every group that
 * lists `member`. */
static int group_walk(char *text, const char *name, uint32_t *ret_gid, const char *member, struct spec_user *u, struct err *e)
{
	char *f[4], *next;
	uint32_t gid;
	int r = 0;

	for (char *line = text; line && r == 0; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (!cut_fields(line, f, 4) || !field_id(f[2], &gid))
			continue;
		if (name && streq(f[0], name)) {
			*ret_gid = gid;
			return 0;
		}
		if (member && is_member(f[3], member))
			r = add_group(u, gid, e);
	}
	return r < 0 ? r : name ? -ESRCH : 0;
}

static int resolve_group(int rootfd, const char *group, uint32_t *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	int r;

	if (is_number(group))
		return parse_id(group, "group", ret, e);
	r = read_db(rootfd, "/etc/group", &text, e);
	if (r < 0)
		return r;
	if (!text || group_walk(text, group, ret, NULL, NULL, e) < 0)
		return err_set(e, ENOENT,
			       "group \"%s\" is not in the image's /etc/group: give a number, or a group that is there", group);
	return 0;
}

static int resolve_member_groups(int rootfd, const char *name, struct spec_user *u, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	int r = read_db(rootfd, "/etc/group", &text, e);

	return r < 0 || !text ? r : group_walk(text, NULL, NULL, name, u, e);
}

static int resolve(int rootfd, char *user, const char *group, struct spec_user *u, char **ret_home, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct passwd_line line = { 0 };
	bool numeric = is_number(user), found;
	int r = numeric ? parse_id(user, "user", &u->uid, e) : 0;

	if (r == 0)
		r = read_db(rootfd, "/etc/passwd", &text, e);
	if (r < 0)
		return r;
	found = text && passwd_find(text, numeric ? NULL : user, u->uid, &line);
	if (!found && !numeric)
		return err_set(e, ENOENT, "user \"%s\" is not in the image's /etc/passwd: give a number, or a user that is there",
			       user);
	if (found) {
		u->uid = line.uid;
		u->gid = line.gid;
	}
	if (group)
		r = resolve_group(rootfd, group, &u->gid, e);
	/* A group that is asked for replaces the memberships, as docker's -u user:group does. The primary group is always
	 * among the supplementary ones, so that no setgid program can shed it and pass a deny for the group. */
	if (r == 0)
		r = add_group(u, u->gid, e);
	if (r == 0 && found && !group)
		r = resolve_member_groups(rootfd, line.name, u, e);
	if (r < 0 || !ret_home)
		return r;
	*ret_home = strdup(found && line.home[0] == '/' ? line.home : "/");
	return *ret_home ? 0 : err_set(e, ENOMEM, "user: out of memory");
}

int container_resolve_user(int rootfd, const char *user, struct spec_user *ret, char **ret_home, struct err *e)
{
	_cleanup_free_ char *copy = strdup(user);
	struct spec_user u = { 0 };
	char *colon, *group = NULL;
	int r;

	if (!copy)
		return err_set(e, ENOMEM, "user: out of memory");
	colon = strchr(copy, ':');
	if (colon) {
		*colon = 0;
		group = colon + 1;
	}
	if (!*copy || (group && (!*group || strchr(group, ':'))))
		return err_set(e, EINVAL, "user \"%s\": expected USER, or USER:GROUP, each a name or a number", user);
	r = resolve(rootfd, copy, group, &u, ret_home, e);
	if (r < 0) {
		free(u.additional_gids);
		return r;
	}
	*ret = u;
	return 0;
}

/* HOME for a uid that came as a number in config.json. An image without passwd, or with an unusable one, has "/". */
static char *home_of(int rootfd, uint32_t uid)
{
	_cleanup_free_ char *text = NULL;
	struct passwd_line line = { 0 };

	if (read_db(rootfd, "/etc/passwd", &text, NULL) < 0 || !text || !passwd_find(text, NULL, uid, &line) ||
	    line.home[0] != '/')
		return strdup("/");
	return strdup(line.home);
}

static int set_home(struct setup *s, struct err *e)
{
	_cleanup_free_ char *row = NULL;

	s->env = strv_copy(s->process->env);
	if (!s->env && strv_len(s->process->env) > 0)
		return err_set(e, ENOMEM, "environment: out of memory");
	if (env_get(s->env, "HOME"))
		return 0;
	if (!s->home)
		s->home = home_of(s->rootfd, s->user.uid);
	row = s->home ? str_fmt("HOME=%s", s->home) : NULL;
	return !row || env_set(&s->env, row) < 0 ? err_set(e, ENOMEM, "environment: out of memory") : 0;
}

/* The user's own groups, and those that were asked for beside them (--group-add). */
static int add_more_groups(int rootfd, const struct spec_user *u, struct spec_user *found, struct err *e)
{
	uint32_t gid;
	int r = 0;

	for (size_t i = 0; i < u->n_additional_gids && r >= 0; i++)
		r = add_group(found, u->additional_gids[i], e);
	for (char **name = u->additional_groups; r >= 0 && name && *name; name++) {
		r = resolve_group(rootfd, *name, &gid, e);
		if (r >= 0)
			r = add_group(found, gid, e);
	}
	return r;
}

int user_resolve(struct setup *s, struct err *e)
{
	const struct spec_user *u = &s->process->user;
	bool has_name = u->username && *u->username;
	struct spec_user found = { .uid = u->uid, .gid = u->gid };
	int r = 0;

	s->user = *u;
	if (has_name)
		r = container_resolve_user(s->rootfd, u->username, &found, &s->home, e);
	if (r >= 0 && (has_name || u->additional_groups))
		r = add_more_groups(s->rootfd, u, &found, e);
	if (r < 0) {
		free(found.additional_gids);
		return r;
	}
	if (has_name || u->additional_groups) {
		s->user.uid = found.uid;
		s->user.gid = found.gid;
		s->user.additional_gids = found.additional_gids;
		s->user.n_additional_gids = found.n_additional_gids;
	}
	return set_home(s, e);
}
