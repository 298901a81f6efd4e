"""How the tests drive berth-runtime: as an engine does, by its command line. The test process is the containers' reaper, as a
shim is, so that their exit codes are known."""

import ctypes
import errno
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
CGROUPS = Path("/sys/fs/cgroup")


def become_subreaper():
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


@dataclass
class Result:
    code: int
    out: str
    err: str

    def __str__(self):
        return f"exit {self.code}\n--- stdout\n{self.out[-4000:]}\n--- stderr\n{self.err[-4000:]}"


def comm(pid):
    """The name a process goes by, or nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def until(condition, what, patience=60):
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {patience} s for {what}"
        time.sleep(0.01)


def reap(pid: int, patience=60) -> int:
    """The exit status, by the shell's convention, of a process that has become this one's child."""
    done = {}

    def ended():
        got, status = os.waitpid(pid, os.WNOHANG)
        done["status"] = status
        return got == pid

    until(ended, f"the end of process {pid}", patience)
    status = done["status"]
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def reap_any(pids: list):
    for pid in list(pids):
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                pids.remove(pid)
        except ChildProcessError:
            pids.remove(pid)


def cgroups_of(path: str) -> list:
    """The directories of a cgroup path, in every hierarchy."""
    found = []
    for pattern in (path.lstrip("/"), "*/" + path.lstrip("/")):
        found += [p for p in CGROUPS.glob(pattern) if p.is_dir()]
    return found


def default_cgroups(name: str) -> list:
    """Those of a container whose config.json names none."""
    return cgroups_of(f"/berth-{name}")


def link_or_copy(source: Path, target: Path):
    """A link is spared a copy; between file systems there is none."""
    try:
        os.link(source, target)
    except OSError as e:
        if e.errno != errno.EXDEV:
            raise
        shutil.copy(source, target)


class Bundle:
    """A bundle of busybox, and its config.json as a dict: changed by the test, written by save()."""

    def __init__(self, where: Path, runtime):
        self.where, self.rootfs = where, where / "rootfs"
        for d in ("bin", "etc", "proc", "sys", "dev", "tmp"):
            (self.rootfs / d).mkdir(parents=True)
        link_or_copy(runtime.busybox, self.rootfs / "bin/busybox")
        for applet in runtime.applets:
            (self.rootfs / "bin" / applet).symlink_to("busybox")
        (self.rootfs / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n10:x:0:0::/:/bin/sh\n")
        self.write_spec(runtime)
        self.config = json.loads((where / "config.json").read_text())
        self.config["process"]["terminal"] = False
        self.config["root"]["readonly"] = False
        self.args("sleep", "1000")

    def write_spec(self, runtime):
        runtime.ok("spec", "--bundle", self.where)

    def args(self, *argv):
        self.config["process"]["args"] = list(argv)
        return self.save()

    def python(self, script: str, *argv):
        """By the host's own interpreter: for what busybox can't do."""
        for name in ("usr", "lib", "lib64"):
            host, here = Path("/") / name, self.rootfs / name
            if host.is_symlink():
                here.symlink_to(os.readlink(host))
            elif host.is_dir():
                self.config["mounts"].append({"destination": f"/{name}", "source": str(host), "type": "bind",
                                              "options": ["rbind", "ro"]})
        return self.args("/usr/bin/python3", "-I", "-c", script, *map(str, argv))

    def sh(self, script: str):
        return self.args("sh", "-c", script)

    def save(self):
        (self.where / "config.json").write_text(json.dumps(self.config))
        return self


class Runtime:
    def __init__(self, build: Path, where: Path):
        self.build, self.root = build, where / "root"
        self.program = build / "src/main/berth-runtime"
        self.under = []  # a program that runs it, and its arguments
        self.busybox = where / "busybox"  # the bundles' are links to it
        shutil.copy("/bin/busybox", self.busybox)
        self.applets = """cat echo env false grep id kill ls mkdir mount ps pwd readlink rm sed seq sh sleep stat stty test touch
            true tty wc""".split()

    def argv(self, *args):
        return [*map(str, self.under), str(self.program), "--root", str(self.root), *map(str, args)]

    def popen(self, *args, **kw):
        kw = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kw}
        return subprocess.Popen(self.argv(*args), **kw)

    def __call__(self, *args, input=None, timeout=60, **kw) -> Result:
        """Output goes to files: a created container holds on to what it was given."""
        with os.fdopen(os.memfd_create("out"), "r+b") as out, os.fdopen(os.memfd_create("err"), "r+b") as err:
            stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
            with self.popen(*args, stdin=stdin, stdout=out, stderr=err, **kw) as p:
                if input is not None:
                    p.stdin.write(input.encode())
                    p.stdin.close()
                try:
                    p.wait(timeout)
                except subprocess.TimeoutExpired:
                    p.kill()
                    raise
            out.seek(0)
            err.seek(0)
            return Result(p.returncode, out.read().decode(errors="replace"), err.read().decode(errors="replace"))

    def ok(self, *args, **kw) -> str:
        r = self(*args, **kw)
        assert r.code == 0, f"{' '.join(map(str, args))}: {r}"
        return r.out

    def fails(self, *args, code=1, says="", **kw) -> str:
        """The one line on stderr of a command that has to fail."""
        r = self(*args, **kw)
        where = f"{' '.join(map(str, args))}: {r}"
        assert r.code == code, where
        assert r.err.count("\n") == 1 and r.err.startswith("berth-runtime: "), f"expected one line: {where}"
        for word in [says] if isinstance(says, str) else says:
            assert word in r.err, f"{word!r} is not in it: {where}"
        return r.err

    def state(self, name) -> dict:
        return json.loads(self.ok("state", name))

    def status(self, name) -> str:
        return self.state(name)["status"]


class Box:
    """A test's containers: named, and removed when it is over."""

    def __init__(self, runtime: Runtime, where: Path):
        self.rt, self.where, self.names, self.n_bundles = runtime, where, [], 0

    def bundle(self) -> Bundle:
        self.n_bundles += 1
        return Bundle(self.where / f"bundle{self.n_bundles}", self.rt)

    def name(self) -> str:
        self.names.append(f"t{os.getpid()}-{self.where.name}-{len(self.names)}"[:100])
        return self.names[-1]

    def create(self, bundle: Bundle, *opts, **kw) -> str:
        name = self.name()
        self.rt.ok("create", "--bundle", bundle.where, *opts, name, **kw)
        return name

    def start(self, bundle: Bundle, *opts, **kw) -> str:
        name = self.create(bundle, *opts, **kw)
        self.rt.ok("start", name)
        return name

    def output(self, bundle: Bundle, script: str, code=0) -> str:
        """What a script says in the container, by `run`."""
        r = self.rt("run", "--bundle", bundle.sh(script).where, self.name())
        assert r.code == code, r
        return r.out

    def clean(self):
        for name in self.names:
            r = self.rt("ps", "--format", "json", name)
            pids = json.loads(r.out) if r.code == 0 else []
            with self.rt.popen("delete", "--force", name) as p:
                # The first process of a pid namespace is gone only when all others have been reaped.
                until(lambda: reap_any(pids) or p.poll() is not None, f"delete --force {name}")
                assert p.returncode == 0, p.stderr.read()
            reap_any(pids)
            assert not (self.rt.root / name).exists(), f"{name} left its record"
            assert not default_cgroups(name), f"{name} left its cgroup"


