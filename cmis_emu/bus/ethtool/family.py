"""The generic netlink family "ethtool" for emulated interfaces: requests about modules, as net/ethtool answers them.

Owns which requests are the emulator's, the kernel's checks and their errors (net/ethtool/eeprom.c, module.c), and the
family itself where the kernel has none. A request for anything but an emulated interface, or for anything but its
module, is the kernel's: there is no network interface, only a module that ethtool can reach by its name.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Mapping
from typing import Final

from cmis_emu.bus.errors import BusError
from cmis_emu.bus.ethtool import netlink
from cmis_emu.bus.ethtool.driver import Driver, Policy, Refusal, failure
from cmis_emu.bus.ethtool.netlink import Attribute, NetlinkError, Request, Rule
from cmis_emu.bus.preload.wire import NetlinkFlag
from cmis_emu.bus.target import HALF

NAME: Final = "ethtool"
VERSION: Final = 1
FIRST_INDEX: Final = 0x40000000  # of interfaces that are not there; the kernel counts from 1

_CTRL, _GET_FAMILY, _NEW_FAMILY, _CTRL_VERSION = 0x10, 3, 1, 2
_CTRL_ID, _CTRL_NAME, _CTRL_VERSION_OF, _CTRL_HEADER_SIZE, _CTRL_MAX_ATTRIBUTE, _CTRL_OPERATIONS = range(1, 7)
_OPERATION_ID, _OPERATION_FLAGS = 1, 2
_CAN_DO, _HAS_POLICY, _NEEDS_ADMIN = 0x02, 0x08, 0x10  # GENL_CMD_CAP_DO, _HASPOL, GENL_UNS_ADMIN_PERM

EEPROM_GET, MODULE_GET, MODULE_SET = 31, 34, 35
_EEPROM_REPLY, _MODULE_REPLY = 32, 35

_HEADER = 1
_INDEX, _DEVICE, _FLAGS = 1, 2, 3
_OFFSET, _LENGTH, _PAGE, _BANK, _I2C_ADDRESS, _DATA = range(2, 8)
_POLICY, _MODE = 2, 3

_HEADER_RULES: Final = {_INDEX: Rule(4), _DEVICE: Rule(127, text=True), _FLAGS: Rule(4, mask=3)}
_EEPROM_RULES: Final = {
    _HEADER: Rule(nest=_HEADER_RULES),
    _OFFSET: Rule(4, 0, 2 * HALF - 1),
    _LENGTH: Rule(4, 1, HALF),
    _PAGE: Rule(1),
    _BANK: Rule(1),
    _I2C_ADDRESS: Rule(1, 0, 0x7F),
}
_MODULE_GET_RULES: Final = {_HEADER: Rule(nest=_HEADER_RULES)}
_MODULE_SET_RULES: Final = {**_MODULE_GET_RULES, _POLICY: Rule(1, Policy.HIGH, Policy.AUTO)}

_Answer = Callable[[Request, dict[int, Attribute], str], list[bytes]]


class Family:
    """Of the interfaces of one server, by name."""

    def __init__(self, drivers: Mapping[str, Driver], lock: threading.RLock) -> None:
        self._drivers = drivers
        self._lock = lock
        self._indices = {FIRST_INDEX + n: name for n, name in enumerate(drivers)}
        self._requests: dict[int, tuple[Mapping[int, Rule], _Answer]] = {
            EEPROM_GET: (_EEPROM_RULES, self._eeprom),
            MODULE_GET: (_MODULE_GET_RULES, self._module),
            MODULE_SET: (_MODULE_SET_RULES, self._set_module),
        }

    def answer(self, raw: bytes, family: int, flags: NetlinkFlag) -> list[bytes] | None:
        """The datagrams that answer a message; None when it is the kernel's business. Raises ValueError.

        family: the id of "ethtool" on that socket.
        """
        request = Request.parse(raw)
        alone = bool(flags & NetlinkFlag.NO_KERNEL)
        try:
            if request.type == _CTRL:
                found = self._introduce(request, family, alone) if flags & NetlinkFlag.NO_FAMILY else None
            elif request.type == family:
                found = self._dispatch(request, alone or bool(flags & NetlinkFlag.NO_FAMILY))
            elif alone:
                raise NetlinkError(errno.ENOENT)
            else:
                return None
        except NetlinkError as problem:
            extended, capped = bool(flags & NetlinkFlag.EXTENDED_ACK), bool(flags & NetlinkFlag.CAPPED_ACK)
            return [netlink.acknowledgement(request, problem, extended=extended, capped=capped)]
        if found is not None and request.flags & netlink.NLM_F_ACK:
            found.append(netlink.acknowledgement(request))
        return found

    def _introduce(self, request: Request, family: int, alone: bool) -> list[bytes] | None:
        """CTRL_CMD_GETFAMILY: who "ethtool" is, where the kernel does not know."""
        rules = {_CTRL_ID: Rule(2), _CTRL_NAME: Rule(15, text=True)}
        known = False
        if request.command == _GET_FAMILY and not request.flags & netlink.NLM_F_DUMP:
            wanted = request.attributes(rules)
            known = (_CTRL_NAME in wanted and wanted[_CTRL_NAME].text() == NAME) or (
                _CTRL_ID in wanted and wanted[_CTRL_ID].number() == family
            )
        if not known:
            if not alone:
                return None
            raise NetlinkError(errno.ENOENT)
        operations = [
            netlink.nest(
                n,
                netlink.attribute(_OPERATION_ID, netlink.U32.pack(command)),
                netlink.attribute(
                    _OPERATION_FLAGS,
                    netlink.U32.pack(_CAN_DO | _HAS_POLICY | (_NEEDS_ADMIN if command == MODULE_SET else 0)),
                ),
            )
            for n, command in enumerate(self._requests, start=1)
        ]
        return [
            netlink.reply(
                request,
                _NEW_FAMILY,
                _CTRL_VERSION,
                netlink.text(_CTRL_NAME, NAME),
                netlink.attribute(_CTRL_ID, netlink.U16.pack(family)),
                netlink.attribute(_CTRL_VERSION_OF, netlink.U32.pack(VERSION)),
                netlink.attribute(_CTRL_HEADER_SIZE, netlink.U32.pack(0)),
                netlink.attribute(_CTRL_MAX_ATTRIBUTE, netlink.U32.pack(0)),
                netlink.nest(_CTRL_OPERATIONS, *operations),
            )
        ]

    def _dispatch(self, request: Request, everything: bool) -> list[bytes] | None:
        if not everything and (request.flags & netlink.NLM_F_DUMP or self._named(request) is None):
            return None
        if request.command not in self._requests or request.flags & netlink.NLM_F_DUMP:
            if not everything:
                return None
            raise NetlinkError(errno.EOPNOTSUPP)
        rules, answer = self._requests[request.command]
        attributes = request.attributes(rules)
        if _HEADER not in attributes:
            raise NetlinkError(errno.EINVAL, missing=_HEADER)
        name = self._interface(attributes[_HEADER])
        with self._lock:
            try:
                return answer(request, attributes, name)
            except BusError as error:
                refusal = failure(error)
            except Refusal as found:
                refusal = found
        raise NetlinkError(refusal.errno, refusal.message)

    def _named(self, request: Request) -> str | None:
        """The emulated interface that a request names, whatever else is wrong with it."""
        for kind, data in netlink.walk(request.raw, netlink.HEADER.size + netlink.GENERIC.size):
            if kind != _HEADER:
                continue
            inner = dict(netlink.walk(data))
            if len(inner.get(_INDEX, b"")) == netlink.U32.size:
                return self._indices.get(netlink.U32.unpack(inner[_INDEX])[0])
            name = inner.get(_DEVICE, b"").partition(b"\0")[0].decode(errors="surrogateescape")
            return name if name in self._drivers else None
        return None

    def _interface(self, header: Attribute) -> str:
        named, index = header.inner.get(_DEVICE), header.inner.get(_INDEX)
        if index is not None:
            name = self._indices.get(index.number())
            if name is None:
                raise NetlinkError(errno.ENODEV, "no device matches ifindex", index.offset)
            if named is not None and named.text() != name:
                raise NetlinkError(errno.ENODEV, "ifindex and name do not match", header.offset)
            return name
        if named is None:
            raise NetlinkError(errno.EINVAL, "neither ifindex nor name specified", header.offset)
        if named.text() not in self._drivers:
            raise NetlinkError(errno.ENODEV, "no device matches name", named.offset)
        return named.text()

    def _own_header(self, name: str) -> bytes:
        index = next(number for number, known in self._indices.items() if known == name)
        return netlink.nest(_HEADER, netlink.attribute(_INDEX, netlink.U32.pack(index)), netlink.text(_DEVICE, name))

    # -- requests --------------------------------------------------------------------------------------

    def _eeprom(self, request: Request, found: dict[int, Attribute], name: str) -> list[bytes]:
        if not all(kind in found for kind in (_OFFSET, _LENGTH, _PAGE, _I2C_ADDRESS)):
            raise NetlinkError(errno.EINVAL)
        offset, length, page = (found[kind].number() for kind in (_OFFSET, _LENGTH, _PAGE))
        if page and offset < HALF:
            words = "reading from lower half page is allowed for page 0 only"
            raise NetlinkError(errno.EINVAL, words, found[_PAGE].offset)
        if offset < HALF < offset + length:
            words = "reading cross half page boundary is illegal"
            raise NetlinkError(errno.EINVAL, words, found[_LENGTH].offset)
        if offset + length > 2 * HALF:
            raise NetlinkError(errno.EINVAL, "reading cross page boundary is illegal", found[_LENGTH].offset)
        bank = found[_BANK].number() if _BANK in found else 0
        data = self._drivers[name].read(page, bank, offset, length, found[_I2C_ADDRESS].number())
        return [netlink.reply(request, _EEPROM_REPLY, VERSION, self._own_header(name), netlink.attribute(_DATA, data))]

    def _module(self, request: Request, _: dict[int, Attribute], name: str) -> list[bytes]:
        policy, mode = self._drivers[name].power()
        known = [
            netlink.attribute(kind, netlink.U8.pack(value))
            for kind, value in ((_POLICY, policy), (_MODE, mode))
            if value is not None
        ]
        return [netlink.reply(request, _MODULE_REPLY, VERSION, self._own_header(name), *known)]

    def _set_module(self, _: Request, found: dict[int, Attribute], name: str) -> list[bytes]:
        if _POLICY in found:
            wanted = Policy(found[_POLICY].number())
            driver = self._drivers[name]
            if driver.power()[0] is not wanted:
                driver.set_policy(wanted)
        return []
