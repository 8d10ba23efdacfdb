"""Put the denoiser or the detector into the package: an ONNX file with its card, and the card beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kaname.learn.engine import condition, frames
from kaname.learn.networks.denoiser import DenoiserNetwork
from kaname.learn.networks.detector import STEP, STRIDE, CredNetwork, DetectorNetwork
from kaname.learn.networks.export import write_onnx


class _Masks(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.network(x))


def package_denoiser(network: DenoiserNetwork, folder: str | Path, card: dict[str, Any]) -> Path:
    """Write a denoiser; its file answers with masks, shape (batch, 3, 41, n_frame).

    Parameters
    ----------
    network
        The trained network.
    folder
        Folder of the weights; its name is the name of the model.
    card
        At least ``version``; goes into ``card.json`` together with sizes and hashes.
    """
    values = {
        "kind": "denoiser",
        "rate_hz": frames.TRAINING_RATE_HZ,
        "input": frames.NAME,
        "version": card["version"],
    }
    example = torch.zeros(1, frames.N_FEATURE, frames.N_BIN, 8 * network.stride)
    return _package(_Masks(network), example, Path(folder), values, card, 3)


def package_detector(
    network: DetectorNetwork | CredNetwork, folder: str | Path, card: dict[str, Any]
) -> Path:
    """Write a detector; its file answers with logits, shape (batch, n / 16).

    Parameters
    ----------
    network, folder
        As for `package_denoiser`.
    card
        At least ``version`` and ``threshold``.
    """
    values = {
        "kind": "detector",
        "rate_hz": condition.RATE_HZ,
        "input": condition.NAME,
        "version": card["version"],
        "threshold": card["threshold"],
        "step": STEP,
    }
    example = torch.zeros(1, condition.N_INPUT, 16 * STRIDE)
    return _package(network, example, Path(folder), values, card, 1)


def _package(
    network: nn.Module, example: Tensor, folder: Path, values: dict[str, Any], card: dict[str, Any], axis: int
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{folder.name}.onnx"
    values["name"] = folder.name
    axes = {"x": {0: "batch", example.ndim - 1: "n"}, "y": {0: "batch", axis: "n_answer"}}
    write_onnx(network, example, path, values, axes=axes)
    content = path.read_bytes()
    said = {
        **values,
        **card,
        "parameters": sum(p.numel() for p in network.parameters()),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (folder / "card.json").write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n")
    return path
