/* Disks of a user's own: what is refused, by whom they are locked, and what the VMMs are told of them. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "vm_impl.h"

static char dir[] = "/tmp/berth-given-XXXXXX";
static char raw[] = "raw", qcow2[] = "qcow2";

static void fresh(void) { ok(mkdtemp(dir) != NULL); }

static void clean(void) { is_int(rm_rf(AT_FDCWD, dir), 0); }

static char *file(const char *name, const void *head, size_t n, off_t size)
{
	char *path = tap_keep(str_fmt("%s/%s", dir, name));
	_cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || (n && write(fd, head, n) != (ssize_t)n) || ftruncate(fd, size) < 0)
		TAP_FAIL("%s: %s", path, strerror(errno));
	return path;
}

/* The header of an image of 64 MiB, with one byte changed. */
static char *image(const char *name, unsigned at, uint8_t value)
{
	uint8_t b[QCOW2_HEADER_BYTES] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 };

	b[23] = 16;
	b[28] = 4;
	b[99] = 4;
	b[103] = 104;
	if (at)
		b[at] = value;
	return file(name, b, sizeof(b), 196616);
}

static void refused(char *path, char *format, bool readonly, const char *why)
{
	const struct launch_disk d = { .path = path, .format = format, .is_readonly = readonly };
	struct vm_given g;
	struct err e = { 0 };

	if (vm_given_open(&d, &g, &e) >= 0)
		TAP_FAIL("%s as %s was taken", path, format);
	has_str(e.msg, why);
	has_str(e.msg, path);
}

static struct vm_given taken(char *path, char *format, bool readonly)
{
	const struct launch_disk d = { .path = path, .format = format, .is_readonly = readonly };
	struct vm_given g = { .fd = -1 };
	struct err e = { 0 };

	if (vm_given_open(&d, &g, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return g;
}

TEST(V08_the_format_is_what_was_said_and_a_raw_disk_that_became_an_image_is_refused)
{
	struct vm_given g;
	char *disk;

	fresh();
	disk = file("disk", NULL, 0, 1 << 20);
	g = taken(disk, raw, false);

	is_int(g.bytes, 1 << 20);
	is_int(g.file_max, 1 << 20);
	ok(!g.is_device && (fcntl(g.fd, F_GETFL) & O_ACCMODE) == O_RDWR);
	/* As its guest could. */
	is_int(pwrite(g.fd, "QFI\xfb\0\0\0\3", 8, 0), 8);
	fd_close(g.fd);
	refused(disk, raw, false, "format=qcow2");
	refused(disk, raw, true, "format=qcow2");
	refused(file("short", "QFI\xfb", 4, 4), raw, false, "format=qcow2"); /* of any version and length */
	refused(file("plain", NULL, 0, 1 << 20), qcow2, false, "no qcow2 image");
	refused(disk, (char[]){ "vmdk" }, false, "raw and qcow2 are");
	clean();
}

TEST(V08_an_image_that_names_another_file_is_refused)
{
	struct vm_given g;

	fresh();
	g = taken(image("good", 0, 0), qcow2, false);
	is_int(g.bytes, 64 << 20);
	ok(g.file_max > (64 << 20) && g.file_max < 1 << 30);
	fd_close(g.fd);
	refused(image("backed", 14, 1), qcow2, false, "backing file");
	refused(image("backed", 14, 1), qcow2, true, "qemu-img rebase");
	refused(image("data", 79, 4), qcow2, false, "in another file");
	refused(image("luks", 35, 2), qcow2, false, "encrypted");
	refused(image("bad", 79, 2), qcow2, false, "qemu-img check");
	refused(image("empty", 28, 0), qcow2, false, "size of 0 bytes");
	refused(image("new", 7, 4), qcow2, false, "version 4");
	clean();
}

TEST(only_files_and_devices_of_whole_sectors_are_disks)
{
	char *fifo, *link, *disk;

	fresh();
	fifo = tap_keep(str_fmt("%s/fifo", dir));
	link = tap_keep(str_fmt("%s/link", dir));
	disk = file("whole", NULL, 0, 4096);

	is_int(mkfifo(fifo, 0600), 0);
	is_int(symlink(disk, link), 0);
	refused(fifo, raw, false, "neither a regular file nor a block device");
	refused(link, raw, false, "Too many levels"); /* the path had none when it was resolved */
	refused(dir, raw, false, "neither a regular file nor a block device");
	refused(file("odd", NULL, 0, 1000), raw, false, "truncate -s %512");
	refused(file("none", NULL, 0, 0), raw, false, "truncate");
	refused(tap_keep(str_fmt("%s/gone", dir)), raw, false, "No such file");
	clean();
}

TEST(V08_one_writes_or_many_read)
{
	fresh();
	char *disk = file("shared", NULL, 0, 1 << 20);
	const struct launch_disk w = { .path = disk, .format = raw }, ro = { .path = disk, .format = raw, .is_readonly = true };
	struct vm_given a = taken(disk, raw, false), b = taken(disk, raw, false), c = taken(disk, raw, true),
			d = taken(disk, raw, true);
	struct err e = { 0 };

	ok((fcntl(c.fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
	is_int(vm_given_lock(&w, a.fd, &e), 0);
	is_int(vm_given_lock(&w, b.fd, &e), -EBUSY);
	has_str(e.msg, "uses it");
	is_int(vm_given_lock(&ro, c.fd, &e), -EBUSY);
	has_str(e.msg, "writes it");
	fd_close(a.fd);
	is_int(vm_given_lock(&ro, c.fd, &e), 0);
	is_int(vm_given_lock(&ro, d.fd, &e), 0);
	is_int(vm_given_lock(&w, b.fd, &e), -EBUSY);
	fd_close(b.fd);
	fd_close(c.fd);
	fd_close(d.fd);
	clean();
}

TEST(names_follow_the_order_that_they_were_given_in)
{
	char upper[] = "/u";
	const struct launch with = { .upper_disk = upper }, without = { .id = NULL };
	const struct launch_disk given = { .format = raw };
	const struct vm_disk disks[] = { { .path = "pod's" }, { .given = &given }, { .given = &given } };
	char name[16], serial[VM_DISK_SERIAL];

	vm_given_name(&with, 0, name);
	is_str(name, "/dev/vdc");
	vm_given_name(&with, VM_GIVEN_MAX - 1, name);
	is_str(name, "/dev/vdr");
	vm_given_name(&without, 1, name);
	is_str(name, "/dev/vdc");
	vm_disk_serial(disks, 2, serial);
	is_str(serial, "disk1");
}

TAP_MAIN()
