/* early: a guest's first seconds: pseudo file systems, modules, limits, clock. For PID 1 of a guest only. */
#include <linux/random.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

static const struct early_mount {
	const char *type, *target, *options;
	unsigned long flags;
} early_mounts[] = {
	{ "proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "devtmpfs", "/dev", "mode=0755", MS_NOSUID },
	{ "cgroup2", "/sys/fs/cgroup", "nsdelegate,memory_recursiveprot", MS_NOSUID | MS_NODEV | MS_NOEXEC },
};

/* pivot_root refuses a caller whose root is the kernel's own rootfs, because nothing is below it (fs/namespace.c). A bind
 * mount of the same files moved on top of it has a parent, and costs no copy as switching to a tmpfs would. */
static int leave_rootfs(struct err *e)
{
	if (mkdir("/self", 0755) < 0 || mount("/", "/self", NULL, MS_BIND, NULL) < 0 || chdir("/self") < 0 ||
	    mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_set(e, errno, "bind mount of the initramfs in place of itself: %s", strerror(errno));
	return 0;
}

/* What the kernel has opened for PID 1 is no console, but an empty file (isolation/initramfs.c). What is said from here on is the kernel's
 * log's, which it prints where it is not told to be quiet. */
int guest_take_stdio(struct err *e)
{
	int null = open("/dev/null", O_RDWR), r = 0; /* 0 where the kernel found nothing to open */
	_cleanup_fd_ int log = -1;

	if (null < 0)
		return err_set(e, errno, "/dev/null: %s", strerror(errno));
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			r = err_set(e, errno, "standard streams: %s", strerror(errno));
	if (null > 2)
		fd_close(null);
	log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (log >= 0 && dup2(log, STDERR_FILENO) < 0)
		r = err_set(e, errno, "standard error: %s", strerror(errno));
	return r;
}

int guest_mount_early(struct err *e)
{
	int r = leave_rootfs(e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(early_mounts); i++) {
		const struct early_mount *m = &early_mounts[i];

		if (mount(m->type, m->target, m->type, m->flags, m->options) < 0)
			return err_set(e, errno, "mount %s: %s", m->target, strerror(errno));
	}
	return guest_take_stdio(e);
}

/* ---- modules ---- */

static int load_module(const char *name, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", GUEST_MODULES, name);
	_cleanup_fd_ int fd = -1;
	int r = 0;

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "kernel module %s: %s", name, strerror(errno));
	if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
		r = err_set(e, errno, "kernel module %s: %s", name, strerror(errno));
	unlink(path);
	return r;
}

int guest_load_modules(const char *list, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", GUEST_MODULES, list), *text = NULL;
	char *save = NULL;
	int r = path ? file_read(AT_FDCWD, path, 64 << 10, &text, NULL) : -ENOMEM;

	if (r < 0)
		return err_set(e, -r, "list of kernel modules \"%s\": %s", list, strerror(-r));
	for (char *name = strtok_r(text, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
		r = load_module(name, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Memory that is added later (virtio_mem) is used at once, no udev being here to say so: for what can be moved, so that it can be taken
 * away again, as long as the kernel keeps a quarter for what can't (mm/memory_hotplug.c, auto-movable). A kernel without either does
 * what it was built to do. */
static void use_added_memory(void)
{
	(void)file_write(AT_FDCWD, "/sys/module/memory_hotplug/parameters/online_policy", "auto-movable");
	(void)file_write(AT_FDCWD, "/sys/devices/system/memory/auto_online_blocks", "online");
}

void guest_load_late_modules(void)
{
	const struct sched_param none = { .sched_priority = 0 };
	struct err e = { 0 };
	pid_t pid = fork();

	if (pid < 0)
		log_warn("guest", "late kernel modules: %s", strerror(errno));
	if (pid != 0)
		return;
	(void)close_range(3, ~0u, 0); /* the container's streams end with those whose they are */
	(void)sched_setscheduler(0, SCHED_IDLE, &none);
	use_added_memory();
	if (guest_load_modules(GUEST_MODULES_LATE, &e) < 0)
		log_warn("guest", "%s", e.msg);
	_exit(0);
}

/* ---- limits, network, clock, entropy ---- */

static int loopback_up(struct err *e)
{
	_cleanup_fd_ int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &ifr) < 0)
		return err_set(e, errno, "loopback interface: %s", strerror(errno));
	return 0;
}

int guest_tune(struct err *e)
{
	/* What PID 1 of a usual host hands down (systemd's DefaultLimitNOFILE; memlock of Linux 5.16); the kernel's own
	 * defaults for the first process are those of 1995. A container's own limits come with its config. */
	static const struct {
		int which;
		rlim_t soft, hard;
	} limits[] = {
		{ RLIMIT_NOFILE, 1024, 524288 },
		{ RLIMIT_MEMLOCK, 8 << 20, 8 << 20 },
		{ RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY },
	};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit l = { limits[i].soft, limits[i].hard };

		if (setrlimit(limits[i].which, &l) < 0)
			return err_set(e, errno, "resource limit %d: %s", limits[i].which, strerror(errno));
	}
	/* On a host, a container that asks for more than its limit gets it and meets the limit when it uses it. In a small guest
	 * the kernel's guess at what can never be kept would refuse it at once, and an OOM kill (137) would become an ENOMEM. */
	r = file_write(AT_FDCWD, "/proc/sys/vm/overcommit_memory", "1");
	if (r < 0)
		return err_set(e, -r, "vm.overcommit_memory: %s", strerror(-r));
	return loopback_up(e);
}

int guest_set_clock(uint64_t time_ns, struct err *e)
{
	struct timespec t = { .tv_sec = (time_t)(time_ns / 1000000000u), .tv_nsec = (long)(time_ns % 1000000000u) };

	return clock_settime(CLOCK_REALTIME, &t) < 0 ? err_set(e, errno, "set the clock: %s", strerror(errno)) : 0;
}

int guest_add_entropy(const void *p, size_t n, struct err *e)
{
	struct {
		int bits, size;
		uint8_t bytes[64];
	} pool = { .size = (int)MIN(n, sizeof(pool.bytes)) };
	_cleanup_fd_ int fd = open("/dev/random", O_WRONLY | O_CLOEXEC);

	pool.bits = pool.size * 8;
	memcpy(pool.bytes, p, (size_t)pool.size);
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG, NULL) < 0)
		return err_set(e, errno, "seed the random generator: %s", strerror(errno));
	return 0;
}
