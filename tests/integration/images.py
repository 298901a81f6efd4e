"""The images that the tests run.

`base_layout` makes the good one with the distribution's own tools (busybox-static, umoci): two layers, the second of which
deletes, replaces and adds what unpackers get wrong. It is kept under ~/.cache/berth-tests by the hash of its recipe.
`Layout` writes an OCI image layout by hand, for the bad ones that no honest tool would make."""

import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "berth-tests"
KERNELS = CACHE / "kernels"

HELPERS = ("probe", "attack")  # static programs of helpers/, in /bin of the test image

PASSWD = """root:x:0:0:root:/root:/bin/sh
web:x:1000:1000:web:/srv:/bin/sh
10:x:4242:4242:a numeric name:/:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh
"""
GROUP = """root:x:0:
web:x:1000:
www:x:1001:web
extra:x:1002:web
nogroup:x:65534:
"""


def tool(*argv, **kw):
    """Runs a program of the distribution; its whole output is in the failure."""
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw)
    assert done.returncode == 0, f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def _first_layer(root: Path):
    for d in ("bin", "etc", "proc", "sys", "dev", "root", "srv", "var", "opt/opaque", "mnt"):
        (root / d).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in tool("/bin/busybox", "--list").split():
        if applet not in ("busybox", "init", "linuxrc") and not (root / "bin" / applet).exists():
            (root / "bin" / applet).symlink_to("busybox")
    for name in HELPERS:
        tool("gcc", "-D_GNU_SOURCE", "-O1", "-static", HERE / f"helpers/{name}.c", "-o", root / "bin" / name)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    (root / "etc/deleted-later").write_text("the second layer removes me\n")
    (root / "opt/opaque/old").write_text("hidden by the second layer\n")
    (root / "srv/owned").write_text("mine\n")
    os.chown(root / "srv/owned", 1000, 1001)
    os.chown(root / "srv", 1000, 1000)
    os.link(root / "srv/owned", root / "srv/hard-link")
    for d in [root, *(p for p in root.rglob("*") if p.is_dir() and not p.is_symlink())]:
        os.utime(d, (1700000000, 1700000000))  # what the second layer changes in the same second would have no entry of its own


def _second_layer(root: Path):
    (root / "etc/deleted-later").unlink()
    shutil.rmtree(root / "opt/opaque")
    (root / "opt/opaque").mkdir()
    (root / "opt/opaque/new").write_text("only me\n")
    shutil.copy(root / "bin/probe", root / "bin/setuid-probe")
    (root / "bin/setuid-probe").chmod(0o4755)
    (root / "srv/noted").write_text("has an attribute\n")
    os.setxattr(root / "srv/noted", "user.note", b"kept")
    (root / ("opt/" + "long-name-" * 20)).write_text("x")
    (root / "opt/link").symlink_to("/opt/opaque/new")
    os.mkfifo(root / "opt/fifo")
    os.mknod(root / "opt/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with open(root / "opt/sparse", "wb") as f:
        f.truncate(8 << 20)
    evil = root / "bin/self-exe"
    evil.write_text("#!/proc/self/exe\n")
    evil.chmod(0o755)
    script = root / "bin/show"
    script.write_text("#!/bin/sh\necho \"$@\"; id -u; pwd; echo \"$GREETING\"\n")
    script.chmod(0o755)


def base_layout() -> Path:
    """An OCI layout with the images `base` (root, sh) and `app` (USER, ENV, WORKDIR, ENTRYPOINT, CMD, labels)."""
    sources = [Path(__file__), *(HERE / f"helpers/{name}.c" for name in HELPERS), Path("/bin/busybox")]
    recipe = b"".join(path.read_bytes() for path in sources)
    where = CACHE / f"base-{hashlib.sha256(recipe).hexdigest()[:16]}"
    layout = where / "oci"
    if (where / "done").exists():
        return layout
    CACHE.mkdir(parents=True, exist_ok=True)
    work = CACHE / f"making-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    made = work / "oci"
    tool("umoci", "init", "--layout", made)
    tool("umoci", "new", "--image", f"{made}:base")
    for fill in (_first_layer, _second_layer):
        bundle = work / fill.__name__
        tool("umoci", "unpack", "--image", f"{made}:base", bundle)
        fill(bundle / "rootfs")
        tool("umoci", "repack", "--refresh-bundle", "--image", f"{made}:base", bundle)
        shutil.rmtree(bundle)
    tool("umoci", "config", "--image", f"{made}:base", "--config.cmd", "sh", "--config.env",
         "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    tool("umoci", "config", "--image", f"{made}:base", "--tag", "app", "--config.user", "web", "--config.env",
         "GREETING=from the image", "--config.workingdir", "/srv", "--config.entrypoint", "/bin/show", "--config.cmd", "one",
         "--config.cmd", "two", "--config.label", "flavour=plain", "--config.label", "dev.berth.isolation=none",
         "--config.stopsignal", "SIGINT")
    tool("umoci", "gc", "--layout", made)
    (work / "done").touch()
    try:
        work.rename(where)
    except OSError:  # another worker was first
        shutil.rmtree(work)
    return layout


def copy_readable(layout: Path, to: Path):
    """A copy that any user may read."""
    shutil.copytree(layout, to)
    for path in (to, *to.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


class Layout:
    """An OCI image layout written blob by blob. A layer is a list of (tarfile.TarInfo, bytes or None)."""

    def __init__(self, path: Path):
        self.path = path
        (path / "blobs/sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self.manifests = []

    def blob(self, data: bytes) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        (self.path / "blobs/sha256" / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def add(self, name: str, layers, config=None, below: Path = None, rest=None):
        """below: an existing layout whose image `base` lies under the layers."""
        descriptors, diff_ids = [], []
        if below:
            read = lambda d: (below / "blobs/sha256" / d.split(":")[1]).read_bytes()
            index = json.loads((below / "index.json").read_text())
            manifest = json.loads(read(next(m["digest"] for m in index["manifests"]
                                            if m["annotations"]["org.opencontainers.image.ref.name"] == "base")))
            diff_ids = json.loads(read(manifest["config"]["digest"]))["rootfs"]["diff_ids"]
            for d in manifest["layers"]:
                self.blob(read(d["digest"]))
                descriptors.append(d)
        for layer in layers:
            raw = io.BytesIO()
            with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for info, data in layer:
                    tar.addfile(info, io.BytesIO(data) if data is not None else None)
            diff_ids.append("sha256:" + hashlib.sha256(raw.getvalue()).hexdigest())
            descriptors.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                                **self.blob(gzip.compress(raw.getvalue(), 1, mtime=0))})
        text = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"], **(config or {})},
                "rootfs": {"type": "layers", "diff_ids": diff_ids}, **(rest or {})}
        self.add_manifest(name, {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                                 "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                                            **self.blob(json.dumps(text).encode())}, "layers": descriptors})

    def add_manifest(self, name: str, manifest: dict):
        self.manifests.append({"mediaType": "application/vnd.oci.image.manifest.v1+json",
                               **self.blob(json.dumps(manifest).encode()),
                               "annotations": {"org.opencontainers.image.ref.name": name}})
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.manifests}))


