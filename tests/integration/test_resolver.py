"""A resolver of a container's own, by berth-net itself: who is asked, who is turned to it, and what is left of it. N..: rows of
docs/THREATS.md."""

import os
import signal
import socket
import struct
from pathlib import Path

from net_host import endpoint, network, until
from net_world import PEER, named, query, resolvers, world  # noqa: F401  world is a fixture
from test_net_program import RESOLVER_CALLS, calls, leaves_nothing_killed_at

A, B = "10.200.1.1", "10.200.2.1"  # gateways


def with_resolver(world, *endpoints, name="a" * 64, wanted=True, **more):
    """What a plan has of a resolver of these endpoints' own."""
    return {"id": name, "resolver": {"isWanted": wanted, "endpoints": [e for e in endpoints if e["network"]["driver"] == "bridge"], **more}}


def own(world, name="a" * 64):
    return resolvers(world.net.state, f"c-{name}")


def own_port(world, name="a" * 64):
    return int(Path(world.net.state, f"c-{name}", "port").read_text())


def two(world, **more):
    """A container on two networks that know names, and one on each: (container, its endpoints)."""
    world.attach(endpoint(named(1), 9, names=["left"]))
    world.attach(endpoint(named(2), 9, names=["right"]))
    ends = endpoint(named(1), 2, names=["both"]), {**endpoint(named(2), 2, "eth1", names=["both"]), "gateway4": None, "gateway6": None}
    c, _ = world.attach(*ends, **with_resolver(world, *ends, **more))
    return c, ends


