"""Errors a user can meet. One family, so that `except CmisEmuError` is enough.

A NACK on the emulated bus is not in this family: hosts see the `OSError` that a kernel adapter gives.
"""

from __future__ import annotations


class CmisEmuError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(CmisEmuError, ValueError):
    """A file or an argument is wrong.

    The message has one form, so that editors and people find the place:
    ``file:line: field: found X, expected Y``.
    """

    def __init__(
        self,
        found: str,
        expected: str,
        *,
        file: str | None = None,
        line: int | None = None,
        field: str | None = None,
    ) -> None:
        self.file = file
        self.line = line
        self.field = field
        self.found = found
        self.expected = expected
        place = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        what = "" if field is None else f"{field}: "
        super().__init__(f"{place}{what}found {found}, expected {expected}")


class UnknownFieldError(CmisEmuError, KeyError):
    """No CMIS field of that name; the message suggests the nearest ones."""

    def __str__(self) -> str:
        return str(self.args[0])


class NotAvailableError(CmisEmuError):
    """This machine lacks what the request needs (a compiler, a device, a permission, an extra)."""


class AttachError(CmisEmuError):
    """No running emulator answers at the given name or socket, or it went away."""
