"""Limits under dockerd: set, read back from the cgroup, changed while it runs, and in force."""

import json
import re

import pytest

from engines import limit, size_to_bytes
from host import until

MEMORY = ("memory", "memory.limit_in_bytes", "memory.max")
PIDS = ("pids", "pids.max", "pids.max")
CPU = ("cpu", "cpu.cfs_quota_us", "cpu.max")
SHARES = ("cpu", "cpu.shares", "cpu.weight")


def pid(docker, name) -> int:
    """As this machine counts: the engine's host has numbers of its own."""
    inside = docker.inspect(name, ".State.Pid")
    for p in docker.host.processes():
        try:
            with open(f"/proc/{p}/status") as f:
                numbers = re.search(r"NSpid:\s+(.*)", f.read()).group(1).split()
        except (FileNotFoundError, ProcessLookupError):  # another, which has ended
            continue
        if inside in numbers[1:2]:
            return p
    raise AssertionError(f"{name}: no process {inside} on {docker.host.name}")


def quota(text: str) -> int:
    return int(text.split()[0])


def test_limits_are_those_of_the_cgroup(docker, box):
    name = box.start(opts=("--memory", "64m", "--memory-swap", "64m", "--cpus", "0.5", "--pids-limit", "33", "--cpu-shares", "512",
                           "--cpuset-cpus", "0"))
    p = pid(docker, name)
    assert limit(p, *MEMORY) == str(64 << 20)
    assert quota(limit(p, *CPU)) == 50000
    assert limit(p, *PIDS) == "33"
    assert limit(p, *SHARES) in ("512", "20")
    assert limit(p, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"


def test_every_controller_s_cgroup_is_its_own(docker, box):
    """Else docker stats would show another's block I/O, and at worst the whole machine's."""
    name = box.start()
    with open(f"/proc/{pid(docker, name)}/cgroup") as f:
        rows = [line.strip().split(":", 2) for line in f]
    own = f"/{docker.host.name}/{docker.inspect(name, '.Id')}"
    unified = [r for r in rows if not r[1]]
    v1 = [r for r in rows if r[1] and not r[1].startswith("name=")]
    assert v1 or unified
    assert {path for _, _, path in v1 or unified} == {own}


def test_they_can_be_changed_while_it_runs(docker, box):
    name = box.start(opts=("--memory", "64m", "--memory-swap", "64m"))
    docker.ok("update", "--memory", "96m", "--memory-swap", "96m", "--cpus", "0.25", "--pids-limit", "44", name)
    p = pid(docker, name)
    assert limit(p, *MEMORY) == str(96 << 20)
    assert quota(limit(p, *CPU)) == 25000
    assert limit(p, *PIDS) == "44"
    assert docker.inspect(name, ".HostConfig.Memory") == str(96 << 20)
    docker.ok("update", "--cpuset-cpus", "0", name)
    assert limit(p, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    assert docker.ok("exec", name, "grep", "Cpus_allowed_list", "/proc/self/status").split()[1] == "0"
    assert docker.ok("exec", name, "grep", "Cpus_allowed_list", "/proc/1/status").split()[1] == "0"


def test_who_eats_too_much_is_killed_and_it_is_said_so(docker, box):
    name = box.name()
    # The shim tells of the kill and of the end by two threads, and what is told after the end is lost: so the end waits a little.
    eats = "cat /dev/zero | tail; r=$?; sleep 1; exit $r"
    r = docker("run", "--name", name, "--memory", "16m", "--memory-swap", "16m", "base", "sh", "-c", eats)
    assert r.code == 137
    s = json.loads(docker.inspect(name, "json .State"))
    assert s["OOMKilled"] and s["ExitCode"] == 137


def test_no_more_processes_than_allowed(docker):
    r = docker("run", "--rm", "--pids-limit", "5", "base", "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 100 & done; wait")
    assert "can't fork" in r.err


def test_devices_are_allowed_only_where_given(docker):
    made = "mknod /tmp/null c 1 3 && echo x > /tmp/null && mknod /tmp/fuse c 10 229 && cat /tmp/fuse"
    docker.fails("run", "--rm", "base", "sh", "-c", made, code=1, says="can't open '/tmp/fuse': Operation not permitted")
    assert docker.ok("run", "--rm", "--device", "/dev/fuse:/dev/lent:r", "base", "sh", "-c", "stat -c %t:%T /dev/lent") == "a:e5"


@pytest.mark.parametrize("option", [("--memory", "64m"), ()])
def test_stats_count_memory_and_processes(docker, box, option):
    name = box.start("sh", "-c", "dd if=/dev/zero of=/dev/shm/held bs=1M count=10; sleep 1000 & sleep 1000 & echo ready; wait", opts=option)
    until(lambda: "ready" in docker.ok("logs", name), "10 MiB to be held")
    row = json.loads(docker.ok("stats", "--no-stream", "--format", "{{json .}}", name))
    used, most = (size_to_bytes(part) for part in row["MemUsage"].split(" / "))
    assert 10 << 20 <= used < 60 << 20
    assert most == 64 << 20 or not option
    assert row["PIDs"] == "3"
