"""Without root's rights: what a user can do by itself, what needs the host's grants, and what can't be had."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

import oci
import unprivileged
from unprivileged import SUB, SUBS, UID

pytestmark = pytest.mark.skipif(not unprivileged.has_user_namespaces(), reason="this host gives users no user namespaces")
RANGES = ((0, UID, 1), (1, SUB, SUBS))


@pytest.fixture(scope="module")
def users(runtime):
    u = unprivileged.User(runtime.build)
    yield u
    left, mounts = u.left(), [m for m in Path("/proc/self/mountinfo").read_text().splitlines() if str(u.where) in m]
    oci.shutil.rmtree(u.where)
    assert not left and not mounts, (left, mounts)


@pytest.fixture
def user(users):
    """The user; nothing of a container may be left when a test is over."""
    yield users
    names = users.ok("list", "-q").split()
    for name in names:
        users.delete(name)
    assert not names, f"left: {names}"
    oci.until(lambda: not users.left() or reap_all(), f"the end of all processes: {users.left()}")


def reap_all():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return False


@pytest.fixture
def bundle(user):
    return user.bundle()


@pytest.fixture
def name(user):
    n = f"r{os.getpid()}"
    yield n
    user.delete(n)


# ---- one's own id ----

def test_the_config_of_spec_rootless_runs(user, bundle):
    out = user.output(bundle, "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map")
    assert out.split() == ["0", "0", "0", str(UID), "1", "0", str(UID), "1"]


def test_spec_rootless_has_a_terminal_that_works(user, bundle):
    bundle.config["process"]["terminal"] = True
    bundle.args("sh", "-c", "tty && test -c /dev/console && echo writable >/dev/tty")
    pid, master = oci.on_terminal(["/usr/bin/env", f"XDG_RUNTIME_DIR={user.run}", *user.argv("run", "--bundle", bundle.where, "tty")])
    got = oci.read_until(master, b"writable")
    assert b"/dev/" in got and b"not a tty" not in got
    assert oci.reap(pid) == 0
    os.close(master)


def test_it_works_every_time(user, bundle):
    """The maps are written by another process than the one that they are for: in no order of events may that be refused."""
    for i in range(25):
        assert user("run", "--bundle", bundle.args("true").where, f"again{i}").code == 0


def test_R23_setgroups_is_denied_before_the_gid_map_is_written(user, bundle, tmp_path):
    trace = user.where / "trace"
    trace.touch()
    os.chown(trace, UID, UID)
    traced = user.like(env={**user.env, "ASAN_OPTIONS": "detect_leaks=0"},  # its tracer and strace exclude each other
                       prefix=[*user.prefix, "strace", "-f", "-qq", "-y", "-e", "trace=write", "-o", str(trace)])
    assert user.output(bundle, "cat /proc/self/setgroups", rt=traced) == "deny\n"
    wrote = re.findall(r'write\(\d+<[^>]*/(setgroups|[ug]id_map)>, "([^"]*)"', trace.read_text())
    assert [w[0] for w in wrote] == ["uid_map", "setgroups", "gid_map"], wrote
    assert wrote[1][1] == "deny"


def test_R23_no_group_can_be_dropped(user, bundle, name):
    """A file that a group of the user is denied stays denied: its groups are its own inside too."""
    bundle.config["process"]["user"]["additionalGids"] = [0]
    user.fails("run", "--bundle", bundle.save().where, name, says=["setgroups", "additionalGids"])


def test_all_verbs_work(user, bundle, name):
    user.ok("create", "--bundle", bundle.sh("trap 'exit 3' TERM; while :; do sleep 0.1; done").where, name)
    assert user.status(name) == "created"
    user.ok("start", name)
    pid = user.state(name)["pid"]
    assert user.ok("exec", name, "cat", "/proc/1/cmdline").startswith("sh\0")
    assert user("exec", name, "sh", "-c", "exit 7").code == 7
    assert name in user.ok("list") and str(UID) in user.ok("list")
    user.ok("exec", "--detach", name, "sleep", "1000")
    pids = json.loads(user.ok("ps", "--format", "json", name))
    assert pid in pids and len(pids) >= 2, "the processes of its pid namespace"
    assert "sleep 1000" in user.ok("ps", name)
    user.ok("kill", name, "TERM")
    others = [p for p in pids if p != pid]
    oci.until(lambda: oci.reap_any(others) or not others, "the end of the others")
    assert oci.reap(pid) == 3
    assert user.status(name) == "stopped"
    user.ok("delete", name)
    user.fails("state", name, says="does not exist")


def test_kill_all_reaches_every_process_of_its_pid_namespace(user, bundle, name):
    user.ok("create", "--bundle", bundle.sh("trap : USR1; sleep 1000 & wait; wait; sleep 2000").where, name)
    user.ok("start", name)
    pid = user.state(name)["pid"]
    # Until its exec it is the shell once more, which passes a signal over at times.
    (sleeper,) = oci.until(lambda: [p for p in json.loads(user.ok("ps", "--format", "json", name)) if p != pid and oci.comm(p) == "sleep"], "the sleeper")
    user.ok("kill", "--all", name, "USR1")
    oci.until(lambda: sleeper not in json.loads(user.ok("ps", "--format", "json", name)), "the sleeper's end")
    assert user.status(name) == "running"


def test_the_records_are_in_the_sessions_directory(user, bundle, name):
    user.ok("create", "--bundle", bundle.where, name)
    assert (user.run / "berth-runtime" / name / "state.json").stat().st_uid == UID


def test_without_a_sessions_directory_the_remedy_is_named(user):
    user.like(env={"PATH": os.environ["PATH"]}).fails("list", says=["XDG_RUNTIME_DIR", "--root"])


def test_a_root_that_is_not_the_users_is_refused_with_the_remedy(user, bundle, name):
    user.fails("--root", "/none/of/its", "create", "--bundle", bundle.where, name, says=["/none/of/its", "XDG_RUNTIME_DIR"])


def test_without_a_user_namespace_the_remedy_is_named(user, bundle, name):
    bundle.namespace("user", False).config["linux"].update(uidMappings=[], gidMappings=[])
    user.fails("run", "--bundle", bundle.save().where, name, says=["user namespace", "spec --rootless"])


def test_capabilities_are_the_user_namespaces_alone(user, bundle):
    out = user.output(bundle, "grep CapEff /proc/self/status; touch /proc/sys/kernel/hostname 2>&1; mount -t tmpfs x /tmp 2>&1; true")
    assert "00000000a80425fb" not in out and int(out.split()[1], 16) != 0
    assert out.count("denied") + out.count("Read-only") + out.count("permitted") >= 1


# ---- more ids ----

def test_ranges_of_ids_are_mapped_by_the_helpers(user, bundle):
    bundle.map_ids(*RANGES)
    out = user.output(bundle, "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups")
    rows = [tuple(map(int, line.split())) for line in out.splitlines()[:4]]
    assert rows == [*RANGES, *RANGES]
    assert out.split()[-1] == "allow"  # for groups that /etc/subgid grants


def test_a_process_can_be_another_user_of_a_range(user, bundle, name):
    bundle.map_ids(*RANGES).config["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [7]}
    user.ok("create", "--bundle", bundle.where and bundle.args("sleep", "1000").where, name)
    user.ok("start", name)
    assert Path(f"/proc/{user.state(name)['pid']}").stat().st_uid == SUB + 999
    assert user.ok("exec", name, "id").startswith("uid=1000 gid=1000 groups=")
    assert user.ok("exec", "--user", "0:0", name, "id", "-u") == "0\n"


@pytest.mark.parametrize("helper", ["newuidmap", "newgidmap"])
def test_a_missing_helper_is_named_with_its_package(user, bundle, name, helper):
    blank = user.where / "blank"
    blank.touch(mode=0o644)
    covers = {**user.covers, oci.shutil.which(helper): blank}
    bundle.map_ids(*RANGES)
    user.like(covers=covers).fails("run", "--bundle", bundle.save().where, name, says=[helper, "package uidmap", str(UID)])


@pytest.mark.parametrize("file", ["/etc/subuid", "/etc/subgid"])
def test_ids_that_nobody_grants_are_named_with_the_file(user, bundle, name, file):
    none = user.where / "none"
    none.write_text("somebody:1:2\n")
    bundle.map_ids(*RANGES)
    user.like(covers={**user.covers, file: none}).fails("run", "--bundle", bundle.save().where, name, says=[file, str(UID)])


def test_another_users_id_alone_is_refused(user, bundle, name):
    bundle.map_ids((0, 0, 1))
    user.fails("run", "--bundle", bundle.save().where, name, says=["newuidmap", "/etc/subuid"])


def test_a_user_that_is_not_mapped_is_named(user, bundle, name):
    bundle.config["process"]["user"] = {"uid": 5, "gid": 0}
    user.fails("run", "--bundle", bundle.save().where, name, says="user 5: not in this user namespace")


# ---- cgroups ----

def test_without_delegation_it_runs_without_a_cgroup_and_says_so(user, bundle):
    r = user("run", "--bundle", bundle.args("true").where, "nocg")
    assert r.code == 0 and r.err.count("\n") == 1 and "without a cgroup" in r.err, r


def test_limits_without_delegation_are_refused(user, bundle, name):
    bundle.config["linux"]["resources"] = {"pids": {"limit": 10}}
    user.fails("run", "--bundle", bundle.save().where, name, says=["limits", "delegated"])


def test_a_cgroup_that_is_not_the_users_is_refused(user, bundle, name):
    bundle.config["linux"]["cgroupsPath"] = "/berth/not-mine"
    user.fails("run", "--bundle", bundle.save().where, name, says=["cgroup", "delegated"])
    assert not oci.cgroups_of("/berth/not-mine")


@pytest.mark.parametrize("path", ["/../x", "/a/../../x", "../x"])
def test_R15_a_cgroup_path_leads_nowhere_else(user, bundle, name, path):
    bundle.config["linux"]["cgroupsPath"] = path
    user.fails("run", "--bundle", bundle.save().where, name, says="cgroup path")


@pytest.fixture
def delegated(user):
    """The user in a cgroup of v2 that is its own, on a host that has v2 alone: the hierarchy mounted anew in the commands' mount
    namespace only."""
    v2 = next((m.split()[4] for m in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in m), None)
    if not v2:
        pytest.skip("this host has no cgroup v2")
    top = Path(v2) / f"berth-user-{os.getpid()}"
    (top / "session").mkdir(parents=True)
    for p in (top, *(top / f for f in ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")),
              top / "session", top / "session/cgroup.procs"):
        os.chown(p, UID, UID)
    alone = "umount -R /sys/fs/cgroup 2>/dev/null || :; mount -t cgroup2 cgroup2 /sys/fs/cgroup; "
    rt = user.like(before=alone + f"echo 0 > /sys/fs/cgroup/{top.name}/session/cgroup.procs; ")
    rt.top = top
    yield rt
    for p in sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True):
        oci.until(lambda: rmdir(p), f"rmdir {p}")
    oci.until(lambda: rmdir(top), f"rmdir {top}")


def rmdir(p):
    reap_all()
    try:
        p.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def test_a_delegated_cgroup_is_used(delegated, bundle, name):
    delegated.ok("create", "--bundle", bundle.where, name)
    delegated.ok("start", name)
    pid = delegated.state(name)["pid"]
    own = delegated.top / f"berth-{name}"
    assert str(pid) in (own / "cgroup.procs").read_text().split()
    delegated.ok("pause", name)
    assert delegated.status(name) == "paused" and "frozen 1" in (own / "cgroup.events").read_text()
    delegated.ok("resume", name)
    delegated.ok("exec", "--detach", name, "sleep", "1000")
    assert len(json.loads(delegated.ok("ps", "--format", "json", name))) == 2
    delegated.delete(name)
    assert not own.exists()


def test_R15_a_delegated_cgroup_is_read_only_inside(delegated, bundle):
    """CVE-2023-25809: as user's own it may be written, were it not for its mount; both below a bind of /sys and as a mount."""
    script = ("for f in $(find /sys/fs/cgroup -name cgroup.procs | head -n 50); do echo 0 2>/dev/null >$f && echo wrote $f; done; "
              "mkdir /sys/fs/cgroup/x 2>&1; touch /sys/x 2>&1; grep -c cgroup2 /proc/mounts")
    out = delegated.output(bundle, script, code=0)
    assert "wrote" not in out and out.count("Read-only file system") == 2, out
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev").namespace("cgroup")
    out = delegated.output(bundle, script, code=0)
    assert "wrote" not in out and out.count("Read-only file system") == 2, out


