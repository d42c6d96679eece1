"""The messages of `emulator.SfpEmulatorService`: names and numbers of fields, which are the protocol.

Owns the table and the classes that come from it, built when the module is loaded, so that no generated code and no
compiler is needed. They live in a pool of their own: a client of the same service may be in this process.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "emulator"
SERVICE = f"{PACKAGE}.SfpEmulatorService"

_Type = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "uint32": _Type.TYPE_UINT32,
    "bool": _Type.TYPE_BOOL,
    "string": _Type.TYPE_STRING,
    "bytes": _Type.TYPE_BYTES,
}

FIELDS: dict[str, str] = {
    "CreateRequest": "uint32 index, string type",
    "CreateResponse": "",
    "DeleteRequest": "uint32 index",
    "DeleteResponse": "",
    "ReadRequest": "uint32 index, uint32 bank, uint32 page, uint32 offset, uint32 length, bool force",
    "ReadResponse": "bytes data",
    "WriteRequest": "uint32 index, uint32 bank, uint32 page, uint32 offset, bytes data, uint32 length",
    "WriteResponse": "",
    "GetInfoRequest": "uint32 index",
    "DataPathStateMachine": "uint32 bank, uint32 dpid, uint32 appsel, string state",
    "ModuleState": "string state, string vendor_name",
    "GetInfoResponse": "bool present, uint32 index, ModuleState msm, DataPathStateMachine* dpsms",
    "UpdateInfoRequest": "uint32 index, bool present",
    "UpdateInfoResponse": "",
    "MonitorRequest": "uint32 index",
    "MonitorResponse": "uint32 index, uint32 bank, uint32 page, uint32 offset, bytes data, uint32 length, "
    "bool present, bool write",
    "ListRequest": "",
    "ListResponse": "GetInfoResponse* infos",
}
"""By message: types and names of its fields, numbered from 1 in this order; a star marks a repeated one."""

METHODS = ("Create", "Delete", "Read", "Write", "GetInfo", "UpdateInfo", "Monitor", "List")
"""Each takes NameRequest and gives NameResponse; Monitor gives a stream of them."""


def file_descriptor() -> descriptor_pb2.FileDescriptorProto:
    """The table as a description of a file in proto3."""
    file = descriptor_pb2.FileDescriptorProto(name="sfp_emulator_service.proto", package=PACKAGE, syntax="proto3")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for number, field in enumerate(filter(None, fields.split(", ")), 1):
            kind, label = field.split(" ")
            repeated = kind.endswith("*")
            added = message.field.add(
                name=label, number=number, label=_Type.LABEL_REPEATED if repeated else _Type.LABEL_OPTIONAL
            )
            if kind in _SCALARS:
                added.type = _SCALARS[kind]
            else:
                added.type = _Type.TYPE_MESSAGE
                added.type_name = f".{PACKAGE}.{kind.removesuffix('*')}"
    service = file.service.add(name=SERVICE.removeprefix(f"{PACKAGE}."))
    for name in METHODS:
        service.method.add(
            name=name,
            input_type=f".{PACKAGE}.{name}Request",
            output_type=f".{PACKAGE}.{name}Response",
            server_streaming=name == "Monitor",
        )
    return file


def _build() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file_descriptor())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in FIELDS}


MESSAGES = _build()
"""Message classes by name."""
