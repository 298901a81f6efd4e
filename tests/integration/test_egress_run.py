"""--egress as its user sees it: a second host on the LAN serves, and a dnsmasq there answers for names."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import until
from test_network import Net

LAN, HOST = "192.0.2.2", "192.0.2.1"
SERVER = """
import selectors, socket, sys
s = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    l = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    s.register(l, 1)
print("ready", flush=True)
while True:
    for key, _ in s.select():
        c, _ = key.fileobj.accept()
        c.sendall(b"hello\\n")
        c.close()
"""
FOREVER = "sleep 100000"
ALLOW = "allow=open.example:80,10.99.0.0/16"


def serve(space, *ports):
    p = subprocess.Popen([sys.executable, "-c", SERVER, *map(str, ports)], preexec_fn=space.enter, stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"
    return p


@pytest.fixture(scope="module")
def made(berth, image):
    n = Net(berth, image)
    servers = [serve(n.lan, 80, 81), serve(n.host, 8080),
               subprocess.Popen(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--user=root", f"--listen-address={LAN}",
                                 "--bind-interfaces", f"--host-record=open.example,{LAN}", f"--host-record=shut.example,{LAN}", f"--host-record=to-host.example,{HOST}",
                                 "--pid-file="], preexec_fn=n.lan.enter, stderr=subprocess.DEVNULL)]
    until(lambda: n.lan.reaches(LAN, 53), "the LAN's resolver answers")
    yield n
    for s in servers:
        s.kill()
        s.wait()
    n.close()


@pytest.fixture
def net(made):
    yield made
    made.clean()
    assert not own(made), "no resolver is left"


def own(net):
    """Pids of resolvers of containers' own."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if f"--pid-file={net.berth.run_dir}/networks/c-".encode() in Path("/proc", pid, "cmdline").read_bytes():
                found.append(int(pid))
        except OSError:
            pass
    return found


def reached(net, name, *where):
    """Which of them ("HOST PORT") a greeting comes from."""
    script = "".join(f"[ \"$(nc -w 5 {w} </dev/null 2>/dev/null)\" = hello ] && echo {w};" for w in where)
    return net.berth("exec", name, "sh", "-c", script + "true").out.splitlines()


def start(net, isolation, *more, egress=ALLOW):
    return net.start(isolation, FOREVER, *(more or ("--network", "bridge")), "--dns", LAN, "--egress", egress)


def gateway(net, name, network="bridge"):
    return net.berth.inspect(name)["NetworkSettings"]["Networks"][network]["Gateway"]


def everything(net, name):
    return ["shut.example 80", f"{LAN} 80", f"{LAN} 81", f"{HOST} 8080", f"{gateway(net, name)} 8080", "to-host.example 8080"]


def test_what_is_listed_is_reached_and_nothing_else(net, isolation):
    name = start(net, isolation)
    assert reached(net, name, *everything(net, name)) == []
    assert reached(net, name, "open.example 81", "open.example 80") == ["open.example 80"]
    assert reached(net, name, *everything(net, name)) == [f"{LAN} 80"], "open.example's address"
    assert net.berth.inspect(name)["HostConfig"]["Egress"] == [ALLOW]
    net.berth.ok("restart", "-t", "0", name)
    assert reached(net, name, *everything(net, name)) == [], "of what was answered nothing is left"
    assert reached(net, name, "open.example 80") == ["open.example 80"]
    address = net.address(name, "bridge")
    assert address in net.host.run("cat", "/proc/net/nf_conntrack").stdout
    net.berth.ok("rm", "-f", name)
    assert address not in net.host.run("cat", "/proc/net/nf_conntrack").stdout
    assert "egress-" not in net.host.ruleset() and not own(net)


def test_nothing_is_reached_with_none(net):
    name = start(net, "container", egress="none")
    assert reached(net, name, "open.example 80", *everything(net, name)) == []
    assert net.berth("exec", name, "nslookup", "open.example").code != 0


def test_peers_are_closed_but_for_listed_ones(net, isolation):
    n = net.network("--subnet", "10.99.1.0/24")
    m = net.network("--subnet", "10.98.1.0/24")
    greet = "while :; do echo hello | nc -l -p 80 >/dev/null; done"
    peers = [net.start("container", greet, "--network", x) for x in (n, m)]
    name = start(net, isolation, "--network", n, "--network", m)
    until(lambda: reached(net, name, f"{net.address(peers[0], n)} 80"), "the listed peer answers", 120)
    until(lambda: reached(net, name, f"{peers[0]} 80"), "it does by its name, as its address is listed", 120)  # between two greetings nobody listens
    assert reached(net, name, f"{peers[1]} 80", f"{net.address(peers[1], m)} 80", f"{gateway(net, name, m)} 8080") == []
    assert reached(net, name, f"{gateway(net, name, n)} 8080") == [f"{gateway(net, name, n)} 8080"], "the range holds it"


def test_who_publishes_a_port_is_reached(net):
    name = net.start("container", "while :; do echo hello | nc -l -p 80 >/dev/null; done", "--network", "bridge", "--egress", "none", "-p", "0.0.0.0:8081:80")
    assert net.told(net.lan, HOST, 8081) == net.told(net.host, net.address(name, "bridge"), 80) == "hello"


