"""Networks by their verbs, as docker's and podman's users know them: what is recorded, listed, refused; no traffic."""

import ipaddress
import json
import random
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import PATIENCE, until

ID = re.compile(r"[0-9a-f]{64}")
PREDEFINED = ["bridge", "host", "none"]


@pytest.fixture
def networks(berth):
    """No test leaves a network of its own."""
    yield lambda *a: berth.ok("network", "ls", *a, "--format", "{{.Name}}").split()
    berth.ok("network", "prune", "-f")
    assert berth.ok("network", "ls", "-q", "-f", "type=custom") == ""


@pytest.fixture
def nbox(cbox, networks):  # its containers go before the networks
    yield cbox
    cbox.clean()


def shown(berth, name) -> dict:
    found = json.loads(berth.ok("network", "inspect", name))
    assert len(found) == 1
    return found[0]


def config(berth, name) -> list:
    return shown(berth, name)["IPAM"]["Config"]


def created(box, name, *opts) -> str:
    """A container that does not run, on the default network where no other is asked for. -> its id"""
    opts = opts or ("--network", "bridge")
    box.names.append(name)
    return box.berth.ok("create", "--name", name, *opts, box.image, "true")


# ---- made, listed, shown, removed ----

def test_networks_are_made_listed_shown_and_removed(berth, networks):
    ident = berth.ok("network", "create", "--label", "colour=red", "--subnet", "10.210.0.0/24", "--gateway", "10.210.0.254", "--ip-range",
                     "10.210.0.0/25", "--aux-address", "router=10.210.0.5", "--internal", "--attachable", "-o",
                     "com.docker.network.driver.mtu=1400", "shop")
    assert ID.fullmatch(ident)
    there = shown(berth, "shop")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", there.pop("Created"))
    assert there == {
        "Name": "shop", "Id": ident, "Scope": "local", "Driver": "bridge", "EnableIPv4": True, "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": {}, "Config": [{"Subnet": "10.210.0.0/24", "IPRange": "10.210.0.0/25", "Gateway": "10.210.0.254",
                                                                 "AuxiliaryAddresses": {"router": "10.210.0.5"}}]},
        "Internal": True, "Attachable": True, "Ingress": False, "ConfigFrom": {"Network": ""}, "ConfigOnly": False, "Containers": {},
        "Options": {"com.docker.network.driver.mtu": "1400"}, "Labels": {"colour": "red"}}
    assert berth.ok("network", "inspect", "--format", "{{.Id}}", ident[:12]) == ident
    assert json.loads(berth.ok("inspect", "shop"))[0]["Id"] == berth.ok("inspect", "--type", "network", "--format", "{{.Id}}", "shop") == ident
    assert berth("network", "exists", "shop").code == 0 and berth("network", "exists", "nothing").code == 1
    berth.ok("network", "create", "other")
    assert networks() == sorted([*PREDEFINED, "shop", "other"])
    assert berth.ok("network", "rm", "shop", "other").split() == ["shop", "other"]
    assert networks() == PREDEFINED
    berth.fails("network", "inspect", "shop", says="network shop not found")
    berth.fails("network", "rm", "shop", says="network shop not found")
    assert berth.ok("network", "rm", "-f", "shop") == ""


def test_lists_have_dockers_columns_and_filters(berth, networks):
    ident = berth.ok("network", "create", "--label", "colour=red", "--label", "plain", "--ipv6", "shop")
    lines = berth.ok("network", "ls").splitlines()
    assert re.split(r"  +", lines[0].strip()) == ["NETWORK ID", "NAME", "DRIVER", "SCOPE"]
    assert [line.split()[1:] for line in lines[1:]] == [["bridge", "bridge", "local"], ["host", "host", "local"], ["none", "null", "local"],
                                                        ["shop", "bridge", "local"]]
    assert lines[4].split()[0] == ident[:12] and berth.ok("network", "ls", "-q", "--no-trunc", "-f", "name=shop") == ident
    for filters, wanted in [(["driver=bridge"], ["bridge", "shop"]), (["driver=null", "driver=host"], ["host", "none"]), (["name=o"], ["host", "none", "shop"]),
                            ([f"id={ident[:8]}"], ["shop"]), (["label=plain"], ["shop"]), (["label=colour=blue"], []), (["scope=local"], networks()),
                            (["scope=swarm"], []), (["type=custom"], ["shop"]), (["type=builtin"], PREDEFINED), (["dangling=true"], ["shop"]),
                            (["dangling=false"], PREDEFINED), (["type=custom", "driver=null"], [])]:
        assert networks(*[word for f in filters for word in ("-f", f)]) == wanted, filters
    row = json.loads(berth.ok("network", "ls", "--format", "json", "-f", "name=shop"))
    assert row["ID"] == ident[:12] and row["IPv6"] == "true" and row["Internal"] == "false" and row["Labels"] == "colour=red,plain="
    assert berth.ok("network", "ls", "-f", "name=shop", "--format", 'table {{.Name}}\t{{.IPv6}}').splitlines()[0].split() == ["NAME", "IPV6"]


