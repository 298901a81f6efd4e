/* volumes_quota.c: volumes of a limited size (-o size=), by project quotas of the file system that the store is on.
 *
 * ROOT/volumes/NAME is given a project id that nobody has, which all that is made in it inherits, and that project a limit. Its inode keeps the
 * id, so that there is nothing to be recorded: who removes the directory takes the limit away first. A file can be given to another project,
 * or a directory stop to hand its own on, by whoever owns it: by ioctls, which containers with such a volume are refused (plan_bounds). A
 * virtual machine's guest has no way to them.
 *
 * A file system of the volume's own in an image file would need no support of the host's, but a mount that is there for as long as anybody
 * looks into the volume; Berth mounts nothing where the host would see it, and has nobody to unmount it. */
#include "volumes_impl.h"

#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROJECT_FIRST 0x42000000u /* ids of Berth's: 16 million, far from those that people give by hand */
#define PROJECT_MASK  0x00ffffffu
#define PROJECT_TRIES 64
#define KIB           1024u
#define SIZE_LEAST    (64u * KIB)

static int quota(int fd, int cmd, uint32_t id, void *arg)
{
	return syscall(SYS_quotactl_fd, fd, QCMD(cmd, PRJQUOTA), id, arg) < 0 ? -errno : 0;
}

int volume_size_option(const struct string_map *options, uint64_t *ret_bytes)
{
	const char *size = map_get(options, "size");

	if (!size)
		return 0;
	return str_to_bytes(size, ret_bytes) < 0 || *ret_bytes < SIZE_LEAST ? -EINVAL : 1;
}

int volume_check_size(struct engine *en, const struct volume_record *v, struct err *e)
{
	uint64_t wanted = 0, has = 0;
	struct volume_record there;
	struct err why = { 0 };
	int r;

	if (volume_size_option(&v->options, &wanted) <= 0)
		return 0;
	r = records_volume_get(en->records, v->name, &there, &why);
	if (r < 0)
		return r == -ENOENT ? 0 : err_set(e, -r, "%s", why.msg);
	volume_size_option(&there.options, &has);
	volume_record_done(&there);
	return has == wanted ? 0
			     : err_set(e, EEXIST, "create %s: it is there already, %s: remove it first, or take another name",
				       v->name, has ? "of another size" : "without a limit");
}

static int unsupported(const char *name, const char *why, struct err *e)
{
	return err_set(e, EOPNOTSUPP,
		       "create %s: size= needs project quotas where the store is, and %s: mount an xfs, or an ext4 made with -O "
		       "project,quota, with the option prjquota, and name it by --root; or give a VM a --disk",
		       name, why);
}

static int check_support(int fd, const char *name, struct err *e)
{
	struct fs_quota_statv now = { .qs_version = FS_QSTATV_VERSION1 };
	int r = quota(fd, Q_XGETQSTATV, 0, &now);

	if (r == -EPERM)
		return err_set(e, EPERM, "create %s: size= needs root with CAP_SYS_ADMIN", name);
	if (r == -ENOSYS)
		return unsupported(name, "this kernel has no quotactl_fd (Linux 5.14, CONFIG_QUOTA)", e);
	if (r < 0)
		return unsupported(name, "there are none", e);
	return (now.qs_flags & FS_QUOTA_PDQ_ENFD) ? 0 : unsupported(name, "there they are not enforced", e);
}

static int set_limit(int fd, uint32_t id, uint64_t bytes)
{
	struct if_dqblk limit = { .dqb_bhardlimit = (bytes + KIB - 1) / KIB, .dqb_valid = QIF_BLIMITS };

	return quota(fd, Q_SETQUOTA, id, &limit);
}

/* One without files or limits. */
static int free_project(int fd, uint32_t *ret)
{
	for (int i = 0; i < PROJECT_TRIES; i++) {
		struct if_dqblk now = { 0 };
		uint32_t id;
		int r;

		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			return -errno;
		id = PROJECT_FIRST + (id & PROJECT_MASK);
		r = quota(fd, Q_GETQUOTA, id, &now);
		if (r < 0 && r != -ENOENT && r != -ESRCH) /* xfs: nobody has heard of it */
			return r;
		if (!now.dqb_bhardlimit && !now.dqb_bsoftlimit && !now.dqb_ihardlimit && !now.dqb_curspace &&
		    !now.dqb_curinodes) {
			*ret = id;
			return 0;
		}
	}
	return -EBUSY;
}

