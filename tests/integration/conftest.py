"""Fixtures: the program, a registry, the test images, and every isolation in turn.

BERTH_BUILD names the build directory (default: build). Each pytest worker has its own store and run directory, so that
workers don't meet; at the end of its session nothing of them may be left."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import exemptions
import images
import leaks
import registry_tools
from harness import Berth, Box
from transfer_tools import certificates, real, transfer  # noqa: F401  fixtures of test_transfer*.py

# A shell starts what runs in the background with SIGINT ignored, and so would be all that is interrupted here.
signal.signal(signal.SIGINT, signal.default_int_handler)

ISOLATIONS = ("container", "vm")


# What is not about networks does without: each has a store of its own, whose default network would have the same addresses.
os.environ["BERTH_NETWORK"] = "none"


def pytest_configure(config):
    if os.geteuid() != 0:
        raise pytest.UsageError("the tests make namespaces, mounts and cgroups: run them as root")


# What takes longest, first: one file's tests are one worker's, and whoever begins such a file last is waited for by the others.
LONGEST = [f"test_{name}.py" for name in ("vm_disk", "compare", "vm_parity", "volumes", "rootless_vm", "egress_run", "rootless_network", "vm_files", "net_program",
                                          "cp", "network_peers", "lifecycle", "vm", "events", "hostile", "network", "full", "network_cni", "transfer_faults", "commit",
                                          "unpack", "scarce", "pod_vm", "restart", "resolver", "pod_network", "net_reload", "net_walls", "kills", "crash")]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def pytest_generate_tests(metafunc):
    if "isolation" not in metafunc.fixturenames:
        return
    rows = []
    for name in ISOLATIONS:
        why = exemptions.reason(metafunc.function.__name__, name)
        marks = [pytest.mark.skip(reason=f"{name}: {why}")] if why else []
        rows.append(pytest.param(name, marks=marks + ([pytest.mark.vm] if name == "vm" else [])))
    metafunc.parametrize("isolation", rows, scope="module")


@pytest.fixture(scope="session")
def scratch():
    """The worker's own directory. Short: paths below it become names of unix sockets."""
    where = Path(tempfile.mkdtemp(prefix="berth-test-", dir="/var/tmp"))
    yield where
    shutil.rmtree(where)


