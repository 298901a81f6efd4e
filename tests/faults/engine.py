"""The commands of berth under faults, with a store and a run directory of their own. See oci.py, whose base this uses."""

import io
import json
import os
import re
import sys
import tarfile
from pathlib import Path

import engine_files
import engine_images
import engine_life
import engine_networks
import engine_reads
import engine_states
import oci
import sandbox

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / d) for d in ("integration", "tools")]
import bad_registry  # noqa: E402
import images  # noqa: E402

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
        self.ok("network", "create", "first")
        self.ok("run", "--rm", "--network", "first", self.image, "true")
        self.ok("network", "rm", "first")
        self.ok("secret", "create", "first", str(layout.path / "index.json"))
        self.ok("secret", "rm", "first")
        self.make_images()
        self.ok("system", "prune", "-f")

    def make_images(self):
        """What is pulled, loaded and imported: each with a program of its own, so that it runs without the first."""
        where = self.box.where
        self.source, self.out = where / "source", str(where / "out")
        os.environ["HOME"] = str(where / "home")
        os.environ["BERTH_NETWORK"] = "none"  # a network has commands of its own (engine_networks.py)
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
        self.id, self.pod, self.volume, self.network = (f"{kind}{self.n}" for kind in ("point", "pod", "volume", "network"))

    def clean(self):
        """What a user does after a crash; a container that was not made can't be removed."""
        found = []
        for args in (["ps", "-a"], ["rm", "-f", "-v", self.id], ["pod", "rm", "-f", "-i", self.pod],
                     ["volume", "rm", "-f", self.volume], ["network", "rm", "-f", self.network], ["system", "prune", "-f"], ["system", "check"]):
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


COMMANDS = [*engine_life.COMMANDS, *engine_images.COMMANDS, *engine_files.COMMANDS, *engine_states.COMMANDS, *engine_networks.COMMANDS, *engine_reads.COMMANDS]
