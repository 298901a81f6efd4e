"""`run`: devices by the names that their vendors give them in files (CDI), and --gpus."""

import json
import os
import stat

import pytest

from harness import until


@pytest.fixture
def cdi(tmp_path):
    """A directory of such files; call it to write one."""
    (tmp_path / "cdi").mkdir()

    def write(name, kind, devices, version="1.1.0", **more):
        (tmp_path / "cdi" / name).write_text(json.dumps({
            "cdiVersion": version, "kind": kind,
            "devices": [{"name": n, "containerEdits": e} for n, e in devices.items()], **more}))

    write.opts = ("--cdi-spec-dir", tmp_path / "cdi")
    write.dir = tmp_path / "cdi"
    return write


def hook(tmp_path, name, script):
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_device_is_all_that_its_file_says(cbox, cdi, tmp_path):
    os.mknod(tmp_path / "kmsg", stat.S_IFCHR | 0o600, os.makedev(1, 11))  # each kernel has it, and no container by itself
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/driver").write_text("code")
    cdi("v.json", "vendor.com/card", {
        "one": {"env": ["CARD=one"], "additionalGids": [4321], "deviceNodes": [
            {"path": "/dev/card1", "hostPath": str(tmp_path / "kmsg"), "permissions": "w", "fileMode": 0o640, "gid": 7}]},
        "two": {"env": ["CARD=two"]}, "other": {"env": ["OTHER=1"]}}, containerEdits={
        "env": ["VENDOR=yes"],
        "mounts": [{"hostPath": str(tmp_path / "lib"), "containerPath": "/usr/lib/card", "options": ["ro", "nosuid", "nodev", "rbind"]}]})
    script = ("stat -c '%t:%T %a %u %g' /dev/card1; (exec 3>/dev/card1) && echo open; (exec 3</dev/card1) 2>&1 | sed 's/.*: //'; "
              "echo $CARD $VENDOR [$OTHER]; cat /usr/lib/card/driver; echo; touch /usr/lib/card/x 2>&1 | sed 's/.*: //'; id -G")
    name, r = cbox.keep("sh", "-c", script, opts=(*cdi.opts, "-e", "CARD=mine", "--device", "vendor.com/card=one"))
    assert r.code == 0, r
    out = r.out.splitlines()
    assert out[:2] == ["1:b 640 0 7", "open"], r
    assert out[2:6] == ["Operation not permitted", "one yes []", "code", "Read-only file system"], r
    assert "4321" in out[6].split()
    assert cbox.berth.inspect(name)["HostConfig"]["DeviceRequests"] == [
        {"Driver": "cdi", "Count": 0, "DeviceIDs": ["vendor.com/card=one"], "Capabilities": None, "Options": {}}]
    closed = cbox("sh", "-c", "mknod /dev/mine c 1 11 && exec 3>/dev/mine", opts=(*cdi.opts, "--cap-add", "MKNOD", "--device", "vendor.com/card=two"))
    assert closed.code != 0 and "not permitted" in closed.err, "a device that no file names is open"


def test_hooks_find_the_container_where_its_configuration_says(cbox, cdi, tmp_path):
    """What a vendor's hook does: it takes the root's place from the bundle that its standard input names, and works on the files there."""
    seen = ('d=$(sed \'s/.*"bundle":"//; s/".*//\'); root=$(sed \'s/.*"root":{"path":"//; s/".*//\' $d/config.json); '
            f'echo "$0 $*" >>{tmp_path}/log; ')
    make = hook(tmp_path, "make", seen + 'echo made >$root/etc/by-hook; mkdir -p $root/hooked; '
                                         f'mount -t tmpfs none $root/hooked && echo [$HOOK_ENV] >$root/hooked/file; ls $root >{tmp_path}/root')
    end = hook(tmp_path, "end", f"cat >/dev/null; echo ended >>{tmp_path}/log")
    cdi("v.json", "vendor.com/card", {"one": {"hooks": [
        {"hookName": "createContainer", "path": make, "args": ["make", "given"], "env": ["HOOK_ENV=x", f"PATH={os.environ['PATH']}"]},
        {"hookName": "poststop", "path": end}]}})
    name = cbox.start("sh", "-c", "cat /etc/by-hook /hooked/file; ls -a /..; exec sleep 1000", opts=(*cdi.opts, "--device", "vendor.com/card=one"))
    until(lambda: "var" in cbox.berth.ok("logs", name), "it speaks")
    out = cbox.berth.ok("logs", name).splitlines()
    assert out[:2] == ["made", "[x]"] and "etc" in out and "var" in out
    assert not any("berth" in line for line in out), "the host's tree is in sight"
    assert "etc" in (tmp_path / "root").read_text().split(), "the hook saw another root"
    where = cbox.berth.root / "containers" / cbox.berth.inspect(name)["Id"]
    assert list((where / "rootfs").iterdir()) == [], "the host sees the container's root"
    assert str(where) not in open("/proc/self/mountinfo").read()
    cbox.berth.ok("restart", "-t", "0", name)
    cbox.berth.ok("rm", "-f", name)
    assert not where.exists()
    log = (tmp_path / "log").read_text().splitlines()
    assert log == [f"{make} given", "ended", f"{make} given", "ended"], log


