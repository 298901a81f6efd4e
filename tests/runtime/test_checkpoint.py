"""checkpoint and restore by the host's CRIU, where that works (`criu check`). What holds without it: test_criu.py."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

import oci

MIB = 1 << 20
COUNT = "i=0; while :; do i=$((i+1)); echo $i >/tmp/count; sleep 0.02; done"


@pytest.fixture(scope="session", autouse=True)
def criu():
    if not shutil.which("criu"):
        pytest.skip("criu is not here")
    r = subprocess.run(["criu", "check"], capture_output=True, text=True)
    if r.returncode != 0:
        pytest.skip("criu check: " + (r.stderr.strip().splitlines() or ["it says no"])[0])


class Saved:
    """A test's images, and what is done with them."""

    def __init__(self, runtime, box, where):
        self.rt, self.box, self.images = runtime, box, where / "images"

    def opts(self):
        return ["--image-path", self.images]

    def checkpoint(self, name, *opts, ends=True):
        pid = self.rt.state(name)["pid"]
        r = self.rt("checkpoint", *self.opts(), *opts, name)
        assert r.code == 0, f"{r}\n{self.log('dump.log')}"
        if ends:
            oci.reap(pid)
            self.rt.fails("state", name, says="does not exist")

    def restore(self, bundle, *opts, name=None, **kw):
        name = name or self.box.name()
        r = self.rt("restore", "--detach", *self.opts(), "--bundle", bundle.where, *opts, name, **kw)
        assert r.code == 0, f"{r}\n{self.log('restore.log')}"
        return name

    def log(self, name):
        try:
            return (self.images / name).read_text()[-3000:]
        except OSError:
            return f"no {name}"


@pytest.fixture
def saved(runtime, box, tmp_path):
    return Saved(runtime, box, tmp_path)


def count_of(bundle):
    try:
        return int((bundle.rootfs / "tmp/count").read_text())
    except (OSError, ValueError):
        return 0


def counts(bundle):
    before = count_of(bundle)
    oci.until(lambda: count_of(bundle) > before, "the count to go on")
    return count_of(bundle)


@pytest.fixture
def bundle(box):
    """In the host's network: the tables of a namespace of its own take CRIU most of its time."""
    b = box.bundle()
    b.config["linux"]["namespaces"] = [n for n in b.config["linux"]["namespaces"] if n["type"] != "network"]
    return b


@pytest.fixture
def counter(box, bundle):
    """A running container that counts."""
    name = box.start(bundle.sh(COUNT))
    oci.until(lambda: count_of(bundle) > 5, "the count")
    return name


