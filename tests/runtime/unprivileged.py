"""berth-runtime as a user without root's rights. The user exists in a mount namespace of each command only, where /etc/passwd and
its like are covered: the host's files stay as they are, and whatever a test wants of the host is bound there too."""

import json
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import oci

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])  # each has a user of its own
UID, SUB, SUBS = 61234 + WORKER, 1_000_000 + 100_000 * WORKER, 65536
NAME = "berthtest"


class User(oci.Runtime):
    """A Runtime whose commands are the user's. covers: {file or directory of the host: what is bound over it}."""

    def __init__(self, build: Path):
        where = Path(tempfile.mkdtemp(prefix="berth-user-", dir="/var/tmp"))
        super().__init__(build, where)
        self.where, self.run, self.root = where, where / "run", where / "run/berth-runtime"
        shutil.copy(self.program, where / "berth-runtime")  # the build may be out of the user's reach
        self.program = where / "berth-runtime"
        self.run.mkdir(mode=0o700)
        etc = where / "etc"
        etc.mkdir()
        for name, line in (("passwd", f"{NAME}:x:{UID}:{UID}::/:/bin/sh"), ("group", f"{NAME}:x:{UID}:")):
            (etc / name).write_text(Path("/etc", name).read_text().rstrip("\n") + f"\n{line}\n")
        for name in ("subuid", "subgid"):
            (etc / name).write_text(f"{NAME}:{SUB}:{SUBS}\n")
            Path("/etc", name).touch()  # a place to cover; as package uidmap leaves it
        os.chown(self.run, UID, UID)
        where.chmod(0o755)
        self.covers = {f"/etc/{name}": etc / name for name in ("passwd", "group", "subuid", "subgid")}
        sanitizers = {k: v for k, v in os.environ.items() if k in ("ASAN_OPTIONS", "UBSAN_OPTIONS")}
        self.env = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(self.run), **sanitizers}
        self.prefix = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all"]
        self.before = ""  # what root's shell does first, in that mount namespace
        self.options = []

    def argv(self, *args):
        script = "".join(f"mount --bind '{new}' '{old}' && " for old, new in self.covers.items()) + self.before + 'exec "$@"'
        return ["unshare", "--mount", "sh", "-ec", script, "-", *self.prefix, str(self.program), *self.options, *map(str, args)]

    def popen(self, *args, **kw):
        return super().popen(*args, **{"env": self.env, "cwd": self.where, **kw})

    def like(self, **changes):
        """The same user under other circumstances."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, **changes)
        return other

    def bundle(self, *spec_options) -> "UserBundle":
        return UserBundle(Path(tempfile.mkdtemp(prefix="bundle-", dir=self.where)), self, *spec_options)

    def output(self, bundle, script, code=0, rt=None):
        r = (rt or self)("run", "--bundle", bundle.sh(script).where, bundle.where.name)
        assert r.code == code, r
        return r.out

    def delete(self, name):
        """By force. The first process of a pid namespace is gone only when all others have been reaped, by their subreaper."""
        r = self("ps", "--format", "json", name)
        pids = json.loads(r.out) if r.code == 0 else []
        with self.popen("delete", "--force", name) as p:
            oci.until(lambda: oci.reap_any(pids) or p.poll() is not None, f"delete --force {name}")
            assert p.returncode == 0, p.stderr.read()
        oci.reap_any(pids)

    def left(self) -> list:
        """What there is of containers: records, and processes of the user or its ids."""
        found = [p.name for p in self.root.iterdir() if not p.name.startswith(".")] if self.root.is_dir() else []
        for p in Path("/proc").iterdir():
            try:
                uid = p.stat().st_uid if p.name.isdigit() else 0
                if (uid == UID or SUB <= uid < SUB + SUBS) and (p / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                    found.append(f"process {p.name}: {(p / 'cmdline').read_text()}")
            except OSError:
                pass
        return found


class UserBundle(oci.Bundle):
    def __init__(self, where: Path, user: User, *spec_options):
        os.chown(where, UID, UID)
        self.spec_options = spec_options or ("--rootless",)
        super().__init__(where, user)
        for p in (where, *where.rglob("*")):
            if not p.is_symlink() and p.name != "busybox":
                os.chown(p, UID, UID)

    def write_spec(self, runtime):
        runtime.ok("spec", *self.spec_options, "--bundle", self.where)

    def save(self):
        (self.where / "config.json").write_text(json.dumps(self.config))
        return self

    def map_ids(self, *ranges):
        """(first inside, first outside, count)"""
        rows = [{"containerID": a, "hostID": b, "size": n} for a, b, n in ranges]
        self.config["linux"].update(uidMappings=rows, gidMappings=rows)
        return self

    def without(self, destination):
        self.config["mounts"] = [m for m in self.config["mounts"] if m["destination"] != destination]
        return self

    def mount(self, destination, type, source, *options):
        self.without(destination).config["mounts"].append(
            {"destination": destination, "type": type, "source": source, "options": list(options)})
        return self

    def namespace(self, kind, wanted=True):
        ns = self.config["linux"]["namespaces"]
        ns[:] = [n for n in ns if n["type"] != kind] + ([{"type": kind}] if wanted else [])
        return self


def is_setuid_root(path) -> bool:
    st = os.stat(path)
    return st.st_uid == 0 and bool(st.st_mode & stat.S_ISUID)


def has_user_namespaces() -> bool:
    return subprocess.run(["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "unshare", "-Ur", "true"],
                          stderr=subprocess.DEVNULL).returncode == 0
