#!/usr/bin/env python3
"""TCP through each engine's default network, beside a bare veth pair between two network namespaces: a stream there, a stream back, and a
byte with its answer, one connection at a time; all take turns, a round each.

  veth             what the kernel can do here with nothing between
  NAME             container to container
  NAME-host        container to the engine's host, at its bridge's address
  vm-ACCEL         a VM to the host, ACCEL as BERTH_VM_ACCEL has it: berth-vmm, qemu, tcg

All in a network namespace of its own. Prints Markdown for docs/PERFORMANCE.md: medians, in brackets the least and the most. Needs root
and what peers.py needs. In the lab: tests/lab/run -n -c 1 -t 3000 -- tests/bench/network_speed.py --kernels DIRECTORY
--only veth,berth,berth-host,vm-berth-vmm,vm-qemu"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from network import own_network
from peers import ENV, TOP, Bench, Unavailable, machine, tool, versions
from results import Results

PORT, VETH, HERE = 7000, "192.0.2.2", "192.0.2.1"
# guest_io's word, the port beside PORT, and how its line is read
JOBS = (("MB/s there", "send", 0, lambda n, b, s: b / s / 1e6), ("MB/s back", "receive", 1, lambda n, b, s: b / s / 1e6),
        ("a byte and its answer, µs", "ask", 2, lambda n, b, s: s / n * 1e6))
ALL = "veth,berth,podman,docker,berth-host,vm-tcg"
AIMS = {"veth": 0.7, "podman": 0.9, "docker": 0.9}  # streams between our containers, by medians, are to have at least so much of theirs


class Way:
    """How guest_io is run at one end, and where the other one listens."""

    def __init__(self, client, address, env=None):
        self.client, self.address, self.env = client, address, env or {}

    def measure(self, job, seconds) -> float:
        _, word, beside, count = job
        said = tool(*self.client, "/bin/guest_io" if self.env else TOOLS / "guest_io", word, self.address, str(PORT + beside), str(seconds), env=self.env)
        n, b, s = (float(v) for v in re.search(r"(\d+) times, (\d+) bytes, ([0-9.]+) seconds", said).groups())
        return count(n, b, s)


def serve_here(bench, address, before=()) -> subprocess.Popen:
    p = subprocess.Popen([*before, TOOLS / "net_serve", address, str(PORT)], stdin=subprocess.DEVNULL, start_new_session=True, env=ENV)
    bench.cleanups.append(lambda: (os.killpg(p.pid, 9), p.wait()))
    return p


def veth(bench) -> Way:
    holder = subprocess.Popen(["unshare", "-n", "sleep", "100000"])
    bench.cleanups.append(lambda: (holder.kill(), holder.wait()))
    while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        time.sleep(0.01)
    there = ["nsenter", "-t", str(holder.pid), "-n"]
    tool("ip", "link", "add", "bare0", "type", "veth", "peer", "bare1", "netns", str(holder.pid))
    for before, device, address in (([], "bare0", HERE), (there, "bare1", VETH)):
        tool(*before, "ip", "address", "add", f"{address}/24", "dev", device)
        tool(*before, "ip", "link", "set", device, "up")
    serve_here(bench, VETH, there)
    return Way([], VETH)


def run(peer, name, *words):
    tool(*peer["base"], "run", "-d", "--name", name, *words, env=peer["env"])


def between(peer) -> Way:
    run(peer, "server", peer["image"], "/bin/net_serve", "0.0.0.0", str(PORT))
    run(peer, "client", peer["image"], "sleep", "100000")
    address = tool(*peer["base"], "exec", "server", "/bin/net_serve", "address", env=peer["env"]).strip()
    return Way([*peer["base"], "exec", "client"], address, peer["env"])


def to_host(peer, name, *words) -> Way:
    run(peer, name, *words, peer["image"], "sleep", "100000")
    address = tool(*peer["base"], "exec", name, "/bin/net_serve", "address", env=peer["env"]).strip()
    return Way([*peer["base"], "exec", name], re.sub(r"\d+$", "1", address), peer["env"])


def fetch_kernel(bench, kernels):
    """While the host's network is still to be had."""
    peer = bench.berth()
    if kernels:
        shutil.copytree(kernels, bench.dir / "berth/kernels", dirs_exist_ok=True)
    tool(*peer["base"], "run", "--rm", "--isolation", "vm", "--network", "none", *bench.kernel, peer["image"], "true", env=peer["env"])


