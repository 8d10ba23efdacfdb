"""Does a stress change say where aftershocks are? The test, with the two baselines that nothing goes without.

Space around the source is cut into cells, those with an aftershock are to be told from the rest, and every
predictor is scored by the area under its ROC curve. The baselines are the distance from the rupture, and a
logistic regression of two parameters on distance and slip, with which Mignan and Broccardo (2019, DOI
10.1038/s41586-019-1582-8) equalled a deep network. Whatever is fitted is scored on blocks it has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.discovery.stress.coulomb import invariants, on_planes, optimal_planes
from kaname.discovery.stress.field import Medium, Optimal, Planes, stress_at
from kaname.discovery.stress.sources import Source
from kaname.earth.dislocation import STRAIN, fault_axes

Floats = NDArray[np.float64]

BASELINES = ("distance", "distance_and_slip")
LEAST_CELLS = 10
"""Cells with aftershocks without which the test says nothing."""
N_FOLD = 5


def cells(
    source: Source,
    aftershocks: pd.DataFrame,
    receivers: Planes | Optimal,
    medium: Medium | None = None,
    *,
    margin_km: float = 40.0,
    spacing_km: float = 5.0,
    depth_km: float = 25.0,
    block_km: float = 20.0,
) -> pd.DataFrame:
    """Return the cells around a source: where, how many aftershocks, the predictors, and the block of each.

    Parameters
    ----------
    source
        Main shock.
    aftershocks
        Table of events; those without a place or a depth are left out, those outside are not counted.
    receivers, medium
        As in `kaname.discovery.stress.field.coulomb_at`.
    margin_km, depth_km
        How far the cells go beyond the rupture, and how deep.
    spacing_km
        Side of the (cubic) cells.
    block_km
        Side of the square columns that are drawn whole in the bootstrap and left out whole in fitting.

    Raises
    ------
    InputError
        When a size is not positive.
    """
    if min(margin_km, spacing_km, depth_km, block_km) <= 0:
        raise InputError("margin_km, spacing_km, depth_km and block_km must be positive")
    earth = medium or Medium()
    corners = source.dislocations.vertices.reshape(-1, 3)
    low = np.floor((corners.min(axis=0)[:2] - margin_km) / spacing_km) * spacing_km
    shape = (*np.ceil((corners.max(axis=0)[:2] + margin_km - low) / spacing_km).astype(int),)
    layers = max(round(depth_km / spacing_km), 1)
    i, j, k = (a.ravel() for a in np.indices((*shape, layers)))
    east, north = low[0] + (i + 0.5) * spacing_km, low[1] + (j + 0.5) * spacing_km
    depth = (k + 0.5) * spacing_km
    lat, lon = source.frame.to_geographic(east, north)
    known = aftershocks[["latitude", "longitude", "depth_km"]].dropna()
    e, n = source.frame.to_local(known["latitude"], known["longitude"])
    at = np.stack([(e - low[0]), (n - low[1]), np.maximum(known["depth_km"].to_numpy(float), 0.0)])
    index = np.floor(at / spacing_km).astype(int)
    limits = np.array([*shape, layers])[:, None]
    inside = ((index >= 0) & (index < limits)).all(axis=0)
    counts = np.bincount(np.ravel_multi_index(tuple(index[:, inside]), (*shape, layers)), minlength=len(east))
    stress, _ = stress_at(source, lat, lon, depth, earth)
    if isinstance(receivers, Optimal):
        change = optimal_planes(stress, receivers.regional, friction=earth.friction).change
    else:
        change = on_planes(
            stress, receivers.strike_deg, receivers.dip_deg, receivers.rake_deg, friction=earth.friction
        )
    apart, slip = _nearest(source, np.column_stack([east, north, -depth]))
    block = (east // block_km).astype(int) * 100_003 + (north // block_km).astype(int)
    frame = {"latitude": lat, "longitude": lon, "depth_km": depth, "n_aftershock": counts, "block": block}
    frame |= {"distance_km": apart, "nearest_slip_m": slip, "coulomb": change.coulomb, "shear": change.shear}
    frame |= invariants(stress)
    return pd.DataFrame(frame | {f"stress_{name}": stress[:, s] for s, name in enumerate(STRAIN)})


def _nearest(source: Source, points: Floats) -> tuple[Floats, Floats]:
    """Return the distance of points from the rupture [km] and the slip [m] of the nearest rectangle."""
    apart, slip = np.full(len(points), np.inf), np.zeros(len(points))
    along, down = fault_axes(source.strike_deg, source.dip_deg)
    for i, top in enumerate(source.top_centre):
        offset = points - top
        a = np.clip(offset @ along[i], -source.length_km[i] / 2, source.length_km[i] / 2)
        d = np.clip(offset @ down[i], 0, source.width_km[i])
        far = np.linalg.norm(offset - a[:, None] * along[i] - d[:, None] * down[i], axis=1)
        slip = np.where(far < apart, abs(source.slip_m[i]), slip)
        apart = np.minimum(apart, far)
    return apart, slip


def pattern_test(
    table: pd.DataFrame,
    *,
    learned: bool = False,
    further: Sequence[str] = (),
    n_draw: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Score predictors of which cells hold aftershocks.

    Parameters
    ----------
    table
        `cells`; cells whose stress has no value (on an edge of the source) are left out of all scores alike.
    learned
        Add boosted trees on the six parts of the stress, scored on blocks they have not seen.
    further
        Names of columns to score too, such as the output of another model.
    n_draw, level, seed
        Of the bootstrap over blocks.

    Returns
    -------
    pd.DataFrame
        A row per predictor: ``predictor``, ``auc`` with ``low`` and ``high``, ``gain`` of AUC over the better
        baseline with ``gain_low`` and ``gain_high``, ``n_cell``, ``n_active``, ``n_block``.

    Raises
    ------
    InputError
        When fewer than 10 cells hold aftershocks, or they lie in fewer than two blocks.
    """
    stress = [f"stress_{name}" for name in STRAIN]
    kept = table[np.isfinite(table[stress]).all(axis=1)].reset_index(drop=True)
    active = kept["n_aftershock"].to_numpy() > 0
    blocks = kept["block"].to_numpy()
    if active.sum() < LEAST_CELLS or len(np.unique(blocks[active])) < 2:
        raise InputError(
            f"{int(active.sum())} cells in {len(np.unique(blocks[active]))} blocks hold aftershocks; "
            f"the test needs {LEAST_CELLS} cells in two blocks: give more aftershocks or smaller cells"
        )
    logs = np.log(
        np.column_stack([np.maximum(kept["distance_km"], 0.1), np.maximum(kept["nearest_slip_m"], 0.01)])
    )
    predictors: dict[str, Floats] = {
        "distance": -kept["distance_km"].to_numpy(),
        "distance_and_slip": _unseen(logs, active, blocks, boosted=False),
        "coulomb": kept["coulomb"].to_numpy(),
        "coulomb_sign": np.sign(kept["coulomb"].to_numpy()),
        "coulomb_size": np.abs(kept["coulomb"].to_numpy()),
        **{
            name: kept[name].to_numpy(dtype=float)
            for name in ("max_shear", "von_mises", "sum_of_parts", *further)
        },
    }
    if learned:
        predictors["boosted_stress"] = _unseen(kept[stress].to_numpy(), active, blocks, boosted=True)
    names = list(predictors)
    whole = np.array([auc(active, predictors[name]) for name in names])
    reference = names.index(max(BASELINES, key=lambda name: whole[names.index(name)]))
    draws = _draws(active, blocks, list(predictors.values()), n_draw, seed)
    tails = [50 * (1 - level), 50 * (1 + level)]
    low, high = np.percentile(draws, tails, axis=0)
    gain_low, gain_high = np.percentile(draws - draws[:, [reference]], tails, axis=0)
    return pd.DataFrame(
        {
            "predictor": names,
            "auc": whole,
            "low": low,
            "high": high,
            "gain": whole - whole[reference],
            "gain_low": gain_low,
            "gain_high": gain_high,
            "n_cell": len(kept),
            "n_active": int(active.sum()),
            "n_block": len(np.unique(blocks)),
        }
    )


