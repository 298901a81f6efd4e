/* walls: see walls.h. Here the table of what is said of a workload's walls: a row each, in words or with a number first. What comes from
 * inside is a stranger's text: it is shown, never trusted. */
#include <stdlib.h>

#include "runtime_spec.h"
#include "walls_say.h"

#define NAMES_SHOWN 6
#define WORDS_MAX   2000u /* bytes of a value */

char *walls_take(struct buf *b) { return b->failed ? (buf_done(b), NULL) : b->data ? buf_take(b) : strdup(""); }

static void add_word(struct buf *b, const char *word) { buf_fmt(b, "%s%s", b->len ? ", " : "", word); }

static bool has_own_kernel(const struct walls_view *v)
{
	return v->inside->kernel.boot_id && !streq(v->inside->kernel.boot_id, v->host->boot_id);
}

/* ---- kernel ---- */

static char *say_kernel(const struct walls_view *v)
{
	const struct walls_kernel *k = &v->inside->kernel;

	if (k->why)
		return str_fmt("unknown: %s", k->why);
	if (!k->boot_id)
		return str_fmt("unknown: its boot can't be told; %s", k->release ? k->release : "?");
	return str_fmt("%s: %s", has_own_kernel(v) ? "its own" : "the host's", k->release ? k->release : "?");
}

static char *say_processor(const struct walls_view *v)
{
	const struct walls_kernel *k = &v->inside->kernel;

	return k->has_hypervisor ? str_fmt("tells of a hypervisor%s%s", k->hypervisor && *k->hypervisor ? ": " : "",
					   k->hypervisor ? k->hypervisor : "")
				 : strdup("tells of no hypervisor");
}

/* ---- system calls ---- */

static char *say_calls(const struct walls_view *v)
{
	const struct walls_calls *c = &v->inside->calls;
	unsigned of, n;

	if (c->why)
		return str_fmt("unknown: %s", c->why);
	n = walls_count(c->x86_64.reached, &of);
	return str_fmt("%u of %u%s", n, of, c->is_exact ? "" : " at most: some may be refused with ENOSYS");
}

static void add_abi(struct buf *b, const char *name, const struct walls_abi *a)
{
	unsigned n = 0;

	for (unsigned nr = 0; a->has_entry && nr < WALLS_X32; nr++)
		n += walls_has(a->reached, nr);
	buf_fmt(b, "%s%s ", b->len ? ", " : "", name);
	if (!a->has_entry)
		buf_str(b, "not in this kernel");
	else if (n == 0)
		buf_str(b, "closed");
	else
		buf_fmt(b, "open: %u numbers", n);
}

static char *say_abis(const struct walls_view *v)
{
	const struct walls_calls *c = &v->inside->calls;
	struct buf b = { 0 };

	if (c->why)
		return str_fmt("unknown: %s", c->why);
	add_abi(&b, "i386", &c->i386);
	add_abi(&b, "x32", &c->x32);
	return walls_take(&b);
}

/* Those that have most often led out of a container, or reach what is the host's own. */
static const char *const notable[] = { "bpf",
				       "userfaultfd",
				       "io_uring_setup",
				       "perf_event_open",
				       "keyctl",
				       "mount",
				       "unshare",
				       "setns",
				       "ptrace",
				       "init_module",
				       "finit_module",
				       "kexec_load",
				       "open_by_handle_at",
				       "process_vm_readv",
				       "reboot",
				       "clone3" };

static char *say_notable(const struct walls_view *v)
{
	const struct walls_calls *c = &v->inside->calls;
	struct buf b = { 0 };

	if (c->why)
		return str_fmt("unknown: %s", c->why);
	for (size_t i = 0; i < ARRAY_SIZE(notable); i++)
		for (unsigned nr = 0; nr < WALLS_NUMBERS; nr++)
			if (streq0(walls_call_name(nr), notable[i]) && walls_has(c->x86_64.reached, nr))
				add_word(&b, notable[i]);
	if (!b.len)
		buf_str(&b, "none");
	return walls_take(&b);
}

static char *say_cases(const struct walls_view *v)
{
	const struct walls_calls *c = &v->inside->calls;
	struct buf b = { 0 };

	if (c->why)
		return str_fmt("unknown: %s", c->why);
	for (size_t i = 0; i < c->n_cases; i++)
		if (c->cases[i].is_reached)
			add_word(&b, c->cases[i].id);
	if (!b.len)
		buf_str(&b, "none");
	return walls_take(&b);
}

