"""Diagnostics of real modules on a link, through the bus: patterns, loopbacks, what hosts do (DIAG-01 to DIAG-17).

Two DR4 on a fibre: eight host lanes of 50G, two of which make one of four media lanes of 100G. Offsets are
typed from the standard.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cmis_host import ACTIVATED, DEACTIVATED, DP_DEINIT, INITIALIZED, OUTPUT_DISABLE_TX, Host

from cmis_emu import Emulator, InputError, ManualClock
from cmis_emu.module.profile.library import load_profile, profile_names
from cmis_emu.physics.light import NOISE, TRAFFIC
from cmis_emu.port import pattern_code
from cmis_emu.registers.encoding import decode_f16

DR4 = "qsfpdd-400g-dr4"
HOST_GEN, MEDIA_GEN, HOST_CHECK, MEDIA_CHECK = 144, 152, 160, 168
INVERT, SWAP, PATTERN = 1, 2, 4
GATING = 177
MEDIA_OUT, MEDIA_IN, HOST_OUT, HOST_IN = 180, 181, 182, 183
GATE_DONE, GEN_LOL, CHECK_LOL = 134, 136, 138  # host lanes; media lanes one further
BER, HOST_1_4, HOST_5_8, MEDIA_1_4, SNR = 1, 2, 3, 4, 6
PRBS31Q, PRBS13Q, PRBS9Q, SSPRQ, USER = 0, 6, 8, 12, 15
MEDIA_RATE, HOST_RATE = 106.25e9, 53.125e9
MEDIA, HOST = 0x0F, 0xFF


def pair(profile: str = DR4, loss_db: float = 6.0) -> Emulator:
    ports = {name: {"profile": profile, "bus": n} for n, name in enumerate("ab", 1)}
    fibres = {"a-b": {"from": "a", "to": "b", "length_m": 500, "loss_db": loss_db}}
    emu = Emulator.load({"version": 1, "ports": ports, "fibres": fibres}, clock=ManualClock(), seed=1)
    emu.settle()
    emu.clock.advance(600)  # warm
    return emu


class Link:
    """Two modules and a host at each."""

    def __init__(self, emu: Emulator) -> None:
        self.emu = emu
        self.a, self.b = (Diagnosing(emu, name, bus) for bus, name in enumerate("ab", 1))

    def wait(self, seconds: float = 2.0) -> None:
        self.emu.clock.advance(seconds)


class Diagnosing(Host):
    """A host that uses pages 13h and 14h."""

    def __init__(self, emu: Emulator, port: str, bus: int) -> None:
        super().__init__(emu.smbus(bus))
        self.emu, self.port = emu, emu.ports[port]

    def control(self, offset: int, mask: int, bank: int = 0) -> None:
        self.write(0x13, offset, mask, bank=bank)

    def patterns(self, engine: int, code: int) -> None:
        """The same pattern on all lanes."""
        self.write(0x13, engine + PATTERN, *[code | code << 4] * 4)

    def unlocked(self, at: int = CHECK_LOL + 1) -> int:
        """Lanes that lack lock now: the flag is read twice, since the first read shows the past."""
        self.byte(0x14, at)
        self.emu.clock.advance(0.3)
        return self.byte(0x14, at)

    def selected(self, selector: int) -> bytes:
        self.write(0x14, 128, selector)
        self.emu.clock.advance(0.01)
        return self.read(0x14, 192, 64)

    def counts(self, selector: int) -> list[tuple[int, int]]:
        data = self.selected(selector)
        words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, 64, 8)]
        return list(zip(words[::2], words[1::2], strict=True))

    def ratios(self, selector: int = BER) -> tuple[list[float], list[float]]:
        """Error ratios of the host lanes and of the media lanes."""
        data = self.selected(selector)
        found = [decode_f16(int.from_bytes(data[at : at + 2], "big")) for at in range(0, 32, 2)]
        return found[:8], found[8:]

    def snr(self) -> tuple[list[float], list[float]]:
        data = self.selected(SNR)
        found = [int.from_bytes(data[at : at + 2], "little") / 256 for at in range(0, 64, 2)]
        return found[8:16], found[24:32]

    def contents(self) -> list[int]:
        """What the module drives into each host lane."""
        return [self.port.host_lane(lane).content for lane in range(1, 9)]

    def send(self, pattern: str | None) -> None:
        """The host's own generators."""
        for lane in range(1, 9):
            self.port.set_host_signal(lane, pattern=pattern)


