/* image_archive: images from and to files of this host: `berth-transfer load` and `save`.
 *
 * berth-transfer load --root ROOT [--quiet] [--debug] [--platform P] [PATH|-]
 *   PATH: an OCI layout (directory), or a tar of one (oci-archive), or what `docker save` writes (docker-archive, also the hybrid
 *   of both that newer Dockers write), plain or compressed by gzip or zstd. "-" or none: stdin.
 *   fd 1: {"images":[{"manifest_digest":"sha256:...","refs":["docker.io/library/x:1"]}]}
 * berth-transfer save --root ROOT --format oci-archive|docker-archive|oci-dir (--output PATH|- | --output-fd N)
 *                     MANIFEST_DIGEST=REF...          (REF may be empty)
 *   fd 1: {} (nothing with --output -: there the archive itself goes)
 * Errors, locks and exit status as of pull (transfer.h). */
#pragma once

#include "transfer.h"

struct loaded_image {
	char *manifest_digest, **refs; /* refs: canonical */
};
struct loaded {
	struct loaded_image *images;
	size_t n;
};
void loaded_done(struct loaded *l);
/* in: an open directory, or a file or pipe positioned at its start. Blobs and layers are in the store and synced when it returns;
 * nothing is recorded. */
int archive_load(int rootfd, int in, const char *platform, const struct unpack_limits *lim, struct loaded *ret, struct err *e);

/* One layer into the store, as archive_load does it: unpacked, checked against diff_id, installed, its blob kept. */
struct item;
struct layer_place {
	const char *diff_id, *chain;
	const char *const *below; /* chain ids of the layers that it lies on, the nearest first */
	size_t n_below;
};
int archive_put_layer(int rootfd, struct item *i, enum media_compression comp, const struct layer_place *p, struct err *e);
/* ROOT, under its shared lock. -> fd */
int archive_open_root(const char *root, int *ret_lock, struct err *e);

enum save_format { SAVE_OCI_ARCHIVE, SAVE_DOCKER_ARCHIVE, SAVE_OCI_DIR };
struct save_image {
	const char *manifest_digest, *ref; /* ref: canonical, or "" */
};
/* out: a file or pipe; for SAVE_OCI_DIR an open directory. A docker-archive is an OCI archive that also has docker's manifest.json,
 * as Docker 25 and later write it: any docker, podman or skopeo loads it. */
int archive_save(int rootfd, enum save_format format, const struct save_image *images, size_t n, int out, struct err *e);
/* The two command lines; argv[1] is "load" or "save". Exit status. */
int archive_main(int argc, char **argv);
