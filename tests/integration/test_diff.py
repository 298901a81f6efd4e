"""`diff`: what a container has changed in its files: docker's letters and order, whatever overlayfs keeps of it."""

import os
import subprocess

import pytest

from harness import until

# (what is done in a fresh container, the whole list)
ROWS = [
    ("true", ""),
    ("touch /srv/new", "C /srv\nA /srv/new"),
    ("mkdir -p /srv/a/b; echo >/srv/a/b/c", "C /srv\nA /srv/a\nA /srv/a/b\nA /srv/a/b/c"),
    ("rm /srv/noted", "C /srv\nD /srv/noted"),
    ("rm -r /srv", "D /srv"),
    ("echo more >>/etc/group", "C /etc/group"),
    ("chmod 600 /etc/group", "C /etc/group"),
    ("chown 5:6 /opt", "C /opt"),
    ("chmod 700 /opt/opaque", "C /opt/opaque"),
    ("rm /etc/group; echo new >/etc/group", "C /etc\nC /etc/group"),
    ("rm /etc/group; mkdir /etc/group; touch /etc/group/in", "C /etc\nC /etc/group\nA /etc/group/in"),
    ("rm -r /srv; mkdir /srv", "C /srv\nD /srv/hard-link\nD /srv/noted\nD /srv/owned"),
    ("rm -r /srv; mkdir /srv; echo x >/srv/noted; touch /srv/also",
     "C /srv\nA /srv/also\nD /srv/hard-link\nC /srv/noted\nD /srv/owned"),
    ("mv /srv/noted /srv/moved", "C /srv\nA /srv/moved\nD /srv/noted"),
    ("touch /srv/gone; rm /srv/gone", "C /srv"),
    ("rm /opt/link; mkdir /opt/link; touch /opt/link/x", "C /opt\nC /opt/link\nA /opt/link/x"),
    ("rm -r /opt/opaque; ln -s /etc /opt/opaque", "C /opt\nC /opt/opaque"),
    ("mkdir /a /a-b; touch /a/c /a-b/d; touch /a.e", "A /a\nA /a/c\nA /a-b\nA /a-b/d\nA /a.e"),
    ("mkfifo /srv/fifo; ln /srv/fifo /srv/fifo2", "C /srv\nA /srv/fifo\nA /srv/fifo2"),
    ("mkdir /srv/d; touch /srv/d/x; rm -r /srv/d; mkdir /srv/d", "C /srv\nA /srv/d"),
]


@pytest.mark.parametrize("script, want", ROWS, ids=[r[0] for r in ROWS])
def test_what_changed_is_listed_as_docker_does(berth, cbox, script, want):
    name, r = cbox.keep("sh", "-c", script)
    assert r.code == 0, r
    assert berth.ok("diff", name) == want


def test_the_same_of_one_that_runs(berth, cbox):
    name = cbox.start("sh", "-c", "rm -r /srv; mkdir /srv; touch /srv/x; sleep 1000")
    until(lambda: berth("exec", name, "test", "-e", "/srv/x").code == 0, "it has done it")
    want = "C /srv\nD /srv/hard-link\nD /srv/noted\nD /srv/owned\nA /srv/x"
    lines = berth.ok("diff", name).split("\n")
    assert sorted(lines) == sorted(want.split("\n")) and lines[0] == "C /srv"
    berth.ok("pause", name)
    assert berth.ok("diff", name).split("\n") == lines
    berth.ok("unpause", name)


def test_places_of_mounts_are_no_changes(berth, box, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    opts = ("-v", f"{tmp_path}/d:/srv/data", "-v", f"{tmp_path}/d:/new/deep/data", "-v", f"{tmp_path}/f:/etc/one-file", "--tmpfs",
            "/fast", "-v", f"{tmp_path}/d:/other/place/data")
    name, r = box.keep("sh", "-c", "touch /srv/data/in /fast/in; touch /other/mine", opts=opts)
    assert r.code == 0, r
    assert berth.ok("diff", name) == "A /other\nA /other/mine"


def test_copied_in_files_are_changes(berth, box, tmp_path):
    (tmp_path / "f").write_text("x")
    name = box.name()
    berth.ok(*box.args("true", verb="create", opts=("--name", name)))
    assert berth.ok("diff", name) == ""
    berth.ok("cp", tmp_path / "f", f"{name}:/srv/f")
    assert berth.ok("diff", name) == "C /srv\nA /srv/f"


def test_R21_names_do_not_drive_a_terminal(berth, cbox):
    name, _ = cbox.keep("touch", "/srv/\033[2Jx")
    assert "\033[2J" in berth.ok("diff", name)  # a pipe gets what is there
    t = cbox.terminal("diff", name)
    t.expect(r"A /srv/\?\[2Jx")
    assert t.wait() == 0


def test_what_can_not_be_read_is_refused(berth, cbox, image):
    berth.fails("diff", "no-such-one", says="no such container: no-such-one")
    name, _ = cbox.keep("sh", "-c", "chmod 700 /etc")
    upper = next(p for p in (berth.root / "containers").glob("*/upper/etc") if p.parent.parent.name == berth.inspect(name)["Id"])
    os.setxattr(upper, "trusted.overlay.redirect", b"elsewhere")
    berth.fails("diff", name, says="redirect_dir")
    os.removexattr(upper, "trusted.overlay.redirect")
    assert berth.ok("diff", name) == "C /etc"


def test_a_reader_that_went_away_is_no_success(berth, cbox):
    name, _ = cbox.keep("sh", "-c", "i=0; while [ $i -lt 3000 ]; do : >/srv/a-rather-long-name-for-a-file-$i; i=$((i+1)); done")
    assert len(berth.ok("diff", name).split("\n")) == 3001
    p = subprocess.Popen(berth.argv("diff", name), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.close()
    assert b"write the list" in p.stderr.read() and p.wait() == 125
    p.stderr.close()
