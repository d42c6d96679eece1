"""How many random reads are right, by how late the helper looks; and why pigpio's detour never is.

The model is of timing and of the chip's known traps; no Raspberry Pi was measured. README and hardware/rpi_bsc quote
the figures that stand here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from rigs.bsc import BscChip, late
from rigs.bsc_bench import A, Bench

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.bits.master import BitMaster, Pace
from cmis_emu.bus.bits.process import run
from cmis_emu.bus.bits.slave import BitSlave
from cmis_emu.bus.bits.wires import Wires
from cmis_emu.bus.rpi_bsc.pigpio import ALERT_NS, SOCKET_NS
from cmis_emu.bus.virtual import I2C_M_RD, Message
from cmis_emu.clock import NS_PER_MS, NS_PER_US
from cmis_emu.errors import NotAvailableError
from cmis_emu.physics.noise import uniform

pytestmark = pytest.mark.timeout(60)

READS = 300
LENGTH = 4


def addresses(number: int) -> Iterator[int]:
    """Of page 00h, far apart from each other."""
    return (128 + each * 37 % 120 for each in range(number))


def right(bench: Bench, number: int = READS, length: int = LENGTH) -> float:
    """The part of random reads, of idle registers at addresses that change, that are right; in percent."""
    bench.rest()
    whole = bench.module.peek(0, 128, 128) * 2
    good = 0
    for address in addresses(number):
        good += bench.read(address, length) == whole[address - 128 : address - 128 + length]
        bench.rest()
    return 100 * good / number


@pytest.mark.parametrize(
    ("hz", "us", "least", "most"),
    [
        (100_000, 1, 100, 100),
        (100_000, 20, 100, 100),
        (100_000, 60, 100, 100),
        (100_000, 100, 100, 100),
        (100_000, 150, 0, 20),
        (400_000, 1, 100, 100),
        (400_000, 20, 100, 100),
        (400_000, 60, 0, 10),
        (400_000, 100, 0, 10),
        (400_000, 150, 0, 10),
    ],
)
def test_a_helper_that_is_always_so_late(
    bench: Callable[..., Bench], hz: int, us: int, least: float, most: float
) -> None:
    assert least <= right(bench(hz, latency_ns=us * NS_PER_US)) <= most


@pytest.mark.parametrize(
    ("hz", "us", "part", "least", "most"),
    [
        (100_000, 60, 0.01, 100, 100),
        (100_000, 150, 0.01, 98, 99.9),
        (400_000, 60, 0.01, 98, 99.9),
        (400_000, 150, 0.01, 97, 99.5),
        (400_000, 60, 0.05, 93, 98),
    ],
)
def test_a_helper_that_is_late_now_and_then(
    bench: Callable[..., Bench], hz: int, us: int, part: float, least: float, most: float
) -> None:
    """As an interrupt on its core would have it. 400 kHz is refused: a wrong byte in a hundred reads is too many."""
    found = right(bench(hz, latency_ns=late(NS_PER_US, us * NS_PER_US, part)))
    assert least <= found <= most


@pytest.mark.parametrize("hz", [100_000, 400_000])
def test_a_whole_page_keeps_the_fifo_fed(bench: Callable[..., Bench], hz: int) -> None:
    assert right(bench(hz, latency_ns=10 * NS_PER_US), 10, 128) == 100


def test_a_pause_in_the_middle_of_a_page_is_bridged_by_the_fifo(bench: Callable[..., Bench]) -> None:
    """17 bytes are ready: 1.5 ms at 100 kHz. A longer pause shows, and is counted."""
    for pause_ns, good in ((NS_PER_MS, True), (3 * NS_PER_MS, False)):
        made = bench()
        made.rest()
        whole = made.module.peek(0, 128, 128)
        made.wires.clock.after(4 * NS_PER_MS, lambda made=made, pause_ns=pause_ns: made.bsc.helper.pause(pause_ns))
        assert (made.read(128, 128) == whole) is good
        assert (made.shared.counts().underruns == 0) is good


# -- pigpio ------------------------------------------------------------------------------------------------


class Pigpio:
    """A program behind pigpio's socket that does all it can: it answers with 16 bytes from the register, at once.

    It even empties the FIFO before, which the socket interface has no call for.
    """

    def __init__(self, wires: Wires, memory: bytes, delay_ns: Callable[[], int]) -> None:
        self.chip = BscChip(self._changed)
        self.chip.write(3, 0x305)
        BitSlave(wires, A, self.chip)
        self._wires, self._memory, self._delay_ns = wires, memory, delay_ns

    def _changed(self, byte: bool) -> None:
        if byte:
            self._wires.clock.after(self._delay_ns(), self._answer)

    def _answer(self) -> None:
        if not self.chip.got:
            return
        register = self.chip.got[-1]
        self.chip.got.clear()
        while self.chip.sent or self.chip.shift is not None:
            self.chip.write(3, 0x205)
            self.chip.write(3, 0x305)
        for each in range(16):
            self.chip.write(0, self._memory[(register + each) & 0xFF])


@pytest.mark.parametrize("hz", [100_000, 400_000])
def test_pigpio_answers_the_question_before(hz: int) -> None:
    least_ns = ALERT_NS[0] + SOCKET_NS[0]
    most_ns = ALERT_NS[1] + SOCKET_NS[1]
    assert (least_ns, most_ns) == (400_000, 2_400_000)
    memory = bytes((each * 7 + 3) & 0xFF for each in range(256))
    number = count()
    wires = Wires()
    Pigpio(wires, memory, lambda: least_ns + round((most_ns - least_ns) * uniform(1, 0, next(number))))
    master = BitMaster(wires, Pace.at(hz))
    before = None
    good = behind = 0
    for address in addresses(READS):
        found = run(wires.clock, master.transfer([Message(A, 0, bytes([address])), Message(A, I2C_M_RD, length=1)]))[0]
        good += found[0] == memory[address]
        behind += before is not None and found[0] == memory[before]
        before = address
        wires.clock.advance_ns(5 * NS_PER_MS)  # an idle bus: it has all the time to get ready
    assert good == 0
    assert behind == READS - 1


def test_pigpio_is_refused() -> None:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock()) as emu:
        for address in ("", "localhost:8888"):
            with pytest.raises(NotAvailableError, match=r"0\.4 to 2\.4 ms .* within ten bit times .* the one before"):
                emu.open_way(f"pigpio:{address}")
