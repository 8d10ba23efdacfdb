"""ETAS where small earthquakes are missed after large ones: the likelihood, and parameters found again."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad

from kaname.cli import main
from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.tables import EVENTS, validate
from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.completeness import (
    CompletenessLaw,
    CompletenessSteps,
    after_large,
)
from kaname.discovery.seismicity.contract import DAY, Target
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import NAMES, EtasParameters
from kaname.discovery.seismicity.etas.residuals import transformed_times
from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter
from kaname.discovery.seismicity.hybrid import Hybrid
from kaname.discovery.seismicity.neural import Neural
from kaname.discovery.seismicity.poisson import Poisson
from kaname.discovery.seismicity.region import Region
from kaname.discovery.seismicity.smoothed import Smoothed

REGION = Region.from_bounds(136, 142, 33, 39)
TRUE = EtasParameters(1.0, 0.001, 2.38, 0.01, 0.15, np.inf, 0.5, 0.6, 0.8)
TARGET = Target(REGION, "2000-01-01", "2000-07-01", 3.0)
SPARSE = CompletenessLaw(3.5, 0.75)
FREE = np.array([n != "tau" for n in NAMES])


def mainshock():
    frame = {"event_id": ["m"], "time": [TARGET.start - np.timedelta64(1, "s")], "magnitude": [7.0]}
    return validate(pd.DataFrame({**frame, "longitude": [139.0], "latitude": [36.0]}), EVENTS)


def sequence(seed, p=TRUE):
    model = Etas.with_parameters(p, 3.0, Uniform(REGION), magnitude_max=7.0)
    made = model.simulate(mainshock(), TARGET, n=1, seed=seed)
    made = made.assign(event_id=[f"e{k}" for k in range(len(made))])
    return pd.concat([mainshock(), made], ignore_index=True)


def seen(events):
    steps = after_large(events, magnitude_min=3.0, law=SPARSE)
    return events[events["magnitude"] >= steps.at(events["time"], 3.0) - 1e-9], steps


def fitted(events, target):
    return Etas(background="uniform", taper=False, magnitude_max=7.0, tolerance=1e-3).fit(events, target)


def law(events, at):
    """Southern California's after magnitude 5.5 and more, moment by moment; 3 in quiet times."""
    large = events[events["magnitude"] >= 5.5]
    days = (at[:, None] - large["time"].to_numpy("M8[ns]")) / np.timedelta64(1, "D")
    hidden = large["magnitude"].to_numpy() - 4.5 - 0.75 * np.log10(np.where(days > 0, days, np.inf))
    return np.maximum(hidden.max(axis=1), 3.0)


def test_steps_keep_above_the_law_and_what_is_seen_gives_them_again():
    rng = np.random.default_rng(0)
    time = TARGET.start + np.sort((rng.uniform(0, 100, 2000) * 86400e9).astype("m8[ns]"))
    events = pd.DataFrame({"time": time, "magnitude": 3 + rng.exponential(0.7, 2000)})
    steps = after_large(events, magnitude_min=3.0)
    kept = events[events["magnitude"] >= steps.at(events["time"], 3.0) - 1e-9]
    assert 500 < len(kept) < 1800
    again = after_large(kept, magnitude_min=3.0)
    assert np.array_equal(steps.time, again.time) and np.array_equal(steps.magnitude, again.magnitude)
    at = TARGET.start + (rng.uniform(0, 100, 3000) * 86400e9).astype("m8[ns]")
    above = steps.at(at, 3.0) - law(kept, at)
    assert above.min() > -1e-6 and above.max() < 0.1 + 1e-6


def test_an_earthquake_does_not_hide_itself():
    steps = after_large(mainshock(), magnitude_min=3.0)
    before, later = mainshock()["time"].to_numpy("M8[ns]")[0] + np.array([0, 1], "m8[ns]")
    assert steps.at([before], 3.0) == 3.0 and steps.at([later], 3.0) == 7.0
    quiet = after_large(mainshock(), magnitude_min=3.0, large=7.5)
    assert not len(quiet.time) and quiet.at([before, later], 3.0).tolist() == [3.0, 3.0]


