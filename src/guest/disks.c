/* disks: the disks of a user's own that a container in a VM is given (--disk). The host names them as the guest's kernel does, by the order
 * in which it meets them; numbers of devices only the guest knows. */
#include <stdio.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define MEET_MS   5000  /* the kernel meets a disk after those that PID 1 has waited for already */
#define SETTLE_MS 25000 /* less than the host waits (isolation/vm.c) */

static void nap(void) { nanosleep(&(struct timespec){ .tv_nsec = 5 * 1000 * 1000 }, NULL); }

static int stat_disk(const char *path, struct stat *ret, struct err *e)
{
	uint64_t until = clock_mono_us() + MEET_MS * 1000;

	while (stat(path, ret) < 0) {
		if (errno != ENOENT || clock_mono_us() > until)
			return err_set(e, errno, "the disk %s: %s", path, strerror(errno));
		nap();
	}
	return S_ISBLK(ret->st_mode) ? 0 : err_set(e, ENOTBLK, "the disk %s is none", path);
}

/* As Docker's --device of a host's disk: root's, and its group's; whoever has CAP_MKNOD may make another node of it. */
static int add_disk(struct spec *s, const char *path, struct err *e)
{
	struct spec_resources *r = &s->resources;
	struct spec_device *devices = reallocarray(s->devices, s->n_devices + 1, sizeof(*devices));
	struct spec_device_rule *rules = reallocarray(r->devices, r->n_devices + 1, sizeof(*rules));
	struct stat st;
	char *name;
	int k;

	s->devices = devices ?: s->devices;
	r->devices = rules ?: r->devices;
	if (!devices || !rules)
		return err_set(e, ENOMEM, "out of memory");
	k = stat_disk(path, &st, e);
	if (k < 0)
		return k;
	name = strdup(path);
	if (!name)
		return err_set(e, ENOMEM, "out of memory");
	devices[s->n_devices++] = (struct spec_device){
		.path = name, .type = 'b', .major = major(st.st_rdev), .minor = minor(st.st_rdev), .has_mode = true, .mode = 0660
	};
	rules[r->n_devices] =
		(struct spec_device_rule){ .allow = true, .type = 'b', .major = major(st.st_rdev), .minor = minor(st.st_rdev) };
	snprintf(rules[r->n_devices++].access, sizeof(rules->access), "rwm");
	return 0;
}

int guest_add_disks(struct guest_start *s, struct err *e)
{
	int r = 0;

	for (char **d = s->disks; d && *d && r >= 0; d++)
		r = add_disk(&s->spec, *d, e);
	return r;
}

/* O_EXCL: EBUSY as long as a file system is mounted of it (open(2)). The mounts of a namespace that has ended go by themselves, some time
 * after its last process. */
static void settle(const char *path)
{
	uint64_t until = clock_mono_us() + SETTLE_MS * 1000ull;
	_cleanup_fd_ int fd = -1;

	while ((fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC)) < 0 && errno == EBUSY && clock_mono_us() < until)
		nap();
	if (fd < 0 || fsync(fd) < 0)
		log_warn("guest", "%s may not be written out: %s", path, strerror(errno));
}

void guest_settle_disks(const struct guest_start *s)
{
	for (char **d = s->disks; d && *d; d++)
		settle(*d);
}
