"""Scores of the denoiser on mixtures of real records that it never trained on, beside fixed band-passes.

``python benchmarks/score_denoising.py [--model WEIGHTS] [--part test] [--json FILE]``; the records are read
from the folder ``KANAME_DATA``, see `labelled_picks`. Definitions are in ``docs/denoising.md``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from labelled_picks import folder
from scipy import signal

from kaname.automation.denoise import WEIGHTS, Denoiser, DenoiserSettings
from kaname.core.step import run
from kaname.core.time import as_time
from kaname.core.waveform import Waveform
from kaname.learn.simulate.noise import noise as make_noise
from kaname.learn.simulate.records import simulate
from kaname.learn.train.mixtures import Record, read_records
from kaname.signal.trigger import aic

RATE_HZ = 100.0
BEFORE, AFTER = 800, 2000
"""Samples of a mixture before and after P."""
LEAST_SNR_DB = 20.0
"""Only records above this are taken for clean."""
SNR_DB = (-5, 0, 5, 10, 15, 20)
BANDS = [(a, b) for a in (0.5, 1.0, 2.0, 3.0) for b in (10.0, 15.0, 20.0, 45.0)]
KINDS = {
    "raw": None,
    "1 Hz high-pass": signal.butter(2, 1.0, "highpass", fs=RATE_HZ, output="sos"),
    "1-20 Hz": signal.butter(2, (1.0, 20.0), "bandpass", fs=RATE_HZ, output="sos"),
}
FILTERS = {
    (*band, phase): signal.butter(2, band, "bandpass", fs=RATE_HZ, output="sos")
    for band in BANDS
    for phase in ("causal", "zero phase")
}


@dataclass
class Scores:
    """What is gathered at one ratio, a value per component."""

    gain: list[float] = field(default_factory=list)
    gain_all: list[float] = field(default_factory=list)
    filters: dict[tuple[float, float, str], list[float]] = field(
        default_factory=lambda: {k: [] for k in FILTERS}
    )
    shift: list[float] = field(default_factory=list)
    shift_mixture: list[float] = field(default_factory=list)
    lag: list[float] = field(default_factory=list)

    def row(self) -> dict[str, object]:
        """Return the summary."""
        name, best = max(self.filters.items(), key=lambda kv: np.mean(kv[1]))
        wide, shift, lag = self.filters[1.0, 20.0, "zero phase"], np.array(self.shift), np.array(self.lag)
        return {
            "n": len(self.gain),
            "gain_db": mean(self.gain),
            "gain_db_5": float(np.percentile(self.gain, 5)),
            "gain_db_median": float(np.median(self.gain)),
            "gain_db_whole_window": mean(self.gain_all),
            "band_1_20_db": mean(wide),
            "best_band": "none" if np.mean(best) < 0 else f"{name[0]:g}-{name[1]:g} Hz {name[2]}",
            "best_band_db": max(0.0, mean(best)),
            "best_band_db_5": float(np.percentile(best, 5)) if np.mean(best) > 0 else 0.0,
            "better_than_best_band": float(np.mean(np.array(self.gain) >= np.array(best))),
            "onsets": len(shift),
            "shift_s_median": float(np.median(shift)),
            "shift_s_mad": float(np.median(np.abs(shift))),
            "shift_within_20_ms": float(np.mean(np.abs(shift) <= 0.0201)),
            "mixture_within_20_ms": float(np.mean(np.abs(self.shift_mixture) <= 0.0201)),
            "lag_s_median": float(np.median(lag)),
            "lag_s_mean": float(np.mean(lag)),
            "lag_within_20_ms": float(np.mean(np.abs(lag) <= 0.0201)),
        }


def mean(values: list[float]) -> float:
    """Mean, as a plain number."""
    return float(np.mean(values))


def mixtures(records: list[Record], repeats: int, seed: int) -> list[tuple[Record, Record]]:
    """Return pairs of a signal and of another record, whose noise is taken, of another event."""
    rng = np.random.default_rng(seed)
    three = [r for r in records if r.live.all()]
    pairs = []
    for r in three:
        if r.snr_db >= LEAST_SNR_DB:
            others = [o for o in three if o.name.split("_")[2][:12] != r.name.split("_")[2][:12]]
            pairs += [(r, others[int(rng.integers(len(others)))]) for _ in range(repeats)]
    return pairs


def simulated_mixtures(n: int, *, seed: int) -> list[tuple[Record, Record]]:
    """Return simulated earthquakes, each with simulated noise: what the package can make by itself."""
    bank, noises = simulate(n, seed=seed), make_noise(n, 2850, seed=seed)
    return [
        (
            Record(f"simulated {i}", bank.data[i].astype(np.float64), round(float(bank.p[i])), None, "test"),
            Record(f"noise {i}", noises[i].astype(np.float64), 2850, None, "test"),
        )
        for i in range(n)
    ]


def onset(x: np.ndarray) -> float:
    """AIC onset within 0.5 s of P [s after P]."""
    part = np.ascontiguousarray(x[np.newaxis, BEFORE - 50 : BEFORE + 50], dtype=np.float64)
    return (int(np.argmin(aic(part, 5))) - 50) / RATE_HZ


def lag(x: np.ndarray, y: np.ndarray) -> float:
    """By how much ``y`` is later than ``x`` about P [s], from cross-correlation."""
    a, b = x[BEFORE - 50 : BEFORE + 200], y[BEFORE - 50 : BEFORE + 200]
    c = signal.correlate(b - b.mean(), a - a.mean())
    return (int(np.argmax(c)) - (a.size - 1)) / RATE_HZ


def gain(noise: np.ndarray, error: np.ndarray) -> float:
    """Ratio of the noise's variance to the error's [dB]."""
    return float(10 * np.log10(noise.var() / max(error.var(), 1e-300)))


def mix(
    denoiser: Denoiser, a: Record, b: Record, kind: str, snr_db: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the clean record, the noise in the mixture, and the mixture denoised, shape (3, n) each."""
    clean, noise = a.data, b.data[:, :2850]
    sos = KINDS[kind]
    if sos is not None:
        clean, noise = signal.sosfilt(sos, clean), signal.sosfilt(sos, noise)
    clean = clean[:, a.p - BEFORE : a.p + AFTER]
    noise = noise[:, -clean.shape[1] :]
    noise = noise - noise.mean(axis=1, keepdims=True)
    event = slice(BEFORE, BEFORE + AFTER)
    spread = clean[:, event].var(axis=1) / np.maximum(noise[:, event].var(axis=1), 1e-300)
    noise = noise * np.sqrt(spread / 10 ** (snr_db / 10))[:, np.newaxis]
    start = as_time("2020-01-01") + np.timedelta64(int(rng.integers(86_400_000)), "ms")
    wave = Waveform(clean + noise, ("XX.MIX..HHZ", "XX.MIX..HHN", "XX.MIX..HHE"), start, RATE_HZ)
    denoised = np.concatenate([w.data for w in run(denoiser, [wave])], axis=1).astype(np.float64)
    return clean, noise, denoised


