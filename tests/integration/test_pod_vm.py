"""Pods in one virtual machine: containers of several images behind one wall, each with a root, a disk and a life of its own."""

import json
import os
import signal
import uuid

import pytest

import leaks
from harness import until

pytestmark = pytest.mark.vm


class Pod:
    def __init__(self, berth, *opts):
        self.berth, self.name = berth, f"p-{uuid.uuid4().hex[:12]}"
        self.id = berth.ok("pod", "create", "--isolation", "vm", "--memory", "256m", "--name", self.name, *opts)

    def create(self, image, *cmd, opts=()) -> str:
        name = f"t-{uuid.uuid4().hex[:12]}"
        self.berth.ok("create", "--pod", self.name, "--name", name, *opts, image, *cmd)
        return name

    def holder(self) -> int:
        return self.berth.monitor_pid(self.id)

    def state(self) -> str:
        return self.berth.ok("pod", "inspect", "-f", "{{.State}}", self.name)

    def is_gone(self) -> bool:
        mine = [p for p in leaks.processes(self.berth.root) + leaks.processes(self.berth.run_dir) if self.id in p]
        return not (mine or [c for c in leaks.cgroups() if self.id in c.name] or (self.berth.run_dir / "containers" / self.id).exists())


@pytest.fixture
def pods(berth, image, app):
    made = []

    def make(*opts):
        made.append(Pod(berth, *opts))
        return made[-1]

    yield make
    for p in made:
        berth("pod", "rm", "-f", "-i", p.name)
        until(p.is_gone, "nothing of the pod is left")


SEEN = "hostname; readlink -n /proc/self/ns/net; readlink -n /proc/self/ns/ipc; readlink -n /proc/self/ns/uts; echo; readlink -n /proc/self/ns/pid"


def test_containers_of_two_images_share_one_machine(pods, image, app):
    p = pods("--shm-size", "3m")
    b = p.berth
    first = p.create(image, "sh", "-c", "echo from first > /dev/shm/x; echo out; echo err >&2; while :; do nc -l -p 80 -e echo pong; done")
    second = p.create(app, "sleep", "1000", opts=("--entrypoint", "", "-u", "0"))
    b.ok("pod", "start", p.name)
    assert p.state() == "Running"
    one, other = (b.ok("exec", n, "sh", "-c", SEEN).split("\n") for n in (first, second))
    assert one[0] == other[0] == p.name and one[1] == other[1] and one[2] != other[2]
    assert b.ok("exec", second, "cat", "/dev/shm/x") == "from first"
    assert b.ok("exec", second, "sh", "-c", "df -k /dev/shm | tail -1 | awk '{print $2}'") == "3072"
    until(lambda: b("exec", second, "nc", "127.0.0.1", "80").out == "pong\n", "loopback is shared")
    # Roots, processes, output, images and ends are each one's own.
    b.ok("exec", first, "sh", "-c", "echo kept > /kept")
    assert b("exec", second, "cat", "/kept").code == 1
    assert "nc" not in b.ok("exec", second, "ps")
    r = b("logs", first)
    assert (r.out, r.err) == ("out\n", "err\n") and b.ok("logs", second) == ""
    assert b.inspect(first)["State"]["Pid"] == b.inspect(second)["State"]["Pid"] > 0 and b.inspect(first)["Vmm"]
    assert b("exec", first, "sh", "-c", "exit 7").code == 7
    # One ends and starts again while the other runs; what it wrote is there.
    b.ok("kill", first)
    assert b.ok("wait", first) == "137" and p.state() == "Degraded"
    assert b.ok("exec", second, "cat", "/dev/shm/x") == "from first"
    b.ok("start", first)
    assert b.ok("exec", first, "cat", "/kept") == "kept"
    # What comes later has no disk in this machine.
    late = p.create(image, "cat", "/etc/hostname")
    b.fails("start", late, says=("without this container's disk", "berth pod stop"))
    b.ok("pod", "stop", "-t", "0", p.name)
    until(p.is_gone, "the machine ends with the last container")
    b.ok("pod", "start", p.name)
    assert b.ok("exec", first, "cat", "/kept") == "kept"
    assert b.ok("wait", late) == "0" and b.ok("logs", late) == p.name


