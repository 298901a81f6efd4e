#!/usr/bin/env python3
"""Containers on each engine's default network, side by side with podman and docker on the same image.

  run       `run --rm IMAGE true`, whole process
  at once   N of them begun together, until the last has ended; the engines take turns
  idle      memory outside the containers' own processes, ten running: PSS (proc_pid_smaps(5)) of what the engine keeps for each
  http      from `run -d -p PORT:80 IMAGE httpd` to the end of the first answer through the published port

All in a network namespace of its own, so that the host's rules stay as they are and nobody else's slow one engine down. Prints
Markdown for docs/PERFORMANCE.md. Needs root and what peers.py needs, and of podman its network plugins."""

import argparse
import ctypes
import os
import socket
import subprocess
import time
from pathlib import Path

from many import at_once, idle
from peers import TOP, Bench, interleaved, machine, slower, table, tool, versions
from results import Results

CLONE_NEWNET = 0x40000000
AIMS = {"podman": 15, "docker": 15}


def own_network():
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def first_answer(peer: dict, port: int) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    tool(*peer["base"], "run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80", peer["image"], "/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/etc", env=peer["env"])
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
                s.sendall(b"GET /passwd HTTP/1.0\r\n\r\n")
                said = s.recv(4096)
        except OSError:
            said = b""
        if said.startswith(b"HTTP/1."):
            break
        if time.perf_counter() - began > 30:
            raise SystemExit(f"{peer['base'][0]}: nobody answers at port {port}")
    took = (time.perf_counter() - began) * 1000
    tool(*peer["base"], "rm", "-f", "web", env=peer["env"])
    return took


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", type=Path, default=TOP / "build", help="Berth's build directory")
    ap.add_argument("--runs", type=int, default=20)
    ap.add_argument("--idle", type=float, default=0, metavar="MS", help="wait before every run")
    ap.add_argument("--rounds", type=int, default=3, help="of many at once")
    ap.add_argument("-n", type=int, default=50, help="how many at once")
    ap.add_argument("--peers", default="berth,podman,docker")
    ap.add_argument("--only", default="run,at once,idle,http")
    ap.add_argument("--require", action="store_true", help="fail unless runs and runs at once are 15 times faster than with podman and docker")
    Results.option(ap)
    args = ap.parse_args()
    results = Results(args.results)
    only, missed = args.only.split(","), []
    own_network()
    with Bench(args.build, network="bridge") as bench:
        bench.make_image()
        peers = bench.set_up(args.peers.split(","))
        if "berth" not in peers:
            raise SystemExit("berth itself can't run here")
        print(f"{machine()}. {versions()}.\n")
        if "run" in only:
            times = interleaved(peers, args.runs, args.idle)
            missed += slower(times, AIMS)
            results.add("Start-up", "run.network", "`run --rm IMAGE true` on the default network", "ms", times)
            print(f"`run --rm IMAGE true`, {args.runs} runs each, interleaved:\n\n{table(times, 'berth')}\n", flush=True)
        if "at once" in only:
            times = {name: [at_once(peer, args.n) for _ in range(args.rounds)] for name, peer in peers.items()}
            missed += slower(times, AIMS)
            results.add("Start-up", f"at-once.network.{args.n}", f"{args.n} starts at once on the default network", "ms",
                        {n: [s * 1000 for s in t] for n, t in times.items()})
            print(f"{args.n} at once, {args.rounds} rounds:\n\n{table(times, 'berth', 's')}\n", flush=True)
        if "idle" in only:
            print("| | processes each | PSS each, KiB |\n|---|---|---|")
            kept = {name: idle(peer, bench.dir, 10, "bridge") for name, peer in peers.items()}
            for name, (count, kib) in kept.items():
                print(f"| {name} | {count:.1f} | {kib:.0f} |")
            results.add("Memory", "idle.network", "Kept for each of ten running, on the default network", "KiB", {n: [kib] for n, (_, kib) in kept.items()})
            print(flush=True)
        if "http" in only:
            ports = {name: 20000 + 100 * i for i, name in enumerate(peers)}
            times = {name: [] for name in peers}
            for i in range(args.runs):
                for name, peer in peers.items():
                    times[name].append(first_answer(peer, ports[name] + i % 50))
            results.add("Start-up", "first-answer", "To the first answer through a published port", "ms", times, how="From the start of `run -d -p` to the end of the first answer.")
            print(f"First answer through a published port, {args.runs} runs:\n\n{table(times, 'berth')}")
    results.save()
    if args.require and missed:
        raise SystemExit(f"missed: {'; '.join(missed)}")


if __name__ == "__main__":
    os.environ.pop("BERTH_NETWORK", None)
    main()
