"""checkpoint and restore as CRIU is spoken with: what it is asked, and what comes of its answers. CRIU is made up (fake_criu.py);
the real one is test_checkpoint.py's."""

import json
import os
import re
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import oci

DUMP, RESTORE, PRE_DUMP = 1, 2, 13
# criu_opts of CRIU's images/rpc.proto
IMAGES, PID, LEAVE, EXT_UNIX, TCP, SHELL, LOCKS, SERVER, ROOT, PARENT, TRACK, DEDUP, LINKS, EXT_MNT, CG_ROOT, INHERIT = (
    "1", "2", "3", "4", "5", "7", "8", "11", "13", "14", "15", "16", "18", "23", "25", "27")
CG_MODE, EXTERNAL, EMPTY, JOIN, FREEZE, IN_FLIGHT, LAZY, CONFIG, LSM, CONTEXT = "34", "37", "38", "39", "44", "46", "48", "51", "53", "63"


class Criu:
    def __init__(self, runtime, where):
        self.rt, self.log = runtime, where / "asked"
        self.path = where / "criu"
        shutil.copy(Path(__file__).with_name("fake_criu.py"), self.path)
        self.path.chmod(0o755)
        self.images = where / "images"

    def __call__(self, verb, *args, how="ok", check="yes", criu=None, **kw):
        env = {**os.environ, "FAKE_CRIU": how, "FAKE_CRIU_CHECK": check, "FAKE_CRIU_LOG": str(self.log)}
        return self.rt("--criu", criu or self.path, verb, "--image-path", self.images, *args, env=env, **kw)

    def asked(self, verb, *args, **kw):
        r = self(verb, *args, **kw)
        assert r.code == 0, r
        return self.last()

    def last(self):
        request = json.loads(self.log.read_text().splitlines()[-1])
        return request["type"], request["opts"], request

    def fails(self, verb, *args, says="", **kw):
        r = self(verb, *args, **kw)
        assert r.code == 1 and r.err.count("\n") == 1, r
        for word in [says] if isinstance(says, str) else says:
            assert word in r.err, r
        return r.err


@pytest.fixture
def criu(runtime, tmp_path):
    return Criu(runtime, tmp_path)


@pytest.fixture
def name(box, bundle):
    return box.start(bundle)


@pytest.fixture
def saved(criu, name, runtime):
    pid = runtime.state(name)["pid"]
    criu.asked("checkpoint", name)
    oci.reap(pid)


# ---- saving ----


def test_the_process_is_saved_and_the_container_goes(runtime, criu, name, bundle):
    pid = runtime.state(name)["pid"]
    freezer = [d for d in oci.default_cgroups(name) if (d / "cgroup.freeze").exists() or (d / "freezer.state").exists()]
    kind, opts, _ = criu.asked("checkpoint", name)
    assert (kind, opts[PID], opts[ROOT], opts[CG_MODE]) == (DUMP, [pid], [str(bundle.rootfs)], [3])
    assert opts[FREEZE][0] in map(str, freezer)
    assert opts[CONFIG] == ["/etc/criu/runc.conf"]
    for absent in (LEAVE, EXT_UNIX, TCP, SHELL, LOCKS, SERVER, PARENT, TRACK, DEDUP, LINKS, EMPTY, IN_FLIGHT, LAZY):
        assert absent not in opts
    assert oci.reap(pid) == 137
    runtime.fails("state", name, says="does not exist")
    assert not oci.default_cgroups(name)


