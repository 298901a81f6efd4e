/* frame: the one message format of Berth's own streams: CLI <-> monitor (unix socket) and monitor <-> guest agent
 * (virtio-serial or vsock).
 *
 * A frame is a header of 8 bytes, little-endian, then len bytes of payload:
 *     u32 len | u8 type | u8 flags (0) | u16 channel
 * Channel 0 is the container's own process and the connection itself; 1.. are exec'd processes, numbered by the side
 * that asks (CLI or monitor). Output is credit-controlled: a sender of STDIN/STDOUT/STDERR may have at most
 * FRAME_WINDOW bytes unacknowledged per stream; the receiver grants more with CREDIT once it has passed bytes on. So a
 * stopped reader stops its own stream and nothing else. */
#pragma once

#include "base.h"

#define FRAME_VERSION  1
#define FRAME_HDR      8
#define FRAME_MAX      (4u << 20)  /* control payloads (JSON) */
#define FRAME_DATA_MAX (32u << 10) /* STDIN, STDOUT, STDERR */
#define FRAME_WINDOW   (256u << 10)

enum frame_type {
	FRAME_HELLO = 1, /* both ways, first: u32 version | build id string */
	FRAME_ERROR,     /* struct err as JSON {"no","exit","msg"}: answers the request on this channel, which is then closed */
	FRAME_OK,        /* the request on this channel was done; payload by request (JSON or empty) */
	FRAME_START,     /* -> guest: JSON {config, files, ...}; see guest.h */
	FRAME_STARTED,   /* the user's process runs (exec succeeded); payload: i32 pid */
	FRAME_ATTACH,    /* CLI -> monitor: JSON {"stdin":bool,"stdout":bool,"stderr":bool} */
	FRAME_EXEC,      /* JSON: OCI process object (+ "berth" extras); opens the channel */
	FRAME_STDIN,
	FRAME_STDOUT,
	FRAME_STDERR,   /* data; len 0 = end of that stream */
	FRAME_CREDIT,   /* u8 stream (a FRAME_STD* value) | u8 0 x3 | u32 bytes */
	FRAME_RESIZE,   /* u16 rows | u16 cols */
	FRAME_SIGNAL,   /* u32 signal */
	FRAME_EXIT,     /* u32 exit status (0..255) | u32 signal (0 = exited) | u8 oom_killed: the channel is closed after it */
	FRAME_STATS,    /* request: empty; answered by FRAME_OK with JSON */
	FRAME_SHUTDOWN, /* -> guest: sync and power off */
	FRAME_UPDATE, /* other limits. CLI -> monitor: OCI linux.resources, what is to be changed; -> guest: {"resources", "cpus"}
			   (guest.h). Answered by FRAME_OK */
	FRAME_PAUSE,  /* CLI -> monitor: u32 1 = stop all its processes, 0 = let them go on; answered by FRAME_OK */
	/* Before a VM is copied: its processes stand still, and the stream between monitor and guest is empty both ways until
	 * FRAME_RELEASE. CLI -> monitor: empty, answered by FRAME_OK with {"mem_bytes", "cpus"}, launch.json's as it was
	 * started; it lasts until FRAME_RELEASE or the connection's end.
	 * -> guest: empty; answered by the same type: empty, or why it could not be done. */
	FRAME_QUIESCE,
	FRAME_RELEASE, /* CLI -> monitor (answered by FRAME_OK), -> guest (no answer) */
	FRAME_RESTORE, /* -> guest that was copied: JSON, who it is now (guest.h); answered as FRAME_START */
	FRAME_TYPE_MAX_,
};
const char *frame_type_name(unsigned type);

struct frame {
	uint32_t len;
	uint8_t type;
	uint16_t channel;
	const uint8_t *payload; /* points into the decoder's buffer, valid until the next frame_next */
};

/* Appends one frame to b. */
void frame_put(struct buf *b, enum frame_type type, uint16_t channel, const void *payload, uint32_t len);
/* Looks at the front of b: 1 and *ret_f when a whole frame is there (drop it with buf_consume(b, FRAME_HDR + f.len)),
 * 0 when more bytes are needed, -EPROTO on an unknown type, flags, or an oversized length. */
int frame_peek(const struct buf *b, struct frame *ret_f);

/* Typed payloads; the get_* check the length (-EPROTO). */
void frame_put_exit(struct buf *b, uint16_t channel, uint32_t status, uint32_t sig, bool oom);
int frame_get_exit(const struct frame *f, uint32_t *ret_status, uint32_t *ret_sig, bool *ret_oom);
void frame_put_resize(struct buf *b, uint16_t channel, uint16_t rows, uint16_t cols);
int frame_get_resize(const struct frame *f, uint16_t *ret_rows, uint16_t *ret_cols);
void frame_put_u32(struct buf *b, enum frame_type type, uint16_t channel, uint32_t v); /* SIGNAL, STARTED */
int frame_get_u32(const struct frame *f, uint32_t *ret);
void frame_put_credit(struct buf *b, uint16_t channel, enum frame_type stream, uint32_t bytes);
int frame_get_credit(const struct frame *f, enum frame_type *ret_stream, uint32_t *ret_bytes);
void frame_put_error(struct buf *b, uint16_t channel, const struct err *err);
int frame_get_error(const struct frame *f, struct err *ret);
