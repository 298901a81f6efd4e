"""berth-transfer: what a manifest may say, and what is refused before anything is named from it (I09, I10)."""

import json

import pytest

import registry_tools as tools
from registry_tools import Image, digest, tar_layer
from transfer_tools import bad, BadRegistry, image, serve


def test_I09_manifest_that_is_also_an_index_is_refused(transfer):
    i = image()
    with serve({**i.document, "manifests": [i.descriptor]}, blobs=i.blobs) as r:
        transfer.fails(f"{r.domain}/a/b", says="manifests")
    with serve({**json.loads(tools.index_of([i])), "layers": i.layers}, tools.OCI_INDEX, i.blobs) as r:
        transfer.fails(f"{r.domain}/a/b", says="layers")
    assert not transfer.blobs()


def test_I09_content_type_that_contradicts_the_media_type_is_refused(transfer):
    i = image()
    for media_type in (tools.OCI_INDEX, tools.DOCKER_MANIFEST):
        with serve(i.document, media_type, i.blobs) as r:
            transfer.fails(f"{r.domain}/a/b")
    for media_type in ("text/html", "application/json", ""):
        with serve(i.document, media_type, i.blobs) as r:
            transfer.fails(f"{r.domain}/a/b", says="no container image")
    assert not transfer.blobs()


@pytest.mark.parametrize("name", ["sha256:../../../../tmp/x", "sha256:" + "0" * 63, "sha256:" + "A" * 64, "sha512:" + "0" * 128,
                                  "md5:" + "0" * 32, "", "sha256:" + "0" * 64 + "/x"])
def test_I10_digests_are_checked_before_a_file_is_named_from_them(transfer, name):
    i = image()
    for where in ("config", "layer"):
        document = json.loads(i.manifest)
        (document["config"] if where == "config" else document["layers"][0])["digest"] = name
        with serve(document, blobs=i.blobs) as r:
            transfer.fails(f"{r.domain}/a/b", says="digest")
            assert not r.paths("/blobs/")
    assert not transfer.blobs() and not transfer.parts()


def test_I10_duplicate_keys_are_refused(transfer):
    i = image()
    text = i.manifest.replace(b'"layers":', b'"layers": [], "layers":')
    with serve(text, blobs=i.blobs) as r:
        transfer.fails(f"{r.domain}/a/b", says="layers")


def test_I10_diff_id_that_the_layer_does_not_have_is_refused(transfer):
    i = image()
    wrong = json.loads(i.config)
    wrong["rootfs"]["diff_ids"][0] = digest(b"something else")
    config = json.dumps(wrong).encode()
    document = {**i.document, "config": {**i.document["config"], "size": len(config), "digest": digest(config)}}
    with serve(document, blobs={**i.blobs, digest(config): config}) as r:
        transfer.fails(f"{r.domain}/a/b", says=i.layers[0]["digest"][7:19])
    assert i.layers[0]["digest"] not in transfer.blobs()
    assert not any(i.layers[0]["digest"][7:] in x.name for x in transfer.parts())


def test_I10_config_with_another_number_of_layers_is_refused(transfer):
    i = image()
    document = {**i.document, "layers": i.layers[:1]}
    with serve(document, blobs=i.blobs) as r:
        transfer.fails(f"{r.domain}/a/b", says=["2 layers", "manifest 1"])


def test_a_tag_whose_manifest_is_not_what_its_header_says_is_refused(transfer):
    i = image()
    with BadRegistry({"a/b": i}) as r:
        r.fault("/manifests/", bad.status(200, {"Docker-Content-Digest": "sha256:" + "0" * 64}, i.manifest))
        transfer.fails(f"{r.domain}/a/b", says="another manifest")


def test_a_manifest_that_is_not_what_was_asked_for_is_refused(transfer):
    i, other = image(), Image([tar_layer({"other": b""})])
    with BadRegistry({"a/b": i}) as r:
        r.fault("/manifests/", bad.body(other.manifest))
        transfer.fails(f"{r.domain}/a/b@{i.digest}", says=["another", i.digest])


def test_huge_manifest_is_refused_unread(transfer):
    i = image()
    document = {**i.document, "annotations": {"x": "y" * (5 << 20)}}
    with serve(document, blobs=i.blobs) as r:
        transfer.fails(f"{r.domain}/a/b", says="larger than 4 MiB")


def test_artifact_that_is_no_image_is_refused(transfer):
    i = image()
    document = {**i.document, "config": {**i.document["config"], "mediaType": "application/vnd.oci.empty.v1+json"}}
    with serve(document, blobs=i.blobs) as r:
        transfer.fails(f"{r.domain}/a/b", says="no container image")
    document = {**i.document, "layers": [{**i.layers[0], "mediaType": "application/wasm"}, i.layers[1]]}
    with serve(document, blobs=i.blobs) as r:
        transfer.fails(f"{r.domain}/a/b", says="application/wasm")


def test_size_that_the_blob_does_not_have_is_refused(transfer):
    i = image()
    for change in (1, -1):
        layers = [{**i.layers[0], "size": i.layers[0]["size"] + change}, i.layers[1]]
        with serve({**i.document, "layers": layers}, blobs=i.blobs) as r:
            transfer.fails(f"{r.domain}/a/b", says="bytes")
    assert i.layers[0]["digest"] not in transfer.blobs()


def test_index_in_an_index_ends(transfer):
    r = BadRegistry()
    inner = tools.index_of([image()])
    with r:
        for _ in range(5):
            r.add_manifest("a/b", "latest", inner, tools.OCI_INDEX)
            inner = json.dumps({"schemaVersion": 2, "mediaType": tools.OCI_INDEX, "manifests": [
                {"mediaType": tools.OCI_INDEX, "size": len(inner), "digest": digest(inner),
                 "platform": {"os": "linux", "architecture": "amd64"}}]}).encode()
        transfer.fails(f"{r.domain}/a/b", says="indexes within indexes")