def test_events_of_networks(nbox, networks):
    berth, since = nbox.berth, f"{time.time():.6f}"
    ident = berth.ok("network", "create", "told")
    container = created(nbox, "told-of")
    berth.ok("network", "connect", "told", "told-of")
    berth.ok("network", "disconnect", "told", "told-of")
    berth.ok("network", "rm", "told")
    lines = berth.ok("events", "--since", since, "--until", f"{time.time():.6f}", "-f", "network=told", "--format", "json").splitlines()
    happened = [(v["Type"], v["Action"], v["Actor"]["ID"], v["Actor"]["Attributes"]) for v in map(json.loads, lines)]
    named = {"name": "told", "type": "bridge"}
    assert happened == [("network", "create", ident, named), ("network", "disconnect", ident, {"container": container, **named}),
                        ("network", "destroy", ident, named)]


def test_prunes_take_the_networks_that_nobody_is_on(nbox, networks):
    berth = nbox.berth
    for name, *opts in (("kept",), ("marked", "--label", "scratch"), ("used",)):
        berth.ok("network", "create", *opts, name)
    created(nbox, "user")
    berth.ok("network", "connect", "used", "user")
    assert berth.ok("network", "prune", "--filter", "label=scratch") == "Deleted Networks:\nmarked"
    assert berth.ok("network", "prune", "-f", "--filter", "until=1h") == ""
    assert networks("-f", "type=custom") == ["kept", "used"]
    assert berth.ok("network", "prune", "-f").splitlines() == ["Deleted Networks:", "kept"]
    assert networks() == [*PREDEFINED, "used"]
    assert "Deleted Networks:\nused" in berth.ok("system", "prune")  # its container does not run: it goes first
    assert networks() == PREDEFINED


# ---- refusals ----