LIMITS = {"memory": ({"memory": {"limit": 64 << 20}}, "memory.max", str(64 << 20)),
          "pids": ({"pids": {"limit": 10}}, "pids.max", "10"),
          "hugetlb": ({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}, "hugetlb.2MB.max", "0")}


def limit_of(directory: Path) -> tuple:
    """What can be limited below it; which of the controllers are v2's differs by host."""
    has = (directory / "cgroup.controllers").read_text().split()
    return next((LIMITS[c] for c in LIMITS if c in has), None) or pytest.skip(f"only {has} in {directory}")


def test_a_limit_whose_controller_is_not_delegated_is_refused(delegated, bundle, name):
    os.chown(delegated.top / "cgroup.subtree_control", 0, 0)
    bundle.config["linux"]["resources"], _, _ = limit_of(delegated.top.parent)
    delegated.fails("run", "--bundle", bundle.save().where, name, says=["controller is not delegated"])
    assert not (delegated.top / f"berth-{name}").exists()


def test_a_limit_whose_controller_is_delegated_holds(delegated, bundle, name):
    bundle.config["linux"]["resources"], file, value = limit_of(delegated.top)
    delegated.ok("create", "--bundle", bundle.save().where, name)
    assert (delegated.top / f"berth-{name}" / file).read_text().strip() == value


