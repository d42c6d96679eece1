"""The lines themselves, the waveform files, and parties that wait."""

from __future__ import annotations

import io

import pytest

from cmis_emu.bus.bits.process import Process, Steps, Until, finish, run
from cmis_emu.bus.bits.vcd import Recorder, Recording, write_vcd
from cmis_emu.bus.bits.wires import Wire, Wires
from cmis_emu.bus.errors import BusError
from cmis_emu.errors import InputError


def test_a_line_is_low_while_anybody_pulls() -> None:
    wires = Wires()
    one, two = wires.sda.driver("one"), wires.sda.driver("two")
    assert wires.idle
    one.pull(True)
    two.pull(True)
    one.pull(False)
    one.pull(False)  # again, and nothing is counted twice
    assert not wires.sda.level
    two.pull(False)
    assert wires.idle


def test_a_line_takes_its_time_to_rise() -> None:
    wires = Wires(rise_ns=300)
    one = wires.scl.driver("one")
    edges: list[tuple[int, bool]] = []
    wires.listen(lambda now, wire, level: edges.append((now, level)))
    one.pull(True)
    one.pull(False)
    wires.clock.advance_ns(299)
    assert not wires.scl.level
    one.pull(True)  # it never got there
    wires.clock.advance_ns(1000)
    one.pull(False)
    wires.clock.advance_ns(1000)
    assert edges == [(0, False), (1599, True)]


def test_everybody_hears_of_changes_in_their_order() -> None:
    """A listener that answers an edge at once: those after it hear of its answer after the edge."""
    wires = Wires()
    host, module = wires.scl.driver("host"), wires.sda.driver("module")

    def answer(now: int, wire: Wire, level: bool) -> None:
        if wire is wires.scl:
            module.pull(not level)

    heard: list[str] = []
    wires.listen(answer)
    wires.listen(lambda now, wire, level: heard.append(f"{wire.name}{level:d}"))
    host.pull(True)
    host.pull(False)
    assert heard == ["SCL0", "SDA0", "SCL1", "SDA1"]


def test_waiting_for_a_level() -> None:
    wires = Wires()
    other = wires.scl.driver("other")

    def waits(timeout_ns: int) -> Steps[tuple[bool, int]]:
        found = yield Until(wires.scl, True, timeout_ns)
        return found, wires.clock.now_ns

    def holds() -> Steps[tuple[bool, int]]:
        other.pull(True)
        yield 500
        other.pull(False)
        return True, 0

    first = Process(wires.clock, holds())
    patient, hasty = Process(wires.clock, waits(1000)), Process(wires.clock, waits(100))
    finish(wires.clock, first, patient, hasty)
    assert patient.result == (True, 500)
    assert hasty.result == (False, 100)


def test_waiting_for_what_never_comes_is_told() -> None:
    wires = Wires()
    wires.sda.driver("other").pull(True)

    def waits() -> Steps[bool]:
        return (yield Until(wires.sda, True))

    with pytest.raises(BusError):
        run(wires.clock, waits())


def recorded() -> Recording:
    wires = Wires()
    wires.clock.advance_ns(1_000_000)
    scl = wires.scl.driver("host")
    recorder = Recorder(wires, drivers=True)
    recorder.pin("IntL", True)
    scl.pull(True)
    wires.clock.advance_ns(250)
    recorder.pin("IntL", False)
    wires.clock.advance_ns(250)
    scl.pull(False)
    wires.clock.advance_ns(100)
    return recorder.stop()


def test_a_waveform_file() -> None:
    out = io.StringIO()
    write_vcd(recorded(), out)
    head, _, body = out.getvalue().partition("$enddefinitions $end\n")
    assert "began at 1000000 ns" in head
    assert "$timescale 1 ns $end" in head
    for code, name in zip('!"#$', ("SCL", "SDA", "SCL.host", "IntL"), strict=True):
        assert f"$var wire 1 {code} {name} $end" in head
    assert body == '#0\n$dumpvars\n1!\n1"\n1#\n1$\n$end\n#1\n0#\n0!\n#251\n0$\n#501\n1#\n1!\n#601\n'


def test_a_coarse_waveform_file() -> None:
    out = io.StringIO()
    write_vcd(recorded(), out, timescale_ns=100)
    assert out.getvalue().endswith("#1\n0#\n0!\n#3\n0$\n#6\n1#\n1!\n#7\n")
    with pytest.raises(InputError, match="found 7, expected one of 1, 10, 100, 1000"):
        write_vcd(recorded(), out, timescale_ns=7)


def test_many_signals_have_their_own_codes() -> None:
    recording = Recording()
    for number in range(300):
        recording.signal(f"n{number}", True)
    out = io.StringIO()
    write_vcd(recording, out)
    codes = [line.split()[3] for line in out.getvalue().splitlines() if line.startswith("$var")]
    assert len(set(codes)) == 300
    with pytest.raises(InputError, match="a new name without spaces"):
        recording.signal("n7", True)
    with pytest.raises(InputError):
        recording.signal("a b", True)
