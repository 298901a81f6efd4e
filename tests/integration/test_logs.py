"""`logs` and `attach`: what a container has written, and what it writes now."""

import json
import os
import re
import socket
import stat
import time
from pathlib import Path

import pytest

from harness import stands_still, until
from test_events import actions

LINES = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done"


def test_logs_keep_the_streams_apart(box):
    name, r = box.keep("sh", "-c", LINES)
    assert r.code == 0
    logged = box.berth("logs", name)
    assert logged.out == r.out == "".join(f"out {i}\n" for i in range(1, 6))
    assert logged.err == r.err == "".join(f"err {i}\n" for i in range(1, 6))
    stamped = box.berth("logs", "-t", "--tail", "3", name)
    lines = (stamped.out + stamped.err).splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (out|err) [345]$", line), line


def test_logs_since_leaves_out_what_is_older(cbox):
    name = cbox.start("sh", "-c", "echo old; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo new")
    until(lambda: cbox.berth.ok("logs", name) == "old", "the first line")
    since = f"{time.time():.9f}"
    cbox.berth.ok("exec", name, "touch", "/tmp/go")
    cbox.berth.ok("wait", name)
    assert cbox.berth.ok("logs", "--since", since, name) == "new"
    assert cbox.berth.ok("logs", "--since", "1h", name) == "old\nnew"
    cbox.berth.fails("logs", "--since", "yesterday", name, says="yesterday")


def test_logs_follow_until_the_end(box):
    name = box.start("sh", "-c", "echo first; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo last")
    with box.berth.popen("logs", "-f", name) as follower:
        assert follower.stdout.readline() == b"first\n"
        box.berth.ok("exec", name, "touch", "/tmp/go")
        out, _ = follower.communicate(timeout=120)
    assert out == b"last\n" and follower.returncode == 0


def test_a_line_without_an_end_is_kept_and_so_are_odd_bytes(cbox):
    name, r = cbox.keep("printf", r'tab\t "quote" \\ back\001 no end')
    assert cbox.berth("logs", name).out == r.out == 'tab\t "quote" \\ back\x01 no end'


def test_a_long_line_comes_back_whole(cbox):
    name, r = cbox.keep("sh", "-c", "head -c 300000 /dev/zero | tr '\\0' y; echo")
    assert cbox.berth("logs", name).out == "y" * 300000 + "\n"


def test_what_the_monitor_has_to_say_is_told_by_inspect(box):
    """A log that can't be rotated: nobody sees the stderr of a container's parent."""
    name = box.name()
    box.berth.ok(*box.args("sh", "-c", "i=0; while [ $i -lt 200 ]; do echo a line of the log $i; i=$((i+1)); done",
                           opts=("--name", name), verb="create"))
    where = Path(box.berth.inspect(name)["LogPath"]).parent
    assert box.berth.inspect(name)["MonitorLog"] is None
    launch = json.loads((where / "launch.json").read_text())
    launch["logMaxBytes"] = 4096
    (where / "launch.json").write_text(json.dumps(launch))
    (where / "container.log.1").mkdir()
    (where / "container.log.2/in the way").mkdir(parents=True)
    box.berth.ok("start", "-a", name)
    said = box.berth.inspect(name)["MonitorLog"]
    assert said
    for line in said:
        assert re.match(r"\d{4}-.*Z warning: log: rotate .*/container\.log: Directory not empty", line), line
    assert stat.S_IMODE((where / "monitor.log").stat().st_mode) == 0o600


def test_attach_gives_streams_and_the_exit_code(box):
    name = box.start("sh", "-c", "read line; echo got $line; echo aside >&2; exit 8", opts=("-i",))
    r = box.berth("attach", name, input="hello\n")
    assert (r.code, r.out, r.err) == (8, "got hello\n", "aside\n"), r


def test_attach_to_what_does_not_run_is_refused(cbox):
    name, _ = cbox.keep("true")
    cbox.berth.fails("attach", name, says=name)


def test_F22_a_reader_that_has_stopped_is_cut_off_and_the_container_goes_on(cbox):
    name = cbox.start("sh", "-c", "until [ -e /tmp/go ]; do sleep 0.1; done; head -c 3000000 /dev/zero | tr '\\0' z; "
                                  "touch /tmp/written; sleep 1000")
    with cbox.berth.popen("attach", name) as reader:  # never reads
        until(lambda: "attach" in actions(cbox.berth, name), "it is attached")
        cbox.berth.ok("exec", name, "touch", "/tmp/go")
        until(lambda: cbox.berth.ok("exec", name, "sh", "-c", "ls /tmp").split() == ["go", "written"], "all was written", 120)
        reader.kill()
    cbox.berth.ok("kill", name)  # the last line has no end: it is written when the stream ends
    cbox.berth.ok("wait", name)
    assert len(cbox.berth("logs", name).out) == 3000000


def files_of(berth, name):
    path = Path(berth.inspect(name)["LogPath"])
    while True:
        try:
            return sorted(p.stat().st_size for p in path.parent.glob("container.log*"))
        except FileNotFoundError:  # rotated between the two
            pass


