"""Runs the checks of a level on one module and collects the report.

Owns the order, the end (what was changed goes back, even when a check breaks off) and what a check that
cannot go on means: an image that lacks a page makes it not applicable, a module that does the impossible fails it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

from cmis_emu.errors import AttachError, InputError
from cmis_emu.judge import restore
from cmis_emu.judge.check import AbsentError, Area, Check, Level, Outcome, failed, not_applicable
from cmis_emu.judge.checks import CHECKS
from cmis_emu.judge.host import Host
from cmis_emu.judge.report import Report, Result
from cmis_emu.judge.session import Session
from cmis_emu.registers.field import LOWER
from cmis_emu.registers.regmap import RegisterMap

PUT_BACK_TRIES, PUT_BACK_PAUSE_S = 5, 1.0
OUTCOMES_MAX = 2000  # of one check: a module that makes a check endless is broken anyway


def judge(
    host: Host, regmap: RegisterMap, level: Level, target: str = "module", checks: Sequence[Check] = CHECKS
) -> Report:
    """Judge the module behind `host`. Raises OSError when it does not answer at all, InputError for an image
    at a level that writes."""
    if host.known_pages is not None and level > Level.READ_ONLY:
        raise InputError(f"level {level.label}", "read-only: an image does not react to writes", field="--level")
    start = host.timer.now()
    session = Session(host, regmap, level)
    order = list(Area)
    chosen = sorted((c for c in checks if c.level <= level), key=lambda c: (c.level, order.index(c.area)))
    kept = _keep(session) if level is Level.FULL else None
    results = []
    try:
        results = [Result(each, tuple(run_one(each, session))) for each in chosen]
    finally:
        if kept is not None:
            _put_back(session, kept)
        with suppress(OSError):
            session.close()
    not_run = tuple(each for each in checks if each.level > level)
    return Report(target, level, identity(session), tuple(results), not_run, host.timer.now() - start)


def _keep(session: Session) -> restore.Kept | None:
    """What to put back at the end; None for a module without pages to put it on."""
    with suppress(AbsentError):
        return restore.keep(session)
    return None


def _put_back(session: Session, kept: restore.Kept) -> None:
    """Try for a while: a module that is gone cannot be put back, one that comes back can."""
    for _ in range(PUT_BACK_TRIES):
        try:
            restore.put_back(session, kept)
        except OSError:
            session.wait(PUT_BACK_PAUSE_S)
        except AbsentError:
            return
        else:
            return


def run_one(each: Check, session: Session) -> list[Outcome]:
    """What one check says. Never raises for anything the module does."""
    outcomes: list[Outcome] = []
    rule = each.rules[0]
    if each.live and session.image:
        return [not_applicable(rule, "", "an image does not react, or was not taken at one moment")]
    try:
        outcomes.extend(islice(each.run(session), OUTCOMES_MAX))
    except AbsentError as absent:
        outcomes.append(not_applicable(rule, "", str(absent)))
    except OSError as error:
        found = f"no acknowledge ({error.strerror or error})"
        outcomes.append(failed(rule, "", found, "an answer within the hold-off times (I2C-11)"))
        session.forget_mapping()
    except AttachError:
        raise  # the emulator went away: nothing that a module did
    except Exception as error:  # a module may give anything; the judge goes on
        outcomes.append(failed(rule, "", f"{type(error).__name__}: {error}", "registers that can be judged"))
        session.forget_mapping()
    return outcomes or [not_applicable(rule, "", "nothing of this kind on this module")]


def identity(session: Session) -> str:
    """Vendor, part, serial number and revision in one line."""
    parts = []
    try:
        parts += [str(session.value(name)).strip(". ") or "-" for name in ("VendorName", "VendorPN", "VendorSN")]
    except (AbsentError, OSError):
        parts.append("identity not readable")
    if session.in_image(LOWER):
        parts.append("CMIS {}.{}".format(*session.revision) + (", flat memory" if session.flat else ""))
    return " ".join(parts)
