/* Opening a registry, logging in, and small documents. Called by pull.c; login also by exchange.c. */
#include "registry.h"

#include "exchange.h"
#include "reg_url.h"

static int ignore_body(const void *p _unused_, size_t n _unused_, void *arg _unused_) { return 0; }

/* GET BASE/v2/ without credentials. 1: an HTTP server that speaks this scheme is there. */
static int speaks(struct http *h, const char *base, bool *ret_wants_tls, struct err *e)
{
	_cleanup_free_ char *url = str_fmt("%s/v2/", base);
	_cleanup_(http_req_done) struct http_req q = { .url = url, .body = ignore_body, .is_short = true };
	int r;

	if (!url)
		return err_set(e, ENOMEM, "out of memory");
	r = http_start(h, &q, e);
	while (r >= 0 && !q.is_done)
		r = http_turn(h, NULL, 0, 1000, e);
	if (r < 0)
		return r;
	*ret_wants_tls =
		q.status == 400 || (q.status == 0 && q.code != CURLE_COULDNT_CONNECT && q.code != CURLE_OPERATION_TIMEDOUT);
	return 1;
}

static int choose_base(struct registry *r, const char *host, struct err *e)
{
	_cleanup_url_ struct url_facts facts = {};
	bool wants_tls = false;
	int k;

	r->base = str_fmt("http://%s", host);
	if (!r->base)
		return err_set(e, ENOMEM, "out of memory");
	k = url_facts_read(r->base, &facts, e);
	if (k < 0)
		return k;
	if (!r->plain_http && facts.is_loopback) {
		k = speaks(r->http, r->base, &wants_tls, e);
		if (k < 0)
			return k;
	}
	if (!r->plain_http && (!facts.is_loopback || wants_tls)) {
		free(r->base);
		r->base = str_fmt("https://%s", host);
		if (!r->base)
			return err_set(e, ENOMEM, "out of memory");
		url_facts_done(&facts);
		k = url_facts_read(r->base, &facts, e);
		if (k < 0)
			return k;
	}
	r->origin = TAKE_PTR(facts.origin);
	return 0;
}

int registry_open(struct registry *r, struct http *h, const struct registry_opts *o, struct credential *cred, struct err *e)
{
	/* Docker Hub is named docker.io but lives elsewhere. */
	const char *host =
		streq(o->domain, "docker.io") || streq(o->domain, "index.docker.io") ? "registry-1.docker.io" : o->domain;

	*r = (struct registry){ .http = h, .plain_http = o->plain_http, .stall_ms = o->stall_ms };
	r->cred = *cred;
	*cred = (struct credential){};
	r->domain = strdup(o->domain);
	r->path = strdup(o->path ? o->path : "");
	if (o->path)
		r->scope = str_fmt("repository:%s:%s", o->path, o->pushes ? "pull,push" : "pull");
	if (r->cred.registry_token)
		r->authorization = str_fmt("Bearer %s", r->cred.registry_token);
	if (!r->domain || !r->path || (o->path && !r->scope) || (r->cred.registry_token && !r->authorization))
		return err_set(e, ENOMEM, "out of memory");
	return choose_base(r, host, e);
}

void registry_close(struct registry *r)
{
	free(r->domain);
	free(r->path);
	free(r->base);
	free(r->origin);
	free(r->scope);
	free(r->authorization);
	credential_done(&r->cred);
	*r = (struct registry){};
}

char *registry_url(const struct registry *r, const char *kind, const char *what)
{
	return str_fmt("%s/v2/%s/%s/%s", r->base, r->path, kind, what);
}

int registry_login(struct registry *r, const struct challenge *c, struct err *e)
{
	const struct auth_site site = { .domain = r->domain, .url = r->base, .allow_http = r->plain_http };
	char *authorization = NULL;
	int k = auth_answer(r->http, &site, c, r->scope, &r->cred, &authorization, e);

	if (k < 0)
		return k;
	free(r->authorization);
	r->authorization = authorization;
	r->login_round++;
	return 0;
}

/* ---- small documents ---- */

struct document {
	struct buf text;
	size_t max;
};

static int document_begin(struct http_req *q, void *arg)
{
	struct document *d = arg;

	buf_done(&d->text);
	return q->content_length > (int64_t)d->max ? -EFBIG : 0;
}

static int document_body(const void *p, size_t n, void *arg)
{
	struct document *d = arg;

	if (d->text.len + n > d->max)
		return -EFBIG;
	buf_add(&d->text, p, n);
	return d->text.failed ? -ENOMEM : 0;
}

static void document_done(struct document *d) { buf_done(&d->text); }

void registry_answer_done(struct registry_answer *a)
{
	free(a->body);
	free(a->type);
	free(a->digest);
	free(a->link);
	*a = (struct registry_answer){};
}

int registry_get_url(struct registry *r, char *url, const char *what, const char *const *accept, size_t max,
		     struct registry_answer *ret, struct err *e)
{
	_cleanup_(document_done) struct document d = { .max = max };
	_cleanup_(exchange_done) struct exchange x = {
		.reg = r, .url = url, .what = what, .accept = accept, .begin = document_begin, .body = document_body, .arg = &d
	};
	int k;

	if (!x.url)
		return err_set(e, ENOMEM, "out of memory");
	k = exchange_start(&x, e);
	while (k == 0) {
		int wait = exchange_wait_ms(&x);

		k = http_turn(r->http, NULL, 0, wait < 0 ? 1000 : wait, e);
		if (k == 0)
			k = exchange_step(&x, e);
	}
	if (k == -EFBIG)
		return err_set(e, EFBIG, "registry %s: the %s is larger than %zu MiB", r->domain, what, max >> 20);
	if (k < 0)
		return k;
	struct registry_answer a = { .len = d.text.len };
	if (!d.text.data)
		buf_str(&d.text, "");
	a.body = buf_take(&d.text);
	if (!a.body)
		return err_set(e, ENOMEM, "out of memory");
	a.type = TAKE_PTR(x.req.content_type);
	a.digest = TAKE_PTR(x.req.digest);
	a.link = TAKE_PTR(x.req.link);
	*ret = a;
	return 0;
}

int registry_get(struct registry *r, const char *kind, const char *name, const char *what, const char *const *accept, size_t max,
		 char **ret_body, size_t *ret_len, char **ret_type, char **ret_digest, struct err *e)
{
	_cleanup_(registry_answer_done) struct registry_answer a = {};
	int k = registry_get_url(r, registry_url(r, kind, name), what, accept, max, &a, e);

	if (k < 0)
		return k;
	*ret_len = a.len;
	*ret_body = TAKE_PTR(a.body);
	if (ret_type)
		*ret_type = TAKE_PTR(a.type);
	if (ret_digest)
		*ret_digest = TAKE_PTR(a.digest);
	return 0;
}
