/* rules: what a rule of doctor's is made of; they are in rules.c, those about users without root's rights in rules_user.c. */
#pragma once

#include "facts.h"

struct verdict {
	enum doctor_level level;
	char *text, *remedy;
	bool failed; /* out of memory */
};
/* text: allocated, and the verdict's from now on; NULL: out of memory. remedy: copied; NULL: none. */
void say(struct verdict *v, enum doctor_level level, char *text, const char *remedy);

/* Asked only of the facts of such a user. */
void judge_user_namespaces(const struct facts *f, struct verdict *v);
void judge_user_ids(const struct facts *f, struct verdict *v);
void judge_user_network(const struct facts *f, struct verdict *v);
void judge_user_run(const struct facts *f, struct verdict *v);
void judge_user_cgroup(const struct facts *f, struct verdict *v);
