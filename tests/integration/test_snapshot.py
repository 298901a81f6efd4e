"""Virtual machines that are copied while they run: snapshot, restore, fork. Whole guests on berth-vmm need a KVM that is good for them: where
there is none (`./check lab-vm` makes one), what is left are the refusals."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from harness import Box, stands_still, until

pytestmark = pytest.mark.vm
MEMORY = ("--memory", "64m")
BOOT = {"BERTH_VM_BOOT_TIMEOUT": "240s"}
# Writes to the disk all the time, with sums of what it has written beside it, but when it is asked to rest. (It is its namespace's first process,
# to which SIGSTOP means nothing.)
WRITER = """mkdir -p /w; i=0
while :; do
	if [ -e /w/rest ]; then touch /w/resting; sleep 0.1; continue; fi
	head -c 65536 /dev/urandom >/w/$((i % 8)); (cd /w && sha256sum $((i % 8)) >/w/sum.new && mv sum.new sum.$((i % 8)))
	i=$((i + 1)); echo $i >/w/count
done"""
IDENTITY = ("hostname; cat /etc/hostname /etc/machine-id /proc/sys/kernel/random/boot_id; head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \\n'; echo;"
            "grep -c \"$(hostname)\" /etc/hosts; date +%s")


@pytest.fixture(scope="module")
def own(berth):
    """A loaded image, which needs no registry, and a box of VMs of it that run on berth-vmm; or the test is skipped."""
    import images

    berth.ok("load", "-q", "-i", images.base_layout())
    yield "base:latest"


@pytest.fixture
def vms(berth, own):
    b = Box(berth, "vm", own)
    yield b
    b.clean()
    left = berth.ok("snapshot", "ls", "-q").split()
    if left:
        berth.ok("snapshot", "rm", *left)


@pytest.fixture
def parent(vms):
    """A VM that writes, on berth-vmm."""
    os.environ.update(BOOT)
    name = vms.start("sh", "-c", WRITER, opts=MEMORY)
    if vms.berth.ok("vm", "inspect", "-f", "{{.VMM}}", name) != "berth-vmm":
        pytest.skip("no KVM here that is good for whole guests")
    vms.berth.ok("exec", name, "sh", "-c", "echo 0123456789abcdef0123456789abcdef >/etc/machine-id")
    return name


def track(vms, name):
    vms.names.append(name)
    return name


def who(vms, name):
    out = vms.berth.ok("exec", name, "sh", "-c", IDENTITY).split("\n")
    return dict(zip(("host", "etc_hostname", "machine", "boot", "random", "in_hosts", "clock"), out))


def disk_is_whole(vms, name):
    """Every file's sum is that of what is in it."""
    vms.berth.ok("exec", name, "sh", "-c", "touch /w/rest; while [ ! -e /w/resting ]; do sleep 0.1; done; sync")
    out = vms.berth("exec", name, "sh", "-c", "cd /w; cat sum.? | sha256sum -c 2>&1; true").out
    assert "FAILED" not in out and out.count(": OK") >= 1, out
    vms.berth.ok("exec", name, "rm", "/w/rest", "/w/resting")


def smaps(pid):
    text = open(f"/proc/{pid}/smaps_rollup").read()
    return {k: int(v) for k, v in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}


def test_V13_one_snapshot_restored_twice_is_two_machines_and_the_parent_goes_on(vms, parent):
    berth = vms.berth
    until(lambda: berth("exec", parent, "test", "-s", "/w/count").code == 0, "the first write")
    r = berth("snapshot", "create", parent, "one", timeout=240)
    assert r.code == 0 and re.search(r"stood still for [0-9.]+ ms", r.err), r
    print(r.err)
    assert [s["Name"] for s in map(json.loads, berth.ok("snapshot", "ls", "--format", "json").split("\n"))] == ["one"]
    assert json.loads(berth.ok("snapshot", "inspect", "one"))["VM"] == parent
    berth.fails("snapshot", "create", parent, "one", says="there is a snapshot one already")
    clones = [track(vms, vms.name()) for _ in range(2)]
    for c in clones:
        berth.ok("restore", "--name", c, "one", timeout=240)
    seen = {n: who(vms, n) for n in (parent, *clones)}
    for key in ("host", "machine", "boot", "random"):
        assert len({s[key] for s in seen.values()}) == 3, (key, seen)
    for n in clones:
        s = seen[n]
        assert s["etc_hostname"] == s["host"] == berth.inspect(n)["Id"][:12] and s["in_hosts"] == "1", s
        assert abs(int(s["clock"]) - time.time()) < 30, s
    berth.ok("snapshot", "rm", "one")  # whoever went on from it needs it no more
    counts = {n: int(berth.ok("exec", n, "cat", "/w/count")) for n in seen}
    for n in seen:
        until(lambda n=n: int(berth.ok("exec", n, "cat", "/w/count") or 0) > counts[n], f"{n} goes on writing", 60)
        disk_is_whole(vms, n)
    listed = berth.ok("ps", "--format", "{{.Names}}").split()
    assert set(seen) <= set(listed)
    pids = {berth.state(n)["Pid"] for n in seen}
    users = {os.stat(f"/proc/{p}").st_uid for p in pids}
    assert len(pids) == len(users) == 3
    # A copy that is stopped boots again, on its own disk.
    count = int(berth.ok("exec", clones[0], "cat", "/w/count"))
    berth.ok("stop", "-t", "0", clones[0])
    berth.ok("start", clones[0], timeout=240)
    assert int(berth.ok("exec", clones[0], "cat", "/w/count") or 0) >= 0 and count > 0
    berth.ok("rm", "-f", *clones)
    assert berth.ok("exec", parent, "echo", "here") == "here"


