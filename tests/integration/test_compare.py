"""`berth compare`: what it measures, how it ends, and that nothing of it stays."""

import json
import re
import signal
import subprocess

import pytest

from harness import PATIENCE, until
from net_host import Namespace
from test_network import HostBerth

pytestmark = pytest.mark.usefixtures("probe_inside")
QUICK = ("-q", "-n", "2", "--instances", "2", "--rounds", "1", "--isolation", "container")


STAY = "trap 'exit 0' TERM; sleep 100000 & wait"  # what `stop` need not kill, and whose memory stays as it is


def left(berth):
    """What a comparison makes, of which nothing may stay."""
    names = berth.ok("ps", "-a", "--format", "{{.Names}}") + "\n" + berth.ok("images", "--format", "{{.Repository}}")
    return [name for name in names.split() if "berth-compare" in name]


def compare(berth, *args, code=0, **kw):
    r = berth("compare", "--format", "json", *args, **kw)
    assert r.code == code, str(r)
    assert not left(berth)
    return json.loads(r.out)


def figures(said):
    """{id: {way: cell}}"""
    names = [w["name"] for w in said["ways"]]
    return {f["id"]: dict(zip(names, f["cells"])) for f in said["figures"]}


def samples(said, figure, way="container"):
    return figures(said)[figure][way].get("samples", [])


def test_a_job_is_measured_in_all_its_parts(berth, image):
    said = compare(berth, *QUICK, image, "echo", "hello")
    assert said["title"] == f"{image}: echo hello" and not said["interrupted"]
    assert [(w["name"], w.get("accelerator")) for w in said["ways"]] == [("host", None), ("container", None)]
    for figure in ("start.first_instruction", "start.first_byte", "run.whole", "stop", "memory.outside", "memory.inside", "disk.own", "disk.shared"):
        assert len(samples(said, figure)) == 2 and min(samples(said, figure)) > 0, figure
    for figure in ("cpu", "syscall", "context_switch", "page_fault", "process", "file.write", "file.read", "file.create"):
        for way in ("host", "container"):
            assert len(samples(said, figure, way)) == 1 and samples(said, figure, way)[0] > 0, (figure, way)
    assert max(samples(said, "start.first_instruction")) < max(samples(said, "run.whole")) * 5
    assert len(samples(said, "memory.marginal")) == 1
    assert "not given" in figures(said)["start.ready"]["container"]["whyNot"]
    assert "publishes no ports" in figures(said)["network.latency"]["container"]["whyNot"]
    assert samples(said, "network.latency", "host")
    assert said["machine"]["Processors"] and said["machine"]["Memory"]


def test_whole_run_is_after_first_byte(berth, image):
    said = compare(berth, *QUICK, "--only", "start", image, "sh", "-c", "echo; sleep 0.3")
    assert min(samples(said, "run.whole")) > max(min(samples(said, "start.first_byte")), 300)
    assert not samples(said, "memory.outside") if "memory.outside" in figures(said) else True


def test_what_is_heavier_inside_is_seen_as_such(berth, image):
    light = compare(berth, *QUICK, "--only", "memory", image, "sh", "-c", STAY)
    heavy = compare(berth, *QUICK, "--only", "memory", image, "sh", "-c", 'x=$(head -c 20000000 /dev/zero | tr "\\0" x);' + STAY)
    assert min(samples(heavy, "memory.inside")) > min(samples(light, "memory.inside")) + 15000
    assert min(samples(heavy, "memory.marginal")) > min(samples(light, "memory.marginal")) + 10000
    assert max(samples(heavy, "memory.outside")) < min(samples(light, "memory.outside")) + 5000


