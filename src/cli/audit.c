/* audit.c: `berth audit`: what stands between a workload and the host, asked from inside by berth-probe and looked at from outside.
 *
 * Of an image: a container is made of it for the purpose, with the probe bound into it read-only, which the probe leaves out of what it
 * tells; it is gone when the probe has ended (--rm), also when this program was killed, as the probe stays no longer than its standard input.
 * Of a container that runs: the probe is copied into a directory of it, executed there as any other command, and takes itself away first. */
#include <sys/ioctl.h>
#include <unistd.h>

#include "audit_impl.h"
#include "output.h"
#include "probe.h"

#define SCHEMA       "berth.audit/1"
#define COLUMNS_MAX  200u
#define COLUMNS_ELSE 120u

#define AT(member) offsetof(struct audit_args, member)
const struct opt audit_options[] = {
	{ "format", 'f', OPT_STRING, AT(format), "FORMAT", "json, or a template such as {{range .ways}}{{.name}}{{end}}" },
	{ "isolation", 0, OPT_STRING, AT(isolation), "KIND[,KIND]", "of an image: container, vm or both (default)" },
	{ "privileged", 0, OPT_FLAG, AT(is_privileged), NULL, "with all rights" },
	{ "cap-add", 0, OPT_LIST, AT(cap_add), "CAPABILITY", "with one more capability" },
	{ "cap-drop", 0, OPT_LIST, AT(cap_drop), "CAPABILITY", "without a capability" },
	{ "security-opt", 0, OPT_LIST, AT(security_opt), "OPTION", "such as seccomp=unconfined, no-new-privileges" },
	{ "user", 'u', OPT_STRING, AT(user), "USER[:GROUP]", "as that user" },
	{ "group-add", 0, OPT_LIST, AT(group_add), "GROUP", "one more group of the user" },
	{ "read-only", 0, OPT_FLAG, AT(is_readonly), NULL, "the root file system can't be written" },
	{ "network", 0, OPT_STRING, AT(network), "NETWORK", "on that network" },
	{ "device", 0, OPT_LIST, AT(devices), "DEVICE", "with a device of the host" },
	{ "volume", 'v', OPT_LIST, AT(volumes), "[SOURCE:]PATH[:ro,...]", "with a volume, or a host directory or file" },
	{ "mount", 0, OPT_LIST, AT(mounts), "type=volume|bind|tmpfs,...", "with a mount by named parts" },
	{ "tmpfs", 0, OPT_LIST, AT(tmpfs), "PATH[:OPTIONS]", "with an empty file system in memory" },
	{ "userns", 0, OPT_STRING, AT(userns), "MODE", "user namespace, as run has it" },
	{ "pid", 0, OPT_STRING, AT(pid_mode), "MODE", "processes, as run has it: host, container:NAME" },
	{ "ipc", 0, OPT_STRING, AT(ipc_mode), "MODE", "System V IPC, as run has it" },
	{ "uts", 0, OPT_STRING, AT(uts_mode), "MODE", "host name, as run has it" },
	{ "cgroupns", 0, OPT_STRING, AT(cgroupns), "MODE", "cgroups, as run has it" },
	{ "sysctl", 0, OPT_LIST, AT(sysctls), "NAME=VALUE", "with a kernel setting" },
	{ "ulimit", 0, OPT_LIST, AT(ulimits), "NAME=SOFT[:HARD]", "with another limit of its processes" },
	{ "memory", 'm', OPT_STRING, AT(memory), "SIZE", "with so much memory" },
	{ "init", 0, OPT_FLAG, AT(use_init), NULL, "behind a small init" },
	{ "kernel", 0, OPT_STRING, AT(kernel), "KERNEL", "vm: on that kernel" },
	{ "pull", 0, OPT_STRING, AT(pull), "WHEN", "fetch the image: missing (default), always or never" },
	{ "platform", 0, OPT_STRING, AT(platform), "OS/ARCH", "which platform of the image" },
	{ NULL },
};

static void audit_done(struct audit *a)
{
	free(a->self);
	free(a->probe);
	walls_host_done(&a->host);
	for (size_t i = 0; i < WAYS_MAX; i++) {
		walls_inside_done(&a->seen[i].inside);
		walls_outside_done(&a->seen[i].outside);
	}
	comparison_done(&a->table);
	json_object_put(a->ways);
}

