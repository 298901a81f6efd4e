"""Limits of a user without root's rights, to whom a cgroup is delegated as a session of systemd's would be. That is of cgroup v2 alone, so on other
hosts it is the lab that runs these (./check lab)."""

import json
import os
from pathlib import Path

import pytest

import rootless_user
from harness import until
from rootless_user import UID, Home

TOP = Path("/sys/fs/cgroup")


def controllers():
    return (TOP / "cgroup.controllers").read_text().split() if (TOP / "cgroup.controllers").exists() else []


pytestmark = [
    pytest.mark.skipif(not rootless_user.has_user_namespaces(), reason="this host gives users no user namespaces"),
    pytest.mark.skipif(not {"memory", "pids", "cpu"} <= set(controllers()), reason="a cgroup of v2 is delegated, and this host has none with all limits"),
]
WANTED = "+memory +pids +cpu +cpuset"


class Session(Home):
    """What the user runs is in the cgroup DELEGATED/session."""

    def __init__(self, *args):
        self.delegated = TOP / f"berth-user-{os.getpid()}"
        super().__init__(*args)
        (TOP / "cgroup.subtree_control").write_text(WANTED)
        (self.delegated / "session").mkdir(parents=True)
        for place in (self.delegated, *(self.delegated / f"cgroup.{f}" for f in ("procs", "subtree_control", "threads"))):
            os.chown(place, UID, UID)
        for place in (self.delegated / "session", *(self.delegated / "session").iterdir()):
            os.chown(place, UID, UID)

    def as_user(self, *argv):
        return ["sh", "-c", 'echo $$ >"$1" && shift && exec "$@"', "sh", str(self.delegated / "session/cgroup.procs"), *super().as_user(*argv)]

    def end(self):
        super().end()
        for d, _, _ in os.walk(self.delegated, topdown=False):
            os.rmdir(d)


@pytest.fixture(scope="module")
def user(berth):
    home = Session(berth.build)
    home.bring_base()
    yield home
    home.end()


@pytest.fixture
def started(user):
    made = []

    def start(*opts, script="sleep 1000"):
        made.append(user.ok("run", "-d", "--network", "none", *opts, "base", "sh", "-c", script))
        return made[-1]

    yield start
    if made:
        user.ok("rm", "-f", *made)


def test_what_is_delegated_is_told(user):
    info = json.loads(user.ok("info", "--format", "json"))
    assert info["CgroupLayout"] == "v2" and info["CgroupDriver"] == "cgroupfs" and {"memory", "pids", "cpu"} <= set(info["CgroupControllers"])
    rows = [json.loads(line) for line in user("doctor", "--format", "json").out.splitlines()]
    assert next(row["Level"] for row in rows if (row["Area"], row["Subject"]) == ("user", "cgroup")) == "ok"


def test_limits_are_the_kernel_s(user, started):
    c = started("-m", "64m", "--pids-limit", "20", "--cpus", "0.5")
    own = next(line for line in Path(f"/proc/{user.state(c)['Pid']}/cgroup").read_text().splitlines() if line.startswith("0::"))[3:]
    at = TOP / own.lstrip("/")
    assert at.is_relative_to(user.delegated) and not at.is_relative_to(user.delegated / "session")
    assert [(at / f).read_text().strip() for f in ("memory.max", "pids.max", "cpu.max")] == ["67108864", "20", "50000 100000"]
    user.ok("update", "--memory", "96m", "--memory-swap", "96m", c)
    assert (at / "memory.max").read_text().strip() == "100663296"


def test_what_is_not_asked_for_is_as_root_s(user, started):
    c = started()
    own = Path(f"/proc/{user.state(c)['Pid']}/cgroup").read_text().split("0::")[1].split()[0]
    assert (TOP / own.lstrip("/") / "pids.max").read_text().strip() == "2048"


def test_who_exceeds_a_limit_is_killed(user):
    r = user("run", "--network", "none", "--name", "big", "-m", "32m", "--memory-swap", "32m", "base", "sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x)")
    try:
        assert r.code == 137 and user.state("big")["OOMKilled"] is True
    finally:
        user.ok("rm", "-f", "big")


def test_a_pause_and_statistics(user, started):
    c = started(script="while :; do :; done")
    user.ok("pause", c)
    assert user.state(c)["Status"] == "paused"
    user.ok("unpause", c)
    until(lambda: json.loads(user.ok("stats", "--no-stream", "--format", "json", c))["CPUPerc"] not in ("--", "0.00%"), "it is at work")


def test_no_cgroup_stays(user):
    user.ok("run", "--rm", "--network", "none", "-m", "64m", "base", "true")
    until(lambda: not user.processes(), "no process of the user's is left")
    user.ok("system", "prune", "-f")
    assert [d.name for d in user.delegated.iterdir() if d.is_dir()] in (["session"], ["berth", "session"], ["session", "berth"])
    assert not [d for d, _, _ in os.walk(user.delegated / "berth") if d != str(user.delegated / "berth")]
