/* snapshot_ram: guest RAM to files, whole or what has changed, and changes merged into a whole. See snapshot.h. */
#include <unistd.h>

#include "snapshot.h"
#include "sum.h"

#define RAM_MAGIC  "BERTHRAM"
#define DIFF_MAGIC "BERTHDIF"
#define PAGE       SNAPSHOT_PAGE
#define PIECE      (1u << 20)
#define RUNS_PIECE 4096u

static bool is_zero(const uint8_t *page) { return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0; }

static int write_at(int fd, const void *p, uint64_t n, uint64_t offset)
{
	const uint8_t *b = p;

	while (n > 0) {
		ssize_t got = pwrite(fd, b, MIN(n, (uint64_t)PIECE), (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		b += got;
		offset += (uint64_t)got;
		n -= (uint64_t)got;
	}
	return 0;
}

/* 0; -ENODATA: the file ends before. */
static int read_at(int fd, void *p, size_t n, uint64_t offset)
{
	uint8_t *b = p;

	if (offset > INT64_MAX - n)
		return -ENODATA;
	while (n > 0) {
		ssize_t got = pread(fd, b, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -ENODATA;
		b += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

static const uint8_t *host_of(const struct vmm_mem *m)
{
	const struct vmm_mem_region *r;

	(void)vmm_mem_regions(m, &r);
	return r[0].host; /* the regions are one mapping, in the order of the file */
}

/* ---- the page behind a whole memory ---- */

static uint64_t sum_tail(const struct ram_tail *t)
{
	struct ram_tail copy = *t;
	struct sum h;

	copy.sum = 0;
	sum_init(&h);
	sum_add(&h, &copy, sizeof(copy));
	return sum_end(&h);
}

static int write_tail(int fd, uint64_t mem_bytes, const struct snapshot_id *id)
{
	struct ram_tail t = { .version = SNAPSHOT_VERSION, .id = *id, .mem_bytes = mem_bytes };

	memcpy(t.magic, RAM_MAGIC, sizeof(t.magic));
	t.sum = sum_tail(&t);
	return write_at(fd, &t, sizeof(t), mem_bytes);
}

static int read_tail(int fd, uint64_t mem_bytes, struct ram_tail *ret, struct err *e)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "memory file: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, EBADMSG, "memory file: not a regular file");
	if (st.st_size < 0 || (uint64_t)st.st_size != mem_bytes + PAGE)
		return err_set(e, EBADMSG, "memory file: %lld bytes, expected %llu: cut off, or of another VM",
			       (long long)st.st_size, (unsigned long long)(mem_bytes + PAGE));
	r = read_at(fd, ret, sizeof(*ret), mem_bytes);
	if (r < 0)
		return err_set(e, -r, "memory file: %s", strerror(-r));
	if (memcmp(ret->magic, RAM_MAGIC, sizeof(ret->magic)) != 0 || sum_tail(ret) != ret->sum)
		return err_set(e, EBADMSG, "memory file: incomplete or damaged: its last page is not that of a guest's memory");
	if (ret->version != SNAPSHOT_VERSION)
		return err_set(e, EBADMSG, "memory file: version %u, this program reads %u", ret->version, SNAPSHOT_VERSION);
	if (ret->mem_bytes != mem_bytes)
		return err_set(e, EBADMSG, "memory file: of a guest with %llu bytes", (unsigned long long)ret->mem_bytes);
	return 0;
}

int ram_check(int fd, uint64_t mem_bytes, const struct snapshot_id *id, struct err *e)
{
	struct ram_tail t;
	int r = read_tail(fd, mem_bytes, &t, e);

	if (r < 0)
		return r;
	return memcmp(&t.id, id, sizeof(*id)) == 0
		       ? 0
		       : err_set(e, EBADMSG,
				 "memory file: of another snapshot than the state file (is a diff to be merged first?)");
}

/* ---- whole ---- */

/* [from, to) without its zero pages. */
static int write_extent(const uint8_t *host, uint64_t from, uint64_t to, int fd, uint64_t *bytes)
{
	int r = 0;

	while (r >= 0 && from < to) {
		uint64_t end = from;

		while (end < to && end - from < PIECE && !is_zero(host + end))
			end += PAGE;
		if (end > from)
			r = write_at(fd, host + from, end - from, from);
		*bytes += end - from;
		from = end > from ? end : from + PAGE;
	}
	return r;
}

/* What the host has given the guest memory for: [*from, *to) from offset at on. false: nothing more. A private mapping's file
 * does not tell, and is looked at whole. */
static bool next_extent(const struct vmm_mem *m, uint64_t at, uint64_t *from, uint64_t *to)
{
	uint64_t bytes = vmm_mem_used_bytes(m);
	off_t data, hole;

	if (at >= bytes)
		return false;
	*from = at;
	*to = bytes;
	if (vmm_mem_fd(m) < 0)
		return true;
	data = lseek(vmm_mem_fd(m), (off_t)at, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return false;
	if (data < 0) /* no file system of ours, but then all is data */
		return true;
	hole = lseek(vmm_mem_fd(m), data, SEEK_HOLE);
	*from = (uint64_t)data / PAGE * PAGE;
	*to = hole < 0 ? bytes : MIN(bytes, ((uint64_t)hole + PAGE - 1) / PAGE * PAGE);
	return *from < bytes;
}

int ram_write_full(const struct vmm_mem *m, const struct snapshot_id *id, int fd, uint64_t *ret_bytes, struct err *e)
{
	uint64_t bytes = vmm_mem_bytes(m), written = 0, from, to = 0;
	int r = ftruncate(fd, (off_t)(bytes + PAGE)) < 0 ? -errno : 0;

	while (r >= 0 && next_extent(m, to, &from, &to))
		r = write_extent(host_of(m), from, to, fd, &written);
	if (r >= 0)
		r = write_tail(fd, bytes, id);
	if (r < 0)
		return err_set(e, -r, "memory file: %s, after %llu MiB", strerror(-r), (unsigned long long)(written >> 20));
	*ret_bytes = written;
	return 0;
}

/* ---- what has changed ---- */

static void sum_diff(const struct diff_head *h, struct sum *s)
{
	struct diff_head copy = *h;

	copy.sum = 0;
	sum_init(s);
	sum_add(s, &copy, sizeof(copy));
}

static uint64_t data_start(uint64_t n_runs) { return PAGE + (n_runs * sizeof(struct diff_run) + PAGE - 1) / PAGE * PAGE; }

static void find_runs(const struct vmm_mem *m, const uint64_t *written, struct buf *runs)
{
	const uint8_t *host = host_of(m);
	uint64_t pages = vmm_mem_bytes(m) / PAGE;
	struct diff_run run = { 0 };

	for (uint64_t i = 0; i < pages && !runs->failed; i++) {
		bool zero;

		if (i % 64 == 0 && !written[i / 64]) {
			i += 63;
			continue;
		}
		if (!(written[i / 64] >> i % 64 & 1))
			continue;
		zero = is_zero(host + i * PAGE);
		if (run.n && run.page + run.n == i && run.is_zero == zero && run.n < UINT32_MAX) {
			run.n++;
			continue;
		}
		if (run.n)
			buf_add(runs, &run, sizeof(run));
		run = (struct diff_run){ i, 1, zero };
	}
	if (run.n)
		buf_add(runs, &run, sizeof(run));
}

int ram_write_diff(const struct vmm_mem *m, const struct snapshot_id *id, const struct snapshot_track *t, int fd,
		   uint64_t *ret_bytes, struct err *e)
{
	_cleanup_buf_ struct buf runs = { NULL };
	struct diff_head h = { .version = SNAPSHOT_VERSION, .id = *id, .base = t->base, .mem_bytes = vmm_mem_bytes(m) };
	struct sum s;
	uint64_t at, start;
	int r;

	find_runs(m, t->written, &runs);
	if (runs.failed)
		return err_set(e, ENOMEM, "memory file: out of memory for its list of pages");
	memcpy(h.magic, DIFF_MAGIC, sizeof(h.magic));
	h.n_runs = runs.len / sizeof(struct diff_run);
	sum_diff(&h, &s);
	if (runs.len)
		sum_add(&s, runs.data, runs.len);
	h.sum = sum_end(&s);
	at = start = data_start(h.n_runs);
	r = runs.len ? write_at(fd, runs.data, runs.len, PAGE) : 0;
	for (size_t i = 0; r >= 0 && runs.data && i < h.n_runs; i++) {
		struct diff_run run;

		memcpy(&run, runs.data + i * sizeof(run), sizeof(run));
		if (run.is_zero)
			continue;
		r = write_at(fd, host_of(m) + run.page * PAGE, (uint64_t)run.n * PAGE, at);
		at += (uint64_t)run.n * PAGE;
	}
	if (r >= 0 && ftruncate(fd, (off_t)at) < 0)
		r = -errno;
	if (r >= 0) /* last: without it the file is nothing */
		r = write_at(fd, &h, sizeof(h), 0);
	if (r < 0)
		return err_set(e, -r, "memory file: %s, after %llu MiB", strerror(-r), (unsigned long long)((at - start) >> 20));
	*ret_bytes = at - start;
	return 0;
}

/* ---- merging ---- */

struct merge {
	int diff_fd, ram_fd;
	struct diff_head h;
	uint8_t *piece; /* PIECE bytes */
};

/* Calls fn for each run, in pieces. Sums what it reads, where asked. */
static int each_run(const struct merge *g, struct sum *sum, int (*fn)(const struct merge *, const struct diff_run *, void *),
		    void *arg)
{
	_cleanup_free_ struct diff_run *runs = calloc(RUNS_PIECE, sizeof(*runs));
	int r = runs ? 0 : -ENOMEM;

	for (uint64_t i = 0; r >= 0 && i < g->h.n_runs;) {
		size_t n = (size_t)MIN(g->h.n_runs - i, (uint64_t)RUNS_PIECE);

		r = read_at(g->diff_fd, runs, n * sizeof(*runs), PAGE + i * sizeof(*runs));
		if (r >= 0 && sum)
			sum_add(sum, runs, n * sizeof(*runs));
		for (size_t k = 0; r >= 0 && k < n; k++)
			r = fn(g, &runs[k], arg);
		i += n;
	}
	return r;
}

struct survey {
	uint64_t next_page, data_bytes;
};

static int survey_run(const struct merge *g, const struct diff_run *run, void *arg)
{
	struct survey *s = arg;
	uint64_t pages = g->h.mem_bytes / PAGE;

	if (run->n == 0 || run->is_zero > 1 || run->page < s->next_page || run->page >= pages || run->n > pages - run->page)
		return -EBADMSG;
	s->next_page = run->page + run->n;
	s->data_bytes += run->is_zero ? 0 : (uint64_t)run->n * PAGE;
	return 0;
}

static int open_diff(struct merge *g, struct err *e)
{
	struct survey s = { 0, 0 };
	struct sum sum;
	struct stat st;
	int r;

	if (fstat(g->diff_fd, &st) < 0)
		return err_set(e, errno, "diff file: %s", strerror(errno));
	r = read_at(g->diff_fd, &g->h, sizeof(g->h), 0);
	if (r < 0 || memcmp(g->h.magic, DIFF_MAGIC, sizeof(g->h.magic)) != 0)
		return err_set(e, EBADMSG, "diff file: incomplete, or not a list of a guest's changed pages");
	if (g->h.version != SNAPSHOT_VERSION)
		return err_set(e, EBADMSG, "diff file: version %u, this program reads %u", g->h.version, SNAPSHOT_VERSION);
	if (g->h.mem_bytes == 0 || g->h.mem_bytes > VMM_MEM_MAX || g->h.mem_bytes % PAGE || g->h.n_runs > g->h.mem_bytes / PAGE)
		return err_set(e, EBADMSG, "diff file: damaged: impossible sizes");
	sum_diff(&g->h, &sum);
	r = each_run(g, &sum, survey_run, &s);
	if (r < 0 && r != -EBADMSG && r != -ENODATA)
		return err_set(e, -r, "diff file: %s", strerror(-r));
	if (r < 0 || sum_end(&sum) != g->h.sum)
		return err_set(e, EBADMSG, "diff file: damaged: its list of pages");
	if (st.st_size < 0 || (uint64_t)st.st_size != data_start(g->h.n_runs) + s.data_bytes)
		return err_set(e, EBADMSG, "diff file: cut off, or too long");
	return 0;
}

/* A hole is zero, and takes no room. */
static int put_zeros(const struct merge *g, uint64_t offset, uint64_t n)
{
	int r = 0;

	if (fallocate(g->ram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)n) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	memset(g->piece, 0, PIECE);
	for (; r >= 0 && n > 0; offset += MIN(n, (uint64_t)PIECE), n -= MIN(n, (uint64_t)PIECE))
		r = write_at(g->ram_fd, g->piece, MIN(n, (uint64_t)PIECE), offset);
	return r;
}

static int apply_run(const struct merge *g, const struct diff_run *run, void *arg)
{
	uint64_t *at = arg, offset = run->page * PAGE, n = (uint64_t)run->n * PAGE;
	int r = 0;

	if (run->is_zero)
		return put_zeros(g, offset, n);
	while (r >= 0 && n > 0) {
		size_t k = (size_t)MIN(n, (uint64_t)PIECE);

		r = read_at(g->diff_fd, g->piece, k, *at);
		if (r >= 0)
			r = write_at(g->ram_fd, g->piece, k, offset);
		*at += k;
		offset += k;
		n -= k;
	}
	return r;
}

/* In the middle of a merge the last page says that the file is nothing; the tail comes when all else is on the disk. A merge that was
 * cut off leaves a file that is refused; who made it copies the base anew. */
static int apply_diff(const struct merge *g, bool is_fleeting)
{
	static const struct ram_tail nothing;
	uint64_t at = data_start(g->h.n_runs);
	int r = write_at(g->ram_fd, &nothing, sizeof(nothing), g->h.mem_bytes);

	if (r >= 0 && !is_fleeting)
		r = fsync(g->ram_fd) < 0 ? -errno : 0;
	if (r >= 0)
		r = each_run(g, NULL, apply_run, &at);
	if (r >= 0 && !is_fleeting)
		r = fsync(g->ram_fd) < 0 ? -errno : 0;
	if (r >= 0)
		r = write_tail(g->ram_fd, g->h.mem_bytes, &g->h.id);
	if (r >= 0 && !is_fleeting)
		r = fsync(g->ram_fd) < 0 ? -errno : 0;
	return r;
}

int ram_check_diff(int fd, struct diff_head *ret, struct err *e)
{
	struct merge g = { .diff_fd = fd };
	int r = read_at(fd, &g.h, sizeof(g.h.magic), 0);

	if (r < 0 || memcmp(g.h.magic, DIFF_MAGIC, sizeof(g.h.magic)) != 0)
		return 0;
	r = open_diff(&g, e);
	if (r < 0)
		return r;
	*ret = g.h;
	return 1;
}

int vmm_snapshot_merge(int diff_fd, int ram_fd, bool is_fleeting, struct err *e)
{
	_cleanup_free_ uint8_t *piece = malloc(PIECE);
	struct merge g = { .diff_fd = diff_fd, .ram_fd = ram_fd, .piece = piece };
	struct ram_tail t;
	int r = piece ? open_diff(&g, e) : err_set(e, ENOMEM, "out of memory");

	if (r >= 0)
		r = read_tail(ram_fd, g.h.mem_bytes, &t, e);
	if (r < 0)
		return r;
	if (memcmp(&t.id, &g.h.base, sizeof(t.id)) != 0)
		return err_set(e, EINVAL, "diff file: its base is another snapshot than this memory file's");
	r = apply_diff(&g, is_fleeting);
	return r < 0 ? err_set(e, -r, "memory file: %s: the merge is incomplete, and the file is no snapshot's any more",
			       strerror(-r))
		     : 0;
}
