/* What the files of the driver cni share. An endpoint whose plugins have been asked for anything has a folder, STATE_DIR/cni/DEVICE, from before
 * the first of them is called until all of them have let go: whoever finds it knows what to call off, however its maker has ended.
 *
 *   job   what the plugins were given, and their result once there is one
 *   ns    the container's network namespace, mounted there: what a plugin has put into it can be taken back although all its processes
 *         have gone
 *
 * The folder is locked (flock) by whoever works on it. Plugins take turns by locks of their own: berth-net's lock is not held meanwhile,
 * so that one that hangs is in nobody else's way. */
#pragma once

#include "cni.h"
#include "impl.h"

struct cni_job {
	char *container, *ifname, *network; /* network: its name, for errors */
	char *conf, *path;
	char *runtime; /* what plugins are given by capability: an object of all that there is */
	char *result;  /* of the last plugin; NULL: there is none yet */
	uint32_t seconds;
};

/* cni_job.c */
struct cni_dir {
	char *path;
	int fd; /* locked */
};
/* make: where there is none. -ENOENT. */
int cni_dir_open(const char *state_dir, const char *device, bool make, struct cni_dir *ret);
void cni_dir_close(struct cni_dir *d);
int cni_dir_remove(const char *state_dir, const char *device, struct cni_dir *d); /* with the namespace's mount */
int cni_dir_pin(const struct cni_dir *d, int ns);                                 /* mounts the namespace there */
/* Its path for a plugin, the caller's; "" where it isn't there (any more). NULL on ENOMEM. */
char *cni_dir_namespace(const struct cni_dir *d);
int cni_job_write(const struct cni_dir *d, const struct cni_job *j);
int cni_job_read(const struct cni_dir *d, struct cni_job *ret, struct err *e); /* -ENOENT */
void cni_job_done(struct cni_job *j);

/* cni_config.c: what plugins read. */
/* All that could be of use to a plugin of this plan's endpoint, by capability. NULL on ENOMEM. */
struct json_object *cni_runtime(const struct net_plan *p, const struct net_endpoint *ep, const struct net_port *ports);
/* What the plan asks for that no plugin of the list can do. */
int cni_check_wishes(const struct net_plan *p, const struct net_endpoint *ep, struct json_object *conf, struct err *e);
/* One plugin's: its own part, with what all are given. prev may be NULL. NULL on ENOMEM. */
struct json_object *cni_plugin_config(struct json_object *conf, size_t i, struct json_object *runtime, struct json_object *prev);

/* cni_result.c: of ADD, as the plan has it; ret->id is left alone. */
int cni_result_read(struct json_object *result, const struct net_endpoint *ep, struct net_result *ret, struct err *e);
