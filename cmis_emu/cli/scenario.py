"""`cmis-emu scenario`: list, check, run and describe scenarios."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import click

from cmis_emu import campaign
from cmis_emu.cli import running
from cmis_emu.clock import Clock, ManualClock, ScaledClock
from cmis_emu.emulator import Emulator
from cmis_emu.errors import CmisEmuError, InputError
from cmis_emu.scenarios import catalogue, library
from cmis_emu.scenarios.action import Argument, Kind
from cmis_emu.scenarios.model import Begin, Scenario
from cmis_emu.scenarios.reader import read_scenario
from cmis_emu.scenarios.report import as_json, as_junit, as_text
from cmis_emu.scenarios.result import ScenarioResult
from cmis_emu.scenarios.schema import schema
from cmis_emu.scenarios.units import Quantity

EXIT_FAILED = 1


def show_library(*, as_data: bool) -> None:
    """One line for each scenario of the library."""
    found = [read_scenario(name) for name in library.names()]
    if as_data:
        keys = ("name", "title", "rows", "sources", "file")
        click.echo(json.dumps([{key: getattr(scenario, key) for key in keys} for scenario in found], indent=2))
        return
    width = max((len(scenario.name) for scenario in found), default=0)
    for scenario in found:
        rows = f"  [{' '.join(scenario.rows)}]" if scenario.rows else ""
        click.echo(f"{scenario.name:<{width}}  {scenario.title}{rows}")


def show_actions(name: str | None) -> None:
    """What steps can do: all actions, a line each, or one with its arguments."""
    if name is None:
        for each in catalogue.names():
            doc = _doc(each)
            click.echo(f"{each:<22} {doc.partition('. ')[0].rstrip('.')}")
        return
    if name not in catalogue.names():
        raise InputError(repr(name), "an action; without a name all are listed", field="action")
    action, program = catalogue.action(name), catalogue.program(name)
    click.echo(f"{name}: {_doc(name)}")
    arguments = action.arguments if action is not None else program.arguments if program is not None else {}
    for key, argument in arguments.items():
        click.echo(f"  {key:<14} {_kind(argument)}; {argument.doc}{_default(argument)}")
    if action is not None and action.lasting:
        click.echo("  for            a duration; after it the fault is cleared")
        click.echo("  clear_when     a condition, as for `when`; the fault is cleared when it holds")
    if action is not None and action.counted:
        click.echo("  count, skip, every_nth, probability: on which occasions it strikes")


def _doc(name: str) -> str:
    action, program = catalogue.action(name), catalogue.program(name)
    return action.doc if action is not None else program.doc if program is not None else ""


def _kind(argument: Argument) -> str:
    if isinstance(argument.kind, Quantity):
        return f"{argument.kind.name} such as '{argument.kind.example}'"
    return ", ".join(argument.choices) if argument.kind is Kind.CHOICE else argument.kind.value


def _default(argument: Argument) -> str:
    if argument.required:
        return " (needed)"
    return "" if argument.default is None else f" (default {argument.default})"


def check(files: Sequence[str]) -> int:
    """Lint: each file's first mistake on a line of its own; exit code 2 when there is any."""
    wrong = 0
    for file in files:
        try:
            scenario = read_scenario(file)
        except CmisEmuError as error:
            click.echo(f"cmis-emu: {error}", err=True)
            wrong += 1
            continue
        click.echo(f"{file}: {scenario.name}, {len(scenario.steps)} steps, {len(scenario.expectations)} expectations")
    return 2 if wrong else 0


def print_schema() -> None:
    """The JSON Schema for editors."""
    click.echo(json.dumps(schema(), indent=1))


def run(
    files: Sequence[str], speed: float | None, seed: int | None, attach: str | None, report: Path | None, *, quiet: bool
) -> int:
    """Run scenarios one after the other; exit code 1 when an expectation fails."""
    results = []
    for file in files:
        if attach is not None:
            results.append(_run_there(file, attach, seed))
        else:
            results.append(_run_here(read_scenario(file), speed, seed))
        if isinstance(results[-1], ScenarioResult) and not quiet:
            click.echo(as_text(results[-1]))
    if report is not None:
        _write(report, results)
    failed = [result.scenario for result in results if not result.passed]
    if len(results) > 1 or quiet:
        names = f": {', '.join(failed)}" if failed else ""
        click.echo(f"{len(results) - len(failed)} of {len(results)} scenarios passed{names and ', failed' + names}")
    return EXIT_FAILED if failed else 0


def _run_here(scenario: Scenario, speed: float | None, seed: int | None) -> ScenarioResult:
    if scenario.testbed is None:
        raise InputError("no testbed", "one in the file, or --attach NAME", file=scenario.file, field="testbed")
    clock: Clock = ManualClock() if speed is None else ScaledClock(speed)
    with Emulator.load(scenario.testbed, clock=clock, seed=seed if seed is not None else scenario.seed) as emulator:
        if scenario.begin is Begin.SETTLED:
            emulator.settle()
        return emulator.run_scenario(scenario, seed=seed)


def _run_there(file: str, attach: str, seed: int | None) -> ScenarioResult:
    """On a running emulator, beside whoever uses it."""
    source = str(library.find(file).resolve())
    pause = threading.Event()
    with running.client(attach) as emulator:
        number = emulator.ask("scenario", source=source, seed=seed)
        while True:
            found = emulator.ask("scenario_result", number=number)
            if found is not None:
                return ScenarioResult.from_data(found)
            pause.wait(0.2)


def fuzz(seed: int, first: int, count: int, processes: int, folder: Path | None) -> int:
    """A campaign; exit code 1 when a composition fails. Each failure becomes a scenario file in `folder`."""
    failed = 0
    for done, finding in enumerate(campaign.fuzz(seed, first, count, processes), 1):
        if finding is None:
            continue
        failed += 1
        click.echo(f"composition {finding.number} of seed {seed}: {finding.kind}")
        click.echo("".join(f"  {line}\n" for line in finding.detail.splitlines()), nl=False)
        if folder is not None:
            path = folder / f"fuzz-{seed}-{finding.number}.yaml"
            _store(path, finding.as_yaml())
            click.echo(f"  {path}: {len(finding.data['steps'])} steps ({done} of {count} done)")
    click.echo(f"{count - failed} of {count} compositions of seed {seed} held")
    return EXIT_FAILED if failed else 0


def _write(report: Path, results: Sequence[ScenarioResult]) -> None:
    forms = {".json": as_json, ".xml": as_junit}
    form = forms.get(report.suffix)
    text = form(results) if form is not None else "\n\n".join(as_text(each, every_access=True) for each in results)
    _store(report, text if text.endswith("\n") else text + "\n")


def _store(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise InputError(error.strerror or str(error), "a file that can be written", file=str(path)) from None
