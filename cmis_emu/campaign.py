"""Campaigns of random compositions: run over processes, judged, and each failure made small (`cmis-emu scenario fuzz`).

What must hold for every composition: nothing in the emulator breaks; once all faults are cleared and the modules were
reset, both come up and are polled without an error; the same seed gives the same trace. What a step refuses when it
is armed, such as a lane that the module lacks, is no failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import yaml

from cmis_emu.clock import ManualClock
from cmis_emu.emulator import Emulator
from cmis_emu.errors import InputError
from cmis_emu.scenarios.compose import composition
from cmis_emu.scenarios.reader import read_scenario
from cmis_emu.scenarios.result import ScenarioResult

MOST_TRIALS = 200  # runs that making one failure small may take


@dataclass(frozen=True, slots=True)
class Finding:
    """A composition that failed. kind: broke, not recovered, not repeatable. data: the scenario, made small."""

    number: int
    kind: str
    detail: str
    data: Mapping[str, Any]

    def as_yaml(self) -> str:
        """A scenario file that fails in the same way."""
        head = f"# Found by: cmis-emu scenario fuzz --seed {self.data['seed']}, composition {self.number}\n"
        what = "".join(f"# {line}\n" for line in f"{self.kind}: {self.detail}".splitlines())
        return head + what + yaml.safe_dump(dict(self.data), sort_keys=False, width=120, allow_unicode=True)


def fuzz(seed: int, first: int, count: int, processes: int) -> Iterator[Finding | None]:
    """Compositions `first` to `first` + `count` - 1 of a seed, in order: None for each in which all held."""
    numbers = range(first, first + count)
    if processes <= 1:
        yield from map(partial(examine, seed), numbers)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(partial(examine, seed), numbers, chunksize=4)


def examine(seed: int, number: int) -> Finding | None:
    """One composition; a failure is made small."""
    data = composition(seed, number)
    found = judge(data)
    if found is None:
        return None
    small = shrink(data, found[0])
    return Finding(number, found[0], (judge(small) or found)[1], small)


def judge(data: Mapping[str, Any]) -> tuple[str, str] | None:
    """(kind, detail) of what does not hold; None when all does. Raises InputError for data that is no scenario."""
    results = []
    for _ in range(2):
        try:
            results.append(_run(data))
        except InputError:
            raise
        except Exception as error:  # whatever it is, it should not have happened
            return "broke", f"{type(error).__name__}: {error}"
    missed = [f"{verdict.expected} (found {verdict.found})" for verdict in results[0].verdicts if not verdict.passed]
    if missed:
        return "not recovered", "\n".join(missed)
    if results[0].digest != results[1].digest:
        return "not repeatable", f"digests {results[0].digest} and {results[1].digest}"
    return None


def _run(data: Mapping[str, Any]) -> ScenarioResult:
    scenario = read_scenario(data)
    assert scenario.testbed is not None
    with Emulator.load(scenario.testbed, clock=ManualClock(), seed=scenario.seed) as emulator:
        emulator.settle()
        return emulator.run_scenario(scenario)


def shrink(data: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The same failure with fewer steps and fewer words in them, as far as leaving things out one by one gets."""
    small = dict(data)
    trials = MOST_TRIALS
    moved = True
    while moved and trials > 0:
        moved = False
        for candidate in _smaller(small):
            trials -= 1
            if trials <= 0:
                break
            if _fails_alike(candidate, kind):
                small, moved = candidate, True
                break
    return small


def _fails_alike(candidate: Mapping[str, Any], kind: str) -> bool:
    try:
        found = judge(candidate)
    except InputError:
        return False  # what was left out was needed
    return found is not None and found[0] == kind


def _smaller(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The scenario without one step, or without one word of a step; those that expectations name stay."""
    steps = data["steps"]
    for index, step in enumerate(steps):
        if "id" not in step:
            yield {**data, "steps": [*steps[:index], *steps[index + 1 :]]}
    for index, step in enumerate(steps):
        for key in step:
            if "id" not in step and key not in ("at", "do", "port", "fibre", "for"):
                less = {name: value for name, value in step.items() if name != key}
                yield {**data, "steps": [*steps[:index], less, *steps[index + 1 :]]}
