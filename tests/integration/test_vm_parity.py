"""The same behaviour behind both walls: what a program sees inside, and what every command answers outside, asked of a container and of a
VM of one image and compared. docs/PARITY.md is this table; BERTH_WRITE=1 writes it anew. A difference that is not listed fails, and a
listed one has its reason."""

import json
import os
import re
from pathlib import Path

import pytest

from harness import Box, until

pytestmark = pytest.mark.vm

PAGE = Path(__file__).resolve().parents[2] / "docs/PARITY.md"
ISOLATIONS = "container", "vm"

# What is allowed to differ, and why. May still be the same on a host where it happens to be.
DIFFERENCES = {
    "kernel": "a VM's is its own: that is the wall",
    "CPUs seen": "a VM has --cpus of them (one by default), a container sees the host's",
    "memory seen": "a VM sees its own, a container the host's, whatever its limit",
    "cgroup layout": "a VM has v2, a container what the host has",
    "mounts": "a VM's writable layer is a disk of its own, and its cgroup tree is v2",
    "inspect: keys": "`Vmm` and `Kernel` are a VM's",
    "inspect: Pid": "a container's own process, or the VMM",
    "limits (ulimit)": "without --ulimit a container has its caller's, a VM its own kernel's",
    "--device": "refused of a VM: host nodes mean nothing in it",
    "--gpus": "refused of a VM: host nodes mean nothing in it",
    "--network host": "refused of a VM: it has a network of its own",
    "--oom-kill-disable": "refused of a VM",
    "diff, paused": "refused of a VM, as cp, export and commit are: its processors stand still, and its agent with them",
    "events of commit": "a container is paused for it; in a VM the agent lets the processes stand still",
}

# Subject -> what a shell says about it, at once inside of one container with options and one without.
INSIDE = {
    "arguments": 'echo "$0" "$@"',
    "environment": "env | grep -vE '^(SHLVL|_|OLDPWD|SAID)=' | sort",
    "working directory": "pwd",
    "user and groups": "id",
    "umask": "umask",
    "host name": "hostname; cat /proc/sys/kernel/hostname",
    "domain name": "cat /proc/sys/kernel/domainname",
    "/etc/hostname": "cat /etc/hostname",
    "/etc/hosts": "cat /etc/hosts",
    "/etc/resolv.conf": "cat /etc/resolv.conf",
    "process ids": "echo $$; set -- /proc/[0-9]*; echo $#",
    "name of the process": "cat /proc/$$/comm",
    "capabilities": "grep ^Cap /proc/self/status",
    "no_new_privs, seccomp": "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status",
    "signals": "grep -E '^Sig(Ign|Blk|Cgt)' /proc/1/status",
    "limits (ulimit)": "grep -E 'open files|core file|stack size|cpu time|file size|locked memory' /proc/self/limits | tr -s ' '",
    "priority, OOM score": "cut -d' ' -f18,19 /proc/1/stat; cat /proc/1/oom_score_adj",
    "descriptors": "ls /proc/1/fd | grep -vE '^(10|11)$' | tr '\\n' ' '",
    "standard input": "head -c 1 | wc -c",
    "/dev": "ls /dev | grep -v core; stat -c '%n %F %t %T %a' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty; readlink /dev/fd /dev/ptmx",
    "/dev/shm": "df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d' ' -f2; stat -c %a /dev/shm",
    "mounts": "cut -d' ' -f2,3 /proc/self/mounts | sort",
    "cgroup layout": "cut -d: -f1,2 /proc/self/cgroup",
    "masked files": "for f in kcore keys timer_list latency_stats; do echo $f $(head -c 1 /proc/$f 2>/dev/null | wc -c); done; "
                    "ls /proc/scsi /sys/firmware 2>/dev/null | wc -l",
    "read-only files": "for f in /proc/sysrq-trigger /proc/sys/kernel/hostname /proc/irq/default_smp_affinity; do "
                       "(echo h >$f) 2>/dev/null && echo $f can be written; done; touch /proc/bus/x /proc/fs/x /sys/x 2>&1 | sed 's/.*: //' | uniq",
    "mounting": "mount -t tmpfs none /mnt 2>&1 | sed 's/.*: //'",
    "raw sockets, host name": "hostname other 2>&1 | sed 's/.*: //'",
    "root": "touch /written 2>&1 | sed 's/.*: //'; stat -c '%a %u %g' /",
    "files of the image": "stat -c '%n %F %a %u %g %h %s %t' /srv/* /etc/passwd /bin/setuid-probe | sort; stat -c '%n %F %a %u %g %t' /opt/*;  cat /opt/opaque/new; ls /etc/deleted-later 2>&1 | sed 's/.*: //'",
    "network interfaces": "ls /sys/class/net; ip addr show lo | grep -E 'inet|state|UP' | sed 's/qlen.*//'",
    "sysctl": "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax",
    "time zone, clock": "date +%Z; [ $(date +%s) -gt 1700000000 ] && echo right",
    "kernel": "uname -r",
    "CPUs seen": "nproc",
    "memory seen": "grep MemTotal /proc/meminfo",
    "limits of --ulimit": "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc",
    "volumes": "cat /data/file /host/file; stat -c '%u %g %a' /data /host/file; (echo x >/host/new) 2>&1 | sed 's/.*: //'; echo inside >/data/new",
    "tmpfs": "df -k /t | tail -n 1 | tr -s ' ' | cut -d' ' -f2; stat -c %a /t; grep ' /t ' /proc/self/mounts | cut -d' ' -f3 ",
    "a process beyond --memory": "(head -c 600m /dev/zero | tail -c 590m >/dev/null) 2>/dev/null; echo $?",
}
ONLY_WITH_OPTIONS = "limits of --ulimit", "volumes", "tmpfs", "a process beyond --memory"


