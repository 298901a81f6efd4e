"""What ends a container by itself: --timeout and --health-on-failure; and what --env-host takes along."""

import pytest

from harness import until


def test_what_runs_longer_than_it_may_is_killed(box):
    name, r = box.keep("sleep", "100000", opts=("--timeout", "1"))
    assert r.code == 137, str(r)
    i = box.berth.inspect(name)
    assert i["State"]["ExitCode"] == 137 and not i["State"]["OOMKilled"] and i["Config"]["Timeout"] == 1
    assert any("has run for 1 s: it is killed" in line for line in i["MonitorLog"])


def test_what_ends_in_time_is_left_alone(cbox):
    name, r = cbox.keep("sh", "-c", "exit 7", opts=("--timeout", "100"))
    assert r.code == 7 and cbox.berth.inspect(name)["MonitorLog"] is None
    name, r = cbox.keep("true", opts=("--timeout", "0"))
    assert r.code == 0 and "Timeout" not in cbox.berth.inspect(name)["Config"]


def lives(box, *opts) -> list:
    """What one that says so as it begins, and may be started again once, has said in the end."""
    name = box.start("sh", "-c", "echo begun; exec sleep 100000", opts=("--restart", "on-failure:1", *opts))
    until(lambda: box.berth.inspect(name)["RestartCount"] == 1 and box.berth.state(name)["Status"] == "exited", "its second end")
    i = box.berth.inspect(name)
    assert i["State"]["ExitCode"] == 137
    return box.berth.ok("logs", name).split()


def test_each_life_has_all_the_time(cbox):
    assert lives(cbox, "--timeout", "1") == ["begun", "begun"]


@pytest.mark.parametrize("value", ["-2", "soon"])
def test_a_time_that_is_none_is_refused(cbox, value):
    cbox.berth.fails(*cbox.args("true", opts=(f"--timeout={value}",)), says="--timeout")


SICK = ("--health-cmd", "echo ill; exit 1", "--health-interval", "100ms", "--health-retries", "2", "--health-timeout", "60s")


def test_an_unhealthy_one_is_killed_if_asked_for(box):
    name, r = box.keep("sleep", "100000", opts=(*SICK, "--health-on-failure", "kill"))
    assert r.code == 137, str(r)
    i = box.berth.inspect(name)
    assert i["State"]["Health"]["Status"] == "unhealthy" and i["Config"]["HealthcheckOnFailureAction"] == "kill"
    assert any("is unhealthy: it is killed" in line for line in i["MonitorLog"])


def test_then_a_restart_policy_begins_it_anew(cbox):
    assert lives(cbox, *SICK, "--health-on-failure=kill") == ["begun", "begun"]


def test_without_it_an_unhealthy_one_goes_on(cbox):
    name = cbox.start("sleep", "100000", opts=(*SICK, "--health-on-failure", "none"))
    assert cbox.berth.ok("wait", "--condition", "unhealthy", name)
    assert cbox.berth.state(name)["Status"] == "running"


@pytest.mark.parametrize("action, says", [("restart", "kill is"), ("stop", "kill is"), ("pray", "neither none nor kill")])
def test_an_action_that_is_not_there_is_refused(cbox, action, says):
    cbox.berth.fails(*cbox.args("true", opts=(*SICK, "--health-on-failure", action)), says=("--health-on-failure", says))
    cbox.berth.fails(*cbox.args("true", opts=("--no-healthcheck", "--health-on-failure", "kill")), says="conflicts")


def test_the_commands_environment_is_passed_on_whole(box, tmp_path):
    (tmp_path / "file").write_text("FILE=file\n")
    env = {"GIVEN": "by us", "FILE": "by us", "OPTION": "by us"}
    r = box("sh", "-c", "echo $GIVEN, $FILE, $OPTION", opts=("--env-host", "--env-file", tmp_path / "file", "-e", "OPTION=option"), env=env)
    assert (r.code, r.out) == (0, "by us, file, option\n"), str(r)
    assert box("sh", "-c", "echo $GIVEN", env=env).out == "\n"


def test_dockers_words_for_what_is_so_anyway(cbox):
    args = list(cbox.args("true", opts=("--rm", "--volume-driver", "local")))
    args[args.index("container")] = "default"
    assert cbox.berth(*args).code == 0
    cbox.berth.fails(*cbox.args("true", opts=("--volume-driver", "nfs")), says=("--volume-driver", "local is the only one"))
