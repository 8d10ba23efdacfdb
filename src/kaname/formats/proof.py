"""Read back and compare: what a conversion kept, what the format cannot hold, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from kaname.core.tables import Column, Schema
from kaname.core.time import NS_PER_S
from kaname.core.waveform import Waveform
from kaname.formats.writing import WaveformFormat

Verdict = Literal["equal", "rounded", "lost", "wrong"]

PROOFS = Schema(
    "proofs",
    "What was compared after reading back, and how it came out.",
    (
        Column("subject", "string", "file that was converted", required=True),
        Column("output", "string", "file that was written and read back", required=True),
        Column("aspect", "string", "what was compared: samples, start, unit, a column", required=True),
        Column(
            "verdict",
            "string",
            "equal; rounded: within what the format says it keeps; lost: the format has no place for it; "
            "wrong: anything else",
            required=True,
            choices=("equal", "rounded", "lost", "wrong"),
        ),
        Column("n_compared", "int", "samples, blocks or rows compared", low=0),
        Column("n_different", "int", "of these, how many differ", low=0),
        Column("largest", "float", "largest difference; seconds for start, relative for sampling_rate"),
        Column("detail", "string", "an example of what differs"),
    ),
)
RELATIVE = 1e-9
"""Numbers of a table that differ by less than this part are rounded; units are converted on the way."""
TIME_S = 1e-6
"""QuakeML keeps microseconds."""


def prove_waveforms(
    before: Sequence[Waveform], after: Sequence[Waveform], form: WaveformFormat
) -> list[dict[str, Any]]:
    """Compare blocks with what was read back, sample for sample.

    A block may have been joined to its neighbour or cut where the file format cuts; every sample must be
    found at its time, and there must be no other.

    Parameters
    ----------
    before, after
        Blocks of one channel each.
    form
        The format that was written: what it says it cannot hold is ``lost`` or ``rounded``, not ``wrong``.

    Returns
    -------
    list of dict
        Rows of `PROOFS` without subject and output.
    """
    found: dict[str, list[Waveform]] = {}
    for block in after:
        found.setdefault(block.ids[0], []).append(block)
    tally = _Tally()
    for block in before:
        pieces = found.get(block.ids[0], [])
        tally.channel(block, bool(pieces))
        left = np.ones(block.n_sample, bool)
        for piece in pieces:
            tally.overlap(block, piece, left, form)
        tally.missing(block, left)
    n_before, n_after = (sum(b.n_sample for b in blocks) for blocks in (before, after))
    tally.extra(n_after - n_before)
    return tally.rows(form)


class _Tally:
    """What has been compared so far, by aspect."""

    def __init__(self) -> None:
        self.compared = dict.fromkeys(("channels", "samples", "start", "sampling_rate", "type", "unit"), 0)
        self.different = dict.fromkeys(self.compared, 0)
        self.largest = dict.fromkeys(self.compared, 0.0)
        self.detail = dict.fromkeys(self.compared, "")

    def add(self, aspect: str, n: int, n_different: int, largest: float = 0.0, detail: str = "") -> None:
        self.compared[aspect] += n
        self.different[aspect] += n_different
        self.largest[aspect] = max(self.largest[aspect], largest)
        if n_different and not self.detail[aspect]:
            self.detail[aspect] = detail

    def channel(self, block: Waveform, there: bool) -> None:
        self.add("channels", 1, not there, detail=f"{block.ids[0]} is not there")

    def overlap(self, block: Waveform, piece: Waveform, left: Any, form: WaveformFormat) -> None:
        """Compare the part of a block that a piece covers and strike it off what is left."""
        at = piece.index(block.start)  # of the block's first sample in the piece; may be negative
        shift = round(at)
        low, high = max(0, -shift), min(block.n_sample, piece.n_sample - shift)
        if low >= high or not left[low:high].all():
            return
        left[low:high] = False
        name = block.ids[0]
        a, b = block.data[0, low:high], piece.data[0, low + shift : high + shift]
        different = (a != b) & ~((a != a) & (b != b))
        n_different = int(np.count_nonzero(different))
        first = int(np.argmax(different)) if n_different else 0
        self.add(
            "samples",
            high - low,
            n_different,
            float(np.nanmax(np.abs(a.astype(float) - b.astype(float)))) if n_different else 0.0,
            f"{name} sample {low + first}: {a[first]} became {b[first]}",
        )
        # Where the piece begins later its own first sample is compared.
        due = block.time(low) - piece.time(low + shift)
        late_s = abs(int(due.astype(np.int64))) / NS_PER_S
        self.add("start", 1, late_s > 0, late_s, f"{name} moved by {late_s:.3g} s")
        change = abs(piece.sampling_rate / block.sampling_rate - 1)
        self.add(
            "sampling_rate",
            1,
            change > 0,
            change,
            f"{name}: {block.sampling_rate!r} Hz became {piece.sampling_rate!r} Hz",
        )
        self.add(
            "type",
            1,
            a.dtype != b.dtype,
            detail=f"{name}: {a.dtype} became {b.dtype}, the values are compared",
        )
        self.add("unit", 1, block.unit != piece.unit, detail=f"{name}: {block.unit} became {piece.unit}")

    def missing(self, block: Waveform, left: Any) -> None:
        n = int(np.count_nonzero(left))
        self.add(
            "samples", n, n, detail=f"{block.ids[0]}: {n} samples from number {np.argmax(left)} are missing"
        )

    def extra(self, n: int) -> None:
        if n > 0:
            self.add("samples", 0, n, detail=f"{n} samples more than were written")

    def rows(self, form: WaveformFormat) -> list[dict[str, Any]]:
        allowed = {"start": form.start_s, "sampling_rate": form.rate}
        rows = []
        for aspect, n_different in self.different.items():
            verdict: Verdict = "wrong"
            if not n_different:
                verdict = "equal"
            elif aspect in form.lost:
                verdict = "lost"
            elif aspect in allowed and self.largest[aspect] <= allowed[aspect]:
                verdict = "rounded"
            rows.append(
                {
                    "aspect": aspect,
                    "verdict": verdict,
                    "n_compared": self.compared[aspect],
                    "n_different": n_different,
                    "largest": self.largest[aspect],
                    "detail": self.detail[aspect],
                }
            )
        return rows


def prove_table(before: pd.DataFrame, after: pd.DataFrame, key: Sequence[str]) -> list[dict[str, Any]]:
    """Compare a table with what was read back, column for column.

    Parameters
    ----------
    before, after
        Tables of one schema.
    key
        Columns that tell which rows belong together.

    Returns
    -------
    list of dict
        Rows of `PROOFS` without subject and output: one for the rows, one per column that holds anything.
    """
    one, other = (_keyed(frame, key) for frame in (before, after))
    n_missing = len(one.index.difference(other.index)) + len(other.index.difference(one.index))
    detail = "" if not n_missing else f"{len(one)} rows became {len(other)}, {n_missing} without counterpart"
    rows = [_row("rows", len(one), n_missing, 0.0, detail, "wrong" if n_missing else "equal")]
    shared = one.index.intersection(other.index)
    one, other = one.loc[shared], other.loc[shared]
    for column in (c for c in before.columns if c not in key):
        held = _held(one[column])
        if held.any():
            rows.append(_column(column, one[column][held], other[column][held]))
    return rows


def _keyed(frame: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    names = pd.Series(
        ["/".join(map(str, row)) for row in frame[list(key)].itertuples(index=False)], dtype=str
    )
    place = names.groupby(names).cumcount().astype(str)  # rows that share a key go by their order
    return frame.set_index(names + "#" + place)


def _held(values: pd.Series) -> pd.Series:
    empty = values.isna()
    return ~empty if values.dtype.kind in "fMiub" else ~empty & (values.astype(str) != "")


def _column(name: str, one: pd.Series, other: pd.Series) -> dict[str, Any]:
    gone = ~_held(other)
    if one.dtype.kind in "iub":
        gone = (other == 0) & (one != 0)
    largest = 0.0
    if one.dtype.kind == "M":
        apart = (one - other).abs().dt.total_seconds().fillna(np.inf).where(~gone, 0.0)
        largest, allowed = float(apart.max()), TIME_S
        different = apart > 0
    elif one.dtype.kind in "fiub":
        apart = (one.astype(float) - other.astype(float)).abs().where(~gone, 0.0)
        largest = float(apart.max())
        allowed = RELATIVE * float(one.astype(float).abs().max())
        different = apart > 0
    else:
        different, allowed = (one.astype(str) != other.astype(str)) & ~gone, 0.0
    n_different = int((different | gone).sum())
    verdict: Verdict = "equal"
    if different.any():
        verdict = "rounded" if 0 < largest <= allowed else "wrong"
    elif gone.any():
        verdict = "lost"
    where = (different | gone).to_numpy().argmax()
    detail = f"{one.iloc[where]!s} became {other.iloc[where]!s}" if n_different else ""
    return _row(name, len(one), n_different, largest, detail, verdict)


def _row(
    aspect: str, n: int, n_different: int, largest: float, detail: str, verdict: Verdict
) -> dict[str, Any]:
    return {
        "aspect": aspect,
        "verdict": verdict,
        "n_compared": n,
        "n_different": n_different,
        "largest": largest,
        "detail": detail,
    }


def faults(rows: Iterable[dict[str, Any]], subject: str, output: str) -> list[dict[str, Any]]:
    """Return what a proof found wrong as rows of the failures table."""
    return [
        {
            "step": "prove",
            "subject": subject,
            "error": "ProofError",
            "message": f"{output}: {row['aspect']}: {row['n_different']} of {row['n_compared']} differ"
            + (f" ({row['detail']})" if row["detail"] else ""),
        }
        for row in rows
        if row["verdict"] == "wrong"
    ]
