"""Bundles made by an enemy: each test names the row of docs/THREATS.md that it proves. What resolves paths runs twice, the second
time with openat2(2) answering ENOSYS."""

import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import oci

SYS_OPENAT2 = 437
FILTER = "tests/tools/no_openat2"


@pytest.fixture(params=["openat2", "ENOSYS"])
def paths(runtime, request):
    if request.param == "ENOSYS":
        runtime.under = [runtime.build / FILTER]
    yield
    runtime.under = []


@pytest.fixture
def host(tmp_path):
    """A directory of the host that must stay empty."""
    d = tmp_path / "host"
    d.mkdir()
    yield d
    assert list(d.iterdir()) == [], "something was made on the host"


@pytest.fixture(scope="session")
def probe(runtime):
    """Static; of the integration tests."""
    out = runtime.busybox.with_name("probe")
    source = Path(__file__).resolve().parents[1] / "integration/helpers/probe.c"
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-O1", "-static", source, "-o", out], check=True)
    return out


def climbing(path):
    return "../" * 20 + str(path).lstrip("/")


def refused(runtime, box, bundle, says=""):
    name = box.name()
    err = runtime.fails("create", "--bundle", bundle.save().where, name, says=says)
    runtime.fails("state", name, says="does not exist")
    assert not oci.default_cgroups(name)
    return err


def without_mount(bundle, destination):
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["destination"] != destination]


def become_link(path, target):
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    elif path.exists() or path.is_symlink():
        path.unlink()
    path.symlink_to(target)


def test_the_second_run_is_without_openat2(runtime):
    code = f"import ctypes; c = ctypes.CDLL(None, use_errno=True); c.syscall({SYS_OPENAT2}, -100, b'/', 0, 0); print(ctypes.get_errno())"
    out = subprocess.run([runtime.build / FILTER, sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout
    assert int(out) == errno.ENOSYS
    ctypes.CDLL(None, use_errno=True).syscall(SYS_OPENAT2, -100, b"/", None, 0)
    assert ctypes.get_errno() != errno.ENOSYS


# ---- mounts over /proc, and mount points that are links ----

@pytest.mark.parametrize("where", ["/proc", "/proc/self/attr", "/proc/sys/kernel", "/proc/../proc", "/proc/1"])
@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_R02_nothing_but_procfs_is_mounted_at_proc(runtime, box, bundle, paths, tmp_path, where, kind):
    (tmp_path / "fake").mkdir()
    mount = {"destination": where, "type": kind, "source": str(tmp_path / "fake"), "options": ["rbind"] if kind == "bind" else []}
    bundle.config["mounts"].append(mount)
    refused(runtime, box, bundle, says=f"mount {where}")
    # The same where the fake would be there first.
    bundle.config["mounts"] = [mount, *bundle.config["mounts"][:-1]]
    refused(runtime, box, bundle, says=f"mount {where}")


def test_R02_labels_and_sysctls_never_land_in_the_images_proc(runtime, box, bundle, paths):
    """Without a procfs of its own the image's files stand at /proc; what the runtime writes goes to a private one."""
    without_mount(bundle, "/proc")
    bundle.config["linux"].pop("maskedPaths", None)
    bundle.config["linux"].pop("readonlyPaths", None)
    (bundle.rootfs / "proc/sys/net/ipv4").mkdir(parents=True)
    fake = bundle.rootfs / "proc/sys/net/ipv4/ip_default_ttl"
    fake.write_text("mine")
    bundle.config["linux"]["sysctl"] = {"net.ipv4.ip_default_ttl": "77"}
    pid = runtime.state(box.start(bundle.args("sleep", "1000")))["pid"]
    assert fake.read_text() == "mine"
    seen = subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "cat", "/proc/sys/net/ipv4/ip_default_ttl"],
                          stdout=subprocess.PIPE, check=True)
    assert seen.stdout == b"77\n"


@pytest.mark.parametrize("victim", ["proc", "sys"])
@pytest.mark.parametrize("how", [str, climbing], ids=["absolute", "climbing"])
def test_R03_a_symlinked_mount_point_is_refused(runtime, box, bundle, paths, host, victim, how):
    become_link(bundle.rootfs / victim, how(host))
    refused(runtime, box, bundle, says=[f"/{victim}", "symbolic link"])
    # Also one that leads inside.
    become_link(bundle.rootfs / victim, "/tmp")
    refused(runtime, box, bundle, says=[f"/{victim}", "symbolic link"])


