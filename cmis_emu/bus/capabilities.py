"""What each back end can do on real wires, and what becomes of a request that goes beyond it.

Owns the table, one row for each back end, with the reason for every lack, and the judgement: what was asked for and
cannot be had is refused; what a CMIS module does by itself and this back end cannot show is warned about.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cmis_emu.bus.bits.limits import STRETCH_MAX_NS
from cmis_emu.clock import NS_PER_MS, NS_PER_US
from cmis_emu.errors import NotAvailableError


class Nack(IntEnum):
    """At which bytes a back end can refuse, each with those before it."""

    NEVER = 0
    ADDRESS = 1
    BYTE = 2


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one back end can do.

    max_hz: greatest clock rate; None for a bus without a clock. can_stretch: hold SCL low for as long as the module
    wants. can_nack: where it can refuse. exact_commit: it knows of each byte of a read whether it was clocked out.
    sees_stop: it tells STOP and repeated START from silence. holds_ns: how long it holds SCL low by its own slowness,
    at the worst that is expected. why: for each lack, by the name of the attribute, the reason. experimental: it has
    to be asked for by that word.
    """

    name: str
    max_hz: int | None
    can_stretch: bool
    can_nack: Nack
    exact_commit: bool
    sees_stop: bool
    why: dict[str, str]
    holds_ns: int = 0
    experimental: bool = False

    def reason(self, attribute: str) -> str:
        """Why it lacks that."""
        return self.why[attribute]


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody wants of a back end, beyond serving a module as well as it can.

    hz: to answer at that clock rate. stretch_ns: to hold the clock so long on purpose. nack: to refuse there on
    purpose. exact_commit, sees_stop: not to do without. experimental: and knows that it is.
    """

    hz: int | None = None
    stretch_ns: int = 0
    nack: Nack = Nack.NEVER
    exact_commit: bool = False
    sees_stop: bool = False
    experimental: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a request meets. refused: it cannot be had; else only a warning."""

    refused: bool
    text: str


def judge(back_end: Capabilities, request: Request) -> list[Finding]:
    """Everything that a request meets on a back end, refusals first."""
    found: list[Finding] = []

    def note(refused: bool, attribute: str, text: str) -> None:
        found.append(Finding(refused, f"{back_end.name}: {text}: {back_end.reason(attribute)}"))

    if back_end.experimental and not request.experimental:
        note(True, "experimental", "is experimental and off unless asked for as such")
    elif back_end.experimental:
        note(False, "experimental", "is experimental")
    if request.hz is not None and back_end.max_hz is not None and request.hz > back_end.max_hz:
        note(True, "max_hz", f"{_rate(request.hz)} is more than its {_rate(back_end.max_hz)}")
    if not back_end.can_stretch:
        if request.stretch_ns:
            note(True, "can_stretch", "cannot hold the clock")
        else:
            note(False, "can_stretch", "cannot hold the clock; a late byte is a wrong byte")
    elif request.stretch_ns > STRETCH_MAX_NS:
        found.append(
            Finding(False, f"{back_end.name}: {_time(request.stretch_ns)} of stretching is more than a module may")
        )
    if request.nack > back_end.can_nack:
        which = "a data byte" if request.nack is Nack.BYTE else "its address"
        note(True, "can_nack", f"cannot refuse {which}")
    elif back_end.can_nack is Nack.NEVER:
        note(False, "can_nack", "cannot refuse; reset, ModSelL and hold-off times do not show on the bus")
    elif back_end.can_nack is Nack.ADDRESS:
        note(False, "can_nack", "cannot refuse a data byte; what a write carries too much is acknowledged and dropped")
    if not back_end.exact_commit:
        text = "does not know which bytes were clocked out"
        note(request.exact_commit, "exact_commit", f"{text}; flags may clear unread, or late")
    if not back_end.sees_stop:
        note(request.sees_stop, "sees_stop", "does not see STOP; a write takes effect late")
    if back_end.holds_ns > STRETCH_MAX_NS:
        text = f"holds the clock up to {_time(back_end.holds_ns)}, and a module {_time(STRETCH_MAX_NS)} at most"
        note(False, "holds_ns", text)
    return sorted(found, key=lambda each: not each.refused)


