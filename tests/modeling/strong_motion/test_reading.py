"""Ground motions from a database, a table and a flatfile: one function, the same rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kaname.core.errors import InputError, NotFoundError
from kaname.core.shaking import GROUND_MOTIONS
from kaname.core.tables import table, write_table
from kaname.modeling.strong_motion.database import COMPONENTS
from kaname.modeling.strong_motion.reading import files_of, read_ground_motions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        {"record_id": f"r{k}", "event_id": f"e{k // 3}", "magnitude": 4.0 + k / 2, "pga_cm_s2": 10.0 + k}
        for k in (5, 3, 4, 0, 1, 2)
    ]
    parts = [{"record_id": f"r{k}", "channel": "HNZ", "pgd_cm": float(k)} for k in range(6)]
    frame = table(rows, GROUND_MOTIONS)
    write_table(frame, tmp_path / "db/ground_motions.parquet", GROUND_MOTIONS)
    write_table(table(parts, COMPONENTS), tmp_path / "db/components.parquet", COMPONENTS)
    write_table(frame, tmp_path / "table.parquet", GROUND_MOTIONS)
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path


@pytest.mark.parametrize("source", ["db", "table.parquet", "table.csv"])
def test_the_same_rows_in_their_order(folder: Path, source: str) -> None:
    read = read_ground_motions(folder / source)
    assert read["record_id"].tolist() == ["r5", "r3", "r4", "r0", "r1", "r2"]
    found = read_ground_motions(folder / source, where="magnitude > 4.4 OR event_id = 'e0' -- a comment")
    assert found["record_id"].tolist() == ["r5", "r3", "r4", "r0", "r1", "r2"]
    found = read_ground_motions(folder / source, where="magnitude > 4.4 AND event_id = 'e0'")
    assert found["record_id"].tolist() == ["r1", "r2"]
    assert found.index.tolist() == [0, 1]
    assert read_ground_motions(folder / source, where="FALSE").empty
    for wrong in ("depth > 3", "magnitude >", "1); DROP VIEW ground_motions; SELECT (1"):
        with pytest.raises(InputError, match="cannot answer"):
            read_ground_motions(folder / source, where=wrong)


def test_a_database_has_other_tables_to_ask(folder: Path) -> None:
    where = "record_id IN (SELECT record_id FROM components WHERE pgd_cm >= 4)"
    assert read_ground_motions(folder / "db", where=where)["record_id"].tolist() == ["r5", "r4"]
    with pytest.raises(InputError, match="cannot answer"):
        read_ground_motions(folder / "table.csv", where=where)


def test_flatfiles_and_what_is_not_there(folder: Path) -> None:
    stations = folder / "list.csv"
    frame = pd.DataFrame({"event": "quake", "longitude": [139.0, 140.0], "latitude": 35.0, "ln_pga_g": -2.0})
    frame.to_csv(stations, index=False)
    read = read_ground_motions(stations, where="longitude > 139.5")
    assert len(read) == 1 and list(read.columns[: len(GROUND_MOTIONS.names)]) == list(GROUND_MOTIONS.names)
    assert files_of(stations) == [stations]
    assert files_of(folder / "db") == [folder / "db/ground_motions.parquet"]
    for call in (read_ground_motions, files_of):
        with pytest.raises(NotFoundError, match="kaname records build"):
            call(folder)
    with pytest.raises(NotFoundError, match="no such file"):
        read_ground_motions(folder / "none.parquet")
