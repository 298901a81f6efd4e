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

/* Two cards, of a plan that a guest has been checked for. */
static void on_two_networks(struct qemu_config *c, struct net_plan *p, struct net_endpoint cards[2])
{
	static char macs[2][18] = { "02:42:01:02:03:04", "02:42:01:02:03:05" };

	cards[0] = (struct net_endpoint){ .mac = macs[0] };
	cards[1] = (struct net_endpoint){ .mac = macs[1], .network = { .mtu = 1400 } };
	*p = (struct net_plan){ .endpoints = cards, .n_endpoints = 2 };
	c->network = p;
	c->taps_fd = 30;
}

TEST(cards_are_taps_that_were_handed_over_on_transports_of_their_own)
{
	struct net_endpoint cards[2];
	struct qemu_config c = config();
	_cleanup_free_ char *none = line(&c), *one = NULL, *many = NULL;
	const struct vm_disk more[VM_MORE_DISKS_MAX - 1] = { { .path = "/d" } };
	struct net_plan p;

	ok(!strstr(none, "netdev"));
	on_two_networks(&c, &p, cards);
	one = line(&c);
	has_str(one, "-netdev tap,id=net0,fd=30,vhost=off -device "
		     "virtio-net-device,netdev=net0,mac=02:42:01:02:03:04,host_mtu=1500,status=off,"
		     "bus=virtio-mmio-bus.7"); /* met first */
	has_str(one, "-netdev tap,id=net1,fd=31,vhost=off -device "
		     "virtio-net-device,netdev=net1,mac=02:42:01:02:03:05,host_mtu=1400,status=off,"
		     "bus=virtio-mmio-bus.6");
	c.more = more;
	c.n_more = ARRAY_SIZE(more);
	c.more_fd = 9;
	p.queues = 2;
	many = line(&c);
	has_str(many, "tap,id=net0,fds=30:31,vhost=off");
	has_str(many, "tap,id=net1,fds=32:33,vhost=off");
	has_str(many, "host_mtu=1500,status=off,mq=on,bus=virtio-mmio-bus.2");
	has_str(many, "host_mtu=1400,status=off,mq=on,bus=virtio-mmio-bus.1");
}

/* Each transport once, and never number 0, for any number of disks and as many cards as there is room for. */
TEST(no_two_devices_share_a_transport)
{
	static struct net_endpoint cards[VM_NETWORKS_MAX];
	static char mac[] = "02:42:01:02:03:04";
	static const struct vm_disk more[VM_MORE_DISKS_MAX] = { { .path = "/d" } };

	for (size_t i = 0; i < VM_NETWORKS_MAX; i++)
		cards[i].mac = mac;
	for (size_t n_more = 0; n_more <= VM_MORE_DISKS_MAX; n_more++) {
		struct net_plan p = { .endpoints = cards, .n_endpoints = MIN(VM_NETWORKS_MAX, qemu_room_for_cards(n_more)) };
		struct qemu_config c = config();
		_cleanup_free_ char *t = NULL;
		uint32_t taken = 1;

		c.more = more;
		c.n_more = n_more;
		c.more_fd = 9;
		c.share_fd = 6;
		c.network = &p;
		c.taps_fd = 30;
		t = line(&c);
		for (const char *at = t; (at = strstr(at, "bus=virtio-mmio-bus.")); at++) {
			int place = atoi(at + strlen("bus=virtio-mmio-bus."));

			if (place > 23 || taken & 1u << place)
				TAP_FAIL("%zu disks: %d: %s", n_more, place, t);
			taken |= 1u << place;
		}
		is_int(__builtin_popcount(taken), (int)(1 + 2 + n_more + 3 + p.n_endpoints));
	}
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
