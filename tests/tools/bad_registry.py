#!/usr/bin/env python3
"""A registry that misbehaves on request: stdlib only, one thread a connection, on loopback.

    with BadRegistry(images={"a/b": image}) as r:
        r.fault("/blobs/", truncate(1000), times=1)

A fault is a function of (handler, answer) that may change the answer and returns True when it has dealt with the request
itself. Every request is kept in r.requests as (method, path, headers) with lower-case header names. By hand:

    bad_registry.py FAULT [ARGUMENT]      serves a small image and prints its reference
"""
import base64
import hashlib
import http.server
import json
import pathlib
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.parse


class Answer:
    def __init__(self, status, body=b"", content_type="application/json", headers=None):
        self.status, self.body, self.content_type, self.headers = status, body, content_type, dict(headers or {})


# ---- faults ----

def stall(after=None):
    """Nothing more after so many bytes of the body; None: not even a status line."""
    def fault(handler, answer):
        if after is not None:
            handler.begin(answer)
            handler.wfile.write(answer.body[:after])
            handler.wfile.flush()
        handler.registry.closing.wait(120)
        handler.close_connection = True
        return True
    return fault


def drip(seconds=0.05):
    """A byte now and then."""
    def fault(handler, answer):
        handler.begin(answer)
        for i in range(len(answer.body)):
            handler.wfile.write(answer.body[i:i + 1])
            handler.wfile.flush()
            if handler.registry.closing.wait(seconds):
                break
        handler.close_connection = True
        return True
    return fault


def truncate(after):
    """Promises all, sends `after` bytes, closes."""
    def fault(handler, answer):
        handler.begin(answer)
        handler.wfile.write(answer.body[:after])
        handler.close_connection = True
        return True
    return fault


def reset(after=0):
    """Sends `after` bytes, then RST."""
    def fault(handler, answer):
        handler.begin(answer)
        handler.wfile.write(answer.body[:after])
        handler.wfile.flush()
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        handler.close_connection = True
        return True
    return fault


def status(code, headers=None, body=b"{}"):
    def fault(_handler, answer):
        answer.status, answer.body = code, body
        answer.headers.update(headers or {})
    return fault


def redirect(to, code=307):
    """to: a URL, or a function of the request's path."""
    def fault(handler, answer):
        answer.status, answer.body = code, b""
        answer.headers["Location"] = to(handler.path) if callable(to) else to
    return fault


def corrupt(_handler, answer):
    middle = len(answer.body) // 2
    answer.body = answer.body[:middle] + bytes([answer.body[middle] ^ 1]) + answer.body[middle + 1:]


def content_type(value):
    def fault(_handler, answer):
        answer.content_type = value
    return fault


def body(data):
    def fault(_handler, answer):
        answer.body = data
        answer.headers.pop("Docker-Content-Digest", None)
    return fault


def too_long(extra=1000):
    """More bytes than the manifest says, of unknown length."""
    def fault(handler, answer):
        answer.body += b"x" * extra
        answer.headers["Transfer-Encoding"] = "identity"
        handler.begin(answer, with_length=False)
        handler.wfile.write(answer.body)
        handler.close_connection = True
        return True
    return fault


def cut_upload(after):
    """RST once so many bytes of what is sent have come."""
    def fault(handler, _answer):
        handler.rfile.read(min(after, int(handler.headers["Content-Length"])))
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        handler.close_connection = True
        return True
    fault.is_early = True
    return fault


def deaf_upload(after):
    """Takes so many bytes of what is sent, and no more."""
    def fault(handler, _answer):
        handler.rfile.read(min(after, int(handler.headers["Content-Length"])))
        handler.registry.closing.wait(120)
        handler.close_connection = True
        return True
    fault.is_early = True
    return fault


def no_range(handler, answer):
    """The whole body whatever Range says."""
    if answer.status == 206:
        answer.status, answer.body = 200, handler.whole
        answer.headers.pop("Content-Range", None)


def wrong_range(_handler, answer):
    if answer.status == 206:
        answer.headers["Content-Range"] = re.sub(r"bytes \d+", "bytes 999999999", answer.headers["Content-Range"])


def endless_headers(handler, _answer):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    try:
        for i in range(100000):
            handler.wfile.write(b"X-%d: %s\r\n" % (i, b"y" * 100))
    except OSError:
        pass
    handler.close_connection = True
    return True


# ---- certificates ----

