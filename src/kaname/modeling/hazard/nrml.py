"""Sources, logic trees and fragility as OpenQuake reads them: NRML 0.5 (https://docs.openquake.org).

Rates are written bin by bin (``incrementalMFD``), so what the engine takes is what the sources declare.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.core.files import replacing
from kaname.modeling.ground_motion.openquake import TECTONIC_REGIONS, log_unit, openquake_name
from kaname.modeling.hazard.fragility import LognormalFragility
from kaname.modeling.hazard.magnitudes import Magnitudes
from kaname.modeling.hazard.sources import (
    AnySource,
    Area,
    AreaProperties,
    Fault,
    Smoothed,
    SmoothedProperties,
)

_NRML, _GML = "http://openquake.org/xmlns/nrml/0.5", "http://www.opengis.net/gml"
_SCALING = {
    "wells_coppersmith_1994": "WC1994",
    "leonard_2014_interplate": "Leonard2014_Interplate",
    "leonard_2014_stable": "Leonard2014_SCR",
    "strasser_2010_interface": "StrasserInterface",
    "strasser_2010_slab": "StrasserIntraslab",
    "point": "PointMSR",
}


def write_source_model(path: Path, sources: Sequence[AnySource], *, name: str, width: float) -> Path:
    """Write sources in groups of one tectonic region.

    Parameters
    ----------
    path
        Of the file.
    sources
        All of one source model.
    name
        Of the model.
    width
        Of bins of magnitude; the bins of a smoothed source are its own.
    """
    root = _root()
    model = _add(root, "sourceModel", name=name)
    for region, theirs in TECTONIC_REGIONS.items():
        mine = [(k, s) for k, s in enumerate(sources) if s.properties.tectonic_region == region]
        if not mine:
            continue
        group = _add(model, "sourceGroup", name=theirs, tectonicRegion=theirs)
        for k, source in mine:
            _source(group, f"s{k}", source, width)
    return _write(path, root)


def write_source_tree(path: Path, models: Mapping[str, float]) -> Path:
    """Write the logic tree of source models: weights by file name."""
    root = _root()
    branches = _add(_add(root, "logicTree", logicTreeID="sources"), "logicTreeBranchSet",
                    branchSetID="sources", uncertaintyType="sourceModel")  # fmt: skip
    _branches(branches, "source", models.items())
    return _write(path, root)


def write_model_tree(path: Path, models: Mapping[str, Iterable[tuple[str, float]]]) -> Path:
    """Write the logic tree of ground-motion models: by tectonic region OpenQuake's names and weights."""
    root = _root()
    tree = _add(root, "logicTree", logicTreeID="ground_motion")
    for region, branches in models.items():
        own = _add(tree, "logicTreeBranchSet", branchSetID=region, uncertaintyType="gmpeModel",
                   applyToTectonicRegionType=TECTONIC_REGIONS[region])  # fmt: skip
        _branches(own, region, branches)
    return _write(path, root)


def write_fragility(
    path: str | Path, fragility: LognormalFragility, level: ArrayLike, *, loss: str = "structural"
) -> Path:
    """Write fitted fragility curves, for the damage calculations of OpenQuake.

    What is written is the mean over the posterior at each level: as expected damage is linear in the curves,
    it holds what is uncertain in them. States are called ``state_1``, ``state_2``, ...; a class of buildings
    is a taxonomy.

    Parameters
    ----------
    path
        Of the file.
    fragility
        Fitted.
    level
        Levels of its measure, in its unit, increasing, ``(n,)``; below the first there is no damage.
    loss
        What OpenQuake calls the kind of loss.

    Raises
    ------
    InputError
        When levels are not positive or do not increase, or OpenQuake has no such measure.
    """
    levels = np.atleast_1d(np.asarray(level, float))
    if len(levels) < 2 or not (levels > 0).all() or not (np.diff(levels) > 0).all():
        raise InputError(f"levels of shaking are positive and increase, found {levels.tolist()}")
    measure = openquake_name(fragility.measure_)
    if not measure:
        raise InputError(f"OpenQuake has no {fragility.measure_}")
    states = [f"state_{k}" for k in range(1, fragility.theta_.shape[2] + 1)]
    theirs = levels / np.exp(log_unit(fragility.measure_))
    root = _root()
    model = _add(root, "fragilityModel", id="kaname", assetCategory="buildings", lossCategory=loss)
    _add(model, "description", "Lognormal curves fitted to surveyed damage, mean over their posterior")
    _add(model, "limitStates", " ".join(states))
    for name in fragility.classes_:
        function = _add(model, "fragilityFunction", id=str(name), format="discrete")
        _add(function, "imls", _numbers(theirs), imt=measure, noDamageLimit=repr(float(theirs[0])))
        for k, state in enumerate(states, 1):
            mean = fragility.exceedance(str(name), k, levels).mean(axis=0)
            _add(function, "poes", _numbers(mean), ls=state)
    return _write(Path(path), root)


