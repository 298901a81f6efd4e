"""berth-transfer load and save, driven directly: archives of every kind, honest and hostile, and what other tools make of ours."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

import images

BUILD = Path(os.environ.get("BERTH_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
ENV = {**os.environ, "BERTH_BUILD_ID": re.search('"([^"]*)"', (BUILD / "build_id.h").read_text()).group(1)}


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Store:
    def __init__(self, top: Path):
        self.root = top / "root"
        for d in ("oci/blobs/sha256", "layers", "tmp", "erofs", "containers"):
            (self.root / d).mkdir(parents=True)

    def run(self, verb, *args, under=(), **kw):
        r = subprocess.run([*under, BUILD / "src/main/berth-transfer", verb, "--root", self.root, *args], capture_output=True, env=ENV, timeout=60, **kw)
        left = [p.name for p in (self.root / "tmp").iterdir()]
        assert left == [], f"left in tmp: {left}"
        return r

    def load(self, path="-", **kw):
        r = self.run("load", "--quiet", path, **kw)
        assert r.returncode == 0, r.stdout
        return json.loads(r.stdout)["images"]

    def refuses(self, path="-", says="", **kw):
        r = self.run("load", "--quiet", path, **kw)
        assert r.returncode == 1, r.stdout
        answer = json.loads(r.stdout)
        assert says in answer["error"]["msg"] and answer["error"]["no"] > 0, answer
        assert not list((self.root / "layers").iterdir()), "a refused image left a layer"
        return answer["error"]["msg"]

    def blobs_are_whole(self):
        return all(hashlib.sha256(b.read_bytes()).hexdigest() == b.name for b in (self.root / "oci/blobs/sha256").iterdir())


@pytest.fixture
def store():
    top = Path(tempfile.mkdtemp(prefix="archive-", dir="/var/tmp"))
    yield Store(top)
    shutil.rmtree(top)


@pytest.fixture
def second():
    top = Path(tempfile.mkdtemp(prefix="archive-", dir="/var/tmp"))
    yield Store(top)
    shutil.rmtree(top)


def tar(entries, links=()):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        for name, to in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, to
            t.addfile(info)
    return out.getvalue()


class Layout:
    """An OCI layout in memory: path -> bytes."""

    def __init__(self):
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        self.descriptors = []

    def blob(self, data, media_type):
        self.files["blobs/sha256/" + sha(data)[7:]] = data
        return {"mediaType": "application/vnd.oci.image." + media_type, "digest": sha(data), "size": len(data)}

    def image(self, layers, name=None, **more):
        tars = [tar(l) for l in layers]
        config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["x"]}, "rootfs": {"type": "layers", "diff_ids": [sha(t) for t in tars]}}
        config.update(more.pop("config", {}))
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": self.blob(json.dumps(config).encode(), "config.v1+json"),
                    "layers": [self.blob(gzip.compress(t, mtime=0), "layer.v1.tar+gzip") for t in tars]}
        manifest.update(more)
        d = self.blob(json.dumps(manifest).encode(), "manifest.v1+json")
        if name:
            d["annotations"] = {"org.opencontainers.image.ref.name": name}
        self.descriptors.append(d)
        return d

    def index(self):
        self.files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": self.descriptors}).encode()
        return self

    def directory(self, path):
        for name, data in self.index().files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path

    def archive(self):
        return tar(self.index().files.items())


LAYERS = [[("etc/base", b"base\n")], [("etc/own", os.urandom(100000))]]


@pytest.mark.parametrize("how", ["directory", "archive", "gzip", "zstd", "stdin"])
def test_an_oci_layout_is_loaded(store, tmp_path, how):
    l = Layout()
    d = l.image(LAYERS, "demo:1")
    path, stdin = tmp_path / "x", {}
    if how == "directory":
        l.directory(path)
    else:
        data = l.archive()
        path.write_bytes({"gzip": gzip.compress, "zstd": lambda b: subprocess.run(["zstd", "-qc"], input=b, capture_output=True, check=True).stdout}
                         .get(how, bytes)(data))
    if how == "stdin":
        path, stdin = "-", {"input": l.archive()}
    assert store.load(path, **stdin) == [{"manifest_digest": d["digest"], "refs": ["docker.io/library/demo:1"]}]
    assert store.blobs_are_whole() and len(list((store.root / "oci/blobs/sha256").iterdir())) == 4
    infos = [json.loads((p / "info.json").read_text()) for p in (store.root / "layers").iterdir()]
    assert sorted(i["size_bytes"] for i in infos) == [5, 100000] and all(i["files"] == 1 for i in infos)
    chain = next(i for i in infos if i["size_bytes"] == 100000)["chain_id"][7:]
    assert (store.root / "layers" / chain / "diff/etc/own").read_bytes() == LAYERS[1][0][1]


def test_several_images_and_names_share_their_layers(store, tmp_path):
    l = Layout()
    one, two = l.image(LAYERS[:1], "demo:1"), l.image(LAYERS, "127.0.0.1:5000/demo:2")
    l.descriptors.append({**one, "annotations": {"org.opencontainers.image.ref.name": "docker.io/other/name:x", "io.containerd.image.name": "quay.io/a/b:c"}})
    assert store.load(l.directory(tmp_path / "x")) == [
        {"manifest_digest": one["digest"], "refs": ["docker.io/library/demo:1", "quay.io/a/b:c"]},
        {"manifest_digest": two["digest"], "refs": ["127.0.0.1:5000/demo:2"]}]
    assert len(list((store.root / "layers").iterdir())) == 2


def test_an_index_of_platforms_gives_this_hosts_image(store, tmp_path):
    l = Layout()
    mine, other = l.image(LAYERS[:1]), l.image(LAYERS)
    mine["platform"] = {"os": "linux", "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]}
    other["platform"] = {"os": "linux", "architecture": "s390x"}
    index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [other, mine]}).encode()
    d = l.blob(index, "index.v1+json")
    d["annotations"] = {"org.opencontainers.image.ref.name": "multi:1"}
    l.descriptors = [d]
    assert store.load(l.directory(tmp_path / "x")) == [{"manifest_digest": mine["digest"], "refs": ["docker.io/library/multi:1"]}]


def docker_archive(layers=LAYERS, edit=lambda m: m, links=()):
    tars = [tar(l) for l in layers]
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [sha(t) for t in tars]}}).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": ["demo:1"], "Layers": [f"{i}/layer.tar" for i in range(len(tars))]}]
    return tar([*((f"{i}/layer.tar", t) for i, t in enumerate(tars)), (name, config), ("manifest.json", json.dumps(edit(manifest)).encode())], links)


def test_an_older_docker_archive_is_given_a_manifest(store):
    [image] = store.load(input=docker_archive())
    assert image["refs"] == ["docker.io/library/demo:1"]
    manifest = json.loads((store.root / "oci/blobs/sha256" / image["manifest_digest"][7:]).read_text())
    assert [l["mediaType"] for l in manifest["layers"]] == ["application/vnd.oci.image.layer.v1.tar"] * 2
    assert store.blobs_are_whole()


def test_symlinked_layers_of_a_docker_archive_are_found(store):
    def edit(m):
        m[0]["Layers"][0] = "again/layer.tar"
        return m
    store.load(input=docker_archive(edit=edit, links=[("again/layer.tar", "../0/layer.tar")]))


def test_I01_paths_in_a_docker_archive_reach_nothing_outside(store, tmp_path):
    (tmp_path / "secret").write_text("x")
    for evil in (str(tmp_path / "secret"), "../../../../etc/passwd", "/etc/passwd", "0/../../../etc/passwd"):
        store.refuses(input=docker_archive(edit=lambda m: [{**m[0], "Layers": [evil, m[0]["Layers"][1]]}]))
        store.refuses(input=docker_archive(edit=lambda m: [{**m[0], "Config": evil}]))
    store.refuses(input=docker_archive(edit=lambda m: [{**m[0], "Config": "c"}], links=[("c", "/etc/passwd")]), says="not in the archive")
    store.refuses(input=docker_archive(edit=lambda m: [{**m[0], "Config": "c"}], links=[("c", "../../etc/passwd")]), says="out of the archive")
    store.refuses(input=docker_archive(edit=lambda m: [{**m[0], "Config": "c"}], links=[("c", "c")]), says="too many links")


def test_I02_symlinks_of_a_layout_directory_reach_nothing_outside(store, tmp_path):
    l = Layout()
    l.image(LAYERS, "demo:1")
    top = l.directory(tmp_path / "x")
    blob = top / "blobs/sha256" / l.descriptors[0]["digest"][7:]
    shutil.move(blob, tmp_path / "outside")
    blob.symlink_to(tmp_path / "outside")
    store.refuses(top, says="is not there")
    blob.unlink()
    os.mkfifo(blob)
    store.refuses(top, says="not a regular file")


def test_I09_manifests_of_two_kinds_are_refused(store, tmp_path):
    l = Layout()
    l.image(LAYERS, "demo:1", manifests=[])
    store.refuses(l.directory(tmp_path / "x"))


def test_I10_what_does_not_hash_to_its_name_is_refused(store, tmp_path):
    for victim in range(4):
        l = Layout()
        l.image(LAYERS, "demo:1")
        name = sorted(n for n in l.files if n.startswith("blobs/"))[victim]
        l.files[name] = l.files[name][:-1] + bytes([l.files[name][-1] ^ 1])
        store.refuses(l.directory(tmp_path / str(victim)), says="damaged: its bytes hash to")
    l = Layout()
    l.image(LAYERS, "demo:1", config={"rootfs": {"type": "layers", "diff_ids": [sha(b"other")] * 2}})
    store.refuses(l.directory(tmp_path / "diff"), says="its image says")
    l = Layout()
    l.image(LAYERS, "demo:1", config={"rootfs": {"type": "layers", "diff_ids": [sha(b"other")]}})
    store.refuses(l.directory(tmp_path / "count"), says="2 layers, its config 1 diff ids")
    for digest in ("sha256:../../../etc/passwd", "sha256:" + "A" * 64, "sha512:" + "0" * 128, "md5:" + "0" * 32, ""):
        l = Layout()
        l.image(LAYERS, "demo:1")
        l.descriptors[0]["digest"] = digest
        store.refuses(l.directory(tmp_path / sha(digest.encode())), says="digest")


def test_I08_a_bomb_around_the_images_is_refused(store):
    zeros = tarfile.TarInfo("zeros")
    zeros.size = 2 << 30
    store.refuses(input=images.bomb(zeros.tobuf(), zeros.size), says="100 times")


def test_a_store_whose_file_system_lacks_unnamed_files_takes_large_archives(store):
    """A layer of more than 8 MiB is put aside on disk until the manifest that names it has been read."""
    archive = docker_archive(layers=[[("large", os.urandom(10 << 20))]])
    assert store.load(input=archive, under=[BUILD / "tests/tools/no_tmpfile"])
    assert store.blobs_are_whole()


def test_what_is_no_image_is_refused_in_a_sentence(store, tmp_path):
    store.refuses(tmp_path / "nowhere", says="No such file")
    store.refuses(tmp_path, says="neither index.json (OCI layout) nor manifest.json (docker save)")
    store.refuses(input=b"", says="")
    store.refuses(input=os.urandom(4096), says="not a tar archive")
    store.refuses(input=tar([("a", b"b")]), says="neither index.json")
    store.refuses(input=docker_archive()[:2000])
    store.refuses(input=docker_archive(edit=lambda m: {"not": "a list"}), says="expected a list")
    store.refuses(input=docker_archive(edit=lambda m: []), says="no images")


def test_a_load_repairs_a_damaged_blob(store, tmp_path):
    l = Layout()
    d = l.image(LAYERS, "demo:1")
    store.load(l.directory(tmp_path / "x"))
    for blob in (store.root / "oci/blobs/sha256").iterdir():
        blob.write_bytes(b"damaged")
    store.load(tmp_path / "x")
    assert store.blobs_are_whole() and (store.root / "oci/blobs/sha256" / d["digest"][7:]).stat().st_size > 7


@pytest.mark.parametrize("form, transport", [("oci-archive", "oci-archive"), ("docker-archive", "docker-archive"), ("docker-archive", "oci-archive"),
                                             ("oci-dir", "oci")])
def test_what_is_saved_other_tools_read_and_load_takes_back(store, second, tmp_path, form, transport):
    l = Layout()
    d = l.image(LAYERS, "demo:1")
    store.load(l.directory(tmp_path / "x"))
    target = tmp_path / "saved"
    r = store.run("save", "--format", form, "--output", target, f"{d['digest']}=docker.io/library/demo:1")
    assert r.returncode == 0 and json.loads(r.stdout) == {}, r.stdout
    where = f"{transport}:{target}" + (":docker.io/library/demo:1" if transport == "oci" else "")
    copied = tmp_path / "copied"
    subprocess.run(["skopeo", "copy", "-q", where, f"oci:{copied}:x"], check=True)
    config = json.loads(subprocess.run(["skopeo", "inspect", "--config", where], capture_output=True, check=True).stdout)
    assert config["rootfs"]["diff_ids"] == [sha(tar(layer)) for layer in LAYERS]
    assert second.load(target) == [{"manifest_digest": d["digest"], "refs": ["docker.io/library/demo:1"]}]
    a, b = ({p.name: p.read_bytes() for p in (s.root / "oci/blobs/sha256").iterdir()} for s in (store, second))
    assert a == b


def test_other_tools_archives_are_loaded(store, tmp_path):
    l = Layout()
    l.image(LAYERS, "demo:1")
    l.directory(tmp_path / "x")
    for i, transport in enumerate(("oci-archive", "docker-archive")):
        path = tmp_path / transport
        subprocess.run(["skopeo", "copy", "-q", f"oci:{tmp_path}/x:demo:1", f"{transport}:{path}:from-{i}:1"], check=True)
        [image] = store.load(path)
        assert image["refs"] == [f"docker.io/library/from-{i}:1"]
    assert len(list((store.root / "layers").iterdir())) == 2, "the same layers, whatever the archive"


def test_a_damaged_blob_is_not_saved(store, tmp_path):
    l = Layout()
    d = l.image(LAYERS, "demo:1")
    store.load(l.directory(tmp_path / "x"))
    layer = json.loads(l.files["blobs/sha256/" + d["digest"][7:]])["layers"][1]["digest"]
    victim = store.root / "oci/blobs/sha256" / layer[7:]
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    r = store.run("save", "--format", "oci-archive", "--output", tmp_path / "saved", f"{d['digest']}=")
    assert r.returncode == 1 and layer in json.loads(r.stdout)["error"]["msg"]


def test_a_save_to_a_full_disk_fails(store, tmp_path):
    l = Layout()
    d = l.image(LAYERS, "demo:1")
    store.load(l.directory(tmp_path / "x"))
    r = store.run("save", "--format", "oci-archive", "--output", "/dev/full", f"{d['digest']}=")
    assert r.returncode == 1 and "No space left" in json.loads(r.stdout)["error"]["msg"], r.stdout


def test_whiteouts_of_the_lowest_layer_are_gone_and_those_above_stay(store, tmp_path):
    l = Layout()
    layer = [("etc/.wh.gone", b""), ("etc/.wh..wh..opq", b""), ("etc/kept", b"x"), (".wh.top", b"")]
    l.image([layer, [("usr/other", b"y"), *layer]], "demo:1")
    store.load(l.directory(tmp_path / "x"))
    for top in (store.root / "layers").iterdir():
        info = json.loads((top / "info.json").read_text())
        is_lowest = info["chain_id"] == info["diff_id"]
        names = {p.relative_to(top / "diff").as_posix() for p in (top / "diff").rglob("*")}
        assert names == {"etc", "etc/kept", *([] if is_lowest else ["etc/gone", "top", "usr", "usr/other"])}
        assert ("trusted.overlay.opaque" in os.listxattr(top / "diff/etc")) != is_lowest
        assert (b"\nw " in (top / "files").read_bytes()) != is_lowest
        assert info["list"] == sha((top / "files").read_bytes())
