"""Networks under real programs: nginx, wget, iperf3 and dig, between containers, between a container and a VM both ways, and from another
host of the LAN to published ports; by IPv4 and IPv6."""

import hashlib
import json
import re

import pytest

import real_programs
from harness import until
from test_network import Net

PAGE = bytes(range(256)) * 4096
NGINX = b"""daemon off;
pid /tmp/pid;
error_log stderr;
events { }
http {
  access_log off;
  client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
  server {
    listen 80;
    listen [::]:80;
    root /srv/www;
    location = /who { return 200 "$remote_addr\\n"; }
  }
}
"""
SERVE = "iperf3 -s & exec nginx -c /etc/nginx.conf -e stderr"
PUBLISHED = [o for at in ("0.0.0.0", "[::]") for p in ("8080:80", "5201:5201", "5201:5201/udp") for o in ("-p", f"{at}:{p}")]
LAN = {4: "192.0.2.2", 6: "2001:db8:1::2"}
HOST = {4: "192.0.2.1", 6: "2001:db8:1::1"}


@pytest.fixture(scope="module")
def programs(berth, image, layout):
    return real_programs.image(berth, layout, "net-programs", ["nginx", "iperf3", "dig", "wget"],
                               {"etc/nginx.conf": NGINX, "srv/www/page": PAGE})


@pytest.fixture(scope="module")
def made(berth, programs):
    n = Net(berth, programs)
    for ns, device, address in ((n.host, "lan0", HOST[6]), (n.lan, "eth0", LAN[6])):
        ns.ip("addr", "add", f"{address}/64", "dev", device, "nodad")
    n.before = n.facts()
    yield n
    n.close()


class Pair:
    """A server and a client on one network."""

    def __init__(self, net, server, client):
        self.net = net
        self.network = net.network("--ipv6")
        self.server = net.start(server, SERVE, "--network", self.network, "--network-alias", "www", *PUBLISHED)
        self.client = net.start(client, "sleep 100000", "--network", self.network)
        until(lambda: net.berth("exec", self.client, "wget", "-q", "-O", "-", "http://www/who").code == 0, "nginx answers", 240)
        until(lambda: net.berth("exec", self.client, "iperf3", "-c", "www", "-n", "1K").code == 0, "iperf3 answers", 240)

    def ask(self, *command) -> str:
        return self.net.berth.ok("exec", self.client, *command)

    def places(self, name) -> dict:
        of = self.net.berth.inspect(name)["NetworkSettings"]["Networks"][self.network]
        return {4: of["IPAddress"], 6: of["GlobalIPv6Address"]}

    def dig(self, *words) -> list:
        """What is answered, in short."""
        return sorted(self.ask("dig", "+short", "+tries=5", *words).split())


PAIRS = [("container", "container"), pytest.param(("container", "vm"), marks=pytest.mark.vm), pytest.param(("vm", "container"), marks=pytest.mark.vm)]


@pytest.fixture(scope="module", params=PAIRS, ids=lambda p: "-from-".join(p))
def pair(made, request):
    yield Pair(made, *request.param)
    made.clean()


MUCH = 16 << 20  # more than sockets hold


def carries(run, server):
    """iperf3's TCP both ways, and UDP. run: executes a command -> stdout. What is on its way when the sender is done, iperf3 does not count."""
    for way in ((), ("--reverse",)):
        end = reported(run, "-n", str(MUCH), *way, "-c", server)
        assert end["sum_sent"]["bytes"] >= MUCH and end["sum_received"]["bytes"] > 0
    end = reported(run, "-u", "-b", "2M", "-t", "1", "-l", "1200", "-c", server)
    assert 0 <= end["sum"]["lost_packets"] < end["sum"]["packets"]


def reported(run, *words) -> dict:
    """Between two clients the server closes its socket for a moment, and ends whoever comes then."""
    def once():
        report = json.loads(run("iperf3", "-J", *words))
        said = report.get("error", "")
        assert not said or re.search("reset by peer|refused|busy", said), said
        return not said and report
    return until(once, "the server has time")["end"]


@pytest.mark.parametrize("family", [4, 6])
def test_nginx_is_reached_by_name_and_sees_who_asks(pair, family):
    assert pair.ask("wget", f"-{family}", "-q", "-O", "-", "http://www/who") == pair.places(pair.client)[family]
    for name in (pair.server, "www"):
        got = pair.ask("sh", "-c", f"set -o pipefail; /bin/wget -{family} -q -O - http://{name}/page | sha256sum")
        assert got.split()[0] == hashlib.sha256(PAGE).hexdigest()


@pytest.mark.parametrize("family", [4, 6])
def test_iperf3_carries_tcp_both_ways_and_udp(pair, family):
    carries(pair.ask, pair.places(pair.server)[family])


def test_dig_is_told_addresses_aliases_and_names(pair):
    at = pair.places(pair.server)
    ident = pair.net.berth.inspect(pair.server)["Id"][:12]
    for name in (pair.server, "www", ident):
        assert pair.dig("A", name) == pair.dig("+tcp", "A", name) == [at[4]]
        assert pair.dig("AAAA", name) == pair.dig("+tcp", "AAAA", name) == [at[6]]
    assert pair.dig("-x", at[4]) == pair.dig("-x", at[6]) == [f"{pair.server}."]
    assert pair.dig("A", pair.client) == [pair.places(pair.client)[4]]


def test_an_unknown_name_without_a_dot_is_nobodys(pair):
    for words in (("A",), ("AAAA",), ("+tcp", "A")):
        said = pair.ask("dig", "+tries=5", *words, "nobody-here")
        assert re.search(r"status: NXDOMAIN", said) and "ANSWER: 0" in said, said


@pytest.mark.parametrize("family", [4, 6])
def test_another_host_reaches_what_is_published(pair, family):
    lan, host = pair.net.lan, HOST[family]
    at = f"[{host}]" if family == 6 else host
    assert lan.run("wget", "-q", "-O", "-", f"http://{at}:8080/who").stdout.strip() == LAN[family]
    assert lan.run("sh", "-c", f"wget -q -O - 'http://{at}:8080/page' | sha256sum").stdout.split()[0] == hashlib.sha256(PAGE).hexdigest()
    carries(lambda *command: lan.run(*command).stdout, host)
