"""The firmware of one module: banks, download, boot, commit (rules FW-01 to FW-14). Pure logic: no registers, no time.

Owns which image runs, which is committed and what is being downloaded. Whatever happens, an image that runs is
never written, so that one bank is good at every moment. `changed` is told of everything that must last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cmis_emu.errors import InputError
from cmis_emu.layouts.firmware_image import HEADER_BYTES, DamagedImageError, Header, Version, parse_header, verify
from cmis_emu.module.cdb.command import Refusal, Status
from cmis_emu.module.firmware.bank import Bank, FirmwareImage, KeptFirmware
from cmis_emu.module.firmware.plan import FirmwarePlan

NO_VERSION = Version(0, 0)  # FW-03: no firmware
INVALID_VERSION = Version(0xFF, 0xFF)  # FW-03: not valid


@dataclass(slots=True)
class Download:
    """An image on its way. `staged` holds all of it; it lasts from Complete on, and not before."""

    target: Bank
    staged: bytearray
    header_bytes: int  # what came with 0101h; block addresses count from there (FW-06)
    written: list[tuple[int, int]]  # what has come: ranges from, to, in rising order, none touching another
    blocks: int = 0

    @property
    def payload(self) -> int:
        """Bytes that come as blocks."""
        return len(self.staged) - self.header_bytes

    @property
    def expected(self) -> int:
        """The address behind everything that has come."""
        return self.written[-1][1] if self.written else 0

    @property
    def complete(self) -> bool:
        """Has every byte come?"""
        return self.written == [(0, self.payload)]

    def put(self, address: int, data: bytes) -> None:
        """A block."""
        start = self.header_bytes + address
        self.staged[start : start + len(data)] = data
        first, last = address, address + len(data)
        if first >= self.expected:  # by far the commonest: one after the other
            if self.written and first == self.expected:
                first = self.written.pop()[0]
            self.written.append((first, last))
            return
        apart = []
        for a, b in self.written:
            if b < first or a > last:
                apart.append((a, b))
            else:
                first, last = min(first, a), max(last, b)
        self.written = sorted([*apart, (first, last)])


class FirmwareStore:
    """Banks, download and boot choice of one module."""

    def __init__(self, plan: FirmwarePlan, kept: KeptFirmware) -> None:
        self.plan = plan
        self.kept = kept
        self.changed: Callable[[KeptFirmware], None] | None = None
        self.running = self.committed
        self.download: Download | None = None
        self.operation: str | None = None  # one at a time, however many CDB instances there are

    # -- what is there -----------------------------------------------------------------------------------

    @property
    def committed(self) -> Bank:
        """The bank that boots, as long as it can (FW-12)."""
        return self.kept.committed or self.plan.committed

    def image(self, bank: Bank) -> FirmwareImage | None:
        """The image in a bank, None when it holds no valid one."""
        return self.kept.banks[bank] if bank in self.kept.banks else self.plan.shipped[bank]

    @property
    def trial(self) -> bool:
        """Does an image run that is not committed?"""
        return self.running is not self.committed

    def version(self, bank: Bank) -> Version:
        """Version of a bank's image, or what stands for none (FW-03)."""
        image = self.image(bank)
        if image is not None:
            return image.version
        return INVALID_VERSION if bank in self.kept.banks else NO_VERSION

    @property
    def inactive(self) -> Bank:
        """The bank that a run switches to (FW-11). The committed one, where neither runs and it is valid."""
        if self.running is not Bank.FACTORY:
            return self.running.other
        first = self.committed
        return first if self.image(first) is not None or self.image(first.other) is None else first.other

    @property
    def target(self) -> Bank:
        """The bank that a download goes to (FW-05): one that does not run, and the worse when both do not."""
        if self.running is not Bank.FACTORY:
            return self.running.other
        spare = self.committed.other
        return spare if self.image(spare) is None or self.image(spare.other) is not None else spare.other

    # -- download ----------------------------------------------------------------------------------------

    def check_start(self) -> None:
        """May a download begin now?"""
        self._free()
        if self.download is not None and not self.plan.restarts_download:
            raise Refusal(Status.PREVIOUS_NOT_ABORTED)
        self._not_on_trial()

    def check_download(self) -> Download:
        """The download that is under way; it must be."""
        self._free()
        if self.download is None:
            raise Refusal(Status.WRONG_STATE)
        return self.download

    def start(self, size: int, first_bytes: bytes) -> None:
        """Begin a download of `size` bytes in all; what the target held is gone from now on (FW-05)."""
        plan = self.plan
        self.check_start()
        if not plan.start_payload < size <= plan.capacity or not self._suits(size, first_bytes):
            raise Refusal(Status.PARAMETER_ERROR)
        target = self.target
        staged = bytearray(bytes([plan.erased_byte])) * size
        staged[: len(first_bytes)] = first_bytes
        self.download = Download(target, staged, len(first_bytes), [])
        self.operation = "start"
        self._keep(self.kept.with_bank(target, None))

    def started(self) -> None:
        """The target is erased."""
        self.operation = None

    def _suits(self, size: int, first_bytes: bytes) -> bool:
        """Is this the header of an image for this product? Only Complete can tell when the header comes later."""
        if self.plan.accepts_any or len(first_bytes) < HEADER_BYTES:
            return True
        try:
            header = parse_header(first_bytes)
        except (DamagedImageError, InputError):
            return False
        return header.size == size and header.fits(self.plan.hardware)

    def write(self, address: int, length: int) -> None:
        """May a block of that address and length come now (FW-06, FW-07)?"""
        download = self.check_download()
        if not length or address + length > download.payload:
            raise Refusal(Status.PARAMETER_ERROR)
        if not self.plan.any_order:
            gap = address - download.expected
            if gap < 0 or (gap and not self.plan.skip_erased):
                raise Refusal(Status.PARAMETER_ERROR)
        download.blocks += 1
        self.operation = "write"

    def written(self, address: int, data: bytes) -> None:
        """The block is in the bank."""
        self.operation = None
        if self.download is not None:
            self.download.put(address, data)

    def complete(self) -> None:
        """Begin to verify what was downloaded (FW-08)."""
        self.check_download()
        self.operation = "complete"

    def completed(self) -> bool:
        """Verified: the image is valid, neither running nor committed; or the bank stays invalid."""
        self.operation = None
        download, self.download = self.download, None
        if download is None or not (download.complete or self.plan.skip_erased):
            return False
        data = bytes(download.staged)
        header = self._checked(data)
        if header is None and not self.plan.accepts_any:
            return False
        version = self.plan.any_version if header is None else header.version
        self._keep(self.kept.with_bank(download.target, FirmwareImage(version, len(data), "", data)))
        return True

    def _checked(self, data: bytes) -> Header | None:
        try:
            header = verify(data)
        except (DamagedImageError, InputError):
            return None
        return header if header.fits(self.plan.hardware) else None

    def stopped(self) -> None:
        """What was under way ended without effect: 0004h, or a failure. No start, no verification: no download."""
        if self.operation in ("start", "complete"):
            self.download = None
        self.operation = None

    def abort(self) -> None:
        """Give up the download; its bank stays invalid (FW-09)."""
        self.check_download()
        self.operation = "abort"

    def aborted(self) -> None:
        """Given up."""
        self.operation = None
        self.download = None

    def read(self, address: int, length: int) -> bytes:
        """Bytes behind the header: of the download under way, else of the image that does not run (FW-10)."""
        self._free()
        data: bytes | bytearray
        if self.download is not None:
            data, start = self.download.staged, self.download.header_bytes
        else:
            image = self.image(self.inactive)
            if image is None:
                raise Refusal(Status.WRONG_STATE)
            data, start = image.data, self.plan.start_payload
        if not length or start + address + length > len(data):
            raise Refusal(Status.PARAMETER_ERROR)
        return bytes(data[start + address : start + address + length])

    # -- copy, run, commit -------------------------------------------------------------------------------

    def copy(self, source: Bank) -> None:
        """Begin to copy a bank onto the other, whose image is gone from now on (FW-10)."""
        self._free()
        self._not_downloading()
        target = source.other
        if self.image(source) is None or target is self.running:
            raise Refusal(Status.WRONG_STATE)
        self._not_on_trial()
        self.operation = "copy"
        self._keep(self.kept.with_bank(target, None))

    def copied(self, source: Bank) -> int:
        """The copy is there; its length."""
        self.operation = None
        image = self.image(source)
        if image is None:
            return 0
        self._keep(self.kept.with_bank(source.other, image))
        return image.size

    def runnable(self, *, switch: bool) -> Bank:
        """The bank that a run would start: the inactive or the running one (FW-11)."""
        self._free()
        self._not_downloading()
        bank = self.inactive if switch else self.running
        if bank is not Bank.FACTORY and self.image(bank) is None:
            raise Refusal(Status.WRONG_STATE)
        return bank

    def commit(self) -> None:
        """May the running image become the one that boots (FW-12)?"""
        self._free()
        if self.running is Bank.FACTORY:
            raise Refusal(Status.WRONG_STATE)
        self.operation = "commit"

    def committed_now(self) -> None:
        """It boots from now on."""
        self.operation = None
        if self.running is not Bank.FACTORY and self.trial:
            self._keep(self.kept.with_committed(self.running))

    def tag(self, bank: Bank, text: str) -> None:
        """Store a load tag beside an image."""
        self._free()
        if self.image(bank) is None:
            raise Refusal(Status.WRONG_STATE)
        self._keep(self.kept.with_tag(bank, text))

    # -- reset and boot ----------------------------------------------------------------------------------

    def reset(self) -> None:
        """Whatever was under way is gone; a download too (FW-09)."""
        self.download = None
        self.operation = None

    def boot(self, wanted: Bank | None, fails: Callable[[Bank], bool]) -> int:
        """Start the wanted image, else the committed, the other, the factory's; how many did not come up.

        `fails` tells of a valid image whether it does not boot.
        """
        self.reset()
        failures = 0
        order = (wanted, self.committed, self.committed.other)
        for bank in dict.fromkeys(each for each in order if each not in (None, Bank.FACTORY)):
            assert bank is not None
            if self.image(bank) is None:
                continue
            if fails(bank):
                failures += 1
                continue
            self.running = bank
            if bank is wanted and self.plan.implicit_commit:
                self.committed_now()
            return failures
        self.running = Bank.FACTORY
        return failures

    def switch(self, bank: Bank) -> None:
        """Another image runs, without a reset."""
        self.running = bank
        if self.plan.implicit_commit:
            self.committed_now()

    # -- conditions --------------------------------------------------------------------------------------

    def _free(self) -> None:
        if self.operation is not None:
            raise Refusal(Status.WRONG_STATE)

    def _not_on_trial(self) -> None:
        """FW-13: the bank that would be written is the committed one."""
        if self.trial and self.running is not Bank.FACTORY and self.plan.refuses_during_trial:
            raise Refusal(Status.WRONG_STATE)

    def _not_downloading(self) -> None:
        if self.download is not None:
            raise Refusal(Status.WRONG_STATE)

    def _keep(self, kept: KeptFirmware) -> None:
        self.kept = kept
        if self.changed is not None:
            self.changed(kept)
