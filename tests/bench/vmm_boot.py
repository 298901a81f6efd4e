#!/usr/bin/env python3
"""vmm_boot --kernel DIRECTORY [-n RUNS] [--kvmtool PROGRAM]: from the exec of a VMM to the first write of the guest's /init (the byte 1 and
a new line to the serial port), the same kernel and the same initramfs in all: berth-vmm, QEMU's microvm with everything off that can be, kvmtool, which tells
its guest's kernel to say what it is there as well (earlyprintk).
The VMMs take turns. Also: what berth-vmm does before its first KVM_RUN, at a boot and at a restore, as the kernel's tracing sees it, and what it has in memory beyond
the guest's. DIRECTORY: of guest/build-kernel. Meant for `tests/lab/run -nI`, where time is instructions: ratios carry over, milliseconds do not.
--require fails where an aim is missed."""

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import vmm_memory
import vmm_restore
from results import Results

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BERTH_BUILD", TOP / "build")).resolve()
VMM = BUILD / "src/main/berth-vmm"
MIB = 256
AIMS = {"of QEMU's best": 0.6, "before the first KVM_RUN, ms": 3.0, "restore, ms": 3.0, "memory, MiB": 1.5}
RESTORE_MIB = (64, 512)
WAYS = {"berth-vmm": "berth vm", "QEMU microvm, everything off": "qemu"}  # as all benchmarks call them
# What every VMM's guest is told: nothing of the console, and none of the waiting that no VMM needs.
CMDLINE = "quiet loglevel=0 panic=-1 reboot=a random.trust_cpu=on tsc=reliable no_timer_check"
INIT = """
static int call2(long n, long a, long b, long c)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return (int)r;
}
void _start(void)
{
	call2(173, 0x3f8, 8, 1); /* ioperm */
	__asm__ volatile("outb %0, %1" : : "a"((unsigned char)1), "Nd"((unsigned short)0x3f8));
	__asm__ volatile("outb %0, %1" : : "a"((unsigned char)10), "Nd"((unsigned short)0x3f8)); /* berth-vmm writes lines */
	for (;;)
		call2(34, 0, 0, 0); /* pause */
}
"""


