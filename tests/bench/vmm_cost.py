#!/usr/bin/env python3
"""vmm_cost [-n ROUNDS] [--kernel DIRECTORY] [start] [restore] [memory]: what a virtual machine costs beyond the guest itself.

start    from the execution of berth-vmm to the first KVM_RUN, by stages; "own" is without KVM_CREATE_VM, which is the host kernel's work. The
         guest writes a byte and halts, so any KVM will do. One such VM runs all the while, as the first seccomp filter of a host costs more.
restore  the same of a VM that goes on from a snapshot, with 128 MiB and 1 GiB.
memory   PSS of all processes of a VM beyond the guest's RAM, once Linux has found a disk, a network card, a console port and random numbers;
         beside QEMU. Needs a KVM that boots Linux: tests/lab/run -n."""

import argparse
import os
import statistics
import subprocess
import time
from pathlib import Path

import vmm_restore as tiny

WHAT = ("start", "restore", "memory")


# mov $0x3f8,%dx; mov $'\n',%al; out %al,%dx; 1: hlt; jmp 1b
HALT = bytes([0x66, 0xBA, 0xF8, 0x03, 0xB0, 0x0A, 0xEE, 0xF4, 0xEB, 0xFD])
EXEC_AT = tiny.BUILD / "tests/tools/exec_at"


def one_start(plan, fds, stays=False):
    """Its stages; or, where it stays, the process."""
    out, serial = os.pipe()
    plan_fd = os.memfd_create("plan", 0)
    os.write(plan_fd, tiny.json.dumps({**plan, "serial_fd": serial, "cpus": 1}).encode())
    os.lseek(plan_fd, 0, os.SEEK_SET)
    p = subprocess.Popen([EXEC_AT, tiny.VMM, "--config-fd", str(plan_fd), "--trace-startup", "@"], env=tiny.ENV,
                         pass_fds=[plan_fd, serial, *fds], stderr=subprocess.PIPE, text=True)
    os.close(serial)
    os.close(plan_fd)
    assert os.read(out, 1), p.communicate()
    os.close(out)
    if stays:
        return p
    p.terminate()
    said = p.communicate()[1]
    rows = vmm_peers().stages(said)
    assert rows and rows[-1][0] == "first KVM_RUN", said
    return rows


def vmm_peers():
    import vmm_peers as module
    return module


def table(title, rounds):
    """rounds: lists of stages, alike."""
    names = [row[0] for row in rounds[0]]
    total = [r[-1][1] for r in rounds]
    create = [next(d for name, _, d in r if name == "KVM") for r in rounds]
    own = [t - c for t, c in zip(total, create)]
    print(f"\n{title}: {statistics.median(total):.2f} ms to the first KVM_RUN (least {min(total):.2f}); own {statistics.median(own):.2f} (least {min(own):.2f})")
    print("| stage | median ms | least |\n|---|---|---|")
    for i, name in enumerate(names):
        took = [r[i][2] for r in rounds]
        print(f"| {name} | {statistics.median(took):.3f} | {min(took):.3f} |")


def beside(other_plan, other_fds, measure):
    other = one_start(other_plan, other_fds, stays=True)
    try:
        return measure()
    finally:
        other.terminate()
        other.communicate()


def start(n):
    k = tiny.kernel(HALT)
    plan = {"kernel_fd": k, "mem_bytes": 128 << 20}
    table("start", beside(plan, [k], lambda: [one_start(plan, [k]) for _ in range(n)]))


def restore(n):
    k = tiny.kernel(HALT)
    for mib in (128, 1024):
        with vmm_peers().scratch() as where:
            files = tiny.take(mib, Path(where))
            plan = {"state_fd": files[0], "ram_fd": files[1], "mem_bytes": mib << 20}
            rounds = beside({"kernel_fd": k, "mem_bytes": 128 << 20}, [k], lambda: [one_start(plan, files) for _ in range(n)])
            table(f"restore of {mib} MiB", rounds)


def memory(_):
    peers = vmm_peers()
    with peers.scratch() as where:
        where = Path(where)
        disk = where / "disk"
        disk.write_bytes(b"")
        os.truncate(disk, 64 << 20)
        script = """ip link set eth0 up; ip addr add 192.0.2.2/24 dev eth0; ping -c 1 192.0.2.1 >/dev/null
dd if=/dev/vda of=/dev/null bs=1M 2>/dev/null; dd if=/dev/zero of=/dev/vda bs=1M count=16 conv=fsync 2>/dev/null
head -c 4096 /dev/hwrng >/dev/null; say ready
sleep 1000
"""
        initrd = peers.guest.initramfs(where, script, peers.MODULES)
        for which in ("berth-vmm", "qemu"):
            vm = peers.Peer(which, initrd, disk)
            try:
                vm.line("ready")
                took = time.monotonic() - vm.started
                print(f"\n{which}: PSS beyond the guest's RAM {peers.pss_beyond_ram(vm.process.pid)} KiB ({took:.1f} s after its start)")
            finally:
                vm.end()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("-n", type=int, default=20)
    a.add_argument("--kernel", help="for memory: of guest/build-kernel, which boots sooner than the distribution's")
    a.add_argument("what", nargs="*", choices=WHAT)
    o = a.parse_args()
    if o.kernel:
        vmm_peers().use_kernel(o.kernel)
    for name in o.what or WHAT:
        globals()[name](o.n)


if __name__ == "__main__":
    main()
