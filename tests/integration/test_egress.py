"""What a container may open, where that is listed (--egress), by berth-net itself: a second host on the LAN serves and answers for names.
N..: rows of docs/THREATS.md."""

import errno
import os
import signal
import socket
import subprocess

import pytest

from net_host import endpoint, network, tcp, until
from net_world import HOST, PEER, World, named, query, udp_frame, mac_of, send_frames
from test_net_program import RESOLVER_CALLS, calls, leaves_nothing_killed_at
from test_resolver import A, asks, own, own_port

OUT, OTHER, OUT6 = "203.0.113.2", "203.0.113.3", "2001:db8:7::2"  # the second host's public addresses
HOST_OUT = "203.0.113.1"
ZONE = {"example.org": [OUT, OUT6], "www.example.org": [OTHER], "a.wild.org": [OUT], "wild.org": [OTHER], "real.net": [OTHER],
        "to-lan.org": [PEER], "to-host.org": [HOST_OUT], "to-gateway.org": [A], "to-meta.org": ["169.254.169.254"], "to-self.org": ["127.0.0.1"]}
ID = "e" * 64


@pytest.fixture
def lab(tmp_path):
    """The world of net_world, with public addresses and names on its LAN."""
    w = World(tmp_path / "networks")
    server = None
    try:
        for space, host in ((w.host, 1), (w.lan, 2)):
            device = "lan0" if space is w.host else "eth0"
            space.ip("addr", "add", f"203.0.113.{host}/24", "dev", device)
            space.ip("addr", "add", f"2001:db8:7::{host}/64", "dev", device, "nodad")
        w.lan.ip("addr", "add", OTHER + "/24", "dev", "eth0")
        w.lan.ip("addr", "add", "169.254.169.254/32", "dev", "eth0")
        w.host.ip("route", "add", "169.254.169.254/32", "dev", "lan0")
        records = [f"--host-record={name},{','.join(where)}" for name, where in ZONE.items()]
        server = subprocess.Popen(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--user=root", f"--listen-address={PEER}",
                                   "--bind-interfaces", "--address=/#/203.0.113.66", "--cname=alias.org,real.net", "--pid-file=", *records],
                                  preexec_fn=w.lan.enter, stderr=subprocess.DEVNULL)
        until(lambda: w.lan.reaches(PEER, 53))
        w.before = w.state()
        yield w
        w.close()
        assert until(w.is_clean), f"left behind: {w.state()}, and at first: {w.before}"
        assert not os.path.exists(w.net.state) or not os.listdir(w.net.state)
    finally:
        if server:
            server.kill()
            server.wait()
        for s in w.spaces:
            s.close()


def listed(*items, ends, name=ID):
    return {"id": name, "resolver": {"isWanted": True, "endpoints": list(ends), "upstreams": [PEER], "egress": list(items) or ["none"]}}


def start(lab, *items, net=None, host=2, name=ID, **more):
    """A container that may open these items."""
    e = endpoint(net or named(1), host, names=["c"], **more)
    c, _ = lab.attach(e, **listed(*items, ends=[e], name=name))
    return c


