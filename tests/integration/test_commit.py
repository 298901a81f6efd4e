"""`commit` and `import`: images of what a container has changed, and of tars."""

import io
import json
import os
import re
import subprocess
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import images
from harness import until

CHANGES = ("echo new >/srv/new; ln /srv/new /srv/new2; chown 7:8 /srv/new; chmod 4711 /srv/new; rm /srv/noted; rm -r /opt/opaque; "
           "mkdir /opt/opaque; touch /opt/opaque/mine; rm /etc/group; mkdir /etc/group; ln -s /nowhere /srv/dangling; mkfifo /srv/fifo; "
           "touch -d 2001-02-03 /srv/old; mkdir -m 1777 /srv/sticky")
LOOK = ("cd /; find srv opt etc -not -name hosts -not -name hostname -not -name resolv.conf | sort | while read f; do "
        "stat -c '%n %F %a %u %g' $f; done; stat -c %h /srv/new /srv/owned; cat /srv/new; readlink /srv/dangling; stat -c %Y /srv/old")


@pytest.fixture
def named(berth):
    """Makes names of images; all are removed at the end."""
    names = []

    def make():
        names.append(f"made-{os.urandom(4).hex()}:1")
        return names[-1]

    yield make
    for name in names:
        berth("rmi", "-f", name)


def layers(berth, image):
    return json.loads(berth.ok("image", "inspect", image))[0]["RootFS"]["Layers"]


def test_the_image_is_what_the_container_was(berth, box, named):
    name, r = box.keep("sh", "-c", f"{CHANGES}; {LOOK}")
    assert r.code == 0, r
    new = named()
    ident = berth.ok("commit", "-m", "why", "-a", "who", name, new)
    assert re.fullmatch("sha256:[0-9a-f]{64}", ident)
    assert box.ok("sh", "-c", LOOK, image=new) == r.out.rstrip("\n")
    info = json.loads(berth.ok("image", "inspect", new))[0]
    assert info["Id"] == ident and info["Author"] == "who"
    assert len(layers(berth, new)) == len(layers(berth, box.image)) + 1
    assert layers(berth, new)[:-1] == layers(berth, box.image)
    assert berth.ok("diff", name).count("\n") > 5, "the container stays as it is"


def test_a_vm_of_it_is_the_same(berth, box, cbox, named):
    name, r = cbox.keep("sh", "-c", CHANGES)
    assert r.code == 0, r
    new = named()
    berth.ok("commit", name, new)
    assert box.ok("sh", "-c", "cat /srv/new; ls /opt/opaque; test -e /srv/noted || echo gone; stat -c '%a %u %h' /srv/new",
                  image=new) == "new\nmine\ngone\n4711 7 2"


def test_the_layer_holds_the_changes_and_ocis_marks_alone(berth, box, named, tmp_path):
    opts = ("-v", f"{tmp_path}:/srv/volume", "-v", f"{tmp_path}:/deep/er/volume", "--tmpfs", "/fast")
    name, r = box.keep("sh", "-c", "touch /srv/new /srv/volume/in /fast/in; rm /srv/noted; rm -r /opt/opaque; mkdir /opt/opaque", opts=opts)
    assert r.code == 0, r
    new = named()
    berth.ok("commit", name, new)
    berth.ok("save", "--format", "oci-dir", "-o", tmp_path / "out", new)
    read = lambda d: (tmp_path / "out/blobs/sha256" / d.split(":")[1]).read_bytes()
    (entry,) = json.loads((tmp_path / "out/index.json").read_text())["manifests"]
    layer = json.loads(read(entry["digest"]))["layers"][-1]
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    names = tarfile.open(fileobj=io.BytesIO(read(layer["digest"]))).getnames()
    if box.isolation == "vm":  # whose image has no places for /etc/hosts and the like; a container has a layer with these below it
        names.remove("etc")
    assert names == [".", "deep", "deep/er", "opt", "opt/opaque", "opt/opaque/.wh..wh..opq", "srv", "srv/new", "srv/.wh.noted"]


def test_the_same_changes_make_the_same_layer(berth, box, named):
    one, _ = box.keep("sh", "-c", "touch -d 2001-02-03 /srv/x; touch -d 2001-02-03 /srv /")
    new = [named(), named()]
    for n in new:
        berth.ok("commit", one, n)
    assert layers(berth, new[0]) == layers(berth, new[1])


