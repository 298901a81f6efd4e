"""Memory that a Linux guest gets while it runs, and gives back: the room that a plan's "mem" device is."""

from guest import MIB
from test_balloon import MODULES, rss, until
from test_snapshot import Machine, machines  # noqa: F401

GROWS = {"modules": (*MODULES, "virtio_mem"), "mem_mib": 256, "devices": [{"balloon": {}}, {"mem": {"bytes": 512 * MIB}}],
         "cmdline": "reboot=a memhp_default_state=online_movable"}
RESTORED = {k: GROWS[k] for k in ("mem_mib", "devices")}


def room(machine):
    return machine.do("metrics")["memory"]


def total(machine):
    return int(machine.ask("total")) >> 10  # MiB


def grown(machine, mib, then):
    """Until the device has plugged it, and the guest's kernel uses it, which is a moment later."""
    assert machine.do("resize", mem_bytes=mib * MIB)["ok"]
    want = max(0, mib - 256) * MIB
    assert until(lambda: room(machine)["plugged_bytes"] == want), room(machine)
    assert until(lambda: total(machine) == then), f"{total(machine)} MiB, not {then}"


def test_memory_grows_and_shrinks_while_the_guest_runs_also_in_a_clone(machines, tmp_path):
    boot, restore = machines
    m = boot(**GROWS)
    small = total(m)
    assert room(m) == {"room_bytes": 512 * MIB, "requested_bytes": 0, "plugged_bytes": 0}
    refused = m.do("resize", mem_bytes=1024 * MIB)
    assert not refused["ok"] and "768" not in refused["error"] and str(768 * MIB) in refused["error"], refused
    before = rss(m)

    grown(m, 512, small + 256)
    assert m.ask("room 400") == "made"
    assert m.ask("fill 300") == "full", "more than it booted with"
    full = rss(m)
    assert full > 300
    paths, _ = m.snapshot(tmp_path, "grown", track=True)
    assert m.ask("drop") == "dropped"
    grown(m, 256, small)
    print(f"RSS: {before} MiB at first, {full} MiB when full, {rss(m)} MiB shrunk")
    assert until(lambda: rss(m) < full - 250), rss(m)
    grown(m, 768, small + 512)
    _, diff = m.snapshot(tmp_path, "diff", kind="diff")
    assert 0 < diff["written_bytes"] < 200 * MIB, "what was given away is not in it, and what came is"
    assert m.ask("check") == "same"
    m.off()

    clone = restore(paths, **RESTORED)
    assert total(clone) == small + 256
    assert room(clone)["plugged_bytes"] == 256 * MIB
    grown(clone, 640, small + 384)
    assert clone.ask("check") == "same"
    assert clone.ask("drop") == "dropped"
    grown(clone, 256, small)
    assert clone.ask("check") == "same"
    clone.off()


def test_a_guest_without_the_driver_is_told_of(machines):
    boot, _ = machines
    m = boot(**{**GROWS, "modules": MODULES})
    refused = m.do("resize", mem_bytes=512 * MIB)
    assert not refused["ok"] and "virtio_mem" in refused["error"], refused
    assert m.do("resize", mem_bytes=200 * MIB)["balloon_bytes"] == 56 * MIB, "the balloon works nevertheless"
    m.off()
