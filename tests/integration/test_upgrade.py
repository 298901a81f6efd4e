"""State of other versions: what is older is read, what is newer is refused with a sentence that says so, and loses nothing. The database's
older versions are in src/records/upgrade_test.c, a saved VM's in src/engine/snapshot_meta_test.c and src/vmm."""

import json
import sqlite3

import pytest


def change(path, **values):
    doc = json.loads(path.read_text())
    doc.update(values)
    path.write_text(json.dumps({k: v for k, v in doc.items() if v is not None}))


def test_F24_a_newer_database_is_refused_by_every_verb_and_left_as_it_is(empty, layout):
    empty.ok("load", "-q", "-i", layout)
    image = empty.ok("images", "-q").split()[0]
    empty.ok("create", "--name", "kept", "--network", "none", image, "true")
    with sqlite3.connect(empty.root / "berth.db") as db:
        was = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute(f"PRAGMA user_version = {was + 1}")
    for verb in (["ps"], ["images"], ["run", "--rm", "--network", "none", image, "true"], ["start", "kept"], ["rm", "kept"], ["pull", "localhost:1/x"],
                 ["system", "prune", "-f"], ["volume", "create"]):
        empty.fails(*verb, says=f"schema version {was + 1}")
    empty.ok("version")
    with sqlite3.connect(empty.root / "berth.db") as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == was + 1
        db.execute(f"PRAGMA user_version = {was}")
    assert empty.ok("ps", "-a", "--format", "{{.Names}}") == "kept"
    empty.ok("start", "-a", "kept")
    empty.ok("rm", "kept")


@pytest.mark.parametrize("file, says", [("launch.json", "launch.json: version 99 is newer"), ("secrets.json", "version 99 is not known"),
                                        ("config.json", "ociVersion")])
def test_F24_a_container_of_a_newer_berth_is_not_started_but_shown_and_removed(cbox, file, says):
    b, name = cbox.berth, cbox.name()
    b.ok("secret", "create", name, "-", input="x")
    b.ok(*cbox.args("true", opts=("--name", name, "--secret", name), verb="create"))
    b.ok("secret", "rm", name)
    where = b.root / "containers" / b.inspect(name)["Id"] / file
    whole = where.read_text()
    change(where, **({"ociVersion": "9.0.0"} if file == "config.json" else {"version": 99}))
    b.fails("start", name, says=says)
    assert b.ok("ps", "-a", "-f", f"name=^{name}$", "--format", "{{.State}}") in ("created", "exited")
    where.write_text(whole)
    b.ok("start", name)  # nothing of it is lost
    assert b.ok("wait", name) == "0"
    change(where, **({"ociVersion": "9.0.0"} if file == "config.json" else {"version": 99}))
    assert name in b.ok("ps", "-a", "--format", "{{.Names}}")
    b.ok("rm", name)


def test_F24_a_plan_of_the_first_version_starts(cbox):
    """What launch.json had to have when it was first written; all that came later may be missing."""
    b, (name, _) = cbox.berth, cbox.keep("true")
    where = b.root / "containers" / b.inspect(name)["Id"] / "launch.json"
    first = ("version", "id", "name", "isolation", "layers", "upper", "work", "logDriver", "logPath", "files")
    change(where, **{k: None for k in json.loads(where.read_text()) if k not in first})
    b.ok("start", name)
    assert b.ok("wait", name) == "0"
