"""What each product says of itself (rules ID-02 to ID-05, ID-07 to ID-11, REV-01), and where it differs from real ones.

Bytes are typed from the rules and compared through the bus. The DR4 has a file of its own, test_identity.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from beside import DUMPS, needs_images
from cmis_host import APPLY_IMMEDIATE, DP_DEINIT, SUCCESS, Host

from cmis_emu import Emulator, ManualClock
from cmis_emu.module.profile.library import load_profile, profile_names
from cmis_emu.registers.dump import read_dump

Open = Callable[[str], Host]


@pytest.fixture
def module() -> Iterator[Open]:
    """`module(name)`: a host on the bus of that product, which is at rest."""
    loaded: list[Emulator] = []

    def build(name: str) -> Host:
        emu = Emulator.load(name, clock=ManualClock(), seed=1)
        loaded.append(emu)
        emu.settle()
        emu.clock.advance(1)
        return Host(emu.smbus(1))

    yield build
    for emu in loaded:
        emu.close()


def descriptors(host: Host, flat: bool = False) -> list[str]:
    """The list as a host walks it, up to its end mark; behind that only FFh 00h 00h 00h (APP-01)."""
    raw = host.read(0, 86, 32) + (b"" if flat else host.read(1, 223, 28))
    rows = [raw[at : at + 4].hex(" ").upper() for at in range(0, len(raw), 4)]
    end = rows.index("FF 00 00 00")
    assert rows[end:] == ["FF 00 00 00"] * (len(rows) - end)
    return rows[:end]


def options(host: Host, count: int) -> str:
    """Media lane assignment options of the first `count` applications; the rest are 0."""
    raw = host.read(1, 176, 15)
    assert raw[count:] == bytes(15 - count)
    return raw[:count].hex(" ").upper()


def check(host: Host, page: int, expected: dict[int, int]) -> None:
    for at, value in expected.items():
        assert host.byte(page, at) == value, (hex(page), at)


LANE_MAP_FR4 = "11 21 31 41 00 00 00 00"


@pytest.mark.rule("ID-02", "APP-09")
def test_identity_of_the_fr4(module: Open) -> None:
    host = module("qsfpdd-400g-fr4")
    check(host, 0, {0: 0x18, 1: 0x52, 2: 0x04, 85: 0x02})
    check(host, 0, {128: 0x18, 200: 0xA0, 201: 0x30, 203: 0x07, 210: 0xF0, 212: 0x06})
    check(host, 1, {132: 0x42, 138: 0x65, 139: 0xA4, 140: 0x1B, 141: 0xEE})
    assert descriptors(host) == ["11 1D 84 01", "0F 18 44 01"]
    assert options(host, 2) == "01 01"
    for at in (240, 248):
        assert host.read(0x11, at, 8).hex(" ") == LANE_MAP_FR4


@pytest.mark.rule("ID-03", "APP-09")
def test_identity_of_the_lr4(module: Open) -> None:
    host = module("qsfpdd-400g-lr4")
    check(host, 0, {0: 0x18, 1: 0x40, 2: 0x04, 85: 0x02})
    check(host, 0, {128: 0x18, 200: 0xA0, 201: 0x30, 203: 0x07, 210: 0xF0, 212: 0x06})
    check(host, 1, {132: 0x4A, 138: 0x65, 139: 0xA4, 140: 0x1B, 141: 0xEE})
    assert descriptors(host) == ["11 1E 84 01", "11 43 84 01"]
    assert options(host, 2) == "01 01"
    for at in (240, 248):
        assert host.read(0x11, at, 8).hex(" ") == LANE_MAP_FR4


@pytest.mark.rule("ID-06", "APP-08")
def test_identity_of_the_zr(module: Open) -> None:
    """Without C-CMIS (01h:142.4); the multiplexed application is a network path (01h:142.7)."""
    host = module("qsfpdd-400g-zr")
    check(host, 0, {0: 0x18, 1: 0x52, 2: 0x04, 85: 0x02})
    check(host, 0, {128: 0x18, 200: 0xE0, 201: 0x50, 203: 0x07, 210: 0xFE, 212: 0x10})
    check(host, 1, {132: 0x8C, 138: 0x78, 139: 0xEA, 142: 0xE4, 144: 0x5A, 145: 0xE1, 155: 0xC3, 160: 0x17})
    assert descriptors(host) == ["11 3E 81 01", "11 3F 81 01", "0D 3E 21 55"]
    assert options(host, 3) == "01 01 01"
    assert host.read(0x11, 240, 8).hex(" ") == host.read(0x11, 248, 8).hex(" ") == "11 00 00 00 00 00 00 00"
    host.select(0x20)
    kinds = {row[1] for row in zip(*[iter(host.read(0x20, 128, 128))] * 2, strict=True)} - {0}
    assert kinds >= {3, 9, 11, 13, 15, 17, 19, 21, 23, *range(134, 148)}


@pytest.mark.rule("ID-04", "APP-03")
def test_identity_of_the_dr8(module: Open) -> None:
    host = module("osfp-800g-dr8")
    check(host, 0, {0: 0x19, 1: 0x51, 85: 0x02})
    check(host, 0, {128: 0x19, 200: 0xE0, 201: 0x42, 203: 0x28, 210: 0x00, 212: 0x06})
    check(host, 1, {132: 0x05, 138: 0x66, 139: 0x6C, 140: 0x05, 141: 0x14})
    rows = descriptors(host)
    assert rows[:4] == ["51 56 88 01", "52 56 88 01", "4F 1C 44 11", "50 1C 44 11"]
    assert rows[4:] == ["4D C0 22 55", "4B 14 11 FF", "4C 14 11 FF"]
    assert options(host, 7) == "01 01 11 11 55 FF FF"
    for at in (240, 248):
        assert host.read(0x11, at, 8).hex(" ") == "11 22 33 44 55 66 77 88"


@pytest.mark.rule("ID-05", "APP-01", "APP-03")
def test_identity_of_the_2xfr4(module: Open) -> None:
    host = module("osfp-800g-2xfr4")
    check(host, 0, {0: 0x19, 1: 0x50, 85: 0x02})
    check(host, 0, {128: 0x19, 200: 0xE0, 201: 0x40, 203: 0x07, 210: 0x00, 212: 0x06})
    check(host, 1, {132: 0x43, 138: 0x65, 139: 0xA4, 140: 0x1B, 141: 0xEE})
    rows = descriptors(host)
    assert rows[:4] == ["50 1D 44 11", "0F 18 44 11", "4C 15 11 FF", "42 10 44 11"]
    assert rows[4:8] == ["4E C0 22 55", "52 00 88 01", "4F 1D 44 11", "4B 15 11 FF"]
    assert rows[8:] == ["51 00 88 01"]  # the ninth stands on page 01h, as in the real module
    assert options(host, 9) == "11 11 FF 11 55 01 11 FF 01"
    assert host.active() == [0x10] * 4 + [0x18] * 4  # ID-13: two data paths by default
    for at in (240, 248):
        assert host.read(0x11, at, 8).hex(" ") == "11 21 31 41 12 22 32 42"


@pytest.mark.rule("ID-07")
def test_identity_of_the_sr8(module: Open) -> None:
    host = module("qsfpdd-400g-sr8")
    check(host, 0, {0: 0x18, 1: 0x52, 85: 0x01})
    check(host, 0, {128: 0x18, 203: 0x28, 210: 0x00, 212: 0x00})
    check(host, 1, {132: 0, 133: 0, 134: 0x32, 135: 0x23, 136: 0, 138: 0x42, 139: 0x68})
    assert descriptors(host) == ["11 10 88 01", "0F 0E 44 11", "0D 0C 22 55", "0A 07 11 FF"]
    assert options(host, 4) == "01 11 55 FF"


@pytest.mark.rule("ID-08", "MSM-10", "PAGE-05")
def test_identity_of_the_copper_cable(module: Open) -> None:
    host = module("qsfpdd-400g-dac")
    check(host, 0, {0: 0x18, 1: 0x52, 2: 0x80, 3: 0x07, 85: 0x03})
    check(host, 0, {128: 0x18, 200: 0x00, 201: 0x01, 202: 0x05, 203: 0x23, 210: 0x00, 211: 0x02, 212: 0x0A})
    check(host, 0, {204: 4, 205: 5, 206: 7, 207: 21})
    assert descriptors(host, flat=True) == ["1D 01 88 01", "1C 01 44 11", "1B 01 22 55", "1A 01 44 11"]
    assert host.byte(0, 222) == sum(host.read(0, 128, 94)) & 0xFF
    for page in (1, 2, 0x10, 0x11):
        host.select(page)
        assert host.byte(0, 127) == 0


@pytest.mark.rule("ID-09", "PAGE-08")
def test_identity_of_the_active_optical_cable(module: Open) -> None:
    host = module("qsfpdd-400g-aoc")
    check(host, 0, {0: 0x18, 1: 0x52, 2: 0x04, 85: 0x04})
    check(host, 0, {128: 0x18, 202: 0x4A, 203: 0x23, 210: 0x00, 212: 0x00})
    assert descriptors(host) == ["11 03 88 01"]
    assert options(host, 1) == "01"
    assert host.read(1, 132, 5) == bytes(5)  # the length stands on page 00h
    for page in (1, 2, 0x10, 0x11):
        host.select(page)
        assert host.byte(0, 127) == page


@pytest.mark.rule("ID-09", "MON-02", "APP-03")
def test_identity_of_the_active_electrical_cable(module: Open) -> None:
    host = module("osfp-800g-aec")
    check(host, 0, {0: 0x19, 1: 0x51, 85: 0x04})
    check(host, 0, {128: 0x19, 200: 0xA0, 201: 0x30, 202: 0x0F, 203: 0x23, 210: 0x00, 211: 0x02, 212: 0x0C})
    check(host, 1, {160: 0x00})
    rows = descriptors(host)
    assert rows[:4] == ["4B 04 11 FF", "4C 04 11 FF", "4D 04 22 55", "4E 04 22 55"]
    assert rows[4:] == ["4F 04 44 11", "50 04 44 11", "51 04 88 01", "52 04 88 01"]
    assert options(host, 8) == "FF FF 55 55 11 11 01 01"
    assert host.active() == [0x70] * 8  # ID-13
    assert host.read(0x10, 162, 12).hex() == "55555555" + "00000000" + "11111111"
    assert host.read(1, 132, 5) == bytes(5)  # the length stands on page 00h


@pytest.mark.rule("ID-10", "MSM-10")
def test_identity_of_the_loopback_plug(module: Open) -> None:
    host = module("qsfpdd-400g-loopback")
    check(host, 0, {0: 0x18, 1: 0x52, 2: 0x80, 3: 0x07, 85: 0x03})
    check(host, 0, {200: 0x00, 201: 0x01, 202: 0x00, 203: 0x23, 212: 0x0A})
    rows = descriptors(host, flat=True)
    assert rows == ["11 BF 88 01", "0F BF 44 11", "0D BF 22 55"]


@pytest.mark.rule("ID-11", "FLG-11")
def test_identity_of_the_linear_module(module: Open) -> None:
    host = module("osfp-800g-2xfr4-lpo")
    check(host, 0, {0: 0x19, 1: 0x51, 85: 0x02})
    check(host, 0, {128: 0x19, 200: 0x80, 201: 0x24, 203: 0x07, 210: 0x00, 212: 0x04})
    check(host, 1, {132: 0x05, 138: 0x65, 139: 0xA4, 140: 0x1B, 141: 0xEE, 160: 0x17})
    assert descriptors(host)[:2] == ["20 15 11 FF", "22 1D 44 11"]
    assert options(host, 3) == "FF 11 01"
    assert host.byte(1, 161) & 1 == host.byte(1, 162) & 1 == 0  # no clock recovery, so
    assert host.byte(1, 157) & 4 == host.byte(1, 158) & 4 == 0  # no loss of lock,
    assert host.read(0x10, 160, 2) == host.read(0x11, 221, 2) == bytes(2)  # and nothing to switch
    host.write(0x10, 160, 0xFF)
    assert host.byte(0x10, 160) == 0


@pytest.mark.rule("ID-04", "PAGE-09", "APP-09")
def test_identity_of_the_two_bank_module(module: Open) -> None:
    """Not a rule's product: an 800G DR8 in each bank."""
    host = module("osfpxd-1600g-2xdr8")
    check(host, 0, {0: 0x21, 1: 0x53, 85: 0x02})
    check(host, 0, {128: 0x21, 200: 0xE0, 201: 0x80, 203: 0x28, 210: 0x00, 212: 0x04})
    check(host, 1, {132: 0x05, 138: 0x66, 139: 0x6C, 142: 0x65, 156: 0x87})
    rows = descriptors(host)
    assert rows[:4] == ["51 56 88 01", "52 56 88 01", "4F 1C 44 11", "50 1C 44 11"]
    assert rows[4:] == ["4B 14 11 FF", "4C 14 11 FF"]
    assert options(host, 6) == "01 01 11 11 FF FF"
    assert host.active(0) == host.active(1) == [0x10] * 8
    assert host.read(0x11, 240, 16, bank=1) == bytes(16)


