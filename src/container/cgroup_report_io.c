/* The "blkio" part of cgroup_report(): lists of {major, minor, op, value}, from whichever files this kernel fills: bfq's with
 * and without its debugging counters, cfq's (gone in Linux 5.0), those of the throttle; on v2 io.stat. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cgroup_impl.h"

#define FILE_MAX (1u << 20)

static int add_value(struct json_object *list, unsigned major, unsigned minor, const char *op, uint64_t value)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	if (!o || (major && json_add(o, "major", json_object_new_uint64(major)) < 0) ||
	    (minor && json_add(o, "minor", json_object_new_uint64(minor)) < 0) ||
	    (*op && json_add(o, "op", json_object_new_string(op)) < 0) ||
	    (value && json_add(o, "value", json_object_new_uint64(value)) < 0) || json_object_array_add(list, o) < 0)
		return -ENOMEM;
	o = NULL; /* the list's now */
	return 0;
}

static int add_unless_empty(struct json_object *o, const char *key, struct json_object *list)
{
	if (json_object_array_length(list) > 0)
		return json_add(o, key, list);
	json_object_put(list);
	return 0;
}

/* ---- v1: "8:0 Read 123", "8:0 123", and sums that are left out ---- */

struct io_file {
	const char *key, *file;
};
#define COUNTED(prefix)                                                        \
	{ "ioServicedRecursive", prefix "io_serviced_recursive" },             \
	{                                                                      \
		"ioServiceBytesRecursive", prefix "io_service_bytes_recursive" \
	}
#define DEBUGGED(prefix)                                                                                                      \
	{ "sectorsRecursive", prefix "sectors_recursive" }, { "ioServiceTimeRecursive", prefix "io_service_time_recursive" }, \
		{ "ioWaitTimeRecursive", prefix "io_wait_time_recursive" },                                                   \
		{ "ioMergedRecursive", prefix "io_merged_recursive" }, { "ioQueueRecursive", prefix "io_queued_recursive" },  \
	{                                                                                                                     \
		"ioTimeRecursive", prefix "time_recursive"                                                                    \
	}
/* Groups end with NULL; the first whose first file has lines is used. */
static const struct io_file files[] = {
	DEBUGGED("blkio.bfq."),
	COUNTED("blkio.bfq."),
	{ NULL, NULL },
	COUNTED("blkio.bfq."),
	{ NULL, NULL },
	DEBUGGED("blkio."),
	COUNTED("blkio."),
	{ NULL, NULL },
	COUNTED("blkio.throttle."),
	{ NULL, NULL },
	{ "ioServicedRecursive", "blkio.throttle.io_serviced" },
	{ "ioServiceBytesRecursive", "blkio.throttle.io_service_bytes" },
	{ NULL, NULL },
};

/* -> whether there were lines, or -errno */
static int add_file(struct json_object *o, const struct cgroup_place *p, const struct io_file *f)
{
	_cleanup_free_ char *text = NULL;
	struct json_object *list;
	char *save = NULL;
	int r = file_read(p->fd, f->file, FILE_MAX, &text, NULL);
	bool any;

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	list = json_object_new_array();
	if (!list)
		return -ENOMEM;
	for (char *line = strtok_r(text, "\n", &save); r == 0 && line; line = strtok_r(NULL, "\n", &save)) {
		unsigned major, minor;
		char op[16] = "";
		uint64_t v;
		if (sscanf(line, "%u:%u %15s %" SCNu64, &major, &minor, op, &v) == 4)
			r = add_value(list, major, minor, op, v);
		else if (sscanf(line, "%u:%u %" SCNu64, &major, &minor, &v) == 3)
			r = add_value(list, major, minor, "", v);
	}
	any = json_object_array_length(list) > 0;
	if (r == 0)
		r = add_unless_empty(o, f->key, list);
	else
		json_object_put(list);
	return r < 0 ? r : any;
}

static int report_v1(struct json_object *o, const struct cgroup_place *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int r = add_file(o, p, &files[i]);
		if (r < 0)
			return r;
		for (i++; files[i].key; i++)
			if (r > 0 && add_file(o, p, &files[i]) < 0)
				return -ENOMEM;
		if (r > 0)
			return 0;
	}
	return 0;
}

/* ---- v2: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6" ---- */

static const struct {
	const char *key, *op;
	bool is_bytes;
} columns[] = {
	{ "rbytes", "Read", true }, { "wbytes", "Write", true }, { "dbytes", "Discard", true },
	{ "rios", "Read", false },  { "wios", "Write", false },  { "dios", "Discard", false },
};

static int add_stat_line(struct json_object *bytes, struct json_object *ios, char *line)
{
	unsigned major, minor;
	char *save = NULL, *word = strtok_r(line, " ", &save);

	if (!word || sscanf(word, "%u:%u", &major, &minor) != 2)
		return 0;
	while ((word = strtok_r(NULL, " ", &save)))
		for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
			const char *v = str_after(word, columns[i].key);
			if (v && *v == '=' &&
			    add_value(columns[i].is_bytes ? bytes : ios, major, minor, columns[i].op, strtoull(v + 1, NULL, 10)) <
				    0)
				return -ENOMEM;
		}
	return 0;
}

static int report_v2(struct json_object *o, const struct cgroup_place *p)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ struct json_object *bytes = json_object_new_array(), *ios = json_object_new_array();
	char *save = NULL;
	int r = file_read(p->fd, "io.stat", FILE_MAX, &text, NULL);

	if (r == -ENOMEM || !bytes || !ios)
		return -ENOMEM;
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		if (add_stat_line(bytes, ios, line) < 0)
			return -ENOMEM;
	r = add_unless_empty(o, "ioServiceBytesRecursive", TAKE_PTR(bytes));
	return r < 0 ? r : add_unless_empty(o, "ioServicedRecursive", TAKE_PTR(ios));
}

int cgroup_report_io(struct json_object *o, const struct cgroup *cg)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_BLKIO);

	return !p ? 0 : p->is_v2 ? report_v2(o, p) : report_v1(o, p);
}
