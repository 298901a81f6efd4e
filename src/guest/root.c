/* root: a guest's root file system and shares. The image's disk is read-only and shared by every guest of the image; what
 * this container writes goes to a disk of its own, or nowhere when there is none. */
#include <linux/mount.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define IMAGE_DIR "/image"
#define DISK_DIR  "/disk"

static int mount_dir(const char *source, const char *target, const char *type, unsigned long flags, const char *options,
		     struct err *e)
{
	if (mkdir_p(AT_FDCWD, target, 0755) < 0 || mount(source, target, type, flags, options) < 0)
		return err_set(e, errno, "mount %s (%s) on %s: %s", source, type, target, strerror(errno));
	return 0;
}

static int overlay_set(int fs, const char *key, const char *value, struct err *e)
{
	if (fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0) < 0)
		return err_set(e, errno, "overlay %s=%s: %s", key, value ? value : "", strerror(errno));
	return 0;
}

/* "/disk" of slot 0, "/disk-3" of slot 3. */
struct dirs {
	char image[24], disk[24];
};

static struct dirs dirs_of(unsigned slot)
{
	struct dirs d = { IMAGE_DIR, DISK_DIR };

	if (slot) {
		snprintf(d.image, sizeof(d.image), "%s-%u", IMAGE_DIR, slot);
		snprintf(d.disk, sizeof(d.disk), "%s-%u", DISK_DIR, slot);
	}
	return d;
}

static int mount_overlay(const struct dirs *d, bool is_volatile, int *ret_fd, struct err *e)
{
	_cleanup_fd_ int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	char upper[40], work[40];
	int m, r;

	if (fs < 0)
		return err_set(e, errno, "overlay: %s", strerror(errno));
	snprintf(upper, sizeof(upper), "%s/upper", d->disk);
	snprintf(work, sizeof(work), "%s/work", d->disk);
	r = overlay_set(fs, "source", "overlay", e);
	if (r >= 0)
		r = overlay_set(fs, "lowerdir", d->image, e);
	if (r >= 0)
		r = overlay_set(fs, "upperdir", upper, e);
	if (r >= 0)
		r = overlay_set(fs, "workdir", work, e);
	if (r >= 0 && is_volatile) /* Linux 5.10: no syncs at all; the disk is thrown away with the container */
		r = overlay_set(fs, "volatile", NULL, e);
	if (r < 0)
		return r;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_set(e, errno, "overlay of the image and the container's disk: %s", strerror(errno));
	m = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
	if (m < 0)
		return err_set(e, errno, "overlay: %s", strerror(errno));
	*ret_fd = m;
	return 0;
}

int guest_layers_open(unsigned slot, int *ret_upper, int *ret_lower, struct err *e)
{
	const struct dirs d = dirs_of(slot);
	_cleanup_free_ char *path = str_fmt("%s/upper", d.disk);
	_cleanup_fd_ int upper = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1, lower = -1;

	if (upper < 0 && errno == ENOENT)
		return err_set(e, EOPNOTSUPP, "the container has no writable layer");
	lower = upper < 0 ? -1 : open(d.image, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (lower < 0)
		return err_set(e, errno, "open the container's layers: %s", strerror(errno));
	*ret_upper = TAKE_FD(upper);
	*ret_lower = TAKE_FD(lower);
	return 0;
}

/* The running overlay's own upper directory as a lower one, as on a host (engine/container_root.c). */
int guest_merged_open(unsigned slot, int *ret_fd, struct err *e)
{
	const struct dirs d = dirs_of(slot);
	_cleanup_fd_ int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	_cleanup_free_ char *layers = str_fmt("%s/upper:%s", d.disk, d.image);
	int m, r;

	if (fs < 0 || !layers)
		return err_set(e, errno, "overlay: %s", strerror(errno));
	r = overlay_set(fs, "source", "overlay", e);
	if (r >= 0)
		r = overlay_set(fs, "lowerdir", layers, e);
	if (r < 0)
		return r;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_set(e, errno, "overlay of the container's layers: %s", strerror(errno));
	m = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY);
	if (m < 0)
		return err_set(e, errno, "overlay: %s", strerror(errno));
	*ret_fd = m;
	return 0;
}

static int make_dir(const char *disk, const char *name, mode_t mode)
{
	char path[40];

	snprintf(path, sizeof(path), "%s/%s", disk, name);
	return mkdir_p(AT_FDCWD, path, mode);
}

