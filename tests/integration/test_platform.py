"""`--platform`, and images of other platforms than the host's."""

import platform
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="names of platforms as on x86-64")
BINFMT = Path("/proc/sys/fs/binfmt_misc")


@pytest.fixture
def foreign(hostile):
    return hostile([], rest={"architecture": "s390x"})


def test_an_image_that_cannot_run_says_so(cbox, foreign):
    if any(BINFMT.glob("qemu-s390x")):
        pytest.skip("this host runs programs for s390x")
    for isolation, word in (("container", "binfmt handler"), ("vm", "a virtual machine is of the host's kind")):
        cbox.berth.fails("create", "--isolation", isolation, foreign, "true", says=("image is linux/s390x, this host linux/amd64", word, "--platform"))


def test_the_platform_that_is_there_is_not_the_one_asked_for(cbox, foreign):
    says = f"image with reference {foreign} was found but does not match the specified platform: wanted linux/amd64, actual: linux/s390x"
    cbox.berth.fails("create", "--pull", "never", "--platform", "linux/amd64", foreign, "true", says=says)
    # Otherwise one that does is looked for in the registry, and it is there that this one has nothing.
    r = cbox.berth("create", "--platform", "linux/arm64", cbox.image, "true")
    assert r.code == 125 and "linux/arm64" in r.err and cbox.image in r.err, r
    assert cbox.ok("echo", "still there") == "still there"


def test_platforms_that_are_this_hosts(cbox, hostile):
    for name in ("linux/amd64", "amd64", "linux/x86_64"):
        assert cbox.ok("echo", "yes", opts=("--platform", name)) == "yes"
    cbox.berth.fails("create", "--platform", "a/b/c/d", cbox.image, "true", says="expected OS/ARCH[/VARIANT]")
    # What the CPU carries out as well, and what says nothing of itself.
    r = cbox("true", image=hostile([], rest={"architecture": "386"}))
    assert (r.code, r.err) == (0, ""), r
