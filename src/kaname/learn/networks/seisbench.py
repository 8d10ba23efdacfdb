"""Our networks as SeisBench models, that load, save, annotate and classify as any other.

Woollam et al. 2022, https://doi.org/10.1785/0220210324. They see what the engine shows them: windows on the
clock of UTC with gaps and missing components masked, so annotations are those of the engine wherever data
come at 100 Hz (SeisBench resamples other rates in its own way).
"""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from obspy import Stream, Trace, UTCDateTime
from seisbench.models import WaveformModel
from seisbench.models.base import GroupingHelper
from seisbench.models.utils import GroupedTraceData
from seisbench.util import ClassifyOutput, PickList
from torch import Tensor, nn

from kaname.core.errors import NotFoundError
from kaname.core.time import NS_PER_S
from kaname.learn.engine.condition import RATE_HZ, condition
from kaname.learn.engine.picking import CORE, usable
from kaname.learn.engine.session import FOLDER, PACKAGE
from kaname.learn.engine.windows import DEAD_S, alive
from kaname.learn.networks.detector import STEP, DetectorNetwork
from kaname.learn.networks.picker import PickerNetwork

HALO = 2048
"""Samples at either end of a window that are not answered for."""
DETECTOR_CORE = 8192
_INTERVAL_NS = round(NS_PER_S / RATE_HZ)


class _Sensors(GroupingHelper):
    """All of a sensor together, gaps and all, however short its pieces: they are masked, not cut out."""

    def __init__(self) -> None:
        super().__init__("instrument")

    def group_stream(
        self, stream: Stream, strict: bool, min_length_s: float, comp_dict: dict[str, int]
    ) -> list[list[Trace]]:
        """Return traces of one sensor each, parted where nothing comes for longer than ``min_length_s``."""
        groups: list[list[Trace]] = []
        sensor, end = "", UTCDateTime(0)
        known = [t for t in stream if t.stats.npts and t.id[-1] in comp_dict]
        for trace in sorted(known, key=lambda t: (t.id[:-1], t.stats.starttime)):
            if trace.id[:-1] != sensor or trace.stats.starttime - end > min_length_s:
                groups.append([])
                sensor, end = trace.id[:-1], trace.stats.endtime
            groups[-1].append(trace)
            end = max(end, trace.stats.endtime)
        return groups


