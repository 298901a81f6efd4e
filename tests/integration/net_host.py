"""A host made of network namespaces: "host" where berth-net works, a LAN behind it, and namespaces for containers. Each is held by a
process that sleeps; what is done in one is done by a child that has entered it."""

import array
import ctypes
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

CLONE_NEWNET, PR_SET_PDEATHSIG = 0x40000000, 1
libc = ctypes.CDLL(None, use_errno=True)


def call(what, *args):
    if getattr(libc, what)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Namespace:
    """A network namespace."""

    def __init__(self, name):
        self.name = name
        ready, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
                call("unshare", CLONE_NEWNET)
                os.write(tell, b"1")
                os.closerange(3, 1000)  # what we have open is not its to keep
                signal.pause()
            finally:
                os._exit(1)
        os.close(tell)
        assert os.read(ready, 1) == b"1"
        os.close(ready)
        self.fd = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.run("ip", "link", "set", "lo", "up")

    @classmethod
    def of(cls, name, pid):
        """That of a process, which it lives as long as."""
        n = object.__new__(cls)
        n.name, n.pid, n.fd = name, 0, os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        return n

    def close(self):
        """The namespace ends, unless somebody else holds it."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)
            self.pid = 0

    def enter(self):
        call("setns", self.fd, CLONE_NEWNET)

    def run(self, *argv, check=True, **more):
        done = subprocess.run(argv, preexec_fn=self.enter, capture_output=True, text=True, timeout=60, **more)
        assert not check or done.returncode == 0, f"{self.name}: {argv}: {done.stdout}{done.stderr}"
        return done

    def popen(self, *argv):
        return subprocess.Popen(argv, preexec_fn=self.enter)

    def ip(self, *words):
        return self.run("ip", *words).stdout

    def devices(self):
        return {row["ifname"]: row for row in json.loads(self.run("ip", "-j", "-d", "addr").stdout)}

    def ruleset(self):
        return self.run("nft", "list", "ruleset").stdout

    def inside(self, function, *args):
        """function's value (of JSON), called in the namespace by a child."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self.enter()
                os.write(write, json.dumps(function(*args)).encode())
                status = 0
            except BaseException as error:  # noqa: BLE001  a child of a fork must not return
                print(f"{self.name}: {error!r}", file=sys.stderr)
            finally:
                os._exit(status)
        os.close(write)
        with os.fdopen(read) as f:
            text = f.read()
        _, status = os.waitpid(pid, 0)
        assert status == 0, f"{function.__name__} in {self.name} ended with {status}"
        return json.loads(text)

    def open(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        """A socket of the namespace, for the caller to use."""
        here, there = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                self.enter()
                with socket.socket(family, kind, protocol) as s:
                    socket.send_fds(there, [b"s"], [s.fileno()])
            finally:
                os._exit(0)
        there.close()
        _, fds, _, _ = socket.recv_fds(here, 1, 1)
        os.waitpid(pid, 0)
        here.close()
        return socket.socket(family, kind, protocol, fileno=fds[0])

    def listen(self, address, port, kind=socket.SOCK_STREAM):
        s = self.open(family_of(address), kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        if kind == socket.SOCK_STREAM:
            s.listen(8)
        s.settimeout(10)
        return s

    patience = 0.6  # seconds that `reaches` waits where nobody is to answer

    def reaches(self, address, port, timeout=None, source=None):
        """Whether a connection comes about: None, or what was sent to us first (a line)."""
        s = self.open(family_of(address))
        s.settimeout(timeout or Namespace.patience)
        with s:
            try:
                if source:
                    s.bind((source, 0))
                s.connect((address, port))
                return True
            except OSError:
                return False


def wire(a, name_a, address_a, b, name_b, address_b):
    """A cable between two namespaces."""
    a.ip("link", "add", name_a, "type", "veth", "peer", name_b, "netns", str(b.pid))
    for n, name, address in ((a, name_a, address_a), (b, name_b, address_b)):
        n.ip("addr", "add", address, "dev", name)
        n.ip("link", "set", name, "up")


class Answer:
    def __init__(self, data, fds, status):
        self.status = status
        self.fds = fds
        try:
            self.json = json.loads(data)
        except json.JSONDecodeError:  # none, or half of one: it was killed
            assert status != 0, data
            self.json = {}
        self.error = self.json.get("error", -1)
        self.message = self.json.get("message", "")
        taps = self.json.get("taps", 0)
        self.taps, self.sockets = fds[:taps], fds[taps:]

    def port(self, n=0):
        return self.json["ports"][n]["hostPort"]

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []


class Net:
    """berth-net as the engine drives it."""

    def __init__(self, program, host, state):
        self.program, self.host, self.state = str(program), host, str(state)
        build = Path(program).parents[2] / "build_id.h"
        self.env = {**os.environ, "BERTH_BUILD_ID": re.search('"([^"]*)"', build.read_text()).group(1)}

    def start(self, verb, plan, ns=None, before=()):
        """-> (process, our end). The plan is sent; the answer is not read."""
        ours, theirs = socket.socketpair()
        held = [os.dup(theirs.fileno())]
        if ns is not None:
            held.append(os.dup(ns.fd))

        def become():
            self.host.enter()
            high = [os.dup2(fd, 100 + i, inheritable=True) for i, fd in enumerate(held)]
            os.closerange(3, 100)
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i, inheritable=True)
                os.close(fd)

        try:
            process = subprocess.Popen([*before, self.program, verb], preexec_fn=become, close_fds=False, stdin=subprocess.DEVNULL, env=self.env)
        finally:
            theirs.close()
            for fd in held:
                os.close(fd)
        try:
            ours.sendall(plan if isinstance(plan, bytes) else json.dumps(plan).encode())
            ours.shutdown(socket.SHUT_WR)
        except OSError:  # killed, or given up before it has read
            pass
        return process, ours

    @staticmethod
    def finish(process, ours):
        data, fds = b"", []
        ours.settimeout(60)
        with ours:
            while True:
                room = array.array("i")
                try:
                    part, control, _, _ = ours.recvmsg(65536, socket.CMSG_SPACE(64 * room.itemsize))
                except ConnectionResetError:
                    break
                for _, _, raw in control:
                    room.frombytes(raw[: len(raw) - len(raw) % room.itemsize])
                fds += room
                if not part:
                    break
                data += part
        return Answer(data, fds, process.wait(60))

    def __call__(self, verb, plan, ns=None, before=()):
        return self.finish(*self.start(verb, plan, ns, before))

    def ok(self, verb, plan, ns=None):
        answer = self(verb, plan, ns)
        assert answer.error == 0, f"{verb}: {answer.json}"
        return answer

    def plan(self, *endpoints, ports=(), **more):
        return {"version": 1, "stateDir": self.state, "endpoints": list(endpoints), "ports": list(ports), **more}


def network(number, subnets=None, **more):
    """Network `number`, with 10.200.NUMBER.0/24."""
    name = f"{number:09x}"
    rows = subnets or [{"subnet": f"10.200.{number}.0/24", "gateway": f"10.200.{number}.1"}]
    return {"id": name + "0" * 55, "name": f"net{number}", "driver": "bridge", "device": f"berth-{name}", "subnets": rows, **more}


def endpoint(net, host, inner="eth0", **more):
    """One with the address HOST in each subnet of the network."""
    number = secrets.token_hex(32)
    addresses, gateways = [], {}
    for row in net["subnets"]:
        base, bits = row["subnet"].split("/")
        addresses.append(f"{base}{host}/{bits}" if ":" in base else f"{base.rsplit('.', 1)[0]}.{host}/{bits}")
        if row.get("gateway") and not net.get("isInternal"):
            gateways["gateway6" if ":" in base else "gateway4"] = row["gateway"]
    return {"id": number, "device": f"bv{number[:12]}", "name": inner, "mac": f"02:42:0a:c8:{host >> 8:02x}:{host & 255:02x}",
            "addresses": addresses, **gateways, "network": net, **more}


def tcp(port, host_port=0, host_ip=None, protocol="tcp"):
    return {"protocol": protocol, "port": port, **({"hostPort": host_port} if host_port else {}), **({"hostIp": host_ip} if host_ip else {})}


def until(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