def test_a_part_that_fails_is_said_and_left_out_and_the_rest_is_measured(berth, image):
    r = berth("compare", "--format", "json", *QUICK, "--only", "start,memory,speed", "--instances", "9", image, "sleep", "8")  # ends while it is looked at
    assert r.code == 1 and r.err.count("\n") == 1 and r.err.startswith("berth compare: memory: ") and "the rest is measured" in r.err, str(r)
    cells = figures(json.loads(r.out))
    for figure in ("memory.outside", "memory.inside", "disk.own", "disk.shared", "stop"):
        assert cells[figure]["container"]["whyNot"], figure
    assert len(cells["start.first_instruction"]["container"]["samples"]) == 2 and cells["syscall"]["container"]["samples"]
    assert not left(berth)


def test_a_service_is_stopped_once_it_has_spoken_or_is_silent(berth, image):
    said = compare(berth, *QUICK, "--only", "start", image, "sh", "-c", "echo up; sleep 1000")
    assert len(samples(said, "start.first_byte")) == 2
    assert "does not end" in figures(said)["run.whole"]["container"]["whyNot"]
    said = compare(berth, *QUICK, "--only", "start", image, "sleep", "1000")
    assert "printed nothing" in figures(said)["start.first_byte"]["container"]["whyNot"]


def test_ready_by_its_log(berth, image):
    said = compare(berth, *QUICK, "--only", "start", "--ready", "log:now ready", image, "sh", "-c", "echo up; sleep 0.3; echo now ready; sleep 1000")
    assert min(samples(said, "start.ready")) > min(samples(said, "start.first_byte")) and min(samples(said, "start.ready")) > 300


@pytest.mark.parametrize("ready", ["tcp:8000", "http://localhost:8000/passwd"])
def test_ready_by_its_port(berth, image, ready):
    host = Namespace("host")
    try:
        there = HostBerth(berth, host)
        said = compare(there, *QUICK, "--only", "start,network", "--network", "bridge", "--ready", ready, image,
                       "sh", "-c", "sleep 0.3; exec busybox httpd -f -p 8000 -h /etc")
        assert len(samples(said, "start.ready")) == 2 and min(samples(said, "start.ready")) > 300
        assert samples(said, "network.latency")[0] > 0 and samples(said, "network.throughput")[0] > 0
    finally:
        host.close()


def test_limits_and_options_are_every_ones(berth, image):
    said = compare(berth, *QUICK, "--only", "start", "--memory", "33m", "-e", "A=b", "--read-only", image,
                   "sh", "-c", 'test "$A" = b && ! touch /x 2>/dev/null && grep -q 34603008 /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null')
    assert said["machine"]["Options"] == "--memory=33m --env=A=b --read-only" and samples(said, "run.whole")


def test_walls_are_those_of_the_audit_with_the_same_options(berth, image):
    said = compare(berth, *QUICK, "--only", "walls", "--cap-drop", "ALL", "-e", "A=b", "--privileged=false", "--init=false", image, "true")
    walls = {w["id"]: w["values"] for w in said["walls"]}
    audit = json.loads(berth.ok("audit", "--format", "json", "--isolation", "container", "--cap-drop", "ALL", image))
    assert walls["capabilities"][1] == {w["id"]: w["values"][0] for w in audit["walls"]}["capabilities"] == "0"
    assert not said["figures"] or not any(c.get("samples") for f in said["figures"] for c in f["cells"])


def test_a_probe_that_can_not_says_why_and_the_rest_goes_on(berth, image):
    said = compare(berth, *QUICK, "--only", "speed", "--read-only", image, "true")
    assert "Read-only" in figures(said)["file.write"]["container"]["whyNot"]
    assert samples(said, "file.write", "host") and samples(said, "syscall")


def test_the_table_says_what_it_is(berth, image):
    out = berth.ok("compare", *QUICK, "--only", "start", image, "true")
    assert re.search(r"START-UP +container", out) and "instruction" in out and "n 2 (50 %)" in out


