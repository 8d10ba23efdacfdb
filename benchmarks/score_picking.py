"""Scores of a picker on the labelled records kept for reporting.

``python benchmarks/score_picking.py [PICKER] [FOLDER]`` prints the tables of docs/picking.md; with a folder,
it draws its figures there.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from labelled_picks import Record, all_records

from kaname.automation.pick import get_picker, picks_table
from kaname.core.step import run
from kaname.core.tables import PICKS, table
from kaname.core.time import seconds_between
from kaname.evaluate.picks import match_picks, score_picks
from kaname.signal.filters import bandpass, filter_block, rest_state
from kaname.signal.onsets import frame_energy, frame_length, octave_bands, onset_level
from kaname.signal.trigger import kurtosis, recursive_sta_lta

SOURCES = ("ncedc", "nz", "denoise")
LOW = {"min_probability_p": 0.02, "min_probability_s": 0.02}
DEFAULT = 0.07


class Judged:
    """Records with their picks."""

    def __init__(self, records: list[Record], picker: Any) -> None:
        self.records = records
        self.picks = [list(run(picker, [r.wave])) for r in records]

    def tables(self, source: str, least: float = DEFAULT) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Picks and labels of a source; each record is a station of its own, so that none are mixed up.

        Picks count where the record has a label of their phase, which then tells whether they are true.
        """
        found, truth = [], []
        for i, (record, own) in enumerate(zip(self.records, self.picks)):
            if record.source != source:
                continue
            station = f"R{i:04d}"
            for phase, times in record.labels.items():
                base = {"station": station, "phase": phase}
                truth += [{"pick_id": f"{station}{phase}{j}", "time": t, **base} for j, t in enumerate(times)]
                found += [
                    p._replace(network="", station=station, location="")
                    for p in own
                    if p.phase == phase and p.probability >= least
                ]
        return picks_table(found), table(truth, PICKS)

    def scores(self, source: str, least: float = DEFAULT) -> pd.DataFrame:
        """Score table of a source, phases without labels left out."""
        score = score_picks(*self.tables(source, least))
        return score[score["n_label"] > 0]

    def noise(self, source: str, least: float = DEFAULT) -> tuple[int, float]:
        """Number of picks, and hours, from 5 s on to 2 s before the first label, where there is a P."""
        n, hours = 0, 0.0
        for record, own in zip(self.records, self.picks):
            if record.source == source and record.seconds("P"):
                end = min(record.seconds("P") + record.seconds("S")) - 2
                times = [seconds_between(record.wave.start, p.time) for p in own if p.probability >= least]
                n += sum(t < end for t in times)
                hours += max(0.0, end - 5) / 3600
        return n, hours


def show(title: str, judged: Judged) -> None:
    """Print the score tables at the default probability."""
    wanted = ["phase", "tolerance_s", "n_label", "n_pick", "recall", "recall_low", "recall_high"]
    wanted += ["precision", "f1", "residual_median_s", "residual_mad_s", "residual_sd_s", "n_stated"]
    wanted += ["coverage_68", "coverage_68_low", "coverage_68_high", "coverage_95", "coverage_95_low"]
    wanted += ["coverage_95_high"]
    for source in SOURCES:
        n_record = sum(r.source == source for r in judged.records)
        n, hours = judged.noise(source)
        print(f"\n{title}, {source}: {n_record} records; {n} picks in {hours:.2f} h before the events")
        print(judged.scores(source)[wanted].round(3).to_string(index=False))


def operating_points(judged: Judged) -> pd.DataFrame:
    """Recall, precision and false picks per hour by least probability."""
    rows = []
    for source in SOURCES:
        for least in (0.05, 0.07, 0.1, 0.2, 0.3, 0.5, 0.7):
            n, hours = judged.noise(source, least)
            score = judged.scores(source, least).set_index(["phase", "tolerance_s"])
            row: dict[str, object] = {"source": source, "least": least, "noise_per_h": n / hours}
            for phase in score.index.get_level_values("phase").unique():
                row |= {
                    f"{phase} recall .5": score.loc[(phase, 0.5), "recall"],
                    f"{phase} F1 .1": score.loc[(phase, 0.1), "f1"],
                    f"{phase} F1 .5": score.loc[(phase, 0.5), "f1"],
                }
            rows.append(row)
    return pd.DataFrame(rows)


