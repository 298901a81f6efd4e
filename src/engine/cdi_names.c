/* cdi_names.c: names of devices, "vendor.com/class=name", and --gpus, which docker means by them. */
#include "cdi.h"

#define GPUS_MAX 1024 /* that are counted one by one */

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_alnum(char c) { return is_letter(c) || is_digit(c); }

/* s[0..n): letters, digits and `others`; the last one a letter or digit. */
static bool is_word(const char *s, size_t n, const char *others)
{
	if (n == 0 || !is_alnum(s[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_alnum(s[i]) && !strchr(others, s[i]))
			return false;
	return true;
}

static bool is_kind(const char *s, size_t n)
{
	const char *slash = memchr(s, '/', n);

	return slash && n < 320 && is_letter(*s) && is_word(s, (size_t)(slash - s), "_-.") && is_letter(slash[1]) &&
	       is_word(slash + 1, n - (size_t)(slash + 1 - s), "_-.");
}

bool cdi_kind_is_valid(const char *kind) { return is_kind(kind, strlen(kind)); }

bool cdi_device_name_is_valid(const char *name) { return is_alnum(*name) && is_word(name, strlen(name), "_-.:"); }

bool cdi_is_name(const char *text)
{
	const char *eq = strchr(text, '=');

	return eq && *text != '/' && is_kind(text, (size_t)(eq - text)) && cdi_device_name_is_valid(eq + 1);
}

/* ---- --gpus ---- */

void gpu_request_done(struct gpu_request *g)
{
	strv_free(g->ids);
	strv_free(g->names);
	*g = (struct gpu_request){ 0 };
}

/* Fields of a line of CSV: "device=0,1" in quotes is one, as docker has it. */
static int csv_split(const char *s, char ***ret, struct err *e)
{
	_cleanup_strv_ char **v = NULL;

	for (const char *at = s;; at++) {
		_cleanup_buf_ struct buf b = { 0 };
		bool quoted = *at == '"';

		buf_str(&b, "");
		for (at += quoted; *at && (quoted || *at != ','); at++) {
			if (quoted && *at == '"' && *++at != '"')
				break;
			buf_add(&b, at, 1);
		}
		if ((quoted && at[-1] != '"') || (*at && *at != ','))
			return err_set(e, EINVAL, "--gpus: '%s': quotes that don't end at a comma", s);
		if (strv_push_take(&v, buf_take(&b)) < 0)
			return OUT_OF_MEMORY(e);
		if (!*at)
			break;
	}
	*ret = TAKE_PTR(v);
	return 0;
}

static int read_count(const char *v, struct gpu_request *g, struct err *e)
{
	uint64_t n;

	if (streq(v, "all")) {
		g->count = -1;
		return 0;
	}
	if (str_to_u64(v, &n) < 0 || n == 0 || n > GPUS_MAX)
		return err_set(e, EINVAL, "--gpus: invalid count (%s): value must be either \"all\" or a number from 1 to %d", v,
			       GPUS_MAX);
	g->count = (int64_t)n;
	return 0;
}

/* What a container gets of a device is what its file says: these are taken, and change nothing. */
static int check_capabilities(const char *v, struct err *e)
{
	static const char *const known[] = { "gpu",   "nvidia",  "compute", "utility", "graphics",
					     "video", "display", "ngx",     "compat32" };
	_cleanup_strv_ char **words = strv_split(v, ',');

	if (!words)
		return OUT_OF_MEMORY(e);
	for (char **w = words; *w; w++) {
		size_t i = 0;
		while (i < ARRAY_SIZE(known) && !streq(known[i], *w))
			i++;
		if (i == ARRAY_SIZE(known))
			return err_set(e, EINVAL, "--gpus: capability \"%s\" is none of a GPU's, such as compute or utility", *w);
	}
	return 0;
}

struct gpu_words {
	const char *driver, *count, *device, *capabilities;
};

static int read_word(const char *word, struct gpu_words *w, struct err *e)
{
	const struct {
		const char *name;
		const char **to;
	} keys[] = {
		{ "driver=", &w->driver },
		{ "count=", &w->count },
		{ "device=", &w->device },
		{ "capabilities=", &w->capabilities },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *v = strchr(word, '=') ? str_after(word, keys[i].name) : keys[i].to == &w->count ? word : NULL;
		if (!v)
			continue;
		if (*keys[i].to)
			return err_set(e, EINVAL, "--gpus: '%.*s' can be specified only once", (int)strlen(keys[i].name) - 1,
				       keys[i].name);
		*keys[i].to = v;
		return 0;
	}
	return err_set(e, EINVAL, "--gpus: unexpected key in '%s'; count, device, driver and capabilities are known", word);
}

static int name_gpus(struct gpu_request *g, bool ids_are_names, struct err *e)
{
	int r = 0;

	for (char **id = g->ids; r >= 0 && id && *id; id++) {
		if (ids_are_names ? !cdi_is_name(*id) : !cdi_device_name_is_valid(*id))
			return err_set(e, EINVAL, "--gpus: device \"%s\" is not %s", *id,
				       ids_are_names ? "a name such as vendor.com/class=name" : "a number or a UUID");
		r = strv_push_take(&g->names, str_fmt("%s%s", ids_are_names ? "" : "nvidia.com/gpu=", *id));
	}
	if (g->count < 0)
		r = strv_push(&g->names, "nvidia.com/gpu=all");
	for (int64_t i = 0; r >= 0 && i < g->count; i++)
		r = strv_push_take(&g->names, str_fmt("nvidia.com/gpu=%lld", (long long)i));
	return r < 0 ? OUT_OF_MEMORY(e) : 0;
}

static int fill_request(const struct gpu_words *w, struct gpu_request *g, struct err *e)
{
	bool is_cdi = w->driver && streq(w->driver, "cdi");
	int r = w->capabilities ? check_capabilities(w->capabilities, e) : 0;

	if (r < 0)
		return r;
	if (w->driver && *w->driver && !is_cdi && !streq(w->driver, "nvidia"))
		return err_set(e, EINVAL, "--gpus: could not select device driver \"%s\"; nvidia and cdi are known", w->driver);
	if (w->count && w->device)
		return err_set(e, EINVAL, "--gpus: cannot set both count and device");
	if (is_cdi && !w->device)
		return err_set(e, EINVAL, "--gpus: driver=cdi wants its devices by name: \"device=vendor.com/class=name\"");
	if (w->device)
		g->ids = strv_split(w->device, ',');
	if (w->device && !g->ids)
		return OUT_OF_MEMORY(e);
	r = w->device ? 0 : read_count(w->count ? w->count : "1", g, e);
	return r < 0 ? r : name_gpus(g, is_cdi, e);
}

int gpu_request_parse(const char *text, struct gpu_request *ret, struct err *e)
{
	_cleanup_(gpu_request_done) struct gpu_request g = { 0 };
	_cleanup_strv_ char **words = NULL;
	struct gpu_words w = { 0 };
	int r = csv_split(text, &words, e);

	for (char **word = words; r >= 0 && *word; word++)
		r = read_word(*word, &w, e);
	if (r >= 0)
		r = fill_request(&w, &g, e);
	if (r < 0)
		return r;
	*ret = g;
	g = (struct gpu_request){ 0 };
	return 0;
}
