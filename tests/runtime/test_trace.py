"""--trace-startup: every stage of a start with its time, in order, and nothing without it."""

import re

LINE = re.compile(r" *(\d+\.\d{3}) ms  (\w+) +(.+)")


def stages(text: str) -> list:
    """[(milliseconds, who, what)] of every line of text."""
    found = [LINE.fullmatch(line) for line in text.splitlines()]
    assert found and all(found), f"not all of it are lines of a trace: {text}"
    return [(float(m[1]), m[2], m[3]) for m in found]


def in_order(text: str, *wanted):
    rows = stages(text)
    times = [row[0] for row in rows]
    assert times == sorted(times) and times[0] == 0, text
    names = [f"{who} {what}" for _, who, what in rows]
    places = [names.index(w) for w in wanted]
    assert places == sorted(places), text
    return names


def test_run_traces_from_its_first_self_to_the_deletion(runtime, box, bundle):
    r = runtime("run", "--trace-startup", "--bundle", bundle.args("true").where, box.name())
    assert r.code == 0 and not r.out
    names = in_order(r.err, "runtime begin", "runtime sealed", "runtime config.json read", "runtime cgroups probed",
                     "runtime record claimed", "container check", "container clone", "container pivot", "container program",
                     "runtime ended", "runtime deleted")
    # Beside the new process's steps.
    in_order(r.err, "runtime record claimed", "runtime recorded", "runtime process recorded", "runtime started", "runtime ended")
    assert names.count("container pivot") == 1 and names[0] == "runtime begin" and names[-1] == "runtime deleted"


def test_a_detached_run_traces_up_to_its_start(runtime, box, bundle):
    r = runtime("run", "--detach", "--trace-startup", "--bundle", bundle.where, box.name())
    assert r.code == 0 and in_order(r.err, "runtime begin", "runtime started")[-1] == "runtime started"


def test_create_traces_up_to_the_wait_and_start_works_as_ever(runtime, box, bundle):
    name = box.name()
    r = runtime("create", "--trace-startup", "--bundle", bundle.where, name)
    assert r.code == 0
    names = in_order(r.err, "runtime recorded", "container privileges", "runtime waits to be started")
    assert "container program" not in names
    runtime.ok("start", name)
    assert runtime.status(name) == "running"


def test_exec_traces_its_own_steps(runtime, box, bundle):
    r = runtime("exec", "--trace-startup", box.start(bundle), "sh", "-c", "echo out; exit 3")
    assert r.code == 3 and r.out == "out\n"
    names = in_order(r.err, "runtime begin", "runtime sealed", "runtime record read", "container session",
                     "container privileges", "container program", "runtime started", "runtime ended")
    assert "container clone" in names  # beside the new process's steps: its place among them is not known


def test_what_failed_is_traced_as_far_as_it_came(runtime, box, bundle):
    r = runtime("run", "--trace-startup", "--bundle", bundle.args("/missing").where, box.name())
    lines = r.err.splitlines()
    assert r.code == 1 and lines[-1].startswith("berth-runtime: ") and "missing" in lines[-1]
    assert "runtime recorded" in in_order("\n".join(lines[:-1]), "runtime record claimed", "container clone")


def test_nothing_is_traced_or_passed_on_unasked(runtime, box, bundle):
    r = runtime("run", "--bundle", bundle.args("env").where, box.name())
    assert r.code == 0 and not r.err and "BEGAN" not in r.out
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"env > {bundle.where}/hook.env"]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    assert runtime("run", "--bundle", bundle.save().where, box.name()).code == 0
    assert "BEGAN" not in (bundle.where / "hook.env").read_text()
