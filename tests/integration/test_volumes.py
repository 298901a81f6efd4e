"""Volumes as docker's and podman's users know them: named, without a name, of other containers; the image's files in a new one."""

import fcntl
import json
import os
import random
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import images
from harness import Berth

ANONYMOUS = re.compile(r"[0-9a-f]{64}")


@pytest.fixture
def volumes(berth):
    """No test leaves a volume, nor a directory of one."""
    yield lambda *a: berth.ok("volume", "ls", "-q", *a).split()
    left = berth.ok("ps", "-aq", "--no-trunc").split()
    if not left:
        berth.ok("volume", "prune", "-a")
        there = berth.root / "volumes"
        assert not there.exists() or os.listdir(there) == []


@pytest.fixture
def vbox(box, volumes):  # its containers go before the volumes
    yield box
    box.clean()


@pytest.fixture
def cvbox(cbox, volumes):
    yield cbox
    cbox.clean()


def data(berth, name) -> Path:
    return Path(json.loads(berth.ok("volume", "inspect", name))[0]["Mountpoint"])


def mount(berth, container, at) -> dict:
    return next(m for m in berth.inspect(container)["Mounts"] if m["Destination"] == at)


# ---- the verbs ----

def test_volumes_are_made_listed_shown_and_removed(berth, volumes):
    assert berth.ok("volume", "create", "--label", "colour=red", "--label", "plain", "data.1") == "data.1"
    before = berth.ok("volume", "inspect", "data.1")
    assert berth.ok("volume", "create", "data.1", "--label", "colour=blue") == "data.1"  # stays as it is, as docker has it
    assert berth.ok("volume", "inspect", "data.1") == before
    shown = json.loads(before)
    assert len(shown) == 1 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown[0].pop("CreatedAt"))
    assert shown[0] == {"Driver": "local", "Labels": {"colour": "red", "plain": ""}, "Name": "data.1", "Options": None, "Scope": "local",
                        "Mountpoint": str(berth.root / "volumes/data.1/_data")}
    assert json.loads(berth.ok("inspect", "data.1"))[0]["Name"] == "data.1"
    assert berth.ok("inspect", "--type", "volume", "--format", "{{.Name}}", "data.1") == "data.1"
    assert data(berth, "data.1").stat().st_mode & 0o7777 == 0o755
    unnamed = berth.ok("volume", "create")
    assert ANONYMOUS.fullmatch(unnamed) and berth.ok("volume", "exists", unnamed) == ""
    assert volumes() == sorted(["data.1", unnamed])
    lines = berth.ok("volume", "ls").splitlines()
    assert lines[0].split() == ["DRIVER", "VOLUME", "NAME"] and sorted(line.split()[1] for line in lines[1:]) == volumes()
    assert volumes("-f", "name=ata") == ["data.1"] and volumes("-f", "label=colour=red") == ["data.1"]
    assert volumes("-f", "label=plain", "-f", "label=colour=blue") == [] and volumes("--filter", "driver=local") == volumes()
    assert volumes("-f", "dangling=true") == volumes() and volumes("-f", "dangling=0") == []
    assert berth.ok("volume", "ls", "-f", "name=data", "--format", "{{.Driver}} {{.Name}} {{.Labels}}") == "local data.1 colour=red,plain="
    row = json.loads(berth.ok("volume", "ls", "-f", "name=data", "--format", "{{json .}}"))
    assert row["Mountpoint"] == str(data(berth, "data.1")) and row["Scope"] == "local" and row["Size"] == "N/A"
    assert berth.ok("volume", "rm", "data.1", unnamed).split() == ["data.1", unnamed]
    assert berth("volume", "exists", unnamed).code == 1
    berth.fails("volume", "rm", "data.1", says="get data.1: no such volume")
    berth.fails("volume", "inspect", "data.1", says="get data.1: no such volume")
    assert berth.ok("volume", "rm", "-f", "data.1") == "data.1"
    assert os.listdir(berth.root / "volumes") == []


