/* One request on the wire. Limits: headers as a whole, error bodies, time to connect; protocols http and https only,
 * no redirect is followed here (CURLOPT_FOLLOWLOCATION stays 0), no cookie, no netrc, no content encoding (a digest is over
 * the bytes as sent). Called by exchange.c and auth.c. */
#include "http.h"

#include <ctype.h>
#include <dirent.h>
#include <openssl/ssl.h>

#include "reg_url.h"

#define HTTP_CONNECT_MS 15000u

struct http {
	CURLM *multi;
	bool tls_skip_verify;
	long short_ms;
	char *ca_file, *ca_dir;
	char **extra_cas; /* files of certs.d */
};

static const char *const certs_dirs[] = { "/etc/docker/certs.d", "/etc/containers/certs.d" };

static int find_extra_cas(struct http *h, const char *domain, struct err *e)
{
	if (!domain || strchr(domain, '/') || domain[0] == '.')
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(certs_dirs); i++) {
		_cleanup_free_ char *dir = str_fmt("%s/%s", certs_dirs[i], domain);
		struct dirent *d;
		DIR *dp = dir ? opendir(dir) : NULL;
		int r = 0;

		if (!dir)
			return err_set(e, ENOMEM, "out of memory");
		if (!dp)
			continue;
		while (r == 0 && (d = readdir(dp)))
			if (str_ends(d->d_name, ".crt"))
				r = strv_push_take(&h->extra_cas, str_fmt("%s/%s", dir, d->d_name));
		closedir(dp);
		if (r < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

int http_new(const struct http_opts *o, struct http **ret, struct err *e)
{
	_cleanup_(http_free_ptr) struct http *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return err_set(e, ENOMEM, "out of memory");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(h->multi = curl_multi_init()))
		return err_set(e, ENOMEM, "libcurl does not start");
	h->tls_skip_verify = o->tls_skip_verify;
	h->short_ms = (long)MAX(o->stall_ms / 3, 1000u);
	if ((o->ca_file && !(h->ca_file = strdup(o->ca_file))) || (o->ca_dir && !(h->ca_dir = strdup(o->ca_dir))))
		return err_set(e, ENOMEM, "out of memory");
	r = find_extra_cas(h, o->domain, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(h);
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	if (h->multi)
		curl_multi_cleanup(h->multi);
	free(h->ca_file);
	free(h->ca_dir);
	strv_free(h->extra_cas);
	free(h);
}

static size_t refuse(struct http_req *r, int no, const char *why)
{
	r->refused = -no;
	r->refusal = why;
	return 0; /* not the number of bytes given: curl aborts the request */
}

static void forget_answer(struct http_req *r)
{
	free_ptr(&r->content_type);
	free_ptr(&r->location);
	free_ptr(&r->digest);
	free_ptr(&r->link);
	challenge_done(&r->challenge);
	buf_done(&r->error_body);
	r->status = 0;
	r->retry_after_s = r->content_length = r->content_range_from = r->content_range_total = -1;
}

static void keep(char **where, const char *value)
{
	free(*where);
	*where = strdup(value); /* NULL reads as "not given", which every user of these fields refuses or tolerates */
}

static int64_t whole_number(const char *s)
{
	uint64_t v;

	return str_to_u64(s, &v) < 0 || v > INT64_MAX ? -1 : (int64_t)v;
}

/* Seconds, or an HTTP date (RFC 9110 section 10.2.3). */
static int64_t retry_after(const char *s)
{
	int64_t v = whole_number(s);
	time_t when;

	if (v >= 0)
		return v;
	when = curl_getdate(s, NULL);
	return when == -1 ? -1 : MAX((int64_t)when - (int64_t)time(NULL), (int64_t)0);
}

/* "bytes 100-199/200" (RFC 9110 section 14.4). */
static void content_range(struct http_req *r, const char *s)
{
	_cleanup_free_ char *copy = NULL;
	char *dash, *slash;

	s = str_after(s, "bytes ");
	if (!s || !(copy = strdup(s)) || !(dash = strchr(copy, '-')) || !(slash = strchr(dash, '/')))
		return;
	*dash = '\0';
	r->content_range_from = whole_number(copy);
	r->content_range_total = whole_number(slash + 1);
}

static void header_line(struct http_req *r, char *line)
{
	char *value = strchr(line, ':');

	if (!value)
		return;
	*value++ = '\0';
	value += strspn(value, " \t");
	if (strcasecmp(line, "content-type") == 0) {
		value[strcspn(value, "; \t")] = '\0';
		keep(&r->content_type, value);
	} else if (strcasecmp(line, "location") == 0) {
		keep(&r->location, value);
	} else if (strcasecmp(line, "docker-content-digest") == 0) {
		keep(&r->digest, value);
	} else if (strcasecmp(line, "link") == 0) {
		keep(&r->link, value);
	} else if (strcasecmp(line, "www-authenticate") == 0) {
		challenge_read(value, &r->challenge);
	} else if (strcasecmp(line, "retry-after") == 0) {
		r->retry_after_s = retry_after(value);
	} else if (strcasecmp(line, "content-length") == 0) {
		r->content_length = whole_number(value);
	} else if (strcasecmp(line, "content-range") == 0) {
		content_range(r, value);
	}
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_req *r = arg;
	_cleanup_free_ char *line = NULL;
	size_t len = size * n;
	int k;

	r->header_bytes += len;
	if (r->header_bytes > HTTP_HEADERS_MAX)
		return refuse(r, EMSGSIZE, "more than 64 KiB of headers");
	line = strndup(p, len);
	if (!line)
		return refuse(r, ENOMEM, "out of memory");
	line[strcspn(line, "\r\n")] = '\0';
	if (str_after(line, "HTTP/")) { /* a new status line: what a 1xx answer said is void */
		const char *status = strchr(line, ' ');

		forget_answer(r);
		r->status = status ? strtol(status, NULL, 10) : 0;
	} else if (*line == '\0') {
		if (r->status / 100 == 2 && !r->has_begun) {
			r->has_begun = true;
			k = r->begin ? r->begin(r, r->arg) : 0;
			if (k < 0) {
				r->refused = k;
				return 0;
			}
		}
	} else {
		header_line(r, line);
	}
	return len;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_req *r = arg;
	size_t len = size * n, room;
	int k;

	if (r->status / 100 == 2) {
		k = r->body(p, len, r->arg);
		if (k < 0) {
			r->refused = k;
			return 0;
		}
		return len;
	}
	room = HTTP_ERROR_BODY_MAX - MIN(r->error_body.len, (size_t)HTTP_ERROR_BODY_MAX);
	if (room == 0)
		return 0; /* enough of an error's text; the status is known */
	buf_add(&r->error_body, p, MIN(len, room));
	return len;
}

static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
	struct http_req *r = arg;
	ssize_t got = r->source->read(r->source->arg, p, MIN((uint64_t)size * n, r->source->bytes - r->sent), r->sent);

	if (got < 0) {
		r->refused = (int)got;
		return CURL_READFUNC_ABORT;
	}
	r->sent += (uint64_t)got;
	return (size_t)got;
}

/* curl begins anew on a fresh connection when the one that it had kept turned out closed. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct http_req *r = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > r->source->bytes)
		return CURL_SEEKFUNC_FAIL;
	r->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static void set_method(struct http_req *r)
{
	CURL *c = r->easy;

	switch (r->method) {
	case HTTP_GET: break;
	case HTTP_HEAD: curl_easy_setopt(c, CURLOPT_NOBODY, 1L); break;
	case HTTP_POST: curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->post ? r->post : ""); break;
	case HTTP_PUT:
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->source->bytes);
		curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
		curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(c, CURLOPT_READDATA, r);
		curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(c, CURLOPT_SEEKDATA, r);
		break;
	}
}

/* CAs that the host's owner has laid down for this registry, beside the system's. */
static CURLcode on_ssl_ctx(CURL *easy _unused_, void *ctx, void *arg)
{
	struct http *h = arg;

	for (char **ca = h->extra_cas; ca && *ca; ca++)
		if (SSL_CTX_load_verify_locations(ctx, *ca, NULL) != 1)
			return CURLE_SSL_CACERT_BADFILE;
	return CURLE_OK;
}

static int add_header(struct http_req *r, const char *name, const char *value)
{
	_cleanup_free_ char *line = str_fmt("%s: %s", name, value);
	struct curl_slist *next = line ? curl_slist_append(r->headers, line) : NULL;

	if (!next)
		return -ENOMEM;
	r->headers = next;
	return 0;
}

static int set_headers(struct http_req *r)
{
	int k = r->authorization ? add_header(r, "Authorization", r->authorization) : 0;

	for (const char *const *a = r->accept; k >= 0 && a && *a; a++)
		k = add_header(r, "Accept", *a);
	if (k >= 0 && r->sent_type)
		k = add_header(r, "Content-Type", r->sent_type);
	if (k >= 0 && r->method == HTTP_PUT) /* a server that knows no "100 Continue" would cost a second each time */
		k = add_header(r, "Expect", "");
	return k;
}

static void set_limits(struct http *h, struct http_req *r)
{
	CURL *c = r->easy;

	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* one connection a layer, at full speed */
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, MIN((long)HTTP_CONNECT_MS, h->short_ms));
	if (r->is_short)
		curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, h->short_ms);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 512L << 10);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
}

