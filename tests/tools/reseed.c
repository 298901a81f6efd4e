/* reseed: gives the kernel's random number generator the bytes on standard input, and has it use them at once (random(4)). What an
 * agent in a guest does when it hears that its machine was restored. */
#include <linux/random.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fcntl.h>

int main(void)
{
	struct {
		int bits, bytes;
		unsigned char data[256];
	} seed = { 0 };
	int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);

	seed.bytes = (int)fread(seed.data, 1, sizeof(seed.data), stdin);
	seed.bits = 8 * seed.bytes;
	if (fd < 0 || seed.bytes == 0 || ioctl(fd, RNDADDENTROPY, &seed) < 0 || ioctl(fd, RNDRESEEDCRNG, 0) < 0) {
		perror("reseed");
		return 1;
	}
	return 0;
}
