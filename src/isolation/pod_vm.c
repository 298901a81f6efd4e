/* pod_vm: the holder of a pod's virtual machine; see pod_vm.h. */
#include "pod_vm.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"
#include "vm_impl.h"

_Static_assert(POD_VM_DISKS_MAX == VM_MORE_DISKS_MAX + 2, "room for all disks");

#define ALONE_MS 15000 /* for the first monitor to come, and for a guest to end what its monitor has left */

struct holder;
/* A container of the pod and, while it runs, the connection to its monitor. */
struct seat {
	struct holder *h;
	const struct pod_vm_member *m;
	unsigned slot;
	struct link link;
	bool has_link, is_gone; /* gone: the monitor has left, and what it had runs still */
	bool is_started;        /* START was passed on, and no EXIT of the main process since */
	bool is_running;        /* STARTED has come: an error from now on is no failed start */
	char disk[16], upper[16];
};
/* A connection that has not yet said whose it is. */
struct caller {
	struct holder *h;
	struct caller *next;
	struct link link;
	bool is_done;
};

struct holder {
	const struct pod_vm_config *cfg;
	struct instance *vm;
	struct loop *loop;
	struct host host;
	struct seat *seats;
	struct caller *callers;
	struct launch launch; /* cfg's, with disks; borrows it all */
	struct vm_disk disks[POD_VM_DISKS_MAX];
	size_t n_disks;
	int listenfd;
	struct loop_src *listen_src, *alone, *reaper;
	bool is_up; /* the guest has said HELLO */
	struct err lost;
};

/* ---- the end ---- */

static bool is_empty(const struct holder *h)
{
	for (size_t i = 0; i < h->cfg->n_members; i++)
		if (h->seats[i].has_link || h->seats[i].is_started)
			return false;
	return true;
}

static void on_alone(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct holder *h = arg;

	h->alone = NULL;
	loop_stop(h->loop, 0);
}

/* The last one has left: at once, or after a time where nobody has come yet or a guest still ends what was left in it. */
static void leave_when_alone(struct holder *h, bool at_once)
{
	loop_del(h->alone);
	h->alone = NULL;
	if (at_once && !is_empty(h))
		at_once = false;
	for (size_t i = 0; i < h->cfg->n_members; i++)
		if (h->seats[i].has_link)
			return;
	if (loop_timer(h->loop, at_once ? 0 : ALONE_MS, on_alone, h, &h->alone) < 0)
		loop_stop(h->loop, -ENOMEM);
}

static void put_lost(struct link *l, const struct err *why)
{
	frame_put_error(&l->out, POD_VM_LOST, why);
	link_flush(l);
	(void)link_drain(l, 1000); /* who does not read it finds the connection closed */
}

static void on_vm_lost(void *arg, const struct err *why)
{
	struct holder *h = arg;

	h->lost = *why; /* which end() tells them */
	loop_stop(h->loop, 0);
}

/* ---- from the guest to the monitors ---- */

static void put_hello(struct buf *b)
{
	_cleanup_buf_ struct buf hello = { NULL };
	static const uint8_t version[4] = { FRAME_VERSION };

	buf_add(&hello, version, sizeof(version));
	buf_str(&hello, build_id());
	frame_put(b, FRAME_HELLO, 0, hello.data, (uint32_t)hello.len);
}

static void on_reaper(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct holder *h = arg;

	h->reaper = NULL;
	for (size_t i = 0; i < h->cfg->n_members; i++)
		if (!h->seats[i].has_link && h->seats[i].link.loop) {
			link_done(&h->seats[i].link);
			h->seats[i].link.loop = NULL;
		}
	leave_when_alone(h, true);
}

static void note_exit(struct seat *s)
{
	struct holder *h = s->h;

	s->is_started = s->is_running = s->is_gone = false;
	if (!s->has_link && !h->reaper && loop_timer(h->loop, 0, on_reaper, h, &h->reaper) < 0)
		loop_stop(h->loop, -ENOMEM);
}

