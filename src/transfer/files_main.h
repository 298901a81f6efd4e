/* files_main: the verbs of berth-transfer about the files of a container.
 *
 * berth-transfer copy out|in --source PATH|- --dest PATH|- [--archive] [--follow-link]
 *   out: --source is beneath fd 4, --dest this host's, in: the other way round; "-" is a tar: out: to fd 3; in: from fd 0.
 *   fd 1: {"bytes":N}: of files' content
 *   --stream: the container is a guest's: in place of fd 4, fds 7 and 8 are what it sends and is sent (files_stream.h)
 * berth-transfer diff [--mount PATH...]
 *   fd 4: an upper directory, fd 5: what is below it, merged. Lines "C /path", "A /path", "D /path" to fd 3. --mount: where something
 *   is mounted: a place that was made for it is no change.
 * berth-transfer export
 *   fd 4: a root, of which a tar goes to fd 3
 * berth-transfer commit [--mount PATH...]
 *   fds 4 and 5 as of diff: what is in the upper directory becomes a layer, and with fd 6 an image: {"config": the new image's, but
 *   for the layer's diff id, "parent": "sha256:..." of the manifest whose layers are below; absent: none}
 *   fd 1: {"manifest_digest", "image_id"}; both are in the store, and synced. Nothing is recorded
 * berth-transfer import
 *   likewise, of the tar in fd 0, or with --source of the one at that address (http, https)
 * --stream with diff, export, commit: as with copy: what fds 4 and 5 would lead to comes by fd 7
 * All with --root ROOT [--progress TEXT] [--debug]; errors as of pull (transfer.h). fds 4 and 5 are O_PATH.
 *
 * No program and no library of the container's is touched: this one is loaded before it sees the root, and can't execute another. */
#pragma once

#include "codec.h"
#include "files_stream.h"

enum { FILES_TAR_FD = 3, FILES_ROOT_FD = 4, FILES_LOWER_FD = 5, FILES_CONFIG_FD = 6, FILES_FROM_GUEST_FD, FILES_TO_GUEST_FD };

struct files_options {
	const char *root, *source, *dest, *progress;
	char **mounts;
	bool is_out, keeps_owner, follows, is_stream, is_debug;
};
/* One a verb: answers are added to `answer`. */
int copy_stream(const struct files_options *o, struct json_object *answer, struct err *e); /* copy_files with --stream */
int copy_files(const struct files_options *o, struct json_object *answer, struct err *e);
int diff_files(const struct files_options *o, struct json_object *answer, struct err *e);
int export_files(const struct files_options *o, struct json_object *answer, struct err *e);
int commit_files(const struct files_options *o, struct json_object *answer, struct err *e);
int import_files(const struct files_options *o, struct json_object *answer, struct err *e);

/* Confines this process to its open descriptors, and takes what a guest sends of its own accord, all of it, into the sink. */
int files_from_guest(enum stream_kind kind, struct file_sink *s, struct err *e);

/* Is there such a verb? */
bool is_files_verb(const char *word);
/* argv[1] is one. Exit status. */
int files_main(int argc, char **argv);
