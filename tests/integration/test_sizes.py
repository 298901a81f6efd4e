"""What containers and images take, as `ps -s`, `inspect --size` and `history` tell it."""

import json
import re

import pytest

from harness import until

MB = 1 << 20


def test_a_container_has_what_it_has_written(box):
    quiet, _ = box.keep("true")
    name, r = box.keep("sh", "-c", "head -c 3000000 /dev/urandom >/big; sync")
    assert r.code == 0, r
    got = json.loads(box.berth.ok("inspect", "--size", name))[0]
    before = json.loads(box.berth.ok("inspect", "-s", quiet))[0]
    assert got["SizeRw"] - before["SizeRw"] >= 2_900_000 and got["SizeRw"] < before["SizeRw"] + 100 * MB
    image = json.loads(box.berth.ok("image", "inspect", box.image))[0]["Size"]
    assert got["SizeRootFs"] == got["SizeRw"] + image
    assert "SizeRw" not in box.berth.inspect(name)
    shown = box.berth.ok("ps", "-a", "--filter", f"name={name}", "--format", "{{.Size}}")
    assert re.fullmatch(r"[\d.]+[kMG]?B \(virtual [\d.]+[kMG]?B\)", shown), shown
    header, row = box.berth.ok("ps", "-a", "-s", "--filter", f"name={name}").splitlines()
    assert header.split()[-1] == "SIZE" and row.endswith(shown)
    assert "SIZE" not in box.berth.ok("ps", "-a")
    if box.isolation == "container":
        assert shown.startswith("3") and before["SizeRw"] == 0


def test_a_containers_size_is_the_length_of_its_files(cbox):
    """Docker's sum: not what the disk takes, holes and all; a file of two names once; links by their targets; no directories."""
    name, r = cbox.keep("sh", "-c", "truncate -s 10000000 /hole; mkdir /d; printf 12345 >/d/a; ln /d/a /d/b; ln /d/a /d/c; ln -s abcdefg /d/s; "
                                    "mkfifo /d/p; rm /etc/passwd; printf 1234567 >/d/x; ln /d/x /x")
    assert r.code == 0, r
    assert json.loads(cbox.berth.ok("inspect", "-s", name))[0]["SizeRw"] == 10_000_000 + 5 + 7 + 7
    assert cbox.berth.ok("ps", "-a", "--filter", f"name={name}", "--format", "{{.Size}}").startswith("10MB (virtual ")


def test_history_tells_each_step(cbox, hostile):
    name = hostile([], rest={"history": [
        {"created": "2020-01-02T03:04:05Z", "created_by": "ADD base", "comment": "a comment"}, {"created_by": "x" * 60 + "\t\x1b[31m"},
        {"created": "2020-01-03T03:04:05Z", "created_by": "ENV A=1", "empty_layer": True}]})
    ident = json.loads(cbox.berth.ok("image", "inspect", name))[0]["Id"].removeprefix("sha256:")
    rows = [json.loads(line) for line in cbox.berth.ok("history", "--format", "json", "--no-trunc", name).splitlines()]
    assert [r["ID"].removeprefix("sha256:") for r in rows] == [ident, "<missing>", "<missing>"]
    assert [r["CreatedBy"] for r in rows] == ["ENV A=1", "x" * 60 + " ?[31m", "ADD base"]
    assert [r["Comment"] for r in rows] == ["", "", "a comment"] and rows[0]["Size"] == "0B" and rows[1]["CreatedSince"] == "N/A"
    assert rows[2]["CreatedAt"].startswith("2020-01-02T03:04:05") and rows[2]["CreatedSince"].endswith("years ago")
    header, first, second, _ = cbox.berth.ok("image", "history", name).splitlines()
    assert re.split(r"  +", header.strip()) == ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]
    assert first.startswith(ident[:12]) and "x" * 44 + "\u2026" in second
    sizes = [int(s) for s in cbox.berth.ok("history", "--human=false", "--format", "{{.Size}}", name).split()]
    assert sizes[0] == 0 and sum(sizes) > 0
    assert "CREATED AT" in cbox.berth.ok("history", "--human=false", name)
    assert cbox.berth.ok("history", "-q", name).split() == [ident[:12], "<missing>", "<missing>"]
    cbox.berth.fails("history", "no-such-image", says="no such image: no-such-image")


def test_an_image_that_tells_nothing_of_itself(cbox, hostile):
    assert len(cbox.berth.ok("history", hostile([], rest={"history": []})).splitlines()) == 1


def pss_kib(pid):
    return next(int(line.split()[1]) for line in open(f"/proc/{pid}/smaps_rollup") if line.startswith("Pss:"))


def test_what_watches_an_idle_container_takes_a_quarter_of_a_mebibyte(cbox):
    """A development build's, which is larger; a release's takes at most a fifth (tests/bench/many.py)."""
    monitor = cbox.berth.build / "src/main/berth-monitor"
    if b"__asan_init" in monitor.read_bytes():
        pytest.skip("a sanitized monitor has its shadow beside it")
    names = [cbox.start("sleep", "1000") for _ in range(10)]

    def average():
        pids = [cbox.berth.monitor_pid(cbox.berth.inspect(n)["Id"]) for n in names]
        sizes = [pss_kib(p) for p in pids]
        return sum(sizes) / len(sizes)
    until(lambda: average() <= 256, "each of ten takes at most 0.25 MiB", timeout=20)
    assert cbox.berth.ok("exec", names[0], "echo", "awake") == "awake"
