"""Networks of a user without root's rights: the same command line, bridges and names; what passes between his containers and the host goes by
pasta. His host is a network namespace of the test's own, with a LAN behind it."""

import json
import os
import signal
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest

import rootless_user
from harness import until
from net_host import Namespace, wire
from rootless_user import Home

pytestmark = [
    pytest.mark.skipif(not rootless_user.has_user_namespaces(), reason="this host gives users no user namespaces"),
    pytest.mark.skipif(not rootless_user.has_pasta(), reason="pasta is not installed"),
]

HTTPD = "mkdir -p /www; echo {word} >/www/index.html; exec httpd -f -vv -p 80 -h /www 2>/log"
ASK = b"GET / HTTP/1.0\r\n\r\n"


class World:
    """The user, his host, and a LAN."""

    def __init__(self, build):
        self.host, self.lan = Namespace("host"), Namespace("lan")
        for n in (self.host, self.lan):
            n.run("sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad")
        wire(self.host, "lan0", "192.0.2.1/24", self.lan, "eth0", "192.0.2.2/24")
        wire(self.host, "six0", "2001:db8::1/64", self.lan, "eth6", "2001:db8::2/64")
        for words in (["route", "add", "default", "via", "192.0.2.2"], ["-6", "route", "add", "default", "via", "2001:db8::2"]):
            self.host.ip(*words)
        self.user = Home(build, host=self.host)
        self.user.bring_base()
        self.before = self.facts()
        self.networks = []

    def facts(self):
        return self.host.ruleset(), sorted(self.host.devices()), self.host.ip("route"), self.host.run("ss", "-Hltun").stdout

    def start(self, script, *opts):
        return self.user.ok("run", "-d", *opts, "base", "sh", "-c", script)

    def network(self, *opts):
        self.networks.append(f"n-{os.urandom(4).hex()}")
        self.user.ok("network", "create", *opts, self.networks[-1])
        return self.networks[-1]

    def exec(self, name, script):
        return self.user.ok("exec", name, "sh", "-c", script)

    def answer(self, namespace, address, port):
        """What an HTTP server there says, or None."""
        s = namespace.open(socket.AF_INET6 if ":" in address else socket.AF_INET)
        s.settimeout(2)
        with s:
            try:
                s.connect((address, port))
                s.sendall(ASK)
                said = b""
                while part := s.recv(4096):
                    said += part
                return said.decode().split("\r\n\r\n")[1].strip() if b"\r\n\r\n" in said else None
            except OSError:
                return None

    def told(self, namespace, address, port):
        return until(lambda: self.answer(namespace, address, port), f"somebody answers at {address}:{port}", 30)

    def ways(self):
        """Process ids of pastas, the first way's apart."""
        rows = [(int(r[0]), r[3].split()) for r in self.user.processes() if r[3].startswith("pasta ")]
        return {words[words.index("--ns-ifname") + 1]: pid for pid, words in rows}

    def clean(self):
        left = self.user.ok("ps", "-aq").split()
        if left:
            self.user.ok("rm", "-f", *left)
        for n in self.networks:
            self.user.ok("network", "rm", n)
        self.networks.clear()
        until(lambda: not self.user.processes(), "no process of the user's is left", 30)
        assert self.facts() == self.before

    def close(self):
        self.user.end()
        self.lan.close()
        self.host.close()


@pytest.fixture(scope="module")
def made(berth):
    w = World(berth.build)
    yield w
    w.close()


@pytest.fixture
def world(made):
    yield made
    made.clean()


def taken(world, port, kind=socket.SOCK_STREAM, address="192.0.2.1"):
    with world.host.open(kind=kind) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((address, port))
            return False
        except OSError:
            return True


@contextmanager
def asking(world, name, script):
    """While a container runs a script."""
    child = world.user.popen("exec", name, "sh", "-c", script)
    try:
        yield
    finally:
        child.communicate(timeout=60)


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def test_the_way_out_by_both_families_is_the_host_s(world):
    c = world.start("sleep 1000", "--network", world.network("--ipv6"))
    for address, seen in (("192.0.2.2", "192.0.2.1"), ("2001:db8::2", "2001:db8::1")):
        with world.lan.listen(address, 7000) as s:
            with asking(world, c, f"nc -w 5 {address} 7000 </dev/null"):
                peer, name = s.accept()
                peer.close()
            assert name[0] == seen


