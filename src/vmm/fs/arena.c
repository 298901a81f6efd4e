/* arena: the memory that device and server share. Sealed, so that neither can take a page away from under the other's feet. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int fs_arena_map(int fd, uint8_t **ret, struct err *e)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *p;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size != FS_ARENA_BYTES)
		return err_set(e, EPROTO, "shared memory: not a sealed file of %d bytes", FS_ARENA_BYTES);
	p = mmap(NULL, FS_ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, errno, "shared memory: %s", strerror(errno));
	*ret = p;
	return 0;
}

int fs_arena_new(uint8_t **ret, struct err *e)
{
	_cleanup_fd_ int fd = memfd_create("berth-fs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0 || ftruncate(fd, FS_ARENA_BYTES) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return err_set(e, errno, "shared memory: %s", strerror(errno));
	r = fs_arena_map(fd, ret, e);
	return r < 0 ? r : TAKE_FD(fd);
}
