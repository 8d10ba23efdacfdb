"""``kaname config``."""

from __future__ import annotations

import tomllib

import pytest
from pydantic import Field

from kaname.cli import main, verb_module
from kaname.core.config import Settings


class Example(Settings):
    """Configuration of the example."""

    length_s: float = Field(2.0, gt=0, description="length of the window [s]")


@pytest.fixture
def configurable(monkeypatch):
    monkeypatch.setattr(verb_module("doctor"), "Settings", Example, raising=False)


def test_it_prints_the_commented_default(configurable, capsys):
    assert main(["config", "doctor"]) == 0
    out, err = capsys.readouterr()
    assert "# Length of the window [s].\n# Default: 2.0; > 0\nlength_s = 2.0\n" in out
    assert tomllib.loads(out) == {"length_s": 2.0}
    assert err == ""


def test_it_checks_a_file(configurable, tmp_path, capsys):
    mine = tmp_path / "my.toml"
    mine.write_text("length_s = 5\n")
    assert main(["config", "doctor", "--check", str(mine)]) == 0
    assert tomllib.loads(capsys.readouterr().out) == {"length_s": 5.0}
    mine.write_text("lenght_s = 5\n")
    assert main(["config", "doctor", "--check", str(mine)]) == 2
    assert "did you mean length_s?" in capsys.readouterr().err


def test_a_verb_without_configuration_and_no_verb_at_all(capsys):
    assert main(["config", "config"]) == 2
    assert "has no configuration" in capsys.readouterr().err
    assert main(["config", "pick"]) == 2
    assert "takes that of kaname catalog" in capsys.readouterr().err
    assert main(["config", "katalog"]) == 2
    assert "known are" in capsys.readouterr().err


def test_a_file_that_is_not_there(configurable, tmp_path, capsys):
    assert main(["config", "doctor", "--check", str(tmp_path / "no.toml")]) == 1
    assert "no.toml" in capsys.readouterr().err
