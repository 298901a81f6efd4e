"""What a container may not do to its runtime."""

import errno
import hashlib
import os
import socket

import pytest


@pytest.mark.parametrize("opts", [(), ("--trace-startup",)], ids=["before_libc", "after_libc"])
def test_R01_the_runtimes_own_file_is_not_executed_inside(runtime, box, bundle, opts):
    """The kernel follows "#!" to /proc/self/exe, which is the runtime still."""
    before = hashlib.sha256(runtime.program.read_bytes()).hexdigest()
    name = box.start(bundle)
    other = box.bundle()
    for b in (bundle, other):
        (b.rootfs / "evil").write_text("#!/proc/self/exe\n")
        (b.rootfs / "evil").chmod(0o755)
    for r in (runtime("exec", *opts, name, "/evil"), runtime("run", *opts, "--bundle", other.args("/evil").where, box.name())):
        assert r.code not in (0, 124) and 'exec "/evil": permission denied' in r.err, r
    assert hashlib.sha256(runtime.program.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("opts", [(), ("--trace-startup",)], ids=["before_libc", "after_libc"])
def test_R01_what_runs_before_the_exec_is_a_read_only_copy(runtime, box, bundle, opts):
    """The waiting process of a created container is the runtime: through it nothing may be written. A traced one makes its copy
    when libc has begun, as one that is linked dynamically does."""
    name = box.create(bundle, *opts)
    pid = runtime.state(name)["pid"]
    exe = os.open(f"/proc/{pid}/exe", os.O_PATH)
    try:
        # Not by open(2), which says that the program runs before it says that the mount is read-only.
        with pytest.raises(OSError) as said:
            os.truncate(f"/proc/self/fd/{exe}", 0)
        assert said.value.errno == errno.EROFS
    finally:
        os.close(exe)


def test_E03_the_records_are_the_owners_alone(runtime, box, bundle):
    name = box.create(bundle)
    for path in (runtime.root, runtime.root / name):
        assert os.stat(path).st_mode & 0o777 == 0o700
    for path in (runtime.root / name).iterdir():
        assert os.stat(path).st_mode & 0o077 == 0, path


def test_E08_a_pid_file_is_replaced_not_followed(runtime, box, bundle, tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "pid").symlink_to(tmp_path / "victim")
    box.create(bundle, "--pid-file", tmp_path / "pid")
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "pid").is_symlink()


def test_who_connects_to_the_start_socket_without_a_word_changes_nothing(runtime, box, bundle):
    name = box.create(bundle)
    silent = []
    for _ in range(5):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(str(runtime.root / name / "start.sock"))
        silent.append(s)
        s.close()
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(str(runtime.root / name / "start.sock"))
    s.send(b"nonsense")
    s.close()
    assert runtime.status(name) == "created"
    runtime.ok("start", name)
    assert runtime.status(name) == "running"
