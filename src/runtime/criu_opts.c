/* criu_opts: the options of checkpoint and restore as CRIU's message criu_opts (images/rpc.proto of CRIU 3.17). See criu.h. */
#include <sched.h>
#include <unistd.h>

#include "criu.h"

enum row_type { ROW_FLAG, ROW_STRING };
#define OPT(m) offsetof(struct criu_opts, m)
static const struct row {
	uint32_t field;
	enum row_type type;
	size_t offset;
} rows[] = {
	{ 3, ROW_FLAG, OPT(leaves_running) },      { 4, ROW_FLAG, OPT(ext_unix_sk) },
	{ 5, ROW_FLAG, OPT(tcp_established) },     { 7, ROW_FLAG, OPT(shell_job) },
	{ 8, ROW_FLAG, OPT(file_locks) },          { CRIU_PARENT_IMG, ROW_STRING, OPT(parent_path) },
	{ 16, ROW_FLAG, OPT(auto_dedup) },         { 18, ROW_FLAG, OPT(link_remap) },
	{ 46, ROW_FLAG, OPT(tcp_skip_in_flight) }, { 48, ROW_FLAG, OPT(lazy_pages) },
	{ 53, ROW_STRING, OPT(lsm_profile) },      { 63, ROW_STRING, OPT(lsm_mount_context) },
};

void criu_put_options(struct buf *b, const struct criu_opts *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *at = (const char *)o + rows[i].offset;

		if (rows[i].type == ROW_FLAG && *(const bool *)at)
			pb_put_bool(b, rows[i].field, true);
		else if (rows[i].type == ROW_STRING && *(char *const *)(const void *)at)
			pb_put_str(b, rows[i].field, *(char *const *)(const void *)at);
	}
	pb_put_int(b, CRIU_LOG_LEVEL, 4);
	pb_put_bool(b, CRIU_NOTIFY_SCRIPTS, true);
	pb_put_bool(b, CRIU_ORPHAN_PTS_MASTER, true);
	if (o->parent_path || o->pre_dump)
		pb_put_bool(b, CRIU_TRACK_MEM, true);
}

void criu_put_pair(struct buf *b, enum criu_field field, const char *first, const char *second)
{
	_cleanup_buf_ struct buf pair = { 0 };

	pb_put_str(&pair, 1, first);
	pb_put_str(&pair, 2, second);
	pb_put_message(b, field, &pair);
}

void criu_put_inherit_fd(struct buf *b, const char *key, int fd)
{
	_cleanup_buf_ struct buf inherit = { 0 };

	pb_put_str(&inherit, 1, key);
	pb_put_int(&inherit, 2, fd);
	pb_put_message(b, CRIU_INHERIT_FD, &inherit);
}

void criu_put_config_file(struct buf *b, const struct string_map *annotations)
{
	const char *file = map_get(annotations, "org.criu.config");

	if (!file)
		file = "/etc/criu/runc.conf"; /* CRIU does without where there is none */
	if (*file)
		pb_put_str(b, CRIU_CONFIG_FILE, file);
}

/* ---- words that are more than a string ---- */

/* criu_cg_mode of rpc.proto; runc's words. */
static const struct {
	const char *word;
	int mode;
} cgroup_modes[] = { { "ignore", 0 }, { "soft", 3 }, { "full", 4 }, { "strict", 5 } };

static int put_cgroups_mode(struct buf *b, const char *word, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(cgroup_modes); i++)
		if (streq(cgroup_modes[i].word, word)) {
			pb_put_int(b, CRIU_MANAGE_CGROUPS_MODE, cgroup_modes[i].mode);
			return 0;
		}
	return err_set(e, EINVAL, "--manage-cgroups-mode: \"%s\" is none of soft, full, strict, ignore", word);
}