@pytest.fixture(scope="module")
def kept() -> Iterator[tuple[Emulator, object]]:
    with pair() as emu:
        yield emu, emu.snapshot()


@pytest.fixture
def link(kept: tuple[Emulator, object]) -> Link:
    emu, snapshot = kept
    emu.restore(snapshot)  # type: ignore[arg-type]
    emu.fibres["a-b"].loss_db = 6.0
    return Link(emu)


# -- a pattern over the fibre --------------------------------------------------------------------------------


@pytest.mark.rule("DIAG-08", "DIAG-13")
def test_a_pattern_over_the_fibre_is_found_with_the_errors_of_the_link(link: Link) -> None:
    link.a.control(MEDIA_GEN, MEDIA)
    link.b.control(MEDIA_CHECK, MEDIA)
    link.wait(3)
    assert link.b.unlocked() == 0
    recovery = link.b.port.module.banks[0].signals.recovery
    link.wait(3)
    _, found = link.b.ratios()
    for lane in (1, 2, 3, 4):
        assert found[lane - 1] == pytest.approx(recovery.ber(lane, link.emu.clock.now_ns), rel=0.02)
    assert sum(found) / 4 == pytest.approx(2.2e-5, rel=0.5)  # the sheet's link of 6 dB
    assert found[4:] == [0.0] * 4
    errors, bits = link.b.counts(MEDIA_1_4)[0]
    assert not bits & 1
    assert bits == pytest.approx(6 * MEDIA_RATE, rel=0.2)
    assert errors / bits == pytest.approx(found[0], rel=0.01)


@pytest.mark.rule("DIAG-08", "DIAG-10")
def test_more_loss_is_more_errors_then_no_lock(link: Link) -> None:
    link.a.control(MEDIA_GEN, MEDIA)
    link.b.control(MEDIA_CHECK, MEDIA)
    link.wait()
    link.emu.fibres["a-b"].loss_db = 7.0
    for value in (0x20, 0x00):  # as FBOSS clears
        link.b.control(GATING, value)
    link.wait(3)
    _, found = link.b.ratios()
    assert sum(found) / 4 == pytest.approx(2.4e-4, rel=0.4)
    assert link.b.unlocked() == 0
    link.emu.fibres["a-b"].loss_db = 12.0
    link.wait()
    assert link.b.unlocked() == MEDIA
    assert all(bits & 1 for _, bits in link.b.counts(MEDIA_1_4))


@pytest.mark.rule("DIAG-08")
def test_a_cut_fibre_loses_the_lock_and_a_mended_one_brings_it_back(link: Link) -> None:
    link.a.control(MEDIA_GEN, MEDIA)
    link.b.control(MEDIA_CHECK, 0x05)
    link.wait()
    before = link.b.counts(MEDIA_1_4)[0]
    link.emu.fibres["a-b"].cut()
    link.wait()
    assert link.b.unlocked() == 0x05
    lost = link.b.counts(MEDIA_1_4)[0]
    assert lost[1] & 1
    link.wait()
    assert link.b.counts(MEDIA_1_4)[0] == lost
    link.emu.fibres["a-b"].restore()
    link.wait()
    assert link.b.unlocked() == 0
    errors, bits = link.b.counts(MEDIA_1_4)[0]
    assert bits & 1
    assert bits > lost[1]
    assert errors > before[0]


@pytest.mark.rule("DIAG-06", "DIAG-08")
@pytest.mark.parametrize(
    ("sent", "checked", "locks"),
    [
        ((0, 0, PRBS13Q), (0, 0, PRBS13Q), True),
        ((0, 0, PRBS13Q), (0, 0, PRBS9Q), False),
        ((MEDIA, 0, PRBS31Q), (0, 0, PRBS31Q), False),
        ((MEDIA, 0, PRBS31Q), (MEDIA, 0, PRBS31Q), True),
        ((0, MEDIA, PRBS31Q), (0, 0, PRBS31Q), False),
        ((0, MEDIA, PRBS31Q), (0, MEDIA, PRBS31Q), True),
        ((0, 0, USER), (0, 0, USER), True),
        ((0, 0, SSPRQ), (0, 0, PRBS31Q), False),
    ],
)
def test_both_ends_must_agree(
    link: Link, sent: tuple[int, int, int], checked: tuple[int, int, int], locks: bool
) -> None:
    for side, engine, (invert, swap, code) in ((link.a, MEDIA_GEN, sent), (link.b, MEDIA_CHECK, checked)):
        side.write(0x13, 224, 0xA5, 0x5A, 0x12)
        side.patterns(engine, code)
        side.control(engine + INVERT, invert)
        side.control(engine + SWAP, swap)
        side.control(engine, MEDIA)
    link.wait()
    assert link.b.unlocked() == (0 if locks else MEDIA)


