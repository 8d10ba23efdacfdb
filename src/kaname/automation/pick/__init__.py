"""Phase pickers: waveforms of one sensor in, P and S onsets out.

``get_picker("classical")`` gives the default; see `kaname.automation.pick.registry` for the contract.
"""

from kaname.automation.pick.registry import Pick, Picker, get_picker, names, picks_table, settings_of

__all__ = ["Pick", "Picker", "get_picker", "names", "picks_table", "settings_of"]
