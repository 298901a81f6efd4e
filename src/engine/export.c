/* export.c: `export`: all files of a container as one tar, made by berth-transfer (transfer/export.c). */
#include "container_root.h"
#include "transfer_run.h"

#include <stdio.h>
#include <unistd.h>

static int export_to(struct engine *en, const struct container_record *c, int out, const char *progress, struct err *e)
{
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_container_layers_ struct container_layers l = CONTAINER_LAYERS_NONE;
	int r = container_layers_open(en, c, LAYERS_ALL, false, &l, e);

	if (r < 0)
		return r;
	if (progress && strv_push_option(&l.args, "--progress", strdup(progress)) < 0)
		return OUT_OF_MEMORY(e);
	struct transfer_call call = { .verb = "export", .stdin_fd = -1, .output_fd = out };
	return container_layers_run(en, &l, &call, &answer, e);
}

/* It grows without a name and appears whole: a failed export leaves the old one. */
static int export_file(struct engine *en, const struct container_record *c, const char *path, const char *progress, struct err *e)
{
	struct draft d;
	int r = draft_open(&d, path), k = 0;

	if (r >= 0)
		k = export_to(en, c, d.fd, progress, e);
	if (r >= 0 && k >= 0)
		r = draft_keep(&d, 0600);
	draft_done(&d);
	return k < 0 ? k : r < 0 ? err_set(e, -r, "--output: %s: %s", path, strerror(-r)) : 0;
}

/* A pipe or a device is written to as it is. */
static int export_stream(struct engine *en, const struct container_record *c, const char *path, const char *progress,
			 struct err *e)
{
	_cleanup_fd_ int fd = streq(path, "-") ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "--output: %s: %s", path, strerror(errno));
	return export_to(en, c, fd, progress, e);
}

int engine_export(struct engine *en, const char *name, const char *path, const char *progress, struct err *e)
{
	_cleanup_(container_record_done) struct container_record c = { 0 };
	struct stat st;
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	if (streq(path, "-") || (stat(path, &st) == 0 && !S_ISREG(st.st_mode)))
		r = export_stream(en, &c, path, progress, e);
	else
		r = export_file(en, &c, path, progress, e);
	if (r < 0)
		return err_push(e, r, "container %s", c.name);
	note_event(en, &c, "export");
	return 0;
}
