"""Disks, as the distribution's kernel uses them."""

import hashlib
import os
import subprocess

import pytest

from guest import ENDS

MIB = 1 << 20
MODULES = ("virtio_pci", "virtio_blk", "ext4", "erofs")


@pytest.fixture
def files(tmp_path):
    """A folder of files to make images of."""
    d = tmp_path / "files"
    (d / "sub").mkdir(parents=True)
    (d / "sub/text").write_text("from the host\n")
    (d / "big").write_bytes(os.urandom(3 * MIB))
    return d


@pytest.fixture
def ext4(tmp_path, files):
    path = tmp_path / "ext4"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", files, path, "64M"], check=True)
    return path


@pytest.fixture
def erofs(tmp_path, files):
    path = tmp_path / "erofs"
    subprocess.run(["mkfs.erofs", "--quiet", path, files], check=True)
    os.truncate(path, (path.stat().st_size + 511) // 512 * 512)
    return path


def disk(path, read_only=False, **more):
    fd = os.open(path, os.O_RDONLY if read_only else os.O_RDWR)
    return fd, {"blk": {"fd": fd, "read_only": read_only, **more}}


def run(boot, script, *disks, **plan):
    end = boot(script, modules=MODULES, fds=[d[0] for d in disks], devices=[d[1] for d in disks], **plan)
    assert end.status == ENDS["powered-off"], end
    return end


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_file_system_is_read_written_synced_and_trimmed(boot, ext4, files, cpus):
    blocks = ext4.stat().st_blocks
    end = run(boot, """mount -t ext4 /dev/vda /mnt && cd /mnt || say no mount
say text $(cat sub/text), $(sha256sum <big), $(ls /sys/block/vda/mq | wc -l) queues, $(cat /sys/block/vda/serial)
say cache $(cat /sys/block/vda/queue/write_cache)
dd if=/dev/urandom of=new bs=64k count=128 conv=fsync 2>/dev/null
sha256sum <new >sum; sync
rm big; sync; fstrim /mnt || say no trim
cd / && umount /mnt
""", disk(ext4, serial="data0"), cpus=cpus)
    big = hashlib.sha256((files / "big").read_bytes()).hexdigest()
    assert f"text from the host, {big} -, {cpus} queues, data0" in end.serial, end
    assert "cache write back" in end.serial and "no trim" not in end.serial, end
    subprocess.run(["e2fsck", "-fn", ext4], check=True)
    new = subprocess.run(["debugfs", "-R", "cat new", ext4], check=True, capture_output=True).stdout
    said = subprocess.run(["debugfs", "-R", "cat sum", ext4], check=True, capture_output=True, text=True).stdout
    assert len(new) == 8 * MIB and said.split()[0] == hashlib.sha256(new).hexdigest()
    # 8 MiB more, 3 MiB less, and what mke2fs had written and never needed
    assert ext4.stat().st_blocks < blocks + 8 * MIB // 512 - 2 * MIB // 512


def test_V12_a_read_only_disk_is_read_and_never_written(boot, erofs, ext4, files):
    before = [hashlib.sha256(p.read_bytes()).hexdigest() for p in (erofs, ext4)]
    end = run(boot, """mount -t erofs /dev/vda /mnt || say no mount
say text $(cat /mnt/sub/text), $(sha256sum </mnt/big), ro $(cat /sys/block/vda/ro /sys/block/vdb/ro)
mount -t ext4 /dev/vdb /proc/fs 2>/dev/null && say mounted for writing
dd if=/dev/zero of=/dev/vdb bs=4k count=1 conv=fsync 2>/dev/null || say refused
""", disk(erofs, True), disk(ext4, True))
    big = hashlib.sha256((files / "big").read_bytes()).hexdigest()
    assert f"text from the host, {big} -, ro 1 1" in end.serial, end
    assert "refused" in end.serial, end
    assert before == [hashlib.sha256(p.read_bytes()).hexdigest() for p in (erofs, ext4)]


def test_a_limit_holds_a_guest_to_its_rate(boot, tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"")
    os.truncate(path, 64 * MIB)
    end = run(boot, """up() { read -r u _ </proc/uptime; say "$1 $u"; }
up before
dd if=/dev/vda of=/dev/null bs=1M count=8 iflag=direct 2>/dev/null
up after
""", disk(path, bytes={"per_second": 4 * MIB, "burst": MIB}))
    at = {w: float(end.serial.split(w + " ")[1].split()[0]) for w in ("before", "after")}
    # Never faster than asked; how much slower is the host's business.
    assert at["after"] - at["before"] > 6 * MIB / (4 * MIB) - 0.1, end


def test_errors_of_the_host_are_the_guests_and_not_the_end(boot, tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"\0" * MIB)
    fd, plan = disk(path)
    vmm = boot("""say up
while [ "$(dd if=/dev/vda bs=512 count=1 iflag=direct 2>/dev/null | head -c 2)" != go ]; do sleep 0.1; done
dd if=/dev/vda of=/dev/null bs=4k skip=200 count=1 iflag=direct 2>/dev/null || say read error
dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null && say and goes on
""", modules=MODULES, wait=False, fds=[fd], devices=[plan])
    vmm.expect("up")
    with open(path, "r+b") as f:
        f.truncate(8192)
        f.write(b"go")
    end = vmm.wait()
    assert end.status == ENDS["powered-off"], end
    assert "read error" in end.serial and "and goes on" in end.serial, end
    assert end.said.count("the file has become shorter") >= 1, end