def test_forks_share_their_memory_and_are_machines_of_their_own(vms, parent):
    berth = vms.berth
    names = [track(vms, f"{parent}-f-{k}") for k in range(1, 6)]
    ids = berth.ok("fork", parent, "--count", "5", "--name", f"{parent}-f", timeout=600).split()
    assert len(ids) == 5
    assert [berth.inspect(n)["Id"] for n in names] == ids
    assert len({berth.ok("exec", n, "hostname") for n in names}) == 5
    sizes = [smaps(berth.state(n)["Pid"]) for n in names]
    print(sizes)
    for s in sizes:  # what is not its own it shares with the others: a page in five has a fifth of its size here
        assert s["Pss"] < s["Private_Dirty"] + s["Private_Clean"] + (s["Rss"] - s["Private_Dirty"] - s["Private_Clean"]) / 3 + 2048, s
        assert s["Shared_Clean"] + s["Shared_Dirty"] > 4096, s
    berth.fails("fork", parent, "--count", "2", "--name", f"{parent}-f", says="is in use")
    assert "vm inspect" and json.loads(berth.ok("vm", "inspect", "--format", "json", names[0]))["RestoredFrom"]
    berth.ok("rm", "-f", *names)
    root = berth.root
    assert os.listdir(root / "tmp") == [] or all("fork-" not in n for n in os.listdir(root / "tmp"))


def test_a_snapshot_that_fails_or_is_killed_leaves_nothing_and_the_vm_running(vms, parent, tmp_path):
    berth = vms.berth
    # The disk is full: a limit on how long a file of ours may become stops the copy of the disk as a full disk does.
    r = subprocess.run(["prlimit", "--fsize=1048576", *berth.argv("snapshot", "create", parent, "big")], capture_output=True, text=True,
                       timeout=240)
    assert r.returncode != 0, r
    for after in (0.05, 0.5, 1.5):
        p = berth.popen("snapshot", "create", parent, f"k{after}".replace(".", "-"))
        time.sleep(after)
        p.send_signal(signal.SIGKILL)
        p.communicate()
        assert berth.ok("exec", parent, "echo", "alive", timeout=60) == "alive"
    for name in berth.ok("snapshot", "ls", "-q").split():
        berth.ok("snapshot", "rm", name)
    berth.ok("system", "prune", "-f") if berth.ok("ps", "-q").split() else None
    assert not os.path.isdir(berth.root / "snapshots") or os.listdir(berth.root / "snapshots") == []
    assert [n for n in os.listdir(berth.root / "tmp") if n.startswith("snap-")] == []
    assert berth.ok("system", "check").endswith("whole")


def note(vms, name, what):
    """Into the guest's memory; -> all that was noted so far."""
    return vms.berth.ok("exec", name, "sh", "-c", f"echo {what} >>/dev/shm/notes; cat /dev/shm/notes").split()


def memory_bytes(berth, name):
    st = os.stat(berth.root / "snapshots" / berth.ok("snapshot", "inspect", "-f", "{{.Id}}", name) / "memory")
    return st.st_blocks * 512


