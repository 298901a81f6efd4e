/* snapshot_meta.c: snapshot.json, and whether what it tells of can go on here. */
#include "snapshot.h"

#include <stdio.h>

#define META_MAX    (1u << 20)
#define CPUINFO_MAX (4u << 20)
#define NAMED_MAX   4 /* of missing features, in an error */

static const struct field cpu_rows[] = {
	{ "vendor", FIELD_STRING, offsetof(struct snapshot_cpu, vendor), FIELD_REQUIRED },
	{ "model", FIELD_STRING, offsetof(struct snapshot_cpu, model) },
	{ "flags", FIELD_STRING, offsetof(struct snapshot_cpu, flags), FIELD_REQUIRED },
	{ .name = NULL },
};
static const struct field meta_rows[] = {
	{ "version", FIELD_U32, offsetof(struct snapshot_meta, version), FIELD_REQUIRED },
	{ "vmm_version", FIELD_U32, offsetof(struct snapshot_meta, vmm_version), FIELD_REQUIRED },
	{ "protocol", FIELD_U32, offsetof(struct snapshot_meta, protocol), FIELD_REQUIRED },
	{ "berth", FIELD_STRING, offsetof(struct snapshot_meta, berth) },
	{ "cpu", FIELD_OBJECT, offsetof(struct snapshot_meta, cpu), FIELD_REQUIRED, cpu_rows },
	{ "mem_bytes", FIELD_U64, offsetof(struct snapshot_meta, mem_bytes), FIELD_REQUIRED },
	{ "cpus", FIELD_U32, offsetof(struct snapshot_meta, cpus), FIELD_REQUIRED },
	{ "pause_us", FIELD_U64, offsetof(struct snapshot_meta, pause_us) },
	{ "state_bytes", FIELD_U64, offsetof(struct snapshot_meta, state_file_bytes), FIELD_REQUIRED },
	{ "memory_bytes", FIELD_U64, offsetof(struct snapshot_meta, memory_file_bytes), FIELD_REQUIRED },
	{ "disk_bytes", FIELD_U64, offsetof(struct snapshot_meta, disk_file_bytes), FIELD_REQUIRED },
	{ "image_id", FIELD_STRING, offsetof(struct snapshot_meta, image_id), FIELD_REQUIRED },
	{ "image_ref", FIELD_STRING, offsetof(struct snapshot_meta, image_ref) },
	{ "options", FIELD_STRING, offsetof(struct snapshot_meta, options) },
	{ "auto_remove", FIELD_BOOL, offsetof(struct snapshot_meta, auto_remove) },
	{ "tty", FIELD_BOOL, offsetof(struct snapshot_meta, has_tty) },
	{ "labels", FIELD_MAP, offsetof(struct snapshot_meta, labels) },
	{ .name = NULL },
};

void snapshot_meta_done(struct snapshot_meta *m) { json_free_fields(meta_rows, m); }
struct json_object *snapshot_meta_json(const struct snapshot_meta *m) { return json_write(meta_rows, m); }

int snapshot_meta_parse(const char *text, size_t len, struct snapshot_meta *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct snapshot_meta m = { .version = 0 };
	int r = json_parse(text, len, SNAPSHOT_META, &o, e);

	if (r >= 0)
		r = json_read(o, meta_rows, &m, "", e);
	if (r >= 0 && m.version != SNAPSHOT_FORMAT)
		r = err_set(e, EPROTONOSUPPORT, SNAPSHOT_META ": version %u, this berth reads %u: take the snapshot anew",
			    m.version, SNAPSHOT_FORMAT);
	if (r < 0) {
		snapshot_meta_done(&m);
		return r;
	}
	*ret = m;
	return 0;
}

int snapshot_meta_read(int dirfd, struct snapshot_meta *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read(dirfd, SNAPSHOT_META, META_MAX, &text, &len);

	return r < 0 ? err_set(e, -r, SNAPSHOT_META ": %s", strerror(-r)) : snapshot_meta_parse(text, len, ret, e);
}

int snapshot_meta_write(int dirfd, const struct snapshot_meta *m, struct err *e)
{
	_cleanup_json_ struct json_object *o = snapshot_meta_json(m);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY) : NULL;
	int r = text ? file_replace(dirfd, SNAPSHOT_META, text, strlen(text), 0600, true) : -ENOMEM;

	return r < 0 ? err_set(e, -r, SNAPSHOT_META ": %s", strerror(-r)) : 0;
}

/* ---- this host's CPU ---- */

void snapshot_cpu_done(struct snapshot_cpu *c) { json_free_fields(cpu_rows, c); }

/* The value of the first line "key\t: value". */
static char *value_of(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		const char *rest = line + n;

		if (strncmp(line, key, n) != 0)
			continue;
		rest += strspn(rest, " \t");
		if (*rest != ':')
			continue;
		rest += 1 + strspn(rest + 1, " \t");
		return strndup(rest, strcspn(rest, "\n"));
	}
	return strdup("");
}

int snapshot_cpu_read(const char *cpuinfo, struct snapshot_cpu *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(AT_FDCWD, cpuinfo, CPUINFO_MAX, &text, NULL);

	if (r < 0)
		return err_set(e, -r, "%s: %s", cpuinfo, strerror(-r));
	struct snapshot_cpu c = { value_of(text, "vendor_id"), value_of(text, "model name"), value_of(text, "flags") };
	if (!c.vendor || !c.model || !c.flags) {
		snapshot_cpu_done(&c);
		return OUT_OF_MEMORY(e);
	}
	*ret = c;
	return 0;
}

static bool has_word(const char *text, const char *word, size_t n)
{
	for (const char *p = text; (p = strstr(p, word)); p++)
		if ((p == text || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return true;
	return false;
}

/* The names of those that are not here, some of them. */
static int missing_flags(const char *wanted, const char *here, struct buf *names)
{
	int n = 0;

	for (const char *p = wanted; *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		_cleanup_free_ char *word = strndup(p, len);

		if (!word)
			return -ENOMEM;
		p += len;
		if (has_word(here, word, len))
			continue;
		if (n < NAMED_MAX)
			buf_fmt(names, "%s%s", n ? ", " : "", word);
		n++;
	}
	if (n > NAMED_MAX)
		buf_fmt(names, " and %d more", n - NAMED_MAX);
	return n;
}

int snapshot_fits(const struct snapshot_meta *m, const struct snapshot_cpu *here, struct err *e)
{
	_cleanup_buf_ struct buf names = { NULL };
	int n;

	if (m->vmm_version != VMM_SNAPSHOT_VERSION || m->protocol != FRAME_VERSION)
		return err_set(e, EPROTONOSUPPORT,
			       "it was taken by berth %s (format %u, protocol %u), and this one reads format %u and protocol %u: "
			       "take it "
			       "anew",
			       m->berth ?: "?", m->vmm_version, m->protocol, VMM_SNAPSHOT_VERSION, FRAME_VERSION);
	if (!streq(m->cpu.vendor, here->vendor))
		return err_set(e, ENOTSUP, "it was taken on a CPU of %s (%s), and this one is of %s: a VM can't go on there",
			       m->cpu.vendor, m->cpu.model ?: "?", here->vendor);
	n = missing_flags(m->cpu.flags, here->flags, &names);
	if (n < 0 || names.failed)
		return OUT_OF_MEMORY(e);
	return n ? err_set(e, ENOTSUP, "it was taken on a CPU (%s) with features that this one lacks: %s", m->cpu.model ?: "?",
			   names.data)
		 : 0;
}
