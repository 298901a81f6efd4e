/* download: one blob on its way into ROOT/oci/blobs/sha256/HEX, hashed as it comes.
 *
 *   BLOB_NEW --exists already--> BLOB_PRESENT
 *   BLOB_NEW --another process has the lock--> BLOB_NEW (asked again every BLOB_LOCK_MS)
 *   BLOB_NEW --locked--> BLOB_REHASH (what an earlier try left) --> BLOB_FETCH --> BLOB_WHOLE --blob_commit--> BLOB_PRESENT
 *   BLOB_REHASH, BLOB_FETCH: bytes with the wrong digest, some of them from an earlier try: --> BLOB_REHASH with nothing, once
 *
 * The bytes grow in ROOT/tmp/sha256-HEX.part under an flock, so that of several processes that pull the same blob one
 * downloads, and dying frees it. Bytes may be read from .fd up to .len at any time: they never change unless
 * .generation does. */
#pragma once

#include <openssl/evp.h>

#include "exchange.h"
#include "spec.h"

#define BLOB_LOCK_MS 50

enum blob_state { BLOB_NEW, BLOB_REHASH, BLOB_FETCH, BLOB_WHOLE, BLOB_PRESENT };

struct blob {
	enum blob_state state;
	int rootfd;           /* not owned */
	struct registry *reg; /* not owned */
	const char *digest;   /* checked; not owned */
	uint64_t size;        /* as the manifest tells */
	const char *what;     /* for messages; not owned */
	int fd;               /* of the .part (then locked) or of the blob; -1 */
	uint64_t len;         /* bytes in it, hashed */
	unsigned generation;  /* grows when the bytes started anew */
	bool may_fetch;       /* set by the scheduler: a download slot is ours */
	/* private */
	EVP_MD_CTX *hash;
	uint64_t part_len, skip; /* left by an earlier try; bytes to drop from an answer that ignored Range */
	bool has_old_bytes, is_fresh_try;
	uint64_t lock_next_us;
	struct exchange x;
	struct err sink_err; /* why begin or body refused, when the exchange can't know */
};
void blob_init(struct blob *b, struct registry *reg, int rootfd, const char *digest, uint64_t size, const char *what);
/* One step, never long. 1: BLOB_WHOLE or BLOB_PRESENT, the digest is right (PRESENT: the size only; it was checked when it
 * came); 0: still going; -errno. After a failure the .part stays for the next try unless its bytes are known to be bad. */
int blob_step(struct blob *b, struct err *e);
/* How long the loop may sleep on its account: ms, -1 = as long as it likes. */
int blob_wait_ms(const struct blob *b);
/* BLOB_WHOLE -> BLOB_PRESENT: gives it its name. The lock is kept until blob_done, so that who waits for it finds the
 * unpacked layer too. */
int blob_commit(struct blob *b, struct err *e);
/* BLOB_PRESENT, but its bytes turned out damaged: removes it and starts anew. */
int blob_replace(struct blob *b, struct err *e);
/* Drops the .part as well: its bytes are of no use. */
void blob_discard(struct blob *b);
void blob_done(struct blob *b);

/* Writes a small document (a manifest) as a blob. */
int blob_put(int rootfd, const char *digest, const char *text, size_t len, struct err *e);
/* Reads a present blob of at most max bytes and checks its digest (-EBADMSG). Caller frees. */
int blob_get(int rootfd, const char *digest, size_t max, char **ret_text, size_t *ret_len, struct err *e);
/* oci/blobs/sha256, layers, tmp and oci-layout beneath ROOT. */
int blob_dirs_make(int rootfd, struct err *e);
