"""Ed25519 signatures of sealed manifests, where SIGNING_KEY_FILE names a private key (PEM, no passphrase)."""

from __future__ import annotations

import hashlib
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


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """The public half as PEM, to be stored beside what was signed."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def fingerprint(pem: bytes) -> str:
    """32 hex digits by which people compare public keys."""
    return hashlib.sha256(pem).hexdigest()[:32]


def is_signed_by(pem: bytes, signature: bytes, content: bytes) -> bool:
    """Whether the signature of the content was made with the key whose public half this is."""
    try:
        key = serialization.load_pem_public_key(pem)
        if not isinstance(key, Ed25519PublicKey):
            return False
        key.verify(signature, content)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True
