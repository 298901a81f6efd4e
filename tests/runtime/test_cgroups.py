"""linux.resources and linux.cgroupsPath at create: what config.json says is what the kernel has, on v1 and v2."""

import os
import subprocess
import time
from pathlib import Path

import pytest

import oci
from test_limits import cgroup_dirs

MIB = 1 << 20
ALWAYS = ("memory", "cpu", "cpuacct", "pids", "devices", "freezer")


@pytest.fixture
def created(runtime, box, bundle):
    """created(resources): the container's cgroup directories by controller; {"": dir} on v2."""
    def create(resources, **linux):
        bundle.config["linux"]["resources"] = resources
        bundle.config["linux"].update(linux)
        return cgroup_dirs(runtime.state(box.create(bundle.save()))["pid"])
    return create


def has(dirs, controller):
    return controller in dirs or controller in (dirs.get("", Path("/none")) / "cgroup.controllers").read_text().split()


def value(dirs, controller, v1, v2):
    return ((dirs[controller] / v1) if controller in dirs else (dirs[""] / v2)).read_text().strip()


ROWS = [  # resources, controller, v1 file, its value, v2 file, its value
    ({"memory": {"limit": 64 * MIB}}, "memory", "memory.limit_in_bytes", str(64 * MIB), "memory.max", str(64 * MIB)),
    ({"memory": {"reservation": 32 * MIB}}, "memory", "memory.soft_limit_in_bytes", str(32 * MIB), "memory.low", str(32 * MIB)),
    ({"memory": {"limit": -1}}, "memory", "memory.limit_in_bytes", "9223372036854771712", "memory.max", "max"),
    ({"cpu": {"shares": 1024}}, "cpu", "cpu.shares", "1024", "cpu.weight", "100"),
    ({"cpu": {"shares": 2}}, "cpu", "cpu.shares", "2", "cpu.weight", "1"),
    ({"cpu": {"period": 50000, "quota": 25000}}, "cpu", "cpu.cfs_quota_us", "25000", "cpu.max", "25000 50000"),
    ({"cpu": {"period": 50000, "quota": 25000}}, "cpu", "cpu.cfs_period_us", "50000", "cpu.max", "25000 50000"),
    ({"cpu": {"quota": -1}}, "cpu", "cpu.cfs_quota_us", "-1", "cpu.max", "max 100000"),
    ({"cpu": {"cpus": "0", "mems": "0"}}, "cpuset", "cpuset.cpus", "0", "cpuset.cpus", "0"),
    ({"pids": {"limit": 100}}, "pids", "pids.max", "100", "pids.max", "100"),
    ({"pids": {"limit": -1}}, "pids", "pids.max", "max", "pids.max", "max"),
]


@pytest.mark.parametrize("resources, controller, v1, on_v1, v2, on_v2", ROWS)
def test_a_resource_is_what_the_kernel_has(created, resources, controller, v1, on_v1, v2, on_v2):
    dirs = created(resources)
    if not has(dirs, controller):
        pytest.skip(f"this host has no {controller} controller")
    assert value(dirs, controller, v1, v2) == (on_v1 if controller in dirs else on_v2)


@pytest.mark.parametrize("resources, says", [
    ({"pids": {"limit": "many"}}, "pids.limit"),
    ({"memory": {"limit": 1.5}}, "memory.limit"),
    ({"cpu": {"cpus": "no-list"}}, "cpus"),
    ({"cpu": {"cpus": "4095"}}, "cpus"),
    ({"cpu": {"period": 1}}, "period"),
    ({"unified": {"none.such": "1"}}, "none.such"),
    ({"unified": {"../memory.max": "1"}}, "../memory.max"),
    ({"hugepageLimits": [{"pageSize": "3KB", "limit": 1}]}, "3KB"),
    ({"devices": [{"allow": True, "type": "z", "access": "r"}]}, "devices"),
])
def test_a_resource_that_can_not_be_is_refused_by_name_and_leaves_no_cgroup(runtime, box, bundle, resources, says):
    bundle.config["linux"]["resources"] = resources
    name = box.name()
    runtime.fails("create", "--bundle", bundle.save().where, name, says=says)
    assert not oci.default_cgroups(name)


@pytest.fixture
def parent():
    """The path of a cgroup that is the test's own, in every hierarchy that containers are always in."""
    path = f"/berth-test-{os.getpid()}"
    made = [oci.CGROUPS / c / path[1:] for c in ALWAYS if (oci.CGROUPS / c / "cgroup.procs").exists()] or [oci.CGROUPS / path[1:]]
    made = list({d.parent.resolve(): d for d in made}.values())
    for d in made:
        d.mkdir()
    yield path
    assert all(d.is_dir() for d in made), "it has gone with the container"
    for d in oci.cgroups_of(path):  # also what the runtime made on the way, in the other hierarchies
        d.rmdir()


def test_a_container_is_in_its_cgroup_in_every_hierarchy(runtime, box, bundle, parent):
    path = f"{parent}/here"
    bundle.config["linux"]["cgroupsPath"] = path
    name = box.create(bundle.save())
    dirs = cgroup_dirs(runtime.state(name)["pid"])
    assert dirs
    for controller in [c for c in ALWAYS if c in dirs] or [""]:
        assert str(dirs[controller]).endswith(path), controller
    runtime.ok("delete", "--force", name)
    assert not oci.cgroups_of(path)


