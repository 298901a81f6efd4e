/* plan: JSON to struct vmm_plan, by tables. A new kind of device is a table, a row in device_fields, and its checks. */
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "vmm.h"

static const char *const pages_names[] = { [VMM_PAGES_THP] = "thp", [VMM_PAGES_SMALL] = "small", [VMM_PAGES_HUGE] = "huge" };

static int parse_pages(struct json_object *v, void *member, const char *path, struct err *e)
{
	const char *s = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";

	for (uint32_t i = 0; i < ARRAY_SIZE(pages_names); i++)
		if (streq(s, pages_names[i])) {
			*(uint32_t *)member = i;
			return 0;
		}
	return json_expected(v, path, "\"thp\", \"small\" or \"huge\"", e);
}

static struct json_object *print_pages(const void *member)
{
	return json_object_new_string(pages_names[*(const uint32_t *)member]);
}

static void no_fd(void *item) { ((struct vmm_port_plan *)item)->fd = -1; }

static const struct field port_fields[] = {
	{ "name", FIELD_STRING, offsetof(struct vmm_port_plan, name) },
	{ "fd", FIELD_I32, offsetof(struct vmm_port_plan, fd) },
	{ .name = NULL, .flags = FIELD_STRICT },
};
static const struct field console_fields[] = {
	{ "ports", FIELD_ARRAY, offsetof(struct vmm_console_plan, ports), FIELD_REQUIRED, port_fields,
	  sizeof(struct vmm_port_plan), offsetof(struct vmm_console_plan, n_ports), .init = no_fd },
	{ .name = NULL, .flags = FIELD_STRICT },
};
static const struct field rng_fields[] = {
	{ "bytes_per_second", FIELD_U32, offsetof(struct vmm_rng_plan, bytes_per_second) },
	{ .name = NULL, .flags = FIELD_STRICT },
};
static const struct field limit_fields[] = {
	{ "per_second", FIELD_U64, offsetof(struct vmm_limit_plan, per_second), FIELD_REQUIRED },
	{ "burst", FIELD_U64, offsetof(struct vmm_limit_plan, burst) },
	{ .name = NULL, .flags = FIELD_STRICT },
};

/* Nothing is probed: a guest could write another format's header to its disk (V08). */
static int parse_format(struct json_object *v, void *member, const char *path, struct err *e)
{
	const char *s = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";

	(void)member;
	if (streq(s, "raw"))
		return 0;
	return json_expected(v, path, "\"raw\": nothing else is served (qemu-img convert -O raw makes it of others)", e);
}

static const struct field pmem_fields[] = {
	{ "fd", FIELD_I32, offsetof(struct vmm_pmem_plan, fd), FIELD_REQUIRED },
	{ "writable", FIELD_BOOL, offsetof(struct vmm_pmem_plan, is_writable) },
	{ .name = NULL, .flags = FIELD_STRICT },
};
static const struct field blk_fields[] = {
	{ "fd", FIELD_I32, offsetof(struct vmm_blk_plan, fd), FIELD_REQUIRED },
	{ "format", FIELD_CUSTOM, 0, .parse = parse_format },
	{ "read_only", FIELD_BOOL, offsetof(struct vmm_blk_plan, is_read_only) },
	{ "holes_are_hints", FIELD_BOOL, offsetof(struct vmm_blk_plan, holes_are_hints), FIELD_OMIT_EMPTY },
	{ "serial", FIELD_STRING, offsetof(struct vmm_blk_plan, serial) },
	{ "queues", FIELD_U32, offsetof(struct vmm_blk_plan, queues) },
	{ "bytes", FIELD_OBJECT, offsetof(struct vmm_blk_plan, bytes), 0, limit_fields },
	{ "ops", FIELD_OBJECT, offsetof(struct vmm_blk_plan, ops), 0, limit_fields },
	{ .name = NULL, .flags = FIELD_STRICT },
};

static int parse_mac(struct json_object *v, void *member, const char *path, struct err *e)
{
	const char *s = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";

	return str_to_mac(s, member) < 0 ? json_expected(v, path, "a station's address like \"02:00:5e:10:00:01\"", e) : 0;
}

static void no_vsock_fds(void *item)
{
	struct vmm_vsock_plan *p = item;

	p->listen_fd = p->dir_fd = -1;
}

static struct json_object *print_mac(const void *member)
{
	const uint8_t *m = member;
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	return json_object_new_string(text);
}

