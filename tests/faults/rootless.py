"""The commands of a user without root's rights under faults. Nothing of his runs before each of them, so that the first that it does is to make
his namespaces, and the way out of the network that he has in them. See oci.py, whose base this uses."""

import os
import re
import shutil
import signal
import stat
import sys
from pathlib import Path

import engine
import engine_life
import engine_networks
import sandbox

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "integration")]
import images  # noqa: E402

UID, FIRST, COUNT = 4711, 600000, 65536


class Rootless(engine.Engine):
    def __init__(self, build: Path, box: sandbox.Sandbox):
        super().__init__(build, box)
        self.home = box.where / "home"
        self.program = str(box.where / "bin/berth")
        self.root, self.state_dir = self.home / "root", self.home / "run"
        self.build = build

    def run(self, *args, **kw):
        return sandbox.run(["/usr/bin/setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *self.argv(*args)], **kw)

    def make(self):
        os.environ["FAULT_AT_UID"] = str(UID)
        os.environ["BERTH_NETWORK"] = "none"
        where = self.box.where
        os.chmod(where, 0o755)
        self.home.mkdir()
        os.chown(self.home, UID, UID)
        (where / "bin").mkdir()
        for program in (self.build / "src/main").glob("berth*"):
            if program.is_file():
                shutil.copy(program, where / "bin" / program.name)
        self.make_host()
        layout = images.little(where / "layout", "little", b"")
        for d in (where / "layout", *(where / "layout").rglob("*")):
            os.chmod(d, 0o755 if d.is_dir() else 0o644)
        self.ok("load", "-q", "-i", str(layout.path))
        self.image = self.ok("images", "-q").split()[0]
        for opts in (["-d"], ["--rm"], ["--rm", "--network", "bridge", "-p", "18080:80"]):
            self.ok("run", *opts, "--name", "first", self.image, "true")
            self.run("rm", "-f", "first")
        self.ok("system", "prune", "-f")

    def make_host(self):
        """What he finds: his ids, /dev/net/tun as udev makes it, and a way out of the host."""
        where = self.box.where
        for name, line in (("passwd", f"joe:x:{UID}:{UID}::/:/bin/sh\n"), ("subuid", f"joe:{FIRST}:{COUNT}\n"), ("subgid", f"joe:{FIRST}:{COUNT}\n")):
            place = Path("/etc", name)
            place.touch()
            (where / name).write_text((place.read_text() if name == "passwd" else "") + line)
            sandbox.mount(str(where / name), place, "none", sandbox.MS_BIND)
        os.mknod(where / "tun", 0o666 | stat.S_IFCHR, os.stat("/dev/net/tun").st_rdev)
        os.chmod(where / "tun", 0o666)
        sandbox.mount(str(where / "tun"), "/dev/net/tun", "none", sandbox.MS_BIND)
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")  # addresses that come a moment later are nothing that is left
        for words in ("link add out0 type veth peer name out1", "addr add 192.0.2.1/24 dev out0", "link set out0 up", "link set out1 up", "route add default via 192.0.2.2"):
            sandbox.run(["/usr/sbin/ip", *words.split()])

    def clean(self):
        found = []
        for args in (["ps", "-a"], ["rm", "-f", "-v", self.id], ["system", "prune", "-f"], ["system", "check"]):
            done = self.run(*args)
            if done.code != 0 and not (args[0] == "rm" and "no such container" in done.err):
                found.append(f"{' '.join(args)} fails: {done}")
        return found

    def tidy(self, text):
        """The C library's own two signals (32, 33) come ignored from posix_spawn, and are not where its handlers were in between."""
        return super().tidy(re.sub(r"^SigIgn:\t([0-9a-f]{16})$", lambda m: f"SigIgn:\t{int(m[1], 16) & ~(3 << 31):016x}", text, flags=re.M))

    def holder(self):
        return int((self.state_dir / "rootless").read_text().split()[0])


class Run(engine_life.RunDetached):
    """The namespaces are made."""

    name, looks = "rootless-run", "hold"

    def argv(self, o):
        return o.argv("run", "-d", "--name", o.id, o.image, "sleep", "1000")


class RunRemoved(engine_life.RunRemoved):
    """They are made, and are gone again."""

    name, looks = "rootless-run-rm", "rm"

    def argv(self, o):
        return o.argv("run", "--rm", "--name", o.id, o.image, *engine_life.SHOW)


class ExecAgain(Run):
    """The process that held them was killed: they are found by what runs, and held again."""

    name = "rootless-exec"

    def before(self, o):
        o.ok("run", "-d", "--name", o.id, o.image, "sleep", "1000")
        os.kill(o.holder(), signal.SIGKILL)

    def argv(self, o):
        return o.argv("exec", o.id, "cat", "/proc/self/uid_map")

    def check(self, o, done):
        if done.out.split()[:2] != ["0", str(UID)]:
            return [f"exit 0, but it says {done.out!r}"]
        if not Path(f"/proc/{o.holder()}/ns/user").exists():  # the fault has come to the new one
            o.ok("exec", o.id, "true")
        there = os.readlink(f"/proc/{o.holder()}/ns/user") == os.readlink(f"/proc/{o.state()['pid']}/ns/user")
        return [] if there else ["exit 0, but others' namespaces are held"]


class RunOnNetwork(Run):
    """The network, its way out and that of a published port are made."""

    name, looks = "rootless-network", "on a network"

    def argv(self, o):
        return o.argv("run", "-d", "--network", "bridge", "-p", "18080:80", "--name", o.id, o.image, "sleep", "1000")

    def check(self, o, done):
        found = super().check(o, done)
        if found or o.inspect()["State"]["Status"] != "running":
            return found
        inside = o.run("exec", o.id, "cat", "/proc/net/dev")
        ways = [line for line in sandbox.children() if " pasta" in line]
        if (inside.code == 0 and "eth0:" not in inside.out) or len(ways) != 2:
            return [f"exit 0, but its interfaces are {inside.out}, and the ways {ways}"]
        return []


class RemoveFromNetwork(engine_networks.RemoveFromNetwork):
    name = "rootless-rm-network"


COMMANDS = [Run(), RunRemoved(), ExecAgain(), RunOnNetwork(), RemoveFromNetwork()]
