/* files_stream: nodes between this host and a guest, over one pipe. All numbers are little-endian (docs/FORMATS.md).
 *
 *   head: "BFS2" | u8 flags | u8 0 | u16 len | base[len]                      once: what is copied, and what a copy is named
 *   node: u32 mode | u32 uid | u32 gid | u32 mtime_ns | i64 mtime_s | u64 size | u16 path | u16 target | u16 link | u16 xattrs,
 *         then the first three, of so many bytes, and of so many attributes each: u16 name | u32 value, then these two
 *         size: of a regular file its own, of a device major << 32 | minor, of a directory 1 where it is opaque
 *         a regular file that is no link: pieces of u64 offset | u32 len | bytes, until one of len 0
 *         a change (files_diff.h): a mode of its letter alone
 *   end:  a node of mode 0, whose size is an errno (0 = all is there) and whose path the error's text
 *
 * Paths are below the top, which is "". Either side may be hostile to the other: who reads takes no path that is not clean, no piece
 * outside of its file, no attribute that was not asked for, and nothing behind an error. */
#pragma once

#include "files.h"

struct stream_head {
	bool is_dir, is_content, is_tar; /* as of copy_place; is_tar: no top, but a tar's entries */
	char base[NAME_MAX + 1];
};
int stream_put_head(int fd, const struct stream_head *h, struct err *e);
int stream_read_head(int fd, struct stream_head *ret, struct err *e);

struct stream_sink {
	struct file_sink base;
	int fd;
	bool leaves_devices_out; /* and sockets: the other side makes none, and says nothing */
};
void stream_sink_init(struct stream_sink *s, int fd);
/* r, why: how it went. */
int stream_end(int fd, int r, const struct err *why, struct err *e);
enum stream_kind {
	STREAM_FILES,   /* of capabilities nothing but files': for `cp` */
	STREAM_LAYER,   /* with what a layer may hold: attributes, opaque marks */
	STREAM_CHANGES, /* a list of changes, and no nodes */
};
#define STREAM_NODES_MAX 2000000u /* as of a layer */
/* What is behind a head, up to the end; its error is returned; -E2BIG: more than STREAM_NODES_MAX. as: what the top is called in the sink; "" = it is no node. */
int files_unstream(int fd, enum stream_kind kind, const char *as, struct file_sink *s, struct err *e);
