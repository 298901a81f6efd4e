/* export.c: `export`: all files of a container as one tar, made by berth-transfer (transfer/export.c). */
#include "container_root.h"
#include "transfer_run.h"

#include <stdio.h>
#include <unistd.h>

static int export_to(struct engine *en, int rootfd, int out, const char *progress, struct err *e)
{
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_strv_ char **args = NULL;

	if (progress && strv_push_option(&args, "--progress", strdup(progress)) < 0)
		return OUT_OF_MEMORY(e);
	const struct transfer_call call = { .verb = "export", .args = args, .stdin_fd = -1, .output_fd = out, .root_fd = rootfd };
	return transfer_run(en, &call, &answer, e);
}

/* It grows without a name and appears whole: a failed export leaves the old one. */
static int export_file(struct engine *en, int rootfd, const char *path, const char *progress, struct err *e)
{
	struct draft d;
	int r = draft_open(&d, path), k = 0;

	if (r >= 0)
		k = export_to(en, rootfd, d.fd, progress, e);
	if (r >= 0 && k >= 0)
		r = draft_keep(&d, 0600);
	draft_done(&d);
	return k < 0 ? k : r < 0 ? err_set(e, -r, "--output: %s: %s", path, strerror(-r)) : 0;
}

/* A pipe or a device is written to as it is. */
static int export_stream(struct engine *en, int rootfd, const char *path, const char *progress, struct err *e)
{
	_cleanup_fd_ int fd = streq(path, "-") ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "--output: %s: %s", path, strerror(errno));
	return export_to(en, rootfd, fd, progress, e);
}

int engine_export(struct engine *en, const char *name, const char *path, const char *progress, struct err *e)
{
	_cleanup_container_root_ struct container_root upper = CONTAINER_ROOT_NONE;
	_cleanup_(container_record_done) struct container_record c = { 0 };
	_cleanup_fd_ int merged = -1;
	struct stat st;
	int r = engine_get(en, name, &c, e);

	if (r >= 0)
		r = container_layers_open(en, &c, true, "export", &upper, &merged, NULL, e);
	if (r < 0)
		return r;
	if (streq(path, "-") || (stat(path, &st) == 0 && !S_ISREG(st.st_mode)))
		r = export_stream(en, merged, path, progress, e);
	else
		r = export_file(en, merged, path, progress, e);
	if (r < 0)
		return err_push(e, r, "container %s", c.name);
	note_event(en, &c, "export");
	return 0;
}
