"""containerd's runc shim with berth-runtime as its binary, told by ctr."""

import shutil
import subprocess

import pytest

from host import until


@pytest.fixture
def box(ctr):
    """start(command): a detached container, its task and itself removed at the end."""
    made = []

    def start(*cmd, opts=()):
        name = f"c{len(made)}"
        ctr.ok(*ctr.run_argv(name, *(cmd or ("sleep", "100000")), opts=("-d", *opts)))
        made.append(name)
        return name

    yield start
    for name in made:
        ctr("tasks", "delete", "-f", name)
        ctr("containers", "delete", name)


def once(ctr, *cmd, opts=()):
    return ctr(*ctr.run_argv("once", *cmd, opts=("--rm", *opts)))


def test_output_and_exit_code(ctr):
    r = once(ctr, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (r.code, r.out, r.err) == (3, "out\n", "err\n")


def test_a_task_goes_through_its_states(ctr, box):
    name = box()
    assert ctr.tasks()[name] == "RUNNING"
    ctr.ok("tasks", "pause", name)
    assert ctr.tasks()[name] == "PAUSED"
    ctr.ok("tasks", "resume", name)
    assert ctr.tasks()[name] == "RUNNING"
    ctr.ok("tasks", "kill", "-s", "SIGKILL", name)
    until(lambda: ctr.tasks()[name] == "STOPPED", "the end")
    r = ctr("tasks", "delete", name)
    assert r.code == 0 and "exit code 137" in r.err
    ctr.ok("containers", "delete", name)
    assert name not in ctr.tasks()


def test_exec_has_its_own_exit_code_and_directory(ctr, box):
    name = box()
    assert ctr.ok("tasks", "exec", "--exec-id", "e1", "--cwd", "/srv", name, "sh", "-c", "pwd; id -u") == "/srv\n0"
    assert ctr("tasks", "exec", "--exec-id", "e2", name, "sh", "-c", "exit 5").code == 5
    assert ctr.ok("tasks", "exec", "--exec-id", "e3", "--user", "1000:1001", name, "id", "-u") == "1000"
    assert len(ctr.ok("tasks", "ps", name).splitlines()) == 2


def test_signals_reach_the_process(ctr, box):
    name = box("sh", "-c", "trap 'exit 9' USR1; while :; do sleep 0.1; done")
    until(lambda: ctr("tasks", "kill", "-s", "USR1", name) and ctr.tasks()[name] == "STOPPED", "the end")  # perhaps not trapped at first
    assert "exit code 9" in ctr("tasks", "delete", name).err


def test_limits_and_metrics(ctr, box):
    name = box("sh", "-c", "sleep 100000 & sleep 100000 & wait",
               opts=("--memory-limit", str(32 << 20), "--cpu-quota", "50000", "--cpu-period", "100000"))
    rows = lambda: dict((line.split(None, 1) + [""])[:2] for line in map(str.strip, ctr.ok("tasks", "metrics", name).splitlines()) if line)
    until(lambda: rows().get("pids.current") == "3", lambda: f"three processes in {rows()}")
    assert rows().get("memory.limit_in_bytes", rows().get("memory.usage_limit")) == str(32 << 20)


def test_a_read_only_root_and_a_mount(ctr):
    source = ctr.host.dir / "lent"
    source.mkdir()
    (source / "file").write_text("lent\n")
    mount = ("--mount", f"type=bind,src={source},dst=/mnt,options=rbind:ro", "--read-only")
    assert once(ctr, "cat", "/mnt/file", opts=mount).out == "lent\n"
    for path in ("/mnt/x", "/x"):
        r = once(ctr, "touch", path, opts=mount)
        assert r.code == 1 and "Read-only file system" in r.err


def test_user_namespaces(ctr):
    r = once(ctr, "sh", "-c", "id -u; cat /proc/self/uid_map", opts=("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"))
    assert r.code == 0 and r.out.split() == ["0", "0", "100000", "65536"], r


def test_a_checkpoint_where_criu_does_not_work_is_refused_by_its_name(ctr, box):
    if shutil.which("criu") and subprocess.run(["criu", "check"], capture_output=True).returncode == 0:
        pytest.skip("criu works here: tests/runtime/test_checkpoint.py")
    name = box()
    ctr.fails("tasks", "checkpoint", name, code=1, says="criu")
    assert ctr.tasks()[name] == "RUNNING"


@pytest.mark.parametrize("cmd, opts, says", [
    (("none-such",), (), 'OCI runtime create failed: exec "none-such": executable file not found in $PATH'),
    (("/etc/passwd",), (), 'OCI runtime create failed: exec "/etc/passwd": permission denied'),
    (("true",), ("--mount", "type=bind,src=/none/such,dst=/mnt,options=rbind"),
     "OCI runtime create failed: mounts: mount /mnt: source /none/such: No such file or directory"),
    (("true",), ("--cwd", "/etc/passwd"), "working directory /etc/passwd: is not a directory"),
    (("true",), ("--with-ns", "network:/none/such"), "/none/such"),
])
def test_failures_arrive_in_full_and_leave_nothing(ctr, cmd, opts, says):
    r = once(ctr, *cmd, opts=opts)
    assert r.code == 1 and says in r.err, r
    assert "once" not in ctr.tasks() and "once" not in ctr.ok("containers", "ls", "-q")
    until(lambda: not [c for c in ctr.host.processes().values() if "shim" in c and "-id once" in c], "the shim to end")


def test_an_exec_that_can_not_be_made(ctr, box):
    name = box()
    ctr.fails("tasks", "exec", "--exec-id", "e", name, "none-such", code=1,
              says='OCI runtime exec failed: exec "none-such": executable file not found in $PATH')
    assert ctr.tasks()[name] == "RUNNING"
