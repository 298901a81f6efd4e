#!/usr/bin/env python3
"""What an OCI runtime's `run` of a static `true` costs, whole process, side by side: berth-runtime, crun, runc, and the floor.

The floor (floor.c) does the same kernel work with nothing around it. The config is `berth-runtime spec`'s, the same file for all.
  --case default   as it is
  --case no-net    without a network namespace
  --case seccomp   with Berth's built-in profile, which is Docker's with small changes (the floor loads its filter, ready made)
Prints Markdown for docs/PERFORMANCE.md. Needs root and gcc; --idle waits before each run; --many N also starts N in a row and N
at once. crun of Debian 12 refuses hybrid cgroups and is run where the v2 hierarchy seems to have no controllers."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from peers import TOP, Bench, Unavailable, machine, need, run_once, slower, table, tool, versions
from results import Results


class Runtimes(Bench):
    """A bundle, and the runtimes that can run it. Each is a function of an id that gives an argv."""

    def prepare(self, case: str, cc: str):
        self.case = case
        self.state = Path("/dev/shm") / self.dir.name
        self.state.mkdir(mode=0o700)
        self.cleanups.append(lambda: shutil.rmtree(self.state))
        bundle = self.dir / "bundle"
        for folder in ("bin", "proc", "sys", "dev", "etc", "tmp"):
            (bundle / "rootfs" / folder).mkdir(parents=True)
        source = self.dir / "true.c"
        source.write_text("int main(void) { return 0; }\n")
        tool(cc, "-O2", "-static", source, "-o", bundle / "rootfs/bin/true")
        for name in ("floor", "peak"):
            tool(cc, "-O2", "-static", Path(__file__).with_name(f"{name}.c"), "-o", self.dir / name)
        tool(self.build / "src/main/berth-runtime", "spec", "--bundle", bundle)
        config = json.loads((bundle / "config.json").read_text())
        config["ociVersion"] = "1.0.2"  # crun of Debian 12 knows no newer one
        config["process"].update(args=["/bin/true"], terminal=False)
        for rule in config["linux"]["resources"]["devices"]:  # any number: left out is what all of them understand
            for key in [k for k in ("major", "minor") if rule.get(k) == -1]:
                del rule[key]
        if case == "no-net":
            config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "network"]
        if case == "seccomp":
            config["linux"]["seccomp"] = json.loads(tool(self.build / "tests/tools/seccomp_default"))
            tool(self.build / "tests/tools/seccomp_default", "--filter", self.dir / "filter")
        (bundle / "config.json").write_text(json.dumps(config))
        self.bundle = bundle

    def floor(self):
        extra = {"no-net": ["--no-net"], "seccomp": ["--filter", str(self.dir / "filter")]}.get(self.case, [])
        return lambda ident: [str(self.dir / "floor"), str(self.bundle / "rootfs"), *extra]

    def _oci(self, program):
        # The state on a tmpfs, as /run is one wherever there is an init.
        argv = [str(program), "--root", str(self.state / Path(program).name), "run", "-b", str(self.bundle)]
        return lambda ident: [*argv, ident]

    def berth_runtime(self):
        return self._oci(self.build / "src/main/berth-runtime")

    def runc(self):
        return self._oci(need("runc"))

    def bubblewrap(self):
        """No OCI runtime: the same root file system, namespaces and mounts, without cgroups, capabilities to keep, or a filter."""
        return lambda ident: [need("bwrap"), "--unshare-all", "--die-with-parent", "--ro-bind", str(self.bundle / "rootfs"), "/", "--proc", "/proc", "--dev", "/dev", "/bin/true"]

    def runsc(self):
        """gVisor: a kernel of its own in a process."""
        argv = [need("runsc"), "--root", str(self.state / "runsc"), "--network=none", "--ignore-cgroups", "run", "--bundle", str(self.bundle)]
        return lambda ident: [*argv, ident]

    def crun(self):
        return self._oci(need(os.environ.get("CRUN", "crun")))


def hide_v2_controllers():
    """For this process and its children: crun then takes the hybrid layout for v1."""
    controllers = "/sys/fs/cgroup/unified/cgroup.controllers"
    if os.path.exists(controllers):
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "--bind", "/dev/null", controllers], check=True)


def in_private_mounts():
    if os.environ.get("BENCH_UNSHARED") != "1":
        os.execvpe("unshare", ["unshare", "-m", sys.executable, *sys.argv], {**os.environ, "BENCH_UNSHARED": "1"})
    hide_v2_controllers()


def many(argv_of, n: int, at_once: bool) -> float:
    """Milliseconds per start."""
    began = time.perf_counter_ns()
    running = []
    for i in range(n):
        p = subprocess.Popen(argv_of(f"bench-{i}"), stdin=subprocess.DEVNULL)
        running.append(p)
        if not at_once:
            p.wait()
    failed = [p for p in running if p.wait() != 0]
    if failed:
        raise SystemExit(f"{len(failed)} of {n} failed: {failed[0].args}")
    return (time.perf_counter_ns() - began) / 1e6 / n


def named(found: dict) -> dict:
    """As all benchmarks call who takes part."""
    return {"berth" if name == "berth_runtime" else name: samples for name, samples in found.items()}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", type=Path, default=TOP / "build", help="Berth's build directory")
    ap.add_argument("--runs", type=int, default=50)
    ap.add_argument("--idle", type=float, default=0, metavar="MS", help="wait before every run")
    ap.add_argument("--case", choices=("default", "no-net", "seccomp"), default="default")
    ap.add_argument("--peers", default="floor,berth_runtime,crun,runc,bubblewrap,runsc")
    ap.add_argument("--many", type=int, default=0, metavar="N", help="also N starts in a row, and N at once")
    ap.add_argument("--require", action="store_true", help="fail unless berth-runtime takes at most 1.3 times the floor, less than crun, and a fifth of runc")
    Results.option(ap)
    args = ap.parse_args()
    results = Results(args.results)
    in_private_mounts()
    with Runtimes(args.build) as bench:
        bench.prepare(args.case, shutil.which("gcc") or "cc")
        peers = {}
        for name in args.peers.split(","):
            try:
                peers[name] = getattr(bench, name)()
                run_once(peers[name]("warm"))
            except (Unavailable, SystemExit) as e:
                print(f"# left out: {name}: {e}", file=sys.stderr)
                peers.pop(name, None)
        times = {name: [] for name in peers}
        for i in range(args.runs):
            for name, argv_of in peers.items():
                time.sleep(args.idle / 1000)
                times[name].append(run_once(argv_of(f"bench-{i}")))
        print(f"`run` of a static `true`, {args.case}, {args.runs} runs each, interleaved" +
              (f", {args.idle:.0f} ms idle before each" if args.idle else "") + f". {machine()}. {versions()}.\n")
        print(table(times, "floor" if "floor" in times else next(iter(times))))
        results.add("Runtime", f"runtime.{args.case}", f"An OCI runtime's `run` of a static `true`, {args.case}", "ms", named(times),
                    how="The floor is one static C file that does the same kernel work alone.")
        peak = {n: [int(tool(bench.dir / "peak", *a(f"mem-{i}"))) for i in range(5)] for n, a in peers.items()}
        results.add("Runtime", f"runtime.{args.case}.peak", f"Its peak memory, {args.case}", "KiB", named(peak))
        results.save()
        print("\npeak memory, KiB: " + ", ".join(f"{n} {statistics.median(v):.0f}" for n, v in peak.items()))
        if args.many:
            for at_once in (False, True):
                print(f"{args.many} {'at once' if at_once else 'in a row'}, ms a start: " +
                      ", ".join(f"{n} {many(a, args.many, at_once):.2f}" for n, a in peers.items()))
        missed = slower(named(times), {"floor": 1 / 1.3, "crun": 1, "runc": 5})
        if args.require and missed:
            raise SystemExit(f"missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
