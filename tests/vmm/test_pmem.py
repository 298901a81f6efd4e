"""Files as memory of the guest's, in which the distribution's kernel executes in place (DAX)."""

import hashlib
import os
import subprocess

import pytest

from guest import ENDS

MIB = 1 << 20
MODULES = ("virtio_pci", "virtio_pmem", "nd_pmem", "ext4", "erofs")


@pytest.fixture
def files(tmp_path):
    d = tmp_path / "files"
    d.mkdir()
    (d / "text").write_text("from the host\n")
    (d / "big").write_bytes(os.urandom(3 * MIB))
    (d / "busybox").write_bytes(open("/bin/busybox", "rb").read())
    (d / "busybox").chmod(0o755)
    return d


def pmem(path, writable=False):
    fd = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
    return {"fds": [fd], "devices": [{"pmem": {"fd": fd, "writable": writable}}]}


def run(boot, script, path, writable=False):
    end = boot(script, modules=MODULES, **pmem(path, writable))
    assert end.status == ENDS["powered-off"], end
    return end


def test_an_erofs_image_is_executed_in_place_and_can_not_be_changed(boot, tmp_path, files):
    path = tmp_path / "erofs"
    subprocess.run(["mkfs.erofs", "--quiet", path, files], check=True)
    os.truncate(path, (path.stat().st_size + 511) // 512 * 512)
    assert path.stat().st_size % (2 * MIB)  # the window ends in zeroes
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    end = run(boot, """mount -t erofs -o ro,dax=always /dev/pmem0 /mnt || say no mount
say $(grep -o 'erofs .*dax=always' /proc/mounts), $(cat /mnt/text), $(/mnt/busybox echo executed), $(sha256sum </mnt/big)
dd if=/dev/zero of=/dev/pmem0 bs=4k count=16 conv=fsync 2>/dev/null
say survived $(cat /mnt/text)
""", path)
    big = hashlib.sha256((files / "big").read_bytes()).hexdigest()
    assert f"dax=always, from the host, executed, {big}" in end.serial, end
    assert "survived" in end.serial, end
    assert before == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_writable_file_keeps_what_the_guest_has_synced(boot, tmp_path, files):
    path = tmp_path / "ext4"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", files, path, "64M"], check=True)
    end = run(boot, """mount -t ext4 -o dax /dev/pmem0 /mnt || say no mount
say $(grep -o 'ext4 .*dax' /proc/mounts), $(cat /mnt/text)
dd if=/dev/urandom of=/mnt/new bs=64k count=64 conv=fsync 2>/dev/null
sha256sum </mnt/new >/mnt/sum
umount /mnt
""", path, writable=True)
    assert "dax, from the host" in end.serial or "dax=always, from the host" in end.serial, end
    subprocess.run(["e2fsck", "-fn", path], check=True)
    new = subprocess.run(["debugfs", "-R", "cat new", path], check=True, capture_output=True).stdout
    said = subprocess.run(["debugfs", "-R", "cat sum", path], check=True, capture_output=True, text=True).stdout
    assert len(new) == 4 * MIB and said.split()[0] == hashlib.sha256(new).hexdigest()
