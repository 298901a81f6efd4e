"""`exec`: one more process in a running container. One container serves all tests of this file."""

import os

import pytest

from harness import until


def test_exec_runs_in_the_containers_world(running):
    out = running.berth.ok("exec", running.name_, "sh", "-c", "hostname; echo $GIVEN; pwd; id -u; tr '\\0' ' ' </proc/1/cmdline")
    assert out == "inside\nat run\n/\n0\nsleep 100000 "


def test_exec_takes_environment_directory_and_user(running):
    out = running.berth.ok("exec", "-e", "A=b c", "-e", "GIVEN=at exec", "-w", "/srv", "-u", "web", running.name_,
                           "sh", "-c", "echo $A; echo $GIVEN; pwd; id -u; id -G")
    assert out == "b c\nat exec\n/srv\n1000\n1000 1001 1002"


@pytest.mark.parametrize("command, code", [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137), ("kill -TERM $$", 143)])
def test_exec_exit_codes(running, command, code):
    assert running.berth("exec", running.name_, "sh", "-c", command).code == code


def test_exec_of_what_is_not_there_or_not_executable(running):
    r = running.berth("exec", running.name_, "/no/such")
    assert r.code == 127 and "/no/such" in r.err and r.err.count("\n") == 1, r
    r = running.berth("exec", running.name_, "/etc/passwd")
    assert r.code == 126 and "/etc/passwd" in r.err and r.err.count("\n") == 1, r


def test_exec_streams_are_apart_and_stdin_ends(running):
    data = os.urandom(100_000).hex()
    r = running.berth("exec", "-i", running.name_, "sh", "-c", "wc -c; echo err >&2", input=data)
    assert (r.code, r.out.strip(), r.err) == (0, str(len(data)), "err\n"), r
    assert running.berth.ok("exec", running.name_, "cat", input="must not arrive") == ""


def test_exec_on_a_terminal(running):
    t = running.terminal("exec", "-it", "-e", "PS1=exec> ", running.name_, "sh", rows=31, cols=71)
    t.expect("exec> ")
    t.send("stty size\n")
    t.expect(r"^31 71\r")
    t.resize(20, 50)
    t.send("until stty size | grep '^20 50$'; do sleep 0.1; done\n")  # the new size takes its way through three processes
    t.expect(r"^20 50\r")
    t.send("exit 6\n")
    assert t.wait() == 6


def test_exec_detached_returns_at_once_and_goes_on(running):
    running.berth.ok("exec", "-d", running.name_, "sh", "-c", "sleep 0.3; echo done >/tmp/detached")
    until(lambda: running.berth("exec", running.name_, "cat", "/tmp/detached").out == "done\n", "the detached process wrote")


def test_many_execs_at_once_keep_their_output(running):
    started = [(i, running.berth.popen("exec", running.name_, "sh", "-c", f"sleep 0.2; echo {i}; exit {i}")) for i in range(6)]
    for i, p in started:
        out, err = p.communicate(timeout=120)
        assert (p.returncode, out.decode()) == (i, f"{i}\n"), err


def test_exec_leaves_nothing_behind(running):
    def processes():
        return running.berth.ok("exec", running.name_, "sh", "-c", "for p in /proc/[0-9]*; do cat $p/comm; done | grep -c sleep")
    before = processes()
    assert running.berth("exec", running.name_, "true").code == 0
    assert processes() == before


def test_exec_in_what_does_not_run_is_refused(cbox):
    name = cbox.name()
    cbox.berth.ok(*cbox.args("true", verb="create", opts=("--name", name)))
    cbox.berth.fails("exec", name, "true", says=[name, "not running"])
    cbox.berth.fails("exec", "no-such-container", "true", says="no-such-container")
