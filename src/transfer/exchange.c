/* The life of an exchange:
 *
 *   IDLE --launch--> FLYING --2xx--> done
 *                    FLYING --3xx: follow--> FLYING (at now_url)
 *                    FLYING --401 of the registry itself: login--> FLYING
 *                    FLYING --408, 429, 5xx, broken transport: retreat--> WAITING --time--> FLYING (at url)
 *                    FLYING --anything else--> given up
 *
 * Called by registry.c (small documents) and download.c (blobs). */
#include "exchange.h"

#include <sys/random.h>

#include "codec.h"
#include "reg_url.h"

#define HOPS_MAX   5
#define LOGINS_MAX 2

static int on_begin(struct http_req *q, void *arg)
{
	struct exchange *x = arg;

	x->logins = 0;
	return x->begin ? x->begin(q, x->arg) : 0;
}

static void progressed(struct exchange *x)
{
	x->window_us = clock_mono_us();
	retry_progressed(&x->retry, x->window_us);
}

static int on_body(const void *p, size_t n, void *arg)
{
	struct exchange *x = arg;

	x->fresh_bytes += n;
	if (x->fresh_bytes >= RETRY_PROGRESS_BYTES) {
		x->fresh_bytes = 0;
		progressed(x);
	}
	return x->body ? x->body(p, n, x->arg) : 0;
}

static void note_sent(struct exchange *x)
{
	if (x->req.sent < x->sent + RETRY_PROGRESS_BYTES)
		return;
	x->sent = x->req.sent;
	progressed(x);
}

static int launch(struct exchange *x, struct err *e)
{
	const char *url = x->now_url ? x->now_url : x->url;
	_cleanup_url_ struct url_facts facts = {};
	int r = url_facts_read(url, &facts, e);

	if (r < 0)
		return r;
	x->req.url = url;
	x->req.authorization = streq(facts.origin, x->reg->origin) ? x->reg->authorization : NULL;
	x->req.method = x->method;
	x->req.source = x->source;
	x->req.sent_type = x->sent_type;
	x->req.accept = x->accept;
	x->req.range_from = x->offset ? x->offset(x->arg) : 0;
	x->req.begin = on_begin;
	x->req.body = on_body;
	x->req.arg = x;
	x->login_round = x->reg->login_round;
	r = http_start(x->reg->http, &x->req, e);
	if (r < 0)
		return r;
	x->state = EXCHANGE_FLYING;
	x->window_us = clock_mono_us();
	x->fresh_bytes = x->sent = 0;
	return 0;
}

/* When the try under way has to be cut off. */
static uint64_t deadline_us(const struct exchange *x)
{
	uint64_t stall_us = x->retry.stall_ms * 1000;

	if (x->source && x->req.sent == x->source->bytes) /* all is there, and the registry looks at it */
		return x->window_us + stall_us;
	return MIN(x->window_us + MAX(stall_us / 3, 1000000u), x->retry.progress_us + stall_us);
}

int exchange_start(struct exchange *x, struct err *e)
{
	retry_start(&x->retry, clock_mono_us(), x->reg->stall_ms);
	x->hops = x->logins = 0;
	free_ptr(&x->now_url);
	return launch(x, e);
}

/* ---- what to say ---- */

/* {"errors": [{"code", "message"}]} of the distribution spec, as far as it is there; buf holds the result. */
static const char *registry_says(const struct http_req *q, char *buf, size_t n)
{
	_cleanup_json_ struct json_object *doc = NULL;
	struct json_object *list, *first, *text;

	if (!q->error_body.data || json_parse(q->error_body.data, q->error_body.len, "", &doc, NULL) < 0 ||
	    !json_object_is_type(doc, json_type_object) || !json_object_object_get_ex(doc, "errors", &list) ||
	    !json_object_is_type(list, json_type_array) || !(first = json_object_array_get_idx(list, 0)) ||
	    !json_object_is_type(first, json_type_object) ||
	    (!json_object_object_get_ex(first, "message", &text) && !json_object_object_get_ex(first, "code", &text)) ||
	    !json_object_is_type(text, json_type_string))
		return "";
	snprintf(buf, n, " (%.160s)", json_object_get_string(text));
	return buf;
}

