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

from kaname.core.config import Settings
from kaname.learn.networks.detector import STEP, CredNetwork, DetectorNetwork
from kaname.learn.simulate.augment import Augmentation, Mixer, Sources, Window
from kaname.learn.simulate.noise import noise as make_noise
from kaname.learn.simulate.records import Bank
from kaname.learn.train.loop import Schedule
from kaname.learn.train.loop import train as fit
from kaname.learn.train.mixtures import Record, read_records

Array = NDArray[np.float32]

CODA = 1.4
"""An earthquake lasts from P until S plus this many times S minus P, as for EQTransformer's detector
(Mousavi et al. 2020, https://doi.org/10.1038/s41467-020-17591-w)."""
LEAST_S = 3.0
DOUBT_S = 8.0
"""After that, for S minus P and this long, nothing is asked: the coda dies slowly."""
NETWORKS = {"kaname": DetectorNetwork, "cred": CredNetwork}


class DetectorConfig(Settings):
    """Configuration of ``kaname train detector``."""

    records: tuple[Path, ...] = Field((), description="folders of records with a table (csv) beside them")
    simulated: Path | None = Field(None, description="bank of simulated records")
    n_simulated: int = Field(2000, ge=1, description="how many records of the bank are used")
    network: Literal["kaname", "cred"] = Field("kaname", description="ours, or the baseline like CRED")
    augmentation: Augmentation = Field(
        default=Augmentation(
            n_sample=6144, margin=512, noise_only=0.3, swarm=0.15, snr_db=(3.0, 40.0), label_sigma_s=0.05
        ),
        description="how windows are made",
    )
    schedule: Schedule = Field(
        default=Schedule(seed=5, steps=800, batch=16, every=100, average=0.99, warmup=50, workers=0),
        description="how long and how fast",
    )


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
        if s is None:
            said[low : max(0, round(p) + 40)] = 1
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


def sources_of(records: list[Record]) -> Sources:
    """Return real records as sources of events."""
    data = np.stack([r.data[:, :9000] for r in records]).astype(np.float32)
    p = np.array([float(r.p) for r in records])
    s = np.array([np.nan if r.s is None else float(r.s) for r in records])
    return Sources(data, p, s, np.where(np.isnan(s), 0.5, 1.0), False)


def mixer_of(config: DetectorConfig, records: list[Record], simulated: slice) -> Mixer:
    """Return the maker of windows of some records and of a part of the simulated ones."""
    made = None
    if config.simulated is not None:
        bank = Bank.load(config.simulated)
        made = Sources(
            bank.data[simulated].copy(),
            bank.p[simulated],
            bank.s[simulated],
            np.ones(len(bank.p[simulated])),
            True,
        )
    noise = [r.noise.astype(np.float32) for r in records if r.live.all()]
    artificial = [n.astype(np.float32) for n in make_noise(60, 9000, seed=config.schedule.seed)]
    return Mixer(
        config.augmentation, real=sources_of(records), simulated=made, noise=noise, artificial=artificial
    )


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
    if not resume:
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    torch.manual_seed(config.schedule.seed)
    records = read_records(config.records)
    n = config.n_simulated
    mixer = mixer_of(config, [r for r in records if r.part == "train"], slice(0, n))
    held = Maker(mixer_of(config, [r for r in records if r.part == "validation"], slice(n, n + n // 10)), 32)
    batches = [[torch.from_numpy(a) for a in held(10**9 + i)] for i in range(4)]

    def score(network: nn.Module) -> float:
        device = next(network.parameters()).device
        with torch.no_grad():
            return -float(np.mean([loss_of(network, *(t.to(device) for t in b)).item() for b in batches]))

    network = NETWORKS[config.network]()
    best = fit(network, Maker(mixer, config.schedule.batch), loss_of, score, config.schedule, folder)
    torch.save({"settings": best.settings, "state": best.state_dict()}, folder / "detector.pt")
    return best
