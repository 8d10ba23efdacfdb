"""The phase picker: a fully convolutional network of four scales, in the manner of PhaseNet.

Zhu & Beroza 2019, https://doi.org/10.1093/gji/ggy423, with these differences, all for the sake of cost: the
first layer goes straight to 25 Hz, the rest to 6.25, 1.6 and 0.4 Hz; every answer of the last layer stands
for four samples, so that the curves come out at 100 Hz; blocks are residual (He et al. 2016,
https://doi.org/10.1109/CVPR.2016.90). Convolutions are two-dimensional of height one, because the kernels of
onnxruntime for those are several times faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

N_INPUT = 6
STEM = 4
"""Samples at 100 Hz per step of the finest scale."""
SCALE = 4
"""Ratio of one scale to the next."""
CLASSES = ("P", "S", "noise")


class Residual(nn.Module):
    """``relu(x + norm(conv(x)))``."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, (1, kernel), padding=(0, kernel // 2), bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape in, shape out: (batch, width, 1, n)."""
        return torch.relu(self.norm(self.conv(x)) + x)


class PickerNetwork(nn.Module):
    """From a conditioned record to the logits of P, S and noise.

    Parameters
    ----------
    widths
        Channels of each scale, the finest first.
    blocks
        Residual blocks of each scale on the way down.
    kernels
        Kernel length of each scale's blocks.
    """

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 64, 96),
        blocks: Sequence[int] = (1, 1, 2, 2),
        kernels: Sequence[int] = (3, 5, 5, 3),
    ) -> None:
        super().__init__()
        self.settings = {"widths": list(widths), "blocks": list(blocks), "kernels": list(kernels)}
        pairs = list(pairwise(widths))
        self.stem = nn.Conv2d(N_INPUT, widths[0], (1, 2 * STEM), stride=(1, STEM), padding=(0, STEM // 2))
        self.encode = nn.ModuleList(
            nn.Sequential(*(Residual(w, k) for _ in range(n))) for w, n, k in zip(widths, blocks, kernels)
        )
        self.down = nn.ModuleList(nn.Conv2d(a, b, (1, SCALE), stride=(1, SCALE)) for a, b in pairs)
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.decode = nn.ModuleList(Residual(w, k) for (w, _), k in zip(pairs, kernels))
        self.head = nn.Conv2d(widths[0], STEM * len(CLASSES), (1, 3), padding=(0, 1))
        with torch.no_grad():
            self.head.bias[-STEM:] += 4.0  # Nearly everything is noise: begin with that.

    @property
    def stride(self) -> int:
        """The input's length must be a multiple of this."""
        return STEM * SCALE ** len(self.down)

    def steps(self, x: Tensor) -> Tensor:
        """Return logits, shape (batch, 12, n / 4): for P, S and noise each the four samples of a step.

        This, and not `forward`, is what is exported: unfolding it costs nothing in numpy and much in a graph.
        """
        x = torch.relu(self.stem(x.unsqueeze(2)))
        finer = []
        for i, encode in enumerate(self.encode):
            x = encode(x)
            if i < len(self.down):
                finer.append(x)
                x = torch.relu(self.down[i](x))
        for i in range(len(finer) - 1, -1, -1):
            x = self.decode[i](interpolate(self.up[i](x), scale_factor=(1, SCALE), mode="nearest") + finer[i])
        return self.head(x).squeeze(2)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of P, S and noise, shape (batch, 3, n), of a conditioned record (batch, 6, n)."""
        batch, _, n = x.shape
        return (
            self.steps(x).reshape(batch, len(CLASSES), STEM, n // STEM).transpose(2, 3).reshape(batch, 3, n)
        )
