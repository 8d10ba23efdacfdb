"""Figures of seismicity: what is drawn can be read."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from kaname.report.seismicity import gains


def test_gains_are_drawn_with_labels_that_do_not_overlap() -> None:
    rng = np.random.default_rng(0)
    n = 400
    day = np.sort(rng.uniform(0, 731, n))
    events = pd.DataFrame(
        {
            "time": np.datetime64("2016-01-01", "ns") + (day * 86400e9).astype("timedelta64[ns]"),
            "longitude": rng.uniform(-117, -116, n),
            "latitude": rng.uniform(33, 34, n),
        }
    )
    gained = {"hybrid": rng.normal(0.05, 0.3, n), "neural": rng.normal(-0.35, 0.5, n)}
    figure = gains(events, gained, over="ETAS", title="San Jacinto")
    figure.canvas.draw()
    axes = figure.get_axes()
    assert "gain over ETAS" in axes[0].get_title(loc="left")
    assert axes[0].lines[0].get_ydata()[-1] == pytest.approx(gained["hybrid"].sum())
    for one in axes:
        for along, axis in ((0, one.xaxis), (1, one.yaxis)):
            boxes = [label.get_window_extent() for label in axis.get_ticklabels() if label.get_text()]
            ends = sorted((box.x0, box.x1) if along == 0 else (box.y0, box.y1) for box in boxes)
            assert all(a[1] <= b[0] for a, b in pairwise(ends))
