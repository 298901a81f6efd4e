"""Commands that fetch, keep, make and remove images under faults."""

import hashlib
import json
import re
import tarfile
from pathlib import Path

import oci
from engine_life import RunDetached


def run_of(o, image, path, wanted):
    """What is wrong with an image whose `cat path` should print what is wanted."""
    begun = o.run("run", "--rm", "--pull", "never", image, "/bin/cat", path)
    return [] if begun.out == wanted else [f"exit 0, but it does not run: {begun}"]


class Pull(RunDetached):
    """Of an image that is not there."""

    name, runs = "pull", True
    beyond = ()

    def before(self, o):
        o.forget()

    def argv(self, o):
        return o.argv("pull", "-q", o.away)

    def check(self, o, done):
        return run_of(o, o.away, "/etc/away", "far\n")

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
        return run_of(o, "loaded:1", "/etc/loaded", "near\n")


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
        return run_of(o, "imported:1", "/etc/imported", "tar\n")


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


COMMANDS = [Pull(), PullAgain(), Push(), Login(), Logout(), Load(), Save(), Import(), Tag(), ImageRemove(), ImagePrune(),
            SystemPrune(), SystemCheck(), SystemRepair()]
