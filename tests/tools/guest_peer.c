/* guest_peer: one end of a stream inside of a test's guest, which has nothing but busybox: TCP or vsock, a pattern of bytes that both
 * ends know, checked by CRC-32. Linked static.
 *
 *   guest_peer tcp|vsock connect HOST PORT ACTION...     HOST: an IPv4 address or a CID
 *   guest_peer tcp|vsock listen PORT ACTION...           one connection
 *   guest_peer feature DEVICE NAME on|off                what ethtool -K does
 *
 *   ACTION   send N     sends N bytes of the pattern and no more, then reads to the end
 *            receive    reads to the end, and closes
 *            echo       sends back what it reads, to the end
 *            trade N    sends N bytes and reads N, both at once, and waits until the other end has closed: it has them all then
 *
 * Prints one line: "sent N CRC received N CRC", or "failed: why". */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 65521u /* of the pattern, which repeats; a prime, so that no packet size divides it */

struct sum {
	uint64_t n;
	uint32_t crc;
};
static uint32_t table[256];
static uint8_t block[BLOCK];

static void fail(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
		table[i] = c;
	}
	for (uint32_t i = 0; i < BLOCK; i++)
		block[i] = (uint8_t)(i * 7 + (i >> 8));
}

static void add(struct sum *s, const uint8_t *p, size_t n)
{
	uint32_t c = ~s->crc;

	s->n += n;
	for (size_t i = 0; i < n; i++)
		c = table[(c ^ p[i]) & 0xff] ^ c >> 8;
	s->crc = ~c;
}

/* ---- the socket ---- */

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_vm vm;
};

static socklen_t address(bool is_vsock, const char *host, const char *port, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (is_vsock) {
		ret->vm.svm_family = AF_VSOCK;
		ret->vm.svm_cid = host ? (unsigned)strtoul(host, NULL, 10) : VMADDR_CID_ANY;
		ret->vm.svm_port = (unsigned)strtoul(port, NULL, 10);
		return sizeof(ret->vm);
	}
	ret->in.sin_family = AF_INET;
	ret->in.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (host && inet_pton(AF_INET, host, &ret->in.sin_addr) != 1)
		fail(host);
	return sizeof(ret->in);
}

