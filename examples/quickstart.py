# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Quick start
#
# Four stations near Unterhaching, Bavaria, recorded small earthquakes on 2010-05-27. The records come with
# ObsPy, so nothing is downloaded. Here they are read and the onsets of the waves are picked.

# %%
from pathlib import Path

import obspy

from kaname.automation.pick import get_picker, picks_table
from kaname.core.step import run
from kaname.core.waveform import align
from kaname.formats.contract import read_waveforms

folder = Path(obspy.__file__).parent / "signal" / "tests" / "data"
files = sorted(folder.glob("BW.UH[1-4]*.cut.slist.gz"))
reads = [read_waveforms(file) for file in files]
for read in reads:
    for block in read.blocks:
        print(block.ids[0], block.start, f"{block.duration_s:.0f} s at {block.sampling_rate:g} Hz")

# %% [markdown]
# A *block* is a stretch of samples without a gap. What could not be read would be listed in `read.failures`.

# %%
assert not any(read.failures for read in reads)
sensors = {}
for read in reads:
    for block in read.blocks:
        sensors.setdefault(block.sensor, []).append(block)

# %% [markdown]
# A picker is a *step*: it takes the blocks of one sensor in the order of time, however they are cut.

# %%
picker = get_picker("classical")
picks = picks_table(pick for blocks in sensors.values() for pick in run(picker, align(blocks)))
print(picks[["station", "channel", "phase", "time", "time_uncertainty_s", "probability"]].to_string())
