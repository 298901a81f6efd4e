"""Images that Berth has made (commit, import), saved by it, loaded and run right by Docker and Podman."""

import subprocess

import pytest

from harness import Berth

CHANGES = ("echo new >/srv/new; ln /srv/new /srv/new2; chown 7:8 /srv/new; chmod 4711 /srv/new; rm /srv/noted; rm -r /opt/opaque; "
           "mkdir /opt/opaque; touch /opt/opaque/mine; ln -s /nowhere /srv/dangling; touch -d 2001-02-03 /srv/old; mkdir -m 1777 /srv/sticky")
LOOK = ("cd /; find srv opt | sort | while read f; do stat -c '%n %F %a %u %g' $f; done; stat -c %h /srv/new; cat /srv/new; "
        "readlink /srv/dangling; stat -c %Y /srv/old; pwd; echo $MADE; id -u")


@pytest.fixture(scope="module")
def made(runtime, archive, scratch):
    """Archives of `committed:1` and `imported:1`, and what their files look like where they were made."""
    where = scratch / "made"
    where.mkdir()
    berth = Berth(runtime.parents[2], where / "root", where / "run")
    berth.ok("load", "-q", "-i", archive)
    berth.ok("run", "--name", "c", "--network", "none", "base", "sh", "-c", CHANGES)
    change = ("-c", "ENV MADE=by-berth", "-c", "WORKDIR /", "-c", "USER nobody", "-c", 'CMD ["sh", "-c", "echo by default"]')
    berth.ok("commit", "-a", "who", "-m", "why", *change, "c", "committed:1")
    tar = subprocess.run(berth.argv("export", "c"), capture_output=True, check=True).stdout
    berth.ok("import", *change, "-c", "ENV PATH=/bin", "-", "imported:1", input=tar)
    berth.ok("save", "-o", where / "images.tar", "committed:1", "imported:1")
    seen = {name: berth.ok("run", "--rm", "--network", "none", name, "sh", "-c", LOOK) for name in ("committed:1", "imported:1")}
    assert "by-berth\n65534" in seen["committed:1"] and "new 4711" not in seen["committed:1"]
    assert seen["committed:1"] == seen["imported:1"]
    berth.ok("rm", "-f", "c")
    return where / "images.tar", seen


@pytest.mark.parametrize("image", ["committed:1", "imported:1"])
@pytest.mark.parametrize("name", ["podman", "docker"])
def test_another_engine_runs_what_berth_has_made(request, name, image, made):
    engine = request.getfixturevalue(name)
    path, seen = made
    run = engine.run if name == "podman" else lambda *args: ("run", *args)
    engine.ok("load", "-q", "-i", path)
    assert engine.ok(*run("--rm", "--network", "none", image, "sh", "-c", LOOK)) == seen[image]
    assert engine.ok(*run("--rm", "--network", "none", image)) == "by default"
    assert "why" in engine.ok("history", "--no-trunc", image) or image == "imported:1"
    engine.ok("rmi", "-f", image)