@pytest.mark.rule("ID-01", "APP-08")
def test_identity_of_the_single_lane_module(module: Open) -> None:
    """Not a rule's product: one lane of a DR4 behind four host lanes."""
    host = module("qsfp28-100g-dr1")
    check(host, 0, {0: 0x1E, 1: 0x52, 85: 0x02})
    check(host, 0, {128: 0x1E, 200: 0x40, 201: 0x12, 203: 0x07, 210: 0xFE, 212: 0x06})
    check(host, 1, {132: 0x05, 138: 0x66, 139: 0x6C, 140: 0x05, 141: 0x14, 145: 0x00})
    assert descriptors(host) == ["41 14 41 01", "0C 14 41 01"]
    assert options(host, 2) == "01 01"
    assert host.read(0x11, 240, 8) == host.read(0x11, 248, 8) == bytes([0x11, *[0] * 7])


# -- revisions --------------------------------------------------------------------------------------------------


@pytest.mark.rule("REV-01")
@pytest.mark.parametrize("name", profile_names())
def test_revisions_of_the_library(module: Open, name: str) -> None:
    """4.0 as many shipping LR4, 5.0 and 5.1 as 800G modules, 5.3 for the newest: a host meets them all."""
    host = module(name)
    expected = {"qsfpdd-400g-lr4": 0x40, "osfp-800g-2xfr4": 0x50, "osfpxd-1600g-2xdr8": 0x53}
    expected |= {"osfp-800g-dr8": 0x51, "osfp-800g-2xfr4-lpo": 0x51, "osfp-800g-aec": 0x51}
    found = host.byte(0, 1)
    assert found == expected.get(name, 0x52)
    if load_profile(name).flat:
        return
    absent = found < 0x50
    host.control(DP_DEINIT, 0xFF)
    status = bytes([0, 0]) if absent else None
    assert status is None or host.read(0x11, 132, 2) == status  # section 15: OutputStatus came with 5.0


