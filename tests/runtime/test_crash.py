"""Killed at any moment: what is left can be found and removed, and what was made lives on."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

import oci

STRACE = shutil.which("strace")


def gone(runtime, name, bundle):
    """No process of it (by its root, or before that by its command line), no cgroup, no record."""
    root = os.stat(bundle.rootfs)

    def nobody():
        for p in os.listdir("/proc"):
            if not p.isdigit():
                continue
            try:
                if name.encode() in open(f"/proc/{p}/cmdline", "rb").read():
                    return False
                at = os.stat(f"/proc/{p}/root")
                state = open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()[0]
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if (at.st_dev, at.st_ino) == (root.st_dev, root.st_ino) and state not in "ZX":
                return False
        return True

    oci.until(nobody, f"the end of all processes of {name}")
    assert not oci.default_cgroups(name)
    assert not (runtime.root / name).exists()


@pytest.mark.skipif(not STRACE, reason="needs strace")
@pytest.mark.parametrize("syscall, times", [
    ("mkdirat", 1), ("renameat", 2), ("bind", 1), ("clone3", 1), ("sendto", 1), ("openat", 12), ("write", 8),
    ("recvmsg", 1), ("fcntl", 4), ("mkdir", 6),
])
def test_F01_create_killed_at_a_call_leaves_what_delete_force_removes(runtime, box, bundle, syscall, times):
    killed = 0
    for when in range(1, times + 1):
        name = box.name()
        argv = ["strace", "-qq", "-o", "/dev/null", "-e", f"inject={syscall}:signal=SIGKILL:when={when}"]
        done = subprocess.run(argv + runtime.argv("create", "--bundle", bundle.where, name), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert done.returncode in (0, -9, 137), done
        killed += done.returncode != 0
        r = runtime("state", name)
        assert r.code == 0 or "does not exist" in r.err
        with runtime.popen("delete", "--force", name) as p:
            oci.until(lambda: forget_all_but(p), "delete --force")
        assert p.returncode == 0
        gone(runtime, name, bundle)
    assert killed
    box.names.clear()


def forget_all_but(p) -> bool:
    """Reaps orphans until the command p has ended."""
    if p.poll() is not None:
        return True
    try:
        for child in open(f"/proc/self/task/{os.getpid()}/children").read().split():
            if int(child) != p.pid:
                os.waitpid(int(child), os.WNOHANG)
    except (ChildProcessError, FileNotFoundError):
        pass
    return False


def test_F01_create_killed_after_any_time_leaves_what_delete_force_removes(runtime, box, bundle):
    for i in range(40):
        name = box.name()
        p = subprocess.Popen(runtime.argv("create", "--bundle", bundle.where, name), stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(i * 0.0003)
        p.kill()
        p.wait()
        with runtime.popen("delete", "--force", name) as d:
            oci.until(lambda: forget_all_but(d), "delete --force")
        assert d.returncode == 0
        gone(runtime, name, bundle)
    box.names.clear()


def test_F01_start_killed_at_any_time_starts_it_or_leaves_it_to_the_next(runtime, box, bundle):
    started = 0
    for i in range(30):
        name = box.create(bundle)
        p = subprocess.Popen(runtime.argv("start", name), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        time.sleep(i * 0.0002)
        p.send_signal(signal.SIGKILL)
        p.wait()
        # The order may just have been taken: the exec is then a moment away.
        if runtime.status(name) == "created" and runtime("start", name).code == 0:
            started += 1
        oci.until(lambda: runtime.status(name) == "running", "it to run")
        assert runtime.ok("exec", name, "echo", "alive") == "alive\n"
        box.clean()
        box.names.clear()
    assert started > 0  # some were killed before they had said it


def test_F05_delete_killed_at_any_time_is_finished_by_the_next(runtime, box, bundle):
    for i in range(30):
        name = box.create(bundle)
        pid = runtime.state(name)["pid"]
        p = subprocess.Popen(runtime.argv("delete", "--force", name))
        time.sleep(i * 0.0002)
        p.kill()
        p.wait()
        with runtime.popen("delete", "--force", name) as d:
            oci.until(lambda: forget_all_but(d), "delete --force")
        assert d.returncode == 0
        oci.reap_any([pid])
        gone(runtime, name, bundle)
    box.names.clear()


def test_F18_many_at_once_do_not_disturb_each_other(runtime, box, bundle):
    names = [box.name() for _ in range(12)]
    many = [runtime.popen("run", "--bundle", bundle.where, name) for name in names]
    oci.until(lambda: len([c for c in json.loads(runtime.ok("list", "-f", "json")) if c["status"] == "running"]) == 12, "all to run")
    for name in names:
        runtime.ok("kill", name, "KILL")
    for p in many:
        p.communicate(timeout=60)
        assert p.returncode == 137
    assert runtime.ok("list", "-q") == ""


def test_F17_a_record_of_another_boot_is_a_stopped_container(runtime, box, bundle):
    name = box.start(bundle)
    record = runtime.root / name / "state.json"
    record.write_text(record.read_text().replace(open("/proc/sys/kernel/random/boot_id").read().strip(), "another-boot"))
    assert runtime.status(name) == "stopped"
    runtime.fails("kill", name, says="not running")


def test_F24_a_record_of_a_newer_version_is_refused(runtime, box, bundle):
    name = box.create(bundle)
    record = runtime.root / name / "state.json"
    text = record.read_text()
    record.write_text(text.replace('"version":1', '"version":999'))
    runtime.fails("state", name, says="newer berth-runtime")
    record.write_text(text)
