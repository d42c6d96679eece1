"""cmis-emu: software that is a CMIS optical module.

`Emulator.load` builds modules, buses and fibres from a profile name, a testbed file or a dict; `ManualClock`
makes time a matter of tests. Errors are subclasses of `CmisEmuError`; a NACK on the emulated bus is the
`OSError` that a kernel adapter gives.
"""

from cmis_emu.clock import ManualClock, ScaledClock
from cmis_emu.emulator import Emulator
from cmis_emu.errors import AttachError, CmisEmuError, InputError, NotAvailableError, UnknownFieldError
from cmis_emu.port import EmptyPortError

__all__ = [
    "AttachError",
    "CmisEmuError",
    "EmptyPortError",
    "Emulator",
    "InputError",
    "ManualClock",
    "NotAvailableError",
    "ScaledClock",
    "UnknownFieldError",
]
