"""Who may read which records: a policy per network or finer, users, and a line in the log for every refusal.

The policy is ``access.toml`` beside the index, see ``docs/access.md``. Without it everything is open.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from kaname.archive.index import Stamp
from kaname.archive.users import USERS_NAME, Users
from kaname.core.config import Settings, load_settings
from kaname.core.errors import InputError, KanameError, NotFoundError
from kaname.core.time import as_time, isoformat

log = logging.getLogger("kaname.access")

ACCESS_NAME = "access.toml"
EVERYBODY = "*"
"""Stands in a rule's groups for every user with an account."""

Span = tuple[np.datetime64, np.datetime64]
"""From, and up to but without."""

_OPEN, _NEVER = np.datetime64("2262-01-01", "ns"), np.datetime64("1678-01-01", "ns")


class Rule(Settings):
    """What may be done with the records of some channels."""

    id: str = Field(description="NET.STA.LOC.CHA, * and ? for letters; parts left out at the end match any")
    access: Literal["open", "embargo", "group"] = Field(
        description="open to all; to its groups until the embargo ends; to its groups only"
    )
    until: str | None = Field(None, description="embargo: all is open from this date on, UTC")
    days: float | None = Field(None, gt=0, description="embargo: open this long after recording [day]")
    groups: tuple[str, ...] = Field((), description="who may read all; * stands for every user")
    start: str | None = Field(None, description="the rule is for records from this time on, UTC")
    end: str | None = Field(None, description="the rule is for records before this time, UTC")
    contact: str = Field("", description="whom to ask; the policy's contact where it is not given")
    reason: str = Field("", description="said with a refusal")

    @field_validator("id")
    @classmethod
    def _complete(cls, value: str) -> str:
        parts = value.split(".")
        if len(parts) > 4 or not parts[0]:
            raise ValueError(f"{value!r} is not NET.STA.LOC.CHA")
        return ".".join([*parts, *"***"][:4])

    @field_validator("until", "start", "end")
    @classmethod
    def _is_time(cls, value: str | None) -> str | None:
        if value is not None:
            as_time(value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Rule:
        given = (self.until is not None) + (self.days is not None)
        if self.access == "embargo" and given != 1:
            raise ValueError(f"an embargo needs until or days, one of them; {given} are given")
        if self.access != "embargo" and given:
            raise ValueError(f"until and days belong to an embargo, not to access = {self.access!r}")
        if not self.span[0] < self.span[1]:
            raise ValueError(f"start {self.start} is not before end {self.end}")
        if self.access == "open" and self.groups:
            raise ValueError("what is open to all needs no groups")
        return self

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the identifiers that the rule is for; a wildcard stays within its code."""
        letters = {"*": "[^.]*", "?": "[^.]"}
        parts = ("" if part == "--" else part for part in self.id.split("."))
        return re.compile(r"\.".join("".join(letters.get(c, re.escape(c)) for c in part) for part in parts))

    @cached_property
    def span(self) -> Span:
        """Times of recording that the rule is for."""
        return (
            _NEVER if self.start is None else as_time(self.start),
            _OPEN if self.end is None else as_time(self.end),
        )

    def open_before(self, now: np.datetime64) -> np.datetime64:
        """Return the time of recording before which everybody may read at `now`."""
        if self.access == "open":
            return _OPEN
        if self.until is not None:
            return _OPEN if now >= as_time(self.until) else _NEVER
        if self.days is not None:
            return now - np.timedelta64(round(self.days * 86_400e9), "ns")
        return _NEVER

    def refusal(self) -> str:
        """Return why somebody outside the groups may not read."""
        if self.until is not None:
            why = f"under embargo until {self.until}"
        elif self.days is not None:
            why = f"under embargo for {self.days:g} days after recording"
        else:
            why = "restricted to its groups"
        return f"{self.id} is {why}" + (f": {self.reason}" if self.reason else "")


class Policy(Settings):
    """Who may read what: the first rule that fits a channel and a time decides; what none fits is open."""

    realm: str = Field(
        "Kaname",
        pattern=r'^[^"\\\x00-\x1f]+$',
        description="name of the data centre in the dialogue for a password",
    )
    contact: str = Field("", description="whom to ask for access")
    users: str = Field(USERS_NAME, description="file of the users, from the folder of the policy")
    rules: tuple[Rule, ...] = Field((), description="tried in order")


@dataclass(frozen=True)
class Decision:
    """Whether somebody may read a span of a channel."""

    allowed: bool
    """All of the span may be read."""
    reason: str
    """Why not, empty when all is allowed."""
    contact: str
    """Whom to ask."""
    pieces: tuple[Span, ...] = ()
    """What of the span may be read. A record may be given only when all its samples lie in one piece."""


class Access:
    """Policy and users of an archive; both are read again when their files change.

    A file that cannot be read any more leaves what was known before in force and is logged as an error.

    Parameters
    ----------
    path
        The policy. It need not exist, then everything is open.

    Raises
    ------
    InputError, StorageError
        When a file is there but wrong: nothing is ever open by mistake.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = _stamp(path)
        self._policy = load_settings(Policy, path if self._stamp else None)
        self._users = Users(path.parent / self._policy.users)
        self._fitting: dict[str, list[Rule]] = {}

    @classmethod
    def load(cls, path: str | Path) -> Access:
        """Read the policy of an archive, whose folder need have none, or a policy file, which must be there.

        Raises
        ------
        NotFoundError
            When there is neither.
        InputError
            When it is no policy.
        StorageError
            When the users cannot be read, or others than the owner can.
        """
        path = Path(path)
        if not path.exists():
            raise NotFoundError(f"no such archive or access policy: {path}")
        return cls(path / ACCESS_NAME if path.is_dir() else path)

    @property
    def policy(self) -> Policy:
        """The policy as it stands in the file."""
        stamp = _stamp(self.path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                if stamp is None:
                    raise NotFoundError(f"{self.path} is gone")
                policy = load_settings(Policy, self.path)
                users = Users(self.path.parent / policy.users)
            except KanameError as error:
                log.error("%s; what was read before stays in force", error)
            else:
                self._policy, self._users, self._fitting = policy, users, {}
        return self._policy

    @property
    def users(self) -> Users:
        """The users."""
        self.policy  # noqa: B018  (which may name another file now)
        return self._users

    @property
    def realm(self) -> str:
        """Name of the data centre in the dialogue for a password."""
        return self.policy.realm

    def check(self, user: str, password: str) -> bool:
        """Tell whether a password is the user's."""
        return self.users.check(user, password)

    def digest(self, user: str, realm: str) -> str | None:
        """Return HA1 of HTTP digest authentication; ``None`` when there is no such user in this realm."""
        return self.users.digest(user, realm)

    def decide(
        self,
        user: str | None,
        seed_id: str,
        start: np.datetime64,
        end: np.datetime64,
        *,
        now: np.datetime64 | None = None,
        quiet: bool = False,
    ) -> Decision:
        """Decide whether somebody may read ``start <= time < end`` of a channel, and log when not.

        Parameters
        ----------
        user
            Who asks, already authenticated; ``None`` is anybody.
        seed_id
            ``NET.STA.LOC.CHA``.
        start, end
            Span of recording, UTC.
        now
            Time of asking, UTC; by default the clock's.
        quiet
            Do not log: for lists, from which nothing was asked.

        Raises
        ------
        InputError
            When the span is empty.
        """
        if not start < end:
            raise InputError(f"empty time range: {start} to {end}")
        policy = self.policy
        now = np.datetime64(time.time_ns(), "ns") if now is None else now
        groups = self._groups(user)
        pieces: list[Span] = []
        refused: Rule | None = None
        for (low, high), rule in self._parts(seed_id, start, end):
            top = high
            if rule is not None and not groups.intersection(rule.groups):
                top = min(high, max(low, rule.open_before(now)))
            if top < high:
                refused = refused or rule
            if low < top and pieces and pieces[-1][1] == low:
                pieces[-1] = (pieces[-1][0], top)
            elif low < top:
                pieces.append((low, top))
        if refused is None:
            return Decision(True, "", policy.contact, tuple(pieces))
        decision = Decision(False, refused.refusal(), refused.contact or policy.contact, tuple(pieces))
        if not quiet:
            _log_refusal(decision, user, seed_id, start, end)
        return decision

    def _groups(self, user: str | None) -> frozenset[str]:
        if user is None or user not in self._users:
            return frozenset()
        return self._users.groups(user) | {EVERYBODY}

    def _parts(
        self, seed_id: str, start: np.datetime64, end: np.datetime64
    ) -> Iterator[tuple[Span, Rule | None]]:
        """Cut a span where rules begin and end, and yield each part with the rule that holds there."""
        rules = self._fitting.get(seed_id)
        if rules is None:
            rules = [rule for rule in self._policy.rules if rule.pattern.fullmatch(seed_id)]
            if len(self._fitting) < 100_000:
                self._fitting[seed_id] = rules
        edges = {edge for rule in rules for edge in rule.span if start < edge < end}
        cuts = sorted({start, end, *edges})
        for low, high in pairwise(cuts):
            holding = (rule for rule in rules if rule.span[0] <= low and high <= rule.span[1])
            yield (low, high), next(holding, None)


def _stamp(path: Path) -> Stamp | None:
    try:
        return Stamp.of(path.stat())
    except FileNotFoundError:
        return None


def _log_refusal(
    decision: Decision, user: str | None, seed_id: str, start: np.datetime64, end: np.datetime64
) -> None:
    line = {
        "user": user,
        "id": seed_id,
        "start": isoformat(start),
        "end": isoformat(end),
        "reason": decision.reason,
        "contact": decision.contact,
    }
    log.warning("refused %s", json.dumps(line))  # JSON: no name can fake a line of its own
