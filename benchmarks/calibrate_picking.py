"""Fit ``classical.json`` on one half of the labelled records: python benchmarks/calibrate_picking.py [OUT]

Only openly licensed records are used (see `labelled_picks`); splits are by event. The other half, which the
scores in docs/picking.md are from, is never touched here.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from labelled_picks import Record, all_records
from scipy.optimize import minimize

import kaname.automation.pick
from kaname.automation.pick.classical import (
    PHASES,
    ClassicalSettings,
    basis,
    flatten,
    measure,
    model_of,
    phase_probabilities,
    uncertainty_terms,
)
from kaname.automation.pick.onset import Onset, OnsetStep
from kaname.core.step import run
from kaname.core.time import seconds_between
from kaname.signal.onsets import evidence_names

KNOTS = (0.2, 0.5, 0.8)
"""Quantiles of the values at true onsets where the additive model may bend."""
PENALTY = 15.0
NOISE_WEIGHT = 0.1
"""Weight of an onset that is no phase: the odds of the model are as in data with ten times fewer."""


Labelled = tuple[Record, Onset, int | None]


def quarter(record: Record) -> int:
    """Half of the calibration records, by event."""
    return int(hashlib.sha256(f"quarter {record.event}".encode()).hexdigest()[:8], 16) % 2


def labelled_onsets(records: list[Record], n_part: int) -> list[Labelled]:
    """Onsets with what they are: 0 nothing, 1 P, 2 S, ``None`` where the labels do not say.

    With ``n_part`` 1, three-component records are read as their vertical alone.
    """
    settings = ClassicalSettings()
    step = OnsetStep(threshold_db=min(3.0, settings.threshold_db), warmup_s=settings.warmup_s)
    out: list[Labelled] = []
    for record in records:
        wave = record.wave
        if n_part == 1 and any(i.endswith("Z") for i in wave.ids):
            wave = wave.select([i for i in wave.ids if i.endswith("Z")])
        for onset in run(step, [wave]):
            if n_part == 2 and not onset.horizontal:
                continue
            out.append((record, onset, what(record, seconds_between(wave.start, onset.time))))
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


def fit(onsets: list[Labelled]) -> dict[str, Any]:
    """Fit the additive logistic model by penalised maximum likelihood."""
    values = np.array([o.evidence for _, o, k in onsets if k is not None])
    kind = np.array([k for _, _, k in onsets if k is not None])
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


def fit_mapping(onsets: list[Labelled]) -> list[list[float]]:
    """Fit, per phase, how the odds of the model become the share of picks that are true.

    The odds are of models fitted to the other half of these records, since a model is too sure of the
    records it was fitted to. A pick is true within 0.5 s of a label of its phase.
    """
    samples: dict[str, list[tuple[float, bool]]] = {p: [] for p in PHASES}
    for fold in (0, 1):
        fitted = flatten({"model": fit([x for x in onsets if quarter(x[0]) != fold])})
        for record, onset, _ in onsets:
            if quarter(record) != fold:
                continue
            renamed = {k.replace("model", model_of(onset)): v for k, v in fitted.items()}
            share = phase_probabilities(onset, renamed)
            phase = PHASES[int(share.argmax())]
            labels = record.labels.get(phase, [])
            if share.max() > 0.02 and labels:
                true = min(abs(seconds_between(t, onset.time)) for t in labels) < 0.5
                samples[phase].append((float(share.max()), true))
    out = []
    for phase in PHASES:
        share, true = np.array(samples[phase]).T
        odds = np.log(share / (1 - share))

        def loss(x: np.ndarray, odds: np.ndarray = odds, true: np.ndarray = true) -> float:
            z = x[0] + x[1] * odds
            return float((np.logaddexp(0, z) - true * z).sum())

        best = minimize(loss, [0.0, 1.0], method="L-BFGS-B", bounds=[(None, None), (0.1, None)])
        out.append([round(float(v), 4) for v in best.x])
    return out


def fit_uncertainty(onsets: list[Labelled], phase: str, fitted: dict[str, Any]) -> list[float]:
    """Fit the logarithm of sigma so that residuals of picks within 0.5 s of a label are covered.

    The residuals have heavier tails than the normal distribution, so that no sigma covers both 68 and 95 %;
    the fit weighs the two alike (sum of the pinball losses at one and at 1.96 sigma).
    """
    least = ClassicalSettings().min_probability_p
    rows, residuals = [], []
    for record, onset, _ in onsets:
        probability = phase_probabilities(onset, fitted)
        labels = record.labels.get(phase, [])
        if probability.max() < least or PHASES[int(probability.argmax())] != phase or not labels:
            continue
        m = measure(onset, phase)
        if m is None:
            continue
        residual = min((seconds_between(t, onset.at(m.sample)) for t in labels), key=abs)
        if abs(residual) < 0.5:
            rows.append(uncertainty_terms(onset, m))
            residuals.append(max(abs(residual), 0.5 / onset.sampling_rate))
    design, target = np.array(rows), np.log(residuals)

    def loss(x: np.ndarray) -> float:
        d = target - design @ x
        wide = d - np.log(1.96)
        one = np.where(d > 0, 0.683 * d, -0.317 * d).sum()
        two = np.where(wide > 0, 0.95 * wide, -0.05 * wide).sum()
        return float(one + two + 0.1 * (x[1:] ** 2).sum())

    # A sharper or stronger onset is never stated as less certain.
    bounds = [(None, None), (0.0, None), (None, 0.0)]
    best = minimize(loss, [-1.0, 0.5, -0.02], method="Nelder-Mead", bounds=bounds, options={"maxiter": 10000})
    return [round(float(v), 4) for v in best.x]


def main() -> None:
    """Fit and write."""
    own = Path(kaname.automation.pick.__file__).with_name("classical.json")
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else own
    records = [r for r in all_records() if not r.reporting]
    onsets = {"three_component": labelled_onsets(records, 2), "one_component": labelled_onsets(records, 1)}
    result: dict[str, Any] = {
        "about": "classical picker, fitted by benchmarks/calibrate_picking.py",
        "records": "half of: NCEDC (P, S; P only), Alpine Fault New Zealand 2013 (P, S)",
        "values": {"three_component": evidence_names(2), "one_component": evidence_names(1)},
        **{model: fit(own) | {"mapping": fit_mapping(own)} for model, own in onsets.items()},
    }
    fitted = flatten(result)
    result["uncertainty"] = {m: {p: fit_uncertainty(o, p, fitted) for p in PHASES} for m, o in onsets.items()}
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for model in onsets:
        print(model, result[model]["n_onsets"], result[model]["mapping"], result["uncertainty"][model])
    print("->", target)


if __name__ == "__main__":
    main()
