"""What tests/bench/vmm_*.py share: a Linux guest in berth-vmm and the same in QEMU, with the same devices; and what a berth-vmm says of
its start. QEMU is microvm with PCI, without PIT, PIC, RTC and option ROMs: the quickest and smallest that it has."""

import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vmm"))
import guest  # noqa: E402
import net  # noqa: E402
import vmm_memory  # noqa: E402

MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng")
QEMU = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-enable-kvm", "-cpu", "host",
        "-M", "microvm,pcie=on,acpi=on,pit=off,pic=off,rtc=off,x-option-roms=off,isa-serial=on,auto-kernel-cmdline=off,memory-backend=ram"]
KERNEL = None  # the distribution's


def use_kernel(directory):
    """One of guest/build-kernel, which has no modules."""
    global KERNEL, MODULES
    KERNEL, MODULES = Path(directory) / "vmlinux", ()


def kernel():
    return KERNEL or guest.kernel()


CMDLINE = "console=ttyS0 quiet panic=-1 random.trust_cpu=on reboot=a"
TAP = "bench-t0"


class Peer:
    """A running guest with an empty disk, a tap, random numbers and a console port, whose script has the word."""

    def __init__(self, which, initrd, disk, mem_mib=256, cpus=1):
        out, serial = os.pipe()
        self.tap = net.Tap(TAP)
        self.disk = os.open(disk, os.O_RDWR)
        self.started = time.monotonic()
        self.process = {"berth-vmm": self._berth, "qemu": self._qemu}[which](initrd, serial, mem_mib, cpus, disk)
        os.close(serial)
        self.out, self.text = out, ""

    def _berth(self, initrd, serial, mem_mib, cpus, _):
        k, i = os.open(kernel(), os.O_RDONLY), os.open(initrd, os.O_RDONLY)
        plan = {"kernel_fd": k, "initrd_fd": i, "serial_fd": serial, "cpus": cpus, "mem_bytes": mem_mib << 20, "cmdline": CMDLINE,
                "devices": [{"rng": {}}, {"console": {"ports": [{"name": "port"}]}}, {"blk": {"fd": self.disk}}, self.tap.plan()]}
        fd = os.memfd_create("plan", 0)
        os.write(fd, json.dumps(plan).encode())
        os.lseek(fd, 0, os.SEEK_SET)
        p = subprocess.Popen([guest.VMM, "--config-fd", str(fd)], env=guest.environment(), pass_fds=[fd, k, i, serial, self.disk, *self.tap.fds])
        for f in (fd, k, i):
            os.close(f)
        return p

    def _qemu(self, initrd, serial, mem_mib, cpus, disk):
        args = [*QEMU, "-m", str(mem_mib), "-smp", str(cpus), "-object", f"memory-backend-ram,id=ram,size={mem_mib}M",
                "-kernel", str(kernel()), "-initrd", str(initrd), "-append", CMDLINE, "-serial", f"file:/proc/self/fd/{serial}",
                "-device", "virtio-rng-pci", "-device", "virtio-serial-pci", "-chardev", "null,id=port", "-device", "virtserialport,chardev=port,name=port",
                "-object", "iothread,id=io", "-drive", f"file={disk},format=raw,if=none,id=disk,cache=writeback,aio=io_uring,discard=unmap",
                "-device", "virtio-blk-pci,drive=disk,iothread=io",
                "-netdev", f"tap,id=net,fd={self.tap.fds[0]}", "-device", "virtio-net-pci,netdev=net,mac=02:00:5e:10:00:01,romfile="]
        return subprocess.Popen(args, pass_fds=[serial, *self.tap.fds])

    def line(self, pattern, timeout=120):
        """The first line so far unread that fits."""
        deadline = time.monotonic() + timeout
        while True:
            while "\n" in self.text:
                line, self.text = self.text.split("\n", 1)
                if m := re.search(pattern, line):
                    return m
            ready, _, _ = select.select([self.out], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self.out, 65536).decode(errors="replace") if ready else ""
            if not chunk:
                raise RuntimeError(f"no {pattern!r} from the guest; exit {self.process.poll()}: {self.text[-2000:]}")
            self.text += chunk

    def end(self):
        self.process.kill()
        self.process.wait()
        for fd in (self.out, self.disk, *self.tap.fds):
            os.close(fd)
        # The tap goes with the last descriptor, which may be that of a process in the jail, whose end follows.
        deadline = time.monotonic() + 30
        while Path(f"/sys/class/net/{TAP}").exists():
            assert time.monotonic() < deadline, f"{TAP} stays"
            time.sleep(0.05)


def pss_beyond_ram(pid, mem_mib=256):
    """KiB of the process and its children, without the guest's memory."""
    pids = [pid, *Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return sum(vmm_memory.beyond_ram(vmm_memory.mappings(p), mem_mib << 20) for p in pids)


def scratch():
    return tempfile.TemporaryDirectory(dir="/var/tmp")


STAGE = re.compile(r"^ *([0-9.]+) ms +vmm +(.*)$", re.M)


def stages(said):
    """What --trace-startup printed: [(stage, when it was reached, how long it took)], in ms."""
    rows, before = [], 0.0
    for at, name in STAGE.findall(said):
        rows.append((name, float(at), float(at) - before))
        before = float(at)
    return rows
