/* pods: groups of containers that share network, IPC and host name, and one cgroup with limits for all of them. A pod is a record and
 * a plan on disk (monitor.h has its run state); how it fares is how its containers fare. Public with engine.h. */
#pragma once

#include "ports.h"
#include "records.h"

struct engine;
struct run_opts;

struct engine_pod {
	struct pod_record record;
	struct run_opts *o;               /* what it was created with: resources, host name, network, share */
	struct container_record *members; /* oldest first; each made true */
	size_t n;
	bool is_paused;
	const char *state; /* "Created", "Running", "Degraded" (some of them), "Paused", "Exited" */
};
void engine_pod_done(struct engine_pod *p);
void engine_pod_list_free(struct engine_pod *list, size_t n);
/* Of o: name (NULL = a generated one), isolation, hostname, share, the networks and what belongs to them, labels, cgroup_parent, shm_size, and the resources. */
int engine_pod_create(struct engine *en, const struct run_opts *o, char **ret_id, struct err *e);
/* For berth-monitor --pod: the disks of a virtual pod's containers, oldest first. */
struct pod_vm_member;
int engine_pod_disks(struct engine *en, const char *id, struct pod_vm_member **ret, size_t *ret_n, struct err *e);
void engine_pod_disks_free(struct pod_vm_member *list, size_t n);
/* For the same: what the pod is given of networks, 1 and *ret, or 0; and what of its ports is published from now on. */
int engine_pod_network(struct engine *en, const char *pod_id, struct net_plan *ret, struct err *e);
struct net_hold;
int engine_pod_note_ports(struct engine *en, const char *pod_id, const struct net_hold *h, struct err *e);
/* By name, id or unique id prefix; -ENOENT: "no such pod: X". */
int engine_pod_get(struct engine *en, const char *name, struct engine_pod *ret, struct err *e);
int engine_pod_list(struct engine *en, struct engine_pod **ret, size_t *ret_n, struct err *e); /* newest first */
int engine_pod_inspect(struct engine *en, const char *name, struct json_object **ret, struct err *e);
/* The names of its networks, none and host included, and its ports that are published now; strv_free and ports_done them. */
int engine_pod_networks(struct engine *en, const struct engine_pod *p, char ***ret, struct ports *ret_ports, struct err *e);
/* Of all its containers; what is so already is left alone. All are tried; the first failure is reported. */
int engine_pod_start(struct engine *en, const char *name, struct err *e);
int engine_pod_stop(struct engine *en, const char *name, int64_t timeout_s /* SPEC_UNSET */, struct err *e);
int engine_pod_kill(struct engine *en, const char *name, int sig, struct err *e);
int engine_pod_pause(struct engine *en, const char *name, bool paused, struct err *e);
/* With its containers; one that runs is -EBUSY without force. */
int engine_pod_remove(struct engine *en, const char *name, bool force, struct err *e);
