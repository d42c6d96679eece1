"""The device identity of an emulated module: an X.509 certificate of its own, and signatures that it proves (CMD-09).

A test identity. Both private keys, the module's and that of the authority which vouches for it, are hashes of public
facts, so the same module has the same certificate wherever it runs, and nothing secret is shipped. Whoever knows the
vendor's name can sign as that authority: nothing may ever be trusted because of it.

Needs the extra `security`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

CURVE, HASH = ec.SECP256R1(), hashes.SHA256()
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
NUMBER_BYTES = 32  # of R, and of S
DIGEST_BYTES = 32
SIGNATURE_BYTES = 2 * NUMBER_BYTES
VALID_FROM = datetime(2020, 1, 1, tzinfo=UTC)
VALID_TO = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # the way to say that a device's identity does not expire


@dataclass(frozen=True, slots=True)
class Identity:
    """certificates: the module's own, then its authority's, in DER."""

    key: ec.EllipticCurvePrivateKey
    certificates: tuple[bytes, ...]

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: snapshots share it

    def sign(self, digest: bytes) -> bytes:
        """R and S, one after the other; the same for the same digest (RFC 6979)."""
        signature = self.key.sign(digest, ec.ECDSA(Prehashed(HASH), deterministic_signing=True))
        return b"".join(number.to_bytes(NUMBER_BYTES, "big") for number in decode_dss_signature(signature))


@lru_cache(maxsize=256)
def identity_of(vendor: str, part: str, serial: str, seed: int) -> Identity:
    """Key and certificates of a module: what page 00h says, and the seed of the emulated one."""
    root_key = _key("authority", vendor)
    root_name = _name(vendor, f"{vendor or 'Unnamed'} test authority")
    root = _certificate(root_name, root_name, root_key.public_key(), root_key, "authority", vendor, ca=True)
    facts = (vendor, part, serial, str(seed))
    key = _key("device", *facts)
    name = _name(vendor, part, serial=f"PN:{part} SN:{serial}")
    leaf = _certificate(name, root_name, key.public_key(), root_key, "device", *facts, ca=False)
    return Identity(key, (leaf, root))


def _hash(*facts: str) -> int:
    text = "\0".join(("cmis-emu test identity", *facts))
    return int.from_bytes(hashlib.sha512(text.encode()).digest(), "big")


def _key(*facts: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(_hash("key", *facts) % (ORDER - 1) + 1, CURVE)


def _name(vendor: str, common: str, serial: str | None = None) -> x509.Name:
    parts = [(NameOID.ORGANIZATION_NAME, vendor), (NameOID.COMMON_NAME, common), (NameOID.SERIAL_NUMBER, serial)]
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts if text])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    *facts: str,
    ca: bool,
) -> bytes:
    number = _hash("certificate", *facts) >> 512 - 159  # at most 20 bytes, positive
    usage = x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(number)
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_TO)
        .add_extension(x509.BasicConstraints(ca, path_length=0 if ca else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return builder.sign(signer, HASH, ecdsa_deterministic=True).public_bytes(Encoding.DER)
