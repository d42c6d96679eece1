"""What the judge found, as text for a person, as JSON and as JUnit XML, and the exit code.

Owns the wording of a report; the order is that of the areas and of the checks in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as Xml

from cmis_emu.judge.check import Area, Check, Level, Outcome, Verdict

EXIT_PASSED, EXIT_FAILED = 0, 1
FLAGS_NOTE = "reading flags clears them (FLG-01): those that were set before this run are in this report only"
_XML_ALLOWED = {0x09, 0x0A, 0x0D}


@dataclass(frozen=True, slots=True)
class Result:
    """One check and what it said."""

    check: Check
    outcomes: tuple[Outcome, ...]

    @property
    def verdict(self) -> Verdict:
        """Fail when anything failed, pass when anything passed, else not applicable."""
        found = {outcome.verdict for outcome in self.outcomes}
        return next((v for v in (Verdict.FAIL, Verdict.PASS) if v in found), Verdict.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Report:
    """All results of one run. `identity`: vendor, part, serial, revision as the module says."""

    target: str
    level: Level
    identity: str
    results: tuple[Result, ...]
    not_run: tuple[Check, ...]
    seconds: float

    def count(self, verdict: Verdict) -> int:
        """Demands with that verdict."""
        return sum(outcome.verdict is verdict for result in self.results for outcome in result.outcomes)

    @property
    def exit_code(self) -> int:
        """0 when nothing failed, 1 otherwise."""
        return EXIT_FAILED if self.count(Verdict.FAIL) else EXIT_PASSED

    @property
    def summary(self) -> str:
        """One line."""
        failed = self.count(Verdict.FAIL)
        counts = (
            f"{self.count(Verdict.PASS)} passed, {failed} failed, {self.count(Verdict.NOT_APPLICABLE)} not applicable"
        )
        left = f"; {len(self.not_run)} checks of higher levels not run" if self.not_run else ""
        took = f" in {self.seconds:.1f} s of the module's time"
        return f"{'FAIL' if failed else 'PASS'}: {counts} ({len(self.results)} checks, {self.level.label}{took}{left})"

    def failures(self) -> Iterator[tuple[Check, Outcome]]:
        """Everything that failed."""
        for result in self.results:
            for outcome in result.outcomes:
                if outcome.verdict is Verdict.FAIL:
                    yield result.check, outcome

    # -- text ----------------------------------------------------------------------------------------

    def text(self) -> str:
        """The report for a terminal."""
        lines = [f"{self.target}: {self.identity}", f"level {self.level.label}; {FLAGS_NOTE}"]
        for area in Area:
            results = [result for result in self.results if result.check.area is area]
            if results:
                lines += ["", area.value]
                for result in results:
                    lines += _text_of(result)
        return "\n".join([*lines, "", self.summary])

    # -- machines ------------------------------------------------------------------------------------

    def json(self) -> str:
        """The report as JSON."""
        return json.dumps(self.plain(), indent=2)

    def plain(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "target": self.target,
            "level": self.level.label,
            "identity": self.identity,
            "summary": {
                "passed": self.count(Verdict.PASS),
                "failed": self.count(Verdict.FAIL),
                "not_applicable": self.count(Verdict.NOT_APPLICABLE),
                "exit_code": self.exit_code,
                "seconds": round(self.seconds, 6),
            },
            "not_run": [each.name for each in self.not_run],
            "checks": [_plain_of(result) for result in self.results],
        }

    def junit(self) -> str:
        """The report as JUnit XML: a suite for each area, a test case for each demand."""
        root = Xml.Element("testsuites", name="cmis-emu check")
        for area in Area:
            results = [result for result in self.results if result.check.area is area]
            if not results:
                continue
            cases = [(r.check, o) for r in results for o in r.outcomes]
            suite = Xml.SubElement(
                root,
                "testsuite",
                name=area.value,
                tests=str(len(cases)),
                failures=str(sum(o.verdict is Verdict.FAIL for _, o in cases)),
                skipped=str(sum(o.verdict is Verdict.NOT_APPLICABLE for _, o in cases)),
                errors="0",
            )
            for each, outcome in cases:
                name = _clean(f"{outcome.rule} {outcome.subject}".strip())
                case = Xml.SubElement(suite, "testcase", classname=each.name, name=name)
                if outcome.verdict is Verdict.FAIL:
                    message = f"found {outcome.found}, demanded {outcome.demanded}"
                    Xml.SubElement(case, "failure", message=_clean(message)).text = _clean(outcome.data)
                elif outcome.verdict is Verdict.NOT_APPLICABLE:
                    Xml.SubElement(case, "skipped", message=_clean(outcome.why))
        Xml.indent(root)
        return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _text_of(result: Result) -> Iterator[str]:
    word = {Verdict.PASS: "pass", Verdict.FAIL: "FAIL", Verdict.NOT_APPLICABLE: "n/a"}[result.verdict]
    rules = " ".join(result.check.rules)
    counted = ""
    if result.verdict is not Verdict.NOT_APPLICABLE and len(result.outcomes) > 1:
        good = sum(outcome.verdict is Verdict.PASS for outcome in result.outcomes)
        counted = f" [{good} of {sum(o.verdict is not Verdict.NOT_APPLICABLE for o in result.outcomes)}]"
    yield f"  {word:<4} {result.check.name}: {result.check.title}{counted} ({rules})"
    reasons: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    for outcome in result.outcomes:
        where = f"{outcome.subject}: " if outcome.subject else ""
        if outcome.verdict is Verdict.FAIL:
            yield f"         {outcome.rule} {where}found {outcome.found}"
            yield f"           demanded {outcome.demanded}"
            if outcome.data:
                yield f"           bytes    {outcome.data}"
        elif outcome.verdict is Verdict.NOT_APPLICABLE:
            reasons.setdefault(outcome.why, []).append(outcome.subject)
        elif outcome.note:
            notes.setdefault(outcome.note, []).append(outcome.subject)
    for word, texts in (("note", notes), ("n/a", reasons)):
        for said, subjects in texts.items():
            where = ", ".join(each for each in subjects if each)
            yield f"         {word}: {where + ': ' if where else ''}{said}"


def _plain_of(result: Result) -> dict[str, Any]:
    return {
        "check": result.check.name,
        "area": result.check.area.value,
        "title": result.check.title,
        "level": result.check.level.label,
        "verdict": result.verdict.value,
        "outcomes": [
            {
                "rule": outcome.rule,
                "subject": outcome.subject,
                "verdict": outcome.verdict.value,
                **{
                    key: getattr(outcome, key)
                    for key in ("found", "demanded", "data", "why", "note")
                    if getattr(outcome, key)
                },
            }
            for outcome in result.outcomes
        ],
    }


def _clean(text: str) -> str:
    """Without the control characters that XML 1.0 has no way to write."""
    return "".join(c if ord(c) >= 0x20 or ord(c) in _XML_ALLOWED else "?" for c in text)
