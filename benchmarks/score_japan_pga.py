"""Score peak accelerations predicted between stations: the ladder of methods, blocks held out.

python benchmarks/score_japan_pga.py --stations stations.csv [--known OTHER.csv] [--out FOLDER]

``stations.csv``: one row per station, with the mean and deviations of published models beside what was
recorded (`kaname.modeling.strong_motion.flatfiles`, kind ``station_pga``). Every choice is made on training
records. Two rules of holding out 0.5-degree blocks, five folds each:

``everywhere``  a block is held out in all earthquakes at once: a place nobody ever recorded
``this event``  a block is held out in one earthquake: its stations may have recorded others

and ``new event``: all records of an earthquake are held out. Events of ``--known`` are trained on, never
scored.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from kaname.evaluate import scores as score
from kaname.evaluate.audit import audit_ground_motions
from kaname.evaluate.splits import blocks, folds
from kaname.modeling.field.conditioning import Places, Recorded, condition
from kaname.modeling.field.moments import fit_moments
from kaname.modeling.field.residuals import ResidualField, deduplicated, plus_event_term
from kaname.modeling.ground_motion.contract import Prediction
from kaname.modeling.strong_motion.flatfiles import read_flatfile

PROBABILITIES = np.concatenate([[0.001, 0.0025], np.arange(1, 200) / 200, [0.9975, 0.999]])
FEATURES = (
    "longitude",
    "latitude",
    "vs30_m_s",
    "z2pt5_km",
    "rrup_km",
    "rjb_km",
    "magnitude",
    "event_depth_km",
)
RUNGS = ("published", "event term", "conditioned", "boosted+conditioned", "residual field")
LAWS = ("normal", "student", "tails")


def read(path: Path) -> pd.DataFrame:
    """Return the records of a list, one per event and place."""
    table = read_flatfile(path, kind="station_pga").table
    kept = deduplicated(table).reset_index(drop=True)
    print(f"{path.name}: {len(table)} rows, {len(kept)} after duplicates within 1 km")
    return kept


def audited(table: pd.DataFrame, n_fold: int) -> None:
    """Look for leaks between the blocks of the first fold, held out everywhere, and the others."""
    fold = folds(blocks(table["latitude"], table["longitude"]), n_fold=n_fold)
    part = np.where(fold == 0, "test", "train")
    leaks = audit_ground_motions(table, part, "block", measures=["pga_cm_s2"])
    found = leaks[leaks["forbidden"] & (leaks["n"] > 0)]
    said = "; ".join(f"{row.kind}: {row.n} of {row.n_total}" for row in found.itertuples())
    print(f"audit of the split by blocks: {said or 'nothing forbidden is shared'}")


def prior_of(table: pd.DataFrame) -> Prediction:
    columns = ("gmm_mean_ln_pga_cm_s2", "gmm_tau_ln", "gmm_phi_ln")
    return Prediction(*(table[c].to_numpy(float) for c in columns))


def scored(
    table: pd.DataFrame, value: np.ndarray, train: np.ndarray, test: np.ndarray
) -> dict[str, pd.DataFrame]:
    """Predict the test rows by every rung from the training rows; return the scores of each."""
    prior, event = prior_of(table), table["event_id"].to_numpy()
    residual, y = value - prior.mean, value[test]
    out = {"published": score.score_normal(y, prior.mean[test], table["gmm_sigma_ln"].to_numpy()[test])}
    mean, sigma = np.zeros(len(value)), np.zeros(len(value))
    for name in np.unique(event[test]):
        at = np.flatnonzero(event == name)
        term = plus_event_term(
            Prediction(prior.mean[at], prior.tau[at], prior.phi[at]), residual[at], train[at]
        )
        mean[at], sigma[at] = term.mean, term.sigma
    out["event term"] = score.score_normal(y, mean[test], sigma[test])
    out["conditioned"] = conditioned(table, value, prior.mean, prior.mean, train, test)
    fold_out, guess = boosted(table, residual, train, test)
    start, here = prior.mean.copy(), prior.mean.copy()
    start[train] += fold_out
    here[test] += guess
    out["boosted+conditioned"] = conditioned(table, value, start, here, train, test)
    for law in ("choose", *LAWS):
        if law == "choose":
            field = ResidualField().fit(
                table[train], value[train], Prediction(prior.mean[train], prior.tau[train], prior.phi[train])
            )
            found = field.predict(table[test], Prediction(prior.mean[test], prior.tau[test], prior.phi[test]))
            margin, z = field.margin_, field.held_out_
        else:
            from kaname.modeling.field.margins import fit

            margin = fit(law, z) if len(z) >= 100 else field.margin_
        quantiles = found.mean[:, None] + found.scale[:, None] * margin.quantile(PROBABILITIES)
        out["residual field" if law == "choose" else f"residual field, {law}"] = score.score_quantiles(
            y, quantiles, PROBABILITIES
        ).assign(law=margin.name)
    return out


def conditioned(table, value, start, here, train, test) -> pd.DataFrame:
    """Condition on the training rows with moments estimated from them; means of training and test rows."""
    event, lat, lon = (table[c].to_numpy() for c in ("event_id", "latitude", "longitude"))
    known = np.flatnonzero(train)
    moments = fit_moments(value[known] - start[known], event[known], lat[known], lon[known])
    mean, sigma = np.zeros(len(value)), np.zeros(len(value))
    for name in np.unique(event[test]):
        at, own = np.flatnonzero(test & (event == name)), np.flatnonzero(train & (event == name))
        recorded = Recorded(
            Places("pga", lat[own], lon[own], start[own], moments.tau, moments.phi), value[own]
        )
        places = Places("pga", lat[at], lon[at], here[at], moments.tau, moments.phi)
        field = condition([recorded], places, spatial=moments.correlation)
        mean[at], sigma[at] = field.mean, field.sigma
    return score.score_normal(value[test], mean[test], sigma[test])


def boosted(table, residual, train, test) -> tuple[np.ndarray, np.ndarray]:
    """Return residuals predicted by boosting: of training rows by other blocks' trees, and of test rows."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    x = table[list(FEATURES)].to_numpy(float)
    model = HistGradientBoostingRegressor(max_iter=200, learning_rate=0.05, random_state=0)
    block = blocks(table["latitude"], table["longitude"])[train]
    fold, out = folds(block, n_fold=5, seed=1), np.zeros(int(train.sum()))
    xt, rt = x[train], residual[train]
    for k in range(5):
        out[fold == k] = model.fit(xt[fold != k], rt[fold != k]).predict(xt[fold == k])
    return out, model.fit(xt, rt).predict(x[test])


