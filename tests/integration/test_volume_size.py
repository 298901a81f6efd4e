"""Volumes of a limited size (volume create -o size=): by project quotas, on a file system that has them. The kernel at hand may have none; the one
of ./check lab has."""

import contextlib
import ctypes
import json
import os
import sqlite3
import struct
import subprocess

import pytest

from harness import Berth, Box

QUOTACTL_FD, Q_GETQUOTA_PROJECT = 443, 0x80000702
MB = 1 << 20
# One MiB more than there is room for, and what became of it.
FILL = "head -c {} /dev/zero 2>/dev/null >/data/big; s=$?; sync; echo $s $(stat -c %s /data/big)"


def mounted(tmp_path, options, features="project,quota"):
    disk, at = tmp_path / "disk", tmp_path / "fs"
    with open(disk, "wb") as f:
        f.truncate(256 * MB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", features, disk], check=True)
    at.mkdir()
    return at, subprocess.run(["mount", "-o", f"loop,{options}", disk, at], capture_output=True, text=True, check=False)


@pytest.fixture
def on(berth, layout, tmp_path_factory):
    """on("prjquota"): a Berth whose store is on an ext4 of its own, mounted with this, and which has the image "base"."""
    made = []

    def make(options, features="project,quota"):
        work = tmp_path_factory.mktemp("quota")
        at, done = mounted(work, options, features)
        if done.returncode != 0:
            pytest.skip(f"this kernel mounts no file system with quotas: {done.stderr.strip()}")
        b = Berth(berth.build, at / "root", work / "run")
        made.append((b, at))
        b.ok("load", "-i", layout)
        return b

    yield make
    for b, at in made:
        b("rm", "-f", *b("ps", "-aq").out.split(), "none")
        subprocess.run(["umount", at], check=True)


def boxed(b, ref="base"):
    images = json.loads("[" + ",".join(b.ok("images", "--format", "json").splitlines()) + "]")
    return Box(b, "container", next(i["ID"] for i in images if ref in i["Tag"] or ref in i["Repository"]))


def project(path) -> int:
    return int(subprocess.run(["lsattr", "-p", "-d", path], capture_output=True, text=True, check=True).stdout.split()[0])


def limit_kib(at, ident) -> int:
    fd, block = os.open(at, os.O_RDONLY), ctypes.create_string_buffer(72)
    r = ctypes.CDLL(None, use_errno=True).syscall(QUOTACTL_FD, fd, ctypes.c_uint(Q_GETQUOTA_PROJECT), ident, block)
    os.close(fd)
    assert r == 0, os.strerror(ctypes.get_errno())
    return struct.unpack("Q", block.raw[:8])[0]


def test_a_volume_holds_what_its_size_says_and_no_more(on):
    b = on("prjquota")
    box = boxed(b)
    b.ok("volume", "create", "-o", "size=4m", "data")
    b.ok("volume", "create", "free")
    status, size = box.sh(FILL.format(5 * MB), opts=("-v", "data:/data")).split()
    assert status != "0" and 3 * MB < int(size) <= 4 * MB
    assert box.sh(FILL.format(5 * MB), opts=("-v", "free:/data")).split() == ["0", str(5 * MB)]
    assert box.sh("df -k /data | tail -n 1 | awk '{print $2}'", opts=("-v", "data:/data")) == "4096"
    assert box.sh("rm /data/big; " + FILL.format(3 * MB), opts=("-v", "data:/data")).split()[0] == "0"
    assert json.loads(b.ok("volume", "inspect", "data"))[0]["Options"] == {"size": "4m"}
    box.clean()


def test_nobody_in_a_container_takes_the_limit_away(on):
    b = on("prjquota")
    box = boxed(b)
    b.ok("volume", "create", "-o", "size=1m", "data")
    script = "cd /data; mkdir -p d; echo >f; for p in . d f; do probe project $p; probe disinherit $p; done; " + FILL.format(2 * MB)
    for opts in ((), ("-u", "1000"), ("--cap-add", "SYS_ADMIN")):
        out = box.sh(f"chmod 777 /data; {script}" if opts[:1] != ("-u",) else script, opts=("-v", "data:/data", *opts)).splitlines()
        assert set(out[:-1]) <= {"EPERM", "EACCES", "ENOENT"} and "EPERM" in out and not out[-1].startswith("0 "), (opts, out)
        box.sh("rm -rf /data/*", opts=("-v", "data:/data"))
    name = box.start("sleep", "100", opts=("-v", "data:/data"))
    assert b.ok("exec", name, "probe", "project", "/data") == "EPERM", "what is exec'd may what the container may not"
    other = box.start("sleep", "100", opts=("--volumes-from", name))
    assert b.ok("exec", other, "probe", "disinherit", "/data") == "EPERM"
    assert box.ok("probe", "disinherit", "/") == "OK", "who has no such volume is refused it as well"
    assert box.ok("probe", "project", "/data", opts=("-v", "data:/data", "--security-opt", "seccomp=unconfined")) == "OK", \
        "it is not the filter that keeps the limit: what is said of --privileged is no longer so"
    box.clean()


def test_an_images_files_fill_it_within_its_limit(on):
    b = on("prjquota")
    box = boxed(b)
    b.ok("volume", "create", "-o", "size=4m", "data")
    assert "owned" in box.sh("ls /srv; " + FILL.format(5 * MB).replace("/data", "/srv"), opts=("-v", "data:/srv"))
    at = b.root / "volumes/data/_data"
    assert project(at) == project(at / "big") == project(b.root / "volumes/data") > 0
    box.clean()


def test_a_limit_goes_with_its_volume(on):
    b = on("prjquota")
    b.ok("volume", "create", "-o", "size=4m", "data")
    ident = project(b.root / "volumes/data")
    assert limit_kib(b.root, ident) == 4096
    b.ok("volume", "create", "-o", "size=4096k", "data")  # the same
    b.ok("volume", "create", "data")                      # as docker: it is there
    b.fails("volume", "create", "-o", "size=5m", "data", says="there already, of another size")
    b.ok("volume", "rm", "data")
    assert limit_kib(b.root, ident) == 0
    b.ok("volume", "create", "data")
    assert project(b.root / "volumes/data") == 0
    b.fails("volume", "create", "-o", "size=5m", "data", says="there already, without a limit")


def test_what_a_killed_command_has_left_bounds_no_other(on):
    b = on("prjquota")
    for name in ("one", "two"):
        b.ok("volume", "create", "-o", "size=4m", name)
    ids = [project(b.root / "volumes" / n) for n in ("one", "two")]
    assert ids[0] != ids[1]
    with contextlib.closing(sqlite3.connect(b.root / "berth.db")) as db, db:
        db.execute("DELETE FROM volumes")
    b.ok("volume", "create", "one")
    assert project(b.root / "volumes/one") == project(b.root / "volumes/one/_data") == 0 == limit_kib(b.root, ids[0])
    b.ok("system", "prune", "-f")
    assert not (b.root / "volumes/two").exists() and limit_kib(b.root, ids[1]) == 0


def test_quotas_that_are_counted_but_not_enforced_are_none(on):
    b = on("noquota")
    b.fails("volume", "create", "-o", "size=4m", "data", says=("they are not enforced", "prjquota"))
    assert b.ok("volume", "ls", "-q") == "" and list((b.root / "volumes").iterdir()) == []


def test_where_there_are_no_project_quotas_it_is_refused_with_what_to_do(berth, tmp_path):
    at, done = mounted(tmp_path, "rw", features="^quota")
    assert done.returncode == 0, done.stderr
    try:
        b = Berth(berth.build, at / "root", tmp_path / "run")
        b.fails("volume", "create", "-o", "size=4m", "data", says=("size= needs project quotas", "-O project,quota", "prjquota", "--disk"))
        assert b.ok("volume", "ls", "-q") == "" and list((b.root / "volumes").iterdir()) == []
    finally:
        subprocess.run(["umount", at], check=True)
