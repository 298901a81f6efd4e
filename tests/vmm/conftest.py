"""Fixtures for tests of berth-vmm with whole guests. They need KVM on which a stock kernel boots: `./check lab-vm` runs them in a
machine that has it (tests/lab/run -n)."""

import os
import subprocess

import pytest

import guest


def pytest_collection_modifyitems(items):
    # A paravirtual KVM opens as well, but boots no stock kernel within minutes.
    why = None
    if not os.path.exists("/dev/kvm"):
        why = "there is no /dev/kvm"
    elif os.environ.get("BERTH_LAB") != "1":
        why = "boots whole guests, for which the lab has a KVM that is known: ./check lab-vm"
    for item in items if why else ():
        item.add_marker(pytest.mark.skip(reason=why))


def violations():
    """What the kernel has logged of system calls that a filter refused (AUDIT_SECCOMP); nobody else is there to make any."""
    lines = subprocess.run(["dmesg"], check=True, capture_output=True, text=True, errors="replace").stdout.splitlines()
    return [line for line in lines if "type=1326" in line]


@pytest.fixture(autouse=True)
def all_calls_are_listed():
    """Whatever a guest's traffic makes berth-vmm do, its threads' lists have the calls for it (vmm/seccomp_table.c)."""
    before = len(violations())
    yield
    assert violations()[before:] == []


@pytest.fixture
def boot(tmp_path):
    """boot(script, modules=(), programs=(), **plan) -> how the machine ended."""
    started = []

    def run(script, modules=(), programs=(), wait=True, timeout=60, **plan):
        started.append(guest.Vmm(guest.initramfs(tmp_path, script, modules, programs), **plan))
        return started[-1].wait(timeout) if wait else started[-1]

    yield run
    for v in started:
        if v.process.poll() is None:
            v.process.kill()
            v.process.communicate()