def test_events_of_volumes(cvbox, volumes):
    berth, since = cvbox.berth, f"{time.time():.6f}"
    berth.ok("volume", "create", "told")
    berth.ok("volume", "create", "told")
    cvbox.sh("true", opts=("-v", "told:/v", "-v", "/own"))
    berth.ok("volume", "rm", "told")
    lines = berth.ok("events", "--since", since, "--until", f"{time.time():.6f}", "-f", "type=volume", "--format", "json").splitlines()
    happened = [(v["Action"], v["Actor"]["ID"], v["Actor"]["Attributes"]) for v in map(json.loads, lines)]
    assert [h[0] for h in happened] == ["create", "create", "destroy", "destroy"]
    assert happened[0] == ("create", "told", {"driver": "local"}) and happened[3][:2] == ("destroy", "told")
    assert happened[1][1] == happened[2][1] and ANONYMOUS.fullmatch(happened[1][1])
    assert len(berth.ok("events", "--since", since, "--until", f"{time.time():.6f}", "-f", "volume=told").splitlines()) == 2


@pytest.mark.parametrize("args, says", [
    (("create", "x"), "volume name is too short"),
    (("create", "../up"), "includes invalid characters for a local volume name"),
    (("create", ".hidden"), "includes invalid characters"),
    (("create", "n" * 256), "longer than 255 bytes"),
    (("create", "-d", "nfs", "data"), "no volume driver \"nfs\""),
    (("create", "-o", "size=much", "data"), "a size is at least 64k"),
    (("create", "-o", "size=63k", "data"), "a size is at least 64k"),
    (("create", "-o", "type=tmpfs", "data"), "missing device"),
    (("create", "--label", "=x", "data"), "has no name"),
    (("create", "--name", "one", "two"), "conflicting options"),
    (("ls", "-f", "colour=red"), "is not KEY=VALUE"),
    (("ls", "-f", "dangling=perhaps"), "true or false"),
    (("prune", "--filter", "name=x"), "is not KEY=VALUE"),
    (("rm", "../.."), "no such volume"),
])
def test_what_is_wrong_is_refused_with_its_name(berth, volumes, args, says):
    berth.fails("volume", *args, says=says)
    assert volumes() == []


def test_prune_takes_what_nobody_named_and_nobody_uses(cvbox, volumes):
    berth = cvbox.berth
    unnamed = berth.ok("volume", "create")
    berth.ok("volume", "create", "kept")
    berth.ok("volume", "create", "--label", "scratch", "marked")
    name, _ = cvbox.keep("true", opts=("-v", "/v", "-v", "used:/u"))
    (data(berth, unnamed) / "file").write_bytes(b"x" * 3_000_000)
    out = berth.ok("volume", "prune", "-f").splitlines()
    assert out[:3] == ["Deleted Volumes:", unnamed, ""] and re.fullmatch(r"Total reclaimed space: 3(\.\d+)?MB", out[3])
    assert berth.ok("volume", "prune") == "Total reclaimed space: 0B"
    assert berth.ok("volume", "prune", "-a", "--filter", "label=scratch").splitlines()[1] == "marked"
    berth.ok("rm", name)  # without -v: they stay
    assert len(volumes()) == 3
    berth.ok("system", "prune", "--volumes")
    assert volumes() == ["kept", "used"]
    assert berth.ok("volume", "prune", "--filter", "all=true", "--filter", "label!=scratch").splitlines()[1:3] == ["kept", "used"]


# ---- in containers and in virtual machines ----

