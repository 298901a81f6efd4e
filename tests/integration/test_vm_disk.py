"""Disks of a user's own that a virtual machine is given (--disk), raw and qcow2, on both VMMs."""

import json
import os
import signal
import subprocess
import time

import pytest

import images
import leaks
from harness import Box, until

pytestmark = pytest.mark.vm

MIB = 1 << 20


@pytest.fixture
def vm(berth, image):
    b = Box(berth, "vm", image)
    yield b
    b.clean()


class Disk:
    """An image of 64 MiB, looked at from the host by the distribution's own tools."""

    def __init__(self, path, format):
        self.path, self.format = path, format
        self.option = f"{path},format={format}"
        self.make()

    def make(self, *options):
        images.tool("qemu-img", "create", "-q", "-f", self.format, *options, self.path, "64M")

    def raw(self):
        """Its contents."""
        if self.format == "raw":
            return self.path.read_bytes()
        flat = self.path.with_suffix(".flat")
        images.tool("qemu-img", "convert", "-f", self.format, "-O", "raw", self.path, flat)
        data = flat.read_bytes()
        flat.unlink()
        return data

    def fill(self, data):
        """Makes it anew, of these contents."""
        flat = self.path.with_suffix(".flat")
        flat.write_bytes(data)
        images.tool("qemu-img", "convert", "-f", "raw", "-O", self.format, flat, self.path)
        flat.unlink()

    def check(self, leaks=False):
        """Sound; without lost clusters, unless what wrote it was killed."""
        if self.format == "raw":
            return
        done = subprocess.run(["qemu-img", "check", "-f", self.format, "--output=json", self.path], capture_output=True, text=True)
        said = json.loads(done.stdout)
        assert not said.get("corruptions") and not said.get("check-errors"), done.stdout
        assert leaks or done.returncode == 0, done.stdout


@pytest.fixture(params=["raw", "qcow2"])
def disk(request, tmp_path):
    return Disk(tmp_path / "disk.img", request.param)


def ext4(tmp_path, name="fs"):
    path = tmp_path / name
    images.tool("mke2fs", "-q", "-F", "-t", "ext4", path, "64m")
    data = path.read_bytes()
    path.unlink()
    return data


def test_what_a_guest_writes_is_in_the_image_and_there_again_at_the_next_start(vm, disk, each_vmm, tmp_path):
    disk.fill(ext4(tmp_path))
    opts = ("--privileged", "--disk", disk.option)
    name = vm.name()
    vm.berth.ok("create", "--name", name, "--vm", *opts, vm.image, "sh", "-c",
                "mount -t ext4 /dev/vdc /mnt && cat /mnt/n 2>/dev/null; echo x >> /mnt/n; dd if=/dev/urandom of=/mnt/big bs=1M count=20 2>/dev/null; "
                "md5sum < /mnt/big | tee /mnt/sum; cat /sys/block/vdc/serial; echo")
    first = vm.berth.ok("start", "-a", name, timeout=120)
    disk.check()
    second = vm.berth.ok("start", "-a", name, timeout=120)
    assert first.split()[-1] == "disk0" and second.split()[0] == "x" and len(second.split()) == 4
    disk.check()
    # The host sees a sound file system with what was written: nobody asked the guest to sync.
    flat = tmp_path / "seen"
    flat.write_bytes(disk.raw())
    images.tool("e2fsck", "-fn", flat)
    assert images.tool("debugfs", "-R", "cat n", flat).endswith("x\nx\n")
    summed = images.tool("debugfs", "-R", "cat sum", flat).split("\n")[-2]
    images.tool("debugfs", "-R", f"dump big {tmp_path}/big", flat)
    assert images.tool("md5sum", tmp_path / "big").split()[0] == summed.split()[0]


def test_a_disk_of_a_container_that_is_removed_is_written_out_as_well(vm, disk, each_vmm):
    out = vm.sh("echo kept > /dev/vdc; ls -l /dev/vdc | cut -c1", opts=("--disk", disk.option))
    assert out == "b"
    assert disk.raw().startswith(b"kept\n")
    disk.check()


def test_a_readonly_disk_is_read_and_never_written(vm, disk, each_vmm):
    disk.fill(b"before".ljust(64 * MIB, b"\0"))
    before = disk.path.read_bytes()
    out = vm.sh("head -c 6 /dev/vdc; cat /sys/block/vdc/ro; echo after > /dev/vdc; dd if=/dev/zero of=/dev/vdc bs=4k count=1 conv=fsync; "
                "mknod /dev/mine b $((0x$(stat -c %t /dev/vdc))) $((0x$(stat -c %T /dev/vdc))) && echo after > /dev/mine; echo $?",
                opts=("--privileged", "--disk", f"{disk.option},readonly"))
    assert out.startswith("before1") and not out.endswith("0")
    assert disk.path.read_bytes() == before


