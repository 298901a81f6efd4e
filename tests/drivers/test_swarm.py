"""Docker Swarm over two hosts, whose tasks are berth-runtime's containers: a service is scaled, and heals itself when a task's
first process or a whole node's daemon is killed. Virtual addresses need IPVS, which not every kernel has: names are answered
by DNS (--endpoint-mode dnsrr)."""

import json
import os
import re
import signal
import subprocess

import pytest

from engines import Docker
from host import until

pytestmark = pytest.mark.long

# Answers each connection with its own name.
SERVE = "trap 'exit 0' TERM; while :; do hostname | nc -l -p 7000 & wait $!; done"


class Swarm:
    def __init__(self, manager: Docker, worker: Docker):
        self.manager, self.worker = manager, worker
        self.nodes = {d.host.name: d for d in (manager, worker)}

    def tasks(self, service) -> list:
        """Those that run: (id, node)."""
        out = self.manager.ok("service", "ps", "--no-trunc", "--filter", "desired-state=running", "--format", "{{json .}}", service)
        rows = [json.loads(line) for line in out.splitlines()]
        return [(r["ID"], r["Node"]) for r in rows if r["CurrentState"].startswith("Running")]

    def settle(self, service, count, nodes=None, patience=180):
        """Waits for that many running tasks, on these nodes only; returns them."""
        def settled():
            tasks = self.tasks(service)
            return tasks if len(tasks) == count and (not nodes or {n for _, n in tasks} <= nodes) else None
        return until(settled, lambda: f"{count} tasks of {service}:\n" + self.manager.ok("service", "ps", "--no-trunc", service), patience)

    def containers(self, docker) -> list:
        return docker.ok("ps", "-q", "--no-trunc").split()


@pytest.fixture(scope="module")
def swarm(make_host, runtime, archive):
    hosts = [make_host("node1"), make_host("node2")]
    subprocess.run(["ip", "link", "add", "link0", "netns", str(hosts[0].pid), "type", "veth", "peer", "name", "link0", "netns",
                    str(hosts[1].pid)], check=True)
    for i, host in enumerate(hosts):
        host.ok("ip", "address", "add", f"10.99.0.{i + 1}/24", "dev", "link0")
        host.ok("ip", "link", "set", "link0", "up")
    manager, worker = (Docker(host, runtime, archive) for host in hosts)
    manager.ok("swarm", "init", "--advertise-addr", "10.99.0.1")
    token = manager.ok("swarm", "join-token", "-q", "worker")
    worker.ok("swarm", "join", "--token", token, "--advertise-addr", "10.99.0.2", "10.99.0.1:2377")
    manager.ok("network", "create", "-d", "overlay", "between")
    s = Swarm(manager, worker)
    until(lambda: manager.ok("node", "ls", "--format", "{{.Status}}").split() == ["Ready", "Ready"], "two nodes")
    yield s
    for d in (worker, manager):
        d.ok("swarm", "leave", "--force")
        until(lambda d=d: not s.containers(d), "the tasks to end")
        d.end()
        if d is worker:  # its first life was ended before it could unmount what it had bound for itself
            d.host("umount", d.host.dir / "docker")
        d.host.check_clean(30)
        d.host.end()


@pytest.fixture
def service(swarm):
    swarm.manager.ok("service", "create", "--detach", "--no-resolve-image", "--name", "answer", "--endpoint-mode", "dnsrr", "--replicas", "1",
                     "--restart-delay", "100ms", "--stop-grace-period", "2s", "--network", "between", "base", "sh", "-c", SERVE)
    swarm.settle("answer", 1)
    yield "answer"
    swarm.manager.ok("service", "rm", "answer")
    until(lambda: not any(swarm.containers(d) for d in swarm.nodes.values()), "the tasks to end", 60)


def pid_of(docker, container) -> int:
    """Of its first process, as this machine counts."""
    inside = docker.inspect(container, ".State.Pid")
    for p in docker.host.processes():
        with open(f"/proc/{p}/status") as f:
            if inside in re.search(r"NSpid:\s+(.*)", f.read()).group(1).split()[1:2]:
                return p
    raise AssertionError(f"{container}: no process {inside} on {docker.host.name}")


