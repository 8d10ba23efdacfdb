"""Speed of the classical picker beside ObsPy's on the same record: python benchmarks/bench_picking.py [HOURS]

Six hours by default, three components at 100 Hz: ObsPy's real record of Unterhaching (BW.UH3, four minutes
with four earthquakes), resampled from 50 Hz and repeated with fresh noise. ObsPy's way is its tutorial's:
band-pass, recursive STA/LTA on the vertical, its autoregressive P and S picker at each trigger. CPU time,
best of three.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import obspy
from obspy.signal.trigger import ar_pick, recursive_sta_lta, trigger_onset
from scipy.signal import resample_poly

from kaname.automation.pick import get_picker
from kaname.core.step import run
from kaname.core.time import as_time
from kaname.core.waveform import Waveform

RATE = 100.0


def record(hours: float) -> Waveform:
    """Return the test record, channels Z, N, E."""
    folder = Path(obspy.__file__).parent / "signal/tests/data"
    traces = {
        t.stats.channel[-1]: t.data.astype(float)
        for f in sorted(folder.glob("BW.UH3.*.cut.slist.gz"))
        for t in obspy.read(str(f))
    }
    n = min(len(x) for x in traces.values())
    once = resample_poly(np.stack([traces[c][:n] - traces[c].mean() for c in "ZNE"]), 2, 1, axis=1)
    copies = int(np.ceil(hours * 3600 * RATE / once.shape[1]))
    data = np.tile(once, (1, copies))[:, : round(hours * 3600 * RATE)]
    data += np.random.default_rng(0).normal(0, 0.5 * np.median(np.abs(data)), data.shape)
    return Waveform(data, tuple(f"BW.UH3..SH{c}" for c in "ZNE"), as_time("2010-05-27"), RATE)


def obspys(wave: Waveform) -> int:
    """ObsPy: triggers, then `ar_pick` on 20 s about each; return the number of picks."""
    stream = wave.to_stream()
    vertical = stream[0].copy().filter("bandpass", freqmin=2, freqmax=20)
    ratio = recursive_sta_lta(vertical.data, round(0.5 * RATE), round(10 * RATE))
    n = 0
    for on, _ in trigger_onset(ratio, 3.5, 1.0):
        low, high = max(0, on - 1000), min(wave.n_sample, on + 1000)
        z, north, east = (wave.data[i, low:high] for i in range(3))
        p, s = ar_pick(z, north, east, RATE, 2.0, 20.0, 1.0, 0.1, 4.0, 1.0, 2, 8, 0.1, 0.2)
        n += (p > 0) + (s > 0)
    return n


def best(function: Callable[[], int]) -> tuple[float, int]:
    """Return the least CPU time of three runs and the number of picks."""
    times = []
    for _ in range(3):
        start = time.process_time()
        n = function()
        times.append(time.process_time() - start)
    return min(times), n


def main() -> None:
    """Print both speeds and their ratio."""
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 6.0
    wave = record(hours)
    picker = get_picker("classical")
    list(run(picker, [record(0.05)]))  # compile
    ours, n_ours = best(lambda: len(list(run(picker, [wave]))))
    theirs, n_theirs = best(lambda: obspys(wave))
    for name, seconds, n in (
        ("kaname classical", ours, n_ours),
        ("ObsPy STA/LTA + ar_pick", theirs, n_theirs),
    ):
        day = seconds * 24 / hours
        print(f"{name:25s} {day:6.1f} CPU s per station-day, {1 / day:.3f} station-days per CPU s, {n} picks")
    print(f"ratio {theirs / ours:.2f}")


if __name__ == "__main__":
    main()
