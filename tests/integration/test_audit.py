"""`berth audit`: what is told of walls, against what the test knows of them."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from harness import until

pytestmark = pytest.mark.usefixtures("probe_inside")

NAMES = {m[1]: int(m[2]) for m in re.finditer(r"^#define __NR_(\w+) (\d+)$", subprocess.run(
    ["gcc", "-E", "-dM", "-xc", "-"], input="#include <asm/unistd_64.h>", capture_output=True, text=True).stdout, re.M)}


def reached(way, abi="x86_64"):
    """Names of the calls that its map has."""
    digits = way["inside"]["calls"][abi]["reached"]
    return {name for name, nr in NAMES.items() if nr // 4 < len(digits) and int(digits[nr // 4], 16) >> nr % 4 & 1}


def audit(box, *opts, subject=None, **kw):
    """The one way that was asked for, and what is said of it by id."""
    where = ("--isolation", box.isolation) if subject is None else ()
    doc = json.loads(box.berth.ok("audit", *where, "--format", "json", *opts, subject or box.image, **kw))
    assert doc["schema"] == "berth.audit/1" and len(doc["ways"]) == 1
    way = doc["ways"][0]
    assert way["name"] == box.isolation
    way["said"] = {w["id"]: w["values"][0] for w in doc["walls"]}
    return way


def empty(berth):
    return not berth.ok("ps", "-aq")


def boot_id():
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_an_image_behind_either_wall_is_told_apart(box):
    way = audit(box)
    inside = way["inside"]
    is_vm = box.isolation == "vm"
    assert (inside["kernel"]["bootId"] != boot_id()) == is_vm
    assert way["said"]["kernel"].startswith("its own" if is_vm else "the host's")
    assert ("vmm" in way) == is_vm
    assert inside["calls"]["exact"] is True
    calls = reached(way)
    assert {"read", "mkdir", "execve"} <= calls and not {"mount", "bpf", "kexec_load", "reboot"} & calls
    assert not inside["calls"]["cases"]["unshare-newuser"] and not inside["calls"]["cases"]["socket-alg"]
    assert inside["writable"]["procSys"]["count"] == 0 and inside["writable"]["dangerous"] == []
    assert {d["path"] for d in inside["devices"]["usable"]} >= {"/dev/null", "/dev/zero", "/dev/urandom"}
    assert not any(d["kind"] == "block" for d in inside["devices"]["usable"])
    assert inside["devices"]["disk"]["mknod"] or inside["devices"]["disk"]["open"]
    assert not any(m["target"] == "/.berth-probe" for m in inside["mounts"]["outside"])
    assert empty(box.berth)


def test_the_processes_that_carry_it_are_seen_from_outside(box):
    processes = {p["name"]: p for p in audit(box)["outside"]["processes"]}
    assert "berth-monitor" in processes
    assert not {"berth-fs", "virtiofsd"} & set(processes)  # there only for the probe
    vmm = [p for name, p in processes.items() if name in ("berth-vmm", "qemu-system-x86")]
    assert len(vmm) == (box.isolation == "vm")
    for p in vmm:
        assert p["uid"] != 0 and int(p["capEffective"], 16) == 0 and p["noNewPrivs"]
        assert "net" not in p["namespacesShared"] and "mnt" not in p["namespacesShared"]
        filtered = [t for t in p["threads"] if t["seccomp"] == 2]
        assert filtered
        for t in filtered:
            assert "callsWhyNot" in t or 0 < t["calls"] + t["callsByArguments"] < len(NAMES)


def test_without_a_filter_all_calls_are_let_through(cbox):
    way = audit(cbox, "--security-opt", "seccomp=unconfined")
    n, of = re.fullmatch(r"(\d+) of (\d+)", way["said"]["calls"]).groups()
    assert n == of and int(n) > 300
    assert all(way["inside"]["calls"]["cases"].values())
    assert "no seccomp filter" in way["said"]["seals"]


def test_a_profile_that_forbids_one_call_shows_that_one(cbox, tmp_path):
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
                                   "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}))
    way = audit(cbox, "--security-opt", f"seccomp={profile}")
    assert set(NAMES) - reached(way) == {"mkdir"}


def test_a_profile_that_kills_is_told_without_losing_the_probe(cbox, tmp_path):
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
        {"names": ["mkdir", "reboot"], "action": "SCMP_ACT_KILL_PROCESS"},
        {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 0x0040000, "op": "SCMP_CMP_EQ"}]}]}))
    way = audit(cbox, "--security-opt", f"seccomp={profile}")
    killed = way["inside"]["calls"]["x86_64"]["killed"]
    assert set(NAMES) - reached(way) == {"mkdir", "reboot"}
    assert all(int(killed[NAMES[n] // 4], 16) >> NAMES[n] % 4 & 1 for n in ("mkdir", "reboot"))
    assert int(way["inside"]["calls"]["i386"]["reached"], 16) == 0  # an ABI that a profile does not list kills
    assert "personality" in reached(way) and not way["inside"]["calls"]["cases"]["personality-no-random"]


@pytest.mark.parametrize("opts,bit,there", [(["--cap-add", "NET_RAW"], 13, True), ([], 13, False), (["--cap-drop", "CHOWN"], 0, False),
                                            (["--cap-drop", "ALL", "--cap-add", "SYS_TIME"], 25, True)])
def test_capabilities_are_those_that_were_given(cbox, opts, bit, there):
    assert bool(int(audit(cbox, *opts)["inside"]["rights"]["capEffective"], 16) >> bit & 1) is there


def test_a_privileged_container_shows_what_it_has(cbox):
    way = audit(cbox, "--privileged")
    assert way["inside"]["devices"]["count"] > len(os.listdir("/dev")) // 4
    assert way["inside"]["writable"]["procSys"]["count"] > 100
    assert "/proc/sys/kernel/core_pattern" in way["inside"]["writable"]["dangerous"]
    assert reached(way) == set(NAMES)


def test_a_namespace_of_the_hosts_is_called_shared(cbox):
    own = set(audit(cbox)["said"]["namespaces"].split(", "))
    assert not own & {"pid", "net", "mnt", "uts", "ipc"}
    assert set(audit(cbox, "--pid", "host")["said"]["namespaces"].split(", ")) == own | {"pid"}
    assert set(audit(cbox, "--network", "host", "--uts", "host")["said"]["namespaces"].split(", ")) == own | {"net", "uts"}


def test_a_user_and_what_is_sealed_are_told(cbox):
    way = audit(cbox, "--user", "1234:1234", "--security-opt", "no-new-privileges", "--read-only")
    assert way["inside"]["rights"]["uid"] == 1234 and int(way["inside"]["rights"]["capEffective"], 16) == 0
    assert way["said"]["user"].startswith("1234, on the host 1234") and "no_new_privs" in way["said"]["seals"]


def test_a_running_one_is_looked_at_as_it_is_and_keeps_nothing(box):
    name = box.start("sleep", "1000", opts=("--cap-add", "NET_RAW", "--read-only") if box.isolation == "container" else ("--cap-add", "NET_RAW"))
    before = box.berth.ok("diff", name)
    way = audit(box, subject=name)
    assert int(way["inside"]["rights"]["capEffective"], 16) >> 13 & 1
    assert way["inside"]["removed"] is True
    assert "berth-probe" not in box.berth.ok("exec", name, "ls", "-a", "/dev", "/tmp", "/")
    assert box.berth.ok("diff", name) == before
    assert box.berth.state(name)["Running"]


def test_a_probe_that_may_not_remove_itself_is_removed(cbox):
    name = cbox.start("sleep", "1000", opts=("--user", "1234"))
    way = audit(cbox, subject=name)
    assert way["inside"]["removed"] is False and way["inside"]["notRemoved"]
    assert way["inside"]["rights"]["uid"] == 1234
    assert "berth-probe" not in cbox.berth.ok("exec", name, "ls", "-a", "/dev", "/tmp", "/")


def test_both_isolations_stand_beside_each_other(cbox):
    """The table, for people. Of the isolation that can be had everywhere; that the other is asked by default is seen in what is said where it can't be."""
    text = cbox.berth.ok("audit", "--isolation", "container", cbox.image)
    assert "system calls let through" in text and re.search(r"^ +container$", text, re.M)
    narrow = cbox.berth.ok("audit", "--isolation", "container", cbox.image, env={"COLUMNS": "60"})
    assert max(map(len, narrow.splitlines())) <= 60


