"""Molchan's trajectory and the area skill, against chance and certainty."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kaname.core.errors import InputError
from kaname.discovery.seismicity.alarms import molchan


def test_the_best_and_the_worst_forecast():
    rate = np.arange(10.0)
    one = np.zeros(10)
    one[9] = 3
    best = molchan(rate, one, np.ones(10))
    assert best.skill == pytest.approx(0.95)
    assert best.alarm[-1] == pytest.approx(1)
    assert best.missed.tolist() == pytest.approx([1] + [0] * 10)
    assert molchan(-rate, one, np.ones(10)).skill == pytest.approx(0.05)


def test_one_rate_everywhere_has_no_skill():
    found = molchan(np.ones(10), np.ones(10), np.ones(10))
    assert found.skill == pytest.approx(0.5)
    assert found.p_value == pytest.approx(0.5)


@pytest.mark.parametrize("n", [5, 40])
def test_p_values_of_chance_are_uniform(n):
    rng = np.random.default_rng(1)
    p = []
    for _ in range(500):
        count = rng.multinomial(n, np.full(2000, 1 / 2000))
        p.append(molchan(rng.random(2000), count, np.ones(2000)).p_value)
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_no_earthquake_and_impossible_places_are_refused():
    with pytest.raises(InputError):
        molchan(np.ones(3), np.zeros(3), np.ones(3))
    with pytest.raises(InputError):
        molchan(np.ones(3), [1, 0, 0], [0, 1, 1])
