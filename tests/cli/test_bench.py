"""``kaname bench picking``: pickers of known quality get the scores they deserve."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kaname.automation.pick import Pick
from kaname.cli import main
from kaname.cli._bench import at_any_time, parts
from kaname.cli._bench_denoising import mixtures
from kaname.cli._bench_detection import Detect, score
from kaname.cli._bench_judge import Judged, Method, dispute, on_noise, on_swarms, run_on, windows_of
from kaname.cli._bench_picking import summary
from kaname.core.errors import InputError
from kaname.core.tables import validate
from kaname.core.time import add_seconds, as_time
from kaname.core.waveform import Waveform
from kaname.evaluate import scorecard
from kaname.formats.labelled import EPOCH, LabelledRecord

RATE = 100.0


def data(seed: int, seconds: float = 60.0, p: float = 25.0, s: float = 28.0) -> np.ndarray:
    """Synthetic: noise, and an earthquake with P and S; channels E, N, Z."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    out = rng.standard_normal((3, t.size))
    for onset, gain in ((p, (10, 10, 40)), (s, (80, 80, 30))):
        after = np.clip(t - onset, 0, None)
        shape = np.where(t >= onset, np.exp(-after / 2), 0)
        out += np.array(gain)[:, np.newaxis] * shape * rng.standard_normal((3, t.size))
    return 50 * out


def record(i: int, year: int = 2020) -> LabelledRecord:
    start = as_time(f"{year}-01-{i + 1:02d}")
    wave = Waveform(data(i), tuple(f"XX.S{i}..HH{c}" for c in "ENZ"), start, RATE)
    labels = {"P": (add_seconds(start, 25.0),), "S": (add_seconds(start, 28.0),)}
    return LabelledRecord("made", f"r{i}", f"e{i}", wave, labels)


RECORDS = [record(i) for i in range(6)]


class Oracle:
    """Knows the answers, and errs by a constant."""

    def __init__(self, error: float = 0.0, extra: tuple[float, ...] = (), name: str = "oracle") -> None:
        self.error, self.extra, self.name = error, extra, name

    def start(self) -> None:
        return None

    def __call__(self, state: None, item: Waveform) -> tuple[None, list[Pick]]:
        codes = item.ids[0].split(".")
        onsets = [("P", 25.0 + self.error, 0.9), ("S", 28.0 + self.error, 0.8)]
        onsets += [("P", t, 0.3) for t in self.extra]
        picks = [Pick(*codes, ph, add_seconds(item.start, t), 0.05, pr) for ph, t, pr in onsets]
        return None, sorted(picks, key=lambda p: p.time)

    def finish(self, state: None) -> list[Pick]:
        return []


def judged(picker: Any, least: float = 0.1) -> Judged:
    return run_on("made", Method(picker.name, picker, picker, {"P": least, "S": least}), RECORDS)


def test_the_perfect_picker_scores_one() -> None:
    j = judged(Oracle())
    scores = validate(j.scores(), scorecard.PICKING)
    assert (scores[["recall", "precision", "f1"]] == 1).all(axis=None) and len(scores) == 6
    assert scores["residual_mean_s"].abs().max() < 1e-9
    assert (j.false_picks()["n_pick"] == 0).all()
    # From 5 s on to 2 s before P: 18 s in each of six records.
    assert j.quiet_hours == pytest.approx(6 * 18 / 3600)
    assert (validate(j.coverage(), scorecard.COVERAGE)["observed"] == 1).all()


def test_a_shifted_picker_scores_as_shifted() -> None:
    j = judged(Oracle(0.2))
    by = j.scores().set_index(["phase", "tolerance_s"])
    assert by.loc[("P", 0.1), "f1"] == 0 and by.loc[("P", 0.3), "f1"] == 1
    assert by.loc[("S", 0.5), "residual_mean_s"] == pytest.approx(0.2)
    assert by.loc[("S", 0.5), "residual_mad_s"] == pytest.approx(0.0, abs=1e-9)
    assert (j.coverage()["observed"] == 0).all()  # four standard deviations off


