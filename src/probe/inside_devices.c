/* inside_devices: the device nodes below /dev, and whether one for a disk could be made and opened. Nodes are opened only where that has
 * no effect (a watchdog begins to count, a tape is rewound); of the others it is asked whether they might be. */
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "inside.h"

#define DEPTH_MAX 5

struct walk {
	struct json_out *j;
	unsigned listed, count;
};

/* Majors of which every minor, and minors of the misc major (10), that nothing happens to by being opened
 * (Documentation/admin-guide/devices.txt). */
static bool is_harmless(mode_t mode, unsigned major_, unsigned minor_)
{
	static const unsigned blocks[] = { 1, 7, 8, 65, 66, 67, 68, 69, 70, 71, 179, 202, 251, 252, 253, 254, 259 };

	for (size_t i = 0; S_ISBLK(mode) && i < ARRAY_SIZE(blocks); i++)
		if (blocks[i] == major_)
			return true;
	if (!S_ISCHR(mode))
		return false;
	return major_ == 1 || (major_ == 5 && minor_ == 0) ||
	       (major_ == 10 && (minor_ == 200 /* tun */ || minor_ == 229 /* fuse */ || minor_ == 232 /* kvm */));
}

/* 1: may be used; 0: refused, or nothing is behind it. */
static bool is_usable(int dirfd, const char *name, const struct stat *st, bool *ret_is_opened)
{
	*ret_is_opened = is_harmless(st->st_mode, major(st->st_rdev), minor(st->st_rdev));
	if (!*ret_is_opened)
		return faccessat(dirfd, name, R_OK, AT_EACCESS) == 0 || faccessat(dirfd, name, W_OK, AT_EACCESS) == 0;
	_cleanup_fd_ int fd = openat(dirfd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0;
}

static void put_device(struct walk *w, int dirfd, const char *path, const char *name, const struct stat *st)
{
	bool is_opened;

	if (!is_usable(dirfd, name, st, &is_opened))
		return;
	w->count++;
	if (w->listed >= INSIDE_LISTED)
		return;
	w->listed++;
	json_out_open(w->j, NULL, '{');
	json_out_text(w->j, "path", path);
	json_out_text(w->j, "kind", S_ISBLK(st->st_mode) ? "block" : "char");
	json_out_int(w->j, "major", major(st->st_rdev));
	json_out_int(w->j, "minor", minor(st->st_rdev));
	json_out_bool(w->j, "opened", is_opened);
	json_out_close(w->j, '}');
}

static void walk_dir(struct walk *w, int dirfd, const char *path, unsigned depth) /* takes dirfd */
{
	struct dirent *d;
	DIR *dir = fdopendir(dirfd);

	if (!dir) {
		fd_close(dirfd);
		return;
	}
	while (dir_next(dir, &d) > 0) {
		_cleanup_free_ char *below = str_fmt("%s/%s", path, d->d_name);
		struct stat st;

		if (!below || fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode))
			put_device(w, dirfd, below, d->d_name, &st);
		else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
			int sub = openat(dirfd, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (sub >= 0)
				walk_dir(w, sub, below, depth + 1);
		}
	}
	closedir(dir);
}

/* The first disk that the kernel tells of, also a container's: the host's. Else the first loop device. */
static dev_t some_disk(void)
{
	_cleanup_free_ char *text = NULL;
	unsigned major_ = 7, minor_ = 0;
	const char *at;

	if (file_read(AT_FDCWD, "/proc/partitions", 1u << 20, &text, NULL) < 0)
		return makedev(7, 0);
	at = strstr(text, "\n\n"); /* behind the head */
	if (!at || sscanf(at, " %u %u", &major_, &minor_) != 2)
		return makedev(7, 0);
	return makedev(major_, minor_);
}

static void put_outcome(struct json_out *j, const char *name, int no) { json_out_text(j, name, no ? strerror(no) : ""); }

/* mknod wants a place that can be written to; one without nodev tells more. */
static void put_disk(struct json_out *j)
{
	static const char *const places[] = { "/dev/.berth-probe-node", "/.berth-probe-node", "/tmp/.berth-probe-node" };
	dev_t disk = some_disk();
	int no = 0;

	json_out_open(j, "disk", '{');
	json_out_int(j, "major", major(disk));
	json_out_int(j, "minor", minor(disk));
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_fd_ int fd = -1;

		no = mknod(places[i], S_IFBLK | 0600, disk) < 0 ? errno : 0;
		if (no == EROFS || no == ENOENT || no == EACCES)
			continue;
		if (no)
			break;
		fd = open(places[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		put_outcome(j, "open", fd < 0 ? errno : 0);
		unlink(places[i]);
		break;
	}
	put_outcome(j, "mknod", no);
	json_out_close(j, '}');
}

void inside_devices(struct json_out *j)
{
	struct walk w = { .j = j };
	int fd = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		json_out_why(j, "devices", "/dev", errno);
		return;
	}
	json_out_open(j, "devices", '{');
	json_out_open(j, "usable", '[');
	walk_dir(&w, fd, "/dev", 0);
	json_out_close(j, ']');
	json_out_int(j, "count", w.count);
	put_disk(j);
	json_out_close(j, '}');
}
