"""search: what registries have, by a search, a catalog or a list of tags; and what hostile ones answer."""

import json
import sys
from pathlib import Path

import pytest

from registry_tools import Image, tar_layer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from bad_registry import BadRegistry, body, redirect, status  # noqa: E402  pylint: disable=wrong-import-position

LONG = "a description that is longer than what a table of a terminal's width shows of it"
INDEX = [{"name": "library/web", "description": LONG, "star_count": 70, "is_official": True, "is_automated": False},
         {"name": "me/web", "description": "two\nlines\tand \x1b[31mcolour", "star_count": 3, "is_official": False, "is_automated": True},
         {"name": "other/web", "description": None, "star_count": 0, "is_official": False}]


@pytest.fixture
def bad():
    with BadRegistry() as r:
        r.is_prompt = True
        yield r


def link(to, data=None):
    def fault(_handler, answer):
        answer.body = data or answer.body
        answer.headers["Link"] = f'<{to}>; rel="next"'
    return fault


def found(berth, *args):
    return berth.ok("search", "--format", "{{.Name}}", *args).splitlines()


def test_a_real_registry_is_searched_by_its_catalog(berth, registry, image, app):
    assert f"{registry.host}/test/base" in found(berth, f"{registry.host}/base")
    assert {f"{registry.host}/test/base", f"{registry.host}/test/app"} <= set(found(berth, f"{registry.host}/"))
    assert found(berth, f"{registry.host}/no-such-name") == []
    head, row = berth.ok("search", f"{registry.host}/test/base").splitlines()
    assert head.split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"] and row.split() == [f"{registry.host}/test/base", "0"]
    tags = berth.ok("search", "--list-tags", f"{registry.host}/test/base").splitlines()
    assert [t.split() for t in tags] == [["NAME", "TAG"], [f"{registry.host}/test/base", "1"]]
    berth.fails("search", "--list-tags", f"{registry.host}/test/none", says=("has no repository test/none", registry.host))


