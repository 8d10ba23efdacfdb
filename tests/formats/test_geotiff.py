"""GeoTIFF as others read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaname.core.errors import InputError
from kaname.formats.geotiff import write_geotiff

LATITUDE = np.array([35.0, 35.1, 35.2])
LONGITUDE = np.array([139.0, 139.1, 139.2, 139.3])


def test_pillow_reads_values_place_and_tags(tmp_path: Path) -> None:
    from PIL import Image

    band = np.arange(12.0).reshape(3, 4)
    band[1, 2] = np.nan
    path = write_geotiff(tmp_path / "a.tif", {"median": band}, LATITUDE, LONGITUDE)
    image = Image.open(path)
    np.testing.assert_array_equal(np.asarray(image), band[::-1].astype("f4"))
    tags = image.tag_v2  # type: ignore[attr-defined]
    assert tags[33550] == pytest.approx((0.1, 0.1, 0.0))
    assert tags[33922] == pytest.approx((0, 0, 0, 138.95, 35.25, 0))
    assert tags[42113] == "nan" and "median" in tags[42112]
    assert 4326 in tags[34735]


def test_order_of_the_axes_does_not_matter(tmp_path: Path) -> None:
    bands = {"a": np.random.default_rng(0).normal(size=(3, 4)), "b & c": np.zeros((3, 4))}
    one = write_geotiff(tmp_path / "1.tif", bands, LATITUDE, LONGITUDE)
    turned = {k: v[::-1, ::-1] for k, v in bands.items()}
    other = write_geotiff(tmp_path / "2.tif", turned, LATITUDE[::-1], LONGITUDE[::-1])
    assert one.read_bytes() == other.read_bytes()
    assert b"b &amp; c" in one.read_bytes()


@pytest.mark.extra
def test_rasterio_reads_every_band(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    bands = {f"b{i}": np.random.default_rng(i).normal(size=(3, 4)) for i in range(5)}
    path = write_geotiff(tmp_path / "a.tif", bands, LATITUDE, LONGITUDE)
    with rasterio.open(path) as source:
        assert source.crs.to_epsg() == 4326
        assert source.descriptions == tuple(bands)
        assert np.isnan(source.nodata)
        np.testing.assert_array_equal(source.read(4), bands["b3"][::-1].astype("f4"))
        assert next(iter(source.sample([(139.2, 35.0)], indexes=2)))[0] == np.float32(bands["b1"][0, 2])


def test_bad_grids_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with pytest.raises(InputError, match="evenly"):
        write_geotiff(path, {"a": np.zeros((3, 4))}, [35.0, 35.1, 35.3], LONGITUDE)
    with pytest.raises(InputError, match="two or more"):
        write_geotiff(path, {"a": np.zeros((1, 4))}, [35.0], LONGITUDE)
    with pytest.raises(InputError, match="expected \\(3, 4\\)"):
        write_geotiff(path, {"a": np.zeros((4, 3))}, LATITUDE, LONGITUDE)
    with pytest.raises(InputError, match="band"):
        write_geotiff(path, {}, LATITUDE, LONGITUDE)
    assert not path.exists()
