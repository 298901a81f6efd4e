"""What a user without root's rights is told where his host, or his session, lacks what containers of his own need: by berth doctor, and by the
commands themselves."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import net_host
import rootless_user
from rootless_user import UID, Home

CLONE_NEWUSER = 0x10000000
pytestmark = pytest.mark.skipif(not rootless_user.has_user_namespaces(), reason="this host gives users no user namespaces")


@pytest.fixture(scope="module")
def user(berth):
    home = Home(berth.build)
    home.bring_base()
    yield home
    home.end()


def words(argv):
    return subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=120)


def judged(done):
    assert done.stderr == "", done
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["Subject"]: (row["Level"], row["Finding"], row["Remedy"]) for row in rows if row["Area"] == "user"}, rows


def doctor(home, *before):
    return judged(words(home.as_user(*before, home.program, "doctor", "--format", "json")))[0]


@pytest.fixture
def instead(user):
    """instead(program, mode): in the place of a program, its copy with other permissions."""
    places = []

    def put(program, mode):
        place = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
        if not place:
            pytest.skip(f"{program} is not installed")
        copy = user.where / f"other-{program}"
        shutil.copyfile(place, copy)
        user.bind(copy, place)
        os.chmod(copy, mode)
        places.append(place)
        return place

    yield put
    for place in places:
        user.unbind(place)


@pytest.fixture
def without_namespaces():
    """without_namespaces(argv of as_user): the same in a user namespace where no further one may be made, and everybody is who he is outside."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            net_host.call("prctl", net_host.PR_SET_PDEATHSIG, signal.SIGKILL)
            net_host.call("unshare", CLONE_NEWUSER)
            Path("/proc/sys/user/max_user_namespaces").write_text("0")
            os.write(tell, b"1")
            os.closerange(3, 1000)
            signal.pause()
        finally:
            os._exit(1)
    os.close(tell)
    assert os.read(ready, 1) == b"1"
    os.close(ready)
    for kind in "uid", "gid":
        Path(f"/proc/{pid}/{kind}_map").write_text("0 0 65536")

    def inside(argv):
        to = argv.index("setpriv")
        return [*argv[:to], "nsenter", f"--user=/proc/{pid}/ns/user", *argv[to:]]

    yield inside
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_user_is_told_of_what_is_his_own(user):
    done = words(user.as_user(user.program, "doctor", "--format", "json"))
    found, rows = judged(done)
    assert set(found) == {"namespaces", "ids", "network", "run directory", "cgroup"}
    assert found["namespaces"][0] == "ok" and found["ids"] == ("ok", "65536 users and 65536 groups", "")
    assert found["network"][0] == ("ok" if rootless_user.has_pasta() else "error")
    assert found["run directory"] == ("ok", f"{user.where}/run/berth", "")
    assert found["cgroup"][0] == ("warning" if json.loads(user.ok("info", "--format", "json"))["CgroupLayout"] == "none" else "ok")
    others = {(row["Area"], row["Subject"]): row for row in rows}
    assert "this user's own" in others["host", "privileges"]["Finding"] and others["container", "isolation"]["Level"] == "ok"
    assert [row["Area"] for row in rows] == sorted((row["Area"] for row in rows), key=["host", "user", "container", "vm"].index)


def test_root_is_not_told_of_users(berth):
    assert "user" not in {json.loads(line)["Area"] for line in berth("doctor", "--format", "json").out.splitlines()}


def test_info_says_who_is_without_root_s_rights(user, berth):
    mine, roots = (json.loads(b.ok("info", "--format", "json")) for b in (user, berth))
    assert mine["Rootless"] is True and "name=rootless" in mine["SecurityOptions"]
    assert roots["Rootless"] is False and "name=rootless" not in roots["SecurityOptions"]
    assert (mine["CgroupDriver"] == "none") == (mine["CgroupLayout"] == "none") and roots["CgroupDriver"] == "cgroupfs"


def test_without_user_namespaces_the_sysctl_is_named(user, without_namespaces):
    r = words(without_namespaces(user.as_user(user.program, "run", "--rm", "base", "true")))
    assert r.returncode == 125 and "new user namespace" in r.stderr and "user.max_user_namespaces" in r.stderr and r.stderr.count("\n") == 1, r
    found, rows = judged(words(without_namespaces(user.as_user(user.program, "doctor", "--format", "json"))))
    assert found["namespaces"][0] == "error" and "sysctl user.max_user_namespaces=" in found["namespaces"][2]
    assert next(row for row in rows if (row["Area"], row["Subject"]) == ("container", "isolation"))["Level"] == "error"


