/* A finished unpack becomes a layer of the store: ROOT/tmp/unpack-XXXXXX -> ROOT/layers/CHAINHEX, by one rename.
 *
 * info.json is written before the rename, so a layer under its chain id always has one; a directory there without it is the rest of
 * something else and gives way. Whoever renames first wins; both made the same. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unpack_private.h"

void layer_chain_id(const char *parent, const char *diff_id, char ret[DIGEST_LEN])
{
	/* Checked digests: chain_id can't fail on them. */
	if (chain_id(parent, diff_id, ret) < 0)
		ret[0] = '\0';
}

int layer_is_installed(int rootfd, const char *chain)
{
	char path[96];

	snprintf(path, sizeof(path), "layers/%s/info.json", digest_hex(chain));
	if (faccessat(rootfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
}

int layer_tmp_new(int rootfd, char **ret_name, int *ret_dirfd, struct err *e)
{
	_cleanup_fd_ int tmp = openat(rootfd, "tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *name = NULL;
	char id[65], path[96];
	int r = tmp < 0 ? -errno : id_new(id);

	if (r < 0)
		return err_set(e, -r, "make a directory in the store's tmp: %s", strerror(-r));
	if (!(name = str_fmt("unpack-%.12s", id)))
		return err_set(e, ENOMEM, "unpack: out of memory");
	snprintf(path, sizeof(path), "%s/diff", name);
	if (mkdirat(tmp, name, 0700) < 0 || mkdirat(tmp, path, 0755) < 0)
		return err_set(e, errno, "make tmp/%s in the store: %s", path, strerror(errno));
	_cleanup_fd_ int fd = openat(tmp, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* mkdir's mode went through the caller's umask. */
	if (fd < 0 || fchmod(fd, 0755) < 0)
		return err_set(e, errno, "open tmp/%s in the store: %s", path, strerror(errno));
	*ret_name = TAKE_PTR(name);
	*ret_dirfd = TAKE_FD(fd);
	return 0;
}

void layer_tmp_remove(int rootfd, const char *name)
{
	_cleanup_fd_ int tmp = openat(rootfd, "tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	/* What can't be removed now is left to the collector. */
	if (tmp >= 0)
		rm_rf(tmp, name);
}

/* Digest of the file list: store_check trusts the list by it. */
static int hash_list(int dirfd, char ret[DIGEST_LEN], struct err *e)
{
	_cleanup_fd_ int fd = openat(dirfd, "files", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct sha256_ctx sha;
	uint8_t buf[32768];
	ssize_t n;

	if (fd < 0)
		return err_set(e, errno, "open the layer's file list: %s", strerror(errno));
	sha256_init(&sha);
	while ((n = fd_read_full(fd, buf, sizeof(buf))) > 0)
		sha256_update(&sha, (size_t)n, buf);
	if (n < 0)
		return err_set(e, (int)-n, "read the layer's file list: %s", strerror((int)-n));
	sha256_finish_str(&sha, ret);
	return 0;
}

static int write_info(int dirfd, const struct layer_info *i, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	char list[DIGEST_LEN];
	int r = hash_list(dirfd, list, e);

	if (r < 0)
		return r;
	if (!o || json_object_object_add(o, "diff_id", json_object_new_string(i->diff_id)) < 0 ||
	    json_object_object_add(o, "chain_id", json_object_new_string(i->chain_id)) < 0 ||
	    json_object_object_add(o, "blob", json_object_new_string(i->blob)) < 0 ||
	    json_object_object_add(o, "size_bytes", json_object_new_uint64(i->size_bytes)) < 0 ||
	    json_object_object_add(o, "files", json_object_new_uint64(i->files)) < 0 ||
	    json_object_object_add(o, "list", json_object_new_string(list)) < 0)
		return err_set(e, ENOMEM, "unpack: out of memory");
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	/* Not durable by itself: the caller's one syncfs comes before the record that makes it matter. */
	r = file_replace(dirfd, "info.json", text, strlen(text), 0600, false);
	return r < 0 ? err_set(e, -r, "write info.json of layer %s: %s", i->chain_id, strerror(-r)) : 0;
}

int layer_install(int rootfd, const char *tmp_name, const struct layer_info *info, struct err *e)
{
	char from[80], to[80];
	int r;

	snprintf(from, sizeof(from), "tmp/%s", tmp_name);
	snprintf(to, sizeof(to), "layers/%s", digest_hex(info->chain_id));
	_cleanup_fd_ int dirfd = openat(rootfd, from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0)
		return err_set(e, errno, "open %s in the store: %s", from, strerror(errno));
	if (streq(info->chain_id, info->diff_id) && (r = unpack_bottom(dirfd, e)) < 0)
		return r;
	if (info->has_implied && (r = unpack_implied(rootfd, dirfd, info, e)) < 0)
		return r;
	if ((r = write_info(dirfd, info, e)) < 0)
		return r;
	for (int tries = 0; renameat(rootfd, from, rootfd, to) < 0; tries++) {
		if ((errno != EEXIST && errno != ENOTEMPTY) || tries == 2)
			return err_set(e, errno, "put layer %s in its place: %s", info->chain_id, strerror(errno));
		if ((r = layer_is_installed(rootfd, info->chain_id)) == 1) {
			layer_tmp_remove(rootfd, tmp_name);
			return 0;
		}
		if (r == 0)
			r = rm_rf(rootfd, to);
		if (r < 0)
			return err_set(e, -r, "clear the broken layer %s: %s", info->chain_id, strerror(-r));
	}
	return 0;
}