static const struct field tap_fields[] = {
	{ "fd", FIELD_I32, offsetof(struct vmm_tap_plan, fd), FIELD_REQUIRED },
	{ .name = NULL, .flags = FIELD_STRICT },
};
static const struct field net_fields[] = {
	{ "taps", FIELD_ARRAY, offsetof(struct vmm_net_plan, taps), FIELD_REQUIRED, tap_fields, sizeof(struct vmm_tap_plan),
	  offsetof(struct vmm_net_plan, n_taps) },
	{ "mac", FIELD_CUSTOM, offsetof(struct vmm_net_plan, mac), FIELD_REQUIRED, .parse = parse_mac, .print = print_mac },
	{ "mtu", FIELD_U32, offsetof(struct vmm_net_plan, mtu) },
	{ "to_guest", FIELD_OBJECT, offsetof(struct vmm_net_plan, to_guest), 0, limit_fields },
	{ "from_guest", FIELD_OBJECT, offsetof(struct vmm_net_plan, from_guest), 0, limit_fields },
	{ .name = NULL, .flags = FIELD_STRICT },
};
static const struct field stream_fields[] = {
	{ "port", FIELD_U32, offsetof(struct vmm_stream_plan, port), FIELD_REQUIRED },
	{ "fd", FIELD_I32, offsetof(struct vmm_stream_plan, fd), FIELD_REQUIRED },
	{ .name = NULL, .flags = FIELD_STRICT },
};
static const struct field vsock_fields[] = {
	{ "guest_cid", FIELD_U32, offsetof(struct vmm_vsock_plan, guest_cid), FIELD_REQUIRED },
	{ "listen_fd", FIELD_I32, offsetof(struct vmm_vsock_plan, listen_fd) },
	{ "dir_fd", FIELD_I32, offsetof(struct vmm_vsock_plan, dir_fd) },
	{ "connect_limit_ms", FIELD_U32, offsetof(struct vmm_vsock_plan, connect_limit_ms) },
	{ "streams", FIELD_ARRAY, offsetof(struct vmm_vsock_plan, streams), 0, stream_fields, sizeof(struct vmm_stream_plan),
	  offsetof(struct vmm_vsock_plan, n_streams) },
	{ .name = NULL, .flags = FIELD_STRICT },
};
static const struct field fs_fields[] = {
	{ "tag", FIELD_STRING, offsetof(struct vmm_fs_plan, tag), FIELD_REQUIRED },
	{ "fd", FIELD_I32, offsetof(struct vmm_fs_plan, fd), FIELD_REQUIRED },
	{ .name = NULL, .flags = FIELD_STRICT },
};
static void balloon_defaults(void *item)
{
	*(struct vmm_balloon_plan *)item = (struct vmm_balloon_plan){ .reports = true, .deflates_on_oom = true };
}
static const struct field balloon_fields[] = {
	{ "reporting", FIELD_BOOL, offsetof(struct vmm_balloon_plan, reports) },
	{ "deflate_on_oom", FIELD_BOOL, offsetof(struct vmm_balloon_plan, deflates_on_oom) },
	{ .name = NULL, .flags = FIELD_STRICT },
};
static const struct field mem_fields[] = {
	{ "bytes", FIELD_U64, offsetof(struct vmm_mem_plan, bytes), FIELD_REQUIRED },
	{ .name = NULL, .flags = FIELD_STRICT },
};
static const struct field device_fields[] = {
	{ "rng", FIELD_OBJECT_PTR, offsetof(struct vmm_device_plan, rng), 0, rng_fields, sizeof(struct vmm_rng_plan) },
	{ "console", FIELD_OBJECT_PTR, offsetof(struct vmm_device_plan, console), 0, console_fields,
	  sizeof(struct vmm_console_plan) },
	{ "blk", FIELD_OBJECT_PTR, offsetof(struct vmm_device_plan, blk), 0, blk_fields, sizeof(struct vmm_blk_plan) },
	{ "pmem", FIELD_OBJECT_PTR, offsetof(struct vmm_device_plan, pmem), 0, pmem_fields, sizeof(struct vmm_pmem_plan) },
	{ "net", FIELD_OBJECT_PTR, offsetof(struct vmm_device_plan, net), 0, net_fields, sizeof(struct vmm_net_plan) },
	{ "vsock", FIELD_OBJECT_PTR, offsetof(struct vmm_device_plan, vsock), 0, vsock_fields, sizeof(struct vmm_vsock_plan),
	  .init = no_vsock_fds },
	{ "fs", FIELD_OBJECT_PTR, offsetof(struct vmm_device_plan, fs), 0, fs_fields, sizeof(struct vmm_fs_plan) },
	{ "balloon", FIELD_OBJECT_PTR, offsetof(struct vmm_device_plan, balloon), 0, balloon_fields,
	  sizeof(struct vmm_balloon_plan), .init = balloon_defaults },
	{ "mem", FIELD_OBJECT_PTR, offsetof(struct vmm_device_plan, mem), 0, mem_fields, sizeof(struct vmm_mem_plan) },
	{ .name = NULL, .flags = FIELD_STRICT },
};
static const struct field plan_fields[] = {
	{ "kernel_fd", FIELD_I32, offsetof(struct vmm_plan, kernel_fd) },
	{ "initrd_fd", FIELD_I32, offsetof(struct vmm_plan, initrd_fd) },
	{ "state_fd", FIELD_I32, offsetof(struct vmm_plan, state_fd) },
	{ "ram_fd", FIELD_I32, offsetof(struct vmm_plan, ram_fd) },
	{ "generation", FIELD_BOOL, offsetof(struct vmm_plan, tells_generation) },
	{ "tracks_writes", FIELD_BOOL, offsetof(struct vmm_plan, tracks_writes) },
	{ "control_fd", FIELD_I32, offsetof(struct vmm_plan, control_fd) },
	{ "kvm_fd", FIELD_I32, offsetof(struct vmm_plan, kvm_fd) },
	{ "serial_fd", FIELD_I32, offsetof(struct vmm_plan, serial_fd) },
	{ "cmdline", FIELD_STRING, offsetof(struct vmm_plan, cmdline) },
	{ "mem_bytes", FIELD_U64, offsetof(struct vmm_plan, mem_bytes), FIELD_REQUIRED },
	{ "cpus", FIELD_U32, offsetof(struct vmm_plan, cpus) },
	{ "pages", FIELD_CUSTOM, offsetof(struct vmm_plan, pages), .parse = parse_pages, .print = print_pages },
	{ "boot_limit_ms", FIELD_U32, offsetof(struct vmm_plan, boot_limit_ms) },
	{ "uid", FIELD_U32, offsetof(struct vmm_plan, uid) },
	{ "devices", FIELD_ARRAY, offsetof(struct vmm_plan, devices), 0, device_fields, sizeof(struct vmm_device_plan),
	  offsetof(struct vmm_plan, n_devices) },
	{ .name = NULL, .flags = FIELD_STRICT },
};

