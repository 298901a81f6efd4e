#!/usr/bin/python3
"""What forks of a running VM cost: time of the fork, how long the original stands still, and the memory that the n-th adds.

  tests/bench/fork.py [-n COUNT] [-m MEMORY] [-b BUILD]

For a machine with a KVM that is good for guests (tests/lab/run -n -m 3000 -t 1800 -- tests/bench/fork.py). Of each copy's VMM: PSS (each shared page
divided by its users), what it alone has written (private dirty), and what it shares."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
import images  # noqa: E402
from harness import Berth  # noqa: E402


def smaps(pid):
    text = open(f"/proc/{pid}/smaps_rollup").read()
    return {k: int(v) for k, v in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-n", type=int, default=50, help="copies (50)")
    p.add_argument("-m", default="64m", help="the VM's --memory (64m)")
    p.add_argument("-b", default=os.environ.get("BERTH_BUILD", HERE.parents[1] / "build"), type=Path)
    a = p.parse_args()
    os.environ.setdefault("BERTH_VM_BOOT_TIMEOUT", "280s")
    where = Path(tempfile.mkdtemp(prefix="berth-fork-", dir="/var/tmp"))
    b = Berth(a.b.resolve(), where / "root", where / "run")
    try:
        b.root.mkdir()
        if (images.CACHE / "kernels").exists():
            shutil.copytree(images.CACHE / "kernels", b.root / "kernels")
        b.ok("load", "-q", "-i", images.base_layout())
        b.ok("run", "-d", "--name", "warm", "--vm", "--network", "none", "--memory", a.m, "base:latest", "sleep", "100000", timeout=600)
        assert b.ok("vm", "inspect", "-f", "{{.VMM}}", "warm") == "berth-vmm", "no KVM here that is good for whole guests"
        b.ok("exec", "warm", "true")
        began = time.monotonic()
        r = b("fork", "warm", "--count", a.n, "--name", "f", timeout=3600)
        took = time.monotonic() - began
        assert r.code == 0, r
        print(r.err.strip())
        print(f"{a.n} copies in {took:.1f} s, {took / a.n * 1000:.0f} ms each")
        states = [b.state(f"f-{k}" if a.n > 1 else "f") for k in range(1, a.n + 1)]
        dead = {k: s for k, s in enumerate(states, 1) if s["Status"] != "running"}
        assert not dead, f"these copies did not live on: {dead}"
        rows = [smaps(s["Pid"]) for s in states]
        print("copy   PSS KiB   private dirty   shared   RSS")
        for k in sorted({1, 2, 5, 10, 20, 50, a.n}):
            if k <= a.n:
                s = rows[k - 1]
                print(f"{k:4}   {s['Pss']:7}   {s['Private_Dirty']:13}   {s['Shared_Clean'] + s['Shared_Dirty']:6}   {s['Rss']:6}")
        print(f"all: PSS {sum(s['Pss'] for s in rows) / 1024:.0f} MiB, RSS {sum(s['Rss'] for s in rows) / 1024:.0f} MiB")
    finally:
        left = b("ps", "-aq").out.split()
        if left:
            b("rm", "-f", *left, timeout=600)
        subprocess.run(["rm", "-rf", where], check=False)


if __name__ == "__main__":
    main()
