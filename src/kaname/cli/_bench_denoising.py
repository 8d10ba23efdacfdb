"""``kaname bench denoising``: signal gained by denoisers on mixtures whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import signal

from kaname.automation.denoise import Denoiser, DenoiserSettings
from kaname.cli._bench import emit, find_methods, read_sets, write
from kaname.core.errors import NotFoundError
from kaname.core.progress import progress
from kaname.core.provenance import software, write_json
from kaname.core.step import run
from kaname.core.tables import validate
from kaname.core.time import add_seconds, seconds_between
from kaname.core.waveform import Waveform
from kaname.evaluate import noise, scorecard
from kaname.evaluate.denoising import gain_db, gain_row, lag_s, mixture, onset_row, onset_s
from kaname.evaluate.splits import SAME_EVENT_S
from kaname.formats.labelled import EPOCH, LabelledRecord, time_of

Array = NDArray[np.float64]
Denoise = Callable[[Waveform], Array]
"""What a method offers: a record in, its signal out, same shape."""

SNR_DB = (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
CLEAN_DB = 20.0
"""Least ratio of a record, 20 s from P on to before P, of which the signal is taken for clean."""
BEFORE_S, AFTER_S = 8.0, 20.0
GUARD_S = 1.0
"""Left out before P: the analyst may be late."""
BANDS = [(low, high) for low in (0.5, 1.0, 2.0, 3.0) for high in (10.0, 15.0, 20.0, 45.0)]
DATA = {
    "raw": None,
    "1 Hz high-pass": signal.butter(2, 1.0, "highpass", fs=noise.RATE_HZ, output="sos"),
    "1-20 Hz": signal.butter(2, (1.0, 20.0), "bandpass", fs=noise.RATE_HZ, output="sos"),
}
"""What is done to the records before they are mixed."""
ONSET_S = 0.5
"""An onset is looked for so far from P on either side."""


def band(low: float, high: float) -> Denoise:
    """Return a Butterworth band-pass of order two without a phase shift."""
    sos = signal.butter(2, (low, high), "bandpass", fs=noise.RATE_HZ, output="sos")
    return lambda wave: np.asarray(signal.sosfiltfilt(sos, wave.data, axis=1))


def kaname(model: str = "") -> Denoise:
    """Return the denoiser of the package, or of a file."""
    denoiser = Denoiser(DenoiserSettings(weights=model) if model else None)
    return lambda wave: np.concatenate([b.data for b in run(denoiser, [wave])], axis=1).astype(np.float64)


FILTERS: dict[str, Callable[[], Denoise]] = {
    f"{a:g}-{b:g} Hz": lambda a=a, b=b: band(a, b)  # type: ignore[misc]
    for a, b in BANDS
}
METHODS: dict[str, Callable[[], Denoise]] = {
    "kaname": kaname,
    "none": lambda: lambda wave: wave.data,
    **FILTERS,
}


class Source(NamedTuple):
    """A record at 100 Hz, Z, N, E, from 8 s before P at least to 20 s after it."""

    record: LabelledRecord
    data: Array
    p: int
    snr_db: float


class Mixture(NamedTuple):
    """A signal, the noise of another event, and which is which; both shape (3, n), P after 8 s."""

    clean: dict[str, Array]
    """By what was done to it."""
    noise: dict[str, Array]
    start: np.datetime64
    name: str


def source_of(record: LabelledRecord) -> Source | None:
    """Return a record that can be mixed; ``None`` where a component or P is missing, or it is too short."""
    if not record.labels.get("P") or record.wave.n_channel != 3 or not np.isfinite(record.wave.data).all():
        return None
    wave = noise.at_rate(record.wave)
    # Vertical first, where the onset is looked at.
    wave = wave.select(sorted(wave.ids, key=lambda i: (i[-1] not in "Z3", i)))
    p = round(wave.index(min(record.labels["P"])))
    before, after = p - round(GUARD_S * noise.RATE_HZ), p + round(AFTER_S * noise.RATE_HZ)
    if p < BEFORE_S * noise.RATE_HZ or after > wave.n_sample:
        return None
    data = wave.data - wave.data[:, :before].mean(axis=1, keepdims=True)
    quiet, event = data[:, :before], data[:, p:after]
    if (quiet.std(axis=1) == 0).any() or (event.std(axis=1) == 0).any():
        return None
    return Source(record, data, p, float(10 * np.log10(event.var() / quiet.var())))


def mixtures(records: Sequence[LabelledRecord], *, n: int, seed: int) -> list[Mixture]:
    """Pair each clean signal with what lies before the P of so many records of other events, or of all."""
    sources = [own for r in records if (own := source_of(r)) is not None]
    rng = np.random.default_rng(seed)
    out = []
    for a in (s for s in sources if s.snr_db >= CLEAN_DB):
        others = [b for b in sources if _apart(a.record, b.record)]
        chosen = rng.choice(len(others), min(n, len(others)), replace=False)
        for b in (others[i] for i in chosen):
            start = add_seconds(EPOCH, float(rng.uniform(0, 86400)))
            clean = {kind: _event(a, kind) for kind in DATA}
            quiet = {kind: _before(b, kind) for kind in DATA}
            out.append(Mixture(clean, quiet, start, f"{a.record.source} {a.record.name}"))
    return out


def _apart(a: LabelledRecord, b: LabelledRecord) -> bool:
    """Tell whether two records are of different events, which in some sets the times alone tell."""
    one, other = time_of(a), time_of(b)
    timed = one != EPOCH and other != EPOCH
    return a.event != b.event and not (timed and abs(seconds_between(one, other)) <= SAME_EVENT_S)


def _filtered(data: Array, kind: str) -> Array:
    sos = DATA[kind]
    return data if sos is None else np.asarray(signal.sosfilt(sos, data, axis=1))


def _event(source: Source, kind: str) -> Array:
    low = source.p - round(BEFORE_S * noise.RATE_HZ)
    high = source.p + round(AFTER_S * noise.RATE_HZ)
    return _filtered(source.data, kind)[:, low:high]


def _before(source: Source, kind: str) -> Array:
    """Return what lies before P, the end of it, there and back where it is short."""
    n = round((BEFORE_S + AFTER_S) * noise.RATE_HZ)
    quiet = _filtered(source.data, kind)[:, : source.p - round((GUARD_S + 0.5) * noise.RATE_HZ)]
    quiet = quiet[:, -n:]
    return np.take(np.concatenate([quiet, quiet[:, ::-1]], axis=1), np.arange(n), axis=1, mode="wrap")


def made(own: Mixture, kind: str, snr_db: float) -> tuple[Waveform, Array]:
    """Return a mixture as a record, and the noise in it."""
    event = slice(round(BEFORE_S * noise.RATE_HZ), None)
    data, scaled = mixture(own.clean[kind], own.noise[kind], snr_db, within=event)
    return Waveform(data, noise.IDS, own.start, noise.RATE_HZ), scaled


def scores(
    found: dict[str, Denoise], pairs: Sequence[Mixture], *, data: Sequence[str] = tuple(DATA)
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scores of every method, and the methods beside the band-pass that is best.

    Both by what was done to the records and by ratio.
    """
    p = round(BEFORE_S * noise.RATE_HZ)
    near = slice(p - round(ONSET_S * noise.RATE_HZ), p + round(ONSET_S * noise.RATE_HZ))
    about = slice(near.start, p + 2 * round(noise.RATE_HZ))
    rows: list[dict[str, Any]] = []
    beside: list[dict[str, Any]] = []
    with progress("bench denoising", len(data) * len(SNR_DB)) as advance:
        for kind in data:
            for snr_db in SNR_DB:
                gains: dict[str, list[Array]] = {name: [] for name in found}
                lags: dict[str, list[float]] = {name: [] for name in found}
                shifts: dict[str, list[float]] = {name: [] for name in found}
                for own in pairs:
                    wave, scaled = made(own, kind, snr_db)
                    clean = own.clean[kind]
                    true = onset_s(clean[0, near], noise.RATE_HZ)
                    for name, denoise in found.items():
                        output = denoise(wave)
                        gains[name].append(gain_db(clean[:, p:], scaled[:, p:], output[:, p:]))
                        lags[name].append(lag_s(clean[0, about], output[0, about], noise.RATE_HZ))
                        shifts[name].append(onset_s(output[0, near], noise.RATE_HZ) - true)
                where = {"data": kind, "snr_db": snr_db}
                every = {name: np.concatenate(g) for name, g in gains.items()}
                rows += [
                    {"method": m, **where, **gain_row(g), **onset_row(np.array(lags[m]), np.array(shifts[m]))}
                    for m, g in every.items()
                ]
                beside += [{**row, **where} for row in _beside(every)]
                advance(1)
    return pd.DataFrame(rows), pd.DataFrame(beside)


