"""Layers that hold files without entries for the directories that these are in, as Bazel, Jib and others build them."""

import os

import pytest

import images
from images import entry, whiteout


def file(name, data=b"x"):
    return entry(name, data, mode=0o644)


def owned(name, mode=0o2750, uid=1000, gid=1001):
    info, _ = entry(name, mode=mode, uid=uid, gid=gid)
    info.pax_headers = {"SCHILY.xattr.user.colour": "blue"}
    info.mtime = 1_000_000_000
    return info, None


BELOW = [owned("kept"), file("kept/a"), owned("gone"), owned("deep"), owned("deep/er", mode=0o700), owned("said"),
         owned("opaque"), owned("opaque/in"), images.symlink("link", "kept")]
IMPLIED = [file("kept/b"), file("deep/er/and/b"), whiteout("gone"), file("said/b"), owned("said", mode=0o711, uid=7, gid=8),
           file("new/b"), file("link/b"), file("opaque/.wh..wh..opq")]
ABOVE = [file("kept/c"), file("gone/c"), file("deep/c"), file("new/c"), file("opaque/in/c")]
WANTED = {"kept": "2750 1000:1001", "deep": "2750 1000:1001", "deep/er": "700 1000:1001", "deep/er/and": "755 0:0", "gone": "755 0:0",
          "said": "711 7:8", "new": "755 0:0", "link": "755 0:0", "opaque": "2750 1000:1001", "opaque/in": "755 0:0"}


@pytest.fixture(scope="module")
def made(tmp_path_factory, layout):
    where = images.Layout(tmp_path_factory.mktemp("layers") / "oci")
    where.add("implied", [BELOW, IMPLIED, ABOVE], below=layout)
    return where.path


def shown(berth, ref):
    out = berth.ok("run", "--rm", "--network", "none", ref, "sh", "-c", f"cd /; stat -c '%n %a %u:%g' {' '.join(WANTED)}")
    return dict(line.split(" ", 1) for line in out.splitlines())


@pytest.mark.parametrize("way", ["load", "pull"])
def test_directories_that_are_only_implied_are_as_the_layers_below_have_them(empty, registry, made, way):
    if way == "pull":
        ref = registry.push(made, "implied", "layers/implied:1")
        empty.ok("pull", ref)
    else:
        empty.ok("load", "-q", "-i", made)
        ref = empty.ok("images", "-q").split()[0]
    assert shown(empty, ref) == WANTED
    names = empty.ok("run", "--rm", "--network", "none", ref, "sh", "-c", "cd /; ls -R kept gone opaque link; stat -c %Y kept")
    assert names == "gone:\nc\n\nkept:\na\nb\nc\n\nlink:\nb\n\nopaque:\nin\n\nopaque/in:\nc\n1000000000"
    assert "all objects are whole" in empty.ok("system", "check")
    layers = [d for d in (empty.root / "layers").glob("*/diff/**/") if (d.parts[-1] in WANTED)]
    assert layers and not [d for d in layers if "trusted.berth.implied" in os.listxattr(d)]
    kept = [os.getxattr(d, "user.colour") for d in layers if d.parts[-1] == "kept"]
    assert kept == [b"blue"] * 3
