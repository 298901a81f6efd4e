"""Commands that only look, under faults: what they say, where they say that all is well, is what they say without a fault."""

import json

from engine_life import Exec


class Read(Exec):
    def __init__(self, *args, name=None):
        self.args, self.name = args, name or "-".join(a for a in args if a.isalpha())

    def before(self, o):
        o.ok("run", "-d", "--name", o.id, "--hostname", "here", "-v", f"{o.volume}:/tmp", o.image, "sleep", "1000")
        o.ok("pod", "create", "--name", o.pod)
        o.ok("network", "create", o.network)
        o.source.write_text("hunter2")
        o.ok("secret", "create", o.id, str(o.source))

    def argv(self, o):
        words = {"ID": o.id, "POD": o.pod, "VOLUME": o.volume, "NETWORK": o.network, "IMAGE": o.image}
        return o.argv(*[words.get(a, a) for a in self.args])

    def check(self, o, done):
        return o.same(self.name, {"out": o.tidy(done.out.replace(o.pod, "POD").replace(o.volume, "VOLUME").replace(o.network, "NETWORK"))})

    def after(self, o):
        o.source.unlink(missing_ok=True)
        o.run("secret", "rm", o.id)


class Logs(Read):
    def before(self, o):
        o.run("run", "--name", o.id, o.image, "cat", "/etc/passwd")

    def after(self, o):
        pass


class Top(Read):
    def check(self, o, done):
        return [] if done.out.startswith("UID ") and done.out.rstrip().endswith("sleep 1000") else [f"exit 0, but it says {done.out!r}"]


class Audit(Read):
    """What the probe can't find out is said to be unknown; the rest of its answer is there."""

    def before(self, o):
        o.ok("run", "-d", "--name", o.id, o.image, "sleep", "1000")

    def check(self, o, done):
        try:
            doc = json.loads(done.out)
            said = {w["id"]: w["values"] for w in doc["walls"]}
            inside = doc["ways"][0]["inside"]
        except (ValueError, KeyError, IndexError) as e:
            return [f"exit 0, but it says {done.out[:300]!r}: {e!r}"]
        wrong = [] if len(doc["ways"]) == 1 and inside["schema"] == "berth.walls/1" else [f"exit 0, but its ways are {doc['ways']!r:.300}"]
        if not (said["kernel"][0].startswith("the host's") or said["kernel"][0].startswith("unknown")):
            wrong.append(f"exit 0, but the kernel is {said['kernel']}")
        return wrong

    def after(self, o):
        pass


COMMANDS = [
    Read("ps", "-a", "--format", "{{.Names}} {{.State}} {{.Image}} {{.Mounts}}"),
    Read("ps", "-a", "-s", "--format", "{{.Names}} {{.Size}}", name="ps-size"),
    Read("inspect", "--format", "{{.Name}} {{.State.Status}} {{json .Config.Cmd}} {{json .Config.Env}} {{json .HostConfig}} {{len .Mounts}}", "ID"),
    Read("container", "inspect", "--format", "{{.Name}} {{.State.Status}}", "ID"),
    Read("container", "exists", "ID"),
    Top("top", "ID"),
    Read("port", "ID"),
    Read("pod", "ps", "--format", "{{.Name}} {{.Status}}"),
    Read("pod", "inspect", "--format", "{{.Name}} {{.State}}", "POD"),
    Read("pod", "exists", "POD"),
    Read("volume", "ls", "--format", "{{.Name}} {{.Driver}}"),
    Read("volume", "inspect", "--format", "{{.Name}} {{.Driver}}", "VOLUME"),
    Read("volume", "exists", "VOLUME"),
    Read("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.IPv6}}"),
    Read("network", "inspect", "--format", "{{.Name}} {{.Driver}} {{len .Containers}}", "NETWORK"),
    Read("network", "exists", "NETWORK"),
    Read("secret", "ls", "--format", "{{.Name}} {{.Driver}}"),
    Read("secret", "inspect", "--format", "{{.Spec.Name}}", "ID"),
    Read("secret", "exists", "ID"),
    Read("images", "-a", "--no-trunc", "--format", "{{.ID}} {{.Repository}}"),
    Read("image", "inspect", "IMAGE"),
    Read("image", "exists", "IMAGE"),
    Read("history", "--no-trunc", "--format", "{{.ID}} {{.CreatedBy}} {{.Size}}", "IMAGE"),
    Read("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"),
    Read("info", "--format", "{{.Containers}} {{.ContainersRunning}} {{.Images}}"),
    Read("version", "--format", "{{.Client.Version}}"),
    Read("kernel", "ls"),
    Audit("audit", "--format", "json", "--isolation", "container", "IMAGE", name="audit-image"),
    Audit("audit", "--format", "json", "ID", name="audit"),
    Logs("logs", "ID"),
    Logs("logs", "--since", "1h", "--tail", "1", "ID", name="logs-tail"),
]