@pytest.mark.parametrize("args, says", [
    (("create", "a b"), "invalid network name \"a b\""),
    (("create", "../up"), "invalid network name"),
    (("create", "n" * 129), "invalid network name"),
    (("create", "bridge"), "operation is not permitted on predefined bridge network"),
    (("create", "none"), "operation is not permitted on predefined none network"),
    (("create", "-d", "swarm", "x"), "plugin \"swarm\" not found"),
    (("create", "-d", "host", "x"), "only one instance of \"host\" network is allowed"),
    (("create", "-d", "macvlan", "x"), "-o parent=INTERFACE"),
    (("create", "-d", "macvlan", "-o", "parent=eth0", "-o", "macvlan_mode=l2", "x"), "the modes are bridge, private, vepa and passthru"),
    (("create", "-d", "macvlan", "-o", "parent=eth0", "-o", "ipvlan_mode=l2", "x"), "is unknown to the driver macvlan"),
    (("create", "-d", "ipvlan", "-o", "parent=eth0", "-o", "ipvlan_mode=l9", "x"), "the modes are l2, l3 and l3s"),
    (("create", "--subnet", "ten", "x"), "invalid subnet ten"),
    (("create", "--subnet", "10.210.0.9/24", "x"), "it should be 10.210.0.0/24"),
    (("create", "--subnet", "10.210.0.0/31", "x"), "a /30 or wider is needed"),
    (("create", "--subnet", "127.0.0.0/16", "x"), "127.0.0.0/16"),
    (("create", "--subnet", "0.0.0.0/0", "x"), "0.0.0.0/0"),
    (("create", "--subnet", "fd00:7::/64", "x"), "add --ipv6"),
    (("create", "--subnet", "10.210.0.0/24", "--subnet", "10.211.0.0/24", "x"), "bridge driver doesn't support multiple subnets"),
    (("create", "--gateway", "10.210.0.1", "x"), "must have a corresponding subnet"),
    (("create", "--subnet", "10.210.0.0/24", "--gateway", "10.211.0.1", "x"), "no matching subnet for gateway 10.211.0.1"),
    (("create", "--subnet", "10.210.0.0/24", "--gateway", "10.210.0.255", "x"), "no matching subnet for gateway"),
    (("create", "--subnet", "10.210.0.0/24", "--gateway", "router", "x"), "invalid gateway address: router"),
    (("create", "--subnet", "10.210.0.0/24", "--gateway", "10.210.0.1", "--gateway", "10.210.0.2", "x"), "cannot configure multiple gateways"),
    (("create", "--subnet", "10.210.0.0/24", "--ip-range", "10.211.0.0/25", "x"), "no matching subnet for range 10.211.0.0/25"),
    (("create", "--subnet", "10.210.0.0/24", "--ip-range", "10.210.0.0/16", "x"), "no matching subnet for range"),
    (("create", "--subnet", "10.210.0.0/24", "--aux-address", "r=10.211.0.1", "x"), "no matching subnet for aux-address 10.211.0.1"),
    (("create", "--subnet", "10.210.0.0/24", "--aux-address", "10.210.0.1", "x"), "NAME=ADDRESS is needed"),
    (("create", "--subnet", "10.210.0.0/24", "--gateway", "10.210.0.2", "--aux-address", "r=10.210.0.2", "x"), "Address already in use"),
    (("create", "-o", "colour=red", "x"), "network option colour is unknown to the driver bridge"),
    (("create", "-o", "com.docker.network.driver.mtu=9", "x"), "an MTU is a number"),
    (("create", "-o", "com.docker.network.driver.mtu=600", "--ipv6", "x"), "IPv6 needs 1280"),
    (("create", "-o", "com.docker.network.bridge.name=much-too-long-a-name", "x"), "an interface's name has"),
    (("create", "-o", "com.docker.network.bridge.name=default", "x"), "the kernel gives no interface that name"),
    (("create", "-o", "berth.spoof-check=maybe", "x"), "it is true or false"),
    (("create", "--label", "=x", "x"), "has no name"),
    (("rm", "bridge"), "bridge is a pre-defined network and cannot be removed"),
    (("rm", "host"), "host is a pre-defined network and cannot be removed"),
    (("ls", "-f", "colour=red"), "is not KEY=VALUE"),
    (("ls", "-f", "dangling=perhaps"), "true or false"),
    (("ls", "-f", "type=own"), "is none of custom, builtin"),
    (("prune", "-f", "--filter", "name=x"), "is not KEY=VALUE"),
])
def test_what_is_wrong_is_refused_with_its_name(berth, networks, args, says):
    berth.fails("network", *args, says=says)
    assert networks() == PREDEFINED


def test_names_and_addresses_are_one_networks_alone(berth, networks):
    berth.ok("network", "create", "--subnet", "10.210.0.0/24", "--ipv6", "--subnet", "fd00:7::/64", "shop")
    berth.fails("network", "create", "shop", says="network with name shop already exists")
    for subnet in ("10.210.0.128/25", "10.208.0.0/12", "10.210.0.0/24"):
        berth.fails("network", "create", "--subnet", subnet, "x", says=("Pool overlaps with other one on this address space", "shop"))
    berth.fails("network", "create", "--ipv6", "--subnet", "fd00::/16", "x", says="Pool overlaps")
    berth.ok("network", "create", "--subnet", "10.210.1.0/24", "-o", "com.docker.network.bridge.name=br-beside", "beside")
    berth.fails("network", "create", "-o", "com.docker.network.bridge.name=br-beside", "x", says="network beside has the bridge br-beside already")


# ---- subnets that are chosen ----

def test_subnets_are_chosen_beside_those_of_others(empty):
    pools = {"BERTH_ADDRESS_POOLS": "10.212.0.0/23/24,fd00:9::/63/64"}
    for i, name in enumerate(("a", "b")):
        empty.ok("network", "create", "--ipv6", name, env=pools)
        assert config(empty, name) == [{"Subnet": f"10.212.{i}.0/24", "Gateway": f"10.212.{i}.1"},
                                       {"Subnet": "fd00:9::/64" if i == 0 else "fd00:9:0:1::/64", "Gateway": "fd00:9::1" if i == 0 else "fd00:9:0:1::1"}]
    empty.fails("network", "create", "c", env=pools, says=("could not find an available, non-overlapping IPv4 address pool", "BERTH_ADDRESS_POOLS"))
    empty.ok("network", "rm", "a")
    empty.ok("network", "create", "c", env=pools)
    assert config(empty, "c")[0]["Subnet"] == "10.212.0.0/24"
    empty.fails("network", "create", "d", env={"BERTH_ADDRESS_POOLS": "10.0.0.0/8"}, says="\"10.0.0.0/8\" is no pool")
    empty.ok("network", "create", "--ipv6", "e")
    four, six = (ipaddress.ip_network(c["Subnet"]) for c in config(empty, "e"))
    assert four.prefixlen == 24 and six.prefixlen == 64 and six.subnet_of(ipaddress.ip_network("fd00::/8"))


