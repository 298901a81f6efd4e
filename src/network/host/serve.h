/* The two ends of each turn: only one berth-net is at work on a host, which is to say in a network namespace. */
#pragma once

#include "impl.h"

/* Waits for the turn. */
int nets_open(struct nets *n, struct err *e);
void nets_close(struct nets *n);

/* The file on which turns are taken, by flock. Record locks on it: below TURNS_CLAIMS a process that keeps conversations (closing.c), from
 * there on those that wait for a bridge (linger.c). */
enum { TURNS_CLAIMS = 1 << 20 };
int turns_open(void);

/* closing.c: who closes t in the next moment does not wait for it. may_keep: where nobody keeps conversations a process begins to. */
void closing_later(const struct talk *t, bool may_keep);
