"""The waveform readers that ship; importing this module registers them.

WIN32, K-NET and JMA readers will stand here; until then ObsPy's own WIN and K-NET readers serve.
"""

from kaname.formats import miniseed, obspy_adapter, sac

__all__ = ["miniseed", "obspy_adapter", "sac"]
