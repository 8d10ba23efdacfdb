"""Where the cache is kept."""

from __future__ import annotations

import pytest

from kaname.core.cache import cache_folder
from kaname.core.errors import StorageError


def test_it_is_where_the_user_says(tmp_path, monkeypatch):
    monkeypatch.setenv("KANAME_CACHE", str(tmp_path / "a" / "b"))
    assert cache_folder() == tmp_path / "a" / "b"
    assert cache_folder().is_dir()


def test_else_it_follows_the_desktop_convention(tmp_path, monkeypatch):
    monkeypatch.delenv("KANAME_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "kaname"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "kaname"


def test_a_file_in_the_way_is_said(tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("KANAME_CACHE", str(tmp_path / "taken" / "cache"))
    with pytest.raises(StorageError, match="KANAME_CACHE"):
        cache_folder()
