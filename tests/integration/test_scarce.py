"""A disk that can't be written to, no more descriptors, no more processes: each is an error that says so, and nothing is left of it."""

import errno
import json
import os
import re
import resource
import signal
import subprocess

import pytest

import images
import leaks
from harness import PATIENCE, until

SYNCS = ("fsync", "fdatasync", "syncfs")


@pytest.fixture(autouse=True)
def no_search_for_leaks(monkeypatch):
    """LeakSanitizer traces its process by another one: it neither works under a tracer nor where there are no processes to be had."""
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")


def listed(berth, kind) -> set:
    return set(berth.ok(*kind).split())


def nothing_new(berth, before):
    """What the next commands see: the containers that were there, and neither process nor run directory of another."""
    until(lambda: listed(berth, ("ps", "-aq", "--no-trunc")) == before, "no record is left")
    until(lambda: {p.name for p in (berth.run_dir / "containers").glob("*")} <= before, "no run directory is left")
    until(lambda: not [p for p in leaks.processes(berth.root) if "berth" in p and not any(b in p for b in before)], "no process is left")


# ---- F11 ----

VERBS = {
    "create": lambda name, _: ("create", "--network", "none", "--name", name, "IMAGE", "true"),
    "rename": lambda name, _: ("rename", "there", name),
    "update": lambda name, _: ("update", "--memory", "64m", "--memory-swap", "64m", "there"),
    "volume create": lambda name, _: ("volume", "create", name),
    "secret create": lambda name, tmp: ("secret", "create", name, tmp / "word"),
    "pod create": lambda name, _: ("pod", "create", "--name", name),
    "tag": lambda name, _: ("tag", "IMAGE", f"{name}:1"),
    "import": lambda name, tmp: ("import", tmp / "tar", f"{name}:1"),
    "commit": lambda name, _: ("commit", "there", f"{name}:1"),
    "load": lambda _, tmp: ("load", "-q", "-i", tmp / "layout"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_F11_what_can_not_be_synced_has_failed(berth, cbox, tmp_path, verb):
    """Each sync of a command, one at a time: none is tried again, since the kernel has forgotten by then what it could not write."""
    (tmp_path / "word").write_text("secret")
    subprocess.run(["tar", "-C", "/etc", "-cf", tmp_path / "tar", "passwd"], check=True)
    images.little(tmp_path / "layout", "synced:1", b"x")
    names = [f"sync-{os.urandom(3).hex()}"]

    def tried(*how):
        """The command as it is now, under the tool -> (exit status, stderr, report)."""
        berth("rm", "-f", *names)
        berth("pod", "rm", "-f", "-i", *names)
        berth("rmi", "-f", "synced:1", *[f"{n}:1" for n in names])
        berth("volume", "rm", "-f", *names)
        berth("secret", "rm", "--ignore", *names)
        if verb in ("rename", "update", "commit"):
            berth("rm", "-f", "there")
            berth.ok("create", "--network", "none", "--name", "there", cbox.image, "true")
        names.append(f"sync-{os.urandom(3).hex()}")
        argv = berth.argv(*[cbox.image if a == "IMAGE" else a for a in VERBS[verb](names[-1], tmp_path)])
        done = subprocess.run([berth.build / "tests/tools/fault_at", *how, tmp_path / "report", *argv], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr, (tmp_path / "report").read_text()

    try:
        code, err, report = tried("list")
        assert code == 0, err
        points = [line.split() for line in report.splitlines() if line.split()[1] in SYNCS]
        # SQLite's first is the commit's. The others are of its log's name, which has long been there, and of a checkpoint, which is tried again.
        points = [p for p in points if p[1] != "fdatasync" or p[2] == "1"]
        assert points, "nothing is synced"
        for process, call, n in points:
            code, err, report = tried(process, call, n, str(errno.EIO))
            assert report == "hit\n", (process, call, n)
            assert code == 125 and re.search("Input/output error|disk I/O error", err), (process, call, n, code, err)
            rows = [json.loads(line) for line in berth("system", "check", "--format", "json").out.splitlines()]
            assert {row["Kind"] for row in rows} <= {"leftover"}, rows
    finally:
        tried("list")
        berth("rm", "-f", "there", *names)
        berth("pod", "rm", "-f", "-i", *names)
        berth("rmi", "-f", "synced:1", *[f"{n}:1" for n in names])
        berth("volume", "rm", "-f", *names)
        berth("secret", "rm", "--ignore", *names)
        berth("system", "prune", "-f")


# ---- F15, F16 ----

def judged(done, says):
    """0, or one line with the reason -> whether it has succeeded."""
    if done.returncode == 0:
        assert done.stdout == "out\n" and done.stderr == "", done
        return True
    assert done.returncode == 125 and done.stderr.count("\n") == 1, done
    assert re.search(says, done.stderr), done
    return False


def run(berth, cbox, before_exec):
    argv = berth.argv("run", "--rm", "--network", "none", cbox.image, "sh", "-c", "echo out")
    return subprocess.run(argv, capture_output=True, text=True, check=False, preexec_fn=before_exec, timeout=60 * PATIENCE)


def test_F15_with_any_number_of_descriptors_a_run_succeeds_or_says_what_lacks(berth, cbox):
    before, outcomes = listed(berth, ("ps", "-aq", "--no-trunc")), []
    for most in range(4, 41, 2):
        done = run(berth, cbox, lambda n=most: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n)))
        outcomes.append(judged(done, os.strerror(errno.EMFILE) + "|descriptors|open files"))
        nothing_new(berth, before)
    assert outcomes[-1] and not outcomes[0], "the limits reach from too few to enough"


@pytest.fixture
def pids():
    """A cgroup that counts processes."""
    top = leaks.CGROUPS / "pids" if (leaks.CGROUPS / "pids").exists() else leaks.CGROUPS
    if top == leaks.CGROUPS and "pids" not in (top / "cgroup.subtree_control").read_text().split():
        (top / "cgroup.subtree_control").write_text("+pids")
    d = top / f"berth-few-{os.getpid()}"
    d.mkdir()
    yield d
    for pid in (d / "cgroup.procs").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    until(lambda: not (d / "cgroup.procs").read_text(), "nothing is in it")
    d.rmdir()


def test_F16_with_any_number_of_processes_a_run_succeeds_or_says_what_lacks(berth, cbox, pids):
    before, outcomes = listed(berth, ("ps", "-aq", "--no-trunc")), []

    def enter():
        (pids / "cgroup.procs").write_text(str(os.getpid()))

    for most in range(1, 13):
        (pids / "pids.max").write_text(str(most))
        until(lambda: (pids / "pids.current").read_text() == "0\n", "who has ended is collected")
        done = run(berth, cbox, enter)
        outcomes.append(judged(done, os.strerror(errno.EAGAIN) + "|process"))
        nothing_new(berth, before)
    assert outcomes[-1] and not outcomes[0], "the limits reach from too few to enough"
