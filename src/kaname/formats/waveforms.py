"""The waveform readers that ship; importing this module registers them."""

from kaname.formats import (
    asdf,
    cosmos,
    csmip,
    esm,
    geonet,
    knet,
    miniseed,
    obspy_adapter,
    sac,
    smc,
    usc,
    win,
)

__all__ = [
    "asdf",
    "cosmos",
    "csmip",
    "esm",
    "geonet",
    "knet",
    "miniseed",
    "obspy_adapter",
    "sac",
    "smc",
    "usc",
    "win",
]
