/* The token exchange: GET REALM?service=S&scope=T with the user's password as Basic, or anonymous; an identity token goes
 * by POST (OAuth2 refresh_token). A redirect of the token server is refused, so that a password reaches the realm and
 * nobody else. Called by exchange.c on a 401. */
#include "auth.h"

#include <openssl/evp.h>

#include "codec.h"
#include "http.h"
#include "reg_url.h"

#define TOKEN_BODY_MAX (1u << 20)
#define TOKEN_MAX      (64u << 10)

int auth_realm_check(const struct auth_site *site, const char *realm, struct err *e)
{
	_cleanup_url_ struct url_facts there = {}, here = {};
	struct err why = {};
	int r;

	r = url_facts_read(realm, &there, &why);
	if (r < 0)
		return err_set(e, EACCES, "registry %s sends us for a token to an unusable place: %s", site->domain, why.msg);
	r = url_facts_read(site->url, &here, e);
	if (r < 0)
		return r;
	if (there.is_https)
		return 0;
	if (there.is_loopback && here.is_loopback)
		return 0;
	if (site->allow_http && streq(there.host, here.host))
		return 0;
	return err_set(e, EACCES, "registry %s wants its token fetched over plain http from %s: refused", site->domain,
		       there.host);
}

static char *basic(const struct credential *c)
{
	_cleanup_free_ char *plain = str_fmt("%s:%s", c->user, c->password);
	_cleanup_free_ unsigned char *coded = NULL;
	size_t n = plain ? strlen(plain) : 0;

	coded = malloc(4 * (n / 3 + 1) + 1);
	if (!plain || !coded)
		return NULL;
	EVP_EncodeBlock(coded, (const unsigned char *)plain, (int)n);
	return str_fmt("Basic %s", (char *)coded);
}

/* sep 0: the first of an address's, or a further one. */
static void add_param(struct buf *b, char sep, const char *name, const char *value)
{
	char *escaped = value ? curl_easy_escape(NULL, value, 0) : NULL;

	if (value && !escaped)
		b->failed = true;
	if (!sep)
		sep = b->data && memchr(b->data, '?', b->len) ? '&' : '?';
	if (escaped)
		buf_fmt(b, "%c%s=%s", sep, name, escaped);
	curl_free(escaped);
}

static char *token_url(const struct challenge *c, const char *scope)
{
	struct buf b = {};

	buf_str(&b, c->realm);
	add_param(&b, 0, "scope", c->scope ? c->scope : scope);
	add_param(&b, 0, "service", c->service);
	return buf_take(&b);
}

static char *token_form(const struct challenge *c, const char *scope, const char *refresh)
{
	struct buf b = {};

	buf_str(&b, "grant_type=refresh_token&client_id=berth");
	add_param(&b, '&', "service", c->service);
	add_param(&b, '&', "scope", c->scope ? c->scope : scope);
	add_param(&b, '&', "refresh_token", refresh);
	return buf_take(&b);
}

static int token_body(const void *p, size_t n, void *arg)
{
	struct buf *b = arg;

	if (b->len + n > TOKEN_BODY_MAX)
		return -EMSGSIZE;
	buf_add(b, p, n);
	return b->failed ? -ENOMEM : 0;
}

/* A token ends up in a header line: only printable characters that need no quoting may pass. */
static bool token_is_clean(const char *t)
{
	size_t n = strlen(t);

	if (n == 0 || n > TOKEN_MAX)
		return false;
	for (; *t; t++)
		if (*t <= ' ' || *t > '~')
			return false;
	return true;
}

static int token_read(const struct buf *body, const char *domain, char **ret_authorization, struct err *e)
{
	_cleanup_json_ struct json_object *doc = NULL;
	struct json_object *v = NULL;
	const char *token;
	int r = json_parse(body->data ? body->data : "", body->len, "the token server's answer", &doc, e);

	if (r < 0)
		return err_push(e, r, "registry %s", domain);
	if (!json_object_is_type(doc, json_type_object) ||
	    (!json_object_object_get_ex(doc, "token", &v) && !json_object_object_get_ex(doc, "access_token", &v)) ||
	    !json_object_is_type(v, json_type_string))
		return err_set(e, EPROTO, "registry %s: the token server's answer holds no token", domain);
	token = json_object_get_string(v);
	if (!token_is_clean(token))
		return err_set(e, EPROTO, "registry %s: the token server's token can't be sent in a header", domain);
	*ret_authorization = str_fmt("Bearer %s", token);
	return *ret_authorization ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int token_judge(const struct http_req *q, const struct auth_site *site, bool has_password, struct err *e)
{
	if (q->refused)
		return err_set(e, EPROTO, "registry %s: the token server's answer is too large", site->domain);
	if (q->status / 100 == 2 && q->code == CURLE_OK)
		return 0;
	if (q->status == 401 || q->status == 403)
		return err_set(e, EACCES,
			       has_password ? "registry %s refuses the user name and password"
					    : "registry %s gives no anonymous access: log in with berth login",
			       site->domain);
	if (q->status / 100 == 3)
		return err_set(e, EACCES, "registry %s: its token server redirects elsewhere: refused", site->domain);
	if (q->status)
		return err_set(e, EIO, "registry %s: its token server answers with status %ld", site->domain, q->status);
	return err_set(e, EIO, "registry %s: its token server can't be reached: %s", site->domain,
		       q->text[0] ? q->text : curl_easy_strerror(q->code));
}

static int bearer(struct http *h, const struct auth_site *site, const struct challenge *c, const char *scope,
		  const struct credential *cred, char **ret_authorization, struct err *e)
{
	_cleanup_free_ char *url = NULL, *form = NULL, *auth = NULL;
	_cleanup_buf_ struct buf body = {};
	_cleanup_(http_req_done) struct http_req q = { .body = token_body, .arg = &body, .is_short = true };
	int r = auth_realm_check(site, c->realm, e);

	if (r < 0)
		return r;
	if (cred->identity_token) {
		form = token_form(c, scope, cred->identity_token);
		if (!form)
			return err_set(e, ENOMEM, "out of memory");
		q.method = HTTP_POST;
		q.post = form;
	} else {
		url = token_url(c, scope);
		if (!url)
			return err_set(e, ENOMEM, "out of memory");
		if (cred->user && !(auth = basic(cred)))
			return err_set(e, ENOMEM, "out of memory");
	}
	q.url = url ? url : c->realm;
	q.authorization = auth;
	r = http_start(h, &q, e);
	while (r >= 0 && !q.is_done)
		r = http_turn(h, NULL, 0, 1000, e);
	if (r >= 0)
		r = token_judge(&q, site, cred->user || cred->identity_token, e);
	if (r >= 0)
		r = token_read(&body, site->domain, ret_authorization, e);
	return r;
}

int auth_answer(struct http *h, const struct auth_site *site, const struct challenge *c, const char *scope,
		const struct credential *cred, char **ret_authorization, struct err *e)
{
	switch (c->scheme) {
	case CHALLENGE_BEARER: return bearer(h, site, c, scope, cred, ret_authorization, e);
	case CHALLENGE_BASIC:
		if (!cred->user)
			return err_set(e, EACCES, "registry %s asks for a user name and password: log in with berth login",
				       site->domain);
		*ret_authorization = basic(cred);
		return *ret_authorization ? 0 : err_set(e, ENOMEM, "out of memory");
	case CHALLENGE_NONE: break;
	}
	return err_set(e, EACCES, "registry %s refuses access and offers no way of logging in that is known here", site->domain);
}