def test_the_host_s_loopback_is_not_to_be_had(world):
    c = world.start("sleep 1000")
    with world.host.listen("127.0.0.1", 7000) as s:
        for address in ("169.254.1.1", "10.77.0.1", "127.0.0.1"):
            assert world.user("exec", c, "nc", "-w", "1", address, "7000").code != 0
        s.settimeout(0.2)
        with pytest.raises(TimeoutError):
            s.accept()


def test_a_published_port_is_at_the_loopback_only_unless_told(world):
    c = world.start(HTTPD.format(word="mine"), "-p", "8080:80")
    assert world.user.ok("port", c) == "80/tcp -> 127.0.0.1:8080"
    assert world.told(world.host, "127.0.0.1", 8080) == "mine"
    assert world.answer(world.lan, "192.0.2.1", 8080) is None and not taken(world, 8080)


def test_who_comes_to_a_published_port_is_seen_as_who_he_is(world):
    c = world.start(HTTPD.format(word="open"), "--network", world.network("--ipv6"), "-p", "0.0.0.0:8080:80", "-p", "[::]:8080:80")
    other = world.start(HTTPD.format(word="other"), "-p", "0.0.0.0:8081:80")
    for address, port, word in (("192.0.2.1", 8080, "open"), ("2001:db8::1", 8080, "open"), ("192.0.2.1", 8081, "other")):
        assert world.told(world.lan, address, port) == word
    assert world.told(world.host, "192.0.2.1", 8080) == "open" and world.told(world.host, "127.0.0.1", 8081) == "other"
    log = world.exec(c, "cat /log")
    for peer in ("::ffff:192.0.2.2]", "[2001:db8::2]", "::ffff:192.0.2.1]"):
        assert peer in log, log
    assert "::ffff:192.0.2.2]" in world.exec(other, "cat /log")


def test_datagrams_of_a_published_port(world):
    c = world.start("sleep 1000", "-p", "0.0.0.0:9090:90/udp")

    def for_nobody():
        rows = [row.split() for row in world.exec(c, "cat /proc/net/snmp").splitlines() if row.startswith("Udp:")]
        return int(rows[1][rows[0].index("NoPorts")])

    def has_come():
        with world.lan.open(kind=socket.SOCK_DGRAM) as s:
            s.sendto(b"hello\n", ("192.0.2.1", 9090))
        return for_nobody() > 0

    assert for_nobody() == 0
    until(has_come, "the datagram", 20)


def test_two_addresses_with_one_port_are_two_containers(world):
    world.host.ip("addr", "add", "192.0.2.9/24", "dev", "lan0")
    try:
        world.start(HTTPD.format(word="one"), "-p", "192.0.2.1:8080:80")
        world.start(HTTPD.format(word="nine"), "-p", "192.0.2.9:8080:80", "-p", "127.0.0.1:8080:80")
        assert world.told(world.lan, "192.0.2.1", 8080) == "one"
        assert world.told(world.lan, "192.0.2.9", 8080) == "nine" and world.told(world.host, "127.0.0.1", 8080) == "nine"
    finally:
        world.host.ip("addr", "del", "192.0.2.9/24", "dev", "lan0")


def test_ports_that_can_not_be_had_are_told(world):
    def run(*opts):
        return ("run", "-d", *opts, "base", "sleep", "1000")

    with world.host.listen("192.0.2.1", 8080):
        world.user.fails(*run("-p", "192.0.2.1:8080:80"), says=["8080", "address already in use"])
    world.user.fails(*run("-p", "80:80"), says=["80/tcp", "only root", "ip_unprivileged_port_start"])
    world.user.fails(*run("-p", "127.0.0.2:8080:80"), says=["127.0.0.2", "127.0.0.1"])
    world.user.fails(*run("-p", "8080:80/sctp"), says="sctp")
    world.user.ok(*run("-p", "0.0.0.0:8080:80"))
    world.user.fails(*run("-p", "192.0.2.1:8080:80"), says=["8080", "address already in use"])


@contextmanager
def resolver_on_the_loopback(world):
    """The host's own, which knows one name, and is asked at 127.0.0.1 alone."""
    resolv = world.user.where / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\n")
    world.user.bind(resolv, "/etc/resolv.conf")
    argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--listen-address=127.0.0.1", "--bind-interfaces",
            "--address=/far.example/203.0.113.7", "--pid-file="]
    server = world.host.popen(*argv)
    try:
        yield
    finally:
        server.kill()
        server.wait()
        world.user.unbind("/etc/resolv.conf")


