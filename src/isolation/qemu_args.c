/* qemu_args: QEMU's command line for one guest. The machine is microvm with ACPI: virtio-mmio devices that ACPI describes (a
 * distribution's kernel takes none from its command line), no PCI, no firmware to speak of. Measured against q35 and against
 * microvm with PCI under TCG it starts equally fast or faster and offers a guest the least to talk to; without PIT, PIC and RTC
 * the kernel calibrates its clock for 2 s. */
#include "guest.h"
#include "vm_impl.h"

#include <json-c/json.h>
#include <stdio.h>

/* Kernel command line, whole. Why each: */
static const struct kernel_arg {
	const char *text;
	bool tcg_only;
} kernel_args[] = {
	{ "quiet", false },               /* nothing but emergencies on the serial console, where each byte is an exit */
	{ "console=ttyS0", false },       /* for those: a panic's text */
	{ "panic=-1", false },            /* a panic resets at once; -no-reboot turns that into the end of QEMU */
	{ "reboot=t", false },            /* by triple fault: the fastest */
	{ "random.trust_cpu=on", false }, /* START brings the host's entropy as well */
	{ "cryptomgr.notests", false },   /* self-tests of the kernel's ciphers: 210 ms under TCG, and the host ran them */
	/* tracers that nobody in a guest's container can read (100 ms under TCG), and one more self-test (20 ms) */
	{ "initcall_blacklist=init_kprobe_trace,init_blk_tracer,init_trace_printk_function_export,crypto_kdf108_init", false },
	{ "tsc=reliable", true }, /* the emulated clock can't drift from itself: no watchdog */
	{ "no_timer_check", true },
	{ "mitigations=off", true }, /* an emulated CPU does not speculate */
	{ NULL },
};

static char *kernel_command_line(const struct qemu_config *c)
{
	struct buf b = { NULL };

	for (const struct kernel_arg *a = kernel_args; a->text; a++)
		if ((!a->tcg_only || !c->has_kvm) && !(c->is_verbose && streq(a->text, "quiet")))
			buf_fmt(&b, "%s%s", b.len ? " " : "", a->text);
	/* A busy host makes the kernel's own calibration against the emulated PIT fail, and without a clock it hangs. */
	if (c->tsc_khz)
		buf_fmt(&b, " tsc_early_khz=%u", c->tsc_khz);
	return buf_take(&b);
}

static void set(struct json_object *o, const char *key, struct json_object *v) { json_object_object_add(o, key, v); }

struct disk {
	const char *node;
	int fd;
	bool is_readonly, is_unsafe, is_device;
	const struct launch_disk *given; /* NULL: one of ours */
};

/* What opens the disk's file: QEMU's own guess is asked nowhere. */
static struct json_object *layers_of(const struct disk *d, const char *filename)
{
	struct json_object *o = json_object_new_object(), *file = json_object_new_object(), *cache = json_object_new_object();

	set(cache, "no-flush", json_object_new_boolean(d->is_unsafe));
	set(file, "driver", json_object_new_string(d->is_device ? "host_device" : "file"));
	set(file, "filename", json_object_new_string(filename));
	/* The image's disk is shared by every guest of that image, and the store's own lock keeps it from being deleted. */
	set(file, "locking", json_object_new_string(d->is_readonly && !d->given ? "off" : "auto"));
	set(o, "driver", json_object_new_string(d->given ? d->given->format : "raw"));
	set(o, "node-name", json_object_new_string(d->node));
	set(o, "read-only", json_object_new_boolean(d->is_readonly));
	set(o, "cache", cache);
	if (d->given && streq(d->given->format, "qcow2"))
		set(o, "backing", NULL); /* none, whatever the image says */
	if (d->given) {
		set(o, "discard", json_object_new_string("unmap"));
		set(file, "discard", json_object_new_string("unmap"));
	}
	set(o, "file", file);
	return o;
}

/* A filter on top, of the node's name, and the group that counts. */
static int add_limit(char ***v, const struct disk *d, struct json_object **o)
{
	_cleanup_json_ struct json_object *group = json_object_new_object();
	struct json_object *limits = json_object_new_object(), *top = json_object_new_object();
	_cleanup_free_ char *name = str_fmt("limit-%s", d->node);

	if (!name) {
		json_object_put(limits);
		json_object_put(top);
		return -ENOMEM;
	}
	if (d->given->bps)
		set(limits, "bps-total", json_object_new_int64((int64_t)d->given->bps));
	if (d->given->iops)
		set(limits, "iops-total", json_object_new_int64((int64_t)d->given->iops));
	set(group, "qom-type", json_object_new_string("throttle-group"));
	set(group, "id", json_object_new_string(name));
	set(group, "limits", limits);
	json_object_object_del(*o, "node-name");
	set(top, "driver", json_object_new_string("throttle"));
	set(top, "node-name", json_object_new_string(d->node));
	set(top, "read-only", json_object_new_boolean(d->is_readonly));
	set(top, "discard", json_object_new_string("unmap"));
	set(top, "throttle-group", json_object_new_string(name));
	set(top, "file", *o);
	*o = top;
	return strv_push_option(v, "-object", strdup(json_object_to_json_string_ext(group, JSON_C_TO_STRING_PLAIN)));
}

