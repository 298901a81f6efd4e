"""--latest, --all and --ignore; whether something exists; and what is answered to verbs that are not here."""

import os

import pytest


@pytest.fixture
def alone(berth, empty, cbox, layout):
    """A store of its own, in which "all" and "the newest" are this test's: make(command...) -> name."""
    empty.ok("load", "-i", layout)
    ref = next(i for i in empty.ok("images", "--format", "{{.Repository}}:{{.Tag}}").split() if "base" in i)
    names = []

    def make(*cmd, verb="run", opts=()):
        names.append(f"n{len(names)}")
        detach = ("-d",) if verb == "run" else ()
        empty.ok(verb, *detach, "--network", "none", "--name", names[-1], *opts, ref, *(cmd or ("sleep", "100000")))
        return names[-1]

    make.berth = empty
    yield make
    if names:
        empty("rm", "-f", *names)


def states(b) -> dict:
    return dict(line.split() for line in b.ok("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines())


def test_the_newest_needs_no_name(alone):
    b = alone.berth
    b.fails("stop", "--latest", says="there is no container")
    alone()
    last = alone("sh", "-c", "trap 'exit 3' TERM; echo said; while :; do sleep 0.1; done")
    ident = b.inspect(last)["Id"]
    assert b.ok("exec", "-l", "hostname") == ident[:12]
    assert b.ok("inspect", "-l", "-f", "{{.Name}}") == f"/{last}" == b.ok("container", "inspect", "-l", "-f", "{{.Name}}")
    assert "sh" in b.ok("top", "-l", "--", "-o", "pid,comm")
    for verb, state in (("pause", "paused"), ("unpause", "running"), ("kill", "exited"), ("start", "running"), ("restart", "running"),
                        ("stop", "exited")):
        assert b.ok(verb, "--latest", *(("-t", "0") if verb in ("restart", "stop") else ())) == ident
        assert states(b) == {"n0": "running", last: state}, verb
    assert "said" in b.ok("logs", "-l").split()
    assert b.ok("wait", "-l") == "137"
    assert b.ok("rm", "-l") == ident
    assert states(b) == {"n0": "running"}
    b.fails("stop", "--latest", "n0", says=("--latest", "leave", "n0"))
    b.fails("stop", says="an operand is missing")
    b.fails("exec", "-l", says="an operand is missing")


def test_all_of_them(alone):
    b = alone.berth
    assert b.ok("stop", "--all") == "" == b.ok("rm", "-a"), "none is no error"
    for _ in range(2):
        alone()
    alone(verb="create")
    assert len(b.ok("pause", "-a").split()) == 2
    assert sorted(states(b).values()) == ["created", "paused", "paused"]
    assert len(b.ok("unpause", "-a").split()) == 2
    assert len(b.ok("stop", "-a", "-t", "0").split()) == 2
    assert len(b.ok("start", "--all").split()) == 3
    assert len(b.ok("restart", "-a", "--timeout", "0").split()) == 3
    assert len(b.ok("kill", "-a").split()) == 3
    assert set(states(b).values()) == {"exited"}
    b.fails("rm", "--all", "n0", says=("--all", "leave", "n0"))
    b.fails("rm", "--all", "--latest", says="exclude each other")
    b.fails("start", "--all-restartable", "--all", says="--all-restartable takes no names")
    assert len(b.ok("rm", "--all").split()) == 3 and states(b) == {}


def test_all_images_go_but_those_in_use(alone):
    b = alone.berth
    name, count = alone(), len(set(b.ok("images", "-q").split()))
    b.ok("commit", name, "spare:v1")
    r = b("rmi", "--all")
    assert r.code == 125 and "spare:v1" in r.out and b.inspect(name)["Id"][:12] in r.err, str(r)
    assert 0 < len(set(b.ok("images", "-q").split())) <= count and b("image", "exists", "spare:v1").code == 1
    b.fails("rmi", "--all", "x", says=("--all", "leave"))
    b.fails("rmi", says="an operand is missing")


def test_what_is_not_there_can_be_ignored(berth):
    assert berth.ok("stop", "--ignore", "nobody-has-it") == berth.ok("rm", "-i", "nobody-has-it") == berth.ok("rmi", "-i", "no/such:1") == ""


def test_exists_answers_by_its_exit_status(cbox, image):
    name = cbox.name()
    cbox.berth.ok(*cbox.args("true", opts=("--name", name), verb="create"))
    for what, there in (("container", name), ("image", image)):
        for asked, code in ((there, 0), ("nobody/has:it", 1)):
            r = cbox.berth(what, "exists", asked)
            assert (r.code, r.out, r.err) == (code, "", ""), (what, asked, str(r))
    assert cbox.berth("container", "exists", image).code == 1, "an image is no container"
    cbox.berth.fails("container", "inspect", image, says="no such container")


def test_a_name_may_have_the_slash_that_inspect_prints(cbox):
    name = cbox.name()
    cbox.berth.ok(*cbox.args("true", opts=("--name", f"/{name}"), verb="create"))
    assert cbox.berth.ok("inspect", "-f", "{{.Name}}", f"/{name}") == f"/{name}"
    assert cbox.berth.ok("rm", f"/{name}") == f"/{name}"


def test_variables_of_a_file_in_exec(box, tmp_path):
    name, file = box.start("sleep", "100000"), tmp_path / "vars"
    file.write_text("# said\nA=from file\nB=too\nPASSED\n")
    os.environ["PASSED"] = "on"
    try:
        out = box.berth.ok("exec", "--env-file", file, "-e", "B=over", name, "sh", "-c", "echo $A $B $PASSED")
    finally:
        del os.environ["PASSED"]
    assert out == "from file over on"
    box.berth.fails("exec", "--env-file", tmp_path / "none", name, "true", says="No such file")


def test_logs_details_are_taken(cbox):
    name, _ = cbox.keep("echo", "said")
    assert cbox.berth.ok("logs", "--details", name) == "said"


@pytest.mark.parametrize("words, says", [
    (("checkpoint", "x"), "berth snapshot create"), (("container", "checkpoint", "x"), "berth snapshot create"),
    (("container", "restore", "x"), "berth restore"), (("container", "clone", "x"), "berth fork"), (("untag", "x"), "berth rmi"),
    (("build", "."), "berth load"), (("image", "build", "."), "berth load"),
])
def test_a_verb_that_is_not_here_is_answered_with_what_is(berth, words, says):
    berth.fails(*words, says=("there is no", says))