def test_false_picks_count_and_the_threshold_drops_them() -> None:
    j = judged(Oracle(extra=(10.0, 50.0)))
    by = j.scores().set_index(["phase", "tolerance_s"])
    assert by.loc[("P", 0.5), "precision"] == pytest.approx(1 / 3) and by.loc[("P", 0.5), "recall"] == 1
    rate = j.false_picks().set_index("phase").loc["P"]
    assert rate.n_pick == 6 and rate.per_hour == pytest.approx(6 / (6 * 18 / 3600))
    assert rate.per_hour_low < rate.per_hour < rate.per_hour_high
    points = validate(j.operating, scorecard.OPERATING).set_index(["phase", "min_probability"])
    assert points.loc[("P", 0.5), "precision"] == 1 and points.loc[("P", 0.5), "per_hour"] == 0
    assert points.loc[("P", 0.95), "recall"] == 0
    diagram = validate(j.reliability(), scorecard.RELIABILITY)
    p = diagram[diagram["phase"] == "P"].set_index("low")
    assert p.loc[0.9, "observed"] == 1 and p.loc[0.3, "observed"] == 0 and p.loc[0.3, "n"] == 12
    assert judged(Oracle(extra=(10.0,)), least=0.5).false_picks()["n_pick"].sum() == 0


def test_the_best_threshold_is_found() -> None:
    by = judged(Oracle(extra=(10.0, 50.0))).scores().set_index(["phase", "tolerance_s"])
    # At 0.1 two picks in three are false; above 0.3, where the false ones are, none.
    assert by.loc[("P", 0.1), "f1"] == pytest.approx(0.5)
    assert by.loc[("P", 0.1), "best_f1"] == 1
    assert 0.3 < by.loc[("P", 0.1), "best_min_probability"] <= 0.9
    # The method's own counts too, though it is none of the steps.
    own = judged(Oracle(), least=0.123).scores()
    assert (own["best_f1"] == 1).all() and (own["best_min_probability"] == 0.123).all()


def test_windows_hold_the_labels_and_leave_out_what_lies_outside() -> None:
    windows = windows_of(RECORDS, 20.0, seed=3)
    assert windows == windows_of(RECORDS, 20.0, seed=3) != windows_of(RECORDS, 20.0, seed=4)
    starts = [float((low - r.wave.start) / np.timedelta64(1, "s")) for r, (low, _) in zip(RECORDS, windows)]
    # P at 25 s and S at 28 s are 1 s or more from either end.
    assert min(starts) >= 9 and max(starts) <= 24 and np.ptp(starts) > 2
    whole = judged(Oracle(extra=(5.5, 26.5, 55.0)))
    part = whole.within("window 20 s", windows)
    score = validate(part.scores(), scorecard.PICKING).set_index(["phase", "tolerance_s"])
    assert set(score["scope"]) == {"window 20 s"}
    # Of three false P only that between P and S is always inside, the others never are.
    assert score.loc[("P", 0.5), "n_pick"] == 12 and score.loc[("P", 0.5), "n_label"] == 6
    assert whole.scores().set_index(["phase", "tolerance_s"]).loc[("P", 0.5), "n_pick"] == 24
    assert score.loc[("S", 0.5), "f1"] == 1
    assert part.quiet_hours == whole.quiet_hours