@pytest.mark.parametrize("options, field, value", [
    (["--tcp-established"], TCP, 1), (["--ext-unix-sk"], EXT_UNIX, 1), (["--shell-job"], SHELL, 1), (["--file-locks"], LOCKS, 1),
    (["--auto-dedup"], DEDUP, 1), (["--link-remap"], LINKS, 1), (["--tcp-skip-in-flight"], IN_FLIGHT, 1), (["--leave-running"], LEAVE, 1),
    (["--lazy-pages"], LAZY, 1), (["--page-server", "127.0.0.1:99"], SERVER, ["127.0.0.1", 99]),
    (["--page-server", "[::1]:99"], SERVER, ["::1", 99]), (["--manage-cgroups-mode", "ignore"], CG_MODE, 0),
    (["--manage-cgroups-mode", "strict"], CG_MODE, 5), (["--manage-cgroups-mode", "full"], CG_MODE, 4),
    (["--empty-ns", "network"], EMPTY, 0x40000000), (["--parent-path", "../tmp"], PARENT, "../tmp")])
def test_options_reach_criu(criu, name, options, field, value, tmp_path):
    (tmp_path / "tmp").mkdir()
    more = options if "--leave-running" in options else [*options, "--leave-running"]
    _, opts, _ = criu.asked("checkpoint", *more, name)
    assert opts[field] == [value]
    assert (TRACK in opts) == (field == PARENT)


def test_a_pre_dump_leaves_it_running(runtime, criu, name):
    kind, opts, _ = criu.asked("checkpoint", "--pre-dump", name)
    assert kind == PRE_DUMP and opts[TRACK] == [1] and ROOT not in opts
    assert runtime.status(name) == "running"


def test_mounts_and_namespaces_of_the_host_are_named(runtime, box, bundle, criu, tmp_path):
    (bundle.rootfs / "link").symlink_to("tmp")
    (tmp_path / "file").touch()
    bundle.config["mounts"] += [
        {"destination": "/link/file", "source": str(tmp_path / "file"), "type": "bind", "options": ["bind"]},
        {"destination": "/dev/extra", "source": str(tmp_path), "type": "bind", "options": ["rbind"]}]
    rows = [n for n in bundle.config["linux"]["namespaces"] if n["type"] != "network"]
    bundle.config["linux"]["namespaces"] = [*rows, {"type": "network", "path": "/proc/self/ns/net"}]
    name = box.start(bundle.save())
    _, opts, _ = criu.asked("checkpoint", "--leave-running", name)
    assert ["/tmp/file", "/tmp/file"] in opts[EXT_MNT] and ["/dev/extra", "/dev/extra"] in opts[EXT_MNT]
    inode = os.stat("/proc/self/ns/net").st_ino
    assert f"net[{inode}]:extRootNetNS" in opts[EXTERNAL]


def test_an_annotation_names_another_configuration_of_criu(box, bundle, criu):
    bundle.config["annotations"] = {"org.criu.config": "/etc/mine.conf"}
    _, opts, _ = criu.asked("checkpoint", "--leave-running", box.start(bundle.save()))
    assert opts[CONFIG] == ["/etc/mine.conf"]


@pytest.mark.parametrize("options, says", [
    (["--page-server", "here"], "not ADDRESS:PORT"), (["--page-server", "x:0"], "not ADDRESS:PORT"), (["--page-server", "x:70000"], "not ADDRESS:PORT"),
    (["--manage-cgroups-mode", "hard"], "none of soft, full, strict, ignore"), (["--empty-ns", "pid"], "--empty-ns pid"),
    (["--parent-path", "/etc"], "relative"), (["--parent-path", "../none"], "--parent-path ../none"), (["--status-fd", "99"], "--status-fd 99"),
    (["--status-fd", "x"], "--status-fd x"), (["--work-path", "/none/such"], "--work-path /none/such")])
def test_what_can_not_be_asked_is_refused_by_name(runtime, criu, name, options, says):
    criu.fails("checkpoint", *options, name, says=says)
    assert runtime.status(name) == "running" and not criu.log.exists()


def test_a_created_and_a_stopped_container_can_not_be_saved(runtime, box, bundle, criu):
    name = box.create(bundle)
    criu.fails("checkpoint", name, says="created state")
    pid = runtime.state(name)["pid"]
    runtime.ok("kill", name, "KILL")
    oci.reap(pid)
    criu.fails("checkpoint", name, says="stopped state")
    criu.fails("checkpoint", box.name(), says="does not exist")


