/* Block devices: weights, of all and of one, and throttles (cgroup-v1/blkio-controller.rst, cgroup-v2.rst §IO, block/
 * bfq-iosched.rst).
 *
 * bfq, the scheduler that knows weights, has files of its own and takes 1..1000 as they are; v2's iocost has io.weight with
 * 1..10000. v1's other files were cfq's and went with it in Linux 5.0: leaf weights exist on such kernels only. */
#include <stdio.h>

#include "cgroup_limits.h"

static const struct {
	const char *flag, *v1, *v2_key;
	size_t list, count;
} throttles[] = {
#define THROTTLE(flag, v1, key, f)                                                                        \
	{                                                                                                 \
		flag, v1, key, offsetof(struct spec_resources, f), offsetof(struct spec_resources, n_##f) \
	}
	THROTTLE("--device-read-bps (blockIO.throttleReadBpsDevice)", "blkio.throttle.read_bps_device", "rbps", read_bps),
	THROTTLE("--device-write-bps (blockIO.throttleWriteBpsDevice)", "blkio.throttle.write_bps_device", "wbps", write_bps),
	THROTTLE("--device-read-iops (blockIO.throttleReadIOPSDevice)", "blkio.throttle.read_iops_device", "riops", read_iops),
	THROTTLE("--device-write-iops (blockIO.throttleWriteIOPSDevice)", "blkio.throttle.write_iops_device", "wiops",
		 write_iops),
#undef THROTTLE
};

static const struct spec_throttle *throttle_list(const struct spec_resources *r, size_t i, size_t *ret_n)
{
	const struct spec_throttle *list;

	memcpy(&list, (const char *)r + throttles[i].list, sizeof(void *));
	memcpy(ret_n, (const char *)r + throttles[i].count, sizeof *ret_n);
	return list;
}

bool cgroup_wants_blkio_lists(const struct spec_resources *r)
{
	bool any = r->n_weight_devices > 0;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(throttles); i++)
		any |= throttle_list(r, i, &n) && n > 0;
	return any;
}

/* 10..1000 -> 1..10000, linear (OCI runtimes' common conversion). */
static uint64_t io_weight_of_blkio(int64_t w) { return 1 + (uint64_t)(w - 10) * 9999 / 990; }

/* What a weight is written into: the first file that is there and whose scheduler is active. */
struct weight_file {
	const char *name;
	bool is_iocost; /* has io.weight's range */
};
static const struct weight_file weight_v1[] = { { "blkio.bfq.weight", false }, { "blkio.weight", false }, { NULL, false } };
static const struct weight_file weight_v2[] = { { "io.bfq.weight", false }, { "io.weight", true }, { NULL, false } };
static const struct weight_file device_v1[] = {
	{ "blkio.bfq.weight_device", false },
	{ "blkio.weight_device", false },
	{ NULL, false },
};
static const struct weight_file leaf_v1[] = { { "blkio.leaf_weight", false }, { NULL, false } };
static const struct weight_file leaf_device_v1[] = { { "blkio.leaf_weight_device", false }, { NULL, false } };

/* device: "8:0 " or "". */
static int put_weight(const struct cgroup_place *p, const char *flag, const struct weight_file *f, const char *device,
		      int64_t weight, struct err *e)
{
	for (; f->name; f++) {
		const struct cgroup_limit l = { flag, p, f->name };
		char text[80];
		int x;
		snprintf(text, sizeof text, "%s%llu", device,
			 f->is_iocost ? (unsigned long long)io_weight_of_blkio(weight) : (unsigned long long)weight);
		x = cgroup_write(p, f->name, text);
		if (x == 0)
			return 0;
		if (!f[1].name || (x != -ENOENT && x != -EOPNOTSUPP))
			return cgroup_limit_error(&l, text, x, e);
	}
	return 0;
}

int cgroup_put_blkio_weight(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r,
			    struct err *e)
{
	bool is_leaf = k->offset == offsetof(struct spec_resources, blkio_leaf_weight);

	if (is_leaf)
		return put_weight(p, k->flag, leaf_v1, "", r->blkio_leaf_weight, e);
	return put_weight(p, k->flag, p->is_v2 ? weight_v2 : weight_v1, "", r->blkio_weight, e);
}

static int no_such_device(const char *flag, int64_t major, int64_t minor, struct err *e)
{
	return err_set(e, ENODEV, "%s: %lld:%lld is not a whole block device", flag, (long long)major, (long long)minor);
}

static int apply_weight_devices(const struct cgroup_place *p, const struct spec_resources *r, struct err *e)
{
	static const char flag[] = "--blkio-weight-device (blockIO.weightDevice)", leaf[] = "blockIO.weightDevice.leafWeight";

	for (size_t i = 0; i < r->n_weight_devices; i++) {
		const struct spec_weight_device *d = &r->weight_devices[i];
		char device[48];
		int x = 0;
		if (!p)
			return cgroup_limit_unsupported(flag, CG_BLKIO, NULL, e);
		snprintf(device, sizeof device, "%lld:%lld ", (long long)d->major, (long long)d->minor);
		if (cgroup_is_given(d->weight))
			x = put_weight(p, flag, p->is_v2 ? weight_v2 : device_v1, device, d->weight, e);
		if (x == 0 && cgroup_is_given(d->leaf_weight))
			x = p->is_v2 ? cgroup_limit_unsupported(leaf, CG_BLKIO, p, e)
				     : put_weight(p, leaf, leaf_device_v1, device, d->leaf_weight, e);
		if (x < 0)
			return x == -ENODEV ? no_such_device(flag, d->major, d->minor, e) : x;
	}
	return 0;
}

static int apply_throttles(const struct cgroup_place *p, size_t i, const struct spec_resources *r, struct err *e)
{
	size_t n;
	const struct spec_throttle *t = throttle_list(r, i, &n);

	for (size_t k = 0; k < n; k++) {
		const struct cgroup_limit l = { throttles[i].flag, p, p && p->is_v2 ? "io.max" : throttles[i].v1 };
		char text[96];
		int x;
		if (!p)
			return cgroup_limit_unsupported(l.flag, CG_BLKIO, NULL, e);
		if (p->is_v2 && t[k].rate == 0) /* v1 says 0 for "no limit" */
			snprintf(text, sizeof text, "%lld:%lld %s=max", (long long)t[k].major, (long long)t[k].minor,
				 throttles[i].v2_key);
		else
			snprintf(text, sizeof text, "%lld:%lld %s%s%llu", (long long)t[k].major, (long long)t[k].minor,
				 p->is_v2 ? throttles[i].v2_key : "", p->is_v2 ? "=" : "", (unsigned long long)t[k].rate);
		x = cgroup_limit_put(&l, text, e);
		if (x < 0)
			return x == -ENODEV ? no_such_device(l.flag, t[k].major, t[k].minor, e) : x;
	}
	return 0;
}

int cgroup_apply_blkio_lists(const struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_BLKIO);
	int x = apply_weight_devices(p, r, e);

	for (size_t i = 0; i < ARRAY_SIZE(throttles) && x == 0; i++)
		x = apply_throttles(p, i, r, e);
	return x;
}
