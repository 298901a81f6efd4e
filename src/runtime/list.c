/* list: the containers of a root. What can't be read is told, and the others are listed all the same. */
#include <dirent.h>
#include <stdio.h>

#include "record.h"

const struct opt list_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(union verb_opts, list.format), "FORMAT", "table or json" },
	{ "quiet", 'q', OPT_FLAG, offsetof(union verb_opts, list.is_quiet), NULL, "ids only" },
	{ NULL },
};

enum form { FORM_TABLE, FORM_JSON, FORM_IDS };

static int collect_ids(const struct runtime *rt, char ***ret, struct err *e)
{
	_cleanup_strv_ char **ids = NULL;
	int fd = root_dir_open(rt, false, e), r = 0;
	DIR *d;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd; /* no root: nothing was ever made there */
	d = fdopendir(fd);
	if (!d) {
		fd_close(fd);
		return err_set(e, ENOMEM, "out of memory");
	}
	for (struct dirent *de; r == 0 && (de = readdir(d));)
		if (de->d_name[0] != '.' && (de->d_type == DT_DIR || de->d_type == DT_UNKNOWN))
			r = strv_push(&ids, de->d_name);
	closedir(d);
	if (r < 0)
		return err_set(e, -r, "out of memory");
	*ret = TAKE_PTR(ids);
	return 0;
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* docs of runc: ID PID STATUS BUNDLE CREATED OWNER */
static int print_one(const struct runtime *rt, const char *id, const struct host *host, enum form form, struct json_object *all,
		     struct err *e)
{
	_cleanup_held_ struct held h = HELD_NONE;
	struct err why = { 0 };
	enum status st;

	if (form == FORM_IDS) {
		puts(id);
		return 0;
	}
	if (record_open(rt, id, UNLOCKED, &h, &why) < 0) {
		log_warn("list", "%s", why.msg);
		return 0;
	}
	st = record_status(&h, host);
	if (form == FORM_TABLE) {
		printf("%-40s %-8d %-9s %-40s %-31s %s\n", id, st == STATUS_STOPPED ? 0 : (int)h.rec.pid, status_names[st],
		       h.rec.bundle, h.rec.created ? h.rec.created : "", h.rec.owner ? h.rec.owner : "");
		return 0;
	}
	struct json_object *o = record_json(&h.rec, st);
	if (o && json_object_array_add(all, o) == 0)
		return 0;
	json_object_put(o);
	return err_set(e, ENOMEM, "out of memory");
}

int verb_list(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	_cleanup_json_ struct json_object *all = json_object_new_array();
	_cleanup_strv_ char **ids = NULL;
	const char *format = opts->list.format ? opts->list.format : "table";
	enum form form = opts->list.is_quiet ? FORM_IDS : streq(format, "json") ? FORM_JSON : FORM_TABLE;
	struct host host = { 0 };
	int r;

	if (!streq(format, "json") && !streq(format, "table"))
		return err_set(e, EINVAL, "--format: \"%s\" is neither table nor json", format);
	r = collect_ids(rt, &ids, e);
	if (r == 0)
		r = host_probe_cgroup(&host, e);
	if (ids)
		qsort(ids, strv_len(ids), sizeof(*ids), compare);
	if (r == 0 && form == FORM_TABLE)
		printf("%-40s %-8s %-9s %-40s %-31s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
	for (char **id = ids; r == 0 && id && *id; id++)
		r = print_one(rt, *id, &host, form, all, e);
	if (r == 0 && form == FORM_JSON)
		puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	host_done(&host);
	return r;
}
