/* The retry schedule. Called by exchange.c; the numbers stand in retry.h. */
#include "retry.h"

/* Failures of the transport that a second try may mend. Everything else (bad certificate, bad URL, a sink that refused the
 * bytes) is final. */
static const struct {
	CURLcode code;
	enum retry_class class;
} curl_classes[] = {
	{ CURLE_COULDNT_CONNECT, RETRY_CONNECT },   { CURLE_COULDNT_RESOLVE_HOST, RETRY_CONNECT },
	{ CURLE_SSL_CONNECT_ERROR, RETRY_CONNECT }, { CURLE_OPERATION_TIMEDOUT, RETRY_BACKOFF },
	{ CURLE_GOT_NOTHING, RETRY_BACKOFF },       { CURLE_RECV_ERROR, RETRY_BACKOFF },
	{ CURLE_SEND_ERROR, RETRY_BACKOFF },        { CURLE_PARTIAL_FILE, RETRY_BACKOFF },
};
static const long status_again[] = { 408, 429, 500, 502, 503, 504 };

enum retry_class retry_class_of_curl(CURLcode c)
{
	for (size_t i = 0; i < ARRAY_SIZE(curl_classes); i++)
		if (curl_classes[i].code == c)
			return curl_classes[i].class;
	return RETRY_NEVER;
}

enum retry_class retry_class_of_status(long http_status)
{
	for (size_t i = 0; i < ARRAY_SIZE(status_again); i++)
		if (status_again[i] == http_status)
			return RETRY_BACKOFF;
	return RETRY_NEVER;
}

uint64_t retry_delay_ms(unsigned attempt, uint32_t random, int64_t retry_after_s)
{
	uint64_t full = 250u << MIN(attempt ? attempt - 1 : 0, 5u); /* 250 ms .. 8 s */
	uint64_t delay = full / 2 + (full / 2) * random / UINT32_MAX;

	if (retry_after_s > 0)
		delay = MAX(delay, (uint64_t)retry_after_s * 1000);
	return delay;
}

void retry_start(struct retry *r, uint64_t now_us, uint64_t stall_ms)
{
	*r = (struct retry){ .progress_us = now_us, .stall_ms = stall_ms };
}

void retry_progressed(struct retry *r, uint64_t now_us)
{
	r->progress_us = now_us;
	r->attempt = 0;
}

bool retry_next(struct retry *r, enum retry_class c, uint64_t now_us, uint32_t random, int64_t retry_after_s,
		uint64_t *ret_delay_ms)
{
	unsigned max = c == RETRY_CONNECT ? RETRY_CONNECT_MAX : RETRY_MAX;
	uint64_t delay;

	if (c == RETRY_NEVER || r->attempt >= max || retry_after_s > RETRY_AFTER_MAX_S)
		return false;
	delay = retry_delay_ms(r->attempt + 1, random, retry_after_s);
	if (retry_after_s > 0)
		r->progress_us = now_us + delay * 1000; /* waiting as told is not a stall; RETRY_MAX still bounds it */
	else if (now_us + delay * 1000 > r->progress_us + r->stall_ms * 1000)
		return false;
	r->attempt++;
	*ret_delay_ms = delay;
	return true;
}
