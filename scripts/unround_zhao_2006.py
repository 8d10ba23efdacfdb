"""Find the digits of Zhao et al. (2006) that their program holds and their paper rounds off.

``python scripts/unround_zhao_2006.py TABLES > zhao_2006_program.csv``, where TABLES is a folder with the
verification tables that the author's program made (``Z06Asc_MEAN.csv.gz`` and others, of OpenQuake's tests).
The medians of half of the rows determine the coefficients (those whose number, from 0, has an even count of
ones in binary); the other half is left for the test. What the tables cannot tell apart keeps its printed
value: ``wc``, ``wi`` and ``ws`` go with the constants. Written are as many decimals as come out alike.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

TABLES = {"active_shallow": "Asc", "subduction_interface": "SInter", "subduction_slab": "SSlab"}
DECIMALS = {
    "a": 3, "b": 5, "c": 4, "d": 5, "e": 5, "fr": 4, "c1": 4, "c2": 4, "c3": 4, "c4": 4, "qc": 4, "si": 4,
    "qi": 4, "ss": 6, "ssl": 4, "ps": 4, "qs": 4,
}  # fmt: skip
GRAVITY_CM_S2 = 981.0
"""What the program divides by: with it the site terms come out with four decimals."""


def half(n: int) -> np.ndarray:
    """Return which of n rows determine the coefficients."""
    return np.array([k.bit_count() % 2 == 0 for k in range(n)])


def main(folder: Path) -> None:
    """Print the table."""
    printed = pd.read_csv(
        str(files("kaname.modeling.ground_motion").joinpath("coefficients/zhao_2006.csv")),
        index_col="measure",
    )
    means = {region: _read(folder / f"Z06{name}_MEAN.csv.gz") for region, name in TABLES.items()}
    spread = _read(folder / "Z06Asc_STD_INTRA.csv.gz")
    rows = []
    for measure, row in printed.iterrows():
        found = dict(row) | _fitted(row, {region: (t, t[measure]) for region, t in means.items()})
        found["sigma"] = round(float(spread[measure].iloc[0]), 4)
        rows.append({"measure": measure} | found)
    sys.stdout.write(pd.DataFrame(rows)[["measure", *printed.columns]].to_csv(index=False))


def _read(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, skipinitialspace=True)
    periods = {c: f"sa({float(c):g})" for c in table.columns if c[0].isdigit()}
    return table[half(len(table))].rename(columns=periods)


def _fitted(row: pd.Series, tables: dict[str, tuple[pd.DataFrame, pd.Series]]) -> dict[str, float]:
    """Return the coefficients of one measure that explain its medians [g] in all regions."""
    names = list(DECIMALS)
    start = row[names].to_numpy(float)

    def misfit(change: np.ndarray) -> np.ndarray:
        c = dict(row) | dict(zip(names, start + change))
        return np.concatenate(
            [_mean(t, c, region) - np.log(v * GRAVITY_CM_S2) for region, (t, v) in tables.items()]
        )

    found = start + least_squares(misfit, np.zeros(len(names)), x_scale="jac", xtol=1e-15, ftol=1e-15).x
    return {name: round(float(v), DECIMALS[name]) + 0.0 for name, v in zip(names, found)}


def _mean(table: pd.DataFrame, c: dict[str, float], region: str) -> np.ndarray:
    magnitude, distance = table["rup_mag"].to_numpy(), table["dist_rrup"].to_numpy()
    depth = np.maximum(np.minimum(table["rup_hypo_depth"].to_numpy(), 125.0) - 15.0, 0.0)
    site = np.array([c["c4"], c["c3"], c["c2"], c["c1"]])
    mean = (
        c["a"] * magnitude + c["b"] * distance - np.log(distance + c["c"] * np.exp(c["d"] * magnitude))
        + c["e"] * depth + site[np.searchsorted([200.0, 300.0, 600.0], table["site_vs30"].to_numpy())]
    )  # fmt: skip
    if region == "active_shallow":
        reverse = (table["rup_rake"] == 90).to_numpy()
        return np.asarray(mean + c["fr"] * reverse + c["qc"] * (magnitude - 6.3) ** 2 + c["wc"])
    if region == "subduction_interface":
        return np.asarray(mean + c["si"] + c["qi"] * (magnitude - 6.3) ** 2 + c["wi"])
    over = magnitude - 6.5
    slab = c["ss"] + c["ssl"] * np.log(distance) + c["ps"] * over + c["qs"] * over**2 + c["ws"]
    return np.asarray(mean + slab)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
