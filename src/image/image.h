/* image: the store on disk (an OCI image layout plus unpacked layers), read by the engine, written by berth-transfer.
 *
 *   ROOT/oci/oci-layout, index.json, blobs/sha256/HEX   any OCI tool can read it
 *   ROOT/layers/CHAINHEX/diff/                          an unpacked layer, named by its chain id (OCI image spec, "Layer ChainID");
 *                                                       a layer that two images share under the same parents exists once
 *   ROOT/layers/CHAINHEX/info.json                      {"diff_id","chain_id","blob","size_bytes","files"}: written last; its
 *                                                       presence makes the layer whole
 *   ROOT/tmp/                                           downloads in progress (tmp/sha256-HEX.part, resumable) and unpacks
 *   ROOT/erofs/CHAINHEX.erofs                           read-only disk of all layers up to that chain id, for guests
 *   ROOT/containers/ID/                                 config.json, launch.json, upper/, work/, container.log, upper.img
 *   ROOT/snapshots/ID/                                  a saved VM (engine/snapshot.h)
 *   ROOT/berth.db                                       records (records.h)
 *   ROOT/lock                                           flock: shared while blobs or layers are being used to make something,
 *                                                       exclusive while unreferenced ones are deleted */
#pragma once

#include "records.h"
#include "spec.h"

struct store;
int store_open(const struct paths *p, struct store **ret, struct err *e); /* makes the layout when missing */
void store_close(struct store *s);
DEFINE_CLEANUP(struct store *, store_close)
struct records *store_records(struct store *s);
int store_rootfd(const struct store *s);
/* ROOT/lock. Shared: taken around everything that makes something out of blobs or layers: from before image_find until the
 * container's launch.json and record are written; from before a pull until image_record is done. Waits for a collection to end.
 * Exclusive: store_gc alone takes it, and does not wait (-EBUSY). One lock per open store; taking another kind converts it. */
enum store_lock { STORE_UNLOCKED, STORE_SHARED, STORE_EXCLUSIVE };
int store_lock(struct store *s, enum store_lock how, struct err *e);
/* Chain id of diff_id upon parent (a chain id; NULL for the lowest layer): OCI image spec, "Layer ChainID". Checked digests. */
int chain_id(const char *parent, const char *diff_id, char ret[DIGEST_LEN]);

/* A usable image: everything that `run` needs, without reading manifests again. */
struct image {
	char *id; /* "sha256:..." of the config blob: docker's image id */
	char *manifest_digest;
	char **chain_ids;    /* lowest layer first */
	uint64_t size_bytes; /* unpacked */
	struct image_config config;
};
void image_done(struct image *i);
/* By reference, by id or unique prefix of at least 3 hex digits, or by digest. -ENOENT: "no such image: X". */
int image_find(struct store *s, const char *name, struct image *ret, struct err *e);
/* Layer directories, uppermost first, as struct launch wants them; caller strv_free()s. -ENOENT: "layer X is missing". */
int image_layer_dirs(struct store *s, const struct image *i, char ***ret, struct err *e);
/* Bytes of an unpacked layer's files. */
int image_layer_size(struct store *s, const char *chain_id, uint64_t *ret, struct err *e);
/* Path of the EROFS disk for guests, made by mkfs.erofs the first time (progress on stderr when it takes long). */
int image_disk(struct store *s, const struct image *i, char **ret_path, struct err *e);
/* Records a finished pull or load: blobs and layers must be in place and synced. ref may be NULL (untagged). *ret_old_id:
 * the image that the tag pointed at before, or NULL (I14). Rewrites index.json. */
int image_record(struct store *s, const char *manifest_digest, const struct ref *ref, char **ret_old_id, struct err *e);
int image_tag(struct store *s, const char *name, const struct ref *ref, struct err *e);
/* Untags; the last tag deletes the image unless a container uses it (-EBUSY, names the container). force: also then
 * (docker's rules). Prints nothing: each thing done is reported through cb ("Untagged: X", "Deleted: sha256:..."). */
int image_remove(struct store *s, const char *name, bool force, void (*cb)(const char *line, void *arg), void *arg,
		 struct err *e);
/* Deletes blobs, layers and disks that no image or container refers to; also stale tmp. -EBUSY: a pull, load or start holds the
 * lock; nothing was deleted. The store is unlocked afterwards. */
int store_gc(struct store *s, struct err *e);
/* Each thing that store_gc would delete, by its path below ROOT; nothing is deleted. -EBUSY as there. */
int store_leftovers(struct store *s, void (*cb)(const char *path, void *arg), void *arg, struct err *e);

/* What a check has found: one thing that is wrong with one object. */
struct check_finding {
	const char *kind;    /* "blob", "layer", "image", "disk", "leftover"; the engine has more */
	const char *name;    /* digest, reference, name or path */
	const char *problem; /* "its bytes hash to ..." */
	char *const *images; /* references, or ids, of the images that need it; NULL: none */
	const char *remedy;  /* "`berth pull X` fetches it again"; NULL: none */
	bool is_repaired;    /* nothing is left to be done */
	bool is_set_aside;   /* its remedy now leads to a whole one */
	bool is_held;        /* it could not be: a running container stands on it */
};
struct check_opts {
	bool repair;       /* damaged blobs, layers and disks are removed, so that the next pull fetches them again */
	const char *image; /* only what this one needs, by any name of it; NULL: everything */
	char *const *held; /* chain ids of layers that running containers stand on: they are left where they are */
	void (*found)(const struct check_finding *f, void *arg);
	void (*progress)(size_t n, size_t of, const char *what, void *arg); /* may be NULL: object n of so many begins */
	void *arg;
};
/* Rehashes every blob, compares every layer with its list of files, and each image's record with what it needs. Findings that are not
 * repaired, or -errno. -EBUSY: something is being pulled or made, and nothing can be repaired. (I11) */
int store_check(struct store *s, const struct check_opts *o, struct err *e);

/* overlayfs of layers (uppermost first) below upper/work; upper NULL = read-only. Detached mount (fsopen, fsmount): it is
 * visible nowhere and goes away with its last fd. nodev; `is_volatile` = overlay's "volatile". */
struct snapshot {
	char *const *layers;
	const char *upper, *work;
	bool is_volatile;
};
int snapshot_mount(const struct snapshot *s, int *ret_mountfd, struct err *e);
