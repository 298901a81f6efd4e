"""Stores on a file system of their own: a file, formatted as ext4 and mounted, which may lose its power or be full."""

import errno
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from harness import Berth, until
from images import tool

# Nothing gets to the disk by the passing of time, nor because a rename is taken for a wish to sync.
LAZY = "loop,commit=300,noauto_da_alloc"


def empty(berth):
    names = berth("ps", "-aq").out.split()
    if names:
        berth("rm", "-f", *names)


class Disk:
    def __init__(self, berth: Berth, where: Path, megabytes: int, *mkfs):
        where.mkdir()
        self.where, self.file, self.n, self.build = where, where / "image", 0, berth.build
        self.top, self.run = where / "m", where / "r"
        with open(self.file, "wb") as f:
            f.truncate(megabytes << 20)
        tool("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", *mkfs, self.file)
        self.top.mkdir()
        tool("mount", "-o", LAZY, self.file, self.top)
        self.berth = Berth(self.build, self.top / "root", self.run)
        d = os.stat(self.top).st_dev
        device = Path(os.readlink(f"/sys/dev/block/{os.major(d)}:{os.minor(d)}")).name
        Path(f"/sys/fs/ext4/{device}/reserved_clusters").write_text("0")  # full is full

    def close(self):
        empty(self.berth)
        self.umount()
        shutil.rmtree(self.where)

    def umount(self):
        """What has been removed may be on its way out for a moment."""
        try:
            until(lambda: subprocess.run(["umount", self.top], stderr=subprocess.DEVNULL, check=False).returncode == 0, f"{self.top} is free", 10)
        except AssertionError:
            tool("umount", "-l", self.top)
            raise

    def cut(self):
        """What is left when the power goes now: what the file system has handed to its disk so far; booted()."""
        return self.booted(self.taken())

    def taken(self) -> Path:
        self.n += 1
        copy = self.where / f"cut{self.n}"
        tool("cp", "--sparse=always", self.file, copy)
        return copy

    @contextmanager
    def booted(self, copy: Path):
        """A store that was taken, once. It lies over the living one meanwhile, since a store's files know where they are; and there is no
        run directory yet, as after a boot."""
        run = self.where / f"r{copy.name}"  # a mount may live on in others' namespaces
        tool("mount", "-o", "loop", copy, self.top)
        after = Berth(self.build, self.berth.root, run)
        try:
            yield after
        finally:
            empty(after)
            self.umount()
            shutil.rmtree(run, ignore_errors=True)
            os.unlink(copy)

    def fill(self, what):
        """Until there is not a single block, or inode, to be had."""
        os.sync()  # what is only promised so far takes its place first
        where = self.top / "filler"
        where.mkdir()
        if what == "inodes":
            for n in range(1 << 20):
                try:
                    (where / str(n)).touch()
                except OSError as e:
                    assert e.errno == errno.ENOSPC
                    return
        for size in (1 << 20, 4096):
            with open(where / str(size), "wb", buffering=0) as f:
                try:
                    while f.write(bytes(size)):
                        pass
                except OSError as e:
                    assert e.errno == errno.ENOSPC
                os.fsync(f.fileno())
        for n in range(1 << 20):  # what the file's own list of blocks could not have
            try:
                (where / f"d{n}").mkdir()
            except OSError as e:
                assert e.errno == errno.ENOSPC
                return

    def fill_stop(self):
        shutil.rmtree(self.top / "filler", ignore_errors=True)
