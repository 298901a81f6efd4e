/* The monitor as programs call it: with the real walls. Tests call monitor_run_with with one of their own. */
#include "monitor_impl.h"

int monitor_run(const struct monitor_config *cfg, struct err *e) { return monitor_run_with(cfg, isolation_find, STALL_MS, e); }

char *monitor_log_path(const struct paths *p, const char *id) { return str_fmt("%s/containers/%s/monitor.log", p->root, id); }

static int add_lines(const char *path, char ***lines, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(AT_FDCWD, path, 2 * MONITOR_LOG_MAX, &text, NULL);

	if (r == -ENOENT)
		return 0;
	for (char *at = text, *end; r == 0 && *at; at = end) {
		end = at + strcspn(at, "\n");
		if (*end)
			*end++ = '\0';
		r = strv_push(lines, at);
	}
	return r < 0 ? err_set(e, -r, "%s: %s", path, strerror(-r)) : 0;
}

int monitor_log_read(const struct paths *p, const char *id, char ***ret_lines, struct err *e)
{
	_cleanup_free_ char *path = monitor_log_path(p, id), *older = path ? str_fmt("%s.1", path) : NULL;
	_cleanup_strv_ char **lines = NULL;
	int r = older ? add_lines(older, &lines, e) : err_set(e, ENOMEM, "out of memory");

	if (r == 0)
		r = add_lines(path, &lines, e);
	if (r == 0)
		*ret_lines = TAKE_PTR(lines);
	return r;
}
