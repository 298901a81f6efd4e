"""The power goes at the moment in which a command has said that it is done: what it said is so at the next boot."""

import io
import json
import os
import signal
import tarfile
from contextlib import contextmanager
from pathlib import Path

import pytest

import images
from disks import Disk
from harness import until

KERNEL = "9.9.9-power"


@pytest.fixture(scope="module")
def disk(berth, scratch):
    d = Disk(berth, scratch / "power", 768, "-J", "size=64")
    yield d
    d.close()


@pytest.fixture(scope="module")
def base(disk, tmp_path_factory):
    """An image that is there, and all that stores make but once."""
    layout = images.little(tmp_path_factory.mktemp("layouts") / "base", "base:1", b"base\n")
    disk.berth.ok("load", "-q", "-i", layout.path)
    disk.berth.ok("run", "--rm", "base:1", "true")
    return "base:1"


@pytest.fixture
def power(disk, base, tmp_path):
    return Power(disk, base, tmp_path)


class Power:
    def __init__(self, disk, image, tmp: Path):
        self.disk, self.berth, self.image, self.tmp = disk, disk.berth, image, tmp
        self.name = f"p-{os.urandom(4).hex()}"

    def cut(self, *args, **kw):
        """The store as it is after a boot, the power having gone when that command came back."""
        self.out = self.berth.ok(*args, **kw)
        return self.disk.cut()

    def taken(self, *args) -> Path:
        """The same, to be booted later."""
        self.berth.ok(*args)
        return self.disk.taken()

    def layout(self, name, text):
        return images.little(self.tmp / "layout", name, text)

    def create(self, *opts):
        return self.berth.ok("create", "--network", "none", "--name", self.name, *opts, self.image, "sh", "-c", "echo lives")


def whole(berth):
    """Nothing is damaged or missing; what is left over is taken away by a repair, and no more."""
    rows = [json.loads(line) for line in berth("system", "check", "--repair", "--format", "json").out.splitlines()]
    assert {r["Kind"] for r in rows} <= {"leftover"} and {r["State"] for r in rows} <= {"repaired"}, rows
    assert berth.ok("system", "check") == "all objects are whole"


def runs(berth, image, text):
    whole(berth)
    assert berth.ok("run", "--rm", "--pull", "never", "--network", "none", image, "cat", "/etc/text") == text


def test_the_cut_takes_what_was_not_synced(power):
    """Else none of these tests could fail."""
    (power.berth.root / "unsynced").write_text("x" * 10000)
    with power.disk.cut() as after:
        assert not (after.root / "unsynced").exists()


def test_a_pull_is_there(power, registry):
    ref = registry.push(power.layout("away:1", b"far\n").path, "away:1", "power/away:1")
    with power.cut("pull", "-q", ref) as after:
        runs(after, ref, "far")


def test_a_loaded_image_is_there(power):
    with power.cut("load", "-q", "-i", power.layout("loaded:1", b"near\n").path) as after:
        runs(after, "loaded:1", "near")


def test_an_imported_image_is_there(power):
    with tarfile.open(power.tmp / "tar", "w") as t:
        for name, data in (("bin/cat", Path("/bin/busybox").read_bytes()), ("etc/text", b"tar\n")):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            t.addfile(info, io.BytesIO(data))
    with power.cut("import", power.tmp / "tar", "imported:1") as after:
        runs(after, "imported:1", "tar")


def test_a_commit_is_there(power):
    power.berth.ok("run", "--network", "none", "--name", power.name, power.image, "sh", "-c", "echo committed >/etc/text")
    with power.cut("commit", power.name, "committed:1") as after:
        runs(after, "committed:1", "committed")


def test_a_tag_is_there(power):
    with power.cut("tag", power.image, "tagged:1") as after:
        runs(after, "tagged:1", "base")


def test_a_removed_image_is_gone_and_nothing_of_it_missed(power):
    power.berth.ok("load", "-q", "-i", power.layout("doomed:1", b"doomed\n").path)
    with power.cut("rmi", "doomed:1") as after:
        whole(after)
        after.fails("image", "inspect", "doomed:1", says="no such image")
        runs(after, power.image, "base")


@pytest.mark.parametrize("verb", [("create",), ("run", "-d"), ("run",)], ids=" ".join)
@pytest.mark.parametrize("opts", [(), ("-v", "/own"), ("-v", "named:/etc")], ids=" ".join)
def test_a_container_is_there(power, verb, opts):
    with power.cut(*verb, "--network", "none", "--name", power.name, *opts, power.image, "sh", "-c", "cat /etc/text") as after:
        whole(after)
        assert power.out == "base" or after.inspect(power.name)["Id"] == power.out
        assert "base" in after.ok("start", "-a", power.name).splitlines()
        after.ok("rm", "-v", power.name)
        whole(after)
    until(lambda: not power.berth.state(power.name)["Running"], "it has ended")
    power.berth.ok("rm", "-v", power.name)
    power.berth("volume", "rm", "named")


def test_a_new_name_is_the_name(power):
    power.create()
    with power.cut("rename", power.name, power.name + "-2") as after:
        whole(after)
        assert after.ok("start", "-a", power.name + "-2") == "lives"
        after.fails("inspect", power.name, says="no such")


