"""Device identity by command: certificates that verify, signatures that they prove, the same for ever (CMD-09)."""

from __future__ import annotations

import builtins
import hashlib
import sys
from typing import Any

import pytest
from cdb_host import EPL, MESSAGE, PARAMETER, SUCCESS, UNKNOWN, CdbHost, cdb, complement
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from dr4 import DR4, Variant

from cmis_emu import Emulator, ManualClock
from cmis_emu.errors import NotAvailableError

SECURE: dict[str, Any] = {"groups": ["security"]}
DIGEST = hashlib.sha256(b"challenge of a host").digest()


def segmented(host: CdbHost, command: int, head: bytes, length: int) -> bytes:
    """All pieces of an object of so many bytes."""
    found, segment = b"", 0
    while len(found) < length:
        reply = host.ask(command, head + bytes([segment]))
        assert reply[:3] == bytes([0, 0, segment])
        assert 3 < len(reply) <= 120
        assert complement(reply) != 0, "hosts take that for no reply"
        found, segment = found + reply[3:], segment + 1
    assert len(found) == length
    assert host.run(command, head + bytes([segment])) == PARAMETER, "behind the last one"
    return found


def lengths(host: CdbHost) -> list[int]:
    reply = host.ask(0x0044)
    return [int.from_bytes(reply[n : n + 2], "big") for n in range(36, 44, 2)]


def certificates(host: CdbHost) -> list[x509.Certificate]:
    sizes = [size for size in lengths(host) if size]
    return [x509.load_der_x509_certificate(segmented(host, 0x0400, bytes([n]), s)) for n, s in enumerate(sizes)]


def verify(certificate: x509.Certificate, digest: bytes, signature: bytes) -> None:
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))


@pytest.fixture
def host(variant: Variant) -> CdbHost:
    return CdbHost(variant(cdb(**SECURE)), piece=128)


@pytest.mark.rule("CMD-05", "CMD-09", "CDB-18")
def test_what_is_offered(host: CdbHost) -> None:
    reply = host.ask(0x0044)
    assert len(reply) == 52
    assert reply[:32] == bytes([0x3F]) + bytes(31)
    assert reply[32:35] == bytes([2, 1, 2]), "two certificates, a chain, X.509"
    assert reply[44] == 2, "digests of 32 bytes"
    longest_s = int.from_bytes(reply[46:48], "big") / 1000
    assert reply[48:52] == bytes([0, 64, 4, 0]), "R and S, no padding"
    host.send(0x0402, DIGEST)
    host.clock.advance(longest_s)
    assert host.status() == SUCCESS, "no longer than it says"


@pytest.mark.rule("CMD-09")
def test_the_certificates_are_a_chain_of_this_module(host: CdbHost) -> None:
    leaf, root = certificates(host)
    leaf.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.version is x509.Version.v3
    (serial,) = leaf.subject.get_attributes_for_oid(x509.NameOID.SERIAL_NUMBER)
    assert serial.value == "PN:QDD-400G-DR4 SN:CE0000000001"
    (vendor,) = leaf.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    assert vendor.value == "CMIS-EMU"
    assert leaf.not_valid_after_utc.year == 9999
    assert "test" in root.subject.rfc4514_string()


@pytest.mark.rule("CMD-09")
def test_a_signature_proves_the_certificate(host: CdbHost) -> None:
    leaf, root = certificates(host)
    assert host.ask(0x0404, b"\0") == bytes([0, 0x11, 0]), "no digest yet"
    assert host.ask(0x0402, DIGEST) == b"\0\0"
    signature = segmented(host, 0x0404, b"", 64)
    verify(leaf, DIGEST, signature)
    for certificate, digest in ((root, DIGEST), (leaf, hashlib.sha256(b"").digest())):
        with pytest.raises(InvalidSignature):
            verify(certificate, digest, signature)
    assert segmented(host, 0x0404, b"", 64) == signature, "until another digest comes"
    other = hashlib.sha256(b"another").digest()
    host.ask(0x0402, other)
    again = segmented(host, 0x0404, b"", 64)
    assert again != signature
    verify(leaf, other, again)


