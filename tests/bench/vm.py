#!/usr/bin/env python3
"""From the start of `berth run IMAGE echo` to its first byte of output, container beside VM, on the same image.

Needs root and, for the VM, qemu-system-x86 and a guest kernel (fetched the first time, outside the clock)."""

import argparse
import os
import statistics
import subprocess
import time
from pathlib import Path

from peers import ENV, TOP, Bench, Unavailable, machine, table


def first_output(argv, env) -> tuple:
    """Milliseconds to the first byte, and to the end."""
    began = time.perf_counter_ns()
    with subprocess.Popen(argv, env={**ENV, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          close_fds=False) as p:
        byte = os.read(p.stdout.fileno(), 1)
        first = (time.perf_counter_ns() - began) / 1e6
        p.stdout.read()
        code = p.wait()
    if byte != b"x" or code != 0:
        raise SystemExit(f"{' '.join(argv)}: exit {code}, first byte {byte!r}")
    return first, (time.perf_counter_ns() - began) / 1e6


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", type=Path, default=TOP / "build")
    ap.add_argument("--runs", type=int, default=30)
    ap.add_argument("--kernel", help="guest kernel; default: the distribution's")
    args = ap.parse_args()
    with Bench(args.build) as bench:
        try:
            bench.make_image()
            bench.berth()
        except Unavailable as e:
            raise SystemExit(str(e)) from None
        env = bench.berth_env()
        base = [bench.berth_program(), "run", "--rm", "--network", "none"]
        kernel = ["--kernel", args.kernel] if args.kernel else []
        kinds = {"container": base + ["bench", "echo", "x"], "vm": base + ["--isolation", "vm", *kernel, "bench", "echo", "x"]}
        first, whole = {k: [] for k in kinds}, {k: [] for k in kinds}
        for i in range(args.runs + 1):
            for kind, argv in kinds.items():
                f, w = first_output(argv, env)
                if i > 0:  # the first run makes the guest's kernel, initramfs and disk
                    first[kind].append(f)
                    whole[kind].append(w)
    print(f"Start to first output of `echo`, {args.runs} runs each, interleaved. {machine()}.\n")
    print(table(first, "container"))
    print(f"\nWhole process: container {statistics.median(whole['container']):.1f} ms, vm {statistics.median(whole['vm']):.0f} ms.")


if __name__ == "__main__":
    main()
