/* transfer: images on their way in (registry -> blobs -> unpacked layers) and out. Linked only into berth-transfer (dynamic), never
 * into the programs of the fast path.
 *
 * berth-transfer pull REF --root ROOT [--platform os/arch[/variant]] [--plain-http] [--tls-skip-verify] [--quiet]
 *   fd 1: on success one JSON line {"manifest_digest","config_digest","ref"}; blobs and layers are in place and synced.
 *         On failure one JSON line {"error":{"no":ERRNO,"msg":"..."}}, exit status 1 (2: wrong usage).
 *   fd 2: progress, and with --debug the log. The caller reports the error, so that it is said once.
 *   The caller holds ROOT/lock (flock, shared) from before the start until image_record has run, so that no collector takes
 *   what was pulled for garbage; berth-transfer itself holds it too, for callers that don't. It never writes records.
 *
 * berth-transfer load PATH|- --root ROOT [--quiet]          "-" = fd 0; PATH: an archive (OCI or docker's) or a layout directory
 *   fd 1: {"images":[{"manifest_digest","refs":["docker.io/library/x:1", ...]}]}, refs empty where the archive names none
 * berth-transfer save --root ROOT --format docker-archive|oci-archive|oci-dir (--output-fd 3 | --output DIR) MANIFEST_DIGEST=[REF]...
 *   fd 1: {}; the archive goes to fd 3 (a file or a pipe)
 * berth-transfer push REF --root ROOT --manifest DIGEST [--sibling PATH=MANIFEST_DIGEST]... and pull's options but --platform
 *   The image of that manifest goes to REF (with a tag). A sibling is an image whose name is in another repository of REF's registry, PATH:
 *   layers that both have are not sent. fd 1: {"ref","size"}, size: the manifest's bytes
 * berth-transfer login DOMAIN --root ROOT --user USER: the password is standard input, all of it. fd 1: {"file"[,"helper"]}: where it is kept
 * berth-transfer logout DOMAIN --root ROOT. fd 1: {"found"}
 * berth-transfer search DOMAIN --root ROOT --limit N --term TERM|--tags PATH: repositories whose names hold TERM, or PATH's tags.
 *   fd 1: {"found":[...]}, see search.h
 *   Errors of all as above.
 *
 * Layout of files: see image.h. Downloads grow in ROOT/tmp/sha256-HEX.part (kept after a failure, resumed by the next pull;
 * an flock on it belongs to the one process that writes it), unpacks in ROOT/tmp/unpack-XXXXXX/diff. */
#pragma once

#include "image.h"

/* ---- unpacking one layer (unpack*.c, archive*.c) ---- */

struct unpack_limits {
	uint64_t max_ratio, ratio_floor_bytes; /* uncompressed > floor and > ratio * compressed = a bomb */
	uint64_t max_entries, max_bytes;
	unsigned max_depth;
};
extern const struct unpack_limits unpack_limits_default; /* 100:1 beyond 1 GiB, ... (I08) */

struct unpack_result {
	uint64_t size_bytes; /* apparent size of regular files */
	uint64_t files;
	bool has_implied; /* directories without an entry of their own: it is installed after the layers below */
};

/* A layer being unpacked by a confined child process of ours. The parent may already run with no_new_privs, Landlock (writes
 * beneath ROOT only; so no mount(2) of any kind) and a seccomp deny list; it is single-threaded. */
struct unpack;

/* fd: the blob's bytes, read once from where it stands up to EOF: a file, or a pipe whose writer is still downloading (it is
 * then fed as fast as the child reads). Not owned; the caller may close it after this. dirfd: an empty directory, not owned.
 * The child closes every other fd at once: a copy of a pipe's writing end that lived on in it would keep it, or another
 * layer's child, waiting for an EOF that never comes. The uncompressed bytes must hash to diff_id. COMP_* is what the media
 * type says. The child dies with its parent. */
int unpack_start(int fd, enum media_compression comp, int dirfd, const char *diff_id, const struct unpack_limits *lim,
		 struct unpack **ret, struct err *e);
/* poll(2) this for POLLIN, then call unpack_step. Belongs to the unpack. */
int unpack_pollfd(const struct unpack *u);
/* Takes in what the child has reported; never blocks. 1: done, *ret filled, child reaped; 0: still going; -errno: failed
 * (-EBADMSG: diff_id differs or the archive is damaged; -E2BIG: a limit; else the file system's). Call it until non-zero. */
int unpack_step(struct unpack *u, struct unpack_result *ret, struct err *e);
/* Kills and reaps the child if it still runs. What was unpacked so far stays for the caller to remove. */
void unpack_free(struct unpack *u);
DEFINE_CLEANUP(struct unpack *, unpack_free)

/* The same in one call (load): starts, waits, calls progress (may be NULL; done = compressed bytes taken in). */
int layer_unpack(int blobfd, enum media_compression comp, int dirfd, const char *diff_id, const struct unpack_limits *lim,
		 void (*progress)(uint64_t done, void *arg), void *arg, struct unpack_result *ret, struct err *e);

/* ---- the store's side of it (unpack_install.c) ---- */

struct layer_info {
	const char *diff_id, *chain_id, *blob; /* checked digests, not owned */
	uint64_t size_bytes, files;
	bool has_implied;
	const char *const
		*below; /* chain ids of the layers that it lies on, the nearest first; only looked at with has_implied */
	size_t n_below;
};
/* Chain id of diff_id upon parent (a chain id; NULL for the lowest layer), OCI image spec "Layer ChainID". */
void layer_chain_id(const char *parent, const char *diff_id, char ret[DIGEST_LEN]);
/* Is ROOT/layers/CHAINHEX whole (has info.json)? 1, 0 or -errno. */
int layer_is_installed(int rootfd, const char *chain_id);
/* Makes ROOT/tmp/unpack-XXXXXX/diff, empty, root's, 0755. *ret_name: "unpack-XXXXXX" (caller frees); *ret_dirfd: of diff. */
int layer_tmp_new(int rootfd, char **ret_name, int *ret_dirfd, struct err *e);
/* Removes ROOT/tmp/NAME (an abandoned unpack). */
void layer_tmp_remove(int rootfd, const char *name);
/* Writes ROOT/tmp/NAME/info.json and renames NAME to ROOT/layers/CHAINHEX. Not synced: the caller does one syncfs for the
 * image. When another process was first, or the remains of a broken install stand there, the whole one wins; 0 either way. */
int layer_install(int rootfd, const char *tmp_name, const struct layer_info *info, struct err *e);
