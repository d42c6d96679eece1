"""The memory of each port as the file that SONiC's kernel driver makes of it, with its settings beside it.

Owns one driver (`bus/optoe.py`) per port, so that all hosts of an emulator share it as the processes of a switch do,
and the control requests that reach it, with the pins and the presence of a cage.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from cmis_emu.bus.optoe import Optoe
from cmis_emu.clock import NS_PER_MS
from cmis_emu.emulator import Emulator
from cmis_emu.errors import InputError

RESET_MS_MAX = 10_000


class OptoeFiles:
    """Answers the requests `eeprom_read`, `eeprom_write`, `eeprom_driver`, `cages` and `reset` of a control server.

    A failed access is {"errno": number}. Callers hold the emulator's lock.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._drivers: dict[str, Optoe] = {}
        self.operations: dict[str, Callable[[dict[str, Any]], Any]] = {
            "eeprom_read": self._read,
            "eeprom_write": self._write,
            "eeprom_driver": self._configure,
            "cages": self._cages,
            "reset": self._reset,
        }

    def driver(self, name: str) -> Optoe:
        """The driver of a port. Raises InputError for a port that is not there."""
        if name not in self._drivers:
            bus = partial(self._emulator.bus_of, name)
            bus()  # it is there
            self._drivers[name] = Optoe(bus, self._emulator.clock)
        return self._drivers[name]

    def _read(self, request: dict[str, Any]) -> dict[str, Any]:
        driver = self.driver(str(request["port"]))
        try:
            return {"data": driver.read(int(request["offset"]), int(request["length"]))}
        except OSError as error:
            return {"errno": error.errno}

    def _write(self, request: dict[str, Any]) -> dict[str, Any]:
        driver = self.driver(str(request["port"]))
        data = bytes.fromhex(request["data"])
        try:
            return {"count": driver.write(int(request["offset"]), data)}
        except OSError as error:
            return {"errno": error.errno}

    def _configure(self, request: dict[str, Any]) -> dict[str, int]:
        """Set what is given of the driver's files, tell all of them."""
        driver = self.driver(str(request["port"]))
        driver.configure(*(request.get(name) for name in ("write_max", "write_timeout", "max_bank_size")))
        return {
            "write_max": driver.write_max,
            "write_timeout": driver.write_timeout_ms,
            "max_bank_size": driver.max_banks,
        }

    def _cages(self, _: dict[str, Any]) -> list[dict[str, Any]]:
        """By port, in the order of the testbed: presence and the moment of insertion, as the cage's pins tell them."""
        return [
            {"port": name, "present": not port.pins.ModPrsL, "inserted_ns": port.inserted_ns}
            for name, port in self._emulator.ports.items()
        ]

    def _reset(self, request: dict[str, Any]) -> None:
        """Pull ResetL low for so many ms."""
        duration_ms = int(request["duration_ms"])
        if not 0 < duration_ms <= RESET_MS_MAX:
            raise InputError(f"{duration_ms} ms", f"1 to {RESET_MS_MAX} ms", field="reset")
        port = self._emulator.port(str(request["port"]))
        port.pins.ResetL = False
        try:
            self._emulator.clock.wait(duration_ms * NS_PER_MS)
        finally:
            port.pins.ResetL = True
