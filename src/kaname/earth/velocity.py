"""One-dimensional velocity models: layers of constant speed, or nodes with straight lines between them."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import FormatError, InputError, NotFoundError

Phase = Literal["P", "S"]
Interpolation = Literal["constant", "linear"]
Earth = Literal["flat", "spherical"]

FASTEST_KM_S = 20.0
DEFAULT_MODEL = "iasp91"
"""The model used where none is named; a global average, so every output that used it says so."""


@dataclass(frozen=True, eq=False)
class VelocityModel:
    """Speeds of P and S waves as a function of depth below sea level.

    The uppermost speed holds above the first depth too, mountains included; the lowest one holds below the
    last depth.

    Parameters
    ----------
    name
        Name written into everything that was computed with the model.
    depth_km
        Depth of the nodes [km], float64 ``(n,)``. With ``constant`` they are the tops of layers and increase;
        with ``linear`` a depth that stands twice is a jump.
    vp_km_s, vs_km_s
        Speeds at the nodes [km/s], float64 ``(n,)``.
    interpolation
        ``constant``: each speed holds down to the next depth. ``linear``: straight lines between the nodes.
    earth
        ``flat``: depths and distances are those of a flat layered half-space, as local models mean them.
        ``spherical``: the model is one of the round Earth, and travel times allow for that.
    reference
        Where the model was published.

    Raises
    ------
    InputError
        When lengths differ, a value is not finite, depths do not increase, or not 0 < vs < vp.
    """

    name: str
    depth_km: NDArray[np.float64]
    vp_km_s: NDArray[np.float64]
    vs_km_s: NDArray[np.float64]
    interpolation: Interpolation = "constant"
    earth: Earth = "flat"
    reference: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name in ("depth_km", "vp_km_s", "vs_km_s"):
            values = np.array(getattr(self, name), dtype=np.float64)
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        self._check()

    def _check(self) -> None:
        where = f"velocity model {self.name!r}"
        if self.interpolation not in get_args(Interpolation):
            raise InputError(f"{where}: interpolation {self.interpolation!r}; expected constant or linear")
        if self.earth not in get_args(Earth):
            raise InputError(f"{where}: earth {self.earth!r}; expected flat or spherical")
        depth, vp, vs = self.depth_km, self.vp_km_s, self.vs_km_s
        if depth.ndim != 1 or not len(depth) or not depth.shape == vp.shape == vs.shape:
            raise InputError(
                f"{where}: expected as many depths as speeds, at least one; "
                f"found {depth.shape}, {vp.shape}, {vs.shape}"
            )
        if not (np.isfinite(depth).all() and np.isfinite(vp).all() and np.isfinite(vs).all()):
            raise InputError(f"{where}: a depth or speed is missing or not finite")
        step = np.diff(depth)
        if (step <= 0).any() if self.interpolation == "constant" else (step < 0).any():
            row = int(np.flatnonzero(step <= 0)[0]) + 1
            raise InputError(f"{where}: depths must increase; {depth[row]:g} follows {depth[row - 1]:g} km")
        if (np.diff(depth, n=2) == 0).any() and ((step[1:] == 0) & (step[:-1] == 0)).any():
            raise InputError(f"{where}: a depth stands more than twice")
        bad = ~((vs > 0) & (vp > vs) & (vp < FASTEST_KM_S))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"{where}, depth {depth[row]:g} km: vp {vp[row]:g} and vs {vs[row]:g} km/s; "
                f"expected 0 < vs < vp < {FASTEST_KM_S:g} (units are km and km/s)"
            )

    @property
    def key(self) -> str:
        """Hash of what the model says, whatever its name."""
        digest = hashlib.sha256(f"{self.interpolation} {self.earth}".encode())
        for values in (self.depth_km, self.vp_km_s, self.vs_km_s):
            digest.update(values.tobytes())
        return digest.hexdigest()[:16]

    def speed(self, depth_km: Any, *, phase: Phase) -> NDArray[np.float64]:
        """Return the speed [km/s] of ``phase`` at depths [km]; at a jump, that of the lower side."""
        values = self.vp_km_s if _check_phase(phase) == "P" else self.vs_km_s
        depth = np.asarray(depth_km, dtype=float)
        below = np.searchsorted(self.depth_km, depth, side="right")
        upper = np.clip(below - 1, 0, len(values) - 1)
        if self.interpolation == "constant":
            return np.asarray(values[upper])
        lower = np.clip(below, 0, len(values) - 1)
        width = np.where(lower > upper, self.depth_km[lower] - self.depth_km[upper], 1.0)
        share = np.clip((depth - self.depth_km[upper]) / width, 0.0, 1.0)
        return np.asarray(values[upper] + share * (values[lower] - values[upper]))

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        interpolation: Interpolation | None = None,
        vp_vs: float | None = None,
        name: str | None = None,
    ) -> VelocityModel:
        """Read a model from CSV, a SEISAN ``STATION0.HYP``, or the ``LAYER`` lines of a NonLinLoc file.

        Parameters
        ----------
        path
            CSV with columns ``depth_km``, ``vp_km_s`` and ``vs_km_s`` or ``vp_vs`` (``#`` starts a comment);
            a SEISAN station file (layers and the Vp/Vs ratio of its control line); or any NonLinLoc control
            file with ``LAYER`` lines.
        interpolation
            What lies between the depths of a CSV; by default ``linear`` where a depth stands twice, else
            ``constant``. SEISAN layers are constant, NonLinLoc states it per layer.
        vp_vs
            Vp/Vs ratio [1] that overrides S speeds in the file.
        name
            Name of the model; by default the file name without its ending.

        Raises
        ------
        NotFoundError
            When there is no such file.
        FormatError
            When it is none of the three, or a line of it cannot be read.
        InputError
            When the values make no model.
        """
        source = Path(path)
        if not source.is_file():
            raise NotFoundError(f"no such velocity model file: {source}")
        try:
            text = source.read_text(encoding="utf-8-sig", errors="strict")
        except UnicodeDecodeError:
            text = source.read_text(encoding="latin-1")
        lines = text.splitlines()
        if any(line.split()[:1] == ["LAYER"] for line in lines):
            parse: Callable[..., dict[str, Any]] = _parse_nonlinloc
        elif any(line.strip() and not line.lstrip().startswith("#") and "," in line for line in lines[:50]):
            parse = _parse_csv
        else:
            parse = _parse_seisan
        columns = parse(lines, source)
        kind = columns.pop("interpolation", None)
        if interpolation is not None and kind not in (None, interpolation):
            raise InputError(f"{source} states {kind} layers; interpolation={interpolation!r} contradicts it")
        depth = np.asarray(columns["depth_km"], float)
        if kind is None:
            kind = interpolation or ("linear" if (np.diff(depth) == 0).any() else "constant")
        vp = np.asarray(columns["vp_km_s"], float)
        if vp_vs is not None:
            columns["vs_km_s"] = vp / _check_ratio(vp_vs, source)
        if columns.get("vs_km_s") is None:
            raise FormatError(f"{source} gives no S speeds; add a column vs_km_s or vp_vs, or pass vp_vs")
        return cls(
            name=name or source.stem,
            depth_km=depth,
            vp_km_s=vp,
            vs_km_s=np.asarray(columns["vs_km_s"], float),
            interpolation=kind,
            reference=str(source.name),
        )


def _check_phase(phase: str) -> str:
    if phase not in get_args(Phase):
        raise InputError(f"unknown phase {phase!r}; expected P or S")
    return phase


def _check_ratio(vp_vs: float, source: Path) -> float:
    if not 1.0 < vp_vs < 10.0:
        raise InputError(f"{source}: Vp/Vs {vp_vs:g}; expected a ratio above 1, such as 1.73")
    return vp_vs


def _parse_csv(lines: list[str], source: Path) -> dict[str, Any]:
    text = "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    names = [n.strip() for n in reader.fieldnames or []]
    reader.fieldnames = names
    if not {"depth_km", "vp_km_s"} <= set(names):
        raise FormatError(
            f"{source}: found columns {', '.join(names)}; expected depth_km, vp_km_s and vs_km_s or vp_vs"
        )
    rows = list(reader)
    out: dict[str, Any] = {}
    for column in ("depth_km", "vp_km_s", "vs_km_s", "vp_vs"):
        if column in names:
            out[column] = [_number(row[column], source, i + 1, column) for i, row in enumerate(rows)]
    if "vp_vs" in out:
        ratio = [_check_ratio(r, source) for r in out.pop("vp_vs")]
        out.setdefault("vs_km_s", [v / r for v, r in zip(out["vp_km_s"], ratio)])
    return out


def _parse_nonlinloc(lines: list[str], source: Path) -> dict[str, Any]:
    layers = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words[:1] != ["LAYER"]:
            continue
        if len(words) < 6:
            raise FormatError(f"{source}, line {number}: expected LAYER depth vp gradient vs gradient ...")
        layers.append([_number(w, source, number, "LAYER") for w in words[1:6]])
    depth, vp, vp_slope, vs, vs_slope = np.array(layers).T
    if not vp_slope.any() and not vs_slope.any():
        return {"depth_km": depth, "vp_km_s": vp, "vs_km_s": vs, "interpolation": "constant"}
    if vp_slope[-1] or vs_slope[-1]:
        raise FormatError(
            f"{source}: the last LAYER has a gradient without an end; "
            "add a last LAYER with gradient 0 at the depth where it ends"
        )
    # A layer becomes its two ends; the last one goes on as it is.
    thickness = np.diff(depth)
    vp_nodes, vs_nodes = np.repeat(vp, 2)[:-1], np.repeat(vs, 2)[:-1]
    vp_nodes[1::2] += vp_slope[:-1] * thickness
    vs_nodes[1::2] += vs_slope[:-1] * thickness
    nodes = np.concatenate([depth[:1], np.repeat(depth[1:], 2)])
    return {"depth_km": nodes, "vp_km_s": vp_nodes, "vs_km_s": vs_nodes, "interpolation": "linear"}


def _parse_seisan(lines: list[str], source: Path) -> dict[str, Any]:
    blocks: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(lines, 1):
        if line.strip():
            blocks[-1].append((number, line))
        elif blocks[-1]:
            blocks.append([])
    blocks = [b for b in blocks if b]
    for layers, control in pairwise(blocks):  # noqa: B007
        if all(_is_seisan_layer(line) for _, line in layers):
            break
    else:
        raise FormatError(
            f"{source} is no velocity model: expected CSV with depth_km and vp_km_s, "
            "a SEISAN STATION0.HYP, or NonLinLoc LAYER lines"
        )
    number, line = control[0]
    # Columns 16 to 20: starting depth, near and far distance stand before it, five columns each.
    ratio = _check_ratio(_number(line[15:20], source, number, "Vp/Vs"), source)
    words = [line.split() for _, line in layers]
    vp = np.array([float(w[0]) for w in words])
    return {
        "depth_km": [float(w[1]) for w in words],
        "vp_km_s": vp,
        "vs_km_s": vp / ratio,
        "interpolation": "constant",
    }


def _is_seisan_layer(line: str) -> bool:
    words = line.split("!")[0].split()
    try:
        speed, _ = float(words[0]), float(words[1])
    except (IndexError, ValueError):
        return False
    # A Moho (N) or Conrad (B) mark may follow.
    return 0.1 < speed < FASTEST_KM_S and all(w in ("N", "B") for w in words[2:])


def _number(text: str | None, source: Path, line: int, what: str) -> float:
    try:
        return float(text or "")
    except ValueError as error:
        raise FormatError(f"{source}, line {line}: {what} {text!r} is not a number") from error


# Kennett & Engdahl (1991), doi:10.1111/j.1365-246X.1991.tb06724.x; Kennett, Engdahl & Buland (1995),
# doi:10.1111/j.1365-246X.1995.tb03540.x. Depth [km], vp, vs [km/s] down to 760 km.
_GLOBAL_DEPTH = [0, 20, 20, 35, 35, 77.5, 120, 165, 210, 210, 260, 310, 360, 410]
_GLOBAL_DEPTH += [410, 460, 510, 560, 610, 660, 660, 710, 760]
_GLOBAL_VP = [5.8, 5.8, 6.5, 6.5, 8.04, 8.045, 8.05, 8.175, 8.3, 8.3, 8.4825, 8.665, 8.8475, 9.03]
_GLOBAL_VP += [9.36, 9.528, 9.696, 9.864, 10.032, 10.2, 10.79, 10.9229, 11.0558]
_IASP91_VS = [3.36, 3.36, 3.75, 3.75, 4.47, 4.485, 4.5, 4.509, 4.518, 4.522, 4.609, 4.696, 4.783, 4.87]
_IASP91_VS += [5.07, 5.176, 5.282, 5.388, 5.494, 5.6, 5.95, 6.0797, 6.2095]
_AK135_VS = [3.46, 3.46, 3.85, 3.85, 4.48, 4.49, 4.5, 4.509, 4.518, 4.523, 4.609, 4.696, 4.783, 4.87]
_AK135_VS += [5.08, 5.186, 5.292, 5.398, 5.504, 5.61, 5.96, 6.0897, 6.2095]


def _named() -> dict[str, VelocityModel]:
    models = [
        VelocityModel(
            "iasp91",
            np.array(_GLOBAL_DEPTH),
            np.array(_GLOBAL_VP),
            np.array(_IASP91_VS),
            interpolation="linear",
            earth="spherical",
            reference="Kennett & Engdahl (1991), doi:10.1111/j.1365-246X.1991.tb06724.x",
        ),
        VelocityModel(
            "ak135",
            np.array(_GLOBAL_DEPTH),
            np.array(_GLOBAL_VP),
            np.array(_AK135_VS),
            interpolation="linear",
            earth="spherical",
            reference="Kennett, Engdahl & Buland (1995), doi:10.1111/j.1365-246X.1995.tb03540.x",
        ),
        VelocityModel(
            "scak",
            np.array([0.0, 4, 9, 14, 19, 24, 33, 49, 66]),
            np.array([5.3, 5.6, 6.2, 6.9, 7.4, 7.7, 7.9, 8.1, 8.3]),
            np.array([3.01, 3.18, 3.52, 3.92, 4.20, 4.37, 4.49, 4.60, 4.72]),
            reference="southern Alaska; Silwal & Tape (2016), doi:10.1002/2015JB012588",
        ),
    ]
    return {m.name: m for m in models}


def named_models() -> dict[str, VelocityModel]:
    """Return the published models that ship, by name."""
    return _named()


def named_model(name: str) -> VelocityModel:
    """Return a published model: ``iasp91``, ``ak135`` (global) or ``scak`` (southern Alaska).

    Raises
    ------
    NotFoundError
        When no model of that name ships.
    """
    known = _named()
    if name not in known:
        raise NotFoundError(f"no velocity model {name!r}; known are {', '.join(known)}, or give a file")
    return known[name]