@pytest.mark.parametrize("how", [str, climbing], ids=["absolute", "climbing"])
def test_R06_R25_a_mount_through_a_link_stays_inside(runtime, box, bundle, paths, host, tmp_path, how):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").write_text("content")
    (bundle.rootfs / "link").symlink_to(how(host))
    bundle.config["mounts"] += [
        {"destination": "/link/new/dir", "source": str(tmp_path / "source"), "options": ["bind"]},
        {"destination": "/link/new-file", "source": str(tmp_path / "source/file"), "options": ["bind"]},
        {"destination": "/link/tmpfs", "type": "tmpfs", "source": "tmpfs"},
    ]
    assert box.output(bundle, f"cat {host}/new/dir/file {host}/new-file; stat -c %F {host}/tmpfs") == "contentcontentdirectory\n"


@pytest.mark.parametrize("how", [str, climbing], ids=["absolute", "climbing"])
def test_R25_a_file_to_bind_onto_is_not_made_through_a_link(runtime, box, bundle, paths, host, tmp_path, how):
    (tmp_path / "source").write_text("content")
    (bundle.rootfs / "file").symlink_to(how(host / "made"))
    bundle.config["mounts"].append({"destination": "/file", "source": str(tmp_path / "source"), "options": ["bind"]})
    # Made inside or refused: the fixture sees that it is not on the host.
    runtime("run", "--bundle", bundle.sh("true").where, box.name())


@pytest.mark.parametrize("how", [str, climbing], ids=["absolute", "climbing"])
def test_R25_the_working_directory_is_made_inside(runtime, box, bundle, paths, host, how):
    (bundle.rootfs / "link").symlink_to(how(host))
    bundle.config["process"]["cwd"] = "/link/work"
    r = runtime("run", "--bundle", bundle.sh("pwd -P").where, box.name())
    assert r.code == 0 and r.out == f"{host}/work\n", r


# ---- descriptors and working directories ----

def test_R05_a_working_directory_behind_a_descriptor_is_refused(runtime, box, bundle, paths):
    """Where whoever called the runtime has left a directory of the host open in it."""
    leaked = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        many = [os.dup2(leaked, n) for n in range(100, 110)]
        for cwd in (*(f"/proc/self/fd/{n}" for n in (*range(3, 12), *many)), f"/proc/self/fd/{many[0]}/../..",
                    f"/proc/1/fd/{many[0]}", "/proc/self/cwd", "/proc/1/root", "/proc/self/root"):
            bundle.config["process"]["cwd"] = cwd
            r = runtime("run", "--bundle", bundle.sh("pwd").where, box.name(), pass_fds=many)
            assert r.code == 1 and "working directory" in r.err and r.out == "", (cwd, r)
        bundle.config["process"]["cwd"] = "/"
        out = runtime("run", "--bundle", bundle.sh("ls /proc/self/fd").where, box.name(), pass_fds=many)
        assert out.out.split() == ["0", "1", "2", "3"], "3 is the one that ls reads"
        name = box.start(bundle.args("sleep", "1000"))
        for n in (*range(3, 12), *many):
            r = runtime("exec", "--cwd", f"/proc/self/fd/{n}", name, "pwd", pass_fds=many)
            assert r.code == 255 and "working directory" in r.err and r.out == "", (n, r)
        assert runtime("exec", name, "ls", "/proc/self/fd", pass_fds=many).out.split() == ["0", "1", "2", "3"]
        for n in many:
            os.close(n)
    finally:
        os.close(leaked)


def test_R05_a_link_of_the_image_to_a_descriptor_is_refused(runtime, box, bundle, paths):
    (bundle.rootfs / "way-out").symlink_to("/proc/self/fd/7")
    for cwd in ("/way-out", "/way-out/..", "/way-out/../../../.."):
        bundle.config["process"]["cwd"] = cwd
        r = runtime("run", "--bundle", bundle.sh("pwd").where, box.name())
        assert r.code == 1 and "working directory" in r.err, r


# ---- devices and terminals ----

def test_R07_the_images_null_device_masks_nothing(runtime, box, bundle, paths):
    """Where no tmpfs covers /dev."""
    core = open("/proc/sys/kernel/core_pattern").read()
    for d in ("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"):
        without_mount(bundle, d)
    (bundle.rootfs / "dev/null").symlink_to("/proc/sys/kernel/core_pattern")
    bundle.config["linux"]["maskedPaths"] = ["/etc/passwd"]
    refused(runtime, box, bundle, says="/dev/null")
    (bundle.rootfs / "dev/null").unlink()
    (bundle.rootfs / "dev/null").write_text("a file")
    refused(runtime, box, bundle, says="/dev/null")
    (bundle.rootfs / "dev/null").unlink()
    os.mknod(bundle.rootfs / "dev/null", 0o20666, os.makedev(1, 5))
    refused(runtime, box, bundle, says="/dev/null")
    assert open("/proc/sys/kernel/core_pattern").read() == core


