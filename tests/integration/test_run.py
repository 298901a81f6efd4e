"""`run`: streams, exit codes, and each option seen from inside."""

import contextlib
import hashlib
import os
import re

import pytest


def kv(text: str) -> dict:
    """Lines key=value, as the scripts below print them."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_streams_stay_apart_and_stdin_ends(box):
    data = os.urandom(200_000).hex().encode()
    r = box("sh", "-c", "sha256sum; echo to stderr >&2; head -c 1000000 /dev/zero | tr '\\0' x; exit 7", opts=("-i",), input=data)
    assert r.code == 7, r
    assert r.err == "to stderr\n"
    digest, _, rest = r.out.partition("  -\n")
    assert digest == hashlib.sha256(data).hexdigest()
    assert rest == "x" * 1_000_000


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]], ids=str)
def test_F15_a_closed_descriptor_swallows_its_stream_and_no_file_takes_its_place(cbox, closed):
    def close():
        for fd in closed:
            os.close(fd)
    with cbox.berth.popen(*cbox.args("sh", "-c", "echo out; echo err >&2; exit 7", opts=("--rm",)), preexec_fn=close) as p:
        out, err = p.communicate(timeout=120)
    assert p.returncode == 7, err
    assert out == (b"" if 1 in closed else b"out\n")
    assert err == (b"" if 2 in closed else b"err\n")


def test_stdin_without_i_is_empty(cbox):
    assert cbox.ok("cat", input="must not arrive") == ""


def test_a_command_that_is_not_there_ends_with_127(box):
    r = box("/no/such/program")
    assert r.code == 127, r
    assert "/no/such/program" in r.err and r.err.count("\n") == 1


def test_a_file_that_cannot_be_executed_ends_with_126(box):
    r = box("/etc/passwd")
    assert r.code == 126, r
    assert "/etc/passwd" in r.err and r.err.count("\n") == 1


def test_a_name_is_looked_up_in_the_images_path(cbox):
    assert cbox.ok("probe", "rlimit", "3")
    assert cbox("no-such-name").code == 127
    # Not in the host's, and not in a path that the command line takes away.
    assert cbox("bash", "-c", "true").code == 127
    assert cbox("probe", "fds", opts=("-e", "PATH=/nowhere")).code == 127


def test_exit_codes_are_the_commands(cbox):
    for code in (0, 1, 42, 255):
        assert cbox("sh", "-c", f"exit {code}").code == code


def test_death_by_a_signal_is_128_and_its_number(cbox, init_opts):
    """With an init, the main process is not PID 1, and so the default actions of signals hold."""
    for sig, code in ((15, 143), (11, 139), (6, 134)):
        assert cbox("probe", "die", str(sig), opts=init_opts).code == code


def test_options_as_seen_from_inside(box, tmp_path):
    for d in ("shared", "sealed"):
        (tmp_path / d).mkdir()
        (tmp_path / d / "from-host").write_text(d)
    script = """
        echo env_given=$GIVEN; echo env_empty=[$EMPTY]; echo env_host=$FROM_HOST; echo home=$HOME
        echo cwd=$(pwd); echo uid=$(id -u); echo gid=$(id -g); echo groups=$(id -G)
        echo hostname=$(hostname); echo hostname_env=$HOSTNAME; echo hosts=$(grep -c given-name /etc/hosts)
        echo root=$(touch /x 2>&1 | grep -o 'Read-only')
        echo scratch=$(echo hi >/scratch/f && cat /scratch/f); echo scratch_size=$(df -k /scratch | tail -1 | awk '{print $2}')
        echo shared=$(cat /shared/from-host); echo from-inside >/shared/back
        echo sealed=$(cat /sealed/from-host); echo sealed_write=$(touch /sealed/x 2>&1 | grep -o 'Read-only')
        echo nofile=$(probe rlimit 7); echo arg=$0"""
    (tmp_path / "shared").chmod(0o777)
    got = kv(box.ok("-c", script, "the argument", opts=(
        "-e", "GIVEN=a=b c", "-e", "EMPTY=", "-e", "FROM_HOST", "-w", "/opt/opaque", "-u", "web", "--entrypoint", "sh",
        "--hostname", "given-name", "--read-only", "--tmpfs", "/scratch:size=1m,mode=1777",
        "-v", f"{tmp_path}/shared:/shared:cached", "-v", f"{tmp_path}/sealed:/sealed:ro", "--ulimit", "nofile=123:456"),
        env={"FROM_HOST": "yes"}))
    assert got == {
        "env_given": "a=b c", "env_empty": "[]", "env_host": "yes", "home": "/srv", "cwd": "/opt/opaque", "uid": "1000",
        "gid": "1000", "groups": "1000 1001 1002", "hostname": "given-name", "hostname_env": "given-name", "hosts": "1",
        "root": "Read-only", "scratch": "hi", "scratch_size": "1024", "shared": "shared", "sealed": "sealed",
        "sealed_write": "Read-only", "nofile": "123 456", "arg": "the argument"}
    assert (tmp_path / "shared/back").read_text() == "from-inside\n"
    assert sorted(p.name for p in (tmp_path / "sealed").iterdir()) == ["from-host"]


def test_the_images_own_settings_are_the_default(box, app):
    name = box.name()
    r = box.berth(*box.args(opts=("--name", name), image=app))
    assert (r.code, r.out) == (0, "one two\n1000\n/srv\nfrom the image\n"), r
    config = box.berth.inspect(name)["Config"]
    assert config["User"] == "web" and config["WorkingDir"] == "/srv" and config["Entrypoint"] == ["/bin/show"]
    assert config["Cmd"] == ["one", "two"] and "GREETING=from the image" in config["Env"]
    assert config["Labels"]["flavour"] == "plain" and config["StopSignal"] == "SIGINT"
    assert "dev.berth.isolation" not in config["Labels"], "a label of ours was taken from an image"


def test_command_and_entrypoint_replace_the_images(cbox, app):
    assert cbox.ok("three", image=app).startswith("three\n")
    assert cbox.ok(image=app, opts=("--entrypoint", "pwd")) == "/srv"  # CMD belongs to the image's entrypoint
    assert cbox.ok("id", "-u", image=app, opts=("--entrypoint", "")) == "1000"


def test_the_second_layer_deletes_replaces_and_adds(cbox):
    got = kv(cbox.sh("""
        echo deleted=$(ls /etc/deleted-later 2>&1 | grep -c 'No such'); echo opaque=$(ls /opt/opaque)
        echo setuid=$(stat -c %a /bin/setuid-probe); echo link=$(cat /opt/link); echo fifo=$(stat -c %F /opt/fifo)
        echo sparse=$(stat -c '%s %b' /opt/sparse); echo long=$(ls /opt | grep -c long-name-long-name)
        echo owner=$(stat -c %u:%g /srv/owned); echo links=$(stat -c %h /srv/owned)
        echo tmp=$(stat -c %a /tmp)"""))
    assert got.pop("sparse").split()[0] == "8388608"
    assert got == {"deleted": "1", "opaque": "new", "setuid": "4755", "link": "only me", "fifo": "fifo", "long": "1",
                   "owner": "1000:1001", "links": "2", "tmp": "1777"}


def test_pid_one_is_the_command_and_nothing_else_is_seen(box):
    got = kv(box.sh("echo one=$(tr '\\0' ' ' </proc/1/cmdline); echo pid=$$; echo count=$(ls -d /proc/[0-9]* | wc -l)"))
    assert got["one"].startswith("sh -c") and got["pid"] == "1"
    if box.isolation == "container":
        assert int(got["count"]) < 8
    else:  # a guest has kernel threads, but no other program
        assert box.sh("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline | grep .; done | grep -vc '^sh -c' || true") in ("0", "1", "2", "3")


def test_an_init_reaps_orphans_and_passes_the_exit_code(box, init_opts):
    r = box("sh", "-c", "tr '\\0' ' ' </proc/1/cmdline; echo; probe orphan; exit 9", opts=init_opts)
    assert r.code == 9, r
    first, zombies = r.out.splitlines()[:2]
    assert "init" in first and zombies == "0"


def test_no_network_but_loopback(box):
    got = kv(box.sh("""
        echo devices=$(awk -F: 'NR > 2 {print $1}' /proc/net/dev | tr -d ' ' | sort | tr '\\n' ' ')
        echo routes=$(awk 'NR > 1' /proc/net/route | wc -l)
        (echo pong | nc -l -p 7777 >/dev/null &)
        until a=$(sleep 0.3 | nc 127.0.0.1 7777 2>/dev/null); do sleep 0.1; done; echo answer=$a"""))
    assert "lo" in got["devices"].split() and not [d for d in got["devices"].split() if d.startswith(("eth", "ens", "enp"))]
    assert got["routes"] == "0" and got["answer"] == "pong"


def test_the_host_network_is_the_hosts(box):
    assert box.ok("readlink", "/proc/self/ns/net", opts=("--network", "host")) == os.readlink("/proc/self/ns/net")
    assert box.ok("readlink", "/proc/self/ns/net") != os.readlink("/proc/self/ns/net")


def test_namespaces_are_the_containers_own(cbox):
    kinds = ("mnt", "pid", "net", "ipc", "uts", "cgroup")
    inside = kv(cbox.sh("; ".join(f"echo {k}=$(readlink /proc/self/ns/{k})" for k in kinds)))
    for k in kinds:
        assert inside[k] != os.readlink(f"/proc/self/ns/{k}"), k


def test_env_files_and_label_files(cbox, tmp_path):
    (tmp_path / "env").write_text("# a comment\nA=1\n\nB=two words\nFROM_HOST\n")
    out = cbox.sh("echo $A; echo $B; echo $FROM_HOST; echo $C",
                  opts=("--env-file", tmp_path / "env", "-e", "C=last", "-e", "A=override"), env={"FROM_HOST": "h"})
    assert out == "override\ntwo words\nh\nlast"


def test_labels_are_recorded(cbox):
    name = cbox.name()
    cbox.berth.ok(*cbox.args("true", verb="create", opts=("--name", name, "--label", "a=1", "--label", "flag")))
    assert cbox.berth.inspect(name)["Config"]["Labels"] == {"a": "1", "flag": ""}


def test_mount_takes_dockers_words(cbox, tmp_path):
    (tmp_path / "f").write_text("bound")
    out = cbox.sh("cat /m/f; touch /m/x 2>&1 | grep -o Read-only; df -k /t | tail -1 | awk '{print $2}'", opts=(
        "--mount", f"type=bind,source={tmp_path},target=/m,readonly", "--mount", "type=tmpfs,target=/t,tmpfs-size=2m"))
    assert out == "boundRead-only\n2048"


def test_group_add_joins_the_users_own_groups(box):
    got = box.ok("id", "-G", opts=("--group-add", "27", "-u", "web"))
    assert got.split()[0] == "1000" and set(got.split()) == {"1000", "1001", "1002", "27"}, got


def test_users_by_name_number_and_group(cbox):
    name = cbox.start("sleep", "1000")
    for user, expected in (("web", "1000 1000 1000 1001 1002"), ("1000", "1000 1000 1000 1001 1002"),
                           ("web:extra", "1000 1002 1002"), ("1000:77", "1000 77 77"), ("5555", "5555 0 0"),
                           ("5555:6666", "5555 6666 6666"), ("0", "0 0 0"), ("root", "0 0 0")):
        got = cbox.berth.ok("exec", "-u", user, name, "sh", "-c", "echo $(id -u) $(id -g) $(id -G)")
        assert got == expected, user
    r = cbox.berth("exec", "-u", "ghost", name, "id")
    assert r.code in (125, 126) and "ghost" in r.err
    r = cbox.berth("exec", "-u", "web:ghosts", name, "id")
    assert r.code in (125, 126) and "ghosts" in r.err


def test_capabilities_follow_the_options(cbox):
    def effective(*opts):
        return int(cbox.sh("awk '/CapEff/ {print $2}' /proc/self/status", opts=opts), 16)

    default = effective()
    assert bin(default).count("1") == 11 and not default >> 21 & 1
    assert effective("--cap-add", "SYS_ADMIN") == default | 1 << 21
    assert effective("--cap-drop", "CAP_CHOWN", "--cap-drop", "kill") == default & ~(1 << 0 | 1 << 5)
    assert effective("--cap-drop", "all") == 0
    assert effective("--cap-drop", "all", "--cap-add", "NET_RAW") == 1 << 13
    assert effective("-u", "web") == 0


def test_security_options(cbox):
    status = "awk '/NoNewPrivs|^Seccomp:/ {print $2}' /proc/self/status"
    assert cbox.sh(status) == "0\n2"
    assert cbox.sh(status, opts=("--security-opt", "no-new-privileges")) == "1\n2"
    assert cbox.sh(status, opts=("--security-opt", "seccomp=unconfined")) == "0\n0"


def test_device_nodes_are_passed_and_guarded(box):
    nodes = box.sh("ls /dev | grep -vE '^(fd|stdin|stdout|stderr|core)$' | tr '\\n' ' '").split()
    assert sorted(nodes) == sorted(["full", "mqueue", "null", "ptmx", "pts", "random", "shm", "tty", "urandom", "zero"] +
                                   (["console"] if "console" in nodes else []))
    assert box("sh", "-c", "ls /dev/fuse", opts=()).code != 0
    if os.path.exists("/dev/fuse"):
        assert box.ok("stat", "-c", "%t:%T", "/dev/fuse", opts=("--device", "/dev/fuse")) == "a:e5"
        assert box.ok("probe", "open", "r", "/dev/f2", opts=("--device", "/dev/fuse:/dev/f2:r")) == "OK"
        # A node that was not passed can be made with CAP_MKNOD, and still not be opened.
        out = box.sh("mknod /tmp/f c 10 229 && probe open r /tmp/f", opts=("--cap-add", "MKNOD"))
        assert out in ("EPERM", "EACCES")


def test_a_volume_source_that_is_missing_is_an_error(cbox, tmp_path):
    err = cbox.berth.fails(*cbox.args("true", opts=("--rm", "--mount", f"type=bind,source={tmp_path}/none,target=/m")))
    assert f"{tmp_path}/none" in err


def test_tmpfs_and_shm_have_their_sizes(cbox):
    assert cbox.sh("df -k /dev/shm | tail -1 | awk '{print $2}'") == "65536"
    assert cbox.sh("df -k /dev/shm | tail -1 | awk '{print $2}'", opts=("--shm-size", "1m")) == "1024"


def test_cidfile_is_written_once(cbox, tmp_path):
    name = cbox.name()
    path = tmp_path / "cid"
    cbox.berth.ok(*cbox.args("true", opts=("--name", name, "--cidfile", path)))
    assert path.read_text().strip() == cbox.berth.inspect(name)["Id"]
    cbox.berth.fails(*cbox.args("true", opts=("--rm", "--cidfile", path)), says=str(path))


def test_detached_prints_the_id(cbox):
    name = cbox.name()
    ident = cbox.berth.ok(*cbox.args("sleep", "1000", opts=("-d", "--name", name)))
    assert re.fullmatch("[0-9a-f]{64}", ident) and cbox.berth.inspect(name)["Id"] == ident


def blocks_below(top) -> int:
    """Bytes on the disk."""
    found = 0
    for where, _, names in os.walk(top):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found += os.lstat(os.path.join(where, name)).st_blocks * 512
    return found


def test_an_image_is_on_the_disk_once_however_many_run(box):
    size = int(box.berth.ok("image", "inspect", "--format", "{{.Size}}", box.image))
    box.start("sleep", "100000")  # makes what all of them share
    before = blocks_below(box.berth.root)
    for _ in range(3):
        box.start("sleep", "100000")
    more = blocks_below(box.berth.root) - before
    assert size > 8 << 20 and 0 < more < size / 2, (size, more)
