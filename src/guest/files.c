/* files: what `cp`, `diff`, `export` and `commit` want of a container of this guest, by a child of the agent's: the other end is berth-transfer
 * on the host. It works from the container's root, or its layers, as the host's does (files/files.h), runs no program, and reads nothing of
 * the image but what is asked for. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy_place.h"
#include "files_diff.h"
#include "files_stream.h"
#include "guest.h"

/* What was asked for. */
struct asked {
	const struct files_job *job;
	const char *path;
	bool keeps_owner, follows;
	char *const *mounts;
};

static int open_root(const struct asked *a, struct err *e)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/root", (int)a->job->pid);
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_set(e, errno, "open the container's root: %s", strerror(errno)) : fd;
}

static int send_out(const struct asked *a, struct err *e)
{
	_cleanup_fd_ int rootfd = open_root(a, e);
	_cleanup_(place_done) struct place src = { .dirfd = -1 };
	struct stream_head h = { 0 };
	struct stream_sink s;
	int r = rootfd < 0 ? rootfd : place_open(&src, rootfd, a->path, a->follows, e);

	if (r == 0 && !src.exists)
		r = err_set(e, ENOENT, "%s: no such file or directory", src.path);
	if (r < 0)
		return r;
	if (S_ISCHR(src.st.st_mode) || S_ISBLK(src.st.st_mode) || S_ISSOCK(src.st.st_mode))
		return err_set(e, EOPNOTSUPP, "%s is a device or a socket, which are not copied", src.path);
	h.is_dir = S_ISDIR(src.st.st_mode);
	h.is_content = src.is_content;
	snprintf(h.base, sizeof(h.base), "%s", src.base);
	r = stream_put_head(STDOUT_FILENO, &h, e);
	if (r < 0)
		return r;
	stream_sink_init(&s, STDOUT_FILENO);
	const struct walk w = { .dirfd = src.dirfd, .name = src.name, .as = "" };
	return files_walk(&w, &s.base, e);
}

static int sync_to_disk(int dirfd, struct err *e)
{
	_cleanup_fd_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || syncfs(fd) < 0 ? err_set(e, errno, "write to the disk: %s", strerror(errno)) : 0;
}

static int take_in(const struct asked *a, struct err *e)
{
	_cleanup_fd_ int rootfd = open_root(a, e);
	_cleanup_(place_done) struct place dst = { .dirfd = -1 }, src = { .dirfd = -1 };
	struct copy_plan plan = { .is_into = true, .as = "" };
	struct tree_sink t = { .parentfd = -1 };
	struct stream_head h;
	struct stat st;
	int r = rootfd < 0 ? rootfd : stream_read_head(STDIN_FILENO, &h, e);

	if (r == 0)
		r = place_open(&dst, rootfd, a->path, true, e);
	if (r < 0)
		return r;
	if (h.is_tar && (!dst.exists || !S_ISDIR(dst.st.st_mode)))
		return err_set(e, dst.exists ? ENOTDIR : ENOENT, "destination %s must be a directory", dst.path);
	src.base = strdup(h.base);
	src.path = strdup(h.base);
	if (!src.base || !src.path)
		return err_set(e, ENOMEM, "out of memory");
	src.is_content = h.is_content;
	src.st.st_mode = h.is_dir ? S_IFDIR : S_IFREG;
	if (!h.is_tar && (r = copy_plan(&src, &dst, &plan, e)) < 0)
		return r;
	_cleanup_fd_ int dirfd = place_open_dir(&dst, plan.is_into, e);
	if (dirfd < 0)
		return dirfd;
	r = tree_sink_init(&t, dirfd, e);
	t.keeps_owner = a->keeps_owner;
	t.follows_links = h.is_tar && fstat(rootfd, &st) == 0 && st.st_dev == dst.st.st_dev && st.st_ino == dst.st.st_ino;
	if (r == 0)
		r = files_unstream(STDIN_FILENO, STREAM_FILES, plan.as, &t.base, e);
	if (r == 0)
		r = tree_sink_finish(&t, e);
	if (r == 0 && a->job->is_idle) /* the guest ends with this, perhaps killed */
		r = sync_to_disk(dirfd, e);
	tree_sink_done(&t);
	return r;
}

