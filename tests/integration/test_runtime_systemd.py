"""berth-runtime --systemd-cgroup against a made-up systemd on a bus of its own: what is asked of it, and what of its answers."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import images

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


@pytest.fixture()
def systemd(berth, tmp_path):
    build = berth.program.parent.parents[1]
    if not (build / "tests/tools/fake_systemd").exists():
        pytest.skip("built without systemd (-Dsystemd)")
    if not shutil.which("dbus-daemon"):
        pytest.skip("dbus-daemon is not here")
    s = Systemd(build, tmp_path)
    yield s
    s.stop()


@pytest.fixture()
def runtime(berth, tmp_path):
    """runtime(verb, ...) -> CompletedProcess; its .bundle is one with `sleep`."""
    program = berth.program.parent / "berth-runtime"
    bundle = tmp_path / "bundle"
    for d in ("bin", "proc", "sys", "dev", "tmp"):
        (bundle / "rootfs" / d).mkdir(parents=True)
    shutil.copy("/bin/busybox", bundle / "rootfs/bin/busybox")
    (bundle / "rootfs/bin/sleep").symlink_to("busybox")
    images.tool(program, "spec", "--bundle", bundle)
    ids = []

    def run(*argv, systemd=None, cgroups_path=None, resources=None, libexec=program.parent):
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=["sleep", "1000"])
        if cgroups_path is not None:
            config["linux"]["cgroupsPath"] = cgroups_path
        if resources is not None:
            config["linux"].setdefault("resources", {}).update(resources)
        (bundle / "config.json").write_text(json.dumps(config))
        env = {**os.environ, "BERTH_LIBEXECDIR": str(libexec), "DBUS_SYSTEM_BUS_ADDRESS": systemd.address if systemd else "unix:path=/none"}
        is_create = argv[0] == "create"
        if is_create:
            ids.append((argv[-1], env))
        out = (tmp_path / "out").open("w+")
        r = subprocess.run([str(program), "--root", str(tmp_path / "state"), "--systemd-cgroup", *map(str, argv)],
                           stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=bundle, env=env, timeout=60)
        out.seek(0)
        r.stdout = out.read()
        out.close()
        return r

    yield run
    for name, env in ids:
        subprocess.run([str(program), "--root", str(tmp_path / "state"), "delete", "--force", name], env=env, timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for base in Path("/sys/fs/cgroup").glob("**/berthtest.slice"):
        for d in (base / "berthtest-one.slice", base):
            if d.is_dir():
                d.rmdir()


def properties(call):
    return dict(word.split("=", 1) for word in call[2:] if "=" in word)


def test_create_asks_for_a_scope_with_the_process_and_its_limits(runtime, systemd):
    r = runtime("create", "s1", systemd=systemd, cgroups_path="berthtest-one.slice:pre:s1",
                resources={"memory": {"limit": 64 << 20}, "pids": {"limit": 30}, "cpu": {"quota": 50000, "period": 100000}})
    assert r.returncode == 0, r.stdout
    state = json.loads(runtime("state", "s1", systemd=systemd).stdout)
    (call,) = systemd.calls()
    assert call[:2] == ["StartTransientUnit", "pre-s1.scope"]
    p = properties(call)
    assert p["Slice"] == "berthtest-one.slice" and p["PIDs"] == f"[{state['pid']}]"
    assert p["Delegate"] == "yes" and p["DefaultDependencies"] == "no" and p["TasksAccounting"] == "yes"
    assert p.get("MemoryMax", p.get("MemoryLimit")) == str(64 << 20)
    assert p["TasksMax"] == "30" and p["CPUQuotaPerSecUSec"] == "500000"
    paths = {line.split(":", 2)[2] for line in Path(f"/proc/{state['pid']}/cgroup").read_text().splitlines()}
    assert "/berthtest.slice/berthtest-one.slice/pre-s1.scope" in paths


def test_update_and_delete_tell_systemd(runtime, systemd):
    assert runtime("create", "s2", systemd=systemd, cgroups_path="berthtest.slice:pre:s2").returncode == 0
    r = runtime("update", "--pids-limit", "44", "--cpu-share", "2048", "s2", systemd=systemd)
    assert r.returncode == 0, r.stdout
    call = systemd.calls()[-1]
    assert call[:2] == ["SetUnitProperties", "pre-s2.scope"]
    assert properties(call)["TasksMax"] == "44"
    r = runtime("delete", "--force", "s2", systemd=systemd)
    assert r.returncode == 0, r.stdout
    assert systemd.calls()[-1] == ["StopUnit", "pre-s2.scope"]
    assert not list(Path("/sys/fs/cgroup").glob("**/pre-s2.scope"))


def test_a_unit_left_by_a_failed_one_is_reset_and_a_gone_one_is_no_error(runtime, systemd):
    r = runtime("create", "s3", systemd=systemd, cgroups_path="berthtest.slice:exists-gone:s3")
    assert r.returncode == 0, r.stdout
    r = runtime("delete", "--force", "s3", systemd=systemd)
    assert r.returncode == 0, r.stdout
    assert [c[0] for c in systemd.calls()] == ["StartTransientUnit", "StopUnit"]


def test_a_failed_job_is_an_error_and_leaves_nothing(runtime, systemd, tmp_path):
    r = runtime("create", "s4", systemd=systemd, cgroups_path="berthtest.slice:fails:s4")
    assert r.returncode == 1
    assert 'systemd\'s job for fails-s4.scope ended with "failed"' in r.stdout
    assert not list((tmp_path / "state").glob("s4"))
    assert not list(Path("/sys/fs/cgroup").glob("**/fails-s4.scope"))


def test_no_bus_no_helper_and_a_wrong_path_are_named(runtime, tmp_path):
    r = runtime("create", "s5", cgroups_path="/berth/x")
    assert r.returncode == 1 and 'expected "slice:prefix:name"' in r.stdout
    r = runtime("create", "s5", cgroups_path="berthtest.slice:pre:s5", libexec=tmp_path)
    assert r.returncode == 1 and "-Dsystemd=enabled" in r.stdout
    r = runtime("create", "s5")
    assert r.returncode == 1 and ("system bus" in r.stdout or "-Dsystemd=enabled" in r.stdout)
    assert not list((tmp_path / "state").glob("s5"))