@pytest.mark.rule("DIAG-06")
def test_lanes_have_patterns_of_their_own(link: Link) -> None:
    link.a.write(0x13, MEDIA_GEN + PATTERN, PRBS13Q | PRBS31Q << 4, PRBS9Q | PRBS13Q << 4)
    link.a.control(MEDIA_GEN, MEDIA)
    link.b.patterns(MEDIA_CHECK, PRBS13Q)
    link.b.control(MEDIA_CHECK, MEDIA)
    link.wait()
    assert link.b.unlocked() == 0b0110


@pytest.mark.rule("DIAG-16")
def test_a_generator_interrupts_traffic_and_no_state_moves(link: Link) -> None:
    assert link.b.contents() == [TRAFFIC] * 8
    for host in (link.a, link.b):
        host.changed()
    link.a.control(MEDIA_GEN, 0x02)
    link.wait()
    assert link.b.contents() == [TRAFFIC] * 2 + [pattern_code("prbs31q")] * 2 + [TRAFFIC] * 4
    for host in (link.a, link.b):
        assert host.states() == [ACTIVATED] * 8
        assert host.output_tx() == MEDIA
        assert host.changed() == 0
    link.a.control(MEDIA_GEN, 0)
    link.wait()
    assert link.b.contents() == [TRAFFIC] * 8


@pytest.mark.rule("DIAG-06")
def test_ssprq_goes_out_where_advertised(link: Link) -> None:
    link.a.patterns(MEDIA_GEN, SSPRQ)
    link.a.control(MEDIA_GEN, MEDIA)
    assert link.a.unlocked(GEN_LOL + 1) == 0
    link.wait()
    assert link.b.contents() == [pattern_code("ssprq")] * 8
    link.a.patterns(HOST_GEN, SSPRQ)
    link.a.control(HOST_GEN, HOST)
    assert link.a.unlocked(GEN_LOL) == HOST  # DIAG-07


# -- the host's side -----------------------------------------------------------------------------------------


@pytest.mark.rule("DIAG-08")
def test_the_host_sends_a_pattern_to_the_host_side_checker(link: Link) -> None:
    link.a.send("prbs31q")
    link.a.control(HOST_CHECK, HOST)
    link.wait(3)
    assert link.a.unlocked(CHECK_LOL) == 0
    errors, bits = link.a.counts(HOST_5_8)[3]
    assert bits == pytest.approx(3 * HOST_RATE, rel=0.2)
    assert errors <= 100  # a short host channel
    link.a.port.set_host_signal(2, pattern="prbs13q")
    link.a.port.set_host_signal(3, inverted=True)
    link.a.port.set_host_signal(4, pattern=None)
    link.a.port.set_host_signal(5, False)
    link.wait()
    assert link.a.unlocked(CHECK_LOL) == 0b11110
    link.a.port.set_host_signal(6, loss_db=14.0)
    link.wait()
    assert link.a.ratios()[0][5] > 1e-8


@pytest.mark.rule("DIAG-08")
def test_a_pattern_of_the_host_comes_out_at_the_far_host(link: Link) -> None:
    link.a.send("prbs9q")
    link.wait()
    assert link.b.contents() == [pattern_code("prbs9q")] * 8
    link.b.control(MEDIA_CHECK, MEDIA)
    link.b.patterns(MEDIA_CHECK, PRBS9Q)
    link.wait()
    assert link.b.unlocked() == MEDIA  # two host lanes together are another pattern
    link.a.send(None)
    assert link.b.contents() == [TRAFFIC] * 8


def test_a_host_pattern_has_a_known_name(link: Link) -> None:
    with pytest.raises(InputError, match=r"found 'prbs31r', expected one of prbs31q, prbs31, .*ssprq"):
        link.a.port.set_host_signal(1, pattern="prbs31r")


