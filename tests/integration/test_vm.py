"""What only a virtual machine can do wrong: its kernel, its boot, its VMM."""

import json
import os
import re
import shutil
import signal
import time

import pytest

import leaks
from harness import Box, until

pytestmark = pytest.mark.vm


@pytest.fixture
def vm(berth, image):
    b = Box(berth, "vm", image)
    yield b
    b.clean()


emulated_twice = pytest.mark.skipif(os.environ.get("BERTH_LAB") == "1", reason="an emulated VM in an emulated machine takes minutes to boot")


def vmm_pid(vm, name):
    return vm.berth.state(name)["Pid"]


def test_the_kernel_is_another_and_the_hosts_processes_are_out_of_sight(vm):
    out = vm.sh("cat /proc/sys/kernel/random/boot_id /proc/cmdline; ps -o pid= | wc -l")
    boot, cmdline, count = out.strip().splitlines()
    assert boot != open("/proc/sys/kernel/random/boot_id").read().strip()
    assert "console=ttyS0" in cmdline
    assert int(count) < 6


def test_nothing_in_the_guest_opens_its_serial_port(vm):
    """The driver raises RTS for who opens a port; a console's is never shut down again, and without an interrupt it is looked at all the time."""
    line = vm.sh("grep ^0: /proc/tty/driver/serial", opts=("--privileged",))
    assert "uart:16550" in line and "RTS" not in line, line


def status(pid):
    return dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)


def of_process(pid, what):
    try:
        return open(f"/proc/{pid}/{what}").read().strip()
    except OSError:  # has ended meanwhile
        return ""


def comm(pid):
    return of_process(pid, "comm")


def servers_of(vmm):
    """Processes that serve volumes to the VMM's guest: in its cgroup."""
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and comm(p) in ("berth-fs", "virtiofsd") and
            of_process(p, "cgroup") == of_process(vmm, "cgroup")]


def namespaces(pid):
    return {ns: os.readlink(f"/proc/{pid}/ns/{ns}") for ns in ("mnt", "pid", "net", "ipc", "uts")}


def test_V9_the_vmm_is_a_user_of_its_own_without_any_privilege(vm):
    pids = [vmm_pid(vm, vm.start("sleep", "100000")) for _ in range(2)]
    users = set()
    for pid in pids:
        s = status(pid)
        for key in ("Uid", "Gid"):
            ids = set(s[key].split())
            assert len(ids) == 1 and int(ids.pop()) >= 0x70000000
        users.add(s["Uid"])
        assert s["Groups"].split() == []
        for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(s[key], 16) == 0, key
        assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2"
    assert len(users) == 2, "no two VMMs share a user"


def test_V9_the_vmm_sees_nothing_of_the_host(vm, tmp_path, monkeypatch):
    monkeypatch.setenv("BERTH_VM_ACCEL", "qemu")  # berth-vmm's own jail: src/vmm/jail_test.c
    name = vm.start("sleep", "100000", opts=("-v", f"{tmp_path}:/v"))
    pid = vmm_pid(vm, name)
    ours, its = namespaces("self"), namespaces(pid)
    assert [ns for ns in its if its[ns] == ours[ns]] == []
    assert status(pid)["NSpid"].split()[-1] == "1"
    root = set(os.listdir(f"/proc/{pid}/root"))
    assert {"usr", "kernel", "initramfs"} <= root
    assert root <= {"usr", "lib", "lib32", "lib64", "bin", "sbin", "etc", "kernel", "initramfs", "dev"}
    assert os.listdir(f"/proc/{pid}/root/etc") in ([], ["ld.so.cache"])
    for line in open(f"/proc/{pid}/mountinfo"):
        assert "ro" in line.split()[5].split(","), line
    links = open(f"/proc/{pid}/net/dev").read().splitlines()[2:]
    assert [l.split(":")[0].strip() for l in links] in ([], ["lo"])
    assert str(vm.berth.root) not in open(f"/proc/{pid}/cmdline").read()
    limits = open(f"/proc/{pid}/limits").read()
    assert re.search(r"Max core file size +0 +0", limits)
    assert not re.search(r"Max file size +unlimited", limits)


