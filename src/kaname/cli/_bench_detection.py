"""``kaname bench detection``: events found and false detections of detectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.automation.detect import Detector, DetectorSettings
from kaname.cli._bench import emit, find_methods, quiet_pieces, read_sets, write
from kaname.core.errors import NotFoundError
from kaname.core.provenance import software, write_json
from kaname.core.step import run
from kaname.core.tables import validate
from kaname.core.time import add_seconds, seconds_between
from kaname.core.waveform import Waveform
from kaname.evaluate import noise, scorecard
from kaname.evaluate.calibration import poisson_interval
from kaname.evaluate.catalogues import wilson
from kaname.formats.labelled import LabelledRecord
from kaname.signal.filters import bandpass, filter_block, rest_state
from kaname.signal.trigger import recursive_sta_lta

Span = tuple[np.datetime64, np.datetime64]


@dataclass(frozen=True)
class Detect:
    """A method."""

    run: Callable[[Sequence[Waveform], float], list[Span]]
    """Contiguous blocks of one sensor and a threshold in, stretches with an earthquake out."""
    own: float
    """The threshold that it has by itself."""
    others: tuple[float, ...] = ()
    """Thresholds that are tried too."""

    @property
    def thresholds(self) -> list[float]:
        """All of them, in order."""
        return sorted({self.own, *self.others})


CODA = 1.4
"""An event is labelled from P to S plus so many times S minus P; 5 s from P without S."""
WITHOUT_S_S = 5.0
TRIGGER_ON, TRIGGER_OFF = 3.5, 1.0
RATIOS = (2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
PROBABILITIES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DEAF_S = 5.0
"""Not counted as noise: the start of a record."""


def sta_lta(blocks: Sequence[Waveform], trigger_on: float) -> list[Span]:
    """Recursive STA/LTA, 0.5 s over 10 s on 2 to 20 Hz, the largest of the channels; off at 1."""
    from obspy.signal.trigger import trigger_onset

    wave = blocks[0]
    rate = wave.sampling_rate
    data = np.concatenate([b.data for b in blocks], axis=1).astype(np.float64)
    sos = bandpass(2.0, 20.0, rate)
    filtered, _ = filter_block(sos, data, rest_state(sos, data[:, 0]))
    n_sta, n_lta = max(1, round(0.5 * rate)), round(10 * rate)
    ratio = np.max([recursive_sta_lta(x, n_sta, n_lta) for x in filtered], axis=0)
    spans = trigger_onset(ratio, trigger_on, TRIGGER_OFF)
    return [(wave.time(int(on)), wave.time(int(off))) for on, off in spans]


def kaname(model: str = "") -> Detect:
    """The detector of the package, or of a file."""
    weights = {"weights": model} if model else {}
    own = Detector(DetectorSettings(**weights)).threshold

    def detect(blocks: Sequence[Waveform], threshold: float) -> list[Span]:
        detector = Detector(DetectorSettings(**weights, threshold=threshold))
        return [(d.start, d.end) for d in run(detector, blocks)]

    return Detect(detect, own, PROBABILITIES)


METHODS: dict[str, Callable[[], Detect]] = {
    "kaname": kaname,
    "sta_lta": lambda: Detect(sta_lta, TRIGGER_ON, RATIOS),
}


def event_of(record: LabelledRecord) -> Span | None:
    """Return from when to when there is an earthquake; ``None`` without a P."""
    if not record.labels.get("P"):
        return None
    p = min(record.labels["P"])
    if not record.labels.get("S"):
        return p, add_seconds(p, WITHOUT_S_S)
    s = max(record.labels["S"])
    return p, add_seconds(s, max(CODA * seconds_between(p, s), 0.5))


def score(
    name: str, method: str, detect: Detect, records: Sequence[LabelledRecord]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return rows of events found in a set and of false detections before its events, by threshold."""
    found, false = [], []
    known = [(r, event) for r in records if (event := event_of(r)) is not None]
    for threshold in detect.thresholds:
        at = {"threshold": threshold, "own": threshold == detect.own}
        late: dict[str, list[float]] = {"P and S": [], "P": []}
        n_event, n_false, hours = dict.fromkeys(late, 0), 0, 0.0
        for record, event in known:
            labels = "P and S" if record.labels.get("S") else "P"
            n_event[labels] += 1
            spans = detect.run([record.wave], threshold)
            hits = [d for d in spans if d[0] < event[1] and d[1] > event[0]]
            late[labels] += [seconds_between(event[0], min(hits)[0])] if hits else []
            low, high = add_seconds(record.wave.start, DEAF_S), add_seconds(event[0], -2.0)
            if low < high:
                hours += seconds_between(low, high) / 3600
                n_false += len([d for d in spans if low <= d[0] < high and d[1] < event[0]])
        for labels, own in late.items():
            if n := n_event[labels]:
                least, most = wilson(len(own), n)
                row = {
                    "set": name,
                    "method": method,
                    "labels": labels,
                    **at,
                    "n_event": n,
                    "n_found": len(own),
                }
                row |= {"recall": len(own) / n, "recall_low": least, "recall_high": most}
                found.append({**row, "late_s": float(np.median(own)) if own else np.nan})
        false.append(false_row(name, method, "before events", n_false, hours) | at)
    return found, false