@pytest.mark.rule("DIAG-08", "DIAG-17")
def test_the_host_side_works_without_a_data_path(link: Link) -> None:
    link.a.write(0x10, DP_DEINIT, 0xFF)
    link.wait(3)
    assert link.a.states() == [DEACTIVATED] * 8
    link.a.send("prbs31q")
    for at in (HOST_CHECK, HOST_GEN, MEDIA_GEN, MEDIA_CHECK):
        link.a.control(at, 0xFF)
    link.a.patterns(HOST_GEN, PRBS13Q)
    link.wait()
    assert link.a.unlocked(CHECK_LOL) == 0
    assert link.a.contents() == [pattern_code("prbs13q")] * 8
    assert link.a.unlocked(GEN_LOL) == 0
    assert link.a.unlocked(GEN_LOL + 1) == MEDIA  # a media side needs its data path
    assert link.a.unlocked(CHECK_LOL + 1) == MEDIA
    assert min(link.a.snr()[0]) > 20
    link.a.control(HOST_GEN, 0)
    assert [link.a.port.host_lane(n).output.value for n in range(1, 9)] == ["off"] * 8
    link.a.control(HOST_IN, 0x0F)
    assert link.a.contents()[:4] == [pattern_code("prbs31q")] * 4
    for at in (HOST_CHECK, HOST_IN):
        link.a.control(at, 0)
    link.wait()
    assert link.a.snr()[0] == [0.0] * 8  # nothing is powered any more
    assert link.a.states() == [DEACTIVATED] * 8


def test_the_back_door_switches_as_a_host_does(link: Link) -> None:
    link.a.write(0x10, DP_DEINIT, 0xFF)
    link.wait(3)
    link.a.send("prbs31q")
    link.a.port.module.set("HostSideCheckerEnableLane", True, lane=2)
    link.wait()
    assert link.a.unlocked(CHECK_LOL) == 0
    link.a.port.module.set("HostSideInputLoopbackEnable", True, lane=1)
    link.wait()
    assert link.a.contents()[:2] == [pattern_code("prbs31q"), TRAFFIC]
    assert link.a.byte(0x13, HOST_IN) == 0x01


@pytest.mark.rule("DIAG-17")
def test_media_tests_work_from_dp_initialized_on(link: Link) -> None:
    link.a.write(0x10, OUTPUT_DISABLE_TX, MEDIA)
    link.b.control(MEDIA_GEN, MEDIA)
    link.a.control(MEDIA_CHECK, MEDIA)
    link.a.control(MEDIA_GEN, MEDIA)
    link.wait()
    assert link.a.states() == [INITIALIZED] * 8
    assert link.a.unlocked() == 0
    assert link.a.unlocked(GEN_LOL + 1) == 0
    assert link.b.port.module.get("OpticalPowerRx", lane=1) == 0.0  # the laser is off all the same


@pytest.mark.rule("DIAG-17")
def test_low_power_ends_all_tests(link: Link) -> None:
    for at in (HOST_GEN, MEDIA_GEN, HOST_CHECK, MEDIA_CHECK, HOST_IN):
        link.a.control(at, 0xFF)
    link.wait()
    link.a.write(0, 26, 0x10)
    link.wait(5)
    assert link.a.module_state() == 1
    assert link.a.byte(0x13, HOST_IN) == 0
    link.a.read(0x14, 132, 8)
    link.wait()
    assert link.a.read(0x14, 132, 8) == bytes(8)
    assert link.a.selected(HOST_1_4) == bytes(64)


# -- loopbacks (DIAG-03) -------------------------------------------------------------------------------------


@pytest.mark.rule("DIAG-03")
def test_media_output_loopback_returns_the_tx_signal_to_the_host(link: Link) -> None:
    link.a.send("prbs15q")
    link.a.control(MEDIA_OUT, 0x01)
    link.emu.fibres["a-b"].cut()  # the media is not needed
    link.wait()
    assert link.a.contents()[:2] == [pattern_code("prbs15q")] * 2
    assert pattern_code("prbs15q") not in link.a.contents()[2:]
    link.a.control(MEDIA_GEN, 0x01)
    link.a.control(MEDIA_CHECK, 0x03)
    link.wait()
    assert link.a.unlocked() == 0x02  # its own generator, on the lane that is turned
    assert link.a.counts(MEDIA_1_4)[0][0] == 0  # no fibre, no errors
    link.emu.fibres["a-b"].restore()
    link.wait()
    link.b.control(MEDIA_CHECK, 0x01)
    link.wait()
    assert link.b.unlocked() == 0  # and it leaves as well


