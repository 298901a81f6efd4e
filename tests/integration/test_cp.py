"""`cp`: files out of a container and into it, by docker's documented rules, against containers that fight back."""

import fcntl
import io
import os
import stat
import subprocess
import tarfile
import threading
import time

import pytest

from harness import Box, until

# "docker container cp", Extended description: (source, destination, what is there afterwards, or the words of the error).
# In the source's world: file "F", directory "D" with "in", link "L" to D. In the destination's: directory "dir", file "file".
RULES = [
    ("F", "new", {"new": "F"}),
    ("F", "missing/", "no such directory"),
    ("F", "missing/new", "No such file or directory"),
    ("F", "file", {"file": "F"}),
    ("F", "dir", {"dir/F": "F"}),
    ("F", "dir/", {"dir/F": "F"}),
    ("D", "new", {"new/in": "in"}),
    ("D", "new/", {"new/in": "in"}),
    ("D/.", "new", {"new/in": "in"}),
    ("D", "file", "cannot copy directory"),
    ("D/.", "file", "cannot copy directory"),
    ("D", "dir", {"dir/D/in": "in"}),
    ("D/", "dir", {"dir/D/in": "in"}),
    ("D/.", "dir", {"dir/in": "in"}),
    ("F/", "dir", "not a directory"),
    ("nothing", "dir", "no such file or directory"),
    ("L", "dir", {"dir/L": "-> D"}),
    ("L/", "dir", {"dir/L/in": "in"}),
    ("L/.", "dir", {"dir/in": "in"}),
    ("D", "over", "cannot overwrite non-directory"),
    ("F", "under", "cannot overwrite directory"),
]
FILL_SOURCE = "mkdir D; echo -n in >D/in; echo -n F >F; ln -s D L"
FILL_DEST = "mkdir dir over under under/F; echo -n old >file; echo -n old >over/D"


@pytest.fixture(scope="module")
def world(berth, image):
    """A running container and one that never ran."""
    b = Box(berth, "container", image)
    b.running = b.start("sleep", "100000")
    b.stopped = b.name()
    berth.ok(*b.args("true", verb="create", opts=("--name", b.stopped)))
    yield b
    b.clean()


@pytest.fixture(scope="module")
def machine(berth, image):
    """A running virtual machine."""
    b = Box(berth, "vm", image)
    b.vm = b.start("sleep", "100000")
    yield b
    b.clean()


@pytest.fixture(params=["running", "stopped", pytest.param("vm", marks=pytest.mark.vm)])
def there(request):
    return getattr(request.getfixturevalue("machine" if request.param == "vm" else "world"), request.param)


def sh(script, cwd):
    subprocess.run(["sh", "-ec", script], cwd=cwd, check=True)


def seen(top, name):
    path = top / name
    return f"-> {os.readlink(path)}" if path.is_symlink() else path.read_text()


