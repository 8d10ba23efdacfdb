"""Dislocations: source-receiver pairs a second, beside cutde on the CPU where it is installed.

Run ``python benchmarks/bench_dislocation.py``. Triangles and receivers at random in a half space; compilation
excluded, the best of five. Wall time is what counts on a machine of its own; pairs by processor time are
printed too, since other work on the machine does not slow those as much.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numba
import numpy as np

from kaname.earth.dislocation import Dislocations, displacement, strain

N_SOURCE, N_POINT = 1000, 2000


def main() -> None:
    """Print pairs per second."""
    rng = np.random.default_rng(0)
    middle = rng.uniform(-50, 50, (N_SOURCE, 1, 3)) * [1, 1, 0] - [0, 0, 12]
    vertices = middle + rng.uniform(-2, 2, (N_SOURCE, 3, 3))
    slip = rng.normal(size=(N_SOURCE, 3))
    points = rng.uniform(-80, 80, (N_POINT, 3)) * [1, 1, 0.1] - [0, 0, 8.001]
    source = Dislocations.of_slip(vertices, slip)
    threads = numba.get_num_threads()
    speeds = {}
    for medium in ("full-space", "half-space"):
        for field in (displacement, strain):
            wall = best(lambda f=field, m=medium: f(points, source, medium=m))  # type: ignore[misc]
            speeds[medium, field.__name__] = N_SOURCE * N_POINT / wall[0]
            print(
                f"{medium} {field.__name__:12s} {N_SOURCE * N_POINT / wall[0] / 1e6:6.2f} M pairs/s wall "
                f"on {threads} threads, {N_SOURCE * N_POINT / wall[1] / 1e6:6.2f} M pairs/s of processor"
            )
    try:
        import cutde.halfspace as peer
    except ImportError:
        print("cutde is not installed here: no ratio")
        return
    few = 500
    for name in ("disp_free", "strain_free"):
        wall = best(lambda n=name: getattr(peer, n)(points[:few], vertices, slip, 0.25))  # type: ignore[misc]
        ours = speeds["half-space", "displacement" if name == "disp_free" else "strain"]
        theirs = few * N_SOURCE / wall[0]
        print(f"cutde {name} {theirs / 1e6:6.2f} M pairs/s: we are {ours / theirs:.1f} times as fast")


def best(call: Callable[[], object]) -> tuple[float, float]:
    """Return the least wall and processor time of five calls after one that compiles [s]."""
    call()
    walls, processors = [], []
    for _ in range(5):
        wall, processor = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return min(walls), min(processors)


if __name__ == "__main__":
    main()