@pytest.mark.parametrize("change, says", [
    (lambda c: c["linux"].update(memoryPolicy={"mode": "MPOL_DEFAULT"}), "linux.memoryPolicy"),
    (lambda c: c["process"].update(ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 4}), "process.ioPriority")])
def test_what_criu_would_lose_is_refused_by_name(runtime, box, bundle, criu, change, says):
    change(bundle.config)
    name = box.start(bundle.save())
    criu.fails("checkpoint", name, says=[says, "CRIU does not save it"])
    assert runtime.status(name) == "running"


# ---- CRIU that can't ----


def test_criu_that_is_not_there_is_named(runtime, criu, name):
    criu.fails("checkpoint", name, criu="criu-that-is-not-there", says="criu-that-is-not-there is not here: install it")
    criu.fails("checkpoint", name, criu="/none/criu", says="/none/criu")
    criu.fails("checkpoint", name, criu="./criu", says="--criu ./criu: expected an absolute path")
    assert runtime.status(name) == "running"


def test_criu_that_is_too_old_is_named(runtime, criu, name):
    criu.fails("checkpoint", name, how="old", says="criu: 3.12 is too old: 3.16 or newer is needed")
    assert runtime.status(name) == "running"


def test_criu_that_answers_nonsense_is_no_success(runtime, criu, name):
    criu.fails("checkpoint", name, how="mute", says="criu: its answer can't be read")
    assert runtime.status(name) == "running"


def test_a_failed_checkpoint_quotes_criu_and_leaves_the_container_running(runtime, criu, name, tmp_path):
    criu.fails("checkpoint", "--work-path", tmp_path / "work", name, how="no",
               says=[name, f"{tmp_path}/work/dump.log", "the cause; the end"])
    assert runtime.status(name) == "running"


def test_where_criu_can_not_work_the_error_says_so(runtime, criu, name):
    criu.fails("checkpoint", name, how="no", check="no", says=["`criu check` says", "no such luck"])
    assert runtime.status(name) == "running"


def test_criu_that_ends_midway_leaves_the_container_thawed(runtime, criu, name):
    criu.fails("checkpoint", name, how="die", says="criu: it has ended midway")
    assert runtime.status(name) == "running"


# ---- restoring ----


def test_a_container_is_restored_as_a_started_one(runtime, box, bundle, criu, saved, tmp_path):
    bundle.config["linux"]["namespaces"] = [n for n in bundle.config["linux"]["namespaces"] if n["type"] not in ("mount", "pid")]
    bundle.config["linux"].update(maskedPaths=[], readonlyPaths=[])
    bundle.config["mounts"] = []
    bundle.save()
    host, name = Path("/proc/self/mountinfo").read_text(), box.name()
    kind, opts, request = criu.asked("restore", "--detach", "--bundle", bundle.where, "--pid-file", tmp_path / "pid", name)
    pid = runtime.state(name)["pid"]
    assert (kind, runtime.status(name)) == (RESTORE, "running")
    assert (tmp_path / "pid").read_text() == str(pid)
    assert opts[ROOT] == [f"{runtime.root}/{name}/criu-root"] and "bin" in request["root"]
    assert not (runtime.root / name / "criu-root").exists()
    assert Path("/proc/self/mountinfo").read_text() == host
    assert [c for c in opts[CG_ROOT] if c[1].endswith(f"/berth-{name}")]
    assert f"/berth-{name}" in request["cgroup"]
    assert str(pid) in "".join((d / "cgroup.procs").read_text() for d in oci.default_cgroups(name)).split()
    runtime.ok("kill", name, "KILL")
    assert oci.reap(pid) == 137
    runtime.ok("delete", name)
    assert not oci.default_cgroups(name)


