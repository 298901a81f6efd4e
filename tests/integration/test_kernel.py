"""`berth kernel`: the kernels of virtual machines as things of the store."""

import json
import os
import shutil

import pytest

from harness import Box

pytestmark = pytest.mark.vm
SECOND = "6.1.0-1-second"  # below the distribution's, so nobody boots it who does not ask


@pytest.fixture
def kernels(berth, image):
    """The store with the distribution's kernel, and the same once more under another name -> (the berth, the first's name)."""
    if not list((berth.root / "kernels").glob("*/kernel")):
        berth.ok("run", "--rm", "--vm", image, "true", timeout=600)
    base = berth.root / "kernels"
    first = berth.ok("kernel", "ls", "--format", "{{if .Default}}{{.Name}}{{end}}").strip()
    (base / SECOND).mkdir()
    os.link(base / first / "kernel", base / SECOND / "kernel")
    (base / SECOND / "modules").symlink_to(base / first / "modules")
    yield berth, first
    (base / "default").unlink(missing_ok=True)
    shutil.rmtree(base / SECOND, ignore_errors=True)


@pytest.fixture
def vm(berth, image):
    b = Box(berth, "vm", image)
    yield b
    b.clean()


def default(berth):
    rows = [json.loads(line) for line in berth.ok("kernel", "ls", "--format", "json").splitlines()]
    names = [r["Name"] for r in rows if r["Default"]]
    assert len(names) == 1, rows
    return names[0]


def test_they_are_listed_and_one_is_the_default(kernels):
    berth, first = kernels
    lines = berth.ok("kernel", "ls").splitlines()
    assert lines[0].split() == ["NAME", "VERSION", "DEFAULT", "SOURCE", "SIZE", "CREATED"]
    assert any(line.split()[:4] == [first, first, "*", "distribution"] for line in lines), lines
    assert set(berth.ok("kernel", "ls", "-q").split()) >= {first, SECOND}
    assert default(berth) == first
    told = json.loads(berth.ok("kernel", "inspect", first, SECOND))
    assert [t["Name"] for t in told] == [first, SECOND]
    assert told[0]["Default"] and not told[1]["Default"]
    assert told[0]["Source"] == "distribution" and told[1]["Source"] == "host"
    assert told[0]["Format"] in ("elf", "bzImage") and told[0]["UsedBy"] == []


def test_a_choice_holds_and_what_is_chosen_is_not_removed_by_accident(kernels):
    berth, first = kernels
    assert berth.ok("kernel", "use", SECOND) == SECOND
    assert default(berth) == SECOND
    berth.fails("kernel", "rm", SECOND, says=(SECOND, "by default", "kernel use", "--force"))
    berth.ok("kernel", "use", first)
    assert berth.ok("kernel", "rm", SECOND) == SECOND
    assert default(berth) == first
    assert not (berth.root / "kernels" / SECOND).exists()


@pytest.mark.parametrize("verb", ["use", "rm", "inspect"])
def test_what_does_not_exist_is_named(kernels, verb):
    berth, _ = kernels
    for name in ("nothing", "lock", "../" + SECOND):
        assert f"no such kernel: {name}" in berth("kernel", verb, name).err
        assert berth("kernel", verb, name).code == 125


def test_one_that_a_container_has_asked_for_stays(kernels, vm):
    berth, _ = kernels
    ident = berth.ok("create", "--vm", "--kernel", SECOND, "--name", "asked", vm.image, "true")
    try:
        berth.fails("kernel", "rm", SECOND, says=(SECOND, "asked", ident[:12], "--force"))
        assert json.loads(berth.ok("kernel", "inspect", SECOND))[0]["UsedBy"] == [ident]
        berth.ok("kernel", "rm", "--force", SECOND)
        berth.fails("start", "-a", "asked", says=("--kernel", SECOND))
    finally:
        berth("rm", "-f", "asked")


def test_a_machine_boots_what_it_asks_for_and_holds_it(kernels, vm):
    berth, first = kernels
    name = vm.start("sleep", "100000", opts=("--kernel", SECOND))
    other = vm.start("sleep", "100000")
    assert berth.inspect(name)["Kernel"] == SECOND and berth.inspect(other)["Kernel"] == first
    berth.fails("kernel", "rm", SECOND, says=(SECOND, "is used by container"))
    berth.ok("kernel", "use", SECOND)
    berth.fails("kernel", "rm", first, says=(first, "is used by container"))  # the default no longer, but somebody runs on it
    assert vm.berth("exec", name, "true").code == 0


def test_a_name_or_file_that_is_neither_is_one_line(kernels, vm):
    berth, _ = kernels
    berth.fails("run", "--rm", "--vm", "--kernel", "leen", vm.image, "true", says=("--kernel: leen", "berth kernel ls"))
    berth.fails("run", "--rm", "--kernel", SECOND, vm.image, "true", says=("--kernel", "--isolation vm"))


def test_a_configuration_that_is_not_there_is_named_before_anything_is_built(kernels):
    berth, _ = kernels
    berth.fails("kernel", "build", "--config", "/nowhere/kernel.config", says=("--config: /nowhere/kernel.config",))
    berth.fails("kernel", "build", "--name", "a/b", says=("--name", "a/b"))
    assert not (berth.root / "kernels/.build").exists()


@pytest.fixture
def tuned(berth):
    """A kernel that guest/build-kernel has made: ./check lab-vm builds one, once for each key."""
    where = os.environ.get("BERTH_GUEST_KERNEL") or pytest.skip("BERTH_GUEST_KERNEL names no directory of guest/build-kernel")
    return f"{where}/vmlinux"


def test_the_tuned_kernel_runs_an_image_with_all_that_containers_have(tuned, vm):
    opts = ("--kernel", tuned, "--memory", "128m", "--cpus", "1", "--pids-limit", "50")
    name = vm.start("sleep", "100000", opts=opts)
    seen = vm.berth.inspect(name)
    assert seen["Kernel"] == tuned
    if os.environ.get("BERTH_LAB") == "1":
        assert seen["Vmm"] == "berth-vmm"
    ask = lambda script: vm.berth.ok("exec", name, "sh", "-c", script)
    assert ask("uname -r").endswith("-berth")
    assert ask("grep ' / ' /proc/mounts | cut -d' ' -f1,3").split()[1] == "overlay"
    assert ask("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max").split() == [str(128 << 20), "50"]
    assert ask("echo kept > /file; sync; cat /file") == "kept"
    assert ask("grep ^Seccomp: /proc/self/status").split()[1] == "2"
    assert len(ask("ls /proc/self/ns").split()) >= 8
    assert ask("head -c 16 /dev/urandom | wc -c") == "16"
    assert ask("cat /sys/class/misc/hw_random/rng_current").startswith("virtio_rng")


def test_the_tuned_kernel_mounts_volumes(tuned, vm, tmp_path):
    (tmp_path / "in").write_text("from the host")
    out = vm.sh("cat /v/in; echo back > /v/out", opts=("--kernel", tuned, "-v", f"{tmp_path}:/v"))
    assert out == "from the host" and (tmp_path / "out").read_text() == "back\n"
