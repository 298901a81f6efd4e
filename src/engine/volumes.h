/* volumes: ROOT/volumes/NAME/_data, that containers and virtual machines mount and that outlives them. docs/VOLUMES.md. */
#pragma once

#include "records.h"

struct engine;

/* What docker marks volumes with that nobody gave a name: prune takes them without being told so. */
#define VOLUME_ANONYMOUS "com.docker.volume.anonymous"

struct engine_volume_opts {
	const char *name;     /* NULL: one of 64 digits is made up, and the volume is anonymous */
	const char *driver;   /* NULL: "local", the only one */
	char *const *options; /* "NAME=VALUE": size=; type=, device=, o= */
	char *const *labels;  /* "NAME=VALUE" */
};
/* Durable when it returns. One that is there already is no error, and stays as it is. *ret_name: caller frees. */
int engine_volume_create(struct engine *en, const struct engine_volume_opts *o, char **ret_name, struct err *e);
/* By name; volume_records_free it. Containers are made true first, so that is_used is. */
int engine_volume_list(struct engine *en, struct volume_record **ret, size_t *ret_n, struct err *e);
/* Where its files are; caller frees; NULL: out of memory. */
char *engine_volume_mountpoint(struct engine *en, const char *name);
/* Docker's JSON. */
int engine_volume_inspect(struct engine *en, const char *name, struct json_object **ret, struct err *e);
/* With all that is in it; *ret_freed_bytes (may be NULL) of the disk. -EBUSY: "remove X: volume is in use - [...]"; -ENOENT. */
int engine_volume_remove(struct engine *en, const char *name, uint64_t *ret_freed_bytes, struct err *e);
/* What a container has of the user's: volumes and host paths, not file systems in memory. */
struct engine_mount {
	char *name; /* the volume's, or the path on the host */
	char *target;
	bool is_volume;
};
int engine_container_mounts(struct engine *en, const char *container_id, struct engine_mount **ret, size_t *ret_n, struct err *e);
void engine_mounts_free(struct engine_mount *list, size_t n);
