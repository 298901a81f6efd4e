"""Many at once: nothing is lost between them, and nothing is left of them."""

import pytest

from harness import until


@pytest.fixture
def is_sanitized(berth):
    return b"__asan_init" in berth.program.read_bytes()


def test_a_hundred_runs_at_once(cbox, is_sanitized):
    n = 20 if is_sanitized else 100
    before = set(cbox.berth.ok("ps", "-aq").split())
    started = [cbox.berth.popen(*cbox.args("sh", "-c", f"echo {i}; exit {i}", opts=("--rm",))) for i in range(n)]
    for i, p in enumerate(started):
        out, err = p.communicate(timeout=300)
        assert (p.returncode, out.decode()) == (i, f"{i}\n"), err.decode()
    assert set(cbox.berth.ok("ps", "-aq").split()) <= before
    until(lambda: not list((cbox.berth.root / "tmp").glob("rm-*")), "what was removed is gone from the disk")


def test_a_thousand_race_for_one_name(cbox, is_sanitized):
    n, at_once = (60, 20) if is_sanitized else (1000, 50)
    name, winners = cbox.name(), []
    for _ in range(0, n, at_once):
        running = [cbox.berth.popen(*cbox.args("true", opts=("--name", name), verb="create")) for _ in range(at_once)]
        for p in running:
            out, err = p.communicate(timeout=300)
            if p.returncode == 0:
                winners.append(out.decode().strip())
            else:
                assert p.returncode == 125 and f"the name {name} is in use" in err.decode(), err.decode()
    assert len(winners) == 1 and cbox.berth.inspect(name)["Id"] == winners[0]
    assert cbox.berth.ok("ps", "-aq", "--no-trunc", "-f", f"name=^{name}$") == winners[0]
