/* speed_file: files in one directory, whose names are gone before anything is written. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe_speed.h"

#define CHUNK       (256u << 10)
#define PAGE        4096u
#define REPEATS_MIN 3

static int file_name(const struct speed *s, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/.berth-probe-%d", streq(s->dir, "/") ? "" : s->dir, (int)getpid());

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* An fd, or -errno. */
static int open_unnamed(const struct speed *s, char why[SPEED_REASON_BYTES])
{
	char path[PATH_MAX];
	int fd, r = file_name(s, path);

	if (r < 0)
		return speed_fails(why, s->dir, -r);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return speed_fails(why, s->dir, errno);
	if (unlink(path) == 0)
		return fd;
	r = speed_fails(why, path, errno);
	fd_close(fd);
	return r;
}

int speed_file_create(const struct speed *s, uint64_t n, uint64_t *ret_ns, char why[SPEED_REASON_BYTES])
{
	uint64_t begin = speed_now_ns();

	for (uint64_t i = 0; i < n; i++) {
		int fd = open_unnamed(s, why);
		if (fd < 0)
			return fd;
		fd_close(fd);
	}
	*ret_ns = speed_now_ns() - begin;
	return 0;
}

/* Other bytes in each chunk: what shares or compresses equal blocks has nothing to gain. */
static void fill(uint64_t *words, size_t n, uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		words[i] = x;
	}
}

/* All of the file's bytes, durable: MB/s. */
static int write_once(int fd, double *ret_mb_s, char why[SPEED_REASON_BYTES])
{
	static uint64_t chunk[CHUNK / sizeof(uint64_t)];
	uint64_t spent = 0, begin;

	for (size_t done = 0; done < SPEED_FILE_BYTES; done += CHUNK) {
		fill(chunk, ARRAY_SIZE(chunk), speed_now_ns());
		begin = speed_now_ns();
		if (pwrite(fd, chunk, CHUNK, (off_t)done) != (ssize_t)CHUNK)
			return speed_fails(why, "write 16 MiB", errno ? errno : ENOSPC);
		spent += speed_now_ns() - begin;
	}
	begin = speed_now_ns();
	if (fdatasync(fd) < 0)
		return speed_fails(why, "fdatasync", errno);
	spent += speed_now_ns() - begin;
	*ret_mb_s = SPEED_FILE_BYTES / 1e6 / ((double)MAX(spent, 1u) / 1e9);
	return 0;
}

/* The file system's cache has next to nothing of it: told by the kernel, as the advice to drop it is only that. */
static bool is_cold(int fd)
{
	static unsigned char pages[SPEED_FILE_BYTES / PAGE];
	void *p = mmap(NULL, SPEED_FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	size_t n = ARRAY_SIZE(pages), held = 0;
	bool is_known;

	if (p == MAP_FAILED)
		return false;
	is_known = mincore(p, SPEED_FILE_BYTES, pages) == 0;
	munmap(p, SPEED_FILE_BYTES);
	for (size_t i = 0; i < n; i++)
		held += pages[i] & 1;
	return is_known && held <= n / 20;
}

static int read_once(int fd, double *ret_mb_s, bool *ret_is_cold, char why[SPEED_REASON_BYTES])
{
	static char chunk[CHUNK];
	uint64_t begin;

	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* what became of it is_cold tells */
	*ret_is_cold = is_cold(fd);
	begin = speed_now_ns();
	for (size_t done = 0; done < SPEED_FILE_BYTES; done += CHUNK)
		if (pread(fd, chunk, CHUNK, (off_t)done) != (ssize_t)CHUNK)
			return speed_fails(why, "read", errno ? errno : EIO);
	*ret_mb_s = SPEED_FILE_BYTES / 1e6 / ((double)MAX(speed_now_ns() - begin, 1u) / 1e9);
	return 0;
}

static int run(const struct speed *s, bool is_read, struct speed_figure *ret, char why[SPEED_REASON_BYTES])
{
	_cleanup_fd_ int fd = open_unnamed(s, why);
	uint64_t end = speed_now_ns() + (uint64_t)(s->seconds * 1e9);
	double values[SPEED_REPEATS_MAX], first;
	bool is_cold_once, is_all_cold = true;
	size_t k = 0;
	int r = fd < 0 ? fd : 0;

	if (r >= 0 && is_read)
		r = write_once(fd, &first, why);
	for (; r >= 0 && k < SPEED_REPEATS_MAX && (k < REPEATS_MIN || speed_now_ns() < end); k++) {
		errno = 0;
		if (is_read) {
			r = read_once(fd, &values[k], &is_cold_once, why);
			is_all_cold = is_all_cold && is_cold_once;
		} else {
			r = write_once(fd, &values[k], why);
		}
	}
	if (r < 0)
		return r;
	*ret = (struct speed_figure){ speed_median(values, k), is_read ? is_all_cold ? "cold" : "cached" : NULL };
	return 0;
}

int speed_file_write(const struct speed *s, struct speed_figure *ret, char why[SPEED_REASON_BYTES])
{
	return run(s, false, ret, why);
}

int speed_file_read(const struct speed *s, struct speed_figure *ret, char why[SPEED_REASON_BYTES])
{
	return run(s, true, ret, why);
}
