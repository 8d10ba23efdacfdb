"""ASDF, seismology in HDF5: waveforms.

Format: Adaptable Seismic Data Format 1.0.3 (https://asdf-definition.readthedocs.io; Krischer et al. 2016,
doi:10.1093/gji/ggw319). A gap-free stretch of a channel is one data set
``/Waveforms/NET.STA/NET.STA.LOC.CHA__START__END__TAG`` with the attributes ``starttime`` (nanoseconds since
1970, UTC) and ``sampling_rate`` [Hz]. The format states no unit; Kaname writes it in a third attribute,
``unit``, which other readers pass over, and takes ``unknown`` where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from kaname.core.errors import FormatError, InputError
from kaname.core.files import replacing
from kaname.core.time import isoformat
from kaname.core.units import UNITS
from kaname.core.waveform import Waveform
from kaname.formats.contract import WaveformRead, native, register, seed_id

_MAGIC = b"\x89HDF\r\n\x1a\n"
_KINDS = ("<i2", "<i4", "<i8", "<f4", "<f8")
_TAG = "raw_recording"
_DAMAGE = (OSError, KeyError, TypeError, ValueError, RuntimeError, OverflowError, AttributeError)
"""What h5py raises on damaged files."""
_MOST_PACKED = 2000
"""No compression packs real samples tighter; a data set that says so is damaged."""


@register
class AsdfReader:
    """Reader of the waveforms of ASDF files."""

    name = "asdf"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for HDF5 that says it is ASDF."""
        if not bytes(head).startswith(_MAGIC):
            return False
        import h5py

        try:
            with h5py.File(path, "r") as file:
                return _text(file.attrs.get("file_format", "")) == "ASDF"
        except (OSError, RuntimeError):
            return False

    def read(self, path: Path, *, start: np.datetime64 | None, end: np.datetime64 | None) -> WaveformRead:
        """Read the samples with ``start <= time < end``; see `kaname.formats.contract.WaveformReader`."""
        import h5py

        result = WaveformRead()
        blocks = []
        try:
            with h5py.File(path, "r") as file:
                for name, stored in _stored(file):
                    try:
                        blocks.append(_block(path, name, stored, result))
                    except _DAMAGE as error:
                        result.fail(path, f"{name}: {error}", kind="FormatError")
        except _DAMAGE as error:
            raise FormatError(f"cannot read {path} as ASDF: {error}") from error
        if not blocks:
            reasons = "; ".join(row["message"] for row in result.failures) or "it has no waveforms"
            raise FormatError(f"nothing can be read from {path} as ASDF: {reasons}")
        for block in sorted(blocks, key=lambda b: (b.ids, b.start)):
            result.add(block, start, end)
        return result


def _stored(file: Any) -> Iterator[tuple[str, Any]]:
    for station in file.get("Waveforms", {}).values():
        for name in station:
            if name != "StationXML":
                yield name, station


def _block(path: Path, name: str, station: Any, result: WaveformRead) -> Waveform:
    stored = station[name]
    codes = name.split("__")[0].split(".")
    if len(codes) != 4:
        raise InputError("its name does not begin with NET.STA.LOC.CHA")
    identifier, changed = seed_id(*codes)
    if changed:
        result.fail(path, changed)
    if stored.nbytes > _MOST_PACKED * max(path.stat().st_size, 1):
        raise InputError(f"it states {stored.nbytes} bytes in a file of {path.stat().st_size}")
    samples = np.asarray(stored)
    if samples.ndim != 1 or samples.dtype.kind not in "iuf":
        raise InputError(
            f"samples of shape {samples.shape} and type {samples.dtype}, expected one row of numbers"
        )
    unit = _text(stored.attrs.get("unit", "unknown"))
    return Waveform(
        data=native(samples)[np.newaxis, :],
        ids=(identifier,),
        start=np.datetime64(int(stored.attrs["starttime"]), "ns"),
        sampling_rate=float(stored.attrs["sampling_rate"]),
        unit=unit if unit in UNITS else "unknown",
    )


def _text(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def write_asdf(blocks: Sequence[Waveform], path: str | PathLike[str]) -> Path:
    """Write blocks of any number of channels to an ASDF file, in one atomic rename.

    Samples are packed with gzip and carry a checksum.

    Raises
    ------
    InputError
        When a channel has no network or station code, samples have a type that ASDF lacks (unsigned, 16-bit
        float), or two blocks of a channel start together.
    StorageError
        When the disk refuses; the previous file, if any, is untouched.
    """
    import h5py

    with replacing(path) as partial, h5py.File(partial, "w") as file:
        # Of fixed length, as the definition has it.
        file.attrs["file_format"] = np.bytes_("ASDF")
        file.attrs["file_format_version"] = np.bytes_("1.0.3")
        waveforms = file.create_group("Waveforms")
        for folder in ("AuxiliaryData", "Provenance"):
            file.create_group(folder)
        for block in blocks:
            for identifier, samples in zip(block.ids, block.data):
                _store(waveforms, block, identifier, samples)
    return Path(path)


def _store(waveforms: Any, block: Waveform, identifier: str, samples: Any) -> None:
    network, station, _, _ = identifier.split(".")
    if not (network and station):
        raise InputError(f"{identifier} states no {'station' if network else 'network'}, which ASDF requires")
    if samples.dtype.newbyteorder("<").str.replace("|", "<") not in _KINDS:
        raise InputError(f"{identifier}: ASDF holds no samples of type {samples.dtype}")
    first, last = (isoformat(t, decimals=0)[:-1] for t in (block.start, block.end))
    if first == last or f"{identifier}__{first}__{last}__{_TAG}" in waveforms.get(f"{network}.{station}", ()):
        first, last = (isoformat(t, decimals=9)[:-1] for t in (block.start, block.end))
    place = f"{network}.{station}/{identifier}__{first}__{last}__{_TAG}"
    if place in waveforms:
        raise InputError(f"{identifier}: two blocks start at {first}; give each channel and time once")
    stored = waveforms.create_dataset(
        place, data=samples, compression="gzip", compression_opts=4, shuffle=True, fletcher32=True
    )
    stored.attrs["starttime"] = np.int64(block.start.astype(np.int64))
    stored.attrs["sampling_rate"] = block.sampling_rate
    stored.attrs["unit"] = np.bytes_(block.unit)