def test_a_table_is_read(tmp_path):
    file = tmp_path / "mc.csv"
    file.write_text("time,magnitude\n2000-01-01T00:00:00Z,4.5\n2000-01-02T12:00:00Z,2.0\n")
    steps = CompletenessSteps.read(file)
    days = np.array(["1999-12-31", "2000-01-01T00:00:01", "2000-01-03"], "M8[ns]")
    assert steps.at(days, 3.0).tolist() == [3.0, 4.5, 3.0]
    file.write_text("time,magnitude\n2000-01-02,4.5\n2000-01-01,2.0\n")
    with pytest.raises(FormatError, match="in order"):
        CompletenessSteps.read(file)
    file.write_text("when,mc\n2000-01-02,4.5\n")
    with pytest.raises(FormatError, match="time"):
        CompletenessSteps.read(file)
    with pytest.raises(NotFoundError):
        CompletenessSteps.read(tmp_path / "none.csv")


def test_the_number_expected_is_the_integral_of_what_is_seen_of_the_rate():
    events, steps = seen(sequence(1))
    target = replace(TARGET, completeness=steps)
    model = Etas.with_parameters(TRUE, 3.0, Uniform(REGION), b=1.0, magnitude_max=7.0)
    made = model.likelihood(events, target)
    law = GutenbergRichter(1.0, 3.0, 7.0)
    edges = np.append((steps.time - TARGET.start) / DAY, 1e9)
    share = law.exceeding(np.maximum(steps.magnitude, 3.0))
    weight = made.productivity(TRUE) * made.space_integrals(TRUE)
    for i in (0, 40, len(made.day) - 30):
        total = 0.0
        for low, high, s in zip(edges[:-1], edges[1:], share):
            a, b = max(low, 0.0, made.day[i]), min(high, made.days)
            if b > a:
                u = np.log(np.array([a, b]) - made.day[i] + TRUE.c)
                total += s * quad(lambda x: np.exp(-TRUE.omega * x), *u, epsrel=1e-11)[0]
        assert made.expected_by_source(TRUE)[i] == pytest.approx(weight[i] * total, rel=1e-7)
    score = model.score(events, target)
    assert score.joint * score.n == pytest.approx(made.log_likelihood(TRUE), rel=1e-9)
    rates = model.log_rates(events, target)
    assert (rates["log_rate"] - rates["expected"]).mean() == pytest.approx(score.joint, rel=1e-5)
    moments = transformed_times(made, TRUE)
    assert moments.total == pytest.approx(made.expected(TRUE), rel=1e-5)
    assert moments.p_uniform > 1e-3 and moments.p_exponential > 1e-3


def test_the_gradient_is_that_of_the_likelihood():
    events, steps = seen(sequence(2))
    model = Etas.with_parameters(TRUE, 3.0, Uniform(REGION), b=1.0, magnitude_max=7.0)
    made = model.likelihood(events, replace(TARGET, completeness=steps))
    p = replace(TRUE, c=0.03, tau=500.0)
    value, gradient, _ = made.with_gradient(p)
    assert value == pytest.approx(made.log_likelihood(p), rel=1e-12)
    for k, name in enumerate(NAMES):
        step = np.zeros(len(NAMES))
        step[k] = 1e-5
        up, down = (EtasParameters.from_vector(p.vector() + s) for s in (step, -step))
        slope = (made.log_likelihood(up) - made.log_likelihood(down)) / 2e-5
        assert gradient[k] == pytest.approx(slope, rel=2e-5, abs=1e-4), name


