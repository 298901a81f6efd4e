/* snapshot_chain.c: diffs: what a VM counts from, and a diff's memory put together.
 *
 * A chain is the snapshot itself, its parent, and so on up to a whole one. Each link's memory file carries the id of the one that it goes on
 * from, so that a wrong or missing link is found before anything is made of it. Whoever walks one holds the store's lock shared,
 * and opens all of it first: what is open stays, whatever is removed meanwhile. */
#include "snapshot.h"

#include <unistd.h>

struct link {
	struct snapshot_record rec;
	int memory;
	struct vmm_snapshot_facts facts;
};
struct chain {
	struct link links[SNAPSHOT_CHAIN_MAX + 1]; /* the newest first; the last is whole */
	size_t n;
};

static void chain_done(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++) {
		fd_close(c->links[i].memory);
		snapshot_record_done(&c->links[i].rec);
	}
	free(c);
}

static void chain_done_ptr(struct chain **c)
{
	if (*c)
		chain_done(*c);
}

int snapshot_open_dir(struct engine *en, const struct snapshot_record *s, int *ret_fd, struct err *e)
{
	_cleanup_free_ char *rel = str_fmt(SNAPSHOT_DIR "/%s", s->id);
	int fd = rel ? openat(store_rootfd(en->store), rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;

	if (!rel)
		return OUT_OF_MEMORY(e);
	if (fd < 0)
		return err_set(e, errno, "snapshot %s: %s/%s: %s", s->name, en->paths->root, rel, strerror(errno));
	*ret_fd = fd;
	return 0;
}

/* ---- what there is of one ---- */

static int open_link(struct engine *en, struct link *l, struct err *e)
{
	_cleanup_fd_ int dirfd = -1, state = -1;
	int r = snapshot_open_dir(en, &l->rec, &dirfd, e);

	if (r < 0)
		return r;
	state = openat(dirfd, VM_RESTORE_STATE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	l->memory = openat(dirfd, VM_RESTORE_MEMORY, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (state < 0 || l->memory < 0)
		r = err_set(e, ENOENT, "its %s file is gone", state < 0 ? "state" : "memory");
	else
		r = vmm_snapshot_check(state, l->memory, &l->facts, e);
	return r < 0 ? err_push(e, r, "snapshot %s", l->rec.name) : 0;
}

static int add_link(struct engine *en, struct chain *c, const char *id, struct err *e)
{
	struct link *l = &c->links[c->n];
	int r = records_snapshot_get(en->records, id, &l->rec, e);

	if (r < 0)
		return r;
	l->memory = -1;
	c->n++;
	return open_link(en, l, e);
}

/* The next one up. */
static int add_parent(struct engine *en, struct chain *c, struct err *e)
{
	const struct link *child = &c->links[c->n - 1], *parent = child + 1;
	int r;

	if (c->n == ARRAY_SIZE(c->links))
		return err_set(e, ELOOP, "snapshot %s: it goes on from more than %u others", c->links[0].rec.name,
			       SNAPSHOT_CHAIN_MAX);
	if (!child->rec.parent_id)
		return err_set(e, EBADMSG,
			       "snapshot %s: it has only a part of its memory, and its record does not say what it goes on from",
			       child->rec.name);
	r = add_link(en, c, child->rec.parent_id, e);
	if (r < 0)
		return err_push(e, r, "what snapshot %s goes on from", child->rec.name);
	return memcmp(child->facts.base, parent->facts.id, sizeof(parent->facts.id)) == 0
		       ? 0
		       : err_set(e, EBADMSG, "snapshot %s: it goes on from another one than %s", child->rec.name,
				 parent->rec.name);
}

static int open_chain(struct engine *en, const char *id, struct chain **ret, struct err *e)
{
	_cleanup_(chain_done_ptr) struct chain *c = calloc(1, sizeof(*c));
	int r = c ? add_link(en, c, id, e) : OUT_OF_MEMORY(e);

	while (r >= 0 && c->links[c->n - 1].facts.is_diff)
		r = add_parent(en, c, e);
	if (r >= 0)
		*ret = TAKE_PTR(c);
	return r;
}

int snapshot_chain_check(struct engine *en, const struct snapshot_record *s, struct vmm_snapshot_facts *ret, struct err *e)
{
	_cleanup_(chain_done_ptr) struct chain *c = NULL;
	int r = open_chain(en, s->id, &c, e);

	if (r >= 0)
		*ret = c->links[0].facts;
	return r;
}

/* ---- putting it together ---- */

int snapshot_chain_merge(struct engine *en, const struct snapshot_record *s, int dirfd, struct err *e)
{
	_cleanup_(chain_done_ptr) struct chain *c = NULL;
	_cleanup_fd_ int memory = -1;
	int r = open_chain(en, s->id, &c, e);

	if (r < 0)
		return r;
	memory = openat(dirfd, VM_RESTORE_MEMORY, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (memory < 0)
		return err_set(e, errno, "the memory of snapshot %s: %s", s->name, strerror(errno));
	r = vm_copy_disk(c->links[c->n - 1].memory, memory, NULL, NULL);
	if (r < 0)
		return err_set(e, -r, "copy the memory of snapshot %s: %s", c->links[c->n - 1].rec.name, strerror(-r));
	for (size_t i = c->n - 1; i-- > 0;) {
		r = vmm_snapshot_merge(c->links[i].memory, memory, true, e);
		if (r < 0)
			return err_push(e, r, "snapshot %s", c->links[i].rec.name);
	}
	return 0;
}

/* ---- what a VM counts from ---- */

static int parse_id(const char *hex, uint8_t ret[VMM_SNAPSHOT_ID_BYTES])
{
	if (strlen(hex) != 2 * (size_t)VMM_SNAPSHOT_ID_BYTES || hex[strspn(hex, "0123456789abcdef")])
		return -EPROTO;
	for (size_t i = 0; i < VMM_SNAPSHOT_ID_BYTES; i++) {
		const char pair[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		ret[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return 0;
}

/* 1 and what berth-vmm says that it counts from; 0: it doesn't count. */
static int ask_base(struct engine *en, const char *id, uint8_t ret[VMM_SNAPSHOT_ID_BYTES], struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_fd_ int control = -1;
	struct json_object *v;
	int r = vm_control_open(en, id, &control, e);

	if (r >= 0)
		r = vm_control_ask(control, "{\"do\":\"state\"}", NULL, 0, &o, e);
	if (r < 0 || !json_object_object_get_ex(o, "diff_base", &v))
		return r;
	return parse_id(json_object_get_string(v), ret) < 0 ? err_set(e, EPROTO, "berth-vmm's answer is none") : 1;
}

static bool is_id_of(struct engine *en, const struct snapshot_record *s, const uint8_t id[VMM_SNAPSHOT_ID_BYTES])
{
	_cleanup_fd_ int dirfd = -1, state = -1;
	uint8_t is[VMM_SNAPSHOT_ID_BYTES];

	if (snapshot_open_dir(en, s, &dirfd, NULL) < 0)
		return false;
	state = openat(dirfd, VM_RESTORE_STATE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return state >= 0 && vmm_snapshot_id(state, is, NULL) >= 0 && memcmp(is, id, sizeof(is)) == 0;
}

/* How many diffs there are up from s, itself included. */
static int depth(struct engine *en, const struct snapshot_record *s, struct err *e)
{
	_cleanup_free_ char *up = s->parent_id ? strdup(s->parent_id) : NULL;
	unsigned n = up ? 1 : 0;

	while (up && n <= SNAPSHOT_CHAIN_MAX) {
		struct snapshot_record rec;
		int r = records_snapshot_get(en->records, up, &rec, e);

		if (r < 0)
			return r;
		free(up);
		up = rec.parent_id;
		rec.parent_id = NULL;
		snapshot_record_done(&rec);
		n += up ? 1 : 0;
	}
	return (int)n;
}

static int check_depth(struct engine *en, const struct snapshot_record *parent, struct err *e)
{
	int n = depth(en, parent, e);

	return n < 0                              ? n
	       : (unsigned)n < SNAPSHOT_CHAIN_MAX ? 0
						  : err_set(e, EMLINK,
							    "snapshot %s goes on from %d others, one after another, and no more "
							    "may: take a whole one with --track",
							    parent->name, n);
}

int snapshot_parent_of(struct engine *en, const struct container_record *c, const uint8_t id[VMM_SNAPSHOT_ID_BYTES],
		       struct snapshot_record *ret, struct err *e)
{
	struct snapshot_record *list = NULL;
	size_t n = 0, at = 0;
	int r = records_snapshot_list(en->records, &list, &n, e);

	if (r < 0)
		return r;
	while (at < n && !(streq(list[at].vm_id, c->id) && is_id_of(en, &list[at], id)))
		at++;
	if (at == n)
		r = err_set(e, ENOENT,
			    "the snapshot from which on is counted what %s writes is gone: take a whole one with --track",
			    c->name);
	else
		r = check_depth(en, &list[at], e);
	if (r >= 0) {
		*ret = list[at];
		list[at] = (struct snapshot_record){ NULL };
	}
	snapshot_records_free(list, n);
	return r;
}

int snapshot_parent_find(struct engine *en, const struct container_record *c, struct snapshot_record *ret,
			 uint8_t ret_id[VMM_SNAPSHOT_ID_BYTES], struct err *e)
{
	int r = ask_base(en, c->id, ret_id, e);

	if (r == 0)
		return err_set(e, EINVAL,
			       "nobody counts what %s writes, so there is nothing to hold only what was written: take a whole "
			       "snapshot with --track first",
			       c->name);
	return r < 0 ? r : snapshot_parent_of(en, c, ret_id, ret, e);
}
