"""The sheet's figures as a host reads them: VDM of a DR4 link over the bus (optics model, sections 5 and 6)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cmis_host import Host

from cmis_emu import Emulator, ManualClock
from cmis_emu.physics.units import w_to_dbm
from cmis_emu.registers.encoding import decode_f16

ESNR, LTP, BER_MIN, BER_MAX, BER_AVG, BER, FERC = 5, 7, 9, 11, 13, 15, 23  # types of the media side (VDM-10)
LANES = (1, 2, 3, 4)

VDM = (
    "vdm:",
    "  groups:",
    "  - - {observable: [esnr_media, pam4_level_transition_media], lanes: 4}",
    "    - {observable: [pre_fec_ber_minimum_media, pre_fec_ber_maximum_media], lanes: 4}",
    "    - {observable: [pre_fec_ber_average_media, pre_fec_ber_current_media], lanes: 4}",
    "  - - {observable: ferc_current_media, data_paths: [1, 3, 5, 7]}",
)

Build = Callable[..., Emulator]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """A pair of DR4 whose units do not differ: (loss in dB, ports' profile is one 400G path) -> a warm link."""
    made: list[Emulator] = []
    lines = ["profile: nominal", "base: qsfpdd-400g-dr4", "title: DR4 as the sheet has it", "plant:"]
    spreads = ("tx_spread_db", "tdecq_spread_db", "bias_spread", "power_noise_db")
    path = tmp_path / "nominal.yaml"

    def link(loss_db: float, *plant: str) -> Emulator:
        path.write_text("\n".join([*lines, *(f"  {name}: 0.0" for name in spreads), *plant, *VDM]) + "\n")
        ports = {name: {"profile": str(path), "bus": n} for n, name in enumerate("ab", 1)}
        fibres = {"a-b": {"from": "a", "to": "b", "length_m": 500, "loss_db": loss_db}}
        emu = Emulator.load({"version": 1, "ports": ports, "fibres": fibres}, clock=ManualClock())
        made.append(emu)
        emu.settle()
        emu.clock.advance(1000)
        return emu

    yield link
    for emu in made:
        emu.close()


def observe(host: Host, kind: int) -> dict[int, float]:
    """Value by resource (1-based) of all instances of one observable type, found by their descriptors."""
    found: dict[int, float] = {}
    for group in range((host.byte(0x2F, 128) & 3) + 1):
        descriptors = host.read(0x20 + group, 128, 128)
        codes = struct.unpack(">64H", host.read(0x24 + group, 128, 128))
        for index, code in enumerate(codes):
            if descriptors[2 * index + 1] == kind:
                resource = (descriptors[2 * index] & 15) + 1
                found[resource] = code / 256 if kind in (ESNR, LTP) else decode_f16(code)
    assert found, f"no instance of type {kind}"
    return found


def rx_power_uw(host: Host, lane: int) -> float:
    return int.from_bytes(host.read(0x11, 184 + 2 * lane, 2)) / 10


def hosts(emu: Emulator) -> tuple[Host, Host]:
    return Host(emu.smbus(1)), Host(emu.smbus(2))


@pytest.mark.parametrize(
    ("loss_db", "rx_dbm", "esnr_db", "ber", "cer"),
    [
        (3.0, -1.47, 22.30, 1.02e-08, 0.0),
        (6.0, -4.47, 19.13, 2.20e-05, 0.0),
        (7.0, -5.47, 17.67, 2.40e-04, 8.15e-13),
        (7.5, -5.97, 16.88, 6.76e-04, 1.4e-06),
    ],
)
def test_the_link_at_four_losses(
    build: Build, loss_db: float, rx_dbm: float, esnr_db: float, ber: float, cer: float
) -> None:
    emu = build(loss_db)
    _, host = hosts(emu)
    for lane in LANES:
        assert w_to_dbm(rx_power_uw(host, lane) * 1e-6) == pytest.approx(rx_dbm, abs=0.01)
        assert observe(host, ESNR)[lane] == pytest.approx(esnr_db, abs=0.015)
        assert observe(host, BER)[lane] == pytest.approx(ber, rel=0.02)
    ferc = observe(host, FERC)[1]
    if cer:
        assert ferc == pytest.approx(cer, rel=0.25)  # the 16th power of the error ratio
    else:
        assert ferc < 1e-20


def test_errors_in_bursts_spoil_more_codewords(build: Build) -> None:
    """A DFE's tail at the limit of the FEC, two codewords interleaved: 2.0e-9 of them, not 8.15e-13."""
    emu = build(7.0, "  receiver: {burst_continuation: 0.75}")
    _, host = hosts(emu)
    assert observe(host, BER)[1] == pytest.approx(2.40e-4, rel=0.02)  # as many bits are wrong
    assert observe(host, FERC)[1] == pytest.approx(2.0e-9, rel=0.2)


def test_statistics_follow_a_fault(build: Build) -> None:
    """A fibre that is bad for a while: the minimum remembers before, the maximum during, the current value after."""
    emu = build(3.0)
    _, host = hosts(emu)
    host.write(0x2F, 144, 0x80)
    emu.clock.advance(0.02)
    host.write(0x2F, 144, 0)
    emu.clock.advance(10)
    emu.fibres["a-b"].loss_db = 6.0
    emu.clock.advance(10)
    emu.fibres["a-b"].loss_db = 3.0
    emu.clock.advance(10)
    host.write(0x2F, 144, 0x80)
    emu.clock.advance(0.02)
    assert observe(host, BER_MIN)[1] == pytest.approx(1.02e-8, rel=0.03)
    assert observe(host, BER_MAX)[1] == pytest.approx(2.20e-5, rel=0.03)
    assert observe(host, BER_AVG)[1] == pytest.approx(2.20e-5 / 3, rel=0.08)
    assert observe(host, BER)[1] == pytest.approx(1.02e-8, rel=0.03)


@pytest.mark.parametrize(
    ("loss_db", "rx_dbm", "esnr_db", "ber"),
    [(5.5, -3.97, 19.8, 5.9e-6), (7.5, -5.97, 16.9, 6.8e-4)],
)
def test_dirty_connectors(build: Build, loss_db: float, rx_dbm: float, esnr_db: float, ber: float) -> None:
    emu = build(3.0)
    _, host = hosts(emu)
    emu.fibres["a-b"].loss_db = loss_db
    emu.clock.advance(5)
    assert w_to_dbm(rx_power_uw(host, 1) * 1e-6) == pytest.approx(rx_dbm, abs=0.01)
    assert observe(host, ESNR)[1] == pytest.approx(esnr_db, abs=0.06)
    assert observe(host, BER)[1] == pytest.approx(ber, rel=0.05)


def test_a_failed_cooler_at_the_far_end(build: Build) -> None:
    emu = build(3.0)
    near, host = hosts(emu)
    emu.clock.advance(3600)
    emu.ports["a"].module.plant.set_tec_failed(True)
    emu.clock.advance(120)
    assert emu.ports["a"].module.get("LaserBiasTx", lane=1) * 1e3 == pytest.approx(83, abs=1.5)
    assert observe(host, ESNR)[1] == pytest.approx(18.5, abs=0.1)
    assert observe(host, BER)[1] == pytest.approx(7.6e-5, rel=0.15)
    assert rx_power_uw(near, 1) == pytest.approx(rx_power_uw(host, 1) * 10**0.15, rel=0.01)


def test_darkness_reads_so(build: Build) -> None:
    emu = build(3.0)
    _, host = hosts(emu)
    emu.fibres["a-b"].cut()
    emu.clock.advance(2)
    assert rx_power_uw(host, 1) == 0
    assert observe(host, ESNR)[1] == 0.0
    assert observe(host, BER)[1] == pytest.approx(0.5, rel=0.01)
    assert observe(host, FERC)[1] == 1.0
