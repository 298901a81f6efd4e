/* cni: plugins of the Container Network Interface, specification 0.3.0 to 1.0.0, as a network's driver. Here: a configuration's text as a
 * list of plugins, where their programs are, and one call of one of them. What is called when is network/host/cni.c's.
 *
 * A plugin is the site's own program and runs as root, with what the configuration says: both are taken only where nobody but root (or the
 * user that the engine runs as) can change them, nor the directories that lead to the program. It is given no environment but the calling convention's, its time is limited, and so
 * is what it may say. */
#pragma once

#include "codec.h"

/* Where programs are looked for when $CNI_PATH is not set at the network's creation. */
#define CNI_PATH_DEFAULT "/opt/cni/bin:/usr/lib/cni:/usr/libexec/cni"
#define CNI_PACKAGE      "containernetworking-plugins" /* of Debian: has the usual ones */

enum { CNI_CONF_MAX = 64 << 10, CNI_PLUGINS_MAX = 16, CNI_ANSWER_MAX = 1 << 20, CNI_SECONDS = 60, CNI_SECONDS_MAX = 600 };

/* The file, a list (*.conflist) or one plugin (*.conf): {"cniVersion", "name", "plugins": [...]}, checked. name: the network's, where it has
 * none of its own. The caller puts *ret. */
int cni_conf_read(const char *file, const char *name, struct json_object **ret, struct err *e);
/* The same of a text. what: for errors. */
int cni_conf_parse(const char *text, size_t len, const char *what, const char *name, struct json_object **ret, struct err *e);
struct json_object *cni_conf_plugins(struct json_object *conf);
const char *cni_conf_text(struct json_object *conf, const char *key); /* "name", "cniVersion"; borrowed */
/* Whether this plugin takes such a runtimeConfig; whether any of the list does. */
bool cni_plugin_can(struct json_object *plugin, const char *capability);
bool cni_conf_can(struct json_object *conf, const char *capability);

/* Directories, absolute, colons between. */
int cni_path_check(const char *path, struct err *e);
/* The first of that name along the path; the caller frees. -ENOENT with the remedy; -EPERM: others can change it, or a directory on its way. */
int cni_find(const char *type, const char *path, char **ret, struct err *e);
/* All its plugins are there and know its version: each is asked. */
int cni_conf_probe(struct json_object *conf, const char *path, unsigned seconds, struct err *e);

struct cni_call {
	const char *command;                    /* "ADD", "DEL", "VERSION" */
	const char *type, *path;                /* of the plugin; where to look for it and what it calls itself */
	const char *container, *netns, *ifname; /* NULL: none */
	struct json_object *config;             /* what it reads */
	unsigned seconds;
};
/* *ret: what it has printed, put it; NULL where it printed nothing. Its own error's words are e's. -ETIMEDOUT: it was ended. ret may be NULL. */
int cni_call(const struct cni_call *c, struct json_object **ret, struct err *e);
