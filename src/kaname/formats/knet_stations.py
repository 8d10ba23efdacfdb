"""Where the sensors of K-NET and KiK-net records stood, and what a count of them is worth."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import Any

import numpy as np

from kaname.formats.knet import KnetRead, KnetRecord
from kaname.formats.knet_header import KnetHeader

_SOURCE = "K-NET/KiK-net record headers"
_AZIMUTH_DIP = {"N": (0.0, 0.0), "E": (90.0, 0.0), "Z": (0.0, -90.0)}


def to_inventory(read: KnetRead) -> Any:
    """Return an ObsPy ``Inventory`` of the channels with their sensitivities, ready for StationXML.

    The response is what the header says, counts over acceleration at all frequencies; the low-pass filter of
    the logger is not in it. An epoch begins with the first record of it and is open until place or scale
    change. Records without a place are left out; without a scale factor they have no response.
    """
    from obspy.core.inventory import Inventory, Network, Site, Station

    placed = [r for r in read.records if np.isfinite(r.header.station_latitude + r.header.station_longitude)]
    ground = {r.header.station: r.header.station_height_m for r in placed if r.header.location != "01"}
    networks = []
    for network, members in groupby(placed, key=lambda r: r.counts.ids[0].split(".")[0]):
        stations = []
        for code, group in groupby(members, key=lambda r: r.counts.ids[0].split(".")[1]):
            records = list(group)
            header = records[0].header
            height_m = ground.get(header.station, np.nan)
            channels = [c for _, g in groupby(records, _identifier) for c in _epochs(list(g), height_m)]
            stations.append(
                Station(
                    code,
                    latitude=header.station_latitude,
                    longitude=header.station_longitude,
                    # StationXML must state one: without the ground, the sensor's own.
                    elevation=next((h for h in (height_m, header.station_height_m) if not np.isnan(h)), 0.0),
                    channels=channels,
                    site=Site(header.station),
                )
            )
        networks.append(Network(network, stations=stations))
    return Inventory(networks=networks, source=_SOURCE)


def _identifier(record: KnetRecord) -> str:
    return record.counts.ids[0]


def _what(header: KnetHeader) -> tuple[str, ...]:
    fields = ("station_latitude", "station_longitude", "station_height_m", "scale_cm_s2", "sampling_rate")
    return tuple(str(getattr(header, name)) for name in fields)  # as text a missing value equals itself


def _epochs(records: list[KnetRecord], ground_m: float) -> list[Any]:
    records = sorted(records, key=lambda r: r.counts.start)
    firsts = [records[0]] + [b for a, b in pairwise(records) if _what(a.header) != _what(b.header)]
    ends = [record.counts.start for record in firsts[1:]] + [None]
    return [_channel(record, end, ground_m) for record, end in zip(firsts, ends)]


def _channel(record: KnetRecord, end: np.datetime64 | None, ground_m: float) -> Any:
    from obspy import UTCDateTime
    from obspy.core.inventory import Channel, Comment

    header = record.header
    _, _, location, code = _identifier(record).split(".")
    azimuth, dip = _AZIMUTH_DIP[header.orientation]
    depth_m = ground_m - header.station_height_m if header.location == "01" else 0.0
    return Channel(
        code,
        location,
        latitude=header.station_latitude,
        longitude=header.station_longitude,
        elevation=0.0 if np.isnan(header.station_height_m) else header.station_height_m,
        depth=0.0 if np.isnan(depth_m) else depth_m,
        azimuth=azimuth,
        dip=dip,
        sample_rate=header.sampling_rate,
        comments=[Comment(f"Dir. {header.direction}")],
        start_date=UTCDateTime(ns=int(record.counts.start.astype(np.int64))),
        end_date=None if end is None else UTCDateTime(ns=int(end.astype(np.int64))),
        response=_response(header),
    )


def _response(header: KnetHeader) -> Any:
    from obspy.core.inventory import CoefficientsTypeResponseStage, InstrumentSensitivity, Response

    if not np.isfinite(header.scale_cm_s2):
        return None
    counts_per_m_s2 = 100.0 / header.scale_cm_s2
    stage = CoefficientsTypeResponseStage(
        1, counts_per_m_s2, 1.0, "M/S**2", "COUNTS", "DIGITAL",
        numerator=[1.0], denominator=[], decimation_input_sample_rate=header.sampling_rate,
        decimation_factor=1, decimation_offset=0, decimation_delay=0.0, decimation_correction=0.0,
        input_units_description="acceleration",
    )  # fmt: skip
    return Response(
        instrument_sensitivity=InstrumentSensitivity(counts_per_m_s2, 1.0, "M/S**2", "COUNTS"),
        response_stages=[stage],
    )
