"""What the DR4 says of itself (rules ID-01, ID-12, ID-13, HOST-07) and whether it keeps its word."""

from __future__ import annotations

from typing import Any

import pytest
from cmis_host import DURATION_BOUND_S, Host
from dr4 import Variant, dr4_profile

from cmis_emu import Emulator

# ID-01: the bytes of real DR4 modules. Where this product differs, the reason stands beside it.
GOLDEN_00H = {203: 0x0C, 210: 0xF0, 212: 0x06}
GOLDEN_01H = {
    132: 0x05,  # 0.5 km
    138: 0x66,  # 1311 nm in 0.05 nm
    139: 0x6C,
    140: 0x05,  # 6.5 nm in 0.005 nm
    141: 0x14,
    145: 0xC0,  # cooled; pairs of lanes are clocked apart, four breakout legs
    157: 0x07,
    158: 0x06,
    159: 0x0B,
    160: 0x07,
    161: 0x09,
    168: 0x55,
}
DIFFERENT = {
    (0x00, 200): (0x80, 0xA0, "class 6: the emulated laser and DSP draw up to 12 W, over the 10 W of class 5"),
    (0x00, 201): (0x28, 0x30, "12 W, as the class"),
    (0x01, 142): (0x24, 0x64, "VDM is there as well"),
    (0x01, 144): (0x77, 0x57, "deinitialisation takes 150 ms here, below 500 ms"),
    (0x01, 155): (0x2F, 0x2E, "polarity flip of the Tx input is not modelled yet, so it is not advertised"),
    (0x01, 156): (0x07, 0x06, "nor is polarity flip of the Rx output"),
    (0x01, 162): (0x1D, 0x3D, "staged set 1 is there"),
    (0x01, 167): (0x58, 0x57, "power-up takes 1.5 s here, below 5 s"),
}

# ID-13: pages 10h and 11h of a real DR4 with its data path activated.
GOLDEN_10H = {145: "10" * 8, 153: "ff", 156: "00" * 4, 160: "ffff", 162: "33" * 4, 166: "00" * 4, 170: "22" * 4}
GOLDEN_11H = {
    128: "44" * 4,
    202: "00" * 4,
    206: "10" * 8,
    214: "ff",
    221: "ffff",
    223: "33" * 4,
    231: "22" * 4,
    240: "1122334400000000" * 2,
}


def text(raw: bytes) -> str:
    return raw.decode("ascii").rstrip(" ")


@pytest.mark.rule("ID-01")
def test_identity_of_the_dr4(host: Host) -> None:
    lower = host.read(0, 0, 128)
    assert lower[0] == 0x18
    assert 0x40 <= lower[1] <= 0x53
    assert lower[2] & 0x80 == 0
    assert lower[85] == 0x02
    assert lower[86:98] == bytes.fromhex("111C8401 0D142155 FF000000")
    assert host.read(1, 176, 3) == bytes([0x01, 0x0F, 0])
    page = host.read(0, 128, 128)
    assert page[0] == 0x18
    for at, value in GOLDEN_00H.items():
        assert page[at - 128] == value, at
    assert text(page[1:17])
    assert text(page[20:36])
    assert text(page[38:54])
    page = host.read(1, 128, 128)
    for at, value in GOLDEN_01H.items():
        assert page[at - 128] == value, at


@pytest.mark.rule("ID-01", "ID-13")
def test_differences_from_real_modules_are_known(host: Host) -> None:
    for (page, at), (golden, ours, reason) in DIFFERENT.items():
        assert host.byte(page, at) == ours, (hex(page), at)
        assert golden != ours, (hex(page), at)
        assert reason, (hex(page), at)


