"""How the tests drive berth-vmm: a plan on a descriptor, a kernel, and an initramfs of busybox with a script as its /init."""

import glob
import json
import os
import re
import subprocess
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

BUILD = Path(os.environ.get("BERTH_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
VMM = BUILD / "src/main/berth-vmm"
LAB_KERNEL = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "berth-tests/lab/kernel"
ENDS = {"powered-off": 0, "reset": 64, "triple-fault": 65, "guest-panic": 66, "boot-hang": 67, "stopped": 68, "failed": 69}
MIB = 1 << 20
PATIENCE = float(os.environ.get("BERTH_TEST_PATIENCE", "1"))  # how many times longer than usual a guest may take


def environment():
    """As berth starts it: siblings of another build refuse each other."""
    return {**os.environ, "BERTH_BUILD_ID": re.search('"([^"]*)"', (BUILD / "build_id.h").read_text()).group(1)}


def kernel() -> Path:
    """The distribution's cloud kernel, which tests/lab/run has fetched."""
    return Path(max(glob.glob(str(LAB_KERNEL / "boot/vmlinuz-*"))))


def tuned_kernel() -> Path | None:
    """Of guest/build-kernel, in $BERTH_GUEST_KERNEL (`./check guest-kernel`): all that it has is built in."""
    where = os.environ.get("BERTH_GUEST_KERNEL")
    return Path(where) / "vmlinux" if where else None


def module_files(names):
    """Files of these modules and of what they depend on, in the order in which they are loaded."""
    version = next((LAB_KERNEL / "lib/modules").iterdir()).name
    files = []
    for name in names:
        out = subprocess.run(["modprobe", "-d", LAB_KERNEL, "-S", version, "--show-depends", name],
                             check=True, capture_output=True, text=True).stdout
        files += [line.split()[1] for line in out.splitlines() if line.startswith("insmod")]
    return list(dict.fromkeys(files))


def initramfs(where: Path, script: str, modules=(), programs=()) -> Path:
    """An archive that loads modules and runs script (of busybox's shell), and then powers the
    machine off. programs: static ones, into /bin. `say` prints a line, by
    the kernel's log: whole, and out before the machine is off."""
    root = where / "initramfs"
    for d in ("bin", "modules", "proc", "sys", "dev"):
        (root / d).mkdir(parents=True)
    files = module_files(modules)
    (root / "bin/busybox").write_bytes(Path("/bin/busybox").read_bytes())
    for f in programs:
        (root / "bin" / Path(f).name).write_bytes(Path(f).read_bytes())
        (root / "bin" / Path(f).name).chmod(0o755)
    for f in files:
        (root / "modules" / Path(f).name).write_bytes(Path(f).read_bytes())
    loads = "".join(f"insmod /modules/{Path(f).name}\n" for f in files)
    (root / "init").write_text(f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /mnt
say() {{ echo "<2>$*" >/dev/kmsg; }}
{loads}{script}
poweroff -f
""")
    for f in ("init", "bin/busybox"):
        (root / f).chmod(0o755)
    names = subprocess.run(["find", ".", "-print0"], cwd=root, check=True, capture_output=True).stdout
    out = where / "initramfs.cpio"
    with open(out, "wb") as f:
        subprocess.run(["cpio", "-0", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, stdout=f, check=True)
    return out


@dataclass
class End:
    status: int
    said: str    # on standard error
    serial: str  # on the serial port

    def __str__(self):
        return f"exit {self.status}: {self.said}\n--- serial\n{self.serial[-4000:]}"


class Vmm:
    """A berth-vmm at work. reboot=a: a kernel that meets hardware-reduced ACPI asks for EFI otherwise. devices: the plan's; every descriptor in `fds` is handed over and closed here."""

    def __init__(self, initrd: Path | None, cpus=1, mem_mib=256, cmdline="", devices=(), fds=(), boot_limit_ms=0, snapshot=None, kernel_file=None, **more):
        """initrd: boots with it; or snapshot: goes on from its two files, state and memory."""
        out, serial = os.pipe()
        plan_out, plan_in = os.pipe()
        plan = {"serial_fd": serial, "cpus": cpus, "mem_bytes": mem_mib * MIB, "devices": list(devices), "boot_limit_ms": boot_limit_ms, **more}
        with ExitStack() as files:
            names = ("state_fd", "ram_fd") if snapshot else ("kernel_fd", "initrd_fd")
            opened = [files.enter_context(open(f, "rb")).fileno() for f in snapshot or (kernel_file or kernel(), initrd)]
            plan |= dict(zip(names, opened))
            if not snapshot:
                plan["cmdline"] = f"console=ttyS0 quiet panic=-1 random.trust_cpu=on {cmdline or 'reboot=a'}"
            os.write(plan_in, json.dumps(plan).encode())
            os.close(plan_in)
            self.process = subprocess.Popen([VMM, "--config-fd", str(plan_out)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(),
                                            pass_fds=[*opened, serial, plan_out, *fds])
        for fd in (serial, plan_out, *fds):
            os.close(fd)
        self.serial = b""
        self.reader = threading.Thread(target=self._read, args=(out,), daemon=True)
        self.reader.start()

    def _read(self, fd):
        while chunk := os.read(fd, 65536):
            self.serial += chunk
        os.close(fd)

    def expect(self, text: str, timeout=60):
        """Waits until the serial port has told it."""
        deadline = time.monotonic() + timeout * PATIENCE
        while text not in self.serial.decode(errors="replace"):
            assert self.process.poll() is None and time.monotonic() < deadline, f"no {text!r}: {self.wait(1)}"
            time.sleep(0.05)

    def wait(self, timeout=60) -> End:
        try:
            _, err = self.process.communicate(timeout=timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, err = self.process.communicate()
            raise AssertionError(f"still running after {timeout * PATIENCE} s; {err.decode(errors='replace')}\n"
                                 f"{self.serial[-4000:].decode(errors='replace')}") from None
        self.reader.join(10)
        return End(self.process.returncode, err.decode(errors="replace"), self.serial.decode(errors="replace"))
