"""Our networks as SeisBench models: the same answers as our engine, saved and loaded by SeisBench itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.extra
torch = pytest.importorskip("torch")
pytest.importorskip("seisbench")
pytest.importorskip("onnx")

from obspy import Stream, Trace, UTCDateTime, read  # noqa: E402

from kaname.core.errors import NotFoundError  # noqa: E402
from kaname.core.waveform import Waveform  # noqa: E402
from kaname.learn.engine.condition import condition  # noqa: E402
from kaname.learn.engine.picking import CORE, PickerCard, PickingNetwork  # noqa: E402
from kaname.learn.engine.session import Session  # noqa: E402
from kaname.learn.engine.windows import Windows  # noqa: E402
from kaname.learn.networks.detector import DetectorNetwork  # noqa: E402
from kaname.learn.networks.export import export_picker  # noqa: E402
from kaname.learn.networks.picker import PickerNetwork  # noqa: E402
from kaname.learn.networks.seisbench import (  # noqa: E402
    DETECTOR_CORE,
    HALO,
    KanameDetector,
    KanamePicker,
    save_seisbench,
)

SMALL = {"widths": (8, 8, 12, 12), "blocks": (1, 1, 1, 1), "kernels": (3, 3, 3, 3)}
START = UTCDateTime(2024, 1, 1, 5, 6, 7, 890000)


def _restless(network: Any) -> Any:
    """Random weights whose answers go up and down between 0 and 1, statistics of normalisation included."""
    generator = torch.Generator().manual_seed(4)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    with torch.no_grad():
        network.head.weight *= 6
        network.head.bias *= 0
    return network.eval()


@pytest.fixture(scope="module")
def network() -> PickerNetwork:
    torch.manual_seed(3)
    return _restless(PickerNetwork(**SMALL))


@pytest.fixture(scope="module")
def saved(network: PickerNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    return save_seisbench(
        network, folder, "small", version="2", docstring="Random.", thresholds={"P_threshold": 0.4}
    )


@pytest.fixture(scope="module")
def picker(saved: Path) -> KanamePicker:
    return KanamePicker.load(saved, version_str="2")


@pytest.fixture(scope="module")
def engine(network: PickerNetwork, tmp_path_factory: pytest.TempPathFactory) -> PickingNetwork:
    card = {
        "name": "small",
        "version": "2",
        "label_sigma_s": 0.05,
        "thresholds": {"P": 0.3, "S": 0.3},
        "uncertainty": {"P": [0, 0], "S": [0, 0]},
    }
    path = export_picker(network, tmp_path_factory.mktemp("onnx") / "small.onnx", card)
    return PickingNetwork(Session(path, PickerCard))


def _stream(seconds: float, *, start: UTCDateTime = START, codes: str = "ZNE", seed: int = 0) -> Stream:
    """Coloured noise with a few bursts (synthetic), on a large offset as of a raw digitiser."""
    rng = np.random.default_rng(seed)
    n = round(seconds * 100)
    x = np.cumsum(rng.normal(0, 30, (3, n)), axis=1) * 0.02 + rng.normal(0, 20, (3, n))
    for at in range(n // 4, n, 7000):
        ramp = np.exp(-np.arange(min(2000, n - at)) / 400)
        x[:, at : at + ramp.size] += 600 * ramp * rng.normal(0, 1, (3, ramp.size))
    head = {"network": "XX", "station": "AAA", "location": "", "sampling_rate": 100, "starttime": start}
    return Stream(
        Trace(np.rint(x["ZNE".index(c)] + 40_000).astype(np.int32), {**head, "channel": "HH" + c})
        for c in codes
    )


def _number(time: UTCDateTime) -> int:
    return round(time.ns / 1e7)


def _curves(stream: Stream, engine: PickingNetwork) -> dict[str, dict[int, float]]:
    """Curves of P and S by the engine: by absolute sample number, what each core holds."""
    times = sorted({(t.stats.starttime.ns, t.stats.npts) for t in stream})
    blocks = []
    for start, n in times:
        traces = [t for t in stream if (t.stats.starttime.ns, t.stats.npts) == (start, n)]
        data = np.array([t.data for t in traces])
        blocks.append(Waveform(data, tuple(t.id for t in traces), np.datetime64(start, "ns"), 100.0))
    state, windows = engine.windows.start(), []
    for block in blocks:
        state, more = engine.windows(state, block)
        windows += more
    windows += engine.windows.finish(state)
    out: dict[str, dict[int, float]] = {"P": {}, "S": {}}
    for window in windows:
        low = int(window.start.astype(np.int64)) // 10_000_000 + HALO
        for phase, curve in zip("PS", engine.curves(window)[1]):
            out[phase].update(enumerate(curve[HALO : HALO + CORE].tolist(), low))
    return out


def _difference(annotations: Stream, curves: dict[str, dict[int, float]]) -> tuple[float, int]:
    """Greatest difference where the engine says more than zero, and the number of samples compared."""
    worst, count = 0.0, 0
    for phase, curve in curves.items():
        for trace in annotations.select(channel=f"KanamePicker_{phase}"):
            first = _number(trace.stats.starttime)
            ours = np.array([curve[first + i] for i in range(trace.stats.npts)])
            told = ours > 0
            worst = max(worst, float(np.abs(trace.data - ours)[told].max(initial=0)))
            count += int(told.sum())
            # What the engine leaves out is small.
            assert trace.data[~told].max(initial=0) < 0.03
    return worst, count


def test_files_are_what_seisbench_reads(saved: Path, network: PickerNetwork) -> None:
    card = json.loads(saved.with_name("small.json.v2").read_text())
    assert card["docstring"] == "Random."
    assert card["version"] == "2"
    assert card["default_args"] == {"P_threshold": 0.4}
    assert card["model_args"] == {k: list(v) for k, v in SMALL.items()}
    assert card["seisbench_requirement"]
    state = torch.load(saved.with_name("small.pt.v2"), weights_only=True)
    assert all(v.dtype in (torch.float32, torch.int64) for v in state.values())


def test_loaded_knows_what_it_is(picker: KanamePicker) -> None:
    assert picker.weights_version == "2"
    assert picker.weights_docstring == "Random."
    assert picker.default_args["P_threshold"] == 0.4
    assert (picker.component_order, picker.sampling_rate, list(picker.labels)) == ("ZNE", 100, list("PSN"))
    assert picker.in_samples % 256 == 0


def test_saved_and_loaded_annotates_alike(picker: KanamePicker, tmp_path: Path) -> None:
    picker.save(tmp_path / "again", weights_docstring="again", version_str="7")
    again = KanamePicker.load(tmp_path / "again", version_str="7")
    stream = read()
    for a, b in zip(picker.annotate(stream), again.annotate(stream)):
        assert a.id == b.id and a.stats.starttime == b.stats.starttime
        np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize("codes", ["ZNE", "Z", "NE"])
def test_equals_the_engine(codes: str, picker: KanamePicker, engine: PickingNetwork) -> None:
    # Longer than two windows, begun and ended anywhere in them.
    stream = _stream(700, codes=codes)
    before = stream.copy()
    annotations = picker.annotate(stream)
    assert stream == before
    worst, count = _difference(annotations, _curves(stream, engine))
    assert count > 10_000
    assert worst < 1e-4
    assert len(annotations) == 3
    # All but the first two seconds are answered for.
    assert annotations[0].stats.npts == 70_000 - 200
    assert annotations[0].stats.starttime == START + 2


def test_equals_the_engine_on_a_real_record(picker: KanamePicker, engine: PickingNetwork) -> None:
    stream = read()
    worst, count = _difference(picker.annotate(stream), _curves(stream, engine))
    assert count > 100
    assert worst < 1e-4


def test_gaps_are_masked_and_not_answered_for(picker: KanamePicker, engine: PickingNetwork) -> None:
    whole = _stream(500, seed=2)
    pieces = Stream()
    for low, high in ((0, 150), (150.4, 151), (160, 300), (302, 500)):
        pieces += whole.slice(START + low, START + high - 0.01)
    annotations = picker.annotate(pieces)
    worst, count = _difference(annotations, _curves(pieces, engine))
    assert count > 5000
    assert worst < 1e-4
    for trace in annotations:
        assert np.isfinite(trace.data).all()
        for low, high in ((150, 150.4), (151, 160), (300, 302)):
            assert trace.stats.endtime < START + low or trace.stats.starttime >= START + high
    answered = sum(t.stats.npts for t in annotations.select(channel="KanamePicker_P"))
    real = sum(t.stats.npts for t in pieces) // 3
    assert 0.98 * real < answered < real


def test_constants_are_gaps(picker: KanamePicker) -> None:
    stream = _stream(100)
    dead = stream.copy()
    dead[1].data[:] = 7
    alone = Stream([stream[0], stream[2]])
    for a, b in zip(picker.annotate(dead), picker.annotate(alone)):
        np.testing.assert_allclose(a.data, b.data, atol=1e-6)


def test_probabilities_sum_to_one(picker: KanamePicker) -> None:
    annotations = picker.annotate(_stream(60))
    assert {t.stats.channel for t in annotations} == {f"KanamePicker_{c}" for c in "PSN"}
    np.testing.assert_allclose(sum(t.data for t in annotations), 1, atol=1e-5)


def test_two_sensors_of_a_station_stay_apart(picker: KanamePicker) -> None:
    one, two = _stream(60), _stream(60, seed=9)
    for trace in two:
        trace.stats.channel = "EN" + trace.stats.channel[-1]
    both = picker.annotate(one + two)
    assert len(both) == 6
    found = [t.data for t in both.select(channel="KanamePicker_P")]
    for stream in (one, two):
        alone = picker.annotate(stream).select(channel="KanamePicker_P")[0].data
        assert any(np.allclose(alone, x, atol=1e-5) for x in found)


def test_strict_asks_for_all_components(picker: KanamePicker) -> None:
    stream = _stream(60)
    stream[2].trim(START + 30)
    strict = picker.annotate(stream, strict=True)
    assert min(t.stats.starttime for t in strict) == START + 32
    assert len(picker.annotate(_stream(60, codes="Z"), strict=True)) == 0


@pytest.mark.parametrize("rate", [50, 200])
def test_other_rates_are_resampled(rate: int, picker: KanamePicker) -> None:
    stream = _stream(60)
    for trace in stream:
        trace.stats.sampling_rate = rate
    annotations = picker.annotate(stream)
    assert {t.stats.sampling_rate for t in annotations} == {100.0}
    assert len(annotations) == 3


@pytest.mark.parametrize("n", [0, 1, 150])
def test_too_little_gives_nothing(n: int, picker: KanamePicker) -> None:
    stream = _stream(60)
    for trace in stream:
        trace.data = trace.data[:n]
    assert len(picker.annotate(stream)) == 0
    assert len(picker.classify(stream).picks) == 0


def test_not_a_number_is_a_gap(picker: KanamePicker) -> None:
    stream = _stream(60)
    for trace in stream:
        trace.data = trace.data.astype(np.float32)
        trace.data[3000:3100] = np.nan
    for trace in picker.annotate(stream):
        assert np.isfinite(trace.data).all()
    for trace in stream:
        trace.data[:] = np.nan
    assert len(picker.annotate(stream)) == 0


def test_classify_picks_the_peaks(picker: KanamePicker) -> None:
    stream = _stream(120)
    curve = picker.annotate(stream).select(channel="KanamePicker_P")[0]
    picks = [p for p in picker.classify(stream, P_threshold=0.7).picks if p.phase == "P"]
    assert picks
    for pick in picks:
        at = round((pick.peak_time - curve.stats.starttime) * 100)
        assert curve.data[at] == pytest.approx(pick.peak_value)
        assert pick.peak_value >= 0.7
    assert len(picker.classify(stream, P_threshold=1.1, S_threshold=1.1).picks) == 0


def test_detector(tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = _restless(DetectorNetwork(widths=(8, 8, 8, 8)))
    path = save_seisbench(network, tmp_path, "finder", thresholds={"detection_threshold": 0.6})
    model = KanameDetector.load(path, version_str="1")
    stream = _stream(250)
    (curve,) = model.annotate(stream)
    assert curve.stats.channel == "KanameDetector_Detection"
    assert curve.stats.sampling_rate == 6.25
    # The same windows, one by one.
    windows = Windows(core=DETECTOR_CORE, halo=HALO, rate_hz=100.0)
    block = Waveform(
        np.array([t.data for t in stream]),
        tuple(t.id for t in stream),
        np.datetime64(START.ns, "ns"),
        100.0,
    )
    state, found = windows(windows.start(), block)
    found += windows.finish(state)
    compared = 0
    for window in found:
        x = torch.from_numpy(condition(window.data, window.mask))[None]
        with torch.no_grad():
            y = torch.sigmoid(network(x))[0, HALO // 16 : -HALO // 16].numpy()
        low = int(window.start.astype(np.int64)) // 10_000_000 + HALO
        first = round((_number(curve.stats.starttime) - low) / 16)
        a, b = max(0, first), min(len(y), first + curve.stats.npts)
        np.testing.assert_allclose(curve.data[a - first : b - first], y[a:b], atol=1e-4)
        compared += b - a
    assert compared == curve.stats.npts > 1400
    for detection in model.classify(stream).detections:
        assert detection.peak_value >= 0.6


def test_unknown_weights_of_the_package() -> None:
    with pytest.raises(NotFoundError, match="no weights 'nothing'"):
        KanamePicker.from_pretrained("nothing")