static int from_guest(struct link *l, const struct frame *f, struct err *e)
{
	struct holder *h = l->arg;
	unsigned slot = f->channel >> GUEST_SLOT_SHIFT;
	uint16_t channel = f->channel & GUEST_SLOT_MASK;
	size_t n = strlen(build_id());

	if (!h->is_up) {
		if (f->type != FRAME_HELLO || f->len != 4 + n || memcmp(f->payload + 4, build_id(), n) != 0)
			return err_set(e, EPROTO, "the guest did not greet, or runs berth-init of another build");
		h->is_up = true;
		h->vm->phase = VM_RUNNING;
		loop_del(h->vm->boot_timer);
		h->vm->boot_timer = NULL;
		put_hello(&l->out);
		link_flush(l);
		for (size_t i = 0; i < h->cfg->n_members; i++)
			if (h->seats[i].has_link) {
				put_hello(&h->seats[i].link.out);
				link_flush(&h->seats[i].link);
			}
		return 0;
	}
	if (slot >= h->cfg->n_members)
		return err_set(e, EPROTO, "the guest speaks of a container that does not exist");
	struct seat *s = &h->seats[slot];
	if (s->has_link) {
		frame_put(&s->link.out, (enum frame_type)f->type, channel, f->payload, f->len);
		link_flush(&s->link);
	}
	s->is_running |= channel == 0 && f->type == FRAME_STARTED;
	if (channel == 0 && (f->type == FRAME_EXIT || (f->type == FRAME_ERROR && !s->is_running)))
		note_exit(s);
	return 0;
}

static void guest_broken(struct link *l, const struct err *e)
{
	struct holder *h = l->arg;

	/* Where the VMM has died as well, its death says more: that event is on its way. */
	if (e->no != EPIPE && h->vm->phase != VM_ENDED)
		vm_lost(h->vm, e);
}

/* ---- from the monitors to the guest ---- */

static int from_monitor(struct link *l, const struct frame *f, struct err *e)
{
	struct seat *s = l->arg;
	struct link *guest = &s->h->vm->link;

	if (f->type == FRAME_HELLO || f->type == FRAME_SHUTDOWN)
		return 0; /* the machine is the pod's, and is switched off by nobody alone */
	if (f->channel > GUEST_SLOT_MASK)
		return err_set(e, EPROTO, "too many processes at once");
	if (f->type == FRAME_START)
		s->is_started = true;
	frame_put(&guest->out, (enum frame_type)f->type, (uint16_t)(s->slot << GUEST_SLOT_SHIFT | f->channel), f->payload,
		  f->len);
	link_flush(guest);
	return 0;
}

/* Its container goes with it, as on a host. */
static void monitor_gone(struct link *l, const struct err *e _unused_)
{
	struct seat *s = l->arg;
	struct holder *h = s->h;
	struct link *guest = &h->vm->link;

	fd_close(l->fd);
	s->has_link = false;
	if (s->is_started) {
		s->is_gone = true;
		frame_put_u32(&guest->out, FRAME_SIGNAL, (uint16_t)(s->slot << GUEST_SLOT_SHIFT), SIGKILL);
		link_flush(guest);
	}
	if (!h->reaper && loop_timer(h->loop, 0, on_reaper, h, &h->reaper) < 0)
		loop_stop(h->loop, -ENOMEM);
}

/* ---- who comes ---- */

static struct seat *seat_of(struct holder *h, const struct frame *f, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct json_object *id = NULL;

	if (f->type != FRAME_ATTACH || json_parse((const char *)f->payload, f->len, "attach", &o, e) < 0 ||
	    !json_object_object_get_ex(o, "id", &id)) {
		err_set(e, EPROTO, "who connects to a pod's machine says first whose it is");
		return NULL;
	}
	for (size_t i = 0; i < h->cfg->n_members; i++)
		if (streq0(h->cfg->members[i].id, json_object_get_string(id)))
			return &h->seats[i];
	err_set(e, EBUSY,
		"its virtual machine runs already, without this container's disk: stop the pod first (berth pod stop %.12s), "
		"then start it",
		h->cfg->id);
	return NULL;
}

static int welcome(struct caller *c, struct seat *s, struct err *e)
{
	struct holder *h = s->h;
	_cleanup_json_ struct json_object *o = json_object_new_object();
	const char *text;

	if (json_add(o, "disk", json_object_new_string(s->disk)) < 0 ||
	    json_add(o, "upper", json_object_new_string(s->upper)) < 0 ||
	    json_add(o, "vmm", json_object_new_string(isolation_vm.vmm(h->vm))) < 0 ||
	    json_add(o, "pid", json_object_new_int64(h->vm->vmm)) < 0 ||
	    !(text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN)))
		return err_set(e, ENOMEM, "out of memory");
	s->link = (struct link){ .on_frame = from_monitor, .on_broken = monitor_gone, .arg = s };
	loop_del(c->link.src);
	c->link.src = NULL;
	if (link_init(&s->link, h->loop, c->link.fd) < 0)
		return err_set(e, ENOMEM, "out of memory");
	c->link.fd = -1;
	s->has_link = true;
	loop_del(h->alone);
	h->alone = NULL;
	frame_put(&s->link.out, FRAME_OK, 0, text, (uint32_t)strlen(text));
	if (h->is_up)
		put_hello(&s->link.out);
	link_flush(&s->link);
	return 0;
}

