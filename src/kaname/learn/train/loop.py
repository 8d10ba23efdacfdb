"""The training loop: seeded, resumable, with early stopping on held-out records."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from kaname.core.errors import InputError


class Schedule(BaseModel):
    """How long and how fast a network is trained."""

    model_config = ConfigDict(extra="forbid")

    seed: int = Field(1, ge=0, description="seed of weights and of everything drawn")
    steps: int = Field(12000, ge=1, description="batches in all")
    batch: int = Field(32, ge=1, description="windows per batch")
    rate: float = Field(2e-3, gt=0, description="largest learning rate; it rises, then falls as a cosine")
    warmup: int = Field(300, ge=0, description="batches of the rise")
    decay: float = Field(1e-3, ge=0, description="weight decay")
    average: float = Field(0.999, ge=0, lt=1, description="share that the running mean of the weights keeps")
    every: int = Field(1000, ge=1, description="batches between validations and checkpoints")
    patience: int = Field(8, ge=1, description="validations without a better one before it stops")
    workers: int = Field(1, ge=0, description="processes that make windows beside the one that trains")
    half: bool = Field(
        False,
        description="forward and backward in bfloat16; on CPU compare with float32 first: "
        "torch 2.13's strided convolutions of height one come out wrong",
    )


class Maker(Protocol):
    """Makes batches: a picklable callable from a seed to arrays."""

    def __call__(self, seed: int) -> tuple[np.ndarray, ...]:
        """Return the arrays of one batch."""


def train(
    network: nn.Module,
    make: Maker,
    loss: Callable[..., Tensor],
    validate: Callable[[nn.Module], float],
    schedule: Schedule,
    folder: Path,
    *,
    resume: bool = True,
    report: Callable[[str], None] | None = None,
) -> nn.Module:
    """Train a network and return the best by validation.

    A checkpoint in ``folder`` is taken up where it stands, and the result is the same as without the break:
    the batch of each step follows from seed and step alone.

    Parameters
    ----------
    network
        What is trained, in place.
    make
        Maker of batches.
    loss
        From ``(network, *tensors of the batch)`` to the loss.
    validate
        From a network to a score, the higher the better.
    schedule
        See `Schedule`.
    folder
        For ``checkpoint.pt``.
    resume
        Take up a checkpoint that is there; otherwise start anew.
    report
        Takes a line of progress; by default it is logged to stderr.

    Raises
    ------
    InputError
        When the checkpoint is of another schedule or network.
    """
    report = report or _log
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device)
    mean = torch.optim.swa_utils.AveragedModel(network, avg_fn=_mean(schedule.average), use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=schedule.decay)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    best: dict[str, Any] = {"score": -np.inf, "state": None, "step": 0}
    first = 0
    if not resume:
        checkpoint.unlink(missing_ok=True)
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=False)
        if saved["schedule"] != schedule.model_dump(exclude={"steps", "patience", "workers"}):
            raise InputError(f"{checkpoint} is of another schedule; remove it or train in another folder")
        network.load_state_dict(saved["network"])
        mean.load_state_dict(saved["mean"])
        optimizer.load_state_dict(saved["optimizer"])
        best, first = saved["best"], saved["step"]
        report(f"taken up at step {first}")
    began, losses = time.monotonic(), []
    for step, batch in enumerate(_batches(make, schedule, first), start=first):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate * _factor(step, schedule)
        network.train()
        tensors = [torch.from_numpy(a).to(device) for a in batch]
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=schedule.half):
            value = loss(network, *tensors)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        mean.update_parameters(network)
        losses.append(float(value.detach()))
        done = step + 1
        if done % schedule.every == 0 or done == schedule.steps:
            mean.eval()
            score = validate(mean.module)
            if score > best["score"]:
                state = {k: v.detach().cpu().clone() for k, v in mean.module.state_dict().items()}
                best = {"score": score, "state": state, "step": done}
            report(
                f"step {done}/{schedule.steps} loss {np.mean(losses):.4f} score {score:.4f} "
                f"(best {best['score']:.4f} at {best['step']}) {(time.monotonic() - began) / 60:.1f} min"
            )
            losses = []
            _save(
                checkpoint,
                {
                    "schedule": schedule.model_dump(exclude={"steps", "patience", "workers"}),
                    "network": network.state_dict(),
                    "mean": mean.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "best": best,
                    "step": done,
                },
            )
            if done - best["step"] >= schedule.patience * schedule.every:
                report("no better for a while: stopped")
                break
    network.load_state_dict(best["state"])
    return network.to("cpu").eval()


def _log(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _mean(share: float) -> Callable[[Tensor, Tensor, Any], Tensor]:
    """Running mean that forgets the random start: of n so far it keeps no more than n / (n + 10)."""

    def update(old: Tensor, new: Tensor, n: Any) -> Tensor:
        if not torch.is_floating_point(old):
            return new
        return torch.lerp(new, old, min(share, float(n) / (float(n) + 10)))

    return update


def _factor(step: int, schedule: Schedule) -> float:
    if step < schedule.warmup:
        return (step + 1) / schedule.warmup
    rest = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * min(1.0, rest)))


def _batches(make: Maker, schedule: Schedule, first: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Batches in order of the step, made ahead by other processes where that is wanted."""
    seeds = (schedule.seed * 1_000_003 + step for step in range(first, schedule.steps))
    if not schedule.workers:
        yield from map(make, seeds)
        return
    with get_context("fork").Pool(schedule.workers, initializer=_begin, initargs=(make,)) as pool:
        pending = []
        for seed in seeds:
            pending.append(pool.apply_async(_make, (seed,)))
            if len(pending) > 4 * schedule.workers:
                yield pending.pop(0).get()
        for result in pending:
            yield result.get()


_maker: Maker
"""In a worker: what makes the batches. A fork hands it over; with each task the data would be copied."""


def _begin(make: Maker) -> None:
    global _maker
    _maker = make
    torch.set_num_threads(1)


def _make(seed: int) -> tuple[np.ndarray, ...]:
    return _maker(seed)


def _save(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)
