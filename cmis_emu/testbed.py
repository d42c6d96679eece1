"""Testbeds: which modules sit where and which fibres join them, from YAML or a dict.

Owns the format of `testbed.yaml` (version 1) and its errors, but for muxes and GPIO expanders (`board_reader.py`). It
builds nothing: the emulator does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmis_emu import testbeds
from cmis_emu.board_plan import BoardPlan, Place
from cmis_emu.board_reader import PLACE_KEYS, BoardReader
from cmis_emu.errors import InputError, UnknownFieldError
from cmis_emu.module.profile.library import load_profile, profile_names, profile_path
from cmis_emu.physics.cabling import Cable
from cmis_emu.physics.glass import GLASS, JOINTS, Amplifiers, Bend
from cmis_emu.pins import HOST_WORDS, plain
from cmis_emu.registers.encoding import encode
from cmis_emu.registers.loader import load_maps
from cmis_emu.registers.yamlfile import Located, from_data, load_yaml

VERSION = 1


@dataclass(frozen=True, slots=True)
class PortPlan:
    """One port: profile ('' for an empty cage), where it sits, start levels of host-driven pins, register values.

    interface: the network interface by whose name ethtool reaches the module; '' for none.
    """

    name: str
    profile: str
    place: Place
    pins: Mapping[str, bool]
    registers: Mapping[str, Any]
    interface: str = ""


@dataclass(frozen=True, slots=True)
class FibrePlan:
    """One cable from a port to another, to several (its legs; None hangs free), or back to the same.

    length_m. loss_db: of the whole path; None: what its parts add up to. glass: of `glass.GLASS`; None: what the
    light needs. joints: of `glass.JOINTS`; None: a connector at each end. amplifiers: None: none.
    """

    name: str
    source: str
    destinations: tuple[str | None, ...]
    length_m: float = 2.0
    loss_db: float | None = None
    cable: Cable = Cable.AUTO
    glass: str | None = None
    joints: tuple[str, ...] | None = None
    bends: tuple[Bend, ...] = ()
    zero_dispersion_nm: float | None = None
    amplifiers: Amplifiers | None = None


@dataclass(frozen=True, slots=True)
class Testbed:
    """A whole set-up."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    ports: tuple[PortPlan, ...]
    fibres: tuple[FibrePlan, ...]
    seed: int
    ambient_c: float
    airflow: float
    board: BoardPlan = field(default_factory=BoardPlan)
    title: str = ""


def single(profile: str) -> Testbed:
    """A profile alone: port 1 on bus 1, looped to itself by a nominal fibre."""
    port = PortPlan("1", profile, Place(1), {}, {})
    fibre = FibrePlan("loop", "1", ("1",))
    return Testbed((port,), (fibre,), 1, 35.0, 1.0)


def read_testbed(source: str | Path | Mapping[str, Any]) -> Testbed:
    """A testbed from the name of a profile or of a testbed that comes with the package, a YAML file, or a dict.

    Raises InputError with file:line.
    """
    if isinstance(source, Mapping):
        return parse_testbed(from_data(source))
    name = str(source)
    path = Path(name)
    try:
        is_profile, is_file = profile_path(name).exists(), path.exists()
    except (OSError, ValueError):  # no file could have such a name
        is_profile = is_file = False
    if is_profile:
        return single(name)
    if name in testbeds.names():
        return parse_testbed(load_yaml(testbeds.path(name)))
    if not is_file:
        near = ", ".join(profile_names())
        ready = ", ".join(testbeds.names())
        raise InputError(repr(name), f"a profile ({near}), a testbed ({ready}) or a testbed file", field="testbed")
    found = load_yaml(path)
    return single(name) if "profile" in found else parse_testbed(found)


def parse_testbed(source: Located) -> Testbed:
    """Check a testbed mapping."""
    keys = ("version", "seed", "environment", "ports", "fibres", "muxes", "expanders", "title")
    source.check_keys(keys, ("version", "ports"))
    if type(source["version"]) is not int or source["version"] != VERSION:
        raise source.error("version", source["version"], str(VERSION))
    environment = source.section("environment")
    environment.check_keys(("ambient_c", "airflow"))
    title = source.get("title", "")
    if not isinstance(title, str):
        raise source.error("title", title, "text")
    board = BoardReader(source)
    section = source.section("ports")
    ports = tuple(_port(section, name, board) for name in section)
    if not ports:
        raise source.error("ports", "no port", "at least one")
    plan = board.read({port.name: (section[port.name], port.place, port.pins) for port in ports})
    _check_interfaces(section, ports)
    fibres = source.section("fibres")
    plans = tuple(_fibre(fibres, name, {p.name for p in ports}) for name in fibres)
    _check_ends(fibres, plans)
    return Testbed(
        ports,
        plans,
        _seed(source),
        _number(environment, "ambient_c", 35.0, -40, 85),
        _number(environment, "airflow", 1.0, 0.0, 10.0),
        plan,
        title,
    )


