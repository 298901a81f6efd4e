"""The process of config.json, as it finds itself inside."""

import json
import os
import resource

import pytest


def status_of(text):
    return {k: v.split() for k, v in (line.split(":", 1) for line in text.splitlines() if ":" in line)}


def test_user_groups_umask_environment_and_directory_are_the_configurations(runtime, box, bundle):
    bundle.config["process"].update(user={"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 0o027},
                                    env=["PATH=/bin", "A=1", "EMPTY=", "A_B=x y"], cwd="/tmp")
    (bundle.rootfs / "tmp").chmod(0o1777)
    out = box.output(bundle, "umask; pwd; env; cat /proc/self/status").split("\n", 2)
    assert out[:2] == ["0027", "/tmp"]
    for pair in ("A=1", "EMPTY=", "A_B=x y"):
        assert pair in out[2].splitlines()
    st = status_of(out[2])
    assert st["Uid"] == ["1000"] * 4 and st["Gid"] == ["1001"] * 4 and st["Groups"] == ["5", "6"]


def test_arguments_arrive_as_they_are(runtime, box, bundle):
    args = ["busybox", "printf", "[%s]", "", "two words", "*", "$HOME", "\u00e9"]
    r = runtime("run", "--bundle", bundle.args(*args).where, box.name())
    assert r.out == "[][two words][*][$HOME][\u00e9]", r


def test_the_exit_code_is_the_processs_or_says_by_which_signal(runtime, box, bundle):
    assert box.output(bundle, "exit 42", code=42) == ""
    bundle.config["linux"]["namespaces"] = [n for n in bundle.config["linux"]["namespaces"] if n["type"] != "pid"]
    assert box.output(bundle, "kill -TERM $$", code=143) == ""


def test_a_working_directory_that_is_missing_is_made_and_a_file_is_refused(runtime, box, bundle):
    bundle.config["process"]["cwd"] = "/srv/new/dir"
    assert box.output(bundle, "pwd") == "/srv/new/dir\n"
    bundle.config["process"]["cwd"] = "/etc/passwd"
    runtime.fails("create", "--bundle", bundle.sh("true").where, box.name(), says="working directory /etc/passwd")


SETS = {"bounding": "CapBnd", "effective": "CapEff", "permitted": "CapPrm", "ambient": "CapAmb", "inheritable": "CapInh"}


@pytest.mark.parametrize("user", [0, 1000])
def test_each_capability_set_is_the_configurations(runtime, box, bundle, user):
    caps = {"bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SYS_CHROOT"], "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
            "effective": ["CAP_CHOWN", "CAP_KILL"], "inheritable": ["CAP_CHOWN", "CAP_KILL"], "ambient": ["CAP_KILL"]}
    bits = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_SETUID": 7, "CAP_SYS_CHROOT": 18}
    bundle.config["process"].update(capabilities=caps, user={"uid": user, "gid": user})
    st = status_of(box.output(bundle, "cat /proc/self/status"))
    mask = {kind: sum(1 << bits[c] for c in caps[kind]) for kind in caps}
    # The exec of root gains all that it is bounded to; that of another keeps what is ambient (capabilities(7)).
    gained = mask["bounding"] if user == 0 else mask["ambient"]
    expected = {**mask, "permitted": gained, "effective": gained}
    assert {k: int(st[field][0], 16) for k, field in SETS.items()} == expected


def test_a_capability_that_nobody_knows_is_warned_about(runtime, box, bundle):
    bundle.config["process"]["capabilities"] = {"bounding": ["CAP_CHOWN", "CAP_TEST"]}
    name = box.name()
    r = runtime("create", "--bundle", bundle.save().where, name)
    assert r.code == 0 and "CAP_TEST" in r.err and "warning" in r.err


def test_no_new_privs_is_as_asked(runtime, box, bundle):
    for asked in (True, False):
        bundle.config["process"]["noNewPrivileges"] = asked
        assert status_of(box.output(bundle, "cat /proc/self/status"))["NoNewPrivs"] == [str(int(asked))]


