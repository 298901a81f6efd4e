"""`secret` and `run --secret`: what a container is given and nobody can look at."""

import json
import os
import stat

import pytest

WORD = "hunter2-\u00e9"


@pytest.fixture
def secret(berth):
    """secret(name, data, *opts): kept until the end of the test."""
    made = []

    def make(name, data=WORD, *opts):
        made.append(name)
        return berth.ok("secret", "create", *opts, name, "-", input=data)

    yield make
    if made:
        berth("secret", "rm", "--ignore", *made)


def seen_on_disk(berth, word: str) -> list:
    """Files of the store that hold the word, as it is or in base64."""
    found = []
    for where in (berth.root, berth.run_dir):
        for top, _, files in os.walk(where):
            for f in files:
                path = os.path.join(top, f)
                if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > 1 << 22:
                    continue
                with open(path, "rb") as data:
                    if word.encode() in data.read():
                        found.append(path)
    return found


def test_a_secret_is_a_file_in_memory_and_nowhere_else(box, secret):
    word = f"word-{os.urandom(8).hex()}"
    secret("plain", word)
    secret("bytes", b"\0\1\xff" * 1000)
    name = box.start("sleep", "100000", opts=(
        "--secret", "plain", "--secret", "bytes,target=/etc/key,mode=0400,uid=1000,gid=1001", "--secret", "source=plain,type=env,target=PASS",
        "--secret", "plain,target=other/name"))
    out = box.berth.ok("exec", name, "sh", "-c", "cat /run/secrets/plain; echo; stat -c '%a %u %g %s' /run/secrets/plain /etc/key; "
                       "grep -c 'tmpfs' /proc/self/mounts >/dev/null && grep ' /run/secrets/plain ' /proc/mounts | cut -d' ' -f3; "
                       "cat /run/secrets/other/name; echo; echo $PASS; tr '\\0' '\\n' </proc/1/environ | grep PASS").splitlines()
    assert out == [word, f"444 0 0 {len(word)}", "400 1000 1001 3000", "tmpfs", word, word, f"PASS={word}"], out
    for text in (box.berth.ok("inspect", name), box.berth("logs", name).out, box.berth.ok("ps", "-a", "--format", "json"),
                 box.berth.ok("secret", "inspect", "plain")):
        assert word not in text
    assert seen_on_disk(box.berth, word) == [], "in a file, as it is"
    # What it was when the container was made, whatever has become of it.
    box.berth.ok("secret", "rm", "plain")
    box.berth.ok("restart", "-t", "0", name)
    assert box.berth.ok("exec", name, "cat", "/run/secrets/plain") == word


def test_files_are_roots_alone(cbox, secret):
    secret("plain")
    name = cbox.name()
    cbox.berth.ok(*cbox.args("true", verb="create", opts=("--name", name, "--secret", "plain")))
    root = cbox.berth.root
    copy = root / "containers" / cbox.berth.inspect(name)["Id"] / "secrets.json"
    for path, mode in ((root / "secrets", 0o700), (root / "secrets/plain", 0o600), (copy, 0o600)):
        st = path.stat()
        assert (stat.S_IMODE(st.st_mode), st.st_uid) == (mode, 0), path
    cbox.berth.ok("rm", name)
    assert not copy.exists()


def test_no_image_has_them(cbox, secret):
    secret("plain")
    name, r = cbox.keep("cat", "/run/secrets/plain", opts=("--secret", "plain"))
    assert r.out == WORD, r
    cbox.berth.ok("commit", name, f"{name}:1")
    assert cbox("ls", "/run/secrets/plain", image=f"{name}:1").code != 0
    cbox.berth.ok("rmi", f"{name}:1")


def test_podmans_words(berth, secret):
    ident = secret("one", WORD, "--label", "a=b")
    assert len(ident) == 25 and int(ident, 16) >= 0
    berth.fails("secret", "create", "one", "-", input="x", says="one: secret name in use")
    for data in ("", "x" * 512000):
        berth.fails("secret", "create", "two", "-", input=data, says="secret data must be larger than 0 and less than 512000 bytes")
    berth.fails("secret", "create", "no/slash", "-", input="x", says="can not include")
    berth.fails("secret", "create", "--driver", "pass", "two", "-", input="x", says="--driver")
    berth.fails("secret", "create", "--env", "two", "NOT_SET_AT_ALL", says="NOT_SET_AT_ALL is not set")
    berth.fails("secret", "create", "two", "/no/such/file", says="/no/such/file")
    got = json.loads(berth.ok("secret", "inspect", "one"))[0]
    assert got["ID"] == ident and got["Spec"]["Name"] == "one" and got["Spec"]["Driver"]["Name"] == "file"
    assert got["Spec"]["Labels"] == {"a": "b"} and "SecretData" not in got
    assert berth.ok("secret", "inspect", "--showsecret", "--format", "{{.SecretData}}", ident[:8]) == WORD
    header, row = berth.ok("secret", "ls", "--filter", "label=a=b").splitlines()
    assert header.split() == ["ID", "NAME", "DRIVER", "CREATED", "UPDATED"] and row.split()[:3] == [ident, "one", "file"]
    again = secret("one", "other", "--replace")
    assert again != ident and berth("secret", "exists", "one").code == 0 and berth("secret", "exists", "two").code == 1
    assert berth.ok("secret", "ls", "-q", "--filter", "name=one") == again
    assert berth.ok("secret", "rm", "one") == again
    berth.fails("secret", "rm", "one", says='no secret with name or id "one": no such secret')
    assert berth.ok("secret", "create", "--env", "one", "FROM_HERE", env={"FROM_HERE": "x"}) and berth.ok("secret", "rm", "--all")
    assert berth.ok("secret", "ls", "-q") == ""


@pytest.mark.parametrize("option, says", [
    ("none-such", 'no secret with name or id "none-such"'), ("id=one,src=/x", "a build"), ("given,type=volume", "type volume is invalid"),
    ("given,mode=9", "mode 9 invalid"), ("given,uid=x", "uid x invalid"), ("given,type=env,uid=1", "cannot be set with secret type env"),
    ("type=env", "no source found"), ("given,what=1", "option what=1 invalid"), ("given,target=/a/../b", "no place for a file"),
    ("given,type=env,target=A=B", "no name of a variable"),
])
def test_wrong_wishes_are_named(cbox, secret, option, says):
    secret("given")
    cbox.berth.fails(*cbox.args("true", verb="create", opts=("--secret", option)), says=says)


def test_inspect_names_the_secrets_and_not_what_they_are(box, secret):
    for n in ("one", "two"):
        secret(n, WORD)
    name = box.name()
    box.berth.ok(*box.args("true", verb="create", opts=(
        "--name", name, "--secret", "one", "--secret", "two,target=/etc/key,mode=0400,uid=7,gid=8", "--secret", "one,type=env,target=PASS")))
    box.berth.ok("secret", "rm", "one", "two")
    assert json.loads(box.berth.ok("inspect", "-f", "{{json .Config.Secrets}}", name)) == [
        {"Name": "one", "Type": "mount", "Target": "one", "UID": 0, "GID": 0, "Mode": 0o444},
        {"Name": "two", "Type": "mount", "Target": "/etc/key", "UID": 7, "GID": 8, "Mode": 0o400},
        {"Name": "one", "Type": "env", "Target": "PASS"}]
    assert WORD not in box.berth.ok("inspect", name)
    plain = box.name()
    box.berth.ok(*box.args("true", verb="create", opts=("--name", plain)))
    assert "Secrets" not in box.berth.inspect(plain)["Config"]
