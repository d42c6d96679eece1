"""Flags, interrupt and monitors as a host sees them, with the physical world as the cause."""

from __future__ import annotations

import pytest
from cmis_host import Host

from cmis_emu import Emulator, ManualClock

PAIR = {
    "version": 1,
    "seed": 3,
    "ports": {
        "a": {"profile": "qsfpdd-400g-dr4", "bus": 1},
        "b": {"profile": "qsfpdd-400g-dr4", "bus": 2},
    },
    "fibres": {"a-b": {"from": "a", "to": "b", "loss_db": 3.0}},
}
LOS_TX, LOL_TX, LOS_RX, LOL_RX = 136, 137, 147, 148
RX_LOW_ALARM, RX_LOW_WARNING, TX_LOW_ALARM, BIAS_LOW_ALARM, FAILURE_TX = 150, 152, 140, 144, 135
MASK_FIRST, FLAG_FIRST = 213, 134


@pytest.fixture
def pair() -> Emulator:
    emu = Emulator.load(PAIR, clock=ManualClock())
    emu.settle()
    emu.clock.advance(1)
    for host in (Host(emu.smbus(1)), Host(emu.smbus(2))):
        drain(host)
    emu.clock.advance(1)
    return emu


def drain(host: Host) -> None:
    host.read(0, 8, 6)
    host.read(0x11, FLAG_FIRST, 20)


@pytest.mark.rule("FLG-01", "FLG-03")
def test_a_flag_latches_outlives_its_cause_and_clears_on_read(pair: Emulator) -> None:
    host = Host(pair.smbus(2))
    pair.fibres["a-b"].cut()
    pair.clock.advance(0.5)
    pair.fibres["a-b"].restore()
    pair.clock.advance(5)
    assert host.byte(0x11, LOS_RX) == 0x0F
    assert host.byte(0x11, LOS_RX) == 0


@pytest.mark.rule("FLG-02", "RST-09")
def test_a_lasting_condition_sets_its_flag_again_soon_but_not_at_once(pair: Emulator) -> None:
    host = Host(pair.smbus(2))
    pair.fibres["a-b"].cut()
    pair.clock.advance(0.3)
    assert host.byte(0x11, LOS_RX) == 0x0F
    assert host.byte(0x11, LOS_RX) == 0
    pair.clock.advance(0.2)
    assert host.byte(0x11, LOS_RX) == 0x0F
    assert not pair.ports["b"].pins.IntL


@pytest.mark.rule("FLG-08")
def test_rx_flags_count_media_lanes_and_tx_los_host_lanes(pair: Emulator) -> None:
    host = Host(pair.smbus(2))
    pair.ports["b"].set_host_signal(6, False)  # host lane 6 belongs to media lane 3
    pair.clock.advance(0.5)
    assert host.byte(0x11, LOS_TX) == 0x20
    assert host.byte(0x11, LOL_TX) == 0x20
    far = Host(pair.smbus(1))
    assert far.byte(0x11, LOS_RX) == 0x04  # auto squelch darkened media lane 3


@pytest.mark.rule("FLG-09")
def test_low_flags_need_an_operating_data_path(pair: Emulator) -> None:
    host = Host(pair.smbus(2))
    host.write(0x10, 128, 0xFF)  # DPDeinit
    pair.clock.advance(1)
    drain(host)
    pair.fibres["a-b"].cut()
    pair.clock.advance(1)
    flags = host.read(0x11, FLAG_FIRST, 20)
    assert flags[LOS_RX - FLAG_FIRST] == 0x0F  # any state
    assert flags[RX_LOW_ALARM - FLAG_FIRST] == flags[RX_LOW_WARNING - FLAG_FIRST] == 0
    assert flags[TX_LOW_ALARM - FLAG_FIRST] == flags[BIAS_LOW_ALARM - FLAG_FIRST] == 0
    assert flags[LOL_RX - FLAG_FIRST] == 0


@pytest.mark.rule("FLG-10", "RST-09")
def test_a_supply_dip_interrupts_in_low_power_too() -> None:
    ports = {"1": {"profile": "qsfpdd-400g-dr4", "bus": 1, "state": {"LPMode": True}}}
    with Emulator.load({"version": 1, "ports": ports}, clock=ManualClock()) as emu:
        emu.settle()
        host = Host(emu.smbus(1))
        drain(host)
        assert emu.ports["1"].pins.IntL
        emu.ports["1"].module.plant.set_supply(3.05)
        emu.clock.advance(0.2)
        assert not emu.ports["1"].pins.IntL
        assert host.byte(0, 9) == 0x80  # Vcc low warning


def test_an_interrupt_comes_with_nobody_polling(pair: Emulator) -> None:
    edges: list[tuple[float, bool]] = []
    pair.ports["b"].interrupt_listeners.append(lambda asserted: edges.append((pair.clock.now, asserted)))
    start = pair.clock.now
    pair.fibres["a-b"].cut()
    pair.clock.advance(10)
    assert [asserted for _, asserted in edges] == [True]
    assert edges[0][0] - start < 0.2


