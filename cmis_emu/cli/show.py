"""`cmis-emu show`: a page decoded by CMIS name, of a running emulator or of a dump file; or a link, drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from cmis_emu import control
from cmis_emu.cli import running
from cmis_emu.errors import AttachError, InputError
from cmis_emu.live.link import draw
from cmis_emu.registers.dump import Pages, read_dump
from cmis_emu.registers.field import LOWER
from cmis_emu.registers.loader import load_maps
from cmis_emu.registers.regmap import page_name, page_number
from cmis_emu.registers.view import View, decode_page


@contextmanager
def _asked(name: str, attach: str | None) -> Iterator[control.ControlClient]:
    """The emulator to ask about `name`; where none runs, a name like that of a file is said to be none."""
    try:
        with running.client(attach) as emulator:
            yield emulator
    except AttachError:
        if attach is None and not control.running() and ("/" in name or Path(name).suffix):
            raise InputError(repr(name), "the file of a dump, or a port of a running emulator") from None
        raise


def is_fibre(name: str, attach: str | None) -> bool:
    """Whether the running emulator has a fibre of that name. A file of that name is a dump, and none is asked."""
    if Path(name).is_file():
        return False
    with _asked(name, attach) as emulator:
        link = emulator.ask("link", name=name)
    return link is not None and link["fibre"] == name and name not in link["ends"]


def show_link(name: str, as_json: bool, attach: str | None) -> None:
    """Draw a fibre, by its name or that of a port."""
    with running.client(attach) as emulator:
        link = emulator.ask("link", name=name)
    if link is None:
        raise InputError(repr(name), "a fibre, or a port that one is plugged into", field="fibre")
    click.echo(json.dumps(link, indent=2) if as_json else draw(link))


def show_page(port: str, page: str, bank: int, raw: bool, as_json: bool, attach: str | None) -> None:
    """Print one page. `port` is a port of a running emulator, or the path of a dump."""
    try:
        number = page_number(page)
    except ValueError:
        raise InputError(repr(page), "a page such as 11h, or lower", field="--page") from None
    path = Path(port)
    if path.is_file():
        found = _from_dump(path, number, bank)
    else:
        with _asked(port, attach) as emulator:
            found = emulator.ask("page", port=port, page=number, bank=bank)
    data = bytes.fromhex(found["data"])
    first = 0 if number == LOWER else 128
    if as_json:
        click.echo(json.dumps({"page": page_name(number), "bank": bank, **found}, indent=2))
    elif raw:
        for at in range(0, 128, 16):
            click.echo(f"{first + at:02x}: {data[at : at + 16].hex(' ')}")
    else:
        click.echo(f"page {page_name(number)} bank {bank}: {found['title']}")
        for row in found["fields"]:
            lane = "" if row["lane"] is None else f"[{row['lane']}]"
            click.echo(f"  {row['name'] + lane:<52} {row['text']}")


def _of_dump(pages: Pages, page: int, bank: int, offset: int, length: int) -> bytes:
    """Bytes of a page of the dump; zeros for a page that it lacks."""
    start = offset if page == LOWER else offset - 128
    return pages.get((page, bank), bytes(128))[start : start + length]


def _refuse(page: int, bank: int, offset: int, data: bytes) -> None:
    """A dump is not written."""
    raise AssertionError((page, bank, offset, data))


def _from_dump(path: Path, number: int, bank: int) -> dict[str, Any]:
    pages = read_dump(path)
    if (number, bank) not in pages:
        known = ", ".join(page_name(n) for n, b in sorted(pages) if b == bank)
        raise InputError(f"no page {page_name(number)} bank {bank}", f"one of {known}", file=str(path))
    regmap = load_maps()
    if number not in regmap.pages:
        raise InputError(f"page {page_name(number)}", "a page that the register maps know", field="--page")
    data = pages[number, bank]
    view = View(regmap, partial(_of_dump, pages), _refuse)
    rows = [
        {
            "name": d.name,
            "lane": d.lane,
            "value": d.value if not isinstance(d.value, bytes) else d.value.hex(" "),
            "text": d.text,
        }
        for d in decode_page(regmap.pages[number], data, regmap.enums, view.multiplier)
    ]
    return {"data": data.hex(), "fields": rows, "title": regmap.pages[number].title}
