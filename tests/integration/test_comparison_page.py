"""The page of a comparison in a real browser: on a phone, on a desk, by night, on paper; and with texts that mean ill."""

import json
import os
import random
import re
import struct
import subprocess
from pathlib import Path

import pytest

from browser import Browser

BUILD = Path(os.environ.get("BERTH_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
TOOL = BUILD / "tests/tools/comparison_page"
SIZES = {"phone": (390, 844), "desk": (1280, 900)}
A4_WIDTH = 680  # of the paper, between the margins of the page's own style, in CSS pixels
WAYS = {"container": None, "vm": "KVM paravirtual", "vm-tcg": "TCG"}
# group, id, title, unit, medians in the ways (None: not measured), runs
FIGURES = [
    ("Start-up", "start.first_instruction", "To the first instruction", "ms", (5.2, 118, 1630), 20),
    ("Start-up", "start.first_byte", "To the first byte of output", "ms", (5.9, 121, 1650), 20),
    ("Start-up", "start.ready", "Until it is ready", "ms", (41.3, 190, 2900), 120),
    ("Memory", "memory.outside", "Memory outside the workload", "KiB", (193, 21400, 96400), 8),
    ("Memory", "memory.guest_kernel", "Memory of the guest's kernel", "KiB", (None, 38000, 41000), 8),
    ("Disk", "disk.own", "Disk of its own", "KiB", (52, 4120, 4120), 1),
    ("Speed", "syscall", "A system call", "ns", (93, 71, 2900), 3),
    ("Speed", "file.write", "Writing a file", "MB/s", (880, 610, 120), 5),
]


def comparison(ways=3, scale=1.0, **more) -> dict:
    """Samples that are the same in each run of the tests."""
    chance = random.Random(7)
    figures = []
    for group, ident, title, unit, medians, n in FIGURES:
        cells = [{"samples": [round(m * scale * chance.lognormvariate(0, 0.06), 4) for _ in range(n)]} if m else
                 {"whyNot": "a container has no kernel of its own"} for m in medians[:ways]]
        figures.append({"group": group, "id": ident, "title": title, "unit": unit, "cells": cells, "how": "By `berth run`.",
                        "better": "more" if unit == "MB/s" else "less"})
    return {"schema": "berth.comparison/1", "title": "docker.io/library/nginx:1.27: nginx -g 'daemon off;'", "image": "sha256:" + "ab" * 32,
            "began": "2026-01-02T03:04:05Z", "berth": "0.1.0", "machine": {"Processors": "2 x a processor", "Memory": "24.0 GiB"},
            "ways": [{"name": w, **({"accelerator": a} if a else {})} for w, a in list(WAYS.items())[:ways]], "figures": figures,
            "walls": [{"id": "kernel", "title": "Kernel", "better": "less", "values": ["the host's", "its own", None][:ways]},
                      {"id": "capabilities", "title": "Capabilities", "better": "less",
                       "values": ["14: " + ", ".join(f"capability_{i}" for i in range(14)), "0", "0"][:ways]}], **more}


def run(*args, code=0) -> str:
    r = subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True)
    assert r.returncode == code, r
    return r.stdout if code == 0 else r.stderr


def save(path: Path, document: dict) -> Path:
    path.write_text(json.dumps(document))
    return path


def page(path: Path, document: dict, *more) -> Path:
    """The document's page, beside it."""
    made = path.with_suffix(".html")
    made.write_text(run("page", save(path, document), *more))
    return made


@pytest.fixture(scope="module")
def browser():
    b = Browser()
    yield b
    b.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    where = tmp_path_factory.mktemp("pages")
    earlier = save(where / "earlier.json", comparison(ways=2, scale=1.5, machine={"Processors": "4 x another", "Memory": "24.0 GiB"}))
    return {"three": page(where / "three.json", comparison()),
            "two": page(where / "two.json", comparison(ways=2, interrupted=True), earlier, "start-up,untrusted")}


looks = pytest.mark.parametrize("size", SIZES)
themes = pytest.mark.parametrize("dark", [False, True], ids=["day", "night"])
both = pytest.mark.parametrize("which", ["three", "two"])

# Elements that stick out of the page at its right or left, but for what is hidden on purpose.
STICKING_OUT = """[...document.querySelectorAll('body *')].filter(e => {
    const r = e.getBoundingClientRect();
    return r.width > 1 && (r.right > document.documentElement.clientWidth + 0.5 || r.left < -0.5) && !e.closest('thead, .unseen, title, desc');
}).map(e => e.outerHTML.slice(0, 120))"""


@both
@looks
@themes
def test_the_page_fits_and_complains_of_nothing(browser, pages, which, size, dark, tmp_path):
    width, height = SIZES[size]
    browser.open(pages[which], width, height, dark, mobile=size == "phone")
    assert browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert browser.evaluate(STICKING_OUT) == []
    assert browser.complaints() == []
    assert browser.requests() == [f"file://{pages[which]}"]
    shot = tmp_path / "page.png"
    browser.screenshot(shot)
    seen = struct.unpack(">II", shot.read_bytes()[16:24])
    assert width - 20 <= seen[0] <= width and seen[1] > 2000  # less a scroll bar
    assert shot.stat().st_size > 50000  # a blank page of that size is smaller


PLOTS = """[...document.querySelectorAll('svg.plot')].map(s => {
    const b = s.getBoundingClientRect(), inside = e => { const r = e.getBoundingClientRect();
        return r.left >= b.left - 1 && r.right <= b.right + 1 && r.top >= b.top - 1 && r.bottom <= b.bottom + 1 };
    return {title: s.querySelector('title').textContent, about: s.querySelector('desc').textContent, width: b.width, height: b.height,
            dots: s.querySelectorAll('.dots circle').length, bars: s.querySelectorAll('.bar').length,
            outside: [...s.querySelectorAll('circle, rect, line, text, path')].filter(e => e.getClientRects().length && !inside(e)).map(e => e.outerHTML)}; })"""


@looks
def test_every_figure_is_drawn_where_it_can_be_seen(browser, pages, size):
    browser.open(pages["three"], *SIZES[size])
    plots = browser.evaluate(PLOTS)
    by_title = {p["title"]: p for p in plots}
    assert len(plots) == len(FIGURES) + 2  # the stages of the start, and all at a glance
    for _, _, title, _, medians, n in FIGURES:
        p, ways = by_title[title], sum(m is not None for m in medians)
        assert (p["dots"], p["bars"]) == ((0, ways) if n == 1 else (n * ways, 0)), title
        assert p["about"].count("median") == ways
    for p in plots:
        assert p["width"] > 300 and p["height"] > 60 and p["outside"] == [], p["title"]


MEDIANS = """[...document.querySelectorAll('figure')].filter(f => f.querySelector('.median')).map(f => {
    const number = e => +e.textContent.replace(/[^0-9.e-]/g, ''), middle = e => { const r = e.getBoundingClientRect(); return (r.left + r.right) / 2 };
    return {title: f.querySelector('h3').textContent, log: f.querySelector('.caption').textContent.includes('logarithmic'),
            numbers: [...f.querySelectorAll('.tick')].map(number), grid: [...f.querySelectorAll('.grid')].map(middle),
            shown: [...f.querySelectorAll('.value')].map(number).filter(v => v), drawn: [...f.querySelectorAll('.median')].map(middle)}; })"""


def test_medians_are_drawn_where_the_axis_says(browser, pages):
    from math import log
    browser.open(pages["three"], *SIZES["desk"])
    figures = browser.evaluate(MEDIANS)
    assert len(figures) == len(FIGURES) and {f["log"] for f in figures} == {True, False}
    for f in figures:
        place = log if f["log"] else float
        first, last = place(f["numbers"][0]), place(f["numbers"][-1])
        for shown, drawn in zip(f["shown"], f["drawn"], strict=True):
            wanted = f["grid"][0] + (place(shown) - first) / (last - first) * (f["grid"][-1] - f["grid"][0])
            assert abs(wanted - drawn) < 3, f"{f['title']}: {shown}"


# Pairs of texts in one drawing that lie over each other, and texts too small to read.
OVERLAPPING = """[...document.querySelectorAll('svg.plot')].flatMap(s => {
    const t = [...s.querySelectorAll('text')].filter(e => getComputedStyle(e).display != 'none' && e.textContent)
        .map(e => [e.textContent, e.getBoundingClientRect(), parseFloat(getComputedStyle(e).fontSize)]);
    return t.flatMap(([a, r, size], i) => t.slice(i + 1).filter(([, q]) =>
        r.left < q.right - 1 && q.left < r.right - 1 && r.top < q.bottom - 2 && q.top < r.bottom - 2).map(([b]) => a + ' / ' + b)
        .concat(size < 11 ? [a + ' is small'] : [])); })"""


@both
@looks
def test_labels_can_be_read(browser, pages, which, size):
    browser.open(pages[which], *SIZES[size], mobile=size == "phone")
    assert browser.evaluate(OVERLAPPING) == []


CONTRAST = """(() => {
    const linear = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = c => { const [r, g, b] = c.match(/[0-9.]+/g).map(Number); return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) };
    const paper = light(getComputedStyle(document.body).backgroundColor);
    const of = c => { const l = light(c); return (Math.max(l, paper) + 0.05) / (Math.min(l, paper) + 0.05) };
    return Object.fromEntries(['h1', '.what', 'nav a', '.note', '.unit', 'thead th', 'figcaption p', '.better', 'svg .tick', 'svg .name', 'svg .median.w0',
        'svg .median.w1'].map(s => { const e = document.querySelector(s), c = getComputedStyle(e);
            return [s, of(s.includes('median') ? c.stroke : s.startsWith('svg') ? c.fill : c.color)]; })); })()"""


@themes
def test_letters_stand_out_from_the_paper(browser, pages, dark):
    browser.open(pages["two"], *SIZES["desk"], dark)
    for what, ratio in browser.evaluate(CONTRAST).items():
        assert ratio >= (3 if "median" in what else 4.5), f"{what}: {ratio:.2f}"  # WCAG 2.1, 1.4.3 and 1.4.11


@looks
def test_who_does_not_see_it_is_told(browser, pages, size):
    """What a screen reader gets, also where a narrow page shows tables as lists."""
    browser.open(pages["three"], *SIZES[size], mobile=size == "phone")
    nodes = [n for n in browser("Accessibility.getFullAXTree")["nodes"] if not n["ignored"]]

    def of(role):
        return [n.get("name", {}).get("value", "") for n in nodes if n["role"]["value"] == role]

    drawings = of("image") + of("img")
    assert len(drawings) == len(FIGURES) + 2 and len([d for d in drawings if "container: median" in d or "vm (KVM paravirtual): median" in d]) == len(FIGURES)
    assert len(of("table")) == len(FIGURES) + 2
    assert of("rowheader").count("vm (KVM paravirtual)") == len(FIGURES)
    assert {"median", "spread", "runs"} <= set(of("columnheader"))
    levels = [n["properties"][0]["value"]["value"] for n in nodes if n["role"]["value"] == "heading"]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:]))
    for wrong in ("table:not(:has(th[scope]))", "[id]:is(svg *):not(title, desc)", "svg[role=img]:not([aria-labelledby])"):
        assert browser.evaluate(f"document.querySelectorAll({wrong!r}).length") == 0
    assert browser.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id).filter((v, i, all) => all.indexOf(v) != i)") == []
    assert browser.evaluate("[...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.hash)).map(a => a.href)") == []


