"""Each way in which a virtual machine ends is told apart: by the command's status, by inspect, by ps. Ends in early boot by kernels
of a few bytes, ends of a running guest by its own kernel's verbs."""

import json
import os
import struct
from pathlib import Path

import pytest

from harness import PATIENCE, Box, until

pytestmark = pytest.mark.vm

QEMU_ENDED = "the guest ended itself (a power-off or a reboot from inside, or a triple fault)"
BASE = 0x100000
# 32-bit code, entered as PVH says.
TRIPLE_FAULT = bytes.fromhex("0f011d10001000 cc") + bytes(8) + bytes(6)  # lidt of a table without entries; int3
HANG = bytes.fromhex("fa f4 ebfd")  # cli; 1: hlt; jmp 1b
POWER_OFF = bytes.fromhex("66ba0006 b034 ee ebfe")  # port 0x600, as berth-vmm's ACPI tables say


def panic(text: str) -> bytes:
    """Says it on the serial port, and then resets by a triple fault, as a kernel with panic=-1 may."""
    says = b"".join(bytes.fromhex("66baf803 b0") + bytes([c]) + b"\xee" for c in text.encode())
    lidt_at = len(says)
    table = BASE + lidt_at + 8
    return says + b"\x0f\x01\x1d" + struct.pack("<I", table) + b"\xcc" + bytes(8)


def kernel(code: bytes) -> bytes:
    """An ELF file with PVH's note (18: the 32-bit entry), and the words by which a Linux kernel's version is found."""
    head, entry = 64 + 2 * 56, 0x100
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", BASE)
    banner = b"Linux version 0.0-tiny \0"
    body = (note + banner).ljust(entry, b"\0") + code
    phdr = lambda kind, offset, addr, n, align: struct.pack("<IIQQQQQQ", kind, 7, offset, addr, addr, n, n, align)
    return struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, BASE, 64, 0, 0, 64, 56, 2, 0, 0, 0) + \
        phdr(1, head + entry, BASE, len(code), 1) + phdr(4, head, 0, len(note), 4) + body


@pytest.fixture
def vm(berth, image):
    b = Box(berth, "vm", image)
    yield b
    b.clean()


@pytest.fixture
def is_own(berth):
    """Whether berth-vmm carries it out here."""
    return json.loads(berth.ok("info", "--format", "{{json .Isolations}}"))["vm"] == "available"


@pytest.fixture
def run_kernel(vm, tmp_path):
    def run(code, **env):
        path = tmp_path / "vmlinux"
        path.write_bytes(kernel(code))
        return vm.berth("run", "--rm", "--vm", "--network", "none", "--kernel", path, vm.image, "true", env=env or None)
    return run


def failed(done, *says):
    assert done.code == 125 and done.err.count("\n") == 1, done
    for text in says:
        assert text in done.err, done


def test_a_triple_fault_in_early_boot_is_told(run_kernel, is_own):
    failed(run_kernel(TRIPLE_FAULT), "while it booted", "(a triple fault)" if is_own else "the guest ended itself")


def test_a_hang_in_early_boot_is_told(run_kernel):
    failed(run_kernel(HANG, BERTH_VM_BOOT_TIMEOUT="3s"), "the guest did not boot within 3.0 s", "BERTH_VM_BOOT_TIMEOUT")


def test_a_power_off_in_early_boot_is_told(run_kernel, is_own):
    if not is_own:
        pytest.skip("QEMU's machine switches off by another register")
    failed(run_kernel(POWER_OFF), "the guest switched itself off while it booted")


def test_a_panic_in_early_boot_is_told_with_its_text(run_kernel):
    failed(run_kernel(panic("Kernel panic - not syncing: no \x1bthing\r\n")), "the guest kernel panicked: no ")


@pytest.mark.parametrize("key, own, qemu", [
    ("o", "the guest switched itself off", QEMU_ENDED),
    ("b", "the guest reset itself (a reboot from inside)", QEMU_ENDED),
    ("c", "the guest kernel panicked: sysrq triggered crash", "the guest kernel panicked: sysrq triggered crash"),
], ids=("power-off", "reset", "panic"))
def test_the_end_of_a_running_guest_is_told_by_inspect_ps_and_status(vm, is_own, key, own, qemu):
    name = vm.name()
    p = vm.berth.popen(*vm.args("sh", "-c", "echo up; sleep 100000", opts=("--name", name, "--privileged")), stdin=None)
    assert os.read(p.stdout.fileno(), 100) == b"up\n", p.communicate()
    vm.berth("exec", "--privileged", name, "sh", "-c", f"echo {key} > /proc/sysrq-trigger; sleep 100", timeout=120)
    p.communicate(timeout=120 * PATIENCE)
    assert p.returncode == 137
    state = vm.berth.state(name)
    assert state["Status"] == "exited" and state["ExitCode"] == 137 and not state["Running"] and not state["OOMKilled"]
    assert state["Error"] == (own if is_own else qemu)
    row = next(line for line in vm.berth.ok("ps", "-a").splitlines() if name in line)
    assert "Exited (137)" in row


def cgroup_files(ident, v2, v1):
    return [*Path("/sys/fs/cgroup").glob(f"berth/{ident}/{v2}"), *Path("/sys/fs/cgroup/memory").glob(f"berth/{ident}/{v1}")]


def test_F09_a_vmm_that_its_hosts_memory_limit_kills_is_an_oom_kill(vm):
    """Less than the guest was promised, as where somebody has misjudged what a VMM needs: it dies of the next pages that its guest touches."""
    name = vm.start("sleep", "100000", opts=("--memory", "128m"))
    ident = vm.berth.inspect(name)["Id"]
    used, = cgroup_files(ident, "memory.current", "memory.usage_in_bytes")
    limit, = cgroup_files(ident, "memory.max", "memory.limit_in_bytes")
    limit.write_text(str(int(used.read_text()) + (4 << 20)))
    vm.berth("exec", name, "sh", "-c", "head -c 100000000 /dev/zero >/dev/shm/much")
    until(lambda: not vm.berth.state(name)["Running"], "it has ended")
    state = vm.berth.state(name)
    assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 137, True)
    assert state["Error"] == "the host's memory limit killed the virtual machine"
    assert vm.berth.ok("start", name) == name
