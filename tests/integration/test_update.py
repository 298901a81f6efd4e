"""`berth update`: other limits for what runs, and for its later starts."""

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
                       (("--cpus", "100000"), "this host"), (("--restart", "always"), "restart"), (("--pids-limit", "-5"), "pids")):
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


def test_a_vm_can_not_grow_beyond_its_start_while_it_runs(berth, image):
    vm = Box(berth, "vm", image)
    try:
        name = vm.start("sleep", "1000", opts=("--memory", "128m"))
        berth.fails("update", "--memory", "1g", name, says=("--memory", "stop it"))
        berth.fails("update", "--cpus", "2", name, says=("--cpus", "stop it"))
        assert limits(vm, name)[0] == 128 << 20
    finally:
        vm.clean()