def test_what_nobody_labelled_and_others_pick_is_counted_apart() -> None:
    alone, shared = 50.0, 45.0
    a, b, c = (
        judged(Oracle(extra=extra, name=name))
        for name, extra in (("a", (alone, shared)), ("b", (shared + 0.4,)), ("c", (shared - 0.4, 24.3)))
    )
    first, second, third = dispute([a, b, c])
    row = validate(first.scores(), scorecard.PICKING).set_index(["phase", "tolerance_s"]).loc[("P", 0.1)]
    assert (row.n_pick, row.n_match, row.n_disputed) == (18, 6, 6)
    assert row.precision == pytest.approx(1 / 3) and row.undisputed_precision == pytest.approx(1 / 2)
    assert row.undisputed_f1 == pytest.approx(2 / 3)
    # b and c are 0.8 s apart, so each has a's word alone.
    for other in (second, third):
        assert (other.scores()["n_disputed"] == 0).all()
    # Two methods with one trigger have one voice.
    echo = [judged(Oracle(extra=(shared,), name=name)) for name in ("sta_lta", "ar_pick")]
    assert (dispute([a, b, *echo])[2].scores()["n_disputed"].max()) == 6
    with pytest.raises(InputError, match="3 methods"):
        dispute([a, *echo])
    # Windows keep the marks.
    inside = first.within("w", [(r.wave.start, add_seconds(r.wave.start, 48.0)) for r in RECORDS])
    assert inside.scores()["n_disputed"].max() == 6 and inside.scores()["undisputed_f1"].min() == 1


def test_a_disputed_pick_is_far_from_any_label() -> None:
    late = [judged(Oracle(0.6, name=name)) for name in "abc"]
    assert (dispute(late)[0].scores()["n_disputed"] == 6).all()
    # S picked as P by all three is wrong, not disputed.
    wrong = [judged(Oracle(extra=(28.1,), name=name)) for name in "abc"]
    assert (dispute(wrong)[0].scores()["n_disputed"] == 0).all()


def test_a_picker_that_refuses_a_record_misses_its_labels() -> None:
    class Refusing(Oracle):
        def __call__(self, state: None, item: Waveform) -> tuple[None, list[Pick]]:
            if item.ids[0].startswith("XX.S0"):
                raise InputError("cannot use 100 Hz")
            return super().__call__(state, item)

    j = judged(Refusing())
    assert len(j.failures) == 1 and "made r0" in j.failures[0]["subject"]
    assert j.scores().set_index(["phase", "tolerance_s"]).loc[("P", 0.5), "recall"] == pytest.approx(5 / 6)


def test_noise_and_swarms_of_a_silent_picker() -> None:
    class Silent(Oracle):
        def __call__(self, state: None, item: Waveform) -> tuple[None, list[Pick]]:
            return None, []

    silent = Silent()
    method = Method("silent", silent, silent, {"P": 0.1, "S": 0.1})
    pieces = [r.wave.slice(r.wave.start, add_seconds(r.wave.start, 20)) for r in RECORDS]
    rates = validate(on_noise("all", [method], pieces, hours=0.1, seed=0), scorecard.FALSE_PICKS)
    assert set(rates["noise"]) == {"resynthesised", "spliced"} and (rates["n_pick"] == 0).all()
    scores = validate(
        on_swarms("all", [method], RECORDS, pieces, rates=[60, 240], hours=0.2, seed=0), scorecard.SWARMS
    )
    assert (scores["recall"] == 0).all() and scores["precision"].isna().all()
    assert set(scores["noise"]) == {"resynthesised", "spliced"}
    assert scores.groupby("events_per_hour")["n_label"].sum().is_monotonic_increasing
    false = pd.concat([judged(Oracle()).false_picks(), rates.assign(method="oracle")])
    shown = summary(validate(judged(Oracle()).scores(), scorecard.PICKING), false, pd.DataFrame())
    assert shown["f1 0.1"].tolist() == [1, 1] and shown["false/h spliced"].tolist() == [0, 0]


def test_parts_keep_an_event_together_and_honour_what_the_set_says() -> None:
    same = [record(0), record(0), record(1)]
    for by in ("event", "day", "name"):
        own = parts(same, by)
        assert own[0] == own[1] and set(own) <= {"train", "validation", "test"}
    stated = [LabelledRecord("s", "n", "e", r.wave, r.labels, "dev") for r in same]
    assert parts(stated, "event") == ["validation"] * 3