def inside(box, opts, subjects, cmd=()):
    script = "".join(f"echo; echo '@@ {s}'; ( {INSIDE[s]} ) 2>&1\n" for s in subjects)
    out = box.ok("sh", "-c", script, *cmd, opts=opts)
    found = dict(re.findall(r"^@@ (.*)\n((?:(?!\n?@@ ).*\n?)*)", out, re.M))
    assert list(found) == list(subjects)
    return {s: text.strip() for s, text in found.items()}


def options(berth, volume, directory):
    return ("-e", "GIVEN=a value", "-w", "/srv", "-u", "web:www", "--group-add", "1002", "-h", "boxed", 
            "--tmpfs", "/t:size=1m,mode=1777", "-v", f"{volume}:/data", "-v", f"{directory}:/host:ro", "--read-only",
            "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--security-opt", "no-new-privileges", "--ulimit", "nofile=100:200", "--ulimit",
            "core=0", "--shm-size", "8m", "--sysctl", "net.ipv4.ip_unprivileged_port_start=80", "--memory", "192m")


def shape(value, at=""):
    """Key paths of a document, without what lists hold."""
    if isinstance(value, dict) and not re.search(r"(Labels|Annotations|Sysctls|Tmpfs|Networks|Ports)$", at):
        return {p for k, v in value.items() for p in shape(v, f"{at}.{k}")} or {at}
    return {at}


