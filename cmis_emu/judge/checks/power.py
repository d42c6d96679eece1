"""Resets and module states, driven: software reset, ResetL, low power and back, flags and interrupt on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cmis_emu.judge import drive
from cmis_emu.judge.check import AbsentError, Area, Level, Outcome, check, judged, not_applicable
from cmis_emu.judge.checks.states import ACTIVATED, DEACTIVATED, LOW_PWR, PWR_DN, PWR_UP, READY
from cmis_emu.judge.session import Session

FULL = Level.FULL
CONTROLS = ("DPDeinitLane", "OutputDisableTx", "AutoSquelchDisableTx", "OutputSquelchForceTx", "OutputDisableRx")
CONFIG = ("AppSelCodeLane", "DataPathIDLane")


@check("software-reset", Area.RESET, "RST-02 RST-04 MSM-06", "SoftwareReset restarts the module in time", FULL)
def software_reset(s: Session) -> Iterator[Outcome]:
    drive.need_drivable(s)
    s.put("LowPwrRequestSW", s.now("LowPwrRequestSW") ^ 1)
    changed = s.now("LowPwrRequestSW")
    took = drive.software_reset(s)
    found = f"no answer within {drive.MGMT_INIT_S:g} s"
    yield judged(took is not None, "RST-04", "tMgmtInit", found, "an answer within 2 s")
    if took is None:
        return
    yield judged(s.now("SoftwareReset") == 0, "RST-02", "SoftwareReset", "reads 1", "clears itself")
    yield judged(not changed or s.now("LowPwrRequestSW") == 0, "RST-02", "LowPwrRequestSW", "1 after the reset",
                 "0: the module was reset")  # fmt: skip
    drive.settle(s)
    flag = s.poll(lambda: s.now("ModuleStateChangedFlag") == 1, drive.LATENCY_S)
    yield judged(flag is not None, "MSM-06", "ModuleStateChangedFlag", "0 after MgmtInit and the states after it", "1")


@check("reset-defaults", Area.RESET, "RST-05 RST-06 APP-06", "a reset brings back defaults and page 00h", FULL)
def reset_defaults(s: Session) -> Iterator[Outcome]:
    drive.need_drivable(s)
    if drive.software_reset(s) is None:
        raise AbsentError("the module does not come back from a reset")
    before = _controls(s)
    for bank in range(s.banks):
        for name in CONTROLS:
            if s.has(name):
                s.put(name, 1, bank=bank)
        s.put("DPStateChangedMask", [code ^ 1 for code in s.now_all("DPStateChangedMask", bank)], bank=bank)
        for part in CONFIG:
            s.put(f"SCS0.{part}", 5, bank=bank)
    s.put("ModuleStateChangedMask", s.now("ModuleStateChangedMask") ^ 1)
    s.select(1)
    if drive.software_reset(s) is None:
        raise AbsentError("the module does not come back from a reset")
    mapping = s.host.read(s.regmap.field("BankSelect").at, 2)
    yield judged(mapping == b"\0\0", "RST-05", "BankSelect, PageSelect", mapping.hex(" "), "00 00", mapping)
    after = _controls(s)
    for place, codes in before.items():
        yield judged(after[place] == codes, "RST-05", place, f"{after[place]}", f"{codes}, as after the reset before")
    for name in ("DPDeinitLane", "OutputDisableTx", "OutputSquelchForceTx", "OutputDisableRx"):
        if s.has(name):
            mask = s.now_mask(name)
            yield judged(mask == 0, "RST-06", name, f"{mask:02X}h", "00h")
    yield judged(s.now("LowPwrAllowRequestHW") == 1, "RST-06", "LowPwrAllowRequestHW", "0", "1")
    for bank in range(s.banks):
        for part in CONFIG:
            staged, active = s.now_all(f"SCS0.{part}", bank), s.now_all(f"ACS.{part}", bank)
            yield judged(
                staged == active, "APP-06", f"SCS0.{part} bank {bank}", f"{staged}", f"{active}, as the active set"
            )
    drive.settle(s)


def _controls(s: Session) -> dict[str, list[int]]:
    """Controls and masks whose value after a reset is compared with that after another."""
    found = {name: s.now_all(name) for name in ("ModuleStateChangedMask", "LowPwrRequestSW", "LowPwrAllowRequestHW")}
    for bank in range(s.banks):
        names = [*CONTROLS, "DPStateChangedMask", *(f"SCS0.{part}" for part in CONFIG)]
        found |= {f"{name} bank {bank}": s.now_all(name, bank) for name in names if s.has(name)}
    return found


@check("reset-pin", Area.RESET, "RST-01 RST-04 RST-05", "a ResetL pulse silences and restarts the module", FULL)
def reset_pin(s: Session) -> Iterator[Outcome]:
    drive.need_drivable(s)
    if s.host.pins is None:
        raise AbsentError("this target gives no access to the pins")
    s.put("ModuleStateChangedMask", 1)
    silent, took = drive.pin_reset(s)
    yield judged(silent, "RST-01", "ResetL low", "an answer", "no acknowledge while held in reset")
    yield judged(took is not None, "RST-04", "tMgmtInit", "no answer within 2 s of the release", "an answer within 2 s")
    if took is not None:
        mask = s.now("ModuleStateChangedMask")
        yield judged(mask == 0, "RST-05", "ModuleStateChangedMask", "1, as set before", "its default")
        drive.settle(s)


@check("power-cycle", Area.RESET, "MSM-04 MSM-06 MSM-07 MSM-08", "low power by software and back, in time", FULL)
def power_cycle(s: Session) -> Iterator[Outcome]:
    drive.need_drivable(s)
    with s.keeping("LowPwrRequestSW"):
        if not drive.go_ready(s).done:
            yield judged(
                False, "MSM-04", "ModuleReady", f"state {drive.module_state(s)}", "3 without a request for low power"
            )
            return
        s.now("ModuleStateChangedFlag")
        seen = drive.go_low(s)
        yield _walked(seen, "ModuleLowPwr", (READY, PWR_DN, LOW_PWR))
        if seen.done:
            yield _in_time(s, seen, PWR_DN, "MaxDurationModulePwrDn")
            yield _flagged(s, "ModuleLowPwr")
            for bank in range(s.banks):
                states = s.now_all("DPStateHostLane", bank)
                good = all(state == DEACTIVATED for state in states)
                yield judged(good, "MSM-08", f"data paths of bank {bank} in low power", f"{states}", "1, DPDeactivated")
                if s.has("OutputStatusTx"):
                    mask = s.now_mask("OutputStatusTx", bank)
                    yield judged(mask == 0, "MSM-08", f"OutputStatusTx bank {bank}", f"{mask:02X}h", "00h in low power")
        seen = drive.go_ready(s)
        yield _walked(seen, "ModuleReady", (LOW_PWR, PWR_UP, READY))
        if seen.done:
            yield _in_time(s, seen, PWR_UP, "MaxDurationModulePwrUp")
            yield _flagged(s, "ModuleReady")


def _walked(seen: drive.Seen, goal: str, legal: tuple[int, ...]) -> Outcome:
    if not seen.done:
        return judged(
            False, "MSM-04", goal, f"not reached; states {list(seen.order)}", "reached in the advertised time"
        )
    strange = [state for state in seen.order if state not in legal]
    return judged(not strange, "MSM-04", goal, f"states {list(seen.order)} on the way", f"{list(legal)} in order")


def _in_time(s: Session, seen: drive.Seen, state: int, name: str) -> Outcome:
    took, limit = seen.lasted(state), drive.bound(s, name)
    found = f"state {state} for {took:.3f} s"
    return judged(took <= limit, "MSM-07", name, found, f"at most {limit:.3g} s, as advertised", s.show(name))


def _flagged(s: Session, state: str) -> Outcome:
    came = s.poll(lambda: s.now("ModuleStateChangedFlag") == 1, drive.LATENCY_S)
    return judged(came is not None, "MSM-06", "ModuleStateChangedFlag", f"0 after entry to {state}", "1")


@check("low-power-pin", Area.RESET, "MSM-02", "LPMode asks for low power where the host allows it", FULL)
def low_power_pin(s: Session) -> Iterator[Outcome]:
    drive.need_drivable(s)
    pins = s.host.pins
    if pins is None:
        raise AbsentError("this target gives no access to the pins")
    level = pins.get("LPMode")
    limit = drive.bound(
        s, "MaxDurationModulePwrDn", "MaxDurationDPTxTurnOff", "MaxDurationDPDeinit", "MaxDurationModulePwrUp"
    )
    with s.keeping("LowPwrRequestSW"):
        try:
            drive.go_ready(s)
            pins.set("LPMode", True)
            s.wait(0.05)
            state = drive.module_state(s)
            yield judged(state == READY, "MSM-02", "LPMode high, not allowed", f"state {state}", "3, ModuleReady")
            s.put("LowPwrAllowRequestHW", 1)
            seen = drive.watch(s, lambda: drive.module_state(s), (LOW_PWR,), limit, 0.01)
            yield judged(seen.done, "MSM-02", "LPMode high, allowed", f"state {seen.order[-1]}", "1, ModuleLowPwr")
            pins.set("LPMode", False)
            limit = drive.bound(s, "MaxDurationModulePwrUp", "MaxDurationModulePwrDn")
            seen = drive.watch(s, lambda: drive.module_state(s), (READY,), limit, 0.01)
            yield judged(seen.done, "MSM-02", "LPMode low", f"state {seen.order[-1]}", "3, ModuleReady")
        finally:
            pins.set("LPMode", level)


@check("self-start", Area.RESET, "MSM-05", "data paths come up by themselves when the module gets ready", FULL)
def self_start(s: Session) -> Iterator[Outcome]:
    with drive.ready(s):
        if not drive.go_low(s).done:
            raise AbsentError("the module does not reach ModuleLowPwr (see power-cycle)")
        for bank in range(s.banks):
            for name in drive.DIRECT:
                if s.has(name):
                    s.put(name, 0, bank=bank)
        if not drive.go_ready(s).done:
            raise AbsentError("the module does not reach ModuleReady (see power-cycle)")
        for bank in range(s.banks):
            used = [i for i, app_sel in enumerate(s.now_all("ACS.AppSelCodeLane", bank)) if app_sel]
            if not used:
                yield not_applicable("MSM-05", f"bank {bank}", "no lane is in use")
                continue
            limit = drive.bound(s, "MaxDurationDPInit", "MaxDurationDPTxTurnOn") + 0.05
            seen = drive.watch(s, lambda b=bank, u=used: _laggards(s, b, u), (0,), limit, drive.step_for(limit))  # type: ignore[misc]
            states = s.now_all("DPStateHostLane", bank)
            yield judged(seen.done, "MSM-05", f"bank {bank}", f"states {states}", "4 without the host's doing")


def _laggards(s: Session, bank: int, lanes: list[int]) -> int:
    """Used lanes (from 0) that are not in DPActivated."""
    states = s.now_all("DPStateHostLane", bank)
    return sum(states[lane] != ACTIVATED for lane in lanes)


@check("deinit-in-low-power", Area.RESET, "DP-15", "DPDeinit written in low power holds data paths down", FULL)
def deinit_in_low_power(s: Session) -> Iterator[Outcome]:
    drive.need_drivable(s)
    with s.keeping("LowPwrRequestSW"), s.keeping("DPDeinitLane"):
        if not drive.go_low(s).done:
            raise AbsentError("the module does not reach ModuleLowPwr (see power-cycle)")
        s.put_mask("DPDeinitLane", drive.ALL)
        if not drive.go_ready(s).done:
            raise AbsentError("the module does not reach ModuleReady (see power-cycle)")
        s.wait(min(1.0, drive.bound(s, "MaxDurationDPInit") / 2))
        states = s.now_all("DPStateHostLane")
        good = all(state == DEACTIVATED for state in states)
        yield judged(good, "DP-15", "data paths of bank 0 in ModuleReady", f"{states}", "1 while DPDeinit is set")


@check("interrupt-masks", Area.FLAGS, "FLG-06 FLG-03", "a flag interrupts until it is read, and not while masked", FULL)
def interrupt_masks(s: Session) -> Iterator[Outcome]:
    drive.need_drivable(s)
    with s.keeping("LowPwrRequestSW"), _only(s, "ModuleStateChangedMask"):
        drive.go_ready(s)
        drive.go_low(s)
        s.wait(drive.LATENCY_S)
        yield _interrupt(s, True, "a flag is set and not masked", drive.LATENCY_S)
        s.put("ModuleStateChangedMask", 1)
        yield _interrupt(s, False, "its mask is set", drive.LATENCY_S)
        s.put("ModuleStateChangedMask", 0)
        yield _interrupt(s, True, "its mask is cleared again", drive.LATENCY_S)
        flag = s.now("ModuleStateChangedFlag")
        yield judged(flag == 1, "FLG-03", "ModuleStateChangedFlag", "0", "1 until it is read, masked or not")
        yield _interrupt(s, False, "the flag was read", drive.LATENCY_S)


@contextmanager
def _only(s: Session, wanted: str) -> Iterator[None]:
    """Mask every flag but that of mask field `wanted`; put the masks back at the end."""
    with ExitStack() as stack:
        for name in sorted({f.masked_by for f in s.regmap if f.masked_by is not None and s.has(f.name)}):
            field = s.regmap.field(name)
            if not s.has(name) or not s.advertised(field.page):
                continue
            for bank in range(s.banks if s.regmap.pages[field.page].banked else 1):
                stack.enter_context(s.keeping(name, bank=bank))
                s.put(name, 0 if name == wanted else field.maximum, bank=bank)
        yield


def _interrupt(s: Session, asserted: bool, when: str, limit_s: float) -> Outcome:
    came = s.poll(lambda: (s.now("InterruptDeasserted") == 0) == asserted, limit_s)
    word = "asserted" if asserted else "deasserted"
    good = came is not None
    found = f"not {word}"
    if good and s.host.pins is not None and s.host.pins.get("IntL") == asserted:
        good, found = False, "InterruptDeasserted right, IntL wrong (MSM-11)"
    return judged(good, "FLG-06", f"interrupt when {when}", found, word)


CHECKS = (
    software_reset,
    reset_defaults,
    reset_pin,
    power_cycle,
    low_power_pin,
    self_start,
    deinit_in_low_power,
    interrupt_masks,
)
