"""Simulated records against rays computed elsewhere, formulas, and what must hold of any record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.earth.moment import moment_nm
from kaname.earth.traveltime import travel_time
from kaname.learn.simulate import coda, source
from kaname.learn.simulate.layered import Crust, arrivals, conversion, random_crust
from kaname.learn.simulate.noise import noise
from kaname.learn.simulate.records import Bank, SimulationConfig, simulate
from kaname.learn.simulate.site import SENSORS, free_surface, record, transfer

CONFIG = SimulationConfig()


@pytest.fixture(scope="module")
def bank() -> Bank:
    return simulate(120, seed=3)


def crust_of(rng: np.random.Generator) -> Crust:
    return random_crust(
        rng, vp_vs=(1.62, 1.9), sediment_share=0.6, sediment_km=(0.05, 3.0), quality_s=(50.0, 400.0)
    )


def rock(vp: float = 6.0, vs: float = 3.5) -> Crust:
    one = np.ones(1)
    return Crust(np.zeros(1), vp * one, vs * one, 2.7 * one, 600 * one, 300 * one, 0)


def test_the_same_seed_gives_the_same_records_and_a_longer_bank_begins_with_the_shorter(bank: Bank) -> None:
    again = simulate(5, seed=3)
    assert np.array_equal(again.data, bank.data[:5])
    assert np.array_equal(again.s, bank.s[:5])
    assert not np.array_equal(simulate(5, seed=4).data, again.data)


def test_nothing_moves_before_p_and_something_at_p(bank: Bank) -> None:
    for data, p in zip(bank.data, bank.p):
        first = int(np.ceil(p))
        assert not data[:, :first].any()
        assert np.isfinite(data).all()
        soon = np.abs(data[:, first : first + 50]).max()
        # The pulse itself takes some samples to rise, as its attenuation makes it.
        assert np.abs(data[:, first : first + 4]).max() > 1e-4 * soon > 0


def test_onset_stays_where_it_is_after_a_causal_filter(bank: Bank) -> None:
    sos = signal.butter(4, (1, 20), "bandpass", fs=100, output="sos")
    filtered = signal.sosfilt(sos, bank.data.astype(np.float64), axis=-1)
    for data, p in zip(filtered, bank.p):
        assert not data[:, : int(np.ceil(p))].any()


def test_s_arrives_when_the_label_says(bank: Bank) -> None:
    # Energy of the horizontals in 0.3 s after S over the 0.3 s before, for strong first S waves.
    ratios = []
    for data, s, share in zip(bank.data, bank.s, bank.s_share):
        if share > 0.5:
            k = int(np.ceil(s))
            level = [
                np.sqrt((data[1:, a:b].astype(float) ** 2).mean()) for a, b in ((k - 30, k), (k, k + 30))
            ]
            ratios.append(level[1] / level[0])
    assert np.median(ratios) > 3.0


def test_limits_of_the_configuration_hold(bank: Bank) -> None:
    for name in ("distance_km", "depth_km", "magnitude", "stress_drop_mpa"):
        low, high = getattr(CONFIG, name)
        values = getattr(bank, name)
        assert (values >= low * (1 - 1e-6)).all() and (values <= high * (1 + 1e-6)).all()
    lag = (bank.s - bank.p) / 100
    assert (lag > 0.3 - 0.01).all() and (lag < 18 + 0.01).all()
    assert (bank.p > 2000 - 1).all() and (bank.p < 4000 + 1).all()
    assert set(bank.sensor) == set(range(len(SENSORS)))
    assert ((bank.p_share > 0) & (bank.p_share <= 1)).all()


@pytest.mark.parametrize("wave", ["P", "S"])
def test_first_arrivals_agree_with_travel_times_of_the_same_model(wave: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        crust = crust_of(rng)
        depth = float(crust.tops[crust.basement] + rng.uniform(0.1, 20))
        distance = float(rng.uniform(1, 200))
        mine = min(
            a.time for a in arrivals(crust, depth, distance, rng, head=(0.1, 0.2)) if a.wave == a.ends == wave
        )
        assert mine == pytest.approx(
            float(travel_time(crust.model(), distance, depth, phase=wave)[0]), abs=2e-6
        )


def test_converted_waves_come_between_p_and_s() -> None:
    rng = np.random.default_rng(1)
    seen = 0
    for _ in range(40):
        crust = crust_of(rng)
        if not crust.basement:
            continue
        depth = float(crust.tops[crust.basement] + rng.uniform(1, 10))
        found = {
            (a.wave, a.ends): a.time
            for a in arrivals(crust, depth, 8.0, rng, head=(0.1, 0.2))
            if a.kind in ("direct", "converted")
        }
        seen += 1
        assert found["P", "P"] < found["P", "S"] < found["S", "S"]
        assert found["P", "P"] < found["S", "P"] < found["S", "S"]
    assert seen > 10


def test_spreading_in_a_half_space_is_the_distance() -> None:
    rng = np.random.default_rng(2)
    for x in (1.0, 10.0, 80.0):
        direct = arrivals(rock(), 7.0, x, rng, head=(0.1, 0.2))[0]
        assert direct.spread_km == pytest.approx(np.hypot(x, 7.0), rel=1e-6)
        assert direct.t_star == pytest.approx(np.hypot(x, 7.0) / 6.0 / 600, rel=1e-6)


def test_a_source_in_sediment_is_refused() -> None:
    crust = next(c for c in map(crust_of, map(np.random.default_rng, range(50))) if c.tops[c.basement] > 0.2)
    with pytest.raises(InputError, match="below the sediment"):
        arrivals(crust, 0.1, 10.0, np.random.default_rng(0), head=(0.1, 0.2))


def test_amplitude_falls_with_distance() -> None:
    # One magnitude and velocity sensor, so that peak over gain is ground velocity; gain is drawn, so medians.
    def peak(near: float, far: float) -> float:
        c = SimulationConfig(distance_km=(near, far), depth_km=(5.0, 8.0), magnitude=(3.0, 3.0001))
        made = simulate(60, seed=1, config=c)
        kept = made.sensor != SENSORS.index("accelerometer")
        return float(np.median(np.abs(made.data[kept]).max(axis=(1, 2))))

    # At least as 1/R between some 12 and 100 km.
    assert peak(8.0, 12.0) / peak(90.0, 110.0) > 6.0


def test_corner_frequency_of_the_source_and_of_its_pulse() -> None:
    # Brune (1970) in his own units: fc = 4.9e6 beta (dsigma / M0)^(1/3), beta km/s, dsigma bar, M0 dyne cm.
    moment = float(moment_nm(3.0))
    assert moment == pytest.approx(10**13.6)
    assert source.corner_hz(moment, 3.0, 3.5) == pytest.approx(
        4.9e6 * 3.5 * (30 / (moment * 1e7)) ** (1 / 3), rel=0.01
    )
    f = np.fft.rfftfreq(4096, 1 / 400)
    pulse = source.minimum_phase(source.brune(f, 5.0))
    # The omega-squared spectrum belongs to t exp(-wt), which starts at once and peaks at 1/w; it may come
    # a sample early, since the spectrum ends at the Nyquist frequency.
    t = (np.arange(4096) + 0.75) / 400
    w = 2 * np.pi * 5.0
    assert pulse == pytest.approx(w**2 * t * np.exp(-w * t) / 400, abs=0.02 * pulse.max())
    spectrum = np.abs(np.fft.rfft(pulse))
    assert np.interp(5.0, f, spectrum) / spectrum[0] == pytest.approx(0.5, rel=0.01)


def test_larger_earthquakes_have_lower_frequencies() -> None:
    def centre(magnitude: float) -> float:
        c = SimulationConfig(distance_km=(8.0, 15.0), magnitude=(magnitude, magnitude + 1e-4))
        data = simulate(40, seed=2, config=c).data
        power = (np.abs(np.fft.rfft(data, axis=-1)) ** 2).mean(axis=1)
        total = (power / power.sum(axis=-1, keepdims=True)).mean(axis=0)
        return float(np.fft.rfftfreq(data.shape[-1], 0.01)[np.searchsorted(total.cumsum(), 0.5)])

    assert centre(4.5) < 0.7 * centre(1.0)


def test_minimum_phase_keeps_the_spectrum_and_starts_at_once() -> None:
    # The filter 1 + 0.5 z has minimum phase, whatever phase its spectrum is given with.
    f = np.linspace(0, np.pi, 513)
    pulse = source.minimum_phase(np.abs(0.5 + np.exp(-1j * f)))
    assert pulse[:3] == pytest.approx([1.0, 0.5, 0.0], abs=1e-6)


def test_radiation_of_a_vertical_strike_slip_fault() -> None:
    # On the horizontal plane: P as sin 2 phi, SH as cos 2 phi.
    for azimuth in np.linspace(0, 6, 7):
        p, sv, sh = source.radiation(0.0, np.pi / 2, 0.0, azimuth, np.pi / 2)
        assert (p, sv, sh) == pytest.approx((np.sin(2 * azimuth), 0.0, np.cos(2 * azimuth)), abs=1e-12)


def test_mean_square_radiation() -> None:
    rng = np.random.default_rng(0)
    rays = [
        source.radiation(1.0, 0.7, -0.4, rng.uniform(0, 2 * np.pi), np.arccos(rng.uniform(-1, 1)))
        for _ in range(20000)
    ]
    p, sv, sh = (np.array(rays) ** 2).mean(axis=0)
    assert np.sqrt(p) == pytest.approx(source.RMS_RADIATION["P"], rel=0.02)
    assert np.sqrt(sv + sh) == pytest.approx(source.RMS_RADIATION["S"], rel=0.02)


def test_free_surface() -> None:
    # Straight from below, motion is doubled.
    assert free_surface("P", 1e-9, 6.0, 3.5) == pytest.approx((2.0, 0.0), abs=1e-6)
    z, r = free_surface("S", 1e-9, 6.0, 3.5)
    assert (z, abs(r)) == pytest.approx((0.0, 2.0), abs=1e-6)
    # Apparent angle of incidence of P (Wiechert 1907): tan(i') = tan(2 j), sin(j) = p vs.
    p = np.sin(0.6) / 6.0
    z, r = free_surface("P", p, 6.0, 3.5)
    assert r / z == pytest.approx(np.tan(2 * np.arcsin(p * 3.5)), rel=1e-9)
    # SV at 45 degrees moves the surface along itself only.
    z, r = free_surface("S", np.sin(np.pi / 4) / 3.5, 6.0, 3.5)
    assert abs(r) < 1e-6


def test_soft_layer_resonates_at_a_quarter_wavelength() -> None:
    crust = Crust(
        np.array([0.0, 0.05]),
        np.array([1.0, 5.0]),
        np.array([0.4, 3.0]),
        np.array([2.0, 2.6]),
        np.array([1e6, 1e6]),
        np.array([1e6, 1e6]),
        1,
    )
    f = np.linspace(0.01, 4, 4000)
    gain = transfer(crust, f, "S")
    assert f[gain.argmax()] == pytest.approx(0.4 / (4 * 0.05), rel=0.01)
    assert gain.max() == pytest.approx(3.0 * 2.6 / (0.4 * 2.0), rel=0.01)
    assert gain[0] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(("sensor", "corner"), [("short_period", 1.0), ("geophone", 4.5)])
def test_sensor_passes_half_its_power_near_its_own_frequency(sensor: str, corner: float) -> None:
    impulse = np.zeros((1, 8192))
    impulse[0, 0] = 1.0
    gain = np.abs(np.fft.rfft(record(impulse, sensor, rate_hz=100.0)[0]))
    f = np.fft.rfftfreq(8192, 0.01)
    assert np.interp(corner, f, gain) == pytest.approx(1 / 1.4, rel=0.02)
    assert np.interp(10 * corner, f, gain) == pytest.approx(1.0, rel=0.02)
    assert gain[0] == pytest.approx(0.0, abs=1e-6)


def test_unknown_sensor_is_refused() -> None:
    with pytest.raises(InputError, match="unknown sensor"):
        record(np.zeros((3, 10)), "seismoscope", rate_hz=100.0)


def test_scattered_energy_is_nothing_before_and_conserved_late() -> None:
    t = np.linspace(-1, 30, 500)
    energy = coda.multiple(t, 20.0, 3.5, 0.02)
    assert not energy[t < 0].any() and (energy[t >= 0] > 0).all()
    # Late, diffusion: density (4 pi v t / (3 g))^(-3/2) exp(-3 g r^2 / (4 v t)).
    late, g, v, r = 400.0, 0.5, 3.5, 20.0
    way = r + v * late
    diffusion = (4 * np.pi * way / (3 * g)) ** -1.5 * np.exp(-3 * g * r**2 / (4 * way)) * 4 * np.pi * r**2 * v
    assert coda.multiple(np.array([late]), r, v, g)[0] == pytest.approx(diffusion, rel=0.01)


def test_saved_bank_comes_back(bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    bank.save(path)
    back = Bank.load(path)
    assert len(back) == len(bank)
    assert np.array_equal(back.p, bank.p) and np.array_equal(back.sensor, bank.sensor)
    peak = np.abs(bank.data).max(axis=(1, 2), keepdims=True)
    assert (np.abs(back.data - bank.data) <= 6e-4 * np.abs(bank.data) + 1e-9 * peak).all()
    for data, p in zip(back.data, back.p):
        assert not data[:, : int(np.ceil(p))].any()


def test_a_file_that_is_no_bank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Bank.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(FormatError):
        Bank.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(FormatError, match="version"):
        Bank.load(tmp_path / "other.npz")
    simulate(1, seed=0).save(tmp_path / "cut.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:30000])
    with pytest.raises(FormatError):
        Bank.load(tmp_path / "cut.npz")


@pytest.mark.parametrize(
    "bad",
    [
        {"distance_km": (10.0, 5.0)},
        {"distance_km": (0.0, 5.0)},
        {"depth_km": (np.nan, 5.0)},
        {"s_minus_p_s": (1.0, 80.0)},
        {"sediment_share": 1.5},
        {"nonsense": 1},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(bad: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        SimulationConfig(**bad)


def test_limits_that_nothing_meets_say_so() -> None:
    with pytest.raises(InputError, match="widen"):
        simulate(1, seed=0, config=SimulationConfig(distance_km=(2.0, 3.0), s_minus_p_s=(15.0, 18.0)))


def test_bad_counts_are_refused_and_none_is_fine() -> None:
    with pytest.raises(InputError):
        simulate(-1, seed=0)
    with pytest.raises(InputError):
        simulate(1, seed=-1)
    with pytest.raises(InputError):
        noise(1, 0, seed=0)
    assert simulate(0, seed=0).data.shape == (0, 3, 9000)
    assert noise(0, 100, seed=0).shape == (0, 3, 100)


def test_noise_is_reproducible_finite_and_varied() -> None:
    made = noise(40, 3000, seed=1)
    assert np.array_equal(noise(3, 3000, seed=1), made[:3])
    assert np.isfinite(made).all()
    assert made.any(axis=(1, 2)).all()
    # Spectra differ by orders of magnitude, and components are not copies of one another.
    f, power = signal.welch(made[:, 0], fs=100, nperseg=512)
    ratio = power[:, (f > 10) & (f < 30)].mean(axis=1) / power[:, (f > 0.3) & (f < 1)].mean(axis=1)
    alive = made.any(axis=-1).all(axis=-1)
    assert np.ptp(np.log10(ratio[alive])) > 2
    assert (np.abs([np.corrcoef(d[0], d[1])[0, 1] for d in made[alive]]) < 0.999).all()


@pytest.mark.parametrize("n_sample", [1, 2, 3, 50])
def test_noise_of_any_length(n_sample: int) -> None:
    assert np.isfinite(noise(60, n_sample, seed=2)).all()


def test_conversion_where_rock_ends() -> None:
    crust = next(c for c in map(crust_of, map(np.random.default_rng, range(50))) if c.basement)
    for wave in ("P", "S"):
        assert conversion(crust, 1e-6, wave) == pytest.approx(0.0, abs=1e-4)
    # Small contrasts convert little; without one nothing is converted.
    same = Crust(
        np.array([0.0, 1.0]),
        np.full(2, 6.0),
        np.full(2, 3.5),
        np.full(2, 2.7),
        np.full(2, 500.0),
        np.full(2, 300.0),
        1,
    )
    assert conversion(same, 0.1, "P") == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(InputError, match="reaches the surface"):
        conversion(rock(), 0.1, "P")
