/* records: the SQLite database ROOT/berth.db (WAL, synchronous=NORMAL; FULL for image records). The one place that holds SQL.
 * Any process may open it; transactions are short; busy timeout 10 s. The schema has a version (user_version): an older one
 * is migrated, a newer one is refused. */
#pragma once

#include "spec.h"

struct records;
int records_open(const char *root, struct records **ret, struct err *e);
void records_close(struct records *r);
DEFINE_CLEANUP(struct records *, records_close)

/* The file itself, and rows that speak of what is not there: each is told. repair: such rows are deleted. -> how many were told, or
 * -errno. */
int records_check(struct records *r, bool repair, void (*cb)(const char *kind, const char *name, const char *problem, void *arg),
		  void *arg, struct err *e);

/* ---- images ---- */
struct image_record {
	char *id, *manifest_digest, *created;
	uint64_t size_bytes;
	char **chain_ids;  /* lowest first */
	char *config_json; /* the config blob's text: spares `run` a file */
	uint64_t pulled_ns;
};
void image_record_done(struct image_record *r);
int records_image_put(struct records *r, const struct image_record *i, const char *ref /* may be NULL */, char **ret_old_id,
		      struct err *e);
/* name: full reference text, "sha256:..." id, manifest digest, or id prefix. -ENOENT; -ENOTUNIQ for an ambiguous prefix. */
int records_image_get(struct records *r, const char *name, struct image_record *ret, struct err *e);
int records_image_list(struct records *r, struct image_record **ret, size_t *ret_n, struct err *e); /* newest first */
int records_tags(struct records *r, const char *image_id /* NULL = all */, char ***ret_refs, char ***ret_ids, struct err *e);
int records_tag_put(struct records *r, const char *ref, const char *image_id, struct err *e);
int records_tag_delete(struct records *r, const char *ref, struct err *e);
int records_image_delete(struct records *r, const char *id, struct err *e); /* with its tags; 0 also when gone */
/* 1 and the oldest container (running or paused only, if asked) made from that image; 0 when there is none. */
int records_image_user(struct records *r, const char *image_id, bool running_only, char **ret_container_id, struct err *e);

/* ---- containers ---- */
/* Kept as numbers. RESTARTING: it has ended, and its monitor waits to start it again. */
enum container_state { CS_CREATED, CS_RUNNING, CS_PAUSED, CS_EXITED, CS_DEAD, CS_REMOVING, CS_RESTARTING };
/* Docker's State.Running: there is a monitor that it belongs to. */
static inline bool container_is_up(enum container_state s) { return s == CS_RUNNING || s == CS_PAUSED || s == CS_RESTARTING; }
enum container_health { HEALTH_NONE, HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY };
const char *container_health_name(enum container_health h); /* "none", "starting", ... as docker */
const char *container_state_name(enum container_state s);   /* "created", "running", ... as docker */
struct volume_record {
	char *name, *driver;
	uint64_t created_ns;
	struct string_map options, labels;
	bool is_used; /* read only: by a container, running or not */
};
struct volume_use {
	char *name;
	bool is_own;                      /* made for this container, without a name of the user's: it may go with it */
	const struct volume_record *made; /* put only: a new one's record, which comes with the container's; borrowed; or NULL */
};
struct container_record {
	char *id, *name, *image_id, *image_ref, *isolation;
	uint64_t created_ns, started_ns, finished_ns;
	enum container_state state;
	int exit_code; /* -1 = unknown */
	bool oom_killed, auto_remove, has_tty;
	bool is_stopped;       /* its end was the user's wish */
	int64_t restart_count; /* times that it was started again since somebody started it */
	enum container_health health;
	char *error;             /* why it could not start, or NULL */
	char *options_json;      /* what `inspect` and a later `start` need: engine/options.c owns its form */
	char *pod_id, *pod_name; /* of the pod it was made in, or NULL; the name is looked up, and not put */
	struct string_map labels;
	const struct volume_use *volumes; /* borrowed, and only put: records_container_volumes tells them */
	size_t n_volumes;
	struct endpoint_request *endpoints; /* the same, and filled in: records_endpoints tells them */
	size_t n_endpoints;
	char *ports_json; /* as published while it runs: engine/ports.c owns its form; NULL: none. Put by records_container_ports;
			   or what is published of its pod */
};
void container_record_done(struct container_record *c);
/* Inserts; -EEXIST when the name is taken: "the name X is in use by container ID: remove or rename it, ...". -ENOENT when
 * image_id is a "sha256:..." that has no record (removed since it was found), or pod_id a pod's or a volume that has none. */
