"""The bytes that a profile's registers form on the map: values, application descriptors, checksums (NUM-05).

Owns the layout of a product's reset image and reads the advertised applications back from it, so that what
hosts read is what the module does.
"""

from __future__ import annotations

from collections.abc import Mapping

from cmis_emu.layouts.application import UNUSED, Application, mask_of, parse_applications
from cmis_emu.registers.encoding import insert
from cmis_emu.registers.field import LOWER, Kind
from cmis_emu.registers.regmap import CompiledMap, RegisterMap, page_name
from cmis_emu.registers.yamlfile import Located

HALF = 128


def image_of(
    registers: Located,
    regmap: RegisterMap,
    compiled: CompiledMap,
    codes: Mapping[str, int | bytes],
    applications: tuple[Application, ...],
) -> dict[int, bytes]:
    """The reset bytes of every page: map defaults, the profile's codes, applications and checksums."""
    blocks = {number: bytearray(page.reset) for number, page in compiled.pages.items()}
    for page in compiled.pages.values():
        for text in (f for f in page.fields if f.kind is Kind.ASCII):
            first, last = text.span  # NUM-03: text that a product leaves out is blank, not zero
            start = first - _first(page.number)
            blocks[page.number][start : start + last - first + 1] = b" " * (last - first + 1)
    for name, code in codes.items():
        each, lane = regmap.resolve(name)
        if each.page not in blocks:
            raise registers.error(name, f"a field of page {page_name(each.page)}", "a page that this profile has")
        if not compiled.implements(each.name) and code:
            raise registers.error(name, "a value", f"{each.name} to be advertised first")
        for number in range(1, each.count + 1) if lane is None else (lane,):
            insert(each, blocks[each.page], _first(each.page), code, number)
    _lay_out_applications(regmap, blocks, applications)
    for number, block in blocks.items():
        checksum = regmap.pages[number].checksum
        if checksum is not None:
            block[checksum.at - HALF] = checksum.of(bytes(block))
    return {number: bytes(block) for number, block in blocks.items()}


def _first(page: int) -> int:
    """Register address of a page's byte 0."""
    return 0 if page == LOWER else HALF


_APPLICATION_FIELDS = (
    "ApplicationDescriptor.HostInterfaceID",
    "AdditionalApplicationDescriptor.HostInterfaceID",
)


def _lay_out_applications(
    regmap: RegisterMap, blocks: dict[int, bytearray], applications: tuple[Application, ...]
) -> None:
    """Descriptors and media lane options; FFh 00h 00h 00h behind the last one (APP-01)."""
    media = regmap.field("MediaLaneAssignmentOptions")
    normalized = regmap.field("NAD.HostInterfaceID").page
    for app_sel in range(1, 16):
        index = app_sel - 1 if app_sel <= 8 else app_sel - 9
        first = regmap.field(_APPLICATION_FIELDS[app_sel > 8])
        if first.page not in blocks:
            continue
        given = applications[app_sel - 1] if app_sel <= len(applications) else None
        at = first.at + 4 * index - _first(first.page)
        blocks[first.page][at : at + 4] = given.pack() if given else UNUSED
        if given and media.page in blocks:
            insert(media, blocks[media.page], HALF, mask_of(given.media_starts), app_sel)
        if given and normalized in blocks:  # APP-10: the 8-byte form repeats the first fifteen
            at = 8 * (app_sel - 1)
            blocks[normalized][at : at + 5] = given.pack() + bytes((mask_of(given.media_starts),))


def advertised_applications(
    regmap: RegisterMap, image: Mapping[int, bytes], given: tuple[Application, ...]
) -> tuple[Application, ...]:
    """The applications that the image really advertises: what hosts read is what the module does."""
    shared = sum(1 << a.app_sel for a in given if a.network_path)
    basic, more = (regmap.field(name) for name in _APPLICATION_FIELDS)
    media = regmap.field("MediaLaneAssignmentOptions")
    lower = image[LOWER][basic.at : basic.at + 32]
    page = image.get(more.page)
    if page is None:  # flat memory: no page 01h, so no media options and no additional descriptors
        return parse_applications(lower, b"", bytes(8))
    start = media.at - HALF
    return parse_applications(lower, page[more.at - HALF : more.at - HALF + 28], page[start : start + 15], shared)