def test_records_without_a_time_stand_at_any() -> None:
    same = record(0)
    untimed = LabelledRecord(
        "s", "n", "e", replace(same.wave, start=EPOCH), {"P": (add_seconds(EPOCH, 25.0),)}
    )
    moved = [at_any_time(replace(untimed, name=f"r{i}")) for i in range(40)]
    late = [float((r.wave.start - EPOCH) / np.timedelta64(1, "s")) for r in moved]
    assert all(r.seconds("P") == [25.0] for r in moved)
    # Not the same place on a clock of minutes, and always the same for one name.
    assert np.histogram(np.mod(late, 60), 4, (0, 60))[0].min() >= 3
    assert moved[3].wave.start == at_any_time(replace(untimed, name="r3")).wave.start
    assert at_any_time(same) is same


@pytest.fixture
def made_set(tmp_path: Path) -> Path:
    """A labelled set on disk, npz layout."""
    folder = tmp_path / "made" / "waveform"
    folder.mkdir(parents=True)
    lines = ["fname,itp,its,channels"]
    for i in range(5):
        name = f"XX_S{i}_2020010{i + 1}000000.npz"
        np.savez(folder / name, data=data(i, 90.0, 30.0, 33.0).T)
        lines.append(f"{name},3000,3300,HHE_HHN_HHZ")
    (folder.parent / "waveform.csv").write_text("\n".join(lines) + "\n")
    return folder.parent


