"""PickerXL, a network trained on STEAD whose weights come in its wheel.

Chai et al. 2025, https://doi.org/10.1785/0220240353.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kaname.automation.pick.network import NetworkPicker, NetworkSettings, at_rate
from kaname.automation.pick.registry import picker
from kaname.core.errors import InputError, MissingDependencyError
from kaname.core.waveform import Waveform
from kaname.signal.filters import bandpass, filter_block, rest_state

Array = NDArray[np.float64]

RATE_HZ = 100.0
N_SAMPLE = 5700
LOW_HZ = 1.0
"""STEAD, on which it was trained, is high-passed at 1 Hz."""


class PickerXLSettings(NetworkSettings):
    """Settings of PickerXL; the least probabilities are its authors'."""

    min_probability_p: float = Field(0.1, gt=0, le=1, description="P picks below this are dropped")
    min_probability_s: float = Field(0.1, gt=0, le=1, description="S picks below this are dropped")


class PickerXLNetwork:
    """The network on windows of 57 s; other rates than 100 Hz are resampled window by window."""

    window_s = N_SAMPLE / RATE_HZ

    def __init__(self) -> None:
        try:
            from pickerxl.pickerxl import Picker as Model
        except ImportError as error:
            raise MissingDependencyError(
                f"picker 'pickerxl' needs the packages pickerxl and torch ({error}); "
                "install them with: pip install 'kaname[pickerxl]'"
            ) from error
        self.model = Model()

    def predict(self, window: Waveform) -> tuple[Array, float]:
        """Return the probabilities of P and S, see `kaname.automation.pick.network.Network`."""
        import torch

        data = at_rate(window, RATE_HZ, N_SAMPLE)
        sos = bandpass(LOW_HZ, RATE_HZ, RATE_HZ)
        data, _ = filter_block(sos, data, rest_state(sos, data[:, 0]))
        with torch.no_grad():
            curves = self.model.predict_probability(data[np.newaxis, ::-1].copy())[0].numpy()  # E, N, Z
        return curves[1:3].astype(np.float64), RATE_HZ


@picker("pickerxl")
class PickerXL(NetworkPicker):
    """PickerXL on continuous data."""

    Settings = PickerXLSettings

    def __init__(self, settings: PickerXLSettings, variant: str = "") -> None:
        if variant:
            raise InputError(f"pickerxl has one set of weights, found {variant!r}; call it 'pickerxl'")
        super().__init__("pickerxl", PickerXLNetwork(), settings, version=version("pickerxl"))
