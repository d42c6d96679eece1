"""All that must be green: lint, format, types, layers, maps, rules, failures, pictures, tests. See `make check`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

STEPS: list[tuple[str, list[str]]] = [
    ("lint", [str(BIN / "ruff"), "check", "."]),
    ("format", [str(BIN / "ruff"), "format", "--check", "."]),
    ("types", [str(BIN / "mypy")]),
    ("types of tools", [str(BIN / "mypy"), "tools"]),
    ("types of tests", [str(BIN / "mypy"), "--config-file", "tests/mypy.ini", "tests"]),
    ("import layers", [str(BIN / "lint-imports")]),
    ("maps", [sys.executable, "tools/map_report.py"]),
    ("rules", [sys.executable, "tools/rule_report.py"]),
    ("field failures", [sys.executable, "tools/fault_report.py"]),
    ("pictures", [sys.executable, "tools/plots.py", "--check"]),
    ("tests", [sys.executable, "-m", "pytest", "-n", "auto"]),
]


def main() -> int:
    """Run every step, even after a failure, so that one run tells all; the tests come last."""
    failed = []
    for name, command in STEPS:
        print(f"== {name}", flush=True)
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