static void set_tls(struct http *h, struct http_req *r)
{
	CURL *c = r->easy;

	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, h->tls_skip_verify ? 0L : 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, h->tls_skip_verify ? 0L : 2L);
	if (h->ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, h->ca_file);
	if (h->ca_dir)
		curl_easy_setopt(c, CURLOPT_CAPATH, h->ca_dir);
	if (h->extra_cas) {
		curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
		curl_easy_setopt(c, CURLOPT_SSL_CTX_DATA, h);
	}
}

int http_start(struct http *h, struct http_req *r, struct err *e)
{
	_cleanup_url_ struct url_facts facts = {};
	char range[32];
	int k = url_facts_read(r->url, &facts, e);

	if (k < 0)
		return k;
	http_req_done(r);
	r->is_done = r->has_begun = false;
	r->refused = 0;
	r->refusal = NULL;
	r->text[0] = '\0';
	r->header_bytes = 0;
	r->sent = 0;
	r->http = h;
	r->easy = curl_easy_init();
	if (!r->easy || set_headers(r) < 0)
		return err_set(e, ENOMEM, "out of memory");
	set_limits(h, r);
	set_tls(h, r);
	curl_easy_setopt(r->easy, CURLOPT_URL, r->url);
	curl_easy_setopt(r->easy, CURLOPT_USERAGENT, "berth");
	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
	curl_easy_setopt(r->easy, CURLOPT_ERRORBUFFER, r->text);
	curl_easy_setopt(r->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(r->easy, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
	if (facts.is_loopback)
		curl_easy_setopt(r->easy, CURLOPT_PROXY, ""); /* a proxy's loopback is not ours */
	set_method(r);
	if (r->range_from) {
		snprintf(range, sizeof(range), "%llu-", (unsigned long long)r->range_from);
		curl_easy_setopt(r->easy, CURLOPT_RANGE, range);
	}
	if (curl_multi_add_handle(h->multi, r->easy) != CURLM_OK)
		return err_set(e, ENOMEM, "libcurl does not take the request");
	return 0;
}

void http_req_done(struct http_req *r)
{
	if (r->easy) {
		curl_multi_remove_handle(r->http->multi, r->easy);
		curl_easy_cleanup(r->easy);
		r->easy = NULL;
	}
	curl_slist_free_all(r->headers);
	r->headers = NULL;
	forget_answer(r);
}

static unsigned collect_ended(struct http *h)
{
	unsigned ended = 0;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		struct http_req *r = NULL;

		if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r) != CURLE_OK || !r)
			continue;
		r->code = m->data.result;
		r->is_done = true;
		ended++;
	}
	return ended;
}

int http_turn(struct http *h, struct curl_waitfd *extra, unsigned n, int timeout_ms, struct err *e)
{
	CURLMcode c;
	int running;

	c = curl_multi_perform(h->multi, &running);
	if (c == CURLM_OK && collect_ended(h) == 0) {
		c = curl_multi_poll(h->multi, extra, n, timeout_ms, NULL);
		if (c == CURLM_OK)
			c = curl_multi_perform(h->multi, &running);
		collect_ended(h);
	}
	if (c != CURLM_OK)
		return err_set(e, EIO, "libcurl: %s", curl_multi_strerror(c));
	return 0;
}
