"""The programs that a scenario's host can run: bring-up, polls, single accesses, and the like (rules HOST-*).

They follow what careful hosts do: durations come from what the module advertises, transient states are waited
for, a refusal is an error.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from cmis_emu.registers.field import LOWER
from cmis_emu.scenarios.action import Argument, Kind
from cmis_emu.scenarios.host import Host, HostFailure, Telling, Work, program
from cmis_emu.scenarios.units import BYTE, COUNT, DURATION

BOUND_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 600.0, 3000.0, 6000.0)
"""Upper end of each duration code (MSM-07, DP-12)."""
READY, LOW_PWR, FAULT = 3, 1, 5
DEACTIVATED, ACTIVATED, INITIALIZED = 1, 4, 7
SUCCESS, IN_PROGRESS = 1, 12
CONFIG_S = 1.0  # hosts wait so long for a ConfigStatus
MGMT_INIT_S = 2.0  # RST-04
EVERY = tuple(range(1, 9))

PORT = Argument(Kind.PORT, "whose module", required=True)
BANK = Argument(BYTE, "bank of the page", default=0)
LANES = Argument(Kind.LANES, "host lanes, 1-based", default=EVERY)


def mask(lanes: tuple[int, ...]) -> int:
    """The byte with a bit for each lane."""
    return sum(1 << (lane - 1) for lane in lanes)


def bound(host: Host, *names: str) -> Generator[float, None, float]:
    """Seconds that advertised durations allow together."""
    total = 0.0
    for name in names:
        code = yield from host.get(name)
        total += BOUND_S[min(int(code), len(BOUND_S) - 1)]
    return total


def state_is(host: Host, name: str, wanted: tuple[int, ...], lanes: tuple[int, ...] | None, bank: int = 0) -> Any:
    """A look: is a field, or one of some lanes, among `wanted`?"""

    def look() -> Generator[float, None, bool]:
        found = yield from host.get(name, bank=bank)
        values = [found] if lanes is None else [found[lane - 1] for lane in lanes]
        return all(int(value) in wanted for value in values)

    return look


@program("host.read", {
    "port": PORT,
    "place": Argument(Kind.PLACE, "what to read, such as 11h:154-161", required=True),
    "bank": BANK,
    "limit": Argument(DURATION, "how long to go on asking while it is refused", default=0.0),
    "period": Argument(DURATION, "from one attempt to the next", default=0.1),
})  # fmt: skip
def read(host: Host, given: Mapping[str, Any]) -> Telling:
    """Read a place once, or as often as it takes to get an answer."""
    start, attempts = host.now(), 1
    while True:
        try:
            found = yield from host.read_place(given["place"], given["bank"])
        except HostFailure:
            if host.now() - start >= given["limit"]:
                raise
        else:
            return f"{found.hex(' ')} in attempt {attempts}"
        attempts += 1
        yield given["period"]


@program("host.write", {
    "port": PORT,
    "place": Argument(Kind.PLACE, "the first byte to write", required=True),
    "bytes": Argument(Kind.BYTES, "what to write there", required=True),
    "bank": BANK,
})  # fmt: skip
def write(host: Host, given: Mapping[str, Any]) -> Work:
    """Write bytes to a place."""
    where = given["place"]
    yield from host.write(where.page, where.first, given["bytes"], given["bank"])


@program("host.set", {
    "port": PORT,
    "field": Argument(Kind.FIELD, "a control, by CMIS name", required=True),
    "value": Argument(Kind.VALUE, "its new value", required=True),
    "bank": BANK,
})  # fmt: skip
def put(host: Host, given: Mapping[str, Any]) -> Work:
    """Change one field of a module as a host does: read, change, write."""
    yield from host.put(given["field"], given["value"], bank=given["bank"])


@program("host.poll", {
    "port": PORT,
    "period": Argument(DURATION, "from one poll to the next", default=1.0),
    "times": Argument(COUNT, "how many polls", default=1),
    "flags": Argument(Kind.FLAG, "read flags too, which clears them", default=False),
    "tolerant": Argument(Kind.FLAG, "go on after an error", default=False),
    "strikes": Argument(COUNT, "give up after so many polls in a row that failed; without it the first one"),
    "on_time": Argument(Kind.FLAG, "the period counts from start to start, however long a poll takes", default=False),
})  # fmt: skip
def poll(host: Host, given: Mapping[str, Any]) -> Telling:
    """Read state and monitors again and again: lower memory, and lane monitors of page 11h."""
    start = host.now()
    failed, in_a_row, strikes = 0, 0, given["strikes"] or 1
    for number in range(given["times"]):
        if number:
            left = start + number * given["period"] - host.now()
            yield max(0.0, left) if given["on_time"] else given["period"]
        try:
            yield from _poll_once(host, flags=given["flags"])
            in_a_row = 0
        except HostFailure as error:
            failed += 1
            in_a_row += 1
            if not given["tolerant"] and in_a_row >= strikes:
                raise HostFailure(f"{in_a_row} in a row, {error}" if strikes > 1 else str(error)) from None
    return f"{given['times']} polls in {host.now() - start:.1f} s, {failed} failed"


def _poll_once(host: Host, *, flags: bool) -> Work:
    state = yield from host.read(LOWER, 0, 4)
    yield from host.read(LOWER, 14, 12)
    if flags:
        yield from host.read(LOWER, 8, 6)
    if state[2] & 0x80:
        return  # flat memory: no more pages
    yield from host.read(0x11, 128, 6)
    yield from host.read(0x11, 154, 48)
    if flags:
        yield from host.read(0x11, 134, 20)


@program("host.wait_state", {
    "port": PORT,
    "state": Argument(
        Kind.CHOICE,
        "a module state",
        required=True,
        choices=("ModuleLowPwr", "ModulePwrUp", "ModuleReady", "ModulePwrDn", "ModuleFault"),
    ),
    "limit": Argument(DURATION, "how long to wait", default=10.0),
})  # fmt: skip
def wait_state(host: Host, given: Mapping[str, Any]) -> Work:
    """Poll ModuleState until it is the given one."""
    wanted = {"ModuleLowPwr": 1, "ModulePwrUp": 2, "ModuleReady": 3, "ModulePwrDn": 4, "ModuleFault": 5}
    yield from host.until(
        state_is(host, "ModuleState", (wanted[given["state"]],), None), given["state"], given["limit"]
    )


@program("host.low_power", {
    "port": PORT,
    "on": Argument(Kind.FLAG, "ask for low power, or for full power", default=True),
    "limit": Argument(DURATION, "how long to wait; as advertised when not given"),
})  # fmt: skip
def low_power(host: Host, given: Mapping[str, Any]) -> Work:
    """Ask for low power by software, or for full power, and wait for it."""
    yield from host.put("LowPwrAllowRequestHW", 0)
    yield from host.put("LowPwrRequestSW", int(given["on"]))
    names = ("MaxDurationModulePwrDn", "MaxDurationDPTxTurnOff", "MaxDurationDPDeinit")
    limit = given["limit"]
    if limit is None:
        limit = yield from bound(host, *(names if given["on"] else ("MaxDurationModulePwrUp",)))
    state, title = (LOW_PWR, "ModuleLowPwr") if given["on"] else (READY, "ModuleReady")
    yield from host.until(state_is(host, "ModuleState", (state,), None), title, limit)


@program("host.reset", {
    "port": PORT,
    "limit": Argument(DURATION, "how long to wait for an answer", default=MGMT_INIT_S),
})  # fmt: skip
def reset(host: Host, given: Mapping[str, Any]) -> Work:
    """Software reset, then wait until the module answers again."""
    yield from host.put("SoftwareReset", 1)

    def answers() -> Generator[float, None, bool]:
        try:
            yield from host.read(LOWER, 3, 1)
        except HostFailure:
            return False
        return True

    yield from host.until(answers, "an answer after the reset", given["limit"])


@program("host.release", {
    "port": PORT,
    "lanes": LANES,
    "bank": BANK,
})  # fmt: skip
def release(host: Host, given: Mapping[str, Any]) -> Work:
    """Bring the data paths of host lanes to DPDeactivated and free the lanes (AppSel 0)."""
    yield from deactivate(host, given["lanes"], given["bank"])
    yield from configure(host, given["lanes"], [0] * len(given["lanes"]), given["bank"])


@program("host.deactivate", {
    "port": PORT,
    "lanes": LANES,
    "limit": Argument(DURATION, "how long to wait; as advertised when not given"),
    "bank": BANK,
})  # fmt: skip
def to_deactivated(host: Host, given: Mapping[str, Any]) -> Work:
    """Bring the data paths of host lanes to DPDeactivated, whatever they carry."""
    yield from deactivate(host, given["lanes"], given["bank"], given["limit"])


@program("host.configure", {
    "port": PORT,
    "app_sel": Argument(COUNT, "number of the application; 0 frees the lanes", required=True),
    "lanes": LANES,
    "first": Argument(COUNT, "first lane of the data path that they are to be; without it, as the application has it"),
    "limit": Argument(DURATION, "how long to wait for the result", default=CONFIG_S),
    "bank": BANK,
})  # fmt: skip
def select_application(host: Host, given: Mapping[str, Any]) -> Work:
    """Select an application on host lanes and apply it, in whatever state they are; no state is waited for."""
    app_sel, lanes = given["app_sel"], given["lanes"]
    if not app_sel:
        codes = [0] * len(lanes)
    elif given["first"] is not None:
        codes = [app_sel << 4 | (given["first"] - 1) << 1] * len(lanes)
    else:
        codes = codes_of(app_sel, lanes, *(yield from application(host, app_sel)))
    yield from configure(host, lanes, codes, given["bank"], given["limit"])


@program("host.activate", {
    "port": PORT,
    "lanes": LANES,
    "limit": Argument(DURATION, "how long to wait; as advertised when not given"),
    "bank": BANK,
})  # fmt: skip
def activate(host: Host, given: Mapping[str, Any]) -> Work:
    """Let the data paths of host lanes initialise as they are configured, with Tx on, and wait for DPActivated."""
    lanes, bank, limit = given["lanes"], given["bank"], given["limit"]
    yield from host.put_all("OutputDisableTx", 0, bank)
    controls = yield from host.read(0x10, 128, 1, bank)
    yield from host.write(0x10, 128, bytes([controls[0] & ~mask(lanes)]), bank)
    if limit is None:
        limit = yield from bound(host, "MaxDurationDPInit", "MaxDurationDPTxTurnOn")
    yield from host.until(state_is(host, "DPStateHostLane", (ACTIVATED,), lanes, bank), "DPActivated", limit)


@program("host.bring_up", {
    "port": PORT,
    "app_sel": Argument(COUNT, "number of the application", default=1),
    "lanes": Argument(Kind.LANES, "host lanes of the data paths to make; without it all that fit"),
    "release": Argument(Kind.FLAG, "first free all lanes that another application may hold", default=False),
    "bank": BANK,
    "limit": Argument(DURATION, "longest wait for the module to be ready; as advertised when not given"),
    "config_limit": Argument(DURATION, "how long to wait for the result of the configuration", default=CONFIG_S),
    "deinit_limit": Argument(DURATION, "how long to wait for DPDeactivated; as advertised when not given"),
    "pending": Argument(DURATION, "insist on seeing DPInitPending within so long after the configuration"),
    "tx_as_init": Argument(Kind.FLAG, "wait for Tx turn-on as long as for DPInit, if that is longer", default=False),
})  # fmt: skip
def bring_up(host: Host, given: Mapping[str, Any]) -> Work:
    """From any state to DPActivated, as HOST-01 has it: full power, deinit, select, apply, init, Tx on."""
    bank = given["bank"]
    limit = given["limit"]
    if limit is None:
        limit = yield from bound(host, "MaxDurationModulePwrUp")
    yield from host.put("LowPwrAllowRequestHW", 0)
    yield from host.put("LowPwrRequestSW", 0)
    yield from host.until(state_is(host, "ModuleState", (READY,), None), "ModuleReady", limit, 0.05)
    row = yield from application(host, given["app_sel"])
    width, starts = row
    lanes = given["lanes"] or tuple(n for start in starts for n in range(start, start + width))
    yield from deactivate(host, EVERY if given["release"] else lanes, bank, given["deinit_limit"])
    if given["release"]:
        yield from configure(host, EVERY, [0] * 8, bank, given["config_limit"])
    codes = codes_of(given["app_sel"], lanes, width, starts)
    yield from configure(host, lanes, codes, bank, given["config_limit"])
    if given["pending"] is not None:
        looks = state_is(host, "DPInitPendingLane", (1,), lanes, bank)
        yield from host.until(looks, "DPInitPending", given["pending"])
    controls = yield from host.read(0x10, 128, 1, bank)
    yield from host.write(0x10, 128, bytes([controls[0] & ~mask(lanes)]), bank)
    limit = init = yield from bound(host, "MaxDurationDPInit")
    reached = (INITIALIZED, 5, ACTIVATED)  # on its way to Activated with Tx on by default
    yield from host.until(state_is(host, "DPStateHostLane", reached, lanes, bank), "DPInitialized", limit)
    yield from host.put_all("OutputDisableTx", 0, bank)
    limit = yield from bound(host, "MaxDurationDPTxTurnOn")
    if given["tx_as_init"]:
        limit = max(limit, init)
    yield from host.until(state_is(host, "DPStateHostLane", (ACTIVATED,), lanes, bank), "DPActivated", limit)


def application(host: Host, app_sel: int) -> Generator[float, None, tuple[int, tuple[int, ...]]]:
    """Host lanes of an application, and where its data paths may begin."""
    page, at = (LOWER, 86 + 4 * (app_sel - 1)) if app_sel <= 8 else (0x01, 223 + 4 * (app_sel - 9))
    row = yield from host.read(page, at, 4)
    if row[0] in (0, 0xFF) or not row[2] >> 4:
        raise HostFailure(f"application {app_sel} is not advertised")
    return row[2] >> 4, tuple(n for n in EVERY if row[3] >> (n - 1) & 1)


def codes_of(app_sel: int, lanes: tuple[int, ...], width: int, starts: tuple[int, ...]) -> list[int]:
    """What to stage on lanes for an application of that width; HostFailure for a lane that no data path can have."""
    codes = []
    for lane in lanes:
        start = max((s for s in starts if s <= lane < s + width), default=0)
        if not start:
            raise HostFailure(f"host lane {lane} can't carry application {app_sel}")
        codes.append(app_sel << 4 | (start - 1) << 1)
    return codes


def deactivate(host: Host, lanes: tuple[int, ...], bank: int, limit: float | None = None) -> Work:
    """Ask for DPDeactivated and wait for it, as long as is advertised unless a limit is given."""
    controls = yield from host.read(0x10, 128, 1, bank)
    yield from host.write(0x10, 128, bytes([controls[0] | mask(lanes)]), bank)
    if limit is None:
        limit = yield from bound(host, "MaxDurationDPDeinit", "MaxDurationDPTxTurnOff")
    yield from host.until(state_is(host, "DPStateHostLane", (DEACTIVATED,), lanes, bank), "DPDeactivated", limit)


def configure(host: Host, lanes: tuple[int, ...], codes: list[int], bank: int, limit: float = CONFIG_S) -> Work:
    """Stage codes on lanes, apply them (ApplyDPInit) and wait for success."""
    for lane, code in zip(lanes, codes, strict=True):
        yield from host.write(0x10, 144 + lane, bytes([code]), bank)
    yield from host.write(0x10, 143, bytes([mask(lanes)]), bank)

    def finished() -> Generator[float, None, bool]:
        status = yield from host.get("ConfigStatusLane", bank=bank)
        return all(int(status[lane - 1]) not in (0, IN_PROGRESS) for lane in lanes)

    yield from host.until(finished, "the result of the configuration", limit)
    status = yield from host.get("ConfigStatusLane", bank=bank)
    wrong = [f"lane {lane}: {int(status[lane - 1])}" for lane in lanes if int(status[lane - 1]) != SUCCESS]
    if wrong:
        raise HostFailure(f"the configuration was refused ({', '.join(wrong)})")
