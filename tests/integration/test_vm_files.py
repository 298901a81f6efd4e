"""`diff`, `export`, `commit` and `cp` of virtual machines: the agent in the guest reads, this host judges what comes."""

import io
import json
import os
import signal
import subprocess
import tarfile
import time

import pytest

import images
import leaks
from disks import Disk
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
    assert {n: facts_of(m) for n, m in mine.items() if n in theirs} == {n: facts_of(m) for n, m in theirs.items()}
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


# ---- of one that does not run ----


@pytest.fixture(scope="module")
def ended(berth, image, tmp_path_factory):
    """A machine that has changed its files and ended, as `other` has."""
    volume = tmp_path_factory.mktemp("volume")
    opts = ("-v", f"{volume}:/data", "--tmpfs", "/fast")
    b, other = Box(berth, "vm", image), Box(berth, "container", image)
    for box in b, other:
        box.volume = volume
        box.ended, r = box.keep("sh", "-c", CHANGES, opts=opts)
        assert r.code == 0, r
    b.other = other
    yield b
    b.clean()
    other.clean()


def keepers(berth, name):
    """Pids of processes that keep a guest for its files, and what they have made."""
    ident = berth.inspect(name)["Id"]
    pids = []
    for entry in os.listdir("/proc"):
        try:
            is_apart = entry.isdigit() and os.getsid(int(entry)) == int(entry) and os.readlink(f"/proc/{entry}/exe") == str(berth.program)
            if is_apart and os.path.samefile(f"/proc/{entry}/fd/4", berth.root / "containers" / ident):
                pids.append(int(entry))
        except OSError:
            continue
    return pids, [p for p in (berth.run_dir / "containers").iterdir() if p.name == f".files-{ident}"]


def nothing_left(berth, name):
    until(lambda: keepers(berth, name) == ([], []), "nobody keeps its guest")
    ident = berth.inspect(name)["Id"]
    assert not [p for p in leaks.cgroups() if ident in str(p)]


def facts_of(m):
    return m.type, m.mode, m.uid, m.gid, m.size, m.linkname, m.devmajor, m.devminor, m.pax_headers


def test_the_disk_of_one_that_has_ended_is_read_by_a_guest_of_its_own(berth, ended, made):
    before = berth.inspect(ended.ended)
    assert berth.ok("diff", ended.ended) == berth.ok("diff", ended.other.ended) == "\n".join(LISTED)
    mine, theirs = exported(berth, ended.ended), exported(berth, ended.other.ended)
    assert {n: facts_of(m) for n, m in mine.items()} == {n: facts_of(m) for n, m in theirs.items()}
    berth.ok("commit", ended.ended, made)
    assert ended.other.ok("sh", "-c", "cat /srv/live2; ls -d /opt/opaque/*; test -e /srv/noted || echo gone", image=made) == "live\n/opt/opaque/mine\ngone"
    assert berth.inspect(ended.ended) == before
    actions = berth.ok("events", "--since", "1h", "--until", "0s", "--filter", f"container={ended.ended}", "--format", "{{.Action}}").split("\n")
    assert actions.count("start") == actions.count("die") == 1 and actions[-2:] == ["export", "commit"]
    nothing_left(berth, ended.ended)


