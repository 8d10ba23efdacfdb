"""What is known of the ground at places and what is inferred: Vs30 from a map, basin depths from Vs30."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.geo import on_sphere
from kaname.earth.sites import basin_region, z1pt0_m_of, z2pt5_km_of

Floats = NDArray[np.float64]

_TIFF = (".tif", ".tiff")
_NAMES = {
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon"),
    "vs30_m_s": ("vs30_m_s", "vs30"),
}
_REACH = 1.5
"""A place of a table speaks for what lies no further than so many distances of neighbours."""
_DEPTHS = (("z1pt0", "z1pt0_m", z1pt0_m_of), ("z2pt5", "z2pt5_km", z2pt5_km_of))


@dataclass(frozen=True)
class Vs30Map:
    """Vs30 by place: that of the nearest pixel or place, as far as it reaches."""

    latitude: Floats
    """Of pixels or places that have a value [degrees], shape (n,)."""
    longitude: Floats
    vs30_m_s: Floats
    reach_km: float
    """Further from all of them there is no value [km]."""
    source: Path

    def at(self, latitude: ArrayLike, longitude: ArrayLike) -> Floats:
        """Return Vs30 [m/s] at places [degrees], shape (n,); NaN beyond the reach."""
        from scipy.spatial import cKDTree

        far, nearest = cKDTree(on_sphere(self.latitude, self.longitude).T).query(
            on_sphere(np.atleast_1d(latitude), np.atleast_1d(longitude)).T,
            distance_upper_bound=self.reach_km,
        )
        found = np.full(len(far), np.nan)
        found[np.isfinite(far)] = self.vs30_m_s[nearest[np.isfinite(far)]]
        return found


def read_vs30(path: str | Path) -> Vs30Map:
    """Read Vs30 by place from a raster or a table.

    Parameters
    ----------
    path
        GeoTIFF of one band in m/s; or CSV with columns ``latitude``, ``longitude`` (or ``lat``, ``lon``) and
        ``vs30_m_s`` (or ``vs30``), a grid or scattered places. A pixel speaks for its area, half a diagonal
        about its middle; a place of a table for what lies within 1.5 times the median distance
        of nearest neighbours.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When it is neither, lacks a column, or has no positive value.
    """
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}; expected Vs30 by place (GeoTIFF or CSV)")
    lat, lon, vs30, reach = _raster(source) if source.suffix.lower() in _TIFF else _table(source)
    if (vs30 <= 0).any():
        raise FormatError(f"{source} has Vs30 of {vs30.min():g} m/s; mark what is unknown as no value")
    return Vs30Map(lat, lon, vs30, reach, source)


def _raster(source: Path) -> tuple[Floats, Floats, Floats, float]:
    from kaname.formats.geotiff import read_geotiff

    values, longitude, latitude = read_geotiff(source)
    if min(values.shape) < 2:
        raise FormatError(f"{source} has {values.shape} pixels; expected two or more each way")
    known = np.isfinite(values)
    if not known.any():
        raise FormatError(f"{source} has no pixel with a value")
    # The longest diagonal: pixels of a geographic grid are widest where they are nearest to the equator.
    ends = on_sphere(latitude, longitude)
    diagonal = np.linalg.norm(ends[:, 1:, 1:] - ends[:, :-1, :-1], axis=0).max()
    return latitude[known], longitude[known], values[known], float(diagonal) / 2 * 1.001


def _table(source: Path) -> tuple[Floats, Floats, Floats, float]:
    from scipy.spatial import cKDTree

    try:
        frame = pd.read_csv(source, comment="#", skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise FormatError(f"{source} is no CSV that can be read: {error}") from error
    named = {str(c).strip().lower(): c for c in frame.columns}
    columns = {}
    for name, words in _NAMES.items():
        found = next((named[w] for w in words if w in named), None)
        if found is None:
            raise FormatError(f"{source} has no column {' or '.join(words)}; it has {', '.join(named)}")
        columns[name] = pd.to_numeric(frame[found], errors="coerce").to_numpy(float)
    known = np.isfinite(list(columns.values())).all(axis=0) & (np.abs(columns["latitude"]) <= 90)
    if known.sum() < 2:
        raise FormatError(f"{source} has {known.sum()} places with a value; expected two or more")
    lat, lon, vs30 = (columns[name][known] for name in _NAMES)
    places = np.unique(on_sphere(lat, lon).T, axis=0)
    if len(places) < 2:
        raise FormatError(f"all places of {source} are one")
    apart = cKDTree(places).query(places, k=2)[0][:, 1]
    return lat, lon, vs30, _REACH * float(np.median(apart))


def with_sites(
    table: pd.DataFrame, *, vs30_map: Vs30Map | None = None, vs30_m_s: float | None = None
) -> pd.DataFrame:
    """Return rows with the Vs30 and basin depths that they lack, and what was inferred marked as such.

    A missing ``vs30_m_s`` is that of the map, else the constant, and ``vs30_measured`` false. A missing
    ``z1pt0_m`` or ``z2pt5_km`` is the mean that goes with Vs30 (`kaname.earth.sites`) in Japan or elsewhere
    (California), and ``z1pt0_inferred`` or ``z2pt5_inferred`` true; depths inferred earlier are inferred
    anew. Nothing that a row states is changed.

    Parameters
    ----------
    table
        Rows of `kaname.core.shaking.GROUND_MOTIONS`, or places alone: ``latitude``, ``longitude`` [degrees]
        and what they state of ``vs30_m_s``, ``z1pt0_m``, ``z2pt5_km``.
    vs30_map, vs30_m_s
        Vs30 of the places that state none, the constant [m/s] where the map has none; neither: it stays
        missing.

    Raises
    ------
    InputError
        When the constant is not positive.
    """
    if vs30_m_s is not None and not vs30_m_s > 0:
        raise InputError(f"Vs30 must be positive, found {vs30_m_s} m/s")
    out = table.copy()
    nan = np.full(len(out), np.nan)
    stated = out["vs30_m_s"].to_numpy(float) if "vs30_m_s" in out else nan
    vs30 = stated.copy()
    place = out[["latitude", "longitude"]].to_numpy(float)
    missing = np.isnan(vs30) & np.isfinite(place).all(axis=1)
    if vs30_map is not None and missing.any():
        vs30[missing] = vs30_map.at(*place[missing].T)
    if vs30_m_s is not None:
        vs30[np.isnan(vs30)] = vs30_m_s
    out["vs30_m_s"] = vs30
    measured = out["vs30_measured"].to_numpy(bool) if "vs30_measured" in out else np.zeros(len(out), bool)
    out["vs30_measured"] = measured & np.isfinite(stated)
    region = basin_region(place[:, 0], place[:, 1])
    for name, column, relation in _DEPTHS:
        depth = out[column].to_numpy(float).copy() if column in out else nan.copy()
        flag = f"{name}_inferred"
        inferred = np.isnan(depth) | (out[flag].to_numpy(bool) if flag in out else False)
        inferred &= vs30 > 0
        for one in np.unique(region[inferred]):
            at = inferred & (region == one)
            depth[at] = relation(vs30[at], one)
        out[column], out[flag] = depth, inferred
    return out
