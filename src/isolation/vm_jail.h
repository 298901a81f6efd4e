/* vm_jail: what confines a VMM on the host. Private to isolation. */
#pragma once

#include "isolation.h"

#define VM_JAIL_FDS 48
/* Where these two are inside. */
#define VM_JAIL_KERNEL    "/kernel"
#define VM_JAIL_INITRAMFS "/initramfs"

/* A file in its root: a mount of it that is nowhere yet (open_tree), or with -1 an empty one that can't be written. */
struct vm_jail_file {
	int tree;
	const char *name; /* "dev/fd/4" */
};

struct vm_jail {
	const char *dir;   /* any directory: the jail's root is mounted on it, in the VMM's mount namespace only */
	const char *label; /* the source that its root shows in /proc/PID/mountinfo: whose VMM it is */
	/* Above 0: the program, open, which enters a jail of its own: it is given its descriptors, limits and pid namespace only. */
	int program_fd;
	const char *kernel, *initramfs; /* NULL: none */
	const struct vm_jail_file *files;
	size_t n_files;
	bool has_kvm;
	uid_t uid;                          /* and gid */
	uint64_t caps;                      /* what it keeps, bits 1 << CAP_x */
	const struct seccomp_prog *seccomp; /* NULL: it brings its own */
	uint64_t file_max;                  /* no file becomes larger by its doing */
	uint64_t data_max;                  /* memory that is no file's; 0: its cgroup's limit is enough */
	uint64_t procs_max;                 /* threads and processes of its user; 0: its cgroup's limit is enough */
	char *const *argv;                  /* argv[0]: the program's path, below /usr */
	char *const *env;
	const int (*fds)[2]; /* {ours, theirs}, at most VM_JAIL_FDS; all others are closed, 0 to 2 as well unless they are here */
	size_t n_fds;
};
/* The pid and a pidfd of the program, confined and executing; or why not. The caller reaps it; it dies with the caller. */
int vm_jail_start(const struct vm_jail *j, pid_t *ret_pid, int *ret_pidfd, struct err *e);
/* vm_jail_uid.c: the users of a container's VMM and of the server of its images: from its id, so that no two share one. In a user namespace
 * they are of the ids that it maps; with so few as 65536 two containers may share them. -EPERM with the remedy where it maps too few. */
enum vm_jail_who { VM_JAIL_VMM, VM_JAIL_STORAGE };
int vm_jail_uid(const char *id, enum vm_jail_who who, uid_t *ret, struct err *e);
/* Where ids 0 to n - 1 are mapped. -EPERM */
int vm_jail_uid_of(const char *id, enum vm_jail_who who, uint64_t n, uid_t *ret);
/* The n of a text like that of /proc/PID/uid_map. */
uint64_t vm_jail_mapped(const char *map);
/* Leaves only these in the bounding set of this process (bits 1 << CAP_x). */
void vm_jail_bound(uint64_t kept);
