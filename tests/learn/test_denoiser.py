"""Short-time spectra and what the networks see; the cards of denoiser and detector hold what they say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from kaname.cli import _bench_denoising as denoising
from kaname.cli import _bench_detection as detection
from kaname.cli._bench import read_sets
from kaname.core.errors import InputError
from kaname.learn.engine.frames import MISSING, N_BIN, analyse, features, hop_of, synthesise


def card(name: str) -> dict:
    return json.loads(files("kaname.learn").joinpath("weights", name, "card.json").read_text())


@pytest.mark.parametrize("name", ["kaname-denoiser-1", "kaname-detector-1"])
def test_the_file_is_the_one_of_the_card(name: str) -> None:
    content = files("kaname.learn").joinpath("weights", name, f"{name}.onnx").read_bytes()
    said = card(name)
    assert hashlib.sha256(content).hexdigest() == said["sha256"]
    assert len(content) == said["bytes"] < 1_250_000
    assert said["licences"]
    assert said["split"]


def test_the_denoiser_scores_what_its_card_says() -> None:
    said = card("kaname-denoiser-1")["reproduce"]
    records, _, _ = read_sets([said["set"]], split="all", by="event", limit=None, clock=())
    found, _ = denoising.scores(
        {"kaname": denoising.kaname()}, denoising.mixtures(records, n=6, seed=said["seed"]), data=("raw",)
    )
    gain = found.set_index("snr_db")["gain_db"]
    for row in said["rows"]:
        assert gain[row["snr_db"]] == pytest.approx(row["gain_db"], abs=0.1)


def test_the_detector_scores_what_its_card_says() -> None:
    said = card("kaname-detector-1")["reproduce"]
    _, records, _ = read_sets([said["set"]], split="all", by="event", limit=None, clock=())
    own = replace(detection.kaname(), others=())
    (found,), (false,) = detection.score("simulated", "kaname", own, records)
    assert found["n_event"] == said["n_event"] and abs(found["n_found"] - said["n_found"]) <= 1
    assert abs(false["n_detection"] - said["n_false"]) <= 1


@pytest.mark.parametrize("hop", [4, 10, 20, 40])
def test_frames_give_the_samples_back(hop: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, 53 * hop))
    y = synthesise(analyse(x, hop), hop)
    inner = slice(3 * hop, -3 * hop)
    assert y[:, inner] == pytest.approx(x[:, inner], abs=1e-12)


def test_spectra_are_those_of_scipy() -> None:
    x = np.random.default_rng(1).normal(size=2060)
    ours = analyse(x, 20)
    stft = signal.ShortTimeFFT(signal.windows.hann(80, sym=False), 20, 100.0)
    # SciPy's frame p is centred on sample 20 p, ours k on 20 (k + 2); its phases count from elsewhere.
    theirs = stft.stft(x).T[2 - stft.p_min :][: len(ours)]
    assert np.abs(ours) == pytest.approx(np.abs(theirs), abs=1e-9)


def test_features_do_not_depend_on_gain_and_show_a_burst() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 4060))
    x[:, 2000:2200] *= 100
    real = np.ones((3, 200), np.bool_)
    a = features(analyse(x, 20), real)
    assert a.shape == (6, N_BIN, 200)
    assert features(analyse(1e-9 * x, 20), real) == pytest.approx(a, abs=1e-5)
    burst, quiet = a[:, :, 100:107].mean(), a[:, :, 20:80].mean()
    assert burst - quiet > 0.5


def test_what_is_not_there_is_missing() -> None:
    x = np.random.default_rng(3).normal(size=(3, 4060))
    real = np.ones((3, 200), np.bool_)
    real[1] = False
    real[:, 150:] = False
    a = features(analyse(x, 20), real)
    assert (a[[1, 4]] == MISSING).all()
    assert (a[:, :, 150:] == MISSING).all()
    assert (a[[0, 3], :, :150] > MISSING).mean() > 0.99
    slow = features(analyse(x[:, :2030], 10)[:, :200], np.ones((3, 200), np.bool_))
    assert (slow[:, 21:] == MISSING).all()
    assert np.isfinite(features(np.zeros((3, 200, 41), complex), real)).all()


def test_rates() -> None:
    assert [hop_of(r) for r in (10.0, 20.0, 40.0, 100.0, 250.0)] == [2, 4, 8, 20, 50]
    for rate in (1.0, 31.25, 62.5, 2000.0):
        with pytest.raises(InputError, match="resample"):
            hop_of(rate)


@pytest.mark.extra
def test_training_is_seeded(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from kaname.learn.networks.package import package_denoiser
    from kaname.learn.simulate.records import simulate
    from kaname.learn.train.denoiser import DenoiserConfig, train
    from kaname.learn.train.loop import Schedule

    data = tmp_path / "records"
    (data / "train").mkdir(parents=True)
    bank = simulate(12, seed=5)
    rows = ["fname,itp,channels"]
    for i in range(12):
        name = f"XX_S{i}_2020{1 + i:02d}0112000000.npz"
        at = round(float(bank.p[i]))
        x = np.random.default_rng(i).normal(size=(9001, 3))
        part = bank.data[i][:, at : at + 6001].T[:, ::-1]
        x[3000 : 3000 + len(part)] += part * (100 / np.abs(part).max())
        np.savez(data / "train" / name, data=x)
        rows.append(f"{name},3000,HHE_HHN_HHZ")
    (data / "train.csv").write_text("\n".join(rows))

    def config(steps: int) -> DenoiserConfig:
        schedule = Schedule(seed=1, steps=steps, batch=2, every=2, warmup=1, workers=0, average=0.5)
        return DenoiserConfig(records=(data,), widths=(4, 4, 4, 4), n_frame=120, schedule=schedule)

    whole = train(config(4), tmp_path / "whole")
    again = train(config(4), tmp_path / "again")
    for a, b in zip(whole.state_dict().values(), again.state_dict().values()):
        assert torch.equal(a, b)
    path = package_denoiser(whole, tmp_path / "tiny-denoiser", {"version": "0"})
    assert json.loads((path.parent / "card.json").read_text())["sha256"]
