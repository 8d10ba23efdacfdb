"""Travel-time tables beside ObsPy's TauP, and how far the two differ.

Run ``python benchmarks/bench_traveltime.py``. Compilation excluded. TauP computes all arrivals of a spherical
Earth one point at a time; a table holds first arrivals on a grid. So two ratios: per point computed, and per
point looked up once the table is there.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from kaname.earth.traveltime import TravelTimeTable
from kaname.earth.velocity import named_model


def main() -> None:
    """Print times per point and differences."""
    from obspy.taup import TauPyModel

    model, taup = named_model("iasp91"), TauPyModel("iasp91")
    TravelTimeTable.build(model, phase="P", max_distance_km=20, max_depth_km=20)
    start = time.process_time()
    table = TravelTimeTable.build(model, phase="P", max_distance_km=1200, max_depth_km=300)
    building = time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        TravelTimeTable.build(model, phase="P", max_distance_km=1200, max_depth_km=300, cache=Path(folder))
        start = time.process_time()
        TravelTimeTable.build(model, phase="P", max_distance_km=1200, max_depth_km=300, cache=Path(folder))
        reading = time.process_time() - start
    rng = np.random.default_rng(0)
    degree, depth = rng.uniform(0.05, 10, 200), rng.uniform(0, 290, 200)
    start = time.process_time()
    expected = [
        taup.get_travel_times(z, d, phase_list=["p", "P", "Pn", "Pg"])[0].time for z, d in zip(depth, degree)
    ]
    peer = (time.process_time() - start) / len(degree)
    x, z = rng.uniform(0, 1200, 1_000_000), rng.uniform(0, 300, 1_000_000)
    start = time.process_time()
    table.time(x, z)
    looking = (time.process_time() - start) / len(x)
    away = 1e3 * np.abs(table.time(np.radians(degree) * 6371, depth) - expected)
    computed = building / table.slowness.size
    print(f"table of {table.slowness.size} points: built in {building:.2f} s, cached {1e3 * reading:.1f} ms")
    print(f"per point: TauP {1e6 * peer:.0f} us, built {1e6 * computed:.2f} us, found {1e9 * looking:.0f} ns")
    print(f"ratio to TauP: building {peer / computed:.0f}, looking up {peer / looking:.0f}")
    print(
        f"difference from TauP: median {np.median(away):.1f} ms, 95 % {np.quantile(away, 0.95):.1f} ms, "
        f"largest {away.max():.1f} ms"
    )


if __name__ == "__main__":
    main()