class FdSocket:
    """What a shim listens on for a descriptor: the terminal's master, a process's pidfd."""

    def __init__(self, where: Path):
        self.path = where / "sock"
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(self.path))
        self.sock.listen()
        self.sock.settimeout(60)

    def take(self) -> tuple:
        """(descriptor, the message that it came with)"""
        conn, _ = self.sock.accept()
        with conn:
            data, fds, _, _ = socket.recv_fds(conn, 4096, 1)
        return fds[0], data

    def close(self):
        self.sock.close()


def read_until(fd: int, wanted: bytes, patience=60) -> bytes:
    got, deadline = b"", time.monotonic() + patience
    while wanted not in got:
        ready, _, _ = select.select([fd], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"waited {patience} s for {wanted!r}, got {got!r}"
        try:
            chunk = os.read(fd, 4096)
        except OSError:  # EIO: nobody holds the other side
            chunk = b""
        assert chunk, f"ended before {wanted!r}: {got!r}"
        got += chunk
    return got


def on_terminal(argv, rows=24, cols=80):
    """(pid, master) of a program on a terminal of its own."""
    pid, master = pty.fork()
    if pid == 0:
        os.execv(argv[0], argv)
    import fcntl
    import struct
    import termios
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
    os.kill(pid, signal.SIGWINCH)
    return pid, master