/* ---- rights ---- */

static char *say_capabilities(const struct walls_view *v)
{
	const struct walls_rights *r = &v->inside->rights;
	uint64_t caps = r->effective ? strtoull(r->effective, NULL, 16) : 0;
	_cleanup_buf_ struct buf names = { 0 };

	if (r->why || !r->effective)
		return str_fmt("unknown: %s", r->why ? r->why : "not told");
	for (unsigned i = 0; i < 64; i++)
		if (caps >> i & 1) {
			const char *name = cap_name(i);
			add_word(&names, name ? name + 4 : "?"); /* without CAP_ */
		}
	if (names.failed)
		return NULL;
	return str_fmt("%d%s%s", __builtin_popcountll(caps), names.len ? ": " : "", names.len ? names.data : "");
}

static char *say_user(const struct walls_view *v)
{
	const struct walls_rights *r = &v->inside->rights;

	if (has_own_kernel(v))
		return str_fmt("%lld, of its own kernel", (long long)r->uid);
	for (size_t i = 0; i < r->n_uid_map; i++)
		if (r->uid >= r->uid_map[i][0] && r->uid - r->uid_map[i][0] < r->uid_map[i][2]) {
			int64_t outside = r->uid_map[i][1] + (r->uid - r->uid_map[i][0]);
			return str_fmt("%lld, on the host %lld%s", (long long)r->uid, (long long)outside,
				       outside == 0 ? " (root)" : "");
		}
	return str_fmt("%lld", (long long)r->uid);
}

static char *say_seals(const struct walls_view *v)
{
	const struct walls_rights *r = &v->inside->rights;

	if (r->why || !r->seccomp || !r->no_new_privs)
		return str_fmt("unknown: %s", r->why ? r->why : "not told");
	return str_fmt("%s, %s%s%s", streq(r->seccomp, "0") ? "no seccomp filter" : "seccomp filter",
		       streq(r->no_new_privs, "1") ? "no_new_privs" : "may gain privileges by exec", r->label ? ", label " : "",
		       r->label ? r->label : "");
}

static char *say_namespaces(const struct walls_view *v)
{
	struct buf b = { 0 };

	if (has_own_kernel(v))
		return strdup("none");
	for (size_t i = 0; i < WALL_NS_COUNT; i++)
		if (v->inside->namespaces.of[i] && v->inside->namespaces.of[i] == v->host->namespaces[i])
			add_word(&b, walls_ns_names[i]);
	if (!b.len)
		buf_str(&b, "none");
	return walls_take(&b);
}

/* ---- devices and files ---- */

static char *say_devices(const struct walls_view *v)
{
	const struct walls_devices *d = &v->inside->devices;
	struct buf b = { 0 };

	if (d->why)
		return str_fmt("unknown: %s", d->why);
	buf_fmt(&b, "%lld%s", (long long)d->count, d->n_usable ? ": " : "");
	for (size_t i = 0; i < d->n_usable && i < 4 * NAMES_SHOWN; i++) {
		const char *below = str_after(d->usable[i].path, "/dev/");
		buf_fmt(&b, "%s%s", i ? ", " : "", below ? below : d->usable[i].path);
	}
	if (d->count > 4 * NAMES_SHOWN)
		buf_str(&b, " ...");
	return walls_take(&b);
}

static char *say_disk(const struct walls_view *v)
{
	const struct walls_disk *d = &v->inside->devices.disk;

	if (v->inside->devices.why || !d->mknod)
		return strdup("unknown");
	if (*d->mknod)
		return str_fmt("refused at mknod: %s", d->mknod);
	if (!d->open || *d->open)
		return str_fmt("refused at open: %s", d->open ? d->open : "not tried");
	return str_fmt("opened: %lld:%lld%s", (long long)d->major, (long long)d->minor, has_own_kernel(v) ? " (its own)" : "");
}

static char *say_tree(const struct walls_tree *t)
{
	struct buf b = { 0 };
	size_t n = strv_len(t->names);

	if (t->why)
		return str_fmt("unknown: %s", t->why);
	buf_fmt(&b, "%lld%s%s", (long long)t->count, t->was_cut ? " or more" : "", n ? ": " : "");
	for (size_t i = 0; i < n && i < NAMES_SHOWN; i++)
		buf_fmt(&b, "%s%s", i ? ", " : "", t->names[i]);
	if (t->count > NAMES_SHOWN)
		buf_str(&b, " ...");
	return walls_take(&b);
}

