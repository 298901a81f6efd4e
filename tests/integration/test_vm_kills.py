"""The VMM or its monitor killed at any moment of a start and after it: with the next command nothing of the VM is left on the host.

BERTH_TEST_KILLS says how many of each (./check lab-vm-long: 20), BERTH_TEST_SEED which moments."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

import images
import leaks
from harness import PATIENCE, Box, until

pytestmark = pytest.mark.vm

KILLS = int(os.environ.get("BERTH_TEST_KILLS", 2))
VMMS = ("berth-vmm", "qemu-system-x86")
STORAGE = "qemu-storage-daemon"[:15]  # as a comm


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
    named = {pid: parent for pid, parent, comm, cmdline in rows if comm == "berth-monitor" and str(vm.berth.run_dir) in cmdline}
    monitors = [pid for pid, parent in named.items() if parent not in named]  # a child that is about to be something else has the name still
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
            "processes": sorted(pid for pid, _, comm, cmdline in running() if comm in (*VMMS, "virtiofsd", "berth-fs", STORAGE, "berth-monitor"))}


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


def image_of(tmp_path):
    images.tool("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "disk.qcow2", "64M")
    return tmp_path / "disk.qcow2"


def test_F03_a_daemon_of_disks_killed_at_any_moment_fails_the_start_or_is_told_and_leaves_nothing(vm, boot_s, tmp_path):
    seed, image, n_killed = int(os.environ.get("BERTH_TEST_SEED", time.time())), image_of(tmp_path), 0
    moments = random.Random(seed)
    for i in range(KILLS):
        name, found = vm.name(), {}
        run = vm.berth.popen(*vm.args("sleep", "100000", opts=("-d", "--name", name, "--disk", f"{image},format=qcow2")))
        # The daemon lives from the first hundredth of a start on.
        time.sleep(moments.choice((0, moments.uniform(0, boot_s * 1.2))))
        while STORAGE not in found and run.poll() is None:
            found = find(vm)
        if STORAGE not in found and VMMS[1] in [comm for _, _, comm, _ in running()]:
            run.communicate(timeout=120 * PATIENCE)
            vm.berth.ok("rm", "-f", name)
            pytest.skip("QEMU opens its images itself")
        found = find(vm)
        if STORAGE in found:
            os.kill(found[STORAGE], signal.SIGKILL)
            n_killed += 1
        _, err = run.communicate(timeout=120 * PATIENCE)
        what = f"seed {seed} #{i}: run {run.returncode}, {err.decode(errors='replace').strip()}"
        print(what, flush=True)
        if run.returncode == 0:
            until(lambda: any("qemu-storage-daemon has ended" in l for l in vm.berth.inspect(name)["MonitorLog"]), "its end is told")
        else:
            assert run.returncode == 125 and b"qemu-storage-daemon" in err, what
        assert vm.berth("rm", "-f", name).code == 0
        left = lambda: {k: v for k, v in ours(vm).items() if v} | {p: "alive" for p in found.values() if not is_gone(p)}
        until(lambda: not left(), f"{what}: all is as it was: {left()}")
        images.tool("qemu-img", "check", "-q", "-r", "leaks", "-f", "qcow2", image)
    assert n_killed > 0


@pytest.mark.parametrize("victim", ["vmm", "monitor"])
def test_F02_F03_killed_at_any_moment_it_leaves_nothing_behind(vm, boot_s, victim, tmp_path):
    seed = int(os.environ.get("BERTH_TEST_SEED", time.time()))
    moments = random.Random(seed)
    before, n_killed = host(), 0
    opts = (("--disk", f"{image_of(tmp_path)},format=qcow2"), ("-v", f"{tmp_path}:/v"), ())  # and their servers
    for i in range(KILLS):
        name, what, pids = a_kill(vm, victim, moments.uniform(0, boot_s * 1.2), boot_s, opts[i % 3])
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
