"""A disk without a free block, and one without a free inode: what gives space back works, what needs some says so and leaves nothing."""

import json
import os

import pytest

import images
from disks import Disk, empty
from harness import until

FULL = {"blocks": ("-m", "0", "-N", "20000"), "inodes": ("-m", "0", "-N", "1400")}
REMEDY = "berth system prune"


@pytest.fixture(params=FULL, scope="module")
def disk(request, berth, scratch):
    d = Disk(berth, scratch / f"full-{request.param}", 96, *FULL[request.param])
    d.lacks = request.param
    yield d
    d.fill_stop()
    d.close()


@pytest.fixture
def full(disk, tmp_path):
    """A store with something of each kind in it, then filled to the last."""
    disk.fill_stop()
    b = disk.berth
    empty(b)
    for name in b.ok("volume", "ls", "-q").split():
        b.ok("volume", "rm", name)
    for name, text in (("base:1", b"base\n"), ("doomed:1", b"doomed\n")):
        if b("image", "inspect", name).code != 0:
            b.ok("load", "-q", "-i", images.little(tmp_path / name.split(":")[0], name, text).path)
    b.ok("run", "-d", "--network", "none", "--name", "lives", "base:1", "sleep", "1000")
    b.ok("create", "--network", "none", "--name", "idle", "-v", "/own", "base:1", "true")
    b.ok("run", "--network", "none", "--name", "wrote", "base:1", "sh", "-c", "echo x >/tmp/x")
    b.ok("volume", "create", "given")
    b.ok("run", "--rm", "--network", "none", "-v", "given:/v", "base:1", "sh", "-c", "echo x >/v/x")
    disk.fill(disk.lacks)
    yield disk


def room(disk) -> int:
    s = os.statvfs(disk.top)
    return s.f_bfree if disk.lacks == "blocks" else s.f_ffree


@pytest.mark.parametrize("args", [("rm", "idle"), ("rm", "-f", "-v", "lives"), ("rm", "wrote"), ("rmi", "doomed:1"), ("volume", "rm", "given"),
                                  ("system", "prune", "-f"), ("container", "prune", "-f"), ("image", "prune", "-a", "-f")], ids=" ".join)
def test_F07_what_removes_succeeds_and_gives_space_back(full, args):
    assert room(full) == 0
    r = full.berth(*args)
    assert r.code == 0 and r.err == "", r
    assert room(full) > 0
    full.fill_stop()
    assert [row for row in map(json.loads, full.berth("system", "check", "--format", "json").out.splitlines())] == []


@pytest.mark.parametrize("args", [("stop", "-t", "0", "lives"), ("kill", "lives")], ids=" ".join)
def test_F07_what_ends_a_container_succeeds(full, args):
    r = full.berth(*args)
    assert r.code == 0, r
    until(lambda: not full.berth.state("lives")["Running"], "it has ended")
    assert full.berth.state("lives")["ExitCode"] == 137
    full.fill_stop()
    full.berth.ok("start", "lives")
    assert full.berth.state("lives")["Running"] is True


@pytest.mark.parametrize("verb", ["run", "create", "pull", "load", "commit", "volume create"])
def test_F07_what_needs_space_says_so_and_leaves_nothing(full, verb, tmp_path, registry):
    b = full.berth
    far = registry.push(images.little(tmp_path / "far", "far:1", os.urandom(300000)).path, "far:1", "full/new:1") if verb == "pull" else None
    args = {"run": ("run", "--network", "none", "--name", "new", "base:1", "sh", "-c", "true"),
            "create": ("create", "--network", "none", "--name", "new", "base:1", "true"),
            "pull": ("pull", "-q", far),
            "load": ("load", "-q", "-i", images.little(tmp_path / "new", "new:1", os.urandom(300000)).path),
            "commit": ("commit", "wrote", "new:1"), "volume create": ("volume", "create", "new")}[verb]
    b.fails(*args, says=REMEDY)
    full.fill_stop()
    assert "new" not in b.ok("ps", "-a") + b.ok("images") + b.ok("volume", "ls")
    assert [row for row in map(json.loads, b("system", "check", "--format", "json").out.splitlines())] == []
    assert b.ok("run", "--rm", "--network", "none", "base:1", "cat", "/etc/text") == "base"
    assert b.ok("exec", "lives", "cat", "/etc/text") == "base"
