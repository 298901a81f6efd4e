"""berth-net's rules: who reaches whom, and by which address; published ports. N..: rows of docs/THREATS.md."""

import socket

import pytest

from net_host import endpoint, network, tcp, wire
from net_world import HOST, PEER, mac_of, meets, send_frames, spoofs_heard, udp_frame, world  # noqa: F401

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
        else:
            assert not c.reaches(HOST, 8080), "docs/NETWORK.md: it does not reach itself so"


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


@pytest.mark.parametrize("free", [False, True])
def test_N07_frames_are_held_to_their_senders_addresses(world, free):
    net = network(1, [{"subnet": "10.200.1.0/24", "gateway": "10.200.1.1"}, {"subnet": "fd00:1::/64", "gateway": "fd00:1::1"}], maySpoof=free)
    a, _ = world.attach(endpoint(net, 2))
    b, _ = world.attach(endpoint(net, 3))
    sent, heard = spoofs_heard(world.host, a, b)
    assert sent - heard == (set() if free else sent)


def test_docker_lets_our_bridges_through_and_its_chain_is_as_before_at_the_end(world):
    for family in ("ip", "ip6"):
        world.host.run("nft", "-f", "-", input=f"""table {family} filter {{
            chain DOCKER-USER {{ counter return; }}
            chain FORWARD {{ type filter hook forward priority filter; policy drop; jump DOCKER-USER; }}
        }}""")
    theirs = world.space("theirs")
    wire(world.host, "docker0", "172.17.0.1/16", theirs, "eth0", "172.17.0.2/16")
    theirs.ip("route", "add", "default", "via", "172.17.0.1")
    world.before = world.state()
    c, _ = world.attach(endpoint(network(1), 2), ports=[tcp(80, 8080)])
    named, _ = world.attach(endpoint({**network(2), "device": "my-own"}, 2), ports=[tcp(80, 8081)])
    for space, port in ((c, 8080), (named, 8081)):
        with space.listen("0.0.0.0", 80) as s, world.lan.listen("0.0.0.0", 80) as out:
            assert meets(s, lambda: world.lan.reaches(HOST, port)) == PEER
            assert meets(out, lambda: space.reaches(PEER, 80)) == HOST
    assert world.host.ruleset().count('comment "berth berth-*"') == 8
    with theirs.listen("0.0.0.0", 80) as s:
        assert meets(s, lambda: world.host.reaches("172.17.0.2", 80)) == "172.17.0.1"
        assert not c.reaches("172.17.0.2", 80) and not named.reaches("172.17.0.2", 80), "who reaches Docker's own is for Docker to say"
    with named.listen("0.0.0.0", 80) as s:
        assert meets(s, lambda: c.reaches(HOST, 8081)) == "10.200.1.2", "what may come to one is said before what leaves another"
    world.attach(endpoint(network(1), 9))
    assert world.host.ruleset().count('comment "berth berth-*"') == 8
