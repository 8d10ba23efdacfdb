"""The picker in 8-bit integers against the network that it is made of."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")
onnx = pytest.importorskip("onnx", reason="the extra train is not installed")

from kaname.learn.engine.picking import PickerCard  # noqa: E402
from kaname.learn.engine.session import open_session, weights  # noqa: E402
from kaname.learn.networks.export import export_picker  # noqa: E402
from kaname.learn.networks.picker import PickerNetwork  # noqa: E402
from kaname.learn.networks.quantise import ODDS, to_int8  # noqa: E402

CARD = {
    "name": "test",
    "version": "1",
    "label_sigma_s": 0.1,
    "thresholds": {"P": 0.3, "S": 0.3},
    "uncertainty": {"P": [0.1, 0], "S": [0.1, 0]},
}


def made(widths, blocks, kernels):
    """A network whose normalisation has seen something, so that folding it in matters."""
    torch.manual_seed(0)
    network = PickerNetwork(widths, blocks, kernels)
    with torch.no_grad():
        for _ in range(20):
            network(torch.randn(2, 6, 16 * network.stride) * 3)
    return network.eval()


@pytest.mark.parametrize(
    ("widths", "blocks", "kernels"),
    [
        ((16, 32, 64, 128), (1, 1, 2, 3), (3, 5, 5, 3)),
        ((8, 24, 40), (2, 1, 1), (5, 3, 3)),
        ((16, 32, 64, 96), (1, 1, 2, 2), (3, 5, 5, 3)),
    ],
)
def test_integers_answer_nearly_as_the_network_does(widths, blocks, kernels, tmp_path):
    network = made(widths, blocks, kernels)
    rng = np.random.default_rng(0)
    windows = rng.normal(0, 3, (12, 6, 32 * network.stride)).astype(np.float32)
    path = export_picker(network, tmp_path / "picker.onnx", CARD)
    copy = to_int8(network, path, tmp_path / "picker-int8.onnx", windows[:8])
    small = open_session(str(path), PickerCard, precision="int8")
    assert small.path == copy == weights(str(path), precision="int8") == weights(str(path))
    assert weights(str(path), precision="fp32") == path
    assert small.card == open_session(str(path), PickerCard, precision="fp32").card
    assert copy.stat().st_size < 0.7 * path.stat().st_size
    # Another batch and another length than it was made with.
    for x in (windows[8:], windows[8:9, :, : 5 * network.stride].copy()):
        with torch.no_grad():
            truth = network.steps(torch.from_numpy(x)).numpy()
        y = small(x)
        assert y.shape == truth.shape and not y[:, 8:].any()
        odds = np.clip(truth - np.tile(truth[:, 8:], (1, 3, 1)), *ODDS)
        assert (y - odds).std() < 0.05 * odds[:, :8].std(axis=2).mean()


def test_a_shift_by_the_stride_shifts_the_answer(tmp_path):
    network = made((16, 32, 64, 128), (1, 1, 2, 3), (3, 5, 5, 3))
    rng = np.random.default_rng(0)
    x = rng.normal(0, 3, (1, 6, 64 * network.stride)).astype(np.float32)
    path = export_picker(network, tmp_path / "picker.onnx", CARD)
    to_int8(network, path, tmp_path / "picker-int8.onnx", x)
    small = open_session(str(path), PickerCard, precision="int8")
    step = network.stride // 4
    a, b = small(x)[0], small(np.roll(x, network.stride, axis=2))[0]
    assert np.array_equal(a[:, 12 * step : -13 * step], b[:, 13 * step : -12 * step])


def test_without_a_real_window_there_is_nothing_to_take_ranges_from(tmp_path):
    network = made((8, 16), (1, 1), (3, 3))
    path = export_picker(network, tmp_path / "picker.onnx", CARD)
    with pytest.raises(ValueError, match="window"):
        to_int8(network, path, tmp_path / "picker-int8.onnx", [])
