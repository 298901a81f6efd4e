/* inside_rights: who the process is and what it may: its identity, capabilities, filters, limits. */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "inside.h"

#define STATUS_MAX 65536u

static const struct {
	const char *line, *name;
} status_lines[] = {
	{ "CapInh:", "capInheritable" }, { "CapPrm:", "capPermitted" }, { "CapEff:", "capEffective" },
	{ "CapBnd:", "capBounding" },    { "CapAmb:", "capAmbient" },   { "NoNewPrivs:", "noNewPrivs" },
	{ "Seccomp:", "seccomp" },       { "Groups:", "groups" },
};

/* The value of a line "NAME:\tVALUE", without the blanks around it. */
static char *status_value(const char *text, const char *line)
{
	const char *at = text, *end;

	for (; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
		if (str_after(at, line))
			break;
	if (!at)
		return NULL;
	at += strlen(line);
	at += strspn(at, " \t");
	end = at + strcspn(at, "\n");
	while (end > at && end[-1] == ' ')
		end--;
	return strndup(at, (size_t)(end - at));
}

static void put_status(struct json_out *j)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(AT_FDCWD, "/proc/self/status", STATUS_MAX, &text, NULL);

	if (r < 0) {
		json_out_text(j, "why", "/proc/self/status can't be read");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(status_lines); i++) {
		_cleanup_free_ char *v = status_value(text, status_lines[i].line);
		if (v)
			json_out_text(j, status_lines[i].name, v);
	}
}

/* [[inside, outside, count], ...] */
static void put_map(struct json_out *j, const char *name, const char *path)
{
	_cleanup_free_ char *text = NULL;
	unsigned long in, out, n;

	if (file_read(AT_FDCWD, path, STATUS_MAX, &text, NULL) < 0)
		return;
	json_out_open(j, name, '[');
	for (const char *at = text; at && sscanf(at, "%lu %lu %lu", &in, &out, &n) == 3;) {
		json_out_open(j, NULL, '[');
		json_out_int(j, NULL, (long long)in);
		json_out_int(j, NULL, (long long)out);
		json_out_int(j, NULL, (long long)n);
		json_out_close(j, ']');
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	json_out_close(j, ']');
}

static void put_label(struct json_out *j)
{
	_cleanup_free_ char *text = NULL;

	if (file_read(AT_FDCWD, "/proc/self/attr/current", STATUS_MAX, &text, NULL) < 0)
		return; /* EINVAL: no module that labels */
	text[strcspn(text, "\n")] = 0;
	json_out_text(j, "label", text);
}

static void put_limits(struct json_out *j)
{
	static const struct {
		const char *name;
		int which;
	} limits[] = { { "nofile", RLIMIT_NOFILE },   { "nproc", RLIMIT_NPROC },      { "core", RLIMIT_CORE },
		       { "memlock", RLIMIT_MEMLOCK }, { "fsize", RLIMIT_FSIZE },      { "as", RLIMIT_AS },
		       { "rtprio", RLIMIT_RTPRIO },   { "msgqueue", RLIMIT_MSGQUEUE } };

	json_out_open(j, "limits", '{');
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit l;
		if (getrlimit((__rlimit_resource_t)limits[i].which, &l) == 0)
			json_out_int(j, limits[i].name, l.rlim_max == RLIM_INFINITY ? -1 : (long long)l.rlim_max);
	}
	json_out_close(j, '}');
}

void inside_rights(struct json_out *j)
{
	json_out_open(j, "rights", '{');
	json_out_int(j, "uid", geteuid());
	json_out_int(j, "gid", getegid());
	put_status(j);
	put_map(j, "uidMap", "/proc/self/uid_map");
	put_map(j, "gidMap", "/proc/self/gid_map");
	put_label(j);
	put_limits(j);
	json_out_close(j, '}');
}
