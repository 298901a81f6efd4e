"""What only a virtual machine can do wrong: its kernel, its boot, its VMM."""

import json
import os
import re
import shutil
import signal
import time

import pytest

import leaks
from harness import Box, until

pytestmark = pytest.mark.vm


@pytest.fixture
def vm(berth, image):
    b = Box(berth, "vm", image)
    yield b
    b.clean()


def vmm_pid(vm, name):
    return vm.berth.state(name)["Pid"]


def test_the_kernel_is_another_and_the_hosts_processes_are_out_of_sight(vm):
    out = vm.sh("uname -r; cat /proc/cmdline; ps -o pid= | wc -l")
    release, cmdline, count = out.strip().splitlines()
    assert release != os.uname().release
    assert "console=ttyS0" in cmdline
    assert int(count) < 6


def test_a_panic_is_told_as_one(vm):
    name = vm.start("sleep", "100000", opts=("--privileged",))
    vm.berth("exec", "--privileged", name, "sh", "-c", "echo c > /proc/sysrq-trigger; sleep 100", timeout=60)
    assert vm.berth.ok("wait", name, timeout=60).strip() == "137"
    state = vm.berth.state(name)
    assert "the guest kernel panicked: sysrq triggered crash" in state["Error"]


def test_a_killed_vmm_is_told_as_killed(vm):
    name = vm.start("sleep", "100000")
    os.kill(vmm_pid(vm, name), signal.SIGKILL)
    vm.berth.ok("wait", name, timeout=60)
    assert "killed from outside by SIGKILL" in vm.berth.state(name)["Error"]


def test_V16_a_console_flood_does_not_grow_the_monitor(vm):
    name = vm.start("sleep", "100000", opts=("--privileged",))
    pid = vm.berth.monitor_pid(vm.berth.inspect(name)["Id"])

    def rss_kib():
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])

    script = "echo 8 > /proc/sys/kernel/printk; i=0; while [ $i -lt 4000 ]; do echo $i 0123456789012345678901234567890123456789012345; i=$((i+1)); done > /dev/kmsg"
    before = rss_kib()
    vm.berth("exec", "--privileged", name, "mknod", "/dev/kmsg", "c", "1", "11")
    vm.berth.ok("exec", "--privileged", name, "sh", "-c", script, timeout=120)
    vm.berth.ok("exec", "--privileged", name, "sh", "-c", "for i in 1 2 3; do echo t > /proc/sysrq-trigger; done", timeout=120)
    assert rss_kib() - before < 1024


@pytest.mark.parametrize("path, says", [
    ("/etc/passwd", "not a Linux kernel"),
    ("/nowhere/vmlinuz", "/nowhere/vmlinuz: No such file"),
    ("/etc", "not a file"),
])
def test_a_wrong_kernel_file_is_named(vm, path, says):
    vm.berth.fails("run", "--rm", "--vm", "--kernel", path, vm.image, "true", says=("--kernel", says))


def test_V18_a_damaged_kernel_is_refused(vm, tmp_path):
    good = next((vm.berth.root / "kernels").glob("*/kernel"), None) or pytest.skip("no kernel was fetched yet")
    bad = tmp_path / "vmlinuz"
    data = bytearray(good.read_bytes()[:4096])
    bad.write_bytes(data)
    vm.berth.fails("run", "--rm", "--vm", "--kernel", bad, vm.image, "true", says=("--kernel",))


def test_a_boot_that_takes_too_long_is_ended(vm):
    done = vm.berth("run", "--rm", "--vm", vm.image, "true", env={"BERTH_VM_BOOT_TIMEOUT": "50ms"}, timeout=60)
    assert done.code == 125
    assert "the guest did not boot within" in done.err and "BERTH_VM_BOOT_TIMEOUT" in done.err
    until(lambda: not [p for p in leaks.processes(vm.berth.root) if "qemu" in p], "the VMM is gone")


