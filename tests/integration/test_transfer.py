"""berth-transfer by itself: pulls from a real registry, and many at once."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import time

import pytest

import registry_tools as tools
from registry_tools import Image, digest, tar_layer
from transfer_tools import bad, BadRegistry, image, NOISE


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
        transfer.has_part(200_000)
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
