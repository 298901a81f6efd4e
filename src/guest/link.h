/* link: one end of the stream between host and guest, with the flow control of frame.h. Both ends use it: the agent in the
 * guest (agent.c) and isolation/vm on the host.
 *
 *   outflow: bytes of a local fd become data frames, as far as the other end has granted credit
 *   inflow:  data frames become bytes of a local fd; what has been written is granted anew
 *
 * Invariants: nothing here blocks; per flow at most FRAME_WINDOW bytes are held; more than that from the other end is a
 * breach of protocol, which breaks the link (the other end is not trusted). */
#pragma once

#include "codec.h"

struct link {
	struct loop *loop;
	int fd; /* borrowed, non-blocking */
	struct buf in, out;
	struct loop_src *src;
	bool is_broken;
	bool is_held; /* nothing is sent beyond pass_bytes; what is put waits in out */
	size_t pass_bytes;
	/* One frame came; <0 breaks the link with what e says. May free flows; must not free the link. */
	int (*on_frame)(struct link *l, const struct frame *f, struct err *e);
	/* Once, from the loop: the other end is gone (-EPIPE) or broke the protocol (-EPROTO). Nothing is sent or read any
	 * more. Must not free the link. */
	void (*on_broken)(struct link *l, const struct err *e);
	void *arg;
};
int link_init(struct link *l, struct loop *loop, int fd); /* callbacks and arg are set by the caller before */
void link_done(struct link *l);
/* Sends what frame_put_x() put into l->out, now or as the fd takes it. Errors arrive at on_broken. */
void link_flush(struct link *l);
/* What is in l->out now is still sent, and then nothing until link_release. So a VM can be copied while the stream is empty. */
void link_hold(struct link *l);
void link_release(struct link *l);
/* Forgets what waits in l->out, and releases: the far end is another one now. */
void link_restart(struct link *l);
/* Takes what the other end has sent and the loop has not yet delivered. May call on_broken. */
void link_take(struct link *l);
/* Waits until all of l->out is sent, for at most timeout_ms. */
int link_drain(struct link *l, int timeout_ms);

struct outflow {
	struct link *link;
	uint16_t channel;
	enum frame_type type;
	int fd; /* owned; -1 once it has ended */
	uint32_t window;
	struct loop_src *src;
	bool is_last_round; /* the process has ended: stop at the first moment when nothing is there to read */
	void (*on_end)(struct outflow *f, void *arg); /* the end frame has been put; may free the flow's owner */
	void *arg;
};
/* Takes fd (also on failure), made non-blocking. */
int outflow_init(struct outflow *f, struct link *l, uint16_t channel, enum frame_type type, int fd);
int outflow_credit(struct outflow *f, uint32_t bytes); /* -EPROTO beyond the window */
void outflow_finish(struct outflow *f);                /* is_last_round; may call on_end */
void outflow_done(struct outflow *f);                  /* closes, tells nobody */
void outflow_restart(struct outflow *f);               /* the far end is another one now, and grants a whole window */

struct inflow {
	struct link *link;
	uint16_t channel;
	enum frame_type type;
	int fd;      /* owned; -1 once closed */
	bool is_tty; /* the end of input is the terminal's VEOF character, and fd stays open */
	bool is_ending;
	struct buf held;
	struct loop_src *src;
	uint32_t ungranted;                          /* written, not yet granted anew */
	void (*on_end)(struct inflow *f, void *arg); /* all was written and fd is closed; may free the flow's owner */
	void *arg;
};
int inflow_init(struct inflow *f, struct link *l, uint16_t channel, enum frame_type type, int fd);
/* One data frame's payload; n = 0 ends the flow. -EPROTO beyond the window. A reader that closed its end swallows the rest. */
int inflow_put(struct inflow *f, const void *p, size_t n);
void inflow_done(struct inflow *f);
void inflow_restart(struct inflow *f); /* likewise: what came from the other one and was not taken is dropped */
