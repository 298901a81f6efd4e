"""Restart policies: what is started again, when, and what ends that."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from harness import has_ended, until
from test_events import actions

FAILS = ("sh", "-c", "echo life; exit 3")


def lives(berth, name):
    return berth("logs", name).out.count("life")


def policy(berth, name):
    p = berth.inspect(name)["HostConfig"]["RestartPolicy"]
    return p["Name"], p["MaximumRetryCount"]


def test_on_failure_gives_up_after_so_many(box):
    name = box.start(*FAILS, opts=("--restart", "on-failure:2"))
    until(lambda: box.berth.state(name)["Status"] == "exited", "it is given up", timeout=120)
    assert lives(box.berth, name) == 3
    seen = box.berth.inspect(name)
    assert seen["RestartCount"] == 2 and seen["State"]["ExitCode"] == 3 and not seen["State"]["Restarting"]
    assert policy(box.berth, name) == ("on-failure", 2)
    assert actions(box.berth, name) == ["create", *["start", "die"] * 3]


def test_always_goes_on_with_growing_waits_until_it_is_stopped(box):
    name = box.start("sh", "-c", "echo life; exit 0", opts=("--restart", "always"))
    until(lambda: box.berth.inspect(name)["RestartCount"] >= 3, "it is started again and again", timeout=120)
    state = until(lambda: (s := box.berth.state(name))["Restarting"] and s, "it waits")
    assert state["Status"] == "restarting" and state["Running"] and state["Pid"] == 0
    until(lambda: "Restarting (0)" in box.berth.ok("ps", "-f", f"name={name}", "-f", "status=restarting"), "it is listed while it waits")
    assert box.berth.ok("stop", name) == name
    n = lives(box.berth, name)
    state = box.berth.state(name)
    assert (state["Status"], state["Restarting"]) == ("exited", False)
    box.berth.rests(name)
    assert lives(box.berth, name) == n and box.berth.state(name)["Status"] == "exited"


def test_waits_double(cbox):
    name = cbox.start(*FAILS, opts=("--restart", "on-failure:4"))
    until(lambda: cbox.berth.state(name)["Status"] == "exited", "it is given up", timeout=60)
    times = [float(line.split()[0]) for line in cbox.berth.ok(
        "events", "--since", "1h", "--until", f"{time.time():.6f}", "-f", f"container={name}", "-f", "event=start", "-f", "event=die",
        "--format", "{{.TimeNano}}").splitlines()]
    waits = [(b - a) / 1e6 for a, b in zip(times[1::2], times[2::2])]
    assert len(waits) == 4
    for wait, least in zip(waits, (100, 200, 400, 800)):  # not more: src/engine/restart_test.c
        assert least <= wait, waits


def test_what_runs_is_ended_by_stop_and_kill_but_not_by_its_own_death(box):
    name = box.start("sleep", "1000", opts=("--restart", "unless-stopped"))
    box.berth.ok("exec", name, "sh", "-c", "true")
    if box.isolation == "container":
        os.kill(box.berth.state(name)["Pid"], signal.SIGKILL)  # by nobody that Berth knows of
        until(lambda: box.berth.inspect(name)["RestartCount"] == 1 and box.berth.state(name)["Status"] == "running", "it is back")
    box.berth.ok("stop", "-t", "0", name)
    assert box.berth.state(name)["Status"] == "exited"
    box.berth.ok("start", name)
    assert box.berth.inspect(name)["RestartCount"] == 0
    box.berth.ok("kill", name)
    box.berth.rests(name)
    assert box.berth.state(name)["Status"] == "exited"


def test_rm_needs_force_while_it_waits(cbox):
    name = cbox.start("false", opts=("--restart", "always"))
    # Between two lives it may be met alive.
    err = until(lambda: "restarting" in (e := cbox.berth.fails("rm", name)) and e, "rm finds it waiting")
    assert "stop the container before removing" in err
    until(lambda: "is restarting" in cbox.berth("exec", name, "true").err, "exec finds it waiting")
    pid = cbox.berth.monitor_pid(cbox.berth.inspect(name)["Id"])
    cbox.berth.ok("rm", "-f", name)
    assert has_ended(pid)
    assert name not in cbox.berth.ok("ps", "-a")


def test_rm_by_force_ends_all_lives_whenever_it_comes(cbox):
    """Also when the life that it finds ends of itself just then, and the next is to come."""
    moments = random.Random(5)
    for _ in range(20):
        name = cbox.start("false", opts=("--restart", "always"))
        time.sleep(moments.uniform(0, 0.4))
        cbox.berth.ok("rm", "-f", name)


def test_update_changes_the_policy(cbox):
    name = cbox.start("sh", "-c", "echo life; until [ -e /go ]; do sleep 0.05; done; exit 1", opts=("--restart", "no"))
    assert cbox.berth.ok("update", "--restart", "on-failure:1", name) == name
    cbox.berth.ok("exec", name, "touch", "/go")
    assert policy(cbox.berth, name) == ("on-failure", 1)
    until(lambda: cbox.berth.state(name)["Status"] == "exited", "it is given up")
    assert lives(cbox.berth, name) == 2
    other = cbox.start("sh", "-c", "sleep 0.2; exit 1", opts=("--restart", "always"))
    cbox.berth.ok("update", "--restart", "no", other)
    until(lambda: cbox.berth.state(other)["Status"] == "exited", "it stays ended")
    cbox.berth.fails("update", "--restart", "sometimes", other, says="unknown policy 'sometimes'")


def test_what_docker_refuses(cbox):
    for words, says in ((("--restart", "always", "--rm"), "conflicting options: cannot specify both --restart and --rm"),
                        (("--restart", "sometimes"), "unknown policy 'sometimes'"),
                        (("--restart", "always:3"), "maximum retry count can only be used with 'on-failure'"),
                        (("--restart", "on-failure:x"), "maximum retry count must be an integer")):
        cbox.berth.fails(*cbox.args("true", opts=words), says=says)
    assert cbox.ok("echo", "x", opts=("--restart", "no")) == "x"


def test_a_start_that_fails_is_not_repeated(cbox):
    name, r = cbox.keep("no-such-program", opts=("--restart", "always"))
    assert r.code == 127
    cbox.berth.rests(name)
    assert cbox.berth.state(name)["Status"] == "created" and cbox.berth.inspect(name)["RestartCount"] == 0


def test_new_limits_hold_for_the_next_life(cbox):
    name = cbox.start("sh", "-c", "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null; "
                      "until [ -e /go ]; do sleep 0.05; done; exit 1",
                      opts=("--restart", "on-failure:1", "--pids-limit", "90"))
    until(lambda: "90" in cbox.berth("logs", name).out, "it has looked")
    cbox.berth.ok("update", "--pids-limit", "55", name)
    cbox.berth.ok("exec", name, "touch", "/go")
    until(lambda: cbox.berth.state(name)["Status"] == "exited", "it is given up")
    assert cbox.berth.ok("logs", name).split() == ["90", "55"]


def test_wait_and_attached_run_end_with_the_first_life(cbox):
    name, r = cbox.keep(*FAILS, opts=("--restart", "on-failure:1"))
    assert (r.code, r.out) == (3, "life\n")
    until(lambda: cbox.berth.state(name)["Status"] == "exited", "it is given up")
    assert lives(cbox.berth, name) == 2


def stopped_while_it_waits(berth, name, pid) -> bool:
    """The monitor stands still, so that what it is about to do it does not do: and it is waiting."""
    os.kill(pid, signal.SIGSTOP)
    if berth.state(name)["Restarting"] and not Path(f"/proc/{pid}/task/{pid}/children").read_text():  # nor has it begun the next
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def test_a_monitor_killed_while_it_waits_leaves_one_that_has_ended(cbox):
    name = cbox.start(*FAILS, opts=("--restart", "always"))
    pid = cbox.berth.monitor_pid(cbox.berth.inspect(name)["Id"])
    until(lambda: cbox.berth.inspect(name)["RestartCount"] >= 3, "the waits are long")
    until(lambda: stopped_while_it_waits(cbox.berth, name, pid), "it is met between two lives", 120)
    os.kill(pid, signal.SIGKILL)
    state = until(lambda: (s := cbox.berth.state(name))["Status"] == "exited" and s, "it is seen")
    assert state["ExitCode"] == 3 and "monitor was killed" in state["Error"]
    cbox.berth.ok("start", name)


@pytest.fixture
def after_boot(cbox):
    """As after a reboot: nothing runs, no run directory is left, and the records are as they were."""
    def boot(*names):
        for name in names:
            if cbox.berth.state(name)["Running"]:
                os.kill(cbox.berth.monitor_pid(cbox.berth.inspect(name)["Id"]), signal.SIGKILL)
        for name in names:
            until(lambda: not cbox.berth.state(name)["Running"], "it is gone")
    return boot


def test_after_a_boot_what_should_run_is_started(cbox, after_boot):
    b = cbox.berth
    sleeper = ("sleep", "1000")
    always, unless, stopped, gone_no, stopped_always, failed, created = (cbox.name() for _ in range(7))
    for name, how in ((always, "always"), (unless, "unless-stopped"), (stopped, "unless-stopped"), (gone_no, "no"),
                      (stopped_always, "always"), (failed, "on-failure")):
        b.ok(*cbox.args(*sleeper, opts=("-d", "--name", name, "--restart", how)))
    b.ok(*cbox.args(*sleeper, verb="create", opts=("--name", created, "--restart", "always")))
    b.ok("stop", "-t", "0", stopped, stopped_always)
    after_boot(always, unless, gone_no, failed)
    started = b.ok("start", "--all-restartable").split()
    ids = {n: b.inspect(n)["Id"] for n in (always, unless, stopped, gone_no, stopped_always, failed, created)}
    mine = [n for i in started for n in ids if ids[n] == i]
    assert mine == [always, unless, stopped_always, failed]  # oldest first
    for n in mine:
        assert b.state(n)["Status"] == "running"
    assert b.ok("start", "--all-restartable") == ""
    b.fails("start", "--all-restartable", always, says="--all-restartable takes no names")
    b.fails("start", says="--all-restartable")


def test_a_monitor_that_is_told_to_end_does_not_start_it_again(cbox):
    """The host's shutdown; the next boot does."""
    name = cbox.start("sh", "-c", "trap 'exit 1' TERM; echo life; while :; do sleep 0.05; done", opts=("--restart", "on-failure"))
    until(lambda: lives(cbox.berth, name), "it is ready")
    os.kill(cbox.berth.monitor_pid(cbox.berth.inspect(name)["Id"]), signal.SIGTERM)
    until(lambda: cbox.berth.state(name)["Status"] == "exited", "it has ended")
    cbox.berth.rests(name)
    assert lives(cbox.berth, name) == 1
    assert cbox.berth.inspect(name)["Id"] in cbox.berth.ok("start", "--all-restartable").split()