def detectors(records: list[Record]) -> pd.DataFrame:
    """Share of P labels within 0.3 s of a peak, where all methods give as many peaks in noise."""
    per_hour = 150.0
    values: dict[str, dict[str, list[float]]] = {}
    noise: dict[str, list[float]] = {}
    hours = 0.0
    for r in records:
        if not r.labels.get("P"):
            continue
        label = r.seconds("P")[0]
        hours += max(0.0, min(r.seconds("P") + r.seconds("S")) - 8) / 3600
        for name, (curve, dt) in curves(r).items():
            t, v = peaks(curve, dt)
            near = v[np.abs(t - label) <= 0.3]
            values.setdefault(name, {}).setdefault(r.source, []).append(near.max() if near.size else -np.inf)
            noise.setdefault(name, []).extend(v[(t > 6) & (t < label - 2)])
    rows = []
    for name, by_source in values.items():
        ranked = np.sort(noise[name])[::-1]
        threshold = ranked[min(len(ranked) - 1, int(per_hour * hours))]
        shares = {s: float((np.array(v) > threshold).mean()) for s, v in by_source.items()}
        rows.append({"detector": name, **shares})
    return pd.DataFrame(rows)


def curves(record: Record) -> dict[str, tuple[np.ndarray, float]]:
    """Characteristic functions on the vertical, and their sampling interval."""
    wave = record.wave
    rate = wave.sampling_rate
    row = next((i for i, name in enumerate(wave.ids) if name.endswith("Z")), 0)
    data = wave.data[row : row + 1].astype(np.float64)

    def passed(low: float, high: float) -> np.ndarray:
        sos = bandpass(low, high, rate)
        return filter_block(sos, data, rest_state(sos, data[:, 0]))[0]

    one = passed(2.0, 20.0)
    ratio = recursive_sta_lta(one[0], round(0.3 * rate), round(5 * rate))
    peaked = np.diff(kurtosis(one[0], round(2 * rate)), prepend=3.0)
    frame = frame_length(rate)
    energy = np.stack([frame_energy(passed(a, b), frame) for a, b in octave_bands(rate)])
    single = frame_energy(one, frame)[np.newaxis]
    return {
        "recursive STA/LTA, 2-20 Hz, 0.3 s / 5 s": (ratio, 1 / rate),
        "rise of kurtosis, 2-20 Hz, 2 s": (peaked, 1 / rate),
        "energy after / before, 2-20 Hz": (onset_level(single), frame / rate),
        "energy after / before, octave bands": (onset_level(energy), frame / rate),
    }


