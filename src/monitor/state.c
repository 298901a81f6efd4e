/* State files: who may say what about a container's run. Each file is written once, by the monitor, under a temporary name,
 * and then renamed; readers take a file that is there for the whole truth of its kind:
 *
 *   no directory                 MONITOR_NONE      state_claim makes it, monitor.json inside, in one rename
 *   monitor.json                 MONITOR_STARTING
 *   started.json                 MONITOR_RUNNING   state_write_started
 *   exited.json                  MONITOR_EXITED    state_write_exited; the directory goes once the record knows
 *   no exited.json, process gone MONITOR_DIED      seen by whoever looks first (reconcile) */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "state.h"

#define STATE_MAX 65536

struct owner {
	int64_t pid;
	uint64_t start_time;
	char *boot_id;
};
static const struct field owner_fields[] = {
	{ .name = "pid", .type = FIELD_I64, .offset = offsetof(struct owner, pid), .flags = FIELD_REQUIRED },
	{ .name = "start_time", .type = FIELD_U64, .offset = offsetof(struct owner, start_time), .flags = FIELD_REQUIRED },
	{ .name = "boot_id", .type = FIELD_STRING, .offset = offsetof(struct owner, boot_id), .flags = FIELD_REQUIRED },
	{ 0 },
};

struct started {
	int64_t pid;
	uint64_t started_ns;
	char *vmm;    /* NULL: no VM */
	char *kernel; /* of the store; NULL: none, or one given by path */
};
static const struct field started_fields[] = {
	{ .name = "pid", .type = FIELD_I64, .offset = offsetof(struct started, pid), .flags = FIELD_REQUIRED },
	{ .name = "started_ns", .type = FIELD_U64, .offset = offsetof(struct started, started_ns), .flags = FIELD_REQUIRED },
	{ .name = "vmm", .type = FIELD_STRING, .offset = offsetof(struct started, vmm) },
	{ .name = "kernel", .type = FIELD_STRING, .offset = offsetof(struct started, kernel) },
	{ 0 },
};

struct exited {
	int32_t code, signal;
	bool oom;
	uint64_t finished_ns;
	char *error;
};
static const struct field exited_fields[] = {
	{ .name = "code", .type = FIELD_I32, .offset = offsetof(struct exited, code), .flags = FIELD_REQUIRED },
	{ .name = "signal", .type = FIELD_I32, .offset = offsetof(struct exited, signal) },
	{ .name = "oom", .type = FIELD_BOOL, .offset = offsetof(struct exited, oom) },
	{ .name = "finished_ns", .type = FIELD_U64, .offset = offsetof(struct exited, finished_ns), .flags = FIELD_REQUIRED },
	{ .name = "error", .type = FIELD_STRING, .offset = offsetof(struct exited, error) },
	{ 0 },
};

/* A random id of this boot of the kernel: what makes a pid in a file on a persistent /run comparable at all. */
int state_boot_id(char ret[40])
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, NULL);

	if (r < 0)
		return r;
	snprintf(ret, 40, "%.36s", text);
	return 0;
}

static int write_new(int dirfd, const char *name, const char *text)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
}

/* is_unseen: nobody else knows the directory yet, so that the file needs no temporary name. */
static int write_state(int dirfd, const char *name, const struct field *table, const void *obj, bool is_unseen, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_write(table, obj);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;

	if (!text)
		return err_set(e, ENOMEM, "%s: out of memory", name);
	int r = is_unseen ? write_new(dirfd, name, text) : file_replace(dirfd, name, text, strlen(text), 0600, false);
	return r < 0 ? err_set(e, -r, "%s of the run state: %s", name, strerror(-r)) : 0;
}

