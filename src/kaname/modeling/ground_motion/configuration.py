"""What ``kaname gmm`` can be told."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from kaname.core.config import Settings

HoldOut = Literal["event", "event_and_site", "time", "site", "block", "row"]


class GroundMotionSettings(Settings):
    """Settings of ``kaname gmm fit`` and ``compare``."""

    model: Literal["boosted", "forest"] = Field("boosted", description="learned model to fit")
    base: str = Field(
        "boore_2014",
        description="published model whose residual is learned; empty: none (forest only)",
    )
    base_options: dict[str, str | float | int | bool] = Field(
        {"mechanism": "unspecified"}, description="options of the published model"
    )
    features: tuple[str, ...] = Field(
        ("magnitude", "distance", "depth", "vs30", "azimuth"),
        description="learned from: magnitude, distance, depth, vs30, azimuth, rake, basin, stress_drop",
    )
    measures: tuple[str, ...] = Field(
        ("pga", "pgv", "sa(0.3)", "sa(1)", "sa(3)"), description="measures to learn"
    )
    n_fold: int = Field(5, ge=2, description="folds of events that residuals are judged by")
    seed: int = Field(0, ge=0, description="seed of folds and draws")
    fill: dict[str, float] = Field(
        {}, description="columns that the table lacks and the value to take for every row, such as rake_deg"
    )
    hold_out: HoldOut = Field("event", description="compare: what is held out; row leaks")
    models: tuple[str, ...] = Field(
        ("boore_2014", "boosted", "forest"),
        description="compare: models; the learned ones are fitted anew for every fold",
    )

    def options(self, name: str) -> dict[str, Any]:
        """Return the options that a model of that name is made with."""
        if name in ("boosted", "forest"):
            learned: dict[str, Any] = {"features": self.features, "n_fold": self.n_fold, "seed": self.seed}
            return learned | {
                "base": self.base or None,
                "base_options": self.base_options if self.base else {},
            }
        return dict(self.base_options) if name == self.base else {}
