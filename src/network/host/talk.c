#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "talk.h"

int talk_open(int bus, struct talk *ret)
{
	struct mnl_socket *s = mnl_socket_open2(bus, SOCK_CLOEXEC);
	const int on = 1;
	int r;

	if (!s)
		return -errno;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0) {
		r = -errno;
		mnl_socket_close(s);
		return r;
	}
	/* Older kernels have no words of their own, and answer as well without. */
	(void)mnl_socket_setsockopt(s, NETLINK_EXT_ACK, (void *)(uintptr_t)&on, sizeof(on));
	*ret = (struct talk){ .s = s };
	return 0;
}

void talk_close(struct talk *t)
{
	if (t->s)
		mnl_socket_close(t->s);
	t->s = NULL;
}

struct nlmsghdr *talk_begin(struct talk *t, void *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++t->seq;
	return h;
}

/* An error's attributes stand behind the message that it is about, of which only the header may be there. */
static void keep_words(struct talk *t, const struct nlmsghdr *h, const struct nlmsgerr *said)
{
	size_t skip = sizeof(*said);
	const struct nlattr *a;

	t->why[0] = '\0';
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip += said->msg.nlmsg_len - sizeof(said->msg);
	mnl_attr_for_each(a, h, skip)
	{
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			snprintf(t->why, sizeof(t->why), "%s", mnl_attr_get_str(a));
	}
}

/* The sequence numbers of one conversation: what comes of an earlier one, given up, is passed over. */
struct span {
	unsigned first, last;
};
struct heard {
	int error;      /* the first */
	unsigned about; /* what that was about */
	bool is_over;
};

/* One datagram's messages. */
static void hear(struct talk *t, const char *p, int n, const struct span *of, talk_each *each, void *arg, struct heard *ret)
{
	for (const struct nlmsghdr *h = (const void *)p; mnl_nlmsg_ok(h, n); h = mnl_nlmsg_next(h, &n)) {
		int r = 0;

		if (h->nlmsg_seq < of->first || h->nlmsg_seq > of->last)
			continue;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *said = mnl_nlmsg_get_payload(h);

			r = said->error;
			if (r < 0 && !ret->error)
				keep_words(t, h, said);
		} else if (h->nlmsg_type >= NLMSG_MIN_TYPE) {
			r = each ? each(h, arg) : 0;
		}
		if (r < 0 && !ret->error) {
			ret->error = r;
			ret->about = h->nlmsg_seq;
		}
		/* A transaction that as a whole is refused is so in its first message's name. */
		if (h->nlmsg_type == NLMSG_DONE ||
		    (h->nlmsg_type == NLMSG_ERROR && (h->nlmsg_seq == of->last || h->nlmsg_seq == of->first)))
			ret->is_over = true;
	}
}

static int converse(struct talk *t, const void *p, size_t n, const struct span *of, talk_each *each, void *arg, unsigned *ret_seq)
{
	static const size_t room = 32768; /* what the kernel makes a datagram of a dump of, at most */
	_cleanup_free_ char *buf = malloc(room);
	struct heard heard = { 0 };

	t->why[0] = '\0';
	if (!buf)
		return -ENOMEM;
	if (mnl_socket_sendto(t->s, p, n) < 0)
		return -errno;
	while (!heard.is_over) {
		const ssize_t got = mnl_socket_recvfrom(t->s, buf, room);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		hear(t, buf, (int)got, of, each, arg, &heard);
	}
	if (ret_seq)
		*ret_seq = heard.about;
	return heard.error;
}

int talk_ask(struct talk *t, struct nlmsghdr *h, talk_each *each, void *arg)
{
	if ((h->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		h->nlmsg_flags |= NLM_F_ACK;
	return converse(t, h, h->nlmsg_len, &(struct span){ h->nlmsg_seq, h->nlmsg_seq }, each, arg, NULL);
}

int talk_ask_all(struct talk *t, const void *p, size_t n, unsigned first, unsigned last, unsigned *ret_seq)
{
	return converse(t, p, n, &(struct span){ first, last }, NULL, NULL, ret_seq);
}
