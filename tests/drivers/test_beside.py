"""Our networks beside a real dockerd on one host: its rules drop what is forwarded and not its own."""

import pytest

from beside import SERVE, Beside
from engines import Docker


@pytest.fixture
def b(make_host, runtime, archive, request):
    host = make_host("beside" + request.node.name.split("[")[-1].strip("]").replace("-", ""))
    made = Beside(host, runtime.parents[2], archive)
    yield made
    made.close()
    host.check_clean()
    host.end()


@pytest.fixture
def start_docker(b, runtime, archive):
    """A daemon with its default bridge, and what it runs at port 8082; both end with the test."""
    started = []

    def start():
        started.append(Docker(b.host, runtime, archive))
        started[0].ok("run", "-d", "--name", "hidden", "base", "sh", "-c", SERVE.format("hidden"))
        started[0].ok("run", "-d", "--name", "theirs", "-p", "8082:80", "base", "sh", "-c", SERVE.format("theirs"))
        return started[0]
    yield start
    for engine in started:
        engine("rm", "-f", "theirs", "hidden")
        engine.end()


def chain(b):
    """DOCKER-USER, as dockerd's users see it."""
    return [b.host.ok(f"ip{v}tables", "-S", "DOCKER-USER") for v in ("", "6") if b.host(f"ip{v}tables", "-S", "DOCKER-USER").code == 0]


@pytest.mark.parametrize("first", ["docker-first", "berth-first"])
def test_dockerd_and_we_reach_out_and_are_reached_whoever_comes_first(b, start_docker, first):
    docker = start_docker() if first == "docker-first" else None
    before = chain(b) if docker else None
    ours = b.start("ours", "--network", b.network("plain", "berth-plain"), "-p", "0.0.0.0:8081:80")
    named = b.start("named", "--network", b.network("named", "br-own"), "-p", "0.0.0.0:8083:80")
    if not docker:
        docker = start_docker()
        before = chain(b)
        b.berth.ok("network", "reload", "--all")
    b.host.ok("iptables", "-P", "FORWARD", "DROP")  # its own policy, where it was the one that has set ip_forward
    b.told("192.0.2.1", 8081, "ours")
    b.told("192.0.2.1", 8083, "named")
    b.told("192.0.2.1", 8082, "theirs")
    assert b.berth_goes_out(ours) and b.berth_goes_out(named)
    assert b.goes_out(lambda *argv: docker("exec", "theirs", *argv))
    hidden = docker.inspect("hidden", ".NetworkSettings.IPAddress")
    assert docker("exec", "theirs", "timeout", "2", "nc", hidden, "80").out == "hidden\n"
    for name in (ours, named):
        assert b.berth("exec", name, "timeout", "2", "nc", hidden, "80").out == "", "engines' networks are apart"
        assert b.berth("exec", name, "timeout", "2", "nc", "192.0.2.1", "8082").out == "theirs\n", "but for what is published"
    own = b.berth.ok("inspect", "-f", "{{.NetworkSettings.Networks.plain.IPAddress}}", ours)
    assert docker("exec", "theirs", "timeout", "2", "nc", own, "80").out == ""
    assert "berth" in chain(b)[0]
    b.clean()
    assert chain(b) == before
    b.told("192.0.2.1", 8082, "theirs")