def test_the_configuration_is_merged(berth, cbox, app, named):
    name = cbox.name()
    berth.ok(*cbox.args("given", "words", verb="create", image=app,
                        opts=("--name", name, "-e", "GREETING=mine", "-e", "MORE=1", "-w", "/opt", "-u", "nobody", "-l", "flavour=sweet",
                              "-l", "new=label")))
    new = named()
    berth.ok("commit", "-c", "ENV EXTRA=$MORE$MORE", "-c", 'CMD ["changed"]', "-c", "EXPOSE 80", "-c", "label x=y", name, new)
    config = json.loads(berth.ok("image", "inspect", new))[0]["Config"]
    assert {"GREETING=mine", "MORE=1", "EXTRA=11"} <= set(config["Env"])
    assert (config["WorkingDir"], config["User"], config["Cmd"], config["Entrypoint"]) == ("/opt", "nobody", ["changed"], ["/bin/show"])
    assert config["Labels"] == {"flavour": "sweet", "new": "label", "x": "y"} and "80/tcp" in config["ExposedPorts"]
    assert cbox.ok(image=new) == "changed\n65534\n/opt\nmine"
    berth.ok("commit", name, new)
    assert cbox.ok(image=new).startswith("given words\n")
    berth.fails("commit", "-c", "RUN make", name, says="not a valid change command")
    entry = cbox.name()
    berth.ok(*cbox.args(verb="create", image=app, opts=("--name", entry, "--entrypoint", "/bin/pwd")))
    berth.ok("commit", entry, new)
    config = json.loads(berth.ok("image", "inspect", new))[0]["Config"]
    assert config["Entrypoint"] == ["/bin/pwd"] and not config["Cmd"]


def test_one_that_runs_stands_still_and_goes_on(berth, cbox, named):
    name = cbox.start("sh", "-c", "i=0; while :; do echo $i >/srv/a; echo $i >/srv/b; i=$((i+1)); done")
    until(lambda: berth("exec", name, "test", "-s", "/srv/b").code == 0, "it counts")
    new = named()
    for opts in ("--pause=false",), ():
        berth.ok("commit", *opts, name, new)
        assert berth.state(name)["Status"] == "running"
    before = berth.ok("exec", name, "cat", "/srv/b")
    until(lambda: berth.ok("exec", name, "cat", "/srv/b") not in ("", before), "it goes on counting")
    # One moment: whatever the writer was at, at most one file is being written, and a is at most one ahead of b.
    kept = [cbox.ok("cat", f"/srv/{f}", image=new) for f in "ab"]
    assert "" not in kept and 0 <= int(kept[0]) - int(kept[1]) <= 1 or kept.count("") == 1, kept
    berth.ok("pause", name)
    berth.ok("commit", name, new)
    assert berth.state(name)["Status"] == "paused"
    berth.ok("unpause", name)
    actions = [json.loads(line)["Action"] for line in berth.ok("events", "--since", "1m", "--until", "0s", "--filter", f"container={name}",
                                                              "--format", "{{json .}}").split("\n")]
    assert actions.count("commit") == 3 and actions[-1] == "unpause"


def test_without_a_name_and_with_wrong_ones(berth, cbox):
    name, _ = cbox.keep("touch", "/srv/x")
    ident = berth.ok("commit", name)
    assert cbox.ok("ls", "/srv/x", image=ident) == "/srv/x"
    berth.ok("rmi", ident)
    berth.fails("commit", name, "UPPER", says="UPPER")
    berth.fails("commit", name, f"x@sha256:{'0' * 64}", says="can't hold a digest")
    berth.fails("commit", "no-such-one", says="no such container")


def files_of(root):
    return sorted(str(p.relative_to(root)) for top in ("oci/blobs", "layers", "tmp") for p in (root / top).glob("**/*")
                  if p.parent.name in ("sha256", "layers", "tmp"))


def test_killed_at_any_moment_it_leaves_nothing_but_garbage_that_prune_takes(berth, cbox, named):
    name = cbox.start("sh", "-c", "for i in 1 2 3 4; do head -c 3000000 /dev/urandom >/srv/big$i; done; touch /srv/ready; exec sleep 1000")
    until(lambda: berth("exec", name, "test", "-e", "/srv/ready").code == 0, "it has written")
    berth.ok("image", "prune", "-f")
    before, images_before = files_of(berth.root), berth.ok("images", "-q")
    for i in range(12):
        p = berth.popen("commit", name, named(), start_new_session=True)
        time.sleep(0.04 * i)
        p.kill()
        p.communicate()
        until(lambda: berth.state(name)["Status"] == "running", "it goes on")
    until(lambda: not subprocess.run(["pgrep", "-f", f"berth-transfer commit --root {berth.root} "], capture_output=True).stdout,
          "berth-transfer is gone")
    berth.ok("image", "prune", "-f")
    if berth.ok("images", "-q") == images_before:
        assert files_of(berth.root) == before
    assert "whole" in berth.ok("system", "check")