def admit(back_end: Capabilities, request: Request) -> list[str]:
    """Warnings, for a request that can be had. Raises NotAvailableError with every reason for one that cannot."""
    found = judge(back_end, request)
    refusals = [each.text for each in found if each.refused]
    if refusals:
        raise NotAvailableError("; ".join(refusals))
    return [each.text for each in found]


def _rate(hz: int) -> str:
    return f"{hz / 1e6:g} MHz" if hz >= 1_000_000 else f"{hz / 1e3:g} kHz"


def _time(ns: int) -> str:
    return f"{ns / NS_PER_MS:g} ms" if ns >= NS_PER_MS else f"{ns / NS_PER_US:g} us"


_DESIGNWARE_NACK = "its I2C block acknowledges every byte while it is enabled, and is disabled between transfers only"

VIRTUAL = Capabilities("virtual", None, True, Nack.BYTE, True, True, {})
"""The bus in the process, and what serves it over sockets and USB/IP."""

WIRES = Capabilities(
    "wires", 1_000_000, True, Nack.BYTE, True, True, {"max_hz": "timing is known up to Fast-mode Plus"}
)
"""The simulated wires of `bits`."""

PICO = Capabilities(
    "pico",
    1_000_000,
    True,
    Nack.ADDRESS,
    True,
    True,
    {"max_hz": "its I2C block goes up to Fast-mode Plus", "can_nack": _DESIGNWARE_NACK},
)
"""RP2040 or RP2350 with firmware in C: SCL is held until the byte is there, and STOP and each byte are seen."""

PICO_MICROPYTHON = Capabilities(
    "pico-micropython",
    400_000,
    True,
    Nack.ADDRESS,
    True,
    True,
    {
        "max_hz": "its handlers need an estimated 20 to 60 us for a byte, which at 1 MHz stretches every byte manyfold",
        "can_nack": _DESIGNWARE_NACK,
    },
    holds_ns=60 * NS_PER_US,
)
"""The same with firmware in MicroPython."""

RPI_BSC = Capabilities(
    "rpi-bsc",
    100_000,
    False,
    Nack.NEVER,
    False,
    False,
    {
        "max_hz": "beyond it, a reply that comes late by one interrupt is wrong",
        "can_stretch": "the BSC slave has no clock stretching (BCM2835 peripherals manual, recalled)",
        "can_nack": "the BSC slave acknowledges its address by itself",
        "exact_commit": "bytes wait in a FIFO of 16, one of them fetched ahead",
        "sees_stop": "the BSC slave reports no START, STOP or address",
        "experimental": "its timing was only modelled, and depends on a core that does nothing else",
    },
    experimental=True,
)
"""A Raspberry Pi's own I2C slave, with a helper in C that polls it."""

FT232H_SLAVE = Capabilities(
    "ft232h",
    100_000,
    True,
    Nack.BYTE,
    True,
    True,
    {
        "max_hz": "its engine samples by commands of unknown duration, and the rate has to be declared",
        "holds_ns": "every decision waits for a USB round trip of 0.25 to 1 ms (estimated)",
        "experimental": "the chip has no slave mode; streams of its master engine take its place",
    },
    holds_ns=NS_PER_MS,
    experimental=True,
)
"""An FT232H that acts as a slave by command streams, holding SCL low wherever a decision is needed."""

BACK_ENDS = {each.name: each for each in (VIRTUAL, WIRES, PICO, PICO_MICROPYTHON, RPI_BSC, FT232H_SLAVE)}
"""By name. That a row is here says what a back end could do, not that it is there."""
