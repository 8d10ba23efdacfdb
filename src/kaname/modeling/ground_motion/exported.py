"""A model of ground motion that Kaname exported, as a class of OpenQuake.

This file is copied beside its table (the same name, ``.npz``) and loaded by the hazard engine: it needs
numpy and OpenQuake, not Kaname. To use it without Kaname's adapter, put both files into the folder
``openquake/hazardlib/gsim`` and name the class in the logic tree. The table holds the natural logarithm of
the median and both standard deviations at the nodes of a grid; between nodes they are interpolated linearly
(rake: nearest node), beyond its ends they are held.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from openquake.hazardlib import const
from openquake.hazardlib.gsim.base import GMPE
from openquake.hazardlib.imt import from_string

_TABLE = np.load(Path(__file__).with_suffix(".npz"))
_META = json.loads(str(_TABLE["meta"]))
_AXES = {name: _TABLE[f"axis_{name}"] for name in _META["axes"]}
_VALUES = {measure: _TABLE[f"values_{i}"] for i, measure in enumerate(_META["measures"])}
_PERIODS = {from_string(m).period: m for m in _VALUES if m.startswith("SA")}


def _weights(name: str, x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the two nodes on either side of each value along an axis, with their weights."""
    nodes = _AXES[name]
    if len(nodes) == 1:
        return [(np.zeros(len(x), int), np.ones(len(x)))]
    if name == "rake":
        return [(np.abs(x[:, None] - nodes).argmin(1), np.ones(len(x)))]
    if name in _META["logarithmic"]:
        nodes, x = np.log(nodes), np.log(np.maximum(x, nodes[0]))
    x = np.clip(x, nodes[0], nodes[-1])
    left = np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2)
    share = (x - nodes[left]) / (nodes[left + 1] - nodes[left])
    return [(left, 1 - share), (left + 1, share)]


def _interpolated(measure: str, ctx: np.recarray) -> np.ndarray:
    """Return mean, tau and phi ``(3, n)``."""
    corners: list[tuple[tuple[np.ndarray, ...], np.ndarray]] = [((), np.ones(len(ctx)))]
    for name in _AXES:
        nodes = _weights(name, np.asarray(ctx[name], float))
        corners = [((*index, i), weight * w) for index, weight in corners for i, w in nodes]
    values = _VALUES[measure]
    parts = [weight * values[(slice(None), *index)] for index, weight in corners]
    return np.asarray(np.sum(parts, axis=0))


def _compute(self: Any, ctx: np.recarray, imts: Any, mean: Any, sig: Any, tau: Any, phi: Any) -> None:
    """Fill the arrays for each measure."""
    for m, imt in enumerate(imts):
        # The engine may write SA(1) or SA(1.0).
        name = _PERIODS.get(imt.period, imt.string) if imt.string.startswith("SA") else imt.string
        if name in _VALUES:
            found = _interpolated(name, ctx)
        elif _PERIODS and name.startswith("SA") and min(_PERIODS) < imt.period < max(_PERIODS):
            low = max(p for p in _PERIODS if p < imt.period)
            high = min(p for p in _PERIODS if p > imt.period)
            share = np.log(imt.period / low) / np.log(high / low)
            found = (1 - share) * _interpolated(_PERIODS[low], ctx) + share * _interpolated(
                _PERIODS[high], ctx
            )
        else:
            raise KeyError(f"{_META['name']} was exported for {', '.join(_VALUES)}, not for {name}")
        mean[m], tau[m], phi[m] = found
        sig[m] = np.hypot(tau[m], phi[m])


def _among(*names: str) -> frozenset[str]:
    return frozenset(name for name in names if name in _AXES)


globals()[_META["name"]] = type(GMPE)(
    _META["name"],
    (GMPE,),
    {
        "__module__": __name__,
        "__doc__": _META["description"],
        "DEFINED_FOR_TECTONIC_REGION_TYPE": const.TRT(_META["tectonic_region"]),
        "DEFINED_FOR_INTENSITY_MEASURE_TYPES": frozenset(
            getattr(__import__("openquake.hazardlib.imt", fromlist=["imt"]), m.split("(")[0]) for m in _VALUES
        ),
        "DEFINED_FOR_INTENSITY_MEASURE_COMPONENT": const.IMC(_META["component"]),
        "DEFINED_FOR_STANDARD_DEVIATION_TYPES": frozenset(
            [const.StdDev.TOTAL, const.StdDev.INTER_EVENT, const.StdDev.INTRA_EVENT]
        ),
        "REQUIRES_SITES_PARAMETERS": _among("vs30", "z1pt0", "z2pt5", "lat", "lon"),
        "REQUIRES_RUPTURE_PARAMETERS": _among("mag", "rake", "dip", "hypo_depth", "ztor"),
        "REQUIRES_DISTANCES": _among("rrup", "rjb", "repi", "rhypo", "rx", "ry0", "azimuth"),
        "compute": _compute,
    },
)
