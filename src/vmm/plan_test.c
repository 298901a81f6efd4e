/* The plan: what is read, and what is refused before anything is made. */
#include "vmm.h"

#include <unistd.h>

#include "tap.h"

static int parse(const char *text, struct vmm_plan *p, struct err *e) { return vmm_plan_parse(text, strlen(text), p, e); }

TEST(a_plan_is_read_whole)
{
	struct vmm_plan p;
	struct err e = { 0 };
	int kernel = dup(0), port = dup(0);
	_cleanup_free_ char *text =
		str_fmt("{\"kernel_fd\":%d,\"cmdline\":\"quiet\",\"mem_bytes\":67108864,\"cpus\":2,\"pages\":\"small\",\"boot_"
			"limit_ms\":5,"
			"\"devices\":[{\"rng\":{}},{\"console\":{\"ports\":[{},{\"name\":\"agent\",\"fd\":%d}]}}]}",
			kernel, port);

	if (parse(text, &p, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_int(p.kernel_fd, kernel);
	is_int(p.initrd_fd, -1);
	is_int(p.serial_fd, -1);
	is_int(p.cpus, 2);
	is_int(p.pages, VMM_PAGES_SMALL);
	is_int(p.n_devices, 2);
	ok(p.devices[0].rng && !p.devices[0].console);
	is_int(p.devices[1].console->n_ports, 2);
	is_int(p.devices[1].console->ports[0].fd, -1);
	is_str(p.devices[1].console->ports[1].name, "agent");
	is_int(p.devices[1].console->ports[1].fd, port);
	vmm_plan_done(&p);
	is_int(fcntl(kernel, F_GETFD), -1);
	is_int(fcntl(port, F_GETFD), -1);
}

TEST(plans_that_can_not_be_are_refused_with_the_key)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "plan" },
		{ "{\"mem_bytes\":67108864}", "kernel_fd" },
		{ "{\"kernel_fd\":0}", "mem_bytes" },
		{ "{\"kernel_fd\":-1,\"mem_bytes\":67108864}", "kernel" },
		{ "{\"kernel_fd\":999,\"mem_bytes\":67108864}", "999" },
		{ "{\"kernel_fd\":-2,\"mem_bytes\":67108864}", "-2" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108865}", "mem_bytes" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":16777216}", "mem_bytes" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"cpus\":0}", "cpus" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"cpus\":65}", "cpus" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"pages\":\"big\"}", "pages" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"gpu\":1}", "gpu" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{}]}", "device #0" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"gpu\":{}}]}", "gpu" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"rng\":{},\"console\":{\"ports\":[{}]}}]}",
		  "device #0" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"console\":{\"ports\":[]}}]}", "ports" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"console\":{\"ports\":[{\"fd\":999}]}}]}", "999" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"blk\":{}}]}", "fd" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"blk\":{\"fd\":-1}}]}", "fd" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"blk\":{\"fd\":998}}]}", "998" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"pmem\":{\"fd\":-1}}]}", "fd" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"pmem\":{\"fd\":997}}]}", "997" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"blk\":{\"fd\":1,\"queues\":9}}]}", "queues" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"blk\":{\"fd\":1,\"format\":\"qcow2\"}}]}",
		  "qemu-img" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"blk\":{\"fd\":1,\"bytes\":{\"burst\":1}}}]}",
		  "per_second" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"blk\":{\"fd\":1,\"serial\":"
		  "\"123456789012345678901\"}}]}",
		  "serial" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"net\":{\"taps\":[],\"mac\":\"02:00:00:00:00:01\"}}]}",
		  "taps" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"net\":{\"taps\":[{\"fd\":-1}],\"mac\":\"02:00:00:00:"
		  "00:01\"}}]}",
		  "tap #0" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"net\":{\"taps\":[{\"fd\":1}]}}]}", "mac" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"net\":{\"taps\":[{\"fd\":1}],\"mac\":\"02:00:00:00:00:"
		  "1\"}}]}",
		  "mac" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"net\":{\"taps\":[{\"fd\":1}],\"mac\":\"03:00:00:00:00:"
		  "01\"}}]}",
		  "mac" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"net\":{\"taps\":[{\"fd\":1}],\"mac\":\"02:00:00:00:00:"
		  "0g\"}}]}",
		  "mac" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"net\":{\"taps\":[{\"fd\":1}],\"mac\":\"02:00:00:00:00:"
		  "0\\u0011\"}}]}",
		  "mac" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"net\":{\"taps\":[{\"fd\":1}],\"mac\":\"02:00:00:00:00-"
		  "01\"}}]}",
		  "mac" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"net\":{\"taps\":[{\"fd\":1}],\"mac\":\"02:00:00:00:00:"
		  "01:02\"}}]}",
		  "mac" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"net\":{\"taps\":[{\"fd\":1}],\"mac\":\"02:00:00:00:00:"
		  "01\",\"mtu\":67}}]}",
		  "mtu" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"net\":{\"taps\":[{\"fd\":1}],\"mac\":\"02:00:00:00:00:"
		  "01\",\"to_guest\":{}}}]}",
		  "per_second" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"vsock\":{}}]}", "guest_cid" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"vsock\":{\"guest_cid\":2}}]}", "guest_cid" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"vsock\":{\"guest_cid\":4294967295}}]}", "guest_cid" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"vsock\":{\"guest_cid\":3,\"listen_fd\":999}}]}",
		  "999" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"vsock\":{\"guest_cid\":3,\"streams\":[{\"port\":1,"
		  "\"fd\":0},{\"port\":1,\"fd\":1}]}}]}",
		  "twice" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"vsock\":{\"guest_cid\":3,\"streams\":[{\"port\":1}]}}]"
		  "}",
		  "fd" },
		{ "{\"kernel_fd\":0,\"mem_bytes\":67108864,\"devices\":[{\"vsock\":{\"guest_cid\":3,\"streams\":[{\"port\":"
		  "4294967295,\"fd\":0}]}}]}",
		  "port" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmm_plan p;
		struct err e = { 0 };

		if (parse(rows[i].text, &p, &e) >= 0)
			TAP_FAIL("%s", rows[i].text);
		has_str(e.msg, rows[i].says);
	}
}