static int set_project(int fd, uint32_t id)
{
	struct fsxattr x;

	if (ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0)
		return -errno;
	x.fsx_projid = id;
	x.fsx_xflags = id ? x.fsx_xflags | FS_XFLAG_PROJINHERIT : x.fsx_xflags & ~(uint32_t)FS_XFLAG_PROJINHERIT;
	return ioctl(fd, FS_IOC_FSSETXATTR, &x) < 0 ? -errno : 0;
}

int volume_bound(int fd, const char *name, uint64_t bytes, struct err *e)
{
	uint32_t id = 0;
	int r = check_support(fd, name, e);

	if (r < 0)
		return r;
	r = free_project(fd, &id);
	if (r >= 0)
		r = set_limit(fd, id, bytes);
	if (r >= 0 && (r = set_project(fd, id)) < 0)
		set_limit(fd, id, 0); /* r says what failed */
	return r < 0 ? err_set(e, -r, "create %s: size=: set its quota: %s", name, strerror(-r)) : 0;
}

int volume_unbound(int fd)
{
	struct fsxattr x;
	int r;

	/* A file system that knows no projects has none to forget. */
	if (ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0 || !(x.fsx_xflags & FS_XFLAG_PROJINHERIT) ||
	    (x.fsx_projid & ~PROJECT_MASK) != PROJECT_FIRST)
		return 0;
	r = set_limit(fd, x.fsx_projid, 0);
	/* Without quotas (mounted without the option meanwhile) there is no limit either. */
	if (r < 0 && r != -ESRCH && r != -ENOSYS && r != -EINVAL && r != -ENOENT && r != -EOPNOTSUPP)
		return r;
	return set_project(fd, 0);
}

/* ---- what a container may not do to it ---- */

static int refuse_ioctl(struct spec_seccomp *s, uint64_t cmd, struct err *e)
{
	struct spec_seccomp_rule *grown = reallocarray(s->rules, s->n_rules + 1, sizeof(*grown)), *rule;

	if (!grown)
		return OUT_OF_MEMORY(e);
	s->rules = grown;
	rule = &grown[s->n_rules++];
	*rule = (struct spec_seccomp_rule){
		.action = strdup("SCMP_ACT_ERRNO"), .has_errno = true, .errno_ret = EPERM, .args = calloc(1, sizeof(*rule->args))
	};
	if (!rule->action || !rule->args || strv_push(&rule->names, "ioctl") < 0)
		return OUT_OF_MEMORY(e);
	rule->n_args = 1;
	/* The kernel looks at 32 bits of it. */
	rule->args[0] = (struct spec_seccomp_arg){
		.index = 1, .value = UINT32_MAX, .value_two = cmd, .op = strdup("SCMP_CMP_MASKED_EQ")
	};
	return rule->args[0].op ? 0 : OUT_OF_MEMORY(e);
}

static int has_bounded(struct plan *p, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_volumes; i++) {
		const struct volume_record *made = p->volumes[i].made;
		struct volume_record v;
		if (made) {
			r = map_get(&made->options, "size") != NULL;
			continue;
		}
		r = records_volume_get(p->en->records, p->volumes[i].name, &v, e);
		if (r < 0)
			return r;
		r = map_get(&v.options, "size") != NULL;
		volume_record_done(&v);
	}
	return r;
}

int plan_bounds(struct plan *p, struct err *e)
{
	static const uint64_t cmds[] = { FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS };
	int r = p->is_vm ? 0 : has_bounded(p, e);

	if (r <= 0)
		return r;
	if (p->launch.seccomp_default) { /* written out, so that it can have more rules */
		r = container_seccomp_default(p->spec.process.caps.bounding, &p->spec.seccomp, e);
		if (r < 0)
			return r;
		p->launch.seccomp_default = false;
	}
	for (size_t i = 0; r >= 0 && p->spec.seccomp && i < ARRAY_SIZE(cmds); i++)
		r = refuse_ioctl(p->spec.seccomp, cmds[i], e);
	return MIN(r, 0);
}
