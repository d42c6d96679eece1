"""Loss of signal, loss of lock and the way back over the bus (optics model, section 5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cmis_host import ACTIVATED, DP_DEINIT, Host
from optical_link import ESNR, LANES, LOL_RX, LOS_RX, held, host_of, joined, nominal, observe, warm

from cmis_emu import Emulator
from cmis_emu.emulator import Snapshot

LOST, FOUND = 1.5339 + 13.0, 1.5339 + 11.5  # dB of loss at which the light is at -13 and at -11.5 dBm
ALL = list(LANES)


@pytest.fixture(scope="module")
def world(folder: Path) -> Iterator[tuple[Emulator, Snapshot]]:
    quick = {"groups": [[{"observable": "esnr_media", "lanes": 4}]], "fine_interval_ms": 10}
    profile = nominal(folder, vdm=quick, behaviour={"monitor_period_ms": 10})
    with warm(joined(profile)) as emu:
        yield emu, emu.snapshot()


@pytest.fixture
def link(link: Emulator) -> Emulator:
    """With the far module's flags read."""
    host_of(link, "b").read(0x11, 134, 20)
    return link


def test_loss_of_signal_has_hysteresis(link: Emulator, far: Host) -> None:
    """Lost below -13 dBm, which is 14.5 dB of loss; back above -11.5."""
    for loss_db, lost in (
        (LOST - 0.01, []),
        (LOST + 0.01, ALL),
        (FOUND + 0.01, ALL),
        (FOUND - 0.01, []),
        (LOST - 0.01, []),
    ):
        link.fibres["a-b"].loss_db = loss_db
        link.clock.advance(1)
        assert held(link, far, LOS_RX) == lost, loss_db


def test_loss_of_signal_is_seen_after_100_us_and_its_end_after_1_ms(link: Emulator, far: Host) -> None:
    link.fibres["a-b"].cut()
    link.clock.advance(99e-6)
    assert far.byte(0x11, LOS_RX) == 0
    link.clock.advance(2e-6)
    assert far.byte(0x11, LOS_RX) == 0x0F
    link.clock.advance(1)
    link.fibres["a-b"].restore()
    recovery = link.ports["b"].module.banks[0].signals.recovery
    link.clock.advance(0.99e-3)
    assert recovery.los == 0x0F
    link.clock.advance(0.02e-3)
    assert recovery.los == 0


def test_lock_has_hysteresis(link: Emulator, far: Host) -> None:
    """Lost below an eSNR of 12.5 dB, back above 14."""
    seen: dict[str, float] = {}
    for loss_db in (9.0, 9.5, 9.8, 9.9, 10.0, 10.1, 10.2, 9.9, 9.6, 9.4, 9.2, 9.1, 9.0, 8.9):
        link.fibres["a-b"].loss_db = loss_db
        link.clock.advance(3)
        esnr_db, lost = observe(far, ESNR)[1], held(link, far, LOL_RX) == ALL
        if lost:
            seen.setdefault("lost at", esnr_db)
        elif "lost at" in seen:
            seen.setdefault("back at", esnr_db)
        else:
            seen["held at"] = esnr_db
    assert seen["lost at"] < 12.5 <= seen["held at"]
    assert seen["held at"] - seen["lost at"] < 0.4
    assert 14.0 <= seen["back at"] < 14.4


def test_the_way_back_after_the_light_was_away(link: Emulator, far: Host) -> None:
    """From 6 dB with 0.12 s: 9.5, 12.8, 18.3, 21.2 and 22.3 dB after 0.1, 0.2, 0.4, 0.6 and 1 s."""
    link.fibres["a-b"].cut()
    link.clock.advance(1)
    link.fibres["a-b"].restore()
    link.clock.advance(1e-3)  # until the signal is seen
    passed = 0.0
    stale_db = {0.1: 0.35, 0.2: 0.35, 0.4: 0.25}  # what the adaptation does in the 10 ms of which a sample is old
    for after_s, esnr_db in ((0.1, 9.5), (0.2, 12.8), (0.4, 18.3), (0.6, 21.2), (1.0, 22.3)):
        link.clock.advance(after_s - passed)
        passed = after_s
        assert observe(far, ESNR)[1] == pytest.approx(esnr_db, abs=0.11 + stale_db.get(after_s, 0.0))


def test_the_first_adaptation_takes_three_times_as_long(link: Emulator, far: Host) -> None:
    """0.73 s from the first light after power-up to lock, where a mended fibre has 0.24 s."""

    def until_lock() -> float:
        start = link.clock.now
        while not link.ports["b"].module.banks[0].signals.recovery.has_lock(1):
            link.clock.advance(0.01)
            assert link.clock.now - start < 5
        return link.clock.now - start

    far.control(DP_DEINIT, 0xFF)
    link.ports["b"].pins.LPMode = True
    link.clock.advance(5)
    link.fibres["a-b"].cut()
    link.ports["b"].pins.LPMode = False
    far.control(DP_DEINIT, 0)
    link.settle()
    link.clock.advance(10)
    assert far.states() == [ACTIVATED] * 8
    link.fibres["a-b"].restore()
    first = until_lock()
    link.fibres["a-b"].cut()
    link.clock.advance(1)
    link.fibres["a-b"].restore()
    assert first == pytest.approx(3 * until_lock(), abs=0.03)
