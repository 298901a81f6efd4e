/* Private to image: store_check's parts. */
#pragma once

#include <stdio.h>

#include "store_private.h"

struct checked_image {
	struct image_record rec;
	char **names; /* its references, or its id */
	struct manifest manifest;
	bool has_manifest; /* whole, so that the blobs it needs are known */
};
struct check {
	struct store *s;
	const struct check_opts *o;
	struct checked_image *images;
	size_t n_images;
	const char *only; /* id of the one image that is asked about; NULL: all */
	/* the object that is being looked at */
	const char *kind, *name;
	char **needed_by; /* images' names */
	size_t problems;  /* of it */
	bool will_be_set_aside, is_held;
	size_t n, of; /* objects begun, and there are */
	int remaining;
	struct err failed; /* it could not be found out; .no 0: none such yet */
	char **told;       /* "bDIGEST", "lDIGEST": found wrong already */
};
/* A part of c's present object can't be read: it is damaged, or all is given up where that may be another matter (memory, descriptors). */
void check_unreadable(struct check *c, int no, const char *what);
/* Something is wrong with c's present object. */
void check_report(struct check *c, const char *fmt, ...) _printf_(2, 3);
bool check_is_told(const struct check *c, const char *kind, const char *name);
/* Layer ROOT/layers/HEX against its file list (check_layer.c). */
void check_layer(struct check *c, int layersfd, const char *hex);

/* check_images.c: which images need what. */
int check_images_read(struct check *c, struct err *e);
void check_images_done(struct check *c);
/* Names of the images that need this blob or layer; strv_free it. */
char **check_blob_users(const struct check *c, const char *digest);
char **check_layer_users(const struct check *c, const char *chain_id);
bool check_wants_blob(const struct check *c, const char *digest); /* is it asked about? */
bool check_wants_layer(const struct check *c, const char *chain_id);
/* Disks that were made of this layer, among others, are removed. */
int check_drop_disks(const struct check *c, const char *chain_id, struct err *e);
/* Each image's record against what it stands on. */
void check_images(struct check *c);
/* The present object: kind and name are borrowed, users taken. */
void check_begin(struct check *c, const char *kind, const char *name, char **users);