def entry(name: str, data=None, *, kind=None, link="", mode=0o755, uid=0, gid=0, size=None):
    """One member of a layer; kind defaults to a file where there is data, else a directory."""
    info = tarfile.TarInfo(name)
    info.type = kind or (tarfile.DIRTYPE if data is None else tarfile.REGTYPE)
    info.linkname, info.mode, info.uid, info.gid = link, mode, uid, gid
    info.size = len(data) if data is not None and size is None else size or 0
    return info, data


def symlink(name: str, target: str):
    return entry(name, kind=tarfile.SYMTYPE, link=target)


def fifo(name: str):
    return entry(name, kind=tarfile.FIFOTYPE)


def whiteout(name: str):
    head, _, tail = name.rpartition("/")
    return entry(f"{head}/.wh.{tail}" if head else f".wh.{tail}", b"")


def bomb(head: bytes, size: int, comp="gzip") -> bytes:
    """That head and then zeros, compressed: of one piece over and over, since to compress gigabytes takes a minute. What little is behind the
    last of them is not right: nobody gets that far."""
    zeros = bytes(16 << 20)
    if comp == "zstd":
        piece = lambda data: subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout  # noqa: E731
        return piece(head) + piece(zeros) * (size // len(zeros))
    deflate = lambda data: (c := zlib.compressobj(1, zlib.DEFLATED, -15)).compress(data) + c.flush(zlib.Z_FULL_FLUSH)  # noqa: E731
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + deflate(head) + deflate(zeros) * (size // len(zeros)) + b"\x03\0" + bytes(8)


def little(where: Path, name: str, text: bytes) -> Layout:
    """One layer of its own: busybox as sh, cat, sleep and true, and that text in /etc/text."""
    made = Layout(where)
    applets = [symlink(f"bin/{a}", "busybox") for a in ("sh", "cat", "sleep", "true")]
    made.add(name, [[*[entry(d) for d in ("bin", "etc", "proc", "sys", "dev", "tmp")], entry("bin/busybox", Path("/bin/busybox").read_bytes()),
                     *applets, entry("etc/text", text, mode=0o644)]])
    return made


def link_or_copy(source, target):
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def bring_kernels(root: Path):
    """To a store that has none: the guest's kernel is fetched once for all sessions and stores."""
    if KERNELS.exists() and not (root / "kernels").exists():
        shutil.copytree(KERNELS, root / "kernels", copy_function=link_or_copy)
