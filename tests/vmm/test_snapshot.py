"""Snapshots of a Linux guest: the parent goes on, each clone goes on, no two have the same random numbers, and all end in order."""

import json
import os
import re
import secrets
import socket
import time

import pytest

import guest
from guest import MIB, Vmm

MODULES = ("virtio_pci", "virtio_console", "virtio_rng")
TOOL = guest.BUILD / "tests/tools/reseed"
# A shell that counts on the serial port, and obeys a port: the agent of this guest.
SCRIPT = """port=
mount -t tmpfs -o size=90% none /mnt
cp /bin/busybox /kept
until [ -c "$port" ]; do # the host names it in a message that may come after the driver
	for p in /sys/class/virtio-ports/*; do [ "$(cat $p/name 2>/dev/null)" = org.test ] && port=/dev/${p##*/}; done
	usleep 10000
done
(n=0; while :; do say "tick $n"; n=$((n + 1)); sleep 0.1; done) &
exec 3<>$port
echo ready >&3
while read -r verb word <&3; do
	case $verb in
	seed) printf %s "$word" | /bin/reseed && echo seeded >&3 ;;
	uuid) cat /proc/sys/kernel/random/uuid >&3 ;;
	clock) echo $(cut -d' ' -f1 /proc/uptime) $(date +%s) >&3 ;;
	cpus) echo $(nproc) $(grep -c ^processor /proc/cpuinfo) >&3 ;;
	fill) dd if=/dev/zero of=/mnt/big bs=1M count=$word 2>/dev/null && echo full >&3 ;;
	room) mount -o remount,size=${word}m /mnt && echo made >&3 ;;
	drop) rm /mnt/big && echo dropped >&3 ;;
	check) cmp -s /kept /bin/busybox && echo same >&3 ;;
	forks) dmesg | grep -c "reseeded due to virtual machine fork" >&3 ;;
	total) awk '/MemTotal/ { print $2 }' /proc/meminfo >&3 ;;
	off) break ;;
	esac
done
"""


class Machine:
    """A berth-vmm with a control socket and the agent's port."""

    def __init__(self, start, devices=(), **plan):
        self.agent, agent = socket.socketpair()
        self.control, control = socket.socketpair()
        for s in (self.agent, self.control):
            s.settimeout(150 * guest.PATIENCE)
        self.lines = b""
        fds = [agent.detach(), control.detach()]
        self.vmm = start(fds=fds, control_fd=fds[1],
                         devices=[{"rng": {}}, {"console": {"ports": [{"name": "org.test", "fd": fds[0]}]}}, *devices], **plan)

    def line(self):
        while b"\n" not in self.lines:
            got = self.agent.recv(4096)
            assert got, self.vmm.wait(5)
            self.lines += got
        line, self.lines = self.lines.split(b"\n", 1)
        return line.decode()

    def ask(self, words):
        self.agent.sendall(words.encode() + b"\n")
        return self.line()

    def do(self, verb, fds=(), **more):
        socket.send_fds(self.control, [json.dumps({"do": verb, **more}).encode() + b"\n"], list(fds))
        answer = b""
        while not answer.endswith(b"\n"):
            got = self.control.recv(65536)
            assert got, self.vmm.wait(5)
            answer += got
        return json.loads(answer)

    def snapshot(self, where, name, **more):
        paths = [where / f"{name}.state", where / f"{name}.ram"]
        files = [os.open(p, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600) for p in paths]
        answer = self.do("snapshot", files, **more)
        for f in files:
            os.close(f)
        assert answer["ok"], answer
        return paths, answer

    def off(self):
        self.agent.sendall(b"off\n")
        end = self.vmm.wait()
        assert end.status == 0, end
        return end


@pytest.fixture
def machines(tmp_path):
    made = []

    def keep(m):
        made.append(m)
        return m

    def boot(modules=MODULES, **plan):
        initrd = guest.initramfs(tmp_path, SCRIPT, modules, programs=[TOOL])
        m = keep(Machine(lambda **more: Vmm(initrd, **more), **plan))
        assert m.line() == "ready"
        return m

    def restore(paths, **plan):
        return keep(Machine(lambda **more: Vmm(None, snapshot=paths, **more), **plan))

    yield boot, restore
    for m in made:
        if m.vmm.process.poll() is None:
            m.vmm.process.kill()
            m.vmm.process.communicate()


