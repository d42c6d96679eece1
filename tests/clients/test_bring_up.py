"""SONiC's bring-up as independent host code: the access order of its port daemon, nothing of the emulator inside.

Every write is one byte, as its kernel driver makes it; each access to a page other than 00h selects the page
and puts page 00h back. States advance once per round; the time limits are those that the module advertises.
Each class and number below is typed from the standard.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from cmis_emu import Emulator, ManualClock

ADDRESS = 0x50
POLL_S = 0.020
BOUND_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 600.0, 3000.0)

DEACTIVATED, ACTIVATED, INITIALIZED = 1, 4, 7
READY = 3
CONFIG_SUCCESS = 1


class Bus(Protocol):
    """The part of smbus2.SMBus that this host uses."""

    def read_byte_data(self, i2c_addr: int, register: int) -> int: ...
    def write_byte_data(self, i2c_addr: int, register: int, value: int) -> None: ...
    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> list[int]: ...


class Optoe:
    """Page access as the kernel driver does it: page 00h stays selected between accesses."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.transactions = 0

    def read(self, page: int, offset: int, length: int = 1) -> list[int]:
        if page:
            self._select(page)
        found: list[int] = []
        while len(found) < length:
            found += self.bus.read_i2c_block_data(ADDRESS, offset + len(found), min(32, length - len(found)))
            self.transactions += 1
        if page:
            self._select(0)
        return found

    def byte(self, page: int, offset: int) -> int:
        return self.read(page, offset)[0]

    def write(self, page: int, offset: int, value: int) -> None:
        if page:
            self._select(page)
        self.bus.write_byte_data(ADDRESS, offset, value)
        self.transactions += 1
        if page:
            self._select(0)

    def _select(self, page: int) -> None:
        self.bus.write_byte_data(ADDRESS, 127, page)
        self.transactions += 1