def test_V10_the_server_of_volumes_keeps_only_what_it_needs(vm, tmp_path, each_vmm):
    vmm = vmm_pid(vm, vm.start("sleep", "100000", opts=("-v", f"{tmp_path}:/v")))

    own = each_vmm == "berth-vmm"
    servers = servers_of(vmm)
    assert len(servers) == (1 if own else 2), "the one that serves is in the cgroup as well"
    if own:
        s, its, ours = status(servers[0]), namespaces(servers[0]), namespaces("self")
        assert int(s["CapEff"], 16) == int(s["CapBnd"], 16) == 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 31
        assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2" and s["NSpid"].split()[-1] == "1"
        assert all(its[n] != ours[n] for n in its)
        assert os.listdir(f"/proc/{servers[0]}/root") == ["0"]
    refused = 1 << 21 | 1 << 12 | 1 << 16 | 1 << 17 | 1 << 19 | 1 << 25  # sys_admin, net_admin, module, rawio, ptrace, time
    for pid in servers:
        s = status(pid)
        assert s["NoNewPrivs"] == "1"
        assert int(s["CapEff"], 16) & refused == 0
        its, ours = namespaces(pid), namespaces("self")
        assert its["mnt"] != ours["mnt"] and its["ipc"] != ours["ipc"] and its["uts"] != ours["uts"]
    assert any(status(p)["Seccomp"] == "2" for p in servers)


def test_a_kernel_that_only_root_may_read_boots(vm, tmp_path):
    kernel = max((vm.berth.root / "kernels").glob("*/kernel"), default=None) or pytest.skip("no kernel was fetched yet")
    mine = tmp_path / "vmlinux"
    shutil.copy(kernel, mine)
    mine.chmod(0o600)
    modules = tmp_path / "lib/modules" / kernel.parent.name
    modules.parent.mkdir(parents=True)
    modules.symlink_to(kernel.parent / "modules")
    assert vm.sh("echo up", opts=("--kernel", str(mine))) == "up"


def test_the_disk_has_the_size_that_was_asked_for(vm):
    name = vm.name()
    kib = int(vm.berth.ok("run", "--name", name, "--vm", "--storage-opt", "size=200m", vm.image, "sh", "-c",
                          "df -k / | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2", timeout=120))
    assert 150 << 10 < kib <= 200 << 10
    assert vm.berth.inspect(name)["HostConfig"]["StorageOpt"] == {"size": "200m"}
    vm.berth.ok("rm", name)
    vm.berth.fails("run", "--rm", "--vm", "--storage-opt", "size=1m", vm.image, "true", says=("--storage-opt size=1m", "64m"))
    vm.berth.fails("run", "--rm", "--storage-opt", "size=1g", vm.image, "true", says=("--storage-opt size=1g", "pquota", "--isolation vm"))


def test_a_panic_is_told_as_one(vm):
    name = vm.start("sleep", "100000", opts=("--privileged",))
    vm.berth("exec", "--privileged", name, "sh", "-c", "echo c > /proc/sysrq-trigger; sleep 100", timeout=60)
    assert vm.berth.ok("wait", name, timeout=60).strip() == "137"
    state = vm.berth.state(name)
    assert "the guest kernel panicked: sysrq triggered crash" in state["Error"]


def test_a_killed_vmm_is_told_as_killed(vm):
    name = vm.start("sleep", "100000")
    os.kill(vmm_pid(vm, name), signal.SIGKILL)
    vm.berth.ok("wait", name, timeout=60)
    assert "killed from outside by SIGKILL" in vm.berth.state(name)["Error"]


def test_who_follows_a_process_in_a_killed_vmm_is_told(vm):
    name, stays = vm.name(), ("sh", "-c", "echo here; sleep 100000")
    followers = []
    for args in (vm.args(*stays, opts=("--name", name)), ("exec", name, *stays)):
        followers.append(vm.berth.popen(*args))
        assert followers[-1].stdout.read(5) == b"here\n"
    os.kill(vmm_pid(vm, name), signal.SIGKILL)
    for p in followers:
        _, err = p.communicate(timeout=120)
        assert p.returncode == 137 and b"killed from outside by SIGKILL" in err, err


def test_V16_a_console_flood_does_not_grow_the_monitor(vm):
    name = vm.start("sleep", "100000", opts=("--privileged",))
    pid = vm.berth.monitor_pid(vm.berth.inspect(name)["Id"])

    def rss_kib():
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])

    script = "echo 8 > /proc/sys/kernel/printk; i=0; while [ $i -lt 4000 ]; do echo $i 0123456789012345678901234567890123456789012345; i=$((i+1)); done > /dev/kmsg"
    before = rss_kib()
    vm.berth("exec", "--privileged", name, "mknod", "/dev/kmsg", "c", "1", "11")
    vm.berth.ok("exec", "--privileged", name, "sh", "-c", script, timeout=120)
    vm.berth.ok("exec", "--privileged", name, "sh", "-c", "for i in 1 2 3; do echo t > /proc/sysrq-trigger; done", timeout=120)
    assert rss_kib() - before < 1024