def auc(active: ArrayLike, score: ArrayLike) -> float:
    """Return the area under the ROC curve: how probably an active cell outranks another."""
    from scipy.stats import rankdata

    truth, value = np.asarray(active, dtype=bool), np.asarray(score, dtype=float)
    n = int(truth.sum())
    if not 0 < n < len(truth) or not np.isfinite(value).all():
        raise InputError("an area under the ROC curve needs both kinds of cells and finite scores")
    return float((rankdata(value)[truth].sum() - n * (n + 1) / 2) / (n * (len(truth) - n)))


def _unseen(
    features: Floats, active: NDArray[np.bool_], blocks: NDArray[np.int64], *, boosted: bool
) -> Floats:
    """Return the probability of each cell by a model fitted on other blocks."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    order = np.unique(blocks)
    rng = np.random.default_rng(0)
    # Blocks with aftershocks are dealt out evenly, so that every fit has seen some.
    busy = np.isin(order, blocks[active])
    fold_of = np.empty(len(order), dtype=int)
    for part in (busy, ~busy):
        fold_of[part] = rng.permutation(np.arange(part.sum()) % N_FOLD)
    fold = fold_of[np.searchsorted(order, blocks)]
    out = np.zeros(len(active))
    for number in range(N_FOLD):
        test = fold == number
        train = ~test
        if not test.any():
            continue
        if not active[train].any():
            raise InputError("all aftershocks lie in one block; make the cells or the blocks smaller")
        model = (
            HistGradientBoostingClassifier(max_iter=100, max_leaf_nodes=15, random_state=0)
            if boosted
            else LogisticRegression(C=1e6, max_iter=1000)
        )
        out[test] = model.fit(features[train], active[train]).predict_proba(features[test])[:, 1]
    return out


def _draws(
    active: NDArray[np.bool_], blocks: NDArray[np.int64], scores: list[Floats], n_draw: int, seed: int
) -> Floats:
    """Return areas ``(n_draw, n_predictor)`` of drawn blocks, the same for all predictors."""
    rng = np.random.default_rng(seed)
    _, member = np.unique(blocks, return_inverse=True)
    n_block = member.max() + 1
    sorted_ = []
    for score in scores:
        order = np.argsort(score, kind="stable")
        new = np.diff(score[order], prepend=np.nan) != 0
        sorted_.append((order, np.cumsum(new) - 1))
    out = np.empty((n_draw, len(scores)))
    done = 0
    while done < n_draw:
        weight = np.bincount(rng.integers(n_block, size=n_block), minlength=n_block)[member].astype(float)
        hits, misses = weight * active, weight * ~active
        if not (hits.any() and misses.any()):
            continue
        for column, (order, tie) in enumerate(sorted_):
            up, down = np.bincount(tie, hits[order]), np.bincount(tie, misses[order])
            below = np.cumsum(down) - down
            out[done, column] = (up * (below + 0.5 * down)).sum() / (up.sum() * down.sum())
        done += 1
    return out
