/* Where things are. Filled once in main from the options and the environment, then passed down. */
#pragma once

#include "err.h"
#include "util.h"

struct paths {
	char *root; /* store and records: --root, $BERTH_ROOT, /var/lib/berth, a user's $XDG_DATA_HOME/berth or ~/.local/share/berth; 0700 */
	char *run; /* run state: --run, $BERTH_RUN, /run/berth, a user's $XDG_RUNTIME_DIR/berth, /run/user/UID/berth or /tmp/berth-UID; 0700 */
	char *libexec; /* sibling programs: $BERTH_LIBEXECDIR (not when AT_SECURE), the folder of this executable when
	                * berth-monitor is there, else LIBEXECDIR */
};

/* root, run: from the command line or NULL. Makes the directories (0700, refused where another uid owns them). */
int paths_init(struct paths *p, const char *root, const char *run, struct err *e);
/* The same, but no directory is made or looked at. */
int paths_name(struct paths *p, const char *root, const char *run, struct err *e);
/* What .libexec would be, for programs that need nothing else; caller frees. NULL on ENOMEM. */
char *paths_libexec(void);
void paths_done(struct paths *p);
/* Absolute path of a sibling program such as "berth-monitor"; caller frees. Error names what is missing and where. */
int paths_sibling(const struct paths *p, const char *program, char **ret_path, struct err *e);
/* This build's id; siblings are given it in $BERTH_BUILD_ID and refuse another (build_id_check). */
const char *build_id(void);
const char *berth_version(void); /* "0.1.0" */
int build_id_check(struct err *e);
/* Names and ids: [A-Za-z0-9][A-Za-z0-9_.-]{0,127}. */
bool name_is_valid(const char *s);
/* 64 lower-case hex digits from getrandom. */
#define ID_LEN 64
int id_new(char ret_id[ID_LEN + 1]);