def test_rules_for_devices_are_nobodys_but_roots(delegated, bundle):
    bundle.config["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    assert delegated.output(bundle, "echo well >/dev/null; echo done") == "done\n"


# ---- namespaces and mounts ----

@pytest.mark.parametrize("new", [True, False])
def test_the_network_is_new_or_the_hosts(user, bundle, new):
    bundle.namespace("network", new)
    inside = user.output(bundle, "readlink /proc/self/ns/net; cat /sys/class/net/lo/operstate; grep -c . /proc/net/dev").split()
    assert (inside[0] != os.readlink("/proc/self/ns/net")) == new
    assert not new or inside[-1] == "3", "loopback alone"


@pytest.mark.parametrize("new", [True, False])
def test_sysfs_is_bound_read_only_where_the_network_is_the_hosts(user, bundle, new):
    bundle.namespace("network", new).mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev")
    out = user.output(bundle, "ls /sys/class/net; grep ' /sys ' /proc/mounts")
    assert "lo" in out and "sysfs" in out
    assert (" ro," in out) != new


def test_proc_is_bound_where_the_pids_are_the_hosts(user, bundle):
    bundle.namespace("pid", False)
    out = user.output(bundle, "readlink /proc/self/ns/pid; ls -d /proc/" + str(os.getpid()))
    assert out.split() == [os.readlink("/proc/self/ns/pid"), f"/proc/{os.getpid()}"]


def test_mqueue_is_lent_where_the_ipc_is_the_hosts(user, bundle, name):
    bundle.namespace("ipc", False).mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")
    r = user("run", "--bundle", bundle.args("true").where, name)
    if os.path.ismount("/dev/mqueue"):
        assert r.code == 0, r
    else:
        assert r.code == 1 and "mqueue" in r.err, r


def test_the_group_of_terminals_is_dropped_where_it_is_not_mapped(user, bundle):
    bundle.mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")
    assert "gid=" not in user.output(bundle, "grep ' /dev/pts ' /proc/mounts")
    bundle.map_ids(*RANGES)
    assert "gid=5" in user.output(bundle, "grep ' /dev/pts ' /proc/mounts").replace(f"gid={SUB + 4}", "gid=5")


def test_device_nodes_are_the_hosts(user, bundle):
    out = user.output(bundle, "for d in null zero full random urandom tty; do stat -c '%n %t:%T' /dev/$d; done; echo x >/dev/null && echo ok")
    assert "/dev/null 1:3" in out and "/dev/urandom 1:9" in out and out.endswith("ok\n")


def test_a_device_that_the_host_has_not_is_named(user, bundle, name):
    bundle.config["linux"]["devices"] = [{"path": "/dev/nosuch", "type": "c", "major": 250, "minor": 250}]
    user.fails("run", "--bundle", bundle.save().where, name, says=["/dev/nosuch", "none to lend"])


def test_masked_and_read_only_paths_hold(user, bundle):
    bundle.config["linux"]["maskedPaths"] += ["/etc/passwd", "/tmp"]
    (bundle.rootfs / "tmp/seen").touch()
    out = user.output(bundle, "ls /tmp; cat /etc/passwd; echo 1 2>&1 >/proc/sys/kernel/panic || echo refused; cat /proc/kcore; echo end")
    assert "refused" in out and "seen" not in out and "root:" not in out and out.endswith("end\n")


def test_an_overlay_can_be_mounted_inside(user, bundle):
    for d in ("low", "up", "work"):
        (bundle.where / d).mkdir()
        os.chown(bundle.where / d, UID, UID)
    (bundle.where / "low/file").write_text("below\n")
    os.chown(bundle.where / "low/file", UID, UID)
    data = [f"{k}={bundle.where / d}" for k, d in (("lowerdir", "low"), ("upperdir", "up"), ("workdir", "work"))]
    bundle.mount("/mnt", "overlay", "overlay", *data, "userxattr")
    assert user.output(bundle, "cat /mnt/file; echo above >/mnt/file; cat /mnt/file") == "below\nabove\n"
    assert (bundle.where / "low/file").read_text() == "below\n" and (bundle.where / "up/file").read_text() == "above\n"


def test_a_root_on_an_overlay_works(user, bundle):
    (bundle.where / "merged").mkdir()
    before = f"mount -t overlay overlay -o lowerdir={bundle.rootfs}:{bundle.where / 'merged'} {bundle.where / 'merged'}; "
    bundle.config["root"]["path"] = "merged"
    # Read-only: every mount point is there but /dev's nodes, which are on a tmpfs.
    (bundle.rootfs / "mnt").mkdir()
    assert "overlay / overlay" in user.output(bundle, "grep ' / ' /proc/mounts", rt=user.like(before=before))


# ---- attributes ----

def test_the_oom_score_goes_upwards_only(user, bundle, name):
    bundle.config["process"]["oomScoreAdj"] = 500
    assert user.output(bundle, "cat /proc/self/oom_score_adj") == "500\n"
    user.ok("create", "--bundle", bundle.args("sleep", "1000").where, name)
    user.ok("start", name)
    assert user.ok("exec", name, "cat", "/proc/self/oom_score_adj") == "500\n"
    bundle.config["process"]["oomScoreAdj"] = -500
    user.fails("run", "--bundle", bundle.save().where, name + "-low", says=["oom_score_adj -500", "CAP_SYS_RESOURCE"])


def test_limits_of_the_process_can_be_lowered_only(user, bundle, name):
    bundle.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]
    assert user.output(bundle, "ulimit -n") == "64\n"
    bundle.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 1 << 29}]
    user.fails("run", "--bundle", bundle.save().where, name, says=["RLIMIT_NOFILE", "ask for less"])


