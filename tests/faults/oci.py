"""The commands of berth-runtime under faults: what each needs beforehand, what may be said of it once it says that it has
succeeded, and how it is cleaned up after."""

import contextlib
import difflib
import json
import os
import re
import shutil
import socket
import time
from pathlib import Path

import sandbox

STATUS = re.compile(r"^(Uid|Gid|Groups|NoNewPrivs|Seccomp|Cap\w+|Sig(Blk|Ign)|Umask|Threads):.*$", re.M)
KNOBS = """memory.limit_in_bytes memory.max pids.max cpu.shares cpu.weight devices.list cgroup.procs""".split()
FILES = ["mountinfo", "limits", "status", "cgroup", "oom_score_adj"]
SECCOMP = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
           "syscalls": [{"names": ["personality", "acct"], "action": "SCMP_ACT_ERRNO"}]}


# Faults that are answered by a way round, which a user must be able to tell from the first way only by what is said here.
# fsmount answers EPERM where a new sysfs would show what the host covers (mount_too_revealing), and a user namespace is then lent
# the host's (container/mount_lend.c): as good, since all of it is read-only; what lies on it may differ.
LENT_SYS = re.compile(r":(fsopen|fsconfig|fsmount):\d+:EPERM$")


class Unready(Exception):
    """What has to be there before the fault could not be made: a matter of the test, or of a fault before that."""


