"""list, ps, spec, features, version: what other programs read."""

import json
import os
import re
import subprocess

import pytest

import oci


def test_list_shows_every_container(runtime, box, bundle):
    a, b = box.start(bundle), box.create(box.bundle())
    table = [line.split() for line in runtime.ok("list").splitlines()]
    assert table[0] == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    rows = {row[0]: row for row in table[1:]}
    assert rows[a][2] == "running" and rows[b][2] == "created" and rows[a][5] == "root"
    as_json = {c["id"]: c for c in json.loads(runtime.ok("list", "--format", "json"))}
    assert as_json[a] == runtime.state(a) and as_json[b] == runtime.state(b)
    assert set(runtime.ok("list", "-q").split()) == {a, b}


def test_list_of_a_root_that_was_never_used_is_empty(runtime, tmp_path):
    argv = [runtime.program, "--root", tmp_path / "none", "list", "-f", "json"]
    assert subprocess.check_output(argv) == b"[]\n"
    assert not (tmp_path / "none").exists()


def test_ps_shows_the_processes_as_numbers_and_as_the_hosts_ps_does(runtime, box, bundle):
    name = box.start(bundle)
    pid = runtime.state(name)["pid"]
    assert json.loads(runtime.ok("ps", "--format", "json", name)) == [pid]
    heading, row = runtime.ok("ps", name).splitlines()
    assert "PID" in heading and str(pid) in row.split() and "sleep 1000" in row
    heading, row = runtime.ok("ps", name, "-o", "comm,pid").splitlines()
    assert row.split() == ["sleep", str(pid)]
    runtime.fails("ps", name, "-o", "comm", says="PID field")


def test_spec_writes_a_bundle_that_runs(runtime, box, bundle):
    (bundle.where / "config.json").unlink()
    runtime.ok("spec", cwd=bundle.where)
    config = json.loads((bundle.where / "config.json").read_text())
    assert config["process"]["terminal"] is True and config["process"]["args"] == ["sh"]
    runtime.fails("spec", says="exists. Remove it first", cwd=bundle.where)
    pid, master = oci.on_terminal(runtime.argv("run", "--bundle", bundle.where, box.name()))
    os.write(master, b"echo $((6 * 7)); exit 3\r")
    oci.read_until(master, b"42")
    assert oci.reap(pid) == 3
    os.close(master)


def test_spec_rootless_maps_the_caller(runtime, tmp_path):
    runtime.ok("spec", "--rootless", "--bundle", tmp_path)
    linux = json.loads((tmp_path / "config.json").read_text())["linux"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 0, "size": 1}]
    types = {n["type"] for n in linux["namespaces"]}
    assert "user" in types and "network" not in types


def test_features_are_what_the_specification_asks_for(runtime):
    f = json.loads(runtime.ok("features"))
    assert f["ociVersionMin"] == "1.0.0" and f["ociVersionMax"] == "1.2.0"
    assert "createRuntime" in f["hooks"] and "rbind" in f["mountOptions"]
    linux = f["linux"]
    assert {"user", "network", "time"} <= set(linux["namespaces"]) and "CAP_SYS_ADMIN" in linux["capabilities"]
    assert linux["cgroup"]["v1"] and linux["cgroup"]["v2"]
    assert "SCMP_ACT_ERRNO" in linux["seccomp"]["actions"] and "SCMP_ARCH_X86_64" in linux["seccomp"]["archs"]


def test_version_has_the_lines_that_engines_parse(runtime):
    lines = runtime.ok("--version").splitlines()
    assert lines[0].startswith("berth-runtime version ") and lines[1].startswith("commit: ") and lines[2] == "spec: 1.2.0"


def test_help_names_every_verb(runtime):
    text = runtime.ok("--help")
    for verb in "create start state kill delete run exec ps list pause resume spec features".split():
        assert f"  {verb} " in text
        assert runtime.ok(verb, "--help").startswith(f"Usage: berth-runtime {verb}")


# Of runc 1.5, https://github.com/opencontainers/runc; what is short stands behind a slash.
RUNCS = {
    "": "debug log log-format root systemd-cgroup rootless version/v",
    "checkpoint": """image-path work-path parent-path leave-running tcp-established tcp-skip-in-flight link-remap ext-unix-sk shell-job
        lazy-pages status-fd page-server file-locks pre-dump manage-cgroups-mode empty-ns auto-dedup""",
    "create": "bundle/b console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds",
    "delete": "force/f",
    "events": "interval stats",
    "exec": """console-socket pidfd-socket cwd env/e tty/t user/u additional-gids/g process/p detach/d pid-file process-label apparmor
        no-new-privs cap/c preserve-fds cgroup ignore-paused""",
    "features": "",
    "kill": "all/a",
    "list": "format/f quiet/q",
    "pause": "",
    "ps": "format/f",
    "restore": """console-socket image-path work-path tcp-established ext-unix-sk shell-job file-locks manage-cgroups-mode bundle/b
        detach/d pid-file no-subreaper no-pivot empty-ns auto-dedup lazy-pages lsm-profile lsm-mount-context""",
    "resume": "",
    "run": "bundle/b console-socket pidfd-socket detach/d keep pid-file no-subreaper no-pivot no-new-keyring preserve-fds",
    "spec": "bundle/b rootless",
    "start": "",
    "state": "",
    "update": """resources/r blkio-weight cpu-period cpu-quota cpu-burst cpu-share cpu-rt-period cpu-rt-runtime cpuset-cpus cpuset-mems
        kernel-memory kernel-memory-tcp memory cpu-idle memory-reservation memory-swap pids-limit l3-cache-schema mem-bw-schema""",
}


@pytest.mark.parametrize("verb", RUNCS, ids=lambda verb: verb or "all verbs")
def test_every_option_of_runcs_is_one_of_ours(runtime, verb):
    rows = runtime.ok(*verb.split(), "--help").partition("Options:")[2].splitlines()
    ours = {m[2] + (f"/{m[1]}" if m[1] else "") for m in (re.match(r" +(?:-(\w), )?--([a-z0-9-]+)", row) for row in rows) if m}
    assert set(RUNCS[verb].split()) <= ours


def test_a_time_that_is_none_is_refused_by_its_options_name(runtime, box, bundle):
    runtime.fails("events", "--interval", "0", box.start(bundle), says='events: --interval: "0" is not a time')