def test_what_is_copied_into_one_that_never_ran_is_there_when_it_starts(berth, image, tmp_path):
    b = Box(berth, "vm", image)
    (tmp_path / "in").write_text("hello\n")
    (tmp_path / "volume").mkdir()
    name = b.name()
    berth.ok(*b.args("sh", "-c", "cat /srv/in /data/in; stat -c %u /srv/in", verb="create", opts=("--name", name, "-v", f"{tmp_path}/volume:/data")))
    assert berth.ok("diff", name) == ""
    for place in "/srv", "/data":
        berth.ok("cp", tmp_path / "in", f"{name}:{place}")
    assert (tmp_path / "volume/in").read_text() == "hello\n"
    assert berth.state(name)["Status"] == "created"
    berth.ok("cp", f"{name}:/data/in", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "hello\n"
    berth.fails("cp", f"{name}:/nothing", tmp_path, says="/nothing: no such file or directory")
    berth.fails("cp", tmp_path / "in", f"{name}:/nothing/there", says="No such file or directory")
    assert berth.ok("start", "-a", name) == "hello\nhello\n0"
    assert berth.ok("diff", name) == "C /srv\nA /srv/in"
    nothing_left(berth, name)
    b.clean()


def test_meanwhile_it_is_neither_started_nor_removed(berth, ended):
    other, _ = ended.keep("true")
    p = berth.popen("diff", other)
    until(lambda: keepers(berth, other)[0], "a guest is kept")
    berth.fails("start", other, says="copied by another command")
    berth.ok("rm", other)
    assert p.communicate()[1] == b"" and p.returncode == 0


@pytest.mark.parametrize("who, moment", [("command", 0), ("command", 2.5), ("command", 4), ("keeper", 0.1), ("keeper", 3), ("vmm", 2)])
def test_killed_at_any_moment_nothing_is_left(berth, ended, who, moment):
    name = ended.ended
    p = berth.popen("diff", name)
    until(lambda: keepers(berth, name)[0] or p.poll() is not None, "a guest is kept")
    time.sleep(moment)
    pids, _ = keepers(berth, name)
    if who == "vmm":
        pids = [int(pid) for keeper in pids for pid in open(f"/proc/{keeper}/task/{keeper}/children").read().split()]
    for pid in [p.pid] if who == "command" else pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    said = p.communicate()[1]
    if who != "command" and p.returncode:
        assert p.returncode == 125 and (b"was killed" in said or b"guest" in said or b"virtual machine" in said), said
    until(lambda: not keepers(berth, name)[0], "nobody keeps its guest")
    assert berth.ok("diff", name) == "\n".join(LISTED)
    nothing_left(berth, name)


def test_a_copy_that_has_not_been_started_is_left_alone(berth, ended):
    state = berth.root / "containers" / berth.inspect(ended.ended)["Id"] / "state"
    state.touch()
    berth.fails("diff", ended.ended, says=["a copy of a running one", "berth start"])
    state.unlink()


def test_F07_a_full_store_is_named_and_nothing_is_left(berth, scratch, tmp_path):
    d = Disk(berth, scratch / "full-vm", 160, "-m", "0")
    b = d.berth
    try:
        b.root.mkdir()
        (b.root / "kernels").symlink_to(berth.root / "kernels")  # a kernel with its modules would need a larger disk
        b.ok("load", "-q", "-i", images.little(tmp_path / "base", "base:1", b"base\n").path)
        b.ok("run", "--isolation", "vm", "--network", "none", "--name", "wrote", "base:1", "sh", "-c", "head -c 3000000 /dev/urandom >/x")
        b.ok("system", "df")
        d.fill("blocks")
        before = sorted(p.name for p in (b.root / "oci/blobs/sha256").iterdir())
        assert "No space left" in b.fails("commit", "wrote", "made:1")
        assert sorted(p.name for p in (b.root / "oci/blobs/sha256").iterdir()) == before
        assert b.ok("diff", "wrote") == "A /x"
        b.ok("export", "-o", tmp_path / "out.tar", "wrote")
        assert tarfile.open(tmp_path / "out.tar").getmember("x").size == 3000000
        assert not [p for p in (b.run_dir / "containers").iterdir() if p.name.startswith(".files-")]
        b.ok("rm", "wrote")
    finally:
        d.fill_stop()
        d.close()


def test_F07_what_a_guest_writes_to_a_full_host_is_its_error_and_it_goes_on(berth, scratch, tmp_path):
    d = Disk(berth, scratch / "full-guest", 160, "-m", "0")
    b = d.berth
    try:
        b.root.mkdir()
        (b.root / "kernels").symlink_to(berth.root / "kernels")
        b.ok("load", "-q", "-i", images.little(tmp_path / "base", "base:1", b"base\n").path)
        b.ok("run", "-d", "--isolation", "vm", "--network", "none", "--name", "writes", "base:1", "sleep", "100000")
        d.fill("blocks")
        wrote = b("exec", "writes", "busybox", "dd", "if=/dev/zero", "of=/x", "bs=65536", "count=400", "conv=fsync", timeout=200)
        assert wrote.code == 1 and "error" in wrote.err, wrote
        assert b.ok("exec", "writes", "cat", "/etc/text") == "base"
        d.fill_stop()
        b.ok("rm", "-f", "writes")
    finally:
        d.fill_stop()
        d.close()


def test_a_terminal_is_told_what_it_waits_for(berth, ended):
    t = ended.terminal("diff", ended.ended)
    t.expect(f"Booting a guest for the files of {ended.ended}")
    t.expect("A /srv/live2")
    assert t.wait() == 0
