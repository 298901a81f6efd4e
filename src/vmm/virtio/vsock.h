/* vsock: what the files of the socket device share: vsock.c (device, queues, packets), vsock_conn.c (a connection: its state,
 * credit, bytes), vsock_host.c (where connections come from and go to on the host). All on the vmm thread.
 *
 * A connection is between a port of the guest and a port of the host (virtio 1.2, 5.10.6); on the host's side it is a stream
 * socket. Its life:
 *
 *   the host connects    GREETING -vsock_host: "CONNECT p\n"-> ASKED -RESPONSE-> OPEN
 *   the guest connects   REQUEST, vsock_host_connect -> OPEN
 *   OPEN -RST, SHUTDOWN both-> DRAINING (gone for the guest; what it sent is still written) -> free
 *   any -end of time, breach of the rules, reset-> free, with RST
 *
 * Bounds: VSOCK_CONNS connections, of which the guest may open VSOCK_CONNS_GUEST; each buffers at most VSOCK_BUFFER bytes, which
 * is the credit that the guest is given, and only of what the host's end does not take at once. Bytes for the guest are never
 * buffered: they are read into its buffers while it has some, and credit. */
#pragma once

#include <linux/virtio_vsock.h>

#include "../vmm_impl.h"

enum {
	VSOCK_RX,
	VSOCK_TX,
	VSOCK_EVENT,
	VSOCK_QUEUES,

	VSOCK_HOST_CID = 2,
	VSOCK_QUEUE_SIZE = 256,
	VSOCK_CONNS = 256,
	VSOCK_CONNS_GUEST = 192,
	VSOCK_RESETS = 64, /* answers to packets of no connection; when they wait, so does the guest's output */
	VSOCK_BUFFER = 128 << 10,
	VSOCK_PACKET = 64 << 10, /* bytes of one packet to the guest: Linux refuses longer ones (VIRTIO_VSOCK_MAX_PKT_BUF_SIZE) */
	VSOCK_GREETING = 32,
	VSOCK_HEADER = sizeof(struct virtio_vsock_hdr),

	VSOCK_CLOSE_MS = 8000, /* for the guest's RST after SHUTDOWN, as Linux gives us (VSOCK_CLOSE_TIMEOUT) */
};

enum vsock_state { VSOCK_FREE, VSOCK_GREETED, VSOCK_ASKED, VSOCK_OPEN, VSOCK_DRAINING };

struct vsock;

struct vsock_conn {
	struct vsock *v;
	enum vsock_state state;
	bool is_guests; /* it was the guest that connected */
	bool owns_fd;   /* else the plan's, which is shut down and not closed */
	uint32_t host_port, guest_port;
	int fd;
	struct loop_src *src;
	uint32_t events;      /* that src waits for */
	uint32_t pending;     /* 1 << VIRTIO_VSOCK_OP_x: to be told to the guest, lowest first */
	uint64_t deadline_us; /* 0: none */

	uint32_t peer_alloc, peer_fwd, sent;    /* bytes to the guest */
	uint32_t received, forwarded, told_fwd; /* bytes from the guest */
	struct buf out;                         /* of the guest's, not yet taken by the host's end */
	bool guest_sends_no_more, guest_takes_no_more;
	bool host_sends_no_more, host_takes_no_more;

	char greeting[VSOCK_GREETING];
	unsigned n_greeting;
};

struct vsock_saved {
	uint64_t guest_cid;
};

struct vsock {
	struct virtio_device d;
	const struct vmm_vsock_plan *plan;
	uint64_t guest_cid;
	bool is_starved; /* the guest has no buffers: nothing is read for it */
	bool wants_reset_event;
	uint32_t next_port;
	unsigned n_used, n_guests, n_pending; /* connections; of the guest's making; with a word for the guest */
	struct loop_src *listener, *timer;
	uint64_t timer_us; /* when it fires */
	bool stream_used[VMM_STREAMS_MAX];
	unsigned n_resets;
	struct virtio_vsock_hdr resets[VSOCK_RESETS];
	struct iovec iov[VSOCK_QUEUE_SIZE], part[VSOCK_QUEUE_SIZE + 1]; /* of the packet at hand */
	struct vsock_conn conns[VSOCK_CONNS];
};

/* ---- vsock.c ---- */
/* Sends what waits for the guest: resets, words of connections; then asks connections for data. */
void vsock_send_pending(struct vsock *v);
/* A packet to the guest with up to n bytes read from the connection's descriptor. Bytes; 0: end of stream; -EAGAIN: the host has none;
 * -ENOBUFS: the guest has no buffer; else -errno of the descriptor, -EBADMSG: the queue is broken. */
ssize_t vsock_send_data(struct vsock_conn *c, size_t n);
/* Looks when the next deadline is. */
void vsock_arm(struct vsock *v);

/* ---- vsock_conn.c ---- */
struct vsock_conn *vsock_conn_new(struct vsock *v, int fd, bool owns_fd, bool is_guests); /* NULL: the table is full */
struct vsock_conn *vsock_conn_find(struct vsock *v, uint32_t host_port, uint32_t guest_port);
void vsock_conn_free(struct vsock_conn *c);
void vsock_conn_abort(struct vsock_conn *c);                         /* tells the guest RST and is done */
void vsock_conn_tell(struct vsock_conn *c, enum virtio_vsock_op op); /* later, by vsock_send_pending */
void vsock_conn_told(struct vsock_conn *c, enum virtio_vsock_op op); /* may free c */
void vsock_conn_open(struct vsock_conn *c);                          /* bytes may pass */
void vsock_conn_watch(struct vsock_conn *c);                         /* waits for what matters now */
void vsock_conn_credit(struct vsock_conn *c, const struct virtio_vsock_hdr *h);
/* The guest's packets. Each may free c. The data are behind the header in chain. */
void vsock_conn_data(struct vsock_conn *c, const struct vq_chain *chain, uint32_t len);
void vsock_conn_shutdown(struct vsock_conn *c, uint32_t flags);
void vsock_conn_reset(struct vsock_conn *c);           /* the guest has forgotten it */
uint32_t vsock_conn_flags(const struct vsock_conn *c); /* of a SHUTDOWN to the guest */
void vsock_conn_on_fd(struct loop *l, int fd, uint32_t events, void *arg);

/* ---- vsock_host.c ---- */
/* The host's end for a guest that connects to port: a connected descriptor, *ret_owned: it is ours to close. -errno. */
int vsock_host_connect(struct vsock *v, uint32_t port, bool *ret_owned);
int vsock_host_listen(struct vsock *v); /* takes connections while there is room */
void vsock_host_unlisten(struct vsock *v);
void vsock_host_greeting(struct vsock_conn *c); /* reads it */
void vsock_host_answer(struct vsock_conn *c);   /* "OK port" */
