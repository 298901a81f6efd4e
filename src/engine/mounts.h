/* Private to the engine's files on mounts: an option of the user's on its way to a mount of the spec, and what is still to be done for
 * it once all are known (volumes_plan.c). */
#pragma once

#include "engine_impl.h"

/* Of one mount of the spec, found again by its target. */
struct mount_wish {
	char *target;
	bool is_volume;           /* its source is not known yet */
	char *name;               /* of the volume; NULL: one that is made for this container alone */
	bool is_own;              /* --volumes-from: was made so for that container */
	bool must_exist;          /* --volumes-from */
	bool no_copy;             /* nothing of the image's goes into an empty one */
	bool chowns;              /* :U */
	char **labels, **options; /* of a new one */
};
struct mounts {
	struct spec *s;
	struct mount_wish *wishes;
	size_t n;
};
void mounts_done(struct mounts *m); /* not the spec */

/* One whose parts are being collected. */
struct mount_draft {
	const char *what; /* "--volume", for errors */
	const char *text; /* as the user wrote it */
	char *source, *target;
	bool is_volume, no_copy, chowns;
	char **labels, **options;
	bool is_readonly, makes_source, is_flat; /* flat: not the mounts below the source */
	bool may_suid, may_dev, no_exec;
	const char *propagation;
	const char *trust; /* "cached" or "consistent", for a virtual machine (isolation/vm_spec.c); NULL: neither */
};
void mount_draft_done(struct mount_draft *d);
/* The words of -v; NULL, -EINVAL: unknown. */
const char *mount_propagation(const char *word);
int mount_consistency(struct mount_draft *d, const char *word);
/* Each takes d->target's place: refused where it is another's of the user's. */
int mount_add_bind(struct mounts *m, struct mount_draft *d, struct err *e); /* a volume where d->is_volume says so */
int mount_add_tmpfs(struct mounts *m, struct mount_draft *d, char *const *more, struct err *e);
int mount_tmpfs_check(const char *text, char **word, struct err *e);
/* As it comes from elsewhere; takes options. */
int mount_add(struct mounts *m, const char *type, const char *source, const char *target, char **options, struct err *e);
int mount_add_wish(struct mounts *m, const struct mount_wish *w, struct err *e); /* copies it */
bool mount_is_users(const struct spec_mount *m);
/* Whether a mount of the user's is there already. */
bool mounts_has(const struct mounts *m, const char *target);
int mount_check_target(const struct mount_draft *d, struct err *e); /* and makes it plain: no "//", "/./" or last "/" */
int mount_take_place(struct mounts *m, const struct mount_draft *d, struct err *e);

void mounts_remove(struct mounts *m, const char *target); /* the one there, if any */
void mounts_sort(struct mounts *m);                       /* what is mounted below another one comes after it */

/* -v, --mount, --tmpfs: host paths are resolved and, for -v, made. */
int mounts_add_volume(struct mounts *m, const char *text, struct err *e);
int mounts_add_mount(struct mounts *m, const char *text, struct err *e);
int mounts_add_tmpfs(struct mounts *m, const char *text, struct err *e);

/* ---- volumes_plan.c: --volumes-from, the image's volumes; then all wishes ---- */
int mounts_add_from(struct plan *p, struct mounts *m, struct err *e);
int mounts_add_image(struct plan *p, struct mounts *m, struct err *e);
int mounts_fulfil(struct plan *p, struct mounts *m, struct err *e);
