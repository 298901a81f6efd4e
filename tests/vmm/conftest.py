"""Fixtures for tests of berth-vmm with whole guests. They need KVM on which a stock kernel boots: `./check lab-vm` runs them in a
machine that has it (tests/lab/run -n)."""

import os

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
