"""Containers and VMs on networks, as their user and others on the LAN see them. The host is a network namespace of the test's own."""

import json
import os
import re
import signal
import socket

import pytest

from harness import Berth, Box, until
from net_host import Namespace, wire

SERVE = "while :; do echo {word} | nc -l -p {port} >/dev/null; done"  # says a word to whoever connects


class HostBerth(Berth):
    """The same store, on a host of our own."""

    def __init__(self, berth, host):
        super().__init__(berth.build, berth.root, berth.run_dir)
        self.host = host

    def popen(self, *args, **kw):
        return super().popen(*args, preexec_fn=self.host.enter, **kw)


class Net:
    def __init__(self, berth, image):
        self.host, self.lan = Namespace("host"), Namespace("lan")
        wire(self.host, "lan0", "192.0.2.1/24", self.lan, "eth0", "192.0.2.2/24")
        self.berth = HostBerth(berth, self.host)
        self.container = Box(self.berth, "container", image)
        self.vm = Box(self.berth, "vm", image)
        self.networks = []
        self.before = self.facts()

    def facts(self):
        """What of this host's network there is to see, but for what the kernel counts on."""
        return self.host.ruleset(), sorted(self.host.devices()), self.host.ip("route"), self.host.ip("-6", "route")

    def network(self, *options):
        self.networks.append(f"n-{os.urandom(4).hex()}")
        self.berth.ok("network", "create", *options, self.networks[-1])
        return self.networks[-1]

    def box(self, isolation):
        return self.vm if isolation == "vm" else self.container

    def start(self, isolation, script, *opts):
        return self.box(isolation).start("sh", "-c", script, opts=opts)

    def address(self, name, network):
        return self.berth.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"]

    def exec(self, name, script):
        return self.berth.ok("exec", name, "sh", "-c", script)

    def hears(self, namespace, address, port):
        """What is said first there, or None."""
        s = namespace.open(socket.AF_INET6 if ":" in address else socket.AF_INET)
        with s:
            s.settimeout(1)
            try:
                s.connect((address, port))
                return s.recv(64).decode().strip()
            except OSError:
                return None

    def told(self, namespace, address, port):
        return until(lambda: self.hears(namespace, address, port), f"somebody answers at {address}:{port}", 120)

    def clean(self):
        self.container.clean()
        self.vm.clean()
        for n in self.networks:
            self.berth("network", "rm", n)
        self.networks.clear()
        until(lambda: self.facts() == self.before, f"all is as it was before\n{self.before}\n{self.facts()}", 30)

    def close(self):
        self.lan.close()
        self.host.close()


@pytest.fixture(scope="module")
def made(berth, image):
    n = Net(berth, image)
    yield n
    n.close()


@pytest.fixture
def net(made):
    yield made
    made.clean()


def test_two_on_a_network_reach_each_other_by_name_and_nobody_else_does(net):
    front, back = net.network(), net.network()
    web = net.start("container", SERVE.format(word="hello", port=80), "--network", front, "--network-alias", "www")
    other = net.start("container", "sleep 100000", "--network", front, "--cap-add", "NET_RAW")
    stranger = net.start("container", "sleep 100000", "--network", back)
    for name in (web, "www", net.berth.inspect(web)["Id"][:12]):
        assert until(lambda: net.berth("exec", other, "nc", name, "80").out, f"{name} answers") == "hello\n"
    net.exec(other, f"ping -c 1 {web}")
    assert net.berth("exec", stranger, "nc", "-w", "1", net.address(web, front), "80").out == ""
    assert net.berth("exec", stranger, "nslookup", web).code != 0


@pytest.mark.vm
def test_a_container_and_a_vm_reach_each_other_by_name(net):
    name = net.network()
    in_vm = net.start("vm", SERVE.format(word="vm", port=80), "--network", name, "--cap-add", "NET_RAW")
    in_container = net.start("container", SERVE.format(word="container", port=80), "--network", name, "--cap-add", "NET_RAW")
    assert until(lambda: net.berth("exec", in_container, "nc", in_vm, "80").out, "the VM answers", 240) == "vm\n"
    assert until(lambda: net.berth("exec", in_vm, "nc", in_container, "80").out, "the container answers", 240) == "container\n"
    net.exec(in_vm, f"ping -c 1 {in_container}")
    net.exec(in_container, f"ping -c 1 {in_vm}")
    own = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}|(?<=inet )[0-9.]+|^\d+|@if\d+|,M-DOWN|qdisc \w+| qlen \d+| link-netnsid \d+| +$", re.M)
    shapes = {own.sub("", net.exec(n, "ip addr show eth0")) for n in (in_vm, in_container)}
    assert len(shapes) == 1, shapes


