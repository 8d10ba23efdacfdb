"""HTTP digest authentication (RFC 7616, MD5, which every FDSN client knows) without a memory of sessions."""

from __future__ import annotations

import hashlib
import hmac
import re
import time

from kaname.archive.access import Access

VALID_S = 300.0
"""How long a nonce may be used [s]."""

_PART = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


class Digest:
    """The dialogue for a name and a password.

    A nonce is the time and its signature, so that every worker process knows it for its own.

    Parameters
    ----------
    access
        Who there is.
    secret
        What nonces are signed with; the same in all workers.
    """

    def __init__(self, access: Access, secret: bytes) -> None:
        self.access = access
        self._secret = secret

    def challenge(self, *, stale: bool = False) -> str:
        """Return the value of the header ``WWW-Authenticate``."""
        realm = self.access.realm.replace('"', "'")
        return f'Digest realm="{realm}", qop="auth", algorithm=MD5, nonce="{self._nonce(time.time())}"' + (
            ", stale=true" if stale else ""
        )

    def user(self, method: str, target: str, header: str) -> str | None:
        """Return who a request is from, or ``None`` when it does not prove it.

        Parameters
        ----------
        method
            HTTP method.
        target
            Path and query, as they were asked for.
        header
            Value of the header ``Authorization``.
        """
        scheme, _, rest = header.partition(" ")
        if scheme.lower() != "digest":
            return None
        parts = {name.lower(): quoted or plain for name, quoted, plain in _PART.findall(rest)}
        try:
            user, nonce, uri, response = (parts[n] for n in ("username", "nonce", "uri", "response"))
        except KeyError:
            return None
        ha1 = self.access.digest(user, self.access.realm)
        if ha1 is None or not self.is_fresh(header) or uri != target:
            return None
        ha2 = _md5(f"{method}:{uri}")
        if parts.get("qop") == "auth":
            expected = _md5(f"{ha1}:{nonce}:{parts.get('nc', '')}:{parts.get('cnonce', '')}:auth:{ha2}")
        else:
            expected = _md5(f"{ha1}:{nonce}:{ha2}")
        return user if hmac.compare_digest(expected.encode(), response.lower().encode()) else None

    def is_fresh(self, header: str) -> bool:
        """Tell whether the nonce of a header is ours and may still be used."""
        nonce = next((q or p for name, q, p in _PART.findall(header) if name.lower() == "nonce"), "")
        stamp, _, _ = nonce.partition("-")
        try:
            made = int(stamp, 16) / 1000
        except (ValueError, OverflowError):
            return False
        ours = hmac.compare_digest(self._nonce(made).encode(), nonce.encode())
        return ours and 0 <= time.time() - made + 1 < VALID_S

    def _nonce(self, made: float) -> str:
        stamp = f"{round(made * 1000):x}"
        return f"{stamp}-{hmac.new(self._secret, stamp.encode(), hashlib.sha256).hexdigest()}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
