/* exchange: one thing asked of a registry, through its redirects, its log-in and its bad moments, until it is there or given
 * up. Rules that hold for every exchange:
 *  - an Authorization header goes to the registry's own origin (scheme, host, port) and to no other (CVE-2020-15157);
 *  - a redirect never leads from https to http; at most 5 follow each other;
 *  - a 401 is answered for the registry's origin only;
 *  - a try that brings (or takes, of what is sent) less than RETRY_PROGRESS_BYTES within a third of the registry's stall time is cut off;
 *  - no such progress for the whole stall time ends the exchange, however many tries are left. */
#pragma once

#include "http.h"
#include "registry.h"
#include "retry.h"

struct exchange {
	/* --- asked; set before exchange_start --- */
	struct registry *reg;
	char *url;        /* owned */
	const char *what; /* for messages: "manifest of x:y", "layer 3f2a..." */
	const char *const *accept;
	enum http_method method;
	const struct http_source *source; /* of a PUT */
	const char *sent_type;
	bool is_once; /* what a PUT has begun to send can't be sent to that address again: a bad moment ends it, see may_try_anew */
	uint64_t (*offset)(void *arg); /* bytes already there, asked before each try; NULL = always from the start */
	int (*begin)(struct http_req *r, void *arg); /* header of each 2xx answer */
	int (*body)(const void *p, size_t n, void *arg);
	void *arg;
	/* --- answered --- */
	bool may_try_anew; /* is_once: given up, but for what may have passed by then */
	int64_t try_after_s;
	/* --- private --- */
	enum { EXCHANGE_IDLE, EXCHANGE_FLYING, EXCHANGE_WAITING } state;
	struct http_req req;
	struct retry retry;
	char *now_url; /* behind redirects */
	unsigned hops, logins, login_round;
	uint64_t wait_until_us;
	uint64_t window_us, fresh_bytes; /* this try: since when, and how much of RETRY_PROGRESS_BYTES has come */
	uint64_t sent;                   /* of it, when progress was last seen */
};
int exchange_start(struct exchange *x, struct err *e);
/* After each http_turn. 1: a 2xx answer is complete (x->req tells its headers), 0: still going, -errno: given up, e says why
 * (-ENOENT for 404, -EACCES for refused access, -ETIMEDOUT for a stall, begin's or body's own errno). */
int exchange_step(struct exchange *x, struct err *e);
/* How long http_turn may sleep on its account: ms, or -1 = as long as it likes. */
int exchange_wait_ms(const struct exchange *x);
void exchange_done(struct exchange *x);
