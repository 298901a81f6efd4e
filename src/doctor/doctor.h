/* doctor: what this host offers to each kind of isolation, what is missing, and what to do about it. It looks and changes nothing:
 * neither root nor a store is needed. Facts are gathered first (facts.h), then judged by a table of rules (rules.c). */
#pragma once

#include "path.h"

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_NOTE,    /* works, with less: slower, a weaker wall, an option that is refused */
	DOCTOR_WARNING, /* something that users will want or a wall that they count on is missing */
	DOCTOR_ERROR,   /* the isolation does not work, or an everyday command will fail */
};
const char *doctor_level_name(enum doctor_level l); /* "ok", "note", "warning", "error" */

struct doctor_finding {
	const char *area;    /* "host", "user" (not of root), "container", "vm"; static */
	const char *subject; /* "cgroups"; static */
	enum doctor_level level;
	char *text;   /* one line for people */
	char *remedy; /* likewise; NULL where there is nothing to do */
};
/* All findings, in the table's order; doctor_done frees them. Takes some 10 ms, 0.2 s where KVM only emulates. */
int doctor_look(const struct paths *p, struct doctor_finding **ret, size_t *ret_n, struct err *e);
void doctor_done(struct doctor_finding *list, size_t n);
