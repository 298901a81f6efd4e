/* ps_row.c: see ps_row.h. */
#include "ps_row.h"

#include "output.h"

#include <stdio.h>

#define ID_SHORT      12
#define COMMAND_SHORT 20

static uint64_t seconds_since(uint64_t then_ns, uint64_t now_ns)
{
	return now_ns > then_ns ? (now_ns - then_ns) / 1000000000 : 0; /* the clock may have been set back */
}

char *ps_status(const struct container_record *c, uint64_t now_ns)
{
	static const char *const health_words[] = {
		[HEALTH_NONE] = "",
		[HEALTH_STARTING] = " (health: starting)",
		[HEALTH_HEALTHY] = " (healthy)",
		[HEALTH_UNHEALTHY] = " (unhealthy)",
	};
	char ago[32];

	switch (c->state) {
	case CS_CREATED: return strdup("Created");
	case CS_RUNNING:
		return str_fmt("Up %s%s", clock_ago(seconds_since(c->started_ns, now_ns), ago), health_words[c->health & 3]);
	case CS_PAUSED: return str_fmt("Up %s (Paused)", clock_ago(seconds_since(c->started_ns, now_ns), ago));
	case CS_RESTARTING:
		return str_fmt("Restarting (%d) %s ago", c->exit_code, clock_ago(seconds_since(c->finished_ns, now_ns), ago));
	case CS_EXITED:
		clock_ago(seconds_since(c->finished_ns, now_ns), ago);
		return c->exit_code < 0 ? str_fmt("Exited (unknown) %s ago", ago)
					: str_fmt("Exited (%d) %s ago", c->exit_code, ago);
	case CS_DEAD: return strdup("Dead");
	case CS_REMOVING: return strdup("Removal In Progress");
	}
	return NULL;
}

/* sh -c 'sleep 1', shortened to so many characters as docker does, in double quotes. */
static char *command_text(char *const *args, bool no_trunc)
{
	_cleanup_buf_ struct buf b = { 0 };
	size_t at = 1, characters = 0;

	buf_str(&b, "\"");
	for (char *const *a = args; a && *a; a++) {
		const char *quote = strpbrk(*a, " \t\n") || !**a ? "'" : "";
		buf_fmt(&b, "%s%s%s%s", a == args ? "" : " ", quote, *a, quote);
	}
	/* UTF-8: a character ends where the next byte does not continue it. */
	while (b.data && b.data[at] && characters < COMMAND_SHORT - 1) {
		at++;
		characters += ((unsigned char)b.data[at] & 0xc0) != 0x80;
	}
	if (!no_trunc && b.data && b.data[at] && b.data[at + 1]) {
		b.len = at;
		b.data[at] = 0;
		buf_str(&b, "\xe2\x80\xa6");
	}
	buf_str(&b, "\"");
	return buf_take(&b);
}

static int add_text(struct json_object *row, const char *key, char *text)
{
	int r = text ? json_add(row, key, json_object_new_string(text)) : -ENOMEM;

	free(text);
	return r;
}

static char *running_for(const struct container_record *c, uint64_t now_ns)
{
	char ago[32];

	return str_fmt("%s ago", clock_ago(seconds_since(c->created_ns, now_ns), ago));
}

static char *image_text(const struct container_record *c, bool no_trunc)
{
	if (c->image_ref && !str_after(c->image_ref, "sha256:"))
		return strdup(c->image_ref);
	const char *id = c->image_ref ? c->image_ref : c->image_id ? c->image_id : "";
	const char *hex = str_after(id, "sha256:");
	return no_trunc || !hex ? strdup(id) : strndup(hex, ID_SHORT);
}

/* NULL on ENOMEM. What is exposed and not published is shown while it runs, as docker does. */
static char *ports_of(const struct container_record *c, const struct run_opts *o)
{
	_cleanup_strv_ char **exposed = NULL;
	struct ports p = { 0 };
	char *text = NULL;
	bool is_up = container_is_up(c->state);

	for (char **v = o->image_ports; is_up && v && *v; v++)
		if (strv_push(&exposed, *v) < 0)
			return NULL;
	for (char **v = o->expose; is_up && v && *v; v++)
		if (strv_push(&exposed, *v) < 0)
			return NULL;
	if (engine_container_ports(c, &p, NULL) >= 0)
		text = ports_text(&p, exposed);
	ports_done(&p);
	return text;
}

int ps_row(const struct container_record *c, uint64_t now_ns, bool no_trunc, struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *row = json_object_new_object();
	struct run_opts o;
	char at[CREATED_AT_LEN];
	int r = engine_record_options(c, &o, e);

	if (r < 0)
		return r;
	if (add_text(row, "ID", strndup(c->id, no_trunc ? strlen(c->id) : ID_SHORT)) < 0 ||
	    add_text(row, "Image", image_text(c, no_trunc)) < 0 || add_text(row, "Command", command_text(o.args, no_trunc)) < 0 ||
	    add_text(row, "CreatedAt", strdup(created_at(c->created_ns, at))) < 0 ||
	    add_text(row, "RunningFor", running_for(c, now_ns)) < 0 || add_text(row, "Ports", ports_of(c, &o)) < 0 ||
	    add_text(row, "State", strdup(container_state_name(c->state))) < 0 ||
	    add_text(row, "Status", ps_status(c, now_ns)) < 0 || add_text(row, "Size", strdup("0B")) < 0 ||
	    add_text(row, "Names", strdup(c->name)) < 0 || listing_add_labels(row, &c->labels) < 0 ||
	    add_text(row, "Mounts", strdup("")) < 0 || add_text(row, "Networks", strdup("")) < 0 ||
	    add_text(row, "LocalVolumes", strdup("0")) < 0 || add_text(row, "Isolation", strdup(c->isolation)) < 0 ||
	    add_text(row, "Pod", strndup(c->pod_id ? c->pod_id : "", no_trunc ? ID_LEN : ID_SHORT)) < 0 ||
	    add_text(row, "PodName", strdup(c->pod_name ? c->pod_name : "")) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	run_opts_done(&o);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(row);
	return 0;
}

int ps_row_networks(char *const *names, struct json_object *row, struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 };

	buf_str(&text, "");
	for (; names && *names; names++)
		buf_fmt(&text, "%s%s", text.len ? "," : "", *names);
	return add_text(row, "Networks", buf_take(&text)) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

#define MOUNT_SHORT 15

int ps_row_mounts(const struct engine_mount *list, size_t n, bool no_trunc, struct json_object *row, struct err *e)
{
	_cleanup_buf_ struct buf names = { 0 };
	size_t volumes = 0;

	buf_str(&names, "");
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(list[i].name), most = !no_trunc && len > MOUNT_SHORT ? MOUNT_SHORT - 1 : len;
		while (most < len && most > 0 && ((unsigned char)list[i].name[most] & 0xc0) == 0x80) /* whole letters */
			most--;
		buf_fmt(&names, "%s%.*s%s", i ? "," : "", (int)most, list[i].name, most < len ? "\u2026" : "");
		volumes += list[i].is_volume;
	}
	if (add_text(row, "Mounts", buf_take(&names)) < 0 || add_text(row, "LocalVolumes", str_fmt("%zu", volumes)) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}