@pytest.mark.parametrize("path, says", [
    ("/etc/passwd", "not a Linux kernel"),
    ("/nowhere/vmlinuz", "/nowhere/vmlinuz: No such file"),
    ("/etc", "not a file"),
])
def test_a_wrong_kernel_file_is_named(vm, path, says):
    vm.berth.fails("run", "--rm", "--vm", "--kernel", path, vm.image, "true", says=("--kernel", says))


def test_V18_a_damaged_kernel_is_refused(vm, tmp_path):
    good = next((vm.berth.root / "kernels").glob("*/kernel"), None) or pytest.skip("no kernel was fetched yet")
    bad = tmp_path / "vmlinuz"
    data = bytearray(good.read_bytes()[:4096])
    bad.write_bytes(data)
    vm.berth.fails("run", "--rm", "--vm", "--kernel", bad, vm.image, "true", says=("--kernel",))


def test_a_boot_that_takes_too_long_is_ended(vm):
    done = vm.berth("run", "--rm", "--vm", vm.image, "true", env={"BERTH_VM_BOOT_TIMEOUT": "50ms"}, timeout=60)
    assert done.code == 125
    assert "the guest did not boot within" in done.err and "BERTH_VM_BOOT_TIMEOUT" in done.err
    until(lambda: not [p for p in leaks.processes(vm.berth.root) if "qemu" in p], "the VMM is gone")


def test_a_false_boot_timeout_is_named(vm):
    done = vm.berth("run", "--rm", "--vm", vm.image, "true", env={"BERTH_VM_BOOT_TIMEOUT": "soon"}, timeout=60)
    assert done.code == 125 and "BERTH_VM_BOOT_TIMEOUT=soon" in done.err


def test_the_note_about_emulation_says_why_and_info_says_the_same(vm):
    why = json.loads(vm.berth.ok("info", "--format", "{{json .Isolations}}"))["vm"]
    done = vm.berth("run", "--rm", "--vm", vm.image, "true", timeout=120)
    assert done.code == 0
    if why == "available":
        assert "emulated" not in done.notes
    else:
        assert why.startswith("no hardware virtualisation (") and f"berth: {why}\n" in done.notes


def test_the_guests_kernel_draws_entropy_from_the_host(vm):
    assert vm.sh("cat /sys/class/misc/hw_random/rng_current").strip() == "virtio_rng.0"


@emulated_twice
def test_emulation_can_be_asked_for(vm):
    done = vm.berth("run", "--rm", "--vm", vm.image, "true", env={"BERTH_VM_ACCEL": "tcg"}, timeout=120)
    assert done.code == 0 and "BERTH_VM_ACCEL=tcg" in done.notes
    vmm, program, fds = vmm_in_use(vm, BERTH_VM_ACCEL="tcg")
    assert vmm == "qemu, emulated" and "anon_inode:kvm-vm" not in fds


def test_an_accelerator_that_nobody_knows_is_named(vm):
    done = vm.berth("run", "--rm", "--vm", vm.image, "true", env={"BERTH_VM_ACCEL": "xen"}, timeout=60)
    assert done.code == 125 and "BERTH_VM_ACCEL=xen: kvm, berth-vmm, qemu and tcg are known" in done.err


def vmm_in_use(vm, **env):
    name = vm.name()
    vm.berth.ok(*vm.args("sleep", "100000", opts=("-d", "--name", name)), env=env or None)
    found = vm.berth.inspect(name)["Vmm"], os.readlink(f"/proc/{vmm_pid(vm, name)}/exe"), \
        {os.readlink(f"/proc/{vmm_pid(vm, name)}/fd/{fd}") for fd in os.listdir(f"/proc/{vmm_pid(vm, name)}/fd")}
    vm.berth.ok("rm", "-f", name)
    return found


def test_inspect_tells_which_vmm_carries_it_out(vm):
    usable = json.loads(vm.berth.ok("info", "--format", "{{json .Isolations}}"))["vm"] == "available"
    vmm, program, fds = vmm_in_use(vm)
    assert vmm == ("berth-vmm" if usable else "qemu, emulated")
    assert os.path.basename(program) == ("berth-vmm" if usable else "qemu-system-x86_64")
    assert ("anon_inode:kvm-vm" in fds) == usable
    vmm, program, fds = vmm_in_use(vm, BERTH_VM_ACCEL="qemu")
    assert vmm == ("qemu, on KVM" if usable else "qemu, emulated")
    assert os.path.basename(program) == "qemu-system-x86_64" and ("anon_inode:kvm-vm" in fds) == usable


