/* `berth-transfer diff`: the list of changes (files_diff.h), found here or sent by a guest, as lines. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files_diff.h"
#include "files_main.h"
#include "unpack_private.h"

#define PIECE (64u << 10)

struct list {
	struct file_sink base;
	struct buf out;
	bool is_terminal;
};

static int flush(struct list *l, struct err *e)
{
	int r = l->out.failed ? -ENOMEM : l->out.len ? fd_write_full(FILES_TAR_FD, l->out.data, l->out.len) : 0;

	l->out.len = 0;
	return r < 0 ? err_set(e, -r, "write the list: %s", strerror(-r)) : 0;
}

static int put_line(struct file_sink *s, const struct file_node *n, struct err *e)
{
	struct list *l = container_of(s, struct list, base);
	size_t from = l->out.len + strlen("A /");

	if (!*n->path)
		return err_set(e, EPROTO, "a change without a name");
	buf_fmt(&l->out, "%c /%s\n", (char)n->mode, n->path);
	for (size_t i = from; l->is_terminal && !l->out.failed && i + 1 < l->out.len; i++) { /* a name must not drive it (R21) */
		char *p = (char *)l->out.data + i;
		*p = (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p;
	}
	return l->out.len < PIECE ? 0 : flush(l, e);
}

static int list_own(const struct files_options *o, struct list *l, struct err *e)
{
	struct upper u = { .fd = FILES_ROOT_FD, .lower = FILES_LOWER_FD, .mounts = o->mounts };
	const int readable[] = { FILES_ROOT_FD, FILES_LOWER_FD };
	int r = unpack_confine_copier(readable, ARRAY_SIZE(readable), -1, true, e);

	return r < 0 ? r : files_diff(&u, &l->base, e);
}

int diff_files(const struct files_options *o, struct json_object *answer _unused_, struct err *e)
{
	struct list l = { .base = { .put = put_line }, .is_terminal = isatty(FILES_TAR_FD) }; /* what is confined can't ask */
	int r = o->is_stream ? files_from_guest(STREAM_CHANGES, &l.base, e) : list_own(o, &l, e);

	if (r == 0)
		r = flush(&l, e);
	buf_done(&l.out);
	return r;
}
