"""Our picker in 8-bit integers: an ONNX graph laid out for the integer kernels of onnxruntime.

The exporter's own graph gains little from integers: transpositions, slow up-sampling and additions stand
between its convolutions. Here channels come last, and three identities leave little but convolutions:
``relu(conv(x) + x)`` is a convolution whose kernel holds the identity too; up-sampling to the nearest is a
convolution that answers several times over; and a convolution of few channels is one of more channels with a
stride, which answer for several steps. With channels last those answers stand in the order wanted already.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor
from torch.nn.functional import conv1d, pad

from kaname.core.errors import InputError
from kaname.learn.networks.picker import CLASSES, N_INPUT, SCALE, STEM, PickerNetwork, Residual

Array = NDArray[np.float32]

WIDTH = 64
"""Channels that a convolution is widened to, by answering for several steps at once."""
EQUAL = 0.5
"""Power of a channel's range that the channel is divided by: 1 gives every channel all integers, and the
weights behind it less of theirs (Nagel et al. 2019, https://doi.org/10.1109/ICCV.2019.00141)."""
LEAST = 1e-3
"""No channel's range counts for less than this share of the largest."""
ODDS = (-5.0, 8.0)
"""Range of the log odds that go out: below it no phase is looked for, above it all are sure."""
LARGEST = 127
OPSET = 17


class Kernel(NamedTuple):
    """A convolution with its normalisation folded in."""

    name: str
    weight: Array
    """Shape (n_out, n_in, length)."""
    bias: Array
    """Shape (n_out,)."""
    stride: int
    pads: tuple[int, int]
    relu: bool
    group: int = 1
    """Steps that one answer stands for."""

    def over(self, group: int) -> Kernel:
        """Return the same convolution answering for several steps at once, each with its channels."""
        n_out, n_in, length = self.weight.shape
        wide = np.zeros((group, n_out, n_in, length + (group - 1) * self.stride), np.float32)
        for step in range(group):
            wide[step, :, :, step * self.stride : step * self.stride + length] = self.weight
        return self._replace(
            weight=wide.reshape(group * n_out, n_in, -1),
            bias=np.tile(self.bias, group),
            stride=self.stride * group,
            group=group,
        )

    def repeated(self, times: int) -> Kernel:
        """Return the convolution whose every answer is given several times, for as many steps."""
        return self._replace(
            weight=np.tile(self.weight, (times, 1, 1)), bias=np.tile(self.bias, times), group=times
        )


V = TypeVar("V")


class Arithmetic(Protocol[V]):
    """What `_answer` is written in: once it runs on numbers, once it draws a graph."""

    def stem(self, x: V, kernel: Kernel) -> V:
        """Convolve what comes in."""

    def conv(self, x: V, kernel: Kernel) -> V:
        """Convolve."""

    def add(self, a: V, b: V, name: str) -> V:
        """Add."""

    def head(self, x: V, kernel: Kernel) -> V:
        """Convolve to what goes out."""


def _answer(network: PickerNetwork, ops: Arithmetic[V], x: V) -> V:
    """Do what `PickerNetwork.steps` does."""
    last = len(network.down)

    def group(scale: int, n_out: int) -> int:
        return 1 if scale == last else max(1, min(SCALE, WIDTH // n_out))

    def residual(block: Residual, name: str, scale: int) -> Kernel:
        kernel = _residual(block, name)
        return kernel.over(group(scale, kernel.bias.size))

    x = ops.stem(x, _plain(network.stem, "stem", relu=True))
    finer = []
    for scale, blocks in enumerate(network.encode):
        for k, block in enumerate(blocks):
            x = ops.conv(x, residual(block, f"encode.{scale}.{k}", scale))
        if scale < last:
            finer.append(x)
            x = ops.conv(x, _plain(network.down[scale], f"down.{scale}", relu=True))
    for scale in range(last - 1, -1, -1):
        up = ops.conv(x, _plain(network.up[scale], f"up.{scale}").repeated(SCALE))
        x = ops.add(up, finer[scale], f"sum.{scale}")
        x = ops.conv(x, residual(network.decode[scale], f"decode.{scale}", scale))
    return ops.head(x, _plain(network.head, "head"))


def _plain(conv: torch.nn.Conv2d, name: str, *, relu: bool = False) -> Kernel:
    weight = conv.weight.detach().numpy()[:, :, 0]
    padding = conv.padding[1]
    bias = conv.bias.detach().numpy()
    stride = conv.stride[1]
    return Kernel(name, weight, bias, stride, (padding, padding), relu)


def _residual(block: Residual, name: str) -> Kernel:
    norm = block.norm
    gain = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    weight = block.conv.weight.detach()[:, :, 0] * gain[:, None, None]
    weight[:, :, weight.shape[2] // 2] += torch.eye(weight.shape[0])
    bias = norm.bias.detach() - norm.running_mean * gain
    padding = block.conv.padding[1]
    return Kernel(name, weight.numpy(), bias.numpy(), 1, (padding, padding), True)


class _Numbers:
    """The arithmetic in floating point, on windows of shape (1, n_channel, n); it notes every range."""

    def __init__(self) -> None:
        self.ranges: dict[str, tuple[Array, Array]] = {}
        """Least and largest value of each channel, by the name of the activation."""

    def stem(self, x: Tensor, kernel: Kernel) -> Tensor:
        return self.conv(x, kernel)

    def conv(self, x: Tensor, kernel: Kernel) -> Tensor:
        weight, bias = torch.from_numpy(kernel.weight), torch.from_numpy(kernel.bias)
        y = conv1d(pad(x, kernel.pads), weight, bias, kernel.stride)
        steps = y.unflatten(1, (kernel.group, -1)).permute(0, 2, 3, 1).flatten(2)
        return self._seen(kernel.name, torch.relu(steps) if kernel.relu else steps)

    def add(self, a: Tensor, b: Tensor, name: str) -> Tensor:
        return self._seen(name, a + b)

    def head(self, x: Tensor, kernel: Kernel) -> Tensor:
        return self.conv(x, kernel)

    def _seen(self, name: str, x: Tensor) -> Tensor:
        low, high = x[0].amin(dim=1).numpy(), x[0].amax(dim=1).numpy()
        least, most = self.ranges.get(name, (0.0, 0.0))
        self.ranges[name] = (np.minimum(least, low), np.maximum(most, high))
        return x


class _Value(NamedTuple):
    """An activation in the graph: a channel's value is ``gain * scale * (integer - zero)``."""

    name: str
    gain: Array
    scale: float
    zero: int


class _Graph:
    """The arithmetic as nodes of an ONNX graph."""

    def __init__(self, ranges: dict[str, tuple[Array, Array]]) -> None:
        self.values = {name: _value(name, [r]) for name, r in ranges.items()}
        ones = np.ones(STEM * len(CLASSES), np.float32)
        self.values["head"] = _value("head", [(ODDS[0] * ones, ODDS[1] * ones)], ones)
        for name in ranges:
            kind, _, scale = name.partition(".")
            if kind == "sum":
                # What is added has one gain.
                finer = [n for n in ranges if n.startswith(f"encode.{scale}.")][-1]
                added = (finer, f"up.{scale}", name)
                gain = _value(name, [ranges[n] for n in added]).gain
                self.values |= {n: _value(n, [ranges[n]], gain) for n in added}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def stem(self, x: _Value, kernel: Kernel) -> _Value:
        """In floating point: what comes in holds weak signals beside strong ones."""
        out = self.values[kernel.name]
        y = self._node("Unsqueeze", [x.name, self._constant("axis", np.array([2]))], "stem.in")
        y = self._node("Relu", [self._float(y, _between(x, kernel, out))], "stem.relu")
        y = self._node("QuantizeLinear", [y, *self._terms(out)], "stem.integers")
        self._node("Transpose", [y], out.name, perm=[0, 2, 3, 1])
        return out

    def conv(self, x: _Value, kernel: Kernel) -> _Value:
        out = self.values[kernel.name]
        kernel = _between(x, kernel, out)
        scale = np.abs(kernel.weight).max(axis=(1, 2)) / LARGEST
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        weight = np.rint(kernel.weight / scale[:, None, None]).astype(np.int8)
        bias = np.rint(kernel.bias / (x.scale * scale.astype(np.float64))).astype(np.int32)
        name = out.name if kernel.group == 1 else f"{out.name}.wide"
        self._node(
            "QLinearConv",
            [
                x.name,
                *self._terms(x),
                self._constant(f"{kernel.name}.weight", weight[:, :, np.newaxis]),
                self._constant(f"{kernel.name}.scale", scale),
                self._constant(f"{kernel.name}.zero", np.zeros(scale.size, np.int8)),
                *self._terms(out),
                self._constant(f"{kernel.name}.bias", bias),
            ],
            name,
            domain="com.microsoft",
            channels_last=1,
            **_shape(kernel),
        )
        if kernel.group > 1:
            shape = self._constant(f"{kernel.name}.shape", np.array([0, 1, -1, out.gain.size]))
            self._node("Reshape", [name, shape], out.name)
        return out

    def add(self, a: _Value, b: _Value, name: str) -> _Value:
        out = self.values[name]
        terms = [a.name, *self._terms(a), b.name, *self._terms(b), *self._terms(out)]
        self._node("QLinearAdd", terms, name, domain="com.microsoft")
        return out

    def head(self, x: _Value, kernel: Kernel) -> _Value:
        """Answer with the log odds of P and S against noise, whose own logits are zero then."""
        weight, bias = (
            (part.reshape(len(CLASSES), STEM, -1) - part[-STEM:].reshape(1, STEM, -1)).reshape(part.shape)
            for part in (kernel.weight, kernel.bias)
        )
        odds = kernel._replace(weight=weight, bias=bias).over(SCALE)
        y = self.conv(x, odds)
        flat = self._node("Transpose", [y.name], "head.last", perm=[0, 3, 1, 2])
        flat = self._node("Squeeze", [flat, self._constant("axis", np.array([2]))], "head.flat")
        self._node("DequantizeLinear", [flat, *self._terms(y)], "y")
        return y._replace(name="y")

    def _float(self, x: str, kernel: Kernel) -> str:
        weight = self._constant(f"{kernel.name}.weight", kernel.weight[:, :, np.newaxis])
        bias = self._constant(f"{kernel.name}.bias", kernel.bias)
        return self._node("Conv", [x, weight, bias], f"{kernel.name}.conv", **_shape(kernel))

    def _terms(self, value: _Value) -> list[str]:
        """Names of the scale and the zero of an activation."""
        return [
            self._constant(f"{value.name}.scale.out", np.float32(value.scale)),
            self._constant(f"{value.name}.zero.out", np.uint8(value.zero)),
        ]

    def _constant(self, name: str, value: NDArray[np.generic] | np.generic) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def _node(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


def _value(name: str, ranges: list[tuple[Array, Array]], gain: Array | None = None) -> _Value:
    """Return how an activation is held whose channels have these ranges, by default with gains of its own."""
    if gain is None:
        size = np.maximum.reduce([np.maximum(high, -low) for low, high in ranges])
        gain = np.maximum(size / max(size.max(), 1e-6), LEAST).astype(np.float32) ** EQUAL
    low, high = (bound / gain for bound in ranges[0])
    scale = float(max(high.max() - low.min(), 1e-6)) / 255
    return _Value(name, gain, scale, round(-float(low.min()) / scale))


def _between(x: _Value, kernel: Kernel, out: _Value) -> Kernel:
    """Return a convolution from values divided by one gain to values divided by another."""
    gain = np.tile(out.gain, kernel.group)
    weight = kernel.weight * x.gain[:, np.newaxis] / gain[:, np.newaxis, np.newaxis]
    return kernel._replace(weight=weight, bias=kernel.bias / gain)


def _shape(kernel: Kernel) -> dict[str, list[int]]:
    left, right = kernel.pads
    return {
        "kernel_shape": [1, kernel.weight.shape[2]],
        "strides": [1, kernel.stride],
        "pads": [0, left, 0, right],
    }


def to_int8(
    network: PickerNetwork, path: str | Path, out: str | Path, windows: Iterable[NDArray[np.float32]]
) -> Path:
    """Write the 8-bit copy of a picker.

    Weights are integers by output channel, activations by tensor; the first convolution stays in floating
    point. Where P or S has less than a chance of one in 150, or of more than 3000, the copy says just that.

    Parameters
    ----------
    network
        The network.
    path
        Its file in 32 bits (`kaname.learn.networks.export.export_picker`), whose card the copy takes.
    out
        ``.onnx`` file to write.
    windows
        Inputs of the network, shape (6, n) each, from which the ranges of the activations are taken; a few
        dozen that hold earthquakes and noise.

    Raises
    ------
    InputError
        When there is no window.
    """
    numbers = _Numbers()
    for window in windows:
        _answer(network, numbers, torch.from_numpy(np.ascontiguousarray(window, np.float32))[None])
    if not numbers.ranges:
        raise InputError("no window was given to take the ranges of the activations from")
    graph = _Graph(numbers.ranges)
    _answer(network, graph, _Value("x", np.ones(N_INPUT, np.float32), 1.0, 0))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n, length])
        for name, n, length in (("x", N_INPUT, "sample"), ("y", STEM * len(CLASSES), "step"))
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "picker", ends[:1], ends[1:], [*graph.constants.values()]),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)],
        ir_version=8,
    )
    model.metadata_props.extend(onnx.load(str(path)).metadata_props)
    onnx.save(model, str(out))
    return Path(out)
