"""Runs as a whole: profiles pass, what was changed goes back, a module may do anything, reports can be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
import smbus2
from controls import VDM, diagnostics_with, dr4, flat_image, profile, reads
from dr4 import DR4
from meddle import LOWER, Bench, Meddler, Subject, bench_in

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.cli.check import Simulated
from cmis_emu.judge.check import Level, Verdict
from cmis_emu.judge.checks import CHECKS
from cmis_emu.judge.host import BusHost
from cmis_emu.judge.report import Report
from cmis_emu.judge.run import judge, run_one
from cmis_emu.judge.session import Session
from cmis_emu.module.profile.library import profile_names
from cmis_emu.registers.loader import load_maps


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench_in(tmp_path_factory.mktemp("bench")) as found:
        yield found


def run(subject: Subject, level: Level) -> Report:
    return judge(subject.host, load_maps(), level, "test")


def failures(report: Report) -> list[str]:
    return [f"{c.name} {o.rule} {o.subject}: found {o.found}, demanded {o.demanded}" for c, o in report.failures()]


FOUR_BANKS = """
profile: four-banks
base: osfpxd-1600g-2xdr8
registers: {BanksSupported: 2, MaxPower: 60.0}
plant: {host_lanes: 32, media_lanes: 32}
"""

MUXPONDER = """
profile: muxponder
base: qsfpdd-400g-dr4
registers: {NetworkPathPagesSupported: 1}
durations_ms: {NPInit: 2000, NPDeinit: 150, NPTxTurnOn: 300, NPTxTurnOff: 120}
applications:
  - {host: 0x11, media: 0x1C, host_lanes: 8, media_lanes: 4, host_start: 1, media_start: 1}
  - {host: 0x0D, media: 0x14, host_lanes: 2, media_lanes: 1, host_start: 0x55, media_start: 0x0F}
  - {host: 0x0D, media: 0x1C, host_lanes: 2, media_lanes: 4, host_start: 0x55, media_start: 1, network_path: true}
"""


@pytest.mark.timeout(400)  # half a minute of one core, several times that on a busy machine
@pytest.mark.parametrize("text", [FOUR_BANKS, MUXPONDER], ids=["four-banks", "muxponder"])
def test_products_beyond_the_library_pass_in_full(text: str, tmp_path: Path) -> None:
    path = tmp_path / "product.yaml"
    path.write_text(text)
    test_every_profile_passes_in_full_with_the_rest_explained(str(path))


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_passes_in_full_with_the_rest_explained(name: str) -> None:
    clock = ManualClock()
    with Emulator.load(name, clock=clock, seed=1) as emulator:
        emulator.settle()
        port = next(iter(emulator.ports.values()))
        host = BusHost(emulator.smbus(1), smbus2.i2c_msg, Simulated(clock), pins=port.pins)
        report = judge(host, load_maps(), Level.FULL, name)
    assert failures(report) == []
    assert report.exit_code == 0
    assert {result.check for result in report.results} == set(CHECKS)
    for result in report.results:
        for outcome in result.outcomes:
            assert outcome.verdict is not Verdict.NOT_APPLICABLE or outcome.why


class Busy:
    """Pins of a module in which something happens just as somebody looks at its interrupt, once."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator, self._done = emulator, False

    def get(self, name: str) -> bool:
        port = self._emulator.ports["1"]
        if name == "IntL" and not self._done and port.pins.IntL:
            self._done = True
            port.module.flags.latch(port.module.memory.cell("ModuleStateChangedFlag"))
            self._emulator.clock.advance(0.3)
        return port.pins.get(name)

    def set(self, name: str, level: bool) -> None:
        self._emulator.ports["1"].pins.set(name, level)


