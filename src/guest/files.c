/* files: `cp` out of a container of this guest and into it, by a child of the agent's: the other end is berth-transfer on the host. It works
 * from the container's root as the host's copier does (files/files.h), runs no program, and reads nothing of the image but what is copied. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy_place.h"
#include "files_stream.h"
#include "guest.h"

/* Of what was asked for. */
struct asked {
	const char *path;
	bool is_out, keeps_owner, follows;
};

static int read_words(char *const *args, struct asked *ret, struct err *e)
{
	if (strv_len(args) != 4)
		return err_set(e, EPROTO, "files: four words are expected");
	*ret = (struct asked){ .path = args[2], .is_out = streq(args[1], "out") };
	ret->keeps_owner = strchr(args[3], 'a');
	ret->follows = strchr(args[3], 'L');
	return 0;
}

static int send_out(const struct asked *a, int rootfd, struct err *e)
{
	_cleanup_(place_done) struct place src = { .dirfd = -1 };
	struct stream_head h = { 0 };
	struct stream_sink s;
	int r = place_open(&src, rootfd, a->path, a->follows, e);

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

static int take_in(const struct asked *a, int rootfd, struct err *e)
{
	_cleanup_(place_done) struct place dst = { .dirfd = -1 }, src = { .dirfd = -1 };
	struct copy_plan plan = { .is_into = true, .as = "" };
	struct tree_sink t = { .parentfd = -1 };
	struct stream_head h;
	struct stat st;
	int r = stream_read_head(STDIN_FILENO, &h, e);

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
		r = files_unstream(STDIN_FILENO, plan.as, &t.base, e);
	if (r == 0)
		r = tree_sink_finish(&t, e);
	tree_sink_done(&t);
	return r;
}

_noreturn_ static void child_main(char *const *args, int rootfd, const int stdio[3])
{
	struct asked a = { 0 };
	struct err e = { 0 }, late = { 0 };
	int high[4] = { -1, -1, -1, -1 };

	log_setup("berth", LOG_WARN_, false);
	umask(0);
	for (int i = 0; i < 4; i++)
		high[i] = fcntl(i < 3 ? stdio[i] : rootfd, F_DUPFD_CLOEXEC, 16);
	for (int i = 0; i < 4; i++)
		if (high[i] < 0 || dup2(high[i], i) < 0)
			_exit(125);
	if (close_range(4, ~0u, 0) < 0)
		_exit(125);
	int r = read_words(args, &a, &e);
	if (r == 0)
		r = a.is_out ? send_out(&a, 3, &e) : take_in(&a, 3, &e);
	/* Both ways the guest has the last word. */
	int k = stream_end(STDOUT_FILENO, r, &e, &late);
	_exit(r < 0 || k < 0);
}

int guest_files(struct container *c, char *const *args, const int stdio[3], pid_t *ret_pid, struct err *e)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/root", (int)container_pid(c));
	_cleanup_fd_ int rootfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0)
		return err_set(e, errno, "open the container's root: %s", strerror(errno));
	pid_t pid = fork();
	if (pid == 0)
		child_main(args, rootfd, stdio);
	if (pid < 0)
		return err_set(e, errno, "fork: %s", strerror(errno));
	*ret_pid = pid;
	return 0;
}
