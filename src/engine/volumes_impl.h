/* Private to the engine's files on volumes.
 *
 *   ROOT/volumes/NAME/_data       what containers see; owner and mode are theirs to change
 *   ROOT/volumes/NAME/filling     a copy of an image's files on its way; worthless when its maker is gone
 *   ROOT/volumes/NAME/filled      one that is whole, and moved into a _data that others use: whoever finds it goes on with that
 *   ROOT/volumes/.rm-ID           being removed
 *
 * The lock on ROOT/volumes/NAME (flock, never seen from inside of a container) is held shared from before a container's volume is
 * looked up until the container's record says that it uses it, exclusively by who makes, fills or removes the volume. Who holds several
 * takes them by name, in order. */
#pragma once

#include "engine_impl.h"

#define VOLUME_DATA    "_data"
#define VOLUME_FILLING "filling"
#define VOLUME_FILLED  "filled"

/* ---- volumes.c ---- */
/* Docker's grammar and words. */
int volume_check_name(const char *name, struct err *e);
int volume_check_driver(const char *name, const char *driver, struct err *e);
int volume_check_words(const char *name, char *const *options, struct err *e);
int volume_check_options(const char *name, const struct string_map *options, struct err *e); /* together */
/* ROOT/volumes/.rm-ID, or what else is below rootfd, with its limit. */
int volume_remove_files(int rootfd, const char *doomed);
/* ROOT/volumes/NAME, made where it is missing, locked: how is LOCK_SH, LOCK_EX or LOCK_EX | LOCK_NB (-EWOULDBLOCK). *ret_fd holds it. */
int volume_lock(struct engine *en, const char *name, int how, int *ret_fd, struct err *e);
/* Gives a lock away for another kind: 1, or 0 where the volume went in between and all begins anew. */
int volume_lock_as(struct engine *en, const char *name, int fd, int how, struct err *e);
enum volume_making {
	VOLUME_FIND,      /* -ENOENT where it is not recorded */
	VOLUME_MAKE,      /* then it is made; durable when this returns */
	VOLUME_MAKE_LATER /* the same, but its record comes with the container's (struct volume_use) */
};
/* Of one that is locked, exclusively where it may be made: its directory is there, and nothing of an older one of that name. */
int volume_ensure(struct engine *en, int fd, const struct volume_record *v, enum volume_making how, struct err *e);
/* 1 or 0: is it recorded? */
int volume_is_known(struct engine *en, const char *name, struct err *e);
/* The files of one that has no record. */
void volume_discard(struct engine *en, const char *name);
/* The volumes that were made for a container which is being removed and that no other container uses. */
int volumes_remove_own(struct engine *en, const char *container_id, struct err *e);
/* Before a container starts again: its volumes are there, and whole. */
int volumes_settle(struct engine *en, const char *container_id, struct err *e);
/* Which of a container's volumes a mount's source is; NULL: none. root: ROOT. */
const struct volume_use *volume_use_of(const char *root, const struct volume_use *uses, size_t n, const char *source);
/* What removals that were killed have left. The caller holds the store's lock exclusively. */
int volumes_sweep(struct engine *en, const struct leftovers *l, struct err *e);

/* ---- volumes_quota.c: -o size= ---- */
/* 1 and *ret_bytes, 0 where there is none, -EINVAL. */
int volume_size_option(const struct string_map *options, uint64_t *ret_bytes);
/* Of one that is to be made: another of the name, which would stay as it is, has no other limit. -EEXIST. */
int volume_check_size(struct engine *en, const struct volume_record *v, struct err *e);
/* Bounds what will be in ROOT/volumes/NAME, an empty directory: fd. -EOPNOTSUPP says what the host lacks. */
int volume_bound(int fd, const char *name, uint64_t bytes, struct err *e);
/* Of one that is given up: its limit goes; 0 where it has none, -errno. */
int volume_unbound(int fd);

/* ---- volumes_tmpfs.c: -o type=tmpfs ---- */
bool volume_is_memory(const struct string_map *options);
int volume_check_memory(const char *name, const struct string_map *options, struct err *e);
/* Where the volume is memory: m, a bind mount of it, becomes a file system of its own. lock: the volume's, exclusive then. -EBUSY: another
 * container has it. chowns: U was asked for. */
int volume_mount_memory(struct engine *en, const struct volume_use *u, int lock, struct spec_mount *m, bool chowns,
			struct err *e);
/* --volumes-from: none of another container's (owner) is memory, or -EBUSY. */
int volumes_refuse_memory(struct engine *en, const struct volume_use *uses, size_t n, const char *owner, struct err *e);

/* ---- volumes_fill.c: an image's files become those of an empty volume ---- */
/* Is there anything in it? A copy that is being moved in counts as something to be done: 0. */
int volume_is_settled(int fd, bool *ret_empty);
/* Of one that is locked exclusively. from: the image's directory. has_users: other containers may have the volume mounted now. */
int volume_fill(int fd, int from, bool has_users, bool durable, struct err *e);
/* Goes on with what a killed volume_fill had begun to move in; nothing else. */
int volume_settle(int fd, struct err *e);
/* ---- volumes_copy.c ---- */
/* All of one directory into another, empty one: types, owners, modes, times, extended attributes, links, holes; the same for the
 * directory itself, last. Nothing is followed. */
int volume_copy(int from, int to, struct err *e);
int volume_copy_attributes(int from, int to, struct err *e); /* of two directories alone */
/* Owner and group of all that is there (also of a file); links are not followed, mounts below not entered. */
int volume_chown(const char *path, uid_t uid, gid_t gid, struct err *e);
