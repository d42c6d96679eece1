"""The helper as the process that it is, on a file in place of the peripherals; and the way that starts it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus.rpi_bsc import board, build, way
from cmis_emu.bus.rpi_bsc.board import this_board
from cmis_emu.bus.rpi_bsc.shared import Shared
from cmis_emu.errors import CmisEmuError, InputError, NotAvailableError

SOON_S = 20.0
BSC, GPIO = 0x214000, 0x200000
DR, SLV, CR, FR = 0x00, 0x08, 0x0C, 0x10
IDLE = 0x406  # receive FIFO empty, transmit FIFO full: 16 bytes
ALT3 = 7
PI3 = b"raspberrypi,3-model-b\0brcm,bcm2837\0"


class Peripherals:
    """A file with the registers of a chip that never does anything by itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("wb") as file:
            file.truncate(BSC + 4096)
        self.set(BSC + FR, IDLE)

    def get(self, at: int) -> int:
        with self.path.open("rb") as file:
            file.seek(at)
            return int.from_bytes(file.read(4), "little")

    def set(self, at: int, value: int) -> None:
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(value.to_bytes(4, "little"))

    def function(self, pin: int) -> int:
        return self.get(GPIO + 4 * (pin // 10)) >> pin % 10 * 3 & 7


@pytest.fixture
def chip(tmp_path: Path) -> Peripherals:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc) on this machine")
    return Peripherals(tmp_path / "memory")


@pytest.fixture
def shared(library: Path) -> Iterator[Shared]:
    made = Shared(library)
    yield made
    made.close()


def soon(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not what():
        assert time.monotonic() < deadline


def words(folder: Path, chip: Peripherals, descriptor: int) -> list[str]:
    program = build.helper(folder, chip.path)
    return [str(program), str(descriptor), "0", "18", "19", str(0x50), "100000", "0", "1"]


def started(folder: Path, chip: Peripherals, shared: Shared) -> subprocess.Popen[str]:
    try:
        return way.start(words(folder, chip, shared.descriptor), shared.descriptor)
    except NotAvailableError as error:
        if "sched_setscheduler" in str(error) or "mlockall" in str(error):
            pytest.skip(f"real-time scheduling is not for this user: {error}")
        raise


def test_it_polls_answers_and_stops(tmp_path: Path, chip: Peripherals, shared: Shared) -> None:
    shared.describe(0, 0xFFFF, False, bytes(128), bytes(128))
    shared.publish(0, bytes([0x18]) + bytes(127), 0)
    helper = started(tmp_path, chip, shared)
    try:
        assert chip.get(BSC + SLV) == 0x50
        assert chip.get(BSC + CR) == 0
        assert (chip.function(18), chip.function(19)) == (ALT3, ALT3)
        shared.enable(1, True)
        soon(lambda: chip.get(BSC + CR) == 0x305)
        polls = shared.counts().polls
        soon(lambda: shared.counts().polls > polls + 1000)
        assert os.sched_getscheduler(helper.pid) == os.SCHED_FIFO
        assert os.sched_getaffinity(helper.pid) == {0}
        shared.stop()
        assert helper.wait(SOON_S) == 0
    finally:
        helper.kill()
        helper.wait()
    assert chip.get(BSC + CR) == 0
    assert (chip.function(18), chip.function(19)) == (0, 0)


def test_it_ends_with_its_emulator(tmp_path: Path, chip: Peripherals, shared: Shared) -> None:
    with started(tmp_path, chip, shared) as first:  # or this test is skipped
        first.terminate()
    script = (
        "import sys\nfrom pathlib import Path\nfrom cmis_emu.bus.rpi_bsc import way\n"
        "from cmis_emu.bus.rpi_bsc.shared import Shared\nshared = Shared(Path(sys.argv[1]))\n"
        "shared.enable(0, True)\n"
        "print(way.start([sys.argv[2], str(shared.descriptor), *sys.argv[3:]], shared.descriptor).pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    library = build.library(tmp_path)
    command = [
        sys.executable,
        "-c",
        script,
        str(library),
        *(w for i, w in enumerate(words(tmp_path, chip, 0)) if i != 1),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    soon(lambda: not _runs(pid))
    assert chip.get(BSC + CR) == 0


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_what_it_cannot_have_is_one_line(tmp_path: Path, chip: Peripherals, shared: Shared) -> None:
    command = words(tmp_path, chip, shared.descriptor)
    chip.path.unlink()
    with pytest.raises(NotAvailableError, match="memory: No such file or directory; it needs root, and /dev/mem"):
        way.start(command, shared.descriptor)
    with pytest.raises(NotAvailableError, match="found other arguments than cmis-emu gives"):
        way.start(command[:1], shared.descriptor)


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NotAvailableError, match=r"C compiler no-such-compiler: .* install gcc"):
        build.library(tmp_path)
    monkeypatch.setenv("CC", "false")
    with pytest.raises(NotAvailableError, match=r"cannot compile bsc_slave\.c: exit code 1"):
        build.library(tmp_path)


# -- boards ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "peripherals", "sda"),
    [
        (b"raspberrypi,model-zero-w\0brcm,bcm2835\0", 0x20000000, 18),
        (b"raspberrypi,2-model-b\0brcm,bcm2836\0", 0x3F000000, 18),
        (PI3, 0x3F000000, 18),
        (b"raspberrypi,4-model-b\0brcm,bcm2711\0", 0xFE000000, 10),
    ],
)
def test_boards(tmp_path: Path, text: bytes, peripherals: int, sda: int) -> None:
    file = tmp_path / "compatible"
    file.write_bytes(text)
    found = this_board(file)
    assert (found.peripherals, found.sda, found.scl) == (peripherals, sda, sda + 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"raspberrypi,5-model-b\0brcm,bcm2712\0", "found a Raspberry Pi 5: its I2C is in the RP1"),
        (b"radxa,rock-5b\0rockchip,rk3588\0", "found radxa,rock-5b, expected a Raspberry Pi 0 to 4"),
        (None, "found a machine without a device tree, expected a Raspberry Pi 0 to 4"),
    ],
)
def test_other_boards(tmp_path: Path, text: bytes | None, words: str) -> None:
    file = tmp_path / "compatible"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(NotAvailableError, match=words):
        this_board(file)


