/* Challenges of the WWW-Authenticate header, and the token exchange of the distribution protocol. */
#pragma once

#include "base.h"
#include "credentials.h"

struct challenge {
	enum { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER } scheme; /* in order of preference */
	char *realm, *service, *scope;
};
/* Reads one header's value, which may hold several challenges (RFC 9110 section 11.6.1), and keeps the most preferred of
 * those and of what *c already holds. Unknown schemes and malformed ones are passed over. */
void challenge_read(const char *value, struct challenge *best);
void challenge_done(struct challenge *c);

struct http;
/* Where the challenge came from decides where a password may go. */
struct auth_site {
	const char *domain; /* as the user wrote it, for messages */
	const char *url;    /* of the registry */
	bool allow_http;    /* --plain-http: the realm may be http too if it is on the registry's own host */
};
/* Is this realm fit to be given credentials? https; or http on loopback for a registry on loopback; or as allow_http says. */
int auth_realm_check(const struct auth_site *site, const char *realm, struct err *e);
/* Answers the challenge: *ret_authorization becomes the value of an Authorization header ("Bearer ...", "Basic ..."), caller
 * frees. scope: used when the challenge names none. cred may be empty (anonymous). -EACCES: refused, or a password is
 * needed and there is none. */
int auth_answer(struct http *h, const struct auth_site *site, const struct challenge *c, const char *scope,
		const struct credential *cred, char **ret_authorization, struct err *e);
