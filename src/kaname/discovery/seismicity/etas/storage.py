"""A fitted ETAS model as a folder: ``etas.json``, with a kernel background ``background.parquet``.

Refits (`kaname.discovery.seismicity.etas.bootstrap`) are in ``bootstrap.parquet``.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError, NotFoundError
from kaname.core.files import replacing
from kaname.discovery.seismicity.background import Background, KernelDensity, Uniform
from kaname.discovery.seismicity.etas.bootstrap import Bootstrap
from kaname.discovery.seismicity.etas.fitting import Maximum
from kaname.discovery.seismicity.etas.model import Etas, KernelSettings
from kaname.discovery.seismicity.etas.parameters import NAMES, EtasParameters
from kaname.discovery.seismicity.region import Region

_FORMAT = 1


def save(model: Etas, folder: str | Path) -> Path:
    """Write a fitted model; return the path of ``etas.json``."""
    target = Path(folder) / "etas.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    background = model.background_
    content: dict[str, Any] = {
        "format": _FORMAT,
        # JSON has no infinity.
        "parameters": {k: (v if np.isfinite(v) else None) for k, v in asdict(model.parameters_).items()},
        "reference_magnitude": model.reference_,
        "b": model.b_,
        "magnitude_bin": model.magnitude_bin,
        "magnitude_max": model.magnitude_max,
        "counted": model.counted,
        "background": "kernel" if isinstance(background, KernelDensity) else "uniform",
        "region": np.column_stack([background.region.longitude, background.region.latitude]).tolist(),
    }
    if hasattr(model, "maximum_"):
        content["log_likelihood"] = model.maximum_.log_likelihood
        content["converged"] = model.maximum_.converged
        # Of the logarithms of mu, k0, c, tau and d, and of the others as they are.
        content["covariance"] = model.maximum_.covariance.tolist()
    if model.bootstrap_ is not None:
        content["bootstrap"] = model.bootstrap_.summary()
        with replacing(target.with_name("bootstrap.parquet")) as partial:
            model.bootstrap_.table().to_parquet(partial)
    if isinstance(background, KernelDensity):
        content["kernel"] = asdict(model.kernel)
        with replacing(target.with_name("background.parquet")) as partial:
            background.events().to_parquet(partial)
    with replacing(target) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return target


def load(path: str | Path) -> Etas:
    """Read a model that `save` wrote: its folder, or its ``etas.json``.

    Raises
    ------
    NotFoundError, FormatError
        When there is no such file, or it is no model.
    """
    file = Path(path)
    file = file / "etas.json" if file.is_dir() else file
    if not file.is_file():
        raise NotFoundError(f"no such file: {file}; expected a model that kaname etas fit wrote")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}, expected {_FORMAT}")
        region = Region(*np.array(content["region"], float).T)
        values = {n: np.inf if content["parameters"][n] is None else content["parameters"][n] for n in NAMES}
        background: Background = Uniform(region)
        kernel = KernelSettings(**content.get("kernel", {}))
        if content["background"] == "kernel":
            events = pd.read_parquet(file.with_name("background.parquet"))
            background = KernelDensity(
                region, events["longitude"], events["latitude"], events["weight"],
                neighbours=kernel.neighbours, bandwidth_min_km=kernel.bandwidth_min_km,
                uniform=kernel.uniform,
            )  # fmt: skip
        model = Etas.with_parameters(
            EtasParameters(**values), content["reference_magnitude"], background, b=content["b"],
            counted=content["counted"], magnitude_max=content["magnitude_max"],
        )  # fmt: skip
        model.magnitude_bin, model.kernel = content["magnitude_bin"], kernel
        if "covariance" in content:
            model.maximum_ = Maximum(
                model.parameters_, content["log_likelihood"], np.array(content["covariance"]), 0,
                content["converged"],
            )  # fmt: skip
        if "bootstrap" in content:
            refits = pd.read_parquet(file.with_name("bootstrap.parquet"))
            model.bootstrap_ = Bootstrap.of(model.parameters_, refits)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise FormatError(f"{file} is no ETAS model: {error}") from error
    return model
