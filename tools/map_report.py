"""Honest coverage of the register map: per page how many fields code owns, profiles set, or are only stored.

Run: python tools/map_report.py [--json]. "Owned" comes from cmis_emu.module.ownership.OWNERS (field name, or
the part before the dot, to owner); without that module nothing is owned. "Set by profiles" are static
read-only fields. What remains is stored only: a host can write and read it, and nothing more happens.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

if __package__ in (None, ""):  # run as a script from a checkout
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cmis_emu.registers.field import Access, Field, OnRead
from cmis_emu.registers.loader import load_maps
from cmis_emu.registers.regmap import RegisterMap

COLUMNS = ("entries", "fields", "owned", "profile", "stored")


def owners() -> Mapping[str, str]:
    """Owner of each field name or dotted prefix; empty when there is no such module yet."""
    try:
        module = importlib.import_module("cmis_emu.module.ownership")
    except ModuleNotFoundError:
        return {}
    found: Mapping[str, str] = module.OWNERS
    return found


def category(field: Field, owned: Mapping[str, str]) -> str:
    """'owned', 'profile' or 'stored'."""
    if field.name in owned or field.name.split(".")[0] in owned:
        return "owned"
    if field.access is Access.RO and not field.volatile and field.on_read is OnRead.NONE:
        return "profile"
    return "stored"


def report(regmap: RegisterMap, owned: Mapping[str, str]) -> list[dict[str, str | int]]:
    """One row a page and a total. `fields` counts each lane, `entries` the lines of the map."""
    rows: list[dict[str, str | int]] = []
    total = dict.fromkeys(COLUMNS, 0)
    for page in regmap.pages.values():
        count = dict.fromkeys(COLUMNS, 0)
        for field in page.fields:
            count["entries"] += 1
            count["fields"] += field.count
            count[category(field, owned)] += field.count
        for key, value in count.items():
            total[key] += value
        rows.append({"page": page.name, "title": page.title, **count})
    rows.append({"page": "all", "title": f"{len(regmap.pages)} pages", **total})
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Print the report; always 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="a JSON list, one object a page")
    parsed = parser.parse_args(arguments)
    rows = report(load_maps(), owners())
    if parsed.json:
        print(json.dumps(rows, indent=1))
        return 0
    print(f"{'page':<6} {'title':<52} {'entries':>7} {'fields':>7} {'owned':>7} {'profile':>7} {'stored':>7}")
    for row in rows:
        print(f"{row['page']:<6} {row['title']:<52} " + " ".join(f"{row[key]:>7}" for key in COLUMNS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
