"""How the tests drive Berth: as a user does, by its command line, on pipes or on a terminal."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

PATIENCE = float(os.environ.get("BERTH_TEST_PATIENCE", "1"))  # how many times longer than usual all may take: in emulated machines
# What a first VM says on stderr of the machine, its kernel and its disk; not the container's, and no error ("berth VERB: ...").
NOTE = re.compile(r"^berth: (no hardware virtualisation|kernel: |image: )[^\n]*\n", re.M)


@dataclass
class Result:
    code: int
    out: str
    err: str
    notes: str = ""  # what NOTE took out of err

    def __str__(self):
        return f"exit {self.code}\n--- stdout\n{self.out[-4000:]}\n--- stderr\n{self.err[-4000:]}"


class Berth:
    """One store and one run directory, and the program that works on them."""

    def __init__(self, build: Path, root: Path, run: Path):
        self.build, self.root, self.run_dir = build, root, run
        self.program = build / "src/main/berth"

    def argv(self, *args):
        return [str(self.program), "--root", str(self.root), "--run", str(self.run_dir), *map(str, args)]

    def popen(self, *args, **kw):
        kw = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kw}
        return subprocess.Popen(self.argv(*args), **kw)

    def __call__(self, *args, input=None, timeout=240, env=None) -> Result:
        if isinstance(input, str):
            input = input.encode()
        with self.popen(*args, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                        env={**os.environ, **env} if env else None) as p:
            try:
                out, err = p.communicate(input, timeout=timeout * PATIENCE)
            except subprocess.TimeoutExpired:
                p.kill()
                out, err = p.communicate()
                raise AssertionError(f"still running after {timeout * PATIENCE} s: {' '.join(p.args)}\n"
                                     f"{Result(-1, out.decode(errors='replace'), err.decode(errors='replace'))}") from None
        err = err.decode(errors="replace")
        notes = "".join(m[0] for m in NOTE.finditer(err))
        return Result(p.returncode, out.decode(errors="replace"), NOTE.sub("", err), notes)

    def ok(self, *args, **kw) -> str:
        """stdout of a command that has to succeed, without the last newline."""
        r = self(*args, **kw)
        assert r.code == 0, f"berth {' '.join(map(str, args))}: {r}"
        return r.out.rstrip("\n")

    def fails(self, *args, code=125, says=(), **kw) -> str:
        """The one line on stderr of a command that has to fail."""
        r = self(*args, **kw)
        where = f"berth {' '.join(map(str, args))}: {r}"
        assert r.code == code, where
        assert r.err.count("\n") == 1 and r.err.endswith("\n"), f"expected one line: {where}"
        for word in [says] if isinstance(says, str) else says:
            assert word in r.err, f"{word!r} is not in it: {where}"
        return r.err

    def inspect(self, name) -> dict:
        return json.loads(self.ok("inspect", name))[0]

    def state(self, name) -> dict:
        return self.inspect(name)["State"]

    def monitor_pid(self, ident) -> int:
        return json.loads((self.run_dir / "containers" / ident / "monitor.json").read_text())["pid"]

    def rests(self, name):
        """Waits until no monitor is left that could start the container again, or write of it."""
        run = self.run_dir / "containers" / self.inspect(name)["Id"]
        until(lambda: not run.exists(), f"the monitor of {name} has left", 60)


class Terminal:
    """A command on a pseudo-terminal, as a person sees it."""

    def __init__(self, argv, rows=24, cols=80):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            self.fd = 0
            self.resize(rows, cols)  # before it looks
            os.execv(argv[0], argv)

    def resize(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def send(self, text: str):
        os.write(self.fd, text.encode())

    def expect(self, pattern: str, timeout=120) -> "re.Match":
        """Waits for the pattern in what came since the last match."""
        deadline = time.monotonic() + timeout * PATIENCE
        while not (m := re.search(pattern, self.seen, re.M)):
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            chunk = b""
            if ready:
                try:
                    chunk = os.read(self.fd, 65536)
                except OSError:  # EIO: the other side has closed
                    pass
            assert chunk, f"no {pattern!r} on the terminal; it shows:\n{self.seen[-3000:]}"
            self.seen += chunk.decode(errors="replace")
        self.seen = self.seen[m.end():]
        return m

    def wait(self, timeout=120) -> int:
        """Exit status; what is still printed is dropped."""
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            ready, _, _ = select.select([self.fd], [], [], 0.1)
            if ready:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, f"it does not end; the terminal shows:\n{self.seen[-3000:]}"
            if not ready:
                continue

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)
            self.pid = 0


class Box:
    """Runs containers of one image behind one isolation, and removes at the end what a test has left."""

    def __init__(self, berth: Berth, isolation: str, image: str):
        self.berth, self.isolation, self.image = berth, isolation, image
        self.names, self.terminals = [], []

    def args(self, *cmd, opts=(), image=None, verb="run"):
        network = () if any(str(o).startswith("--network") for o in opts) else ("--network", "none")
        return (verb, "--isolation", self.isolation, *network, *opts, image or self.image, *cmd)

    def __call__(self, *cmd, opts=(), image=None, **kw) -> Result:
        """`berth run --rm`, to its end."""
        return self.berth(*self.args(*cmd, opts=("--rm", *opts), image=image), **kw)

    def ok(self, *cmd, **kw) -> str:
        r = self(*cmd, **kw)
        assert r.code == 0, f"{cmd}: {r}"
        return r.out.rstrip("\n")

    def sh(self, script, **kw) -> str:
        return self.ok("sh", "-c", script, **kw)

    def name(self) -> str:
        self.names.append(f"t-{uuid.uuid4().hex[:12]}")
        return self.names[-1]

    def start(self, *cmd, opts=(), image=None) -> str:
        """`berth run -d`; the container's name."""
        name = self.name()
        self.berth.ok(*self.args(*cmd, opts=("-d", "--name", name, *opts), image=image))
        return name

    def keep(self, *cmd, opts=(), image=None, **kw):
        """`berth run` without --rm, to its end: (name, result)."""
        name = self.name()
        return name, self.berth(*self.args(*cmd, opts=("--name", name, *opts), image=image), **kw)

    def terminal(self, *args, **kw) -> Terminal:
        self.terminals.append(Terminal(self.berth.argv(*args), **kw))
        return self.terminals[-1]

    def clean(self):
        for t in self.terminals:
            t.close()
        if self.names:
            done = self.berth("rm", "-f", *self.names)
            left = set(self.berth.ok("ps", "-a", "--format", "{{.Names}}").split()) & set(self.names)
            assert not left, f"{left} could not be removed: {done}"


def has_ended(pid: int) -> bool:
    """Collected by whoever collects orphans here, or not yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def watches(pid: int) -> bool:
    """Whether a process has a file or directory whose changes wake it."""
    try:
        return any("inotify wd:" in p.read_text() for p in Path(f"/proc/{pid}/fdinfo").iterdir())
    except (FileNotFoundError, ProcessLookupError):  # it closes some meanwhile
        return False


def stands_still(look, what: str):
    """Waits until what is looked at stays as it is for half a second; it."""
    def twice():
        before = look()
        time.sleep(0.5)
        return before == look() and [before]
    return until(twice, f"{what} stands still")[0]


def until(condition, what: str, timeout=60):
    """Waits for a condition that has no event to wait on; its value."""
    deadline = time.monotonic() + timeout * PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.05)
    return value
