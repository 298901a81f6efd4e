/* job: a container on its way from a bundle to its record, whether its first process is made (create.c) or restored (restore.c).
 *
 * Order, so that one killed at any point leaves nothing that `delete --force` can't find: the directory (job_claim), the record
 * with the cgroup's path ("creating"), only then the cgroup. */
#pragma once

#include "make.h"
#include "scope.h"

struct job {
	struct runtime *rt;
	const struct create_opts *o;
	bool is_detached, starts;
	bool is_noted; /* the record is there */
	char *console_socket, *pidfd_socket, *pid_file, *bundle_dir;
	struct bundle bundle;
	struct held held;
	struct scope scope; /* with --systemd-cgroup */
	struct container *container;
	bool makes_process; /* its network, too, which is begun as soon as config.json is read */
	struct net_ahead network;
};

/* Zero but for held: HELD_NONE. */
void job_done(struct job *j);
/* Into the bundle's directory; config.json, and what the options say of it. */
int job_read_bundle(struct job *j, struct err *e);
/* ROOT/ID, locked. */
int job_claim(struct job *j, const char *id, struct err *e);
/* Where its cgroup will be. */
int job_choose_cgroup(struct job *j, struct err *e);
/* The record, but for its process, and the saved config.json; not written yet. */
int job_fill(struct job *j, struct err *e);
/* Both, and written. */
int job_record(struct job *j, struct err *e);
/* The record says that pid is its first process, and how far it is. */
int job_record_process(struct job *j, pid_t pid, enum status written, struct err *e);
/* Hands the record over to whoever waits for the container; meanwhile it is anybody's. */
int job_keep_record(struct job *j, struct made *m, struct err *e);
/* After a failure, with processes and cgroup gone: the scope and the record. */
void job_undo(struct job *j);
