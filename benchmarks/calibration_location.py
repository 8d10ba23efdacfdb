"""How often the truth lies within the stated probability: the figure and table of docs/location.md.

Run ``python benchmarks/calibration_location.py``. All data are synthetic, see ``network`` in
bench_location.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from bench_location import network
from scipy.stats import binom, chi2

from kaname.automation.locate import LocateSettings, locate
from kaname.core.geo import distance_azimuth
from kaname.earth.velocity import named_model

N_EVENT = 400
CASES = {
    "P at 4 stations": {"n_station": 4, "s_share": 0.0},
    "P at 6 stations": {"n_station": 6, "s_share": 0.0},
    "4 P and 2 S": {"n_station": 4, "s_share": 0.5},
    "6 P and 2 S": {"n_station": 6, "s_share": 0.33},
    "12 P and 8 S": {"n_station": 12, "s_share": 0.67},
    "25 P and 15 S": {"n_station": 25, "s_share": 0.6},
    "12 P and 8 S, 10 % wrong": {"n_station": 12, "s_share": 0.67, "outliers": 0.1},
    "12 P and 8 S, errors twice as stated": {"n_station": 12, "s_share": 0.67, "noise": 2.0},
    "the same, errors not widened": {"n_station": 12, "s_share": 0.67, "noise": 2.0},
}


def main() -> None:
    """Print the table and draw the figure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    model = named_model("scak")
    levels = np.linspace(0.01, 0.99, 99)
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True, layout="constrained")
    print("| arrivals | 68 % | 95 % | epicentre km | depth km | 68 % half axis km | A, B, C, D |")
    print("|---|---|---|---|---|---|---|")
    for label, kind in CASES.items():
        picks, stations, truth = network(model, N_EVENT, seed=1, **kind)
        settings = LocateSettings(rescale_errors="not widened" not in label)
        events = locate(picks, stations, model, settings=settings).events
        apart, azimuth = distance_azimuth(
            events["latitude"], events["longitude"], truth["latitude"], truth["longitude"]
        )
        deeper = truth["depth_km"].to_numpy() - events["depth_km"].to_numpy()
        away = np.stack(
            [apart * np.sin(np.radians(azimuth)), apart * np.cos(np.radians(azimuth)), deeper], axis=1
        )
        c = {n: events[f"cov_{n}_km2"].to_numpy() for n in ("ee", "en", "ez", "nn", "nz", "zz")}
        matrix = np.array(
            [[c["ee"], c["en"], c["ez"]], [c["en"], c["nn"], c["nz"]], [c["ez"], c["nz"], c["zz"]]]
        ).transpose(2, 0, 1)
        needed = chi2.cdf(np.einsum("ki,kij,kj->k", away, np.linalg.inv(matrix), away), 3)
        covered = [(needed <= level).mean() for level in levels]
        trouble = "wrong" in label or "errors" in label
        axes[int(trouble)].plot(levels, covered, label=label, lw=1.6)
        quality = ", ".join(str(int((events["quality"] == q).sum())) for q in "ABCD")
        print(
            f"| {label} | {(needed <= 0.68).mean():.0%} | {(needed <= 0.95).mean():.1%} "
            f"| {np.median(apart):.2f} | {np.median(np.abs(deeper)):.2f} "
            f"| {events['ellipse_major_km'].median():.2f} | {quality} |"
        )
    for axis, title in zip(axes, ("errors as stated", "errors not as stated")):
        low, high = binom.ppf([[0.025], [0.975]], N_EVENT, levels) / N_EVENT
        axis.fill_between(levels, low, high, color="0.88", label=f"95 % of {N_EVENT} events")
        axis.plot([0, 1], [0, 1], color="0.4", lw=0.8)
        axis.set(title=title, xlabel="stated probability of the ellipsoid", xlim=(0, 1), ylim=(0, 1))
        axis.set_aspect("equal")
        axis.legend(fontsize=7.5, loc="lower right", frameon=False)
    axes[0].set_ylabel("share of events within")
    target = Path(__file__).resolve().parents[1] / "docs" / "figures" / "location_calibration.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=130)


if __name__ == "__main__":
    main()
