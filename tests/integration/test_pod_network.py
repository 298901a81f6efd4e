"""Pods on networks: one address and one set of published ports for all containers of a pod, as long as one of them runs."""

import json
import os
import signal
import subprocess

import pytest

from harness import until
from test_network import SERVE, Net

FOREVER = "sleep 100000"


class Pod:
    def __init__(self, net, isolation, *opts):
        self.net, self.berth = net, net.berth
        self.image = net.box(isolation).image
        self.name = f"p-{os.urandom(4).hex()}"
        self.id = self.berth.ok("pod", "create", "--isolation", isolation, "--name", self.name, *opts)

    def add(self, verb, script, *opts):
        name = f"c-{os.urandom(4).hex()}"
        self.berth.ok(*verb, "--pod", self.name, "--name", name, *opts, self.image, "sh", "-c", script)
        return name

    def start(self, script=FOREVER, *opts):
        return self.add(("run", "-d"), script, *opts)

    def create(self, script=FOREVER, *opts):
        return self.add(("create",), script, *opts)

    def inspect(self):
        return json.loads(self.berth.ok("pod", "inspect", self.name))[0]

    def address(self, network="bridge"):
        return self.inspect()["NetworkSettings"]["Networks"][network]["IPAddress"]


@pytest.fixture(scope="module")
def made(berth, image):
    n = Net(berth, image)
    yield n
    n.close()


@pytest.fixture
def net(made):
    made.pods = []
    yield made
    for p in made.pods:
        made.berth("pod", "rm", "-f", "-i", p.name)
    made.clean()
    assert not list((made.berth.run_dir / "pods").glob("*"))


@pytest.fixture
def pod(net):
    def make(*opts, isolation="container"):
        net.pods.append(Pod(net, isolation, *opts))
        return net.pods[-1]

    return make


def monitor(berth, name):
    return json.loads((berth.run_dir / "containers" / berth.inspect(name)["Id"] / "monitor.json").read_text())["pid"]


def kill(*pids):
    """Stopped first, so that none does anything about another's end."""
    for sig in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, sig)


def is_taken(net, port):
    """A program of the host that wants it hears so."""
    with net.host.open() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def test_a_pods_containers_have_one_address_and_one_port_is_published_for_all(net, pod):
    name = net.network()
    p = pod("--network", name, "--network-alias", "www", "-p", "8080:80", "-p", "127.0.0.1::81")
    idle = p.start()
    web = p.start(SERVE.format(word="pod", port=80))
    other = net.start("container", FOREVER, "--network", name)
    assert net.told(net.host, "127.0.0.1", 8080) == "pod"
    addresses = {net.exec(c, "ip -o -4 addr show eth0 | awk '{print $4}'") for c in (idle, web)}
    assert addresses == {f"{p.address(name)}/24"} and net.exec(idle, "nc 127.0.0.1 80") == "pod"
    for word in (p.name, p.id[:12], web, idle, net.berth.inspect(web)["Id"][:12], "www"):
        assert until(lambda: net.berth("exec", other, "nc", word, "80").out, f"{word} answers") == "pod\n"
    assert net.exec(other, f"nslookup {p.address(name)} | grep -o 'name = .*'") == f"name = {p.name}"
    assert until(lambda: net.exec(idle, f"nslookup {other}"), "others are known in the pod")
    # What is told of it.
    free = int(p.inspect()["NetworkSettings"]["Ports"]["81/tcp"][0]["HostPort"])
    for c in (idle, web):
        assert net.berth.ok("port", c).splitlines() == ["80/tcp -> 127.0.0.1:8080", f"81/tcp -> 127.0.0.1:{free}"]
        assert net.berth.ok("ps", "--filter", f"name={c}", "--format", "{{.Networks}} {{.Ports}}").startswith(f"{name} 127.0.0.1:8080->80/tcp")
        there = net.berth.inspect(c)
        assert there["NetworkSettings"]["Networks"][name]["IPAddress"] == p.address(name) == net.address(c, name)
        assert there["HostConfig"]["NetworkMode"] == name
    assert net.berth.ok("pod", "ps", "--filter", f"name={p.name}", "--format", "{{.Networks}} {{.Ports}}").startswith(f"{name} 127.0.0.1:8080->80/tcp")
    assert p.inspect()["InfraConfig"]["Networks"] == [name]
    rows = json.loads(net.berth.ok("network", "inspect", name))[0]["Containers"]
    assert rows[p.id]["Name"] == p.name and rows[p.id]["IPv4Address"] == f"{p.address(name)}/24" and len(rows) == 2
    net.berth.fails("network", "rm", name, says=p.name)


