"""SeisBench's PhaseNet in our engine against SeisBench itself, with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaname.core.step import run
from kaname.core.waveform import Waveform
from kaname.learn.engine.picking import PickerCard, PickingNetwork
from kaname.learn.engine.session import open_session

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")
models = pytest.importorskip("seisbench.models", reason="needs the extra seisbench")

IDS = tuple(f"XX.ABC..HH{c}" for c in "ZNE")


@pytest.fixture(scope="module", params=["std", "peak"])
def model(request):
    torch.manual_seed(0)
    made = models.PhaseNet(phases="NPS", norm=request.param)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return made.eval()


def exported(model, path: Path, *, long: bool) -> PickingNetwork:
    from kaname.learn.networks.export import export_seisbench

    return PickingNetwork(
        open_session(str(export_seisbench(model, path, name="phasenet", long=long)), PickerCard)
    )


def test_its_own_window_gives_its_own_curves(model, tmp_path: Path) -> None:
    network = exported(model, tmp_path / "own.onnx", long=False)
    step = network.windows
    start = np.datetime64((5_000_000 * step.core - step.halo) * step.interval_ns, "ns")
    data = np.cumsum(np.random.default_rng(0).standard_normal((3, 3001)), axis=1) * 100
    wave = Waveform(data, IDS, start, 100.0)
    window = next(w for w in run(step, [wave]) if w.mask.all())
    _, ours = network.curves(window)
    for phase, curve in zip("PS", ours):
        theirs = model.annotate(wave.to_stream()).select(channel=f"PhaseNet_{phase}")[0].data
        assert theirs.size == 3001 and np.abs(curve - theirs)[curve > 0].max() < 1e-4
        assert (theirs[curve == 0] < 0.0201).all()


def test_a_long_window_gives_the_curves_of_the_same_network(model, tmp_path: Path) -> None:
    session = exported(model, tmp_path / "long.onnx", long=True).session
    x = np.random.default_rng(0).standard_normal((1, 3, 34813)).astype(np.float32)
    with torch.no_grad():
        truth = model(torch.from_numpy(x), logits=True).numpy()
    away = np.abs(session(x) - truth).max(axis=(0, 1))
    # Two samples at a time have something other than zeros behind the end, in the part not answered for.
    assert away[:-64].max() < 1e-4 and away.size == 34813
    assert not model.training