# -- the way -----------------------------------------------------------------------------------------------


@pytest.fixture
def emu() -> Iterator[Emulator]:
    with Emulator.load("qsfpdd-400g-dr4", clock=ManualClock(), seed=1) as made:
        made.settle()
        yield made


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("", NotAvailableError, "is experimental and off unless asked for as such"),
        ("bus=1", NotAvailableError, "is experimental"),
        ("experimental", InputError, "expected options such as experimental=yes&bus=1"),
        ("experimental=yes&hz=400000", NotAvailableError, "400 kHz is more than its 100 kHz"),
        ("experimental=yes&busy=maybe", InputError, "expected busy=ignore or busy=trust"),
        ("experimental=yes&bus=9", InputError, "expected one of the buses 1"),
        ("experimental=yes&wire=9", InputError, "expected one of experimental, bus"),
        ("experimental=yes", NotAvailableError, "expected a Raspberry Pi 0 to 4"),
    ],
)
def test_addresses(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, error: type[CmisEmuError], words: str
) -> None:
    monkeypatch.setattr(board, "COMPATIBLE", tmp_path / "none")
    with pytest.raises(error) as failure:
        emu.open_way(f"rpi-bsc:{address}")
    assert words in str(failure.value)


def test_one_core_is_not_enough(emu: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compatible = tmp_path / "compatible"
    compatible.write_bytes(b"raspberrypi,model-zero-w\0brcm,bcm2835\0")
    monkeypatch.setattr(board, "COMPATIBLE", compatible)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with pytest.raises(NotAvailableError, match="found one core on this bcm2835, expected two or more"):
        emu.open_way("rpi-bsc:experimental=yes")


def test_the_whole_way(emu: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chip: Peripherals) -> None:
    """On a machine that says it is a Pi 3, with a file for its peripherals."""
    compatible = tmp_path / "compatible"
    compatible.write_bytes(PI3)
    throttle = tmp_path / "throttle"
    throttle.write_text("950000\n")
    monkeypatch.setattr(board, "COMPATIBLE", compatible)
    monkeypatch.setattr(board, "BOARDS", (board.Board("bcm2837", 0, 18, 19),))
    monkeypatch.setattr(way, "_THROTTLE", throttle)
    compiled = build.helper
    monkeypatch.setattr(build, "helper", lambda folder: compiled(folder, chip.path))
    try:
        opened = emu.open_way("rpi-bsc:experimental=yes&cpu=0")
    except NotAvailableError as error:
        if "sched_setscheduler" in str(error) or "mlockall" in str(error):
            pytest.skip(f"real-time scheduling is not for this user: {error}")
        raise
    told = "\n".join(opened.describe())
    for words in (
        "bus 1 at 0x50 by this bcm2837: SDA on GPIO 18, SCL on GPIO 19",
        "cannot hold the clock",
        "cannot refuse",
        "does not know which bytes were clocked out",
        "the kernel stops the helper for a part of each second",
        "on no Raspberry Pi",
    ):
        assert words in told
    soon(lambda: chip.get(BSC + CR) == 0x305)  # the module answers
    emu.ports["1"].remove()
    soon(lambda: chip.get(BSC + CR) == 0)
    emu.ports["1"].insert("qsfpdd-400g-fr4")
    emu.settle()
    soon(lambda: chip.get(BSC + CR) == 0x305)
    opened.close()
    assert chip.get(BSC + CR) == 0
