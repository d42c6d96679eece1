"""Application descriptors and lane assignments: the list, its codes, its lanes, and what can run at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cmis_emu.judge.check import AbsentError, Area, Outcome, check, failed, judged, not_applicable, passed
from cmis_emu.judge.session import LANES, Session

END = 0xFF
CUSTOM_FROM = 0xC0  # interface codes of the vendors
BASIC, MORE = "ApplicationDescriptor", "AdditionalApplicationDescriptor"
PARTS = ("HostInterfaceID", "MediaInterfaceID", "HostLaneCount", "MediaLaneCount", "HostLaneAssignmentOptions")
MEDIA_ENUMS = {
    1: "media_interface_id_mmf",
    2: "media_interface_id_smf",
    3: "media_interface_id_passive_copper",
    4: "media_interface_id_active_cable",
    5: "media_interface_id_base_t",
}
NAD_HOST_ID = 0xBE  # sends the host to page 1Ch (APP-10)


@dataclass(frozen=True, slots=True)
class Row:
    """One descriptor as read. `starts`: host lanes it may begin on, 1-based."""

    app_sel: int
    host: int
    media: int
    host_lanes: int
    media_lanes: int
    starts: tuple[int, ...]
    shown: str

    @property
    def subject(self) -> str:
        """For reports."""
        return f"AppSel {self.app_sel}"


def lanes_of(mask: int) -> tuple[int, ...]:
    """1-based lanes of a mask."""
    return tuple(index + 1 for index in range(LANES) if mask >> index & 1)


def rows(s: Session) -> tuple[list[Row], bool]:
    """The applications up to the end mark, and whether there is one (or the list is full)."""
    found: list[Row] = []
    groups = [(BASIC, s.regmap.field(f"{BASIC}.HostInterfaceID").count)]
    if not s.flat and s.in_image(s.regmap.field(f"{MORE}.HostInterfaceID").page):
        groups.append((MORE, s.regmap.field(f"{MORE}.HostInterfaceID").count))
    for group, count in groups:
        for lane in range(1, count + 1):
            host, media, host_lanes, media_lanes, options = (s.code(f"{group}.{part}", lane) for part in PARTS)
            if host == END:
                return found, True
            raw = bytes([host, media, host_lanes << 4 | media_lanes, options])
            if not any(raw[:3]):
                return found, False
            place = s.regmap.field(f"{group}.HostInterfaceID").element(lane)[0]
            found.append(
                Row(len(found) + 1, host, media, host_lanes, media_lanes, lanes_of(options), f"{place}: {raw.hex(' ')}")
            )
    return found, True


def media_starts(s: Session, row: Row) -> tuple[int, ...]:
    """Media lanes the application may begin on. Raises AbsentError without page 01h."""
    return lanes_of(s.code("MediaLaneAssignmentOptions", row.app_sel))


def media_lanes_here(s: Session) -> tuple[int, ...]:
    """Media lanes of bank 0 that the module has (APP-08); all when it denies every one."""
    here = tuple(lane for lane, missing in enumerate(s.codes("MediaLaneUnsupported"), 1) if not missing)
    return here or tuple(range(1, LANES + 1))


def multiplexed(s: Session, row: Row) -> bool:
    """Do all instances share the module's media lanes, as on a coherent muxponder (ID-06)?"""
    return len(row.starts) > 1 and row.media_lanes == len(media_lanes_here(s)) and media_starts(s, row) == (1,)


def place(s: Session, wanted: Sequence[tuple[Row, int]]) -> list[tuple[int, ...]] | None:
    """Media lanes of data paths (application, first host lane) at once, by APP-04; None when one has no place."""
    taken: set[int] = set()
    result = []
    here = set(media_lanes_here(s))
    for row, _ in sorted(wanted, key=lambda each: each[1]):
        groups = [tuple(range(start, start + row.media_lanes)) for start in media_starts(s, row)]
        shared = multiplexed(s, row)
        group = next((g for g in groups if set(g) <= here and (shared or not taken & set(g))), None)
        if group is None:
            return None
        taken.update(group)
        result.append(group)
    return result


@check("application-list", Area.APPLICATIONS, "APP-01", "the list of applications ends with FFh, or is full")
def application_list(s: Session) -> Iterator[Outcome]:
    found, ended = rows(s)
    yield judged(bool(found), "APP-01", "first descriptor", "no application", "at least one",
                 s.show(f"{BASIC}.HostInterfaceID"))  # fmt: skip
    after = f"after AppSel {len(found)}" if found else "at the first row"
    if not ended:
        yield failed("APP-01", "end mark", f"00h {after}", "HostInterfaceID FFh ends the list",
                     s.show(f"{BASIC}.HostInterfaceID"))  # fmt: skip
        return
    basic = s.regmap.field(f"{BASIC}.HostInterfaceID").count
    full = len(found) == basic and not s.flat
    yield passed("APP-01", "end mark", f"{basic} applications without an end mark in lower memory" if full else "")


