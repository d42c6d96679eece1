"""The C firmware compiled for a Cortex-M0+ and run instruction by instruction, with cycles counted.

The I2C block is `designware.DesignWare` behind the block's address; interrupts are calls of the handler, as they are
functions on this core. Cycles: costs of the Cortex-M0+ Technical Reference Manual for zero-wait memory (recalled), by
the instructions that were really executed. Wait states of flash and of the peripheral bus are not modelled.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from rigs.board import CODED_MAX, FIRMWARE, FLAGS, SOURCES
from rigs.designware import DesignWare

RAM, RAM_SIZE = 0x2000_0000, 264 * 1024
I2C0 = 0x4004_4000
CODE, RIG = RAM, RAM + 0x8000
SLAVE, DATA, STACK = RAM + RAM_SIZE - 0x3000, RAM + RAM_SIZE - 0x2000, RAM + RAM_SIZE - 0x100
RETURN = RAM + RAM_SIZE - 4
ENTRY_CYCLES, EXIT_CYCLES = 15, 13
"""Of an interrupt on this core, by the manual (recalled)."""
CROSS = "arm-none-eabi-"
ARM_FLAGS = (*FLAGS, "-mcpu=cortex-m0plus", "-mthumb", "-O2", "-ffreestanding", "-ffunction-sections")

needs_arm = pytest.mark.skipif(shutil.which(f"{CROSS}gcc") is None, reason="no gcc-arm-none-eabi on this machine")


@functools.cache
def image() -> tuple[bytes, dict[str, int]]:
    """Code for RAM, and addresses by name."""
    with tempfile.TemporaryDirectory(prefix="cmis-arm-") as name:
        folder = Path(name)
        elf, binary = folder / "rig.elf", folder / "rig.bin"
        sources = [str(FIRMWARE / each) for each in SOURCES]
        link = ("-nostartfiles", "--specs=nano.specs", f"-Wl,-Ttext={CODE:#x}", "-Wl,--entry=slave_irq")
        subprocess.run([f"{CROSS}gcc", *ARM_FLAGS, *link, *sources, "-o", str(elf)], check=True)
        subprocess.run([f"{CROSS}objcopy", "-O", "binary", str(elf), str(binary)], check=True)
        listing = subprocess.run([f"{CROSS}nm", str(elf)], check=True, capture_output=True, text=True).stdout
        names = {line.split()[2]: int(line.split()[0], 16) for line in listing.splitlines() if len(line.split()) == 3}
        return binary.read_bytes(), names


class ArmBoard:
    """A board of ARM instructions. `cycles` adds up, interrupt entry and exit included, while `counting`."""

    def __init__(self, nonce: int = 77) -> None:
        from unicorn import UC_ARCH_ARM, UC_HOOK_CODE, UC_MODE_MCLASS, UC_MODE_THUMB, Uc
        from unicorn.arm_const import UC_CPU_ARM_CORTEX_M0

        code, self._names = image()
        assert len(code) < RIG - CODE
        uc = self._uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M0)
        uc.mem_map(RAM, (RAM_SIZE + 0xFFF) & ~0xFFF)
        uc.mem_write(CODE, code)
        self.bus = DesignWare(self._interrupt)
        uc.mmio_map(I2C0, 0x1000, self._mmio_read, None, self._mmio_write, None)
        uc.hook_add(UC_HOOK_CODE, self._executed, begin=CODE, end=RIG)
        self.counting = False
        self.cycles = self.instructions = 0
        self.interrupt_cycles: list[int] = []
        self._last: tuple[int, int, int] | None = None  # address, size, halfword
        assert self._call("rig_size") < SLAVE - RIG
        self._call("rig_init", RIG, nonce)
        uc.mem_write(SLAVE, RIG.to_bytes(4, "little") + I2C0.to_bytes(4, "little") + bytes(4))
        self._call("slave_init", SLAVE, 0x50)

    def _call(self, name: str, *arguments: int) -> int:
        from unicorn import arm_const as arm

        uc = self._uc
        registers = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2)
        for register, value in zip(registers, arguments, strict=False):
            uc.reg_write(register, value)
        uc.reg_write(arm.UC_ARM_REG_SP, STACK)
        uc.reg_write(arm.UC_ARM_REG_LR, RETURN | 1)
        self._last = None
        uc.emu_start(self._names[name] | 1, RETURN)
        self._charge(None)
        return int(uc.reg_read(arm.UC_ARM_REG_R0))

    def _interrupt(self) -> None:
        before = self.cycles
        self._call("slave_irq", SLAVE)
        if self.counting:
            self.cycles += ENTRY_CYCLES + EXIT_CYCLES
            self.interrupt_cycles.append(self.cycles - before)

    def _mmio_read(self, _: Any, offset: int, size: int, __: Any) -> int:
        assert size == 4
        return self.bus.read(offset)

    def _mmio_write(self, _: Any, offset: int, size: int, value: int, __: Any) -> None:
        assert size == 4
        self.bus.write(offset, value)

    # -- cycles --

    def _executed(self, uc: Any, address: int, size: int, _: Any) -> None:
        if not self.counting:
            return
        self._charge(address)
        self._last = (address, size, int.from_bytes(uc.mem_read(address, 2), "little"))

    def _charge(self, following: int | None) -> None:
        """Add the cost of the last instruction, now that it shows where it went."""
        if self._last is not None:
            address, size, word = self._last
            self._last = None
            self.instructions += 1
            self.cycles += cost(word, size, taken=following != address + size)

    # -- Board --

    def receive(self, data: bytes) -> int:
        taken = 0
        while taken < len(data):
            piece = data[taken : taken + 0x1000]
            self._uc.mem_write(DATA, piece)
            count = self._call("rig_receive", RIG, DATA, len(piece))
            taken += count
            if count < len(piece):
                break
        if not data:
            self._call("rig_receive", RIG, DATA, 0)
        return taken

    def transmit(self) -> bytes:
        length = self._call("rig_transmit", RIG, DATA)
        assert length <= CODED_MAX
        return bytes(self._uc.mem_read(DATA, length))

    def tick(self, ms: int) -> None:
        self._call("rig_tick", RIG, ms & 0xFFFFFFFF)
        self._call("slave_poll", SLAVE)

    def sides(self, levels: int) -> None:
        self._call("rig_sides", RIG, levels)

    def answers(self) -> bool:
        return bool(self._call("rig_answers", RIG) & 0xFF)

    def lamps(self) -> int:
        return self._call("rig_lamps", RIG) & 0xFF


def cost(word: int, size: int, *, taken: bool) -> int:
    """Cycles of one instruction of an ARMv6-M core with a two-stage pipeline."""
    if size == 4:
        return 3  # BL, MRS, MSR, DSB
    top = word >> 12
    if word >> 8 in (0xB4, 0xB5, 0xBC, 0xBD) or top == 0xC:  # PUSH, POP, STM, LDM
        listed = (word & 0xFF).bit_count()
        if word >> 8 == 0xBD:
            return 3 + listed + 1
        return 1 + listed + (word >> 8 == 0xB5)
    if top in (0x5, 0x6, 0x7, 0x8, 0x9) or word >> 11 == 0x9:  # loads and stores
        return 2
    if word >> 8 == 0x47:  # BX, BLX
        return 2
    if top in (0xD, 0xE):
        return 2 if taken else 1
    if word >> 7 == 0x8F or (word >> 8 == 0x46 and word & 0x87 == 0x87):  # MOV to PC
        return 2
    return 1