size_t vmm_plan_fds(const struct vmm_plan *p, int32_t ret[VMM_PLAN_FDS_MAX])
{
	size_t n = 0;

	ret[n++] = p->kernel_fd;
	ret[n++] = p->initrd_fd;
	ret[n++] = p->state_fd;
	ret[n++] = p->ram_fd;
	ret[n++] = p->control_fd;
	ret[n++] = p->serial_fd;
	ret[n++] = p->kvm_fd > 0 ? p->kvm_fd : -1;
	ret[n++] = p->statm_fd > 0 ? p->statm_fd : -1;
	for (size_t i = 0; i < p->n_devices; i++) {
		const struct vmm_console_plan *c = p->devices[i].console;
		const struct vmm_net_plan *net = p->devices[i].net;
		const struct vmm_vsock_plan *vsock = p->devices[i].vsock;

		if (p->devices[i].blk && n < VMM_PLAN_FDS_MAX)
			ret[n++] = p->devices[i].blk->fd;
		if (p->devices[i].pmem && n < VMM_PLAN_FDS_MAX)
			ret[n++] = p->devices[i].pmem->fd;
		if (p->devices[i].fs && n < VMM_PLAN_FDS_MAX)
			ret[n++] = p->devices[i].fs->fd;
		for (size_t k = 0; net && k < net->n_taps && n < VMM_PLAN_FDS_MAX; k++)
			ret[n++] = net->taps[k].fd;
		for (size_t k = 0; vsock && k < vsock->n_streams && n < VMM_PLAN_FDS_MAX; k++)
			ret[n++] = vsock->streams[k].fd;
		if (vsock && n < VMM_PLAN_FDS_MAX - 1) {
			ret[n++] = vsock->listen_fd;
			ret[n++] = vsock->dir_fd;
		}
		for (size_t k = 0; c && k < c->n_ports && n < VMM_PLAN_FDS_MAX; k++)
			ret[n++] = c->ports[k].fd;
	}
	return n;
}

uint64_t vmm_plan_room(const struct vmm_plan *p)
{
	for (size_t i = 0; i < p->n_devices; i++)
		if (p->devices[i].mem)
			return p->devices[i].mem->bytes;
	return 0;
}

