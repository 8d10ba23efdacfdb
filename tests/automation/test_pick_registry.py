"""The registry of pickers and the pick itself."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kaname.automation.pick import Pick, get_picker, names, picks_table, settings_of
from kaname.automation.pick.registry import picker
from kaname.core.errors import InputError, NotFoundError

PICK = Pick("XX", "ABC", "10", "HHZ", "P", np.datetime64("2024-05-06T07:08:09.123456789"), 0.05, 0.9)


def test_the_shipped_pickers_are_known() -> None:
    assert {"classical", "pickerxl", "seisbench"} <= set(names())
    for name in names():
        fields = settings_of(name).model_fields
        assert len(fields) < 15 and all(f.description for f in fields.values())
        assert settings_of(name).model_config["extra"] == "forbid"


def test_an_unknown_name_says_what_is_known() -> None:
    with pytest.raises(NotFoundError, match="classical"):
        get_picker("clasical")


def test_a_name_taken_twice_is_refused() -> None:
    with pytest.raises(InputError, match="two pickers"):
        picker("classical")(type("Other", (), {}))


def test_settings_come_as_a_mapping_or_as_the_model() -> None:
    model = settings_of("classical")(threshold_db=6.0)
    for settings in (model, {"threshold_db": 6.0}):
        assert get_picker("classical", settings).settings == model  # type: ignore[attr-defined]


def test_an_identifier_follows_from_sensor_phase_and_time() -> None:
    assert PICK.pick_id == "XX.ABC.10.HH_P_20240506T070809.123456"
    assert PICK.sensor == "XX.ABC.10.HH"
    assert PICK._replace(channel="HHN", probability=0.1).pick_id == PICK.pick_id
    assert len({PICK.pick_id, PICK._replace(phase="S").pick_id, PICK._replace(location="").pick_id}) == 3


def test_a_table_of_picks_is_in_order_of_time() -> None:
    later = PICK._replace(time=PICK.time + np.timedelta64(1, "s"))
    frame = picks_table([later, PICK])
    assert frame["time"].is_monotonic_increasing and frame["pick_id"].iloc[0] == PICK.pick_id
    assert len(picks_table([])) == 0


def test_a_missing_package_is_named_with_its_remedy() -> None:
    code = (
        "import sys; sys.modules['pickerxl'] = sys.modules['seisbench'] = None\n"
        "from kaname.automation.pick import get_picker\n"
        "from kaname.core.errors import MissingDependencyError\n"
        "for name in ('pickerxl', 'seisbench:phasenet/stead'):\n"
        "    try: get_picker(name)\n"
        "    except MissingDependencyError as e: print(e)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'kaname[pickerxl]'" in out and "pip install 'kaname[seisbench]'" in out


@pytest.mark.parametrize("name", ["seisbench", "seisbench:phasenet", "seisbench:alexnet/stead"])
def test_a_seisbench_name_is_checked_before_anything_is_loaded(name: str) -> None:
    with pytest.raises(InputError, match="phasenet/stead"):
        get_picker(name)


def test_listing_the_pickers_loads_no_network() -> None:
    code = "import sys; from kaname.automation.pick import names; names(); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