def test_a_failed_fan_warns_alarms_and_shuts_down_on_time() -> None:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=2) as emu:
        emu.settle()
        emu.clock.advance(3 * 3600)
        port, host = emu.ports["1"], Host(emu.smbus(1))
        drain(host)
        start = emu.clock.now
        port.module.plant.set_environment(airflow=0.1)
        times: dict[str, float] = {}
        seen = {0x04: "warning", 0x01: "alarm"}
        while "fault" not in times and emu.clock.now - start < 600:
            emu.clock.advance(0.5)
            if not port.pins.IntL:
                flags = host.byte(0, 9)
                for bit, name in seen.items():
                    if flags & bit:
                        times.setdefault(name, emu.clock.now - start)
            if host.module_state() == 5:
                times["fault"] = emu.clock.now - start
        assert times["warning"] == pytest.approx(193, abs=3)
        assert times["alarm"] == pytest.approx(264, abs=3)
        assert times["fault"] == pytest.approx(349, abs=3)
        assert host.byte(0, 41) == 6


@pytest.mark.rule("MON-03", "MON-04")
def test_a_laser_that_is_off_and_a_dark_fibre_read_zero(pair: Emulator) -> None:
    near, far = Host(pair.smbus(1)), Host(pair.smbus(2))
    near.write(0x10, 130, 0x02)  # OutputDisableTx of media lane 2
    pair.clock.advance(0.5)
    words = [int.from_bytes(near.read(0x11, at + 2, 2), "big") for at in (154, 170)]
    assert words == [0, 0]
    assert far.read(0x11, 186 + 2, 2) == b"\0\0"
    assert int.from_bytes(far.read(0x11, 186, 2), "big") > 5000


@pytest.mark.rule("MON-06")
def test_a_word_read_byte_by_byte_in_one_transaction_comes_from_one_sample(pair: Emulator) -> None:
    target = pair.buses[2].targets[0x50]
    whole = set()
    target.write(bytes((126, 0, 0x11)))
    for _ in range(200):
        assert target.start(read=False)
        assert target.write_byte(154)
        assert target.start(read=True)
        found = bytearray()
        for _ in range(16):
            found.append(target.peek())
            target.commit()
            pair.clock.advance_ns(30_000_000)  # an age on the bus: several samples pass within the read
        target.end()
        words = [int.from_bytes(found[i : i + 2], "big") for i in range(0, 8, 2)]
        nominal = 14100
        assert all(abs(word - nominal) < 3000 for word in words)
        whole.add(tuple(words))
    assert len(whole) > 100


def test_readings_and_flags_do_not_depend_on_who_polls() -> None:
    quiet, busy = (Emulator.load(PAIR, clock=ManualClock(), seed=9) for _ in range(2))
    edges: dict[int, list[tuple[int, bool]]] = {0: [], 1: []}
    for index, emu in enumerate((quiet, busy)):
        listener = edges[index]
        clock = emu.clock
        emu.ports["b"].interrupt_listeners.append(lambda a, k=listener, c=clock: k.append((c.now_ns, a)))
    reader = Host(busy.smbus(2))

    def go(seconds: float) -> None:
        quiet.clock.advance(seconds)
        for _ in range(round(seconds / 0.01)):
            busy.clock.advance_ns(10_000_000)
            if reader.answers():
                reader.read(0x11, 154, 48)
                reader.read(0, 14, 8)

    go(5)
    for emu in (quiet, busy):
        emu.fibres["a-b"].loss_db = 7.35  # Rx power at the warning threshold: noise decides
    go(3)
    ends = [Host(emu.smbus(2)) for emu in (quiet, busy)]
    assert ends[0].read(0x11, 134, 68) == ends[1].read(0x11, 134, 68)
    assert ends[0].read(0, 3, 20) == ends[1].read(0, 3, 20)
    assert edges[0] == edges[1]
    for emu in (quiet, busy):
        emu.close()


def test_a_settled_module_schedules_nothing() -> None:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(24 * 3600)
        assert emu.clock.pending() == []


def test_a_dead_laser_is_a_tx_fault_and_an_old_one_is_not(pair: Emulator) -> None:
    module, host = pair.ports["b"].module, Host(pair.smbus(2))
    module.plant.set_ageing(1, 3.0)
    pair.clock.advance(1)
    flags = host.read(0x11, FLAG_FIRST, 20)
    assert flags[142 - FLAG_FIRST] == 0x01  # Tx power low warning
    assert flags[FAILURE_TX - FLAG_FIRST] == 0
    assert int.from_bytes(host.read(0x11, 170, 2), "big") * 2e-3 == pytest.approx(120, abs=0.3)
    module.plant.set_laser_failed(2, True)
    pair.clock.advance(1)
    assert host.byte(0x11, FAILURE_TX) == 0x02