def test_the_address_is_the_pods_from_its_creation_to_its_removal(net, pod):
    name = net.network("--subnet", "10.202.0.0/29")
    p = pod("--network", name, "-p", "8080:80")
    c = p.create(SERVE.format(word="here", port=80))
    net.berth.ok("create", "--network", name, "--name", (one := net.box("container").name()), net.box("container").image, "true")
    net.berth.ok("start", c)
    first = p.address(name)
    for verb in (("restart", "-t", "0", c), ("pod", "restart", "-t", "0", p.name)):
        net.berth.ok(*verb)
        assert p.address(name) == first and net.told(net.host, "127.0.0.1", 8080) == "here"
    net.berth.ok("pod", "pause", p.name)
    assert p.address(name) == first and is_taken(net, 8080)
    net.berth.ok("pod", "unpause", p.name)
    net.berth.ok("pod", "stop", "-t", "0", p.name)
    assert not is_taken(net, 8080) and net.berth.ok("port", c) == "" and p.address(name) == ""
    net.berth.ok("pod", "start", p.name)
    assert p.address(name) == first and net.told(net.host, "127.0.0.1", 8080) == "here"
    assert net.berth("run", "--rm", "--network", name, "--ip", first, p.image, "true").err.count("Address already in use") == 1
    net.berth.ok("pod", "kill", p.name)
    net.berth.ok("pod", "rm", "-f", p.name)
    net.berth.ok("rm", one)
    assert net.box("container")("true", opts=("--network", name, "--ip", first)).code == 0


def test_a_pod_can_choose_its_addresses_names_and_resolvers(net, pod):
    name = net.network("--subnet", "10.202.0.0/24", "--ipv6", "--subnet", "fd00:202::/64")
    p = pod("--network", name, "--ip", "10.202.0.9", "--ip6", "fd00:202::9", "--mac-address", "02:00:00:00:00:09", "--hostname", "me", "--dns",
            "192.0.2.2", "--dns-search", "example.org", "--dns-option", "ndots:3", "--add-host", "db:192.0.2.9", "--add-host", "up:host-gateway")
    c, d = p.start(), p.start()
    asked = [f.read_text() for f in (net.berth.run_dir / "networks").rglob("conf")]
    assert any("server=192.0.2.2\n" in text for text in asked)  # by the pod's own resolver
    for n in (c, d):
        assert net.exec(n, "cat /etc/resolv.conf") == "nameserver 10.202.0.1\nnameserver fd00:202::1\nsearch example.org\noptions ndots:3"
        hosts = net.exec(n, "cat /etc/hosts").splitlines()
        assert {"192.0.2.9\tdb", "10.202.0.1\tup", "10.202.0.9\tme", "fd00:202::9\tme"} <= set(hosts)
        shown = net.exec(n, "hostname; ip addr show eth0")
        assert all(x in shown for x in ("me", "10.202.0.9/24", "fd00:202::9/64", "02:00:00:00:00:09"))


def test_several_networks_none_the_hosts_and_the_default(net, pod):
    a, b = net.network(), net.network()
    c = pod("--network", f"{a},{b}").start()
    assert sorted(net.berth.inspect(c)["NetworkSettings"]["Networks"]) == sorted((a, b))
    assert net.exec(c, "ls /sys/class/net").split() == ["eth0", "eth1", "lo"]
    c = pod("--network", f"name={b},alias=x", "--network", a).start()
    assert net.berth.ok("ps", "--filter", f"name={c}", "--format", "{{.Networks}}") == f"{b},{a}"
    none = pod("--network", "none")
    assert net.exec(none.start(), "ls /sys/class/net") == "lo" and none.inspect()["NetworkMode"] == "none"
    assert "lan0" in net.exec(pod("--network", "host").start(), "ls /sys/class/net").split()
    unset = {"BERTH_NETWORK": ""}
    for opts, expected in (((), "bridge"), (("--share", "ipc"), "none")):
        name = f"p-{os.urandom(4).hex()}"
        net.berth.ok("pod", "create", *opts, name, env=unset)
        shown = net.berth.ok("pod", "ps", "--filter", f"name={name}", "--format", "{{.Networks}}")
        net.berth.ok("pod", "rm", name)
        assert shown == expected


