"""Negative controls: for each check, modules that it must catch; and where it does not apply to the DR4, one
on which it passes. `test_controls.py` walks the register of checks through these tables.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import smbus2
import yaml
from dr4 import DR4
from meddle import BANK_SELECT, LOWER, PAGE_SELECT, Bench, Meddler, StuckPins, Subject

from cmis_emu.judge.host import BusHost
from cmis_emu.module.cdb.faults import CdbFaults
from cmis_emu.module.profile.library import profile_path
from cmis_emu.module.tuning.faults import SlowTuning
from cmis_emu.occasions import Occasions

Make = Callable[[Bench], Subject]


# -- ways to break a module -----------------------------------------------------------------------------


def dr4(bench: Bench) -> Subject:
    """The intact module."""
    return bench.subject(DR4)


def in_the_dark(bench: Bench) -> Subject:
    """No light on the receivers: flags that set again whenever they are read."""
    subject = dr4(bench)
    assert subject.emulator is not None
    subject.emulator.fibres["loop"].cut()
    subject.host.timer.wait(1.0)
    return subject


def back_door(*settings: tuple[Any, ...], base: Make = dr4) -> Make:
    """Registers set behind the host's back: (name, value) or (name, value, lane)."""

    def make(bench: Bench) -> Subject:
        subject = base(bench)
        for name, value, *lane in settings:
            subject.inside.set(name, value, *lane)
        return subject

    return make


def reads(page: int, address: int, value: Callable[[int], int] | int, base: Make = dr4) -> Make:
    """One byte that the judge reads differently."""
    hook = value if callable(value) else lambda _: value

    def make(bench: Bench) -> Subject:
        subject = base(bench)
        return replace(subject, host=Meddler(subject.host, values={(page, address): hook}))

    return make


def writes(hook: Callable[[Subject, int, int, bytes], tuple[int, bytes] | None], base: Make = dr4) -> Make:
    """Writes that arrive differently: hook(subject, page, address, data)."""

    def make(bench: Bench) -> Subject:
        subject = base(bench)
        host = Meddler(subject.host, on_write=lambda page, at, data: hook(subject, page, at, data))
        return replace(subject, host=host)

    return make


def deaf(page: int, first: int, last: int, base: Make = dr4) -> Make:
    """A module that ignores writes to a range."""

    def hook(_: Subject, mapped: int, at: int, data: bytes) -> tuple[int, bytes] | None:
        inside = mapped == page and at <= last and at + len(data) - 1 >= first
        return None if inside else (at, data)

    return writes(hook, base)


def profile(kind: str, edit: Callable[[dict[str, Any]], None], *settings: tuple[Any, ...]) -> Make:
    """A profile override."""
    return back_door(*settings, base=lambda bench: bench.subject(kind, edit))