@pytest.mark.parametrize("source, dest, want", RULES, ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("way", ["out", "in"])
def test_what_goes_where_is_dockers_table(berth, there, tmp_path, source, dest, want, way):
    here, back = tmp_path / "here", tmp_path / "back"
    here.mkdir()
    sh(f"mkdir s d; (cd s; {FILL_SOURCE}); (cd d; {FILL_DEST})", here)
    inside = f"{there}:/tmp/{os.urandom(4).hex()}"
    berth.ok("cp", here, inside)
    argv = ("cp", f"{inside}/s/{source}", f"{here}/d/{dest}") if way == "out" else ("cp", f"{here}/s/{source}", f"{inside}/d/{dest}")
    if isinstance(want, str):
        berth.fails(*argv, says=want)
        return
    assert berth(*argv).err == "", "without a terminal it says nothing"
    berth.ok("cp", f"{inside}/.", back)
    top = (here if way == "out" else back) / "d"
    assert {name: seen(top, name) for name in want} == want
    assert seen(top, "over/D") == "old"


def test_a_link_as_source_is_followed_when_asked(berth, there, tmp_path):
    sh(f"{FILL_SOURCE}; mkdir out", tmp_path)
    berth.ok("cp", "-L", tmp_path / "L", f"{there}:/srv/by-link")
    berth.ok("cp", f"{there}:/srv/by-link", tmp_path / "out")
    assert (tmp_path / "out/by-link/in").read_text() == "in"
    berth.ok("cp", "-L", f"{there}:/opt/link", tmp_path / "out")  # -> /opt/opaque/new, of the container's root
    assert (tmp_path / "out/link").read_text() == "only me\n"
    berth.ok("cp", f"{there}:/opt/link", tmp_path / "out/as-link")
    assert os.readlink(tmp_path / "out/as-link") == "/opt/opaque/new"


def test_owner_is_the_callers_or_roots_unless_kept(berth, there, tmp_path):
    f = tmp_path / "f"
    f.write_text("x")
    os.chown(f, 1234, 4321)
    f.chmod(0o6750)
    for opts, owner, mode in ((), (0, 0), 0o750), (("-a",), (1234, 4321), 0o6750):
        berth.ok("cp", *opts, f, f"{there}:/tmp/owned")
        tar = subprocess.run(berth.argv("cp", f"{there}:/tmp/owned", "-"), capture_output=True, check=True).stdout
        (info,) = tarfile.open(fileobj=io.BytesIO(tar)).getmembers()
        assert ((info.uid, info.gid), info.mode) == (owner, mode)
        assert info.mtime == int(f.stat().st_mtime)
    berth.ok("cp", f"{there}:/tmp/owned", tmp_path / "out")
    st = (tmp_path / "out").stat()
    assert ((st.st_uid, st.st_gid), st.st_mode & 0o7777) == ((os.getuid(), os.getgid()), 0o750)
    berth.ok("cp", "-a", f"{there}:/tmp/owned", tmp_path / "kept")
    st = (tmp_path / "kept").stat()
    assert ((st.st_uid, st.st_gid), st.st_mode & 0o7777) == ((1234, 4321), 0o6750)


def tar_of(*members):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, text, kw in members:
            info = tarfile.TarInfo(name)
            data = text.encode() if text is not None else b""
            info.size = len(data)
            for key, value in kw.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return raw.getvalue()


@pytest.mark.parametrize("compress", [None, "gzip", "bzip2", "xz", "zstd"])
def test_tars_go_in_and_out(berth, there, tmp_path, compress):
    raw = tar_of(("d/one", "1", {}), ("d/two", "", {"type": tarfile.LNKTYPE, "linkname": "d/one"}), ("./three", "3", {}))
    if compress:
        raw = subprocess.run([compress, "-c"], input=raw, capture_output=True, check=True).stdout
    berth.ok("cp", "-", f"{there}:/tmp", input=raw)
    tar = subprocess.run(berth.argv("cp", f"{there}:/tmp/d", "-"), capture_output=True, check=True).stdout
    members = tarfile.open(fileobj=io.BytesIO(tar)).getmembers()
    assert [(m.name, m.type) for m in members] == [("d", tarfile.DIRTYPE), ("d/one", tarfile.REGTYPE), ("d/two", tarfile.LNKTYPE)]
    berth.fails("cp", "-", f"{there}:/tmp/three", input=raw, says="must be a directory")
    berth.fails("cp", "-", f"{there}:/tmp/missing", input=raw, says="must be a directory")
    berth.fails("cp", "-", f"{there}:/tmp", input=b"no tar at all, but some text that is long enough", says="not a tar archive")


@pytest.mark.parametrize("members, says", [
    ([("../escaped", "x", {})], 'climbs with ".."'),
    ([("a/../../escaped", "x", {})], 'climbs with ".."'),
    ([("up", None, {"type": tarfile.SYMTYPE, "linkname": ".."}), ("up/escaped", "x", {})], "symlink"),
    ([("abs", None, {"type": tarfile.SYMTYPE, "linkname": "/"}), ("abs/escaped", "x", {})], "symlink"),
    ([("hard", None, {"type": tarfile.LNKTYPE, "linkname": "../etc/passwd"})], "climbs"),
    ([("hard", None, {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})], "not among what was copied"),
])
def test_I01_a_tar_stays_in_its_destination(berth, there, members, says):
    berth.fails("cp", "-", f"{there}:/srv", input=tar_of(*members), says=says)
    berth.fails("cp", f"{there}:/escaped", "/tmp/never", says="no such file")


@pytest.mark.parametrize("kind", ["running", pytest.param("vm", marks=pytest.mark.vm)])
def test_links_of_the_container_lead_into_its_own_root(berth, request, tmp_path, kind):
    name = getattr(request.getfixturevalue("machine" if kind == "vm" else "world"), kind)
    berth.ok("exec", name, "sh", "-c", "ln -s /etc/hostname /tmp/abs; ln -s ../../../../../../etc /tmp/up; mkdir /tmp/e; "
             "ln -s /proc/1/root /tmp/magic")
    berth.ok("cp", f"{name}:/tmp/up/passwd", tmp_path)
    assert "web:x:1000" in (tmp_path / "passwd").read_text()
    berth.fails("cp", f"{name}:/tmp/magic/etc/passwd", tmp_path / "magic", says="Too many levels of symbolic links")
    (tmp_path / "f").write_text("planted")
    berth.ok("exec", name, "ln", "-s", "/etc/planted-by-cp", "/tmp/dest")
    berth.ok("cp", tmp_path / "f", f"{name}:/tmp/dest")
    assert berth.ok("exec", name, "cat", "/etc/planted-by-cp") == "planted"
    assert not os.path.exists("/etc/planted-by-cp")


@pytest.mark.parametrize("kernel", ["", "without openat2"])
@pytest.mark.parametrize("way", ["out", "in"])
def test_I18_paths_that_are_swapped_while_copying_lead_nowhere_else(berth, cbox, tmp_path, way, kernel):
    tool = [str(berth.build / "tests/tools/no_openat2")] if kernel else []

    def copy(*args):
        return subprocess.run([*tool, *berth.argv("cp", *args)], capture_output=True).returncode == 0

    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "passwd").write_text("of the host")
    name = cbox.start("sh", "-c", f"mkdir -p /tmp/race/real{victim}; cd /tmp/race; echo -n inside >real/passwd; "
                      f"echo -n inside >real{victim}/passwd; ln -s {victim} evil; ln -s real now; "
                      "while :; do ln -sfn evil now; ln -sfn real now; mv real moved; mv evil real; mv real evil; mv moved real; done")
    until(lambda: berth("exec", name, "test", "-e", "/tmp/race/now").code == 0, "the race is on")
    planted = tmp_path / "planted"
    planted.write_text("planted")
    began, copied = time.monotonic(), 0
    while time.monotonic() < began + 5 or (not copied and time.monotonic() < began + 60):
        if way == "out":
            out = tmp_path / "out"
            copied += copy(f"{name}:/tmp/race/now/passwd", out)
            assert not out.exists() or out.read_text() == "inside"
        else:
            copied += copy(planted, f"{name}:/tmp/race/now/passwd")
            assert (victim / "passwd").read_text() == "of the host"
            assert sorted(os.listdir(victim)) == ["passwd"]
    assert copied, "the race was never won by cp: nothing was tested"


