"""A host of a test's own with a LAN beside it, on which this build's networks live beside others' rules."""

import re
from pathlib import Path
from threading import Thread

from host import Host, until
from net_host import Namespace, family_of, wire

from engines import Berth

DOCS = Path(__file__).resolve().parents[2] / "docs/NETWORK.md"
HOST, PEER, OTHER_PEER = "192.0.2.1", "192.0.2.2", "192.0.2.3"
HOST6, PEER6 = "2001:db8::1", "2001:db8::2"
SERVE = "while :; do echo {} | nc -l -p 80 >/dev/null; done"  # says a word to whoever connects


def documented(heading, n=0, **words) -> list:
    """The commands of the n-th block of them below a heading of docs/NETWORK.md, a line each, with words of them replaced."""
    section = re.search(rf"^### {re.escape(heading)}\n(.*?)(?=^##)", DOCS.read_text(), re.M | re.S)[1]
    block = re.findall(r"^```\n(.*?)^```$", section, re.M | re.S)[n]
    for name, value in words.items():
        assert re.search(rf"\b{name}\b", block), f"{heading}: no command has {name}"
        block = re.sub(rf"\b{name}\b", str(value), block)
    return block.splitlines()


class Beside:
    def __init__(self, host: Host, build: Path, archive: Path):
        self.host, self.net, self.lan = host, Namespace.of("host", host.pid), Namespace("lan")
        wire(self.net, "lan0", HOST + "/24", self.lan, "eth0", PEER + "/24")
        self.lan.ip("addr", "add", OTHER_PEER + "/24", "dev", "eth0")
        self.net.ip("addr", "add", HOST6 + "/64", "dev", "lan0", "nodad")
        self.lan.ip("addr", "add", PEER6 + "/64", "dev", "eth0", "nodad")
        self.berth = Berth(host, build, archive)
        self.names, self.bridges = [], []

    def network(self, name, bridge, *opts):
        self.bridges.append(bridge)
        self.berth.ok("network", "create", "-o", f"com.docker.network.bridge.name={bridge}", *opts, name)
        return name

    def start(self, word, *opts) -> str:
        """One that says the word at port 80."""
        name = f"says-{word}"
        self.names.append(name)
        self.berth.ok(*self.berth.run("-d", "--name", name, *opts, "base", "sh", "-c", SERVE.format(word)))
        return name

    def hears(self, space, address, port):
        """What is said first there, or None."""
        with space.open(family_of(address)) as s:
            s.settimeout(1)
            try:
                s.connect((address, port))
                return s.recv(64).decode().strip() or None
            except OSError:
                return None

    def told(self, address, port, word):
        until(lambda: self.hears(self.lan, address, port) == word, f"{word} from {address}:{port}", 30)

    def does(self, *documented):
        """On the host, as its user would in a shell."""
        for line in documented:
            self.host.ok("sh", "-c", line)

    def is_silent(self, address, port):
        """What is there has had time to answer: others on this host do."""
        return self.hears(self.lan, address, port) is None

    def knows(self, name, other) -> bool:
        """Does its resolver tell the container of the other one?"""
        return self.berth("exec", name, "timeout", "3", "nslookup", other).code == 0

    def goes_out(self, execute, host=HOST, peer=PEER) -> bool:
        """execute: runs argv in a container. Whether it comes to the LAN, as the host."""
        seen = []

        def serve(s):
            try:
                connection, address = s.accept()
                seen.append(address[0])
                connection.close()
            except TimeoutError:
                pass
        with self.lan.listen(peer, 7000) as s:
            s.settimeout(5)
            server = Thread(target=serve, args=(s,))
            server.start()
            execute("timeout", "4", "nc", peer, "7000")
            server.join()
        return seen == [host]

    def berth_goes_out(self, name, *ends) -> bool:
        return self.goes_out(lambda *argv: self.berth("exec", name, *argv), *ends)

    def clean(self):
        """Until nothing of ours is left on the host."""
        while self.names:
            self.berth.ok("rm", "-f", self.names.pop())
        self.berth.ok("network", "prune", "-f")
        until(lambda: not [d for d in self.net.devices() if d in self.bridges or d.startswith(("berth-", "bv"))], "our bridges to go", 60)
        until(lambda: "berth" not in self.net.ruleset(), lambda: f"our rules to go:\n{self.net.ruleset()}", 60)
        self.berth.ok("system", "prune", "-f")

    def close(self):
        while self.names:  # of a test that has failed
            self.berth("rm", "-f", self.names.pop())
        self.lan.close()
