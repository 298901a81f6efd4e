"""What is wrong with a command line is said in one line that names it, with exit status 125."""

import pytest

ROWS = [
    # arguments ({image} is the test image), words that the line must hold
    (["run"], ["IMAGE"]),
    (["run", "--nope", "{image}"], ["--nope"]),
    (["run", "--memry", "1g", "{image}"], ["--memry", "--memory"]),
    (["run", "--mem", "1g", "{image}"], ["--mem"]),
    (["run", "--isolation", "magic", "{image}"], ["magic", "container", "vm"]),
    (["run", "--network", "nosuch", "{image}"], ["nosuch"]),
    (["run", "--name", "../x", "{image}"], ["../x"]),
    (["run", "--name", "", "{image}"], ["name"]),
    (["run", "-e", "=x", "{image}"], ["=x"]),
    (["run", "--env-file", "/no/such/file", "{image}"], ["/no/such/file"]),
    (["run", "-v", "relative/path", "{image}"], ["relative/path"]),
    (["run", "-v", "/tmp:relative", "{image}"], ["relative"]),
    (["run", "-v", "/tmp:/x:sideways", "{image}"], ["sideways"]),
    (["run", "--mount", "type=what,target=/x", "{image}"], ["what"]),
    (["run", "--tmpfs", "relative", "{image}"], ["relative"]),
    (["run", "-w", "relative", "{image}"], ["relative"]),
    (["run", "--cap-add", "CAP_FLY", "{image}"], ["CAP_FLY"]),
    (["run", "--security-opt", "nonsense", "{image}"], ["nonsense"]),
    (["run", "--device", "/dev/no-such", "{image}"], ["/dev/no-such"]),
    (["run", "--stop-signal", "NOPE", "{image}"], ["NOPE"]),
    (["run", "--pull", "sometimes", "{image}"], ["sometimes"]),
    (["run", "--pull", "never", "never-pulled-this", "true"], ["never-pulled-this"]),
    (["run", "upper/CASE", "true"], ["upper/CASE", "lower case"]),
    (["run", "a b", "true"], ["a b"]),
    (["run", "127.0.0.1:1/no/registry:1", "true"], ["127.0.0.1:1"]),
    (["pull"], ["IMAGE"]),
    (["pull", "127.0.0.1:1/no/registry:1"], ["127.0.0.1:1"]),
    (["pull", "x@sha256:123"], ["sha256:123"]),
    (["rmi", "no-such-image"], ["no-such-image"]),
    (["tag", "no-such-image", "x"], ["no-such-image"]),
    (["tag", "{image}", "Bad"], ["Bad"]),
    (["image", "inspect", "no-such-image"], ["no-such-image"]),
    (["save", "no-such-image"], ["no-such-image"]),
    (["load", "-i", "/no/such/archive"], ["/no/such/archive"]),
    (["load", "-i", "/etc/passwd"], ["/etc/passwd"]),
    (["exec", "x"], ["COMMAND"]),
    (["frobnicate"], ["frobnicate"]),
    (["rnu", "{image}"], ["rnu", "run"]),
    (["--nonsense", "ps"], ["--nonsense"]),
    (["ps", "unexpected"], ["unexpected"]),
]


@pytest.mark.parametrize("args, words", ROWS, ids=lambda v: " ".join(v)[:40] if isinstance(v, list) else None)
def test_a_mistake_is_one_line_and_125(berth, image, args, words):
    before = berth.ok("ps", "-aq")
    berth.fails(*[a.replace("{image}", image) for a in args], says=words)
    assert berth.ok("ps", "-aq") == before


def test_R21_control_bytes_of_a_name_do_not_reach_the_terminal(berth):
    err = berth.fails("run", "bad\x1b[31mname")
    assert "\x1b" not in err


def test_help_comes_for_every_verb(berth):
    overall = berth.ok("--help")
    for verb in ("run", "create", "start", "ps", "logs", "exec", "attach", "stop", "kill", "rm", "wait", "inspect", "images", "pull",
                 "rmi", "tag", "load", "save", "info", "version"):
        assert f" {verb} " in overall or f" {verb}\n" in overall, verb
        assert "Usage" in (text := berth.ok(verb, "--help")) or "usage" in text
    assert "--memory" in berth.ok("run", "--help")
