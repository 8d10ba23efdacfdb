"""Tables of ground motions that others published, in Kaname's own schema.

Known are the Ridgecrest 2019 table of Rekoske et al. (2020, doi:10.1785/0220190292), the flatfile of the
Engineering Strong-Motion database (Lanzano et al. 2019, doi:10.1007/s10518-018-0480-z), that of NGA-West2
(Ancheta et al. 2014, doi:10.1193/070913EQS197M), ShakeMap's ``stationlist.json``, and station lists with
``ln_pga_g`` as the GEM Earthquake Impact Database has them. Each is known by its columns. Nothing is filled
in: what a table does not state is missing, and what only its reader can know (tectonic region, licence) is
an option.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.shaking import GRAVITY_CM_S2, GROUND_MOTIONS, PERIODS_S, column_of
from kaname.core.tables import FAILURES, sift, table

Kind = Literal["ridgecrest", "esm", "nga", "shakemap", "station_pga"]
USABLE_SHARE = 0.8
"""Spectra are trusted up to this share of the period of the high-pass corner (Ancheta et al. 2014)."""
_PERCENT_G = GRAVITY_CM_S2 / 100.0
_NGA_MISSING = -999.0


@dataclass
class Flatfile:
    """A table of others in Kaname's schema, and the values of it that could not be taken."""

    table: pd.DataFrame
    """`kaname.core.shaking.GROUND_MOTIONS`; further columns of the source stand to the right."""
    failures: pd.DataFrame
    """`kaname.core.tables.FAILURES`."""
    kind: Kind


def read_flatfile(
    path: str | Path, *, kind: Kind | None = None, tectonic_region: str = "", licence: str = ""
) -> Flatfile:
    """Read a flatfile or station list (CSV or JSON, packed with gzip or not) into ``ground_motions``.

    Parameters
    ----------
    path
        File to read.
    kind
        What it is; by default found from its columns.
    tectonic_region
        Where its earthquakes were, for all rows; the tables do not state it.
    licence
        Licence of the table, as far as you know it.

    Raises
    ------
    NotFoundError
        When there is no such file.
    InputError
        When there is no such kind or tectonic region.
    FormatError
        When it is none of the known tables.
    """
    source = Path(path)
    if kind is not None and kind not in _KINDS:
        raise InputError(f"no flatfile of kind {kind!r}; known are {', '.join(_KINDS)}")
    if tectonic_region not in GROUND_MOTIONS["tectonic_region"].choices:
        known = ", ".join(c for c in GROUND_MOTIONS["tectonic_region"].choices if c)
        raise InputError(f"no tectonic region {tectonic_region!r}; known are {known}")
    frame = _load(source)
    found = kind or kind_of(frame)
    if found is None:
        raise FormatError(
            f"{source} is no flatfile that is known ({', '.join(_KINDS)}); its columns begin "
            f"{', '.join(map(str, frame.columns[:8]))}"
        )
    missing = _KINDS[found].columns - set(frame.columns)
    if missing:
        raise FormatError(f"{source} is no {found} table: it has no column {', '.join(sorted(missing))}")
    out = _KINDS[found].convert(frame)
    out["source"], out["licence"], out["quality"] = source.name, licence, "used"
    if tectonic_region:
        out["tectonic_region"] = tectonic_region
    return _checked(out, source, found)


def kind_of(frame: pd.DataFrame) -> Kind | None:
    """Return the kind of flatfile that has these columns, ``None`` when there is none."""
    return next((name for name, kind in _KINDS.items() if kind.columns <= set(frame.columns)), None)


def is_flatfile(path: Path) -> bool:
    """Tell whether a file is one of the known tables; never raises."""
    try:
        return kind_of(_load(path, rows=1)) is not None
    except (FormatError, NotFoundError):
        return False


def _load(source: Path, rows: int | None = None) -> pd.DataFrame:
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}")
    try:
        with source.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with (gzip.open if packed else open)(source, "rb") as stream:
            if stream.read(64).lstrip()[:1] == b"{":
                stream.seek(0)
                return _shakemap_rows(json.load(stream))
        text = {"network": str, "station_network_code": str, "Network": str}
        return pd.read_csv(
            source,
            nrows=rows,
            dtype=text,
            keep_default_na=True,
            low_memory=False,
            compression="gzip" if packed else None,
            na_filter=True,
        )
    except (OSError, EOFError, ValueError) as error:  # pandas' and JSON's own errors are ValueErrors
        raise FormatError(f"{source} is no readable CSV or JSON table: {error}") from error


