"""HTTP digest authentication (RFC 7616, MD5, which every FDSN client knows) without a memory of sessions."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time

from starlette.requests import Request

from kaname.archive.access import Access
from kaname.center.errors import ServiceError
from kaname.center.workers import Shared

VALID_S = 300.0
"""How long a nonce may be used [s]."""

_PART = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_MOST_USES = 1 << 20
"""Uses of a nonce; with the second it was made in, that is what a float counts exactly."""
_COUNT = re.compile(r"[0-9a-fA-F]{8}")


class Digest:
    """The dialogue for a name and a password.

    A nonce is the time and its signature, so that every worker process knows it for its own. Each use of it
    has a higher number than the one before, so that an answer that was overheard is worth nothing.

    Parameters
    ----------
    access
        Who there is.
    shared
        What the worker processes share.
    """

    def __init__(self, access: Access, shared: Shared) -> None:
        self.access = access
        self._shared = shared

    def asking(self, request: Request, required: bool) -> str | None:
        """Return who asks, ``None`` when nobody says who he is and nobody need be.

        Raises
        ------
        ServiceError
            401 with a challenge, when what is said is not proven, or nothing is where it is required.
        """
        header = request.headers.get("authorization", "")
        if not header and not required:
            return None
        target: bytes = request.scope.get("raw_path") or request.url.path.encode()
        if request.scope["query_string"]:
            target += b"?" + request.scope["query_string"]
        user, stale = self._proven(request.method, target.decode("latin-1"), header)
        if user is None:
            message = "a name and its password are needed (HTTP digest authentication)"
            raise ServiceError(401, message, challenge=self.challenge(stale=stale))
        return user

    def challenge(self, *, stale: bool = False) -> str:
        """Return the value of the header ``WWW-Authenticate``."""
        parts = f'realm="{self.access.realm}", qop="auth", algorithm=MD5, nonce="{self._nonce()}"'
        return f"Digest {parts}" + (", stale=true" if stale else "")

    def is_fresh(self, nonce: str) -> bool:
        """Tell whether a nonce is ours and may still be used."""
        stamp, _, signature = nonce.partition("-")
        ours = hmac.compare_digest(self._signature(stamp).encode(), signature.encode())
        return ours and 0 <= time.time() - _made(stamp) + 1 < VALID_S

    def _proven(self, method: str, target: str, header: str) -> tuple[str | None, bool]:
        """Return who a request is proven to be from, and whether a new nonce is all that is wanting."""
        scheme, _, rest = header.partition(" ")
        parts = {name.lower(): quoted or plain for name, quoted, plain in _PART.findall(rest)}
        try:
            user, nonce, uri, response = (parts[n] for n in ("username", "nonce", "uri", "response"))
            count, mine, qop = parts["nc"], parts["cnonce"], parts["qop"]
        except KeyError:
            return None, False
        if scheme.lower() != "digest" or qop != "auth" or uri != target or not _COUNT.fullmatch(count):
            return None, False
        if not self.is_fresh(nonce):
            return None, True
        ha1 = self.access.digest(user, self.access.realm)
        expected = _md5(f"{ha1}:{nonce}:{count}:{mine}:auth:{_md5(f'{method}:{uri}')}")
        if ha1 is None or not hmac.compare_digest(expected.encode(), response.lower().encode()):
            return None, False
        use = _made(nonce) * _MOST_USES + int(count, 16)
        if int(count, 16) >= _MOST_USES or use <= self._shared.uses[nonce]:
            return None, True
        self._shared.uses[nonce] = use
        return user, False

    def _nonce(self) -> str:
        stamp = f"{int(time.time()):x}.{secrets.token_hex(8)}"
        return f"{stamp}-{self._signature(stamp)}"

    def _signature(self, stamp: str) -> str:
        return hmac.new(self._shared.secret, stamp.encode(), hashlib.sha256).hexdigest()


def _made(nonce: str) -> int:
    """Return when one of our nonces was made [s since 1970]."""
    return int(nonce.partition(".")[0], 16)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
