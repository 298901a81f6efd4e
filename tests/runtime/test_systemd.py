"""berth-runtime --systemd-cgroup against a made-up systemd on a bus of its own: what is asked of it, and what of its answers."""

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import oci

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow eavesdrop="true"/></policy></busconfig>
"""


class Systemd:
    def __init__(self, build: Path, where: Path):
        self.log = where / "systemd.log"
        self.log.touch()
        (where / "bus.conf").write_text(BUS.format(path=where / "bus"))
        self.address = f"unix:path={where}/bus"
        self.bus = subprocess.Popen(["dbus-daemon", f"--config-file={where}/bus.conf", "--nofork", "--print-address=1"],
                                    stdout=subprocess.PIPE, text=True)
        assert self.bus.stdout.readline(), "dbus-daemon did not start"
        self.fake = subprocess.Popen([build / "tests/tools/fake_systemd", self.log], stdout=subprocess.PIPE, text=True,
                                     env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address})
        assert self.fake.stdout.readline() == "ready\n"

    def calls(self):
        return [line.split(" ") for line in self.log.read_text().splitlines()]

    def stop(self):
        for p in (self.fake, self.bus):
            p.kill()
            p.wait()
            p.stdout.close()


@pytest.fixture
def systemd(runtime, tmp_path):
    if not (runtime.build / "tests/tools/fake_systemd").exists():
        pytest.skip("built without systemd (-Dsystemd)")
    if not shutil.which("dbus-daemon"):
        pytest.skip("dbus-daemon is not here")
    s = Systemd(runtime.build, tmp_path)
    yield s
    s.stop()


@pytest.fixture
def sd(runtime, box, tmp_path):
    """sd(verb, ..., systemd=...): with --systemd-cgroup; sd.create(path, ...) makes a container of box's."""
    ids = []

    def call(*argv, systemd=None, libexec=runtime.program.parent):
        env = {**os.environ, "BERTH_LIBEXECDIR": str(libexec), "DBUS_SYSTEM_BUS_ADDRESS": systemd.address if systemd else "unix:path=/none"}
        return runtime("--systemd-cgroup", *argv, env=env)

    def create(path, resources=None, **kw):
        bundle = box.bundle()
        bundle.config["linux"].pop("cgroupsPath", None)
        if path is not None:
            bundle.config["linux"]["cgroupsPath"] = path
        bundle.config["linux"].setdefault("resources", {}).update(resources or {})
        ids.append((f"sd{os.getpid()}-{tmp_path.name[-40:]}-{len(ids)}", kw))
        return ids[-1][0], call("create", "--bundle", bundle.save().where, ids[-1][0], **kw)

    call.create = create
    yield call
    for name, kw in ids:
        call("delete", "--force", name, **kw)
    for base in oci.cgroups_of("/berthtest.slice"):
        for d in (base / "berthtest-one.slice", base):
            try:
                d.rmdir()
            except OSError as e:  # another worker's test has its own in it, and removes it
                if e.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY):
                    raise


def properties(call):
    return dict(word.split("=", 1) for word in call[2:] if "=" in word)


def test_create_asks_for_a_scope_with_the_process_and_its_limits(sd, systemd):
    name, r = sd.create("berthtest-one.slice:pre:s1", systemd=systemd, resources={
        "memory": {"limit": 64 << 20}, "pids": {"limit": 30}, "cpu": {"quota": 50000, "period": 100000}})
    assert r.code == 0, r
    pid = json.loads(sd("state", name).out)["pid"]
    (call,) = systemd.calls()
    assert call[:2] == ["StartTransientUnit", "pre-s1.scope"]
    p = properties(call)
    assert p["Slice"] == "berthtest-one.slice" and p["PIDs"] == f"[{pid}]"
    assert p["Delegate"] == "yes" and p["DefaultDependencies"] == "no" and p["TasksAccounting"] == "yes"
    assert p.get("MemoryMax", p.get("MemoryLimit")) == str(64 << 20)
    assert p["TasksMax"] == "30" and p["CPUQuotaPerSecUSec"] == "500000"
    paths = {line.split(":", 2)[2] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()}
    assert "/berthtest.slice/berthtest-one.slice/pre-s1.scope" in paths


def test_update_and_delete_tell_systemd(sd, systemd):
    name, r = sd.create("berthtest.slice:pre:s2", systemd=systemd)
    assert r.code == 0, r
    r = sd("update", "--pids-limit", "44", "--cpu-share", "2048", name, systemd=systemd)
    assert r.code == 0, r
    call = systemd.calls()[-1]
    assert call[:2] == ["SetUnitProperties", "pre-s2.scope"]
    assert properties(call)["TasksMax"] == "44"
    r = sd("delete", "--force", name, systemd=systemd)
    assert r.code == 0, r
    assert systemd.calls()[-1] == ["StopUnit", "pre-s2.scope"]
    assert not oci.cgroups_of("/berthtest.slice/pre-s2.scope")


def test_a_unit_left_by_a_failed_one_is_reset_and_a_gone_one_is_no_error(sd, systemd):
    name, r = sd.create("berthtest.slice:exists-gone:s3", systemd=systemd)
    assert r.code == 0, r
    r = sd("delete", "--force", name, systemd=systemd)
    assert r.code == 0, r
    assert [c[0] for c in systemd.calls()] == ["StartTransientUnit", "StopUnit"]


def test_delete_goes_on_without_systemd(runtime, sd, systemd):
    name, r = sd.create("berthtest.slice:pre:s6", systemd=systemd)
    assert r.code == 0, r
    systemd.stop()
    r = sd("delete", "--force", name)
    assert r.code == 0 and "system bus" in r.err
    assert not (runtime.root / name).exists()
    assert not oci.cgroups_of("/berthtest.slice/pre-s6.scope")


def test_a_failed_job_is_an_error_and_leaves_nothing(runtime, sd, systemd):
    name, r = sd.create("berthtest.slice:fails:s4", systemd=systemd)
    assert r.code == 1
    assert 'systemd\'s job for fails-s4.scope ended with "failed"' in r.err
    assert not (runtime.root / name).exists()
    assert not oci.cgroups_of("/berthtest.slice/fails-s4.scope")


@pytest.mark.parametrize("path, libexec, word", [
    ("/berth/x", None, 'expected "slice:prefix:name"'),
    ("berthtest.slice:pre:s5", "/", "-Dsystemd=enabled"),
    (None, None, "system bus"),
])
def test_no_bus_no_helper_and_a_wrong_path_are_named(runtime, sd, path, libexec, word):
    if word == "system bus" and not (runtime.program.parent / "berth-systemd").exists():
        pytest.skip("built without systemd (-Dsystemd)")
    name, r = sd.create(path, libexec=libexec or runtime.program.parent)
    assert r.code == 1 and word in r.err
    assert not (runtime.root / name).exists()
