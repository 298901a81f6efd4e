/* snapshot: taking one of a VM that runs or is paused: see snapshot.h. */
#include <sys/random.h>
#include <unistd.h>

#include "snapshot.h"
#include "vmm_impl.h"

/* ---- which pages were written ---- */

int snapshot_track_start(struct vmm *vm, const struct snapshot_id *base, struct err *e)
{
	uint64_t *written = vm->track.written;
	int r = 0;

	if (!written) {
		written = calloc(vmm_mem_log_words(vm->mem), sizeof(*written));
		if (!written)
			return err_set(e, ENOMEM, "out of memory");
		r = vmm_mem_log_start(vm->mem, e);
	}
	if (r < 0) {
		free(written);
		return r;
	}
	vm->track.written = written;
	vm->track.base = *base;
	return 0;
}

void snapshot_track_stop(struct vmm *vm)
{
	vmm_snapshot_keep(vm);
	if (!vm->track.written)
		return;
	vmm_mem_log_stop(vm->mem);
	free(vm->track.written);
	vm->track.written = NULL;
}

void vmm_snapshot_keep(struct vmm *vm)
{
	free(vm->track.before.written);
	memset(&vm->track.before, 0, sizeof(vm->track.before));
}

void vmm_snapshot_take_back(struct vmm *vm)
{
	struct snapshot_track *t = &vm->track;

	if (!t->before.is_pending)
		return;
	if (!t->before.written) {
		snapshot_track_stop(vm);
		return;
	}
	for (size_t i = 0; i < vmm_mem_log_words(vm->mem); i++)
		t->written[i] |= t->before.written[i];
	t->base = t->before.base;
	vmm_snapshot_keep(vm);
}

/* ---- taking one ---- */

static int check_file(int fd, const char *what, struct err *e)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "%s file: %s", what, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size != 0 || (flags & O_ACCMODE) == O_RDONLY || flags & (O_APPEND | O_PATH))
		return err_set(e, EINVAL, "%s file: it must be an empty regular file, open for writing, not for appending", what);
	return 0;
}

static int check_request(struct vmm *vm, const struct vmm_snapshot_opts *o, int state_fd, int ram_fd, struct err *e)
{
	struct stat a, b;
	int r = check_file(state_fd, "state", e);

	if (r >= 0)
		r = check_file(ram_fd, "memory", e);
	if (r < 0)
		return r;
	if (fstat(state_fd, &a) < 0 || fstat(ram_fd, &b) < 0)
		return err_set(e, errno, "files of the snapshot: %s", strerror(errno));
	if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return err_set(e, EINVAL, "state and memory are the same file");
	if (o->is_diff && !vm->track.written)
		return err_set(e, EINVAL, "no diff: nothing was tracked since a snapshot; take a full one with \"track\" first");
	if (o->track != VMM_TRACK_AS_IS && vm->track.before.is_pending)
		return err_set(e, EBUSY, "another snapshot is being taken; try again when it is");
	return 0;
}

/* What of the counting has changed, or is ready to be. */
struct change {
	bool has_begun;
	uint64_t *empty; /* what is written after the new base: nothing yet */
};

/* Everything that needs the VM to stand still. Afterwards writes are tracked if they shall be, whatever the rest came to: what
 * `written` holds is what has changed since track.base. */
static int capture(struct vmm *vm, const struct vmm_snapshot_opts *o, const struct snapshot_id *id, int ram_fd,
		   struct buf *records, uint64_t *ret_bytes, struct change *ret, struct err *e)
{
	bool was_tracked = vm->track.written;
	int r = 0;