def test_a_volume_is_served_whichever_vmm_it_takes(vm, tmp_path, each_vmm):
    (tmp_path / "f").write_text("the host's\n")
    done = vm("sh", "-c", "cat /v/f; echo the guest wrote >/v/g", opts=("-v", f"{tmp_path}:/v"))
    assert done.code == 0 and done.out == "the host's\n", done
    assert (tmp_path / "g").read_text() == "the guest wrote\n"


def test_with_volumes_a_vm_is_berth_vmms_where_kvm_is_usable(vm, tmp_path):
    usable = json.loads(vm.berth.ok("info", "--format", "{{json .Isolations}}"))["vm"] == "available"
    name = vm.start("sleep", "100000", opts=("-v", f"{tmp_path}:/v"))
    assert vm.berth.inspect(name)["Vmm"] == ("berth-vmm" if usable else "qemu, emulated")
    assert {comm(p) for p in servers_of(vmm_pid(vm, name))} == {"berth-fs" if usable else "virtiofsd"}


@pytest.mark.parametrize("options", ("", ":consistent"))
def test_what_the_host_and_the_guest_do_to_a_volume_is_seen_by_both_at_once(vm, tmp_path, each_vmm, options):
    name = vm.start("sleep", "100000", opts=("-v", f"{tmp_path}:/v{options}"))
    if vm.berth.inspect(name)["Vmm"] != "berth-vmm":
        pytest.skip("virtiofsd lets the guest keep what it knows for a second")

    def guest(script):
        return vm.berth.ok("exec", name, "sh", "-c", script)

    for i in range(3):
        (tmp_path / "f").write_text(f"host {i}\n")
        assert guest("cat /v/f; echo guest >>/v/f") == f"host {i}"
        assert (tmp_path / "f").read_text() == f"host {i}\nguest\n"
        (tmp_path / "f").rename(tmp_path / f"g{i}")
        assert guest(f"test -e /v/f || echo gone; rm /v/g{i}") == "gone"
        assert os.listdir(tmp_path) == []


def test_more_memory_than_a_vm_can_have_is_refused_by_its_option(vm):
    vm.berth.fails("create", "--isolation", "vm", "--memory", "100t", vm.image, "true", says=("--memory: 102400 GiB", "1 TiB"))


def free_huge_pages():
    free, promised = (int(open(f"/sys/kernel/mm/hugepages/hugepages-2048kB/{n}_hugepages").read()) for n in ("free", "resv"))
    return free - promised


def test_memory_of_reserved_huge_pages_is_all_there_or_refused(vm, each_vmm):
    vm.berth.fails("create", "--isolation", "container", "--huge-pages", vm.image, "true", says="--isolation vm")
    vm.berth.fails("create", "--isolation", "vm", "--huge-pages", "--memory", "128m", "--memory-max", "256m", vm.image, "true", says="can't grow")
    before = open("/proc/sys/vm/nr_hugepages").read()
    if free_huge_pages() == 0:
        vm.berth.fails("run", "--rm", "--isolation", "vm", "--huge-pages", "--memory", "128m", vm.image, "true", says=("0 are free", "vm.nr_hugepages"))
    if os.environ.get("BERTH_LAB") != "1":
        pytest.skip("reserves memory of the host, which only the lab's may be")
    try:
        open("/proc/sys/vm/nr_hugepages", "w").write("200")
        free = free_huge_pages()
        name = vm.start("sleep", "100000", opts=("--huge-pages", "--memory", "128m"))
        assert vm.berth.inspect(name)["HostConfig"]["HugePages"] is True
        assert free - free_huge_pages() >= 64, "all of the guest's memory"
        assert vm.berth.ok("exec", name, "echo", "there") == "there"
        if each_vmm == "berth-vmm":
            copy = vm.berth.ok("fork", name)
            assert vm.berth.ok("exec", copy, "echo", "there as well") == "there as well"
            vm.berth.ok("rm", "-f", copy)
        vm.berth.ok("rm", "-f", name)
        assert free_huge_pages() == free, "and given back"
    finally:
        open("/proc/sys/vm/nr_hugepages", "w").write(before)