def test_without_rights_in_them_the_sysctl_is_named_too(user, tmp_path):
    """As where AppArmor lets a user namespace be made, and nothing be done in it."""
    at = user.as_user(user.program, "run", "--rm", "base", "true")
    to, env, program = at.index("setpriv"), at.index("env"), at.index(str(user.program))
    fault = [user.build / "tests/tools/fault_at", "0.1", "unshare", "2", errno.EPERM, tmp_path / "hit"]
    r = words([*at[:to], *at[env:program], f"FAULT_AT_UID={UID}", "ASAN_OPTIONS=detect_leaks=0", *fault, *at[program:]])
    assert (tmp_path / "hit").read_text() == "hit\n" and r.returncode == 125 and r.stderr.count("\n") == 1, r
    assert "new mount namespace" in r.stderr and "kernel.apparmor_restrict_unprivileged_userns" in r.stderr, r


@pytest.mark.parametrize("program, grants", [("newuidmap", "subuid"), ("newgidmap", "subgid")])
def test_without_what_maps_ids_its_package_is_named(user, instead, program, grants):
    place = instead(program, 0o644)
    user.fails("run", "--rm", "base", "true", says=[program, "is not there", "the package uidmap"])
    level, finding, remedy = doctor(user)["ids"]
    assert level == "error" and program in finding and "the package uidmap" in remedy
    os.chmod(user.where / f"other-{program}", 0o755)
    said = user.fails("run", "--rm", "base", "true", says=[program, f"/etc/{grants}", f"Does {place} belong to root, with the set-user-ID bit?"])
    assert "linux." not in said, "nobody has written a config.json"
    assert doctor(user)["ids"] == (level, finding, remedy)


@pytest.mark.skipif(not rootless_user.has_pasta(), reason="pasta is not installed")
def test_without_pasta_its_package_is_named(user, instead):
    instead("pasta", 0o644)
    user.fails("run", "--rm", "--network", "bridge", "base", "true", says=["need pasta", "package passt", "--network none or host"])
    level, finding, remedy = doctor(user)["network"]
    assert level == "error" and "pasta" in finding and "passt" in remedy
    user.ok("run", "--rm", "--network", "none", "base", "true")


@pytest.mark.skipif(not rootless_user.has_pasta(), reason="pasta is not installed")
def test_without_the_tunnel_device_the_remedy_is_told(user):
    nothing = user.where / "nothing"
    nothing.write_text("")
    user.bind(nothing, "/dev/net/tun")
    try:
        level, finding, remedy = doctor(user)["network"]
        assert level == "error" and "/dev/net/tun" in finding and "chmod 0666 /dev/net/tun" in remedy
    finally:
        user.unbind("/dev/net/tun")


def test_anothers_session_is_no_place_for_a_run_directory(user):
    there = user.where / "anothers"
    there.mkdir(mode=0o700)
    before = "env", f"XDG_RUNTIME_DIR={there}"
    r = words(user.as_user(*before, user.program, "ps"))
    assert r.returncode == 125 and f"{there}/berth" in r.stderr and "XDG_RUNTIME_DIR" in r.stderr and r.stderr.count("\n") == 1, r
    level, finding, remedy = doctor(user, *before)["run directory"]
    assert level == "error" and f"{there}/berth" in finding and "XDG_RUNTIME_DIR" in remedy


def test_without_a_session_there_is_a_run_directory_all_the_same(user):
    place = Path(f"/tmp/berth-{UID}")
    before = "env", "-u", "XDG_RUNTIME_DIR"
    level, finding, remedy = doctor(user, *before)["run directory"]
    assert level == "note" and str(place) in finding and "XDG_RUNTIME_DIR" in remedy and not place.exists()
    try:
        assert words(user.as_user(*before, user.program, "run", "--rm", "--network", "none", "base", "id", "-u")).stdout == "0\n"
    finally:
        rootless_user.until(lambda: not user.processes(), "no process of the user's is left")
        shutil.rmtree(place)


def test_without_a_home_the_store_s_place_is_named(user):
    r = words(user.as_user("env", "-u", "HOME", user.program, "ps"))
    assert r.returncode == 125 and "BERTH_ROOT" in r.stderr and "HOME" in r.stderr and r.stderr.count("\n") == 1, r


def test_ranges_that_are_too_small_or_none_are_told(berth):
    for subids, finding in (("", "grants none"), (f"joe:{rootless_user.FIRST}:1000\n", "1000: users of images")):
        home = Home(berth.build, subids=subids)
        try:
            level, said, remedy = doctor(home)["ids"]
            assert level == "warning" and finding in said and "usermod --add-subuids" in remedy
        finally:
            home.end()


def test_the_unit_that_starts_a_user_s_containers_is_of_his_own_manager(berth):
    units = [(berth.build / f"src/main/berth-restart-{manager}.service").read_text() for manager in ("system", "user")]
    for unit in units:
        assert re.search(r"^ExecStart=/\S+/berth start --all-restartable$", unit, re.M) and "@" not in unit
    assert "WantedBy=multi-user.target" in units[0] and "network-online.target" in units[0]
    assert "WantedBy=default.target" in units[1] and "multi-user" not in units[1] and "network-online" not in units[1], "a user's manager has none of these"
