"""Registries and images for the tests of pulling: docker-registry on loopback, OCI images built byte by byte."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def free_port():
    """Not of those that the kernel gives to whoever connects to somewhere: else another may have it by the time it is used."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def transfer_program():
    """berth-transfer of the build under test: $BERTH_BUILD names the build directory (default: build)."""
    build = os.environ.get("BERTH_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build")
    return str(pathlib.Path(build).resolve() / "src" / "main" / "berth-transfer")


def tar_layer(files):
    """files: name -> bytes (a file), None (a directory), or a tarfile.TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.mtime = 1700000000
            if content is None:
                info.type = tarfile.DIRTYPE
                info.mode = 0o755
                tar.addfile(info)
            else:
                info.size = len(content)
                info.mode = 0o644
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def compress(data, how):
    if how == "gzip":
        return gzip.compress(data, 1, mtime=0)
    if how == "zstd":
        return subprocess.run(["zstd", "-1", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


class Image:
    """An image as blobs and manifests: put it into any registry with push(), or serve it from bad_registry."""

    def __init__(self, layers, compression="gzip", style="oci", arch="amd64", variant=None, config=None):
        self.blobs = {}
        self.diffs = layers
        suffix = {"gzip": "+gzip", "zstd": "+zstd", "none": ""}[compression]
        layer_type = OCI_LAYER + suffix if style == "oci" else DOCKER_LAYER
        self.layers = []
        for layer in layers:
            packed = compress(layer, compression)
            self.blobs[digest(packed)] = packed
            self.layers.append({"mediaType": layer_type, "size": len(packed), "digest": digest(packed)})
        document = {"architecture": arch, "os": "linux", "config": config or {"Cmd": ["/bin/true"]},
                    "rootfs": {"type": "layers", "diff_ids": [digest(x) for x in layers]}}
        if variant:
            document["variant"] = variant
        self.config = json.dumps(document).encode()
        self.blobs[digest(self.config)] = self.config
        self.type = OCI_MANIFEST if style == "oci" else DOCKER_MANIFEST
        self.document = {
            "schemaVersion": 2, "mediaType": self.type,
            "config": {"mediaType": OCI_CONFIG if style == "oci" else DOCKER_CONFIG,
                       "size": len(self.config), "digest": digest(self.config)},
            "layers": self.layers}
        self.platform = {"os": "linux", "architecture": arch}
        if variant:
            self.platform["variant"] = variant

    @property
    def manifest(self):
        return json.dumps(self.document).encode()

    @property
    def digest(self):
        return digest(self.manifest)

    @property
    def descriptor(self):
        return {"mediaType": self.type, "size": len(self.manifest), "digest": self.digest, "platform": self.platform}


def index_of(images, media_type=OCI_INDEX):
    return json.dumps({"schemaVersion": 2, "mediaType": media_type,
                       "manifests": [i.descriptor for i in images]}).encode()


class Registry:
    """Debian's docker-registry on a port of loopback; keeps its files below folder."""

    def __init__(self, folder, extra_http=""):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.domain = f"127.0.0.1:{self.port}"
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "config.yml"
        config.write_text("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
                          f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}\n"
                          f"http: {{addr: '127.0.0.1:{self.port}'{extra_http}}}\n")
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=self.log, stderr=self.log)
        self._wait()

    def _wait(self):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError("docker-registry ended: " + (self.folder / "log").read_text())
            try:
                urllib.request.urlopen(f"http://{self.domain}/v2/", timeout=5).close()
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.02)
        raise RuntimeError("docker-registry does not answer")

    def _request(self, method, path, data=None, headers=None):
        url = path if path.startswith("http") else f"http://{self.domain}{path}"
        request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
        return urllib.request.urlopen(request, timeout=60)

    def push_blob(self, name, data):
        with self._request("POST", f"/v2/{name}/blobs/uploads/", b"") as answer:
            location = answer.headers["Location"]
        sep = "&" if "?" in location else "?"
        self._request("PUT", f"{location}{sep}digest={digest(data)}", data,
                      {"Content-Type": "application/octet-stream"}).close()

    def push_manifest(self, name, tag, data, media_type):
        self._request("PUT", f"/v2/{name}/manifests/{tag}", data, {"Content-Type": media_type}).close()

    def push(self, image, name, tag="latest"):
        for data in image.blobs.values():
            self.push_blob(name, data)
        self.push_manifest(name, tag, image.manifest, image.type)
        return f"{self.domain}/{name}:{tag}"

    def push_index(self, images, name, tag="latest", media_type=OCI_INDEX):
        for image in images:
            self.push(image, name, image.digest)
        data = index_of(images, media_type)
        self.push_manifest(name, tag, data, media_type)
        return data

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
