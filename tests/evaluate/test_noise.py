"""Long noise has the statistics of what it is made of; pasted events are where the truth says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from kaname.core.errors import InputError
from kaname.core.time import add_seconds, as_time
from kaname.core.waveform import Waveform
from kaname.evaluate import noise, swarm

START = as_time("2024-01-01")
IDS = tuple(f"XX.ABC..HH{c}" for c in "ZNE")


def coloured(seed: int, seconds: float = 25.0, rate: float = 100.0) -> Waveform:
    """Synthetic noise with a peak at 5 Hz; N is Z half and half its own, E on its own."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    b, a = signal.iirpeak(5.0, 2.0, fs=rate)
    z, own, e = signal.lfilter(b, a, rng.standard_normal((3, n + 500)), axis=1)[:, 500:]
    data = 40 * np.stack([z, (z + own) / 2**0.5, e]) + 0.05 * rng.standard_normal((3, n)) + 1000
    return Waveform(data, IDS, START, rate)


PIECES = [coloured(i) for i in range(8)]


@pytest.mark.parametrize("kind", noise.KINDS)
def test_level_spectrum_and_length(kind: noise.Kind) -> None:
    made = noise.long_noise(PIECES, 600.0, kind=kind, seed=1)
    assert made.data.shape == (3, 60_000) and made.sampling_rate == 100 and np.isfinite(made.data).all()
    assert noise.band_level(made.data.astype(float)) == pytest.approx(noise.LEVEL, rel=0.15)
    # Every ten seconds there is noise: no hole at the joints.
    levels = [noise.band_level(part.astype(float)) for part in np.split(made.data, 60, axis=1)]
    assert min(levels) > 0.4 * noise.LEVEL and max(levels) < 2 * noise.LEVEL
    f, power = signal.welch(made.data[0], 100.0, nperseg=512)
    assert abs(f[power.argmax()] - 5.0) < 0.5


def test_resynthesised_noise_keeps_the_coherence_of_the_components() -> None:
    made = noise.long_noise(PIECES, 1200.0, kind="resynthesised", seed=2).data
    f, related = signal.coherence(made[0], made[1], 100.0, nperseg=512)
    _, apart = signal.coherence(made[0], made[2], 100.0, nperseg=512)
    peak = (f > 4) & (f < 6)
    assert 0.35 < related[peak].mean() < 0.7  # 0.5 in truth
    assert apart[peak].mean() < 0.15


def test_resynthesised_noise_is_normal_and_spliced_noise_keeps_transients() -> None:
    spiky = []
    for piece in PIECES:
        data = piece.data.copy()
        data[:, 1200:1210] += 4000
        spiky.append(replace(piece, data=data))
    smooth = noise.long_noise(spiky, 600.0, kind="resynthesised", seed=3).data
    real = noise.long_noise(spiky, 600.0, kind="spliced", seed=3).data
    from scipy.stats import kurtosis

    assert abs(kurtosis(smooth[0])) < 1.0 < 5.0 < kurtosis(real[0])


def test_the_same_seed_gives_the_same_noise() -> None:
    a, b, c = (noise.long_noise(PIECES, 60.0, kind="spliced", seed=s).data for s in (5, 5, 6))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_pieces_that_cannot_be_used_are_left_out() -> None:
    dead = replace(PIECES[0], data=np.vstack([PIECES[0].data[:2], np.zeros((1, 2500))]))
    nan = replace(PIECES[0], data=np.where(np.arange(2500) == 7, np.nan, PIECES[0].data))
    short = replace(PIECES[0], data=PIECES[0].data[:, :700])
    vertical = PIECES[0].select(IDS[:1])
    assert noise.usable([dead, nan, short, vertical]) == []
    assert noise.usable([coloured(1, rate=250.0)])[0].shape == (3, 2500)
    with pytest.raises(InputError, match="none of 1 stretches"):
        noise.long_noise([dead], 60.0, kind="spliced", seed=0)
    with pytest.raises(InputError, match="unknown kind"):
        noise.long_noise(PIECES, 60.0, kind="white", seed=0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="positive"):
        noise.long_noise(PIECES, 0.0, kind="spliced", seed=0)


def test_quiet_before_ends_ahead_of_the_first_onset() -> None:
    wave = PIECES[0]
    quiet = noise.quiet_before(wave, [add_seconds(START, 20), add_seconds(START, 12)])
    assert quiet is not None and quiet.duration_s == 10.0
    assert noise.quiet_before(wave, []) is None
    assert noise.quiet_before(wave, [add_seconds(START, 1)]) is None


def event(rate: float = 100.0) -> Waveform:
    """Noise of level one with a step to 50 times as much at 12 s: P; 100 times at 15 s: S."""
    base = coloured(9, 40.0, rate)
    t = np.arange(base.n_sample) / rate
    gain = np.where(t < 12, 1.0, np.where(t < 15, 50.0, 100.0))
    return replace(base, data=(base.data - 1000) * gain + 1000)


@pytest.mark.parametrize("rate", [100.0, 200.0])
def test_pasted_events_are_where_the_truth_says(rate: float) -> None:
    cut = swarm.cut_event(event(rate), {"P": add_seconds(START, 12), "S": add_seconds(START, 15)})
    assert cut is not None and cut.onsets == {"P": pytest.approx(3.0), "S": pytest.approx(6.0)}
    quiet = noise.long_noise(PIECES, 1800.0, kind="spliced", seed=1)
    wave, labels = swarm.paste(quiet, [cut], per_hour=60, seed=2)
    n = round(60 * (1800 - 60) / 3600)
    assert (labels["phase"] == "P").sum() == n and (labels["phase"] == "S").sum() >= n - 1
    p = labels.loc[labels["phase"] == "P", "time"].to_numpy()
    alone = [t for t in p if np.abs(p - t)[p != t].min() > np.timedelta64(20, "s")]
    assert len(alone) > 5
    for time in alone:
        k = round(wave.index(time))
        before, after = wave.data[0, k - 100 : k - 10].std(), wave.data[0, k + 10 : k + 100].std()
        assert after > 8 * before
    assert np.array_equal(quiet.data, noise.long_noise(PIECES, 1800.0, kind="spliced", seed=1).data)


def test_events_that_cannot_be_cut() -> None:
    wave = event()
    p, s = add_seconds(START, 12), add_seconds(START, 15)
    assert swarm.cut_event(wave, {"P": p}) is None
    assert swarm.cut_event(wave, {"P": s, "S": p}) is None
    assert swarm.cut_event(wave, {"P": add_seconds(START, 1), "S": s}) is None
    assert swarm.cut_event(wave.select(IDS[:1]), {"P": p, "S": s}) is None
    with pytest.raises(InputError, match="no events"):
        swarm.paste(coloured(1), [], per_hour=1, seed=0)
    cut = swarm.cut_event(wave, {"P": p, "S": s})
    assert cut is not None
    with pytest.raises(InputError, match="more than 60 s"):
        swarm.paste(coloured(1), [cut], per_hour=1, seed=0)
