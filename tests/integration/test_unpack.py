"""The unpacker against layers that mean harm, and against honest ones with everything in them.

Each layer is made here byte by byte and unpacked by unpack_one, which calls what pull and load call. Around the target stands a
canary tree that must be the same afterwards. The names of the tests name the rows of docs/THREATS.md."""

import gzip
import hashlib
import io
import os
import resource
import shutil
import socket
import stat
import struct
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

import images
from harness import has_ended, until

BUILD = Path(os.environ.get("BERTH_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
PROGRAM = BUILD / "tests/tools/unpack_one"
NO_OPENAT2 = BUILD / "tests/tools/no_openat2"


def snapshot(top: Path):
    """Everything that can be seen of a tree."""
    rows = []
    for path in [top, *sorted(top.rglob("*"))]:
        st = path.lstat()
        body = path.read_bytes() if stat.S_ISREG(st.st_mode) else os.readlink(path).encode() if stat.S_ISLNK(st.st_mode) else b""
        xattrs = [(n, os.getxattr(path, n, follow_symlinks=False)) for n in os.listxattr(path, follow_symlinks=False)]
        rows.append((str(path), st.st_mode, st.st_uid, st.st_gid, st.st_nlink, hashlib.sha256(body).hexdigest(), xattrs))
    return rows


class Box:
    """dir/canary and its siblings must not change; dir/work/diff is where layers go."""

    def __init__(self, top: Path, prefix=()):
        self.top, self.prefix = top, list(prefix)
        self.work, self.diff = top / "work", top / "work/diff"
        for name in ("canary", "victim", "work/diff-evil"):
            (top / name).mkdir(parents=True)
            (top / name / "file").write_text("untouched\n")
        (top / "canary/link").symlink_to("file")
        self.before = self.outside()

    def outside(self):
        return snapshot(self.top / "canary") + snapshot(self.top / "victim") + snapshot(self.work / "diff-evil")

    def unpack(self, data: bytes, comp="none", tar=None, diff_id=None, keep=False, stdin=False, env=None, timeout=120):
        """(exit status, what it printed). data: the blob's bytes; tar: what they inflate to, when that differs."""
        if not keep:
            shutil.rmtree(self.diff, ignore_errors=True)
        blob = self.top / "blob"
        blob.write_bytes(data)
        digest = diff_id or "sha256:" + hashlib.sha256(data if tar is None else tar).hexdigest()
        cmd = [*self.prefix, str(PROGRAM), "-" if stdin else str(blob), comp, digest, str(self.work)]
        r = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
                           env={**os.environ, **(env or {})}, input=None, stdin=open(blob, "rb") if stdin else subprocess.DEVNULL)
        assert self.outside() == self.before, "something outside of the target has changed"
        assert {p.name for p in self.top.iterdir()} == {"canary", "victim", "work", "blob"}
        assert {p.name for p in self.work.iterdir()} <= {"diff", "diff-evil", "files"}
        return r.returncode, r.stdout.strip()

    def ok(self, data, **kw):
        code, out = self.unpack(data, **kw)
        assert code == 0, out
        return out

    def refused(self, data, says="", **kw):
        code, out = self.unpack(data, **kw)
        assert code == 1 and says in out, (code, out)
        assert "\n" not in out, "an error is one line"
        return out


@pytest.fixture(params=["openat2", "without openat2"])
def box(request, tmp_path):
    # A path without spaces or symlinks, outside of pytest's own tree of links.
    top = Path(tempfile.mkdtemp(prefix="unpack-", dir="/var/tmp"))
    yield Box(top, [] if request.param == "openat2" else [str(NO_OPENAT2)])
    shutil.rmtree(top)


@pytest.fixture
def plain(tmp_path):
    top = Path(tempfile.mkdtemp(prefix="unpack-", dir="/var/tmp"))
    yield Box(top)
    shutil.rmtree(top)


def member(name, kind=tarfile.REGTYPE, data=b"", **more):
    t = tarfile.TarInfo(name)
    t.type, t.size, t.mode = kind, len(data), more.pop("mode", 0o755 if kind == tarfile.DIRTYPE else 0o644)
    t.mtime = more.pop("mtime", 1000000000)
    for key, value in more.items():
        setattr(t, key, value)
    return t, data


def d(name, **more):
    return member(name, tarfile.DIRTYPE, **more)


def f(name, data=b"data\n", **more):
    return member(name, data=data, **more)


def sym(name, to, **more):
    return member(name, tarfile.SYMTYPE, linkname=to, **more)


def hard(name, to, **more):
    return member(name, tarfile.LNKTYPE, linkname=to, **more)


def layer(*members, format=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as t:
        for info, data in members:
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def raw_header(name: bytes, kind=b"0", size=0, linkname=b"", mode=0o644, magic=b"ustar\x0000", prefix=b""):
    """One ustar header, for what tarfile refuses to write."""
    h = bytearray(512)
    h[0:len(name[:100])] = name[:100]
    h[100:108], h[108:116], h[116:124] = b"%07o\0" % mode, b"0000000\0", b"0000000\0"
    h[124:136] = b"%011o\0" % size if size < 8 ** 11 else b"\x80" + size.to_bytes(11, "big")
    h[136:148], h[148:156], h[156:157] = b"00000000000\0", b"        ", kind
    h[157:157 + len(linkname[:100])] = linkname[:100]
    h[257:265] = magic
    h[345:345 + len(prefix)] = prefix
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)


def pax(records):
    body = b""
    for key, value in records:
        rest = b" " + key + b"=" + value + b"\n"
        n = len(rest)
        while len(str(n)) + len(rest) != n:
            n = len(str(n)) + len(rest)
        body += str(n).encode() + rest
    return raw_header(b"PaxHeader", b"x", len(body)) + body + b"\0" * (-len(body) % 512)


END = b"\0" * 1024


# ---- honest layers ----

def test_everything_that_a_layer_may_hold_is_kept(plain):
    big = os.urandom(300000)
    long_name = "/".join(["d" * 100] * 5) + "/" + "n" * 200
    caps = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    mtime = {"pax_headers": {"mtime": "1234567890.123456789"}}
    data = layer(
        d("./", mode=0o751, uid=5, gid=6, mtime=111),
        d("usr", mode=0o2775, uid=1000, gid=1001, mtime=222), f("usr/file", big, **mtime), f("usr/grouped", b"", uid=0, gid=0),
        f("usr/su", b"x", mode=0o4755, uid=7, gid=8), d("tmp", mode=0o1777),
        sym("usr/dangling", "/no/where", uid=9, gid=10, mtime=333), sym("usr/abs", "/usr/file"), hard("usr/hard", "usr/file"),
        hard("usr/hard-to-symlink", "usr/abs"),
        member("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666), member("dev/loop", tarfile.BLKTYPE, devmajor=7, devminor=1),
        member("pipe", tarfile.FIFOTYPE, mode=0o600),
        f("cap", b"elf", uid=3, pax_headers={"SCHILY.xattr.security.capability": caps.decode("latin-1")}) if all(b < 128 for b in caps)
        else f("cap", b"elf"),
        f("userx", b"", pax_headers={"SCHILY.xattr.user.note": "hello"}),
        f(long_name, b"long"), f("ünïcode-\u4e16", b"u"), f("with space\nand newline", b"nl"), f("empty", b""))
    assert plain.ok(data).split()[0] == str(len(big) + 1 + 3 + 4 + 1 + 2)
    at = plain.diff
    st = at.lstat()
    assert (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, st.st_mtime) == (0o751, 5, 6, 111)
    st = (at / "usr").lstat()
    assert (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, st.st_mtime) == (0o2775, 1000, 1001, 222)
    assert (at / "usr/file").read_bytes() == big and (at / "usr/file").stat().st_mtime_ns == 1234567890123456789
    assert (at / "usr/grouped").stat().st_gid == 0, "a setgid directory gives its group to nothing of a layer"
    st = (at / "usr/su").stat()
    assert (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid) == (0o4755, 7, 8)
    assert stat.S_IMODE((at / "tmp").stat().st_mode) == 0o1777
    st = (at / "usr/dangling").lstat()
    assert os.readlink(at / "usr/dangling") == "/no/where" and (st.st_uid, st.st_gid, st.st_mtime) == (9, 10, 333)
    assert (at / "usr/hard").stat().st_ino == (at / "usr/file").stat().st_ino and (at / "usr/file").stat().st_nlink == 2
    assert os.readlink(at / "usr/hard-to-symlink") == "/usr/file"
    st = (at / "dev/null").lstat()
    assert stat.S_ISCHR(st.st_mode) and st.st_rdev == os.makedev(1, 3) and stat.S_IMODE(st.st_mode) == 0o666
    assert stat.S_ISBLK((at / "dev/loop").lstat().st_mode) and stat.S_ISFIFO((at / "pipe").lstat().st_mode)
    if (at / "cap").stat().st_uid == 3:
        assert os.getxattr(at / "cap", "security.capability") == caps
    assert os.getxattr(at / "userx", "user.note") == b"hello"
    assert (at / long_name).read_bytes() == b"long" and (at / "ünïcode-\u4e16").read_bytes() == b"u"
    assert (at / "with space\nand newline").read_bytes() == b"nl"
    lines = [line for line in (plain.work / "files").read_bytes().split(b"\n") if b"usr/file" in line and line.startswith(b"f")]
    assert lines == [b"f 644 0 0 300000 " + hashlib.sha256(big).hexdigest().encode() + b" usr/file"]


def test_the_same_tree_as_gnu_tar_makes(plain, tmp_path):
    archive = tmp_path / "a.tar"
    subprocess.run(["tar", "-cf", archive, "--xattrs", "-C", "/usr/share/doc", "bash", "apt", "tar"], check=True)
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", other, "--same-owner", "-p"], check=True)
    plain.ok(archive.read_bytes())

    def rows(top):
        # Links of a tree of links make no difference to their times' order.
        return [(str(p.relative_to(top)), p.lstat().st_mode, p.lstat().st_uid, p.lstat().st_gid, p.lstat().st_mtime_ns,
                 p.read_bytes() if p.is_file() and not p.is_symlink() else None) for p in sorted(top.rglob("*"))]

    assert rows(plain.diff) == rows(other)


@pytest.mark.parametrize("comp", ["gzip", "zstd"])
def test_compressed_layers_are_the_same_layer(plain, comp):
    tar = layer(f("a", os.urandom(1 << 20)), f("b", b"x" * (3 << 20)))
    data = gzip.compress(tar, 1) if comp == "gzip" else subprocess.run(["zstd", "-qc"], input=tar, capture_output=True, check=True).stdout
    plain.ok(data, comp=comp, tar=tar)
    assert (plain.diff / "b").stat().st_size == 3 << 20
    plain.ok(data, comp=comp, tar=tar, stdin=True)


def test_gzip_members_in_a_row_are_one_stream_wherever_they_are_cut(plain):
    tar = layer(f("a", os.urandom(5000)), f("b", b"y" * 70000))
    for cut in (1, 511, 4096, len(tar) - 1):
        for tail in (b"", b"\0" * 700):
            plain.ok(gzip.compress(tar[:cut]) + gzip.compress(b"") + gzip.compress(tar[cut:]) + tail, comp="gzip", tar=tar)


def test_a_layer_called_gzip_that_is_plain_or_zstd_is_taken_by_its_bytes(plain):
    tar = layer(f("a"))
    plain.ok(tar, comp="gzip")
    plain.ok(subprocess.run(["zstd", "-qc"], input=tar, capture_output=True, check=True).stdout, comp="gzip", tar=tar)


def test_sparse_files_stay_sparse(plain, tmp_path):
    hole = tmp_path / "hole"
    with open(hole, "wb") as h:
        h.write(b"head")
        h.seek(64 << 20)
        h.write(b"tail")
        h.truncate(1 << 30)
    for form in ("gnu", "pax"):
        data = subprocess.run(["tar", "-cS", f"--format={form}", "-C", tmp_path, "hole"], capture_output=True, check=True).stdout
        plain.ok(data)
        st = (plain.diff / "hole").stat()
        assert st.st_size == 1 << 30 and st.st_blocks * 512 < 1 << 20
        with open(plain.diff / "hole", "rb") as h:
            assert h.read(4) == b"head"
            h.seek(64 << 20)
            assert h.read(4) == b"tail"


def test_a_later_entry_wins_whatever_the_types(plain):
    kinds = {
        "file": lambda n: f(n, b"file"), "dir": lambda n: d(n, mode=0o700), "symlink": lambda n: sym(n, "canary"),
        "fifo": lambda n: member(n, tarfile.FIFOTYPE), "device": lambda n: member(n, tarfile.CHRTYPE, devmajor=1, devminor=5),
        "hard": lambda n: hard(n, "anchor"),
    }
    want = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "symlink": stat.S_IFLNK, "fifo": stat.S_IFIFO, "device": stat.S_IFCHR,
            "hard": stat.S_IFREG}
    members = [f("anchor", b"anchor")]
    for one in kinds:
        for two in kinds:
            members += [kinds[one](f"{one}-{two}"), *([f(f"{one}-{two}/below")] if one == "dir" else []), kinds[two](f"{one}-{two}")]
    plain.ok(layer(*members))
    for one in kinds:
        for two in kinds:
            st = (plain.diff / f"{one}-{two}").lstat()
            assert stat.S_IFMT(st.st_mode) == want[two], (one, two)
    assert (plain.diff / "anchor").read_bytes() == b"anchor"
    assert (plain.diff / "dir-dir/below").exists(), "directories merge"


def test_empty_layers_are_layers(plain):
    plain.ok(END)
    plain.ok(b"")
    plain.ok(gzip.compress(END), comp="gzip", tar=END)
    assert list(plain.diff.iterdir()) == []


# ---- I01 traversal ----

@pytest.mark.parametrize("name", ["../victim/file", "a/../../victim/file", "/../../victim/new", "..", "a/..", "./../victim/file"])
def test_I01_names_that_climb_are_refused(box, name):
    box.refused(raw_header(name.encode(), size=4) + b"evil".ljust(512, b"\0") + END, says="climbs")
    box.refused(layer(f("ok"), hard("x", name)), says="climbs")


def test_I01_absolute_names_land_inside(box):
    box.ok(raw_header(str(box.top / "victim/file").encode(), size=4) + b"evil".ljust(512, b"\0") + END)
    assert (box.diff / str(box.top)[1:] / "victim/file").read_bytes() == b"evil"


def test_I01_pax_overrides_are_judged_like_names(box):
    body = raw_header(b"harmless", size=4) + b"evil".ljust(512, b"\0") + END
    box.refused(pax([(b"path", b"../victim/file")]) + body, says="climbs")
    box.refused(pax([(b"GNU.sparse.name", b"../victim/file"), (b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
                     (b"GNU.sparse.realsize", b"4")]) + body)
    box.refused(layer(f("ok")) [:-10240] + pax([(b"linkpath", b"../victim/file")]) + raw_header(b"l", b"1", linkname=b"ok") + END, says="climbs")
    code, _ = box.unpack(pax([(b"path", b"a\0../../victim/file")]) + body)
    assert code in (0, 1)


def test_I01_names_beyond_all_measure_are_refused(box):
    body = raw_header(b"x", size=0) + END
    box.refused(pax([(b"path", b"n" * 65536)]) + body, says="bytes")
    box.refused(pax([(b"path", b"/".join([b"x" * 200] * 400))]) + body, says="longer than")
    box.refused(pax([(b"path", b"d/" * 600 + b"x")]) + body, says="deeper than")
    box.refused(raw_header(b"@LongLink", b"L", 70000) + (b"a/" * 35000).ljust(70144, b"\0") + body)


# ---- I02 symlinks ----

def test_I02_nothing_is_written_through_symlinks_that_lead_out(box):
    out = box.top / "victim"
    for target in (str(out), "../../victim", "../diff-evil", "/" + "../" * 40 + str(out)):
        code, _ = box.unpack(layer(sym("escape", target), f("escape/file", b"evil"), d("escape/dir")))
        assert code in (0, 1)
    for members in (
        [d("inner"), sym("inner/up", ".."), sym("up", "inner/up"), sym("up/escape", "../victim"), f("escape/file", b"evil"),
         f("inner/up/escape/file", b"evil"), f("up/escape/new", b"evil")],
        [sym("a", "b"), sym("b", "a"), f("a/file")],
        [sym("link", str(out / "file")), f("link", b"replaces the link"), f("link", b"twice")],
        [sym("link", str(out)), d("link"), f("link/file", b"in a directory of its own")],
        [sym("x", "/proc/self/root"), f("x/var/tmp/evil", b"evil")], [sym("x", "/proc/self/cwd"), f("x/evil", b"evil")],
    ):
        code, _ = box.unpack(layer(*members))
        assert code in (0, 1)
    assert not Path("/var/tmp/evil").exists() and not (box.top / "evil").exists()


def test_I02_a_symlink_inside_is_followed_inside(box):
    box.ok(layer(d("real"), sym("link", "/real"), f("link/file", b"through")))
    assert (box.diff / "real/file").read_bytes() == b"through"


# ---- I03 hard links ----

def test_I03_hard_links_reach_nothing_outside(box):
    out = box.top / "victim"
    for members in (
        [sym("s", str(out / "file")), hard("h", "s"), f("h", b"evil", mode=0o777)],
        [sym("s", str(out)), hard("h", "s/file"), f("h", b"evil")], [sym("s", str(out)), hard("h", "s/file")],
        [sym("s", "../../victim"), hard("h", "s/file")],
        [sym("s", "../../victim/file"), hard("h", "s"), member("h", mode=0o4777, uid=0)],
        [hard("h", str(out / "file"))], [hard("h", "/etc/passwd")], [hard("h", "h")], [d("dir"), hard("h", "dir")],
    ):
        code, _ = box.unpack(layer(*members))
        assert code in (0, 1)
    assert os.stat("/etc/passwd").st_nlink == 1
    box.refused(layer(hard("h", "not/there")), says="is not in this layer")


# ---- I04 whiteouts ----

def is_whiteout(path):
    st = path.lstat()
    return stat.S_ISCHR(st.st_mode) and st.st_rdev == 0


def opaque(path):
    try:
        return os.getxattr(path, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


def test_I04_whiteouts_become_overlayfs_whiteouts(box):
    box.ok(layer(d("a"), f("a/.wh.gone", b""), f("a/.wh..wh..opq", b""), f("b/c/.wh..wh..opq", b""), f(".wh.top", b"")))
    assert is_whiteout(box.diff / "a/gone") and is_whiteout(box.diff / "top")
    assert opaque(box.diff / "a") and opaque(box.diff / "b/c") and not opaque(box.diff / "b")
    assert not list(box.diff.rglob(".wh.*"))


def test_I04_a_whiteout_and_the_same_name_in_one_layer_mean_replaced(box):
    box.ok(layer(f(".wh.d1", b""), d("d1"), f("d1/x"), d("d2"), f("d2/x"), f(".wh.d2", b""), f("f1"), f(".wh.f1", b""), f(".wh.f2", b""), f("f2"),
                 f(".wh.d3", b""), f("d3/x")))
    assert opaque(box.diff / "d1") and opaque(box.diff / "d2") and opaque(box.diff / "d3")
    assert (box.diff / "d2/x").exists() and (box.diff / "f1").is_file() and (box.diff / "f2").is_file()


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "a/.wh.", "a/.wh..", "a/.wh...", ".wh.x/y"])
def test_I04_whiteouts_of_nothing_are_refused(box, name):
    box.refused(layer(d("a"), f(name, b"")), says="whiteout")


def test_I04_a_whiteout_deletes_nothing_outside(box):
    code, _ = box.unpack(layer(sym("s", str(box.top / "victim")), f("s/.wh.file", b""), f("s/.wh..wh..opq", b"")))
    assert code in (0, 1)
    box.ok(layer(d("real"), sym("s", "real"), f("s/.wh..wh..opq", b"")))
    assert opaque(box.diff / "real")


def test_I04_leftovers_of_aufs_are_ignored(box):
    box.ok(layer(d(".wh..wh.plnk"), f(".wh..wh.plnk/1.2", b"x"), f(".wh..wh.aufs", b""), d(".wh..wh.orph"), f("kept")))
    assert [p.name for p in box.diff.iterdir()] == ["kept"]


# ---- I05 ----

def test_I05_a_directory_swapped_for_a_symlink_again_and_again_leads_nowhere(box):
    members = []
    for i in range(200):
        members += [d("swap"), f(f"swap/file{i}", b"evil"), sym("swap", str(box.top / "victim")), f("swap/file", b"evil")]
    code, _ = box.unpack(layer(*members))
    assert code in (0, 1)


def test_I05_two_layers_at_once_do_not_meet(plain, tmp_path):
    one = layer(*[m for i in range(300) for m in (d("x"), sym("x", "/"), f("y"))])
    (tmp_path / "blob").write_bytes(one)
    digest = "sha256:" + hashlib.sha256(one).hexdigest()
    running = []
    for i in range(4):
        (tmp_path / str(i)).mkdir()
        running.append(subprocess.Popen([PROGRAM, tmp_path / "blob", "none", digest, tmp_path / str(i)], stdout=subprocess.DEVNULL))
    assert [p.wait(120) for p in running] == [0] * 4
    assert plain.outside() == plain.before


# ---- I06 ----

def test_I06_a_fifo_is_never_opened_and_a_device_never_written(box):
    zero = os.makedev(1, 5)
    box.ok(layer(member("p", tarfile.FIFOTYPE), f("p", b"over the fifo"), member("q", tarfile.FIFOTYPE), hard("q2", "q"), f("q2", b"over its link"),
                 member("z", tarfile.CHRTYPE, devmajor=1, devminor=5), f("z", b"not into /dev/zero")))
    assert (box.diff / "p").read_bytes() == b"over the fifo" and stat.S_ISFIFO((box.diff / "q").lstat().st_mode)
    assert (box.diff / "z").lstat().st_rdev != zero and (box.diff / "z").read_bytes() == b"not into /dev/zero"


# ---- I07 ----

def test_I07_overlay_xattrs_are_stripped(box):
    names = ["trusted.overlay.redirect", "trusted.overlay.opaque", "trusted.overlay.metacopy", "trusted.overlay.whiteout", "user.overlay.opaque",
             "security.selinux", "security.ima"]
    bad = {f"SCHILY.xattr.{n}": "/../../victim" for n in names}
    box.ok(layer(f("file", pax_headers=bad), d("dir", pax_headers=bad), member("dev", tarfile.CHRTYPE, devmajor=1, devminor=3, pax_headers=bad)))
    for name in ("file", "dir", "dev"):
        assert os.listxattr(box.diff / name, follow_symlinks=False) == []


def test_I07_xattrs_of_a_symlink_stay_off_its_target(box):
    code, _ = box.unpack(layer(sym("s", str(box.top / "victim/file"), pax_headers={"SCHILY.xattr.trusted.x": "evil"})))
    assert code in (0, 1)


# ---- I08 ----

def peak_rss_mib():
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


@pytest.mark.parametrize("comp", ["gzip", "zstd"])
def test_I08_a_bomb_is_stopped_by_its_ratio(plain, comp):
    # 3 GiB of zeros in one file; the limit (100:1 beyond 1 GiB) strikes near the first.
    size = 3 << 30
    bomb = images.bomb(raw_header(b"zeros", size=size), size, comp)
    out = plain.refused(bomb, comp=comp, diff_id="sha256:" + "0" * 64, says="100 times", timeout=120)
    assert (plain.diff / "zeros").stat().st_size <= (1 << 30) + (2 << 20), out
    assert peak_rss_mib() < 600


def test_I08_a_bomb_behind_the_end_of_the_archive_counts(plain):
    tar = END + b"\0" * (64 << 20)
    plain.refused(gzip.compress(tar), comp="gzip", tar=tar, env={"UNPACK_FLOOR": str(1 << 20)}, says="100 times")


def test_I08_entries_bytes_and_depth_are_bounded(plain):
    many = layer(*[f(f"{i}", b"") for i in range(50)])
    plain.refused(many, env={"UNPACK_MAX_ENTRIES": "49"}, says="more than 49 entries")
    plain.ok(many, env={"UNPACK_MAX_ENTRIES": "50"})
    plain.refused(layer(f("a", b"x" * 3000), f("b", b"x" * 3000)), env={"UNPACK_MAX_BYTES": "5000"}, says="limit of 5000 bytes")
    plain.refused(layer(f("1/2/3/4", b"")), env={"UNPACK_MAX_DEPTH": "3"}, says="deeper than 3")


def test_I08_a_sparse_file_of_2_to_the_63_is_refused(plain):
    sparse = pax([(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"huge"),
                  (b"GNU.sparse.realsize", b"9223372036854775807")])
    body = b"1\n9223372036854775000\n0\n".ljust(512, b"\0")
    plain.refused(sparse + raw_header(b"x", size=512) + body + END)
    plain.refused(raw_header(b"huge", size=(1 << 63) - 512) + END)


# ---- I10 ----

def test_I10_a_layer_that_is_not_what_its_diff_id_says_is_refused(plain):
    tar = layer(f("a"))
    for comp, data in (("none", tar), ("gzip", gzip.compress(tar))):
        plain.refused(data, comp=comp, diff_id="sha256:" + "0" * 64, says="its image says sha256:0000")
        plain.refused(data, comp=comp, diff_id="sha256:" + "0" * 64, says="its image says", stdin=True)
    for bad in ("sha256:../../victim", "sha256:" + "A" * 64, "md5:" + "0" * 32, "", "sha512:" + "0" * 128):
        code, out = plain.unpack(tar, diff_id=bad or "x")
        assert code == 1 and "digest" in out


# ---- damage ----

@pytest.mark.parametrize("comp", ["none", "gzip", "zstd"])
def test_a_damaged_or_cut_layer_is_refused_in_one_line(plain, comp):
    tar = layer(*[f(f"f{i}", os.urandom(997 * i)) for i in range(20)])
    data = {"none": lambda: tar, "gzip": lambda: gzip.compress(tar, 6),
            "zstd": lambda: subprocess.run(["zstd", "-qc"], input=tar, capture_output=True, check=True).stdout}[comp]()
    for cut in (1, 300, len(data) // 3, len(data) - 5):
        plain.refused(data[:cut], comp=comp, tar=tar)
    for at in range(40, len(data), len(data) // 15):
        flipped = bytearray(data)
        flipped[at] ^= 0x10
        plain.refused(bytes(flipped), comp=comp, tar=tar)
    plain.refused(os.urandom(5000), comp=comp, tar=tar)


def test_ids_that_no_kernel_has_are_refused(plain):
    for key in ("uid", "gid"):
        for value in ("4294967295", "4294967296", "18446744073709551615"):
            plain.refused(pax([(key.encode(), value.encode())]) + raw_header(b"x") + END, says="user and group id")


# ---- the child's confinement ----

def walls(pid, work, capabilities, sockets):
    """What holds a process of the unpacker, each wall with whether it stands."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    fds = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
    strange = [t for t in fds if t != "/dev/null" and not t.startswith(("pipe:", str(work), "socket:"))]
    return {
        # A sanitized build goes without filters: the sanitizers' own work does not fit into them (unpack_confine.c).
        "seccomp": status["Seccomp"] == ("0" if b"__asan_init" in PROGRAM.read_bytes() else "2"),
        "no new privileges": status["NoNewPrivs"] == "1",
        "network of its own": os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"),
        "capabilities": int(status["CapEff"].strip(), 16) & ~capabilities == 0,
        f"files {fds}": not strange and sum(t.startswith("socket:") for t in fds) == sockets}


def children(pid):
    return [int(s) for s in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_unpacking_processes_are_confined(plain):
    tar = layer(f("a", os.urandom(100)))
    ours, theirs = socket.socketpair()
    p = subprocess.Popen([PROGRAM, "-", "none", "sha256:" + hashlib.sha256(tar).hexdigest(), plain.work], stdin=theirs, stdout=subprocess.PIPE)
    ours.send(tar[:600])
    # DAC_OVERRIDE, CHOWN, FOWNER, FSETID, MKNOD, SYS_ADMIN, SETFCAP at most; the inflater has none.
    writers = 1 << 1 | 1 << 0 | 1 << 3 | 1 << 4 | 1 << 27 | 1 << 21 | 1 << 31
    try:
        # The walls go up one after the other, in both processes: wait for the last of them.
        missing, pids = ["the processes"], []

        def all_stand():
            writer = children(p.pid)
            pids[:] = writer + [pid for w in writer for pid in children(w)]
            if len(writer) == 1 and len(pids) == 2:
                try:
                    stand = {"writer": walls(pids[0], plain.work, writers, 0), "inflater": walls(pids[1], plain.work, 0, 1)}
                except FileNotFoundError:  # a descriptor that it closes
                    return False
                missing[:] = [f"{who}: {wall}" for who, all_of_it in stand.items() for wall, is_up in all_of_it.items() if not is_up]
            return not missing

        try:
            until(all_stand, "all walls stand")
        except AssertionError:
            assert not missing
            raise
        p.kill()
        p.wait()
        until(lambda: all(map(has_ended, pids)), "the children die with their parent")
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
        ours.close()
        theirs.close()