class Certificates:
    """A CA of our own and what it signs, by openssl(1)."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca = self.make_ca("ca")

    def _openssl(self, *args):
        subprocess.run(["openssl", *map(str, args)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def make_ca(self, name):
        cert = self.folder / f"{name}.crt"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", f"/CN={name}", "-keyout", self.folder / f"{name}.key", "-out", cert)
        return cert

    def sign(self, name, names="IP:127.0.0.1,DNS:localhost", days=1, ca="ca"):
        """A context for a server. days < 0: expired already."""
        base = self.folder / name
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                      "-keyout", f"{base}.key", "-out", f"{base}.csr")
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        serial = str(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"))
        self._openssl("x509", "-req", "-in", f"{base}.csr", "-CA", self.folder / f"{ca}.crt", "-CAkey", self.folder / f"{ca}.key",
                      "-set_serial", serial, "-days", str(days), "-extfile", f"{base}.ext", "-out", f"{base}.crt")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{base}.crt", f"{base}.key")
        return context


# ---- the registry ----

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    @property
    def registry(self):
        return self.server.registry

    @property
    def disable_nagle_algorithm(self):
        """Else a body waits 40 ms until its header is acknowledged, which thousands of requests are not to."""
        return self.registry.is_prompt

    def log_message(self, *_args):
        pass

    def begin(self, answer, with_length=True):
        self.send_response(answer.status)
        if with_length:
            self.send_header("Content-Length", str(len(answer.body)))
        else:
            self.send_header("Connection", "close")
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            if name != "Transfer-Encoding":
                self.send_header(name, value)
        self.end_headers()

    def find(self):
        registry, path = self.registry, self.path.split("?")[0]
        if path == "/v2/":
            return Answer(200, b"{}")
        if path == "/v1/search" and registry.index is not None:
            return Answer(200, json.dumps({"num_results": len(registry.index), "results": registry.index}).encode())
        if path == "/v2/_catalog" and registry.catalog is not None:
            return self.page("repositories", registry.catalog)
        if path.endswith("/tags/list"):
            return self.page("tags", [t for n, t in registry.manifests if f"/v2/{n}/tags/list" == path and ":" not in t])
        uploaded = re.fullmatch(r"/v2/(.+)/blobs/uploads/(\d*)", path)
        if uploaded:
            return self.receive(uploaded[1], "blobs", uploaded[2])
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", path)
        if not found:
            return Answer(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"no such path"}]}')
        name, kind, what = found.groups()
        if self.command == "PUT":
            return self.receive(name, kind, what)
        if kind == "manifests":
            entry = registry.manifests.get((name, what))
            if not entry:
                return Answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
            data, media_type = entry
            return Answer(200, data, media_type,
                          {"Docker-Content-Digest": "sha256:" + hashlib.sha256(data).hexdigest()})
        data = registry.blobs.get(what)
        if data is None:
            return Answer(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}')
        self.whole = data
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and 0 < int(wanted[1]) < len(data):
            start = int(wanted[1])
            return Answer(206, data[start:], "application/octet-stream",
                          {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})
        return Answer(200, data, "application/octet-stream")

    def page(self, key, names):
        """As many names as are asked for, or registry.page_size; in a Link header where the next ones are."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        names = [n for n in names if n > query.get("last", "")]
        size = self.registry.page_size or int(query.get("n", len(names) or 1))
        headers = {}
        if len(names) > size:
            headers["Link"] = f'<{self.path.split("?")[0]}?last={urllib.parse.quote(names[size - 1])}&n={size}>; rel="next"'
        return Answer(200, json.dumps({key: names[:size]}).encode(), headers=headers)

    def authorize(self):
        """None, or the 401 to answer."""
        registry = self.registry
        given = self.headers.get("Authorization", "")
        if registry.auth == "basic" and given != registry.basic:
            return Answer(401, b"{}", headers={"WWW-Authenticate": 'Basic realm="here"'})
        if registry.auth == "token" and given not in (f"Bearer {t}" for t in registry.tokens):
            return Answer(401, b"{}", headers={"WWW-Authenticate": f'Bearer realm="{registry.realm}",service="test"'})
        return None

    def token(self):
        registry = self.registry
        given = self.headers.get("Authorization")
        if registry.password_needed and given != registry.basic:
            return Answer(401, b"{}")
        token = f"token-{len(registry.tokens)}-{time.monotonic_ns()}"
        registry.tokens.append(token)
        return Answer(200, json.dumps({"token": token}).encode())

    def do_GET(self):
        registry = self.registry
        headers = {k.lower(): v for k, v in self.headers.items()}
        with registry.lock:
            registry.requests.append((self.command, self.path, headers))
        if self.path.startswith("/token"):
            answer = self.token()
        else:
            answer = (self.authorize() if registry.auth else None) or self.find()
        try:
            fault = registry.take_fault(self.path)
            if fault and fault(self, answer):
                return
            self.begin(answer)
            if self.command != "HEAD":
                self.wfile.write(answer.body)
        except OSError:
            self.close_connection = True

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        self.sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_PUT(self):
        registry = self.registry
        fault = registry.take_fault(self.path, early=True)
        if fault:
            with registry.lock:
                registry.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
            fault(self, None)
            return
        self.do_POST()

    def receive(self, name, kind, what):
        """What is pushed: to /blobs/uploads/ by POST and PUT, to /manifests/TAG by PUT."""
        registry = self.registry
        if self.command == "POST":
            registry.uploads += 1
            return Answer(202, b"", headers={"Location": f"/v2/{name}/blobs/uploads/{registry.uploads}?state=of-the-registrys-own"})
        name_of = "sha256:" + hashlib.sha256(self.sent).hexdigest()
        if kind == "manifests":
            for part in json.loads(self.sent)["layers"]:
                if part["digest"] not in registry.blobs:
                    return Answer(400, b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}')
            registry.add_manifest(name, what, self.sent, self.headers["Content-Type"])
            return Answer(201, b"", headers={"Docker-Content-Digest": name_of})
        if f"digest={name_of}" not in urllib.parse.unquote(self.path) or "state=of-the-registrys-own" not in self.path:
            return Answer(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match uploaded content"}]}')
        registry.blobs[name_of] = self.sent
        return Answer(201, b"")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_args):
        pass  # a client that hangs up is what the tests are about