LIMITS = {"RLIMIT_AS": ("Max address space", 1 << 32, 1 << 31), "RLIMIT_CORE": ("Max core file size", 2048, 1024),
          "RLIMIT_CPU": ("Max cpu time", 120, 60), "RLIMIT_DATA": ("Max data size", 1 << 31, 1 << 30),
          "RLIMIT_FSIZE": ("Max file size", 1 << 30, 1 << 29), "RLIMIT_NOFILE": ("Max open files", 4000, 3000),
          "RLIMIT_STACK": ("Max stack size", 1 << 30, 1 << 23), "RLIMIT_NPROC": ("Max processes", 500, 400),
          "RLIMIT_MEMLOCK": ("Max locked memory", 65536, 32768), "RLIMIT_SIGPENDING": ("Max pending signals", 90, 80),
          "RLIMIT_MSGQUEUE": ("Max msgqueue size", 4096, 2048), "RLIMIT_NICE": ("Max nice priority", 0, 0),
          "RLIMIT_RTPRIO": ("Max realtime priority", 0, 0), "RLIMIT_RTTIME": ("Max realtime timeout", 2000, 1000),
          "RLIMIT_LOCKS": ("Max file locks", 20, 10), "RLIMIT_RSS": ("Max resident set", 1 << 30, 1 << 29)}


def test_every_rlimit_is_set_soft_and_hard(runtime, box, bundle):
    for name, (_, hard, _) in LIMITS.items():
        had = resource.prlimit(0, getattr(resource, name))[1] if hasattr(resource, name) else -1
        assert had == -1 or had >= hard or name == "RLIMIT_NICE", f"{name}: this test needs a hard limit of {hard} to lower"
    bundle.config["process"]["rlimits"] = [{"type": name, "hard": hard, "soft": soft} for name, (_, hard, soft) in LIMITS.items()]
    out = box.output(bundle, "cat /proc/self/limits")
    for name, (row, hard, soft) in LIMITS.items():
        line = next(line for line in out.splitlines() if line.startswith(row + "  "))
        assert line[26:].split()[:2] == [str(soft), str(hard)], name


@pytest.mark.parametrize("limits, says", [
    ([{"type": "RLIMIT_TEST", "hard": 1, "soft": 1}], "RLIMIT_TEST"),
    ([{"type": "RLIMIT_CORE", "hard": 1, "soft": 2}], ".process.rlimits[0].soft"),
    ([{"type": "RLIMIT_CORE", "hard": 1, "soft": 1}, {"type": "RLIMIT_CORE", "hard": 2, "soft": 2}], "RLIMIT_CORE is given twice"),
])
def test_a_limit_that_can_not_be_is_refused(runtime, box, bundle, limits, says):
    bundle.config["process"]["rlimits"] = limits
    runtime.fails("create", "--bundle", bundle.save().where, box.name(), says=says)


def test_the_oom_score_is_set_for_the_process_and_not_for_the_runtime(runtime, box, bundle):
    own = open("/proc/self/oom_score_adj").read()
    bundle.config["process"]["oomScoreAdj"] = 500
    assert box.output(bundle, "cat /proc/self/oom_score_adj") == "500\n"
    del bundle.config["process"]["oomScoreAdj"]
    assert box.output(bundle, "cat /proc/self/oom_score_adj") == own


def test_the_host_name_is_the_containers_alone(runtime, box, bundle):
    before = os.uname().nodename
    bundle.config.update(hostname="theirs", domainname="their.domain")
    assert box.output(bundle, "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname") == "theirs\ntheir.domain\n"
    assert os.uname().nodename == before
    bundle.config["linux"]["namespaces"] = [n for n in bundle.config["linux"]["namespaces"] if n["type"] != "uts"]
    runtime.fails("create", "--bundle", bundle.save().where, box.name(), says=[".hostname", "uts"])


def test_unknown_annotations_and_properties_are_no_error_and_invalid_values_are(runtime, box, bundle):
    bundle.config.update(annotations={"org.example.none": ""}, unknown={"x": [1]})
    bundle.config["process"]["unknown"] = bundle.config["linux"]["unknown"] = 1
    name = box.create(bundle.save())
    assert runtime.state(name)["annotations"] == {"org.example.none": ""}
    for version in ("invalid", "", "0.9.0", "2.0.0", 1):
        bundle.config["ociVersion"] = version
        runtime.fails("create", "--bundle", bundle.save().where, box.name(), says=".ociVersion")


def test_the_state_holds_what_the_specification_asks_for(runtime, box, bundle):
    name = box.create(bundle)
    state = json.loads(runtime.ok("state", name))
    assert {k: state[k] for k in ("id", "status", "bundle")} == {"id": name, "status": "created", "bundle": str(bundle.where)}
    assert state["ociVersion"].startswith("1.") and os.path.isdir(f"/proc/{state['pid']}")
    for verb in ("state", "start", "kill", "delete"):
        runtime.fails(verb, says="operand")
        runtime.fails(verb, box.name(), says="does not exist")
