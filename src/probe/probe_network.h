/* probe_network: a server inside a workload, and its client on the host; TCP over IPv4 and IPv6.
 *
 * The first byte that the client sends says what the connection is for:
 *   'e' echo    each byte that comes is sent back
 *   'k' sink    what comes is thrown away; at its end the server sends how many bytes it was, 8 bytes, big endian, and closes
 *   's' source  the server sends zeros until the client closes
 * Any other byte: the server closes. Nobody who is silent for NETWORK_PATIENCE_S is waited for; NETWORK_CLIENTS_MAX at a time. */
#pragma once

#include "base.h"

#define NETWORK_ECHO        'e'
#define NETWORK_SINK        'k'
#define NETWORK_SOURCE      's'
#define NETWORK_PATIENCE_S  30
#define NETWORK_CLIENTS_MAX 16

/* Listens on all addresses; port 0: any. *ret_port: which. An fd, or -errno. */
int network_listen(uint16_t port, uint16_t *ret_port);
/* One connection, to its end. 0 or -errno. */
int network_answer(int fd);

/* The client. address: numeric, IPv4 or IPv6. timeout_ms: for each wait (connecting, a byte). */
struct network_peer {
	const char *address;
	uint16_t port;
	unsigned timeout_ms;
};
/* n round trips of one byte, in µs each. 0 or -errno with e. */
int network_latency_us(const struct network_peer *p, double *samples, size_t n, struct err *e);
/* How much comes through in about duration_ms, in MB/s of what arrived. is_towards: from here to the server. 0 or -errno with e. */
int network_mb_s(const struct network_peer *p, bool is_towards, unsigned duration_ms, double *ret, struct err *e);
