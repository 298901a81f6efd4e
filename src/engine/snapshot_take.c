/* snapshot_take.c: a running VM copied into a directory; the original goes on.
 *
 *   rest      the monitor is asked to bring the guest to rest: the container's processes frozen by the guest's own agent, the stream between
 *             the two empty (isolation/vm_hold.c). It lasts as long as our connection to the monitor
 *   pause     berth-vmm parks the vCPUs, for as long as our connection to it lasts
 *   save      berth-vmm writes state and memory into files that it is given open
 *   copy      the disk: by reflink, or what of it is no hole. What the guest had asked of it and was not told of is asked again by the
 *             copy, which does no harm: the same bytes go to the same place
 *   go on     both connections are closed
 *
 * Whatever fails, or kills us, ends both connections, and the VM goes on. */
#include "snapshot.h"

#include <stdio.h>
#include <unistd.h>

#define PROGRESS_US 500000u

/* ---- progress, for who watches a disk that takes long ---- */

struct progress {
	uint64_t shown_us;
	bool is_shown;
};

static void show_progress(uint64_t done, void *arg)
{
	struct progress *p = arg;
	uint64_t now = clock_mono_us();
	char text[16];

	if (now - p->shown_us < PROGRESS_US)
		return;
	p->shown_us = now;
	p->is_shown = true;
	fprintf(stderr, "\r\033[Kdisk: %s copied", str_human_size(done, text));
}

static int copy_disk(int from, int to, struct err *e)
{
	struct progress p = { .shown_us = clock_mono_us() };
	int r = vm_copy_disk(from, to, isatty(STDERR_FILENO) ? show_progress : NULL, &p);

	if (p.is_shown)
		fputs("\r\033[K", stderr);
	return r < 0 ? err_set(e, -r, "copy the disk: %s", strerror(-r)) : 0;
}

/* ---- files ---- */

static int new_file(int dirfd, const char *name, struct err *e)
{
	int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? err_set(e, errno, "make the file %s: %s", name, strerror(errno)) : fd;
}

/* One of the bundle's documents as it is. */
static int copy_document(struct engine *en, const char *id, const char *name, int dirfd, struct err *e)
{
	_cleanup_free_ char *rel = str_fmt("containers/%s/%s", id, name), *text = NULL;
	size_t len;
	int r = rel ? file_read(store_rootfd(en->store), rel, 8u << 20, &text, &len) : -ENOMEM;

	if (r >= 0)
		r = file_replace(dirfd, name, text, len, 0600, false);
	return r < 0 ? err_set(e, -r, "copy %s: %s", name, strerror(-r)) : 0;
}

/* The other one, of the size that the machine has, as its monitor said: update may have put another into it for a later start. */
static int write_launch(struct launch *l, const char *said, int dirfd, struct err *e)
{
	static const struct field size_rows[] = {
		{ "mem_bytes", FIELD_U64, offsetof(struct launch, vm_mem_bytes), FIELD_REQUIRED },
		{ "cpus", FIELD_U32, offsetof(struct launch, vm_cpus), FIELD_REQUIRED },
		{ "mem_max", FIELD_U64, offsetof(struct launch, vm_mem_max), FIELD_REQUIRED },
		{ "cpus_max", FIELD_U32, offsetof(struct launch, vm_cpus_max), FIELD_REQUIRED },
		{ .name = NULL },
	};
	_cleanup_json_ struct json_object *o = NULL;
	int r = json_parse(said, strlen(said), "the monitor's answer", &o, e);

	if (r >= 0)
		r = json_read(o, size_rows, l, "", e);
	return r < 0 ? r : bundle_replace(dirfd, "launch.json", launch_json(l), e);
}

static int link_image(const struct launch *l, int dirfd, struct err *e)
{
	return linkat(AT_FDCWD, l->image_disk, dirfd, SNAPSHOT_IMAGE, 0) < 0
		       ? err_set(e, errno, "one more name for %s: %s", l->image_disk, strerror(errno))
		       : 0;
}

/* ---- the copy ---- */

struct take {
	struct engine *en;
	const char *id;
	struct launch *launch;
	const struct engine_snapshot_opts *o;
	int dirfd, state, memory, disk_from, disk;
};

static void take_done(struct take *t)
{
	fd_close(t->state);
	fd_close(t->memory);
	fd_close(t->disk_from);
	fd_close(t->disk);
}

