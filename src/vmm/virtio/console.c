/* console: streams between guest and host (virtio 1.2, 5.3), with several ports, each known to the guest by its name.
 *
 * Queues: 0 and 1 are port 0's input and output, 2 and 3 carry control messages, 2n+2 and 2n+3 are port n's. A port's host end
 * is a descriptor; input is read only while the guest has the port open and buffers for it, output that the host does not
 * take stays in the guest's ring with the number of its bytes already written, so nothing is ever buffered here and a
 * snapshot loses nothing.
 *
 * All on the vmm thread. */
#include <linux/virtio_console.h>
#include <sys/uio.h>

#include "../vmm_impl.h"

#define QUEUE_SIZE   128u
#define IOV_MAX_HERE 128u
#define BATCH        32u  /* buffers a turn and port */
#define CONTROL_MAX  128u /* messages that wait for the guest's buffers; it asks for each, so more is its own doing */
enum { CONTROL_RX = 2, CONTROL_TX = 3, TYPES = VIRTIO_CONSOLE_PORT_NAME + 1 };

/* What a snapshot keeps of a port. */
struct port_state {
	uint64_t written;  /* of the request at the head of the output queue */
	uint8_t is_open;   /* by the guest */
	uint8_t has_ended; /* the host's end is closed: told, or to be told */
	uint8_t pad[6];
};
struct console_state {
	struct port_state ports[VMM_PORTS_MAX];
	uint32_t n_pending, pad;
	struct virtio_console_control pending[CONTROL_MAX];
};

struct port {
	struct console *console;
	unsigned id;
	const char *name; /* the plan's */
	int fd;
	struct loop_src *src;
	uint32_t events; /* that src waits for */
};

struct console {
	struct virtio_device d;
	unsigned n;
	struct port ports[VMM_PORTS_MAX];
	struct console_state s;
	struct iovec iov[IOV_MAX_HERE], part[IOV_MAX_HERE]; /* of the request at hand */
};

static struct console *console_of(struct virtio_device *d) { return container_of(d, struct console, d); }
static unsigned rx_of(unsigned id) { return id == 0 ? 0 : 2 * id + 2; }
static struct virtqueue *input(struct port *p) { return &p->console->d.queues[rx_of(p->id)]; }
static struct virtqueue *output(struct port *p) { return &p->console->d.queues[rx_of(p->id) + 1]; }
static struct port_state *state(struct port *p) { return &p->console->s.ports[p->id]; }

static int pop(struct console *c, struct virtqueue *q, struct vq_chain *ret)
{
	*ret = (struct vq_chain){ .iov = c->iov, .iov_max = IOV_MAX_HERE };
	return vq_pop(q, ret);
}

/* ---- control messages to the guest ---- */

static void send_pending(struct console *c)
{
	struct virtqueue *q = &c->d.queues[CONTROL_RX];
	uint32_t sent = 0;
	int r = 1;

	while (sent < c->s.n_pending && r > 0) {
		const struct virtio_console_control *m = &c->s.pending[sent];
		const char *name = m->event == VIRTIO_CONSOLE_PORT_NAME ? c->ports[m->id].name : NULL;
		struct vq_chain chain;
		size_t n;

		r = pop(c, q, &chain);
		if (r == 0 && vq_wait(q))
			r = pop(c, q, &chain);
		if (r <= 0)
			break;
		n = vq_write(&chain, 0, m, sizeof(*m));
		if (name) /* without its NUL: 5.3.6.2 */
			n += vq_write(&chain, n, name, strlen(name));
		r = vq_push(q, &chain, n) < 0 ? -EBADMSG : 1;
		sent += r > 0;
	}
	c->s.n_pending -= sent;
	memmove(c->s.pending, c->s.pending + sent, c->s.n_pending * sizeof(c->s.pending[0]));
	vq_flush(q);
	if (r < 0)
		virtio_queue_broken(&c->d, q);
}

static void tell(struct console *c, unsigned id, uint16_t event, uint16_t value)
{
	if (c->s.n_pending < CONTROL_MAX)
		c->s.pending[c->s.n_pending++] = (struct virtio_console_control){ id, event, value };
}

/* ---- a port's stream ---- */

static void on_fd(struct loop *l, int fd, uint32_t events, void *arg);

/* Waits for what makes a difference: EPOLLIN only with a buffer in hand, EPOLLOUT only with a request that waits. */
static void watch(struct port *p, uint32_t add, uint32_t remove)
{
	uint32_t want = (p->events | add) & ~remove;
	int r = 0;

	if (p->fd < 0 || want == p->events)
		return;
	p->events = want;
	/* Gone rather than silent when nothing is wanted: a hang-up would be told again and again. */
	if (want == 0) {
		loop_del(p->src);
		p->src = NULL;
	} else if (p->src) {
		r = loop_mod(p->src, want);
	} else {
		r = loop_add(p->console->d.vm->loop, p->fd, want, on_fd, p, &p->src);
	}
	if (r < 0)
		log_warn("console", "port %u: %s", p->id, strerror(-r));
}

