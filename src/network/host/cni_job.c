/* What is kept of an endpoint's plugins while they have something of it. See cni_host.h. */
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cni_host.h"
#include "json_rows.h"

enum { JOB_MAX = 4 << 20 };

static const struct field job_rows[] = {
	JSON_ROW("container", FIELD_STRING, cni_job, container, FIELD_REQUIRED),
	JSON_ROW("ifname", FIELD_STRING, cni_job, ifname, FIELD_REQUIRED),
	JSON_ROW("network", FIELD_STRING, cni_job, network, FIELD_REQUIRED),
	JSON_ROW("conf", FIELD_STRING, cni_job, conf, FIELD_REQUIRED),
	JSON_ROW("path", FIELD_STRING, cni_job, path, FIELD_REQUIRED),
	JSON_ROW("runtime", FIELD_STRING, cni_job, runtime, FIELD_REQUIRED),
	JSON_ROW("result", FIELD_STRING, cni_job, result),
	JSON_ROW("seconds", FIELD_U32, cni_job, seconds, FIELD_REQUIRED),
	JSON_STRICT,
};

void cni_job_done(struct cni_job *j)
{
	json_free_fields(job_rows, j);
	*j = (struct cni_job){ 0 };
}

int cni_job_write(const struct cni_dir *d, const struct cni_job *j)
{
	_cleanup_json_ struct json_object *o = json_write(job_rows, j);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;

	return text ? file_replace(d->fd, "job", text, strlen(text), 0600, false) : -ENOMEM;
}

int cni_job_read(const struct cni_dir *d, struct cni_job *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *text = NULL;
	struct cni_job j = { 0 };
	size_t len = 0;
	int r = file_read(d->fd, "job", JOB_MAX, &text, &len);

	if (r < 0)
		return err_set(e, -r, "%s/job: %s", d->path, strerror(-r));
	r = json_parse(text, len, "job", &o, e);
	if (r >= 0)
		r = json_read(o, job_rows, &j, "", e);
	if (r < 0) {
		cni_job_done(&j);
		return err_push(e, r, "%s", d->path);
	}
	*ret = j;
	return 0;
}

/* ---- the folder ---- */

void cni_dir_close(struct cni_dir *d)
{
	d->fd = fd_close(d->fd);
	free_ptr(&d->path);
}

static int lock(int fd)
{
	int r;

	do
		r = flock(fd, LOCK_EX) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r;
}

/* One that was removed while it was waited for is none. */
int cni_dir_open(const char *state_dir, const char *device, bool make, struct cni_dir *ret)
{
	struct cni_dir d = { .path = str_fmt("%s/" NET_CNI_DIR "/%s", state_dir, device), .fd = -1 };
	int r = d.path ? 0 : -ENOMEM;

	while (r >= 0) {
		struct stat st;

		if (make)
			r = mkdir_p(AT_FDCWD, d.path, 0700);
		if (make && r == -ENOENT) /* the last one of another has just taken their folder along */
			r = 0;
		if (r >= 0)
			d.fd = open(d.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (r >= 0 && d.fd < 0 && (errno != ENOENT || !make))
			r = -errno;
		if (d.fd < 0)
			continue;
		r = lock(d.fd);
		if (r >= 0 && fstat(d.fd, &st) < 0)
			r = -errno;
		if (r >= 0 && st.st_nlink > 0) {
			*ret = d;
			return 0;
		}
		d.fd = fd_close(d.fd);
	}
	cni_dir_close(&d);
	return r;
}

static char *ns_path(const struct cni_dir *d) { return str_fmt("%s/ns", d->path); }

int cni_dir_remove(const char *state_dir, const char *device, struct cni_dir *d)
{
	_cleanup_free_ char *ns = ns_path(d), *parent = str_fmt("%s/" NET_CNI_DIR, state_dir);
	int r;

	if (!ns || !parent)
		return -ENOMEM;
	while (umount2(ns, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	if (errno != EINVAL && errno != ENOENT)
		return -errno;
	_cleanup_fd_ int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 ? -errno : rm_rf(dir, device);
	if (r >= 0 && rmdir(parent) < 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
		r = -errno;
	return r;
}

int cni_dir_pin(const struct cni_dir *d, int ns)
{
	_cleanup_free_ char *to = ns_path(d);
	char from[FD_PATH_LEN];

	if (!to)
		return -ENOMEM;
	_cleanup_fd_ int file = openat(d->fd, "ns", O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		return -errno;
	return mount(fd_path(ns, from), to, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

char *cni_dir_namespace(const struct cni_dir *d)
{
	char *path = ns_path(d);
	_cleanup_fd_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	int type = -1;

	if (fd >= 0)
		type = ioctl(fd, NS_GET_NSTYPE);
	if (path && type != CLONE_NEWNET)
		path[0] = '\0';
	return path;
}
