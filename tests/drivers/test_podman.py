"""podman (through conmon) with --runtime, its pods, and podman build."""

import json

import pytest

from engines import limit, size_to_bytes
from host import CGROUPS, until


@pytest.fixture
def box(podman):
    """start(command, opts): a detached container; removed at the end."""
    made = []

    def start(*cmd, opts=(), name=None):
        name = name or f"p{len(made)}"
        made.append(name)
        podman.ok(*podman.run("-d", "--name", name, *opts, "base", *(cmd or ("sleep", "100000"))))
        return name

    yield start
    for name in made:
        podman("rm", "-f", "-t", "0", name)


@pytest.fixture
def pod(podman):
    podman.ok("pod", "create", "--name", "pod", "--infra-image", "docker.io/library/base", "--infra-command", "/bin/sleep 100000",
              "--cgroup-parent", f"/{podman.host.name}")
    yield "pod"
    podman.ok("pod", "rm", "-f", "-t", "0", "pod")


def once(podman, *cmd, opts=()):
    return podman(*podman.run("--rm", *opts, "base", *cmd))


def test_it_is_this_runtime_that_runs(podman):
    info = json.loads(podman.ok("info", "--format", "json"))
    assert info["host"]["ociRuntime"]["path"] == str(podman.runtime)
    assert info["host"]["cgroupManager"] == "cgroupfs"