/* ADDRESS:PORT, where an address of IPv6 stands in brackets. */
static int put_page_server(struct buf *b, const char *where, struct err *e)
{
	_cleanup_buf_ struct buf server = { 0 };
	_cleanup_free_ char *address = NULL;
	const char *colon = strrchr(where, ':');
	uint64_t port;

	if (!colon || colon == where || str_to_u64(colon + 1, &port) < 0 || port == 0 || port > 65535)
		return err_set(e, EINVAL, "--page-server: \"%s\" is not ADDRESS:PORT", where);
	if (where[0] == '[' && colon[-1] == ']')
		address = strndup(where + 1, (size_t)(colon - where) - 2);
	else
		address = strndup(where, (size_t)(colon - where));
	if (!address)
		return err_set(e, ENOMEM, "out of memory");
	pb_put_str(&server, 1, address);
	pb_put_int(&server, 2, (int64_t)port);
	pb_put_message(b, CRIU_PAGE_SERVER, &server);
	return 0;
}

static int put_empty_ns(struct buf *b, char *const *names, struct err *e)
{
	for (char *const *n = names; n && *n; n++)
		if (!streq(*n, "network") && !streq(*n, "net"))
			return err_set(e, ENOTSUP, "--empty-ns %s: CRIU leaves only the network namespace empty", *n);
	if (names && *names)
		pb_put_int(b, CRIU_EMPTY_NS, CLONE_NEWNET);
	return 0;
}

int criu_put_words(struct buf *b, const struct criu_opts *o, struct err *e)
{
	int r = put_cgroups_mode(b, o->cgroups_mode && *o->cgroups_mode ? o->cgroups_mode : "soft", e);

	if (r == 0 && o->page_server)
		r = put_page_server(b, o->page_server, e);
	return r < 0 ? r : put_empty_ns(b, o->empty_ns, e);
}

/* ---- directories ---- */

static int open_dir(const char *option, const char *path, bool make, char **ret_path, struct err *e)
{
	_cleanup_fd_ int fd = -1;

	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(e, errno, "%s %s: %s", option, path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*ret_path = fd < 0 ? NULL : realpath(path, NULL);
	return *ret_path ? TAKE_FD(fd) : err_set(e, errno, "%s %s: %s", option, path, strerror(errno));
}

static int check_parent(const struct criu_opts *o, const struct criu_dirs *d, struct err *e)
{
	struct stat st;

	if (!o->parent_path)
		return 0;
	if (o->parent_path[0] == '/')
		return err_set(e, EINVAL, "--parent-path %s: has to be relative to --image-path", o->parent_path);
	if (fstatat(d->images, o->parent_path, &st, 0) < 0)
		return err_set(e, errno, "--parent-path %s: in %s: %s", o->parent_path, d->images_path, strerror(errno));
	return S_ISDIR(st.st_mode) ? 0 : err_set(e, ENOTDIR, "--parent-path %s: %s", o->parent_path, strerror(ENOTDIR));
}

int criu_dirs_open(const struct criu_opts *o, bool make, struct criu_dirs *ret, struct err *e)
{
	ret->images = open_dir("--image-path", o->image_path && *o->image_path ? o->image_path : "checkpoint", make,
			       &ret->images_path, e);
	if (ret->images < 0)
		return ret->images;
	if (o->work_path && *o->work_path) {
		ret->work = open_dir("--work-path", o->work_path, true, &ret->work_path, e);
		if (ret->work < 0)
			return ret->work;
	} else {
		ret->work = fcntl(ret->images, F_DUPFD_CLOEXEC, 3);
		ret->work_path = strdup(ret->images_path);
		if (ret->work < 0 || !ret->work_path)
			return err_set(e, ENOMEM, "out of memory");
	}
	return check_parent(o, ret, e);
}

static int reopen(int at, const char *path, struct err *e)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || dup3(fd, at, O_CLOEXEC) < 0 ? err_set(e, errno, "%s: %s", path, strerror(errno)) : 0;
}

int criu_dirs_reopen(struct criu_dirs *d, struct err *e)
{
	int r = reopen(d->images, d->images_path, e);

	return r < 0 ? r : reopen(d->work, d->work_path, e);
}

void criu_dirs_done(struct criu_dirs *d)
{
	fd_close(d->images);
	fd_close(d->work);
	free(d->images_path);
	free(d->work_path);
	*d = CRIU_DIRS_NONE;
}
