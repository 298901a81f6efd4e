"""Pods: what their containers share and what not, verbs on all of them, and that nothing of a pod outlives its containers."""

import json
import os
import signal
import time
import uuid
from pathlib import Path

import pytest

import leaks
from harness import has_ended, stands_still, until
from test_events import told


class Pod:
    def __init__(self, berth, image, *opts):
        self.berth, self.image = berth, image
        self.name = f"p-{uuid.uuid4().hex[:12]}"
        self.id = berth.ok("pod", "create", "--name", self.name, *opts)

    def container(self) -> str:
        return f"t-{uuid.uuid4().hex[:12]}"

    def start(self, *cmd, opts=()) -> str:
        name = self.container()
        self.berth.ok("run", "-d", "--pod", self.name, "--name", name, *opts, self.image, *cmd)
        return name

    def create(self, *cmd, opts=()) -> str:
        name = self.container()
        self.berth.ok("create", "--pod", self.name, "--name", name, *opts, self.image, *cmd)
        return name

    def sh(self, script, opts=()) -> str:
        return self.berth.ok("run", "--rm", "--pod", self.name, *opts, self.image, "sh", "-c", script)

    def inspect(self) -> dict:
        return json.loads(self.berth.ok("pod", "inspect", self.name))[0]

    def state(self) -> str:
        return self.berth.ok("pod", "inspect", "-f", "{{.State}}", self.name)

    def cgroups(self) -> list:
        return [c for c in leaks.cgroups() if self.id in c.name]

    def run_dir(self) -> Path:
        return self.berth.run_dir / "pods" / self.id


@pytest.fixture
def pods(berth, image):
    made = []

    def make(*opts):
        made.append(Pod(berth, image, *opts))
        return made[-1]

    yield make
    for p in made:
        berth("pod", "rm", "-f", "-i", p.name)
        assert not p.run_dir().exists() and not (berth.root / "pods" / p.id).exists()
        until(lambda: not p.cgroups(), "the pod's cgroups are gone")


NAMESPACES = "for n in net ipc uts pid mnt cgroup; do readlink /proc/self/ns/$n; done"


def test_a_pods_containers_share_network_ipc_and_host_name_and_nothing_else(pods):
    p = pods()
    a = p.start("sleep", "1000")
    first = p.berth.ok("exec", a, "sh", "-c", NAMESPACES).split()
    second = p.sh(NAMESPACES).split()
    assert first[:3] == second[:3]
    assert not set(first[3:]) & set(second[3:])
    assert first[0] != f"net:[{os.stat('/proc/self/ns/net').st_ino}]"
    assert p.sh("hostname; tail -1 /etc/hosts").split() == [p.name, "127.0.1.1", p.name]


def test_a_pods_containers_speak_over_loopback_and_shared_memory(pods):
    p = pods("--shm-size", "3m", "--hostname", "together")
    a = p.start("sh", "-c", "echo from a > /dev/shm/x; echo ready > /dev/shm/y; nc -l -p 8080 -e echo pong; sleep 1000")
    until(lambda: p.berth("exec", a, "cat", "/dev/shm/y").out == "ready\n", "the first container has written")
    assert p.sh("cat /dev/shm/x; hostname; df -k /dev/shm | tail -1 | awk '{print $2}'").split("\n") == ["from a", "together", "3072"]
    until(lambda: "pong" in p.berth("run", "--rm", "--pod", p.name, p.image, "nc", "127.0.0.1", "8080").out, "loopback is shared")
    # One that joins with an IPC of its own has memory of its own.
    alone = pods("--share", "net")
    alone.start("sh", "-c", "echo mine > /dev/shm/x; sleep 1000")
    assert alone.berth("run", "--rm", "--pod", alone.name, alone.image, "cat", "/dev/shm/x").code == 1


def test_a_pod_that_shares_nothing_still_has_one_cgroup(pods):
    p = pods("--share", "none", "--pids-limit", "77")
    a = p.start("sleep", "1000")
    one, other = p.berth.ok("exec", a, "sh", "-c", NAMESPACES).split(), p.sh(NAMESPACES).split()
    assert not set(one) & set(other)
    assert [c for c in p.cgroups() if (c / "pids.max").exists() and (c / "pids.max").read_text() == "77\n"]


