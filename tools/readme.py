"""Puts today's coverage table, rule totals and verdict into README.md. Run: python tools/readme.py [--check]."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATH = ROOT / "README.md"
SHOWN_PAGES = ("lower", "00h", "01h", "02h", "10h", "11h", "13h", "14h")


def printed(*command: str) -> list[str]:
    """Lines that a program of the project prints."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def refreshed(text: str) -> str:
    """README text with the figures of today."""
    report = printed("tools/map_report.py")
    rows = [report[0], *(row for row in report if row.startswith(SHOWN_PAGES)), "...", report[-1]]
    text, tables = re.subn(r"```\npage   title.*?```", "```\n" + "\n".join(rows) + "\n```", text, flags=re.DOTALL)
    text, totals = re.subn(r"`\d+ rules: [^`]*`", f"`{printed('tools/rule_report.py')[-1]}`", text)
    judged = printed("-m", "cmis_emu", "check", "qsfpdd-400g-dr4", "--level", "full")[-1]
    text, verdicts = re.subn(r"^PASS: \d+ passed, .*full in .*$", judged, text, flags=re.MULTILINE)
    if (tables, totals, verdicts) != (1, 1, 1):
        found = f"{tables} coverage tables, {totals} rule totals and {verdicts} verdicts"
        raise SystemExit(f"README.md: found {found}, expected one of each")
    return text


def main() -> int:
    """Rewrite README.md, or with --check only say whether it is up to date (1 when it is not)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    before = PATH.read_text()
    after = refreshed(before)
    if arguments.check:
        if after != before:
            print("README.md: found figures of an earlier state, expected those that 'python tools/readme.py' writes")
        return int(after != before)
    PATH.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
