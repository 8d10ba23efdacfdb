"""Networks written as files that the engine runs: ONNX with a card inside."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from kaname.core.errors import InputError
from kaname.learn.engine.picking import PickerCard
from kaname.learn.engine.session import METADATA_KEY, parse_card
from kaname.learn.networks.phasenet import FoldedPhaseNet
from kaname.learn.networks.picker import N_INPUT, PickerNetwork

OPSET = 17
LONG = 34813
"""Samples of a long window of a SeisBench PhaseNet: near a window of our own networks, and, as with its own
3001, no scale is left a remainder that would shift the answer by a sample."""
LONG_HALO = 2048
"""Samples at either end of a long window that are not answered for; PhaseNet looks 2046 to either side."""


def export_picker(network: PickerNetwork, path: str | Path, card: dict[str, Any]) -> Path:
    """Write a picker of our own.

    Parameters
    ----------
    network
        The network; it is exported in evaluation mode and left as it was.
    path
        ``.onnx`` file to write.
    card
        Fields of `kaname.learn.engine.picking.PickerCard`; kind, rate, input and stride are filled in.

    Raises
    ------
    FormatError
        When the card does not fit.
    """
    values = {
        "kind": "picker",
        "rate_hz": 100.0,
        "input": "kaname-1",
        "halo_samples": 2048,
        **card,
        "stride": network.stride,
    }
    example = torch.zeros(1, N_INPUT, 16 * network.stride)
    return export(_Answer(network, network.steps), example, Path(path), values)


def export_seisbench(
    model: Any,
    path: str | Path,
    *,
    name: str,
    version: str = "",
    long: bool = True,
    thresholds: tuple[float, float] = (0.3, 0.3),
    label_sigma_s: float = 0.1,
    uncertainty_s: tuple[float, float] = (0.1, 0.2),
) -> Path:
    """Write a SeisBench PhaseNet, so that it runs without torch and SeisBench.

    Parameters
    ----------
    model
        A ``seisbench.models.PhaseNet``.
    path
        ``.onnx`` file to write.
    name, version
        How its picks are marked.
    long
        Run it on windows of 348 s, normalised over 30 s about each sample, and not on its own 3001 samples:
        twice as fast or more, and no longer exactly what SeisBench computes.
    thresholds
        Least probability of P and S.
    label_sigma_s
        Width of the kernel that it was trained with [s].
    uncertainty_s
        Uncertainty to state of P and S [s]; it is not calibrated.

    Raises
    ------
    InputError
        When the model is no PhaseNet with labels P, S and N on three components.
    """
    kind = type(model).__name__
    labels = "".join(model.labels)
    if kind != "PhaseNet" or sorted(labels) != ["N", "P", "S"] or model.in_channels != 3:
        raise InputError(
            "only a SeisBench PhaseNet with labels P, S, N on three components can be exported, found "
            f"{kind} with {labels!r}"
        )
    if getattr(model, "norm_detrend", False):
        raise InputError("a PhaseNet that detrends its windows (PickBlue) is not supported")
    own = int(model.in_samples)
    values = {
        "kind": "picker",
        "name": name,
        "version": version or str(model.weights_version or ""),
        "rate_hz": float(model.sampling_rate),
        "input": "seisbench-window",
        "halo_samples": LONG_HALO if long else own // 6,
        "label_sigma_s": label_sigma_s,
        "thresholds": dict(zip("PS", thresholds)),
        "uncertainty": {p: [s, 0.0] for p, s in zip("PS", uncertainty_s)},
        "evidence": "height",
        "window_samples": LONG if long else own,
        "normalise_samples": own,
        "normalisation": "peak" if getattr(model, "norm_amp_per_comp", False) else model.norm,
        "order": model.component_order,
        "labels": labels,
    }
    # PhaseNet cuts by differences of lengths, which the exporter takes as they are for this one.
    example = torch.zeros(1, 3, LONG if long else own)
    training = model.training
    network = FoldedPhaseNet(model.eval(), example.shape[-1], together=2 if long else 1)
    model.train(training)
    return export(network, example, Path(path), values, any_length=False)


class _Answer(nn.Module):
    """A network seen through one of its methods; in training or not, as it is itself."""

    def __init__(self, network: nn.Module, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.answer = network, answer
        self.train(network.training)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(x)


def export(
    network: nn.Module, example: Tensor, path: Path, card: dict[str, Any], *, any_length: bool = True
) -> Path:
    """Write a network with its card, which is checked first.

    Parameters
    ----------
    network
        One input, one output; exported in evaluation mode and left as it was.
    example
        An input of it.
    path
        ``.onnx`` file to write.
    card
        See `kaname.learn.engine.picking.PickerCard`.
    any_length
        Whether the last axis may have any length, or that of the example.

    Raises
    ------
    FormatError
        When the card does not fit.
    """
    parse_card(card, PickerCard, str(path))
    axes = {0: "batch", 2: "sample"} if any_length else {0: "batch"}
    return write_onnx(network, example, path, card, axes={"x": axes, "y": axes})


def write_onnx(
    network: nn.Module, example: Tensor, path: Path, card: dict[str, Any], *, axes: dict[str, dict[int, str]]
) -> Path:
    """Write a network with its card in the metadata, as `kaname.learn.engine.session.Session` reads it.

    Parameters
    ----------
    network
        One input ``x``, one output ``y``; exported in evaluation mode and left as it was.
    example
        An input of it.
    path
        ``.onnx`` file to write.
    card
        What the file says of itself; not checked.
    axes
        Names of the axes of ``x`` and ``y`` that may have any length.
    """
    training = network.training
    network.eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # The exporter that is not deprecated needs one more package, for the same graph.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (example,),
                str(path),
                input_names=["x"],
                output_names=["y"],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    finally:
        network.train(training)
    model = onnx.load(str(path))
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(card)
    onnx.save(model, str(path))
    return path
