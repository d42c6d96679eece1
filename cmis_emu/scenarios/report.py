"""A scenario's result for people and for machines: text, JSON, JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from cmis_emu.scenarios.result import ScenarioEvent, ScenarioResult

JSON_VERSION = 1
_QUIET = ("access",)
"""Kinds of events that the short text leaves out."""


def as_text(result: ScenarioResult, *, every_access: bool = False) -> str:
    """The timeline, the verdicts, and one closing line."""
    lines = [f"{result.scenario}: {result.title}"]
    shown = [event for event in result.events if every_access or event.kind not in _QUIET]
    lines += [f"  {line}" for line in _folded(shown)]
    for verdict in result.verdicts:
        lines.append(f"  {'pass' if verdict.passed else 'FAIL'} {verdict.name}: {verdict.expected}")
        if not verdict.passed:
            lines.append(f"       found {verdict.found} (line {verdict.line})")
    lines += [f"  FAIL {failure}" for failure in result.failures]
    passed = sum(verdict.passed for verdict in result.verdicts)
    lines.append(
        f"{'PASS' if result.passed else 'FAIL'}: {passed} of {len(result.verdicts)} expectations, "
        f"{result.transactions} transactions, {result.duration_ns / 1e9:g} s, seed {result.seed}"
    )
    return "\n".join(lines)


def _folded(events: Sequence[ScenarioEvent]) -> list[str]:
    """Events as lines; runs of strikes of one step become one line."""
    lines: list[str] = []
    run: list[ScenarioEvent] = []

    def flush() -> None:
        if len(run) > 2:
            lines.append(f"{run[0]} ({len(run)} times to {run[-1].time_ns / 1e9:.6f} s)")
        else:
            lines.extend(str(event) for event in run)
        run.clear()

    for event in events:
        same = run and (event.kind, event.who, event.text) == (run[0].kind, run[0].who, run[0].text)
        if event.kind != "strike" or not same:
            flush()
        run.append(event)
    flush()
    return lines


def as_data(result: ScenarioResult) -> dict[str, Any]:
    """Everything, as plain data. The same seed gives the same data, byte for byte as JSON."""
    return {"version": JSON_VERSION, "passed": result.passed, **asdict(result)}


def as_json(results: Sequence[ScenarioResult]) -> str:
    """One JSON document for several results."""
    return json.dumps([as_data(result) for result in results], indent=1)


def as_junit(results: Sequence[ScenarioResult]) -> str:
    """JUnit XML: a suite for each scenario, a case for each expectation."""
    top = ElementTree.Element("testsuites")
    for result in results:
        failures = sum(not verdict.passed for verdict in result.verdicts) + len(result.failures)
        suite = ElementTree.SubElement(
            top,
            "testsuite",
            name=result.scenario,
            tests=str(len(result.verdicts) + len(result.failures)),
            failures=str(failures),
            time=f"{result.duration_ns / 1e9:.3f}",
        )
        for verdict in result.verdicts:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=result.scenario,
                name=verdict.name,
                file=result.file,
                line=str(verdict.line),
                time=f"{verdict.time_ns / 1e9:.3f}",
            )
            if not verdict.passed:
                failure = ElementTree.SubElement(case, "failure", message=verdict.expected)
                failure.text = f"found {verdict.found}"
        for number, text in enumerate(result.failures, 1):
            case = ElementTree.SubElement(suite, "testcase", classname=result.scenario, name=f"step failure {number}")
            ElementTree.SubElement(case, "failure", message=text)
    ElementTree.indent(top)
    return ElementTree.tostring(top, encoding="unicode", xml_declaration=True) + "\n"