def entry(name, mode, data=b"", number=[1]):
    """Of a cpio archive in the "newc" form."""
    number[0] += 1
    fields = (number[0], mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    out = b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0"
    out += b"\0" * (-len(out) % 4) + data
    return out + b"\0" * (-len(out) % 4)


def initramfs(where: Path) -> Path:
    source, program, out = where / "init.c", where / "init", where / "initramfs"
    source.write_text(INIT)
    subprocess.run(["cc", "-Os", "-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector", "-Wl,--build-id=none,-s", "-o", program, source],
                   check=True)
    out.write_bytes(entry("dev", 0o040755) + entry("init", 0o100755, program.read_bytes()) + entry("TRAILER!!!", 0))
    return out


def build_first_byte(where: Path) -> Path:
    program = where / "first_byte"
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", program, TOP / "tests/bench/first_byte.c"], check=True)
    return program


class Berth:
    name = "berth-vmm"
    how = ["-p"]  # as berth starts it
    fd = 90  # no file comes to have this number
    ram_is_exact = True

    def __init__(self, kernel, initrd, pages="thp", uid=0x70000001):
        self.kernel, self.initrd, self.pages, self.uid = kernel, initrd, pages, uid
        build_id = re.search('"([^"]*)"', (BUILD / "build_id.h").read_text()).group(1)
        self.env = {"BERTH_BUILD_ID": build_id}

    @contextmanager
    def command(self):
        """-> argv, descriptors to pass. The plan has been read to its end after each run."""
        fds = [os.open(self.kernel, os.O_RDONLY), os.open(self.initrd, os.O_RDONLY), os.memfd_create("plan", 0)]
        plan = {"kernel_fd": fds[0], "initrd_fd": fds[1], "serial_fd": self.fd, "cpus": 1, "mem_bytes": MIB << 20, "pages": self.pages,
                "uid": self.uid, "cmdline": CMDLINE, "generation": True, "devices": []}
        os.write(fds[2], json.dumps(plan).encode())
        os.lseek(fds[2], 0, os.SEEK_SET)
        try:
            yield [VMM, "--config-fd", str(fds[2])], fds
        finally:
            for fd in fds:
                os.close(fd)


class Restored(Berth):
    """A guest of a few instructions, which writes and writes, from its snapshot: what it takes does not depend on the guest."""
    # mov $0x3f8,%dx; 1: mov $1,%al; out %al,%dx; mov $'\\n',%al; out %al,%dx; jmp 1b
    CODE = bytes([0x66, 0xBA, 0xF8, 0x03, 0xB0, 1, 0xEE, 0xB0, 10, 0xEE, 0xEB, 0xF8])

    def __init__(self, mib, where):
        super().__init__(None, None)
        self.name, self.mib = f"berth-vmm from a snapshot of {mib} MiB", mib
        (where / str(mib)).mkdir()
        self.files = vmm_restore.take(mib, where / str(mib), self.CODE)

    @contextmanager
    def command(self):
        fd = os.memfd_create("plan", 0)
        plan = {"state_fd": self.files[0], "ram_fd": self.files[1], "serial_fd": self.fd, "cpus": 1, "mem_bytes": self.mib << 20, "pages": "small",
                "uid": self.uid, "devices": []}
        os.write(fd, json.dumps(plan).encode())
        os.lseek(fd, 0, os.SEEK_SET)
        try:
            yield [VMM, "--config-fd", str(fd)], [*self.files, fd]
        finally:
            os.close(fd)


class Qemu:
    name = "QEMU microvm, everything off"
    how = []
    fd = 9
    ram_is_exact = True
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

    def __init__(self, kernel, initrd):
        self.argv = ["/usr/bin/qemu-system-x86_64", "-M", "microvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=on,x-option-roms=off,auto-kernel-cmdline=off",
                     "-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", str(MIB), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                     "-chardev", "file,id=s,path=/proc/self/fd/9", "-serial", "chardev:s", "-kernel", kernel, "-initrd", initrd, "-append", CMDLINE]

    @contextmanager
    def command(self):
        yield self.argv, []


class Kvmtool:
    name = "kvmtool"
    how = []
    fd = 1
    ram_is_exact = False
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp"}

    def __init__(self, program, kernel, initrd):
        # It takes no ELF file; its guests have no ACPI, and interrupts only by the I/O APIC's table or the PIC.
        self.argv = [program, "run", "-k", kernel, "-i", initrd, "-m", str(MIB), "-c", "1", "--console", "serial", "--network", "mode=none", "-p", CMDLINE]

    @contextmanager
    def command(self):
        yield self.argv, []


def measure(first_byte, vmm, pause_ms=0):
    """-> milliseconds; MiB beyond the guest's memory, where there was a pause."""
    with vmm.command() as (argv, fds):
        out = subprocess.run([first_byte, *vmm.how, str(vmm.fd), str(pause_ms), *argv], env=vmm.env, pass_fds=fds, stdin=subprocess.DEVNULL, text=True, timeout=120,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    lines = out.stdout.splitlines()
    if out.returncode != 0:
        raise SystemExit(f"{vmm.name}: {out.stderr}\n{shlex.join(map(str, argv))}")
    processes = [[[int(n) for n in row.split()] for row in p.split("\n") if row] for p in "\n".join(lines[1:]).split("process")[1:]]
    kib = sum(vmm_memory.beyond_ram(rows, MIB << 20, vmm.ram_is_exact) for rows in processes)
    return int(lines[0]) / 1e6, kib / 1024


class Tracing:
    """The kernel's own record of what a VMM does before its guest runs."""
    EVENTS = ("sched/sched_process_exec", "syscalls/sys_enter_ioctl", "syscalls/sys_exit_ioctl")
    CREATE_VM, RUN = 0xAE01, 0xAE80

    def __init__(self):
        self.at = Path("/sys/kernel/tracing")
        if not (self.at / "trace").exists():
            subprocess.run(["mount", "-t", "tracefs", "tracefs", self.at], check=True)
        (self.at / "trace_clock").write_text("mono")
        for e in self.EVENTS:
            (self.at / "events" / e / "enable").write_text("1")

    def measure(self, first_byte, vmm):
        """-> milliseconds before the first KVM_RUN without KVM_CREATE_VM; KVM_CREATE_VM."""
        (self.at / "trace").write_text("")
        (self.at / "tracing_on").write_text("1")
        measure(first_byte, vmm)
        (self.at / "tracing_on").write_text("0")
        began = create = run = None
        entered = {}
        for line in (self.at / "trace").read_text().splitlines():
            m = re.match(r"\s*\S+-(\d+)\s.*?\s(\d+\.\d+): (.*)", line)
            if not m:
                continue
            pid, at, what = m.group(1), float(m.group(2)) * 1e3, m.group(3)
            if what.startswith("sched_process_exec") and "berth-vmm" in what:
                began = at
            cmd = re.search(r"cmd: ([0-9a-f]+)", what)
            if cmd:
                entered[pid] = (int(cmd.group(1), 16), at)
                if int(cmd.group(1), 16) == self.RUN and run is None and began is not None:
                    run = at
            elif "-> " in what and entered.get(pid, (0, 0))[0] == self.CREATE_VM:
                create = at - entered.pop(pid)[1]
        if None in (began, create, run):
            raise SystemExit("the trace does not show exec, KVM_CREATE_VM and KVM_RUN")
        return run - began - create, create

    def close(self):
        for e in self.EVENTS:
            (self.at / "events" / e / "enable").write_text("0")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--kernel", type=Path, required=True)
    ap.add_argument("--kvmtool", help="its program, where there is one")
    ap.add_argument("-n", type=int, default=11)
    ap.add_argument("--pages", choices=("thp", "small"), default="thp")
    ap.add_argument("--append", default="", help="more of a kernel command line, for all")
    ap.add_argument("--only-berth", action="store_true")
    ap.add_argument("--require", action="store_true")
    Results.option(ap)
    args = ap.parse_args()
    results = Results(args.results)
    global CMDLINE
    CMDLINE = f"{CMDLINE} {args.append}".strip()
    with tempfile.TemporaryDirectory(dir="/tmp") as tmp:
        where = Path(tmp)
        initrd, first_byte = initramfs(where), build_first_byte(where)
        vmms = [Berth(args.kernel / "vmlinux", initrd, args.pages)]
        if not args.only_berth:
            vmms.append(Qemu(args.kernel / "vmlinux", initrd))
        if args.kvmtool:
            vmms.append(Kvmtool(args.kvmtool, args.kernel / "bzImage", initrd))
        times = {v.name: [] for v in vmms}
        for i in range(args.n + 1):
            for v in vmms:
                ms, _ = measure(first_byte, v)
                if i:  # the first brings all files into the page cache
                    times[v.name].append(ms)
        medians = {name: statistics.median(t) for name, t in times.items()}
        for name in times:
            results.way(WAYS.get(name, name), "KVM hardware")
        results.add("Virtual machine", "vmm.boot", "From the VMM's execution to the first write of /init", "ms", {WAYS.get(n, n): t for n, t in times.items()})
        ours = medians[Berth.name]
        print(f"First write of /init, {args.n} runs each, in turns, {MIB} MiB, one vCPU.\n\n| | median ms | min | max | berth-vmm is |\n|---|---|---|---|---|")
        for name, t in times.items():
            print(f"| {name} | {medians[name]:.1f} | {min(t):.1f} | {max(t):.1f} | {ours / medians[name]:.2f} |")
        beyond = {v.name: [measure(first_byte, v, 300)[1] for _ in range(3)] for v in vmms}
        memory = statistics.median(beyond[Berth.name])
        print(f"\nMemory of berth-vmm beyond the guest's: {memory:.2f} MiB (PSS).")
        for v in vmms[1:]:
            print(f"Of {v.name}: {statistics.median(beyond[v.name]):.1f} MiB.")
        results.add("Virtual machine", "vmm.memory", "Memory beyond the guest's", "MiB", {WAYS.get(n, n): v for n, v in beyond.items()})
        results.save()
        tracing, before = Tracing(), {}
        try:
            for vmm in (vmms[0], *(Restored(mib, where) for mib in RESTORE_MIB)):
                traced = [tracing.measure(first_byte, vmm) for _ in range(args.n)]
                before[vmm.name], create = (statistics.median(t[i] for t in traced) for i in (0, 1))
                print(f"{vmm.name}: from its exec to the first KVM_RUN, without KVM_CREATE_VM ({create:.1f} ms): {before[vmm.name]:.2f} ms.")
        finally:
            tracing.close()
        measured = {"before the first KVM_RUN, ms": before.pop(Berth.name), "restore, ms": max(before.values()), "memory, MiB": memory}
        if Qemu.name in medians:
            measured["of QEMU's best"] = ours / medians[Qemu.name]
        missed = [f"{what}: {v:.2f}, the aim is {AIMS[what]}" for what, v in measured.items() if v > AIMS[what]]
        if Kvmtool.name in medians and ours >= medians[Kvmtool.name]:
            missed.append(f"{ours:.1f} ms, kvmtool {medians[Kvmtool.name]:.1f}")
        for line in missed:
            print(f"missed: {line}")
        return 1 if missed and args.require else 0


if __name__ == "__main__":
    sys.exit(main())
