#!/usr/bin/env python3
"""Many containers, and containers that are there: side by side with podman and docker on the same image, without network.

  at once   N `run --rm IMAGE true` begun together, until the last has ended; the engines take turns
  exec      `exec NAME true` in a running container, whole process
  ps        `ps -a` and `ps -aq` of N containers (Berth's alone: making as many takes the peers minutes)
  idle      memory outside the containers' own processes, ten running: PSS (proc_pid_smaps(5)) of what the engine keeps for each

Prints Markdown for docs/PERFORMANCE.md. Needs root and what peers.py needs."""

import argparse
import os
import subprocess
import time
from pathlib import Path

from peers import ENV, TOP, Bench, interleaved, machine, run_once, table, tool, versions
from results import Results


def at_once(peer: dict, n: int) -> float:
    """Seconds. All of them have to succeed."""
    began = time.perf_counter()
    running = [subprocess.Popen(peer["argv"], env={**ENV, **peer["env"]}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True) for _ in range(n)]
    said = [p.communicate()[1] for p in running]
    took = time.perf_counter() - began
    failed = [s for p, s in zip(running, said) if p.returncode != 0]
    if failed:
        raise SystemExit(f"{len(failed)} of {n} failed: {peer['argv'][0]}: {failed[0]}")
    return took


def detached(peer: dict, name: str, network="none"):
    tool(*peer["base"], "run", "-d", "--network", network, "--name", name, peer["image"], "sleep", "100000", env=peer["env"])


def removed(peer: dict, names):
    tool(*peer["base"], "rm", "-f", *names, env=peer["env"])


def processes(where: Path) -> set:
    """Those whose command line or environment speaks of a directory: an engine's, but not what runs in its containers."""
    found = set()
    for d in Path("/proc").iterdir():
        try:
            if d.name.isdigit() and str(where).encode() in (d / "cmdline").read_bytes() + (d / "environ").read_bytes():
                found.add(int(d.name))
        except OSError:  # it has ended
            pass
    return found - {os.getpid()}


def pss_kib(pid: int) -> int:
    return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))


def idle(peer: dict, where: Path, n: int, network="none"):
    """(processes, KiB) for each container, beside those that run in it and those that are there without any."""
    names = [f"idle-{i}" for i in range(n)]
    before = processes(where)
    for name in names:
        detached(peer, name, network)
    time.sleep(3)  # what was started for the start alone has ended
    kept = processes(where) - before
    result = len(kept) / n, sum(pss_kib(p) for p in kept) / n
    removed(peer, names)
    return result


def listed(peer: dict, n: int, runs: int) -> dict:
    for i in range(n):
        run_once([*peer["base"], "create", "--network", "none", "--name", f"many-{i}", peer["image"], "true"], peer["env"])
    times = interleaved({" ".join(words): {**peer, "argv": [*peer["base"], *words]} for words in (("ps", "-a"), ("ps", "-aq"), ("ps",))}, runs)
    count = len(tool(*peer["base"], "ps", "-aq", env=peer["env"]).split())
    if count != n:
        raise SystemExit(f"{count} containers are listed, of {n}")
    removed(peer, [f"many-{i}" for i in range(n)])
    return times


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", type=Path, default=TOP / "build", help="Berth's build directory")
    ap.add_argument("--runs", type=int, default=20)
    ap.add_argument("--rounds", type=int, default=3, help="of many at once")
    ap.add_argument("-n", type=int, default=100, help="how many at once")
    ap.add_argument("--listed", type=int, default=1000, metavar="N", help="how many `ps` lists")
    ap.add_argument("--peers", default="berth,podman,docker")
    ap.add_argument("--only", default="at once,exec,ps,idle")
    Results.option(ap)
    args = ap.parse_args()
    results = Results(args.results)
    only = args.only.split(",")
    with Bench(args.build) as bench:
        bench.make_image()
        peers = bench.set_up(args.peers.split(","))
        if "berth" not in peers:
            raise SystemExit("berth itself can't run here")
        print(f"{machine()}. {versions()}.\n")
        if "at once" in only:
            times = {name: [] for name in peers}
            for _ in range(args.rounds):
                for name, peer in peers.items():
                    times[name].append(at_once(peer, args.n))
            results.add("Start-up", f"at-once.{args.n}", f"{args.n} starts at once, without network", "ms", {n: [s * 1000 for s in t] for n, t in times.items()},
                        how="`run --rm IMAGE true`, begun together, until the last has ended.")
            print(f"{args.n} `run --rm` at once, {args.rounds} rounds:\n\n{table(times, 'berth', 's')}\n")
        if "exec" in only:
            for peer in peers.values():
                detached(peer, "exec")
            times = interleaved({name: {**p, "argv": [*p["base"], "exec", "exec", "true"]} for name, p in peers.items()}, args.runs)
            for peer in peers.values():
                removed(peer, ["exec"])
            results.add("Start-up", "exec", "`exec NAME true`", "ms", times)
            print(f"`exec NAME true`, {args.runs} runs:\n\n{table(times, 'berth')}\n")
        if "idle" in only:
            print("| ten running | processes each | PSS each, KiB |\n|---|---|---|")
            kept = {name: idle(peer, bench.dir, 10) for name, peer in peers.items()}
            for name, (count, kib) in kept.items():
                print(f"| {name} | {count:.1f} | {kib:.0f} |")
            results.add("Memory", "idle.no-network", "Kept for each of ten running, without network", "KiB", {n: [kib] for n, (_, kib) in kept.items()},
                        how="PSS of all of the engine's processes outside the containers, a tenth of it.")
            print()
        if "ps" in only:
            times = listed(peers["berth"], args.listed, args.runs)
            results.add("Many", f"ps.{args.listed}", f"`ps -aq` of {args.listed}", "ms", {"berth": times["ps -aq"]})
            print(f"{args.listed} containers, {args.runs} runs:\n\n{table(times, 'ps -aq')}")
    results.save()


if __name__ == "__main__":
    main()
