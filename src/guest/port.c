/* port: finds and opens a virtio-serial port by its name (sysfs class virtio-ports; drivers/char/virtio_console.c). The
 * kernel learns the names from the device after the driver has bound, so the first look may come too early. */
#include <dirent.h>
#include <poll.h>
#include <unistd.h>

#include "guest.h"

#define CLASS "/sys/class/virtio-ports"

/* -> fd of /dev/DEVICE when its name is the wanted one, else -ENOENT. */
static int try_port(const char *device, const char *name)
{
	_cleanup_free_ char *attr = str_fmt(CLASS "/%s/name", device), *dev = str_fmt("/dev/%s", device), *text = NULL;
	int r = attr && dev ? file_read(AT_FDCWD, attr, 256, &text, NULL) : -ENOMEM;

	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	if (!streq(text, name))
		return -ENOENT;
	r = open(dev, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	return r < 0 ? -errno : r;
}

static int find_port(const char *name)
{
	DIR *d = opendir(CLASS);
	struct dirent *de;
	int fd = -ENOENT;

	if (!d)
		return -errno;
	while (fd < 0 && (de = readdir(d)))
		if (de->d_name[0] != '.')
			fd = try_port(de->d_name, name);
	closedir(d);
	return fd;
}

/* The device says separately that somebody is at the other end; until then reads give EOF. */
static bool is_connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP);
}

int guest_open_port(const char *name, unsigned timeout_ms, struct err *e)
{
	uint64_t end = clock_mono_us() + (uint64_t)timeout_ms * 1000;
	_cleanup_fd_ int fd = -1;

	do {
		if (fd < 0)
			fd = find_port(name);
		if (fd >= 0 && is_connected(fd))
			return TAKE_FD(fd);
		usleep(500);
	} while (clock_mono_us() < end);
	if (fd >= 0)
		return err_set(e, ETIMEDOUT, "port %s: nobody is at its other end", name);
	return err_set(e, ENODEV, "this machine has no virtio-serial port %s", name);
}