def test_several_disks_have_the_names_of_their_order(vm, each_vmm, tmp_path):
    disks = [Disk(tmp_path / f"{k}.img", format) for k, format in enumerate(("raw", "qcow2", "raw"))]
    opts = [w for d in disks for w in ("--disk", d.option)]
    name = vm.start("sleep", "100000", opts=opts)
    vm.berth.ok("exec", name, "sh", "-c", "for d in c d e; do echo $d > /dev/vd$d; done; sync")
    shown = vm.berth.inspect(name)["HostConfig"]["Disks"]
    assert [(s["Path"], s["Format"], s["Device"], s["RW"]) for s in shown] == \
        [(str(d.path), d.format, f"/dev/vd{c}", True) for d, c in zip(disks, "cde")]
    assert vm.berth.ok("exec", name, "sh", "-c", "cat /sys/block/vd[c-e]/serial") == "disk0disk1disk2"
    vm.berth.ok("rm", "-f", name)
    assert [d.raw()[:2] for d in disks] == [b"c\n", b"d\n", b"e\n"]


def test_what_was_synced_survives_the_end_of_everything(vm, disk, each_vmm):
    name = vm.start("sleep", "100000", opts=("--disk", disk.option))
    vm.berth.ok("exec", name, "sh", "-c", "dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\\0' 'k' | dd of=/dev/vdc bs=1M conv=fsync 2>/dev/null")
    state = vm.berth.state(name)
    monitor = vm.berth.monitor_pid(vm.berth.inspect(name)["Id"])
    group = cgroup_of(state["Pid"])
    for pid in [monitor, *group]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    until(lambda: not [p for p in group if os.path.exists(f"/proc/{p}")], "all have ended")
    assert disk.raw()[:8 * MIB + 1] == b"k" * (8 * MIB) + b"\0"
    disk.check(leaks=True)
    assert vm.berth.state(name)["Status"] != "running"
    nothing_is_left(vm, name)


def nothing_is_left(vm, name):
    """Of a VM that has ended, but for its record."""
    until(lambda: vm.berth.state(name)["Status"] != "running", "its end is seen")
    id = vm.berth.inspect(name)["Id"]
    until(lambda: not leaks.processes(id), "no process is left")
    assert not [c for c in leaks.cgroups() if id in str(c)]
    assert "berth-storage" not in open("/proc/self/mountinfo").read()


def storage_of(vmm):
    return [p for p in cgroup_of(vmm) if "qemu-storage-daemon" in open(f"/proc/{p}/cmdline").read()]


@pytest.mark.parametrize("victim", ["monitor", "vmm", "storage"])
def test_whoever_is_killed_leaves_nothing_and_loses_nothing_that_was_synced(vm, each_vmm, tmp_path, victim):
    disk = Disk(tmp_path / "disk.img", "qcow2")
    if victim == "storage" and each_vmm == "qemu":
        pytest.skip("QEMU opens its images itself")
    name = vm.start("sleep", "100000", opts=("--disk", disk.option))
    vm.berth.ok("exec", name, "sh", "-c", "echo synced | dd of=/dev/vdc bs=512 conv=sync,fsync 2>/dev/null")
    pid = vm.berth.state(name)["Pid"]
    storage = storage_of(pid)
    assert len(storage) == (each_vmm == "berth-vmm")
    os.kill({"monitor": vm.berth.monitor_pid(vm.berth.inspect(name)["Id"]), "vmm": pid, "storage": (storage or [0])[0]}[victim], signal.SIGKILL)
    if victim == "storage":
        until(lambda: any("qemu-storage-daemon has ended (signal 9): the guest gets I/O errors" in l for l in vm.berth.inspect(name)["MonitorLog"]),
              "its end is told")
        done = vm.berth("exec", name, "sh", "-c", "dd if=/dev/zero of=/dev/vdc bs=4k count=1 conv=fsync 2>&1")
        assert done.code and "Input/output error" in done.out, done
        vm.berth.ok("stop", "-t", "1", name, timeout=120)
    nothing_is_left(vm, name)
    assert disk.raw().startswith(b"synced\n")
    disk.check(leaks=True)
    vm.berth.ok("start", name, timeout=120)
    assert vm.berth.ok("exec", name, "head", "-c", "7", "/dev/vdc") == "synced"


