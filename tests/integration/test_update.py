"""`berth update`: other limits for what runs, and for its later starts."""

import os
import time

import pytest

from harness import Box
from test_limits import knob


def limits(box, name):
    """Memory and pids as the container's own cgroup has them, read from inside."""
    out = box.berth.ok("exec", name, "sh", "-c", "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max 2>/dev/null || "
                       "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max")
    return [int(x) for x in out.split()]


def test_limits_change_while_it_runs_and_stay_at_the_next_start(box):
    name = box.start("sleep", "1000", opts=("--memory", "200m", "--pids-limit", "90"))
    assert limits(box, name) == [200 << 20, 90]
    assert box.berth.ok("update", "--memory", "128m", "--pids-limit", "55", name) == name
    assert limits(box, name) == [128 << 20, 55]
    host = box.berth.inspect(name)["HostConfig"]
    assert host["Memory"] == 128 << 20 and host["PidsLimit"] == 55 and host["MemorySwap"] == 256 << 20
    box.berth.ok("restart", "-t", "0", name, timeout=120)
    assert limits(box, name) == [128 << 20, 55]


def test_what_does_not_run_gets_them_at_its_start(box):
    name = box.name()
    box.berth.ok("create", "--isolation", box.isolation, "--network", "none", "--name", name, "--memory", "100m", box.image, "sleep", "1000",
                 timeout=120)
    box.berth.ok("update", "--memory", "150m", name)
    box.berth.ok("start", name, timeout=120)
    assert limits(box, name)[0] == 150 << 20


def test_what_is_refused_changes_nothing(cbox):
    name = cbox.start("sleep", "1000", opts=("--memory", "100m", "--memory-swap", "120m"))
    for opts, word in (((), "--memory"), (("--memory", "1k"), "6m"), (("--memory", "200m"), "swap"), (("--cpuset-cpus", "x"), "cpuset"),
                       (("--cpus", "100000"), "this host"), (("--restart", "sometimes"), "restart"), (("--pids-limit", "-5"), "pids")):
        cbox.berth.fails("update", *opts, name, says=word)
    cbox.berth.fails("update", "--memory", "64m", "no-such", says="no-such")
    assert limits(cbox, name)[0] == 100 << 20
    assert cbox.berth.inspect(name)["HostConfig"]["Memory"] == 100 << 20


def test_shares_and_sets_are_the_hosts(cbox):
    name = cbox.start("sleep", "1000")
    ident = cbox.berth.inspect(name)["Id"]
    cbox.berth.ok("update", "--cpu-shares", "512", "--cpus", "0.5", "--cpuset-cpus", "0", name)
    assert knob(ident, "cpu/cpu.shares", "cpu.weight") in ("512", "20")
    assert knob(ident, "cpu/cpu.cfs_quota_us", "cpu.max") in ("50000", "50000 100000")
    assert knob(ident, "cpuset/cpuset.cpus", "cpuset.cpus") == "0"


@pytest.fixture
def vm(berth, image):
    box = Box(berth, "vm", image)
    yield box
    box.clean()


def is_own(box, name):
    return box.berth.inspect(name)["Vmm"] == "berth-vmm"


def total(box, name):
    """What the guest's kernel has, in MiB."""
    return int(box.berth.ok("exec", name, "sh", "-c", "awk '/MemTotal/ { print $2 }' /proc/meminfo")) >> 10


def has(box, name, mib):
    """Whether its kernel comes to use so much: it does a moment after it was given it."""
    deadline = time.monotonic() + 30
    while total(box, name) < mib and time.monotonic() < deadline:
        time.sleep(0.5)
    return total(box, name) >= mib


def wall(ident):
    """The VMM's own limit on the host, in MiB."""
    return int(knob(ident, "memory/memory.limit_in_bytes", "memory.max")) >> 20


@pytest.mark.vm
def test_a_vm_grows_and_shrinks_while_it_runs(vm):
    name = vm.start("sleep", "1000", opts=("--memory", "128m", "--memory-max", "640m"))
    if not is_own(vm, name):
        pytest.skip("QEMU's can't")
    ident, small, limit = vm.berth.inspect(name)["Id"], total(vm, name), wall(vm.berth.inspect(name)["Id"])
    assert vm.berth.inspect(name)["HostConfig"]["MemoryMax"] == 640 << 20
    assert vm.berth("exec", name, "probe", "grow", "300").code == 137
    vm.berth.fails("update", "--memory", "1g", name, says=("--memory-max", "640 MiB", "as well"))
    vm.berth.fails("update", "--memory", "1g", "--memory-max", "1g", name, says=("--memory", "640 MiB", "stop it"))
    assert limits(vm, name)[0] == 128 << 20 and total(vm, name) == small and wall(ident) == limit

    assert vm.berth.ok("update", "--memory", "512m", name, timeout=120) == name
    assert limits(vm, name)[0] == 512 << 20 and has(vm, name, small + 384)
    assert wall(ident) >= limit + 384
    assert vm.berth.inspect(name)["HostConfig"]["Memory"] == 512 << 20
    assert "grown" in vm.berth.ok("exec", name, "probe", "grow", "300")

    vm.berth.ok("update", "--memory", "128m", name, timeout=120)
    assert limits(vm, name)[0] == 128 << 20
    deadline = time.monotonic() + 60
    while wall(ident) != limit and time.monotonic() < deadline:
        time.sleep(0.5)
    assert wall(ident) == limit and total(vm, name) == small, "the guest has given all of it back"
    vm.berth.ok("update", "--memory", "640m", name, timeout=120)
    assert has(vm, name, small + 512)
    vm.berth.ok("restart", "-t", "0", name, timeout=120)
    assert limits(vm, name)[0] == 640 << 20 and total(vm, name) >= small + 512


@pytest.mark.vm
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two processors")
def test_a_vm_gets_processors_while_it_runs(vm):
    name = vm.start("sleep", "1000", opts=("--memory", "128m", "--cpus-max", "2"))
    if not is_own(vm, name):
        pytest.skip("QEMU's can't")
    assert vm.berth.ok("exec", name, "nproc") == "1"
    vm.berth.ok("update", "--cpus", "2", name)
    assert vm.berth.ok("exec", name, "nproc") == "2"
    vm.berth.ok("update", "--cpus", "0.5", name)
    assert vm.berth.ok("exec", name, "nproc") == "1"
    assert vm.berth.inspect(name)["HostConfig"]["CpusMax"] == 2


@pytest.mark.vm
def test_a_vm_without_room_can_not_grow_while_it_runs(vm):
    name = vm.start("sleep", "1000", opts=("--memory", "128m", "--memory-max", "128m"))
    vm.berth.fails("update", "--memory", "256m", "--memory-max", "1g", name, says=("--memory", "stop it"))
    if (os.cpu_count() or 1) > 1:
        vm.berth.fails("update", "--cpus", "2", name, says=("--cpus", "stop it"))
    assert limits(vm, name)[0] == 128 << 20


def test_how_far_a_vm_may_grow_is_no_option_of_containers(cbox):
    for option in (("--memory-max", "1g"), ("--cpus-max", "1")):
        cbox.berth.fails("create", "--network", "none", *option, cbox.image, "true", says="virtual machines")
    name = cbox.start("sleep", "1000")
    cbox.berth.fails("update", "--memory-max", "1g", name, says="virtual machines")
    cbox.berth.fails("create", "--isolation", "vm", "--memory", "1g", "--memory-max", "512m", cbox.image, "true", says="--memory-max")