def test_one_in_the_foreground_ends_with_its_process(runtime, box, bundle, criu, saved):
    name = box.name()
    env = {**os.environ, "FAKE_CRIU_LOG": str(criu.log)}
    with runtime.popen("--criu", criu.path, "restore", "--image-path", criu.images, "--bundle", bundle.where, name, env=env) as p:
        oci.until(lambda: runtime("state", name).code == 0 and runtime.status(name) == "running", "it to run")
        runtime.ok("kill", name, "KILL")
        assert p.wait(60) == 137
    runtime.fails("state", name, says="does not exist")


@pytest.mark.parametrize("options, field, value", [
    (["--tcp-established"], TCP, 1), (["--ext-unix-sk"], EXT_UNIX, 1), (["--shell-job"], SHELL, 1), (["--file-locks"], LOCKS, 1),
    (["--auto-dedup"], DEDUP, 1), (["--lazy-pages"], LAZY, 1), (["--empty-ns", "network"], EMPTY, 0x40000000),
    (["--lsm-profile", "apparmor:x"], LSM, "apparmor:x"), (["--lsm-mount-context", "x:y"], CONTEXT, "x:y"),
    (["--manage-cgroups-mode", "ignore"], CG_MODE, 0)])
def test_options_of_restore_reach_criu(box, bundle, criu, saved, options, field, value):
    _, opts, _ = criu.asked("restore", "--detach", "--bundle", bundle.where, *options, box.name())
    assert opts[field] == [value]


def test_mounts_come_from_their_source_and_pipes_from_the_caller(runtime, box, bundle, criu, tmp_path):
    (tmp_path / "file").touch()
    bundle.config["mounts"].append({"destination": "/tmp/file", "source": str(tmp_path / "file"), "type": "bind", "options": ["bind"]})
    name = box.name()
    with runtime.popen("create", "--bundle", bundle.save().where, name) as p:
        p.wait(60)
        pipes = [os.readlink(f"/proc/self/fd/{f.fileno()}") for f in (p.stdout, p.stderr)]
        runtime.ok("start", name)
        pid = runtime.state(name)["pid"]
        criu.asked("checkpoint", name)
        oci.reap(pid)
    assert json.loads((criu.images / "descriptors.json").read_text())[1:] == pipes
    (bundle.rootfs / "tmp/file").unlink()
    _, opts, _ = criu.asked("restore", "--detach", "--bundle", bundle.where, box.name())
    assert ["/tmp/file", str(tmp_path / "file")] in opts[EXT_MNT]
    assert [p for p in opts[INHERIT] if re.match("pipe:", p[0])] == [[pipes[0], 1], [pipes[1], 2]]
    assert (bundle.rootfs / "tmp/file").exists(), "its mount point was not made"


def test_a_service_s_directory_is_saved_and_lent_again_and_the_manager_is_told(runtime, box, bundle, criu, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "manager"))
        manager.settimeout(60)
        # Whoever is done with a container's start, and not ready, is not waited for by a restore.
        name = box.create(bundle, env={**os.environ, "NOTIFY_SOCKET": manager.getsockname()})
        runtime.ok("start", name)
        pid = runtime.state(name)["pid"]
        _, opts, _ = criu.asked("checkpoint", name)
        oci.reap(pid)
        assert opts[EXT_MNT].count(["/run/notify", "/run/notify"]) == 1
        at, mounts = ["--detach", "--bundle", bundle.where], criu.images / "mountpoints-9.img"
        _, opts, _ = criu.asked("restore", *at, box.name())
        assert not [pair for pair in opts[EXT_MNT] if pair[0] == "/run/notify"], "nobody had it"
        mounts.write_bytes(b"\x0a\x0b/run/notify\x12")
        name = box.name()
        _, opts, _ = criu.asked("restore", *at, name)
        assert ["/run/notify", f"{runtime.root}/{name}/notify"] in opts[EXT_MNT]
        assert (runtime.root / name / "notify/notify.sock").is_socket()
        _, opts, _ = criu.asked("checkpoint", "--leave-running", name)
        assert opts[EXT_MNT].count(["/run/notify", "/run/notify"]) == 1, "a second time"
        os.environ["NOTIFY_SOCKET"] = manager.getsockname()
        try:
            name = box.name()
            with ThreadPoolExecutor(1) as pool:  # the command waits until its barrier is taken
                said = pool.submit(lambda: [manager.recv(100).decode() for _ in range(2)])
                criu.asked("restore", *at, name)
            assert said.result() == [f"READY=1\nMAINPID={runtime.state(name)['pid']}", "BARRIER=1"]
            os.environ["NOTIFY_SOCKET"] = "nowhere"
            criu.fails("restore", *at, box.name(), says="$NOTIFY_SOCKET")
        finally:
            del os.environ["NOTIFY_SOCKET"]