/* ---- its layers ---- */

static int begin_all(struct stream_sink *s, struct err *e)
{
	const struct stream_head h = { .is_dir = true, .is_content = true };

	stream_sink_init(s, STDOUT_FILENO);
	return stream_put_head(STDOUT_FILENO, &h, e);
}

static int open_upper(const struct asked *a, struct upper *u, struct stream_sink *s, struct err *e)
{
	int r = guest_layers_open(a->job->slot, &u->fd, &u->lower, e);

	u->mounts = a->mounts;
	return r < 0 ? r : begin_all(s, e);
}

static int send_changes(const struct asked *a, struct err *e)
{
	struct upper u = { .fd = -1, .lower = -1 };
	struct stream_sink s;
	int r = open_upper(a, &u, &s, e);

	if (r == 0)
		r = files_diff(&u, &s.base, e);
	fd_close(u.fd);
	fd_close(u.lower);
	return r;
}

static int send_layer(const struct asked *a, struct err *e)
{
	struct upper u = { .fd = -1, .lower = -1 };
	struct stream_sink s;
	int r = open_upper(a, &u, &s, e);

	if (r == 0) {
		const struct walk w = upper_walk(&u);
		r = files_walk(&w, &s.base, e);
	}
	fd_close(u.fd);
	fd_close(u.lower);
	return r;
}

static int send_all(const struct asked *a, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct stream_sink s;
	int r = guest_merged_open(a->job->slot, &fd, e);

	if (r == 0)
		r = begin_all(&s, e);
	if (r < 0)
		return r;
	const struct walk w = { .dirfd = fd, .name = ".", .as = "", .xattrs = WALK_XATTRS_LAYER };
	return files_walk(&w, &s.base, e);
}

/* ---- the child ---- */

static const struct verb {
	const char *name;
	int (*run)(const struct asked *a, struct err *e);
} verbs[] = {
	{ GUEST_FILES_OUT, send_out },     { GUEST_FILES_IN, take_in },   { GUEST_FILES_DIFF, send_changes },
	{ GUEST_FILES_LAYER, send_layer }, { GUEST_FILES_ALL, send_all },
};

static int carry_out(const struct files_job *job, char *const *args, struct err *e)
{
	const size_t n = strv_len(args);
	const struct asked a = { .job = job,
				 .path = n >= 4 ? args[2] : NULL,
				 .keeps_owner = n >= 4 && strchr(args[3], 'a'),
				 .follows = n >= 4 && strchr(args[3], 'L'),
				 .mounts = n >= 4 ? args + 4 : NULL };

	for (size_t i = 0; i < ARRAY_SIZE(verbs) && n >= 4; i++)
		if (streq(args[1], verbs[i].name))
			return verbs[i].run(&a, e);
	return err_set(e, EPROTO, "files: this guest was asked for something else than it knows");
}

_noreturn_ static void child_main(const struct files_job *job, char *const *args, const int stdio[3])
{
	struct err e = { 0 }, late = { 0 };
	int high[3] = { -1, -1, -1 };

	log_setup("berth", LOG_WARN_, false);
	umask(0);
	for (int i = 0; i < 3; i++)
		high[i] = fcntl(stdio[i], F_DUPFD_CLOEXEC, 16);
	for (int i = 0; i < 3; i++)
		if (high[i] < 0 || dup2(high[i], i) < 0)
			_exit(125);
	if (close_range(3, ~0u, 0) < 0)
		_exit(125);
	int r = carry_out(job, args, &e);
	/* Both ways the guest has the last word. */
	int k = stream_end(STDOUT_FILENO, r, &e, &late);
	_exit(r < 0 || k < 0);
}

bool guest_files_stands_still(char *const *args) { return strv_len(args) >= 4 && strchr(args[3], 'p'); }

int guest_files(const struct files_job *job, char *const *args, const int stdio[3], pid_t *ret_pid, struct err *e)
{
	pid_t pid = fork();

	if (pid == 0)
		child_main(job, args, stdio);
	if (pid < 0)
		return err_set(e, errno, "fork: %s", strerror(errno));
	*ret_pid = pid;
	return 0;
}
