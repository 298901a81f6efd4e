/* Extended attributes of a layer's entries: which are taken over. */
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "unpack_private.h"

/* First match decides; what matches nothing is dropped. overlayfs' own would let a layer redirect, hide or copy up what belongs to
 * another (I07); labels and signatures of the host's security modules are the host's to give. */
static const struct {
	const char *prefix;
	bool is_kept, must_work;
} rules[] = {
	{ "trusted.overlay.", false, false },
	{ "user.overlay.", false, false },
	{ "trusted.berth.", false, false },
	{ "user.berth.", false, false },
	{ "security.capability", true, true },
	{ "system.posix_acl_access", true, false },
	{ "system.posix_acl_default", true, false },
	{ "user.", true, false },
	{ "trusted.", true, false },
};

static int set(const struct node *n, int fd, const char *name, const void *value, size_t size)
{
	if (fd >= 0)
		return fsetxattr(fd, name, value, size, 0) < 0 ? -errno : 0;
	/* There is no lsetxattrat before Linux 6.13: stand in the parent and name the last component alone. */
	if (fchdir(n->parent->fd) < 0)
		return -errno;
	return lsetxattr(n->name, name, value, size, 0) < 0 ? -errno : 0;
}

int node_xattrs(struct tree *t, const struct node *n, int fd, struct err *e)
{
	const char *name;
	const void *value;
	size_t size;

	if (archive_entry_xattr_reset(n->entry) == 0)
		return 0;
	while (archive_entry_xattr_next(n->entry, &name, &value, &size) == ARCHIVE_OK) {
		size_t i = 0;
		while (i < ARRAY_SIZE(rules) && !(name && str_after(name, rules[i].prefix)))
			i++;
		if (i == ARRAY_SIZE(rules) || !rules[i].is_kept)
			continue;
		int r = set(n, fd, name, value, size);
		/* What the file system can't hold, or this kind of file can't have, is let go as tar does, capabilities excepted. */
		if (r < 0 && (rules[i].must_work || (r != -ENOTSUP && r != -EPERM && r != -EINVAL)))
			return err_set(e, -r, "set %s of \"%.200s\": %s", name, n->path, strerror(-r));
		if (r == 0 && streq(name, "system.posix_acl_default"))
			t->has_default_acl = true;
	}
	return 0;
}
