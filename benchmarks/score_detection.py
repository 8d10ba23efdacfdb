"""Scores of the detector on real records that it never trained on, beside a CRED-like network and STA/LTA.

``python benchmarks/score_detection.py [--model WEIGHTS] [--cred detector.pt] [--json FILE] [--figure FILE]``;
the records are read from the folder ``KANAME_DATA``, see `labelled_picks`; definitions: docs/detection.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from labelled_picks import folder, nz
from scipy import signal

from kaname.automation.detect import WEIGHTS, Detector, DetectorSettings
from kaname.core.step import run
from kaname.core.time import as_time, seconds_between
from kaname.core.waveform import Waveform
from kaname.evaluate.catalogues import wilson
from kaname.evaluate.splits import split_by_day, split_by_event
from kaname.formats.labelled import time_of
from kaname.learn.simulate.noise import noise as make_noise
from kaname.learn.simulate.records import simulate
from kaname.learn.train.mixtures import Record, read_records, surrogate, time_in
from kaname.signal.trigger import recursive_sta_lta

RATE_HZ = 100.0
CODA = 1.4
GUARD_S = 1.0
"""Left out before P: the analyst may be late."""
WITHOUT_S_S = 5.0
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9)
RATIOS = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0)
FALSE_PER_HOUR = 2.0

Found = list[tuple[np.datetime64, np.datetime64]]
Method = Callable[[Waveform, float], Found]


class Case(NamedTuple):
    """A record and the stretch in which there is an earthquake (none: noise)."""

    wave: Waveform
    event: tuple[np.datetime64, np.datetime64] | None


class Cached:
    """A session that remembers its answers, so that many thresholds cost one inference."""

    def __init__(self, session: Any) -> None:
        self.session, self.card, self.known = session, session.card, {}

    def __call__(self, x: np.ndarray) -> np.ndarray:
        key = hashlib.blake2b(x.tobytes(), digest_size=16).digest()
        if key not in self.known:
            self.known[key] = self.session(x)
        return self.known[key]


class Torch:
    """A network of torch in place of a session."""

    def __init__(self, path: Path, card: Any) -> None:
        import torch

        from kaname.learn.networks.detector import CredNetwork

        kept = torch.load(path, weights_only=True)
        self.card, self.torch = card, torch
        self.network = CredNetwork(**kept["settings"])
        self.network.load_state_dict(kept["state"])
        self.network.eval()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        with self.torch.no_grad():
            return self.network(self.torch.from_numpy(x)).numpy()


def by_network(session: Any) -> Method:
    """Return the detector with a session, as a method."""
    cached = Cached(session)

    def method(wave: Waveform, threshold: float) -> Found:
        detector = Detector(DetectorSettings(threshold=threshold))
        detector._session = cached
        return [(d.start, d.end) for d in run(detector, [wave])]

    return method


def sta_lta(wave: Waveform, threshold: float) -> Found:
    """Recursive STA/LTA, 0.5 s over 10 s on 2 to 20 Hz, the largest of the components; off below 1."""
    sos = signal.butter(2, (2.0, 20.0), "bandpass", fs=RATE_HZ, output="sos")
    data = signal.sosfilt(sos, wave.data - wave.data[:, :1])
    ratio = np.max([recursive_sta_lta(np.ascontiguousarray(x), 50, 1000) for x in data if x.any()], axis=0)
    out: Found = []
    on = -1
    for i, r in enumerate(ratio):
        if on < 0 and r >= threshold:
            on = i
        elif on >= 0 and r < 1.0:
            out.append((wave.time(on), wave.time(i)))
            on = -1
    return [*out, (wave.time(on), wave.end)] if on >= 0 else out


def wave_of(data: np.ndarray, seed: int) -> Waveform:
    """Return samples Z, N, E as a record that begins at some time; components of zeros are left out."""
    rng = np.random.default_rng(seed)
    start = as_time("2020-01-01") + np.timedelta64(int(rng.integers(86_400_000)), "ms")
    live = [i for i in range(3) if data[i].any()]
    return Waveform(data[live], tuple(f"XX.REC..HH{'ZNE'[i]}" for i in live), start, RATE_HZ)


def labelled(records: Sequence[Record]) -> list[Case]:
    """Return records of earthquakes with their stretch; P is moved by cutting a random beginning."""
    out = []
    for k, r in enumerate(records):
        first = int(np.random.default_rng(k).integers(0, 1500))
        wave = wave_of(r.data[:, first:], k)
        end = r.p + RATE_HZ * WITHOUT_S_S if r.s is None else max(r.s + CODA * (r.s - r.p), r.p + 300)
        out.append(Case(wave, (wave.time(r.p - first), wave.time(end - first))))
    return out


def new_zealand(root: Path) -> list[Case]:
    """Return records of the Alpine Fault that have both P and S, of the days that none was trained on."""
    out = []
    for r in nz(root):
        if split_by_day([time_of(r)]) == ["test"] and r.labels.get("P") and r.labels.get("S"):
            p, s = min(r.labels["P"]), max(r.labels["S"])
            end = s + np.timedelta64(round(max(CODA * seconds_between(p, s), 0.5) * 1e9), "ns")
            out.append(Case(r.wave, (p, end)))
    return out


def real_noise(cases: Sequence[Case]) -> list[Case]:
    """Return what lies before P, where it is at least 10 s."""
    out = []
    for wave, event in cases:
        n = round(seconds_between(wave.start, event[0]) * wave.sampling_rate) if event else 0
        n -= round(GUARD_S * wave.sampling_rate)
        if n >= 10 * wave.sampling_rate:
            out.append(Case(replace(wave, data=wave.data[:, :n]), None))
    return out


def made_noise(records: Sequence[Record], repeats: int) -> list[Case]:
    """Return noise of the spectra of what lies before P, with random phases, ``repeats`` times as long."""
    out = []
    for k, r in enumerate(records):
        rng = np.random.default_rng(k)
        n = r.noise.shape[1]
        ramp = np.sqrt(np.linspace(0, 1, n // 4))
        data = np.zeros((3, repeats * (n - n // 4) + n // 4))
        for i in range(repeats):
            piece = surrogate(r.noise, rng)
            piece[:, : n // 4] *= ramp
            piece[:, -(n // 4) :] *= ramp[::-1]
            data[:, i * (n - n // 4) : i * (n - n // 4) + n] += piece
        out.append(Case(wave_of(data[:, n // 4 : -(n // 4)], k), None))
    return out


def simulated(n: int, *, seed: int, snr_db: float) -> list[Case]:
    """Return simulated earthquakes in simulated noise, and as many records of noise alone."""
    bank, noises = simulate(n, seed=seed), make_noise(2 * n, 9000, seed=seed)
    out = []
    for i in range(n):
        p, s = bank.p[i], bank.s[i]
        event = bank.data[i].astype(np.float64)
        level = np.diff(noises[i]).std() / max(np.abs(np.diff(event)).max(), 1e-30)
        wave = wave_of(noises[i] + event * level * 10 ** (snr_db / 20), i)
        out.append(Case(wave, (wave.time(p), wave.time(s + CODA * (s - p)))))
        out.append(Case(wave_of(noises[n + i].astype(np.float64), n + i), None))
    return out


def recall(method: Method, cases: Sequence[Case], threshold: float) -> tuple[int, int, list[float]]:
    """Return how many events overlap a detection, how many there are, and how late each begins [s]."""
    found, late = 0, []
    for case in cases:
        if case.event is None:
            continue
        low, high = case.event
        hits = [d for d in method(case.wave, threshold) if d[0] < high and d[1] > low]
        found += bool(hits)
        late += [seconds_between(low, hits[0][0])] if hits else []
    return found, sum(c.event is not None for c in cases), late


def false_per_hour(method: Method, cases: Sequence[Case], threshold: float) -> tuple[int, float]:
    """Return the detections in noise and its hours."""
    noise = [c for c in cases if c.event is None]
    return sum(len(method(c.wave, threshold)) for c in noise), sum(c.wave.duration_s for c in noise) / 3600


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=WEIGHTS)
    parser.add_argument("--cred", type=Path)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    root = folder()
    records = read_records([root / "denoise/deepdenoiser", root / "picks/ncedc"])
    test = [r for r in records if r.part == "test"]
    sets = {
        "P and S": labelled([r for r in test if r.s is not None]),
        "P only": labelled([r for r in test if r.s is None]),
        "New Zealand": new_zealand(root),
    }
    noises = {
        "before P": real_noise([*sets["P and S"], *sets["P only"]]),
        "before P, New Zealand": real_noise(sets["New Zealand"]),
        "made": made_noise([r for r in test if r.live.all()], options.repeats),
    }
    tuning = made_noise(held_out(records), 2 * options.repeats)
    session = Detector(DetectorSettings(weights=options.model))._session
    methods: dict[str, tuple[Method, tuple[float, ...]]] = {"kaname": (by_network(session), THRESHOLDS)}
    if options.cred:
        methods["cred-like"] = (by_network(Torch(options.cred, session.card)), THRESHOLDS)
    methods["sta/lta"] = (sta_lta, RATIOS)
    rows = []
    for name, (method, thresholds) in methods.items():
        counted = {t: false_per_hour(method, tuning, t) for t in thresholds}
        chosen = min(
            (t for t in thresholds if _rate(counted[t]) <= FALSE_PER_HOUR / 2), default=max(thresholds)
        )
        for threshold in thresholds:
            row: dict[str, Any] = {"method": name, "threshold": threshold, "chosen": threshold == chosen}
            row["false, validation"] = [counted[threshold][0], round(counted[threshold][1], 2)]
            for label, cases in sets.items():
                found, n, late = recall(method, cases, threshold)
                row[label] = [found, n, *(round(x, 3) for x in wilson(found, n))]
                row[f"{label}: begins late [s]"] = float(np.median(late)) if late else None
            for label, cases in noises.items():
                count, hours = false_per_hour(method, cases, threshold)
                row[f"false, {label}"] = [count, round(hours, 2)]
            rows.append(row)
            print(json.dumps(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    if options.figure:
        draw(rows, options.figure)


def held_out(records: Sequence[Record]) -> list[Record]:
    """Return the records of the validation part that the detector's training has, all components there."""
    times = [time_in(r.name) for r in records]
    return [r for r, part in zip(records, split_by_event(times)) if part == "validation" and r.live.all()]


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the share of events found against false detections per hour of made noise."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    colours = {"kaname": "#1b6ca8", "cred-like": "#588157", "sta/lta": "#c8553d"}
    for axes, labels, title in (
        (left, ("P and S", "P only"), "northern California"),
        (right, ("New Zealand",), "New Zealand"),
    ):
        for method in dict.fromkeys(r["method"] for r in rows):
            own = [r for r in rows if r["method"] == method]
            n = sum(own[0][label][1] for label in labels)
            x = [max(_rate(tuple(r["false, made"])), 0.05) for r in own]
            y = [100 * sum(r[label][0] for label in labels) / n for r in own]
            axes.plot(x, y, "o-", ms=3, color=colours[method], label=method)
            axes.plot(
                *[[v[k] for k, r in enumerate(own) if r["chosen"]] for v in (x, y)],
                "o",
                ms=9,
                mfc="none",
                color=colours[method],
            )
        axes.axvline(FALSE_PER_HOUR, color="0.6", lw=0.7)
        axes.axhline(95, color="0.6", lw=0.7)
        axes.set(xscale="log", xlabel="false detections per hour of made noise", title=f"{title}, n = {n}")
    left.set_ylabel("events found [%]")
    right.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=110)


def _rate(counted: tuple[int, float]) -> float:
    return counted[0] / max(counted[1], 1e-9)


if __name__ == "__main__":
    main()
