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
# ObsPy, so nothing is downloaded. Here they are read, the onsets of the waves are picked, and then all of
# it is done at once, from records to a located catalogue. `kaname demo` does that on the command line.

# %%
from pathlib import Path

import numpy as np
import obspy
import pandas as pd

from kaname.archive.records import Records
from kaname.automation.catalogue import CatalogueSettings, build
from kaname.automation.pick import get_picker, picks_table
from kaname.core import tables
from kaname.core.step import run
from kaname.core.waveform import align
from kaname.earth.velocity import VelocityModel
from kaname.formats.contract import read_waveforms
from kaname.formats.stations import Stations
from kaname.report.maps import hypocentres

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

# %% [markdown]
# Now the whole. The records do not say where the stations are: their places follow from the distances and
# azimuths of an analyst's event of the same day, and so does the velocity model, a half-space. With four
# stations, less must be asked of an event than by default.

# %%
places = pd.DataFrame(
    [
        ("UH1", 48.08139, 11.63515),
        ("UH2", 48.05869, 11.68145),
        ("UH3", 48.03128, 11.63659),
        ("UH4", 48.03167, 11.53576),
    ],
    columns=["station", "latitude", "longitude"],
)
stations = Stations(tables.validate(places.assign(network="BW", elevation_m=0.0), tables.STATIONS))
model = VelocityModel("half-space", np.array([0.0]), np.array([3.981]), np.array([2.134]))
settings = CatalogueSettings(
    associate={
        "minimum_picks": 4,
        "minimum_stations": 3,
        "tolerance_s": 0.3,
        "margin_km": 10.0,
        "maximum_depth_km": 15.0,
    },
    locate={"maximum_depth_km": 20.0},
    refine={"minimum_used": 4, "minimum_stations": 3, "tolerance_s": 0.25},
)

records, unread = Records.survey(files)
catalogue = build(records, stations, model, settings=settings)
shown = ["time", "latitude", "longitude", "depth_km", "depth_uncertainty_km", "magnitude", "magnitude_type"]
print(catalogue.events[[*shown, "n_p", "n_s", "quality"]].to_string(float_format="%.3f"))

# %% [markdown]
# Magnitudes are relative, since no instrument response is known: only differences mean something. The map has
# an ellipse around each epicentre that holds 68 % of its probability; `quality` says in one letter how far to
# trust a location. With four stations, not very far.

# %%
figure = hypocentres(catalogue.events, stations.table)
figure.savefig("quickstart-map.png")
figure  # noqa: B018 - a notebook shows it
