"""SeisBench's PhaseNet in a form that onnxruntime runs faster; its answers are the same.

Normalisation is folded into the convolutions, these are two-dimensional of height one, the transposed ones
are written as convolutions that answer for four samples at a time, and the finest scale may be worked on two
samples at a time: its eight channels are half of what an instruction takes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

STRIDE = 4
REACH = 3
"""Zeros about the input of every convolution of seven."""
_LEFT = (3, 2, 1, 2)
"""Zeros that PhaseNet puts before each scale on the way to the next."""


class FoldedPhaseNet(nn.Module):
    """The logits of a ``seisbench.models.PhaseNet``, shape (batch, 3, n), of windows (batch, 3, n).

    Parameters
    ----------
    model
        The ``seisbench.models.PhaseNet``.
    n_sample
        Samples of a window; one more than a multiple of four.
    together
        Samples of the finest scale that are worked on at once: 1, or 2, which is faster but answers otherwise
        for the last few dozen samples: beyond the window not every layer is zero then.
    """

    def __init__(self, model: Any, n_sample: int, *, together: int = 1) -> None:
        super().__init__()
        self.together = together
        lengths = [n_sample]
        for left in _LEFT:
            lengths.append((lengths[-1] + left) // STRIDE)
        scales = [together, *(1 for _ in _LEFT)]
        down, up = list(model.down_branch), list(model.up_branch)
        self.enter = _Conv(*_folded(model.inc, model.in_bn), together)
        self.same = nn.ModuleList(
            _Conv(*_folded(conv, norm), k) for (conv, norm, _, _), k in zip(down, scales)
        )
        self.down = nn.ModuleList(
            _Conv(*_folded(conv, norm), k, left=left, stride=STRIDE)
            for (_, _, conv, norm), k, left in zip(down[:-1], scales, _LEFT)
        )
        self.up = nn.ModuleList(
            _Up(*_folded(conv, norm, 1), k, (STRIDE * coarse - fine) // 2)
            for (conv, norm, _, _), k, fine, coarse in zip(
                up, scales[-2::-1], lengths[-2::-1], lengths[:0:-1]
            )
        )
        merge = [(*_folded(conv, norm), k) for (_, _, conv, norm), k in zip(up, scales[-2::-1])]
        # What comes from either side of a merger is convolved apart: putting it together costs more.
        self.skip = nn.ModuleList(_Conv(w[:, : w.shape[1] // 2], b, k) for w, b, k in merge)
        self.merge = nn.ModuleList(_Conv(w[:, w.shape[1] // 2 :], 0 * b, k) for w, b, k in merge)
        self.leave = _Conv(*_folded(model.out, None), together)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        batch, n_channel, n = x.shape
        k = self.together
        if k > 1:
            x = pad(x, (0, -n % STRIDE)).reshape(batch, n_channel, -1, k).permute(0, 3, 1, 2).flatten(1, 2)
        x = torch.relu(self.enter(x.unsqueeze(2)))
        skips = []
        for i, same in enumerate(self.same):
            x = torch.relu(same(x))
            if i < len(self.down):
                skips.append(x)
                x = torch.relu(self.down[i](x))
        for up, side, merge, skip in zip(self.up, self.skip, self.merge, skips[::-1]):
            x = up(x)
            x = x[..., : skip.shape[-1]] if x.shape[-1] > skip.shape[-1] else x
            x = torch.relu(side(skip) + merge(x))
        x = self.leave(x)[:, :, 0]
        return x.reshape(batch, k, -1, x.shape[-1]).permute(0, 2, 3, 1).flatten(2)[..., :n]


def _folded(conv: Any, norm: Any, axis: int = 0) -> tuple[Tensor, Tensor]:
    """Return weights and bias of a convolution with its normalisation in them."""
    weight = conv.weight.detach()
    bias = torch.zeros(weight.shape[axis]) if conv.bias is None else conv.bias.detach()
    if norm is None:
        return weight, bias
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    shape = [1, 1, 1]
    shape[axis] = -1
    return weight * scale.reshape(shape), ((bias - norm.running_mean) * scale + norm.bias).detach()


class _Conv(nn.Module):
    """A convolution of samples that stand side by side in the channels, some of them together.

    With a stride its answers are single samples, without one they stand as the input does.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, together: int, *, left: int | None = None, stride: int = 1
    ) -> None:
        super().__init__()
        n_out, n_in, length = weight.shape
        left = length // 2 if left is None else left
        answers = together if stride == 1 else 1
        self.stride = max(1, stride // together)
        self.reach = -(-max(left, REACH if stride > 1 else 0) // together)
        last = (answers - 1 + length - 1 - left) // together
        taps = max(last, self.reach if together > 1 else last) + self.reach + 1
        wide = torch.zeros(answers, n_out, together, n_in, taps)
        for answer in range(answers):
            for tap in range(length):
                at, phase = divmod(answer + tap - left, together)
                wide[answer, :, phase, :, at + self.reach] = weight[:, :, tap]
        self.weight = nn.Parameter(wide.reshape(answers * n_out, together * n_in, 1, taps))
        self.bias = nn.Parameter(bias.repeat(answers))

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight, self.bias, padding=(0, self.reach), stride=(1, self.stride))


class _Up(nn.Module):
    """A transposed convolution with its activation, as one that answers for the four samples of each.

    PhaseNet leaves out the first of its samples, and what then is in excess on either side.
    """

    def __init__(self, weight: Tensor, bias: Tensor, together: int, excess: int) -> None:
        super().__init__()
        self.together = together
        n_in, n_out, length = weight.shape
        taps = pad(weight, (0, 2 * STRIDE - length))
        wide = torch.zeros(STRIDE, n_out, n_in, 3)
        for j in range(STRIDE):
            later, tap = divmod(j + 1 + excess, STRIDE)
            wide[j, :, :, 1 + later] = taps[:, :, tap].T
            wide[j, :, :, later] = taps[:, :, tap + STRIDE].T
        self.weight = nn.Parameter(wide.reshape(STRIDE * n_out, n_in, 1, 3))
        self.bias = nn.Parameter(bias.repeat(STRIDE))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(conv2d(x, self.weight, self.bias, padding=(0, 1)))
        batch, width, _, n = x.shape
        k = self.together
        x = x.reshape(batch, STRIDE // k, k, width // STRIDE, n).permute(0, 2, 3, 4, 1)
        return x.reshape(batch, k * width // STRIDE, 1, STRIDE // k * n)