def test_a_hook_that_fails_is_a_failed_start(cbox, cdi, tmp_path):
    cdi("v.json", "vendor.com/card", {"one": {"hooks": [{"hookName": "createContainer", "path": hook(tmp_path, "bad", "exit 3")}]}})
    cbox.berth.fails(*cbox.args("true", opts=("--rm", *cdi.opts, "--device", "vendor.com/card=one")), says=(f"{tmp_path}/bad", "3"))


def test_a_node_is_its_users_also_on_a_read_only_root(cbox, cdi):
    cdi("v.json", "vendor.com/card", {"n": {"deviceNodes": [{"path": "/dev/mine", "hostPath": "/dev/zero"}]}})
    opts = (*cdi.opts, "--device", "vendor.com/card=n", "--read-only", "-u", "1000:100")
    assert cbox.ok("stat", "-c", "%u %g %t:%T", "/dev/mine", opts=opts) == "1000 100 1:5"


def test_gpus_are_names_of_nvidias(cbox, cdi):
    cdi("nvidia.json", "nvidia.com/gpu", {n: {"env": [f"GPU_{n.upper()}=1"]} for n in ("0", "1", "2", "all")})
    env = "env | grep -o 'GPU_[A-Z0-9]*' | sort | tr '\\n' ' '"
    for given, want in (("all", "GPU_ALL"), ("2", "GPU_0 GPU_1"), ('"device=0,2"', "GPU_0 GPU_2"), ("device=1", "GPU_1"),
                        ("count=1", "GPU_0"), ('driver=cdi,"device=nvidia.com/gpu=2"', "GPU_2")):
        assert cbox.sh(env, opts=(*cdi.opts, "--gpus", given)).strip() == want, given
    name = cbox.name()
    cbox.berth.ok(*cbox.args("true", verb="create", opts=("--name", name, *cdi.opts, "--gpus", "all")))
    assert cbox.berth.inspect(name)["HostConfig"]["DeviceRequests"] == [
        {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}]
    for given, says in (("4", "nvidia.com/gpu=3 is not described"), ("none", "invalid count (none)"), ("device=0,1", "count"),
                        ("driver=x", "device driver \"x\"")):
        cbox.berth.fails(*cbox.args("true", verb="create", opts=(*cdi.opts, "--gpus", given)), says=("--gpus" if "is" not in says else "", says))


def test_what_is_not_there_is_told_with_what_is(cbox, cdi, tmp_path):
    def fails(device, says):
        return cbox.berth.fails(*cbox.args("true", verb="create", opts=(*cdi.opts, "--device", device)), says=says)

    fails("vendor.com/card=x", ("vendor.com/card=x is not described in", str(cdi.dir), "there is none"))
    cdi("v.json", "vendor.com/card", {"one": {"env": ["A=1"]}})
    fails("vendor.com/card=x", ("is not described", "there are vendor.com/card=one"))
    (cdi.dir / "nvidia.yaml").write_text("cdiVersion: 0.5.0\nkind: nvidia.com/gpu\n")
    fails("nvidia.com/gpu=0", ("nvidia.yaml is YAML", "--format=json"))
    (cdi.dir / "w.json").write_text('{"cdiVersion": "7.0.0", "kind": "w.com/c", "devices": []}')
    fails("w.com/c=x", f"{cdi.dir}/w.json: .devices: is empty")
    r = cbox("true", opts=(*cdi.opts, "--device", "vendor.com/card=one"))
    assert r.code == 0 and r.err.startswith(f"WARNING: {cdi.dir}/w.json: "), "a file that can't be used is passed over in silence"
    (cdi.dir / "w.json").unlink()
    cdi("x.json", "vendor.com/card", {"one": {"env": ["A=2"]}})
    fails("vendor.com/card=one", ("described twice", f"{cdi.dir}/v.json", f"{cdi.dir}/x.json"))
    later = tmp_path / "later"
    later.mkdir()
    (cdi.dir / "x.json").rename(later / "x.json")
    assert cbox.sh("echo $A", opts=(*cdi.opts, "--cdi-spec-dir", later, "--device", "vendor.com/card=one")) == "2"
    cdi("v.json", "vendor.com/card", {"one": {"deviceNodes": [{"path": "/dev/no-such-device"}]}})
    fails("vendor.com/card=one", (f"{cdi.dir}/v.json", "device node /dev/no-such-device: No such file"))
    fails("vendor.com/card", "nor a name such as vendor.com/class=name")


def test_a_virtual_machine_refuses_them(berth, app, cdi):
    for opt in (("--gpus", "all"), ("--device", "vendor.com/card=one")):
        berth.fails("create", "--isolation", "vm", "--network", "none", *cdi.opts, *opt, app, "true", says=(opt[0], "--isolation container"))
