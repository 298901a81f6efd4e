"""berth-transfer by itself: pulls from a real registry and from one that misbehaves in every way that is known.

Each fault must end in bounded time with one sentence, leave nothing visible, and the next pull must work."""

import base64
import fcntl
import json
import os
import pty
import random
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

import registry_tools as tools
from registry_tools import Image, Registry, digest, tar_layer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import bad_registry as bad  # noqa: E402  pylint: disable=wrong-import-position
from bad_registry import BadRegistry  # noqa: E402  pylint: disable=wrong-import-position

STALL_S = 3  # in place of 60
NOISE = random.Random(7).randbytes(400_000)


def image(**kw):
    layers = [tar_layer({"etc": None, "etc/one": b"1\n", "big": NOISE}), tar_layer({"etc": None, "etc/two": b"2\n"})]
    return Image(layers, **kw)


class Transfer:
    def __init__(self, root, home):
        self.root, self.home = root, home

    def start(self, ref, *args, env=None, **kw):
        argv = [tools.transfer_program(), "pull", ref, "--root", str(self.root), "--stall-timeout", f"{STALL_S}s", *args]
        kw = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kw}
        base = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and k != "BERTH_BUILD_ID"}
        return subprocess.Popen(argv, env={**base, "HOME": str(self.home), **(env or {})}, **kw)

    def finish(self, process, timeout=40):
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError(f"still running after {timeout} s") from None
        self.stderr = err.decode()
        assert out.count(b"\n") == 1, f"one line expected on stdout: {out} {err}"
        return process.returncode, json.loads(out)

    def pull(self, ref, *args, **kw):
        code, answer = self.finish(self.start(ref, *args, **kw))
        assert code == 0, f"{answer} {self.stderr}"
        return answer

    def fails(self, ref, *args, says=None, **kw):
        code, answer = self.finish(self.start(ref, *args, **kw))
        assert code == 1, answer
        message = answer["error"]["msg"]
        assert answer["error"]["no"] > 0
        for part in [says] if isinstance(says, str) else says or []:
            assert part in message, f"expected {part!r} in: {message}"
        assert not self.unpacks(), "an unpack is left"
        return message

    def blobs(self):
        folder = self.root / "oci" / "blobs" / "sha256"
        return {f"sha256:{x.name}" for x in folder.iterdir()} if folder.exists() else set()

    def layers(self):
        folder = self.root / "layers"
        return sorted(folder.iterdir()) if folder.exists() else []

    def parts(self):
        return sorted((self.root / "tmp").glob("*.part"))

    def unpacks(self):
        return sorted((self.root / "tmp").glob("unpack-*")) if (self.root / "tmp").exists() else []

    def check_whole(self, wanted):
        """Exactly this image is here, right to the last byte."""
        for name in {*wanted.blobs, wanted.digest}:
            data = (self.root / "oci" / "blobs" / "sha256" / name[7:]).read_bytes()
            assert digest(data) == name
        chain, seen = None, {}
        for layer in wanted.diffs:
            chain = digest(layer) if chain is None else digest(f"{chain} {digest(layer)}".encode())
            folder = self.root / "layers" / chain[7:]
            info = json.loads((folder / "info.json").read_text())
            assert info["diff_id"] == digest(layer) and info["chain_id"] == chain
            seen[chain[7:]] = folder
        assert (list(seen.values())[0] / "diff" / "big").read_bytes() == NOISE
        assert list((self.root / "tmp").iterdir()) == []


@pytest.fixture
def transfer(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return Transfer(tmp_path / "root", home)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    r = Registry(tmp_path_factory.mktemp("registry"))
    yield r
    r.stop()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return bad.Certificates(tmp_path_factory.mktemp("certificates"))


def log_in(transfer, domain, user="me", password="secret"):
    folder = transfer.home / ".docker"
    folder.mkdir(exist_ok=True)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {domain: {"auth": auth}}}))


# ---- what works ----

