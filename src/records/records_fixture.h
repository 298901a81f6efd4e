/* fixture: a database of a test's own, and rows of each kind for it. Only tests include this, each once. */
#pragma once

#include <stdio.h>

#include "records_db.h"
#include "tap.h"

#define ID_A "sha256:aaaa000000000000000000000000000000000000000000000000000000000001"
#define ID_B "sha256:aaaa000000000000000000000000000000000000000000000000000000000002"

static char root[64];

static inline void leave(void) { rm_rf(AT_FDCWD, root); }

static inline const char *new_root(void)
{
	leave(); /* the one before, in a test that takes two */
	snprintf(root, sizeof(root), "/tmp/records-test-XXXXXX");
	ok(mkdtemp(root));
	atexit(leave);
	return root;
}

static inline struct records *opened(void)
{
	struct records *r = NULL;
	struct err e = { 0 };

	if (records_open(root, &r, &e) < 0)
		TAP_FAIL("records_open: %s", e.msg);
	return r;
}

static inline struct records *fresh(void)
{
	new_root();
	return opened();
}

static inline void put_image(struct records *r, const char *id, const char *ref)
{
	char one[] = "sha256:c1", two[] = "sha256:c2", *chain[] = { one, two, NULL };
	struct image_record i = { .manifest_digest = (char *)(uintptr_t) "sha256:feed",
				  .created = (char *)(uintptr_t) "2026-01-01T00:00:00Z",
				  .size_bytes = 123456789012,
				  .chain_ids = chain,
				  .config_json = (char *)(uintptr_t) "{\"os\":\"linux\"}",
				  .pulled_ns = 77 };
	struct err e = { 0 };

	i.id = strdup(id);
	if (records_image_put(r, &i, ref, NULL, &e) < 0)
		TAP_FAIL("records_image_put: %s", e.msg);
	free(i.id);
}

static inline int put_container(struct records *r, const char *id, const char *name, struct err *e)
{
	struct container_record c = {
		.id = strdup(id), .name = strdup(name), .image_id = strdup(""), .created_ns = 5, .exit_code = 0
	};
	int k;

	map_set(&c.labels, "com.example.a", "1");
	map_set(&c.labels, "quote", "\"\n");
	k = records_container_put(r, &c, e);
	container_record_done(&c);
	return k;
}

static inline int put_diff(struct records *r, const char *id, const char *name, const char *parent, struct err *e)
{
	struct snapshot_record s = { .id = strdup(id),
				     .name = strdup(name),
				     .vm_id = strdup("vm"),
				     .vm_name = strdup("vm"),
				     .image_id = strdup("sha256:1"),
				     .parent_id = parent ? strdup(parent) : NULL,
				     .created_ns = (uint64_t)strtoull(id, NULL, 16) };
	int k = records_snapshot_put(r, &s, e);

	snapshot_record_done(&s);
	return k;
}

static inline int put_snapshot(struct records *r, const char *id, const char *name, struct err *e)
{
	return put_diff(r, id, name, NULL, e);
}

static inline int put_pod(struct records *r, const char *id, const char *name, struct err *e)
{
	struct pod_record p = { .id = strdup(id),
				.name = strdup(name),
				.isolation = strdup("container"),
				.created_ns = 7,
				.options_json = strdup("{}") };
	int k;

	map_set(&p.labels, "tier", "web");
	k = records_pod_put(r, &p, e);
	pod_record_done(&p);
	return k;
}

static inline int put_volume(struct records *r, const char *name, struct err *e)
{
	struct volume_record v = { .name = strdup(name), .driver = strdup("local"), .created_ns = 9 };
	int k;

	map_set(&v.labels, "colour", "red");
	k = records_volume_put(r, &v, true, e);
	volume_record_done(&v);
	return k;
}

/* 10.0.N.HOST */
static inline void address_of(int n, int host, uint8_t ret[16])
{
	const uint8_t a[16] = { [10] = 0xff, 0xff, 10, 0, (uint8_t)n, (uint8_t)host };

	memcpy(ret, a, sizeof(a));
}

/* Of 10.0.N.0/29. */
static inline int put_network(struct records *r, const char *id, const char *name, int n, struct err *e)
{
	struct network_record v = {
		.id = strdup(id), .name = strdup(name), .driver = strdup("bridge"), .created_ns = 11, .config_json = strdup("{}")
	};
	struct net_range range;
	int k;

	address_of(n, 0, range.first);
	address_of(n, 7, range.last);
	map_set(&v.labels, "site", "a");
	k = records_network_put(r, &v, &range, 1, e);
	network_record_done(&v);
	return k;
}

/* With the next address of 10.0.N.1 to .6 but .1; *ret_host, where it is not NULL, is the address's last byte. */
static inline int put_endpoint(struct records *r, const char *id, const char *container, const char *network, int n,
			       int *ret_host, struct err *e)
{
	uint8_t gateway[1][16];
	struct endpoint_request q = { .record = { .id = strdup(id),
						  .container_id = strdup(container),
						  .network_id = strdup(network),
						  .mac = strdup("02:42:00:00:00:01") },
				      .has_pool4 = true,
				      .excluded = (const uint8_t(*)[16])gateway,
				      .n_excluded = 1 };
	int k;

	address_of(n, 1, gateway[0]);
	address_of(n, 1, q.pool4.first);
	address_of(n, 6, q.pool4.last);
	k = records_endpoint_put(r, &q, e);
	if (k == 0 && ret_host)
		*ret_host = q.record.address4[15];
	endpoint_record_done(&q.record);
	return k;
}

/* "action:id action:id ..." of all events; caller frees. */
static inline char *told(struct records *r, uint64_t after)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct event *list = NULL;
	struct err e = { 0 };
	size_t n = 0;

	is_int(records_events(r, after, 0, 100, &list, &n, &e), 0);
	buf_str(&b, "");
	for (size_t i = 0; i < n; i++) {
		ok(list[i].seq > after);
		buf_fmt(&b, "%s%s:%s", i ? " " : "", list[i].action, list[i].id);
	}
	events_free(list, n);
	return buf_take(&b);
}
