"""A catalogue in tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from kaname.core.tables import ARRIVALS, PICKS, empty


@dataclass(frozen=True)
class EventSet:
    """Events with their arrivals and picks, and what could not be read."""

    events: pd.DataFrame
    """`kaname.core.tables.EVENTS`."""
    arrivals: pd.DataFrame = field(default_factory=lambda: empty(ARRIVALS))
    """`kaname.core.tables.ARRIVALS`."""
    picks: pd.DataFrame = field(default_factory=lambda: empty(PICKS))
    """`kaname.core.tables.PICKS`."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `kaname.core.tables.FAILURES`."""


def failure(subject: object, error: str, message: str) -> dict[str, Any]:
    """Return a row of the failures table about reading events."""
    return {"step": "events", "subject": str(subject), "error": error, "message": message}
