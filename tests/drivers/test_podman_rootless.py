"""podman of a user who is not root: in its user namespace berth-runtime is root of a few ids only, and has no cgroups of its own
where v1 delegates none."""

import os

import pytest

from engines import Podman

UID = 4000


class Rootless(Podman):
    def places(self):
        return ""  # below $HOME and $XDG_RUNTIME_DIR

    def argv(self, *args):
        d = self.host.dir
        return self.host.argv("setpriv", "--reuid", UID, "--regid", UID, "--init-groups", "env", f"HOME={d}/home", f"XDG_RUNTIME_DIR=/run/user/{UID}",
                              f"CONTAINERS_CONF={d}/containers.conf", "podman", "--runtime", self.runtime, "--cgroup-manager", "cgroupfs",
                              "--storage-driver", "vfs", *args)


@pytest.fixture(scope="module")
def rootless(make_host, runtime, archive):
    host = make_host("rootless")
    for path, text in (("passwd", f"pod:x:{UID}:{UID}::{host.dir}/home:/bin/sh\n"), ("group", f"pod:x:{UID}:\n"), ("subuid", "pod:300000:65536\n"),
                       ("subgid", "pod:300000:65536\n")):
        own = host.dir / path
        with open(f"/etc/{path}") as f:
            own.write_text(f.read() + text)
        host.ok("mount", "--bind", own, f"/etc/{path}")  # in the host's mount namespace only
    for name in ("home", "net"):
        (host.dir / name).mkdir(exist_ok=True)
        os.chown(host.dir / name, UID, UID)
    # Short, as it is in life: Podman's sockets lie far below.
    host.ok("install", "-d", "-o", UID, "-g", UID, "-m", "700", f"/run/user/{UID}")
    engine = Rootless(host, runtime, archive)
    yield engine
    left = engine.ok("ps", "-aq").split()
    if left:
        engine("rm", "-f", "-t", "0", *left)
    assert not left, f"tests left containers: {left}"
    host.end()


def run(rootless, *cmd, opts=()):
    return rootless("run", "--rm", "--network", "none", *opts, "base", *cmd)


def test_its_root_is_the_user(rootless):
    r = run(rootless, "sh", "-c", "id -u; cat /proc/self/uid_map; exit 3")
    assert r.code == 3 and r.out.split() == ["0", "0", str(UID), "1", "1", "300000", "65536"], r
    assert run(rootless, "id", "-u", opts=("-u", "web")).out == "1000\n"


def test_a_volume_s_files_are_the_user_s(rootless):
    where = rootless.host.dir / "home/shared"
    where.mkdir()
    os.chown(where, UID, UID)
    assert run(rootless, "touch", "/v/file", opts=("-v", f"{where}:/v")).code == 0
    assert (where / "file").stat().st_uid == UID


def test_exec_stop_and_remove(rootless):
    rootless.ok("run", "-d", "--name", "r", "--network", "none", "base", "sleep", "100000")
    try:
        assert rootless.ok("exec", "-u", "web", "r", "id", "-un") == "web"
        assert "sleep" in rootless.ok("top", "r")
        rootless.ok("stop", "-t", "0", "r")
        assert rootless.inspect("r", ".State.ExitCode") == "137"
    finally:
        rootless.ok("rm", "-f", "-t", "0", "r")


def test_a_command_that_is_not_there(rootless):
    r = run(rootless, "none-such")
    assert r.code == 127 and 'exec "none-such": executable file not found in $PATH' in r.err, r
