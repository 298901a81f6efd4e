"""berth-transfer push: to a real registry, and to one that breaks off, forgets, refuses or asks for a password."""

import json
import os
import signal

import pytest

import bad_registry as bad
from registry_tools import DOCKER_MANIFEST, OCI_MANIFEST, Image, Registry, digest, tar_layer
from transfer_tools import NOISE, BadRegistry, image, log_in, real, transfer  # noqa: F401  pylint: disable=unused-import


@pytest.fixture
def held(transfer, real):
    """An image that the store has: pulled from a registry."""
    i = image()
    transfer.pull(real.push(i, "from/here"))
    return i


def puts(registry, part="/blobs/"):
    return [path for method, path, _ in registry.requests if method == "PUT" and part in path]


def manifest_of(registry, name, tag):
    with registry._request("GET", f"/v2/{name}/manifests/{tag}", headers={"Accept": f"{OCI_MANIFEST}, {DOCKER_MANIFEST}"}) as answer:  # pylint: disable=protected-access
        return answer.read(), answer.headers["Content-Type"]


@pytest.mark.parametrize("style", ["oci", "docker"])
def test_what_is_pushed_is_what_was_pulled_to_the_last_byte(transfer, real, tmp_path, style):
    i = image(style=style)
    transfer.pull(real.push(i, "from/here"))
    other = Registry(tmp_path / "other")
    try:
        answer = transfer.push(f"{other.domain}/to/there:v1", i.digest)
        assert answer == {"ref": f"{other.domain}/to/there:v1", "size": len(i.manifest)}
        assert transfer.stderr.count(": pushed\n") == 2
        data, kind = manifest_of(other, "to/there", "v1")
        assert data == i.manifest and kind == i.type
        for name, blob in i.blobs.items():
            with other._request("GET", f"/v2/to/there/blobs/{name}") as got:  # pylint: disable=protected-access
                assert got.read() == blob
    finally:
        other.stop()


def test_what_is_there_is_not_sent_again(transfer, real, held):
    transfer.push(f"{real.domain}/from/here:again", held.digest)
    assert transfer.stderr.count(": already there\n") == 2 and "pushed" not in transfer.stderr
    assert manifest_of(real, "from/here", "again")[0] == held.manifest


def test_layers_of_another_repository_are_taken_over(transfer, real, held):
    transfer.push(f"{real.domain}/with/sibling:1", held.digest, "--sibling", f"from/here={held.digest}")
    assert transfer.stderr.count(": taken over from another repository there\n") == 2, transfer.stderr
    transfer.push(f"{real.domain}/without/sibling:1", held.digest)
    assert transfer.stderr.count(": pushed\n") == 2, transfer.stderr
    # A sibling that has gone there, or here, is no reason not to push.
    transfer.push(f"{real.domain}/wrong/sibling:1", held.digest, "--sibling", f"no/such={held.digest}", "--sibling", f"from/here={digest(b'')}")
    assert transfer.stderr.count(": pushed\n") == 2, transfer.stderr


def test_a_layer_that_stands_twice_is_sent_once(transfer, real):
    layer = tar_layer({"twice": NOISE})
    i = Image([layer, tar_layer({"between": b"x"}), layer])
    transfer.pull(real.push(i, "from/twice"))
    with BadRegistry() as r:
        transfer.push(f"{r.domain}/to/there", i.digest)
        assert len(puts(r)) == 3 and len({p.split("digest=")[1] for p in puts(r)}) == 3
        assert r.manifests["to/there", "latest"][0] == i.manifest


@pytest.mark.parametrize("fault", [bad.cut_upload(100_000), bad.cut_upload(0), bad.status(503), bad.status(500)])
def test_an_upload_that_breaks_is_begun_anew(transfer, held, fault):
    with BadRegistry() as r:
        r.fault("?state=", fault, times=2)
        transfer.push(f"{r.domain}/to/there", held.digest)
        assert len(puts(r)) >= 5, "two of three once more; curl repeats by itself what a connection that it had kept did not answer"
        assert set(r.blobs) == set(held.blobs)


