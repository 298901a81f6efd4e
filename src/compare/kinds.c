/* The table of figures: one row is all that is said of one, wherever it is shown. */
#include "figures.h"

const struct figure_kind figure_kinds[] = {
	{ "Start-up", "start.first_instruction", "To the first instruction", "ms",
	  "From before `berth run` is started to the arrival of the byte that the probe in it writes as its very first act." },
	{ "Start-up", "start.first_byte", "To the first byte of output", "ms",
	  "From before `berth run` is started to the first byte that the command writes, as `berth run` passes it on." },
	{ "Start-up", "start.ready", "Until it is ready", "ms",
	  "From before `berth run` is started to the first answer of what --ready names: a page, a port, or words in the log." },
	{ "Start-up", "run.whole", "The whole run", "ms", "From before `berth run --rm` is started to after its end." },
	{ "Start-up", "stop", "To stop it", "ms", "From before `berth stop` is started to after its end." },
	{ "Memory", "memory.outside", "Memory outside the workload", "KiB",
	  "Proportional set size (PSS) of the monitor, the VMM and their helpers, once the workload is idle." },
	{ "Memory", "memory.guest_kernel", "Memory of the guest's kernel", "KiB",
	  "What the guest's memory takes of the host's (PSS), less what the workload in it has." },
	{ "Memory", "memory.inside", "Memory inside", "KiB",
	  "A container's processes (PSS); of a VM what its workload's control group in the guest counts." },
	{ "Memory", "memory.marginal", "Memory of one instance more", "KiB",
	  "What all processes of all instances together take (PSS) beyond what they took without the newest." },
	{ "Disk", "disk.shared", "Disk shared with other instances", "KiB",
	  "The image's size for containers; for VMs the blocks of the image's disk and of the kernel's files." },
	{ "Disk", "disk.own", "Disk of its own", "KiB",
	  "Blocks of the instance's own folder: what it has written, its log, its settings, a VM's writable disk." },
	{ "Speed", "cpu", "Computing", "ns",
	  "A piece of dependent integer work on a table in the processor's cache, by the probe inside; the time of one." },
	{ "Speed", "syscall", "A system call", "ns", "getppid(2) in a loop, by the probe inside; the time of one." },
	{ "Speed", "context_switch", "A switch of context", "ns",
	  "A byte to and fro between two processes through pipes, on one processor where that is allowed, by the probe inside; "
	  "the time of one turn." },
	{ "Speed", "page_fault", "A first touch of memory", "ns",
	  "A page of fresh memory is written to, by the probe inside; the time of one." },
	{ "Speed", "process", "A process", "µs",
	  "fork(2), its end, and waiting for that, by the probe inside; the time of one." },
	{ "Speed", "file.write", "Writing a file", "MB/s",
	  "A file of 16 MiB in the root file system, fdatasync(2) included, by the probe inside. A container's writable layer is "
	  "flushed when it ends, not before.",
	  true },
	{ "Speed", "file.read", "Reading a file", "MB/s",
	  "The same file, by the probe inside; cold where the page cache lets go of it.", true },
	{ "Speed", "file.create", "Making and removing a file", "µs",
	  "An empty file of the writable layer, by the probe inside; the time of one." },
	{ "Speed", "network.throughput", "Network, throughput", "MB/s",
	  "One TCP stream out of the probe inside, through a published port of the host.", true },
	{ "Speed", "network.latency", "Network, a turn", "µs",
	  "A byte to the probe inside and back over TCP, through a published port of the host; the mean of 200." },
	{ "Density", "density", "Instances that fit", "count",
	  "How many fit in the host's memory, or in --density: reckoned of what the first takes and each further one.", true },
	{ .id = NULL },
};

const struct figure_kind *figure_kind_of(const char *id)
{
	for (const struct figure_kind *k = figure_kinds; k->id; k++)
		if (streq(k->id, id))
			return k;
	return NULL;
}