def test_a_published_port(net, isolation):
    name = net.start(isolation, SERVE.format(word="here", port=80), "--network", "bridge", "-p", "8080:80", "-p", "192.0.2.1:8081:80", "-p", "80")
    any_port = int(net.berth.inspect(name)["NetworkSettings"]["Ports"]["80/tcp"][2]["HostPort"])
    assert net.berth.ok("port", name).splitlines() == ["80/tcp -> 127.0.0.1:8080", "80/tcp -> 192.0.2.1:8081", f"80/tcp -> 127.0.0.1:{any_port}"]
    assert net.berth.ok("port", name, "80").splitlines()[0] == "127.0.0.1:8080"
    ports = net.berth.ok("ps", "--filter", f"name={name}", "--format", "{{.Ports}}")
    assert "127.0.0.1:8080->80/tcp" in ports and "192.0.2.1:8081->80/tcp" in ports
    assert net.told(net.host, "127.0.0.1", 8080) == net.told(net.host, "127.0.0.1", any_port) == net.told(net.lan, "192.0.2.1", 8081) == "here"
    assert net.hears(net.lan, "192.0.2.1", 8080) is None
    net.lan.ip("route", "add", net.address(name, "bridge"), "via", "192.0.2.1")
    assert net.hears(net.lan, net.address(name, "bridge"), 80) is None  # not as published
    net.lan.ip("route", "del", net.address(name, "bridge"))
    net.berth.ok("restart", "-t", "0", name)
    assert net.told(net.host, "127.0.0.1", 8080) == "here"
    net.berth.ok("stop", "-t", "0", name)
    assert net.hears(net.host, "127.0.0.1", 8080) is None
    assert net.berth.ok("port", name) == ""


def test_the_peer_is_seen_as_who_it_is(net):
    name = net.start("container", "httpd -f -vv -p 80 2>/tmp/log", "--network", "bridge", "-p", "0.0.0.0:8080:80")
    assert until(lambda: net.lan.run("wget", "-q", "-O", "-", "http://192.0.2.1:8080/etc/group", check=False).stdout or True, "asked")
    assert until(lambda: re.search(r"192\.0\.2\.2", net.exec(name, "cat /tmp/log")), "the peer's own address")


def test_of_a_range_the_first_that_is_free_is_published(net):
    taken = net.host.listen("127.0.0.1", 8100)
    names = [net.start("container", SERVE.format(word=f"nr{i}", port=80), "--network", "bridge", "-p", "8100-8102:80") for i in range(2)]
    assert [net.berth.ok("port", n, "80") for n in names] == ["127.0.0.1:8101", "127.0.0.1:8102"]
    assert [net.told(net.host, "127.0.0.1", p) for p in (8101, 8102)] == ["nr0", "nr1"]
    net.berth.fails(*net.container.args("true", opts=("--rm", "--network", "bridge", "-p", "8100-8102:80")), code=125, says=["8100-8102", "in use"])
    net.berth.ok("rm", "-f", names[0])
    taken.close()
    assert net.hears(net.host, "127.0.0.1", 8101) is None


def test_what_is_taken_is_told(net):
    taken = net.host.listen("127.0.0.1", 8090)
    name = net.container.name()
    net.berth.fails(*net.container.args("true", opts=("--name", name, "--network", "bridge", "-p", "8090:80")), code=125, says=["8090", "in use"])
    assert net.berth.inspect(name)["State"]["Status"] == "created"
    taken.close()
    first = net.start("container", "sleep 100000", "--network", "bridge", "-p", "8090:80")
    net.berth.fails("start", name, code=125, says="8090")
    net.berth.ok("rm", "-f", first)
    net.berth.ok("start", name)
    net.berth.fails(*net.container.args("true", opts=("--rm", "--network", "no-such-network")), code=125, says="no-such-network")


