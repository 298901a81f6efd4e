"""The commands of berth under faults, with a store and a run directory of their own. See oci.py, whose base this uses."""

import hashlib
import io
import json
import os
import re
import sys
import tarfile
from pathlib import Path

import oci
import sandbox

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / d) for d in ("integration", "tools")]
import bad_registry  # noqa: E402
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
        self.layout = str(self.box.where / "layout")
        layout = images.Layout(Path(self.layout))
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
        self.ok("volume", "create", "first")
        self.ok("volume", "rm", "first")
        self.make_images()
        self.ok("system", "prune", "-f")

    def make_images(self):
        """What is pulled, loaded and imported: each with a program of its own, so that it runs without the first."""
        where = self.box.where
        self.source, self.out = where / "source", str(where / "out")
        os.environ["HOME"] = str(where / "home")
        self.credentials = where / "home/.docker/config.json"
        self.credentials.parent.mkdir(parents=True)
        self.credentials.write_text("{}")
        busybox = Path("/bin/busybox").read_bytes()

        def little(where, name, file, text):
            made = images.Layout(where)
            made.add(name, [[images.entry("bin"), images.entry("etc"), images.entry("bin/busybox", busybox),
                             images.symlink("bin/cat", "busybox"), images.symlink("bin/true", "busybox"), images.entry(f"etc/{file}", text)]])
            return made
        away = little(where / "away", "away:1", "away", b"far\n")
        self.registry, self.guarded = bad_registry.BadRegistry(), bad_registry.BadRegistry(auth="basic")
        self.registry.blobs = {f"sha256:{f.name}": f.read_bytes() for f in (away.path / "blobs/sha256").iterdir()}
        manifest = self.registry.blobs[away.manifests[0]["digest"]]
        self.registry.add_manifest("away", "1", manifest, json.loads(manifest)["mediaType"])
        self.away = f"{self.registry.domain}/away:1"
        self.away_layer = json.loads(manifest)["layers"][0]["digest"].split(":")[1]
        self.own_blobs = set(self.registry.blobs)
        self.archive, self.tar = str(where / "loaded"), str(where / "import.tar")
        little(Path(self.archive), "loaded:1", "loaded", b"near\n")
        with tarfile.open(self.tar, "w") as t:
            for name, data in (("bin/cat", busybox), ("etc/imported", b"tar\n")):
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(data), 0o755
                t.addfile(info, io.BytesIO(data))

    def forget(self):
        """All images but the first go, whatever of them there is."""
        names = [n for n in self.ok("images", "-q", "--no-trunc").split() if self.image not in n]
        if names:
            self.run("rmi", "-f", *names)
        self.run("rmi", "tagged:1")

    def begin(self):
        self.n += 1
        self.id, self.pod, self.volume = f"point{self.n}", f"pod{self.n}", f"volume{self.n}"

    def clean(self):
        """What a user does after a crash; a container that was not made can't be removed."""
        found = []
        for args in (["ps", "-a"], ["rm", "-f", "-v", self.id], ["pod", "rm", "-f", "-i", self.pod],
                     ["volume", "rm", "-f", self.volume], ["system", "prune", "-f"], ["system", "check"]):
            done = self.run(*args)
            if done.code != 0 and not (args[0] == "rm" and "no such container" in done.err):
                found.append(f"{' '.join(args)} fails: {done}")
        return found

    def may_stay(self, path):
        """What makes the next time faster, and a download that goes on."""
        return re.search(r"/seccomp/[0-9a-f]+$|\.db(-wal|-shm|-journal|-events)$|/tmp/sha256-[0-9a-f]{64}\.part$", path)

    def left_for_now(self):
        """Of a container that is removed: its files may still be on their way out, deleted only when the exit has been told, and the
        parent of all cgroups goes with the next prune."""
        return [x for x in self.left(is_expected=re.compile(r"/(root/tmp/rm-|root/volumes/\.rm-|run/containers/\.rm-)|^/sys/fs/cgroup/[^/]+/berth$").search)]

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


# ---- images ----

class Pull(RunDetached):
    """Of an image that is not there."""

    name, runs = "pull", True
    beyond = ()

    def before(self, o):
        o.forget()

    def argv(self, o):
        return o.argv("pull", "-q", o.away)

    def check(self, o, done):
        begun = o.run("run", "--rm", "--pull", "never", o.away, "cat", "/etc/away")
        return [] if begun.out == "far\n" else [f"exit 0, but it does not run: {begun}"]

    def after(self, o):
        o.forget()