class _Conditioned(WaveformModel):
    """A network on conditioned windows; ``in_samples`` less the overlap is what a window answers for."""

    def __init__(self, network: nn.Module, *, core: int, labels: str | list[str]) -> None:
        n = core + 2 * HALO
        super().__init__(
            component_order="ZNE",
            sampling_rate=RATE_HZ,
            output_type="array",
            in_samples=n,
            pred_sample=(0, n),
            labels=labels,
            grouping=_Sensors(),
        )
        self.network = network

    @classmethod
    def from_pretrained(cls, name: str, version_str: str = "1") -> _Conditioned:
        """Return the weights of that name and version in the package; nothing is fetched.

        Raises
        ------
        NotFoundError
            When the package has none.
        """
        found = files(PACKAGE).joinpath(FOLDER, name, "seisbench")
        with as_file(found) as folder:
            if not (folder / f"{name}.json.v{version_str}").is_file():
                raise NotFoundError(
                    f"no weights {name!r} of version {version_str!r} in SeisBench's format in the package, "
                    f"looked in {folder}; others can be given to load() as a path"
                )
            return cls.load(folder / name, version_str=version_str)

    def get_model_args(self) -> dict[str, Any]:
        """Return what the constructor needs to build this network again."""
        return dict(self.network.settings)

    async def annotate_async(self, stream: Stream, copy: bool = True, **kwargs: Any) -> Stream:
        """Annotate as SeisBench does, with a trace for every stretch of data and none for gaps."""
        out = Stream()
        for trace in await super().annotate_async(stream, copy=copy, **kwargs):
            if np.isfinite(trace.data).any():
                trace.data = np.ma.masked_invalid(trace.data)
                out.append(trace)
        return out.split()

    def stream_to_array(self, traces: list[Trace], argdict: dict[str, Any]) -> GroupedTraceData:
        """Put the traces of a sensor into whole windows on the clock of UTC; NaN where there is nothing."""
        flexible = self._argdict_get_with_default(argdict, "flexible_horizontal_components")
        rows, order = self._build_comp_dict(traces, flexible)
        places = [(t.stats.starttime.ns + _INTERVAL_NS // 2) // _INTERVAL_NS for t in traces]
        core = self.in_samples - 2 * HALO
        first = min(places) // core
        last = max(at + t.stats.npts - 1 for at, t in zip(places, traces)) // core
        begin = first * core - HALO
        data = np.full((3, (last + 1 - first) * core + 2 * HALO), np.nan, np.float32)
        origin: dict[int, float] = {}
        for at, trace in zip(places, traces):
            row = rows[trace.id[-1]]
            x = np.ma.filled(np.ma.asarray(trace.data, np.float64), np.nan)
            for low, high in alive(x, round(DEAD_S * RATE_HZ)):
                # Counts far from zero lose what is small in 32 bits.
                zero = origin.setdefault(row, float(x[low]))
                data[row, at - begin + low : at - begin + high] = x[low:high] - zero
        if self._argdict_get_with_default(argdict, "strict"):
            data[:, ~np.isfinite(data).all(axis=0)] = np.nan
        late_ns = np.mean([t.stats.starttime.ns - at * _INTERVAL_NS for at, t in zip(places, traces)])
        return GroupedTraceData(
            data=data,
            # With band and instrument, which SeisBench does not show: two sensors may share a station.
            stations=[traces[0].id[:-1]],
            component_order=list(order),
            start_time=UTCDateTime(ns=begin * _INTERVAL_NS + round(late_ns)),
            sampling_rate=RATE_HZ,
            grouping="instrument",
        )

    def annotate_batch_pre(self, batch: Tensor, argdict: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return conditioned windows, shape (batch, 6, n), and where an answer can be given, (batch, n).

        Parameters
        ----------
        batch
            Z, N, E at 100 Hz, shape (batch, 3, n); NaN where there are no data.
        argdict
            Not used.
        """
        data = batch.detach().cpu().numpy()
        mask = np.isfinite(data)
        x = np.array([condition(np.where(m, d, np.float32(0)), m) for d, m in zip(data, mask)])
        open_ = np.array([usable(m, rate_hz=RATE_HZ) for m in mask])
        return torch.as_tensor(x, device=batch.device), torch.as_tensor(open_, device=batch.device)

    def annotate_batch_post(self, batch: Tensor, piggyback: Tensor, argdict: dict[str, Any]) -> Tensor:
        """Return predictions, shape (batch, n, label); NaN where none can be given, and at blinded ends."""
        out = batch.transpose(-1, -2).clone()
        step = piggyback.shape[1] // out.shape[1]
        out[~piggyback.reshape(len(out), -1, step).any(-1)] = torch.nan
        before, after = self._argdict_get_with_default(argdict, "blinding")
        out[:, :before] = torch.nan
        out[:, out.shape[1] - after :] = torch.nan
        return out


class KanamePicker(_Conditioned):
    """Picker of P and S: curves of P, S and noise at 100 Hz that sum to one.

    Parameters
    ----------
    settings
        As for `kaname.learn.networks.picker.PickerNetwork`.
    """

    _annotate_args: ClassVar = {
        **WaveformModel._annotate_args,
        "*_threshold": ("Detection threshold for the provided phase", 0.3),
        "batch_size": ("Batch size for the model", 8),
        "overlap": (WaveformModel._annotate_args["overlap"][0], 2 * HALO),
        "blinding": ("Prediction samples to discard on each side of each window", (HALO, HALO)),
    }

    def __init__(self, **settings: Any) -> None:
        super().__init__(PickerNetwork(**settings), core=CORE, labels="PSN")

    def forward(self, x: Tensor, logits: bool = False) -> Tensor:
        """Return probabilities, or logits, of P, S and noise, shape (batch, 3, n), of (batch, 6, n)."""
        y = self.network(x)
        return y if logits else torch.softmax(y, 1)

    def classify_aggregate(self, annotations: Stream, argdict: dict[str, Any]) -> ClassifyOutput:
        """Return picks: SeisBench's own trigger on the curves of P and S."""
        threshold = self._annotate_args["*_threshold"][1]
        picks = []
        for phase in "PS":
            curves = annotations.select(channel=f"{self.name}_{phase}")
            picks += self.picks_from_annotations(curves, argdict.get(f"{phase}_threshold", threshold), phase)
        return ClassifyOutput(self.name, picks=PickList(sorted(picks)))


class KanameDetector(_Conditioned):
    """Detector: the probability, 6.25 times a second, that an earthquake is in progress.

    Parameters
    ----------
    settings
        As for `kaname.learn.networks.detector.DetectorNetwork`.
    """

    _annotate_args: ClassVar = {
        **KanamePicker._annotate_args,
        "detection_threshold": ("Detection threshold", 0.5),
        "batch_size": ("Batch size for the model", 32),
        "blinding": (KanamePicker._annotate_args["blinding"][0], (HALO // STEP, HALO // STEP)),
    }

    def __init__(self, **settings: Any) -> None:
        super().__init__(DetectorNetwork(**settings), core=DETECTOR_CORE, labels=["Detection"])

    def forward(self, x: Tensor, logits: bool = False) -> Tensor:
        """Return probabilities, or logits, shape (batch, 1, n / 16), of (batch, 6, n)."""
        y = self.network(x)[:, None]
        return y if logits else torch.sigmoid(y)

    def classify_aggregate(self, annotations: Stream, argdict: dict[str, Any]) -> ClassifyOutput:
        """Return detections: SeisBench's own trigger on the curve."""
        threshold = self._argdict_get_with_default(argdict, "detection_threshold")
        return ClassifyOutput(self.name, detections=self.detections_from_annotations(annotations, threshold))


def save_seisbench(
    network: PickerNetwork | DetectorNetwork,
    folder: str | Path,
    name: str,
    *,
    version: str = "1",
    docstring: str = "",
    thresholds: dict[str, float] | None = None,
) -> Path:
    """Write a network in SeisBench's format: ``<name>.pt.v<version>`` and ``<name>.json.v<version>``.

    Parameters
    ----------
    network
        The trained network; it is left as it was.
    folder
        Where; for weights in the package ``learn/weights/<name>/seisbench``.
    name, version
        What the weights are called. SeisBench wants digits and dots for a version.
    docstring
        What is to be known of them: data, splits, scores, limits.
    thresholds
        Default arguments of ``classify``, such as ``{"P_threshold": 0.3}``.

    Returns
    -------
    Path
        ``<folder>/<name>``, as ``load(path, version_str=version)`` wants it.
    """
    kind = KanamePicker if isinstance(network, PickerNetwork) else KanameDetector
    model = kind(**network.settings)
    model.network.load_state_dict(network.state_dict())
    model.default_args = dict(thresholds or {})
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path, weights_docstring=docstring, version_str=version)
    # SeisBench reads the version from here and does not write it.
    card = path.with_name(f"{name}.json.v{version}")
    card.write_text(json.dumps({**json.loads(card.read_text()), "version": version}, indent=4) + "\n")
    return path
