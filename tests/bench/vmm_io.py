#!/usr/bin/env python3
"""vmm_io [-n ROUNDS] [-s SECONDS] [--kernel DIRECTORY]: a guest's disk and network in berth-vmm and in QEMU, taking turns: requests past the guest's page cache, one at a
time, of a raw file on the same file system; TCP over a tap to a peer on the host. Medians, and the ratio that says how berth-vmm compares (above 1:
better than QEMU). Needs a KVM that boots Linux (tests/lab/run -n); an emulated one knows only ratios."""

import argparse
import os
import socket
import statistics
import threading
from pathlib import Path

import vmm_peers as peers
from results import Results

TOOL = peers.guest.BUILD / "tests/tools/guest_io"
# name, what guest_io is told, what the host's end does, and what counts: megabytes a second, or the microseconds of one
JOBS = (
    ("disk: 256 KiB reads in order, MB/s", "read /dev/vda 262144 {s}", None, "rate"),
    ("disk: 256 KiB writes in order, MB/s", "write /dev/vda 262144 {s}", None, "rate"),
    ("disk: 4 KiB reads anywhere, µs", "read /dev/vda 4096 {s} random", None, "time"),
    ("disk: 4 KiB writes anywhere, µs", "write /dev/vda 4096 {s} random", None, "time"),
    ("network: from the guest, MB/s", "send 192.0.2.1 {p} {s}", "sink", "rate"),
    ("network: to the guest, MB/s", "receive 192.0.2.1 {p} {s}", "source", "rate"),
    ("network: a byte and its answer, µs", "ask 192.0.2.1 {p} {s}", "echo", "time"),
)


def serve(s, role):
    """The host's end of one connection after the other."""
    data = bytes(1 << 18)
    while True:
        try:
            c, _ = s.accept()
        except OSError:
            return
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with c:
            try:
                while True:
                    if role == "source":
                        c.sendall(data)
                        continue
                    got = c.recv(1 << 18 if role == "sink" else 64)
                    if not got:
                        break
                    if role == "echo":
                        c.sendall(got)
            except OSError:
                pass


def one(which, initrd, disk, found):
    vm = peers.Peer(which, initrd, disk)
    sockets = []
    try:
        for i, job in enumerate(JOBS):
            if job[2]:
                s = socket.create_server(("192.0.2.1", 7000 + i))
                sockets.append(s)
                threading.Thread(target=serve, args=(s, job[2]), daemon=True).start()
        for name, _, _, counts in JOBS:
            n, b, t = (float(v) for v in vm.line(r"(\d+) times, (\d+) bytes, ([0-9.]+) seconds|failed", 300).groups())
            found.setdefault(name, {}).setdefault(which, []).append(b / t / 1e6 if counts == "rate" else t / n * 1e6)
    finally:
        vm.end()
        for s in sockets:
            s.shutdown(socket.SHUT_RDWR)  # or the thread in accept() keeps it, and its port
            s.close()


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("-n", type=int, default=3)
    a.add_argument("-s", type=float, default=2)
    a.add_argument("--kernel", help="of guest/build-kernel, which boots sooner than the distribution's")
    Results.option(a)
    o = a.parse_args()
    results = Results(o.results)
    if o.kernel:
        peers.use_kernel(o.kernel)
    found = {}
    with peers.scratch() as where:
        where = Path(where)
        disk = where / "disk"
        with open(disk, "wb") as f:
            for _ in range(64):
                f.write(os.urandom(1 << 20))
        lines = "\n".join(f"say $(guest_io {told.format(s=o.s, p=7000 + i)})" for i, (_, told, _, _) in enumerate(JOBS))
        initrd = peers.guest.initramfs(where, f"ip link set eth0 up; ip addr add 192.0.2.2/24 dev eth0\n{lines}\n", peers.MODULES, [TOOL])
        for _ in range(o.n):
            for which in ("berth-vmm", "qemu"):
                one(which, initrd, disk, found)
    for way in ("berth vm", "qemu"):
        results.way(way, "KVM hardware")
    for i, (name, _, _, counts) in enumerate(JOBS):
        title, unit = name.rsplit(", ", 1)
        results.add("Virtual machine", f"vmm.io.{i}", title[0].upper() + title[1:], unit, {"berth vm": found[name]["berth-vmm"], "qemu": found[name]["qemu"]},
                    more=counts == "rate")
    results.save()
    print("| | berth-vmm | QEMU | berth-vmm by QEMU |\n|---|---|---|---|")
    for name, _, _, counts in JOBS:
        ours, theirs = (statistics.median(found[name][w]) for w in ("berth-vmm", "qemu"))
        print(f"| {name} | {ours:.1f} | {theirs:.1f} | {ours / theirs if counts == 'rate' else theirs / ours:.2f} |")


if __name__ == "__main__":
    main()
