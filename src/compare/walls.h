/* walls: what stands between a workload and the host: what berth-probe has found from inside (a text that is not to be trusted, as what
 * runs there may have written it), and what /proc and the kernel tell from outside of the processes that carry a virtual machine. */
#pragma once

#include "base.h"
#include "figures.h"
#include "json.h"

/* ---- from inside ---- */
#define WALLS_TEXT_MAX (1u << 20)
#define WALLS_NUMBERS  512u
#define WALLS_X32      548u

/* One way into the kernel: a digit is four numbers, as docs/FORMATS.md has them. */
struct walls_abi {
	bool has_entry;
	char *reached, *killed;
};
struct walls_case {
	char *id;
	bool is_reached;
};
struct walls_calls {
	char *why; /* nothing could be found out, because; else NULL */
	bool is_exact;
	struct walls_abi x86_64, i386, x32;
	struct walls_case *cases;
	size_t n_cases;
};
struct walls_rights {
	char *why;
	int64_t uid, gid;
	char *inheritable, *permitted, *effective, *bounding, *ambient, *no_new_privs, *seccomp, *label;
	int64_t (*uid_map)[3]; /* inside, outside, count */
	size_t n_uid_map;
};
struct walls_device {
	char *path, *kind;
	int64_t major, minor;
	bool is_opened;
};
struct walls_disk {
	int64_t major, minor;
	char *mknod, *open; /* why not; "": it went; open NULL: it did not come to that */
};
struct walls_devices {
	char *why;
	struct walls_device *usable;
	size_t n_usable;
	int64_t count;
	struct walls_disk disk;
};
struct walls_tree {
	char *why;
	char **names;
	int64_t count;
	bool was_cut;
};
struct walls_writable {
	struct walls_tree proc_sys, proc, sys;
	char **dangerous;
};
enum walls_ns {
	WALL_NS_CGROUP,
	WALL_NS_IPC,
	WALL_NS_MNT,
	WALL_NS_NET,
	WALL_NS_PID,
	WALL_NS_TIME,
	WALL_NS_USER,
	WALL_NS_UTS,
	WALL_NS_COUNT
};
struct walls_namespaces {
	uint64_t of[WALL_NS_COUNT]; /* 0: not known */
};
struct walls_kernel {
	char *why;
	char *release, *version, *machine, *boot_id, *hypervisor;
	bool has_hypervisor;
};
struct walls_mount {
	char *target, *type, *source, *root;
};
struct walls_mounts {
	char *why;
	struct walls_mount *outside;
	size_t n_outside;
	int64_t outside_count, count;
};
struct walls_inside {
	char *schema, *not_removed;
	bool was_removed;
	struct walls_calls calls;
	struct walls_rights rights;
	struct walls_devices devices;
	struct walls_writable writable;
	struct walls_namespaces namespaces;
	struct walls_kernel kernel;
	struct string_map masks;
	struct walls_mounts mounts;
};
/* Strict: every member that is there is of the right kind and within bounds, none is unknown. ret: zero before; walls_inside_done it also
 * after a failure. 0 or -errno with e. */
int walls_read(const char *text, size_t n, struct walls_inside *ret, struct err *e);
void walls_inside_done(struct walls_inside *w);
/* How many of the calls that have a name here a map ("reached") has; *ret_of: of how many. */
unsigned walls_count(const char *map, unsigned *ret_of);
bool walls_has(const char *map, unsigned nr);
/* x86-64's; NULL: there is none of that number here. */
const char *walls_call_name(unsigned nr);
/* Of the host, to compare with; a namespace that can't be known is 0. 0 or -errno with e. */
struct walls_host {
	char *boot_id;
	uint64_t namespaces[WALL_NS_COUNT];
};
int walls_host_get(struct walls_host *ret, struct err *e);
void walls_host_done(struct walls_host *h);
extern const char *const walls_ns_names[WALL_NS_COUNT];

/* ---- from outside ---- */

/* Of one thread's filters. */
struct walls_filter {
	unsigned always,
		sometimes; /* calls of x86-64 that all of its filters let pass whatever the arguments are; that depend on these */
	char *why;         /* not known, because */
};
struct walls_thread {
	char name[16];
	int64_t seccomp; /* mode: 0, 1, 2 */
	struct walls_filter filter;
};
struct walls_process {
	pid_t pid;
	char name[16];
	int64_t uid, no_new_privs, n_mounts;
	char *effective; /* capabilities, hex */
	struct walls_thread *threads;
	size_t n_threads;
	bool shares[WALL_NS_COUNT]; /* a namespace with the host */
	char **files;               /* of the host, and devices: what its descriptors lead to */
};
struct walls_outside {
	struct walls_process *processes;
	size_t n;
};
#define WALLS_PROCESSES_MAX 64
/* These processes (0 = none) and, where it is asked for, all that they have begun: a monitor, and what serves its virtual machine. What ends
 * meanwhile is passed over. 0 or -errno with e. */
int walls_look(const pid_t *roots, size_t n, bool with_descendants, const struct walls_host *host, struct walls_outside *ret,
	       struct err *e);
void walls_outside_done(struct walls_outside *o);
/* Without the processes of that name. */
void walls_outside_drop(struct walls_outside *o, const char *name);
/* What the filters of a thread let pass. Stops it for a moment (ptrace). ret->why is set where it can't be told. */
void walls_filter_of(pid_t tid, struct walls_filter *ret);

/* ---- both, in words ---- */
struct walls_view {
	const struct walls_inside *inside;
	const struct walls_outside *outside;
	const struct walls_host *host;
};
/* A wall: stable id, title, and what is said of a view (NULL: no memory; caller frees). */
struct wall_kind {
	const char *id, *title;
	bool less_is_better;
	char *(*say)(const struct walls_view *v);
};
extern const struct wall_kind wall_kinds[];
extern const size_t n_wall_kinds;
/* All walls of a view as those of one way of a comparison. 0 or -errno. */
int walls_add(struct comparison *c, size_t way, const struct walls_view *v);
/* The same for tools: {"processes": [...]}; NULL on ENOMEM. */
struct json_object *walls_outside_json(const struct walls_outside *o);
/* Each wall in a row of its own, the ways of the comparison beside each other where width columns are enough for them, to fd. 0 or -errno. */
int walls_print(const struct comparison *c, int fd, size_t width, struct err *e);
