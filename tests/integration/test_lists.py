"""What ps and images list, in which order, and what the prunes take of it."""

import uuid

import pytest


@pytest.fixture
def mark():
    """A label of this test's own: the store is shared."""
    return f"mark.{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize("filters, says", [
    (("status=nonsense",), "is none of created, running"), (("health=ill",), "is none of none, starting"), (("exited=x",), "is a number"),
    (("nosuch=1",), "is not KEY=VALUE with one of"),
])
def test_a_filter_that_nothing_can_pass_is_refused(berth, filters, says):
    berth.fails("ps", "-a", *(w for f in filters for w in ("--filter", f)), says=("--filter", says))


def test_ps_sorts_by_what_is_asked_for(cbox, mark):
    names = [cbox.name() for _ in range(3)]
    for name, word in zip(names, ("b", "c", "a")):
        cbox.berth.ok(*cbox.args("sh", "-c", f"echo {word}", opts=("--name", name, "-l", mark), verb="create"))
    rows = ("ps", "-a", "--filter", f"label={mark}", "--format", "{{.Names}}")
    assert cbox.berth.ok(*rows).split() == names[::-1], "the newest first"
    assert cbox.berth.ok(*rows, "--sort", "command").split() == [names[2], names[0], names[1]]
    assert cbox.berth.ok(*rows, "--sort", "names").split() == sorted(names)
    cbox.berth.fails(*rows, "--sort", "beauty", says=("--sort", "created", "names"))


def test_ps_sorts_by_size(cbox, mark):
    big, small = cbox.name(), cbox.name()
    for name, size in ((big, 200000), (small, 1000)):
        cbox.berth.ok(*cbox.args("sh", "-c", f"head -c {size} /dev/zero >/file", opts=("--name", name, "-l", mark)))
    rows = ("ps", "-a", "--filter", f"label={mark}", "--format", "{{.Names}}", "--sort", "size")
    assert cbox.berth.ok(*rows).split() == [big, small], "the largest first, as numbers"


def test_an_empty_format_is_none(cbox, mark):
    name = cbox.start("sleep", "100000", opts=("-l", mark))
    assert cbox.berth.ok("ps", "--filter", f"label={mark}", "--format", "").split()[-1] == name
    assert cbox.berth.fails("inspect", "nobody-has-this-name", says="no such object")
    assert cbox.berth("inspect", "nobody-has-this-name").out == "[]\n"


@pytest.fixture
def made(berth, cbox, mark):
    """Two images of this test's own, committed: (labelled, other)."""
    name = cbox.start("sleep", "100000")
    both = [f"{mark}-{n}:v1" for n in ("one", "two")]
    berth.ok("commit", "-c", f"LABEL {mark}=yes", name, both[0])
    berth.ok("commit", "-c", "LABEL other=yes", name, both[1])
    yield both
    berth("rmi", "-f", *both)


def test_images_by_wildcard_label_and_age(berth, mark, made):
    one, two = made
    rows = ("--format", "{{.Repository}}:{{.Tag}}")
    assert sorted(berth.ok("images", *rows, f"{mark}-*").split()) == [one, two]
    assert berth.ok("images", *rows, "--filter", f"reference={mark}-o*:v?").split() == [one]
    assert berth.ok("images", *rows, "--filter", f"label={mark}").split() == [one]
    assert berth.ok("images", *rows, "--filter", f"label={mark}=no") == ""
    assert berth.ok("images", *rows, "--filter", f"label!={mark}", f"{mark}-*").split() == [two]
    assert berth.ok("images", *rows, "--filter", f"since={one}", f"{mark}-*").split() == [two]
    assert berth.ok("images", *rows, "--filter", f"before={two}", f"{mark}-*").split() == [one]
    assert berth.ok("images", *rows, "--filter", "until=1h", f"{mark}-*") == ""
    assert berth.ok("images", *rows, "--sort", "repository", f"{mark}-*").split() == [one, two]
    berth.fails("images", "--filter", "since=nobody-has-this-name", says="no such image")
    berth.fails("images", "--filter", "until=soon", says=("--filter until", "soon"))
    berth.fails("images", "--filter", "dangling=maybe", says="true or false")
    berth.fails("images", "--sort", "beauty", says=("--sort", "repository"))


def test_prunes_take_only_what_the_filters_do(berth, cbox, mark, made):
    names = [cbox.name() for _ in range(2)]
    for name, label in zip(names, (f"{mark}=a", f"{mark}=b")):
        cbox.berth.ok(*cbox.args("true", opts=("--name", name, "-l", label), verb="create"))
    ids = [berth.inspect(n)["Id"] for n in names]
    assert berth.ok("container", "prune", "--filter", f"label={mark}", "--filter", "until=1h") == "", "both are younger"
    assert berth.ok("container", "prune", "--filter", f"label={mark}", "--filter", f"label!={mark}=b").split() == [ids[0]]
    assert berth.ok("image", "prune", "-a", "--filter", f"label={mark}", "--filter", "until=1h") == ""
    assert made[0] in berth.ok("image", "prune", "-a", "--filter", f"label={mark}")
    assert berth("image", "inspect", made[0]).code == 125 and berth("image", "inspect", made[1]).code == 0
    berth.ok("system", "prune", "-af", "--filter", f"label={mark}=b")
    assert berth("inspect", names[1]).code == 125 and berth("image", "inspect", made[1]).code == 0
    for verb in ("container", "image", "system"):
        berth.fails(verb, "prune", "--filter", "nosuch=1", says="is not KEY=VALUE with one of label")
        berth.fails(verb, "prune", "--filter", "until=soon", says=("--filter until", "soon"))
    berth.fails("system", "prune", "--volumes", "--filter", "until=1h", says=("until", "--volumes"))


@pytest.mark.parametrize("answer, stays", [("n", True), ("", True), ("y", False)])
def test_on_a_terminal_a_prune_asks(cbox, mark, answer, stays):
    name = cbox.name()
    cbox.berth.ok(*cbox.args("true", opts=("--name", name, "-l", mark), verb="create"))
    t = cbox.terminal("container", "prune", "--filter", f"label={mark}")
    t.expect(r"WARNING! This will remove all containers that do not run.\s+Are you sure .*\[y/N\] ")
    t.send(answer + "\n")
    assert t.wait() == 0
    assert (cbox.berth("inspect", name).code == 0) == stays


def test_forced_it_does_not_ask(cbox, mark):
    name = cbox.name()
    cbox.berth.ok(*cbox.args("true", opts=("--name", name, "-l", mark), verb="create"))
    assert cbox.terminal("container", "prune", "-f", "--filter", f"label={mark}").wait() == 0
    assert cbox.berth("inspect", name).code == 125
