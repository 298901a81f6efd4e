"""What must not be left of a session: processes, mounts, cgroups, run directories."""

import os
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def cgroups() -> set:
    """Every container's cgroup below a `berth` one, in each hierarchy."""
    found = set()
    for pattern in ("berth/*", "*/berth/*"):
        found.update(p for p in CGROUPS.glob(pattern) if p.is_dir())
    return found


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def processes(where: Path) -> list:
    """Processes that have the session's directory in their command line, binary or working directory; of a VMM and what serves its disks, which know no
    path of the host, the root of its jail tells whose it is."""
    found = []
    for p in Path("/proc").glob("[0-9]*"):
        if p.name == str(os.getpid()):
            continue
        links = ""
        for link in ("exe", "cwd", "root"):
            try:
                links += os.readlink(p / link) + "\n"
            except OSError:
                pass
        cmdline = _read(p / "cmdline")
        jail = _read(p / "mountinfo") if "qemu-" in cmdline else ""
        if str(where) in cmdline + links + jail:
            found.append(f"{p.name}: {cmdline.replace(chr(0), ' ').strip() or _read(p / 'comm').strip()}")
    return found


def mounts(where: Path) -> list:
    return [line for line in _read(Path("/proc/self/mountinfo")).splitlines() if str(where) in line]


def check(where: Path, run_dir: Path, cgroups_before: set, patience=30):
    """Waits a little for what is on its way out, then names what is left."""
    began, empty_since = time.monotonic(), {}
    while True:
        now = time.monotonic()
        # Another session's running containers are not ours, nor what it makes or removes just now; an empty cgroup that stays is somebody's leak.
        empty = {str(c) for c in cgroups() - cgroups_before if not any(_read(p).strip() for p in c.rglob("cgroup.procs"))}
        empty_since = {c: empty_since.get(c, now) for c in empty}
        stays = [c for c, since in empty_since.items() if now - since >= 2 or now - began < 2]
        runs = [str(p) for kind in ("containers", "pods") for p in (run_dir / kind).glob("*")]
        left = {"processes": processes(where), "mounts": mounts(where), "cgroups": stays, "run directories": runs}
        if not any(left.values()):
            return
        if now > began + patience:
            break
        time.sleep(0.2)
    raise AssertionError("left behind: " + "; ".join(f"{k}: {v}" for k, v in left.items() if v))
