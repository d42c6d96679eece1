"""A request beyond what a back end can do is refused, or warned about, with the reason."""

from __future__ import annotations

import dataclasses

import pytest

from cmis_emu.bus.capabilities import (
    BACK_ENDS,
    FT232H_SLAVE,
    PICO,
    PICO_MICROPYTHON,
    RPI_BSC,
    VIRTUAL,
    WIRES,
    Capabilities,
    Nack,
    Request,
    admit,
    judge,
)
from cmis_emu.errors import NotAvailableError

ANYTHING = [
    Request(hz=hz, stretch_ns=stretch, nack=nack, exact_commit=sure, sees_stop=sure, experimental=agreed)
    for hz in (None, 100_000, 400_000, 1_000_000, 3_400_000)
    for stretch in (0, 1000, 10**9)
    for nack in Nack
    for sure in (False, True)
    for agreed in (False, True)
]


@pytest.mark.parametrize("back_end", BACK_ENDS.values(), ids=lambda each: each.name)
def test_every_request_gets_reasons(back_end: Capabilities) -> None:
    """No combination lacks its reason, refusals come first, and `admit` agrees with `judge`."""
    for request in ANYTHING:
        found = judge(back_end, request)
        assert all(each.text.startswith(f"{back_end.name}: ") for each in found)
        assert [each.refused for each in found] == sorted((each.refused for each in found), reverse=True)
        refusals = [each for each in found if each.refused]
        if refusals:
            with pytest.raises(NotAvailableError) as failure:
                admit(back_end, request)
            assert all(each.text in str(failure.value) for each in refusals)
        else:
            assert admit(back_end, request) == [each.text for each in found]


@pytest.mark.parametrize("back_end", BACK_ENDS.values(), ids=lambda each: each.name)
def test_a_reason_is_there_for_each_lack_and_no_other(back_end: Capabilities) -> None:
    lacks = {name for name in ("can_stretch", "exact_commit", "sees_stop") if not getattr(back_end, name)}
    lacks |= {"can_nack"} if back_end.can_nack < Nack.BYTE else set()
    lacks |= {"max_hz"} if back_end.max_hz is not None else set()
    lacks |= {"experimental"} if back_end.experimental else set()
    assert set(back_end.why) - {"holds_ns"} == lacks
    assert all(back_end.why.values())


def test_what_the_virtual_bus_meets() -> None:
    everything = Request(stretch_ns=1000, nack=Nack.BYTE, exact_commit=True, sees_stop=True)
    assert judge(VIRTUAL, everything) == []
    assert judge(WIRES, dataclasses.replace(everything, hz=1_000_000)) == []
    assert "more than a module may" in admit(VIRTUAL, Request(stretch_ns=501_000))[0]


@pytest.mark.parametrize(
    ("back_end", "request_", "reason"),
    [
        (PICO, Request(hz=3_400_000), "3.4 MHz is more than its 1 MHz"),
        (PICO, Request(nack=Nack.BYTE), "cannot refuse a data byte"),
        (PICO_MICROPYTHON, Request(hz=1_000_000), "1 MHz is more than its 400 kHz"),
        (RPI_BSC, Request(), "is experimental and off"),
        (RPI_BSC, Request(hz=400_000, experimental=True), "400 kHz is more than its 100 kHz"),
        (RPI_BSC, Request(stretch_ns=1, experimental=True), "has no clock stretching"),
        (RPI_BSC, Request(nack=Nack.ADDRESS, experimental=True), "cannot refuse its address"),
        (RPI_BSC, Request(exact_commit=True, experimental=True), "one of them fetched ahead"),
        (RPI_BSC, Request(sees_stop=True, experimental=True), "reports no START, STOP or address"),
        (FT232H_SLAVE, Request(hz=100_000), "the chip has no slave mode"),
        (FT232H_SLAVE, Request(hz=400_000, experimental=True), "more than its 100 kHz"),
    ],
)
def test_refusals(back_end: Capabilities, request_: Request, reason: str) -> None:
    with pytest.raises(NotAvailableError, match=reason):
        admit(back_end, request_)


@pytest.mark.parametrize(
    ("back_end", "request_", "warnings"),
    [
        (
            PICO,
            Request(hz=1_000_000, nack=Nack.ADDRESS, exact_commit=True, sees_stop=True),
            ["cannot refuse a data byte"],
        ),
        (
            RPI_BSC,
            Request(hz=100_000, experimental=True),
            ["is experimental", "cannot hold the clock", "cannot refuse", "clocked out", "does not see STOP"],
        ),
        (
            FT232H_SLAVE,
            Request(nack=Nack.BYTE, exact_commit=True, sees_stop=True, experimental=True),
            ["is experimental", "holds the clock up to 1 ms, and a module 500 us at most"],
        ),
    ],
)
def test_warnings(back_end: Capabilities, request_: Request, warnings: list[str]) -> None:
    found = admit(back_end, request_)
    assert len(found) == len(warnings)
    assert all(expected in text for expected, text in zip(warnings, found, strict=True)), found