struct vmm_vsock_plan *vmm_plan_sockets(const struct vmm_plan *p)
{
	for (size_t i = 0; i < p->n_devices; i++)
		if (p->devices[i].vsock && p->devices[i].vsock->dir_fd >= 0)
			return p->devices[i].vsock;
	return NULL;
}

static int check_fds(const struct vmm_plan *p, struct err *e)
{
	int32_t fds[VMM_PLAN_FDS_MAX];
	size_t n = vmm_plan_fds(p, fds);

	for (size_t i = 0; i < n; i++) {
		if (fds[i] < -1 || (fds[i] >= 0 && fcntl(fds[i], F_GETFD) < 0))
			return err_set(e, EBADF, "plan: %d is not an open descriptor", fds[i]);
		for (size_t k = 0; k < i && fds[i] > 2; k++) /* who closes it, were it two things at once? */
			if (fds[k] == fds[i])
				return err_set(e, EINVAL, "plan: descriptor %d is there twice", fds[i]);
	}
	return 0;
}

static int check_blk(const struct vmm_blk_plan *b, size_t i, struct err *e)
{
	if (b->fd < 0)
		return err_set(e, EINVAL, "plan: device #%zu: fd: a disk is an open file", i);
	if (b->serial && strlen(b->serial) > 20)
		return err_set(e, EINVAL, "plan: device #%zu: serial: \"%s\" is longer than 20 bytes", i, b->serial);
	if (b->queues > VMM_BLK_QUEUES_MAX)
		return err_set(e, EINVAL, "plan: device #%zu: queues: %u is more than %u", i, b->queues, VMM_BLK_QUEUES_MAX);
	return 0;
}

static int check_net(const struct vmm_net_plan *n, size_t i, struct err *e)
{
	if (n->n_taps == 0 || n->n_taps > VMM_TAPS_MAX)
		return err_set(e, EINVAL, "plan: device #%zu: taps: 1 to %u", i, VMM_TAPS_MAX);
	for (size_t k = 0; k < n->n_taps; k++)
		if (n->taps[k].fd < 0)
			return err_set(e, EBADF, "plan: device #%zu: tap #%zu has no descriptor", i, k);
	if (n->mtu && (n->mtu < 68 || n->mtu > 65535)) /* 5.1.4.1 */
		return err_set(e, EINVAL, "plan: device #%zu: mtu: %u is not from 68 to 65535", i, n->mtu);
	return 0;
}

static int check_vsock(const struct vmm_vsock_plan *v, size_t i, struct err *e)
{
	if (v->guest_cid < VMM_CID_MIN || v->guest_cid == UINT32_MAX)
		return err_set(e, EINVAL, "plan: device #%zu: guest_cid: %u is not from %u to 4294967294", i, v->guest_cid,
			       VMM_CID_MIN);
	if (v->n_streams > VMM_STREAMS_MAX)
		return err_set(e, EINVAL, "plan: device #%zu: streams: more than %u", i, VMM_STREAMS_MAX);
	for (size_t k = 0; k < v->n_streams; k++) {
		if (v->streams[k].fd < 0 || v->streams[k].port == UINT32_MAX)
			return err_set(e, EINVAL, "plan: device #%zu: stream #%zu has no %s", i, k,
				       v->streams[k].fd < 0 ? "descriptor" : "port");
		for (size_t m = 0; m < k; m++)
			if (v->streams[m].port == v->streams[k].port)
				return err_set(e, EINVAL, "plan: device #%zu: streams: port %u is there twice", i,
					       v->streams[k].port);
	}
	return 0;
}

static int check_device(const struct vmm_device_plan *d, size_t i, struct err *e)
{
	if (!!d->rng + !!d->console + !!d->blk + !!d->pmem + !!d->net + !!d->vsock + !!d->fs + !!d->balloon + !!d->mem != 1)
		return err_set(e, EINVAL, "plan: device #%zu is not exactly one thing", i);
	if (d->console && (d->console->n_ports == 0 || d->console->n_ports > VMM_PORTS_MAX))
		return err_set(e, EINVAL, "plan: device #%zu: a console has 1 to %u ports", i, VMM_PORTS_MAX);
	if (d->fs && (!d->fs->tag || !d->fs->tag[0] || strlen(d->fs->tag) > VMM_FS_TAG_MAX))
		return err_set(e, EINVAL, "plan: device #%zu: tag: 1 to %u bytes", i, VMM_FS_TAG_MAX);
	if (d->fs && d->fs->fd < 0)
		return err_set(e, EINVAL, "plan: device #%zu: fd: shared directories are an open socket", i);
	if (d->pmem && d->pmem->fd < 0)
		return err_set(e, EINVAL, "plan: device #%zu: fd: persistent memory is an open file", i);
	if (d->mem && (d->mem->bytes == 0 || d->mem->bytes % VMM_ROOM_UNIT || d->mem->bytes > VMM_ROOM_MAX))
		return err_set(e, EINVAL, "plan: device #%zu: bytes: %llu is not a multiple of 128 MiB up to 256 GiB", i,
			       (unsigned long long)d->mem->bytes);
	if (d->blk)
		return check_blk(d->blk, i, e);
	if (d->net)
		return check_net(d->net, i, e);
	if (d->vsock)
		return check_vsock(d->vsock, i, e);
	return 0;
}

