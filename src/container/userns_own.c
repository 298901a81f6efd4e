/* userns_own: the id maps of a user namespace as somebody without privilege may write them (user_namespaces(7)). One's own id alone
 * the kernel takes from anybody; whatever else /etc/subuid and /etc/subgid grant goes through newuidmap(1) and newgidmap(1),
 * which are set-user-ID and check it. Called by userns.c. */
#include <stdio.h>
#include <unistd.h>

#include "setup.h"

/* What differs between users and groups. */
struct kind {
	const char *map, *helper, *grants;
	const char *what[2]; /* errors are about: where nobody has written it down, and in config.json */
};
static const struct kind uids = { "uid_map", "newuidmap", "/etc/subuid", { "this user's users", "linux.uidMappings" } };
static const struct kind gids = { "gid_map", "newgidmap", "/etc/subgid", { "this user's groups", "linux.gidMappings" } };

static bool is_own_alone(const struct spec_idmap *m, size_t n, uint32_t own)
{
	return n == 1 && m[0].size == 1 && m[0].host_id == own;
}

static int push_number(char ***argv, uint32_t v)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", v);
	return strv_push(argv, text);
}

static int helper_argv(const char *program, pid_t pid, const struct spec_idmap *m, size_t n, char ***ret)
{
	int r = strv_push(ret, program);

	if (r == 0)
		r = push_number(ret, (uint32_t)pid);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = push_number(ret, m[i].container_id);
		if (r == 0)
			r = push_number(ret, m[i].host_id);
		if (r == 0)
			r = push_number(ret, m[i].size);
	}
	return r;
}

static int map_by_helper(const struct kind *k, bool is_config, pid_t pid, const struct spec_idmap *m, size_t n, uint32_t own,
			 struct err *e)
{
	_cleanup_free_ char *program = spawn_find(k->helper), *out = NULL, *otherwise = NULL;
	_cleanup_strv_ char **argv = NULL;
	struct err why = { 0 };
	int r;

	if (!program) {
		otherwise = is_config ? str_fmt(", or map 0 to %u with size 1", own) : NULL;
		return err_set(e, ENOENT,
			       "%s: to map more than one's own id (%u) the program %s is needed, and is not there: install "
			       "the package uidmap%s",
			       k->what[is_config], own, k->helper, otherwise ? otherwise : "");
	}
	if (helper_argv(program, pid, m, n, &argv) < 0)
		return err_set(e, ENOMEM, "%s: out of memory", k->what[is_config]);
	r = spawn_output(argv, 4096, &out, &why);
	return r < 0 ? err_set(e, -r,
			       "%s: %s (does %s grant these ids to user %u? A line is NAME:FIRST:COUNT. Does %s belong to root, "
			       "with "
			       "the set-user-ID bit?)",
			       k->what[is_config], why.msg, k->grants, (unsigned)getuid(), program)
		     : 0;
}

static int write_map(const struct kind *k, bool is_config, pid_t pid, const struct spec_idmap *m, size_t n, uint32_t own,
		     struct err *e)
{
	if (n == 0 || is_own_alone(m, n, own))
		return userns_write_map(pid, k->map, m, n, e);
	return map_by_helper(k, is_config, pid, m, n, own, e);
}

int userns_write_own_maps(const struct spec *spec, bool is_config, pid_t pid, struct err *e)
{
	int r = write_map(&uids, is_config, pid, spec->uid_mappings, spec->n_uid_mappings, geteuid(), e);

	if (r < 0)
		return r;
	/* Without privilege a gid map may only be written once setgroups is off, lest dropping a group open what the group was
	 * denied (CVE-2014-8989). newgidmap decides by itself: setgroups stays on for groups that /etc/subgid grants. */
	if (is_own_alone(spec->gid_mappings, spec->n_gid_mappings, getegid())) {
		r = procfs_write_pid(pid, "setgroups", "deny");
		if (r < 0)
			return err_set(e, -r, "setgroups: %s", strerror(-r));
	}
	return write_map(&gids, is_config, pid, spec->gid_mappings, spec->n_gid_mappings, getegid(), e);
}
