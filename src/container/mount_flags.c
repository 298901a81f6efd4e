/* mount_flags: the options of a mount ("ro", "rbind", "rslave", "size=64k") taken apart. Facts are the tables; what no table
 * knows is left for the filesystem itself, whose refusal mount_api.c reports. Called by mounts.c.
 *
 * Within one list the last word wins ("ro,rw" is writable), but no option ever lifts a restriction that the source of a
 * bind mount has on the host: "rw" of a mount that is read-only there stays read-only. */
#include <sys/mount.h>

#include "setup.h"

enum option_kind {
	OPT_NOTHING,
	OPT_SET,
	OPT_CLEAR,
	OPT_REC_SET,
	OPT_REC_CLEAR,
	OPT_ATIME,
	OPT_REC_ATIME,
	OPT_PROPAGATION,
	OPT_BIND,
	OPT_SUPER,
	OPT_IDMAP,
	OPT_REMOUNT,
	OPT_COPYUP,
};
struct option_row {
	const char *name;
	enum option_kind kind;
	uint64_t value;
	bool is_recursive;
};

static const struct option_row option_table[] = {
	{ "defaults", OPT_NOTHING, 0, false },
	/* Words of mount(8) that fsconfig(2) has no counterpart of: nothing is ever logged here, and filesystems that count
	 * versions of inodes always do. */
	{ "silent", OPT_NOTHING, 0, false },
	{ "loud", OPT_NOTHING, 0, false },
	{ "iversion", OPT_NOTHING, 0, false },
	{ "noiversion", OPT_NOTHING, 0, false },
	{ "acl", OPT_NOTHING, 0, false }, /* a word of runc's: filesystems that have access control lists heed them unasked */
	/* Docker's words for a volume that crosses the wall of a virtual machine (isolation/vm_spec.c): one kernel needs neither. */
	{ "cached", OPT_NOTHING, 0, false },
	{ "consistent", OPT_NOTHING, 0, false },
	{ "sync", OPT_SUPER, 0, false },
	{ "async", OPT_SUPER, 0, false },
	{ "dirsync", OPT_SUPER, 0, false },
	{ "lazytime", OPT_SUPER, 0, false },
	{ "nolazytime", OPT_SUPER, 0, false },
	{ "mand", OPT_SUPER, 0, false },
	{ "nomand", OPT_SUPER, 0, false },
	{ "ro", OPT_SET, MOUNT_ATTR_RDONLY, false },
	{ "rw", OPT_CLEAR, MOUNT_ATTR_RDONLY, false },
	{ "nosuid", OPT_SET, MOUNT_ATTR_NOSUID, false },
	{ "suid", OPT_CLEAR, MOUNT_ATTR_NOSUID, false },
	{ "nodev", OPT_SET, MOUNT_ATTR_NODEV, false },
	{ "dev", OPT_CLEAR, MOUNT_ATTR_NODEV, false },
	{ "noexec", OPT_SET, MOUNT_ATTR_NOEXEC, false },
	{ "exec", OPT_CLEAR, MOUNT_ATTR_NOEXEC, false },
	{ "nodiratime", OPT_SET, MOUNT_ATTR_NODIRATIME, false },
	{ "diratime", OPT_CLEAR, MOUNT_ATTR_NODIRATIME, false },
	{ "nosymfollow", OPT_SET, MOUNT_ATTR_NOSYMFOLLOW, false },
	{ "symfollow", OPT_CLEAR, MOUNT_ATTR_NOSYMFOLLOW, false },
	{ "rro", OPT_REC_SET, MOUNT_ATTR_RDONLY, false },
	{ "rrw", OPT_REC_CLEAR, MOUNT_ATTR_RDONLY, false },
	{ "rnosuid", OPT_REC_SET, MOUNT_ATTR_NOSUID, false },
	{ "rsuid", OPT_REC_CLEAR, MOUNT_ATTR_NOSUID, false },
	{ "rnodev", OPT_REC_SET, MOUNT_ATTR_NODEV, false },
	{ "rdev", OPT_REC_CLEAR, MOUNT_ATTR_NODEV, false },
	{ "rnoexec", OPT_REC_SET, MOUNT_ATTR_NOEXEC, false },
	{ "rexec", OPT_REC_CLEAR, MOUNT_ATTR_NOEXEC, false },
	{ "rnodiratime", OPT_REC_SET, MOUNT_ATTR_NODIRATIME, false },
	{ "rdiratime", OPT_REC_CLEAR, MOUNT_ATTR_NODIRATIME, false },
	{ "rnosymfollow", OPT_REC_SET, MOUNT_ATTR_NOSYMFOLLOW, false },
	{ "rsymfollow", OPT_REC_CLEAR, MOUNT_ATTR_NOSYMFOLLOW, false },
	{ "relatime", OPT_ATIME, MOUNT_ATTR_RELATIME, false },
	{ "norelatime", OPT_ATIME, MOUNT_ATTR_STRICTATIME, false },
	{ "noatime", OPT_ATIME, MOUNT_ATTR_NOATIME, false },
	{ "atime", OPT_ATIME, MOUNT_ATTR_RELATIME, false },
	{ "strictatime", OPT_ATIME, MOUNT_ATTR_STRICTATIME, false },
	{ "nostrictatime", OPT_ATIME, MOUNT_ATTR_RELATIME, false },
	{ "bind", OPT_BIND, 0, false },
	{ "rbind", OPT_BIND, 0, true },
	{ "private", OPT_PROPAGATION, MS_PRIVATE, false },
	{ "rprivate", OPT_PROPAGATION, MS_PRIVATE, true },
	{ "slave", OPT_PROPAGATION, MS_SLAVE, false },
	{ "rslave", OPT_PROPAGATION, MS_SLAVE, true },
	{ "shared", OPT_PROPAGATION, MS_SHARED, false },
	{ "rshared", OPT_PROPAGATION, MS_SHARED, true },
	{ "unbindable", OPT_PROPAGATION, MS_UNBINDABLE, false },
	{ "runbindable", OPT_PROPAGATION, MS_UNBINDABLE, true },
	{ "ratime", OPT_REC_ATIME, MOUNT_ATTR_RELATIME, false },
	{ "rrelatime", OPT_REC_ATIME, MOUNT_ATTR_RELATIME, false },
	{ "rnorelatime", OPT_REC_ATIME, MOUNT_ATTR_STRICTATIME, false },
	{ "rnoatime", OPT_REC_ATIME, MOUNT_ATTR_NOATIME, false },
	{ "rstrictatime", OPT_REC_ATIME, MOUNT_ATTR_STRICTATIME, false },
	{ "rnostrictatime", OPT_REC_ATIME, MOUNT_ATTR_RELATIME, false },
	{ "idmap", OPT_IDMAP, 0, false },
	{ "ridmap", OPT_IDMAP, 0, true },
	{ "remount", OPT_REMOUNT, 0, false },
	{ "tmpcopyup", OPT_COPYUP, 0, false },
};

