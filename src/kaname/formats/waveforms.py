"""The waveform readers that ship; importing this module registers them."""

from kaname.formats import asdf, knet, miniseed, obspy_adapter, sac, win

__all__ = ["asdf", "knet", "miniseed", "obspy_adapter", "sac", "win"]
