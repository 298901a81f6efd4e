"""An image of the distribution's own programs, each with the libraries that it loads, above the base image: what its users would run."""

import hashlib
import re
import shutil
from pathlib import Path

import images
from images import entry, symlink, tool


def needed(program: Path) -> set:
    """The loader and the libraries, by the names that are looked for."""
    return {Path(p) for p in re.findall(r"(/\S+) \(0x", tool("ldd", program))}


def members(programs, files: dict) -> list:
    """One layer: programs in /bin, libraries where the loader looks, files (path -> bytes) where they are told to be."""
    found = {f"bin/{p.name}": p.read_bytes() for p in programs}
    for lib in sorted(set().union(*(needed(p) for p in programs))):
        found[f"lib64/{lib.name}" if lib.name.startswith("ld-") else f"usr/lib/x86_64-linux-gnu/{lib.name}"] = lib.read_bytes()
    found.update(files)
    dirs = {str(d) for name in found for d in Path(name).parents} - {".", "bin", "etc"}
    return [*[entry(d) for d in sorted(dirs)], symlink("lib", "usr/lib"), *[entry(name, data) for name, data in found.items()]]


def image(berth, layout: Path, name: str, programs, files: dict) -> str:
    """Loaded into berth's store -> its reference. Its layout is kept by the hash of what is in it."""
    paths = [Path(shutil.which(p) or f"/missing/{p}").resolve() for p in programs]
    missing = [p.name for p in paths if not p.exists()]
    assert not missing, f"{missing} missing here: scripts/install-packages test"
    layer = members(paths, files)
    digest = hashlib.sha256(str(layout).encode())
    for info, data in layer:
        digest.update(info.name.encode() + (data or b""))
    where = images.CACHE / f"{name}-{digest.hexdigest()[:16]}"
    if not where.exists():
        images.CACHE.mkdir(parents=True, exist_ok=True)
        making = where.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        images.Layout(making).add(f"{name}:1", [layer], below=layout)
        making.rename(where)
    berth.ok("load", "-q", "-i", where)
    return f"{name}:1"
