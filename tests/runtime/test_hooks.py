"""Hooks: who runs them, when, with what on stdin, and what their failure means."""

import json

import pytest

import oci

ORDER = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


@pytest.fixture
def hooked(bundle, tmp_path):
    """hooked(kind, script): a hook of the host; it finds its state in $STATE."""
    log = tmp_path / "log"
    log.touch()

    def add(kind, script, **more):
        path = bundle.where / f"{kind}{len(bundle.config.get('hooks', {}).get(kind, []))}.sh"
        path.write_text(f"#!/bin/sh\nSTATE=$(cat)\n{script}\n")
        path.chmod(0o755)
        bundle.config.setdefault("hooks", {}).setdefault(kind, []).append({"path": str(path), "env": ["PATH=/bin:/usr/bin"], **more})
        return bundle.save()

    add.log = log
    return add


def test_each_kind_runs_at_its_time_with_the_state(runtime, box, bundle, hooked):
    for kind in ORDER:
        if kind != "startContainer":
            hooked(kind, f'echo "{kind} $STATE" >> {hooked.log}')
    (bundle.rootfs / "hook").write_text("#!/bin/sh\nread -r STATE\necho \"startContainer $STATE\" > /tmp/log\n")
    (bundle.rootfs / "hook").chmod(0o755)
    bundle.config["hooks"]["startContainer"] = [{"path": "/hook", "env": ["PATH=/bin"]}]
    bundle.config["annotations"] = {"k": "v"}
    name = box.create(bundle.save())
    pid = runtime.state(name)["pid"]
    lines = lambda: [line.split(" ", 1) for line in hooked.log.read_text().splitlines()]
    assert [kind for kind, _ in lines()] == ["prestart", "createRuntime", "createContainer"]
    assert not (bundle.rootfs / "tmp/log").exists()
    runtime.ok("start", name)
    kind, state = (bundle.rootfs / "tmp/log").read_text().split(" ", 1)
    assert kind == "startContainer" and json.loads(state)["status"] == "created"
    runtime.ok("delete", "--force", name)
    assert [kind for kind, _ in lines()] == ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    for kind, state in lines():
        state = json.loads(state)
        assert state["id"] == name and state["bundle"] == str(bundle.where) and state["annotations"] == {"k": "v"}
        assert state["status"] == {"prestart": "created", "poststart": "running", "poststop": "stopped"}.get(kind, "creating")
        if kind != "poststop":  # as it is called where the hook runs
            assert state["pid"] == (1 if kind == "createContainer" else pid)
    oci.reap(pid)


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_one_that_fails_before_create_is_done_fails_it_and_leaves_nothing(runtime, box, hooked, kind):
    b = hooked(kind, "exit 3")
    name = box.name()
    runtime.fails("create", "--bundle", b.where, name, says=[kind, "status 3"])
    runtime.fails("state", name, says="does not exist")
    assert not oci.default_cgroups(name)


def test_one_that_outlives_its_timeout_fails_create(runtime, box, hooked):
    b = hooked("createRuntime", "sleep 1000", timeout=1)
    runtime.fails("create", "--bundle", b.where, box.name(), says="did not end within 1 s")


def test_a_start_container_hook_that_fails_fails_start(runtime, box, bundle):
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/false"}]}
    name = box.create(bundle.save())
    pid = runtime.state(name)["pid"]
    runtime.fails("start", name, says="startContainer hook")
    oci.reap(pid)
    assert runtime.status(name) == "stopped"


def test_a_start_container_hook_may_bring_the_program(runtime, box, bundle):
    (bundle.rootfs / "bring").write_text("#!/bin/sh\nprintf '#!/bin/sh\\nsleep 1000\\n' > /bin/late\nchmod 755 /bin/late\n")
    (bundle.rootfs / "bring").chmod(0o755)
    bundle.config["hooks"] = {"startContainer": [{"path": "/bring"}]}
    bundle.config["process"]["args"] = ["late"]
    name = box.create(bundle.save())
    runtime.ok("start", name)
    assert runtime.status(name) == "running"


