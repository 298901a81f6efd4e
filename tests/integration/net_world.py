"""A host with a LAN beside it, for tests of berth-net by itself: plans in, answers and descriptors out; and frames made by hand."""

import os
import socket
import struct
import time
from pathlib import Path

import pytest

from net_host import Namespace, Net, network, until, wire

BUILD = Path(os.environ.get("BERTH_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
HOST, PEER = "192.168.7.1", "192.168.7.2"


class World:
    """A host, a LAN with one peer, and what was made: all goes at the end, and nothing of berth-net's may be left."""

    def __init__(self, state):
        self.spaces = []
        self.host, self.lan = self.space("host"), self.space("lan")
        wire(self.host, "lan0", HOST + "/24", self.lan, "eth0", PEER + "/24")
        self.net = Net(BUILD / "src/main/berth-net", self.host, state)
        self.before = self.state()
        self.attached = []

    def space(self, name):
        self.spaces.append(Namespace(name))
        return self.spaces[-1]

    def state(self):
        return self.host.ruleset(), sorted(self.host.devices())

    def attach(self, *endpoints, ports=(), name="c", **more):
        """-> (namespace, answer); a container with these."""
        c = self.space(name)
        plan = self.net.plan(*endpoints, ports=ports, **more)
        answer = self.net.ok("attach", plan, c)
        if ports:
            plan["ports"] = answer.json["ports"]
        self.attached.append((plan, c, answer))
        return c, answer

    def detach(self, c):
        for row in [r for r in self.attached if r[1] is c]:
            self.attached.remove(row)
            plan, _, answer = row
            c.close()
            answer.close()
            self.net.ok("detach", plan)

    def close(self):
        for _, c, _ in list(self.attached):
            self.detach(c)

    def is_clean(self):
        return self.state() == self.before


@pytest.fixture
def world(tmp_path):
    w = World(tmp_path / "networks")
    try:
        yield w
        w.close()
        assert until(w.is_clean), f"left behind: {w.state()}, and at first: {w.before}"
        assert not (tmp_path / "networks").exists() or not os.listdir(tmp_path / "networks")
    finally:
        for s in w.spaces:
            s.close()


def meets(listener, connect):
    """The peer's address that the listener sees. Somebody has to come, however long that takes here."""
    usual, Namespace.patience = Namespace.patience, 20
    try:
        assert connect(), "nobody comes"
    finally:
        Namespace.patience = usual
    connection, peer = listener.accept()
    connection.close()
    return peer[0]


def lingering(world):
    """Processes of berth-net in the host's namespace."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe").endswith("/berth-net") and os.stat(f"/proc/{pid}/ns/net").st_ino == os.fstat(world.host.fd).st_ino:
                found.append(int(pid))
        except OSError:
            continue
    return found


# ---- frames ----


def mac_of(space, device="eth0"):
    return space.devices()[device]["address"]


def raw_mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_frame(source_mac, to_mac, source, to, source_port, port, data):
    udp = struct.pack("!4H", source_port, port, 8 + len(data), 0) + data
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(to))
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return raw_mac(to_mac) + raw_mac(source_mac) + b"\x08\x00" + ip + udp


def send_frames(space, frames, device="eth0"):
    with space.open(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
        s.bind((device, 0))
        for f in frames:
            s.send(f)


def spoofs(own, gateway_mac, to):
    """Frames that must not come to MAC address `to`, each with the text \"spoof\" in it. own: the sender's MAC."""
    ether = raw_mac(to) + raw_mac(own)
    arp = struct.pack("!HHBBH", 1, 0x800, 6, 4, 2)
    gateway, victim = socket.inet_aton("10.200.1.1"), socket.inet_aton("10.200.1.3")
    local = socket.inet_pton(socket.AF_INET6, "fe80::42:aff:fec8:2")
    lower, all_nodes = socket.inet_pton(socket.AF_INET6, "fd00:1::2"), socket.inet_pton(socket.AF_INET6, "ff02::1")

    def six(source, next_header, body):
        return ether + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), next_header, 255) + source + all_nodes + body

    router = bytes((134, 0, 0, 0, 64, 0, 7, 8)) + bytes(8) + b"spoof"
    claim = bytes((136, 0, 0, 0, 0x20, 0, 0, 0)) + socket.inet_pton(socket.AF_INET6, "fd00:1::1") + b"spoof"
    return {
        "the gateway's address by ARP": ether + b"\x08\x06" + arp + raw_mac(own) + gateway + raw_mac(to) + victim + b"spoof",
        "ARP in another's name": ether + b"\x08\x06" + arp + raw_mac(gateway_mac) + gateway + raw_mac(to) + victim + b"spoof",
        "another's MAC": udp_frame(gateway_mac, to, "10.200.1.2", "10.200.1.3", 9, 9, b"spoof"),
        "another's address": udp_frame(own, to, "10.200.1.1", "10.200.1.3", 9, 9, b"spoof"),
        "an answer of the resolver": udp_frame(own, to, "10.200.1.1", "10.200.1.3", 53, 9, b"spoof"),
        "a DHCP server": udp_frame(own, to, "10.200.1.2", "10.200.1.3", 67, 68, b"spoof"),
        "a router's advertisement": six(local, 58, router),
        "the same behind options": six(local, 0, bytes((58, 0, 1, 4, 0, 0, 0, 0)) + router),
        "the gateway's address by an advertisement": six(local, 58, claim),
        "another's IPv6 address": six(socket.inet_pton(socket.AF_INET6, "fd00:1::1"), 17, struct.pack("!4H", 9, 9, 13, 0) + b"spoof"),
        "a DHCPv6 server": six(lower, 17, struct.pack("!4H", 547, 546, 13, 0) + b"spoof"),
        "a VLAN": raw_mac(to) + raw_mac(own) + b"\x81\x00\x00\x05\x08\x00" + udp_frame(own, to, "10.200.1.2", "10.200.1.3", 9, 9, b"spoof")[14:],
        "another protocol": ether + b"\x88\xb5" + b"spoof",
    }


