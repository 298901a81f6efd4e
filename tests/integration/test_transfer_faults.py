"""berth-transfer and a registry that misbehaves in every way that is known, or a store that was damaged.

Each fault must end in bounded time with one sentence, leave nothing visible, and the next pull must work."""

import os
import signal
import subprocess
import time

import pytest

import registry_tools as tools
from harness import until
from registry_tools import digest
from transfer_tools import bad, BadRegistry, image


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
        transfer.fails(f"{r.domain}/a/b", says=says)
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
        transfer.has_part(300_000)
        transfer.kill(p)
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
        until(transfer.unpacks, "it unpacks")
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
    transfer.fails(f"127.0.0.1:{tools.free_port()}/a/b", says="can't be reached")


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
