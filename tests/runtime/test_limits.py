"""berth-runtime update and events: limits of a running container as the kernel has them, and what is printed of its use."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import oci

MIB = 1 << 20


def cgroup_dirs(pid):
    """controller (v2: "") -> directory of the process's cgroup."""
    mounts = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2":
            mounts[""] = left.split()[4]
        elif kind == "cgroup":
            for o in options.split(","):
                mounts[o] = left.split()[4]
    out = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if name in mounts:
                out[name] = Path(mounts[name] + path)
    return out


class Container:
    """A started container and the words to act on it."""

    def __init__(self, runtime, box, resources):
        self.rt, self.bundle = runtime, box.bundle()
        for applet in ("head", "tr"):
            (self.bundle.rootfs / "bin" / applet).symlink_to("busybox")
        self.bundle.config["linux"].setdefault("resources", {}).update(resources)
        self.id = box.start(self.bundle.save())
        self.pid = json.loads(runtime.ok("state", self.id))["pid"]

    def update(self, *flags):
        self.rt.ok("update", *flags, self.id)

    def update_from(self, text):
        return self.rt("update", "-r", "-", self.id, input=text)

    def fails(self, verb, *flags):
        r = self.rt(verb, *flags, self.id)
        assert r.code == 1 and len(r.err.splitlines()) == 1, r
        return r.err

    def stats(self):
        lines = self.rt.ok("events", "--stats", self.id).splitlines()
        assert len(lines) == 1
        return json.loads(lines[0])

    def value(self, v1, v2):
        """v1: "memory/memory.limit_in_bytes"."""
        dirs = cgroup_dirs(self.pid)
        ctrl, file = v1.split("/")
        return ((dirs[ctrl] / file) if ctrl in dirs else (dirs[""] / v2)).read_text().strip()

    def is_v2(self):
        return "memory" not in cgroup_dirs(self.pid)


@pytest.fixture
def container(runtime, box):
    return lambda **resources: Container(runtime, box, resources)


def has_swap_accounting(c):
    d = cgroup_dirs(c.pid)
    return (d["memory"] / "memory.memsw.limit_in_bytes").exists() if "memory" in d else (d[""] / "memory.swap.max").exists()


def test_update_by_flags_is_what_the_kernel_has(container):
    c = container(memory={"limit": 64 * MIB})
    c.update("--memory", "96m", "--cpu-quota", "20000", "--cpu-period", "50000", "--cpu-share", "700", "--pids-limit", "33",
         "--cpuset-cpus", "0")
    assert c.value("memory/memory.limit_in_bytes", "memory.max") == str(96 * MIB)
    assert c.value("cpu/cpu.cfs_quota_us", "cpu.max") == ("20000 50000" if c.is_v2() else "20000")
    assert c.value("cpu/cpu.shares", "cpu.weight") == ("75" if c.is_v2() else "700")
    assert c.value("pids/pids.max", "pids.max") == "33"
    assert os.sched_getaffinity(c.pid) == {0}


def test_memory_and_swap_move_together_in_either_direction(container):
    c = container(memory={"limit": 64 * MIB, "swap": 64 * MIB})
    if not has_swap_accounting(c):
        pytest.skip("this kernel has no swap accounting")
    for memory, swap in ((256, 512), (32, 48), (128, 128)):
        c.update("--memory", f"{memory}m", "--memory-swap", f"{swap}m")
        assert c.value("memory/memory.limit_in_bytes", "memory.max") == str(memory * MIB)
        want = swap - memory if c.is_v2() else swap
        assert c.value("memory/memory.memsw.limit_in_bytes", "memory.swap.max") == str(want * MIB)
    # What an earlier update set still counts: the sum may not fall below the memory.
    assert "memory.swap" in c.fails("update", "--memory", "129m")
    assert c.value("memory/memory.limit_in_bytes", "memory.max") == str(128 * MIB)
    c.update("--memory", "-1")
    unlimited = c.value("memory/memory.limit_in_bytes", "memory.max")
    assert unlimited == "max" or int(unlimited) > 1 << 60


def test_update_from_json_as_engines_send_it(container):
    c = container()
    assert c.update_from(json.dumps({"memory": {"limit": 80 * MIB}, "pids": {"limit": 44}, "cpu": {}, "blockIO": {}})).code == 0
    assert c.value("memory/memory.limit_in_bytes", "memory.max") == str(80 * MIB)
    assert c.value("pids/pids.max", "pids.max") == "44"
    bad = c.update_from('{"memory": {"limit": "1g"}}')
    assert bad.code == 1 and ".memory.limit: expected a whole number" in bad.err
    bad = c.update_from("{")
    assert bad.code == 1 and "--resources -" in bad.err
    assert "/none" in c.fails("update", "--resources", "/none")


