/* berth-systemd start|set|stop UNIT [NAME=TYPE:VALUE...]: asks systemd for a container's scope and waits until it is so. Called by
 * berth-runtime, which makes the names and properties (src/runtime/scope.c). The bus is the system's ($DBUS_SYSTEM_BUS_ADDRESS).
 * Exit 0, or 1 with one line on standard error. (org.freedesktop.systemd1(5)) */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#define DEST    "org.freedesktop.systemd1"
#define PATH    "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define WAIT_US (30u * 1000 * 1000)

struct job {
	char path[256];
	char result[32]; /* "" until it is over */
};

static int fail(const char *what, int r, const sd_bus_error *e)
{
	fprintf(stderr, "%s: %s\n", what, e && e->message ? e->message : strerror(-r));
	return r < 0 ? r : -EIO;
}

/* ---- properties ---- */

static int append_bytes(sd_bus_message *m, const char *hex)
{
	uint8_t bytes[1024];
	size_t n = strlen(hex) / 2;

	if (strlen(hex) % 2 || n > sizeof bytes)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		unsigned v;
		if (sscanf(hex + 2 * i, "%2x", &v) != 1)
			return -EINVAL;
		bytes[i] = (uint8_t)v;
	}
	return sd_bus_message_append_array(m, 'y', bytes, n);
}

static int append_value(sd_bus_message *m, const char *type, const char *value)
{
	if (strcmp(type, "s") == 0)
		return sd_bus_message_append(m, "s", value);
	if (strcmp(type, "b") == 0)
		return sd_bus_message_append(m, "b", (int)(strcmp(value, "1") == 0));
	if (strcmp(type, "t") == 0)
		return sd_bus_message_append(m, "t", (uint64_t)strtoull(value, NULL, 10));
	if (strcmp(type, "au") == 0)
		return sd_bus_message_append(m, "au", 1u, (uint32_t)strtoul(value, NULL, 10));
	return strcmp(type, "ay") == 0 ? append_bytes(m, value) : -EINVAL;
}

/* "NAME=TYPE:VALUE" as (sv). */
static int append_property(sd_bus_message *m, const char *word)
{
	const char *eq = strchr(word, '='), *colon = eq ? strchr(eq, ':') : NULL;
	char name[64], type[4];
	int r;

	if (!colon || (size_t)(eq - word) >= sizeof name || (size_t)(colon - eq - 1) >= sizeof type)
		return -EINVAL;
	snprintf(name, sizeof name, "%.*s", (int)(eq - word), word);
	snprintf(type, sizeof type, "%.*s", (int)(colon - eq - 1), eq + 1);
	r = sd_bus_message_open_container(m, 'r', "sv");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", name);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', type);
	if (r >= 0)
		r = append_value(m, type, colon + 1);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_properties(sd_bus_message *m, char *const *words)
{
	int r = sd_bus_message_open_container(m, 'a', "(sv)");

	for (; r >= 0 && *words; words++)
		r = append_property(m, *words);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

/* ---- jobs ---- */

/* JobRemoved(u id, o job, s unit, s result) */
static int on_removed(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct job *j = arg;
	const char *path, *unit, *result;
	uint32_t id;

	(void)e;
	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) >= 0 && strcmp(path, j->path) == 0)
		snprintf(j->result, sizeof j->result, "%s", result);
	return 0;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int wait_job(sd_bus *bus, struct job *j, const char *unit)
{
	uint64_t end = now_us() + WAIT_US;

	while (!j->result[0]) {
		int r = sd_bus_process(bus, NULL);
		if (r == 0 && now_us() >= end)
			return fail("systemd did not finish in 30 s", -ETIMEDOUT, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, end - now_us());
		if (r < 0)
			return fail("wait for systemd", r, NULL);
	}
	if (strcmp(j->result, "done") == 0)
		return 0;
	fprintf(stderr, "systemd's job for %s ended with \"%s\"\n", unit, j->result);
	return -EIO;
}

/* Sends m; its reply is the job's path, which may be reported over before the reply is read. */
static int call_job(sd_bus *bus, sd_bus_message *m, const char *unit, sd_bus_error *e)
{
	sd_bus_message *reply = NULL;
	sd_bus_slot *slot = NULL;
	struct job j = { "", "" };
	const char *path;
	int r = sd_bus_match_signal(bus, &slot, DEST, PATH, MANAGER, "JobRemoved", on_removed, &j);

	if (r >= 0)
		r = sd_bus_call(bus, m, 0, e, &reply);
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &path);
	if (r >= 0) {
		snprintf(j.path, sizeof j.path, "%s", path);
		r = wait_job(bus, &j, unit);
		if (r < 0)
			sd_bus_error_set_errno(e, r);
	}
	sd_bus_message_unref(reply);
	sd_bus_slot_unref(slot);
	return r;
}