def spoofs_heard(host, a, b):
    """What a, 10.200.1.2, sends in others' names to b, 10.200.1.3: (all of it, what of it comes)."""
    frames = spoofs(mac_of(a), mac_of(host, "berth-000000001"), mac_of(b))
    heard = set()
    with b.open(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as s:
        s.bind(("eth0", 3))
        s.settimeout(10)
        for n, frame in enumerate(frames.values()):
            send_frames(a, [frame.replace(b"spoof", b"sp%03d" % n)])
        time.sleep(0.2)  # processors overtake one another
        send_frames(a, [udp_frame(mac_of(a), mac_of(b), "10.200.1.2", "10.200.1.3", 9, 9, b"honest")])
        got = b""
        while b"honest" not in got:
            got = s.recv(2000)
            heard |= {what for n, what in enumerate(frames) if b"sp%03d" % n in got}
    return set(frames), heard


# ---- names ----


def query(space, server, name, kind=1):
    """What the resolver says to a question of type A (1), PTR (12) or AAAA (28): (code, [address or name])."""
    words = b"".join(bytes([len(w)]) + w.encode() for w in name.split(".")) + b"\0"
    with space.open(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(3)
        s.connect((server, 53))
        s.send(struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + words + struct.pack("!HH", kind, 1))
        got = s.recv(1000)
    count, at, found = struct.unpack("!H", got[6:8])[0], 12 + len(words) + 4, []
    for _ in range(count):
        at += 2 if got[at] & 0xC0 else got.index(b"\0", at) + 1 - at
        length = struct.unpack("!H", got[at + 8:at + 10])[0]
        data = got[at + 10:at + 10 + length]
        at += 10 + length
        if kind == 12:
            text, i = [], 0
            while data[i]:
                text.append(data[i + 1:i + 1 + data[i]].decode())
                i += 1 + data[i]
            found.append(".".join(text))
        else:
            found.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data))
    return got[3] & 15, found


def resolvers(state, having=""):
    """Their pids, but for the children that answer one connection each."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            text = Path("/proc", pid, "cmdline").read_bytes().decode()
            if "dnsmasq" in text and str(state) in text and having in text:
                found[int(pid)] = int(Path("/proc", pid, "stat").read_text().rsplit(")")[1].split()[1])
        except OSError:
            continue
    return [pid for pid, parent in found.items() if parent not in found]


def named(number, **more):
    return network(number, [{"subnet": f"10.200.{number}.0/24", "gateway": f"10.200.{number}.1"},
                            {"subnet": f"fd00:{number}::/64", "gateway": f"fd00:{number}::1"}], hasNames=True, **more)