@pytest.mark.parametrize("style, compression", [("oci", "gzip"), ("oci", "zstd"), ("oci", "none"), ("docker", "gzip")])
def test_pull_from_a_real_registry_puts_blobs_and_layers_in_place(transfer, real, style, compression):
    i = image(style=style, compression=compression)
    ref = real.push(i, f"kinds/{style}-{compression}")
    assert transfer.pull(ref) == {"manifest_digest": i.digest, "config_digest": digest(i.config), "ref": ref}
    transfer.check_whole(i)


def test_second_pull_downloads_no_blob(transfer):
    i = image()
    with BadRegistry({"a/b": i}) as r:
        transfer.pull(f"{r.domain}/a/b")
        before = len(r.paths("/blobs/"))
        transfer.pull(f"{r.domain}/a/b")
        assert len(r.paths("/blobs/")) == before
    transfer.check_whole(i)


def test_layers_shared_between_images_are_downloaded_once(transfer):
    base = image()
    more = Image([*base.diffs, tar_layer({"more": b"3"})])
    with BadRegistry({"a/b": base, "c/d": more}) as r:
        transfer.pull(f"{r.domain}/a/b")
        transfer.pull(f"{r.domain}/c/d")
        for layer in base.layers:
            assert len(r.paths(layer["digest"])) == 1
    transfer.check_whole(more)


def test_the_same_layer_twice_in_one_image_is_downloaded_once(transfer):
    one = tar_layer({"big": NOISE})
    i = Image([one, tar_layer({"x": b""}), one])
    with BadRegistry({"a/b": i}) as r:
        transfer.pull(f"{r.domain}/a/b")
        assert len(r.paths(i.layers[0]["digest"])) == 1
    assert len(transfer.layers()) == 3
    transfer.check_whole(i)


def test_image_without_layers(transfer):
    i = Image([])
    with BadRegistry({"a/b": i}) as r:
        assert transfer.pull(f"{r.domain}/a/b")["manifest_digest"] == i.digest


def test_digest_reference(transfer, real):
    i = image()
    real.push(i, "by/digest")
    assert transfer.pull(f"{real.domain}/by/digest@{i.digest}")["manifest_digest"] == i.digest


@pytest.mark.parametrize("media_type", [tools.OCI_INDEX, tools.DOCKER_LIST])
def test_index_gives_the_asked_platform(transfer, real, media_type):
    style = "oci" if media_type == tools.OCI_INDEX else "docker"
    images = [image(style=style), Image([tar_layer({"arm": b"64"})], style=style, arch="arm64", variant="v8")]
    index = real.push_index(images, f"multi/{style}", media_type=media_type)
    ref = f"{real.domain}/multi/{style}"
    assert transfer.pull(ref, "--platform", "linux/amd64")["manifest_digest"] == images[0].digest
    assert transfer.pull(ref, "--platform", "linux/arm64/v8")["manifest_digest"] == images[1].digest
    assert transfer.pull(f"{ref}@{digest(index)}", "--platform", "arm64")["manifest_digest"] == images[1].digest
    transfer.fails(ref, "--platform", "linux/s390x", says=["linux/s390x", "linux/amd64", "linux/arm64/v8"])


def test_progress_is_plain_lines_off_a_terminal_and_nothing_when_quiet(transfer):
    i = image()
    with BadRegistry({"a/b": i}) as r:
        transfer.pull(f"{r.domain}/a/b")
        assert "\033" not in transfer.stderr
        for layer in i.layers:
            assert f"{layer['digest'][7:19]}: done\n" in transfer.stderr
        transfer.pull(f"{r.domain}/a/b", "--quiet")
        assert transfer.stderr == ""