@pytest.mark.rule("CMD-09", "CDB-06")
def test_the_same_by_extended_payload(host: CdbHost) -> None:
    size = lengths(host)[0]
    assert host.ask(0x0401, b"\0") == bytes([0, 0]) + size.to_bytes(2, "big")
    assert host.read(MESSAGE, 134)[0] == 4
    paged = b"".join(host.read(EPL + n, 128, 128) for n in range(-(-size // 128)))
    assert paged[:size] == segmented(host, 0x0400, b"\0", size)
    assert host.ask(0x0405) == bytes([0, 0x11, 0, 0])
    assert host.ask(0x0403, epl=DIGEST) == b"\0\0"
    assert host.ask(0x0405) == bytes([0, 0, 0, 64])
    signature = host.read(EPL, 128, 64)
    assert signature == segmented(host, 0x0404, b"", 64)
    verify(certificates(host)[0], DIGEST, signature)


@pytest.mark.rule("CMD-09")
def test_too_little_extended_payload_is_told(variant: Variant) -> None:
    host = CdbHost(variant(cdb(**SECURE, epl_pages=2)))
    assert host.ask(0x0401, b"\0") == bytes(4)
    assert host.ask(0x0402, DIGEST) == b"\0\0"
    assert host.ask(0x0405) == bytes([0, 0, 0, 64])


@pytest.mark.rule("CMD-09", "CDB-16")
@pytest.mark.parametrize(
    ("command", "lpl", "epl"),
    [
        (0x0400, b"\2\0", b""),
        (0x0400, b"\0\x20", b""),
        (0x0401, b"\2", b""),
        (0x0402, DIGEST[:31], b""),
        (0x0402, DIGEST + b"\0", b""),
        (0x0403, b"", DIGEST[:31]),
        (0x0403, b"", b""),
    ],
)
def test_what_does_not_fit_is_a_parameter_error(host: CdbHost, command: int, lpl: bytes, epl: bytes) -> None:
    assert host.run(command, lpl, epl=epl) == PARAMETER


@pytest.mark.rule("CMD-09")
def test_the_identity_is_the_module_s_for_ever(variant: Variant) -> None:
    found = []
    for serial in ("CE0000000001", "CE0000000001", "CE0000000002"):

        def edit(profile: dict[str, Any], serial: str = serial) -> None:
            cdb(**SECURE)(profile)
            profile["registers"]["VendorSN"] = serial

        host = CdbHost(variant(edit))
        host.ask(0x0402, DIGEST)
        found.append((certificates(host), segmented(host, 0x0404, b"", 64)))
    assert found[0] == found[1]
    assert found[0][0][0] != found[2][0][0]
    assert found[0][0][1] == found[2][0][1], "one vendor, one authority"
    assert found[0][1] != found[2][1]


@pytest.mark.rule("CMD-09")
def test_a_reset_forgets_the_digest_and_nothing_else(variant: Variant) -> None:
    emu = variant(cdb(**SECURE))
    host = CdbHost(emu)
    before = certificates(host)
    host.ask(0x0402, DIGEST)
    emu.ports["1"].module.restart()
    emu.settle()
    assert host.ask(0x0404, b"\0") == bytes([0, 0x11, 0])
    assert certificates(host) == before


def test_snapshots_know_the_digest(variant: Variant) -> None:
    emu = variant(cdb(**SECURE))
    host = CdbHost(emu)
    host.ask(0x0402, DIGEST)
    signature = segmented(host, 0x0404, b"", 64)
    kept = emu.snapshot()
    host.ask(0x0402, hashlib.sha256(b"another").digest())
    emu.restore(kept)
    assert segmented(host, 0x0404, b"", 64) == signature


def test_every_piece_has_a_check_code_that_hosts_accept() -> None:
    from cmis_emu.module.cdb.security import segments

    for last in range(256):
        data = bytes(116) + bytes([last]) + bytes(range(100))
        pieces = segments(data)
        assert b"".join(pieces) == data
        for number, piece in enumerate(pieces):
            assert len(piece) <= 117
            assert complement(bytes([0, 0, number]) + piece) != 0
    assert len(segments(bytes(116) + b"\xff" + bytes(8))[0]) == 116


@pytest.mark.rule("CMD-09")
def test_without_the_group_there_is_nothing(variant: Variant) -> None:
    host = CdbHost(variant(cdb()))
    assert host.ask(0x0044) == bytes(52)
    assert host.run(0x0400, b"\0\0") == UNKNOWN
    old = CdbHost(variant(cdb(revision="5.1")))
    assert old.run(0x0044) == UNKNOWN


def test_without_the_library_there_is_one_clear_error(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "cryptography":
            raise ModuleNotFoundError("No module named 'cryptography'", name="cryptography")
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "cmis_emu.module.cdb.identity", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(NotAvailableError, match=r"found no cryptography.*pip install 'cmis-emu\[security\]'"):
        variant(cdb(**SECURE))
    assert CdbHost(variant(cdb())).run(0x0040) == SUCCESS


def test_profiles_of_the_library_need_no_extra() -> None:
    with Emulator.load(DR4, clock=ManualClock()) as emu:
        engine = emu.ports["1"].module.cdb
        assert engine is not None
        assert "security" not in engine.groups