/* 1: it can only be read, and has the layer. A disk that was never used has none yet. */
static int mount_disk(const struct dirs *d, const struct guest_start *s, struct err *e)
{
	unsigned long flags = MS_NOATIME | MS_NODEV | (s->reads_only ? MS_RDONLY : 0);
	/* The inode tables are zero as made; the lazy thread that would zero them again only costs. */
	int r = mount_dir(s->upper_disk, d->disk, "ext4", flags, "noinit_itable", e);
	char upper[40];

	if (r < 0 || !s->reads_only)
		return r;
	snprintf(upper, sizeof(upper), "%s/upper", d->disk);
	if (access(upper, F_OK) == 0)
		return 1;
	return mount(NULL, d->disk, NULL, MS_REMOUNT | MS_NOATIME | MS_NODEV, "noinit_itable") < 0
		       ? err_set(e, errno, "make the container's disk writable: %s", strerror(errno))
		       : 0;
}

int guest_mount_root(unsigned slot, const struct guest_start *s, int *ret_rootfd, struct err *e)
{
	const struct dirs d = dirs_of(slot);
	char mark[48];
	int r = mount_dir(s->root_disk, d.image, "erofs", MS_RDONLY | MS_NODEV, NULL, e);

	if (r < 0)
		return r;
	if (!s->upper_disk) {
		int fd = open_tree(AT_FDCWD, d.image, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

		if (fd < 0)
			return err_set(e, errno, "open_tree %s: %s", d.image, strerror(errno));
		*ret_rootfd = fd;
		return 0;
	}
	r = mount_disk(&d, s, e);
	if (r > 0)
		return guest_merged_open(slot, ret_rootfd, e);
	if (r < 0)
		return r;
	if (make_dir(d.disk, "upper", 0755) < 0 || make_dir(d.disk, "work", 0700) < 0)
		return err_set(e, errno, "directories on the container's disk: %s", strerror(errno));
	/* A volatile overlay leaves a mark that refuses the next mount of the same directories. */
	snprintf(mark, sizeof(mark), "%s/work/work/incompat", d.disk);
	if ((s->is_volatile || s->serves_files) && rm_rf(AT_FDCWD, mark) < 0)
		return err_set(e, EIO, "the overlay's volatile mark could not be removed");
	return mount_overlay(&d, s->is_volatile, ret_rootfd, e);
}

void guest_unmount_root(unsigned slot)
{
	const struct dirs d = dirs_of(slot);

	sync();
	umount2(d.disk, MNT_DETACH);
	umount2(d.image, MNT_DETACH);
}

#define MEMORY_DIR "/memory"

int guest_shared_memory(const struct guest_start *s, int *ret_fd, struct err *e)
{
	char options[64] = "mode=1777";
	int r = 0, fd;

	for (size_t i = 0; i < s->spec.n_mounts; i++)
		for (char **o = s->spec.mounts[i].options; streq(s->spec.mounts[i].destination, SHARED_MEMORY) && o && *o; o++)
			if (str_after(*o, "size="))
				snprintf(options, sizeof(options), "mode=1777,%.40s", *o);
	/* The first one makes it; it goes with the guest. */
	if (faccessat(AT_FDCWD, MEMORY_DIR, F_OK, 0) < 0)
		r = mount_dir("shm", MEMORY_DIR, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options, e);
	if (r < 0)
		return r;
	fd = open_tree(AT_FDCWD, MEMORY_DIR, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "shared memory: %s", strerror(errno));
	*ret_fd = fd;
	return 0;
}

int guest_mount_shares(const struct guest_start *s, struct err *e)
{
	int r = s->n_shares ? guest_load_modules(GUEST_MODULES_SHARE, e) : 0;

	for (size_t i = 0; i < s->n_shares && r >= 0; i++)
		r = mount_dir(s->shares[i].tag, s->shares[i].target, "virtiofs", MS_NODEV, NULL, e);
	return r;
}

void guest_power_off(bool is_volatile)
{
	if (!is_volatile) {
		sync();
		/* With the last user gone this writes the journal out, so that the next mount has nothing to replay. */
		umount2(DISK_DIR, 0);
		sync();
	}
	/* "reboot=t" on the command line: a triple fault, which the VMM takes for the end. ACPI's way is slower. */
	reboot(RB_AUTOBOOT);
	_exit(0); /* PID 1's end is a panic, which ends the VMM as well */
}