static void callers_reap(struct holder *h, bool all)
{
	for (struct caller **at = &h->callers; *at;) {
		struct caller *c = *at;
		if (!all && !c->is_done) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		fd_close(c->link.fd);
		link_done(&c->link);
		free(c);
	}
}

static int from_caller(struct link *l, const struct frame *f, struct err *e)
{
	struct caller *c = l->arg;
	struct err why = { 0 };
	struct seat *s = seat_of(c->h, f, &why);

	if (s && (s->has_link || s->is_started))
		err_set(&why, EBUSY, "the container's last run has not ended yet in the pod's virtual machine");
	else if (s && welcome(c, s, &why) == 0) {
		c->is_done = true;
		return err_set(e, ECANCELED, "taken over");
	}
	frame_put_error(&l->out, 0, &why);
	link_flush(l);
	(void)link_drain(l, 1000);
	c->is_done = true;
	return err_set(e, ECANCELED, "refused");
}

/* It is freed with the next one's coming, but need not wait for that to hear the end. */
static void caller_gone(struct link *l, const struct err *e _unused_)
{
	struct caller *c = l->arg;

	c->is_done = true;
	if (l->fd >= 0)
		shutdown(l->fd, SHUT_RDWR);
}

static void on_connect(struct loop *l _unused_, int fd, uint32_t events _unused_, void *arg)
{
	struct holder *h = arg;
	int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct caller *c = sock < 0 ? NULL : calloc(1, sizeof(*c));

	callers_reap(h, false);
	if (!c) {
		fd_close(sock);
		return;
	}
	*c = (struct caller){ .h = h, .next = h->callers };
	c->link = (struct link){ .on_frame = from_caller, .on_broken = caller_gone, .arg = c };
	if (link_init(&c->link, h->loop, sock) < 0) {
		fd_close(sock);
		free(c);
		return;
	}
	h->callers = c;
}

/* ---- its making ---- */

static int add_disk(struct holder *h, const char *path, bool read_only, char name[16], struct err *e)
{
	size_t i = 0;

	while (i < h->n_disks && !streq(h->disks[i].path, path))
		i++;
	if (i == POD_VM_DISKS_MAX)
		return err_set(e, E2BIG, "a pod's virtual machine has room for %d disks: one a container and one an image",
			       POD_VM_DISKS_MAX);
	if (i == h->n_disks)
		h->disks[h->n_disks++] = (struct vm_disk){ path, read_only };
	snprintf(name, 16, "/dev/vd%c", (char)('a' + i));
	return 0;
}

static int take_seats(struct holder *h, struct err *e)
{
	const struct pod_vm_config *c = h->cfg;
	int r = 0;

	if (c->n_members > GUEST_SLOTS)
		return err_set(e, E2BIG, "a pod's virtual machine holds at most %d containers", GUEST_SLOTS);
	h->seats = calloc(c->n_members + 1, sizeof(*h->seats));
	if (!h->seats)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < c->n_members && r == 0; i++) {
		struct seat *s = &h->seats[i];
		*s = (struct seat){ .h = h, .m = &c->members[i], .slot = (unsigned)i };
		r = add_disk(h, s->m->image_disk, true, s->disk, e);
		if (r == 0)
			r = add_disk(h, s->m->upper_disk, false, s->upper, e);
	}
	return r;
}

/* The volumes of all, in one tree: the guest is one, and keeps its containers apart. */
static int add_shares(struct holder *h, struct err *e)
{
	struct instance *vm = h->vm;

	for (size_t i = 0; i < h->cfg->n_members; i++) {
		const struct pod_vm_member *m = &h->cfg->members[i];
		const struct launch l = { .id = m->id, .pod = (char *)(uintptr_t)h->cfg->id };
		_cleanup_free_ struct vm_share *its = NULL;
		struct vm_share *more;
		size_t n = 0;

		if (vm_spec_shares(&m->plan, &l, &its, &n) < 0)
			return err_set(e, ENOMEM, "out of memory");
		more = reallocarray(vm->shares, vm->n_shares + n + 1, sizeof(*more));
		if (!more)
			return err_set(e, ENOMEM, "out of memory");
		memcpy(more + vm->n_shares, its, n * sizeof(*its));
		vm->shares = more;
		vm->n_shares += n;
	}
	return 0;
}

