/* registry: one repository of one registry (OCI distribution spec 1.1), and what all exchanges with it share. */
#pragma once

#include "credentials.h"
#include "http.h"

struct registry {
	struct http *http;   /* not owned */
	char *domain, *path; /* "127.0.0.1:5000", "library/debian" */
	char *base, *origin; /* "https://registry-1.docker.io"; see url_facts */
	char *scope;         /* NULL without a path; "repository:library/debian:pull", or ":pull,push" */
	struct credential cred;
	char *authorization;  /* what the last login gave; NULL before */
	unsigned login_round; /* counts logins, so that of many exchanges that meet an expired token one logs in */
	bool plain_http;      /* allowed by the user */
	uint64_t stall_ms;
};
struct registry_opts {
	const char *domain, *path; /* path NULL: the registry as a whole, nothing of a repository's */
	bool plain_http, pushes;
	uint64_t stall_ms;
};
/* Finds out how the registry is spoken to: https; http with plain_http; on loopback what answers there (http first: a TLS
 * server refuses that at once, while a plain server may sit on a TLS greeting). cred is taken over (zeroed). */
int registry_open(struct registry *r, struct http *h, const struct registry_opts *o, struct credential *cred, struct err *e);
void registry_close(struct registry *r);
/* ".../v2/PATH/KIND/WHAT"; caller frees, NULL on ENOMEM. kind: "manifests", "blobs". */
char *registry_url(const struct registry *r, const char *kind, const char *what);
/* Logs in as c asks; see auth_answer. */
int registry_login(struct registry *r, const struct challenge *c, struct err *e);
struct registry_answer {
	char *body; /* NUL-terminated */
	size_t len;
	char *type, *digest, *link; /* headers as given, or NULL */
};
void registry_answer_done(struct registry_answer *a);
/* A small document at url (taken, NULL = out of memory), at most max bytes (-EFBIG). what: for messages. */
int registry_get_url(struct registry *r, char *url, const char *what, const char *const *accept, size_t max,
		     struct registry_answer *ret, struct err *e);
/* The same of a repository. *ret_body: caller frees. ret_type, ret_digest: malloc'd or NULL; may be NULL. */
int registry_get(struct registry *r, const char *kind, const char *name, const char *what, const char *const *accept, size_t max,
		 char **ret_body, size_t *ret_len, char **ret_type, char **ret_digest, struct err *e);