def test_progress_is_bars_redrawn_in_place_on_a_terminal(transfer):
    i = image()
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with BadRegistry({"a/b": i}) as r:
        r.fault(i.layers[0]["digest"], bad.stall(200_000), times=1)
        p = transfer.start(f"{r.domain}/a/b", stderr=slave)
        os.close(slave)
        seen = b""
        while True:
            try:
                seen += os.read(master, 4096)
            except OSError:
                break
        p.communicate()
    os.close(master)
    assert p.returncode == 0
    assert b"downloading [" in seen and b">" in seen
    assert b"\033[2A\r\033[J" in seen
    assert f"{i.layers[0]['digest'][7:19]}: done\r\n".encode() in seen.split(b"\033[J")[-1]


def test_wrong_usage_ends_with_2_and_says_what_is_right(transfer):
    for args in (["pull", "x"], ["pull", "--root", "/x"], ["push", "x", "--root", "/x"], ["pull", "x", "--root", "/x", "--stall-timeout", "soon"]):
        p = subprocess.run([tools.transfer_program(), *args], capture_output=True, check=False)
        assert p.returncode == 2 and b"Usage:" in p.stderr


# ---- faults ----

FAULTS = {
    "stall before the header": (bad.stall(), "stalls"),
    "stall in the body": (bad.stall(1000), "stalls"),
    "drip": (bad.drip(), "stalls"),
    "truncate at once": (bad.truncate(0), "connection broke"),
    "reset": (bad.reset(100), "connection broke"),
    "server error": (bad.status(503), "status 503"),
    "busy": (bad.status(429), "status 429"),
    "busy for an hour": (bad.status(429, {"Retry-After": "3600"}), "status 429"),
    "forbidden": (bad.status(403), "refuses access"),
    "gone": (bad.status(404), "has no"),
    "wrong bytes": (bad.corrupt, "other bytes"),
    "too many bytes": (bad.too_long(), "more than"),
    "other length": (bad.body(b"short"), "offers 5 bytes"),
    "endless headers": (bad.endless_headers, "64 KiB of headers"),
    "redirect to nowhere": (bad.status(302), "to nowhere"),
    "redirect to another protocol": (bad.redirect("file:///etc/passwd"), "bad URL"),
    "redirect loop": (bad.redirect(lambda path: path), "more than 5 redirects"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_F13_a_layer_that_never_comes_right_ends_in_time_and_the_next_pull_works(transfer, name):
    fault, says = FAULTS[name]
    i = image()
    with BadRegistry({"a/b": i}) as r:
        r.fault(f"/blobs/{i.layers[0]['digest']}", fault)
        start = time.monotonic()
        transfer.fails(f"{r.domain}/a/b", says=says)
        # The stall time, one attempt that was under way when it ran out, and a busy machine.
        assert time.monotonic() - start < 2 * STALL_S + 15
        assert i.layers[0]["digest"] not in transfer.blobs()
        r.mend()
        transfer.pull(f"{r.domain}/a/b")
    transfer.check_whole(i)


@pytest.mark.parametrize("name", ["truncate at once", "reset", "server error", "busy", "stall in the body", "stall before the header"])
@pytest.mark.parametrize("where", ["manifests", "config", "layer"])
def test_F13_a_passing_fault_is_retried_within_one_pull(transfer, name, where):
    i = image()
    part = {"manifests": "/manifests/", "config": digest(i.config), "layer": i.layers[0]["digest"]}[where]
    fault = bad.stall(10) if name == "stall in the body" else FAULTS[name][0]
    with BadRegistry({"a/b": i}) as r:
        r.fault(part, fault, times=1)
        transfer.pull(f"{r.domain}/a/b")
        assert len(r.paths(part)) == 2
    transfer.check_whole(i)


def test_F13_truncated_again_and_again_is_resumed_by_range(transfer):
    i = image()
    big = i.layers[0]["digest"]
    with BadRegistry({"a/b": i}) as r:
        r.fault(big, bad.truncate(50_000), times=7)
        transfer.pull(f"{r.domain}/a/b")
        ranges = [h.get("range") for _, path, h in r.requests if big in path]
    assert ranges == [None, *[f"bytes={50_000 * k}-" for k in range(1, 8)]]
    transfer.check_whole(i)


def test_F06_what_an_interrupted_pull_left_is_used_by_the_next(transfer):
    i = image()
    big = i.layers[0]["digest"]
    with BadRegistry({"a/b": i}) as r:
        r.fault(big, bad.stall(300_000))
        p = transfer.start(f"{r.domain}/a/b")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not any(x.stat().st_size >= 300_000 for x in transfer.parts()):
            time.sleep(0.02)
        p.kill()
        p.communicate()
        assert big not in transfer.blobs() and len(transfer.layers()) < 2
        r.mend()
        transfer.pull(f"{r.domain}/a/b")
        assert [h.get("range") for _, path, h in r.requests if big in path][-1] == "bytes=300000-"
    transfer.check_whole(i)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_pull_removes_its_unpacks_and_says_so(transfer, sig):
    i = image()
    with BadRegistry({"a/b": i}) as r:
        r.fault(i.layers[0]["digest"], bad.stall(300_000))
        p = transfer.start(f"{r.domain}/a/b")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not transfer.unpacks():
            time.sleep(0.02)
        p.send_signal(sig)
        code, answer = transfer.finish(p)
    assert code == 1 and "interrupted" in answer["error"]["msg"]
    assert not transfer.unpacks()


def test_damaged_remains_of_an_earlier_try_are_fetched_anew(transfer):
    i = image()
    big = i.layers[0]["digest"]
    (transfer.root / "tmp").mkdir(parents=True)
    (transfer.root / "tmp" / f"sha256-{big[7:]}.part").write_bytes(b"rubbish" * 1000)
    with BadRegistry({"a/b": i}) as r:
        transfer.pull(f"{r.domain}/a/b")
        assert len(r.paths(big)) == 2
    transfer.check_whole(i)


def test_remains_longer_than_the_layer_are_dropped(transfer):
    i = image()
    big = i.layers[0]["digest"]
    (transfer.root / "tmp").mkdir(parents=True)
    (transfer.root / "tmp" / f"sha256-{big[7:]}.part").write_bytes(bytes(len(i.blobs[big]) + 1))
    with BadRegistry({"a/b": i}) as r:
        transfer.pull(f"{r.domain}/a/b")
    transfer.check_whole(i)


def test_a_registry_that_ignores_range_is_understood(transfer):
    i = image()
    big = i.layers[0]["digest"]
    with BadRegistry({"a/b": i}) as r:
        r.fault(big, bad.truncate(100_000), times=1)
        r.fault(big, bad.no_range)
        transfer.pull(f"{r.domain}/a/b")
    transfer.check_whole(i)


def test_a_registry_that_answers_with_another_range_is_refused(transfer):
    i = image()
    big = i.layers[0]["digest"]
    with BadRegistry({"a/b": i}) as r:
        r.fault(big, bad.truncate(100_000), times=1)
        r.fault(big, bad.wrong_range)
        transfer.fails(f"{r.domain}/a/b", says="another range")
        r.mend()
        transfer.pull(f"{r.domain}/a/b")
    transfer.check_whole(i)


def test_retry_after_is_honoured(transfer):
    i = image()
    big = i.layers[0]["digest"]
    with BadRegistry({"a/b": i}) as r:
        r.fault(big, bad.status(429, {"Retry-After": "2"}), times=1)
        start = time.monotonic()
        transfer.pull(f"{r.domain}/a/b")
        assert time.monotonic() - start >= 2
    transfer.check_whole(i)


def test_nobody_there_is_said_soon(transfer):
    start = time.monotonic()
    transfer.fails(f"127.0.0.1:{tools.free_port()}/a/b", says="can't be reached")
    assert time.monotonic() - start < 15


def test_unknown_image_and_tag_are_named(transfer, real):
    real.push(image(), "some/image", "one")
    transfer.fails(f"{real.domain}/some/image:two", says=["has no", "some/image:two"])
    transfer.fails(f"{real.domain}/no/such:one", says=["has no", "no/such:one"])


def test_F07_a_full_disk_is_said_and_the_space_comes_back(transfer):
    i = image()
    transfer.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k,mode=700", "none", transfer.root], check=True)
    try:
        with BadRegistry({"a/b": i}) as r:
            transfer.fails(f"{r.domain}/a/b", says="No space left")
        used = os.statvfs(transfer.root)
        assert (used.f_blocks - used.f_bfree) * used.f_frsize < 500_000
    finally:
        subprocess.run(["umount", transfer.root], check=True)


# ---- I09, I10: what a manifest may say ----

def serve(document, media_type=tools.OCI_MANIFEST, blobs=None):
    r = BadRegistry()
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    r.blobs.update(blobs or {})
    r.add_manifest("a/b", "latest", data, media_type)
    return r


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


# ---- repair ----

def test_F12_a_truncated_blob_is_repaired_by_the_next_pull(transfer):
    i = image()
    big = transfer.root / "oci" / "blobs" / "sha256" / i.layers[0]["digest"][7:]
    with BadRegistry({"a/b": i}) as r:
        transfer.pull(f"{r.domain}/a/b")
        big.write_bytes(big.read_bytes()[:1000])
        transfer.pull(f"{r.domain}/a/b")
    transfer.check_whole(i)


def test_F12_a_flipped_bit_is_found_at_unpack_and_fetched_anew(transfer):
    i = image()
    name = i.layers[0]["digest"]
    big = transfer.root / "oci" / "blobs" / "sha256" / name[7:]
    with BadRegistry({"a/b": i}) as r:
        transfer.pull(f"{r.domain}/a/b")
        data = bytearray(big.read_bytes())
        data[len(data) // 2] ^= 1
        big.write_bytes(data)
        subprocess.run(["rm", "-r", *transfer.layers()], check=True)
        transfer.pull(f"{r.domain}/a/b")
        assert len(r.paths(name)) == 2
    transfer.check_whole(i)


def test_F12_a_damaged_config_is_fetched_anew(transfer):
    i = image()
    config = transfer.root / "oci" / "blobs" / "sha256" / digest(i.config)[7:]
    with BadRegistry({"a/b": i}) as r:
        transfer.pull(f"{r.domain}/a/b")
        config.write_bytes(config.read_bytes().replace(b"linux", b"minux"))
        transfer.pull(f"{r.domain}/a/b")
    transfer.check_whole(i)


# ---- I23 ----

def test_I23_two_pulls_of_one_image_share_the_work(transfer):
    i = image()
    with BadRegistry({"a/b": i}) as r:
        r.fault(i.layers[0]["digest"], bad.stall(100_000), times=1)
        both = [transfer.start(f"{r.domain}/a/b") for _ in range(2)]
        for p in both:
            code, answer = transfer.finish(p)
            assert code == 0, answer
        assert len(r.paths(i.layers[0]["digest"])) == 2  # the stalled one and its repetition, by one of the two
        assert len(r.paths(i.layers[1]["digest"])) == 1
    transfer.check_whole(i)


def test_I23_a_killed_pull_hands_its_layer_to_the_waiting_one(transfer):
    i = image()
    big = i.layers[0]["digest"]
    with BadRegistry({"a/b": i}) as r:
        r.fault(big, bad.stall(200_000), times=1)
        first = transfer.start(f"{r.domain}/a/b", "--stall-timeout", "60s")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not any(x.stat().st_size >= 200_000 for x in transfer.parts()):
            time.sleep(0.02)
        second = transfer.start(f"{r.domain}/a/b")
        time.sleep(0.5)
        assert second.poll() is None
        first.kill()
        first.communicate()
        code, answer = transfer.finish(second)
        assert code == 0, answer
        assert [h.get("range") for _, path, h in r.requests if big in path] == [None, "bytes=200000-"]
    assert not transfer.parts()


def test_I23_same_layers_in_opposite_order_do_not_deadlock(transfer):
    one, two = tar_layer({"big": NOISE}), tar_layer({"big": NOISE, "other": b""})
    images = {"a/b": Image([one, two]), "c/d": Image([two, one])}
    with BadRegistry(images) as r:
        pulls = [transfer.start(f"{r.domain}/{name}") for name in ("a/b", "c/d") * 2]
        for p in pulls:
            code, answer = transfer.finish(p)
            assert code == 0, answer
    for i in images.values():
        transfer.check_whole(i)


# ---- I12: credentials ----

def credentials_in(registry):
    return [(path, h["authorization"]) for _, path, h in registry.requests if "authorization" in h]


def test_token_login_is_anonymous_without_credentials(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="token") as r:
        transfer.pull(f"{r.domain}/a/b")
        asked = r.paths("/token")
        assert len(asked) == 1 and "scope=repository%3Aa%2Fb%3Apull" in asked[0] and "service=test" in asked[0]
    transfer.check_whole(i)


def test_token_login_sends_the_password_to_the_token_server_only(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="token", password_needed=True) as r:
        transfer.fails(f"{r.domain}/a/b", says="login")
        log_in(transfer, r.domain)
        transfer.pull(f"{r.domain}/a/b")
        for path, value in credentials_in(r):
            assert value.startswith("Basic ") == path.startswith("/token")
    transfer.check_whole(i)


def test_an_expired_token_is_renewed_in_the_middle_of_a_pull(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="token") as r:
        def expire(_handler, _answer):
            r.tokens.clear()
        r.fault(digest(i.config), expire, times=1)
        transfer.pull(f"{r.domain}/a/b")
        assert len(r.paths("/token")) == 2
    transfer.check_whole(i)


def test_basic_login(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="basic") as r:
        transfer.fails(f"{r.domain}/a/b", says="user name and password")
        log_in(transfer, r.domain, password="wrong")
        transfer.fails(f"{r.domain}/a/b", says="refuses the stored")
        log_in(transfer, r.domain)
        transfer.pull(f"{r.domain}/a/b")
    transfer.check_whole(i)


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_I12_credentials_do_not_follow_a_redirect_to_another_place(transfer, auth):
    i = image()
    with BadRegistry({"a/b": i}) as other, BadRegistry({"a/b": i}, auth=auth, password_needed=True) as r:
        log_in(transfer, r.domain)
        r.fault("/blobs/", bad.redirect(lambda path: other.url + path))
        transfer.pull(f"{r.domain}/a/b")
        assert len(other.paths("/blobs/")) == 3
        assert not credentials_in(other)
        assert credentials_in(r)
    transfer.check_whole(i)


def test_I12_another_place_that_asks_for_a_password_gets_none(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="basic") as other, BadRegistry({"a/b": i}, auth="basic") as r:
        log_in(transfer, r.domain)
        r.fault("/blobs/", bad.redirect(lambda path: other.url + path))
        transfer.fails(f"{r.domain}/a/b", says="asks for a password: refused")
        assert not credentials_in(other)


def test_I12_foreign_urls_of_a_layer_are_not_visited(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="basic") as other:
        layers = [{**x, "urls": [f"{other.url}/v2/a/b/blobs/{x['digest']}"]} for x in i.layers]
        with serve({**i.document, "layers": layers}, blobs=i.blobs) as r:
            log_in(transfer, other.domain)
            transfer.pull(f"{r.domain}/a/b")
        assert not other.requests


def test_I12_realm_over_http_elsewhere_is_refused(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="token", realm="http://auth.example/token") as r:
        log_in(transfer, r.domain)
        transfer.fails(f"{r.domain}/a/b", says=["plain http", "auth.example"])


def test_I12_a_token_server_that_redirects_is_refused(transfer):
    i = image()
    with BadRegistry() as other, BadRegistry({"a/b": i}, auth="token", password_needed=True) as r:
        log_in(transfer, r.domain)
        r.fault("/token", bad.redirect(f"{other.url}/token"))
        transfer.fails(f"{r.domain}/a/b", says="token server redirects")
        assert not other.requests


def test_credential_helper_is_asked_by_its_protocol(transfer):
    i = image()
    helper = Path("/usr/local/bin/docker-credential-berth-test")
    helper.write_text('#!/bin/sh\nread -r server\n[ "$1" = get ] || exit 1\n'
                      'printf \'{"ServerURL":"%s","Username":"me","Secret":"secret"}\' "$server"\n')
    helper.chmod(0o755)
    try:
        with BadRegistry({"a/b": i}, auth="basic") as r:
            (transfer.home / ".docker").mkdir()
            (transfer.home / ".docker" / "config.json").write_text(json.dumps({"credHelpers": {r.domain: "berth-test"}}))
            transfer.pull(f"{r.domain}/a/b")
            (transfer.home / ".docker" / "config.json").write_text(json.dumps({"credsStore": "berth-test"}))
            transfer.pull(f"{r.domain}/a/b")
    finally:
        helper.unlink()


# ---- I13: TLS ----

def trust(certificates):
    return {"SSL_CERT_FILE": str(certificates.ca), "SSL_CERT_DIR": "/nonexistent"}


def test_I13_tls_with_a_trusted_certificate(transfer, certificates):
    i = image()
    with BadRegistry({"a/b": i}, tls=certificates.sign("good")) as r:
        transfer.pull(f"{r.domain}/a/b", env=trust(certificates))
    transfer.check_whole(i)


@pytest.mark.parametrize("case", ["unknown CA", "expired", "other name"])
def test_I13_bad_certificates_are_refused_without_the_flag(transfer, certificates, case):
    i = image()
    certificates.make_ca("other")
    context = {"unknown CA": lambda: certificates.sign("unknown", ca="other"),
               "expired": lambda: certificates.sign("expired", days=-1),
               "other name": lambda: certificates.sign("elsewhere", names="DNS:registry.example")}[case]()
    with BadRegistry({"a/b": i}, tls=context) as r:
        transfer.fails(f"{r.domain}/a/b", env=trust(certificates), says=["certificate", "--tls-skip-verify"])
        assert not r.requests
        transfer.pull(f"{r.domain}/a/b", "--tls-skip-verify", env=trust(certificates))
    transfer.check_whole(i)


def test_I13_redirect_from_https_to_http_is_refused(transfer, certificates):
    i = image()
    with BadRegistry({"a/b": i}) as plain, BadRegistry({"a/b": i}, tls=certificates.sign("good2")) as r:
        r.fault("/blobs/", bad.redirect(lambda path: plain.url + path))
        transfer.fails(f"{r.domain}/a/b", env=trust(certificates), says="from https to http")
        assert not plain.requests


def test_I13_plain_http_elsewhere_needs_the_flag(transfer):
    i = image()
    name = "registry.berth-test.example"
    hosts = Path("/etc/hosts").read_text()
    with BadRegistry({"a/b": i}) as r:
        try:
            Path("/etc/hosts").write_text(f"{hosts}\n127.0.0.1 {name}\n")
            transfer.fails(f"{name}:{r.port}/a/b")
            assert not r.requests
            transfer.pull(f"{name}:{r.port}/a/b", "--plain-http")
        finally:
            Path("/etc/hosts").write_text(hosts)
    transfer.check_whole(i)


# ---- confinement ----

def test_the_program_confines_itself_before_it_listens_to_the_network(transfer):
    i = image()
    with BadRegistry({"a/b": i}) as r:
        r.fault("/manifests/", bad.stall())
        p = transfer.start(f"{r.domain}/a/b")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not r.paths("/manifests/"):
            time.sleep(0.02)
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{p.pid}/status").read_text().splitlines() if ":\t" in line)
        limits = Path(f"/proc/{p.pid}/limits").read_text()
        p.kill()
        p.communicate()
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert any(line.startswith("Max core file size") and line.split()[4] == "0" for line in limits.splitlines())
