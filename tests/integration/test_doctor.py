"""`berth doctor`: what this host lacks. What a rule makes of a fact is tested beside the rules; here it is this host's facts, and the words."""

import json
import os
import re
import shutil
import subprocess

from harness import Terminal


def findings(berth, *opts):
    r = berth("doctor", "--format", "json", *opts)
    rows = [json.loads(line) for line in r.out.splitlines()]
    assert r.code == (1 if any(row["Level"] == "error" for row in rows) else 0), r
    return {(row["Area"], row["Subject"]): row for row in rows}


def test_it_says_what_the_host_is(berth):
    all_ = findings(berth)
    assert all(row["Level"] in ("ok", "note", "warning", "error") and row["Finding"] for row in all_.values())
    assert all(row["Remedy"] for row in all_.values() if row["Level"] in ("warning", "note"))
    assert os.uname().release in all_["host", "system"]["Finding"]
    swap = int(re.search(r"SwapTotal: +(\d+)", open("/proc/meminfo").read())[1])
    assert all_["host", "swap"]["Finding"].startswith("none") == (swap == 0)
    assert all_["container", "isolation"]["Level"] == "ok"  # the tests run them
    info = json.loads(berth.ok("info", "--format", "json"))
    assert (all_["vm", "isolation"]["Level"] == "ok") == (info["Isolations"]["vm"] == "available")
    quiet = findings(berth, "-q")
    assert quiet == {k: v for k, v in all_.items() if v["Level"] != "ok"}


def test_people_see_areas_and_remedies_and_colours_on_a_terminal_alone(berth):
    plain = berth("doctor").out
    assert [line for line in plain.splitlines() if line and not line.startswith(" ")] == ["host", "container", "vm"]
    assert "\033" not in plain and "-> " in plain
    for env, colours in ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False):
        t = Terminal(["/usr/bin/env", *(f"{k}={v}" for k, v in env.items()), *berth.argv("doctor")])
        seen = t.expect(r"(?s)host\r.*huge pages.*\r")[0]
        assert ("\033[" in seen) == colours, seen
        t.wait()


def test_what_is_missing_is_an_error_and_nothing_is_made(berth, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in "berth-monitor", "berth-transfer", "berth-init":
        shutil.copy(berth.build / "src/main" / program, programs)
    argv = [str(berth.program), "--root", str(tmp_path / "no/root"), "--run", str(tmp_path / "no/run"), "doctor", "-q"]
    r = subprocess.run(argv, env={**os.environ, "BERTH_LIBEXECDIR": str(programs)}, capture_output=True, text=True, timeout=120)
    assert r.returncode == 1 and "missing of Berth itself: berth-fs, berth-vmm\n" in r.stdout and "BERTH_LIBEXECDIR" in r.stdout
    assert not (tmp_path / "no").exists()


def test_wrong_words_are_refused(berth):
    berth.fails("doctor", "vm", says="vm")
    berth.fails("doctor", "--format", "{{.Nothing", says="--format")
