#!/usr/bin/env python3
"""From the start of `berth run IMAGE echo` to its first byte of output, container beside VM, on the same image.

Needs root and, for the VM, qemu-system-x86 and a guest kernel (fetched the first time, outside the clock)."""

import argparse
import os
import statistics
import subprocess
import time
from pathlib import Path

from peers import ENV, TOP, Bench, Unavailable, machine, table, tool
from results import Results


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


def accelerator(bench, base, kernel, env) -> str:
    """What carries a VM here, as it says itself."""
    ident = tool(base[0], "run", "-d", "--network", "none", "--isolation", "vm", *kernel, "bench", "sleep", "1000", env=env).split()[-1]
    vmm = tool(base[0], "vm", "inspect", "--format", "{{.VMM}}", ident, env=env).strip()
    tool(base[0], "rm", "-f", ident, env=env)
    flags = next(line for line in open("/proc/cpuinfo") if line.startswith("flags")).split()
    return "TCG" if "emulated" in vmm else "KVM hardware" if {"vmx", "svm"} & set(flags) else "KVM paravirtual"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", type=Path, default=TOP / "build")
    ap.add_argument("--runs", type=int, default=30)
    ap.add_argument("--kernel", help="guest kernel; default: the distribution's")
    Results.option(ap)
    args = ap.parse_args()
    results = Results(args.results)
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
        results.way("berth")
        results.way("berth vm", accelerator(bench, base, kernel, env))
    results.add("Start-up", "vm.first-output", "To the first output of `echo`", "ms", {"berth": first["container"], "berth vm": first["vm"]})
    results.save()
    print(f"Start to first output of `echo`, {args.runs} runs each, interleaved. {machine()}.\n")
    print(table(first, "container"))
    print(f"\nWhole process: container {statistics.median(whole['container']):.1f} ms, vm {statistics.median(whole['vm']):.0f} ms.")


if __name__ == "__main__":
    main()