def test_an_interrupt_between_two_looks_is_no_failure() -> None:
    clock = ManualClock()
    with Emulator.load(DR4, clock=clock, seed=1) as emulator:
        emulator.settle()
        clock.advance(5)
        bus = emulator.smbus(1)
        for page in (None, 0x11, 0x2C):
            if page is not None:
                bus.write_i2c_block_data(0x50, 126, [0, page])
            for address in range(0, 256, 32):
                bus.read_i2c_block_data(0x50, address, 32)
        assert emulator.ports["1"].pins.IntL
        host = BusHost(bus, smbus2.i2c_msg, Simulated(clock), pins=Busy(emulator))
        session = Session(host, load_maps(), Level.READ_ONLY)
        outcomes = run_one(next(check for check in CHECKS if check.name == "interrupt-pin"), session)
        assert [outcome.verdict for outcome in outcomes] == [Verdict.PASS]
        assert not emulator.ports["1"].pins.IntL


def test_revision_4_0_is_judged_by_what_it_has(bench: Bench) -> None:
    subject = profile("r40", lambda data: data.update(revision="4.0", vdm=None))(bench)
    report = run(subject, Level.FULL)
    assert failures(report) == []
    why = {r.check.name: r.outcomes[0].why for r in report.results}
    assert why["outputs"] == "OutputStatusTx came with revision 5.0"
    assert why["init-pending"] == "DPInitPending came with revision 5.0"


def test_a_stepped_module_is_not_asked_for_automatic_transitions(bench: Bench) -> None:
    subject = profile("stepped", lambda data: data["registers"].update(SteppedConfigOnly=1))(bench)
    assert failures(run(subject, Level.FULL)) == []


def test_a_module_that_serves_reads_of_eight_bytes_is_judged_all_the_same(bench: Bench) -> None:
    subject = profile("strict", lambda data: data.setdefault("behaviour", {}).update(read_limit=8))(bench)
    report = run(subject, Level.FULL)
    assert failures(report) == []
    assert "reads beyond 8 bytes are not served" in report.text()


def test_a_module_that_holds_off_as_it_may_is_waited_for(bench: Bench) -> None:
    def edit(data: dict[str, object]) -> None:
        data["behaviour"] = {"write_holdoff_ms": 9.0, "page_holdoff_ms": 9.0}

    assert failures(run(profile("holds-off", edit)(bench), Level.FULL)) == []


def test_a_flat_module_is_judged_by_what_it_has(bench: Bench) -> None:
    report = run(flat_image(bench), Level.FULL)
    assert failures(report) == []
    assert report.count(Verdict.PASS) > 30


@pytest.mark.parametrize("level", [Level.READ_ONLY, Level.SAFE])
def test_nothing_is_left_changed(bench: Bench, level: Level) -> None:
    subject = dr4(bench)
    subject.inside.set("ModuleStateChangedMask", 1)
    subject.inside.set("SCS0.AppSelCodeLane", 5, 3)
    before = picture(subject)
    run(subject, level)
    assert picture(subject) == before


def picture(subject: Subject) -> dict[int, bytes]:
    """Everything a host can write, and the states."""
    module = subject.inside
    lower = bytes(module.peek(LOWER, 26, 11)) + bytes(module.peek(LOWER, 126, 2))
    return {LOWER: lower, 0x10: bytes(module.peek(0x10, 128, 128)), 0x11: bytes(module.peek(0x11, 202, 38))}


def test_read_only_writes_nothing_but_page_selects(bench: Bench) -> None:
    subject = dr4(bench)
    written: list[tuple[int, bytes]] = []

    def note(_: int, at: int, data: bytes) -> tuple[int, bytes]:
        written.append((at, data))
        return at, data

    run(replace(subject, host=Meddler(subject.host, on_write=note)), Level.READ_ONLY)
    assert written
    assert {(at, len(data)) for at, data in written} <= {(126, 1), (126, 2)}


