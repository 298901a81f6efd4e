/* The two ends of each turn: only one berth-net is at work on a host, which is to say in a network namespace. */
#pragma once

#include "impl.h"

/* Waits for the turn. */
int nets_open(struct nets *n, struct err *e);
void nets_close(struct nets *n);
