"""Device identity by command: certificates in pieces or whole, and the signature of a digest (CMD-09, since 5.2).

Certificates are the module's own (0) and its authority's (1). A signature is of the digest that was set last; a reset
forgets it. An index or a length that does not fit is a parameter error (42h); a signature without a digest is
told in ReturnStatus.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from cmis_emu.errors import NotAvailableError
from cmis_emu.layouts.cdb import (
    CERTIFICATE_EPL_REQUEST,
    CERTIFICATE_REQUEST,
    EPL_OBJECT_REPLY,
    RETURN_STATUS,
    SECURITY_FEATURES_REPLY,
    SEGMENT_BYTES,
    SEGMENT_REPLY_HEAD,
    SIGNATURE_REQUEST,
    bitmap,
    check_code,
)
from cmis_emu.module.cdb.command import Command, Job, Refusal, Reply, Request, Status
from cmis_emu.module.cdb.plan import Advertised
from cmis_emu.module.cdb.surroundings import Surroundings

if TYPE_CHECKING:
    from cmis_emu.module.cdb.identity import Identity

GROUP = "security"
BASE = 0x0400
OK, NO_DIGEST = 0x0000, 0x0011  # ReturnStatus
X509_DER, ECDSA_R_S, NO_PADDING, DIGEST_OF_32 = 2, 4, 0, 2  # codes of 0044h
DIGEST_BYTES, SIGNATURE_BYTES = 32, 64
CERTIFICATES = 2
TOLD_LENGTHS = 4  # CertificateLengths
_IDENTITY_FIELDS = ("VendorName", "VendorPN", "VendorSN")


class Security:
    """Commands 0044h and 04xxh of one module. Raises NotAvailableError without the extra `security`."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._execution_ns = around.plan.execution_ns(GROUP)
        self._cells = [around.memory.cell(name) for name in _IDENTITY_FIELDS]
        self._epl_bytes = Advertised.of(around.profile.registers).epl_bytes
        self._digest: bytes | None = None
        try:
            library = importlib.import_module("cmis_emu.module.cdb.identity")
        except ImportError as error:
            found = f"profile {around.profile.name}: found no {error.name or 'cryptography'}"
            expected = "expected it for the CDB group 'security': pip install 'cmis-emu[security]'"
            raise NotAvailableError(f"{found}, {expected}") from None
        self._identity_of: Callable[[str, str, str, int], Identity] = library.identity_of

    def commands(self) -> Sequence[Command]:
        """See `CommandGroup`."""
        found = [
            Command(0x0044, "Security Features", self._features),
            Command(0x0400, "Get IDevID Certificate LPL", self._certificate, (2, 2)),
            Command(0x0402, "Set Digest To Sign LPL", self._set_digest, (DIGEST_BYTES, DIGEST_BYTES)),
            Command(0x0404, "Get Digest Signature LPL", self._signature, (1, 1)),
        ]
        if self._epl_bytes:
            found += [
                Command(0x0401, "Get IDevID Certificate EPL", self._whole_certificate, (1, 1)),
                Command(0x0403, "Set Digest To Sign EPL", self._set_whole_digest),
                Command(0x0405, "Get Digest Signature EPL", self._whole_signature),
            ]
        return found

    def reset(self) -> None:
        """No digest was set."""
        self._digest = None

    def _identity(self) -> Identity:
        texts = (cell.data[cell.slots[0][0] : cell.slots[0][0] + cell.slots[0][1]] for cell in self._cells)
        vendor, part, serial = (text.decode("ascii", "replace").strip() for text in texts)
        return self._identity_of(vendor, part, serial, self._around.plant.seed)

    def _answer(self, lpl: bytes, epl: bytes | None = None) -> Job:
        return Job(self._execution_ns, partial(Reply, lpl=lpl, epl=epl))

    def _features(self, _: Request) -> Job:
        lengths = [len(each) for each in self._identity().certificates]
        said = {
            "commands": bitmap(frozenset(self._around.commands), BASE),
            "certificates": CERTIFICATES,
            "chain_supported": 1,
            "certificate_format": X509_DER,
            "certificate_lengths": lengths + [0] * (TOLD_LENGTHS - len(lengths)),
            "digest_length_code": DIGEST_OF_32,
            "signature_ms": self._around.plan.command_ms(GROUP),
            "signature_length": SIGNATURE_BYTES,
            "signature_format": ECDSA_R_S,
            "signature_padding": NO_PADDING,
        }
        data = SECURITY_FEATURES_REPLY.build(said)
        if check_code(data) == 0:  # CDB-05: hosts take 0 for no reply; one ms more is as true
            data = SECURITY_FEATURES_REPLY.build(said | {"signature_ms": self._around.plan.command_ms(GROUP) + 1})
        return self._answer(data)

    # -- certificates ------------------------------------------------------------------------------------------

    def _certificate(self, request: Request) -> Job:
        said = CERTIFICATE_REQUEST.parse(request.lpl)
        return self._segment(self._chosen(int(said.index)), int(said.segment))

    def _whole_certificate(self, request: Request) -> Job:
        return self._whole(self._chosen(int(CERTIFICATE_EPL_REQUEST.parse(request.lpl).index)))

    def _chosen(self, index: int) -> bytes:
        if index >= CERTIFICATES:
            raise Refusal(Status.PARAMETER_ERROR)
        return self._identity().certificates[index]

    def _segment(self, data: bytes, index: int) -> Job:
        pieces = segments(data)
        if index >= len(pieces):
            raise Refusal(Status.PARAMETER_ERROR)
        return self._answer(_head(OK, index) + pieces[index])

    def _whole(self, data: bytes) -> Job:
        """Length 0 says that there is not room enough for it."""
        if len(data) > self._epl_bytes:
            return self._answer(EPL_OBJECT_REPLY.build({"status": OK, "length": 0}))
        return self._answer(EPL_OBJECT_REPLY.build({"status": OK, "length": len(data)}), data)

    # -- signatures --------------------------------------------------------------------------------------------

    def _set_digest(self, request: Request) -> Job:
        return Job(self._execution_ns, partial(self._digest_set, request.lpl))

    def _set_whole_digest(self, request: Request) -> Job:
        if len(request.epl) != DIGEST_BYTES:
            raise Refusal(Status.PARAMETER_ERROR)
        return Job(self._execution_ns, partial(self._digest_set, request.epl))

    def _digest_set(self, digest: bytes) -> Reply:
        self._digest = digest
        return Reply(lpl=RETURN_STATUS.build({"status": OK}))

    def _signature(self, request: Request) -> Job:
        index = int(SIGNATURE_REQUEST.parse(request.lpl).segment)
        if self._digest is None:
            return self._answer(_head(NO_DIGEST, index))
        return self._segment(self._identity().sign(self._digest), index)

    def _whole_signature(self, _: Request) -> Job:
        if self._digest is None:
            return self._answer(EPL_OBJECT_REPLY.build({"status": NO_DIGEST, "length": 0}))
        return self._whole(self._identity().sign(self._digest))


def _head(status: int, index: int) -> bytes:
    return bytes(SEGMENT_REPLY_HEAD.build({"status": status, "segment": index}))


def segments(data: bytes) -> list[bytes]:
    """Pieces of at most 117 bytes, none of which makes a reply whose check code hosts take for no reply (CDB-05)."""
    found: list[bytes] = []
    while data:
        size = SEGMENT_BYTES
        while size > 1 and check_code(_head(OK, len(found)) + data[:size]) == 0:
            size = min(size, len(data)) - 1
        found.append(data[:size])
        data = data[size:]
    return found
