"""``kaname bench detection``: events found and false detections of detectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.automation.detect import Detector
from kaname.cli._bench import emit, find_methods, quiet_pieces, read_sets, write
from kaname.core.errors import NotFoundError
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
Detect = Callable[[Sequence[Waveform]], list[Span]]
"""What a method offers: contiguous blocks of one sensor in, stretches with an earthquake out."""

CODA = 1.4
"""An event is labelled from P to S plus so many times S minus P; 5 s from P without S."""
WITHOUT_S_S = 5.0
TRIGGER_ON, TRIGGER_OFF = 3.5, 1.0
DEAF_S = 5.0
"""Not counted as noise: the start of a record."""


def sta_lta(blocks: Sequence[Waveform]) -> list[Span]:
    """Recursive STA/LTA, 0.5 s over 10 s on 2 to 20 Hz, the largest of the channels; on at 3.5, off at 1."""
    from obspy.signal.trigger import trigger_onset

    wave = blocks[0]
    rate = wave.sampling_rate
    data = np.concatenate([b.data for b in blocks], axis=1).astype(np.float64)
    sos = bandpass(2.0, 20.0, rate)
    filtered, _ = filter_block(sos, data, rest_state(sos, data[:, 0]))
    n_sta, n_lta = max(1, round(0.5 * rate)), round(10 * rate)
    ratio = np.max([recursive_sta_lta(x, n_sta, n_lta) for x in filtered], axis=0)
    spans = trigger_onset(ratio, TRIGGER_ON, TRIGGER_OFF)
    return [(wave.time(int(on)), wave.time(int(off))) for on, off in spans]


def kaname() -> Detect:
    """The detector of the package, with its own threshold."""
    detector = Detector()
    return lambda blocks: [(d.start, d.end) for d in run(detector, blocks)]


METHODS: dict[str, Callable[[], Detect]] = {"kaname": kaname, "sta_lta": lambda: sta_lta}


def event_of(record: LabelledRecord) -> Span | None:
    """Return from when to when there is an earthquake; ``None`` without a P."""
    if not record.labels.get("P"):
        return None
    p = min(record.labels["P"])
    if not record.labels.get("S"):
        return p, add_seconds(p, WITHOUT_S_S)
    s = max(record.labels["S"])
    return p, add_seconds(s, max(CODA * seconds_between(p, s), 0.5))


def score(name: str, method: str, detect: Detect, records: Sequence[LabelledRecord]) -> tuple[Any, Any]:
    """Return the row of events found in a set, and that of false detections before its events."""
    late: list[float] = []
    n_event = n_false = 0
    hours = 0.0
    for record in records:
        event = event_of(record)
        if event is None:
            continue
        n_event += 1
        spans = detect([record.wave])
        hits = [d for d in spans if d[0] < event[1] and d[1] > event[0]]
        late += [seconds_between(event[0], min(hits)[0])] if hits else []
        low, high = add_seconds(record.wave.start, DEAF_S), add_seconds(event[0], -2.0)
        if low < high:
            hours += seconds_between(low, high) / 3600
            n_false += len([d for d in spans if low <= d[0] < high and d[1] < event[0]])
    least, most = wilson(len(late), n_event)
    recall = {"recall": len(late) / n_event if n_event else np.nan, "recall_low": least, "recall_high": most}
    row = {"set": name, "method": method, "n_event": n_event, "n_found": len(late), **recall}
    row["late_s"] = float(np.median(late)) if late else np.nan
    return row, false_row(name, method, "before events", n_false, hours)


def false_row(name: str, method: str, kind: str, n: int, hours: float) -> dict[str, Any]:
    """Return a row of the table of false detections."""
    low, high = poisson_interval(n, hours)
    rate = {"per_hour": n / hours if hours else np.nan, "per_hour_low": low, "per_hour_high": high}
    return {"set": name, "method": method, "noise": kind, "n_detection": n, "hours": hours, **rate}


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
    found, skipped = find_methods(METHODS, methods, what="detector")
    if not found:
        raise NotFoundError("none of the methods is here:\n  " + "\n  ".join(skipped["reason"]))
    whole, cut, failures = read_sets(data, split=split, by=split_by, limit=limit, clock=clock)
    pairs = [
        score(name, method, detect, [r for r in cut if r.source == name])
        for name in dict.fromkeys(r.source for r in cut)
        for method, detect in found.items()
    ]
    false = [row for _, row in pairs]
    if noise_hours:
        for kind in noise.KINDS:
            made = noise.long_noise(quiet_pieces(whole), noise_hours * 3600, kind=kind, seed=seed)
            blocks = noise.hours_of(made)
            false += [false_row("all", m, kind, len(d(blocks)), noise_hours) for m, d in found.items()]
    written = {
        "scores": (
            validate(pd.DataFrame([row for row, _ in pairs]), scorecard.DETECTION),
            scorecard.DETECTION,
        ),
        "false_detections": (
            validate(pd.DataFrame(false), scorecard.FALSE_DETECTIONS),
            scorecard.FALSE_DETECTIONS,
        ),
        "skipped": (validate(skipped, scorecard.SKIPPED), scorecard.SKIPPED),
    }
    if out is not None:
        write(out, written)
    emit({name: frame for name, (frame, _) in written.items()}, failures, as_json=as_json)
