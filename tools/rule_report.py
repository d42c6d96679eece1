"""Lists the behaviour rules and the tests that name them; fails when a rule that is due has no test.

Run: python tools/rule_report.py [--all]. Rules are in tests/rules.yaml; tests name them with
@pytest.mark.rule(...), which is read from the source, so the report needs no test run. When the behaviour
sheet lies beside the checkout, its numbers are compared with the list.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
SHEET = ROOT.parent / "shared" / "spec" / "behaviour.md"
_RANGE = re.compile(r"^([A-Z0-9]+)-(\d+)\.\.(\d+)$")


def rules() -> dict[str, dict[str, object]]:
    """Every rule by number; `later` names the issue that a rule waits for. Ranges are spread out."""
    found: dict[str, dict[str, object]] = {}
    for name, entry in yaml.safe_load((ROOT / "tests" / "rules.yaml").read_text()).items():
        spread = _RANGE.match(name)
        numbers = range(int(spread[2]), int(spread[3]) + 1) if spread else ()
        for each in [f"{spread[1]}-{n:02d}" for n in numbers] if spread else [name]:
            found[each] = entry
    return found


def named() -> dict[str, list[str]]:
    """Rule number to the tests that name it."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.rule":
                    for argument in mark.args:
                        if isinstance(argument, ast.Constant):
                            place = f"{path.relative_to(ROOT)}::{node.name}"
                            found.setdefault(str(argument.value), []).append(place)
    return found


def main() -> int:
    """Print the report; 1 when a due rule has no test, or a test names no rule."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--all", action="store_true", help="list every rule with its tests")
    arguments = parser.parse_args()
    known, tests = rules(), named()
    unknown = {rule: places for rule, places in tests.items() if rule not in known}
    missing = [rule for rule, entry in known.items() if rule not in tests and "later" not in entry]
    waiting = [rule for rule, entry in known.items() if rule not in tests and "later" in entry]
    if arguments.all:
        for rule, entry in known.items():
            print(f"{rule}: {entry['says']}")
            for place in tests.get(rule, []):
                print(f"    {place}")
    print(f"{len(known)} rules: {len(known) - len(missing) - len(waiting)} with a test, ", end="")
    print(f"{len(waiting)} of later issues, {len(missing)} due without a test")
    for rule in missing:
        print(f"  no test names {rule}: {known[rule]['says']}")
    for rule, places in unknown.items():
        print(f"  no such rule: {rule} in {', '.join(places)}")
    unlisted: list[str] = []
    if SHEET.exists():
        sheet = set(re.findall(r"^\*\*([A-Z0-9]+-\d+[a-z]?)(?:\*\*| )", SHEET.read_text(), re.MULTILINE))
        unlisted = sorted(r for r in sheet if r not in known and r.rstrip("a") not in known)
        for rule in unlisted:
            print(f"  the sheet has {rule}, tests/rules.yaml has not")
    return 1 if missing or unknown or unlisted else 0


if __name__ == "__main__":
    sys.exit(main())
