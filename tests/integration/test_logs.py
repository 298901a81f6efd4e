"""`logs` and `attach`: what a container has written, and what it writes now."""

import json
import re
import stat
import time
from pathlib import Path

from harness import until

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
    time.sleep(0.1)
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
        out, _ = follower.communicate(timeout=60)
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
        time.sleep(0.5)
        cbox.berth.ok("exec", name, "touch", "/tmp/go")
        until(lambda: cbox.berth.ok("exec", name, "sh", "-c", "ls /tmp").split() == ["go", "written"], "all was written", 60)
        reader.kill()
    cbox.berth.ok("kill", name)  # the last line has no end: it is written when the stream ends
    cbox.berth.ok("wait", name)
    assert len(cbox.berth("logs", name).out) == 3000000
