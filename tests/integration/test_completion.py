"""Completion as the shells do it: each types a line, presses Tab, and shows what stands there."""

import os
import shutil
import subprocess

import pytest

from harness import Berth, Terminal

TAB_SHOW = "\t\x14"  # Ctrl-T prints the line, see the start-up files
STARTS = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "zsh, installed": ["zsh", "-f", "-i"],
}
SETUPS = {
    "bash": "PS1='ready> '; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'\n"
            "bind -x '\"\\C-t\": printf \"\\nGOT[%s]\\n\" \"$READLINE_LINE\"; READLINE_LINE='\n"
            "source <(berth completion bash)\n",
    "zsh": "unsetopt beep zle_bracketed_paste prompt_sp; PS1='ready> '; autoload -U compinit; compinit -D -u\n"
           "show() { print -r -- ''; print -r -- \"GOT[$BUFFER]\"; BUFFER=; zle reset-prompt }; zle -N show; bindkey '^T' show\n"
           "source <(berth completion zsh)\n",
}
SETUPS["zsh, installed"] = SETUPS["zsh"].replace("source <(berth completion zsh)\n", "").replace("autoload", "fpath=($HOME/fpath $fpath); autoload")


@pytest.fixture(scope="module")
def shelf(berth, image, tmp_path_factory):
    """Things with names, and what a shell needs to find them: its environment, a directory with an archive in it."""
    where = tmp_path_factory.mktemp("shelf")
    (where / "bin").mkdir()
    (where / "bin/berth").symlink_to(berth.program)
    (where / "archive.tar").touch()
    (where / "fpath").mkdir()
    (where / "fpath/_berth").write_text(berth.ok("completion", "zsh"))
    berth.ok("create", "--name", "shelf-web", image, "true")
    berth.ok("volume", "create", "shelf-data")
    berth.ok("pod", "create", "shelf-pod")
    berth.ok("network", "create", "shelf-net")
    berth.ok("secret", "create", "shelf-key", "-", input="x")
    env = {"PATH": f"{where}/bin:{os.environ['PATH']}", "BERTH_ROOT": str(berth.root), "BERTH_RUN": str(berth.run_dir),
           "HOME": str(where), "XDG_CONFIG_HOME": str(where), "XDG_DATA_HOME": str(where), "TERM": "xterm", "LANG": "C.UTF-8",
           **{k: v for k, v in os.environ.items() if k in ("ASAN_OPTIONS", "UBSAN_OPTIONS")}}
    yield where, env
    berth.ok("rm", "shelf-web")
    berth.ok("volume", "rm", "shelf-data")
    berth.ok("secret", "rm", "shelf-key")
    berth.ok("pod", "rm", "shelf-pod")
    berth.ok("network", "rm", "shelf-net")


def rows(berth, where, image):
    """What is typed, and what stands there after Tab."""
    return [
        ("berth pod exi", "berth pod exists "),
        ("berth run --isol", "berth run --isolation "),
        ("berth run --isolation v", "berth run --isolation vm "),
        ("berth run --isolation=v", "berth run --isolation=vm "),
        ("berth start shelf-w", "berth start shelf-web "),
        ("berth container start shelf-w", "berth container start shelf-web "),
        ("berth volume rm shelf-d", "berth volume rm shelf-data "),
        ("berth network rm shelf-n", "berth network rm shelf-net "),
        ("berth network connect shelf-n", "berth network connect shelf-net "),
        ("berth network create --driver br", "berth network create --driver bridge "),
        ("berth run -v shelf-d", "berth run -v shelf-data:"),
        ("berth run --pod shelf-p", "berth run --pod shelf-pod "),
        ("berth pod rm -f shelf-p", "berth pod rm -f shelf-pod "),
        ("berth secret rm shelf-k", "berth secret rm shelf-key "),
        ("berth run --secret shelf-k", "berth run --secret shelf-key "),
        ("berth inspect shelf-d", "berth inspect shelf-data "),
        ("berth cp shelf-w", "berth cp shelf-web:"),
        (f"berth --root {berth.root} start shelf-w", f"berth --root {berth.root} start shelf-web "),
        (f"berth rmi {image[:-3]}", f"berth rmi {image} "),  # from before the last colon on
        (f"berth rmi {image[:-1]}", f"berth rmi {image} "),
        (f"berth load -i {where}/arch", f"berth load -i {where}/archive.tar "),
        (f"berth run --env-file={where}/arch", f"berth run --env-file={where}/archive.tar "),
        ("berth stop shelf-w", "berth stop shelf-w"),  # it does not run
        ("berth run --no-such v", "berth run --no-such v"),
        ("berth nothing shelf-w", "berth nothing shelf-w"),
    ]