@pytest.mark.parametrize("flags, word", [
    (("--memory", "lots"), '--memory: "lots"'),
    (("--cpu-quota", "x"), '--cpu-quota: "x"'),
    (("--cpu-share", "1"), "cpu.shares"),
    (("--pids-limit", "-2"), "pids.limit"),
    (("--cpuset-cpus", "4095"), "--cpuset-cpus"),
    (("--cpu-idle", "2"), "cpu.idle"),
])
def test_a_bad_value_is_named_and_changes_nothing(container, flags, word):
    c = container(pids={"limit": 20})
    assert word in c.fails("update", *flags)
    assert c.value("pids/pids.max", "pids.max") == "20"


def test_cache_schemas_need_the_hardware(container):
    if Path("/sys/fs/resctrl/info").exists():
        pytest.skip("this host has resctrl")
    c = container()
    assert "/sys/fs/resctrl/info/L3 is missing" in c.fails("update", "--l3-cache-schema", "L3:0=f")
    assert "/sys/fs/resctrl/info/MB is missing" in c.fails("update", "--mem-bw-schema", "MB:0=20")


def test_stats_once(container):
    c = container(memory={"limit": 64 * MIB}, pids={"limit": 9})
    event = c.stats()
    assert event["type"] == "stats" and event["id"] == c.id
    data = event["data"]
    assert list(data) == ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"]
    assert data["cpu"]["usage"]["total"] > 0
    assert data["memory"]["usage"]["limit"] == 64 * MIB and data["memory"]["usage"]["usage"] > 0
    assert data["pids"] == {"current": 1, "limit": 9}


def test_stats_have_the_names_of_runcs(container, tmp_path):
    if not shutil.which("runc"):
        pytest.skip("runc is not here to compare with")
    c = container(memory={"limit": 64 * MIB})
    ours = c.stats()["data"]
    c.bundle.config["linux"]["cgroupsPath"] = f"/berth/{c.id}-runc"
    c.bundle.config["ociVersion"] = "1.0.2"  # what a runc of 2023 knows
    c.bundle.save()
    runc = ["runc", "--root", str(tmp_path / "runc")]
    started = subprocess.run([*runc, "run", "-d", "--bundle", str(c.bundle.where), c.id], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    try:
        if started.returncode:
            pytest.skip("runc can't run containers here")
        theirs = json.loads(subprocess.run([*runc, "events", "--stats", c.id], stdout=subprocess.PIPE, check=True, timeout=60).stdout)
    finally:
        subprocess.run([*runc, "delete", "-f", c.id], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    theirs = theirs["data"]
    assert list(ours) == list(theirs)
    # Newer runcs say more than older ones.
    for part in ("usage", "swap", "kernelTCP"):
        assert set(theirs["memory"][part]) <= set(ours["memory"][part])
    assert set(ours["memory"]["raw"]) == set(theirs["memory"]["raw"])
    assert set(theirs["cpuset"]) - {"cpus", "mems"} <= set(ours["cpuset"])
    assert set(theirs["cpu"]["usage"]) == set(ours["cpu"]["usage"])


def test_events_tell_of_use_of_memory_that_ran_out_and_end_with_the_container(container):
    c = container(memory={"limit": 12 * MIB})
    if has_swap_accounting(c):
        c.update("--memory", "12m", "--memory-swap", "12m")
    with c.rt.popen("events", "--interval", "100ms", c.id) as watcher:
        try:
            assert json.loads(watcher.stdout.readline())["type"] == "stats"
            c.rt("exec", c.id, "sh", "-c", "x=$(head -c 40000000 /dev/zero | tr '\\0' a)")
            told = next(e for e in map(json.loads, watcher.stdout) if e["type"] == "oom")
            assert told == {"type": "oom", "id": c.id}
            c.rt.ok("kill", c.id, "KILL")
            watcher.stdout.read()
            assert watcher.wait(timeout=30) == 0
        finally:
            watcher.kill()
    oci.until(lambda: json.loads(c.rt.ok("state", c.id))["status"] == "stopped", "the container's end")
    assert "not running" in c.fails("events", "--stats")
    assert "not running" in c.fails("update", "--memory", "64m")


def test_an_interval_must_be_a_time(container):
    c = container()
    for bad in ("0", "x", "-1s"):
        assert "--interval" in c.fails("events", "--interval", bad)
