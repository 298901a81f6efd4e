"""`run`: the options that most containers do without, as docker or podman have them."""

import hashlib
from pathlib import Path

import pytest


def pid_in(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0


def test_everyday_flags_seen_from_inside(box, tmp_path):
    """One machine for all that is only looked at."""
    name = box.start("sleep", "1000", opts=(
        "--pidfile", tmp_path / "pid", "--annotation", "org.example.a=b=c", "--domainname", "nis.example", "--tz", "America/New_York",
        "--umask", "0027", "--group-add", "extra", "--group-add", "4242", "-u", "1000", "--no-hosts", "-e", "KEPT=1", "--stop-timeout", "7",
        "--unsetenv", "PATH", "--shm-size", "3m", "--read-only", "--read-only-tmpfs"))
    script = "; ".join((
        "cat /proc/sys/kernel/domainname", "TZ= date -d @0 +%H 2>/dev/null || date -d @0 +%H", "umask", "id -G",
        "grep -c 127.0.0.1 /etc/hosts", "echo [$KEPT]", "df -k /dev/shm | tail -1 | awk '{print $2}'",
        "for d in /run /tmp /var/tmp /; do touch $d/x 2>/dev/null && echo $d; done", "head -c 4 /etc/localtime; echo",
        "echo [$(echo $PATH | grep -c usr)]"))
    out = box.berth.ok("exec", "-u", "0", name, "/bin/sh", "-c", script).splitlines()
    assert out[0] == "nis.example"
    assert out[2] == "0027", out
    assert out[-1] in ("[0]", "[1]")  # a shell has a PATH of its own where it is given none
    assert "TZif" in out and "3072" in out and "[1]" in out
    assert [p for p in out if p.startswith("/")] == ["/run", "/tmp", "/var/tmp"], out
    groups = box.berth.ok("exec", name, "/bin/id", "-G").split()
    assert groups[0] == "1000" and {"4242", "1002"} <= set(groups), groups
    got = box.berth.inspect(name)
    assert got["HostConfig"]["Annotations"] == {"org.example.a": "b=c"} and got["PidFile"] == str(tmp_path / "pid")
    assert got["Config"]["Timezone"] == "America/New_York" and got["Config"]["Umask"] == "0027"
    assert got["Config"]["Domainname"] == "nis.example" and got["Config"]["StopTimeout"] == 7
    assert pid_in(tmp_path / "pid") == got["State"]["Pid"] > 0
    assert not any(e.startswith("PATH=") for e in got["Config"]["Env"])
    box.berth.ok("kill", name)
    box.berth.ok("wait", name)
    assert not (tmp_path / "pid").exists(), "the pid of a process that is gone stands in the file"


def test_a_pidfile_follows_the_lives_of_its_container(cbox, tmp_path):
    name = cbox.name()
    argv = cbox.args("sleep", "1000", opts=("-d", "--name", name, "--pidfile", "here.pid"))
    with cbox.berth.popen(*argv, cwd=tmp_path) as p:
        assert p.wait(120) == 0
    first = pid_in(tmp_path / "here.pid")
    assert first == cbox.berth.state(name)["Pid"], "a relative name is of the caller's directory"
    cbox.berth.ok("restart", "-t", "0", name)
    second = pid_in(tmp_path / "here.pid")
    assert second != first and second == cbox.berth.state(name)["Pid"]
    (tmp_path / "here.pid").write_text("1")  # somebody else's by now
    cbox.berth.ok("stop", "-t", "0", name)
    assert (tmp_path / "here.pid").read_text() == "1"


def test_a_pidfile_that_cannot_be_written_is_a_failed_start(cbox, tmp_path):
    says = cbox.berth.fails(*cbox.args("true", opts=("--rm", "--pidfile", tmp_path / "no/such/pid")), says="--pidfile")
    assert str(tmp_path / "no/such/pid") in says
    assert list(tmp_path.iterdir()) == []


def test_a_cidfile_is_dockers(cbox, tmp_path):
    where = tmp_path / "cid"
    cid = cbox.berth.ok(*cbox.args("true", verb="create", opts=("--cidfile", where, "--name", cbox.name())))
    assert where.read_text() == cid
    cbox.berth.fails(*cbox.args("true", verb="create", opts=("--cidfile", where)), says="container ID file found, make sure the other")
    where.unlink()
    cbox.berth.fails(*cbox.args("true", verb="create", opts=("--cidfile", where, "--ulimit", "nonsense=1")))
    assert not where.exists(), "the id of a container that is not there"


def test_time_zones(cbox):
    local = Path("/etc/localtime").read_bytes()
    assert cbox.ok("sha256sum", "/etc/localtime", opts=("--tz", "local")).split()[0] == hashlib.sha256(local).hexdigest()
    for zone in ("Nowhere/At_All", "../../../etc/passwd", "/etc/passwd", "Europe", "tzdata.zi"):
        cbox.berth.fails(*cbox.args("true", verb="create", opts=("--tz", zone)), says=("--tz", zone))


def test_the_environment_can_be_taken_away(cbox, app):
    out = cbox.ok("/bin/env", image=app, opts=("--entrypoint", "", "--unsetenv-all", "-e", "A=1")).splitlines()
    assert [v for v in out if not v.startswith("HOME=")] == ["A=1"]
    out = cbox.ok("/bin/env", image=app, opts=("--entrypoint", "", "--unsetenv", "GREETING")).splitlines()
    assert not any(v.startswith("GREETING=") for v in out) and any(v.startswith("PATH=") for v in out)


def test_groups_by_name_are_the_images(box):
    r = box("id", opts=("--group-add", "no-such-group"))
    assert r.code in (125, 126) and 'group "no-such-group" is not in the image' in r.err, r


def test_replace_removes_the_other_only_when_the_new_one_is_ready(cbox):
    name = cbox.start("sleep", "1000")
    old = cbox.berth.inspect(name)["Id"]
    cbox.berth.fails(*cbox.args("true", verb="create", opts=("--name", name)), says="in use")
    cbox.berth.fails(*cbox.args("true", verb="create", opts=("--replace", "--name", name, "--umask", "9")), says="--umask")
    assert cbox.berth.state(name)["Running"], "a container was given up for one that could not be made"
    cbox.berth.ok(*cbox.args("sleep", "1000", opts=("-d", "--replace", "--name", name)))
    new = cbox.berth.inspect(name)
    assert new["Id"] != old and new["State"]["Running"]
    assert cbox.berth("inspect", old).code == 1 or old not in cbox.berth.ok("ps", "-aq", "--no-trunc")
    cbox.berth.fails(*cbox.args("true", verb="create", opts=("--replace",)), says="cannot replace container without --name being set")


@pytest.mark.parametrize("opts, says", [
    (("--umask", "0999"), "--umask"), (("--umask", "07777"), "--umask"), (("--annotation", "x"), "must be formatted as key=value"),
    (("--annotation", "=x"), "must be formatted as key=value"), (("--memory-swappiness", "101"), "range is 0-100"),
    (("--device-cgroup-rule", "c 1:3"), "invalid device cgroup format 'c 1:3'"), (("--cgroup-conf", "x"), "FILE=VALUE"),
    (("--blkio-weight-device", "/dev/null:500"), "not a block device"), (("--domainname", "x" * 65), "longer than 64"),
    (("--domainname", "x", "--uts", "host"), "--uts host"), (("--group-add", "a:b"), "--group-add"),
    (("--oom-score-adj", "1001"), "-1000 to 1000"), (("--ulimit", "nofile=2:1"), "soft limit is above"),
])
def test_wrong_values_are_named_before_anything_is_made(cbox, opts, says):
    cbox.berth.fails(*cbox.args("true", verb="create", opts=opts), says=says)


def test_device_rules_open_what_they_name(cbox):
    make = "mknod /dev/mine c 1 11 && exec 3>/dev/mine && echo open"  # /dev/kmsg: there is one on each host
    closed = cbox("sh", "-c", make, opts=("--cap-add", "MKNOD"))
    opened = cbox("sh", "-c", make, opts=("--cap-add", "MKNOD", "--device-cgroup-rule", "c 1:11 rwm"))
    assert closed.code != 0 and "not permitted" in closed.err, closed
    assert (opened.code, opened.out) == (0, "open\n"), opened
    name = cbox.name()
    cbox.berth.ok(*cbox.args("true", verb="create", opts=("--name", name, "--device-cgroup-rule", "c 10:* r")))
    assert cbox.berth.inspect(name)["HostConfig"]["DeviceCgroupRules"] == ["c 10:* r"]


def test_attach_takes_only_some_streams(box):
    say = ("sh", "-c", "cat; echo out; echo err >&2; exit 3")
    rows = ((("-a", "stdout"), "out\n", ""), (("--attach", "STDERR"), "", "err\n"), (("-a", "stdout", "-a", "stderr"), "out\n", "err\n"),
            (("-i", "-a", "stdin", "-a", "stdout"), "in\nout\n", ""))
    for opts, out, err in rows if box.isolation == "container" else rows[:2]:
        r = box(*say, opts=opts, input="in\n")
        assert (r.code, r.out, r.err) == (3, out, err), opts
    box.berth.fails(*box.args("true", opts=("-a", "stdlog")), says="not stdin, stdout or stderr")
    box.berth.fails(*box.args("true", opts=("-d", "-a", "stdout")), says="conflicting options")


def test_inspect_has_the_devices_that_were_given(cbox):
    name = cbox.name()
    cbox.berth.ok(*cbox.args("true", verb="create", opts=("--name", name, "--device", "/dev/null:/dev/mine:rw", "--device", "/dev/zero")))
    assert cbox.berth.inspect(name)["HostConfig"]["Devices"] == [
        {"PathOnHost": "/dev/null", "PathInContainer": "/dev/mine", "CgroupPermissions": "rw"},
        {"PathOnHost": "/dev/zero", "PathInContainer": "/dev/zero", "CgroupPermissions": "rwm"}]
    plain = cbox.name()
    cbox.berth.ok(*cbox.args("true", verb="create", opts=("--name", plain)))
    assert cbox.berth.inspect(plain)["HostConfig"]["Devices"] == []
