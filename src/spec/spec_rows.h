/* The parts of config.json: each subject's table of fields and its check, joined by runtime_spec.c. Private to spec. */
#pragma once

#include "runtime_spec.h"

/* One row of a field table, for member m of struct s. */
#define SPEC_ROW(json_name, kind, s, m, ...)                          \
	{                                                             \
		json_name, kind, offsetof(struct s, m), ##__VA_ARGS__ \
	}
/* A row for an array of struct item, with its count in n_m. */
#define SPEC_ARRAY(json_name, s, m, item, rows, ...)                                                    \
	{                                                                                               \
		.name = json_name, .type = FIELD_ARRAY, .offset = offsetof(struct s, m), .table = rows, \
		.size = sizeof(struct item), .count_offset = offsetof(struct s, n_##m), ##__VA_ARGS__   \
	}
/* A property of the specification that this build can't honour: an error when present and not empty. */
#define SPEC_REFUSED(json_name)                                  \
	{                                                        \
		json_name, FIELD_CUSTOM, 0, .parse = spec_refuse \
	}
int spec_refuse(struct json_object *v, void *member, const char *path, struct err *e);
/* The same for what belongs to another system. */
int spec_refuse_foreign(struct json_object *v, void *member, const char *path, struct err *e);
int spec_refuse_vm(struct json_object *v, void *member, const char *path, struct err *e);

/* Words that stand for values; a table ends with .name NULL. */
struct spec_word {
	const char *name;
	uint64_t value;
};
/* One word, or an array of them as the union of their bits. Printing 0 bits, or a value without a word, gives NULL. */
int spec_word_read(struct json_object *v, const struct spec_word *words, uint64_t *ret, const char *path, struct err *e);
int spec_words_read(struct json_object *v, const struct spec_word *words, uint64_t *ret, const char *path, struct err *e);
struct json_object *spec_word_print(const struct spec_word *words, uint64_t value);
struct json_object *spec_words_print(const struct spec_word *words, uint64_t value);

extern const struct field spec_ns_fields[]; /* of an entry of linux.namespaces */
extern const struct field spec_net_device_fields[];
extern const struct field spec_process_fields[];   /* of struct spec_process */
extern const struct field spec_idmap_fields[];     /* of struct spec_idmap */
extern const struct field spec_mount_fields[];     /* of struct spec_mount */
extern const struct field spec_time_fields[];      /* of struct spec */
extern const struct field spec_device_fields[];    /* of struct spec_device */
extern const struct field spec_resources_fields[]; /* of struct spec_resources */
extern const struct field spec_seccomp_fields[];   /* of struct spec_seccomp */
extern const struct field spec_hooks_fields[];     /* of struct spec_hooks */
extern const struct field spec_scheduler_fields[], spec_io_priority_fields[], spec_affinity_fields[], spec_memory_policy_fields[],
	spec_rdt_fields[], spec_personality_fields[]; /* of the structs of their names */

extern const struct field launch_file_fields[]; /* of struct launch_file (launch.h) */

/* linux.namespaces; member is struct spec_namespaces. */
int spec_ns_read(struct json_object *v, void *member, const char *path, struct err *e);
struct json_object *spec_ns_print(const void *member);
void spec_ns_free(void *member);

/* What tables can't say: values that depend on each other or come from a set. Paths in errors begin at the top. */
int spec_check_process(const struct spec_process *p, const char *path, struct err *e);
int spec_mounts_from_root(struct spec *s, struct err *e); /* relative destinations made absolute */
int spec_check_mounts(const struct spec *s, struct err *e);
int spec_check_linux(const struct spec *s, struct err *e);
int spec_check_resources(const struct spec_resources *r, struct err *e);
int spec_check_seccomp(const struct spec_seccomp *s, struct err *e);
int spec_check_hooks(const struct spec_hooks *h, struct err *e);
/* linux.netDevices; member is struct spec. */
int spec_net_devices_read(struct json_object *v, void *member, const char *path, struct err *e);
struct json_object *spec_net_devices_print(const void *member);
void spec_net_devices_free(void *member);
int spec_check_host(const struct spec *s, struct err *e);
int spec_check_sched(const struct spec_process *p, const char *path, struct err *e);
int spec_check_idmaps(const struct spec_idmap *m, size_t n, const char *path, struct err *e);
int spec_check_memory_policy(const struct spec_memory_policy *m, struct err *e);
int spec_check_list(const char *list, const char *path, struct err *e); /* NULL is fine */
/* A warning in p for each key of o, read by `table`, that has no row: "properties unknown to the runtime must be ignored"
 * (config.md, Extensibility), but not in silence. */
int spec_warn_unknown(struct json_object *o, const struct field *table, struct spec_process *p, struct err *e);
/* Absolute path, or "PATH: expected an absolute path, found "x"". */
int spec_check_absolute(const char *value, struct err *e, const char *path_fmt, ...) _printf_(3, 4);
