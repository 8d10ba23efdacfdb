"""Flat stretches, spikes and clipping: what is put in is found, and earthquakes are none of it."""

from __future__ import annotations

import numpy as np
import obspy
import pytest

from kaname.signal.defects import count_clipped, count_flat, find_spikes

RATE = 100.0


def noise(n: int = 60_000, seed: int = 0, level: float = 300.0) -> np.ndarray:
    """Return smooth noise in counts, as a seismometer gives."""
    rng = np.random.default_rng(seed)
    steps = np.convolve(rng.normal(0, 1, n + 50), np.hanning(50), "valid")[:n]
    return np.rint(level * steps / steps.std()).astype(np.int32)


class TestSpikes:
    @pytest.mark.parametrize("width", [1, 2])
    def test_what_is_put_in_is_found(self, width):
        data = noise()
        at = np.arange(500, 59_000, 3777)
        for k in range(width):
            data[at + k] += 20_000
        data[at[0] : at[0] + width] -= 40_000
        np.testing.assert_array_equal(find_spikes(data, RATE), at)

    def test_noise_has_none(self):
        assert not find_spikes(noise(), RATE).size
        rng = np.random.default_rng(1)
        assert not find_spikes(rng.normal(0, 5, 60_000), RATE).size

    def test_earthquakes_have_none(self, shared_data):
        n = 0
        for path in sorted((shared_data / "strongmotion" / "network_events").rglob("*.mseed"))[:40]:
            for trace in obspy.read(str(path)):
                n += 1
                assert not find_spikes(trace.data, trace.stats.sampling_rate).size, path
        assert n > 10

    @pytest.mark.parametrize("n", [0, 1, 2, 3, 10])
    def test_short(self, n):
        assert not find_spikes(np.zeros(n, np.int32), RATE).size

    def test_a_step_is_no_spike(self):
        data = noise()
        data[30_000:] += 50_000
        assert not find_spikes(data, RATE).size


class TestFlat:
    def test_runs_are_counted_whole(self):
        data = noise()
        data[1000:4000] = 7
        data[5000:5050] = 7
        assert 3000 <= count_flat(data, 1000) <= 3002
        assert count_flat(data, 4000) == 0
        assert count_flat(np.zeros(500, np.int32), 500) == 500
        assert count_flat(np.zeros(0, np.int32), 1) == 0


class TestClipped:
    def test_a_cut_wave_is_clipped_and_a_whole_one_is_not(self):
        wave = (1e6 * np.sin(np.arange(60_000) * 2 * np.pi / 500)).astype(np.int32)
        assert count_clipped(wave, wave.min(), wave.max()) == 0
        cut = np.clip(wave, -700_000, 700_000)
        expected = int((np.abs(wave) >= 700_000).sum())
        assert count_clipped(cut, cut.min(), cut.max()) == expected
        assert count_clipped(wave, -700_000, 700_000, steep=False) == expected

    def test_quiet_noise_of_few_counts_is_not(self):
        data = noise(level=2)
        assert count_clipped(data, data.min(), data.max()) == 0

    def test_slow_waves_are_not(self):
        data = (1000 * np.sin(np.arange(60_000) * 2 * np.pi / 2000)).astype(np.int32)
        assert count_clipped(data, data.min(), data.max()) == 0
