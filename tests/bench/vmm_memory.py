"""What a VMM's processes have in memory beyond their guest's RAM, whichever mappings that is made of."""

import re
from pathlib import Path


def mappings(pid):
    """[[from, to, KiB of PSS, ...]] of one process, by address."""
    rows = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if m := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            rows.append([int(m.group(1), 16), int(m.group(2), 16), 0])
        elif m := re.match(r"Pss: +(\d+)", line):
            rows[-1][2] = int(m.group(1))
    return rows


def beyond_ram(rows, ram_bytes, exactly=True):
    """KiB of PSS of all mappings but the guest's RAM: neighbours, at a multiple of 2 MiB, that make that many bytes; exactly False: one mapping of
    at least as many. A process without RAM has all its mappings counted."""
    for i, (start, *_) in enumerate(rows):
        end = start
        for k in range(i, len(rows)):
            if rows[k][0] != end or end - start >= ram_bytes:
                break
            end = rows[k][1]
            is_ram = end - start == ram_bytes and start % (2 << 20) == 0 if exactly else k == i and end - start >= ram_bytes
            if is_ram:
                return sum(r[2] for r in rows[:i] + rows[k + 1:])
    return sum(r[2] for r in rows)
