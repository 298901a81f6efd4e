"""berth-net's reload: what others have flushed or changed of those that run comes again, and nothing else changes."""

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

from net_host import endpoint, libc, network, tcp, until
from net_world import HOST, PEER, meets, named, query, resolvers, spoofs_heard, world  # noqa: F401


def words(ruleset):
    """What the tables say, whatever the order that the kernel lists a set's elements in."""
    return sorted(re.findall(r'[^\s,]+', ruleset))


def both(number, **more):
    return network(number, [{"subnet": f"10.200.{number}.0/24", "gateway": f"10.200.{number}.1"},
                            {"subnet": f"fd00:{number}::/64", "gateway": f"fd00:{number}::1"}], **more)


def devices(world):
    return {name: (d["ifindex"], d.get("master"), d.get("group"), [a["local"] for a in d["addr_info"]]) for name, d in world.host.devices().items()}


def reload(world):
    for plan, _, _ in world.attached:
        assert not world.net.ok("reload", plan).fds


def test_after_a_flush_all_is_as_it_was(world):
    net = both(1)
    web, _ = world.attach(endpoint(net, 2), ports=[tcp(80, 8080), tcp(81), tcp(7, 7007, "127.0.0.1", "udp")])
    peer, _ = world.attach(endpoint(net, 3))
    other, _ = world.attach(endpoint(network(2), 2))
    inner, _ = world.attach(endpoint(network(3, isInternal=True), 2))
    free, _ = world.attach(endpoint(network(4, maySpoof=True), 2))
    before, there = words(world.host.ruleset()), devices(world)
    world.host.run("nft", "flush", "ruleset")
    world.host.run("sysctl", "-qw", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0", "net.ipv4.conf.berth-000000001.route_localnet=0")
    inner.ip("route", "add", "default", "via", "10.200.3.1")
    with web.listen("::", 80) as s, world.lan.listen("0.0.0.0", 80) as out:
        assert not world.lan.reaches(HOST, 8080) and not web.reaches(PEER, 80)
        reload(world)
        assert words(world.host.ruleset()) == before
        assert devices(world) == there
        for route in ("ipv4.ip_forward", "ipv6.conf.all.forwarding", "ipv4.conf.berth-000000001.route_localnet"):
            assert world.host.run("sysctl", "-n", "net." + route).stdout == "1\n", route
        assert meets(s, lambda: world.lan.reaches(HOST, 8080)) == "::ffff:" + PEER
        assert meets(s, lambda: world.host.reaches("127.0.0.1", 8080)) == "::ffff:10.200.1.1"
        assert meets(s, lambda: peer.reaches("fd00:1::2", 80)) == "fd00:1::3"
        assert meets(out, lambda: web.reaches(PEER, 80)) == HOST
        assert not other.reaches("10.200.1.2", 80) and not inner.reaches(PEER, 80)
    sent, heard = spoofs_heard(world.host, web, peer)
    assert sent and not heard
    reload(world)
    assert words(world.host.ruleset()) == before, "a second time changes nothing"


def test_half_of_the_tables_or_single_elements_come_again(world):
    world.attach(endpoint(both(1), 2), ports=[tcp(80, 8080)])
    before = words(world.host.ruleset())
    for family, *what in (("bridge", "table"), ("inet", "table"), ("bridge", "set", "addr4"), ("inet", "map", "any4"), ("inet", "set", "bridges")):
        if what == ["table"]:
            world.host.run("nft", "delete", "table", family, "berth")
        else:
            world.host.run("nft", "flush", what[0], family, "berth", what[1])
        assert words(world.host.ruleset()) != before, what
        reload(world)
        assert words(world.host.ruleset()) == before, what


def test_dockers_chain_gets_our_rules_again(world):
    table = "table ip filter { chain DOCKER-USER { counter return; }; chain FORWARD { type filter hook forward priority filter; policy drop; jump DOCKER-USER; }; }"
    c, _ = world.attach(endpoint(network(1), 2), ports=[tcp(80, 8080)])
    world.host.run("nft", "-f", "-", input=table)  # dockerd has come behind us
    with c.listen("0.0.0.0", 80) as s:
        assert not world.lan.reaches(HOST, 8080)
        reload(world)
        assert meets(s, lambda: world.lan.reaches(HOST, 8080)) == PEER
    assert world.host.ruleset().count('comment "berth berth-*"') == 4
    world.detach(c)
    assert until(lambda: "berth" not in world.host.ruleset())
    world.host.run("nft", "flush", "ruleset")


def test_a_resolver_that_died_lives_again_and_knows_all(world):
    asker, _ = world.attach(endpoint(named(1), 2, names=["asker"]))
    world.attach(endpoint(named(1), 3, names=["web"]))
    os.kill(resolvers(world.net.state)[0], signal.SIGKILL)
    assert until(lambda: not resolvers(world.net.state))
    for names in Path(world.net.state).glob("*/hosts/*"):
        names.unlink()
    reload(world)
    assert len(resolvers(world.net.state)) == 1
    assert until(lambda: query(asker, "10.200.1.1", "web") == (0, ["10.200.1.3"]))


SYS_EXIT = 60


def without_a_command_line(world, address, seconds):
    """The pid of a child that has port 53 of the address and looks in /proc as a process whose memory has gone: for so long."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        def stay():
            assert until(lambda: not Path(f"/proc/{os.getpid()}/cmdline").read_bytes())
            os.write(tell, b"1")
            time.sleep(seconds)
            os._exit(0)

        try:
            world.host.enter()
            held = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
            for s in held:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((address, 53))
            held[0].listen()
            threading.Thread(target=stay).start()
            libc.syscall(SYS_EXIT, 0)  # the first thread alone: what is said of the process is said of it
        finally:
            os._exit(1)
    os.close(tell)
    assert os.read(ready, 1) == b"1"
    os.close(ready)
    return pid


def test_a_resolver_whose_sockets_outlive_its_memory_is_waited_for(world):
    world.attach(endpoint(named(1), 2, names=["x"]))
    os.kill(resolvers(world.net.state)[0], signal.SIGKILL)
    pid_file, = Path(world.net.state).glob("*/pid")
    assert until(lambda: not Path("/proc", pid_file.read_text().strip()).exists())
    dying = without_a_command_line(world, "10.200.1.1", 0.7)
    pid_file.write_text(f"{dying}\n")
    reload(world)
    assert os.waitpid(dying, os.WNOHANG)[0] == dying and len(resolvers(world.net.state)) == 1


def test_a_vms_tap_is_let_through_again(world):
    e = endpoint(network(1), 9)
    plan = world.net.plan(e, ports=[tcp(80, 8080)], isVm=True)
    answer = world.net.ok("attach", plan)
    before = words(world.host.ruleset())
    world.host.run("nft", "flush", "ruleset")
    again = world.net.ok("reload", plan)
    assert not again.fds and words(world.host.ruleset()) == before
    world.net.ok("detach", plan)
    answer.close()


def test_a_port_that_nobody_reserves_any_more_is_not_published_again(world):
    """Its container has just ended: what the number is used for now is somebody else's."""
    c = world.space("c")
    plan = world.net.plan(endpoint(network(1), 2), ports=[tcp(80, 8080), tcp(81, 8081)])
    answer = world.net.ok("attach", plan, c)
    world.host.run("nft", "flush", "ruleset")
    os.close(answer.fds.pop(0))
    world.net.ok("reload", plan)
    ruleset = world.host.ruleset()
    assert "tcp . 8081" in ruleset and "tcp . 8080" not in ruleset
    c.close()
    answer.close()
    world.net.ok("detach", plan)


def test_what_only_a_start_makes_is_told(world):
    plan = world.net.plan(endpoint(network(1), 2))
    a = world.net("reload", plan)
    assert a.error and "restart the container" in a.message and plan["endpoints"][0]["device"] in a.message, a.json
    a = world.net("reload", world.net.plan(endpoint(network(1), 2), ports=[{"protocol": "tcp", "port": 80}]))
    assert a.error and "1 to 65535" in a.message, a.json
    world.net.ok("sweep", world.net.plan())
