/* vm_jail: what confines a VMM on the host. Private to isolation. */
#pragma once

#include "isolation.h"

#define VM_JAIL_FDS 48
/* Where these two are inside. */
#define VM_JAIL_KERNEL    "/kernel"
#define VM_JAIL_INITRAMFS "/initramfs"
/* 2^28 ids, which no distribution and no container manager hands out (systemd's UIDS-GIDS.md: 1879048192 and up are free). */
#define VM_JAIL_UID_BASE 0x70000000u

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
	char *const *argv;                  /* argv[0]: the program's path, below /usr */
	char *const *env;
	const int (*fds)[2]; /* {ours, theirs}, at most VM_JAIL_FDS; all others are closed, 0 to 2 as well unless they are here */
	size_t n_fds;
};
/* The pid and a pidfd of the program, confined and executing; or why not. The caller reaps it; it dies with the caller. */
int vm_jail_start(const struct vm_jail *j, pid_t *ret_pid, int *ret_pidfd, struct err *e);
/* The user of the VMM of a container: from its id, so that no two share one. */
uid_t vm_jail_uid(const char *id);
/* Leaves only these in the bounding set of this process (bits 1 << CAP_x). */
void vm_jail_bound(uint64_t kept);