def test_a_named_volume_is_made_by_its_first_use_and_outlives_its_containers(vbox, volumes):
    berth = vbox.berth
    vbox.sh("echo one >/v/f; chmod 640 /v/f", opts=("-v", "data:/v"))
    assert (data(berth, "data") / "f").read_text() == "one\n"
    name, done = vbox.keep("sh", "-c", "cat /w/f; echo two >>/w/f 2>/dev/null || echo refused",
                           opts=("--mount", "type=volume,src=data,dst=/w,readonly"))
    assert done.out.split() == ["one", "refused"], done
    assert mount(berth, name, "/w") == {"Type": "volume", "Name": "data", "Source": str(data(berth, "data")), "Destination": "/w",
                                        "Driver": "local", "Mode": "ro", "RW": False, "Propagation": ""}
    ident = berth.inspect(name)["Id"][:12]
    berth.fails("volume", "rm", "data", says=f"remove data: volume is in use - [{name} ({ident})]")
    berth.fails("volume", "rm", "-f", "data", says="volume is in use")
    assert volumes("-f", "dangling=true") == [] and volumes("-f", "dangling=false") == ["data"]
    assert berth.ok("ps", "-a", "--format", "{{.Mounts}} {{.LocalVolumes}}") == "data 1"
    assert [berth.ok("ps", "-aq", "-f", f"volume={v}") for v in ("data", "/w", "other", "/v")] == [ident, ident, "", ""]
    berth.ok("rm", "-v", name)  # a named one never goes with a container
    assert volumes() == ["data"]
    assert berth.ok("volume", "rm", "data") == "data"


def test_what_the_image_has_there_is_copied_into_an_empty_volume(vbox, volumes):
    berth = vbox.berth
    out = vbox.sh("cd /srv && stat -c '%n %u:%g %a' . owned hard-link noted; test owned -ef hard-link && echo same; cat owned",
                  opts=("-v", "srv:/srv"))
    assert out.splitlines() == [". 1000:1000 755", "owned 1000:1001 644", "hard-link 1000:1001 644", "noted 0:0 644", "same", "mine"]
    assert os.getxattr(data(berth, "srv") / "noted", "user.note") == b"kept"
    vbox.sh("true", opts=("-v", "opt:/opt"))
    opt = data(berth, "opt")
    assert os.readlink(opt / "link") == "/opt/opaque/new" and (opt / "opaque/new").read_text() == "only me\n"
    assert (opt / "fifo").is_fifo() and (opt / "null").is_char_device() and os.stat(opt / "null").st_rdev == os.makedev(1, 3)
    assert (opt / "sparse").stat().st_size == 8 << 20 and not any((opt / "sparse").read_bytes())


def test_it_is_copied_once_and_not_where_it_is_not_wanted(vbox, volumes):
    vbox.sh("rm owned; echo mine >own", opts=("-v", "srv:/srv", "-w", "/srv"))
    vbox.sh("true", opts=("-v", "srv:/srv"))
    assert sorted(os.listdir(data(vbox.berth, "srv"))) == ["hard-link", "noted", "own"]
    vbox.sh("test -z \"$(ls /a)$(ls /b)\"", opts=("-v", "bare:/a", "--mount", "src=bare2,dst=/b,volume-nocopy"))
    assert vbox.sh("ls /srv", opts=("--mount", "type=volume,src=bare2,dst=/srv,volume-nocopy")) == ""
    assert vbox.sh("ls /srv", opts=("-v", "bare:/srv:nocopy")) == ""


def test_volumes_without_a_name_go_with_their_container_when_asked(vbox, volumes):
    berth = vbox.berth
    assert "owned" in vbox.sh("ls /srv; touch /v/x", opts=("-v", "/srv", "--mount", "type=volume,dst=/v", "-v", "named:/n"))
    assert volumes() == ["named"]  # --rm
    name, done = vbox.keep("true", opts=("-v", "/v",))
    assert done.code == 0, done
    own = mount(berth, name, "/v")["Name"]
    assert ANONYMOUS.fullmatch(own) and volumes() == sorted(["named", own])
    assert json.loads(berth.ok("volume", "inspect", own))[0]["Labels"] == {"com.docker.volume.anonymous": ""}
    berth.ok("rm", "-v", name)
    assert volumes() == ["named"]


