"""Time and memory of a conditioned field: 4,300 points, 600 stations, one core.

python benchmarks/bench_field.py [--points 4300] [--stations 600] [--samples 10]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import resource
import time

import numpy as np

from kaname.modeling.field.conditioning import Places, Recorded, condition


def places(n: int, rng: np.random.Generator) -> Places:
    return Places(
        "pga",
        rng.uniform(32, 34, n),
        rng.uniform(130, 132, n),
        rng.normal(4, 0.5, n),
        0.35 * np.ones(n),
        0.55,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=4300)
    parser.add_argument("--stations", type=int, default=600)
    parser.add_argument("--samples", type=int, default=10)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    stations, grid = places(options.stations, rng), places(options.points, rng)
    recorded = Recorded(stations, stations.mean + rng.normal(0, 0.6, len(stations)))
    for what, job in (
        ("mean and sigma", lambda: condition([recorded], grid).sigma),
        (
            f"{options.samples} samples, with all",
            lambda: condition([recorded], grid).samples(options.samples, seed=1),
        ),
    ):
        start, cpu = time.perf_counter(), time.process_time()
        job()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{what}: {time.perf_counter() - start:.1f} s ({time.process_time() - cpu:.1f} s of CPU), "
            f"peak of the process {peak:.0f} MB"
        )


if __name__ == "__main__":
    main()
