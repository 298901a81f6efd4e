/* walls_say: what the files that say walls in words share; nobody else includes it. */
#pragma once

#include "walls.h"

/* What a row has put together, "" where that is nothing; NULL where there was no memory. b is empty afterwards. */
char *walls_take(struct buf *b);
/* Rows of the second wall. */
char *walls_say_processes(const struct walls_view *v);
char *walls_say_filters(const struct walls_view *v);
char *walls_say_outer_namespaces(const struct walls_view *v);
char *walls_say_files(const struct walls_view *v);
char *walls_say_outer_mounts(const struct walls_view *v);
