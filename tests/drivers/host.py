"""A host of its own for an engine: one set of namespaces on this machine, which ends as a whole.

The first process of its PID namespace reads a pipe that the test holds: when the tests end, however they end, the kernel kills
every daemon, shim and container in it, and its mounts, network devices and firewall rules go with them. What engines keep under
/run and /var lies on file systems of its mount namespace alone. Only cgroups and one directory are shared with the machine;
these are looked at, and removed, at the end."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# What this machine's own engines may have there is neither seen nor written to.
PRIVATE = ("/run", "/var/lib/cni", "/var/lib/containers", "/var/lib/docker", "/etc/cni", "/etc/docker")
FIRST = """hostname "$1"; shift
ip link set lo up
for d; do
	[ ! -d "$d" ] || mount -t tmpfs -o mode=755 private "$d" || exit 1
done
mkdir -p /run/lock
echo ready
read -r _ # meanwhile bash waits for all that is orphaned here
"""


@dataclass
class Result:
    code: int
    out: str
    err: str

    def __str__(self):
        return f"exit {self.code}\n--- stdout\n{self.out[-4000:]}\n--- stderr\n{self.err[-4000:]}"


def until(condition, what, patience=60):
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {patience} s for {what() if callable(what) else what}"
        time.sleep(0.1)
    return value


def execute(argv, env=None, stdin=None, timeout=120) -> Result:
    """The command's result; one that does not end is an error that shows what it said."""
    with subprocess.Popen(argv, env={**os.environ, "LC_ALL": "C", **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL) as p:
        try:
            out, err = p.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            raise AssertionError(f"still running after {timeout} s: {' '.join(argv)}\n{out.decode()}\n{err.decode()}") from None
    return Result(p.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


class Host:
    def __init__(self, where: Path, name: str):
        """where: a directory for this host alone. name: its own, and that of its containers' parent cgroup."""
        self.dir, self.name, self.daemons = where, name, []
        where.mkdir(mode=0o755)
        self.first = subprocess.Popen(
            ["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc",
             "bash", "-c", FIRST, "bash", name, *PRIVATE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.first.stdout.readline() == b"ready\n", "the host's namespaces could not be made"
        self.pid = children(self.first.pid)[0]

    def argv(self, *argv) -> list:
        """The command inside."""
        return ["nsenter", "-t", str(self.pid), "-m", "-n", "-u", "-i", "-p", "--", *map(str, argv)]

    def __call__(self, *argv, **kw) -> Result:
        return execute(self.argv(*argv), **kw)

    def ok(self, *argv, **kw) -> str:
        r = self(*argv, **kw)
        assert r.code == 0, f"{' '.join(map(str, argv))}: {r}"
        return r.out.strip()

    # ---- daemons ----

    def daemon(self, name: str, *argv, env=None) -> "Daemon":
        d = Daemon(self, self.dir / f"{name}.log", argv, env)
        self.daemons.append(d)
        return d

    # ---- what is there ----

    def processes(self) -> dict:
        """All but the first: pid as this machine counts -> command line."""
        found = {}
        for p in Path("/proc").glob("[0-9]*"):
            try:
                if int(p.name) != self.pid and self._holds(int(p.name)):
                    found[int(p.name)] = (p / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def _holds(self, pid: int) -> bool:
        """In its PID namespace, or in one of a container's: then an ancestor is."""
        while pid > 1:
            if os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{self.pid}/ns/pid"):
                return True
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return False

    def mounts(self) -> list:
        return [line for line in Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines() if f" {self.dir}/" in line]

    def cgroup_parents(self) -> list:
        return [top for pattern in (self.name, f"*/{self.name}") for top in CGROUPS.glob(pattern)]

    def cgroups(self) -> list:
        return [str(d) for top in self.cgroup_parents() for d in top.rglob("*") if d.is_dir()]

    def check_clean(self, patience=60):
        def left():
            found = {"processes": self.processes(), "mounts": self.mounts(), "cgroups": self.cgroups()}
            return {k: v for k, v in found.items() if v}
        until(lambda: not left(), lambda: f"nothing to be left on {self.name}, but there is {left()}", patience)

    def end(self):
        """In whatever state it is."""
        self.first.stdin.close()
        self.first.wait()
        self.first.stdout.close()
        for d in self.daemons:
            d.process.wait()
        for top in self.cgroup_parents():
            for d in sorted((d for d in top.rglob("*") if d.is_dir()), reverse=True):
                _rmdir(d)
            _rmdir(top)
        shutil.rmtree(self.dir)


class Daemon:
    def __init__(self, host: Host, log: Path, argv, env):
        self.log = log
        with open(log, "ab") as f:
            self.process = subprocess.Popen(host.argv(*argv), env={**os.environ, "LC_ALL": "C", **(env or {})},
                                            stdin=subprocess.DEVNULL, stdout=f, stderr=f)

    @property
    def pid(self) -> int:
        return children(self.process.pid)[0]  # nsenter's child: only that is in the PID namespace

    def wait_for(self, condition, patience=60):
        def ready():
            assert self.process.poll() is None, f"{self.log.stem} ended:\n{self.log.read_text()[-3000:]}"
            return condition()
        until(ready, lambda: f"{self.log.stem}:\n{self.log.read_text()[-3000:]}", patience)

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        self.process.wait(60)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait(60)


def children(pid: int) -> list:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _rmdir(path: Path):
    """The kernel may still be letting go of what was killed."""
    for _ in range(100):
        try:
            return path.rmdir()
        except FileNotFoundError:
            return None
        except OSError:
            time.sleep(0.1)
    return path.rmdir()