@pytest.mark.rule("REV-01", "DP-06")
@pytest.mark.parametrize(("name", "pending"), [("qsfpdd-400g-lr4", 0), ("qsfpdd-400g-fr4", 0xFF)])
def test_pending_initialisation_came_with_5_0(name: str, pending: int) -> None:
    with Emulator.load(name, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        host = Host(emu.smbus(1))
        host.control(DP_DEINIT, 0xFF)
        emu.settle()
        host.apply(0xFF)
        emu.settle()
        assert host.status() == [SUCCESS] * 8
        assert host.pending() == pending
        host.apply(0xFF, APPLY_IMMEDIATE)
        emu.settle()
        assert host.status() == [SUCCESS] * 8


# -- against real modules ---------------------------------------------------------------------------------------

COMPARED = ((-1, 0, 2), (-1, 85, 117), (0x00, 128, 128), (0x00, 200, 212), (0x01, 132, 190), (0x01, 223, 250))
COMPARED += ((0x10, 153, 174), (0x11, 240, 255), (0x13, 128, 142))  # settings, lane mapping, diagnostics
"""Page (-1: lower), first and last byte: what a product is, without its maker's names and numbers."""

NO_PAGE_03H = "page 03h is not there; VDM and diagnostics are where they fit"
END = "unused rows are marked FFh here (APP-01); many modules leave zeros"
EQUALISER = "no fixed equaliser targets and no recall buffers: the adaptive equaliser does the work"
FAST_BUS = "1 MHz here"
NO_WAIT = "no wait after ModSelL"
FAILURE = "the laser failure flag is modelled"
POLARITY = "no polarity flips yet, and squelch by average power only"
UNUSED = tuple((1, at) for at in (223, 227, 231, 235, 239, 243, 247))

REAL: dict[str, tuple[str, dict[str, tuple[tuple[int, int], ...]]]] = {
    "qsfpdd-400g-fr4": (
        "400g-fr4-qsfpdd-fboss-composite",
        {
            "revision 5.2 in this library": ((-1, 1),),
            FAST_BUS: ((-1, 2),),
            "the composite goes on with applications of its vendor and of a DR4": (
                *((-1, at) for at in range(94, 110)),
                *((1, at) for at in (178, 179, 180)),
            ),
            END: ((-1, 114), *UNUSED),
            "2 km, as ID-02 says": ((1, 132),),
            NO_PAGE_03H: ((1, 142),),
            NO_WAIT: ((1, 143),),
            "deinitialisation below 100 ms, so that ModuleLowPwr is reached in time (MSM-12)": ((1, 144),),
            "and the power-down bound leaves room for it": ((1, 167),),
            "one clock for all lanes: no breakout (ID-02)": ((1, 145),),
            "what a bypassed CDR would save is not known": ((1, 152),),
            EQUALISER: ((1, 153), (1, 161)),
            FAILURE: ((1, 157),),
        },
    ),
    "qsfpdd-400g-lr4": (
        "400g-lr4-qsfpdd-cig",
        {
            END: (*((-1, at) for at in (98, 102, 106, 110, 114)), *UNUSED),
            "tolerance over the whole grid, as FR4 (ID-03)": ((1, 140), (1, 141)),
            NO_PAGE_03H: ((1, 142),),
            NO_WAIT: ((1, 143),),
            "Aux1 and Aux2 instead of Aux3, one clock for all lanes": ((1, 145), (1, 159)),
            "3.14 V, as most; Tx disable is not fast here": ((1, 150), (1, 151)),
            EQUALISER: ((1, 153), (1, 161)),
            POLARITY: ((1, 155), (1, 156)),
        },
    ),
    "osfp-800g-dr8": (
        "800g-dr8-osfp-juniper",
        {
            FAST_BUS: ((-1, 2),),
            "the widest application comes first (APP-06), and codes of that vendor are left out": (
                *((-1, at) for at in range(86, 118)),
                *((1, at) for at in range(176, 186)),
                *((1, at) for at in (223, 225, 226, 227, 229, 230)),
            ),
            END: tuple((1, at) for at in (235, 239, 243, 247)),
            NO_PAGE_03H: ((1, 142),),
            "no page 15h": ((1, 145),),
            POLARITY: ((1, 155), (1, 156)),
            "staged set 1 is there": ((1, 162),),
        },
    ),
    "osfp-800g-2xfr4": (
        "800g-2xfr4-osfp-fboss",
        {
            "all eight media lanes exist": ((0, 210),),
            NO_PAGE_03H: ((1, 142),),
            NO_WAIT: ((1, 143),),
            "eight 100G legs need a clock each": ((1, 145),),
            "from 0 degC": ((1, 147),),
            "how the output equaliser works is not known": ((1, 151),),
            EQUALISER: ((1, 153),),
            FAILURE: ((1, 157),),
            "neither Aux3 nor a custom monitor": ((1, 159),),
            "media lane options that fit the list (ID-05)": tuple((1, at) for at in range(180, 185)),
            END: tuple((1, at) for at in (231, 235, 239, 243, 247)),
        },
    ),
    "osfp-800g-2xfr4-lpo": (
        "800g-2xfr4-lpo-osfp-eoptolink",
        {
            FAST_BUS: ((-1, 2),),
            END: (*((-1, at) for at in (102, 106, 110, 114)), *UNUSED),
            NO_PAGE_03H: ((1, 142),),
            "deinitialisation below 500 ms, so that ModuleLowPwr is reached in time (MSM-12)": ((1, 144),),
            "from 0 degC": ((1, 147),),
            "how the output equaliser works is not known": ((1, 151),),
            "post-cursor codes up to 7, the last that the map names": ((1, 154),),
            EQUALISER: ((1, 153), (1, 157), (1, 161)),
            "two fibre pairs of four wavelengths, as the retimed 2xFR4": tuple(
                (0x11, at) for at in (*range(241, 248), *range(249, 256))
            ),
        },
    ),
    "osfp-800g-aec": (
        "800g-aec-osfp-credo-fboss",
        {
            FAST_BUS: ((-1, 2),),
            NO_PAGE_03H: ((1, 142),),
            POLARITY: ((1, 155), (1, 156)),
            END: UNUSED[1:],
            "no gates: no timers of lanes; engines on the line, no reference clock": (
                (0x13, 129),
                (0x13, 131),
                (0x13, 140),
            ),
        },
    ),
    "qsfpdd-400g-zr": (
        "400g-zr-qsfpdd-juniper-a",
        {
            "revision 5.2 in this library": ((-1, 1),),
            END: (*((-1, at) for at in (102, 106, 110, 114)), *UNUSED),
            "120 km, as 400ZR promises with amplifiers": ((1, 132),),
            "the multiplexed application is a network path, whose pages are there": ((1, 142),),
            NO_WAIT: ((1, 143),),
            "Aux1 and Aux2 tell of the cooler and the laser": ((1, 145), (1, 159)),
            "Tx disable is not fast here": ((1, 151),),
            "loss of lock is flagged": ((1, 158),),
            "CDB in the background, as a real 800G one": ((1, 163), (1, 165), (1, 166)),
            "no diagnostics on that one's page 13h, which is all zeros": tuple(
                (0x13, at) for at in (128, 129, 130, 131, 132, 133, 134, 136, 137, 138, 141, 142)
            ),
        },
    ),
    "qsfpdd-400g-dac": (
        "400g-cr8-dac-qsfpdd-mellanox",
        {
            "revision 5.2 in this library": ((-1, 1),),
            "the four applications of ID-08 only": tuple((-1, at) for at in range(102, 118)),
        },
    ),
}


@needs_images
@pytest.mark.rule("ID-02", "ID-03", "ID-04", "ID-05", "ID-06", "ID-08", "ID-11", "ID-13")
@pytest.mark.parametrize("name", REAL)
def test_differences_from_real_modules_are_known(module: Open, name: str) -> None:
    image, reasons = REAL[name]
    real, host = read_dump(DUMPS / f"{image}.hex"), module(name)
    differences = set()
    for page, first, last in COMPARED:
        if (page, 0) not in real:
            continue
        host.select(max(page, 0))
        if host.byte(0, 127) != max(page, 0):
            continue  # 01h tells whether a page is there
        ours = host.read(max(page, 0), first, last - first + 1)
        for at, value in enumerate(ours, first):
            if value != real[page, 0][at & 127]:
                differences.add((page, at))
    known = {place: reason for reason, places in reasons.items() for place in places}
    assert differences == set(known)
