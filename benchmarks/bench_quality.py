"""Quality of one channel-day beside ObsPy: python benchmarks/bench_quality.py [--rate 100] [--days 2]

The day is white noise with a random walk, Steim2 on disk, with a response of poles and zeros. ObsPy reads the
file and adds it to a `PPSD`, which gives the noise alone; Kaname gives all of `kaname archive quality`. CPU
seconds are printed beside the clock: on a machine that is shared they tell more.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import obspy
from obspy import UTCDateTime
from obspy.core.inventory import Channel, Inventory, Network, Response, Station
from obspy.signal import PPSD

from kaname.archive.quality import QualitySettings, quality
from kaname.archive.store import Archive
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import write_miniseed

DAY = np.datetime64("2021-03-14", "ns")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--days", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        root, stations = Path(folder) / "archive", Path(folder) / "stations.xml"
        root.mkdir()
        make(root, stations, options.rate, options.days)
        inventory = obspy.read_inventory(str(stations))
        with Archive(root) as archive:
            archive.index()
            quality(archive, end=DAY + np.timedelta64(1, "h"), stations=[stations])  # compile and warm up
            print(
                f"{options.days} days at {options.rate:g} Hz, load {os.getloadavg()[0]:.1f}; per channel-day:"
            )
            theirs = timed("ObsPy: read and PPSD.add", lambda: ppsd(root, inventory), options.days)
            ours = timed(
                "Kaname: all of quality", lambda: quality(archive, stations=[stations]), options.days
            )
            bare = QualitySettings(noise=False)
            timed("Kaname: without noise", lambda: quality(archive, settings=bare), options.days)
        print(f"ratio: {theirs[0] / ours[0]:.1f} by the clock, {theirs[1] / ours[1]:.1f} in CPU seconds")


def make(root: Path, stations: Path, rate: float, n_day: int) -> None:
    """Write an archive of one channel, and its response."""
    rng = np.random.default_rng(0)
    n = round(86_400 * rate)
    for number in range(n_day):
        data = np.rint(np.cumsum(rng.normal(0, 5, n)) + rng.normal(0, 200, n)).astype(np.int32)
        start = DAY + np.timedelta64(number, "D")
        write_miniseed([Waveform(data[np.newaxis], ("XX.AAA..HHZ",), start, rate)], root / f"{number}.mseed")
    response = Response.from_paz(
        [0, 0], [-0.037 + 0.037j, -0.037 - 0.037j], 6e8, 1.0, input_units="M/S", output_units="COUNTS"
    )
    begun = UTCDateTime(2020, 1, 1)
    channel = Channel("HHZ", "", 1, 2, 3, 0, sample_rate=rate, response=response, start_date=begun)
    network = Network("XX", [Station("AAA", 1, 2, 3, channels=[channel])])
    Inventory([network], source="benchmark").write(str(stations), format="STATIONXML")


def ppsd(root: Path, inventory: Inventory) -> None:
    """Do with ObsPy what of it ObsPy does."""
    found = None
    for path in sorted(root.glob("*.mseed")):
        stream = obspy.read(str(path))
        found = found or PPSD(stream[0].stats, inventory)
        found.add(stream)


def timed(what: str, call: Callable[[], object], n_day: int) -> tuple[float, float]:
    """Print and return how long a channel-day takes by the clock and in CPU seconds."""
    cpu, begun = time.process_time(), time.perf_counter()
    call()
    seconds, cpu = (time.perf_counter() - begun) / n_day, (time.process_time() - cpu) / n_day
    print(f"  {what:28s} {seconds:6.2f} s, {cpu:6.2f} CPU s")
    return seconds, cpu


if __name__ == "__main__":
    main()