def test_I19_R26_no_program_of_the_container_is_run(berth, cbox, tmp_path):
    name = cbox.start("sh", "-c", "for p in tar gzip xz zstd bzip2 unpigz sh; do for d in /usr/bin /usr/local/bin; do mkdir -p $d; "
                      "printf '#!/bin/busybox sh\\ntouch /tmp/was-run\\n' >$d/$p; chmod 755 $d/$p; done; done; "
                      "mkdir -p /usr/lib/x86_64-linux-gnu; echo x >/usr/lib/x86_64-linux-gnu/libnss_files.so.2; exec sleep 1000")
    raw = subprocess.run(["xz", "-c"], input=tar_of(("f", "1", {})), capture_output=True, check=True).stdout
    until(lambda: berth("exec", name, "test", "-e", "/usr/lib/x86_64-linux-gnu/libnss_files.so.2").code == 0, "it has set the trap")
    berth.ok("cp", "-", f"{name}:/srv", input=raw)
    berth.ok("cp", f"{name}:/srv/.", tmp_path / "out")
    assert berth("exec", name, "test", "-e", "/tmp/was-run").code == 1


@pytest.mark.parametrize("kind", ["running", pytest.param("vm", marks=pytest.mark.vm)])
def test_fifos_never_block_and_devices_stay_inside(berth, request, tmp_path, kind):
    name = getattr(request.getfixturevalue("machine" if kind == "vm" else "world"), kind)
    r = berth("cp", f"{name}:/opt", tmp_path)  # holds a FIFO, a device and a sparse file
    assert r.code == 0 and "null is not copied" in r.err, r
    assert stat.S_ISFIFO((tmp_path / "opt/fifo").stat().st_mode) and not (tmp_path / "opt/null").exists()
    berth.ok("exec", name, "truncate", "-s", "64M", "/tmp/holes")
    berth.ok("cp", f"{name}:/tmp/holes", tmp_path)
    holes = (tmp_path / "holes").stat()
    assert holes.st_size == 64 << 20 and holes.st_blocks * 512 < 1 << 20
    r = berth("cp", f"{name}:/opt/null", tmp_path)
    assert r.code == 125 and "is a device or a socket" in r.err, r