def asks(c, server, name, tcp=False):
    """Whom a question comes to: the number of answers, by UDP or TCP."""
    words = b"".join(bytes([len(w)]) + w.encode() for w in name.split(".")) + b"\0"
    message = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + words + struct.pack("!HH", 1, 1)
    with c.open(kind=socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect(server)
        s.send(struct.pack("!H", len(message)) + message if tcp else message)
        got = s.recv(1000)[2 if tcp else 0:]
    return struct.unpack("!H", got[6:8])[0]


def test_names_of_all_its_networks_are_known_at_each_gateway(world):
    c, _ = two(world)
    for gateway in (A, B, "fd00:1::1"):
        assert until(lambda: query(c, gateway, "left") == (0, ["10.200.1.9"])), gateway
        assert until(lambda: query(c, gateway, "right") == (0, ["10.200.2.9"])), gateway
    assert query(c, "fd00:2::1", "right", 28) == (0, ["fd00:2::9"])
    assert asks(c, (A, 53), "right", tcp=True) == 1
    pids = own(world)
    assert len(pids) == 1 and os.stat(f"/proc/{pids[0]}").st_uid != 0
    late, _ = world.attach(endpoint(named(2), 10, names=["late"]))
    assert until(lambda: query(c, A, "late") == (0, ["10.200.2.10"]))
    assert query(late, B, "left")[0] == 3, "others know what they knew"
    world.detach(late)
    assert until(lambda: query(c, A, "late")[0] == 3)
    world.detach(c)
    assert not own(world) and not Path(world.net.state, "c-" + "a" * 64).exists() and "resolve" in world.host.ruleset()
    assert "10.200.1.2" not in world.host.ruleset()


def test_N20_nobody_else_comes_to_it(world):
    c, _ = two(world)
    stranger, _ = world.attach(endpoint(named(1), 5, names=["stranger"]))
    port = own_port(world)
    assert until(lambda: query(stranger, A, "left") == (0, ["10.200.1.9"])), "its network's knows it"
    assert query(stranger, A, "right")[0] == 3
    assert not stranger.reaches(A, port) and not world.lan.reaches(A, port) and not c.reaches(A, port)
    assert c.reaches(A, 53)


def test_others_are_asked_of_its_own_upstreams(world):
    e = endpoint(named(1, upstreams=["192.0.2.1"]), 2, names=["x"])
    c, _ = world.attach(e, **with_resolver(world, e, upstreams=[PEER]))
    with world.lan.listen(PEER, 53, socket.SOCK_DGRAM) as upstream, c.open(kind=socket.SOCK_DGRAM) as s:
        s.sendto(struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + b"\7example\3org\0" + struct.pack("!HH", 1, 1), (A, 53))
        asked, _ = upstream.recvfrom(1000)
        assert b"example" in asked
    assert until(lambda: query(c, A, "x") == (0, ["10.200.1.2"]))


def test_it_follows_networks_that_come_and_go(world):
    world.attach(endpoint(named(1), 9, names=["left"]))
    world.attach(endpoint(named(2), 9, names=["right"]))
    e = endpoint(named(1), 2, names=["c"])
    more = {**endpoint(named(2), 2, "eth1", names=["c"]), "gateway4": None, "gateway6": None}
    c, _ = world.attach(e)
    assert query(c, A, "right")[0] == 3 and not own(world)
    world.net.ok("attach", world.net.plan(more, **with_resolver(world, e, more)), c)
    assert until(lambda: query(c, A, "right") == (0, ["10.200.2.9"])) and query(c, B, "left") == (0, ["10.200.1.9"])
    third = {**endpoint(named(3), 2, "eth2", names=["c"]), "gateway4": None, "gateway6": None}
    before = own_port(world)
    world.net.ok("attach", world.net.plan(third, **with_resolver(world, e, more, third)), c)
    assert own_port(world) == before and until(lambda: query(c, "10.200.3.1", "left") == (0, ["10.200.1.9"]))
    world.net.ok("detach", world.net.plan(third, **with_resolver(world, e, more)), c)
    assert query(c, A, "right") == (0, ["10.200.2.9"]) and len(own(world)) == 1
    world.net.ok("detach", world.net.plan(more, **with_resolver(world, e, wanted=False)), c)
    assert until(lambda: query(c, A, "left") == (0, ["10.200.1.9"])) and query(c, A, "right")[0] == 3
    assert not own(world)


def test_an_internal_networks_container_asks_nobody(world):
    e = endpoint(named(1, isInternal=True), 2, names=["x"])
    c, _ = world.attach(e, **with_resolver(world, e, upstreams=[PEER]))
    assert query(c, A, "example.org")[0] == 5


def test_without_it_the_container_does_not_start(world):
    e = endpoint(named(1), 2, names=["x"])
    Path(world.net.state).mkdir()
    Path(world.net.state, "c-" + "a" * 64).write_text("in the way")
    a = world.net("attach", world.net.plan(e, **with_resolver(world, e)), world.space("c"))
    assert a.error and "c-aaaa" in a.message, a.json
    Path(world.net.state, "c-" + "a" * 64).unlink()
    assert until(world.is_clean) and not resolvers(world.net.state)


def test_a_dead_ones_goes_with_the_next_sweep(world):
    e = endpoint(named(1), 2, names=["x"])
    c = world.space("c")
    world.net.ok("attach", world.net.plan(e, **with_resolver(world, e)), c)
    c.close()
    until(lambda: e["device"] not in world.host.devices())
    world.net.ok("sweep", world.net.plan())
    assert world.is_clean() and not resolvers(world.net.state) and not os.listdir(world.net.state)


def test_killed_on_the_way_it_leaves_nothing(world, tmp_path):
    e = endpoint(named(1), 2, names=["x"])
    plan = world.net.plan(e, **with_resolver(world, e))
    c = world.space("c")
    rows = [r for r in calls(world, "attach", plan, c, tmp_path) if r[1] in RESOLVER_CALLS]
    assert sum(r[1] == "clone" for r in rows) >= 2
    leaves_nothing_killed_at(world, plan, c, tmp_path, rows)


def test_one_that_was_killed_fails_and_comes_with_the_next_change(world):
    c, ends = two(world)
    os.kill(own(world)[0], signal.SIGKILL)
    assert until(lambda: not own(world))
    assert not c.reaches(A, 53), "nobody else answers in its place"
    more = {**endpoint(network(3), 2, "eth2"), "gateway4": None}
    world.net.ok("attach", world.net.plan(more, **with_resolver(world, *ends, more)), c)
    assert query(c, A, "right") == (0, ["10.200.2.9"])
    world.net.ok("detach", world.net.plan(more, **with_resolver(world, *ends)), c)
