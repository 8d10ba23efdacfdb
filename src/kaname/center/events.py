"""Catalogues, and of each event its QuakeML, which is written once."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lxml import etree

from kaname.core.tables import ARRIVALS, EVENTS, PICKS, concat
from kaname.formats.catalogs import read_events, to_catalog
from kaname.formats.quakeml_identifiers import to_resource

_REMEMBERED = 50_000
_QUAKEML = "http://quakeml.org/xmlns/bed/1.2"


class Events:
    """Events of several catalogues.

    Parameters
    ----------
    table
        `kaname.core.tables.EVENTS` with the columns ``catalog`` (name) and ``updated`` (when its file was
        changed), in order of time.
    arrivals, picks
        Of all of them.
    failures
        What could not be read, rows of the failures table.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        arrivals: pd.DataFrame,
        picks: pd.DataFrame,
        failures: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.table = table
        self.failures = list(failures)
        self.catalogs = sorted(set(table["catalog"]))
        self._arrivals = dict(iter(arrivals.groupby("event_id", sort=False)))
        self._picks = picks.set_index("pick_id", drop=False)
        self._xml: dict[tuple[str, bool], bytes] = {}
        self.columns = {name: table[name].to_numpy() for name in table.columns}
        self.numbers: dict[str, int] = {}
        for number, event_id in enumerate(table["event_id"]):
            self.numbers[event_id] = self.numbers[str(to_resource("event", event_id))] = number

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Events:
        """Read catalogues in any format; each is named after its file, or the folder of its files.

        An event that an earlier file has already is left out of the later ones, and a failure says so.

        Raises
        ------
        NotFoundError, FormatError
            When a file is not there, or holds no event.
        """
        tables, arrivals, picks, failures = [], [], [], []
        seen: set[str] = set()
        for path in paths:
            read = read_events(sorted(path.iterdir()) if path.is_dir() else path)
            again = read.events["event_id"].isin(seen)
            failures += read.failures
            failures += [
                {
                    "step": "events",
                    "subject": str(path),
                    "error": "InputError",
                    "message": f"event {event_id} has been read before; left out",
                }
                for event_id in read.events.loc[again, "event_id"]
            ]
            new = read.events[~again]
            seen |= set(new["event_id"])
            updated = np.datetime64(path.stat().st_mtime_ns, "ns")
            tables.append(new.assign(catalog=path.stem, updated=updated))
            arrivals.append(read.arrivals[read.arrivals["event_id"].isin(new["event_id"])])
            picks.append(read.picks)
        if not tables:
            none = concat([], EVENTS).assign(catalog="", updated=np.datetime64("NaT", "ns"))
            return cls(none, concat([], ARRIVALS), concat([], PICKS))
        table = pd.concat(tables, ignore_index=True).sort_values("time", kind="stable", ignore_index=True)
        all_picks = concat(picks, PICKS).drop_duplicates("pick_id")
        return cls(table, concat(arrivals, ARRIVALS), all_picks, failures)

    def quakeml(self, numbers: Sequence[int], *, arrivals: bool) -> list[bytes]:
        """Return the QuakeML elements of events, given their rows.

        Parameters
        ----------
        numbers
            Rows of the table.
        arrivals
            With arrivals, picks, amplitudes and station magnitudes.
        """
        ids = [self.columns["event_id"][number] for number in numbers]
        missing = [n for n, event_id in zip(numbers, ids) if (event_id, arrivals) not in self._xml]
        if missing:
            if len(self._xml) + len(missing) > _REMEMBERED:
                self._xml.clear()
            written = dict(
                zip((self.columns["event_id"][n] for n in missing), self._write(missing, arrivals))
            )
            self._xml |= {(event_id, arrivals): xml for event_id, xml in written.items()}
            return [written.get(i) or self._xml[i, arrivals] for i in ids]
        return [self._xml[event_id, arrivals] for event_id in ids]

    def _write(self, numbers: Sequence[int], arrivals: bool) -> list[bytes]:
        rows = self.table.iloc[list(numbers)]
        nothing = concat([], ARRIVALS)
        tied = concat([self._arrivals.get(event_id, nothing) for event_id in rows["event_id"]], ARRIVALS)
        if not arrivals:
            tied = nothing
        picks = self._picks.loc[self._picks.index.isin(tied["pick_id"])].reset_index(drop=True)
        catalog = to_catalog(rows[list(EVENTS.names)].reset_index(drop=True), tied, picks)
        file = io.BytesIO()
        catalog.write(file, format="QUAKEML")
        root = etree.fromstring(file.getvalue(), etree.XMLParser(huge_tree=True))
        return [_bytes(element) for element in root.iter(f"{{{_QUAKEML}}}event")]


def _bytes(element: Any) -> bytes:
    text: bytes = etree.tostring(element, with_tail=False, encoding="UTF-8", xml_declaration=False)
    head, close, rest = text.partition(b">")
    for prefix, address in element.nsmap.items():
        name = b"xmlns" if prefix is None else b"xmlns:" + prefix.encode()
        head = head.replace(b" " + name + b'="' + address.encode() + b'"', b"")
    return head + close + rest