def ways(bench, only) -> dict:
    """name -> Way, of those that can be here."""
    peers = bench.set_up([n for n in ("berth", "podman", "docker") if any(o.split("-")[0] == n or (n == "berth" and o.startswith("vm-")) for o in only)])
    found = {}
    for name in only:
        kind, _, accel = name.partition("-")
        peer = peers.get("berth" if kind == "vm" else kind)
        try:
            if kind == "veth":
                found[name] = veth(bench)
            elif kind == "vm":
                found[name] = to_host({**peer, "env": {**peer["env"], "BERTH_VM_ACCEL": accel}}, name, "--isolation", "vm", *bench.kernel)
            elif peer:
                found[name] = to_host(peer, name) if accel else between(peer)
        except Unavailable as e:
            print(f"# left out: {name}: {e}", flush=True)
    for peer in peers.values():
        bench.cleanups.append(lambda peer=peer: tool(*peer["base"], "rm", "-f", *tool(*peer["base"], "ps", "-aq", env=peer["env"]).split(), env=peer["env"]))
    return found


def cell(values, base) -> str:
    m = statistics.median(values)
    return f"{m:.{0 if m >= 100 else 1}f} [{min(values):.0f}-{max(values):.0f}] | {m / statistics.median(base):.2f}"


def missed(found) -> list:
    """The streams between containers that are slower than they may be."""
    ratios = {(job[0], other): statistics.median(found["berth"][job[0]]) / statistics.median(found[other][job[0]])
              for job in JOBS[:2] for other in AIMS if other in found}
    return [f"{job}: {ratio:.2f} of {other}'s" for (job, other), ratio in ratios.items() if ratio < AIMS[other]]


def report(results, found):
    """Between containers, and of what is Berth's to the host."""
    to_host = {"berth-host": ("berth", None), "vm-tcg": ("berth vm", "TCG"), "vm-berth-vmm": ("berth vm", "KVM hardware"), "vm-qemu": ("qemu", "KVM hardware")}
    for name, (way, accelerator) in to_host.items():
        if name in found:
            results.way(way, accelerator)
    for job, figure, title, unit in zip(JOBS, ("tcp.there", "tcp.back", "tcp.turn"), ("a stream there", "a stream back", "a byte and its answer"), ("MB/s", "MB/s", "µs")):
        between = {name: rows[job[0]] for name, rows in found.items() if name not in to_host}
        hosts = {to_host[name][0]: rows[job[0]] for name, rows in found.items() if name in to_host}
        results.add("Network", figure, f"TCP between containers, {title}", unit, between, more=unit == "MB/s", how="veth: a bare pair between two network namespaces.")
        results.add("Network", f"{figure}.host", f"TCP to the host, {title}", unit, hosts, more=unit == "MB/s")


def main():
    global TOOLS
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", type=Path, default=TOP / "build", help="Berth's build directory")
    ap.add_argument("--rounds", type=int, default=7)
    ap.add_argument("--seconds", type=float, default=1, help="of each measurement")
    ap.add_argument("--kernel", help="guest kernel; default: the distribution's")
    ap.add_argument("--kernels", type=Path, help="a store's directory of kernels to begin with, where there is no network")
    ap.add_argument("--only", default=ALL, help=f"default: {ALL}")
    ap.add_argument("--require", action="store_true", help=f"fail unless streams between containers have so much of theirs: {AIMS}")
    Results.option(ap)
    args = ap.parse_args()
    results = Results(args.results)
    TOOLS = args.build.resolve() / "tests/tools"
    only = args.only.split(",")
    with Bench(args.build, network="bridge") as bench:
        bench.kernel = ["--kernel", args.kernel] if args.kernel else []
        bench.make_image([TOOLS / "guest_io", TOOLS / "net_serve"])
        if any(name.startswith("vm-") for name in only):
            fetch_kernel(bench, args.kernels)
        own_network()
        serve_here(bench, "0.0.0.0")
        all_ways = ways(bench, only)
        found = {name: {job[0]: [] for job in JOBS} for name in all_ways}
        for i in range(args.rounds + 1):
            print(f"# round {i} of {args.rounds}", file=sys.stderr, flush=True)
            for job in JOBS:
                for name, way in all_ways.items():
                    value = way.measure(job, args.seconds)
                    if i > 0:  # the first round warms up
                        found[name][job[0]].append(value)
    print(f"{machine()}. {versions()}. {args.rounds} rounds of {args.seconds:g} s.\n")
    report(results, found)
    results.save()
    print("| | " + " | ".join(f"{job[0]} | times veth" for job in JOBS) + " |")
    print("|---|" + "---|---|" * len(JOBS))
    for name, rows in found.items():
        print(f"| {name} | " + " | ".join(cell(rows[job[0]], found["veth"][job[0]]) for job in JOBS) + " |")
    if args.require and missed(found):
        raise SystemExit(f"missed: {'; '.join(missed(found))}")


if __name__ == "__main__":
    os.environ.pop("BERTH_NETWORK", None)
    main()
