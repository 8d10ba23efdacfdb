"""A training set as one memory-mapped file: any window of any trace at the speed of memory."""

from __future__ import annotations

import json
import mmap
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.files import replacing
from kaname.core.provenance import write_json
from kaname.formats.seisbench_data import traces

FOLDER_NAME = "cache"
_SAMPLES, _PLACES, _STATE = "samples.f32", "places.npy", "state.json"
_VERSION = 1
PLACE = np.dtype([("offset", "<i8"), ("n_component", "<i4"), ("n_sample", "<i4")])
"""Where a trace lies: first sample [samples from the start of the file], and its shape."""

Samples = NDArray[np.float32]


class TraceCache:
    """The traces of a dataset in SeisBench's format, in the order of its metadata, as 32-bit floats.

    Reading copies no more than is asked for; what was read before comes from the system's memory. It can be
    pickled and opened by any number of processes, which share that memory.

    Parameters
    ----------
    root
        Folder of the dataset.

    Raises
    ------
    NotFoundError
        When there is no cache; `build_cache` makes it.
    FormatError
        When the dataset has changed since, or the cache is cut short.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        folder = self.root / FOLDER_NAME
        if not (folder / _STATE).is_file():
            raise NotFoundError(f"no cache in {self.root}; make it with: kaname dataset cache {self.root}")
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        if state != _state(self.root):
            raise FormatError(
                f"{self.root} has changed since; make it anew: kaname dataset cache {self.root}"
            )
        self.places: NDArray[Any] = np.load(folder / _PLACES)
        self._open()

    def _open(self) -> None:
        path = self.root / FOLDER_NAME / _SAMPLES
        self._samples: Samples = np.memmap(path, np.float32, mode="r")
        last = self.places[-1]
        if len(self._samples) != last["offset"] + last["n_component"] * last["n_sample"]:
            raise FormatError(f"{path} is cut short; make it anew: kaname dataset cache {self.root}")
        if hasattr(self._samples._mmap, "madvise"):  # type: ignore[attr-defined]
            # Reading ahead would throw out what is needed next.
            self._samples._mmap.madvise(mmap.MADV_RANDOM)  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "places": self.places}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def metadata(self) -> pd.DataFrame:
        """``metadata.csv``, all chunks, a row per trace."""
        tables = sorted(self.root.glob("metadata*.csv"))
        return pd.concat([pd.read_csv(t, low_memory=False) for t in tables], ignore_index=True)

    def trace(self, number: int) -> Samples:
        """Return a trace, shape (n_component, n_sample), as a view that cannot be written to."""
        offset, n_component, n_sample = self.places[number]
        return self._samples[offset : offset + n_component * n_sample].reshape(n_component, n_sample)

    def windows(
        self, numbers: ArrayLike, first: ArrayLike, n_sample: int, *, out: Samples | None = None
    ) -> Samples:
        """Copy a window out of each of many traces.

        Parameters
        ----------
        numbers
            Traces, in any order, repeats allowed.
        first
            First sample of each window; where a window reaches over an end of its trace, it is zero.
        n_sample
            Samples of each window.
        out
            Array to write into, shape (n, 3, n_sample), float32; a new one by default.

        Returns
        -------
        ndarray
            Shape (n, 3, n_sample); a component that a trace does not have is zero.

        Raises
        ------
        InputError
            When there is no such trace, or a trace has more than three components.
        """
        chosen = np.ascontiguousarray(numbers, np.int64)
        starts = np.ascontiguousarray(np.broadcast_to(np.asarray(first, np.int64), chosen.shape))
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < len(self)):
            raise InputError(f"traces {chosen.min()} to {chosen.max()} asked for, there are {len(self)}")
        if (self.places["n_component"][chosen] > 3).any():
            raise InputError("windows hold three components; take traces one by one with trace()")
        shape = (len(chosen), 3, n_sample)
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape or out.dtype != np.float32:
            raise InputError(f"out has shape {out.shape} and type {out.dtype}, expected {shape} and float32")
        places = self.places
        _copy(self._samples, places["offset"], places["n_component"], places["n_sample"], chosen, starts, out)
        return out


@njit(cache=True, nogil=True)
def _copy(
    samples: Samples, offsets: Any, n_components: Any, n_samples: Any, chosen: Any, starts: Any, out: Samples
) -> None:
    for k in range(len(chosen)):
        i = chosen[k]
        length = n_samples[i]
        low = min(max(-starts[k], 0), out.shape[2])
        high = max(min(length - starts[k], out.shape[2]), low)
        for component in range(3):
            row = out[k, component]
            if component >= n_components[i]:
                row[:] = 0
                continue
            begin = offsets[i] + component * length + starts[k]
            row[:low] = 0
            row[low:high] = samples[begin + low : begin + high]
            row[high:] = 0


def build_cache(root: str | Path) -> TraceCache:
    """Write the cache of a dataset in SeisBench's format and open it; one that is there is replaced.

    Raises
    ------
    FormatError
        When the dataset cannot be read.
    StorageError
        When the disk refuses.
    """
    source = Path(root)
    folder = source / FOLDER_NAME
    (folder / _STATE).unlink(missing_ok=True)  # until all is written there is no cache
    places: list[tuple[int, int, int]] = []
    offset = 0
    with replacing(folder / _SAMPLES) as partial, partial.open("wb") as file:
        for _, data in traces(source):
            with np.errstate(over="ignore"):
                file.write(np.ascontiguousarray(data, "<f4").tobytes())
            places.append((offset, *data.shape))
            offset += data.size
    if not places:
        raise FormatError(f"{source} lists no trace")
    with replacing(folder / _PLACES) as partial, partial.open("wb") as file:
        np.save(file, np.array(places, PLACE))
    write_json(folder / _STATE, _state(source))
    return TraceCache(source)


def _state(root: Path) -> dict[str, Any]:
    """Return what changes when the dataset does."""
    files = sorted([*root.glob("metadata*.csv"), *root.glob("waveforms*.hdf5")])
    return {
        "version": _VERSION,
        "files": {f.name: [f.stat().st_size, f.stat().st_mtime_ns] for f in files},
    }
