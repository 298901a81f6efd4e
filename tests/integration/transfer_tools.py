"""What the tests of berth-transfer by itself share: the program on a store of its own, a real registry, a bad one, certificates."""

import base64
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import leaks
import registry_tools as tools
from harness import until
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

    def start(self, ref, *args, env=None, verb="pull", **kw):
        argv = [tools.transfer_program(), verb, ref, "--root", str(self.root), "--stall-timeout", f"{STALL_S}s", *args]
        kw = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kw}
        base = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and k != "BERTH_BUILD_ID"}
        return subprocess.Popen(argv, env={**base, "HOME": str(self.home), **(env or {})}, **kw)

    def kill(self, process):
        """And waits for its children, who hold its unpacks until they have ended with it: then these are the next one's to remove."""
        process.kill()
        process.communicate()
        until(lambda: not leaks.processes(self.root), "its children have ended")

    def finish(self, process, timeout=120):
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

    def push(self, ref, manifest, *args, **kw):
        return self.pull(ref, "--manifest", manifest, *args, verb="push", **kw)

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

    def has_part(self, size):
        """Waits until so much of a layer has come. Others may be complete, and go, in between."""
        def there():
            try:
                return any(p.stat().st_size >= size for p in self.parts())
            except FileNotFoundError:
                return False
        until(there, f"{size} bytes of a layer have come")

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


def serve(document, media_type=tools.OCI_MANIFEST, blobs=None):
    r = BadRegistry()
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    r.blobs.update(blobs or {})
    r.add_manifest("a/b", "latest", data, media_type)
    return r
