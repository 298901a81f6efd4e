"""push through the engine: names, ids, all tags, what is printed; and that other tools pull what was pushed."""

import json
import re

import images


def inspect(ref):
    return json.loads(images.tool("skopeo", "inspect", "--tls-verify=false", f"docker://{ref}"))


def test_a_pushed_image_is_there_with_the_same_digest(berth, registry, image):
    ref = f"{registry.host}/pushed/one:v1"
    berth.ok("tag", image, ref)
    said = berth("push", ref)
    digest = json.loads(berth.ok("image", "inspect", image))[0]["RepoDigests"][0].split("@")[1]
    assert said.code == 0 and re.fullmatch(rf"v1: digest: {digest} size: \d+\n", said.out), said
    assert "from another repository there" in said.err, said.err
    assert inspect(ref)["Digest"] == digest
    assert berth.ok("image", "push", "-q", ref) == ref
    berth.ok("rmi", ref)
    berth.ok("pull", ref)  # and back
    assert berth.ok("run", "--rm", "--network", "none", ref, "echo", "hello") == "hello"
    berth.ok("rmi", ref)


def test_an_id_needs_a_destination_and_any_image_may_have_one(berth, registry, image):
    ident = json.loads(berth.ok("image", "inspect", image))[0]["Id"]
    berth.fails("push", ident[7:19], says=("is an image's id", "REGISTRY/NAME:TAG"))
    berth.ok("push", ident[7:19], f"{registry.host}/pushed/two:x")
    berth.ok("push", image, f"{registry.host}/pushed/two:y")
    assert set(inspect(f"{registry.host}/pushed/two:x")["RepoTags"]) == {"x", "y"}


def test_all_tags_of_a_repository(berth, registry, image, app):
    name = f"{registry.host}/pushed/all"
    for source, tag in ((image, "a"), (app, "b")):
        berth.ok("tag", source, f"{name}:{tag}")
    berth.fails("push", "-a", f"{name}:a", says="tag can't be used with --all-tags")
    assert re.findall(r"^(\w): digest: sha256", berth.ok("push", "--all-tags", name), re.M) == ["a", "b"]
    assert set(inspect(f"{name}:a")["RepoTags"]) == {"a", "b"}
    berth.fails("push", "-a", f"{registry.host}/no/such", says="no image here has a name in the repository")
    berth.ok("rmi", f"{name}:a", f"{name}:b")


def test_what_can_not_be_pushed_is_one_clear_line(berth, image):
    berth.fails("push", "no/such:image", says="no/such:image")
    berth.fails("push", image, "127.0.0.1:1/no/registry:1", says="127.0.0.1:1")
    berth.fails("push", image, "Not A Name", says="Not A Name")
