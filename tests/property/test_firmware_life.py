"""Any order of commands, failures and restarts against a small model of what banks must hold (FW-02 to FW-14).

The model knows the rules and no code of the emulator: two banks, what is committed, what runs, what is on its way.
Commands go over the bus; they are interrupted at any moment by resets, by loss of power, and by the end of the
process (a second emulator over the same files). One bank must be good at every moment.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cdb_host import NOT_ABORTED, PARAMETER, STATE, SUCCESS
from firmware_bench import HEADER, Steps, image, load, module_file
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

pytestmark = [
    pytest.mark.rule("FW-02", "FW-03", "FW-05", "FW-08", "FW-09", "FW-10", "FW-11", "FW-12", "FW-13", "FW-14", "RST-07")
]

IMAGES = {name: image(name, HEADER + 500 + 40 * number) for number, name in enumerate(("5.0.1", "6.1.2", "7.2.3"))}
OTHER = {"A": "B", "B": "A"}
MS = {"start": 40, "write": 4, "complete": 30, "abort": 6, "copy": 50, "commit": 20, "run": 10, "read": 2}
INTERRUPTED = ("software", "pin", "power", "process")


@dataclass
class Model:
    """What a module must be like."""

    banks: dict[str, str | None] = field(default_factory=lambda: {"A": "3.4.12", "B": "3.2.0"})
    gone: set[str] = field(default_factory=set)
    committed: str = "A"
    running: str = "A"
    coming: str | None = None  # version on its way
    sent: int = 0
    spoilt: bool = False

    @property
    def target(self) -> str:
        return OTHER[self.running]

    @property
    def trial(self) -> bool:
        return self.running != self.committed

    def boot(self) -> None:
        self.coming = None
        order = (self.committed, OTHER[self.committed])
        self.running = next(bank for bank in order if self.banks[bank] is not None)

    def lose(self, bank: str) -> None:
        self.banks[bank] = None
        self.gone.add(bank)

    def status(self) -> int:
        found = 0
        for bank, shift in (("A", 0), ("B", 4)):
            found |= (self.running == bank) << shift
            found |= (self.committed == bank) << shift + 1
            found |= (self.banks[bank] is None) << shift + 2
        return found

    def registers(self) -> tuple[str, str]:
        def short(bank: str) -> str:
            version = self.banks[bank]
            return "255.255" if version is None else ".".join(version.split(".")[:2])

        return short(self.running), short(OTHER[self.running])


class FirmwareLife(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.profile = module_file(self.folder, durations_ms=MS, watchdog_ms=20)
        self.model = Model()
        self.host = Steps(load(self.profile, self.folder / "nvm"))

    def teardown(self) -> None:
        if hasattr(self, "host"):
            self.host.emu.close()
            shutil.rmtree(self.folder)

    # -- commands that run to their end --------------------------------------------------------------

    @rule(name=st.sampled_from(sorted(IMAGES)))
    def start(self, name: str) -> None:
        model = self.model
        status = self.host.start(IMAGES[name])
        if model.coming is not None:
            assert status == NOT_ABORTED
        elif model.trial:
            assert status == STATE
        else:
            assert status == SUCCESS
            model.coming, model.sent, model.spoilt = name, 0, False
            model.lose(model.target)

    def _block(self) -> tuple[int, bytes]:
        name = self.model.coming or "5.0.1"
        return self.model.sent, IMAGES[name][HEADER + self.model.sent :][:116]

    @rule()
    def write(self) -> None:
        address, data = self._block()
        status = self.host.block(address, data or b"\0")
        if self.model.coming is None:
            assert status == STATE
        elif not data:
            assert status == PARAMETER
        else:
            assert status == SUCCESS
            self.model.sent += len(data)

    @precondition(lambda self: self.model.coming is not None)
    @rule()
    def write_the_rest(self) -> None:
        address, _ = self._block()
        data = IMAGES[str(self.model.coming)][HEADER + address :]
        if data:
            assert self.host.block(address, data, epl=True) == SUCCESS
            self.model.sent += len(data)

    @precondition(lambda self: self.model.coming is not None)
    @rule(bit=st.integers(0, 7))
    def write_something_else(self, bit: int) -> None:
        address, data = self._block()
        if data:
            assert self.host.block(address, bytes([data[0] ^ 1 << bit]) + data[1:]) == SUCCESS
            self.model.sent += len(data)
            self.model.spoilt = True

    @precondition(lambda self: self.model.coming is None and not self.model.trial)
    @rule(
        name=st.sampled_from(sorted(IMAGES)),
        spoils=st.booleans(),
        commits=st.booleans(),
        how=st.sampled_from(INTERRUPTED),
    )
    def update(self, name: str, spoils: bool, commits: bool, how: str) -> None:
        """All steps of an update, and an end after the last."""
        self.start(name)
        if spoils:
            self.write_something_else(0)
        self.write_the_rest()
        self.complete()
        self.run(0)
        if commits:
            self.commit()
        self.as_the_rules_say()
        self._end(how)

    @rule()
    def complete(self) -> None:
        model = self.model
        status = self.host.complete()
        if model.coming is None:
            assert status == STATE
            return
        whole = model.sent == len(IMAGES[model.coming]) - HEADER and not model.spoilt
        assert (status == SUCCESS) == whole
        if whole:
            model.banks[model.target] = model.coming
        model.coming = None

    @rule()
    def abort(self) -> None:
        assert self.host.abort() == (STATE if self.model.coming is None else SUCCESS)
        self.model.coming = None

    def _may_copy(self, source: str) -> bool:
        model = self.model
        target = OTHER[source]
        return not (model.coming is not None or target == model.running or model.banks[source] is None or model.trial)

    @rule(source=st.sampled_from("AB"))
    def copy(self, source: str) -> None:
        status = self.host.copy({"A": 0xAB, "B": 0xBA}[source])
        assert status == (SUCCESS if self._may_copy(source) else STATE)
        if status == SUCCESS:
            self.model.banks[OTHER[source]] = self.model.banks[source]

    @rule(mode=st.integers(0, 3))
    def run(self, mode: int) -> None:
        model = self.model
        wanted = model.target if mode in (0, 1) else model.running
        may = model.coming is None and model.banks[wanted] is not None
        assert self.host.run_image(mode, 10) == (SUCCESS if may else STATE)
        if may:
            model.running = wanted

    @rule()
    def commit(self) -> None:
        assert self.host.commit() == SUCCESS
        self.model.committed = self.model.running

    # -- the end of the world, at rest and in the middle --------------------------------------------------

    def _end(self, how: str) -> None:
        if how == "process":
            self.host = Steps(load(self.profile, self.folder / "nvm"))  # the other one is left as it stands
        else:
            self.host.reset(how)
        self.model.boot()

    @rule(how=st.sampled_from(INTERRUPTED))
    def at_rest(self, how: str) -> None:
        self._end(how)

    @rule(
        what=st.sampled_from(["start", "write", "complete", "abort", "copy", "run", "commit"]),
        part=st.floats(0, 0.99),
        how=st.sampled_from(INTERRUPTED),
    )
    def in_the_middle(self, what: str, part: float, how: str) -> None:
        model, host = self.model, self.host
        source = model.running
        if what == "start":
            data = IMAGES["6.1.2"]
            host.send(0x0101, len(data).to_bytes(4, "big") + bytes(4) + data[:HEADER])
            accepted = model.coming is None and not model.trial
        elif what == "write":
            address, data = self._block()
            host.send(0x0103, address.to_bytes(4, "big") + (data or b"\0"))
            accepted = False  # and it leaves nothing behind
        elif what == "copy":
            host.send(0x0108, bytes([{"A": 0xAB, "B": 0xBA}[source]]))
            accepted = self._may_copy(source)
        else:
            code = {"complete": 0x0107, "abort": 0x0102, "run": 0x0109, "commit": 0x010A}[what]
            host.send(code, bytes(4) if what == "run" else b"")
            accepted = False
        host.clock.advance(0.002 + part * MS[what] / 1000)  # captured and checked, and then a part of its time
        if accepted:
            model.lose(model.target)
        self._end(how)

    @rule(steps=st.integers(0, 3))
    def there_and_back(self, steps: int) -> None:
        """A snapshot keeps all of it, a download too."""
        host = self.host
        kept = host.emu.snapshot()
        for _ in range(steps):
            host.abort()
            host.start(IMAGES["5.0.1"])
            host.blocks(IMAGES["5.0.1"], epl=True)
            host.complete()
            host.run_image(0, 10)
            host.commit()
        host.emu.restore(kept)
        self.as_the_rules_say()

    # -- what must hold -----------------------------------------------------------------------------------

    @invariant()
    def as_the_rules_say(self) -> None:
        if not hasattr(self, "host"):
            return
        model, info = self.model, self.host.info()
        assert info.status == model.status()
        for shown, bank, bit in ((info.a, "A", 1), (info.b, "B", 2)):
            assert bool(info.present & bit) == (model.banks[bank] is not None)
            assert shown == (model.banks[bank] or "0.0.0")
        assert self.host.versions() == model.registers()
        assert model.banks["A"] or model.banks["B"]

    @invariant()
    def the_other_image_is_whole(self) -> None:
        if not hasattr(self, "host") or self.model.coming is not None:
            return
        version = self.model.banks[OTHER[self.model.running]]
        if version in IMAGES:
            data = self.host.ask(0x0105, (400).to_bytes(4, "big") + (100).to_bytes(2, "big"))
            assert data[4:] == IMAGES[version][HEADER + 400 : HEADER + 500]


FirmwareLife.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestFirmwareLife = FirmwareLife.TestCase
