"""Fixtures: the program, bundles, and boxes of containers. BERTH_BUILD names the build directory (default: build). At the end of
a session nothing of it may be left."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

import oci


def pytest_configure(config):
    if os.geteuid() != 0:
        raise pytest.UsageError("the tests make namespaces, mounts and cgroups: run them as root")


@pytest.fixture(scope="session")
def runtime():
    build = Path(os.environ.get("BERTH_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
    where = Path(tempfile.mkdtemp(prefix="berth-rt-", dir="/var/tmp"))
    oci.become_subreaper()
    rt = oci.Runtime(build, where)
    assert rt.program.exists(), f"{rt.program} is not there: build first, or set BERTH_BUILD to the build directory"
    yield rt
    left = rt.ok("list", "-q").split()
    mounts = [m for m in Path("/proc/self/mountinfo").read_text().splitlines() if str(where) in m]
    shutil.rmtree(where)
    assert not left, f"tests left containers: {left}"
    assert not mounts, f"tests left mounts: {mounts}"


@pytest.fixture
def box(runtime, tmp_path):
    b = oci.Box(runtime, tmp_path)
    yield b
    b.clean()


@pytest.fixture
def bundle(box):
    return box.bundle()


@pytest.fixture
def console(tmp_path):
    c = oci.FdSocket(tmp_path)
    yield c
    c.close()
