/* cdi: devices by names that their vendors have described in files (Container Device Interface 1.1): what a container needs of the
 * host to use one. cdi_file.c reads one file, cdi_dirs.c finds devices in directories of them, cdi_names.c has the names and --gpus,
 * cdi_apply.c makes a container's plan of it. */
#pragma once

#include "docker_json.h"

struct cdi_node {
	char *path, *host_path, *type, *permissions; /* host_path NULL: as inside */
	int64_t major, minor;
	bool has_mode, has_uid, has_gid;
	uint32_t mode, uid, gid;
};
struct cdi_mount {
	char *host_path, *path, *type;
	char **options;
};
struct cdi_hook {
	char *name;
	struct spec_hook hook;
};
struct cdi_edits {
	char **env;
	struct cdi_node *nodes;
	size_t n_nodes;
	struct cdi_mount *mounts;
	size_t n_mounts;
	struct cdi_hook *hooks;
	size_t n_hooks;
	struct spec_net_device *net_devices;
	size_t n_net_devices;
	struct spec_rdt *rdt;
	struct spec_user user; /* its additional_gids */
};
struct cdi_device {
	char *name;
	struct string_map annotations;
	struct cdi_edits edits;
};
struct cdi_file {
	char *path, *version, *kind; /* kind: "vendor.com/class" */
	size_t rank;                 /* of its directory: the last one's is the highest */
	struct string_map annotations;
	struct cdi_device *devices;
	size_t n_devices;
	struct cdi_edits edits; /* of each of its devices */
};

/* ---- cdi_file.c ---- */
/* What text, a whole file, describes; errors name the place in it. cdi_file_done it. */
int cdi_file_parse(const char *text, size_t len, struct cdi_file *ret, struct err *e);
void cdi_file_done(struct cdi_file *f);

/* ---- cdi_names.c ---- */
bool cdi_kind_is_valid(const char *kind);
bool cdi_device_name_is_valid(const char *name);
/* Whether --device's value is a name of this kind, "vendor.com/class=name", and no path. */
bool cdi_is_name(const char *text);
/* One --gpus, as docker reads it. */
struct gpu_request {
	int64_t count; /* -1: all; 0: ids are given */
	char **ids, **names;
};
int gpu_request_parse(const char *text, struct gpu_request *ret, struct err *e);
void gpu_request_done(struct gpu_request *g);

/* ---- cdi_dirs.c ---- */
struct cdi {
	struct cdi_file *files; /* by directory, then by name */
	size_t n;
	char **dirs, **wrong, **yaml; /* wrong: "PATH: why" of files that can't be used; yaml: paths of those */
};
/* Reads all files of these directories, of which each may be missing. Wrong files are noted, not an error. */
int cdi_load(char *const *dirs, struct cdi *ret, struct err *e);
void cdi_done(struct cdi *c);
/* The device of that whole name, c's. -ENODEV names what there is and where was looked; -EEXIST: two files of one directory have it. */
int cdi_find(const struct cdi *c, const char *name, const struct cdi_file **ret_file, const struct cdi_device **ret,
	     struct err *e);

/* ---- cdi_apply.c ---- */
/* user: whose uid and gid new nodes have where no file says: "1000:1000"; names and NULL count as root. */
int cdi_apply(const struct cdi_edits *d, const char *user, struct spec *s, struct err *e);

/* ---- cdi_plan.c ---- */
/* inspect's DeviceRequests. */
void cdi_inspect(struct doc d, const struct run_opts *o);
