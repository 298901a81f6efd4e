/* vm_link: the host's end of the stream to berth-init: HELLO, START, and frames handed to whom they are for. A guest is
 * hostile until proven otherwise, which never happens: what breaks the protocol breaks the link, and the VM is ended. */
#include <stdio.h>
#include <sys/random.h>

#include "guest.h"
#include "vm_impl.h"

static void put_hello(struct buf *b)
{
	_cleanup_buf_ struct buf hello = { NULL };
	static const uint8_t version[4] = { FRAME_VERSION };

	buf_add(&hello, version, sizeof(version));
	buf_str(&hello, build_id());
	frame_put(b, FRAME_HELLO, 0, hello.data, (uint32_t)hello.len);
}

static int put_start(struct instance *i, struct err *e)
{
	const struct launch *l = i->cfg.launch;
	char tag[] = VM_SHARE_TAG, dir[] = VM_SHARE_DIR, vda[] = "/dev/vda", vdb[] = "/dev/vdb";
	struct guest_share share = { tag, dir };
	_cleanup_strv_ char **disks = NULL;
	uint8_t entropy[48];
	_cleanup_free_ char *b64 = NULL;
	_cleanup_(seccomp_prog_done) struct seccomp_prog seccomp = { NULL };
	_cleanup_free_ struct guest_interface *interfaces = NULL;
	_cleanup_json_ struct json_object *o = NULL;
	struct guest_start s = { .spec = i->guest_spec,
				 .id = l->id,
				 .files = l->files,
				 .n_files = l->n_files,
				 .root_disk = i->in_pod ? i->place.disk : vda,
				 .upper_disk = i->in_pod       ? i->place.upper
					       : l->upper_disk ? vdb
							       : NULL,
				 .is_pod = i->in_pod,
				 .hostname = i->pod_hostname,
				 .shares = &share,
				 .n_shares = i->n_shares ? 1 : 0,
				 .use_init = l->use_init,
				 .is_volatile = l->is_volatile,
				 .serves_files = i->cfg.serves_files,
				 .reads_only = i->cfg.reads_only,
				 .time_ns = clock_real_ns() };
	const char *text;
	int r = 0;

	for (size_t k = 0; k < l->n_disks && r >= 0; k++) {
		char name[16];

		vm_given_name(l, k, name);
		r = strv_push(&disks, name);
	}
	if (r >= 0 && !s.serves_files)
		r = vm_network_interfaces(i->cfg.network, &interfaces, &s.n_interfaces);
	if (r < 0)
		return err_set(e, ENOMEM, "out of memory");
	s.interfaces = interfaces;
	s.disks = disks;
	if (!s.serves_files)
		r = isolation_seccomp(i->cfg.spec, l, &seccomp, e);
	if (r < 0)
		return r;
	if (getrandom(entropy, sizeof(entropy), 0) != (ssize_t)sizeof(entropy))
		return err_set(e, EIO, "no random numbers for the guest");
	b64 = base64_encode(entropy, sizeof(entropy));
	s.entropy_b64 = b64;
	s.seccomp = seccomp;
	o = b64 ? guest_start_json(&s) : NULL;
	text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;
	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	frame_put(&i->link.out, FRAME_START, 0, text, (uint32_t)strlen(text));
	if (i->cfg.spec->process.terminal && i->cfg.tty_rows)
		frame_put_resize(&i->link.out, 0, i->cfg.tty_rows, i->cfg.tty_cols);
	return 0;
}

static int on_hello(struct instance *i, const struct frame *f, struct err *e)
{
	size_t n = strlen(build_id());
	int r;

	if (f->type != FRAME_HELLO || f->len < 4)
		return err_set(e, EPROTO, "the guest did not greet");
	if (f->len != 4 + n || memcmp(f->payload + 4, build_id(), n) != 0)
		return err_set(e, EPROTO, "the guest runs berth-init of another build than %s", build_id());
	vm_trace(i, "kernel and init");
	put_hello(&i->link.out);
	r = put_start(i, e);
	if (r < 0)
		return r;
	i->phase = VM_STARTING;
	link_flush(&i->link);
	return 0;
}

static int on_frame(struct link *l, const struct frame *f, struct err *e)
{
	struct instance *i = l->arg;
	struct err lost = { 0 };

	if (i->in_pod && f->channel == POD_VM_LOST) {
		if (f->type != FRAME_ERROR || frame_get_error(f, &lost) < 0)
			return err_set(e, EPROTO, "the pod's machine sent a false end");
		vm_lost(i, &lost);
		return 0;
	}
	if (i->phase == VM_BOOTING)
		return on_hello(i, f, e);
	if (f->type == FRAME_QUIESCE && f->channel == 0 && i->phase == VM_RUNNING)
		return vm_hold_answer(i, f, e);
	if (f->channel == 0 && i->phase == VM_RUNNING && (f->type == FRAME_OK || f->type == FRAME_ERROR)) {
		vm_stats_answer(i, f);
		return 0;
	}
	if (i->phase == VM_ENDED && f->channel == 0)
		return 0;
	return vm_task_frame(i, f, e);
}

static void on_broken(struct link *l, const struct err *e)
{
	struct instance *i = l->arg;

	/* Where the VMM has died as well, its death says more: that event is on its way. */
	if ((e->no == EPIPE && !i->in_pod) || i->phase == VM_ENDED)
		return;
	vm_lost(i, e);
}

int vm_link_start(struct instance *i, struct err *e)
{
	int r;

	i->link = (struct link){ .on_frame = on_frame, .on_broken = on_broken, .arg = i };
	r = link_init(&i->link, i->cfg.loop, i->agent_fd);
	if (r < 0)
		return err_set(e, -r, "connection to the guest: %s", strerror(-r));
	i->has_link = true;
	return 0;
}
