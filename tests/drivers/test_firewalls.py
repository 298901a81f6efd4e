"""Our networks beside the distribution's firewalls, each on a host of its own. What its user is to do is done as docs/NETWORK.md has it."""

import os

import pytest

from beside import HOST, HOST6, OTHER_PEER, PEER, PEER6, Beside, documented
from firewalls import Firewalld, Ufw
from host import until


@pytest.fixture
def b(make_host, runtime, archive):
    host = make_host(f"firewall{os.urandom(3).hex()}")
    made = Beside(host, runtime.parents[2], archive)
    yield made
    made.close()


@pytest.fixture
def firewalld(b):
    f = Firewalld(b.host)
    f.start()
    yield f
    f.end()
    b.host.check_clean()
    b.host.end()


@pytest.fixture
def ufw(b):
    f = Ufw(b.host)
    f.start()
    yield f
    f.end()
    b.host.check_clean()
    b.host.end()


@pytest.fixture(params=[Firewalld, Ufw], ids=["firewalld", "ufw"])
def firewall(b, request):
    """Either, told to let the bridge br-own alone."""
    f = request.param(b.host)
    f.start()
    b.does(*documented(request.node.callspec.id, BRIDGE="br-own"))
    f.before = f.rules()
    yield f
    f.end()
    b.host.check_clean()
    b.host.end()


@pytest.fixture
def own(b):
    """On a network with the bridge br-own; what it says is published at 8081."""
    yield b.start("own", "--network", b.network("own", "br-own", "--ipv6"), "-p", "0.0.0.0:8081:80", "-p", "[::]:8081:80")
    b.clean()


@pytest.fixture
def other(b, own):
    return b.start("other", "--network", b.network("other", "br-other"), "-p", "0.0.0.0:8082:80")


def all_works(b, name="says-own", port=8081):
    for address in (HOST, HOST6):
        b.told(address, port, name.removeprefix("says-"))
    assert b.berth_goes_out(name) and b.berth_goes_out(name, HOST6, PEER6) and b.knows(name, name)


def rules(b):
    """Ours, with what is in their sets."""
    text = "".join(b.host.ok("nft", "-s", "list", "table", family, "berth") for family in ("inet", "bridge"))
    return sorted(text.replace(",", " ").split())


def comes_and_goes(b, name, bridge):
    """Its bridge too."""
    b.berth.ok("stop", "-t", "0", name)
    until(lambda: bridge not in b.net.devices(), f"{bridge} to go", 60)
    b.berth.ok("start", name)
    assert bridge in b.net.devices()


def test_firewalld_lets_a_bridge_of_the_zone_trusted_alone(b, firewalld, own, other):
    for name, port in ((own, 8081), (other, 8082)):
        b.told(HOST, port, name.removeprefix("says-"))
        assert not b.berth_goes_out(name) and not b.knows(name, name)
    b.does(*documented("firewalld", BRIDGE="br-own"))
    all_works(b)
    assert not b.berth_goes_out(other) and not b.knows(other, other)
    comes_and_goes(b, own, "br-own")
    all_works(b)
    b.host.ok("firewall-cmd", "--zone=drop", "--change-interface=lan0")
    b.told(HOST, 8081, "own")


def test_ufw_lets_a_bridge_alone_that_it_is_told_to(b, ufw, own, other):
    def nothing_works(name, port):
        return b.is_silent(HOST, port) and not b.berth_goes_out(name) and not b.knows(name, name)
    assert nothing_works(own, 8081) and nothing_works(other, 8082)
    b.does(*documented("ufw", BRIDGE="br-own"))
    all_works(b)
    assert nothing_works(other, 8082)
    comes_and_goes(b, own, "br-own")
    all_works(b)
    b.berth.ok("network", "connect", "other", own)  # on two it has a resolver of its own
    assert not b.knows(own, own)
    b.does("ufw allow in on br-own")
    assert b.knows(own, own) and b.knows(own, other)


def test_ufw_may_forward_for_all(b, ufw, own, other):
    b.does(*documented("ufw", 1))
    b.told(HOST, 8081, "own")
    b.told(HOST, 8082, "other")
    assert b.berth_goes_out(own) and b.berth_goes_out(other)


def test_ufw_closes_a_published_port_by_the_containers(b, ufw, own):
    b.does(*documented("ufw", BRIDGE="br-own"), "ufw deny 8081")
    b.told(HOST, 8081, "own")
    b.does(*documented("ufw", 2, PORT=80))
    assert b.is_silent(HOST, 8081)
    assert b.hears(b.net, HOST, 8081) == "own", "of the host's own nothing is forwarded"
    assert b.berth_goes_out(own)


def test_nobody_takes_anothers_rules_away(b, firewall, own):
    assert firewall.rules() == firewall.before
    ours = rules(b)
    all_works(b)
    for act in (firewall.reload, firewall.stop, firewall.start):
        act()
        assert rules(b) == ours
        all_works(b)
    b.does("nft flush ruleset")
    assert not b.berth_goes_out(own) and b.is_silent(HOST, 8081)
    b.does(*documented("nft flush ruleset", berth=b.berth.command()))
    assert rules(b) == ours
    all_works(b)
    firewall.come_again()
    assert rules(b) == ours
    all_works(b)
    theirs = firewall.rules()
    comes_and_goes(b, own, "br-own")
    b.clean()
    assert firewall.rules() == theirs


def test_a_table_of_the_users_closes_a_published_port_to_a_peer(b, firewall, own):
    b.told(HOST, 8081, "own")
    b.does(*documented("To close a published port to some", PEER=PEER, PORT=8081))
    assert b.is_silent(HOST, 8081)
    with b.lan.open() as s:
        s.bind((OTHER_PEER, 0))
        s.settimeout(10)
        s.connect((HOST, 8081))
        assert s.recv(64) == b"own\n"
    assert b.berth_goes_out(own)
