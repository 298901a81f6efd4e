"""Whatever of Berth is killed, whenever: what said that it is done is done, and nothing is left that the next commands do not remove."""

import subprocess
import sys
from pathlib import Path

KILLS = Path(__file__).resolve().parents[1] / "faults/kills"


def test_F01_F02_F05_four_hundred_kills_at_any_moment_leave_nothing(berth):
    """Nicely: dozens of processes at once, beside tests that wait for seconds at most."""
    done = subprocess.run(["nice", "-n", "19", sys.executable, KILLS, "--build", berth.build], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
    assert " 0 complaints" in done.stdout
