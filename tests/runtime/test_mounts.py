"""Mounts: their order, propagation, and a mount namespace that is not the container's own."""

import os
import subprocess

import pytest


def own_mounts(text, *points):
    return [line.split()[4] for line in text.splitlines() if line.split()[4] in points]


def kernel():
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in os.uname().release.split(".")[:2])


@pytest.mark.skipif((6, 8) <= kernel() < (6, 15), reason="mountinfo goes by ids, and detached mounts can't be cloned")
def test_mounts_are_made_in_the_listed_order(runtime, box, bundle, tmp_path):
    """Also those whose source is opened early, for the host's events to reach them."""
    for d in ("a", "b", "c"):
        (tmp_path / d).mkdir()
    points = ["/tmp/first", "/tmp/shared", "/tmp/slave", "/tmp/last"]
    bundle.config["mounts"] += [
        {"destination": points[0], "type": "tmpfs", "source": "tmpfs"},
        {"destination": points[1], "source": str(tmp_path / "a"), "options": ["bind", "shared"]},
        {"destination": points[2], "source": str(tmp_path / "b"), "options": ["rbind", "rslave"]},
        {"destination": points[3], "source": str(tmp_path / "c"), "options": ["bind"]},
    ]
    assert own_mounts(box.output(bundle, "cat /proc/self/mountinfo"), *points) == points


def test_a_later_mount_covers_an_earlier_one(runtime, box, bundle, tmp_path):
    (tmp_path / "under").write_text("under")
    (tmp_path / "over").write_text("over")
    bundle.config["mounts"] += [{"destination": "/tmp/file", "source": str(tmp_path / f), "options": ["bind", "ro"]}
                                for f in ("under", "over")]
    assert box.output(bundle, "cat /tmp/file") == "over"


def test_each_propagation_is_what_mountinfo_says(runtime, box, bundle, tmp_path):
    words = {"shared": "shared:", "slave": None, "private": None, "unbindable": "unbindable"}
    for word in words:
        bundle.config["mounts"].append({"destination": f"/tmp/{word}", "type": "tmpfs", "source": "tmpfs", "options": [word]})
    fields = {line.split()[4]: line.split(" - ")[0].split()[6:] for line in box.output(bundle, "cat /proc/self/mountinfo").splitlines()}
    for word, tag in words.items():
        found = fields[f"/tmp/{word}"]
        assert any(f.startswith(tag) for f in found) if tag else found == [], (word, found)


def test_a_source_may_be_relative_to_the_bundle(runtime, box, bundle):
    (bundle.where / "beside").mkdir()
    (bundle.where / "beside/file").write_text("beside")
    bundle.config["mounts"].append({"destination": "/tmp/b", "source": "beside", "options": ["bind"]})
    assert box.output(bundle, "cat /tmp/b/file") == "beside"


def test_options_are_in_force(runtime, box, bundle):
    bundle.config["mounts"].append({"destination": "/tmp/m", "type": "tmpfs", "source": "tmpfs",
                                    "options": ["ro", "nosuid", "nodev", "noexec", "noatime", "size=64k", "mode=700"]})
    line = [m for m in box.output(bundle, "cat /proc/self/mountinfo; stat -c %a /tmp/m").splitlines()]
    options = next(m for m in line if m.split()[4:5] == ["/tmp/m"])
    assert set(options.split()[5].split(",")) == {"ro", "nosuid", "nodev", "noexec", "noatime"} and "size=64k" in options
    assert line[-1] == "700"


def without_confinement(bundle):
    bundle.config["linux"].pop("maskedPaths", None)
    bundle.config["linux"].pop("readonlyPaths", None)
    bundle.config["linux"].pop("rootfsPropagation", None)
    return bundle


def namespace_of(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def test_what_no_namespace_is_asked_for_is_inherited(runtime, box, bundle):
    """config-linux.md: "If a namespace type is not specified [...], the container MUST inherit the runtime namespace"."""
    bundle.config["linux"]["namespaces"] = []
    bundle.config.pop("hostname", None)
    name = box.start(without_confinement(bundle).sh("exec sleep 1000"))
    pid = runtime.state(name)["pid"]
    for kind in ("cgroup", "ipc", "mnt", "net", "pid", "uts", "user", "time"):
        assert namespace_of(pid, kind) == namespace_of("self", kind), kind
    # Its root is the bundle's all the same, for a further process too, and the host got no mount of it.
    assert os.readlink(f"/proc/{pid}/root") == str(bundle.rootfs)
    assert runtime.ok("exec", name, "ls", "/").split() == sorted(p.name for p in bundle.rootfs.iterdir())
    assert str(bundle.where) not in open("/proc/self/mountinfo").read()
    runtime.ok("delete", "--force", name)


def test_another_mount_namespace_is_joined_and_not_changed(runtime, box, bundle):
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE) as holder:
        try:
            holder.stdout.readline()
            before = open(f"/proc/{holder.pid}/mountinfo").read()
            for ns in bundle.config["linux"]["namespaces"]:
                if ns["type"] == "mount":
                    ns["path"] = f"/proc/{holder.pid}/ns/mnt"
            name = box.start(without_confinement(bundle).sh("exec sleep 1000"))
            pid = runtime.state(name)["pid"]
            assert namespace_of(pid, "mnt") == namespace_of(holder.pid, "mnt")
            assert os.readlink(f"/proc/{pid}/root") == str(bundle.rootfs), "a relative root.path is the bundle's"
            assert open(f"/proc/{holder.pid}/mountinfo").read() == before
            runtime.ok("delete", "--force", name)
        finally:
            holder.kill()


def test_paths_can_not_be_masked_in_a_mount_namespace_of_another(runtime, box, bundle):
    bundle.config["linux"].update(namespaces=[{"type": "pid"}], maskedPaths=["/etc/passwd"])
    bundle.config.pop("hostname", None)
    runtime.fails("create", "--bundle", bundle.save().where, box.name(), says="linux.maskedPaths: can't be had")
