"""A channel table as an inventory: places, epochs and the responses that its columns describe."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np

from kaname.formats.win_channels import ChannelEntry, ChannelTable

_SOURCE = "WIN channel table"
_ZEROS = {"m": 2, "m/s": 2, "m/s^2": 0}
"""Of a moving coil with its natural period and damping: flat to velocity above the natural frequency; an
accelerometer is flat below its own."""
_NAMES = {"m": "M", "m/s": "M/S", "m/s^2": "M/S**2"}
_SECONDS = {"m": "displacement", "m/s": "velocity", "m/s^2": "acceleration"}
_LOWEST_HZ = 1e-3
_AZIMUTH_DIP = {"Z": (0.0, -90.0), "N": (0.0, 0.0), "E": (90.0, 0.0)}


def to_inventory(table: ChannelTable) -> Any:
    """Return an ObsPy ``Inventory`` of a channel table, ready for StationXML.

    The response has three stages: the sensor (poles and zeros from natural period and damping, gain in V per
    unit), the amplifier, and the digitiser (counts per V). A channel whose unit is not one of ground motion,
    or whose gains are not stated, gets no response, and one without a place is left out:
    `inventory_failures` says which.
    """
    from obspy.core.inventory import Inventory, Network

    placed = [e for e in table.entries if not (np.isnan(e.latitude) or np.isnan(e.longitude))]
    placed.sort(key=lambda e: e.seed_id)
    networks = []
    for code, members in groupby(placed, key=lambda e: e.seed_id.split(".")[0]):
        stations = [
            _station(station, list(group), table)
            for station, group in groupby(members, key=lambda e: e.seed_id.split(".")[1])
        ]
        networks.append(Network(code, stations=stations))
    return Inventory(networks=networks, source=_SOURCE)


def inventory_failures(table: ChannelTable) -> list[dict[str, Any]]:
    """Return one row for each channel that the inventory leaves out or states no response of."""
    rows = []
    for entry in table.entries:
        reason = ""
        if np.isnan(entry.latitude) or np.isnan(entry.longitude):
            reason = "no line of its station states latitude and longitude; left out"
        elif not _has_response(entry):
            reason = f"no response: {_fault(entry)}"
        if reason:
            rows.append(
                {
                    "step": "channels",
                    "subject": f"{entry.seed_id} (channel {entry.key:04X})",
                    "error": "InputError",
                    "message": reason,
                }
            )
    return rows


def _station(code: str, entries: list[ChannelEntry], table: ChannelTable) -> Any:
    from obspy.core.inventory import Site, Station

    first = entries[0]
    starts = [e.start for e in entries]
    return Station(
        code,
        latitude=first.latitude,
        longitude=_longitude(first.longitude),
        elevation=_or_zero(first.elevation_m),
        channels=[_channel(e, table) for e in entries],
        site=Site(next((e.site for e in entries if e.site), first.station)),
        start_date=None if any(np.isnat(s) for s in starts) else _utc(min(starts)),
    )


def _channel(entry: ChannelEntry, table: ChannelTable) -> Any:
    from obspy.core.inventory import Channel, Comment, Equipment

    _, _, location, code = entry.seed_id.split(".")
    azimuth, dip = _AZIMUTH_DIP.get(code[-1:], (None, None))
    rate = table.rates.get(entry.key, table.rate)
    sensor = f"natural period {entry.period_s:g} s, damping {entry.damping:g}, input {entry.unit}"
    about = f"WIN channel {entry.key:04X}, station {entry.station}, component {entry.component}"
    return Channel(
        code,
        location,
        latitude=entry.latitude,
        longitude=_longitude(entry.longitude),
        elevation=_or_zero(entry.elevation_m),
        depth=0.0,
        azimuth=azimuth,
        dip=dip,
        sample_rate=rate,
        sensor=Equipment(description=sensor),
        comments=[Comment(about)],
        start_date=_utc(entry.start),
        end_date=_utc(entry.end),
        response=_response(entry, rate) if _has_response(entry) else None,
    )


def _longitude(degrees: float) -> float:
    return degrees - 360 if degrees > 180 else degrees


def _or_zero(elevation_m: float) -> float:
    # StationXML knows no missing elevation.
    return 0.0 if np.isnan(elevation_m) else elevation_m


def _utc(time: np.datetime64) -> Any:
    from obspy import UTCDateTime

    return None if np.isnat(time) else UTCDateTime(ns=int(time.astype(np.int64)))


def _fault(entry: ChannelEntry) -> str:
    if entry.unit not in _ZEROS:
        return f"the unit {entry.unit!r} is none of ground motion"
    for name in ("sensitivity", "step_v", "gain_db"):
        value = getattr(entry, name)
        if np.isnan(value) or (name != "gain_db" and value == 0):
            return f"{name} is {value}"
    if np.isnan(entry.period_s) or np.isnan(entry.damping) or entry.period_s < 0:
        return f"natural period {entry.period_s} s and damping {entry.damping}"
    return ""


def _has_response(entry: ChannelEntry) -> bool:
    return not _fault(entry)


def poles_zeros(entry: ChannelEntry) -> tuple[list[complex], list[complex], float, float]:
    """Return poles and zeros [rad/s], normalisation factor and the frequency [Hz] at which it holds.

    The transfer function of a moving coil to the motion of its unit is ``s**2 / (s**2 + 2 h w s + w**2)``, of
    an accelerometer ``w**2 / (s**2 + 2 h w s + w**2)``, with ``w = 2 pi / period`` and damping ``h``
    (Scherbaum, Of Poles and Zeros, 2001, chapter 4). Period 0 stands for a response that is flat.
    """
    if entry.period_s == 0:
        return [], [], 1.0, 1.0
    omega, damping = 2 * np.pi / entry.period_s, entry.damping
    root = np.sqrt(complex(damping**2 - 1))
    poles = [complex(omega * (-damping + root)), complex(omega * (-damping - root))]
    zeros = [0j] * _ZEROS[entry.unit]
    # Far inside the flat part, where the gain that the table states holds.
    frequency = 20 / entry.period_s if zeros else max(_LOWEST_HZ, 0.05 / entry.period_s)
    s = 2j * np.pi * frequency
    value = np.prod([s - z for z in zeros]) / np.prod([s - p for p in poles])
    return poles, zeros, float(1 / abs(value)), frequency


def _response(entry: ChannelEntry, rate: float) -> Any:
    from obspy.core.inventory import (
        CoefficientsTypeResponseStage,
        InstrumentSensitivity,
        PolesZerosResponseStage,
        Response,
        ResponseStage,
    )

    poles, zeros, factor, frequency = poles_zeros(entry)
    flat = 1.0 if not poles else (1.0 if zeros else (2 * np.pi / entry.period_s) ** 2)
    units = _NAMES[entry.unit]
    # The table states the gain of the flat part; the stage states it at its frequency.
    sensor_gain = entry.sensitivity * flat / factor
    gain = 10 ** (entry.gain_db / 20)
    sensor = PolesZerosResponseStage(
        1, sensor_gain, frequency, units, "V", "LAPLACE (RADIANS/SECOND)", frequency, zeros, poles, factor,
        input_units_description=_SECONDS[entry.unit], output_units_description="volt",
    )  # fmt: skip
    amplifier = ResponseStage(2, gain, frequency, "V", "V")
    digitiser = CoefficientsTypeResponseStage(
        3, 1 / entry.step_v, frequency, "V", "COUNTS", "DIGITAL",
        numerator=[1.0], denominator=[], decimation_input_sample_rate=rate, decimation_factor=1,
        decimation_offset=0, decimation_delay=0.0, decimation_correction=0.0,
    )  # fmt: skip
    total = sensor_gain * gain / entry.step_v
    return Response(
        instrument_sensitivity=InstrumentSensitivity(total, frequency, units, "COUNTS"),
        response_stages=[sensor, amplifier, digitiser],
    )
