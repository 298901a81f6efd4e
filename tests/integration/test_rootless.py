"""Containers of a user without root's rights: the same command line, in namespaces of the user's own."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import images
import rootless_user
from harness import until
from rootless_user import COUNT, FIRST, UID, Home

pytestmark = pytest.mark.skipif(not rootless_user.has_user_namespaces(), reason="this host gives users no user namespaces")


@pytest.fixture(scope="module")
def user(berth):
    home = Home(berth.build)
    home.bring_base()
    yield home
    left = home("ps", "-aq").out.split()
    if left:
        home("rm", "-f", *left)
    home.end()
    assert not left, f"tests left containers: {left}"


def holder(home):
    words = (home.run_dir / "rootless").read_text().split()
    return int(words[0])


def test_root_inside_is_the_user_outside(user):
    out = user.ok("run", "--rm", "base", "sh", "-c", "id -u; cat /proc/self/uid_map").split()
    assert out == ["0", "0", str(UID), "1", "1", str(FIRST), str(COUNT)]


def test_other_users_of_the_image_are_of_the_user_s_ids(user):
    user.ok("run", "-d", "--name", "other", "-u", "7:7", "base", "sleep", "1000")
    try:
        pid = user.state("other")["Pid"]
        assert os.stat(f"/proc/{pid}").st_uid == FIRST + 6
    finally:
        user.ok("rm", "-f", "other")


def test_nothing_stays_when_nothing_runs(user):
    user.ok("run", "--rm", "base", "true")
    until(lambda: not user.processes(), "no process of the user's is left")
    assert not (user.run_dir / "rootless").exists()


def test_the_life_of_a_container(user):
    user.ok("run", "-d", "--name", "a", "base", "sh", "-c", "echo hello; trap 'exit 3' TERM; while :; do sleep 0.1; done")
    try:
        until(lambda: user.ok("logs", "a") == "hello", "its word")
        assert user.ok("exec", "-u", "web", "a", "id", "-un") == "web"
        assert "sleep" in user.ok("top", "a")
        (user.where / "shared/in").write_text("from the host")
        user.ok("cp", user.where / "shared/in", "a:/root/in")
        assert user.ok("exec", "a", "cat", "/root/in") == "from the host"
        user.ok("stop", "a")
        assert user.state("a")["ExitCode"] == 3
        user.ok("start", "a")
        assert user.ok("exec", "a", "cat", "/root/in") == "from the host"
        assert "A /root/in" in user.ok("diff", "a").splitlines()
    finally:
        user.ok("rm", "-f", "a")


def test_its_walls_are_asked_as_the_user(user, probe_inside):
    doc = json.loads(user.ok("audit", "--isolation", "container", "--network", "none", "--format", "json", "base"))
    inside = doc["ways"][0]["inside"]
    assert inside["rights"]["uid"] == 0 and inside["rights"]["uidMap"][0] == [0, UID, 1]
    said = {w["id"]: w["values"][0] for w in doc["walls"]}
    assert "user" not in said["namespaces"].split(", ") and said["user"] == f"0, on the host {UID}"
    assert not user.ok("ps", "-aq")


def test_files_of_a_volume_are_the_user_s(user):
    place = user.where / "shared"
    user.ok("run", "--rm", "-v", f"{place}:/v", "base", "sh", "-c", "touch /v/mine; touch /v/web; chown 1000 /v/web")
    assert place.joinpath("mine").stat().st_uid == UID and place.joinpath("web").stat().st_uid == FIRST + 999
    user.ok("run", "--rm", "-v", f"{place}:/v", "base", "rm", "/v/mine", "/v/web")


def test_a_relative_path_is_the_user_s(user):
    (user.where / "home/here").mkdir(exist_ok=True)
    os.chown(user.where / "home/here", UID, UID)
    user.ok("run", "--rm", "-v", "./here:/v", "base", "touch", "/v/file")
    assert (user.where / "home/here/file").exists()


def test_deleted_and_opaque_places_of_layers_are_so(user):
    user.ok("run", "--name", "c", "base", "sh", "-c", "rm -r /opt; mkdir /opt; echo new >/opt/new; rm /bin/show")
    try:
        user.ok("commit", "c", "changed:1")
        out = user.ok("run", "--rm", "changed:1", "sh", "-c", "ls /opt; test -e /bin/show || echo gone")
        assert out.split() == ["new", "gone"]
        user.ok("system", "check")
    finally:
        user.ok("rm", "c")
        user.ok("rmi", "changed:1")


def test_many_first_commands_at_once_make_one_pair_of_namespaces(user):
    until(lambda: not user.processes(), "no process of the user's is left")
    with ThreadPoolExecutor(8) as pool:
        names = [pool.submit(user.ok, "run", "-d", "base", "sleep", "1000") for _ in range(8)]
        ids = [n.result() for n in names]
    try:
        seen = {os.readlink(f"/proc/{user.monitor_pid(i)}/ns/{kind}") for i in ids for kind in ("user", "mnt")}
        assert len(seen) == 2
    finally:
        user.ok("rm", "-f", *ids)


def test_when_the_holder_is_killed_containers_are_still_reached(user):
    one = user.ok("run", "-d", "base", "sleep", "1000")
    try:
        first = holder(user)
        os.kill(first, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{first}/ns/user").exists(), "its end")
        assert user.ok("exec", one, "id", "-u") == "0"
        assert holder(user) != first and os.readlink(f"/proc/{holder(user)}/ns/user") == os.readlink(f"/proc/{user.monitor_pid(one)}/ns/user")
    finally:
        user.ok("rm", "-f", one)


def test_limits_without_a_cgroup_are_refused_by_name(user):
    if json.loads(user.ok("info", "--format", "{{json .}}"))["CgroupLayout"] != "none":
        pytest.skip("this user has cgroups")
    for command in (("run", "--rm", "-m", "64m", "base", "true"), ("pod", "create", "-m", "64m")):
        user.fails(*command, says=["limits", "cgroup", "Delegate=yes"])
    user.ok("run", "-d", "--name", "p", "base", "sleep", "1000")
    try:
        user.fails("pause", "p", says=["be paused", "no cgroup"])
        user.fails("update", "-m", "64m", "p", says=["limits", "cgroup", "Delegate=yes"])
        user.ok("pod", "create", "--name", "pod", "--share", "none")
        user.ok("run", "-d", "--pod", "pod", "base", "sleep", "1000")
        user.fails("pod", "pause", "pod", says=["cgroup", "Delegate=yes"])
    finally:
        user.ok("rm", "-f", "p")
        user.ok("pod", "rm", "-f", "pod")


def test_all_rights_are_those_of_the_user_s_namespaces(user):
    out = user.ok("run", "--rm", "--network", "none", "--privileged", "base", "sh", "-c", "mount -t tmpfs x /mnt && echo mounted; test -c /dev/fuse && echo device")
    assert out.split() == ["mounted", "device"]
    r = user("run", "--rm", "--network", "none", "--privileged", "base", "sh", "-c", "echo 5 >/proc/sys/kernel/panic")
    assert r.code != 0, "the host's settings are not the user's"


def test_a_device_of_the_host_may_have_another_name(user):
    out = user.ok("run", "--rm", "--network", "none", "--device", "/dev/fuse:/dev/other", "base", "sh", "-c", "ls -l /dev/other; : <>/dev/other && echo opened")
    assert "10, 229" in out and out.endswith("opened")


def test_without_granted_ids_there_is_root_alone(berth):
    home = Home(berth.build, subids="")
    try:
        images.copy_readable(images.base_layout(), home.where / "oci")
        r = home("load", "-i", home.where / "oci")
        assert r.code == 125 and "/etc/subuid grants user joe no ids" in r.err and "usermod --add-subuids" in r.err
        assert "has no id here" in r.err, r
    finally:
        home.end()


def test_anothers_run_directory_is_refused(user):
    (user.where / "other").mkdir()
    r = user("--run", str(user.where / "other"), "ps")
    assert r.code == 125 and "belongs to uid 0" in r.err


def test_ping_also_for_who_is_above_the_ids_that_are_granted(berth):
    """The kernel compares groups as they are on the host: there 0 of the container is behind all others."""
    home = Home(berth.build, subids=f"joe:{UID - 3000}:2000\n")
    try:
        home.bring_base()
        assert home.ok("run", "--rm", "--network", "none", "base", "probe", "ping", "127.0.0.1") == "OK"
    finally:
        home.end()


def test_a_user_compares_too(user, probe_inside):
    said = json.loads(user.ok("compare", "-q", "-n", "2", "--instances", "2", "--rounds", "1", "--isolation", "container", "--format", "json", "base", "true"))
    cells = {f["id"]: f["cells"][1] for f in said["figures"]}
    for figure in ("start.first_instruction", "run.whole", "memory.outside", "memory.inside", "disk.own", "stop"):
        assert len(cells[figure]["samples"]) == 2, (figure, cells[figure])
    assert "berth-compare" not in user.ok("images") + user.ok("ps", "-a")
