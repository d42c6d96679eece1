"""CDB messages as bytes: header, check codes, payloads of the commands outside firmware (CDB-02, CMD-01 to CMD-10).

Offsets of payloads count from the first byte of the local payload. Numbers are big-endian (NUM-01).
"""

from __future__ import annotations

from construct import Array, Byte, Bytes, Const, Int16sb, Int16ub, Int32ub, Padding, Struct

LPL_BYTES = 120
EPL_PAGE_BYTES = 128
BITMAP_BYTES = 32  # of one group of 256 commands
SEGMENT_BYTES = 117  # of a certificate or signature in one local reply (CMD-09)
FIRST_EPL_REPLY = 240  # RPLLength of a reply of one EPL page (CDB-06)

HEADER = Struct(
    "command" / Int16ub,
    "epl_length" / Int16ub,
    "lpl_length" / Byte,
    "check_code" / Byte,
    "rpl_length" / Byte,
    "rpl_check_code" / Byte,
)
"""The eight bytes before the local payload."""


def check_code(data: bytes) -> int:
    """One's complement of the sum of bytes (CDB-04, CDB-05)."""
    return ~sum(data) & 0xFF


def message_check_code(header: bytes, lpl: bytes) -> int:
    """CdbChkCode of a message: command, both lengths and the local payload count, nothing else (CDB-04)."""
    return check_code(header[:5] + lpl)


def bitmap(commands: frozenset[int], base: int, size: int = BITMAP_BYTES) -> bytes:
    """Bit `command - base` of a bitmap for each command that falls into it (CMD-03, CMD-05)."""
    found = bytearray(size)
    for code in commands:
        if base <= code < base + 8 * size:
            found[(code - base) // 8] |= 1 << (code - base) % 8
    return bytes(found)


def _u48(values: list[int]) -> bytes:
    return b"".join(min(value, (1 << 48) - 1).to_bytes(6, "big") for value in values)


# -- 00xxh ----------------------------------------------------------------------------------------------------

QUERY_STATUS = Struct("delay_ms" / Int16ub)
QUERY_STATUS_REPLY = Struct("length" / Const(2, Byte), "status" / Byte)  # CMD-01
PASSWORD = Struct("password" / Int32ub)  # CMD-02

MODULE_FEATURES_REPLY = Struct(Padding(2), "commands" / Bytes(BITMAP_BYTES), "max_completion_ms" / Int16ub)  # CMD-03
GROUP_FEATURES_REPLY = Struct("commands" / Bytes(BITMAP_BYTES))  # CMD-05
SECURITY_FEATURES_REPLY = Struct(
    "commands" / Bytes(BITMAP_BYTES),
    "certificates" / Byte,
    "chain_supported" / Byte,
    "certificate_format" / Byte,
    Padding(1),
    "certificate_lengths" / Array(4, Int16ub),
    "digest_length_code" / Byte,
    Padding(1),
    "signature_ms" / Int16ub,
    "signature_length" / Int16ub,
    "signature_format" / Byte,
    "signature_padding" / Byte,
)  # 52 bytes (CDB-18)
EXTERNAL_FEATURES_REPLY = Struct("features" / Byte)

APPLICATION_REQUEST = Struct("number" / Int16ub)  # CMD-06
APPLICATION_REPLY = Struct(
    "number" / Int16ub,
    "max_power" / Int16ub,
    "power_min" / Int16sb,
    "power_max" / Int16sb,
    "ber_threshold" / Int16ub,
    "los_threshold" / Int16sb,
    "rx_power" / Array(4, Int16ub),
)
INTERFACE_REQUEST = Struct("interface" / Int16ub, "location" / Byte)
INTERFACE_REPLY = Struct(
    "interface" / Int16ub,
    "location" / Byte,
    "name" / Bytes(16),
    "description" / Bytes(48),
    Padding(1),
    "data_rate" / Int16ub,
    "lane_count" / Int16ub,
    "signaling_rate" / Int16ub,
    "modulation" / Bytes(16),
    "bits_per_symbol" / Int16ub,
)

# -- 02xxh (CMD-07) --------------------------------------------------------------------------------------------

CONTROL_PM = Struct("link_mode" / Byte, Padding(1), "clear_all" / Byte, Padding(1))
PM_FEATURES_REPLY = Struct("host" / Byte, "media" / Byte, Padding(2))
MODULE_PM = Struct("selection" / Byte, "observables" / Byte, "others" / Bytes(3))
LANE_PM = Struct(
    "selection" / Byte,
    Padding(3),
    "resources" / Int32ub,
    "observables" / Bytes(4),
    "oif_observables" / Bytes(4),
    "custom_observables" / Bytes(4),
)
PATH_AND_PLACE = Struct("path_id" / Byte, "control" / Byte)
WEIGHTS = 17  # bins of the histogram of wrong symbols, 0 to 16, before the one of all beyond
HISTOGRAM_REPLY = Struct(
    "path_id" / Byte,
    "location" / Byte,
    "capability" / Byte,
    Padding(1),
    "uncorrectable" / Bytes(6),
    "weights" / Bytes(6 * WEIGHTS),
    "beyond" / Bytes(6),
    "ber" / Int16ub,
)
MAX_WEIGHT_REPLY = Struct(Padding(1), "location" / Byte, "capability" / Int16ub, "weights" / Array(8, Int16ub))
RECORDING_CONTROL = Struct(Padding(2), "clear_all" / Byte, Padding(1))
TEMPERATURE_REQUEST = Struct("sub_commands" / Byte)
TEMPERATURE_BINS = 11
TEMPERATURE_REPLY = Struct(
    "sub_commands" / Byte,
    "hours_to_write" / Byte,
    Padding(2),
    "total_s" / Int32ub,
    "bins_s" / Array(TEMPERATURE_BINS, Int32ub),
)


def counters(values: list[int]) -> bytes:
    """48-bit counters, clipped, most significant byte first: which order is right is not settled (CMD-07)."""
    return _u48(values)


# -- 04xxh (CMD-09) --------------------------------------------------------------------------------------------

CERTIFICATE_REQUEST = Struct("index" / Byte, "segment" / Byte)
CERTIFICATE_EPL_REQUEST = Struct("index" / Byte)
SIGNATURE_REQUEST = Struct("segment" / Byte)
RETURN_STATUS = Struct("status" / Int16ub)
EPL_OBJECT_REPLY = Struct("status" / Int16ub, "length" / Int16ub)
SEGMENT_REPLY_HEAD = Struct("status" / Int16ub, "segment" / Byte)
