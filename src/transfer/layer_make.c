#include "layer_make.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "archive_source.h"

#define CHUNK (256u << 10)
#define LEVEL 4 /* of gzip: half of the time of 6, a few per cent larger */

/* ---- the child ---- */

_noreturn_ static void child_main(layer_fill *fill, void *arg, bool is_overlay, int tarfd, int reportfd)
{
	struct err e = { 0 };
	struct tar_sink t;
	int r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? err_set(&e, errno, "prctl: %s", strerror(errno))
						     : tar_sink_init(&t, tarfd, &e);

	if (r == 0) {
		t.is_layer = is_overlay;
		r = fill(&t, arg, &e);
		if (r == 0)
			r = tar_sink_finish(&t, &e);
	}
	if (r < 0 && !e.no)
		err_set(&e, -r, "failed without saying why");
	/* A report that can't be written is told by its absence. */
	_exit(fd_write_full(reportfd, &e, sizeof(e)) < 0 || e.no);
}

static pid_t start_child(layer_fill *fill, void *arg, bool is_overlay, int *ret_tarfd, int *ret_reportfd, struct err *e)
{
	int tar[2], report[2];

	if (pipe2(tar, O_CLOEXEC) < 0)
		return err_set(e, errno, "make a pipe: %s", strerror(errno));
	if (pipe2(report, O_CLOEXEC) < 0) {
		int no = errno;
		fd_close(tar[0]);
		fd_close(tar[1]);
		return err_set(e, no, "make a pipe: %s", strerror(no));
	}
	fcntl(tar[0], F_SETPIPE_SZ, 1 << 20); /* fewer switches; the default size works, too */
	pid_t pid = fork();
	if (pid == 0) {
		fd_close(tar[0]);
		fd_close(report[0]);
		child_main(fill, arg, is_overlay, tar[1], report[1]);
	}
	int no = errno;
	fd_close(tar[1]);
	fd_close(report[1]);
	if (pid < 0) {
		fd_close(tar[0]);
		fd_close(report[0]);
		return err_set(e, no, "fork: %s", strerror(no));
	}
	*ret_tarfd = tar[0];
	*ret_reportfd = report[0];
	return pid;
}

/* What the child found goes before what its silence made of the tar. r: how the packing went, e its reason. */
static int judge(pid_t pid, int reportfd, int r, struct err *e)
{
	struct err said = { 0 };
	ssize_t n = fd_read_full(reportfd, &said, sizeof(said));
	int status;

	spawn_wait(pid, &status);
	if (n != (ssize_t)sizeof(said))
		return r < 0 ? r : err_set(e, EIO, "the process that reads the files was killed (out of memory or time)");
	if (said.no && !(said.no == EPIPE && r < 0)) {
		*e = said;
		return -said.no;
	}
	return r;
}

/* ---- tar -> gzip ---- */

struct pack {
	int fd; /* of the blob */
	z_stream z;
	struct sha256_ctx raw, packed;
	uint64_t size; /* of the blob */
	uint8_t in[CHUNK], out[CHUNK];
	struct file_sink shown;
};

static int deflate_some(struct pack *p, size_t n, int how, struct err *e)
{
	p->z.next_in = p->in;
	p->z.avail_in = (unsigned)n;
	do {
		p->z.next_out = p->out;
		p->z.avail_out = sizeof(p->out);
		if (deflate(&p->z, how) == Z_STREAM_ERROR)
			return err_set(e, EIO, "zlib: the stream is broken");
		size_t k = sizeof(p->out) - p->z.avail_out;
		int r = fd_write_full(p->fd, p->out, k);
		if (r < 0)
			return err_set(e, -r, "write the layer: %s", strerror(-r));
		sha256_update(&p->packed, k, p->out);
		p->size += k;
	} while (p->z.avail_out == 0);
	return 0;
}

static int pack_all(struct pack *p, int tarfd, struct err *e)
{
	for (;;) {
		ssize_t n = fd_read_full(tarfd, p->in, sizeof(p->in));
		if (n < 0)
			return err_set(e, (int)-n, "read the tar: %s", strerror((int)-n));
		sha256_update(&p->raw, (size_t)n, p->in);
		files_progress(&p->shown, (uint64_t)n);
		int r = deflate_some(p, (size_t)n, n == 0 ? Z_FINISH : Z_NO_FLUSH, e);
		if (r < 0 || n == 0)
			return r;
		if (p->shown.bytes > unpack_limits_default.max_bytes)
			return err_set(e, E2BIG, "the layer is larger than %llu bytes",
				       (unsigned long long)unpack_limits_default.max_bytes);
	}
}

static int pack(int rootfd, int tarfd, const char *progress, struct made_layer *ret, struct err *e)
{
	_cleanup_free_ struct pack *p = calloc(1, sizeof(*p));
	struct item *i = calloc(1, sizeof(*i));
	int r = 0;

	ret->item = i;
	if (!p || !i)
		return err_set(e, ENOMEM, "out of memory");
	p->shown.progress = progress;
	i->fd = p->fd = file_unnamed(rootfd, "tmp");
	if (i->fd < 0)
		return err_set(e, -i->fd, "make a file in ROOT/tmp: %s", strerror(-i->fd));
	/* 16 more: a gzip header, whose time is 0, so that the same files make the same blob. */
	if (deflateInit2(&p->z, LEVEL, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_set(e, ENOMEM, "zlib: out of memory");
	sha256_init(&p->raw);
	sha256_init(&p->packed);
	r = pack_all(p, tarfd, e);
	deflateEnd(&p->z);
	files_progress_end(&p->shown);
	sha256_finish_str(&p->raw, ret->diff_id);
	sha256_finish_str(&p->packed, i->digest);
	i->size = p->size;
	return r;
}

void made_layer_done(struct made_layer *l)
{
	if (l->item)
		fd_close(l->item->fd);
	free(l->item);
	l->item = NULL;
}

int layer_make(int rootfd, layer_fill *fill, void *arg, bool is_overlay, const char *progress, struct made_layer *ret,
	       struct err *e)
{
	int tarfd = -1, reportfd = -1, r;
	pid_t pid = start_child(fill, arg, is_overlay, &tarfd, &reportfd, e);

	*ret = (struct made_layer){ 0 };
	if (pid < 0)
		return pid;
	r = pack(rootfd, tarfd, progress, ret, e);
	fd_close(tarfd); /* a child that still writes ends with EPIPE */
	r = judge(pid, reportfd, r, e);
	fd_close(reportfd);
	return r;
}
