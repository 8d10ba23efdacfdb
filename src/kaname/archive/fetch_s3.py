"""Open data in S3 buckets, anonymously: plain HTTPS, no account, no further package.

Day files are found by listing the bucket (ListObjectsV2, https://docs.aws.amazon.com/AmazonS3) under the part
of the layout that holds no wildcard, and cut to the channels and the time wanted.
"""

from __future__ import annotations

import fnmatch
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from kaname.archive.fetch import Piece, check_miniseed, days, write_new
from kaname.archive.fetch_http import PartialError, Server
from kaname.core.errors import InputError
from kaname.core.provenance import digest
from kaname.core.time import NS_PER_S
from kaname.formats.miniseed_records import scan_records


@dataclass(frozen=True)
class Bucket:
    """Where a data centre keeps its day files, and how they are named.

    The layout names keys by ``{network}``, ``{station}``, ``{location}``, ``{channel}``, ``{year}`` and
    ``{doy}`` (three digits), with Python's fill and width; a key may go on after it (versions).
    """

    url: str
    layout: str


BUCKETS: dict[str, Bucket] = {
    "earthscope": Bucket(
        "https://earthscope-geophysical-data.s3.us-east-2.amazonaws.com",
        "miniseed/{network}/{year}/{doy}/{station}.{network}.{year}.{doy}",
    ),
    "scedc": Bucket(
        "https://scedc-pds.s3.us-west-2.amazonaws.com",
        "continuous_waveforms/{year}/{year}_{doy}/{network}{station:_<5}{channel}{location:_<3}{year}{doy}.ms",
    ),
    "ncedc": Bucket(
        "https://ncedc-pds.s3.us-east-2.amazonaws.com",
        "continuous_waveforms/{network}/{year}/{year}.{doy}/"
        "{station}.{network}.{channel}.{location}.D.{year}.{doy}",
    ),
}
_FIELD = re.compile(r"\{(\w+)(:[^}]*)?\}")
_WILD = re.compile(r"[*?]")
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def s3_pieces(
    bucket: Bucket, server: Server, ids: Sequence[str], start: np.datetime64, end: np.datetime64
) -> list[Piece]:
    """Return one request per object that may hold channels and days wanted.

    Parameters
    ----------
    bucket
        One of `BUCKETS`, or another; ``url`` may be that of any server that speaks S3.
    server
        Patience.
    ids
        ``NET.STA.LOC.CHA``, with ``*`` and ``?``.
    start, end
        UTC.

    Raises
    ------
    FetchError
        When the bucket cannot be listed.
    """
    for identifier in ids:
        if identifier.count(".") != 3:
            raise InputError(f"{identifier!r} is not NET.STA.LOC.CHA; * and ? may stand for letters")
    pieces: dict[str, Piece] = {}
    for low, high in days(start, end, 24.0):
        prefixes: dict[str, list[re.Pattern[str]]] = {}
        for identifier in ids:
            prefix, pattern = _key(bucket.layout, identifier, low)
            prefixes.setdefault(prefix, []).append(pattern)
        for prefix, patterns in prefixes.items():
            for key, tag in _listed(bucket, server, prefix):
                if any(pattern.match(key) for pattern in patterns):
                    piece = _piece(bucket, server, key, tag, ids, low, high)
                    pieces[piece.key] = piece
    return list(pieces.values())


def _key(layout: str, identifier: str, day: np.datetime64) -> tuple[str, re.Pattern[str]]:
    """Return what a key begins with for sure, and the pattern that it matches."""
    codes: dict[str, Any] = dict(zip(("network", "station", "location", "channel"), identifier.split(".")))
    year = day.astype("datetime64[Y]")
    codes["year"] = str(year)
    codes["doy"] = f"{int((day.astype('datetime64[D]') - year.astype('datetime64[D]')).astype(int)) + 1:03d}"
    prefix, pattern, at, sure = "", "", 0, True
    for field in _FIELD.finditer(layout):
        literal = layout[at : field.start()]
        at = field.end()
        code = codes.get(field[1])
        if code is None:
            raise InputError(f"the layout {layout!r} has {{{field[1]}}}; known are {', '.join(codes)}")
        pattern += re.escape(literal)
        prefix += literal if sure else ""
        if _WILD.search(code):
            sure = False
            wild = re.escape(code).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
            pattern += wild + (f"{re.escape(field[2][1])}*" if field[2] else "")  # and the layout's fill
        else:
            text = format(code, (field[2] or ":")[1:])
            pattern += re.escape(text)
            prefix += text if sure else ""
    pattern += re.escape(layout[at:])
    return prefix + (layout[at:] if sure else ""), re.compile(pattern)


def _listed(bucket: Bucket, server: Server, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the keys below a prefix and their entity tags, page by page."""
    token = ""
    while True:
        params = {"list-type": "2", "prefix": prefix} | ({"continuation-token": token} if token else {})
        content = server.ask(f"{bucket.url}/", params=params, check=_check_listing)
        if content is None:
            return
        tree = ElementTree.fromstring(content)
        space = _NAMESPACE if tree.tag.startswith(_NAMESPACE) else ""
        for item in tree.iter(f"{space}Contents"):
            yield item.findtext(f"{space}Key", ""), item.findtext(f"{space}ETag", "")
        token = tree.findtext(f"{space}NextContinuationToken", "")
        if not token:
            return


def _check_listing(content: bytes) -> None:
    try:
        tag = ElementTree.fromstring(content).tag
    except ElementTree.ParseError as error:
        raise PartialError(f"{len(content)} bytes that are no whole XML: {error}") from error
    if not tag.endswith("ListBucketResult"):
        raise PartialError(f"a list of objects was expected, found <{tag}>")


def _piece(
    bucket: Bucket,
    server: Server,
    key: str,
    tag: str,
    ids: Sequence[str],
    low: np.datetime64,
    high: np.datetime64,
) -> Piece:
    # The entity tag changes with the object: a day file that grew or was corrected is fetched again.
    name = digest("s3", bucket.url, key, tag, sorted(ids), str(low), str(high))

    def get(folder: Path) -> Path | None:
        content = server.ask(f"{bucket.url}/{quote(key)}", check=check_miniseed)
        if content is None:
            return None
        wanted = list(_wanted(content, ids, low, high))
        return write_new(folder, name, wanted) if wanted else None

    return Piece(key, name, get)


def _wanted(content: bytes, ids: Sequence[str], low: np.datetime64, high: np.datetime64) -> Iterator[bytes]:
    """Yield the records of the channels wanted that touch the time wanted."""
    records = scan_records(content)
    chosen = np.array([any(fnmatch.fnmatchcase(i, p) for p in ids) for i in records.ids], bool)
    table = records.table
    with np.errstate(divide="ignore", invalid="ignore"):
        length_ns = np.where(table["rate"] > 0, table["n_sample"] / table["rate"] * NS_PER_S, 0)
    start = table["start"].astype(np.int64)
    first, last = (int(t.astype("datetime64[ns]").astype(np.int64)) for t in (low, high))
    keep = chosen[table["channel"]] & (start < last) & (start + length_ns > first)
    for offset, length in zip(table["offset"][keep].tolist(), table["length"][keep].tolist()):
        yield content[offset : offset + length]
