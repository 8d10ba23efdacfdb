"""A file is whole or not there, and what stood in its place stays until then."""

from __future__ import annotations

import pytest

from kaname.core.errors import StorageError
from kaname.core.files import replacing


def test_the_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "file.txt"
    with replacing(target, sync=True) as partial:
        partial.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert [p.name for p in target.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyError("x"), KeyboardInterrupt()])
def test_after_a_failure_all_is_as_before(tmp_path, error):
    target = tmp_path / "file.txt"
    target.write_text("old")
    expected = StorageError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), replacing(target) as partial:
        partial.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_file_in_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(StorageError, match="folder"), replacing(tmp_path / "folder" / "file.txt"):
        pass
