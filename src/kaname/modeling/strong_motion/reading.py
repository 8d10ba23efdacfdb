"""Ground motions wherever they stand: in a database, in a table of ours, in a flatfile or list of others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from kaname.core.errors import InputError, NotFoundError
from kaname.core.shaking import GROUND_MOTIONS
from kaname.core.tables import read_table, validate
from kaname.modeling.strong_motion.database import query
from kaname.modeling.strong_motion.flatfiles import is_flatfile, read_flatfile


def read_ground_motions(source: str | Path, *, where: str = "") -> pd.DataFrame:
    """Return ground motions in Kaname's schema, from a database, a table or a flatfile.

    Parameters
    ----------
    source
        Folder made by ``kaname records build``; table of `kaname.core.shaking.GROUND_MOTIONS` (Parquet, CSV);
        or what `kaname.modeling.strong_motion.flatfiles.read_flatfile` reads.
    where
        Condition in DuckDB's SQL on the columns of ``ground_motions``, such as ``magnitude >= 5 AND network =
        'BO'``; of a database its other tables may be asked too (``record_id IN (SELECT ...)``). Empty: all
        rows. Rows keep their order.

    Returns
    -------
    DataFrame
        `GROUND_MOTIONS`; further columns of the source stand to the right.

    Raises
    ------
    NotFoundError
        When there is no such file, or the folder holds no database.
    FormatError, SchemaError
        When it is none of these, or breaks the schema.
    InputError
        When the condition cannot be answered.
    """
    path = Path(source)
    if path.is_dir():
        table = read_table(_of_database(path), GROUND_MOTIONS)
        if where:
            kept = query(path, _asked(where))["record_id"]
            table = table[table["record_id"].isin(set(kept))]
    else:
        flat = path.is_file() and path.suffix.lower() != ".parquet" and is_flatfile(path)
        # A flatfile has what its source states; the schema adds the rest as missing.
        table = (
            validate(read_flatfile(path).table, GROUND_MOTIONS) if flat else read_table(path, GROUND_MOTIONS)
        )
        if where:
            table = _fitting(table, where)
    return table.reset_index(drop=True)


def files_of(source: str | Path) -> list[Path]:
    """Return the files that `read_ground_motions` reads, for the list of what a result was made from.

    Raises
    ------
    NotFoundError
        When a folder holds no database.
    """
    path = Path(source)
    return [_of_database(path)] if path.is_dir() else [path]


def _of_database(folder: Path) -> Path:
    path = folder / "ground_motions.parquet"
    if not path.is_file():
        raise NotFoundError(f"no database of strong motion in {folder}; make one with kaname records build")
    return path


def _fitting(table: pd.DataFrame, where: str) -> pd.DataFrame:
    import duckdb

    with duckdb.connect() as connection:
        connection.register("ground_motions", table)
        try:
            found = connection.sql(_asked(where)).df()
        except duckdb.Error as error:
            raise InputError(f"the table cannot answer {where!r}: {error}") from error
    return table[table["record_id"].isin(set(found["record_id"]))]


def _asked(where: str) -> str:
    """Return the question with a condition; one that ends it and goes on with another is refused."""
    import duckdb

    sql = f"SELECT record_id FROM ground_motions WHERE ({where}\n)"
    try:
        n = len(duckdb.extract_statements(sql))
    except duckdb.Error as error:
        raise InputError(f"DuckDB cannot answer {where!r}: {error}") from error
    if n != 1:
        raise InputError(f"one condition is expected; DuckDB cannot answer {n} statements: {where!r}")
    return sql