def test_what_is_the_pods_to_say_is_refused_of_a_container(net, pod):
    name = net.network()
    p = pod("--network", name)
    c = p.start()
    for opts in (("-p", "80"), ("-P",), ("--ip", "10.0.0.1"), ("--mac-address", "02:00:00:00:00:01"), ("--dns", "192.0.2.2"), ("--add-host", "a:192.0.2.2"),
                 ("--network-alias", "x"), ("--link", c), ("--network", name), ("--network", "none")):
        net.berth.fails("run", "--rm", "--pod", p.name, *opts, p.image, "true", says="not with --pod")
    other = net.network()
    net.berth.fails("network", "connect", other, c, says="pod create --network")
    net.berth.fails("network", "disconnect", name, c, says="pod create --network")
    net.berth.fails("pod", "create", "--network", f"container:{c}", says="a pod has a network of its own")
    net.berth.fails("pod", "create", "--network", name, "--share", "ipc", says="--share net")
    net.berth.fails("pod", "create", "--network", "nowhere", says="nowhere")
    net.berth.fails("pod", "create", "--network", name, "-p", "x", says="--publish")
    net.berth.fails("pod", "create", "--network", "none", "--ip", "10.0.0.1", says="--ip")
    assert net.berth.ok("pod", "ps", "-q").split() == [p.id[:12]]
    # Where the pod has none to share, a container has its own.
    alone = pod("--share", "ipc", "--network", "none")
    d = alone.start(SERVE.format(word="own", port=80), "--network", name, "-p", "8080:80")
    assert net.told(net.host, "127.0.0.1", 8080) == "own" and net.berth.ok("port", d) == "80/tcp -> 127.0.0.1:8080"
    net.berth.ok("network", "connect", other, d)


def test_a_container_that_comes_is_known_and_one_that_goes_is_not(net, pod):
    name = net.network()
    p = pod("--network", name)
    p.start()
    other = net.start("container", FOREVER, "--network", name)

    def known(word):
        return net.berth("exec", other, "nslookup", word).code == 0

    late = p.start()
    assert until(lambda: known(late), "the new one is known")
    net.berth.ok("rename", late, f"{late}-b")
    assert until(lambda: known(f"{late}-b") and not known(late), "by its new name")
    net.berth.ok("rm", "-f", f"{late}-b")
    assert until(lambda: not known(f"{late}-b") and known(p.name), "it is known no more")
    short = p.start("sleep 1", "--rm")
    assert until(lambda: known(short), "known while it runs")
    assert until(lambda: not known(short), "and gone with it")


def test_a_port_that_is_taken_fails_the_start_and_nothing_is_left(net, pod):
    p = pod("--network", "bridge", "-p", "8080:80")
    c = p.create()
    with net.host.listen("127.0.0.1", 8080):
        net.berth.fails("start", c, says="8080")
        assert not (net.berth.run_dir / "pods" / p.id).exists()
    net.berth.ok("start", c)
    assert is_taken(net, 8080)


def test_ports_outlive_the_first_monitor_and_with_the_last_all_goes(net, pod):
    p = pod("--network", "bridge", "-p", "8080:80")
    first, web = p.start(), p.start(SERVE.format(word="still", port=80))
    assert net.told(net.host, "127.0.0.1", 8080) == "still"
    kill(monitor(net.berth, first))
    until(lambda: net.berth.inspect(first)["State"]["Status"] == "exited", "its end is seen")
    assert net.told(net.host, "127.0.0.1", 8080) == "still" and is_taken(net, 8080)
    third = p.start()  # takes it over from the second, which took it over
    net.berth.ok("rm", "-f", web)
    assert is_taken(net, 8080) and net.exec(third, "ip -o -4 addr show eth0")
    fourth = p.start(SERVE.format(word="last", port=80))
    assert net.told(net.host, "127.0.0.1", 8080) == "last"
    kill(monitor(net.berth, third), monitor(net.berth, fourth))
    until(lambda: not is_taken(net, 8080), "the kernel has closed all")
    net.berth.ok("ps")  # the next look
    until(lambda: net.facts() == net.before, "nothing is left of it")
    net.berth.ok("start", fourth)
    assert net.told(net.host, "127.0.0.1", 8080) == "last"