def said(r, name=""):
    """A result without what is different each time."""
    text = re.sub(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b", "ID", f"{r.out}|{r.err}")
    return f"{r.code} {text.replace(name, 'NAME') if name else text}"


def outside(box, tmp_path):
    b, name = box.berth, box.name()
    facts = {}

    def take(subject, value):
        assert subject not in facts
        facts[subject] = value

    script = "trap 'echo usr1' USR1; trap 'echo term; exit 5' TERM; echo out; echo err >&2; echo kept >/srv/made; while :; do sleep 0.1; done"
    b.ok(*box.args("sh", "-c", script, verb="create", opts=("--name", name, "-l", "a=b", "--stop-timeout", "20", "-h", "boxed")))
    row = ("ps", "-a", "--no-trunc", "--filter", f"name={name}", "--format",
           "{{.Image}} {{.Command}} {{.Status}} {{.Ports}} {{.Names}} {{.Labels}} {{.State}} {{.RunningFor}}")
    calm = lambda s: re.sub(r"\d+ (seconds?|minutes?)|[Ll]ess than a second|About a minute", "TIME", s.replace(name, "NAME"))  # noqa: E731
    take("create, ps", calm(b.ok(*row)))
    take("exec, when it does not run", said(b("exec", name, "true"), name))
    take("start", said(b("start", name), name))
    until(lambda: "err" in b("logs", name).err, "it speaks")
    take("ps", calm(b.ok(*row)))
    take("start, when it runs", said(b("start", name), name))
    take("rm, when it runs", said(b("rm", name), name))
    take("port", said(b("port", name), name))
    take("logs", said(b("logs", name)))
    take("logs --tail, -t", re.sub(r"\S+T\S+Z", "WHEN", said(b("logs", "-t", "--tail", "1", name))))
    for words in (("sh", "-c", "exit 3"), ("no-such-program",), ("/etc/passwd",), ("sh", "-c", "kill -9 $$"), ("id", "-u")):
        take(f"exec {' '.join(words)}", said(b("exec", name, *words), name))
    take("exec -u -w -e", said(b("exec", "-u", "web", "-w", "/srv", "-e", "X=1", name, "sh", "-c", "id; pwd; echo $X")))
    take("exec -i", said(b("exec", "-i", name, "cat", input="given\n")))
    t = box.terminal("exec", "-it", name, "sh", "-c", "stty size; tty; exit 4", rows=33, cols=77)
    take("exec -it", (t.expect(r"(?s).*/dev/\S+")[0].split(), t.wait()))
    take("exec -d", said(b("exec", "-d", name, "touch", "/tmp/detached"), name))
    until(lambda: b("exec", name, "test", "-e", "/tmp/detached").code == 0, "what is detached runs")
    head, *processes = b.ok("top", name).splitlines()
    of_script = [line.split(None, 7) for line in processes if "trap" in line]
    take("top", (head.split(), [(f[0], f[5], f[7]) for f in of_script]))
    stats = json.loads(b.ok("stats", "--no-stream", "--format", "json", name))
    take("stats", (sorted(stats), stats["MemUsage"].split()[0] != "0B", int(stats["PIDs"]) > 0))
    one = json.loads(b.ok("inspect", name))[0]
    take("inspect: keys", sorted(shape(one)))
    take("inspect: what was asked for", {k: one["Config"][k] for k in ("Cmd", "Env", "Hostname", "Labels", "User", "WorkingDir", "Image")})
    take("inspect: Pid", open(f"/proc/{one['State']['Pid']}/comm").read())
    (tmp_path / "in").write_text("from the host\n")
    take("cp", (said(b("cp", tmp_path / "in", f"{name}:/srv/in"), name), said(b("exec", name, "cat", "/srv/in")),
                said(b("cp", f"{name}:/srv/made", tmp_path / "out"), name), (tmp_path / "out").read_text()))
    take("cp -, nothing there", said(b("cp", f"{name}:/nowhere", "-"), name))
    b.ok("kill", "-s", "USR1", name)
    until(lambda: "usr1" in b("logs", name).out, "the signal comes")
    take("kill -s USR1", said(b("logs", name)))
    take("pause", said(b("pause", name), name))
    take("ps, paused", calm(b.ok(*row)))
    take("exec, paused", said(b("exec", name, "true"), name))
    take("pause, paused", said(b("pause", name), name))
    take("diff, paused", said(b("diff", name), name))
    take("unpause", said(b("unpause", name), name))
    take("events of pause", b.ok("events", "--since", "10m", "--until", "0s", "--filter", f"container={name}", "--format", "{{.Action}}").splitlines()[-2:])
    take("update", said(b("update", "--restart", "no", name), name))
    take("rename", said(b("rename", name, f"{name}-x"), name))
    b.ok("rename", f"{name}-x", name)
    for verb, words in ("diff", (name,)), ("export", ("-o", tmp_path / "tar", name)), ("commit", (name, "parity:1")):
        take(verb, said(b(verb, *words), name))
    b("rmi", "parity:1")
    take("stop", said(b("stop", name), name))
    take("stop: the program's own end", (said(b("wait", name), name), said(b("logs", "--tail", "1", name))))
    take("ps, exited", calm(b.ok(*row)))
    take("inspect: State, exited", {k: v for k, v in json.loads(b.ok("inspect", name))[0]["State"].items() if not k.endswith("At")})
    take("cp, when it does not run", said(b("cp", f"{name}:/srv/made", tmp_path / "later"), name))
    take("restart, files kept", (said(b("restart", name), name), said(b("exec", name, "cat", "/srv/made"))))
    take("kill", (said(b("kill", name), name), said(b("wait", name), name)))
    take("rm", said(b("rm", name), name))
    take("rm, nothing there", said(b("rm", name), name))
    story = b.ok("events", "--since", "10m", "--until", "0s", "--filter", f"container={name}", "--filter", "type=container", "--format",
                 "{{.Action}}").splitlines()
    pauses = [s for s in story if s in ("pause", "unpause")]
    take("events", [s for s in story if not s.startswith("exec_") and s not in pauses])
    take("events of commit", pauses[2:])  # the first two are those of pause and unpause themselves
    take("events of exec", sorted(s for s in story if s.startswith("exec_")))  # one that is detached ends when it likes
    (tmp_path / "gpu.json").write_text(json.dumps({"cdiVersion": "1.0.0", "kind": "nvidia.com/gpu", "devices": [
        {"name": "all", "containerEdits": {"env": ["GPU=1"]}}]}))
    for subject, opts, cmd in (("run: exit code", (), ("sh", "-c", "echo out; echo err >&2; exit 7")), ("run: not found", (), ("no-such-program",)),
                               ("run: not executable", (), ("/etc/passwd",)), ("run: ended by a signal", (), ("sh", "-c", "kill -TERM $$; sleep 1")),
                               ("run: no such user", ("-u", "no-such-user"), ("true",)), ("run: no such directory to mount", ("--mount", "type=bind,source=/no/such,target=/x"), ("true",)),
                               ("--device", ("--device", "/dev/null:/dev/x"), ("true",)),
                               ("--gpus", ("--gpus", "all", "--cdi-spec-dir", tmp_path), ("true",)), ("--network host", ("--network", "host"), ("true",)),
                               ("--oom-kill-disable", ("--oom-kill-disable", "--memory", "64m"), ("true",)), ("run: wrong option", ("--memory", "x"), ("true",))):
        take(subject, said(box(*cmd, opts=opts)))
    t = box.terminal(*box.args("sh", "-c", "stty size; test -t 0 && echo terminal; exit 6", opts=("-it", "--rm")), rows=40, cols=100)
    take("run -it", (t.expect(r"\d+ \d+\s+terminal\r")[0].split(), t.wait()))
    r = box("sh", "-c", "cat; echo end", opts=("-i",), input="a\nb\n")
    take("run -i", said(r))
    return facts


@pytest.fixture(scope="module")
def both(berth, image, tmp_path_factory):
    found = {}
    for isolation in ISOLATIONS:
        box, work = Box(berth, isolation, image), tmp_path_factory.mktemp(isolation)
        try:
            (work / "host").mkdir()
            (work / "host/file").write_text("on the host\n")
            volume = f"parity-{isolation}-{os.getpid()}"
            berth.ok("volume", "create", volume)
            data = Path(json.loads(berth.ok("volume", "inspect", volume))[0]["Mountpoint"])
            (data / "file").write_text("in the volume\n")
            os.chown(data, 1000, 1001)
            plain = inside(box, ("-h", "boxed"), [s for s in INSIDE if s not in ONLY_WITH_OPTIONS], ("one", "two words"))
            given = inside(box, options(berth, volume, work / "host"), INSIDE)
            assert (data / "new").read_text() == "inside\n"
            found[isolation] = {"inside": plain, "inside, with options": given, "commands": outside(box, work)}
            box.clean()
            berth.ok("volume", "rm", volume)
        finally:
            box.clean()
    return found


def differing(both):
    return {(part, subject): [both[i][part].get(subject) for i in ISOLATIONS]
            for part in both["container"] for subject in both["container"][part]
            if both["container"][part][subject] != both["vm"][part][subject]}


def page(both):
    lines = ["# Parity of container and VM", "",
             "What a program of one image sees in a container and in a VM, and what commands answer about them: asked of both and compared by",
             "`tests/integration/test_vm_parity.py`, which writes this page. What is not the same has its reason here; any other difference fails the tests.", ""]
    for part, subjects in both["container"].items():
        lines += [f"## {part[0].upper()}{part[1:]}", "", "| subject | container and VM |", "|---|---|"]
        lines += [f"| {s} | {DIFFERENCES.get(s, 'the same')} |" for s in subjects] + [""]
    return "\n".join(lines)


def test_both_walls_behave_the_same_but_for_what_is_listed(both):
    found = {k: v for k, v in differing(both).items() if k[1] not in DIFFERENCES}
    assert not found, "\n".join(f"{part}: {subject}\n  container: {c}\n  vm:        {v}" for (part, subject), (c, v) in found.items())


def test_the_list_has_nothing_that_is_not_asked(both):
    asked = {subject for part in both["container"].values() for subject in part}
    assert set(DIFFERENCES) <= asked
    assert set(both["container"]) == set(both["vm"]) and all(both["container"][p].keys() == both["vm"][p].keys() for p in both["container"])


def test_the_page_is_this_table(both):
    if os.environ.get("BERTH_WRITE"):
        PAGE.write_text(page(both))
    assert PAGE.read_text() == page(both), "docs/PARITY.md is not this table: BERTH_WRITE=1 writes it"
