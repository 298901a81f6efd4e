"""images, rmi, tag, inspect, load, save: and that other tools read what Berth writes."""

import hashlib
import json
import re
import subprocess
import tarfile

import pytest

import images


def test_images_lists_name_tag_and_id(berth, image, app):
    text = berth.ok("images")
    assert re.search(r"^REPOSITORY\s+TAG\s+IMAGE ID\s+CREATED\s+SIZE", text)
    repository, tag = image.rsplit(":", 1)
    row = next(line for line in text.splitlines() if line.startswith(repository + " "))
    ident = json.loads(berth.ok("image", "inspect", image))[0]["Id"]
    assert row.split()[1] == tag and row.split()[2] == ident[7:19]
    assert ident[7:19] in berth.ok("images", "-q").split()


def test_image_inspect_has_dockers_shape(berth, app, layout):
    i = json.loads(berth.ok("image", "inspect", app))[0]
    assert re.fullmatch("sha256:[0-9a-f]{64}", i["Id"]) and app in i["RepoTags"]
    assert i["Architecture"] == "amd64" and i["Os"] == "linux"
    assert i["Config"]["User"] == "web" and i["Config"]["Cmd"] == ["one", "two"]
    assert len(i["RootFS"]["Layers"]) == 2 and all(d.startswith("sha256:") for d in i["RootFS"]["Layers"])
    # Found by id, and by the beginning of it.
    for name in (i["Id"], i["Id"][7:], i["Id"][7:19]):
        assert json.loads(berth.ok("image", "inspect", name))[0]["Id"] == i["Id"]
    # "json" is the same list, on one line.
    for verb in (("inspect",), ("image", "inspect")):
        line = berth.ok(*verb, "-f", "json", app)
        assert "\n" not in line.strip() and json.loads(line) == [i], verb


def test_a_tag_is_one_more_name_and_the_last_one_deletes(berth, layout, tmp_path):
    archive = tmp_path / "a.tar"
    images.tool("skopeo", "copy", "-q", f"oci:{layout}:app", f"oci-archive:{archive}:lonely:1")
    berth.ok("load", "-i", archive)
    berth.ok("tag", "lonely:1", "lonely:2")
    assert "Untagged" in berth.ok("rmi", "lonely:1")
    assert berth.ok("run", "--rm", "--network", "none", "lonely:2", "x").startswith("x\n")
    berth.ok("rmi", "lonely:2")
    berth.fails("image", "inspect", "lonely:2", says="lonely:2")


def test_an_image_in_use_is_not_deleted(cbox, layout, tmp_path):
    made = images.Layout(tmp_path / "l")
    made.add("used:1", [[images.entry("etc/used", b"x")]], below=layout)
    cbox.berth.ok("load", "-i", made.path)
    name = cbox.name()
    cbox.berth.ok("run", "-d", "--network", "none", "--name", name, "used:1", "sleep", "1000")
    ident = cbox.berth.inspect(name)["Id"]
    err = cbox.berth.fails("rmi", "used:1")
    assert name in err or ident[:12] in err
    cbox.berth.ok("rm", "-f", name)
    cbox.berth.ok("rmi", "used:1")


