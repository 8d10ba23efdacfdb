"""Refusals of a web service, each with its HTTP status."""

from __future__ import annotations

from http import HTTPStatus

from kaname.core.errors import KanameError


class ServiceError(KanameError):
    """A request that is not served.

    Parameters
    ----------
    status
        HTTP status.
    message
        What was found, what was expected, what to do.
    retry_after_s
        When it is worth asking again [s].
    challenge
        What to prove who one is with, the header ``WWW-Authenticate``.
    """

    def __init__(
        self, status: int, message: str, *, retry_after_s: float | None = None, challenge: str = ""
    ) -> None:
        super().__init__(message)
        self.status = HTTPStatus(status)
        self.retry_after_s = retry_after_s
        self.challenge = challenge