def opens(c, address, port):
    """True, or the error of a connection: the refusal has to come at once."""
    with c.open(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
        s.settimeout(8)
        try:
            s.connect((address, port))
            return True
        except TimeoutError:
            return "silence"
        except OSError as error:
            return errno.errorcode[error.errno]


REFUSED = "ECONNREFUSED"


def pings(space, address):
    """Whether an ICMP echo is answered as such."""
    with space.open(kind=socket.SOCK_RAW, protocol=socket.IPPROTO_ICMP) as s:
        s.settimeout(2)
        s.sendto(b"\x08\x00\xf7\xfd\x00\x01\x00\x01", (address, 0))
        try:
            return s.recv(200)[20] == 0
        except OSError:
            return False


def serve(space, *where):
    return [space.listen(address, port) for address, port in where]


def test_N21_nothing_is_opened_that_is_not_listed(lab):
    c = start(lab)
    outside = serve(lab.lan, ("0.0.0.0", 80), ("::", 81)) + serve(lab.host, ("0.0.0.0", 8080))
    for address, port in ((OUT, 80), (PEER, 80), (OUT6, 81), (HOST, 8080), (HOST_OUT, 8080), (A, 8080), ("fd00:1::1", 8080)):
        assert opens(c, address, port) == REFUSED, (address, port)
    with c.open(kind=socket.SOCK_DGRAM) as s:
        s.settimeout(8)
        s.connect((OUT, 53))
        s.send(b"x")
        with pytest.raises(OSError):
            s.recv(10)
    assert lab.lan.reaches(OUT, 80) and not c.reaches("2001:db8:7::1", 22)
    assert not pings(c, OUT) and not pings(c, A)
    assert query(c, A, "example.org")[0] == 5, "no name but containers'"
    assert until(lambda: query(c, A, "c")[0] == 0)
    for s in outside:
        s.close()


def test_ranges_are_open_at_their_ports(lab):
    c = start(lab, f"{OUT}:80", "203.0.113.3/32", "[2001:db8:7::/64]:81")
    outside = serve(lab.lan, (OUT, 80), (OUT, 82), (OTHER, 82), ("::", 81), ("::", 83))
    assert opens(c, OUT, 80) is True and opens(c, OTHER, 82) is True and opens(c, OUT6, 81) is True
    assert opens(c, OUT, 82) == REFUSED and opens(c, OUT6, 83) == REFUSED and opens(c, PEER, 81) == REFUSED
    assert pings(c, OTHER) and not pings(c, OUT), "a port is of TCP and UDP"
    for s in outside:
        s.close()


def test_N22_a_name_opens_its_addresses_once_it_was_asked_for(lab):
    c = start(lab, "example.org:80", "alias.org", "*.wild.org:82")
    outside = serve(lab.lan, (OUT, 80), (OUT, 82), (OUT6, 80), (OTHER, 82), (OTHER, 83))
    assert opens(c, OUT, 80) == REFUSED, "nobody has asked yet"
    assert query(c, A, "example.org") == (0, [OUT])
    assert opens(c, OUT, 80) is True and opens(c, OUT, 82) == REFUSED and opens(c, OUT6, 80) == REFUSED
    assert query(c, A, "example.org", 28) == (0, [OUT6])
    assert opens(c, OUT6, 80) is True
    for name in ("www.example.org", "wild.org", "other.org", "real.net", "org", "xexample.org", "nobody"):
        assert query(c, A, name)[0] in (3, 5), name
        assert opens(c, OTHER, 83) == REFUSED
    assert query(c, A, "a.wild.org") == (0, [OUT]) and opens(c, OUT, 82) is True
    assert asks(c, (A, 53), "alias.org", tcp=True) == 2, "the alias and the address"
    assert opens(c, OTHER, 83) is True, "at the end of the chain"
    for s in outside:
        s.close()


def test_N23_names_do_not_lead_to_the_host_or_to_private_addresses(lab):
    names = [n for n in ZONE if n.startswith("to-")]
    c = start(lab, *names)
    other, _ = lab.attach(endpoint(named(2), 9, names=["o"]), ports=[tcp(80, 8081, "0.0.0.0")])
    outside = serve(lab.lan, ("0.0.0.0", 80)) + serve(lab.host, ("0.0.0.0", 8080)) + serve(other, ("0.0.0.0", 80))
    for name in names:
        assert query(c, A, name)[1] == ZONE[name]
    assert lab.lan.reaches(HOST_OUT, 8081) and not c.reaches(HOST_OUT, 8081), "a port that another publishes"
    for address, port in ((PEER, 80), (HOST_OUT, 8080), (A, 8080), ("169.254.169.254", 80), (HOST, 8080)):
        assert opens(c, address, port) == REFUSED, (address, port)
    explicit = start(lab, "to-lan.org", PEER, f"{HOST_OUT}:8080", host=5, name="f" * 64)
    assert opens(explicit, PEER, 80) is True and opens(explicit, HOST_OUT, 8080) is True and not explicit.reaches(HOST_OUT, 8081)
    for s in outside:
        s.close()


def test_N24_no_other_resolver_is_asked(lab):
    c = start(lab, "example.org")
    lab.attach(endpoint(named(2), 9, names=["o"]))
    for server in (PEER, OUT, "10.200.2.1", HOST):
        assert opens(c, server, 53) == REFUSED, server
    assert opens(c, A, 53) is True and not c.reaches(A, own_port(lab, ID))


def test_who_comes_to_it_is_answered(lab):
    peer, _ = lab.attach(endpoint(named(1), 9, names=["peer"]))
    e = endpoint(named(1), 2, names=["c"])
    c, _ = lab.attach(e, ports=[tcp(80, 8080, "0.0.0.0")], **listed(ends=[e]))
    inside = c.listen("0.0.0.0", 80)
    assert opens(peer, "10.200.1.2", 80) is True and opens(lab.lan, HOST, 8080) is True and opens(lab.host, "10.200.1.2", 80) is True
    assert pings(peer, "10.200.1.2") and pings(lab.host, "10.200.1.2")
    assert until(lambda: query(c, A, "peer") == (0, ["10.200.1.9"])), "names of its networks are known all the same"
    inside.close()


def says(space, to, port, word, family=socket.AF_INET):
    with space.open(family, socket.SOCK_DGRAM) as s:
        s.sendto(word, (to, port))


def hears(s):
    try:
        return s.recv(100)
    except TimeoutError:
        return None


@pytest.mark.parametrize("bridged", ["0", "1"])
def test_N25_its_peers_are_closed_but_for_listed_ones(lab, bridged):
    for family in ("ip", "ip6"):
        if lab.host.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-{family}tables={bridged}", check=False).returncode and bridged == "1":
            pytest.skip("br_netfilter is not there")
    net = named(1)
    peer, _ = lab.attach(endpoint(net, 9))
    c = start(lab, "10.200.3.0/24", net=net)
    d = start(lab, "10.200.1.9:80", "[fd00:1::/64]:81", net=net, host=5, name="f" * 64)
    there = serve(peer, ("0.0.0.0", 80), ("::", 81), ("0.0.0.0", 82))
    assert opens(d, "10.200.1.9", 80) is True and opens(d, "fd00:1::9", 81) is True
    for who, address, port in ((d, "10.200.1.9", 82), (d, "fd00:1::9", 80), (c, "10.200.1.9", 80), (c, "fd00:1::9", 81)):
        assert not who.reaches(address, port), (who, address, port)
    assert not pings(c, "10.200.1.9") and not pings(d, "10.200.1.9")
    with peer.listen("10.200.1.9", 80, socket.SOCK_DGRAM) as s, peer.listen("fd00:1::9", 7, socket.SOCK_DGRAM) as six:
        s.settimeout(1)
        six.settimeout(1)
        says(c, "10.200.1.9", 80, b"closed")
        says(c, "fd00:1::9", 7, b"closed", socket.AF_INET6)
        gateway = lab.host.devices()["berth-000000001"]["address"]
        send_frames(c, [udp_frame(mac_of(c), gateway, "10.200.1.2", "10.200.1.9", 5, 80, b"by the host")] * 3)
        says(d, "10.200.1.9", 80, b"open")
        assert hears(s) == b"open" and hears(s) is None and hears(six) is None
    for s in there:
        s.close()


def test_N26_what_the_addresses_last_owner_had_open_is_over(lab):
    first, _ = lab.attach(endpoint(named(1), 2))
    with lab.lan.listen(OUT, 7, socket.SOCK_DGRAM) as s:
        with first.open(kind=socket.SOCK_DGRAM) as before:
            before.bind(("10.200.1.2", 5000))
            before.sendto(b"one", (OUT, 7))
            _, back = s.recvfrom(10)
        lab.detach(first)
        c = start(lab)
        s.settimeout(1)
        with c.open(kind=socket.SOCK_DGRAM) as after:
            after.bind(("10.200.1.2", 5000))
            after.settimeout(1)
            s.sendto(b"late", back)
            assert hears(after) is None
            after.sendto(b"two", (OUT, 7))
        assert hears(s) is None


def connections(lab):
    return lab.host.run("cat", "/proc/net/nf_conntrack").stdout


def test_N26_what_it_had_open_goes_with_it(lab):
    c = start(lab, f"{OUT}:80")
    with lab.lan.listen(OUT, 80):
        assert opens(c, OUT, 80) is True and " src=10.200.1.2 " in connections(lab)
        lab.detach(c)
        assert " src=10.200.1.2 " not in connections(lab)


def test_a_dead_resolver_opens_nothing(lab):
    c = start(lab, "example.org:80")
    outside = serve(lab.lan, (OUT, 80), (OUT, 82))
    assert query(c, A, "example.org") == (0, [OUT]) and opens(c, OUT, 80) is True
    os.kill(own(lab, ID)[0], signal.SIGKILL)
    assert until(lambda: not own(lab, ID) and opens(c, A, 53) == REFUSED)
    assert opens(c, OUT, 82) == REFUSED
    assert opens(c, OUT, 80) is True, "what was answered stays"
    for s in outside:
        s.close()


def test_N27_tables_made_anew_close_it(lab):
    c = start(lab, f"{OUT}:80")
    outside = serve(lab.lan, ("0.0.0.0", 80))
    assert opens(c, OUT, 80) is True
    lab.host.run("nft", "delete", "table", "inet", "berth")
    lab.attach(endpoint(network(2), 2))
    assert not c.reaches(OUT, 80) and not c.reaches(PEER, 80)
    with lab.lan.listen(OUT, 9, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        says(c, OUT, 9, b"with no answer")
        assert hears(s) is None
    plan = lab.attached[0][0]
    lab.net.ok("reload", plan)
    assert opens(c, OUT, 80) is True and opens(c, PEER, 80) == REFUSED
    for s in outside:
        s.close()


def test_who_was_closed_with_tables_of_another_version_is_led_to_his_list_again(lab):
    c = start(lab, f"{OUT}:80")
    outside = serve(lab.lan, (OUT, 80))
    plan = lab.attached[0][0]
    bridge, device, own6 = "berth-000000001", plan["endpoints"][0]["device"], "fe80::42:aff:fec8:2"
    keys = [("bridge", "egress", device), *(("inet", f"egress{6 if ':' in a else 4}", f"{bridge} . {a}") for a in ("10.200.1.2", "fd00:1::2", own6))]
    for family, where, key in keys:
        lab.host.run("nft", f"delete element {family} berth {where} {{ {key} }}; add element {family} berth {where} {{ {key} : jump refuse }}")
    assert opens(c, OUT, 80) == REFUSED
    lab.net.ok("reload", plan)
    assert opens(c, OUT, 80) is True and "jump refuse" not in lab.host.ruleset()
    for s in outside:
        s.close()


def test_networks_that_come_and_go_are_closed_alike(lab):
    e = endpoint(named(1), 2, names=["c"])
    more = {**endpoint(named(2), 2, "eth1", names=["c"]), "gateway4": None, "gateway6": None}
    c, _ = lab.attach(e, **listed("example.org:80", ends=[e]))
    outside = serve(lab.lan, ("0.0.0.0", 80))
    assert query(c, A, "example.org") == (0, [OUT]) and opens(c, OUT, 80) is True
    lab.net.ok("attach", lab.net.plan(more, **listed("example.org:80", ends=[e, more])), c)
    assert opens(c, OUT, 80) is True, "what was answered stays"
    c.ip("route", "add", PEER, "via", "10.200.2.1")
    assert opens(c, PEER, 80) == REFUSED and opens(c, "10.200.2.1", 22) == REFUSED
    lab.net.ok("detach", lab.net.plan(more, **listed("example.org:80", ends=[e])), c)
    assert opens(c, OUT, 80) is True and opens(c, PEER, 80) == REFUSED
    for s in outside:
        s.close()


def test_a_wrong_list_is_told_and_nothing_is_made(lab):
    for items, says in ((["a.org#53"], "a.org#53"), (["10.0.0.0/8", "localhost"], "localhost")):
        e = endpoint(named(1), 2)
        a = lab.net("attach", lab.net.plan(e, **listed(*items, ends=[e])), lab.space("c"))
        assert a.error and says in a.message, a.json
    e = endpoint(named(1, maySpoof=True), 2)
    a = lab.net("attach", lab.net.plan(e, **listed(ends=[e])), lab.space("c"))
    assert a.error and "spoof-check" in a.message, a.json
    assert lab.is_clean()


def test_the_dead_leave_nothing(lab):
    e = endpoint(named(1), 2, names=["x"])
    lab.attach(endpoint(named(1), 9))
    c = lab.space("c")
    lab.net.ok("attach", lab.net.plan(e, **listed("example.org:80", ends=[e])), c)
    assert "egress-eeee" in lab.host.ruleset()
    c.close()
    until(lambda: e["device"] not in lab.host.devices())
    lab.net.ok("sweep", lab.net.plan())
    assert "egress-eeee" not in lab.host.ruleset() and not own(lab, ID)


def test_killed_on_the_way_it_leaves_nothing(lab, tmp_path):
    e = endpoint(named(1), 2, names=["x"])
    plan = lab.net.plan(e, **listed("example.org:80", "10.0.0.0/8", ends=[e]))
    c = lab.space("c")
    rows = [r for r in calls(lab, "attach", plan, c, tmp_path) if r[1] in (*RESOLVER_CALLS, "sendto", "sendmsg")]
    assert len(rows) > 20
    leaves_nothing_killed_at(lab, plan, c, tmp_path, rows[::3])
