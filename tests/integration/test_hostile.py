"""Hostile processes: what they try against the kernel's hooks, the terminal, whoever joins them, and the host's means.
Each test names the row of docs/THREATS.md that it proves; /bin/attack (helpers/attack.c) does the trying."""

import resource
import subprocess
import time

import pytest

from harness import until
from test_limits import knob


def words(text: str) -> dict:
    return dict(line.strip().split("=", 1) for line in text.splitlines() if "=" in line)


# ---- R16: a cgroup v1 hierarchy runs a program on the host when a cgroup in it is empty (CVE-2022-0492) ----

def test_R16_no_hierarchy_is_mounted_and_no_release_agent_is_in_sight(box):
    out = box.sh("""
        attack hierarchy
        echo mounts=$(grep -c ' /mnt ' /proc/self/mounts)
        echo agents=$(find /sys/fs/cgroup -name release_agent | wc -l)
        for f in $(find /sys/fs/cgroup -name notify_on_release -o -name cgroup.procs | head -50); do
            echo "write$f=$(probe open w $f)"
        done""")
    got = words(out)
    ways = {k: got[k] for k in ("cgroup", "user", "mount", "fsopen", "clone", "clone3")}
    assert ways == {**dict.fromkeys(ways, "EPERM"), "clone3": "ENOSYS"}, out
    assert got["mounts"] == "0" and got["agents"] == "0", out
    writes = {k: v for k, v in got.items() if k.startswith("write")}
    assert writes and set(writes.values()) == {"EROFS"}, writes


def test_R16_the_right_to_mount_makes_no_new_hierarchy(box):
    """Its root, with a release_agent, would belong to the container: the kernel asks for the host's cgroup namespace."""
    got = words(box.ok("attack", "hierarchy", opts=("--cap-add", "SYS_ADMIN")))
    assert got["mount"] == "EPERM" and got["cgroup"] == "OK,EPERM", got


# ---- R20 ----

def test_R20_no_byte_is_pushed_into_a_terminal(box):
    """By fd 0, the controlling terminal and the console, as the first process and as a later one."""
    name = box.name()
    first = box.terminal(*box.args("sh", "-c", "attack type /dev/tty; echo over; sleep 1000", opts=("-it", "--name", name)))
    shown = words(first.expect(r"^(\w+=\w+\s+)*over").group(0))
    terminals = ["/dev/stdin", "/dev/tty"] + (["/dev/console"] if box.isolation == "container" else [])
    for path in terminals:
        later = box.terminal("exec", "-it", name, "sh", "-c", f"attack type {path}; echo over")
        shown.update({f"{path} {k}": v for k, v in words(later.expect(r"^(\w+=\w+\s+)*over").group(0)).items()})
        later.wait()
    tried = {k: v for k, v in shown.items() if not k.endswith("open")}
    assert len(tried) >= 12 and set(tried.values()) == {"EPERM"}, shown


def test_R20_without_the_filter_the_terminal_is_still_its_own(cbox):
    """A process without -t has none; with -t it can type only into what it alone reads."""
    free = ("--security-opt", "seccomp=unconfined")
    t = cbox.terminal(*cbox.args("sh", "-c", "test -t 0 || test -t 1 || test -t 2 || echo none; attack type /dev/tty; echo over",
                                 opts=("-i", "--rm", *free)))
    shown = t.expect(r"^none\s+open=(E\w+)\s+over").group(1)
    assert shown in ("ENXIO", "EIO"), shown
    t.wait()
    t = cbox.terminal(*cbox.args("sh", "-c", "stat -c '%t:%T' /dev/pts/0; ls /dev/pts; echo over", opts=("-it", "--rm", *free)))
    assert t.expect(r"^88:0\s+0\s+ptmx\s+over")  # major 136, minor 0: the first one of an instance of its own
    t.wait()


# ---- R27 ----

def joiners_seen(box, opts) -> dict:
    """A container whose first process attacks all that joins it, joined until it has had its chances."""
    name = box.start("attack", "trace", "true", "600", opts=opts)
    until(lambda: "ready" in box.berth.ok("logs", name), "the attacker has begun")
    # The search for the program is done with the container's own rights: a long PATH keeps the joiner in that state for a while.
    path = ":".join(["/nowhere/at/all"] * 4000 + ["/bin"])
    began, joins = time.monotonic(), 0
    while joins < 10 or time.monotonic() < began + 2.5:
        box.berth.ok("exec", "-e", f"PATH={path}", name, "true")
        joins += 1
    box.berth.ok("kill", "-s", "TERM", name)
    assert box.berth.ok("wait", name) == "0"
    return {k: int(v) for k, v in words(box.berth.ok("logs", name)).items()}


# In each the joiner's rights become those of the tracer at another moment.
@pytest.mark.parametrize("opts", [("--security-opt", "no-new-privileges"), (), ("--security-opt", "seccomp=unconfined")],
                         ids=["no-new-privileges", "plain", "without-filter"])
def test_R27_who_joins_a_hostile_container_can_not_be_traced(box, opts):
    if box.isolation == "vm" and "no-new-privileges" not in opts:
        pytest.skip("vm: the joining code is the same; one machine is enough")
    got = joiners_seen(box, opts)
    assert got["seen"] > 0 and got["refused"] > 0, got
    assert got["traced"] == 0 and got["opened"] == 0 and got["other"] == 0, got


# ---- R28 ----

def test_R28_a_fork_bomb_ends_at_the_limit_and_the_host_answers(box):
    name = box.start("attack", "bomb")
    ident = box.berth.inspect(name)["Id"]
    limit = int(knob(ident, "pids/pids.max", "pids.max"))
    assert 0 < limit <= 4096
    until(lambda: int(knob(ident, "pids/pids.current", "pids.current")) == limit, "the bomb has reached its limit", 120)
    # The host, a new container and the engine go on; a further process in the bombed one is refused in one line.
    assert subprocess.run(["true"]).returncode == 0
    assert box.ok("echo", "alive") == "alive"
    assert box.berth.state(name)["Running"] is True
    r = box.berth("exec", name, "true")
    assert r.code != 0 and r.err.count("\n") == 1, r
    box.berth.ok("rm", "-f", name)


@pytest.fixture
def many_files():
    """The caller may open as many files as this host lets it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = int(open("/proc/sys/fs/nr_open").read())
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except ValueError:  # no CAP_SYS_RESOURCE: the limit stays below; src/engine/process_test.c has the other case
        pass
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_R28_open_files_are_limited_whatever_the_callers_limit_is(box, many_files):
    count, why = box.ok("attack", "opens", "1000000").split()
    assert why == "EMFILE" and int(count) <= 524288


def test_R28_memory_file_systems_and_mounts_are_limited(box):
    out = box.sh("for d in /dev /dev/shm; do echo $d=$(attack fill $d 200); done; echo mounts=$(attack mounts 1000)")
    got = words(out)
    for d in ("/dev", "/dev/shm"):
        mib, why = got[d].split()
        assert why == "ENOSPC" and int(mib) <= 65, got
    assert got["mounts"] == "0 EPERM", got