def ticks(vmm):
    return [int(n) for n in re.findall(r"tick (\d+)", vmm.serial.decode(errors="replace"))]


@pytest.mark.parametrize("cpus", [1, 2])
def test_parent_and_two_clones_go_on_and_power_off(machines, tmp_path, cpus):
    boot, restore = machines
    parent = boot(cpus=cpus)
    parent.vmm.expect("tick 5")
    uptime, wall = (float(x) for x in parent.ask("clock").split())
    paths, answer = parent.snapshot(tmp_path, "one")
    assert answer["written_bytes"] < 256 * MIB
    clones = [restore(paths, cpus=cpus) for _ in range(2)]
    for c in clones:
        assert c.ask("cpus").split() == [str(cpus)] * 2
        then, clock = (float(x) for x in c.ask("clock").split())
        assert uptime <= then < uptime + 30 and wall <= clock < wall + 30  # it goes on, and by no leap
        assert c.ask(f"seed {secrets.token_hex(32)}") == "seeded"
        assert c.do("state")["restored_from"] == answer["id"]
    uuids = {c.ask("uuid") for c in (parent, *clones)}
    assert len(uuids) == 3 and all(len(u) == 36 for u in uuids)
    for c in clones:
        c.vmm.expect("tick", 20)
    time.sleep(1)
    seen = [ticks(c.vmm) for c in (parent, *clones)]
    for s in seen:
        assert s == list(range(s[0], s[0] + len(s))) and len(s) > 3, s  # none twice, none left out
    assert seen[0][0] == 0 and seen[1][0] > 4 and seen[2][0] > 4
    for c in (parent, *clones):
        c.off()


@pytest.mark.skipif(not guest.tuned_kernel(), reason="the distribution's kernel has no driver: ./check guest-kernel")
def test_V13_a_guest_with_the_driver_seeds_itself_at_each_restore(machines, tmp_path):
    """Nobody seeds anything here: the machine's new generation alone, and its notice, make the numbers differ."""
    boot, restore = machines
    parent = boot(modules=(), kernel_file=guest.tuned_kernel(), generation=True)
    assert parent.ask("forks") == "0"
    paths, _ = parent.snapshot(tmp_path, "one")
    clones = [restore(paths) for _ in range(2)]
    for c in clones:
        told(c, 1)
    paths, _ = clones[0].snapshot(tmp_path, "two")
    clones += [restore(paths) for _ in range(2)]
    for c in clones[2:]:
        told(c, 2)
    uuids = [c.ask("uuid") for c in (parent, *clones)]
    assert len(set(uuids)) == 5, uuids
    assert [c.ask("forks") for c in (parent, *clones)] == ["0", "1", "1", "2", "2"]  # once each
    for c in (parent, *clones):
        c.off()


def told(machine, times, timeout=20):
    deadline = time.monotonic() + timeout * guest.PATIENCE
    while machine.ask("forks") != str(times):
        assert time.monotonic() < deadline, f"{machine.ask('forks')} generations were noticed of {times}"
        time.sleep(0.05)


def test_a_diff_is_small_and_is_not_taken_for_a_whole_memory(machines, tmp_path):
    boot, _ = machines
    parent = boot()
    parent.snapshot(tmp_path, "base", track=True)
    parent.vmm.expect("tick 20")
    (state, diff), answer = parent.snapshot(tmp_path, "diff", kind="diff")
    assert 0 < answer["written_bytes"] < 64 * MIB
    refused = Machine(lambda **more: Vmm(None, snapshot=(state, tmp_path / "base.ram"), **more))
    end = refused.vmm.wait()
    assert end.status == 1 and "another snapshot" in end.said, end
    parent.off()
    assert os.path.getsize(diff) < 80 * MIB


def test_what_a_clone_writes_stays_with_it(machines, tmp_path):
    boot, restore = machines
    parent = boot()
    paths, _ = parent.snapshot(tmp_path, "one")
    parent.off()
    before = paths[1].read_bytes()
    for _ in range(2):
        restore(paths).off()
    assert paths[1].read_bytes() == before