def test_the_default_network_is_made_once_whoever_looks_first(empty):
    with ThreadPoolExecutor(8) as many:
        ids = set(many.map(lambda _: empty.ok("network", "ls", "-q", "--no-trunc", "-f", "name=bridge"), range(8)))
    assert len(ids) == 1 and ID.fullmatch(ids.pop())
    assert len(empty.ok("events", "--since", "1h", "--until", f"{time.time():.6f}", "-f", "type=network").splitlines()) == 1


def test_networks_made_at_once_have_subnets_of_their_own(empty):
    with ThreadPoolExecutor(8) as many:
        list(many.map(lambda i: empty.ok("network", "create", f"n{i}"), range(16)))
    subnets = [ipaddress.ip_network(config(empty, f"n{i}")[0]["Subnet"]) for i in range(16)]
    assert not [1 for i, a in enumerate(subnets) for b in subnets[:i] if a.overlaps(b)]


# ---- who is on them ----

def test_containers_come_to_networks_and_leave_them(nbox, networks):
    berth = nbox.berth
    berth.ok("network", "create", "--subnet", "10.210.0.0/29", "--ipv6", "--subnet", "fd00:7::/64", "shop")
    one, two = created(nbox, "one"), created(nbox, "two")
    berth.ok("network", "connect", "--ip", "10.210.0.5", "--ip6", "fd00:7::9", "--alias", "db", "--mac-address", "02:42:0A:00:00:01", "shop", "one")
    berth.ok("network", "connect", "shop", two[:12])
    there = shown(berth, "shop")["Containers"]
    assert ID.fullmatch(there[one].pop("EndpointID"))
    assert there[one] == {"Name": "one", "MacAddress": "02:42:0a:00:00:01", "IPv4Address": "10.210.0.5/29", "IPv6Address": "fd00:7::9/64"}
    assert there[two]["IPv4Address"] == "10.210.0.2/29" and re.fullmatch("02:42(:[0-9a-f]{2}){4}", there[two]["MacAddress"])
    assert networks("-f", "dangling=true") == [] and "shop" in networks("-f", "dangling=false")
    berth.fails("network", "rm", "shop", says=("error while removing network", "network shop has active endpoints", f'name:"one" id:"{one[:12]}"'))
    berth.fails("network", "connect", "shop", "one", says="endpoint with name one already exists in network shop")
    berth.ok("network", "disconnect", "shop", "one")
    berth.fails("network", "disconnect", "shop", "one", says="container one is not connected to network shop")
    berth.ok("network", "disconnect", "-f", "shop", "one")
    berth.ok("rm", "two")
    assert shown(berth, "shop")["Containers"] == {}
    assert berth.ok("network", "rm", "shop") == "shop"


def test_a_full_network_says_so_and_takes_up_what_is_free_again(nbox, networks):
    berth = nbox.berth
    berth.ok("network", "create", "--subnet", "10.210.0.0/29", "--aux-address", "printer=10.210.0.4", "small")
    names = [f"full{i}" for i in range(5)]
    for name in names:
        created(nbox, name)
    for name in names[:4]:
        berth.ok("network", "connect", "small", name)
    berth.fails("network", "connect", "small", names[4], says="no available IPv4 addresses on this network's address pools: small")
    there = {c["Name"]: c["IPv4Address"] for c in shown(berth, "small")["Containers"].values()}
    assert there == {n: f"10.210.0.{h}/29" for n, h in zip(names, (2, 3, 5, 6))}
    berth.ok("network", "disconnect", "small", names[1])
    berth.ok("network", "connect", "small", names[4])
    assert {c["Name"]: c["IPv4Address"] for c in shown(berth, "small")["Containers"].values()}[names[4]] == "10.210.0.3/29"