@pytest.mark.rule("ID-13", "APP-06", "APP-09")
def test_default_values_of_pages_10h_and_11h(emu: Emulator, host: Host) -> None:
    emu.clock.advance(1)
    for page, golden in ((0x10, GOLDEN_10H), (0x11, GOLDEN_11H)):
        for at, value in golden.items():
            assert host.read(page, at, len(value) // 2).hex() == value, (hex(page), at)
    assert host.output_rx() == 0xFF
    assert host.output_tx() == 0x0F  # revision 5.2 has the output status, which the 4.0 images lack


@pytest.mark.rule("ID-13", "MON-01")
def test_readings_are_those_of_a_working_dr4(emu: Emulator, host: Host) -> None:
    """Real ones: Tx 1.5 to 1.6 mW, bias 62 to 78 mA, laser 55 degC, Vcc 3.25 V. Here: the same kind of numbers."""
    emu.clock.advance(60)
    assert 20 < int.from_bytes(host.read(0, 14, 2), "big", signed=True) / 256 < 70
    assert 3.135 < int.from_bytes(host.read(0, 16, 2), "big") * 1e-4 < 3.465
    assert 30 < int.from_bytes(host.read(0, 20, 2), "big", signed=True) / 256 < 70
    for lane in range(1, 5):
        assert 500 < host.tx_power_uw(lane) < 2500
        bias_ma = int.from_bytes(host.read(0x11, 170 + 2 * (lane - 1), 2), "big") * 2e-3
        assert 30 < bias_ma < 110
    host.read(0, 8, 6)
    host.read(0x11, 134, 20)
    emu.clock.advance(1)
    assert host.read(0, 9, 5) == bytes(5)  # nothing is out of its limits
    assert host.read(0x11, 135, 19) == bytes(19)


@pytest.mark.rule("ID-13", "FLG-12")
def test_thresholds_are_ordered(host: Host) -> None:
    """High alarm, low alarm, high warning, low warning."""
    signed = {128, 136 + 8, 152}
    for at in (128, 136, 152, 176, 184, 192):
        raw = host.read(2, at, 8)
        row = [int.from_bytes(raw[n : n + 2], "big", signed=at in signed) for n in (0, 2, 4, 6)]
        assert row[0] > row[2] > row[3] > row[1], at


@pytest.mark.rule("ID-12")
def test_power_class_fits_the_maximum(host: Host) -> None:
    limits_w = [1.5, 3.5, 7, 8, 10, 12, 14, float("inf")]
    code = host.byte(0, 200) >> 5
    watts = host.byte(0, 201) * 0.25
    assert watts <= limits_w[code]
    assert code == 0 or watts > limits_w[code - 1]


@pytest.mark.rule("HOST-07")
def test_bias_needs_no_multiplier(host: Host) -> None:
    assert host.byte(1, 160) >> 3 & 3 == 0
    assert max(host.read(2, 184, 2)) * 2e-3 * 256 < 131


@pytest.mark.rule("NUM-05", "ID-01")
def test_checksums(host: Host) -> None:
    for page, first, last, at in ((0, 128, 221, 222), (1, 130, 254, 255), (2, 128, 254, 255)):
        assert host.byte(page, at) == sum(host.read(page, first, last - first + 1)) & 0xFF, page


@pytest.mark.rule("NUM-05")
def test_checksum_follows_a_change_by_the_vendor(emu: Emulator, host: Host) -> None:
    emu.ports["1"].module.set("VendorSN", "X123")
    assert text(host.read(0, 166, 16)) == "X123"
    assert host.byte(0, 222) == sum(host.read(0, 128, 94)) & 0xFF


@pytest.mark.rule("NUM-03", "ID-01")
def test_texts_are_printable_and_padded(host: Host) -> None:
    for at, length in ((129, 16), (148, 16), (164, 2), (166, 16), (182, 2), (184, 2), (186, 2), (188, 2), (190, 10)):
        raw = host.read(0, at, length)
        assert all(0x20 <= byte < 0x7F for byte in raw), at


CODES = {"ModulePwrUp": (167, 0), "ModulePwrDn": (167, 4), "DPInit": (144, 0), "DPDeinit": (144, 4)}
CODES |= {"DPTxTurnOn": (168, 0), "DPTxTurnOff": (168, 4)}


@pytest.mark.rule("MSM-07", "DP-12")
@pytest.mark.parametrize("phase", CODES)
@pytest.mark.parametrize(
    ("ms", "code"),
    [
        (0, 0),
        (0.999, 0),
        (1, 1),
        (4.9, 1),
        (5, 2),
        (10, 3),
        (50, 4),
        (100, 5),
        (499, 5),
        (500, 6),
        (1000, 7),
        (5000, 8),
        (10_000, 9),
        (60_000, 10),
        (300_000, 11),
        (600_000, 12),
        (3_000_000, 13),
    ],
)
def test_every_duration_code_follows_from_the_profile(variant: Variant, phase: str, ms: float, code: int) -> None:
    def edit(profile: dict[str, Any]) -> None:
        profile["durations_ms"][phase] = ms

    emu = variant(edit, settle=False, pins={"LPMode": True})
    emu.clock.advance(0.5)
    at, shift = CODES[phase]
    found = Host(emu.smbus(1)).byte(1, at) >> shift & 15
    assert found == code
    assert ms / 1000 < DURATION_BOUND_S.get(found, float("inf"))


@pytest.mark.rule("ID-01")
def test_profile_durations_are_all_advertised() -> None:
    assert set(dr4_profile()["durations_ms"]) == {*CODES, "MgmtInit"}