static int give_up_status(const struct exchange *x, struct err *e)
{
	const struct http_req *q = &x->req;
	const char *domain = x->reg->domain;
	char buf[200];
	const char *says = registry_says(q, buf, sizeof(buf));

	if (q->status == 404)
		return err_set(e, ENOENT, "registry %s has no %s%s", domain, x->what, says);
	if (q->status == 401 || q->status == 403)
		return err_set(e, EACCES, "registry %s refuses access to %s%s: check the name, or log in with berth login",
			       domain, x->what, says);
	if (q->status == 429)
		return err_set(e, EBUSY, "registry %s has no time for us (status 429)%s: try again later", domain, says);
	return err_set(e, EIO, "registry %s answers the request for %s with status %ld%s", domain, x->what, q->status, says);
}

static int give_up_transport(const struct exchange *x, struct err *e)
{
	const char *domain = x->reg->domain, *text = x->req.text[0] ? x->req.text : curl_easy_strerror(x->req.code);

	switch (x->req.code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return err_set(e, EKEYREJECTED,
			       "registry %s: its certificate is not trusted: %s; put its CA into /etc/docker/certs.d/%s/ca.crt, "
			       "or give --tls-skip-verify",
			       domain, text, domain);
	case CURLE_SSL_CONNECT_ERROR:
		return err_set(e, EPROTO, "registry %s does not speak TLS as asked: %s; if it is a plain one, give --plain-http",
			       domain, text);
	case CURLE_COULDNT_RESOLVE_HOST:
		return err_set(e, EHOSTUNREACH, "registry %s: no such host: check the name and the network", domain);
	case CURLE_COULDNT_CONNECT: return err_set(e, ECONNREFUSED, "registry %s can't be reached: %s", domain, text);
	case CURLE_OPERATION_TIMEDOUT: return err_set(e, ETIMEDOUT, "registry %s can't be reached: %s", domain, text);
	default: return err_set(e, EIO, "registry %s: the connection broke while fetching %s: %s", domain, x->what, text);
	}
}

static int stalled(const struct exchange *x, struct err *e)
{
	return err_set(e, ETIMEDOUT, "registry %s stalls: no progress with %s for %llu s", x->reg->domain, x->what,
		       (unsigned long long)(x->retry.stall_ms + 999) / 1000);
}

/* ---- what to do ---- */

static int follow(struct exchange *x, struct err *e)
{
	_cleanup_url_ struct url_facts from = {}, to = {};
	_cleanup_free_ char *next = NULL;
	int r;

	if (++x->hops > HOPS_MAX)
		return err_set(e, ELOOP, "registry %s: more than %d redirects for %s", x->reg->domain, HOPS_MAX, x->what);
	if (!x->req.location)
		return err_set(e, EPROTO, "registry %s redirects %s to nowhere", x->reg->domain, x->what);
	r = url_join(x->req.url, x->req.location, &next, e);
	if (r >= 0)
		r = url_facts_read(x->req.url, &from, e);
	if (r >= 0)
		r = url_facts_read(next, &to, e);
	if (r < 0)
		return err_push(e, r, "registry %s", x->reg->domain);
	if (from.is_https && !to.is_https)
		return err_set(e, EPERM, "registry %s redirects %s from https to http at %s: refused", x->reg->domain, x->what,
			       to.host);
	log_debug("registry", "%s: redirected to %s", x->what, to.origin);
	http_req_done(&x->req); /* it still points at the old address */
	free(x->now_url);
	x->now_url = TAKE_PTR(next);
	return launch(x, e);
}

