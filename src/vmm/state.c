/* state: see state.h. */
#include "state.h"

struct record {
	uint32_t kind, instance, version, len;
};

void state_put(struct buf *out, uint32_t kind, uint32_t instance, uint32_t version, const void *p, size_t n)
{
	struct record r = { kind, instance, version, (uint32_t)n };

	if (n > STATE_RECORD_MAX) {
		out->failed = true;
		return;
	}
	buf_add(out, &r, sizeof(r));
	buf_add(out, p, n);
}

static const char *kind_name(uint32_t kind, char name[5])
{
	for (int i = 0; i < 4; i++) {
		char c = (char)(kind >> 8 * i);

		name[i] = c >= ' ' && c < 127 ? c : '?';
	}
	name[4] = '\0';
	return name;
}

int state_get(const void *data, size_t len, uint32_t kind, uint32_t instance, uint32_t *ret_version, const void **ret_p,
	      size_t *ret_n, struct err *e)
{
	const uint8_t *p = data, *found = NULL;
	struct record r, got = { 0 };
	char name[5];

	for (; len > 0; p += r.len, len -= r.len) {
		if (len < sizeof(r))
			return err_set(e, EBADMSG, "saved state: cut off");
		memcpy(&r, p, sizeof(r));
		p += sizeof(r);
		len -= sizeof(r);
		if (r.len > len || r.len > STATE_RECORD_MAX)
			return err_set(e, EBADMSG, "saved state: record \"%s\" is longer than the whole",
				       kind_name(r.kind, name));
		if (r.kind != kind || r.instance != instance)
			continue;
		if (found)
			return err_set(e, EBADMSG, "saved state: record \"%s\" %u is there twice", kind_name(kind, name),
				       instance);
		found = p;
		got = r;
	}
	if (!found)
		return err_set(e, ENOENT, "saved state: no record \"%s\" %u", kind_name(kind, name), instance);
	*ret_version = got.version;
	*ret_p = found;
	*ret_n = got.len;
	return 0;
}

int state_get_struct(const void *data, size_t len, uint32_t kind, uint32_t instance, uint32_t version, void *p, size_t n,
		     struct err *e)
{
	uint32_t v = 0;
	const void *at = NULL;
	size_t got = 0;
	char name[5];
	int r = state_get(data, len, kind, instance, &v, &at, &got, e);

	if (r < 0)
		return r;
	if (v != version || got != n)
		return err_set(e, EBADMSG, "saved state: record \"%s\" %u is of version %u with %zu bytes, expected %u with %zu",
			       kind_name(kind, name), instance, v, got, version, n);
	if (n)
		memcpy(p, at, n);
	return 0;
}

int state_count(const void *data, size_t len, struct err *e)
{
	static const uint32_t kinds[] = { STATE_VCPU,   STATE_CLOCK,  STATE_IOAPIC, STATE_PCI,
					  STATE_SERIAL, STATE_VIRTIO, STATE_DEVICE };
	const uint8_t *p = data;
	struct record r;
	char name[5];
	int n = 0;

	for (; len > 0; p += r.len, len -= r.len, n++) {
		bool is_known = false;

		if (len < sizeof(r))
			return err_set(e, EBADMSG, "saved state: cut off");
		memcpy(&r, p, sizeof(r));
		p += sizeof(r);
		len -= sizeof(r);
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			is_known |= kinds[i] == r.kind;
		if (!is_known)
			return err_set(e, EBADMSG, "saved state: record \"%s\" is of an unknown kind", kind_name(r.kind, name));
		if (r.len > len || r.len > STATE_RECORD_MAX)
			return err_set(e, EBADMSG, "saved state: record \"%s\" is longer than the whole",
				       kind_name(r.kind, name));
	}
	return n;
}
