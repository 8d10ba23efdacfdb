"""The offset between the clock of waveforms and that of the analysts who labelled them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kaname.automation.pick.classical import measure
from kaname.automation.pick.onset import OnsetStep
from kaname.core.errors import InputError
from kaname.core.step import run
from kaname.core.time import seconds_between
from kaname.formats.labelled import LabelledRecord


def clock_offset(records: Sequence[LabelledRecord]) -> float:
    """Return the seconds by which the waveforms' clock is ahead of the analysts', one for a set.

    It is taken where most labels of all records within 1 s have a strong onset. One constant per event would
    not do: where two earthquakes follow one another within a second, the onsets of either fit the labels.

    Raises
    ------
    InputError
        When no label has an onset within a second.
    """
    grid = np.arange(-1.0, 1.0, 0.01)
    step = OnsetStep(threshold_db=5.0, warmup_s=5.0)
    hits = np.zeros_like(grid)
    for record in records:
        onsets = list(run(step, [record.wave])) if record.labels else []
        for phase, times in record.labels.items():
            measured = [(o, measure(o, phase)) for o in onsets]
            found = [o.at(m.sample) for o, m in measured if m is not None]
            for label in times:
                gaps = [seconds_between(label, t) for t in found]
                near = [np.abs(grid - g) for g in gaps if abs(g) < 1.5]
                if near:
                    hits += np.exp(-0.5 * (np.min(near, axis=0) / 0.03) ** 2)
    if not hits.any():
        raise InputError(f"no onset lies within 1 s of any label of {len(records)} records: no offset to see")
    return float(grid[hits.argmax()])
