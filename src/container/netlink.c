/* netlink: the little of rtnetlink(7) that moving a network device, or furnishing one, takes: requests built into one buffer, an acknowledgement each,
 * and dumps handed on message by message. Called by net_device.c, and in a guest by guest/interfaces.c. */
#include "netlink.h"

#include <sys/socket.h>
#include <unistd.h>

#include "setup.h"

int nl_open(void)
{
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };

	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

void nl_begin(struct nl_request *q, uint16_t type, uint16_t flags, const void *body, size_t n)
{
	memset(q, 0, sizeof(*q));
	q->hdr.nlmsg_type = type;
	q->hdr.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	q->hdr.nlmsg_len = (uint32_t)NLMSG_LENGTH(n);
	memcpy(NLMSG_DATA(&q->hdr), body, n);
}

void nl_attr(struct nl_request *q, uint16_t type, const void *data, size_t n)
{
	size_t at = NLMSG_ALIGN(q->hdr.nlmsg_len);
	struct rtattr a = { .rta_type = type, .rta_len = (unsigned short)RTA_LENGTH(n) };

	if (at + RTA_SPACE(n) > sizeof(*q)) {
		q->overflow = true;
		return;
	}
	memcpy((char *)q + at, &a, sizeof(a));
	if (n > 0)
		memcpy((char *)q + at + RTA_LENGTH(0), data, n);
	q->hdr.nlmsg_len = (uint32_t)(at + RTA_LENGTH(n));
}

static ssize_t nl_recv(int fd, void *buf, size_t n)
{
	ssize_t r;

	do
		r = recv(fd, buf, n, MSG_TRUNC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return (size_t)r > n ? -EMSGSIZE : r;
}

static int nl_send(int fd, struct nl_request *q)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (q->overflow)
		return -EMSGSIZE;
	return sendto(fd, &q->hdr, q->hdr.nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ? -errno : 0;
}

/* 0 or the kernel's -errno in an NLMSG_ERROR. */
static int error_of(const struct nlmsghdr *h)
{
	const struct nlmsgerr *err = nl_body(h);

	return h->nlmsg_len < NLMSG_LENGTH(sizeof(*err)) ? -EBADMSG : err->error > 0 ? -EBADMSG : err->error;
}

/* An answer, if there is one, and then the acknowledgement. */
int nl_get(int fd, struct nl_request *q, int (*each)(const struct nlmsghdr *h, void *arg), void *arg)
{
	_Alignas(struct nlmsghdr) char buf[16384];
	const struct nlmsghdr *h = (const struct nlmsghdr *)buf;
	int r, result = 0;

	q->hdr.nlmsg_flags |= NLM_F_ACK;
	r = nl_send(fd, q);
	while (r == 0) {
		ssize_t n = nl_recv(fd, buf, sizeof(buf));

		if (n < 0 || !NLMSG_OK(h, (size_t)n))
			return n < 0 ? (int)n : -EBADMSG;
		if (h->nlmsg_type == NLMSG_ERROR)
			return error_of(h) < 0 ? error_of(h) : result;
		result = each ? each(h, arg) : -EBADMSG;
	}
	return r;
}

int nl_ask(int fd, struct nl_request *q) { return nl_get(fd, q, NULL, NULL); }

int nl_dump(int fd, struct nl_request *q, int (*each)(const struct nlmsghdr *h, void *arg), void *arg)
{
	_Alignas(struct nlmsghdr) char buf[32768];
	int r, result = 0;

	q->hdr.nlmsg_flags |= NLM_F_DUMP;
	r = nl_send(fd, q);
	while (r == 0) {
		ssize_t n = nl_recv(fd, buf, sizeof(buf));
		size_t left = n < 0 ? 0 : (size_t)n;

		if (n <= 0)
			return n < 0 ? (int)n : -EBADMSG;
		for (const struct nlmsghdr *h = (const struct nlmsghdr *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return result;
			if (h->nlmsg_type == NLMSG_ERROR)
				return error_of(h) < 0 ? error_of(h) : -EBADMSG;
			/* To the end all the same: what is left unread would answer the next question. */
			if (result == 0)
				result = each(h, arg);
		}
	}
	return r;
}
