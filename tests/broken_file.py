"""One judge of the corpora in `bad_input`: a broken file is refused with its own line, field, find and expectation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cmis_emu import InputError

HEADER = "# expect:"


def assert_refused(path: Path, load: Callable[[Path], object]) -> None:
    """`load` refuses it as line 1 says: `# expect: <line> | <field> | <part of found> | <... of expected>`."""
    header = path.read_text().splitlines()[0]
    assert header.startswith(f"{HEADER} ")
    line, field, found, expected = (part.strip() for part in header.removeprefix(HEADER).split("|", 3))
    with pytest.raises(InputError) as caught:
        load(path)
    error = caught.value
    assert error.file == str(path)
    assert error.line == int(line)
    assert (error.field or "") == field
    assert found in error.found
    assert expected in error.expected
    assert str(error).startswith(f"{path}:{line}: ")
    assert "\n" not in str(error)