def registers(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Edit of the profile's registers."""
    return lambda data: data["registers"].update(values)


def behaviour(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Edit of the profile's behaviour."""
    return lambda data: data.setdefault("behaviour", {}).update(values)


# -- access -----------------------------------------------------------------------------------------------


def forgets_address(bench: Bench) -> Subject:
    subject = dr4(bench)
    return replace(subject, host=Meddler(subject.host, current=lambda length: subject.host.read(128, length)))


def reading(hook: Callable[[Subject, int, int, bytes], bytes], base: Make = dr4) -> Make:
    """Whole reads changed: hook(subject, page, address, data)."""

    def make(bench: Bench) -> Subject:
        subject = base(bench)
        host = Meddler(subject.host, on_read=lambda page, at, data: hook(subject, page, at, data))
        return replace(subject, host=host)

    return make


def no_roll_over(_: Subject, __: int, at: int, data: bytes) -> bytes:
    room = 128 - (at & 127)
    return data[:room].ljust(len(data), b"\xff")


def long_reads_stale(_: Subject, page: int, __: int, data: bytes) -> bytes:
    return data[:-1] + b"\x77" if page != LOWER and len(data) > 100 else data


def takes_writes(page: int) -> Make:
    """A module that stores what it must ignore."""

    def make(bench: Bench) -> Subject:
        subject = dr4(bench)
        taken: dict[tuple[int, int], Callable[[int], int]] = {}

        def hook(mapped: int, at: int, data: bytes) -> tuple[int, bytes]:
            for index, value in enumerate(data):
                if (mapped == page and at + index < BANK_SELECT) or mapped == page != LOWER:
                    taken[page, at + index] = lambda _, value=value: value  # type: ignore[misc]
            return at, data

        return replace(subject, host=Meddler(subject.host, values=taken, on_write=hook))

    return make


# -- pages ------------------------------------------------------------------------------------------------


def selects(change: Callable[[bytes], bytes], base: Make = dr4) -> Make:
    """Page selects that end up elsewhere."""

    def hook(_: Subject, page: int, at: int, data: bytes) -> tuple[int, bytes]:
        return (at, change(data)) if page == LOWER and at == BANK_SELECT and len(data) == 2 else (at, data)

    return writes(hook, base)


def lacks_page(page: int, base: Make = dr4) -> Make:
    return selects(lambda data: b"\0\0" if data[1] == page else data, base)


def shows_instead(page: int, other: int, base: Make = dr4) -> Make:
    """Page `page` shows the bytes of `other`, and PageSelect does not say so."""

    def make(bench: Bench) -> Subject:
        subject = base(bench)

        def hook(mapped: int, at: int, data: bytes) -> bytes:
            if mapped != page:
                return data
            return bytes(subject.inside.peek(other, at if other != LOWER else at - 128, len(data)))

        return replace(subject, host=Meddler(subject.host, on_read=hook))

    return make


def ghost_page(number: int, keeps_number: int | None = None) -> Make:
    """A page that is not advertised is mapped, with bytes of its own; or PageSelect shows another number."""

    def make(bench: Bench) -> Subject:
        subject = dr4(bench)
        mapped = [0]

        def on_write(page: int, at: int, data: bytes) -> tuple[int, bytes]:
            if page == LOWER and at == BANK_SELECT and len(data) == 2:
                mapped[0] = data[1]
            return at, data

        def on_read(page: int, at: int, data: bytes) -> bytes:
            if mapped[0] != number:
                return data
            if at == PAGE_SELECT:
                return bytes([keeps_number or number])
            return bytes(range(len(data))) if at >= 128 else data

        return replace(subject, host=Meddler(subject.host, on_write=on_write, on_read=on_read))

    return make


def forgets_mapping(subject: Subject, _: int, at: int, data: bytes) -> bytes:
    if at < BANK_SELECT:
        subject.host.write(BANK_SELECT, b"\0\0")
    return data


def bank_acts_alone(_: Subject, page: int, at: int, data: bytes) -> tuple[int, bytes]:
    return (at, data + b"\0") if page == LOWER and at == BANK_SELECT and len(data) == 1 else (at, data)


def flat_image(bench: Bench, *, obeys: bool = True) -> Subject:
    pages = bench.pages()
    lower = bytearray(pages[LOWER, 0])
    lower[2] |= 0x80
    lower[3] = 0x07
    lower[4:14] = bytes(10)
    lower[14:26] = bytes(12)
    flat = {(LOWER, 0): bytes(lower), (0, 0): pages[0, 0], (1, 0): pages[1, 0]}
    return bench.image(flat, flat=obeys)


# -- optional functions: what the emulator does not have yet, played by a host in between -----------------------


def VDM(data: dict[str, Any]) -> None:
    """Host lanes and their statistics: values 1 to 8 are eSNR, 9 to 16 minimum to current of two data paths."""
    data["vdm"] = {
        "groups": [
            [
                {"observable": "esnr_host", "lanes": 8, "thresholds": [None, 17.7, None, 18.5]},
                {
                    "observable": [f"pre_fec_ber_{word}_host" for word in ("minimum", "maximum", "average", "current")],
                    "data_paths": [1, 3],
                },
            ]
        ]
    }


vdm = profile("vdm", VDM)


def diagnostics_with(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Edit of the profile's diagnostics; None takes a line away."""

    def edit(data: dict[str, Any]) -> None:
        data["diagnostics"].update(changes)
        data["diagnostics"] = {key: value for key, value in data["diagnostics"].items() if value is not None}

    return edit


no_media_input = profile("no-media-input", diagnostics_with(loopbacks=["media_output", "host_output", "host_input"]))
one_side_at_a_time = profile("one-side", diagnostics_with(simultaneous_loopbacks=None))
all_lanes_at_once = profile("all-lanes", diagnostics_with(loopbacks_per_lane=None))


def restless(subject: Subject, page: int, at: int, data: bytes) -> bytes:
    """Values that move while frozen."""
    if page != 0x24:
        return data
    return data[:1] + bytes([int(subject.host.timer.now() * 10) & 0xFF]) + data[2:]


def keeps_what_is_written(page: int, first: int, last: int, base: Make = dr4) -> Make:
    """Bytes that read back as written, whatever the module makes of them."""

    def make(bench: Bench) -> Subject:
        subject = base(bench)
        kept: dict[tuple[int, int], Callable[[int], int]] = {}

        def hook(mapped: int, at: int, data: bytes) -> tuple[int, bytes]:
            for address, value in enumerate(data, at):
                if mapped == page and first <= address <= last:
                    kept[page, address] = lambda _, value=value: value  # type: ignore[misc]
            return at, data

        return replace(subject, host=Meddler(subject.host, values=kept, on_write=hook))

    return make


def never_off(at: int, base: Make = dr4) -> Make:
    """A control that cannot be switched off once it is on."""
    return writes(
        lambda _, page, where, data: None if (page, where, data) == (0x13, at, b"\0") else (where, data), base
    )


def results(hook: Callable[[bytes], bytes], base: Make = dr4) -> Make:
    """What page 14h shows as results, changed."""
    return reading(lambda _, page, at, data: hook(data) if (page, at) == (0x14, 192) else data, base)


def restless_gate(subject: Subject, page: int, at: int, data: bytes) -> bytes:
    """Counters that go on after the gate."""
    moved = bytes([int(subject.host.timer.now() * 10) & 0xFE])
    return moved + data[1:] if (page, at) == (0x14, 192) and any(data) else data


def gated_are_others(subject: Subject, page: int, at: int, data: bytes) -> bytes:
    """The last gate's results are those of another."""
    shown = subject.inside.get("DiagnosticsSelector")
    return bytes([data[0] ^ 2]) + data[1:] if (page, at) == (0x14, 192) and shown & 0x10 else data


def groups(name: str) -> Make:
    """A DR4 of revision 5.3 with one more group of CDB commands."""

    def edit(data: dict[str, Any]) -> None:
        data["revision"] = "5.3"
        data["cdb"]["groups"] = [name]

    return profile(f"cdb-{name}", edit)


def cdb_section(kind: str, **values: Any) -> Make:
    """Another section `cdb`."""
    return profile(kind, lambda data: data["cdb"].update(values))


foreground = cdb_section("cdb-foreground", mode="foreground", max_busy_ms=1920)
performance, identity, applications = groups("performance"), groups("security"), groups("applications")


def faulty(arm: Callable[[CdbFaults], object], base: Make = dr4) -> Make:
    """An engine with a fault."""

    def make(bench: Bench) -> Subject:
        subject = base(bench)
        assert subject.inside.cdb is not None
        arm(subject.inside.cdb.faults)
        return subject

    return make


def stale_status(bench: Bench) -> Subject:
    """While a command runs, the status byte still shows how the last one ended."""
    subject = dr4(bench)
    last = [0]

    def hook(value: int) -> int:
        last[0] = last[0] if value & 0x80 else value
        return last[0]

    return replace(subject, host=Meddler(subject.host, values={(LOWER, 37): hook}))


def body_triggers(bench: Bench) -> Subject:
    """A message is carried out when its body is written, whatever its command."""
    subject = dr4(bench)

    def hook(page: int, at: int, data: bytes) -> tuple[int, bytes] | None:
        if page != 0x9F or at != 130:
            return at, data
        subject.host.write(at, data)
        subject.host.write(128, b"\0\0")
        return None

    return replace(subject, host=Meddler(subject.host, on_write=hook))


# -- states and paths ---------------------------------------------------------------------------------------


def acs_follows(subject: Subject, page: int, at: int, data: bytes) -> tuple[int, bytes]:
    """Staging acts at once."""
    if page == 0x10 and 145 <= at <= 152:
        subject.inside.set("ACS.AppSelCodeLane", data[0] >> 4, 1)
    return at, data


def acs_changes(subject: Subject, page: int, at: int, data: bytes) -> tuple[int, bytes]:
    """A trigger changes the active set, refused or not."""
    if page == 0x10 and at == 143:
        subject.inside.set("ACS.AppSelCodeLane", int(subject.inside.get("ACS.AppSelCodeLane", 8)) ^ 4, 8)
    return at, data


def ignores_reset(_: Subject, page: int, at: int, data: bytes) -> tuple[int, bytes]:
    return (at, bytes([data[0] & ~0x08])) if page == LOWER and at == 26 else (at, data)


def without_resolution(page: int, at: int, data: bytes) -> bytes:
    """Page 04h with a fine tuning of no resolution."""
    if page != 0x04:
        return data
    return bytes(0 if 190 <= at + index < 192 else byte for index, byte in enumerate(data))


def remembers_over_reset(page: int, address: int, base: Make = dr4) -> Make:
    """A byte that no reset brings back."""

    def make(bench: Bench) -> Subject:
        subject = base(bench)
        kept: dict[tuple[int, int], Callable[[int], int]] = {}

        def hook(mapped: int, at: int, data: bytes) -> tuple[int, bytes]:
            if mapped == page and at <= address < at + len(data):
                kept[page, address] = lambda _: data[address - at]
            return at, data

        return replace(subject, host=Meddler(subject.host, values=kept, on_write=hook))

    return make


def pins(**stuck: tuple[str, ...]) -> Make:
    """Pins that do nothing (`dead`) or lie (`inverted`)."""

    def make(bench: Bench) -> Subject:
        subject = dr4(bench)
        return replace(subject, host=Meddler(subject.host, pins=StuckPins(subject.host.pins, **stuck)))

    return make


def wakes_unused(_: Subject, page: int, at: int, data: bytes) -> bytes:
    """The last lanes run along with the first."""
    return data[:3] + b"\x44" if (page, at, len(data)) == (0x11, 128, 4) and data[0] == 0x44 else data


def applies_once(bench: Bench) -> Subject:
    """ApplyDPInit works the first time only."""
    subject = dr4(bench)
    count = [0]

    def hook(page: int, at: int, data: bytes) -> tuple[int, bytes] | None:
        if page == 0x10 and at == 143:
            count[0] += 1
            if count[0] == 2:
                return None
        return at, data

    return replace(subject, host=Meddler(subject.host, on_write=hook))


def refuses(seconds: float) -> Make:
    """No acknowledge for a while after each page select."""

    def make(bench: Bench) -> Subject:
        subject = dr4(bench)
        real, timer = subject.host._bus, subject.host.timer
        until = [0.0]

        class Busy:
            def i2c_rdwr(self, *messages: Any) -> None:
                if timer.now() < until[0]:
                    raise OSError(errno.ENXIO, "no acknowledge")
                real.i2c_rdwr(*messages)
                if messages[0].len == 3 and bytes(messages[0])[0] == BANK_SELECT:
                    until[0] = timer.now() + seconds

        return replace(subject, host=BusHost(Busy(), smbus2.i2c_msg, timer))

    return make


def answers_after(seconds: float) -> Make:
    """Silent for a while when a host looks whether the module is back from a reset."""

    def make(bench: Bench) -> Subject:
        subject = dr4(bench)
        host = subject.host
        since: list[float] = []

        class Silent(Meddler):
            def probe(self) -> bool:
                since.append(self.timer.now())
                return since[-1] - since[0] >= seconds and self.inner.probe()

        return replace(subject, host=Silent(host))

    return make


def keeps_mapping(bench: Bench) -> Subject:
    """The select bytes read back as before the reset."""
    subject = dr4(bench)
    was_reset = [False]

    def on_write(page: int, at: int, data: bytes) -> tuple[int, bytes]:
        was_reset[0] = page == LOWER and at == 26 and bool(data[0] & 8)
        return at, data

    def on_read(page: int, at: int, data: bytes) -> bytes:
        return b"\0\1" if was_reset[0] and at == BANK_SELECT and len(data) == 2 else data

    return replace(subject, host=Meddler(subject.host, on_write=on_write, on_read=on_read))


def old_status(bench: Bench) -> Subject:
    """The first look after a trigger shows the ConfigStatus of the trigger before."""
    subject = dr4(bench)
    shown = [b""]
    fresh = [False]

    def on_write(page: int, at: int, data: bytes) -> tuple[int, bytes]:
        fresh[0] = fresh[0] or (page == 0x10 and at == 143)
        return at, data

    def on_read(page: int, at: int, data: bytes) -> bytes:
        if page != 0x11 or at != 202:
            return data
        data, shown[0] = (shown[0] if fresh[0] and shown[0] else data), data
        fresh[0] = False
        return data

    return replace(subject, host=Meddler(subject.host, on_write=on_write, on_read=on_read))


def slow(name: str, code: int = 1) -> Make:
    """A module that advertises to be faster than it is."""
    return back_door((name, code))


# -- tunable lasers ---------------------------------------------------------------------------------------------


def zr(bench: Bench) -> Subject:
    """A tunable module, intact; one that is quick, so that walks through all grids are."""

    def edit(profile: dict[str, Any]) -> None:
        profile.clear()
        profile.update(yaml.safe_load(profile_path("qsfpdd-400g-zr").read_text()))
        profile["tuning"] |= {"time_ms": 20, "fine_time_ms": 5}

    return bench.subject("zr", edit)


def never_tuned(bench: Bench) -> Subject:
    subject = zr(bench)
    rule = SlowTuning(Occasions(), None)
    subject.inside.faults.tuning.add(rule)
    return subject


def drifting(bench: Bench) -> Subject:
    subject = zr(bench)
    subject.inside.plant.set_drift(1, 0.5)
    return subject


# -- the tables ------------------------------------------------------------------------------------------------


POSITIVE: dict[str, Make] = {
    "tuning-offer": zr,
    "tuning-requests": zr,
    "tuning-defaults": zr,
    "flat": flat_image,
    "vdm-descriptors": vdm,
    "vdm-thresholds": vdm,
    "vdm-unused": vdm,
    "vdm-done": vdm,
    "vdm-freeze": vdm,
    "vdm-statistics": vdm,
    "vdm-hold": vdm,
    "vdm-flags": vdm,
    "vdm-masks": vdm,
    "cdb-applications": applications,
    "cdb-temperatures": performance,
    "cdb-identity": identity,
    "loopback-controls": no_media_input,
}
"""Where a check does not apply to the DR4: a module on which it passes."""

LANES = range(1, 9)
CONTROLS: dict[str, dict[str, Make]] = {
    # access
    "address-counter": {"forgets the address": forgets_address},
    "roll-over": {"reads run out at the end": reading(no_roll_over)},
    "long-reads": {"the last byte of a long read is stale": reading(long_reads_stale)},
    "write-only": {"the password can be read": reads(LOWER, 122, 0x10)},
    "hold-off": {
        "30 ms after a page change": refuses(0.030),
    },
    "read-only-bytes": {
        "page 00h can be written": takes_writes(0x00),
        "lower memory can be written": takes_writes(LOWER),
        "page 11h can be written": takes_writes(0x11),
    },
    "read-back": {
        "masks of page 10h ignore writes": deaf(0x10, 213, 232),
        "staged set 0 ignores writes": deaf(0x10, 145, 152),
        "a bit of a mask sticks": reads(LOWER, 31, lambda v: v | 1),
    },
    # pages
    "required-pages": {"no page 02h": lacks_page(0x02), "page 11h shows 00h": shows_instead(0x11, 0x00)},
    "advertised-pages": {
        "no page 13h": lacks_page(0x13),
        "13h shows 00h": shows_instead(0x13, 0x00),
        "14h shows lower memory": shows_instead(0x14, LOWER),
    },
    "unsupported-pages": {"page 41h is mapped": ghost_page(0x41), "PageSelect shows 7": ghost_page(0x30, 7)},
    "mapping": {
        "BankSelect reads 1": reads(LOWER, BANK_SELECT, 1),
        "a read of lower memory maps page 00h": reading(forgets_mapping),
    },
    "bank-alone": {"BankSelect maps page 00h": writes(bank_acts_alone)},
    "bank-ignored": {"page 02h exists in bank 0 only": selects(lambda d: b"\0\0" if d == b"\1\2" else d)},
    "banks": {
        "bank 1 is advertised and missing": selects(
            lambda d: b"\0\0" if d[0] == 1 else d, profile("banks", registers(BanksSupported=1))
        )
    },
    "flat": {"pages can be selected": lambda bench: flat_image(bench, obeys=False)},
    # identity
    "revision": {"0.5": back_door(("CmisRevision", 0x05)), "6.0": back_door(("CmisRevision", 0x60))},
    "identifier": {
        "another code on page 00h": back_door(("SFF8024IdentifierCopy", 0x19)),
        "an unknown code": back_door(("SFF8024Identifier", 0x7F), ("SFF8024IdentifierCopy", 0x7F)),
    },
    "text": {
        "zeros": back_door(("VendorPN", bytes(16))),
        "padded with zeros": back_door(("VendorName", b"ACME".ljust(16, b"\0"))),
        "right-justified": back_door(("VendorSN", b"X1".rjust(16))),
    },
    "date-code": {"month 13": back_door(("DateCodeMonth", "13")), "blank": back_door(("DateCodeYear", "  "))},
    "power-class": {
        "20 W in class 6": back_door(("MaxPower", 20.0)),
        "12 W in class 8": back_door(("ModulePowerClass", 7)),
    },
    "codes": {
        "connector": back_door(("ConnectorType", 0x50)),
        "technology": back_door(("MediaInterfaceTechnology", 0x60)),
        "media type": back_door(("MediaType", 0x30)),
    },
    "checksums": {
        "00h": reads(0x00, 166, 0x58),
        "01h": reads(0x01, 255, 0),
        "02h": reads(0x02, 129, 1),
    },
    "reserved": {"lower memory": reads(LOWER, 50, 1), "page 11h": reads(0x11, 237, 0x80)},
    "durations": {
        "a data path": back_door(("MaxDurationDPInit", 15)),
        "the module": back_door(("MaxDurationModulePwrUp", 14)),
    },
    # applications
    "application-list": {
        "no end mark": back_door(("ApplicationDescriptor.HostInterfaceID", 0, 3)),
        "empty": back_door(("ApplicationDescriptor.HostInterfaceID", 0xFF, 1)),
    },
    "interface-codes": {
        "host": back_door(("ApplicationDescriptor.HostInterfaceID", 0x9F, 1)),
        "media": back_door(("ApplicationDescriptor.MediaInterfaceID", 0xA5, 1)),
    },
    "lane-counts": {"nine host lanes": back_door(("ApplicationDescriptor.HostLaneCount", 9, 1))},
    "host-assignment": {
        "runs over the end": back_door(("ApplicationDescriptor.HostLaneAssignmentOptions", 2, 1)),
        "no option": back_door(("ApplicationDescriptor.HostLaneAssignmentOptions", 0, 2)),
    },
    "media-assignment": {
        "lanes that do not exist": back_door(("MediaLaneAssignmentOptions", 0x10, 1)),
        "no option": back_door(("MediaLaneAssignmentOptions", 0, 1)),
    },
    "instances": {"one media start for four instances": back_door(("MediaLaneAssignmentOptions", 0x01, 2))},
    "media-lanes": {"none": back_door(*(("MediaLaneUnsupported", 1, lane) for lane in LANES))},
    "lane-mapping": {"a fibre for lane 5": back_door(("MediaLaneToFiberMappingTx", 3, 5))},
    # states
    "module-state": {
        "a reserved code": reads(LOWER, 3, 0x01),
        "a flat module in low power": reads(LOWER, 3, 0x03, flat_image),
    },
    "data-path-states": {
        "lanes differ": back_door(("DPStateHostLane", 1, 3)),
        "a reserved code": back_door(*(("DPStateHostLane", 9, lane) for lane in LANES)),
        "an unused lane is activated": back_door(("ACS.AppSelCodeLane", 0, 8)),
        "activated in low power": reads(LOWER, 3, 0x03),
    },
    "active-set": {
        "DataPathID": back_door(*(("ACS.DataPathIDLane", 3, lane) for lane in LANES)),
        "an application that is not there": back_door(*(("ACS.AppSelCodeLane", 9, lane) for lane in LANES)),
        "too few lanes": back_door(("ACS.AppSelCodeLane", 0, 8)),
        "a start that is not allowed": back_door(
            *(("ACS.AppSelCodeLane", 0, lane) for lane in LANES),
            ("ACS.AppSelCodeLane", 2, 2),
            ("ACS.AppSelCodeLane", 2, 3),
            ("ACS.DataPathIDLane", 1, 2),
            ("ACS.DataPathIDLane", 1, 3),
        ),
    },
    "config-status": {"a reserved code": back_door(("ConfigStatusLane", 9, 2))},
    "outputs": {
        "output from a data path that is down": back_door(*(("DPStateHostLane", 1, lane) for lane in LANES)),
        "output on a lane that is not there": reads(0x11, 133, 0x4F),
    },
    "init-pending": {"pending while activated": back_door(("DPInitPendingLane", 1, 1))},
    "staged-sets": {"staging acts": writes(acs_follows)},
    # flags
    "unadvertised-flags": {"AdaptiveInputEqFail": reads(0x11, 138, 1), "Aux1": reads(LOWER, 10, 1)},
    "missing-lane-flags": {"Tx power of lane 5": reads(0x11, 139, 0x10)},
    "flags-summary": {"stuck at 1": reads(LOWER, 4, 1), "a bank that is not there": reads(LOWER, 6, 1)},
    "interrupt": {
        "asserted for nothing": reads(LOWER, 3, lambda v: v & ~1),
        "never asserted": reads(LOWER, 3, lambda v: v | 1, in_the_dark),
        "on flat memory": reads(LOWER, 3, 0x06, flat_image),
    },
    "interrupt-pin": {"IntL inverted": pins(inverted=("IntL",))},
    "clear-on-read": {
        "ModuleStateChanged stays": reads(LOWER, 8, lambda v: v | 1),
        "DPStateChanged stays": reads(0x11, 134, 0xFF),
    },
    "interrupt-masks": {
        "masks do nothing": deaf(LOWER, 31, 36),
        "the flag is forgotten": reads(LOWER, 8, 0),
        "never interrupts": reads(LOWER, 3, lambda v: v | 1),
        "IntL inverted": pins(inverted=("IntL",)),
    },
    # monitors
    "threshold-order": {"warning above alarm": back_door(("TempMonHighWarningThreshold", 90.0))},
    "plausible": {"112 degC": reads(LOWER, 14, 0x70), "1 V": reads(LOWER, 16, 0x27)},
    "unadvertised-monitors": {"the custom monitor": reads(LOWER, 24, 1)},
    "missing-lane-monitors": {"Tx power of lane 5": reads(0x11, 163, 1)},
    "readings-flagged": {"hot without a flag": reads(LOWER, 14, 90), "dark Rx without a flag": reads(0x11, 186, 0)},
    # VDM, CDB, diagnostics
    "vdm-descriptors": {
        "a reserved type": back_door(("VDMDescriptor.ObservableTypeID", 250, 2), base=vdm),
        "lane 12": back_door(("VDMDescriptor.MonitoredResource", 11, 1), base=vdm),
    },
    "vdm-thresholds": {"warning below alarm": back_door(("VDMThresholdSet.LowWarning", 100, 1), base=vdm)},
    "vdm-unused": {"a flag": back_door(("VDMFlags", 1, 17), base=vdm)},
    "vdm-done": {"both": back_door(("FreezeDone", 1), base=vdm)},
    "vdm-freeze": {"never done": deaf(0x2F, 144, 144, vdm)},
    "vdm-statistics": {
        "average above maximum": reads(0x24, 128 + 2 * 12, 0xF0, vdm),
        "current below minimum": reads(0x24, 128 + 2 * 14, 0x10, vdm),
    },
    "vdm-hold": {"values move": reading(restless, vdm)},
    "vdm-flags": {"low without a flag": reads(0x24, 128, 0x10, vdm)},
    "vdm-masks": {
        "a mask survives": remembers_over_reset(0x2D, 128, vdm),
        "not all alike": reads(0x2D, 130, 0x0F, vdm),
    },
    "cdb-advertisement": {
        "a reserved number of pages": reads(0x01, 163, 0x4F),
        "three instances": reads(0x01, 163, 0xC0),
    },
    "cdb-status": {"a reserved result": back_door(("CdbCommandResult1", 0x20))},
    "cdb-pages": {
        "no message page": lacks_page(0x9F),
        "lengths are not kept": deaf(0x9F, 130, 133),
        "a page of payload is missing": lacks_page(0xA9),
        "a page of payload keeps nothing": deaf(0xA3, 128, 255),
    },
    "cdb-trigger": {
        "triggers are ignored": faulty(lambda f: f.ignore_trigger(0x0000, count=None)),
        "the body is a trigger": body_triggers,
        "the second byte alone is none": deaf(0x9F, 129, 129),
    },
    "cdb-refusals": {
        "an unknown command succeeds": reads(LOWER, 37, lambda v: 1 if v == 0x41 else v),
        "a wrong check code is taken": reads(LOWER, 37, lambda v: 1 if v == 0x45 else v),
        "a right check code is refused": faulty(lambda f: f.fail(0x0000, 0x45, count=None)),
        "the status before is still there": stale_status,
    },
    "cdb-complete": {
        "no flag": faulty(lambda f: f.no_completion_flag(count=None)),
        "no flag after a failure": faulty(lambda f: f.no_completion_flag(0x7FFE, count=None)),
        "busy for ever": faulty(lambda f: f.busy_forever(0x0040, count=None)),
    },
    "cdb-busy": {
        "the status before is still there": stale_status,
        "background is said, accesses are refused": reads(0x01, 163, lambda v: v | 0x20, foreground),
        "refuses for longer than it says": reads(0x01, 166, 0x28, foreground),
        "answers at once": reads(LOWER, 37, 1),
        "three bytes of reply": faulty(lambda f: f.wrong_reply_length(0x0000, 3, count=None)),
    },
    "cdb-meanwhile": {
        "the reply of the second command": faulty(lambda f: f.wrong_reply_length(0x0000, 36, count=None)),
        "fails": faulty(lambda f: f.fail(0x0000, count=None)),
    },
    "cdb-abort": {
        "ignored": writes(lambda _, page, at, data: None if (page, data) == (0x9F, b"\0\4") else (at, data)),
        "the next command fails": faulty(lambda f: f.fail(0x0040, nth=2, count=None)),
    },
    "cdb-kept": {
        "the length is gone": reads(0x9F, 132, 0),
        "a reserved reply length": faulty(lambda f: f.wrong_reply_length(0x0000, 200, count=None)),
    },
    "cdb-auto-paging": {
        "not said": reads(0x01, 163, lambda v: v & 0xEF),
        "only said": reads(0x01, 163, lambda v: v | 0x10, cdb_section("cdb-no-paging", auto_paging=False)),
    },
    "cdb-commands": {
        "does not answer": faulty(lambda f: f.fail(count=None)),
        "a short reply": faulty(lambda f: f.wrong_reply_length(0x0040, 30, count=None)),
        "a wrong reply check code": faulty(lambda f: f.wrong_reply_check_code(0x0041, count=None)),
        "an empty bitmap": reads(0x9F, 146, 0),
    },
    "cdb-bitmaps": {
        "what is listed is unknown": faulty(lambda f: f.fail(0x0042, 0x41, count=None)),
        "what is not listed is answered": reads(0x9F, 146, lambda v: v & 0xF7),
        "monitoring that is listed is unknown": faulty(lambda f: f.fail(0x0201, 0x41, count=None), performance),
    },
    "cdb-firmware": {
        "a reserved mechanism": reads(0x9F, 141, 0x05),
        "too long a header": reads(0x9F, 138, 200),
    },
    "cdb-applications": {
        "another application": reads(0x9F, 137, 99, applications),
        "text that cannot be printed": reads(0x9F, 140, 7, applications),
    },
    "cdb-temperatures": {
        "the sum is another": reads(0x9F, 143, lambda v: v + 100 & 0xFF, performance),
        "a short reply": faulty(lambda f: f.wrong_reply_length(0x0290, 20, count=None), performance),
    },
    "cdb-identity": {
        "no certificate": reads(0x9F, 139, 0, identity),
        "a segment of another number": reads(0x9F, 138, 9, identity),
        "a certificate of no length": faulty(lambda f: f.wrong_reply_length(0x0044, 20, count=None), identity),
    },
    "diagnostics-capabilities": {
        "no pattern": back_door(("HostSideGeneratorSupportedPatterns", 0)),
    },
    "loopback-controls": {
        "on, though not advertised": back_door(
            ("MediaSideInputLoopbackSupported", 0), ("MediaSideInputLoopbackEnable", 1, 1)
        )
    },
    "diagnostics-selector": {
        "takes any selector": keeps_what_is_written(0x14, 128, 128),
        "knows none": deaf(0x14, 128, 128),
        "shows something for an unknown one": results(lambda data: data[:-1] + b"\1"),
    },
    "loopback-switching": {
        "nothing can be switched on": deaf(0x13, 180, 183),
        "never off": never_off(181),
        "reads back nothing": reads(0x13, 183, 0),
        "takes what is not advertised": keeps_what_is_written(0x13, 180, 183, no_media_input),
        "both of a side on a lane": keeps_what_is_written(0x13, 180, 183),
        "both sides": keeps_what_is_written(0x13, 180, 183, one_side_at_a_time),
        "one lane alone": keeps_what_is_written(0x13, 180, 183, all_lanes_at_once),
    },
    "diagnostics-masks": {
        "a mask survives": remembers_over_reset(0x13, 208),
        "lanes differ": reads(0x13, 210, 0x0F),
    },
    "pattern-loop": {
        "nothing is looped": deaf(0x13, 180, 183),
        "the generator does not run": deaf(0x13, 144, 144),
        "locks on anything": reads(0x14, 138, 0),
        "counts nothing": results(lambda data: bytes(len(data))),
        "counts once": results(lambda data: b"\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0" * 4 if any(data) else data),
        "never in sync": results(lambda data: bytes(v | (n % 16 == 8) for n, v in enumerate(data))),
        "does not clear": deaf(0x13, 177, 177),
        "stays cleared": writes(
            lambda _, page, at, data: (at, bytes([data[0] | 0x20])) if (page, at) == (0x13, 177) else (at, data)
        ),
        "the checker stays on": never_off(160),
    },
    "pattern-gate": {
        "no gate": deaf(0x13, 177, 177),
        "no flag": reads(0x14, 134, 0),
        "flagged from the start": reads(0x14, 134, 0xFF),
        "goes on": reading(restless_gate),
        "the last gate is another": reading(gated_are_others),
    },
    # tunable lasers
    "tuning-offer": {
        "not controllable": reads(0x01, 155, 0x40, zr),
        "no grid": reads(0x04, 128, 0, zr),
        "a channel that is no multiple": reads(0x04, 159, 0xB9, zr),
        "lowest above highest": reads(0x04, 158, 0x7F, zr),
        "no resolution": reading(lambda _, page, at, data: without_resolution(page, at, data), zr),
        "lowest power above the highest": reads(0x04, 198, 0x00, zr),
    },
    "tuning-requests": {
        "never tuned": never_tuned,
        "does not move": deaf(0x12, 136, 151, zr),
        "tells another frequency": drifting,
        "no flag of the channel": reads(0x12, 231, lambda value: value & ~0x04, zr),
        "no flag of the offset": reads(0x12, 231, lambda value: value & ~0x10, zr),
        "no flag of the power": reads(0x12, 231, lambda value: value & ~0x20, zr),
        "no summary": reads(0x12, 230, 0, zr),
    },
    "tuning-defaults": {
        "unmasked": reads(0x12, 239, 0, zr),
        "somewhere else": drifting,
        "lanes that are no lasers": reads(0x00, 210, 0, zr),  # none is missing
    },
    # reset and module states
    "software-reset": {
        "ignored": writes(ignores_reset),
        "takes 3 s": answers_after(3.0),
        "the flag is missing": reads(LOWER, 8, 0),
        "the bit stays": reads(LOWER, 26, lambda v: v | 8),
    },
    "reset-defaults": {
        "a mask survives": remembers_over_reset(0x10, 213),
        "DPDeinit survives": remembers_over_reset(0x10, 128),
        "the staged set survives": remembers_over_reset(0x10, 145),
        "PageSelect survives": keeps_mapping,
        "low power not allowed by default": reads(LOWER, 26, lambda v: v & ~0x40),
        "Tx is disabled by default": reads(0x10, 130, 1),
    },
    "reset-pin": {
        "not connected": pins(dead=("ResetL",)),
        "takes 3 s": answers_after(3.0),
        "a mask survives": remembers_over_reset(LOWER, 31),
    },
    "power-cycle": {
        "PwrUp too long": slow("MaxDurationModulePwrUp", 6),
        "PwrDn too long": slow("MaxDurationModulePwrDn", 4),
        "never leaves Ready": deaf(LOWER, 26, 26),
        "the flag is missing": reads(LOWER, 8, 0),
        "output stays on": reads(0x11, 133, 0x0F),
        "data paths stay": reads(0x11, 128, 0x44),
    },
    "low-power-pin": {"not connected": pins(dead=("LPMode",)), "acts when not allowed": reads(LOWER, 3, 0x03)},
    "self-start": {
        "waits for the host": writes(
            lambda _, page, at, data: (at, b"\xff") if (page, at, data) == (0x10, 128, b"\0") else (at, data)
        ),
        "stays down": reads(0x11, 128, 0x11),
    },
    "deinit-in-low-power": {"ignored": deaf(0x10, 128, 128)},
    # data paths
    "applications": {
        "DPInit too long": slow("MaxDurationDPInit", 5),
        "DPTxTurnOn too long": slow("MaxDurationDPTxTurnOn", 4),
        "DPDeinit too long": slow("MaxDurationDPDeinit", 4),
        "DPTxTurnOff too long": slow("MaxDurationDPTxTurnOff", 4),
        "everything is refused": reads(0x11, 202, 0x22),
        "never comes up": deaf(0x10, 128, 128),
        "no DPInitPending": reads(0x11, 235, 0),
        "DPInitPending stays": reads(0x11, 235, 0xFF),
        "no DPStateChanged": reads(0x11, 134, 0),
        "no output": reads(0x11, 133, 0),
        "the active set does not follow": reads(0x11, 206, 0x30),
        "an unused lane wakes": reading(wakes_unused),
        "skips DPInit the wrong way": reads(0x11, 128, lambda v: 0x33 if v == 0x22 else v),
    },
    "breakouts": {
        "DPTxTurnOn too long": slow("MaxDurationDPTxTurnOn", 4),
        "DPInit too long": slow("MaxDurationDPInit", 5),
        "no DPInitPending": reads(0x11, 235, 0),
        "DPInitPending stays": reads(0x11, 235, 0xFF),
        "no DPStateChanged": reads(0x11, 134, 0),
        "no output": reads(0x11, 133, 0),
        "the active set does not follow": reads(0x11, 206, 0x30),
        "refuses several at once": reads(0x11, 202, 0x44),
        "lanes differ": reads(0x11, 129, 0x11),
    },
    "held-at-initialized": {
        "everything is refused": reads(0x11, 202, 0x22),
        "Tx disable does nothing": deaf(0x10, 130, 130),
        "Tx enable does nothing": writes(
            lambda _, page, at, data: None if (page, at, data) == (0x10, 130, b"\0") else (at, data)
        ),
        "output status stuck on": reads(0x11, 133, 0xFF),
        "Tx power stuck": reads(0x11, 154, 0x30),
        "one lane does not matter": writes(
            lambda _, page, at, data: None if (page, at, data) == (0x10, 130, b"\x01") else (at, data)
        ),
    },
    "reconfiguration": {
        "ApplyDPInit does nothing": applies_once,
        "everything is refused": reads(0x11, 202, 0x22),
        "DPInitPending stays": reads(0x11, 235, 0xFF),
    },
    "config-at-once": {"the old status is still there": old_status},
    "refusals": {
        "everything succeeds": reads(0x11, 202, 0x11),
        "the active set changes": writes(acs_changes),
    },
}
"""For each check, the modules that it must catch."""
