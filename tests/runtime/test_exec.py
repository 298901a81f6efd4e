"""exec: a further process, from options or from a file."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

import oci


@pytest.fixture
def name(box, bundle):
    bundle.config["process"]["env"] = ["PATH=/bin", "OWN=1", "HOME=/h"]
    bundle.config["process"]["cwd"] = "/tmp"
    return box.start(bundle.save())


def test_it_ends_with_the_processes_exit_code(runtime, name):
    r = runtime("exec", name, "sh", "-c", "cat; echo oops >&2; exit 5", input="in\n")
    assert (r.code, r.out, r.err) == (5, "in\n", "oops\n")


def test_it_begins_as_the_containers_own_process_did(runtime, name):
    out = runtime.ok("exec", name, "sh", "-c", "pwd; echo $OWN $HOME; id -u; echo $$")
    cwd, env, uid, pid = out.splitlines()
    assert (cwd, env, uid) == ("/tmp", "1 /h", "0") and int(pid) > 1


def test_options_change_it(runtime, name):
    out = runtime.ok("exec", "--cwd", "/etc", "-e", "OWN=2", "--env", "NEW=x y", "-u", "5:6", "-g", "7", name, "sh", "-c",
                     "pwd; echo $OWN $NEW; id -u; id -g; grep Groups /proc/self/status")
    assert out.splitlines()[:4] == ["/etc", "2 x y", "5", "6"]
    assert "7" in out.splitlines()[4].split()


def test_an_empty_option_is_as_none(runtime, name):
    """As runc has it: wrappers pass on what they may not have been given."""
    empty = [f"--{option}=" for option in ("cwd", "apparmor", "process-label", "pid-file", "console-socket", "pidfd-socket",
                                           "process")]
    assert runtime.ok("exec", *empty, name, "sh", "-c", "id -u; pwd") == "0\n/tmp\n"


def test_a_file_says_all_of_it(runtime, name, tmp_path):
    (tmp_path / "p.json").write_text(json.dumps({"args": ["sh", "-c", "id -u; echo $A"], "env": ["PATH=/bin", "A=b"], "cwd": "/",
                                                 "user": {"uid": 3, "gid": 4}}))
    assert runtime.ok("exec", "--process", tmp_path / "p.json", name) == "3\nb\n"


def test_detached_it_outlives_the_command(runtime, name, tmp_path):
    runtime.ok("exec", "-d", "--pid-file", tmp_path / "pid", name, "sh", "-c", "sleep 0.1; exit 8")
    assert oci.reap(int((tmp_path / "pid").read_text())) == 8


def test_a_missing_program_is_told_as_engines_expect(runtime, name):
    runtime.fails("exec", name, "none-such", code=255, says="executable file not found in $PATH")
    runtime.fails("exec", name, "/none/such", code=255, says="no such file or directory")
    runtime.fails("exec", name, "/etc", code=255, says="permission denied")


def test_it_needs_a_container_that_lives(runtime, box, bundle):
    runtime.fails("exec", box.name(), "true", code=255, says="does not exist")
    name = box.create(bundle.args("true"))
    pid = runtime.state(name)["pid"]
    runtime.ok("start", name)
    oci.reap(pid)
    runtime.fails("exec", name, "true", code=255, says="container not running")


def test_options_behind_the_command_are_its_own(runtime, name):
    assert runtime.ok("exec", name, "echo", "-e", "--tty") == "--tty\n"


def test_R05_nothing_is_inherited_unasked(runtime, name):
    # ls itself opens the folder that it lists.
    listing = runtime.ok("exec", name, "ls", "/proc/self/fd").split()
    assert listing == ["0", "1", "2", "3"]


def test_preserved_descriptors_reach_the_process(runtime, name):
    def with_3(*args):
        command = " ".join(runtime.argv("exec", *args))
        return subprocess.run(["sh", "-c", f"exec 3</dev/zero 4</dev/full 5>&-; {command}"], capture_output=True, text=True)

    assert with_3("--preserve-fds", "1", name, "readlink", "/proc/self/fd/3").stdout == "/dev/zero\n"
    assert with_3("--preserve-fds", "1", name, "ls", "/proc/self/fd").stdout.split() == ["0", "1", "2", "3", "4"]  # 4: ls's own
    r = with_3("--preserve-fds", "3", name, "true")
    assert r.returncode == 255 and "descriptor 5 is not open" in r.stderr


def test_R05_a_working_directory_behind_a_descriptor_is_refused(runtime, name):
    for n in range(3, 20):
        r = runtime("exec", "--cwd", f"/proc/self/fd/{n}", name, "true")
        assert r.code == 255 and "working directory" in r.err, r


def test_R10_capabilities_are_never_inheritable(runtime, name):
    out = runtime.ok("exec", "--cap", "CAP_NET_RAW", name, "grep", "Cap", "/proc/self/status")
    caps = dict(line.split() for line in out.splitlines())
    assert int(caps["CapInh:"], 16) == 0 and int(caps["CapAmb:"], 16) == 0
    assert int(caps["CapEff:"], 16) & 1 << 13


@pytest.mark.parametrize("user", ["1:", "+1", "-1", "10x", "4294967295", "4294967296", "18446744073709551616", "root"])
def test_R11_a_user_is_an_exact_number_or_an_error(runtime, name, user):
    runtime.fails("exec", f"--user={user}", name, "id", code=255, says="--user")


def test_no_new_privs_is_set(runtime, name):
    assert runtime.ok("exec", "--no-new-privs", name, "grep", "NoNewPrivs", "/proc/self/status").split()[1] == "1"


def test_the_containers_filter_is_the_execs_too(runtime, box, bundle):
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}
    name = box.start(bundle.save())
    r = runtime("exec", name, "mkdir", "/tmp/x")
    assert r.code == 1 and "not supported" in r.err.lower()


def test_it_runs_in_the_containers_cgroup_or_one_below(runtime, name):
    inside = runtime.ok("exec", name, "cat", "/proc/self/cgroup")
    assert name not in inside  # its own cgroup namespace: it sees the root
    pid = runtime.state(name)["pid"]
    runtime.ok("exec", "-d", name, "sleep", "1000")
    pids = json.loads(runtime.ok("ps", "-f", "json", name))
    assert len(pids) == 2 and pid in pids


def cgroups(name) -> list:
    """A hierarchy may have several names."""
    return sorted({d.resolve() for d in oci.default_cgroups(name)})


def below(name, *controllers) -> list:
    """Makes the cgroup `part` in the container's, of these controllers or all, for the container's end to remove."""
    made = [d / "part" for d in cgroups(name) if not controllers or set(d.parent.name.split(",")) & set(controllers)]
    for d in made:
        d.mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):  # on v1 nobody may enter without
            if (d / file).exists() and not (d / file).read_text().strip():
                (d / file).write_text((d.parent / file).read_text())
    return made


def is_v1(name) -> bool:
    return len(cgroups(name)) > 1


def in_part(pid) -> set:
    """The controllers whose hierarchy has the process in `part`."""
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    return {c for _, names, path in lines if path.endswith("/part") for c in names.split(",")}


def test_cgroup_is_one_below_the_containers_in_every_hierarchy(runtime, name, tmp_path):
    made = below(name)
    runtime.ok("exec", "-d", "--cgroup", "/part", "--pid-file", tmp_path / "pid", name, "sleep", "1000")
    pid = (tmp_path / "pid").read_text()
    for d in made:
        assert pid in (d / "cgroup.procs").read_text().split(), d


def test_cgroup_of_single_controllers_leaves_it_at_the_containers_in_the_others(runtime, name, tmp_path):
    if not is_v1(name):
        runtime.fails("exec", "--cgroup", "pids:part", name, "true", code=255, says=["--cgroup", "no v1 hierarchy"])
        return
    below(name, "pids", "memory", "freezer")
    runtime.ok("exec", "-d", "--cgroup", "pids,memory:part", "--cgroup", "freezer:/part", "--pid-file", tmp_path / "pid", name,
               "sleep", "1000")
    pid = int((tmp_path / "pid").read_text())
    assert in_part(pid) == {"pids", "memory", "freezer"}
    own = [d for d in cgroups(name) if set(d.parent.name.split(",")) & {"cpu", "devices"}]
    assert own and all(str(pid) in (d / "cgroup.procs").read_text().split() for d in own)


@pytest.mark.parametrize("wrong, says", [
    (["none"], "No such file"), (["../other"], "not below"), (["a/.."], "not below"), (["fly:x"], "fly"), ([":x"], "no v1 hierarchy"),
    (["pids:../x"], ""), (["pids:x", "y"], "CONTROLLER: is missing"), (["pids:x", "pids:y"], "")])
def test_a_cgroup_that_is_not_there_or_not_below_is_refused(runtime, name, wrong, says):
    if ":" in wrong[0] and not is_v1(name):
        says = "no v1 hierarchy"
    runtime.fails("exec", *[w for path in wrong for w in ("--cgroup", path)], name, "true", code=255, says=["--cgroup", says])


def test_a_cgroup_that_lacks_a_hierarchy_is_refused_lest_the_process_have_no_limits_there(runtime, name):
    if not is_v1(name):
        pytest.skip("cgroup v2 is one hierarchy")
    below(name, "pids")
    runtime.fails("exec", "--cgroup", "part", name, "true", code=255, says=["--cgroup", "No such file"])


def test_a_signal_to_the_command_reaches_the_process(runtime, name):
    with runtime.popen("exec", name, "sh", "-c", "trap 'exit 12' TERM; echo ready; while :; do sleep 0.01; done") as p:
        assert p.stdout.readline() == b"ready\n"
        p.send_signal(signal.SIGTERM)
        assert p.wait(60) == 12


def test_it_works_in_a_created_container(runtime, box, bundle):
    name = box.create(bundle)
    assert runtime.ok("exec", name, "echo", "early") == "early\n"
    assert runtime.status(name) == "created"
