/* A dnsmasq and the directory that is its own. */
#pragma once

#include "base.h"

/* Where it sees the one directory that it is shown: what is above that on the host may be root's alone. */
#define DNSMASQ_SEES "/mnt"

/* state_dir/name, opened; -errno. ret_path (may be NULL): the caller's. */
int dnsmasq_dir(const char *state_dir, const char *name, bool make, char **ret_path);
/* The pidfd of dir's process; -ESRCH: there is none. One that is just ending is waited for, so that its port is free then. */
int dnsmasq_find(int dirfd, const char *dir);
/* Returns once it listens. seen: the directory that it sees at DNSMASQ_SEES; options: besides what is always given; whose: for messages. */
int dnsmasq_start(const char *dir, const char *seen, char *const *options, const char *whose, struct err *e);
/* Ends it, and waits: what it had open is gone then. */
void dnsmasq_end(int dirfd, const char *dir);
