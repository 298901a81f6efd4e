"""Virtual machines of a user without root's rights: the same command line; the VMM is one of his ids, in the same jail, and the network is the
one of his containers. On berth-vmm where his group may open a /dev/kvm that is good for guests, else on QEMU, which emulates."""

import json
import os
import shutil
from pathlib import Path

import pytest

import images
import rootless_user
from harness import until
from rootless_user import COUNT, FIRST, UID, Home
from test_rootless_network import HTTPD, World, asking, kill, taken

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(not rootless_user.has_user_namespaces(), reason="this host gives users no user namespaces"),
    pytest.mark.skipif(not rootless_user.has_pasta(), reason="pasta is not installed"),
]

VM = ("--isolation", "vm")
SERVE = "mkdir -p /www; echo mine >/www/index.html; httpd -f -vv -p 80 -h /www 2>/log & echo up; trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done"


def bring_kernel(home):
    if images.KERNELS.exists() and not (home.root / "kernels").exists():
        shutil.copytree(images.KERNELS, home.root / "kernels")
        for path in (home.root / "kernels", *(home.root / "kernels").rglob("*")):
            os.chown(path, UID, UID, follow_symlinks=False)


@pytest.fixture(scope="module")
def world(berth):
    w = World(berth.build)
    bring_kernel(w.user)
    yield w
    try:
        w.clean()
    finally:
        w.close()


@pytest.fixture(scope="module")
def machine(world):
    """One machine for all that only look; it is on a network with `peer`, a container."""
    name = world.network()
    world.user.ok("run", "-d", *VM, "--name", "machine", "--network", name, "-p", "0.0.0.0:8080:80", "-m", "200m", "-v", f"{world.user.where}/shared:/v",
                  "base", "sh", "-c", SERVE)
    world.start(HTTPD.format(word="peer"), "--name", "peer", "--network", name)
    yield "machine"
    world.user.ok("rm", "-f", "machine", "peer")


def status(pid, key):
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(row.split(":", 1)[1].split() for row in rows if row.startswith(f"{key}:"))


def vmm(world, name="machine"):
    return world.user.state(name)["Pid"]


def test_without_granted_ids_there_is_no_machine(berth):
    home = Home(berth.build, subids="")
    try:
        images.little(home.where / "oci", "one:1", b"")
        images.copy_readable(home.where / "oci", home.where / "readable")
        home.ok("load", "-i", home.where / "readable")
        for verb in ("run", "create"):
            r = home(verb, *VM, "one:1", "true")
            assert r.code == 125 and "a user and a group of its own" in r.err and "usermod --add-subuids" in r.err, r
        assert not home.ok("ps", "-aq")
    finally:
        home.end()


def test_where_no_procfs_can_be_had_there_are_no_volumes_and_the_reason_is_told(berth):
    home = Home(berth.build)
    try:
        images.little(home.where / "oci", "one:1", b"")
        images.copy_readable(home.where / "oci", home.where / "readable")
        (home.where / "nothing").write_text("")
        home.bind(home.where / "nothing", "/proc/kallsyms")
        home.ok("load", "-i", home.where / "readable")
        bring_kernel(home)
        home.fails("run", "--rm", *VM, "-v", f"{home.where}/shared:/v", "one:1", "true", says=["the server of the volumes has ended", "proc", "not permitted"])
    finally:
        home.end()


