"""``kaname bench denoising``: signal gained by denoisers on mixtures whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import signal

from kaname.automation.denoise import Denoiser
from kaname.cli._bench import emit, find_methods, read_sets, write
from kaname.core.errors import NotFoundError
from kaname.core.step import run
from kaname.core.tables import validate
from kaname.core.waveform import Waveform
from kaname.evaluate import noise, scorecard
from kaname.evaluate.denoising import gain_db, gain_row, mixture
from kaname.formats.labelled import LabelledRecord

Array = NDArray[np.float64]
Denoise = Callable[[Waveform], Array]
"""What a method offers: a record in, its signal out, same shape."""

SNR_DB = (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
CLEAN_DB = 20.0
"""Least ratio of a record, P on to before P, of which the signal is taken for clean."""
BEFORE_S, AFTER_S = 8.0, 20.0
BANDS = ((0.5, 20.0), (1.0, 10.0), (1.0, 20.0), (2.0, 15.0), (2.0, 20.0), (3.0, 20.0))
DATA = ("raw", "1 Hz high-pass")


def band(low: float, high: float) -> Denoise:
    """A Butterworth band-pass of order two without a phase shift."""
    sos = signal.butter(2, (low, high), "bandpass", fs=noise.RATE_HZ, output="sos")
    return lambda wave: np.asarray(signal.sosfiltfilt(sos, wave.data, axis=1))


def kaname() -> Denoise:
    """The denoiser of the package."""
    denoiser = Denoiser()
    return lambda wave: np.concatenate([b.data for b in run(denoiser, [wave])], axis=1).astype(np.float64)


METHODS: dict[str, Callable[[], Denoise]] = {
    "none": lambda: lambda wave: wave.data,
    **{f"{a:g}-{b:g} Hz": lambda a=a, b=b: band(a, b) for a, b in BANDS},  # type: ignore[misc]
    "kaname": kaname,
}


def parts_of(record: LabelledRecord) -> tuple[Array, Array] | None:
    """Return a record from 8 s before P to 20 s after, and what lies before P, at 100 Hz, three channels.

    ``None`` where the record does not hold that.
    """
    if not record.labels.get("P") or record.wave.n_channel != 3 or not np.isfinite(record.wave.data).all():
        return None
    wave = noise.at_rate(record.wave)
    p = round(wave.index(min(record.labels["P"])))
    low, high = p - round(BEFORE_S * noise.RATE_HZ), p + round(AFTER_S * noise.RATE_HZ)
    quiet = wave.data[:, : p - round(2 * noise.RATE_HZ)]
    # Whole, so that a filter has forgotten its start where the mixture begins.
    if low < 0 or high > wave.n_sample or quiet.shape[1] < high - low - round(8 * noise.RATE_HZ):
        return None
    if (wave.data[:, low:high].std(axis=1) == 0).any() or (quiet.std(axis=1) == 0).any():
        return None
    return wave.data[:, low:high], quiet


def mixtures(records: Sequence[LabelledRecord], *, seed: int) -> list[tuple[Array, Array]]:
    """Pair each clean signal with the noise of another event's record, which is played there and back."""
    parts = [(r.event, own) for r in records if (own := parts_of(r)) is not None]
    rng = np.random.default_rng(seed)
    n = round((BEFORE_S + AFTER_S) * noise.RATE_HZ)
    first = round(BEFORE_S * noise.RATE_HZ)
    out = []
    for event, (clean, quiet) in parts:
        ratio = clean[:, first:].var(axis=1) / quiet.var(axis=1)
        others = [q for e, (_, q) in parts if e != event]
        if 10 * np.log10(ratio.min()) >= CLEAN_DB and others:
            other = others[int(rng.integers(len(others)))]
            out.append((clean, np.concatenate([other, other[:, ::-1]], axis=1)[:, :n]))
    return out


def prepared(data: Array, kind: str) -> Array:
    """Return samples as they are, less their mean, or above 1 Hz."""
    data = data - data.mean(axis=1, keepdims=True)
    if kind == "raw":
        return data
    sos = signal.butter(2, 1.0, "highpass", fs=noise.RATE_HZ, output="sos")
    return np.asarray(signal.sosfiltfilt(sos, data, axis=1))


def scores(found: dict[str, Denoise], pairs: Sequence[tuple[Array, Array]]) -> pd.DataFrame:
    """Return the gain of every method by what was done to the records and by ratio."""
    rows: list[dict[str, Any]] = []
    event = slice(round(BEFORE_S * noise.RATE_HZ), None)
    for kind in DATA:
        ready = [(prepared(a, kind), prepared(b, kind)) for a, b in pairs]
        for snr_db in SNR_DB:
            gains: dict[str, list[Array]] = {name: [] for name in found}
            for clean, other in ready:
                made, scaled = mixture(clean, other, snr_db)
                wave = Waveform(made, noise.IDS, noise.START, noise.RATE_HZ)
                for name, denoise in found.items():
                    output = denoise(wave)
                    gains[name].append(gain_db(clean[:, event], scaled[:, event], output[:, event]))
            rows += [
                {"method": m, "data": kind, "snr_db": snr_db, **gain_row(np.concatenate(g))}
                for m, g in gains.items()
            ]
    return pd.DataFrame(rows)


def command(
    data: Sequence[str],
    *,
    methods: Sequence[str],
    split: str,
    split_by: str,
    limit: int | None,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run the benchmark and show it, see ``kaname bench denoising --help``."""
    found, skipped = find_methods(METHODS, methods, what="denoiser")
    whole, _, failures = read_sets(data, split=split, by=split_by, limit=limit, clock=())
    pairs = mixtures(whole, seed=seed)
    if not found or not pairs:
        raise NotFoundError(
            f"{len(found)} methods and {len(pairs)} clean signals of three channels ({CLEAN_DB:g} dB, 20 s "
            "after P) with noise of another event; at least one of either is needed"
        )
    written = {
        "scores": (validate(scores(found, pairs), scorecard.DENOISING), scorecard.DENOISING),
        "skipped": (validate(skipped, scorecard.SKIPPED), scorecard.SKIPPED),
    }
    if out is not None:
        write(out, written)
    emit({name: frame for name, (frame, _) in written.items()}, failures, as_json=as_json)