def _checked(out: pd.DataFrame, source: Path, kind: Kind) -> Flatfile:
    """Take out the values that break the schema, each with a word about it; a row without identity goes."""
    rows, failures = [], []
    bad = np.zeros(len(out), bool)
    for column in GROUND_MOTIONS.columns:
        if column.name not in out:
            continue
        values = out[column.name]
        if column.dtype == "float" and not (column.low is None and column.high is None):
            with np.errstate(invalid="ignore"):
                low = -np.inf if column.low is None else column.low
                high = np.inf if column.high is None else column.high
                bad |= ~values.between(low, high).to_numpy() & values.notna().to_numpy()
        if column.required:
            bad |= (values.isna() | (values.astype(str) == "")).to_numpy()
    for index, row in zip(np.flatnonzero(bad), out[bad].to_dict("records")):
        kept, wrong = sift(row, GROUND_MOTIONS)
        failures.append(
            {
                "step": "read",
                "subject": str(source),
                "error": "SchemaError",
                "message": f"row {index + 2}: {'; '.join(wrong)}: "
                + ("taken out" if kept else "row left out"),
            }
        )
        if kept:
            rows.append(kept)
    good = pd.concat([out[~bad], pd.DataFrame(rows, columns=out.columns)]) if rows else out[~bad]
    twice = good["record_id"].duplicated()
    for identifier in good.loc[twice, "record_id"]:
        failures.append(
            {
                "step": "read",
                "subject": str(source),
                "error": "SchemaError",
                "message": f"record {identifier} stands more than once: the first is kept",
            }
        )
    return Flatfile(table(good[~twice].to_dict("records"), GROUND_MOTIONS), table(failures, FAILURES), kind)


def _numbers(frame: pd.DataFrame, column: str, factor: float = 1.0) -> pd.Series:
    """The column as numbers, times a factor; all missing when the table has no such column."""
    if column not in frame:
        return pd.Series(np.nan, index=frame.index)
    return pd.to_numeric(frame[column], errors="coerce").astype("float64") * factor


def _text(frame: pd.DataFrame, column: str) -> pd.Series:
    if column not in frame:
        return pd.Series("", index=frame.index, dtype=object)
    return frame[column].where(frame[column].notna(), "").astype(str).str.strip()


def _ridgecrest(frame: pd.DataFrame) -> pd.DataFrame:
    measured = _numbers(frame, "Measured_VS30")
    inferred = _numbers(frame, "Vs30_mps_CA_map").fillna(_numbers(frame, "Vs30_mps_slope"))
    finite = _numbers(frame, "RuptureDistanceVar").isna()  # of a point source they are means over ruptures
    out = {
        "record_id": _text(frame, "EarthquakeId") + "/" + _text(frame, "StationID"),
        "event_id": _text(frame, "EarthquakeId"),
        "network": _text(frame, "Network"),
        "station": _text(frame, "StationCode"),
        "event_time": _text(frame, "EarthquakeTime"),
        "event_latitude": _numbers(frame, "EarthquakeLatitude"),
        "event_longitude": _numbers(frame, "EarthquakeLongitude"),
        "event_depth_km": _numbers(frame, "EarthquakeDepth"),
        "magnitude": _numbers(frame, "EarthquakeMagnitude"),
        "magnitude_type": _text(frame, "EarthquakeMagnitudeType"),
        "ztor_km": _numbers(frame, "ztor"),
        "source_model": np.where(finite, "finite", "point"),
        "latitude": _numbers(frame, "StationLatitude"),
        "longitude": _numbers(frame, "StationLongitude"),
        "elevation_m": _numbers(frame, "StationElevation"),
        "vs30_m_s": measured.fillna(inferred),
        "vs30_measured": measured.notna(),
        "repi_km": _numbers(frame, "EpicentralDistance"),
        "rhypo_km": _numbers(frame, "HypocentralDistance"),
        "rjb_km": _numbers(frame, "JoynerBooreDistance"),
        "rrup_km": _numbers(frame, "RuptureDistance"),
        "rx_km": _numbers(frame, "GC2_rx"),
        "component": "rotd50",
        "pga_cm_s2": _numbers(frame, "PGA", _PERCENT_G),
        "pgv_cm_s": _numbers(frame, "PGV"),
        **{
            column_of(f"sa({period:g})"): _numbers(frame, f"SA({period:.3f})", _PERCENT_G)
            for period in PERIODS_S
        },
        "corner_low_hz": _numbers(frame, "Highpass"),
        "corner_high_hz": _numbers(frame, "Lowpass"),
        "longest_period_s": USABLE_SHARE / _numbers(frame, "Highpass"),
    }
    return pd.DataFrame(out)


