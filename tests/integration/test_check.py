"""`system check`: what is damaged or left over is named with its remedy; `--repair` and a pull make all whole again."""

import json
import os
import shutil
import subprocess

import pytest

import images
from harness import Berth, Terminal


@pytest.fixture
def mine(berth, scratch):
    """A store of the test's own, since what is done to it here would disturb others."""
    b = Berth(berth.build, scratch / "check-root", scratch / "check-run")
    yield b
    left = b("ps", "-aq").out.split()
    if left:
        b("rm", "-f", *left)
    assert b("ps", "-aq").out == ""
    b("system", "prune", "-f")
    shutil.rmtree(b.root)
    shutil.rmtree(b.run_dir, ignore_errors=True)


@pytest.fixture
def pulled(mine, registry, layout):
    ref = registry.push(layout, "base", "test/checked:1")
    mine.ok("pull", "-q", ref)
    return ref


def findings(b, *args) -> list:
    r = b("system", "check", *args, "--format", "json")
    assert r.err == "", r
    rows = [json.loads(line) for line in r.out.splitlines()]
    assert r.code == (125 if any(row["State"] != "repaired" for row in rows) else 0), r
    return rows


def damage(path, at=10):
    mode = path.stat().st_mode
    path.chmod(0o600)
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 1]))
    path.chmod(mode)


def parts(b, ref):
    """Manifest, config and layer blobs, and unpacked layers' directories."""
    one = json.loads(b.ok("image", "inspect", ref))[0]
    blobs = b.root / "oci/blobs/sha256"
    index = json.loads((b.root / "oci/index.json").read_text())
    manifest = blobs / index["manifests"][0]["digest"].split(":")[1]
    doc = json.loads(manifest.read_text())
    assert one["Id"] == doc["config"]["digest"]
    return manifest, blobs / doc["config"]["digest"].split(":")[1], [blobs / d["digest"].split(":")[1] for d in doc["layers"]], \
        sorted((b.root / "layers").iterdir())


def a_file(layer):
    return next(p for p in sorted((layer / "diff").rglob("*")) if p.is_file() and not p.is_symlink() and p.stat().st_size > 20)


def run(b, ref):
    return b("run", "--rm", "--network", "none", ref, "true")


@pytest.mark.parametrize("what", ["manifest", "config", "blob", "layer", "missing blob", "missing layer"])
def test_F12_a_damaged_object_is_named_and_a_pull_repairs_it(mine, pulled, what):
    manifest, config, blobs, layers = parts(mine, pulled)
    victim = {"manifest": manifest, "config": config, "blob": blobs[0], "missing blob": blobs[0]}.get(what, layers[0])
    if what == "missing layer":
        shutil.rmtree(victim)
    elif what == "missing blob":
        victim.unlink()
    else:
        damage(a_file(victim) if what == "layer" else victim)
    found = findings(mine)
    assert {(f["Kind"], f["Name"], f["State"]) for f in found} == {("layer" if "layer" in what else "blob", f"sha256:{victim.name}", "damaged")}
    assert found[0]["Images"] == [pulled] and f"berth pull {pulled}" in found[0]["Remedy"]
    text = mine("system", "check")
    assert text.code == 125 and victim.name in text.out and pulled in text.out, text
    if what == "missing layer":
        mine.fails("run", "--rm", pulled, "true", says=[pulled, victim.name, f"`berth pull {pulled}` repairs it"])
    mine.ok("pull", "-q", pulled)
    assert findings(mine) == [] and mine.ok("system", "check") == "all objects are whole"
    assert run(mine, pulled).code == 0


def test_F12_repair_sets_aside_what_is_damaged_and_the_next_pull_brings_it(mine, pulled):
    manifest, config, blobs, layers = parts(mine, pulled)
    damage(blobs[0])
    damage(a_file(layers[0]))
    assert {f["State"] for f in findings(mine, "--repair")} == {"set aside"}
    assert not blobs[0].exists() and not layers[0].exists() and not list((mine.root / "tmp").iterdir())
    assert {f["Problem"] for f in findings(mine)} == {"is missing"}
    assert pulled in mine.fails("run", "--rm", pulled, "true", says=["is missing", "repairs it"])
    mine.ok("pull", "-q", pulled)
    assert findings(mine) == [] and run(mine, pulled).code == 0


