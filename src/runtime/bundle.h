/* bundle: config.json read, and what else container/ wants to know, put together. What several verbs share. */
#pragma once

#include "record.h"

/* All that a verb needs to act on one container. Zero is empty. */
struct bundle {
	char *text; /* config.json as it was read */
	size_t len;
	struct spec spec;
	struct host host;
	struct seccomp_prog seccomp;
	struct container_args args; /* borrows from the above */
	struct net_ahead *network;  /* borrowed, begun as soon as that is read; NULL = none */
	struct trace *trace;        /* borrowed, set before bundle_load; NULL = none */
};
void bundle_done(struct bundle *b);
/* DIRFD/config.json and this host. ret is filled by degrees: bundle_done it also after an error. */
int bundle_load(int dirfd, struct bundle *ret, struct err *e);
/* Its two halves, for who has something to begin in between. */
int bundle_read(int dirfd, struct bundle *ret, struct err *e);
int bundle_probe(struct bundle *b, struct err *e);
int bundle_seccomp(const struct runtime *rt, struct bundle *b, struct err *e);
/* Where the container's cgroup is to be: config.json's linux.cgroupsPath made absolute, or /berth-ID. */
int bundle_place_cgroup(struct bundle *b, const char *id, struct err *e);
/* A recorded container as container/ sees it: its saved config.json, its process. start_fd: see container_handle. */
int bundle_adopt(const struct held *h, struct bundle *b, int start_fd, struct container **ret, struct err *e);
/* The caller's 3 .. 3+n-1 are there and meant to be inherited. n: --preserve-fds; with what systemd's socket activation
 * ($LISTEN_FDS) passes, for which env gets its variables. *ret_n: the sum. */
int preserve_fds(int64_t n, char ***env, unsigned *ret_n, struct err *e);
/* Made as a whole, so that a reader finds the number or nothing, and who is killed on the way leaves nothing else. path NULL = none is wanted. */
int pid_file_write(const char *path, pid_t pid, struct err *e);
/* Sends the master to whoever listens at path, with its name as the message, as runc's callers expect. Closes it. */
int console_send(const char *path, int master, struct err *e);
/* Sends a process's pidfd to whoever listens at path, with runc's word for the kind of process ("standard", the first one, or
 * "setns") as the message. path NULL or empty = nobody wants it. */
int pidfd_send(const char *path, int pidfd, const char *kind, struct err *e);
/* The terminal's rules: a console socket exactly where a terminal is made that nobody here will serve. */
int console_check(const struct spec_process *p, const char *console_socket, bool is_detached, struct err *e);
