"""Fit ``classical.json`` on one half of the labelled records: python benchmarks/calibrate_picking.py [OUT]

Only openly licensed records are used (see `labelled_picks`); splits are by event. The other half, which the
scores in docs/picking.md are from, is never touched here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from labelled_picks import Record, all_records
from scipy.optimize import minimize

import kaname.automation.pick
from kaname.automation.pick.classical import PHASES, ClassicalSettings, basis, measure
from kaname.automation.pick.onset import Onset, OnsetStep
from kaname.core.step import run
from kaname.core.time import seconds_between
from kaname.signal.onsets import evidence_names

KNOTS = (0.2, 0.5, 0.8)
"""Quantiles of the values at true onsets where the additive model may bend."""
PENALTY = 15.0
NOISE_WEIGHT = 0.1
"""Weight of an onset that is no phase: the odds of the model are as in data with ten times fewer."""


def labelled_onsets(records: list[Record], n_part: int) -> list[tuple[Record, Onset, int]]:
    """Onsets with what they are: 0 nothing, 1 P, 2 S; those that cannot be told are left out.

    With ``n_part`` 1, three-component records are read as their vertical alone.
    """
    settings = ClassicalSettings()
    step = OnsetStep(threshold_db=min(3.0, settings.threshold_db), warmup_s=settings.warmup_s)
    out = []
    for record in records:
        wave = record.wave
        if n_part == 1 and any(i.endswith("Z") for i in wave.ids):
            wave = wave.select([i for i in wave.ids if i.endswith("Z")])
        for onset in run(step, [wave]):
            if n_part == 2 and not onset.horizontal:
                continue
            kind = what(record, seconds_between(wave.start, onset.time))
            if kind is not None:
                out.append((record, onset, kind))
    return out


def what(record: Record, t: float) -> int | None:
    """Tell what an onset at ``t`` s of a record is, by the labels; ``None`` where they do not say."""
    for kind, phase in enumerate(PHASES, start=1):
        if any(abs(t - x) <= 0.25 for x in record.seconds(phase)):
            return kind
    labels = record.seconds("P") + record.seconds("S")
    if not labels:
        # An event passes at about 40 s of these records; an analyst who picked elsewhere says nothing.
        return 0 if t < 36 else None
    if min(abs(t - x) for x in labels) < 0.6:
        return None
    complete = bool(record.seconds("P") and record.seconds("S"))
    if not complete and min(labels) - 8 < t < max(labels) + 15:
        return None
    return 0


def fit(onsets: list[tuple[Record, Onset, int]]) -> dict[str, object]:
    """Fit the additive logistic model by penalised maximum likelihood."""
    values = np.array([o.evidence for _, o, _ in onsets])
    kind = np.array([k for _, _, k in onsets])
    knots = np.round(np.quantile(values[kind > 0], KNOTS, axis=0), 1)
    terms = basis(values, knots)
    centre, scale = terms.mean(axis=0), terms.std(axis=0) + 1e-6
    design = np.c_[(terms - centre) / scale, np.ones(len(terms))]
    truth = np.eye(3)[kind]
    weight = np.where(kind == 0, NOISE_WEIGHT, 1.0)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(-1, 2)
        score = np.c_[np.zeros(len(design)), design @ w]
        score -= score.max(axis=1, keepdims=True)
        p = np.exp(score)
        p /= p.sum(axis=1, keepdims=True)
        gradient = (design.T @ ((p - truth) * weight[:, None]))[:, 1:]
        gradient[:-1] += PENALTY * w[:-1]
        value = -(weight[:, None] * truth * np.log(p + 1e-300)).sum() + PENALTY / 2 * (w[:-1] ** 2).sum()
        return value, gradient.ravel()

    start = np.zeros(design.shape[1] * 2)
    w = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x.reshape(-1, 2)
    weights = w[:-1] / scale[:, None]
    return {
        "n_onsets": {name: int((kind == k).sum()) for k, name in enumerate(("none", *PHASES))},
        "knots": knots.tolist(),
        "weights": np.round(weights, 5).tolist(),
        "intercepts": np.round(w[-1] - centre @ weights, 5).tolist(),
    }


def fit_uncertainty(onsets: list[tuple[Record, Onset, int]], phase: str) -> list[float]:
    """Fit log sigma = a + b log(spread) + c snr, so that 68 % of residuals under 0.5 s lie within sigma."""
    rows, residuals = [], []
    for record, onset, kind in onsets:
        if kind != PHASES.index(phase) + 1:
            continue
        m = measure(onset, phase)
        if m is None:
            continue
        gaps = [seconds_between(t, onset.at(m.sample)) for t in record.labels[phase]]
        residual = min(gaps, key=abs)
        if abs(residual) < 0.5:
            half_sample = 0.5 / onset.sampling_rate
            rows.append([1.0, np.log(m.spread_s + half_sample), np.clip(m.snr_db, 0, 30)])
            residuals.append(max(abs(residual), half_sample))
    design, target = np.array(rows), np.log(residuals)

    def pinball(x: np.ndarray) -> float:
        d = target - design @ x
        return float(np.where(d > 0, 0.683 * d, -0.317 * d).sum() + 1e-3 * (x[1:] ** 2).sum())

    best = minimize(pinball, [-1.0, 0.5, -0.02], method="Nelder-Mead", options={"maxiter": 5000})
    return [round(float(v), 4) for v in best.x]


def main() -> None:
    """Fit and write."""
    own = Path(kaname.automation.pick.__file__).with_name("classical.json")
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else own
    records = [r for r in all_records() if not r.reporting]
    three, one = labelled_onsets(records, 2), labelled_onsets(records, 1)
    result = {
        "about": "classical picker, fitted by benchmarks/calibrate_picking.py",
        "records": "half of: NCEDC (P, S; P only), Alpine Fault New Zealand 2013 (P, S)",
        "values": {"three_component": evidence_names(2), "one_component": evidence_names(1)},
        "three_component": fit(three),
        "one_component": fit(one),
        "uncertainty": {p: fit_uncertainty([*three, *one], p) for p in PHASES},
    }
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for model in ("three_component", "one_component"):
        print(model, result[model]["n_onsets"])  # type: ignore[index]
    print("uncertainty", result["uncertainty"], "->", target)


if __name__ == "__main__":
    main()