static int login(struct exchange *x, struct err *e)
{
	struct registry *reg = x->reg;
	_cleanup_url_ struct url_facts at = {};
	int r = url_facts_read(x->req.url, &at, e);

	if (r < 0)
		return r;
	if (!streq(at.origin, reg->origin))
		return err_set(e, EACCES, "registry %s sends us for %s to %s, which asks for a password: refused", reg->domain,
			       x->what, at.host);
	if (x->login_round == reg->login_round) { /* nobody has logged in since this was asked */
		bool was_basic = x->req.authorization && str_after(x->req.authorization, "Basic ");

		if (was_basic)
			return err_set(e, EACCES, "registry %s refuses the user name and password", reg->domain);
		if (++x->logins > LOGINS_MAX)
			return give_up_status(x, e);
		r = registry_login(reg, &x->req.challenge, e);
		if (r < 0)
			return r;
	}
	http_req_done(&x->req);
	return launch(x, e);
}

static int retreat(struct exchange *x, enum retry_class class, int64_t after_s)
{
	uint64_t delay, now = clock_mono_us();
	uint32_t random = 0;

	/* Jitter only; without entropy the delays are merely in step. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = (uint32_t)now;
	if (x->is_once) {
		x->may_try_anew = class != RETRY_NEVER;
		x->try_after_s = after_s;
		return -ETIMEDOUT;
	}
	if (!retry_next(&x->retry, class, now, random, after_s, &delay))
		return -ETIMEDOUT;
	log_debug("registry", "%s: status %ld, %s; again in %llu ms", x->what, x->req.status, x->req.text,
		  (unsigned long long)delay);
	x->wait_until_us = now + delay * 1000;
	x->state = EXCHANGE_WAITING;
	x->hops = 0;
	http_req_done(&x->req);
	free_ptr(&x->now_url); /* a signed address may have run out: ask the registry anew */
	return 0;
}

static int judge(struct exchange *x, struct err *e)
{
	struct http_req *q = &x->req;

	if (q->refused) {
		if (q->refusal)
			return err_set(e, -q->refused, "registry %s, %s: %s", x->reg->domain, x->what, q->refusal);
		return err_set(e, -q->refused, "%s: %s", x->what, strerror(-q->refused));
	}
	if (q->status / 100 == 2) {
		if (q->code == CURLE_OK)
			return 1;
		return retreat(x, retry_class_of_curl(q->code), -1) < 0 ? give_up_transport(x, e) : 0;
	}
	switch (q->status) {
	case 0: return retreat(x, retry_class_of_curl(q->code), -1) < 0 ? give_up_transport(x, e) : 0;
	case 301:
	case 302:
	case 303:
	case 307:
	case 308: return follow(x, e);
	case 401: return login(x, e);
	default: return retreat(x, retry_class_of_status(q->status), q->retry_after_s) < 0 ? give_up_status(x, e) : 0;
	}
}

int exchange_step(struct exchange *x, struct err *e)
{
	switch (x->state) {
	case EXCHANGE_FLYING:
		if (x->req.is_done)
			return judge(x, e);
		note_sent(x);
		if (clock_mono_us() < deadline_us(x))
			return 0;
		return retreat(x, RETRY_BACKOFF, -1) < 0 ? stalled(x, e) : 0;
	case EXCHANGE_WAITING: return clock_mono_us() >= x->wait_until_us ? launch(x, e) : 0;
	case EXCHANGE_IDLE: break;
	}
	return err_set(e, EINVAL, "%s was never asked for", x->what);
}

int exchange_wait_ms(const struct exchange *x)
{
	uint64_t now = clock_mono_us(), until;

	if (x->state == EXCHANGE_IDLE)
		return -1;
	if (x->state == EXCHANGE_FLYING && x->req.is_done)
		return 0;
	until = x->state == EXCHANGE_WAITING ? x->wait_until_us : deadline_us(x);
	return until <= now ? 0 : (int)MIN((until - now) / 1000 + 1, (uint64_t)INT32_MAX);
}

void exchange_done(struct exchange *x)
{
	http_req_done(&x->req);
	free_ptr(&x->url);
	free_ptr(&x->now_url);
	x->state = EXCHANGE_IDLE;
}
