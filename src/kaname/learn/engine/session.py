"""A model file opened for inference: the network, and what it says about itself."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kaname.core.errors import FormatError, InputError, NotFoundError

Array = NDArray[np.float32]
Precision = Literal["auto", "fp32", "int8"]

METADATA_KEY = "kaname"
"""Name of the ONNX metadata property that holds the card, as JSON."""
PACKAGE = "kaname.learn"
FOLDER = "weights"


class Card(BaseModel):
    """What every model file says about itself; a kind of model adds its own fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    name: str
    version: str
    rate_hz: float = Field(gt=0, description="sampling rate of the input [Hz]")
    input: str = Field(description="what is done to a record before it enters")


CardT = TypeVar("CardT", bound=Card)


class Session(Generic[CardT]):
    """A network ready to run on the CPU; of one input, one output.

    Parameters
    ----------
    path
        ONNX file with a card in its metadata.
    card
        What the card must say.
    threads
        Threads of one call; 1 runs in the caller's.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When it is no ONNX model, or its card is missing or says something else.
    """

    def __init__(self, path: str | Path, card: type[CardT], *, threads: int = 1) -> None:
        import onnxruntime as ort
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidProtobuf

        if threads < 1:
            raise InputError(f"a session needs at least one thread, found {threads}")
        self.path = Path(path)
        if not self.path.is_file():
            raise NotFoundError(f"no model file {self.path}; give the path of an .onnx file")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A waiting thread that spins takes the core of another process.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except (Fail, InvalidArgument, InvalidProtobuf) as error:
            raise FormatError(f"{self.path} cannot be opened as an ONNX model: {error}") from error
        self.card = self._read_card(card)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, x: Array) -> Array:
        """Return the network's answer to a batch; the shapes are the model's own, float32 in and out."""
        return self._session.run(None, {self._input: x})[0]  # type: ignore[no-any-return]

    def _read_card(self, card: type[CardT]) -> CardT:
        text = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if text is None:
            raise FormatError(
                f"{self.path} has no metadata property {METADATA_KEY!r} that says what goes in and what "
                "comes out; export it with kaname.learn.networks.export"
            )
        try:
            values = json.loads(text)
        except ValueError as error:
            raise FormatError(f"{self.path}: its card is no JSON: {error}") from error
        return parse_card(values, card, str(self.path))


def parse_card(values: Any, card: type[CardT], where: str) -> CardT:
    """Return a card from its values; a wrong one raises `FormatError` that names ``where``."""
    try:
        return card.model_validate(values)
    except ValidationError as error:
        details = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'card'}: {e['msg']}, found {e['input']!r}"
            for e in error.errors()
        )
        raise FormatError(f"{where}: its card does not fit: {details}") from error


def weights(reference: str, *, precision: Precision = "auto") -> Path:
    """Return the model file that a name or a path stands for.

    Parameters
    ----------
    reference
        Name of weights in the package, or path of an ``.onnx`` file.
    precision
        32-bit floating point, or the copy in 8-bit integers beside it: ``NAME-int8.onnx``. ``auto`` takes
        the copy where there is one.

    Raises
    ------
    NotFoundError
        When there are none of that name; the message lists those that there are.
    InputError
        When the precision is unknown.
    """
    if precision not in get_args(Precision):
        raise InputError(f"unknown precision {precision!r}; expected one of {', '.join(get_args(Precision))}")
    suffixes = {"auto": ("-int8.onnx", ".onnx"), "fp32": (".onnx",), "int8": ("-int8.onnx",)}[precision]
    if reference.endswith(".onnx"):
        candidates = [Path(reference.removesuffix(".onnx") + suffix) for suffix in suffixes]
        return next((path for path in candidates if path.is_file()), candidates[-1])
    folder = files(PACKAGE).joinpath(FOLDER)
    inside = [folder.joinpath(reference, f"{reference}{suffix}") for suffix in suffixes]
    file = next((file for file in inside if reference and file.is_file()), None)
    if file is None:
        known = sorted(f.name for f in folder.iterdir() if f.is_dir()) if folder.is_dir() else []
        raise NotFoundError(
            f"no weights {reference!r} of precision {precision} in the package; known are "
            f"{', '.join(known) or 'none'}, or give the path of an .onnx file"
        )
    with as_file(file) as path:
        return path


def open_session(
    reference: str, card: type[CardT], *, precision: Precision = "auto", threads: int = 1
) -> Session[CardT]:
    """Return the session of a name or path (`weights`); one that is open already is used again.

    Raises
    ------
    NotFoundError, FormatError, InputError
        See `weights` and `Session`.
    """
    path = weights(reference, precision=precision)
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise NotFoundError(f"no model file {path}: {error.strerror or error}") from error
    return _open(path, stamp, card, threads)


@lru_cache(maxsize=8)
def _open(path: Path, stamp: int, card: type[CardT], threads: int) -> Session[CardT]:
    return Session(path, card, threads=threads)
