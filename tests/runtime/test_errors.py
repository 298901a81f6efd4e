"""What is wrong is told in one line, where the callers of a runtime look for it."""

import json
import re
from pathlib import Path

import oci
import pytest


def test_the_last_line_of_a_json_log_is_the_error(runtime, box, tmp_path):
    log = tmp_path / "log.json"
    r = runtime("--log", log, "--log-format", "json", "state", box.name())
    line = json.loads(log.read_text().splitlines()[-1])
    assert line["level"] == "error" and "does not exist" in line["msg"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", line["time"])
    assert "does not exist" in r.err  # Podman reads it there


def test_a_log_is_added_to(runtime, box, tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    runtime("--log", log, "state", box.name())
    lines = log.read_text().splitlines()
    assert lines[0] == "before" and len(lines) == 2 and "does not exist" in lines[1]


def test_options_of_the_process_above_are_accepted(runtime, tmp_path):
    out = runtime.ok("--debug", "--log=/dev/null", "--log-format=text", "--systemd-cgroup", "--rootless=false", "--criu", "criu", "list", "-q")
    assert out == ""


@pytest.mark.parametrize("argv, says", [
    (["frobnicate"], "unknown command"),
    (["checkpoint", "y"], "container does not exist"),
    (["restore", "--image-path", "/none/such", "y"], "--image-path /none/such"),
    (["restore", "--leave-running", "y"], "unknown option --leave-running"),
    (["strat"], 'did you mean "start"'),
    (["start"], "operand is missing"),
    (["start", "a", "b"], "unexpected operand"),
    (["create", "--frob", "x"], "unknown option --frob"),
    (["--log-format", "xml", "list"], "neither text nor json"),
    (["--rootless", "maybe", "list"], "none of true, false, auto"),
    (["--log", "/none/such/log", "list"], "--log /none/such/log"),
    (["state", "../etc"], "invalid container id"),
    (["state", ""], "invalid container id"),
    (["kill", "x", "FROB"], "unknown signal"),
    (["list", "--format", "xml"], "neither table nor json"),
    (["create", "--bundle", "/none/such", "x"], "--bundle /none/such"),
])
def test_wrong_usage_is_named(runtime, argv, says):
    runtime.fails(*argv, says=says)


def test_a_bundle_without_config_is_named(runtime, box, tmp_path):
    runtime.fails("create", "--bundle", tmp_path, box.name(), says="config.json not found")


@pytest.mark.parametrize("change, says", [
    (lambda c: c.pop("root"), ".root"),
    (lambda c: c.update(ociVersion="2.0.0"), ".ociVersion"),
    (lambda c: c["root"].update(path="nowhere"), "root.path nowhere"),
    (lambda c: c["process"].update(args=["none-such"]), ': exec "none-such": executable file not found in $PATH\n'),
    (lambda c: c["process"].update(args=["/none/such"]), "no such file or directory"),
    (lambda c: c["process"].update(args=["/etc"]), "permission denied"),
    (lambda c: c["process"].update(cwd="relative"), ".process.cwd"),
    (lambda c: c["linux"].update(cgroupsPath="/berth/../../x"), "cgroup path"),
    (lambda c: c["linux"].update(cgroupsPath="/"), "cgroupsPath"),
    (lambda c: c["linux"].update(namespaces=[{"type": "pid"}, {"type": "uts"}]), "linux.maskedPaths: can't be had"),
])
def test_a_bad_bundle_fails_create_and_leaves_nothing(runtime, box, bundle, change, says):
    change(bundle.config)
    name = box.name()
    runtime.fails("create", "--bundle", bundle.save().where, name, says=says)
    runtime.fails("state", name, says="does not exist")


def test_where_start_fails_the_process_has_ended_by_then(runtime, box, bundle):
    """An engine that is told of the failure asks for the end at once."""
    (bundle.rootfs / "script").write_text("#!/none/such\n")
    (bundle.rootfs / "script").chmod(0o755)
    for _ in range(10):
        name = box.create(bundle.args("/script"))
        pid = runtime.state(name)["pid"]
        runtime.fails("start", name, says='exec "/script": its interpreter')
        assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        oci.reap(pid)
        runtime.ok("delete", name)


def test_a_bundle_that_is_not_json_is_named(runtime, box, bundle):
    (bundle.where / "config.json").write_text('{"ociVersion": ')
    runtime.fails("create", "--bundle", bundle.where, box.name(), says="config.json")


def test_an_id_is_taken_once(runtime, box, bundle):
    name = box.create(bundle)
    runtime.fails("create", "--bundle", bundle.where, name, says="already exists")
    assert runtime.status(name) == "created"


def test_preserved_descriptors_must_be_open(runtime, box, bundle):
    runtime.fails("create", "--preserve-fds", "20", "--bundle", bundle.where, box.name(), says="--preserve-fds")
    runtime.fails("create", "--preserve-fds", "-1", "--bundle", bundle.where, box.name(), says="--preserve-fds")


def test_an_unknown_property_is_ignored_and_told(runtime, box, bundle, tmp_path):
    bundle.config["linux"]["foo"] = {"bar": 1}
    bundle.config["process"]["usr"] = 0
    r = runtime("run", "--bundle", bundle.args("echo", "ran").where, box.name())
    assert r.code == 0 and r.out == "ran\n"
    told = [line.split("config.json: ", 1)[1] for line in r.err.splitlines()]
    assert told == [f"warning: {p}: unknown property, ignored" for p in (".process.usr", ".linux.foo")], r
    r = runtime("--log", tmp_path / "log", "run", "--bundle", bundle.where, box.name())
    assert r.code == 0 and r.err == "" and ".linux.foo: unknown property" in (tmp_path / "log").read_text()
    name = box.start(bundle.args("sleep", "1000"))
    (tmp_path / "process.json").write_text('{"args": ["true"], "cwd": "/", "usr": 0}')
    r = runtime("exec", "--process", tmp_path / "process.json", name)
    assert r.code == 0 and "exec: warning: .usr: unknown property, ignored" in r.err