def test_limits_of_a_pod_hold_for_all_its_containers_together(pods):
    p = pods("--memory", "64m", "--pids-limit", "20")
    text = [(c / f).read_text().strip() for c in p.cgroups() for f in ("memory.limit_in_bytes", "memory.max") if (c / f).exists()]
    assert text == []  # nothing runs, nothing is made
    a = p.start("sleep", "1000")
    p.start("sleep", "1000")
    text = [(c / f).read_text().strip() for c in p.cgroups() for f in ("memory.limit_in_bytes", "memory.max") if (c / f).exists()]
    assert text == [str(64 << 20)]
    r = p.berth("exec", a, "sh", "-c", "for i in $(seq 40); do sleep 5 & done; wait")
    assert "fork" in r.err  # 20 of the pod, though the container's own limit is 2048
    r = p.berth("run", "--rm", "--pod", p.name, p.image, "sh", "-c", "tr '\\0' x < /dev/zero | head -c 100000000 | sort > /dev/null")
    assert r.code != 0


def test_a_pod_lives_on_without_the_container_that_made_it(pods):
    p = pods()
    a, b = p.start("sleep", "1000"), p.start("sleep", "1000")
    net = p.berth.ok("exec", b, "readlink", "/proc/self/ns/net")
    p.berth.ok("rm", "-f", a)
    assert p.sh("readlink /proc/self/ns/net") == net
    # Also where it was not asked to go.
    c = p.start("sleep", "1000")
    os.kill(p.berth.monitor_pid(p.berth.inspect(b)["Id"]), signal.SIGKILL)
    until(lambda: not p.berth.state(b)["Running"], "the container has ended with its monitor")
    assert p.sh("readlink /proc/self/ns/net") == net
    assert p.berth.ok("exec", c, "hostname") == p.name


def test_verbs_act_on_all_containers_of_a_pod(pods):
    p = pods("--label", "tier=web")
    b = p.berth
    assert p.state() == "Created" and p.inspect()["NumContainers"] == 0
    b.fails("pod", "start", p.name, says="has no containers")
    names = [p.create("sleep", "1000"), p.create("sleep", "1000")]
    assert b.ok("pod", "start", p.name) == p.name
    assert p.state() == "Running" and [c["Name"] for c in p.inspect()["Containers"]] == names
    started = [b.state(n)["StartedAt"] for n in names]
    b.ok("pod", "start", p.name)  # runs already: nothing happens
    assert started == [b.state(n)["StartedAt"] for n in names]
    b.ok("stop", "-t", "0", names[0])
    assert p.state() == "Degraded"
    b.ok("pod", "restart", "-t", "0", p.name)
    assert p.state() == "Running" and b.state(names[1])["StartedAt"] != started[1]
    b.ok("pod", "kill", p.name)
    assert p.state() == "Exited" and b.state(names[1])["ExitCode"] == 137
    b.ok("pod", "start", p.name)
    b.fails("pod", "rm", p.name, says=("cannot remove pod", "is running"))
    assert p.state() == "Running"
    b.ok("pod", "stop", "-t", "1", p.name)  # `sleep` as PID 1 is deaf to SIGTERM: both wait at the same time
    kills = [attrs["signal"] for _, attrs in told(b, *(f"container={n}" for n in names), "event=kill")]
    assert kills[-4:] == ["15", "15", "9", "9"]
    assert b.ok("pod", "rm", p.id[:12]) == p.id[:12]
    assert b("pod", "exists", p.name).code == 1 and not [n for n in names if n in b.ok("ps", "-a", "--format", "{{.Names}}")]