def test_what_cannot_be_asked_is_an_error_that_names_it(cbox):
    fails = cbox.berth.fails
    fails("audit", "--isolation", "container", "--pull", "never", "nowhere.invalid/none:1", says="nowhere.invalid/none:1")
    fails("audit", "--pull", "never", "nowhere.invalid/none:1", says="nowhere.invalid/none:1")  # both, and one line
    fails("audit", "--isolation", "jail", cbox.image, says="jail")
    fails("audit", "--isolation", "vm,vm", cbox.image, says="twice")
    fails("audit", "--cap-add", "FLY", "--isolation", "container", cbox.image, says="FLY")
    name, _ = cbox.keep("true")
    fails("audit", name, says=["not running", name])
    fails("audit", says="operand")
    name = cbox.start("sleep", "1000")
    fails("audit", "--privileged", name, says=["--format", name])
    cbox.berth.ok("pause", name)
    fails("audit", name, says=name)
    cbox.berth.ok("unpause", name)
    cbox.clean()
    assert empty(cbox.berth)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_nothing_is_left(cbox, sig):
    with cbox.berth.popen("audit", "--isolation", "container", cbox.image) as p:
        until(lambda: cbox.berth.ok("ps", "-q", "--filter", "name=berth-audit"), "the probe's container runs", 60)
        p.send_signal(sig)
        p.communicate(timeout=60)
    until(lambda: empty(cbox.berth), "the probe's container is gone", 60)


def test_killed_beside_a_machine_nothing_is_left(box):
    with box.berth.popen("audit", "--isolation", box.isolation, box.image) as p:
        until(lambda: box.berth.ok("ps", "-q", "--filter", "name=berth-audit"), "the probe's container runs", 120)
        p.kill()
        p.communicate(timeout=60)
    until(lambda: empty(box.berth), "the probe's container is gone", 120)


def test_a_machine_with_volumes_shows_who_serves_them(box, tmp_path):
    way = audit(box, "-v", f"{tmp_path}:/data:ro")
    servers = [p for p in way["outside"]["processes"] if p["name"] in ("berth-fs", "virtiofsd")]
    assert bool(servers) == (box.isolation == "vm")
    assert [m["target"] for m in way["inside"]["mounts"]["outside"]] == ["/data"]
