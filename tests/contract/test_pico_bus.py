"""The bus contract through a simulated Pico: bus, I2C block, firmware, frames, mirror, module."""

from __future__ import annotations

from bus_contract import DP_DEINIT_PAGE, WRITE_MAX, A, BusContract, Host, read
from rigs.arm_board import ArmBoard, needs_arm
from rigs.board import Bench, Board, BoardBus, CBoard
from rigs.mpy_board import MicroPythonBoard
from rigs.wasm_board import WasmBoard
from smbus_host import SmbusHost

from cmis_emu import Emulator


class PicoContract(BusContract):
    """With one firmware."""

    def board(self) -> Board:
        raise NotImplementedError

    def open(self, emu: Emulator, bus: int) -> Host:
        if not isinstance(emu.buses[bus], BoardBus):
            emu.buses[bus] = BoardBus(emu.buses[bus], Bench(emu, self.board(), bus))
        return SmbusHost(emu.smbus(bus))

    def test_a_data_byte_that_is_not_acknowledged(self, emu: Emulator, host: Host) -> None:
        """This hardware acknowledges every byte; what the module does not take changes nothing."""
        host.transfer((A, bytes([126, 0, DP_DEINIT_PAGE])))
        values = bytes(range(0x10, 0x19))
        host.transfer((A, bytes([145]) + values))  # a byte more than the module takes
        module = emu.ports["a"].module
        assert module.peek(DP_DEINIT_PAGE, 145, 9)[:WRITE_MAX] == values[:WRITE_MAX]
        assert module.peek(DP_DEINIT_PAGE, 153, 1) != values[WRITE_MAX:]
        assert read(host, 145, 8) == values[:WRITE_MAX]


class TestFirmwareInC(PicoContract):
    def board(self) -> Board:
        return CBoard()


@needs_arm
class TestFirmwareAsArmCode(PicoContract):
    def board(self) -> Board:
        return ArmBoard()


class TestFirmwareInMicroPython(PicoContract):
    """Under CPython."""

    def board(self) -> Board:
        return MicroPythonBoard()


class TestFirmwareUnderMicroPython(PicoContract):
    """Under MicroPython's own virtual machine."""

    def setup_method(self) -> None:
        self.boards: list[WasmBoard] = []

    def teardown_method(self) -> None:
        for each in self.boards:
            each.close()

    def board(self) -> Board:
        self.boards.append(WasmBoard())
        return self.boards[-1]
