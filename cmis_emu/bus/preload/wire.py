"""The protocol between the preloaded C library and the emulator: struct formats, op codes, limits.

One Unix stream per open device file. The client sends one request, the server sends one reply, in turn; all
numbers are little-endian and packed. `shim.h` opens with the same facts.

    request  REQUEST header, payload      reply  REPLY header, payload
    OPEN     OPEN                      -> OPEN_REPLY; status -ENOENT when there is no such bus
    RDWR     RDWR, n x MESSAGE, data of the write messages one after the other
                                       -> status = messages done, payload = data of the read ones among them
    SMBUS    SMBUS                     -> status 0, SMBUS_REPLY
    NETLINK  NETLINK, one netlink message
                                       -> status 0: the kernel's business; else 1 + number of datagrams,
                                          payload = each DATAGRAM and its netlink messages
    ETHTOOL  ETHTOOL, start of the command
                                       -> status 0, payload = the command as it stands then; status -ENODEV when
                                          the emulator has no interface of that name
    USB      USB                       -> USB_REPLY; with `plug`, status PLUGGED, and from then on the connection
                                          is the USB cable of the bus's adapter (usbip/wire.py); not for the C library

A status below 0 is -errno, and then the payload is empty.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final

PROTOCOL_VERSION: Final = 1


class Op(IntEnum):
    OPEN = 1
    RDWR = 2
    SMBUS = 3
    USB = 4
    NETLINK = 5
    ETHTOOL = 6
    CONTROL = 16  # JSON, not for the C library: see cmis_emu/control.py


REQUEST: Final = Struct("<IHH")  # length of the payload, op, bus
REPLY: Final = Struct("<Ii")  # length of the payload, status

OPEN: Final = Struct("<II")  # protocol version, process
OPEN_REPLY: Final = Struct("<Q")  # functionality
RDWR: Final = Struct("<HH")  # number of messages, 0
MESSAGE: Final = Struct("<HHHH")  # address, MessageFlag, length, 0
SMBUS: Final = Struct("<HBBIHH34s")  # address, 1 = read, command, SmbusSize, ClientFlag, 0, data
SMBUS_REPLY: Final = Struct("<34s")  # data

NETLINK: Final = Struct("<HH")  # id of the family "ethtool", NetlinkFlag
DATAGRAM: Final = Struct("<I")  # length
ETHTOOL: Final = Struct("<16s")  # name of the interface, ended by NUL
FAMILY_WHEN_NONE: Final = 0x3F0  # id of the family "ethtool" where the kernel has none

USB: Final = Struct("<II")  # protocol version, 1 = plug
USB_REPLY: Final = Struct("<II")  # device id and speed, as the kernel's vhci_hcd wants them
PLUGGED: Final = 1

MESSAGES_MAX: Final = 42  # in one RDWR (I2C_RDWR_IOCTL_MAX_MSGS)
MESSAGE_LENGTH_MAX: Final = 8192  # bytes, of one message
SMBUS_BLOCK_MAX: Final = 32  # bytes, of one SMBus block; data[0] is its length
PAYLOAD_MAX: Final = RDWR.size + MESSAGES_MAX * (MESSAGE.size + MESSAGE_LENGTH_MAX)  # of a lawful request

# I2C_FUNC_I2C, PEC and every SMBus transaction that plain I2C messages can make; not the block read and the
# block process call, whose length the target decides.
FUNCTIONALITY: Final = 0x0EFF0009


class MessageFlag(IntFlag):
    """Flags of one message, as in linux/i2c.h."""

    RD = 0x0001
    TEN = 0x0010


class ClientFlag(IntFlag):
    """Flags of an open device file, which go with each SMBus transaction."""

    PEC = 0x0004
    TEN = 0x0010


class NetlinkFlag(IntFlag):
    """What the socket of a netlink message is like."""

    EXTENDED_ACK = 1  # NETLINK_EXT_ACK is set
    CAPPED_ACK = 2  # NETLINK_CAP_ACK is set
    NO_FAMILY = 4  # the kernel lacks the family: the emulator tells its id
    NO_KERNEL = 8  # nobody else answers


class SmbusSize(IntEnum):
    """Kinds of SMBus transactions, as in linux/i2c.h. I2C_BLOCK_BROKEN (6) arrives as I2C_BLOCK_DATA."""

    QUICK = 0
    BYTE = 1
    BYTE_DATA = 2
    WORD_DATA = 3
    PROC_CALL = 4
    BLOCK_DATA = 5
    BLOCK_PROC_CALL = 7
    I2C_BLOCK_DATA = 8