def test_a_log_is_rotated_and_stays_within_its_cap(box):
    name = box.start("sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; sleep 1000",
                     opts=("--log-opt", "max-size=20k", "--log-opt", "max-file=3"))
    until(lambda: "line 2999\n" in box.berth("logs", name).out, "all is written", timeout=60)
    sizes = files_of(box.berth, name)
    assert len(sizes) == 3 and max(sizes) <= 20 << 10
    kept = [int(line.split()[1]) for line in box.berth.ok("logs", name).splitlines()]
    assert kept == list(range(kept[0], 3000)) and 0 < kept[0] < 2999
    assert box.berth.ok("logs", "--tail", "2", name) == "line 2998\nline 2999"
    config = box.berth.inspect(name)["HostConfig"]["LogConfig"]
    assert config == {"Type": "json-file", "Config": {"max-size": "20480", "max-file": "3"}}


def test_follow_goes_on_over_rotations(cbox):
    name = cbox.start("sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); [ $((i%50)) = 0 ] && sleep 0.05; done",
                      opts=("--log-opt", "max-size=16k", "--log-opt", "max-file=9"))
    assert cbox.berth.ok("logs", "-f", name).splitlines() == [f"line {i}" for i in range(2000)]


def test_one_endless_line_stays_within_the_cap(cbox):
    name = cbox.start("sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; sleep 1000", opts=("--log-opt", "max-size=50k", "--log-opt", "max-file=2"))
    until(lambda: len(files_of(cbox.berth, name)) == 2, "it is rotated while it is written")
    assert max(files_of(cbox.berth, name)) <= 50 << 10
    sizes = stands_still(lambda: files_of(cbox.berth, name), "the log")
    assert len(sizes) == 2 and max(sizes) <= 50 << 10
    assert set(cbox.berth.ok("logs", name)) == {"x"}


def test_none_keeps_nothing_and_says_so(box):
    name, r = box.keep("echo", "seen", opts=("--log-driver", "none"))
    assert (r.code, r.out) == (0, "seen\n")
    box.berth.fails("logs", name, says="configured logging driver does not support reading")
    seen = box.berth.inspect(name)
    assert seen["LogPath"] == "" and seen["HostConfig"]["LogConfig"] == {"Type": "none", "Config": {}}


def test_log_options_that_make_no_sense(cbox):
    for words, says in ((("--log-driver", "syslog"), "json-file, none and journald"),
                        (("--log-opt", "max-size=big"), "max-size"), (("--log-opt", "max-file=0"), "max-file"),
                        (("--log-opt", "colour=red"), "unknown log opt 'colour' for json-file log driver"),
                        (("--log-driver", "none", "--log-opt", "max-size=1m"), "unknown log opt 'max-size' for none log driver"),
                        (("--log-opt", "max-size"), "NAME=VALUE")):
        cbox.berth.fails(*cbox.args("true", opts=words), says=says)


@pytest.fixture
def journal():
    """A journal that notes what it is sent, where this host has none."""
    path = Path("/run/systemd/journal/socket")
    if path.exists():
        pytest.skip("this host has a journal of its own")
    made = [p for p in (path.parent.parent, path.parent) if not p.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(str(path))
    s.settimeout(30)
    yield s
    s.close()
    path.unlink()
    for p in reversed(made):
        p.rmdir()


def entry(data: bytes) -> dict:
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        if b"=" in line:
            key, _, value = line.partition(b"=")
        else:
            key, n = line, int.from_bytes(data[:8], "little")
            value, data = data[8:8 + n], data[9 + n:]
        fields[key.decode()] = value
    return fields


def test_journald_gets_each_line_with_dockers_fields(cbox, journal):
    name = cbox.start("sh", "-c", "echo one; echo two=2 >&2; printf rest", opts=("--log-driver", "journald"))
    entries = [entry(journal.recv(65536)) for _ in range(3)]
    said = [(e["MESSAGE"], e["PRIORITY"]) for e in entries]
    # Each stream in its order; between the two there is none.
    assert [m for m in said if m[1] == b"6"] == [(b"one", b"6"), (b"rest", b"6")] and said.count((b"two=2", b"3")) == 1 and len(said) == 3
    ident = cbox.berth.inspect(name)["Id"].encode()
    assert all(e["CONTAINER_ID_FULL"] == ident and e["CONTAINER_NAME"] == name.encode() and e["IMAGE_NAME"] == cbox.image.encode()
               for e in entries)
    cbox.berth.fails("logs", name, says="journalctl CONTAINER_ID_FULL=")


def test_a_journal_that_does_not_read_holds_nothing_up(cbox, journal):
    r = cbox("sh", "-c", "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done", opts=("--log-driver", "journald"), timeout=60)
    assert r.code == 0 and r.out.endswith("line 4999\n")


def test_without_a_journal_it_does_not_start(cbox):
    if os.path.exists("/run/systemd/journal/socket"):
        pytest.skip("this host has a journal")
    cbox.berth.fails(*cbox.args("true", opts=("--name", cbox.name(), "--log-driver", "journald")), says=("--log-driver journald", "json-file"))
