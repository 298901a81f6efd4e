/* Second look at a JSON text that json-c has accepted. Private to codec. */
#pragma once

#include <stddef.h>

struct json_scan {
	size_t members;  /* of all objects together, as written */
	size_t offset;   /* where the offence is, on failure */
	const char *why; /* constant, on failure */
};
/* -EINVAL for what RFC 8259 does not allow, or an integer that 64 bits don't hold. */
int json_scan(const char *text, size_t len, struct json_scan *ret);
/* The first key that its object already has (escapes resolved; caller frees), NULL when there is none or on ENOMEM.
 * Slow: for the message about a document that is refused anyway. */
char *json_scan_duplicate(const char *text, size_t len);