def _branches(parent: xml.Element, stem: str, branches: Iterable[tuple[str, float]]) -> None:
    for k, (model, weight) in enumerate(branches):
        branch = _add(parent, "logicTreeBranch", branchID=f"{stem}_{k}")
        _add(branch, "uncertaintyModel", model)
        _add(branch, "uncertaintyWeight", repr(float(weight)))


def _source(group: xml.Element, key: str, source: AnySource, width: float) -> None:
    p = source.properties
    if isinstance(source, Area):
        node = _add(group, "areaSource", id=key, name=p.name)
        geometry = _add(node, "areaGeometry")
        ring = _add(_add(_add(geometry, "gml:Polygon"), "gml:exterior"), "gml:LinearRing")
        _add(ring, "gml:posList", _numbers(source.ring))
        _limits(geometry, source)
        _scaling(node, source)
        _rates(node, source.magnitudes(width))
        _about_points(node, source.properties)
    elif isinstance(source, Smoothed):
        node = _add(group, "multiPointSource", id=key, name=p.name)
        geometry = _add(node, "multiPointGeometry")
        _add(geometry, "gml:posList", _numbers(source.place))
        _limits(geometry, source)
        _scaling(node, source)
        n, n_bin = source.rates.shape
        rates = _add(node, "multiMFD", kind="incrementalMFD", size=str(n))
        _add(rates, "bin_width", repr(source.width))
        _add(rates, "min_mag", repr(source.first))
        _add(rates, "occurRates", _numbers(source.rates))
        _add(rates, "lengths", str(n_bin))
        _about_points(node, source.properties)
    elif source.properties.magnitude is not None:
        node = _add(group, "characteristicFaultSource", id=key, name=p.name)
        _rates(node, source.magnitudes(width))
        _add(node, "rake", repr(source.properties.rake_deg))
        _surface(_add(node, "surface"), source)
    else:
        node = _add(group, "simpleFaultSource", id=key, name=p.name)
        _surface(node, source)
        _scaling(node, source)
        _rates(node, source.magnitudes(width))
        _add(node, "rake", repr(source.properties.rake_deg))


def _surface(node: xml.Element, fault: Fault) -> None:
    geometry = _add(node, "simpleFaultGeometry")
    _add(_add(geometry, "gml:LineString"), "gml:posList", _numbers(fault.trace))
    _add(geometry, "dip", repr(fault.properties.dip_deg))
    _limits(geometry, fault)


def _limits(geometry: xml.Element, source: AnySource) -> None:
    _add(geometry, "upperSeismoDepth", repr(source.properties.upper_km))
    _add(geometry, "lowerSeismoDepth", repr(source.properties.lower_km))


def _scaling(node: xml.Element, source: AnySource) -> None:
    _add(node, "magScaleRel", _SCALING[source.properties.scaling])
    _add(node, "ruptAspectRatio", "1.0")


def _rates(node: xml.Element, magnitudes: Magnitudes) -> None:
    law = _add(node, "incrementalMFD", minMag=repr(magnitudes.first), binWidth=repr(magnitudes.width))
    _add(law, "occurRates", _numbers(magnitudes.rates))


def _about_points(node: xml.Element, p: AreaProperties | SmoothedProperties) -> None:
    planes = _add(node, "nodalPlaneDist")
    for m in p.mechanisms:
        _add(planes, "nodalPlane", probability=repr(m.weight), strike=repr(m.strike_deg),
             dip=repr(m.dip_deg), rake=repr(m.rake_deg))  # fmt: skip
    depths = _add(node, "hypoDepthDist")
    for d in p.depths:
        _add(depths, "hypoDepth", probability=repr(d.weight), depth=repr(d.depth_km))


def _numbers(values: NDArray[np.float64]) -> str:
    # The shortest text that reads back as the same number.
    return " ".join(repr(float(v)) for v in np.ravel(values))


def _root() -> xml.Element:
    return xml.Element("nrml", {"xmlns": _NRML, "xmlns:gml": _GML})


def _add(parent: xml.Element, tag: str, text: str | None = None, **attributes: str) -> xml.Element:
    node = xml.SubElement(parent, tag, attributes)
    node.text = text
    return node


def _write(path: Path, root: xml.Element) -> Path:
    xml.indent(root)
    with replacing(path) as partial:
        xml.ElementTree(root).write(partial, encoding="utf-8", xml_declaration=True)
    return path