@pytest.fixture(scope="session")
def berth(scratch):
    build = Path(os.environ.get("BERTH_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
    b = Berth(build, scratch / "root", scratch / "run")
    assert b.program.exists(), f"{b.program} is not there: build first, or set BERTH_BUILD to the build directory"
    images.bring_kernels(b.root)
    before = leaks.cgroups()
    yield b
    pods = b("pod", "ps", "-q").out.split()
    if pods:
        b("pod", "rm", "-f", *pods)
    left = b("ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.Image}} {{.Command}} {{.Status}}").out.splitlines()
    if left:
        b("rm", "-f", *b("ps", "-aq").out.split())
    if (b.root / "kernels").exists() and not images.KERNELS.exists():
        shutil.copytree(b.root / "kernels", images.KERNELS.with_suffix(f".{os.getpid()}"))
        try:
            images.KERNELS.with_suffix(f".{os.getpid()}").rename(images.KERNELS)
        except OSError:  # the other worker was first
            shutil.rmtree(images.KERNELS.with_suffix(f".{os.getpid()}"))
    assert not left and not pods, f"tests left containers {left} and pods {pods}"
    leaks.check(scratch, b.run_dir, before)


class Registry:
    def __init__(self, where: Path):
        self.where, self.pid = where, None
        self.port = registry_tools.free_port()
        self.host = f"127.0.0.1:{self.port}"
        (where / "data").mkdir(parents=True)
        (where / "config.yml").write_text(f"""version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {where}/data}}, delete: {{enabled: true}}}}
http: {{addr: "{self.host}"}}
""")

    def start(self):
        self.process = subprocess.Popen(["docker-registry", "serve", self.where / "config.yml"],
                                        stdout=subprocess.DEVNULL, stderr=open(self.where / "log", "wb"))
        for _ in range(1200):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, f"docker-registry ended: {(self.where / 'log').read_text()}"
            time.sleep(0.05)
        raise AssertionError("docker-registry does not listen")

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def push(self, layout: Path, name: str, repository: str) -> str:
        ref = f"{self.host}/{repository}"
        images.tool("skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:{name}", f"docker://{ref}")
        return ref


@pytest.fixture(scope="session")
def registry(scratch, berth):  # berth: so that this one ends first
    r = Registry(scratch / "registry")
    r.start()
    yield r
    r.stop()


@pytest.fixture(scope="session")
def layout():
    return images.base_layout()


@pytest.fixture(scope="session")
def image(berth, registry, layout):
    """The base image, pulled."""
    ref = registry.push(layout, "base", "test/base:1")
    berth.ok("pull", ref)
    return ref


@pytest.fixture(scope="session")
def app(berth, registry, layout, image):
    """The image with a USER, ENV, WORKDIR, ENTRYPOINT and CMD; it shares the base's layers."""
    ref = registry.push(layout, "app", "test/app:1")
    berth.ok("pull", ref)
    return ref


@pytest.fixture
def hostile(berth, tmp_path, layout):
    """Makes and loads an image by hand: hostile(layers, config, below_base=True) -> reference."""
    loaded = []

    def make(layers, config=None, below_base=True, rest=None):
        name = f"hostile-{len(loaded)}-{os.getpid()}"
        made = images.Layout(tmp_path / name)
        made.add(f"{name}:1", layers, config, below=layout if below_base else None, rest=rest)
        loaded.append(f"{name}:1")
        berth.ok("load", "-i", made.path)
        return f"{name}:1"

    yield make
    if loaded:
        berth("rmi", "-f", *loaded)


@pytest.fixture
def box(berth, image, isolation):
    b = Box(berth, isolation, image)
    yield b
    b.clean()


@pytest.fixture
def cbox(berth, image):
    """A box of isolation `container`, for what is not a property of the wall."""
    b = Box(berth, "container", image)
    yield b
    b.clean()


@pytest.fixture(scope="module")
def running(berth, image, isolation):
    """One container for all tests of a module that only look or exec: its name is `running.name_`."""
    b = Box(berth, isolation, image)
    b.name_ = b.start("sleep", "100000", opts=("--hostname", "inside", "-e", "GIVEN=at run"))
    yield b
    b.clean()


@pytest.fixture
def probe_inside(berth):
    """Where berth-probe can run inside an image, as berth-init below."""
    if b"/ld-linux" in (berth.build / "src/main/berth-probe").read_bytes():
        pytest.skip("a sanitized berth-probe is dynamic, and its loader is not inside the image")


@pytest.fixture
def init_opts(berth):
    """`--init`, where berth-init can run inside an image: a sanitized build links it to the host's loader."""
    elf = (berth.build / "src/main/berth-init").read_bytes()
    if b"/ld-linux" in elf:
        pytest.skip("a sanitized berth-init is dynamic, and its loader is not inside the image")
    return ("--init",)


@pytest.fixture(params=["berth-vmm", "qemu"])
def each_vmm(request, monkeypatch, berth):
    """What carries a VM out: both, where there is KVM."""
    usable = json.loads(berth.ok("info", "--format", "{{json .Isolations}}"))["vm"] == "available"
    if request.param == "berth-vmm" and not usable:
        pytest.skip("berth-vmm needs KVM on which a guest runs")
    monkeypatch.setenv("BERTH_VM_ACCEL", request.param)
    return request.param


@pytest.fixture
def empty(berth, tmp_path):
    """A store of its own, with nothing in it."""
    yield Berth(berth.build, tmp_path / "root", tmp_path / "run")
    shutil.rmtree(tmp_path / "root", ignore_errors=True)
