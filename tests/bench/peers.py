"""Berth and its peers, set up side by side below one temporary directory, and how a command is timed.

A peer is a name and an argv that runs `true` in a fresh container of the same image without network. Everything that a peer
needs (store, daemon, configuration) is its own and is gone afterwards. A peer that can't run here says why and is left out."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
ENV = {**os.environ, "LC_ALL": "C"}


class Unavailable(Exception):
    """Why a peer can't take part."""


def tool(*argv, env=None, **kw) -> str:
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, env={**ENV, **(env or {})}, **kw)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(map(str, argv[:3]))}: exit {done.returncode}: {done.stdout.strip()[-300:]}")
    return done.stdout


def need(program: str) -> str:
    found = shutil.which(program)
    if not found:
        raise Unavailable(f"{program} is not installed")
    return found


def run_once(argv, env=None, expect=0, cwd=None) -> float:
    """Milliseconds from before the start to after the end of one process. posix_spawn: the cost does not grow with us."""
    null = os.open("/dev/null", os.O_RDWR)
    here = os.getcwd()
    try:
        if cwd:
            os.chdir(cwd)
        began = time.perf_counter_ns()
        pid = os.posix_spawn(argv[0], argv, {**ENV, **(env or {})},
                             file_actions=[(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)])
        _, status = os.waitpid(pid, 0)
        took = (time.perf_counter_ns() - began) / 1e6
    finally:
        os.chdir(here)
        os.close(null)
    code = os.waitstatus_to_exitcode(status)
    if code != expect:
        raise SystemExit(f"{' '.join(argv)}: exit {code}, expected {expect}")
    return took


def interleaved(peers: dict, runs: int, idle_ms: float = 0) -> dict:
    """name -> times; one run of each in turn, so that the machine's moods fall on all alike. peers: name -> argv, env, cwd."""
    times = {name: [] for name in peers}
    for i in range(runs + 1):
        for name, p in peers.items():
            if idle_ms:
                time.sleep(idle_ms / 1000)
            took = run_once(p["argv"], p.get("env"), cwd=p.get("cwd"))
            if i > 0:  # the first round fills caches
                times[name].append(took)
            if "after" in p:
                p["after"]()
    return times


def table(times: dict, base: str, unit="ms") -> str:
    """Markdown; the ratio is median to base's median."""
    rows = [f"| | median {unit} | min | max | times {base} |", "|---|---|---|---|---|"]
    ref = statistics.median(times[base])
    for name, t in sorted(times.items(), key=lambda kv: statistics.median(kv[1])):
        m = statistics.median(t)
        rows.append(f"| {name} | {m:.1f} | {min(t):.1f} | {max(t):.1f} | {m / ref:.1f} |")
    return "\n".join(rows)


def slower(times: dict, aims: dict) -> list:
    """Who is not at least so many times slower than berth, by medians; aims: {name: times}."""
    median = {name: statistics.median(t) for name, t in times.items()}
    return [f"{name}: {median[name] / median['berth']:.1f} times, the aim is {aim}" for name, aim in aims.items()
            if name in median and median[name] < median["berth"] * aim]


def machine() -> str:
    cpu = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), os.uname().machine)
    mem = int(next(l for l in open("/proc/meminfo")).split()[1]) // 1024 // 1024
    layout = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1 or hybrid"
    return f"{os.cpu_count()} x {cpu}, {mem} GiB, Linux {os.uname().release}, cgroups {layout}"


def versions() -> str:
    found = []
    for argv in (["runc", "--version"], ["crun", "--version"], ["podman", "--version"], ["dockerd", "--version"]):
        if shutil.which(argv[0]):
            out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
            found.append(out.splitlines()[0] if out else argv[0])
    return "; ".join(found)


