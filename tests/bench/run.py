#!/usr/bin/env python3
"""How long `run --rm --network none IMAGE true` takes, whole process, side by side with the peers on the same image.

Prints Markdown for docs/PERFORMANCE.md. Needs root; busybox-static, umoci and skopeo for the image, and whichever of runc, crun,
podman and docker.io is to be compared with. --idle waits before each run: what a person sees who types one command."""

import argparse
from pathlib import Path

from peers import TOP, Bench, interleaved, machine, slower, table, versions
from results import Results

LABELS = {"berth": "`berth run`", "runc": "`runc run` (bundle alone, no seccomp profile)", "crun": "`crun run` (bundle alone)",
          "podman": "`podman run`", "docker": "`docker run`"}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", type=Path, default=TOP / "build", help="Berth's build directory")
    ap.add_argument("--runs", type=int, default=30)
    ap.add_argument("--idle", type=float, default=0, metavar="MS", help="wait before every run")
    ap.add_argument("--peers", default="berth,runc,crun,podman,docker")
    ap.add_argument("--require", action="store_true", help="fail unless faster than runc and 20 times faster than podman and docker")
    Results.option(ap)
    args = ap.parse_args()
    results = Results(args.results)
    with Bench(args.build) as bench:
        bench.make_image()
        peers = bench.set_up(args.peers.split(","))
        if "berth" not in peers:
            raise SystemExit("berth itself can't run here")
        times = interleaved(peers, args.runs, args.idle)
    results.add("Start-up", "run.no-network", "`run --rm --network none IMAGE true`", "ms", times, how="The whole process; runc and crun run a bundle alone.")
    results.save()
    print(f"`run --rm --network none IMAGE true`, {args.runs} runs each, interleaved" +
          (f", {args.idle:.0f} ms idle before each" if args.idle else "") + f". {machine()}. {versions()}.\n")
    print(table({LABELS[n]: t for n, t in times.items()}, LABELS["berth"]))
    if args.require:
        missed = slower(times, {"runc": 1, "crun": 1, "podman": 20, "docker": 20})
        if missed:
            raise SystemExit(f"missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
