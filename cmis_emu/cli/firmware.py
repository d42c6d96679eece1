"""`cmis-emu firmware`: builds firmware images in the project's format, and tells what is in one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import click

from cmis_emu.errors import CmisEmuError, InputError
from cmis_emu.layouts.firmware import TEXT_BYTES
from cmis_emu.layouts.firmware_image import (
    HEADER_BYTES,
    MAGIC,
    SMALLEST_BYTES,
    DamagedImageError,
    Version,
    parse_header,
    sample,
    verify,
)
from cmis_emu.module.profile.library import load_profile

LARGEST_BYTES = 64 << 20
_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "kB": 1000, "MB": 1_000_000}

CORRUPTIONS: dict[str, Callable[[bytes], bytes]] = {
    "payload": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "header": lambda data: data[: len(MAGIC) + 4] + bytes([data[len(MAGIC) + 4] ^ 1]) + data[len(MAGIC) + 5 :],
    "magic": lambda data: bytes(len(MAGIC)) + data[len(MAGIC) :],
    "short": lambda data: data[: HEADER_BYTES + (len(data) - HEADER_BYTES) // 2],
}
"""What can be wrong with an image, for tests of hosts."""


def size_of(text: str) -> int:
    """Bytes of a size such as 16KiB, 1MiB or 20000. Raises InputError."""
    match = re.fullmatch(r"(\d{1,12})\s*([A-Za-z]*)", text)
    size = int(match[1]) * _UNITS[match[2]] if match is not None and match[2] in _UNITS else 0
    if not SMALLEST_BYTES <= size <= LARGEST_BYTES:
        expected = f"a size such as 16KiB or 1MiB, from {SMALLEST_BYTES} bytes to {LARGEST_BYTES >> 20}MiB"
        raise InputError(repr(text), expected, field="--size")
    return size


def build(output: Path, version: str, size: str, product: str | None, text: str, corrupt: str | None) -> None:
    """Write an image. Raises InputError."""
    hardware = ""
    if product is not None:
        profile = load_profile(product)
        if profile.firmware is None:
            raise InputError(f"{product}, which has no firmware section", "a profile that has one", field="--for")
        hardware = profile.firmware.hardware
    try:
        number = Version.parse(version, text)
    except InputError as error:
        raise InputError(error.found, error.expected, field="--version or --text") from None
    data = sample(number, size_of(size), hardware)
    if corrupt is not None:
        data = CORRUPTIONS[corrupt](data)
    try:
        output.write_bytes(data)
    except OSError as error:
        raise InputError(error.strerror or str(error), "a file that can be written", file=str(output)) from None
    click.echo(f"{output}: {len(data)} bytes, version {number}, for {hardware or 'any hardware'}")


def show(path: Path, *, as_json: bool) -> None:
    """Print what an image says and whether it is whole. Raises InputError for what is none, CmisEmuError if damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(error.strerror or str(error), "a firmware image", file=str(path)) from None
    damage = None
    try:
        header = parse_header(data)
    except InputError as error:
        raise InputError(error.found, error.expected, file=str(path)) from None
    except DamagedImageError as error:
        raise CmisEmuError(f"{path}: {error}") from None
    try:
        verify(data)
    except DamagedImageError as error:
        damage = str(error)
    found = {
        "version": str(header.version),
        "text": header.version.text,
        "hardware": header.hardware,
        "size": header.size,
        "header_bytes": HEADER_BYTES,
        "payload_bytes": header.payload_size,
        "payload_sha256_begins": header.payload_digest.hex(),
        "whole": damage is None,
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"version   {found['version']}{'  ' + header.version.text if header.version.text else ''}")
        click.echo(f"hardware  {header.hardware or 'any'}")
        click.echo(f"size      {header.size} bytes: header {HEADER_BYTES}, payload {header.payload_size}")
        click.echo(f"payload   SHA-256 begins {header.payload_digest.hex()}")
    if damage is not None:
        raise CmisEmuError(f"{path}: {damage}")


@click.group()
def firmware() -> None:
    """Firmware images for host software under test."""


@firmware.command(name="build")
@click.option("-o", "--output", required=True, metavar="FILE", type=click.Path(path_type=Path))
@click.option("--version", required=True, metavar="N.N[.N]", help="such as 1.4.7")
@click.option("--size", default="256KiB", show_default=True, help="of the whole file, such as 16KiB or 1MiB")
@click.option("--for", "product", metavar="PROFILE", help="the product that may run it (default: any)")
@click.option("--text", default="", help=f"beside the version, at most {TEXT_BYTES} characters")
@click.option("--corrupt", type=click.Choice(list(CORRUPTIONS)), help="an image that a module must refuse")
def build_command(output: Path, version: str, size: str, product: str | None, text: str, corrupt: str | None) -> None:
    """Write an image; the same arguments give the same bytes."""
    build(output, version, size, product, text, corrupt)


@firmware.command(name="show")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="machine-readable")
def show_command(path: Path, as_json: bool) -> None:
    """Tell what is in an image; exit 1 when it is damaged, 2 when it is none."""
    show(path, as_json=as_json)