def test_of_cached_volumes_the_guest_sees_a_second_later_what_the_host_has_done(vm, tmp_path, each_vmm):
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text("one\n")
    name = vm.start("sh", "-c", "cat /a/f /b/f /c/f; echo guest >/a/new; until grep -q two /a/f; do sleep 0.1; done; echo seen",
                    opts=("-v", f"{tmp_path}/a:/a:cached", "-v", f"{tmp_path}/b:/b:ro,consistent", "-v", f"{tmp_path}/c:/c"))
    it = vm.berth.inspect(name)
    assert [(m["Mode"], m["RW"]) for m in it["Mounts"]] == [("cached", True), ("ro,consistent", False), ("", True)]
    if it["Vmm"] == "berth-vmm":
        words = open(f"/proc/{servers_of(vmm_pid(vm, name))[0]}/cmdline").read().split("\0")
        assert words == ["berth-fs", "cached=0", "consistent=1", ""]
    until(lambda: (tmp_path / "a/new").exists() and (tmp_path / "a/new").read_text() == "guest\n", "the guest writes", 60)
    (tmp_path / "a/f").write_text("two\n")
    assert vm.berth.ok("wait", name) == "0"
    assert vm.berth.ok("logs", name).split() == ["one", "one", "one", "seen"]


def test_when_the_server_of_volumes_is_killed_the_guest_lives_and_inspect_tells(vm, tmp_path, each_vmm):
    (tmp_path / "f").write_text("text\n")
    name = vm.start("sleep", "100000", opts=("-v", f"{tmp_path}:/v"))
    vmm = vmm_pid(vm, name)
    if vm.berth.inspect(name)["Vmm"] != "berth-vmm":
        pytest.skip("with QEMU it is virtiofsd")
    servers = servers_of(vmm)
    assert len(servers) == 1
    os.kill(servers[0], signal.SIGKILL)
    done = vm.berth("exec", name, "sh", "-c", "cat /v/f; echo alive")
    assert re.search("I/O error|Input/output error", done.err) and done.out == "alive\n", done
    said = vm.berth.inspect(name)["MonitorLog"]
    assert len(said) == 1 and "the server of the volumes has ended (signal 9): the guest gets I/O errors" in said[0], said
    vm.berth.ok("rm", "-f", name)


def test_the_hosts_network_is_refused(vm):
    vm.berth.fails("run", "--rm", "--vm", "--network", "host", vm.image, "true", says=("--network host",))


def test_a_volume_of_one_file_and_a_read_only_one(vm, tmp_path, each_vmm):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("in a directory\n")
    (tmp_path / "one").write_text("a file\n")
    out = vm.sh("cat /ro/f /etc/one; echo more >> /etc/one; touch /ro/x || echo refused; mount -o remount,rw /ro 2>&1; touch /ro/x || echo refused",
                opts=("-v", f"{tmp_path}/d:/ro:ro", "-v", f"{tmp_path}/one:/etc/one", "--privileged"))
    assert out.count("refused") == 2, "the host enforces what the guest can undo"
    assert (tmp_path / "one").read_text() == "a file\nmore\n"
    assert os.listdir(tmp_path / "d") == ["f"]


def test_two_volumes_of_different_file_systems_are_never_the_same_file(vm, tmp_path, each_vmm):
    shm = f"/dev/shm/berth-test-{os.getpid()}"
    os.mkdir(shm)
    try:
        assert vm.sh("stat -c %d:%i /a /b | sort -u | wc -l", opts=("-v", f"{shm}:/a", "-v", f"{tmp_path}:/b")).strip() == "2"
    finally:
        shutil.rmtree(shm)


def test_what_a_container_wrote_is_there_when_it_starts_again(vm):
    name = vm.name()
    assert vm.berth("run", "--name", name, "--vm", vm.image, "sh", "-c", "cat /kept 2>/dev/null || echo written > /kept", timeout=120).code == 0
    done = vm.berth("start", "-a", name, timeout=120)
    assert done.out == "written\n"
    vm.berth.ok("rm", name)


def memory_limit(vm, opts):
    name = vm.start("sleep", "100000", opts=("--memory", "64m", *opts))
    pid = vmm_pid(vm, name)
    path = next((l.split(":", 2)[2].strip() for l in open(f"/proc/{pid}/cgroup") if ":memory:" in l), None)
    if path is None:
        path = next(l.split(":", 2)[2].strip() for l in open(f"/proc/{pid}/cgroup") if l.startswith("0::"))
        limit = int(open(f"/sys/fs/cgroup{path}/memory.max").read())
    else:
        limit = int(open(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").read())
    assert 64 << 20 < limit < 1 << 30
    return limit


def test_the_vmm_is_held_from_outside(vm, tmp_path):
    alone, sharing = (memory_limit(vm, opts) for opts in ((), ("-v", f"{tmp_path}:/v")))
    # What the host's kernel keeps of the volumes' files, for as many as the guest's memory (64 MiB, and what a kernel needs) has room for.
    assert sharing - alone >= 2 * (64 << 20)


def test_a_guest_keeps_the_clock(vm):
    guest = int(vm.sh("date +%s").strip())
    assert abs(guest - time.time()) < 120
