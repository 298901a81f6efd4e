/* search: which repositories a registry has. Three ways, all of them answers of a stranger's:
 *  - /v1/search?q=TERM, docker's index and what imitates it: names with descriptions. Not in the distribution spec;
 *  - /v2/_catalog, pages of all names, where there is no such search: those that hold the term are picked here. Many big registries
 *    refuse it;
 *  - /v2/NAME/tags/list, pages of one repository's tags.
 * Pages are bounded in size and number, and a next page is on the same host. What can't be a name is left out: nobody could pull it. */
#include "search.h"

#include <stdio.h>

#include "image_spec.h"
#include "ref.h"
#include "reg_url.h"
#include "registry.h"

#define ANSWER_MAX (1u << 20)
#define PAGE_MAX   (4u << 20)
#define PAGES_MAX  1000
#define PAGE_NAMES 1000
#define TEXT_MAX   2000 /* of a description */

static int no_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }

static char *escaped(const char *s)
{
	char *made = curl_easy_escape(NULL, s, 0), *copy = made ? strdup(made) : NULL;

	curl_free(made);
	return copy;
}

static int not_so(const struct registry *g, const char *what, struct err *e)
{
	return err_set(e, EPROTO, "registry %s: its answer is not a %s's", g->domain, what);
}

static int get(struct registry *g, char *url, const char *what, size_t max, struct json_object **ret, char **ret_link,
	       struct err *e)
{
	_cleanup_(registry_answer_done) struct registry_answer a = {};
	int r = registry_get_url(g, url, what, NULL, max, &a, e);

	if (r < 0)
		return r;
	r = json_parse(a.body, a.len, what, ret, e);
	if (r < 0)
		return err_push(e, r, "registry %s", g->domain);
	*ret_link = TAKE_PTR(a.link);
	return json_object_is_type(*ret, json_type_object) ? 0 : not_so(g, what, e);
}

static bool is_name(const char *domain, const char *name, const char *tag)
{
	_cleanup_free_ char *text = str_fmt("%s/%s:%s", domain, name, tag);
	struct ref ref;

	if (!text || strpbrk(name, ":@") || strpbrk(tag, "@/") || ref_parse(text, NULL, &ref, NULL) < 0)
		return false;
	ref_done(&ref);
	return true;
}

/* ---- /v1/search ---- */

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

static bool flag_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_boolean) && json_object_get_boolean(v);
}

/* As long as is shown, and whole characters. */
static struct json_object *description_of(struct json_object *o)
{
	const char *s = text_of(o, "description");
	size_t n = strnlen(s, TEXT_MAX);

	while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return json_object_new_string_len(s, (int)n);
}

/* Names of an index that is not docker's may begin with its domain. */
static int add_found(const struct registry *g, struct json_object *from, struct json_object *list, struct err *e)
{
	_cleanup_json_ struct json_object *row = json_object_new_object();
	const char *name = text_of(from, "name"), *inner = str_after(name, g->domain);
	struct json_object *stars;
	int64_t n = json_object_object_get_ex(from, "star_count", &stars) ? json_object_get_int64(stars) : 0;

	if (inner && *inner == '/')
		name = inner + 1;
	if (!is_name(g->domain, name, "latest"))
		return 0;
	if (json_add(row, "name", json_object_new_string(name)) < 0 || json_add(row, "description", description_of(from)) < 0 ||
	    json_add(row, "star_count", json_object_new_int64(MAX(n, 0))) < 0 ||
	    json_add(row, "is_official", json_object_new_boolean(flag_of(from, "is_official"))) < 0 ||
	    json_add(row, "is_automated", json_object_new_boolean(flag_of(from, "is_automated"))) < 0 ||
	    json_object_array_add(list, row) < 0)
		return no_memory(e);
	row = NULL;
	return 0;
}

static int ask_index(const struct search_request *q, struct registry *g, const char *base, struct json_object *list,
		     struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *term = escaped(q->term), *link = NULL;
	struct json_object *results;
	char *url = term ? str_fmt("%s/v1/search?q=%s&n=%u", base, term, q->limit) : NULL;
	int r = url ? get(g, url, "search", ANSWER_MAX, &o, &link, e) : no_memory(e);

	if (r < 0)
		return r;
	if (!json_object_object_get_ex(o, "results", &results) || !json_object_is_type(results, json_type_array))
		return not_so(g, "search", e);
	for (size_t i = 0; r >= 0 && i < json_object_array_length(results) && json_object_array_length(list) < q->limit; i++) {
		struct json_object *one = json_object_array_get_idx(results, i);
		r = json_object_is_type(one, json_type_object) ? add_found(g, one, list, e) : not_so(g, "search", e);
	}
	return r;
}

/* ---- pages of names ---- */

struct pages {
	struct registry *g;
	const char *what, *key, *term; /* term NULL: all of them are wanted */
	unsigned limit;
	int (*add)(const struct pages *p, const char *name, struct json_object *list, struct err *e);
	const char *path; /* of the repository whose tags they are */
};

/* <URL>; rel="next", RFC 8288; *ret NULL: this was the last page. */
static int next_page(const struct registry *g, const char *now, const char *link, char **ret, struct err *e)
{
	_cleanup_url_ struct url_facts facts = {};
	_cleanup_free_ char *inner = NULL, *url = NULL;
	const char *end = link && *link == '<' ? strchr(link, '>') : NULL;
	int r;

	if (!end || !strstr(end, "rel=\"next\""))
		return 0;
	inner = strndup(link + 1, (size_t)(end - link - 1));
	if (!inner)
		return no_memory(e);
	r = url_join(now, inner, &url, e);
	if (r >= 0)
		r = url_facts_read(url, &facts, e);
	if (r < 0)
		return err_push(e, r, "registry %s", g->domain);
	if (!streq(facts.origin, g->origin))
		return err_set(e, EPERM, "registry %s continues its list at %s: refused", g->domain, facts.host);
	*ret = TAKE_PTR(url);
	return 0;
}

