"""Which field failures the library reproduces: each row of tests/field_rows.yaml, by which scenarios, or why not.

Run: python tools/fault_report.py. Exit code 1 when a row has neither, or a scenario names a row that is not there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from cmis_emu.scenarios import library
from cmis_emu.scenarios.reader import read_scenario

ROWS = Path(__file__).resolve().parent.parent / "tests" / "field_rows.yaml"


def main() -> int:
    """Print the report."""
    rows = yaml.safe_load(ROWS.read_text())
    scenarios = [read_scenario(name) for name in library.names()]
    by_row: dict[str, list[str]] = {row: [] for row in rows}
    wrong = []
    for scenario in scenarios:
        for row in scenario.rows:
            if row in by_row:
                by_row[row].append(scenario.name)
            else:
                wrong.append(f"{scenario.file}: found row {row}, expected one of {ROWS.name}")
    open_rows = []
    for row, names in by_row.items():
        told = rows[row]
        if names:
            print(f"{row:<4} {told['says']}: {', '.join(names)}")
        elif told.get("without", "open") != "open":
            print(f"{row:<4} {told['says']}: none, {told['without']}")
        else:
            print(f"{row:<4} {told['says']}: OPEN")
            open_rows.append(row)
    done = sum(bool(names) for names in by_row.values())
    without = len(rows) - done - len(open_rows)
    for line in wrong:
        print(line)
    counts = f"{done} reproduced, {without} with a reason, {len(open_rows)} open"
    print(f"{len(rows)} rows: {counts}; {len(scenarios)} scenarios")
    return int(bool(wrong or open_rows))


if __name__ == "__main__":
    sys.exit(main())