static int open_files(struct take *t, struct err *e)
{
	if ((t->state = new_file(t->dirfd, VM_RESTORE_STATE, e)) < 0)
		return t->state;
	if ((t->memory = new_file(t->dirfd, VM_RESTORE_MEMORY, e)) < 0)
		return t->memory;
	if (!t->launch->upper_disk)
		return 0;
	t->disk_from = open(t->launch->upper_disk, O_RDONLY | O_CLOEXEC);
	if (t->disk_from < 0)
		return err_set(e, errno, "disk %s: %s", t->launch->upper_disk, strerror(errno));
	t->disk = new_file(t->dirfd, SNAPSHOT_DISK, e);
	return MIN(t->disk, 0);
}

/* At rest and paused. *ret_control: of one that tracks. */
static int save(struct take *t, int *ret_control, struct err *e)
{
	static const char *const requests[] = {
		"{\"do\":\"snapshot\",\"fleeting\":true}",
		"{\"do\":\"snapshot\",\"fleeting\":true,\"track\":true,\"until_kept\":true}",
		"{\"do\":\"snapshot\",\"fleeting\":true,\"track\":true,\"until_kept\":true,\"kind\":\"diff\"}",
	};
	const int which = !t->o ? 0 : t->o->is_diff ? 2 : t->o->tracks;
	_cleanup_fd_ int control = -1;
	const int fds[] = { t->state, t->memory };
	int r = vm_control_open(t->en, t->id, &control, e);

	if (r >= 0)
		r = vm_control_ask(control, "{\"do\":\"pause\",\"while_connected\":true}", NULL, 0, NULL, e);
	if (r >= 0)
		r = vm_control_ask(control, requests[which], fds, ARRAY_SIZE(fds), NULL, e);
	if (r >= 0 && t->disk >= 0)
		r = copy_disk(t->disk_from, t->disk, e);
	if (r >= 0)
		r = vm_control_ask(control, "{\"do\":\"resume\"}", NULL, 0, NULL, e);
	if (r >= 0 && which)
		*ret_control = TAKE_FD(control);
	return r;
}

/* Who wrote them may be in the hands of a guest: what he says is looked at, and must be what his VM was given. */
static int check_saved(const struct take *t, struct taken *ret, struct err *e)
{
	const struct vmm_snapshot_facts *f = &ret->facts;
	int r = vmm_snapshot_check(t->state, t->memory, &ret->facts, e);

	if (r >= 0 && (f->mem_bytes != vm_ram_bytes(t->launch) + vm_room_bytes(t->launch) ||
		       f->cpus != MAX(MAX(t->launch->vm_cpus, t->launch->vm_cpus_max), 1u)))
		r = err_set(e, EBADMSG, "berth-vmm saved a machine of another size than it was started with");
	if (r >= 0 && f->is_diff != (t->o && t->o->is_diff))
		r = err_set(e, EBADMSG, "berth-vmm saved %s",
			    f->is_diff ? "only a part of its memory" : "more than was asked for");
	return r;
}

static int rest_and_save(struct take *t, struct taken *ret, struct err *e)
{
	_cleanup_fd_ int monitor = -1;
	_cleanup_free_ char *size = NULL;
	uint64_t began;
	int r = monitor_connect(t->en->paths, t->id, &monitor, e);

	if (r < 0)
		return r;
	began = clock_mono_us();
	r = monitor_request(monitor, FRAME_QUIESCE, 0, NULL, 0, &size, e);
	if (r >= 0)
		r = save(t, &ret->control, e);
	if (r >= 0)
		r = monitor_request(monitor, FRAME_RELEASE, 0, NULL, 0, NULL, e);
	if (r < 0)
		return r;
	ret->pause_us = clock_mono_us() - began;
	r = write_launch(t->launch, size, t->dirfd, e);
	return r < 0 ? r : check_saved(t, ret, e);
}

int snapshot_keep(struct taken *t, struct err *e)
{
	return t->control < 0 ? 0 : vm_control_ask(t->control, "{\"do\":\"keep\"}", NULL, 0, NULL, e);
}

void snapshot_taken_done(struct taken *t) { t->control = fd_close(t->control); }

int snapshot_take(struct engine *en, const struct container_record *c, int dirfd, const struct engine_snapshot_opts *o,
		  struct taken *ret, struct err *e)
{
	struct launch l = { 0 };
	struct take t = { .en = en,
			  .id = c->id,
			  .launch = &l,
			  .o = o,
			  .dirfd = dirfd,
			  .state = -1,
			  .memory = -1,
			  .disk_from = -1,
			  .disk = -1 };
	int r;

	*ret = (struct taken){ .control = -1 };
	r = bundle_read_launch(en, c->id, &l, e);

	if (r >= 0)
		r = copy_document(en, c->id, "config.json", dirfd, e);
	if (r >= 0)
		r = link_image(&l, dirfd, e);
	if (r >= 0)
		r = open_files(&t, e);
	if (r >= 0)
		r = rest_and_save(&t, ret, e);
	take_done(&t);
	launch_done(&l);
	return r;
}
