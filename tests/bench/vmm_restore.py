#!/usr/bin/env python3
"""vmm_restore [-n ROUNDS] [MIB...]: how long a restored VM takes from the start of berth-vmm to the guest's first byte, by the size of its
memory, beside a berth-vmm that only refuses its arguments; and the memory that belongs to the n-th clone alone. The guest is a loop
that writes to the serial port, so that any KVM will do; half of its memory is written before the snapshot, so that the file is full."""

import argparse
import json
import os
import re
import socket
import statistics
import struct
import subprocess
import tempfile
import time
from pathlib import Path

BUILD = Path(os.environ.get("BERTH_BUILD", Path(__file__).resolve().parents[2] / "build"))
VMM = BUILD / "src/main/berth-vmm"
ENV = {**os.environ, "BERTH_BUILD_ID": re.search('"([^"]*)"', (BUILD / "build_id.h").read_text()).group(1)}
ENTRY = 0x100000
# mov $0x3f8,%dx; mov $'\\n',%al; 1: out %al,%dx; jmp 1b
LOOP = bytes([0x66, 0xBA, 0xF8, 0x03, 0xB0, 0x0A, 0xEE, 0xEB, 0xFD])


def kernel(code=LOOP) -> int:
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, ENTRY, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    program = struct.pack("<IIQQQQQQ", 1, 5, 120, 0, ENTRY, len(code), len(code) + 4096, 4096)
    fd = os.memfd_create("kernel", 0)
    os.write(fd, head + program + code)
    return fd


def start(plan, fds):
    """-> process, the read end of its serial port, when it was started."""
    out, serial = os.pipe()
    plan_fd = os.memfd_create("plan", 0)
    os.write(plan_fd, json.dumps({**plan, "serial_fd": serial, "cpus": 1, "pages": "small"}).encode())
    os.lseek(plan_fd, 0, os.SEEK_SET)
    began = time.perf_counter()
    p = subprocess.Popen([VMM, "--config-fd", str(plan_fd)], env=ENV, pass_fds=[plan_fd, serial, *fds], stderr=subprocess.PIPE)
    os.close(serial)
    os.close(plan_fd)
    return p, out, began


def take(mib, where, code=LOOP):
    control, theirs = socket.socketpair()
    k = kernel(code)
    p, out, _ = start({"kernel_fd": k, "control_fd": theirs.fileno(), "mem_bytes": mib << 20}, [k, theirs.fileno()])
    theirs.close()
    os.read(out, 1)
    files = [os.open(where / n, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for n in ("state", "ram")]
    socket.send_fds(control, [b'{"do":"snapshot"}\n'], files)
    answer = json.loads(control.makefile().readline())
    assert answer["ok"], answer
    # The guest writes nothing, so this is what a guest would have left: every second page.
    page = os.urandom(4096)
    for at in range(4 << 20, mib << 20, 8192):
        os.pwrite(files[1], page, at)
    os.fsync(files[1])
    p.kill()
    p.communicate()
    os.close(out)
    return files


def restore(mib, files):
    p, out, began = start({"state_fd": files[0], "ram_fd": files[1], "mem_bytes": mib << 20}, files)
    got = os.read(out, 1)
    took = time.perf_counter() - began
    assert got, p.communicate()
    return p, out, took


def nothing():
    began = time.perf_counter()
    p = subprocess.Popen([VMM], env=ENV, stderr=subprocess.PIPE)
    os.read(p.stderr.fileno(), 1)
    took = time.perf_counter() - began
    p.communicate()
    return took


def pss(pid):
    """Of the process and of its child in the jail."""
    pids = [pid, *Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return sum(int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{p}/smaps_rollup").read_text(), re.M).group(1)) for p in pids)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("-n", type=int, default=20)
    a.add_argument("mib", type=int, nargs="*", default=[256, 2048])
    o = a.parse_args()
    floor = statistics.median(nothing() for _ in range(o.n))
    print(f"a berth-vmm that refuses its arguments: {floor * 1e3:.2f} ms")
    for mib in o.mib:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as where:
            files = take(mib, Path(where))
            times = []
            for _ in range(o.n):
                p, out, took = restore(mib, files)
                times.append(took)
                p.kill()
                p.communicate()
                os.close(out)
            clones = [restore(mib, files) for _ in range(10)]
            kib = [pss(p.pid) for p, _, _ in clones]
            for p, out, _ in clones:
                p.kill()
                p.communicate()
                os.close(out)
            print(f"{mib} MiB: {statistics.median(times) * 1e3:.2f} ms (least {min(times) * 1e3:.2f}), {(statistics.median(times) - floor) * 1e3:.2f} "
                  f"beyond that; PSS of ten clones: {min(kib)} to {max(kib)} KiB each")


if __name__ == "__main__":
    main()