static void on_started(void *arg _unused_, const struct err *e _unused_) {}

static void on_end_signal(struct loop *l, int sig _unused_, void *arg _unused_) { loop_stop(l, 0); }

static int set_signals(struct holder *h)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return loop_signals(h->loop, &set, on_end_signal, h);
}

static int start(struct holder *h, struct err *e)
{
	const struct pod_vm_config *c = h->cfg;
	/* The first two disks are where one container's are. */
	struct launch launch = *c->launch;
	launch.image_disk = (char *)(uintptr_t)h->disks[0].path;
	launch.upper_disk = (char *)(uintptr_t)h->disks[1].path;
	h->launch = launch;
	const struct instance_config ic = { .spec = c->plan,
					    .launch = &h->launch,
					    .network = c->network,
					    .taps = c->taps,
					    .n_taps = c->n_taps,
					    .host = &h->host,
					    .paths = c->paths,
					    .loop = h->loop,
					    .rundirfd = c->rundirfd,
					    .rundir = c->rundir,
					    .on_started = on_started,
					    .arg = h };
	int r = isolation_vm.new(&ic, &h->vm, e);

	if (r < 0)
		return r;
	h->vm->on_pod_lost = on_vm_lost;
	h->vm->more = h->disks + 2;
	h->vm->n_more = h->n_disks - 2;
	r = add_shares(h, e);
	if (r >= 0)
		r = vm_start_machine(h->vm, e);
	if (r < 0)
		return r;
	h->vm->link = (struct link){ .on_frame = from_guest, .on_broken = guest_broken, .arg = h };
	r = link_init(&h->vm->link, h->loop, h->vm->agent_fd);
	if (r < 0)
		return err_set(e, -r, "connection to the guest: %s", strerror(-r));
	h->vm->has_link = true;
	h->listenfd = sock_unix_listen(c->rundirfd, POD_VM_SOCKET, 0600);
	if (h->listenfd < 0 || (r = loop_add(h->loop, h->listenfd, EPOLLIN, on_connect, h, &h->listen_src)) < 0)
		return err_set(e, h->listenfd < 0 ? -h->listenfd : -r, "%s/" POD_VM_SOCKET ": %s", c->rundir,
			       strerror(h->listenfd < 0 ? -h->listenfd : -r));
	leave_when_alone(h, false);
	return 0;
}

/* In this order: nobody comes any more, the guest writes its disks out, the machine and its cgroup go. */
static void end(struct holder *h)
{
	struct err e = { 0 };

	loop_del(h->listen_src);
	if (h->listenfd >= 0 && unlinkat(h->cfg->rundirfd, POD_VM_SOCKET, 0) < 0)
		log_debug("pod", "%s: %s", POD_VM_SOCKET, strerror(errno));
	fd_close(h->listenfd);
	callers_reap(h, true);
	for (size_t i = 0; h->seats && i < h->cfg->n_members; i++) {
		if (!h->seats[i].has_link)
			continue;
		err_set(&e, ECANCELED, "the pod's virtual machine was ended");
		put_lost(&h->seats[i].link, h->lost.no ? &h->lost : &e);
		fd_close(h->seats[i].link.fd);
		link_done(&h->seats[i].link);
	}
	loop_del(h->alone);
	loop_del(h->reaper);
	if (h->vm) {
		if (h->is_up && h->vm->phase == VM_RUNNING)
			h->vm->phase =
				VM_ENDED; /* as after a container's end: isolation_vm.destroy then asks it to write its disks out */
		isolation_vm.destroy(h->vm);
	}
}

int pod_vm_run(const struct pod_vm_config *c, struct err *e)
{
	struct holder h = { .cfg = c, .listenfd = -1 };
	int r = loop_new(&h.loop);

	if (r < 0)
		return err_set(e, -r, "event loop: %s", strerror(-r));
	r = set_signals(&h);
	if (r < 0)
		err_set(e, -r, "set up signals: %s", strerror(-r));
	if (r >= 0)
		r = host_probe_cgroup_ours(&h.host, e);
	if (r >= 0)
		r = take_seats(&h, e);
	if (r >= 0)
		r = start(&h, e);
	if (r >= 0 && write(c->ready_fd, "R", 1) != 1)
		r = err_set(e, EPIPE, "who asked for the pod's machine is gone");
	if (r >= 0) {
		fd_close(c->ready_fd);
		r = loop_run(h.loop);
		if (r < 0)
			err_set(e, -r, "%s", strerror(-r));
	}
	end(&h);
	host_done(&h.host);
	loop_free(h.loop);
	free(h.seats);
	return r;
}
