"""Commands that hold containers and pods, let them go on, end them and wait for them, under faults."""

from engine_life import Exec, PodJoin


class Start(Exec):
    name = "start"

    def before(self, o):
        o.ok("create", "--name", o.id, o.image, "sleep", "1000")

    def argv(self, o):
        return o.argv("start", o.id)

    def check(self, o, done):
        s = o.inspect()["State"]
        was_killed = s["Status"] == "exited" and "its monitor was killed" in s["Error"]
        return [] if s["Status"] == "running" or was_killed else [f"exit 0, but it is {s}"]


class State(Exec):
    """A verb of a running container, and the state that it leads to."""

    def __init__(self, name, status, *opts, beforehand=()):
        self.name, self.status, self.opts, self.beforehand = name, status, opts, beforehand

    def before(self, o):
        super().before(o)
        for verb in self.beforehand:
            o.ok(verb, o.id)

    def argv(self, o):
        return o.argv(self.name, *self.opts, o.id)

    def check(self, o, done):
        is_now = o.inspect()["State"]
        return [] if is_now["Status"] == self.status else [f"exit 0, but it is {is_now}"]


class Kill(State):
    """A signal has been sent, which is not yet an end."""

    def check(self, o, done):
        waited = o.run("wait", o.id)
        return [] if waited.out.strip() == "137" else [f"exit 0, but wait says {waited}"]


class PodState(PodJoin):
    """The same of all containers of a pod, of which there are two."""

    def __init__(self, name, status, *opts, beforehand=()):
        self.name, self.status, self.opts, self.beforehand = f"pod-{name}", status, opts, beforehand

    def before(self, o):
        super().before(o)
        o.ok("run", "-d", "--pod", o.pod, "--name", o.id, o.image, "sleep", "1000")
        for verb in self.beforehand:
            o.ok("pod", verb, o.pod)

    def argv(self, o):
        return o.argv("pod", self.name.removeprefix("pod-"), *self.opts, o.pod)

    def check(self, o, done):
        states = o.ok("ps", "-a", "--format", "{{.State}}", "--filter", f"pod={o.pod}").split()
        return [] if states == [self.status] * 2 else [f"exit 0, but they are {states}"]

    def after(self, o):
        o.run("pod", "unpause", o.pod)  # a container of a pod that stands still can't be removed


class PodKill(PodState):
    def check(self, o, done):
        waited = o.run("wait", o.id)
        return [] if waited.out.strip() == "137" else [f"exit 0, but wait says {waited}"]


class Wait(Exec):
    name = "wait"

    def before(self, o):
        o.run("run", "--name", o.id, o.image, "sleep", "no-time")

    def argv(self, o):
        return o.argv("wait", o.id)

    def check(self, o, done):
        return [] if done.out == "1\n" else [f"exit 0, but it says {done.out!r}"]


class Attach(Exec):
    """To one that says nothing, and ends a while after a busy machine has come to attach; who is heard to the end has its code."""

    name = "attach"

    def before(self, o):
        o.ok("run", "-d", "--name", o.id, o.image, "sleep", "2")

    def argv(self, o):
        return o.argv("attach", o.id)

    def check(self, o, done):
        return [] if o.inspect()["State"]["Status"] == "exited" else ["exit 0, but it has not ended"]


class ContainerPrune(Exec):
    name = "container-prune"

    def before(self, o):
        o.ok("create", "--name", o.id, o.image, "true")

    def argv(self, o):
        return o.argv("container", "prune", "-f")

    def check(self, o, done):
        left = o.left_for_now()
        return [f"exit 0, but there is left: {left}"] if left else []


class PodPrune(ContainerPrune):
    name = "pod-prune"

    def before(self, o):
        o.ok("pod", "create", "--name", o.pod)
        o.ok("create", "--pod", o.pod, "--name", o.id, o.image, "true")

    def argv(self, o):
        return o.argv("pod", "prune", "-f")


COMMANDS = [Start(), State("pause", "paused"), State("unpause", "running", beforehand=["pause"]), Kill("kill", "exited"), Wait(), Attach(),
            ContainerPrune(), PodState("stop", "exited", "-t", "0"), PodState("restart", "running", "-t", "0"), PodKill("kill", "exited"),
            PodState("pause", "paused"), PodState("unpause", "running", beforehand=["pause"]), PodPrune()]