/* The other end has gone: the guest reads the end of the stream, and what it writes is dropped. */
static void end_port(struct port *p)
{
	watch(p, 0, EPOLLIN | EPOLLOUT);
	if (state(p)->has_ended)
		return;
	state(p)->has_ended = 1;
	tell(p->console, p->id, VIRTIO_CONSOLE_PORT_OPEN, 0);
	send_pending(p->console);
}

static bool is_alive(struct port *p) { return p->fd >= 0 && !state(p)->has_ended; }

/* Host to guest. */
static void pump_in(struct port *p)
{
	struct console *c = p->console;
	struct virtqueue *q = input(p);
	struct vq_chain chain;
	unsigned n = 0;
	int r = 0;

	while (n < BATCH && is_alive(p) && state(p)->is_open) {
		unsigned k;
		ssize_t got;

		r = pop(c, q, &chain);
		if (r == 0 && vq_wait(q))
			r = pop(c, q, &chain);
		if (r <= 0) {
			watch(p, 0, EPOLLIN); /* no buffer: the guest's next kick asks again */
			break;
		}
		k = vq_in(&chain, 0, UINT32_MAX, c->part);
		got = k ? readv(p->fd, c->part, (int)k) : 0;
		if (got > 0) {
			r = vq_push(q, &chain, (uint64_t)got);
			n++;
			if (r < 0)
				break;
			continue;
		}
		vq_unpop(q, 1);
		if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
			watch(p, EPOLLIN, 0);
			break;
		}
		if (k == 0) /* a buffer that can't be filled: the driver's mistake */
			r = -EBADMSG;
		else
			end_port(p);
		break;
	}
	if (n == BATCH)
		watch(p, EPOLLIN, 0);
	vq_flush(q);
	if (r < 0)
		virtio_queue_broken(&c->d, q);
}

/* Writes the rest of a request: 1: all, 0: later, -errno: the other end has gone. */
static int write_request(struct port *p, const struct vq_chain *chain)
{
	uint64_t *written = &state(p)->written;

	while (*written < chain->out_bytes) {
		unsigned k = vq_out(chain, *written, UINT32_MAX, p->console->part);
		ssize_t n = writev(p->fd, p->console->part, (int)k);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		*written += (uint64_t)n;
	}
	return 1;
}

/* Guest to host. */
static void pump_out(struct port *p)
{
	struct console *c = p->console;
	struct virtqueue *q = output(p);
	struct vq_chain chain;
	unsigned n = 0;
	int r = 0;

	watch(p, 0, EPOLLOUT);
	for (; n < BATCH; n++) {
		r = pop(c, q, &chain);
		if (r == 0 && vq_wait(q))
			r = pop(c, q, &chain);
		if (r <= 0)
			break;
		r = is_alive(p) ? write_request(p, &chain) : 1;
		if (r == 0) {
			vq_unpop(q, 1);
			watch(p, EPOLLOUT, 0);
			break;
		}
		if (r < 0)
			end_port(p);
		state(p)->written = 0;
		r = vq_push(q, &chain, 0);
		if (r < 0)
			break;
	}
	vq_flush(q);
	if (r < 0)
		virtio_queue_broken(&c->d, q);
	else if (n == BATCH)
		virtio_kick_self(q);
}

static void on_fd(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct port *p = arg;

	(void)l;
	(void)fd;
	if (events & (EPOLLOUT | EPOLLERR))
		pump_out(p);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		pump_in(p);
}

/* ---- control messages from the guest ---- */