def test_a_network_that_it_comes_to_is_closed_alike(net):
    n = net.network()
    name = start(net, "container")
    assert reached(net, name, "open.example 80") == ["open.example 80"]
    net.berth.ok("network", "connect", n, name)
    ways = everything(net, name) + [f"{gateway(net, name, n)} 8080"]
    assert reached(net, name, *ways) == [f"{LAN} 80"], "what was answered stays"
    net.berth.ok("network", "disconnect", "bridge", name)
    assert reached(net, name, f"{gateway(net, name, n)} 8080") == [] and "egress-" in net.host.ruleset()


def test_reload_gives_it_its_list_again(net):
    name = start(net, "container")
    before = sorted(net.host.ruleset().split())
    net.host.run("nft", "flush", "ruleset")
    other = net.start("container", FOREVER, "--network", "bridge")
    assert reached(net, name, "open.example 80", *everything(net, name)) == [], "whoever starts next closes it"
    net.berth.ok("rm", "-f", other)
    net.berth.ok("network", "reload", name)
    assert sorted(net.host.ruleset().split()) == before or "egress-" in net.host.ruleset()
    assert reached(net, name, *everything(net, name)) == []
    assert reached(net, name, "open.example 80") == ["open.example 80"]


def test_its_resolvers_death_closes_and_a_restart_opens(net):
    name = start(net, "container")
    assert len(own(net)) == 1
    os.kill(own(net)[0], signal.SIGKILL)
    until(lambda: not own(net), "it has died")
    assert reached(net, name, "open.example 80", *everything(net, name)) == []
    net.berth.ok("restart", "-t", "0", name)
    assert reached(net, name, "open.example 80") == ["open.example 80"]


def test_without_rules_or_resolver_it_does_not_start(net):
    name = net.container.name()
    net.berth.ok("create", "--name", name, "--network", "bridge", "--egress", ALLOW, net.container.image, "true")
    ident = net.berth.inspect(name)["Id"]
    blocked = net.berth.run_dir / "networks" / f"c-{ident}"
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("in the way")
    try:
        net.berth.fails("start", name, says=f"c-{ident}")
        assert net.berth.state(name)["Status"] in ("created", "exited")
    finally:
        blocked.unlink()
    net.berth.ok("start", name)
    net.berth.ok("wait", name)


@pytest.mark.vm
def test_a_copy_of_a_vm_has_the_list_too(net):
    name = start(net, "vm")
    if net.berth.ok("vm", "inspect", "-f", "{{.VMM}}", name) != "berth-vmm":
        pytest.skip("no KVM here that is good for whole guests")
    copy = net.vm.name()
    net.berth.ok("fork", "--name", copy, name)
    assert net.berth.inspect(copy)["HostConfig"]["Egress"] == [ALLOW]
    assert reached(net, copy, *everything(net, copy)) == []
    assert reached(net, copy, "open.example 80") == ["open.example 80"]


@pytest.mark.parametrize("given, says", [
    ("all", '--egress: "all": expected none, or allow='),
    ("allow=", '--egress: "": expected a domain'),
    ("allow=a.org,10.0.0.0/33", '--egress: "10.0.0.0/33": expected a domain'),
    ("allow=a.org:http", '--egress: "a.org:http": its port is not one of 1 to 65535'),
    ("allow=*.a.org:80,b.a.org:81", "need the same ports"),
])
def test_bad_syntax_is_named(net, given, says):
    net.berth.fails("create", "--network", "bridge", "--egress", given, net.container.image, "true", says=says)


def test_both_none_and_a_list_are_refused(net):
    net.berth.fails("create", "--egress", "none", "--egress", "allow=a.org", net.container.image, "true", says="can't be given together")


def test_a_server_on_the_loopback_is_refused(net):
    net.berth.fails("create", "--egress", "none", "--dns", "127.0.0.1", net.container.image, "true", says=["--dns 127.0.0.1", "--egress"])


@pytest.mark.parametrize("network", ["none", "host", "container:x"])
def test_it_needs_a_network_of_its_own(net, network):
    net.berth.fails("create", "--network", network, "--egress", "none", net.container.image, "true",
                    says=["--egress needs a network of its own", f"--network {network}"])


def test_networks_that_can_not_be_held_to_a_list_are_refused(net):
    free = net.network("-o", "berth.spoof-check=false")
    child = net.network("-d", "macvlan", "-o", "parent=lan0")
    name = start(net, "container")
    for n, says in ((free, "spoof-check"), (child, "driver macvlan")):
        net.berth.fails("create", "--network", n, "--egress", "none", net.container.image, "true", says=["--egress", says])
        net.berth.fails("network", "connect", n, name, says=["--egress", says])


def test_a_pods_containers_have_no_list_of_their_own(net):
    pod = f"p-{os.urandom(4).hex()}"
    net.berth.ok("pod", "create", "--name", pod)
    try:
        net.berth.fails("create", "--pod", pod, "--egress", "none", net.container.image, "true", says=["--egress", "pod"])
    finally:
        net.berth.ok("pod", "rm", "-f", pod)