	if (was_tracked)
		r = vmm_mem_log_collect(vm->mem, vm->track.written, e);
	if (r >= 0)
		r = snapshot_save_records(vm, records, e);
	if (r >= 0 && o->is_diff)
		r = ram_write_diff(vm->mem, id, &vm->track, ram_fd, ret_bytes, e);
	else if (r >= 0)
		r = ram_write_full(vm->mem, id, ram_fd, ret_bytes, e);
	if (r < 0 || o->track != VMM_TRACK_ON)
		return r;
	if (was_tracked) {
		ret->empty = calloc(vmm_mem_log_words(vm->mem), sizeof(uint64_t));
		return ret->empty ? 0 : err_set(e, ENOMEM, "out of memory");
	}
	r = snapshot_track_start(vm, id, e);
	ret->has_begun = r >= 0;
	return r;
}

static int make_durable(int fd, const char *what, struct err *e)
{
	return fsync(fd) < 0 ? err_set(e, errno, "%s file: not on the disk: %s", what, strerror(errno)) : 0;
}

static int write_state(struct vmm *vm, const struct snapshot_id *id, uint64_t real_ns, const struct buf *records, int fd,
		       struct err *e)
{
	struct snapshot_head h = { .id = *id,
				   .mem_bytes = vmm_plan_ram(vm->plan),
				   .records_bytes = records->len,
				   .real_ns = real_ns,
				   .cpus = vm->plan->cpus };
	int r;

	snapshot_seal(&h, records->data);
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_set(e, errno, "state file: %s", strerror(errno));
	r = fd_write_full(fd, &h, sizeof(h));
	if (r >= 0)
		r = fd_write_full(fd, records->data, records->len);
	return r < 0 ? err_set(e, -r, "state file: %s", strerror(-r)) : 0;
}

/* The new base, or the old one with nothing forgotten. What the guest has written since the pause is still in the log. */
static void settle_track(struct vmm *vm, const struct vmm_snapshot_opts *o, const struct snapshot_id *id, struct change *c,
			 bool is_ok)
{
	struct snapshot_track *t = &vm->track;

	if ((!is_ok && c->has_begun) || (is_ok && o->track == VMM_TRACK_OFF)) {
		snapshot_track_stop(vm);
	} else if (is_ok && o->track == VMM_TRACK_ON) {
		t->before.is_pending = true;
		t->before.written = c->has_begun ? NULL : t->written;
		t->before.base = t->base;
		if (!c->has_begun)
			t->written = TAKE_PTR(c->empty);
		t->base = *id;
		if (!o->is_tentative)
			vmm_snapshot_keep(vm);
	}
	free(c->empty);
}

int vmm_snapshot(struct vmm *vm, const struct vmm_snapshot_opts *o, int state_fd, int ram_fd, struct vmm_snapshot_info *ret,
		 struct err *e)
{
	_cleanup_buf_ struct buf records = { NULL };
	struct vmm_snapshot_info info = { .pause_us = 0 };
	struct snapshot_id id;
	uint64_t began, real_ns;
	struct change change = { .has_begun = false };
	int r = check_request(vm, o, state_fd, ram_fd, e);

	if (r < 0)
		return r;
	if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return err_set(e, errno ?: EIO, "random numbers: %s", strerror(errno));
	began = clock_mono_us();
	real_ns = clock_real_ns();
	vmm_pause(vm);
	virtio_quiesce_all(vm);
	r = capture(vm, o, &id, ram_fd, &records, &info.written_bytes, &change, e);
	virtio_resume_all(vm);
	vmm_resume(vm);
	info.pause_us = clock_mono_us() - began;
	if (r >= 0 && !o->is_fleeting)
		r = make_durable(ram_fd, "memory", e);
	if (r >= 0)
		r = write_state(vm, &id, real_ns, &records, state_fd, e);
	if (r >= 0 && !o->is_fleeting)
		r = make_durable(state_fd, "state", e);
	settle_track(vm, o, &id, &change, r >= 0);
	if (r < 0) {
		/* What is there of it would only take room; and neither file would be loaded. */
		(void)!ftruncate(ram_fd, 0);
		(void)!ftruncate(state_fd, 0);
		return err_push(e, r, "the snapshot is incomplete and both files are empty, the VM runs on");
	}
	memcpy(info.id, id.b, sizeof(info.id));
	*ret = info;
	return 0;
}
