"""`rename` and `top`."""

import json
import re

import pytest

from harness import until


def test_a_container_has_its_new_name_and_no_other(berth, box):
    name = box.start("sleep", "100000", opts=("--hostname", "stays"))
    new = box.name()
    assert berth.ok("rename", name, new) == ""
    info = berth.inspect(new)
    assert info["Name"] == f"/{new}" and info["Config"]["Hostname"] == "stays"
    berth.fails("inspect", name, says=name)
    assert berth.ok("exec", new, "hostname") == "stays"
    assert new in berth.ok("ps", "--format", "{{.Names}}").split("\n")
    berth.ok("stop", "-t", "0", new)
    berth.ok("rename", new, name)
    berth.ok("start", name)
    assert berth.inspect(name)["State"]["Status"] == "running"


def test_rename_tells_what_happened(berth, cbox):
    name, _ = cbox.keep("true")
    new = cbox.name()
    berth.ok("rename", name, new)
    events = [json.loads(line) for line in berth.ok("events", "--since", "1h", "--until", "0s", "--format", "{{json .}}").split("\n")]
    (event,) = [v for v in events if v["Action"] == "rename" and v["Actor"]["Attributes"]["name"] == new]
    assert event["Actor"]["Attributes"]["oldName"] == f"/{name}"


def test_names_that_can_not_be_are_refused(berth, cbox):
    name, _ = cbox.keep("true")
    other, _ = cbox.keep("true")
    berth.fails("rename", name, other, says=[f"the name {other} is in use by container", "remove or rename it"])
    berth.fails("rename", name, "a/b", says="a name begins with a letter or digit")
    berth.fails("rename", name, "", says="a name begins with")
    berth.fails("rename", name, name, says="has that name already")
    berth.fails("rename", "no-such-one", "x", says="no such container: no-such-one")
    assert berth.inspect(name)["Name"] == f"/{name}"


def test_a_pods_name_is_no_containers(berth, cbox):
    name, _ = cbox.keep("true")
    pod = "pod-" + name
    berth.ok("pod", "create", "--name", pod)
    try:
        berth.fails("rename", name, pod, says=f"the name {pod} is in use by pod")
    finally:
        berth.ok("pod", "rm", "-f", pod)


def test_the_processes_of_a_container_are_shown_with_pss_columns(berth, cbox):
    name = cbox.start("sh", "-c", "sleep 4242 & exec sleep 4243")
    other = cbox.start("sleep", "4244")
    until(lambda: berth.ok("top", name).count("00 sleep 424") == 2, "both run")
    lines = berth.ok("top", name).split("\n")
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert sorted(line.split()[-1] for line in lines[1:]) == ["4242", "4243"]
    assert str(berth.state(name)["Pid"]) in [line.split()[1] for line in lines]
    assert [line.split()[-1] for line in berth.ok("top", other, "-o", "pid,args").split("\n")] == ["COMMAND", "4244"]
    berth.fails("top", name, "-o", "args", says="PID")
    berth.fails("top", name, "--no-such-option", says="ps")


def test_top_of_what_does_not_run_is_refused(berth, cbox):
    name, _ = cbox.keep("true")
    berth.fails("top", name, says=[name, "is not running"])
    berth.fails("top", "no-such-one", says="no such container")


def test_a_vms_processes_are_shown_from_inside(running):
    if running.isolation != "vm":
        pytest.skip("a container's are shown from outside")
    b, name = running.berth, running.name_
    b.ok("exec", "-d", "-u", "web", name, "sh", "-c", "sleep 4242; :", "evil\033[2J")
    line = until(lambda: [line for line in b.ok("top", name).split("\n") if "evil" in line], "it runs")[0]
    assert re.fullmatch(r"1000 +\d+ +\d+ +\d+ \d\d:\d\d \? +00:00:00 sh -c sleep 4242; : evil\?\[2J", line), line
    assert re.search(r"^root .* sleep 100000$", b.ok("top", name), re.M)
    assert "4242" in b.ok("top", name, "-o", "pid,args")  # the ps of the image
    assert "the ps of the image of virtual machine" in b("top", name, "--no-such-option").err  # behind what it says itself


def test_no_port_is_published(berth, cbox):
    name, _ = cbox.keep("true")
    assert berth.ok("port", name) == ""
    berth.fails("port", name, "80", says=f"no public port '80/tcp' published for {name}")
    berth.fails("port", "no-such-one", says="no such container")
