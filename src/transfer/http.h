/* http: requests in flight together on one libcurl multi handle, with the limits that a stranger's server must meet.
 * Policy about retries, redirects and credentials is exchange.c's; here a request is one request. Single-threaded: all
 * callbacks run inside http_turn. */
#pragma once

#include <curl/curl.h>

#include "auth.h"
#include "base.h"

#define HTTP_HEADERS_MAX    (64u << 10) /* bytes of all response headers together (1xx responses included) */
#define HTTP_ERROR_BODY_MAX 4096u       /* what is kept of an error's body */

struct http;
struct http_opts {
	bool tls_skip_verify;
	uint64_t stall_ms;   /* connecting, and a whole short request, may take a third of this (at least 1 s) */
	const char *domain;  /* additional CAs are read from {/etc/docker,/etc/containers}/certs.d/DOMAIN/ (*.crt) */
	const char *ca_file; /* in place of the system's CAs, or NULL */
	const char *ca_dir;
};
int http_new(const struct http_opts *o, struct http **ret, struct err *e);
void http_free(struct http *h);
DEFINE_CLEANUP(struct http *, http_free)

/* What a PUT sends. read: n bytes at most, from place `at`; bytes read or -errno, which aborts the request. */
struct http_source {
	uint64_t bytes;
	ssize_t (*read)(void *arg, void *p, size_t n, uint64_t at);
	void *arg;
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT };
struct http_req {
	/* --- asked; kept by the caller until http_req_done --- */
	enum http_method method; /* a POST sends nothing but the form */
	const char *url;
	const char *authorization;        /* the header's value, or NULL */
	const char *const *accept;        /* NULL-terminated list of media types, or NULL */
	const char *post;                 /* form body; NULL = none */
	const struct http_source *source; /* of a PUT */
	const char *sent_type;            /* its Content-Type, or NULL */
	uint64_t range_from;              /* 0 = whole */
	bool is_short;                    /* to be done within a third of the stall time; else who asks watches its progress */
	/* Called once when the header of a 2xx answer is complete, then for each piece of its body. A negative errno
	 * aborts the request with that errno in .refused. */
	int (*begin)(struct http_req *r, void *arg);
	int (*body)(const void *p, size_t n, void *arg);
	void *arg;
	/* --- answered --- */
	bool is_done;
	CURLcode code;       /* valid when is_done */
	int refused;         /* -errno of begin/body or of our own limits, or 0 */
	const char *refusal; /* text of our own limits, or NULL */
	long status;
	char *content_type, *location, *digest, *link; /* without parameters; as given; Docker-Content-Digest; as given */
	struct challenge challenge;
	int64_t retry_after_s;                           /* -1 = not given */
	int64_t content_length;                          /* -1 = not given */
	int64_t content_range_from, content_range_total; /* of a 206; -1 = not given */
	struct buf error_body;                           /* of a non-2xx answer, at most HTTP_ERROR_BODY_MAX */
	char text[CURL_ERROR_SIZE];                      /* curl's words */
	uint64_t sent;                                   /* bytes of the source, so far */
	/* --- private --- */
	struct http *http;
	CURL *easy;
	struct curl_slist *headers;
	size_t header_bytes;
	bool has_begun;
};
/* Puts r in flight. It may be used again after http_req_done. */
int http_start(struct http *h, struct http_req *r, struct err *e);
/* Takes r out of flight if it still is, and frees what was answered. */
void http_req_done(struct http_req *r);
/* One turn: moves all requests on, sleeping at most timeout_ms unless one of the n extra fds is ready (its .revents says so)
 * or a request ended. */
int http_turn(struct http *h, struct curl_waitfd *extra, unsigned n, int timeout_ms, struct err *e);
