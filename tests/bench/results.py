"""What benchmarks have measured, in the form that `berth compare` shows, saves and holds against an earlier run (docs/FORMATS.md): each way is
Berth or a peer, each figure has the samples of one run, all ways in turns."""

import json
import os
from datetime import datetime, timezone
from pathlib import Path

SCHEMA = "berth.comparison/1"


class Results:
    def __init__(self, path: Path | None):
        """path: where the document goes; None: nowhere, and add does nothing that is seen."""
        self.path, self.figures, self.ways, self.accelerators = path, [], [], {}

    @staticmethod
    def option(parser):
        parser.add_argument("--results", type=Path, metavar="FILE", help="also as JSON, for berth compare --from")

    def way(self, name: str, accelerator: str | None = None):
        if name not in self.ways:
            self.ways.append(name)
        if accelerator:
            self.accelerators[name] = accelerator

    def add(self, group: str, figure: str, title: str, unit: str, samples: dict, more=False, how=None):
        """samples: {way: [numbers, in unit]}; the first way is what the others are held against."""
        for name in samples:
            self.way(name)
        self.figures.append({"group": group, "id": figure, "title": title, "unit": unit, "better": "more" if more else "less",
                             **({"how": how} if how else {}), "samples": {name: [float(v) for v in values] for name, values in samples.items()}})

    def document(self, title: str, machine: dict, berth: str) -> dict:
        def cell(figure, way):
            values = figure["samples"].get(way)
            return {"samples": values} if values else {}  # nobody has tried

        return {"schema": SCHEMA, "title": title, "began": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "berth": berth, "interrupted": False,
                "machine": machine,
                "ways": [{"name": name, **({"accelerator": self.accelerators[name]} if name in self.accelerators else {})} for name in self.ways],
                "figures": [{**{k: v for k, v in f.items() if k != "samples"}, "cells": [cell(f, way) for way in self.ways]} for f in self.figures],
                "walls": []}

    def save(self):
        """A part of a run: what `merge` reads."""
        if self.path:
            temp = self.path.with_name(f".{self.path.name}.{os.getpid()}")
            temp.write_text(json.dumps({"ways": self.ways, "accelerators": self.accelerators, "figures": self.figures}))
            temp.rename(self.path)

    def merge(self, part: Path):
        said = json.loads(part.read_text())
        for name in said["ways"]:
            self.way(name, said["accelerators"].get(name))
        self.figures += said["figures"]
