"""The distribution's kernel boots, and each of its ends is told."""

import socket

import pytest

from guest import ENDS, PATIENCE


def ended(end, how, says=""):
    assert end.status == ENDS[how], end
    assert end.said.startswith(f"berth-vmm: {how}") and says in end.said, end


@pytest.mark.parametrize("cpus", [1, 2])
def test_the_distributions_kernel_boots_and_powers_off(boot, cpus):
    end = boot("say up with $(nproc) of $(uname -r)", cpus=cpus)
    ended(end, "powered-off")
    assert f"up with {cpus} of " in end.serial, end


def test_a_guests_memory_is_what_the_plan_says(boot):
    end = boot("say $(grep MemTotal /proc/meminfo)", mem_mib=128)
    ended(end, "powered-off")
    kib = int(end.serial.split("MemTotal:")[1].split()[0])
    assert 64 << 10 < kib < 128 << 10


def test_the_guest_gets_random_numbers_from_the_host(boot):
    script = "say $(cat /sys/class/misc/hw_random/rng_current) $(head -c 4096 /dev/hwrng | wc -c)"
    end = boot(script, modules=("virtio_pci", "virtio_rng"), devices=[{"rng": {}}])
    ended(end, "powered-off")
    assert "virtio_rng.0 4096" in end.serial, end


def test_a_console_port_carries_bytes_both_ways(boot):
    ours, theirs = socket.socketpair()
    script = """port=
until [ -c "$port" ]; do # the host names it in a message that may come after the driver
	for p in /sys/class/virtio-ports/*; do [ "$(cat $p/name 2>/dev/null)" = org.test ] && port=/dev/${p##*/}; done
	usleep 10000
done
exec 3<>$port
echo hello >&3
read -r answer <&3
say "the host says $answer"
"""
    fd = theirs.detach()
    vmm = boot(script, modules=("virtio_pci", "virtio_console"), wait=False, fds=[fd],
               devices=[{"console": {"ports": [{"name": "org.test", "fd": fd}]}}])
    ours.settimeout(60 * PATIENCE)
    got = ours.recv(100)
    assert got == b"hello\n", vmm.wait()
    ours.sendall(b"welcome\n")
    end = vmm.wait()
    ended(end, "powered-off")
    assert "the host says welcome" in end.serial, end


@pytest.mark.parametrize("how, script, cmdline", [
    ("reset", "reboot -f", ""),
    ("triple-fault", "reboot -f", "reboot=t"),
    ("reset", "echo c > /proc/sysrq-trigger", ""),  # panic=-1: a panic resets at once
    ("boot-hang", "sleep 1000", ""),
])
def test_each_end_is_told_apart(boot, how, script, cmdline):
    end = boot(script, cmdline=cmdline, boot_limit_ms=15000 if how == "boot-hang" else 0)
    ended(end, how)
    if "sysrq" in script:
        assert "Kernel panic - not syncing: sysrq triggered crash" in end.serial, end


def test_a_guest_is_stopped_by_sigterm(boot):
    vmm = boot("say up; sleep 1000", wait=False)
    vmm.expect("up")
    vmm.process.terminate()
    ended(vmm.wait(), "stopped", "SIGTERM")
