"""Stations out: StationXML 1.2, CSV and Parquet."""

from __future__ import annotations

import csv
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from kaname.core.errors import InputError
from kaname.core.files import replacing
from kaname.core.tables import STATIONS, validate, write_table
from kaname.formats.stations import Stations


def write_stations(stations: Stations, path: str | PathLike[str]) -> Path:
    """Write stations in the format of the file's ending, in one atomic rename.

    ``.xml`` gives StationXML: the inventory with its responses where the source had one, otherwise networks
    and stations without channels, which cannot say location, sensor depth or corrections. ``.csv`` and
    ``.parquet`` give the ``stations`` table without responses.

    Raises
    ------
    InputError
        When the ending is none of these.
    SchemaError
        When the table breaks its schema.
    StorageError
        When the disk refuses; the previous file, if any, is untouched.
    """
    target = Path(path)
    ending = target.suffix.lower()
    if ending == ".parquet":
        return write_table(stations.table, target, STATIONS)
    with replacing(target) as partial:
        if ending == ".xml":
            inventory = stations.inventory or to_inventory(stations.table)
            inventory.write(str(partial), format="STATIONXML", validate=False)
        elif ending == ".csv":
            validate(stations.table, STATIONS).to_csv(partial, index=False, quoting=csv.QUOTE_NONNUMERIC)
        else:
            raise InputError(f"{target} names no station format; expected .xml, .csv or .parquet")
    return target


def to_inventory(table: pd.DataFrame) -> Any:
    """Return an ObsPy ``Inventory`` of networks and stations without channels.

    Parameters
    ----------
    table
        `kaname.core.tables.STATIONS`; sensors of one station that differ in location only are one station.

    Raises
    ------
    SchemaError
        When the table breaks its schema.
    """
    from obspy.core.inventory import Inventory, Network, Site, Station

    rows = validate(table, STATIONS).drop_duplicates(["network", "station", "start", "end"])
    networks = []
    for code, members in rows.groupby("network", sort=True):
        stations = [
            Station(
                row.station,
                row.latitude,
                row.longitude - 360.0 if row.longitude > 180 else row.longitude,
                0.0 if pd.isna(row.elevation_m) else row.elevation_m,
                site=Site(name=row.site or row.station),
                start_date=_utc(row.start),
                end_date=_utc(row.end),
            )
            for row in members.itertuples()
        ]
        networks.append(Network(str(code), stations=stations))
    return Inventory(networks, source="kaname")


def _utc(time: pd.Timestamp) -> Any:
    from obspy import UTCDateTime

    return None if pd.isna(time) else UTCDateTime(ns=int(time.value))
