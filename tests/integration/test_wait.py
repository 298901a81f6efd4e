"""`wait`: for an end, and for whatever else can be waited for."""

import os
import subprocess
from pathlib import Path

import pytest

from harness import until


def waits(berth, *args):
    return berth.popen("wait", *args)


def answer(p, timeout=120):
    out, err = p.communicate(timeout=timeout)
    return p.returncode, out.decode(), err.decode()


def listens(p) -> bool:
    """Has it something to be told by: its container's monitor, or the events?"""
    links = []
    for fd in Path(f"/proc/{p.pid}/fd").iterdir():
        try:
            links.append(os.readlink(fd))
        except OSError:
            pass
    return any(link.startswith("socket:") or "inotify" in link for link in links)


def test_codes_come_one_a_line_in_the_order_given(box):
    slow = box.start("sh", "-c", "sleep 1; exit 3")
    quick = box.start("sh", "-c", "exit 4") if box.isolation == "container" else None
    names = [n for n in (slow, quick) if n]
    assert box.berth.ok("wait", *names).split() == ["3", "4"][:len(names)]
    assert box.berth.ok("wait", "--condition", "exited", "--interval", "1s", slow) == "3", "what has ended already"


def test_running_paused_and_gone(cbox):
    name = cbox.name()
    cbox.berth.ok(*cbox.args("sleep", "1000", verb="create", opts=("--name", name)))
    assert cbox.berth.ok("wait", "--condition", "created", name) == "-1"
    with waits(cbox.berth, "--condition", "running", name) as p:
        cbox.berth.ok("start", name)
        assert answer(p) == (0, "-1\n", "")
    with waits(cbox.berth, "--condition=paused", "--condition=exited", name) as p:
        cbox.berth.ok("pause", name)
        assert answer(p) == (0, "-1\n", "")
    cbox.berth.ok("unpause", name)
    with waits(cbox.berth, "--condition", "removed", name) as p:
        until(lambda: listens(p), "it waits")
        cbox.berth.ok("kill", name)
        with pytest.raises(subprocess.TimeoutExpired):
            p.wait(0.5)
        cbox.berth.ok("rm", name)
        assert answer(p) == (0, "137\n", "")


def test_the_next_end_is_not_the_last(cbox):
    name, _ = cbox.keep("sh", "-c", "sleep 0.3; exit 5")
    with waits(cbox.berth, "--condition", "next-exit", name) as p:
        until(lambda: listens(p), "it waits")
        with pytest.raises(subprocess.TimeoutExpired):
            p.wait(0.5)
        cbox.berth.ok("start", name)
        assert answer(p) == (0, "5\n", "")


def test_the_end_of_one_that_is_not_kept(cbox):
    for condition in ("removed", "next-exit", "stopped"):
        name = cbox.start("sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; exit 6", opts=("--rm",))
        with waits(cbox.berth, "--condition", condition, name) as p:
            until(lambda: listens(p), "it waits")
            cbox.berth.ok("exec", name, "touch", "/go")
            assert answer(p) == (0, "6\n", ""), condition


def test_health(cbox):
    name = cbox.start("sh", "-c", "sleep 1000", opts=("--health-cmd", "test -e /well", "--health-interval", "200ms", "--health-retries", "1"))
    assert cbox.berth.ok("wait", "--condition", "unhealthy", "-i", "50", name) == "-1"
    with waits(cbox.berth, "--condition", "healthy", name) as p:
        cbox.berth.ok("exec", name, "touch", "/well")
        assert answer(p) == (0, "-1\n", "")


def test_what_is_not_there(cbox):
    name, _ = cbox.keep("sh", "-c", "exit 7")
    r = cbox.berth("wait", "no-such-one", name)
    assert r.code == 125 and r.out == "7\n" and "no such container: no-such-one" in r.err, r
    r = cbox.berth("wait", "--ignore", "no-such-one", name)
    assert (r.code, r.out, r.err) == (0, "-1\n7\n", "")
    with waits(cbox.berth, "--condition", "running", name) as p:
        until(lambda: listens(p), "it waits")
        cbox.berth.ok("rm", name)
        code, out, err = answer(p)
        assert code == 125 and out == "" and "no such container" in err
    cbox.berth.fails("wait", "--condition", "happy", "x", says=("--condition", "happy", "healthy"))
    cbox.berth.fails("wait", "--interval", "soon", "x", says="--interval")
    assert until(lambda: not cbox.berth.ok("ps", "-aq", "--filter", f"name={name}"), "it is gone") is True
