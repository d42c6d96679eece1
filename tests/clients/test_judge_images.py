"""The real images beside the checkout, judged read-only: what the judge says is what their INDEX says is odd.

Expected failures are (check, rule, subject) with the reason; subjects end where the judge's own words go on.
Images are read in place; nothing of them is in the project.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from beside import DUMPS, FBOSS_DR4, needs_images
from click.testing import CliRunner, Result

from cmis_emu.cli.check import _image
from cmis_emu.cli.main import cli
from cmis_emu.judge.check import Level, Verdict
from cmis_emu.judge.report import Report
from cmis_emu.judge.run import judge
from cmis_emu.registers.loader import load_maps

IMAGES = sorted(DUMPS.glob("*.hex"))
pytestmark = needs_images

# The publisher blanked the identity: zeros are no text (NUM-03), and the old checksum stayed (INDEX: 00h stale).
NO_PN, NO_REV, NO_SN = ("text", "VendorPN"), ("text", "VendorRev"), ("text", "VendorSN")
NO_DATE = ("date-code", "date code")
BLANKED = {NO_PN, NO_REV, NO_SN, NO_DATE}
STALE_00H, WRONG_01H, WRONG_02H = (("checksums", f"page {page}") for page in ("00h", "01h", "02h"))


def media(*app_sels: int) -> set[tuple[str, str]]:
    """Media lane options that leave no place (APP-03)."""
    return {("media-assignment", f"AppSel {n}") for n in app_sels}


def instances(*app_sels: int) -> set[tuple[str, str]]:
    """Host starts that have no media lanes at once (APP-03)."""
    return {("instances", f"AppSel {n}") for n in app_sels}


EXPECTED: dict[str, set[tuple[str, str]]] = {
    "1.6t-2x800g-dr4-osfp-fboss-lowpwr": BLANKED | {STALE_00H},
    # applications 3 to 5 have media options 00h, 2 has fewer media than host starts: INDEX shows the lists
    "1.6t-2x800g-dr4-osfp-fboss": BLANKED | {STALE_00H} | media(3, 4, 5) | instances(2),
    "200g-aoc-2x100g-qsfp56-hisense": set(),
    # "four different DPStates: most likely edited"; lanes 5 to 8 are 0; vendor leftovers in lower 44, 45, 49 (ID-13);
    # password areas read FFh and an unadvertised flag is set: rules I2C-08 and FLG-11, which INDEX does not mention
    "200g-fr4-qsfp56-fboss": BLANKED
    | {
        ("reserved", "page lower"),
        ("write-only", "PasswordChangeEntryArea"),
        ("write-only", "PasswordEntryArea"),
        ("data-path-states", "bank 0"),
        ("data-path-states", "bank 0 AppSel 1 lanes [1, 2, 3, 4]"),
        ("unadvertised-flags", "AdaptiveInputEqFailFlagTx"),
    },
    "2x100g-lr4-qsfpdd-juniper": set(),
    # "revision byte 05h"; the list of applications ends with zeros
    "400g-cr8-dac-qsfpdd-fboss": BLANKED | {STALE_00H, ("revision", "CmisRevision"), ("application-list", "end mark")},
    # "ModuleState 0"; "without FFh end mark"
    "400g-cr8-dac-qsfpdd-fit": {("module-state", "ModuleState"), ("application-list", "end mark")},
    # "byte 3 = 03h on a flat memory cable"; byte 26 reads 08h, the self-clearing SoftwareReset (I2C-08)
    "400g-cr8-dac-qsfpdd-mellanox": {("module-state", "ModuleState"), ("write-only", "SoftwareReset")},
    "400g-dr4-qsfpdd-avago": {("reserved", "page lower")},  # "byte 4 = FFh": bits 7 to 4 are reserved
    "400g-dr4-qsfpdd-fboss": BLANKED | {STALE_00H},
    # "most upper pages are of another module": the active set and the media options do not fit the applications
    "400g-fr4-qsfpdd-fboss-composite": BLANKED
    | {WRONG_01H, ("active-set", "bank 0 lanes [1, 2, 3, 4, 5, 6, 7, 8]")}
    | media(6),
    "400g-lr4-qsfpdd-cig": set(),
    # a host's password can be read back (I2C-08)
    "400g-lr4-qsfpdd-fboss": BLANKED | {("write-only", "PasswordChangeEntryArea")},
    "400g-xdr4-qsfpdd-arista": set(),
    "400g-zr-qsfpdd-juniper-a": set(),
    "400g-zr-qsfpdd-juniper-b": set(),
    "400g-zrp-qsfpdd-acacia-fault": {("unsupported-pages", "page 41h")},  # "custom 41h"
    "800g-2xdr4-osfp-fboss": BLANKED | {STALE_00H},
    # 2Ch is a copy of lower memory, as PAGE-04 tells of the 2xFR4 images
    "800g-2xfr4-lite-osfp-fboss": {NO_PN, NO_SN, STALE_00H, ("advertised-pages", "page 2Ch")},
    "800g-2xfr4-lpo-osfp-eoptolink-older-firmware": set(),
    # "11h not renewed": the active set is that of the older firmware, whose application 1 has four lanes
    "800g-2xfr4-lpo-osfp-eoptolink": {
        ("active-set", "bank 0 lanes [1, 2, 3, 4]"),
        ("active-set", "bank 0 lanes [5, 6, 7, 8]"),
    },
    # "media lane assignments of applications 5 to 9 look shifted by one"; 210 = FFh denies every media lane
    "800g-2xfr4-osfp-fboss": BLANKED
    | {STALE_00H, ("advertised-pages", "page 2Ch"), ("media-lanes", "MediaLaneUnsupported")}
    | media(6, 7, 9)
    | instances(5, 8),
    "800g-2xlr4-qsfpdd800-eoptolink": set(),
    "800g-2xxdr4-osfp-arista": set(),
    # a composite: 01h of another module does not fit the applications of lower memory
    "800g-2xxdr4-osfp-fboss-composite": BLANKED | {STALE_00H, WRONG_01H} | media(2) | instances(3, 4),
    "800g-aec-osfp-credo-a": set(),
    "800g-aec-osfp-credo-b": set(),
    "800g-aec-osfp-credo-fboss": {NO_SN, STALE_00H},
    "800g-dr8-osfp-juniper": set(),
    # 12h, though advertised, is a copy of page 00h (PAGE-04)
    "800g-zr-osfp-acacia-fboss": {STALE_00H, ("advertised-pages", "page 12h")},
    # a vendor's sample, never a module: no text, no checksums, no states, no readings
    "cpo-6p4t-dr-construct-fboss": {
        ("text", "VendorName"),
        *BLANKED,
        STALE_00H,
        WRONG_01H,
        WRONG_02H,
        ("module-state", "ModuleState"),
        ("data-path-states", "bank 0"),
        ("plausible", "VccMonVoltage"),
        *(("readings-flagged", f"{m} {limit}") for m in ("TempMon", "VccMon") for limit in ("LowAlarm", "LowWarning")),
    },
    "flat-memory-construct-fboss": BLANKED | {STALE_00H, ("module-state", "ModuleState")},
    "partial-200g-fr4-qsfp56-innolight-10h": set(),
    "partial-400g-4x100g-breakout-11h": set(),
    # "eighth application record 11 00 88 00": the list begins with zeros
    "qsfpdd-test-module-cisco": {("application-list", "first descriptor"), ("application-list", "end mark")},
}

SAID: dict[str, tuple[str, ...]] = {
    "1.6t-2x800g-dr4-osfp-fboss-lowpwr": ("VccMon HighWarning: 3.5286 is beyond HighWarning 3.465",),
    "2x100g-lr4-qsfpdd-juniper": ("revision 3.0 is older than the rules",),
    "400g-dr4-qsfpdd-fboss": ("page 20h, page 21h, page 24h, page 25h, page 2Fh: not advertised; the image has zeros",),
    "400g-zr-qsfpdd-juniper-b": ("UserPattern: holds bytes beyond its length",),  # "13h:255 stale byte"
    "400g-zr-qsfpdd-juniper-a": ("host lanes [1, 2, 3, 4, 5, 6, 7, 8] activated, output on media lanes [1]",),
    "400g-zrp-qsfpdd-acacia-fault": ("page 22h, page 23h, page 2Ah, page 2Bh",),
    "800g-2xfr4-lite-osfp-fboss": ("-0.44531 is beyond LowAlarm 10",),
    "800g-2xfr4-lpo-osfp-eoptolink": ("shows a copy of page 00h", "page 13h, page 14h, page 20h, page 21h, page 22h"),
}
"""Oddities that break no rule: the text of the report names them."""


def report_of(path: Path) -> Report:
    """A picture, judged."""
    return judge(_image(path), load_maps(), Level.READ_ONLY, path.stem)


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_the_judge_says_of_an_image_what_its_index_says(path: Path) -> None:
    report = report_of(path)
    found = {(check.name, outcome.subject) for check, outcome in report.failures()}
    assert found == EXPECTED[path.stem]
    assert report.exit_code == int(bool(EXPECTED[path.stem]))
    text = report.text()
    for said in SAID.get(path.stem, ()):
        assert said in text


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_nothing_that_an_image_lacks_is_a_failure(path: Path) -> None:
    for result in report_of(path).results:
        for outcome in result.outcomes:
            assert outcome.verdict is not Verdict.NOT_APPLICABLE or outcome.why
            assert "Error:" not in outcome.found


def test_every_image_has_an_expectation() -> None:
    assert {path.stem for path in IMAGES} == set(EXPECTED)


def check(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments])


def test_an_image_is_a_target_of_the_command() -> None:
    done = check(str(FBOSS_DR4))
    assert done.exit_code == 1
    assert "NUM-05 page 00h: found 39h" in done.output
    assert check(str(DUMPS / "400g-lr4-qsfpdd-cig.hex")).exit_code == 0


def test_an_image_is_judged_read_only() -> None:
    done = check(str(DUMPS / "400g-lr4-qsfpdd-cig.hex"), "--level", "full")
    assert done.exit_code == 2
    assert "--level: found level full, expected read-only" in done.stderr