def test_the_vmm_is_one_of_the_user_s_ids_and_has_nothing_more(world, machine):
    pid = vmm(world)
    uids, gids = set(status(pid, "Uid")), set(status(pid, "Gid"))
    assert len(uids) == 1 and FIRST <= int(*uids) < FIRST + COUNT and uids == gids and not status(pid, "Groups")
    assert {status(pid, key)[0] for key in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status(pid, "NoNewPrivs") == ["1"] and status(pid, "NSpid")[-1] == "1"
    monitor = world.user.monitor_pid(world.user.inspect(machine)["Id"])
    for kind in ("mnt", "pid", "net", "ipc", "uts"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/{monitor}/ns/{kind}"), kind
    assert set(os.listdir(f"/proc/{pid}/root")) <= {"usr", "lib", "lib64", "lib32", "bin", "sbin", "etc", "kernel", "initramfs"}
    assert any("Max processes" in row and " 512 " in row for row in Path(f"/proc/{pid}/limits").read_text().splitlines())


def test_its_kernel_is_its_own_and_its_memory_is_its_limit(world, machine):
    assert world.exec(machine, "id -u; cat /proc/self/uid_map").split() == ["0", "0", "0", "4294967295"]
    assert world.exec(machine, "uname -r") != os.uname().release or world.exec(machine, "cat /proc/cmdline") != Path("/proc/cmdline").read_text().strip()
    total = int(world.exec(machine, "grep MemTotal /proc/meminfo").split()[1])
    assert 150 << 10 < total < 400 << 10
    stats = json.loads(world.user.ok("stats", "--no-stream", "--format", "{{json .}}", machine))
    assert stats["Name"] == machine and "200MiB" in stats["MemUsage"], stats


def test_logs_files_and_the_user_s_volumes(world, machine):
    shared = world.user.where / "shared"
    assert until(lambda: world.user.ok("logs", machine), "its word") == "up"
    (shared / "in").write_text("from the host")
    assert world.exec(machine, "cat /v/in; touch /v/mine /v/web; chown 1000 /v/web; echo written >/v/out") == "from the host"
    assert (shared / "mine").stat().st_uid == UID and (shared / "web").stat().st_uid == FIRST + 999
    assert (shared / "out").read_text() == "written\n"
    world.user.ok("cp", shared / "in", f"{machine}:/root/in")
    assert world.exec(machine, "cat /root/in") == "from the host"
    world.user.ok("cp", f"{machine}:/root/in", shared / "back")
    assert (shared / "back").read_text() == "from the host"
    assert "A /root/in" in world.user.ok("diff", machine).splitlines()
    for name in ("in", "mine", "web", "out", "back"):
        (shared / name).unlink()


def test_a_published_port_names_and_the_way_out(world, machine):
    assert world.told(world.lan, "192.0.2.1", 8080) == "mine" and world.told(world.host, "127.0.0.1", 8080) == "mine"
    assert "::ffff:192.0.2.2]" in world.exec(machine, "cat /log")
    assert until(lambda: world.user("exec", machine, "wget", "-q", "-O-", "http://peer/").out.strip(), "the container by its name") == "peer"
    assert until(lambda: world.user("exec", "peer", "wget", "-q", "-O-", "http://machine/").out.strip(), "the machine by its name") == "mine"
    with world.lan.listen("192.0.2.2", 7000) as s:
        with asking(world, machine, "nc -w 5 192.0.2.2 7000 </dev/null"):
            peer, name = s.accept()
            peer.close()
        assert name[0] == "192.0.2.1"


def test_it_is_paused_without_a_cgroup(world, machine):
    pid = vmm(world)
    world.user.ok("pause", machine)
    try:
        until(lambda: status(pid, "State")[0] == "T" or "qemu" in world.user.inspect(machine)["Vmm"], "it stands still")
        assert world.answer(world.lan, "192.0.2.1", 8080) is None
        assert world.user.state(machine)["Status"] == "paused"
        world.user.fails("exec", machine, "true", says="paused")
    finally:
        world.user.ok("unpause", machine)
    assert world.exec(machine, "echo on") == "on" and vmm(world) == pid
    assert world.told(world.lan, "192.0.2.1", 8080) == "mine"


def test_limits_that_only_a_cgroup_holds_are_refused_by_name(world, machine):
    if json.loads(world.user.ok("info", "--format", "{{json .}}"))["CgroupLayout"] != "none":
        pytest.skip("this user has cgroups")
    for option, value in (("--cpu-shares", "512"), ("--cpuset-cpus", "0"), ("--blkio-weight", "100")):
        for command in (("create", *VM, option, value, "base", "true"), ("update", option, value, machine)):
            world.user.fails(*command, says=[f"{option}: ", "cgroup", "Delegate=yes"])
    world.user.fails("pod", "create", *VM, "--cpu-shares", "512", says=["--cpu-shares: ", "cgroup", "Delegate=yes"])
    assert not world.user.ok("ps", "-aq", "--filter", "status=created") and not world.user.ok("pod", "ps", "-q")


@pytest.fixture
def delegated():
    """A cgroup of the user's own, as a session of systemd's has it; what enters it."""
    root, ours = Path("/sys/fs/cgroup"), Path(f"/sys/fs/cgroup/berth-test-{os.getpid()}")
    if not (root / "cgroup.subtree_control").exists() or "memory" not in (root / "cgroup.subtree_control").read_text():
        pytest.skip("no cgroups of v2 with controllers to delegate: ./check lab-vm has some")
    (ours / "session").mkdir(parents=True)
    (ours / "cgroup.subtree_control").write_text("+memory +cpu +pids")
    for where in (ours, ours / "session"):
        for path in (where, where / "cgroup.procs", where / "cgroup.subtree_control", where / "cgroup.threads"):
            os.chown(path, UID, UID)
    yield ours
    for path in sorted((p for p in ours.rglob("*") if p.is_dir()), reverse=True):
        path.rmdir()
    ours.rmdir()


def test_a_cgroup_that_is_delegated_to_him_holds_it(world, delegated):
    def berth(*words):
        enter = lambda: (delegated / "session/cgroup.procs").write_text("0")  # noqa: E731
        with world.user.popen(*words, preexec_fn=enter) as p:
            out, err = p.communicate(timeout=600)
        assert p.returncode == 0, f"{words}: {err.decode()}"
        return out.decode().strip()

    ident = berth("run", "-d", *VM, "--network", "none", "-m", "100m", "--cpu-shares", "512", "base", "sleep", "1000")
    try:
        pid = world.user.state(ident)["Pid"]
        (group,) = delegated.rglob(ident)
        assert str(pid) in (group / "cgroup.procs").read_text().split()
        assert 100 << 20 < int((group / "memory.max").read_text()) < 1 << 30 and (group / "cpu.weight").read_text() != "100\n"
        berth("pause", ident)
        assert world.user.state(ident)["Status"] == "paused"
        berth("unpause", ident)
        berth("exec", ident, "true")
    finally:
        berth("rm", "-f", ident)
    assert not list(delegated.rglob(ident))
    until(lambda: not (delegated / "session/cgroup.procs").read_text(), "the monitor has left")


def test_it_is_saved_and_forked_where_it_is_on_berth_vmm(world):
    world.user.ok("run", "-d", *VM, "--name", "saved", "--network", "none", "base", "sh", "-c", "echo once >/root/file; exec sleep 1000")
    try:
        if world.user.inspect("saved")["Vmm"] != "berth-vmm":
            assert not os.environ.get("BERTH_LAB"), "the lab has a KVM that is good for guests, and his group may open it"
            pytest.skip("no KVM that is good for guests: ./check lab-vm has one")
        world.user.ok("fork", "--name", "copy", "saved")
        assert world.exec("copy", "cat /root/file") == "once" and vmm(world, "copy") != vmm(world, "saved")
    finally:
        world.user("rm", "-f", "saved", "copy")


def test_what_the_guest_is_held_to_can_change_while_it_runs(world, machine):
    world.user.ok("update", "--memory", "150m", "--cpus", "0.7", "--pids-limit", "80", machine)
    limits = world.exec(machine, "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max")
    assert limits.splitlines() == [str(150 << 20), "70000 100000", "80"]
    world.user.ok("update", "--memory", "200m", "--pids-limit", "2048", machine)


def test_when_the_server_of_volumes_is_killed_a_start_ends_at_once(world):
    def servers():
        return [int(pid) for pid, _, _, words in world.user.processes() if "virtiofsd" in words or words.startswith("berth-fs")]

    before = servers()
    with world.user.popen("run", "-d", *VM, "--name", "v", "--network", "none", "-v", f"{world.user.where}/shared:/v", "base", "sleep", "1000") as p:
        for pid in until(lambda: [pid for pid in servers() if pid not in before], "the server of volumes"):
            try:
                kill(pid)
            except ProcessLookupError:  # virtiofsd is two, of which each ends with the other
                pass
        _, err = p.communicate(timeout=600)
    world.user.ok("rm", "-f", "v")
    assert p.returncode == 125 and "the server of the volumes has ended" in err.decode(), err


def test_a_pod_s_machine_is_the_user_s_too(world):
    name = f"p-{os.urandom(4).hex()}"
    world.user.ok("pod", "create", "--name", name, *VM, "-p", "0.0.0.0:8091:80")
    try:
        c = world.start(SERVE, "--pod", name)
        assert world.told(world.lan, "192.0.2.1", 8091) == "mine"
        world.user.ok("pod", "pause", name)
        assert world.user.state(c)["Status"] == "paused" and status(vmm(world, c), "State")[0] == "T"
        assert world.answer(world.lan, "192.0.2.1", 8091) is None
        world.user.ok("pod", "unpause", name)
        assert world.user.state(c)["Status"] == "running" and world.told(world.lan, "192.0.2.1", 8091) == "mine"
        world.user.ok("pod", "pause", name)  # and is removed all the same
    finally:
        world.user.ok("pod", "rm", "-f", name)
    assert not taken(world, 8091)


def test_it_is_stopped_and_started_and_nothing_is_left_of_who_is_killed(world):
    opts = ("--network", world.network(), "-p", "0.0.0.0:8090:80")
    before = sorted(world.host.devices())
    world.user.ok("run", "-d", *VM, "--name", "m", *opts, "base", "sh", "-c", SERVE)
    assert world.told(world.lan, "192.0.2.1", 8090) == "mine"
    world.exec("m", "echo kept >/root/file; sync")
    world.user.ok("stop", "m")
    assert world.user.state("m")["ExitCode"] == 3 and not taken(world, 8090)
    world.user.ok("start", "m")
    assert world.exec("m", "cat /root/file") == "kept" and world.told(world.lan, "192.0.2.1", 8090) == "mine"

    kill(vmm(world, "m"))
    world.user.ok("wait", "m")
    state = world.user.state("m")
    assert state["ExitCode"] == 137 and "killed from outside by SIGKILL" in state["Error"], state
    until(lambda: not taken(world, 8090), "the port of a killed VMM is free")

    world.user.ok("start", "m")
    pid = vmm(world, "m")
    kill(world.user.monitor_pid(world.user.inspect("m")["Id"]))
    until(lambda: not Path(f"/proc/{pid}/ns").exists(), "the VMM dies with its monitor")
    until(lambda: not taken(world, 8090), "the port of a killed monitor is free")
    assert world.user.state("m")["Status"] == "exited"
    world.user.ok("rm", "-f", "m")
    assert sorted(world.host.devices()) == before
