"""`run --pid`, `--ipc`, `--uts`, `--cgroupns`, `--userns`: whose namespaces a container is in."""

import os

import pytest


def ns(box, kind, *opts):
    return box.ok("readlink", f"/proc/self/ns/{kind}", opts=opts)


def of(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


@pytest.fixture
def donor(cbox):
    """A running container that lets others in; its name."""
    return cbox.start("sleep", "100000", opts=("--ipc", "shareable"))


def test_the_hosts_namespaces_are_the_hosts(cbox):
    for option, kind in (("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup")):
        assert ns(cbox, kind, option, "host") == of("self", kind), option
        assert ns(cbox, kind, option, "private") != of("self", kind), option
    assert ns(cbox, "user", "--userns", "host") == of("self", "user")
    cbox.berth.fails(*cbox.args("true", verb="create", opts=("--userns", "auto")), says="--userns")


def test_the_hosts_ipc_is_its_memory_too(cbox):
    name = f"berth-test-{os.getpid()}"
    try:
        assert cbox.sh(f"echo from inside >/dev/shm/{name}; echo done", opts=("--ipc", "host")) == "done"
        with open(f"/dev/shm/{name}") as f:
            assert f.read() == "from inside\n"
    finally:
        if os.path.exists(f"/dev/shm/{name}"):
            os.unlink(f"/dev/shm/{name}")
    kept, _ = cbox.keep("true", opts=("--ipc", "host"))
    assert cbox.berth.inspect(kept)["Mounts"] == [], "what --ipc host mounts is none of the user's mounts"


def test_no_ipc_is_no_shared_memory(box):
    out = box.sh("grep -c ' /dev/shm ' /proc/mounts; echo x >/dev/shm/x 2>/dev/null || echo none", opts=("--ipc", "none"))
    assert out.splitlines()[0] == "0", out


def test_another_containers_processes_and_memory(cbox, donor):
    pid = cbox.berth.state(donor)["Pid"]
    cbox.berth.ok("exec", donor, "sh", "-c", "echo theirs >/dev/shm/f")
    opts = ("--pid", f"container:{donor}", "--ipc", f"container:{donor}")
    out = cbox.sh("readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; tr '\\0' ' ' </proc/1/cmdline; echo; cat /dev/shm/f; echo mine >/dev/shm/g; "
                  "grep ' /dev/shm ' /proc/mounts", opts=opts).splitlines()
    assert out[:2] == [of(pid, "pid"), of(pid, "ipc")]
    assert out[2].strip() == "sleep 100000", "the first process is the other's"
    assert out[3] == "theirs" and all(w in out[4] for w in ("nosuid", "nodev", "noexec")), out
    assert cbox.berth.ok("exec", donor, "cat", "/dev/shm/g") == "mine"
    late = cbox.start("sleep", "100000", opts=opts)
    ident = cbox.berth.inspect(donor)["Id"]
    assert cbox.berth.inspect(late)["HostConfig"]["PidMode"] == f"container:{ident}"
    assert cbox.berth.inspect(late)["HostConfig"]["IpcMode"] == f"container:{ident}"
    assert cbox.berth.ok("exec", late, "readlink", "/proc/self/ns/pid") == of(pid, "pid")
    # Its own end takes nothing of the other along; the other's end takes its processes.
    cbox.berth.ok("rm", "-f", late)
    assert cbox.berth.state(donor)["Running"]
    late = cbox.start("sleep", "100000", opts=opts)
    cbox.berth.ok("kill", donor)
    assert cbox.berth.ok("wait", late) == "137"


def test_the_other_must_run_at_each_start(cbox, donor):
    name = cbox.name()
    cbox.berth.ok(*cbox.args("true", verb="create", opts=("--name", name, "--pid", f"container:{donor}")))
    cbox.berth.ok("kill", donor)
    cbox.berth.ok("wait", donor)
    says = cbox.berth.fails("start", name, says=("cannot join pid of a non running container", donor))
    assert "start it first" in says
    cbox.berth.ok("start", donor)
    assert cbox.berth("start", "-a", name).code == 0


@pytest.mark.parametrize("opts, says", [
    (("--pid", "container:no-such-one"), "no-such-one"), (("--pid", "container:"), "needs a name"), (("--pid", "shared"), "container:NAME"),
    (("--uts", "container:x"), "private, and host"), (("--ipc", "sharable"), "shareable"), (("--cgroupns", "x"), "--cgroupns"),
    (("--ipc", "none", "--shm-size", "1m"), "no /dev/shm"), (("--uts", "host", "--hostname", "x"), "--uts host"),
])
def test_wrong_modes_are_named(cbox, opts, says):
    cbox.berth.fails(*cbox.args("true", verb="create", opts=opts), says=says)


def test_memory_is_shared_with_those_only_that_were_made_for_it(cbox):
    name = cbox.start("sleep", "1000")
    cbox.berth.fails(*cbox.args("true", verb="create", opts=("--ipc", f"container:{name}")),
                     says=f"can't join IPC of container {name}: non-shareable IPC (hint: use --ipc shareable for the donor container)")


def test_a_machine_is_in_nobodys_namespaces(cbox, donor):
    for option in ("--pid", "--ipc"):
        for mode in ("host", f"container:{donor}"):
            cbox.berth.fails("create", "--isolation", "vm", option, mode, cbox.image, "true", says=("virtual machine", "--isolation container"))
    name = cbox.name()
    cbox.berth.ok("create", "--isolation", "vm", "--name", name, cbox.image, "true")
    cbox.berth.fails(*cbox.args("true", verb="create", opts=("--pid", f"container:{name}")), says=(name, "it is a virtual machine"))