def test_what_a_container_may_not_ask_of_a_network_is_refused(nbox, networks):
    berth = nbox.berth
    berth.ok("network", "create", "--subnet", "10.210.0.0/24", "--ip-range", "10.210.0.128/25", "shop")
    created(nbox, "asks")
    created(nbox, "has")
    berth.ok("network", "connect", "--ip", "10.210.0.200", "shop", "has")
    created(nbox, "below")
    berth.ok("network", "connect", "--ip", "10.210.0.5", "shop", "below")  # outside of the range, as Docker allows it
    assert "10.210.0.5/24" in {c["IPv4Address"] for c in shown(berth, "shop")["Containers"].values()}
    berth.ok("network", "disconnect", "shop", "below")
    for opts, network, says in [
            (("--ip", "10.210.0.200"), "shop", "Address already in use: has has it on network shop"),
            (("--ip", "10.210.0.1"), "shop", "Address already in use: 10.210.0.1"),
            (("--ip", "10.211.0.1"), "shop", "no configured subnet contains the IP address 10.211.0.1"),
            (("--ip", "ten"), "shop", "invalid IPv4 address: ten"), (("--ip6", "fd00::1"), "shop", "no configured subnet"),
            (("--mac-address", "01:00:00:00:00:01"), "shop", "invalid MAC address"), (("--alias", "a b"), "shop", "alias \"a b\" is no name"),
            (("--ip", "10.77.0.9"), "bridge", "user specified IP address is supported on user defined networks only"),
            ((), "host", "cannot be disconnected from host network or connected to host network"), ((), "nothing", "network nothing not found")]:
        berth.fails("network", "connect", *opts, network, "asks", says=says)
    berth.fails("network", "connect", "shop", "nobody", says="no such container: nobody")
    for kind, says in (("none", "private (none) mode"), ("host", "connected to host network")):
        created(nbox, f"is-{kind}", "--network", kind)
        berth.fails("network", "connect", "shop", f"is-{kind}", says=says)
    assert len(shown(berth, "shop")["Containers"]) == 1


def test_no_address_is_given_twice_however_many_ask_and_are_killed(nbox, networks):
    berth = nbox.berth
    names = [f"many{i}" for i in range(100)]
    with ThreadPoolExecutor(8) as many:
        list(many.map(lambda n: created(nbox, n), names))
    for net, subnet in (("left", "10.210.0.0/24"), ("right", "10.211.0.0/24")):
        berth.ok("network", "create", "--subnet", subnet, net)
    chance = random.Random(1)
    work = [(net, name, chance.random() < 0.4, chance.uniform(0, 0.03)) for name in names for net in ("left", "right")]
    chance.shuffle(work)

    def connect(job):
        net, name, dies, after = job
        with berth.popen("network", "connect", net, name) as p:
            if dies:
                time.sleep(after)
                p.send_signal(signal.SIGKILL)
            _, said = p.communicate()
            return net, name, p.returncode, said

    with ThreadPoolExecutor(int(24 / PATIENCE)) as many:  # in an emulated machine so many would wait longer than one may for the records
        done = list(many.map(connect, work))
    assert {code for _, _, code, _ in done} == {0, -signal.SIGKILL}, [row for row in done if row[2] > 0]
    for net in ("left", "right"):
        there = {c["Name"]: c["IPv4Address"] for c in shown(berth, net)["Containers"].values()}
        assert len(set(there.values())) == len(there)
        assert {name for n, name, code, _ in done if n == net and code == 0} <= set(there)
        for name in set(names) - set(there):  # killed before it was recorded: it can be done again
            berth.ok("network", "connect", net, name)
        assert len({c["IPv4Address"] for c in shown(berth, net)["Containers"].values()}) == len(names)
    assert berth.ok("system", "check") == "all objects are whole"


# ---- of containers that run ----

@pytest.fixture
def without_net(berth, tmp_path):
    """The environment of a command that finds no berth-net."""
    for program in berth.program.parent.iterdir():
        if program.is_file() and program.name != "berth-net":
            (tmp_path / program.name).symlink_to(program)
    return {"BERTH_LIBEXECDIR": str(tmp_path)}


def interfaces(berth, name) -> dict:
    out = berth.ok("exec", name, "sh", "-c", "cd /sys/class/net; for i in *; do echo $i $(cat $i/address); done")
    return dict(line.split() for line in out.splitlines() if not line.startswith("lo "))


