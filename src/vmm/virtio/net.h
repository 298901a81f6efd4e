/* net: what the files of the network device share: net.c (the device, control queue), net_worker.c (frames), net_header.c (what a
 * guest may ask of the host's network stack). */
#pragma once

#include <linux/virtio_net.h>

#include "../limit.h"
#include "../vmm_impl.h"

enum {
	NET_QUEUE_SIZE = 256,
	NET_HEADER = sizeof(struct virtio_net_hdr_v1), /* 12, whatever was negotiated: 5.1.6 */
	NET_ETH = 14,
	NET_FRAME_MAX = 65550, /* with NET_HEADER the 65562 bytes of 5.1.6.3.1 */
	NET_HEAD = 256,        /* of a frame that the host is to cut: its headers must be in these bytes */
	NET_CHAINS = 128,      /* receive buffers in hand */
	NET_IOVS = 1023,       /* their vectors; with one for what does not fit, what readv takes (IOV_MAX) */
	NET_PAIRS = 8,
};
_Static_assert(NET_HEADER == 12 && NET_PAIRS == VMM_TAPS_MAX && NET_PAIRS <= VIRTIO_WORKERS_MAX, "see plan and virtio.h");

struct net;

/* A pair of queues and the tap queue that they are connected to. Owned by its worker while that is busy. */
struct net_pair {
	struct net *net;
	unsigned index;
	int fd;                       /* the plan's */
	int wake_fd;                  /* eventfd: the worker is to return */
	bool is_attached, is_running; /* the vmm thread's */

	/* Receive buffers popped and not yet filled: chains[first, first + n), whose vectors are iov[first_iov, first_iov + n_iov). */
	struct vq_chain chains[NET_CHAINS];
	struct iovec iov[NET_IOVS + 1];
	unsigned first, n, first_iov, n_iov;
	uint64_t room;                   /* bytes of them */
	bool wants_in, wants_out;        /* what the worker waits for at the tap */
	bool is_gone;                    /* the tap, for now */
	unsigned wait_ms;                /* until a rate lets more pass; 0: none in the way */
	uint64_t dropped_tx, dropped_rx; /* frames */
};

/* A limit that all workers share. */
struct net_rate {
	pthread_mutex_t lock;
	struct vmm_limit limit; /* under lock, but for per_second */
};

struct net_state {
	uint32_t pairs; /* that the driver has asked for */
	uint32_t has_offloads;
	uint64_t offloads; /* VIRTIO_NET_F_GUEST_x */
};

struct net {
	struct virtio_device d;
	unsigned n_pairs;
	bool is_tap; /* else sockets */
	uint8_t mac[6];
	struct net_state s;
	uint64_t receive_need; /* bytes of buffers for the longest frame that may come; fixed while workers run */
	struct net_rate to_guest, from_guest;
	struct loop_src *control;
	struct net_pair pairs[NET_PAIRS];
};

/* The worker: moves frames until wake_fd says that it is to return. arg: struct net_pair. */
void net_worker(void *arg);
/* One turn of each direction, for tests and fuzzing. true: there is more to do at once. */
bool net_transmit(struct net_pair *p);
bool net_receive(struct net_pair *p);
/* Gives back the receive buffers in hand. */
void net_give_back(struct net_pair *p);

/* net_header.c: makes h, of a frame of len bytes whose first head_len are in head, one that a host's tap may be given: only what
 * the driver negotiated (features), every offset within the frame, and a frame that is to be cut is TCP as it says. Unused
 * fields are zeroed. head is needed (all of the frame, or NET_HEAD bytes) where net_header_cuts says so. 0, or -EINVAL: drop it. */
bool net_header_cuts(const struct virtio_net_hdr_v1 *h);
int net_header_check(struct virtio_net_hdr_v1 *h, const uint8_t *head, size_t head_len, size_t len, uint64_t features);