@pytest.mark.rule("DIAG-03")
def test_media_input_loopback_returns_the_rx_signal_to_the_media(link: Link) -> None:
    link.a.control(MEDIA_GEN, MEDIA)
    link.a.control(MEDIA_CHECK, MEDIA)
    link.b.control(MEDIA_IN, 0x07)
    link.wait(3)
    assert link.a.unlocked() == 0x08
    assert link.a.output_tx() == link.b.output_tx() == MEDIA
    for value in (0x20, 0):
        link.a.control(GATING, value)
    link.wait(4)
    _, there_and_back = link.a.ratios()
    now = link.emu.clock.now_ns
    for lane in (1, 2, 3):
        ends = (m.port.module.banks[0].signals.recovery.ber(lane, now) for m in (link.a, link.b))
        assert there_and_back[lane - 1] == pytest.approx(sum(ends), rel=0.02)  # both fibres' errors
    assert link.b.contents()[:6] == [pattern_code("prbs31q")] * 6  # the host sees it too
    link.a.control(MEDIA_GEN, 0)
    link.a.send("prbs9q")
    link.wait()
    assert link.a.contents()[:6] == [pattern_code("prbs9q")] * 6


@pytest.mark.rule("DIAG-03")
def test_host_output_loopback_returns_the_rx_signal_to_the_media_by_way_of_the_host_side(link: Link) -> None:
    link.a.send("prbs13q")
    link.b.control(HOST_OUT, 0x0F)
    link.wait(3)
    assert link.a.contents() == [pattern_code("prbs13q")] * 4 + [TRAFFIC] * 4
    link.b.control(HOST_CHECK, 0xFF)
    link.b.patterns(HOST_CHECK, PRBS13Q)
    link.wait()
    assert link.b.unlocked(CHECK_LOL) == 0xF0
    assert link.b.ratios()[0][0] == pytest.approx(2.2e-5, rel=0.6)  # what the fibre did to it
    link.b.control(HOST_GEN, 0x01)  # its own generator, turned where it leaves
    link.wait()
    assert link.b.unlocked(CHECK_LOL) == 0xF1
    link.b.write(0x13, HOST_CHECK + PATTERN, PRBS31Q | PRBS13Q << 4)
    link.wait()
    assert link.b.unlocked(CHECK_LOL) == 0xF0


@pytest.mark.rule("DIAG-03")
def test_host_input_loopback_returns_the_host_signal_to_the_host(link: Link) -> None:
    link.a.send("prbs7q")
    link.a.control(HOST_IN, 0x3C)
    link.wait()
    own = [lane for lane, content in enumerate(link.a.contents(), 1) if content == pattern_code("prbs7q")]
    assert own == [3, 4, 5, 6]
    assert link.b.contents() == [pattern_code("prbs7q")] * 8  # it goes on to the media
    link.a.port.set_host_signal(3, False)
    link.wait()
    assert link.a.contents()[2] != pattern_code("prbs7q")
    assert link.a.output_rx() == 0xFB


@pytest.mark.rule("DIAG-03")
@pytest.mark.parametrize(("here", "there"), [(MEDIA_IN, MEDIA_IN), (HOST_OUT, MEDIA_IN), (HOST_OUT, HOST_OUT)])
def test_loopbacks_at_both_ends_leave_nothing_to_carry(link: Link, here: int, there: int) -> None:
    link.a.control(MEDIA_CHECK, MEDIA)
    link.a.control(here, 0xFF)
    link.b.control(there, 0xFF)
    link.wait(3)
    assert {NOISE, TRAFFIC} >= set(link.a.contents())
    assert link.a.unlocked() == MEDIA
    link.a.control(here, 0)
    link.wait(5)
    assert link.a.contents() == [TRAFFIC] * 8


@pytest.mark.rule("DIAG-03", "DIAG-04")
def test_both_sides_at_once(link: Link) -> None:
    """Media input for the far end, host input for the host: two circuits that do not touch."""
    link.a.control(MEDIA_IN, MEDIA)
    link.a.control(HOST_IN, HOST)
    link.a.send("prbs23q")
    link.b.control(MEDIA_GEN, MEDIA)
    link.b.control(MEDIA_CHECK, MEDIA)
    link.wait(3)
    assert link.a.contents() == [pattern_code("prbs23q")] * 8
    assert link.b.unlocked() == 0