def test_diffs_hold_what_was_written_and_go_on_where_they_were_taken(vms, parent):
    berth = vms.berth
    until(lambda: berth("exec", parent, "test", "-s", "/w/count").code == 0, "the first write")
    berth.fails("snapshot", "create", "--diff", parent, "none", says=(f"nobody counts what {parent} writes", "--track first"))
    note(vms, parent, "sunday")
    berth.ok("snapshot", "create", "--track", parent, "sunday", timeout=240)
    note(vms, parent, "monday")
    r = berth("snapshot", "create", "--diff", parent, "monday", timeout=240)
    assert r.code == 0 and " beyond sunday, the VM stood still" in r.err, r
    # Neither one that is whole nor a fork disturbs the count.
    note(vms, parent, "between")
    berth.ok("snapshot", "create", "-q", parent, "other", timeout=240)
    twin = track(vms, vms.name())
    berth.ok("fork", "-q", "--name", twin, parent, timeout=240)
    berth.fails("snapshot", "create", "--diff", twin, "none", says="--track first")
    berth.ok("rm", "-f", twin)
    note(vms, parent, "tuesday")
    berth.ok("snapshot", "create", "-q", "--diff", parent, "tuesday", timeout=240)
    note(vms, parent, "wednesday")
    listed = {s["Name"]: s["Parent"] for s in map(json.loads, berth.ok("snapshot", "ls", "--format", "json").split("\n"))}
    assert listed == {"sunday": "", "monday": "sunday", "other": "", "tuesday": "monday"}
    assert berth.ok("snapshot", "inspect", "-f", "{{.Parent}}", "tuesday") == "monday"
    sizes = {n: memory_bytes(berth, n) for n in listed}
    print(sizes)
    assert sizes["monday"] < sizes["sunday"] / 2 and sizes["tuesday"] < sizes["sunday"] / 2, sizes
    for n, notes in (("tuesday", ["sunday", "monday", "between", "tuesday"]), ("monday", ["sunday", "monday"]), ("sunday", ["sunday"])):
        clone = track(vms, vms.name())
        berth.ok("restore", "--name", clone, n, timeout=240)
        assert note(vms, clone, "mine") == [*notes, "mine"]
        disk_is_whole(vms, clone)
        assert who(vms, clone)["host"] == berth.inspect(clone)["Id"][:12]
        berth.ok("rm", "-f", clone)
    assert [n for n in os.listdir(berth.root / "tmp") if n.startswith("chain-")] == []
    berth.fails("snapshot", "rm", "sunday", says=("snapshot monday holds only what has changed", "berth snapshot rm monday"))
    berth.fails("snapshot", "rm", "monday", says="remove tuesday first")
    # A link of the chain that is damaged is named, by whoever needs it.
    where = berth.root / "snapshots" / berth.ok("snapshot", "inspect", "-f", "{{.Id}}", "monday") / "memory"
    with open(where, "r+b") as f:
        f.seek(20)
        byte = f.read(1)
        f.seek(20)
        f.write(bytes([byte[0] ^ 1]))
    berth.fails("restore", "tuesday", says=("what snapshot tuesday goes on from: snapshot monday", "diff file"))
    bad = berth("system", "check")
    assert bad.code == 125 and "snapshot monday" in bad.out + bad.err, bad
    with open(where, "r+b") as f:
        f.seek(20)
        f.write(byte)
    assert berth.ok("system", "check").endswith("whole")
    berth.ok("snapshot", "rm", *berth.ok("snapshot", "ls", "-q").split())  # as they are listed
    berth.fails("snapshot", "create", "--diff", parent, "none", says=("is gone", "--track"))


def test_F01_a_diff_that_is_killed_leaves_nothing_and_the_next_holds_it_all(vms, parent):
    berth = vms.berth
    berth.ok("snapshot", "create", "-q", "--track", parent, "whole", timeout=240)
    for k, after in enumerate((0.02, 0.1, 0.3, 0.8)):
        note(vms, parent, f"n{k}")
        p = berth.popen("snapshot", "create", "--diff", parent, f"k{k}")
        time.sleep(after)
        p.send_signal(signal.SIGKILL)
        p.communicate()
        note(vms, parent, f"m{k}")
    berth.ok("snapshot", "create", "-q", "--diff", parent, "last", timeout=240)
    left = berth.ok("snapshot", "ls", "--format", "{{.Name}}").split()
    clone = track(vms, vms.name())
    berth.ok("restore", "--name", clone, "last", timeout=240)
    assert note(vms, clone, "end") == [f"{c}{k}" for k in range(4) for c in "nm"] + ["end"]
    berth.ok("rm", "-f", clone)
    berth.ok("snapshot", "rm", *left)
    berth.ok("system", "prune", "-f")
    assert os.listdir(berth.root / "snapshots") == []
    assert [n for n in os.listdir(berth.root / "tmp") if n.startswith(("snap-", "chain-"))] == []