static char *say_proc_sys(const struct walls_view *v) { return say_tree(&v->inside->writable.proc_sys); }
static char *say_proc(const struct walls_view *v) { return say_tree(&v->inside->writable.proc); }
static char *say_sys(const struct walls_view *v) { return say_tree(&v->inside->writable.sys); }

static char *say_dangerous(const struct walls_view *v)
{
	struct buf b = { 0 };

	for (char **name = v->inside->writable.dangerous; name && *name; name++)
		add_word(&b, *name);
	if (!b.len)
		return strdup("none");
	if (has_own_kernel(v))
		buf_str(&b, " (its own kernel's)");
	return walls_take(&b);
}

static char *say_masks(const struct walls_view *v)
{
	const struct string_map *m = &v->inside->masks;
	struct buf b = { 0 };

	for (size_t i = 0; m->keys && m->keys[i]; i++)
		if (streq(m->values[i], "readable"))
			add_word(&b, m->keys[i]);
	if (!b.len)
		buf_str(&b, "none");
	return walls_take(&b);
}

static char *say_mounts(const struct walls_view *v)
{
	const struct walls_mounts *m = &v->inside->mounts;
	struct buf b = { 0 };

	if (m->why)
		return str_fmt("unknown: %s", m->why);
	buf_fmt(&b, "%lld%s", (long long)m->outside_count, m->n_outside ? ": " : "");
	for (size_t i = 0; i < m->n_outside && i < NAMES_SHOWN; i++)
		buf_fmt(&b, "%s%s (%s)", i ? ", " : "", m->outside[i].target, m->outside[i].type);
	if (m->outside_count > NAMES_SHOWN)
		buf_str(&b, " ...");
	return walls_take(&b);
}

/* ---- the table ---- */

const struct wall_kind wall_kinds[] = {
	{ "kernel", "kernel", false, say_kernel },
	{ "processor", "processor", false, say_processor },
	{ "calls", "system calls let through", true, say_calls },
	{ "calls.notable", "of these worth knowing", true, say_notable },
	{ "calls.arguments", "with dangerous arguments", true, say_cases },
	{ "calls.abis", "other ways in", true, say_abis },
	{ "seals", "sealed by", false, say_seals },
	{ "user", "user", false, say_user },
	{ "capabilities", "capabilities", true, say_capabilities },
	{ "namespaces", "namespaces shared with the host", true, say_namespaces },
	{ "devices", "devices", true, say_devices },
	{ "disk", "a disk by a node of its own", false, say_disk },
	{ "writable.proc_sys", "writable in /proc/sys", true, say_proc_sys },
	{ "writable.proc", "writable in the rest of /proc", true, say_proc },
	{ "writable.sys", "writable in /sys", true, say_sys },
	{ "writable.dangerous", "of these dangerous", true, say_dangerous },
	{ "readable", "readable of the kernel's secrets", true, say_masks },
	{ "mounts", "mounts from outside", true, say_mounts },
	{ "outside.processes", "carried by, on the host", false, walls_say_processes },
	{ "outside.calls", "which may make", true, walls_say_filters },
	{ "outside.namespaces", "which share with the host", true, walls_say_outer_namespaces },
	{ "outside.files", "which hold open", true, walls_say_files },
	{ "outside.mounts", "which see mounts", true, walls_say_outer_mounts },
};
const size_t n_wall_kinds = ARRAY_SIZE(wall_kinds);

/* Of a stranger's text nothing drives a terminal, looks like a line of ours, or fills pages. */
static const char *on_one_line(char *s)
{
	if (strlen(s) > WORDS_MAX)
		memcpy(s + WORDS_MAX - 3, "...", 4);
	text_defuse(s);
	for (char *c = s; *c; c++)
		if (*c == '\n' || *c == '\t')
			*c = '?';
	return s;
}

int walls_add(struct comparison *c, size_t way, const struct walls_view *v)
{
	int r = 0;

	for (size_t i = 0; i < n_wall_kinds && r >= 0; i++) {
		const struct wall_kind *k = &wall_kinds[i];
		_cleanup_free_ char *value = k->say(v);

		r = value ? comparison_add_wall(c, k->id, k->title, k->less_is_better, way, on_one_line(value)) : -ENOMEM;
	}
	return r;
}