/* The descriptor is handed over open, in a set of its own number. As JSON, which -blockdev takes; ours raw, so that nothing in a disk is
 * taken for a format. */
static int add_disk(char ***v, const struct disk *d)
{
	_cleanup_free_ char *name = str_fmt("/dev/fdset/%d", d->fd);
	_cleanup_json_ struct json_object *o = name ? layers_of(d, name) : NULL;
	int r = o ? strv_push_option(v, "-add-fd", str_fmt("fd=%d,set=%d", d->fd, d->fd)) : -ENOMEM;

	if (r >= 0 && d->given && (d->given->bps || d->given->iops))
		r = add_limit(v, d, &o);
	return r < 0 ? r : strv_push_option(v, "-blockdev", strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN)));
}

static int add_machine(char ***v, const struct qemu_config *c)
{
	bool has_backend = c->share_fd >= 0 || c->has_huge_pages; /* virtiofsd reads and writes guest RAM itself */
	int r = strv_push_option(
		v, "-M",
		str_fmt("microvm,acpi=on,x-option-roms=off,auto-kernel-cmdline=off%s", has_backend ? ",memory-backend=ram" : ""));

	if (r >= 0)
		r = strv_push_option(v, "-global", strdup("virtio-mmio.force-legacy=false"));
	if (r >= 0)
		r = strv_push_option(v, "-accel",
				     c->has_kvm ? strdup("kvm")
						: str_fmt("tcg,thread=multi,tb-size=%llu", VM_TCG_CACHE_BYTES / MIB));
	/* TCG's newest features cost time and can't all be emulated: 5-level paging, protection keys. */
	if (r >= 0)
		r = strv_push_option(v, "-cpu", strdup(c->has_kvm ? "host" : "max,-la57,-pku,-svm"));
	if (r >= 0)
		r = strv_push_option(v, "-smp", str_fmt("%u", c->cpus));
	if (r >= 0)
		r = strv_push_option(v, "-m", str_fmt("%lluM", (unsigned long long)(c->ram_bytes / MIB)));
	if (r >= 0 && has_backend)
		r = strv_push_option(v, "-object",
				     str_fmt("memory-backend-memfd,id=ram,share=on,size=%lluM%s",
					     (unsigned long long)(c->ram_bytes / MIB),
					     c->has_huge_pages ? ",hugetlb=on,hugetlbsize=2M,prealloc=on" : ""));
	if (r >= 0)
		r = strv_push_option(v, "-kernel", strdup(c->kernel));
	if (r >= 0)
		r = strv_push_option(v, "-initrd", strdup(c->initramfs));
	if (r >= 0)
		r = strv_push_option(v, "-append", kernel_command_line(c));
	return r;
}

/* Devices sit on numbered transports, so that /dev/vda and vdb are what FRAME_START says they are: the
 * kernel meets them from the highest number down. Not on number 0: its
 * interrupt never reaches the guest (seen with QEMU 7.2, ACPI on). A host's disk that is full is the guest's error, as a program's
 * in a container; QEMU's own wish is to stop the machine. */
static int add_disk_device(char ***v, const struct qemu_config *c, const char *node, unsigned place, const char *serial)
{
	/* One container's two have their old numbers; where there are more they begin at the last of the 24. */
	return strv_push_option(v, "-device",
				str_fmt("virtio-blk-device,drive=%s,bus=virtio-mmio-bus.%u%s%s,werror=report,rerror=report", node,
					(c->n_more ? 23 : 2) - place, serial ? ",serial=" : "", serial ?: ""));
}

static int add_more_disks(char ***v, const struct qemu_config *c)
{
	int r = 0;

	for (size_t k = 0; k < c->n_more && r >= 0; k++) {
		char node[16], serial[VM_DISK_SERIAL];
		const struct disk d = { .node = node,
					.fd = c->more_fd + (int)k,
					.is_readonly = c->more[k].is_readonly,
					.is_device = c->more[k].is_device,
					.given = c->more[k].given };

		snprintf(node, sizeof(node), "more%u", (unsigned)k);
		vm_disk_serial(c->more, k, serial);
		r = add_disk(v, &d);
		if (r >= 0)
			r = add_disk_device(v, c, node, (unsigned)k + 2, d.given ? serial : NULL);
	}
	return r;
}

/* Between the transports of what every guest has and those of disks; where there are many disks, those that their first two leave. Who is
 * met first, and so is the first in the guest's list, has the highest number. */
