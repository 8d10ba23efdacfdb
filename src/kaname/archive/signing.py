"""Ed25519 signatures (RFC 8032) by which a copy of an archive knows where it comes from."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from kaname.core.errors import FormatError, InputError, StorageError

KEY_BYTES = 32
_DOMAIN = b"kaname manifest 1\n"
"""Signed before the text, so that a signature of something else cannot serve here."""


def key_text(key: bytes) -> str:
    """Return a public key as text."""
    return base64.b64encode(key).decode("ascii")


def key_of(text: str) -> bytes:
    """Return the public key that a text states.

    Raises
    ------
    InputError
        When it is none.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InputError(
            f"{text!r} is no public key; expected 44 letters as kaname archive manifest prints them"
        )
    return key


class Signer:
    """The secret key of an archive, in a file that only its owner may read; made when there is none.

    Raises
    ------
    StorageError
        When the file cannot be read or written, or others than its owner may read it.
    FormatError
        When it holds no key.
    """

    def __init__(self, path: Path) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        try:
            if not path.exists():
                _write_secret(path, base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()))
            mode = stat.S_IMODE(path.stat().st_mode)
            text = path.read_bytes()
        except OSError as error:
            raise StorageError(f"cannot keep the signing key {path}: {error.strerror or error}") from error
        if mode & 0o077:
            raise StorageError(
                f"{path} has mode {mode:04o}: others may read the secret; run: chmod 600 {path}"
            )
        try:
            self._key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(text, validate=True))
        except ValueError as error:
            raise FormatError(f"{path} holds no signing key: {error}") from error

    @property
    def public(self) -> bytes:
        """The public key."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, text: bytes) -> bytes:
        """Return the signature of a text."""
        return self._key.sign(_DOMAIN + text)


def verify(key: bytes, signature: bytes, text: bytes) -> bool:
    """Tell whether a signature of a text was made with the secret half of a public key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _DOMAIN + text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _write_secret(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
