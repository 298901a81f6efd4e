"""docker run: what is asked for arrives in the container, and its exit code arrives at the user."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from harness import Terminal  # noqa: E402
from host import until  # noqa: E402


def run(docker, *cmd, opts=()):
    return docker.ok("run", "--rm", *opts, "base", *cmd)


def test_it_is_this_runtime_that_runs(docker, box):
    info = json.loads(docker.ok("info", "-f", "{{json .}}"))
    assert info["DefaultRuntime"] == "berth" and info["Runtimes"]["berth"]["path"] == str(docker.runtime)
    by_default, named, runc = box.start(), box.start(opts=("--runtime", "berth")), box.start(opts=("--runtime", "runc"))
    ids = {docker.inspect(n, ".Id"): n for n in (by_default, named, runc)}
    # Its own state directory says which of the three it made.
    made = {p.parent.name for p in Path(f"/proc/{docker.host.pid}/root/var/run/docker").rglob("start.sock")}
    made |= {p.parent.name for p in docker.host.dir.rglob("start.sock")}
    assert {ids[i] for i in made if i in ids} == {by_default, named}


@pytest.mark.parametrize("code", [0, 3, 255])
def test_exit_codes_are_the_process_s(docker, code):
    assert docker("run", "--rm", "base", "sh", "-c", f"exit {code}").code == code


def test_a_signal_that_ends_the_process_is_128_and_its_number(docker):
    # As a child: PID 1 does not take its own SIGKILL.
    assert docker("run", "--rm", "--init", "base", "sh", "-c", "kill -9 $$").code == 137
    assert docker("run", "--rm", "--init", "base", "sh", "-c", "kill -TERM $$").code == 143


def test_output_and_input_are_passed_apart(docker):
    r = docker("run", "--rm", "-i", "base", "sh", "-c", "cat; echo err >&2", stdin=b"in\n")
    assert (r.code, r.out, r.err) == (0, "in\n", "err\n")
    big = b"x" * 3_000_000
    assert len(docker("run", "--rm", "-i", "base", "cat", stdin=big).out) == len(big)


def wait_for_size(t, size):
    """The client sets it once the container runs, and again after each change."""
    t.send(f"until stty size 2>&1 | grep -q '^{size}$'; do sleep 0.1; done; echo size=$(stty size)\n")
    t.expect(f"size={size}")


def test_a_terminal_has_the_window_s_size_and_follows_it(docker, box):
    t = Terminal(["/usr/bin/env", *(f"{k}={v}" for k, v in docker.env.items()), *docker.argv(
        "run", "--rm", "-it", "--name", box.name(), "base", "sh")], rows=37, cols=91)
    try:
        t.send("tty\n")
        t.expect(r"/dev/(console|pts/0)")
        wait_for_size(t, "37 91")
        t.resize(50, 100)
        wait_for_size(t, "50 100")
        t.send("exit 4\n")
        assert t.wait() == 4
    finally:
        t.close()


def test_init_is_process_1_and_reaps(docker):
    out = run(docker, "sh", "-c", "(sleep 0 & exec true) & wait; sleep 1; ps -o pid,comm,stat", opts=("--init",))
    rows = [line.split() for line in out.splitlines()[1:]]
    assert rows[0][:2] == ["1", "docker-init"]
    assert not [r for r in rows if r[-1].startswith("Z")]


def test_the_legacy_builder_s_steps_are_containers_of_this_runtime(docker):
    context = docker.host.dir / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM base\nUSER web\nRUN id -un > /tmp/who\nCMD cat /tmp/who\n")
    docker.ok("build", "-q", "-t", "built", context, env={**docker.env, "DOCKER_BUILDKIT": "0"})
    try:
        assert docker.ok("run", "--rm", "built") == "web"
    finally:
        docker.ok("rmi", "built")
    (context / "Dockerfile").write_text('FROM base\nRUN ["none-such"]\n')
    docker.fails("build", "-q", "--force-rm", context, env={**docker.env, "DOCKER_BUILDKIT": "0"}, code=1,
                 says='exec "none-such": executable file not found in $PATH')


def test_users_and_groups(docker):
    assert run(docker, "id", opts=("-u", "web")) == "uid=1000(web) gid=1000(web) groups=1000(web),1001(www),1002(extra)"
    assert run(docker, "id", opts=("-u", "77:88", "--group-add", "99")) == "uid=77 gid=88 groups=88,99"


def test_capabilities_are_dropped_and_added(docker):
    sets = "grep Cap /proc/self/status"
    eff = lambda out: int(next(l for l in out.splitlines() if l.startswith("CapEff")).split()[1], 16)
    chown, admin = 1 << 0, 1 << 21
    default = eff(run(docker, "sh", "-c", sets))
    assert default & chown and not default & admin
    assert eff(run(docker, "sh", "-c", sets, opts=("--cap-drop", "ALL"))) == 0
    assert eff(run(docker, "sh", "-c", sets, opts=("--cap-drop", "CHOWN"))) == default & ~chown
    assert eff(run(docker, "sh", "-c", sets, opts=("--cap-add", "SYS_ADMIN"))) == default | admin
    docker.fails("run", "--rm", "--cap-drop", "CHOWN", "base", "chown", "web", "/etc/passwd", code=1, says="Operation not permitted")


def test_the_default_seccomp_profile_is_in_force(docker):
    assert run(docker, "grep", "Seccomp:", "/proc/self/status").split()[1] == "2"
    assert run(docker, "grep", "Seccomp:", "/proc/self/status", opts=("--security-opt", "seccomp=unconfined")).split()[1] == "0"
    docker.fails("run", "--rm", "--cap-add", "SYS_ADMIN", "--security-opt", "no-new-privileges", "base", "sh", "-c",
                 "grep NoNewPrivs /proc/self/status; exit 1", code=1, says="NoNewPrivs:\t1")


def test_a_privileged_one_has_devices_and_may_mount(docker):
    out = run(docker, "sh", "-c", "mount -t tmpfs x /mnt && readlink /dev/ptmx && ls /dev/fuse", opts=("--privileged",))
    assert out == "pts/ptmx\n/dev/fuse"


def test_a_read_only_root_with_a_tmpfs(docker):
    docker.fails("run", "--rm", "--read-only", "base", "touch", "/file", code=1, says="Read-only file system")
    out = run(docker, "sh", "-c", "touch /scratch/file && grep ' /scratch ' /proc/mounts",
              opts=("--read-only", "--tmpfs", "/scratch:size=64k,mode=1777"))
    assert "tmpfs" in out and "size=64k" in out and "noexec" in out


def test_volumes_and_binds(docker, box):
    shared = docker.host.dir / "shared"
    shared.mkdir()
    (shared / "from-host").write_text("host\n")
    bind = f"{shared}:/data"
    assert run(docker, "sh", "-c", "cat /data/from-host; echo back > /data/from-inside", opts=("-v", bind)) == "host"
    assert (shared / "from-inside").read_text() == "back\n"
    docker.fails("run", "--rm", "-v", f"{bind}:ro", "base", "touch", "/data/x", code=1, says="Read-only file system")
    volume = box.name()
    try:
        run(docker, "sh", "-c", "echo kept > /v/file", opts=("-v", f"{volume}:/v"))
        assert run(docker, "cat", "/v/file", opts=("-v", f"{volume}:/v")) == "kept"
    finally:
        docker.ok("volume", "rm", volume)


def test_environment_directory_hostname_and_sysctl(docker):
    out = run(docker, "sh", "-c", "echo $A; pwd; hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
              opts=("-e", "A=b c", "-w", "/made/on/the/way", "--hostname", "inside", "--sysctl", "net.ipv4.ip_unprivileged_port_start=7"))
    assert out.splitlines() == ["b c", "/made/on/the/way", "inside", "7"]


def test_rlimits_shm_and_oom_score(docker):
    out = run(docker, "sh", "-c", "ulimit -n; df -k /dev/shm | tail -n 1; cat /proc/self/oom_score_adj",
              opts=("--ulimit", "nofile=99:199", "--shm-size", "1m", "--oom-score-adj", "500"))
    lines = out.splitlines()
    assert lines[0] == "99" and lines[1].split()[1] == "1024" and lines[2] == "500"


def test_namespaces_are_shared_where_asked(docker, box):
    first = box.start(opts=("--ipc", "shareable"))
    pid = docker.inspect(first, ".State.Pid")
    ns = lambda kind: run(docker, "readlink", f"/proc/self/ns/{kind}", opts=(f"--{kind}", f"container:{first}"))
    for kind in ("pid", "ipc"):
        assert ns(kind) == docker.ok("exec", first, "readlink", f"/proc/1/ns/{kind}")
    assert run(docker, "readlink", "/proc/self/ns/net", opts=("--network", f"container:{first}")) == docker.ok(
        "exec", first, "readlink", "/proc/1/ns/net")
    assert int(pid) > 0
    assert run(docker, "hostname", opts=("--uts", "host")) == docker.host.name


def test_two_containers_talk_over_the_bridge(docker, box):
    server = box.start("sh", "-c", "while :; do echo pong | nc -l -p 7000; done")
    address = docker.inspect(server, ".NetworkSettings.IPAddress")
    until(lambda: docker("run", "--rm", "base", "sh", "-c", f"nc -w 2 {address} 7000 </dev/null").out == "pong\n", "the answer")