def false_row(name: str, method: str, kind: str, n: int, hours: float) -> dict[str, Any]:
    """Return a row of the table of false detections."""
    low, high = poisson_interval(n, hours)
    rate = {"per_hour": n / hours if hours else np.nan, "per_hour_low": low, "per_hour_high": high}
    return {"set": name, "method": method, "noise": kind, "n_detection": n, "hours": hours, **rate}


def on_noise(
    found: Mapping[str, Detect], records: Sequence[LabelledRecord], *, hours: float, seed: int
) -> list[dict[str, Any]]:
    """Count detections on long noise of both kinds, see `kaname.evaluate.noise`."""
    out = []
    for kind in noise.KINDS:
        blocks = noise.hours_of(noise.long_noise(quiet_pieces(records), hours * 3600, kind=kind, seed=seed))
        for method, detect in found.items():
            for threshold in detect.thresholds:
                row = false_row("all", method, kind, len(detect.run(blocks, threshold)), hours)
                out.append({**row, "threshold": threshold, "own": threshold == detect.own})
    return out


def summary(found: pd.DataFrame, false: pd.DataFrame) -> pd.DataFrame:
    """Return the one table: a row per method and threshold, events found and false detections per hour."""
    rows = []
    for (method, threshold), own in found.groupby(["method", "threshold"], sort=False):
        mark = "*" if own["own"].iloc[0] else ""
        row: dict[str, Any] = {"method": method, "threshold": f"{threshold:g}{mark}"}
        row |= {f"{r.set} {r.labels}": f"{r.n_found}/{r.n_event}" for r in own.itertuples()}
        quiet = false[(false["method"] == method) & (false["threshold"] == threshold)]
        row |= {f"false/h {r.set} {r.noise}": f"{r.per_hour:.1f}" for r in quiet.itertuples()}
        rows.append(row)
    return pd.DataFrame(rows)


def command(
    data: Sequence[str],
    *,
    methods: Sequence[str],
    split: str,
    split_by: str,
    limit: int | None,
    clock: Sequence[str],
    noise_hours: float,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run the benchmark and show it, see ``kaname bench detection --help``."""
    found, skipped = find_methods(METHODS, methods, model=kaname, what="detector")
    if not found:
        raise NotFoundError("none of the methods is here:\n  " + "\n  ".join(skipped["reason"]))
    records, moved, failures = read_sets(data, split=split, by=split_by, limit=limit, clock=clock)
    sets = {name: [r for r in moved if r.source == name] for name in dict.fromkeys(r.source for r in moved)}
    pairs = [
        score(name, method, detect, own) for name, own in sets.items() for method, detect in found.items()
    ]
    events = pd.DataFrame([row for rows, _ in pairs for row in rows])
    false = [row for _, rows in pairs for row in rows]
    if noise_hours:
        false += on_noise(found, records, hours=noise_hours, seed=seed)
    written = {
        "scores": (validate(events, scorecard.DETECTION), scorecard.DETECTION),
        "false_detections": (
            validate(pd.DataFrame(false), scorecard.FALSE_DETECTIONS),
            scorecard.FALSE_DETECTIONS,
        ),
        "skipped": (validate(skipped, scorecard.SKIPPED), scorecard.SKIPPED),
    }
    tables = {name: frame for name, (frame, _) in written.items()}
    if out is not None:
        from kaname.report.bench import detections

        write(out, written)
        write_json(out / "run.json", {"seed": seed, "noise hours": noise_hours, "software": software()})
        detections(tables["scores"], tables["false_detections"]).savefig(out / "detections.png", dpi=120)
    if as_json:
        emit(tables, failures, as_json=True)
    else:
        shown = summary(tables["scores"], tables["false_detections"])
        emit(
            {"found, and false per hour; *: its own threshold": shown, "skipped": skipped},
            failures,
            as_json=False,
        )