def test_the_same_relative_path_is_the_same_place(runtime, box, bundle):
    """config-linux.md §cgroupsPath: "consistently attach to the same place [...] given the same value"."""
    seen = []
    for _ in range(2):
        bundle.config["linux"]["cgroupsPath"] = f"berth-test-{os.getpid()}"
        name = box.create(bundle.save())
        seen.append(sorted(map(str, cgroup_dirs(runtime.state(name)["pid"]).values())))
        runtime.ok("delete", "--force", name)
    assert seen[0] == seen[1] and any(f"berth-test-{os.getpid()}" in path for path in seen[0])


def test_what_the_container_did_not_make_stays(runtime, box, bundle, parent):
    """runtime.md §delete: "resources associated with the container, but not created by this container, MUST NOT be deleted"."""
    bundle.config["linux"]["cgroupsPath"] = f"{parent}/inner"
    name = box.create(bundle.save())
    assert oci.cgroups_of(f"{parent}/inner")
    runtime.ok("delete", "--force", name)
    assert not oci.cgroups_of(f"{parent}/inner")


def test_limits_hold_the_process(runtime, box, bundle):
    bundle.config["linux"]["resources"] = {"pids": {"limit": 5}}
    out = box.output(bundle, "for i in 1 2 3 4 5 6 7 8; do sleep 100 & done 2>&1; echo", code=2)
    assert "can't fork" in out


# A host of v1 hierarchies with those of the packets' marks, in a mount namespace: they are the kernel's, so none is left mounted.
MARKED_HOST = """
set -e
mount -t tmpfs none "$1"
if [ -e /sys/fs/cgroup/cgroup.procs ]; then mkdir "$1/unified" && mount --bind /sys/fs/cgroup "$1/unified"
else for d in /sys/fs/cgroup/*/; do mkdir "$1/${d#/sys/fs/cgroup/}"; mount --bind "$d" "$1/${d#/sys/fs/cgroup/}"; done; fi
for c in net_cls net_prio; do mkdir -p "$1/$c"; [ -e "$1/$c/cgroup.procs" ] || mount -t cgroup -o $c none "$1/$c" || exit 77; done
mount --rbind "$1" /sys/fs/cgroup
echo ready
exec sleep 1000
"""


def is_on_v1(controller):
    lines = [line.split() for line in Path("/proc/cgroups").read_text().splitlines()]
    return any(line[0] == controller and line[1] != "0" for line in lines)


def has_marks():
    return is_on_v1("net_cls") or is_on_v1("net_prio")


def forget_marks(where):
    """A hierarchy ends some time after the last mount of it that found it without cgroups, and those go a while after their rmdir."""
    script = 'for c in net_cls net_prio; do mount -t cgroup -o $c none "$1" && umount "$1"; done'
    for patience in (0.3, 5, 5, 5):  # to mount one that is about to end makes it anew
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if not has_marks():
                return
            time.sleep(0.01)
        subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", where], check=True)
    assert not has_marks(), "the hierarchies of the marks have stayed"


@pytest.fixture
def marked_host(runtime, tmp_path):
    (tmp_path / "host").mkdir()
    had_marks = has_marks()
    with subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", MARKED_HOST, "sh", tmp_path / "host"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
        try:
            if p.stdout.readline() != b"ready\n":
                pytest.skip("this kernel has no net_cls or net_prio, or they can't be mounted")
            runtime.under = ["nsenter", f"--mount=/proc/{p.pid}/ns/mnt"]
            yield Path(f"/proc/{p.pid}/root/sys/fs/cgroup")
        finally:
            runtime.under = []
            p.kill()
            p.wait()
            if not had_marks:
                forget_marks(tmp_path / "host")


def test_packets_are_marked_where_the_host_has_the_hierarchies(runtime, box, bundle, marked_host):
    bundle.config["linux"]["resources"] = {"network": {"classID": 0x100001, "priorities": [{"name": "lo", "priority": 7}]}}
    name = box.create(bundle.save())
    pid = runtime.state(name)["pid"]
    place = Path(f"/proc/{pid}/cgroup").read_text().split(":net_cls:")[1].splitlines()[0]
    cls, prio = (marked_host / c / place.lstrip("/") for c in ("net_cls", "net_prio"))
    assert (cls / "net_cls.classid").read_text() == f"{0x100001}\n"
    assert "lo 7" in (prio / "net_prio.ifpriomap").read_text().splitlines()
    runtime.ok("delete", "--force", name)
    assert not cls.exists() and not prio.exists()
    oci.reap(pid)  # one that nobody has collected keeps its cgroups in being


def test_packets_that_can_not_be_marked_are_an_error(runtime, box, bundle):
    if any(Path("/sys/fs/cgroup", c).exists() for c in ("net_cls", "net_prio", "net_cls,net_prio")):
        pytest.skip("this host marks packets")
    for resources, says in (({"classID": 1}, "network.classID"), ({"priorities": [{"name": "lo", "priority": 7}]}, "network.priorities")):
        bundle.config["linux"]["resources"] = {"network": resources}
        runtime.fails("create", "--bundle", bundle.save().where, box.name(), says=[says, "no net_"])
