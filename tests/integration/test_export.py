"""`export`: all files of a container as a tar, the same each time."""

import hashlib
import io
import os
import subprocess
import tarfile

from harness import until


def export(berth, name):
    return subprocess.run(berth.argv("export", name), capture_output=True, check=True).stdout


def test_a_tar_has_the_whole_root_and_is_the_same_each_time(berth, box, tmp_path):
    (tmp_path / "in-volume").touch()
    name, r = box.keep("sh", "-c", "rm -r /opt/opaque; echo new >/srv/new; chown 7:8 /srv/new; chmod 4755 /srv/new; "
                        "ln /srv/new /srv/new2; touch /data/x", opts=("-v", f"{tmp_path}:/data", "--tmpfs", "/fast"))
    assert r.code == 0, r
    raw = export(berth, name)
    tar = tarfile.open(fileobj=io.BytesIO(raw))
    by_name = {m.name: m for m in tar.getmembers()}
    new = by_name["srv/new"]
    assert (new.uid, new.gid, new.mode, tar.extractfile(new).read()) == (7, 8, 0o4755, b"new\n")
    assert by_name["srv/new2"].islnk() and by_name["srv/new2"].linkname == "srv/new"
    assert by_name["opt/link"].issym() and by_name["opt/null"].ischr() and by_name["opt/fifo"].isfifo()
    assert by_name["srv/noted"].pax_headers["SCHILY.xattr.user.note"] == "kept"
    assert "opt/opaque" not in by_name and "data" in by_name and not [n for n in by_name if n.startswith(("data/", "fast/", "proc/"))]
    assert not [n for n in by_name if ".wh." in n]
    names = [m.name for m in tar.getmembers()]
    assert names[0] == "." and [n.split("/") for n in names[1:]] == sorted(n.split("/") for n in names[1:])
    assert hashlib.sha256(export(berth, name)).digest() == hashlib.sha256(raw).digest()
    berth.ok("export", "-o", tmp_path / "out.tar", name)
    assert (tmp_path / "out.tar").read_bytes() == raw


def test_one_that_runs_is_exported_without_its_mounts(berth, box):
    name = box.start("sh", "-c", "echo live >/srv/live; sleep 1000")
    until(lambda: berth("exec", name, "test", "-s", "/srv/live").code == 0, "it has written")
    tar = tarfile.open(fileobj=io.BytesIO(export(berth, name)))
    assert tar.extractfile("srv/live").read() == b"live\n"
    assert not [n for n in tar.getnames() if n.startswith(("proc/", "sys/", "dev/"))]
    assert berth.ok("exec", name, "cat", "/srv/live") == "live"


def test_a_terminal_is_no_place_for_a_tar(berth, cbox):
    name, _ = cbox.keep("true")
    t = cbox.terminal("export", name)
    t.expect("standard output is a terminal")
    assert t.wait() == 125


def test_a_failed_export_leaves_the_old_file_and_no_other(berth, cbox, tmp_path):
    name, _ = cbox.keep("true")
    berth.fails("export", "-o", tmp_path / "missing/out.tar", name, says="missing/out.tar")
    out = tmp_path / "out.tar"
    out.write_text("old")
    berth.fails("export", "-o", out, "no-such-one", says="no such container")
    p = berth.popen("export", "-o", "/dev/full", name)
    assert b"No space left" in p.communicate()[1] and p.returncode == 125
    assert out.read_text() == "old" and os.listdir(tmp_path) == ["out.tar"]