# ---- who is rootless ----

@pytest.mark.parametrize("mode, code", [("true", 0), ("auto", 0), ("false", 1)])
def test_rootless_says_whether_a_cgroup_may_be_missing(user, bundle, name, mode, code):
    r = user.like(options=["--rootless", mode])("run", "--bundle", bundle.args("true").where, name)
    assert r.code == code, r
    assert code == 0 or "cgroup" in r.err


@pytest.mark.parametrize("map_user", [True, False])
def test_root_of_somebodys_user_namespace_can_run_containers(user, bundle, map_user):
    """`unshare -Ur`: euid 0, and no right of root's on the host."""
    nested = user.like(prefix=[*user.prefix, "unshare", "-Ur"])
    if map_user:
        bundle.map_ids((0, 0, 1))
    else:
        bundle.namespace("user", False).config["linux"].update(uidMappings=[], gidMappings=[])
    out = user.output(bundle, "id -u; readlink /proc/self/ns/user; cat /proc/self/setgroups", rt=nested)
    assert out.split()[0] == "0" and out.split()[2] == "deny" and out.split()[1] != os.readlink("/proc/self/ns/user")


def test_ids_that_a_user_namespace_has_not_are_named(user, bundle, name):
    nested = user.like(prefix=[*user.prefix, "unshare", "-Ur"])
    bundle.map_ids((0, 5000, 10))
    nested.fails("run", "--bundle", bundle.save().where, name, says=["uid_map", "own user namespace"])


