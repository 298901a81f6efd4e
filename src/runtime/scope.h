/* scope: a container's cgroup as a transient scope of systemd (--systemd-cgroup): names, properties, and asking for it.
 *
 * systemd is spoken with by a program of its own, berth-systemd, because libsystemd comes as a shared library only and this
 * program is static. It is built where meson's option `systemd` is on (or auto, with libsystemd there). */
#pragma once

#include "container.h"

struct scope {
	char *slice; /* "machine.slice" */
	char *unit;  /* "berth-ID.scope" */
	char *path;  /* "/machine.slice/berth-ID.scope" */
};
void scope_done(struct scope *s);
/* cgroups_path: "SLICE:PREFIX:NAME", NULL or "" = system.slice:berth:ID; an empty SLICE is system.slice. */
int scope_parse(const char *cgroups_path, const char *id, struct scope *ret, struct err *e);
/* The limits that systemd knows too, so that it won't set others when it reloads: words "NAME=TYPE:VALUE" for berth-systemd, of
 * which TYPE is D-Bus's; a list to be freed by the caller. */
int scope_properties(const struct spec_resources *r, bool is_v2, char ***ret, struct err *e);

/* Whether berth-systemd is there. */
bool scope_is_possible(void);
/* Asks systemd for the scope with pid in it, and waits until it is there. */
int scope_start(const struct scope *s, pid_t pid, const char *id, const struct spec_resources *r, bool is_v2, struct err *e);
/* unit: as recorded. */
int scope_update(const char *unit, const struct spec_resources *r, bool is_v2, struct err *e);
/* Also where there is none any more. */
int scope_stop(const char *unit, struct err *e);
