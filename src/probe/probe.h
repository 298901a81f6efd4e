/* probe: what berth-probe does inside a container or a virtual machine. It is static and asks nothing of the image: no library, no
 * shell, no file. Its words, each the first argument:
 *
 *   start                 one byte, PROBE_BYTE, on standard output as its very first act; then it ends
 *   hold                  "ready\n", then waits for SIGTERM or SIGINT and ends at once
 *   speed [seconds=S] [dir=PATH] [NAME...]
 *                         a line "NAME VALUE UNIT [NOTE]" each, or "NAME - REASON" (probe_speed.h)
 *   serve PORT            "ready PORT\n", then a TCP server (probe_network.h) until SIGTERM or SIGINT
 *   walls [remove] [wait] the isolation as it looks from inside, one JSON object on one line (docs/FORMATS.md). remove: takes its own
 *                         file away first. wait: then stays until standard input ends
 *   remove                takes its own file away
 *   nothing               ends at once
 *
 * Exit status: 0; 1 with a line on standard error where it could not do what was asked; 2 for words that it does not know. */
#pragma once

#include "base.h"

#define PROBE_PROGRAM "berth-probe"
#define PROBE_BYTE    '\1'
#define PROBE_READY   "ready"

/* Of the object that `walls` prints. */
#define PROBE_WALLS_SCHEMA "berth.walls/1"

int probe_speed(int argc, char **argv); /* argv[0]: the first word behind "speed"; the exit status, like the next ones */
int probe_serve(const char *port);
int probe_walls(int argc, char **argv, const char *program);
