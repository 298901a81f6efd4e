/* When a failed request is tried again, and after how long. Pure arithmetic; the caller owns the clock. */
#pragma once

#include <curl/curl.h>

#include "base.h"

enum retry_class {
	RETRY_NEVER,   /* trying again can't help */
	RETRY_CONNECT, /* nobody answers there: worth two more tries, not fifteen seconds */
	RETRY_BACKOFF,
};
enum retry_class retry_class_of_curl(CURLcode c);
enum retry_class retry_class_of_status(long http_status);

#define RETRY_MAX            5 /* tries after the first, in a row without progress */
#define RETRY_CONNECT_MAX    2
#define RETRY_AFTER_MAX_S    60     /* a registry that asks for a longer pause is told to the user instead */
#define RETRY_PROGRESS_BYTES 16384u /* this many new bytes count as progress: less is a drip */

/* Wait before try number `attempt` (1 = first repetition): 250 ms doubled each time up to 8 s, the upper half of it random
 * (`random` is any 32 bits) so that many clients don't return in step; never less than the server's Retry-After
 * (-1 = none). */
uint64_t retry_delay_ms(unsigned attempt, uint32_t random, int64_t retry_after_s);

/* One chain of tries. Zero-initialised by retry_start. */
struct retry {
	unsigned attempt;
	uint64_t progress_us; /* CLOCK_MONOTONIC of the last progress, or of the last pause that the server asked for */
	uint64_t stall_ms;    /* no progress for so long = given up, whatever the number of tries */
};
void retry_start(struct retry *r, uint64_t now_us, uint64_t stall_ms);
void retry_progressed(struct retry *r, uint64_t now_us);
/* true: wait *ret_delay_ms and try again; false: give up. */
bool retry_next(struct retry *r, enum retry_class c, uint64_t now_us, uint32_t random, int64_t retry_after_s,
		uint64_t *ret_delay_ms);