def test_names_on_a_network_and_of_the_host_s_own_resolver(world):
    name = world.network()
    with resolver_on_the_loopback(world):
        one = world.start("sleep 1000", "--network", name, "--name", f"one-{name}")
        two = world.start("sleep 1000", "--network", name, "--network-alias", "deux")
        for who in (f"one-{name}", "deux"):
            assert until(lambda who=who: world.user("exec", two if who != "deux" else one, "nslookup", who).code == 0, f"{who} is known")
        assert until(lambda: "203.0.113.7" in world.user("exec", one, "nslookup", "far.example").out, "a name from outside", 20)
        plain = world.start("sleep 1000")
        assert "203.0.113.7" in world.user("exec", plain, "nslookup", "far.example").out


def test_a_container_s_own_resolver_asks_the_host_s_too(world):
    """One on two networks, and one that may open a name alone."""
    left, right = world.network(), world.network()
    with resolver_on_the_loopback(world):
        world.start("sleep 1000", "--network", right, "--name", f"one-{right}")
        both = world.start("sleep 1000", "--network", left, "--network", right)
        listed = world.start("sleep 1000", "--egress", "allow=far.example:443")
        assert until(lambda: world.user("exec", both, "nslookup", f"one-{right}").code == 0, "a name of its networks")
        for who in (both, listed):
            assert until(lambda who=who: "203.0.113.7" in world.user("exec", who, "nslookup", "far.example").out, "a name from outside", 20)
        assert world.user("exec", listed, "nslookup", "near.example").code != 0


def test_ping_needs_no_right(world):
    """By ICMP's datagram sockets; busybox's ping knows raw ones alone."""
    name = world.network("--ipv6")
    one = world.start("sleep 1000", "--network", name, "--cap-drop", "ALL")
    two = world.start("sleep 1000", "--network", name, "--name", f"two-{name}", "--cap-add", "NET_RAW")
    addresses = world.user.inspect(two)["NetworkSettings"]["Networks"][name]
    for address in (addresses["IPAddress"], addresses["GlobalIPv6Address"], addresses["Gateway"], "127.0.0.1"):
        for who in ("0", "1000", str(rootless_user.COUNT)):
            assert world.user.ok("exec", "-u", f"{who}:{who}", one, "probe", "ping", address) == "OK", (address, who)
    world.exec(two, f"ping -c 1 -W 5 two-{name}; ping -6 -c 1 -W 5 {world.user.inspect(one)['NetworkSettings']['Networks'][name]['GlobalIPv6Address']}")


def test_ping_goes_out_where_the_host_allows_it_to_the_user(world):
    c = world.start("sleep 1000")
    world.host.run("sh", "-c", "echo 1 0 >/proc/sys/net/ipv4/ping_group_range")
    assert world.user("exec", c, "probe", "ping", "192.0.2.2").code == 1
    world.host.run("sh", "-c", "echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range")
    assert world.exec(c, "probe ping 192.0.2.2") == "OK"


def test_networks_are_apart_and_internal_ones_have_no_way_out(world):
    inside = world.network("--internal")
    a = world.start(HTTPD.format(word="a"), "--network", inside)
    b = world.start("sleep 1000")
    address = world.user.inspect(a)["NetworkSettings"]["Networks"][inside]["IPAddress"]
    assert world.user("exec", b, "wget", "-q", "-T", "2", "-O-", f"http://{address}/").code != 0
    with world.lan.listen("192.0.2.2", 7000):
        assert "unreachable" in world.user("exec", a, "nc", "-w", "2", "192.0.2.2", "7000").err
    world.user.ok("network", "connect", inside, b)
    assert world.exec(b, f"wget -q -O- http://{address}/") == "a"
    world.user.ok("network", "disconnect", inside, b)
    assert world.user("exec", b, "wget", "-q", "-T", "2", "-O-", f"http://{address}/").code != 0


def test_a_restart_and_a_reload_keep_the_port(world):
    c = world.start(HTTPD.format(word="again"), "-p", "0.0.0.0:8080:80")
    assert world.told(world.lan, "192.0.2.1", 8080) == "again"
    world.user.ok("restart", "-t", "0", c)
    assert world.told(world.lan, "192.0.2.1", 8080) == "again"
    world.user.ok("network", "reload", c)
    assert world.told(world.lan, "192.0.2.1", 8080) == "again"
    world.user.ok("stop", "-t", "0", c)
    assert not taken(world, 8080)