def test_V14_a_snapshot_that_was_tampered_with_is_refused_with_one_line(vms, parent):
    berth = vms.berth
    berth.ok("snapshot", "create", "-q", parent, "t", timeout=240)
    where = berth.root / "snapshots" / berth.ok("snapshot", "ls", "-q", "--no-trunc")
    whole = (where / "state").read_bytes()
    meta = (where / "snapshot.json").read_text()
    with open(where / "state", "r+b") as f:
        f.seek(len(whole) // 2)
        f.write(bytes([whole[len(whole) // 2] ^ 1]))
    berth.fails("restore", "t", says="damaged")
    assert berth("system", "check").code == 125
    (where / "state").write_bytes(whole)
    for old, new, says in (('"vmm_version":', '"vmm_version":7', "format 72"), ('"flags":"', '"flags":"nosuchfeature ', "nosuchfeature"),
                           ('"vendor":"', '"vendor":"Other', "Other"), ('"version":1', '"version":9', "version 9")):
        changed = re.sub(re.escape(old).replace(":", r":\s*"), new, meta, count=1)
        assert changed != meta
        (where / "snapshot.json").write_text(changed)
        berth.fails("restore", "t", says=says)
    (where / "snapshot.json").write_text(meta)
    berth.fails("restore", "--name", parent, "t", says="in use")
    assert berth.ok("ps", "-q").count("\n") == 0


def test_what_can_not_be_copied_is_refused(berth, own):
    b = Box(berth, "container", own)
    name = b.start("sleep", "1000")
    try:
        for verb in ("fork", "snapshot create"):
            berth.fails(*verb.split(), name, says=f"is for virtual machines: {name} is a container")
            berth.fails(*verb.split(), "nobody", says="no such container: nobody")
        berth.fails("vm", "inspect", name, says="is a container")
        berth.fails("restore", "nothing", says="no such snapshot: nothing")
        berth.fails("snapshot", "rm", "nothing", says="no such snapshot: nothing")
        berth.fails("fork", "--count", "0", name, says="--count 0")
    finally:
        b.clean()


def test_a_vm_in_a_pod_and_one_with_volumes_are_refused_with_the_remedy(berth, own, tmp_path):
    b = Box(berth, "vm", own)
    pod, member, sharing = b.name(), b.name(), b.name()
    berth.ok("pod", "create", "--isolation", "vm", pod)
    try:
        berth.ok("create", "--pod", pod, "--name", member, own, "true")
        berth.ok("create", "--vm", "-v", f"{tmp_path}:/data", "--name", sharing, own, "true")
        for verb in ("fork", "snapshot create"):
            berth.fails(*verb.split(), member, says=(f"{member} shares its virtual machine with the rest of pod {pod}", "without --pod"))
            berth.fails(*verb.split(), sharing, says=(f"{sharing} has volumes", "without volumes"))
    finally:
        berth("rm", "-f", sharing)
        berth("pod", "rm", "-f", pod)


def test_a_vm_on_qemu_is_refused_with_the_reason(berth, own):
    b = Box(berth, "vm", own)
    os.environ["BERTH_VM_ACCEL"] = "tcg"
    try:
        name = b.start("sleep", "1000", opts=MEMORY)
        berth.fails("snapshot", "create", name, says=("needs berth-vmm", "the VM runs on QEMU, because"))
        assert json.loads(berth.ok("vm", "inspect", "-f", "json", name))["VMM"].startswith("qemu")
    finally:
        del os.environ["BERTH_VM_ACCEL"]
        b.clean()


def test_a_container_that_is_paused_is_not_its_whole_pod(berth, own):
    b = Box(berth, "container", own)
    pod, one, two = b.name(), b.name(), b.name()
    berth.ok("pod", "create", pod)
    try:
        for name in (one, two):
            berth.ok("run", "-d", "--pod", pod, "--name", name, own, "sleep", "1000")
        berth.ok("pause", one)
        assert [berth.state(n)["Status"] for n in (one, two)] == ["paused", "running"]
        assert berth.ok("pod", "inspect", "-f", "{{.State}}", pod) == "Running"
        berth.fails("pod", "unpause", pod, says="is not paused")
        berth.ok("kill", two)  # which its pod does not hold
        berth.ok("unpause", one)
        berth.ok("pod", "pause", pod)
        berth.fails("unpause", one, says=("stands still with its pod", "pod unpause"))
        berth.ok("pod", "unpause", pod)
        assert berth.state(one)["Status"] == "running"
    finally:
        berth("pod", "rm", "-f", pod)


def test_pause_and_unpause(berth, own, isolation):
    b = Box(berth, isolation, own)
    name = b.start("sh", "-c", "while :; do echo x; usleep 10000; done", opts=MEMORY)
    try:
        berth.ok("pause", name)
        assert berth.state(name)["Status"] == "paused"
        seen = stands_still(lambda: berth.ok("logs", name), "what it says")
        berth.fails("pause", name, says="is paused already")
        berth.fails("exec", name, "true", says="paused")
        berth.ok("unpause", name)
        until(lambda: len(berth.ok("logs", name)) > len(seen), "it goes on")
        berth.fails("unpause", name, says="is not paused")
        berth.ok("pause", name)
        for verb in ("fork", "snapshot create"):
            if isolation == "vm":
                berth.fails(*verb.split(), name, says="is paused: unpause it first")
        berth.ok("kill", name)  # what stands still dies all the same
        until(lambda: berth.state(name)["Status"] == "exited", "it has ended", 30)
        assert berth.state(name)["ExitCode"] == 137
    finally:
        b.clean()
