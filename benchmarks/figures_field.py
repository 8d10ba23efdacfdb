"""Draw the figures of docs/field.md: held-out predictions (calibration, residuals), and a synthetic map.

python benchmarks/figures_field.py SCORES OUT   (SCORES: the folder of score_japan_pga.py --out)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from kaname.earth.ruptures import Rupture, distances
from kaname.evaluate.scores import pit_histogram
from kaname.modeling.field import maps
from kaname.modeling.field.conditioning import Places, Recorded, condition
from kaname.modeling.ground_motion.contract import get_model
from kaname.report import shaking, style
from kaname.report.ground_motion import residual_figure

RUNGS = {
    "published": style.MUTED,
    "event_term": style.ORANGE,
    "conditioned": style.SKY,
    "boosted_conditioned": style.GREEN,
    "residual_field": style.VERMILION,
}


@style.styled
def calibration(folder: Path, out: Path) -> None:
    """PIT histograms and observed against stated coverage of every rung, held out in one earthquake."""
    figure = style.new_figure(style.WIDTH_IN, 3.4)
    left, right, third = figure.subplots(1, 3)
    levels = np.linspace(0.05, 0.99, 48)
    for name, colour in RUNGS.items():
        rows = pd.read_csv(folder / f"this_event_{name}.csv")
        pit = rows["pit"].to_numpy()
        label = name.replace("_conditioned", " + conditioned").replace("_", " ")
        if name in ("published", "residual_field"):
            left.stairs(pit_histogram(pit), np.linspace(0, 1, 21), color=colour, label=label, linewidth=1.6)
        right.plot(levels, [(np.abs(pit - 0.5) <= p / 2).mean() for p in levels], color=colour, label=label)
        third.plot(
            *(np.sort(np.abs(rows["residual"])), 1 - np.arange(len(rows)) / len(rows)),
            color=colour,
            label=label,
        )
    left.axhline(1, color=style.INK, linewidth=0.7, linestyle=":")
    left.set(xlabel="Probability integral transform", ylabel="Density", title="Uniform where calibrated")
    right.plot([0, 1], [0, 1], color=style.INK, linewidth=0.7, linestyle=":")
    right.set(xlabel="Stated coverage", ylabel="Observed coverage", title="Central intervals")
    third.set(xlabel="Absolute residual (ln units)", ylabel="Share above", title="Residuals", yscale="log")
    third.set(xlim=(0, 4), ylim=(5e-4, 1))
    third.set_yticks([1, 0.1, 0.01, 0.001], ["1", "0.1", "0.01", "0.001"])
    third.minorticks_off()
    left.legend()
    right.legend(fontsize=7)
    figure.savefig(out / "field-calibration.png", dpi=110)


def residuals(folder: Path, out: Path) -> None:
    """Residuals of three rungs against magnitude, distance and Vs30, held out in all earthquakes."""
    names = {"published": "published", "conditioned": "conditioned", "residual field": "residual_field"}
    rows = [pd.read_csv(folder / f"everywhere_{file}.csv").assign(model=name) for name, file in names.items()]
    figure = residual_figure(pd.concat(rows), list(names))
    figure.savefig(out / "field-residuals.png", dpi=110)


def synthetic(out: Path) -> None:
    """A map of an earthquake that never was, and what its field would have been without stations."""
    rng = np.random.default_rng(5)
    rupture = Rupture.plane(34.6, 135.6, 9.0, strike_deg=40, dip_deg=75, length_km=30, width_km=12)
    n = 90
    where = {"latitude": rng.uniform(34.05, 35.15, n), "longitude": rng.uniform(134.9, 136.3, n)}
    grid = maps.Grid.over((134.9, 34.05, 136.3, 35.15), 0.025)
    lat, lon = grid.points()
    model = get_model("boore_2014", mechanism="unspecified", region="italy_japan")
    tables = [
        pd.DataFrame({"magnitude": 6.6, "vs30_m_s": v, **distances(rupture, a, b)._asdict()})
        for a, b, v in ((where["latitude"], where["longitude"], rng.uniform(200, 700, n)), (lat, lon, 400.0))
    ]
    there, here = (model.predict(t, "pgv") for t in tables)
    stations = Places("pgv", *where.values(), there.mean, there.tau, there.phi)
    # What is recorded is drawn from the model's own distribution.
    drawn = condition([], stations).samples(1, seed=2)[0]
    field = condition(
        [Recorded(stations, np.log(drawn))], Places("pgv", lat, lon, here.mean, here.tau, here.phi)
    )
    shaped = {k: v.reshape(grid.shape) for k, v in maps.layers(field, [30]).items()}
    shown = pd.DataFrame(where).assign(value=drawn)
    axes = {"latitude": grid.latitude, "longitude": grid.longitude}
    epicentre = rupture.hypocentre[:2]
    figure = shaking.shaking_maps(
        **axes,
        layers=shaped,
        stations=shown,
        label=maps.unit_label("pgv"),
        title="A synthetic earthquake of magnitude 6.6, 90 stations",
        epicentre=epicentre,
    )
    figure.savefig(out / "field-map.png", dpi=95)
    intensity = maps.intensity_layers(field)["intensity"].reshape(grid.shape)
    own = 2.68 + 1.72 * np.log10(drawn)
    figure = shaking.intensity_map(
        **axes,
        intensity=intensity,
        stations=shown.assign(value=own),
        title="The same, JMA intensity",
        epicentre=epicentre,
    )
    figure.savefig(out / "field-intensity.png", dpi=95)


if __name__ == "__main__":
    synthetic(Path(sys.argv[2]))
    calibration(Path(sys.argv[1]), Path(sys.argv[2]))
    residuals(Path(sys.argv[1]), Path(sys.argv[2]))