def test_a_paused_pod_stands_still_as_a_whole(pods):
    p = pods()
    b = p.berth
    names = [p.start("sh", "-c", "while :; do echo x; sleep 0.05; done") for _ in range(2)]
    b.fails("pod", "unpause", p.name, says="not paused")
    assert b.ok("pod", "pause", p.name) == p.name
    assert p.state() == "Paused" and all(b.state(n)["Paused"] for n in names)
    before = stands_still(lambda: [b.ok("logs", n) for n in names], "what they say")
    b.fails("pod", "pause", p.name, says="paused already")
    b.fails("exec", names[0], "true", says="paused")
    b.fails("stop", names[0], says="berth pod unpause")
    b.fails("rm", "-f", names[0], says="berth pod unpause")
    b.fails("kill", names[0], says="berth pod unpause")
    b.fails("run", "--rm", "--pod", p.name, p.image, "true", says="its pod is paused")
    b.ok("pod", "unpause", p.name)
    assert p.state() == "Running"
    until(lambda: b.ok("logs", names[0]) != before[0], "it goes on")
    b.ok("pod", "pause", p.name)
    b.ok("pod", "stop", "-t", "0", p.name)
    assert p.state() == "Exited"
    b.fails("pod", "pause", p.name, says="does not run")
    b.ok("pod", "start", p.name)
    b.ok("pod", "pause", p.name)
    b.ok("pod", "rm", "-f", p.name)


def test_lists_tell_of_pods(pods):
    p, other = pods("--label", "a=1", "--label", "b=2"), pods("--label", "a=1")
    b = p.berth
    a = p.start("sleep", "1000")
    assert b.ok("pod", "ps", "-q", "--no-trunc", "--filter", "label=a=1", "--filter", "label=b").split() == [p.id]
    assert b.ok("pod", "ls", "--filter", f"name={p.name}").split("\n")[0].split() == ["POD", "ID", "NAME", "STATUS", "CREATED", "ISOLATION",
                                                                                   "#", "OF", "CONTAINERS"]
    row = json.loads(b.ok("pod", "ps", "--format", "json", "--no-trunc", "--filter", f"id={p.id[:20]}"))
    assert (row["Id"], row["Name"], row["Status"], row["NumberOfContainers"]) == (p.id, p.name, "Running", 1)
    assert row["Containers"][0]["Names"] == a and row["Labels"] == {"a": "1", "b": "2"}
    assert b.ok("pod", "ps", "--filter", "status=created", "--filter", "label=a", "--format", "{{.Name}}") == other.name
    line = b.ok("ps", "-p", "--filter", f"pod={p.name}").split("\n")
    assert line[0].endswith("POD ID         PODNAME") and line[1].split()[-2:] == [p.id[:12], p.name]
    assert b.inspect(a)["Pod"] == p.id
    b.fails("pod", "ps", "--filter", "x=1", says="not KEY=VALUE")


def test_what_a_pod_decides_its_containers_cannot(pods):
    p, own = pods(), pods("--share", "none")
    b = p.berth
    for opts, word in ((("--hostname", "x"), "--hostname x: not with --pod"), (("--network", "none"), "--network none: not with --pod"),
                       (("--ipc", "host"), "--ipc host: not with --pod"), (("--uts", "private"), "--uts private: not with --pod"),
                       (("--cgroup-parent", "/x"), "--cgroup-parent can't be given"), (("--vm",), "the isolation is the pod's")):
        b.fails("create", "--pod", p.name, *opts, p.image, says=word)
    assert own.sh("hostname", opts=("--hostname", "x", "--network", "none")) == "x"
    b.fails("run", "--pod", "no-such-pod", p.image, says="no such pod: no-such-pod")
    assert p.inspect()["NumContainers"] == 0


def test_wrong_pods_are_refused_and_leave_nothing(pods):
    p = pods()
    b = p.berth
    before = sorted((b.root / "pods").iterdir())
    for opts, word in ((("--name", "a b"), "a name begins with"), (("--name", p.name), f"the name {p.name} is in use by pod"),
                       (("--share", "net,x"), '"x" is not known'), (("--share", "pid"), "can't be shared yet"),
                       (("--isolation", "x"), "unknown isolation"), (("--memory", "1k"), "too little"),
                       (("--cgroup-parent", "../x"), "is not a path"), (("--network", "nowhere"), "network nowhere not found"),
                       (("--hostname", "-x"), "is not a host name"),
                       (("--hostname", "x", "--share", "net"), "don't share a host name"), (("--label", "dev.berth.x=1"), "Berth's own")):
        b.fails("pod", "create", *opts, says=word)
    a = p.create("true")
    b.fails("pod", "create", "--name", a, says=f"the name {a} is in use by container")
    b.fails("create", "--name", p.name, p.image, says=f"the name {p.name} is in use by pod")
    assert sorted((b.root / "pods").iterdir()) == before
    again = b.ok("pod", "create", "--replace", "--name", p.name)
    assert again != p.id and b("inspect", a).code != 0
    for verb in ("start", "stop", "kill", "pause", "rm", "inspect"):
        b.fails("pod", verb, "no-such-pod", says="no such pod: no-such-pod")
    assert b.ok("pod", "rm", "-i", "no-such-pod") == ""