int records_container_put(struct records *r, const struct container_record *c, struct err *e);
/* By name, id or unique id prefix. */
int records_container_get(struct records *r, const char *name, struct container_record *ret, struct err *e);
int records_container_list(struct records *r, bool all, struct container_record **ret, size_t *ret_n, struct err *e);
/* State transitions; the table in states.c is checked (-EINVAL, "container X is exited: it can't become exited"). Of `to` it takes
 * what belongs to the new state: running: started_ns, health; exited: finished_ns, exit_code, oom_killed, is_stopped, error (from
 * restarting only the last two: how it ended is known already); restarting: the same as exited without is_stopped, and one more is
 * counted; created (a start that failed): exit_code, error; others: error when not NULL;
 * removing also auto_remove, by which who finishes an interrupted removal knows that its own volumes go too. */
bool container_state_may(enum container_state from, enum container_state to);
int records_container_state(struct records *r, const char *id, const struct container_record *to, struct err *e);
/* -EEXIST: a container or a pod has that name. -ENOENT. */
int records_container_rename(struct records *r, const char *id, const char *old_name, const char *new_name, struct err *e);
/* It is about to be stopped as the user wishes: kept until it begins to run again. 0 also when gone. */
int records_container_stopped(struct records *r, const char *id, struct err *e);
/* How the running one is; with its event. 0 also when it is gone or does not run. */
int records_container_health(struct records *r, const char *id, enum container_health health, struct err *e);
/* Other options than it was created with (update). -ENOENT. */
int records_container_options(struct records *r, const char *id, const char *options_json, struct err *e);
/* What of its ports is published now. 0 also when gone. */
int records_container_ports(struct records *r, const char *id, const char *ports_json, struct err *e);
int records_container_delete(struct records *r, const char *id, struct err *e); /* 0 also when gone; its endpoints with it */
/* The same for one that has just ended (to: as for a state of exited), in one step. */
int records_container_delete_ended(struct records *r, const char *id, const struct container_record *to, struct err *e);

/* ---- volumes: ROOT/volumes/NAME, whose record comes before its files and goes before them ---- */
void volume_record_done(struct volume_record *v);
void volume_records_free(struct volume_record *list, size_t n);
/* -EEXIST: it is there already. durable: it is on the disk when this returns. */
int records_volume_put(struct records *r, const struct volume_record *v, bool durable, struct err *e);
/* By its whole name. -ENOENT: "get X: no such volume". */
int records_volume_get(struct records *r, const char *name, struct volume_record *ret, struct err *e);
int records_volume_list(struct records *r, struct volume_record **ret, size_t *ret_n, struct err *e); /* by name */
/* Ids and names of the containers that use it, oldest first. strv_free them. */
int records_volume_users(struct records *r, const char *name, char ***ret_ids, char ***ret_names, struct err *e);
/* What a container uses, as it was put. volume_uses_free it. */
int records_container_volumes(struct records *r, const char *id, struct volume_use **ret, size_t *ret_n, struct err *e);
void volume_uses_free(struct volume_use *list, size_t n);
/* 0 also when gone. -EBUSY: a container other than except_id (may be NULL) uses it; e names them in docker's words. */
int records_volume_delete(struct records *r, const char *name, const char *except_id, struct err *e);

/* ---- pods ---- */
struct pod_record {
	char *id, *name, *isolation;
	uint64_t created_ns;
	char *options_json; /* as a container's */
	struct string_map labels;
	struct endpoint_request *endpoints; /* borrowed, only put, and filled in: as a container's */
	size_t n_endpoints;
	char *ports_json; /* as published while it runs, by records_pod_ports; NULL: none */
};
void pod_record_done(struct pod_record *p);
/* Inserts, with its endpoints; -EEXIST when a pod or a container has the name. */
int records_pod_put(struct records *r, const struct pod_record *p, struct err *e);
/* What of its ports is published now. 0 also when gone. */
int records_pod_ports(struct records *r, const char *id, const char *ports_json, struct err *e);
/* By name, id or unique id prefix. */
int records_pod_get(struct records *r, const char *name, struct pod_record *ret, struct err *e);
int records_pod_list(struct records *r, struct pod_record **ret, size_t *ret_n, struct err *e); /* newest first */
int records_pod_delete(struct records *r, const char *id, struct err *e); /* -EBUSY while it has containers; 0 also when gone */

/* ---- networks, and who is on them ----
 * Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that memcmp orders them. An endpoint's addresses are its
 * own from its record's beginning to its end, whether its container runs or not: no two records of a network have one in common. */
struct net_range {
	uint8_t first[16], last[16];
};
struct network_record {
	char *id, *name, *driver;
	uint64_t created_ns;
	char *config_json; /* engine/network_config.c owns its form */
	struct string_map labels;
	uint64_t n_endpoints; /* read only */
};
void network_record_done(struct network_record *n);
void network_records_free(struct network_record *list, size_t n);
/* subnets: the whole ranges. -EEXIST: the name is taken. -EADDRINUSE: another network has some of these addresses; e names it. */
int records_network_put(struct records *r, const struct network_record *n, const struct net_range *subnets, size_t n_subnets,
			struct err *e);