@pytest.fixture
def shell(shelf):
    opened = []

    def start(name):
        if not shutil.which(STARTS[name][0]):
            pytest.skip(f"there is no {STARTS[name][0]}")
        _, env = shelf
        t = Terminal(["/usr/bin/env", "-i", *(f"{k}={v}" for k, v in env.items()), *STARTS[name]], cols=300)
        opened.append(t)
        for line in SETUPS[name].splitlines():
            t.send(line + "\n")
        t.send("echo set''up\n")
        t.expect(r"^setup\r?$")
        return t

    yield start
    for t in opened:
        t.close()


@pytest.mark.parametrize("name", STARTS)
def test_tab_completes_in(berth, shelf, image, shell, name):
    t = shell(name)
    for typed, wanted in rows(berth, shelf[0], image):
        t.send(typed + TAB_SHOW)
        assert t.expect(r"GOT\[([^\]]*)\]")[1] == wanted, typed


@pytest.mark.parametrize("name", STARTS)
def test_a_second_tab_lists_in(berth, shelf, shell, name):
    t = shell(name)
    t.send("berth pod \t\t")
    t.expect("create")
    t.expect("unpause" if name == "bash" else "hold all processes of pods")


def fish(shelf, line):
    """What fish offers for the line: words and what is said of them."""
    _, env = shelf
    script = "berth completion fish | source; complete -C $argv[1]"
    r = subprocess.run(["fish", "--no-config", "-c", script, line], env=env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert r.returncode == 0 and r.stderr == "", r
    return dict(row.partition("\t")[::2] for row in r.stdout.splitlines())


@pytest.mark.skipif(not shutil.which("fish"), reason="there is no fish")
def test_tab_completes_in_fish(berth, shelf, image):
    for typed, wanted in rows(berth, shelf[0], image):
        offered = fish(shelf, typed)
        if typed == wanted:
            assert not offered, typed
        else:
            assert list(offered) == [wanted.split()[-1]], typed
    assert fish(shelf, "berth pod ")["exists"].startswith("exit with 0")
    assert fish(shelf, "berth start shelf-")["shelf-web"].endswith(", created")


def words(berth, *typed):
    r = berth("__complete", "--", *typed)
    assert r.code == 0 and r.err == "", r
    lines = r.out.splitlines()
    assert lines[-1].startswith(":")
    return dict(row.split("\t") for row in lines[:-1])


def verbs(berth):
    """All of the table, as lists of words."""
    for first in words(berth, ""):
        if first != "help":
            second = words(berth, first, "") if berth("help", first).out.startswith(f"Usage: berth {first} COMMAND") else [None]
            yield from ([first] if s is None else [first, s] for s in second)


def test_every_verb_offers_its_options_and_what_its_operands_name(berth, shelf, image):
    names = {"CONTAINER": "shelf-web", "IMAGE": image, "POD": "shelf-pod", "VOLUME": "shelf-data", "NAME...": "shelf-data"}
    n = 0
    for verb in verbs(berth):
        text = berth.ok(*verb, "--help")
        n += 1
        offered = set(words(berth, *verb, "--"))
        listed = {w for line in text.splitlines() if line.startswith("  ") for w in line.split()[:2] if w.startswith("--")}
        assert offered == listed | {"--help"}, verb
        usage = text.splitlines()[0].split("[OPTION...]")[-1].removeprefix(f"Usage: berth {' '.join(verb)}").strip()
        for kind, name in names.items():
            if usage.startswith((kind, f"[{kind}...")) and not usage.startswith("CONTAINER:"):
                if kind == "CONTAINER" and name not in words(berth, *verb, ""):  # only of those that run
                    assert verb[-1] in ("stop", "kill", "exec", "attach", "top", "stats", "port", "pause", "unpause", "reload"), verb
                elif kind != "CONTAINER":
                    assert name in words(berth, *verb, name), (verb, usage)
    assert n > 80


def test_what_is_typed_so_far_decides(berth, shelf, image):
    assert "shelf-web" not in words(berth, "run", image, "")  # the container's own words
    assert words(berth, "run", image, "--") == {}
    assert set(words(berth, "save", "--format", "")) == {"oci-archive", "docker-archive", "oci-dir"}
    assert set(words(berth, "images", "--sort", "")) == {"created", "id", "repository", "size", "tag"}
    assert set(words(berth, "ps", "--sort", "s")) == {"size", "status"}
    assert set(words(berth, "run", "--health-on-failure", "")) == {"none", "kill"}
    assert set(words(berth, "ps", "-f", "")) == set()
    assert "--help" in words(berth, "-") and "--root" in words(berth, "--debug", "-")
    assert set(words(berth, "completion", "")) == {"bash", "zsh", "fish"}
    assert "exists" in words(berth, "help", "pod", "") and "pod" in words(berth, "help", "")
    assert "shelf-web" in words(berth, "rm", "-fv", "")
    assert "shelf-web" in words(berth, "rm", "--", "")
    assert set(words(berth, "run", "--init=", )) == {"--init=true", "--init=false"}


def test_running_ones_where_something_is_done_with_them(berth, image):
    name = berth.ok("run", "-d", "--name", "shelf-up", "--network", "none", image, "sleep", "1000")
    try:
        assert "shelf-up" in words(berth, "exec", "") and "shelf-up" not in words(berth, "start", "shelf")
        berth.ok("pause", name)
        assert "shelf-up" in words(berth, "unpause", "") and "shelf-up" not in words(berth, "exec", "")
    finally:
        berth.ok("rm", "-f", name)


def test_what_can_not_be_read_has_no_names_and_nothing_is_made(berth, shelf, tmp_path):
    none = Berth(berth.build, tmp_path / "none", tmp_path / "run")
    for typed in (["start", ""], ["rmi", ""], ["kernel", "use", ""], ["pod", "rm", ""]):
        assert words(none, *typed) == {}
    assert list(tmp_path.iterdir()) == []
    none.root.mkdir()
    (none.root / "berth.db").write_text("this is no database\n" * 400)
    assert words(none, "start", "") == {}
    assert [p.name for p in none.root.iterdir()] == ["berth.db"]
    # Somebody else than root sees none of root's.
    r = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *berth.argv("__complete", "--", "start", "")],
                       capture_output=True, text=True, timeout=60)
    assert (r.returncode, r.stdout, r.stderr) == (0, ":\n", "")


@pytest.mark.parametrize("name,check", [("bash", ["shellcheck", "-s", "bash", "-"]), ("zsh", ["zsh", "-n", "/dev/stdin"]),
                                        ("fish", ["fish", "--no-execute", "/dev/stdin"])])
def test_nothing_is_wrong_with_the_script_for(berth, name, check):
    if not shutil.which(check[0]):
        pytest.skip(f"there is no {check[0]}")
    r = subprocess.run(check, input=berth.ok("completion", name), capture_output=True, text=True, timeout=60)
    assert (r.returncode, r.stdout + r.stderr) == (0, "")


def test_a_shell_without_a_script_is_refused(berth):
    berth.fails("completion", "tcsh", says=['"tcsh"', "bash, zsh and fish"])