def test_volumes_are_the_containers_files(berth, cbox, tmp_path):
    rw, ro = tmp_path / "rw", tmp_path / "ro"
    for d in rw, ro:
        d.mkdir()
        (d / "there").write_text(d.name)
    opts = ("-v", f"{rw}:/data", "-v", f"{ro}:/fixed:ro")
    running = cbox.start("sleep", "100000", opts=opts)
    created = cbox.name()
    berth.ok(*cbox.args("true", verb="create", opts=("--name", created, *opts)))
    (tmp_path / "f").write_text("new")
    for name in running, created:
        out = tmp_path / f"out-{name}"
        out.mkdir()
        berth.ok("cp", f"{name}:/data/there", out)
        assert (out / "there").read_text() == "rw"
        berth.ok("cp", tmp_path / "f", f"{name}:/data/{name}")
        assert (rw / name).read_text() == "new"
        berth.fails("cp", tmp_path / "f", f"{name}:/fixed/f", says="Read-only file system")
        assert os.listdir(ro) == ["there"]
    assert not [line for line in open("/proc/self/mountinfo") if str(tmp_path) in line], "mounts were left"


def test_a_mount_point_is_written_over_and_a_read_only_root_is_not(berth, cbox, tmp_path):
    f = tmp_path / "f"
    f.write_text("127.0.0.1 mine\n")
    name = cbox.start("sleep", "100000")
    berth.ok("cp", f, f"{name}:/etc/hosts")
    assert berth.ok("exec", name, "cat", "/etc/hosts") == "127.0.0.1 mine"
    ro = cbox.start("sleep", "100000", opts=("--read-only",))
    berth.fails("cp", f, f"{ro}:/etc/new", says="Read-only file system")


def test_what_was_copied_while_it_stood_is_there_when_it_runs(berth, cbox, tmp_path):
    f = tmp_path / "f"
    f.write_text("before")
    name = cbox.name()
    berth.ok(*cbox.args("cat", "/srv/f", "/etc/hostname", verb="create", opts=("--name", name, "--hostname", "it")))
    berth.ok("cp", f, f"{name}:/srv/f")
    assert berth.ok("start", "-a", name) == "beforeit"
    f.write_text("after")
    berth.ok("cp", f, f"{name}:/srv/f")
    assert berth.ok("start", "-a", name) == "afterit"
    berth.ok("cp", f"{name}:srv/f", tmp_path / "back")  # without a leading slash: of the root
    assert (tmp_path / "back").read_text() == "after"


def test_a_paused_container_can_be_copied_from(berth, cbox, tmp_path):
    name = cbox.start("sleep", "100000")
    berth.ok("pause", name)
    berth.ok("cp", f"{name}:/etc/group", tmp_path)
    berth.ok("unpause", name)
    assert "web" in (tmp_path / "group").read_text()