def test_volumes_from_another_container(vbox, tmp_path, volumes):
    berth = vbox.berth
    (tmp_path / "host").write_text("host\n")
    first, done = vbox.keep("sh", "-c", "echo mine >/v/f; echo named >/n/f",
                            opts=("-v", "/v", "-v", "named:/n", "-v", f"{tmp_path}:/h:ro", "--tmpfs", "/t"))
    assert done.code == 0, done
    out = vbox.sh("cat /v/f /n/f /h/host; touch /v/g 2>/dev/null || echo refused", opts=("--volumes-from", f"{first}:ro"))
    assert out.split() == ["mine", "named", "host", "refused"]
    second, done = vbox.keep("sh", "-c", "cat /v/f; ls /n; touch /h/x 2>/dev/null || echo refused",
                             opts=("--volumes-from", first, "-v", "other:/n"))
    assert done.out.split() == ["mine", "refused"], done
    own = mount(berth, second, "/v")["Name"]
    row = json.loads(berth.ok("ps", "-a", "--no-trunc", "--format", "json", "-f", f"name={second}"))
    assert sorted(row["Mounts"].split(",")) == sorted([own, "other", str(tmp_path)]) and row["LocalVolumes"] == "2"
    assert f"{own[:14]}\u2026" in berth.ok("ps", "-a", "--format", "{{.Mounts}}", "-f", f"name={second}").split(",")
    assert mount(berth, second, "/n")["Name"] == "other" and berth.inspect(second)["HostConfig"]["VolumesFrom"] == [first]
    berth.ok("rm", "-v", first)
    assert own in volumes()  # the second uses it
    berth.ok("rm", "-v", second)
    assert volumes() == ["named", "other"]


def test_a_volume_below_another_is_not_hidden_whichever_is_named_first(vbox, hostile, volumes):
    ref = hostile([[images.entry("data")]], {"Volumes": {"/data": {}}})
    script = "echo in >/data/sub/f; echo out >/data/f; cat /data/sub/f"
    assert vbox.sh(script, image=ref, opts=("-v", "inner:/data/sub")) == "in"
    assert (data(vbox.berth, "inner") / "f").read_text() == "in\n"
    vbox.sh("echo x >/x/y/f", opts=("-v", "low:/x/y", "-v", "high:/x"))
    assert os.listdir(data(vbox.berth, "low")) == ["f"] and os.listdir(data(vbox.berth, "high")) == ["y"]


def test_two_containers_share_a_volume_while_they_run(vbox, volumes):
    berth = vbox.berth
    a = vbox.start("sleep", "1000", opts=("-v", "shared:/v"))
    b = Box_of(vbox, "container").start("sleep", "1000", opts=("-v", "shared:/w"))
    try:
        berth.ok("exec", a, "sh", "-c", "echo from a >/v/f")
        assert berth.ok("exec", b, "cat", "/w/f") == "from a"
        # Filled while others use it: they see it.
        vbox.berth.ok("exec", a, "rm", "/v/f")
        assert "owned" in Box_of(vbox, "container").sh("ls /srv", opts=("-v", "shared:/srv"))
        assert berth.ok("exec", b, "cat", "/w/owned") == "mine"
    finally:
        berth.ok("rm", "-f", a, b)


def Box_of(box, isolation):
    return type(box)(box.berth, isolation, box.image)


def test_a_volume_given_to_the_containers_user(vbox, volumes):
    berth = vbox.berth
    berth.ok("volume", "create", "data")
    at = data(berth, "data")
    (at / "deep").mkdir()
    (at / "deep/file").write_text("x")
    (at / "out").symlink_to("/etc")
    before = os.stat("/etc").st_uid
    assert vbox.sh("touch /v/new /v/deep/new && stat -c %u:%g /v /v/deep/file", opts=("-u", "web", "-v", "data:/v:U")).split() == \
        ["1000:1000"] * 2
    assert os.lstat(at / "out").st_uid == 1000 and os.stat("/etc").st_uid == before


def test_cached_and_consistent_volumes(vbox, volumes):
    name, done = vbox.keep("sh", "-c", "echo x >/a/f && echo y >/b/f && cat /a/f /b/f",
                           opts=("-v", "one:/a:cached", "--mount", "type=volume,src=two,dst=/b,consistency=consistent"))
    assert done.out.split() == ["x", "y"], done
    assert mount(vbox.berth, name, "/a")["Mode"] == "cached" and mount(vbox.berth, name, "/b")["Mode"] == "consistent"


# ---- images ----