def _esm(frame: pd.DataFrame) -> pd.DataFrame:
    magnitude, magnitude_type = _first(
        frame,
        (
            ("source_magnitude_mw", "Mw"),
            ("source_magnitude_emec_mw", "Mw"),
            ("source_magnitude_ml", "ML"),
            ("source_magnitude_ms", "Ms"),
            ("source_magnitude_mb", "mb"),
            ("source_magnitude_md", "Md"),
            ("source_magnitude_m", "M"),
        ),
    )
    rotated = _numbers(frame, "trace_rotd50_pga_cps2").notna()
    measured = _numbers(frame, "station_vs30_mps")
    location = _numbers(frame, "station_location_code")
    corner = pd.concat([_numbers(frame, f"trace_{axis}_hp") for axis in "uv"], axis=1).max(axis=1)
    top = pd.concat([_numbers(frame, f"trace_{axis}_lp") for axis in "uv"], axis=1).min(axis=1)

    def measure(stem: str, rotd50: str = "") -> pd.Series:
        both = np.sqrt((_numbers(frame, f"trace_u_{stem}") * _numbers(frame, f"trace_v_{stem}")).abs())
        return _numbers(frame, rotd50 or f"trace_rotd50_{stem}").where(rotated, both)

    spectra = {
        column_of(f"sa({period:g})"): measure(f"t{period:.3f}_cps2".replace(".", "_")) for period in PERIODS_S
    }
    out = {
        "record_id": _text(frame, "trace_name_old"),
        "event_id": _text(frame, "source_esm_id"),
        "network": _text(frame, "station_network_code"),
        "station": _text(frame, "station_code"),
        "location": location.map(lambda code: "" if np.isnan(code) else f"{int(code):02d}"),
        "event_time": _text(frame, "source_esm_origin_time"),
        "event_latitude": _numbers(frame, "source_latitude_deg"),
        "event_longitude": _numbers(frame, "source_longitude_deg"),
        "event_depth_km": _numbers(frame, "source_depth_km"),
        "magnitude": magnitude,
        "magnitude_type": magnitude_type,
        "strike_deg": _numbers(frame, "source_segment_strike_deg"),
        "dip_deg": _numbers(frame, "source_segment_dip_deg"),
        "rake_deg": _numbers(frame, "source_segment_rake_deg"),
        "ztor_km": _numbers(frame, "source_z_top_km"),
        "source_model": np.where(_numbers(frame, "path_rup_dist_km").notna(), "finite", "point"),
        "latitude": _numbers(frame, "station_latitude_deg"),
        "longitude": _numbers(frame, "station_longitude_deg"),
        "elevation_m": _numbers(frame, "station_elevation_m"),
        "sensor_depth_m": _numbers(frame, "station_sensor_depth_m"),
        "vs30_m_s": measured.fillna(_numbers(frame, "station_vs30_mps_wa")),
        "vs30_measured": measured.notna(),
        "repi_km": _numbers(frame, "path_epi_dist_km"),
        "rhypo_km": _numbers(frame, "path_hyp_dist_km"),
        "rjb_km": _numbers(frame, "path_jb_dist_km"),
        "rrup_km": _numbers(frame, "path_rup_dist_km"),
        "rx_km": _numbers(frame, "path_rx_dist_km"),
        "azimuth_deg": _numbers(frame, "path_epi_az_km") % 360.0,
        "component": np.where(rotated, "rotd50", "geometric_mean"),
        "pga_cm_s2": measure("pga_cps2"),
        "pgv_cm_s": measure("pgv_cps"),
        "pgd_cm": measure("pgd_c"),
        "arias_cm_s": measure("ai_cps", "rtrace_otd50_ai_cps"),  # misspelt in the flatfile itself
        "cav_cm_s": measure("cav_cps"),
        "si_cm": measure("housner_c"),
        "d5_95_s": measure("t90_s"),
        **spectra,
        "corner_low_hz": corner,
        "corner_high_hz": top,
        "longest_period_s": USABLE_SHARE / corner,
    }
    return pd.DataFrame(out)