def test_a_change_at_one_end_is_counted_at_its_instant_at_the_other(link: Link) -> None:
    """Errors of a's host channel reach b's checker by b's loopback, from the moment on, whoever looks."""
    link.a.send("prbs31q")
    link.emu.fibres["a-b"].loss_db = 0.5
    link.b.control(HOST_OUT, HOST)
    link.wait(1)
    link.b.control(HOST_CHECK, HOST)
    started = link.emu.clock.now
    link.wait(4.3)
    quiet, _ = link.b.counts(HOST_1_4)[0]
    for lane in (1, 2):  # of one media lane
        link.a.port.set_host_signal(lane, loss_db=10.0)
    changed = link.emu.clock.now - started
    link.wait(10 - changed)
    errors, bits = link.b.counts(HOST_1_4)[0]
    worse = link.a.port.module.banks[0].signals.routes.host_errors(1)
    assert worse > 1e-8
    assert not bits & 1
    assert errors == pytest.approx(worse * (10 - changed) * HOST_RATE + 2.5 * quiet, rel=0.05)


# -- what hosts do -------------------------------------------------------------------------------------------


@pytest.mark.rule("DIAG-08", "DIAG-10", "DIAG-13")
def test_the_sequence_of_fboss(link: Link) -> None:
    """setPortPrbs on the line side of both ends, getPortPrbsStats: selectors 01h and 06h, lock bits of 14h:138/139."""
    for host in (link.a, link.b):
        host.patterns(MEDIA_GEN, PRBS31Q)
        host.write(0x13, MEDIA_GEN, MEDIA)
        host.patterns(MEDIA_CHECK, PRBS31Q)
        host.write(0x13, MEDIA_CHECK, MEDIA)
    link.wait(1)
    for host in (link.a, link.b):
        for value in (0x20, 0x00):
            host.write(0x13, GATING, value)
        host.read(0x14, 138, 2)
    link.wait(5)
    for host in (link.a, link.b):
        assert host.read(0x14, 138, 2) == bytes(2)
        assert all(1e-6 < ratio < 1e-4 for ratio in host.ratios()[1][:4])
        host_snr, media_snr = host.snr()
        assert all(23 < each < 24 for each in host_snr)
        assert all(18 < each < 20.5 for each in media_snr[:4])
        assert media_snr[4:] == [0.0] * 4
    for host in (link.a, link.b):
        for engine in (MEDIA_GEN, MEDIA_CHECK):
            host.write(0x13, engine, 0)
    link.wait()
    assert link.a.contents() == link.b.contents() == [TRAFFIC] * 8


@pytest.mark.rule("DIAG-02", "DIAG-05")
def test_the_sequence_of_sonic(link: Link) -> None:
    """set_loopback_mode: capabilities, the mask of the application's lanes, read-modify-write, a look at the others."""
    capable = link.a.byte(0x13, 128)
    assert capable & 0b0111_1111 == 0b0111_1111
    for at, lanes in ((HOST_IN, 0xFF), (MEDIA_IN, 0x0F), (HOST_OUT, 0xFF), (MEDIA_OUT, 0x0F)):
        assert link.a.read(0x13, MEDIA_OUT, 4) == bytes(4)
        link.a.write(0x13, at, link.a.byte(0x13, at) | lanes)
        assert link.a.byte(0x13, at) == lanes
        link.a.write(0x13, at, link.a.byte(0x13, at) & ~lanes & 0xFF)
        assert link.a.byte(0x13, at) == 0


@pytest.mark.rule("DIAG-04", "DIAG-05")
def test_a_module_without_simultaneous_loopbacks_reads_back_the_refusal() -> None:
    with pair("qsfpdd-400g-lr4") as emu:
        host = Link(emu).a
        assert host.byte(0x13, 128) & 0x70 == 0
        host.control(MEDIA_IN, 0x01)
        assert host.read(0x13, MEDIA_OUT, 4) == bytes((0, 0x0F, 0, 0))  # no control of single lanes
        host.control(HOST_IN, 0xFF)
        assert host.read(0x13, MEDIA_OUT, 4) == bytes((0, 0x0F, 0, 0))


# -- gates ---------------------------------------------------------------------------------------------------