def test_an_images_volumes(cvbox, hostile, volumes):
    ref = hostile([[images.entry("data"), images.entry("data/f", b"from the image\n"), images.symlink("way", "/data")]],
                  {"Volumes": {"/data": {}, "/none/there/": {}}})
    berth = cvbox.berth
    name, done = cvbox.keep("sh", "-c", "cat /data/f; ls -d /none/there", image=ref)
    assert done.out.splitlines() == ["from the image", "/none/there"], done
    assert all(ANONYMOUS.fullmatch(mount(berth, name, at)["Name"]) for at in ("/data", "/none/there"))
    assert len(volumes()) == 2
    berth.ok("rm", "-v", name)
    assert volumes() == []
    name, done = cvbox.keep("cat", "/data/f", image=ref, opts=("-v", "mine:/data", "--tmpfs", "/none/there"))
    assert done.out == "from the image\n" and volumes() == ["mine"]
    look = "ls /data; grep -c ' /data ' /proc/mounts; ls -d /none"
    r = cvbox("sh", "-c", look, image=ref, opts=("--image-volume", "ignore"))
    assert r.out.split() == ["f", "0"] and volumes() == ["mine"], r
    name, done = cvbox.keep("sh", "-c", look, image=ref, opts=("--image-volume", "tmpfs"))
    assert done.out.split() == ["1", "/none"] and volumes() == ["mine"], done
    cvbox.berth.fails("run", "--image-volume", "host", ref, says="--image-volume: \"host\" is not known; anonymous, bind, tmpfs and ignore are")


@pytest.mark.parametrize("path, says", [("/../../etc", "can't hold \"..\""), ("relative", "must be absolute"), ("/", "can't mount over"),
                                        ("/proc", "no volume can be there"), ("/sys/fs/x", "no volume can be there"),
                                        ("/./dev//shm", "no volume can be there")])
def test_I16_R02_an_images_volume_in_a_place_that_is_not_its_own_is_refused(cvbox, hostile, volumes, path, says):
    ref = hostile([[images.entry("d")]], {"Volumes": {path: {}, "/fine": {}}})
    r = cvbox("true", image=ref)
    assert r.code == 125 and says in r.err and r.err.count("\n") == 1, r
    assert volumes() == [] and not any((cvbox.berth.root / "volumes").glob("*"))


def test_I16_links_of_an_image_never_lead_the_copy_out_of_it(cvbox, hostile, volumes, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("the host's\n")
    up = "../" * 30
    ref = hostile([[images.symlink("abs", str(secret)), images.symlink("up", up + str(secret)[1:]), images.symlink("deep", "/abs"),
                    images.entry("real"), images.symlink("real/inner", str(secret)), images.symlink("proc-root", "/proc/1/root/etc"),
                    images.symlink("loop", "loop")]])
    for at in ("abs", "up", "deep", "abs/sub", "proc-root"):
        name = cvbox.name()
        cvbox.berth.ok("create", "--name", name, "-v", f"v{at.replace('/', '-')}:/{at}", ref)
        assert os.listdir(data(cvbox.berth, f"v{at.replace('/', '-')}")) == []
    cvbox.berth.ok("create", "--name", cvbox.name(), "-v", "real:/real", ref)
    assert os.readlink(data(cvbox.berth, "real") / "inner") == str(secret)  # as a link
    cvbox.berth.fails("create", "-v", "loop:/loop", ref, says="/loop of the image")


# ---- many at once, and killed at any moment ----

def test_a_hundred_that_want_one_new_volume_all_get_it_and_it_is_filled_once(cvbox, volumes):
    berth = cvbox.berth

    def one(i):
        return berth("create", "--name", f"race-{i}", "--network", "none", "-v", "raced:/srv", cvbox.image)

    cvbox.names += [f"race-{i}" for i in range(100)]
    with ThreadPoolExecutor(24) as pool:
        done = list(pool.map(one, range(100)))
    assert [r for r in done if r.code] == []
    assert volumes() == ["raced"] and sorted(os.listdir(data(berth, "raced"))) == ["hard-link", "noted", "owned"]
    assert os.listdir(berth.root / "volumes/raced") == ["_data"]
    berth.fails("volume", "rm", "raced", says="volume is in use - [")


def test_makers_and_removers_of_one_volume_never_lose_a_container_its_volume(cvbox, volumes):
    berth = cvbox.berth
    began, users = time.monotonic(), []

    def remove(_):
        while not all(u.done() for u in users):
            r = berth("volume", "rm", "contested")
            assert r.code == 0 or "no such volume" in r.err or "volume is in use" in r.err, r
            berth("volume", "create", "contested")

    def use(i):
        n = 0
        while n < 4 or time.monotonic() < began + 4:
            r = cvbox("sh", "-c", "test -e /srv/owned && echo x >/srv/mine", opts=("-v", "contested:/srv"))
            assert r.code == 0, r
            n += 1

    with ThreadPoolExecutor(6) as pool:
        users += [pool.submit(use, i) for i in range(3)]
        removers = [pool.submit(remove, i) for i in range(2)]
        [f.result() for f in users + removers]


def test_of_many_that_remove_one_volume_one_does(berth, volumes):
    for _ in range(5):
        berth.ok("volume", "create", "once")
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda _: berth("volume", "rm", "once"), range(8)))
        assert sorted(r.code for r in done) == [0] + [125] * 7
        assert all("get once: no such volume" in r.err for r in done if r.code), done
    assert os.listdir(berth.root / "volumes") == []


