"""berth-transfer: who gets credentials, whose certificate counts (I12, I13), and how the program confines itself."""

import json
import os
from pathlib import Path

import pytest

from harness import until
from registry_tools import digest
from transfer_tools import bad, BadRegistry, image, log_in, serve


# ---- I12: credentials ----

def credentials_in(registry):
    return [(path, h["authorization"]) for _, path, h in registry.requests if "authorization" in h]


def test_token_login_is_anonymous_without_credentials(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="token") as r:
        transfer.pull(f"{r.domain}/a/b")
        asked = r.paths("/token")
        assert len(asked) == 1 and "scope=repository%3Aa%2Fb%3Apull" in asked[0] and "service=test" in asked[0]
    transfer.check_whole(i)


def test_token_login_sends_the_password_to_the_token_server_only(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="token", password_needed=True) as r:
        transfer.fails(f"{r.domain}/a/b", says="login")
        log_in(transfer, r.domain)
        transfer.pull(f"{r.domain}/a/b")
        for path, value in credentials_in(r):
            assert value.startswith("Basic ") == path.startswith("/token")
    transfer.check_whole(i)


def test_an_expired_token_is_renewed_in_the_middle_of_a_pull(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="token") as r:
        def expire(_handler, _answer):
            r.tokens.clear()
        r.fault(digest(i.config), expire, times=1)
        transfer.pull(f"{r.domain}/a/b")
        assert len(r.paths("/token")) == 2
    transfer.check_whole(i)


def test_basic_login(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="basic") as r:
        transfer.fails(f"{r.domain}/a/b", says="user name and password")
        log_in(transfer, r.domain, password="wrong")
        transfer.fails(f"{r.domain}/a/b", says="refuses the user name")
        log_in(transfer, r.domain)
        transfer.pull(f"{r.domain}/a/b")
    transfer.check_whole(i)


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_I12_credentials_do_not_follow_a_redirect_to_another_place(transfer, auth):
    i = image()
    with BadRegistry({"a/b": i}) as other, BadRegistry({"a/b": i}, auth=auth, password_needed=True) as r:
        log_in(transfer, r.domain)
        r.fault("/blobs/", bad.redirect(lambda path: other.url + path))
        transfer.pull(f"{r.domain}/a/b")
        assert len(other.paths("/blobs/")) == 3
        assert not credentials_in(other)
        assert credentials_in(r)
    transfer.check_whole(i)


def test_I12_another_place_that_asks_for_a_password_gets_none(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="basic") as other, BadRegistry({"a/b": i}, auth="basic") as r:
        log_in(transfer, r.domain)
        r.fault("/blobs/", bad.redirect(lambda path: other.url + path))
        transfer.fails(f"{r.domain}/a/b", says="asks for a password: refused")
        assert not credentials_in(other)


def test_I12_foreign_urls_of_a_layer_are_not_visited(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="basic") as other:
        layers = [{**x, "urls": [f"{other.url}/v2/a/b/blobs/{x['digest']}"]} for x in i.layers]
        with serve({**i.document, "layers": layers}, blobs=i.blobs) as r:
            log_in(transfer, other.domain)
            transfer.pull(f"{r.domain}/a/b")
        assert not other.requests


def test_I12_realm_over_http_elsewhere_is_refused(transfer):
    i = image()
    with BadRegistry({"a/b": i}, auth="token", realm="http://auth.example/token") as r:
        log_in(transfer, r.domain)
        transfer.fails(f"{r.domain}/a/b", says=["plain http", "auth.example"])


def test_I12_a_token_server_that_redirects_is_refused(transfer):
    i = image()
    with BadRegistry() as other, BadRegistry({"a/b": i}, auth="token", password_needed=True) as r:
        log_in(transfer, r.domain)
        r.fault("/token", bad.redirect(f"{other.url}/token"))
        transfer.fails(f"{r.domain}/a/b", says="token server redirects")
        assert not other.requests


