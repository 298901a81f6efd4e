/* The table of figures: one row is all that is said of one, wherever it is shown. */
#include "figures.h"

const struct figure_kind figure_kinds[] = {
	{ "Start-up", "start.first_instruction", "To the first instruction", "ms",
	  "From before `berth run` is started to the first instruction of the process in it, which reads the clock." },
	{ "Start-up", "start.first_byte", "To the first byte of output", "ms",
	  "From before `berth run` is started to the first byte that it writes." },
	{ "Start-up", "start.ready", "Until it is ready", "ms",
	  "From before `berth run` is started to the first answer of what --ready names: a page, a port, or words in the log." },
	{ "Start-up", "run.whole", "The whole run", "ms", "From before `berth run --rm` is started to after its end." },
	{ "Start-up", "stop", "To stop it", "ms", "From before `berth stop` is started to after its end." },
	{ "Memory", "memory.outside", "Outside the workload", "KiB",
	  "Proportional set size (PSS) of the monitor, the VMM and their helpers, once the workload is idle." },
	{ "Memory", "memory.guest_kernel", "Of the guest's kernel", "KiB",
	  "What the guest has been given and its processes can not have: total memory less what its own kernel calls MemTotal, "
	  "with its slabs." },
	{ "Memory", "memory.inside", "Inside", "KiB",
	  "What the workload's own processes have: their cgroup's memory, or the guest's." },
	{ "Memory", "memory.marginal", "One instance more", "KiB",
	  "What the host's available memory falls by with each further instance of the same image." },
	{ "Disk", "disk.shared", "Shared with other instances", "KiB",
	  "Blocks of the image's layers or of the guest's disk, which all instances read." },
	{ "Disk", "disk.own", "Its own", "KiB", "Blocks that one instance alone has on the host's disk." },
	{ "Speed", "cpu", "Computing", "ms", "A fixed piece of integer arithmetic and hashing, by the probe inside." },
	{ "Speed", "syscall", "A system call", "ns", "getppid(2) in a loop, by the probe inside; the time of one." },
	{ "Speed", "context_switch", "A switch of context", "ns",
	  "A byte to and fro between two processes through pipes, by the probe inside; half the time of one turn." },
	{ "Speed", "file.write", "Writing a file", "MB/s",
	  "A file of the writable layer in blocks of 128 KiB, fsync(2) included, by the probe inside.", true },
	{ "Speed", "file.read", "Reading a file", "MB/s",
	  "The same file, by the probe inside; from the page cache where it fits.", true },
	{ "Speed", "file.create", "Making and removing a file", "µs",
	  "An empty file of the writable layer, by the probe inside; the time of one." },
	{ "Speed", "network.throughput", "Network, throughput", "MB/s", "One TCP stream from the probe inside to the host.",
	  true },
	{ "Speed", "network.latency", "Network, a turn", "µs", "One byte to the host and back over TCP, by the probe inside." },
	{ "Density", "density", "Instances that fit", "count",
	  "How many fit in the memory that was named, reckoned of what the first takes and each further one.", true },
	{ .id = NULL },
};

const struct figure_kind *figure_kind_of(const char *id)
{
	for (const struct figure_kind *k = figure_kinds; k->id; k++)
		if (streq(k->id, id))
			return k;
	return NULL;
}