def mounts():
    """The host's, at a moment when no CRIU of ours is at work, which has the options of cgroup2 changed meanwhile."""
    fd = os.open(oci.CGROUPS, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return Path("/proc/self/mountinfo").read_text()
    finally:
        os.close(fd)


def test_a_restored_container_goes_on_where_it_was_as_a_started_one(runtime, box, saved):
    host = mounts()
    bundle = box.bundle()
    counter = box.start(bundle.sh(COUNT))
    oci.until(lambda: count_of(bundle) > 5, "the count")
    saved.checkpoint(counter)
    before = count_of(bundle)
    saved.restore(bundle, name=counter)
    assert before < counts(bundle) < before + 1000
    state = runtime.state(counter)
    assert (state["status"], state["bundle"]) == ("running", str(bundle.where))
    assert runtime.ok("exec", counter, "sh", "-c", "cat /proc/1/comm; echo $$ >/dev/null; echo hello") == "sh\nhello\n"
    assert state["pid"] in json.loads(runtime.ok("ps", "--format", "json", counter))
    runtime.ok("pause", counter)
    assert runtime.status(counter) == "paused"
    runtime.ok("resume", counter)
    runtime.ok("kill", counter, "KILL")
    assert oci.reap(state["pid"]) == 137
    assert runtime.status(counter) == "stopped"
    runtime.ok("delete", counter)
    assert not oci.default_cgroups(counter)
    assert mounts() == host, "a mount was left on the host, or changed"


def test_a_restored_container_may_have_another_name_and_has_its_own_cgroup_with_its_limits(runtime, saved, counter, bundle):
    bundle.config["linux"].setdefault("resources", {}).update(memory={"limit": 96 * MIB}, pids={"limit": 55})
    bundle.save()
    saved.checkpoint(counter)
    name = saved.restore(bundle)
    assert not oci.default_cgroups(counter)
    pid = runtime.state(name)["pid"]
    assert f"/berth-{name}" in Path(f"/proc/{pid}/cgroup").read_text()
    values = {p.name: p.read_text().strip() for d in oci.default_cgroups(name) for p in d.glob("*.m*x")}
    assert (values["memory.max"], values["pids.max"]) == (str(96 * MIB), "55")
    counts(bundle)


def test_leave_running_lets_it_go_on(runtime, box, saved, bundle):
    """It may have no file open that it writes to: one that has changed since can't be restored."""
    name = box.start(bundle.args("sleep", "1000"))
    pid = runtime.state(name)["pid"]
    saved.checkpoint(name, "--leave-running", ends=False)
    assert (runtime.status(name), runtime.state(name)["pid"]) == ("running", pid)
    assert runtime.ok("exec", name, "echo", "here") == "here\n"
    runtime.ok("kill", name, "KILL")
    oci.reap(pid)
    runtime.ok("delete", name)
    assert runtime.ok("exec", saved.restore(bundle, name=name), "cat", "/proc/1/comm") == "sleep\n"


SAYS_READY = """
import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
s.send(b"READY=1")
if not {keeps}:
    s.close()
i = 0
while True:
    i += 1
    with open("/tmp/count", "w") as f:
        f.write(str(i))
    time.sleep(0.02)
"""


@pytest.mark.parametrize("keeps", [False, True], ids=["closed", "kept open"])
def test_a_service_that_was_ready_is_restored_as_one(runtime, box, bundle, saved, tmp_path, keeps):
    opts = ["--ext-unix-sk"] if keeps else []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "manager"))
        manager.settimeout(60)
        env = {**os.environ, "NOTIFY_SOCKET": manager.getsockname()}

        def serves(*args):
            """The command's READY=1 and barrier are taken, as they come."""
            with runtime.popen(*args, env=env) as p:
                said = manager.recv(100).decode(), manager.recv(100).decode()
                assert p.wait(60) == 0, saved.log("restore.log")
            assert said == (f"READY=1\nMAINPID={runtime.state(name)['pid']}", "BARRIER=1")

        bundle.config["mounts"].append({"destination": "/run", "source": "tmpfs", "type": "tmpfs"})
        name = box.create(bundle.python(SAYS_READY.format(keeps=keeps)), env=env)
        serves("start", name)
        counts(bundle)
        for _ in range(2):
            saved.checkpoint(name, *opts)
            before, name = count_of(bundle), box.name()
            serves("restore", "--detach", *saved.opts(), "--bundle", bundle.where, *opts, name)
            assert counts(bundle) > before
            assert " /run/notify " in runtime.ok("exec", name, "cat", "/proc/self/mountinfo")


def test_memory_saved_before_is_not_saved_again(runtime, saved, counter, bundle, tmp_path):
    first, second = tmp_path / "first", tmp_path / "images"
    runtime.ok("checkpoint", "--pre-dump", "--image-path", first, counter)
    assert runtime.status(counter) == "running"
    counts(bundle)
    saved.checkpoint(counter, "--parent-path", "../first")
    assert os.readlink(second / "parent") == "../first"
    saved.restore(bundle)
    counts(bundle)


def test_pipes_are_whoevers_restores(runtime, box, bundle, saved):
    bundle.sh("echo first; read line; echo got $line; exit 7")
    name = box.name()
    with runtime.popen("create", "--bundle", bundle.where, name, stdin=subprocess.PIPE) as p:
        p.wait(60)
        runtime.ok("start", name)
        assert oci.read_until(p.stdout.fileno(), b"first\n") == b"first\n"
        saved.checkpoint(name)
    r = runtime("restore", *saved.opts(), "--bundle", bundle.where, box.name(), input="other\n")
    assert (r.code, r.out) == (7, "got other\n"), f"{r}\n{saved.log('restore.log')}"


def test_files_of_the_host_are_whoevers_restores(runtime, box, bundle, saved, tmp_path):
    bundle.sh("while :; do echo x; sleep 0.02; done")
    name = box.name()
    before, after = tmp_path / "before", tmp_path / "after"
    with open(before, "ab") as out:
        runtime.popen("create", "--bundle", bundle.where, name, stdout=out, stderr=out).wait(60)
    runtime.ok("start", name)
    oci.until(lambda: before.stat().st_size, "output")
    saved.checkpoint(name)
    size = before.stat().st_size
    after.touch()
    with open(after, "ab") as out:
        p = runtime.popen("restore", "--detach", *saved.opts(), "--bundle", bundle.where, box.name(), stdout=out, stderr=out)
        assert p.wait(60) == 0, after.read_text() + saved.log("restore.log")
    oci.until(lambda: after.stat().st_size, "output after the restore")
    assert before.stat().st_size == size