def test_a_container_of_a_user_namespaces_root_has_the_sessions_directory(user, bundle, name):
    nested = user.like(prefix=[*user.prefix, "unshare", "-Ur"])
    bundle.map_ids((0, 0, 1))
    nested.ok("create", "--bundle", bundle.save().where, name)
    assert (user.root / name / "state.json").exists()
    nested.delete(name)


# ---- nothing is left ----

@pytest.mark.parametrize("change, says", [
    (lambda b: b.args("none-such"), "not found in $PATH"),
    (lambda b: b.mount("/x", "nosuchfs", "x").save(), "nosuchfs"),
    (lambda b: b.config["process"].update(cwd="/etc/passwd") or b.save(), "working directory"),
    (lambda b: b.config.update(hostname="x" * 65) or b.save(), "hostname"),
    (lambda b: b.config["linux"].update(sysctl={"kernel.panic": "1"}) or b.save(), "kernel.panic"),
    (lambda b: b.map_ids((0, UID, 1), (1, 5, 1)).save(), "newuidmap"),
])
def test_a_failure_leaves_nothing(user, bundle, name, change, says):
    change(bundle)
    user.fails("run", "--bundle", bundle.where, name, says=says)
    user.fails("state", name, says="does not exist")
    oci.until(lambda: not user.left() or reap_all(), "the end of all processes")


def test_a_runtime_killed_on_the_way_leaves_nothing_that_delete_can_not_remove(user, bundle, name):
    user.ok("create", "--bundle", bundle.where, name)
    os.kill(user.state(name)["pid"], signal.SIGKILL)
    oci.until(lambda: user.status(name) == "stopped", "its end")
    user.ok("delete", name)
