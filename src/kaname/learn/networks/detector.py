"""The detector: is an earthquake, from P to the coda of S, in progress?

Ours is a small convolutional network on the conditioned samples that the picker sees. Beside it stands, as
the baseline it is measured against, a network in the manner of CRED (Mousavi et al. 2019,
https://doi.org/10.1038/s41598-019-45748-1): a spectrogram, residual convolutions, recurrent layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, interpolate, pad

from kaname.learn.networks.picker import N_INPUT, Residual

STEP = 16
"""Samples at 100 Hz per answer."""
STRIDE = 256
"""The input's length must be a multiple of this."""


def _down(n_in: int, n_out: int, kernel: int, stride: int) -> nn.Sequential:
    pad = (kernel - stride) // 2
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, (1, kernel), stride=(1, stride), padding=(0, pad), bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(),
    )


class _Far(nn.Module):
    """Residual, with a kernel that reaches far."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, (1, 3), padding=(0, dilation), dilation=(1, dilation), bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.conv(x)))


class DetectorNetwork(nn.Module):
    """From a conditioned record to the logit of an earthquake in progress, 6.25 times a second.

    Parameters
    ----------
    widths
        Channels at 12.5, 6.25, 1.6 and 0.4 Hz.
    """

    def __init__(self, widths: Sequence[int] = (24, 32, 48, 64)) -> None:
        super().__init__()
        self.settings = {"widths": list(widths)}
        a, b, c, d = widths
        self.fine = nn.Sequential(_down(N_INPUT, a, 16, 8), _down(a, b, 4, 2), Residual(b, 5))
        self.middle = nn.Sequential(_down(b, c, 8, 4), Residual(c, 5))
        self.coarse = nn.Sequential(_down(c, d, 8, 4), *(_Far(d, k) for k in (1, 2, 4)))
        self.up_middle = nn.Conv2d(d, c, 1)
        self.join_middle = Residual(c, 5)
        self.up_fine = nn.Conv2d(c, b, 1)
        self.join_fine = Residual(b, 5)
        self.head = nn.Conv2d(b, 1, (1, 3), padding=(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, shape (batch, n / 16), of conditioned records, shape (batch, 6, n)."""
        fine = self.fine(x.unsqueeze(2))
        middle = self.middle(fine)
        y = self.coarse(middle)
        y = self.join_middle(interpolate(self.up_middle(y), scale_factor=(1.0, 4.0), mode="nearest") + middle)
        y = self.join_fine(interpolate(self.up_fine(y), scale_factor=(1.0, 4.0), mode="nearest") + fine)
        return self.head(y)[:, 0, 0]


class _Picture(nn.Module):
    """Residual block of two dimensions, half as fine in both."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(n_in, n_out, 5, stride=2, padding=2)
        self.body = nn.Sequential(
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, padding=1),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return x + self.body(x)


class CredNetwork(nn.Module):
    """A baseline in the manner of CRED: spectrogram, residual convolutions, two-way and one-way recurrence.

    Parameters
    ----------
    widths
        Channels of the two residual blocks.
    hidden
        Units of each recurrent layer and direction.
    """

    N_FFT = 64

    def __init__(self, widths: Sequence[int] = (8, 16), hidden: int = 48) -> None:
        super().__init__()
        self.settings = {"widths": list(widths), "hidden": hidden}
        window = torch.hann_window(self.N_FFT, dtype=torch.float64)
        spectra = torch.fft.rfft(torch.diag(window)).T
        waves = torch.cat([spectra.real, spectra.imag]).unsqueeze(1).float()
        self.register_buffer("waves", waves, persistent=False)
        a, b = widths
        self.picture = nn.Sequential(_Picture(3, a), _Picture(a, b))
        n_frequency = (self.N_FFT // 2 + 1 + 3) // 4  # halved twice, rounded up
        self.both_ways = nn.LSTM(b * n_frequency, hidden, bidirectional=True, batch_first=True)
        self.one_way = nn.LSTM(2 * hidden, hidden, batch_first=True)
        self.head = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, shape (batch, n / 16), of conditioned records, shape (batch, 6, n)."""
        batch, _, n = x.shape
        # A short-time Fourier transform as a convolution, which ONNX has.
        half = self.N_FFT // 2
        traces = pad(x[:, :3].reshape(batch * 3, 1, n).float(), (half, half), mode="reflect")
        z = conv1d(traces, self.waves, stride=STEP)[..., : n // STEP]
        power = torch.log10(z[:, : half + 1] ** 2 + z[:, half + 1 :] ** 2 + 1e-4)
        y = self.picture(power.reshape(batch, 3, half + 1, n // STEP))
        y, _ = self.both_ways(y.permute(0, 3, 1, 2).flatten(2))
        y, _ = self.one_way(y)
        return interpolate(self.head(y).transpose(1, 2), size=n // STEP, mode="linear")[:, 0]
