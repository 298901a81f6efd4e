"""Hostile images and processes. Each test names the row of docs/THREATS.md that it proves."""

import hashlib
import os
import pwd
import re
import stat
import subprocess
import time

import pytest

import images
from harness import until
from images import entry, fifo, symlink


def sha256(path) -> str:
    return hashlib.sha256(open(path, "rb").read()).hexdigest()


def refused(r, code=125):
    """Berth's own refusal, not an exit code of the container's."""
    assert r.code in ((code,) if isinstance(code, int) else code), r
    assert r.err.count("\n") == 1, r
    return r.err


# ---- the engine's own binaries and descriptors ----

def test_R01_the_engines_binary_is_not_writable(box):
    programs = [box.berth.build / "src/main" / n for n in ("berth", "berth-monitor", "berth-init")]
    before = [sha256(p) for p in programs]
    # The image's program is a script whose interpreter is whoever executes it.
    for how in ((), ("--init",)):
        r = box("self-exe", opts=how)
        assert r.code not in (0, 124), r
    # Sanitized programs are dynamic: inside they find no linker, and so are never there to be had.
    is_static = b"__asan_init" not in programs[1].read_bytes()
    for _ in range(20):  # a race that has to be won once to prove something
        name = box.start("probe", "grab-exe", "3")
        while box.berth("exec", name, "true").code == 0:
            box.berth("exec", name, "self-exe")
        assert box.berth.ok("wait", name) == "0", box.berth("logs", name)
        seen = re.fullmatch(r"seen (\d+)", box.berth.ok("logs", name))
        assert seen, box.berth("logs", name)
        if int(seen.group(1)) > 0 or not is_static:
            break
    else:
        raise AssertionError("it never had the engine's binary in hand")
    assert [sha256(p) for p in programs] == before


def test_R01_berth_init_is_not_writable(cbox, init_opts):
    name, r = cbox.keep("probe", "grab-exe", "1", opts=init_opts)
    assert r.code == 0 and r.out.strip() == "seen 1", r


def test_R05_leaked_fd_workdir_is_refused(box):
    name = box.start("sleep", "1000")
    tried = range(3, 24) if box.isolation == "container" else (7, 8)
    for n in tried:
        for path in (f"/proc/self/fd/{n}", f"/proc/self/fd/{n}/..", f"/proc/1/fd/{n}"):
            r = box.berth("exec", "-w", path, name, "pwd")
            assert r.code in (125, 126, 127) and "/" not in r.out, (path, r)
    if box.isolation == "container":
        for n in range(3, 16):
            r = box("pwd", opts=("-w", f"/proc/self/fd/{n}"))
            assert r.code in (125, 126, 127) and "/" not in r.out, (n, r)


def test_R05_no_descriptor_but_the_three_is_open(box):
    name = box.start("sh", "-c", "probe fds; sleep 1000")
    assert box.berth.ok("exec", name, "probe", "fds").strip() == "0 1 2"
    assert box.berth.ok("exec", "-i", name, "probe", "fds", input="x").strip() == "0 1 2"
    until(lambda: box.berth.ok("logs", name).strip(), "the first process has looked")
    assert box.berth.ok("logs", name).strip() == "0 1 2"


def test_R05_an_init_passes_no_descriptor_on(cbox, init_opts):
    assert cbox.ok("probe", "fds", opts=init_opts).strip() == "0 1 2"


# ---- bad root file systems ----

@pytest.mark.parametrize("victim", ["proc", "sys"])
def test_R03_a_symlinked_mount_point_is_refused(berth, hostile, tmp_path, victim):
    (tmp_path / "host").mkdir()
    for target in ("/tmp", "../../../../../../" + str(tmp_path / "host")):
        ref = hostile([[images.whiteout(victim)], [symlink(victim, target)]])
        err = refused(berth("run", "--rm", "--network", "none", ref, "true"))
        assert victim in err
    assert list((tmp_path / "host").iterdir()) == []


