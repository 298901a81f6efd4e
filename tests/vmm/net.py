"""Taps, the host's ends of streams, and the pattern of bytes that tests/tools/guest_peer.c knows as well."""

import fcntl
import os
import struct
import subprocess
import zlib

import guest

PEER = guest.BUILD / "tests/tools/guest_peer"
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 0x400454CA, 2, 0x1000, 0x4000, 0x100
BLOCK = bytes((i * 7 + (i >> 8)) & 255 for i in range(65521))


def pattern(n: int) -> bytes:
    return (BLOCK * (n // len(BLOCK) + 1))[:n]


def crc(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"


def line(sent: bytes = b"", received: bytes = b"") -> str:
    """What guest_peer prints when all went well."""
    return f"sent {len(sent)} {crc(sent)} received {len(received)} {crc(received)}"


def read_all(s) -> bytes:
    chunks = []
    while chunk := s.recv(1 << 16):
        chunks.append(chunk)
    return b"".join(chunks)


def read_exactly(s, n: int) -> bytes:
    data = bytearray()
    while len(data) < n and (chunk := s.recv(min(1 << 16, n - len(data)))):
        data += chunk
    return bytes(data)


class Tap:
    """A tap with an address; it goes when its descriptors do."""

    def __init__(self, name="berth-t0", queues=1, address="192.0.2.1/24"):
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (IFF_MULTI_QUEUE if queues > 1 else 0)
        self.fds = []
        for _ in range(queues):
            self.fds.append(os.open("/dev/net/tun", os.O_RDWR))
            fcntl.ioctl(self.fds[-1], TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        subprocess.run(["ip", "addr", "add", address, "dev", name], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)

    def plan(self, **more):
        return {"net": {"taps": [{"fd": fd} for fd in self.fds], "mac": "02:00:5e:10:00:01", **more}}