def test_R07_what_is_masked_is_covered_with_the_real_null_device(runtime, box, bundle, paths):
    (bundle.rootfs / "dev/null").symlink_to("/proc/sys/kernel/core_pattern")
    bundle.config["linux"]["maskedPaths"] = ["/etc/passwd", "/proc/version"]
    assert box.output(bundle, "stat -c %t:%T /etc/passwd /proc/version /dev/null") == "1:3\n" * 3


@pytest.mark.parametrize("what", ["pts", "console"])
def test_R08_a_terminal_comes_from_the_containers_devpts_only(runtime, box, bundle, paths, console, host, what):
    for d in ("/dev", "/dev/shm", "/dev/mqueue", "/dev/pts"):
        without_mount(bundle, d)
    if what == "pts":
        (bundle.rootfs / "dev/pts").symlink_to("/dev/pts")
    else:
        bundle.config["mounts"].append({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                                        "options": ["newinstance", "ptmxmode=0666"]})
        (bundle.rootfs / "dev/console").symlink_to(climbing(host / "console"))
    bundle.config["process"]["terminal"] = True
    name = box.name()
    create = ("create", "--bundle", bundle.save().where, "--console-socket", console.path, name)
    if what == "pts":
        runtime.fails(*create, says="/dev/pts")
    else:  # the link itself is covered, by the container's own terminal
        runtime.ok(*create)
        os.close(console.take()[0])
        assert runtime.ok("exec", name, "stat", "-L", "-c", "%F %t", "/dev/console") == "character special file 88\n"


@pytest.mark.parametrize("how", [str, climbing], ids=["absolute", "climbing"])
def test_R09_a_symlinked_dev_reaches_nothing_of_the_host(runtime, box, bundle, paths, host, how):
    become_link(bundle.rootfs / "dev", how(host))
    refused(runtime, box, bundle, says="/dev")
    for d in ("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"):
        without_mount(bundle, d)
    refused(runtime, box, bundle, says="/dev")
    bundle.config["linux"]["devices"] = [{"path": "/link/zero", "type": "c", "major": 1, "minor": 5}]
    (bundle.rootfs / "dev").unlink()
    (bundle.rootfs / "dev").mkdir()
    (bundle.rootfs / "link").symlink_to(how(host))
    assert box.output(bundle, f"stat -c %t:%T {host}/zero") == "1:5\n", "made inside the root"


# ---- what the process may ----

def test_R10_capabilities_are_never_inheritable(runtime, box, bundle):
    every = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    bundle.config["process"]["capabilities"] = {k: every for k in ("bounding", "permitted", "effective")}
    sets = dict(line.split() for line in box.output(bundle, "grep ^Cap /proc/self/status").splitlines())
    assert sets["CapInh:"] == sets["CapAmb:"] == "0" * 16
    assert sets["CapPrm:"] == sets["CapEff:"] == sets["CapBnd:"] == f"{1 << 0 | 1 << 5 | 1 << 10:016x}"
    name = box.start(bundle.args("sleep", "1000"))
    out = runtime.ok("exec", "--cap", "CAP_SYS_CHROOT", name, "grep", "^Cap", "/proc/self/status")
    sets = dict(line.split() for line in out.splitlines())
    assert sets["CapInh:"] == sets["CapAmb:"] == "0" * 16


@pytest.mark.parametrize("uid", [-1, 4294967295, 4294967296, 2**63, 1.5, "10", "1:"])
def test_R11_R12_a_uid_is_exact_or_an_error(runtime, box, bundle, uid):
    bundle.config["process"]["user"] = {"uid": uid, "gid": 0}
    refused(runtime, box, bundle, says=".process.user")
    bundle.config["process"]["user"] = {"uid": 0, "gid": uid}
    refused(runtime, box, bundle, says=".process.user")
    bundle.config["process"]["user"] = {"uid": 0, "gid": 0, "additionalGids": [uid]}
    refused(runtime, box, bundle, says=".process.user")


