"""What tests/bench writes is what `berth compare` reads, and what has become slower is found in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
import all as bench  # noqa: E402
import peers  # noqa: E402
from results import Results  # noqa: E402


def document(tmp_path, name, factor):
    part = tmp_path / f"{name}.part"
    one = Results(part)
    one.add("Start-up", "run", "`run`", "ms", {"berth": [v * factor for v in (10, 11, 12, 11, 10)], "docker": [200, 210, 190]})
    one.way("berth vm", "TCG")
    one.add("Memory", "idle", "Kept", "KiB", {"berth": [200], "berth vm": [90000]}, how="PSS.")
    one.save()
    whole = Results(None)
    whole.way("berth")
    whole.merge(part)
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(whole.document("Berth beside its peers", bench.facts(), "0.1.0")))
    return path


def test_a_run_is_a_comparison_and_its_regressions_are_berths_own(berth, tmp_path):
    now, fast = document(tmp_path, "now", 1), document(tmp_path, "fast", 0.3)
    out = berth.ok("compare", "--from", now, "--html", tmp_path / "page.html")
    assert "docker" in out and "berth vm (TCG)" in out and (tmp_path / "page.html").exists()
    assert bench.worse(berth.program, now, now) == []
    assert [line.split(":")[0] for line in bench.worse(berth.program, now, fast)] == ["run, berth"]
    assert bench.worse(berth.program, fast, now) == []


def test_all_steps_are_programs_that_are_there_and_take_what_they_are_given():
    for name, program, quick, full, _ in bench.STEPS:
        said = peers.tool(sys.executable, bench.HERE / program, "--help")
        for word in (*quick, *full, "--results"):
            assert not word.startswith("-") or word in said, (name, word)


def test_kvmtool_is_measured_where_the_user_has_it(berth, tmp_path, monkeypatch):
    (tmp_path / "lkvm").write_text("#!/bin/sh\n")
    (tmp_path / "lkvm").chmod(0o755)
    asked = []
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(bench, "has_kvm", lambda berth: True)
    monkeypatch.setattr(bench.subprocess, "run", lambda words, **kw: asked.append([str(w) for w in words]) or subprocess.CompletedProcess(words, 1, "", "no"))
    monkeypatch.setattr(sys, "argv", ["bench", "--build", str(berth.build), "--out", str(tmp_path), "--only", "boot", "--kernel", "/kernel"])
    monkeypatch.setattr(bench.peers, "tool", lambda *words, **kw: "")
    monkeypatch.setattr(bench, "facts", dict)
    assert bench.main() == 1, "it failed, and that is said"
    assert ["--kvmtool", str(tmp_path / "lkvm")] == asked[0][asked[0].index("--kvmtool"):][:2]


def test_who_is_not_slower_by_as_much_as_is_aimed_at_is_named():
    times = {"berth": [10, 11, 9], "docker": [140, 150, 160], "podman": [210], "runc": [9]}
    assert peers.slower(times, {"docker": 15, "podman": 20, "crun": 1}) == []
    missed = peers.slower(times, {"docker": 16, "runc": 1})
    assert len(missed) == 2 and missed[0].startswith("docker: 15.0 times") and missed[1].startswith("runc: 0.9")


@pytest.mark.parametrize("words", [("--only", "colour"), ("--build", "/nonexistent")])
def test_a_mistake_is_named(words, berth, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench", "--build", str(berth.build), *words])
    with pytest.raises(SystemExit) as e:
        bench.main()
    assert e.value.code == 2 and words[1] in capsys.readouterr().err