def test_a_terminal_is_sent_to_the_console_socket_again(runtime, box, bundle, saved, console):
    bundle.config["process"]["terminal"] = True
    bundle.sh("stty -echo; echo ready; read line; echo got $line; read line; echo again $line; sleep 1000")
    name = box.start(bundle, "--console-socket", console.path)
    master, _ = console.take()
    oci.read_until(master, b"ready")
    os.write(master, b"one\n")
    oci.read_until(master, b"got one")
    saved.checkpoint(name)
    os.close(master)
    name = saved.restore(bundle, "--console-socket", console.path)
    master, _ = console.take()
    os.write(master, b"two\n")
    oci.read_until(master, b"again two")
    os.close(master)


def test_mounts_of_the_host_come_from_where_the_new_bundle_says(runtime, box, bundle, saved, tmp_path):
    (bundle.rootfs / "link").symlink_to("tmp")
    for n in "12":
        (tmp_path / n / "sub").mkdir(parents=True)
        (tmp_path / n / "file").write_text(n)
    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path / "1/sub"], check=True)
    try:
        bundle.config["mounts"] += [
            {"destination": "/data", "source": str(tmp_path / "1"), "type": "bind", "options": ["rbind", "rw"]},
            {"destination": "/link/file", "source": str(tmp_path / "1/file"), "type": "bind", "options": ["bind", "ro"]},
            {"destination": "/scratch", "source": "tmpfs", "type": "tmpfs", "options": ["size=1m"]}]
        name = box.start(bundle.sh("echo kept >/scratch/kept; " + COUNT))
        oci.until(lambda: count_of(bundle) > 5, "the count")
        saved.checkpoint(name)
        text = (bundle.where / "config.json").read_text().replace(str(tmp_path / "1/file"), str(tmp_path / "2/file"))
        (bundle.where / "config.json").write_text(text)
        for place in ("data", "tmp/file", "scratch"):  # a root that has never been mounted on
            shutil.rmtree(bundle.rootfs / place) if (bundle.rootfs / place).is_dir() else (bundle.rootfs / place).unlink()
        name = saved.restore(bundle)
        assert runtime.ok("exec", name, "cat", "/data/file", "/tmp/file", "/scratch/kept") == "12kept\n"
        assert runtime("exec", name, "touch", "/tmp/file").code != 0, "it was read-only"
        assert " /data/sub " in runtime.ok("exec", name, "cat", "/proc/self/mountinfo")
        counts(bundle)
    finally:
        subprocess.run(["umount", tmp_path / "1/sub"], check=True)


def test_what_was_masked_and_read_only_stays_so(runtime, saved, counter, bundle):
    (masked,) = [p for p in bundle.config["linux"]["maskedPaths"] if p.endswith("kcore")]
    look = f"wc -c <{masked}; ls /sys/firmware; echo x >/proc/sys/kernel/domainname"
    before = runtime("exec", counter, "sh", "-c", look)
    saved.checkpoint(counter)
    name = saved.restore(bundle)
    after = runtime("exec", name, "sh", "-c", look)
    assert (after.out, after.code) == (before.out, before.code) == ("0\n", 1)


def test_capabilities_seccomp_and_no_new_privs_stay(runtime, box, bundle, saved):
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW",
                                         "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}
    name = box.start(bundle.sh(COUNT))
    oci.until(lambda: count_of(bundle) > 5, "the count")

    def rights(name):
        lines = Path(f"/proc/{runtime.state(name)['pid']}/status").read_text().splitlines()
        return [line for line in lines if line.startswith(("Cap", "Seccomp", "NoNewPrivs", "Uid", "Gid", "Groups"))]

    before = rights(name)
    assert "Seccomp:\t2" in before
    saved.checkpoint(name)
    assert rights(saved.restore(bundle)) == before


def test_a_network_namespace_of_somebody_else_is_joined_again(runtime, box, bundle, saved):
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep 1000"], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"ready\n"
    try:
        path = f"/proc/{holder.pid}/ns/net"
        bundle.config["linux"]["namespaces"].append({"type": "network", "path": path})
        name = box.start(bundle.sh(COUNT))
        oci.until(lambda: count_of(bundle) > 5, "the count")
        saved.checkpoint(name)
        name = saved.restore(bundle)
        assert os.stat(f"/proc/{runtime.state(name)['pid']}/ns/net").st_ino == os.stat(path).st_ino
        counts(bundle)
    finally:
        holder.kill()
        holder.wait()


def test_hooks_of_the_runtime_run_when_there_are_namespaces_and_poststop_when_it_ends(runtime, saved, counter, bundle, tmp_path):
    log = tmp_path / "hooks"
    for kind in ("prestart", "createRuntime", "poststart", "poststop"):
        args = ["sh", "-c", f"read state; echo {kind} $state >>{log}"]
        bundle.config.setdefault("hooks", {})[kind] = [{"path": "/bin/sh", "args": args, "env": ["PATH=/bin:/usr/bin"]}]
    bundle.save()
    saved.checkpoint(counter)  # its own config.json has none
    assert not log.exists()
    name = saved.restore(bundle)
    lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
    assert [kind for kind, _ in lines] == ["prestart", "createRuntime"]
    state = json.loads(lines[1][1])
    assert (state["id"], state["status"], state["pid"]) == (name, "creating", runtime.state(name)["pid"])
    saved.checkpoint(name)
    assert log.read_text().splitlines()[-1].startswith("poststop ")


