"""Sockets between guest and host with the distribution's driver."""

import os
import socket
import tempfile
import threading

import pytest

import net
from guest import ENDS
from net import PEER

MODULES = ("virtio_pci", "vmw_vsock_virtio_transport")
MB = 1 << 20


class Ends:
    """The host's side: a directory for the guest's connections, a socket for the host's."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory()
        os.chmod(self.dir.name, 0o755)
        self.path = f"{self.dir.name}/connect"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(16)
        self.fds = [listener.detach(), os.open(self.dir.name, os.O_PATH | os.O_DIRECTORY)]

    def plan(self, **more):
        return {"vsock": {"guest_cid": 3, "listen_fd": self.fds[0], "dir_fd": self.fds[1], **more}}

    def serve(self, port, action):
        """The host's end for the guest's connection to port; wait for what action returns."""
        s = socket.socket(socket.AF_UNIX)
        s.bind(f"{self.dir.name}/vsock_{port}")
        os.chmod(f"{self.dir.name}/vsock_{port}", 0o777)  # for the user that the VMM is
        s.listen(1)
        results = []

        def run():
            c = s.accept()[0]
            with c:
                c.settimeout(200)
                results.append(action(c))

        t = threading.Thread(target=run, daemon=True)
        t.start()

        def wait():
            t.join(200)
            return results
        return wait

    def connect(self, port):
        """A connection to the guest's port: (socket, the line that answered)."""
        c = socket.socket(socket.AF_UNIX)
        c.settimeout(200)
        c.connect(self.path)
        c.sendall(b"CONNECT %d\n" % port)
        answer = b""
        while not answer.endswith(b"\n") and (b := c.recv(1)):
            answer += b
        return c, answer.decode()


@pytest.fixture
def ends():
    e = Ends()
    yield e
    e.dir.cleanup()


def powered_off(end):
    assert end.status == ENDS["powered-off"], end
    return end.serial


def test_the_guest_connects_and_10_MB_come_back(boot, ends):
    n = 10 * MB
    wait = ends.serve(52, lambda c: trade(c, n))
    end = boot(f"say guest: $(guest_peer vsock connect 2 52 trade {n})\n", MODULES, [PEER], devices=[ends.plan()], fds=ends.fds, timeout=200)
    want = net.pattern(n)
    serial = powered_off(end)
    assert wait() == [want], end
    assert f"guest: {net.line(want, want)}" in serial, end


def trade(c, n):
    sender = threading.Thread(target=c.sendall, args=(net.pattern(n),), daemon=True)
    sender.start()
    got = net.read_exactly(c, n)
    sender.join(200)
    return got


def test_the_host_connects_and_the_guest_echoes_10_MB(boot, ends):
    n = 10 * MB
    done = threading.Event()
    ends.serve(60, lambda _: done.wait(200))  # the machine stays on until we have read what is on its way
    vmm = boot("""(guest_peer vsock listen 1024 echo > /a; say guest: $(cat /a)) &
sleep 1
say listening
wait
guest_peer vsock connect 2 60 receive
""", MODULES, [PEER], wait=False, devices=[ends.plan()], fds=ends.fds)
    vmm.expect("listening")
    c, answer = ends.connect(1024)
    assert answer.startswith("OK "), answer
    want = net.pattern(n)
    sender = threading.Thread(target=lambda: (c.sendall(want), c.shutdown(socket.SHUT_WR)), daemon=True)
    sender.start()
    got = net.read_all(c)
    done.set()
    end = vmm.wait(200)
    assert got == want, end
    assert f"guest: {net.line(want, want)}" in powered_off(end), end


def test_an_end_that_sends_no_more_still_receives(boot, ends):
    n = 300_000
    answer = b"x" * 200_000

    def action(c):
        got = net.read_all(c)  # to the guest's shutdown
        c.sendall(answer)
        return got

    wait = ends.serve(52, action)
    end = boot(f"say guest: $(guest_peer vsock connect 2 52 send {n})\n", MODULES, [PEER], devices=[ends.plan()], fds=ends.fds, timeout=200)
    serial = powered_off(end)
    assert wait() == [net.pattern(n)], end
    assert f"guest: {net.line(net.pattern(n), answer)}" in serial, end


def test_ports_where_nobody_listens_are_refused_on_either_side(boot, ends):
    vmm = boot("say guest: $(guest_peer vsock connect 2 53 send 1)\nsay asked\nsleep 5\n", MODULES, [PEER], wait=False, devices=[ends.plan()], fds=ends.fds)
    vmm.expect("asked")
    c, answer = ends.connect(9999)
    assert answer == ""
    c.close()
    end = vmm.wait(120)
    assert "guest: failed: connect: Connection reset by peer" in powered_off(end), end


def test_a_descriptor_that_was_handed_over_is_the_guests_stream(boot):
    ours, theirs = socket.socketpair()
    fd = theirs.detach()
    vmm = boot("say guest: $(guest_peer vsock connect 2 1024 echo)\n", MODULES, [PEER], wait=False,
               devices=[{"vsock": {"guest_cid": 77, "streams": [{"port": 1024, "fd": fd}]}}], fds=[fd])
    ours.settimeout(100)
    ours.sendall(b"hello")
    assert net.read_exactly(ours, 5) == b"hello"
    ours.shutdown(socket.SHUT_WR)
    end = vmm.wait(100)
    assert f"guest: {net.line(b'hello', b'hello')}" in powered_off(end), end