BAD = "\"'></title></style></svg><script>window.hostile=1</script><img src=x onerror='window.hostile=2'><style>*{display:none}</style>\u202e&lt;"


def test_hostile_texts_are_shown_as_they_are(browser, tmp_path):
    def poison(v, key=""):
        if isinstance(v, dict):
            return {(BAD if key == "machine" else k): poison(w, k) for k, w in v.items()}
        if isinstance(v, list):
            return [poison(w, key) for w in v]
        keep = ("schema", "id", "began", "better", "unit")
        if key in ("name", "accelerator"):
            return "<script>window.hostile=3</script>" + v
        return BAD + v if isinstance(v, str) and key not in keep else v

    document = poison(comparison(ways=2))
    document["figures"][0]["unit"] = "<b>'\"&"
    save(tmp_path / "earlier.json", {**document, "machine": {BAD: "another"}})
    made = page(tmp_path / "bad.json", document, tmp_path / "earlier.json")
    browser.open(made, *SIZES["phone"])
    assert browser.evaluate("window.hostile") is None
    assert browser.evaluate("document.querySelectorAll('script, img, iframe, object, link, body style').length") == 0
    assert "<script>window.hostile=1</script>" in browser.evaluate("document.querySelector('h1').textContent")
    assert "\u202e" not in browser.evaluate("document.documentElement.textContent")
    assert browser.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert browser.evaluate("document.querySelectorAll('svg.plot').length") > len(FIGURES)
    assert browser.complaints() == []


