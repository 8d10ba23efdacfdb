"""GeoTIFF: grids on latitude and longitude as bands of single precision, for any GIS.

TIFF 6.0 (Adobe 1992) and GeoTIFF 1.1 (OGC 19-008r4): one strip per row of each band, packed with deflate,
WGS84 (EPSG:4326), pixels are areas about their points. Names of bands and what stands for *no value* are in
GDAL's tags. Read are single bands of any projection that PROJ knows.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.files import replacing

Floats = NDArray[np.float64]

_SHORT, _LONG, _DOUBLE, _ASCII = 3, 4, 12, 2
_CODES = {_SHORT: "H", _LONG: "I", _DOUBLE: "d"}
_LARGEST_BYTES = 4_000_000_000
# Tags of GeoTIFF (OGC 19-008r4) and of GDAL.
_SCALE, _TIE, _MATRIX, _KEYS, _NODATA = 33550, 33922, 34264, 34735, 42113
_MODEL_TYPE, _RASTER_TYPE, _GEOGRAPHIC, _PROJECTED = 1024, 1025, 2048, 3072
_BROKEN = (
    OSError,
    EOFError,
    ArithmeticError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    SyntaxError,
    struct.error,
)
"""What Pillow raises on damaged files, `PIL.UnidentifiedImageError` being an OSError."""
_USER_DEFINED, _WGS84 = 32767, 4326


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
        (_SCALE, _DOUBLE, (abs(step_lon), abs(step_lat), 0.0)),
        (_TIE, _DOUBLE, (0.0, 0.0, 0.0, west, north, 0.0)),
        # Geographic coordinates, pixels are areas, WGS84, degrees.
        (_KEYS, _SHORT, (1, 1, 1, 4, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326, 2054, 0, 1, 9102)),
        (42112, _ASCII, f"<GDALMetadata>{metadata}</GDALMetadata>\0".encode()),
        (_NODATA, _ASCII, b"nan\0"),
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


def read_geotiff(path: str | PathLike[str]) -> tuple[Floats, Floats, Floats]:
    """Read a GeoTIFF of one band: values, and WGS84 longitude and latitude of the middles of its pixels.

    Returns
    -------
    tuple of ndarray
        Values (NaN where there are none), longitude and latitude [degrees], each of shape (row, column).

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When it is no GeoTIFF, has several bands, is not aligned with its axes, or states no EPSG code.
    """
    from PIL import Image

    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}")
    try:
        with Image.open(source) as image:
            tags = dict(image.tag_v2)  # type: ignore[attr-defined]
            data = np.asarray(image, np.float64)
    except _BROKEN as error:
        raise FormatError(f"{source} cannot be read as a TIFF: {error}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FormatError(f"{source} is larger than an image may be: {error}") from error
    if data.ndim != 2:
        raise FormatError(f"{source} has {data.shape[2:]} bands; expected one")
    if _SCALE not in tags or _TIE not in tags:
        why = "turned against its axes (ModelTransformation)" if _MATRIX in tags else "without georeference"
        raise FormatError(f"{source} is {why}; expected ModelPixelScale and ModelTiepoint")
    try:
        nodata, grid, code = _georeference(tags)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise FormatError(f"{source} has a georeference that cannot be: {error}") from error
    data = np.where(data == nodata, np.nan, data)
    (sx, sy), (i, j, x0, y0) = grid
    x = x0 + (np.arange(data.shape[1]) - i) * sx
    y = y0 - (np.arange(data.shape[0]) - j) * sy
    longitude, latitude = np.meshgrid(x, y)
    if code != _WGS84:
        from pyproj import Transformer
        from pyproj.exceptions import ProjError

        try:
            change = Transformer.from_crs(f"EPSG:{code}", f"EPSG:{_WGS84}", always_xy=True)
        except ProjError as error:
            raise FormatError(f"{source} is in EPSG:{code}, which PROJ does not know: {error}") from error
        longitude, latitude = (np.asarray(a) for a in change.transform(longitude, latitude))
    if not (
        np.isfinite(longitude).all() and (np.abs(latitude) <= 90).all() and (np.abs(longitude) <= 360).all()
    ):
        raise FormatError(f"{source} lies beyond the bounds of EPSG:{code}")
    return data, longitude, latitude


def _georeference(tags: dict[int, Any]) -> tuple[float, tuple[Any, Any], int]:
    """Return no-data value (NaN: none), scale and tie point of the middle of pixel 0, 0, and EPSG code."""
    nodata = float(str(tags[_NODATA]).strip("\0 ")) if _NODATA in tags else math.nan
    keys = np.array(tags.get(_KEYS, ())).reshape(-1, 4)
    key = {int(k): int(v) for k, location, _, v in keys[1:] if location == 0}
    name = {1: _PROJECTED, 2: _GEOGRAPHIC}.get(key.get(_MODEL_TYPE, 0))
    if name is None:
        raise ValueError("it does not say whether it is geographic or projected (GTModelTypeGeoKey)")
    code = key.get(name, _WGS84 if name == _GEOGRAPHIC else _USER_DEFINED)
    if code == _USER_DEFINED:
        raise ValueError("it has no EPSG code; reproject it to EPSG:4326")
    half = 0.0 if key.get(_RASTER_TYPE) == 2 else 0.5
    (sx, sy), (i, j, _, x0, y0) = tags[_SCALE][:2], tags[_TIE][:5]
    numbers = [float(v) for v in (sx, sy, i, j, x0, y0)]
    if not np.isfinite(numbers).all():
        raise ValueError("scale or tie point is no number")
    sx, sy, i, j, x0, y0 = numbers
    return nodata, ((sx, sy), (i - half, j - half, x0, y0)), code