def test_who_is_killed_takes_the_port_along(world):
    def serve():
        c = world.start(HTTPD.format(word="here"), "-p", "0.0.0.0:8080:80")
        assert world.told(world.lan, "192.0.2.1", 8080) == "here"
        return c, next(pid for name, pid in world.ways().items() if name != "way0")

    c, pasta = serve()
    kill(world.user.monitor_pid(c))
    until(lambda: not taken(world, 8080), "the port of a killed monitor is free")
    c, pasta = serve()
    kill(parent(pasta))
    until(lambda: not taken(world, 8080), "the port is free when the process beside its pasta is killed")
    world.user.ok("restart", "-t", "0", c)
    assert world.told(world.lan, "192.0.2.1", 8080) == "here"


def test_a_first_way_that_is_killed_comes_again_with_the_next_container(world):
    c = world.start("sleep 1000")
    first = world.ways()["way0"]
    kill(first)
    until(lambda: "way0" not in world.ways(), "its end")
    world.start("sleep 1000")
    assert world.ways()["way0"] != first
    with world.lan.listen("192.0.2.2", 7000) as s:
        with asking(world, c, "nc -w 2 192.0.2.2 7000 </dev/null"):
            s.accept()[0].close()


def test_a_pod_has_its_ports_until_its_last_container_ends(world):
    name = f"p-{os.urandom(4).hex()}"
    world.user.ok("pod", "create", "--name", name, "-p", "0.0.0.0:8080:80")
    try:
        first = world.start("sleep 1000", "--pod", name)
        web = world.start(HTTPD.format(word="pod"), "--pod", name)
        assert world.told(world.lan, "192.0.2.1", 8080) == "pod" and world.exec(first, "wget -q -O- http://127.0.0.1/") == "pod"
        kill(world.user.monitor_pid(first))
        assert world.told(world.lan, "192.0.2.1", 8080) == "pod"
        world.user.ok("stop", "-t", "0", web)
        until(lambda: not taken(world, 8080), "the port is free", 20)
    finally:
        world.user.ok("pod", "rm", "-f", name)


def test_egress_is_held_to_its_list(world):
    c = world.start("sleep 1000", "--egress", "allow=192.0.2.2:7000")
    with world.lan.listen("192.0.2.2", 7000) as allowed, world.lan.listen("192.0.2.2", 7001) as other:
        with asking(world, c, "nc -w 5 192.0.2.2 7000 </dev/null"):
            allowed.accept()[0].close()
        assert "refused" in world.user("exec", c, "nc", "-w", "5", "192.0.2.2", "7001").err
        other.settimeout(0.2)
        with pytest.raises(TimeoutError):
            other.accept()


def test_a_first_way_whose_guard_is_killed_comes_again_at_once(world):
    c = world.start("sleep 1000")
    for _ in range(3):
        kill(parent(world.ways()["way0"]))
        world.start("sleep 1000")
    with world.lan.listen("192.0.2.2", 7000) as s:
        with asking(world, c, "nc -w 5 192.0.2.2 7000 </dev/null"):
            s.accept()[0].close()


def test_the_host_s_network_and_none(world):
    assert "lan0" in world.user.ok("run", "--rm", "--network", "host", "base", "ip", "-o", "link")
    assert "eth0" not in world.user.ok("run", "--rm", "--network", "none", "base", "ip", "-o", "link")
    assert not world.ways()


def test_macvlan_needs_root(world):
    name = world.network("-d", "macvlan", "-o", "parent=lan0")
    world.user.fails("run", "--network", name, "base", "true", says=["macvlan", "without root's rights", "bridge"])


def test_a_host_without_a_way_out_has_networks_all_the_same(berth):
    host = Namespace("alone")
    home = Home(berth.build, host=host)
    try:
        home.bring_base()
        assert "inet 10.77." in home.ok("run", "--rm", "base", "ip", "-o", "-4", "addr")
        home.fails("run", "--rm", "-p", "8080:80", "base", "true", says=["published", "no default route"])
    finally:
        home.end()
        host.close()


def test_without_pasta_or_its_device_the_remedy_is_told(world):
    nothing = world.user.where / "nothing"
    nothing.write_text("")
    world.user.bind(nothing, "/dev/net/tun")
    try:
        world.user.fails("run", "--name", "n", "base", "true", says=["/dev/net/tun", "chmod 0666", "--network none or host"])
    finally:
        world.user.unbind("/dev/net/tun")
    assert json.loads(world.user.ok("inspect", "n"))[0]["State"]["Status"] == "created"