def test_saved_shown_and_held_against(berth, image, tmp_path):
    compare(berth, *QUICK, "--only", "start", "--save", tmp_path / "a.json", "--html", tmp_path / "a.html", image, "true")
    assert json.loads((tmp_path / "a.json").read_text())["schema"] == "berth.comparison/1"
    assert (tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>") and "<svg" in (tmp_path / "a.html").read_text()
    shown = json.loads(berth.ok("compare", "--from", tmp_path / "a.json", "--format", "json"))
    assert shown == json.loads((tmp_path / "a.json").read_text())
    out = berth.ok("compare", "--from", tmp_path / "a.json", "--against", tmp_path / "a.json")
    assert "1.00×" in out
    said = json.loads(berth.ok("compare", "--from", tmp_path / "a.json", "--against", tmp_path / "a.json", "--format", "json"))
    assert said["comparison"] == shown and {r["verdict"] for r in said["against"]["rows"]} == {"unsure"} and not said["against"]["differences"]
    slow = json.loads((tmp_path / "a.json").read_text())
    for figure in slow["figures"]:
        for cell in figure["cells"]:
            if "samples" in cell:
                cell["samples"] = [v * (100 + i) for i in range(5) for v in cell["samples"][:1]]
                for key in ("n", "min", "p50", "max", "spread"):
                    cell.pop(key)
    many = json.loads(json.dumps(slow))
    for figure in many["figures"]:
        for cell in figure["cells"]:
            if "samples" in cell:
                cell["samples"] = [v / 100 for v in cell["samples"]]
    (tmp_path / "slow.json").write_text(json.dumps(slow))
    (tmp_path / "many.json").write_text(json.dumps(many))
    for now, then, verdict in (("slow", "many", "worse"), ("many", "slow", "better")):
        said = json.loads(berth.ok("compare", "--from", tmp_path / f"{now}.json", "--against", tmp_path / f"{then}.json", "--format", "json"))
        assert {(r["id"], r["verdict"]) for r in said["against"]["rows"]} >= {("start.first_instruction", verdict)}
    berth.fails("compare", "--against", tmp_path / "none.json", *QUICK, image, says="none.json")
    (tmp_path / "b.json").write_text("{}")
    berth.fails("compare", "--from", tmp_path / "b.json", says=("b.json", "schema"))
    berth.fails("compare", *QUICK, "--only", "start", "--save", "/nonexistent/x.json", image, "true", says="/nonexistent/x.json")
    assert not left(berth)


@pytest.mark.parametrize("args, says", [
    (("--isolation", "jail", "IMAGE"), "jail"),
    (("--isolation", "container,container", "IMAGE"), "twice"),
    (("-n", "0", "IMAGE"), "--count 0"),
    (("--rounds", "5000", "IMAGE"), "1000"),
    (("--only", "colour", "IMAGE"), "colour"),
    (("--ready", "udp:5", "IMAGE"), "tcp:PORT"),
    (("--format", "yaml", "IMAGE"), "yaml"),
    (("--need", "speed", "--recommend", "IMAGE"), "speed"),
    (("--need", "start-up", "IMAGE"), "--recommend"),
    (("--timeout", "0", "IMAGE"), "--timeout"),
    ((), "image is missing"),
    (("--from", "x.json", "IMAGE"), "no image"),
    (("--memory", "1", "IMAGE", "true"), "--memory"),
    (("127.0.0.1:1/no/such:1",), "no/such"),
    (("IMAGE", "sh", "-c", "exit 3"), "ended with 3"),
    (("IMAGE", "/no/such/program"), "127"),
    (("--ready", "log:x", "IMAGE", "true"), "before it was ready"),
    (("--ready", "log:x", "--timeout", "1", "IMAGE", "sleep", "100"), "--timeout"),
])
def test_what_can_not_be_compared_is_said_and_nothing_stays(berth, image, args, says):
    berth.fails("compare", *(("-q", "--isolation", "container") if "--isolation" not in args and "--from" not in args and args else ()),
                *(image if a == "IMAGE" else a for a in args), says=says)
    assert not left(berth)


def begun(berth, image, *command):
    """One that goes on for long, in the midst of its starts."""
    p = berth.popen("compare", "--format", "json", "-n", "1000", "--isolation", "container", image, *command, stderr=subprocess.PIPE)
    for line in p.stderr:
        if b"start 3 of 1000" in line:
            return p
    raise AssertionError("it has ended")


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_ends_it_with_what_was_measured(berth, image, sig):
    with begun(berth, image, "true") as p:
        p.send_signal(sig)
        out, _ = p.communicate(timeout=60 * PATIENCE)
    said = json.loads(out)
    assert p.returncode == 130 and said["interrupted"] and 2 <= len(samples(said, "start.first_instruction")) < 1000
    assert not left(berth)


def test_what_a_killed_one_leaves_the_next_one_removes_and_no_other_ones(berth, image):
    with begun(berth, image, "sleep", "0.2") as other, begun(berth, image, "sleep", "0.2") as p:
        p.kill()
        p.wait()
        assert left(berth)
        mine = f"localhost/berth-compare:{other.pid}-"
        berth.ok("compare", *QUICK, "--only", "start", image, "true")
        tags = berth.ok("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        assert [t for t in tags if t.startswith(mine)] and not [t for t in tags if f":{p.pid}-" in t]
        other.send_signal(signal.SIGINT)
        other.communicate(timeout=60 * PATIENCE)
    until(lambda: not left(berth), "all of it is removed", 30)


def test_progress_is_told_a_line_each_and_not_with_quiet(berth, image):
    r = berth("compare", "-n", "1", "--only", "start", "--isolation", "container", image, "true")
    assert r.code == 0 and "berth compare: start 1 of 1: container" in r.err.splitlines()
    assert berth("compare", *QUICK, "--only", "start", image, "true").err == ""


def test_each_round_has_its_share_of_all_that_is_measured_in_rounds(berth, image):
    r = berth("compare", "-n", "5", "--rounds", "3", "--only", "start,speed", "--isolation", "container", image, "true")
    told = [line.removeprefix("berth compare: ") for line in r.err.splitlines() if re.search(r"\d of \d", line)]
    start, speed = ([f"{what} {k} of {n}: " for k in range(1, n + 1)] for what, n in (("start", 5), ("speed", 3)))
    host_too = [[s + "host", s + "container"] for s in speed]
    assert told == [start[0] + "container", *host_too[0], start[1] + "container", start[2] + "container", *host_too[1],
                    start[3] + "container", start[4] + "container", *host_too[2]]


@pytest.mark.vm
def test_beside_a_vm_stands_what_carries_it(berth, image):
    said = compare(berth, "-q", "-n", "2", "--instances", "2", "--rounds", "1", "--memory", "128m", image, "echo", "hello", timeout=900)
    ways = {w["name"]: w.get("accelerator") for w in said["ways"]}
    is_usable = json.loads(berth.ok("info", "--format", "{{json .Isolations}}"))["vm"] == "available"
    assert ways["vm"] in (("KVM hardware", "KVM paravirtual") if is_usable else ("TCG",)), "an emulated figure is never called KVM"
    for figure in ("start.first_instruction", "start.first_byte", "run.whole", "stop", "memory.outside", "memory.inside", "memory.guest_kernel"):
        assert len(samples(said, figure, "vm")) == 2 and min(samples(said, figure, "vm")) > 0, figure
    assert min(samples(said, "start.first_instruction", "vm")) > min(samples(said, "start.first_instruction", "container"))
    assert samples(said, "syscall", "vm") and samples(said, "density", "vm")[0] < samples(said, "density")[0]
    assert "shares" in figures(said)["memory.guest_kernel"]["container"]["whyNot"]
    assert samples(said, "memory.guest_kernel", "vm")[0] < 131072
