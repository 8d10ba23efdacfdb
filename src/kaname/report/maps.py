"""The map of hypocentres with its two depth sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import NDArray

from kaname.report import style
from kaname.report.reference import Reference
from kaname.report.view import View, crossing, degree_label, nice

MAP_IN = 6.3
SECTION_IN = 2.25
GAP_IN = 0.14
LEFT_IN, RIGHT_IN, TOP_IN, BOTTOM_IN = 0.72, 0.75, 0.5, 1.0
UNKNOWN_SIZE_PT = 4.0
LEAST_DEPTH_RANGE_KM = 4.0
LABELLED_STATIONS = 40
"""With more stations than this their codes are left out of the map."""


@style.styled
def hypocentres(
    events: pd.DataFrame,
    stations: pd.DataFrame,
    *,
    references: Sequence[Reference] = (),
    view: View | None = None,
) -> Figure:
    """Draw epicentres with 68 % ellipses and stations on a map, and hypocentres in an E-W and a N-S section.

    Events without a location are not drawn; those without a magnitude get one small size, those without a
    depth are grey, and those of quality D are open symbols. Bars in the sections are one standard deviation
    either way.

    Parameters
    ----------
    events
        Table `kaname.core.tables.EVENTS`.
    stations
        Table `kaname.core.tables.STATIONS`.
    references
        Locations by others, drawn as stars.
    view
        Window of the map; by default `default_view`.
    """
    view = view or default_view(events, stations, references)
    located = events[events["latitude"].notna() & events["longitude"].notna()]
    # The largest first, so that small events stay visible on top of them.
    located = located.sort_values("magnitude", ascending=False, na_position="last", kind="stable")
    east, north = view.frame.to_local(located["latitude"], located["longitude"])
    shape = view.half_north_km / view.half_east_km
    map_w, map_h = (MAP_IN, MAP_IN * shape) if shape <= 1 else (MAP_IN / shape**0.5, MAP_IN * shape**0.5)
    width = LEFT_IN + map_w + GAP_IN + SECTION_IN + RIGHT_IN
    height = BOTTOM_IN + SECTION_IN + GAP_IN + map_h + TOP_IN
    figure = style.new_figure(width, height, constrained=False)

    def place(x: float, y: float, w: float, h: float, name: str) -> Axes:
        axes = figure.add_axes((x / width, y / height, w / width, h / height))
        axes.set_gid(name)
        return axes

    section_y, map_y = BOTTOM_IN, BOTTOM_IN + SECTION_IN + GAP_IN
    plan = place(LEFT_IN, map_y, map_w, map_h, "map")
    across = place(LEFT_IN, section_y, map_w, SECTION_IN, "section-ew")
    along = place(LEFT_IN + map_w + GAP_IN, map_y, SECTION_IN, map_h, "section-ns")
    corner = place(LEFT_IN + map_w + GAP_IN, section_y, SECTION_IN, SECTION_IN, "locator")

    depths = located["depth_km"].to_numpy(float)
    top, bottom = depth_range(depths, [r.depth_km for r in references])
    colours = ScalarMappable(Normalize(max(top, 0), bottom), style.depth_colours())
    look = _look(located, colours)

    draw_base(plan, view)
    _ellipses(plan, located, east, north, look)
    _stations(plan, view, stations)
    _points(plan, east, north, look, name="epicentres")
    _sections(across, along, view, located, (east, north), (top, bottom), look)
    _references(plan, across, along, view, references)
    locator(corner, view)
    bar = figure.add_axes(
        ((LEFT_IN + map_w + GAP_IN) / width, (section_y - 0.42) / height, SECTION_IN / width, 0.13 / height)
    )
    figure.colorbar(colours, cax=bar, orientation="horizontal", label="Depth (km)")
    _legend(figure, located, references, (LEFT_IN / width, 0.02 / height))
    return figure


def default_view(events: pd.DataFrame, stations: pd.DataFrame, references: Sequence[Reference] = ()) -> View:
    """Return the window that holds all stations, all references, and the events near them.

    Events farther from the network's middle than three times its size (at least 100 km) do not widen it: a
    single mislocated event must not shrink everything else to a point. `outside` counts them.
    """
    lat = np.concatenate([stations["latitude"], [r.latitude for r in references]]).astype(float)
    lon = np.concatenate([stations["longitude"], [r.longitude for r in references]]).astype(float)
    points = events[["latitude", "longitude"]].to_numpy(float)
    if np.isfinite(lat + lon).any():
        network = View.around(lat, lon)
        reach = max(3 * network.reach_km, 100.0)
        near = np.hypot(*network.frame.to_local(*points.T)) <= reach
        points = points[near]
    return View.around(np.concatenate([lat, points[:, 0]]), np.concatenate([lon, points[:, 1]]))


def outside(view: View, places: pd.DataFrame) -> int:
    """Return how many rows of ``places`` have a ``latitude`` and ``longitude`` that is not in the view."""
    known = places[places["latitude"].notna() & places["longitude"].notna()]
    return int((~view.contains(*view.frame.to_local(known["latitude"], known["longitude"]))).sum())


def depth_range(depths_km: NDArray[np.float64], references_km: Sequence[float] = ()) -> tuple[float, float]:
    """Return the top and bottom of a depth axis [km]: from the surface down, whole and not too thin."""
    known = np.concatenate([depths_km, np.asarray(references_km, float)])
    known = known[np.isfinite(known)]
    if not len(known):
        return 0.0, 10.0
    top = min(0.0, float(known.min()) - 0.3)
    return top, max(float(known.max()) * 1.12, top + LEAST_DEPTH_RANGE_KM)


def draw_base(axes: Axes, view: View) -> None:
    """Draw land, coasts, borders, graticule, scale bar and the ticks of latitude and longitude."""
    axes.set_facecolor(style.SEA)
    axes.grid(False)
    axes.set_xlim(-view.half_east_km, view.half_east_km)
    axes.set_ylim(-view.half_north_km, view.half_north_km)
    axes.set_aspect("equal")
    for side in axes.spines.values():
        side.set_visible(True)
    _land(axes, view)
    _graticule(axes, view)
    _scale_bar(axes, view)


def _land(axes: Axes, view: View) -> None:
    land = view.land()
    if land:
        path = Path.make_compound_path(*(Path(np.vstack([r, r[:1]]), closed=True) for r in land))
        # As an artist, not a patch: that would measure every bend of every coast for limits nobody asks for.
        axes.add_artist(PathPatch(path, facecolor=style.LAND, edgecolor="none", zorder=0.5, gid="land"))
    axes.add_collection(
        LineCollection(view.lines("land"), colors=style.COAST, linewidths=0.7, zorder=0.7, gid="coast"),
        autolim=False,
    )
    axes.add_collection(
        LineCollection(
            view.lines("border"),
            colors=style.COAST,
            linewidths=0.6,
            linestyles=(0, (4, 3)),
            zorder=0.7,
            gid="border",
        ),
        autolim=False,
    )


def _graticule(axes: Axes, view: View) -> None:
    graticule = view.graticule()
    lines = [*graticule.parallels.values(), *graticule.meridians.values()]
    axes.add_collection(
        LineCollection(lines, colors="#9aa5b1", linewidths=0.4, alpha=0.55, zorder=0.8, gid="graticule"),
        autolim=False,
    )
    north, east = view.half_north_km, view.half_east_km
    x = _apart(
        {v: crossing(line, 1, north, 0.93 * east) for v, line in graticule.meridians.items()}, east / 6
    )
    y = _apart(
        {v: crossing(line, 0, -east, 0.97 * north) for v, line in graticule.parallels.items()}, north / 7
    )
    axes.set_xticks(list(x.values()), [degree_label(v, "EW") for v in x])
    axes.set_yticks(list(y.values()), [degree_label(v, "NS") for v in y])
    axes.xaxis.tick_top()
    # Near a pole some lines leave the map elsewhere: those carry their label inside.
    rest = [
        (v, "EW", line) for v, line in graticule.meridians.items() if crossing(line, 1, north, east) is None
    ]
    rest += [
        (v, "NS", line) for v, line in graticule.parallels.items() if crossing(line, 0, -east, north) is None
    ]
    for value, letters, line in rest:
        inner = line[view.contains(line[:, 0] / 0.93, line[:, 1] / 0.96)]
        if len(inner):
            at = inner[np.hypot(*inner.T).argmax()] if letters == "EW" else inner[inner[:, 1].argmax()]
            axes.text(
                at[0], at[1], degree_label(value, letters), fontsize=7, color=style.MUTED,
                ha="center", va="center", zorder=0.9, clip_on=True,
            )  # fmt: skip


def _apart(ticks: dict[float, float | None], least: float) -> dict[float, float]:
    """Keep the ticks that exist and do not crowd the one kept before (meridians do, near a pole)."""
    kept: dict[float, float] = {}
    for value, at in sorted(((v, a) for v, a in ticks.items() if a is not None), key=lambda item: item[1]):
        if not kept or at - list(kept.values())[-1] >= least:
            kept[value] = at
    return kept


def _scale_bar(axes: Axes, view: View) -> None:
    length = nice(view.half_east_km * 0.5)
    x, y = -view.half_east_km * 0.95, -view.half_north_km * 0.93
    axes.plot([x, x + length], [y, y], color="white", lw=4.5, solid_capstyle="butt", zorder=5)
    axes.plot(
        [x, x + length], [y, y], color=style.INK, lw=2, solid_capstyle="butt", zorder=5.1, gid="scale-bar"
    )
    label = f"{length:g} km" if length >= 1 else f"{length * 1000:g} m"
    axes.annotate(
        label, (x + length / 2, y), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=8,
        zorder=5.1, bbox={"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 0.8},
    )  # fmt: skip


@dataclass(frozen=True)
class _Look:
    """Size [pt], face and edge (RGBA) of each event's symbol."""

    size_pt: NDArray[np.float64]
    face: NDArray[np.float64]
    edge: NDArray[np.float64]

    def of(self, chosen: NDArray[np.bool_]) -> _Look:
        return _Look(self.size_pt[chosen], self.face[chosen], self.edge[chosen])