def test_credential_helper_is_asked_by_its_protocol(transfer):
    i = image()
    helper = Path("/usr/local/bin/docker-credential-berth-test")
    helper.write_text('#!/bin/sh\nread -r server\n[ "$1" = get ] || exit 1\n'
                      'printf \'{"ServerURL":"%s","Username":"me","Secret":"secret"}\' "$server"\n')
    helper.chmod(0o755)
    try:
        with BadRegistry({"a/b": i}, auth="basic") as r:
            (transfer.home / ".docker").mkdir()
            (transfer.home / ".docker" / "config.json").write_text(json.dumps({"credHelpers": {r.domain: "berth-test"}}))
            transfer.pull(f"{r.domain}/a/b")
            (transfer.home / ".docker" / "config.json").write_text(json.dumps({"credsStore": "berth-test"}))
            transfer.pull(f"{r.domain}/a/b")
    finally:
        helper.unlink()

# ---- I13: TLS ----

def trust(certificates):
    return {"SSL_CERT_FILE": str(certificates.ca), "SSL_CERT_DIR": "/nonexistent"}


def test_I13_tls_with_a_trusted_certificate(transfer, certificates):
    i = image()
    with BadRegistry({"a/b": i}, tls=certificates.sign("good")) as r:
        transfer.pull(f"{r.domain}/a/b", env=trust(certificates))
    transfer.check_whole(i)


@pytest.mark.parametrize("case", ["unknown CA", "expired", "other name"])
def test_I13_bad_certificates_are_refused_without_the_flag(transfer, certificates, case):
    i = image()
    certificates.make_ca("other")
    context = {"unknown CA": lambda: certificates.sign("unknown", ca="other"),
               "expired": lambda: certificates.sign("expired", days=-1),
               "other name": lambda: certificates.sign("elsewhere", names="DNS:registry.example")}[case]()
    with BadRegistry({"a/b": i}, tls=context) as r:
        transfer.fails(f"{r.domain}/a/b", env=trust(certificates), says=["certificate", "--tls-skip-verify"])
        assert not r.requests
        transfer.pull(f"{r.domain}/a/b", "--tls-skip-verify", env=trust(certificates))
    transfer.check_whole(i)


def test_I13_redirect_from_https_to_http_is_refused(transfer, certificates):
    i = image()
    with BadRegistry({"a/b": i}) as plain, BadRegistry({"a/b": i}, tls=certificates.sign("good2")) as r:
        r.fault("/blobs/", bad.redirect(lambda path: plain.url + path))
        transfer.fails(f"{r.domain}/a/b", env=trust(certificates), says="from https to http")
        assert not plain.requests


def test_I13_plain_http_elsewhere_needs_the_flag(transfer):
    i = image()
    name = "registry.berth-test.example"
    hosts = Path("/etc/hosts")
    size = hosts.stat().st_size
    with BadRegistry({"a/b": i}) as r:
        try:
            with open(hosts, "a") as f:  # others read it meanwhile: it is whole at each moment
                f.write(f"\n127.0.0.1 {name}\n")
            transfer.fails(f"{name}:{r.port}/a/b")
            assert not r.requests
            transfer.pull(f"{name}:{r.port}/a/b", "--plain-http")
        finally:
            os.truncate(hosts, size)
    transfer.check_whole(i)

# ---- confinement ----

def test_the_program_confines_itself_before_it_listens_to_the_network(transfer):
    i = image()
    with BadRegistry({"a/b": i}) as r:
        r.fault("/manifests/", bad.stall())
        p = transfer.start(f"{r.domain}/a/b")
        until(lambda: r.paths("/manifests/"), "it asks for the image")
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{p.pid}/status").read_text().splitlines() if ":\t" in line)
        limits = Path(f"/proc/{p.pid}/limits").read_text()
        p.kill()
        p.communicate()
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert any(line.startswith("Max core file size") and line.split()[4] == "0" for line in limits.splitlines())
