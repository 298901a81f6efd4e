/* ps_row: one container as a row of `ps`, with docker's keys and wording. */
#pragma once

#include "engine.h"

int ps_row(const struct container_record *c, uint64_t now_ns, bool no_trunc, struct json_object **ret, struct err *e);
/* "Up 5 minutes", "Exited (0) 2 hours ago", "Created"; caller frees. */
char *ps_status(const struct container_record *c, uint64_t now_ns);
int ps_row_networks(char *const *names, struct json_object *row, struct err *e); /* of a row: its Networks */
/* Of a row: its Mounts, each cut to 15 letters unless no_trunc, and LocalVolumes. */
int ps_row_mounts(const struct engine_mount *list, size_t n, bool no_trunc, struct json_object *row, struct err *e);
