/* Images: what can be one, and who may have it at the same time. */
#include "image.h"

#include <sys/mman.h>
#include <unistd.h>

#include "tap.h"

static int file(off_t bytes, char path[64])
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	ok(fd >= 0);
	is_int(ftruncate(fd, bytes), 0);
	(void)fd_path(fd, path);
	return fd;
}

/* Another open file description of the same file. */
static int again(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	ok(fd >= 0);
	return fd;
}

TEST(only_whole_sectors_of_what_can_be_read_at_any_place_are_an_image)
{
	char path[64];
	int fd = file(1024, path), pipes[2], odd, empty;
	struct image m;
	struct err e = { 0 };

	is_int(image_open(fd, false, "disk", &m, &e), 0);
	is_int(m.bytes, 1024);
	is_int(m.block, 512);
	ok(!m.is_device);
	close(fd);
	odd = file(1000, path);
	is_int(image_open(odd, false, "disk", &m, &e), -EINVAL);
	has_str(e.msg, "truncate");
	close(odd);
	empty = file(0, path);
	is_int(image_open(empty, true, "disk", &m, &e), -EINVAL);
	close(empty);
	is_int(pipe2(pipes, O_CLOEXEC), 0);
	is_int(image_open(pipes[0], true, "disk", &m, &e), -EINVAL);
	has_str(e.msg, "neither");
	close(pipes[0]);
	close(pipes[1]);
	is_int(image_open(-1, true, "disk", &m, &e), -EBADF);
}

TEST(a_descriptor_must_be_open_for_what_the_plan_wants)
{
	static const struct {
		int flags, want;
	} rows[] = {
		{ O_RDWR, 0 },
		{ O_RDONLY, -EINVAL },
		{ O_WRONLY, -EINVAL },
		{ O_RDWR | O_APPEND, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char path[64];
		int fd = file(512, path), other = again(path, rows[i].flags);
		struct image m;
		struct err e = { 0 };

		if (image_open(other, false, "disk", &m, &e) != rows[i].want)
			TAP_FAIL("row %zu: %s", i, e.msg);
		close(other);
		close(fd);
	}
}

TEST(one_may_write_or_many_read_but_not_both)
{
	char path[64];
	int fd = file(512, path), writer = again(path, O_RDWR), reader = again(path, O_RDONLY), reader2 = again(path, O_RDONLY);
	struct image m;
	struct err e = { 0 };

	is_int(image_open(reader, true, "disk", &m, &e), 0);
	is_int(image_open(reader2, true, "disk", &m, &e), 0);
	is_int(image_open(writer, false, "disk", &m, &e), -EBUSY);
	has_str(e.msg, "another process uses");
	close(reader);
	close(reader2);
	is_int(image_open(writer, false, "disk", &m, &e), 0);
	reader = again(path, O_RDONLY);
	is_int(image_open(reader, true, "disk", &m, &e), -EBUSY);
	has_str(e.msg, "another process writes");
	close(writer);
	is_int(image_open(reader, true, "disk", &m, &e), 0);
	close(reader);
	close(fd);
}

TAP_MAIN()
