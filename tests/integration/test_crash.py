"""What is left when something of ours is killed: nothing, and the next command says what happened."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess

import leaks
from harness import has_ended, until


def gone(box, ident: str, name: str):
    """Neither the program, nor its cgroup, nor its run directory is left once a command has looked."""
    state = until(lambda: (s := box.berth.state(name)) and not s["Running"] and s, "the record says that it ended")
    until(lambda: not [c for c in leaks.cgroups() if c.name == ident], "its cgroups are gone")
    # A monitor tells its clients that all is over, and leaves when they have read it.
    until(lambda: not [p for p in leaks.processes(box.berth.root) + leaks.processes(box.berth.run_dir) if ident in p], "its processes are gone")
    return state


def test_a_killed_monitor_leaves_nothing_behind(box):
    name = box.start("sleep", "100000")
    ident = box.berth.inspect(name)["Id"]
    pid = box.berth.state(name)["Pid"]
    os.kill(box.berth.monitor_pid(ident), signal.SIGKILL)
    until(lambda: has_ended(pid), "the container's process went with its monitor")
    state = gone(box, ident, name)
    assert state["Status"] in ("exited", "dead") and state["ExitCode"] != 0
    # It can be started again, and removed.
    box.berth.ok("start", name)
    assert box.berth.state(name)["Running"] is True
    box.berth.ok("rm", "-f", name)


def test_a_killed_vmm_or_first_process_ends_the_container(box):
    name = box.start("sleep", "100000")
    ident = box.berth.inspect(name)["Id"]
    os.kill(box.berth.state(name)["Pid"], signal.SIGKILL)
    assert box.berth.ok("wait", name, timeout=30) not in ("", "0")
    gone(box, ident, name)


def test_a_waiting_command_does_not_hang_when_the_monitor_dies(cbox):
    name = cbox.start("sleep", "100000")
    monitor = cbox.berth.monitor_pid(cbox.berth.inspect(name)["Id"])
    waiters = [cbox.berth.popen(*args) for args in (("wait", name), ("logs", "-f", name), ("attach", name), ("exec", name, "sleep", "1000"))]
    os.kill(monitor, signal.SIGKILL)
    for p in waiters:
        p.communicate(timeout=120)


def test_F01_a_killed_run_leaves_no_orphan(cbox):
    """SIGKILL at different moments of `run`: the next command finds either a whole container or none."""
    names = []
    for delay in (0.0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032):
        names.append(cbox.name())
        p = cbox.berth.popen(*cbox.args("sleep", "100000", opts=("--name", names[-1])))
        try:
            p.wait(delay)
        except Exception:
            pass
        p.kill()
        p.communicate()
    for name in names:
        # What a monitor is about to take away is there for the one and not for the other, for a moment.
        until(lambda n=name: (cbox.berth("inspect", n).code == 0) == (n in cbox.berth.ok("ps", "-a", "--format", "{{.Names}}").split()), "all agree on it")
        assert cbox.berth("rm", "-f", name).code == 0
    ids = {p.name for p in (cbox.berth.root / "containers").glob("*")}
    until(lambda: not [c for c in leaks.cgroups() if c.name in ids], "cgroups of the killed runs are gone")


def test_F05_rm_twice_at_once_is_fine(cbox):
    name = cbox.start("sleep", "100000")
    both = [cbox.berth.popen("rm", "-f", name) for _ in range(2)]
    for p in both:
        _, err = p.communicate(timeout=120)
        assert p.returncode == 0, err.decode()
    cbox.berth.fails("inspect", name)


def test_a_lost_run_directory_is_an_ended_container(cbox):
    """As after a reboot: the record says running, and nothing of it is there."""
    name = cbox.start("sleep", "100000")
    ident = cbox.berth.inspect(name)["Id"]
    monitor, pid = cbox.berth.monitor_pid(ident), cbox.berth.state(name)["Pid"]
    os.kill(monitor, signal.SIGKILL)
    until(lambda: has_ended(pid), "its process is gone")
    shutil.rmtree(cbox.berth.run_dir / "containers" / ident, ignore_errors=True)
    assert cbox.berth.state(name)["Running"] is False
    cbox.berth.ok("rm", name)


def claims(box) -> set:
    """What monitors have put into the run directory. One of an earlier test may be about to leave: what is there may get less."""
    return {p.name for p in (box.berth.run_dir / "containers").glob("*")}


def test_a_run_that_fails_before_its_record_leaves_no_monitor(cbox):
    before = claims(cbox)
    assert "nowhere" in cbox("true", image="nowhere:none", opts=("--rm", "--pull", "never")).err
    assert claims(cbox) <= before
    until(lambda: not [p for p in leaks.processes(cbox.berth.root) if "berth-monitor" in p and "--root" in p and not any(b in p for b in before)],
          "its monitor has left")


def test_F01_a_monitor_whose_run_is_killed_before_the_record_leaves_without_a_trace(cbox):
    before = claims(cbox)
    with open(cbox.berth.root / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the run waits here, its monitor waits for the run
        p = cbox.berth.popen(*cbox.args("true", opts=("--rm",)))
        made = until(lambda: claims(cbox) - before, "the monitor has claimed its run directory")
        p.kill()
        p.communicate()
    until(lambda: claims(cbox) <= before, "the claim is released")
    until(lambda: not [m for m in leaks.processes(cbox.berth.root) if any(ident in m for ident in made)], "the monitor is gone")


def test_prune_spares_what_a_run_is_about_to_make(cbox):
    """A claim without a record is a leftover only when its monitor is dead."""
    ident = os.urandom(32).hex()
    ours, theirs = socket.socketpair()
    build = cbox.berth.ok("version", "--format", "{{.Client.BuildId}}")
    monitor = subprocess.Popen([cbox.berth.program.with_name("berth-monitor"), "--root", cbox.berth.root, "--run", cbox.berth.run_dir, "--client-fd",
                                str(theirs.fileno()), ident], pass_fds=[theirs.fileno()], env={**os.environ, "BERTH_BUILD_ID": build})
    theirs.close()
    until(lambda: ident in claims(cbox), "the claim is there")
    cbox.berth.ok("system", "prune", "-f")
    assert ident in claims(cbox) and monitor.poll() is None
    ours.close()
    assert monitor.wait(120) == 0
    assert ident not in claims(cbox)
