"""Pickers on labelled records, on long noise and on swarms: what ``kaname bench picking`` measures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from kaname.automation.pick import Pick, Picker, get_picker, names, picks_table, settings_of
from kaname.core.errors import KanameError, MissingDependencyError, NotFoundError
from kaname.core.progress import progress
from kaname.core.step import run
from kaname.core.tables import FAILURES, PICKS, table
from kaname.core.time import add_seconds
from kaname.core.waveform import Waveform
from kaname.evaluate import noise, swarm
from kaname.evaluate.calibration import coverage, poisson_interval, reliability
from kaname.evaluate.picks import match_picks, near_label, score_dense, score_picks
from kaname.formats.labelled import LabelledRecord

PHASES = ("P", "S")
LOW = 0.02
"""Methods are run with this least probability once; every other is a choice among their picks."""
STEPS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
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

    Without a wish: every picker that needs no variant.
    """
    found, skipped = [], []
    for name in wanted or [n for n in names() if n != "seisbench"]:
        try:
            found.append(_method(name, least))
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


@dataclass
class Judged:
    """Records of one set with the picks of one method.

    Each record is a station of its own, so that none are mixed up. Picks count where the record has a label
    of their phase, which then tells whether they are true.
    """

    set: str
    method: Method
    records: Sequence[LabelledRecord]
    failures: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        found: list[pd.DataFrame] = []
        truth: list[dict[str, Any]] = []
        quiet: list[pd.DataFrame] = []
        self.quiet_hours = 0.0
        for i, record in enumerate(self.records):
            station = f"R{i:07d}"
            for phase, times in record.labels.items():
                truth += [
                    {"pick_id": f"{station}{phase}{j}", "station": station, "phase": phase, "time": t}
                    for j, t in enumerate(times)
                ]
            try:
                picks = list(run(self.method.low, [record.wave]))
            except KanameError as error:
                # Its labels count as missed.
                self.failures.append(
                    {
                        "step": self.method.name,
                        "subject": f"{record.source} {record.name}",
                        "error": type(error).__name__,
                        "message": str(error),
                    }
                )
                continue
            own = picks_table(p._replace(network="", station=station, location="") for p in picks)
            found.append(own[own["phase"].isin(list(record.labels))])
            if record.labels.get("P"):
                first = min(t for times in record.labels.values() for t in times)
                low, high = add_seconds(record.wave.start, WARMUP_S), add_seconds(first, -2.0)
                if low < high:
                    self.quiet_hours += float((high - low) / np.timedelta64(1, "h"))
                    quiet.append(own[(own["time"] >= low) & (own["time"] < high)])
        self.labels = table(truth, PICKS)
        self.picks = pd.concat(found, ignore_index=True) if found else picks_table([])
        self.quiet = pd.concat(quiet, ignore_index=True) if quiet else picks_table([])

    def above(self, least: dict[str, float] | float | None = None) -> pd.DataFrame:
        """Return the picks of so much probability; by default, of the method's own."""
        return _above(self.picks, self.method.least if least is None else least)

    def scores(self) -> pd.DataFrame:
        """Return the score table, phases without labels left out."""
        score = score_picks(self.above(), self.labels)
        return self._named(score[score["n_label"] > 0])

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

    def operating(self) -> pd.DataFrame:
        """Return recall, precision and false picks by least probability."""
        rows = []
        for least in STEPS:
            if least < min(self.method.least.values()) and self.method.low is self.method.picker:
                continue
            score = score_picks(self.above(least), self.labels, tolerances_s=(0.1, 0.5))
            score = score.set_index(["phase", "tolerance_s"])
            quiet = _above(self.quiet, least)
            for phase in self.labels["phase"].unique():
                wide = score.loc[(phase, 0.5)]
                n = int((quiet["phase"] == phase).sum())
                rows.append(
                    {
                        "phase": phase,
                        "min_probability": least,
                        "recall": wide["recall"],
                        "precision": wide["precision"],
                        "f1_01": score.loc[(phase, 0.1), "f1"],
                        "f1_05": wide["f1"],
                        "per_hour": n / self.quiet_hours if self.quiet_hours else np.nan,
                    }
                )
        return self._named(pd.DataFrame(rows))

    def _named(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(set=self.set, method=self.method.name)


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
    """Score methods on events pasted into spliced noise at each rate."""
    events = cut_events(records)
    quiet = noise.long_noise(pieces, hours * 3600, kind="spliced", seed=seed)
    out = []
    for rate in rates:
        wave, labels = swarm.paste(quiet, events, per_hour=rate, seed=seed)
        blocks = noise.hours_of(wave)
        for method in methods:
            score = score_dense(picks_table(method.run(blocks)), labels)
            out.append(score.assign(set=name, method=method.name, events_per_hour=rate))
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


def judge(methods: Sequence[Method], records: Sequence[LabelledRecord]) -> tuple[list[Judged], pd.DataFrame]:
    """Run every method on every set; return the outcomes and the failures table."""
    sets = list(dict.fromkeys(r.source for r in records))
    out = []
    with progress("bench picking", len(methods) * len(sets)) as advance:
        for name in sets:
            own = [r for r in records if r.source == name]
            for method in methods:
                out.append(Judged(name, method, own))
                advance(1)
    return out, table([row for j in out for row in j.failures], FAILURES)