static int dial(bool is_vsock, const char *host, const char *port)
{
	union address a;
	socklen_t n = address(is_vsock, host, port, &a);
	int s = socket(is_vsock ? AF_VSOCK : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		fail("socket");
	if (connect(s, &a.any, n) < 0)
		fail("connect");
	return s;
}

static int take(bool is_vsock, const char *port)
{
	union address a;
	socklen_t n = address(is_vsock, NULL, port, &a);
	int s = socket(is_vsock ? AF_VSOCK : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), c;

	if (s < 0)
		fail("socket");
	if (bind(s, &a.any, n) < 0 || listen(s, 1) < 0)
		fail("listen");
	c = accept(s, NULL, NULL);
	if (c < 0)
		fail("accept");
	close(s);
	return c;
}

/* ---- actions ---- */

static void write_all(int s, const uint8_t *p, size_t n, struct sum *sent)
{
	add(sent, p, n);
	while (n > 0) {
		ssize_t k = write(s, p, n);

		if (k < 0)
			fail("write");
		p += k;
		n -= (size_t)k;
	}
}

/* false: the end. */
static bool read_some(int s, struct sum *got, bool is_echo, struct sum *sent)
{
	static uint8_t buf[65536];
	ssize_t n = read(s, buf, sizeof(buf));

	if (n < 0)
		fail("read");
	add(got, buf, (size_t)n);
	if (is_echo)
		write_all(s, buf, (size_t)n, sent);
	return n > 0;
}

static void send_pattern(int s, uint64_t n, struct sum *sent)
{
	while (sent->n < n) {
		uint64_t left = n - sent->n;

		write_all(s, block, left < BLOCK ? (size_t)left : BLOCK, sent);
	}
}

static void trade(int s, uint64_t n, struct sum *sent, struct sum *got)
{
	while (sent->n < n || got->n < n) {
		struct pollfd p = { .fd = s, .events = (short)((sent->n < n ? POLLOUT : 0) | (got->n < n ? POLLIN : 0)) };

		if (poll(&p, 1, -1) < 0)
			fail("poll");
		if (p.revents & POLLIN && !read_some(s, got, false, NULL))
			break;
		if (p.revents & POLLOUT && sent->n < n) {
			size_t at = (size_t)(sent->n % BLOCK), left = BLOCK - at;
			ssize_t k = send(s, block + at, n - sent->n < left ? (size_t)(n - sent->n) : left, MSG_DONTWAIT);

			if (k < 0 && errno != EAGAIN)
				fail("send");
			if (k > 0)
				add(sent, block + at, (size_t)k);
		}
	}
}

static int act(int s, char **argv)
{
	struct sum sent = { 0 }, got = { 0 };
	uint64_t n = argv[1] ? strtoull(argv[1], NULL, 10) : 0;

	if (strcmp(argv[0], "send") == 0) {
		send_pattern(s, n, &sent);
		if (shutdown(s, SHUT_WR) < 0)
			fail("shutdown");
	}
	if (strcmp(argv[0], "trade") == 0) {
		trade(s, n, &sent, &got);
		if (shutdown(s, SHUT_WR) < 0)
			fail("shutdown");
		while (read_some(s, &got, false, NULL))
			;
	} else {
		while (read_some(s, &got, strcmp(argv[0], "echo") == 0, &sent))
			;
	}
	close(s);
	printf("sent %llu %08x received %llu %08x\n", (unsigned long long)sent.n, sent.crc, (unsigned long long)got.n, got.crc);
	return 0;
}

/* ---- ethtool -K ---- */

static int set_feature(const char *device, const char *name, bool is_on)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t count;
	} sizes = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES } };
	struct ifreq ifr = { 0 };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_gstrings *names;
	struct ethtool_sfeatures *set;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", device);
	ifr.ifr_data = (void *)&sizes;
	if (ioctl(s, SIOCETHTOOL, &ifr) < 0)
		fail(device);
	names = calloc(1, sizeof(*names) + (size_t)sizes.count * ETH_GSTRING_LEN);
	set = calloc(1, sizeof(*set) + (sizes.count + 31) / 32 * sizeof(set->features[0]));
	if (!names || !set)
		fail("memory");
	*names = (struct ethtool_gstrings){ .cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = sizes.count };
	ifr.ifr_data = (void *)names;
	if (ioctl(s, SIOCETHTOOL, &ifr) < 0)
		fail("names of features");
	set->cmd = ETHTOOL_SFEATURES;
	set->size = (sizes.count + 31) / 32;
	for (uint32_t i = 0; i < sizes.count; i++)
		if (strncmp((const char *)names->data + (size_t)i * ETH_GSTRING_LEN, name, ETH_GSTRING_LEN) == 0) {
			set->features[i / 32].valid |= 1u << i % 32;
			set->features[i / 32].requested |= (uint32_t)is_on << i % 32;
		}
	ifr.ifr_data = (void *)set;
	if (ioctl(s, SIOCETHTOOL, &ifr) < 0)
		fail(name);
	printf("%s %s\n", name, is_on ? "on" : "off");
	return 0;
}

int main(int argc, char **argv)
{
	bool is_vsock;

	init();
	if (argc == 5 && strcmp(argv[1], "feature") == 0)
		return set_feature(argv[2], argv[3], strcmp(argv[4], "on") == 0);
	if (argc < 5)
		return 2;
	is_vsock = strcmp(argv[1], "vsock") == 0;
	if (strcmp(argv[2], "connect") == 0 && argc >= 6)
		return act(dial(is_vsock, argv[3], argv[4]), argv + 5);
	return act(take(is_vsock, argv[3]), argv + 4);
}
