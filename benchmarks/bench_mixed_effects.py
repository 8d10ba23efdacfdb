"""Crossed event and site effects: bias over simulations and speed, beside a peer.

``python benchmarks/bench_mixed_effects.py [--simulations 20] [--peer PYTHON]``. The networks are unbalanced:
how many records an event or a site has is drawn from a law without a finite variance. Compilation is
excluded. The peer, in an environment of its own, is statsmodels, whose crossed effects are dense: it is given
as many records as it can do, and the ratio is of times at that size.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from kaname.modeling.ground_motion.mixed_effects import MixedEffects

TRUTH = {"tau": 0.4, "phi_s2s": 0.35, "phi_ss": 0.5}
_PEER = """
import sys, time, json, numpy as np, pandas as pd, statsmodels.formula.api as smf
d = pd.DataFrame(dict(np.load(sys.argv[1])))
start = time.process_time()
parts = {"event": "0 + C(event)", "site": "0 + C(site)"}
fit = smf.mixedlm("y ~ 1", d, groups=np.ones(len(d)), vc_formula=parts, re_formula="0").fit(reml=True)
took = time.process_time() - start
event, site = (float(np.sqrt(v)) for v in fit.vcomp)
print(json.dumps({"s": took, "tau": event, "phi_s2s": site, "phi_ss": float(np.sqrt(fit.scale))}))
"""


def simulate(n: int, n_event: int, n_site: int, seed: int) -> tuple[Any, Any, Any]:
    """Return residuals, events and sites of a network with the components of `TRUTH`."""
    rng = np.random.default_rng(seed)
    busy, heard = rng.pareto(1.2, n_event) + 0.2, rng.pareto(1.5, n_site) + 0.2
    event = rng.choice(n_event, n, p=busy / busy.sum())
    site = rng.choice(n_site, n, p=heard / heard.sum())
    terms = TRUTH["tau"] * rng.normal(size=n_event)[event] + TRUTH["phi_s2s"] * rng.normal(size=n_site)[site]
    return 0.1 + terms + TRUTH["phi_ss"] * rng.normal(size=n), event, site


def timed(n: int, n_event: int, n_site: int, seed: int = 0) -> tuple[float, dict[str, float]]:
    """Return seconds of one core and components of one fit."""
    y, event, site = simulate(n, n_event, n_site, seed)
    start = time.process_time()
    fit = MixedEffects().fit(y, event, site)
    return time.process_time() - start, {k: getattr(fit, f"{k}_") for k in TRUTH}


def main() -> None:
    """Print bias, times and the ratio to the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=20)
    parser.add_argument("--peer", type=Path, help="Python of an environment with statsmodels")
    options = parser.parse_args()
    timed(2000, 30, 50)
    for n, n_event, n_site in ((50_000, 300, 900), (500_000, 2000, 3000)):
        seconds, found = timed(n, n_event, n_site)
        print(f"{n} records, {n_event} events, {n_site} sites: {seconds:.2f} s, {found}", flush=True)
    all_found = [timed(50_000, 300, 900, seed)[1] for seed in range(1, options.simulations + 1)]
    for name, true in TRUTH.items():
        values = np.array([one[name] for one in all_found])
        error = values.std(ddof=1) / np.sqrt(len(values)) / true
        print(
            f"{name}: bias {100 * (values.mean() / true - 1):+.2f} % +- {100 * error:.2f} % (standard error)"
        )
    if options.peer:
        y, event, site = simulate(1500, 30, 60, 1)
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder) / "case.npz", y=y, event=event, site=site)
            peer = json.loads(
                subprocess.run(
                    [options.peer, "-c", _PEER, f"{folder}/case.npz"],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
        seconds, ours = timed(1500, 30, 60, 1)
        print(
            f"1500 records: ours {seconds:.3f} s {ours}; statsmodels {peer}; ratio {peer['s'] / seconds:.0f}"
        )


if __name__ == "__main__":
    main()