def test_zeroes_that_the_guest_asks_for_are_zeroes(vm, disk, each_vmm):
    """Of a part of a cluster too, and whether or not its space may be given back: a hole (3) and a range (17) of the device's."""
    name = vm.start("sleep", "100000", opts=("--privileged", "--disk", disk.option))
    out = vm.berth.ok("exec", name, "sh", "-c",
                      "dd if=/dev/zero bs=1M count=4 2>/dev/null | tr '\\0' x | dd of=/dev/vdc bs=1M conv=fsync 2>/dev/null; "
                      "cat /sys/block/vdc/queue/write_zeroes_max_bytes; probe fallocate /dev/vdc 3 4096 4096; probe fallocate /dev/vdc 17 16384 4096; "
                      "sync; echo 3 > /proc/sys/vm/drop_caches; head -c 24576 /dev/vdc | tr '\\0' 0 | fold -w 4096 | cut -c1")
    size, *rows = out.split()
    assert int(size) > 0 and rows == ["OK", "OK", *"x0xx0x"]
    vm.berth.ok("rm", "-f", name)
    data = disk.raw()
    assert data[4095:4097] == b"x\0" and data[8191:8193] == b"\0x"
    disk.check()


def cgroup_of(pid):
    mine = open(f"/proc/{pid}/cgroup").read()
    found = []
    for p in os.listdir("/proc"):
        try:
            if p.isdigit() and open(f"/proc/{p}/cgroup").read() == mine:
                found.append(int(p))
        except OSError:  # has ended meanwhile
            pass
    return found


def test_one_vm_writes_or_many_read(vm, disk, each_vmm):
    first = vm.start("sleep", "100000", opts=("--disk", disk.option))
    for words in ("", ",readonly"):
        done = vm.berth("run", "--rm", "--vm", "--disk", disk.option + words, vm.image, "true", timeout=120)
        assert done.code == 125 and f"disk {disk.path}: another virtual machine or program" in done.err and done.err.count("\n") == 1, done
    vm.berth.ok("rm", "-f", first)
    readers = [vm.start("sleep", "100000", opts=("--disk", disk.option + ",readonly")) for _ in range(2)]
    done = vm.berth("run", "--rm", "--vm", "--disk", disk.option, vm.image, "true", timeout=120)
    assert done.code == 125 and str(disk.path) in done.err, done
    vm.berth.ok("rm", "-f", *readers)


def test_V08_what_is_raw_is_never_taken_for_anything_else(vm, tmp_path):
    """A guest that writes what a qcow2 image begins with, naming a file of the host."""
    evil = Disk(tmp_path / "evil.qcow2", "raw")
    (tmp_path / "secret").write_bytes(b"s" * MIB)
    images.tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", tmp_path / "secret", "-F", "raw", evil.path)
    for words in ("", ",format=raw", ",readonly"):
        vm.berth.fails("create", "--vm", "--disk", f"{evil.path}{words}", vm.image, "true", says=(str(evil.path), "format=qcow2"))
    vm.berth.fails("create", "--vm", "--disk", f"{evil.path},format=qcow2", vm.image, "true", says=("backing file", "qemu-img rebase"))
    images.tool("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path}/data", evil.path, "1M")
    vm.berth.fails("create", "--vm", "--disk", f"{evil.path},format=qcow2", vm.image, "true", says=("in another file", "qemu-img convert"))


def test_V08_an_image_that_changed_since_it_was_given_is_looked_at_again(vm, disk, tmp_path):
    name = vm.name()
    vm.berth.ok("create", "--name", name, "--vm", "--disk", disk.option, vm.image, "true")
    images.tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", tmp_path / "other", "-F", "raw", "-u", disk.path, "64M")
    done = vm.berth("start", "-a", name, timeout=120)
    assert done.code and str(disk.path) in done.err and ("backing file" if disk.format == "qcow2" else "format=qcow2") in done.err, done


def test_a_disk_is_a_virtual_machines_alone_and_no_copys(vm, disk):
    vm.berth.fails("create", "--disk", disk.option, vm.image, "true", says=("--disk", "--isolation vm"))
    pod = vm.berth.ok("pod", "create", "--isolation", "vm").strip()
    vm.berth.fails("create", "--pod", pod, "--disk", disk.option, vm.image, "true", says=("--disk", "--pod"))
    vm.berth.ok("pod", "rm", "-f", pod)
    name = vm.start("sleep", "100000", opts=("--disk", disk.option))
    vm.berth.fails("fork", name, says=(str(disk.path), "without --disk"))
    vm.berth.fails("snapshot", "create", name, says=(str(disk.path), "without --disk"))


def test_a_disk_is_as_slow_as_was_asked_for(vm, disk, each_vmm):
    name = vm.start("sleep", "100000", opts=("--disk", f"{disk.option},bps=4m"))
    began = time.monotonic()
    vm.berth.ok("exec", name, "dd", "if=/dev/zero", "of=/dev/vdc", "bs=1M", "count=16", "conv=fsync", timeout=120)
    assert time.monotonic() - began > 2.5
