"""Settings: what is printed reads back, and what is wrong is named."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kaname.core.config import Settings, load_settings, to_toml
from kaname.core.errors import InputError, NotFoundError


class Band(BaseModel):
    """Band-pass of the picker."""

    model_config = ConfigDict(extra="forbid")

    low_hz: float = Field(2.0, gt=0, description="lower corner [Hz]")
    high_hz: float | None = Field(20.0, description="upper corner [Hz]")


class Example(Settings):
    """Everything a configuration may hold.

    In two paragraphs.
    """

    band: Band = Band()
    n_station: int = Field(3, ge=1, le=100, description="stations needed")
    phases: tuple[Literal["P", "S"], ...] = Field(("P", "S"), description="phases to pick")
    method: Literal["sta_lta", "kurtosis"] = Field("sta_lta", description="trigger")
    model: Path | None = Field(None, description="velocity model")
    title: str = 'a "quoted" \\ title \t # 要\x7f'
    corrections_s: dict[str, float] = Field(
        default_factory=lambda: {"BW.UH1": 0.1, "with.dot and space": -1e-7}
    )
    limit: float = float("inf")
    quiet: bool = False


class Needy(Settings):
    """One key without default."""

    station: str = Field(description="which one")
    band: Band = Band()


def written(tmp_path, text):
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_default_reads_back(tmp_path):
    assert load_settings(Example, written(tmp_path, to_toml(Example))) == Example()
    assert to_toml(Example) == to_toml(Example())


def test_what_was_changed_reads_back_and_the_default_stands_beside_it(tmp_path):
    mine = Example(band=Band(low_hz=1), n_station=7, model=Path("/a b/model.csv"), phases=("P",), quiet=True)
    text = to_toml(mine)
    assert load_settings(Example, written(tmp_path, text)) == mine
    assert "# Default: 3; >= 1; <= 100\nn_station = 7" in text


@given(
    st.text(),
    st.floats(allow_nan=False),
    st.dictionaries(st.text(), st.floats(allow_nan=False)),
    st.booleans(),
)
def test_any_value_reads_back(title, limit, corrections, quiet):
    mine = Example(title=title, limit=limit, corrections_s=corrections, quiet=quiet)
    data = tomllib.loads(to_toml(mine))
    assert (data["title"], data["limit"], data["corrections_s"], data["quiet"]) == (
        title,
        limit,
        corrections,
        quiet,
    )


def test_every_key_is_explained():
    text = to_toml(Example)
    assert text.startswith("# Everything a configuration may hold.\n# In two paragraphs.\n")
    assert "\n# Stations needed.\n# Default: 3; >= 1; <= 100\nn_station = 3\n" in text
    assert '\n# Trigger.\n# Default: "sta_lta"; one of "sta_lta", "kurtosis"\nmethod = "sta_lta"\n' in text
    assert "\n# Velocity model.\n# Not set by default\n# model =\n" in text
    assert (
        "\n[band]\n# Band-pass of the picker.\n\n# Lower corner [Hz].\n# Default: 2.0; > 0\nlow_hz = 2.0\n"
        in text
    )


def test_a_key_without_default_stands_as_a_comment(tmp_path):
    assert "# Which one.\n# Must be given\n# station =\n" in to_toml(Needy)
    with pytest.raises(InputError, match="station: this key has no default and must be given"):
        load_settings(Needy, written(tmp_path, to_toml(Needy)))


def test_none_in_place_of_a_value_cannot_be_written():
    with pytest.raises(InputError, match="high_hz is None"):
        to_toml(Example(band=Band(high_hz=None)))


def test_no_file_means_the_defaults():
    assert load_settings(Example, None) == Example()


def test_part_of_a_file_leaves_the_rest_at_its_default(tmp_path):
    mine = load_settings(Example, written(tmp_path, "[band]\nlow_hz = 1\n"))
    assert (mine.band.low_hz, mine.band.high_hz, mine.n_station) == (1.0, 20.0, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_stations = 3", r"n_stations: no such key; did you mean n_station\?"),
        ("low_hz = 3", r"low_hz: no such key; did you mean band\.low_hz\?"),
        ("[band]\nlow = 3", r"band\.low: no such key; did you mean band\.low_hz\?"),
        ("[band]\nn_station = 3", r"band\.n_station: no such key; did you mean n_station\?"),
        ("qqq = 3", "qqq: no such key; known are band, band.low_hz"),
        ("n_station = '3'", "n_station: found '3'; input should be a valid integer"),
        ("n_station = true", "n_station: found True; input should be a valid integer"),
        ("n_station = 3.5", r"n_station: found 3\.5; input should be a valid integer"),
        ("n_station = 0", "n_station: found 0; input should be greater than or equal to 1"),
        ("quiet = 1", "quiet: found 1; input should be a valid boolean"),
        ("method = 'stalta'", "method: found 'stalta'; input should be 'sta_lta' or 'kurtosis'"),
        ("phases = ['P', 'X']", r"phases\.1: found 'X'; input should be 'P' or 'S'"),
        ("band = 3", "band: found 3"),
        ("model = 2010-05-27\nn_station = 2010-05-27", "n_station: found '2010-05-27'"),
        ("n_station = \n", r"is not TOML.*line 1"),
        ("n_station = 3\nn_station = 4", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        load_settings(Example, path)
    assert str(path) in str(caught.value)


def test_all_mistakes_are_said_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        load_settings(Example, written(tmp_path, "n_station = 0\nquiet = 3\nnope = 1\n"))
    assert str(caught.value).count("\n") == 3


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(NotFoundError, match=r"no\.toml"):
        load_settings(Example, tmp_path / "no.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not TOML"):
        load_settings(Example, tmp_path / "binary.toml")


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValidationError):
        Example().n_station = 4