/* 1 = read, 0 = not there. */
static int read_state(int dirfd, const char *name, const struct field *table, void *obj, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ struct json_object *o = NULL;
	size_t len;
	int r = file_read(dirfd, name, STATE_MAX, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(e, -r, "%s of the run state: %s", name, strerror(-r));
	r = json_parse(text, len, name, &o, e);
	if (r == 0)
		r = json_read(o, table, obj, "", e);
	return r < 0 ? r : 1;
}

/* RUN/containers, made when missing. */
static int open_runs(const struct paths *p, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/containers", p->run);

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_set(e, errno, "%s: %s", path, strerror(errno)) : fd;
}

static int write_owner(int dirfd, struct err *e)
{
	char boot[40];
	struct owner o = { .pid = getpid(), .boot_id = boot };
	int r = pid_start_time(getpid(), &o.start_time);

	if (r == 0)
		r = state_boot_id(boot);
	if (r < 0)
		return err_set(e, -r, "read about this process in /proc: %s", strerror(-r));
	return write_state(dirfd, "monitor.json", owner_fields, &o, true, e);
}

/* Puts the prepared directory in place. Somebody's may be there: a live one wins, a dead one goes. */
static int install_dir(const struct paths *p, int runs, const char *tmp, const char *id, struct err *e)
{
	struct monitor_state st;

	if (renameat2(runs, tmp, runs, id, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EEXIST)
		return err_set(e, errno, "%s/containers/%s: %s", p->run, id, strerror(errno));
	int r = monitor_inspect(p, id, &st, e);
	if (r < 0)
		return r;
	if (st.truth == MONITOR_STARTING || st.truth == MONITOR_RUNNING)
		return err_set(e, EBUSY, "container %.12s is running already (monitor %d)", id, (int)st.monitor_pid);
	if (st.truth != MONITOR_NONE && (r = rm_rf(runs, id)) < 0)
		return err_set(e, -r, "%s/containers/%s: remove what a dead monitor left: %s", p->run, id, strerror(-r));
	/* An empty directory is replaced; one that another monitor has installed meanwhile is not empty. */
	if (renameat(runs, tmp, runs, id) < 0)
		return err_set(e, errno == ENOTEMPTY ? EBUSY : errno, "%s/containers/%s: %s", p->run, id,
			       errno == ENOTEMPTY ? "another monitor has just started" : strerror(errno));
	return 0;
}

int state_claim(const struct paths *p, const char *id, int *ret_rundirfd, struct err *e)
{
	char tmp[160];
	_cleanup_fd_ int runs = open_runs(p, e), dir = -1;
	int r;

	if (runs < 0)
		return runs;
	snprintf(tmp, sizeof(tmp), ".%.100s.%d", id, (int)getpid());
	if (mkdirat(runs, tmp, 0700) < 0 && errno != EEXIST)
		return err_set(e, errno, "%s/containers/%s: %s", p->run, tmp, strerror(errno));
	dir = openat(runs, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = dir < 0 ? err_set(e, errno, "%s/containers/%s: %s", p->run, tmp, strerror(errno)) : write_owner(dir, e);
	if (r == 0)
		r = install_dir(p, runs, tmp, id, e);
	if (r < 0) {
		rm_rf(runs, tmp);
		return r;
	}
	*ret_rundirfd = TAKE_FD(dir);
	return 0;
}

int state_write_started(int rundirfd, pid_t pid, const char *vmm, const char *kernel, struct err *e)
{
	_cleanup_free_ char *vmm_copy = vmm ? strdup(vmm) : NULL, *kernel_copy = kernel ? strdup(kernel) : NULL;
	const struct started s = { .pid = pid, .started_ns = clock_real_ns(), .vmm = vmm_copy, .kernel = kernel_copy };

	return write_state(rundirfd, "started.json", started_fields, &s, false, e);
}

int state_write_exited(int rundirfd, const struct exit_status *st, const char *error, struct err *e)
{
	_cleanup_free_ char *copy = error && *error ? strdup(error) : NULL;
	const struct exited x = {
		.code = st->code,
		.signal = st->signal,
		.oom = st->oom,
		.finished_ns = clock_real_ns(),
		.error = copy,
	};

	return write_state(rundirfd, "exited.json", exited_fields, &x, false, e);
}

/* In an order in which each moment reads true: exited.json last. */
int state_rest(int rundirfd, struct err *e)
{
	static const char *const kept[] = { ".", "..", "monitor.json", "monitor.sock", "exited.json" };
	_cleanup_fd_ int fd = openat(rundirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	if (!d)
		return err_set(e, errno, "clear the run state: %s", strerror(errno));
	fd = -1; /* closedir's */
	for (const struct dirent *entry; r == 0 && (entry = readdir(d));) {
		bool stays = false;
		for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
			stays |= streq(kept[i], entry->d_name);
		if (!stays)
			r = rm_rf(rundirfd, entry->d_name);
	}
	closedir(d);
	if (r == 0)
		r = rm_rf(rundirfd, "exited.json");
	return r < 0 ? err_set(e, -r, "clear the run state: %s", strerror(-r)) : 0;
}

int state_release(const struct paths *p, const char *id, struct err *e)
{
	_cleanup_fd_ int runs = open_runs(p, e);

	if (runs < 0)
		return runs;
	int r = rm_rf(runs, id);
	return r < 0 ? err_set(e, -r, "remove %s/containers/%s: %s", p->run, id, strerror(-r)) : 0;
}

bool state_is_alive(int64_t pid, uint64_t start_time, const char *boot_id)
{
	uint64_t start;
	char boot[40];

	return pid > 0 && state_boot_id(boot) == 0 && streq0(boot, boot_id) && pid_start_time((pid_t)pid, &start) == 0 &&
	       start == start_time;
}

static int inspect_dir(int dirfd, struct monitor_state *ret, struct err *e)
{
	struct owner owner = { 0 };
	struct started started = { 0 };
	struct exited exited = { 0 };
	struct monitor_state st = { .truth = MONITOR_NONE };
	bool alive = false;
	int has_started = 0, has_exited = 0;

	int r = read_state(dirfd, "monitor.json", owner_fields, &owner, e);
	if (r <= 0)
		goto out;
	/* Looked at before the other files: who was alive then may finish and write them while we read, not the other way round. */
	alive = state_is_alive(owner.pid, owner.start_time, owner.boot_id);
	r = has_started = read_state(dirfd, "started.json", started_fields, &started, e);
	if (r < 0)
		goto out;
	r = has_exited = read_state(dirfd, "exited.json", exited_fields, &exited, e);
	if (r < 0)
		goto out;
	st.truth = has_exited ? MONITOR_EXITED : !alive ? MONITOR_DIED : has_started ? MONITOR_RUNNING : MONITOR_STARTING;
	st.monitor_pid = (pid_t)owner.pid;
	st.pid = (pid_t)started.pid;
	st.started_ns = started.started_ns;
	snprintf(st.vmm, sizeof(st.vmm), "%s", started.vmm ? started.vmm : "");
	snprintf(st.kernel, sizeof(st.kernel), "%s", started.kernel ? started.kernel : "");
	st.finished_ns = exited.finished_ns;
	st.exit = (struct exit_status){ .code = exited.code, .signal = exited.signal, .oom = exited.oom };
	snprintf(st.error, sizeof(st.error), "%s", exited.error ? exited.error : "");
out:
	json_free_fields(owner_fields, &owner);
	json_free_fields(started_fields, &started);
	json_free_fields(exited_fields, &exited);
	if (r < 0)
		return r;
	*ret = st;
	return 0;
}

int monitor_inspect(const struct paths *p, const char *id, struct monitor_state *ret, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/containers/%s", p->run, id);

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	_cleanup_fd_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT) {
		*ret = (struct monitor_state){ .truth = MONITOR_NONE };
		return 0;
	}
	if (dir < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	return inspect_dir(dir, ret, e);
}
