#include "tap.h"
#include "vm_impl.h"

static struct qemu_config config(void)
{
	return (struct qemu_config){ .program = "/usr/bin/qemu",
				     .id = "0123456789abcdef",
				     .kernel = "/k",
				     .initramfs = "/i",
				     .cpus = 2,
				     .ram_bytes = 608 * MIB,
				     .agent_fd = 3,
				     .console_fd = 4,
				     .qmp_fd = 5,
				     .image_fd = 7,
				     .upper_fd = 8,
				     .share_fd = -1 };
}

/* Options joined with spaces: what a person would read in ps. */
static char *line(const struct qemu_config *c)
{
	char **v = qemu_args(c);
	struct buf b = { NULL };

	ok(v != NULL);
	for (char **a = v; *a; a++)
		buf_fmt(&b, "%s%s", b.len ? " " : "", *a);
	strv_free(v);
	return buf_take(&b);
}

TEST(the_machine_is_emulated_only_without_hardware)
{
	struct qemu_config c = config();
	_cleanup_free_ char *tcg = line(&c), *kvm = NULL;

	has_str(tcg, "-accel tcg");
	has_str(tcg, "mitigations=off");
	c.has_kvm = true;
	kvm = line(&c);
	has_str(kvm, "-accel kvm");
	ok(!strstr(kvm, "tcg"));
	ok(!strstr(kvm, "mitigations")); /* a real CPU keeps its kernel's defaults */
}

TEST(huge_pages_are_memory_of_their_own_kind)
{
	struct qemu_config c = config();
	_cleanup_free_ char *plain = line(&c), *huge = NULL;

	ok(!strstr(plain, "memory-backend"));
	c.has_huge_pages = true;
	huge = line(&c);
	has_str(huge, ",memory-backend=ram");
	has_str(huge, "memory-backend-memfd,id=ram,share=on,size=608M,hugetlb=on,hugetlbsize=2M,prealloc=on");
}

TEST(the_image_is_read_only_raw_and_unlocked)
{
	struct qemu_config c = config();
	_cleanup_free_ char *t = line(&c);

	has_str(t, "{\"driver\":\"raw\",\"node-name\":\"image\",\"read-only\":true");
	has_str(t, "\"locking\":\"off\"");
	has_str(t, "{\"driver\":\"raw\",\"node-name\":\"upper\",\"read-only\":false");
}

TEST(disks_are_descriptors_and_no_path_of_the_host_is_told)
{
	struct qemu_config c = config();
	_cleanup_free_ char *t = line(&c), *without = NULL;

	has_str(t, "-add-fd fd=7,set=7 -blockdev");
	has_str(t, "\"filename\":\"\\/dev\\/fdset\\/7\"");
	has_str(t, "\"filename\":\"\\/dev\\/fdset\\/8\"");
	c.upper_fd = -1;
	without = line(&c);
	ok(!strstr(without, "upper") && !strstr(without, "fdset\\/-1"));
}

TEST(only_a_volatile_disk_is_written_without_flushes)
{
	struct qemu_config c = config();
	_cleanup_free_ char *kept = line(&c), *lost = NULL;

	ok(!strstr(kept, "\"no-flush\":true"));
	c.is_volatile = true;
	lost = line(&c);
	has_str(lost, "\"no-flush\":true");
}

TEST(what_a_host_can_not_write_is_the_guests_error_of_each_disk)
{
	struct qemu_config c = config();
	_cleanup_free_ char *t = line(&c);
	unsigned disks = 0, reported = 0;

	for (const char *at = t; (at = strstr(at, "virtio-blk-device,")); at++)
		disks++;
	for (const char *at = t; (at = strstr(at, ",werror=report,rerror=report ")); at++)
		reported++;
	is_int(disks, 2);
	is_int(reported, 2);
}

TEST(V08_a_users_disk_is_opened_in_the_format_that_was_said_and_flushed)
{
	char raw[] = "raw", qcow2[] = "qcow2";
	const struct launch_disk plain = { .format = raw, .is_readonly = true },
				 image = { .format = qcow2, .iops = 50, .bps = 4096 };
	const struct vm_disk more[] = { { .given = &plain, .is_readonly = true, .is_device = true }, { .given = &image } };
	struct qemu_config c = config();
	_cleanup_free_ char *t = NULL;

	c.more = more;
	c.n_more = 2;
	c.more_fd = 20;
	c.is_volatile = true;
	t = line(&c);
	has_str(t, "{\"driver\":\"raw\",\"node-name\":\"more0\",\"read-only\":true,\"cache\":{\"no-flush\":false},\"discard\":"
		   "\"unmap\","
		   "\"file\":{\"driver\":\"host_device\",\"filename\":\"\\/dev\\/fdset\\/20\",\"locking\":\"auto\"");
	has_str(t, "-object "
		   "{\"qom-type\":\"throttle-group\",\"id\":\"limit-more1\",\"limits\":{\"bps-total\":4096,\"iops-total\":50}}");
	has_str(t,
		"\"node-name\":\"more1\",\"read-only\":false,\"discard\":\"unmap\",\"throttle-group\":\"limit-more1\",\"file\":"
		"{\"driver\":\"qcow2\",\"read-only\":false,\"cache\":{\"no-flush\":false},\"backing\":null,");
	has_str(t, "drive=more0,bus=virtio-mmio-bus.21,serial=disk0");
	has_str(t, "drive=more1,bus=virtio-mmio-bus.20,serial=disk1");
}

TEST(memory_is_shared_with_the_volumes_server_only_when_there_is_one)
{
	struct qemu_config c = config();
	_cleanup_free_ char *without = line(&c), *with = NULL;

	ok(!strstr(without, "memfd") && !strstr(without, "vhost-user"));
	c.share_fd = 6;
	with = line(&c);
	has_str(with, "memory-backend-memfd,id=ram,share=on,size=608M");
	has_str(with, "vhost-user-fs-device,chardev=share,tag=berth");
}

TEST(the_sandbox_is_always_on_and_nothing_listens)
{
	struct qemu_config c = config();
	_cleanup_free_ char *t = line(&c);

	has_str(t, "-sandbox on,");
	has_str(t, "-nodefaults");
	ok(!strstr(t, "path=") && !strstr(t, "server") && !strstr(t, "tcp:") && !strstr(t, "abstract"));
}

TEST(entropy_of_the_host_flows_without_a_device_file)
{
	struct qemu_config c = config();
	_cleanup_free_ char *t = line(&c);

	has_str(t, "-object rng-builtin,id=rng");
	has_str(t, "virtio-rng-device,rng=rng");
	ok(!strstr(t, "random,") && !strstr(t, "urandom"));
}

TEST(a_measured_clock_is_handed_to_the_kernel)
{
	struct qemu_config c = config();
	_cleanup_free_ char *without = line(&c), *with = NULL;

	ok(!strstr(without, "tsc_early_khz"));
	c.tsc_khz = 2596000;
	with = line(&c);
	has_str(with, "tsc_early_khz=2596000");
	/* Two measurements of one counter agree to a thousandth. */
	unsigned a = tsc_measure_khz(), b = tsc_measure_khz();
	ok(a > 0 && b > a - a / 1000 && b < a + a / 1000);
}

TAP_MAIN()
