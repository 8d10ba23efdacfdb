"""Convert Natural Earth coastlines and borders (TopoJSON of the npm package ``world-atlas``) for packaging.

Developers run this once; users never do::

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python scripts/make_coastlines.py package src/kaname/report/data/coastlines.npz

Nothing is simplified: the points are those of the source, which quantised the globe to a grid of 100,000 by
100,000. Lines are stored as 8-bit steps on that grid, which compress well.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID = 99_999
"""Grid steps of longitude in 360 degrees."""
LONGEST = 127
"""Longest step along either axis, so that a step fits 8 bits."""


def arc(topology: dict[str, Any], index: int) -> NDArray[np.int64]:
    """Return the grid points of an arc, shape ``(n, 2)``; a negative index means reversed (TopoJSON)."""
    points = np.cumsum(np.asarray(topology["arcs"][index if index >= 0 else ~index]), axis=0)
    return points if index >= 0 else points[::-1]


def rings(topology: dict[str, Any]) -> list[NDArray[np.int64]]:
    """Return the closed rings of the land polygons; lakes (holes) turn the other way."""
    (land,) = topology["objects"]["land"]["geometries"]
    lines = [
        np.concatenate([arc(topology, i)[: None if k == len(ring) - 1 else -1] for k, i in enumerate(ring)])
        for polygon in land["arcs"]
        for ring in polygon
    ]
    scale, origin = (np.array(topology["transform"][name]) for name in ("scale", "translate"))
    # "Null Island" at 0 N 0 E is a joke of the source: no land is there.
    return [line for line in lines if np.abs(line * scale + origin).max() > 0.01]


def borders(topology: dict[str, Any]) -> list[NDArray[np.int64]]:
    """Return the lines that two countries share."""
    used: Counter[int] = Counter()
    for country in topology["objects"]["countries"]["geometries"]:
        polygons = country["arcs"] if country["type"] == "MultiPolygon" else [country["arcs"]]
        own = {i if i >= 0 else ~i for polygon in polygons for ring in polygon for i in ring}
        used.update(own)
    return [arc(topology, i) for i, n in sorted(used.items()) if n > 1]


def pack(name: str, lines: list[NDArray[np.int64]]) -> dict[str, NDArray[Any]]:
    """Return the arrays that describe ``lines``: first points, numbers of steps, and the steps themselves."""
    steps = [short_steps(np.diff(line, axis=0)) for line in lines]
    flat = np.concatenate(steps)
    return {
        f"{name}_first": np.array([line[0] for line in lines], dtype=np.int32),
        f"{name}_steps": np.array([len(s) for s in steps], dtype=np.int32),
        f"{name}_x": flat[:, 0].astype(np.int8),
        f"{name}_y": flat[:, 1].astype(np.int8),
    }


def short_steps(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut steps that do not fit 8 bits into several that do, on the grid points nearest to the line."""
    steps = steps.copy()
    # A line that crosses the date line goes on; a step across it is short, not once around the globe.
    steps[:, 0] = (steps[:, 0] + GRID // 2) % GRID - GRID // 2
    pieces = []
    for step in steps:
        n = -(-int(np.abs(step).max()) // LONGEST)
        pieces.append(np.diff(np.round(np.outer(np.arange(n + 1), step / max(n, 1))), axis=0))
    return np.concatenate(pieces).astype(np.int64)


def main() -> None:
    """Read the unpacked npm package and write the ``.npz``."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("package", type=Path, help="unpacked npm package world-atlas")
    parser.add_argument("output", type=Path, help="file to write (.npz)")
    arguments = parser.parse_args()
    land = json.loads((arguments.package / "land-10m.json").read_text())
    countries = json.loads((arguments.package / "countries-10m.json").read_text())
    arrays: dict[str, NDArray[Any]] = {}
    for name, topology, lines in (("land", land, rings(land)), ("border", countries, borders(countries))):
        arrays |= pack(name, lines)
        arrays[f"{name}_scale"] = np.array(topology["transform"]["scale"])
        arrays[f"{name}_origin"] = np.array(topology["transform"]["translate"])
    np.savez_compressed(arguments.output, **arrays)


if __name__ == "__main__":
    main()
