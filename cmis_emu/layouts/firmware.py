"""Requests and replies of the firmware commands, and of 0041h (rules CMD-04, FW-01 to FW-11).

Owns where each value lies in the local payload; what the values mean is the module's business.
"""

from __future__ import annotations

from construct import (
    BitStruct,
    Bytes,
    Const,
    Flag,
    GreedyBytes,
    Int8ub,
    Int16ub,
    Int32ub,
    Padding,
    Struct,
)

TEXT_BYTES = 32
"""Text beside a version."""

TAG_BYTES = 64
"""A firmware load tag."""

START_FIXED_BYTES = 8
"""Request 0101h without its first bytes of the image."""

BLOCK_FIXED_BYTES = 4
"""Request 0103h or 0104h without block data; the reply to 0105h too."""

START_PAYLOAD_MAX = 112
BLOCK_BYTES_MAX = 116

MANAGEMENT_FEATURES = Struct(
    Padding(1),
    "features"
    / BitStruct(
        "image_readback" / Flag,
        Padding(3),
        "duration_coding" / Flag,
        "skipping_erased_blocks" / Flag,
        "copy" / Flag,
        "abort" / Flag,
    ),
    "start_cmd_payload_size" / Int8ub,
    "erased_byte" / Int8ub,
    "read_write_length_ext" / Int8ub,
    "write_mechanism" / Int8ub,
    "read_mechanism" / Int8ub,
    "hitless_restart" / Int8ub,
    "max_duration_start" / Int16ub,
    "max_duration_abort" / Int16ub,
    "max_duration_write" / Int16ub,
    "max_duration_complete" / Int16ub,
    "max_duration_copy" / Int16ub,
)
"""Reply to 0041h (CMD-04)."""

VERSION = Struct("major" / Int8ub, "minor" / Int8ub, "build" / Int16ub, "text" / Bytes(TEXT_BYTES))

FIRMWARE_INFO = Struct(
    "status"
    / BitStruct(
        Padding(1),
        "b_invalid" / Flag,
        "b_committed" / Flag,
        "b_running" / Flag,
        Padding(1),
        "a_invalid" / Flag,
        "a_committed" / Flag,
        "a_running" / Flag,
    ),
    "present" / BitStruct(Padding(5), "factory" / Flag, "b" / Flag, "a" / Flag),
    "a" / VERSION,
    "b" / VERSION,
    "factory" / VERSION,
)
"""Reply to 0100h (FW-01, FW-02)."""

START_DOWNLOAD = Struct("image_size" / Int32ub, "reserved" / Bytes(4), "vendor_data" / GreedyBytes)
"""Request 0101h (FW-05)."""

WRITE_BLOCK = Struct("block_address" / Int32ub, "block_data" / GreedyBytes)
"""Request 0103h, and 0104h whose data are in the EPL (FW-06)."""

READ_BLOCK = Struct("block_address" / Int32ub, "length" / Int16ub)
"""Request 0105h and 0106h (FW-10)."""

BLOCK_READ = Struct("block_address" / Int32ub, "block_data" / GreedyBytes)
"""Reply to 0105h."""

COPY_IMAGE = Struct("direction" / Int8ub)
"""Request 0108h."""

IMAGE_COPIED = Struct("length" / Int32ub, "direction" / Int8ub, "status" / Int8ub)
"""Reply to 0108h."""

RUN_IMAGE = Struct("reserved" / Int8ub, "image_to_run" / Int8ub, "delay_to_reset_ms" / Int16ub)
"""Request 0109h (FW-11)."""

ACTIVATION_OPTIONS = Struct(
    "traffic_impact" / BitStruct(Padding(6), "switch_hitless" / Flag, "restart_hitless" / Flag),
    "config_impact" / BitStruct(Padding(6), "switch_keeps" / Flag, "restart_keeps" / Flag),
)
"""Reply to 010Bh (since 5.4)."""

STORE_TAG = Struct("bank" / Int8ub, "control" / Int8ub, "load_tag" / Bytes(TAG_BYTES))
"""Request 010Ch (since 5.4)."""

RETRIEVE_TAG = Struct("bank" / Int8ub)
"""Request 010Dh (since 5.4)."""

TAG_RETRIEVED = Struct("bank" / Int8ub, "reserved" / Const(b"\0"), "load_tag" / Bytes(TAG_BYTES))
"""Reply to 010Dh."""


def text_field(text: str, size: int = TEXT_BYTES) -> bytes:
    """ASCII text in a field, padded with blanks (NUM-03)."""
    return text.encode("ascii")[:size].ljust(size)