def _nga(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.replace([_NGA_MISSING, str(int(_NGA_MISSING))], np.nan)
    number = _text(frame, "Record Sequence Number").str.removesuffix(".0")
    clock = [_text(frame, c).str.removesuffix(".0").str.zfill(4) for c in ("MODY", "HRMN")]
    year = _text(frame, "YEAR").str.removesuffix(".0")
    time = (
        year
        + "-"
        + clock[0].str[:2]
        + "-"
        + clock[0].str[2:]
        + "T"
        + clock[1].str[:2]
        + ":"
        + clock[1].str[2:]
    )
    known = (year != "") & (_text(frame, "MODY") != "") & (_text(frame, "HRMN") != "")
    time = pd.to_datetime(time.where(known), errors="coerce", format="%Y-%m-%dT%H:%M")
    sensor = "Measured/Inferred Class"
    return pd.DataFrame(
        {
            "record_id": "RSN" + number,
            "event_id": "NGA" + _text(frame, "EQID").str.removesuffix(".0"),
            "station": _text(frame, "Station Sequence Number").str.removesuffix(".0"),
            "event_time": time,
            "event_latitude": _numbers(frame, "Hypocenter Latitude (deg)"),
            "event_longitude": _numbers(frame, "Hypocenter Longitude (deg)"),
            "event_depth_km": _numbers(frame, "Hypocenter Depth (km)"),
            "magnitude": _numbers(frame, "Earthquake Magnitude"),
            "magnitude_type": _text(frame, "Magnitude Type"),
            "strike_deg": _numbers(frame, "Strike (deg)") % 360.0,
            "dip_deg": _numbers(frame, "Dip (deg)"),
            "rake_deg": (_numbers(frame, "Rake Angle (deg)") + 180.0) % 360.0 - 180.0,
            "ztor_km": _numbers(frame, "Depth to Top Of Fault Rupture Model"),
            "source_model": np.where(
                _numbers(frame, "Finite Rupture Model: 1=Yes; 0=No") == 1, "finite", "point"
            ),
            "latitude": _numbers(frame, "Station Latitude"),
            "longitude": _numbers(frame, "Station Longitude"),
            "vs30_m_s": _numbers(frame, "Vs30 (m/s) selected for analysis"),
            "vs30_measured": _numbers(frame, sensor) == 0,
            "z1pt0_m": _numbers(frame, "Northern CA/Southern CA - H11 Z1 (m)"),
            "z2pt5_km": _numbers(frame, "Northern CA/Southern CA - H11 Z2.5 (m)", 1e-3),
            "repi_km": _numbers(frame, "EpiD (km)"),
            "rhypo_km": _numbers(frame, "HypD (km)"),
            "rjb_km": _numbers(frame, "Joyner-Boore Dist. (km)"),
            "rrup_km": _numbers(frame, "ClstD (km)"),
            "rx_km": _numbers(frame, "Rx"),
            "component": "rotd50",
            "pga_cm_s2": _numbers(frame, "PGA (g)", GRAVITY_CM_S2),
            "pgv_cm_s": _numbers(frame, "PGV (cm/sec)"),
            "pgd_cm": _numbers(frame, "PGD (cm)"),
            **{
                column_of(f"sa({period:g})"): _numbers(frame, f"T{period:.3f}S", GRAVITY_CM_S2)
                for period in PERIODS_S
            },
            "longest_period_s": 1.0 / _numbers(frame, "Lowest Usable Freq - Ave. Component (Hz)"),
        }
    )


def _station_pga(frame: pd.DataFrame) -> pd.DataFrame:
    event = _text(frame, "event")
    number = event.groupby(event).cumcount() + 1
    out = {
        "record_id": event + "/" + number.map("{:04d}".format),
        "event_id": event,
        "event_depth_km": _numbers(frame, "depth_km"),
        "magnitude": _numbers(frame, "magnitude_mw"),
        "magnitude_type": "Mw",
        "source_model": "finite",
        "latitude": _numbers(frame, "latitude"),
        "longitude": _numbers(frame, "longitude"),
        "vs30_m_s": _numbers(frame, "vs30_m_s"),
        "z2pt5_km": _numbers(frame, "z2pt5_km"),
        "rjb_km": _numbers(frame, "rjb_km"),
        "rrup_km": _numbers(frame, "rrup_km"),
        "component": "unknown",
        "pga_cm_s2": np.exp(_numbers(frame, "ln_pga_g")) * GRAVITY_CM_S2,
    }
    if "gmm_mean_ln" in frame:  # a prediction that came with the list; in the unit of the column beside it
        out["gmm_mean_ln_pga_cm_s2"] = _numbers(frame, "gmm_mean_ln") + np.log(GRAVITY_CM_S2)
        out |= {f"gmm_{part}_ln": _numbers(frame, f"gmm_{part}_ln") for part in ("sigma", "tau", "phi")}
    return pd.DataFrame(out)


def _first(frame: pd.DataFrame, columns: tuple[tuple[str, str], ...]) -> tuple[pd.Series, pd.Series]:
    """The first of several columns that states a value, row by row, and the type it is of."""
    value = pd.Series(np.nan, index=frame.index)
    kind = pd.Series("", index=frame.index, dtype=object)
    for column, name in columns:
        found = _numbers(frame, column)
        taken = value.isna() & found.notna()
        value, kind = value.where(~taken, found), kind.where(~taken, name)
    return value, kind


_SHAKEMAP_MEASURES = {"pga": "pga", "pgv": "pgv", "psa03": "sa(0.3)", "psa10": "sa(1)", "psa30": "sa(3)"}


def _shakemap_rows(content: Any) -> pd.DataFrame:
    """One row per station of ShakeMap's GeoJSON: the larger unflagged horizontal, as ShakeMap takes it."""
    if not isinstance(content, dict) or not isinstance(content.get("features"), list):
        raise ValueError("a JSON object without a list of features")
    rows = []
    event = (
        str(content.get("metadata", {}).get("eventid", ""))
        if isinstance(content.get("metadata"), dict)
        else ""
    )
    for feature in content["features"]:
        p, place = feature.get("properties", {}), feature.get("geometry", {}).get("coordinates", ())
        if p.get("station_type", "seismic") != "seismic" or len(place) < 2:
            continue
        row = {
            "shakemap_event": event,
            "shakemap_code": str(p.get("code", "")).split(".")[-1],
            "network": str(p.get("network", "")),
            "longitude": place[0],
            "latitude": place[1],
            "vs30": p.get("vs30"),
            **{k: (p.get("distances") or {}).get(k) for k in ("repi", "rhypo", "rjb", "rrup", "rx")},
        }
        for channel in p.get("channels") or ():
            if str(channel.get("name", "")).upper().endswith(("Z", "UD", "UP")):
                continue
            for amplitude in channel.get("amplitudes") or ():
                name = _SHAKEMAP_MEASURES.get(_shakemap_name(str(amplitude.get("name", ""))))
                if name is None or str(amplitude.get("flag", "0")) not in ("0", "", "None"):
                    continue
                try:
                    value = float(amplitude.get("value"))
                except (TypeError, ValueError):
                    continue  # ShakeMap writes "null" for an amplitude that it has not
                if value > 0:
                    row[name] = max(value, row.get(name, 0.0))
        rows.append(row)
    return pd.DataFrame(rows, columns=list(dict.fromkeys(["shakemap_code", *(k for r in rows for k in r)])))


def _shakemap_name(name: str) -> str:
    """Both of ShakeMap's ways to name a spectral acceleration: ``psa03`` and ``sa(0.3)``."""
    name = name.lower()
    if name.startswith("sa("):
        return "psa" + name[3:-1].replace(".", "")
    return name


def _shakemap(frame: pd.DataFrame) -> pd.DataFrame:
    code = _text(frame, "network") + "." + _text(frame, "shakemap_code")
    event = _text(frame, "shakemap_event")
    out = {
        "record_id": event + "/" + code,
        "event_id": event,
        "network": _text(frame, "network"),
        "station": _text(frame, "shakemap_code"),
        "latitude": _numbers(frame, "latitude"),
        "longitude": _numbers(frame, "longitude"),
        "vs30_m_s": _numbers(frame, "vs30"),
        **{f"{name}_km": _numbers(frame, name) for name in ("repi", "rhypo", "rjb", "rrup", "rx")},
        "component": "larger",
    }
    for measure in _SHAKEMAP_MEASURES.values():
        out[column_of(measure)] = _numbers(frame, measure, 1.0 if measure == "pgv" else _PERCENT_G)
    return pd.DataFrame(out)


@dataclass(frozen=True)
class _Kind:
    columns: frozenset[str]
    """What no other table has."""
    convert: Callable[[pd.DataFrame], pd.DataFrame]


_KINDS: dict[Kind, _Kind] = {
    "ridgecrest": _Kind(frozenset({"EarthquakeId", "StationID", "RuptureDistance", "PGA"}), _ridgecrest),
    "esm": _Kind(frozenset({"source_esm_id", "trace_name_old", "station_code"}), _esm),
    "nga": _Kind(frozenset({"Record Sequence Number", "EQID", "PGA (g)"}), _nga),
    "shakemap": _Kind(frozenset({"shakemap_code", "latitude", "longitude"}), _shakemap),
    "station_pga": _Kind(frozenset({"event", "latitude", "longitude", "ln_pga_g"}), _station_pga),
}
