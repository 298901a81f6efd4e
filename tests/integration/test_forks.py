"""Many copies of one running machine, all or none; and what a machine costs that has nothing to do. Whole guests on berth-vmm need a KVM that
is good for them (`./check lab-vm` makes one)."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from harness import Box, until

pytestmark = pytest.mark.vm
COUNT = 50
IDENTITY = "hostname; cat /etc/hostname /etc/machine-id /proc/sys/kernel/random/boot_id; head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \\n'; echo"


@pytest.fixture(scope="module")
def machine(berth):
    """A VM on berth-vmm that does nothing, and its name; or the tests are skipped."""
    import images

    os.environ.setdefault("BERTH_VM_BOOT_TIMEOUT", "240s")
    berth.ok("load", "-q", "-i", images.base_layout())
    b = Box(berth, "vm", "base:latest")
    name = b.start("sleep", "100000", opts=("--memory", "64m"))
    try:
        if berth.ok("vm", "inspect", "-f", "{{.VMM}}", name) != "berth-vmm":
            pytest.skip("no KVM here that is good for whole guests")
        berth.ok("exec", name, "sh", "-c", "echo 0123456789abcdef0123456789abcdef >/etc/machine-id")
        yield name
    finally:
        left = [n for n in berth.ok("ps", "-a", "--format", "{{.Names}}").split() if n.startswith(f"{name}-")]
        if left:
            berth("rm", "-f", *left, timeout=600)
        b.clean()


def exits(berth, name):
    return sum(json.loads(berth.ok("vm", "inspect", "-f", "json", name))["Exits"].values())


def smaps(pid):
    text = open(f"/proc/{pid}/smaps_rollup").read()
    return {k: int(v) for k, v in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}


def names_of(berth, prefix):
    return [n for n in berth.ok("ps", "-a", "--format", "{{.Names}}").split() if n.startswith(prefix)]


def alone(berth, name):
    """Nothing is here but the one machine: no record, directory, process or cgroup of another."""
    ident = berth.inspect(name)["Id"]
    until(lambda: [p.name for p in (berth.root / "containers").iterdir()] == [ident], "the copies' directories are gone")
    until(lambda: [p.name for p in (berth.run_dir / "containers").iterdir()] == [ident], "the copies' run state is gone")
    assert names_of(berth, "") == [name]
    until(lambda: len(monitors(berth)) == 1, "the copies' monitors are gone")
    assert berth.ok("exec", name, "echo", "here") == "here"


def monitors(berth):
    found = []
    for p in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = p.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"berth-monitor") and str(berth.root).encode() in words:
            found.append(p)
    return found


def test_an_idle_machine_asks_its_vmm_for_nothing(berth, machine):
    seen = exits(berth, machine)
    time.sleep(10)
    assert exits(berth, machine) - seen < 50  # a serial port that is looked at makes a thousand


def test_fifty_forks_are_machines_of_their_own(berth, machine):
    prefix = f"{machine}-f"
    began = time.monotonic()
    r = berth("fork", machine, "--count", COUNT, "--name", prefix, timeout=900)
    took = time.monotonic() - began
    assert r.code == 0, r
    print(f"{r.err.strip()}; {COUNT} copies in {took:.1f} s, {took / COUNT * 1000:.0f} ms each")
    ids, names = r.out.split(), [f"{prefix}-{k}" for k in range(1, COUNT + 1)]
    assert [c["Id"] for c in json.loads(berth.ok("inspect", *names))] == ids and len(set(ids)) == COUNT
    states = [c["State"] for c in json.loads(berth.ok("inspect", *names))]
    assert {s["Status"] for s in states} == {"running"}, [s for s in states if s["Status"] != "running"]
    assert len({s["Pid"] for s in states}) == COUNT
    rows = [smaps(s["Pid"]) for s in states]
    for k in (0, 1, COUNT // 2 - 1, COUNT - 1):
        print(f"copy {k + 1}: {rows[k]['Pss']} KiB of PSS, {rows[k]['Private_Dirty']} of that written by itself")
    for s in rows:  # what it has not written it shares with all
        assert s["Pss"] < s["Private_Dirty"] + 2048, s
    who = [berth.ok("exec", n, "sh", "-c", IDENTITY, timeout=240).split("\n") for n in (machine, *names)]
    for what, values in zip(("host name", "/etc/hostname", "machine id", "boot id", "random bytes"), zip(*who)):
        assert len(set(values)) == COUNT + 1, (what, values)
    assert [w[0] for w in who[1:]] == [i[:12] for i in ids]
    states = [c["State"] for c in json.loads(berth.ok("inspect", machine, *names))]
    assert {s["Status"] for s in states} == {"running"}, [s for s in states if s["Status"] != "running"]
    began = time.monotonic()
    berth.ok("rm", "-f", *names, timeout=900)
    print(f"removed in {time.monotonic() - began:.1f} s")
    alone(berth, machine)


def test_a_name_that_is_taken_is_told_before_anything_is_made(berth, machine):
    prefix = f"{machine}-t"
    taken = f"{prefix}-17"
    berth.ok("create", "--name", taken, "base:latest", "true")
    berth.fails("fork", machine, "--count", "20", "--name", prefix, says=(f"the name {taken} is in use", "--name"))
    assert names_of(berth, prefix) == [taken]
    berth.ok("rm", taken)
    alone(berth, machine)


def test_a_name_that_is_taken_meanwhile_leaves_none_of_the_copies(berth, machine):
    prefix = f"{machine}-m"
    p = berth.popen("fork", machine, "--count", "12", "--name", prefix)
    until(lambda: f"{prefix}-2" in names_of(berth, prefix), "the second copy is there")
    berth.ok("create", "--name", f"{prefix}-12", "base:latest", "true")
    out, err = p.communicate(timeout=600)
    assert p.returncode == 125 and out == b"" and err.count(b"\n") == 1, (p.returncode, out, err)
    assert b"copy 12 of 12, and none is left: " in err and f"{prefix}-12".encode() in err, err
    assert names_of(berth, prefix) == [f"{prefix}-12"]
    berth.ok("rm", f"{prefix}-12")
    alone(berth, machine)


@pytest.mark.parametrize("copies", (0, 1, 3))
def test_a_fork_that_is_killed_leaves_none_of_the_copies(berth, machine, copies):
    prefix = f"{machine}-k{copies}"
    p = berth.popen("fork", machine, "--count", "20", "--name", prefix)
    if copies:
        until(lambda: f"{prefix}-{copies}" in names_of(berth, prefix), "so many copies are there")
    else:
        until(lambda: any(n.startswith("fork-") for n in os.listdir(berth.root / "tmp")), "it has begun")
    p.send_signal(signal.SIGKILL)
    assert p.wait() == -signal.SIGKILL
    alone(berth, machine)
    one = f"{prefix}-next"
    berth.ok("fork", machine, "--name", one, timeout=240)  # which removes what was copied of the parent
    assert not [n for n in os.listdir(berth.root / "tmp") if "fork-" in n]
    berth.ok("rm", "-f", one)
    alone(berth, machine)


def test_a_copy_that_dies_before_all_run_takes_the_others_with_it(berth, machine):
    prefix = f"{machine}-d"
    p = berth.popen("fork", machine, "--count", "12", "--name", prefix)
    until(lambda: berth("inspect", "-f", "{{.State.Status}}", f"{prefix}-2").out == "running\n", "the second copy runs")
    os.kill(berth.state(f"{prefix}-2")["Pid"], signal.SIGKILL)
    out, err = p.communicate(timeout=600)
    assert p.returncode == 125 and out == b"" and err.count(b"\n") == 1, (p.returncode, out, err)
    assert b"copy 2 of 12, and none is left: the virtual machine was killed from outside by SIGKILL" in err, err
    alone(berth, machine)


def test_no_room_on_the_disk_leaves_none_of_the_copies(berth, machine):
    """A limit on how long a file of ours may become stops the copying of a disk as a full disk does."""
    r = berth.popen("fork", machine, "--count", "3", preexec_fn=lambda: limit_files(1 << 20))
    out, err = r.communicate(timeout=240)
    assert r.returncode == 125 and out == b"" and err.count(b"\n") == 1 and b"disk" in err, (r.returncode, out, err)
    alone(berth, machine)


def limit_files(most):
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