def _beside(gains: dict[str, Array]) -> list[dict[str, Any]]:
    """Return a row for each method that is no band-pass, with the best of those and of doing nothing."""
    bands = {m: g for m, g in gains.items() if m in FILTERS}
    name, best = max(bands.items(), key=lambda item: item[1].mean(), default=("", np.array([np.nan])))
    if best.mean() < 0:
        name, best = "none", np.zeros(1)
    edge = {"best_band": name, "best_band_db": best.mean(), "best_band_db_5": np.percentile(best, 5)}
    out = []
    for method, own in gains.items():
        if method not in FILTERS and method != "none":
            row = gain_row(own)
            kept = {k: row[k] for k in ("n", "gain_db", "gain_db_5")}
            better = float((own >= best).mean()) if bands else np.nan
            out.append({"method": method, **kept, **edge, "better": better})
    return out


def command(
    data: Sequence[str],
    *,
    methods: Sequence[str],
    split: str,
    split_by: str,
    limit: int | None,
    n_mixture: int,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run the benchmark and show it, see ``kaname bench denoising --help``."""
    found, skipped = find_methods(METHODS, methods, model=kaname, what="denoiser")
    records, _, failures = read_sets(data, split=split, by=split_by, limit=limit, clock=())
    pairs = mixtures(records, n=n_mixture, seed=seed)
    if not found or not pairs:
        raise NotFoundError(
            f"{len(found)} methods and {len(pairs)} clean signals of three channels ({CLEAN_DB:g} dB, 20 s "
            "after P) with noise of another event; at least one of either is needed"
        )
    every, beside = scores(found, pairs)
    written = {
        "scores": (validate(every, scorecard.DENOISING), scorecard.DENOISING),
        "best_bands": (validate(beside, scorecard.BEST_BANDS), scorecard.BEST_BANDS),
        "skipped": (validate(skipped, scorecard.SKIPPED), scorecard.SKIPPED),
    }
    tables = {name: frame for name, (frame, _) in written.items()}
    if out is not None:
        write(out, written)
        facts = {"signals": len({p.name for p in pairs}), "mixtures": len(pairs), "seed": seed}
        write_json(out / "run.json", {**facts, "software": software()})
        _draw(out, tables["best_bands"], found, pairs)
    # Sixteen band-passes would bury what is asked for; the files have them.
    shown = tables | {"scores": every[~every["method"].isin(FILTERS) | every["method"].isin(methods)]}
    emit(tables if as_json else shown, failures, as_json=as_json)


def _draw(out: Path, beside: pd.DataFrame, found: dict[str, Denoise], pairs: Sequence[Mixture]) -> None:
    """Write the figures: gains, and the mixture of middling gain at 0 dB of each method."""
    from kaname.report.bench import denoised, denoising_gains

    if not len(beside):
        return
    denoising_gains(beside).savefig(out / "gains.png", dpi=120)
    p = round(BEFORE_S * noise.RATE_HZ)
    for number, name in enumerate(dict.fromkeys(beside["method"])):
        parts = []
        for own in pairs:
            wave, scaled = made(own, "raw", 0.0)
            output = found[name](wave)
            gain = gain_db(own.clean["raw"][:1, p:], scaled[:1, p:], output[:1, p:])[0]
            parts.append((gain, own.name, own.clean["raw"][0], wave.data[0], output[0]))
        _, record, *traces = sorted(parts, key=lambda part: part[0])[len(parts) // 2]
        figure = denoised(traces, noise.RATE_HZ, BEFORE_S, f"{name}: vertical, {record}, 0 dB, raw")
        figure.savefig(out / f"example-{number + 1}.png", dpi=120)