def test_killed_at_any_moment_a_volume_is_empty_or_whole(cvbox, hostile, volumes):
    """kill -9 of `create -v` while it copies: nothing half, and the next use fills it."""
    berth = cvbox.berth
    ref = hostile([[images.entry("many")] + [images.entry(f"many/d{i}/f{j}", b"x" * 2000) for i in range(20) for j in range(60)]])
    took = time.monotonic()
    berth.ok("create", "--name", cvbox.name(), "-v", "whole:/many", ref)
    took = time.monotonic() - took
    count = lambda v: sum(len(files) for _, _, files in os.walk(data(berth, v)))
    assert count("whole") == 1200
    seen, rng, i = set(), random.Random(7), -1
    while (i := i + 1) < 25 or (0 not in seen and i < 200):  # some have to be met while they copy
        with berth.popen("create", "--name", f"killed-{i}", "-v", f"v{i}:/many", ref) as p:
            time.sleep(rng.uniform(0, took))
            p.send_signal(signal.SIGKILL)
        cvbox.names.append(f"killed-{i}")
        if f"v{i}" not in volumes("-f", f"name=v{i}"):
            continue
        n = count(f"v{i}") if data(berth, f"v{i}").exists() else 0
        seen.add(n)
        assert n in (0, 1200)
        berth.ok("create", "--name", f"again-{i}", "-v", f"v{i}:/many", ref)
        cvbox.names.append(f"again-{i}")
        assert count(f"v{i}") == 1200 and os.listdir(berth.root / f"volumes/v{i}") == ["_data"]
    assert 0 in seen, seen


def test_killed_at_any_moment_volumes_without_a_name_are_not_left(cvbox, volumes):
    """kill -9 of `create -v /path` and of `rm -v`: what is left has its container, or goes with the next `system prune`."""
    berth, rng = cvbox.berth, random.Random(11)
    for i in range(20):
        with berth.popen("create", "--name", f"killed-{i}", "-v", "/srv", "-v", "/v", cvbox.image) as p:
            time.sleep(rng.uniform(0, 0.06))
            p.send_signal(signal.SIGKILL)
    for i in range(20):
        with berth.popen("rm", "-v", f"killed-{i}") as p:
            time.sleep(rng.uniform(0, 0.03))
            p.send_signal(signal.SIGKILL)
    for i in range(20):
        berth("rm", "-v", f"killed-{i}")
    assert volumes() == []
    berth.ok("system", "prune")
    assert os.listdir(berth.root / "volumes") == []


