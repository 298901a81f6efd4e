"""--pidfd-socket: whoever has to end or wait for a process gets a descriptor of it, which no other process can come to stand behind."""

import os
import select
import signal
import socket

import pytest

import oci


@pytest.fixture
def pidfds(tmp_path):
    s = oci.FdSocket(tmp_path)
    yield s
    s.close()


def end(pidfd):
    """Kills whoever it stands for, and sees it end."""
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert select.select([pidfd], [], [], 60)[0], "it did not end"
    os.close(pidfd)


def pid_of(pidfd) -> int:
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("Pid:")).split()[1])


def test_create_sends_the_first_processes(runtime, box, bundle, pidfds):
    name = box.create(bundle, "--pidfd-socket", pidfds.path)
    pidfd, kind = pidfds.take()
    assert kind == b"standard" and pid_of(pidfd) == runtime.state(name)["pid"]
    runtime.ok("start", name)
    end(pidfd)
    oci.until(lambda: runtime.status(name) == "stopped", "the container to end")


def test_run_sends_it_before_the_program_runs(runtime, box, bundle, pidfds):
    """A program that ends at once is no less known by it."""
    assert runtime("run", "--pidfd-socket", pidfds.path, "--bundle", bundle.sh("exit 3").where, box.name()).code == 3
    pidfd, kind = pidfds.take()
    assert kind == b"standard" and select.select([pidfd], [], [], 60)[0]
    os.close(pidfd)


def test_a_detached_run_sends_it(runtime, box, bundle, pidfds):
    name = box.name()
    runtime.ok("run", "-d", "--pidfd-socket", pidfds.path, "--bundle", bundle.save().where, name)
    pidfd, _ = pidfds.take()
    assert pid_of(pidfd) == runtime.state(name)["pid"]
    end(pidfd)


def test_exec_sends_that_of_the_further_process(runtime, box, bundle, pidfds, tmp_path):
    name = box.start(bundle)
    runtime.ok("exec", "-d", "--pidfd-socket", pidfds.path, "--pid-file", tmp_path / "pid", name, "sleep", "1000")
    pidfd, kind = pidfds.take()
    pid = int((tmp_path / "pid").read_text())
    assert kind == b"setns" and pid_of(pidfd) == pid
    end(pidfd)
    oci.reap(pid)
    assert runtime.status(name) == "running"


def test_a_path_is_the_callers_not_the_bundles(runtime, box, bundle, pidfds, tmp_path):
    box.create(bundle, "--pidfd-socket", pidfds.path.name, cwd=tmp_path)
    os.close(pidfds.take()[0])


@pytest.mark.parametrize("is_there", [False, True], ids=["missing", "unserved"])
def test_where_nobody_takes_it_nothing_is_left(runtime, box, bundle, tmp_path, is_there):
    where, name = tmp_path / "nobody", box.name()
    if is_there:
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(where))
    runtime.fails("create", "--pidfd-socket", where, "--bundle", bundle.save().where, name, says=f"--pidfd-socket {where}")
    runtime.fails("state", name, says="does not exist")
    assert not oci.default_cgroups(name)
    name = box.start(bundle)
    before = runtime.ok("ps", "-f", "json", name)
    runtime.fails("exec", "-d", "--pidfd-socket", where, name, "sleep", "1000", code=255, says=f"--pidfd-socket {where}")
    assert runtime.ok("ps", "-f", "json", name) == before
