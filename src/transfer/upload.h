/* upload: one blob of ROOT/oci/blobs/sha256 on its way to a repository (distribution spec 1.1, "Pushing blobs").
 *
 *   UPLOAD_ASK --it is there--> UPLOAD_THERE
 *   UPLOAD_ASK --it is not--> UPLOAD_BEGIN --taken over from another repository of the registry--> UPLOAD_MOUNTED
 *   UPLOAD_BEGIN --a place to send it to--> UPLOAD_SEND --> UPLOAD_SENT
 *   UPLOAD_SEND --a bad moment--> UPLOAD_PAUSE --> UPLOAD_BEGIN: what was half sent is the registry's to forget
 *
 * The bytes are hashed as they go: of a blob that has rotted in the store that is said, and not what the registry thinks of it. */
#pragma once

#include <openssl/evp.h>

#include "exchange.h"

enum upload_state { UPLOAD_ASK, UPLOAD_BEGIN, UPLOAD_SEND, UPLOAD_PAUSE, UPLOAD_THERE, UPLOAD_MOUNTED, UPLOAD_SENT };

struct upload {
	enum upload_state state;
	struct registry *reg;   /* not owned */
	int rootfd;             /* not owned */
	const char *digest;     /* checked; not owned */
	uint64_t size;          /* as the manifest tells */
	const char *what;       /* for messages; not owned */
	const char *mount_from; /* a repository's path that has it, or NULL; not owned */
	/* private */
	int fd;
	EVP_MD_CTX *hash;
	uint64_t hashed;
	char *location; /* where to send it */
	struct http_source source;
	struct retry retry;
	uint64_t wait_until_us;
	struct exchange x;
};
void upload_init(struct upload *u, struct registry *reg, int rootfd, const char *digest, uint64_t size, const char *what,
		 const char *mount_from);
/* One step, never long. 1: THERE, MOUNTED or SENT; 0: still going; -errno (-EBADMSG: damaged in the store). */
int upload_step(struct upload *u, struct err *e);
/* How long the loop may sleep on its account: ms, -1 = as long as it likes. */
int upload_wait_ms(const struct upload *u);
uint64_t upload_sent_bytes(const struct upload *u);
void upload_done(struct upload *u);