def test_an_error_leaves_nothing(berth, cbox):
    name, _ = cbox.keep("sh", "-c", "chmod 700 /etc")
    berth.ok("image", "prune", "-f")
    before = files_of(berth.root)
    upper = next((berth.root / "containers" / berth.inspect(name)["Id"]).glob("upper/etc"))
    os.setxattr(upper, "trusted.overlay.redirect", b"elsewhere")
    berth.fails("commit", name, says="redirect_dir")
    os.removexattr(upper, "trusted.overlay.redirect")
    assert files_of(berth.root) == before
    assert not json.loads(berth.ok("inspect", name))[0]["State"]["Running"]


# ---- import ----

def test_an_export_imported_is_the_same_root(berth, cbox, named, tmp_path):
    name, r = cbox.keep("sh", "-c", f"{CHANGES}; {LOOK}")
    assert r.code == 0, r
    flat = named()
    tar = subprocess.run(berth.argv("export", name), capture_output=True, check=True).stdout
    ident = berth.ok("import", "-m", "flat", "-c", 'CMD ["sh"]', "-c", "ENV PATH=/bin", "-", flat, input=tar)
    assert re.fullmatch("sha256:[0-9a-f]{64}", ident) and len(layers(berth, flat)) == 1
    assert cbox.ok("sh", "-c", LOOK, image=flat) == r.out.rstrip("\n")
    assert cbox.ok("sh", "-c", "getfattr -d /srv/owned 2>/dev/null; ls -l /opt/null", image=flat).startswith("crw")
    (tmp_path / "x.tar").write_bytes(tar)
    other = named()
    berth.ok("import", tmp_path / "x.tar", other)
    assert layers(berth, other) == layers(berth, flat)
    assert not json.loads(berth.ok("image", "inspect", other))[0]["Config"].get("Cmd")


@pytest.mark.parametrize("compress", ["gzip", "bzip2", "xz", "zstd"])
def test_tars_are_imported_whatever_compresses_them(berth, cbox, named, compress, tmp_path):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        tar.add("/bin/busybox", "bin/sh")
    packed = subprocess.run([compress, "-c"], input=raw.getvalue(), capture_output=True, check=True).stdout
    new = named()
    berth.ok("import", "-", new, input=packed)
    assert cbox.ok("/bin/sh", "-c", "echo runs", image=new) == "runs"


def test_what_is_no_tar_is_no_image(berth, tmp_path):
    before = files_of(berth.root)
    berth.fails("import", "-", input=b"this is no tar, but long enough to be taken for the beginning of one", says="not a tar archive")
    berth.fails("import", tmp_path / "missing.tar", says=["missing.tar", "No such file"])
    raw = io.BytesIO()
    info, data = images.entry("../out", b"x")
    with tarfile.open(fileobj=raw, mode="w") as tar:
        tar.addfile(info, io.BytesIO(data))
    berth.fails("import", "-", input=raw.getvalue(), says='climbs with ".."')
    assert files_of(berth.root) == before


def test_a_terminal_shows_how_far_it_is(berth, cbox, named, tmp_path):
    name, _ = cbox.keep("sh", "-c", "head -c 40000000 /dev/urandom >/srv/big")
    t = cbox.terminal("commit", name, named())
    t.expect(r"Committing \d+(\.\d+)?MB")
    t.expect("sha256:[0-9a-f]{64}")
    assert t.wait() == 0


@pytest.fixture
def site():
    """What is at each path: (status, headers, body); .url."""
    pages = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = pages.get(self.path, (404, {}, b"no"))
            self.send_response(status)
            for key, value in {"Content-Length": len(body), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pages["url"] = f"http://127.0.0.1:{server.server_port}"
    yield pages
    server.shutdown()
    server.server_close()


def test_a_tar_at_an_address_is_imported(berth, cbox, named, site):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        tar.add("/bin/busybox", "bin/sh")
    body = raw.getvalue()
    site["/x.tgz"] = 200, {}, body
    site["/moved"] = 302, {"Location": "/x.tgz"}, b""
    site["/cut"] = 200, {"Content-Length": len(body) + 1000}, body
    site["/cut-within"] = 200, {"Content-Length": len(body)}, body[:len(body) // 2]
    site["/text"] = 200, {}, b"this is no tar, but long enough to be taken for the beginning of one"
    site["/file"] = 302, {"Location": "file:///etc/passwd"}, b""
    site["/loop"] = 302, {"Location": "/loop"}, b""
    before = files_of(berth.root)
    for path, says in (("/none", "404"), ("/cut", "transfer closed"), ("/cut-within", "transfer closed"), ("/text", "not a tar archive"),
                       ("/file", "not supported"), ("/loop", "redirects")):
        berth.fails("import", site["url"] + path, says=[site["url"], says])
    berth.fails("import", "http://127.0.0.1:1/x", says=["127.0.0.1", "connect"])
    assert files_of(berth.root) == before
    for path in "/x.tgz", "/moved":
        new = named()
        berth.ok("import", site["url"] + path, new)
        assert cbox.ok("/bin/sh", "-c", "echo runs", image=new) == "runs"
