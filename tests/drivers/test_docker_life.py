"""A container's life under dockerd: exec, stop, restart, pause, copies, health, and what docker ps and docker top say of it."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from harness import Terminal, stands_still  # noqa: E402
from host import until  # noqa: E402

OBEDIENT = "trap 'echo got TERM; exit 9' TERM; echo ready; while :; do sleep 0.1; done"


def state(docker, name) -> dict:
    return json.loads(docker.inspect(name, "json .State"))


def ready(docker, name):
    until(lambda: "ready" in docker.ok("logs", name), f"{name} to be ready")


def test_exec_runs_with_its_own_user_directory_and_environment(docker, box):
    name = box.start()
    assert docker.ok("exec", "-u", "web", "-w", "/srv", "-e", "A=1", name, "sh", "-c", "id -un; pwd; echo $A") == "web\n/srv\n1"
    assert docker("exec", name, "sh", "-c", "exit 7").code == 7
    assert docker("exec", name, "sh", "-c", "kill -9 $$").code == 137
    assert docker("exec", "-i", name, "cat", stdin=b"through\n").out == "through\n"


def wait_for_size(t, size):
    """The client sets it once the process runs, and again after each change."""
    t.send(f"until stty size 2>&1 | grep -q '^{size}$'; do sleep 0.1; done; echo size=$(stty size)\n")
    t.expect(f"size={size}")


def test_exec_on_a_terminal(docker, box):
    name = box.start()
    t = Terminal(["/usr/bin/env", *(f"{k}={v}" for k, v in docker.env.items()), *docker.argv("exec", "-it", name, "sh")], rows=31, cols=77)
    try:
        t.send("tty\n")
        t.expect(r"/dev/pts/\d")
        wait_for_size(t, "31 77")
        t.resize(40, 80)
        wait_for_size(t, "40 80")
        t.send("sleep 1000\n")
        until(lambda: "sleep 1000\n" in docker.ok("top", name, "-o", "pid,args") + "\n", "the process in front")
        t.send("\x03")  # reaches the process group in front, not the shell
        t.send("echo still $((1+1)); exit 6\n")
        t.expect(r"still 2")
        assert t.wait() == 6
    finally:
        t.close()


def test_a_detached_exec_goes_on_alone(docker, box):
    name = box.start()
    docker.ok("exec", "-d", name, "sh", "-c", "sleep 0.2; echo done > /tmp/done; sleep 100000")
    until(lambda: docker("exec", name, "cat", "/tmp/done").out == "done\n", "the detached process")
    until(lambda: docker.ok("top", name).count("sleep 100000") == 2, "it goes on")


def test_stop_is_a_sigterm_that_the_process_may_obey(docker, box):
    name = box.start("sh", "-c", OBEDIENT)
    ready(docker, name)
    docker.ok("stop", "-t", "60", name)
    assert state(docker, name)["ExitCode"] == 9
    assert docker.ok("logs", name) == "ready\ngot TERM"


def test_stop_kills_after_its_time(docker, box):
    name = box.start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    ready(docker, name)
    docker.ok("stop", "-t", "1", name)
    s = state(docker, name)
    assert s["Status"] == "exited" and s["ExitCode"] == 137 and not s["OOMKilled"]


def test_restart_keeps_the_files(docker, box):
    name = box.start("sh", "-c", "echo once >> /count; sleep 100000")
    until(lambda: docker("exec", name, "cat", "/count").out, "the first line")
    docker.ok("restart", "-t", "0", name)
    until(lambda: docker("exec", name, "cat", "/count").out == "once\nonce\n", "the second line")


def test_a_restart_policy_starts_it_again(docker, box):
    name = box.start("sh", "-c", "exit 5", opts=("--restart", "on-failure:2"))
    until(lambda: docker.inspect(name, ".RestartCount") == "2" and state(docker, name)["Status"] == "exited", "two restarts")
    assert state(docker, name)["ExitCode"] == 5


def test_pause_and_unpause(docker, box):
    name = box.start("sh", "-c", "while :; do echo tick; sleep 0.1; done")
    until(lambda: docker.ok("logs", name), "a tick")
    docker.ok("pause", name)
    assert state(docker, name)["Status"] == "paused"
    docker.fails("exec", name, "true", code=1, says="is paused")
    before = stands_still(lambda: docker.ok("logs", name).count("tick"), "what it says")
    docker.ok("unpause", name)
    until(lambda: docker.ok("logs", name).count("tick") > before, "more ticks")
    # A paused one can be removed all the same.
    docker.ok("pause", name)
    docker.ok("rm", "-f", name)


def test_kill_sends_the_signal_that_is_named(docker, box):
    name = box.start("sh", "-c", "trap 'echo got USR1' USR1; echo ready; while :; do sleep 0.1; done")
    ready(docker, name)
    docker.ok("kill", "-s", "USR1", name)
    until(lambda: "got USR1" in docker.ok("logs", name), "the signal")
    docker.ok("kill", name)
    until(lambda: state(docker, name)["ExitCode"] == 137, "the end")
    docker.fails("kill", name, code=1, says="is not running")


def test_remove_by_force_ends_all_processes(docker, box):
    name = box.start("sh", "-c", "sleep 4444 & sleep 4444 & echo ready; wait")
    ready(docker, name)
    until(lambda: sum(p == "sleep 4444" for p in docker.host.processes().values()) == 2, "both sleep")
    docker.ok("rm", "-f", name)
    assert not [p for p in docker.host.processes().values() if p == "sleep 4444"]
    docker.fails("inspect", name, code=1, says="No such object")


def test_copies_in_and_out(docker, box, tmp_path):
    name = box.start()
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_text("carried\n")
    docker.ok("cp", tmp_path / "in", f"{name}:/srv/in")
    assert docker.ok("exec", name, "cat", "/srv/in/file") == "carried"
    docker.ok("exec", name, "sh", "-c", "echo out > /srv/in/more; ln -s file /srv/in/link")
    docker.ok("cp", f"{name}:/srv/in", tmp_path / "out")
    assert (tmp_path / "out/more").read_text() == "out\n" and (tmp_path / "out/link").is_symlink()


def test_a_healthcheck_turns_healthy_and_unhealthy(docker, box):
    name = box.start(opts=("--health-cmd", "test -e /tmp/well", "--health-interval", "300ms", "--health-retries", "2",
                           "--health-timeout", "20s"))
    health = lambda: docker.inspect(name, ".State.Health.Status")
    until(lambda: health() == "unhealthy", "unhealthy")
    docker.ok("exec", name, "touch", "/tmp/well")
    until(lambda: health() == "healthy", "healthy")


def test_top_lists_its_processes(docker, box):
    name = box.start("sh", "-c", "sleep 3333 & echo ready; wait")
    ready(docker, name)
    out = until(lambda: "sleep 3333" in (o := docker.ok("top", name, "-o", "pid,args")) and o, "it is listed")
    assert "sh -c" in out
    assert docker.inspect(name, ".State.Pid") in out


def test_logs_follow_and_tail(docker, box):
    name = box.start("sh", "-c", "for i in 1 2 3; do echo line $i; done; echo to stderr >&2")
    docker.ok("wait", name)
    r = docker("logs", "-f", name)
    assert r.out == "line 1\nline 2\nline 3\n" and r.err == "to stderr\n"
    assert docker.ok("logs", "-n", "1", name) in ("line 3", "to stderr", "")


def test_attach_sees_what_comes(docker, box):
    name = box.name()
    docker.ok("create", "-i", "--name", name, "base", "cat")
    r = docker("start", "-ai", name, stdin=b"to and fro\n")
    assert (r.code, r.out) == (0, "to and fro\n")


def test_commit_and_diff_see_the_changes(docker, box):
    name = box.start("sh", "-c", "echo new > /srv/new; echo ready; sleep 100000")
    ready(docker, name)
    assert "A /srv/new" in docker.ok("diff", name).splitlines()
    docker.ok("commit", name, "committed")
    try:
        assert docker.ok("run", "--rm", "committed", "cat", "/srv/new") == "new"
    finally:
        docker.ok("rmi", "committed")


def test_the_end_of_the_daemon_is_the_containers_end_and_they_start_again_with_it(docker, box):
    name = box.start(opts=("--restart", "always"))
    before = docker.inspect(name, ".State.Pid")
    docker.daemon.stop()
    docker.start()
    until(lambda: state(docker, name)["Running"], "the container")
    assert docker.inspect(name, ".State.Pid") != before
    assert docker.ok("exec", name, "echo", "up") == "up"