def test_a_search_is_shown_in_dockers_columns(berth, bad):
    bad.index = INDEX
    name = f"{bad.domain}/web & more"
    lines = berth.ok("search", name).splitlines()
    assert bad.paths("/v1/search") == ["/v1/search?q=web%20%26%20more&n=25"] and not bad.paths("_catalog")
    assert lines[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"] and len(lines) == 4
    assert lines[1].startswith(f"{bad.domain}/library/web") and LONG[:44] + "\u2026" in lines[1] and lines[1].split()[-2:] == ["70", "[OK]"]
    assert "two lines and ?[31mcolour" in lines[2] and "\x1b" not in "".join(lines)
    assert LONG in berth.ok("search", "--no-trunc", name)
    rows = [json.loads(line) for line in berth.ok("search", "--format", "json", name).splitlines()]
    assert rows[1] == {"Name": f"{bad.domain}/me/web", "Description": "two lines and ?[31mcolour", "StarCount": "3", "IsOfficial": "", "IsAutomated": "[OK]"}
    for filters, want in ((("stars=3",), ["library", "me"]), (("stars=71",), []), (("is-official=true",), ["library"]), (("is-automated=1",), ["me"]),
                          (("is-official=false", "stars=1"), ["me"])):
        got = found(berth, *(w for f in filters for w in ("--filter", f)), name)
        assert [n.split("/")[1] for n in got] == want, filters
    bad.index = INDEX * 50
    assert len(found(berth, "--limit", "7", name)) == 7 and "n=7" in bad.paths("/v1/search")[-1]


def test_a_catalog_is_read_page_by_page(berth, bad):
    bad.catalog, bad.page_size = [f"team/app-{i:03}" for i in range(95)], 10
    assert found(berth, f"{bad.domain}/app-094") == [f"{bad.domain}/team/app-094"] and len(bad.paths("_catalog")) == 10
    assert len(found(berth, "--limit", "3", f"{bad.domain}/app")) == 3 and len(bad.paths("_catalog")) == 11, "more was read than was asked for"
    bad.add("a/b", Image([tar_layer({"x": b""})]), tag="one")
    bad.add("a/b", Image([tar_layer({"x": b""})]), tag="two")
    bad.page_size = 1
    assert berth.ok("search", "--list-tags", "--format", "{{.Tag}}", f"{bad.domain}/a/b").split() == ["one", "two"]
    assert berth.ok("search", "--list-tags", "--limit", "1", "--format", "{{.Name}}:{{.Tag}}", f"{bad.domain}/a/b") == f"{bad.domain}/a/b:one"


def test_a_registry_that_wants_to_know_who_asks_is_told(berth, tmp_path):
    env = {"HOME": str(tmp_path), "DOCKER_CONFIG": "", "REGISTRY_AUTH_FILE": "", "XDG_RUNTIME_DIR": str(tmp_path)}
    for auth in ("basic", "token"):
        with BadRegistry(auth=auth, password_needed=True) as r:
            r.catalog = ["a/secret"]
            berth.fails("search", f"{r.domain}/sec", says="berth login", env=env)
            assert berth("login", "-u", "me", "-p", "secret", r.domain, env=env).code == 0
            assert berth.ok("search", "--format", "{{.Name}}", f"{r.domain}/sec", env=env) == f"{r.domain}/a/secret"


def test_names_that_nobody_could_pull_are_left_out(berth, bad):
    names = ["ok/name", "bad name", "\x1b[2Jname", "UPPER/name", "../name", "name:tag", "", "x" * 300 + "name", "name@sha256:0"]
    bad.catalog = sorted(names)
    assert found(berth, f"{bad.domain}/name") == [f"{bad.domain}/ok/name"]
    bad.index = [{"name": n} for n in names] + [{"name": None}, {}]
    assert found(berth, f"{bad.domain}/x") == [f"{bad.domain}/ok/name"]
    bad.manifests = {("a/b", t): (b"", "") for t in ("good", "\x1b[2J", "a/b", "", "x" * 200)}
    assert berth.ok("search", "--list-tags", "--format", "{{.Tag}}", f"{bad.domain}/a/b").split() == ["good"]


def test_hostile_answers_are_told_and_end(berth, bad):
    def fails(says):
        berth.fails("search", f"{bad.domain}/x", says=(bad.domain, says))
        bad.mend()

    fails("can't be searched: it has neither a search nor a catalog")
    bad.catalog = ["a/b"]
    for data in (b"", b"[]", b"<html>", b"{}", b'{"repositories": 1}', b'{"repositories": [1]}', b'{"repositories": ["a"'):
        bad.fault("_catalog", body(data))
        fails("" if data in (b"", b"<html>", b'{"repositories": ["a"') else "its answer is not a catalog's")
    bad.fault("_catalog", body(b'{"repositories": ["' + b"x" * (5 << 20) + b'"]}'))
    fails("the catalog is larger than 4 MiB")
    bad.fault("_catalog", link("/v2/_catalog?n=1"))
    fails("goes on after 1000 pages")
    bad.fault("_catalog", link("/v2/_catalog?n=1", b'{"repositories": null}'))
    fails("an empty page of its catalog is not the last")
    for to in ("http://127.0.0.1:1/v2/_catalog", "//localhost:1/x", "ftp://x/"):
        bad.fault("_catalog", link(to))
        fails("" if to.startswith("ftp") else "continues its list at")
    bad.fault("_catalog", status(403, body=b'{"errors":[{"message":"not for you\\u001b[2J"}]}'))
    fails("not for you?[2J")
    bad.fault("/v1/search", redirect("ftp://x/"))
    bad.fault("_catalog", redirect("ftp://x/"))
    fails("only https and http are spoken")
    bad.index = []
    bad.fault("/v1/search", body(b'{"results": [7]}'))
    assert found(berth, f"{bad.domain}/b") == [f"{bad.domain}/a/b"], "a search that is none is not the end of it"
    bad.mend()
    bad.fault("/v1/search", status(418))
    fails("status 418")


def test_wrong_words_are_named_before_anybody_is_asked(berth, bad):
    for args, says in ((("--limit", "0", "x"), "1 to 100"), (("--limit", "101", "x"), "1 to 100"), (("--filter", "x=1", "x"), "stars, is-official"),
                       (("--filter", "stars=many", "x"), "a number is wanted"), (("--filter", "is-official=x", "x"), "true or false"),
                       (("--list-tags", "--filter", "stars=1", "x"), "--filter"), (("--list-tags", "--limit", "10001", "x"), "1 to 10000"),
                       (("--list-tags", f"{bad.domain}/a/b:c"), "without a tag"), (("--list-tags", "NO"), "lower"), (("",), "TERM"), ((), "TERM")):
        berth.fails("search", *args, says=says, code=125)
    assert bad.requests == []


def test_docker_io_is_its_own_index(berth):
    """Nobody is there to be asked: the name of who would have been is in the error."""
    dead = {"https_proxy": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    assert "docker.io" in berth.fails("search", "x", env=dead)
