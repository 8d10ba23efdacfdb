"""Whatever a client writes into its header, a nonce is ours or it is not."""

from __future__ import annotations

import pytest

from kaname.archive.access import Access
from kaname.center.digest import Digest


@pytest.mark.parametrize("nonce", ["", "-", "zz-1", "f" * 400 + "-0", "-1-0", "0-0", "\x00-é"])
def test_a_foreign_nonce_is_not_fresh(tmp_path, nonce):
    digest = Digest(Access.load(tmp_path), b"a secret")
    assert not digest.is_fresh(f'Digest username="u", nonce="{nonce}"')