def test_a_running_container_comes_and_goes_at_once_or_not_at_all(nbox, networks, without_net):
    berth = nbox.berth
    for name, subnet in (("shop", "10.210.0.0/24"), ("other", "10.211.0.0/24")):
        berth.ok("network", "create", "--subnet", subnet, name)
    name = nbox.start("sleep", "1000", opts=("--network", "shop"))
    assert list(interfaces(berth, name)) == ["eth0"]
    berth.fails("network", "connect", "other", name, env=without_net, says="berth-net is missing from")
    assert shown(berth, "other")["Containers"] == {}
    berth.ok("network", "connect", "--mac-address", "02:42:0a:d3:00:09", "other", name)
    assert interfaces(berth, name)["eth1"] == "02:42:0a:d3:00:09"
    berth.fails("network", "disconnect", "other", name, env=without_net, says="berth-net is missing from")
    assert len(shown(berth, "other")["Containers"]) == 1 and "eth1" in interfaces(berth, name)
    berth.ok("network", "disconnect", "other", name)
    assert list(interfaces(berth, name)) == ["eth0"] and shown(berth, "other")["Containers"] == {}
    since = f"{time.time():.6f}"
    berth.ok("stop", "-t", "0", name)
    berth.rests(name)
    told = berth.ok("events", "--since", since, "--until", f"{time.time():.6f}", "-f", "type=network", "--format",
                    "{{.Action}} {{.Actor.Attributes.name}}")
    assert told == "disconnect shop"


def test_a_network_may_be_made_anew_as_soon_as_it_is_gone(nbox, networks):
    """What the one before has on the host goes by itself only a moment later."""
    for _ in range(3):
        nbox.berth.ok("network", "create", "--subnet", "10.210.0.0/24", "again")
        assert "10.210.0.2/24" in nbox.sh("ip addr", opts=("--network", "again"))
        nbox.berth.ok("network", "rm", "again")


def test_one_that_waits_to_be_started_again_is_on_what_it_was_put_on_meanwhile(nbox, networks):
    berth = nbox.berth
    for name, subnet in (("shop", "10.210.0.0/24"), ("other", "10.211.0.0/24")):
        berth.ok("network", "create", "--subnet", subnet, name)
    name = nbox.start("sh", "-c", "ip addr | grep -o '10[.]21[01][.]0[.]2/' | tr '\\n' ' '; echo; exit 1",
                      opts=("--network", "shop", "--restart", "always"))

    def waits():
        return berth.state(name)["Status"] == "restarting" and berth.inspect(name)["RestartCount"] >= 4

    until(waits, "it waits a second or more")
    berth.ok("network", "connect", "other", name)
    until(lambda: "10.210.0.2/ 10.211.0.2/" in berth.ok("logs", name), "it is on both")
    until(waits, "it waits again")
    berth.ok("network", "disconnect", "shop", name)
    until(lambda: "\n10.211.0.2/" in berth.ok("logs", name), "it is on the other alone")


@pytest.mark.parametrize("driver, mode", [("macvlan", "macvlan_mode=private"), ("ipvlan", "ipvlan_mode=l3")])
def test_a_network_of_a_host_s_interface(nbox, networks, driver, mode):
    berth = nbox.berth
    subprocess.run(["ip", "link", "add", "lan-of-tests", "type", "veth", "peer", "name", "lan-of-others"], check=True)
    try:
        berth.ok("network", "create", "-d", driver, "-o", "parent=lan-of-tests", "-o", mode, "--subnet", "10.210.0.0/24", "lan")
        assert berth.ok("network", "ls", "-f", f"driver={driver}", "--format", "{{.Name}}") == "lan"
        assert shown(berth, "lan")["Options"] == {"parent": "lan-of-tests", **dict([mode.split("=")])}
        berth.ok("network", "create", "-d", driver, "-o", "parent=lan-of-tests", "--subnet", "10.211.0.0/24", "beside")
        child = ["ip", "link", "add", "link", "lan-of-tests", "name", "lan-child", "type", driver]
        if subprocess.run(child, stderr=subprocess.DEVNULL).returncode == 0:
            subprocess.run(["ip", "link", "del", "lan-child"], check=True)
            assert "10.210.0.2/24" in nbox.sh("ip addr show eth0", opts=("--network", "lan"))
        else:
            assert f"no {driver}" in nbox("true", opts=("--network", "lan")).err
    finally:
        subprocess.run(["ip", "link", "del", "lan-of-tests"], check=True)
