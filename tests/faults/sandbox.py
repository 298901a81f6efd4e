"""Where a fault is injected: mount, cgroup and network namespaces of the worker's own, so that the whole of what is left can be
compared and nothing that others do meanwhile is seen in it. A worker is a process that has called Sandbox.enter(); it is also the
subreaper of all that it starts, so that whatever outlives a command is found among its children."""

import ctypes
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import time
import traceback
from pathlib import Path

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWNET = 0x00020000, 0x02000000, 0x40000000
MS_BIND, MS_REC_PRIVATE = 0x1000, 0x4000 | 0x40000
PR_SET_CHILD_SUBREAPER = 36
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        no = ctypes.get_errno()
        raise OSError(no, f"{name}: {os.strerror(no)}")


def mount(what, where, kind, flags=0, data=None):
    call("mount", what.encode(), str(where).encode(), kind.encode(), flags, data.encode() if data else None)


def hierarchies():
    """(mount point, type, controllers) of each cgroup mount."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        kind, _, options = right.split(" ")
        if kind in ("cgroup", "cgroup2"):
            names = [o for o in options.split(",") if o not in ("rw", "ro") and not o.startswith(("release_agent", "clone"))]
            found.append((Path(left.split(" ")[4]), kind, ",".join(names)))
    return found


class Sandbox:
    def __init__(self, name: str, keep: Path):
        """keep: a directory that stays where it is, wherever that be: what is tried lies in it."""
        self.name, self.where, self.cgroups, self.keep = name, Path("/run/" + name), hierarchies(), keep

    # Called by the worker's parent, which sees the host's whole tree.
    def make(self):
        for point, kind, names in self.cgroups:
            d = point / self.name
            d.mkdir()
            if "cpuset" in names.split(","):
                for f in ("cpuset.cpus", "cpuset.mems"):
                    (d / f).write_text((point / f).read_text())
        self.where.mkdir()

    def remove(self):
        for point, _, _ in self.cgroups:
            for d, _, _ in os.walk(point / self.name, topdown=False):
                os.rmdir(d)
        self.where.rmdir()

    # Called by the worker.
    def enter(self):
        call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        for point, kind, _ in self.cgroups:
            (point / self.name / "cgroup.procs").write_text(str(os.getpid()))
        call("unshare", CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWNET)
        mount("none", "/", "none", MS_REC_PRIVATE)
        for point, kind, names in self.cgroups:
            call("umount2", str(point).encode(), 2)
            mount(kind, point, kind, 0, names if kind == "cgroup" else None)
            if kind == "cgroup2":  # what has processes of its own can have no children with controllers
                (point / "worker").mkdir()
                (point / "worker/cgroup.procs").write_text(str(os.getpid()))
                for c in (point / "cgroup.controllers").read_text().split():
                    (point / "cgroup.subtree_control").write_text("+" + c)
        mount("tmpfs", self.where, "tmpfs")
        kept = os.open(self.keep, os.O_PATH | os.O_DIRECTORY)
        for d in ("/run/berth", "/run/berth-runtime", "/var/tmp", "/tmp", "/dev/shm"):
            os.makedirs(d, exist_ok=True)
            mount("tmpfs", d, "tmpfs")
            if self.keep.is_relative_to(d):
                self.keep.mkdir(parents=True)
                mount(f"/proc/self/fd/{kept}", self.keep, "none", MS_BIND)
        os.close(kept)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

    def cgroup_dirs(self) -> set:
        found = set()
        for point, _, _ in self.cgroups:
            found |= {d for d, _, _ in os.walk(point)} - {str(point)}
        return found

    def files(self) -> set:
        found = set()
        for top in (self.where, "/run/berth", "/run/berth-runtime", "/var/tmp", "/tmp", "/dev/shm"):
            for d, dirs, names in os.walk(top):
                found |= {os.path.join(d, n) for n in dirs + names}
                if d.endswith(("/rootfs", "/images")) or d == str(self.keep):
                    dirs.clear()
        return found

    def snapshot(self) -> dict:
        return {
            "cgroup": self.cgroup_dirs(),
            "mount": set(Path("/proc/self/mountinfo").read_text().splitlines()),
            "file": self.files(),
            "process": set(children()),
            "interface": {name for _, name in socket.if_nameindex()},
            "address": addresses(),
            "rule": set(subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout.splitlines()),
        }


def addresses() -> set:
    """Of this network namespace: where it is itself, and where it knows a way to."""
    def rows(name):
        return [line.split() for line in Path("/proc/self/net", name).read_text().splitlines()]
    four = {" ".join(row) for row in rows("fib_trie") if row[0] == "|--"} | {" ".join([row[0], *row[1:3], row[7]]) for row in rows("route")}
    return four | {f"{row[0]} {row[5]}" for row in rows("if_inet6")} | {f"{row[0]}/{row[1]} {row[9]}" for row in rows("ipv6_route")}


def command_line(pid) -> str:
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read().replace(b"\0", b" ").decode(errors="replace").strip()


def children(pid=None) -> list:
    """'PID COMMAND' of all that lives below this process."""
    found = []
    for task in os.listdir(f"/proc/{pid or os.getpid()}/task"):
        try:
            pids = open(f"/proc/{pid or os.getpid()}/task/{task}/children").read().split()
        except OSError:
            continue
        for p in pids:
            try:
                words = command_line(p)
                state = open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if state not in "ZX":
                found.append(f"{p} {words[:80]}")
            try:
                found += children(p)
            except OSError:
                pass
    return found


def reap():
    """Of the orphans, those that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


