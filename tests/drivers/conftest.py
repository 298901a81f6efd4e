"""Real engines of the distribution drive this build's berth-runtime. BERTH_BUILD names the build directory (default: build).

Every engine has its own host (host.py), and no daemon of this machine is asked anything. At the end of an engine's tests its
containers are gone, and then nothing of them may be left: no process, mount or cgroup."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

import images  # noqa: E402
from engines import Buildah, Containerd, Docker, Podman  # noqa: E402
from host import Host  # noqa: E402


def pytest_configure(config):
    if os.geteuid() != 0:
        raise pytest.UsageError("the engines make namespaces, mounts and cgroups: run these tests as root")


@pytest.fixture(scope="session")
def runtime():
    build = Path(os.environ.get("BERTH_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
    program = build / "src/main/berth-runtime"
    assert program.exists(), f"{program} is not there: build first, or set BERTH_BUILD to the build directory"
    return program


@pytest.fixture(scope="session")
def scratch():
    # Letters and digits only: Podman reads paths as image names and refuses some. Short: sockets lie below.
    where = Path("/var/tmp") / f"berthdrivers{os.urandom(4).hex()}"
    where.mkdir(mode=0o755)
    yield where
    shutil.rmtree(where)


@pytest.fixture(scope="session")
def archive(scratch):
    """The integration tests' base image, as `base:latest`."""
    path = scratch / "image.tar"
    images.tool("skopeo", "copy", "-q", f"oci:{images.base_layout()}:base", f"docker-archive:{path}:base:latest")
    return path


@pytest.fixture(scope="session")
def make_host(scratch):
    made = []

    def make(name):
        host = Host(scratch / name, f"{scratch.name}-{name}")
        made.append(host)
        return host

    yield make
    for host in made:
        if host.dir.exists():
            host.end()


@pytest.fixture(scope="module")
def docker(make_host, runtime, archive, request):
    host = make_host(request.module.__name__.replace("_", ""))
    engine = Docker(host, runtime, archive)
    yield engine
    left = engine.ok("ps", "-aq").split()
    if left:
        engine("rm", "-f", *left)
    engine.end()
    assert not left, f"tests left containers: {left}"
    host.check_clean()
    host.end()


@pytest.fixture(scope="module")
def ctr(make_host, runtime, archive):
    host = make_host("containerd")
    engine = Containerd(host, runtime, archive)
    yield engine
    left = engine.ok("containers", "ls", "-q").split()
    engine.end()
    assert not left, f"tests left containers: {left}"
    host.check_clean()
    host.end()


@pytest.fixture(scope="module")
def podman(make_host, runtime, archive):
    host = make_host("podman")
    engine = Podman(host, runtime, archive)
    yield engine
    left = engine.ok("ps", "-aq").split()
    if left:
        engine("rm", "-f", "-t", "0", *left)
    engine.ok("pod", "rm", "-fa")
    assert not left, f"tests left containers: {left}"
    for cgroup in host.cgroups():
        if cgroup.endswith("/conmon"):  # Podman's own: it never removes it
            os.rmdir(cgroup)
    host.check_clean()
    host.end()


@pytest.fixture(scope="module")
def buildah(podman):
    return Buildah(podman)


class Box:
    """A test's containers, with names that are removed after it."""

    def __init__(self, engine, remove):
        self.engine, self.remove, self.names = engine, remove, []

    def name(self) -> str:
        self.names.append(f"t{os.urandom(4).hex()}")
        return self.names[-1]

    def start(self, *cmd, opts=(), image="base") -> str:
        name = self.name()
        self.engine.ok("run", "-d", "--name", name, *opts, image, *(cmd or ("sleep", "100000")))
        return name

    def clean(self):
        for name in self.names:
            self.engine(*self.remove, name)


@pytest.fixture
def box(docker):
    b = Box(docker, ("rm", "-fv"))
    yield b
    b.clean()
