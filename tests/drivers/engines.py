"""The engines of the distribution's packages, each on a host of its own, told to use this build's berth-runtime."""

import os
import re
from pathlib import Path

from host import Host, Result, execute


class Engine:
    """A command line: what all engines' tests do with it."""

    def __init__(self, host: Host, runtime: Path):
        self.host, self.runtime = host, runtime

    def argv(self, *args) -> list:
        raise NotImplementedError

    env: dict = {}

    def __call__(self, *args, env=None, **kw) -> Result:
        return execute(self.argv(*args), env=env or self.env, **kw)

    def ok(self, *args, **kw) -> str:
        r = self(*args, **kw)
        assert r.code == 0, f"{' '.join(map(str, args))}: {r}"
        return r.out.strip()

    def fails(self, *args, code, says, **kw) -> str:
        """says: a string, or several, each of which must be in what is printed."""
        r = self(*args, **kw)
        where = f"{' '.join(map(str, args))}: {r}"
        assert r.code == code, where
        for words in [says] if isinstance(says, str) else says:
            assert words in r.err + r.out, f"{words!r} is not said: {where}"
        return r.err


class Docker(Engine):
    """dockerd with berth-runtime as `berth` and as the default, and runc as it comes."""

    def __init__(self, host: Host, runtime: Path, archive: Path, extra=()):
        super().__init__(host, runtime)
        d = host.dir
        self.socket = d / "docker.sock"
        self.env = {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": str(d / "client")}
        self.extra = extra
        self.start()
        self.ok("load", "-q", "-i", archive)

    def start(self):
        d = self.host.dir
        self.daemon = self.host.daemon(
            "dockerd", "dockerd", "--data-root", d / "docker", "--exec-root", d / "exec", "-H", f"unix://{self.socket}",
            "--pidfile", d / "docker.pid", "--add-runtime", f"berth={self.runtime}", "--default-runtime", "berth",
            "--cgroup-parent", f"/{self.host.name}", *self.extra)
        self.daemon.wait_for(lambda: self("version").code == 0)

    def argv(self, *args):
        return ["docker", *map(str, args)]

    def inspect(self, name, template) -> str:
        return self.ok("inspect", "-f", "{{" + template + "}}", name)

    def end(self):
        self.daemon.stop()


class Containerd(Engine):
    """containerd with the runc shim, and ctr as its client. Its namespace is the host's name, and so the cgroups' parent."""

    def __init__(self, host: Host, runtime: Path, archive: Path):
        super().__init__(host, runtime)
        d = host.dir
        config = d / "containerd.toml"
        config.write_text(f"""version = 2
root = "{d}/root"
state = "{d}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{d}/containerd.sock"
""")
        self.daemon = host.daemon("containerd", "containerd", "-c", config)
        self.daemon.wait_for(lambda: self("version").code == 0)
        self.ok("images", "import", archive)

    def argv(self, *args):
        return self.host.argv("ctr", "-a", self.host.dir / "containerd.sock", "-n", self.host.name, *args)

    def run_argv(self, name, *cmd, opts=()) -> list:
        return ["run", "--runc-binary", self.runtime, *opts, "docker.io/library/base:latest", name, *cmd]

    def tasks(self) -> dict:
        rows = self.ok("tasks", "ls").splitlines()[1:]
        return {row.split()[0]: row.split()[2] for row in rows}

    def end(self):
        self.daemon.stop()


class Podman(Engine):
    def __init__(self, host: Host, runtime: Path, archive: Path):
        super().__init__(host, runtime)
        d = host.dir
        (d / "net").mkdir(exist_ok=True)
        conf = d / "containers.conf"
        # The rlimits: Podman's own defaults are above what root may raise them to on some hosts.
        conf.write_text(f"""[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
{self.places()}[network]
network_config_dir = "{d}/net"
""")
        self.env = {"CONTAINERS_CONF": str(conf)}
        self.ok("pull", "-q", f"docker-archive:{archive}")

    def argv(self, *args):
        d = self.host.dir
        return self.host.argv("podman", "--root", d / "root", "--runroot", d / "runroot", "--runtime", self.runtime, *args)

    def places(self) -> str:
        """Rows of [engine]: where what has no option of its own lies."""
        return f'tmp_dir = "{self.host.dir}/tmp"\nvolume_path = "{self.host.dir}/volumes"\n'

    def run(self, *args) -> list:
        return ["run", "--cgroup-parent", f"/{self.host.name}", *args]

    def inspect(self, name, template) -> str:
        return self.ok("inspect", "-f", "{{" + template + "}}", name)


class Buildah(Engine):
    """On Podman's host and store."""

    def __init__(self, podman: Podman):
        super().__init__(podman.host, podman.runtime)
        self.env = podman.env

    def argv(self, *args):
        d = self.host.dir
        return self.host.argv("buildah", "--root", d / "root", "--runroot", d / "runroot", *args)

    def with_runtime(self, verb, *args) -> list:
        return [verb, "--runtime", self.runtime, *args]


class Berth(Engine):
    """This build's own engine, beside others: its networks on a host that somebody else has rules on."""

    def __init__(self, host: Host, build: Path, archive: Path):
        super().__init__(host, build)
        self.ok("load", "-q", "-i", archive)

    def command(self) -> str:
        """As one in a shell of its host's."""
        return f"{self.runtime}/src/main/berth --root {self.host.dir}/berth"

    def argv(self, *args):
        return self.host.argv(*self.command().split(), *args)

    def run(self, *args) -> list:
        return ["run", "--cgroup-parent", f"/{self.host.name}", *args]


def size_to_bytes(text: str) -> float:
    """What docker stats and podman stats print: 12.3MiB, 4kB."""
    number, unit, binary = re.fullmatch(r"([0-9.]+)([kKMG]?)(i?)B", text).groups()
    return float(number) * (1024 if binary else 1000) ** (" KMG".index(unit.upper()) if unit else 0)


def limit(pid: int, controller: str, v1: str, v2: str) -> str:
    """One value of the cgroup that a process is in, whatever the layout."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path}/{v1}").read_text().strip()
        if names == "" and os.path.exists(f"/sys/fs/cgroup{path}/{v2}"):
            return Path(f"/sys/fs/cgroup{path}/{v2}").read_text().strip()
    raise AssertionError(f"process {pid} has no {controller} cgroup")