def test_killed_monitors_leave_nothing_of_a_pod(pods):
    p = pods("--memory", "64m")
    names = [p.start("sleep", "1000") for _ in range(3)]
    pids = [p.berth.state(n)["Pid"] for n in names]
    for n in names:
        os.kill(p.berth.monitor_pid(p.berth.inspect(n)["Id"]), signal.SIGKILL)
    until(lambda: all(map(has_ended, pids)), "the containers went with their monitors")
    assert p.state() == "Exited"  # the first look sets it all right
    until(lambda: not p.cgroups(), "the pod's cgroups are gone")
    assert not p.run_dir().exists()
    p.berth.ok("pod", "start", p.name)
    assert p.state() == "Running"
    nets = {p.berth.ok("exec", n, "readlink", "/proc/self/ns/net") for n in names}
    assert len(nets) == 1


def test_killed_commands_leave_a_whole_pod(pods):
    """SIGKILL of `run --pod` at different moments, as the first container of the pod and as a later one."""
    p = pods("--memory", "64m")
    for keeper in (None, "sleep"):
        if keeper:
            keeper = p.start("sleep", "1000")
        for delay in (0.0, 0.002, 0.004, 0.008, 0.012, 0.016, 0.024, 0.032, 0.05):
            name = p.container()
            run = p.berth.popen("run", "-d", "--pod", p.name, "--name", name, p.image, "sleep", "1000")
            time.sleep(delay)
            run.kill()
            run.communicate()
            until(lambda: p.state() in ("Created", "Running", "Exited", "Degraded"), "the pod has a state")
            p.berth("rm", "-f", name)
    p.berth.ok("rm", "-f", keeper)
    p.berth.ok("system", "prune")
    until(lambda: not p.cgroups() and not p.run_dir().exists(), "nothing of the pod is left")
    assert p.sh("hostname") == p.name


def test_a_killed_pod_create_leaves_a_pod_or_none(berth, image):
    names = []
    for delay in (0.0, 0.001, 0.002, 0.004, 0.006, 0.01):
        names.append(f"p-{uuid.uuid4().hex[:12]}")
        create = berth.popen("pod", "create", "--name", names[-1])
        time.sleep(delay)
        create.kill()
        create.communicate()
    there = [n for n in names if berth("pod", "exists", n).code == 0]
    for n in there:
        assert berth.ok("run", "--rm", "--pod", n, image, "hostname") == n
        berth.ok("pod", "rm", n)
    berth.ok("system", "prune")
    known = berth.ok("pod", "ps", "-q", "--no-trunc").split()
    assert {p.name for p in (berth.root / "pods").iterdir()} == set(known)


def test_ten_containers_that_start_at_once_find_one_pod(pods):
    p = pods()
    runs = [p.berth.popen("run", "--rm", "--pod", p.name, p.image, "sh", "-c", "readlink /proc/self/ns/net; sleep 1") for _ in range(10)]
    nets = set()
    for r in runs:
        out, err = r.communicate(timeout=120)
        assert r.returncode == 0, err
        nets.add(out)
    assert len(nets) == 1
    until(lambda: not p.run_dir().exists(), "the last one that leaves takes the pod down")
    until(lambda: not p.cgroups(), "the pod's cgroups are gone")


def test_prune_removes_pods_that_do_not_run(pods):
    idle, busy = pods(), pods()
    busy.start("sleep", "1000")
    out = idle.berth.ok("pod", "prune").split()
    assert idle.id in out and busy.id not in out
