"""What systemd passes to a service and hears from it: $NOTIFY_SOCKET and $LISTEN_FDS, with a listener in systemd's place."""

import fcntl
import os
import socket
import subprocess
import time

import oci
import pytest

# Says what it is told to, a datagram an argument, waiting for the file /go before each one; then stays.
SAYS = """
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
assert os.environ["NOTIFY_SOCKET"] == "/run/notify/notify.sock"
for word in sys.argv[1:]:
    while not os.path.exists("/go"):
        time.sleep(0.01)
    s.send(word.encode())
time.sleep(1000)
"""


class Systemd:
    """The service manager's end: what was said to it, and whether its barrier was waited for."""

    def __init__(self, address):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(address)
        self.sock.settimeout(60)
        self.env = {**os.environ, "NOTIFY_SOCKET": address.replace("\0", "@", 1)}

    def hears(self) -> tuple:
        """(the lines of one message, its descriptors)"""
        data, fds, _, _ = socket.recv_fds(self.sock, 4096, 4)
        return data.decode().splitlines(), fds

    def hears_nothing(self) -> bool:
        self.sock.settimeout(0.2)
        try:
            return not self.hears()
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(60)


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path):
    s = Systemd(str(tmp_path / "systemd.sock") if request.param == "path" else f"\0berth-test-{os.getpid()}")
    yield s
    s.sock.close()


def go(bundle):
    (bundle.rootfs / "go").touch()


def ready_and_barrier(systemd, pid, process):
    """READY and MAINPID come, then a barrier which the process waits for."""
    lines, fds = systemd.hears()
    assert lines == ["READY=1", f"MAINPID={pid}"] and not fds
    lines, fds = systemd.hears()
    assert lines == ["BARRIER=1"] and len(fds) == 1
    time.sleep(0.1)
    assert process.poll() is None, "it has not waited for its message to be taken"
    os.close(fds[0])
    assert process.wait(60) == 0


def test_start_waits_until_the_container_is_ready(runtime, box, bundle, systemd):
    name = box.create(bundle.python(SAYS, "STATUS=warm", "READY=1", "MAINPID=1"), env=systemd.env)
    start = runtime.popen("start", name, env=systemd.env)
    oci.until(lambda: runtime.status(name) == "running", "the container to run")
    assert systemd.hears_nothing() and start.poll() is None
    go(bundle)
    ready_and_barrier(systemd, runtime.state(name)["pid"], start)
    assert systemd.hears_nothing(), "what else the container says is not passed on"
    assert runtime.status(name) == "running"


def test_a_detached_run_waits_and_others_may_work_on_the_container_meanwhile(runtime, box, bundle, systemd):
    name = box.name()
    run = runtime.popen("run", "--detach", "--bundle", bundle.python(SAYS, "X=1\nREADY=1\n").where, name, env=systemd.env)
    oci.until(lambda: runtime(*("state", name)).code == 0 and runtime.status(name) == "running", "the container to run")
    assert runtime.ok("exec", name, "echo", "in") == "in\n" and run.poll() is None
    go(bundle)
    ready_and_barrier(systemd, runtime.state(name)["pid"], run)


def test_run_in_the_foreground_names_itself_as_the_main_process_and_serves_on(runtime, box, bundle, systemd):
    words = ["READY=1"] + ["STATUS=x"] * 600  # more than a queue of datagrams holds
    go(bundle)
    name = box.name()
    run = runtime.popen("run", "--bundle", bundle.python(SAYS.replace("time.sleep(1000)", "print('said')"), *words).where, name,
                        env=systemd.env)
    lines, fds = systemd.hears()
    assert lines == ["READY=1", f"MAINPID={run.pid}"] and not fds
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0 and out == b"said\n" and not err
    assert systemd.hears_nothing()


def test_a_container_that_ends_without_a_word_is_not_waited_for(runtime, box, bundle, systemd):
    name = box.create(bundle.args("true"), env=systemd.env)
    runtime.ok("start", name, env=systemd.env)
    assert systemd.hears_nothing()
    r = runtime("run", "--detach", "--bundle", bundle.where, box.name(), env=systemd.env)
    assert r.code == 0 and systemd.hears_nothing()


