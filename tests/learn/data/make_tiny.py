"""Make ``tiny.onnx``, a small picker fitted to made-up noise and onsets, for tests of the engine.

It needs the extra ``train``: ``python tests/learn/data/make_tiny.py``. It knows nothing of earthquakes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from kaname.learn.engine.condition import condition
from kaname.learn.networks.export import export, export_picker
from kaname.learn.networks.picker import PickerNetwork

RATE, N = 100.0, 4096
SIGMA_S = 0.05


def record(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One conditioned record and its labels (P, S, noise), with gaps and missing components among them."""
    data = rng.uniform(3, 30) * rng.standard_normal((3, N))
    label = np.zeros((3, N), np.float32)
    t = np.arange(N) / RATE
    for _ in range(rng.integers(0, 4)):
        onset, delay = rng.uniform(-3, N / RATE), rng.uniform(0.8, 4)
        frequency, size = rng.uniform(4, 15), 10 ** rng.uniform(1.3, 3.5)
        decay = rng.uniform(0.3, 1.5)
        for phase, at, gains in ((0, onset, (1, 0.3, 0.3)), (1, onset + delay, (0.5, 2.3, 2.0))):
            since = t - at
            swing = np.sin(2 * np.pi * frequency * since) + 0.6 * rng.standard_normal(N)
            envelope = np.where(since >= 0, np.exp(-np.clip(since, 0, None) / decay), 0)
            data += size * np.array(gains)[:, np.newaxis] * envelope * swing
            label[phase] = np.maximum(label[phase], np.exp(-0.5 * (since / SIGMA_S) ** 2))
    mask = np.ones((3, N), bool)
    for _ in range(rng.integers(0, 3)):
        low = rng.integers(0, N)
        mask[:, low : low + rng.integers(5, 300)] = False
    if rng.random() < 0.3:
        mask[rng.permutation(3)[: rng.integers(1, 3)]] = False
    mask[:, : rng.integers(0, 2) * rng.integers(0, N)] = False
    data += rng.uniform(-1e5, 1e5, (3, 1)) + rng.uniform(-20, 20, (3, 1)) * np.arange(N)
    if rng.random() < 0.3:
        mask[data == 0] = False
    label[:, ~mask.any(axis=0)] = 0
    label[2] = np.clip(1 - label[:2].sum(axis=0), 0, 1)
    return condition(data, mask), label / label.sum(axis=0)


def main() -> None:
    """Fit for a few minutes on one core, and export."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    network = PickerNetwork(widths=(8, 8, 12, 16), blocks=(1, 1, 1, 1), kernels=(3, 3, 3, 3))
    n_step = 1200
    optimiser = torch.optim.AdamW(network.parameters(), lr=6e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=n_step)
    for step in range(n_step):
        x, y = (torch.from_numpy(np.stack(a)) for a in zip(*(record(rng) for _ in range(16))))
        loss = -(y * torch.log_softmax(network(x), dim=1)).sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            print(step, loss.item(), flush=True)  # noqa: T201
    network.eval()
    export_picker(
        network,
        Path(__file__).with_name("tiny.onnx"),
        {
            "name": "tiny",
            "version": "test",
            "label_sigma_s": SIGMA_S,
            "thresholds": {"P": 0.3, "S": 0.3},
            "uncertainty": {"P": [0.02, 1.0], "S": [0.03, 1.0]},
        },
    )


def window() -> None:
    """Export a network of random weights as one made elsewhere: its own window, order and labels."""
    torch.manual_seed(2)
    card = {
        "kind": "picker",
        "name": "window",
        "version": "test",
        "rate_hz": 100.0,
        "input": "seisbench-window",
        "halo_samples": 500,
        "label_sigma_s": 0.1,
        "thresholds": {"P": 0.3, "S": 0.3},
        "uncertainty": {"P": [0.1, 0.0], "S": [0.2, 0.0]},
        "evidence": "height",
        "window_samples": 3001,
        "order": "ENZ",
        "labels": "NPS",
    }
    network = torch.nn.Conv1d(3, 3, 7, padding=3)
    export(network, torch.zeros(1, 3, 3001), Path(__file__).with_name("window.onnx"), card)


if __name__ == "__main__":
    window()
    main()
