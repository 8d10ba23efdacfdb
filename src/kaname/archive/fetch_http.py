"""Asking a server that may be slow, busy, or cut the line: whole answers, or an error that says why."""

from __future__ import annotations

import email.utils
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kaname.core.errors import InputError, KanameError

log = logging.getLogger("kaname.fetch")

_NO_DATA = (204, 404)
_BUSY = (429, 503)
_PASSING = (500, 502, 504)
_USER_AGENT = "kaname"


class FetchError(KanameError, OSError):
    """A server did not give what was asked for; the message says what it said and how often it was asked."""


class PartialError(KanameError):
    """An answer that is not whole; raised by a check, so that the server is asked again."""


@dataclass(frozen=True)
class Patience:
    """How long to go on asking."""

    tries: int = 5
    pause_s: float = 1.0
    """After the first failure; doubles with each."""
    longest_s: float = 300.0
    """A server that wants to be left alone for longer is given up until the next run."""
    timeout_s: float = 120.0
    """Without a byte."""


class Server:
    """A server that several threads ask; when it tells one of them to wait, all of them wait.

    Parameters
    ----------
    patience
        How long to go on asking.
    login
        User and password for digest authentication.
    """

    def __init__(self, patience: Patience | None = None, login: tuple[str, str] | None = None) -> None:
        self.patience = patience or Patience()
        self.login = login
        self._resume_at = 0.0
        self._lock = threading.Lock()

    def ask(
        self,
        url: str,
        *,
        params: dict[str, str] | None = None,
        body: str | None = None,
        check: Callable[[bytes], None] = lambda content: None,
    ) -> bytes | None:
        """Return the whole answer, or ``None`` when the server says that there is no data (204, 404).

        A line that drops, an answer shorter than announced, one that `check` refuses, and the codes 429 and
        5xx are asked again, with pauses that grow; ``Retry-After`` is respected.

        Parameters
        ----------
        url, params
            Where; with a body it is a POST.
        body
            Text to post.
        check
            Raises `PartialError` when the content is not whole.

        Raises
        ------
        FetchError
            When it refuses (401, 403, 400, 413), or goes on failing.
        """
        reasons: list[str] = []
        for number in range(self.patience.tries):
            if number:
                log.info("%s: %s; asking again", url, reasons[-1])
            self._wait()
            try:
                return self._ask_once(url, params, body, check)
            except _AgainError as again:
                reasons.append(str(again))
                pause_s = self.patience.pause_s * 2**number if again.pause_s is None else again.pause_s
                if pause_s > self.patience.longest_s:
                    raise FetchError(
                        f"{url}: {again}; it asks to wait {pause_s:.0f} s: try again later"
                    ) from again
                self._leave_alone(pause_s if again.all_wait else 0.0)
                if number + 1 < self.patience.tries and not again.all_wait:
                    time.sleep(pause_s)
        raise FetchError(f"{url}: asked {len(reasons)} times, the last time: {reasons[-1]}")

    def _ask_once(
        self, url: str, params: dict[str, str] | None, body: str | None, check: Callable[[bytes], None]
    ) -> bytes | None:
        import requests
        from requests.auth import HTTPDigestAuth

        try:
            response = requests.request(
                "GET" if body is None else "POST",
                url,
                params=params,
                data=None if body is None else body.encode(),
                auth=HTTPDigestAuth(*self.login) if self.login else None,
                timeout=self.patience.timeout_s,
                headers={"User-Agent": _USER_AGENT},
            )
        except (requests.RequestException, OSError) as error:
            raise _AgainError(f"the line failed: {error}") from error
        code = response.status_code
        if code in _NO_DATA:
            return None
        if code in _BUSY:
            raise _AgainError(f"busy ({code})", _retry_after_s(response.headers), all_wait=True)
        if code in _PASSING:
            raise _AgainError(f"its error {code}: {_said(response)}")
        if code != 200:
            raise FetchError(f"{url}: refused with {code}: {_said(response)}{_advice(code)}", code)
        content: bytes = response.content
        stated = response.headers.get("Content-Length")
        if stated and not response.headers.get("Content-Encoding") and len(content) != int(stated):
            raise _AgainError(f"{len(content)} bytes of {stated} came")
        try:
            check(content)
        except PartialError as error:
            raise _AgainError(f"the answer is not whole: {error}") from error
        return content

    def _leave_alone(self, seconds: float) -> None:
        with self._lock:
            self._resume_at = max(self._resume_at, time.monotonic() + seconds)

    def _wait(self) -> None:
        while (left := self._resume_at - time.monotonic()) > 0:
            time.sleep(left)


class _AgainError(Exception):
    """Worth another try, after ``pause_s`` when the server says so."""

    def __init__(self, message: str, pause_s: float | None = None, *, all_wait: bool = False) -> None:
        super().__init__(message)
        self.pause_s = pause_s
        self.all_wait = all_wait


def _retry_after_s(headers: Any) -> float | None:
    """Return ``Retry-After``, which is seconds or a date."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _said(response: Any) -> str:
    return " ".join(response.text.split())[:300] or "no reason given"


def _advice(code: int) -> str:
    return {
        401: "; give user and password, see docs/fetch.md",
        403: "; these data are restricted: ask their owner, and give user and password, see docs/fetch.md",
        413: "; ask for less at a time (--hours)",
    }.get(code, "")


def login_of(service: str) -> tuple[str, str] | None:
    """Return user and password of a service, from the environment or the keyring; ``None``: none are known.

    ``KANAME_SERVICE_USER`` and ``KANAME_SERVICE_PASSWORD`` (service in capitals) go first. Without a password
    the keyring is asked for that of the user under ``kaname-service``, where the package is installed.

    Raises
    ------
    InputError
        When a user is named but no password is found.
    """
    user = os.environ.get(f"KANAME_{service.upper()}_USER", "")
    if not user:
        return None
    password = os.environ.get(f"KANAME_{service.upper()}_PASSWORD")
    if password is None:
        try:
            import keyring
        except ImportError:
            password = None
        else:
            password = keyring.get_password(f"kaname-{service.lower()}", user)
    if not password:
        raise InputError(
            f"KANAME_{service.upper()}_USER is {user}, but no password is known; set "
            f"KANAME_{service.upper()}_PASSWORD, or: keyring set kaname-{service.lower()} {user}"
        )
    return user, password