static unsigned card_place(const struct qemu_config *c, size_t k)
{
	size_t from_below = c->network->n_endpoints - 1 - k;

	if (c->n_more > 0 && from_below < 2)
		return 1 + (unsigned)from_below;
	return 6 + (unsigned)(c->n_more > 0 ? from_below - 2 : from_below);
}

size_t qemu_room_for_cards(size_t n_more) { return n_more > 0 ? 2 + VM_MORE_DISKS_MAX - n_more : 18; }

/* Frames pass through QEMU: what the host's kernel would do for a guest with vhost is not a device's to offer in a jail. status: the link
 * is always up, see vmm/virtio/net.c. */
static int add_card(char ***v, const struct qemu_config *c, size_t k)
{
	const struct net_endpoint *ep = &c->network->endpoints[k];
	size_t queues = vm_network_queues(c->network);
	_cleanup_buf_ struct buf fds = { NULL };
	int r;

	for (size_t i = 0; i < queues; i++)
		buf_fmt(&fds, "%s%d", i ? ":" : "", c->taps_fd + (int)(k * queues + i));
	if (!fds.data)
		return -ENOMEM;
	r = strv_push_option(v, "-netdev", str_fmt("tap,id=net%zu,%s=%s,vhost=off", k, queues > 1 ? "fds" : "fd", fds.data));
	if (r < 0)
		return r;
	return strv_push_option(v, "-device",
				str_fmt("virtio-net-device,netdev=net%zu,mac=%s,host_mtu=%u,status=off%s,bus=virtio-mmio-bus.%u",
					k, ep->mac, vm_network_mtu(ep), queues > 1 ? ",mq=on" : "", card_place(c, k)));
}

static int add_devices(char ***v, const struct qemu_config *c)
{
	const struct disk image = { .node = "image", .fd = c->image_fd, .is_readonly = true },
			  upper = { .node = "upper", .fd = c->upper_fd, .is_unsafe = c->is_volatile };
	int r = add_disk(v, &image);

	if (r >= 0)
		r = add_disk_device(v, c, "image", 0, NULL);
	if (r >= 0 && c->upper_fd >= 0)
		r = add_disk(v, &upper);
	if (r >= 0 && c->upper_fd >= 0)
		r = add_disk_device(v, c, "upper", 1, NULL);
	if (r >= 0)
		r = add_more_disks(v, c);
	if (r >= 0)
		r = strv_push_option(v, "-device", strdup("virtio-serial-device,max_ports=2,bus=virtio-mmio-bus.3"));
	/* rng-builtin: QEMU asks getrandom(2), so there is no device file to open. */
	if (r >= 0)
		r = strv_push_option(v, "-object", strdup("rng-builtin,id=rng"));
	if (r >= 0)
		r = strv_push_option(v, "-device", strdup("virtio-rng-device,rng=rng,bus=virtio-mmio-bus.5"));
	if (r >= 0)
		r = strv_push_option(v, "-chardev", str_fmt("socket,id=agent,fd=%d", c->agent_fd));
	if (r >= 0)
		r = strv_push_option(v, "-device", strdup("virtserialport,chardev=agent,name=" GUEST_PORT_NAME));
	if (r >= 0)
		r = strv_push_option(v, "-chardev", str_fmt("socket,id=console,fd=%d", c->console_fd));
	if (r >= 0)
		r = strv_push_option(v, "-serial", strdup("chardev:console"));
	if (r >= 0)
		r = strv_push_option(v, "-chardev", str_fmt("socket,id=qmp,fd=%d", c->qmp_fd));
	if (r >= 0)
		r = strv_push_option(v, "-mon", strdup("chardev=qmp,mode=control"));
	if (r >= 0 && c->share_fd >= 0)
		r = strv_push_option(v, "-chardev", str_fmt("socket,id=share,fd=%d", c->share_fd));
	if (r >= 0 && c->share_fd >= 0)
		r = strv_push_option(v, "-device",
				     strdup("vhost-user-fs-device,chardev=share,tag=" VM_SHARE_TAG ",bus=virtio-mmio-bus.4"));
	for (size_t k = 0; c->network && k < c->network->n_endpoints && r >= 0; k++)
		r = add_card(v, c, k);
	return r;
}

char **qemu_args(const struct qemu_config *c)
{
	static const char *const flags[] = { "-nodefaults",
					     "-no-user-config",
					     "-no-reboot",
					     "-display",
					     "none",
					     "-sandbox",
					     "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny" };
	_cleanup_strv_ char **v = NULL;
	int r = strv_push(&v, c->program);

	for (size_t i = 0; i < ARRAY_SIZE(flags) && r >= 0; i++)
		r = strv_push(&v, flags[i]);
	if (r >= 0)
		r = strv_push_option(&v, "-name", str_fmt("berth-%.12s", c->id));
	if (r >= 0)
		r = add_machine(&v, c);
	if (r >= 0)
		r = add_devices(&v, c);
	return r < 0 ? NULL : TAKE_PTR(v);
}
