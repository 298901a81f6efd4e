"""Commands of a life of containers, pods and volumes under faults."""

import json
import re
from pathlib import Path

import oci

SHOW = ["cat", *[f"/proc/self/{f}" for f in oci.FILES]]


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
    name, looks = "run-rm", "rm"

    def argv(self, o):
        return o.argv("run", "--rm", "--memory", "64m", "--name", o.id, o.image, *SHOW)

    def check(self, o, done):
        left = o.left_for_now()
        if left:  # the status is the container's; a removal that failed is the next command's
            o.run("ps", "-a")
            left = o.left_for_now()
        return [f"exit 0, but there is left: {left}"] if left else o.same(self.looks, {"out": o.tidy(done.out)})


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


class VolumeCreate(RunDetached):
    name = "volume-create"

    def argv(self, o):
        return o.argv("volume", "create", "--label", "a=b", o.volume)

    def check(self, o, done):
        there = o.run("volume", "inspect", o.volume)
        if there.code != 0 or json.loads(there.out)[0]["Labels"] != {"a": "b"}:
            return [f"exit 0, but it is not there: {there}"]
        where = Path(json.loads(there.out)[0]["Mountpoint"])
        return [] if where.is_dir() and not any(where.iterdir()) else ["exit 0, but it is no empty directory"]


class VolumeRemove(RunDetached):
    name = "volume-rm"

    def before(self, o):
        o.ok("volume", "create", o.volume)
        (o.root / f"volumes/{o.volume}/_data/there").write_text("x")

    def argv(self, o):
        return o.argv("volume", "rm", o.volume)

    def check(self, o, done):
        left = o.left_for_now()
        return [f"exit 0, but there is left: {left}"] if left else []


class RunVolume(RunDetached):
    """A volume that it makes, and fills with the image's files: none of them, or all."""

    name = "run-volume"

    def argv(self, o):
        return o.argv("run", "--rm", "--name", o.id, "-v", f"{o.volume}:/etc", o.image, "cat", "/etc/passwd")

    def is_filled(self, o):
        return [p.name for p in (o.root / f"volumes/{o.volume}/_data").glob("*")] == ["passwd"]

    def check(self, o, done):
        return [] if self.is_filled(o) and done.out.startswith("root:") else [f"exit 0, but the volume is not filled: {done}"]

    def after(self, o):
        done = o.run("run", "--rm", "-v", f"{o.volume}:/etc", o.image, "true")
        if done.code == 0 and not self.is_filled(o):
            raise oci.Unready("the next use has not filled it")


class RunOwnVolume(RunRemoved):
    """One without a name, which goes with its container."""

    name, looks = "run-own-volume", "own volume"

    def argv(self, o):
        return o.argv("run", "--rm", "--name", o.id, "-v", "/etc", o.image, "cat", "/etc/passwd")


class Rename(RunDetached):
    name = "rename"

    def before(self, o):
        o.ok("create", "--name", o.id, o.image, "true")

    def argv(self, o):
        return o.argv("rename", o.id, o.id + "-new")

    def check(self, o, done):
        names = o.ok("ps", "-a", "--format", "{{.Names}}").split()
        return [] if names == [o.id + "-new"] else [f"exit 0, but its name is {names}"]

    def after(self, o):
        names = o.ok("ps", "-a", "--format", "{{.Names}}").split()
        o.run("rm", "-f", o.id + "-new")
        if names not in ([o.id], [o.id + "-new"]):
            raise oci.Unready(f"its name is {names}")


class Update(Exec):
    name = "update"

    def argv(self, o):
        return o.argv("update", "--memory", "32m", "--memory-swap", "64m", "--pids-limit", "40", o.id)

    def check(self, o, done):
        if o.state()["status"] != "running":
            return []
        is_now, knobs = o.inspect()["HostConfig"], o.knobs()
        kernel = {int(v) for k, v in knobs.items() if k.endswith(("memory.max", "memory.limit_in_bytes"))}
        return [] if is_now["Memory"] == 32 << 20 and is_now["PidsLimit"] == 40 and kernel <= {32 << 20} else [f"exit 0, but it has {knobs}"]


class Events(Exec):
    name = "events"

    def argv(self, o):
        return o.argv("events", "--since", "1h", "--until", "0s", "--filter", f"container={o.id}")

    def check(self, o, done):
        return [] if "container create" in done.out and "container start" in done.out else [f"exit 0, but it says {done.out!r}"]


class Restart(Exec):
    name = "restart"

    def before(self, o):
        super().before(o)
        o.first = o.inspect()["State"]["StartedAt"]

    def argv(self, o):
        return o.argv("restart", "-t", "0", o.id)

    def check(self, o, done):
        s = o.inspect()["State"]
        was_killed = s["Status"] == "exited" and "its monitor was killed" in s["Error"]
        return [] if (s["Status"] == "running" or was_killed) and s["StartedAt"] != o.first else [f"exit 0, but it is {s}"]


class Stats(Exec):
    name = "stats"

    def argv(self, o):
        return o.argv("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", o.id)

    def check(self, o, done):
        return [] if re.match(rf"{o.id} \d", done.out) else [f"exit 0, but it says {done.out!r}"]


class VolumePrune(VolumeRemove):
    name = "volume-prune"

    def before(self, o):
        o.volume = o.ok("volume", "create").strip()
        (o.root / f"volumes/{o.volume}/_data/there").write_text("x")

    def argv(self, o):
        return o.argv("volume", "prune", "-f")


class CreateOnly(RunDetached):
    name = "create-only"

    def argv(self, o):
        return o.argv("create", "--name", o.id, "-v", "/etc", o.image, "cat", "/etc/passwd")

    def check(self, o, done):
        begun = o.run("start", "-a", o.id)
        return [] if begun.code == 0 and begun.out.startswith("root:") else [f"exit 0, but it can't be started: {begun}"]


class Stop(Exec):
    name = "stop"

    def argv(self, o):
        return o.argv("stop", "-t", "0", o.id)

    def check(self, o, done):
        s = o.inspect()["State"]
        return [] if s["Status"] == "exited" else [f"exit 0, but it is {s}"]


class SecretCreate(RunDetached):
    name = "secret-create"

    def before(self, o):
        o.source.write_text("hunter2")

    def argv(self, o):
        return o.argv("secret", "create", o.id, str(o.source))

    def check(self, o, done):
        there = o.run("secret", "inspect", "--showsecret", o.id)
        return [] if there.code == 0 and json.loads(there.out)[0]["SecretData"] == "hunter2" else [f"exit 0, but it is {there}"]

    def after(self, o):
        o.source.unlink(missing_ok=True)
        o.run("secret", "rm", o.id)


class SecretRemove(SecretCreate):
    name = "secret-rm"

    def before(self, o):
        super().before(o)
        o.ok("secret", "create", o.id, str(o.source))

    def argv(self, o):
        return o.argv("secret", "rm", o.id)

    def check(self, o, done):
        return [] if o.id not in o.ok("secret", "ls") else ["exit 0, but it is there"]


COMMANDS = [RunDetached(), RunRemoved(), Exec(), Remove(), PodCreate(), PodRun(), PodJoin(), PodStart(), PodRemove(), VolumeCreate(),
            VolumeRemove(), RunVolume(), RunOwnVolume(), VolumePrune(), Rename(), Update(), Events(), Restart(), Stats(),
            CreateOnly(), Stop(), SecretCreate(), SecretRemove()]
