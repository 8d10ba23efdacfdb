"""Published models against the verification tables that come with the real cases, to the printed digits."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kaname.core.shaking import GRAVITY_CM_S2
from kaname.modeling.ground_motion import get_model

COLUMNS = {
    "rup_mag": "magnitude",
    "rup_rake": "rake_deg",
    "rup_hypo_depth": "event_depth_km",
    "dist_rrup": "rrup_km",
    "dist_rjb": "rjb_km",
    "site_vs30": "vs30_m_s",
    "site_z1pt0": "z1pt0_m",
}
ZHAO, BOORE = "zhao_2006", "boore_2014"
CRUST = {"tectonic_region": "active_shallow"}
INTERFACE = {"tectonic_region": "subduction_interface"}
SLAB = {"tectonic_region": "subduction_slab"}
CASES = [
    ("ZHAO06/Z06Asc_MEAN", ZHAO, CRUST),
    ("ZHAO06/Z06Asc_MEAN_Vs30_1200", ZHAO, CRUST),
    ("ZHAO06/Z06Asc_STD_INTER", ZHAO, CRUST),
    ("ZHAO06/Z06Asc_STD_INTRA", ZHAO, CRUST),
    ("ZHAO06/Z06Asc_STD_TOTAL", ZHAO, CRUST),
    ("ZHAO06/Z06SInter_MEAN", ZHAO, INTERFACE),
    ("ZHAO06/Z06SInter_MEAN_Vs30_1200", ZHAO, INTERFACE),
    ("ZHAO06/Z06SInter_STD_INTER", ZHAO, INTERFACE),
    ("ZHAO06/Z06SInter_STD_INTRA", ZHAO, INTERFACE),
    ("ZHAO06/Z06SInter_STD_TOTAL", ZHAO, INTERFACE),
    ("ZHAO06/Z06SInterNSHMP_MEAN", ZHAO, {**INTERFACE, "version": "nshmp_2008"}),
    ("ZHAO06/Z06SInterNSHMP_STD_TOTAL", ZHAO, {**INTERFACE, "version": "nshmp_2008"}),
    ("ZHAO06/Z06SSlab_MEAN", ZHAO, SLAB),
    ("ZHAO06/Z06SSlab_MEAN_Vs30_1200", ZHAO, SLAB),
    ("ZHAO06/Z06SSlab_STD_INTER", ZHAO, SLAB),
    ("ZHAO06/Z06SSlab_STD_INTRA", ZHAO, SLAB),
    ("ZHAO06/Z06SSlab_STD_TOTAL", ZHAO, SLAB),
    ("ZHAO06/ZHAO_SSLAB_NSHMP2014_MEAN", ZHAO, {**SLAB, "version": "nshmp_2014"}),
    ("ZHAO06/Z06_GSC_CASCADIA_SINTER_MEAN", ZHAO, {**INTERFACE, "version": "cascadia"}),
    ("ZHAO06/Z06_GSC_CASCADIA_SSLAB_MEAN", ZHAO, {**SLAB, "version": "cascadia"}),
    ("BSSA2014/BSSA_2014_CALIFORNIA_MEAN", BOORE, {"basin": "california"}),
    ("BSSA2014/BSSA_2014_CALIFORNIA_TOTAL_STD", BOORE, {"basin": "california"}),
    ("BSSA2014/BSSA_2014_JAPAN_MEAN", BOORE, {"basin": "japan"}),
    ("BSSA2014/BSSA_2014_JAPAN_TOTAL_STD", BOORE, {"basin": "japan"}),
]


# Zhao's own program, which made these tables, holds more digits than the paper prints (its sigma of PGA is
# 0.60390002, the paper's 0.604): there the printed digits are those of the coefficients.
OF_THE_PROGRAM = re.compile(r"Z06(Asc|SInter|SSlab)_|Z06SInterNSHMP")


@pytest.mark.parametrize(("file", "name", "options"), CASES, ids=[case[0] for case in CASES])
def test_equals_the_verification_table(
    shared_data: Path, file: str, name: str, options: dict[str, str]
) -> None:
    path = shared_data / f"strongmotion/gmpe_verification/openquake/{file}.csv.gz"
    raw = pd.read_csv(path, dtype=str, skipinitialspace=True)
    table = raw.rename(columns=COLUMNS)
    table = table[[column for column in COLUMNS.values() if column in table]].astype(float)
    kind = raw["result_type"].iloc[0]
    checked = 0
    for column in raw.columns:
        if column not in ("pga", "pgv") and not re.fullmatch(r"[\d.]+", column):
            continue
        measure = column if column.startswith("pg") else f"sa({float(column):g})"
        prediction = get_model(name, **options).predict(table, measure)
        value = {
            "MEAN": prediction.median / (1 if measure == "pgv" else GRAVITY_CM_S2),
            "TOTAL_STDDEV": prediction.sigma,
            "INTER_EVENT_STDDEV": prediction.tau,
            "INTRA_EVENT_STDDEV": prediction.phi,
        }[kind]
        expected = raw[column].astype(float).to_numpy()
        allowed = raw[column].map(_half_a_digit).to_numpy()
        if OF_THE_PROGRAM.search(file):
            allowed = allowed + (_rounding(table, measure, file) * expected if kind == "MEAN" else 0.0005)
        elif name == BOORE and kind == "MEAN":
            allowed = 7e-6 * expected  # six digits, rounded in cm/s2 and again in g
        elif name == BOORE:
            # Printed to four decimals; the two periods between rows were interpolated from printed values.
            allowed = np.full(len(raw), 1.1e-4 if column in ("0.210", "0.230") else 6.5e-5)
        worst = np.argmax(np.abs(value - expected) / allowed)
        assert abs(value[worst] - expected[worst]) <= allowed[worst] * 1.001, (measure, table.iloc[worst])
        checked += 1
    assert checked >= 8


def _half_a_digit(text: str) -> float:
    """Return half a unit of the last printed digit: 5e-6 for 0.05254, 5e-9 for 4.76299e-03."""
    mantissa, _, exponent = text.strip().lower().partition("e")
    if exponent:
        mantissa = mantissa.rstrip("0")
    return float(0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])))


def _rounding(table: pd.DataFrame, measure: str, file: str) -> np.ndarray:
    """By how much, relative, a median may be off when every coefficient is rounded as the paper prints it."""
    path = files("kaname.modeling.ground_motion").joinpath("coefficients/zhao_2006.csv")
    c = pd.read_csv(str(path), index_col="measure").loc[measure]
    magnitude, distance = table["magnitude"], table["rrup_km"]
    size = np.exp(c["d"] * magnitude)
    bound = (
        0.0005 * magnitude
        + 0.000005 * distance
        + (0.00005 + 0.0005 * c["c"] * magnitude) * size / np.maximum(distance + c["c"] * size, 1e-9)
        + 0.000005 * np.clip(table["event_depth_km"] - 15, 0, 110)
        + 0.0005  # site class
        + 0.0005  # reverse faulting, interface, or slab
        + 0.00005 * ((magnitude - 6.3) ** 2 + 1)
        + np.log(981 / GRAVITY_CM_S2)  # the value of g that a program takes
    )
    if "SSlab" in file:
        bound += 0.0005 * np.log(distance) + 0.00005 * (abs(magnitude - 6.5) + 1)
    return np.asarray(bound)
