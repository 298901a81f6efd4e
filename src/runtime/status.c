/* status: what of a record is still true. The pid counts only with its start time and only in the boot that it was written in;
 * "created" counts only while the first process still listens on its socket. */
#include <unistd.h>

#include "record.h"

static char *read_boot_id(void)
{
	_cleanup_free_ char *text = NULL;

	if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return TAKE_PTR(text);
}

static int set_process(struct record *rec, pid_t pid, int64_t *ret_pid, uint64_t *ret_start, struct err *e)
{
	uint64_t start;
	int r = pid_start_time(pid, &start);

	if (r < 0)
		return err_set(e, -r, "process %d: %s", (int)pid, r == -ESRCH ? "it has ended" : strerror(-r));
	if (!rec->boot_id)
		rec->boot_id = read_boot_id();
	if (!rec->boot_id)
		return err_set(e, EIO, "/proc/sys/kernel/random/boot_id can't be read");
	*ret_pid = pid;
	*ret_start = start;
	return 0;
}

int record_set_process(struct record *rec, pid_t pid, struct err *e)
{
	return set_process(rec, pid, &rec->pid, &rec->start_time, e);
}

int record_set_maker(struct record *rec, struct err *e)
{
	return set_process(rec, getpid(), &rec->maker_pid, &rec->maker_start_time, e);
}

static bool is_alive(const struct record *rec, int64_t pid, uint64_t start_time)
{
	_cleanup_free_ char *boot = NULL;
	uint64_t start;

	if (pid <= 0 || pid_start_time((pid_t)pid, &start) < 0 || start != start_time)
		return false;
	boot = read_boot_id();
	return boot && streq0(boot, rec->boot_id);
}

pid_t record_live_pid(const struct record *rec) { return is_alive(rec, rec->pid, rec->start_time) ? (pid_t)rec->pid : 0; }

int record_cgroup(const struct record *rec, const struct host *host, struct cgroup **ret, struct err *e)
{
	if (!rec->cgroup_path || !*rec->cgroup_path)
		return err_set(e, ENOENT, "container %s has no cgroup", rec->id);
	return cgroup_open(host, rec->cgroup_path, ret, e);
}

static bool is_paused(const struct record *rec, const struct host *host)
{
	struct cgroup *cg = NULL;
	bool frozen = record_cgroup(rec, host, &cg, NULL) == 0 && cgroup_is_frozen(cg);

	cgroup_free(cg);
	return frozen;
}

/* One who starts it may be killed before it writes so. */
static bool waits_for_start(const struct held *h)
{
	_cleanup_fd_ int fd = container_start_connect(h->dirfd, "start.sock");

	return fd >= 0;
}

/* One that starts at once may have, before its maker comes to write so. */
static bool is_started(const struct record *rec)
{
	pid_t pid = record_live_pid(rec);

	return pid > 0 && pid_has_execed(pid) > 0;
}

enum status record_status(const struct held *h, const struct host *host)
{
	const struct record *rec = &h->rec;

	if (streq(rec->written, status_names[STATUS_CREATING]) && !is_started(rec))
		return record_live_pid(rec) || is_alive(rec, rec->maker_pid, rec->maker_start_time) ? STATUS_CREATING
												    : STATUS_STOPPED;
	if (!record_live_pid(rec))
		return STATUS_STOPPED;
	if (is_paused(rec, host))
		return STATUS_PAUSED;
	if (streq(rec->written, status_names[STATUS_CREATED]) && waits_for_start(h))
		return STATUS_CREATED;
	return record_live_pid(rec) ? STATUS_RUNNING : STATUS_STOPPED;
}

struct json_object *record_json(const struct record *rec, enum status status)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	pid_t pid = status == STATUS_STOPPED ? 0 : (pid_t)rec->pid;

	if (json_add(o, "ociVersion", json_object_new_string(rec->oci_version ? rec->oci_version : "1.2.0")) < 0 ||
	    json_add(o, "id", json_object_new_string(rec->id)) < 0 || json_add(o, "pid", json_object_new_int(pid)) < 0 ||
	    json_add(o, "status", json_object_new_string(status_names[status])) < 0 ||
	    json_add(o, "bundle", json_object_new_string(rec->bundle)) < 0 ||
	    json_add(o, "rootfs", json_object_new_string(rec->rootfs ? rec->rootfs : "")) < 0 ||
	    json_add(o, "created", json_object_new_string(rec->created ? rec->created : "")) < 0)
		return NULL;
	if (rec->annotations.keys && json_add(o, "annotations", json_from_map(&rec->annotations)) < 0)
		return NULL;
	if (json_add(o, "owner", json_object_new_string(rec->owner ? rec->owner : "")) < 0)
		return NULL;
	return TAKE_PTR(o);
}
