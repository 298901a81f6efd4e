#!/usr/bin/env python3
"""vmm_shares [-n ROUNDS]: a shared directory in berth-vmm with berth-fs, as it is by default and as a volume that is "cached", and in QEMU with the
distribution's virtiofsd as berth starts it, taking turns with the same guest. Medians of the guest's own seconds, and the ratios that say how
berth-fs compares (above 1: better than virtiofsd, which lets the guest keep names and attributes for a second, as "cached" does). Needs a KVM that
boots Linux (tests/lab/run -n); an emulated one knows only ratios."""

import argparse
import os
import re
import socket
import statistics
import subprocess
import time
from pathlib import Path

import vmm_peers as peers

guest = peers.guest
TOOL = guest.BUILD / "tests/tools/guest_files"
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
FILES, BIG_MIB, SMALL = 1000, 64, 300
# name, the guest's commands; each has a page cache without the share's pages
JOBS = (
    (f"{BIG_MIB} MiB read in order", "dd if=big of=/dev/null bs=256k"),
    ("16 MiB written, to the disk", "dd if=/dev/zero of=new bs=256k count=64 conv=fsync"),
    (f"{FILES} names of a directory, with attributes", "ls -l many"),
    ("the same once more", "ls -l many"),
    (f"{SMALL} files opened and read", f"cd many; cat $(ls | head -n {SMALL}); cd .."),
    (f"{SMALL} files made", f"mkdir made; for i in $(seq {SMALL}); do : >made/$i; done"),
    ("and removed", "rm -r made"),
)


class Server:
    """berth-fs behind the plan's descriptor, or virtiofsd behind a socket's name."""

    def __init__(self, which, tree, where):
        self.name = where / "fs.sock"
        if which == "qemu":
            self.process = subprocess.Popen([VIRTIOFSD, f"--socket-path={self.name}", "-o", f"source={tree}",
                                             "-o", "cache=auto,xattr,announce_submounts,sandbox=namespace", "-o", "log_level=err"], stderr=subprocess.DEVNULL)
            while not self.name.exists():
                assert self.process.poll() is None, "virtiofsd has ended"
                time.sleep(0.01)
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        trust = "cached=" if which == "cached" else ""
        stage = f"mount --make-rprivate / && mount --rbind {tree} {tree} && exec {guest.BUILD}/src/main/berth-fs {trust} 3<&{theirs.fileno()} 4<{tree}"
        self.process = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", stage], stdin=subprocess.DEVNULL,
                                        pass_fds=[theirs.fileno()], env=guest.environment())
        theirs.close()
        self.fd = ours.detach()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.name.unlink(missing_ok=True)


def run(which, initrd, server):
    """What the guest's serial port has told."""
    if which != "qemu":
        return guest.Vmm(initrd, fds=[server.fd], devices=[{"fs": {"tag": "share", "fd": server.fd}}]).wait(300).serial
    out = subprocess.run([*peers.QEMU, "-m", "256", "-object", "memory-backend-memfd,id=ram,size=256M,share=on", "-kernel", str(guest.kernel()),
                          "-initrd", str(initrd), "-append", peers.CMDLINE, "-serial", "stdio", "-no-reboot", "-chardev", f"socket,id=fs,path={server.name}",
                          "-device", "vhost-user-fs-pci,chardev=fs,tag=share"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300 * guest.PATIENCE)
    return out.stdout + out.stderr


def make_tree(where):
    (where / "many").mkdir(parents=True)
    (where / "big").write_bytes(os.urandom(1 << 20) * BIG_MIB)
    for i in range(FILES):
        (where / f"many/f{i:04}").write_text(f"{i}\n")


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("-n", type=int, default=3)
    o = a.parse_args()
    found = {}
    script = "mount -t virtiofs -o nodev share /mnt; cd /mnt\nnow() { read a b </proc/uptime; echo ${a%.*}${a#*.}; }\n" + "".join(
        f"echo 1 >/proc/sys/vm/drop_caches; b=$(now); {{ {do}; }} >/dev/null 2>&1; say job {i} took $(($(now) - b))\n" for i, (_, do) in enumerate(JOBS)) + "rm new; cd /; umount /mnt\n"
    with peers.scratch() as where:
        where = Path(where)
        make_tree(where / "tree")
        initrd = guest.initramfs(where, script, ("virtio_pci", "virtiofs"), [TOOL])
        for _ in range(o.n):
            for which in ("default", "cached", "qemu"):
                server = Server(which, where / "tree", where)
                try:
                    said = run(which, initrd, server)
                finally:
                    server.end()
                rows = re.findall(r"job (\d+) took (\d+)", said)
                assert len(rows) == len(JOBS), said[-3000:]
                for i, hundredths in rows:
                    found.setdefault((int(i), which), []).append(int(hundredths) / 100)
    print("| | berth-fs s | cached s | virtiofsd s | virtiofsd by berth-fs | by cached |\n|---|---|---|---|---|---|")
    for i, (name, _) in enumerate(JOBS):
        ours, cached, theirs = (statistics.median(found[i, w]) for w in ("default", "cached", "qemu"))
        print(f"| {name} | {ours:.2f} | {cached:.2f} | {theirs:.2f} | {theirs / max(ours, 0.01):.2f} | {theirs / max(cached, 0.01):.2f} |")


if __name__ == "__main__":
    main()
