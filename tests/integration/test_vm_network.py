"""A virtual machine's cards: what a program sees of them beside a container's interfaces, traffic both ways, and what becomes of them when
the machine is started again, copied, or asked for what it can't. In a network namespace that stands for the host."""

import hashlib
import json
import os
import re
import threading

import pytest

from harness import Berth, Box
from net_host import Namespace

PATTERN = b"0123456789abcdef" * 60 + b"\n"
POOLS = {"BERTH_ADDRESS_POOLS": "10.201.0.0/16/24,fd00:201::/48/64"}


class Inside(Berth):
    """The same store, driven from a host of its own."""

    def __init__(self, berth, host):
        super().__init__(berth.build, berth.root, berth.run_dir)
        self.host = host

    def popen(self, *args, env=None, **kw):
        return super().popen(*args, preexec_fn=self.host.enter, env={**(env or os.environ), **POOLS}, **kw)


@pytest.fixture(scope="module")
def host(berth):
    ns = Namespace("host")
    inside = Inside(berth, ns)
    inside.ok("network", "create", "--ipv6", "-o", "com.docker.network.driver.mtu=1400", "front")
    inside.ok("network", "create", "back")
    yield inside
    inside.ok("network", "rm", "front", "back")
    ns.close()


@pytest.fixture
def vm(host, image):
    box = Box(host, "vm", image)
    yield box
    box.clean()


@pytest.fixture
def container(host, image):
    box = Box(host, "container", image)
    yield box
    box.clean()


def place(host, name, network="front") -> dict:
    return json.loads(host.ok("inspect", "--format", "{{json .NetworkSettings.Networks}}", name))[network]


def started(box, *networks, opts=(), script="while :; do nc -l -p 9 -e echo hello; done") -> str:
    """One that greets whoever connects to port 9."""
    name = box.name()
    at = [o for n in networks for o in ("--network", n)]
    box.berth.ok("run", "-d", "--name", name, "--isolation", box.isolation, *at, *opts, box.image, "sh", "-c", script)
    return name


def greeted(host, name, address) -> bool:
    script = f"for i in 1 2 3 4 5 6 7 8; do [ \"$(echo | nc -w 3 {address} 9)\" = hello ] && exit 0; sleep 0.2; done; exit 1"
    return host("exec", name, "sh", "-c", script).code == 0


SEEN = """ip addr; ip route; ip -6 route; cat /etc/resolv.conf; cat /proc/sys/net/ipv4/ping_group_range
cat /proc/sys/net/ipv6/conf/eth0/accept_ra /proc/sys/net/ipv6/conf/eth1/addr_gen_mode"""


def seen(box) -> str:
    """What a program sees of its networks, without what is each one's own."""
    text = box.sh(SEEN, opts=("--network", "front", "--network", "back"))
    text = re.sub(r"link/ether \S+", "link/ether MAC", text)
    text = re.sub(r"(inet6?|src) (10\.201\.\d+\.|fd00:201:|fe80:)[0-9a-f:]+", r"\1 \2X", text)
    # A container's is a cable's end, and without a queue.
    return re.sub(r"(eth\d)@if\d+", r"\1", text).replace(",M-DOWN", "").replace("qdisc fq_codel", "qdisc noqueue")


@pytest.mark.vm
def test_a_vm_sees_of_its_networks_what_a_container_sees(vm, container):
    ours, theirs = seen(vm), seen(container)
    assert "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400" in ours and "3: eth1: " in ours and "default via 10.201." in ours
    assert ours == theirs


@pytest.mark.vm
def test_a_vm_and_a_container_reach_each_other_and_the_host_a_published_port(host, vm, container):
    c = started(container, "front")
    v = started(vm, "front", "back", opts=("-p", "9", "--sysctl", "net.ipv4.conf.eth1.forwarding=1"))
    for one, other in ((v, c), (c, v)):
        there = place(host, other)
        assert greeted(host, one, there["IPAddress"]) and greeted(host, one, there["GlobalIPv6Address"])
    address, port = host.ok("port", v, "9").rsplit(":", 1)
    assert host.host.run("sh", "-c", f"echo | busybox nc -w 5 {address} {port}").stdout == "hello\n"
    assert host.ok("exec", v, "cat", "/proc/sys/net/ipv4/conf/eth1/forwarding", "/proc/sys/net/ipv4/conf/eth0/forwarding").split() == ["1", "0"]


