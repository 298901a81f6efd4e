/* Paths as they stand in a layer, judged before anything is named from them. Resolution inside the tree (symlinks) is the kernel's
 * business (root_open); this is the part that is about text alone. */
#include <string.h>

#include "unpack_private.h"

int unpack_path_clean(const char *in, unsigned max_depth, char ret[UNPACK_PATH_MAX], struct err *e)
{
	size_t len = 0;
	unsigned depth = 0;

	for (const char *at = in; *at;) {
		size_t n = strcspn(at, "/");
		if (n == 2 && at[0] == '.' && at[1] == '.')
			return err_set(e, EINVAL, "entry \"%.100s\" climbs with \"..\"", in);
		if (n > 0 && !(n == 1 && at[0] == '.')) {
			if (n > NAME_MAX)
				return err_set(e, EINVAL, "entry \"%.60s...\" has a name of %zu bytes (255 at most)", in, n);
			if (len + 1 + n + 1 > UNPACK_PATH_MAX)
				return err_set(e, EINVAL, "entry \"%.60s...\" is longer than %d bytes", in, UNPACK_PATH_MAX - 1);
			if (++depth > max_depth)
				return err_set(e, E2BIG, "entry \"%.60s...\" is deeper than %u directories", in, max_depth);
			if (len)
				ret[len++] = '/';
			memcpy(ret + len, at, n);
			len += n;
		}
		at += n;
		at += strspn(at, "/");
	}
	ret[len] = '\0';
	return 0;
}

#define WH      ".wh."
#define WH_META ".wh..wh."

int unpack_whiteout(const char *path, enum wh_kind *ret, struct err *e)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	/* Directories of AUFS's own (.wh..wh.plnk, .wh..wh.orph, .wh..wh.aufs) and all that is in them mean nothing elsewhere. */
	for (const char *at = path; at < name; at = strchr(at, '/') + 1) {
		if (str_after(at, WH_META)) {
			*ret = WH_IGNORE;
			return 0;
		}
		if (str_after(at, WH))
			return err_set(e, EINVAL, "entry \"%.100s\" lies below a whiteout", path);
	}
	if (!str_after(name, WH))
		*ret = WH_NONE;
	else if (streq(name, WH_META ".opq"))
		*ret = WH_OPAQUE;
	else if (str_after(name, WH_META))
		*ret = WH_IGNORE;
	else if (streq(name, WH) || streq(name, WH ".") || streq(name, WH ".."))
		return err_set(e, EINVAL, "whiteout \"%.100s\" names nothing that could be deleted", path);
	else
		*ret = WH_FILE;
	return 0;
}