def test_R13_a_passwd_that_is_a_fifo_keeps_nobody_waiting(runtime, box, bundle, paths):
    (bundle.rootfs / "etc/passwd").unlink()
    os.mkfifo(bundle.rootfs / "etc/passwd")
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    r = runtime("run", "--bundle", bundle.args("grep", "^Uid:", "/proc/self/status").where, box.name(), timeout=20)
    assert (r.code, r.out.split()[1:]) == (0, ["1000"] * 4) or r.code == 1 and "/etc/passwd" in r.err, r
    os.remove(bundle.rootfs / "etc/passwd")
    with open(bundle.rootfs / "etc/passwd", "wb") as f:
        f.truncate(1 << 33)
    r = runtime("run", "--bundle", bundle.args("grep", "^Uid:", "/proc/self/status").where, box.name(), timeout=20)
    assert (r.code, r.out.split()[1:]) == (0, ["1000"] * 4) or r.code == 1 and "/etc/passwd" in r.err, r


def test_R14_groups_are_those_of_the_configuration(runtime, box, bundle):
    (bundle.rootfs / "etc/group").write_text("wheel:x:10:root\n")
    bundle.config["process"]["user"] = {"uid": 0, "gid": 5, "additionalGids": [7, 4294967294]}
    assert box.output(bundle, "grep ^Groups: /proc/self/status; id -g").split() == ["Groups:", "7", "4294967294", "5"]


@pytest.mark.parametrize("path", ["/berth/../../x", "../x", "/..", "/berth/./../../x", "/", "", "a/../../b"])
def test_R15_a_cgroup_out_of_the_hierarchy_is_refused(runtime, box, bundle, path):
    bundle.config["linux"]["cgroupsPath"] = path
    if path:
        refused(runtime, box, bundle, says="group")
    else:  # config-linux.md: not specified, so the runtime chooses
        name = box.create(bundle.save())
        assert oci.default_cgroups(name)


def as_it_is(key):
    """A sysctl's value on the host: set to it, nothing has changed even where the defence is gone."""
    file = os.path.normpath("/proc/sys/" + (key if key.find("/") in range(key.find(".")) else key.replace(".", "/")))
    return open(file).read().strip() if os.path.isfile(file) else "1"


@pytest.mark.parametrize("key", [
    "kernel.core_pattern", "kernel.modprobe", "vm.swappiness", "fs.file-max", "kernel.sysrq", "kernel.hostname", "kernel/core_pattern",
    "kernel/../kernel/core_pattern", "net.ipv4.ip_forward/../../../kernel/core_pattern",
])
def test_R17_a_sysctl_of_the_host_is_refused(runtime, box, bundle, key):
    bundle.config["linux"]["sysctl"] = {key: as_it_is(key)}
    refused(runtime, box, bundle, says=["sysctl: ", key])


def test_R17_a_sysctl_needs_the_namespace_that_it_belongs_to(runtime, box, bundle):
    namespaces = bundle.config["linux"]["namespaces"]
    for kind, key in (("network", "net.ipv4.ip_forward"), ("ipc", "kernel.shmmax")):
        bundle.config["linux"]["namespaces"] = [n for n in namespaces if n["type"] != kind]
        bundle.config["linux"]["sysctl"] = {key: as_it_is(key)}
        refused(runtime, box, bundle, says=[key, "namespaces"])


def test_R17_nothing_of_proc_sys_can_be_written(runtime, box, bundle):
    """As root with every capability but SYS_ADMIN's right to mount: each file is opened for writing, which changes nothing."""
    capabilities = ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_DAC_OVERRIDE", "CAP_SYS_RESOURCE"]
    bundle.config["process"]["capabilities"] = {k: capabilities for k in ("bounding", "effective", "permitted")}
    bundle.python("""
import errno, os
seen, opened = 0, []
for top, _, files in os.walk("/proc/sys"):
    for name in files:
        try:
            os.close(os.open(f"{top}/{name}", os.O_WRONLY))
            opened.append(f"{top}/{name}")
        except OSError as e:
            assert e.errno in (errno.EROFS, errno.EACCES, errno.EPERM), (top, name, e)
            seen += e.errno == errno.EROFS
assert not opened, opened
print(seen)
""")
    r = runtime("run", "--bundle", bundle.where, box.name())
    assert r.code == 0 and int(r.out) > 300, r


def test_R24_a_map_of_70_kilobytes_is_refused_whole(runtime, box, bundle):
    """A netlink attribute of 16 bits would have cut it to something else."""
    ranges = [{"containerID": i, "hostID": 1000000 + 2 * i, "size": 1} for i in range(5000)]
    assert sum(len(f"{r['containerID']} {r['hostID']} 1\n") for r in ranges) > 70_000
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    bundle.config["linux"].update(uidMappings=ranges, gidMappings=ranges[:1])
    refused(runtime, box, bundle, says="5000 ranges: the kernel takes 340 at most")
    bundle.config["linux"].update(uidMappings=ranges[:1], gidMappings=ranges)
    refused(runtime, box, bundle, says="5000 ranges: the kernel takes 340 at most")