def test_a_removal_that_was_killed_leaves_nothing_of_it_to_a_new_volume(berth, volumes):
    rng = random.Random(3)
    for i in range(15):
        berth.ok("volume", "create", "again")
        (data(berth, "again") / "old").write_text("old")
        with berth.popen("volume", "rm", "again") as p:
            time.sleep(rng.uniform(0, 0.02))
            p.send_signal(signal.SIGKILL)
        if "again" in volumes():
            berth.ok("volume", "rm", "again")
        berth.ok("volume", "create", "again")
        assert os.listdir(data(berth, "again")) == []
        berth.ok("volume", "rm", "again")
    # Files whose record is gone, as a kill in between leaves them.
    (berth.root / "volumes/lost/_data").mkdir(parents=True)
    (berth.root / "volumes/lost/_data/old").write_text("old")
    berth.ok("volume", "create", "lost")
    assert os.listdir(data(berth, "lost")) == []
    (berth.root / "volumes/stray/_data").mkdir(parents=True)
    berth.ok("system", "prune")
    assert os.listdir(berth.root / "volumes") == ["lost"]


def test_a_copy_that_was_being_moved_in_is_gone_on_with(cvbox, volumes):
    berth = cvbox.berth
    user = cvbox.start("sleep", "1000", opts=("-v", "data:/v"))
    at = data(berth, "data")
    (at.parent / "filled/rest").mkdir(parents=True)
    (at.parent / "filled").chmod(0o751)
    (at / "moved").write_text("")
    cvbox.sh("test -d /w/rest && test -e /w/moved", opts=("-v", "data:/w"))
    assert at.stat().st_mode & 0o7777 == 0o751 and os.listdir(at.parent) == ["_data"]
    assert berth.ok("exec", user, "ls", "/v").split() == ["moved", "rest"]
    # By the start of a container that has it, too.
    berth.ok("stop", "-t", "0", user)
    (at.parent / "filled/more").mkdir(parents=True)
    berth.ok("start", user)
    assert berth.ok("exec", user, "ls", "/v").split() == ["more", "moved", "rest"]


def test_a_copy_that_fails_says_why_and_leaves_nothing(cvbox, hostile, volumes):
    deep = "/".join(["d"] * 230)
    ref = hostile([[images.entry("/".join(["top"] + ["d"] * i)) for i in range(230)]])
    assert deep
    r = cvbox("true", image=ref, opts=("-v", "deep:/top"))
    assert r.code == 125 and "directories are more than 200 deep" in r.err and "nocopy" in r.err, r
    assert os.listdir(cvbox.berth.root / "volumes/deep") == ["_data"] and os.listdir(data(cvbox.berth, "deep")) == []
    r = cvbox("true", image=ref, opts=("-v", "/top"))
    assert r.code == 125 and sorted(os.listdir(cvbox.berth.root / "volumes")) == ["deep"]
    assert cvbox("true", image=ref, opts=("-v", "deep:/top:nocopy")).code == 0


def test_F07_where_there_is_no_room_for_a_volume_it_is_said(berth, tmp_path):
    where = tmp_path / "full"
    where.mkdir()
    images.tool("mount", "-t", "tmpfs", "-o", "nr_inodes=300", "tmpfs", where)
    try:
        full = Berth(berth.build, where / "root", tmp_path / "run")
        full.ok("volume", "create", "first")
        with pytest.raises(OSError):
            for i in range(300):
                (where / f"f{i}").touch()
        full.fails("volume", "create", "data", says="No space left on device", timeout=20)
        assert full.ok("volume", "ls", "-q") == "first"
        assert full.ok("volume", "rm", "first") == "first"
        assert full.ok("volume", "create", "data") == "data"
    finally:
        images.tool("umount", where)


