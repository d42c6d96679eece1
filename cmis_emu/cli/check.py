"""`cmis-emu check TARGET`: finds the module that TARGET names, on whatever bus, and judges it.

Owns what a target may be: a profile (in process, on simulated time), a dump of a real module (a picture,
read-only), a port of a running emulator, or a module on a real I2C bus: Linux's, or that of an FT232H.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from cmis_emu.bus.ftdi.chip import SCHEME
from cmis_emu.bus.ftdi.chip import address as ftdi_address
from cmis_emu.bus.ftdi.host import HZ, HZ_LEAST, HZ_MOST, FtdiBus
from cmis_emu.bus.options import ADDRESS_LEAST, ADDRESS_MOST
from cmis_emu.bus.remote import RemoteBus
from cmis_emu.bus.smbus import VirtualSMBus
from cmis_emu.bus.static import StaticDevice
from cmis_emu.bus.target import Target
from cmis_emu.bus.virtual import VirtualBus
from cmis_emu.clock import Clock, ManualClock, ScaledClock
from cmis_emu.control import ControlClient, choose, running
from cmis_emu.emulator import Emulator
from cmis_emu.errors import InputError, NotAvailableError
from cmis_emu.judge.check import Level
from cmis_emu.judge.host import MODULE_ADDRESS, BusHost, Host, Messages
from cmis_emu.judge.run import judge
from cmis_emu.module.profile.library import profile_names
from cmis_emu.registers.dump import read_dump
from cmis_emu.registers.loader import load_maps

LEVELS = {level.label: level for level in Level}
SETTLED_S = 2.0  # after the state machines have come to rest: receivers lock, flags of the insertion are set
_FTDI_OPTIONS = {"hz": "400000", "address": "0x50", "pins": "yes"}
_DEVICE = re.compile(r"/dev/i2c-(\d+)(?::(0x[0-9a-fA-F]{1,2}|\d{1,3}))?\Z")


@dataclass(frozen=True, slots=True)
class Lived:
    """The time of a module in another process, or of a real one: the machine's, times `speed`."""

    clock: ScaledClock

    def now(self) -> float:
        """Seconds of the module's time."""
        return self.clock.now

    def wait(self, seconds: float) -> None:
        """Wait for `seconds` of the module's time."""
        threading.Event().wait(seconds / self.clock.speed)


@dataclass(frozen=True, slots=True)
class Simulated:
    """The time of a module in this process: it passes when told."""

    clock: Clock

    def now(self) -> float:
        """Simulated seconds."""
        return self.clock.now

    def wait(self, seconds: float) -> None:
        """Let simulated seconds pass at once."""
        self.clock.advance(seconds)


@dataclass(frozen=True, slots=True)
class RemotePins:
    """Side-band pins of a port of a running emulator."""

    client: ControlClient
    port: str

    def get(self, name: str) -> bool:
        """Level of a pin."""
        return bool(self.client.ask("pin", port=self.port)[name])

    def set(self, name: str, level: bool) -> None:
        """Drive a pin."""
        self.client.ask("pin", port=self.port, name=name, level=level)


def check(target: str, level: Level, json_path: Path | None, junit_path: Path | None, attach: str | None) -> int:
    """Judge `target`, print the report, write the files; returns the exit code."""
    with _host(target, attach) as host:
        try:
            report = judge(host, load_maps(), level, target)
        except OSError as error:
            raise NotAvailableError(
                f"{target}: found no module that answers at address {MODULE_ADDRESS:#x} "
                f"({error.strerror or error}), expected an acknowledge"
            ) from None
    for path, text in ((json_path, report.json), (junit_path, report.junit)):
        if path is not None:
            _write(path, text())
    click.echo(report.text())
    return report.exit_code


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise InputError(error.strerror or str(error), "a file that can be written", file=str(path)) from None


