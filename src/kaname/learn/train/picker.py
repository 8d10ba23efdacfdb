"""Training of the picker: ``train(config, out)``."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.signal import resample_poly
from torch import Tensor, nn

from kaname.core.config import Settings
from kaname.core.errors import InputError
from kaname.core.waveform import Waveform
from kaname.evaluate.splits import SAME_EVENT_S, Part, split_by_day, split_by_event
from kaname.formats.labelled import LabelledRecord, LabelledSet, shifted, time_of
from kaname.learn.engine.condition import RATE_HZ, condition
from kaname.learn.engine.windows import slots
from kaname.learn.networks.export import export_picker
from kaname.learn.networks.picker import PickerNetwork
from kaname.learn.simulate.augment import Augmentation, Mixer, Sources, Window
from kaname.learn.simulate.noise import noise as artificial_noise
from kaname.learn.simulate.records import Bank, simulate
from kaname.learn.train.calibrate import calibrate, find
from kaname.learn.train.loop import Schedule
from kaname.learn.train.loop import train as fit

Array = NDArray[np.float32]

N_SAMPLE = 9000
"""Samples of a record in a bank."""
LEAD = 4000
"""Samples kept before the first onset of a longer record."""
LEAST_NOISE = 700
WHOLE = 256
"""Whole records are filled up to a multiple of this."""
EDGE = 200
"""Samples at either end of a window on which the network is not judged: it sees too little there."""


class LabelledSource(Settings):
    """A labelled set to train on."""

    root: Path = Field(description="folder of the set (docs/bench.md, layouts)")
    split: Literal["event", "day"] = Field("event", description="what is never parted: events, or whole days")
    train_only: bool = Field(
        False, description="nothing is held out, but what shares an event with a held-out record is left out"
    )
    labels_later_s: float = Field(0.0, description="added to the labels where two clocks differ [s]")
    weight: float = Field(1.0, gt=0, description="how often its records are drawn, beside those of others")


class WindowsConfig(Settings):
    """What windows are made of, and how."""

    sets: tuple[LabelledSource, ...] = Field((), description="labelled sets")
    teacher: Path | None = Field(
        None, description="table (name, phase, sample, probability) of onsets read by other models"
    )
    teacher_least: float = Field(0.35, gt=0, le=1, description="least probability of those taken")
    simulated: int = Field(12000, ge=0, description="simulated earthquakes")
    artificial_noise: int = Field(400, ge=0, description="made-up stretches of noise of 90 s")
    augmentation: Augmentation = Field(default=Augmentation(), description="how windows are made")
    schedule: Schedule = Field(default=Schedule(), description="how long and how fast")


class PickerConfig(WindowsConfig):
    """Configuration of ``kaname train picker``."""

    onset_weight: float = Field(1.0, ge=0, description="extra weight of samples about onsets in the loss")
    widths: tuple[int, ...] = Field((16, 32, 64, 96), description="channels of the network's scales")
    blocks: tuple[int, ...] = Field((1, 1, 2, 2), description="residual blocks of each scale")
    calibration: int = Field(3000, ge=100, description="windows that peaks are calibrated on")
    version: int = Field(1, ge=1, description="version of the weights")


@dataclass(frozen=True)
class Labelled:
    """A record as the network is to see it: Z, N, E at 100 Hz, and the onsets in samples (NaN: unread)."""

    name: str
    data: Array
    p: float
    s: float
    weight: float
    part: Part
    taught: tuple[str, ...] = ()
    """Phases that a teacher has read and not an analyst."""

    def window(self) -> Window:
        """Return the whole record as the network sees it, with what analysts have read."""
        n = -(-self.data.shape[1] // WHOLE) * WHOLE
        data, mask = np.zeros((3, n), np.float32), np.zeros((3, n), np.bool_)
        data[:, : self.data.shape[1]] = self.data
        mask[:, : self.data.shape[1]] = np.asarray(self.data.any(axis=1))[:, np.newaxis]
        read = [(0, self.p)] if "P" not in self.taught else []
        read += [(1, self.s)] if "S" not in self.taught else []
        onsets = [(phase, at) for phase, at in read if np.isfinite(at)]
        return Window(condition(data, mask), onsets, np.ones(n, np.float32))


def train(config: PickerConfig, out: str | Path, *, resume: bool = True) -> PickerNetwork:
    """Train and return the best by validation.

    Parameters
    ----------
    config
        Data, network and schedule.
    out
        Folder for ``picker.onnx``, which ``--picker kaname:FILE`` runs, ``picker.pt``, the checkpoint and the
        simulated earthquakes.
    resume
        Take up a checkpoint that is there; otherwise start anew.

    Raises
    ------
    InputError
        When there is nothing to train on.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.schedule.seed)
    records = read(config)
    mixers = make_mixers(config, records, folder)
    held = [Maker(mixers["validation"], 64)(10_000_000 + k) for k in range(8)]

    def loss(network: nn.Module, x: Tensor, y: Tensor, known: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return loss_of(network(x).float(), y, known, config.onset_weight)

    def score(network: nn.Module) -> float:
        device = next(network.parameters()).device
        with torch.no_grad():
            return -float(
                np.mean([loss(network, *(torch.from_numpy(a).to(device) for a in b)).item() for b in held])
            )

    network = PickerNetwork(config.widths, config.blocks)
    best = fit(
        network,
        Maker(mixers["train"], config.schedule.batch),
        loss,
        score,
        config.schedule,
        folder,
        resume=resume,
    )
    assert isinstance(best, PickerNetwork)
    torch.save({"settings": best.settings, "state": best.state_dict()}, folder / "picker.pt")
    write(best, config, mixers["validation"], records, folder / "picker.onnx")
    return best


def write(
    network: PickerNetwork, config: PickerConfig, mixer: Mixer, records: Iterable[Labelled], path: Path
) -> None:
    """Calibrate a network and write it for the engine.

    Probabilities and thresholds come of windows that it was not trained on. Uncertainties come of the real
    records that are not for testing: what is stated is to hold against an analyst's reading, and simulated
    onsets are sharper. It was trained on most of those, so that they may come out a little small.
    """

    def logits(x: Array) -> Array:
        with torch.no_grad():
            return np.asarray(network.steps(torch.from_numpy(x)).numpy())

    sigma = config.augmentation.label_sigma_s
    rng = np.random.default_rng(20_000_000 + config.schedule.seed)
    made = find(logits, [mixer.window(rng) for _ in range(config.calibration)], sigma)
    real = find(logits, [r.window() for r in records if r.part != "test"], sigma)
    measured = calibrate(made, timing=made if min(f.true.sum() for f in real.values()) < 50 else real)
    card = {"name": path.stem, "version": str(config.version), "label_sigma_s": sigma, **measured}
    export_picker(network, path, card)


def load(path: str | Path) -> PickerNetwork:
    """Return a trained network."""
    kept = torch.load(path, weights_only=True)
    network = PickerNetwork(**kept["settings"])
    network.load_state_dict(kept["state"])
    network.eval()
    return network


def loss_of(logits: Tensor, y: Tensor, known: Tensor, onset_weight: float) -> Tensor:
    """Cross-entropy per known sample, shape (batch, 3, n) against the same; onsets count for more."""
    entropy = -(y * torch.log_softmax(logits, 1)).sum(1)
    weight = known * (1 + onset_weight * (1 - y[:, 2]))
    return (entropy * weight).sum() / known.sum().clamp_min(1) * 50


@dataclass(frozen=True)
class Maker:
    """Makes batches of windows: conditioned samples, targets, and where the truth is known."""

    mixer: Mixer
    batch: int

    def __call__(self, seed: int) -> tuple[Array, ...]:
        """Return arrays of shape (batch, 6, n), (batch, 3, n) and (batch, n)."""
        rng = np.random.default_rng(seed)
        windows = [self.mixer.window(rng) for _ in range(self.batch)]
        known = np.array([w.known for w in windows])
        known[:, :EDGE] = known[:, -EDGE:] = 0
        sigma = self.mixer.settings.label_sigma_s
        return np.array([w.x for w in windows]), np.array([w.target(sigma) for w in windows]), known


def read(config: WindowsConfig) -> list[Labelled]:
    """Read the sets, each record with the part it belongs to; see `LabelledSource.split`."""
    taught = _taught(config)
    every = [(source, r) for source in config.sets for r in LabelledSet(source.root).records()]
    # What is held out follows from the sets that may be held out alone, whatever else is trained on.
    dated = [(i, time_of(r)) for i, (c, r) in enumerate(every) if c.split == "event" and not c.train_only]
    part: dict[int, Part] = dict(zip([i for i, _ in dated], split_by_event([t for _, t in dated])))
    held = np.array([t for i, t in dated if part[i] != "train"], "datetime64[ns]")
    out = []
    for i, (source, record) in enumerate(every):
        time = time_of(record)
        if source.split == "day":
            part[i] = split_by_day([time])[0]
        elif source.train_only:
            if len(held) and np.abs(held - time).min() <= 2 * np.timedelta64(round(SAME_EVENT_S), "s"):
                continue
            part[i] = "train"
        out += _labelled(source, record, taught.get(record.name, {}), part[i])
    return out


def make_mixers(config: WindowsConfig, records: Iterable[Labelled], folder: Path) -> dict[Part, Mixer]:
    """Return makers of windows from the records for training and from those for validation."""
    bank = _bank(config, folder)
    made = list(artificial_noise(config.artificial_noise, N_SAMPLE, seed=config.schedule.seed))
    records = list(records)
    out: dict[Part, Mixer] = {}
    parts: tuple[Part, ...] = ("train", "validation")
    for k, part in enumerate(parts):
        own = [r for r in records if r.part == part]
        read = [r for r in own if np.isfinite(r.p) or np.isfinite(r.s)]
        chosen = slice(None, None, 10) if part == "validation" else np.arange(len(bank)) % 10 > 0
        # Before an S alone there may be a P that nobody has read.
        noise = [r.data[:, : int(r.p) - 150] for r in read if np.isfinite(r.p)]
        noise = [n for n in noise if n.shape[1] >= LEAST_NOISE]
        if not len(bank) and not read:
            raise InputError(f"no labelled set and no simulated earthquakes for {part}")
        out[part] = Mixer(
            config.augmentation,
            real=Sources(
                np.stack([r.data for r in read]),
                np.array([r.p for r in read]),
                np.array([r.s for r in read]),
                np.array([r.weight for r in read]),
                clean=False,
            )
            if read
            else None,
            simulated=Sources(
                bank.data[chosen], bank.p[chosen], bank.s[chosen], np.ones(len(bank.p[chosen])), clean=True
            )
            if len(bank)
            else None,
            noise=noise or made,
            artificial=made[k::2],
        )
    return out


def _bank(config: WindowsConfig, folder: Path) -> Bank:
    path = folder / f"simulated-{config.simulated}-{config.schedule.seed}.npz"
    if not path.exists():
        bank = simulate(config.simulated, seed=config.schedule.seed)
        bank.save(path)
    return Bank.load(path)


def _taught(config: WindowsConfig) -> dict[str, dict[str, float]]:
    if config.teacher is None:
        return {}
    out: dict[str, dict[str, float]] = {}
    with config.teacher.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if float(row["probability"]) >= config.teacher_least:
                out.setdefault(row["name"], {})[row["phase"]] = float(row["sample"])
    return out


def _labelled(
    source: LabelledSource, record: LabelledRecord, taught: dict[str, float], part: Part
) -> list[Labelled]:
    record = shifted(record, source.labels_later_s)
    onsets = {phase: [s * RATE_HZ for s in record.seconds(phase)] for phase in "PS"}
    if any(len(times) > 1 for times in onsets.values()):
        return []  # Read twice: the two analysts need not agree.
    p, s = (float(v[0]) if v else taught.get(phase, np.nan) for phase, v in onsets.items())
    own = tuple(phase for phase, v in onsets.items() if not v and phase in taught)
    data = three(record.wave)
    low = 0
    if np.isfinite(p) or np.isfinite(s):
        low = max(0, int(np.nanmin([p, s])) - LEAD)
    data = data[:, low : low + N_SAMPLE]
    n = data.shape[1]
    if n < LEAST_NOISE or not data.any():
        return []
    if n < N_SAMPLE:
        # The end of the record, back and forth.
        k = np.arange(N_SAMPLE - n) % (2 * (n // 4))
        data = np.concatenate([data, data[:, n - 1 - np.minimum(k, 2 * (n // 4) - 1 - k)]], axis=1)
    return [Labelled(record.name, data, p - low, s - low, source.weight, part, own)]


def three(wave: Waveform) -> Array:
    """Return Z, N, E at 100 Hz, shape (3, n), medians removed; a missing component is zero."""
    rows = slots(set(wave.ids))[0]
    data = np.zeros((3, wave.n_sample))
    for name, row in rows.items():
        x = wave.data[wave.ids.index(name)].astype(np.float64)
        data[row] = x - np.median(x)
    if abs(wave.sampling_rate / RATE_HZ - 1) > 1e-6:
        ratio = Fraction(RATE_HZ / wave.sampling_rate).limit_denominator(1000)
        data = resample_poly(data, ratio.numerator, ratio.denominator, axis=1)
    return np.ascontiguousarray(data, np.float32)