def test_out_into_the_lan_under_the_hosts_address(net):
    server = net.lan.listen("192.0.2.2", 7000)
    name = net.start("container", "sleep 100000", "--network", "bridge")
    asks = net.berth.popen("exec", name, "nc", "192.0.2.2", "7000")
    peer, address = server.accept()
    assert address[0] == "192.0.2.1"
    peer.close()
    asks.communicate(timeout=60)
    server.close()
    inner = net.network("--internal")
    kept = net.start("container", "sleep 100000", "--network", inner)
    assert net.berth("exec", kept, "nc", "-w", "1", "192.0.2.2", "7000").code != 0


def test_addresses_names_and_files_are_as_asked_for(net):
    n = net.network("--subnet", "10.91.7.0/24", "--ipv6", "--subnet", "fd00:91::/64")
    web = net.start("container", "sleep 100000", "--network", n, "--ip", "10.91.7.77", "--ip6", "fd00:91::77", "--mac-address", "02:42:0a:5b:07:4d",
                    "--hostname", "web", "--add-host", "db:10.1.2.3", "--add-host", "up:host-gateway")
    shown = net.exec(web, "ip addr show eth0; ip route; ip -6 route; cat /etc/hosts; cat /etc/resolv.conf")
    for word in ("10.91.7.77/24", "fd00:91::77/64", "02:42:0a:5b:07:4d", "default via 10.91.7.1", "default via fd00:91::1", "10.91.7.77\tweb", "10.1.2.3\tdb",
                 "10.91.7.1\tup", "nameserver 10.91.7.1"):
        assert word in shown, shown
    linked = net.start("container", "sleep 100000", "--network", n, "--link", f"{web}:store", "--cap-add", "NET_RAW", "--dns-search", "example.org", "--dns-option", "ndots:3")
    shown = net.exec(linked, "cat /etc/hosts /etc/resolv.conf; ping -c 1 store; ping -6 -c 1 " + web)
    for word in (f"10.91.7.77\tstore {web}", "search example.org", "options ndots:3"):
        assert word in shown, shown
    net.berth.fails(*net.container.args("true", opts=("--rm", "--network", n, "--ip", "10.91.7.77")), says="in use")
    net.berth.fails(*net.container.args("true", opts=("--rm", "--network", n, "--ip", "10.92.0.1")), says="10.92.0.1")


def test_another_name_is_known_at_once(net):
    n = net.network()
    web = net.start("container", "sleep 100000", "--network", n)
    peer = net.start("container", "sleep 100000", "--network", n)
    other = net.container.name()
    net.berth.ok("rename", web, other)
    assert net.address(other, n) in until(lambda: net.berth("exec", peer, "nslookup", other).out, "the new name resolves")
    assert net.berth("exec", peer, "nslookup", web).code != 0


def test_a_container_on_two_networks_knows_the_names_of_both_as_they_change(net):
    a, b = net.network("--ipv6"), net.network()
    left = net.start("container", "sleep 100000", "--network", a)
    right = net.start("container", "sleep 100000", "--network", b)
    both = net.start("container", "sleep 100000", "--network", a, "--network", b)
    one = net.start("container", "sleep 100000", "--network", a)

    def knows(name, what, at):
        return at in net.berth("exec", name, "nslookup", what).out

    for name, network in ((left, a), (right, b)):
        until(lambda: knows(both, name, net.address(name, network)), f"{name} is known")
    assert not knows(one, right, net.address(right, b))
    net.berth.ok("network", "connect", b, one)
    until(lambda: knows(one, right, net.address(right, b)), "the other network's names come with it")
    other = net.container.name()
    net.berth.ok("rename", right, other)
    until(lambda: knows(one, other, net.address(other, b)) and knows(both, other, net.address(other, b)), "the new name is known")
    net.berth.ok("network", "disconnect", b, one)
    until(lambda: knows(one, left, net.address(left, a)) and not knows(one, other, net.address(other, b)), "they go with it")