@pytest.mark.rule("DIAG-09", "DIAG-11", "DIAG-15")
def test_a_gate_over_the_link_with_its_interrupt(link: Link) -> None:
    link.a.control(MEDIA_GEN, MEDIA)
    for offset in range(31, 37):
        link.b.write(0, offset, 0xFF)
    for offset in range(213, 233):
        link.b.write(0x10, offset, 0xFF)
    assert link.b.port.pins.IntL
    link.b.write(0x13, 209, 0xF0)  # PatternCheckGatingComplete of the media lanes
    link.b.control(GATING, 0x80 | 2 << 1 | 0x10)  # all together, 10 s, restarting
    link.b.control(MEDIA_CHECK, MEDIA)
    started = link.emu.clock.now
    link.wait(9.9)
    assert link.b.byte(0x14, GATE_DONE + 1) == 0
    assert link.b.counts(0x10 | MEDIA_1_4) == [(0, 0)] * 4
    link.wait(10 - (link.emu.clock.now - started))
    assert not link.b.port.pins.IntL
    assert link.b.byte(0x14, GATE_DONE + 1) == MEDIA
    link.wait(0.01)
    assert link.b.port.pins.IntL
    errors, bits = link.b.counts(0x10 | MEDIA_1_4)[0]
    assert bits == pytest.approx(10 * MEDIA_RATE, rel=0.002)
    assert errors / bits == pytest.approx(link.b.ratios(0x11)[1][0], rel=0.001)
    link.wait(10)
    again = link.b.counts(0x10 | MEDIA_1_4)[0]
    assert again[1] == 10 * MEDIA_RATE
    assert again[0] != errors
    assert link.b.byte(0x14, GATE_DONE + 1) == MEDIA


# -- repeatability -------------------------------------------------------------------------------------------


