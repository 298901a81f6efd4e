"""Networks whose interfaces the site's CNI plugins make: the distribution's, and small ones of our own that fail. The host is a network
namespace of each test's."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from harness import Berth, Box, until
from net_host import Namespace, Net, endpoint, wire

PLUGINS = Path("/usr/lib/cni")
BUILD = Path(os.environ.get("BERTH_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
SERVE = "while :; do echo {word} | nc -l -p {port} >/dev/null; done"
pytestmark = pytest.mark.skipif(not (PLUGINS / "bridge").exists(), reason="containernetworking-plugins is not installed")

VERSION = '{"cniVersion":"1.0.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0"]}'
# Says what it was asked, then does what its test wants of it. It gives an address that no interface has.
FAKE = """#!/bin/sh
exec 3<&0
config=$(cat)
echo "$CNI_COMMAND $CNI_IFNAME ${CNI_NETNS:+netns} $(echo "$config" | grep -c prevResult)" >> {log}
echo "$config" > {log}.$CNI_COMMAND
[ $CNI_COMMAND != VERSION ] || { echo '%s'; exit 0; }
[ ! -e {log}.$CNI_COMMAND.do ] || . {log}.$CNI_COMMAND.do
[ $CNI_COMMAND != ADD ] || echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.8.7/24"}]}'
""" % VERSION


class World:
    """A host of our own, berth on it, and the plugins' files in a folder of the test's."""

    def __init__(self, berth, image, tmp):
        self.tmp, self.host, self.lan = tmp, Namespace("host"), Namespace("lan")
        wire(self.host, "lan0", "192.0.2.1/24", self.lan, "eth0", "192.0.2.2/24")
        outer = self

        class HostBerth(Berth):
            def popen(self, *args, **kw):
                return super().popen(*args, preexec_fn=outer.host.enter, **kw)

        self.berth = HostBerth(berth.build, berth.root, berth.run_dir)
        self.box = Box(self.berth, "container", image)
        self.networks = []
        self.log = tmp / "log"
        self.bin = tmp / "bin"
        self.bin.mkdir()
        self.devices = set(self.host.devices())

    def ipam(self, **more):
        return {"type": "host-local", "dataDir": str(self.tmp / "leases"), "ranges": [[{"subnet": "10.230.0.0/24"}]],
                "routes": [{"dst": "0.0.0.0/0"}], **more}

    def conf(self, *plugins, **top):
        path = self.tmp / f"{os.urandom(4).hex()}.conflist"
        path.write_text(json.dumps({"cniVersion": "1.0.0", "name": "lan", "plugins": list(plugins), **top}))
        path.chmod(0o644)
        return path

    def plugin(self, name, text=None):
        path = self.bin / name
        path.write_text((text or FAKE).replace("{log}", str(self.log)))
        path.chmod(0o755)
        return {"type": name}

    def does(self, command, script):
        (self.tmp / f"log.{command}.do").write_text(script)

    def calls(self):
        words = [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [w for w in words if w[0] != "VERSION"]

    def network(self, conf, *options):
        name = f"n-{os.urandom(4).hex()}"
        self.berth.ok("network", "create", "-d", "cni", "--opt", f"conf={conf}", *options, name, env={"CNI_PATH": f"{self.bin}:{PLUGINS}"})
        self.networks.append(name)
        return name

    def bridge(self, *more, **changes):
        return self.conf({"type": "bridge", "bridge": "cni-of-tests", "isGateway": True, "ipMasq": True, "ipam": self.ipam(), **changes}, *more)

    def start(self, *opts, script="sleep 100000"):
        return self.box.start("sh", "-c", script, opts=opts)

    def shown(self, name, network):
        return self.berth.inspect(name)["NetworkSettings"]["Networks"][network]

    def leases(self):
        found = (self.tmp / "leases").rglob("10.*")
        return sorted(p.name for p in found)

    def folders(self):
        return list((self.berth.run_dir / "networks" / "cni").glob("*"))

    def is_clean(self):
        """No address, rule or interface of a container's is left; bridges and empty chains are the plugins' to keep."""
        rules = self.host.run("iptables-save").stdout
        return not self.leases() and not self.folders() and "10.230." not in rules and "--to-destination" not in rules and not [
            d for d in self.host.devices() if d.startswith("veth")]

    def close(self):
        self.box.clean()
        for n in self.networks:
            self.berth("network", "rm", n)
        until(self.is_clean, f"nothing is left: {self.leases()} {self.folders()} {self.host.devices().keys()} {self.host.run('iptables-save').stdout}", 30)

    def end(self):
        self.lan.close()
        self.host.close()


@pytest.fixture
def world(berth, image, tmp_path):
    w = World(berth, image, tmp_path)
    try:
        yield w
        w.close()
    finally:
        w.end()


# ---- the distribution's plugins ----


def test_a_bridge_with_ports_and_addresses_is_shown_and_gone_afterwards(world):
    n = world.network(world.bridge({"type": "portmap", "capabilities": {"portMappings": True}}))
    web = world.start("--network", n, "-p", "8080:80", "-p", "192.0.2.1:8081:80", "-p", "80", script=SERVE.format(word="here", port=80))
    there = world.shown(web, n)
    assert (there["IPAddress"], there["IPPrefixLen"], there["Gateway"]) == ("10.230.0.2", 24, "10.230.0.1")
    mac = world.berth.ok("exec", web, "cat", "/sys/class/net/eth0/address")
    assert there["MacAddress"] == mac
    [row] = json.loads(world.berth.ok("network", "inspect", n))[0]["Containers"].values()
    assert (row["IPv4Address"], row["MacAddress"]) == ("10.230.0.2/24", mac)
    assert f"10.230.0.2\t{world.berth.inspect(web)['Config']['Hostname']}" in world.berth.ok("exec", web, "cat", "/etc/hosts")
    other = world.start("--network", n)
    assert until(lambda: world.berth("exec", other, "nc", "10.230.0.2", "80").out, "it answers its neighbour") == "here\n"

    def hears(namespace, address, port):
        s = namespace.open()
        with s:
            s.settimeout(2)
            try:
                s.connect((address, port))
                return s.recv(9)
            except OSError:
                return b""

    any_port = int(world.berth.inspect(web)["NetworkSettings"]["Ports"]["80/tcp"][2]["HostPort"])
    assert until(lambda: hears(world.lan, "192.0.2.1", 8081), "the LAN is answered") == b"here\n"
    assert until(lambda: hears(world.host, "127.0.0.1", 8080), "the host is answered") == b"here\n"
    assert until(lambda: hears(world.host, "127.0.0.1", any_port), "at a free port too") == b"here\n"
    world.berth.fails("run", "--rm", "--network", n, "-p", "8080:80", world.box.image, "true", says="address already in use")
    world.berth.ok("restart", "-t", "0", web)
    assert world.shown(web, n)["IPAddress"].startswith("10.230.0.") and len(world.leases()) == 2
    world.berth.ok("stop", "-t", "0", web)
    assert world.shown(web, n)["IPAddress"] == "" and len(world.leases()) == 1
    assert {c["IPv4Address"] for c in json.loads(world.berth.ok("network", "inspect", n))[0]["Containers"].values()} == {"", "10.230.0.3/24"}
    world.berth.ok("rm", "-f", other)
    until(world.is_clean, "nothing is left of either", 30)


def test_ptp_with_a_loopback_and_a_requested_address(world):
    ipam = world.ipam(dataDir=str(world.tmp / "leases"))
    n = world.network(world.conf({"type": "ptp", "ipMasq": True, "capabilities": {"ips": True}, "ipam": ipam,
                                  "dns": {"nameservers": ["192.0.2.53"], "search": ["of.tests"], "options": ["ndots:3"]}}, {"type": "loopback"}))
    name = world.start("--network", n, "--ip", "10.230.0.77", "--cap-add", "NET_RAW")
    assert world.shown(name, n)["IPAddress"] == "10.230.0.77"
    world.berth.ok("network", "reload", name)  # nothing to do
    assert world.berth.ok("exec", name, "cat", "/etc/resolv.conf").splitlines() == ["nameserver 192.0.2.53", "search of.tests", "options ndots:3"]
    world.berth.ok("exec", name, "ping", "-c", "1", "192.0.2.1")
    assert "10.230.0.77" in world.host.run("iptables-save").stdout
    own = world.start("--network", n, "--dns", "192.0.2.54")
    assert "nameserver 192.0.2.54" in world.berth.ok("exec", own, "cat", "/etc/resolv.conf")


def test_one_plugin_without_a_list_and_the_older_version(world):
    path = world.tmp / "one.conf"
    path.write_text(json.dumps({"cniVersion": "0.4.0", "name": "one", "type": "ptp", "ipam": world.ipam()}))
    path.chmod(0o644)
    n = world.network(path)
    path.unlink()  # what was read is the network's
    assert "10.230.0.2/24" in world.berth.ok("run", "--rm", "--network", n, world.box.image, "ip", "addr", "show", "eth0")


def test_beside_a_bridge_of_ours(world):
    n = world.network(world.conf({"type": "ptp", "ipam": world.ipam()}))
    name = world.start("--network", "bridge", "--network", n)
    out = world.berth.ok("exec", name, "ip", "addr")
    assert "eth0" in out and "10.230.0.2/24" in out[out.index("eth1"):]
    world.berth.ok("network", "reload", name)  # of ours
    routes = world.berth.ok("exec", name, "ip", "route")
    assert routes.count("default") == 1 and "dev eth0" in routes[routes.index("default"):].splitlines()[0]


def test_a_running_container_comes_and_goes(world):
    n = world.network(world.conf({"type": "ptp", "ipam": world.ipam(routes=[])}))
    name = world.start("--network", "none")
    world.berth.fails("network", "connect", n, name, says="private (none) mode")
    name = world.start("--network", "bridge")
    world.berth.ok("network", "connect", n, name)
    assert world.shown(name, n)["IPAddress"] == "10.230.0.2" and "10.230.0.2/24" in world.berth.ok("exec", name, "ip", "addr")
    world.berth.ok("network", "disconnect", n, name)
    assert "10.230." not in world.berth.ok("exec", name, "ip", "addr") and not world.leases() and not world.folders()


# ---- refused ----


def test_what_is_wrong_is_said_when_the_network_is_made(world):
    good = world.conf({"type": "ptp", "ipam": world.ipam()})
    loose = world.conf({"type": "ptp"})
    loose.chmod(0o664)
    world.plugin("old", '#!/bin/sh\necho \'{"supportedVersions":["0.2.0"]}\'\n')
    world.plugin("loose")
    (world.bin / "loose").chmod(0o775)
    (world.tmp / "open").mkdir()
    (world.tmp / "open").chmod(0o777)
    (world.tmp / "open" / "mine").write_text("#!/bin/sh\n")
    (world.tmp / "open" / "mine").chmod(0o755)
    world.plugin("silent", "#!/bin/sh\nexec sleep 1000\n")

    def fails(says, *opts):
        world.berth.fails("network", "create", "-d", "cni", *opts, "x", says=says, env={"CNI_PATH": f"{world.bin}:{world.tmp / 'open'}:{PLUGINS}"})

    def conf(*plugins, **top):
        return "-o", f"conf={world.conf(*plugins, **top)}"

    fails("--opt conf=FILE")
    fails("/nowhere.conf: No such file", "-o", "conf=/nowhere.conf")
    fails(("there is no CNI plugin none in", str(world.bin), "containernetworking-plugins"), *conf({"type": "none"}))
    fails("there is no CNI plugin no-ipam in", *conf({"type": "ptp", "ipam": {"type": "no-ipam"}}))
    fails(".cniVersion is 0.1.0", *conf({"type": "ptp"}, cniVersion="0.1.0"))
    fails("is unknown to the driver cni", "-o", f"conf={good}", "-o", "parent=eth0")
    fails("--subnet is not for the driver cni", "-o", f"conf={good}", "--subnet", "10.1.0.0/24")
    fails("--internal is not for the driver cni", "-o", f"conf={good}", "--internal")
    fails("timeout=0: a number of seconds", "-o", f"conf={good}", "-o", "timeout=0")
    fails(("others than root can change", "chmod go-w"), "-o", f"conf={loose}")
    fails(("others than root can change", "bin/loose"), *conf({"type": "loose"}))
    fails((f"others than root can change {world.tmp / 'open'},", "chmod go-w"), *conf({"type": "mine"}))
    fails("CNI plugin old does not know version 1.0.0", *conf({"type": "old"}))
    fails("VERSION took longer than 1 s", *conf({"type": "silent"}), "-o", "timeout=1")
    world.berth.fails("network", "create", "-d", "cni", "-o", f"conf={good}", "x", says="is no absolute directory", env={"CNI_PATH": "bin"})
    assert world.berth.ok("network", "ls", "-q", "-f", "driver=cni") == ""


def test_what_its_plugins_can_not_do_is_refused(world):
    n = world.network(world.conf({"type": "ptp", "ipam": world.ipam()}))
    for opts, says in [(("--ip", "10.230.0.9"), "capability ips"), (("--mac-address", "02:42:00:00:00:01"), "capability mac"),
                       (("--network-alias", "db"), "capability aliases"), (("-p", "80"), "capability portMappings"),
                       (("--egress", "none"), "driver cni")]:
        world.berth.fails("run", "--rm", "--network", n, *opts, world.box.image, "true", says=says)
    world.berth.fails("create", "--isolation", "vm", "--network", n, world.box.image, says=("driver cni", "containers only"))
    world.berth.fails("pod", "create", "--network", n, "x", says=("driver cni", "pods"))
    assert world.berth.ok("ps", "-aq") == ""


# ---- plugins that fail ----


def fake(world, *more, **of_plugin):
    return world.network(world.conf({**world.plugin("fake"), **of_plugin}, *more))


def run(world, n, **expected):
    return world.berth.fails("run", "--rm", "--network", n, world.box.image, "true", **expected)


def test_what_a_plugin_is_given(world):
    n = fake(world, capabilities={"portMappings": True, "mac": True, "aliases": True, "dns": True, "ips": True, "bandwidth": True})
    name = world.start("--network", n, "-p", "127.0.0.1:8080:80", "--mac-address", "02:42:00:00:00:01", "--network-alias", "db", "--dns", "192.0.2.9",
                       "--ip", "10.9.8.7")
    asked = json.loads((world.tmp / "log.ADD").read_text())
    ident = world.berth.inspect(name)["Id"]
    assert asked == {"type": "fake", "name": "lan", "cniVersion": "1.0.0", "capabilities": asked["capabilities"], "runtimeConfig": {
        "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"}], "mac": "02:42:00:00:00:01",
        "aliases": [name, "db", ident[:12]], "ips": ["10.9.8.7"], "dns": {"servers": ["192.0.2.9"], "searches": [], "options": []}}}
    world.berth.ok("rm", "-f", name)
    assert world.calls() == [["ADD", "eth0", "netns", "0"], ["DEL", "eth0", "netns", "1"]]
    told = json.loads((world.tmp / "log.DEL").read_text())
    assert told.pop("prevResult")["ips"] == [{"address": "10.9.8.7/24"}] and told == asked


def test_what_a_plugin_says_of_its_failure_is_the_error(world):
    n = fake(world)
    world.does("ADD", "printf '%s' '{\"code\":11,\"msg\":\"the pool is empty\",\"details\":\"try later\"}'; exit 1")
    run(world, n, says=("CNI plugin fake: ADD: the pool is empty; try later", f"network {n}"))
    assert [c[0] for c in world.calls()] == ["ADD", "DEL", "ADD", "DEL"]  # the first may be in the way of an earlier life's rest
    world.does("ADD", "echo it is broken >&2; kill -SEGV $$")
    run(world, n, says="CNI plugin fake: ADD: it is broken")
    world.does("ADD", "echo no json; exit 0")
    run(world, n, says="CNI plugin fake: ADD")
    world.does("ADD", "exit 0")
    run(world, n, says="it has given no result")
    world.does("ADD", "echo '{\"ips\":[{\"address\":\"10.9.8.7\"}]}'; exit 0")
    run(world, n, says="address \"10.9.8.7\"")
    world.does("ADD", "echo '{\"dns\":{\"search\":[\"a b\"]}}'; exit 0")
    run(world, n, says="search domain \"a b\"")
    world.does("ADD", "head -c 5000000 /dev/zero | tr '\\0' x; exit 0")
    run(world, n, says="CNI plugin fake: ADD: it prints more than 1024 KiB")
    assert not world.folders()


def test_what_an_earlier_life_of_the_host_has_left_is_called_off(world):
    n = fake(world)
    world.does("ADD", "[ -e {0} ] || {{ echo '{{\"msg\":\"duplicate allocation\"}}'; exit 1; }}".format(world.tmp / "cleared"))
    world.does("DEL", f"touch {world.tmp / 'cleared'}")
    name = world.start("--network", n)
    assert [c[0] for c in world.calls()] == ["ADD", "DEL", "ADD"] and world.shown(name, n)["IPAddress"] == "10.9.8.7"


def test_a_plugin_that_hangs_is_ended(world):
    n = world.network(world.conf(world.plugin("fake")), "-o", "timeout=1")
    world.does("ADD", f"sleep 100000 & echo $! > {world.tmp / 'child'}; wait")
    run(world, n, says=("CNI plugin fake: ADD took longer than 1 s", "timeout"))
    child = int((world.tmp / "child").read_text())
    until(lambda: not Path(f"/proc/{child}").exists(), "its children are gone with it")
    assert [c[0] for c in world.calls()] == ["ADD", "DEL"] and not world.folders()


def test_the_first_of_a_chain_is_called_off_where_the_second_fails(world):
    n = world.network(world.conf({"type": "ptp", "ipMasq": True, "ipam": world.ipam()}, world.plugin("fake")))
    world.does("ADD", "echo '{\"msg\":\"not today\"}'; exit 1")
    run(world, n, says="CNI plugin fake: ADD: not today")
    assert world.is_clean()


def test_a_plugin_that_does_not_let_go_is_asked_again(world):
    n = fake(world)
    world.does("DEL", "echo '{\"msg\":\"stuck\"}'; exit 1")
    name = world.start("--network", n)
    world.berth.ok("stop", "-t", "0", name)
    world.berth.rests(name)
    assert len(world.folders()) == 1
    world.berth.fails("rm", name, says=("CNI plugin fake: DEL: stuck", "rm -f"))
    world.berth.ok("rm", "-f", name)
    assert len(world.folders()) == 1
    world.does("DEL", "")
    world.berth.ok("network", "rm", n)
    world.networks.remove(n)
    assert not world.folders()


def test_with_berth_net_killed_beside_the_second_plugin_the_first_lets_go(world):
    n = world.network(world.conf({"type": "ptp", "ipMasq": True, "ipam": world.ipam()}, world.plugin("fake")))
    world.does("ADD", "kill -KILL $PPID; exec sleep 100000")
    run(world, n, says="berth-net")
    assert [c[0] for c in world.calls()] == ["ADD", "DEL"] and world.is_clean()


def test_with_berth_net_killed_beside_a_plugin_that_lets_go_it_is_asked_again(world):
    n = fake(world)
    world.does("DEL", f"[ -e {world.tmp / 'once'} ] || {{ touch {world.tmp / 'once'}; kill -KILL $PPID; exec sleep 100000; }}")
    name = world.start("--network", n)
    world.berth.ok("stop", "-t", "0", name)
    world.berth.rests(name)
    assert len(world.folders()) == 1
    world.berth.ok("rm", name)
    assert [c[0] for c in world.calls()] == ["ADD", "DEL", "DEL"] and not world.folders()


def test_a_plugin_that_does_not_let_go_behind_a_killed_monitor_keeps_nobody_from_the_container(world):
    n = fake(world)
    world.does("DEL", "echo '{\"msg\":\"stuck\"}'; exit 1")
    name = world.start("--network", n)
    os.kill(world.berth.monitor_pid(world.berth.inspect(name)["Id"]), signal.SIGKILL)
    done = until(lambda: (r := world.berth("inspect", name, "--format", "{{.State.Status}}")).out == "exited\n" and r, "it is seen")
    assert done.code == 0 and "CNI plugin fake: DEL: stuck" in done.err and "`berth rm` asks again" in done.err
    done = world.berth("rm", name)
    assert done.code == 125 and "CNI plugin fake: DEL: stuck (rm -f removes it all the same)" in done.err
    world.does("DEL", "")
    world.berth.ok("rm", name)
    assert not world.folders()


def test_a_plugin_that_hangs_at_the_end_is_ended_and_asked_again(world):
    n = world.network(world.conf(world.plugin("fake")), "-o", "timeout=1")
    world.does("DEL", "sleep 100000")
    name = world.start("--network", n)
    world.berth.ok("stop", "-t", "0", name)
    world.berth.rests(name)
    world.berth.fails("rm", name, says=("CNI plugin fake: DEL took longer than 1 s", "rm -f"))
    world.does("DEL", "")
    world.berth.ok("rm", name)
    assert not world.folders()


def test_a_connection_that_can_not_be_undone_stays_and_says_so(world):
    n, name = fake(world), world.start("--network", "bridge")
    for command in ("ADD", "DEL"):
        world.does(command, f"echo '{{\"msg\":\"no {command}\"}}'; exit 1")
    world.berth.fails("network", "connect", n, name, says=("no ADD", "no DEL", f"still on network {n}", f"`berth network disconnect {n} {name}`"))
    assert len(world.folders()) == 1 and n in world.berth.inspect(name)["NetworkSettings"]["Networks"]
    world.does("DEL", "")
    world.berth.ok("network", "disconnect", n, name)
    assert not world.folders()


def test_killed_at_any_moment_nothing_is_left(world):
    n = world.network(world.bridge({"type": "portmap", "capabilities": {"portMappings": True}}))
    for i in range(8):
        name = f"killed-{os.urandom(3).hex()}"
        world.box.names.append(name)
        p = world.berth.popen("run", "-d", "--name", name, "--network", n, "-p", "80", world.box.image, "sleep", "1000")
        time.sleep(0.04 * i)
        ours = str(world.berth.run_dir)
        for proc in Path("/proc").glob("[0-9]*"):
            try:
                line = (proc / "cmdline").read_bytes().decode(errors="replace")
                state = (proc / "environ").read_bytes().decode(errors="replace")
                is_on_host = os.path.samestat((proc / "ns/net").stat(), os.fstat(world.host.fd))
            except OSError:
                continue
            if ("berth-monitor" in line and ours in line) or ("CNI_COMMAND=" in state and str(world.bin) in state) or ("berth-net" in line and is_on_host):
                try:
                    os.kill(int(proc.name), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        p.communicate()
        done = world.berth("rm", "-f", name)
        assert done.code == 0 or "no such container" in done.err, done
    until(lambda: world.berth("network", "rm", n).code == 0, "nobody is on it")
    world.networks.remove(n)
    until(world.is_clean, "all is gone", 30)


# ---- berth-net by itself ----


def test_killed_beside_its_plugin_the_sweep_finds_it(world):
    world.plugin("fake")
    world.does("ADD", "exec sleep 100000")
    net = Net(BUILD / "src/main/berth-net", world.host, world.tmp / "state")
    conf = {"cniVersion": "1.0.0", "name": "lan", "plugins": [{"type": "fake"}]}
    e = {**endpoint({"id": "a" * 9, "name": "lan", "driver": "cni", "cni": json.dumps(conf), "cniPath": str(world.bin), "subnets": []}, 2)}
    e.pop("addresses")
    plan, c = net.plan(e, id="c1"), Namespace("c")
    process, ours = net.start("attach", plan, c)
    until(lambda: world.calls(), "the plugin is called")
    process.kill()
    net.finish(process, ours)
    c.close()
    folder = world.tmp / "state" / "cni" / e["device"]
    assert folder.exists()
    net.ok("sweep", {**net.plan(), "lost": [e["device"]]})
    assert world.calls() == [["ADD", "eth0", "netns", "0"], ["DEL", "eth0", "netns", "0"]]
    assert not (world.tmp / "state" / "cni").exists() and str(folder) not in Path("/proc/self/mountinfo").read_text()
    net.ok("detach", plan)  # again: nothing to do
    assert len(world.calls()) == 2