def test_F12_a_layer_that_a_running_container_stands_on_stays_until_that_has_ended(mine, pulled):
    _, _, _, layers = parts(mine, pulled)
    mine.ok("run", "-d", "--network", "none", "--name", "stands", pulled, "sleep", "1000")
    victim = a_file(layers[0])
    os.utime(victim)
    victim.chmod(victim.stat().st_mode ^ 0o001)
    assert any("running container stands on it" in f["Problem"] for f in findings(mine, "--repair"))
    mine.fails("pull", "-q", pulled, says=["running container stands on it", layers[0].name])
    assert layers[0].exists() and mine.ok("exec", "stands", "echo", "lives") == "lives"
    mine.ok("rm", "-f", "stands")
    mine.ok("pull", "-q", pulled)
    assert findings(mine) == []


def test_leftovers_are_named_and_repair_removes_them(mine, pulled):
    ident, digest = "ab" * 32, "cd" * 32
    made = [mine.root / "containers" / ident, mine.run_dir / "containers" / ident, mine.root / "layers" / digest, mine.root / "tmp/unpack-x",
            mine.root / "volumes/.rm-x", mine.root / "volumes/nobodys", mine.root / "pods" / ident, mine.root / "snapshots" / ident]
    for path in made:
        path.mkdir(parents=True)
        (path / "file").write_text("x")
    blob = mine.root / "oci/blobs/sha256" / digest
    blob.write_text("")
    where = mine.root / "tmp/mounted"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", where], check=True)
    try:
        found = findings(mine)
        assert all((path.exists(), path) for path in made)  # a look changes nothing
        names = {f["Name"] for f in found if f["Kind"] == "leftover"}
        assert {str(p) for p in [*made, blob, where]} <= names, names
        assert all("--repair" in f["Remedy"] for f in found if f["Kind"] == "leftover")
        # An unknown layer without a list, and an empty blob, are damaged besides.
        assert {f["Name"] for f in found if f["Kind"] != "leftover"} == {f"sha256:{digest}"}
        assert {f["State"] for f in findings(mine, "--repair")} == {"repaired"}
    finally:
        subprocess.run(["umount", "-q", where], check=False)
    assert not any(path.exists() for path in [*made, blob, where])
    assert findings(mine) == [] and run(mine, pulled).code == 0


def test_records_that_point_at_nothing_are_named(mine, pulled):
    mine.ok("create", "--network", "none", "--name", "hollow", pulled, "true")
    mine.ok("create", "--network", "none", "--name", "bare", pulled, "true")
    mine.ok("volume", "create", "lost")
    mine.ok("pod", "create", "--name", "planless")
    assert findings(mine) == []
    shutil.rmtree(mine.root / "containers" / mine.inspect("hollow")["Id"])
    shutil.rmtree(mine.root / "containers" / mine.inspect("bare")["Id"] / "upper")
    shutil.rmtree(mine.root / "volumes/lost/_data")
    shutil.rmtree(next((mine.root / "pods").iterdir()))
    found = {(f["Kind"], f["Name"]): f for f in findings(mine)}
    assert set(found) == {("container", "hollow"), ("container", "bare"), ("volume", "lost"), ("pod", "planless")}
    assert "berth rm -f hollow" in found["container", "hollow"]["Remedy"]
    for args in (("rm", "-f", "hollow", "bare"), ("volume", "rm", "lost"), ("pod", "rm", "-f", "planless")):
        mine.ok(*args)
    assert findings(mine) == []


def test_a_running_container_and_everything_it_has_is_no_finding(mine, pulled):
    mine.ok("run", "-d", "--network", "none", "--name", "lives", "-v", "data:/data", "-v", "/anonymous", pulled, "sleep", "1000")
    mine.ok("pod", "create", "--name", "both")
    mine.ok("run", "-d", "--pod", "both", "--name", "inside", pulled, "sleep", "1000")
    mine.ok("create", "--name", "waits", pulled, "true")
    mine.ok("run", "--name", "ended", "--network", "none", pulled, "true")
    assert findings(mine) == [] and findings(mine, "--repair") == []
    assert mine.ok("exec", "lives", "echo", "still") == "still"
    mine.ok("pod", "rm", "-f", "both")


