"""Learned models on disk: one ``.npz`` of plain arrays and a JSON header; nothing in it is ever executed."""

from __future__ import annotations

import json
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.files import replacing
from kaname.core.provenance import software
from kaname.modeling.ground_motion.between import BetweenEvents
from kaname.modeling.ground_motion.features import Domain, KnownSites
from kaname.modeling.ground_motion.learned import Fitted, LearnedModel
from kaname.modeling.ground_motion.trees import Trees

FORMAT = "kaname ground-motion model 2"
_PARTS = {"between": BetweenEvents, "trend": Trees, "spread": Trees, "domain": Domain, "sites": KnownSites}
_OPTIONS = ("base", "base_options", "features", "n_fold", "seed")


def save_model(model: LearnedModel, path: str | Path, *, provenance: dict[str, Any] | None = None) -> Path:
    """Write a fitted model in one atomic rename; returns the path.

    Parameters
    ----------
    model
        A fitted `Forest` or `Boosted`.
    path
        Ending in ``.npz``.
    provenance
        What it was fitted on (input files and their hashes, configuration, scores), kept in the header.

    Raises
    ------
    InputError
        When the model was not fitted, or the path ends otherwise.
    StorageError
        When the disk refuses.
    """
    target = Path(path)
    if target.suffix != ".npz":
        raise InputError(f"a model is saved as .npz, found {target.name}")
    if not model.fitted_:
        raise InputError(f"{model.name} was not fitted to anything; fit it before it is saved")
    arrays: dict[str, NDArray[Any]] = {}
    header: dict[str, Any] = {
        "format": FORMAT,
        "name": model.name,
        "options": {k: getattr(model, k) for k in _OPTIONS},
        "software": software(),
        "provenance": provenance or {},
        "measures": {},
    }
    for measure, one in model.fitted_.items():
        numbers = {f.name: getattr(one, f.name) for f in fields(one) if f.name not in _PARTS}
        header["measures"][measure] = numbers
        for part in _PARTS:
            for f in fields(getattr(one, part)):
                arrays[f"{measure}/{part}/{f.name}"] = np.asarray(getattr(getattr(one, part), f.name))
        terms = model.event_terms_[measure]
        arrays[f"{measure}/events/name"] = terms.index.to_numpy().astype(str)
        for column in terms.columns:
            arrays[f"{measure}/events/{column}"] = terms[column].to_numpy()
    arrays["header"] = np.array(json.dumps(header, default=str))
    with replacing(target) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    return target


def load_model(path: str | Path) -> LearnedModel:
    """Read a saved model; it predicts what the saved one did.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When it is no saved model, is truncated, or is of another version.
    """
    source = Path(path)
    header = read_header(source)
    try:
        with np.load(source, allow_pickle=False) as arrays:
            model = _made(header)
            for measure, numbers in header["measures"].items():
                parts: dict[str, Any] = {}
                for part, cls in _PARTS.items():
                    found = {f.name: arrays[f"{measure}/{part}/{f.name}"] for f in fields(cls)}
                    parts[part] = cls(**{k: v if v.ndim else float(v) for k, v in found.items()})
                model.fitted_[measure] = Fitted(**parts, **numbers)
                events = {c: arrays[f"{measure}/events/{c}"] for c in ("term", "sd", "n")}
                model.event_terms_[measure] = pd.DataFrame(
                    events, index=pd.Index(arrays[f"{measure}/events/name"])
                )
    except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise FormatError(f"{source} is damaged or incomplete: {error}") from error
    return model


def read_header(path: str | Path) -> dict[str, Any]:
    """Return what a saved model says of itself; errors as `load_model`."""
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such model: {source}")
    try:
        with np.load(source, allow_pickle=False) as arrays:
            header = json.loads(str(arrays["header"]))
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FormatError(f"{source} is no saved model of ground motion: {error}") from error
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT:
        raise FormatError(f"{source} is of format {found!r}, expected {FORMAT!r}; fit the model again")
    return dict(header)


def _made(header: dict[str, Any]) -> LearnedModel:
    from kaname.modeling.ground_motion.boosted import Boosted
    from kaname.modeling.ground_motion.forest import Forest

    known = {cls.name: cls for cls in (Boosted, Forest)}
    if header["name"] not in known:
        raise FormatError(f"a saved model called {header['name']!r}; known are {', '.join(known)}")
    return known[header["name"]](**header["options"])