def score(denoiser: Denoiser, pairs: list[tuple[Record, Record]], kind: str, snr_db: float) -> Scores:
    """Score all mixtures at one ratio of the variances of signal (after P) and noise, in each component."""
    out = Scores()
    rng = np.random.default_rng(1)
    event = slice(BEFORE, BEFORE + AFTER)
    for a, b in pairs:
        clean, noise, denoised = mix(denoiser, a, b, kind, snr_db, rng)
        mixture = clean + noise
        for c in np.flatnonzero(noise.any(axis=1)):
            out.gain.append(gain(noise[c, event], (denoised - clean)[c, event]))
            out.gain_all.append(gain(noise[c], (denoised - clean)[c]))
            for key, sections in FILTERS.items():
                apply = signal.sosfilt if key[2] == "causal" else signal.sosfiltfilt
                out.filters[key].append(
                    gain(noise[c, event], (apply(sections, mixture[c]) - clean[c])[event])
                )
        own = onset(clean[0])
        out.shift.append(onset(denoised[0]) - own)
        out.shift_mixture.append(onset(mixture[0]) - own)
        out.lag.append(lag(clean[0], denoised[0]))
    return out


def middling(denoiser: Denoiser, pairs: list[tuple[Record, Record]]) -> tuple[Record, Record]:
    """Return the pair on whose vertical the gain at 0 dB, raw, is the median."""
    parts = [mix(denoiser, *p, "raw", 0.0, np.random.default_rng(1)) for p in pairs]
    gains = [gain(noise[0, BEFORE:], (out - clean)[0, BEFORE:]) for clean, noise, out in parts]
    return pairs[int(np.argsort(gains)[len(gains) // 2])]


def draw(
    denoiser: Denoiser, rows: list[dict[str, object]], example: tuple[Record, Record], path: Path
) -> None:
    """Draw gain against ratio, and an example at 0 dB."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=(2, 3), layout="constrained")
    for kind, colour in zip(KINDS, ("#1b6ca8", "#c8553d", "#588157")):
        own = [r for r in rows if r["data"] == kind]
        ratio = [r["snr_db"] for r in own]
        left.plot(ratio, [r["gain_db"] for r in own], "o-", color=colour, label=kind)
        left.plot(ratio, [r["gain_db_5"] for r in own], "-", color=colour, lw=0.7)
        left.plot(ratio, [r["best_band_db"] for r in own], "--", color=colour)
    left.axhline(0, color="0.6", lw=0.6)
    left.set(xlabel="input signal-to-noise ratio [dB]", ylabel="gain [dB]")
    left.legend(frameon=False)
    clean, noise, denoised = mix(denoiser, *example, "raw", 0.0, np.random.default_rng(1))
    t = (np.arange(clean.shape[1]) - BEFORE) / RATE_HZ
    step = 1.6 * np.abs(clean[0]).max()
    for k, (name, x) in enumerate((("clean", clean), ("mixture", clean + noise), ("denoised", denoised))):
        right.plot(t, x[0] - np.median(x[0]) - k * step, color="0.15", lw=0.5)
        right.text(t[0], -k * step + 0.35 * step, name)
    right.axvline(0, color="#c8553d", lw=0.7)
    right.set(xlabel="time after P [s]", yticks=[], xlim=(t[0], t[-1]))
    right.set_title(f"vertical, {example[0].name.split('*')[0]}, 0 dB, raw", fontsize=9)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=WEIGHTS)
    parser.add_argument("--part", default="test")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    data = folder()
    records = read_records([data / "denoise/deepdenoiser", data / "picks/ncedc"])
    pairs = mixtures([r for r in records if r.part == options.part], options.repeats, seed=11)
    denoiser = Denoiser(DenoiserSettings(weights=options.model))
    names = {a.name for a, _ in pairs}
    print(f"{options.part}: {len(names)} signals, {len(pairs)} mixtures of three components")
    rows = []
    for kind in KINDS:
        for snr_db in SNR_DB:
            row = {"data": kind, "snr_db": snr_db, **score(denoiser, pairs, kind, snr_db).row()}
            rows.append(row)
            print(
                f"{kind:15s} {snr_db:4d} dB: gain {row['gain_db']:6.2f} (5 %: {row['gain_db_5']:6.2f}, all "
                f"{row['gain_db_whole_window']:6.2f}); 1-20 Hz {row['band_1_20_db']:6.2f}; best "
                f"{row['best_band']} {row['best_band_db']:5.2f}; AIC median {row['shift_s_median']:.3f} MAD "
                f"{row['shift_s_mad']:.3f}, <= 20 ms {row['shift_within_20_ms']:.2f} (mixture "
                f"{row['mixture_within_20_ms']:.2f}); lag mean {row['lag_s_mean']:.3f}, <= 20 ms "
                f"{row['lag_within_20_ms']:.2f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(
            json.dumps({"pairs": len(pairs), "signals": len(names), "rows": rows}, indent=1)
        )
    if options.figure:
        draw(denoiser, rows, middling(denoiser, pairs), options.figure)


if __name__ == "__main__":
    main()
