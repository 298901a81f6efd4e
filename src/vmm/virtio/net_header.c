/* net_header: the virtio header of a frame from the guest, before the host's kernel sees it (virtio 1.2, 5.1.6.2).
 *
 * A tap turns the header into a socket buffer's offload fields. Kernels check them there (virtio_net_hdr_to_skb), better with
 * every year: csum_offset of a TCP frame only since 6.11, gso_size 0xffff (GSO_BY_FRAGS) only since 6.9; what slipped through ended
 * in warnings and, segments of next to no bytes each, in CVE-2019-11478. So we pass on only what a TCP stack makes: IPv4 or IPv6
 * as the type says, TCP at csum_start, its checksum field at csum_offset, all headers in the frame. The bytes looked at are a copy,
 * and that copy is sent. */
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "net.h"

enum {
	TCP_CHECK = 16, /* offset of a TCP header's checksum */
	TCP_LEAST = 20,
	MSS_LEAST = 48, /* Linux's TCP_MIN_SND_MSS, since CVE-2019-11478 */
	VLANS_MAX = 2,
	EXTENSIONS_MAX = 8,
};

struct view {
	const uint8_t *p;
	size_t n;
};

static uint16_t be16(const struct view *f, size_t at) { return (uint16_t)(f->p[at] << 8 | f->p[at + 1]); }

bool net_header_cuts(const struct virtio_net_hdr_v1 *h) { return h->gso_type != VIRTIO_NET_HDR_GSO_NONE; }

/* Where the network header is; 0: not in what we have. */
static size_t find_network(const struct view *f, uint16_t *ret_type)
{
	size_t at = NET_ETH;

	if (f->n < NET_ETH)
		return 0;
	*ret_type = be16(f, 12);
	for (unsigned i = 0; i < VLANS_MAX && (*ret_type == ETH_P_8021Q || *ret_type == ETH_P_8021AD); i++) {
		if (f->n < at + 4)
			return 0;
		*ret_type = be16(f, at + 2);
		at += 4;
	}
	return at;
}

/* Where TCP begins, 0: it doesn't. */
static size_t find_tcp4(const struct view *f, size_t at)
{
	size_t ihl;

	if (f->n < at + 20 || f->p[at] >> 4 != 4)
		return 0;
	ihl = (f->p[at] & 15u) * 4u;
	if (ihl < 20 || f->p[at + 9] != IPPROTO_TCP || be16(f, at + 6) & 0x3fff) /* a fragment */
		return 0;
	return at + ihl;
}

static size_t find_tcp6(const struct view *f, size_t at)
{
	uint8_t next;

	if (f->n < at + 40 || f->p[at] >> 4 != 6)
		return 0;
	next = f->p[at + 6];
	at += 40;
	for (unsigned i = 0; i < EXTENSIONS_MAX && next != IPPROTO_TCP; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			return 0;
		if (f->n < at + 8)
			return 0;
		next = f->p[at];
		at += 8 + f->p[at + 1] * 8ul;
	}
	return next == IPPROTO_TCP ? at : 0;
}

static int check_cut(struct virtio_net_hdr_v1 *h, const struct view *f, size_t len, uint64_t features)
{
	uint8_t kind = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	bool is_4 = kind == VIRTIO_NET_HDR_GSO_TCPV4;
	size_t network, tcp, end;
	uint16_t type = 0;

	if (!is_4 && kind != VIRTIO_NET_HDR_GSO_TCPV6)
		return -EINVAL;
	if (!(features >> (is_4 ? VIRTIO_NET_F_HOST_TSO4 : VIRTIO_NET_F_HOST_TSO6) & 1))
		return -EINVAL;
	if (h->gso_type & VIRTIO_NET_HDR_GSO_ECN && !(features >> VIRTIO_NET_F_HOST_ECN & 1))
		return -EINVAL;
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || h->gso_size < MSS_LEAST || h->gso_size == UINT16_MAX)
		return -EINVAL;
	network = find_network(f, &type);
	if (network == 0 || type != (is_4 ? ETH_P_IP : ETH_P_IPV6))
		return -EINVAL;
	tcp = is_4 ? find_tcp4(f, network) : find_tcp6(f, network);
	if (tcp == 0 || tcp + TCP_LEAST > f->n || h->csum_start != tcp || h->csum_offset != TCP_CHECK)
		return -EINVAL;
	end = tcp + (f->p[tcp + 12] >> 4) * 4ul;
	if (end < tcp + TCP_LEAST || end > f->n || end >= len)
		return -EINVAL;
	h->hdr_len = (uint16_t)end; /* the driver's word for it is a hint at most: 5.1.6.2.2 */
	return 0;
}

int net_header_check(struct virtio_net_hdr_v1 *h, const uint8_t *head, size_t head_len, size_t len, uint64_t features)
{
	const struct view f = { head, head_len };

	if (len < NET_ETH || len > NET_FRAME_MAX)
		return -EINVAL;
	h->num_buffers = 0;
	h->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->hdr_len = 0;
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
		h->csum_start = h->csum_offset = 0;
	} else if (!(features >> VIRTIO_NET_F_CSUM & 1) || h->csum_start < NET_ETH ||
		   h->csum_start + h->csum_offset + 2ul > len) {
		return -EINVAL;
	}
	if (net_header_cuts(h))
		return check_cut(h, &f, len, features);
	h->gso_size = 0;
	return 0;
}
