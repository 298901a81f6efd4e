/* The media types of images, OCI's and Docker's, in one table. Sources: OCI image spec 1.1, media-types.md; Docker image
 * manifest version 2, schema 2. Called by image_spec.c and by whoever chooses how to read a blob. */
#include "image_spec.h"

static const struct media {
	const char *type;
	enum media_kind kind;
	enum media_compression compression;
} media_types[] = {
	{ "application/vnd.oci.image.index.v1+json", MEDIA_INDEX },
	{ "application/vnd.oci.image.manifest.v1+json", MEDIA_MANIFEST },
	{ "application/vnd.oci.image.config.v1+json", MEDIA_CONFIG },
	{ "application/vnd.oci.image.layer.v1.tar", MEDIA_LAYER, COMP_NONE },
	{ "application/vnd.oci.image.layer.v1.tar+gzip", MEDIA_LAYER, COMP_GZIP },
	{ "application/vnd.oci.image.layer.v1.tar+zstd", MEDIA_LAYER, COMP_ZSTD },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar", MEDIA_LAYER, COMP_NONE },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", MEDIA_LAYER, COMP_GZIP },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", MEDIA_LAYER, COMP_ZSTD },
	{ "application/vnd.docker.distribution.manifest.list.v2+json", MEDIA_INDEX },
	{ "application/vnd.docker.distribution.manifest.v2+json", MEDIA_MANIFEST },
	{ "application/vnd.docker.container.image.v1+json", MEDIA_CONFIG },
	{ "application/vnd.docker.image.rootfs.diff.tar", MEDIA_LAYER, COMP_NONE },
	{ "application/vnd.docker.image.rootfs.diff.tar.gzip", MEDIA_LAYER, COMP_GZIP },
	{ "application/vnd.docker.image.rootfs.diff.tar.zstd", MEDIA_LAYER, COMP_ZSTD },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", MEDIA_LAYER, COMP_GZIP },
};

enum media_kind media_kind(const char *media_type, enum media_compression *ret_c)
{
	for (size_t i = 0; media_type && i < ARRAY_SIZE(media_types); i++) {
		if (streq(media_types[i].type, media_type)) {
			if (ret_c)
				*ret_c = media_types[i].compression;
			return media_types[i].kind;
		}
	}
	return MEDIA_UNKNOWN;
}