def enrich(c):
    """Of everything that needs steps of its own a little: user and time namespaces, hooks, a terminal, binds, sysctls, limits."""
    one = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    c["linux"].update(uidMappings=one, gidMappings=one, sysctl={"net.ipv4.ip_forward": "1"}, timeOffsets={"boottime": {"secs": 5}})
    c["linux"]["namespaces"] += [{"type": "user"}, {"type": "time"}]
    c["linux"]["resources"].pop("devices", None)
    c["process"].update(terminal=True, rlimits=[{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}], oomScoreAdj=100,
                        user={"uid": 10, "gid": 20, "additionalGids": [30]})
    c["mounts"] += [{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k", "tmpcopyup"]},
                    {"destination": "/etc", "type": "bind", "source": "/etc", "options": ["rbind", "ro", "nosuid"]}]
    c["hooks"] = {kind: [{"path": "/bin/true"}] for kind in ("createRuntime", "createContainer", "poststart", "poststop")}


class Oci:
    """One worker's berth-runtime, bundles and containers."""

    program_name = "berth-runtime"

    def __init__(self, build: Path, box: sandbox.Sandbox):
        self.program, self.box, self.n = str(build / "src/main/berth-runtime"), box, 0
        self.root = box.where / "root"
        self.baseline, self.point = {}, ""
        self.controllers = {name for _, _, names in box.cgroups for name in names.split(",")}

    def argv(self, *args):
        return [self.program, "--root", str(self.root), *args]

    def run(self, *args, **kw):
        return sandbox.run(self.argv(*args), **kw)

    def ok(self, *args):
        done = self.run(*args)
        if done.code != 0:
            raise Unready(str(done))
        return done.out

    def make(self):
        self.root.mkdir()
        os.makedirs("/run/berth/seccomp", exist_ok=True)
        self.hold, self.show = self.bundle("hold", ["sleep", "1000"]), self.bundle("show", ["cat", *[f"/proc/self/{f}" for f in FILES]])
        self.rich = self.bundle("rich", ["sleep", "1000"], enrich)
        self.console = socket.socket(socket.AF_UNIX)
        self.console.bind(str(self.box.where / "console"))
        self.console.listen()
        self.console.setblocking(False)

    def bundle(self, name, args, change=lambda c: None):
        where = self.box.where / name
        for d in ("bin", "etc", "mnt", "proc", "sys", "dev", "tmp"):
            (where / "rootfs" / d).mkdir(parents=True)
        shutil.copy("/bin/busybox", where / "rootfs/bin/busybox")
        for applet in ("cat", "sleep", "true"):
            (where / "rootfs/bin" / applet).symlink_to("busybox")
        (where / "rootfs/etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
        self.ok("spec", "--bundle", str(where))
        config = json.loads((where / "config.json").read_text())
        config["process"].update(terminal=False, args=args, noNewPrivileges=True)
        config["root"]["readonly"] = False
        config["linux"]["resources"].update(memory={"limit": 64 << 20}, pids={"limit": 50}, cpu={"shares": 512})
        config["linux"]["seccomp"] = SECCOMP
        change(config)
        (where / "config.json").write_text(json.dumps(config))
        return str(where)

    # One point: a new id, so that what the last one left is not taken for this one's.
    def begin(self):
        self.n += 1
        self.id = f"f{self.n}"
        for f in Path("/run/berth/seccomp").iterdir():
            f.unlink()

    def clean(self):
        """The commands that have to put everything right."""
        done = self.run("delete", "--force", self.id)
        return [] if done.code == 0 else [f"delete --force fails: {done}"]

    @staticmethod
    def may_stay(path):
        """A compiled filter, kept for the next container: whole or not there."""
        return re.fullmatch("/run/berth/seccomp/[0-9a-f]+", path)

    def state(self):
        done = self.run("state", self.id)
        return json.loads(done.out) if done.code == 0 else {"status": "none", "pid": 0}

    def has_failed_well(self, done):
        """Complaints about a command that did not succeed."""
        if done.code is None:
            return ["hangs"]
        if done.code < 0 or 128 < done.code < 160:
            return [] if done.code in (-9, 137) else [f"crashed: {done}"]
        last = done.err.strip().split("\n")[-1].removeprefix(self.program_name + ": ")
        return [] if re.search(r"\w+\W+\w+", last) and last != "out of memory" else [f"says nothing of use: {done}"]

    # ---- looking at a container ----

    def tidy(self, text):
        kept = []
        for line in text.replace(self.id, "ID").splitlines():
            group = re.fullmatch(r"\d+:([^:]*):(/.*)", line)
            if group:  # another's tests may mount and unmount hierarchies of the host meanwhile
                if set(group[1].split(",")) <= self.controllers:
                    kept.append(f"{group[1]}:{group[2]}")
            elif " - " in line and line[0].isdigit():
                left, right = line.split(" - ")
                if left.split()[3:5] == ["/" + left.split()[4].removeprefix("/dev/")] + left.split()[4:5] or left.split()[3] == "/null":
                    continue  # where no device can be made the host's is bound, which is as good
                kept.append(" ".join(left.split()[3:6]) + " " + right)
            elif not re.match(r"^\w+:\t", line) or STATUS.match(line):
                kept.append(re.sub(r"^(Max pending signals|Max processes).*", r"\1", line))
        return sorted(kept)  # mounts that are made side by side come in any order

    def knobs(self):
        found = {}
        for point, _, _ in self.box.cgroups:
            d = point / f"berth-{self.id}"
            for f in KNOBS:
                if (d / f).exists():
                    text = (d / f).read_text()
                    found[f"{point.name}/{f}"] = len(text.split()) if f == "cgroup.procs" else text
        return found

    def look(self):
        """Everything about the running container that a fault might have left out."""
        pid = self.state()["pid"]
        for _ in range(10000):
            if os.readlink(f"/proc/{pid}/exe").endswith("busybox"):
                break
            time.sleep(0.005)
        text = "".join(Path(f"/proc/{pid}/{f}").read_text() for f in FILES)
        return {"proc": self.tidy(text), "knobs": self.knobs(), "dev": sorted(os.listdir(f"/proc/{pid}/root/dev"))}

    def same(self, kind, now):
        was = self.baseline.setdefault(kind, now)
        if kind == "create-rich" and LENT_SYS.search(self.point):
            was, now = without_sys(was), without_sys(now)
        if was == now:
            return []
        return [f"not as asked: {key}: {list(map(str, ours(was[key], now[key])))[:6]}" for key in was if was[key] != now[key]]


def without_sys(look):
    """The same without the mounts of /sys, but for those that can be written to."""
    def matters(line):
        words = line.split(" ")
        return len(words) < 4 or not (words[1] + "/").startswith("/sys/") or "ro" not in words[2].split(",")
    there = ["/sys is there" for line in look["proc"] if line.split(" ")[1:2] == ["/sys"]]
    return {**look, "proc": there + [line for line in look["proc"] if matters(line)]}


def ours(a, b):
    if isinstance(a, dict):
        return {k: (a.get(k), b.get(k)) for k in {*a, *b} if a.get(k) != b.get(k)}.items()
    return [line for line in difflib.unified_diff(a, b, lineterm="", n=0) if not line.startswith(("---", "+++", "@@"))]


class Create:
    name = "create"
    # Points at which all that the command has to see to is done, though it may not have ended: here the process waits to be started.
    beyond = ("0.2:accept4:1:kill",)  # 0.1 is the thread that makes the network namespace


    def before(self, o):
        pass

    def argv(self, o):
        return o.argv("create", "--bundle", o.hold, "--pid-file", str(o.box.where / "pid"), o.id)

    def check(self, o, done):
        st = o.state()
        if st["status"] != "created":
            return [f"exit 0, but it is {st['status']}"]
        if (o.box.where / "pid").read_text() != str(st["pid"]):
            return ["the pid file is wrong"]
        begun = o.run("start", o.id)
        if begun.code != 0:
            return [f"exit 0, but it can't be started: {begun}"]
        return o.same(self.name, o.look())

    def after(self, o):
        (o.box.where / "pid").unlink(missing_ok=True)


class CreateRich(Create):
    name = "create-rich"
    beyond = ("0.1.1:accept4:1:kill",)

    def argv(self, o):
        return o.argv("create", "--bundle", o.rich, "--pid-file", str(o.box.where / "pid"), "--console-socket",
                      str(o.box.where / "console"), o.id)

    def check(self, o, done):
        with contextlib.suppress(BlockingIOError):
            conn, _ = o.console.accept()
            with conn:
                _, fds, _, _ = socket.recv_fds(conn, 4096, 1)
            for fd in fds:
                os.close(fd)
            return super().check(o, done) if fds else ["exit 0, but no terminal came"]
        return ["exit 0, but nobody came with the terminal"]

    def after(self, o):
        super().after(o)
        with contextlib.suppress(BlockingIOError):
            while True:
                o.console.accept()[0].close()


class Start(Create):
    name, beyond = "start", ()

    def before(self, o):
        o.ok("create", "--bundle", o.hold, o.id)

    def argv(self, o):
        return o.argv("start", o.id)

    def check(self, o, done):
        st = o.state()["status"]
        return o.same("hold", o.look()) if st == "running" else [f"exit 0, but it is {st}"]


class Exec(Create):
    name, beyond = "exec", ()

    def before(self, o):
        o.ok("run", "--detach", "--bundle", o.hold, o.id)

    def argv(self, o):
        return o.argv("exec", o.id, "cat", *[f"/proc/self/{f}" for f in FILES])

    def check(self, o, done):
        st = o.state()["status"]
        return o.same("exec", {"out": o.tidy(done.out)}) if st == "running" else [f"exit 0, but the container is {st}"]


class ExecDetached(Exec):
    name = "exec-detach"

    def argv(self, o):
        return o.argv("exec", "--detach", "--pid-file", str(o.box.where / "pid"), o.id, "sleep", "1000")

    def check(self, o, done):
        pid = (o.box.where / "pid").read_text()
        procs = "".join((p / f"berth-{o.id}" / "cgroup.procs").read_text() for p, _, _ in o.box.cgroups
                        if (p / f"berth-{o.id}").is_dir()).split()
        return [] if pid in procs else ["exit 0, but the process is not there"]


class Delete(Create):
    name, beyond = "delete", ()

    def before(self, o):
        o.ok("run", "--detach", "--bundle", o.hold, o.id)

    def argv(self, o):
        return o.argv("delete", "--force", o.id)

    def check(self, o, done):
        left = o.left()
        return [f"exit 0, but there is left: {left}"] if left else []


class Run(Create):
    name, beyond = "run", ()

    def argv(self, o):
        return o.argv("run", "--bundle", o.show, o.id)

    def check(self, o, done):
        left = o.left()
        if left:
            return [f"exit 0, but there is left: {left}"]
        return o.same("run", {"out": o.tidy(done.out)})


class RunDetached(Create):
    name, beyond = "run-detach", ()

    def argv(self, o):
        return o.argv("run", "--detach", "--bundle", o.hold, "--pid-file", str(o.box.where / "pid"), o.id)

    check = Start.check


COMMANDS = [Create(), CreateRich(), Start(), Exec(), ExecDetached(), Delete(), Run(), RunDetached()]