class Bench:
    """The temporary directory, the image, and the peers that were asked for."""

    def __init__(self, build: Path, network="none"):
        """network: "none", or "bridge", each engine's default one."""
        self.build, self.network = build.resolve(), network
        # Letters and digits only: podman reads a path as an image name, and refuses some of mkdtemp's.
        self.dir = Path(tempfile.gettempdir()) / f"berth-bench-{os.urandom(6).hex()}"
        self.dir.mkdir(mode=0o700)
        self.cleanups = []
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that what was started is stopped
        self.layout = self.dir / "oci"
        self.run = self.dir / "run"  # the run state of all: a tmpfs, as /run is on a usual host

    def __enter__(self):
        """The stores of all lie on an ext4 made for it, with a journal, as that of usual hosts has one. Without, a new file's inode
        is sought past all that were freed in the last minutes (recently_deleted in the kernel's fs/ext4/ialloc.c), so that a
        benchmark would measure how many runs went before."""
        image = self.dir.with_suffix(".ext4")
        try:
            with open(image, "xb") as f:
                f.truncate(8 << 30)
            tool("mkfs.ext4", "-q", image)
            tool("mount", "-o", "loop", image, self.dir)
        finally:
            image.unlink(missing_ok=True)  # the loop device holds it
        self.dir.chmod(0o700)
        self.run.mkdir()
        tool("mount", "-t", "tmpfs", "-o", "mode=0700", "bench-run", self.run)
        return self

    def __exit__(self, *exc):
        for fn in reversed(self.cleanups):
            try:
                fn()
            except (OSError, subprocess.SubprocessError, Unavailable) as e:
                print(f"clean-up: {e}", file=sys.stderr)
        for line in reversed(open("/proc/self/mountinfo").readlines()):
            where = line.split()[4]
            if where.startswith(str(self.dir)):
                subprocess.run(["umount", "-l", where])
        shutil.rmtree(self.dir, ignore_errors=True)

    def make_image(self, programs=()):
        """Two layers: static busybox with these programs, and one file. Same bytes for all."""
        busybox = need("busybox")
        tool("umoci", "init", "--layout", self.layout)
        tool("umoci", "new", "--image", f"{self.layout}:bench")
        for fill in ("busybox", "note"):
            bundle = self.dir / f"make-{fill}"
            tool("umoci", "unpack", "--image", f"{self.layout}:bench", bundle)
            root = bundle / "rootfs"
            if fill == "busybox":
                for d in ("bin", "proc", "sys", "dev", "tmp", "etc", "root"):
                    (root / d).mkdir()
                shutil.copy(busybox, root / "bin/busybox")
                for applet in ("sh", "true", "cat", "echo", "sleep", "uname"):
                    (root / "bin" / applet).symlink_to("busybox")
                for program in programs:
                    shutil.copy(program, root / "bin")
                (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
                (root / "etc/group").write_text("root:x:0:\n")
            else:
                (root / "etc/note").write_text("second layer\n")
            tool("umoci", "repack", "--image", f"{self.layout}:bench", bundle)
            shutil.rmtree(bundle)
        tool("umoci", "config", "--image", f"{self.layout}:bench", "--config.cmd", "sh")

    # ---- peers: each returns {"argv", "env", "cwd"}; engines also {"base", "image"}, of which other commands are made ----

    def berth_env(self):
        return {"BERTH_ROOT": str(self.dir / "berth"), "BERTH_RUN": str(self.run / "berth")}

    def berth_program(self) -> str:
        program = self.build / "src/main/berth"
        if not program.exists():
            raise Unavailable(f"{program} is not built")
        return str(program)

    def berth(self):
        program = self.berth_program()
        tool(program, "load", "-q", "-i", self.layout, env=self.berth_env())
        return {"argv": [program, "run", "--rm", "--network", self.network, "bench", "true"], "env": self.berth_env(), "base": [program],
                "image": "bench"}

    def _bundle(self, name: str) -> Path:
        bundle = self.dir / name
        tool("umoci", "unpack", "--image", f"{self.layout}:bench", bundle)
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(args=["true"], terminal=False)
        config["process"].pop("rlimits", None)  # the host's may be lower than umoci's default
        (bundle / "config.json").write_text(json.dumps(config))
        return bundle

    def runc(self):
        return {"argv": [need("runc"), "--root", str(self.run / "runc"), "run", "-b", str(self._bundle("runc")), "bench-runc"]}

    def crun(self):
        argv = [need("crun"), "--root", str(self.run / "crun"), "run", "-b", str(self._bundle("crun")), "bench-crun"]
        tool(*argv)  # crun of Debian 12 refuses hybrid cgroups
        return {"argv": argv}

    def podman(self):
        conf = self.dir / "containers.conf"
        conf.write_text('[containers]\ndefault_ulimits = ["nofile=20000:20000","nproc=32768:32768"]\n')
        env = {"CONTAINERS_CONF": str(conf)}
        base = [need("podman"), "--root", str(self.dir / "podman"), "--runroot", str(self.run / "podman"),
                "--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime", need("runc")]
        tool(*base, "pull", "-q", f"oci:{self.layout}:bench", env=env)
        image = tool(*base, "images", "-q", env=env).split()[0]
        argv = base + ["run", "--rm", "--network", self.network, image, "true"]
        tool(*argv, env=env)
        return {"argv": argv, "env": env, "base": base, "image": image}

    def docker(self):
        need("dockerd")
        d = self.dir / "docker"
        d.mkdir()
        env = {"DOCKER_HOST": f"unix://{d}/docker.sock", "DOCKER_CONFIG": str(d / "config")}
        log = open(d / "log", "w")
        daemon = subprocess.Popen(
            ["dockerd", "--data-root", d / "root", "--exec-root", self.run / "docker", "-H", env["DOCKER_HOST"], "--pidfile", d / "pid",
             *(["--bridge", "none", "--iptables=false"] if self.network == "none" else [])], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=ENV)

        def stop():
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.cleanups.append(stop)
        docker = need("docker")
        for _ in range(150):
            if daemon.poll() is not None:
                raise Unavailable(f"dockerd ended: {(d / 'log').read_text()[-300:]}")
            if subprocess.run([docker, "version"], env={**ENV, **env}, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.1)
        else:
            raise Unavailable("dockerd did not answer within 15 s")
        tool("skopeo", "copy", "-q", f"oci:{self.layout}:bench", f"docker-archive:{d}/image.tar:bench:latest")
        tool(docker, "load", "-q", "-i", d / "image.tar", env=env)
        argv = [docker, "run", "--rm", "--network", self.network, "bench:latest", "true"]
        tool(*argv, env=env)
        return {"argv": argv, "env": env, "base": [docker], "image": "bench:latest"}

    def set_up(self, names) -> dict:
        peers = {}
        for name in names:
            try:
                peers[name] = getattr(self, name)()
            except Unavailable as e:
                print(f"# left out: {name}: {e}", file=sys.stderr)
        return peers