static void introduce(struct console *c, unsigned id)
{
	const struct port *p = &c->ports[id];

	if (p->name)
		tell(c, id, VIRTIO_CONSOLE_PORT_NAME, 1);
	else
		tell(c, id, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
	if (p->fd >= 0 && !c->s.ports[id].has_ended)
		tell(c, id, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

static void obey(struct console *c, const struct virtio_console_control *m)
{
	if (m->event == VIRTIO_CONSOLE_DEVICE_READY) {
		for (unsigned i = 0; m->value == 1 && i < c->n; i++)
			tell(c, i, VIRTIO_CONSOLE_PORT_ADD, 1);
		return;
	}
	if (m->id >= c->n)
		return;
	if (m->event == VIRTIO_CONSOLE_PORT_READY && m->value == 1) {
		introduce(c, m->id);
	} else if (m->event == VIRTIO_CONSOLE_PORT_OPEN) {
		c->s.ports[m->id].is_open = m->value == 1;
		if (m->value == 1 && c->ports[m->id].name)
			vmm_note_started(c->d.vm); /* somebody in user space is at a port of ours */
		pump_in(&c->ports[m->id]);
	}
}

static void take_control(struct console *c)
{
	struct virtqueue *q = &c->d.queues[CONTROL_TX];
	struct vq_chain chain;
	unsigned n = 0;
	int r = 0;

	for (; n < BATCH; n++) {
		struct virtio_console_control m;

		r = pop(c, q, &chain);
		if (r == 0 && vq_wait(q))
			r = pop(c, q, &chain);
		if (r <= 0)
			break;
		bool is_whole = vq_read(&chain, 0, &m, sizeof(m)) == sizeof(m);
		r = vq_push(q, &chain, 0);
		if (r < 0)
			break;
		if (is_whole)
			obey(c, &m);
	}
	vq_flush(q);
	if (r < 0)
		virtio_queue_broken(&c->d, q);
	else if (n == BATCH)
		virtio_kick_self(q);
	send_pending(c);
}

/* ---- the device ---- */

static void kick(struct virtio_device *d, unsigned queue)
{
	struct console *c = console_of(d);
	unsigned id = queue < 2 ? 0 : queue / 2 - 1;

	if (queue == CONTROL_TX)
		take_control(c);
	else if (queue == CONTROL_RX)
		send_pending(c);
	else if (queue % 2 == 0)
		pump_in(&c->ports[id]);
	else
		pump_out(&c->ports[id]);
}

static int activate(struct virtio_device *d, struct err *e)
{
	(void)e;
	if (!virtio_has(d, VIRTIO_CONSOLE_F_MULTIPORT)) /* then there is port 0, and it is open */
		console_of(d)->s.ports[0].is_open = 1;
	return 0;
}

static void reset(struct virtio_device *d)
{
	struct console *c = console_of(d);

	for (unsigned i = 0; i < c->n; i++) {
		bool has_ended = c->s.ports[i].has_ended;

		watch(&c->ports[i], 0, EPOLLIN | EPOLLOUT);
		c->s.ports[i] = (struct port_state){ .has_ended = has_ended };
	}
	c->s.n_pending = 0;
}

static int save(struct virtio_device *d, void *to, struct err *e)
{
	(void)e;
	memcpy(to, &console_of(d)->s, sizeof(struct console_state));
	return 0;
}

static int load(struct virtio_device *d, const void *from, struct err *e)
{
	struct console *c = console_of(d);
	struct console_state s;

	memcpy(&s, from, sizeof(s));
	if (s.n_pending > CONTROL_MAX)
		return err_set(e, EBADMSG, "saved state: a console with %u messages", s.n_pending);
	for (uint32_t i = 0; i < s.n_pending; i++)
		if (s.pending[i].id >= c->n)
			return err_set(e, EBADMSG, "saved state: a message for port %u of %u", s.pending[i].id, c->n);
	for (unsigned i = 0; i < VMM_PORTS_MAX; i++)
		if (s.ports[i].is_open > 1 || s.ports[i].has_ended > 1)
			return err_set(e, EBADMSG, "saved state: port %u is neither open nor closed", i);
	c->s = s;
	return 0;
}

static void console_free(struct virtio_device *d) { free(console_of(d)); }

static const struct virtio_device_ops ops = { .name = "console",
					      .id = VIRTIO_ID_CONSOLE,
					      .activate = activate,
					      .reset = reset,
					      .kick = kick,
					      .state_version = 1,
					      .state_bytes = sizeof(struct console_state),
					      .save = save,
					      .load = load,
					      .free = console_free };

int virtio_console_new(const struct vmm_console_plan *plan, struct virtio_device **ret, struct err *e)
{
	struct console *c = calloc(1, sizeof(*c));
	struct virtio_console_config config = { .max_nr_ports = (uint32_t)plan->n_ports };

	if (!c)
		return err_set(e, ENOMEM, "out of memory");
	c->n = (unsigned)plan->n_ports;
	for (unsigned i = 0; i < c->n; i++) {
		struct port *p = &c->ports[i];

		*p = (struct port){ .console = c, .id = i, .name = plan->ports[i].name, .fd = plan->ports[i].fd };
		if (p->fd >= 0 && fd_nonblock(p->fd, true) < 0) {
			int fd = p->fd;

			free(c);
			return err_set(e, EBADF, "console: port %u: descriptor %d can't be made non-blocking", i, fd);
		}
	}
	c->d.ops = &ops;
	c->d.features = 1ull << VIRTIO_CONSOLE_F_MULTIPORT;
	c->d.n_queues = 2 * c->n + 2;
	for (unsigned i = 0; i < c->d.n_queues; i++)
		c->d.queues[i].size_max = QUEUE_SIZE;
	c->d.config_bytes = sizeof(config);
	memcpy(c->d.config, &config, sizeof(config));
	*ret = &c->d;
	return 0;
}
