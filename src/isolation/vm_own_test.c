/* berth-vmm's plan as a guest's start makes it. */
#include "guest.h"
#include "tap.h"
#include "vm_impl.h"
#include "vmm.h"

static char *text_of(const struct vm_own_config *c)
{
	_cleanup_json_ struct json_object *o = vm_own_plan(c);

	ok(o != NULL);
	return tap_keep(strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN)));
}

TEST(the_plan_has_two_disks_a_port_random_numbers_and_a_balloon_and_every_descriptor_once)
{
	const struct vm_own_config c = { .cpus = 2, .ram_bytes = 608 * MIB, .has_upper = true, .has_shares = true };
	const char *text = text_of(&c);
	struct vmm_plan p;
	struct err e = { 0 };

	for (int fd = 3; fd < 13; fd++)
		if (dup2(0, fd) != fd)
			TAP_FAIL("no descriptor %d", fd);
	if (vmm_plan_parse(text, strlen(text), &p, &e) < 0)
		TAP_FAIL("%s: %s", text, e.msg);
	is_int(p.cpus, 2);
	ok(p.mem_bytes == 608 * MIB);
	is_int(p.n_devices, 6);
	ok(p.devices[0].blk && p.devices[0].blk->is_read_only); /* vda: the image */
	ok(p.devices[1].blk && !p.devices[1].blk->is_read_only);
	is_str(p.devices[2].console->ports[0].name, GUEST_PORT_NAME);
	ok(p.devices[3].rng);
	is_str(p.devices[4].fs->tag, VM_SHARE_TAG);
	ok(p.devices[5].balloon && p.devices[5].balloon->reports && p.devices[5].balloon->deflates_on_oom);
	ok(p.kvm_fd > 2 && p.serial_fd > 2 && p.control_fd > 2);
	has_str(p.cmdline, "quiet");
	has_str(p.cmdline, "reboot=a");
	vmm_plan_done(&p);
}

TEST(room_to_grow_into_is_a_device_behind_the_others_and_processors_that_are_off)
{
	const struct vm_own_config c = { .cpus = 2, .cpus_max = 4, .ram_bytes = 608 * MIB, .room_bytes = 1024 * MIB };
	const char *text = text_of(&c), *balloon = strstr(text, "\"balloon\""),
		   *mem = strstr(text, "{\"mem\":{\"bytes\":1073741824}}");

	ok(balloon && mem && mem > balloon);
	has_str(text, "\"cpus\":4");
	ok(!strstr(text, "\"generation\":true"));
	has_str(text, " quiet maxcpus=2\"");
}

TEST(V13_a_machine_that_may_be_copied_is_told_of_it)
{
	const struct vm_own_config c = { .cpus = 1, .ram_bytes = 64 * MIB, .may_be_copied = true };

	has_str(text_of(&c), "\"generation\":true");
}

TEST(the_users_disks_come_behind_the_containers_own_with_their_names_and_limits)
{
	char raw[] = "raw", qcow2[] = "qcow2";
	const struct launch_disk given[] = { { .format = raw, .iops = 50, .bps = 4096 },
					     { .format = qcow2, .is_readonly = true } };
	const struct vm_disk more[] = { { .given = &given[0] }, { .given = &given[1], .is_readonly = true } };
	const struct vm_own_config c = {
		.cpus = 1, .ram_bytes = 64 * MIB, .has_upper = true, .more = more, .n_more = 2, .more_fd = 13
	};
	const char *text = text_of(&c);
	struct vmm_plan p;
	struct err e = { 0 };

	for (int fd = 3; fd < 15; fd++)
		if (dup2(0, fd) != fd)
			TAP_FAIL("no descriptor %d", fd);
	if (vmm_plan_parse(text, strlen(text), &p, &e) < 0)
		TAP_FAIL("%s: %s", text, e.msg);
	const struct vmm_blk_plan *one = p.devices[2].blk, *two = p.devices[3].blk;
	ok(one && two && one->fd == 13 && !one->is_read_only && two->fd == 14 && two->is_read_only);
	is_str(one->serial, "disk0");
	is_str(two->serial, "disk1");
	ok(!one->holes_are_hints && two->holes_are_hints); /* as qemu-storage-daemon has them */
	ok(one->ops.per_second == 50 && one->bytes.per_second == 4096 && !two->ops.per_second && !two->bytes.per_second);
	vmm_plan_done(&p);
}

TEST(cards_are_devices_with_their_taps_behind_the_disks_descriptors)
{
	struct net_endpoint cards[] = { { .mac = (char[]){ "02:42:01:02:03:04" } },
					{ .mac = (char[]){ "02:42:01:02:03:05" }, .network = { .mtu = 1400 } } };
	const struct net_plan network = { .endpoints = cards, .n_endpoints = 2, .queues = 2 };
	const struct vm_own_config c = {
		.cpus = 1, .ram_bytes = 64 * MIB, .has_upper = true, .network = &network, .taps_fd = 13, .room_bytes = 1024 * MIB
	};
	const char *text = text_of(&c);
	struct vmm_plan p;
	struct err e = { 0 };

	for (int fd = 3; fd < 17; fd++)
		if (dup2(0, fd) != fd)
			TAP_FAIL("no descriptor %d", fd);
	if (vmm_plan_parse(text, strlen(text), &p, &e) < 0)
		TAP_FAIL("%s: %s", text, e.msg);
	is_int(p.n_devices, 8);
	const struct vmm_net_plan *one = p.devices[4].net, *two = p.devices[5].net;
	ok(one && two && one->n_taps == 2 && two->n_taps == 2);
	ok(one->taps[0].fd == 13 && one->taps[1].fd == 14 && two->taps[0].fd == 15 && two->taps[1].fd == 16);
	ok(memcmp(one->mac, "\x02\x42\1\2\3\4", 6) == 0 && memcmp(two->mac, "\x02\x42\1\2\3\5", 6) == 0);
	is_int(one->mtu, 1500);
	is_int(two->mtu, 1400);
	vmm_plan_done(&p);
}

TEST(without_a_writable_disk_there_is_one)
{
	const struct vm_own_config c = { .cpus = 1, .ram_bytes = 64 * MIB, .is_verbose = true };
	const char *text = text_of(&c), *disk = strstr(text, "\"blk\"");

	ok(disk && !strstr(disk + 1, "\"blk\""));
	ok(!strstr(text, "quiet") && !strstr(text, "\"fs\"") && !strstr(text, "\"mem\"") && !strstr(text, "maxcpus"));
}

TEST(huge_pages_are_a_booting_guests_and_no_copys)
{
	struct vm_own_config c = { .cpus = 1, .ram_bytes = 64 * MIB, .has_huge_pages = true };

	has_str(text_of(&c), "\"pages\":\"huge\"");
	c.is_restore = true;
	ok(!strstr(text_of(&c), "\"huge\""));
}

TAP_MAIN()
