"""SPECIFICATION.md: each promise names what holds it, and that is there."""

import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
ROWS = [line for line in (TOP / "SPECIFICATION.md").read_text().splitlines() if line.startswith("| ") and line != "| promise | held by |"]


@pytest.mark.parametrize("row", ROWS, ids=[re.sub(r"\W+", "_", r)[:60] for r in ROWS])
def test_each_promise_is_held_by_something_that_is_there_or_says_that_nothing_does(row):
    promise, held = row.strip("| ").rsplit(" | ", 1)
    names = re.findall(r"`([^`]+)`", held)
    tests = [n for n in names if n.startswith("tests/")]
    assert promise and (tests or "*nothing yet*" in held), row
    for name in tests:
        words = name.split()
        path, _, test = words[0].partition("::")
        assert (TOP / path).exists(), f"{path} is not there"
        if test:
            assert re.search(rf"^def {re.escape(test)}\(", (TOP / path).read_text(), re.M), f"{path} has no {test}"
        for option in words[1:]:
            said = subprocess.run([TOP / path, "--help"], capture_output=True, text=True, timeout=60)
            assert said.returncode == 0 and option in said.stdout, f"{path} has no {option}"
