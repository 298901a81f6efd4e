"""login and logout: what a registry takes is kept where pull, push, docker and podman look for it, and what it does not take is not."""

import base64
import json
import os
import pty
import select
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from registry_tools import Image, tar_layer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from bad_registry import BadRegistry  # noqa: E402  pylint: disable=wrong-import-position

FILES = {"docker": ".docker/config.json", "containers": ".config/containers/auth.json"}


@pytest.fixture
def home(tmp_path, berth):
    """A person's own: berth(...) with HOME there, and nothing else that names a place of credentials."""
    def run(*args, **kw):
        env = {"HOME": str(tmp_path), "DOCKER_CONFIG": "", "REGISTRY_AUTH_FILE": "", "XDG_CONFIG_HOME": "", "XDG_RUNTIME_DIR": str(tmp_path / "run"),
               **kw.pop("env", {})}
        return berth(*args, env=env, **kw)
    run.path = tmp_path
    return run


@pytest.fixture(params=["basic", "token"])
def guarded(request):
    i = Image([tar_layer({"etc": None, "etc/secret": b"1\n"})])
    with BadRegistry({"a/b": i}, auth=request.param, password_needed=True) as r:
        yield r


def kept(home, which="docker"):
    return json.loads((home.path / FILES[which]).read_text())


def test_what_a_registry_takes_is_kept_and_used(home, guarded):
    ref = f"{guarded.domain}/a/b"
    assert "berth login" in home("pull", ref).err
    done = home("login", "-u", "me", "--password-stdin", guarded.domain, input="secret\n")
    assert done.code == 0 and done.out == "Login Succeeded\n", done
    path = home.path / FILES["docker"]
    assert str(path) in done.err and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kept(home) == {"auths": {guarded.domain: {"auth": base64.b64encode(b"me:secret").decode()}}}
    assert home("pull", "-q", ref).code == 0
    assert home("rmi", ref).code == 0
    done = home("logout", f"https://{guarded.domain}/v2/")
    assert done.out == f"Removing login credentials for {guarded.domain}\n" and kept(home) == {"auths": {}}
    done = home("logout", guarded.domain)
    assert done.code == 0 and done.out == f"Not logged in to {guarded.domain}\n"
    assert home("pull", ref).code == 125


def test_what_it_does_not_take_is_not_kept(home, guarded):
    done = home("login", "-u", "me", "-p", "wrong", guarded.domain)
    assert done.code == 125 and "refuses the user name and password" in done.err and "WARNING! Using --password via the CLI" in done.err, done
    assert not (home.path / ".docker").exists() and "wrong" not in done.err.replace("wrong user", "")
    done = home("login", "-u", "me", "-p", "x", "127.0.0.1:1")
    assert done.code == 125 and "127.0.0.1:1" in done.err and not (home.path / ".docker").exists()


def test_the_file_that_has_an_entry_gets_the_new_one_and_the_rest_of_it_stays(home, guarded):
    for which, content in (("containers", {"auths": {f"https://{guarded.domain}/v1/": {"auth": "b2xkOm9sZA=="}, "other.example": {"auth": "eDp5"}}}),
                           ("docker", {"psFormat": "table {{.ID}}", "auths": {}})):
        (home.path / FILES[which]).parent.mkdir(parents=True)
        (home.path / FILES[which]).write_text(json.dumps(content))
    (home.path / "elsewhere.json").write_text((home.path / FILES["containers"]).read_text())
    (home.path / FILES["containers"]).unlink()
    (home.path / FILES["containers"]).symlink_to("../../elsewhere.json")
    assert home("login", "-u", "me", "-p", "secret", guarded.domain).code == 0
    auths = kept(home, "containers")["auths"]
    assert auths[f"https://{guarded.domain}/v1/"]["auth"] == base64.b64encode(b"me:secret").decode() and auths["other.example"] == {"auth": "eDp5"}
    assert (home.path / FILES["containers"]).is_symlink() and kept(home) == {"psFormat": "table {{.ID}}", "auths": {}}
    assert home("logout", guarded.domain).code == 0
    assert kept(home, "containers") == {"auths": {"other.example": {"auth": "eDp5"}}}


def test_one_file_alone_where_that_is_asked_for_and_a_broken_one_is_left_as_it_is(home, guarded):
    only = home.path / "only.json"
    assert home("login", "-u", "me", "-p", "secret", guarded.domain, env={"REGISTRY_AUTH_FILE": str(only)}).code == 0
    assert guarded.domain in json.loads(only.read_text())["auths"] and not (home.path / ".docker").exists()
    only.write_text("{ no JSON")
    done = home("login", "-u", "me", "-p", "secret", guarded.domain, env={"REGISTRY_AUTH_FILE": str(only)})
    assert done.code == 125 and str(only) in done.err and only.read_text() == "{ no JSON"


def test_a_helper_keeps_the_password_where_one_is_named(home, guarded):
    helper, store = Path("/usr/local/bin/docker-credential-berth-login-test"), home.path / "kept"
    (home.path / ".docker").mkdir()
    (home.path / FILES["docker"]).write_text(json.dumps({"credsStore": "berth-login-test"}))
    try:
        helper.write_text(f"""#!/bin/sh
case $1 in
store) cat >{store};;
get) grep -q . {store} 2>/dev/null || {{ echo credentials not found in native keychain; exit 1; }}; cat {store};;
erase) cat >/dev/null; : >{store};;
esac
""")
        helper.chmod(0o755)
        done = home("login", "-u", "me", "-p", "secret", guarded.domain)
        assert done.code == 0 and "stored unencrypted" not in done.err, done
        assert json.loads(store.read_text()) == {"ServerURL": guarded.domain, "Username": "me", "Secret": "secret"}
        assert kept(home) == {"credsStore": "berth-login-test", "auths": {guarded.domain: {}}}
        assert home("pull", "-q", f"{guarded.domain}/a/b").code == 0
        assert home("rmi", f"{guarded.domain}/a/b").code == 0
        assert home("logout", guarded.domain).code == 0
        assert store.read_text() == "" and kept(home)["auths"] == {}
    finally:
        helper.unlink(missing_ok=True)


def test_on_a_terminal_it_asks_and_the_password_is_not_shown(home, berth, guarded):
    leader, follower = pty.openpty()
    env = {**os.environ, "HOME": str(home.path), "XDG_RUNTIME_DIR": str(home.path / "run"), "DOCKER_CONFIG": "", "REGISTRY_AUTH_FILE": ""}
    process = subprocess.Popen(berth.argv("login", guarded.domain), stdin=follower, stdout=follower, stderr=follower, env=env)
    os.close(follower)
    seen = b""

    def until(text):
        nonlocal seen
        while text not in seen:
            assert select.select([leader], [], [], 60)[0], seen
            seen += os.read(leader, 4096)

    until(b"Username: ")
    os.write(leader, b"me\n")
    until(b"Password: ")
    os.write(leader, b"secret\n")
    until(b"Login Succeeded")
    assert process.wait(120) == 0 and b"secret" not in seen
    os.close(leader)


def test_what_is_missing_is_told(home):
    for args, says in ((("login",), "non TTY"), (("login", "-u", "me"), "non TTY"), (("login", "--password-stdin"), "Must provide --username"),
                       (("login", "-u", "me", "-p", "x", "--password-stdin"), "mutually exclusive"), (("login", "-u", "", "-p", "x"), "user name"),
                       (("login", "-u", "me", "-p", "x", "not a name"), "no registry's name")):
        done = home(*args, input="")
        assert done.code == 125 and says in done.err, done
