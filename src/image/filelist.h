/* filelist: what a layer held when it was unpacked, one line an entry in the order of its tar: ROOT/layers/CHAINHEX/files.
 *
 *   TYPE MODE UID GID SIZE SHA256 PATH[<tab>TARGET]
 *
 * TYPE: f file, s sparse file, d directory, l symlink, h hard link, c b p device or FIFO, w whiteout, o the directory is opaque,
 * x: what stood at PATH, and below it, was removed by a later entry; only until the layer is installed, i: a directory without an
 * entry of its own, whose mode and owner are those of the layers below, then d. MODE is octal; SIZE of c and b is MAJOR:MINOR; TARGET is of
 * l and h; SHA256 (hex, "-" where there is none) covers a file's bytes; of a sparse one those 4096-byte blocks that are not all
 * zero, each behind its offset as 8 bytes little-endian, so that holes cost nothing on either side. Backslash, tab and newline in
 * paths are \ooo. Later lines override earlier ones for the same path.
 *
 * Written by the unpacker (bytes pass through it anyway), read by store_check. */
#pragma once

#include "image.h"

#define FILELIST_BLOCK 4096

struct file_hash {
	struct sha256_ctx sha;
	bool is_sparse;
	uint64_t block; /* sparse: offset of the block being filled */
	uint8_t fill[FILELIST_BLOCK];
	bool is_dirty; /* fill holds data */
};
void file_hash_init(struct file_hash *h, bool is_sparse);
/* off: of p in the file; must not go back. A file that is not sparse is given without gaps. */
void file_hash_add(struct file_hash *h, uint64_t off, const void *p, size_t n);
void file_hash_finish(struct file_hash *h, char ret_hex[65]);

struct file_line {
	char type;
	uint32_t mode, uid, gid;
	uint64_t size;             /* c, b: the dev_t */
	const char *sha;           /* hex or NULL */
	const char *path, *target; /* target NULL but for l and h */
};
void file_line_add(struct buf *b, const struct file_line *l);
/* Parses one line without its newline, in place (text is changed; l points into it). -EBADMSG. */
int file_line_parse(char *text, struct file_line *ret);
