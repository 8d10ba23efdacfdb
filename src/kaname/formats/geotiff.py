"""GeoTIFF: grids on latitude and longitude as bands of single precision, for any GIS.

TIFF 6.0 (Adobe 1992) and GeoTIFF 1.1 (OGC 19-008r4): one strip per row of each band, packed with deflate,
WGS84 (EPSG:4326), pixels are areas about their points. Names of bands and what stands for *no value* are in
GDAL's tags. Writing alone; GIS read what is written.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import ArrayLike

from kaname.core.errors import InputError
from kaname.core.files import replacing

_SHORT, _LONG, _DOUBLE, _ASCII = 3, 4, 12, 2
_CODES = {_SHORT: "H", _LONG: "I", _DOUBLE: "d"}
_LARGEST_BYTES = 4_000_000_000


def write_geotiff(
    path: str | Path, bands: Mapping[str, ArrayLike], latitude: ArrayLike, longitude: ArrayLike
) -> Path:
    """Write bands of one regular grid in one atomic rename.

    Parameters
    ----------
    path
        File to write.
    bands
        Values by name, each of shape (n_latitude, n_longitude); NaN where there is none.
    latitude, longitude
        Of the rows and the columns [degrees], evenly spaced, increasing or decreasing; two or more of each.

    Raises
    ------
    InputError
        When the grid is not regular, a band has another shape, there is none, or it is too large for TIFF.
    StorageError
        When the disk refuses.
    """
    lat, step_lat = _axis("latitude", latitude)
    lon, step_lon = _axis("longitude", longitude)
    if not bands:
        raise InputError("a GeoTIFF needs a band or more")
    # Row 0 is the northernmost, column 0 the westernmost.
    rows = slice(None, None, -1 if step_lat > 0 else 1)
    columns = slice(None, None, -1 if step_lon < 0 else 1)
    strips: list[bytes] = []
    for name, values in bands.items():
        band = np.asarray(values, "<f4")
        if band.shape != (len(lat), len(lon)):
            raise InputError(f"band {name!r} has shape {band.shape}, expected ({len(lat)}, {len(lon)})")
        strips += [zlib.compress(row.tobytes()) for row in np.ascontiguousarray(band[rows, columns])]
    west, north = lon.min() - abs(step_lon) / 2, lat.max() + abs(step_lat) / 2
    n_band = len(bands)
    metadata = "".join(
        f'<Item name="DESCRIPTION" sample="{i}" role="description">{escape(name)}</Item>'
        for i, name in enumerate(bands)
    )
    tags: list[tuple[int, int, tuple[float, ...] | bytes]] = [
        (256, _LONG, (len(lon),)),
        (257, _LONG, (len(lat),)),
        (258, _SHORT, (32,) * n_band),
        (259, _SHORT, (8,)),  # deflate
        (262, _SHORT, (1,)),  # the least value is black
        (273, _LONG, (0,) * len(strips)),
        (277, _SHORT, (n_band,)),
        (278, _LONG, (1,)),
        (279, _LONG, tuple(len(s) for s in strips)),
        (284, _SHORT, (2,)),  # band after band
        *([(338, _SHORT, (0,) * (n_band - 1))] if n_band > 1 else []),
        (339, _SHORT, (3,) * n_band),  # floating point
        (33550, _DOUBLE, (abs(step_lon), abs(step_lat), 0.0)),
        (33922, _DOUBLE, (0.0, 0.0, 0.0, west, north, 0.0)),
        # Geographic coordinates, pixels are areas, WGS84, degrees.
        (34735, _SHORT, (1, 1, 1, 4, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326, 2054, 0, 1, 9102)),
        (42112, _ASCII, f"<GDALMetadata>{metadata}</GDALMetadata>\0".encode()),
        (42113, _ASCII, b"nan\0"),
    ]
    size = 8 + 2 + 12 * len(tags) + 4
    packed: list[tuple[int, int, int, bytes]] = []
    for tag, kind, values in tags:
        raw = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{_CODES[kind]}", *values)
        packed.append((tag, kind, len(values), raw))
    after = size + sum(len(raw) + len(raw) % 2 for *_, raw in packed if len(raw) > 4)
    if after + sum(map(len, strips)) > _LARGEST_BYTES:
        raise InputError("a TIFF holds at most 4 GB; write fewer bands, or a coarser grid")
    offsets = after + np.concatenate([[0], np.cumsum([len(s) for s in strips])[:-1]])
    header, body, position = b"", b"", size
    for tag, kind, count, raw in packed:
        if tag == 273:
            raw = struct.pack(f"<{count}I", *offsets.astype(int))
        if len(raw) > 4:
            entry = struct.pack("<I", position)
            body += raw + b"\0" * (len(raw) % 2)
            position = size + len(body)
        else:
            entry = raw.ljust(4, b"\0")
        header += struct.pack("<HHI", tag, kind, count) + entry
    with replacing(Path(path)) as partial:
        partial.write_bytes(
            b"II*\0" + struct.pack("<IH", 8, len(tags)) + header + b"\0" * 4 + body + b"".join(strips)
        )
    return Path(path)


def _axis(name: str, values: ArrayLike) -> tuple[np.ndarray, float]:
    axis = np.asarray(values, float)
    if axis.ndim != 1 or len(axis) < 2 or not np.isfinite(axis).all():
        raise InputError(f"{name} of a grid has two or more values, found shape {axis.shape}")
    step = float(axis[-1] - axis[0]) / (len(axis) - 1)
    if step == 0 or np.abs(np.diff(axis) - step).max() > 1e-6 * max(abs(step), 1e-6) + 1e-9:
        raise InputError(f"{name} of a grid must be evenly spaced, increasing or decreasing")
    return axis, step
