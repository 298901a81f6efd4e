"""Commands of networks under faults: what a network or a container says of itself afterwards is all or nothing."""

import json

import oci
import sandbox

from engine_life import RunDetached


def network(o):
    done = o.run("network", "inspect", o.network)
    return json.loads(done.out)[0] if done.code == 0 else None


class NetworkCreate(RunDetached):
    name = "network-create"

    def argv(self, o):
        return o.argv("network", "create", "--subnet", "10.211.0.0/24", "--label", "a=b", o.network)

    def check(self, o, done):
        there = network(o)
        as_asked = there and there["Labels"] == {"a": "b"} and there["IPAM"]["Config"] == [{"Subnet": "10.211.0.0/24", "Gateway": "10.211.0.1"}]
        return [] if as_asked and done.out.strip() == there["Id"] else [f"exit 0, but it is {there}"]


class NetworkCreateChosen(RunDetached):
    """With subnets that are chosen."""

    name = "network-create-chosen"

    def argv(self, o):
        return o.argv("network", "create", "--ipv6", o.network)

    def check(self, o, done):
        there = network(o)
        return [] if there and len(there["IPAM"]["Config"]) == 2 else [f"exit 0, but it is {there}"]


class NetworkRemove(RunDetached):
    name = "network-rm"

    def before(self, o):
        o.ok("network", "create", o.network)

    def argv(self, o):
        return o.argv("network", "rm", o.network)

    def check(self, o, done):
        return [f"exit 0, but it is there: {there}"] if (there := network(o)) else []


class NetworkPrune(NetworkRemove):
    name = "network-prune"

    def argv(self, o):
        return o.argv("network", "prune", "-f")


class NetworkConnect(RunDetached):
    name = "network-connect"

    def before(self, o):
        o.ok("network", "create", o.network)
        o.ok("create", "--name", o.id, "--network", "bridge", o.image, "true")

    def argv(self, o):
        return o.argv("network", "connect", "--alias", "also", o.network, o.id)

    def check(self, o, done):
        there = network(o)["Containers"]
        return [] if [c["Name"] for c in there.values()] == [o.id] else [f"exit 0, but it is on it: {there}"]


class NetworkDisconnect(NetworkConnect):
    name = "network-disconnect"

    def before(self, o):
        super().before(o)
        o.ok("network", "connect", o.network, o.id)

    def argv(self, o):
        return o.argv("network", "disconnect", o.network, o.id)

    def check(self, o, done):
        there = network(o)["Containers"]
        return [f"exit 0, but it is on it: {there}"] if there else []


class RunOnNetwork(RunDetached):
    """On a network, with a published port: berth-net is one of the processes that faults come to."""

    name, looks = "run-network", "on a network"

    def argv(self, o):
        return o.argv("run", "-d", "--network", "bridge", "-p", "18080:80", "--name", o.id, o.image, "sleep", "1000")

    def check(self, o, done):
        found = super().check(o, done)
        if found or o.inspect()["State"]["Status"] != "running":
            return found
        ports = o.run("port", o.id)
        inside = o.run("exec", o.id, "cat", "/proc/net/dev")
        if ports.out != "80/tcp -> 127.0.0.1:18080\n" or (inside.code == 0 and "eth0:" not in inside.out):
            return [f"exit 0, but its ports are {ports}, its interfaces {inside}"]
        return []


class RemoveFromNetwork(RunOnNetwork):
    name = "rm-network"

    def before(self, o):
        o.ok("run", "-d", "--network", "bridge", "-p", "18080:80", "--name", o.id, o.image, "sleep", "1000")

    def argv(self, o):
        return o.argv("rm", "-f", o.id)

    def check(self, o, done):
        left = o.left_for_now()
        return [f"exit 0, but there is left: {left}"] if left else []


class NetworkConnectRunning(NetworkConnect):
    """One that runs: its interface is there, or the record is not."""

    name = "network-connect-running"

    def before(self, o):
        o.ok("network", "create", o.network)
        o.ok("run", "-d", "--name", o.id, "--network", "bridge", o.image, "sleep", "1000")

    def interfaces(self, o):
        return sorted(p for p in o.ok("exec", o.id, "cat", "/proc/net/dev").split() if p.startswith("eth"))

    def check(self, o, done):
        found = self.interfaces(o)
        return super().check(o, done) + ([] if found == ["eth0:", "eth1:"] else [f"exit 0, but it has {found}"])

    def after(self, o):
        there = network(o)
        if there and not there["Containers"] and len(self.interfaces(o)) != 1:
            raise oci.Unready("it is on no network of that name, and has an interface there")


class NetworkDisconnectRunning(NetworkConnectRunning):
    name = "network-disconnect-running"

    def before(self, o):
        super().before(o)
        o.ok("network", "connect", o.network, o.id)

    def argv(self, o):
        return o.argv("network", "disconnect", o.network, o.id)

    def check(self, o, done):
        there, found = network(o)["Containers"], self.interfaces(o)
        return [] if not there and found == ["eth0:"] else [f"exit 0, but it is on it: {there}, {found}"]


class NetworkReload(RunOnNetwork):
    """After the tables were flushed: said to be done, it is as it was."""

    name = "network-reload"

    def before(self, o):
        o.ok("run", "-d", "--network", "bridge", "-p", "18080:80", "--name", o.id, o.image, "sleep", "1000")
        self.was = self.ruleset()
        sandbox.run(["/usr/sbin/nft", "flush", "ruleset"])

    @staticmethod
    def ruleset():
        return sorted(sandbox.run(["/usr/sbin/nft", "list", "ruleset"]).out.replace(",", " ").split())

    def argv(self, o):
        return o.argv("network", "reload", o.id)

    def check(self, o, done):
        now = self.ruleset()
        return [] if now == self.was else [f"exit 0, but the tables are {now}, and were {self.was}"]


class RunWithEgress(RunDetached):
    """With a list of what it may open: as long as it runs, it is held to that."""

    name, looks = "run-egress", "on a network with a list"

    def argv(self, o):
        return o.argv("run", "-d", "--network", "bridge", "--egress", "allow=example.org:443,10.99.0.0/16", "--name", o.id, o.image, "sleep", "1000")

    def after(self, o):
        c = o.inspect()
        if c["State"]["Status"] != "running":
            return
        rules, chain = NetworkReload.ruleset(), f"egress-{c['Id'][:12]}"
        # In both tables a chain; one element of IPv4, one of the device.
        if rules.count(chain) < 4:
            raise oci.Unready(f"it runs, and {chain} is not all there: {rules}")


class RemoveWithEgress(RemoveFromNetwork):
    name = "rm-egress"

    def before(self, o):
        done = sandbox.run(RunWithEgress().argv(o))
        if done.code != 0:
            raise oci.Unready(str(done))


class ReloadWithEgress(NetworkReload):
    name = "network-reload-egress"

    def before(self, o):
        RemoveWithEgress().before(o)
        self.was = self.ruleset()
        sandbox.run(["/usr/sbin/nft", "flush", "ruleset"])


COMMANDS = [RunOnNetwork(), RemoveFromNetwork(), NetworkCreate(), NetworkCreateChosen(), NetworkRemove(), NetworkPrune(), NetworkConnect(), NetworkDisconnect(), NetworkConnectRunning(),
            NetworkDisconnectRunning(), NetworkReload(), RunWithEgress(), RemoveWithEgress(), ReloadWithEgress()]
