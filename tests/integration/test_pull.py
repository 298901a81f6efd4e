"""`pull`: from a real registry, and from one that a proxy makes slow, broken or lying."""

import http.client
import http.server
import json
import os
import signal
import socket
import threading

import pytest

import images
import leaks
from harness import until


class Proxy:
    """Stands before the registry. `behave(path, body)` may change a blob's bytes, or sleep between them."""

    def __init__(self, registry):
        self.registry, self.requests, self.stall, self.spoil = registry, [], threading.Event(), False
        self.stall_after, self.bytes_sent = None, 0
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                headers = [(k, v) for k, v in self.headers.items() if k.lower() not in ("host", "connection")]
                proxy.requests.append((self.path, {k.lower(): v for k, v in headers}))
                upstream = http.client.HTTPConnection("127.0.0.1", proxy.registry.port)
                upstream.putrequest(self.command, self.path, skip_accept_encoding=True)
                for k, v in headers:  # some, like Accept, come more than once
                    upstream.putheader(k, v)
                upstream.endheaders()
                r = upstream.getresponse()
                body = r.read()
                if proxy.spoil and "/blobs/" in self.path:
                    body = bytes([body[0] ^ 1]) + body[1:]
                self.send_response(r.status)
                for k, v in r.getheaders():
                    if k.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(k, v)
                self.send_header("Content-Length", str(len(body) if self.command == "GET" else r.headers.get("Content-Length", 0)))
                self.end_headers()
                if self.command == "GET":
                    self.deliver(body)
                upstream.close()

            do_HEAD = do_GET

            def deliver(self, body):
                limit = proxy.stall_after if "/blobs/" in self.path and len(body) > 100_000 else None
                try:
                    if limit is None:
                        self.wfile.write(body)
                        return
                    self.wfile.write(body[:limit])
                    self.wfile.flush()
                    proxy.bytes_sent = limit
                    proxy.stall.wait(120)
                except OSError:
                    pass
                self.close_connection = True

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.stall.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def proxy(registry):
    p = Proxy(registry)
    yield p
    p.close()


def test_a_second_pull_fetches_no_blob(empty, registry, layout, proxy):
    registry.push(layout, "app", "pull/again:1")
    ref = f"{proxy.host}/pull/again:1"
    empty.ok("pull", ref)
    assert [p for p, _ in proxy.requests if "/blobs/" in p]
    first = json.loads(empty.ok("image", "inspect", ref))[0]["Id"]
    proxy.requests.clear()
    empty.ok("pull", ref)
    assert [p for p, _ in proxy.requests if "/blobs/" in p] == []
    assert json.loads(empty.ok("image", "inspect", ref))[0]["Id"] == first


def test_a_shared_layer_is_fetched_once(empty, registry, layout, proxy):
    for name in ("base", "app"):
        registry.push(layout, name, f"pull/{name}:1")
        empty.ok("pull", f"{proxy.host}/pull/{name}:1")
    blobs = [p.rsplit("/", 1)[1] for p, _ in proxy.requests if "/blobs/" in p]
    assert len(blobs) == len(set(blobs)) == 4  # two layers, two configs


def test_pull_by_digest_names_it_by_digest(empty, registry, layout):
    ref = registry.push(layout, "base", "pull/digest:1")
    digest = images.tool("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{ref}").strip()
    name = f"{ref.rsplit(':', 1)[0]}@{digest}"
    empty.ok("pull", name)
    assert empty.ok("run", "--rm", "--network", "none", name, "echo", "hi") == "hi"
    wrong = name[:-1] + ("0" if name[-1] != "0" else "1")
    empty.fails("pull", wrong, says=wrong[-20:])


def test_what_the_registry_does_not_have_is_named(empty, registry, layout):
    ref = registry.push(layout, "base", "pull/there:1")
    empty.fails("pull", ref[:-1] + "2", says=ref[:-1] + "2")
    empty.fails("pull", f"{registry.host}/pull/not-there:1", says="pull/not-there")


def test_pull_takes_docker_manifests_and_zstd(empty, registry, layout):
    for args, name in ((("--format", "v2s2"), "docker"), (("--dest-compress-format", "zstd"), "zstd")):
        ref = f"{registry.host}/pull/{name}:1"
        images.tool("skopeo", "copy", "-q", "--dest-tls-verify=false", *args, f"oci:{layout}:base", f"docker://{ref}")
        empty.ok("pull", ref)
        assert empty.ok("run", "--rm", "--network", "none", ref, "cat", "/opt/link") == "only me"


