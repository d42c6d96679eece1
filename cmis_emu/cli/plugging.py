"""`cmis-emu attach` and `detach`: this machine's kernel gets adapters for the buses of a running emulator."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from cmis_emu.bus.connection import Connection
from cmis_emu.bus.preload import wire
from cmis_emu.bus.usbip.vhci import Vhci
from cmis_emu.control import ControlClient, choose
from cmis_emu.errors import AttachError, InputError, NotAvailableError

ADAPTER_LIMIT_S = 10.0


def attach(name: str | None, chosen: Sequence[int]) -> None:
    """Plug the chosen buses in, or all, and say which device files came of it."""
    kernel = Vhci()
    path = choose(name)
    known = _buses(path)
    for number in chosen:
        if number not in known:
            raise InputError(f"bus {number}", f"one of {', '.join(map(str, known))}", field="--bus")
    taken = {port.device for port in kernel.ports() if port.bus_id}
    lacking = []
    for number in chosen or known:
        connection = Connection(path)
        try:
            if _ask(connection, number, plug=False)[0] in taken:
                click.echo(f"bus {number}: attached already")
                continue
            port = kernel.attach(connection.release(), *_ask(connection, number, plug=True))
        finally:
            connection.close()  # the kernel has its own hold of it
        device = kernel.adapter(port, ADAPTER_LIMIT_S)
        if device is None:
            lacking.append(number)
        else:
            click.echo(f"bus {number}: {device}")
    if lacking:
        where = "bus" if len(lacking) == 1 else "buses"
        raise NotAvailableError(
            f"{where} {', '.join(map(str, lacking))}: plugged in, but found no adapter after {ADAPTER_LIMIT_S:g} s; "
            "expected the kernel module i2c-tiny-usb to be loaded"
        )


def detach(name: str | None) -> None:
    """Pull out every adapter of the emulator."""
    kernel = Vhci()
    path = choose(name)
    for number in _buses(path):
        connection = Connection(path)
        try:
            device, _ = _ask(connection, number, plug=False)
        finally:
            connection.close()
        for port in kernel.ports():
            if port.device == device:
                kernel.detach(port.number)
                click.echo(f"bus {number}: detached")


def _buses(path: Path) -> list[int]:
    client = ControlClient(path)
    try:
        return [int(number) for number in client.ask("adapters")]
    finally:
        client.close()


def _ask(connection: Connection, number: int, *, plug: bool) -> tuple[int, int]:
    """Device id and speed of the adapter; with `plug` the connection is its cable from now on."""
    status, reply = connection.ask(wire.Op.USB, wire.USB.pack(wire.PROTOCOL_VERSION, plug), number)
    if status < 0:
        raise AttachError(f"{connection.path}: bus {number}: {os.strerror(-status)}")
    device, speed = wire.USB_REPLY.unpack(reply)
    return device, speed
