"""CDB group 01xxh, firmware, and 0041h, which tells of it (rules CMD-04, FW-01 to FW-13).

Owns what each command asks of the store, and with which status it ends. A command that the product does not
advertise is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Self

from construct import StreamError, Struct

from cmis_emu.clock import NS_PER_MS
from cmis_emu.layouts import firmware as layout
from cmis_emu.layouts.firmware_image import Version
from cmis_emu.module.cdb.command import LPL_BYTES, Command, Job, Refusal, Reply, Request, Status
from cmis_emu.module.cdb.surroundings import Surroundings
from cmis_emu.module.firmware.bank import Bank
from cmis_emu.module.firmware.controller import Firmware
from cmis_emu.module.firmware.faults import Kind, Phase

_COPY_FROM = {0xAB: Bank.A, 0xBA: Bank.B}
_TAGGED = {0: Bank.A, 1: Bank.B, 2: Bank.FACTORY}
_SWITCH, _HITLESS_SWITCH, _RESTART, _HITLESS_RESTART = range(4)  # ImageToRun (FW-11)
_COPIED = 0


class FirmwareCommands:
    """The firmware commands of one module."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._plan = firmware.plan
        self._store = firmware.store

    @classmethod
    def of(cls, around: Surroundings) -> Self:
        """The group of a module that has firmware."""
        assert around.firmware is not None
        return cls(around.firmware)

    def commands(self) -> Sequence[Command]:
        """What this product answers."""
        plan, guarded = self._plan, self._guarded
        fixed, start = layout.BLOCK_FIXED_BYTES, layout.START_FIXED_BYTES + plan.start_payload
        begun = self._store.check_download
        found = [
            Command(0x0041, "Firmware Management Features", self._features),
            Command(0x0100, "Get Firmware Info", self._info),
            guarded(0x0109, "Run Firmware Image", self._run, (4, 4)),
            guarded(0x010A, "Commit Running Image", self._commit),
        ]
        if plan.mechanism:
            found.append(guarded(0x0101, "Start Firmware Download", self._start, (start, start), self._check_start))
            found.append(guarded(0x0107, "Complete Firmware Download", self._complete, check=begun))
        if plan.mechanism and plan.abort:
            found.append(guarded(0x0102, "Abort Firmware Download", self._abort, check=begun))
        if plan.local_writes:
            found.append(guarded(0x0103, "Write Firmware Block LPL", self._write, (fixed + 1, LPL_BYTES), begun))
        if plan.extended_writes:
            found.append(guarded(0x0104, "Write Firmware Block EPL", self._write, (fixed, fixed), begun))
        if plan.readback and plan.local_writes:
            found.append(guarded(0x0105, "Read Firmware Block LPL", self._read, (6, 6)))
        if plan.readback and plan.extended_writes:
            found.append(guarded(0x0106, "Read Firmware Block EPL", self._read, (6, 6)))
        if plan.copy:
            found.append(guarded(0x0108, "Copy Firmware Image", self._copy, (1, 1)))
        if plan.load_tags:
            length = layout.STORE_TAG.sizeof()
            found.append(Command(0x010B, "Check Firmware Activation Options", self._options))
            found.append(guarded(0x010C, "Store Firmware Load Tag", self._store_tag, (length, length)))
            found.append(Command(0x010D, "Retrieve Firmware Load Tag", self._retrieve_tag, (1, 1)))
        return sorted(found, key=attrgetter("code"))

    def reset(self) -> None:
        """The module was reset; the controller has dropped what was under way."""

    def _guarded(
        self,
        code: int,
        title: str,
        start: Callable[[Request], Job],
        lengths: tuple[int, int] = (0, 0),
        check: Callable[[], object] | None = None,
    ) -> Command:
        return Command(code, title, start, lengths, self._plan.privilege, check)

    # -- what there is -----------------------------------------------------------------------------------

    def _features(self, _: Request) -> Job:
        plan = self._plan
        reads = plan.mechanism if plan.readback else 0
        values: dict[str, Any] = {
            "features": {
                "image_readback": plan.readback,
                "duration_coding": plan.coding == 10,
                "skipping_erased_blocks": plan.skip_erased,
                "copy": plan.copy,
                "abort": plan.abort,
            },
            "start_cmd_payload_size": plan.start_payload,
            "erased_byte": plan.erased_byte,
            "read_write_length_ext": plan.length_extension,
            "write_mechanism": plan.mechanism,
            "read_mechanism": reads,
            "hitless_restart": int(plan.hitless),
        }
        longest = {f"max_duration_{name}": -(-ms // plan.coding) for name, ms in plan.longest_ms.items()}
        data = layout.MANAGEMENT_FEATURES.build(values | longest)
        if sum(data) & 0xFF == 0xFF:  # CDB-05: hosts take a check code of 00h for none; a bound may be one unit wider
            longest["max_duration_complete"] += 1
            data = layout.MANAGEMENT_FEATURES.build(values | longest)
        return Job(self._plan.durations_ns["read"], partial(Reply, lpl=data))

    def _info(self, _: Request) -> Job:
        return Job(self._plan.durations_ns["read"], self._told)

    def _told(self) -> Reply:
        store = self._store
        bits = {}
        for bank in (Bank.A, Bank.B):
            key = bank.value.lower()
            bits[f"{key}_running"] = store.running is bank
            bits[f"{key}_committed"] = store.committed is bank
            bits[f"{key}_invalid"] = store.image(bank) is None
        values: dict[str, Any] = {
            "status": bits,
            "present": {bank.value.lower(): store.image(bank) is not None for bank in Bank},
        }
        values |= {bank.value.lower(): self._version(bank) for bank in Bank}
        data = layout.FIRMWARE_INFO.build(values)
        if sum(data) & 0xFF == 0xFF:  # CDB-05: a text padded another way gives another check code
            data = data[:-1] + bytes([data[-1] ^ 0x20])
        return Reply(lpl=data)

    def _version(self, bank: Bank) -> dict[str, Any]:
        image = self._store.image(bank)
        version = Version(0, 0) if image is None else image.version
        text = layout.text_field(version.text) if image is not None else bytes(layout.TEXT_BYTES)
        return {"major": version.major, "minor": version.minor, "build": version.build, "text": text}

    # -- download ----------------------------------------------------------------------------------------

    def _check_start(self) -> None:
        self._not_about_to_run()
        self._store.check_start()

    def _start(self, request: Request) -> Job:
        asked = _parsed(layout.START_DOWNLOAD, request)
        self._store.start(asked.image_size, asked.vendor_data)
        self._firmware.mirror()
        return self._job(Phase.START, self._started)

    def _started(self) -> Reply:
        self._store.started()
        return Reply()

    def _write(self, request: Request) -> Job:
        asked = _parsed(layout.WRITE_BLOCK, request)
        extended = request.code == 0x0104
        data = request.epl if extended else asked.block_data
        if len(data) > self._plan.block_limit(extended):
            raise Refusal(Status.PARAMETER_ERROR)
        self._store.write(asked.block_address, len(data))
        block = self._store.download.blocks if self._store.download is not None else None
        return self._job(Phase.WRITE, partial(self._written, asked.block_address, data), block)

    def _written(self, address: int, data: bytes) -> Reply:
        store = self._store
        block = store.download.blocks if store.download is not None else None
        if self._firmware.faults.take((Kind.CORRUPT,), Phase.WRITE, block=block) is not None:
            data = bytes([data[0] ^ 0x01]) + data[1:]
        store.written(address, data)
        return Reply()

    def _complete(self, _: Request) -> Job:
        self._store.complete()
        return self._job(Phase.COMPLETE, self._completed)

    def _completed(self) -> Reply:
        good = self._store.completed()
        self._firmware.mirror()
        return Reply(Status.SUCCESS if good else self._plan.verify_status)

    def _abort(self, _: Request) -> Job:
        self._store.abort()
        return self._job(Phase.ABORT, self._aborted)

    def _aborted(self) -> Reply:
        self._store.aborted()
        return Reply()

    def _read(self, request: Request) -> Job:
        asked = _parsed(layout.READ_BLOCK, request)
        extended = request.code == 0x0106
        if asked.length > self._plan.block_limit(extended):
            raise Refusal(Status.PARAMETER_ERROR)
        data = self._store.read(asked.block_address, asked.length)
        return self._job(Phase.READ, partial(self._have_read, asked.block_address, data, extended))

    def _have_read(self, address: int, data: bytes, extended: bool) -> Reply:
        if extended:
            return Reply(epl=data)
        return Reply(lpl=layout.BLOCK_READ.build({"block_address": address, "block_data": data}))

    # -- copy, run, commit -------------------------------------------------------------------------------

    def _copy(self, request: Request) -> Job:
        direction = _parsed(layout.COPY_IMAGE, request).direction
        if direction not in _COPY_FROM:
            raise Refusal(Status.PARAMETER_ERROR)
        self._not_about_to_run()
        self._store.copy(_COPY_FROM[direction])
        self._firmware.mirror()
        return self._job(Phase.COPY, partial(self._copied, direction))

    def _copied(self, direction: int) -> Reply:
        length = self._store.copied(_COPY_FROM[direction])
        self._firmware.mirror()
        return Reply(lpl=layout.IMAGE_COPIED.build({"length": length, "direction": direction, "status": _COPIED}))

    def _run(self, request: Request) -> Job:
        asked = _parsed(layout.RUN_IMAGE, request)
        mode = asked.image_to_run
        if mode not in (_SWITCH, _HITLESS_SWITCH, _RESTART, _HITLESS_RESTART):
            raise Refusal(Status.PARAMETER_ERROR)
        self._not_about_to_run()
        bank = self._store.runnable(switch=mode in (_SWITCH, _HITLESS_SWITCH))
        hitless = self._plan.hitless and mode in (_HITLESS_SWITCH, _HITLESS_RESTART)  # else as good as it gets
        return self._job(Phase.RUN, partial(self._ran, bank, asked.delay_to_reset_ms * NS_PER_MS, hitless))

    def _ran(self, bank: Bank, delay_ns: int, hitless: bool) -> Reply:
        return Reply(then=partial(self._firmware.run_after, bank, delay_ns, hitless=hitless))

    def _commit(self, _: Request) -> Job:
        self._not_about_to_run()
        self._store.commit()
        return self._job(Phase.COMMIT, self._committed)

    def _committed(self) -> Reply:
        self._store.committed_now()
        return Reply()

    # -- activation and load tags (since 5.4) --------------------------------------------------------------

    def _options(self, _: Request) -> Job:
        hitless = self._plan.hitless
        values = {
            "traffic_impact": {"switch_hitless": hitless, "restart_hitless": hitless},
            "config_impact": {"switch_keeps": hitless, "restart_keeps": hitless},
        }
        return Job(self._plan.durations_ns["read"], partial(Reply, lpl=layout.ACTIVATION_OPTIONS.build(values)))

    def _store_tag(self, request: Request) -> Job:
        asked = _parsed(layout.STORE_TAG, request)
        text = asked.load_tag.rstrip(b" \0")
        if asked.bank not in (0, 1) or asked.control or not all(0x20 <= c < 0x7F for c in text):
            raise Refusal(Status.PARAMETER_ERROR)  # what Control may ask for is not known
        self._store.tag(_TAGGED[asked.bank], text.decode("ascii"))
        return Job(self._plan.durations_ns["commit"], Reply)

    def _retrieve_tag(self, request: Request) -> Job:
        bank = _parsed(layout.RETRIEVE_TAG, request).bank
        if bank not in _TAGGED:
            raise Refusal(Status.PARAMETER_ERROR)
        text = layout.text_field(self._store.kept.tags.get(_TAGGED[bank], ""), layout.TAG_BYTES)
        data = layout.TAG_RETRIEVED.build({"bank": bank, "load_tag": text})
        return Job(self._plan.durations_ns["read"], partial(Reply, lpl=data))

    # -- jobs and faults -----------------------------------------------------------------------------------

    def _job(self, phase: Phase, finish: Callable[[], Reply], block: int | None = None) -> Job:
        """A job of the phase's duration, with the faults that wait for it."""
        faults = self._firmware.faults
        duration_ns = self._plan.durations_ns[phase.value]
        slow = faults.take((Kind.SLOW,), phase, block=block)
        if slow is not None:
            duration_ns += round(slow.extra_ms * NS_PER_MS)
        failed = faults.take((Kind.FAIL,), phase, block=block)
        self._firmware.strike(phase, duration_ns, block=block)
        if failed is not None:
            finish = partial(self._failed, failed.status)
        return Job(duration_ns, finish, self._store.stopped)

    def _failed(self, status: int) -> Reply:
        self._store.stopped()
        return Reply(status)

    def _not_about_to_run(self) -> None:
        if self._firmware.about_to_run:
            raise Refusal(Status.WRONG_STATE)


def _parsed(struct: Struct, request: Request) -> Any:
    """The request's values. Lengths were judged before, but a short message must not do harm."""
    try:
        return struct.parse(request.lpl)
    except StreamError:
        raise Refusal(Status.PARAMETER_ERROR) from None
