"""berth-net's turns: who waits for whom on one network stack."""

import os
import subprocess
import sys
from contextlib import contextmanager

from net_host import endpoint, network, until
from net_world import lingering, world  # noqa: F401

TURNS, ANYBODYS = "/proc/sys/net/ipv4/route/flush", "/proc/self/ns/net"
HOLD = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], int(sys.argv[2])), fcntl.LOCK_EX); print('mine', flush=True); sys.stdin.read()"


@contextmanager
def locked(world, path, how, user=0):
    """Somebody has the file of the host's network locked."""
    def become():
        world.host.enter()
        os.setuid(user)

    with subprocess.Popen([sys.executable, "-c", HOLD, path, str(how)], preexec_fn=become, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "mine\n"
        yield p
        p.stdin.close()


def test_nobody_without_roots_rights_holds_up_networks(world):
    with locked(world, ANYBODYS, os.O_RDONLY, 65534):
        world.attach(endpoint(network(1), 2))
    refused = world.host.run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable, "-c", HOLD, TURNS, str(os.O_WRONLY), check=False)
    assert refused.returncode != 0 and "PermissionError" in refused.stderr


def test_who_waits_for_his_turn_has_it_in_the_end(world):
    c, plan = world.space("c"), world.net.plan(endpoint(network(1), 2))
    with locked(world, TURNS, os.O_WRONLY) as holder:
        running = world.net.start("attach", plan, c)
        assert not until(lambda: running[0].poll() is not None, 1), "the turn is another's"
        holder.stdin.close()
        assert world.net.finish(*running).error == 0
    c.close()
    world.net.ok("detach", plan)


def kept(pid):
    """How many sockets a process has."""
    try:
        return sum(os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:") for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def test_many_at_once_leave_their_conversations_to_one_process(world):
    net, own = network(1), 3  # sockets of the process itself, and the conversation that it begins with
    world.attach(endpoint(net, 2))

    def scene():
        rows = [(world.space("c"), world.net.plan(endpoint(net, 3 + i))) for i in range(6)]
        with locked(world, TURNS, os.O_WRONLY) as holder:
            running = [world.net.start("attach", plan, c) for c, plan in rows]
            holder.stdin.close()
            most = 0
            while any(p.poll() is None for p, _ in running):
                most = max([most, *(kept(pid) for pid in lingering(world))])
            answers = [world.net.finish(*r) for r in running]
        assert [a.error for a in answers] == [0] * len(rows)
        most = max([most, *(kept(pid) for pid in lingering(world))])
        for c, plan in rows:
            c.close()
            world.net.ok("detach", plan)
        return most >= own + 2

    assert until(scene, 60), "each closed its own"
    assert until(lambda: not lingering(world)), "for a moment"