@pytest.mark.vm
def test_a_vm_and_everything_it_has_is_no_finding(mine, pulled):
    images.bring_kernels(mine.root)
    mine.ok("run", "-d", "--isolation", "vm", "--network", "none", "--name", "lives", "-v", "data:/data", pulled, "sleep", "1000")
    assert findings(mine) == []
    mine.ok("rm", "-f", "lives")
    assert findings(mine) == []


def test_progress_is_for_terminals(mine, pulled):
    assert mine("system", "check").err == ""
    t = Terminal(mine.argv("system", "check"))
    try:
        t.expect(r"checking \d+ of \d+: sha256:")
        t.expect("all objects are whole")
        assert t.wait() == 0
    finally:
        t.close()


# ---- df ----

def df(b, *args):
    return [json.loads(line) for line in b.ok("system", "df", "--format", "json", *args).splitlines()]


def test_df_counts_what_is_there_and_what_would_be_free(mine, pulled):
    head, *rows = mine.ok("system", "df").splitlines()
    assert head.split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert [r.split("  ")[0] for r in rows] == ["Images", "Containers", "Local Volumes", "Build Cache"]
    one = {r["Type"]: r for r in df(mine)}
    assert (one["Images"]["TotalCount"], one["Images"]["Active"]) == ("1", "0") and one["Images"]["Reclaimable"].endswith(" (100%)")
    assert one["Build Cache"] == {"Active": "0", "Reclaimable": "0B", "Size": "0B", "TotalCount": "0", "Type": "Build Cache"}
    mine.ok("run", "--name", "wrote", "--network", "none", "-v", "kept:/kept", pulled, "sh", "-c",
            "head -c 2000000 /dev/zero >/big; head -c 1000000 /dev/zero >/kept/x")
    mine.ok("run", "-d", "--name", "runs", "--network", "none", pulled, "sleep", "1000")
    mine.ok("volume", "create", "idle")
    one = {r["Type"]: r for r in df(mine)}
    assert (one["Images"]["Active"], one["Images"]["Reclaimable"]) == ("1", "0B (0%)")
    assert (one["Containers"]["TotalCount"], one["Containers"]["Active"]) == ("2", "1")
    assert one["Containers"]["Size"].startswith("2") and one["Containers"]["Size"].endswith("MB")
    assert (one["Local Volumes"]["TotalCount"], one["Local Volumes"]["Active"], one["Local Volumes"]["Reclaimable"]) == ("2", "1", "0B (0%)")
    mine.ok("rm", "-f", "wrote", "runs")
    one = {r["Type"]: r for r in df(mine)}
    assert one["Containers"]["TotalCount"] == "0" and one["Local Volumes"]["Reclaimable"].endswith("(100%)")


def test_df_v_lists_each_thing(mine, pulled):
    mine.ok("tag", pulled, "second:1")
    mine.ok("create", "--name", "waits", "-v", "data:/data", pulled, "true")
    text = mine.ok("system", "df", "-v")
    for heading in ("Images space usage:", "Containers space usage:", "Local Volumes space usage:", "Build cache usage: 0B"):
        assert heading in text
    whole = df(mine, "-v")[0]
    assert set(whole) == {"Images", "Containers", "Volumes", "BuildCache"} and whole["BuildCache"] == []
    image, container, volume = whole["Images"][0], whole["Containers"][0], whole["Volumes"][0]
    assert image["Containers"] == "1" and image["SharedSize"] == "0B" and image["UniqueSize"] == image["Size"]
    assert container["Names"] == "waits" and container["LocalVolumes"] == "1"
    assert (volume["Name"], volume["Links"]) == ("data", "1")
    assert mine.ok("system", "df", "-v", "--format", "{{range .Volumes}}{{.Name}} {{.Links}}{{end}}") == "data 1"
