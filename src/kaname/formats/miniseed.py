"""miniSEED 2 and 3: reader and writer.

Headers are read by `kaname.formats.miniseed_records` and records packed by `kaname.formats.miniseed_packing`;
Steim is packed and unpacked by `kaname.formats.steim`, all else unpacked by pymseed (libmseed).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pymseed import DataEncoding, nslc2sourceid

from kaname.core.errors import FormatError, InputError
from kaname.core.files import replacing
from kaname.core.waveform import Waveform
from kaname.formats.contract import WaveformRead, register
from kaname.formats.miniseed_packing import pack_records
from kaname.formats.miniseed_records import MEANING, Fault, Records, scan_records
from kaname.formats.miniseed_sections import decode, sections
from kaname.formats.overlaps import resolve_overlaps

Encoding = Literal["steim1", "steim2", "int16", "int32", "float32", "float64"]
_ENCODINGS: dict[str, DataEncoding] = {
    "steim1": DataEncoding.STEIM1,
    "steim2": DataEncoding.STEIM2,
    "int16": DataEncoding.INT16,
    "int32": DataEncoding.INT32,
    "float32": DataEncoding.FLOAT32,
    "float64": DataEncoding.FLOAT64,
}


@register
class MiniSeed:
    """miniSEED 2 of any record length and byte order, miniSEED 3, and the data records of full SEED."""

    name = "miniseed"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Tell whether a data record, or the control header of full SEED, stands in the first bytes."""
        found = scan_records(bytes(head))
        if len(found.table):
            return True
        kinds = set(found.faults["kind"].tolist())
        return bool(kinds & {Fault.TRUNCATED, Fault.CONTROL, Fault.NO_LENGTH, Fault.NOT_A_SEED_ID})

    def read(self, path: Path, *, start: np.datetime64 | None, end: np.datetime64 | None) -> WaveformRead:
        """Read gap-free blocks, one channel each, in order of time; text records (logs) hold no waveform.

        Records are put in order of time. A gap, a change of rate and a jump of the clock of more than half a
        sample start a new block; overlaps are resolved by `kaname.formats.overlaps`.

        Raises
        ------
        FormatError
            When no data record is found.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
        records = scan_records(data)
        if not len(records.table):
            raise FormatError(f"{path}: no miniSEED data record in {len(data)} bytes{_first_fault(records)}")
        out = WaveformRead()
        blocks: list[Waveform] = []
        rows: list[dict[str, Any]] = []
        for section in sections(records):
            part = decode(section, lambda at, n: data[at : at + n], start=start, end=end)
            blocks += part.blocks
            rows += part.failures
        out.blocks, overlaps = resolve_overlaps(blocks)
        out.failures = [{"step": "read", "subject": str(path), **row} for row in rows + overlaps]
        for message in describe_faults(records):
            out.fail(path, message)
        return out


def describe_faults(records: Records) -> Iterator[str]:
    """Say, one line each, what in a file is no readable data record, control headers of full SEED apart."""
    for kind, offset, length in records.faults.tolist():
        if kind != Fault.CONTROL:
            yield f"{length} bytes from byte {offset} left out: {MEANING[Fault(kind)]}"


def _first_fault(records: Records) -> str:
    kinds = records.faults["kind"]
    return f": {MEANING[Fault(int(kinds[0]))]}" if len(kinds) else ""


def write_miniseed(
    blocks: Iterable[Waveform],
    path: str | os.PathLike[str],
    *,
    version: Literal[2, 3] = 2,
    record_length: int = 512,
    encoding: Encoding | None = None,
) -> Path:
    """Write blocks to a miniSEED file, in one atomic rename.

    Parameters
    ----------
    blocks
        Blocks of any number of channels; integers, float32 or float64.
    path
        File to write.
    version
        2 (times to the microsecond, codes of at most 2, 5, 2 and 3 letters) or 3 (nanoseconds).
    record_length
        Longest record [bytes]; a power of two for version 2.
    encoding
        By default Steim2 for integers (32-bit integers where a difference does not fit) and the samples' own
        type for floating point.

    Raises
    ------
    InputError
        When samples do not fit the encoding, a code does not fit the version, or an option is unknown.
    StorageError
        When the disk refuses; the previous file, if any, is untouched.
    """
    target = Path(path)
    with replacing(target, sync=True) as partial, partial.open("wb") as file:
        for block in blocks:
            for data, _ in _packed(block, version, record_length, encoding):
                file.write(data.data)
    return target


def pack(
    block: Waveform,
    *,
    version: Literal[2, 3] = 2,
    record_length: int = 512,
    encoding: Encoding | None = None,
) -> Iterator[bytes]:
    """Yield the miniSEED records of a block, channel by channel; options and errors as `write_miniseed`."""
    for data, ends in _packed(block, version, record_length, encoding):
        whole, begin = data.tobytes(), 0
        for end in ends.tolist():
            yield whole[begin:end]
            begin = end


def _packed(
    block: Waveform, version: int, record_length: int, encoding: Encoding | None
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield the records of each channel and where each ends."""
    if version not in (2, 3):
        raise InputError(f"miniSEED version must be 2 or 3, found {version!r}")
    if encoding is not None and encoding not in _ENCODINGS:
        raise InputError(f"unknown encoding {encoding!r}; expected one of {', '.join(_ENCODINGS)}")
    if not 128 <= record_length <= 131072 or (version == 2 and record_length & (record_length - 1)):
        raise InputError(f"record length must be a power of two from 128 to 131072, found {record_length}")
    for identifier, samples in zip(block.ids, block.data):
        name = _source_id(identifier, version)
        chosen = encoding or _encoding(samples)
        native = _native(samples, chosen, identifier)
        for choice in (chosen,) if encoding else (chosen, "int32"):
            packed = pack_records(
                native,
                int(_ENCODINGS[choice]),
                name,
                block.start,
                block.sampling_rate,
                version=version,
                record_length=record_length,
            )
            if packed is not None:
                break
        else:
            raise InputError(f"{identifier}: differences beyond 30 bits do not fit steim2; choose int32")
        yield packed