@check("interface-codes", Area.APPLICATIONS, "APP-01", "interface codes are known for the media type")
def interface_codes(s: Session) -> Iterator[Outcome]:
    media_type = s.code("MediaType")
    known_media = s.regmap.enums.get(MEDIA_ENUMS.get(media_type, ""))
    known_host = s.regmap.enums["host_interface_id"]
    for row in rows(s)[0]:
        good = row.host in known_host or row.host >= CUSTOM_FROM or row.host == NAD_HOST_ID
        note = "host interface undefined" if row.host == 0 else ""
        yield judged(good, "APP-01", f"{row.subject} host", f"{row.host:02X}h", "a known code", row.shown, note)
        if known_media is None:
            yield not_applicable("APP-01", f"{row.subject} media", f"MediaType {media_type:02X}h has no codes")
            continue
        good = row.media in known_media or row.media >= CUSTOM_FROM
        note = "media interface undefined" if row.media == 0 else ""
        yield judged(good, "APP-01", f"{row.subject} media", f"{row.media:02X}h", "a known code", row.shown, note)


@check("lane-counts", Area.APPLICATIONS, "APP-02", "lane counts are real numbers that fit a bank")
def lane_counts(s: Session) -> Iterator[Outcome]:
    for row in rows(s)[0]:
        for side, count in (("host", row.host_lanes), ("media", row.media_lanes)):
            note = "0: as the interface code defines it, which hosts dislike" if count == 0 else ""
            yield judged(count <= LANES, "APP-02", f"{row.subject} {side}", f"{count} lanes", f"at most {LANES}",
                         row.shown, note)  # fmt: skip


@check("host-assignment", Area.APPLICATIONS, "APP-03", "host lane assignment options leave room for all host lanes")
def host_assignment(s: Session) -> Iterator[Outcome]:
    for row in rows(s)[0]:
        if not row.starts:
            if s.flat:
                yield passed("APP-03", row.subject, "no host lane to begin on; nothing is assigned on a flat module")
            else:
                yield failed("APP-03", row.subject, "no host lane to begin on", "at least one option", row.shown)
            continue
        wrong = [start for start in row.starts if start + row.host_lanes - 1 > LANES]
        found = f"may begin on lane {wrong[0]} with {row.host_lanes} lanes" if wrong else ""
        yield judged(not wrong, "APP-03", row.subject, found, f"its lanes within 1 to {LANES}", row.shown)


@check("media-assignment", Area.APPLICATIONS, "APP-03", "media lane assignment options name lanes that exist")
def media_assignment(s: Session) -> Iterator[Outcome]:
    s.need_page(s.regmap.field("MediaLaneAssignmentOptions").page)
    here = set(media_lanes_here(s))
    for row in rows(s)[0]:
        starts = media_starts(s, row)
        shown = f"{row.shown}; {s.show('MediaLaneAssignmentOptions')}"
        if s.code("MediaType") in (3, 4) and not starts:
            yield passed("APP-03", row.subject, "a cable without media lane options")
            continue
        if not starts:
            yield failed("APP-03", row.subject, "no media lane to begin on", "at least one option", shown)
            continue
        wrong = [start for start in starts if not set(range(start, start + row.media_lanes)) <= here]
        found = f"may begin on media lane {wrong[0]} with {row.media_lanes} lanes" if wrong else ""
        yield judged(not wrong, "APP-03", row.subject, found, f"media lanes among {sorted(here)}", shown)


@check("instances", Area.APPLICATIONS, "APP-03", "all advertised host starts can be used at once")
def instances(s: Session) -> Iterator[Outcome]:
    s.need_page(s.regmap.field("MediaLaneAssignmentOptions").page)
    for row in rows(s)[0]:
        if not row.starts or not media_starts(s, row) or row.media_lanes == 0:
            yield not_applicable("APP-03", row.subject, "no options on one side")
            continue
        chosen: list[tuple[Row, int]] = []
        free = 1
        for start in row.starts:
            if start >= free:
                chosen.append((row, start))
                free = start + max(1, row.host_lanes)
        placed = place(s, chosen)
        starts = ", ".join(str(start) for _, start in chosen)
        yield judged(
            placed is not None,
            "APP-03",
            row.subject,
            f"host starts {starts}, but media starts {media_starts(s, row)} for {row.media_lanes} lanes each",
            "media lanes for all of them at once",
            row.shown,
            "instances share the media lanes" if multiplexed(s, row) else "",
        )


@check("media-lanes", Area.APPLICATIONS, "APP-08", "some media lane exists")
def media_lanes(s: Session) -> Iterator[Outcome]:
    if s.flat:
        raise AbsentError("flat memory: nothing is monitored or controlled by lane")
    denied = all(s.codes("MediaLaneUnsupported"))
    yield judged(not denied, "APP-08", "MediaLaneUnsupported", "every lane denied", "the lanes that applications use",
                 s.show("MediaLaneUnsupported"))  # fmt: skip


@check("lane-mapping", Area.APPLICATIONS, "APP-08", "media lanes that do not exist have no wavelength or fibre")
def lane_mapping(s: Session) -> Iterator[Outcome]:
    s.need_page(s.regmap.field("MediaLaneToWavelengthMappingTx").page)
    missing = [lane for lane in range(1, LANES + 1) if lane not in media_lanes_here(s)]
    if not missing:
        raise AbsentError("the module has all media lanes")
    for side in ("Tx", "Rx"):
        for kind in ("Wavelength", "Fiber"):
            name = f"MediaLaneTo{kind}Mapping{side}"
            wrong = [lane for lane in missing if s.code(name, lane)]
            yield judged(not wrong, "APP-08", name, f"a mapping of lanes {wrong}", "0 for lanes that are not there",
                         s.show(name))  # fmt: skip


CHECKS = (
    application_list,
    interface_codes,
    lane_counts,
    host_assignment,
    media_assignment,
    instances,
    media_lanes,
    lane_mapping,
)