def test_a_registry_that_stops_taking_bytes_is_given_up_in_time(transfer, held):
    with BadRegistry() as r:
        r.fault("?state=", bad.deaf_upload(1000))
        message = transfer.fails(f"{r.domain}/to/there", "--manifest", held.digest, verb="push")
        assert "stalls" in message or "can't be reached" in message, message
        assert not r.manifests


@pytest.mark.parametrize("part, fault, says", [
    ("/uploads/", bad.status(403, body=b'{"errors":[{"code":"DENIED","message":"not yours"}]}'), ["refuses access", "not yours", "log in"]),
    ("?state=", bad.status(413), "status 413"),
    ("?state=", bad.status(400, body=b'{"errors":[{"code":"DIGEST_INVALID","message":"bad"}]}'), ["status 400", "bad"]),
    ("/manifests/", bad.status(400, body=b'{"errors":[{"code":"MANIFEST_INVALID","message":"too new"}]}'), ["manifest of", "too new"]),
    ("/manifests/", lambda _, a: a.headers.update({"Docker-Content-Digest": digest(b"other")}), "took"),
])
def test_a_refusal_is_told_in_the_registrys_words(transfer, held, part, fault, says):
    with BadRegistry() as r:
        r.fault(part, fault)
        transfer.fails(f"{r.domain}/to/there", "--manifest", held.digest, verb="push", says=says)


def test_a_place_to_send_to_is_needed(transfer, held):
    with BadRegistry() as r:
        r.fault("/uploads/", lambda _, a: a.headers.pop("Location", None) and None)
        transfer.fails(f"{r.domain}/to/there", "--manifest", held.digest, verb="push", says="names no place to send")


def test_the_password_goes_to_the_token_server_and_the_bytes_wherever_the_registry_says(transfer, held):
    with BadRegistry() as store, BadRegistry(auth="token", password_needed=True) as r:
        log_in(transfer, r.domain)
        r.fault("/uploads/", lambda h, a: a.headers.update({"Location": f"{store.url}/v2/to/there/blobs/uploads/7?state=of-the-registrys-own"})
                if h.command == "POST" else None)
        r.blobs = store.blobs
        transfer.push(f"{r.domain}/to/there", held.digest)
        assert len(puts(store)) == 3 and not any("authorization" in headers for _, _, headers in store.requests)
        asked = [p for p in r.paths("/token") if "scope" in p]
        assert asked and all("pull%2Cpush" in p for p in asked), asked


def test_without_a_password_it_is_asked_for(transfer, held):
    with BadRegistry(auth="basic") as r:
        transfer.fails(f"{r.domain}/to/there", "--manifest", held.digest, verb="push", says=["user name and password"])


def test_a_layer_that_has_rotted_in_the_store_is_named_and_not_pushed(transfer, held):
    rotten = max(held.blobs, key=lambda d: len(held.blobs[d]))
    path = transfer.root / "oci/blobs/sha256" / rotten[7:]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with BadRegistry() as r:
        message = transfer.fails(f"{r.domain}/to/there", "--manifest", held.digest, verb="push", says=["damaged in the store", rotten])
        assert "pull the image again" in message and not r.manifests
    path.write_bytes(data[:-1])
    with BadRegistry() as r:
        transfer.fails(f"{r.domain}/to/there", "--manifest", held.digest, verb="push", says=["damaged in the store", rotten])
    path.unlink()
    with BadRegistry() as r:
        transfer.fails(f"{r.domain}/to/there", "--manifest", held.digest, verb="push", says=["not in the store", rotten])


def test_a_digest_is_nowhere_to_push_to(transfer, held):
    transfer.fails(f"127.0.0.1:1/a/b@{held.digest}", "--manifest", held.digest, verb="push", says="by a tag")
    transfer.fails("127.0.0.1:1/a/b", "--manifest", digest(b"none"), verb="push", says=[digest(b"none")])


def test_a_signal_ends_it_at_once(transfer, held):
    with BadRegistry() as r:
        r.fault("?state=", bad.deaf_upload(1000))
        process = transfer.start(f"{r.domain}/to/there", "--manifest", held.digest, verb="push")
        while not r.paths("?state="):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGTERM)
        code, answer = transfer.finish(process)
        assert code == 1 and "stopped by a signal" in answer["error"]["msg"], json.dumps(answer)
