/* update.c: `berth update`: other limits for containers and virtual machines, running or not. */
#include "cli.h"

#define AT(member) offsetof(struct run_opts, member)

const struct opt update_options[] = {
	{ "memory", 'm', OPT_BYTES, AT(memory), "SIZE", "memory limit" },
	{ "memory-swap", 0, OPT_BYTES_ANY, AT(memory_swap), "SIZE", "memory and swap together; -1 = unlimited swap" },
	{ "memory-reservation", 0, OPT_BYTES, AT(memory_reservation), "SIZE", "soft memory limit" },
	{ "memory-max", 0, OPT_BYTES, AT(memory_max), "SIZE",
	  "vm: how far --memory may go while it runs; from its next start on" },
	{ "cpus-max", 0, OPT_I64, AT(cpus_max), "N", "vm: likewise for --cpus" },
	{ "cpus", 0, OPT_DOUBLE, AT(cpus), "N", "processor time, in processors" },
	{ "cpu-shares", 'c', OPT_I64, AT(cpu_shares), "N", "weight against others" },
	{ "cpu-quota", 0, OPT_I64, AT(cpu_quota), "US", "processor time a period, in microseconds" },
	{ "cpu-period", 0, OPT_I64, AT(cpu_period), "US", "the period of --cpu-quota" },
	{ "cpuset-cpus", 0, OPT_STRING, AT(cpuset_cpus), "LIST", "run only on these processors, such as 0-2,4" },
	{ "cpuset-mems", 0, OPT_STRING, AT(cpuset_mems), "LIST", "use only these memory nodes" },
	{ "pids-limit", 0, OPT_I64, AT(pids_limit), "N", "processes and threads; -1 = no limit" },
	{ "blkio-weight", 0, OPT_I64, AT(blkio_weight), "N", "10..1000: share of the disks' time" },
	{ "restart", 0, OPT_STRING, AT(restart), "POLICY", "no, always, unless-stopped or on-failure[:N]" },
	{ NULL },
};

static int update_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	int r = engine_update(c->engine, name, arg, e);

	if (r >= 0)
		puts(name);
	return r;
}

int cmd_update(struct cli *c, struct err *e)
{
	struct run_opts o;
	int r;

	run_opts_init(&o);
	r = cli_parse(c, &o, 1, CLI_ANY, e);
	r = r == 0 ? cli_each(c, update_one, &o) : MIN(r, 0);
	run_opts_done(&o);
	return r;
}
