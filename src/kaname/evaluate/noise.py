"""Hours of noise without earthquakes, made of the little that real records have before their P.

Real noise of known content is short: the seconds before P. Two constructions make it long, and false picks
are counted on both, because each fails in its own way: *resynthesised* noise has the real spectra and the
real coherence of the components but no transients; *spliced* noise is made of the real samples, transients
and all, but repeats them and has joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from kaname.core.errors import InputError
from kaname.core.time import add_seconds, as_time
from kaname.core.waveform import Waveform
from kaname.signal.filters import bandpass, filter_block, rest_state

Array = NDArray[np.float64]
Kind = Literal["resynthesised", "spliced"]
KINDS: tuple[Kind, ...] = get_args(Kind)

RATE_HZ = 100.0
BAND_HZ = (2.0, 20.0)
"""Band in which levels are compared: where local earthquakes are."""
LEVEL = 100.0
"""Root mean square of the noise in that band [count]."""
LEAST_S = 8.0
"""Shorter pieces are not used."""
FADE_S = 3.0
GAIN_DB = 3.0
"""Pieces differ in level by up to this, either way."""
STRETCH_S = 60.0
"""Length of a stretch that has one spectrum [s]."""
START = as_time("2000-01-01")
IDS = ("XX.NOISE..HHZ", "XX.NOISE..HHN", "XX.NOISE..HHE")


def at_rate(wave: Waveform, rate_hz: float = RATE_HZ) -> Waveform:
    """Return the block at another rate, by polyphase resampling without a delay; its mean is kept aside."""
    if abs(wave.sampling_rate / rate_hz - 1) < 1e-6:
        return replace(wave, data=wave.data.astype(np.float64))
    ratio = Fraction(rate_hz / wave.sampling_rate).limit_denominator(1000)
    data = wave.data.astype(np.float64)
    mean = data.mean(axis=1, keepdims=True)
    data = signal.resample_poly(data - mean, ratio.numerator, ratio.denominator, axis=1) + mean
    return replace(wave, data=data, sampling_rate=rate_hz)


def band_level(data: Array, rate_hz: float = RATE_HZ) -> float:
    """Return the root mean square over channels and time in `BAND_HZ`; `data` (n_channel, n_sample)."""
    sos = bandpass(*BAND_HZ, rate_hz)
    filtered, _ = filter_block(sos, data, rest_state(sos, data[:, 0]))
    return float(np.sqrt((filtered**2).mean()))


def usable(pieces: Sequence[Waveform]) -> list[Array]:
    """Return the pieces that long noise can be made of, at 100 Hz, without trend and at unit band level.

    Left out are pieces without three channels, shorter than `LEAST_S`, or with a channel that is dead or not
    finite.
    """
    out = []
    for piece in pieces:
        if piece.n_channel != 3 or piece.duration_s < LEAST_S or not np.isfinite(piece.data).all():
            continue
        data = signal.detrend(at_rate(piece).data, axis=1)
        if (data.std(axis=1) <= 1e-9 * np.abs(piece.data).max()).any():
            continue
        level = band_level(data)
        if level > 0:
            out.append(data / level)
    return out


def long_noise(pieces: Sequence[Waveform], duration_s: float, *, kind: Kind, seed: int) -> Waveform:
    """Make continuous three-component noise of real pieces.

    ``resynthesised``: stretches of 60 s, each with the amplitude spectrum of one piece and random phases, the
    same for the three components, so that their cross-spectra are kept (Prichard and Theiler 1994,
    https://doi.org/10.1103/PhysRevLett.73.951). ``spliced``: the pieces themselves, each with components
    permuted, signs drawn and time reversed in half the cases. In both, the level in 2 to 20 Hz varies by up
    to 3 dB either way, and neighbours are crossfaded over 3 s at constant power.

    Parameters
    ----------
    pieces
        Blocks without earthquakes; those that `usable` leaves out are not used.
    duration_s
        Length [s].
    kind
        Construction, see above.
    seed
        The same seed gives the same noise.

    Returns
    -------
    Waveform
        Channels `IDS`, 100 Hz, shape (3, n), root mean square about `LEVEL` counts in 2 to 20 Hz.

    Raises
    ------
    InputError
        When no piece is usable, or the kind is unknown.
    """
    if kind not in KINDS:
        raise InputError(f"unknown kind of noise {kind!r}; expected one of {', '.join(KINDS)}")
    if not duration_s > 0:
        raise InputError(f"the duration of noise must be positive, found {duration_s} s")
    real = usable(pieces)
    if not real:
        raise InputError(
            f"none of {len(pieces)} stretches before events can be made into noise: three live components "
            f"and {LEAST_S:g} s are needed"
        )
    rng = np.random.default_rng(seed)
    n = round(duration_s * RATE_HZ)
    fade = round(FADE_S * RATE_HZ)
    rise = np.sin(np.pi / 2 * (np.arange(fade) + 0.5) / fade)
    out = np.zeros((3, n), dtype=np.float32)
    begin = -fade
    while begin < n:
        piece = real[rng.integers(len(real))]
        made = _resynthesise(piece, rng) if kind == "resynthesised" else _turn(piece, rng)
        made = made * (LEVEL * 10 ** (rng.uniform(-GAIN_DB, GAIN_DB) / 20))
        made[:, :fade] *= rise
        made[:, -fade:] *= rise[::-1]
        low, high = max(0, begin), min(n, begin + made.shape[1])
        out[:, low:high] += made[:, low - begin : high - begin]
        begin += made.shape[1] - fade
    return Waveform(out, IDS, START, RATE_HZ)


def _resynthesise(piece: Array, rng: np.random.Generator) -> Array:
    n = round(STRETCH_S * RATE_HZ)
    own = piece[:, :n] * signal.windows.tukey(min(n, piece.shape[1]), 0.2)
    spectrum = np.fft.rfft(own, n, axis=1)
    phase = rng.uniform(0, 2 * np.pi, spectrum.shape[1])
    made = np.fft.irfft(spectrum * np.exp(1j * phase), n, axis=1)
    return np.asarray(made / band_level(made))


def _turn(piece: Array, rng: np.random.Generator) -> Array:
    made = piece[rng.permutation(3)] * rng.choice([-1.0, 1.0], 3)[:, np.newaxis]
    return np.array(made[:, ::-1] if rng.random() < 0.5 else made)


def hours_of(wave: Waveform, hours: float = 1.0) -> list[Waveform]:
    """Cut a block into contiguous ones of so many hours, as a stream would bring them."""
    step = max(1, round(hours * 3600 * wave.sampling_rate))
    return [
        replace(wave, data=wave.data[:, low : low + step], start=wave.time(low))
        for low in range(0, wave.n_sample, step)
    ]


def quiet_before(
    wave: Waveform, onsets: Sequence[np.datetime64], *, margin_s: float = 2.0
) -> Waveform | None:
    """Return what of a record lies `margin_s` or more before the first onset; ``None`` when nothing does."""
    if not onsets:
        return None
    return wave.slice(wave.start, add_seconds(min(onsets), -margin_s))