def symbol_size(magnitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the diameter of a symbol [pt]: area grows threefold per magnitude; unknown ones get one size."""
    magnitude = np.asarray(magnitude, float)
    size = np.clip(5.0 * 3.0 ** ((magnitude - 1.0) / 2), 2.6, 30.0)
    return np.where(np.isfinite(magnitude), size, UNKNOWN_SIZE_PT)


def _look(events: pd.DataFrame, colours: ScalarMappable) -> _Look:
    depth = events["depth_km"].to_numpy(float)
    colour = colours.to_rgba(np.where(np.isfinite(depth), depth, 0.0)).reshape(-1, 4)
    colour[~np.isfinite(depth)] = (0.6, 0.6, 0.6, 1)
    face, edge = colour.copy(), np.tile([0.12, 0.14, 0.16, 1.0], (len(events), 1))
    poor = (events["quality"] == "D").to_numpy(bool)
    face[poor, 3], edge[poor] = 0.0, colour[poor]
    if len(events) > 300:
        face[~poor, 3] = 0.8
    return _Look(symbol_size(events["magnitude"].to_numpy(float)), face, edge)


def _points(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], look: _Look, *, name: str) -> None:
    width = 0.5 if len(x) <= 300 else 0.25
    axes.scatter(
        x, y, s=look.size_pt**2, c=look.face, edgecolors=list(look.edge), linewidths=width, zorder=4, gid=name
    )


def _ellipses(
    axes: Axes, events: pd.DataFrame, east: NDArray[np.float64], north: NDArray[np.float64], look: _Look
) -> None:
    axis = events[["ellipse_major_km", "ellipse_minor_km", "ellipse_azimuth_deg"]].to_numpy(float)
    known = np.isfinite(axis).all(axis=1)
    major, minor, azimuth = axis[known].T
    axes.add_collection(
        EllipseCollection(
            2 * major,
            2 * minor,
            90 - azimuth,  # azimuth runs clockwise from north, matplotlib's angle anticlockwise from east
            units="xy",
            offsets=np.column_stack([east[known], north[known]]),
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors=look.edge[known] * [1, 1, 1, 0.75 if len(events) <= 300 else 0.25],
            linewidths=0.7 if len(events) <= 300 else 0.4,
            zorder=3,
            gid="ellipses",
        )
    )


def _stations(axes: Axes, view: View, stations: pd.DataFrame) -> None:
    places = stations.drop_duplicates(["network", "station", "latitude", "longitude"])
    east, north = view.frame.to_local(places["latitude"], places["longitude"])
    axes.scatter(
        east, north, s=48 if len(places) <= LABELLED_STATIONS else 22, marker="^", facecolor="white",
        edgecolor=style.INK, linewidths=1.0, zorder=3.5, gid="stations",
    )  # fmt: skip
    if len(places) > LABELLED_STATIONS:
        return
    inside = view.contains(east, north)
    for code, x, y in zip(places["station"][inside], east[inside], north[inside]):
        axes.annotate(
            code, (x, y), xytext=(0, -6), textcoords="offset points", ha="center", va="top", fontsize=7.5,
            zorder=4.5, parse_math=False, annotation_clip=True,
            bbox={"facecolor": "white", "alpha": 0.55, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip


def _sections(
    across: Axes,
    along: Axes,
    view: View,
    events: pd.DataFrame,
    places: tuple[NDArray[np.float64], NDArray[np.float64]],
    depths: tuple[float, float],
    look: _Look,
) -> None:
    depth = events["depth_km"].to_numpy(float)
    sigma = events["depth_uncertainty_km"].to_numpy(float)
    spread = np.sqrt(events[["cov_ee_km2", "cov_nn_km2"]].to_numpy(float)).T
    for axes, at, half, sideways, name in (
        (across, places[0], view.half_east_km, spread[0], "ew"),
        (along, places[1], view.half_north_km, spread[1], "ns"),
    ):
        shown = (np.abs(at) <= half) & np.isfinite(depth)
        points, bars = np.column_stack([at, depth])[shown], _bars(at, depth, sideways, sigma)
        if name == "ns":  # this one stands on its side, beside the map
            points, bars = points[:, ::-1], bars[:, :, ::-1]
        axes.add_collection(
            LineCollection(
                list(bars), colors="#4b5563", linewidths=0.6, alpha=0.7 if len(events) <= 300 else 0.25,
                zorder=3, gid=f"uncertainty-{name}",
            ),
            autolim=False,
        )  # fmt: skip
        _points(axes, points[:, 0], points[:, 1], look.of(shown), name=f"hypocentres-{name}")
        for side in axes.spines.values():
            side.set_visible(True)
    across.set_xlim(-view.half_east_km, view.half_east_km)
    across.set_ylim(depths[1], depths[0])
    across.set_xlabel("Kilometres east of the map's middle")
    across.set_ylabel("Depth (km)")
    along.set_ylim(-view.half_north_km, view.half_north_km)
    along.set_xlim(*depths)
    along.yaxis.tick_right()
    along.yaxis.set_label_position("right")
    along.set_ylabel("Kilometres north of the map's middle")
    along.xaxis.tick_top()
    along.xaxis.set_label_position("top")
    along.set_xlabel("Depth (km)")


def _bars(
    at: NDArray[np.float64],
    depth: NDArray[np.float64],
    sideways: NDArray[np.float64],
    sigma: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return segments ``(n, 2, 2)`` of (place, depth): one standard deviation either way, along and down."""
    flat = np.stack(
        [np.column_stack([at - sideways, depth]), np.column_stack([at + sideways, depth])], axis=1
    )
    upright = np.stack([np.column_stack([at, depth - sigma]), np.column_stack([at, depth + sigma])], axis=1)
    bars: NDArray[np.float64] = np.concatenate([flat, upright])
    return bars[np.isfinite(bars).all(axis=(1, 2))]


def _references(plan: Axes, across: Axes, along: Axes, view: View, references: Sequence[Reference]) -> None:
    look: dict[str, Any] = {"marker": "*", "s": 190, "facecolor": "none", "edgecolor": style.GREEN}
    look |= {"linewidths": 1.6, "zorder": 4.6}
    for reference in references:
        if not (np.isfinite(reference.latitude) and np.isfinite(reference.longitude)):
            continue
        east, north = (float(v) for v in view.frame.to_local(reference.latitude, reference.longitude))
        plan.scatter([east], [north], gid="reference", **look)
        across.scatter([east], [reference.depth_km], gid="reference", **look)
        along.scatter([reference.depth_km], [north], gid="reference", **look)
        plan.annotate(
            reference.label, (east, north), xytext=(9, 7), textcoords="offset points", fontsize=8,
            weight="bold", color="#00664b", zorder=4.7, parse_math=False,
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1},
        )  # fmt: skip