def test_a_lock_from_inside_holds_nobody_up(cvbox, volumes):
    """A container may lock its own volume's directory; Berth's lock is another."""
    cvbox.sh("true", opts=("-v", "data:/v"))
    fd = os.open(data(cvbox.berth, "data"), os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    cvbox.sh("true", opts=("-v", "data:/v"), timeout=20)
    cvbox.berth.ok("volume", "rm", "data", timeout=20)
    os.close(fd)


# ---- memory: -o type=tmpfs ----

TMPFS = ("-o", "type=tmpfs", "-o", "device=tmpfs")


def test_a_volume_of_memory_is_as_large_as_it_says_and_empty_each_time(vbox):
    b = vbox.berth
    b.ok("volume", "create", *TMPFS, "-o", "o=size=3m,uid=1000,mode=0700", "memory")
    assert json.loads(b.ok("volume", "inspect", "memory"))[0]["Options"] == {"device": "tmpfs", "o": "size=3m,uid=1000,mode=0700", "type": "tmpfs"}
    look = "df -k /m | tail -n 1 | awk '{print $1, $2}'; stat -c '%u %a' /m; ls /m; head -c 4m /dev/zero >/m/f 2>/dev/null || echo full; touch /m/left"
    name, r = vbox.keep("sh", "-c", look, opts=("-v", "memory:/m"))
    assert r.out.splitlines()[1:] == ["1000 700", "full"] and r.out.splitlines()[0].split()[1] == "3072", r
    if vbox.isolation == "container":
        b.ok("start", "-a", name)
        assert b.ok("logs", name).splitlines()[3:][1:] == ["1000 700", "full"], "something is left of the life before"
    assert os.listdir(data(b, "memory")) == []
    b.ok("rm", name)


def test_a_volume_of_memory_is_one_containers_at_a_time(cvbox):
    b = cvbox.berth
    b.ok("volume", "create", *TMPFS, "memory")
    name = cvbox.start("sleep", "100", opts=("-v", "memory:/m:ro"))
    assert "ro" in b.ok("exec", name, "sh", "-c", "grep ' /m ' /proc/mounts").split()[3].split(",")
    for opts in (("-v", "memory:/m"), ("--volumes-from", name)):
        b.fails(*cvbox.args("true", verb="create", opts=opts), says=("volume memory is memory", name, "/dev/shm/memory:PATH"))
    b.fails("volume", "rm", "memory", says="in use")
    b.ok("rm", "-f", name)
    b.fails(*cvbox.args("true", verb="create", opts=("-v", "memory:/m:U")), says="whose owner U can't change")
    # Many at once: one of them gets it.
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda n: b(*cvbox.args("true", verb="create", opts=("--name", n, "-v", "memory:/m"))), [cvbox.name() for _ in range(6)]))
    assert sorted(r.code for r in done) == [0, 125, 125, 125, 125, 125], done


def test_a_volume_is_given_its_options_where_it_is_first_named(cvbox):
    b = cvbox.berth
    opts = "type=volume,src=memory,dst=/m,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-opt=o=size=2m"
    assert cvbox.sh("df -k /m | tail -n 1 | awk '{print $2}'", opts=("--mount", opts)) == "2048"
    assert json.loads(b.ok("volume", "inspect", "memory"))[0]["Options"]["o"] == "size=2m"
    own = opts.replace("src=memory,", "")
    assert cvbox.sh("df -k /m | tail -n 1 | awk '{print $2}'", opts=("--mount", own)) == "2048"
    assert b.ok("volume", "ls", "-q") == "memory"
    b.fails(*cvbox.args("true", verb="create", opts=("--mount", "type=volume,src=other,dst=/m,volume-opt=o=size=2m")), says="missing type in volume options")
    b.fails(*cvbox.args("true", verb="create", opts=("--mount", "type=volume,src=memory,dst=/m,volume-opt=size=9m")), says="without a limit")
    assert b.ok("volume", "ls", "-q") == "memory"


@pytest.mark.parametrize("options, says", [
    (("type=nfs",), "is not possible"), (("type=tmpfs",), "missing device"), (("o=size=1m",), "missing type"), (("device=tmpfs",), "missing type"),
    (("type=tmpfs", "device=tmpfs", "size=1m"), "-o o=size=1m"), (("type=tmpfs", "device=tmpfs", "o=size=much"), "not a size"),
    (("type=tmpfs", "device=tmpfs", "o=colour=red"), "unknown option"), (("type=tmpfs", "device=tmpfs", "o=mode="), "has no value"),
])
def test_wrong_options_are_named_before_anything_is_made(berth, volumes, options, says):
    berth.fails("volume", "create", *(w for o in options for w in ("-o", o)), "data", says=("create data", says))
    assert volumes() == []
