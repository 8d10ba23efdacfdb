"""The denoiser: a two-dimensional U-Net from the picture of a record to a mask of its short-time spectra.

After DeepDenoiser (Zhu, Mousavi & Beroza 2019, https://doi.org/10.1109/TGRS.2019.2926772), with these
differences: three components are seen together; what is seen is the power against the level of noise about
each instant, not the spectra themselves; there is one mask, for the signal; the loss is of the waveform.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from kaname.learn.engine.frames import N_FEATURE


def _block(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())


class _Context(nn.Module):
    """Residual, with kernels that reach far in time."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, (3, 3), padding=(1, dilation), dilation=(1, dilation), bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.conv(x)))


class DenoiserNetwork(nn.Module):
    """From features (`kaname.learn.engine.frames.features`) to logits of masks.

    Parameters
    ----------
    widths
        Channels of each scale, the finest first; each is half as fine as the last in time and frequency.
    """

    def __init__(self, widths: Sequence[int] = (16, 24, 40, 64)) -> None:
        super().__init__()
        self.settings = {"widths": list(widths)}
        pairs = list(pairwise(widths))
        self.enter = nn.Sequential(_block(N_FEATURE, widths[0]), _block(widths[0], widths[0]))
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(b),
                nn.ReLU(),
                _block(b, b),
            )
            for a, b in pairs
        )
        self.context = nn.Sequential(*(_Context(widths[-1], d) for d in (1, 2, 4)))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.join = nn.ModuleList(_block(a, a) for a, _ in pairs)
        self.head = nn.Conv2d(widths[0], 3, 3, padding=1)

    @property
    def stride(self) -> int:
        """The number of frames must be a multiple of this."""
        return int(2 ** len(self.down))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the masks of Z, N, E.

        Parameters
        ----------
        x
            Features, shape (batch, 6, 41, n_frame).

        Returns
        -------
        Tensor, shape (batch, 3, 41, n_frame)
        """
        n_bin = x.shape[2]
        x = self.enter(nn.functional.pad(x, (0, 0, 0, -n_bin % self.stride)))
        finer = []
        for down in self.down:
            finer.append(x)
            x = down(x)
        x = self.context(x)
        for fine, up, join in zip(reversed(finer), reversed(self.up), reversed(self.join)):
            x = join(interpolate(up(x), scale_factor=2.0, mode="nearest") + fine)
        return self.head(x)[:, :, :n_bin]
