/* URLs as the registry protocol needs them: where do they lead, and may that place see credentials? */
#pragma once

#include "base.h"

struct url_facts {
	char *origin; /* "https://host:port", lower case, port always given: equal strings = same place */
	char *host;   /* without brackets */
	bool is_https, is_loopback;
};
/* http and https only; a user name inside the URL is refused (-EINVAL), so that none travels by accident. */
int url_facts_read(const char *url, struct url_facts *ret, struct err *e);
void url_facts_done(struct url_facts *f);
#define _cleanup_url_ _cleanup_(url_facts_done)
/* location (a Location header) as seen from base, RFC 3986 section 5; caller frees. */
int url_join(const char *base, const char *location, char **ret, struct err *e);
/* 127.0.0.0/8, ::1 and "localhost"; nothing that a name server decides. */
bool host_is_loopback(const char *host);
