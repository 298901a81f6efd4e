"""create, start, stop, kill, wait, rm, ps, inspect: the states of a container and the ways between them."""

import json
import os
import re
import signal

import pytest

from harness import until


def test_create_then_start_then_gone(box):
    name = box.name()
    ident = box.berth.ok(*box.args("sh", "-c", "echo said >>/kept; cat /kept; exit 4", verb="create", opts=("--name", name)))
    state = box.berth.state(name)
    assert state["Status"] == "created" and not state["Running"]
    r = box.berth("start", "-a", name)
    assert (r.code, r.out) == (4, "said\n"), r
    state = box.berth.state(name)
    assert (state["Status"], state["ExitCode"], state["Running"], state["OOMKilled"]) == ("exited", 4, False, False)
    assert state["StartedAt"] < state["FinishedAt"]
    # The writable layer is kept from run to run.
    assert box.berth("start", "-a", name).out == "said\nsaid\n"
    assert box.berth.ok("rm", name) == name
    box.berth.fails("inspect", name, says=name)
    assert ident not in box.berth.ok("ps", "-aq", "--no-trunc")


def test_stop_asks_first_and_keeps_the_answer(box):
    name = box.start("sh", "-c", "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.1; done")
    until(lambda: "ready" in box.berth("logs", name).out, "the trap is set")
    assert box.berth.ok("stop", "-t", "60", name) == name
    state = box.berth.state(name)
    assert (state["Status"], state["ExitCode"]) == ("exited", 3)
    assert box.berth.ok("logs", name) == "ready\nasked"


def test_a_stop_right_behind_the_start_finds_a_trap_that_is_yet_to_be_set(box):
    """The kernel throws away what a first process has no handler for: a signal waits for a program that is still getting ready."""
    turns = 40000 if box.isolation == "container" else 500
    trapped = f"i=0; while [ $i -lt {turns} ]; do i=$((i+1)); done; trap 'exit 3' TERM; while :; do sleep 0.1; done"
    for opts in ((), ("--cpus", "0.03")) if box.isolation == "container" else ((),):  # a slow start by the clock is none of the program's
        name = box.start("sh", "-c", trapped, opts=opts)
        box.berth.ok("stop", "-t", "60", name)
        assert box.berth.state(name)["ExitCode"] == 3, opts


def test_stop_kills_what_does_not_listen(cbox):
    name = cbox.start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    until(lambda: "ready" in cbox.berth("logs", name).out, "the trap is set")
    cbox.berth.ok("stop", "-t", "1", name)
    state = cbox.berth.state(name)
    assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 137, False)
    assert cbox.berth.ok("stop", name) == name  # a second time is no error


def test_stop_sends_the_images_or_the_given_signal(cbox, app):
    loop = "trap 'exit 11' INT; trap 'exit 12' USR1; echo ready; while :; do sleep 0.1; done"
    for opts, code in (((), 11), (("--stop-signal", "USR1"), 12)):
        name = cbox.start("-c", loop, image=app, opts=("--entrypoint", "sh", *opts))
        until(lambda: "ready" in cbox.berth("logs", name).out, "the traps are set")
        cbox.berth.ok("stop", "-t", "60", name)
        assert cbox.berth.state(name)["ExitCode"] == code


def test_kill_takes_any_signal(box):
    name = box.start("sh", "-c", "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.1; done")
    until(lambda: "ready" in box.berth("logs", name).out, "the trap is set")
    box.berth.ok("kill", "-s", "USR1", name)
    until(lambda: "usr1" in box.berth("logs", name).out, "the signal arrived")
    assert box.berth.state(name)["Status"] == "running"
    waiter = box.berth.popen("wait", name)
    box.berth.ok("kill", name)
    out, _ = waiter.communicate(timeout=120)
    assert out == b"137\n"
    assert box.berth.state(name)["ExitCode"] == 137
    box.berth.fails("kill", name, says=[name, "not running"])
    box.berth.fails("kill", "-s", "NONSENSE", name, says="NONSENSE")


def test_signals_to_the_command_reach_the_container(cbox):
    name = cbox.name()
    p = cbox.berth.popen(*cbox.args("sh", "-c", "trap 'exit 21' TERM; echo ready; while :; do sleep 0.1; done", opts=("--name", name)))
    assert p.stdout.readline() == b"ready\n"
    p.send_signal(signal.SIGTERM)
    p.communicate(timeout=120)
    assert p.returncode == 21


def test_a_killed_command_leaves_the_container_running(cbox):
    name = cbox.name()
    p = cbox.berth.popen(*cbox.args("sh", "-c", "echo ready; sleep 1000", opts=("--name", name)))
    assert p.stdout.readline() == b"ready\n"
    p.kill()
    p.communicate()
    assert cbox.berth.state(name)["Status"] == "running"
    assert cbox.berth("exec", name, "true").code == 0


def test_rm_refuses_what_runs_unless_forced(cbox):
    name = cbox.start("sleep", "1000")
    cbox.berth.fails("rm", name, says=[name, "running"])
    assert cbox.berth.ok("rm", "-f", name) == name
    cbox.berth.fails("rm", name, says=name)
    assert cbox.berth("rm", "-f", name).code == 0  # nothing to do is no error when forced


def test_rm_leaves_no_file(cbox):
    name = cbox.start("sh", "-c", "mkdir -p /a/b; echo x >/a/b/c; sleep 1000")
    ident = cbox.berth.inspect(name)["Id"]
    assert (cbox.berth.root / "containers" / ident).exists()
    cbox.berth.ok("rm", "-f", name)
    assert not (cbox.berth.root / "containers" / ident).exists()
    assert not (cbox.berth.run_dir / "containers" / ident).exists()


