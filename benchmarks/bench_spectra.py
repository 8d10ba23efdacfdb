"""Response spectra per second, and how far they are from pyrotd's (a peer, in an environment of its own).

    python benchmarks/bench_spectra.py [--records 100] [--peer /path/to/python/with/pyrotd]

The records are made up: noise from 0.1 to 25 Hz in a bell, three components, 60 s at 100 Hz. The peer is
given each record with four minutes of zeros behind it and eight times finer: it has neither zeros nor a
finer record of its own, and without them its own values are up to 15 % off (around the end of the record)
and 5 % low (between samples).
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.signal import butter, resample, sosfiltfilt

from kaname.core.waveform import Waveform
from kaname.signal.response_spectra import response_spectra

RATE, SECONDS, FINER, ZEROS_S = 100.0, 60.0, 8, 240.0
PERIODS = np.geomspace(0.01, 10.0, 100)
PEER = """
import sys, numpy as np, pyrotd
pyrotd.processes = 1
data, period = np.load(sys.argv[1]), np.load(sys.argv[2])
out = []
for a, b in data:
    spectra = pyrotd.calc_rotated_spec_accels({dt}, a, b, 1 / period, 0.05, percentiles=[50, 100])
    out.append([spectra[spectra.percentile == p].spec_accel for p in (50, 100)])
np.save(sys.argv[3], out)
"""


def records(n: int) -> list[Waveform]:
    """Made-up records, with numbers of their own."""
    rng = np.random.default_rng(0)
    samples = int(RATE * SECONDS)
    t = np.arange(samples) / RATE
    band = butter(2, (0.1, 25.0), "bandpass", fs=RATE, output="sos")
    ids = ("XX.STA..HNN", "XX.STA..HNE", "XX.STA..HNZ")
    out = []
    for _ in range(n):
        noise = rng.standard_normal((3, samples)) * np.exp(-(((t - 15) / 6) ** 2))
        data = 100 * sosfiltfilt(band, noise, axis=1)
        out.append(Waveform(data, ids, np.datetime64("2020-01-01", "ns"), RATE, "cm/s^2"))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100)
    parser.add_argument("--peer", type=Path, help="Python with pyrotd")
    options = parser.parse_args()
    blocks = records(options.records)
    response_spectra(blocks[0], PERIODS)  # compiled before the clock starts
    begun, clock = time.process_time(), time.perf_counter()
    found = [response_spectra(block, PERIODS) for block in blocks]
    used, passed = time.process_time() - begun, time.perf_counter() - clock
    print(
        f"1,000 records of 3 x {SECONDS:.0f} s at {RATE:.0f} Hz, {len(PERIODS)} periods: "
        f"{1000 * used / len(blocks):.1f} s of one core ({1000 * passed / len(blocks):.1f} s on the clock)"
    )
    if options.peer:
        compare(blocks[:3], found[:3], options.peer)


def compare(blocks: list[Waveform], found: list, peer: Path) -> None:
    """Print the largest difference from pyrotd by period."""
    zeros = int(ZEROS_S * RATE)
    fine = []
    for block in blocks:
        wide = np.pad(block.data[:2], ((0, 0), (0, zeros)))
        fine.append(resample(wide, wide.shape[1] * FINER, axis=1))
    with tempfile.TemporaryDirectory() as folder:
        data, period, out = (Path(folder) / n for n in ("data.npy", "period.npy", "out.npy"))
        np.save(data, fine)
        np.save(period, PERIODS)
        program = PEER.format(dt=1 / (RATE * FINER))
        subprocess.run([str(peer), "-c", program, str(data), str(period), str(out)], check=True)
        truth = np.load(out)
    for name, column in (("RotD50", 0), ("RotD100", 1)):
        ours = np.stack([(s.rotd50, s.rotd100)[column] for s in found])
        apart = np.abs(ours / truth[:, column] - 1).max(axis=0)
        short = PERIODS < 0.1
        print(
            f"{name} from pyrotd's: largest difference {100 * apart.max():.2f} % "
            f"(at {PERIODS[apart.argmax()]:.3f} s), below 0.1 s {100 * apart[short].max():.2f} %"
        )


if __name__ == "__main__":
    main()
