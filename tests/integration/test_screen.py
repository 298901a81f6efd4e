"""What a person sees: commands in a real terminal emulator, their screens read back."""

import re
import sys
from pathlib import Path

import pytest

import registry_tools
from harness import until
from screen import Screen

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from bad_registry import BadRegistry, stall  # noqa: E402  pylint: disable=wrong-import-position


@pytest.fixture
def screen():
    screens = []

    def make(**kw):
        screens.append(Screen(**kw))
        return screens[-1]

    yield make
    for s in screens:
        s.close()


def test_a_shell_in_a_container_is_a_shell(box, screen):
    s, name = screen(columns=100, rows=30), box.name()
    s.type(box.berth.argv(*box.args("sh", opts=("-it", "--name", name, "-e", "PS1=inside> "))))
    s.until("inside>")
    s.type("stty size; echo size was")
    s.until(lambda lines: "size was" in lines and "30 100" in lines)
    s.resize(70, 20)
    s.type("clear; until stty size | grep '^20 70$'; do sleep 0.1; done; echo size is")
    s.until(lambda lines: "size is" in lines and "20 70" in lines)
    s.keys("C-l")  # the shell's own line editing works on it
    s.type("echo one two | tr a-z A-Z")
    s.until("ONE TWO")
    s.type("vi /tmp/note")  # a program that takes the whole screen
    s.until(lambda lines: lines[0] == "" and any(line.startswith("~") for line in lines))
    s.keys("i")
    s.until(lambda lines: lines[-1].startswith("I "))
    s.keys("written by a person")
    s.until("written by a person")
    s.keys("Escape")
    s.until(lambda lines: lines[-1].startswith("- "))  # else what follows is the rest of an escape sequence
    s.keys(":wq", "Enter")
    s.until(lambda lines: lines[-1].startswith("inside>"))
    s.type("clear; sh -c 'tr a-z A-Z </tmp/note; exec sleep 1000'")
    s.until("WRITTEN BY A PERSON")
    s.keys("C-c")
    s.until(lambda lines: lines[-1] == "inside>")
    s.keys("C-p", "C-q")
    s.until(lambda lines: lines[-1].startswith("person>") and lines[-2].endswith("read escape sequence"))
    assert box.berth.state(name)["Status"] == "running"
    s.type("clear")
    s.type(box.berth.argv("attach", name))
    s.keys("Enter")
    s.until(lambda lines: lines[-1].startswith("inside>"))
    s.type("exit 3")
    s.until(lambda lines: lines[-1].startswith("person>"))
    s.type("clear; echo code $?; stty -a | grep -o ' echo '")  # of clear; the terminal is as it was
    s.until(lambda lines: "code 0" in lines and " echo" in [line.rstrip() for line in lines])
    assert s.cursor_is_shown()


def test_stats_is_one_table_that_changes(cbox, screen):
    name, other = (cbox.start("sh", "-c", "while :; do :; done", opts=("--cpus", "0.1")) for _ in range(2))
    s = screen(columns=140, rows=12)
    s.type("clear")
    s.type(cbox.berth.argv("stats"))
    table = lambda lines: [line for line in lines if name in line or other in line]  # noqa: E731
    first = table(s.until(lambda lines: len(table(lines)) == 2 and not any(re.search(r"t-\w+ +(0.00%|--)", line) for line in table(lines))))
    changed = s.until(lambda lines: len(table(lines)) == 2 and table(lines) != first)
    assert sum("CONTAINER ID" in line for line in changed) == 1
    assert sum("CONTAINER ID" in line for line in s.history()) == 1, "it is drawn over itself, nothing scrolls away"
    cbox.berth.ok("rm", "-f", other)
    s.until(lambda lines: len(table(lines)) == 1 and not any(other in line for line in lines))
    s.resize(60, 12)
    s.until(lambda lines: len(lines) >= 2 and all(len(line) <= 60 for line in lines) and sum("CONTAINER ID" in line for line in lines) == 1)
    s.keys("C-c")
    s.until(lambda lines: lines[-1].startswith("person>"))
    assert s.cursor_is_shown()


@pytest.mark.parametrize("columns", (100, 60, 24))
def test_a_pull_has_one_line_for_each_layer(berth, screen, columns):
    layers = [registry_tools.tar_layer({"etc": None, f"etc/{i}": bytes([i]) * 100_000}) for i in range(3)]
    image = registry_tools.Image(layers, compression="none")
    names = [registry_tools.digest(layer)[7:19] for layer in layers]
    rows = lambda lines: [line for line in lines if line[:12] in names]  # noqa: E731
    with BadRegistry({"a/b": image}) as registry:
        registry.fault(f"/blobs/{registry_tools.digest(layers[2])}", stall(50_000), times=1)
        s = screen(columns=columns, rows=16)
        s.type("clear")
        s.type([*berth.argv("pull", f"{registry.domain}/a/b")])
        half = r"downloading \[=+> +\] 5\d(\.\d)?kB/10\dkB" if columns == 100 else "download"
        seen = rows(s.until(lambda lines: len(rows(lines)) == 3 and all(any(re.search(p, line) for line in rows(lines)) for p in ("done", half))))
        assert len({line[:12] for line in seen}) == 3, seen
        s.keys("C-c")
        s.until(lambda lines: any("interrupted" in line or "signal" in line or "stopped" in line for line in lines) or lines[-1].startswith("person>"))
        s.type("clear")
        s.until(lambda lines: not rows(lines))  # of the one that was interrupted
        s.type([*berth.argv("pull", f"{registry.domain}/a/b")])
        done = s.until(lambda lines: lines[-1].startswith("person>") and len(rows(lines)) == 3)
        assert all(re.search("done|already h", line) for line in rows(done)), done
        assert len([line for line in s.history() if line[:12] in names]) <= 6, "nothing of a bar scrolls away"
        assert s.cursor_is_shown()
    berth.ok("rmi", f"{registry.domain}/a/b")


def test_logs_are_followed_until_the_person_has_enough(cbox, screen):
    name = cbox.start("sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done")
    until(lambda: "line 3" in cbox.berth("logs", name).out, "it speaks")
    s = screen(columns=60, rows=10)
    s.type(cbox.berth.argv("logs", "-f", "--tail", "2", name))
    s.until(lambda lines: sum(line.startswith("line ") for line in lines) >= 5)
    s.keys("C-c")
    s.until(lambda lines: lines[-1].startswith("person>"))
    assert cbox.berth.state(name)["Status"] == "running"
