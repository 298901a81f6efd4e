/* Judging URLs with libcurl's own parser, so that what is judged is what is fetched (two parsers that disagree are how
 * credentials leak). Called by registry.c, auth.c and exchange.c. */
#include "reg_url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>

static inline void url_free_ptr(CURLU **u) { curl_url_cleanup(*u); }

static char *url_part(CURLU *u, CURLUPart part, unsigned flags)
{
	char *text = NULL, *copy;

	if (curl_url_get(u, part, &text, flags) != CURLUE_OK)
		return NULL;
	copy = strdup(text);
	curl_free(text);
	return copy;
}

static void lower(char *s)
{
	for (; *s; s++)
		*s = (char)tolower((unsigned char)*s);
}

bool host_is_loopback(const char *host)
{
	struct in6_addr six;
	struct in_addr four;

	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

void url_facts_done(struct url_facts *f)
{
	free(f->origin);
	free(f->host);
	*f = (struct url_facts){};
}

int url_facts_read(const char *url, struct url_facts *ret, struct err *e)
{
	_cleanup_(url_free_ptr) CURLU *u = curl_url();
	_cleanup_free_ char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL;
	_cleanup_url_ struct url_facts f = {};
	CURLUcode c;

	if (!u)
		return err_set(e, ENOMEM, "out of memory");
	c = curl_url_set(u, CURLUPART_URL, url, 0);
	if (c != CURLUE_OK)
		return err_set(e, EINVAL, "bad URL \"%.200s\": %s", url, curl_url_strerror(c));
	scheme = url_part(u, CURLUPART_SCHEME, 0);
	host = url_part(u, CURLUPART_HOST, 0);
	port = url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	user = url_part(u, CURLUPART_USER, 0);
	if (!scheme || !host || !port || !*host)
		return err_set(e, EINVAL, "bad URL \"%.200s\": it needs a scheme and a host", url);
	lower(scheme);
	lower(host);
	if (!streq(scheme, "https") && !streq(scheme, "http"))
		return err_set(e, EINVAL, "bad URL \"%.200s\": only https and http are spoken here", url);
	if (user)
		return err_set(e, EINVAL, "bad URL at host %s: it carries a user name", host);
	f.is_https = streq(scheme, "https");
	f.origin = str_fmt("%s://%s:%s", scheme, host, port);
	if (host[0] == '[') { /* an IPv6 literal, as curl hands it out */
		host[strcspn(host, "]%")] = '\0';
		memmove(host, host + 1, strlen(host));
	}
	f.is_loopback = host_is_loopback(host);
	f.host = TAKE_PTR(host);
	if (!f.origin)
		return err_set(e, ENOMEM, "out of memory");
	*ret = f;
	f = (struct url_facts){};
	return 0;
}

int url_join(const char *base, const char *location, char **ret, struct err *e)
{
	_cleanup_(url_free_ptr) CURLU *u = curl_url();
	CURLUcode c;
	char *joined;

	if (!u)
		return err_set(e, ENOMEM, "out of memory");
	c = curl_url_set(u, CURLUPART_URL, base, 0);
	if (c == CURLUE_OK)
		c = curl_url_set(u, CURLUPART_URL, location, 0); /* relative to what the handle holds */
	if (c != CURLUE_OK)
		return err_set(e, EPROTO, "bad redirect to \"%.200s\": %s", location, curl_url_strerror(c));
	joined = url_part(u, CURLUPART_URL, 0);
	if (!joined)
		return err_set(e, ENOMEM, "out of memory");
	*ret = joined;
	return 0;
}