def trade(listener, n, wants):
    """Whoever connects gives n bytes, or takes n. -> what it gave"""
    got = bytearray()

    def serve():
        c, _ = listener.accept()
        with c:
            c.settimeout(60)
            if not wants:
                c.sendall(PATTERN * (n // len(PATTERN)))
            while wants and (part := c.recv(1 << 16)):
                got.extend(part)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread, got


@pytest.mark.vm
def test_megabytes_pass_whole_both_ways(host, vm):
    v = started(vm, "front")
    n, gateway = 8000 * len(PATTERN), place(host, v)["Gateway"]
    with host.host.listen(gateway, 0) as listener:
        port = listener.getsockname()[1]
        thread, _ = trade(listener, n, False)
        sums = host.ok("exec", v, "sh", "-c", f"nc {gateway} {port} </dev/null | sha256sum").split()[0]
        thread.join(60)
        assert sums == hashlib.sha256(PATTERN * 8000).hexdigest()
        thread, got = trade(listener, n, True)
        host.ok("exec", v, "sh", "-c", f"i=0; while [ $i -lt 8000 ]; do echo {PATTERN.decode().rstrip()}; i=$((i+1)); done | nc {gateway} {port}")
        thread.join(60)
        assert bytes(got) == PATTERN * 8000


@pytest.mark.vm
def test_networks_of_a_vm_change_while_it_is_stopped_and_not_while_it_runs(host, vm):
    v = started(vm, "front")
    for verb, network in (("connect", "back"), ("disconnect", "front")):
        host.fails("network", verb, network, v, says="can't change while it runs: stop it first")
    before = place(host, v)
    host.ok("stop", "-t", "0", v)
    host.ok("network", "connect", "back", v)
    host.ok("start", v)
    assert place(host, v)["MacAddress"] == before["MacAddress"]
    addresses = host.ok("exec", v, "ip", "-o", "-4", "addr")
    assert f"eth0    inet {before['IPAddress']}/24" in addresses
    assert f"eth1    inet {place(host, v, 'back')['IPAddress']}/24" in addresses


def is_itself(host, name, other) -> tuple:
    """Its cards are what the records say, and nobody else's; it is reached, and its port. -> address, hardware address, port"""
    front, back = place(host, name), place(host, name, "back")
    cards = re.findall(r"link/ether (\S+) .*?inet (\d\S+)/", host.ok("exec", name, "ip", "addr"), re.S)
    assert cards == [(at["MacAddress"], at["IPAddress"]) for at in (front, back)]
    assert greeted(host, other, front["IPAddress"]) and greeted(host, other, front["GlobalIPv6Address"])
    assert greeted(host, name, place(host, other)["IPAddress"])
    address, port = host.ok("port", name, "9").rsplit(":", 1)
    assert host.host.run("sh", "-c", f"echo | busybox nc -w 5 {address} {port}").stdout == "hello\n"
    return front["IPAddress"], front["MacAddress"], port


@pytest.mark.vm
def test_V13_a_copy_of_a_vm_has_cards_of_its_own_on_the_same_networks(host, vm, container):
    v = started(vm, "front", "back", opts=("--memory", "64m", "-p", "9"))
    if host.ok("vm", "inspect", "-f", "{{.VMM}}", v) != "berth-vmm":
        pytest.skip("no KVM here that is good for whole guests")
    c, fork, late = started(container, "front"), vm.name(), vm.name()
    first = is_itself(host, v, c)
    snapshot = host.ok("snapshot", "create", v)
    host.ok("fork", "--name", fork, v)
    second = is_itself(host, fork, c)
    assert is_itself(host, v, c) == first and not set(first) & set(second)
    host.ok("rm", "-f", v)
    host.ok("restore", "--name", late, snapshot)
    host.ok("snapshot", "rm", snapshot)
    assert not set(is_itself(host, late, c)) & set(second)


@pytest.mark.vm
def test_a_container_of_a_virtual_pod_is_on_no_network_of_its_own(host, vm):
    pod, name = f"{vm.name()}-pod", vm.name()
    host.ok("pod", "create", "--name", pod, "--isolation", "vm", "--share", "none")
    try:
        host.fails("create", "--pod", pod, "--network", "front", vm.image, says=("--network front", pod, "without --pod"))
        host.ok("create", "--name", name, "--pod", pod, "--network", "none", vm.image, "true")
        host.fails("network", "connect", "front", name, says=(name, "--network none"))
    finally:
        host.ok("pod", "rm", "-f", pod)
    vm.names.clear()
