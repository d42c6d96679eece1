"""Thresholds of real modules, as the optics model lists them, read from page 02h of the products like them."""

from __future__ import annotations

import math

import pytest
from cmis_host import Host

from cmis_emu import Emulator, ManualClock

VCC = (3.63, 3.46, 3.13, 2.97)
Row = tuple[float, float, float, float]  # high alarm, high warning, low warning, low alarm


def thresholds(host: Host, offset: int, *, signed: bool = False) -> Row:
    """Codes in the order of the sheet; page 02h has high alarm, low alarm, high warning, low warning."""
    raw = host.read(0x02, offset, 8)
    high_alarm, low_alarm, high, low = (int.from_bytes(raw[n : n + 2], "big", signed=signed) for n in (0, 2, 4, 6))
    return high_alarm, high, low, low_alarm


def dbm(codes: Row) -> list[float]:
    return [10 * math.log10(code * 1e-4) for code in codes]


@pytest.mark.parametrize(
    ("product", "temperature_c", "bias_ma", "tx_dbm", "rx_dbm"),
    [
        (
            "qsfpdd-400g-dr4",
            (80, 75, 0, -5),
            (120, 110, 30, 20),
            (6.99, 3.99, -2.90, -6.90),
            (6.99, 3.99, -5.90, -9.91),
        ),
        ("qsfpdd-400g-fr4", (80, 75, 0, -5), (120, 110, 30, 20), (7.3, 4.3, -3.2, -7.2), (7.3, 4.3, -7.2, -11.1)),
        ("osfpxd-1600g-2xdr8", (75, 72, -2, -5), (380, 352, 40, 32), (5.0, 4.5, -2.9, -3.4), (5.0, 4.5, -6.9, -8.9)),
        ("qsfpdd-400g-sr8", (75, 70, 0, -5), (10, 8.5, 3, 2), None, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_thresholds(product: str, temperature_c: Row, bias_ma: Row, tx_dbm: Row | None, rx_dbm: Row | None) -> None:
    with Emulator.load(product, clock=ManualClock()) as emu:
        emu.settle()
        host = Host(emu.smbus(1))
        multiplier = 1 << (host.byte(0x01, 160) >> 3 & 3)
        assert [code / 256 for code in thresholds(host, 128, signed=True)] == list(temperature_c)
        assert [code * 1e-4 for code in thresholds(host, 136)] == pytest.approx(VCC, abs=0.0051)
        assert [code * 2e-3 * multiplier for code in thresholds(host, 184)] == pytest.approx(bias_ma, abs=0.01)
        for offset, expected in ((176, tx_dbm), (192, rx_dbm)):
            if expected is not None:
                assert dbm(thresholds(host, offset)) == pytest.approx(expected, abs=0.005)