def test_output_and_exit_code(podman):
    r = once(podman, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (r.code, r.out, r.err) == (3, "out\n", "err\n")
    assert podman(*podman.run("--rm", "-i", "base", "cat"), stdin=b"through\n").out == "through\n"


def test_options_arrive(podman):
    out = once(podman, "sh", "-c", "id -u; pwd; hostname; echo $A; touch /x 2>&1",
               opts=("-u", "web", "-w", "/srv", "--hostname", "inside", "-e", "A=1", "--read-only")).out
    assert out.splitlines() == ["1000", "/srv", "inside", "1", "touch: /x: Read-only file system"]
    sysctl = "net.ipv4.ip_unprivileged_port_start"
    assert once(podman, "cat", "/proc/sys/" + sysctl.replace(".", "/"), opts=("--sysctl", f"{sysctl}=7")).out == "7\n"
    assert once(podman, "sh", "-c", "grep CapEff /proc/self/status", opts=("--cap-drop", "all")).out.split()[1] == "0" * 16
    shared = podman.host.dir / "shared"
    shared.mkdir()
    assert once(podman, "sh", "-c", "echo in > /v/file", opts=("-v", f"{shared}:/v")).code == 0
    assert (shared / "file").read_text() == "in\n"


def test_exec_and_its_exit_codes(podman, box):
    name = box()
    assert podman.ok("exec", "-u", "web", "-w", "/srv", "-e", "A=1", name, "sh", "-c", "id -u; pwd; echo $A") == "1000\n/srv\n1"
    assert podman("exec", name, "sh", "-c", "exit 5").code == 5
    assert podman("exec", "-i", name, "cat", stdin=b"x\n").out == "x\n"
    podman.ok("exec", "-d", name, "sh", "-c", "echo done > /done")
    until(lambda: podman("exec", name, "cat", "/done").out == "done\n", "the detached process")


def test_stop_restart_pause_and_kill(podman, box):
    name = box("sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done")
    until(lambda: "ready" in podman.ok("logs", name), "it to be ready")
    podman.ok("pause", name)
    assert podman.inspect(name, ".State.Status") == "paused"
    podman.ok("unpause", name)
    podman.ok("stop", "-t", "60", name)
    assert podman.inspect(name, ".State.ExitCode") == "9"
    podman.ok("restart", "-t", "0", name)
    assert podman.inspect(name, ".State.Running") == "true"
    podman.ok("kill", name)
    until(lambda: podman.inspect(name, ".State.ExitCode") == "137", "the end")


def test_top_stats_and_limits(podman, box):
    name = box(opts=("--memory", "64m", "--cpus", "0.5", "--pids-limit", "33"))
    assert "sleep" in podman.ok("top", name)
    row = json.loads(podman.ok("stats", "--no-stream", "--format", "json", name))[0]
    assert size_to_bytes(row["mem_usage"].split(" / ")[1]) == pytest.approx(64 << 20, rel=0.01) and row["pids"] == "1"
    inside = podman.inspect(name, ".State.Pid")
    pid = next(p for p, c in podman.host.processes().items() if c == "sleep 100000" and inside in open(f"/proc/{p}/status").read().split("NSpid:")[1].split("\n")[0].split())
    assert limit(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert limit(pid, "pids", "pids.max", "pids.max") == "33"
    podman.ok("update", "--memory", "96m", name)
    assert limit(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(96 << 20)


def test_who_eats_too_much_is_killed(podman):
    # Not asked: .State.OOMKilled, which Debian's conmon leaves false under v1 cgroups with any runtime.
    assert once(podman, "sh", "-c", "cat /dev/zero | tail", opts=("--memory", "16m", "--memory-swap", "16m")).code == 137


def test_a_healthcheck_is_an_exec(podman, box):
    name = box(opts=("--health-cmd", "test -e /tmp/well", "--health-interval", "disable", "--health-retries", "1"))
    assert podman("healthcheck", "run", name).code == 1
    podman.ok("exec", name, "touch", "/tmp/well")
    assert podman("healthcheck", "run", name).code == 0


def test_copies_in_and_out(podman, box):
    name = box()
    file = podman.host.dir / "carried"
    file.write_text("carried\n")
    podman.ok("cp", file, f"{name}:/srv/carried")
    assert podman.ok("exec", name, "cat", "/srv/carried") == "carried"
    podman.ok("cp", f"{name}:/srv/carried", podman.host.dir / "back")
    assert (podman.host.dir / "back").read_text() == "carried\n"


def test_a_pod_s_containers_share_its_network_and_ipc(podman, pod, box):
    name = box(opts=("--pod", pod))
    which = ("sh", "-c", "for n in net ipc uts mnt; do readlink /proc/self/ns/$n; done")
    first = podman.ok("exec", name, *which).splitlines()
    second = podman.ok("run", "--rm", "--pod", pod, "base", *which).splitlines()
    assert len(first) == 4 and first[:3] == second[:3] and first[3] != second[3]
    podman.ok("exec", "-d", name, "sh", "-c", "while :; do echo pong | nc -l -p 7000; done")
    until(lambda: podman("run", "--rm", "--pod", pod, "base", "sh", "-c", "nc -w 2 127.0.0.1 7000 </dev/null").out == "pong\n", "the answer")


def test_a_pod_lives_as_one(podman, pod, box):
    name = box(opts=("--pod", pod))
    status = lambda: json.loads(podman.ok("pod", "inspect", pod))["State"]
    assert status() == "Running"
    assert "sleep" in podman.ok("pod", "top", pod)
    assert len(json.loads(podman.ok("pod", "stats", "--no-stream", "--format", "json", pod))) == 2
    podman.ok("pod", "pause", pod)
    assert podman.inspect(name, ".State.Status") == "paused"
    podman.ok("pod", "unpause", pod)
    podman.ok("pod", "stop", "-t", "0", pod)
    assert podman.inspect(name, ".State.Status") == "exited"
    podman.ok("pod", "start", pod)
    assert podman.inspect(name, ".State.Status") == "running" and status() == "Running"


CONTAINERFILE = """FROM base
RUN echo built > /built && chown web /built
USER web
RUN id -un > /tmp/who
CMD cat /built /tmp/who
"""


def build(podman, text, **kw):
    context = podman.host.dir / "context"
    context.mkdir(exist_ok=True)
    (context / "Containerfile").write_text(text)
    return podman("build", "-t", "made", context, **kw)


def test_podman_build_runs_its_steps_in_containers(podman):
    r = build(podman, CONTAINERFILE)
    assert r.code == 0, r
    try:
        assert podman.ok(*podman.run("--rm", "made")) == "built\nweb"
    finally:
        podman.ok("rmi", "-f", "made")


def test_a_build_s_step_that_fails_fails_it(podman):
    r = build(podman, "FROM base\nRUN exit 7\n")
    assert r.code == 7 and "exit status 7" in r.err, r
    r = build(podman, 'FROM base\nRUN ["none-such"]\n')
    assert r.code != 0 and 'exec "none-such": executable file not found in $PATH' in r.err + r.out, r


@pytest.mark.parametrize("args, code, says", [
    (("base", "none-such"), 127, 'exec "none-such": executable file not found in $PATH: OCI runtime attempted to invoke a command that was not found'),
    (("base", "/none/such"), 127, 'exec "/none/such": no such file or directory in the container'),
    (("base", "/etc/passwd"), 126, 'exec "/etc/passwd": permission denied: OCI permission denied'),
    (("-u", "none-such", "base", "true"), 126, "unable to find user none-such: no matching entries in passwd file"),
    (("-v", "/none/such:/mnt", "base", "true"), 125, "statfs /none/such: no such file or directory"),
    (("--sysctl", "net.none.such=1", "base", "true"), 127, 'sysctl: net.none.such = "1": No such file or directory'),
    (("--network", "host", "--sysctl", "net.ipv4.ip_forward=1", "base", "true"), 125, "net.ipv4.ip_forward"),
])
def test_failures_arrive_in_full(podman, args, code, says):
    podman.fails(*podman.run("--rm", *args), code=code, says=says)


def test_a_file_on_a_directory_is_explained(podman):
    (podman.host.dir / "file").write_text("x")
    r = once(podman, "true", opts=("-v", f"{podman.host.dir}/file:/etc"))
    assert r.code != 0 and "mount point /etc: a directory, but the source is none" in r.err, r


@pytest.mark.skipif(not CGROUPS.joinpath("systemd").is_dir() or CGROUPS.joinpath("cgroup.controllers").exists(), reason="cgroup v1 with systemd's hierarchy only")
def test_systemd_in_a_container_on_v1_is_refused_by_the_mount_that_can_not_be_had(podman):
    """docs/CONFORMANCE.md, "Podman's --systemd". crun refuses such a host as a whole."""
    podman.fails(*podman.run("--rm", "--systemd", "always", "base", "true"), code=126,
                 says="mount /sys/fs/cgroup/systemd: mount point /sys/fs/cgroup/systemd: Read-only file system")


def test_an_exec_that_can_not_be_made(podman, box):
    name = box()
    podman.fails("exec", name, "none-such", code=127, says='exec "none-such": executable file not found in $PATH')
    podman.fails("exec", name, "/etc/passwd", code=126, says='exec "/etc/passwd": permission denied')
    podman.fails("exec", "-w", "/none", name, "true", code=127, says="working directory /none: No such file or directory")


# ---- buildah, on the same store ----


@pytest.fixture
def working(buildah):
    name = buildah.ok("from", "base")
    yield name
    buildah.ok("rm", name)


def test_buildah_run(buildah, working):
    run = lambda *args: buildah(*buildah.with_runtime("run", *args))
    assert run(working, "--", "sh", "-c", "echo out; exit 4").code == 4
    assert run("--user", "web", working, "--", "id", "-un").out == "web\n"
    assert run(working, "--", "sh", "-c", "echo kept > /kept").code == 0
    assert run(working, "--", "cat", "/kept").out == "kept\n"
    r = run(working, "--", "none-such")
    assert r.code != 0 and 'exec "none-such": executable file not found in $PATH' in r.err, r


def test_buildah_bud(buildah, podman):
    context = buildah.host.dir / "bud"
    context.mkdir()
    (context / "Containerfile").write_text(CONTAINERFILE)
    buildah.ok(*buildah.with_runtime("bud", "-t", "bud", context))
    try:
        assert podman.ok(*podman.run("--rm", "bud")) == "built\nweb"
    finally:
        buildah.ok("rmi", "-f", "bud")
    (context / "Containerfile").write_text("FROM base\nRUN echo said; exit 9\n")
    r = buildah(*buildah.with_runtime("bud", context))
    assert r.code == 9 and "said" in r.out and "exit status 9" in r.err, r