def test_a_full_run_gives_back_controls_and_data_paths(bench: Bench) -> None:
    subject = dr4(bench)
    bus, host = subject.host, subject.host
    bus.write(126, b"\0\x10")
    host.write(128, b"\xff")
    host.timer.wait(2.0)
    for lane in range(8):  # two 100G legs on lanes 1 to 4, with masks of the host's choice
        host.write(145 + lane, bytes([0x20 | (lane // 2 * 2) << 1 if lane < 4 else 0]))
    host.write(143, b"\xff")
    host.timer.wait(0.5)
    host.write(213, b"\x0f")
    host.write(128, b"\xf0")
    host.timer.wait(4.0)
    before = picture(subject)
    states = subject.inside.get("DPStateHostLane")
    assert states == ["DPActivated"] * 4 + ["DPDeactivated"] * 4
    assert failures(run(subject, Level.FULL)) == []
    after = picture(subject)
    assert after[0x10] == before[0x10]
    assert after[LOWER] == before[LOWER]
    assert subject.inside.get("DPStateHostLane") == states
    assert subject.inside.get("ACS.AppSelCodeLane") == [2, 2, 2, 2, 0, 0, 0, 0]


def test_controls_go_back_when_the_module_dies_in_the_middle(bench: Bench) -> None:
    subject = dr4(bench)
    timer = subject.host.timer
    start = timer.now()

    def on_read(_: int, __: int, data: bytes) -> bytes:
        if 30 < timer.now() - start < 33:  # shorter than the judge tries to put things back
            raise OSError(6, "no acknowledge")
        timer.wait(0.0001)
        return data

    before = picture(subject)
    report = run(replace(subject, host=Meddler(subject.host, on_read=on_read)), Level.FULL)
    assert any("no acknowledge" in text for text in failures(report))
    assert picture(subject)[0x10] == before[0x10]


@pytest.mark.parametrize("value", [0x00, 0xFF, 0x5A])
def test_a_module_of_one_byte_fails_without_a_traceback(bench: Bench, value: int) -> None:
    pages = {(number, 0): bytes([value]) * 128 for number in (LOWER, 0, 1, 2, 0x10, 0x11, 0x13, 0x20, 0x2F, 0x9F)}
    for level in Level:
        report = run(bench.image(pages), level)
        assert report.exit_code == 1
        assert report.text()


def test_an_image_is_judged_read_only(bench: Bench) -> None:
    with pytest.raises(InputError, match="found level safe, expected read-only"):
        run(bench.image(bench.pages(), live=False), Level.SAFE)


def test_pages_that_an_image_lacks_make_checks_not_applicable(bench: Bench) -> None:
    pages = bench.pages()
    del pages[0x01, 0], pages[0x11, 0]
    report = run(bench.image(pages, live=False), Level.READ_ONLY)
    assert failures(report) == []
    whys = {o.why for r in report.results for o in r.outcomes if o.why}
    assert any("page 01h" in why and "not in the image" in why for why in whys)


def test_the_report_is_the_same_in_all_forms(bench: Bench) -> None:
    report = run(reads(0x00, 166, 0x07)(bench), Level.READ_ONLY)
    plain = json.loads(report.json())
    assert plain["summary"]["failed"] == report.count(Verdict.FAIL) == 2  # the text and the checksum
    assert plain["summary"]["exit_code"] == 1
    (text,) = [each for each in plain["checks"] if each["check"] == "text"]
    (failed,) = [each for each in text["outcomes"] if each["verdict"] == "fail"]
    assert failed["rule"] == "NUM-03"
    assert failed["data"].startswith("00h:166 = 07")
    root = Xml.fromstring(report.junit())
    cases = root.findall(".//testcase")
    assert len(cases) == sum(len(each["outcomes"]) for each in plain["checks"])
    assert len(root.findall(".//failure")) == 2
    assert sum(int(suite.attrib["failures"]) for suite in root) == 2
    assert "NUM-03 VendorSN: found 1 bytes that are no printable text (07h)" in report.text()
    assert report.text().endswith(report.summary)


def test_optional_functions_with_contents_pass_where_they_apply(bench: Bench) -> None:
    fewer = diagnostics_with(loopbacks=["host_input"], gating=None)
    both = profile("both", lambda data: (VDM(data), fewer(data)))(bench)  # type: ignore[arg-type,func-returns-value]
    assert failures(run(both, Level.READ_ONLY)) == []
    assert dr4(bench).inside.profile.name == DR4