def test_an_update_holds_for_a_later_start(power):
    power.create("--memory", "64m")
    with power.cut("update", "--memory", "48m", "--memory-swap", "48m", "--restart", "on-failure:3", power.name) as after:
        whole(after)
        host = after.inspect(power.name)["HostConfig"]
        assert host["Memory"] == 48 << 20 and host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
        plan = json.loads((after.root / "containers" / after.inspect(power.name)["Id"] / "config.json").read_text())
        assert plan["linux"]["resources"]["memory"]["limit"] == 48 << 20
        assert after.ok("start", "-a", power.name) == "lives"


@pytest.mark.parametrize("how", ["stopped", "running"])
def test_a_removed_container_is_gone_and_nothing_of_it_missed(power, how):
    if how == "stopped":
        power.create("-v", "/own")
    else:
        power.berth.ok("run", "-d", "--network", "none", "--name", power.name, "-v", "/own", power.image, "sleep", "1000")
    with power.cut("rm", "-f", "-v", power.name) as after:
        whole(after)
        after.fails("inspect", power.name, says="no such")
        assert after.ok("volume", "ls", "-q") == ""


def test_a_stop_is_the_users_wish_after_the_boot_too(power):
    power.berth.ok("run", "-d", "--network", "none", "--restart", "unless-stopped", "--name", power.name, power.image, "sleep", "1000")
    with power.cut("stop", "-t", "0", power.name) as after:
        whole(after)
        assert after.ok("start", "--all-restartable") == ""
        assert after.state(power.name)["Running"] is False


def test_a_volume_is_there(power):
    with power.cut("volume", "create", "--label", "colour=red", power.name) as after:
        whole(after)
        assert json.loads(after.ok("volume", "inspect", power.name))[0]["Labels"] == {"colour": "red"}
        after.ok("run", "--rm", "--network", "none", "-v", f"{power.name}:/v", power.image, "sh", "-c", "echo x >/v/x")
    with power.cut("volume", "rm", power.name) as after:
        whole(after)
        assert after.ok("volume", "ls", "-q") == ""


def test_a_secret_is_there(power):
    with power.cut("secret", "create", "--label", "a=b", power.name, "-", input="hunter2") as after:
        whole(after)
        assert json.loads(after.ok("secret", "inspect", "--showsecret", power.name))[0]["SecretData"] == "hunter2"
    with power.cut("secret", "rm", power.name) as after:
        whole(after)
        assert power.name not in after.ok("secret", "ls")


def test_a_pod_is_there(power):
    with power.cut("pod", "create", "--name", power.name) as after:
        whole(after)
        assert json.loads(after.ok("pod", "inspect", power.name))[0]["Id"] == power.out
        assert after.ok("run", "--rm", "--pod", power.name, power.image, "cat", "/etc/text") == "base"
    with power.cut("pod", "rm", power.name) as after:
        whole(after)
        assert after.ok("pod", "ps", "-q") == ""


@contextmanager
def guest(power, *opts):
    """A VM that runs."""
    images.bring_kernels(power.berth.root)
    power.berth.ok("run", "-d", "--isolation", "vm", "--memory", "128m", "--network", "none", "--name", power.name, *opts, power.image, "sleep", "100000")
    try:
        os.sync()  # what it has made for all VMs to come
        yield
    finally:
        power.berth.ok("rm", "-f", power.name)


def ended(power):
    """As the power ends it; what starts at the next boot has the same id, and would meet it."""
    monitor = power.berth.monitor_pid(power.berth.inspect(power.name)["Id"])
    os.kill(monitor, signal.SIGKILL)
    until(lambda: not power.berth.state(power.name)["Running"], "it has ended")


@pytest.mark.vm
def test_what_a_guest_has_synced_is_on_its_disk_and_in_its_volume(power):
    with guest(power, "-v", f"{power.name}:/v"):
        disk = power.taken("exec", power.name, "sh", "-c",
                           "echo kept >/etc/kept; busybox sync; busybox dd if=/etc/kept of=/v/kept conv=fsync 2>&1")
        ended(power)
        with power.disk.booted(disk) as after:
            whole(after)
            after.ok("start", power.name)
            assert after.ok("exec", power.name, "cat", "/etc/kept", "/v/kept") == "kept\nkept"
    power.berth.ok("volume", "rm", power.name)


@pytest.mark.vm
def test_a_snapshot_is_there(power):
    with guest(power):
        if power.berth.ok("vm", "inspect", "-f", "{{.VMM}}", power.name) != "berth-vmm":
            pytest.skip("berth-vmm needs KVM on which a guest runs")
        power.berth.ok("exec", power.name, "sh", "-c", "echo saved >/dev/shm/saved")
        disk = power.taken("snapshot", "create", power.name, "saved")
        ended(power)
        with power.disk.booted(disk) as after:
            whole(after)
            after.ok("restore", "--name", f"{power.name}-2", "saved")
            assert after.ok("exec", f"{power.name}-2", "cat", "/dev/shm/saved") == "saved"


def test_a_kernel_is_chosen(power):
    there = power.berth.root / "kernels" / KERNEL
    (there / "modules").mkdir(parents=True)
    (there / "kernel").write_bytes(b"no machine boots it")
    os.sync()
    with power.cut("kernel", "use", KERNEL) as after:
        assert os.readlink(after.root / "kernels/default") == KERNEL
        assert after.ok("kernel", "ls", "--format", "{{if .Default}}{{.Name}}{{end}}").strip() == KERNEL
