"""The example in docs/formats.md works."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path

import pytest

from kaname.core.errors import FormatError
from kaname.formats import contract

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


def test_example_reader(tmp_path, monkeypatch) -> None:
    contract.readers()
    monkeypatch.setattr(contract, "_READERS", deepcopy(contract._READERS))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})
    path = tmp_path / "record"
    path.write_text("PLAIN LABE 2013-09-01T04:10:35.7 100 3\n1\n2\n3\n")
    read = contract.read_waveforms(path, start="2013-09-01T04:10:35.71")
    assert read.blocks[0].ids == ("XX.LABE..HHZ",)
    assert read.blocks[0].data.tolist() == [[2, 3]]
    assert not read.failures
    path.write_text("PLAIN LABE 2013-09-01T04:10:35.7 100 4\n1\n2\n3\n")
    assert "4 samples stated" in contract.read_waveforms(path).failures[0]["message"]
    path.write_text("PLAIN LABE yesterday 100 4\n1\n")
    with pytest.raises(FormatError, match="no plain record"):
        contract.read_waveforms(path)
