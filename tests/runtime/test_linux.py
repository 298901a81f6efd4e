"""The linux section of config.json: paths, devices, sysctls, seccomp, id maps, namespaces, propagation."""

import os
import stat
import subprocess

import pytest

import oci

KINDS = {"pid": "pid", "network": "net", "mount": "mnt", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup", "user": "user", "time": "time"}


def namespace_of(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{KINDS[kind]}")


def test_masked_paths_read_as_empty_and_take_no_writes(runtime, box, bundle):
    (bundle.rootfs / "etc/secret").write_text("secret")
    (bundle.rootfs / "srv/dir").mkdir(parents=True)
    (bundle.rootfs / "srv/dir/file").write_text("secret")
    (bundle.rootfs / "etc/link").symlink_to("secret")
    bundle.config["linux"]["maskedPaths"] = ["/etc/link", "/srv/dir", "/not/there"]
    out = box.output(bundle, "cat /etc/secret; ls /srv/dir; touch /srv/dir/x 2>/dev/null || echo refused; echo x > /etc/secret; echo $?")
    assert out == "refused\n0\n"
    assert (bundle.rootfs / "etc/secret").read_text() == "secret" and not (bundle.rootfs / "not").exists()
    bundle.config["linux"]["maskedPaths"] = ["relative"]
    runtime.fails("create", "--bundle", bundle.save().where, box.name(), says="relative")


def test_readonly_paths_are_read_and_not_written(runtime, box, bundle):
    (bundle.rootfs / "srv/dir").mkdir(parents=True)
    (bundle.rootfs / "srv/dir/file").write_text("content")
    bundle.config["linux"]["readonlyPaths"] = ["/srv/dir", "/etc/passwd", "/not/there"]
    writes = "for f in /srv/dir/file /srv/dir/new /etc/passwd; do (echo x >> $f) 2>/dev/null || echo refused; done"
    out = box.output(bundle, "cat /srv/dir/file; " + writes)
    assert out == "content" + "refused\n" * 3


def test_a_readonly_root_is_readonly_and_its_mounts_are_not(runtime, box, bundle):
    script = "touch /new 2>/dev/null && echo root; touch /dev/shm/new && echo mount"
    assert box.output(bundle, script) == "root\nmount\n"
    bundle.config["root"]["readonly"] = True
    assert box.output(bundle, script) == "mount\n"


def test_the_default_devices_and_links_are_there(runtime, box, bundle):
    nodes = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}
    assert box.output(bundle, f"cd /dev; stat -c '%n %t:%T %a %F' {' '.join(nodes)}") == "".join(
        f"{n} {dev} 666 character special file\n" for n, dev in nodes.items())
    links = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
             "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"}
    assert box.output(bundle, f"cd /dev; for l in {' '.join(links)}; do readlink $l; done").split() == list(links.values())


def test_devices_have_their_type_number_mode_and_owner(runtime, box, bundle):
    bundle.config["linux"]["devices"] = [
        {"path": "/dev/test1", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 3, "gid": 4},
        {"path": "/dev/sub/test2", "type": "b", "major": 8, "minor": 666, "fileMode": 0o600},
        {"path": "/pipes/test3", "type": "p"},
        {"path": "/dev/test4", "type": "u", "major": 10, "minor": 229},
        {"path": "/pipes/test5", "type": "p", "fileMode": 0o620, "uid": 7, "gid": 8},
        {"path": "/dev/sub/test6", "type": "p", "fileMode": 0o600, "uid": 4294967294},
    ]
    out = box.output(bundle, "umask 077; stat -c '%F %t:%T %a %u:%g' /dev/test1 /dev/sub/test2 /pipes/test3 /dev/test4"
                             " /pipes/test5 /dev/sub/test6; (echo through >/pipes/test5 &) ; cat /pipes/test5")
    assert out.splitlines() == ["character special file a:e5 640 3:4", "block special file 8:29a 600 0:0", "fifo 0:0 666 0:0",
                                "character special file a:e5 666 0:0", "fifo 0:0 620 7:8", "fifo 0:0 600 4294967294:0",
                                "through"]


@pytest.mark.parametrize("path, kind, says", [
    ("relative", "c", "relative"), ("/dev/..", "c", "/dev/.."), (None, "c", ".linux.devices[0].path"),
    ("/dev/x", "z", ".linux.devices[0].type"), ("/dev/x", None, ".linux.devices[0].type"),
])
def test_a_device_that_can_not_be_is_refused(runtime, box, bundle, path, kind, says):
    device = {"path": path, "type": kind, "major": 1, "minor": 3}
    bundle.config["linux"]["devices"] = [{k: v for k, v in device.items() if v is not None}]
    runtime.fails("create", "--bundle", bundle.save().where, box.name(), says=says)


