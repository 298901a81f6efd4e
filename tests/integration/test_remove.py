"""`rm -f`: what is left of a container when it returns, looked at at once."""

import os
import signal
from pathlib import Path

import pytest

from harness import until
from test_events import actions


def stat(pid: int):
    """(state, parent, start time), or None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[1]), int(fields[19])


def family(pid: int) -> dict:
    """A process and all below it: {pid: start time}."""
    every = {int(p.name): stat(int(p.name)) for p in Path("/proc").glob("[0-9]*")}
    found, more = {}, {pid}
    while more:
        found.update({p: every[p][2] for p in more if every.get(p)})
        more = {p for p, s in every.items() if s and s[1] in found and p not in found}
    return found


def grown_family(pid: int, members: int) -> dict:
    """The same, once there are so many: a container that has started may not have begun its own processes yet."""
    return until(lambda: len(found := family(pid)) >= members and found, f"{members} processes of {pid}")


def alive(processes: dict) -> list:
    """Those that still run. One that has ended and waits for its new parent to collect it does not."""
    left = []
    for pid, started in processes.items():
        now = stat(pid)
        if now and now[2] == started and now[0] not in "ZX":
            left.append((pid, now[0], Path(f"/proc/{pid}/comm").read_text().strip()))
    return left


def monitor_of(berth, name) -> int:
    return berth.monitor_pid(berth.inspect(name)["Id"])


def test_rm_by_force_returns_when_no_process_is_left(box, tmp_path):
    for _ in range(2 if box.isolation == "vm" else 12):
        name = box.start("sh", "-c", "sleep 1000 & sleep 1000", opts=("-v", f"{tmp_path}:/shared"))
        there = grown_family(monitor_of(box.berth, name), 3)  # the monitor, and two of the container or QEMU and virtiofsd
        box.berth.ok("rm", "-f", name)
        assert not alive(there)


def test_rm_by_force_of_what_ends_by_itself_leaves_no_process(cbox):
    """Somewhere between the end of the process and the end of its monitor."""
    for i in range(12):
        name = cbox.start("sleep", f"0.{i + 5:02}")
        try:
            there = family(monitor_of(cbox.berth, name))
        except FileNotFoundError:  # it was faster
            there = {}
        cbox.berth.ok("rm", "-f", name)
        assert not alive(there)


def test_rm_by_force_does_not_wait_for_a_client_that_reads_nothing(cbox):
    name = cbox.start("sh", "-c", "until [ -e /tmp/go ]; do sleep 0.05; done; head -c 250000 /dev/zero")
    there = family(monitor_of(cbox.berth, name))
    with cbox.berth.popen("attach", name) as reader:
        try:
            until(lambda: "attach" in actions(cbox.berth, name), "it is attached")
            os.kill(reader.pid, signal.SIGSTOP)
            cbox.berth.ok("exec", name, "touch", "/tmp/go")
            cbox.berth.ok("wait", name)
            cbox.berth.ok("rm", "-f", name)
            assert not alive(there)
        finally:
            reader.kill()


@pytest.mark.parametrize("force", [False, True])
def test_rm_of_what_is_starting_is_rm_of_what_runs(berth, image, force):
    """A guest that boots: long enough to be met on its way."""
    name = f"t-starting-{os.getpid()}-{force}"
    with berth.popen("run", "--isolation", "vm", "--network", "none", "--name", name, image, "sleep", "1000") as starting:
        try:
            ident = until(lambda: berth("inspect", "-f", "{{.Id}}", name).out.strip(), "the record")
            run = berth.run_dir / "containers" / ident
            until(lambda: (run / "monitor.sock").exists(), "the monitor listens")
            there = family(berth.monitor_pid(ident))
            if not force and not (run / "started.json").exists():
                r = berth("rm", name)
                assert r.code == 125 and ("is starting" in r.err or "is running" in r.err), r
            berth.ok("rm", "-f", name)
            assert not alive(there)
            assert starting.wait(timeout=120) != 0
        finally:
            starting.kill()
    berth.fails("inspect", name, says=name)
