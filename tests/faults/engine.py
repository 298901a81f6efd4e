"""The commands of berth under faults, with a store and a run directory of their own. See oci.py, whose base this uses."""

import json
import re
import sys
from pathlib import Path

import oci
import sandbox

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
import images  # noqa: E402

SHOW = ["cat", *[f"/proc/self/{f}" for f in oci.FILES]]


class Engine(oci.Oci):
    program_name = "berth"

    def __init__(self, build: Path, box: sandbox.Sandbox):
        super().__init__(build, box)
        self.program, self.state_dir = str(build / "src/main/berth"), box.where / "run"

    def argv(self, *args):
        return [self.program, "--root", str(self.root), "--run", str(self.state_dir), *args]

    def make(self):
        layout = images.Layout(self.box.where / "layout")
        dirs = [images.entry(d) for d in ("bin", "etc", "proc", "sys", "dev", "tmp")]
        applets = [images.symlink(f"bin/{a}", "busybox") for a in ("cat", "sleep", "true")]
        layout.add("little", [[*dirs, images.entry("bin/busybox", Path("/bin/busybox").read_bytes()), *applets,
                               images.entry("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", mode=0o644)]])
        self.ok("load", "-q", "-i", str(layout.path))
        self.image = self.ok("images", "-q").split()[0]
        # Whatever is made once for all containers is there after these.
        for opts in (["-d"], ["--rm"]):
            self.ok("run", *opts, "--name", "first", self.image, "true")
            self.run("rm", "-f", "first")
        self.ok("pod", "create", "--name", "first")
        self.ok("run", "--rm", "--pod", "first", self.image, "true")
        self.ok("pod", "rm", "first")
        self.ok("system", "prune", "-f")

    def begin(self):
        self.n += 1
        self.id, self.pod = f"point{self.n}", f"pod{self.n}"

    def clean(self):
        """What a user does after a crash; a container that was not made can't be removed."""
        found = []
        for args in (["ps", "-a"], ["rm", "-f", self.id], ["pod", "rm", "-f", "-i", self.pod], ["system", "prune", "-f"]):
            done = self.run(*args)
            if done.code != 0 and not (args[0] == "rm" and "no such container" in done.err):
                found.append(f"{' '.join(args)} fails: {done}")
        return found

    def may_stay(self, path):
        return re.search(r"/seccomp/[0-9a-f]+$|\.db(-wal|-shm|-journal)$", path)

    def left_for_now(self):
        """Of a container that is removed: its files may still be on their way out, deleted only when the exit has been told, and the
        parent of all cgroups goes with the next prune."""
        return [x for x in self.left(is_expected=re.compile(r"/(root/tmp/rm-|run/containers/\.rm-)|^/sys/fs/cgroup/[^/]+/berth$").search)]

    def inspect(self):
        done = self.run("inspect", self.id)
        return json.loads(done.out)[0] if done.code == 0 else {"Id": "none", "State": {"Status": "none", "Pid": 0}}

    def state(self):
        s = self.inspect()["State"]
        return {"status": s["Status"], "pid": s["Pid"]}

    def tidy(self, text):
        """A container that is gone can't be asked for its id, so that all ids are one."""
        return super().tidy(re.sub(r"[0-9a-f]{64}", "ID", text))

    def knobs(self):
        found, ident = {}, self.inspect()["Id"]
        for point, _, _ in self.box.cgroups:
            for d in {*(point / "berth").glob(ident), *(point / "berth").glob(f"pod-*/{ident}"), *(point / "berth").glob("pod-*")}:
                for f in oci.KNOBS:
                    path, pods = d / f, "pod/" if d.name != ident else ""
                    if path.exists():
                        found[f"{point.name}/{pods}{f}"] = path.read_text() if f != "cgroup.procs" else len(path.read_text().split())
        return found

    def inspect_pod(self):
        done = self.run("pod", "inspect", self.pod)
        return json.loads(done.out)[0] if done.code == 0 else {"Id": "none", "State": "none", "NumContainers": 0}


