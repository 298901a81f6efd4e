"""What a container may not do to its runtime."""

import hashlib
import os
import socket

import pytest


def test_R01_the_runtimes_own_file_can_not_be_opened_for_writing(runtime, box, bundle):
    before = hashlib.sha256(runtime.program.read_bytes()).hexdigest()
    name = box.start(bundle)
    # The runtime itself is executed inside: the kernel follows "#!" to /proc/self/exe.
    (bundle.rootfs / "evil").write_text("#!/proc/self/exe\n")
    (bundle.rootfs / "evil").chmod(0o755)
    runtime("exec", name, "/evil")
    other = box.bundle()
    (other.rootfs / "evil").write_text("#!/proc/self/exe\n")
    (other.rootfs / "evil").chmod(0o755)
    runtime("run", "--bundle", other.args("/evil").where, box.name())
    assert hashlib.sha256(runtime.program.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("opts", [(), ("--trace-startup",)], ids=["before_libc", "after_libc"])
def test_R01_what_runs_before_the_exec_is_a_read_only_copy(runtime, box, bundle, opts):
    """The waiting process of a created container is the runtime: through it nothing may be written. A traced one makes its copy
    when libc has begun, as one that is linked dynamically does."""
    name = box.create(bundle, *opts)
    pid = runtime.state(name)["pid"]
    for path in (f"/proc/{pid}/exe",):
        flags = os.statvfs(path).f_flag
        try:
            os.close(os.open(path, os.O_WRONLY))
            opened = True
        except OSError as e:
            opened, why = False, e.errno
        assert not opened and (flags & os.ST_RDONLY or why == 26), (flags, opened)
    assert os.statvfs(f"/proc/{pid}/exe").f_flag & os.ST_RDONLY


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