def answers(docker, name) -> set:
    """Who answers under the service's name, asked from inside one of its tasks."""
    container = docker.ok("ps", "-q", "--filter", f"name={name}").split()[0]
    script = f"""for a in $(nslookup {name} 127.0.0.11 | sed -n 's/^Address: *\\([0-9.]*\\)$/\\1/p'); do nc -w 5 $a 7000 </dev/null; done"""
    return set(docker("exec", container, "sh", "-c", script).out.split())


def test_it_scales_up_over_both_nodes_and_down_again(swarm, service):
    swarm.manager.ok("service", "scale", "--detach", f"{service}=6")
    tasks = swarm.settle(service, 6)
    assert {node for _, node in tasks} == set(swarm.nodes)
    assert sum(len(swarm.containers(d)) for d in swarm.nodes.values()) == 6
    for docker in swarm.nodes.values():
        until(lambda d=docker: len(answers(d, service)) == 6, lambda d=docker: f"six answers, there are {answers(d, service)}", 60)
    swarm.manager.ok("service", "scale", "--detach", f"{service}=2")
    swarm.settle(service, 2)
    until(lambda: sum(len(swarm.containers(d)) for d in swarm.nodes.values()) == 2, "the others to end")


def test_a_task_whose_first_process_is_killed_is_made_again(swarm, service):
    swarm.manager.ok("service", "scale", "--detach", f"{service}=6")
    before = {task for task, _ in swarm.settle(service, 6)}
    for docker in swarm.nodes.values():
        container = swarm.containers(docker)[0]
        os.kill(pid_of(docker, container), signal.SIGKILL)
        until(lambda d=docker, c=container: json.loads(d.inspect(c, "json .State"))["ExitCode"] == 137, "the container's end")
    until(lambda: len(before - {t for t, _ in swarm.tasks(service)}) == 2, "two tasks to be given up")
    after = {task for task, _ in swarm.settle(service, 6)}
    assert len(before & after) == 4
    assert "137" in swarm.manager.ok("service", "ps", "--no-trunc", service)


def test_the_tasks_of_a_node_whose_daemon_is_killed_move_to_the_other_and_it_comes_back(swarm, service):
    swarm.manager.ok("service", "scale", "--detach", f"{service}=6")
    swarm.settle(service, 6)
    orphans = set(swarm.containers(swarm.worker))
    assert orphans
    swarm.worker.daemon.kill()
    moved = swarm.settle(service, 6, {swarm.manager.host.name})
    until(lambda: len(swarm.containers(swarm.manager)) == 6, "the containers")
    swarm.worker.start()
    until(lambda: swarm.manager.ok("node", "ls", "--format", "{{.Status}}").split() == ["Ready", "Ready"], "two nodes", 120)
    # What had gone on without its daemon is ended by it.
    until(lambda: not orphans & set(swarm.containers(swarm.worker)), "the old tasks to end", 120)
    assert swarm.settle(service, 6) and len(moved) == 6


def test_a_rolling_update_replaces_every_task(swarm, service):
    swarm.manager.ok("service", "scale", "--detach", f"{service}=4")
    before = {task for task, _ in swarm.settle(service, 4)}
    swarm.manager.ok("service", "update", "--detach", "--env-add", "VERSION=2", "--update-parallelism", "2", "--no-resolve-image", service)
    until(lambda: not before & {t for t, _ in swarm.tasks(service)}, "the old tasks to end", 120)
    swarm.settle(service, 4)
    for docker in swarm.nodes.values():
        for c in swarm.containers(docker):
            assert docker.ok("exec", c, "sh", "-c", "echo $VERSION") == "2"


def test_a_task_that_can_not_start_says_why(swarm):
    swarm.manager.ok("service", "create", "--detach", "--no-resolve-image", "--name", "broken", "--restart-condition", "none", "base", "none-such")
    try:
        until(lambda: 'exec "none-such": executable file not found in $PATH' in swarm.manager.ok("service", "ps", "--no-trunc", "broken"),
              lambda: swarm.manager.ok("service", "ps", "--no-trunc", "broken"))
    finally:
        swarm.manager.ok("service", "rm", "broken")