def test_one_that_ends_lets_the_others_have_the_port(net, pod):
    p = pod("--network", "bridge", "-p", "8080:80")
    first, web = p.start(), p.start(SERVE.format(word="still", port=80))
    net.berth.ok("stop", "-t", "0", first)
    assert net.told(net.host, "127.0.0.1", 8080) == "still" and is_taken(net, 8080)
    net.berth.ok("start", first)
    net.berth.ok("stop", "-t", "0", web)
    assert is_taken(net, 8080) and net.exec(first, "ip -o -4 addr show eth0")


def test_two_that_start_at_once_and_one_that_comes_as_the_last_leaves(net, pod):
    p = pod("--network", "bridge", "-p", "8080:80")
    a, b = p.create(), p.create()
    for _ in range(4):
        starting = [net.berth.popen("start", c, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for c in (a, b)]
        assert [(s.communicate(timeout=60), s.returncode)[1] for s in starting] == [0, 0]
        assert {net.exec(c, "ip -o -4 addr show eth0 | awk '{print $4}'") for c in (a, b)} == {f"{p.address()}/16"}
        net.berth.ok("stop", "-t", "0", a)
        passing = [net.berth.popen(*v, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for v in (("stop", "-t", "0", b), ("start", a))]
        assert [(s.communicate(timeout=60)[1], s.returncode) for s in passing] == [("", 0), ("", 0)]
        assert net.exec(a, "ip -o -4 addr show eth0 | awk '{print $4}'") == f"{p.address()}/16" and is_taken(net, 8080)
        net.berth.ok("stop", "-t", "0", a)
        assert not is_taken(net, 8080)


@pytest.mark.vm
def test_a_pod_of_vms_is_on_networks_as_one_of_containers_is(net, pod):
    name = net.network()
    vm = pod("--network", name, "-p", "8080:80", isolation="vm")
    web, idle = vm.create(SERVE.format(word="vm", port=80)), vm.create()
    net.berth.ok("pod", "start", vm.name)
    plain = pod("--network", name, "-p", "8081:80")
    c = plain.start(SERVE.format(word="plain", port=80))
    assert net.told(net.host, "127.0.0.1", 8080) == "vm" and net.berth.ok("port", idle) == "80/tcp -> 127.0.0.1:8080"
    shown = net.exec(idle, "ip -o -4 addr show eth0; cat /etc/hosts")
    assert f"{vm.address(name)}/24" in shown and f"{vm.address(name)}\t{vm.name}" in shown
    for word in (vm.name, web, idle):
        assert until(lambda: net.berth("exec", c, "nc", word, "80").out, f"{word} answers", 120) == "vm\n"
    for word in (plain.name, c):
        assert until(lambda: net.berth("exec", idle, "nc", word, "80").out, f"{word} answers", 120) == "plain\n"
    assert net.exec(idle, "nc 127.0.0.1 80") == "vm"
    # One monitor that is killed takes its container with it, and nothing of the pod's.
    kill(monitor(net.berth, idle))
    until(lambda: net.berth.inspect(idle)["State"]["Status"] == "exited", "its end is seen")
    assert net.told(net.host, "127.0.0.1", 8080) == "vm" and is_taken(net, 8080)
    holder = json.loads((net.berth.run_dir / "containers" / vm.id / "monitor.json").read_text())["pid"]
    kill(holder)
    until(lambda: net.berth.inspect(web)["State"]["Status"] == "exited", "the end of all is seen", 60)
    until(lambda: not is_taken(net, 8080), "the port is free")
    net.berth.ok("pod", "rm", "-f", plain.name)
    until(lambda: net.facts() == net.before, "nothing is left of either", 30)
    first = json.loads(net.berth.ok("network", "inspect", name))[0]["Containers"][vm.id]["IPv4Address"]
    net.berth.ok("pod", "start", vm.name)
    assert net.told(net.host, "127.0.0.1", 8080) == "vm" and f"{vm.address(name)}/24" == first
    net.berth.ok("pod", "stop", "-t", "0", vm.name)
    assert not is_taken(net, 8080)