class PullAgain(Pull):
    """Of one that is there, and damaged."""

    name = "pull-again"

    def before(self, o):
        o.ok("pull", "-q", o.away)
        blob = o.root / "oci/blobs/sha256" / o.away_layer
        blob.chmod(0o600)
        blob.write_bytes(b"x" * blob.stat().st_size)

    def check(self, o, done):
        whole = hashlib.sha256((o.root / "oci/blobs/sha256" / o.away_layer).read_bytes()).hexdigest() == o.away_layer
        return super().check(o, done) if whole else ["exit 0, but the blob is as damaged as before"]


class Push(RunDetached):
    name = "push"

    def before(self, o):
        o.registry.manifests.pop(("pushed", "1"), None)
        for d in [d for d in o.registry.blobs if d not in o.own_blobs]:
            del o.registry.blobs[d]

    def argv(self, o):
        return o.argv("push", "-q", o.image, f"{o.registry.domain}/pushed:1")

    def check(self, o, done):
        if ("pushed", "1") not in o.registry.manifests:
            return ["exit 0, but the registry has no manifest"]
        doc = json.loads(o.registry.manifests["pushed", "1"][0])
        lacks = [d["digest"] for d in [doc["config"], *doc["layers"]] if d["digest"] not in o.registry.blobs]
        return [f"exit 0, but the registry lacks {lacks}"] if lacks else []


class Login(RunDetached):
    name = "login"
    was = {"auths": {"other.example": {"auth": "eDp5"}}}

    def before(self, o):
        o.credentials.write_text(json.dumps(self.was))

    def argv(self, o):
        return o.argv("login", "-u", "me", "-p", "secret", o.guarded.domain)

    def kept(self, o):
        return json.loads(o.credentials.read_text())["auths"]

    def check(self, o, done):
        return [] if set(self.kept(o)) == {"other.example", o.guarded.domain} else [f"exit 0, but kept is {self.kept(o)}"]

    def after(self, o):
        if "other.example" not in self.kept(o):
            raise oci.Unready("what was kept before is lost")
        if len(list(o.credentials.parent.iterdir())) > 1:  # the next of its kind cleans up
            o.ok("login", "-u", "me", "-p", "secret", o.guarded.domain)


class Logout(Login):
    name = "logout"

    def before(self, o):
        super().before(o)
        o.credentials.write_text(json.dumps({"auths": {**self.was["auths"], o.guarded.domain: {"auth": "eDp5"}}}))

    def argv(self, o):
        return o.argv("logout", o.guarded.domain)

    def check(self, o, done):
        return [] if self.kept(o) == self.was["auths"] else [f"exit 0, but kept is {self.kept(o)}"]


class Load(Pull):
    name = "load"

    def argv(self, o):
        return o.argv("load", "-q", "-i", o.archive)

    def check(self, o, done):
        begun = o.run("run", "--rm", "--pull", "never", "loaded:1", "cat", "/etc/loaded")
        return [] if begun.out == "near\n" else [f"exit 0, but it does not run: {begun}"]


class Save(Pull):
    name = "save"

    def before(self, o):
        pass

    def argv(self, o):
        return o.argv("save", "-o", o.out, o.image)

    def check(self, o, done):
        try:
            with tarfile.open(o.out) as t:
                index = json.load(t.extractfile("index.json"))
                blobs = [m for m in t.getmembers() if m.name.startswith("blobs/sha256/") and m.isfile()]
                bad = [m.name for m in blobs if hashlib.sha256(t.extractfile(m).read()).hexdigest() != m.name.split("/")[-1]]
        except (tarfile.TarError, KeyError, ValueError, OSError) as e:
            return [f"exit 0, but the archive is no good: {e}"]
        return [f"exit 0, but damaged: {bad}"] if bad or len(blobs) < 3 or not index["manifests"] else []


    def after(self, o):
        Path(o.out).unlink(missing_ok=True)


class Import(Pull):
    name = "import"

    def argv(self, o):
        return o.argv("import", o.tar, "imported:1")

    def check(self, o, done):
        begun = o.run("run", "--rm", "--pull", "never", "imported:1", "/bin/cat", "/etc/imported")
        return [] if begun.out == "tar\n" else [f"exit 0, but it does not run: {begun}"]


class Tag(Pull):
    name = "tag"

    def argv(self, o):
        return o.argv("tag", o.image, "tagged:1")

    def check(self, o, done):
        there = o.run("images", "-q", "tagged:1").out.split()
        return [] if there == [o.image] else [f"exit 0, but it is {there}"]


class ImageRemove(Pull):
    name = "rmi"

    def before(self, o):
        o.forget()
        o.ok("load", "-q", "-i", o.archive)

    def argv(self, o):
        return o.argv("rmi", "loaded:1")

    def check(self, o, done):
        """Where another image's manifest can't be read, nobody knows which blobs are its own: all stay for the time being."""
        left = [] if re.search(":(read|openat):[0-9]+:EIO$", o.point) else o.left_for_now()
        return [f"exit 0, but there is left: {left}"] if left else []


