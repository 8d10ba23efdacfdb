"""Any picker of SeisBench by name: ``seisbench:MODEL/WEIGHTS``, such as ``seisbench:phasenet/stead``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaname.automation.pick.network import NetworkPicker, NetworkSettings
from kaname.automation.pick.registry import picker
from kaname.core.errors import InputError, MissingDependencyError, NotFoundError
from kaname.core.waveform import Waveform

Array = NDArray[np.float64]

MODELS = {
    "phasenet": "PhaseNet",
    "eqtransformer": "EQTransformer",
    "gpd": "GPD",
    "basicphaseae": "BasicPhaseAE",
}


class SeisBenchNetwork:
    """A SeisBench model; resampling, filtering and normalisation are the model's own.

    Parameters
    ----------
    model
        A ``seisbench.models.WaveformModel`` that answers with P and S.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.window_s = 4.0 * model.in_samples / model.sampling_rate

    def predict(self, window: Waveform) -> tuple[Array, float]:
        """Return the probabilities of P and S, see `kaname.automation.pick.network.Network`."""
        curves = self.model.annotate(window.to_stream())
        rate = float(self.model.sampling_rate)
        out = np.zeros((2, round(window.duration_s * rate)))
        for trace in curves:
            phase = trace.stats.channel.rsplit("_", 1)[-1]
            if phase not in ("P", "S"):
                continue
            first = round(
                window.index(np.datetime64(trace.stats.starttime.ns, "ns")) * rate / window.sampling_rate
            )
            values = np.nan_to_num(trace.data)[max(0, -first) : out.shape[1] - first]
            out["PS".index(phase), max(0, first) : max(0, first) + values.size] = values
        return out, rate


@picker("seisbench")
class SeisBenchPicker(NetworkPicker):
    """A SeisBench model on continuous data."""

    Settings = NetworkSettings

    def __init__(self, settings: NetworkSettings, variant: str = "") -> None:
        name, _, weights = variant.partition("/")
        if name.lower() not in MODELS or not weights:
            raise InputError(
                "a SeisBench picker is called seisbench:MODEL/WEIGHTS, such as seisbench:phasenet/stead; "
                f"MODEL is one of {', '.join(MODELS)}; found 'seisbench:{variant}'"
            )
        model = _load(name.lower(), weights)
        version = str(model.weights_version or "")
        super().__init__(f"seisbench:{variant}", SeisBenchNetwork(model), settings, version=version)


def _load(name: str, weights: str) -> Any:
    try:
        import seisbench.models
    except ImportError as error:
        raise MissingDependencyError(
            f"picker 'seisbench:{name}/{weights}' needs the packages seisbench and torch ({error}); "
            "install them with: pip install 'kaname[seisbench]'"
        ) from error
    model = getattr(seisbench.models, MODELS[name])
    try:
        return model.from_pretrained(weights)
    except (OSError, ValueError) as error:
        raise NotFoundError(
            f"SeisBench has no weights {weights!r} of {MODELS[name]} in its cache and could not fetch them "
            f"({type(error).__name__}: {error}); connect to the network once, or copy them into its cache"
        ) from error