def test_what_is_not_seen_biases_a_fit_that_does_not_know():
    bias: dict[str, list[np.ndarray]] = {"whole": [], "ignored": [], "known": []}
    number: dict[str, list[float]] = {name: [] for name in bias}
    for seed in range(8):
        events = sequence(seed)
        kept, steps = seen(events)
        assert len(kept) < 0.9 * len(events)
        cases = {"whole": (events, TARGET), "ignored": (kept, TARGET)}
        cases["known"] = (kept, replace(TARGET, completeness=steps))
        for name, (table, target) in cases.items():
            fit = fitted(table, target)
            error = np.sqrt(np.diag(fit.maximum_.covariance))[FREE]
            error[error == 0] = np.nan
            bias[name].append((fit.parameters_.vector()[FREE] - TRUE.vector()[FREE]) / error)
            productivity = fit.parameters_.branching_productivity / TRUE.branching_productivity
            number[name].append(float(np.log(productivity)))
    # In standard errors; the same catalogues, whole and with what is missed.
    assert np.abs(np.mean(bias["known"], axis=0) - np.mean(bias["whole"], axis=0)).max() < 0.8
    a = list(np.array(NAMES)[FREE]).index("a")
    assert np.mean(bias["ignored"], axis=0)[a] < np.mean(bias["whole"], axis=0)[a] - 1.5
    assert np.mean(number["ignored"]) > 0.7 and abs(np.mean(number["known"])) < 0.3


def test_forecasts_count_what_is_not_seen():
    events = sequence(5)
    hour = Target(REGION, TARGET.start + np.timedelta64(1, "h"), TARGET.start + np.timedelta64(25, "h"), 3.0)
    kept, steps = seen(events)
    model = Etas.with_parameters(TRUE, 3.0, Uniform(REGION), b=1.0, magnitude_max=7.0)
    known = replace(hour, completeness=steps)
    n = {
        "whole": len(model.simulate(events, hour, n=400, seed=1)),
        "ignored": len(model.simulate(kept, hour, n=400, seed=1)),
        "known": len(model.simulate(kept, known, n=400, seed=1)),
    }
    assert n["ignored"] < n["whole"] and n["ignored"] < n["known"]
    made = model.simulate(kept, known, n=50, seed=1)
    assert 3.0 <= made["magnitude"].min() < 3.05


def test_models_that_do_not_know_it_say_so():
    events, steps = seen(sequence(1))
    for model in (Poisson(), Smoothed(), Hybrid(), Neural()):
        with pytest.raises(InputError, match="completeness"):
            model.fit(events, replace(TARGET, completeness=steps))


def test_the_command_line(tmp_path, capsys):
    events, steps = seen(sequence(3))
    file, out = tmp_path / "events.csv", tmp_path / "model"
    events.to_csv(file, index=False)
    words = [
        "etas",
        "fit",
        str(file),
        "--bounds=136,33,142,39",
        "--start",
        "2000-01-01",
        "--end",
        "2000-05-01",
    ]
    words += ["--magnitude-min", "3", "--no-taper", "--background", "uniform", "--json"]
    law = ["--completeness", "after-large", "--large", "5.5,3.5,0.75"]
    assert main([*words, *law, "--out", str(out)]) == 0
    known = json.loads(capsys.readouterr().out)
    early = Target(REGION, "2000-01-01", "2000-05-01", 3.0, completeness=steps)
    assert known["n_target"] == int(early.sources(events)["target"].sum())
    assert main([*words, "--out", str(tmp_path / "other")]) == 0
    assert json.loads(capsys.readouterr().out)["a"]["value"] < known["a"]["value"]
    later = ["--start", "2000-05-01", "--end", "2000-05-08"]
    made = ["etas", "simulate", str(out), str(file), *later, *law, "--n", "20", "--out"]
    assert main([*made, str(tmp_path / "futures.parquet")]) == 0
    assert main(["etas", "test", str(out), str(file), *later, *law, "--json"]) == 0
    capsys.readouterr()
    assert main([*words, "--completeness", "none.csv", "--out", str(out)]) != 0
    assert "no such file" in capsys.readouterr().err
    assert main([*words, *law[:3], "5.5", "--out", str(out)]) == 2
    assert "--large" in capsys.readouterr().err
