/* config.json: what of the host's own a container is given: `linux.netDevices` (config-linux.md §network-devices) and
 * `linux.intelRdt` (§intelrdt). */
#include <net/if.h>
#include <stdio.h>

#include "spec_rows.h"

/* ---- netDevices: an object whose keys are the names of the host's devices ---- */

const struct field spec_net_device_fields[] = {
	SPEC_ROW("name", FIELD_STRING, spec_net_device, name),
	{ NULL },
};

static void device_done(struct spec_net_device *d)
{
	free_ptr(&d->host_name);
	free_ptr(&d->name);
}

int spec_net_devices_read(struct json_object *v, void *member, const char *path, struct err *e)
{
	struct spec *s = member;
	int r = 0;

	if (!json_object_is_type(v, json_type_object))
		return json_expected(v, path, "an object", e);
	s->net_devices = calloc((size_t)json_object_object_length(v) + 1, sizeof *s->net_devices);
	if (!s->net_devices)
		return err_set(e, ENOMEM, "%s: out of memory", path);
	json_object_object_foreach(v, key, value)
	{
		struct spec_net_device *d = &s->net_devices[s->n_net_devices];
		char sub[96];

		snprintf(sub, sizeof sub, "%s[\"%.40s\"]", path, key);
		r = json_read(value, spec_net_device_fields, d, sub, e);
		if (r == 0 && !(d->host_name = strdup(key)))
			r = err_set(e, ENOMEM, "%s: out of memory", path);
		if (r < 0) {
			device_done(d);
			return r;
		}
		s->n_net_devices++;
	}
	return 0;
}

struct json_object *spec_net_devices_print(const void *member)
{
	const struct spec *s = member;
	struct json_object *o = s->n_net_devices > 0 ? json_object_new_object() : NULL;

	for (size_t i = 0; o && i < s->n_net_devices; i++)
		if (json_add(o, s->net_devices[i].host_name, json_write(spec_net_device_fields, &s->net_devices[i])) < 0) {
			json_object_put(o);
			errno = ENOMEM;
			return NULL;
		}
	return o;
}

void spec_net_devices_free(void *member)
{
	struct spec *s = member;

	for (size_t i = 0; i < s->n_net_devices; i++)
		device_done(&s->net_devices[i]);
	free_ptr(&s->net_devices);
	s->n_net_devices = 0;
}

/* net/core/dev.c, dev_valid_name; one "%d" where a template is allowed. */
static bool is_device_name(const char *name, bool may_be_template)
{
	const char *percent = strchr(name, '%');

	if (!*name || strlen(name) >= IFNAMSIZ || streq(name, ".") || streq(name, "..") || strpbrk(name, "/: \t\n\v\f\r"))
		return false;
	return !percent || (may_be_template && percent[1] == 'd' && !strchr(percent + 1, '%'));
}

const char *spec_net_device_name(const struct spec_net_device *d) { return d->name && *d->name ? d->name : d->host_name; }

static int check_net_devices(const struct spec *s, struct err *e)
{
	if (s->n_net_devices > 0 && !s->ns.wanted[NS_NET])
		return err_set(e, EINVAL, ".linux.netDevices: needs a namespace of type \"network\"");
	for (size_t i = 0; i < s->n_net_devices; i++) {
		const struct spec_net_device *d = &s->net_devices[i];

		if (!is_device_name(d->host_name, false))
			return err_set(e, EINVAL, ".linux.netDevices: \"%.40s\" is not the name of a network device",
				       d->host_name);
		if (!is_device_name(spec_net_device_name(d), true))
			return err_set(
				e, EINVAL,
				".linux.netDevices[\"%s\"].name: \"%.40s\" is not the name of a network device (nor one with "
				"a single %%d)",
				d->host_name, d->name);
		for (size_t k = 0; k < i; k++)
			if (!strchr(spec_net_device_name(d), '%') &&
			    streq(spec_net_device_name(d), spec_net_device_name(&s->net_devices[k])))
				return err_set(e, EINVAL, ".linux.netDevices[\"%s\"].name: %s is given twice", d->host_name,
					       spec_net_device_name(d));
	}
	return 0;
}

/* ---- intelRdt ---- */

const struct field spec_rdt_fields[] = {
	SPEC_ROW("closID", FIELD_STRING, spec_rdt, clos_id),
	SPEC_ROW("l3CacheSchema", FIELD_STRING, spec_rdt, l3_schema),
	SPEC_ROW("memBwSchema", FIELD_STRING, spec_rdt, mb_schema),
	SPEC_ROW("schemata", FIELD_STRV, spec_rdt, schemata, FIELD_OMIT_EMPTY),
	SPEC_ROW("enableMonitoring", FIELD_BOOL, spec_rdt, monitoring, FIELD_OMIT_EMPTY),
	/* Of 1.1 to 1.2.1: two names for the one thing that the hardware has. */
	SPEC_ROW("enableCMT", FIELD_BOOL, spec_rdt, cmt, FIELD_OMIT_EMPTY),
	SPEC_ROW("enableMBM", FIELD_BOOL, spec_rdt, mbm, FIELD_OMIT_EMPTY),
	{ NULL },
};

static int check_schema(const char *v, const char *begin, const char *name, struct err *e)
{
	if (!v || !*v)
		return 0;
	if (strpbrk(v, "\r\n"))
		return err_set(e, EINVAL, ".linux.intelRdt.%s: expected one line", name);
	return !begin || str_after(v, begin)
		       ? 0
		       : err_set(e, EINVAL, ".linux.intelRdt.%s: expected %s..., found \"%.60s\"", name, begin, v);
}

void spec_rdt_free(struct spec_rdt *r)
{
	if (r)
		json_free_fields(spec_rdt_fields, r);
	free(r);
}

static int check_rdt(const struct spec_rdt *r, struct err *e)
{
	const char *id = r->clos_id;
	int x = check_schema(r->l3_schema, "L3", "l3CacheSchema", e);

	/* The names that a resctrl has for its own files are refused by the kernel. */
	if (id && (!*id || ((strchr(id, '/') || strchr(id, '\n')) && !streq(id, "/")) || streq(id, ".") || streq(id, "..")))
		return err_set(e, EINVAL, ".linux.intelRdt.closID: \"%.60s\" is neither \"/\" nor one name", id);
	if (x == 0)
		x = check_schema(r->mb_schema, "MB:", "memBwSchema", e);
	for (char *const *p = r->schemata; p && *p && x == 0; p++)
		x = check_schema(*p, NULL, "schemata", e);
	return x;
}

int spec_check_host(const struct spec *s, struct err *e)
{
	int r = check_net_devices(s, e);

	return r == 0 && s->rdt ? check_rdt(s->rdt, e) : r;
}
