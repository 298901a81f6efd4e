"""`diff`, `export`, `commit` and `cp` of virtual machines: the agent in the guest reads, this host judges what comes."""

import io
import json
import os
import subprocess
import tarfile

import pytest

from harness import Box, until

pytestmark = pytest.mark.vm

CHANGES = ("echo live >/srv/live; ln /srv/live /srv/live2; chown 7:8 /srv/live; chmod 4711 /srv/live; rm /srv/noted; rm -r /opt/opaque; mkdir /opt/opaque; "
           "touch /opt/opaque/mine /fast/in /data/in; mkfifo /srv/fifo; ln -s /nowhere /srv/dangling; touch /srv/empty")
LISTED = ("C /opt", "C /opt/opaque", "A /opt/opaque/mine", "D /opt/opaque/new", "C /srv", "A /srv/dangling", "A /srv/empty", "A /srv/fifo",
          "A /srv/live", "A /srv/live2", "D /srv/noted")


@pytest.fixture(scope="module")
def machine(berth, image, tmp_path_factory):
    """A running machine that has changed its files, a container that has made the same changes, and what both have mounted."""
    volume = tmp_path_factory.mktemp("volume")
    opts = ("-v", f"{volume}:/data", "--tmpfs", "/fast")
    b = Box(berth, "vm", image)
    other = Box(berth, "container", image)
    b.other, r = other.keep("sh", "-c", CHANGES, opts=opts)
    assert r.code == 0, r
    b.vm = b.start("sh", "-c", f"{CHANGES}; touch /srv/ready; rm /srv/ready; i=0; while :; do echo $i >/a; echo $i >/b; i=$((i+1)); done", opts=opts)
    until(lambda: berth("exec", b.vm, "test", "-s", "/b").code == 0, "it counts")
    yield b
    b.clean()
    other.clean()


@pytest.fixture
def made(berth):
    name = f"made-{os.urandom(4).hex()}:1"
    yield name
    berth("rmi", "-f", name)


def exported(berth, name):
    raw = subprocess.run(berth.argv("export", name), capture_output=True, check=True).stdout
    return {m.name: m for m in tarfile.open(fileobj=io.BytesIO(raw)).getmembers()}


def goes_on(berth, vm):
    """It is still counting; while its files are read for a commit nothing new begins in it."""
    counted = lambda: berth("exec", vm, "cat", "/b").out
    until(counted, "it answers")
    before = counted()
    until(lambda: counted() not in ("", before), "it goes on")


def test_changes_are_listed_as_a_containers(berth, machine):
    lines = berth.ok("diff", machine.vm).split("\n")
    assert sorted(lines) == sorted((*LISTED, "A /a", "A /b"))
    assert [line for line in lines if line in LISTED] == berth.ok("diff", machine.other).split("\n") == list(LISTED)


def test_the_tar_is_a_containers(berth, machine):
    mine, theirs = exported(berth, machine.vm), exported(berth, machine.other)
    assert set(mine) - set(theirs) == {"a", "b"} and set(theirs) <= set(mine)
    facts = lambda m: (m.type, m.mode, m.uid, m.gid, m.size, m.linkname, m.devmajor, m.devminor, m.pax_headers)
    assert {n: facts(m) for n, m in mine.items() if n in theirs} == {n: facts(m) for n, m in theirs.items()}
    assert mine["srv/live2"].islnk() and mine["opt/null"].ischr() and not [n for n in mine if n.startswith(("data/", "fast/", "proc/"))]


def test_failed_exports_leave_the_old_file_and_a_machine_that_answers(berth, machine, tmp_path):
    out = tmp_path / "out.tar"
    out.write_text("old")
    p = berth.popen("export", "-o", "/dev/full", machine.vm)
    assert b"No space left" in p.communicate()[1] and p.returncode == 125
    p = subprocess.Popen(berth.argv("export", machine.vm), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.read(1000)
    p.stdout.close()
    assert b"Broken pipe" in p.stderr.read() and p.wait() == 125
    p.stderr.close()
    p = berth.popen("export", "-o", out, machine.vm)
    p.kill()
    p.communicate()
    assert out.read_text() == "old" and os.listdir(tmp_path) == ["out.tar"]
    assert berth.ok("exec", machine.vm, "echo", "here") == "here"


def test_the_image_is_what_the_machine_was_at_one_moment(berth, machine, made):
    other = Box(berth, "container", machine.image)
    for pause in True, False:
        ident = berth.ok("commit", f"--pause={str(pause).lower()}", "-m", "why", "-c", "ENV X=y", machine.vm, made)
        info = json.loads(berth.ok("image", "inspect", made))[0]
        assert info["Id"] == ident and "X=y" in info["Config"]["Env"]
        assert other.ok("sh", "-c", "cat /srv/live; ls -d /opt/opaque/* /fast /data 2>/dev/null; test -e /srv/noted || echo gone; stat -c '%a %u %h' /srv/live",
                        image=made) == "live\n/opt/opaque/mine\ngone\n4711 7 2"
        goes_on(berth, machine.vm)
        if pause:
            kept = [other.ok("cat", f"/{f}", image=made) for f in "ab"]
            assert "" not in kept and 0 <= int(kept[0]) - int(kept[1]) <= 1 or kept.count("") == 1, kept
    other.clean()


def test_killed_at_any_moment_a_commit_lets_it_go_on(berth, machine, made):
    for i in range(4):
        p = berth.popen("commit", machine.vm, made, start_new_session=True)
        time_out = 0.1 * i
        try:
            p.communicate(timeout=time_out)
        except subprocess.TimeoutExpired:
            p.kill()
            p.communicate()
        goes_on(berth, machine.vm)
    berth.ok("image", "prune", "-f")
    assert "whole" in berth.ok("system", "check")


def test_one_that_is_paused_is_named_with_the_remedy(berth, machine):
    berth.ok("pause", machine.vm)
    for verb in "diff", "export", "commit":
        berth.fails(verb, machine.vm, says=["is paused", "unpause"])
    berth.ok("unpause", machine.vm)
