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

static int add(char ***v, const char *option, char *value)
{
	int r = value ? strv_push(v, option) : -ENOMEM;

	if (r < 0) {
		free(value);
		return r;
	}
	return strv_push_take(v, value);
}

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

/* fd: handed over open, in a set of its own number. As JSON, which -blockdev takes; raw, so that nothing in a disk is taken for
 * a format. */
static int add_disk(char ***v, const char *node, int fd, bool read_only, bool unsafe)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *name = str_fmt("/dev/fdset/%d", fd);
	struct json_object *file = json_object_new_object(), *cache = json_object_new_object();
	int r;

	if (!name)
		return -ENOMEM;
	set(cache, "no-flush", json_object_new_boolean(unsafe));
	set(file, "driver", json_object_new_string("file"));
	set(file, "filename", json_object_new_string(name));
	/* The image's disk is shared by every guest of that image, and the store's own lock keeps it from being deleted. */
	set(file, "locking", json_object_new_string(read_only ? "off" : "auto"));
	set(o, "driver", json_object_new_string("raw"));
	set(o, "node-name", json_object_new_string(node));
	set(o, "read-only", json_object_new_boolean(read_only));
	set(o, "cache", cache);
	set(o, "file", file);
	r = add(v, "-add-fd", str_fmt("fd=%d,set=%d", fd, fd));
	return r < 0 ? r : add(v, "-blockdev", strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN)));
}

static int add_machine(char ***v, const struct qemu_config *c)
{
	int r = add(v, "-M",
		    str_fmt("microvm,acpi=on,x-option-roms=off,auto-kernel-cmdline=off%s",
			    c->share_fd >= 0 ? ",memory-backend=ram" : ""));

	if (r >= 0)
		r = add(v, "-global", strdup("virtio-mmio.force-legacy=false"));
	if (r >= 0)
		r = add(v, "-accel",
			c->has_kvm ? strdup("kvm") : str_fmt("tcg,thread=multi,tb-size=%llu", VM_TCG_CACHE_BYTES / MIB));
	/* TCG's newest features cost time and can't all be emulated: 5-level paging, protection keys. */
	if (r >= 0)
		r = add(v, "-cpu", strdup(c->has_kvm ? "host" : "max,-la57,-pku,-svm"));
	if (r >= 0)
		r = add(v, "-smp", str_fmt("%u", c->cpus));
	if (r >= 0)
		r = add(v, "-m", str_fmt("%lluM", (unsigned long long)(c->ram_bytes / MIB)));
	if (r >= 0 && c->share_fd >= 0) /* virtiofsd reads and writes guest RAM itself */
		r = add(v, "-object",
			str_fmt("memory-backend-memfd,id=ram,share=on,size=%lluM", (unsigned long long)(c->ram_bytes / MIB)));
	if (r >= 0)
		r = add(v, "-kernel", strdup(c->kernel));
	if (r >= 0)
		r = add(v, "-initrd", strdup(c->initramfs));
	if (r >= 0)
		r = add(v, "-append", kernel_command_line(c));
	return r;
}

/* Devices sit on numbered transports, so that /dev/vda and vdb are what FRAME_START says they are: the
 * kernel meets them from the highest number down. Not on number 0: its
 * interrupt never reaches the guest (seen with QEMU 7.2, ACPI on). */
static int add_disk_device(char ***v, const struct qemu_config *c, const char *node, unsigned place)
{
	/* One container's two have their old numbers; a pod's begin at the last of the 24. */
	return add(v, "-device",
		   str_fmt("virtio-blk-device,drive=%s,bus=virtio-mmio-bus.%u", node, (c->n_more ? 23 : 2) - place));
}

static int add_more_disks(char ***v, const struct qemu_config *c)
{
	int r = 0;

	for (size_t k = 0; k < c->n_more && r >= 0; k++) {
		char node[16];
		snprintf(node, sizeof(node), "more%u", (unsigned)k);
		r = add_disk(v, node, c->more_fd + (int)k, c->more[k].is_readonly, false);
		if (r >= 0)
			r = add_disk_device(v, c, node, (unsigned)k + 2);
	}
	return r;
}

static int add_devices(char ***v, const struct qemu_config *c)
{
	int r = add_disk(v, "image", c->image_fd, true, false);

	if (r >= 0)
		r = add_disk_device(v, c, "image", 0);
	if (r >= 0 && c->upper_fd >= 0)
		r = add_disk(v, "upper", c->upper_fd, false, c->is_volatile);
	if (r >= 0 && c->upper_fd >= 0)
		r = add_disk_device(v, c, "upper", 1);
	if (r >= 0)
		r = add_more_disks(v, c);
	if (r >= 0)
		r = add(v, "-device", strdup("virtio-serial-device,max_ports=2,bus=virtio-mmio-bus.3"));
	/* rng-builtin: QEMU asks getrandom(2), so there is no device file to open. */
	if (r >= 0)
		r = add(v, "-object", strdup("rng-builtin,id=rng"));
	if (r >= 0)
		r = add(v, "-device", strdup("virtio-rng-device,rng=rng,bus=virtio-mmio-bus.5"));
	if (r >= 0)
		r = add(v, "-chardev", str_fmt("socket,id=agent,fd=%d", c->agent_fd));
	if (r >= 0)
		r = add(v, "-device", strdup("virtserialport,chardev=agent,name=" GUEST_PORT_NAME));
	if (r >= 0)
		r = add(v, "-chardev", str_fmt("socket,id=console,fd=%d", c->console_fd));
	if (r >= 0)
		r = add(v, "-serial", strdup("chardev:console"));
	if (r >= 0)
		r = add(v, "-chardev", str_fmt("socket,id=qmp,fd=%d", c->qmp_fd));
	if (r >= 0)
		r = add(v, "-mon", strdup("chardev=qmp,mode=control"));
	if (r >= 0 && c->share_fd >= 0)
		r = add(v, "-chardev", str_fmt("socket,id=share,fd=%d", c->share_fd));
	if (r >= 0 && c->share_fd >= 0)
		r = add(v, "-device", strdup("vhost-user-fs-device,chardev=share,tag=" VM_SHARE_TAG ",bus=virtio-mmio-bus.4"));
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
		r = add(&v, "-name", str_fmt("berth-%.12s", c->id));
	if (r >= 0)
		r = add_machine(&v, c);
	if (r >= 0)
		r = add_devices(&v, c);
	return r < 0 ? NULL : TAKE_PTR(v);
}