def test_auto_remove_leaves_no_record(box):
    name = box.name()
    box.berth.ok(*box.args("true", opts=("--rm", "--name", name)))
    box.berth.fails("inspect", name, says=name)
    assert list((box.berth.run_dir / "containers").glob("*")) == [] or name not in box.berth.ok("ps", "-a")


def test_wait_gives_the_code_also_afterwards(cbox):
    name = cbox.start("sh", "-c", "sleep 0.2; exit 17")
    assert cbox.berth.ok("wait", name) == "17"
    assert cbox.berth.ok("wait", name) == "17"


def test_ps_lists_what_runs_and_all_on_request(cbox, image):
    runs, ended = cbox.start("sleep", "1000"), cbox.keep("sh", "-c", "exit 3")[0]
    text = cbox.berth.ok("ps")
    assert runs in text and ended not in text
    row = next(line for line in cbox.berth.ok("ps", "-a").splitlines() if ended in line)
    assert "Exited (3)" in row and image in row
    assert "Up" in next(line for line in text.splitlines() if runs in line)
    ids = cbox.berth.ok("ps", "-aq").split()
    assert cbox.berth.inspect(runs)["Id"][:12] in ids and all(re.fullmatch("[0-9a-f]{12}", i) for i in ids)
    assert cbox.berth.inspect(runs)["Id"] in cbox.berth.ok("ps", "-q", "--no-trunc").split()
    # Ids may be cut short, and names written with a slash as docker prints them.
    assert cbox.berth.inspect(cbox.berth.inspect(runs)["Id"][:12])["Name"].lstrip("/") == runs


def test_inspect_has_dockers_shape(box, tmp_path):
    name = box.start("sleep", "1000", opts=("--memory", "200m", "--cpus", "0.5", "--pids-limit", "100", "-e", "A=b", "--hostname", "h",
                                            "-v", f"{tmp_path}:/m:ro", "--label", "l=v", "--read-only"))
    i = box.berth.inspect(name)
    assert re.fullmatch("[0-9a-f]{64}", i["Id"]) and i["Image"].startswith("sha256:") and i["Name"].lstrip("/") == name
    assert i["State"]["Running"] is True and i["State"]["Status"] == "running" and os.path.exists(f"/proc/{i['State']['Pid']}")
    assert i["Config"]["Hostname"] == "h" and "A=b" in i["Config"]["Env"] and i["Config"]["Labels"]["l"] == "v"
    assert i["Config"]["Cmd"] == ["sleep", "1000"] and i["Path"] == "sleep" and i["Args"] == ["1000"]
    host = i["HostConfig"]
    assert host["Memory"] == 200 << 20 and host["NanoCpus"] == 500_000_000 and host["PidsLimit"] == 100
    assert host["NetworkMode"] == "none" and host["ReadonlyRootfs"] is True
    mount = next(m for m in i["Mounts"] if m["Destination"] == "/m")
    assert mount["Type"] == "bind" and mount["Source"] == str(tmp_path) and mount["RW"] is False
    assert box.berth.ok("inspect", "--format", "{{.State.Status}} {{.Config.Hostname}}", name) == "running h"


def test_names_are_unique_and_the_holder_is_named(cbox):
    name = cbox.start("sleep", "1000")
    ident = cbox.berth.inspect(name)["Id"]
    err = cbox.berth.fails(*cbox.args("true", opts=("--rm", "--name", name)), says=name)
    assert ident[:12] in err


def test_of_many_with_one_name_exactly_one_wins(cbox):
    name = cbox.name()
    started = [cbox.berth.popen(*cbox.args("sleep", "1000", opts=("-d", "--name", name))) for _ in range(5)]
    codes = []
    for p in started:
        p.communicate(timeout=120)
        codes.append(p.returncode)
    assert sorted(codes) == [0, 125, 125, 125, 125]


@pytest.mark.parametrize("verb", ["start", "stop", "kill", "rm", "wait", "logs", "attach", "inspect"])
def test_a_name_that_is_not_there_is_named(berth, verb):
    berth.fails(verb, "no-such-container", says="no-such-container")


def test_restart_begins_anew(box):
    name = box.start("sh", "-c", "echo begun; sleep 1000")
    first = box.berth.inspect(name)["State"]["Pid"]
    until(lambda: box.berth.ok("logs", name) == "begun", "it has begun")
    box.berth.ok("restart", "-t", "0", name)
    state = box.berth.state(name)
    assert state["Status"] == "running" and state["Pid"] != first
    until(lambda: box.berth.ok("logs", name) == "begun\nbegun", "both beginnings are in the log")


def test_info_and_version(berth):
    assert json.loads(berth.ok("info", "--format", "{{json .}}"))
    assert re.search(r"\d+\.\d+\.\d+", berth.ok("version"))
    host = os.uname()
    assert berth.ok("info", "-f", "{{.Architecture}} {{.KernelVersion}} {{.OSType}} {{.LoggingDriver}} {{.DockerRootDir}}").split() == [
        host.machine, host.release, "linux", "json-file", str(berth.root)]
    client, server = berth.ok("version", "-f", "{{json .Client}}\n{{json .Server}}").splitlines()
    assert client == server and json.loads(client)["Arch"] == {"x86_64": "amd64", "aarch64": "arm64"}.get(host.machine, host.machine)
