"""Commands that carry files of a container under faults."""

import tarfile
from pathlib import Path

from engine_images import run_of
from engine_life import RunDetached


class CopyIn(RunDetached):
    name = "cp-in"

    def before(self, o):
        o.ok("create", "--name", o.id, o.image, "true")
        o.source.write_text("copied\n" * 3000)

    def argv(self, o):
        return o.argv("cp", o.source, f"{o.id}:/etc/copied")

    def upper(self, o):
        return o.root / "containers" / o.inspect()["Id"] / "upper"

    def check(self, o, done):
        there = self.upper(o) / "etc/copied"
        return [] if there.exists() and there.read_text() == o.source.read_text() else ["exit 0, but it is not there"]

    def after(self, o):
        for f in (o.source, o.out):
            Path(f).unlink(missing_ok=True)


class CopyOut(CopyIn):
    name = "cp-out"

    def argv(self, o):
        return o.argv("cp", f"{o.id}:/bin/busybox", o.out)

    def check(self, o, done):
        return [] if Path(o.out).read_bytes() == Path("/bin/busybox").read_bytes() else ["exit 0, but it is not the same"]


class Diff(CopyIn):
    name = "diff"

    def before(self, o):
        super().before(o)
        o.ok("cp", o.source, f"{o.id}:/etc/copied")

    def argv(self, o):
        return o.argv("diff", o.id)

    def check(self, o, done):
        return [] if done.out == "C /etc\nA /etc/copied\n" else [f"exit 0, but it says {done.out!r}"]


class Export(Diff):
    name = "export"

    def argv(self, o):
        return o.argv("export", "-o", o.out, o.id)

    def check(self, o, done):
        try:
            with tarfile.open(o.out) as t:
                same = t.extractfile("etc/copied").read().decode() == o.source.read_text() and t.getmember("bin/busybox").size > 100000
        except (tarfile.TarError, KeyError, OSError) as e:
            return [f"exit 0, but the archive is no good: {e}"]
        return [] if same else ["exit 0, but the archive has other files"]


class Commit(Diff):
    name = "commit"

    def argv(self, o):
        return o.argv("commit", o.id, "committed:1")

    def check(self, o, done):
        return run_of(o, "committed:1", "/etc/copied", o.source.read_text())

    def after(self, o):
        super().after(o)
        o.run("rm", "-f", o.id)
        o.forget()


COMMANDS = [CopyIn(), CopyOut(), Diff(), Export(), Commit()]