class BadRegistry:
    def __init__(self, images=None, tls=None, auth=None, user="me", password="secret", password_needed=False, realm=None):
        self.manifests, self.blobs, self.requests, self.faults = {}, {}, [], []
        self.lock, self.closing, self.uploads = threading.Lock(), threading.Event(), 0
        self.auth, self.tokens, self.password_needed = auth, [], password_needed
        self.is_prompt = False
        self.index = self.catalog = self.page_size = None  # what /v1/search and /v2/_catalog know; None: there is no such thing
        self.basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.registry = self
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_port
        self.domain = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.domain}"
        self.realm = realm or f"{self.url}/token"
        for name, image in (images or {}).items():
            self.add(name, image)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def add(self, name, image, tag="latest"):
        self.blobs.update(image.blobs)
        self.add_manifest(name, tag, image.manifest, image.type)
        return f"{self.domain}/{name}:{tag}"

    def add_manifest(self, name, tag, data, media_type):
        for key in (tag, "sha256:" + hashlib.sha256(data).hexdigest()):
            self.manifests[(name, key)] = (data, media_type)

    def fault(self, part, what, times=None):
        """The next `times` requests (None: all) whose path holds `part`."""
        with self.lock:
            self.faults.append([part, what, times])

    def take_fault(self, path, early=False):
        with self.lock:
            for entry in self.faults:
                part, what, times = entry
                if part in path and times != 0 and getattr(what, "is_early", False) == early:
                    if times is not None:
                        entry[2] -= 1
                    return what
        return None

    def mend(self):
        with self.lock:
            self.faults.clear()

    def paths(self, part=""):
        return [path for _, path, _ in self.requests if part in path]

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_args):
        self.close()


def main():
    faults = {"stall": lambda a: stall(int(a or 1000)), "drip": lambda a: drip(float(a or 0.05)),
              "truncate": lambda a: truncate(int(a or 1000)), "reset": lambda a: reset(int(a or 1000)),
              "status": lambda a: status(int(a or 503)), "corrupt": lambda _: corrupt, "none": lambda _: None,
              "too-long": lambda _: too_long(), "endless-headers": lambda _: endless_headers}
    if len(sys.argv) < 2 or sys.argv[1] not in faults:
        sys.exit(f"usage: bad_registry.py {'|'.join(faults)} [ARGUMENT]")
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
    import registry_tools  # pylint: disable=import-outside-toplevel
    image = registry_tools.Image([registry_tools.tar_layer({"etc": None, "etc/x": bytes(range(256)) * 400})], compression="none")
    with BadRegistry({"a/b": image}) as registry:
        fault = faults[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else None)
        if fault:
            registry.fault("/blobs/", fault)
        print(f"{registry.domain}/a/b:latest", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
