/* Time. Waiting and measuring use CLOCK_MONOTONIC; CLOCK_REALTIME only ever labels. */
#pragma once

#include "util.h"

uint64_t clock_mono_us(void);
uint64_t clock_real_ns(void); /* since the epoch */
#define RFC3339_LEN 40
/* "2026-01-02T03:04:05.123456789Z"; returns buf. */
char *clock_rfc3339(uint64_t real_ns, char buf[RFC3339_LEN]);
/* RFC 3339, or seconds since the epoch with an optional fraction. -EINVAL. */
int clock_parse(const char *s, uint64_t *ret_real_ns);
/* "5 minutes", "About an hour": docker's wording of an age; returns buf. */
char *clock_ago(uint64_t seconds, char buf[32]);