static int add_repository(const struct pages *p, const char *name, struct json_object *list, struct err *e)
{
	_cleanup_json_ struct json_object *from = NULL;

	if (!strstr(name, p->term))
		return 0;
	from = json_object_new_object();
	if (json_add(from, "name", json_object_new_string(name)) < 0)
		return no_memory(e);
	return add_found(p->g, from, list, e);
}

static int add_tag(const struct pages *p, const char *tag, struct json_object *list, struct err *e)
{
	if (!is_name(p->g->domain, p->path, tag))
		return 0;
	return json_object_array_add(list, json_object_new_string(tag)) < 0 ? no_memory(e) : 0;
}

static int read_page(const struct pages *p, struct json_object *o, struct json_object *list, size_t *ret_n, struct err *e)
{
	struct json_object *names;
	int r = 0;

	*ret_n = 0;
	if (!json_object_object_get_ex(o, p->key, &names) || (names && !json_object_is_type(names, json_type_array)))
		return not_so(p->g, p->what, e);
	*ret_n = names ? json_object_array_length(names) : 0; /* null: none */
	for (size_t i = 0; r >= 0 && i < *ret_n && json_object_array_length(list) < p->limit; i++) {
		struct json_object *one = json_object_array_get_idx(names, i);
		r = json_object_is_type(one, json_type_string) ? p->add(p, json_object_get_string(one), list, e)
							       : not_so(p->g, p->what, e);
	}
	return r;
}

/* Takes url. */
static int read_pages(const struct pages *p, char *url, struct json_object *list, struct err *e)
{
	_cleanup_free_ char *now = url;
	int r = now ? 0 : no_memory(e);

	for (int i = 0; r >= 0 && now && json_object_array_length(list) < p->limit; i++) {
		_cleanup_json_ struct json_object *o = NULL;
		_cleanup_free_ char *link = NULL, *next = NULL;
		size_t n;

		if (i == PAGES_MAX)
			return err_set(e, EFBIG,
				       "registry %s: its %s goes on after %d pages: name what you look for without a search",
				       p->g->domain, p->what, PAGES_MAX);
		char *copy = strdup(now); /* get takes it */
		r = copy ? get(p->g, copy, p->what, PAGE_MAX, &o, &link, e) : no_memory(e);
		if (r >= 0)
			r = read_page(p, o, list, &n, e);
		if (r >= 0)
			r = next_page(p->g, now, link, &next, e);
		if (r >= 0 && next && n == 0)
			return err_set(e, EPROTO, "registry %s: an empty page of its %s is not the last", p->g->domain, p->what);
		free(now);
		now = TAKE_PTR(next);
	}
	return r;
}

static int ask_catalog(const struct search_request *q, struct registry *g, struct json_object *list, struct err *e)
{
	const struct pages p = {
		.g = g, .what = "catalog", .key = "repositories", .term = q->term, .limit = q->limit, .add = add_repository
	};
	int r = read_pages(&p, str_fmt("%s/v2/_catalog?n=%d", g->base, PAGE_NAMES), list, e);

	if (r == -ENOENT)
		return err_set(e, EOPNOTSUPP, "registry %s can't be searched: it has neither a search nor a catalog", g->domain);
	return r;
}

static int ask_tags(const struct search_request *q, struct registry *g, struct json_object *list, struct err *e)
{
	const struct pages p = {
		.g = g, .what = "list of tags", .key = "tags", .limit = q->limit, .add = add_tag, .path = q->tags
	};
	char *url = str_fmt("%s/v2/%s/tags/list?n=%u", g->base, q->tags, MIN(q->limit, (unsigned)PAGE_NAMES));
	int r = read_pages(&p, url, list, e);

	return r == -ENOENT ? err_set(e, ENOENT, "registry %s has no repository %s", g->domain, q->tags) : r;
}

static int ask(const struct search_request *q, struct registry *g, struct json_object *list, struct err *e)
{
	struct err why = {};
	int r;

	if (q->tags)
		return ask_tags(q, g, list, e);
	if (streq(q->domain, "docker.io"))
		return ask_index(q, g, "https://index.docker.io", list, e);
	if (!*q->term)
		return ask_catalog(q, g, list, e);
	r = ask_index(q, g, g->base, list, &why);
	/* It may have none, answer with a page for people, or refuse what it doesn't know. */
	if (r == -ENOENT || r == -EACCES || r == -EINVAL || r == -EPROTO)
		return ask_catalog(q, g, list, e);
	if (r < 0 && e)
		*e = why;
	return r;
}

int search(const struct search_request *q, struct json_object **ret, struct err *e)
{
	_cleanup_(registry_close) struct registry g = {};
	_cleanup_(http_free_ptr) struct http *http = NULL;
	_cleanup_json_ struct json_object *list = json_object_new_array();
	int r = list ? registry_connect(&q->access, q->domain, q->tags, false, NULL, &g, &http, e) : no_memory(e);

	if (r >= 0)
		r = ask(q, &g, list, e);
	registry_close(&g); /* before the connections that it uses */
	if (r >= 0)
		*ret = TAKE_PTR(list);
	return r;
}
