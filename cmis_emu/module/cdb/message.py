"""The message pages of one CDB instance: requests as hosts wrote them, replies as hosts read them (CDB-02 to CDB-06).

Owns the bytes of page 9Fh and of the extended payload, and what a write does to the message page while a command
is under way: nothing that a read would show. Such writes are still put together, because one of them may be the
abort (CDB-12, CDB-15).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cmis_emu.layouts.cdb import EPL_PAGE_BYTES, FIRST_EPL_REPLY, HEADER, LPL_BYTES, check_code, message_check_code
from cmis_emu.module.cdb.command import Reply, Request
from cmis_emu.registers.memory import Memory, Write


@dataclass(frozen=True, slots=True)
class Message:
    """A message as captured. lpl_length, epl_length: as the host says, whatever there is room for."""

    request: Request
    lpl_length: int
    epl_length: int
    check_code: int
    expected_code: int


class MessagePages:
    """Page 9Fh and the pages of the extended payload in one bank."""

    OWNS = (
        "CMDID",
        "EPLLength",
        "LPLLength",
        "CdbChkCode",
        "RPLLength",
        "RPLChkCode",
        "LPL",
        "EPLData",
    )

    def __init__(self, memory: Memory, instance: int, epl_pages: int, *, auto_paging: bool) -> None:
        bank = instance - 1
        self._instance = instance
        self._command = memory.cell("CMDID", bank)
        self._rpl_length = memory.cell("RPLLength", bank)
        self._rpl_check_code = memory.cell("RPLChkCode", bank)
        self._lpl = memory.cell("LPL", bank)
        self.page = self._command.page
        first, size, *_ = self._command.slots[0]
        self._header = slice(first, self._lpl.slots[0][0])
        self._body = slice(self._lpl.slots[0][0], self._lpl.slots[0][0] + LPL_BYTES)
        self._sent = slice(first, self._rpl_length.slots[0][0])  # what a host writes before the payload
        self.trigger_index = first + size - 1
        fields = memory.regmap.family("EPLData")[:epl_pages]
        self._epl = [memory.page(field.page, bank) for field in fields]
        if auto_paging:
            for page, after in zip(self._epl, (*self._epl[1:], *self._epl[:1]), strict=True):
                page.successor = after  # CDB-13: behind the last one comes the first
        self._shadow = bytearray()
        self._asked: Callable[[], None] | None = None

    def listen(self, triggered: Callable[[Write], None]) -> None:
        """Call `triggered` for every write that has the last byte of CMDID in it (CDB-03)."""
        self.page.hooks[self.trigger_index] = triggered

    def is_command_id(self, write: Write) -> bool:
        """Was CMDID written and nothing else, whole or its last byte? (CDB-03)"""
        last = self.page.first + self.trigger_index
        return write.offset + len(write.data) - 1 == last and len(write.data) <= self._command.slots[0][1]

    # -- while a command is under way --------------------------------------------------------------------

    def close(self, asked: Callable[[], None]) -> None:
        """From now on writes to the message page change nothing; `asked` when one of them is a trigger."""
        self._shadow = bytearray(self.page.data)
        self._asked = asked
        self.page.taker = self._take

    def open(self) -> None:
        """Writes are taken again."""
        self.page.taker = None
        self._asked = None

    def _take(self, start: int, data: bytes) -> bool:
        size = len(self._shadow)
        for step, value in enumerate(data):
            self._shadow[(start + step) % size] = value
        if (self.trigger_index - start) % size < len(data) and self._asked is not None:
            self._asked()
        return True

    def shadow(self) -> Message:
        """The message that was put together meanwhile."""
        return self._message(self._shadow)

    def adopt(self) -> None:
        """The header put together meanwhile is the one to be seen: its command was accepted."""
        self.page.data[self._sent] = self._shadow[self._sent]

    # -- requests ----------------------------------------------------------------------------------------

    def message(self) -> Message:
        """The message as it stands; to be captured at the trigger."""
        return self._message(self.page.data)

    def _message(self, data: bytearray) -> Message:
        header = bytes(data[self._header])
        said = HEADER.parse(header)
        lpl = bytes(data[self._body])[: said.lpl_length]
        epl = b"".join(bytes(page.data) for page in self._epl[: -(-said.epl_length // EPL_PAGE_BYTES)])
        request = Request(said.command, lpl, epl[: said.epl_length], self._instance)
        return Message(request, said.lpl_length, said.epl_length, said.check_code, message_check_code(header, lpl))

    # -- replies -----------------------------------------------------------------------------------------

    def forget_reply(self) -> None:
        """Nothing of the last command's reply is left to be taken for this one's."""
        self._rpl_length.set(0)
        self._rpl_check_code.set(0)

    def reply(self, reply: Reply, *, length: int | None = None, code_off: int = 0) -> None:
        """Write a reply; what is behind it reads 0 (CDB-14). length, code_off: what is wrong with it on purpose."""
        self._lpl.data[self._body] = reply.lpl.ljust(LPL_BYTES, b"\0")
        told = len(reply.lpl)
        if reply.epl is not None:
            pages = -(-len(reply.epl) // EPL_PAGE_BYTES)
            for number, page in enumerate(self._epl[:pages]):
                piece = reply.epl[number * EPL_PAGE_BYTES : (number + 1) * EPL_PAGE_BYTES]
                page.data[:] = piece.ljust(EPL_PAGE_BYTES, b"\0")
            if not told and pages:
                told = FIRST_EPL_REPLY - 1 + pages
        self._rpl_length.set(told if length is None else length)
        self._rpl_check_code.set(check_code(reply.lpl) ^ code_off)