class ImagePrune(ImageRemove):
    name = "image-prune"

    def before(self, o):
        o.forget()
        o.ok("import", o.tar)

    def argv(self, o):
        return o.argv("image", "prune", "-f")


class SystemPrune(ImagePrune):
    name = "system-prune"

    def before(self, o):
        super().before(o)
        o.ok("run", "--name", o.id, o.image, "true")
        (o.root / "tmp/unpack-left").mkdir(exist_ok=True)

    def argv(self, o):
        return o.argv("system", "prune", "-f")


class SystemCheck(RunDetached):
    name = "system-check"

    def argv(self, o):
        return o.argv("system", "check")

    def check(self, o, done):
        return [] if done.out.endswith("all objects are whole\n") else [f"exit 0, but it says {done.out}"]


class SystemRepair(RunDetached):
    name = "system-repair"

    def before(self, o):
        (o.root / "tmp/unpack-left").mkdir(exist_ok=True)
        (o.root / "layers" / ("ab" * 32)).mkdir(exist_ok=True)

    def argv(self, o):
        return o.argv("system", "check", "--repair")

    def check(self, o, done):
        left = o.left_for_now()
        return [f"exit 0, but there is left: {left}"] if left else []

    def after(self, o):
        """What the disk does not give (EIO) is set aside as damaged, and a load brings it again."""
        if o.run("system", "check").code != 0:
            o.run("system", "check", "--repair")
            o.ok("load", "-q", "-i", o.layout)


# ---- files of a container ----

class CopyIn(RunDetached):
    name = "cp-in"

    def before(self, o):
        o.ok("create", "--name", o.id, o.image, "true")
        o.source.write_text("copied\n" * 3000)

    def argv(self, o):
        return o.argv("cp", o.source, f"{o.id}:/etc/copied")

    def upper(self, o):
        return o.root / "containers" / o.inspect()["Id"] / "upper"

    def check(self, o, done):
        there = self.upper(o) / "etc/copied"
        return [] if there.exists() and there.read_text() == o.source.read_text() else ["exit 0, but it is not there"]

    def after(self, o):
        for f in (o.source, o.out):
            Path(f).unlink(missing_ok=True)


class CopyOut(CopyIn):
    name = "cp-out"

    def argv(self, o):
        return o.argv("cp", f"{o.id}:/bin/busybox", o.out)

    def check(self, o, done):
        return [] if Path(o.out).read_bytes() == Path("/bin/busybox").read_bytes() else ["exit 0, but it is not the same"]


class Diff(CopyIn):
    name = "diff"

    def before(self, o):
        super().before(o)
        o.ok("cp", o.source, f"{o.id}:/etc/copied")

    def argv(self, o):
        return o.argv("diff", o.id)

    def check(self, o, done):
        return [] if done.out == "C /etc\nA /etc/copied\n" else [f"exit 0, but it says {done.out!r}"]


class Export(Diff):
    name = "export"

    def argv(self, o):
        return o.argv("export", "-o", o.out, o.id)

    def check(self, o, done):
        try:
            with tarfile.open(o.out) as t:
                same = t.extractfile("etc/copied").read().decode() == o.source.read_text() and t.getmember("bin/busybox").size > 100000
        except (tarfile.TarError, KeyError, OSError) as e:
            return [f"exit 0, but the archive is no good: {e}"]
        return [] if same else ["exit 0, but the archive has other files"]


class Commit(Diff):
    name = "commit"

    def argv(self, o):
        return o.argv("commit", o.id, "committed:1")

    def check(self, o, done):
        begun = o.run("run", "--rm", "--pull", "never", "committed:1", "cat", "/etc/copied")
        return [] if begun.out == o.source.read_text() else [f"exit 0, but it does not run: {begun}"]

    def after(self, o):
        super().after(o)
        o.run("rm", "-f", o.id)
        o.forget()


# ---- a container that is there ----

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


COMMANDS = [RunDetached(), RunRemoved(), Exec(), Remove(), PodCreate(), PodRun(), PodJoin(), PodStart(), PodRemove(),
            VolumeCreate(), VolumeRemove(), RunVolume(), RunOwnVolume(), VolumePrune(),
            Pull(), PullAgain(), Push(), Login(), Logout(), Load(), Save(), Import(), Tag(), ImageRemove(), ImagePrune(), SystemPrune(),
            SystemCheck(), SystemRepair(), CopyIn(), CopyOut(), Diff(), Export(), Commit(), Rename(), Update(), Events(), Restart(), Stats()]