def test_R26_helpers_are_the_hosts(runtime, box, bundle, tmp_path):
    """Neither hooks nor `ps` are looked up in the container."""
    for program in ("ps", "true", "sh"):
        (bundle.rootfs / "bin" / program).unlink(missing_ok=True)
        (bundle.rootfs / "bin" / program).write_text("#!/bin/busybox sh\necho POISONED\n")
        (bundle.rootfs / "bin" / program).chmod(0o755)
    bundle.config["process"]["env"] = ["PATH=/bin", "LD_PRELOAD=/bin/ps"]
    bundle.config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {kind} >> {tmp_path}/log"]}]
                              for kind in ("prestart", "createRuntime", "createContainer", "poststart")}
    name = box.start(bundle.args("busybox", "sleep", "1000"))
    assert (tmp_path / "log").read_text().split() == list(bundle.config["hooks"])
    assert "POISONED" not in runtime.ok("ps", name)


def test_R22_the_session_keyring_is_the_containers(runtime, box, bundle, probe):
    oci.link_or_copy(probe, bundle.rootfs / "bin/probe")
    name = box.start(bundle.args("sleep", "1000"))
    key = f"theirs-{os.getpid()}"
    if runtime.ok("exec", name, "probe", "key", "add", key).strip() == "EPERM":
        pytest.skip("keys can't be added here")
    # Neither a further process, with a keyring of its own, nor the caller finds it.
    assert runtime.ok("exec", name, "probe", "key", "request", key).strip() == "ENOKEY"
    assert subprocess.run([probe, "key", "request", key], stdout=subprocess.PIPE).stdout.strip() == b"ENOKEY"


def test_R23_without_roots_rights_groups_can_not_be_dropped(runtime, bundle):
    """A process that could drop a group would gain what that group is denied."""
    nobody = 65534
    subprocess.run(["chown", "-R", f"{nobody}:{nobody}", bundle.where], check=True)
    for parent in bundle.where.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o001)
    program, state = bundle.where / "berth-runtime", bundle.where / "state"
    shutil.copy(runtime.program, program)
    state.mkdir()
    os.chown(state, nobody, nobody)
    (bundle.where / "config.json").unlink()
    user = ["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups", program, "--root", state]
    subprocess.run([*user, "spec", "--rootless", "--bundle", bundle.where], check=True)
    bundle.config = json.loads((bundle.where / "config.json").read_text())
    bundle.config["process"]["terminal"] = False
    bundle.args("cat", "/proc/self/setgroups", "/proc/self/gid_map")
    for _ in range(10):  # the first process must not close its /proc/PID before the maps are written
        r = subprocess.run([*user, "run", "--bundle", bundle.where, "rootless"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        if r.returncode and b"clone3" in r.stderr:
            pytest.skip("users may not make user namespaces here")
        assert r.returncode == 0 and r.stdout.split() == [b"deny", b"0", b"65534", b"1"], r
    assert list(state.iterdir()) == []


# ---- the runtime's own binary ----

def sha256(path):
    return subprocess.run(["sha256sum", path], stdout=subprocess.PIPE, check=True).stdout.split()[0]


def test_R01_the_binary_is_in_nobodys_hand(runtime, box, bundle, probe):
    """The exec's program is a script whose interpreter is the runtime: executed inside, a watcher would take hold of it."""
    before = sha256(runtime.program)
    oci.link_or_copy(probe, bundle.rootfs / "bin/probe")
    (bundle.rootfs / "bin/evil").write_text("#!/proc/self/exe\n")
    (bundle.rootfs / "bin/evil").chmod(0o755)
    # The watcher looks for binaries of other file systems than its own.
    bundle.config["mounts"].append({"destination": "/bin", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]})
    name = box.start(bundle.sh("probe grab-exe 3 > /tmp/seen; exec sleep 1000"))
    seen = bundle.rootfs / "tmp/seen"

    def attacked():
        r = runtime("exec", name, "/bin/evil")
        assert r.code == 255 and 'exec "/bin/evil": permission denied' in r.err, r
        return seen.read_text()

    assert oci.until(attacked, "the end of the attack") == "seen 0\n"
    assert sha256(runtime.program) == before