def test_each_container_of_a_virtual_pod_has_its_volumes(pods, image, tmp_path):
    shared, one = tmp_path / "shared", tmp_path / "one"
    shared.mkdir()
    one.write_text("a file\n")
    p = pods()
    b = p.berth
    # The first to start has none: the others' are there when they come.
    names = [p.create(image, "sleep", "1000", opts=opts) for opts in (
        (), ("-v", f"{shared}:/v", "-v", f"{one}:/etc/one"), ("--mount", f"type=bind,source={shared},target=/w,readonly", "--mount", "type=tmpfs,target=/x"))]
    for n in names:
        b.ok("start", n)
    b.ok("exec", names[1], "sh", "-c", "cat /etc/one >/v/f; echo more >>/etc/one")
    assert (shared / "f").read_text() == "a file\n" and one.read_text() == "a file\nmore\n"
    assert b.ok("exec", names[2], "sh", "-c", "cat /w/f; touch /w/g /x/g 2>/dev/null || ls /x") == "a file\ng"
    assert b("exec", names[0], "sh", "-c", "ls -d /v /w /x /shares; grep -c virtiofs /proc/mounts").out == "0\n"
    assert os.listdir(shared) == ["f"]
    b.ok("restart", "-t", "0", names[1])
    assert b.ok("exec", names[1], "cat", "/v/f") == "a file"
    # A volume that is missing is named, by whoever makes the machine.
    b.ok("pod", "stop", "-t", "0", p.name)
    until(p.is_gone, "the machine ends with the last container")
    one.unlink()
    assert f"volume {one}: No such file or directory" in b("start", names[0]).err
    one.write_text("again\n")
    b.ok("start", names[1])
    assert b.ok("exec", names[1], "cat", "/etc/one") == "again"


def test_a_paused_virtual_pod_stands_still(pods, image):
    p = pods()
    b = p.berth
    name = p.create(image, "sleep", "1000")
    b.ok("pod", "start", p.name)
    b.ok("pod", "pause", p.name)
    assert p.state() == "Paused" and b.state(name)["Paused"]
    b.fails("exec", name, "true", says="paused")
    b.fails("stop", name, says="berth pod unpause")
    b.ok("pod", "unpause", p.name)
    assert b.ok("exec", name, "echo", "on") == "on"
    b.ok("pod", "pause", p.name)
    b.ok("pod", "rm", "-f", p.name)


def test_killed_processes_leave_nothing_of_a_virtual_pod(pods, image):
    p = pods()
    b = p.berth
    names = [p.create(image, "sleep", "1000") for _ in range(3)]
    b.ok("pod", "start", p.name)
    # A monitor: its container ends in the guest, its neighbours don't notice, and it can start again.
    os.kill(b.monitor_pid(b.inspect(names[0])["Id"]), signal.SIGKILL)
    until(lambda: not b.state(names[0])["Running"], "the record says that it ended")
    assert b.ok("exec", names[1], "hostname") == p.name
    until(lambda: b("start", names[0]).code == 0, "the guest has ended what was left in it")
    assert b.ok("exec", names[0], "hostname") == p.name
    # The VMM: all end, with the reason.
    os.kill(b.state(names[0])["Pid"], signal.SIGKILL)
    for n in names:
        assert b("wait", n).out.strip() != "0"
        assert b.state(n)["Running"] is False and b.state(n)["Error"]
    until(p.is_gone, "the holder ends with its machine")
    # The holder, then everybody at once.
    b.ok("pod", "start", p.name)
    os.kill(p.holder(), signal.SIGKILL)
    until(lambda: p.state() == "Exited", "all have ended with the machine")
    until(p.is_gone, "the monitors have removed what the holder left")
    b.ok("pod", "start", p.name)
    for pid in [p.holder()] + [b.monitor_pid(b.inspect(n)["Id"]) for n in names]:
        os.kill(pid, signal.SIGKILL)
    until(lambda: p.state() == "Exited", "a look sets it right")
    until(lambda: p.state() and p.is_gone(), "nothing is left")  # each look takes what has ended by then


def test_files_of_a_pods_machines_are_had_whether_they_run_or_not(pods, image, tmp_path):
    p = pods()
    b = p.berth
    idle = p.create(image, "sh", "-c", "cat /srv/in; rm /srv/noted")
    runs = p.create(image, "sleep", "1000")
    (tmp_path / "in").write_text("hello\n")
    b.ok("cp", tmp_path / "in", f"{idle}:/srv/in")
    assert b.ok("diff", idle) == "C /srv\nA /srv/in"
    until(p.is_gone, "the machine went with the last who asked it")
    b.ok("start", runs)
    assert b.ok("diff", idle) == "C /srv\nA /srv/in"
    b.ok("exec", runs, "touch", "/srv/mine")
    assert b.ok("diff", runs) == "C /srv\nA /srv/mine"
    assert b.ok("start", "-a", idle) == "hello"
    assert b.ok("diff", idle) == "C /srv\nA /srv/in\nD /srv/noted"


def test_what_a_virtual_pod_cannot_do_is_said(pods, berth, image):
    for opts, word in ((("--network", "host"), "--network host"), (("--pids-limit", "9"), "--pids-limit")):
        berth.fails("pod", "create", "--isolation", "vm", *opts, says=(word, "not possible for a pod in a virtual machine"))
    p = pods()
    for opts, word in ((("--kernel", "debian"), "--kernel"), (("--isolation", "container"), "the pod's"), (("--device", "/dev/null"), "device")):
        berth.fails("create", "--pod", p.name, *opts, image, says=word)
    row = json.loads(berth.ok("pod", "ps", "--format", "json", "--filter", f"name={p.name}"))
    assert (row["Isolation"], row["NumberOfContainers"]) == ("vm", 0)
