/* guest_io: how quickly a guest's devices are, told from inside, where there is nothing but busybox. For tests/bench/vmm_io.py.
 *
 *   guest_io read|write DEVICE BYTES SECONDS [random]   requests of BYTES each past the page cache, one at a time: in order, or anywhere
 *   guest_io send|receive ADDRESS PORT SECONDS          TCP: a stream for so long
 *   guest_io ask ADDRESS PORT SECONDS                   TCP: a byte there, a byte back
 *
 * Prints one line: "N times, B bytes, S seconds", S with what the last one took; or "failed: why". */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#define PIECE (128u << 10) /* of a stream */

static void fail(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One request; -> bytes moved, 0: there is no more. */
struct work {
	int fd;
	char *buf;
	size_t bytes;
	uint64_t places, next; /* of a disk, in requests */
	int is_random;
};

static ssize_t disk(struct work *w, int is_write)
{
	off_t at = (off_t)((w->is_random ? (uint64_t)random() : w->next++) % w->places * w->bytes);

	return is_write ? pwrite(w->fd, w->buf, w->bytes, at) : pread(w->fd, w->buf, w->bytes, at);
}
static ssize_t do_read(struct work *w) { return disk(w, 0); }
static ssize_t do_write(struct work *w) { return disk(w, 1); }
static ssize_t do_send(struct work *w) { return write(w->fd, w->buf, w->bytes); }
static ssize_t do_receive(struct work *w) { return read(w->fd, w->buf, w->bytes); }
static ssize_t do_ask(struct work *w) { return write(w->fd, w->buf, 1) == 1 ? read(w->fd, w->buf, 1) : -1; }

static const struct mode {
	const char *name;
	int is_disk, flags;
	ssize_t (*fn)(struct work *w);
} modes[] = {
	{ "read", 1, O_RDONLY, do_read }, { "write", 1, O_RDWR, do_write }, { "send", 0, 0, do_send },
	{ "receive", 0, 0, do_receive },  { "ask", 0, 0, do_ask },
};

static void open_disk(struct work *w, const struct mode *m, char **argv)
{
	uint64_t size = 0;

	w->bytes = strtoul(argv[3], NULL, 10);
	w->fd = open(argv[2], m->flags | O_DIRECT | O_CLOEXEC);
	if (w->fd < 0 || ioctl(w->fd, BLKGETSIZE64, &size) < 0)
		fail(argv[2]);
	w->places = w->bytes ? size / w->bytes : 0;
	if (!w->places || posix_memalign((void **)&w->buf, 4096, w->bytes))
		fail("no room for one request");
	memset(w->buf, 0x5a, w->bytes);
}

static void open_stream(struct work *w, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10)) };
	int one = 1;

	w->bytes = PIECE;
	w->buf = calloc(1, PIECE);
	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!w->buf || w->fd < 0 || inet_pton(AF_INET, argv[2], &a.sin_addr) != 1 ||
	    connect(w->fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		fail(argv[2]);
}

int main(int argc, char **argv)
{
	const struct mode *m = modes;
	struct work w = { .is_random = argc == 6 && strcmp(argv[5], "random") == 0 };
	uint64_t n = 0, bytes = 0;
	double began, took, seconds;

	if (argc != 5 && !w.is_random)
		return fprintf(stderr, "usage: guest_io MODE PLACE NUMBER SECONDS [random]\n"), 2;
	while (m < modes + sizeof(modes) / sizeof(modes[0]) && strcmp(m->name, argv[1]) != 0)
		m++;
	if (m == modes + sizeof(modes) / sizeof(modes[0]))
		return fprintf(stderr, "guest_io: no mode %s\n", argv[1]), 2;
	seconds = strtod(argv[4], NULL);
	if (m->is_disk)
		open_disk(&w, m, argv);
	else
		open_stream(&w, argv);
	began = now();
	do {
		ssize_t got = m->fn(&w);

		if (got <= 0)
			fail(argv[1]);
		n++;
		bytes += (uint64_t)got;
		took = now() - began;
	} while (took < seconds);
	printf("%llu times, %llu bytes, %.6f seconds\n", (unsigned long long)n, (unsigned long long)bytes, took);
	return 0;
}
