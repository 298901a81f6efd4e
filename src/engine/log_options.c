/* log_options.c: --log-driver and --log-opt: where what a container writes goes, beside its clients. */
#include "engine_impl.h"

#define LOG_MAX_BYTES (10u << 20) /* a file, of LOG_MAX_FILES */
#define LOG_MAX_FILES 3

static int take_size(const char *v, struct launch *l, struct err *e)
{
	uint64_t bytes = 0;

	if (!streq(v, "-1") && (str_to_bytes(v, &bytes) < 0 || bytes == 0))
		return err_set(e, EINVAL, "--log-opt: max-size: \"%s\" is not a size, such as 10m; -1 is no limit", v);
	l->log_max_bytes = bytes;
	return 0;
}

static int take_files(const char *v, struct launch *l, struct err *e)
{
	uint64_t n;

	if (str_to_u64(v, &n) < 0 || n < 1 || n > 1000)
		return err_set(e, EINVAL, "--log-opt: max-file: \"%s\" is out of range; 1 to 1000 are possible", v);
	l->log_max_files = (uint32_t)n;
	return 0;
}

static const struct {
	const char *name;
	int (*take)(const char *v, struct launch *l, struct err *e);
} known[] = { { "max-size", take_size }, { "max-file", take_files } };

static int take_option(const char *driver, const char *text, struct launch *l, struct err *e)
{
	const char *eq = strchr(text, '=');

	for (size_t i = 0; eq && streq(driver, "json-file") && i < ARRAY_SIZE(known); i++)
		if (str_after(text, known[i].name) == eq)
			return known[i].take(eq + 1, l, e);
	if (!eq)
		return err_set(e, EINVAL, "--log-opt: \"%s\" is not NAME=VALUE", text);
	return err_set(e, EINVAL, "--log-opt: unknown log opt '%.*s' for %s log driver%s", (int)(eq - text), text, driver,
		       streq(driver, "json-file") ? "; max-size and max-file are known" : ", which has none");
}

int log_plan(const struct run_opts *o, const char *dir, struct launch *l, struct err *e)
{
	static const char *const drivers[] = { "json-file", "none", "journald" };
	const char *driver = o->log_driver && *o->log_driver ? o->log_driver : drivers[0];
	size_t i = 0;
	int r = 0;

	while (i < ARRAY_SIZE(drivers) && !streq(drivers[i], driver))
		i++;
	if (i == ARRAY_SIZE(drivers))
		return err_set(e, EINVAL, "--log-driver: \"%s\" is not known; json-file, none and journald are", driver);
	l->log_max_bytes = LOG_MAX_BYTES;
	l->log_max_files = LOG_MAX_FILES;
	for (char *const *v = o->log_opts; v && *v && r >= 0; v++)
		r = take_option(driver, *v, l, e);
	if (r < 0)
		return r;
	l->log_driver = strdup(driver);
	l->log_path = i == 0 ? str_fmt("%s/container.log", dir) : NULL;
	if (i > 0)
		l->log_max_bytes = l->log_max_files = 0;
	return !l->log_driver || (i == 0 && !l->log_path) ? OUT_OF_MEMORY(e) : 0;
}
