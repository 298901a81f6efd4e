/* fake_systemd LOG: as much of org.freedesktop.systemd1 as berth-systemd asks for, on the bus of $DBUS_SYSTEM_BUS_ADDRESS. Every
 * call becomes a line of LOG, "METHOD UNIT NAME=VALUE...", and every job is over at once. A unit whose name holds "exists" exists
 * until it is reset; one with "fails" has jobs that fail. Prints "ready". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define PATH "/org/freedesktop/systemd1"
#define NAME "org.freedesktop.systemd1"

struct fake {
	FILE *log;
	unsigned n_jobs, n_resets;
};

static int log_value(struct fake *f, sd_bus_message *m, const char *type)
{
	const char *s;
	uint64_t t;
	uint32_t u;
	int b, r;
	const void *bytes;
	size_t n;

	if (strcmp(type, "s") == 0 && (r = sd_bus_message_read(m, "s", &s)) >= 0)
		fprintf(f->log, "%s", s);
	else if (strcmp(type, "t") == 0 && (r = sd_bus_message_read(m, "t", &t)) >= 0)
		fprintf(f->log, "%" PRIu64, t);
	else if (strcmp(type, "b") == 0 && (r = sd_bus_message_read(m, "b", &b)) >= 0)
		fprintf(f->log, "%s", b ? "yes" : "no");
	else if (strcmp(type, "au") == 0 && (r = sd_bus_message_read(m, "au", 1, &u)) >= 0)
		fprintf(f->log, "[%" PRIu32 "]", u);
	else if (strcmp(type, "ay") == 0 && (r = sd_bus_message_read_array(m, 'y', &bytes, &n)) >= 0)
		for (size_t i = 0; i < n; i++)
			fprintf(f->log, "%02x", ((const unsigned char *)bytes)[i]);
	else
		return -1;
	return r;
}

static int log_properties(struct fake *f, sd_bus_message *m)
{
	int r = sd_bus_message_enter_container(m, 'a', "(sv)");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "sv")) > 0) {
		const char *name, *type;
		sd_bus_message_read(m, "s", &name);
		fprintf(f->log, " %s=", name);
		sd_bus_message_peek_type(m, NULL, &type);
		sd_bus_message_enter_container(m, 'v', type);
		r = log_value(f, m, type);
		sd_bus_message_exit_container(m);
		sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* The signal goes out before the reply, as it may with the real one. */
static int finish_job(struct fake *f, sd_bus_message *m, const char *unit)
{
	char job[64];

	fputc('\n', f->log);
	fflush(f->log);
	snprintf(job, sizeof job, PATH "/job/%u", ++f->n_jobs);
	sd_bus_emit_signal(sd_bus_message_get_bus(m), PATH, NAME ".Manager", "JobRemoved", "uoss", f->n_jobs, job, unit,
			   strstr(unit, "fails") ? "failed" : "done");
	return sd_bus_reply_method_return(m, "o", job);
}

static int on_start(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct fake *f = arg;
	const char *unit, *mode;

	sd_bus_message_read(m, "ss", &unit, &mode);
	if (strstr(unit, "exists") && f->n_resets == 0)
		return sd_bus_error_setf(e, NAME ".UnitExists", "Unit %s already exists.", unit);
	fprintf(f->log, "StartTransientUnit %s", unit);
	log_properties(f, m);
	return finish_job(f, m, unit);
}

static int on_set(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct fake *f = arg;
	const char *unit;
	int runtime;

	(void)e;
	sd_bus_message_read(m, "sb", &unit, &runtime);
	fprintf(f->log, "SetUnitProperties %s", unit);
	log_properties(f, m);
	fputc('\n', f->log);
	fflush(f->log);
	return sd_bus_reply_method_return(m, NULL);
}

static int on_stop(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct fake *f = arg;
	const char *unit, *mode;

	sd_bus_message_read(m, "ss", &unit, &mode);
	fprintf(f->log, "StopUnit %s", unit);
	if (strstr(unit, "gone")) {
		fputc('\n', f->log);
		fflush(f->log);
		return sd_bus_error_setf(e, NAME ".NoSuchUnit", "Unit %s not loaded.", unit);
	}
	return finish_job(f, m, unit);
}

static int on_reset(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct fake *f = arg;

	(void)e;
	f->n_resets++;
	return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("StartTransientUnit", "ssa(sv)a(sa(sv))", "o", on_start, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("SetUnitProperties", "sba(sv)", "", on_set, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("StopUnit", "ss", "o", on_stop, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("ResetFailedUnit", "s", "", on_reset, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL("JobRemoved", "uoss", 0),
	SD_BUS_VTABLE_END,
};

int main(int argc, char **argv)
{
	struct fake f = { argc > 1 ? fopen(argv[1], "a") : NULL, 0, 0 };
	sd_bus *bus = NULL;

	if (!f.log || sd_bus_open_system(&bus) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, PATH, NAME ".Manager", vtable, &f) < 0 || sd_bus_request_name(bus, NAME, 0) < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	for (;;) {
		int r = sd_bus_process(bus, NULL);
		if (r < 0 || (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0))
			return 0;
	}
}