def peaks(curve: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and heights of the largest values within 0.3 s."""
    from scipy.ndimage import maximum_filter1d

    top = maximum_filter1d(curve, 2 * round(0.3 / dt) + 1)
    at = np.flatnonzero((curve == top) & np.isfinite(curve) & (curve > 0))
    return at * dt, curve[at]


def draw(judged: Judged, folder: Path) -> None:
    """Draw residuals, coverage and reliability, and an example record."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = {"ncedc": "#1f77b4", "nz": "#d95f02", "denoise": "#7570b3"}
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
    ratios: dict[str, list[float]] = {"P": [], "S": []}
    trusted: dict[str, list[tuple[float, bool]]] = {"P": [], "S": []}
    for axis, phase in zip(axes[0], "PS"):
        for source in SOURCES:
            picks, labels = judged.tables(source)
            p, q = (t[t["phase"] == phase].reset_index(drop=True) for t in (picks, labels))
            if q.empty:
                continue
            i, j = match_picks(p, q, 0.5)
            residual = (p["time"].to_numpy()[i] - q["time"].to_numpy()[j]) / np.timedelta64(1, "s")
            axis.hist(
                residual,
                bins=np.arange(-0.5, 0.501, 0.02),
                histtype="step",
                color=colours[source],
                label=f"{source} (n = {residual.size})",
            )
            ratios[phase] += list(np.abs(residual) / p["time_uncertainty_s"].to_numpy()[i])
            low, _ = judged.tables(source, LOW["min_probability_p"])
            low = low[low["phase"] == phase].reset_index(drop=True)
            hit = set(match_picks(low, q, 0.5)[0].tolist())
            trusted[phase] += [(v, k in hit) for k, v in enumerate(low["probability"])]
        axis.set(xlabel=f"{phase}: pick minus analyst [s]", ylabel="picks", xlim=(-0.5, 0.5))
        axis.legend(frameon=False, fontsize=8)
    expected = np.linspace(0, 3, 200)
    from scipy.stats import norm

    for phase, style in (("P", "-"), ("S", "--")):
        r = np.sort(ratios[phase])
        axes[1, 0].plot(
            r, np.arange(1, r.size + 1) / r.size, style, color="k", label=f"{phase} (n = {r.size})"
        )
        values = np.array(trusted[phase])
        bins = np.clip((values[:, 0] * 5).astype(int), 0, 4)
        shown = [b for b in range(5) if (bins == b).sum() >= 5]
        axes[1, 1].plot(
            [values[bins == b, 0].mean() for b in shown],
            [values[bins == b, 1].mean() for b in shown],
            style + "o",
            color="k",
            label=f"{phase} (n = {len(values)})",
        )
    axes[1, 0].plot(expected, 2 * norm.cdf(expected) - 1, color="0.6", label="normal distribution")
    axes[1, 0].set(xlabel="|residual| / stated uncertainty", ylabel="share covered", xlim=(0, 3), ylim=(0, 1))
    axes[1, 1].plot([0, 1], [0, 1], color="0.6")
    axes[1, 1].set(xlabel="stated probability", ylabel="share true", xlim=(0, 1), ylim=(0, 1))
    for axis in axes[1]:
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(folder / "picking_residuals.png", dpi=120)
    plt.close(figure)
    example(folder)


def example(folder: Path) -> None:
    """Draw ObsPy's own records of Unterhaching with their picks; they come with the wheel."""
    import matplotlib.pyplot as plt
    import obspy

    from kaname.core.waveform import Waveform, align

    source = Path(obspy.__file__).parent / "signal/tests/data"
    traces = [t for f in sorted(source.glob("BW.UH3.*.cut.slist.gz")) for t in obspy.read(str(f))]
    wave = max(align([Waveform.from_trace(t) for t in traces]), key=lambda b: b.n_sample)
    picks = list(run(get_picker("classical"), [wave]))
    sos = bandpass(2.0, 20.0, wave.sampling_rate)
    data, _ = filter_block(sos, wave.data.astype(float), rest_state(sos, wave.data[:, 0].astype(float)))
    t = np.arange(wave.n_sample) / wave.sampling_rate
    starts = [seconds_between(wave.start, p.time) - 1.5 for p in picks if p.phase == "P"]
    figure, axes = plt.subplots(1, len(starts), figsize=(10, 3.4), sharey=True, layout="constrained")
    for axis, start in zip(axes, starts):
        shown = (t >= start) & (t < start + 5)
        scale = np.abs(data[:, shown]).max()
        for k, name in enumerate(wave.ids):
            axis.plot(t[shown] - start, data[k, shown] / scale + 1.5 * k, color="k", lw=0.6)
            axis.text(0.05, 1.5 * k + 0.35, name.rsplit(".", 1)[1], fontsize=7)
        for p in picks:
            at = seconds_between(wave.start, p.time) - start
            if 0 <= at < 5:
                colour = {"P": "#d62728", "S": "#1f77b4"}[p.phase]
                axis.axvline(at, color=colour, lw=1)
                axis.axvspan(
                    at - p.time_uncertainty_s, at + p.time_uncertainty_s, color=colour, alpha=0.25, lw=0
                )
                axis.text(at + 0.06, 3.9, f"{p.phase} {p.probability:.2f}", color=colour, fontsize=7)
        axis.set(title=str(wave.time(round((start + 1.5) * wave.sampling_rate)))[11:19], ylim=(-1.2, 4.2))
        axis.set(xlabel="s", yticks=[])
    figure.savefig(folder / "picking_example.png", dpi=120)
    plt.close(figure)


def main() -> None:
    """Print the tables, and draw."""
    name = sys.argv[1] if len(sys.argv) > 1 else "classical"
    records = [r for r in all_records() if r.reporting]
    judged = Judged(records, get_picker(name, LOW))
    show(name, judged)
    vertical = [
        replace(r, wave=r.wave.select([i for i in r.wave.ids if i.endswith("Z")]))
        for r in records
        if any(i.endswith("Z") for i in r.wave.ids)
    ]
    show(f"{name}, vertical alone", Judged(vertical, get_picker(name, LOW)))
    print("\nby least probability")
    print(operating_points(judged).round(3).to_string(index=False))
    print("\nP labels found by detectors at 150 peaks per hour of noise")
    print(detectors(records).round(3).to_string(index=False))
    if len(sys.argv) > 2:
        draw(judged, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
