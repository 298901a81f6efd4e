"""`berth stats`: docker's columns, redrawn on a terminal and plain elsewhere."""

import json
import re

from harness import until

HEADING = ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"]
SIZE = r"[\d.]+(B|[KMGT]iB|[kMGT]B)"


def rows(box, *args):
    return {r["Name"]: r for r in map(json.loads, box.berth.ok("stats", "--no-stream", "--format", "json", *args).splitlines())}


def test_once_it_is_dockers_table(box):
    name = box.start("sh", "-c", "while :; do :; done", opts=("--memory", "200m"))
    heading, row = box.berth.ok("stats", "--no-stream", name).splitlines()
    assert re.split(r" {2,}", heading.strip()) == HEADING
    assert re.fullmatch(rf"[0-9a-f]{{12}} +{name} +[\d.]+% +{SIZE} / 200MiB +[\d.]+% +{SIZE} / {SIZE} +{SIZE} / {SIZE} +\d+", row), row
    # On a busy host it may get little for a while.
    seen = until(lambda: float((r := rows(box, name)[name])["CPUPerc"].rstrip("%")) > 5 and r, "it burns")
    assert int(seen["PIDs"]) >= 1 and 0 < float(seen["MemPerc"].rstrip("%")) < 100
    ident = box.berth.inspect(name)["Id"]
    assert rows(box, "--no-trunc", name)[name]["ID"] == ident
    assert "\033" not in heading + row


def test_a_paused_one_can_be_looked_at(box):
    name = box.start("sleep", "1000")
    box.berth.ok("pause", name)
    assert rows(box, name)[name]["CPUPerc"] in ("0.00%", "--")
    box.berth.ok("unpause", name)


def test_what_runs_or_all(cbox):
    up = cbox.start("sleep", "1000")
    down, _ = cbox.keep("true")
    assert up in rows(cbox) and down not in rows(cbox)
    seen = rows(cbox, "-a")
    assert seen[down]["CPUPerc"] == "0.00%" and seen[down]["PIDs"] == "0" and seen[down]["MemUsage"] == "0B / 0B"
    assert rows(cbox, down)[down]["Container"] == down
    cbox.berth.fails("stats", "--no-stream", "no-such-one", says="no such container: no-such-one")
    assert cbox.berth.ok("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", up) == f"{up} 1"


def test_without_a_limit_the_hosts_memory_is_it(cbox):
    name = cbox.start("sleep", "1000")
    kib = int(re.search(r"MemTotal: +(\d+)", open("/proc/meminfo").read())[1])
    limit = rows(cbox, name)[name]["MemUsage"].split(" / ")[1]
    assert limit.endswith("GiB") and abs(float(limit[:-3]) - kib / 2**20) < 0.1


def test_a_pipe_gets_plain_tables_until_it_is_closed(cbox):
    name = cbox.start("sleep", "1000")
    p = cbox.berth.popen("stats", name)
    lines = [p.stdout.readline().decode() for _ in range(4)]
    p.stdout.close()
    assert lines[0] == lines[2] and lines[0].startswith("CONTAINER ID") and name in lines[1] and name in lines[3]
    assert "--" in lines[1] and re.search(r"\d%", lines[3]) and "\033" not in "".join(lines)
    assert p.wait(timeout=120) == 0
    p.stderr.close()


def test_it_ends_when_all_that_was_named_is_gone(cbox):
    name = cbox.start("sleep", "1000")
    p = cbox.berth.popen("stats", name)
    assert b"CONTAINER" in p.stdout.readline()
    cbox.berth.ok("rm", "-f", name)
    p.communicate(timeout=120)
    assert p.returncode == 0


def test_on_a_terminal_it_is_drawn_in_place(cbox, monkeypatch):
    """What a terminal would show: the table, once, whatever was drawn before."""
    monkeypatch.setenv("TERM", "xterm")
    names = [cbox.start("sleep", "1000") for _ in range(2)]
    t = cbox.terminal("stats", *names, rows=10, cols=100)
    t.expect(r"\x1b\[2J\x1b\[H")
    for _ in range(2):
        t.expect(r"CONTAINER ID +NAME +CPU %")
        for name in names:
            t.expect(name)
        t.expect(r"\x1b\[J")
        assert t.expect(r"\x1b\[\d*[A-Z]")[0] == "\x1b[H"  # home, and nothing is cleared that is drawn again
    cbox.berth.ok("rm", "-f", names[0])
    t.expect(rf"(?s)\x1b\[H(?:(?!{names[0]}).)*{names[1]}(?:(?!{names[0]}).)*\x1b\[J")
    t.send("\x03")
    assert t.wait() != 0


def test_a_narrow_terminal_is_not_wrapped(cbox, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    name = cbox.start("sleep", "1000")
    t = cbox.terminal("stats", name, rows=10, cols=40)
    frame = t.expect(r"\x1b\[H([^\x1b]*)\x1b\[K\r+\n([^\x1b]*)\x1b\[K")
    assert len(frame[1]) <= 40 and len(frame[2]) <= 40


def test_a_dumb_terminal_gets_plain_text(cbox, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    name = cbox.start("sleep", "1000")
    t = cbox.terminal("stats", name)
    t.expect("CONTAINER ID")
    t.expect(name)
    t.expect("CONTAINER ID")
    assert "\033" not in t.seen