def test_a_false_boot_timeout_is_named(vm):
    done = vm.berth("run", "--rm", "--vm", vm.image, "true", env={"BERTH_VM_BOOT_TIMEOUT": "soon"}, timeout=60)
    assert done.code == 125 and "BERTH_VM_BOOT_TIMEOUT=soon" in done.err


def test_the_note_about_emulation_says_why_and_info_says_the_same(vm):
    why = json.loads(vm.berth.ok("info", "--format", "{{json .Isolations}}"))["vm"]
    done = vm.berth("run", "--rm", "--vm", vm.image, "true", timeout=120)
    assert done.code == 0
    if why == "available":
        assert "emulated" not in done.err
    else:
        assert why.startswith("no hardware virtualisation (") and f"berth: {why}" in done.err


def test_the_guests_kernel_draws_entropy_from_the_host(vm):
    assert vm.sh("cat /sys/class/misc/hw_random/rng_current").strip() == "virtio_rng.0"


def test_the_accelerator_can_be_asked_for(vm):
    done = vm.berth("run", "--rm", "--vm", vm.image, "true", env={"BERTH_VM_ACCEL": "tcg"}, timeout=120)
    assert done.code == 0 and "BERTH_VM_ACCEL=tcg" in done.err
    done = vm.berth("run", "--rm", "--vm", vm.image, "true", env={"BERTH_VM_ACCEL": "xen"}, timeout=60)
    assert done.code == 125 and "BERTH_VM_ACCEL=xen: kvm and tcg are known" in done.err


def test_the_hosts_network_is_refused(vm):
    vm.berth.fails("run", "--rm", "--vm", "--network", "host", vm.image, "true", says=("--network host",))


def test_a_volume_of_one_file_and_a_read_only_one(vm, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("in a directory\n")
    (tmp_path / "one").write_text("a file\n")
    out = vm.sh("cat /ro/f /etc/one; echo more >> /etc/one; touch /ro/x || echo refused; mount -o remount,rw /ro 2>&1; touch /ro/x || echo refused",
                opts=("-v", f"{tmp_path}/d:/ro:ro", "-v", f"{tmp_path}/one:/etc/one", "--privileged"))
    assert out.count("refused") == 2, "the host enforces what the guest can undo"
    assert (tmp_path / "one").read_text() == "a file\nmore\n"
    assert os.listdir(tmp_path / "d") == ["f"]


def test_two_volumes_of_different_file_systems_are_never_the_same_file(vm, tmp_path):
    shm = f"/dev/shm/berth-test-{os.getpid()}"
    os.mkdir(shm)
    try:
        assert vm.sh("stat -c %d:%i /a /b | sort -u | wc -l", opts=("-v", f"{shm}:/a", "-v", f"{tmp_path}:/b")).strip() == "2"
    finally:
        shutil.rmtree(shm)


def test_what_a_container_wrote_is_there_when_it_starts_again(vm):
    name = vm.name()
    assert vm.berth("run", "--name", name, "--vm", vm.image, "sh", "-c", "cat /kept 2>/dev/null || echo written > /kept", timeout=120).code == 0
    done = vm.berth("start", "-a", name, timeout=120)
    assert done.out == "written\n"
    vm.berth.ok("rm", name)


def test_the_vmm_is_held_from_outside(vm):
    name = vm.start("sleep", "100000", opts=("--memory", "64m"))
    pid = vmm_pid(vm, name)
    path = next((l.split(":", 2)[2].strip() for l in open(f"/proc/{pid}/cgroup") if ":memory:" in l), None)
    if path is None:
        path = next(l.split(":", 2)[2].strip() for l in open(f"/proc/{pid}/cgroup") if l.startswith("0::"))
        limit = int(open(f"/sys/fs/cgroup{path}/memory.max").read())
    else:
        limit = int(open(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").read())
    assert 64 << 20 < limit < 1 << 30


def test_a_guest_keeps_the_clock(vm):
    guest = int(vm.sh("date +%s").strip())
    assert abs(guest - time.time()) < 120
