"""Simulated records beside real ones: the statistics that matter to a picker, and the figure of the docs.

``python benchmarks/simulated_records.py`` prints 10, 25, 50, 75 and 90 % quantiles for real records (the
first 70 by name of ``picks/ncedc`` in the folder ``KANAME_DATA``) and for simulated ones with the same
distribution of S minus P and of signal over noise. ``--figure PATH`` draws twelve simulated records only.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from kaname.learn.simulate.records import Bank, SimulationConfig, simulate
from kaname.learn.simulate.site import SENSORS

Floats = NDArray[np.float64]
BAND = signal.butter(2, (2, 20), "bandpass", fs=100, output="sos")
QUANTILES = (10, 25, 50, 75, 90)


def real_records() -> list[tuple[Floats, float, float]]:
    """Z, N, E of the first 70 records by name, with P and S [samples]; absent components are zero."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("KANAME_DATA", default)) / "picks/ncedc"
    with (root / "waveform.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda r: r["fname"])[:70]
    out = []
    for row in rows:
        data = np.load(root / "waveform" / row["fname"])["data"].astype(np.float64).T[[2, 1, 0]]
        if "_" not in row["channels"]:
            data[1:] = 0.0
        out.append((data, float(row["itp"]), float(row["its"])))
    return out


def statistics(data: Floats, p: float, s: float) -> dict[str, float]:
    """Ratios of amplitudes [dB] between 2 and 20 Hz, and frequencies [Hz] that halve the power."""
    p, s = round(p), round(s)
    moved = data - data[:, : p - 50].mean(axis=1, keepdims=True)
    filtered = signal.sosfilt(BAND, moved, axis=1)
    noise = (filtered[:, max(0, p - 800) : p - 50] ** 2).mean(axis=1)

    def level(begin: int, end: int) -> Floats:
        # Without the noise, as power on Z and on the mean of the horizontals.
        power = (filtered[:, max(begin, 0) : end] ** 2).mean(axis=1) - noise
        return np.maximum([power[0], power[1:].mean()], 1e-12)

    def db(over: float, under: float) -> float:
        return float(10 * np.log10(over / under))

    p_wave = level(p, p + int(min(100, 0.6 * (s - p))))
    s_wave = level(s, s + int(np.clip((s - p) / 2, 100, 200)))
    before, after = level(s - 40, s - 2), level(s, s + 40)
    later = s + max(s - p, 200)
    out = {
        "S-P s": (s - p) / 100,
        "P/noise Z": db(p_wave[0], noise[0]),
        "S/P Z": db(s_wave[0], p_wave[0]),
        "0.4 s after/before S, Z": db(after[0], before[0]),
        "before S/P Z": db(before[0], p_wave[0]),
        "0.1/0.5 s at P, Z": db(level(p, p + 10)[0], level(p, p + 50)[0]),
        "coda 1 S-P later/S Z": db(level(later, later + 200)[0], s_wave[0]),
    }
    horizontal = bool(noise[1:].any())
    if horizontal:
        out |= {
            "S/P H": db(s_wave[1], p_wave[1]),
            "0.4 s after/before S, H": db(after[1], before[1]),
            "0.1/0.5 s at S, H": db(level(s, s + 10)[1], level(s, s + 50)[1]),
            "H/Z at P": db(p_wave[1], p_wave[0]),
            "H/Z before S": db(before[1], before[0]),
            "H/Z at S": db(s_wave[1], s_wave[0]),
        }
    if p_wave[0] > 16 * noise[0]:
        out["middle Hz P"] = _middle_hz(data[0, p - 10 : p + min(200, s - p)])
        out["middle Hz S"] = _middle_hz(data[1 if horizontal else 0, s - 10 : s + 300])
    return out


def _middle_hz(x: Floats) -> float:
    power = np.abs(np.fft.rfft(signal.detrend(x) * np.hanning(len(x)))) ** 2
    f = np.fft.rfftfreq(len(x), 0.01)
    inside = (f > 1) & (f < 45)
    total = power[inside].cumsum()
    return float(f[inside][np.searchsorted(total, 0.5 * total[-1])])


def simulated(real: list[dict[str, float]], *, per_bin: int, seed: int) -> list[dict[str, float]]:
    """Statistics of simulated records in white noise, with S minus P and P over noise as in the real ones."""
    bank = simulate(1600, seed=seed, config=SimulationConfig(distance_km=(2.0, 60.0)))
    lag = np.log((bank.s - bank.p) / 100)
    counts, edges = np.histogram(np.log([r["S-P s"] for r in real]), bins=8)
    rng = np.random.default_rng(seed)
    out = []
    for count, low, high in zip(counts, edges[:-1], edges[1:]):
        for i in np.flatnonzero((lag >= low) & (lag < high))[: per_bin * count]:
            data, p = bank.data[i].astype(np.float64), int(bank.p[i])
            wanted = 10 ** (real[rng.integers(len(real))]["P/noise Z"] / 20)
            white = rng.standard_normal(data.shape)
            power = [(signal.sosfilt(BAND, x) ** 2).mean() for x in (data[0, p : p + 100], white[0])]
            out.append(statistics(data + white * np.sqrt(power[0] / power[1]) / wanted, p, bank.s[i]))
    return out


def figure(path: Path) -> None:
    """Draw twelve simulated records with their onsets."""
    import matplotlib.pyplot as plt

    bank: Bank = simulate(12, seed=8)
    order = np.argsort(bank.s - bank.p)
    drawing, axes = plt.subplots(6, 2, figsize=(12, 13), layout="constrained")
    rng = np.random.default_rng(0)
    for axis, i in zip(axes.T.ravel(), order):
        p, s = bank.p[i], bank.s[i]
        begin, end = int(p) - 150, min(int(s + max(2.5 * (s - p), 400)), bank.data.shape[-1])
        data = bank.data[i] + 0.004 * np.abs(bank.data[i]).max() * rng.standard_normal(bank.data[i].shape)
        shown = data[:, begin:end] / np.abs(data[:, begin:end]).max()
        seconds = (np.arange(begin, end) - p) / 100
        for k, name in enumerate("ZNE"):
            axis.plot(seconds, shown[k] - 1.2 * k, lw=0.5, color="0.15")
            axis.text(seconds[0], -1.2 * k + 0.15, name, fontsize=8)
        axis.axvline(0, color="tab:red", lw=0.9)
        axis.axvline((s - p) / 100, color="tab:blue", lw=0.9)
        axis.set_title(
            f"M{bank.magnitude[i]:.1f}, {bank.distance_km[i]:.0f} km, depth {bank.depth_km[i]:.0f} km, "
            f"soft ground {1e3 * bank.sediment_km[i]:.0f} m, {SENSORS[bank.sensor[i]].replace('_', ' ')}",
            fontsize=8,
        )
        axis.set_yticks([])
        axis.margins(x=0)
    for axis in axes[-1]:
        axis.set_xlabel("seconds after P")
    drawing.savefig(path, dpi=110)


def main() -> None:
    """Print the table, or draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    if options.figure:
        figure(options.figure)
        return
    real = [statistics(*r) for r in real_records()]
    made = simulated(real, per_bin=4, seed=options.seed)
    print(f"{'':26s} real ({len(real)}){'':24s} simulated ({len(made)})")
    for key in dict.fromkeys(k for r in made for k in r):
        columns = [np.percentile([r[key] for r in rows if key in r], QUANTILES) for rows in (real, made)]
        print(f"{key:26s} " + "  | ".join(" ".join(f"{x:6.1f}" for x in c) for c in columns))


if __name__ == "__main__":
    main()