/* By name, id or unique id prefix. -ENOENT: "network X not found". */
int records_network_get(struct records *r, const char *name, struct network_record *ret, struct err *e);
int records_network_list(struct records *r, struct network_record **ret, size_t *ret_n, struct err *e); /* by name */
int records_network_delete(struct records *r, const char *id, struct err *e); /* -EBUSY: e names who is on it; 0 also when gone */

struct endpoint_record {
	char *id;           /* 64 hexadecimal digits */
	char *container_id; /* or a pod's */
	char *network_id, *mac;
	char *options_json; /* aliases and the like: engine/network_config.c owns its form; may be NULL */
	uint32_t ordinal;   /* of its container's endpoints: N of ethN */
	bool has_address4, has_address6;
	uint8_t address4[16], address6[16];
	char *network_name, *container_name; /* read only; the second also of a pod */
};
void endpoint_record_done(struct endpoint_record *p);
void endpoint_records_free(struct endpoint_record *list, size_t n);
/* One to be. The addresses that `record` has are taken, or it is -EADDRINUSE; of each family that has a pool and no address, the next
 * that is free behind the one given last, and around; -ENOSPC, with the network's name, where all are taken. */
struct endpoint_request {
	struct endpoint_record record;
	struct net_range pool4, pool6;
	bool has_pool4, has_pool6;
	const uint8_t (*excluded)[16]; /* gateways, auxiliary addresses: never given out by themselves */
	size_t n_excluded;
};
/* To a container or pod that is there. -EEXIST: it is on that network already; -ENOENT: network or container is gone. The record's
 * addresses are filled in. */
int records_endpoint_put(struct records *r, struct endpoint_request *q, struct err *e);
/* What else its record says, anew. 0 also where it is gone. */
int records_endpoint_options(struct records *r, const char *id, const char *options_json, struct err *e);
int records_endpoint_delete(struct records *r, const char *network_id, const char *container_id, struct err *e); /* -ENOENT */
/* By ordinal; of a network: by container's name. Either may be NULL, not both. */
int records_endpoints(struct records *r, const char *container_id, const char *network_id, struct endpoint_record **ret,
		      size_t *ret_n, struct err *e);

/* ---- snapshots of VMs: ROOT/snapshots/ID, whose files are whole when the record comes, and go after it ---- */
struct snapshot_record {
	char *id, *name;
	char *vm_id, *vm_name, *image_id, *image_ref; /* of what was saved */
	char *parent_id;                              /* of a diff: the snapshot that it needs; NULL: a whole one */
	char *parent_name;                            /* read only */
	uint64_t created_ns, size_bytes;              /* as it lies on the disk */
};
void snapshot_record_done(struct snapshot_record *s);
void snapshot_records_free(struct snapshot_record *list, size_t n);
/* -EEXIST: the name is taken; -ENOENT: its parent is gone. */
int records_snapshot_put(struct records *r, const struct snapshot_record *s, struct err *e);
/* By name, id or unique id prefix. -ENOENT: "no such snapshot: X". */
int records_snapshot_get(struct records *r, const char *name, struct snapshot_record *ret, struct err *e);
int records_snapshot_list(struct records *r, struct snapshot_record **ret, size_t *ret_n, struct err *e); /* newest first */
/* 0 also when gone. -EBUSY: others need it; e names one. */
int records_snapshot_delete(struct records *r, const char *id, struct err *e);
/* 1 and the oldest snapshot of a VM made from that image; 0 when there is none. */
int records_image_snapshot(struct records *r, const char *image_id, char **ret_snapshot_id, struct err *e);

/* ---- events ---- */
struct event {
	uint64_t seq, time_ns;
	char *type, *action, *id, *attrs_json;
};
void event_done(struct event *v);
void events_free(struct event *list, size_t n);
/* What happens to containers and images is recorded by what makes it so; these are for the rest. The newest 10,000 or so are kept. */
int records_event_add(struct records *r, const char *type, const char *action, const char *id, const char *attrs_json,
		      struct err *e);
/* With the container's name, image and labels, and extra_json's members (strings; may be NULL) besides. 0 also when it is gone. */
int records_container_event(struct records *r, const char *id, const char *action, const char *extra_json, struct err *e);
/* At most max of those with seq > after_seq and time_ns >= since_ns, oldest first; events_free them. A number that is missing behind
 * after_seq was dropped for its age. */
int records_events(struct records *r, uint64_t after_seq, uint64_t since_ns, size_t max, struct event **ret, size_t *ret_n,
		   struct err *e);
int records_event_last(struct records *r, uint64_t *ret_seq, struct err *e); /* of the newest; 0: there was none yet */
/* An inotify descriptor that becomes readable whenever there may be new ones: read it empty, then look. */
int records_events_watch(struct records *r, int *ret_fd, struct err *e);
