"""Logarithm and exponential against NumPy's."""

from __future__ import annotations

import numpy as np
from numba import njit

from kaname.discovery.seismicity import elementary


@njit(fastmath={"reassoc", "contract", "arcp", "nsz"}, error_model="numpy")
def _both(x, y):
    log, exp = np.empty_like(x), np.empty_like(y)
    for i in range(len(x)):
        log[i], exp[i] = elementary.log(x[i]), elementary.exp(y[i])
    return log, exp


def test_they_are_right_to_the_last_digits_also_where_the_caller_may_reassociate():
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [np.exp(rng.uniform(-700, 700, 20_000)), np.exp2(np.arange(-100.0, 100.0)), [1.0, 0.5, 2.0]]
    )
    y = np.resize(np.concatenate([rng.uniform(-699, 700, 20_000), [0.0, -0.0, 1.0, -700.0]]), x.shape)
    log, exp = _both(x, y)
    np.testing.assert_allclose(log, np.log(x), rtol=2e-15, atol=3e-15)
    np.testing.assert_allclose(exp, np.exp(y), rtol=1e-13)


def test_what_is_too_small_stays_small_and_positive():
    exp = _both(np.ones(2), np.array([-800.0, -1e9]))[1]
    assert (exp > 0).all() and (exp < 1e-300).all()


@njit(fastmath={"reassoc", "contract", "arcp", "nsz"}, error_model="numpy")
def _near_one(x):
    log, lost = np.empty_like(x), np.empty_like(x)
    for i in range(len(x)):
        log[i], lost[i] = elementary.log1p(x[i]), elementary.one_minus_exp(x[i])
    return log, lost


def test_near_one_no_digit_is_lost():
    x = np.concatenate([[0.0], np.geomspace(1e-300, 600, 20_000), np.linspace(0.3, 0.7, 5000)])
    log, lost = _near_one(x)
    np.testing.assert_allclose(log, np.log1p(x), rtol=4e-15)
    np.testing.assert_allclose(lost, -np.expm1(-x), rtol=2e-13)
