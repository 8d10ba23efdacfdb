"""What networks trained on far more data reach on the NCEDC records, and their ensemble: how high is the bar?

``python benchmarks/ceiling_picking.py FOLDER`` needs the package ``pickerxl`` and FOLDER as
``benchmarks/peers_easyquake.py`` writes it. Five windows are cut of every record at times drawn evenly, so
that P stands anywhere; each network sees all of a window and the one best least probability **for these very
records** is taken, which is why these are upper bounds and not scores. The ensemble is the mean of
EQTransformer and PickerXL after the odds of each are shifted so that its best least probability becomes one
half. Ours is shown on the held-out records alone: it was trained on the others.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from labelled_picks import folder
from numpy.typing import NDArray
from scipy.signal import find_peaks

from kaname.automation.pick.easyquake import EasyQuakeCard, EasyQuakeNetwork
from kaname.automation.pick.kaname import WEIGHTS
from kaname.automation.pick.pickerxl import PickerXLNetwork
from kaname.core.waveform import Waveform
from kaname.evaluate.splits import split_by_event
from kaname.formats.labelled import LabelledSet, time_of
from kaname.learn.engine.condition import condition
from kaname.learn.engine.peaks import curves as read
from kaname.learn.engine.picking import PickerCard
from kaname.learn.engine.session import open_session
from kaname.learn.train.picker import three

Array = NDArray[np.float64]

N_SAMPLE = 5632
"""56 s at 100 Hz: PickerXL sees 57 s, EQTransformer 60 s, ours multiples of 256 samples."""
N_WINDOW = 5
LEAST = np.arange(0.02, 0.98, 0.02)
TOLERANCE = {0.1: 10, 0.5: 50}


def main(weights: Path) -> None:
    """Print the table."""
    records = list(LabelledSet(folder() / "picks/ncedc").records())
    part = split_by_event([time_of(r) for r in records])
    rng = np.random.default_rng(1)
    windows: list[Array] = []
    onsets: list[tuple[float, float]] = []
    held = []
    for record, own in zip(records, part):
        data = three(record.wave).astype(np.float64)
        p, s = (record.seconds(phase)[0] * 100 for phase in "PS")
        for first in rng.integers(0, p - 300, N_WINDOW):
            windows.append(data[:, first : first + N_SAMPLE])
            onsets.append((p - first, s - first))
            held.append(own == "test")
    networks = {
        "EQTransformer": EasyQuakeNetwork(open_session(str(weights / "eqt.onnx"), EasyQuakeCard)),
        "EQTransformer, second training": EasyQuakeNetwork(
            open_session(str(weights / "eqt2.onnx"), EasyQuakeCard)
        ),
        "PickerXL": PickerXLNetwork(),
    }
    time = np.datetime64("2000-01-01", "ns")
    curves = {
        name: np.array(
            [
                network.predict(Waveform(x, ("..A.HHZ", "..A.HHN", "..A.HHE"), time, 100.0))[0][:, :N_SAMPLE]
                for x in windows
            ]
        )
        for name, network in networks.items()
    }
    ours = open_session(WEIGHTS, PickerCard)
    curves["kaname"] = np.array([read(ours(_conditioned(x)[np.newaxis])[0]) for x in windows])
    for title, chosen in (("all", np.ones(len(held), bool)), ("held out", np.array(held))):
        print(title, int(chosen.sum()) // N_WINDOW, "records")
        these = {name: c[chosen] for name, c in curves.items() if name != "kaname" or title == "held out"}
        at = [o for o, c in zip(onsets, chosen) if c]
        pair = [balanced(these[name], at) for name in ("EQTransformer", "PickerXL")]
        these["mean of EQTransformer and PickerXL"] = (pair[0] + pair[1]) / 2
        for name, c in these.items():
            row = [f"{f1(c[:, k], at, k, t).max():.3f}" for k in (0, 1) for t in TOLERANCE.values()]
            print(f"  {name:36s}", *row)


def _conditioned(x: Array) -> NDArray[np.float32]:
    mask = np.repeat(x.any(axis=1, keepdims=True), x.shape[1], axis=1)
    return condition(x.astype(np.float32), mask)


def f1(curves: Array, onsets: list[tuple[float, float]], phase: int, tolerance: int) -> Array:
    """F1 of one phase at each of `LEAST`; what is not the analyst's counts as false."""
    n_pick, n_hit = np.zeros(len(LEAST)), np.zeros(len(LEAST))
    n_label = 0
    for curve, pair in zip(curves, onsets):
        at, found = find_peaks(curve, height=LEAST[0], distance=50)
        height = found["peak_heights"]
        near = np.abs(at - pair[phase]) <= tolerance
        n_label += pair[phase] < N_SAMPLE
        n_pick += (height[:, np.newaxis] >= LEAST).sum(axis=0)
        n_hit += (height[near].max() if near.any() else -1) >= LEAST
    return 2 * n_hit / (n_pick + n_label)


def balanced(curves: Array, onsets: list[tuple[float, float]]) -> Array:
    """Curves of P and S with their odds shifted so that the best least probability at 0.5 s is one half."""
    out = np.empty_like(curves)
    for k in (0, 1):
        best = LEAST[f1(curves[:, k], onsets, k, 50).argmax()]
        p = np.clip(curves[:, k], 1e-6, 1 - 1e-6)
        odds = p / (1 - p) * (1 - best) / best
        out[:, k] = odds / (1 + odds)
    return out


if __name__ == "__main__":
    main(Path(sys.argv[1]))
