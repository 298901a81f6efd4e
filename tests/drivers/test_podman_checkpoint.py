"""podman container checkpoint and restore, by the host's CRIU, where that works (`criu check`)."""

import shutil
import subprocess

import pytest

from host import until

COUNT = "i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.02; done"


@pytest.fixture(scope="module", autouse=True)
def criu():
    if not shutil.which("criu"):
        pytest.skip("criu is not here")
    r = subprocess.run(["criu", "check"], capture_output=True, text=True)
    if r.returncode != 0:
        pytest.skip("criu check: " + (r.stderr.strip().splitlines() or ["it says no"])[0])


@pytest.fixture
def counter(podman):
    podman.ok(*podman.run("-d", "--name", "counter", "base", "sh", "-c", COUNT))
    counts(podman, "counter")
    yield "counter"
    for name in ("counter", "other"):
        podman("rm", "-f", "-t", "0", name)


def count_of(podman, name):
    return int(podman.ok("exec", name, "cat", "/count") or 0)


def counts(podman, name, beyond=5):
    until(lambda: count_of(podman, name) > beyond, "the count to go on")
    return count_of(podman, name)


def test_a_container_that_was_saved_goes_on_where_it_was(podman, counter):
    before = counts(podman, counter)
    podman.ok("container", "checkpoint", counter)
    assert podman.inspect(counter, ".State.Checkpointed") == "true"
    assert podman.inspect(counter, ".State.Status") == "exited"
    podman.ok("container", "restore", counter)
    assert podman.inspect(counter, ".State.Status") == "running"
    assert counts(podman, counter, before) < before + 1000
    podman.ok("stop", "-t", "0", counter)
    assert podman.inspect(counter, ".State.ExitCode") == "137"


def test_an_exported_checkpoint_becomes_another_container(podman, counter):
    archive = podman.host.dir / "saved.tar"
    before = counts(podman, counter)
    podman.ok("container", "checkpoint", "--export", archive, counter)
    podman.ok("rm", counter)
    podman.ok("container", "restore", "--import", archive, "--name", "other")
    assert counts(podman, "other", before) < before + 1000


def test_one_that_is_left_running_goes_on(podman, counter):
    """It may have no file open that it writes to: one that has changed since could not be restored, but nobody asks for that here."""
    podman.ok("container", "checkpoint", "--leave-running", counter)
    assert podman.inspect(counter, ".State.Status") == "running"
    counts(podman, counter, count_of(podman, counter))
