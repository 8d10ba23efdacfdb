"""SeisBench's PhaseNet in a form that onnxruntime runs faster; its answers are the same.

Normalisation is folded into the convolutions, these are two-dimensional of height one, and the transposed
ones are written as convolutions that answer for four samples at a time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

STRIDE = 4
_PADS = ((3, 3), (2, 3), (1, 3), (2, 3))
"""Zeros that PhaseNet puts about each scale before it goes to the next."""


class FoldedPhaseNet(nn.Module):
    """The logits of a ``seisbench.models.PhaseNet``, shape (batch, 3, n), of windows (batch, 3, n)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.enter = _fold(model.inc, model.in_bn)
        self.same = nn.ModuleList(_fold(conv, norm) for conv, norm, _, _ in model.down_branch)
        self.down = nn.ModuleList(_fold(conv, norm) for _, _, conv, norm in list(model.down_branch)[:-1])
        self.up = nn.ModuleList(_turn(conv, norm) for conv, norm, _, _ in model.up_branch)
        self.merge = nn.ModuleList(_fold(conv, norm) for _, _, conv, norm in model.up_branch)
        self.leave = _fold(model.out, None)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = torch.relu(_same(x.unsqueeze(2), self.enter))
        skips = []
        for i, same in enumerate(self.same):
            x = torch.relu(_same(x, same))
            if i < len(self.down):
                skips.append(x)
                x = torch.relu(conv2d(pad(x, _PADS[i]), *self.down[i], stride=(1, STRIDE)))
        for up, merge, skip in zip(self.up, self.merge, skips[::-1]):
            x = torch.relu(conv2d(x, *up, padding=(0, 1)))
            batch, width, _, n = x.shape
            x = x.reshape(batch, STRIDE, width // STRIDE, n).permute(0, 2, 3, 1)
            # A transposed convolution leaves out the last, PhaseNet one before and two after.
            x = x.reshape(batch, width // STRIDE, 1, STRIDE * n)[..., 1:-3]
            first = (x.shape[-1] - skip.shape[-1]) // 2
            x = torch.cat([skip, x[..., first : first + skip.shape[-1]]], dim=1)
            x = torch.relu(_same(x, merge))
        return _same(x, self.leave)[:, :, 0]


def _same(x: Tensor, kernel: nn.ParameterList) -> Tensor:
    return conv2d(x, *kernel, padding=(0, kernel[0].shape[-1] // 2))


def _folded(conv: Any, norm: Any, axis: int) -> tuple[Tensor, Tensor]:
    weight = conv.weight.detach()
    bias = torch.zeros(weight.shape[axis]) if conv.bias is None else conv.bias.detach()
    if norm is None:
        return weight, bias
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    shape = [1, 1, 1]
    shape[axis] = -1
    return weight * scale.reshape(shape), (bias - norm.running_mean) * scale + norm.bias.detach()


def _fold(conv: Any, norm: Any) -> nn.ParameterList:
    weight, bias = _folded(conv, norm, 0)
    return nn.ParameterList([weight.unsqueeze(2), bias])


def _turn(conv: Any, norm: Any) -> nn.ParameterList:
    """A transposed convolution as one that looks at two samples and answers for the four that follow."""
    weight, bias = _folded(conv, norm, 1)
    n_in, n_out, length = weight.shape
    taps = pad(weight, (0, 2 * STRIDE - length))
    turned = torch.stack([taps[:, :, STRIDE:], taps[:, :, :STRIDE]]).permute(3, 2, 1, 0)
    return nn.ParameterList([turned.reshape(STRIDE * n_out, n_in, 1, 2), bias.repeat(STRIDE)])
