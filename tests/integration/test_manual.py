"""What the table of commands says is in the manual and in the help: no verb and no option without."""

import re
import shutil
import subprocess

import pytest

from test_completion import verbs


@pytest.fixture(scope="module")
def pages(berth):
    """Every page that the build has made, as text."""
    made = sorted((berth.build / "docs/man").glob("*.1"))
    if not made:
        pytest.skip("the build has made no pages: scdoc was not there")
    if not shutil.which("mandoc"):
        pytest.skip("there is no mandoc")
    texts = {}
    for page in made:
        text = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=1000", page], capture_output=True, text=True, check=True, timeout=60).stdout
        texts[page.stem] = re.sub(".\b", "", text)  # bold and underlined
    return made, texts


def options(text):
    """The options that a help text lists, with their letters and values: "-e, --env NAME=VALUE"."""
    rows = [line for line in text.splitlines() if re.match(r"  (-\w, |    )--", line)]
    return [re.split(r"  +", row.strip(), maxsplit=1)[0] for row in rows]


def test_every_verb_has_its_page_with_all_of_its_options_and_its_line_in_the_help(berth, pages):
    _, texts = pages
    overall, n = berth.ok("--help"), 0
    for verb in verbs(berth):
        text = berth.ok(*verb, "--help")
        own = re.match(r"Usage: berth ([a-z ]*[a-z])", text)[1]  # of "container ls": ps
        page = texts.get("berth-" + own.replace(" ", "-"))
        assert page, f"berth {own} has no page"
        n += len(options(text))
        for option in options(text):
            assert re.search(r"^ +" + re.escape(option) + "$", page, re.M), f"berth {own}: {option} is not in its page"
        summary = text.splitlines()[2]
        line = summary[0].lower() + summary[1:]
        assert re.search(rf"^  {own} +{re.escape(line)}$", overall, re.M), f"berth {own} is not in berth --help"
        if len(verb) == 2:
            group = berth.ok(verb[0], "--help")
            assert group == berth.ok("help", verb[0])
            assert re.search(rf"^  {verb[1]} +{re.escape(line)}", group, re.M), f"berth {' '.join(verb)} is not in berth {verb[0]} --help"
        assert f"berth-{own.replace(' ', '-')}(1)" in texts["berth"], f"berth {own} is not in berth(1)"
    assert n > 300


def test_every_page_is_of_something_and_free_of_warnings(berth, pages):
    made, texts = pages
    known = {re.match(r"Usage: berth ([a-z ]*[a-z])", berth.ok(*verb, "--help"))[1].replace(" ", "-") for verb in verbs(berth)}
    assert {name for name in texts} == {"berth", "berth-runtime"} | {f"berth-{name}" for name in known}
    for name, text in texts.items():
        assert not re.search(r"@[A-Z]+@", text), name
    r = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *made], capture_output=True, text=True, timeout=120)
    # scdoc itself puts a paragraph's macro more than is needed.
    wrong = [line for line in r.stdout.splitlines() if "WARNING: skipping paragraph macro: PP" not in line]
    assert not wrong, "\n".join(wrong[:20])