class Done:
    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def __str__(self):
        return f"{' '.join(self.argv[:6])}...: {self.code}: {self.err.strip()[-300:]}"


def run(argv, patience=90, cwd=None, env=None) -> Done:
    """Ends orphans' waits while the command goes on: the first process of a pid namespace is gone only when all of its kin are
    reaped. code None: it did not end."""
    with open(os.memfd_create("out"), "r+b") as out, open(os.memfd_create("err"), "r+b") as err:
        pid = os.posix_spawn(argv[0], argv, env or os.environ,
                             file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                                           (os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, err.fileno(), 2)],
                             setpgroup=0)
        code = wait(pid, patience)
        out.seek(0)
        err.seek(0)
        return Done(argv, code, out.read().decode(errors="replace"), err.read().decode(errors="replace"))


class TooLong(Exception):
    pass


def on_alarm(*_):
    raise TooLong


def wait(pid, patience):
    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, patience)
    try:
        while True:
            got, status = os.waitpid(-1, 0)
            if got == pid:
                return os.waitstatus_to_exitcode(status)
    except TooLong:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def end_all():
    """Whatever a fault has left must not disturb the next: by force, since it has been counted."""
    for _ in range(200):
        reap()
        left = children()
        if not left:
            return
        for line in left:
            try:
                os.kill(int(line.split()[0]), signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)


def forget_files(paths):
    for p in sorted(paths):
        if os.path.isdir(p) and not os.path.islink(p):
            shutil.rmtree(p, ignore_errors=True)
        elif os.path.lexists(p):
            os.unlink(p)


# ---- workers ----

def in_worker(name, build, work):
    """work(box, send) in a child in a sandbox of its own; -> (pid, the pipe that what it sends as JSON lines comes from, the sandbox)."""
    box = Sandbox(name, build)
    box.make()
    r, w = os.pipe()
    pid = os.fork()
    if pid:
        os.close(w)
        return pid, os.fdopen(r), box
    code = 1
    try:
        os.close(r)
        out = os.fdopen(w, "w")
        box.enter()
        work(box, lambda what: print(json.dumps(what), file=out, flush=True))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        end_all()
        os._exit(code)


def collect(workers, on_message):
    """Until all have ended; -> whether all have ended well."""
    sel, well = selectors.DefaultSelector(), True
    for w in workers:
        sel.register(w[1], selectors.EVENT_READ, w)
    try:
        while sel.get_map():
            for key, _ in sel.select():
                line = key.fileobj.readline()
                if line:
                    on_message(json.loads(line))
                else:
                    sel.unregister(key.fileobj)
    except KeyboardInterrupt:
        for pid, _, _ in workers:
            os.kill(pid, signal.SIGTERM)
    for pid, _, box in workers:
        well &= os.waitpid(pid, 0)[1] == 0
        box.remove()
    return well
