"""The project's firmware images and the command that builds and shows them (docs/firmware-image.md)."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cmis_emu import InputError
from cmis_emu.cli.main import cli
from cmis_emu.layouts.firmware_image import (
    HEADER_BYTES,
    DamagedImageError,
    Version,
    build,
    parse_header,
    sample,
    verify,
)

WHOLE = sample(Version(1, 4, 7, "beta 2"), 4096, "QDD-400G-DR4")


def test_the_layout_that_is_documented() -> None:
    payload = WHOLE[84:]
    assert HEADER_BYTES == 84
    assert WHOLE[:4] == b"CEFW"
    assert WHOLE[4:10] == bytes([1, 84, 1, 4, 0, 7])
    assert WHOLE[10:42] == b"beta 2".ljust(32)
    assert WHOLE[42:58] == b"QDD-400G-DR4".ljust(16)
    assert WHOLE[58:64] == bytes([0, 0]) + (4096 - 84).to_bytes(4, "big")
    assert WHOLE[64:80] == hashlib.sha256(payload).digest()[:16]
    assert WHOLE[80:84] == zlib.crc32(WHOLE[:80]).to_bytes(4, "big")
    header = verify(WHOLE)
    assert (str(header.version), header.version.text, header.hardware) == ("1.4.7", "beta 2", "QDD-400G-DR4")
    assert header.fits("QDD-400G-DR4")
    assert not header.fits("OSFP-800G-DR8")
    assert verify(build(Version(0, 0), b"x")).fits("anything")


@given(at=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_no_damaged_bit_is_taken_for_whole(at: int, bit: int) -> None:
    data = bytearray(WHOLE)
    data[at] ^= 1 << bit
    with pytest.raises((DamagedImageError, InputError)):
        verify(bytes(data))


@given(length=st.integers(0, len(WHOLE) + 10))
def test_no_other_length_is_taken_for_whole(length: int) -> None:
    data = (WHOLE + bytes(10))[:length]
    if length != len(WHOLE):
        with pytest.raises((DamagedImageError, InputError)):
            verify(data)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_judged(data: bytes) -> None:
    for each in (data, WHOLE[:4] + data):
        with pytest.raises((DamagedImageError, InputError)):
            parse_header(each)


@given(
    numbers=st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535)),
    text=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=32),
    payload=st.binary(min_size=1, max_size=300),
)
def test_what_was_built_is_read(numbers: tuple[int, int, int], text: str, payload: bytes) -> None:
    version = Version(*numbers, text)
    assert Version.parse(str(version), text) == version
    data = build(version, payload, "PN")
    header = verify(data)
    assert header.version == version
    assert header.size == len(data)


@pytest.mark.parametrize("number", ["", "1", "1.2.3.4", "256.0", "1.65536", "1.2.65536", "1.x", "1.-2", "1.²"])
def test_versions_that_are_none(number: str) -> None:
    with pytest.raises(InputError, match="a version such as"):
        Version.parse(number)


# -- the command ----------------------------------------------------------------------------------------


def call(*arguments: str, expect: int = 0) -> str:
    done = CliRunner().invoke(cli, ["firmware", *arguments])
    assert done.exit_code == expect, done.output
    return done.output


def test_build_and_show(tmp_path: Path) -> None:
    path = tmp_path / "new.bin"
    arguments = ("-o", str(path), "--version", "1.4.7", "--size", "16KiB", "--for", "qsfpdd-400g-dr4", "--text", "x y")
    assert "16384 bytes, version 1.4.7, for QDD-400G-DR4" in call("build", *arguments)
    first = path.read_bytes()
    call("build", *arguments)
    assert path.read_bytes() == first
    shown = call("show", str(path))
    assert "1.4.7  x y" in shown
    assert "16384 bytes: header 84, payload 16300" in shown
    found = json.loads(call("show", "--json", str(path)))
    assert (found["version"], found["hardware"], found["whole"]) == ("1.4.7", "QDD-400G-DR4", True)


@pytest.mark.parametrize(("size", "length"), [("85", 85), ("20000", 20000), ("1MiB", 1 << 20), ("2kB", 2000)])
def test_sizes(tmp_path: Path, size: str, length: int) -> None:
    path = tmp_path / "a.bin"
    call("build", "-o", str(path), "--version", "1.0", "--size", size)
    assert path.stat().st_size == length
    assert "any" in call("show", str(path))


@pytest.mark.parametrize(
    ("corrupt", "code", "told"),
    [
        ("payload", 1, "the payload's checksum is wrong"),
        ("header", 1, "the header's checksum is wrong"),
        ("short", 1, "and the header says"),
        ("magic", 2, "expected the mark CEFW"),
    ],
)
def test_images_that_a_module_refuses(tmp_path: Path, corrupt: str, code: int, told: str) -> None:
    path = tmp_path / "bad.bin"
    call("build", "-o", str(path), "--version", "1.0", "--corrupt", corrupt)
    assert told in call("show", str(path), expect=code)
    if code == 1:
        assert told in call("show", "--json", str(path), expect=code)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--version", "1"), "--version or --text: found '1'"),
        (("--version", "1.0", "--text", "ä"), "printable ASCII"),
        (("--version", "1.0", "--size", "84"), "--size: found '84'"),
        (("--version", "1.0", "--size", "1GiB"), "--size: found '1GiB'"),
        (("--version", "1.0", "--for", "qsfpdd-400g-sr8"), "which has no firmware section"),
        (("--version", "1.0", "--for", "nothing"), "no profile 'nothing'"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    path = tmp_path / "a.bin"
    assert told in call("build", "-o", str(path), *arguments, expect=2)
    assert not path.exists()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert "No such file" in call("show", str(tmp_path / "none"), expect=2)
    assert "No such file" in call("build", "-o", str(tmp_path / "no" / "a"), "--version", "1.0", expect=2)