/* ---- verbs ---- */

/* A unit that failed keeps its name until somebody says so. */
static void reset_failed(sd_bus *bus, const char *unit)
{
	(void)sd_bus_call_method(bus, DEST, PATH, MANAGER, "ResetFailedUnit", NULL, NULL, "s", unit);
}

static int start_once(sd_bus *bus, const char *unit, char *const *words, sd_bus_error *e)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, DEST, PATH, MANAGER, "StartTransientUnit");

	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, "fail");
	if (r >= 0)
		r = append_properties(m, words);
	if (r >= 0)
		r = sd_bus_message_append(m, "a(sa(sv))", 0u);
	if (r >= 0)
		r = call_job(bus, m, unit, e);
	sd_bus_message_unref(m);
	return r;
}

static int verb_start(sd_bus *bus, const char *unit, char *const *words, sd_bus_error *e)
{
	int r = start_once(bus, unit, words, e);

	if (r < 0 && sd_bus_error_has_name(e, DEST ".UnitExists")) {
		sd_bus_error_free(e);
		reset_failed(bus, unit);
		r = start_once(bus, unit, words, e);
	}
	return r;
}

static int verb_set(sd_bus *bus, const char *unit, char *const *words, sd_bus_error *e)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, DEST, PATH, MANAGER, "SetUnitProperties");

	if (r >= 0)
		r = sd_bus_message_append(m, "sb", unit, 1);
	if (r >= 0)
		r = append_properties(m, words);
	if (r >= 0)
		r = sd_bus_call(bus, m, 0, e, NULL);
	sd_bus_message_unref(m);
	return r;
}

static int verb_stop(sd_bus *bus, const char *unit, char *const *words, sd_bus_error *e)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, DEST, PATH, MANAGER, "StopUnit");

	(void)words;
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, "replace");
	if (r >= 0)
		r = call_job(bus, m, unit, e);
	sd_bus_message_unref(m);
	if (r < 0 && sd_bus_error_has_name(e, DEST ".NoSuchUnit"))
		return 0;
	reset_failed(bus, unit);
	return r;
}

static const struct {
	const char *name;
	int (*run)(sd_bus *bus, const char *unit, char *const *words, sd_bus_error *e);
} verbs[] = { { "start", verb_start }, { "set", verb_set }, { "stop", verb_stop } };

int main(int argc, char **argv)
{
	sd_bus *bus = NULL;
	sd_bus_error e = SD_BUS_ERROR_NULL;
	size_t v = 0;
	int r;

	while (argc > 2 && v < sizeof verbs / sizeof verbs[0] && strcmp(verbs[v].name, argv[1]) != 0)
		v++;
	if (argc < 3 || v == sizeof verbs / sizeof verbs[0]) {
		fprintf(stderr, "usage: berth-systemd start|set|stop UNIT [NAME=TYPE:VALUE...]; berth-runtime calls it\n");
		return 1;
	}
	r = sd_bus_open_system(&bus);
	if (r < 0)
		return fail("connect to the system bus", r, NULL) < 0;
	r = verbs[v].run(bus, argv[2], argv + 3, &e);
	if (r < 0 && e.message)
		fprintf(stderr, "%s %s: %s\n", argv[1], argv[2], e.message);
	else if (r < 0)
		fprintf(stderr, "%s %s: %s\n", argv[1], argv[2], strerror(-r));
	sd_bus_error_free(&e);
	sd_bus_flush_close_unref(bus);
	return r < 0;
}
