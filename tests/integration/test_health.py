"""Health checks: of the image and of the options, in containers and virtual machines, by docker's rules."""

import time

from harness import until
from test_events import told


def status(berth, name):
    return berth.state(name)["Health"]["Status"]


def becomes(berth, name, wanted, timeout=60):
    until(lambda: status(berth, name) == wanted, f"it is {wanted}", timeout=timeout)


def test_health_follows_the_check_and_is_told_everywhere(box):
    b = box.berth
    name = box.start("sleep", "1000", opts=("--health-cmd", "echo looked; test -e /well", "--health-interval", "300ms", "--health-retries", "2"))
    assert status(b, name) in ("starting", "unhealthy")
    becomes(b, name, "unhealthy")
    assert "(unhealthy)" in b.ok("ps", "-f", f"name={name}")
    assert name in b.ok("ps", "-f", "health=unhealthy", "--format", "{{.Names}}").split()
    b.ok("exec", name, "touch", "/well")
    becomes(b, name, "healthy")
    assert "(healthy)" in b.ok("ps", "-f", f"name={name}")
    health = b.state(name)["Health"]
    assert health["FailingStreak"] == 0 and 1 <= len(health["Log"]) <= 5
    last = health["Log"][-1]
    assert last["ExitCode"] == 0 and last["Output"] == "looked\n" and last["Start"] < last["End"]
    assert [a for a, _ in told(b, f"container={name}", "event=health_status")] == ["health_status: unhealthy", "health_status: healthy"]
    assert not told(b, f"container={name}", "event=exec_create")[1:]  # the touch alone: checks are no events
    check = b.inspect(name)["Config"]["Healthcheck"]
    assert check["Test"] == ["CMD-SHELL", "echo looked; test -e /well"] and check["Interval"] == 300_000_000 and check["Retries"] == 2


def processes(box, name):
    return box.berth.ok("exec", name, "sh", "-c", "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done")


def test_a_check_that_hangs_is_killed_with_what_it_has_begun(box, init_opts):
    name = box.start("sleep", "1000", opts=(*init_opts, "--health-cmd", "sleep 4321 & sleep 4322; true", "--health-interval", "1s",
                                            "--health-timeout", "1s", "--health-retries", "1"))
    becomes(box.berth, name, "unhealthy")
    health = box.berth.state(name)["Health"]
    assert health["Log"][0]["ExitCode"] == -1 and "exceeded timeout" in health["Log"][0]["Output"]
    until(lambda: "432" not in processes(box, name).replace("--health-cmd", ""), "nothing of it is left")


def test_the_check_of_a_paused_container_waits(cbox):
    b = cbox.berth
    name = cbox.start("sleep", "1000", opts=("--health-cmd", "touch /begun; until [ -e /well ]; do sleep 0.05; done", "--health-interval", "100ms",
                                             "--health-timeout", "2s", "--health-retries", "1000000"))
    until(lambda: b("exec", name, "test", "-e", "/begun").code == 0, "it is looked at")
    b.ok("pause", name)
    before = b.state(name)["Health"]
    time.sleep(2.5)
    assert b.state(name)["Health"] == before, "the time of a check goes on, or a further one is made"
    b.ok("unpause", name)
    b.ok("exec", name, "touch", "/well")
    becomes(b, name, "healthy")


def test_failures_within_the_start_period_do_not_count(cbox):
    b, opts = cbox.berth, ("--health-cmd", "false", "--health-interval", "100ms", "--health-start-interval", "100ms", "--health-retries", "1")
    name = cbox.start("sleep", "1000", opts=(*opts, "--health-start-period", "1h"))
    state = until(lambda: len((h := b.state(name)["Health"])["Log"]) >= 3 and h, "three checks")
    assert state["Status"] == "starting" and state["FailingStreak"] == 0 and {log["ExitCode"] for log in state["Log"]} == {1}
    assert "(health: starting)" in b.ok("ps", "-f", f"name={name}")
    becomes(b, cbox.start("sleep", "1000", opts=(*opts, "--health-start-period", "500ms")), "unhealthy")


def test_output_is_cut_and_five_logs_are_kept(cbox):
    name = cbox.start("sleep", "1000", opts=("--health-cmd", "head -c 100000 /dev/zero | tr '\\0' x", "--health-interval", "50ms"))
    health = until(lambda: len((h := cbox.berth.state(name)["Health"])["Log"]) == 5 and h, "five checks")
    assert all(log["Output"] == "x" * 4096 for log in health["Log"])


def test_it_begins_anew_with_each_start(cbox):
    b = cbox.berth
    name = cbox.start("sleep", "1000", opts=("--tmpfs", "/signs", "--health-cmd", "test -e /signs/well", "--health-interval", "100ms",
                                             "--health-retries", "1000000"))
    b.ok("exec", name, "touch", "/signs/well")
    becomes(b, name, "healthy")
    b.ok("stop", "-t", "0", name)
    assert "healthy" not in b.ok("ps", "-a", "-f", f"name={name}")
    b.ok("start", name)  # its tmpfs is empty again, so it can't be healthy by what was
    until(lambda: b.state(name)["Health"]["FailingStreak"] >= 2, "it has been looked at")
    assert status(b, name) == "starting"
    b.ok("exec", name, "touch", "/signs/well")
    becomes(b, name, "healthy")


def test_no_healthcheck_and_what_is_refused(cbox):
    name = cbox.start("sleep", "1000", opts=("--no-healthcheck",))
    assert "Health" not in cbox.berth.state(name)
    for words, says in ((("--no-healthcheck", "--health-cmd", "true"), "--no-healthcheck conflicts with --health-* options"),
                        (("--health-cmd", "true", "--health-interval", "soon"), "--health-interval"),
                        (("--health-cmd", "true", "--health-retries", "-1"), "--health-retries cannot be negative")):
        cbox.berth.fails(*cbox.args("true", opts=words), says=says)


def test_filters_of_ps(cbox):
    b = cbox.berth
    first, second, third = (cbox.start("sleep", "1000") for _ in range(3))
    names = lambda *f: set(b.ok("ps", "--format", "{{.Names}}", *(x for k in f for x in ("-f", k))).split()) & {first, second, third}  # noqa: E731
    assert names(f"before={third}", f"since={first}") == {second}
    assert names(f"since={first}") == {second, third}
    assert names("network=none", f"before={second}") == {first}
    assert names("health=none", f"name={first}") == {first} and names("health=healthy") == set()
    b.fails("ps", "-f", "before=no-such-one", says="no such container: no-such-one")
    b.fails("ps", "-f", "colour=red", says="--filter")
