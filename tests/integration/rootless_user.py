"""Berth of a user without root's rights: in a mount namespace of the tests' own, where /etc/passwd, subuid and subgid know him, and on request in a
network namespace that is his host."""

import os
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

import images
from harness import Berth, until
from net_host import PR_SET_PDEATHSIG, call

OWN = os.getpid() % 20000  # each worker's user is its own, and each session's beside it: `processes` are all of a user's
UID, FIRST, COUNT = 20000 + OWN, 1000000 + 65536 * OWN, 65536
KVM = 4700  # the group that may open /dev/kvm
CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_BIND = 0x20000, 16384, 1 << 18, 4096
# As udev has them: path, mode, group.
DEVICES = (("/dev/net/tun", 0o666, 0), ("/dev/fuse", 0o666, 0), ("/dev/kvm", 0o660, KVM))


def has_user_namespaces() -> bool:
    probe = subprocess.run(["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "unshare", "-Urm", "true"], capture_output=True)
    return probe.returncode == 0


def has_pasta() -> bool:
    return shutil.which("pasta", path="/usr/local/bin:/usr/bin:/bin") is not None


class Home(Berth):
    """As Berth; everything is below `where`, a directory of its own, which is the user's."""

    def __init__(self, build: Path, host=None, subids=f"joe:{FIRST}:{COUNT}\n"):
        where = Path(tempfile.mkdtemp(prefix="berth-user-", dir="/var/tmp"))
        super().__init__(build, where / "home/.local/share/berth", where / "run/berth")
        self.where, self.host = where, host
        os.chmod(where, 0o755)
        (where / "bin").mkdir()
        for name in ("home", "run", "shared"):
            (where / name).mkdir()
            os.chown(where / name, UID, UID)
        os.chmod(where / "run", 0o700)
        for program in (build / "src/main").glob("berth*"):  # the build may be out of the user's reach
            if program.is_file():
                shutil.copy(program, where / "bin" / program.name)
        self.program = where / "bin/berth"
        self._files(subids)
        self.holder = self._namespace()

    def _files(self, subids):
        lines = {"passwd": f"joe:x:{UID}:{UID}::{self.where}/home:/bin/sh\n", "group": f"joe:x:{UID}:\nkvm-users:x:{KVM}:joe\n"}
        for name in ("passwd", "group"):
            (self.where / name).write_text(Path(f"/etc/{name}").read_text() + lines[name])
        for name in ("subuid", "subgid"):
            (self.where / name).write_text(subids)

    def _namespace(self):
        """A process that holds the mount namespace."""
        ready, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
                call("unshare", CLONE_NEWNS)
                call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
                for device, mode, group in DEVICES:
                    self._device(device, mode, group)
                for name in ("passwd", "group", "subuid", "subgid"):
                    Path(f"/etc/{name}").touch()
                    call("mount", str(self.where / name).encode(), f"/etc/{name}".encode(), None, MS_BIND, None)
                os.write(tell, b"1")
                os.closerange(3, 1000)
                signal.pause()
            finally:
                os._exit(1)
        os.close(tell)
        assert os.read(ready, 1) == b"1", "the mount namespace of the user"
        os.close(ready)
        return pid

    def _device(self, path, mode, group):
        if not os.path.exists(path):
            return
        own = self.where / os.path.basename(path)
        os.mknod(own, 0o600 | stat.S_IFCHR, os.stat(path).st_rdev)
        os.chown(own, 0, group)
        os.chmod(own, mode)
        call("mount", str(own).encode(), path.encode(), None, MS_BIND, None)

    def as_user(self, *argv):
        net = [f"--net=/proc/{self.host.pid}/ns/net"] if self.host else []
        passed = [f"{k}={v}" for k, v in os.environ.items() if k.startswith(("BERTH_", "ASAN_", "UBSAN_", "LSAN_"))]
        return ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", *net, f"--wd={self.where}/home", "setpriv", "--reuid", str(UID), "--regid", str(UID),
                f"--groups={KVM}", "env", "-i", f"HOME={self.where}/home", f"XDG_RUNTIME_DIR={self.where}/run", f"PATH={os.environ['PATH']}",
                *passed, *(["BERTH_NETWORK=bridge"] if self.host else []), *map(str, argv)]

    def bring_base(self):
        """The base image, into the user's store."""
        images.copy_readable(images.base_layout(), self.where / "oci")
        self.ok("load", "-i", self.where / "oci")

    def bind(self, source, target):
        """The user sees source at target, until unbind."""
        os.chmod(source, 0o644)
        subprocess.run(["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", "mount", "--bind", str(source), target], check=True)

    def unbind(self, target):
        subprocess.run(["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", "umount", target], check=True)

    def argv(self, *args):
        return self.as_user(self.program, *args)

    def processes(self):
        """All processes of the user's and of his ids."""
        rows = subprocess.run(["ps", "-e", "-o", "pid=,uid=,stat=,args="], capture_output=True, text=True, check=True).stdout.splitlines()
        found = [row.split(None, 3) for row in rows]
        return [row for row in found if (int(row[1]) == UID or FIRST <= int(row[1]) < FIRST + COUNT) and not row[2].startswith("Z")]

    def end(self):
        until(lambda: not self.processes(), "no process of the user's is left", 20)
        os.kill(self.holder, signal.SIGKILL)
        os.waitpid(self.holder, 0)
        shutil.rmtree(self.where)
