"""berth-net by itself: plans in, answers and descriptors out, on a host made of namespaces (net_host.py): what it makes,
takes away and refuses, and what is left of one that is killed."""

import os
import signal
import socket
import struct
import subprocess

import pytest

from net_host import endpoint, network, tcp, until
from net_world import BUILD, HOST, PEER, lingering, mac_of, meets, named, query, resolvers, udp_frame, world  # noqa: F401

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
    subnets = [{"subnet": "192.168.7.0/24", "gateway": PEER}]
    if mode == "l3s":  # a subnet of its own, since nobody answers ARP for it: the LAN has a route
        subnets = network(1)["subnets"]
        world.lan.ip("route", "add", "10.200.1.0/24", "via", HOST)
    net = {**network(1, subnets, driver=driver, **({"mode": mode} if mode else {})), "device": "lan0"}
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
        assert meets(s, lambda: c.reaches(PEER, 80)) == e["addresses"][0].split("/")[0]
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


# ---- names ----


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
    (("network", "driver"), "cni", "its configuration, and where its plugins are"),
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


def test_a_bridge_is_one_networks_alone(world):
    """Two stores of this host have given theirs the same name."""
    first, second = {**network(1), "device": "br-shop"}, {**network(2), "device": "br-shop"}
    c, _ = world.attach(endpoint(first, 2))
    before = world.state()
    for taken in (second, {**second, "subnets": first["subnets"]}):
        a = world.net("attach", world.net.plan(endpoint(taken, 3)), world.space("b"))
        assert a.error == 98 and "br-shop, which is that of another network on this host (000000001" in a.message, a.json
        assert world.state() == before
    world.attach(endpoint(first, 3))
    for mine in [row[1] for row in world.attached]:
        world.detach(mine)
    world.attach(endpoint(second, 2))  # the first one's is there for two seconds yet
    assert world.host.devices()["br-shop"]["addr_info"][0]["local"] == "10.200.2.1"


# ---- what is killed, lost or flushed ----


def test_one_process_waits_for_a_bridge_however_many_leave_it(world):
    rows = [world.attach(endpoint(network(1), 2 + i)) for i in range(5)]
    other, _ = world.attach(endpoint(network(2), 2))
    for c, _ in rows[:4]:
        world.detach(c)
    world.detach(other)
    assert "@" not in world.host.run("cat", "/proc/net/unix").stdout, "E02: nothing that a container with the host's network could take"
    assert until(lambda: len(lingering(world)) <= 2, 1)  # they wait for two seconds; who has just answered may still be leaving
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
    seen = []
    for _ in range(2):  # one may have had to wait, and to ask again and again meanwhile
        seen.append([r for r in calls(world, "attach", plan, c, tmp_path) if r[0] == "0" and r[1] in INTERESTING])
        world.net.ok("detach", plan, c)
        world.net.ok("sweep", world.net.plan())
        assert world.is_clean()
    rows, struck = min(seen, key=len), 0
    assert len(rows) > 40
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


def leaves_nothing_killed_at(world, plan, ns, where, rows):
    """An attach is killed at each of these calls: what tidies up, as the engine does, leaves nothing."""
    def tidy(*which):
        world.net.ok("detach", plan, ns)
        world.net.ok("sweep", world.net.plan())
        assert world.is_clean() and not resolvers(world.net.state), which

    for process, name, n in rows:
        tidy(process, name, n)
        assert not os.listdir(world.net.state), (process, name, n)
        injector = (str(BUILD / "tests/tools/fault_at"), process, name, n, "kill", str(where / "hit"))
        world.net.finish(*world.net.start("attach", plan, ns, before=injector)).close()
    tidy("the last")


def test_killed_beside_its_resolver_it_leaves_none(world, tmp_path):
    plan = world.net.plan(endpoint(named(1), 2, names=["x"]))
    c = world.space("c")
    rows = [r for r in calls(world, "attach", plan, c, tmp_path) if r[1] in RESOLVER_CALLS]
    assert {"clone", "wait4"} <= {r[1] for r in rows}
    leaves_nothing_killed_at(world, plan, c, tmp_path, rows)


def test_whoever_ends_before_the_answer_has_nothing(world):
    process, ours = world.net.start("attach", world.net.plan(endpoint(network(1), 2), ports=[tcp(80, 8080)]), world.space("c"))
    ours.close()
    assert process.wait(30) == 1
    assert until(world.is_clean)
