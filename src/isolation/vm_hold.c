/* vm_hold: a guest at rest, so that it can be copied. The guest's agent freezes the container's processes and says so in the last frame that
 * it sends; from the moment when it is asked nothing is sent to it either. So when the answer has come the stream is empty, both ways, between
 * two frames, and the copy's agent and the copy's monitor can begin as if they had just met.
 *
 *   free -> vm_hold: asked -> vm_hold_answer: at rest -> vm_release: free
 *                          -> no answer in time, or the VM is lost: the waiting callback is told why; free */
#include "vm_impl.h"

#define HOLD_MS 15000

static void done(struct instance *i, const struct err *e)
{
	void (*cb)(struct instance *, const struct err *, void *) = i->hold.cb;
	void *arg = i->hold.arg;

	loop_del(i->hold.timer);
	i->hold.timer = NULL;
	i->hold.cb = NULL;
	if (e)
		vm_release(i);
	if (cb)
		cb(i, e, arg);
}

static void on_timeout(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct instance *i = arg;
	struct err e = { 0 };

	i->hold.timer = NULL;
	err_set(&e, ETIMEDOUT, "the guest's processes were not brought to rest within %d s", HOLD_MS / 1000);
	done(i, &e);
}

int vm_hold(struct instance *i, void (*cb)(struct instance *i, const struct err *e, void *arg), void *arg, struct err *e)
{
	if (i->phase != VM_RUNNING)
		return err_set(e, ESRCH, "the virtual machine does not run");
	if (i->in_pod)
		return err_set(e, EOPNOTSUPP, "the virtual machine is its pod's and holds others too: it can't be copied");
	if (i->is_paused)
		return err_set(e, EBUSY, "the virtual machine is paused: unpause it first");
	if (i->grown_bytes || i->size)
		return err_set(e, EBUSY,
			       "the virtual machine has more memory than it was started with, or its size is being changed: give "
			       "it less "
			       "(update --memory), or stop it and start it, before it is copied");
	if (i->hold.is_on || i->hold.is_asked)
		return err_set(e, EBUSY, "the virtual machine is being copied by another command");
	if (loop_timer(i->cfg.loop, HOLD_MS, on_timeout, i, &i->hold.timer) < 0)
		return err_set(e, ENOMEM, "out of memory");
	i->hold.is_on = i->hold.is_asked = true;
	i->hold.cb = cb;
	i->hold.arg = arg;
	frame_put(&i->link.out, FRAME_QUIESCE, 0, NULL, 0);
	link_hold(&i->link);
	return 0;
}

void vm_release(struct instance *i)
{
	if (!i->hold.is_on)
		return;
	loop_del(i->hold.timer);
	i->hold.timer = NULL;
	i->hold.cb = NULL;
	i->hold.is_on = false;
	if (i->phase == VM_ENDED)
		return;
	/* Before all that has waited. */
	struct buf waiting = i->link.out;
	i->link.out = (struct buf){ NULL };
	if (i->link.is_held && i->link.pass_bytes) { /* the question itself is not sent yet: the order stays */
		buf_add(&i->link.out, waiting.data, i->link.pass_bytes);
		buf_consume(&waiting, i->link.pass_bytes);
	}
	frame_put(&i->link.out, FRAME_RELEASE, 0, NULL, 0);
	if (waiting.len)
		buf_add(&i->link.out, waiting.data, waiting.len);
	i->link.out.failed |= waiting.failed;
	buf_done(&waiting);
	link_release(&i->link);
}

int vm_hold_answer(struct instance *i, const struct frame *f, struct err *e)
{
	struct err why = { 0 };

	if (!i->hold.is_asked)
		return err_set(e, EPROTO, "the guest came to rest unasked");
	i->hold.is_asked = false;
	if (!i->hold.is_on) /* nobody waits any more */
		return 0;
	if (f->len)
		err_set(&why, EIO, "the guest: %.*s", (int)MIN(f->len, 200u), (const char *)f->payload);
	done(i, f->len ? &why : NULL);
	return 0;
}

void vm_hold_lost(struct instance *i, const struct err *why)
{
	if (i->hold.is_on)
		done(i, why);
	i->hold.is_on = i->hold.is_asked = false;
}
