"""Puts a module back after a run of level full: controls, masks, staged sets, and the data paths it had.

Owns the order in which that works: a reset first, so that whatever a check left behind is gone; then the data
paths as they were configured, held down; then every control byte as it was, which lets them come up again.
"""

from __future__ import annotations

from dataclasses import dataclass

from cmis_emu.judge import drive
from cmis_emu.judge.checks.states import DEACTIVATED, READY
from cmis_emu.judge.session import LANES, Session
from cmis_emu.registers.field import LOWER

CONTROL_PAGES = (0x10, 0x13, 0x14)
PARTS = ("AppSelCodeLane", "DataPathIDLane", "ExplicitControlLane")
SELECTS = ("BankSelect", "PageSelect")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a module had: runs of writable bytes by (page, bank, first byte), and the active set of each bank."""

    runs: tuple[tuple[int, int, int, bytes], ...]
    active: tuple[tuple[list[int], ...], ...]


def keep(s: Session) -> Kept:
    """Read what `put_back` needs."""
    runs: list[tuple[int, int, int, bytes]] = []
    selects = {s.regmap.field(name).at for name in SELECTS}
    for number in (LOWER, *CONTROL_PAGES):
        compiled = s.compiled.pages.get(number)
        if compiled is None:
            continue
        first = s.regmap.pages[number].first
        places = [first + i for i, bits in enumerate(compiled.write_mask) if bits and first + i not in selects]
        for bank in range(s.banks if number != LOWER else 1):
            page = s.fetch(number, first, len(compiled.write_mask), bank)
            runs += [(number, bank, run[0], page[run[0] - first : run[-1] + 1 - first]) for run in _runs(places)]
    active: tuple[tuple[list[int], ...], ...] = ()
    if not s.flat and s.revision >= (4, 0):
        active = tuple(tuple(s.now_all(f"ACS.{part}", bank) for part in PARTS) for bank in range(s.banks))
    return Kept(tuple(runs), active)


def put_back(s: Session, kept: Kept) -> None:
    """Reset the module and give it back what it had. Does what it can with a module that misbehaves."""
    if s.flat or s.revision < (4, 0):
        return
    drive.software_reset(s)
    drive.settle(s)
    for bank, active in enumerate(kept.active):
        now = tuple(s.now_all(f"ACS.{part}", bank) for part in PARTS)
        if now == active:
            continue
        s.put_mask("DPDeinitLane", drive.ALL, bank)
        limit = drive.bound(s, "MaxDurationDPTxTurnOff", "MaxDurationDPDeinit", "MaxDurationDPInit")
        drive.watch(s, lambda bank=bank: _busy(s, bank), (0,), limit, drive.step_for(limit))  # type: ignore[misc]
        for part, codes in zip(PARTS, active, strict=True):
            s.put(f"SCS0.{part}", codes, bank=bank)
        drive.trigger(s, "SCS0.ApplyDPInitLane", drive.ALL, bank)
        drive.config_result(s, bank)
    for page, bank, at, data in kept.runs:
        s.store(page, at, data, bank)
    drive.settle(s)
    for bank in range(s.banks):
        limit = drive.bound(s, "MaxDurationDPInit", "MaxDurationDPTxTurnOn")
        drive.watch(s, lambda bank=bank: _moving(s, bank), (0,), limit, drive.step_for(limit))  # type: ignore[misc]


def _busy(s: Session, bank: int) -> int:
    """Lanes that are not deactivated."""
    return sum(state != DEACTIVATED for state in s.now_all("DPStateHostLane", bank))


def _moving(s: Session, bank: int) -> int:
    """Lanes that will not stay where they are: configured, not held, and not yet in a steady state."""
    if drive.module_state(s) != READY:
        return 0
    held = s.now_all("DPDeinitLane", bank)
    used = s.now_all("ACS.AppSelCodeLane", bank)
    states = s.now_all("DPStateHostLane", bank)
    return sum(bool(used[i]) and not held[i] and states[i] not in drive.STEADY for i in range(LANES))


def _runs(places: list[int]) -> list[list[int]]:
    """Consecutive addresses together."""
    found: list[list[int]] = []
    for at in places:
        if found and found[-1][-1] == at - 1:
            found[-1].append(at)
        else:
            found.append([at])
    return found