/* The model wants all ways before anything that is said of them. */
static int fill_table(struct audit *a, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < a->n_seen && r >= 0; i++)
		r = comparison_add_way(&a->table, a->seen[i].name, a->seen[i].accelerator);
	for (size_t i = 0; i < a->n_seen && r >= 0; i++) {
		const struct walls_view v = { &a->seen[i].inside, &a->seen[i].outside, &a->host };
		r = walls_add(&a->table, i, &v);
	}
	return r < 0 ? no_memory(e) : 0;
}

static int check_running(const struct audit_args *args, const struct container_record *c, struct err *e)
{
	_cleanup_strv_ char **given = NULL;

	if (audit_add_options(&given, args) < 0)
		return no_memory(e);
	if (given || args->isolation)
		return err_set(e, EINVAL, "%s is a container, which is looked at as it is: only --format goes with it", c->name);
	if (c->state != CS_RUNNING)
		return err_set(e, EINVAL, "container %s is not running (%s): start it, or name an image", c->name,
			       container_state_name(c->state));
	return 0;
}

/* ---- */

static int print_table(const struct audit *a, struct err *e)
{
	const char *columns = getenv("COLUMNS");
	struct winsize w = { 0 };
	uint64_t n = 0;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col)
		n = w.ws_col;
	else if (!columns || str_to_u64(columns, &n) < 0 || !n)
		n = COLUMNS_ELSE;
	return walls_print(&a->table, STDOUT_FILENO, (size_t)MIN(n, COLUMNS_MAX), e);
}

static int add_values(struct json_object *o, const struct comparison *c)
{
	struct json_object *list = json_object_new_array();

	if (json_add(o, "walls", list) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_walls; i++) {
		const struct wall *w = &c->walls[i];
		struct json_object *one = json_object_new_object(), *values = json_object_new_array();

		if (!one || json_object_array_add(list, one) < 0 || json_add(one, "id", json_object_new_string(w->id)) < 0 ||
		    json_add(one, "title", json_object_new_string(w->title)) < 0 || json_add(one, "values", values) < 0)
			return -ENOMEM;
		for (size_t k = 0; k < c->n_ways; k++)
			if (json_object_array_add(values, w->of_way[k] ? json_object_new_string(w->of_way[k]) : NULL) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int print_document(struct audit *a, const char *format, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	if (json_add(o, "schema", json_object_new_string(SCHEMA)) < 0 ||
	    json_add(o, "subject", json_object_new_string(a->subject)) < 0 ||
	    json_add(o, "berth", json_object_new_string(berth_version())) < 0 ||
	    json_add(o, "ways", json_object_get(a->ways)) < 0 || add_values(o, &a->table) < 0)
		return no_memory(e);
	return document_print(o, format, e);
}

static int prepare(struct audit *a, struct cli *c, struct err *e)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return err_set(e, errno, "/proc/self/exe: %s", strerror(errno));
	self[n] = 0;
	a->c = c;
	a->subject = c->operands[0];
	a->self = strdup(self);
	a->ways = json_object_new_array();
	if (!a->self || !a->ways || comparison_init(&a->table, a->subject, NULL) < 0)
		return no_memory(e);
	int r = paths_sibling(engine_paths(c->engine), PROBE_PROGRAM, &a->probe, e);
	return r < 0 ? r : walls_host_get(&a->host, e);
}

static int run(struct cli *c, const struct audit_args *args, struct err *e)
{
	_cleanup_(container_record_done) struct container_record container = { 0 };
	_cleanup_(audit_done) struct audit a = { 0 };
	struct err none = { 0 };
	int r = prepare(&a, c, e), status;

	if (r < 0)
		return r;
	if (engine_get(c->engine, a.subject, &container, &none) >= 0) {
		r = check_running(args, &container, e);
		status = r < 0 ? r : audit_running(&a, &container, e);
	} else {
		status = audit_ways(&a, args, e);
	}
	if (status < 0 || a.n_seen == 0)
		return status;
	r = fill_table(&a, e);
	if (r >= 0)
		r = args->format ? print_document(&a, args->format, e) : print_table(&a, e);
	return r < 0 ? r : status;
}

int cmd_audit(struct cli *c, struct err *e)
{
	struct audit_args args = { 0 };
	int r = cli_parse(c, &args, 1, 1, e);

	r = r != 0 ? MIN(r, 0) : run(c, &args, e);
	opts_done(audit_options, &args);
	return r;
}