def test_kill_ends_a_start_that_waits(runtime, box, bundle, systemd):
    name = box.create(bundle, env=systemd.env)
    start = runtime.popen("start", name, env=systemd.env)
    oci.until(lambda: runtime.status(name) == "running", "the container to run")
    runtime.ok("kill", name, "KILL")
    assert start.wait(60) == 0
    assert systemd.hears_nothing()


def test_any_user_of_the_container_may_say_that_it_is_ready(runtime, box, bundle, systemd):
    bundle.config["process"]["user"] = {"uid": 1234, "gid": 1234}
    bundle.config["root"]["readonly"] = True
    go(bundle)
    name = box.create(bundle.python(SAYS, "READY=1"), env=systemd.env, umask=0o077)
    start = runtime.popen("start", name, env=systemd.env, umask=0o077)
    ready_and_barrier(systemd, runtime.state(name)["pid"], start)


def test_start_without_the_variable_does_not_wait_and_with_it_warns_where_create_had_none(runtime, box, bundle, systemd):
    runtime.ok("start", box.create(bundle, env=systemd.env))
    r = runtime("start", box.create(bundle), env=systemd.env)
    assert r.code == 0 and "made without it" in r.err and r.err.count("\n") == 1
    assert systemd.hears_nothing()


def test_a_notify_socket_that_can_be_none_is_refused_and_one_that_is_gone_is_a_warning(runtime, box, bundle, tmp_path):
    for wrong in ("relative", "@", "/" + "x" * 108):
        env = {**os.environ, "NOTIFY_SOCKET": wrong}
        runtime.fails("run", "--bundle", bundle.where, box.name(), says="$NOTIFY_SOCKET", env=env)
    env = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "gone")}
    go(bundle)
    r = runtime("run", "--detach", "--bundle", bundle.python(SAYS, "READY=1").where, box.name(), env=env)
    assert r.code == 0 and "gone: No such file or directory" in r.err


def test_without_the_variable_nothing_of_it_is_in_the_container(runtime, box, bundle):
    out = box.output(bundle, "env; ls /run/notify 2>&1 || true")
    assert "NOTIFY" not in out and "No such file" in out


# As a service's process finds its socket: sd_listen_fds(3).
SERVES = """
import os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid()) and os.environ["LISTEN_FDS"] == "2", dict(os.environ)
assert os.environ["LISTEN_FDNAMES"] == "first:second"
conn, _ = socket.socket(fileno=4).accept()
conn.send(conn.recv(100).upper())
"""


def activated(runtime, listeners, *args, pid="$$"):
    """The runtime with these sockets as its descriptors 3, 4 ..."""
    moves = " ".join(f"{3 + i}<&{s.fileno()}" for i, s in enumerate(listeners))
    script = f'export LISTEN_PID={pid} LISTEN_FDS={len(listeners)} LISTEN_FDNAMES=first:second; exec "$@" {moves}'
    return subprocess.run(["bash", "-c", script, "bash", *runtime.argv(*args)], stdin=subprocess.DEVNULL, timeout=60,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[s.fileno() for s in listeners]).returncode


@pytest.fixture
def listeners(tmp_path):
    found = []
    for i in range(2):
        # Out of the way of 3 and 4, which they are moved to.
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(tmp_path / f"service{i}.sock"))
            s.listen()
            found.append(socket.socket(fileno=fcntl.fcntl(s.fileno(), fcntl.F_DUPFD_CLOEXEC, 50)))
    yield found
    for s in found:
        s.close()


@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_socket_that_systemd_listens_on_is_served_by_the_container(runtime, box, bundle, listeners, verb):
    name = box.name()
    opts = ["--detach"] if verb == "run" else []
    assert activated(runtime, listeners, verb, *opts, "--bundle", bundle.python(SERVES).where, name) == 0
    if verb == "create":
        runtime.ok("start", name)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(listeners[1].getsockname())
        client.send(b"hello")
        assert client.recv(100) == b"HELLO"


def test_sockets_meant_for_another_process_stay_with_the_runtime(runtime, box, bundle, listeners):
    bundle.sh("test -z \"$LISTEN_FDS$LISTEN_PID\" && test ! -e /proc/self/fd/3")
    assert activated(runtime, listeners, "run", "--bundle", bundle.where, box.name(), pid="1") == 0
