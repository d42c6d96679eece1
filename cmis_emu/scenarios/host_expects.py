"""Programs of hosts that judge what they read: a field or bytes that must be so, once, for a while, or in the end.

Owns how often such a host looks, when it believes what it sees, and how it says what it found.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from cmis_emu.errors import InputError
from cmis_emu.registers.place import Place
from cmis_emu.scenarios.action import Argument, Kind
from cmis_emu.scenarios.host import Host, HostFailure, Telling, place, program
from cmis_emu.scenarios.model import Comparison
from cmis_emu.scenarios.units import BYTE, COUNT, DURATION

_PORT = Argument(Kind.PORT, "whose module", required=True)
_BANK = Argument(BYTE, "bank of the page", default=0)
HOW = {
    "times": Argument(COUNT, "so often, and each time it must be so", default=1),
    "period": Argument(DURATION, "from one look to the next", default=0.1),
    "limit": Argument(DURATION, "how long to wait for the first time that it is so", default=0.0),
    "confirm": Argument(COUNT, "so many looks in a row must be wrong to be believed", default=1),
    "apart": Argument(DURATION, "from one of those looks to the next", default=0.001),
    "tolerant": Argument(Kind.FLAG, "a refused look counts for nothing", default=False),
}

Look = Callable[[], Generator[float, None, tuple[bool, str]]]
"""Reads: whether it is as it must be, and what it is."""


def judge(host: Host, look: Look, given: Mapping[str, Any]) -> Telling:
    """Look as often as told; HostFailure at the first wrong one that counts, or when none was right in time."""
    start = host.now()
    right, last = 0, "nothing"
    for number in range(given["times"]):
        if number:
            yield given["period"]
        while True:
            try:
                good, last = yield from _believed(look, given["confirm"], given["apart"])
            except HostFailure as error:
                good, last = None, str(error)
                if not given["tolerant"] and (right or host.now() - start >= given["limit"]):
                    raise
            if good:
                right += 1
            if right or host.now() - start >= given["limit"]:
                break
            yield given["period"]
        if good is False:
            raise HostFailure(f"found {last}")
    if not right:
        raise HostFailure(f"never read: {last}")
    return f"found {last}"


def _believed(look: Look, confirm: int, apart_s: float) -> Generator[float, None, tuple[bool, str]]:
    good, found = yield from look()
    for _ in range(confirm - 1):
        if good:
            break
        yield apart_s
        good, found = yield from look()
    return good, found


# -- a field -----------------------------------------------------------------------------------------------


def _comparison(given: Mapping[str, Any]) -> Comparison:
    if given["is"] is not None:
        return Comparison("is", value=given["is"])
    if given["not"] is not None:
        return Comparison("not", value=given["not"], negated=True)
    return Comparison("between", low=given["above"], high=given["below"])


def _one_comparison(given: Mapping[str, Any]) -> None:
    used = [key for key in ("is", "not", "above", "below") if given[key] is not None]
    if not used or (len(used) > 1 and used != ["above", "below"]):
        expected = "one of is, not, above, below (or above and below)"
        raise InputError(" and ".join(used) or "no comparison", expected, field=used[-1] if used else None)
    for key in used:
        if key in ("above", "below") and (isinstance(given[key], bool) or not isinstance(given[key], (int, float))):
            raise InputError(repr(given[key]), "a number", field=key)


@program(
    "host.expect",
    {
        "port": _PORT,
        "field": Argument(Kind.FIELD, "what to read, by CMIS name; of all lanes unless one is named", required=True),
        "is": Argument(Kind.VALUE, "it must be this"),
        "not": Argument(Kind.VALUE, "it must not be this"),
        "above": Argument(Kind.VALUE, "it must be above this"),
        "below": Argument(Kind.VALUE, "it must be below this"),
        "lanes": Argument(Kind.LANES, "of which lanes"),
        "bank": _BANK,
        **HOW,
    },
    check=_one_comparison,
)
def expect(host: Host, given: Mapping[str, Any]) -> Telling:
    """Read a field; fail when it is not as it must be. What the host read counts, not what the module holds."""
    comparison = _comparison(given)
    field, _ = host.maps.resolve(given["field"])
    names = {} if field.enum is None else host.maps.enums[field.enum]

    def look() -> Generator[float, None, tuple[bool, str]]:
        found = yield from host.get(given["field"], bank=given["bank"])
        values = found if isinstance(found, list) else [found]
        if given["lanes"] and isinstance(found, list):
            if max(given["lanes"]) > len(values):
                raise HostFailure(f"{given['field']} has {len(values)} lanes")
            values = [values[lane - 1] for lane in given["lanes"]]
        told = ", ".join(str(names.get(value, value)) for value in values)
        return all(comparison.holds(value) for value in values), f"{told}{' ' + field.unit if field.unit else ''}"

    return (yield from judge(host, look, given))


# -- bytes -------------------------------------------------------------------------------------------------


def _fitting_bytes(given: Mapping[str, Any]) -> None:
    where, data = given["place"], given["bytes"]
    if len(where) not in (1, len(data)) and len(data) != 1:
        raise InputError(f"{len(data)} bytes", f"1 or {len(where)} for the place", field="bytes")
    if (where.first ^ (where.first + max(len(where), len(data)) - 1)) & ~127:
        raise InputError(f"{len(data)} bytes from {where.first} on", "bytes within one page", field="bytes")
    if given["piece"] is not None and given["piece"] < 1:
        raise InputError(repr(given["piece"]), "1 or more", field="piece")


@program(
    "host.expect_bytes",
    {
        "port": _PORT,
        "place": Argument(Kind.PLACE, "what to read, such as 11h:154-161 or L:2.7", required=True),
        "bytes": Argument(
            Kind.BYTES, "what it must be; one for all, or any number from a single byte on", required=True
        ),
        "differ": Argument(Kind.FLAG, "it must be anything else", default=False),
        "piece": Argument(COUNT, "so many bytes a read; without it all in one"),
        "bank": _BANK,
        **HOW,
    },
    check=_fitting_bytes,
)
def expect_bytes(host: Host, given: Mapping[str, Any]) -> Telling:
    """Read bytes, or bits of one byte where they are; fail when they are not as they must be."""
    where: Place = given["place"]
    data: bytes = given["bytes"]
    if len(where) == 1 < len(data):
        where = Place(where.page, where.first, where.first + len(data) - 1, where.bank, where.mask)
    wanted = bytes(byte & where.mask for byte in (data * len(where) if len(data) == 1 else data))
    bank = given["bank"] if where.bank is None else where.bank
    piece = given["piece"] or len(where)

    def look() -> Generator[float, None, tuple[bool, str]]:
        found = b""
        for at in range(where.first, where.last + 1, piece):
            found += yield from host.read(where.page, at, min(piece, where.last + 1 - at), bank)
        seen = bytes(byte & where.mask for byte in found)
        return (seen == wanted) is not given["differ"], f"{seen.hex(' ')} at {place(where.page, where.first)}"

    return (yield from judge(host, look, given))