def _number(source: Located, key: str, default: float, low: float, high: float) -> float:
    return float(source.number(key, low, high)) if key in source else default


def _seed(source: Located) -> int:
    value = source.get("seed", 1)
    if type(value) is not int or not 0 <= value < 2**63:
        raise source.error("seed", value, "a whole number from 0 to 2**63 - 1")
    return value


def _port(ports: Located, name: str, board: BoardReader) -> PortPlan:
    plan = ports[name]
    if not isinstance(plan, Located):
        raise ports.error(name, plan, "{profile: NAME, bus: N}", field=f"port {name}")
    plan.check_keys(("profile", "bus", "state", "registers", "interface", *PLACE_KEYS[1:]), field=f"port {name}")
    state = plan.section("state")
    state.check_keys(HOST_WORDS, field=f"port {name}: state")
    for pin, level in state.items():
        if not isinstance(level, bool):
            raise state.error(pin, level, "true (high) or false (low)")
    profile = plan.get("profile") or ""
    if not isinstance(profile, str):
        raise plan.error("profile", profile, "the name of a profile")
    if profile:
        beside = Path(ports.file).parent / profile  # a path counts from the testbed's folder
        if profile.endswith((".yaml", ".yml")) and beside.is_file():
            profile = str(beside)
        try:
            load_profile(profile)
        except InputError as error:
            if error.file is None:  # no such profile; a mistake inside one has a better place
                raise plan.error("profile", error.found, error.expected, field=f"port {name}: profile") from None
            raise
    place = board.place(plan, f"port {name}")
    registers = plan.section("registers")
    for register, value in registers.items():
        _check_register(registers, register, value, f"port {name}: registers")
    meant = [(plain(pin), level) for pin, level in state.items()]
    pins = {pin: level ^ inverted for (pin, inverted), level in meant}
    return PortPlan(name, profile, place, pins, dict(registers) if profile else {}, _interface(plan, name))


_INTERFACE_MAX = 15  # bytes (IFNAMSIZ, with its NUL)


def _interface(plan: Located, port: str) -> str:
    """A name that Linux would take for a network interface."""
    if "interface" not in plan:
        return ""
    name = plan["interface"]
    fits = isinstance(name, str) and 0 < len(name.encode()) <= _INTERFACE_MAX and name not in (".", "..")
    if not fits or any(character in "/:" or character.isspace() or character == "\0" for character in name):
        expected = f"1 to {_INTERFACE_MAX} bytes without '/', ':' and space"
        found = repr(name) if isinstance(name, str) else name
        raise plan.error("interface", found, expected, field=f"port {port}: interface")
    return str(name)


def _check_interfaces(where: Located, ports: tuple[PortPlan, ...]) -> None:
    taken: dict[str, str] = {}
    for port in ports:
        if port.interface in taken:
            found = f"{port.interface!r} of port {taken[port.interface]}"
            raise where.section(port.name).error(
                "interface", found, "a name of its own for each port", field=f"port {port.name}: interface"
            )
        if port.interface:
            taken[port.interface] = port.name


def _check_register(registers: Located, name: str, value: Any, where: str) -> None:
    """A register that the vendor has set otherwise in this one module, such as its serial number."""
    regmap = load_maps()
    try:
        field, lane = regmap.resolve(name)
        if not isinstance(value, (int, float, str)) or (lane is None and field.lanes is not None):
            raise registers.error(name, value, "one value; a lane's number belongs to the name", field=where)
        encode(field, value, regmap.enums.get(field.enum or "", {}))
    except UnknownFieldError as error:
        raise registers.error(name, name, str(error).partition("expected ")[2], field=where) from None
    except InputError as error:
        if error.file is not None:
            raise
        raise registers.error(name, error.found, error.expected, field=f"{where}: {name}") from None


_FIBRE_KEYS = (
    "from",
    "to",
    "length_m",
    "loss_db",
    "cable",
    "glass",
    "connectors",
    "bends",
    "zero_dispersion_nm",
    "amplifiers",
)
MAX_JOINTS = 32
MAX_SPANS = 40


