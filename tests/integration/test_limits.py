"""Limits: set, read back, and felt."""

import os
from pathlib import Path

import leaks
from harness import until


def knob(ident: str, v1: str, v2: str) -> str:
    """Content of a container's cgroup file, on cgroup v1 or v2."""
    controller, _, name = v1.partition("/")
    for path in (leaks.CGROUPS / controller / "berth" / ident / name, leaks.CGROUPS / "berth" / ident / v2):
        if path.exists():
            return path.read_text().strip()
    raise AssertionError(f"no cgroup file {v1} or {v2} for {ident}")


def test_memory_beyond_the_limit_is_an_oom_kill(box):
    name, r = box.keep("sh", "-c", "probe grow 20 && probe grow 400; exit $?", opts=("--memory", "100m"))
    assert r.code == 137, r
    assert "grown" in r.out.splitlines()[:1]
    state = box.berth.state(name)
    assert state["OOMKilled"] is True and state["ExitCode"] == 137


def test_an_ordinary_kill_is_not_taken_for_an_oom_kill(cbox):
    name, r = cbox.keep("sh", "-c", "probe die 9; exit $?", opts=("--memory", "64m"))
    assert r.code == 137 and cbox.berth.state(name)["OOMKilled"] is False


def test_limits_are_read_back_from_the_cgroup(box):
    name = box.start("sleep", "1000", opts=("--memory", "100m", "--cpus", "0.25", "--pids-limit", "77", "--cpuset-cpus", "0",
                                            "--cpu-shares", "512"))
    ident = box.berth.inspect(name)["Id"]
    assert knob(ident, "memory/memory.limit_in_bytes", "memory.max") == str(100 << 20)
    assert knob(ident, "cpu/cpu.cfs_quota_us", "cpu.max") in ("25000", "25000 100000")
    assert knob(ident, "pids/pids.max", "pids.max") == "77"
    assert knob(ident, "cpuset/cpuset.cpus", "cpuset.cpus") == "0"
    assert knob(ident, "cpu/cpu.shares", "cpu.weight") in ("512", "20")
    assert box.berth.ok("exec", name, "nproc") == "1"


def test_cpus_and_memory_size_what_is_seen(box):
    if box.isolation == "vm":
        wanted = min(2, os.cpu_count() or 1)
        out = box.sh("nproc; awk '/MemTotal/ {print $2}' /proc/meminfo; cat /sys/fs/cgroup/memory.max",
                     opts=("--cpus", str(wanted), "--memory", "300m"))
        cpus, kib, limit = map(int, out.split())
        # The machine has room for its kernel beside the limit, which a cgroup in the guest holds.
        assert cpus == wanted and limit == 300 << 20 and 300 << 10 < kib < 500 << 10
    else:
        quota = box.sh("cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max",
                       opts=("--cpus", "1.5"))
        assert quota == "150000"


def test_pids_limit_holds(box):
    r = box("sh", "-c", "for i in $(seq 50); do sleep 100 & done; wait", opts=("--pids-limit", "20"))
    assert "can't fork" in r.err, r


def test_limits_that_make_no_sense_are_refused(berth, image):
    for opts, word in ((("--memory", "lots"), "lots"), (("--memory", "1k"), "memory"), (("--cpus", "-1"), "cpus"),
                       (("--cpus", "100000"), "cpus"), (("--cpuset-cpus", "4096"), "4096"), (("--pids-limit", "x"), "x"),
                       (("--memory", "100m", "--memory-swap", "50m"), "swap"), (("--ulimit", "nofile=5:2"), "nofile"),
                       (("--ulimit", "nosuch=1"), "nosuch"), (("--device-read-bps", "/dev/nosuch:1m"), "/dev/nosuch")):
        berth.fails("run", "--rm", "--network", "none", *opts, image, "true", says=word)


def test_a_cpu_limit_is_felt(cbox):
    """Share of one CPU over a fixed piece of time, read from the cgroup, not from a clock of ours."""
    name = cbox.start("sh", "-c", "while :; do :; done", opts=("--cpus", "0.02"))  # less than a busy host leaves it
    ident = cbox.berth.inspect(name)["Id"]

    def throttled():
        text = knob(ident, "cpu/cpu.stat", "cpu.stat")
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith("nr_throttled")))

    until(lambda: throttled() > 3, "the burner was throttled")


def test_cgroups_are_gone_after_the_run(cbox):
    name = cbox.start("sleep", "1000", opts=("--memory", "50m"))
    ident = cbox.berth.inspect(name)["Id"]
    paths = [p for p in leaks.cgroups() if p.name == ident]
    assert paths
    cbox.berth.ok("rm", "-f", name)
    assert [str(p) for p in paths if Path(p).exists()] == []
