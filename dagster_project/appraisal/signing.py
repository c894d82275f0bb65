"""Ed25519 signatures of sealed manifests, where SIGNING_KEY_FILE names a private key (PEM, no passphrase).

Whose signatures are good is said by SIGNING_KEY_FILE and TRUSTED_KEYS_FILE (public keys, PEM, one or several): the
second is for keys that were replaced, and for those who verify without the private key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dagster_project.settings import UserError

HOW_TO_MAKE = "make one with: openssl genpkey -algorithm ed25519 -out FILE"


def signing_key(environ: Mapping[str, str]) -> Ed25519PrivateKey | None:
    """The configured key, or None; raises UserError where it cannot be used."""
    named = environ.get("SIGNING_KEY_FILE")
    if not named:
        return None
    path = Path(named).expanduser()
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UserError(f"SIGNING_KEY_FILE {path} cannot be read: {error.strerror}; {HOW_TO_MAKE}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UserError(
            f"SIGNING_KEY_FILE {path} is no PEM private key without passphrase; {HOW_TO_MAKE}"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"SIGNING_KEY_FILE {path} is no Ed25519 key; {HOW_TO_MAKE}")
    return key


def trusted_keys(environ: Mapping[str, str]) -> frozenset[bytes]:
    """Public keys (PEM) whose signatures count, none where none is configured; raises UserError for a bad file."""
    key = signing_key(environ)
    trusted = set() if key is None else {public_pem(key)}
    if named := environ.get("TRUSTED_KEYS_FILE"):
        path = Path(named).expanduser()
        try:
            blocks = re.findall(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", path.read_bytes(), re.DOTALL)
        except OSError as error:
            raise UserError(f"TRUSTED_KEYS_FILE {path} cannot be read: {error.strerror}") from None
        for block in blocks:
            public = _public_key(block + b"\n")
            if public is None:
                raise UserError(f"TRUSTED_KEYS_FILE {path} holds a key that is no Ed25519 public key: take it out")
            trusted.add(_pem(public))
        if not blocks:
            raise UserError(f"TRUSTED_KEYS_FILE {path} holds no public key: put the public_key.pem of sealed months in it")
    return frozenset(trusted)


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """The public half as PEM, to be stored beside what was signed."""
    return _pem(key.public_key())


def fingerprint(pem: bytes) -> str:
    """32 hex digits by which people compare public keys."""
    return hashlib.sha256(pem).hexdigest()[:32]


def is_signed_by(pem: bytes, signature: bytes, content: bytes) -> bool:
    """Whether the signature of the content was made with the key whose public half this is."""
    key = _public_key(pem)
    if key is None:
        return False
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _public_key(pem: bytes) -> Ed25519PublicKey | None:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


def _pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