/* A VM boots a kernel or goes on from a snapshot. */
static int check_origin(const struct vmm_plan *p, struct err *e)
{
	if ((p->state_fd >= 0) != (p->ram_fd >= 0))
		return err_set(e, EINVAL, "plan: state_fd and ram_fd: a snapshot is both");
	if (p->state_fd < 0 && p->kernel_fd < 0)
		return err_set(e, EINVAL, "plan: kernel_fd: a VM needs a kernel, or a snapshot (state_fd, ram_fd)");
	if (p->state_fd >= 0 && (p->kernel_fd >= 0 || p->initrd_fd >= 0 || p->cmdline))
		return err_set(e, EINVAL,
			       "plan: state_fd: a VM from a snapshot has its kernel already (kernel_fd, initrd_fd, cmdline)");
	if (p->state_fd >= 0 && p->pages == VMM_PAGES_HUGE)
		return err_set(e, EINVAL, "plan: pages: a snapshot's memory is not in reserved huge pages");
	if (p->tracks_writes && p->state_fd < 0)
		return err_set(e, EINVAL, "plan: tracks_writes: there is no snapshot to count from");
	return 0;
}

static int check_room(const struct vmm_plan *p, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_devices; i++)
		n += p->devices[i].mem != NULL;
	if (n > 1)
		return err_set(e, EINVAL, "plan: devices: more than one \"mem\"");
	if (n && p->pages == VMM_PAGES_HUGE)
		return err_set(e, EINVAL, "plan: pages: memory in reserved huge pages can't grow (\"mem\")");
	return 0;
}

int vmm_plan_check(const struct vmm_plan *p, struct err *e)
{
	int r = check_fds(p, e);

	if (r < 0)
		return r;
	r = check_origin(p, e);
	if (r < 0)
		return r;
	if (p->mem_bytes < VMM_MEM_MIN || p->mem_bytes > VMM_MEM_MAX || p->mem_bytes % (2u << 20))
		return err_set(e, EINVAL, "plan: mem_bytes: %llu is not a multiple of 2 MiB from 32 MiB to 1 TiB",
			       (unsigned long long)p->mem_bytes);
	if (p->cpus < 1 || p->cpus > VMM_CPUS_MAX)
		return err_set(e, EINVAL, "plan: cpus: %u is not from 1 to %u", p->cpus, VMM_CPUS_MAX);
	if (p->pages >= ARRAY_SIZE(pages_names))
		return err_set(e, EINVAL, "plan: pages: %u is unknown", p->pages);
	for (size_t i = 0; r >= 0 && i < p->n_devices; i++)
		r = check_device(&p->devices[i], i, e);
	return r < 0 ? r : check_room(p, e);
}

int vmm_plan_parse(const char *json, size_t len, struct vmm_plan *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct vmm_plan p = { VMM_PLAN_NO_FDS, .cpus = 1, .seccomp = VMM_SECCOMP_KILL };
	int r = json_parse(json, len, "plan", &o, e);

	if (r >= 0)
		r = json_read(o, plan_fields, &p, "", e);
	if (r >= 0)
		r = vmm_plan_check(&p, e);
	if (r < 0) {
		/* Not the plan's yet: nothing is closed. */
		json_free_fields(plan_fields, &p);
		return r;
	}
	*ret = p;
	return 0;
}

struct json_object *vmm_plan_json(const struct vmm_plan *p) { return json_write(plan_fields, p); }

void vmm_plan_done(struct vmm_plan *p)
{
	int32_t fds[VMM_PLAN_FDS_MAX];
	size_t n = vmm_plan_fds(p, fds);

	for (size_t i = 0; i < n; i++)
		if (fds[i] > 2)
			fd_close(fds[i]);
	json_free_fields(plan_fields, p);
	*p = (struct vmm_plan){ VMM_PLAN_NO_FDS };
}
