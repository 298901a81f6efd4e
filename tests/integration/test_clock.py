"""F14: a clock that is ten years wrong from one moment to the next. It labels; nothing waits by it."""

import json
import os
import time

import bad_registry
import pytest
import registry_tools

from harness import until
from test_events import Follower
from test_health import becomes

pytestmark = pytest.mark.skipif(os.environ.get("BERTH_LAB") != "1", reason="sets the host's clock, which only the lab's may be")

TEN_YEARS = 3653 * 86400


@pytest.fixture(params=[TEN_YEARS, -TEN_YEARS], ids=["ahead", "back"])
def leap(request):
    """Sets the clock wrong; it is right again after the test."""
    real, mono = time.time(), time.monotonic()
    yield lambda: time.clock_settime(time.CLOCK_REALTIME, time.time() + request.param)
    time.clock_settime(time.CLOCK_REALTIME, real + time.monotonic() - mono)


def test_what_runs_goes_on_and_is_stopped(box, leap):
    b = box.berth
    name = box.start("sh", "-c", "trap '' TERM; i=0; while :; do echo line $((i += 1)); sleep 0.2; done")
    with b.popen("logs", "-f", name) as reader, b.popen("wait", name) as waiter:
        reader.stdout.readline()
        leap()
        n = b.ok("logs", name).count("line")
        until(lambda: b.ok("logs", name).count("line") > n, "more lines")
        assert b.ok("exec", name, "echo", "there") == "there"
        assert b.ok("ps", "-f", f"name={name}", "--format", "{{.Status}}").startswith("Up ")
        assert b.state(name)["Status"] == "running" and name in b.ok("stats", "--no-stream", "--format", "{{.Name}}", name)
        assert b.ok("stop", "-t", "1", name) == name
        assert waiter.communicate(timeout=120)[0].strip() == b"137"
        assert f"line {n}".encode() in reader.communicate(timeout=120)[0]
    assert b.state(name)["ExitCode"] == 137
    assert b.ok("ps", "-a", "-f", f"name={name}", "--format", "{{.Status}}").startswith("Exited (137) ")
    b.ok("start", name)
    assert b.ok("rm", "-f", name) == name


def test_waits_between_restarts_are_as_long_as_ever(cbox, leap):
    name = cbox.start("sh", "-c", "echo life; exit 3", opts=("--restart", "on-failure:4"))
    leap()
    until(lambda: cbox.berth.state(name)["Status"] == "exited", "it is given up", timeout=60)
    assert cbox.berth.inspect(name)["RestartCount"] == 4


def test_what_waits_to_be_restarted_is_stopped(cbox, leap):
    name = cbox.start("false", opts=("--restart", "always"))
    until(lambda: cbox.berth.inspect(name)["RestartCount"] >= 3, "it is started again and again")
    leap()
    until(lambda: cbox.berth.inspect(name)["RestartCount"] >= 5, "it goes on")
    cbox.berth.ok("stop", name)
    assert cbox.berth.state(name)["Status"] == "exited"


def test_health_is_looked_at_as_often_as_ever(cbox, leap):
    name = cbox.start("sleep", "1000", opts=("--health-cmd", "test -e /well", "--health-interval", "300ms", "--health-retries", "2"))
    becomes(cbox.berth, name, "unhealthy")
    leap()
    cbox.berth.ok("exec", name, "touch", "/well")
    becomes(cbox.berth, name, "healthy")


def test_events_are_told_in_the_order_in_which_they_happened(cbox, leap):
    with Follower(cbox.berth, "--format", "json", "-f", "type=container") as follower:
        name = cbox.start("sleep", "1000")
        leap()
        cbox.berth.ok("rm", "-f", name)
        until(lambda: any('"destroy"' in line for line in follower.lines), "its end is told")
        told = [json.loads(line) for line in follower.lines]
    mine = [e["Action"] for e in told if e["Actor"]["Attributes"].get("name") == name]
    assert [a for a in mine if a in ("create", "start", "die", "destroy")] == ["create", "start", "die", "destroy"]


def in_pieces(handler, answer):
    """A few seconds for a layer, so that there is a time in the midst of it."""
    handler.begin(answer)
    for i in range(0, len(answer.body), 50_000):
        handler.wfile.write(answer.body[i:i + 50_000])
        handler.wfile.flush()
        time.sleep(0.2)
    handler.close_connection = True
    return True


def test_what_is_pulled_meanwhile_is_whole(empty, leap):
    image = registry_tools.Image([registry_tools.tar_layer({"etc": None, "etc/late": os.urandom(1_000_000)})], compression="none")
    with bad_registry.BadRegistry({"late": image}) as registry:
        registry.fault(image.layers[0]['digest'], in_pieces)
        name = f"{registry.domain}/late:latest"
        with empty.popen("pull", name) as pull:
            until(lambda: registry.paths(image.layers[0]['digest']), "it is on its way")
            leap()
            said = pull.communicate(timeout=120)
            assert pull.returncode == 0, said
        empty.ok("system", "check")