def fits_version_2(identifier: str) -> bool:
    """Tell whether the codes of a SEED identifier fit the fixed header of miniSEED 2."""
    return all(len(code) <= most for code, most in zip(identifier.split("."), (2, 5, 2, 3)))


def _source_id(identifier: str, version: int) -> str:
    """Return the identifier as `pack_records` wants it."""
    if not identifier.isascii():
        raise InputError(f"{identifier} has letters that miniSEED cannot hold; expected ASCII")
    if version == 2:
        if not fits_version_2(identifier):
            raise InputError(f"{identifier} has codes too long for miniSEED 2; write version 3")
        return identifier
    network, station, location, channel = identifier.split(".")
    if len(channel) != 3 and channel.count("_") != 2:
        raise InputError(
            f"{identifier}: a channel of miniSEED 3 has three letters or is BAND_SOURCE_SUBSOURCE, "
            f"found {channel!r}"
        )
    try:
        return nslc2sourceid(network, station, location, channel)
    except ValueError as error:
        raise InputError(f"{identifier} cannot be a source identifier of miniSEED: {error}") from error


def _encoding(samples: NDArray[Any]) -> Encoding:
    if np.issubdtype(samples.dtype, np.integer):
        return "steim2"
    return "float32" if samples.dtype.itemsize <= 4 else "float64"


_TYPES = {"int16": np.int16, "float32": np.float32, "float64": np.float64}


def _native(samples: NDArray[Any], encoding: Encoding, identifier: str) -> NDArray[Any]:
    """Return the samples in the type of an encoding, refusing any loss."""
    dtype = np.dtype(_TYPES.get(encoding, np.int32))
    if dtype.kind == "i" and not np.issubdtype(samples.dtype, np.integer):
        raise InputError(
            f"{identifier}: {samples.dtype} samples cannot be written as {encoding} without loss"
        )
    if samples.dtype == dtype:
        return np.ascontiguousarray(samples)
    with np.errstate(over="ignore"):  # refused below
        native = np.ascontiguousarray(samples, dtype=dtype)
    same = (native == samples) | (native != native)
    if not same.all():
        raise InputError(
            f"{identifier}: sample {samples[np.argmin(same)]} does not fit the {8 * dtype.itemsize} bits of "
            f"the encoding {encoding}; choose a wider one"
        )
    return native