@pytest.mark.parametrize("kind, transport", [("oci-archive", "oci-archive"), ("docker-archive", "docker-archive"), ("oci-dir", "oci")])
def test_what_save_writes_skopeo_reads_and_load_takes_back(berth, app, tmp_path, kind, transport):
    target = tmp_path / "saved"
    berth.ok("save", "--format", kind, "-o", target, app)
    where = f"{transport}:{target}"
    if transport == "oci":
        where += ":" + json.loads((target / "index.json").read_text())["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
    config = json.loads(images.tool("skopeo", "inspect", "--config", where))
    assert config["config"]["User"] == "web" and config["config"]["Cmd"] == ["one", "two"]
    ident = json.loads(berth.ok("image", "inspect", app))[0]["Id"]
    berth.ok("tag", app, "keep-the-layers:1")
    berth.ok("rmi", app)
    assert app in berth.ok("load", "-i", target)
    assert json.loads(berth.ok("image", "inspect", app))[0]["Id"] == ident
    berth.ok("rmi", "keep-the-layers:1")
    assert berth.ok("run", "--rm", "--network", "none", app).startswith("one two\n")


def test_save_and_load_by_pipe(berth, app, tmp_path):
    with open(tmp_path / "p.tar", "wb") as f:
        with berth.popen("save", app, stdout=f) as p:
            _, err = p.communicate(timeout=120)
            assert p.returncode == 0, err
    assert tarfile.is_tarfile(tmp_path / "p.tar")
    with open(tmp_path / "p.tar", "rb") as f:
        with berth.popen("load", stdin=f) as p:
            out, err = p.communicate(timeout=120)
            assert p.returncode == 0 and app in out.decode(), err


def test_other_tools_archives_are_loaded(berth, layout, tmp_path):
    for transport in ("oci-archive", "docker-archive"):
        path = tmp_path / transport
        images.tool("skopeo", "copy", "-q", f"oci:{layout}:app", f"{transport}:{path}:from-{transport}:1")
        out = berth.ok("load", "-i", path)
        assert f"from-{transport}:1" in out
        assert berth.ok("run", "--rm", "--network", "none", f"from-{transport}:1", "y").startswith("y\n")
        berth.ok("rmi", f"from-{transport}:1")


def test_umoci_and_skopeo_read_our_store(berth, image, tmp_path):
    store = berth.root / "oci"
    index = json.loads((store / "index.json").read_text())
    named = {m["annotations"]["org.opencontainers.image.ref.name"]: m["digest"] for m in index["manifests"]
             if "org.opencontainers.image.ref.name" in m.get("annotations", {})}
    digest = next(d for n, d in named.items() if "test/base" in n)
    # Both tools cut "DIRECTORY:NAME" in their own ways: a copy of the layout with a plain name suits all.
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "blobs").symlink_to(store / "blobs")
    (copy / "oci-layout").write_text((store / "oci-layout").read_text())
    entry = next(m for m in index["manifests"] if m["digest"] == digest)
    (copy / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
        {**entry, "annotations": {"org.opencontainers.image.ref.name": "plain"}}]}))
    config = json.loads(images.tool("skopeo", "inspect", "--config", f"oci:{copy}:plain"))
    assert config["config"]["Cmd"] == ["sh"]
    images.tool("umoci", "unpack", "--image", f"{copy}:plain", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/opt/opaque/new").read_text() == "only me\n"


def test_every_blob_of_the_store_is_what_its_name_says(berth, image, app):
    for blob in (berth.root / "oci/blobs/sha256").iterdir():
        digest = subprocess.run(["sha256sum", blob], capture_output=True, text=True, check=True).stdout.split()[0]
        assert digest == blob.name
    assert berth("system", "check").code == 0


def test_I11_a_flipped_bit_is_found(berth, layout, tmp_path):
    made = images.Layout(tmp_path / "l")
    made.add("bitrot:1", [[images.entry("etc/rot", b"sound")]], below=layout)
    berth.ok("load", "-i", made.path)
    blobs = berth.root / "oci/blobs/sha256"
    manifest = blobs / made.manifests[0]["digest"].split(":")[1]
    parts = json.loads(manifest.read_bytes())
    # The documents and a layer, which nothing reads once it is unpacked.
    for victim in (manifest, *(blobs / d["digest"].split(":")[1] for d in (parts["config"], parts["layers"][-1]))):
        mode, data = victim.stat().st_mode, bytearray(victim.read_bytes())
        data[10] ^= 1
        victim.chmod(0o600)
        victim.write_bytes(bytes(data))
        victim.chmod(mode)
        r = berth("system", "check")
        assert r.code != 0 and victim.name in r.out + r.err, r
        # A load puts it right.
        berth.ok("load", "-i", made.path)
        assert hashlib.sha256(victim.read_bytes()).hexdigest() == victim.name
        assert berth("system", "check").code == 0
    berth.ok("rmi", "bitrot:1")


def test_layers_that_images_share_are_stored_once(berth, image, app):
    chains = [json.loads((p / "info.json").read_text()) for p in (berth.root / "layers").iterdir() if (p / "info.json").exists()]
    assert len({c["chain_id"] for c in chains}) == len(chains)
    for one in (image, app):
        layers = json.loads(berth.ok("image", "inspect", one))[0]["RootFS"]["Layers"]
        assert all(sum(c["diff_id"] == d for c in chains) == 1 for d in layers)


def test_I10_a_layer_that_is_not_what_the_config_says_is_refused(berth, tmp_path):
    made = images.Layout(tmp_path / "l")
    made.add("honest:1", [[images.entry("a", b"1")]])
    manifest = json.loads((made.path / "blobs/sha256" / made.manifests[0]["digest"][7:]).read_text())
    config = json.loads((made.path / "blobs/sha256" / manifest["config"]["digest"][7:]).read_text())
    config["rootfs"]["diff_ids"][0] = "sha256:" + "0" * 64
    manifest["config"].update(made.blob(json.dumps(config).encode()))
    made.manifests.clear()
    made.add_manifest("swapped:1", manifest)
    r = berth("load", "-i", made.path)
    assert r.code == 125 and "sha256:" in r.err, r
    berth.fails("image", "inspect", "swapped:1")


def test_I09_a_document_of_two_kinds_is_refused(berth, tmp_path):
    made = images.Layout(tmp_path / "l")
    made.add("honest:1", [[images.entry("a", b"1")]])
    manifest = json.loads((made.path / "blobs/sha256" / made.manifests[0]["digest"][7:]).read_text())
    manifest["manifests"] = []
    made.manifests.clear()
    made.add_manifest("both:1", manifest)
    r = berth("load", "-i", made.path)
    assert r.code == 125 and "ambiguous" in r.err, r
