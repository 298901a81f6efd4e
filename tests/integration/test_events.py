"""`berth events`: what happens to containers and images, by whichever process, in docker's words and order."""

import json
import os
import re
import signal
import threading
import time

from harness import has_ended, stands_still, until, watches


def told(berth, *filters, since="0"):
    """(action, attributes) of all that has happened so far."""
    opts = [x for f in filters for x in ("-f", f)]
    lines = berth.ok("events", "--since", since, "--until", f"{time.time():.6f}", "--format", "json", *opts).splitlines()
    return [(v["Action"], v["Actor"]["Attributes"]) for v in map(json.loads, lines)]


def actions(berth, name):
    return [action for action, _ in told(berth, f"container={name}")]


class Follower:
    """A process that follows, and what it has printed so far."""

    def __init__(self, berth, *args):
        self.p = berth.popen("events", *args)
        self.lines = []
        self.thread = threading.Thread(target=self.read)
        self.thread.start()
        until(lambda: watches(self.p.pid), "the follower watches")

    def read(self):
        for line in self.p.stdout:
            self.lines.append(line.decode().rstrip("\n"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait()
        self.thread.join()
        self.p.stdout.close()
        self.p.stderr.close()


def test_a_life_is_told_in_dockers_order(box):
    name, r = box.keep("sh", "-c", "exit 3")
    assert r.code == 3
    events = told(box.berth, f"container={name}")
    assert [a for a, _ in events] == ["create", "attach", "start", "die"]
    assert events[-1][1]["exitCode"] == "3" and events[-1][1]["name"] == name and events[-1][1]["image"] == box.image
    box.berth.ok("rm", name)
    assert actions(box.berth, name)[-1] == "destroy"


def test_stop_restart_kill_pause_and_rm_f(box):
    name = box.start("sleep", "1000")
    box.berth.ok("pause", name)
    box.berth.ok("unpause", name)
    box.berth.ok("restart", "-t", "0", name)
    box.berth.ok("stop", "-t", "0", name)
    box.berth.ok("start", name)
    box.berth.ok("kill", name)
    box.berth.ok("start", name)
    box.berth.ok("rm", "-f", name)
    assert actions(box.berth, name) == [
        "create", "start", "pause", "unpause", "kill", "kill", "die", "stop", "start", "restart", "kill", "kill", "die", "stop",
        "start", "kill", "die", "start", "kill", "die", "destroy"]
    signals = [attrs["signal"] for action, attrs in told(box.berth, f"container={name}", "event=kill")]
    assert signals == ["15", "9", "15", "9", "9", "9"]


def test_exec_is_three_events_with_one_id(box):
    name = box.start("sleep", "1000")
    assert box.berth("exec", name, "sh", "-c", "exit 7").code == 7
    events = told(box.berth, f"container={name}", "event=exec_create", "event=exec_start", "event=exec_die")
    assert [a for a, _ in events] == ["exec_create: sh -c exit 7", "exec_start: sh -c exit 7", "exec_die"]
    assert len({attrs["execID"] for _, attrs in events}) == 1 and events[-1][1]["exitCode"] == "7"


def test_rm_is_told_with_its_end(box):
    name = box.name()
    box.berth.ok(*box.args("true", opts=("--rm", "--name", name)))
    assert actions(box.berth, name) == ["create", "attach", "start", "die", "destroy"]


def test_what_was_killed_with_its_monitor_has_died(cbox):
    name = cbox.start("sleep", "1000")
    ident = cbox.berth.inspect(name)["Id"]
    pid = cbox.berth.monitor_pid(ident)
    os.kill(pid, signal.SIGKILL)
    until(lambda: has_ended(pid), "it is dead")
    assert cbox.berth.state(name)["Status"] == "exited"
    assert told(cbox.berth, f"container={name}")[-1][0] == "die"


def test_a_follower_misses_nothing_that_others_do_at_once(cbox):
    names = [cbox.name() for _ in range(12)]
    with Follower(cbox.berth, "--format", "{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}") as f:
        runs = [cbox.berth.popen(*cbox.args("true", opts=("--rm", "--name", n))) for n in names]
        for p in runs:
            p.communicate(timeout=120)
        mine = lambda: [l for l in f.lines if l.split()[1] in names]  # noqa: E731
        until(lambda: len(mine()) == 5 * len(names), f"all events of {len(names)} containers; {len(mine())} came")
    for n in names:
        assert [l.split()[0] for l in mine() if l.split()[1] == n] == ["create", "attach", "start", "die", "destroy"]
        assert f"die {n} 0" in f.lines


def test_a_follower_that_waits_takes_no_processor_time(cbox):
    with Follower(cbox.berth) as f:
        ticks = lambda: sum(map(int, open(f"/proc/{f.p.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))  # noqa: E731
        stands_still(ticks, "what it has used to begin")
        before = ticks()
        time.sleep(2)
        assert ticks() - before <= 1


def test_a_follower_that_stops_reading_stops_nobody(cbox):
    with Follower(cbox.berth) as f:
        os.kill(f.p.pid, signal.SIGSTOP)
        for _ in range(3):
            assert cbox.sh("echo x") == "x"
        os.kill(f.p.pid, signal.SIGCONT)


def test_a_reader_that_leaves_ends_it(cbox):
    p = cbox.berth.popen("events")
    until(lambda: watches(p.pid), "it watches")
    p.stdout.close()
    cbox.ok("true")
    assert p.wait(timeout=120) == 0
    p.stderr.close()


def test_lines_are_dockers(cbox):
    name, _ = cbox.keep("true", opts=("--label", "b=2", "--label", "a=1"))
    line = cbox.berth.ok("events", "--since", "1h", "--until", f"{time.time():.6f}", "-f", f"container={name}", "-f", "event=create")
    ident = cbox.berth.inspect(name)["Id"]
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{9}}(Z|[+-]\d\d:\d\d) container create {ident} "
                        rf"\(.*a=1, b=2, .*image={re.escape(cbox.image)}, name={name}\)", line), line
    v = json.loads(cbox.berth.ok("events", "--since", "1h", "--until", f"{time.time():.6f}", "-f", f"container={name}",
                                 "-f", "event=die", "--format", "{{json .}}"))
    assert v["status"] == "die" and v["id"] == ident and v["from"] == cbox.image and v["scope"] == "local"
    assert v["Type"] == "container" and v["Actor"]["ID"] == ident and v["timeNano"] // 10**9 == v["time"]


def test_filters(cbox):
    b = cbox.berth
    name, _ = cbox.keep("true", opts=("--label", "part=x", "--label", "kind=y"))
    other, _ = cbox.keep("true", opts=("--label", "part=x"))
    assert {attrs["name"] for _, attrs in told(b, "label=part=x", "label=kind")} == {name}
    assert {attrs["name"] for _, attrs in told(b, f"container={name}", f"container={other}")} == {name, other}
    assert {a for a, _ in told(b, f"container={name}", "event=start", "event=die")} == {"start", "die"}
    assert told(b, f"container={name}", "type=image") == []
    ident = b.inspect(name)["Id"]
    assert [a for a, _ in told(b, f"container={ident[:12]}")] == ["create", "attach", "start", "die"]
    assert {attrs["name"] for _, attrs in told(b, f"image={cbox.image}", "event=create")} >= {name, other}
    b.fails("events", "-f", "colour=red", says=("--filter", "colour=red", "type, event, container, image, volume, network, label"))
    b.fails("events", "--since", "yesterday", says=("--since", "yesterday"))


def test_until_ends_it_also_in_the_future(cbox):
    began = time.monotonic()
    cbox.berth.ok("events", "--until", f"{time.time() + 1.5:.3f}")
    assert 1.2 < time.monotonic() - began


def test_images_too(cbox):
    b = cbox.berth
    since = f"{time.time():.6f}"
    ident = json.loads(b.ok("image", "inspect", cbox.image))[0]["Id"]
    b.ok("tag", cbox.image, "events.test/a:1")
    b.ok("rmi", "events.test/a:1")
    assert [(a, attrs["name"]) for a, attrs in told(b, f"image={ident}", "type=image", since=since)] == [
        ("tag", "events.test/a:1"), ("untag", "events.test/a:1")]


def test_a_wrong_format_is_an_error(cbox):
    cbox.keep("true")
    cbox.berth.fails("events", "--since", "1h", "--until", f"{time.time():.6f}", "--format", "{{.Nothing}}", says="Nothing")