def tables_of(table: pd.DataFrame, own: np.ndarray, rule: str, n_fold: int) -> dict[str, pd.DataFrame]:
    """Return the scores of every rung under a rule, a row per scored record."""
    value = np.log(table["pga_cm_s2"].to_numpy(float))
    block = blocks(table["latitude"], table["longitude"])
    event = table["event_id"].to_numpy()
    if rule == "new event":
        fold = np.unique(event, return_inverse=True)[1]
    else:
        fold = folds(block if rule == "everywhere" else np.char.add(event.astype(str), block), n_fold=n_fold)
    parts: dict[str, list[pd.DataFrame]] = {}
    for k in np.unique(fold[own]):
        test = (fold == k) & own
        train = fold != k
        for name, found in scored(table, value, train, test).items():
            of_record = table.loc[test, ["magnitude", "rrup_km", "vs30_m_s"]].to_dict("list")
            rows = found.assign(event=event[test], block=block[test], **of_record)
            parts.setdefault(name, []).append(rows)
    return {name: pd.concat(rows, ignore_index=True) for name, rows in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stations", type=Path, required=True)
    parser.add_argument("--known", type=Path, nargs="*", default=[])
    parser.add_argument("--rules", nargs="*", default=["everywhere", "this event", "new event"])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    own = read(options.stations)
    table = pd.concat([own, *(read(p) for p in options.known)], ignore_index=True)
    audited(table, options.folds)
    scored_rows = np.arange(len(table)) < len(own)
    for rule in options.rules:
        if rule == "new event" and table["event_id"].nunique() < 2:
            print(
                "\n## held out: new event\n\nleft out: there is one earthquake only; give others with --known"
            )
            continue
        start = time.perf_counter()
        found = tables_of(table, scored_rows, rule, options.folds)
        show(rule, found)
        print(f"  {time.perf_counter() - start:.0f} s", flush=True)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            for name, rows in found.items():
                stem = f"{rule} {name}".replace(" ", "_").replace(",", "").replace("+", "_")
                rows.to_csv(options.out / f"{stem}.csv", index=False)


def show(rule: str, found: dict[str, pd.DataFrame]) -> None:
    """Print the ladder under a rule: pooled, weighted by event, and event by event."""
    print(f"\n## held out: {rule}\n")
    print(f"{'':26s} {'all records':^38s} | {'mean of events':^22s} | above q95, q99")
    print(
        f"{'':26s} {'RMSE':>7s} {'CRPS':>7s} {'log':>7s} {'cover 90':>14s} | "
        f"{'RMSE':>7s} {'CRPS':>7s} {'90':>6s} |"
    )
    for name, rows in found.items():
        table = score.summary(rows, rows["event"].to_numpy()).set_index("group")
        a, m = table.loc["all"], table.loc["mean of groups"]
        print(
            f"{name:26s} {a.rmse:7.4f} {a.crps:7.4f} {a.log_score:7.3f}  {a.cover_90:.3f}"
            f"            | {m.rmse:7.4f} {m.crps:7.4f} {m.cover_90:6.3f} | {a.above_95:.3f} {a.above_99:.3f}"
        )
    ours = found["residual field"]
    best = min((n for n in RUNGS[:-1]), key=lambda n: found[n]["crps"].mean())
    for rival in dict.fromkeys(["boosted+conditioned", best]):
        theirs = found[rival]
        rmse = [np.sqrt((f["residual"] ** 2).mean()) for f in (ours, theirs)]
        gain = 1 - ours["crps"].mean() / theirs["crps"].mean()
        mean, low, high = score.block_bootstrap(
            (theirs["crps"] - ours["crps"]).to_numpy(), ours["block"].to_numpy()
        )
        print(
            f"residual field beside {rival}: RMSE {100 * (1 - rmse[0] / rmse[1]):.1f} % and "
            f"CRPS {100 * gain:.1f} % lower (CRPS by {mean:.4f}, {low:.4f} to {high:.4f}, blocks drawn)"
        )
    print("laws chosen: " + ", ".join(sorted(set(ours["law"]))))
    summary = score.summary(ours, ours["event"].to_numpy()).iloc[2:]
    for row in summary.itertuples():
        print(
            f"  {row.group:36s} n {row.n:5d}  RMSE {row.rmse:.3f}  CRPS {row.crps:.3f}  "
            f"cover 90 {row.cover_90:.3f} ({row.cover_90_low:.3f} to {row.cover_90_high:.3f})  "
            f"above q95 {row.above_95:.3f}, q99 {row.above_99:.3f}"
        )


if __name__ == "__main__":
    main()
