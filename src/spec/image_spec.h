/* OCI image spec 1.1 (and Docker schema 2, which maps onto it): descriptor, manifest, index, config. */
#pragma once

#include "codec.h"

struct descriptor {
	char *media_type, *digest; /* digest passed digest_check */
	uint64_t size;
	char *os, *architecture, *variant; /* .platform, in an index */
	struct string_map annotations;
	char **urls;
};
struct manifest {
	char *media_type;
	struct descriptor config;
	struct descriptor *layers;
	size_t n_layers;
	struct string_map annotations;
};
struct image_index {
	char *media_type;
	struct descriptor *manifests;
	size_t n_manifests;
};
struct healthcheck {
	char **test;
	uint64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns;
	int64_t retries;
};
struct history {
	char *created, *created_by, *comment;
	bool empty_layer;
};
struct image_config {
	char *created, *author, *architecture, *os, *variant;
	struct {
		char *user, *working_dir, *stop_signal;
		char **env, **entrypoint, **cmd, **shell;
		char **exposed_ports, **volumes; /* keys of the objects */
		struct string_map labels;        /* labels in Berth's own name space "dev.berth." are dropped (I15) */
		struct healthcheck *healthcheck;
	} config;
	char **diff_ids; /* checked digests */
	struct history *history;
	size_t n_history;
};
/* Refuses: `layers` and `manifests` both present; mediaType that contradicts content_type (may be NULL); duplicate keys
 * (I09, I10); schemaVersion != 2; more than 512 layers or manifests; layer and diff_ids counts are compared by callers. */
int manifest_parse(const char *text, size_t len, const char *content_type, struct manifest *ret, struct err *e);
void manifest_done(struct manifest *m);
int image_index_parse(const char *text, size_t len, const char *content_type, struct image_index *ret, struct err *e);
void image_index_done(struct image_index *x);
int image_config_parse(const char *text, size_t len, struct image_config *ret, struct err *e);
void image_config_done(struct image_config *c);
/* Text of an OCI manifest / index / config; caller frees; NULL on ENOMEM. */
char *manifest_print(const struct manifest *m);
char *image_index_print(const struct image_index *x);
struct json_object *image_config_json(const struct image_config *c);

enum media_kind { MEDIA_UNKNOWN, MEDIA_INDEX, MEDIA_MANIFEST, MEDIA_CONFIG, MEDIA_LAYER };
enum media_compression { COMP_NONE, COMP_GZIP, COMP_ZSTD };
/* OCI and Docker media types, one table. */
enum media_kind media_kind(const char *media_type, enum media_compression *ret_c);
