"""Training of the detector: ``train(config, out)``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from kaname.learn.networks.detector import STEP, CredNetwork, DetectorNetwork
from kaname.learn.simulate.augment import Augmentation, Mixer, Window
from kaname.learn.train.loop import Schedule
from kaname.learn.train.loop import train as fit
from kaname.learn.train.picker import WindowsConfig, make_mixers, read

Array = NDArray[np.float32]

CODA = 1.4
"""An earthquake lasts from P until S plus this many times S minus P, as for EQTransformer's detector
(Mousavi et al. 2020, https://doi.org/10.1038/s41467-020-17591-w)."""
LEAST_S = 3.0
DOUBT_S = 8.0
"""After that, for S minus P and this long, nothing is asked: the coda dies slowly."""
NETWORKS = {"kaname": DetectorNetwork, "cred": CredNetwork}


class DetectorConfig(WindowsConfig):
    """Configuration of ``kaname train detector``: the windows are made as for the picker."""

    augmentation: Augmentation = Field(
        default=Augmentation(n_sample=6144, noise_only=0.3, swarm=0.15, simulated=0.5, snr_db=(8.0, 45.0)),
        description="how windows are made",
    )
    schedule: Schedule = Field(
        default=Schedule(steps=2000, every=250, average=0.995, warmup=100),
        description="how long and how fast",
    )
    network: Literal["kaname", "cred"] = Field("kaname", description="ours, or the baseline like CRED")


def target(window: Window) -> tuple[Array, Array]:
    """Return what the detector should say and where that is known, both float32 of shape (n / 16,)."""
    n = window.x.shape[1]
    said, known = np.zeros(n, np.float32), window.known.copy()
    events: list[tuple[float, float | None]] = []
    for phase, at in window.onsets:
        if phase == 0:
            events.append((at, None))
        elif events and events[-1][1] is None and at > events[-1][0]:
            events[-1] = (events[-1][0], at)
        else:  # S alone: somewhere before it the earthquake began
            known[max(0, int(at) - 2500) : max(0, int(at) + 2500)] = 0
    doubt: list[tuple[int, int]] = []
    for p, s in events:
        low = max(0, round(p))
        if s is None:  # It lasts for the least time at any rate, where there are samples.
            least = slice(low, max(0, round(p + 100 * LEAST_S)))
            said[least] = 1
            known[least] = window.x[:, least].any(axis=0)
            continue
        high = max(s + CODA * (s - p), p + 100 * LEAST_S)
        said[low : max(0, round(high))] = 1
        doubt.append((max(0, round(high)), max(0, round(high + (s - p) + 100 * DOUBT_S))))
    for low, high in doubt:
        known[low:high] *= said[low:high]
    # A step is an earthquake when half of it is; it is known when all of it is.
    y = (said.reshape(-1, STEP).mean(axis=1) >= 0.5).astype(np.float32)
    return y, known.reshape(-1, STEP).min(axis=1)


@dataclass(frozen=True)
class Maker:
    """Makes the batch of a seed."""

    mixer: Mixer
    batch: int

    def __call__(self, seed: int) -> tuple[np.ndarray, ...]:
        """Return conditioned windows, what is to be said of them, and where that is known."""
        rng = np.random.default_rng(seed)
        rows = []
        for _ in range(self.batch):
            window = self.mixer.window(rng)
            rows.append((window.x, *target(window)))
        return tuple(np.stack(column) for column in zip(*rows))


def loss_of(network: nn.Module, x: Tensor, y: Tensor, known: Tensor) -> Tensor:
    """Cross entropy where the truth is known."""
    logits = network(x).float()
    return (binary_cross_entropy_with_logits(logits, y, reduction="none") * known).sum() / known.sum().clamp(
        min=1
    )


def train(config: DetectorConfig, out: str | Path, *, resume: bool = True) -> nn.Module:
    """Train and return the best by validation; ``detector.pt`` and a checkpoint are in ``out``.

    Parameters
    ----------
    config
        Data, network and schedule.
    out
        Folder.
    resume
        Take up a checkpoint that is there; otherwise start anew.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.schedule.seed)
    mixers = make_mixers(config, read(config), folder)
    held = Maker(mixers["validation"], 64)
    batches = [[torch.from_numpy(a) for a in held(10_000_000 + k)] for k in range(8)]

    def score(network: nn.Module) -> float:
        device = next(network.parameters()).device
        with torch.no_grad():
            return -float(np.mean([loss_of(network, *(t.to(device) for t in b)).item() for b in batches]))

    network = NETWORKS[config.network]()
    best = fit(
        network,
        Maker(mixers["train"], config.schedule.batch),
        loss_of,
        score,
        config.schedule,
        folder,
        resume=resume,
    )
    torch.save({"settings": best.settings, "state": best.state_dict()}, folder / "detector.pt")
    return best