def test_the_command_line_writes_everything(made_set: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    words = ["bench", "picking", str(made_set), "--method", "classical", "--method", "pickerxl"]
    words += ["--noise-hours", "0.05", "--swarm-rates", "120", "--window", "30", "--out", str(out), "--json"]
    assert main(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert next(row["method"] for row in shown["summary"] if row["phase"] == "P") == "classical"
    assert shown["summary"][0]["recall 0.5"] == 1.0
    assert {row["scope"] for row in shown["summary"]} == {"record", "window 30 s"}
    for name in ("scores", "false_picks", "swarms", "coverage", "reliability", "operating_points", "speed"):
        assert len(pd.read_parquet(out / f"{name}.parquet")) == len(shown[name]) > 0
        assert (out / f"{name}.csv").is_file()
    page = (out / "report.html").read_text()
    assert page.count("<img") == 7 and "classical" in page
    assert (out / "swarms.png").stat().st_size > 5000 and (out / "run.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "some"], "unknown split"),
        (["--swarm-rates", "10,-3"], "positive"),
        (["--clock-offset", "other=1"], "no such set"),
        (["--method", "nobody"], "no picker"),
        (["--window", "1", "--method", "sta_lta"], "longer than 2 s"),
        (["--disputed", "--method", "sta_lta", "--method", "ar_pick"], "3 methods"),
    ],
)
def test_wrong_options_are_explained(made_set: Path, words: list[str], message: str, capsys: Any) -> None:
    assert main(["bench", "picking", str(made_set), *words]) in (1, 2)
    assert message in capsys.readouterr().err


def test_detectors_are_scored(made_set: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    words = ["bench", "detection", str(made_set), "--method", "sta_lta", "--noise-hours", "0.1"]
    assert main([*words, "--out", str(out), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    (row,) = (r for r in shown["scores"] if r["own"])
    assert (row["n_event"], row["n_found"], row["recall"]) == (5, 5, 1.0) and abs(row["late_s"]) < 0.3
    assert (row["labels"], row["threshold"]) == ("P and S", 3.5)
    false = pd.DataFrame(shown["false_detections"])
    assert list(false.loc[false["own"], "noise"]) == ["before events", "resynthesised", "spliced"]
    assert len(pd.read_parquet(out / "false_detections.parquet")) == len(false) == 3 * 9
    # The higher the threshold, the less there is.
    spliced = false[false["noise"] == "spliced"].sort_values("threshold")["n_detection"]
    assert spliced.is_monotonic_decreasing and spliced.iloc[0] > spliced.iloc[-1]
    assert (out / "detections.png").stat().st_size > 5000 and (out / "run.json").is_file()
    assert main([*words, "--limit", "2"]) == 0
    text = capsys.readouterr().out
    assert "3.5*" in text and "2/2" in text


def test_a_perfect_detector_and_a_nervous_one() -> None:
    def perfect(blocks: Any, threshold: float) -> Any:
        return [(add_seconds(blocks[0].start, 25.0), add_seconds(blocks[0].start, 32.0))]

    def nervous(blocks: Any, threshold: float) -> Any:
        spans = [(t, t + 1.0) for t in (8.0, 12.0, 33.0)]  # two before P, one after the coda
        return [tuple(add_seconds(blocks[0].start, t) for t in span) for span in spans]

    alone = replace(RECORDS[0], labels={"P": RECORDS[0].labels["P"]})
    (both, single), (quiet,) = score("made", "perfect", Detect(perfect, 0.5), [*RECORDS, alone])
    assert both["recall"] == 1 and both["late_s"] == 0 and quiet["n_detection"] == 0
    assert (both["labels"], both["n_event"], single["labels"], single["n_event"]) == ("P and S", 6, "P", 1)
    (missed,), (false,) = score("made", "nervous", Detect(nervous, 0.5), RECORDS)
    assert missed["recall"] == 0 and false["n_detection"] == 12
    assert false["per_hour"] == pytest.approx(12 / (6 * 18 / 3600))


def test_denoisers_are_scored(made_set: Path, capsys: Any) -> None:
    out = made_set.parent / "out"
    words = ["bench", "denoising", str(made_set), "--method", "none", "--method", "2-20 Hz"]
    assert main([*words, "--method", "kaname", "--limit", "3", "--out", str(out), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    rows = pd.DataFrame(shown["scores"])
    assert sorted(rows["snr_db"].unique()) == [-5, 0, 5, 10, 15, 20]
    nothing = rows[rows["method"] == "none"]
    assert nothing["gain_db"].abs().max() < 1e-6 and (nothing["n"] > 0).all()
    # White signal in white noise: a band-pass keeps 18 of 50 Hz, so it loses at 20 dB and gains at -5.
    band = rows[(rows["method"] == "2-20 Hz") & (rows["data"] == "raw")].set_index("snr_db")["gain_db"]
    assert band[-5] > 2 and band[20] < -10
    beside = pd.DataFrame(shown["best_bands"]).set_index(["data", "snr_db"]).loc["raw"]
    assert beside.loc[-5, "best_band"] == "2-20 Hz" and beside.loc[20, "best_band"] == "none"
    assert beside.loc[-5, "best_band_db"] == pytest.approx(band[-5]) and beside.loc[20, "best_band_db"] == 0
    for name in ("gains.png", "example-1.png"):
        assert (out / name).stat().st_size > 5000
    assert main([*words, "--limit", "2"]) == 0
    assert "2-20 Hz" in capsys.readouterr().out


def test_signals_are_mixed_with_what_lies_before_other_events() -> None:
    # Two records of one event by its time, and one of another.
    close = [record(0), replace(record(1), wave=replace(record(1).wave, start=record(0).wave.start))]
    close[1] = replace(close[1], labels={"P": record(0).labels["P"]})
    pairs = mixtures([*close, record(2)], n=9, seed=0)
    assert len(pairs) == 2 * 1 + 2
    for own in pairs:
        assert own.clean["raw"].shape == own.noise["raw"].shape == (3, 2800)
        event, before = own.clean["raw"][:, 800:1000], own.clean["raw"][:, :790]
        assert event.var() > 20 * before.var()
        assert own.noise["raw"].var() < 2 * before.var()
    dead = replace(record(3), wave=replace(record(3).wave, data=record(3).wave.data * [[1], [0], [1]]))
    assert mixtures([dead], n=1, seed=0) == []


def test_unknown_methods_are_refused(made_set: Path, capsys: Any) -> None:
    for kind in ("detection", "denoising"):
        assert main(["bench", kind, str(made_set), "--method", "magic"]) == 2
        assert "known are" in capsys.readouterr().err