def test_whoever_has_the_container_for_a_moment_is_waited_for(berth, cbox, tmp_path):
    """A command that was killed may have left a child that still ends. One that goes on is told."""
    name = cbox.name()
    ident = berth.ok(*cbox.args("true", verb="create", opts=("--name", name))).strip()
    other = os.open(berth.root / "containers" / ident, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(other, fcntl.LOCK_EX)
    copy = berth.popen("cp", f"{name}:/etc/group", "-", stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    assert copy.poll() is None
    os.close(other)
    assert copy.wait(60) == 0
    other = os.open(berth.root / "containers" / ident, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(other, fcntl.LOCK_EX)
    for words in (("cp", f"{name}:/etc/group", "-"), ("export", "-o", tmp_path / "tar", name)):
        berth.fails(*words, says="copied by another command")
    os.close(other)


def test_a_directory_is_not_copied_into_itself_through_a_volume(berth, cbox, tmp_path):
    (tmp_path / "d").mkdir()
    name = cbox.start("sleep", "100000", opts=("-v", f"{tmp_path}:/data"))
    berth.fails("cp", tmp_path, f"{name}:/data/d", says="copied into itself")


def test_wrong_words_are_told(berth, world, tmp_path):
    name = world.running
    berth.fails("cp", "a", "b", says="must specify at least one container source")
    berth.fails("cp", f"{name}:/a", f"{name}:/b", says="copying between containers is not supported")
    berth.fails("cp", "", f"{name}:/b", says="source can not be empty")
    berth.fails("cp", f"{name}:/a", "", says="destination can not be empty")
    berth.fails("cp", "no-such-one:/a", tmp_path, says="no such container: no-such-one")
    colon = tmp_path / "a:b"
    colon.write_text("colon")
    berth.ok("cp", str(colon), f"{name}:/tmp/colon")
    assert berth.ok("exec", name, "cat", "/tmp/colon") == "colon"


def test_on_a_terminal_it_says_what_it_did(berth, world, tmp_path):
    t = world.terminal("cp", f"{world.running}:/etc/passwd", str(tmp_path))
    t.expect(r"Successfully copied [0-9.]+k?B to " + str(tmp_path))
    assert t.wait() == 0
    t = world.terminal("cp", f"{world.running}:/etc/passwd", "-")
    t.expect("standard output is a terminal")
    assert t.wait() == 125


def test_many_copies_at_once(berth, world, tmp_path):
    def one(i):
        berth.ok("cp", f"{world.running}:/bin/busybox", tmp_path / f"b{i}")
    threads = [threading.Thread(target=one, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len({(tmp_path / f"b{i}").read_bytes() for i in range(6)}) == 1


@pytest.mark.parametrize("kind", ["running", pytest.param("vm", marks=pytest.mark.vm)])
def test_the_whole_root_is_copied_but_for_what_the_kernel_makes_up(berth, request, tmp_path, kind):
    name = getattr(request.getfixturevalue("machine" if kind == "vm" else "world"), kind)
    r = berth("cp", "-q", f"{name}:/", tmp_path / "all")
    assert r.code == 0, r
    assert os.listdir(tmp_path / "all/proc") == [] == os.listdir(tmp_path / "all/sys")
    assert (tmp_path / "all/bin/busybox").stat().st_size > 100000 and "web" in (tmp_path / "all/etc/passwd").read_text()
    berth.fails("cp", f"{name}:/proc/version", tmp_path, says="no file")


@pytest.mark.vm
def test_a_vm_is_copied_to_and_from_while_it_works(berth, machine, tmp_path):
    name = machine.vm
    big = os.urandom(3 << 20)
    (tmp_path / "big").write_bytes(big)
    berth.ok("cp", tmp_path / "big", f"{name}:/srv/big")
    assert berth.ok("exec", name, "sh", "-c", "wc -c </srv/big; stat -c %u /srv/big").split() == [str(len(big)), "0"]
    berth.ok("cp", f"{name}:/srv/big", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == big
    berth.ok("exec", name, "rm", "/srv/big")
    lines = berth.ok("events", "--since", "1h", "--until", "0s", "--filter", f"container={name}", "--format", "{{.Action}}").split("\n")
    assert "archive-path" in lines and "extract-to-dir" in lines and not [v for v in lines if "\x01" in v or "files" in v]
    berth.ok("pause", name)
    berth.fails("cp", f"{name}:/etc/passwd", tmp_path, says="unpause it first")
    berth.ok("unpause", name)