def test_run_pulls_what_is_missing(empty, registry, layout):
    ref = registry.push(layout, "base", "pull/implied:1")
    r = empty("run", "--rm", "--network", "none", ref, "echo", "hi")
    assert (r.code, r.out) == (0, "hi\n"), r
    registry.push(layout, "app", "pull/implied:1")
    assert empty.ok("run", "--rm", "--network", "none", ref, "echo", "hi") == "hi"  # what is there is used
    assert empty.ok("run", "--rm", "--network", "none", "--pull", "always", ref).startswith("one two\n")


def test_a_killed_pull_shows_nothing_and_the_next_one_resumes(empty, registry, layout, proxy):
    registry.push(layout, "base", "pull/killed:1")
    ref = f"{proxy.host}/pull/killed:1"
    proxy.stall_after = 50_000
    p = empty.popen("pull", ref, start_new_session=True)
    until(lambda: proxy.bytes_sent, "the first half of a layer was sent")

    def halves():
        try:
            return [f for f in (empty.root / "tmp").glob("*") if f.is_file() and f.stat().st_size >= 50_000]
        except FileNotFoundError:  # another layer is complete
            return []

    parts = until(halves, "the first half arrived")
    os.killpg(p.pid, signal.SIGKILL)
    p.communicate()
    until(lambda: not leaks.processes(empty.root), "all of it have ended")  # what they held is the next pull's to remove
    assert empty.ok("images", "-q") == ""
    assert all(f.exists() for f in parts)
    proxy.stall_after = None
    proxy.requests.clear()
    empty.ok("pull", ref)
    assert any(h.get("range", "").startswith("bytes=") for _, h in proxy.requests), "nothing was resumed"
    assert empty.ok("run", "--rm", "--network", "none", ref, "echo", "hi") == "hi"
    until(lambda: list((empty.root / "tmp").glob("*")) == [], "nothing is left in tmp, once the container's monitor has gone")


def test_an_interrupted_pull_says_so_and_shows_nothing(empty, registry, layout, proxy):
    registry.push(layout, "base", "pull/ctrl-c:1")
    proxy.stall_after = 50_000
    p = empty.popen("pull", f"{proxy.host}/pull/ctrl-c:1")
    until(lambda: proxy.bytes_sent, "the first half of a layer was sent")
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=120)
    assert p.returncode != 0
    assert empty.ok("images", "-q") == ""


def test_a_blob_that_is_not_what_its_digest_says_is_refused(empty, registry, layout, proxy):
    registry.push(layout, "base", "pull/spoiled:1")
    proxy.spoil = True
    r = empty("pull", f"{proxy.host}/pull/spoiled:1")
    assert r.code == 125 and "sha256:" in r.err, r
    assert empty.ok("images", "-q") == ""
    blobs = empty.root / "oci/blobs/sha256"
    assert not blobs.exists() or not [b for b in blobs.iterdir() if b.stat().st_size > 100_000]
    proxy.spoil = False
    empty.ok("pull", f"{proxy.host}/pull/spoiled:1")


def test_two_pulls_at_once_both_succeed(empty, registry, layout):
    ref = registry.push(layout, "base", "pull/twice:1")
    for p in [empty.popen("pull", ref) for _ in range(2)]:
        _, err = p.communicate(timeout=90)
        assert p.returncode == 0, err.decode()
    assert empty.ok("run", "--rm", "--network", "none", ref, "echo", "hi") == "hi"


def test_I13_plain_http_is_for_loopback_only(empty):
    """A name that is not loopback is spoken to by TLS alone: the port here answers plain http, so the pull has to fail."""
    class Plain(http.server.BaseHTTPRequestHandler):
        asked = []

        def do_GET(self):
            Plain.asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("0.0.0.0", 0), Plain)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = socket.gethostbyname(socket.gethostname())
        if address.startswith("127."):
            pytest.skip("this host has no address but loopback")
        empty.fails("pull", f"{address}:{server.server_port}/x:1", says=address)
        assert Plain.asked == []
    finally:
        server.shutdown()
        server.server_close()