def life(link: Link, looks: int) -> list[bytes]:
    """A day in the life of a link, with so many looks at it; the results at its end."""
    link.a.control(MEDIA_GEN, MEDIA)
    link.b.control(MEDIA_CHECK, MEDIA)
    link.b.control(HOST_OUT, 0x0F)
    link.b.control(HOST_CHECK, 0x0F)
    steps = 0
    for event in ("", "loss 3", "cut", "restore", "loss 6.5", "hot", "host", ""):
        kind, _, value = event.partition(" ")
        fibre = link.emu.fibres["a-b"]
        if kind == "loss":
            fibre.loss_db = float(value)
        elif kind in ("cut", "restore"):
            getattr(fibre, kind)()
        elif kind == "hot":
            link.b.port.module.plant.set_environment(ambient_c=50.0)
        elif kind == "host":
            link.a.port.set_host_signal(1, loss_db=13.0)
        for _ in range(looks):
            link.emu.clock.advance_ns(7_700_000_000 // looks)
            link.b.write(0x14, 128, (BER, MEDIA_1_4, SNR, HOST_1_4)[steps % 4])
            link.b.read(0x14, 192, 64)
            link.b.read(0x13, 128, 64)
            steps += 1
    return [link.b.selected(selector) for selector in (BER, HOST_1_4, MEDIA_1_4)]


def test_polling_changes_nothing(link: Link, kept: tuple[Emulator, object]) -> None:
    once = life(link, 1)
    assert any(once[2])
    for looks in (11, 140):
        link.emu.restore(kept[1])  # type: ignore[arg-type]
        link.emu.fibres["a-b"].loss_db = 6.0
        assert life(Link(link.emu), looks) == once


def test_a_snapshot_goes_on_as_the_first_time(link: Link) -> None:
    link.a.control(MEDIA_GEN, MEDIA)
    link.b.control(GATING, 0x02 | 0x10)
    link.b.control(MEDIA_CHECK, MEDIA)
    link.wait(7.3)
    snapshot = link.emu.snapshot()
    found = []
    for _ in range(2):
        link.emu.restore(snapshot)
        link.emu.fibres["a-b"].loss_db = 5.0
        link.wait(6)
        found.append([link.b.selected(selector) for selector in (BER, MEDIA_1_4, 0x14)])
    assert found[0] == found[1]
    assert any(found[0][1])


def test_engines_that_are_off_leave_no_timer(link: Link) -> None:
    idle = len(link.emu.clock.pending())
    link.a.control(MEDIA_GEN, MEDIA)
    link.b.control(MEDIA_CHECK, MEDIA)
    link.wait()
    link.a.control(MEDIA_GEN, 0)
    link.b.control(MEDIA_CHECK, 0)
    link.wait()
    assert len(link.emu.clock.pending()) == idle


# -- the library ---------------------------------------------------------------------------------------------

OFFERED = [name for name in profile_names() if load_profile(name).registers.get("DiagnosticPagesSupported")]


def test_the_optical_products_with_a_dsp_offer_diagnostics() -> None:
    assert set(OFFERED) == {
        "osfp-800g-2xfr4",
        "osfp-800g-aec",
        "osfp-800g-dr8",
        "osfpxd-1600g-2xdr8",
        "qsfpdd-400g-dr4",
        "qsfpdd-400g-fr4",
        "qsfpdd-400g-lr4",
        "qsfpdd-400g-sr8",
        "qsfpdd-400g-zr",
    }


@pytest.mark.rule("DIAG-01")
@pytest.mark.parametrize("name", profile_names())
def test_the_pages_are_where_they_are_advertised(name: str) -> None:
    with Emulator.load(name, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        host = Host(emu.smbus(1))
        for page in (0x13, 0x14):
            for bank in range(load_profile(name).banks):
                host.select(page, bank)
                assert host.byte(0, 127) == (page if name in OFFERED else 0)


@pytest.mark.rule("DIAG-06", "DIAG-08")
@pytest.mark.parametrize("name", OFFERED)
def test_every_advertised_pattern_runs_and_is_found(name: str) -> None:
    """Over the module's own fibre, which loops it to itself; the host's receivers hear the host's generators."""
    profile = load_profile(name)
    with Emulator.load(name, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(10)
        host = Diagnosing(emu, "1", 1)
        here = {"Host": HOST, "Media": (1 << min(8, profile.plant.media_lanes)) - 1}
        for code in range(16):
            for number, (side, generator, checker) in enumerate(
                (("Host", HOST_GEN, HOST_CHECK), ("Media", MEDIA_GEN, MEDIA_CHECK))
            ):
                runs = int(profile.registers.get(f"{side}SideGeneratorSupportedPatterns", 0)) >> code & 1
                checks = int(profile.registers.get(f"{side}SideCheckerSupportedPatterns", 0)) >> code & 1
                if side == "Host" and runs and code < USER:
                    names = emu.ports["1"].module.profile.regmap.enums["prbs_pattern"]
                    for lane in range(1, 9):
                        emu.ports["1"].set_host_signal(lane, pattern=names[code].lower())
                host.patterns(generator, code)
                host.patterns(checker, code)
                host.control(generator, 0xFF)
                host.control(checker, 0xFF)
                emu.clock.advance(1)
                lanes = here[side]
                assert host.unlocked(GEN_LOL + number) & lanes == (0 if runs else lanes), (code, side)
                heard = checks and runs and (side == "Media" or code < USER)
                assert host.unlocked(CHECK_LOL + number) & lanes == (0 if heard else lanes), (code, side)
                host.control(generator, 0)
                host.control(checker, 0)


@pytest.mark.rule("DIAG-02", "DIAG-04")
@pytest.mark.parametrize("name", OFFERED)
def test_every_advertised_loopback_turns_the_signal(name: str) -> None:
    """A host's pattern that comes back to the host, and a media generator that its own checker hears."""
    profile = load_profile(name)
    says = profile.registers.get
    with Emulator.load(name, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        emu.clock.advance(10)
        host = Diagnosing(emu, "1", 1)
        emu.fibres["loop"].cut()
        media = (1 << min(8, profile.plant.media_lanes)) - 1
        host.send("prbs31q")
        for at, kind in zip(
            (MEDIA_OUT, MEDIA_IN, HOST_OUT, HOST_IN),
            ("MediaSideOutput", "MediaSideInput", "HostSideOutput", "HostSideInput"),
            strict=True,
        ):
            lanes = media if at < HOST_OUT else HOST
            offered = says(f"{kind}LoopbackSupported", 0)
            host.control(at, 0xFF)
            assert host.byte(0x13, at) == (lanes if offered else 0)
            emu.clock.advance(2)
            returned = host.contents() == [pattern_code("prbs31q")] * 8
            assert returned == bool(offered and at in (MEDIA_OUT, HOST_IN)), kind
            host.control(at, 0)
            emu.clock.advance(1)