def test_namespaces_of_others_are_handed_over(box, bundle, criu, saved):
    rows = [n for n in bundle.config["linux"]["namespaces"] if n["type"] not in ("network", "uts")]
    bundle.config["linux"]["namespaces"] = [*rows, {"type": "network", "path": "/proc/self/ns/net"}, {"type": "uts", "path": "/proc/self/ns/uts"}]
    bundle.config.pop("hostname", None)
    bundle.save()
    _, opts, _ = criu.asked("restore", "--detach", "--bundle", bundle.where, box.name())
    assert ["extRootNetNS", 4] in opts[INHERIT] and opts[JOIN] == [["uts", "/proc/self/ns/uts"]]


@pytest.mark.parametrize("how, says", [("no", "the cause; the end"), ("old", "too old"), ("mute", "can't be read")])
def test_a_failed_restore_leaves_nothing(runtime, box, bundle, criu, saved, how, says):
    host, name = Path("/proc/self/mountinfo").read_text(), box.name()
    criu.fails("restore", "--detach", "--bundle", bundle.where, name, how=how, says=says)
    runtime.fails("state", name, says="does not exist")
    assert not (runtime.root / name).exists() and not oci.default_cgroups(name)
    assert Path("/proc/self/mountinfo").read_text() == host


def test_a_failed_hook_fails_the_restore(runtime, box, bundle, criu, saved, tmp_path):
    stop = {"path": "/bin/sh", "args": ["sh", "-c", f"echo stopped >{tmp_path}/stop"], "env": ["PATH=/bin"]}
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/false"}], "poststop": [stop]}
    name = box.name()
    criu.fails("restore", "--detach", "--bundle", bundle.save().where, name, says="createRuntime hook 0: /bin/false")
    assert (tmp_path / "stop").read_text() == "stopped\n"
    assert not (runtime.root / name).exists() and not oci.default_cgroups(name)


def test_what_can_not_be_restored_is_refused_by_name(runtime, box, bundle, criu, saved, tmp_path):
    at = ["--detach", "--bundle", bundle.where]
    criu.fails("restore", *at, "--no-pivot", box.name(), says="--no-pivot")
    bundle.config["linux"]["namespaces"].append({"type": "cgroup", "path": "/proc/self/ns/cgroup"})
    bundle.config["linux"]["namespaces"] = [n for n in bundle.config["linux"]["namespaces"] if n["type"] != "cgroup" or "path" in n]
    bundle.save()
    criu.fails("restore", *at, box.name(), says="another's cgroup namespace")
    criu.images = tmp_path
    criu.fails("restore", *at, box.name(), says=[f"--image-path {tmp_path}", "holds no checkpoint"])
    (tmp_path / "descriptors.json").write_text("{}")
    criu.fails("restore", *at, box.name(), says="expected a list")
    criu.images = tmp_path / "none"
    criu.fails("restore", *at, box.name(), says="--image-path")


def test_a_name_that_is_taken_stays_the_others(runtime, box, bundle, criu, saved):
    other = box.start(bundle)
    criu.fails("restore", "--detach", "--bundle", bundle.where, other, says="already exists")
    assert runtime.status(other) == "running"
