/* net_serve: the other end of guest_io's streams, for tests/bench/network_speed.py.
 *
 *   net_serve ADDRESS PORT   takes what is sent at PORT, sends at PORT + 1 and gives each byte back at PORT + 2, until it is killed
 *   net_serve address        prints eth0's IPv4 address */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 128 << 10 };

static void fail(const char *what)
{
	fprintf(stderr, "net_serve: %s: %s\n", what, strerror(errno));
	exit(1);
}

static ssize_t take(int fd, char *buf) { return read(fd, buf, PIECE); }
static ssize_t give(int fd, char *buf) { return write(fd, buf, PIECE); }
static ssize_t give_back(int fd, char *buf)
{
	const ssize_t n = read(fd, buf, PIECE);

	return n > 0 ? write(fd, buf, (size_t)n) : n;
}

/* One connection after the other. */
static void serve(const char *address, uint16_t port, ssize_t (*turn)(int fd, char *buf))
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	const int on = 1, s = socket(AF_INET, SOCK_STREAM, 0);
	char *buf = calloc(1, PIECE);

	if (!buf || s < 0 || inet_pton(AF_INET, address, &a.sin_addr) != 1 ||
	    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(s, 8) < 0)
		fail(address);
	for (;;) {
		const int c = accept(s, NULL, NULL);

		if (c < 0 || setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
			fail("accept");
		while (turn(c, buf) > 0)
			;
		close(c);
	}
}

static int print_address(void)
{
	struct ifreq q = { .ifr_name = "eth0" };
	struct sockaddr_in a;
	const int s = socket(AF_INET, SOCK_DGRAM, 0);

	if (s < 0 || ioctl(s, SIOCGIFADDR, &q) < 0)
		fail("eth0");
	memcpy(&a, &q.ifr_addr, sizeof(a));
	puts(inet_ntoa(a.sin_addr));
	return 0;
}

int main(int argc, char **argv)
{
	ssize_t (*const turns[])(int, char *) = { take, give, give_back };

	if (argc == 2 && strcmp(argv[1], "address") == 0)
		return print_address();
	if (argc != 3)
		return fprintf(stderr, "usage: net_serve ADDRESS PORT | address\n"), 2;
	signal(SIGPIPE, SIG_IGN);
	for (uint16_t i = 0; i < 3; i++)
		if (i == 2 || fork() == 0)
			serve(argv[1], (uint16_t)(strtoul(argv[2], NULL, 10) + i), turns[i]);
	return 1;
}