def test_R07_masking_takes_the_real_null_device(berth, hostile):
    core = open("/proc/sys/kernel/core_pattern").read()
    ref = hostile([[symlink("dev/null", "/proc/sys/kernel/core_pattern")]])
    masked = [p for p in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts") if os.path.isfile(p)]
    assert masked
    for path in ["/dev/null", *masked]:
        out = berth.ok("run", "--rm", "--network", "none", ref, "sh", "-c", f"stat -c %t:%T {path}; echo '|x' >{path}")
        assert out == "1:3", path
    assert open("/proc/sys/kernel/core_pattern").read() == core


def test_R09_a_symlinked_dev_reaches_nothing_of_the_host(berth, hostile, tmp_path):
    host = tmp_path / "host"
    host.mkdir()
    ref = hostile([[images.whiteout("dev")], [symlink("dev", str(host))]])
    refused(berth("run", "--rm", "--network", "none", ref, "true"))
    assert list(host.iterdir()) == []


# An absolute link and one that climbs are led inside by different means.
@pytest.mark.parametrize("up", ["", "../" * 12], ids=["absolute", "climbing"])
def test_R25_files_that_we_write_stay_inside(berth, hostile, tmp_path, up):
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    ref = hostile([[entry("etc", mode=0o755), *[symlink(f"etc/{n}", f"{up}{canary}") for n in ("hosts", "hostname", "resolv.conf")]]])
    refused(berth("run", "--rm", "--network", "none", ref, "true"))  # inside the image there is no such file
    assert canary.read_text() == "untouched"
    # What the link names is made, inside.
    ref = hostile([[symlink("volume", f"{up}{tmp_path}/made-on-host")]])
    (tmp_path / "source").mkdir()
    out = berth.ok("run", "--rm", "--network", "none", "-v", f"{tmp_path}/source:/volume", "-v", f"{canary}:/volume2/file", ref,
                   "sh", "-c", f"stat -c %F {tmp_path}/made-on-host; cat /volume2/file")
    assert out == "directory\nuntouched"
    assert not (tmp_path / "made-on-host").exists()


@pytest.mark.parametrize("up", ["", "/" + "../" * 12], ids=["absolute", "climbing"])
def test_R06_mount_points_are_made_inside_the_root(berth, hostile, tmp_path, up):
    ref = hostile([[symlink("a", up + str(tmp_path))]])
    (tmp_path / "source").mkdir()
    berth("run", "--rm", "--network", "none", "-v", f"{tmp_path}/source:/a/new/dir", ref, "true")
    assert not (tmp_path / "new").exists()


# ---- users ----

def test_R11_user_names_and_numbers_are_never_root_by_mistake(cbox):
    name = cbox.start("sleep", "1000")
    # "10" is also a name in this passwd, of uid 4242: a number is a number.
    for user, uid in (("1", "1"), ("10", "10"), ("2147483647", "2147483647"), ("010", "10")):
        r = cbox.berth("exec", "-u", user, name, "id", "-u")
        assert (r.code == 0 and r.out.strip() == uid) or r.code in (125, 126), (user, r)
    for user in ("1:", ":1", "+1", "-1", "1 ", " 1", "1x", "4294967295", "4294967296", "18446744073709551616", "0x0", "1:2:3", ":"):
        r = cbox.berth("exec", "-u", user, name, "id", "-u")
        assert r.code in (125, 126) and r.out == "" and r.err.count("\n") == 1, (user, r)


@pytest.mark.parametrize("user", ["4294967296", "4294967295", "1:4294967296", "ghost"])
def test_R12_an_images_user_that_is_none_fails(berth, hostile, user):
    ref = hostile([], {"User": user})
    err = refused(berth("run", "--rm", "--network", "none", ref, "id"), code=(125, 126))
    assert user.split(":")[-1] in err


def test_R13_a_hostile_passwd_or_group_fails_soon(berth, hostile):
    """A gigabyte, a FIFO, a link to one, a directory: refused without reading, waiting or growing."""
    big = b"x" * (2 << 20)
    cases = {
        "etc/passwd": [[images.whiteout("etc/passwd")], [fifo("etc/passwd")]],
        "etc/group": [[entry("etc/group", big)]],
        "linked": [[images.whiteout("etc/passwd")], [symlink("etc/passwd", "/opt/fifo")]],
        "directory": [[images.whiteout("etc/group")], [entry("etc/group")]],
        "zero": [[images.whiteout("etc/passwd")], [symlink("etc/passwd", "/dev/zero")]],
    }
    for what, layers in cases.items():
        ref = hostile(layers)
        # A number need not be in passwd, but passwd is asked for its home and groups.
        for user in ("web", "1000") if what != "etc/group" and what != "directory" else ("web",):
            refused(berth("run", "--rm", "--network", "none", "-u", user, ref, "id", "-u", timeout=20), code=(125, 126))


# ---- privileges ----

POSTURE = r"""
    awk '/^Cap(Inh|Amb)|^NoNewPrivs|^Seccomp:/ {print $1 $2}' /proc/self/status
    echo afalg=$(probe socket 38 5); echo vsock=$(probe socket 40 1); echo packet=$(probe socket 17 3)
    echo cgroup=$(mkdir /sys/fs/cgroup/x 2>&1 | grep -o 'Read-only' || find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs | head -1)
    echo sysrq=$(probe open w /proc/sysrq-trigger); echo uevent=$(probe open w /sys/kernel/uevent_helper)
    echo kcore=$(head -c 1 /proc/kcore | wc -c); echo keys=$(wc -c </proc/keys)
    echo config=$(wc -c </proc/config.gz); echo kallsyms=$(wc -c </proc/kallsyms); echo interrupts=$(wc -c </proc/interrupts)
    echo firmware=$(ls /sys/firmware | wc -l); echo powercap=$(ls /sys/devices/virtual/powercap 2>/dev/null | wc -l)
    echo debug=$(ls /sys/kernel/debug 2>/dev/null | wc -l); echo security=$(ls /sys/kernel/security 2>/dev/null | wc -l)
    echo mount=$(mount -t tmpfs x /mnt 2>&1 | grep -ciE 'denied|not permitted')
    echo unshare=$(unshare -U true 2>&1 | grep -ciE 'denied|not permitted')
    echo v1=$(unshare -Ur mount -t cgroup -o memory c /mnt 2>&1 | grep -ciE 'denied|not permitted')
    echo chroot=$(mknod /tmp/m b 8 0 2>&1 | grep -ciE 'denied|not permitted')
    echo begin-writable; probe writable /proc/sys; echo end-writable"""


def test_R10_R15_R16_R17_R19_E07_the_posture_inside(box):
    out = box.sh(POSTURE)
    writable = re.search(r"begin-writable\n(.*)end-writable", out, re.S).group(1)
    assert writable == "", f"writable below /proc/sys: {writable}"
    got = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    status = dict(line.split(":", 1) for line in out.splitlines() if ":" in line and "=" not in line)
    assert status["CapInh"] == "0" * 16 and status["CapAmb"] == "0" * 16 and status["Seccomp"] == "2"
    assert got["afalg"] in ("EPERM", "EAFNOSUPPORT") and got["vsock"] in ("EPERM", "EAFNOSUPPORT"), got
    assert got["packet"] == "EPERM"
    assert got["cgroup"] == "Read-only", got
    assert got["sysrq"] in ("EROFS", "EACCES", "ENOENT") and got["uevent"] in ("EROFS", "EACCES", "ENOENT")
    for name in ("kcore", "keys", "config", "kallsyms", "interrupts", "firmware", "powercap", "debug", "security"):
        assert got[name] in ("0", ""), (name, got)
    for name in ("mount", "unshare", "v1", "chroot"):
        assert got[name] != "0", (name, got)


def test_R10_exec_has_nothing_to_inherit(cbox):
    name = cbox.start("sleep", "1000")
    out = cbox.berth.ok("exec", name, "sh", "-c", "awk '/^Cap(Inh|Amb)/ {print $2}' /proc/self/status")
    assert out.split() == ["0" * 16] * 2
    out = cbox.berth.ok("exec", "-u", "web", name, "sh", "-c", "awk '/^Cap(Inh|Eff|Prm|Amb)/ {print $2}' /proc/self/status")
    assert out.split() == ["0" * 16] * 4


def test_R19_the_refusal_is_the_filters_not_the_kernels(cbox):
    """AF_ALG and AF_VSOCK: without the filter they open, or the kernel says that it has none of the kind."""
    ask = "probe socket 38 5; probe socket 40 1"
    assert cbox.sh(ask).split() == ["EPERM", "EPERM"]
    assert "EPERM" not in cbox.sh(ask, opts=("--security-opt", "seccomp=unconfined"))


# ABI, number, arguments -> what the filter says. Without it each gets as far as the kernel, which says something else.
CALLS = [
    ("64", 250, 999, 0, 0, "EPERM"),  # keyctl
    ("x32", 250, 999, 0, 0, "EPERM"),
    ("32", 288, 999, 0, 0, "EPERM"),
    ("64", 272, 0x8, 0, 0, "EPERM"),  # unshare, of a flag that no kernel has there
    ("x32", 272, 0x8, 0, 0, "EPERM"),
    ("32", 310, 0x8, 0, 0, "EPERM"),
    ("64", 435, 0, 0, 0, "ENOSYS"),  # clone3 has to seem absent
    ("32", 435, 0, 0, 0, "ENOSYS"),
    ("64", 56, 0x10000200, 0, 0, "EPERM"),  # clone: a user namespace, and CLONE_FS, which the kernel does not take together
    ("32", 120, 0x10000200, 0, 0, "EPERM"),
    ("64", 41, 40, 1, 0, "EPERM"),  # socket(AF_VSOCK): the kernel looks at the lower half of an int
    ("64", 41, 40 | 1 << 32, 1, 0, "EPERM"),
    ("64", 41, 40 | 0xffffffff << 32, 1, 0, "EPERM"),
    ("32", 359, 40, 1, 0, "EPERM"),
    ("64", 135, 0x40000, 0, 0, "EPERM"),  # personality(ADDR_NO_RANDOMIZE), and PER_LINUX with something above it
    ("64", 135, 1 << 32, 0, 0, "EPERM"),
    ("32", 136, 0x40000, 0, 0, "EPERM"),
]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the three ABIs are x86-64's")
def test_R18_neither_another_abi_nor_the_upper_half_of_an_argument_gets_past_the_filter(cbox):
    ask = "; ".join(f"probe call {abi} {nr} {a} {b} {c}" for abi, nr, a, b, c, _ in CALLS)
    with_filter, without = cbox.sh(ask).split(), cbox.sh(ask, opts=("--security-opt", "seccomp=unconfined")).split()
    assert len(with_filter) == len(without) == len(CALLS)
    for row, got, other in zip(CALLS, with_filter, without):
        if other == "NO-ABI":  # this kernel has no i386
            assert got == "NO-ABI", row
        else:
            assert got == row[-1], row
            assert row[0] == "x32" or other != got, f"{row}: nothing but the filter may say so"


def test_R17_sysctls_of_the_host_are_refused_and_namespaced_ones_set(cbox):
    for name in ("kernel.panic=1", "kernel.core_pattern=x", "vm.overcommit_memory=1", "fs.file-max=1", "net/../kernel/panic=1"):
        err = cbox.berth.fails(*cbox.args("true", opts=("--rm", "--sysctl", name)))
        assert name.split("=")[0] in err
    assert cbox.ok("cat", "/proc/sys/net/ipv4/ip_forward", opts=("--sysctl", "net.ipv4.ip_forward=1")) == "1"
    # On the host's network a network setting is the host's.
    cbox.berth.fails(*cbox.args("true", opts=("--rm", "--network", "host", "--sysctl", "net.ipv4.ip_forward=1")), says="net.ipv4.ip_forward")


def test_R22_keys_are_not_shared(box):
    secret = f"key-{os.getpid()}-{time.monotonic_ns()}"
    a = box.start("sleep", "1000") if box.isolation == "container" else None
    if a:
        b = box.start("sleep", "1000")
        first = box.berth.ok("exec", a, "sh", "-c", f"probe key add {secret}")
        assert first in ("OK", "EPERM", "ENOSYS")
        assert box.berth.ok("exec", b, "probe", "key", "find", secret) != "OK"
    else:
        assert box.ok("probe", "key", "find", secret) != "OK"
    with open("/proc/keys") as f:
        assert secret not in f.read()


def test_R26_helpers_are_not_taken_from_the_image(cbox, hostile, tmp_path):
    """An image whose PATH and loader are traps: nothing of them may run on the host."""
    trap = b"#!/bin/sh\ntouch /proc/1/root" + str(tmp_path / "sprung").encode() + b"\n"
    ref = hostile([[entry(f"{d}/{n}", trap) for d in ("usr/bin", "usr/sbin", "sbin") for n in ("mkfs.erofs", "mount", "ps", "ip")]],
                  {"Env": ["PATH=/usr/bin:/usr/sbin:/sbin:/bin", "LD_PRELOAD=/evil.so", "LD_LIBRARY_PATH=/"]})
    assert cbox.berth.ok("run", "--rm", "--network", "none", ref, "/bin/busybox", "echo", "hi") == "hi"
    assert not (tmp_path / "sprung").exists()


def test_the_root_file_system_has_no_devices(cbox):
    """A node that a layer carries is there, and is not a door (rows I06, R09)."""
    assert cbox.ok("stat", "-c", "%t:%T", "/opt/null") == "1:3"
    assert cbox.ok("probe", "open", "r", "/opt/null") in ("EACCES", "EPERM")


# ---- the engine ----

def test_E02_no_abstract_socket_is_ours(cbox):
    before = {line.split("@", 1)[1] for line in open("/proc/net/unix") if "@" in line}
    cbox.start("sleep", "1000")
    after = {line.split("@", 1)[1] for line in open("/proc/net/unix") if "@" in line}
    assert not [n for n in after - before if "berth" in n or str(cbox.berth.run_dir) in n]


def test_E03_the_state_is_roots_alone(cbox):
    cbox.start("sleep", "1000")
    for d in (cbox.berth.root, cbox.berth.run_dir):
        assert stat.S_IMODE(d.stat().st_mode) == 0o700 and d.stat().st_uid == 0
    nobody = pwd.getpwnam("nobody").pw_uid
    for d in (cbox.berth.root, cbox.berth.run_dir, cbox.berth.root / "oci", cbox.berth.root / "layers"):
        r = subprocess.run(["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups", "ls", d], capture_output=True)
        assert r.returncode != 0, f"nobody can list {d}"


def test_E06_secrets_of_one_are_not_in_another(cbox):
    cbox.start("sleep", "1000", opts=("-e", "SECRET=hunter2"))
    other = cbox.start("sh", "-c", "env; echo all; sleep 1000")
    until(lambda: "all" in cbox.berth.ok("logs", other).splitlines(), "it has said what it has")
    text = cbox.berth.ok("logs", other) + cbox.berth.ok("inspect", other) + cbox.berth.ok("exec", other, "env")
    assert "hunter2" not in text


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", "a b", "a\nb", "é", "a" * 129, "../../etc/x", "/abs/x", "/", "//a"])
def test_E08_bad_names_are_refused(berth, image, name):
    berth.fails("run", "--rm", "--network", "none", f"--name={name}", image, "true")
    assert "Created" not in berth.ok("ps", "-a")


def test_E08_a_cidfile_is_not_written_through_a_link(cbox, tmp_path):
    target = tmp_path / "target"
    (tmp_path / "link").symlink_to(target)
    cbox.berth.fails(*cbox.args("true", opts=("--rm", "--cidfile", tmp_path / "link")), says=str(tmp_path / "link"))
    assert not target.exists()


def test_I15_labels_of_an_image_do_not_steer_the_engine(cbox, hostile):
    ref = hostile([], {"Labels": {"dev.berth.isolation": "vm", "dev.berth.privileged": "true", "fine": "1"}})
    name = cbox.name()
    cbox.berth.ok("create", "--network", "none", "--name", name, ref, "true")
    assert cbox.berth.inspect(name)["Config"]["Labels"] == {"fine": "1"}


def test_I16_a_volume_path_stays_inside(cbox, hostile, tmp_path):
    ref = hostile([[symlink("vol", "/" + "../" * 12 + str(tmp_path))]], {"Volumes": {"/../../../../etc": {}, "/vol/x": {}}})
    before = sorted(os.listdir("/etc"))
    cbox.berth("run", "--rm", "--network", "none", ref, "sh", "-c", "touch /etc/berth-was-here /vol/x/berth-was-here")
    assert sorted(os.listdir("/etc")) == before
    assert not (tmp_path / "x").exists()