@contextmanager
def _host(target: str, attach: str | None) -> Iterator[Host]:
    if attach is None and target.startswith(SCHEME):
        with _ftdi(target) as host:
            yield host
    elif attach is None and target.startswith("/dev/"):
        with _device(target) as host:
            yield host
    elif attach is None and (target in profile_names() or Path(target).suffix in (".yaml", ".yml")):
        with _profile(target) as host:
            yield host
    elif attach is None and Path(target).is_file():
        yield _image(Path(target))
    else:
        with _port(target, attach) as host:
            yield host


def _messages() -> Messages:
    """The class that makes I2C messages. Raises NotAvailableError where smbus2 does not work."""
    try:
        from smbus2 import i2c_msg  # noqa: PLC0415 - it needs Linux, and only this command needs it
    except ImportError as error:
        raise NotAvailableError(f"found no working smbus2 ({error}), expected it installed, on Linux") from None
    found: Messages = i2c_msg
    return found


@contextmanager
def _profile(source: str) -> Iterator[Host]:
    clock = ManualClock()
    with Emulator.load(source, clock=clock) as emulator:
        emulator.settle()
        clock.advance(SETTLED_S)
        port = next(iter(emulator.ports.values()))
        yield BusHost(emulator.smbus_of(port.name), _messages(), Simulated(clock), pins=port.pins)


def _image(path: Path) -> Host:
    pages = read_dump(path)
    device = StaticDevice(pages, load_maps())
    bus = VirtualSMBus(VirtualBus(0, {MODULE_ADDRESS: Target(device)}), threading.RLock())
    return BusHost(bus, _messages(), Simulated(ManualClock()), known_pages=frozenset(pages))


@contextmanager
def _port(name: str, attach: str | None) -> Iterator[Host]:
    if attach is None and not running():
        known = ", ".join(profile_names())
        expected = f"a profile ({known}), a dump file, /dev/i2c-N, ftdi://..., or a port of a running emulator"
        raise InputError(repr(name), expected, field="TARGET")
    path = choose(attach)
    client = ControlClient(path)
    try:
        status = client.ask("status")
        row = next((each for each in status["ports"] if each["port"] == name), None)
        if row is None:
            known = ", ".join(each["port"] for each in status["ports"])
            raise InputError(repr(name), f"one of the ports {known}, a profile, or a file", field="TARGET")
        if row["profile"] is None:
            raise NotAvailableError(f"port {name}: found an empty cage, expected a module")
        bus = RemoteBus(path, row["bus"])
        try:
            timer = Lived(ScaledClock(status.get("speed", 1.0)))
            yield BusHost(bus, _messages(), timer, pins=RemotePins(client, name))
        finally:
            bus.close()
    finally:
        client.close()


@contextmanager
def _device(target: str) -> Iterator[Host]:
    match = _DEVICE.match(target)
    if match is None:
        raise InputError(repr(target), "/dev/i2c-N, or with an address /dev/i2c-N:0x50", field="TARGET")
    address = int(match[2], 0) if match[2] else MODULE_ADDRESS
    if not 0x03 <= address <= 0x77:
        raise InputError(f"address {address:#x}", "a 7-bit address from 0x03 to 0x77", field="TARGET")
    messages = _messages()
    from smbus2 import SMBus  # noqa: PLC0415 - as above

    try:
        bus = SMBus(int(match[1]))
    except OSError as error:
        raise NotAvailableError(f"/dev/i2c-{match[1]}: {error.strerror or error}") from None
    with bus:
        yield BusHost(bus, messages, Lived(ScaledClock()), address=address)


@contextmanager
def _ftdi(target: str) -> Iterator[Host]:
    url, options = ftdi_address(target, _FTDI_OPTIONS, "TARGET")
    hz = options.number("hz", HZ, HZ_LEAST, HZ_MOST)
    address = options.number("address", MODULE_ADDRESS, ADDRESS_LEAST, ADDRESS_MOST)
    pins = options.flag("pins")
    messages = _messages()
    bus = FtdiBus(url, hz, pins=pins)
    try:
        yield BusHost(bus, messages, Lived(ScaledClock()), address=address, pins=bus.pins)
    finally:
        bus.close()
