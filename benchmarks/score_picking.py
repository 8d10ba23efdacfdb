"""Scores of a picker on the labelled records kept for reporting.

``python benchmarks/score_picking.py [PICKER] [FOLDER]`` prints the tables of docs/picking.md; with a folder,
it draws its figures there.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import pandas as pd
from labelled_picks import Record, all_records

from kaname.automation.pick import Pick, get_picker, picks_table
from kaname.core.step import run
from kaname.core.tables import PICKS, table
from kaname.core.time import seconds_between
from kaname.evaluate.picks import score_picks


def labelled_station(record: Record, number: int) -> str:
    """Every record becomes a station of its own, so that records cannot be mixed up."""
    return f"R{number:04d}"


def label_rows(record: Record, station: str) -> list[dict[str, object]]:
    """Labels as rows of the picks table."""
    return [
        {"pick_id": f"{station}{phase}{i}", "station": station, "phase": phase, "time": t}
        for phase, times in record.labels.items()
        for i, t in enumerate(times)
    ]


def complete(record: Record, pick: Pick) -> bool:
    """Whether the labels tell if this pick is true: the record has a label of its phase."""
    return bool(record.labels.get(pick.phase))


def scores(records: list[Record], picks: list[list[Pick]]) -> pd.DataFrame:
    """Score table of some records."""
    found, truth = [], []
    for i, (record, own) in enumerate(zip(records, picks)):
        station = labelled_station(record, i)
        truth += label_rows(record, station)
        found += [p._replace(network="", station=station, location="") for p in own if complete(record, p)]
    return score_picks(picks_table(found), table(truth, PICKS))


def noise(records: list[Record], picks: list[list[Pick]]) -> tuple[int, float]:
    """Number of picks, and hours, before the first label (less 2 s) of records that have a P."""
    n, hours = 0, 0.0
    for record, own in zip(records, picks):
        if record.seconds("P"):
            end = min(record.seconds("P") + record.seconds("S")) - 2
            n += sum(seconds_between(record.wave.start, p.time) < end for p in own)
            hours += max(0.0, end - 5) / 3600
    return n, hours


def main() -> None:
    """Print the tables."""
    name = sys.argv[1] if len(sys.argv) > 1 else "classical"
    picker = get_picker(name)
    records = [r for r in all_records() if r.reporting]
    picks = [list(run(picker, [r.wave])) for r in records]
    shown = ["phase", "tolerance_s", "n_label", "n_pick", "recall", "recall_low", "recall_high", "precision"]
    shown += ["f1", "residual_median_s", "residual_mad_s", "residual_sd_s", "coverage_68", "coverage_95"]
    for source in ("ncedc", "nz", "denoise"):
        part = [(r, p) for r, p in zip(records, picks) if r.source == source]
        rs, ps = [r for r, _ in part], [p for _, p in part]
        n, hours = noise(rs, ps)
        print(f"\n{name} on {source}: {len(rs)} records; {n} picks in {hours:.2f} h before the events")
        print(scores(rs, ps)[shown].round(3).to_string(index=False))
    vertical = [
        (replace(r, wave=r.wave.select([i for i in r.wave.ids if i.endswith("Z")])))
        for r in records
        if any(i.endswith("Z") for i in r.wave.ids)
    ]
    alone = [list(run(picker, [r.wave])) for r in vertical]
    for source in ("ncedc", "nz"):
        part = [(r, p) for r, p in zip(vertical, alone) if r.source == source]
        rs, ps = [r for r, _ in part], [p for _, p in part]
        n, hours = noise(rs, ps)
        print(f"\n{name} on {source}, vertical alone: {len(rs)} records; {n} picks in {hours:.2f} h of noise")
        print(scores(rs, ps)[shown].round(3).to_string(index=False))


if __name__ == "__main__":
    main()