def locator(axes: Axes, view: View) -> None:
    """Draw where on Earth the map lies: its outline within a wider window, at least 900 km across."""
    half = min(max(8 * view.reach_km, 450.0), 19_000.0)
    wide = View(view.frame, half, half)
    axes.set_facecolor(style.SEA)
    _land(axes, wide)
    box = Rectangle(
        (-view.half_east_km, -view.half_north_km), 2 * view.half_east_km, 2 * view.half_north_km,
        fill=False, edgecolor=style.VERMILION, linewidth=1.6, zorder=3, gid="window",
    )  # fmt: skip
    axes.add_patch(box)
    if view.half_east_km < half / 40:  # too small a box to be seen
        axes.plot([0], [0], "s", ms=6, mfc="none", mec=style.VERMILION, mew=1.6, zorder=3)
    axes.set_xlim(-half, half)
    axes.set_ylim(-half, half)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(True)
    length = nice(half * 0.6)
    axes.plot([-half * 0.9, -half * 0.9 + length], [-half * 0.88] * 2, color=style.INK, lw=1.5, zorder=4)
    axes.text(-half * 0.9 + length / 2, -half * 0.84, f"{length:g} km", ha="center", fontsize=7, zorder=4)


def _legend(
    figure: Figure, events: pd.DataFrame, references: Sequence[Reference], anchor: tuple[float, float]
) -> None:
    def circle(size: float, face: str = "#c7ccd4") -> Line2D:
        return Line2D([], [], ls="", marker="o", ms=size, mec=style.INK, mew=0.6, mfc=face)

    handles = {"Station": Line2D([], [], ls="", marker="^", ms=7, mfc="white", mec=style.INK, mew=1)}
    known = events["magnitude"].dropna()
    if len(known):
        low, high = np.floor(known.min()), np.ceil(known.max())
        for value in sorted({low, np.round((low + high) / 2), high}):
            handles[f"M {value:g}"] = circle(float(symbol_size(np.array(value))))
    if events["magnitude"].isna().any():
        handles["no magnitude"] = circle(UNKNOWN_SIZE_PT)
    if events["depth_km"].isna().any():
        handles["no depth"] = circle(5, "0.6")
    if (events["quality"] == "D").any():
        handles["quality D: do not trust"] = circle(5, "none")
    if events["ellipse_major_km"].notna().any():
        handles["68 % ellipse"] = Line2D(
            [], [], ls="", marker="$\\bigcirc$", ms=12, mfc=style.INK, mec="none"
        )
    if references:
        handles["reference"] = Line2D([], [], ls="", marker="*", ms=11, mfc="none", mec=style.GREEN, mew=1.4)
    rows = 1 if len(handles) <= 6 else 2
    figure.legend(
        list(handles.values()), list(handles), loc="lower left", bbox_to_anchor=anchor,
        ncols=-(-len(handles) // rows), columnspacing=1.3, handletextpad=0.4, borderaxespad=0.2,
    )  # fmt: skip