def test_devices_that_are_not_allowed_can_not_be_opened(runtime, box, bundle):
    bundle.config["linux"]["devices"] = [{"path": "/dev/test", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
    script = "(echo -n > /dev/test) 2>/dev/null && echo opened; echo -n > /dev/null && echo null"
    for access, expected in ((None, "null\n"), ("w", "opened\nnull\n"), ("r", "null\n")):
        rules = [{"allow": False, "access": "rwm"}]
        if access:
            rules.append({"allow": True, "type": "c", "major": 1, "minor": 11, "access": access})
        bundle.config["linux"]["resources"] = {"devices": rules}
        assert box.output(bundle, script) == expected, rules


def test_sysctls_are_the_containers(runtime, box, bundle):
    host = open("/proc/sys/net/ipv4/ip_default_ttl").read()
    bundle.config["linux"]["sysctl"] = {"net.ipv4.ip_default_ttl": "99", "kernel.shm_rmid_forced": "1", "net/ipv4/conf/all/forwarding": "1"}
    files = "net/ipv4/ip_default_ttl kernel/shm_rmid_forced net/ipv4/conf/all/forwarding"
    assert box.output(bundle, f"cd /proc/sys; cat {files}") == "99\n1\n1\n"
    assert open("/proc/sys/net/ipv4/ip_default_ttl").read() == host


def test_seccomp_gives_each_call_its_answer(runtime, box, bundle):
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_KILL_PROCESS"},
    ]}
    calls = "mkdir /x 2>&1; touch /f; busybox chmod 600 /f; echo $?; busybox hostname x 2>&1"
    out = box.output(bundle, f"{calls}; grep ^Seccomp: /proc/self/status")
    assert "No space left" in out and "159\n" in out and "not permitted" in out and "Seccomp:\t2" in out, out
    bundle.config["linux"]["seccomp"]["syscalls"] = [{"names": ["mkdir"], "action": "SCMP_ACT_NONE_SUCH"}]
    runtime.fails("create", "--bundle", bundle.save().where, box.name(), says="SCMP_ACT_NONE_SUCH")


def test_a_user_namespace_has_the_maps_and_its_root_owns_nothing_of_the_host(runtime, box, bundle):
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    rows = {"uidMappings": [(0, 100000, 1000), (2000, 200000, 10)], "gidMappings": [(0, 300000, 1000)]}
    for kind, ranges in rows.items():
        bundle.config["linux"][kind] = [dict(zip(("containerID", "hostID", "size"), r)) for r in ranges]
    subprocess.run(["chown", "-R", "100000:300000", bundle.rootfs], check=True)
    bundle.rootfs.parent.chmod(0o755)
    for parent in bundle.where.parents:
        if not parent.stat().st_mode & stat.S_IXOTH:
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    out = box.output(bundle, "cat /proc/self/uid_map /proc/self/gid_map; touch /mine; id -u; cat /proc/self/setgroups")
    numbers = [tuple(map(int, line.split())) for line in out.splitlines()[:-1]]
    assert numbers == [*rows["uidMappings"], *rows["gidMappings"], (0,)] and out.endswith("allow\n")
    made = (bundle.rootfs / "mine").stat()
    assert (made.st_uid, made.st_gid) == (100000, 300000)


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "cgroup", "time"])
def test_a_namespace_is_new_inherited_or_joined_by_its_path(runtime, box, bundle, kind):
    others = [n for n in bundle.config["linux"]["namespaces"] if n["type"] != kind]
    bundle.config.pop("hostname", None)
    own = namespace_of("self", kind)

    def made_with(rows):
        bundle.config["linux"]["namespaces"] = others + rows
        pid = runtime.state(box.create(bundle.save()))["pid"]
        return pid, namespace_of(pid, kind)

    assert made_with([])[1] == own
    pid, new = made_with([{"type": kind}])
    assert new != own
    joined, same = made_with([{"type": kind, "path": f"/proc/{pid}/ns/{KINDS[kind]}"}])
    assert same == new
    # The first process of a pid namespace is gone only when all others have been reaped.
    os.kill(joined, 9)
    oci.reap(joined)


def test_a_namespace_path_that_is_none_or_of_another_kind_is_refused(runtime, box, bundle):
    others = [n for n in bundle.config["linux"]["namespaces"] if n["type"] != "ipc"]
    for path in ("/not/there", "/etc/passwd", "/proc/self/ns/uts", "relative"):
        bundle.config["linux"]["namespaces"] = [*others, {"type": "ipc", "path": path}]
        runtime.fails("create", "--bundle", bundle.save().where, box.name(), says=path if path != "relative" else "path")
    bundle.config["linux"]["namespaces"] = [*others, {"type": "ipc"}, {"type": "ipc"}]
    runtime.fails("create", "--bundle", bundle.save().where, box.name(), says="namespaces")
    bundle.config["linux"]["namespaces"] = [*others, {"type": "none-such"}]
    runtime.fails("create", "--bundle", bundle.save().where, box.name(), says="none-such")


@pytest.mark.parametrize("word, tag", [("shared", "shared:"), ("rshared", "shared:"), ("slave", None), ("private", None),
                                       ("unbindable", "unbindable")])
def test_the_roots_propagation_is_as_asked(runtime, box, bundle, word, tag):
    bundle.config["linux"]["rootfsPropagation"] = word
    out = box.output(bundle, "cat /proc/self/mountinfo")
    fields = next(line.split(" - ")[0].split()[6:] for line in out.splitlines() if line.split()[4] == "/")
    tags = [f.split(":")[0] + ":" * (":" in f) for f in fields]
    assert tag in tags if tag else not {"shared:", "unbindable"} & set(tags), fields
    bundle.config["linux"]["rootfsPropagation"] = "none-such"
    runtime.fails("create", "--bundle", bundle.save().where, box.name(), says="none-such")
