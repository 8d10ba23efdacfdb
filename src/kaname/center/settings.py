"""Names and limits of a data centre."""

from __future__ import annotations

from pydantic import Field

from kaname.core.config import Settings as Base


class Settings(Base):
    """Configuration of ``kaname serve``."""

    name: str = Field(
        "Kaname", description="name of the data centre: source of metadata and contributor of events"
    )
    url: str = Field("", description="address by which others reach it; empty: the one they asked for")
    request_bytes: int = Field(2 << 30, gt=0, description="most waveforms in one answer [bytes]; more is 413")
    request_lines: int = Field(20_000, gt=0, description="most lines of a POST request; more is 413")
    request_events: int = Field(20_000, gt=0, description="most events in one answer; more is 413")
    request_rows: int = Field(
        1_000_000, gt=0, description="most rows of availability in one answer; more is 413"
    )
    requests_per_s: float | None = Field(
        None,
        gt=0,
        description="requests of one address, of IPv6 of one /64 network; more is 429 [1/s]",
    )
    burst: int = Field(50, gt=0, description="requests of one address that may come at once")
    refresh_s: float = Field(
        60.0, ge=0, description="how often the index is brought up to date; 0: never [s]"
    )
    seedlink_state: str = Field(
        "", description="folder where the SeedLink server keeps its ring; empty: .seedlink in the archive"
    )