def test_the_pages_own_policy_lets_nothing_in(browser, pages):
    browser.open(pages["three"], *SIZES["desk"])
    browser.evaluate("""for (const [kind, text] of [['script', 'window.ran = 1'], ['style', 'h1 {display: none}']]) {
        const e = document.createElement(kind); e.textContent = text; document.body.append(e); }
        document.body.insertAdjacentHTML('beforeend', '<img src="http://127.0.0.1:9/x">')""")
    assert browser.evaluate("window.ran") is None
    assert browser.evaluate("getComputedStyle(document.querySelector('h1')).display") == "block"
    refused = [c["entry"]["text"] for c in browser.complaints() if "entry" in c]
    for directive in ("script-src", "style-src", "img-src"):
        assert any(directive in text or "default-src" in text for text in refused), refused


@both
def test_on_paper_it_is_dark_on_white_and_fits(browser, pages, which, tmp_path):
    browser.open(pages[which], A4_WIDTH, 900, dark=True)
    browser("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("document.documentElement.scrollWidth") <= A4_WIDTH
    assert browser.evaluate(STICKING_OUT) == []
    assert all(p["width"] > 200 and p["outside"] == [] for p in browser.evaluate(PLOTS))
    browser.pdf(tmp_path / "page.pdf")
    pdf = (tmp_path / "page.pdf").read_bytes()
    sheets = [tuple(map(float, m)) for m in re.findall(rb"/MediaBox\s*\[0 0 ([0-9.]+) ([0-9.]+)\]", pdf)]
    assert 2 <= len(sheets) <= 8
    assert all(abs(w - 595) < 1.5 and abs(h - 842) < 1.5 for w, h in sheets)


def test_what_was_concluded_stands_on_the_page(browser, pages):
    browser.open(pages["two"], *SIZES["desk"])
    text = browser.evaluate("document.body.innerText")
    assert "Stopped before its end." in text
    assert "Recommendation: a virtual machine" in text
    assert "These were not the same conditions." in text and "Processors: 2 x a processor now, 4 x another then" in text
    assert "faster, beyond the spread" in text


def test_a_file_that_is_no_comparison_is_named(tmp_path):
    (tmp_path / "half.json").write_text(json.dumps(comparison())[:500])
    assert "half.json: not JSON: it ends in the middle" in run("page", tmp_path / "half.json", code=1)
    wrong = comparison()
    wrong["figures"][2]["cells"][1]["samples"][3] = "fast"
    said = run("page", save(tmp_path / "wrong.json", wrong), code=1)
    assert "wrong.json: .figures[2].cells[1].samples[3]: expected a finite number, found \"fast\"" in said and "berth compare --save" in said


def test_json_comes_back_as_it_was(tmp_path):
    once = run("json", save(tmp_path / "a.json", comparison()))
    (tmp_path / "b.json").write_text(once)
    assert run("json", tmp_path / "b.json") == once
    for was, now in zip(comparison()["figures"], json.loads(once)["figures"], strict=True):
        assert [c.get("samples") for c in was["cells"]] == [c.get("samples") for c in now["cells"]]