def test_names_of_the_network_and_a_server_of_its_own(net):
    n = net.network()
    web = net.start("container", "sleep 100000", "--network", n)
    name = net.start("container", "sleep 100000", "--network", n, "--dns", "192.0.2.2")
    until(lambda: net.address(web, n) in net.berth("exec", name, "nslookup", web).out, "the network's names are known")
    with net.lan.listen("192.0.2.2", 53, socket.SOCK_DGRAM) as server:
        asking = net.berth.popen("exec", name, "nslookup", "example.org")
        assert b"example" in server.recv(1000)
        asking.kill()
        asking.communicate()
    assert "nameserver 192.0.2.2" in net.exec(net.start("container", "sleep 100000", "--network", "bridge", "--dns", "192.0.2.2"), "cat /etc/resolv.conf")
    dead = net.berth.inspect(name)["Id"]
    net.berth.ok("rm", "-f", name)
    assert not os.path.exists(f"{net.berth.run_dir}/networks/c-{dead}")


def test_several_networks_and_changes_while_it_runs(net):
    a, b = net.network(), net.network()
    name = net.start("container", "sleep 100000", "--network", a)
    peer = net.start("container", SERVE.format(word="peer", port=80), "--network", b, "--cap-add", "NET_RAW")
    net.berth.ok("network", "connect", "--alias", "both", b, name)
    assert until(lambda: net.berth("exec", name, "nc", net.address(peer, b), "80").out, "the peer answers") == "peer\n"
    assert set(net.berth.inspect(name)["NetworkSettings"]["Networks"]) == {a, b}
    net.exec(peer, "ping -c 1 both")
    net.berth.ok("restart", "-t", "0", name)
    assert "eth1" in net.exec(name, "ip addr")
    net.berth.ok("network", "disconnect", b, name)
    until(lambda: "eth1" not in net.exec(name, "ip addr"), "the interface goes")
    assert net.berth("exec", name, "nc", "-w", "1", net.address(peer, b), "80").out == ""
    two = net.start("container", "sleep 100000", "--network", a, "--network", f"name={b},alias=second")
    assert "eth1" in net.exec(two, "ip addr")
    net.exec(peer, "ping -c 1 second")


def test_anothers_network(net):
    n = net.network()
    web = net.start("container", SERVE.format(word="inside", port=80), "--network", n)
    beside = net.start("container", "sleep 100000", "--network", f"container:{web}")
    assert until(lambda: net.berth("exec", beside, "nc", "127.0.0.1", "80").out, "it answers on the loopback") == "inside\n"
    assert net.address(web, n) in net.exec(beside, "ip addr")
    net.berth.fails(*net.container.args("true", opts=("--rm", "--network", f"container:{web}", "-p", "80:80")), says="--publish")


def test_a_monitor_that_is_killed_leaves_nothing_after_the_next_command(net):
    n = net.network()
    name = net.start("container", "sleep 100000", "--network", n, "-p", "8070:80")
    os.kill(net.berth.monitor_pid(net.berth.inspect(name)["Id"]), signal.SIGKILL)
    until(lambda: net.berth.state(name)["Status"] == "exited", "its end is seen")
    until(lambda: net.facts() == net.before, f"nothing is left\n{net.before}\n{net.facts()}", 30)
    net.berth.ok("start", name)
    assert "127.0.0.1:8070" in net.berth.ok("port", name)


def test_twenty_at_once_have_addresses_of_their_own(net):
    n = net.network()
    names = [net.container.name() for _ in range(20)]
    started = [net.berth.popen(*net.container.args("sleep", "100000", opts=("-d", "--name", x, "--network", n))) for x in names]
    for p in started:
        out, err = p.communicate(timeout=240)
        assert p.returncode == 0, err
    addresses = {net.address(x, n) for x in names}
    assert len(addresses) == 20
    for x in names:
        assert net.address(x, n) in net.exec(x, "ip addr show eth0")