def test_a_pid_file_has_the_restored_process(runtime, saved, counter, bundle, tmp_path):
    saved.checkpoint(counter)
    name = saved.restore(bundle, "--pid-file", tmp_path / "pid")
    assert (tmp_path / "pid").read_text() == str(runtime.state(name)["pid"])


def test_logs_go_to_the_work_path(runtime, saved, counter, bundle, tmp_path):
    saved.checkpoint(counter, "--work-path", tmp_path / "work")
    saved.restore(bundle, "--work-path", tmp_path / "work")
    assert {"dump.log", "restore.log"} <= {p.name for p in (tmp_path / "work").iterdir()}
    assert not list(saved.images.glob("*.log"))


def test_a_user_namespace_is_saved_with_the_rest(runtime, box, saved):
    bundle = box.bundle()
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    ids = [{"containerID": 0, "hostID": 0, "size": 65536}]
    bundle.config["linux"].update(uidMappings=ids, gidMappings=ids)
    name = box.start(bundle.sh(COUNT))
    oci.until(lambda: count_of(bundle) > 5, "the count")
    saved.checkpoint(name)
    name = saved.restore(bundle)
    counts(bundle)
    assert runtime.ok("exec", name, "id", "-u") == "0\n"


def test_a_paused_container_is_saved_too(runtime, saved, counter, bundle):
    runtime.ok("pause", counter)
    before = count_of(bundle)
    saved.checkpoint(counter)
    saved.restore(bundle)
    assert counts(bundle) > before


CONNECTED = """
import socket, time
s = socket.create_connection(("127.0.0.1", {port}))
while True:
    s.sendall(b"x")
    time.sleep(0.05)
"""


def test_a_failed_checkpoint_leaves_the_container_running_and_says_why(runtime, box, bundle, saved):
    """A connection to the host, without --tcp-established."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = box.start(bundle.python(CONNECTED.format(port=server.getsockname()[1])))
        server.settimeout(60)
        peer, _ = server.accept()
        with peer:
            peer.settimeout(60)
            assert peer.recv(1) == b"x"
            r = runtime("checkpoint", *saved.opts(), name)
            assert r.code == 1 and r.err.count("\n") == 1, r
            assert name in r.err and "dump.log" in r.err and "tcp-established" in r.err, r
            assert runtime.status(name) == "running"
            assert all(peer.recv(1) == b"x" for _ in range(100))


@pytest.mark.parametrize("harm", ["inventory.img", "core-1.img", "mountpoints-*.img", "descriptors.json"])
def test_a_failed_restore_leaves_nothing(runtime, box, saved, counter, bundle, harm):
    saved.checkpoint(counter)
    for p in saved.images.glob(harm):
        p.unlink()
    host = mounts()
    name = box.name()
    r = runtime("restore", "--detach", *saved.opts(), "--bundle", bundle.where, name)
    assert r.code == 1 and "berth-runtime: " in r.err, r
    runtime.fails("state", name, says="does not exist")
    assert not (runtime.root / name).exists() and not oci.default_cgroups(name)
    assert mounts() == host
    before = count_of(bundle)
    time.sleep(0.2)
    assert count_of(bundle) == before, "something of it runs"


def test_a_failed_hook_fails_the_restore_and_leaves_nothing(runtime, box, saved, counter, bundle):
    saved.checkpoint(counter)
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
    name = box.name()
    r = runtime("restore", "--detach", *saved.opts(), "--bundle", bundle.save().where, name)
    assert r.code == 1 and "createRuntime hook 0: /bin/false" in r.err, r
    assert not (runtime.root / name).exists() and not oci.default_cgroups(name)


def test_one_killed_while_it_saves_leaves_a_container_that_runs_or_is_gone(runtime, saved, counter, bundle):
    with runtime.popen("checkpoint", *saved.opts(), counter) as p:
        oci.until(lambda: (saved.images / "dump.log").exists(), "the log")
        p.send_signal(signal.SIGKILL)
    oci.until(lambda: "Unfreezing tasks" in saved.log("dump.log") or "FAILED" in saved.log("dump.log"), "the end of CRIU", 60)
    status = oci.until(lambda: runtime.status(counter), "its status")
    assert status in ("running", "stopped")
    if status == "running":
        counts(bundle)
