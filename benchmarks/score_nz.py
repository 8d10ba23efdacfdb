"""The main job on the Alpine Fault, New Zealand, against the analysts.

``python benchmarks/score_nz.py [FIGURE]`` runs ``kaname catalog`` on the records as any user would and prints
the tables of docs/catalogue.md; with a file name it draws the figure there.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datum_nz import fit, folder, published

from kaname.automation.locate import locate
from kaname.cli._catalogue import Outcome, Request, Settings, run
from kaname.core.geo import LocalFrame, distance_azimuth
from kaname.earth.velocity import VelocityModel
from kaname.evaluate.catalogues import CatalogueScore, match, preferred, scatter, score
from kaname.formats.catalogs import read_events
from kaname.formats.stations import read_stations

SAME_S = 0.5
"""Solutions nearer in origin time than this are of one earthquake, even within the doublet of 2013-09-05."""
FAR_KM = 3.0


def run_job(case: Path, out: Path, settings: Settings | None = None) -> Outcome:
    """Run ``kaname catalog`` on the records, with the stations and layers of STATION0.HYP."""
    return run(
        Request(
            data=[case / "WAV"],
            stations=[case / "STATION0.HYP"],
            out=out,
            settings=settings or Settings(),
            model=str(case / "STATION0.HYP"),
            references=read_events(sorted((case / "REA").iterdir())),
        )
    )


def at_sea_level(outcome: Outcome, datum_km: float) -> CatalogueScore:
    """Return the score with published depths counted from sea level, as ours are."""
    known = preferred(_known(outcome))
    return score(outcome.catalogue.events, known.assign(depth_km=known["depth_km"] - datum_km))


def _known(outcome: Outcome) -> pd.DataFrame:
    assert outcome.references is not None
    return outcome.references.events


def of_their_picks(outcome: Outcome, case: Path, datum_km: float) -> tuple[float, float, float]:
    """Locate the analysts' own picks; return epicentre, depth as published and at sea level, medians [km].

    What differs from the published is then the location alone: velocity model, weights, datum.
    """
    known = outcome.references
    assert known is not None
    chosen = preferred(known.events)
    picks = known.arrivals[["event_id", "pick_id"]].merge(known.picks, on="pick_id")
    picks = picks[picks["event_id"].isin(chosen["event_id"])]
    found = locate(
        picks, read_stations(case / "STATION0.HYP").table, VelocityModel.read(case / "STATION0.HYP")
    ).events
    result = score(found, chosen)
    moved = score(found, chosen.assign(depth_km=chosen["depth_km"] - datum_km))
    return result.epicentre_km, result.depth_km, moved.depth_km


def constant(events: pd.DataFrame) -> tuple[float, float, float]:
    """Return the medians of epicentre [km], depth [km] and magnitude of the answer "the median of all"."""
    distance, _ = distance_azimuth(
        events["latitude"].median(),
        events["longitude"].median(),
        events["latitude"].to_numpy(),
        events["longitude"].to_numpy(),
    )
    depth, size = (float((events[c] - events[c].median()).abs().median()) for c in ("depth_km", "magnitude"))
    return float(np.median(distance)), depth, size


def tables(outcome: Outcome, case: Path, datum_km: float) -> str:
    """Return the scores as Markdown."""
    plain = outcome.score
    assert plain is not None
    moved = at_sea_level(outcome, datum_km)
    known = _known(outcome)
    floor = scatter(known, within_s=SAME_S)
    one, every = constant(preferred(known)), constant(known)
    located = of_their_picks(outcome, case, datum_km)
    hand = [float(floor[c].abs().median()) for c in floor.columns if c != "time"]
    rows = [
        [
            "",
            "Kaname",
            "Kaname on the analysts' picks",
            f"constant answer, {plain.n_reference} earthquakes",
            f"constant answer, {len(known)} files",
            f"analyst to analyst, {len(floor)} pairs",
        ],
        ["---"] * 6,
        ["epicentre, median [km]", plain.epicentre_km, located[0], one[0], every[0], hand[0]],
        ["depth as published, median [km]", plain.depth_km, located[1], one[1], every[1], hand[1]],
        [
            f"depth, published minus {datum_km:.2f}, median [km]",
            moved.depth_km,
            located[2],
            one[1],
            every[1],
            hand[1],
        ],
        [
            f"magnitude, {plain.magnitude_constant:+.2f} removed, median",
            plain.magnitude,
            "-",
            one[2],
            every[2],
            hand[2],
        ],
        ["distances between events, correlation", plain.distance_correlation, "-", "-", "-", "-"],
    ]
    depth = plain.pairs["depth_difference_km"].median()
    least = int(preferred(known)["n_station"].min())
    far = [
        f"{row.event_id}, {row.epicentre_km:.1f} km, quality {row.quality}"
        for row in plain.pairs.itertuples()
        if row.epicentre_km > FAR_KM
    ]
    lines = [
        f"Earthquakes found: {plain.n_found} of {plain.n_reference} (each has {least} stations or more); "
        f"{plain.n_located} located, {plain.n_found - plain.n_located} by similarity alone; "
        f"not in the reference: {plain.n_extra}",
        "",
        *("| " + " | ".join(v if isinstance(v, str) else f"{v:.2f}" for v in row) + " |" for row in rows),
        "",
        f"Depth, Kaname minus analysts, median: {depth:+.2f} km as published, {depth + datum_km:+.2f} km "
        "with the published counted from sea level",
        f"Origin time, median absolute difference: {plain.time_s:.2f} s",
        *(
            f"Analysts' hypocentre within the 68 % ellipsoid, {name}: {s.covered} of {s.n_located} "
            f"(95 % interval of the share {s.coverage_low:.2f} to {s.coverage_high:.2f})"
            for name, s in (("depth as published", plain), (f"published minus {datum_km:.2f} km", moved))
        ),
        f"Epicentre farther than {FAR_KM:g} km: " + ("; ".join(far) or "none"),
        "Not in the reference: " + ("; ".join(_extra(outcome)) or "none"),
    ]
    return "\n".join(lines)


def _extra(outcome: Outcome) -> list[str]:
    """Events that the reference lacks when it holds one solution per 3 s, with the nearest other solution."""
    events, known = outcome.catalogue.events, _known(outcome)
    matched = {i for i, _ in match(events, preferred(known))}
    out = []
    for i in sorted(set(range(len(events))) - matched):
        row = events.iloc[i]
        apart = (known["time"] - row["time"]).dt.total_seconds()
        near = known.loc[apart.abs().idxmin(), "event_id"]
        phases = f"{row['n_p']} P, {row['n_s']} S"
        out.append(f"{row['event_id']} ({phases}; {apart.abs().min():.2f} s from another solution, {near})")
    return out


def similar(case: Path, out: Path) -> str:
    """Return what similarity finds beside the located events, with thresholds so low that noise passes."""
    low = Settings(similarity={"minimum_mad": 4.0, "minimum_correlation": 0.02})
    outcome = run_job(case, out, low)
    events = outcome.catalogue.events
    alone = events[events["quality"] == "unlocated"]
    mad = alone["remark"].str.extract(r"\((\d+) median")[0].astype(int)
    # An unlocated row has the time of the first P, some 2 s after the origin.
    real = np.zeros(len(events), dtype=bool)
    real[[i for i, _ in match(events, preferred(_known(outcome)))]] = True
    true = real[alone.index]
    return "\n".join(
        f"Peaks of similarity {name}: {np.count_nonzero(chosen)}; median absolute deviations "
        f"{sorted(mad[chosen], reverse=True)[:10]}, correlation "
        f"{alone['similarity'][chosen].sort_values(ascending=False).round(2).tolist()[:10]}"
        for name, chosen in (("at an analyst's event", true), ("where analysts have none", ~true))
    )


def draw(outcome: Outcome, datum_km: float, path: Path) -> None:
    """Draw epicentres, depths, magnitudes and distances between events, ours against the analysts'."""
    from matplotlib.patches import Ellipse

    from kaname.report import style

    @style.styled
    def figure() -> None:
        result = at_sea_level(outcome, datum_km)
        pairs, known = result.pairs, preferred(_known(outcome))
        frame = LocalFrame(float(known["latitude"].median()), float(known["longitude"].median()))
        sheet = style.new_figure(style.WIDTH_IN, 9.4)
        panels = sheet.subplot_mosaic("AAA;BCD", height_ratios=[1.7, 1])
        plan, depths, sizes, distances = (panels[name] for name in "ABCD")
        theirs = np.column_stack(frame.to_local(*_place(pairs, "reference_")))
        ours = np.column_stack(frame.to_local(*_place(pairs, "")))
        for row, end in zip(pairs.itertuples(), ours):
            block = np.array([[row.cov_ee_km2, row.cov_en_km2], [row.cov_en_km2, row.cov_nn_km2]])
            values, vectors = np.linalg.eigh(block)
            # 68 % of a normal distribution in two dimensions: chi-square 2.28.
            width, height = 2 * np.sqrt(2.28 * values[::-1])
            angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
            plan.add_patch(
                Ellipse(end, width, height, angle=angle, fc=style.BLUE, alpha=0.10, ec=style.BLUE, lw=0.6)
            )
        for start, end in zip(theirs, ours):
            plan.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": style.MUTED, "lw": 0.8})
        plan.plot(*theirs.T, "s", color=style.VERMILION, ms=4, label="analysts")
        plan.plot(*ours.T, "o", color=style.BLUE, ms=4, label="Kaname, 68 % ellipse")
        other = _known(outcome)
        other = other[~other["event_id"].isin(pairs["reference_event_id"])]
        plan.plot(
            *frame.to_local(*_place(other, "")), "s", mfc="none", color=style.VERMILION, ms=4,
            label="other solutions, not located here",
        )  # fmt: skip
        plan.set(title="Epicentres", xlabel="east [km]", ylabel="north [km]")
        plan.set_aspect("equal", adjustable="datalim")
        plan.legend()

        sd = np.sqrt(pairs["cov_zz_km2"])
        depths.errorbar(
            pairs["reference_depth_km"], pairs["depth_km"], yerr=sd, fmt="o", color=style.BLUE, ms=4, lw=0.6,
            label=f"published minus {datum_km:.2f} km",
        )  # fmt: skip
        published_km = pairs["reference_depth_km"] + datum_km
        depths.plot(
            published_km, pairs["depth_km"], "o", mfc="none", color=style.MUTED, ms=4, label="as published"
        )
        depths.set(title="Depth", xlabel="analysts [km]", ylabel="Kaname, below sea level [km]")
        sizes.plot(pairs["reference_magnitude"], pairs["magnitude"], "o", color=style.BLUE, ms=4)
        sizes.axline((1, 1 + result.magnitude_constant), slope=1, color=style.MUTED, lw=0.8)
        sizes.set(title="Magnitude", xlabel="analysts, ML", ylabel="Kaname, relative ML")

        i, j = np.triu_indices(len(pairs), 1)
        solid = [
            np.column_stack([plane, depth])
            for plane, depth in ((theirs, pairs["reference_depth_km"]), (ours, pairs["depth_km"]))
        ]
        apart = [np.linalg.norm(s[i] - s[j], axis=1) for s in solid]
        distances.plot(*apart, "o", color=style.BLUE, ms=3, alpha=0.5, mec="none")
        distances.set(
            title="Distances between events",
            xlabel="analysts [km]", ylabel="Kaname [km]",
        )  # fmt: skip
        for axes in (depths, distances):
            axes.axline((5, 5), slope=1, color=style.MUTED, lw=0.8)
        depths.legend(loc="lower right")
        sheet.savefig(path, dpi=110)

    figure()


def _place(frame: pd.DataFrame, prefix: str) -> tuple[Any, Any]:
    return frame[f"{prefix}latitude"].to_numpy(), frame[f"{prefix}longitude"].to_numpy()


def main() -> None:
    """Run, print, draw."""
    datum_km = fit(published(folder())).datum_km
    with tempfile.TemporaryDirectory() as out:
        outcome = run_job(folder(), Path(out))
        print(tables(outcome, folder(), datum_km))
        print(similar(folder(), Path(out)))
    if len(sys.argv) > 1:
        draw(outcome, datum_km, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