static const struct option_row *option_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(option_table); i++)
		if (streq(option_table[i].name, name))
			return &option_table[i];
	return NULL;
}

const char *mount_option_word(size_t i) { return i < ARRAY_SIZE(option_table) ? option_table[i].name : NULL; }

static void option_apply(const struct option_row *row, struct mount_plan *p)
{
	switch (row->kind) {
	case OPT_NOTHING: break;
	case OPT_SET:
		p->attrs |= row->value;
		p->cleared &= ~row->value;
		break;
	case OPT_CLEAR:
		p->attrs &= ~row->value;
		p->cleared |= row->value;
		break;
	case OPT_REC_SET: p->rec_attrs |= row->value; break;
	case OPT_REC_CLEAR: p->rec_attrs &= ~row->value; break;
	case OPT_ATIME:
		p->atime = row->value;
		p->has_atime = true;
		break;
	case OPT_REC_ATIME:
		p->rec_atime = row->value;
		p->has_rec_atime = true;
		break;
	case OPT_PROPAGATION:
		p->propagation = row->value;
		p->is_propagation_recursive = row->is_recursive;
		break;
	case OPT_BIND:
		p->is_bind = true;
		p->is_recursive = row->is_recursive;
		break;
	case OPT_SUPER: p->super[p->n_super++] = row->name; break;
	case OPT_IDMAP:
		p->is_idmap = true;
		p->is_idmap_recursive = row->is_recursive;
		break;
	case OPT_REMOUNT: p->is_remount = true; break;
	case OPT_COPYUP: p->is_copyup = true; break;
	}
}

int mount_options_parse(char *const *options, struct mount_plan *ret, struct err *e)
{
	struct mount_plan p = { .data = NULL };

	p.data = calloc(strv_len(options) + 1, sizeof(*p.data));
	p.super = calloc(strv_len(options) + 1, sizeof(*p.super));
	if (!p.data || !p.super) {
		mount_plan_done(&p);
		return err_set(e, ENOMEM, "mount options: out of memory");
	}
	for (size_t i = 0; options && options[i]; i++) {
		const struct option_row *row = option_find(options[i]);

		if (row)
			option_apply(row, &p);
		else
			p.data[p.n_data++] = options[i];
	}
	*ret = p;
	return 0;
}

void mount_plan_done(struct mount_plan *p)
{
	free_ptr(&p->data);
	free_ptr(&p->super);
}

int mount_propagation_parse(const char *s, uint64_t *ret, bool *ret_recursive, struct err *e)
{
	const struct option_row *row;

	*ret = 0;
	*ret_recursive = false;
	if (!s || !*s)
		return 0;
	row = option_find(s);
	if (!row || row->kind != OPT_PROPAGATION)
		return err_set(e, EINVAL,
			       "rootfsPropagation \"%s\": expected private, slave, shared or unbindable, or one of them with an "
			       "r before it",
			       s);
	*ret = row->value;
	*ret_recursive = row->is_recursive;
	return 0;
}
