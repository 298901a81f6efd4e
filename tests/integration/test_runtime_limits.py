"""berth-runtime update and events: limits of a running container as the kernel has them, and what is printed of its use."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import images

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
    def __init__(self, program: Path, where: Path, resources=None):
        self.program, self.root, self.id, self.bundle = program, where / "state", f"limits-{os.getpid()}", where / "bundle"
        rootfs = self.bundle / "rootfs"
        for d in ("bin", "proc", "sys", "dev", "tmp"):
            (rootfs / d).mkdir(parents=True)
        shutil.copy("/bin/busybox", rootfs / "bin/busybox")
        for applet in ("sh", "sleep", "head", "tr"):
            (rootfs / "bin" / applet).symlink_to("busybox")
        images.tool(program, "spec", "--bundle", self.bundle)
        config = json.loads((self.bundle / "config.json").read_text())
        config["process"]["terminal"] = False
        config["process"]["args"] = ["sleep", "1000"]
        config["linux"]["cgroupsPath"] = f"/berth/{self.id}"
        config["linux"].setdefault("resources", {}).update(resources or {})
        (self.bundle / "config.json").write_text(json.dumps(config))
        self.ok("create", "--bundle", self.bundle, self.id)
        self.ok("start", self.id)
        self.pid = json.loads(self.ok("state", self.id))["pid"]

    def __call__(self, *argv, **kw):
        return subprocess.run([str(self.program), "--root", str(self.root), *map(str, argv)], stdin=kw.pop("stdin", subprocess.DEVNULL),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, **kw)

    def ok(self, verb, *argv, **kw):
        if verb == "create":  # the container keeps what it was given: no pipe of ours
            done = subprocess.run([str(self.program), "--root", str(self.root), verb, *map(str, argv)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
            assert done.returncode == 0
            return ""
        r = self(verb, *argv, **kw)
        assert r.returncode == 0, r.stderr
        return r.stdout

    def fails(self, *argv, **kw):
        r = self(*argv, **kw)
        assert r.returncode == 1, r.stdout
        assert len(r.stderr.splitlines()) == 1, r.stderr
        return r.stderr

    def update_from(self, text):
        r = subprocess.run([str(self.program), "--root", str(self.root), "update", "-r", "-", self.id], input=text, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        return r

    def value(self, v1, v2):
        """v1: "memory/memory.limit_in_bytes"."""
        dirs = cgroup_dirs(self.pid)
        ctrl, file = v1.split("/")
        return ((dirs[ctrl] / file) if ctrl in dirs else (dirs[""] / v2)).read_text().strip()

    def is_v2(self):
        return "memory" not in cgroup_dirs(self.pid)


@pytest.fixture()
def container(berth, tmp_path):
    made = []

    def make(resources=None):
        made.append(Container(berth.program.parent / "berth-runtime", tmp_path, resources))
        return made[-1]

    yield make
    for c in made:
        c("delete", "--force", c.id)


def has_swap_accounting(c):
    d = cgroup_dirs(c.pid)
    return (d["memory"] / "memory.memsw.limit_in_bytes").exists() if "memory" in d else (d[""] / "memory.swap.max").exists()


def test_update_by_flags_is_what_the_kernel_has(container):
    c = container({"memory": {"limit": 64 * MIB}})
    c.ok("update", "--memory", "96m", "--cpu-quota", "20000", "--cpu-period", "50000", "--cpu-share", "700", "--pids-limit", "33",
         "--cpuset-cpus", "0", c.id)
    assert c.value("memory/memory.limit_in_bytes", "memory.max") == str(96 * MIB)
    assert c.value("cpu/cpu.cfs_quota_us", "cpu.max") == ("20000 50000" if c.is_v2() else "20000")
    assert c.value("cpu/cpu.shares", "cpu.weight") == ("74" if c.is_v2() else "700")
    assert c.value("pids/pids.max", "pids.max") == "33"
    assert os.sched_getaffinity(c.pid) == {0}


def test_memory_and_swap_move_together_in_either_direction(container):
    c = container({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}})
    if not has_swap_accounting(c):
        pytest.skip("this kernel has no swap accounting")
    for memory, swap in ((256, 512), (32, 48), (128, 128)):
        c.ok("update", "--memory", f"{memory}m", "--memory-swap", f"{swap}m", c.id)
        assert c.value("memory/memory.limit_in_bytes", "memory.max") == str(memory * MIB)
        want = swap - memory if c.is_v2() else swap
        assert c.value("memory/memory.memsw.limit_in_bytes", "memory.swap.max") == str(want * MIB)
    # What an earlier update set still counts: the sum may not fall below the memory.
    assert "memory.swap" in c.fails("update", "--memory", "129m", c.id)
    assert c.value("memory/memory.limit_in_bytes", "memory.max") == str(128 * MIB)
    c.ok("update", "--memory", "-1", c.id)
    unlimited = c.value("memory/memory.limit_in_bytes", "memory.max")
    assert unlimited == "max" or int(unlimited) > 1 << 60


def test_update_from_json_as_engines_send_it(container):
    c = container()
    assert c.update_from(json.dumps({"memory": {"limit": 80 * MIB}, "pids": {"limit": 44}, "cpu": {}, "blockIO": {}})).returncode == 0
    assert c.value("memory/memory.limit_in_bytes", "memory.max") == str(80 * MIB)
    assert c.value("pids/pids.max", "pids.max") == "44"
    bad = c.update_from('{"memory": {"limit": "1g"}}')
    assert bad.returncode == 1 and ".memory.limit: expected a whole number" in bad.stderr
    bad = c.update_from("{")
    assert bad.returncode == 1 and "--resources -" in bad.stderr
    assert "/none" in c.fails("update", "--resources", "/none", c.id)


@pytest.mark.parametrize("flags, word", [
    (("--memory", "lots"), '--memory: "lots"'),
    (("--cpu-quota", "x"), '--cpu-quota: "x"'),
    (("--cpu-share", "1"), "cpu.shares"),
    (("--pids-limit", "-2"), "pids.limit"),
    (("--cpuset-cpus", "4095"), "--cpuset-cpus"),
    (("--cpu-idle", "2"), "cpu.idle"),
])
def test_a_bad_value_is_named_and_changes_nothing(container, flags, word):
    c = container({"pids": {"limit": 20}})
    assert word in c.fails("update", *flags, c.id)
    assert c.value("pids/pids.max", "pids.max") == "20"


def test_cache_schemas_need_the_hardware(container):
    if Path("/sys/fs/resctrl/info").exists():
        pytest.skip("this host has resctrl")
    c = container()
    assert "/sys/fs/resctrl/info/L3 is missing" in c.fails("update", "--l3-cache-schema", "L3:0=f", c.id)
    assert "/sys/fs/resctrl/info/MB is missing" in c.fails("update", "--mem-bw-schema", "MB:0=20", c.id)


def test_stats_once(container):
    c = container({"memory": {"limit": 64 * MIB}, "pids": {"limit": 9}})
    lines = c.ok("events", "--stats", c.id).splitlines()
    assert len(lines) == 1
    event = json.loads(lines[0])
    assert event["type"] == "stats" and event["id"] == c.id
    data = event["data"]
    assert list(data) == ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"]
    assert data["cpu"]["usage"]["total"] > 0
    assert data["memory"]["usage"]["limit"] == 64 * MIB and data["memory"]["usage"]["usage"] > 0
    assert data["pids"] == {"current": 1, "limit": 9}


def test_stats_have_the_names_of_runcs(container, tmp_path):
    if not shutil.which("runc"):
        pytest.skip("runc is not here to compare with")
    c = container({"memory": {"limit": 64 * MIB}})
    ours = json.loads(c.ok("events", "--stats", c.id))["data"]
    config = json.loads((c.bundle / "config.json").read_text())
    config["linux"]["cgroupsPath"] = f"/berth/{c.id}-runc"
    config["ociVersion"] = "1.0.2"
    (c.bundle / "config.json").write_text(json.dumps(config))
    runc = ["runc", "--root", str(tmp_path / "runc")]
    started = subprocess.run([*runc, "run", "-d", "--bundle", str(c.bundle), c.id], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    try:
        if started.returncode:
            pytest.skip("runc can't run containers here")
        theirs = json.loads(subprocess.run([*runc, "events", "--stats", c.id], stdout=subprocess.PIPE, check=True, timeout=60).stdout)
    finally:
        subprocess.run([*runc, "delete", "-f", c.id], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)

    def names(o):
        return {k: names(v) for k, v in o.items()} if isinstance(o, dict) else None

    theirs = theirs["data"]
    assert list(ours) == list(theirs)
    for part in ("usage", "swap", "kernelTCP"):
        assert set(names(ours["memory"])[part]) == set(names(theirs["memory"])[part])
    assert set(ours["memory"]["raw"]) == set(theirs["memory"]["raw"])
    assert set(theirs["cpuset"]) - {"cpus", "mems"} <= set(ours["cpuset"])
    assert set(ours["cpu"]["usage"]) == set(theirs["cpu"]["usage"])


def test_events_tell_of_use_of_memory_that_ran_out_and_end_with_the_container(container):
    c = container({"memory": {"limit": 12 * MIB}})
    if has_swap_accounting(c):
        c.ok("update", "--memory", "12m", "--memory-swap", "12m", c.id)
    watcher = subprocess.Popen([str(c.program), "--root", str(c.root), "events", "--interval", "100ms", c.id], stdout=subprocess.PIPE,
                               text=True)
    try:
        assert json.loads(watcher.stdout.readline())["type"] == "stats"
        c("exec", c.id, "sh", "-c", "x=$(head -c 40000000 /dev/zero | tr '\\0' a)")
        for line in watcher.stdout:
            event = json.loads(line)
            if event["type"] == "oom":
                assert event == {"type": "oom", "id": c.id}
                break
        else:
            pytest.fail("no out-of-memory event")
        c.ok("kill", c.id, "KILL")
        watcher.stdout.read()
        assert watcher.wait(timeout=30) == 0
    finally:
        watcher.kill()
        watcher.wait()
    end = time.monotonic() + 30
    while json.loads(c.ok("state", c.id))["status"] != "stopped" and time.monotonic() < end:
        time.sleep(0.05)
    assert "not running" in c.fails("events", "--stats", c.id)
    assert "not running" in c.fails("update", "--memory", "64m", c.id)


def test_an_interval_must_be_a_time(container):
    c = container()
    for bad in ("0", "x", "-1s"):
        assert "--interval" in c.fails("events", "--interval", bad, c.id)
