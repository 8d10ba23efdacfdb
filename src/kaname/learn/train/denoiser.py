"""Training of the denoiser: ``train(config, out)``."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy import signal
from torch import Tensor

from kaname.core.config import Settings
from kaname.learn.engine.frames import N_BIN, analyse, features
from kaname.learn.networks.denoiser import DenoiserNetwork
from kaname.learn.simulate.noise import noise as artificial_noise
from kaname.learn.simulate.records import Bank
from kaname.learn.train.loop import Schedule
from kaname.learn.train.loop import train as fit
from kaname.learn.train.mixtures import Record, long_noise, read_records, stretched, surrogate

Array = NDArray[np.float64]
HOP = 20
STRETCHES = tuple(Fraction(a, b) for a, b in ((4, 5), (1, 1), (5, 4), (3, 2)))


class DenoiserConfig(Settings):
    """Configuration of ``kaname train denoiser``."""

    records: tuple[Path, ...] = Field((), description="folders of labelled sets (docs/bench.md, layouts)")
    simulated: Path | None = Field(None, description="bank of simulated records")
    n_simulated: int = Field(2000, ge=1, description="how many records of the bank are used")
    artificial_noise: int = Field(300, ge=10, description="made-up stretches of noise of 90 s")
    widths: tuple[int, ...] = Field((16, 24, 40, 64), description="channels of the network's scales")
    n_frame: int = Field(160, multiple_of=40, description="frames of a training window, 0.2 s apart")
    schedule: Schedule = Field(
        default=Schedule(seed=3, steps=2400, batch=12, every=200, average=0.995, warmup=100, workers=0),
        description="how long and how fast",
    )
    least_snr_db: float = Field(15.0, description="records weaker than this are not taken for signals [dB]")
    simulated_share: float = Field(0.35, ge=0, le=1, description="share of signals that are simulated")
    snr_db: tuple[float, float] = Field((-10.0, 30.0), description="input signal-to-noise ratios [dB]")
    slow: float = Field(0.12, ge=0, le=1, description="share of windows of a lower sampling rate")
    filtered: float = Field(0.5, ge=0, le=1, description="share of windows that are filtered")
    onset_weight: float = Field(0.25, ge=0, description="weight of the half second about P in the loss")


class Mixer:
    """Windows of an earthquake in noise, with the earthquake alone."""

    def __init__(
        self,
        config: DenoiserConfig,
        records: list[Record],
        simulated: list[Record],
        artificial: NDArray[np.float32],
    ) -> None:
        self.config = config
        self.n = (config.n_frame + 3) * HOP
        strong = [r for r in records if r.snr_db >= config.least_snr_db]
        self.signals = [stretched(r, f) for r in strong for f in STRETCHES]
        self.simulated = simulated
        self.noises = [r for r in records if r.live.all()]
        self.artificial = artificial
        if not self.signals or not self.noises:
            raise ValueError("no record is strong enough for a signal")

    def window(self, rng: np.random.Generator) -> tuple[Array, Array, int, int]:
        """Return mixture and signal, shape (3, n), the sample of P (may lie outside), number of bins."""
        c = self.config
        n = self.n
        clean, p = self._signal(rng)
        if rng.random() < 0.15:
            other, q = self._signal(rng)
            share = _power(clean, p) / max(_power(other, q), 1e-300)
            clean = clean + other * np.sqrt(share * 10 ** rng.uniform(-1.5, 1.5))
        noise = self._noise(rng)
        if rng.random() < c.filtered:
            sos = _random_filter(rng)
            clean = signal.sosfilt(sos, clean, axis=1)
            noise = signal.sosfilt(sos, np.concatenate([noise[:, ::-1], noise], axis=1), axis=1)[:, n:]
        n_bin = N_BIN
        if rng.random() < c.slow:
            n_bin = 1 + int(rng.choice([8, 10, 16, 20]))  # 20, 25, 40 and 50 samples per second
            sos = signal.butter(8, 0.85 * 1.25 * (n_bin - 1), fs=100.0, output="sos")
            clean, noise = signal.sosfilt(sos, clean, axis=1), signal.sosfilt(sos, noise, axis=1)
        snr = rng.uniform(*c.snr_db)
        low, high = max(0, p), min(n, p + 2000)
        event = clean[:, low:high]
        if rng.random() < 0.5:  # each component at this ratio, else all together
            noise = noise * _ratio(event.var(axis=1), noise.var(axis=1), snr)[:, None]
        else:
            noise = noise * _ratio(event.var(), noise.var(), snr)
        if rng.random() < 0.04:
            clean = np.zeros_like(clean)
            p = -10000
        mixture = clean + noise
        if rng.random() < 0.15:
            gone = rng.choice(3, size=rng.integers(1, 3), replace=False)
            mixture[gone] = clean[gone] = 0
        mixture, clean = _turned(rng, mixture, clean)
        first = mixture[:, :1].copy()
        return mixture - first, clean, p, n_bin

    def _signal(self, rng: np.random.Generator) -> tuple[Array, int]:
        n = self.n
        c = self.config
        made = self.simulated and rng.random() < c.simulated_share
        pool = self.simulated if made else self.signals
        r = pool[rng.integers(len(pool))]
        # P mostly within the window, at times before it.
        p = int(rng.uniform(-0.15, 0.75) * n) if rng.random() < 0.8 else int(rng.uniform(0.15, 0.4) * n)
        data = np.zeros((3, n))
        begin = r.p - p
        low, high = max(0, begin), min(r.data.shape[1], begin + n)
        data[:, low - begin : high - begin] = r.data[:, low:high]
        if rng.random() < 0.5 or low > begin:  # silence before P, as if the record had no noise
            ramp = np.clip((np.arange(n) - (p - 60)) / 40, 0, 1)
            data = data * ramp
        if high < begin + n:
            end = high - begin
            fade = min(300, end)
            data[:, end - fade : end] *= np.linspace(1, 0, fade)
        return data, p

    def _noise(self, rng: np.random.Generator) -> Array:
        out = self._one_noise(rng)
        if rng.random() < 0.3:
            other = self._one_noise(rng)
            level, own = other.std(), out.std()
            if level > 0:
                out = out + other * (own / level * 10 ** rng.uniform(-1, 0.5))
        if rng.random() < 0.3:
            out = out * 10 ** rng.uniform(-0.4, 0.4, size=(3, 1))
        if rng.random() < 0.1:  # a slow drift
            t = np.linspace(-1, 1, self.n)
            out = out + out.std() * 10 ** rng.uniform(-1, 1) * rng.normal(size=(3, 1)) * t
        return out

    def _one_noise(self, rng: np.random.Generator) -> Array:
        kind = rng.random()
        if kind < 0.08:
            white = rng.normal(size=(3, self.n))
            return np.asarray(signal.lfilter([1.0], [1.0, -rng.uniform(0, 0.98)], white, axis=1))
        if kind < 0.25:
            made = self.artificial[rng.integers(len(self.artificial))]
            return long_noise(made.astype(np.float64), self.n, rng)
        noise = self.noises[rng.integers(len(self.noises))].noise
        if kind < 0.5:
            noise = surrogate(noise, rng)
        return long_noise(noise, self.n, rng)


def _ratio(event: Any, noise: Any, snr_db: float) -> Any:
    """Return the factor on noise of a variance that gives the ratio; a dead component stays dead."""
    return np.sqrt(event / np.where(noise > 0, noise, np.inf) / 10 ** (snr_db / 10))


def _power(data: Array, p: int) -> float:
    return float(data[:, max(0, p) : p + 2000].var()) if p + 2000 > 0 else float(data.var())


def _random_filter(rng: np.random.Generator) -> Array:
    low = 10 ** rng.uniform(-0.6, 0.4)
    order = int(rng.integers(1, 5))
    if rng.random() < 0.5:
        return signal.butter(order, low, "highpass", fs=100.0, output="sos")
    return signal.butter(order, (low, rng.uniform(10, 45)), "bandpass", fs=100.0, output="sos")


def _turned(rng: np.random.Generator, *blocks: Array) -> list[Array]:
    """Polarities, the order of the horizontals, and seldom of all components."""
    order = [0, 2, 1] if rng.random() < 0.5 else [0, 1, 2]
    if rng.random() < 0.1:
        order = list(rng.permutation(3))
    sign = rng.choice([-1.0, 1.0], size=(3, 1))
    return [b[order] * sign for b in blocks]


def denoised(logits: Tensor, spectra: Tensor) -> Tensor:
    """Return the samples that masks leave of spectra, shape (batch, 3, (n_frame + 3) * HOP)."""
    return synthesise(torch.sigmoid(logits.float()).transpose(2, 3) * spectra)


def synthesise(spectra: Tensor) -> Tensor:
    """Overlap and add, shape (batch, 3, n_frame, 41) to (batch, 3, (n_frame + 3) * HOP)."""
    n = spectra.shape[2]
    window = torch.hann_window(4 * HOP, periodic=True) / 1.5
    frames = torch.fft.irfft(spectra, 4 * HOP, dim=-1) * window
    out = torch.zeros((*spectra.shape[:2], n + 3, HOP))
    for quarter in range(4):
        part = frames[..., quarter * HOP : (quarter + 1) * HOP]
        out = out + torch.nn.functional.pad(part, (0, 0, quarter, 3 - quarter))
    return out.flatten(2)


def loss_of(y: Tensor, clean: Tensor, spectra_noise: Tensor, p: Tensor, onset_weight: float) -> Tensor:
    """Mean logarithm of the error's power against the noise's: over the window, the event and the onset."""
    n = y.shape[2]
    at = torch.arange(n)[None, :]
    inner = ((at >= 3 * HOP) & (at < n - 3 * HOP)).float()
    event = inner * ((at >= p[:, None]) & (at < p[:, None] + 2000)).float()
    onset = inner * ((at >= p[:, None] - 50) & (at < p[:, None] + 50)).float()
    error = (y - clean) ** 2
    noise = spectra_noise**2
    there = (clean.abs().sum(-1) + noise.sum(-1) > 0).float()
    floor = 1e-3 * (clean**2).mean(-1)
    total = 0.0
    for weight, part in ((0.5, inner), (0.5, event), (onset_weight, onset)):
        n_part = part.sum(-1)[:, None]
        power = (error * part[:, None]).sum(-1) / n_part.clamp(min=1)
        before = (noise * part[:, None]).sum(-1) / n_part.clamp(min=1)
        value = 10 * (torch.log10(power + floor * 0.3 + 1e-9) - torch.log10(before + floor * 0.3 + 1e-9))
        valid = there * (n_part >= 50).float()
        total = total + weight * (value * valid).sum() / valid.sum().clamp(min=1)
    return total


def batch_of(mixer: Mixer, seeds: list[list[int]]) -> tuple[np.ndarray, ...]:
    """Return spectra, features, clean samples, mixtures and P of windows, each from its own seed."""
    rows = []
    for seed in seeds:
        mixture, clean, p, n_bin = mixer.window(np.random.default_rng(seed))
        scale = 1.0 / max(float(mixture.std()), 1e-300)
        spectra = analyse(mixture * scale, HOP)
        spectra[:, :, n_bin:] = 0
        real = np.repeat(np.asarray(mixture.any(axis=1))[:, None], spectra.shape[1], axis=1)
        x = features(spectra[:, :, :n_bin], real)
        rows.append((spectra, x, clean * scale, (mixture - clean) * scale, p))
    kinds = (np.complex64, np.float32, np.float32, np.float32, np.int64)
    return tuple(np.stack(column).astype(kind) for column, kind in zip(zip(*rows), kinds))


@dataclass(frozen=True)
class Maker:
    """Makes the batch of a seed."""

    mixer: Mixer

    def __call__(self, seed: int) -> tuple[np.ndarray, ...]:
        """Return spectra, features, clean samples, noise and P of the windows of a batch."""
        return batch_of(self.mixer, [[seed, i] for i in range(self.mixer.config.schedule.batch)])


def train(config: DenoiserConfig, out: str | Path, *, resume: bool = True) -> DenoiserNetwork:
    """Train and return the best by validation; ``denoiser.pt`` and a checkpoint are in ``out``.

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
    torch.manual_seed(config.schedule.seed)
    records = read_records(config.records)
    made = read_simulated(config.simulated, config.n_simulated)
    noise = artificial_noise(config.artificial_noise, 9000, seed=config.schedule.seed)
    mixers = {
        part: Mixer(
            config,
            [r for r in records if r.part == part],
            [r for r in made if r.part == part],
            noise[k::10] if k else noise[np.arange(len(noise)) % 10 != 1],
        )
        for k, part in enumerate(("train", "validation"))
    }
    held = [batch_of(mixers["validation"], [[7, b, i] for i in range(32)]) for b in range(4)]
    tensors = [tuple(torch.from_numpy(a) for a in batch) for batch in held]

    def loss(network: DenoiserNetwork, *batch: Tensor) -> Tensor:
        spectra, x, clean, noise, p = batch
        logits = network(x.contiguous(memory_format=torch.channels_last))
        with torch.autocast(x.device.type, enabled=False):
            return loss_of(denoised(logits, spectra), clean, noise, p, config.onset_weight)

    def score(network: DenoiserNetwork) -> float:
        device = next(network.parameters()).device
        with torch.no_grad():
            return -float(np.mean([loss(network, *(t.to(device) for t in b)).item() for b in tensors]))

    network = DenoiserNetwork(config.widths).to(memory_format=torch.channels_last)
    best = fit(network, Maker(mixers["train"]), loss, score, config.schedule, folder, resume=resume)
    torch.save({"settings": best.settings, "state": best.state_dict()}, folder / "denoiser.pt")
    return best


def load(path: Path) -> DenoiserNetwork:
    """Return a trained network."""
    kept = torch.load(path, weights_only=True)
    network = DenoiserNetwork(**kept["settings"])
    network.load_state_dict(kept["state"])
    return network.eval()


def read_simulated(path: Path | None, limit: int) -> list[Record]:
    """Return the first records of a bank of simulated ones, one in ten for validation."""
    if path is None:
        return []
    bank = Bank.load(path)
    return [
        Record(
            f"simulated {i}",
            bank.data[i].copy(),
            round(float(bank.p[i])),
            None,
            "train" if i % 10 else "validation",
        )
        for i in range(min(limit, len(bank)))
    ]
