"""The VMM or its monitor killed at any moment of a start and after it: with the next command nothing of the VM is left on the host.

BERTH_TEST_KILLS says how many of each (./check lab-vm-long: 20), BERTH_TEST_SEED which moments."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

import leaks
from harness import PATIENCE, Box, until

pytestmark = pytest.mark.vm

KILLS = int(os.environ.get("BERTH_TEST_KILLS", 2))
VMMS = ("berth-vmm", "qemu-system-x86")


@pytest.fixture(scope="module")
def vm(berth, image):
    b = Box(berth, "vm", image)
    yield b
    b.clean()


def running():
    """(pid, parent, comm, command line) of every process but kernel threads and who has ended."""
    for p in Path("/proc").glob("[0-9]*"):
        try:
            stat, cmdline = (p / "stat").read_text(), (p / "cmdline").read_bytes()
        except OSError:
            continue
        comm, _, rest = stat.partition("(")[2].rpartition(")")
        state, parent = rest.split()[:2]
        if cmdline and state not in "ZX":
            yield int(p.name), int(parent), comm, cmdline.decode(errors="replace")


def find(vm):
    """This run's monitor and its children, by name: {"monitor": pid, "vmm": pid, "berth-fs": pid}, as far as they are there."""
    rows = list(running())
    monitors = [pid for pid, _, comm, cmdline in rows if comm == "berth-monitor" and str(vm.berth.run_dir) in cmdline]
    assert len(monitors) <= 1, monitors
    found = {"vmm" if comm in VMMS else comm: pid for pid, parent, comm, _ in rows if parent in monitors}
    return found | {"monitor": pid for pid in monitors}


def ours(vm):
    """What may be left of this session's, whoever else is at work on this host."""
    sockets = [line.split()[-1] for line in open("/proc/net/unix") if "/" in line]
    return {"processes": leaks.processes(vm.berth.run_dir), "mounts": leaks.mounts(vm.berth.run_dir),
            "sockets": [s for s in sockets if str(vm.berth.run_dir) in s],
            "cgroups": [str(c) for c in leaks.cgroups() if (vm.berth.root / "containers" / c.name).exists()]}


def host():
    """What may be left of anybody's; in the lab there is nobody else."""
    if os.environ.get("BERTH_LAB") != "1":
        return {}
    return {"interfaces": sorted(os.listdir("/sys/class/net")), "mounts": len(open("/proc/self/mountinfo").readlines()),
            "cgroups": sorted(map(str, leaks.cgroups())),
            "processes": sorted(pid for pid, _, comm, cmdline in running() if comm in (*VMMS, "virtiofsd", "berth-fs", "berth-monitor"))}


@pytest.fixture(scope="module")
def boot_s(vm):
    start = time.monotonic()
    vm.ok("true")
    return time.monotonic() - start


def is_gone(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def a_kill(vm, victim, delay, boot_s, opts):
    """Name, what happened as text, the pids that must be gone."""
    name, found = vm.name(), {}
    run = vm.berth.popen(*vm.args("sleep", "100000", opts=("-d", "--name", name, *opts)))
    time.sleep(delay)
    while victim not in found and run.poll() in (None, 0):  # if there is none yet: the first moment that there is
        found = find(vm)
    if victim in found:
        os.kill(found[victim], signal.SIGKILL)
    _, err = run.communicate(timeout=120 * PATIENCE)
    said = err.decode(errors="replace").strip().splitlines()[-1:]
    assert run.returncode in (0, 125), said
    vm.berth.ok("ps", "-a")  # the next command
    if vm.berth("inspect", name).code == 0:
        state = until(lambda: (s := vm.berth.state(name)) and not s["Running"] and s, f"{name} has ended", 60)
        assert state["ExitCode"] != 0, state
        said.append(f"{state['Status']} ({state['ExitCode']}) {state['Error']}")
    return name, f"{victim} {found.get(victim)} after {delay:.2f} s of {boot_s:.2f}: run {run.returncode}; {'; '.join(said)}", list(found.values())


@pytest.mark.parametrize("victim", ["vmm", "monitor"])
def test_F02_F03_killed_at_any_moment_it_leaves_nothing_behind(vm, boot_s, victim, tmp_path):
    seed = int(os.environ.get("BERTH_TEST_SEED", time.time()))
    moments = random.Random(seed)
    before, n_killed = host(), 0
    for i in range(KILLS):
        name, what, pids = a_kill(vm, victim, moments.uniform(0, boot_s * 1.2), boot_s, ("-v", f"{tmp_path}:/v") if i % 2 else ())  # and its server
        print(f"seed {seed} #{i}: {what}", flush=True)
        n_killed += bool(pids)
        left = lambda: {k: v for k, v in ours(vm).items() if v} | \
            {k: (before[k], v) for k, v in host().items() if v != before[k]} | {p: "alive" for p in pids if not is_gone(p)}
        try:
            until(lambda: not left(), "all is as it was")
        except AssertionError:
            raise AssertionError(f"seed {seed} #{i}: {what}: left: {left()}") from None
        assert vm.berth("rm", "-f", name).code == 0
        assert not list((vm.berth.run_dir / "containers").glob("*"))
        assert not list((vm.berth.root / "containers").glob("*"))
    assert n_killed > 0
