"""Memory of a Linux guest that goes back to the host: by itself, by the balloon, and in a clone of a snapshot."""

import re
import time

from guest import MIB
from test_snapshot import Machine, machines  # noqa: F401

MODULES = ("virtio_pci", "virtio_console", "virtio_rng", "virtio_balloon")


def rss(machine):
    """Of the process that has the guest's memory mapped, in MiB."""
    pids = [machine.vmm.process.pid]
    best = 0
    while pids:
        pid = pids.pop()
        try:
            children = open(f"/proc/{pid}/task/{pid}/children").read().split()
            best = max(best, int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1]) >> 10)
        except (OSError, TypeError):
            continue
        pids += map(int, children)
    return best


def until(what, timeout=150):
    deadline = time.monotonic() + timeout
    while not (got := what()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return got


def use(machine, mib):
    """The guest fills so much of its page cache, and empties it. -> the process's RSS when full."""
    assert machine.ask(f"fill {mib}") == "full"
    full = rss(machine)
    assert machine.ask("drop") == "dropped"
    return full


def balloon(machine):
    return machine.do("metrics")["balloon"]


def stats(machine):
    balloon(machine)  # asks
    return until(lambda: (b := balloon(machine)).get("stats") if balloon(machine).get("stats_age_ms", 1 << 30) < 5000 else None)


def test_what_the_guest_frees_is_the_hosts_again_also_in_a_clone(machines, tmp_path):
    boot, restore = machines
    parent = boot(mem_mib=256, modules=MODULES, devices=[{"balloon": {}}])
    full = use(parent, 96)
    assert full > 96, "it was in use"
    # Free memory goes back in pieces of 2 MiB that are wholly free: how much of it that is depends on where the guest's own pages lie.
    assert until(lambda: rss(parent) < full - 48), f"{full} MiB when full, {rss(parent)} MiB when free; {balloon(parent)}"
    print(f"RSS: full {full} MiB, freed {rss(parent)} MiB, {balloon(parent)['returned_bytes'] >> 20} MiB returned")
    s = stats(parent)
    assert 160 * MIB < s["total_bytes"] < 256 * MIB and 0 < s["free_bytes"] < s["total_bytes"], s

    paths, _ = parent.snapshot(tmp_path, "one")
    before = paths[1].read_bytes()
    clone = restore(paths, mem_mib=256, devices=[{"balloon": {}}])
    full = use(clone, 96)
    assert full > 96
    assert until(lambda: rss(clone) < full - 48), f"clone: {full} MiB when full, {rss(clone)} MiB when free"
    print(f"clone's RSS: full {full} MiB, freed {rss(clone)} MiB")
    assert clone.ask("check") == "same", "what it has kept is as it was"
    assert stats(clone)["total_bytes"] == s["total_bytes"]
    clone.off()
    parent.off()
    assert paths[1].read_bytes() == before, "nothing was written through"


def test_the_balloon_takes_and_gives(machines):
    boot, _ = machines
    m = boot(mem_mib=256, modules=MODULES, devices=[{"balloon": {"reporting": False, "deflate_on_oom": False}}])
    refused = m.do("resize", mem_bytes=1 << 40)
    assert not refused["ok"] and "mem_bytes" in refused["error"]
    assert m.do("resize", mem_bytes=192 * MIB)["balloon_bytes"] == 64 * MIB
    assert until(lambda: balloon(m)["actual_bytes"] == 64 * MIB), balloon(m)
    small = int(m.ask("total"))
    assert small < 192 << 10  # KiB: the driver takes it off the total where it may not be taken back
    assert m.do("resize")["mem_bytes"] == 256 * MIB
    assert until(lambda: balloon(m)["actual_bytes"] == 0), balloon(m)
    assert m.ask("check") == "same"
    m.off()


def test_the_balloon_yields_to_need(machines):
    boot, _ = machines
    m = boot(mem_mib=256, modules=MODULES, devices=[{"balloon": {}}])
    assert m.do("resize", mem_bytes=160 * MIB)["ok"]
    assert until(lambda: balloon(m)["actual_bytes"] == 96 * MIB), balloon(m)
    assert m.ask("fill 120") == "full"
    assert balloon(m)["actual_bytes"] < 96 * MIB
    m.off()
