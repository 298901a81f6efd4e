"""What goes wrong below dockerd arrives at the user: the whole sentence, and the exit code that scripts rely on."""

import pytest

from host import until

RUN = ("run", "--rm")
CREATE = "OCI runtime create failed: "


@pytest.mark.parametrize("args, code, says", [
    (("base", "none-such"), 127, CREATE + 'exec "none-such": executable file not found in $PATH'),
    (("base", "/none/such"), 127, CREATE + 'exec "/none/such": no such file or directory in the container'),
    (("base", "/etc/passwd"), 126, CREATE + 'exec "/etc/passwd": permission denied'),
    (("base", "/etc"), 126, CREATE + 'exec "/etc": Is a directory: permission denied'),
    (("-u", "none-such", "base", "true"), 125, "unable to find user none-such: no matching entries in passwd file"),
    (("--ulimit", "nofile=4000000000:4000000000", "base", "true"), 125, CREATE + "limits: RLIMIT_NOFILE: "),
    (("--sysctl", "net.none.such=1", "base", "true"), 125, CREATE + 'sysctl: net.none.such = "1": No such file or directory'),
    (("--cpus", "0.001", "base", "true"), 125, "cpu.cfs_quota_us"),
])
def test_a_container_that_can_not_be_made(docker, args, code, says):
    docker.fails(*RUN, *args, code=code, says=says)


def test_a_program_whose_interpreter_is_missing(docker, box):
    """Only the kernel finds out, at exec: after create."""
    name = box.name()
    docker.ok("create", "--name", name, "base", "/script")
    script = docker.host.dir / "script"
    script.write_text("#!/none/such\n")
    script.chmod(0o755)
    docker.ok("cp", script, f"{name}:/script")
    docker.fails("start", "-a", name, code=1, says='exec "/script": its interpreter (first line, or dynamic linker) is not in the container')


def test_a_mount_whose_source_has_gone(docker, box):
    source = docker.host.dir / "goes"
    source.mkdir()
    name = box.name()
    docker.ok("create", "--name", name, "--mount", f"type=bind,source={source},target=/mnt", "base", "true")
    source.rmdir()
    docker.fails("start", "-a", name, code=1, says=f"{source}")


def test_a_file_on_a_directory_and_the_reverse(docker):
    host = docker.host.dir
    (host / "file").write_text("x")
    docker.fails(*RUN, "-v", f"{host}/file:/etc", "base", "true", code=125,
                 says=CREATE + "mounts: mount /etc: mount point /etc: a directory, but the source is none")
    docker.fails(*RUN, "-v", f"{host}/docker:/etc/passwd", "base", "true", code=125,
                 says=CREATE + "mounts: mount /etc/passwd: mount point /etc/passwd: not a directory, but the source is one")


@pytest.mark.parametrize("args, says", [
    (("none-such",), 'OCI runtime exec failed: exec "none-such": executable file not found in $PATH'),
    (("/none/such",), 'OCI runtime exec failed: exec "/none/such": no such file or directory in the container'),
    (("/etc/passwd",), 'OCI runtime exec failed: exec "/etc/passwd": permission denied'),
])
def test_an_exec_that_can_not_be_made(docker, box, args, says):
    name = box.start()
    docker.fails("exec", name, *args, code=126, says=says)
    docker.fails("exec", "-w", "/none", name, "true", code=126, says="working directory /none: No such file or directory")
    docker.fails("exec", "-u", "none-such", name, "true", code=126, says="unable to find user none-such")
    assert docker.ok("exec", name, "echo", "unharmed") == "unharmed"


def test_after_failures_nothing_of_them_is_left(docker):
    """The shim ends, too, and the container's cgroup with it."""
    before = docker.host.processes()
    for args in (("base", "none-such"), ("--sysctl", "net.none.such=1", "base", "true"), ("base", "/etc")):
        docker(*RUN, *args)
    until(lambda: not [c for p, c in docker.host.processes().items() if "shim" in c and p not in before], "the shims to end")
    until(lambda: not docker.host.cgroups(), lambda: f"no cgroups, but there are {docker.host.cgroups()}")
