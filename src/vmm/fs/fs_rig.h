/* fs_rig: a guest's kernel, as the file server sees it: messages made by hand, on a directory of the test's own. Only tests include it. */
#pragma once

#include <dirent.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fs.h"
#include "tap.h"

#define ROOT FUSE_ROOT_ID

struct rig {
	struct fs *fs;
	struct fs_scratch *scratch;
	char dir[32], outside[40]; /* the tree, and a directory beside it */
	int root;                  /* of the tree */
	uint64_t unique;
	uint32_t uid, gid;
	/* The last answer: where the message was. */
	_Alignas(8) uint8_t message[FS_MESSAGE_MAX];
	ssize_t got;
	uint32_t later_tag; /* the last answer that came late, and how many did */
	unsigned n_later;
};

static inline void rig_answer(void *arg, uint32_t tag, size_t len)
{
	struct rig *r = arg;

	r->later_tag = tag;
	r->n_later++;
	is_int(len, sizeof(struct fuse_out_header));
}

static inline struct fuse_out_header rig_head(struct rig *r)
{
	struct fuse_out_header h;

	memcpy(&h, r->message, sizeof(h));
	return h;
}
#define rig_out(r, type) ((const type *)(const void *)((r)->message + sizeof(struct fuse_out_header)))

/* Sends struct `arg` and what follows it; the answer's error (0: none), or FS_LATER's -1 as 1, and no answer as 2. */
static inline int rig_send(struct rig *r, uint32_t op, uint64_t node, const void *arg, size_t arg_len, const void *more,
			   size_t more_len)
{
	struct fuse_in_header h = { .len = (uint32_t)(sizeof(h) + arg_len + more_len),
				    .opcode = op,
				    .unique = ++r->unique,
				    .nodeid = node,
				    .uid = r->uid,
				    .gid = r->gid };

	memcpy(r->message, &h, sizeof(h));
	if (arg_len)
		memmove(r->message + sizeof(h), arg, arg_len); /* arg may be the message */
	if (more_len)
		memcpy(r->message + sizeof(h) + arg_len, more, more_len);
	r->got = fs_handle(r->fs, r->scratch, (uint32_t)r->unique, r->message, h.len, r->message, sizeof(r->message));
	if (r->got <= 0)
		return r->got == FS_LATER ? 1 : 2;
	is_int(rig_head(r).unique, r->unique);
	is_int(rig_head(r).len, r->got);
	ok(rig_head(r).error <= 0 && rig_head(r).error > -512);
	return rig_head(r).error;
}
static inline int rig_name(struct rig *r, uint32_t op, uint64_t node, const void *arg, size_t arg_len, const char *name)
{
	return rig_send(r, op, node, arg, arg_len, name, strlen(name) + 1);
}
static inline int rig_init_session(struct rig *r, uint32_t flags)
{
	const struct fuse_init_in in = { .major = 7, .minor = 36, .max_readahead = 128 << 10, .flags = flags };

	return rig_send(r, FUSE_INIT, 0, &in, sizeof(in), NULL, 0);
}
/* The node of a name, or 0 */
static inline uint64_t rig_lookup(struct rig *r, uint64_t dir, const char *name)
{
	return rig_name(r, FUSE_LOOKUP, dir, NULL, 0, name) == 0 ? rig_out(r, struct fuse_entry_out)->nodeid : 0;
}
static inline uint64_t rig_open(struct rig *r, uint64_t node, int flags)
{
	const struct fuse_open_in in = { .flags = (uint32_t)flags };

	is_int(rig_send(r, FUSE_OPEN, node, &in, sizeof(in), NULL, 0), 0);
	return rig_out(r, struct fuse_open_out)->fh;
}
static inline uint64_t rig_create(struct rig *r, uint64_t dir, const char *name, uint64_t *ret_fh)
{
	const struct fuse_create_in in = { .flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644 };

	is_int(rig_name(r, FUSE_CREATE, dir, &in, sizeof(in), name), 0);
	*ret_fh = ((const struct fuse_open_out *)(const void *)(rig_out(r, struct fuse_entry_out) + 1))->fh;
	return rig_out(r, struct fuse_entry_out)->nodeid;
}
static inline int rig_write(struct rig *r, uint64_t node, uint64_t fh, uint64_t at, const char *text)
{
	const struct fuse_write_in in = { .fh = fh, .offset = at, .size = (uint32_t)strlen(text) };

	return rig_send(r, FUSE_WRITE, node, &in, sizeof(in), text, strlen(text));
}
static inline int rig_read(struct rig *r, uint64_t node, uint64_t fh, uint64_t at, uint32_t size)
{
	const struct fuse_read_in in = { .fh = fh, .offset = at, .size = size };

	return rig_send(r, FUSE_READ, node, &in, sizeof(in), NULL, 0);
}
static inline void rig_put(int dirfd, const char *name, const char *text)
{
	int fd = openat(dirfd, name, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

	ok(fd >= 0);
	is_int(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}
static inline void rig_content_is(struct rig *r, const char *name, const char *want)
{
	_cleanup_free_ char *text = NULL;

	is_int(file_read(r->root, name, 1 << 20, &text, NULL), 0);
	is_str(text, want);
}

static inline void rig_new(struct rig *r, const struct fs_config *limits)
{
	struct fs_config c = limits ? *limits : (struct fs_config){ 0 };
	struct err e = { 0 };

	*r = (struct rig){ .dir = "/tmp/berth-fs.XXXXXX" };
	ok(mkdtemp(r->dir));
	snprintf(r->outside, sizeof(r->outside), "%s/outside", r->dir);
	is_int(mkdir(r->outside, 0755), 0);
	c.root_fd = open(r->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	is_int(mkdirat(c.root_fd, "tree", 0755), 0);
	r->root = openat(c.root_fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(c.root_fd);
	ok(r->root >= 0);
	c.root_fd = r->root;
	c.proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	c.answer = rig_answer;
	c.arg = r;
	if (geteuid() == 0) /* as the server's jail does */
		(void)prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
	umask(0);
	if (fs_new(&c, &r->fs, &e) < 0)
		TAP_FAIL("%s", e.msg);
	close(c.proc_fd);
	r->scratch = fs_scratch_new();
	ok(r->scratch);
}
/* And a session */
static inline void rig_init(struct rig *r)
{
	rig_new(r, NULL);
	is_int(rig_init_session(r, UINT32_MAX), 0);
}

static inline void rig_done(struct rig *r)
{
	fs_free(r->fs);
	free(r->scratch);
	close(r->root);
	is_int(rm_rf(AT_FDCWD, r->dir), 0);
}