@dataclass
class Port:
    """One logical port of a module: its application, its lanes, and where its bring-up stands."""

    cmis: Optoe
    now: Callable[[], float]
    app_sel: int
    host_mask: int
    media_mask: int
    state: str = "INSERTED"
    deadline_s: float = float("inf")
    times: dict[str, float] = field(default_factory=dict)

    @property
    def lanes(self) -> list[int]:
        return [lane for lane in range(8) if self.host_mask >> lane & 1]

    def nibbles(self, offset: int) -> list[int]:
        raw = self.cmis.read(0x11, offset, 4)
        return [raw[lane // 2] >> 4 * (lane % 2) & 15 for lane in self.lanes]

    def modify(self, page: int, offset: int, on: int, off: int) -> None:
        self.cmis.write(page, offset, self.cmis.byte(page, offset) & ~off & 0xFF | on)

    def enter(self, state: str, limit_s: float = float("inf")) -> None:
        self.state = state
        self.times[state] = self.now()
        self.deadline_s = self.now() + limit_s

    def step(self) -> None:
        """One visit of the daemon."""
        assert self.now() <= self.deadline_s, f"port {self.host_mask:#x} timed out in {self.state}"
        module_state = self.cmis.byte(0, 3) >> 1 & 7
        states = self.nibbles(128)
        getattr(self, f"in_{self.state.lower()}")(module_state, states)

    def in_inserted(self, _: int, __: list[int]) -> None:
        rows = self.cmis.read(0, 86, 32)
        self.cmis.read(1, 176, 75)
        self.cmis.read(0x11, 206, 8)
        row = rows[4 * (self.app_sel - 1) : 4 * self.app_sel]
        assert row[2] >> 4 == len(self.lanes)
        assert row[3] >> self.lanes[0] & 1
        self.enter("PRE_INIT_CHECK")

    def in_pre_init_check(self, _: int, states: list[int]) -> None:
        staged = [self.cmis.byte(0x10, 145 + lane) for lane in range(8)]
        status = self.nibbles(202)
        wanted = [self.config(lane) for lane in self.lanes]
        if (
            [staged[lane] for lane in self.lanes] == wanted
            and set(states) == {ACTIVATED}
            and set(status) == {CONFIG_SUCCESS}
        ):
            self.enter("READY")
        else:
            self.enter("DP_DEINIT")

    def config(self, lane: int) -> int:
        del lane
        return self.app_sel << 4 | self.lanes[0] << 1

    def in_dp_deinit(self, module_state: int, _: list[int]) -> None:
        everything = module_state == 1
        self.cmis.byte(0, 1)
        self.modify(0x10, 128, 0xFF if everything else self.host_mask, 0)
        assert self.cmis.byte(1, 155) & 0x02  # Tx disable is offered
        self.modify(0x10, 130, 0xFF if everything else self.media_mask, 0)
        self.cmis.byte(0, 200)
        self.modify(0, 26, 0, 0x50)
        deinit_s = BOUND_S[self.cmis.byte(1, 144) >> 4]
        power_up_s = BOUND_S[self.cmis.byte(1, 167) & 15]
        self.enter("AP_CONFIGURED", max(deinit_s, power_up_s))

    def in_ap_configured(self, module_state: int, states: list[int]) -> None:
        if module_state != READY or set(states) != {DEACTIVATED}:
            return
        for lane in self.lanes:
            self.cmis.write(0x10, 145 + lane, self.config(lane))
        self.cmis.write(0x10, 143, self.host_mask)
        self.enter("DP_INIT", 1.0)

    def in_dp_init(self, _: int, __: list[int]) -> None:
        if set(self.nibbles(202)) != {CONFIG_SUCCESS}:
            return
        if self.cmis.byte(0, 1) >> 4 >= 5:
            assert self.cmis.byte(0x11, 235) & self.host_mask == self.host_mask, "DPInitPending is gone"
        self.modify(0x10, 128, 0, self.host_mask)
        self.enter("DP_TXON", BOUND_S[self.cmis.byte(1, 144) & 15])

    def in_dp_txon(self, _: int, states: list[int]) -> None:
        if set(states) != {INITIALIZED}:
            return
        self.modify(0x10, 130, 0, self.media_mask)
        turn_on = self.cmis.byte(1, 168) & 15
        self.enter("DP_ACTIVATION", max(BOUND_S[turn_on], BOUND_S[self.cmis.byte(1, 144) & 15]))

    def in_dp_activation(self, _: int, states: list[int]) -> None:
        if set(states) == {ACTIVATED}:
            active = self.cmis.read(0x11, 206, 8)
            assert [active[lane] for lane in self.lanes] == [self.config(lane) for lane in self.lanes]
            self.enter("READY")

    def in_ready(self, _: int, __: list[int]) -> None:
        pass


class Release(Port):
    """The lead port of a breakout takes every lane out of the default application first: AppSel 0 on all."""

    def config(self, lane: int) -> int:
        del lane
        return 0

    def in_inserted(self, _: int, __: list[int]) -> None:
        self.enter("DP_DEINIT")

    def in_dp_init(self, _: int, __: list[int]) -> None:
        if set(self.nibbles(202)) == {CONFIG_SUCCESS}:
            assert self.cmis.read(0x11, 206, 8) == [0] * 8
            self.enter("READY")


def run(emu: Emulator, ports: list[Port], limit_s: float) -> float:
    """Visit the ports 20 ms apart until all are READY; seconds that it took."""
    start = emu.clock.now
    while any(port.state != "READY" for port in ports):
        for port in ports:
            port.step()
            emu.clock.advance(POLL_S)
        assert emu.clock.now - start < limit_s, [port.state for port in ports]
    return emu.clock.now - start


def power_on(lpmode: bool, *, settled: bool) -> tuple[Emulator, Optoe]:
    testbed = {
        "version": 1,
        "ports": {"1": {"profile": "qsfpdd-400g-dr4", "bus": 1, "state": {"LPMode": lpmode}}},
        "fibres": {"loop": {"from": "1", "to": "1"}},
    }
    emu = Emulator.load(testbed, clock=ManualClock(), seed=1)
    emu.clock.advance(2.0)  # the longest management initialisation
    if settled:
        emu.settle()
    return emu, Optoe(emu.smbus(1))


def advertised_s(cmis: Optoe) -> float:
    """The longest bring-up that the module's own figures allow, with the daemon's polls in between."""
    init, deinit = BOUND_S[cmis.byte(1, 144) & 15], BOUND_S[cmis.byte(1, 144) >> 4]
    power_up, turn_on = BOUND_S[cmis.byte(1, 167) & 15], BOUND_S[cmis.byte(1, 168) & 15]
    turn_off = BOUND_S[cmis.byte(1, 168) >> 4]
    return power_up + turn_off + deinit + init + turn_on + 1.0


STARTS = pytest.mark.parametrize(
    ("lpmode", "settled"),
    [(True, True), (False, False), (False, True)],
    ids=["low power", "still powering up", "already active"],
)


@pytest.mark.rule("HOST-01", "HOST-02", "CFG-12", "DP-15", "MSM-05")
@STARTS
def test_one_400g_port(lpmode: bool, settled: bool) -> None:
    emu, cmis = power_on(lpmode, settled=settled)
    with emu:
        port = Port(cmis, lambda: emu.clock.now, app_sel=1, host_mask=0xFF, media_mask=0x0F)
        limit_s = advertised_s(cmis)
        assert run(emu, [port], limit_s) < limit_s
        assert set(port.nibbles(128)) == {ACTIVATED}
        emu.clock.advance(1)
        assert cmis.byte(0x11, 133) == 0x0F
        # Posting the result starts the sequence once more; now everything fits, and nothing is touched.
        port.enter("INSERTED")
        assert run(emu, [port], 1.0) <= 3 * POLL_S
        assert cmis.byte(0x11, 133) == 0x0F


@pytest.mark.rule("HOST-01", "HOST-02", "CFG-09", "CFG-12", "DP-17")
@STARTS
def test_four_100g_ports_from_the_one_application_default(lpmode: bool, settled: bool) -> None:
    emu, cmis = power_on(lpmode, settled=settled)
    with emu:
        now = lambda: emu.clock.now  # noqa: E731
        limit_s = advertised_s(cmis)
        release = Release(cmis, now, app_sel=0, host_mask=0xFF, media_mask=0x0F)
        run(emu, [release], limit_s)
        ports = [Port(cmis, now, 2, 3 << 2 * leg, 1 << leg) for leg in range(4)]
        assert run(emu, ports, limit_s) < limit_s
        applied = [port.times["DP_INIT"] for port in ports]
        assert [b - a for a, b in itertools.pairwise(applied)] == pytest.approx([POLL_S] * 3)
        assert [set(port.nibbles(128)) for port in ports] == [{ACTIVATED}] * 4
        assert cmis.read(0x11, 206, 8) == [0x20, 0x20, 0x24, 0x24, 0x28, 0x28, 0x2C, 0x2C]
        emu.clock.advance(1)
        assert cmis.byte(0x11, 133) == 0x0F
        assert cmis.byte(0x11, 235) == 0


@pytest.mark.rule("HOST-01", "DP-16", "CFG-10")
def test_one_leg_again_while_the_others_carry_traffic() -> None:
    emu, cmis = power_on(False, settled=True)
    with emu:
        now = lambda: emu.clock.now  # noqa: E731
        run(emu, [Release(cmis, now, 0, 0xFF, 0x0F)], 20)
        ports = [Port(cmis, now, 2, 3 << 2 * leg, 1 << leg) for leg in range(4)]
        run(emu, ports, 20)
        emu.clock.advance(1)
        ports[2].enter("DP_DEINIT")
        while ports[2].state != "READY":
            ports[2].step()
            emu.clock.advance(POLL_S)
            assert cmis.byte(0x11, 133) | 0b0100 == 0x0F
            assert cmis.byte(0x11, 132) | 0x30 == 0xFF
            for other in (ports[0], ports[1], ports[3]):
                assert set(other.nibbles(128)) == {ACTIVATED}


@pytest.mark.rule("HOST-01", "MSM-12")
def test_low_power_by_software_and_back() -> None:
    """set_lpmode(True), then False: each within the bound that 01h:167 gives."""
    emu, cmis = power_on(False, settled=True)
    with emu:
        code = cmis.byte(1, 167)
        for on, off, state, bound_s in ((0x10, 0, 1, BOUND_S[code >> 4]), (0, 0x50, READY, BOUND_S[code & 15])):
            cmis.write(0, 26, cmis.byte(0, 26) & ~off & 0xFF | on)
            start = emu.clock.now
            while cmis.byte(0, 3) >> 1 & 7 != state:
                emu.clock.advance(POLL_S)
                assert emu.clock.now - start <= bound_s