class RunDetached:
    name, beyond = "run-d", ()
    looks = "hold"  # what it is compared with: all with the same word are alike

    def before(self, o):
        pass

    def argv(self, o):
        return o.argv("run", "-d", "--memory", "64m", "--pids-limit", "50", "--name", o.id, o.image, "sleep", "1000")

    def check(self, o, done):
        try:
            st = o.inspect()["State"]
            if st["Status"] == "running":
                return o.same(self.looks, o.look())
        except OSError:  # ended while it was looked at
            st = o.inspect()["State"]
        # It has run, its monitor was killed thereafter, and that is said.
        was_killed = st["Status"] == "exited" and "its monitor was killed" in st["Error"] and not st["StartedAt"].startswith("0001")
        return [] if was_killed else [f"exit 0, but it is {st}"]

    def after(self, o):
        pass


class RunRemoved(RunDetached):
    name = "run-rm"

    def argv(self, o):
        return o.argv("run", "--rm", "--memory", "64m", "--name", o.id, o.image, *SHOW)

    def check(self, o, done):
        left = o.left_for_now()
        if left:  # the status is the container's; a removal that failed is the next command's
            o.run("ps", "-a")
            left = o.left_for_now()
        return [f"exit 0, but there is left: {left}"] if left else o.same("rm", {"out": o.tidy(done.out)})


class Exec(RunDetached):
    name = "exec"

    def before(self, o):
        o.ok("run", "-d", "--name", o.id, o.image, "sleep", "1000")

    def argv(self, o):
        return o.argv("exec", o.id, *SHOW)

    def check(self, o, done):
        st = o.state()["status"]
        return o.same("exec", {"out": o.tidy(done.out)}) if st == "running" else [f"exit 0, but it is {st}"]


class Remove(Exec):
    name = "rm-f"

    def argv(self, o):
        return o.argv("rm", "-f", o.id)

    def check(self, o, done):
        left = o.left_for_now()
        return [f"exit 0, but there is left: {left}"] if left else []


class PodCreate(RunDetached):
    name = "pod-create"

    def argv(self, o):
        return o.argv("pod", "create", "--memory", "64m", "--name", o.pod)

    def check(self, o, done):
        p = o.inspect_pod()
        if p["State"] != "Created" or p["Id"] != done.out.strip():
            return [f"exit 0, but it is {p}"]
        begun = o.run("run", "--rm", "--pod", o.pod, o.image, "true")
        return [] if begun.code == 0 else [f"exit 0, but nothing can run in it: {begun}"]


class PodRun(RunDetached):
    """The first container of a pod, which makes what all of them share."""

    name, looks = "pod-run", "first in a pod"

    def before(self, o):
        o.ok("pod", "create", "--memory", "64m", "--name", o.pod)

    def argv(self, o):
        return o.argv("run", "-d", "--pids-limit", "50", "--pod", o.pod, "--name", o.id, o.image, "sleep", "1000")

    def check(self, o, done):
        found = super().check(o, done)
        return found or ([] if o.inspect_pod()["NumContainers"] == 1 else ["exit 0, but it is not the pod's"])


class PodJoin(PodRun):
    """A later one, which finds that."""

    name, looks = "pod-join", "second in a pod"

    def before(self, o):
        super().before(o)
        o.ok("run", "-d", "--pod", o.pod, o.image, "sleep", "1000")

    def check(self, o, done):
        found = RunDetached.check(self, o, done)
        return found or ([] if o.inspect_pod()["NumContainers"] == 2 else ["exit 0, but it is not the pod's"])


class PodStart(PodRun):
    name = "pod-start"

    def before(self, o):
        super().before(o)
        o.ok("create", "--pids-limit", "50", "--pod", o.pod, "--name", o.id, o.image, "sleep", "1000")

    def argv(self, o):
        return o.argv("pod", "start", o.pod)


class PodRemove(PodJoin):
    name = "pod-rm"

    def before(self, o):
        super().before(o)
        o.ok("run", "-d", "--pod", o.pod, "--name", o.id, o.image, "sleep", "1000")

    def argv(self, o):
        return o.argv("pod", "rm", "-f", o.pod)

    def check(self, o, done):
        left = o.left_for_now()
        return [f"exit 0, but there is left: {left}"] if left else []


COMMANDS = [RunDetached(), RunRemoved(), Exec(), Remove(), PodCreate(), PodRun(), PodJoin(), PodStart(), PodRemove()]