TEST(a_network_card_and_a_socket_device_are_read_and_their_descriptors_are_the_plan_s)
{
	struct vmm_plan p;
	struct err e = { 0 };
	int fds[6];
	_cleanup_free_ char *text = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = dup(0);
	text = str_fmt("{\"kernel_fd\":%d,\"mem_bytes\":67108864,\"devices\":["
		       "{\"net\":{\"taps\":[{\"fd\":%d},{\"fd\":%d}],\"mac\":\"02:00:5E:10:00:01\",\"mtu\":1400,"
		       "\"from_guest\":{\"per_second\":1000,\"burst\":5}}},"
		       "{\"vsock\":{\"guest_cid\":3,\"listen_fd\":%d,\"dir_fd\":%d,\"connect_limit_ms\":7,"
		       "\"streams\":[{\"port\":1024,\"fd\":%d}]}},"
		       "{\"vsock\":{\"guest_cid\":4}}]}",
		       fds[0], fds[1], fds[2], fds[3], fds[4], fds[5]);
	if (parse(text, &p, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_int(p.devices[0].net->n_taps, 2);
	is_int(p.devices[0].net->taps[1].fd, fds[2]);
	is_int(p.devices[0].net->mac[2], 0x5e);
	is_int(p.devices[0].net->mtu, 1400);
	is_int(p.devices[0].net->to_guest.per_second, 0);
	is_int(p.devices[0].net->from_guest.burst, 5);
	is_int(p.devices[1].vsock->listen_fd, fds[3]);
	is_int(p.devices[1].vsock->connect_limit_ms, 7);
	is_int(p.devices[1].vsock->streams[0].port, 1024);
	is_int(p.devices[2].vsock->listen_fd, -1);
	is_int(p.devices[2].vsock->dir_fd, -1);
	vmm_plan_done(&p);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		is_int(fcntl(fds[i], F_GETFD), -1);
}

TEST(what_is_written_is_read_again_to_the_same)
{
	_cleanup_json_ struct json_object *o = NULL, *again = NULL;
	struct vmm_plan p;
	struct err e = { 0 };
	int fds[6];
	_cleanup_free_ char *text = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = dup(0);
	text = str_fmt("{\"kernel_fd\":%d,\"kvm_fd\":%d,\"serial_fd\":%d,\"cmdline\":\"quiet\",\"mem_bytes\":67108864,\"cpus\":2,"
		       "\"pages\":\"small\",\"devices\":[{\"rng\":{\"bytes_per_second\":9}},"
		       "{\"blk\":{\"fd\":%d,\"read_only\":true,\"ops\":{\"per_second\":7}}},"
		       "{\"console\":{\"ports\":[{\"name\":\"agent\",\"fd\":%d}]}},"
		       "{\"net\":{\"taps\":[{\"fd\":%d}],\"mac\":\"02:00:5e:10:00:01\"}},"
		       "{\"balloon\":{}},{\"balloon\":{\"reporting\":false,\"deflate_on_oom\":false}}]}",
		       fds[0], fds[1], fds[2], fds[3], fds[4], fds[5]);
	if (parse(text, &p, &e) < 0)
		TAP_FAIL("%s", e.msg);
	o = vmm_plan_json(&p);
	free(text);
	text = strdup(json_object_to_json_string(o));
	vmm_plan_done(&p);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		is_int(dup2(0, fds[i]), fds[i]);
	if (parse(text, &p, &e) < 0)
		TAP_FAIL("%s: %s", text, e.msg);
	again = vmm_plan_json(&p);
	is_str(json_object_to_json_string(again), text);
	is_int(p.kvm_fd, fds[1]);
	is_int(p.pages, VMM_PAGES_SMALL);
	ok(p.devices[1].blk->is_read_only && p.devices[1].blk->ops.per_second == 7);
	is_str(p.devices[2].console->ports[0].name, "agent");
	is_int(p.devices[3].net->mac[5], 1);
	ok(p.devices[4].balloon->reports && p.devices[4].balloon->deflates_on_oom);
	ok(!p.devices[5].balloon->reports && !p.devices[5].balloon->deflates_on_oom);
	vmm_plan_done(&p);
}

TEST(one_descriptor_is_not_two_things)
{
	struct vmm_plan p;
	struct err e = { 0 };
	int fd = dup(0);
	_cleanup_free_ char *text = str_fmt("{\"kernel_fd\":%d,\"initrd_fd\":%d,\"mem_bytes\":67108864}", fd, fd);

	is_int(parse(text, &p, &e), -EINVAL);
	has_str(e.msg, "twice");
}

TAP_MAIN()