def test_a_poststart_hook_that_fails_is_warned_about_and_the_others_run(runtime, box, hooked):
    hooked("poststart", "exit 3")
    b = hooked("poststart", f"echo second >> {hooked.log}")
    name = box.create(b)
    r = runtime("start", name)
    assert r.code == 0 and "poststart hook 0" in r.err and "status 3" in r.err
    assert runtime.status(name) == "running"
    assert hooked.log.read_text() == "second\n"


def test_poststart_hooks_see_the_program_with_its_arguments(runtime, box, bundle, hooked):
    b = hooked("poststart", f"tr '\\0' ' ' < /proc/$(echo \"$STATE\" | sed -E 's/.*\"pid\":([0-9]*).*/\\1/')/cmdline >> {hooked.log}")
    for _ in range(5):
        box.start(b)
    assert hooked.log.read_text() == "sleep 1000 " * 5


def test_poststart_hooks_come_after_what_the_program_does_first(runtime, box, bundle, hooked):
    """Up to where it waits for something, within a moment. One of a few: the machine may be slow."""
    busy = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done"
    bundle.sh(f"{busy}; touch /tmp/ready; sleep 1000")
    b = hooked("poststart", f"[ ! -e {bundle.rootfs}/tmp/ready ] || echo late >> {hooked.log}")
    for _ in range(5):
        (bundle.rootfs / "tmp/ready").unlink(missing_ok=True)
        box.start(b)
        oci.until((bundle.rootfs / "tmp/ready").exists, "what it does first")
    assert "late" in hooked.log.read_text()


def test_poststart_hooks_do_not_wait_for_a_program_that_never_rests(runtime, box, bundle, hooked):
    bundle.sh("while :; do :; done")
    name = box.start(hooked("poststart", f"echo ran >> {hooked.log}"))
    assert hooked.log.read_text() == "ran\n" and runtime.status(name) == "running"


def test_a_prestart_hook_that_fails_keeps_the_later_ones_from_running(runtime, box, hooked):
    hooked("prestart", "exit 3")
    hooked("prestart", f"echo second >> {hooked.log}")
    b = hooked("createRuntime", f"echo createRuntime >> {hooked.log}")
    runtime.fails("create", "--bundle", b.where, box.name(), says=["prestart hook 0", "status 3"])
    assert hooked.log.read_text() == ""


def test_poststop_hooks_of_a_create_that_failed_run(runtime, box, bundle, hooked):
    """The lifecycle goes on "at step 12": what was made is unmade, and that is told."""
    hooked("prestart", "exit 3")
    b = hooked("poststop", f'echo "$STATE" >> {hooked.log}')
    name = box.name()
    runtime.fails("create", "--bundle", b.where, name, says="prestart")
    state = json.loads(hooked.log.read_text())
    assert state["id"] == name and state["status"] == "stopped"


def test_hooks_of_one_kind_run_in_their_order_with_their_arguments_and_environment(runtime, box, hooked):
    for i in range(3):
        b = hooked("createRuntime", f'echo "$0 $1 $N" >> {hooked.log}')
        b.config["hooks"]["createRuntime"][-1].update(args=["ignored-name", f"arg{i}"], env=["PATH=/bin:/usr/bin", f"N={i}"])
    box.create(b.save())
    assert [line.split(" ", 1)[1] for line in hooked.log.read_text().splitlines()] == ["arg0 0", "arg1 1", "arg2 2"]


def test_a_poststop_hook_that_fails_is_warned_about_and_the_others_run(runtime, box, hooked):
    hooked("poststop", "exit 3")
    b = hooked("poststop", f"echo second >> {hooked.log}")
    name = box.create(b)
    r = runtime("delete", "--force", name)
    assert r.code == 0 and "poststop hook 0" in r.err
    assert hooked.log.read_text() == "second\n"
    runtime.fails("state", name, says="does not exist")


def test_a_hook_may_ask_for_the_state(runtime, box, hooked):
    command = " ".join(runtime.argv("state"))
    b = hooked("poststart", f'{command} $(echo "$STATE" | sed -E \'s/.*"id":"([^"]*)".*/\\1/\') > {hooked.log}')
    name = box.start(b)
    assert json.loads(hooked.log.read_text())["id"] == name
