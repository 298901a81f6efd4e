"""berth-net by itself: plans in, answers and descriptors out, on a host made of namespaces (net_host.py). N..: rows of docs/THREATS.md."""

import os
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from net_host import Namespace, Net, endpoint, network, tcp, until, wire

BUILD = Path(os.environ.get("BERTH_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
HOST, PEER = "192.168.7.1", "192.168.7.2"


class World:
    """A host, a LAN with one peer, and what was made: all goes at the end, and nothing of berth-net's may be left."""

    def __init__(self, state):
        self.spaces = []
        self.host, self.lan = self.space("host"), self.space("lan")
        wire(self.host, "lan0", HOST + "/24", self.lan, "eth0", PEER + "/24")
        self.net = Net(BUILD / "src/main/berth-net", self.host, state)
        self.before = self.state()
        self.attached = []

    def space(self, name):
        self.spaces.append(Namespace(name))
        return self.spaces[-1]

    def state(self):
        return self.host.ruleset(), sorted(self.host.devices())

    def attach(self, *endpoints, ports=(), name="c", **more):
        """-> (namespace, answer); a container with these."""
        c = self.space(name)
        plan = self.net.plan(*endpoints, ports=ports, **more)
        answer = self.net.ok("attach", plan, c)
        if ports:
            plan["ports"] = answer.json["ports"]
        self.attached.append((plan, c, answer))
        return c, answer

    def detach(self, c):
        for row in [r for r in self.attached if r[1] is c]:
            self.attached.remove(row)
            plan, _, answer = row
            c.close()
            answer.close()
            self.net.ok("detach", plan)

    def close(self):
        for _, c, _ in list(self.attached):
            self.detach(c)

    def is_clean(self):
        return self.state() == self.before


@pytest.fixture
def world(tmp_path):
    w = World(tmp_path / "networks")
    try:
        yield w
        w.close()
        assert until(w.is_clean), f"left behind: {w.state()}, and at first: {w.before}"
        assert not (tmp_path / "networks").exists() or not os.listdir(tmp_path / "networks")
    finally:
        for s in w.spaces:
            s.close()


def meets(listener, connect):
    """The peer's address that the listener sees. Somebody has to come, however long that takes here."""
    usual, Namespace.patience = Namespace.patience, 20
    try:
        assert connect(), "nobody comes"
    finally:
        Namespace.patience = usual
    connection, peer = listener.accept()
    connection.close()
    return peer[0]


# ---- what an attach gives, and a detach takes ----


def test_an_interface_is_as_the_plan_says_and_goes_with_its_network(world):
    e = endpoint(network(1, mtu=1400), 2)
    c, _ = world.attach(e)
    device = c.devices()["eth0"]
    assert (device["address"], device["mtu"], device["operstate"]) == (e["mac"], 1400, "UP")
    assert [a["local"] for a in device["addr_info"]] == ["10.200.1.2"], "no address of the kernel's own making"
    assert "default via 10.200.1.1 dev eth0" in c.ip("route")
    outside = world.host.devices()[e["device"]]
    assert outside["master"] == "berth-000000001" and outside["group"] == "48711" and outside["mtu"] == 1400
    assert outside["linkinfo"]["info_slave_data"]["hairpin"] is False
    world.detach(c)
    assert e["device"] not in world.host.ruleset(), "its elements go at once"
    assert until(world.is_clean)


def test_a_network_with_ipv6_is_of_use_at_once(world):
    net = network(1, [{"subnet": "10.200.1.0/24", "gateway": "10.200.1.1"}, {"subnet": "fd00:1::/64", "gateway": "fd00:1::1"}])
    world.host.run("sysctl", "-qw", "net.ipv6.conf.lan0.accept_ra=1")
    a, _ = world.attach(endpoint(net, 2), ports=[tcp(80, 8080)])
    b, _ = world.attach(endpoint(net, 3))
    with a.listen("::", 80) as s:
        assert meets(s, lambda: b.reaches("fd00:1::2", 80)) == "fd00:1::3"
        assert meets(s, lambda: world.host.reaches("fd00:1::2", 80)) == "fd00:1::1"
    assert "default via fd00:1::1" in a.ip("-6", "route")
    assert world.host.run("cat", "/proc/sys/net/ipv6/conf/lan0/accept_ra").stdout == "2\n", "the host hears its routers as before"


def test_queues_of_a_tap_are_descriptors_that_carry_frames(world):
    net = network(1)
    e = endpoint(net, 9)
    plan = world.net.plan(e, isVm=True, queues=2)
    answer = world.net.ok("attach", plan)
    c, _ = world.attach(endpoint(net, 2))
    assert answer.json["taps"] == 2 and len(answer.fds) == 2
    with c.open(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as _, c.listen("10.200.1.2", 7, socket.SOCK_DGRAM) as s:
        frame = udp_frame(e["mac"], mac_of(c), "10.200.1.9", "10.200.1.2", 5, 7, b"from the guest")
        os.write(answer.taps[1], bytes(10) + frame)
        assert s.recv(100) == b"from the guest"
    world.net.ok("detach", plan)
    answer.close()


def test_several_networks_are_several_interfaces(world):
    c, _ = world.attach(endpoint(network(1), 2), {**endpoint(network(2), 2, "eth1"), "gateway4": None})
    assert {"eth0", "eth1"} < set(c.devices())
    assert c.ip("route").count("default") == 1


def test_an_interface_is_taken_from_a_namespace_that_lives_on(world):
    c = world.space("c")
    plan = world.net.plan(endpoint(network(1), 2))
    world.net.ok("attach", plan, c).close()
    world.net.ok("detach", plan, c)
    assert "eth0" not in c.devices()
    world.net.ok("attach", plan, c).close()
    assert "eth0" in c.devices()
    world.net.ok("detach", plan, c)
    world.net.ok("detach", plan, c)


@pytest.mark.parametrize("driver, mode", [("macvlan", None), ("macvlan", "private"), ("ipvlan", None), ("ipvlan", "l3s")])
def test_a_child_of_the_hosts_device_is_on_its_wire(world, driver, mode):
    net = {**network(1, [{"subnet": "192.168.7.0/24", "gateway": PEER}], driver=driver, **({"mode": mode} if mode else {})), "device": "lan0"}
    e = endpoint(net, 9)
    c = world.space("c")
    answer = world.net("attach", world.net.plan(e), c)
    if "load its module" in answer.message:
        assert world.is_clean()
        pytest.skip(answer.message)
    assert answer.error == 0, answer.json
    assert world.is_clean(), "the host has neither bridge nor table"
    assert c.devices()["eth0"]["linkinfo"]["info_data"]["mode"] == (mode or {"macvlan": "bridge", "ipvlan": "l2"}[driver])
    assert driver == "ipvlan" or c.devices()["eth0"]["address"] == e["mac"]
    with world.lan.listen("0.0.0.0", 80) as s:
        assert meets(s, lambda: c.reaches(PEER, 80)) == "192.168.7.9"
    world.net.ok("detach", world.net.plan(e), c)
    assert "eth0" not in c.devices()
    a = world.net("attach", world.net.plan({**e, "network": {**net, "device": "lan9"}}), c)
    assert a.error and "no device lan9" in a.message
    a = world.net("attach", world.net.plan({**e, "network": {**net, "mode": "x"}}), c)
    assert a.error and "mode \"x\"" in a.message
    a = world.net("attach", world.net.plan(e, isVm=True))
    assert a.error and "not for virtual machines" in a.message


def test_the_same_endpoint_comes_again_at_once(world):
    e = endpoint(network(1), 2)
    for _ in range(3):
        c, _ = world.attach(e, ports=[tcp(80, 8080)])
        with c.listen("0.0.0.0", 80) as s:
            assert meets(s, lambda: world.host.reaches("127.0.0.1", 8080))
        world.detach(c)


def test_fifty_at_once(world):
    net, rows = network(1), []
    for i in range(50):
        c = world.space(f"c{i}")
        plan = world.net.plan(endpoint(net, 2 + i), ports=[tcp(80)])
        rows.append((plan, c, *world.net.start("attach", plan, c)))
    answers = [world.net.finish(process, ours) for _, _, process, ours in rows]
    assert [a.error for a in answers] == [0] * 50, [a.json for a in answers if a.error][:3]
    ports = [a.port() for a in answers]
    assert len(set(ports)) == 50
    for i in (0, 17, 49):
        with rows[i][1].listen("0.0.0.0", 80) as s:
            assert meets(s, lambda: world.lan.reaches(HOST, ports[i])) == PEER
    gone = []
    for (plan, c, _, _), answer in zip(rows, answers):
        c.close()
        answer.close()
        gone.append(world.net.start("detach", plan))
    assert [world.net.finish(*g).error for g in gone] == [0] * 50


# ---- published ports ----


def test_N05_a_published_port_is_reached_from_everywhere_and_the_peer_is_seen(world):
    c, answer = world.attach(endpoint(network(1), 2), ports=[tcp(80, 8080), tcp(53, 5353, protocol="udp"), tcp(81)])
    assert answer.port(0) == 8080 and answer.port(2) >= 1024 and len(answer.sockets) == 3
    with c.listen("0.0.0.0", 80) as s, c.listen("0.0.0.0", 81) as t, c.listen("0.0.0.0", 53, socket.SOCK_DGRAM) as u:
        assert meets(s, lambda: world.lan.reaches(HOST, 8080)) == PEER
        assert meets(s, lambda: world.host.reaches("127.0.0.1", 8080)) == "10.200.1.1"
        assert meets(s, lambda: world.host.reaches(HOST, 8080)) == HOST
        assert meets(t, lambda: world.lan.reaches(HOST, answer.port(2))) == PEER
        with world.lan.open(kind=socket.SOCK_DGRAM) as asker:
            asker.settimeout(10)
            asker.sendto(b"?", (HOST, 5353))
            said, peer = u.recvfrom(10)
            assert (said, peer[0]) == (b"?", PEER)
            u.sendto(b"!", peer)
            assert asker.recvfrom(10) == (b"!", (HOST, 5353))


@pytest.mark.parametrize("bridged", ["0", "1"])
def test_containers_reach_published_ports_by_the_hosts_address(world, bridged):
    if world.host.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={bridged}", check=False).returncode and bridged == "1":
        pytest.skip("br_netfilter is not there")
    c, _ = world.attach(endpoint(network(1), 2), ports=[tcp(80, 8080)])
    same, _ = world.attach(endpoint(network(1), 3))
    other, _ = world.attach(endpoint(network(2), 2))
    with c.listen("0.0.0.0", 80) as s:
        assert meets(s, lambda: other.reaches(HOST, 8080)) == "10.200.2.2"
        assert meets(s, lambda: same.reaches(HOST, 8080)) in ("10.200.1.1", "10.200.1.3")
        if bridged == "0":
            assert meets(s, lambda: c.reaches(HOST, 8080)) == "10.200.1.1"


def test_a_port_at_one_address_is_not_at_others(world):
    c, _ = world.attach(endpoint(network(1), 2), ports=[tcp(80, 8080, "127.0.0.1"), tcp(80, 8081, HOST)])
    with c.listen("0.0.0.0", 80) as s:
        assert meets(s, lambda: world.host.reaches("127.0.0.1", 8080))
        assert meets(s, lambda: world.lan.reaches(HOST, 8081)) == PEER
        assert not world.lan.reaches(HOST, 8080)
        assert not world.host.reaches("127.0.0.1", 8081)


def test_a_port_that_somebody_has_is_refused_with_a_remedy_and_nothing_is_left(world):
    with world.host.listen("0.0.0.0", 8080):
        a = world.net("attach", world.net.plan(endpoint(network(1), 2), ports=[tcp(79, 8079), tcp(80, 8080)]), world.space("a"))
        assert a.error == 98 and not a.fds and a.status == 0
        assert "8080/tcp" in a.message and "already in use" in a.message and "another port" in a.message
        assert world.is_clean()
    _, _ = world.attach(endpoint(network(1), 2), ports=[tcp(80, 8080)])
    for where in (None, "127.0.0.1", HOST):
        a = world.net("attach", world.net.plan(endpoint(network(1), 3), ports=[tcp(80, 8080, where)]), world.space("b"))
        assert a.error == 98, where
    a = world.net("attach", world.net.plan(endpoint(network(1), 3), ports=[tcp(80, 8081, "203.0.113.9")]), world.space("b"))
    assert a.error == 99 and "203.0.113.9" in a.message


def test_a_port_that_a_dead_one_has_left_is_the_next_ones(world):
    net = network(1)
    first = endpoint(net, 2)
    plan = world.net.plan(first, ports=[tcp(80, 8080)])
    a = world.space("a")
    world.net.ok("attach", plan, a).close()  # killed: nobody holds the port, no detach
    c, _ = world.attach(endpoint(net, 3), ports=[tcp(80, 8080)])
    with c.listen("0.0.0.0", 80) as s:
        assert meets(s, lambda: world.lan.reaches(HOST, 8080)) == PEER
        a.close()
        world.net.ok("detach", plan)
        assert meets(s, lambda: world.lan.reaches(HOST, 8080)) == PEER, "a late detach takes only its own away"


# ---- who reaches whom ----


def mac_of(space, device="eth0"):
    return space.devices()[device]["address"]


def raw_mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_frame(source_mac, to_mac, source, to, source_port, port, data):
    udp = struct.pack("!4H", source_port, port, 8 + len(data), 0) + data
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(to))
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return raw_mac(to_mac) + raw_mac(source_mac) + b"\x08\x00" + ip + udp


def send_frames(space, frames, device="eth0"):
    with space.open(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
        s.bind((device, 0))
        for f in frames:
            s.send(f)


def test_N01_what_is_published_on_the_loopback_is_not_the_lans(world):
    c, _ = world.attach(endpoint(network(1), 2), ports=[tcp(7, 7007, "127.0.0.1", "udp"), tcp(7, 7008, protocol="udp")])
    here, there = mac_of(world.lan), mac_of(world.host, "lan0")
    with c.listen("0.0.0.0", 7, socket.SOCK_DGRAM) as s:
        send_frames(world.lan, [udp_frame(here, there, PEER, to, 9, port, b"intruder")
                                for port in (7007, 7008) for to in ("127.0.0.1", "127.9.9.9")])
        send_frames(world.lan, [udp_frame(here, there, PEER, HOST, 9, 7008, b"welcome")])
        assert s.recv(100) == b"welcome"
        with world.host.open(kind=socket.SOCK_DGRAM) as own:
            own.sendto(b"own", ("127.0.0.1", 7007))
            assert s.recv(100) == b"own"


def test_N02_a_route_to_the_subnet_opens_no_port(world):
    c, _ = world.attach(endpoint(network(1), 2), ports=[tcp(80, 8080)])
    world.lan.ip("route", "add", "10.200.1.0/24", "via", HOST)
    with c.listen("0.0.0.0", 81) as s:
        assert meets(s, lambda: world.host.reaches("10.200.1.2", 81)) == "10.200.1.1"
        assert not world.lan.reaches("10.200.1.2", 81)
        assert not world.lan.reaches("10.200.1.2", 80)


def test_N04_what_passes_through_the_host_is_not_hijacked(world):
    far = world.space("far")
    wire(world.host, "far0", "192.168.8.1/24", far, "eth0", "192.168.8.2/24")
    world.before = world.state()
    far.ip("route", "add", "default", "via", "192.168.8.1")
    world.lan.ip("route", "add", "default", "via", HOST)
    c, _ = world.attach(endpoint(network(1), 2), ports=[tcp(80, 8080)])
    with far.listen("0.0.0.0", 8080) as theirs, c.listen("0.0.0.0", 80) as ours:
        assert meets(theirs, lambda: world.lan.reaches("192.168.8.2", 8080)) == PEER
        assert meets(theirs, lambda: world.host.reaches("192.168.8.2", 8080)) == "192.168.8.1"
        assert meets(theirs, lambda: c.reaches("192.168.8.2", 8080)) == "192.168.8.1"
        assert meets(ours, lambda: world.lan.reaches(HOST, 8080)) == PEER


def test_networks_are_apart_and_the_hosts_loopback_is_its_own(world):
    a, _ = world.attach(endpoint(network(1), 2))
    b, _ = world.attach(endpoint(network(1), 3))
    other, _ = world.attach(endpoint(network(2), 2))
    with a.listen("0.0.0.0", 80) as s, world.host.listen("127.0.0.1", 80, socket.SOCK_DGRAM) as own:
        assert meets(s, lambda: b.reaches("10.200.1.2", 80)) == "10.200.1.3"
        assert not other.reaches("10.200.1.2", 80)
        gateway = mac_of(world.host, "berth-000000001")
        send_frames(a, [udp_frame(mac_of(a), gateway, "10.200.1.2", "127.0.0.1", 9, 80, b"intruder")])
        own.settimeout(0.3)
        with pytest.raises(TimeoutError):
            own.recv(100)


def test_a_container_goes_out_as_the_host_and_an_internal_one_not_at_all(world):
    c, _ = world.attach(endpoint(network(1), 2))
    plain, _ = world.attach(endpoint(network(3, noMasquerade=True), 2))
    inner, _ = world.attach(endpoint(network(2, isInternal=True), 2))
    mate, _ = world.attach(endpoint(network(2, isInternal=True), 3))
    world.lan.ip("route", "add", "10.200.3.0/24", "via", HOST)
    for via in (inner, mate):
        via.ip("route", "add", "default", "via", "10.200.2.1")
    with world.lan.listen("0.0.0.0", 80) as s, mate.listen("0.0.0.0", 80) as m, world.host.listen("0.0.0.0", 81) as h:
        assert meets(s, lambda: c.reaches(PEER, 80)) == HOST
        assert meets(s, lambda: plain.reaches(PEER, 80)) == "10.200.3.2"
        assert not inner.reaches(PEER, 80)
        with world.lan.listen("0.0.0.0", 82, socket.SOCK_DGRAM) as u, inner.open(kind=socket.SOCK_DGRAM) as one, c.open(kind=socket.SOCK_DGRAM) as other:
            one.sendto(b"what was read", (PEER, 82))
            other.sendto(b"hello", (PEER, 82))
            assert u.recv(100) == b"hello"
        assert meets(m, lambda: inner.reaches("10.200.2.3", 80)) == "10.200.2.2"
        assert not c.reaches("10.200.2.3", 80)
        assert meets(h, lambda: inner.reaches("10.200.2.1", 81)) == "10.200.2.2"
        assert not inner.reaches(HOST, 81) and not inner.reaches("10.200.1.1", 81)
        assert meets(h, lambda: c.reaches(HOST, 81)) == "10.200.1.2"


def spoofs(own, gateway_mac, to):
    """Frames that must not come to MAC address `to`, each with the text \"spoof\" in it. own: the sender's MAC."""
    ether = raw_mac(to) + raw_mac(own)
    arp = struct.pack("!HHBBH", 1, 0x800, 6, 4, 2)
    gateway, victim = socket.inet_aton("10.200.1.1"), socket.inet_aton("10.200.1.3")
    local = socket.inet_pton(socket.AF_INET6, "fe80::42:aff:fec8:2")
    lower, all_nodes = socket.inet_pton(socket.AF_INET6, "fd00:1::2"), socket.inet_pton(socket.AF_INET6, "ff02::1")

    def six(source, next_header, body):
        return ether + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), next_header, 255) + source + all_nodes + body

    router = bytes((134, 0, 0, 0, 64, 0, 7, 8)) + bytes(8) + b"spoof"
    claim = bytes((136, 0, 0, 0, 0x20, 0, 0, 0)) + socket.inet_pton(socket.AF_INET6, "fd00:1::1") + b"spoof"
    return {
        "the gateway's address by ARP": ether + b"\x08\x06" + arp + raw_mac(own) + gateway + raw_mac(to) + victim + b"spoof",
        "ARP in another's name": ether + b"\x08\x06" + arp + raw_mac(gateway_mac) + gateway + raw_mac(to) + victim + b"spoof",
        "another's MAC": udp_frame(gateway_mac, to, "10.200.1.2", "10.200.1.3", 9, 9, b"spoof"),
        "another's address": udp_frame(own, to, "10.200.1.1", "10.200.1.3", 9, 9, b"spoof"),
        "an answer of the resolver": udp_frame(own, to, "10.200.1.1", "10.200.1.3", 53, 9, b"spoof"),
        "a DHCP server": udp_frame(own, to, "10.200.1.2", "10.200.1.3", 67, 68, b"spoof"),
        "a router's advertisement": six(local, 58, router),
        "the same behind options": six(local, 0, bytes((58, 0, 1, 4, 0, 0, 0, 0)) + router),
        "the gateway's address by an advertisement": six(local, 58, claim),
        "another's IPv6 address": six(socket.inet_pton(socket.AF_INET6, "fd00:1::1"), 17, struct.pack("!4H", 9, 9, 13, 0) + b"spoof"),
        "a DHCPv6 server": six(lower, 17, struct.pack("!4H", 547, 546, 13, 0) + b"spoof"),
        "a VLAN": raw_mac(to) + raw_mac(own) + b"\x81\x00\x00\x05\x08\x00" + udp_frame(own, to, "10.200.1.2", "10.200.1.3", 9, 9, b"spoof")[14:],
        "another protocol": ether + b"\x88\xb5" + b"spoof",
    }


@pytest.mark.parametrize("free", [False, True])
def test_N07_frames_are_held_to_their_senders_addresses(world, free):
    net = network(1, [{"subnet": "10.200.1.0/24", "gateway": "10.200.1.1"}, {"subnet": "fd00:1::/64", "gateway": "fd00:1::1"}], maySpoof=free)
    a, _ = world.attach(endpoint(net, 2))
    b, _ = world.attach(endpoint(net, 3))
    frames = spoofs(mac_of(a), mac_of(world.host, "berth-000000001"), mac_of(b))
    heard = set()
    with b.open(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as s:
        s.bind(("eth0", 3))
        s.settimeout(10)
        for n, frame in enumerate(frames.values()):
            send_frames(a, [frame.replace(b"spoof", b"sp%03d" % n)])
        time.sleep(0.2)  # processors overtake one another
        send_frames(a, [udp_frame(mac_of(a), mac_of(b), "10.200.1.2", "10.200.1.3", 9, 9, b"honest")])
        got = b""
        while b"honest" not in got:
            got = s.recv(2000)
            heard |= {what for n, what in enumerate(frames) if b"sp%03d" % n in got}
    assert set(frames) - set(heard) == (set() if free else set(frames))


def test_docker_lets_our_bridges_through_and_its_chain_is_as_before_at_the_end(world):
    for family in ("ip", "ip6"):
        world.host.run("nft", "-f", "-", input=f"""table {family} filter {{
            chain DOCKER-USER {{ counter return; }}
            chain FORWARD {{ type filter hook forward priority filter; policy drop; jump DOCKER-USER; }}
        }}""")
    world.before = world.state()
    c, _ = world.attach(endpoint(network(1), 2), ports=[tcp(80, 8080)])
    named, _ = world.attach(endpoint({**network(2), "device": "my-own"}, 2), ports=[tcp(80, 8081)])
    for space, port in ((c, 8080), (named, 8081)):
        with space.listen("0.0.0.0", 80) as s, world.lan.listen("0.0.0.0", 80) as out:
            assert meets(s, lambda: world.lan.reaches(HOST, port)) == PEER
            assert meets(out, lambda: space.reaches(PEER, 80)) == HOST
    assert world.host.ruleset().count('comment "berth berth-*"') == 4
    world.attach(endpoint(network(1), 9))
    assert world.host.ruleset().count('comment "berth berth-*"') == 4


# ---- names ----


def query(space, server, name, kind=1):
    """What the resolver says to a question of type A (1), PTR (12) or AAAA (28): (code, [address or name])."""
    words = b"".join(bytes([len(w)]) + w.encode() for w in name.split(".")) + b"\0"
    with space.open(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(3)
        s.connect((server, 53))
        s.send(struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + words + struct.pack("!HH", kind, 1))
        got = s.recv(1000)
    count, at, found = struct.unpack("!H", got[6:8])[0], 12 + len(words) + 4, []
    for _ in range(count):
        at += 2 if got[at] & 0xC0 else got.index(b"\0", at) + 1 - at
        length = struct.unpack("!H", got[at + 8:at + 10])[0]
        data = got[at + 10:at + 10 + length]
        at += 10 + length
        if kind == 12:
            text, i = [], 0
            while data[i]:
                text.append(data[i + 1:i + 1 + data[i]].decode())
                i += 1 + data[i]
            found.append(".".join(text))
        else:
            found.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data))
    return got[3] & 15, found


def resolvers(state):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            text = Path("/proc", pid, "cmdline").read_bytes().decode()
        except OSError:
            continue
        if "dnsmasq" in text and str(state) in text:
            found.append(int(pid))
    return found


def named(number, **more):
    return network(number, [{"subnet": f"10.200.{number}.0/24", "gateway": f"10.200.{number}.1"},
                            {"subnet": f"fd00:{number}::/64", "gateway": f"fd00:{number}::1"}], hasNames=True, **more)


def test_names_are_known_on_their_network_both_ways_and_end_with_it(world):
    net = named(1, upstreams=["192.0.2.1"])
    asker, _ = world.attach(endpoint(net, 2, names=["asker"]))
    web, _ = world.attach(endpoint(net, 3, names=["web", "web.net1", "alias"]))
    assert until(lambda: query(asker, "10.200.1.1", "web") == (0, ["10.200.1.3"]))
    assert query(asker, "10.200.1.1", "ALIAS") == (0, ["10.200.1.3"])
    assert query(asker, "fd00:1::1", "web", 28) == (0, ["fd00:1::3"])
    assert query(asker, "10.200.1.1", "3.1.200.10.in-addr.arpa", 12) == (0, ["web"])
    assert query(asker, "10.200.1.1", "nobody")[0] == 3, "no bare name is asked elsewhere"
    pids = resolvers(world.net.state)
    assert len(pids) == 1 and os.stat(f"/proc/{pids[0]}").st_uid != 0
    assert not world.lan.reaches("10.200.1.1", 53)
    world.detach(web)
    assert until(lambda: query(asker, "10.200.1.1", "web")[0] == 3), "forgotten"
    world.detach(asker)
    assert until(lambda: not resolvers(world.net.state))
    assert until(lambda: not os.listdir(world.net.state))


def test_a_resolver_that_died_is_started_again_and_knows_all(world):
    net = named(1)
    first, _ = world.attach(endpoint(net, 2, names=["first"]))
    os.kill(resolvers(world.net.state)[0], signal.SIGKILL)
    assert until(lambda: not resolvers(world.net.state))
    world.attach(endpoint(net, 3, names=["second"]))
    assert query(first, "10.200.1.1", "first") == (0, ["10.200.1.2"])
    assert until(lambda: query(first, "10.200.1.1", "second") == (0, ["10.200.1.3"]))


def test_names_of_two_networks_are_apart_and_others_are_asked_of_the_upstreams(world):
    a, _ = world.attach(endpoint(named(1, upstreams=[PEER]), 2, names=["here"]))
    b, _ = world.attach(endpoint(named(2, isInternal=True, upstreams=[PEER]), 2, names=["there"]))
    assert until(lambda: query(b, "10.200.2.1", "there") == (0, ["10.200.2.2"]))
    assert query(a, "10.200.1.1", "there")[0] == 3
    assert query(b, "10.200.2.1", "example.org")[0] == 5, "an internal one asks nobody"
    with world.lan.listen(PEER, 53, socket.SOCK_DGRAM) as upstream, a.open(kind=socket.SOCK_DGRAM) as s:
        s.sendto(struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + b"\7example\3org\0" + struct.pack("!HH", 1, 1), ("10.200.1.1", 53))
        asked, _ = upstream.recvfrom(1000)
        assert b"example" in asked


def test_a_taken_port_53_is_told(world):
    with world.host.listen("0.0.0.0", 53):
        a = world.net("attach", world.net.plan(endpoint(named(1), 2, names=["x"])), world.space("c"))
    assert a.error and "resolver" in a.message and "port 53" in a.message, a.json
    assert world.is_clean() and not os.listdir(world.net.state) and not resolvers(world.net.state)


# ---- errors ----


def changed(plan, where, value):
    at = plan["endpoints"][0]
    for key in where[:-1]:
        at = at[key]
    at[where[-1]] = value
    return plan


@pytest.mark.parametrize("where, value, says", [
    (("device",), "a/b", "endpoint's device \"a/b\""),
    (("device",), "a" * 16, "at most 15"),
    (("name",), "", "interface \"\""),
    (("mac",), "01:42:0a:4d:00:02", "MAC address \"01:42:0a:4d:00:02\""),
    (("mac",), "02:42:0a:4d:00", "MAC address"),
    (("addresses", 0), "10.200.1.2", "address \"10.200.1.2\""),
    (("addresses", 0), "10.200.1.2/33", "address \"10.200.1.2/33\""),
    (("addresses", 0), "10.201.1.2/24", "one in a subnet of its network"),
    (("addresses",), ["10.200.1.2/24", "10.200.1.3/24"], "one of a family"),
    (("gateway4",), "fd00::1", "gateway \"fd00::1\""),
    (("id",), "../x", "endpoint's id \"../x\""),
    (("names",), ["a b"], "name \"a b\""),
    (("network", "id"), "..", "network's id \"..\""),
    (("network", "device"), "x y", "network's device \"x y\""),
    (("network", "driver"), "cni", "not supported yet"),
    (("network", "driver"), "overlay", "driver \"overlay\""),
    (("network", "mtu"), 67, "MTU 67"),
    (("network", "subnets", 0, "subnet"), "10.200.1.0", "subnet \"10.200.1.0\""),
    (("network", "subnets", 0, "gateway"), "10.9.9.9", "gateway \"10.9.9.9\""),
    (("network", "upstreams"), ["dns"], "resolver \"dns\""),
])
def test_a_wrong_value_is_named_and_nothing_is_made(world, where, value, says):
    plan = world.net.plan(changed(world.net.plan(endpoint(network(1), 2)), where, value)["endpoints"][0])
    a = world.net("attach", plan, world.space("c"))
    assert a.error and says in a.message, a.json
    assert world.is_clean()


@pytest.mark.parametrize("port, says", [
    ({"protocol": "icmp", "port": 1}, "protocol \"icmp\""),
    ({"protocol": "tcp", "port": 0}, "1 to 65535"),
    ({"protocol": "tcp", "port": 80, "hostPort": 65536}, "1 to 65535"),
    ({"protocol": "tcp", "port": 80, "hostIp": "x"}, "address of a port \"x\""),
    ({"protocol": "tcp", "port": 80, "hostIp": "::1"}, "publish at 127.0.0.1"),
    ({"protocol": "tcp", "port": 80, "hostIp": "::"}, "no address of that family"),
])
def test_a_wrong_port_is_named(world, port, says):
    a = world.net("attach", world.net.plan(endpoint(network(1), 2), ports=[port]), world.space("c"))
    assert a.error and says in a.message, a.json
    assert world.is_clean()


def test_other_errors_say_what_to_do(world):
    e = endpoint(network(1), 2)
    for plan, ns, says in [
        (b"{", None, "network plan"),
        (world.net.plan(e), None, "descriptor 4"),
        (world.net.plan(endpoint(network(1, isInternal=True), 2), ports=[tcp(80)]), "c", "internal"),
        (world.net.plan(endpoint(network(1, [{"subnet": "192.168.0.0/16", "gateway": "192.168.0.1"}]), 2)), "c", "--subnet"),
        (world.net.plan(endpoint({**network(1), "device": "lan0"}, 2)), "c", "another kind"),
        (world.net.plan(endpoint(network(1), 2, "lo")), "c", "lo already"),
    ]:
        a = world.net("attach", plan, ns and world.space(ns))
        assert a.error and says in a.message, (says, a.json)
        assert world.is_clean(), says
    done = subprocess.run([world.net.program, "fly"], capture_output=True)
    assert done.returncode == 2


def test_a_berth_of_another_build_is_told(world):
    world.net.env["BERTH_BUILD_ID"] = "another"
    a = world.net("attach", world.net.plan(endpoint(network(1), 2)), world.space("c"))
    assert a.error and "is of build" in a.message and world.is_clean()


def test_a_bridge_of_the_hosts_is_used_and_stays(world):
    world.host.ip("link", "add", "own0", "type", "bridge")
    world.before = world.state()
    net = {**network(1), "device": "own0"}
    a = world.net("attach", world.net.plan(endpoint(net, 2)), world.space("c"))
    assert a.error and "10.200.1.1" in a.message and world.is_clean()
    world.host.ip("addr", "add", "10.200.1.1/24", "dev", "own0")
    c, _ = world.attach(endpoint(net, 2))
    with world.host.listen("10.200.1.1", 80) as s:
        assert meets(s, lambda: c.reaches("10.200.1.1", 80)) == "10.200.1.2"
    world.detach(c)


# ---- what is killed, lost or flushed ----


def lingering(world):
    """Processes of berth-net in the host's namespace."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe").endswith("/berth-net") and os.stat(f"/proc/{pid}/ns/net").st_ino == os.fstat(world.host.fd).st_ino:
                found.append(int(pid))
        except OSError:
            continue
    return found


def test_one_process_waits_for_a_bridge_however_many_leave_it(world):
    rows = [world.attach(endpoint(network(1), 2 + i)) for i in range(5)]
    other, _ = world.attach(endpoint(network(2), 2))
    for c, _ in rows[:4]:
        world.detach(c)
    world.detach(other)
    assert "@" not in world.host.run("cat", "/proc/net/unix").stdout, "E02: nothing that a container with the host's network could take"
    assert until(lambda: len(lingering(world)) == 2)  # besides, who has just answered may still be leaving
    assert until(lambda: not lingering(world))
    assert "berth-000000001" in world.host.devices() and "berth-000000002" not in world.host.devices()
    world.detach(rows[4][0])
    assert until(lambda: len(lingering(world)) == 1, 1)
    assert until(world.is_clean)


def test_half_of_the_tables_comes_back_with_what_is_live(world):
    c, _ = world.attach(endpoint(network(1), 2), ports=[tcp(80, 8080)])
    world.host.run("nft", "delete", "table", "bridge", "berth")
    world.attach(endpoint(network(1), 3))
    with c.listen("0.0.0.0", 80) as s:
        assert "tcp . 8080" in world.host.ruleset()
        s.settimeout(0.3)


def test_sweep_takes_what_the_dead_have_left_and_only_that(world):
    net = network(1)
    dead, live = endpoint(net, 2), endpoint(net, 3)
    a = world.space("a")
    world.net.ok("attach", world.net.plan(dead, ports=[tcp(80, 8080)]), a).close()
    c, _ = world.attach(live, ports=[tcp(80, 8081)])
    world.net.ok("sweep", world.net.plan(dead, keep=[dead["device"], live["device"]]))
    assert dead["device"] in world.host.devices(), "what is kept stays"
    world.net.ok("sweep", world.net.plan(dead, keep=[live["device"]]))
    assert dead["device"] not in world.host.devices() and dead["device"] not in world.host.ruleset()
    with c.listen("0.0.0.0", 80) as s:
        assert meets(s, lambda: world.lan.reaches(HOST, 8081)) == PEER


def calls(world, verb, plan, ns, where):
    """Every call of a run, as fault_at lists them: (process, call, n)."""
    out = where / "calls"
    world.net.finish(*world.net.start(verb, plan, ns, before=(str(BUILD / "tests/tools/fault_at"), "list", str(out)))).close()
    return [line.split() for line in out.read_text().splitlines()]


INTERESTING = ("sendto", "sendmsg", "recvmsg", "setns", "openat", "bind", "flock", "write", "socket", "clone", "setsockopt")


@pytest.mark.parametrize("fault", ["kill", "12"])
def test_killed_or_failing_at_any_call_it_leaves_nothing_behind(world, tmp_path, fault):
    e = endpoint(network(1), 2)
    plan = world.net.plan(e, ports=[tcp(80, 8080)])
    c = world.space("c")
    rows = [r for r in calls(world, "attach", plan, c, tmp_path) if r[0] == "0" and r[1] in INTERESTING]
    world.net.ok("detach", plan, c)
    world.net.ok("sweep", world.net.plan())
    assert world.is_clean() and len(rows) > 40
    struck = 0
    rows = rows[:: 3 if fault == "kill" else 5]
    for process, name, n in rows:
        out = tmp_path / "hit"
        injector = (str(BUILD / "tests/tools/fault_at"), process, name, n, fault, str(out))
        answer = world.net.finish(*world.net.start("attach", plan, c, before=injector))
        struck += out.read_text().startswith("hit")
        answer.close()
        world.net.ok("detach", plan, c)
        world.net.ok("sweep", world.net.plan())
        assert world.is_clean(), f"{name} {n}: {world.state()}"
    assert struck > len(rows) * 0.8  # how many messages a socket gives at once is the kernel's


RESOLVER_CALLS = ("clone", "wait4", "renameat", "rename", "mkdirat", "memfd_create", "unlinkat", "pidfd_open", "lseek", "renameat2", "linkat")


def test_killed_beside_its_resolver_it_leaves_none(world, tmp_path):
    plan = world.net.plan(endpoint(named(1), 2, names=["x"]))
    c = world.space("c")
    rows = [r for r in calls(world, "attach", plan, c, tmp_path) if r[1] in RESOLVER_CALLS]
    assert {"clone", "wait4"} <= {r[1] for r in rows}
    for process, name, n in rows:
        world.net.ok("detach", plan, c)
        world.net.ok("sweep", world.net.plan())
        assert world.is_clean() and not resolvers(world.net.state) and not os.listdir(world.net.state), (process, name, n)
        injector = (str(BUILD / "tests/tools/fault_at"), process, name, n, "kill", str(tmp_path / "hit"))
        world.net.finish(*world.net.start("attach", plan, c, before=injector)).close()
    world.net.ok("detach", plan, c)
    world.net.ok("sweep", world.net.plan())
    assert world.is_clean() and not resolvers(world.net.state)


def test_whoever_ends_before_the_answer_has_nothing(world):
    process, ours = world.net.start("attach", world.net.plan(endpoint(network(1), 2), ports=[tcp(80, 8080)]), world.space("c"))
    ours.close()
    assert process.wait(30) == 1
    assert until(world.is_clean)
