#!/usr/bin/env python3
"""Every benchmark side by side with the peers that are here, in one run: `./bench` in a few minutes, `./bench --full` with as many runs as
docs/PERFORMANCE.md has, held to the aims of SPECIFICATION.md. What can't be measured here is said and left out.

Writes bench.json (docs/FORMATS.md) and bench.html below --out, prints the table, and with --against OLD.json what has become slower since:
then its status is 1. Needs root, a build (--build) and what each benchmark needs; nothing else should be at work on the machine."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peers
from results import Results

HERE = Path(__file__).resolve().parent
# name, program, arguments of a quick run, of a full one, whether it needs a KVM that is good for guests
STEPS = (
    ("runtime", "runtime.py", ("--runs", "15"), ("--runs", "60", "--many", "50", "--require"), False),
    ("runtime with seccomp", "runtime.py", ("--runs", "10", "--case", "seccomp"), ("--runs", "60", "--case", "seccomp", "--require"), False),
    ("run", "run.py", ("--runs", "10"), ("--runs", "40", "--require"), False),
    ("many", "many.py", ("--runs", "8", "--rounds", "1", "-n", "20", "--listed", "200"), ("--runs", "20", "--rounds", "3"), False),
    ("network", "network.py", ("--runs", "6", "--rounds", "1", "-n", "20", "--only", "run,at once,idle"), ("--runs", "20", "--rounds", "7", "--require"), False),
    ("network speed", "network_speed.py", ("--rounds", "3", "--seconds", "0.2"), ("--rounds", "7", "--require"), False),
    ("pull", "pull.py", ("--runs", "2", "--limit", "20"), ("--runs", "5", "--require"), False),
    ("VM", "vm.py", ("--runs", "3"), ("--runs", "20"), False),
    ("boot", "vmm_boot.py", ("-n", "5", "--kernel", "KERNEL"), ("-n", "11", "--kernel", "KERNEL", "--require"), True),
    ("disk and network of a VM", "vmm_io.py", ("-n", "1", "-s", "0.5", "--kernel", "KERNEL"), ("-n", "3", "--kernel", "KERNEL"), True),
)


def facts() -> dict:
    cpu, memory, kernel, cgroups = peers.machine().rsplit(", ", 3)
    return {"Processors": cpu, "Memory": memory, "System": kernel, "Control groups": cgroups.removeprefix("cgroups "), "Peers": peers.versions()}


def has_kvm(berth: Path) -> bool:
    with tempfile.TemporaryDirectory() as where:
        said = peers.tool(berth, "--root", f"{where}/root", "--run", f"{where}/run", "info", "--format", "{{json .Isolations}}")
    return json.loads(said)["vm"] == "available"


def measure(step, args, part: Path) -> str | None:
    """Why there is nothing of it; None: there is."""
    name, program, quick, full, needs_kvm = step
    words = [str(args.kernel) if w == "KERNEL" else w for w in (full if args.full else quick)]
    if name == "boot" and args.kvmtool:
        words += ["--kvmtool", args.kvmtool]
    if needs_kvm and not args.has_kvm:
        return "no KVM here on which guests run"
    if needs_kvm and not args.kernel:
        return "needs --kernel, a directory of guest/build-kernel"
    build = () if needs_kvm else ("--build", args.build)
    began = time.monotonic()
    print(f"# {name} ...", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, HERE / program, *build, *words, "--results", part], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, "BERTH_BUILD": str(args.build)})
    for line in done.stderr.splitlines():
        if line.startswith("# left out"):
            print(line, file=sys.stderr)
    if args.verbose:
        print(done.stdout, flush=True)
    print(f"# {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    if done.returncode != 0:
        return f"exit {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}"
    return None


def worse(berth: Path, now: Path, then: Path) -> list:
    """Figures of Berth's own that are worse than then, beyond what the runs' spread explains."""
    said = json.loads(peers.tool(berth, "compare", "--from", now, "--against", then, "--format", "json"))
    return [f"{row['id']}, {row['way']}: {row['ratio']:.2f} times what it was" for row in said["against"]["rows"]
            if row["verdict"] == "worse" and row["way"].startswith("berth")]


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", type=Path, default=peers.TOP / "build", help="Berth's build directory")
    ap.add_argument("--out", type=Path, default=Path("."), help="where bench.json and bench.html go")
    ap.add_argument("--full", action="store_true", help="as many runs as docs/PERFORMANCE.md has")
    ap.add_argument("--only", help="these steps, with commas: " + ", ".join(s[0] for s in STEPS))
    ap.add_argument("--kernel", type=Path, help="of guest/build-kernel, for what needs KVM")
    ap.add_argument("--kvmtool", default=shutil.which("lkvm"), help="its program, for the boots; default: lkvm of the PATH, where it is")
    ap.add_argument("--against", type=Path, metavar="OLD.json", help="an earlier bench.json")
    ap.add_argument("-v", "--verbose", action="store_true", help="also what each benchmark prints")
    args = ap.parse_args()
    berth = args.build.resolve() / "src/main/berth"
    if os.geteuid() != 0 or not berth.exists():
        ap.error("run it as root" if berth.exists() else f"{berth} is not built")
    only = args.only.split(",") if args.only else [s[0] for s in STEPS]
    unknown = set(only) - {s[0] for s in STEPS}
    if unknown:
        ap.error(f"no such step: {', '.join(sorted(unknown))}")
    args.build, args.has_kvm = args.build.resolve(), has_kvm(berth)
    results, failed = Results(None), 0
    results.way("berth")  # what the others are held against
    with tempfile.TemporaryDirectory() as where:
        for step in (s for s in STEPS if s[0] in only):
            part = Path(where) / "part.json"
            part.unlink(missing_ok=True)
            why = measure(step, args, part)
            if why:
                print(f"# left out: {step[0]}: {why}", file=sys.stderr, flush=True)
                failed += "exit" in why.split()[:1]
            if part.exists():
                results.merge(part)
    args.out.mkdir(parents=True, exist_ok=True)
    now = args.out / "bench.json"
    version = peers.tool(berth, "version", "--format", "{{.Client.Version}}").strip()
    now.write_text(json.dumps(results.document("Berth beside its peers", facts(), version), indent=1))
    words = ["--against", args.against] if args.against else []
    print(peers.tool(berth, "compare", "--from", now, "--html", args.out / "bench.html", *words))
    regressions = worse(berth, now, args.against) if args.against else []
    for line in regressions:
        print(f"regression: {line}", file=sys.stderr)
    return 1 if failed or regressions else 0


if __name__ == "__main__":
    sys.exit(main())