def test_inspection_is_dockers(net):
    n = net.network()
    name = net.start("container", "sleep 100000", "--network", n, "--network-alias", "a", "-p", "127.0.0.1:8060:80", "--expose", "443")
    shown = net.berth.inspect(name)
    settings, host = shown["NetworkSettings"], shown["HostConfig"]
    assert host["NetworkMode"] == n and host["PortBindings"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8060"}]}
    assert settings["Ports"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8060"}], "443/tcp": None}
    assert {"80/tcp", "443/tcp"} <= set(shown["Config"]["ExposedPorts"])
    of = settings["Networks"][n]
    assert of["Aliases"][0] == "a" and name in of["DNSNames"] and re.fullmatch(r"02:42(:[0-9a-f]{2}){4}", of["MacAddress"])
    assert of["Gateway"] and of["IPPrefixLen"] == 24
    listed = json.loads(net.berth.ok("network", "inspect", n))[0]["Containers"]
    assert [c["Name"] for c in listed.values()] == [name]
    assert net.berth.ok("ps", "--format", "{{.Networks}}", "--filter", f"network={n}") == n
    net.berth.ok("stop", "-t", "0", name)
    assert net.berth.inspect(name)["NetworkSettings"]["Networks"][n]["IPAddress"] == ""


def test_published_on_none_is_said(net):
    r = net.container("true", opts=("-p", "80:80"))
    assert r.code == 0 and "published ports are discarded with --network none" in r.err


# ---- after somebody has flushed the tables ----

def test_reload_brings_back_what_was_flushed_without_a_restart(net, isolation):
    n, apart = net.network(), net.network()
    web = net.start(isolation, SERVE.format(word="here", port=80), "--network", n, "-p", "0.0.0.0:8080:80", "-p", "0.0.0.0::81")
    stranger = net.start("container", "sleep 100000", "--network", apart)
    alone = net.start("container", "sleep 100000", "--network", "none")
    assert net.told(net.lan, "192.0.2.1", 8080) == "here"
    pids, ports = [net.berth.inspect(x)["State"]["Pid"] for x in (web, stranger)], net.berth.ok("port", web)
    before = sorted(net.host.ruleset().split())
    net.host.run("nft", "flush", "ruleset")
    assert net.hears(net.lan, "192.0.2.1", 8080) is None
    ids = [net.berth.inspect(x)["Id"] for x in (web, stranger)]
    assert net.berth.ok("network", "reload", web) == ids[0]
    assert sorted(net.berth.ok("network", "reload", "--all").split()) == sorted(ids)
    assert sorted(net.host.ruleset().split()) == before
    assert [net.berth.inspect(x)["State"]["Pid"] for x in (web, stranger)] == pids and net.berth.ok("port", web) == ports
    assert net.told(net.lan, "192.0.2.1", 8080) == "here"
    server = net.lan.listen("192.0.2.2", 7000)
    asks = net.berth.popen("exec", web, "nc", "192.0.2.2", "7000")
    peer, address = server.accept()
    assert address[0] == "192.0.2.1"
    peer.close()
    asks.communicate(timeout=60)
    server.close()
    assert net.berth("exec", stranger, "nc", "-w", "1", net.address(web, n), "80").out == ""
    net.berth.fails("network", "reload", alone, says="has no network of its own")
    net.berth.fails("network", "reload", "no-such-container", says="no-such-container")
    net.berth.fails("network", "reload", says="operand is missing")
    net.berth.ok("stop", "-t", "0", web)
    net.berth.fails("network", "reload", web, says="is not running")


def test_reload_of_one_that_is_paused(net):
    web = net.start("container", SERVE.format(word="here", port=80), "--network", "bridge", "-p", "8080:80")
    net.berth.ok("pause", web)
    net.host.run("nft", "flush", "ruleset")
    net.berth.ok("network", "reload", "--latest")
    net.berth.ok("unpause", web)
    assert net.told(net.host, "127.0.0.1", 8080) == "here"


def test_reload_beside_ends_leaves_nothing_of_the_dead(net):
    n = net.network()
    names = [net.start("container", "sleep 100000", "--network", n, "-p", "80", *(["--rm"] if i % 2 else [])) for i in range(6)]
    kept = net.start("container", "sleep 100000", "--network", n)
    running = [net.berth.popen("network", "reload", "--all") for _ in range(4)]
    ends = [net.berth.popen("rm", "-f", x) for x in names]
    for p in [*running, *ends]:
        out, err = p.communicate(timeout=240)
        assert p.returncode == 0, err
    assert set(re.findall(r"bv[0-9a-f]{12}", net.host.ruleset())) <= set(net.host.devices()), "no rule is a dead one's"
    assert len(set(re.findall(r"bv[0-9a-f]{12}", net.host.ruleset()))) == 1, f"{kept} is there yet"
