/* Tap devices: of a VM, one descriptor a queue. */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "impl.h"

static int open_queue(const char *name, short flags)
{
	_cleanup_fd_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq q = { .ifr_flags = flags };

	if (fd < 0)
		return -errno;
	memccpy(q.ifr_name, name, '\0', sizeof(q.ifr_name) - 1);
	if (ioctl(fd, TUNSETIFF, &q) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int tap_open(const char *name, uint32_t queues, int *ret_fds, struct err *e)
{
	/* IFF_VNET_HDR: sums and segments are left to whoever sends to a wire. */
	const int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0);

	for (uint32_t i = 0; i < queues; i++) {
		const int fd = open_queue(name, (short)(flags | (i == 0 ? IFF_TUN_EXCL : 0)));

		if (fd < 0) {
			for (uint32_t made = 0; made < i; made++)
				fd_close(ret_fds[made]);
			return err_set(e, -fd, "queue %u of the tap device %s: /dev/net/tun: %s%s", i, name, strerror(-fd),
				       fd == -ENOENT || fd == -ENODEV ? " (is the kernel's module tun loaded?)" : "");
		}
		ret_fds[i] = fd;
	}
	return 0;
}