def _fibre(fibres: Located, name: str, ports: set[str]) -> FibrePlan:
    plan = fibres[name]
    where = f"fibre {name}"
    if not isinstance(plan, Located):
        raise fibres.error(name, plan, "{from: PORT, to: PORT}", field=where)
    plan.check_keys(_FIBRE_KEYS, ("from", "to"), field=where)
    known = f"one of the ports {', '.join(sorted(ports))}"
    if isinstance(plan["from"], (list, Located)) or str(plan["from"]) not in ports:
        raise plan.error("from", plan["from"], known, field=where)
    legs = plan["to"] if isinstance(plan["to"], list) else [plan["to"]]
    for leg in legs:
        free = leg is None and len(legs) > 1  # a leg of a breakout may hang free
        if isinstance(leg, (list, Located)) or (str(leg) not in ports and not free):
            raise plan.error("to", leg, f"{known}, or a list of them for a breakout", field=where)
    ends = tuple(None if leg is None else str(leg) for leg in legs)
    if not any(ends) or (len(ends) > 1 and (str(plan["from"]) in ends or len(set(ends) - {None}) < _count(ends))):
        raise plan.error("to", plan["to"], "legs that lead to ports of their own", field=where)
    loss = plan.get("loss_db")
    zero = plan.get("zero_dispersion_nm")
    return FibrePlan(
        name,
        str(plan["from"]),
        ends,
        _number(plan, "length_m", 2.0, 0, 200_000),
        None if loss is None else _number(plan, "loss_db", 0, 0, 100),
        Cable(_choice(plan, "cable", [each.value for each in Cable], where) or "auto"),
        _choice(plan, "glass", list(GLASS), where),
        _joints(plan, where),
        _bends(plan, where),
        None if zero is None else _number(plan, "zero_dispersion_nm", 0, 1300, 1324),
        _amplifiers(plan, where),
    )


def _amplifiers(plan: Located, where: str) -> Amplifiers | None:
    """Amplifiers on the way; see `glass.Amplifiers`."""
    given = plan.get("amplifiers")
    if given is None:
        return None
    if not isinstance(given, Located):
        raise plan.error("amplifiers", given, "{spans: N, booster_db: G}", field=f"{where}: amplifiers")
    given.check_keys(("spans", "booster_db", "gain_db", "noise_figure_db"), field=f"{where}: amplifiers")
    if "spans" in given:
        given.number("spans", 1, MAX_SPANS, whole=True)
    return Amplifiers(
        int(given.get("spans", 1)),
        _number(given, "booster_db", 0.0, 0, 30),
        None if given.get("gain_db") is None else _number(given, "gain_db", 0, 0, 40),
        _number(given, "noise_figure_db", 5.5, 3, 20),
    )


def _count(ends: tuple[str | None, ...]) -> int:
    return sum(end is not None for end in ends)


def _choice(plan: Located, key: str, choices: list[str], where: str) -> str | None:
    value = plan.get(key)
    if value is not None and value not in choices:
        raise plan.error(key, value, f"one of {', '.join(choices)}", field=f"{where}: {key}")
    return None if value is None else str(value)


def _joints(plan: Located, where: str) -> tuple[str, ...] | None:
    given = plan.get("connectors")
    if given is None:
        return None
    if (
        not isinstance(given, list)
        or len(given) > MAX_JOINTS
        or not all(isinstance(j, str) and j in JOINTS for j in given)
    ):
        expected = f"a list of at most {MAX_JOINTS} of {', '.join(JOINTS)}"
        raise plan.error("connectors", given, expected, field=f"{where}: connectors")
    return tuple(given)


def _bends(plan: Located, where: str) -> tuple[Bend, ...]:
    given = plan.get("bends") or []
    if not isinstance(given, list) or not all(isinstance(bend, Located) for bend in given):
        raise plan.error("bends", given, "a list of {radius_mm: R, turns: N}", field=f"{where}: bends")
    found = []
    for bend in given:
        bend.check_keys(("radius_mm", "turns"), ("radius_mm",), field=f"{where}: bends")
        found.append(Bend(_number(bend, "radius_mm", 30, 1, 1000), _number(bend, "turns", 1, 0, 1000)))
    return tuple(found)


def _check_ends(fibres: Located, plans: tuple[FibrePlan, ...]) -> None:
    """A connector takes one cable."""
    used: dict[str, str] = {}
    for plan in plans:
        for end in {plan.source, *(end for end in plan.destinations if end is not None)}:
            if end in used:
                raise fibres[plan.name].error(
                    "from",
                    f"port {end}, which fibre {used[end]} uses",
                    "a free port",
                    field=f"fibre {plan.name}",
                )
            used[end] = plan.name
