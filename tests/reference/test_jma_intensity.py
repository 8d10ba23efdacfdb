"""JMA's published instrumental intensities, from the K-NET records at the same sites."""

from __future__ import annotations

import csv

import pytest

from kaname.core.waveform import align
from kaname.formats.knet import read_knet
from kaname.signal.intensity import jma_intensity


def test_within_a_tenth_of_what_jma_published(shared_data) -> None:
    japan = shared_data / "japan"
    with (japan / "jma_intensity_20180124/jma_published_vs_knet.csv").open() as file:
        sites = list(csv.DictReader(file))
    assert sites
    for site in sites:
        paths = (japan / "knet_kiknet/knet/us2000cnnl").glob(f"{site['knet_station']}*")
        (block,) = align([read_knet(path).records[0].acceleration() for path in paths])
        found = jma_intensity(block)
        published = float(site["jma_published_instrumental_intensity"])
        assert found.reported == pytest.approx(published, abs=0.1 + 1e-9)
        assert found.value == pytest.approx(float(site["helper_computed_raw"]), abs=0.005)
